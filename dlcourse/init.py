"""Chapter 07: initialisation, and what becomes of a signal on its way through a deep network.

    rng = np.random.default_rng(0)
    w = kaiming_normal(rng, (512, 512))        # (D, M), as in x @ w
    signal = propagate(x, weights, "relu")     # activations and gradients, layer by layer

A weight matrix has shape (D, M), fan-in first, as ``mlp.linear_forward`` takes it; a convolution's has shape
(K, C, KH, KW), as ``conv.conv2d_forward`` takes it. ``fans`` knows both.

Sources: Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks, AISTATS (2010);
He, Zhang, Ren and Sun, Delving deep into rectifiers, ICCV (2015), section 2.2; Saxe, McClelland and Ganguli, Exact
solutions to the nonlinear dynamics of learning in deep linear neural networks, ICLR (2014); LeCun, Bottou, Orr and
Müller, Efficient BackProp (1998), section 4.3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dlcourse.activations import ACTIVATIONS
from dlcourse.arrays import as_float

MODES = ("fan_in", "fan_out", "fan_avg")


# ----------------------------------------------------------------------------------------------- fans and gains


def fans(shape: Sequence[int]) -> tuple[int, int]:
    """How many inputs a unit adds up, and how many units an input reaches: (fan_in, fan_out).

    (D, M) -> (D, M); a convolution's (K, C, kernel...) -> (C · kernel's size, K · kernel's size).

    Raises
    ------
    ValueError
        The shape has fewer than two axes, or an axis of length 0.
    """
    shape = tuple(int(n) for n in shape)
    if len(shape) < 2:
        raise ValueError(f"shape is {shape}; expected (D, M), or (K, C, *kernel) for a convolution")
    if min(shape) < 1:
        raise ValueError(f"shape is {shape}; every axis must have at least length 1")
    if len(shape) == 2:
        return shape
    size = math.prod(shape[2:])
    return shape[1] * size, shape[0] * size


def gain(activation: str, slope: float = 0.01) -> float:
    """By what to multiply the standard deviation 1/√fan_in, so that a layer keeps the size of its signal.

    1 for ``identity``, ``sigmoid`` and a convolution; 5/3 for ``tanh`` (by custom); √2 for ``relu``, which lets half
    of the second moment through; √(2 / (1 + slope²)) for ``leaky_relu``; 3/4 for ``selu``. The numbers are those of
    torch.nn.init.calculate_gain.

    Raises
    ------
    ValueError
        There is no such activation.
    """
    known = {
        "identity": 1.0,
        "linear": 1.0,
        "sigmoid": 1.0,
        "tanh": 5.0 / 3.0,
        "relu": math.sqrt(2.0),
        "leaky_relu": math.sqrt(2.0 / (1.0 + slope**2)),
        "selu": 0.75,
    }
    if activation not in known:
        raise ValueError(f"activation is {activation!r}; expected one of {', '.join(known)}")
    return known[activation]


# -------------------------------------------------------------------------------------------------- initialisers


def normal(rng: np.random.Generator, shape: Sequence[int], std: float, dtype=np.float64) -> np.ndarray:
    """Independent normal numbers with mean 0 and standard deviation ``std``."""
    return (std * rng.standard_normal(tuple(shape))).astype(dtype)


def uniform(rng: np.random.Generator, shape: Sequence[int], std: float, dtype=np.float64) -> np.ndarray:
    """Independent uniform numbers on [-a, a]; a = √3 std, so that ``std`` is their standard deviation."""
    bound = math.sqrt(3.0) * std
    return rng.uniform(-bound, bound, tuple(shape)).astype(dtype)


def xavier_std(shape: Sequence[int], gain: float = 1.0) -> float:
    """Glorot's compromise between the way forward and the way back: gain · √(2 / (fan_in + fan_out))."""
    fan_in, fan_out = fans(shape)
    return gain * math.sqrt(2.0 / (fan_in + fan_out))


def kaiming_std(shape: Sequence[int], activation: str = "relu", mode: str = "fan_in", slope: float = 0.01) -> float:
    """He's rule: gain(activation) / √fan, which for ReLU is √(2 / fan_in).

    Parameters
    ----------
    mode : ``fan_in`` keeps the size of the activations, ``fan_out`` that of the gradients, ``fan_avg`` is between.

    Raises
    ------
    ValueError
        The mode or the activation is unknown.
    """
    if mode not in MODES:
        raise ValueError(f"mode is {mode!r}; expected one of {', '.join(MODES)}")
    fan_in, fan_out = fans(shape)
    fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[mode]
    return gain(activation, slope) / math.sqrt(fan)


def xavier_normal(rng: np.random.Generator, shape: Sequence[int], gain: float = 1.0, dtype=np.float64) -> np.ndarray:
    """Normal numbers with ``xavier_std``."""
    return normal(rng, shape, xavier_std(shape, gain), dtype)


