"""Chapter 19: how sure? Bayesian linear regression, also on a network's last layer, and conformal prediction.

    posterior = linear_posterior(features, targets, alpha=1.0, beta=25.0)
    mean, std = predict(posterior, new)                    # of the target, noise and doubt together
    q = conformal_quantile(residuals, alpha=0.1)           # of calibration examples that training has not seen
    low, high = intervals(predictions, q)                  # hold 90% of new targets, whatever the model

The two answer in different ways. Bayes' rule turns a prior over weights into a posterior, exact if model, prior and
noise are as assumed. Conformal prediction assumes only that calibration and test examples are exchangeable, takes any
model, and promises how often the answer is among the predicted ones, on average over everything.

Sources: Bishop, Pattern recognition and machine learning, Springer (2006), sections 3.3 and 3.5; MacKay, Bayesian
interpolation, Neural Computation 4 (1992); Snoek and others, Scalable Bayesian optimization using deep neural
networks, ICML (2015), arXiv:1502.05700; Vovk, Gammerman and Shafer, Algorithmic learning in a random world, Springer
(2005); Lei and others, Distribution-free predictive inference for regression, JASA 113 (2018), arXiv:1604.04173;
Angelopoulos and Bates, A gentle introduction to conformal prediction (2021), arXiv:2107.07511.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy import stats

from dlcourse.arrays import as_float

# ---------------------------------------------------------------------------------------------- Bayesian regression


class Posterior(NamedTuple):
    """Weights ~ N(``mean`` (D,), ``covariance`` (D, D)); ``beta`` is the noise's precision, ``alpha`` the prior's."""

    mean: np.ndarray
    covariance: np.ndarray
    alpha: float
    beta: float


def _examples(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x, y = as_float(x, "x"), as_float(y, "y")
    if x.ndim != 2 or y.shape != (len(x),):
        raise ValueError(f"x has shape {x.shape} and y {y.shape}; expected (N, D) and (N,)")
    return x, y


def _precisions(alpha: float, beta: float) -> None:
    if not (0 < alpha < math.inf and 0 < beta < math.inf):
        raise ValueError(f"alpha is {alpha} and beta {beta}; expected positive numbers")


def linear_posterior(x: np.ndarray, y: np.ndarray, alpha: float, beta: float) -> Posterior:
    """What the examples say about w, if ``y = x w + noise``, w ~ N(0, I / α), noise ~ N(0, 1 / β).

    ``covariance = (α I + β xᵀ x)⁻¹`` and ``mean = β covariance xᵀ y``: ridge regression with λ = α / β, and how sure
    it is.

    Parameters
    ----------
    x : (N, D); a column of ones makes a bias, with the same prior
    y : (N,)

    Raises
    ------
    ValueError
        A shape or dtype does not fit, or a precision is not positive.

    Source: Bishop (2006), equations 3.53 and 3.54.
    """
    x, y = _examples(x, y)
    _precisions(alpha, beta)
    values, vectors = np.linalg.eigh(x.T @ x)  # one decomposition serves both
    spread = 1 / (alpha + beta * np.maximum(values, 0))
    covariance = (vectors * spread) @ vectors.T
    return Posterior(beta * vectors @ (spread * (vectors.T @ (x.T @ y))), covariance, float(alpha), float(beta))


def predict(posterior: Posterior, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of new targets: ``x w``, and the root of ``1 / β + x covariance xᵀ``.

    The first part is noise, which more examples do not take away; the second is doubt about w, which they do.

    Source: Bishop (2006), equations 3.58 and 3.59.
    """
    x = as_float(x, "x")
    if x.ndim != 2 or x.shape[1] != len(posterior.mean):
        raise ValueError(f"x has shape {x.shape}; expected (N, {len(posterior.mean)})")
    doubt = np.einsum("nd,de,ne->n", x, posterior.covariance, x, optimize=True)
    return x @ posterior.mean, np.sqrt(1 / posterior.beta + doubt)


def log_evidence(x: np.ndarray, y: np.ndarray, alpha: float, beta: float) -> float:
    """``log p(y | x, α, β) = log N(y; 0, I / β + x xᵀ / α)``: how well model and precisions fit, weights averaged out.

    Source: Bishop (2006), equation 3.86.
    """
    x, y = _examples(x, y)
    mean, covariance, _, _ = linear_posterior(x, y, alpha, beta)
    N, D = x.shape
    misfit = beta / 2 * np.sum((y - x @ mean) ** 2) + alpha / 2 * mean @ mean
    return float(
        D / 2 * math.log(alpha)
        + N / 2 * math.log(beta)
        - misfit
        + np.linalg.slogdet(covariance)[1] / 2
        - N / 2 * math.log(2 * math.pi)
    )


def fit_precisions(x: np.ndarray, y: np.ndarray, *, tol: float = 1e-8, limit: int = 1000) -> Posterior:
    """The posterior at the α and β that make the evidence largest.

    In turn: ``γ = Σ β s / (α + β s)`` over the eigenvalues s of xᵀx counts the weights that the examples decide;
    then ``α = γ / |w|²`` and ``β = (N - γ) / |y - x w|²``.

    Raises
    ------
    ValueError
        A shape or dtype does not fit, or there is no example.

    Source: MacKay (1992); Bishop (2006), section 3.5.2.
    """
    x, y = _examples(x, y)
    if not len(x):
        raise ValueError("x has no rows; expected at least one example")
    values = np.maximum(np.linalg.eigvalsh(x.T @ x), 0)
    alpha, beta = 1.0, 1 / max(float(y.var()), 1e-12)
    for _ in range(limit):
        mean = linear_posterior(x, y, alpha, beta).mean
        known = np.sum(beta * values / (alpha + beta * values))
        old = alpha, beta
        alpha = float(known / max(mean @ mean, 1e-12))
        beta = float((len(y) - known) / max(np.sum((y - x @ mean) ** 2), 1e-12))
        if abs(alpha - old[0]) <= tol * old[0] and abs(beta - old[1]) <= tol * old[1]:
            break
    return linear_posterior(x, y, alpha, beta)


