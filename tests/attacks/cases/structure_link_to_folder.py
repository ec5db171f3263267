"""A folder for the assignment that is a link to another student's.

refused: is a link
"""
# %% build
def place(path):
    path.parent.rmdir()
    path.parent.symlink_to("../ada/02_backprop", target_is_directory=True)
