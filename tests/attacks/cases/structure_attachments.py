"""Attachments that are scripts, vector graphics and files elsewhere, shown in the text for a person.

mlp.linear_backward: not written
"""
# %% text mlp.essay
*Your answer to mlp.essay:*

![a](attachment:a.svg) ![b](attachment:b.html) ![c](file:///etc/passwd) ![d](http://127.0.0.1:@PORT@/d.png)
# %% build
svg = "PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciPjxzY3JpcHQ+YWxlcnQoMSk8L3NjcmlwdD48L3N2Zz4="
own("mlp-essay")["attachments"] = {"a.svg": {"image/svg+xml": svg}, "b.html": {"text/html": svg}}
