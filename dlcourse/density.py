"""Chapter 17: samples from a distribution, and a distribution from samples, by hand.

    x = inverse_transform(NAMED["exponential"].quantile, 1000, rng)     # uniform numbers become any distribution
    x = empirical_quantile(observed, uniform(1000, rng))                # also one that only its observations know
    mixture, history = em(x, mixture_start(x, 3, rng))                  # explicit: a Gaussian mixture by EM
    log_p = mixture_log_density(x, mixture)
    log_p = kde_log_density(x, observed, bandwidth=0.3)                 # explicit: a bump on each observation

All randomness comes from the generator that is passed. Densities are logarithms throughout, since in many dimensions
the densities themselves leave the range of floats.

Sources: Devroye, Non-uniform random variate generation (1986), chapter II; Dempster, Laird and Rubin, Maximum
likelihood from incomplete data via the EM algorithm, J. Royal Statistical Society B 39 (1977); Silverman, Density
estimation for statistics and data analysis (1986).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import special
from scipy.spatial.distance import cdist

# -------------------------------------------------------------------------------------------- arrays and their checks


def as_points(x: np.ndarray, name: str = "x", least: int = 1) -> np.ndarray:
    """``x`` as an array of float64 of shape (N, D); N numbers become (N, 1).

    Raises
    ------
    ValueError
        It has another number of axes, no features, fewer than ``least`` points, or a number that is not finite.
    """
    x = np.asarray(x, dtype=np.float64)
    if x.ndim == 1:
        x = x[:, None]
    if x.ndim != 2 or x.shape[1] == 0:
        raise ValueError(f"{name} has shape {x.shape}; expected (N, D), or (N,) for numbers")
    if len(x) < least:
        raise ValueError(f"{name} has {len(x)} points; expected at least {least}")
    if not np.isfinite(x).all():
        raise ValueError(f"{name} has numbers that are not finite")
    return x


def _as_numbers(x: np.ndarray, name: str) -> np.ndarray:
    x = as_points(x, name)
    if x.shape[1] != 1:
        raise ValueError(f"{name} has shape {x.shape}; expected (N,): a distribution of numbers")
    return x[:, 0]


def _same_features(x: np.ndarray, D: int, owner: str) -> np.ndarray:
    x = as_points(x)
    if x.shape[1] != D:
        raise ValueError(f"x has {x.shape[1]} features, {owner} has {D}")
    return x


def log_sum_exp(a: np.ndarray, axis: int = -1) -> np.ndarray:
    """``log Σ exp(a)`` along ``axis``, without overflow: the largest number is taken out before and added after.

    ``log Σ exp(a) = m + log Σ exp(a - m)`` with ``m = max a``; all -inf give -inf.

    Source: Blanchard, Higham and Higham, Accurately computing the log-sum-exp and softmax functions, IMA J. Numerical
    Analysis 41 (2021).
    """
    a = np.asarray(a)
    m = a.max(axis, keepdims=True)
    m = np.where(np.isfinite(m), m, 0)  # all -inf, as outside every kernel: log 0 and no nan
    with np.errstate(divide="ignore"):
        return np.log(np.exp(a - m).sum(axis)) + np.squeeze(m, axis)


# ------------------------------------------------------------------------------------------ observations and sampling


def empirical(observations) -> tuple[np.ndarray, np.ndarray]:
    """The empirical distribution: each distinct observation with its share, ``p(v) = (number of i with x[i] = v) / N``.

    Parameters
    ----------
    observations : (N,), numbers or words

    Returns
    -------
    values : (K,), distinct and sorted
    probabilities : (K,), which sum to 1

    Raises
    ------
    ValueError
        There is no observation, or they do not stand in one row.

    Source: the normalised histogram; Silverman (1986), section 2.2.
    """
    observations = np.asarray(observations)
    if observations.ndim != 1 or not len(observations):
        raise ValueError(f"observations has shape {observations.shape}; expected (N,) with N of at least 1")
    values, counts = np.unique(observations, return_counts=True)
    return values, counts / len(observations)


def uniform(n: int, rng: np.random.Generator) -> np.ndarray:
    """``n`` numbers, uniform on the open interval (0, 1): neither 0 nor 1, whose quantiles may be infinite.

    Source: Devroye (1986), section II.2.
    """
    return (rng.integers(0, 2**52, n) + 0.5) / 2**52


def sample_discrete(values, probabilities, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw from finitely many values by inverse transform: the first ``values[k]`` with ``p[0] + … + p[k] > u``.

    Parameters
    ----------
    values : (K,) or (K, ...)
    probabilities : (K,), none negative, which sum to 1

    Returns
    -------
    (n,) or (n, ...), drawn with replacement

    Raises
    ------
    ValueError
        The lengths differ, or the probabilities are none.

    Source: Devroye (1986), section III.2.1.
    """
    values, p = np.asarray(values), np.asarray(probabilities, dtype=float)
    if p.ndim != 1 or len(values) != len(p):
        raise ValueError(f"probabilities has shape {p.shape}; expected ({len(values)},), one a value")
    if not len(p) or (p < 0).any() or abs(p.sum() - 1) > 1e-8:
        raise ValueError(f"probabilities {p} are none: they are to be non-negative and to sum to 1")
    steps = np.cumsum(p)
    steps /= steps[-1]  # exactly 1 at the end
    return values[np.searchsorted(steps, uniform(n, rng), side="right")]


