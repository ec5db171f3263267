"""A right notebook beside a time stamp that is a named pipe, and files whose names are no text.

mlp.linear_backward: wrong | not written
"""
# %% build
def place(path):
    path.write_text(json.dumps(notebook))
    os.mkfifo(path.parent / "timestamp.txt")
    (path.parent / "loop").symlink_to("loop")
    os.mkfifo(os.fsencode(path.parent) + b"/\xff\xfe.dat")
