"""A call that sleeps for a day.

mlp.linear_backward: time limit
"""
# %% answer mlp.linear_backward
import time


def linear_backward(dout, x, w):
    time.sleep(86_400)
