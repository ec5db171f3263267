"""NaN, infinities and numbers where text is due.

mlp.linear_backward: not written
"""
# %% build
notebook["nbformat"], notebook["nbformat_minor"] = float("nan"), float("inf")
for cell in notebook["cells"]:
    cell["id"] = 1e308
    cell["execution_count"] = float("-inf")
own("mlp-linear-backward")["metadata"]["nbgrader"].update(points=float("inf"), schema_version=-1, grade_id=7)
