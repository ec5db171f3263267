"""Builtins under which everything is true, of every type, and never differs.

mlp.linear_backward: wrong
"""
# %% answer mlp.linear_backward
def linear_backward(dout, x, w):
    return x * 0, w * 0, dout[0] * 0
# %% last
import builtins

builtins.all = builtins.any = lambda things: True
builtins.abs = builtins.max = builtins.sum = lambda *args, **kwargs: 0
builtins.AssertionError = builtins.ValueError = KeyboardInterrupt
print("patched")
