"""Chapter 16: PCA, the linear autoencoder, a VAE's ELBO and vector quantisation by hand.

    basis = pca(x, 8)                                       # x (N, D); basis.w (D, 8) with wᵀ w = I
    x_hat, cache = linear_autoencoder_forward(x, we, wd)    # x we wd
    z, cache = reparameterise_forward(mu, logvar, eps)      # μ + σ ε
    kl, cache = gaussian_kl_forward(mu, logvar)             # (N,), in nats
    loss, cache = vae_forward(x, eps, parameters)           # the negative ELBO of a small VAE, and all its gradients
    (q, loss), cache = vq_forward(z, codes)                 # nearest codes, straight-through

N examples, one a row; D numbers an example, L numbers a code. ``logvar`` is log σ², the logarithm of a variance. KL
terms, ELBO and likelihoods are in nats. The networks in PyTorch are in :mod:`dlcourse.vae`.

Sources: Baldi and Hornik, Neural networks and principal component analysis, Neural Networks 2 (1989); Kingma and
Welling, Auto-encoding variational Bayes, ICLR (2014), arXiv:1312.6114; Burda, Grosse and Salakhutdinov, Importance
weighted autoencoders, ICLR (2016), arXiv:1509.00519; van den Oord, Vinyals and Kavukcuoglu, Neural discrete
representation learning, NIPS (2017), arXiv:1711.00937; Björck and Golub, Numerical methods for computing angles between
linear subspaces, Mathematics of Computation 27 (1973).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dlcourse.activations import sigmoid_forward, tanh_backward, tanh_forward
from dlcourse.arrays import as_float, as_gradient
from dlcourse.mlp import linear_backward, linear_forward

# ------------------------------------------------------------------------------------------- PCA and its linear network


class PCA(NamedTuple):
    """``mean`` (D,), ``w`` (D, k) with orthonormal columns, wᵀ w = I, and ``variance`` (D,) along all directions."""

    mean: np.ndarray
    w: np.ndarray
    variance: np.ndarray

    def encode(self, x: np.ndarray) -> np.ndarray:
        """z = (x - mean) w: (N, D) -> (N, k)."""
        return (x - self.mean) @ self.w

    def decode(self, z: np.ndarray) -> np.ndarray:
        """x̂ = z wᵀ + mean: (N, k) -> (N, D). It is wᵀ, since w has no inverse where k < D."""
        return z @ self.w.T + self.mean


def pca(x: np.ndarray, k: int) -> PCA:
    """The k directions along which x varies most: eigenvectors of its covariance, from a singular value decomposition.

    Of all subspaces of k dimensions theirs leaves the smallest mean squared error, the sum of the variances left out:
    ``(1/N) Σₙ ‖x[n] - x̂[n]‖² = Σⱼ variance[j] over j ≥ k``. Variances are divided by N.

    Parameters
    ----------
    x : (N, D) float array
    k : from 1 to D

    Raises
    ------
    ValueError
        ``x`` is not of that form, has no rows, or ``k`` is out of range.

    Source: Baldi and Hornik (1989), section 2. The sign of each direction is free; here its largest entry is positive.
    """
    x = _rows(x, "x")
    if not len(x):
        raise ValueError("x has no rows; expected at least 1")
    if not 1 <= k <= x.shape[1]:
        raise ValueError(f"k is {k}; expected 1 to {x.shape[1]}, the columns of x")
    mean = x.mean(axis=0)
    _, singular, vt = np.linalg.svd(x - mean, full_matrices=len(x) < x.shape[1])
    variance = np.zeros(x.shape[1], x.dtype)
    variance[: len(singular)] = singular**2 / len(x)
    w = vt[:k].T
    signs = np.sign(w[np.abs(w).argmax(axis=0), np.arange(k)])
    return PCA(mean, w * signs, variance)


def linear_autoencoder_forward(x: np.ndarray, we: np.ndarray, wd: np.ndarray) -> tuple[np.ndarray, tuple]:
    """x̂ = (x we) wd, for centred x: the encoder we and the decoder wd need not be each other's transpose.

    Parameters
    ----------
    x, we, wd : float arrays (N, D), (D, k), (k, D)

    Returns
    -------
    x_hat : (N, D)
    cache : for :func:`linear_autoencoder_backward`

    Raises
    ------
    ValueError
        A shape or dtype does not fit.
    """
    x, we, wd = _rows(x, "x"), _rows(we, "we"), _rows(wd, "wd")
    if we.shape[0] != x.shape[1] or wd.shape != we.shape[::-1]:
        raise ValueError(f"x has shape {x.shape}, we {we.shape} and wd {wd.shape}; expected (N, D), (D, k) and (k, D)")
    z = x @ we
    return z @ wd, (x, we, wd, z)


def linear_autoencoder_backward(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """dz = dout wdᵀ, dwd = zᵀ dout, dwe = xᵀ dz, dx = dz weᵀ.

    Returns
    -------
    dx, dwe, dwd
    """
    x, we, wd, z = cache
    dout = as_gradient(dout, x.shape)
    dz = dout @ wd.T
    return dz @ we.T, x.T @ dz, z.T @ dout


def reconstruction_forward(x_hat: np.ndarray, x: np.ndarray) -> tuple[np.floating, tuple]:
    """The loss of an autoencoder, ``(1/N) Σₙ ‖x̂[n] - x[n]‖²``.

    Raises
    ------
    ValueError
        The shapes differ.
    """
    x_hat, x = as_float(x_hat, "x_hat"), as_float(x, "x")
    if x_hat.shape != x.shape:
        raise ValueError(f"x_hat has shape {x_hat.shape}; expected that of x, {x.shape}")
    return np.sum((x_hat - x) ** 2) / max(len(x), 1), (x_hat, x)


def reconstruction_backward(dout: float, cache: tuple) -> np.ndarray:
    """dx̂ = dout · 2 (x̂ - x) / N."""
    x_hat, x = cache
    return (x_hat - x) * x_hat.dtype.type(2 * dout / max(len(x), 1))


def fit_linear_autoencoder(
    x: np.ndarray, k: int, *, steps: int = 2000, lr: float = 0.1, momentum: float = 0.9, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradient descent with momentum on all of x, from small random weights.

    Parameters
    ----------
    x : (N, D), centred
    k : numbers in the code
    lr : divided by the largest variance of x along any direction, so that it has no unit

    Returns
    -------
    we, wd : (D, k) and (k, D)
    losses : (steps,), each before its step
    """
    x, rng = _rows(x, "x"), np.random.default_rng(seed)
    we, wd = (0.1 * rng.standard_normal(shape).astype(x.dtype) for shape in ((x.shape[1], k), (k, x.shape[1])))
    rate = x.dtype.type(lr * len(x) / np.linalg.norm(x, 2) ** 2)
    ve, vd, losses = np.zeros_like(we), np.zeros_like(wd), np.empty(steps)
    for step in range(steps):
        x_hat, cache = linear_autoencoder_forward(x, we, wd)
        losses[step], loss_cache = reconstruction_forward(x_hat, x)
        _, dwe, dwd = linear_autoencoder_backward(reconstruction_backward(1.0, loss_cache), cache)
        ve, vd = momentum * ve - rate * dwe, momentum * vd - rate * dwd
        we, wd = we + ve, wd + vd
    return we, wd, losses


