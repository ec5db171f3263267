"""A named pipe, from which a reader waits for ever.

refused: named pipe
"""
# %% build
def place(path):
    os.mkfifo(path)
