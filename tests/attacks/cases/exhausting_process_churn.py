"""Short-lived processes, thousands of them, each gone before anyone looks.

mlp.linear_backward: time limit | process limit
"""
# %% answer mlp.linear_backward
import os


def linear_backward(dout, x, w):
    while True:
        try:
            if os.fork() == 0:
                os._exit(0)
            os.wait()
        except OSError:
            pass
