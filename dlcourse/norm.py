"""Chapter 10: batch, layer, instance and group normalisation by hand, and how to do without.

    out, cache = batch_norm_forward(x, gamma, beta)                # x (N, C) or (N, C, ...), gamma and beta (C,)
    dx, dgamma, dbeta = batch_norm_backward(dout, cache)
    running = update_running(running, cache)                       # what the test will use
    out, _ = batch_norm_forward(x, gamma, beta, running)           # at test time

All four subtract a mean, divide by a standard deviation, then scale by ``gamma`` and shift by ``beta``. They differ in
the numbers that share a mean: batch norm takes a channel of all examples, layer norm all features of one example,
group norm some channels of one example, instance norm one channel of one example. Channels are axis 1.

Formulas, the place of ``eps``, running statistics and their defaults are PyTorch's.

Sources: Ioffe and Szegedy, Batch normalization, ICML (2015), arXiv:1502.03167; Ba, Kiros and Hinton, Layer
normalization, arXiv:1607.06450 (2016); Ulyanov, Vedaldi and Lempitsky, Instance normalization, arXiv:1607.08022 (2016);
Wu and He, Group normalization, ECCV (2018), arXiv:1803.08494; Brock, De, Smith and Simonyan, High-performance
large-scale image recognition without normalization, ICML (2021), arXiv:2102.06171.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from dlcourse.activations import relu_backward, relu_forward
from dlcourse.arrays import as_float, as_gradient
from dlcourse.losses import LOSSES
from dlcourse.mlp import linear_backward, linear_forward
from dlcourse.regularization import dropout_backward, dropout_forward

Gradients = tuple[np.ndarray, np.ndarray, np.ndarray]

# -------------------------------------------------------------------------------------------------- batch norm


class Running(NamedTuple):
    """What batch norm remembers of its batches: a mean and a variance a channel, and how many batches there were."""

    mean: np.ndarray
    var: np.ndarray
    batches: int = 0

    @classmethod
    def start(cls, channels: int, dtype=np.float64) -> Running:
        """Mean 0 and variance 1, before the first batch."""
        return cls(np.zeros(channels, dtype), np.ones(channels, dtype))


class BatchNormCache(NamedTuple):
    """What the backward pass needs. ``x`` is not copied: do not change it before."""

    x: np.ndarray
    gamma: np.ndarray
    mean: np.ndarray
    var: np.ndarray
    inv_std: np.ndarray
    training: bool


def batch_norm_forward(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, running: Running | None = None, *, eps: float = 1e-5
) -> tuple[np.ndarray, BatchNormCache]:
    """Batch normalisation: each channel gets mean 0 and variance 1 over the batch, then is scaled and shifted.

    ``μ[c] = mean of x[:, c]``, ``σ²[c] = mean of (x[:, c] - μ[c])²``,
    ``out[:, c] = gamma[c] · (x[:, c] - μ[c]) / √(σ²[c] + eps) + beta[c]``

    The mean is over the examples and, of images, over all their pixels. With ``running``, as at test time, its mean and
    variance stand for μ and σ², and no example depends on another.

    Parameters
    ----------
    x : (N, C) or (N, C, ...)
    gamma, beta : (C,), of ``x``'s dtype
    running : None in training, else what :func:`update_running` has gathered
    eps : keeps a constant channel from a division by 0

    Returns
    -------
    out : of ``x``'s shape and dtype
    cache : for :func:`batch_norm_backward` and :func:`update_running`

    Raises
    ------
    ValueError
        A shape or dtype does not fit, ``x`` is empty, or a channel has one value only in training: its mean would be
        itself, and nothing would be left of it.

    Source: Ioffe and Szegedy (2015), algorithms 1 and 2.
    """
    x, gamma, beta = _checked(x, gamma, beta, eps)
    channels = x.reshape(*x.shape[:2], -1)  # (N, C, S), S pixels
    N, C, S = channels.shape
    out = np.empty(x.shape, x.dtype)
    flat_out = out.reshape(N, C, S)
    if running is not None:
        _check_running(running, C)
        mean, var = running.mean.astype(x.dtype), running.var.astype(x.dtype)
        inv_std = 1 / np.sqrt(var + x.dtype.type(eps))
        np.multiply(channels - mean[:, None], (gamma * inv_std)[:, None], out=flat_out)
        flat_out += beta[:, None]
        return out, BatchNormCache(x, gamma, mean, var, inv_std, False)
    if N * S < 2:
        raise ValueError(f"x has shape {x.shape}: one value a channel; training needs at least 2 to have a spread")
    mean, var, inv_std = np.empty((3, C), x.dtype)
    space = np.empty((_block(N * S, C), N, S), x.dtype)
    for c in _blocks(N * S, C):  # a few channels at a time, so that their numbers stay in the processor's cache
        mean[c] = np.einsum("ncs->c", channels[:, c]) / (N * S)
        z, rows = _centred(channels[:, c], mean[c], space)
        var[c] = _dots(rows, rows) / (N * S)
        inv_std[c] = 1 / np.sqrt(var[c] + x.dtype.type(eps))
        rows *= (gamma[c] * inv_std[c])[:, None]
        np.add(z, beta[c, None, None], out=flat_out[:, c].swapaxes(0, 1))
    return out, BatchNormCache(x, gamma, mean, var, inv_std, True)


def batch_norm_backward(dout: np.ndarray, cache: BatchNormCache) -> Gradients:
    """Gradients of batch norm. With x̂ the normalised values and averages over a channel's m = N·S values:

    ``dbeta = Σ dout``, ``dgamma = Σ dout · x̂``, ``dx = gamma / σ · (dout - dbeta/m - x̂ · dgamma/m)``

    The two subtracted terms are what μ and σ let each value do to all others: ``dx`` has mean 0 over a channel, and is
    orthogonal to x̂. At test time they are missing, since μ and σ are constants.

    Parameters
    ----------
    dout : of the output's shape
    cache : from :func:`batch_norm_forward`

    Returns
    -------
    dx, dgamma, dbeta

    Raises
    ------
    ValueError
        ``dout`` has not the output's shape.

    Source: Ioffe and Szegedy (2015), section 3, with the sums carried out.
    """
    x, gamma, mean, _, inv_std, training = cache
    dout = as_gradient(dout, x.shape).astype(x.dtype, copy=False)
    channels, douts = x.reshape(*x.shape[:2], -1), dout.reshape(*x.shape[:2], -1)
    N, C, S = channels.shape
    m = N * S
    dx, dgamma, dbeta = np.empty(x.shape, x.dtype), np.empty(C, x.dtype), np.empty(C, x.dtype)
    flat_dx = dx.reshape(N, C, S)
    space, dout_space = np.empty((2, _block(m, C), N, S), x.dtype)
    for c in _blocks(m, C):
        d, dout_rows = _centred(douts[:, c], None, dout_space)
        _, rows = _centred(channels[:, c], mean[c], space)  # σ · x̂
        dgamma[c] = _dots(dout_rows, rows) * inv_std[c]
        dbeta[c] = np.einsum("cm->c", dout_rows)
        if training:
            rows *= (dgamma[c] * inv_std[c] / m)[:, None]
            dout_rows -= rows
            dout_rows -= (dbeta[c] / m)[:, None]
        np.multiply(d, (gamma[c] * inv_std[c])[:, None, None], out=flat_dx[:, c].swapaxes(0, 1))
    return dx, dgamma, dbeta


def update_running(running: Running, cache: BatchNormCache, momentum: float | None = 0.1) -> Running:
    """One step of the running statistics, a new object: ``r ← (1 - momentum) r + momentum · (the batch's)``.

    The batch's variance enters with the divisor m - 1, so that it estimates the data's without bias; the batch itself
    is normalised with m. ``momentum=None`` gives the plain average of all batches so far.

    Raises
    ------
    ValueError
        ``momentum`` is not between 0 and 1, or the cache is not from training.
    """
    if momentum is not None and not 0 <= momentum <= 1:
        raise ValueError(f"momentum is {momentum}; expected None, or a number from 0 to 1")
    if not cache.training:
        raise ValueError("cache is from test time; running statistics are gathered in training")
    _check_running(running, len(cache.mean))
    m, batches = cache.x.size // len(cache.mean), running.batches + 1
    share = 1 / batches if momentum is None else momentum
    mean = (1 - share) * running.mean + share * cache.mean
    var = (1 - share) * running.var + share * cache.var * (m / (m - 1))
    return Running(mean.astype(running.mean.dtype), var.astype(running.var.dtype), batches)


def _block(m: int, C: int) -> int:
    """How many channels of m values make some 2¹⁷ numbers."""
    return min(C, max(1, 2**17 // m))


def _blocks(m: int, C: int) -> Iterator[slice]:
    step = _block(m, C)
    return (slice(c, min(c + step, C)) for c in range(0, C, step))


def _centred(block: np.ndarray, mean: np.ndarray | None, space: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Channels (N, c, S) less their means, written into ``space``: as (c, N, S), and the same as rows (c, N·S)."""
    z = space[: block.shape[1]]
    if mean is None:
        z[...] = block.swapaxes(0, 1)
    else:
        np.subtract(block.swapaxes(0, 1), mean[:, None, None], out=z)
    return z, z.reshape(len(z), -1)


def _dots(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The dot product of each row of ``a`` with that of ``b``."""
    return np.matmul(a[:, None, :], b[:, :, None])[:, 0, 0]


# --------------------------------------------------------------------------------- layer, group and instance norm


def standardise_forward(rows: np.ndarray, eps: float = 1e-5) -> tuple[np.ndarray, tuple]:
    """Every row gets mean 0 and variance 1: ``x̂ = (x - μ) / √(σ² + eps)``. rows is (R, m); the cache is (x̂, 1/σ)."""
    x_hat = rows - rows.mean(axis=1, keepdims=True)
    inv_std = 1 / np.sqrt(_dots(x_hat, x_hat)[:, None] / rows.dtype.type(rows.shape[1]) + rows.dtype.type(eps))
    x_hat *= inv_std
    return x_hat, (x_hat, inv_std)


def standardise_backward(dx_hat: np.ndarray, cache: tuple) -> np.ndarray:
    """``dx = (dx̂ - mean(dx̂) - x̂ · mean(dx̂ · x̂)) / σ``, with means over a row."""
    x_hat, inv_std = cache
    m = dx_hat.dtype.type(dx_hat.shape[1])
    along = _dots(dx_hat, x_hat)[:, None] / m
    return (dx_hat - dx_hat.mean(axis=1, keepdims=True) - x_hat * along) * inv_std


def layer_norm_forward(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, *, eps: float = 1e-5
) -> tuple[np.ndarray, tuple]:
    """Layer normalisation: mean and variance over the features of one example, whatever the others are.

    The features are the last axes, as many as ``gamma`` has; every feature has a ``gamma`` and a ``beta`` of its own.
    A batch of one is as good as any. Of a single feature nothing is left but ``beta``.

    Parameters
    ----------
    x : (N, D), (N, T, D) or any (..., features)
    gamma, beta : of the features' shape, such as (D,)

    Returns
    -------
    out : of ``x``'s shape and dtype
    cache : for :func:`layer_norm_backward`

    Raises
    ------
    ValueError
        A shape or dtype does not fit, or ``x`` is empty.

    Source: Ba, Kiros and Hinton (2016), equation 4.
    """
    x, gamma, beta = _floats(x, gamma, beta, eps)
    if not 0 < gamma.ndim < x.ndim or x.shape[x.ndim - gamma.ndim :] != gamma.shape:
        raise ValueError(f"gamma has shape {gamma.shape}; expected the last axes of x, whose shape is {x.shape}")
    x_hat, cache = standardise_forward(x.reshape(-1, gamma.size), eps)
    return x_hat.reshape(x.shape) * gamma + beta, (*cache, gamma, x.shape)


def layer_norm_backward(dout: np.ndarray, cache: tuple) -> Gradients:
    """Gradients of layer norm: dx, dgamma, dbeta, the latter two summed over the examples."""
    x_hat, inv_std, gamma, shape = cache
    dout = as_gradient(dout, shape).astype(x_hat.dtype, copy=False).reshape(x_hat.shape)
    dgamma, dbeta = (dout * x_hat).sum(axis=0), dout.sum(axis=0)
    dx = standardise_backward(dout * gamma.ravel(), (x_hat, inv_std))
    return dx.reshape(shape), dgamma.reshape(gamma.shape), dbeta.reshape(gamma.shape)


def group_norm_forward(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, groups: int, *, eps: float = 1e-5
) -> tuple[np.ndarray, tuple]:
    """Group normalisation: mean and variance over ``C / groups`` neighbouring channels of one example.

    One group is layer norm over a whole image (with a ``gamma`` a channel), C groups are instance norm.

    Parameters
    ----------
    x : (N, C) or (N, C, ...)
    gamma, beta : (C,)
    groups : divides C

    Returns
    -------
    out : of ``x``'s shape and dtype
    cache : for :func:`group_norm_backward`

    Raises
    ------
    ValueError
        A shape or dtype does not fit, ``x`` is empty, or ``groups`` does not divide the channels.

    Source: Wu and He (2018), section 3.1.
    """
    x, gamma, beta = _checked(x, gamma, beta, eps)
    N, C = x.shape[:2]
    if groups != int(groups) or groups < 1 or C % int(groups):
        raise ValueError(f"groups is {groups}; expected a whole number that divides the {C} channels of x")
    x_hat, cache = standardise_forward(x.reshape(N * int(groups), -1), eps)
    out = x_hat.reshape(N, C, -1) * gamma[:, None] + beta[:, None]
    return out.reshape(x.shape), (*cache, gamma, x.shape)


def group_norm_backward(dout: np.ndarray, cache: tuple) -> Gradients:
    """Gradients of group norm, and of instance norm: dx, dgamma, dbeta."""
    x_hat, inv_std, gamma, shape = cache
    dout = as_gradient(dout, shape).astype(x_hat.dtype, copy=False).reshape(*shape[:2], -1)  # (N, C, S)
    dgamma = (dout * x_hat.reshape(dout.shape)).sum(axis=(0, 2))
    dx_hat = (dout * gamma[:, None]).reshape(x_hat.shape)
    return standardise_backward(dx_hat, (x_hat, inv_std)).reshape(shape), dgamma, dout.sum(axis=(0, 2))


def instance_norm_forward(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, *, eps: float = 1e-5
) -> tuple[np.ndarray, tuple]:
    """Instance normalisation: mean and variance over the pixels of one channel of one example.

    It removes an image's contrast, and was invented for changing the style of pictures. Arguments and results as
    :func:`group_norm_forward` with C groups.

    Raises
    ------
    ValueError
        As there; and where a channel of an example has one value only.

    Source: Ulyanov, Vedaldi and Lempitsky (2016), equation 3.
    """
    x, gamma, beta = _checked(x, gamma, beta, eps)
    if math.prod(x.shape[2:]) < 2:
        raise ValueError(f"x has shape {x.shape}: one value a channel of an example; expected at least 2 pixels")
    return group_norm_forward(x, gamma, beta, x.shape[1], eps=eps)


instance_norm_backward = group_norm_backward


def _floats(x, gamma, beta, eps):
    x, gamma, beta = as_float(x, "x"), as_float(gamma, "gamma"), as_float(beta, "beta")
    if x.ndim < 2 or 0 in x.shape:
        raise ValueError(f"x has shape {x.shape}; expected (N, C) or (N, C, ...) with no axis of length 0")
    for name, value in (("gamma", gamma), ("beta", beta)):
        if value.dtype != x.dtype:
            raise ValueError(f"{name} has dtype {value.dtype}, x {x.dtype}; expected the same")
    if gamma.shape != beta.shape:
        raise ValueError(f"beta has shape {beta.shape}; expected that of gamma, {gamma.shape}")
    if not eps >= 0:
        raise ValueError(f"eps is {eps}; expected a number of at least 0")
    return x, gamma, beta


def _checked(x, gamma, beta, eps):
    x, gamma, beta = _floats(x, gamma, beta, eps)
    if gamma.shape != x.shape[1:2]:
        raise ValueError(f"gamma has shape {gamma.shape}; x has {x.shape[1]} channels: expected ({x.shape[1]},)")
    return x, gamma, beta


def _check_running(running: Running, C: int) -> None:
    for name, value in (("mean", running.mean), ("var", running.var)):
        if np.shape(value) != (C,):
            raise ValueError(f"running.{name} has shape {np.shape(value)}; expected ({C},), one a channel of x")


# ------------------------------------------------------------------------------------------ without normalisation


def unit_norms(w: np.ndarray, *, rows: bool = False) -> np.ndarray:
    """The length of each unit's weights, shaped so that it can be multiplied with ``w``.

    A unit of a linear layer (D, M) is a column (a row, with ``rows``, as torch keeps them); of a convolution
    (K, C, kernel...) a filter. A vector, such as a bias, counts as one unit.
    """
    w = np.asarray(w)
    if w.ndim < 2:
        axes = None
    elif w.ndim == 2 and not rows:
        axes = 0
    else:
        axes = tuple(range(1, w.ndim))
    return np.sqrt(np.sum(w * w, axis=axes, keepdims=True))


def adaptive_clip(
    parameters: Sequence[np.ndarray],
    gradients: Sequence[np.ndarray],
    limit: float = 0.01,
    *,
    eps: float = 1e-3,
    rows: bool = False,
) -> list[np.ndarray]:
    """Adaptive gradient clipping: a unit's gradient may have ``limit`` times the length of the unit's weights.

    ``g ← g · min(1, limit · max(‖w‖, eps) / ‖g‖)``, unit by unit. A step then changes no unit by more than the share
    ``lr · limit``; a fixed limit, as in ``optim.clip_norm``, does not know how large the weights are.

    Parameters
    ----------
    parameters, gradients : arrays of the same shapes
    limit : λ of the paper, positive
    eps : stands for the length of weights that are still 0
    rows : a matrix keeps one unit a row, as torch does

    Returns
    -------
    clipped : new arrays

    Raises
    ------
    ValueError
        Shapes differ, or a setting is not positive.

    Source: Brock, De, Smith and Simonyan (2021), equation 3; one unit for a vector as in the authors' code.
    """
    for name, value in (("limit", limit), ("eps", eps)):
        if not value > 0:
            raise ValueError(f"{name} is {value}; expected a positive number")
    shapes, expected = [np.shape(g) for g in gradients], [np.shape(p) for p in parameters]
    if shapes != expected:
        raise ValueError(f"gradients has shapes {shapes}; expected those of the parameters, {expected}")
    clipped = []
    for p, g in zip(parameters, gradients, strict=True):
        allowed = limit * np.maximum(unit_norms(p, rows=rows), eps)
        norms = unit_norms(g, rows=rows)
        scale = np.minimum(1.0, allowed / np.maximum(norms, 1e-12))
        clipped.append((g * (scale if np.ndim(g) > 1 else scale.item())).astype(np.asarray(g).dtype))
    return clipped


# ------------------------------------------------------------------------------------------------------ a network


class NormMLP:
    """A multilayer perceptron whose hidden layers are linear, norm, ReLU, dropout.

    Parameters
    ----------
    sizes : inputs, hidden units of each layer, classes
    norm : ``"batch"``, ``"layer"``, ``"group"`` or None
    groups : of group norm
    dropout : the share of hidden units that is dropped in training; may be set between steps
    train_only : ``"all"``, or ``"norm"``: everything but gamma and beta stays as it was drawn
    seed : of the initial weights (Kaiming) and of dropout
    dtype : of the parameters; inputs are converted to it

    Attributes
    ----------
    parameters : the arrays that are trained, in place; ``train.fit`` and ``optim`` take it from here
    running : batch norm's statistics, one a hidden layer

    Raises
    ------
    ValueError
        A setting is unknown.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        norm: str | None = "batch",
        *,
        groups: int = 8,
        dropout: float = 0.0,
        train_only: str = "all",
        seed: int = 0,
        dtype=np.float64,
    ):
        if norm not in ("batch", "layer", "group", None):
            raise ValueError(f"norm is {norm!r}; expected 'batch', 'layer', 'group' or None")
        if train_only not in ("all", "norm") or (train_only == "norm" and norm is None):
            raise ValueError(f"train_only is {train_only!r} with norm {norm!r}; expected 'all', or 'norm' with a norm")
        if len(sizes) < 3 or min(sizes) < 1:
            raise ValueError(f"sizes is {sizes!r}; expected inputs, hidden units and classes, each at least 1")
        self.sizes, self.norm, self.groups, self.dropout = tuple(sizes), norm, groups, dropout
        self.train_only, self.dtype = train_only, np.dtype(dtype)
        self.rng = np.random.default_rng(seed)
        self.layers: list[dict[str, np.ndarray]] = []
        for fan_in, fan_out in pairwise(sizes):
            w = (math.sqrt(2 / fan_in) * self.rng.standard_normal((fan_in, fan_out))).astype(dtype)
            layer = {"w": w, "b": np.zeros(fan_out, dtype)}
            if norm and len(self.layers) < len(sizes) - 2:
                layer |= {"gamma": np.ones(fan_out, dtype), "beta": np.zeros(fan_out, dtype)}
            self.layers.append(layer)
        self.trained = [
            (i, name) for i, layer in enumerate(self.layers) for name in layer
            if train_only == "all" or name in ("gamma", "beta")
        ]  # fmt: skip
        self.parameters = [self.layers[i][name] for i, name in self.trained]
        self.running = [Running.start(M, self.dtype) for M in sizes[1:-1]]

    def forward(
        self, x: np.ndarray, *, training: bool = False, dropping: bool | None = None
    ) -> tuple[np.ndarray, list]:
        """Logits (N, classes) and the caches. ``dropping`` keeps dropout on at test time (Monte Carlo dropout)."""
        out, caches = np.asarray(x, self.dtype), []
        dropping = training if dropping is None else dropping
        for i, layer in enumerate(self.layers[:-1]):
            out, linear = linear_forward(out, layer["w"], layer["b"])
            out, norm = self._normalise(i, out, training)
            out, relu = relu_forward(out)
            out, drop = dropout_forward(out, self.dropout if dropping else 0.0, self.rng)
            caches.append((linear, norm, relu, drop))
        out, last = linear_forward(out, self.layers[-1]["w"], self.layers[-1]["b"])
        return out, [*caches, last]

    def _normalise(self, i: int, z: np.ndarray, training: bool) -> tuple[np.ndarray, tuple | None]:
        if self.norm is None:
            return z, None
        gamma, beta = self.layers[i]["gamma"], self.layers[i]["beta"]
        if self.norm == "layer":
            return layer_norm_forward(z, gamma, beta)
        if self.norm == "group":
            return group_norm_forward(z, gamma, beta, self.groups)
        out, cache = batch_norm_forward(z, gamma, beta, None if training else self.running[i])
        if training:
            self.running[i] = update_running(self.running[i], cache)
        return out, cache

    def backward(self, dout: np.ndarray, caches: list) -> list[np.ndarray]:
        """The gradients of ``parameters``, in their order."""
        normalise = {"batch": batch_norm_backward, "layer": layer_norm_backward, "group": group_norm_backward}
        found: dict[tuple[int, str], np.ndarray] = {}
        *hidden, last = caches
        i = len(hidden)
        dout, found[i, "w"], found[i, "b"] = linear_backward(dout, last)
        for linear, norm, relu, drop in reversed(hidden):
            i -= 1
            dout = relu_backward(dropout_backward(dout, drop), relu)
            if self.norm:
                dout, found[i, "gamma"], found[i, "beta"] = normalise[self.norm](dout, norm)
            dout, found[i, "w"], found[i, "b"] = linear_backward(dout, linear)
        return [found[key] for key in self.trained]

    def loss_and_gradients(self, x: np.ndarray, targets: np.ndarray) -> tuple[np.floating, list[np.ndarray]]:
        """Softmax cross-entropy on a training batch, and its gradients. Classes (N,), or shares (N, classes)."""
        name = "softmax_cross_entropy" if np.ndim(targets) == 1 else "log"
        loss_forward, loss_backward = LOSSES[name]
        logits, caches = self.forward(x, training=True)
        loss, cache = loss_forward(logits, targets)
        return loss, self.backward(loss_backward(1.0, cache), caches)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """The class of each example, with the running statistics and without dropout."""
        return self.forward(x)[0].argmax(axis=1)

    def accuracy(self, x: np.ndarray, targets: np.ndarray) -> float:
        """The share of examples whose predicted class is ``targets`` (N,)."""
        return float(np.mean(self.predict(x) == targets))
