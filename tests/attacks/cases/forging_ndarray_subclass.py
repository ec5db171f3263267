"""Arrays of a subclass that calls itself close to every other array.

mlp.linear_backward: wrong
"""
# %% answer mlp.linear_backward
class Agreeable(np.ndarray):
    def __eq__(self, other):
        return np.ones(self.shape, dtype=bool)

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        return np.ones(self.shape, dtype=bool)

    def __array_function__(self, function, types, args, kwargs):
        return True

    def all(self, *args, **kwargs):
        return True

    def astype(self, *args, **kwargs):
        return self

    def tobytes(self, *args, **kwargs):
        return b"\x00" * 8


def linear_backward(dout, x, w):
    return tuple(np.zeros(a.shape).view(Agreeable) for a in (x, w, dout[0]))
