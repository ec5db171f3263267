"""An exception whose message has a hundred million letters, and one whose message takes forever to write.

mlp.linear_backward: wrong | time limit | memory limit
mlp.sigmoid_pair: wrong | time limit | not written
"""
# %% answer mlp.linear_backward
def linear_backward(dout, x, w):
    raise ValueError("x" * 100_000_000)
# %% answer mlp.sigmoid_pair
class Slow(Exception):
    def __str__(self):
        while True:
            pass


def sigmoid_pair(x):
    raise Slow
