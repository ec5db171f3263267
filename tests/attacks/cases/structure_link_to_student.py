"""A notebook that is a link to another student's notebook.

refused: is a link
"""
# %% build
def place(path):
    path.symlink_to("../../ada/02_backprop/02_backprop.ipynb")
