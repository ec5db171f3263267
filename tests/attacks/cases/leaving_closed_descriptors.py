"""Every descriptor closed, in one case, and all of them swapped with one another, in another.

mlp.linear_backward: crashed | wrong | time limit
mlp.sigmoid_pair: crashed | wrong | time limit | output limit
"""
# %% answer mlp.linear_backward
import os


def linear_backward(dout, x, w):
    os.closerange(0, 4096)
    return x * 0, w * 0, dout[0] * 0
# %% answer mlp.sigmoid_pair
def sigmoid_pair(x):
    import os

    numbers = sorted(map(int, os.listdir("/proc/self/fd")))[:-1]
    for a, b in zip(numbers, reversed(numbers)):
        try:
            os.dup2(a, b)
        except OSError:
            pass
    return x * 0, x * 0