class Named(NamedTuple):
    """A distribution of numbers by its cumulative distribution function F and its quantile function F⁻¹."""

    cdf: Callable[[np.ndarray], np.ndarray]
    quantile: Callable[[np.ndarray], np.ndarray]


def _split(x, left, right):
    """``left`` of the negative numbers, ``right`` of the others; neither sees numbers for which it would overflow."""
    x = np.asarray(x, dtype=float)
    return np.where(x < 0, left(np.minimum(x, 0)), right(np.maximum(x, 0)))


NAMED: dict[str, Named] = {
    "uniform": Named(lambda x: np.clip(x, 0.0, 1.0), lambda u: np.asarray(u, dtype=float)),
    "exponential": Named(lambda x: -np.expm1(-np.maximum(x, 0.0)), lambda u: -np.log1p(-u)),
    "logistic": Named(
        lambda x: _split(x, lambda x: np.exp(x) / (1 + np.exp(x)), lambda x: 1 / (1 + np.exp(-x))),
        lambda u: np.log(u) - np.log1p(-u),
    ),
    "Laplace": Named(
        lambda x: _split(x, lambda x: np.exp(x) / 2, lambda x: 1 - np.exp(-x) / 2),
        lambda u: np.where(u < 0.5, np.log(2 * u), -np.log(2 * (1 - u))),
    ),
    "Cauchy": Named(  # the tangent of π (u - ½), without the difference that would cost the tails their digits
        lambda x: np.arctan2(1.0, -np.asarray(x, dtype=float)) / np.pi,
        lambda u: np.where(u < 0.5, -1 / np.tan(np.pi * u), 1 / np.tan(np.pi * (1 - u))),
    ),
    "Gaussian": Named(special.ndtr, special.ndtri),
    "Gumbel": Named(lambda x: np.exp(-np.exp(-np.maximum(x, -700.0))), lambda u: -np.log(-np.log(u))),
    "Rayleigh": Named(lambda x: -np.expm1(-(np.maximum(x, 0.0) ** 2) / 2), lambda u: np.sqrt(-2 * np.log1p(-u))),
    "triangle": Named(
        lambda x: _split(np.clip(x, -1, 1), lambda x: (1 + x) ** 2 / 2, lambda x: 1 - (1 - x) ** 2 / 2),
        lambda u: np.where(u < 0.5, np.sqrt(2 * u) - 1, 1 - np.sqrt(2 * (1 - u))),
    ),
}
"""Distributions by name, of location 0 and scale 1. A Gaussian of mean m and deviation s is ``m + s · x``.

:meta hide-value:
"""


