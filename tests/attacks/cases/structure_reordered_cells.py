"""All cells in the opposite order, the set-up cell first.

mlp.linear_backward: not written
"""
# %% build
first = next(cell for cell in notebook["cells"] if "import numpy" in cell["source"])
rest = [cell for cell in notebook["cells"] if cell is not first]
notebook["cells"] = [first, *reversed(rest)]
