"""One call into C that does not come back and cannot be interrupted.

mlp.linear_backward: time limit
"""
# %% answer mlp.linear_backward
import ctypes


def linear_backward(dout, x, w):
    ctypes.PyDLL(None).sleep(86_400)