def inverse_transform(quantile: Callable[[np.ndarray], np.ndarray], n: int, rng: np.random.Generator) -> np.ndarray:
    """Inverse transform sampling: ``x = F⁻¹(u)`` with u uniform on (0, 1).

    Since F grows, ``P(F⁻¹(u) ≤ x) = P(u ≤ F(x)) = F(x)``.

    Parameters
    ----------
    quantile : F⁻¹, of arrays; such as ``NAMED["logistic"].quantile``

    Returns
    -------
    (n,)

    Source: Devroye (1986), theorem II.2.1.
    """
    return quantile(uniform(n, rng))


def map_samples(x: np.ndarray, cdf: Callable, quantile: Callable) -> np.ndarray:
    """Turn samples of one distribution into samples of another: ``F_target⁻¹(F_source(x))``, which keeps their order.

    Parameters
    ----------
    x : (N,), samples of the source
    cdf : F of the source
    quantile : F⁻¹ of the target

    Returns
    -------
    (N,)

    Source: Devroye (1986), section II.2.
    """
    return quantile(cdf(_as_numbers(x, "x")))


def ecdf(observations: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The empirical cumulative distribution function: the share of the observations that are at most ``x``.

    Parameters
    ----------
    observations : (N,)
    x : of any shape

    Returns
    -------
    of the shape of ``x``, from 0 to 1 in steps of 1/N

    Raises
    ------
    ValueError
        There is no observation.

    Source: Silverman (1986), section 2.1.
    """
    observations = np.sort(_as_numbers(observations, "observations"))
    return np.searchsorted(observations, x, side="right") / len(observations)


def empirical_quantile(observations: np.ndarray, u: np.ndarray, *, interpolate: bool = False) -> np.ndarray:
    """The quantiles of observations: what turns uniform numbers into samples like them.

    With the observations sorted as ``s[0] ≤ … ≤ s[N-1]``: ``s[k]`` for the smallest k with ``(k + 1) / N ≥ u``, so that
    each observation is drawn equally often and nothing else is. With ``interpolate``, the line through the points
    ``(k / (N - 1), s[k])``, so that numbers between observations are drawn too, and none beyond the outermost.

    Parameters
    ----------
    observations : (N,)
    u : of any shape, from 0 to 1

    Returns
    -------
    of the shape of ``u``

    Raises
    ------
    ValueError
        There is no observation, or ``u`` leaves the interval from 0 to 1.

    Source: Hyndman and Fan, Sample quantiles in statistical packages, The American Statistician 50 (1996),
    definitions 1 and 7.
    """
    s, u = np.sort(_as_numbers(observations, "observations")), np.asarray(u, dtype=float)
    if not ((u >= 0) & (u <= 1)).all():
        raise ValueError(f"u reaches from {u.min()} to {u.max()}; expected probabilities from 0 to 1")
    if interpolate:
        return np.interp(u * (len(s) - 1), np.arange(len(s)), s)
    exact = u * len(s)
    near = np.round(exact)
    k = np.where(np.abs(exact - near) < 1e-9, near, np.ceil(exact))  # 0.1 · 10 may be a little above 1
    return s[np.clip(k.astype(int) - 1, 0, len(s) - 1)]


def box_muller(n: int, rng: np.random.Generator) -> np.ndarray:
    """Pairs of independent standard Gaussians from pairs of uniform numbers, without the Gaussian's quantile function.

    ``(x, y) = √(-2 log u) · (cos 2πv, sin 2πv)``: the radius is Rayleigh's, by inverse transform; the angle is uniform.

    Returns
    -------
    (n, 2)

    Source: Box and Muller, A note on the generation of random normal deviates, Annals of Mathematical Statistics 29
    (1958).
    """
    radius, angle = np.sqrt(-2 * np.log(uniform(n, rng))), 2 * np.pi * uniform(n, rng)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)


def ks_test(x: np.ndarray, cdf: Callable[[np.ndarray], np.ndarray]) -> tuple[float, float]:
    """Kolmogorov and Smirnov: do numbers come from the distribution F? The largest gap between F and their own.

    ``d = max over x of |F_N(x) - F(x)|``, at whose steps both sides are looked at. If the numbers are from a continuous
    F, the p-value is uniform on (0, 1).

    Parameters
    ----------
    x : (N,)
    cdf : F, of arrays

    Returns
    -------
    d : the gap
    p : the probability of a gap at least as large if the numbers are from F; exact

    Raises
    ------
    ValueError
        There is no number.

    Source: Massey, The Kolmogorov-Smirnov test for goodness of fit, J. American Statistical Association 46 (1951).
    """
    from scipy.stats import kstwo  # slow to import, and for this alone

    F = cdf(np.sort(_as_numbers(x, "x")))
    N = len(F)
    steps = np.arange(N + 1) / N
    d = float(max((steps[1:] - F).max(), (F - steps[:-1]).max()))
    return d, float(kstwo.sf(d, N))


# ------------------------------------------------------------------------------------------------ Gaussian mixtures


class Mixture(NamedTuple):
    """``p(x) = Σ weights[k] · N(x; means[k], covariances[k])``."""

    weights: np.ndarray  # (K,)
    means: np.ndarray  # (K, D)
    covariances: np.ndarray  # (K, D, D)


def _check_mixture(mixture: Mixture) -> tuple[int, int]:
    weights, means, covariances = map(np.asarray, mixture)
    if means.ndim != 2:
        raise ValueError(f"means has shape {means.shape}; expected (K, D)")
    K, D = means.shape
    if weights.shape != (K,):
        raise ValueError(f"weights has shape {weights.shape}; expected ({K},), one a component")
    if covariances.shape != (K, D, D):
        raise ValueError(f"covariances has shape {covariances.shape}; expected ({K}, {D}, {D})")
    if (weights < 0).any() or abs(weights.sum() - 1) > 1e-8:
        raise ValueError(f"weights {weights} are to be non-negative and to sum to 1")
    return K, D


def _cholesky(covariance: np.ndarray, name: str) -> np.ndarray:
    try:
        return np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        raise ValueError(
            f"{name} is not positive definite: its points lie in a plane, a line or one place; raise reg"
        ) from None


def gaussian_log_density(x: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """``log N(x; μ, Σ) = -½ (D log 2π + log det Σ + (x - μ)ᵀ Σ⁻¹ (x - μ))``, with the Cholesky factor of Σ.

    With ``Σ = L Lᵀ``, the quadratic form is the squared length of ``L⁻¹ (x - μ)``, and ``log det Σ = 2 Σ log L[i, i]``.

    Parameters
    ----------
    x : (N, D)
    mean : (D,)
    covariance : (D, D), positive definite

    Returns
    -------
    (N,)

    Raises
    ------
    ValueError
        A shape does not fit, or the covariance is not positive definite.

    Source: Bishop, Pattern recognition and machine learning (2006), equation 2.43.
    """
    mean, covariance = np.asarray(mean, dtype=float), np.asarray(covariance, dtype=float)
    if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)):
        raise ValueError(f"mean has shape {mean.shape}, covariance {covariance.shape}; expected (D,) and (D, D)")
    x = _same_features(x, len(mean), "mean")
    L = _cholesky(covariance, "covariance")
    z = np.linalg.solve(L, (x - mean).T)  # (D, N)
    return -0.5 * (len(mean) * math.log(2 * math.pi) + (z * z).sum(0)) - np.log(np.diag(L)).sum()


def mixture_log_terms(x: np.ndarray, mixture: Mixture) -> np.ndarray:
    """The logarithm of what each component adds: ``log weights[k] + log N(x[n]; means[k], covariances[k])``.

    Parameters
    ----------
    x : (N, D)

    Returns
    -------
    (N, K)

    Raises
    ------
    ValueError
        As :func:`mixture_log_density`.

    Source: Bishop (2006), equation 9.7.
    """
    _, D = _check_mixture(mixture)
    x = _same_features(x, D, "the mixture")
    with np.errstate(divide="ignore"):  # a component of weight 0 is never chosen: log 0 = -inf
        log_weights = np.log(mixture.weights)
    return np.stack([w + gaussian_log_density(x, *rest) for w, *rest in zip(log_weights, *mixture[1:], strict=True)], 1)


def mixture_log_density(x: np.ndarray, mixture: Mixture) -> np.ndarray:
    """``log Σ weights[k] · N(x; means[k], covariances[k])`` of each point.

    Parameters
    ----------
    x : (N, D)

    Returns
    -------
    (N,)

    Raises
    ------
    ValueError
        A shape does not fit, the weights are no probabilities, or a covariance is not positive definite.

    Source: Bishop (2006), equation 9.7.
    """
    return log_sum_exp(mixture_log_terms(x, mixture))


def responsibilities(x: np.ndarray, mixture: Mixture) -> tuple[np.ndarray, np.ndarray]:
    """The E step: from which component came each point? By Bayes' rule, with log-sum-exp in place of the sum.

    ``r[n, k] = weights[k] N(x[n]; k) / Σ over j of weights[j] N(x[n]; j)``

    Parameters
    ----------
    x : (N, D)

    Returns
    -------
    r : (N, K), each row sums to 1
    log_density : (N,)

    Raises
    ------
    ValueError
        As :func:`mixture_log_density`.

    Source: Bishop (2006), equation 9.23.
    """
    terms = mixture_log_terms(x, mixture)
    log_density = log_sum_exp(terms)
    return np.exp(terms - log_density[:, None]), log_density


def maximise(x: np.ndarray, r: np.ndarray, reg: float = 1e-6) -> Mixture:
    """The M step: weights, means and covariances of points that count for a component as much as it is responsible.

    ``N[k] = Σ r[n, k]``, ``weights[k] = N[k] / N``, ``means[k] = Σ r[n, k] x[n] / N[k]``,
    ``covariances[k] = Σ r[n, k] (x[n] - means[k]) (x[n] - means[k])ᵀ / N[k] + reg · I``

    Parameters
    ----------
    x : (N, D)
    r : (N, K), responsibilities
    reg : added to each variance, so that a component on one point keeps a width

    Returns
    -------
    Mixture of K components

    Raises
    ------
    ValueError
        The shapes do not fit, ``reg`` is negative, or a component is responsible for nothing.

    Source: Bishop (2006), equations 9.24 to 9.26.
    """
    x, r = as_points(x), np.asarray(r, dtype=float)
    if r.ndim != 2 or len(r) != len(x):
        raise ValueError(f"r has shape {r.shape}; expected ({len(x)}, K), a row a point")
    if reg < 0:
        raise ValueError(f"reg is {reg}; expected at least 0")
    counts = r.sum(0)
    if (counts <= 0).any():
        raise ValueError(f"component {int(counts.argmin())} is responsible for no point; take fewer or start elsewhere")
    means = (r.T @ x) / counts[:, None]
    covariances = np.empty((len(counts), x.shape[1], x.shape[1]))
    for k, mean in enumerate(means):
        d = x - mean
        covariances[k] = (r[:, k, None] * d).T @ d / counts[k] + reg * np.eye(x.shape[1])
    return Mixture(counts / counts.sum(), means, covariances)


def em(
    x: np.ndarray, start: Mixture, steps: int = 100, *, tol: float = 0.0, reg: float = 1e-6
) -> tuple[Mixture, list[float]]:
    """Fit a Gaussian mixture by expectation maximisation: responsibilities, then parameters, in turn.

    No step lowers the likelihood (with ``reg`` above 0, by no more than its effect on the variances). Where it ends
    depends on the start.

    Parameters
    ----------
    x : (N, D)
    start : the mixture to begin with, as from :func:`mixture_start`
    steps : how many at most
    tol : stop when the mean log-likelihood has risen by less; 0 never stops early
    reg : see :func:`maximise`

    Returns
    -------
    mixture : after the last step
    history : the mean log-likelihood before each step, and after the last

    Raises
    ------
    ValueError
        A shape does not fit, ``steps`` is negative, or a component has collapsed onto a place where it has no width.

    Source: Dempster, Laird and Rubin (1977); Bishop (2006), section 9.2.2.
    """
    if steps < 0:
        raise ValueError(f"steps is {steps}; expected at least 0")
    mixture = start
    r, log_density = responsibilities(x, mixture)
    history = [float(log_density.mean())]
    for _ in range(steps):
        mixture = maximise(x, r, reg)
        r, log_density = responsibilities(x, mixture)
        history.append(float(log_density.mean()))
        if tol and history[-1] - history[-2] < tol:
            break
    return mixture, history


def k_means(x: np.ndarray, K: int, rng: np.random.Generator, steps: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """K means by Lloyd: each point to its nearest centre, each centre to the mean of its points, until nothing moves.

    The first centres are points, each drawn in proportion to its squared distance from those before (k-means++). A
    centre that loses all its points stays.

    Parameters
    ----------
    x : (N, D)
    K : number of centres, at most N

    Returns
    -------
    centres : (K, D)
    labels : (N,), the nearest centre

    Raises
    ------
    ValueError
        ``K`` is below 1 or above the number of points.

    Source: Arthur and Vassilvitskii, k-means++, ACM-SIAM Symposium on Discrete Algorithms (2007).
    """
    x = as_points(x)
    if not 1 <= K <= len(x):
        raise ValueError(f"K is {K}; expected 1 to {len(x)}, the number of points")
    centres = x[[rng.integers(len(x))]]
    while len(centres) < K:
        far = cdist(x, centres, "sqeuclidean").min(1)
        p = far / far.sum() if far.any() else np.full(len(x), 1 / len(x))  # all points on centres: any will do
        centres = np.concatenate([centres, x[[rng.choice(len(x), p=p)]]])
    for _ in range(steps):
        labels = cdist(x, centres, "sqeuclidean").argmin(1)
        moved = np.stack([x[labels == k].mean(0) if (labels == k).any() else centres[k] for k in range(K)])
        if np.array_equal(moved, centres):
            break
        centres = moved
    return centres, cdist(x, centres, "sqeuclidean").argmin(1)


def mixture_start(x: np.ndarray, K: int, rng: np.random.Generator, reg: float = 1e-6) -> Mixture:
    """A mixture to begin EM with: the shares, means and covariances of the clusters of :func:`k_means`.

    Raises
    ------
    ValueError
        ``K`` is below 1 or above the number of distinct points.

    Source: Bishop (2006), section 9.2.2.
    """
    _, labels = k_means(x, K, rng)
    return maximise(x, np.eye(K)[labels], reg)


def sample_mixture(mixture: Mixture, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw from a mixture: the component, by :func:`sample_discrete`; then ``means[k] + L z`` with ``L Lᵀ = Σ[k]``.

    Returns
    -------
    x : (n, D)
    components : (n,)

    Raises
    ------
    ValueError
        As :func:`mixture_log_density`.

    Source: Bishop (2006), section 9.2 and section 11.1.1.
    """
    K, D = _check_mixture(mixture)
    components = sample_discrete(np.arange(K), mixture.weights, n, rng)
    L = np.stack([_cholesky(covariance, "covariance") for covariance in mixture.covariances])
    z = rng.normal(size=(n, D))
    return mixture.means[components] + np.einsum("nij,nj->ni", L[components], z), components


# ------------------------------------------------------------------------------------------- kernel density estimate

KERNELS = ("gaussian", "tophat", "epanechnikov")


def _log_kernel(r2: np.ndarray, D: int, kernel: str) -> np.ndarray:
    """The logarithm of a kernel of width 1 in D dimensions, at squared distance ``r2``."""
    if kernel == "gaussian":
        return -0.5 * (D * math.log(2 * math.pi) + r2)
    log_ball = D / 2 * math.log(math.pi) - math.lgamma(D / 2 + 1)  # the volume of the unit ball
    if kernel == "tophat":
        return np.where(r2 < 1, -log_ball, -np.inf)
    with np.errstate(divide="ignore"):
        return np.log(np.maximum(1 - r2, 0)) - log_ball + math.log((D + 2) / 2)


def _check_kernel(bandwidth: float, kernel: str) -> None:
    if not 0 < bandwidth < math.inf:
        raise ValueError(f"bandwidth is {bandwidth}; expected a positive number")
    if kernel not in KERNELS:
        raise ValueError(f"kernel is {kernel!r}; expected one of {', '.join(KERNELS)}")


def kde_log_density(x: np.ndarray, points: np.ndarray, bandwidth: float, kernel: str = "gaussian") -> np.ndarray:
    """Kernel density estimate: a bump on each point, ``log p(x) = log (1/M) Σ over m of K((x - points[m]) / h) / h^D``.

    Parameters
    ----------
    x : (N, D), where the density is asked
    points : (M, D), the observations
    bandwidth : h, the width of a bump
    kernel : K of the distance r: ``"gaussian"`` exp(-r²/2), ``"tophat"`` 1 within r < 1, or ``"epanechnikov"`` 1 - r²
        within r < 1, each divided by its integral

    Returns
    -------
    (N,); -inf where no bump reaches

    Raises
    ------
    ValueError
        A shape does not fit, there is no point, the bandwidth is not positive, or there is no such kernel.

    Source: Silverman (1986), equations 4.1 to 4.4.
    """
    _check_kernel(bandwidth, kernel)
    points = as_points(points, "points")
    D = points.shape[1]
    x = _same_features(x, D, "points")
    out = np.empty(len(x))
    for i in range(0, len(x), 1024):  # a block of rows at a time: of 10,000 points, 80 MB
        r2 = cdist(x[i : i + 1024], points, "sqeuclidean") / bandwidth**2
        out[i : i + 1024] = log_sum_exp(_log_kernel(r2, D, kernel))
    return out - math.log(len(points)) - D * math.log(bandwidth)


def kde_leave_one_out(points: np.ndarray, bandwidth: float, kernel: str = "gaussian") -> float:
    """Mean log density of each point under the bumps of all others. The bandwidth that makes it largest is a good one.

    Without leaving out, the best bandwidth is 0: each point is then on the top of its own bump.

    Parameters
    ----------
    points : (M, D), at least 2

    Raises
    ------
    ValueError
        As :func:`kde_log_density`, or there is one point only.

    Source: Silverman (1986), section 3.4.4.
    """
    _check_kernel(bandwidth, kernel)
    points = as_points(points, "points", least=2)
    M, D = points.shape
    terms = _log_kernel(cdist(points, points, "sqeuclidean") / bandwidth**2, D, kernel)
    np.fill_diagonal(terms, -np.inf)
    return float(log_sum_exp(terms).mean() - math.log(M - 1) - D * math.log(bandwidth))


def scott_bandwidth(points: np.ndarray) -> float:
    """``h = s · M^(-1 / (D + 4))``, with s² the mean of the D variances: good for one Gaussian, too wide for several.

    Raises
    ------
    ValueError
        There are fewer than 2 points.

    Source: Scott, Multivariate density estimation (1992), equation 6.42.
    """
    points = as_points(points, "points", least=2)
    M, D = points.shape
    return float(np.sqrt(points.var(0, ddof=1).mean()) * M ** (-1 / (D + 4)))


def sample_kde(
    points: np.ndarray, bandwidth: float, n: int, rng: np.random.Generator, kernel: str = "gaussian"
) -> np.ndarray:
    """Draw from a kernel density estimate: a point of the data, then a step from it that follows the kernel.

    The steps of the Gaussian kernel are ``h z``. Those of the other two have a uniform direction and a length ``h √b``,
    where b follows Beta(D/2, 1) for the top hat and Beta(D/2, 2) for Epanechnikov's kernel.

    Parameters
    ----------
    points : (M, D)

    Returns
    -------
    (n, D)

    Raises
    ------
    ValueError
        As :func:`kde_log_density`.

    Source: Silverman (1986), section 6.4; Devroye (1986), section XI.
    """
    _check_kernel(bandwidth, kernel)
    points = as_points(points, "points")
    D = points.shape[1]
    steps = rng.normal(size=(n, D))
    if kernel != "gaussian":
        steps /= np.linalg.norm(steps, axis=1, keepdims=True)
        steps *= np.sqrt(rng.beta(D / 2, 1 if kernel == "tophat" else 2, size=(n, 1)))
    return points[rng.integers(len(points), size=n)] + bandwidth * steps
