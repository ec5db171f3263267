"""Output without end from a thread, while other cells run.

mlp.linear_backward: wrong | output limit | time limit
mlp.momentum: right | output limit | time limit
"""
# %% answer mlp.linear_backward
import threading


def talk():
    while True:
        print("x" * 1000)


threading.Thread(target=talk, daemon=True).start()


def linear_backward(dout, x, w):
    return x * 0, w * 0, dout[0] * 0
