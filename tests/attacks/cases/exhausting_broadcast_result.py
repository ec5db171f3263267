"""An array of a quintillion entries that takes eight bytes.

mlp.linear_backward: wrong | memory limit | time limit | crashed
"""
# %% answer mlp.linear_backward
def linear_backward(dout, x, w):
    return np.broadcast_to(0.0, (10**9, 10**9)), x, w
