"""Pooling by hand: make a feature map smaller by summing up its windows, forward and backward, in NumPy.

    out, cache = max_pool2d_forward(x, 2)                  # x (N, C, H, W) -> (N, C, H/2, W/2)
    dx = max_pool2d_backward(dout, cache)

The family: maximum and average over windows with any stride; over the whole map (global); over a given number of
windows, whatever the map's size (adaptive); no summing up at all, just every S-th value (strided); and with weights
that are learned: LeNet-5's one coefficient a map, or a whole weight for each place in the window.

All of it works on each channel by itself, and one slice of the image for each place in the window does the work of a
loop over all windows: with stride 2 the slice ``x[:, :, i::2, j::2]`` is the (i, j) of every window at once.

Also here is the arithmetic of a stack of such layers: :func:`receptive_field`.

References
----------
LeCun et al., "Gradient-based learning applied to document recognition", Proc. IEEE 86 (1998), section II.B.
Lin, Chen and Yan, "Network in network", arXiv:1312.4400 (2013), section 3.2 (global average pooling).
Sun et al., "Learning pooling for convolutional neural network", Neurocomputing 224 (2017), 96-104.
Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", arXiv:1603.07285 (2016), section 3.
Araujo, Norris and Sim, "Computing receptive fields of convolutional neural networks", Distill (2019).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from dlcourse.conv import (
    _checked_dout,
    _float_array,
    _pair,
    _whole,
    conv2d_backward,
    conv2d_forward,
    output_size,
)

__all__ = [
    "ReceptiveField",
    "adaptive_avg_pool2d_backward",
    "adaptive_avg_pool2d_forward",
    "adaptive_max_pool2d_backward",
    "adaptive_max_pool2d_forward",
    "avg_pool2d_backward",
    "avg_pool2d_forward",
    "bins",
    "global_avg_pool_backward",
    "global_avg_pool_forward",
    "global_max_pool_backward",
    "global_max_pool_forward",
    "learned_pool2d_backward",
    "learned_pool2d_forward",
    "max_pool2d_backward",
    "max_pool2d_forward",
    "max_pool2d_loops",
    "max_pool2d_loops_backward",
    "receptive_field",
    "strided_pool2d_backward",
    "strided_pool2d_forward",
    "subsample2d_backward",
    "subsample2d_forward",
]

Pair = int | tuple[int, int]


class _Windows(NamedTuple):
    """Where the windows lie; every pair is (vertical, horizontal)."""

    shape: tuple[int, int, int, int]  # of x
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    out: tuple[int, int]

    @property
    def padded(self) -> tuple[int, int]:
        return self.shape[2] + 2 * self.padding[0], self.shape[3] + 2 * self.padding[1]

    def places(self) -> Iterator[tuple]:
        """For each place in the window, row by row, the index of that place of all windows at once."""
        ends = [(n - 1) * s + 1 for n, s in zip(self.out, self.stride, strict=True)]
        for i in range(self.kernel[0]):
            rows = slice(i, i + ends[0], self.stride[0])
            for j in range(self.kernel[1]):
                yield ..., rows, slice(j, j + ends[1], self.stride[1])

    def disjoint(self) -> bool:
        """Whether no pixel lies in two windows."""
        return all(k <= s for k, s in zip(self.kernel, self.stride, strict=True))


# ---------------------------------------------------------------------------------------------------------- maximum


def max_pool2d_loops(x: np.ndarray, kernel: Pair, *, stride: Pair | None = None, padding: Pair = 0) -> np.ndarray:
    """The definition of max-pooling, as loops. Slow, to be read.

    ``out[n, c, p, q] = max over i, j of x[n, c, p·stride + i - padding, q·stride + j - padding]``, where places outside
    the image do not count. Arguments, result and errors are those of :func:`max_pool2d_forward`; there is no cache.
    """
    x, g = _checked(x, kernel, stride, padding)
    out = np.empty((*x.shape[:2], *g.out), x.dtype)
    for index in np.ndindex(*out.shape):
        rows, columns = _window(g, *index[2:])
        out[index] = x[index[0], index[1], rows, columns].max()
    return out


def max_pool2d_loops_backward(
    dout: np.ndarray, x: np.ndarray, kernel: Pair, *, stride: Pair | None = None, padding: Pair = 0
) -> np.ndarray:
    """The gradient of :func:`max_pool2d_loops`, by the same loops: all of it goes to the window's first largest pixel.

    Arguments, result and errors are those of :func:`max_pool2d_backward`, with the input in place of the cache.
    """
    x, g = _checked(x, kernel, stride, padding)
    dout = _checked_dout(dout, (*x.shape[:2], *g.out), x.dtype)
    dx = np.zeros_like(x)
    for index in np.ndindex(*dout.shape):
        rows, columns = _window(g, *index[2:])
        window = x[index[0], index[1], rows, columns]
        i, j = np.unravel_index(window.argmax(), window.shape)
        dx[index[0], index[1], rows.start + i, columns.start + j] += dout[index]
    return dx


def max_pool2d_forward(
    x: np.ndarray, kernel: Pair, *, stride: Pair | None = None, padding: Pair = 0
) -> tuple[np.ndarray, tuple]:
    """Forward pass of max-pooling: the largest value of each window.

    ``out[n, c, p, q] = max over i, j of x[n, c, p·stride + i - padding, q·stride + j - padding]``

    Parameters
    ----------
    x : (N, C, H, W), float; N may be 0.
    kernel : the window, int or (vertical, horizontal).
    stride : step between windows, int or pair; by default the kernel, so that the windows lie side by side.
    padding : places around the image, int or pair, at most half the kernel. They never win: they count as -∞.

    Returns
    -------
    out : (N, C, OH, OW) of ``x``'s dtype, with OH and OW as :func:`dlcourse.conv.output_size` gives them.
    cache : what :func:`max_pool2d_backward` needs. It refers to ``x``; do not change ``x`` in place before.

    Raises
    ------
    ValueError
        Shape, dtype or options do not fit; the message names the argument.

    Notes
    -----
    Where a window holds a NaN its output is NaN, and its gradient goes nowhere.

    Source: Dumoulin and Visin (2016), section 3.
    """
    x, g = _checked(x, kernel, stride, padding)
    x = _framed(x, g, -np.inf)
    first, *others = g.places()
    out = x[first].copy()
    for place in others:
        np.maximum(out, x[place], out=out)
    return out, (x, out, g)


def max_pool2d_backward(dout: np.ndarray, cache: tuple) -> np.ndarray:
    """Backward pass of :func:`max_pool2d_forward`: a window's gradient goes to the pixel that won, the others get none.

    Where several pixels of a window are largest, the first of them, row by row, gets all, as in torch.

    Parameters
    ----------
    dout : (N, C, OH, OW), the gradient of the loss with respect to ``out``, of its dtype.
    cache : from :func:`max_pool2d_forward`.

    Returns
    -------
    dx : (N, C, H, W)

    Raises
    ------
    ValueError
        ``dout`` does not have ``out``'s shape and dtype.
    """
    x, out, g = cache
    dout = _checked_dout(dout, (*g.shape[:2], *g.out), x.dtype)
    dx = np.zeros(x.shape, x.dtype)
    waiting = np.ones(dout.shape, bool)  # windows whose winner has not come yet
    for place in g.places():
        won = x[place] == out
        won &= waiting
        waiting ^= won
        if g.disjoint():
            np.multiply(dout, won, out=dx[place])
        else:
            dx[place] += dout * won
    return _unframed(dx, g)


# ---------------------------------------------------------------------------------------------------------- average


def avg_pool2d_forward(
    x: np.ndarray, kernel: Pair, *, stride: Pair | None = None, padding: Pair = 0, count_padding: bool = True
) -> tuple[np.ndarray, tuple]:
    """Forward pass of average pooling: the mean of each window.

    ``out[n, c, p, q] = Σ_i Σ_j x[n, c, p·stride + i - padding, ...] / (KH·KW)``; zeros outside the image.

    Parameters
    ----------
    x, kernel, stride, padding : as for :func:`max_pool2d_forward`.
    count_padding : divide by the window's size also where part of it lies outside; else by the places inside.

    Returns
    -------
    out : (N, C, OH, OW)
    cache : for :func:`avg_pool2d_backward`.

    Raises
    ------
    ValueError
        Shape, dtype or options do not fit.

    Source: LeCun et al. (1998), section II.B; Dumoulin and Visin (2016), section 3.
    """
    x, g = _checked(x, kernel, stride, padding)
    share = _shares(g, count_padding, x.dtype)
    padded = _framed(x, g, 0)
    out = np.zeros((*x.shape[:2], *g.out), x.dtype)
    for place in g.places():
        out += padded[place]
    out *= share
    return out, (x.dtype, share, g)


def avg_pool2d_backward(dout: np.ndarray, cache: tuple) -> np.ndarray:
    """Backward pass of :func:`avg_pool2d_forward`: each pixel of a window gets the same share of its gradient.

    Parameters
    ----------
    dout : (N, C, OH, OW), of ``out``'s dtype
    cache : from :func:`avg_pool2d_forward`

    Returns
    -------
    dx : (N, C, H, W)

    Raises
    ------
    ValueError
        ``dout`` does not have ``out``'s shape and dtype.
    """
    dtype, share, g = cache
    dout = _checked_dout(dout, (*g.shape[:2], *g.out), dtype) * share
    dx = np.zeros((*g.shape[:2], *g.padded), dtype)
    for place in g.places():
        if g.disjoint():
            dx[place] = dout
        else:
            dx[place] += dout
    return _unframed(dx, g)


def _shares(g: _Windows, count_padding: bool, dtype) -> np.ndarray:
    """One over the number of places that a window's mean counts: a number, or (OH, OW)."""
    if count_padding or g.padding == (0, 0):
        return np.asarray(1 / (g.kernel[0] * g.kernel[1]), dtype)
    inside = _framed(np.ones((1, 1, *g.shape[2:])), g, 0)
    return (1 / sum(inside[place] for place in g.places()))[0, 0].astype(dtype)


