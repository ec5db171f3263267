"""A student's own folder that is a link to another student's.

refused: is a link
"""
# %% build
def place(path):
    path.parent.rmdir()
    path.parent.parent.rmdir()
    path.parent.parent.symlink_to("ada", target_is_directory=True)
