"""Metadata, outputs and sources nested as deep as a reader goes.

mlp.linear_backward: not written
"""
# %% build
deep = []
for _ in range(400):
    deep = [{"a": deep}]
own("mlp-linear-backward-answer")["metadata"]["more"] = deep
notebook["cells"].append({"cell_type": "code", "metadata": deep, "source": deep, "outputs": deep})
notebook["cells"].append({"cell_type": deep, "metadata": {"nbgrader": deep}, "source": [deep, 3, None, "x = 1"]})