# ----------------------------------------------------------------------------------------------------------- global


def global_avg_pool_forward(x: np.ndarray) -> tuple[np.ndarray, tuple]:
    """The mean of each map: (N, C, H, W) -> (N, C), whatever H and W are.

    ``out[n, c] = Σ_p Σ_q x[n, c, p, q] / (H·W)``

    Raises
    ------
    ValueError
        ``x`` is not a float array of four axes, or its maps are empty.

    Source: Lin et al. (2013), section 3.2.
    """
    x = _maps(x)
    return x.mean(axis=(2, 3)), (x.shape, x.dtype)


def global_avg_pool_backward(dout: np.ndarray, cache: tuple) -> np.ndarray:
    """Backward pass of :func:`global_avg_pool_forward`: ``dx[n, c, p, q] = dout[n, c] / (H·W)``.

    Raises
    ------
    ValueError
        ``dout`` does not have ``out``'s shape (N, C) and dtype.
    """
    shape, dtype = cache
    dout = _checked_dout(dout, shape[:2], dtype)
    return np.broadcast_to((dout / dtype.type(shape[2] * shape[3]))[:, :, None, None], shape).copy()


def global_max_pool_forward(x: np.ndarray) -> tuple[np.ndarray, tuple]:
    """The largest value of each map: (N, C, H, W) -> (N, C). Is the pattern there, anywhere?

    Raises
    ------
    ValueError
        ``x`` is not a float array of four axes, or its maps are empty.
    """
    x = _maps(x)
    rows = x.reshape(*x.shape[:2], x.shape[2] * x.shape[3])
    winners = rows.argmax(axis=2)[:, :, None]
    return np.take_along_axis(rows, winners, axis=2)[:, :, 0], (x.shape, x.dtype, winners)


