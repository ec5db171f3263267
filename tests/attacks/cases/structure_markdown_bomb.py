"""Markdown on which a careless converter takes the square of its length, or worse.

mlp.linear_backward: not written
"""
# %% build
for text in ("[" * 50_000, "*a " * 30_000, "> " * 30_000, "`" * 30_000, "<" * 50_000, "![" * 30_000, "|a" * 30_000):
    notebook["cells"].append({"cell_type": "markdown", "metadata": {}, "source": text})
own("mlp-essay")["source"] = "*Your answer to mlp.essay:*\n" + "<div>" * 15_000 + "$" * 20_000
