"""Code cells turned into Markdown and raw cells, Markdown cells into code.

mlp.linear_backward: not written
"""
# %% build
turn = {"code": "markdown", "markdown": "code"}
for number, cell in enumerate(notebook["cells"]):
    cell["cell_type"] = "raw" if number % 3 == 0 else turn[cell["cell_type"]]
# The set-up cell stays what it is: without it nothing is imported.
next(cell for cell in notebook["cells"] if "import numpy" in cell["source"])["cell_type"] = "code"
