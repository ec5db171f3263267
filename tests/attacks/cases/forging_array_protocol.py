"""An object that makes another array each time it is asked for one.

mlp.linear_backward: wrong
"""
# %% answer mlp.linear_backward
class Shifty:
    shape, dtype, ndim = (2, 2), np.dtype(float), 2
    asked = 0

    def __array__(self, *args, **kwargs):
        Shifty.asked += 1
        return np.full(self.shape, float(Shifty.asked))

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return 0.0

    @property
    def __class__(self):
        return np.ndarray


def linear_backward(dout, x, w):
    return Shifty(), Shifty(), Shifty()
