"""One multiplication of integers that takes hours, with the interpreter's lock held.

mlp.linear_backward: time limit | memory limit
"""
# %% answer mlp.linear_backward
def linear_backward(dout, x, w):
    return 3 ** (3**22) % 7, 0, 0
