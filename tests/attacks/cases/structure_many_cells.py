"""Three thousand cells.

refused: cells; at most
"""
# %% build
notebook["cells"] += [{"cell_type": "markdown", "metadata": {}, "source": "x"} for _ in range(3000)]
