"""A child that computes without end in a session of its own, while the cell is done at once.

mlp.linear_backward: wrong | time limit
mlp.momentum: right | time limit
"""
# %% answer mlp.linear_backward
import os

if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while True:
            pass
    os._exit(0)


def linear_backward(dout, x, w):
    return x * 0, w * 0, dout[0] * 0
