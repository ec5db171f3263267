"""Recursion without a floor and without the interpreter's own limit.

mlp.linear_backward: crashed | wrong | memory limit | time limit
"""
# %% answer mlp.linear_backward
import sys

sys.setrecursionlimit(2**30)


def linear_backward(dout, x, w):
    return linear_backward(dout, [x], w)
