"""Every tag that makes a tool skip a cell, hide it or forgive its errors.

mlp.linear_backward: wrong
"""
# %% answer mlp.linear_backward
def linear_backward(dout, x, w):
    return x * 0, w * 0, dout[0] * 0
# %% build
for cell in notebook["cells"]:
    cell["metadata"]["tags"] = ["skip-execution", "raises-exception", "remove-cell", "nbval-skip", "hide-input"]
    cell["metadata"]["editable"] = cell["metadata"]["deletable"] = True
notebook["metadata"]["execution"] = {"allow_errors": True, "timeout": -1}
