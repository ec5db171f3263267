"""A file of a terabyte that takes no room.

refused: MB
"""
# %% build
def place(path):
    with open(path, "wb") as file:
        file.truncate(1 << 40)
