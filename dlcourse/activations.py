"""Chapter 04: activation functions and their derivatives.

Each is a pair of pure functions, as everywhere in this course:

    name_forward(x) -> out, cache
    name_backward(dout, cache) -> dx

Here ``x`` has any shape, float dtypes are kept, and ``dout`` is the gradient of the loss with respect to ``out``. Those
with parameters to learn also return the gradients of these. Nothing overflows: for every finite x, ``out`` and ``dx``
are finite numbers where the true values are. A wrong shape or dtype raises ValueError.

``ACTIVATIONS`` names the elementwise pairs, with their usual constants.

Sources: F. Minhas, lecture slides CS909 (the table); D. Hendrycks and K. Gimpel, Gaussian Error Linear Units (2016),
arXiv:1606.08415; others where they are used.
"""

from __future__ import annotations

import numpy as np

from dlcourse.arrays import as_float, as_gradient


def identity_forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """No activation: out = x, any shape."""
    x = as_float(x, "x")
    return x, x


def identity_backward(dout: np.ndarray, cache: np.ndarray) -> np.ndarray:
    """dx = dout."""
    return as_gradient(dout, cache.shape)


def step_forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Binary step: out = 1 where x ≥ 0, else 0."""
    x = as_float(x, "x")
    return (x >= 0).astype(x.dtype), x


def step_backward(dout: np.ndarray, cache: np.ndarray) -> np.ndarray:
    """dx = 0: the step is flat, and has no derivative at 0. Gradient descent cannot train through it."""
    return np.zeros_like(as_gradient(dout, cache.shape))


def sigmoid_forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logistic function: out = 1 / (1 + exp(-x)), any shape.

    Written with exp(-abs(x)), which is at most 1, so that no x overflows. The cache is ``out``.
    """
    x = as_float(x, "x")
    e = np.exp(-np.abs(x))
    out = np.where(x >= 0, np.ones_like(e), e) / (1 + e)
    return out, out


def sigmoid_backward(dout: np.ndarray, cache: np.ndarray) -> np.ndarray:
    """dx = dout · out (1 - out): the derivative of the sigmoid in terms of the sigmoid, at most 1/4.

    Right to the rounding of ``out``: where out rounds to 1 (from x = 17 in float32, 37 in float64), dx is 0.
    """
    out = cache
    return as_gradient(dout, out.shape) * out * (1 - out)


def tanh_forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hyperbolic tangent: out = tanh(x), any shape. The cache is ``out``."""
    x = as_float(x, "x")
    out = np.tanh(x)
    return out, out


def tanh_backward(dout: np.ndarray, cache: np.ndarray) -> np.ndarray:
    """dx = dout · (1 - out²), at most 1; right to the rounding of ``out``."""
    out = cache
    return as_gradient(dout, out.shape) * (1 - out * out)


def arctan_forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """out = arctan(x), between -π/2 and π/2."""
    x = as_float(x, "x")
    return np.arctan(x), x


def arctan_backward(dout: np.ndarray, cache: np.ndarray) -> np.ndarray:
    """dx = dout / (1 + x²). The root of 1 + x² comes from ``hypot``, so that x² does not overflow."""
    slope = 1 / np.hypot(np.ones_like(cache), cache)
    return as_gradient(dout, cache.shape) * slope * slope


def relu_forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rectifier: out = max(x, 0), any shape. The cache is ``out``."""
    x = as_float(x, "x")
    out = np.maximum(x, 0)
    return out, out


def relu_backward(dout: np.ndarray, cache: np.ndarray) -> np.ndarray:
    """dx = dout where out > 0, else 0. At the kink, x = 0, the derivative is taken to be 0."""
    out = cache
    return as_gradient(dout, out.shape) * (out > 0)


def leaky_relu_forward(x: np.ndarray, slope: float = 0.01) -> tuple[np.ndarray, tuple]:
    """out = x where x > 0, else slope · x, with a small constant slope (Maas, Hannun and Ng, 2013)."""
    x = as_float(x, "x")
    return np.where(x > 0, x, x.dtype.type(slope) * x), (x, slope)


def leaky_relu_backward(dout: np.ndarray, cache: tuple) -> np.ndarray:
    """dx = dout where x > 0, else slope · dout; at the kink the slope of the left."""
    x, slope = cache
    return as_gradient(dout, x.shape) * np.where(x > 0, x.dtype.type(1), x.dtype.type(slope))


def prelu_forward(x: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, tuple]:
    """Parametric ReLU: out = x where x > 0, else alpha · x, with alpha learned (He et al., 2015, arXiv:1502.01852).

    Parameters
    ----------
    x : float array (..., D)
    alpha : float array () or (D,), one slope for all units or one for each

    Raises
    ------
    ValueError
        ``alpha`` has another shape.
    """
    x, alpha = as_float(x, "x"), as_float(alpha, "alpha")
    if alpha.ndim and (x.ndim == 0 or alpha.shape != x.shape[-1:]):
        raise ValueError(f"alpha has shape {alpha.shape}; expected () or that of x's last axis, {x.shape[-1:]}")
    return np.where(x > 0, x, alpha * x), (x, alpha)


