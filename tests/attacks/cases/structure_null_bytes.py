"""Null bytes in sources, names and ids.

mlp.linear_backward: wrong | not written
"""
# %% answer mlp.linear_backward
def linear_backward(dout, x, w):
    return "zero"
# %% build
for cell in notebook["cells"]:
    cell["source"] = "\x00".join(cell["source"].partition("\n"))
