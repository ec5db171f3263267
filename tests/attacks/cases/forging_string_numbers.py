"""Text, bytes and sets that look like the right number.

mlp.parameters: wrong
mlp.linear_backward: wrong
"""
# %% answer mlp.parameters
n_parameters = {"109386", b"109386", "784 * 128 + 128 + 128 * 64 + 64 + 64 * 10 + 10"}
# %% answer mlp.linear_backward
def linear_backward(dout, x, w):
    return str(dout @ w.T), repr(x.T @ dout), bytes(dout.sum(axis=0))
