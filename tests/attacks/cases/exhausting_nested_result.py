"""A result nested a hundred thousand levels deep, and one that doubles with each of a hundred levels.

mlp.linear_backward: wrong | crashed | memory limit | time limit
mlp.sigmoid_pair: wrong | crashed | memory limit | time limit
"""
# %% answer mlp.linear_backward
def linear_backward(dout, x, w):
    deep = []
    for _ in range(100_000):
        deep = [deep]
    return deep
# %% answer mlp.sigmoid_pair
def sigmoid_pair(x):
    wide = [0.0]
    for _ in range(100):
        wide = [wide, wide]
    return wide