def global_max_pool_backward(dout: np.ndarray, cache: tuple) -> np.ndarray:
    """Backward pass of :func:`global_max_pool_forward`: all to the first largest value of each map.

    Raises
    ------
    ValueError
        ``dout`` does not have ``out``'s shape (N, C) and dtype.
    """
    shape, dtype, winners = cache
    dout = _checked_dout(dout, shape[:2], dtype)
    dx = np.zeros((*shape[:2], shape[2] * shape[3]), dtype)
    np.put_along_axis(dx, winners, dout[:, :, None], axis=2)
    return dx.reshape(shape)


# --------------------------------------------------------------------------------------------------------- adaptive


def bins(size: int, out: int) -> list[slice]:
    """``out`` windows that cover ``size`` places evenly: window p runs from ⌊p·size/out⌋ to ⌈(p+1)·size/out⌉.

    Neighbours overlap by one place where ``out`` does not divide ``size``. With more windows than places, places
    repeat. (The rule of torch's adaptive pooling.)

    Raises
    ------
    ValueError
        A number is not positive.
    """
    size, out = _whole("size", size, 1), _whole("out", out, 1)
    return [slice(p * size // out, -(-(p + 1) * size // out)) for p in range(out)]


def adaptive_avg_pool2d_forward(x: np.ndarray, out_size: Pair) -> tuple[np.ndarray, tuple]:
    """Average pooling to a given size: (N, C, H, W) -> (N, C, OH, OW), whatever H and W are.

    The windows are those of :func:`bins`. Size 1 is global average pooling.

    Raises
    ------
    ValueError
        ``x`` is not a float array of four axes, its maps are empty, or a size is not positive.
    """
    x = _maps(x)
    size = _pair("out_size", out_size, 1)
    rows, columns = (bins(n, m) for n, m in zip(x.shape[2:], size, strict=True))
    out = np.empty((*x.shape[:2], *size), x.dtype)
    for p, r in enumerate(rows):
        for q, c in enumerate(columns):
            out[:, :, p, q] = x[:, :, r, c].mean(axis=(2, 3))
    return out, (x.shape, x.dtype, rows, columns)


def adaptive_avg_pool2d_backward(dout: np.ndarray, cache: tuple) -> np.ndarray:
    """Backward pass of :func:`adaptive_avg_pool2d_forward`: equal shares within a window, sums where windows overlap.

    Raises
    ------
    ValueError
        ``dout`` does not have ``out``'s shape and dtype.
    """
    shape, dtype, rows, columns = cache
    dout = _checked_dout(dout, (*shape[:2], len(rows), len(columns)), dtype)
    dx = np.zeros(shape, dtype)
    for p, r in enumerate(rows):
        for q, c in enumerate(columns):
            count = (r.stop - r.start) * (c.stop - c.start)
            dx[:, :, r, c] += dout[:, :, p, q, None, None] / dtype.type(count)
    return dx


def adaptive_max_pool2d_forward(x: np.ndarray, out_size: Pair) -> tuple[np.ndarray, tuple]:
    """Max-pooling to a given size: the largest value of each window of :func:`bins`.

    Raises
    ------
    ValueError
        ``x`` is not a float array of four axes, its maps are empty, or a size is not positive.
    """
    x = _maps(x)
    size = _pair("out_size", out_size, 1)
    rows, columns = (bins(n, m) for n, m in zip(x.shape[2:], size, strict=True))
    out, caches = np.empty((*x.shape[:2], *size), x.dtype), {}
    for p, r in enumerate(rows):
        for q, c in enumerate(columns):
            out[:, :, p, q], caches[p, q] = global_max_pool_forward(x[:, :, r, c])
    return out, (x.shape, x.dtype, rows, columns, caches)


def adaptive_max_pool2d_backward(dout: np.ndarray, cache: tuple) -> np.ndarray:
    """Backward pass of :func:`adaptive_max_pool2d_forward`.

    Raises
    ------
    ValueError
        ``dout`` does not have ``out``'s shape and dtype.
    """
    shape, dtype, rows, columns, caches = cache
    dout = _checked_dout(dout, (*shape[:2], len(rows), len(columns)), dtype)
    dx = np.zeros(shape, dtype)
    for p, r in enumerate(rows):
        for q, c in enumerate(columns):
            dx[:, :, r, c] += global_max_pool_backward(dout[:, :, p, q], caches[p, q])
    return dx


# --------------------------------------------------------------------------------------------- strided, and learned


def strided_pool2d_forward(x: np.ndarray, stride: Pair) -> tuple[np.ndarray, tuple]:
    """Keep every S-th value, drop the rest: ``out[n, c, p, q] = x[n, c, p·S, q·S]``. What a strided convolution is to
    the same convolution with stride 1.

    Raises
    ------
    ValueError
        ``x`` is not a float array of four axes, its maps are empty, or ``stride`` is not positive.
    """
    x = _maps(x)
    down, right = _pair("stride", stride, 1)
    return x[:, :, ::down, ::right].copy(), (x.shape, x.dtype, (down, right))


def strided_pool2d_backward(dout: np.ndarray, cache: tuple) -> np.ndarray:
    """Backward pass of :func:`strided_pool2d_forward`: the kept values get their gradient, the dropped ones none.

    Raises
    ------
    ValueError
        ``dout`` does not have ``out``'s shape and dtype.
    """
    shape, dtype, (down, right) = cache
    dx = np.zeros(shape, dtype)
    kept = dx[:, :, ::down, ::right]
    kept[...] = _checked_dout(dout, kept.shape, dtype)
    return dx


def subsample2d_forward(x: np.ndarray, w: np.ndarray, b: np.ndarray, kernel: Pair = 2) -> tuple[np.ndarray, tuple]:
    """LeNet-5's pooling: add up a window, times one learned coefficient a map, plus one learned bias a map.

    ``out[n, c, p, q] = w[c] · Σ_i Σ_j x[n, c, p·KH + i, q·KW + j] + b[c]``

    Parameters
    ----------
    x : (N, C, H, W)
    w, b : (C,), of ``x``'s dtype
    kernel : the windows, side by side

    Returns
    -------
    out : (N, C, OH, OW)
    cache : for :func:`subsample2d_backward`.

    Raises
    ------
    ValueError
        Shapes or dtypes do not fit.

    Source: LeCun et al. (1998), section II.B, layer S2.
    """
    means, cache = avg_pool2d_forward(x, kernel)
    w, b = (_coefficients(name, a, means) for name, a in (("w", w), ("b", b)))
    sums = means * means.dtype.type(np.prod(_pair("kernel", kernel, 1)))
    return w[:, None, None] * sums + b[:, None, None], (sums, w, cache)


def subsample2d_backward(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Backward pass of :func:`subsample2d_forward`.

    Returns
    -------
    dx : (N, C, H, W)
    dw, db : (C,)

    Raises
    ------
    ValueError
        ``dout`` does not have ``out``'s shape and dtype.
    """
    sums, w, pooled = cache
    dout = _checked_dout(dout, sums.shape, sums.dtype)
    count = sums.dtype.type(np.prod(pooled[2].kernel))
    dx = avg_pool2d_backward(dout * (w * count)[:, None, None], pooled)
    return dx, (dout * sums).sum(axis=(0, 2, 3)), dout.sum(axis=(0, 2, 3))


def learned_pool2d_forward(x: np.ndarray, w: np.ndarray, stride: Pair | None = None) -> tuple[np.ndarray, tuple]:
    """Pooling whose weights are learned: one window of weights a map, which is a depthwise convolution with a stride.

    ``out[n, c, p, q] = Σ_i Σ_j w[c, i, j] x[n, c, p·stride + i, q·stride + j]``

    Parameters
    ----------
    x : (N, C, H, W)
    w : (C, KH, KW), of ``x``'s dtype. All entries 1 / (KH·KW): average pooling.
    stride : by default the kernel

    Returns
    -------
    out : (N, C, OH, OW)
    cache : for :func:`learned_pool2d_backward`.

    Raises
    ------
    ValueError
        Shapes, dtypes or ``stride`` do not fit.

    Source: Sun et al. (2017).
    """
    x, w = _maps(x), _float_array("w", w, "(C, KH, KW)", ndim=3)
    if len(w) != x.shape[1]:
        raise ValueError(f"w has {len(w)} windows, x has {x.shape[1]} channels; expected the same number")
    stride = w.shape[1:] if stride is None else stride
    return conv2d_forward(x, w[:, None], stride=stride, groups=len(w))


def learned_pool2d_backward(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray]:
    """Backward pass of :func:`learned_pool2d_forward`.

    Returns
    -------
    dx : (N, C, H, W)
    dw : (C, KH, KW)

    Raises
    ------
    ValueError
        ``dout`` does not have ``out``'s shape and dtype.
    """
    dx, dw, _ = conv2d_backward(dout, cache)
    return dx, dw[:, 0]


# ------------------------------------------------------------------------------------------------------- arithmetic


class ReceptiveField(NamedTuple):
    """Which inputs a unit sees, along one axis.

    Attributes
    ----------
    size : how many neighbouring inputs.
    jump : how far the fields of two neighbouring units are apart.
    start : the first input that unit 0 sees; negative where it lies in the padding. Unit p sees ``start + p·jump`` to
        ``start + p·jump + size - 1``.
    """

    size: int = 1
    jump: int = 1
    start: int = 0


def receptive_field(layers: Iterable[Sequence[int]]) -> ReceptiveField:
    """The receptive field of a unit after a stack of convolutions and poolings.

    A layer whose kernel reaches over ``dilation (kernel - 1) + 1`` units of the layer below adds that reach, less one,
    in steps of the jump so far: ``size += dilation (kernel - 1) · jump``, ``start -= padding · jump``, and then
    ``jump *= stride``.

    Parameters
    ----------
    layers : for each layer, from the input on, (kernel, stride, padding, dilation) along one axis; the last ones may be
        left out: stride 1, padding 0, dilation 1.

    Returns
    -------
    ReceptiveField

    Raises
    ------
    ValueError
        A layer has not one to four numbers, or one of them is out of range.

    Source: Araujo, Norris and Sim, "Computing receptive fields of convolutional neural networks", Distill (2019).
    """
    size, jump, start = ReceptiveField()
    for layer in layers:
        if not 1 <= len(layer) <= 4:
            raise ValueError(
                f"a layer is {layer!r}; expected (kernel, stride, padding, dilation), or the first of them"
            )
        kernel, stride, padding, dilation = (*layer, *(1, 1, 0, 1)[len(layer) :])
        size += _whole("dilation", dilation, 1) * (_whole("kernel", kernel, 1) - 1) * jump
        start -= _whole("padding", padding, 0) * jump
        jump *= _whole("stride", stride, 1)
    return ReceptiveField(size, jump, start)


# -------------------------------------------------------------------------------------------------------- household


def _checked(x, kernel, stride, padding) -> tuple[np.ndarray, _Windows]:
    x = _float_array("x", x, "(N, C, H, W)")
    kernel = _pair("kernel", kernel, 1)
    stride = kernel if stride is None else _pair("stride", stride, 1)
    padding = _pair("padding", padding, 0)
    if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
        raise ValueError(f"padding is {padding}; expected at most half of the kernel {kernel}")
    sizes = zip(x.shape[2:], kernel, stride, padding, strict=True)
    out = tuple(output_size(*arguments) for arguments in sizes)
    return x, _Windows(x.shape, kernel, stride, padding, out)


def _window(g: _Windows, p: int, q: int) -> tuple[slice, slice]:
    """The part of window (p, q) that lies inside the image."""
    starts = [i * s - pad for i, s, pad in zip((p, q), g.stride, g.padding, strict=True)]
    return tuple(
        slice(max(start, 0), min(start + k, n)) for start, k, n in zip(starts, g.kernel, g.shape[2:], strict=True)
    )


def _framed(x: np.ndarray, g: _Windows, value: float) -> np.ndarray:
    """``x`` with ``value`` around it; ``x`` itself where there is no padding."""
    if g.padding == (0, 0):
        return x
    framed = np.full((*x.shape[:2], *g.padded), value, x.dtype)
    _unframed(framed, g)[...] = x
    return framed


def _unframed(x: np.ndarray, g: _Windows) -> np.ndarray:
    (top, left), (H, W) = g.padding, g.shape[2:]
    return x[:, :, top : top + H, left : left + W]


def _maps(x: np.ndarray) -> np.ndarray:
    x = _float_array("x", x, "(N, C, H, W)")
    if 0 in x.shape[2:]:
        raise ValueError(f"x has shape {x.shape}; expected maps of at least one pixel")
    return x


def _coefficients(name: str, a: np.ndarray, x: np.ndarray) -> np.ndarray:
    a = _float_array(name, a, "(C,)", ndim=1)
    if a.shape != (x.shape[1],) or a.dtype != x.dtype:
        raise ValueError(f"{name} is {a.dtype} of shape {a.shape}; expected {x.dtype} of shape ({x.shape[1]},)")
    return a