def prelu_backward(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray]:
    """dx = dout · (1 where x > 0, else alpha); dalpha = the sum of dout · x over all x ≤ 0 that share the alpha."""
    x, alpha = cache
    dout = as_gradient(dout, x.shape)
    negative = dout * np.minimum(x, 0)
    dalpha = negative.sum(axis=tuple(range(x.ndim - alpha.ndim)))
    return dout * np.where(x > 0, x.dtype.type(1), alpha), np.asarray(dalpha)


def elu_forward(x: np.ndarray, alpha: float = 1.0) -> tuple[np.ndarray, tuple]:
    """Exponential linear unit: out = x where x > 0, else alpha (eˣ - 1) (Clevert et al., 2016, arXiv:1511.07289).

    ``expm1`` keeps the digits near 0, where eˣ - 1 would lose them, and sees no positive x, where it would overflow.
    """
    x = as_float(x, "x")
    return np.where(x > 0, x, x.dtype.type(alpha) * np.expm1(np.minimum(x, 0))), (x, alpha)


def elu_backward(dout: np.ndarray, cache: tuple) -> np.ndarray:
    """dx = dout where x > 0, else dout · alpha eˣ, which is out + alpha."""
    x, alpha = cache
    left = x.dtype.type(alpha) * np.exp(np.minimum(x, 0))
    return as_gradient(dout, x.shape) * np.where(x > 0, x.dtype.type(1), left)


def softplus_forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A smooth ReLU: out = log(1 + eˣ) = max(x, 0) + log(1 + exp(-abs(x))); the second form never overflows."""
    x = as_float(x, "x")
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))), x


def softplus_backward(dout: np.ndarray, cache: np.ndarray) -> np.ndarray:
    """dx = dout · sigmoid(x)."""
    return as_gradient(dout, cache.shape) * sigmoid_forward(cache)[0]


def gelu_forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian error linear unit: out = x Φ(x) = E[x m], Φ the normal distribution function.

    m is 1 with probability Φ(x) and else 0: a dropout that keeps large inputs more often (Hendrycks and Gimpel, 2016,
    section 2).
    """
    x = as_float(x, "x")
    return x * _normal_cdf(x), x


def gelu_backward(dout: np.ndarray, cache: np.ndarray) -> np.ndarray:
    """dx = dout · (Φ(x) + x φ(x)), φ the normal density."""
    x = cache
    # From |x| = 40 on the density is below the smallest float64; cut off there, x² cannot overflow.
    z = np.clip(x.astype(np.float64), -40, 40)
    density = np.exp(-z * z / 2) / np.sqrt(2 * np.pi)
    return as_gradient(dout, x.shape) * (_normal_cdf(x) + (z * density).astype(x.dtype))


def silu_forward(x: np.ndarray) -> tuple[np.ndarray, tuple]:
    """out = x σ(x): swish with beta 1, which resembles GELU (Elfwing et al., 2018, arXiv:1702.03118)."""
    return swish_forward(x, 1.0)


def silu_backward(dout: np.ndarray, cache: tuple) -> np.ndarray:
    """dx = dout · (σ(x) + x σ'(x))."""
    return swish_backward(dout, cache)[0]


def swish_forward(x: np.ndarray, beta: float) -> tuple[np.ndarray, tuple]:
    """out = x σ(beta x), with beta learned: 0 gives x/2, large beta ReLU (Ramachandran et al., 2017, arXiv:1710.05941).

    Parameters
    ----------
    x : float array
    beta : number
    """
    x = as_float(x, "x")
    gate, _ = sigmoid_forward(x.dtype.type(beta) * x)
    return x * gate, (x, beta, gate)


def swish_backward(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.floating]:
    """With s = σ(beta x): dx = dout · (s + beta x s (1 - s)), dbeta = Σ dout · x² s (1 - s)."""
    x, beta, gate = cache
    dout = as_gradient(dout, x.shape)
    bend = x * gate * (1 - gate)
    return dout * (gate + x.dtype.type(beta) * bend), (dout * x * bend).sum()


def learned_forward(x: np.ndarray, w: np.ndarray, b: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, tuple]:
    """An activation that is a small network itself: out = Σₖ v[k] tanh(w[k] x + b[k]), shared by all units.

    Source: F. Minhas and A. Asif, Learning Neural Activations (2019), arXiv:1912.12187.

    Parameters
    ----------
    x : float array of any shape
    w, b, v : float arrays (K,)

    Raises
    ------
    ValueError
        w, b and v are not three vectors of one length.
    """
    x, w, b, v = as_float(x, "x"), as_float(w, "w"), as_float(b, "b"), as_float(v, "v")
    if not (w.ndim == 1 and w.shape == b.shape == v.shape):
        raise ValueError(f"w, b, v have shapes {w.shape}, {b.shape}, {v.shape}; expected (K,) each")
    h = np.tanh(x[..., None] * w + b)  # (..., K)
    return h @ v, (x, w, v, h)


