"""Convolution by hand: forward and backward passes in NumPy, from the definition to one matrix product an image.

    out, cache = conv2d_forward(x, w, b, stride=1, padding=1)      # x (N, C, H, W), w (K, C, KH, KW), b (K,)
    dx, dw, db = conv2d_backward(dout, cache)

What deep learning calls a convolution is a cross-correlation: the kernel is not flipped (``convolve2d`` flips it).
``conv2d_loops`` is the definition, written to be read; ``conv2d_forward`` computes the same numbers some hundred
times faster. Both take stride, padding and dilation as an int or a pair (vertical, horizontal), and groups, so that
``groups=C`` with ``w`` of shape (C, 1, KH, KW) is a depthwise convolution.

How the fast version works. Every output pixel looks at one window of the padded input. ``_windows`` lays all windows
out as a strided view, without a copy. Copied into a matrix, one window a column, they turn the convolution into a
matrix product. This is done image by image, since the columns of one image fit the processor's cache and those of a
batch do not; for the same reason the backward pass copies the columns again instead of keeping them.

References
----------
LeCun et al., "Backpropagation applied to handwritten zip code recognition", Neural Computation 1 (1989), 541-551.
Chellapilla, Puri and Simard, "High performance convolutional neural networks for document processing", IWFHR 2006
(convolution as a matrix product).
Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", arXiv:1603.07285 (2016).
"""

from __future__ import annotations

import operator
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

__all__ = [
    "col2im",
    "conv1d_backward",
    "conv1d_forward",
    "conv2d_backward",
    "conv2d_forward",
    "conv2d_loops",
    "conv2d_loops_backward",
    "conv2d_parameters",
    "convolve2d",
    "correlate2d",
    "im2col",
    "linear_parameters",
    "output_size",
]

Pair = int | tuple[int, int]


# ---------------------------------------------------------------------------------------------------- arithmetic


