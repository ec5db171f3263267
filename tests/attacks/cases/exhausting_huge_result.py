"""Results of a gigabyte, of ten million pieces, and without an end.

mlp.linear_backward: wrong | memory limit | time limit
mlp.sigmoid_pair: wrong | memory limit | time limit
mlp.softmax_cross_entropy: wrong | memory limit | time limit
"""
# %% answer mlp.linear_backward
def linear_backward(dout, x, w):
    return np.ones((1 << 27,)), x, w
# %% answer mlp.sigmoid_pair
def sigmoid_pair(x):
    return [[0.0]] * 10_000_000, x
# %% answer mlp.softmax_cross_entropy
def softmax_cross_entropy(logits, targets):
    def forever():
        while True:
            yield 0.0

    return forever(), logits
