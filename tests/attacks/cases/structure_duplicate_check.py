"""A hundred copies of a check that says that it is worth a hundred points.

mlp.linear_backward: not written
"""
# %% build
import copy

check = own("mlp-linear-backward")
check["metadata"]["nbgrader"]["points"] = 100
notebook["cells"] += [copy.deepcopy(check) for _ in range(100)]