def xavier_uniform(rng: np.random.Generator, shape: Sequence[int], gain: float = 1.0, dtype=np.float64) -> np.ndarray:
    """Uniform numbers with ``xavier_std``: on ±gain · √(6 / (fan_in + fan_out))."""
    return uniform(rng, shape, xavier_std(shape, gain), dtype)


def kaiming_normal(
    rng: np.random.Generator, shape: Sequence[int], activation: str = "relu", mode: str = "fan_in", dtype=np.float64
) -> np.ndarray:
    """Normal numbers with ``kaiming_std``."""
    return normal(rng, shape, kaiming_std(shape, activation, mode), dtype)


def kaiming_uniform(
    rng: np.random.Generator, shape: Sequence[int], activation: str = "relu", mode: str = "fan_in", dtype=np.float64
) -> np.ndarray:
    """Uniform numbers with ``kaiming_std``."""
    return uniform(rng, shape, kaiming_std(shape, activation, mode), dtype)


def orthogonal(rng: np.random.Generator, shape: Sequence[int], gain: float = 1.0, dtype=np.float64) -> np.ndarray:
    """A random matrix whose rows or columns, whichever are fewer, are orthonormal, times ``gain``.

    All its singular values are ``gain``: it turns a signal and does not stretch it. A convolution's kernel is
    orthogonal as the matrix (K, C · kernel's size). Drawn evenly: Q of a normal matrix's QR, with the signs of R's
    diagonal taken over (Mezzadri, How to generate random matrices from the classical compact groups, 2007).
    """
    fans(shape)
    rows, columns = shape[0], math.prod(shape[1:])
    q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
    q *= np.where(np.diag(r) < 0, -1.0, 1.0)
    q = q if rows >= columns else q.T
    return (gain * q).reshape(tuple(shape)).astype(dtype)


SCHEMES = {
    "zero": lambda rng, shape, activation: np.zeros(shape),
    "constant": lambda rng, shape, activation: np.full(shape, 1.0 / fans(shape)[0]),
    "small": lambda rng, shape, activation: normal(rng, shape, 0.01),
    "large": lambda rng, shape, activation: normal(rng, shape, 1.0),
    "xavier": lambda rng, shape, activation: xavier_normal(rng, shape),
    "kaiming": lambda rng, shape, activation: kaiming_normal(rng, shape, activation),
    "orthogonal": lambda rng, shape, activation: orthogonal(rng, shape, gain(activation)),
}


# ------------------------------------------------------------------------------------------- signal propagation


@dataclass(frozen=True)
class Signal:
    """What ``propagate`` saw. ``activations[0]`` is the input; ``gradients[l]`` belongs to ``activations[l]``."""

    activations: list[np.ndarray]
    gradients: list[np.ndarray]

    def sizes(self) -> np.ndarray:
        """The mean square of each layer's activations, relative to the input's."""
        squares = np.array([np.mean(a**2) for a in self.activations])
        return squares / squares[0]

    def gradient_sizes(self) -> np.ndarray:
        """The mean square of each layer's gradient, relative to the last layer's."""
        squares = np.array([np.mean(g**2) for g in self.gradients])
        return squares / squares[-1]


def deep(rng: np.random.Generator, scheme: str, depth: int, width: int, activation: str = "relu") -> list[np.ndarray]:
    """The weights of ``depth`` layers of equal width, drawn by one of ``SCHEMES``.

    Raises
    ------
    ValueError
        There is no such scheme.
    """
    if scheme not in SCHEMES:
        raise ValueError(f"scheme is {scheme!r}; expected one of {', '.join(SCHEMES)}")
    return [SCHEMES[scheme](rng, (width, width), activation) for _ in range(depth)]


def propagate(
    x: np.ndarray, weights: Sequence[np.ndarray], activation: str = "relu", dout: np.ndarray | None = None
) -> Signal:
    """Send x forward through layers a(x w) without biases, and a gradient back.

    Parameters
    ----------
    x : (N, D) float array
    weights : (D, M), (M, ...), ...
    activation : a name of ``activations.ACTIVATIONS``
    dout : the gradient of a loss with respect to the last layer's output; by default ones

    Raises
    ------
    ValueError
        A shape does not fit its neighbour's, or the activation is unknown.
    """
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation is {activation!r}; expected one of {', '.join(ACTIVATIONS)}")
    forward, backward = ACTIVATIONS[activation]
    activations, caches = [as_float(x, "x")], []
    for layer, w in enumerate(weights, start=1):
        if activations[-1].shape[1:] != w.shape[:1]:
            raise ValueError(f"layer {layer} expects {w.shape[0]} inputs; it is given {activations[-1].shape[1:]}")
        out, cache = forward(activations[-1] @ w)
        activations.append(out)
        caches.append(cache)
    dout = np.ones_like(activations[-1]) if dout is None else np.asarray(dout)
    if dout.shape != activations[-1].shape:
        raise ValueError(f"dout has shape {dout.shape}; expected that of the output, {activations[-1].shape}")
    gradients = [dout]
    for w, cache in zip(reversed(weights), reversed(caches), strict=True):
        gradients.append(backward(gradients[-1], cache) @ w.T)
    return Signal(activations, gradients[::-1])


