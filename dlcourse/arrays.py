"""What the by-hand operations ask of their arrays, in words that say what was given and what was expected."""

from __future__ import annotations

import numpy as np


def as_float(a: np.ndarray, name: str) -> np.ndarray:
    """``a`` as an array, checked to be of a float dtype.

    Raises
    ------
    ValueError
        Its dtype is another.
    """
    a = np.asarray(a)
    if not np.issubdtype(a.dtype, np.floating):
        raise ValueError(f"{name} has dtype {a.dtype}; expected a float dtype such as float32 or float64")
    return a


def as_gradient(dout: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """``dout`` as an array, checked to have the shape of the output whose gradient it is.

    Raises
    ------
    ValueError
        Its shape is another.
    """
    dout = np.asarray(dout)
    if dout.shape != shape:
        raise ValueError(f"dout has shape {dout.shape}; expected that of the forward pass's output, {shape}")
    return dout
