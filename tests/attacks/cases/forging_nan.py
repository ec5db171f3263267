"""Not-a-number and infinity where a number is due.

mlp.linear_backward: wrong
mlp.parameters: wrong
mlp.softmax_cross_entropy: wrong
"""
# %% answer mlp.parameters
n_parameters = float("nan")
# %% answer mlp.linear_backward
def linear_backward(dout, x, w):
    return x * np.nan, w * np.inf, dout[0] * -np.inf
# %% answer mlp.softmax_cross_entropy
def softmax_cross_entropy(logits, targets):
    return 10**400, logits * complex("nan")
