"""A time stamp that is a bomb for whoever parses it.

mlp.linear_backward: wrong | not written
"""
# %% build
def place(path):
    path.write_text(json.dumps(notebook))
    (path.parent / "timestamp.txt").write_text("2020-01-01 00:00:00 " + "../" * 1000 + "etc/passwd" + "9" * 5_000_000)
