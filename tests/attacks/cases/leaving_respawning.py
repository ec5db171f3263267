"""Two processes that watch each other, and start again whichever is killed.

mlp.linear_backward: wrong | process limit | time limit
mlp.momentum: right | process limit | time limit
"""
# %% answer mlp.linear_backward
import os
import time


def guard(other):
    while True:
        time.sleep(0.05)
        try:
            os.kill(other, 0)
        except OSError:
            other = os.fork() or guard(os.getppid())


if os.fork() == 0:
    os.setsid()
    guard(os.fork() or guard(os.getppid()))


def linear_backward(dout, x, w):
    return x * 0, w * 0, dout[0] * 0
