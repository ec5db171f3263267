"""A file without a byte.

refused: empty
"""
# %% build
def place(path):
    path.write_bytes(b"")
