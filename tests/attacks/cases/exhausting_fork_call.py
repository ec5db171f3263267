"""A call that forks itself without end, each child waiting for the next.

mlp.linear_backward: process limit | time limit | wrong | crashed | memory limit
"""
# %% answer mlp.linear_backward
import os
import time


def linear_backward(dout, x, w):
    while True:
        if os.fork():
            time.sleep(1000)
