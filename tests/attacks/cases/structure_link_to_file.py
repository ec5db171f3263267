"""A notebook that is a link to the gradebook's folder's secrets.

refused: is a link
"""
# %% build
def place(path):
    path.symlink_to("@COURSE@/.dlcourse/seed")
