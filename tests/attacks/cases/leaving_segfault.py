"""A read of address 0, in C.

mlp.linear_backward: crashed
"""
# %% answer mlp.linear_backward
import ctypes


def linear_backward(dout, x, w):
    ctypes.string_at(0)