# ----------------------------------------------------------------------------------------------- conformal prediction


def conformal_quantile(scores: np.ndarray, alpha: float) -> float:
    """The ``ceil((n + 1)(1 - α))``-th smallest of n calibration scores; infinite where n is too small for that.

    A new score is as likely to fall into each of the n + 1 gaps between the old ones. So it is at most this one with
    probability ``1 - α`` or more, and, without ties, less than ``1 - α + 1 / (n + 1)``.

    Parameters
    ----------
    scores : (n,); a large one says that the model was wrong
    alpha : how often a prediction may miss, between 0 and 1

    Raises
    ------
    ValueError
        The scores have another shape, one is nan, or ``alpha`` is out of range.

    Source: Vovk, Gammerman and Shafer (2005), chapter 2; Lei and others (2018), theorem 2.2.
    """
    scores = np.asarray(scores, dtype=float)
    if scores.ndim != 1 or np.isnan(scores).any():
        raise ValueError(f"scores has shape {scores.shape}; expected (n,) numbers, none of them nan")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}; expected a number between 0 and 1")
    rank = math.ceil(round((len(scores) + 1) * (1 - alpha), 9))  # rounded: 10 · (1 - 0.1) is to be 9, not a bit more
    return float(np.sort(scores)[rank - 1]) if rank <= len(scores) else math.inf


def intervals(predictions: np.ndarray, q: float, scale: np.ndarray | float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """``prediction ± q · scale`` where q is the quantile of the scores ``|y - prediction| / scale``.

    Parameters
    ----------
    predictions : (N,)
    scale : (N,), how hard each example is held to be; with 1 all intervals are equally long

    Source: Lei and others (2018), sections 2.2 and 5.2.
    """
    predictions = np.asarray(predictions)
    return predictions - q * scale, predictions + q * scale


def class_scores(probabilities: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """``1 - p(true class)`` for each example: probabilities (N, C), targets (N,).

    Source: Angelopoulos and Bates (2021), section 1.
    """
    probabilities, targets = as_float(probabilities, "probabilities"), np.asarray(targets)
    if probabilities.ndim != 2 or targets.shape != (len(probabilities),):
        raise ValueError(
            f"probabilities has shape {probabilities.shape} and targets {targets.shape}; expected (N, C) and (N,)"
        )
    return 1 - probabilities[np.arange(len(targets)), targets]


def prediction_sets(probabilities: np.ndarray, q: float) -> np.ndarray:
    """Which classes stay possible: those with ``1 - p ≤ q``, as (N, C) booleans. A set may be empty, or hold them all.

    Source: Angelopoulos and Bates (2021), section 1.
    """
    return 1 - as_float(probabilities, "probabilities") <= q


class Coverage(NamedTuple):
    """Of one split: the share of test examples whose answer was predicted, and the mean size of what was predicted."""

    covered: float
    size: float


def split_sets(
    probabilities: np.ndarray, targets: np.ndarray, calibration: int, alpha: float, rng: np.random.Generator
) -> Coverage:
    """Shuffle held-out examples, calibrate on the first so many, predict sets for the others.

    Source: Angelopoulos and Bates (2021), section 3.
    """
    held, rest = _split(len(targets), calibration, rng)
    targets = np.asarray(targets)
    q = conformal_quantile(class_scores(probabilities[held], targets[held]), alpha)
    sets = prediction_sets(probabilities[rest], q)
    return Coverage(float(sets[np.arange(len(rest)), targets[rest]].mean()), float(sets.sum(axis=1).mean()))


def split_intervals(
    predictions: np.ndarray,
    targets: np.ndarray,
    calibration: int,
    alpha: float,
    rng: np.random.Generator,
    scale: np.ndarray | None = None,
) -> Coverage:
    """The same for numbers: shuffle, calibrate on the first so many, predict intervals for the others.

    Source: Lei and others (2018), algorithm 2.
    """
    held, rest = _split(len(targets), calibration, rng)
    scale = np.ones(len(targets)) if scale is None else np.asarray(scale)
    q = conformal_quantile(np.abs(targets - predictions)[held] / scale[held], alpha)
    low, high = intervals(predictions[rest], q, scale[rest])
    return Coverage(float(((low <= targets[rest]) & (targets[rest] <= high)).mean()), float((high - low).mean()))


def _split(count: int, calibration: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    if not 0 < calibration < count:
        raise ValueError(f"calibration is {calibration}; expected a number from 1 to {count - 1}")
    order = rng.permutation(count)
    return order[:calibration], order[calibration:]


def coverage_spread(calibration: int, alpha: float, mass: float = 0.95) -> tuple[float, float]:
    """Between which coverages a split of that size lies with probability ``mass``, tested on endlessly many examples.

    The coverage of one calibration set is itself random: Beta(k, n + 1 - k) with ``k = ceil((n + 1)(1 - α))``.

    Raises
    ------
    ValueError
        The calibration set is too small to exclude anything.

    Source: Vovk, Gammerman and Shafer (2005); Angelopoulos and Bates (2021), section 3.2.
    """
    rank = math.ceil(round((calibration + 1) * (1 - alpha), 9))
    if rank > calibration:
        raise ValueError(f"calibration is {calibration}; expected at least {math.ceil(round(1 / alpha - 1, 9))}")
    low, high = stats.beta(rank, calibration + 1 - rank).interval(mass)
    return float(low), float(high)
