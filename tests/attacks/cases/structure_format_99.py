"""A notebook of a format that does not exist yet, with things in it that nobody knows.

mlp.linear_backward: not written
"""
# %% build
notebook["nbformat"], notebook["nbformat_minor"] = 99, -5
notebook["cells"].insert(0, {"cell_type": "quantum", "source": "1 +", "metadata": []})
notebook["cells"].insert(0, None)
notebook["cells"].insert(0, [1, 2, 3])
