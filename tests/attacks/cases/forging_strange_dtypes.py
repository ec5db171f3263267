"""Arrays of objects, of records, of text and of dates in place of numbers.

mlp.linear_backward: wrong
mlp.sigmoid_pair: wrong
mlp.deltas: wrong
mlp.softmax_cross_entropy: wrong
"""
# %% answer mlp.linear_backward
class Zero:
    __eq__ = __le__ = lambda *args: True
    __sub__ = __mul__ = __abs__ = lambda self, *args: self


def linear_backward(dout, x, w):
    return tuple(np.full(a.shape, Zero(), dtype=object) for a in (x, w, dout[0]))
# %% answer mlp.sigmoid_pair
def sigmoid_pair(x):
    record = np.zeros(np.shape(x), dtype=[("value", float), ("slope", float)])
    return record, record
# %% answer mlp.deltas
def deltas(x, t, v, v0, w, w0, alpha):
    return tuple(np.full(a.shape, "0.0") for a in (w0, v0, w, w0, v, v0))
# %% answer mlp.softmax_cross_entropy
def softmax_cross_entropy(logits, targets):
    return np.datetime64("2020-01-01"), np.zeros(logits.shape, dtype="timedelta64[s]")
