"""Chapter 11: residual blocks by hand, skips that concatenate, and a deep network made of them.

    out, cache = block_forward(x, w1, b1, w2, b2, alpha)          # x + α · (relu(x w1 + b1) w2 + b2)
    dx, dw1, db1, dw2, db2, dalpha = block_backward(dout, cache)
    path_contributions(x, weights)                                # of all 2ⁿ ways through n blocks, by length
    model = ResidualMLP((64, 32, 10), depth=20)                   # trains with train.fit

``skip=False`` leaves the x out, which gives the plain network of the same parameters. The convolutional networks of the
chapter are in :mod:`dlcourse.resnet` and :mod:`dlcourse.unet`.

Source: He, Zhang, Ren and Sun, Identity mappings in deep residual networks, ECCV (2016), arXiv:1603.05027; Veit, Wilber
and Belongie, NIPS (2016), arXiv:1605.06431; Touvron et al., ICCV (2021), arXiv:2103.17239; Balduzzi et al., The
shattered gradients problem, ICML (2017), arXiv:1702.08591. Each function names its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dlcourse.activations import relu_backward, relu_forward
from dlcourse.arrays import as_float, as_gradient
from dlcourse.losses import softmax_cross_entropy_backward, softmax_cross_entropy_forward
from dlcourse.mlp import linear_backward, linear_forward

# ----------------------------------------------------------------------------------------------------- a residual block


class BlockCache(NamedTuple):
    """What :func:`block_backward` needs."""

    first: tuple
    relu: np.ndarray
    second: tuple
    f: np.ndarray
    alpha: np.ndarray
    skip: bool


def block_forward(
    x: np.ndarray, w1: np.ndarray, b1: np.ndarray, w2: np.ndarray, b2: np.ndarray, alpha: np.ndarray, *,
    skip: bool = True,
) -> tuple[np.ndarray, BlockCache]:  # fmt: skip
    """A residual block: ``out = x + α · F(x)`` with ``F(x) = relu(x w1 + b1) w2 + b2``.

    Nothing stands behind the addition, so that x goes through any number of blocks unchanged (the "pre-activation" form
    without its norm). α has one factor a feature; LayerScale starts it small.

    Parameters
    ----------
    x : (N, D) float array
    w1, b1 : (D, M), (M,)
    w2, b2 : (M, D), (D,)
    alpha : (D,)
    skip : False leaves x out: ``out = α · F(x)``

    Returns
    -------
    out : (N, D), of ``x``'s dtype
    cache : for :func:`block_backward`

    Raises
    ------
    ValueError
        A dtype is not a float, or a shape does not fit its neighbour's.

    Source: He et al., Identity mappings (2016), equation 1; Touvron et al. (2021), equation 8.
    """
    x, alpha = as_float(x, "x"), as_float(alpha, "alpha")
    if x.ndim != 2:
        raise ValueError(f"x has shape {x.shape}; expected (N, D)")
    if np.shape(w2)[1:] != x.shape[1:]:
        raise ValueError(f"w2 has shape {np.shape(w2)}; expected (M, {x.shape[1]}), so that x can be added")
    if alpha.shape != x.shape[1:]:
        raise ValueError(f"alpha has shape {alpha.shape}; x has {x.shape[1]} features")
    h, first = linear_forward(x, w1, b1)
    h, relu = relu_forward(h)
    f, second = linear_forward(h, w2, b2)
    out = x + alpha * f if skip else alpha * f
    return out, BlockCache(first, relu, second, f, alpha, skip)


def block_backward(dout: np.ndarray, cache: BlockCache) -> tuple[np.ndarray, ...]:
    """The gradients of a residual block: ``∂L/∂x = dout + F'(x)ᵀ (α · dout)``; the first term is the skip's.

    Parameters
    ----------
    dout : (N, D), the gradient with respect to ``out``
    cache : from :func:`block_forward`

    Returns
    -------
    dx, dw1, db1, dw2, db2, dalpha : in the shapes of what they belong to

    Raises
    ------
    ValueError
        ``dout`` has another shape than ``out``.

    Source: He et al., Identity mappings (2016), equation 5.
    """
    dout = as_gradient(dout, cache.f.shape)
    dh, dw2, db2 = linear_backward(cache.alpha * dout, cache.second)
    dx, dw1, db1 = linear_backward(relu_backward(dh, cache.relu), cache.first)
    dalpha = (dout * cache.f).sum(axis=0)
    return dx + dout if cache.skip else dx, dw1, db1, dw2, db2, dalpha


# ---------------------------------------------------------------------------------------- skips that concatenate, U-Net


def concat_forward(parts: Sequence[np.ndarray]) -> tuple[np.ndarray, list[int]]:
    """Parts (N, C1, ...), (N, C2, ...), ... side by side along the channels, axis 1: ``out = [x1, x2, ...]``.

    Returns
    -------
    out : (N, C1 + C2 + ..., ...)
    cache : for :func:`concat_backward`

    Raises
    ------
    ValueError
        There is no part, or one differs from the first in more than its channels.

    Source: Huang et al., Densely connected convolutional networks (2017), equation 2.
    """
    parts = [as_float(p, "parts") for p in parts]
    if not parts or parts[0].ndim < 2:
        raise ValueError(f"parts has shapes {[p.shape for p in parts]}; expected arrays (N, C, ...)")
    first = parts[0]
    for p in parts[1:]:
        if p.ndim != first.ndim or (p.shape[0], *p.shape[2:]) != (first.shape[0], *first.shape[2:]):
            raise ValueError(f"parts has shapes {[p.shape for p in parts]}; they may differ in axis 1 only")
    return np.concatenate(parts, axis=1), [p.shape[1] for p in parts]


def concat_backward(dout: np.ndarray, cache: list[int]) -> list[np.ndarray]:
    """Each part's piece of ``dout``: nothing is added and nothing is lost.

    Raises
    ------
    ValueError
        ``dout`` has another number of channels than the parts together.

    Source: the transpose of the concatenation.
    """
    dout = np.asarray(dout)
    if dout.ndim < 2 or dout.shape[1] != sum(cache):
        raise ValueError(f"dout has shape {dout.shape}; expected (N, {sum(cache)}, ...)")
    return np.split(dout, np.cumsum(cache)[:-1], axis=1)


def upsample_forward(x: np.ndarray, scale: int = 2) -> tuple[np.ndarray, int]:
    """Every pixel becomes a square of ``scale`` × ``scale`` equal pixels (nearest neighbour).

    ``out[n, c, i, j] = x[n, c, i // scale, j // scale]``

    Parameters
    ----------
    x : (N, C, H, W) float array

    Returns
    -------
    out : (N, C, scale · H, scale · W)
    cache : for :func:`upsample_backward`

    Raises
    ------
    ValueError
        ``x`` has other axes, its dtype is not a float, or ``scale`` is no whole number of at least 1.

    Source: torch.nn.functional.interpolate, mode "nearest".
    """
    x = as_float(x, "x")
    if x.ndim != 4:
        raise ValueError(f"x has shape {x.shape}; expected (N, C, H, W)")
    if scale != int(scale) or scale < 1:
        raise ValueError(f"scale is {scale}; expected a whole number, at least 1")
    return x.repeat(scale, axis=2).repeat(scale, axis=3), int(scale)


def upsample_backward(dout: np.ndarray, cache: int) -> np.ndarray:
    """Adds up the gradients of each square: ``dx[n, c, i, j] = Σ dout[n, c, i · s + p, j · s + q]``.

    Raises
    ------
    ValueError
        ``dout`` is not (N, C, H, W) with H and W multiples of the scale.

    Source: the transpose of :func:`upsample_forward`.
    """
    dout, s = np.asarray(dout), cache
    if dout.ndim != 4 or dout.shape[2] % s or dout.shape[3] % s:
        raise ValueError(f"dout has shape {dout.shape}; expected (N, C, H, W) with H and W multiples of {s}")
    N, C, H, W = dout.shape
    return dout.reshape(N, C, H // s, s, W // s, s).sum(axis=(3, 5))


# ---------------------------------------------------------------------------------------------------- the ensemble view


def path_contributions(x: np.ndarray, weights: Sequence[np.ndarray]) -> np.ndarray:
    """What the ways of each length through linear residual blocks ``x + x w`` contribute to the output.

    n blocks multiply out to 2ⁿ ways, each taking a block or passing it by:
    ``x (I + w1)(I + w2)... = x + Σ_i x w_i + Σ_{i<j} x w_i w_j + ...``. Ways of equal length are added up here, block
    by block, so that n steps do for 2ⁿ ways.

    Parameters
    ----------
    x : (N, D)
    weights : n matrices (D, D)

    Returns
    -------
    (n + 1, N, D) : entry k is the sum over the ways through k blocks; all entries together are the network's output

    Raises
    ------
    ValueError
        A shape does not fit.

    Source: Veit et al. (2016), section 3, equation 6 and figure 1.
    """
    x = as_float(x, "x")
    if x.ndim != 2:
        raise ValueError(f"x has shape {x.shape}; expected (N, D)")
    D = x.shape[1]
    sums = np.zeros((len(weights) + 1, *x.shape), x.dtype)
    sums[0] = x
    for i, w in enumerate(weights):
        if np.shape(w) != (D, D):
            raise ValueError(f"weights[{i}] has shape {np.shape(w)}; expected {(D, D)}")
        sums[1:] = sums[1:] + sums[:-1] @ w
    return sums


# ------------------------------------------------------------------------------------------------------- a deep network


class ResidualMLP:
    """Linear, then ``depth`` residual blocks, then linear. The plain network of the same parameters with skips=False.

    Parameters
    ----------
    sizes : inputs, width, classes
    depth : how many blocks; each has two layers
    skips : whether the blocks add their input
    alpha : where the blocks' factors start; they are trained
    seed : of the weights (Kaiming: the block's first layer with gain √2, its second with gain 1)
    dtype : of the parameters; inputs are converted to it

    Attributes
    ----------
    parameters : the arrays that are trained, in place; ``train.fit`` and ``optim`` take it from here

    Raises
    ------
    ValueError
        A size or the depth is too small.

    Source: He et al., Identity mappings (2016), section 2; its blocks are convolutional.
    """

    def __init__(
        self, sizes: tuple[int, int, int], *, depth: int, skips: bool = True, alpha: float = 1.0, seed: int = 0,
        dtype=np.float64,
    ):  # fmt: skip
        if len(sizes) != 3 or min(sizes) < 1:
            raise ValueError(f"sizes is {sizes!r}; expected inputs, width and classes, each at least 1")
        if depth < 0:
            raise ValueError(f"depth is {depth}; expected at least 0 blocks")
        rng = np.random.default_rng(seed)
        inputs, D, classes = sizes
        self.skips, self.dtype = skips, np.dtype(dtype)

        def layer(fan_in, fan_out, gain):
            w = gain / math.sqrt(fan_in) * rng.standard_normal((fan_in, fan_out))
            return [w.astype(dtype), np.zeros(fan_out, dtype)]

        self.stem = layer(inputs, D, 1.0)
        self.blocks = [[*layer(D, D, math.sqrt(2)), *layer(D, D, 1.0), np.full(D, alpha, dtype)] for _ in range(depth)]
        self.head = layer(D, classes, 1.0)
        self.parameters = [*self.stem, *(p for block in self.blocks for p in block), *self.head]

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, tuple]:
        """Logits (N, classes), and the caches."""
        h, stem = linear_forward(np.asarray(x, self.dtype), *self.stem)
        caches = []
        for block in self.blocks:
            h, cache = block_forward(h, *block, skip=self.skips)
            caches.append(cache)
        out, head = linear_forward(h, *self.head)
        return out, (stem, caches, head)

    def backward(self, dout: np.ndarray, caches: tuple) -> tuple[np.ndarray, list[np.ndarray]]:
        """The gradient with respect to the input, and those of ``parameters``, in their order."""
        stem, blocks, head = caches
        dh, *found = linear_backward(dout, head)
        for cache in reversed(blocks):
            dh, *gradients = block_backward(dh, cache)
            found = [*gradients, *found]
        dx, *gradients = linear_backward(dh, stem)
        return dx, [*gradients, *found]

    def loss_and_gradients(self, x: np.ndarray, targets: np.ndarray) -> tuple[np.floating, list[np.ndarray]]:
        """Mean softmax cross-entropy with the classes ``targets`` (N,), and its gradients."""
        logits, caches = self.forward(x)
        loss, cache = softmax_cross_entropy_forward(logits, targets)
        return loss, self.backward(softmax_cross_entropy_backward(1.0, cache), caches)[1]

    def activations(self, x: np.ndarray) -> list[np.ndarray]:
        """What goes into each block, and what leaves the last one: ``depth`` + 1 arrays (N, width)."""
        h, _ = linear_forward(np.asarray(x, self.dtype), *self.stem)
        seen = [h]
        for block in self.blocks:
            seen.append(block_forward(seen[-1], *block, skip=self.skips)[0])
        return seen

    def accuracy(self, x: np.ndarray, targets: np.ndarray) -> float:
        """The share of examples whose largest logit is that of ``targets`` (N,)."""
        return float(np.mean(self.forward(x)[0].argmax(axis=1) == targets))


def autocorrelation(values: np.ndarray, lags: int) -> np.ndarray:
    """How much a curve resembles itself ``lag`` steps further: ``Σ v[i] v[i + lag] / Σ v[i]²``, v less its mean.

    1 at lag 0; near 0 from lag 1 on for white noise, falling slowly for a smooth curve.

    Parameters
    ----------
    values : (T,) or (R, T): one curve, or several, over whose curves the mean is taken
    lags : how many; the result is (lags,), from lag 0

    Raises
    ------
    ValueError
        There are fewer values than lags, or a curve is constant.

    Source: Balduzzi et al. (2017), figures 1 and 2.
    """
    v = np.atleast_2d(as_float(values, "values"))
    if not 1 <= lags <= v.shape[1]:
        raise ValueError(f"lags is {lags}; expected 1 to the number of values, {v.shape[1]}")
    v = v - v.mean(axis=1, keepdims=True)
    power = (v**2).sum(axis=1)
    if (power == 0).any():
        raise ValueError("values has a constant curve; its autocorrelation is 0 / 0")
    T = v.shape[1]
    return np.array([((v[:, : T - lag] * v[:, lag:]).sum(axis=1) / power).mean() for lag in range(lags)])
