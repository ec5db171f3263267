"""Two hundred threads that compute without end.

mlp.linear_backward: time limit | process limit | wrong
"""
# %% answer mlp.linear_backward
import threading


def spin():
    while True:
        pass


for _ in range(200):
    threading.Thread(target=spin, daemon=True).start()


def linear_backward(dout, x, w):
    while True:
        pass
