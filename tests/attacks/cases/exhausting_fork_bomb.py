"""Processes that make processes without end.

mlp.linear_backward: process limit | time limit | memory limit | crashed
mlp.momentum: right | time limit
"""
# %% answer mlp.linear_backward
import os

while True:
    try:
        os.fork()
    except OSError:
        pass
