"""Halves of characters, which no file can hold, in code, in output, in text and in names.

mlp.linear_backward: wrong | not written
"""
# %% answer mlp.linear_backward
print("\ud800\udfff half \udcff")


def linear_backward(dout, x, w):
    raise ValueError("\ud800")
# %% last
from IPython.display import HTML, display

display(HTML("<b>\ud83d</b>"))
raise ValueError("\udc00")
# %% build
own("mlp-essay")["source"] += "\ud800"
notebook["cells"].append({"cell_type": "code", "metadata": {}, "source": "x = '\udc80'", "outputs": []})
notebook["cells"].append({"cell_type": "markdown", "metadata": {"\ud800": 1}, "source": "\udfff"})
