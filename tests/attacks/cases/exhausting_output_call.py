"""Output without end from within a call, which nobody reads.

mlp.linear_backward: wrong | output limit | time limit
"""
# %% answer mlp.linear_backward
import os
import sys


def linear_backward(dout, x, w):
    for _ in range(20_000):
        print("x" * 1000)
        print("x" * 1000, file=sys.__stdout__)
        os.write(1, b"x" * 1000)
        os.write(2, b"x" * 1000)
    return x * 0, w * 0, dout[0] * 0
