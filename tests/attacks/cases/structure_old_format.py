"""A notebook of format 3, with worksheets.

mlp.linear_backward: not written
"""
# %% build
for cell in notebook["cells"]:
    if cell["cell_type"] == "code":
        cell["input"] = cell.pop("source")
        cell["language"] = "python"
data = json.dumps({"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": [{"cells": notebook["cells"]}]}).encode()