def learned_backward(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The gradients dx, dw, db, dv of ``learned_forward``; those of w, b, v are summed over all units and examples."""
    x, w, v, h = cache
    dout = as_gradient(dout, x.shape)[..., None]
    slope = (1 - h * h) * v * dout  # (..., K)
    axes = tuple(range(x.ndim))
    return slope @ w, (slope * x[..., None]).sum(axes), slope.sum(axes), (dout * h).sum(axes)


def softmax_forward(x: np.ndarray, axis: int = -1) -> tuple[np.ndarray, tuple]:
    """Softmax along an axis: out[i] = exp(x[i]) / Σⱼ exp(x[j]).

    The largest x is subtracted first: out stays the same, and nothing overflows.

    Raises
    ------
    ValueError
        ``x`` has no such axis, or nothing along it.
    """
    x = _along(x, axis)
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    out = e / e.sum(axis=axis, keepdims=True)
    return out, (out, axis)


def softmax_backward(dout: np.ndarray, cache: tuple) -> np.ndarray:
    """dx[i] = out[i] (dout[i] - Σⱼ dout[j] out[j]): the Jacobian's product with dout, without the Jacobian."""
    out, axis = cache
    dout = as_gradient(dout, out.shape)
    return out * (dout - (dout * out).sum(axis=axis, keepdims=True))


def softmax_jacobian(p: np.ndarray) -> np.ndarray:
    """The Jacobian of softmax at probabilities p: J[i, k] = ∂p[i]/∂x[k] = p[i] (1 if i = k else 0) - p[i] p[k].

    Parameters
    ----------
    p : float array (..., C), what ``softmax_forward`` gave along the last axis

    Returns
    -------
    (..., C, C) array; symmetric, and each row adds up to 0
    """
    p = as_float(p, "p")
    return p[..., :, None] * (np.eye(p.shape[-1], dtype=p.dtype) - p[..., None, :])


def log_softmax_forward(x: np.ndarray, axis: int = -1) -> tuple[np.ndarray, tuple]:
    """out[i] = x[i] - log Σⱼ exp(x[j]): finite also where softmax rounds to 0.

    Raises
    ------
    ValueError
        ``x`` has no such axis, or nothing along it.
    """
    x = _along(x, axis)
    shifted = x - x.max(axis=axis, keepdims=True)
    out = shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))
    return out, (out, axis)


def log_softmax_backward(dout: np.ndarray, cache: tuple) -> np.ndarray:
    """dx[i] = dout[i] - p[i] Σⱼ dout[j], with p = exp(out)."""
    out, axis = cache
    dout = as_gradient(dout, out.shape)
    return dout - np.exp(out) * dout.sum(axis=axis, keepdims=True)


ACTIVATIONS = {
    "identity": (identity_forward, identity_backward),
    "sigmoid": (sigmoid_forward, sigmoid_backward),
    "tanh": (tanh_forward, tanh_backward),
    "relu": (relu_forward, relu_backward),
    "step": (step_forward, step_backward),
    "arctan": (arctan_forward, arctan_backward),
    "leaky_relu": (leaky_relu_forward, leaky_relu_backward),
    "elu": (elu_forward, elu_backward),
    "softplus": (softplus_forward, softplus_backward),
    "gelu": (gelu_forward, gelu_backward),
    "silu": (silu_forward, silu_backward),
}


def slope(name: str, x: np.ndarray) -> np.ndarray:
    """The derivative of the activation ``name`` at each x, from its backward pass.

    Raises
    ------
    ValueError
        ``ACTIVATIONS`` has no such name.
    """
    if name not in ACTIVATIONS:
        raise ValueError(f"name is {name!r}; expected one of {', '.join(ACTIVATIONS)}")
    forward, backward = ACTIVATIONS[name]
    out, cache = forward(x)
    return backward(np.ones_like(out), cache)


def dead_units(out: np.ndarray) -> np.ndarray:
    """Which units are dead: those that give 0 for every example.

    A ReLU unit that is dead on all training examples gets no gradient from any of them, so it stays dead.

    Parameters
    ----------
    out : float array (N, D), the outputs of a ReLU layer for all training examples

    Returns
    -------
    (D,) bool array
    """
    return ~(as_float(out, "out") > 0).any(axis=0)


def _normal_cdf(x: np.ndarray) -> np.ndarray:
    """Φ(x). SciPy's keeps the digits of the left tail, where (1 + erf) / 2 loses them."""
    from scipy.special import ndtr

    return ndtr(x.astype(np.float64)).astype(x.dtype)


def _along(x: np.ndarray, axis: int) -> np.ndarray:
    x = as_float(x, "x")
    if not -x.ndim <= axis < x.ndim or x.shape[axis] == 0:
        raise ValueError(f"x has shape {x.shape}; expected at least one entry along axis {axis}")
    return x
