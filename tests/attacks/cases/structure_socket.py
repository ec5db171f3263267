"""A socket where the notebook should be.

refused: is a socket
"""
# %% build
import socket


def place(path):
    here = os.getcwd()
    os.chdir(path.parent)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)
    os.chdir(here)
