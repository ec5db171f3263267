"""Lists that have other entries whenever someone looks, and a length that lies.

mlp.linear_backward: wrong
"""
# %% answer mlp.linear_backward
class Moody(list):
    def __iter__(self):
        yield from ([float("nan")], True, None)

    def __len__(self):
        return 10**9

    def __eq__(self, other):
        return True

    def __getitem__(self, index):
        return self


def linear_backward(dout, x, w):
    return Moody([1, 2, 3])
