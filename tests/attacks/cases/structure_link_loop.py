"""A notebook that is a link to itself.

refused: is a link
"""
# %% build
def place(path):
    path.symlink_to(path.name)