def output_size(size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """The number of places a kernel fits along one axis.

    ``floor((size + 2 padding - dilation (kernel - 1) - 1) / stride) + 1``; with ``dilation=1`` this is the familiar
    ``(W - F + 2P) / S + 1``, rounded down (Dumoulin and Visin 2016, relationship 6 and, dilated, 15).

    Parameters
    ----------
    size : the input's length along the axis.
    kernel : the kernel's length along the axis.
    stride : step between neighbouring windows.
    padding : zeros added at each end.
    dilation : distance between neighbouring kernel taps on the input.

    Returns
    -------
    The output's length along the axis, at least 1.

    Raises
    ------
    ValueError
        An argument is out of range, or the kernel is longer than the padded input.
    """
    size, kernel = _whole("size", size, 1), _whole("kernel", kernel, 1)
    stride, padding = _whole("stride", stride, 1), _whole("padding", padding, 0)
    dilation = _whole("dilation", dilation, 1)
    reach = dilation * (kernel - 1) + 1
    if reach > size + 2 * padding:
        raise ValueError(f"kernel reaches over {reach} pixels, the padded input has {size + 2 * padding}")
    return (size + 2 * padding - reach) // stride + 1


def conv2d_parameters(in_channels: int, out_channels: int, kernel: Pair, *, groups: int = 1, bias: bool = True) -> int:
    """The number of parameters of a convolutional layer: ``KH KW (C / groups) K`` weights and ``K`` biases.

    With a square kernel of size F, depth D and K filters this is ``F·F·D·K + K``. The image's size does not occur.

    Raises
    ------
    ValueError
        A count is not positive, or ``groups`` does not divide both channel counts.
    """
    C, K = _whole("in_channels", in_channels, 1), _whole("out_channels", out_channels, 1)
    KH, KW = _pair("kernel", kernel, 1)
    groups = _whole("groups", groups, 1)
    if C % groups or K % groups:
        raise ValueError(f"groups is {groups}, which does not divide in_channels={C} and out_channels={K}")
    return KH * KW * (C // groups) * K + (K if bias else 0)


def linear_parameters(in_features: int, out_features: int, *, bias: bool = True) -> int:
    """The number of parameters of a fully connected layer: ``in_features · out_features`` weights and as many
    biases as outputs.

    Raises
    ------
    ValueError
        A count is not positive.
    """
    D, M = _whole("in_features", in_features, 1), _whole("out_features", out_features, 1)
    return D * M + (M if bias else 0)


# -------------------------------------------------------------------------------------------------- the definition


def conv2d_loops(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray | None = None,
    *,
    stride: Pair = 1,
    padding: Pair = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> np.ndarray:
    """The definition of a convolutional layer, as six loops and a dot product over channels. Slow, to be read.

    ``out[n, k, p, q] = b[k] + Σ_i Σ_j Σ_c x[n, c, p·stride + i·dilation - padding, q·stride + ...] w[k, c, i, j]``,
    where pixels outside the image count as zero, and ``c`` runs over the channels of filter ``k``'s group.

    Arguments, result and errors are those of :func:`conv2d_forward`; there is no cache.
    """
    x, w, b, g = _checked(x, w, b, stride, padding, dilation, groups)
    N, H, W, K, Cg = len(x), *g.size, len(w), w.shape[1]
    out = np.zeros((N, K, *g.out), x.dtype)
    for n in range(N):
        for k in range(K):
            group = slice(k // (K // groups) * Cg, (k // (K // groups) + 1) * Cg)
            for p in range(g.out[0]):
                for q in range(g.out[1]):
                    for i in range(g.kernel[0]):
                        for j in range(g.kernel[1]):
                            row = p * g.stride[0] + i * g.dilation[0] - g.padding[0]
                            col = q * g.stride[1] + j * g.dilation[1] - g.padding[1]
                            if 0 <= row < H and 0 <= col < W:
                                out[n, k, p, q] += x[n, group, row, col] @ w[k, :, i, j]
                    out[n, k, p, q] += 0 if b is None else b[k]
    return out


def conv2d_loops_backward(
    dout: np.ndarray,
    x: np.ndarray,
    w: np.ndarray,
    *,
    stride: Pair = 1,
    padding: Pair = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The gradients of :func:`conv2d_loops`, by the same six loops: each product ``x · w`` that went into an output
    sends ``dout · w`` back to its pixel and ``dout · x`` back to its weight.

    Arguments, results and errors are those of :func:`conv2d_backward`, with the inputs in place of the cache.
    """
    x, w, _, g = _checked(x, w, None, stride, padding, dilation, groups)
    N, H, W, K, Cg = len(x), *g.size, len(w), w.shape[1]
    dout = _checked_dout(dout, (N, K, *g.out), x.dtype)
    dx, dw, db = np.zeros_like(x), np.zeros_like(w), np.zeros(K, x.dtype)
    for n in range(N):
        for k in range(K):
            group = slice(k // (K // groups) * Cg, (k // (K // groups) + 1) * Cg)
            for p in range(g.out[0]):
                for q in range(g.out[1]):
                    db[k] += dout[n, k, p, q]
                    for i in range(g.kernel[0]):
                        for j in range(g.kernel[1]):
                            row = p * g.stride[0] + i * g.dilation[0] - g.padding[0]
                            col = q * g.stride[1] + j * g.dilation[1] - g.padding[1]
                            if 0 <= row < H and 0 <= col < W:
                                dx[n, group, row, col] += dout[n, k, p, q] * w[k, :, i, j]
                                dw[k, :, i, j] += dout[n, k, p, q] * x[n, group, row, col]
    return dx, dw, db


# ----------------------------------------------------------------------------------------- forward and backward, fast


def conv2d_forward(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray | None = None,
    *,
    stride: Pair = 1,
    padding: Pair = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> tuple[np.ndarray, tuple]:
    """Forward pass of a 2-D convolutional layer (cross-correlation), as one matrix product an image.

    ``out[n, k, p, q] = b[k] + Σ_c Σ_i Σ_j w[k, c, i, j] x[n, c, p·stride + i·dilation - padding, q·stride + ...]``

    Parameters
    ----------
    x : (N, C, H, W), the images; N may be 0.
    w : (K, C / groups, KH, KW), the filters; of ``x``'s float dtype.
    b : (K,), one bias a filter, or None.
    stride, padding, dilation : int, or (vertical, horizontal). Padding is with zeros, on both sides.
    groups : filters and channels are split into this many groups; filters see only their own group's channels.

    Returns
    -------
    out : (N, K, OH, OW) of ``x``'s dtype, with OH and OW as :func:`output_size` gives them.
    cache : what :func:`conv2d_backward` needs. It refers to ``w``; do not change ``w`` in place before.

    Raises
    ------
    ValueError
        Shapes, dtypes or options do not fit; the message names the argument.

    Source: LeCun et al. (1989); as a matrix product, Chellapilla et al. (2006).
    """
    x, w, b, g = _checked(x, w, b, stride, padding, dilation, groups)
    N, K, (OH, OW) = len(x), len(w), g.out
    windows = _windows(_padded(x, g), g)  # (N, C, KH, KW, OH, row): a view
    w_rows = w.reshape(groups, K // groups, -1)  # (G, K/G, C/G·KH·KW): one filter a row
    cols = np.empty(windows.shape[1:], x.dtype)
    cols_matrix = cols.reshape(groups, -1, OH * g.row)  # (G, C/G·KH·KW, OH·row): one window a column
    bias = np.zeros((K, 1, 1), x.dtype) if b is None else b[:, None, None]
    out = np.empty((N, K, OH, OW), x.dtype)
    for n in range(N):
        cols[...] = windows[n]
        rows = (w_rows @ cols_matrix).reshape(K, OH, g.row)
        np.add(rows[:, :, :OW], bias, out=out[n])
    return out, (windows, w, x.shape, g, groups)


def conv2d_backward(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Backward pass of :func:`conv2d_forward`.

    With ``out = W·cols + b`` for each image: ``dWᵀ = cols·doutᵀ``, ``dcols = Wᵀ·dout``, ``db = Σ dout``; and ``dx``
    adds every entry of ``dcols`` onto the pixel that it was copied from.

    Parameters
    ----------
    dout : (N, K, OH, OW), the gradient of the loss with respect to ``out``, of its dtype.
    cache : from :func:`conv2d_forward`.

    Returns
    -------
    dx : (N, C, H, W)
    dw : (K, C / groups, KH, KW)
    db : (K,)

    Raises
    ------
    ValueError
        ``dout`` does not have ``out``'s shape and dtype.

    Notes
    -----
    Where ``x`` holds an infinity or a NaN, more entries of ``dw`` than need be may become NaN.

    Source: LeCun et al. (1989); Dumoulin and Visin (2016), section 4, for ``dx`` as a transposed convolution.
    """
    windows, w, x_shape, g, groups = cache
    N, K, (OH, OW) = x_shape[0], len(w), g.out
    dout = _checked_dout(dout, (N, K, OH, OW), w.dtype)
    w_cols = w.reshape(groups, K // groups, -1).transpose(0, 2, 1)  # (G, C/G·KH·KW, K/G)
    cols = np.empty(windows.shape[1:], w.dtype)
    cols_matrix = cols.reshape(groups, -1, OH * g.row)  # (G, C/G·KH·KW, OH·row)
    dcols, dcols_matrix = _columns(x_shape[1], groups, g, w.dtype)
    d = np.zeros((K, OH, g.row), w.dtype)  # one image's dout; zero where the window is none
    d_rows = d.reshape(groups, K // groups, OH * g.row)
    dx = np.zeros((N, x_shape[1], *g.padded), w.dtype)
    dw = np.zeros(w_cols.shape, w.dtype)
    db = np.zeros(K, w.dtype)
    for n in range(N):
        d[:, :, :OW] = dout[n]
        cols[...] = windows[n]
        db += d.sum(axis=(1, 2))
        dw += cols_matrix @ d_rows.transpose(0, 2, 1)
        np.matmul(w_cols, d_rows, out=dcols_matrix)
        _sum_columns(dcols, dx[n], g)
    return _unpadded(dx, g), dw.transpose(0, 2, 1).reshape(w.shape), db


def im2col(x: np.ndarray, kernel: Pair, *, stride: Pair = 1, padding: Pair = 0, dilation: Pair = 1) -> np.ndarray:
    """Every window of ``x`` as a column: a convolution becomes ``w.reshape(K, -1) @ im2col(x, ...)``.

    Parameters
    ----------
    x : (N, C, H, W), float.
    kernel, stride, padding, dilation : int, or (vertical, horizontal).

    Returns
    -------
    cols : (N, C·KH·KW, OH·OW), as ``torch.nn.functional.unfold`` orders them.
        At stride 1 it is about KH·KW times larger than ``x``.

    Raises
    ------
    ValueError
        ``x`` is not a float array of four axes, or the kernel does not fit.

    Source: Chellapilla et al. (2006).
    """
    x = _float_array("x", x, "(N, C, H, W)")
    g = _geometry(x.shape[2:], kernel, stride, padding, dilation, whole_rows=False)
    return _windows(_padded(x, g), g).reshape(len(x), x.shape[1] * g.kernel[0] * g.kernel[1], g.out[0] * g.out[1])


def col2im(
    cols: np.ndarray, shape: tuple[int, ...], kernel: Pair, *, stride: Pair = 1, padding: Pair = 0, dilation: Pair = 1
) -> np.ndarray:
    """Add every column back onto the pixels it came from: the transpose of :func:`im2col`, so its backward pass.

    Parameters
    ----------
    cols : (N, C·KH·KW, OH·OW)
    shape : (N, C, H, W), the images' shape.
    kernel, stride, padding, dilation : as given to :func:`im2col`.

    Returns
    -------
    x : of the given shape; a pixel that lies in five windows is the sum of five entries.

    Raises
    ------
    ValueError
        ``cols`` does not have the shape that :func:`im2col` gives for these arguments.
    """
    if len(shape) != 4:
        raise ValueError(f"shape is {shape}, expected four numbers (N, C, H, W)")
    cols = _float_array("cols", cols, "(N, C·KH·KW, OH·OW)", ndim=3)
    g = _geometry(tuple(shape[2:]), kernel, stride, padding, dilation, whole_rows=False)
    expected = (shape[0], shape[1] * g.kernel[0] * g.kernel[1], g.out[0] * g.out[1])
    if cols.shape != expected:
        raise ValueError(f"cols has shape {cols.shape}, expected {expected}")
    x = np.zeros((*shape[:2], *g.padded), cols.dtype)
    for n in range(len(x)):
        _sum_columns(cols[n].reshape(shape[1], *g.kernel, -1), x[n], g)
    return _unpadded(x, g)


# -------------------------------------------------------------------------------------------- one and two dimensions


def conv1d_forward(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray | None = None,
    *,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    groups: int = 1,
) -> tuple[np.ndarray, tuple]:
    """Forward pass of a 1-D convolutional layer: a 2-D one on images that are one pixel high.

    ``out[n, k, t] = b[k] + Σ_c Σ_i w[k, c, i] x[n, c, t·stride + i·dilation - padding]``

    Parameters
    ----------
    x : (N, C, T)
    w : (K, C / groups, F)
    b : (K,) or None
    stride, padding, dilation, groups : int

    Returns
    -------
    out : (N, K, OT), with OT from :func:`output_size`.
    cache : for :func:`conv1d_backward`.

    Raises
    ------
    ValueError
        As :func:`conv2d_forward`.
    """
    x, w = _float_array("x", x, "(N, C, T)", ndim=3), _float_array("w", w, "(K, C/groups, F)", ndim=3)
    stride, padding = _whole("stride", stride, 1), _whole("padding", padding, 0)
    dilation = _whole("dilation", dilation, 1)
    out, cache = conv2d_forward(
        x[:, :, None, :],
        w[:, :, None, :],
        b,
        stride=(1, stride),
        padding=(0, padding),
        dilation=(1, dilation),
        groups=groups,
    )
    return out[:, :, 0, :], cache


def conv1d_backward(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Backward pass of :func:`conv1d_forward`.

    Parameters
    ----------
    dout : (N, K, OT)
    cache : from :func:`conv1d_forward`.

    Returns
    -------
    dx : (N, C, T)
    dw : (K, C / groups, F)
    db : (K,)

    Raises
    ------
    ValueError
        ``dout`` does not have ``out``'s shape and dtype.
    """
    dout = _float_array("dout", dout, "(N, K, OT)", ndim=3)
    dx, dw, db = conv2d_backward(dout[:, :, None, :], cache)
    return dx[:, :, 0, :], dw[:, :, 0, :], db


def correlate2d(image: np.ndarray, kernel: np.ndarray, *, padding: Pair = 0) -> np.ndarray:
    """Slide ``kernel`` over ``image``: ``out[p, q] = Σ_i Σ_j image[p + i, q + j] kernel[i, j]``.

    Parameters
    ----------
    image : (H, W), float.
    kernel : (KH, KW), of the same dtype.
    padding : zeros around the image, an int or (vertical, horizontal).

    Returns
    -------
    out : (H + 2 padding - KH + 1, W + 2 padding - KW + 1)

    Raises
    ------
    ValueError
        An argument is not a float matrix, or the kernel is larger than the padded image.
    """
    image = _float_array("image", image, "(H, W)", ndim=2)
    kernel = _float_array("kernel", kernel, "(KH, KW)", ndim=2)
    if image.dtype != kernel.dtype:
        raise ValueError(f"kernel has dtype {kernel.dtype}, image has {image.dtype}; expected the same")
    out, _ = conv2d_forward(image[None, None], kernel[None, None], padding=padding)
    return out[0, 0]


def convolve2d(image: np.ndarray, kernel: np.ndarray, *, padding: Pair = 0) -> np.ndarray:
    """The convolution of mathematics: :func:`correlate2d` with the kernel turned by 180 degrees.

    ``out[p, q] = Σ_i Σ_j image[p + i, q + j] kernel[KH - 1 - i, KW - 1 - j]``. Only this one is commutative and
    associative: blurring twice with ``k`` is blurring once with ``convolve2d(k, k, padding=...)``.

    Parameters, result and errors are those of :func:`correlate2d`.
    """
    kernel = _float_array("kernel", kernel, "(KH, KW)", ndim=2)
    return correlate2d(image, kernel[::-1, ::-1], padding=padding)


# ------------------------------------------------------------------------------------------------------ household


class _Geometry(NamedTuple):
    """Where the windows lie; every pair is (vertical, horizontal)."""

    size: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    out: tuple[int, int]
    padded: tuple[int, int]  # the padded image, with the spare row below it that whole rows need
    row: int  # windows laid out for a row of the output: OW, or more
    margin: int  # with whole rows, how far the last tap of a window lies behind the first, in pixels; else 0


def _geometry(size, kernel, stride, padding, dilation, *, whole_rows: bool = True) -> _Geometry:
    kernel, stride = _pair("kernel", kernel, 1), _pair("stride", stride, 1)
    padding, dilation = _pair("padding", padding, 0), _pair("dilation", dilation, 1)
    out = []
    for a, axis in enumerate(("high", "wide")):
        reach, room = dilation[a] * (kernel[a] - 1) + 1, size[a] + 2 * padding[a]
        if reach > room:
            raise ValueError(f"the kernel is {reach} pixels {axis}, the padded input only {room}")
        out.append((room - reach) // stride[a] + 1)
    high, wide = size[0] + 2 * padding[0], size[1] + 2 * padding[1]
    # With stride 1, start a window at every pixel of a padded row. The last few wrap into the next row and mean
    # nothing, but all windows of an image are then one run of memory, which NumPy copies and adds much faster.
    # (Not where more than half of them would mean nothing: a large kernel on a small image.)
    if whole_rows and stride == (1, 1) and wide <= 2 * out[1]:
        margin = (kernel[0] - 1) * dilation[0] * wide + (kernel[1] - 1) * dilation[1]
        return _Geometry(size, kernel, stride, padding, dilation, tuple(out), (high + 1, wide), wide, margin)
    return _Geometry(size, kernel, stride, padding, dilation, tuple(out), (high, wide), out[1], 0)


def _padded(x: np.ndarray, g: _Geometry) -> np.ndarray:
    """A copy of ``x`` (N, C, H, W) with zeros around it."""
    padded = np.zeros((*x.shape[:2], *g.padded), x.dtype)
    _unpadded(padded, g)[...] = x
    return padded


def _unpadded(x: np.ndarray, g: _Geometry) -> np.ndarray:
    """The view of padded ``x`` without its padding."""
    (top, left), (H, W) = g.padding, g.size
    return x[:, :, top : top + H, left : left + W]


def _windows(x: np.ndarray, g: _Geometry) -> np.ndarray:
    """The view (..., C, KH, KW, OH, row) of padded ``x`` (..., C, H, W) whose [c, i, j, p, q] is the pixel under tap
    (i, j) of window (p, q): ``x[c, p·stride + i·dilation, q·stride + j·dilation]``. Nothing is copied."""
    *outer, down, right = x.strides
    taps = (g.dilation[0] * down, g.dilation[1] * right)
    steps = (g.stride[0] * down, g.stride[1] * right)
    return as_strided(x, (*x.shape[:-2], *g.kernel, g.out[0], g.row), (*outer, *taps, *steps))


def _columns(channels: int, groups: int, g: _Geometry, dtype) -> tuple[np.ndarray, np.ndarray]:
    """Room for the gradient of one image's columns: (C, KH, KW, margin + OH·row) with a margin of zeros, and the same
    memory without the margin as the matrices (G, C/G·KH·KW, OH·row) that a product can be written to."""
    cols = np.zeros((channels, *g.kernel, g.margin + g.out[0] * g.row), dtype)
    return cols, cols.reshape(groups, -1, cols.shape[-1])[:, :, g.margin :]


def _sum_columns(cols: np.ndarray, x: np.ndarray, g: _Geometry) -> None:
    """Set padded ``x`` (C, H, W), all zeros so far, to the sums of one image's columns (C, KH, KW, margin + OH·row)
    over the pixels that they were copied from."""
    if g.margin:
        # Whole rows: tap (i, j) of window t is pixel t + shift(i, j) of the flat image. So shift each row of the
        # columns by that much, which moves zeros in from the margin, and add the rows up: one sum over a view.
        *outer, down, right, step = cols.strides
        strides = (*outer, down - g.dilation[0] * g.row * step, right - g.dilation[1] * step, step)
        shifted = as_strided(cols.reshape(-1)[g.margin :], cols.shape, strides)
        np.sum(shifted, axis=(1, 2), out=x.reshape(len(x), -1)[:, : cols.shape[-1]])
        return
    # Windows overlap, so one += over all would lose sums; but under any one tap the pixels of all windows differ.
    windows = _windows(x, g)
    for i, j in np.ndindex(*g.kernel):
        windows[:, i, j] += cols[:, i, j].reshape(windows[:, i, j].shape)


def _checked(x, w, b, stride, padding, dilation, groups):
    """Arguments as arrays, and their geometry; ValueError where they do not fit."""
    x = _float_array("x", x, "(N, C, H, W)")
    w = _float_array("w", w, "(K, C/groups, KH, KW)")
    groups = _whole("groups", groups, 1)
    if 0 in w.shape:
        raise ValueError(f"w has shape {w.shape}, expected no empty axis")
    if x.shape[1] != w.shape[1] * groups:
        of = f" ({w.shape[1]} in each of {groups} groups)" if groups > 1 else ""
        raise ValueError(f"x has {x.shape[1]} channels, w expects {w.shape[1] * groups}{of}")
    if len(w) % groups:
        raise ValueError(f"groups is {groups}, which does not divide w's {len(w)} filters")
    if w.dtype != x.dtype:
        raise ValueError(f"w has dtype {w.dtype}, x has {x.dtype}; expected the same")
    if b is not None:
        b = _float_array("b", b, "(K,)", ndim=1)
        if b.shape != (len(w),):
            raise ValueError(f"b has shape {b.shape}, expected ({len(w)},): one bias for each filter of w")
        if b.dtype != x.dtype:
            raise ValueError(f"b has dtype {b.dtype}, x has {x.dtype}; expected the same")
    return x, w, b, _geometry(x.shape[2:], w.shape[2:], stride, padding, dilation)


def _checked_dout(dout, shape, dtype) -> np.ndarray:
    dout = np.asarray(dout)
    if dout.shape != shape:
        raise ValueError(f"dout has shape {dout.shape}, expected out's shape {shape}")
    if dout.dtype != dtype:
        raise ValueError(f"dout has dtype {dout.dtype}, expected out's dtype {dtype}")
    return dout


def _float_array(name: str, value, axes: str, *, ndim: int = 4) -> np.ndarray:
    array = np.asarray(value)
    if array.ndim != ndim:
        raise ValueError(f"{name} has shape {array.shape}, expected {ndim} axes {axes}")
    if array.dtype.kind != "f":
        raise ValueError(f"{name} has dtype {array.dtype}, expected a float dtype")
    return array


def _whole(name: str, value, least: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise ValueError(f"{name} is {value!r}, expected a whole number") from None
    if number < least:
        raise ValueError(f"{name} is {number}, expected at least {least}")
    return number


def _pair(name: str, value, least: int) -> tuple[int, int]:
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise ValueError(f"{name} is {value!r}, expected a whole number or a pair of them")
        return _whole(name, value[0], least), _whole(name, value[1], least)
    number = _whole(name, value, least)
    return number, number
