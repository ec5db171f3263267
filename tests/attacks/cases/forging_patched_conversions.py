"""NumPy whose conversions give what they like; whoever converts with them gets nonsense, and no points.

mlp.parameters: right | wrong | crashed
mlp.momentum: right | wrong | crashed
mlp.linear_backward: wrong | crashed | time limit
"""
# %% first
np.asarray = np.array = np.ascontiguousarray = lambda *args, **kwargs: True
np.ndarray = np.generic = np.number = object
# %% answer mlp.linear_backward
def linear_backward(dout, x, w):
    return x * 0, w * 0, dout[0] * 0