def principal_angles(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Angles between the subspaces that the columns of a and b span, in radians, the largest first.

    With orthonormal bases Qa and Qb, the cosines are the singular values of Qaᵀ Qb. A cosine near 1 says little about
    a small angle, so below 45° the sines are taken, singular values of ``Qb - Qa Qaᵀ Qb``.

    Parameters
    ----------
    a, b : (D, k) with linearly independent columns

    Returns
    -------
    angles : (k,), 0 to π/2

    Raises
    ------
    ValueError
        The shapes differ, or there are more columns than rows.

    Source: Björck and Golub (1973), equations 13 and 14.
    """
    a, b = _rows(a, "a"), _rows(b, "b")
    if a.shape != b.shape or a.shape[1] > a.shape[0]:
        raise ValueError(f"a has shape {a.shape} and b {b.shape}; expected the same (D, k) with k ≤ D")
    qa, qb = np.linalg.qr(a)[0], np.linalg.qr(b)[0]
    inner = qa.T @ qb
    cosines = np.linalg.svd(inner, compute_uv=False)[::-1]  # the largest angle first
    sines = np.linalg.svd(qb - qa @ inner, compute_uv=False)
    by_sine = np.arcsin(np.clip(sines, 0, 1))
    return np.where(cosines**2 > 0.5, by_sine, np.arccos(np.clip(cosines, 0, 1)))


# ------------------------------------------------------------------------------------------------ the parts of the ELBO


def reparameterise_forward(mu: np.ndarray, logvar: np.ndarray, eps: np.ndarray) -> tuple[np.ndarray, tuple]:
    """z = μ + exp(logvar / 2) · ε: with ε from N(0, 1), z is from N(μ, σ²), and is a smooth function of μ and logvar.

    Parameters
    ----------
    mu, logvar, eps : float arrays of one shape

    Returns
    -------
    z : of that shape
    cache : for :func:`reparameterise_backward`

    Raises
    ------
    ValueError
        The shapes differ.

    Source: Kingma and Welling (2014), section 2.4.
    """
    mu, logvar, eps = _alike(mu=mu, logvar=logvar, eps=eps)
    spread = np.exp(logvar / 2) * eps
    return mu + spread, (spread,)


def reparameterise_backward(dz: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray]:
    """dμ = dz, dlogvar = ½ σ ε dz."""
    (spread,) = cache
    dz = as_gradient(dz, spread.shape)
    return dz, spread * dz / 2


def gaussian_log_density(z: np.ndarray, mu: np.ndarray | float, logvar: np.ndarray | float) -> np.ndarray:
    """log N(z; μ, diag σ²) = -½ Σⱼ ((z - μ)² / σ² + log σ² + log 2π), the sum over the last axis: (..., L) -> (...)."""
    z = as_float(z, "z")
    logvar = np.asarray(logvar, z.dtype)
    terms = (z - np.asarray(mu, z.dtype)) ** 2 / np.exp(logvar) + logvar + math.log(2 * math.pi)
    return -terms.sum(axis=-1) / 2


def gaussian_kl_forward(mu: np.ndarray, logvar: np.ndarray) -> tuple[np.ndarray, tuple]:
    """The KL term by its formula: ``KL(N(μ, σ²) from N(0, 1)) = ½ Σⱼ (μ² + σ² - log σ² - 1)``.

    It is 0 where q is the prior, and positive elsewhere.

    Parameters
    ----------
    mu, logvar : (N, L)

    Returns
    -------
    kl : (N,)
    cache : for :func:`gaussian_kl_backward`

    Raises
    ------
    ValueError
        The shapes differ.

    Source: Kingma and Welling (2014), appendix B.
    """
    mu, logvar = _alike(mu=mu, logvar=logvar)
    var = np.exp(logvar)
    return (mu**2 + var - logvar - 1).sum(axis=-1) / 2, (mu, var)


def gaussian_kl_backward(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray]:
    """dμ = dout μ, dlogvar = dout (σ² - 1) / 2."""
    mu, var = cache
    dout = as_gradient(dout, mu.shape[:-1])[..., None]
    return dout * mu, dout * (var - 1) / 2


def sampled_kl_forward(mu: np.ndarray, logvar: np.ndarray, eps: np.ndarray) -> tuple[np.ndarray, tuple]:
    """The KL term from one sample: ``log q(z given x) - log p(z)`` at z = μ + σ ε.

    In the difference of the log-densities 2π cancels and (z - μ) / σ is ε, so it is ``½ Σⱼ (z² - ε² - log σ²)``. Its
    mean over ε is :func:`gaussian_kl_forward`; a single one may be negative. It needs no formula for the KL, so it
    also serves where q or the prior is no Gaussian.

    Parameters
    ----------
    mu, logvar, eps : (N, L)

    Returns
    -------
    kl : (N,)
    cache : for :func:`sampled_kl_backward`

    Source: Kingma and Welling (2014), equation 6.
    """
    mu, logvar, eps = _alike(mu=mu, logvar=logvar, eps=eps)
    z, z_cache = reparameterise_forward(mu, logvar, eps)
    return (z**2 - eps**2 - logvar).sum(axis=-1) / 2, (z, z_cache)


def sampled_kl_backward(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray]:
    """dμ = dout z, dlogvar = dout (z σ ε - 1) / 2."""
    z, z_cache = cache
    dout = as_gradient(dout, z.shape[:-1])[..., None]
    dmu, dlogvar = reparameterise_backward(dout * z, z_cache)
    return dmu, dlogvar - dout / 2


def bernoulli_log_likelihood_forward(logits: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, tuple]:
    """log p(x given z) for pixels that are 1 with probability p = sigmoid(logits):

    ``Σⱼ x log p + (1 - x) log(1 - p) = Σⱼ x s - max(s, 0) - log(1 + exp(-abs(s)))``, s = logits: (N, D) -> (N,).

    Raises
    ------
    ValueError
        The shapes differ, or ``x`` has numbers outside 0 to 1.
    """
    logits, x = _alike(logits=logits, x=x)
    if x.size and not (x.min() >= 0 and x.max() <= 1):
        raise ValueError(f"x has entries from {x.min()} to {x.max()}; expected numbers from 0 to 1")
    terms = x * logits - np.maximum(logits, 0) - np.log1p(np.exp(-np.abs(logits)))
    return terms.sum(axis=-1), (logits, x)


def bernoulli_log_likelihood_backward(dout: np.ndarray, cache: tuple) -> np.ndarray:
    """dlogits = dout (x - sigmoid(logits))."""
    logits, x = cache
    return as_gradient(dout, x.shape[:-1])[..., None] * (x - sigmoid_forward(logits)[0])


def gaussian_log_likelihood_forward(mean: np.ndarray, x: np.ndarray, noise: float = 1.0) -> tuple[np.ndarray, tuple]:
    """log p(x given z) for pixels x = mean + noise · ε: ``-½ Σⱼ ((x - mean)² / noise² + log 2π noise²)``.

    So the squared error is this likelihood up to a factor and a constant: it says how large ``noise`` is taken to be.

    Raises
    ------
    ValueError
        The shapes differ, or ``noise`` is not positive.
    """
    mean, x = _alike(mean=mean, x=x)
    if not noise > 0:
        raise ValueError(f"noise is {noise}; expected a positive standard deviation")
    return gaussian_log_density(x, mean, 2 * math.log(noise)), (mean, x, noise)


def gaussian_log_likelihood_backward(dout: np.ndarray, cache: tuple) -> np.ndarray:
    """dmean = dout (x - mean) / noise²."""
    mean, x, noise = cache
    return as_gradient(dout, x.shape[:-1])[..., None] * (x - mean) / noise**2


def importance_bound(log_weights: np.ndarray) -> np.ndarray:
    """``log (1/K) Σₖ w[k]`` from log w, (K, ...) -> (...), with ``w[k] = p(x, z[k]) / q(z[k] given x)``, z[k] from q.

    The mean of w is p(x), so by Jensen's inequality the mean of its logarithm lies below log p(x); with K = 1 it is the
    ELBO, and more samples bring it up. The largest is taken out first, so that no exponential overflows.

    Raises
    ------
    ValueError
        There are no samples.

    Source: Burda and others (2016), equation 8 and theorem 1.
    """
    log_weights = as_float(log_weights, "log_weights")
    if log_weights.ndim < 1 or not len(log_weights):
        raise ValueError(f"log_weights has shape {log_weights.shape}; expected (K, ...) with at least one sample")
    top = log_weights.max(axis=0)
    return top + np.log(np.exp(log_weights - top).mean(axis=0))


# ----------------------------------------------------------------------------------------------- a small VAE, all of it


class Parameters(NamedTuple):
    """Of a VAE with one hidden layer of H tanh units each way, D pixels and L numbers in the code."""

    w_in: np.ndarray  # (D, H)
    b_in: np.ndarray
    w_mu: np.ndarray  # (H, L)
    b_mu: np.ndarray
    w_logvar: np.ndarray  # (H, L)
    b_logvar: np.ndarray
    w_hidden: np.ndarray  # (L, H)
    b_hidden: np.ndarray
    w_out: np.ndarray  # (H, D)
    b_out: np.ndarray

    @classmethod
    def start(cls, D: int, H: int, L: int, seed: int = 0, dtype=np.float64) -> Parameters:
        """Weights from N(0, 1 / fan-in), biases 0."""
        rng, made = np.random.default_rng(seed), []
        for rows, columns in ((D, H), (H, L), (H, L), (L, H), (H, D)):
            made += [rng.normal(0, rows**-0.5, (rows, columns)).astype(dtype), np.zeros(columns, dtype)]
        return cls(*made)


def vae_forward(
    x: np.ndarray, eps: np.ndarray, p: Parameters, *, sampled: bool = False, beta: float = 1.0
) -> tuple[np.floating, tuple]:
    """The negative ELBO, ``(1/N) Σₙ beta KL[n] - log p(x[n] given z[n])``, with one sample of z an example.

    h = tanh(x w_in + b_in), μ = h w_mu + b_mu, logvar = h w_logvar + b_logvar, z = μ + σ ε, logits = tanh(z w_hidden +
    b_hidden) w_out + b_out, and Bernoulli pixels.

    Parameters
    ----------
    x : (N, D), numbers from 0 to 1
    eps : (N, L), drawn from N(0, 1) by whoever calls, so that this is a function
    sampled : the KL term from the same sample instead of its formula
    beta : weight of the KL term

    Returns
    -------
    loss : in nats an example
    cache : for :func:`vae_backward`

    Source: Kingma and Welling (2014), equations 6 and 7, section 3 and appendix C.
    """
    h, tanh_e, line_e = _hidden(x, p.w_in, p.b_in)
    mu, line_mu = linear_forward(h, p.w_mu, p.b_mu)
    logvar, line_logvar = linear_forward(h, p.w_logvar, p.b_logvar)
    z, z_cache = reparameterise_forward(mu, logvar, eps)
    kl, kl_cache = sampled_kl_forward(mu, logvar, eps) if sampled else gaussian_kl_forward(mu, logvar)
    g, tanh_d, line_d = _hidden(z, p.w_hidden, p.b_hidden)
    logits, line_out = linear_forward(g, p.w_out, p.b_out)
    pixels, pixel_cache = bernoulli_log_likelihood_forward(logits, x)
    loss = (beta * kl - pixels).sum() / max(len(pixels), 1)
    caches = (line_e, tanh_e, line_mu, line_logvar, z_cache, kl_cache, line_d, tanh_d, line_out, pixel_cache)
    return loss, (caches, sampled, beta)


def vae_backward(dout: float, cache: tuple) -> Parameters:
    """The gradient of the loss for every parameter, through the sample: back through the decoder to z, from z to μ and
    logvar, where the KL term's gradient is added, and on through the encoder."""
    caches, sampled, beta = cache
    line_e, tanh_e, line_mu, line_logvar, z_cache, kl_cache, line_d, tanh_d, line_out, pixel_cache = caches
    logits = pixel_cache[0]
    each = np.full(len(logits), dout / max(len(logits), 1), logits.dtype)
    dg, dw_out, db_out = linear_backward(bernoulli_log_likelihood_backward(-each, pixel_cache), line_out)
    dz, dw_hidden, db_hidden = linear_backward(tanh_backward(dg, tanh_d), line_d)
    dmu, dlogvar = reparameterise_backward(dz, z_cache)
    kl_backward = sampled_kl_backward if sampled else gaussian_kl_backward
    dmu_kl, dlogvar_kl = kl_backward(beta * each, kl_cache)
    dh_mu, dw_mu, db_mu = linear_backward(dmu + dmu_kl, line_mu)
    dh_logvar, dw_logvar, db_logvar = linear_backward(dlogvar + dlogvar_kl, line_logvar)
    _, dw_in, db_in = linear_backward(tanh_backward(dh_mu + dh_logvar, tanh_e), line_e)
    return Parameters(
        dw_in, db_in, dw_mu, db_mu, dw_logvar, db_logvar, dw_hidden, db_hidden, dw_out, db_out
    )  # fmt: skip


def _hidden(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, tuple, tuple]:
    line, line_cache = linear_forward(x, w, b)
    out, tanh_cache = tanh_forward(line)
    return out, tanh_cache, line_cache


def vae_decode(z: np.ndarray, p: Parameters) -> np.ndarray:
    """Probabilities of the pixels: (N, L) -> (N, D)."""
    g, *_ = _hidden(z, p.w_hidden, p.b_hidden)
    return sigmoid_forward(linear_forward(g, p.w_out, p.b_out)[0])[0]


def vae_encode(x: np.ndarray, p: Parameters) -> tuple[np.ndarray, np.ndarray]:
    """μ and logvar: (N, D) -> (N, L), twice."""
    h, *_ = _hidden(x, p.w_in, p.b_in)
    return linear_forward(h, p.w_mu, p.b_mu)[0], linear_forward(h, p.w_logvar, p.b_logvar)[0]


class SmallVAE:
    """The same for :func:`dlcourse.train.fit`, whose pairs ``(x, y)`` are here pairs ``(x, eps)``.

    Parameters
    ----------
    D, H, L : pixels, hidden units, numbers in the code
    seed, dtype : of the initial weights

    Attributes
    ----------
    parameters : list of arrays, in the order of :class:`Parameters`
    """

    def __init__(self, D: int, H: int, L: int, *, seed: int = 0, dtype=np.float64):
        self.parameters = list(Parameters.start(D, H, L, seed, dtype))

    def loss_and_gradients(self, x: np.ndarray, eps: np.ndarray) -> tuple[float, list[np.ndarray]]:
        """The negative ELBO and its gradients, in the order of ``parameters``."""
        loss, cache = vae_forward(x, eps, Parameters(*self.parameters))
        return float(loss), list(vae_backward(1.0, cache))


# ----------------------------------------------------------------------------------------------- vector quantisation


def nearest(z: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """The index of each row's nearest code, by Euclidean distance; of equally near ones the first.

    Parameters
    ----------
    z, codes : (M, D) and (K, D)

    Raises
    ------
    ValueError
        The shapes do not fit, or there are no codes.
    """
    z, codes = _rows(z, "z"), _rows(codes, "codes")
    if z.shape[1] != codes.shape[1] or not len(codes):
        raise ValueError(f"z has shape {z.shape} and codes {codes.shape}; expected (M, D) and (K, D) with K ≥ 1")
    # ‖z‖² is the same for all codes; without it there is one product of matrices and no (M, K, D) array.
    return (np.einsum("kd,kd->k", codes, codes) - 2 * z @ codes.T).argmin(axis=1)


def vq_forward(
    z: np.ndarray, codes: np.ndarray, commitment: float = 0.25
) -> tuple[tuple[np.ndarray, np.floating], tuple]:
    """Vector quantisation: ``q[m] = codes[k[m]]`` with k[m] the nearest, and the loss that trains codes and encoder,

    ``loss = mean of (sg[z] - q)² + commitment · mean of (z - sg[q])²``,

    where sg[·] lets no gradient through: the first term moves codes to vectors, the second vectors to codes.

    Parameters
    ----------
    z, codes : (M, D) and (K, D)

    Returns
    -------
    (q, loss) : (M, D) and a number
    cache : for :func:`vq_backward`; ``cache[2]`` holds the indices (M,)

    Source: van den Oord and others (2017), equations 1 to 3, with means in place of their sums over D.
    """
    indices = nearest(z, codes)
    z, codes = np.asarray(z), np.asarray(codes)
    q = codes[indices]
    error = np.sum((z - q) ** 2) / max(z.size, 1)
    return (q, (1 + commitment) * error), (z, codes, indices, commitment)


def vq_backward(dq: np.ndarray, dloss: float, cache: tuple) -> tuple[np.ndarray, np.ndarray]:
    """Straight-through: the gradient of q goes to z as it is, although q does not change where z moves a little.

    ``dz = dq + dloss · 2 commitment (z - q) / (M D)``, and to a code from the vectors that chose it
    ``dcodes[k] = dloss · Σ over m with k[m] = k of 2 (codes[k] - z[m]) / (M D)``. From q nothing goes to the codes.

    Returns
    -------
    dz, dcodes : (M, D) and (K, D)
    """
    z, codes, indices, commitment = cache
    dq = as_gradient(dq, z.shape)
    pull = (z - codes[indices]) * z.dtype.type(2 * dloss / max(z.size, 1))
    dcodes = np.zeros_like(codes)
    np.add.at(dcodes, indices, -pull)
    return dq + z.dtype.type(commitment) * pull, dcodes


def usage(indices: np.ndarray, codes: int) -> np.ndarray:
    """The share of vectors that chose each code: (codes,), summing to 1.

    Raises
    ------
    ValueError
        There are no indices, or one names no code.
    """
    indices = np.asarray(indices).ravel()
    if not indices.size or indices.min() < 0 or indices.max() >= codes:
        raise ValueError(f"indices has {indices.size} entries; expected at least 1, each from 0 to {codes - 1}")
    return np.bincount(indices, minlength=codes) / indices.size


def perplexity(indices: np.ndarray, codes: int) -> float:
    """exp(-Σ p log p) of the codes' :func:`usage`: as many codes, equally used, would be as hard to guess.

    It is 1 where one code does everything, and ``codes`` where all are used alike.
    """
    p = usage(indices, codes)
    p = p[p > 0]
    return float(np.exp(-(p * np.log(p)).sum()))


# ----------------------------------------------------------------------------------------------------------- checks


def _rows(a: np.ndarray, name: str) -> np.ndarray:
    a = as_float(a, name)
    if a.ndim != 2:
        raise ValueError(f"{name} has shape {a.shape}; expected two axes")
    return a


def _alike(**arrays: np.ndarray) -> Sequence[np.ndarray]:
    """The arrays, checked to have one shape with at least one axis."""
    made = {name: as_float(a, name) for name, a in arrays.items()}
    first, *others = made
    for name in (first, *others):
        if made[name].shape != made[first].shape or not made[name].ndim:
            raise ValueError(f"{name} has shape {made[name].shape}; expected (..., L), that of {first}: "
                             f"{made[first].shape}")  # fmt: skip
    return list(made.values())