def jacobian(x: np.ndarray, weights: Sequence[np.ndarray], activation: str = "relu") -> np.ndarray:
    """∂output/∂input at one input x (D,): the product of the layers' Jacobians, an (M, D) matrix.

    One layer's is diag(a'(z)) wᵀ; theirs are multiplied from the input on.
    """
    x = as_float(x, "x")
    if x.ndim != 1:
        raise ValueError(f"x has shape {x.shape}; expected one example of shape (D,)")
    forward, backward = ACTIVATIONS[activation]
    product, row = np.eye(len(x), dtype=x.dtype), x[None]
    for w in weights:
        row, cache = forward(row @ w)
        product = backward(np.ones_like(row), cache).T * (w.T @ product)
    return product


def variance_ratio(fan_in: int, weight_variance: float, activation: str = "relu") -> float:
    """How a wide layer changes the mean square of its signal: E[a(z)²] / E[x²] for weights of mean 0.

    z is a sum of fan_in independent terms of mean 0, so Var z = fan_in · Var w · E[x²]. ReLU cuts a symmetric z in
    half: E[relu(z)²] = Var z / 2 (He et al. 2015, equations 7 to 9). For ``identity`` nothing is cut.

    Raises
    ------
    ValueError
        The law is known in closed form for ``relu``, ``leaky_relu`` and ``identity`` only.
    """
    share = {"identity": 1.0, "relu": 0.5, "leaky_relu": (1 + 0.01**2) / 2}
    if activation not in share:
        raise ValueError(f"activation is {activation!r}; expected one of {', '.join(share)}")
    return share[activation] * fan_in * weight_variance


# ----------------------------------------------------------------------------------------------------- whitening


class Whitening(NamedTuple):
    """A linear change of the inputs: ``(x - mean) @ matrix``, learned on the training set only."""

    mean: np.ndarray
    matrix: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return (x - self.mean) @ self.matrix


def centring(x: np.ndarray) -> Whitening:
    """Subtract each input's mean. x is (N, D)."""
    x = _rows(x)
    return Whitening(x.mean(axis=0), np.eye(x.shape[1], dtype=x.dtype))


def scaling(x: np.ndarray, eps: float = 1e-8) -> Whitening:
    """Centre, and divide each input by its standard deviation; a constant input stays 0. x is (N, D)."""
    x = _rows(x)
    std = x.std(axis=0)
    return Whitening(x.mean(axis=0), np.diag(np.where(std > eps, 1.0 / np.maximum(std, eps), 0.0)).astype(x.dtype))


def decorrelation(x: np.ndarray) -> Whitening:
    """Centre, and turn to the covariance's own axes: the covariance becomes diagonal. x is (N, D)."""
    x = _rows(x)
    return Whitening(x.mean(axis=0), _axes(x)[1])


def pca_whitening(x: np.ndarray, eps: float = 1e-5) -> Whitening:
    """Turn to the covariance's axes and scale each to variance 1: U Λ^(-1/2) with covariance U Λ Uᵀ.

    ``eps`` is added to Λ, relative to its largest: axes without variance would be divided by 0. x is (N, D).
    """
    x = _rows(x)
    values, vectors = _axes(x)
    return Whitening(x.mean(axis=0), vectors / np.sqrt(values + eps * values[0]))


def zca_whitening(x: np.ndarray, eps: float = 1e-5) -> Whitening:
    """PCA whitening, turned back: U Λ^(-1/2) Uᵀ. Of all whitenings it changes the inputs least. x is (N, D).

    Source: Bell and Sejnowski, The "independent components" of natural scenes are edge filters, 1997.
    """
    x = _rows(x)
    values, vectors = _axes(x)
    return Whitening(x.mean(axis=0), vectors / np.sqrt(values + eps * values[0]) @ vectors.T)


def _axes(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Variances, the largest first, and their axes as columns."""
    values, vectors = np.linalg.eigh(np.cov(x, rowvar=False, bias=True).reshape(x.shape[1], x.shape[1]))
    return np.maximum(values[::-1], 0.0), vectors[:, ::-1]


def _rows(x: np.ndarray) -> np.ndarray:
    x = as_float(x, "x")
    if x.ndim != 2 or len(x) < 2:
        raise ValueError(f"x has shape {x.shape}; expected (N, D) with at least two examples")
    return x
