"""Memory without end within a call, all of it touched.

mlp.linear_backward: memory limit | wrong | time limit
"""
# %% answer mlp.linear_backward
def linear_backward(dout, x, w):
    hoard = [np.ones(16 << 20) for _ in range(64)]
    return hoard, hoard, hoard
