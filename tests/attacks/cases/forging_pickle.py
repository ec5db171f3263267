"""Results whose pickles, representations and conversions run code in whoever reads them.

mlp.linear_backward: wrong
"""
# %% answer mlp.linear_backward
import os


class Trap:
    def __reduce__(self):
        return os.system, ("touch /tmp/@MARK@",)

    def __repr__(self):
        raise SystemExit("@MARK@")

    __str__ = __format__ = __float__ = __int__ = __index__ = __repr__


def linear_backward(dout, x, w):
    return np.array([Trap()], dtype=object), Trap(), {"d": Trap()}
