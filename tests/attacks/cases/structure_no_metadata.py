"""A notebook as an editor leaves it that knows no metadata: cells are found by their first lines.

mlp.linear_backward: not written
"""
# %% build
notebook["metadata"] = {}
for cell in notebook["cells"]:
    cell["metadata"] = {}
    cell.pop("id", None)
