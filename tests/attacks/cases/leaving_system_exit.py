"""exit(), quit(), sys.exit() and their exceptions, in cells and in calls.

mlp.linear_backward: wrong | not written | crashed
mlp.sigmoid_pair: wrong | not written | crashed
"""
# %% first
exit()
# %% answer mlp.sigmoid_pair
import sys


def sigmoid_pair(x):
    sys.exit(0)
# %% answer mlp.linear_backward
quit()


def linear_backward(dout, x, w):
    raise KeyboardInterrupt
# %% last
raise SystemExit(0)
