"""Diffusion by hand: noise schedules, the closed-form forward process, what a network may predict, and two samplers.

    bars = alpha_bars(cosine_betas(200))                       # ᾱ_0 = 1, ᾱ_1, ..., ᾱ_200: the whole schedule
    x_t = add_noise(x0, t, noise, bars)                        # any step at once
    predict = mixture_noise(weights, means, variances, bars)   # the best there is, for a mixture of Gaussians
    x = ddim_sample(predict, x_T, bars, steps=20)              # noise to data

A schedule is one array, ``bars`` (T + 1,), from ᾱ_0 = 1 down to nearly 0. A noise predictor is any function of
``(x, t)`` with a whole number ``t`` from 1 to T; the samplers take NumPy arrays and torch tensors alike. Networks that
learn to be one are in :mod:`dlcourse.denoiser`.

References
----------
Sohl-Dickstein, Weiss, Maheswaranathan and Ganguli, Deep unsupervised learning using nonequilibrium thermodynamics, ICML
(2015), arXiv:1503.03585. Ho, Jain and Abbeel, Denoising diffusion probabilistic models, NeurIPS (2020),
arXiv:2006.11239. Song, Meng and Ermon, Denoising diffusion implicit models, ICLR (2021), arXiv:2010.02502. Nichol and
Dhariwal, Improved denoising diffusion probabilistic models, ICML (2021), arXiv:2102.09672. Song et al., Score-based
generative modeling through stochastic differential equations, ICLR (2021), arXiv:2011.13456. Salimans and Ho,
Progressive distillation for fast sampling of diffusion models, ICLR (2022), arXiv:2202.00512. Ho and Salimans,
Classifier-free diffusion guidance (2022), arXiv:2207.12598.
"""

from __future__ import annotations

import collections
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Array = Any  # of NumPy or a tensor of torch
Predictor = Callable[[Array, int], Array]

PREDICTIONS = ("noise", "x", "v")
LEFT = 1e-3  # the most signal, ᾱ_T, that may be left at the end

# ----------------------------------------------------------------------------------------------------------- schedules


def linear_betas(T: int, first: float | None = None, last: float | None = None) -> np.ndarray:
    """β_1, ..., β_T on a line: ``(T,)``.

    By default from 0.1 / T to 20 / T, which for T = 1000 is the paper's 0.0001 to 0.02: then ᾱ_T is about 4e-5 for any
    T. Steps that are fewer must be larger.

    Raises
    ------
    ValueError
        T is below 1, or a β lies outside 0 to 1; with the default ends that is so for T up to 20.

    Source: Ho et al. (2020), section 4.
    """
    _at_least(T, 1, "T")
    ends = (0.1 / T if first is None else first), (20 / T if last is None else last)
    if not all(0 < beta < 1 for beta in ends):
        raise ValueError(f"betas run from {ends[0]:g} to {ends[1]:g}; expected numbers between 0 and 1")
    return np.linspace(*ends, T)


def cosine_betas(T: int, offset: float = 0.008, largest: float = 0.999) -> np.ndarray:
    """β_t = 1 - ᾱ_t / ᾱ_{t-1} with ``ᾱ_t ∝ cos²(π/2 · (t/T + offset) / (1 + offset))``, at most ``largest``: ``(T,)``.

    Raises
    ------
    ValueError
        T is below 1, ``offset`` is negative, or ``largest`` is not between 0 and 1.

    Source: Nichol and Dhariwal (2021), equation 17.
    """
    _at_least(T, 1, "T")
    if offset < 0:
        raise ValueError(f"offset is {offset}; expected at least 0")
    if not 0 < largest < 1:
        raise ValueError(f"largest is {largest}; expected a number between 0 and 1")
    curve = np.cos(np.pi / 2 * (np.arange(T + 1) / T + offset) / (1 + offset)) ** 2
    return np.minimum(1 - curve[1:] / curve[:-1], largest)


def alpha_bars(betas: npt.ArrayLike, *, left: float = LEFT) -> np.ndarray:
    """ᾱ_t = (1 - β_1) ... (1 - β_t), with ᾱ_0 = 1 in front: ``(T + 1,)``, float64.

    Parameters
    ----------
    betas : (T,), the share of variance that each step replaces by noise
    left : ᾱ_T must be below. Samplers start from N(0, 1), and that is where the forward process must end.

    Raises
    ------
    ValueError
        ``betas`` is no array (T,) of numbers between 0 and 1, or too much signal is left at the end.

    Source: Ho et al. (2020), equation 4.
    """
    betas = np.asarray(betas, np.float64)
    if betas.ndim != 1 or not betas.size:
        raise ValueError(f"betas has shape {betas.shape}; expected (T,) with T at least 1")
    if not ((betas > 0) & (betas < 1)).all():
        raise ValueError(f"betas run from {betas.min():g} to {betas.max():g}; expected numbers between 0 and 1")
    bars = np.concatenate([[1.0], np.cumprod(1 - betas)])
    if not bars[-1] < left:
        raise ValueError(
            f"betas leave ᾱ_T = {bars[-1]:.2g} after {len(betas)} steps; expected below {left:g}, so that x_T is "
            "noise. Take more steps or larger betas, such as linear_betas(T) or cosine_betas(T)"
        )
    return bars


def spaced(T: int, steps: int | None = None) -> np.ndarray:
    """The times that a sampler visits: ``steps + 1`` whole numbers from T down to 0, evenly spaced; by default all.

    Raises
    ------
    ValueError
        ``steps`` is not between 1 and T.
    """
    steps = T if steps is None else steps
    if not 1 <= steps <= T:
        raise ValueError(f"steps is {steps}; expected 1 to {T}")
    return np.linspace(T, 0, steps + 1).round().astype(np.int64)


# ----------------------------------------------------------------------------------------------------- forward process


def add_noise(x0: Array, t: Array, noise: Array, bars: np.ndarray) -> Array:
    """``x_t = √ᾱ_t x_0 + √(1 - ᾱ_t) ε``: all t steps of the forward process at once.

    Parameters
    ----------
    x0, noise : (N, ...), the noise drawn from N(0, 1)
    t : a whole number, or (N,) of them, 0 to T
    bars : (T + 1,)

    Raises
    ------
    ValueError
        ``noise`` has another shape than ``x0``, or ``t`` is out of range.

    Source: Ho et al. (2020), equation 4.
    """
    if noise.shape != x0.shape:
        raise ValueError(f"noise has shape {tuple(noise.shape)}; expected that of x0, {tuple(x0.shape)}")
    a, s = scales(x0, t, bars)
    return a * x0 + s * noise


def one_noise_step(x: np.ndarray, t: int, noise: np.ndarray, bars: np.ndarray) -> np.ndarray:
    """``x_t = √(1 - β_t) x_{t-1} + √β_t ε``: one step of the forward process; t of them are :func:`add_noise`.

    Source: Ho et al. (2020), equation 2.
    """
    alpha = _bar(bars, t) / _bar(bars, t - 1)
    return alpha**0.5 * x + (1 - alpha) ** 0.5 * noise


def scales(x: Array, t: Array, bars: np.ndarray) -> tuple[Array, Array]:
    """√ᾱ_t and √(1 - ᾱ_t), in a shape that multiplies x; numbers for one t, (N, 1, ...) for t of shape (N,).

    Raises
    ------
    ValueError
        ``t`` is out of range, or does not have an entry for each x.
    """
    t = np.asarray(t)
    if t.size and (t.min() < 0 or t.max() >= len(bars)):
        raise ValueError(f"t runs from {t.min()} to {t.max()}; expected 0 to {len(bars) - 1}")
    if t.ndim == 0:
        bar = float(bars[int(t)])
        return bar**0.5, (1 - bar) ** 0.5
    if t.shape != x.shape[:1]:
        raise ValueError(f"t has shape {t.shape}; expected ({len(x)},), a time for each x, or one number")
    bar = bars[t].reshape(-1, *[1] * (x.ndim - 1))
    return _like(bar**0.5, x), _like((1 - bar) ** 0.5, x)


def posterior(x0: Array, xt: Array, t: int, bars: np.ndarray, s: int | None = None) -> tuple[Array, float]:
    """Mean and variance of x_s given both x_t and x_0, for a time s before t; by default s = t - 1.

    With ``a = ᾱ_t / ᾱ_s`` the mean is ``(√ᾱ_s (1 - a) x_0 + √a (1 - ᾱ_s) x_t) / (1 - ᾱ_t)`` and the variance
    ``(1 - a) (1 - ᾱ_s) / (1 - ᾱ_t)``: a product of two Gaussians, that of x_s given x_0 and that of x_t given x_s.

    Raises
    ------
    ValueError
        Not 0 <= s < t <= T.

    Source: Ho et al. (2020), equations 6 and 7, where s = t - 1.
    """
    s = t - 1 if s is None else s
    _order(s, t, bars)
    bar_t, bar_s = _bar(bars, t), _bar(bars, s)
    a = bar_t / bar_s
    mean = (bar_s**0.5 * (1 - a) * x0 + a**0.5 * (1 - bar_s) * xt) / (1 - bar_t)
    return mean, (1 - a) * (1 - bar_s) / (1 - bar_t)


# ------------------------------------------------------------------------------------------- what the network predicts


def convert(
    prediction: Array, xt: Array, t: Array, bars: np.ndarray, *, given: str = "noise", wanted: str = "x"
) -> Array:
    """From one prediction to another. With ``a = √ᾱ_t`` and ``s = √(1 - ᾱ_t)``:

        x_t = a x + s ε,    v = a ε - s x,    and so    x = a x_t - s v,    ε = s x_t + a v

    Parameters
    ----------
    prediction, xt : (N, ...)
    t : a whole number from 1 to T, or (N,) of them
    given, wanted : ``noise`` (ε), ``x`` (the clean x_0) or ``v``

    Raises
    ------
    ValueError
        There is no such prediction, or ``t`` is out of range.

    Source: Salimans and Ho (2022), section 4 and appendix D.
    """
    for name, value in (("given", given), ("wanted", wanted)):
        if value not in PREDICTIONS:
            raise ValueError(f"{name} is {value!r}; expected one of {', '.join(PREDICTIONS)}")
    if given == wanted:
        return prediction
    if np.min(t) < 1:
        raise ValueError(f"t is {np.min(t)}; expected at least 1, since x_0 holds no noise to tell apart")
    a, s = scales(xt, t, bars)
    if given == "noise":
        x, noise = (xt - s * prediction) / a, prediction
    elif given == "x":
        x, noise = prediction, (xt - a * prediction) / s
    else:
        x, noise = a * xt - s * prediction, s * xt + a * prediction
    return {"noise": noise, "x": x, "v": a * noise - s * x}[wanted]


def score_from_noise(noise: Array, t: Array, bars: np.ndarray) -> Array:
    """``∇ log p_t(x_t) = -ε / √(1 - ᾱ_t)``: the score of the noised data, from the mean of the noise given x_t.

    Source: Song et al. (2021), and Vincent, A connection between score matching and denoising autoencoders, Neural
    Computation 23 (2011).
    """
    return -noise / scales(noise, t, bars)[1]


def guided(with_label: Array, without: Array, guidance: float) -> Array:
    """``ε(x) + g (ε(x, y) - ε(x))``: 0 forgets the label, 1 is plain conditioning, more exaggerates what it changes.

    Source: Ho and Salimans (2022), equation 6, whose w is g - 1.
    """
    return without + guidance * (with_label - without)


# ------------------------------------------------------------------------------------------------------------ samplers


def one_step(predict: Predictor, x: Array, bars: np.ndarray) -> Array:
    """``x_T - ε(x_T, T)``: the one-step formula of the lecture notes. It is here to be seen failing.

    Source: F. Minhas, lecture slides CS909, University of Warwick.
    """
    return x - predict(x, len(bars) - 1)


def ddpm_step(noise: Array, xt: Array, t: int, bars: np.ndarray, z: Array, s: int | None = None, clip=None) -> Array:
    """From x_t to x_s, by default s = t - 1: draw from the :func:`posterior` of what the predicted noise says x_0 is.

    Parameters
    ----------
    noise : what the predictor says, of the shape of ``xt``
    z : from N(0, 1), of the same shape; it plays no part in the last step, whose variance is 0
    clip : (low, high) of the data, to which the predicted x_0 is clipped; None clips nothing

    Source: Ho et al. (2020), algorithm 2, with the smaller of its two variances.
    """
    mean, variance = posterior(_clean(noise, xt, t, bars, clip), xt, t, bars, s)
    return mean + variance**0.5 * z


def ddim_step(noise: Array, xt: Array, t: int, bars: np.ndarray, s: int | None = None, clip=None) -> Array:
    """From x_t to x_s: ``√ᾱ_s x_0 + √(1 - ᾱ_s) ε`` with the x_0 and the ε that the predictor says. Draws nothing.

    Source: Song, Meng and Ermon (2021), equation 12 with σ = 0.
    """
    s = t - 1 if s is None else s
    _order(s, t, bars)
    x0 = _clean(noise, xt, t, bars, clip)
    if clip is not None:
        noise = convert(x0, xt, t, bars, given="x", wanted="noise")
    return _bar(bars, s) ** 0.5 * x0 + (1 - _bar(bars, s)) ** 0.5 * noise


def ddpm_sample(
    predict: Predictor, x: Array, bars: np.ndarray, rng: np.random.Generator, *, steps: int | None = None, clip=None
) -> Array:
    """Noise ``x`` = x_T to data, by :func:`ddpm_step` along ``steps`` evenly spaced times (by default all T).

    Source: Ho et al. (2020), algorithm 2.
    """
    return last(ddpm_path(predict, x, bars, rng, steps=steps, clip=clip))


def ddim_sample(predict: Predictor, x: Array, bars: np.ndarray, *, steps: int | None = None, clip=None) -> Array:
    """Noise ``x`` = x_T to data, by :func:`ddim_step`: the same noise gives the same data.

    Source: Song, Meng and Ermon (2021), equation 12.
    """
    return last(ddim_path(predict, x, bars, steps=steps, clip=clip))


def ddpm_path(
    predict: Predictor, x: Array, bars: np.ndarray, rng: np.random.Generator, *, steps: int | None = None, clip=None
) -> Iterator[Array]:
    """x_T, and every x after it that :func:`ddpm_sample` goes through."""
    yield x
    for t, s in _pairs(len(bars) - 1, steps):
        x = ddpm_step(predict(x, t), x, t, bars, _normal(x, rng), s, clip)
        yield x


def ddim_path(
    predict: Predictor, x: Array, bars: np.ndarray, *, steps: int | None = None, clip=None
) -> Iterator[Array]:
    """x_T, and every x after it that :func:`ddim_sample` goes through."""
    yield x
    for t, s in _pairs(len(bars) - 1, steps):
        x = ddim_step(predict(x, t), x, t, bars, s, clip)
        yield x


def last(path: Iterator[Array]) -> Array:
    """The end of a path; nothing before it is kept."""
    return collections.deque(path, maxlen=1)[0]


def langevin(
    score: Callable[[np.ndarray], np.ndarray], x: np.ndarray, size: float, steps: int, rng: np.random.Generator
) -> np.ndarray:
    """``x + size · score(x) + √(2 size) z``, again and again: it ends in the distribution whose score it is.

    Exactly so only for small sizes and many steps.

    Raises
    ------
    ValueError
        ``size`` is not positive, or ``steps`` is negative.

    Source: Song and Ermon, Generative modeling by estimating gradients of the data distribution, NeurIPS (2019),
    arXiv:1907.05600, equation 4, with its ε as 2 size.
    """
    if not size > 0 or steps < 0:
        raise ValueError(f"size is {size} and steps is {steps}; expected size above 0 and steps of at least 0")
    for _ in range(steps):
        x = x + size * score(x) + (2 * size) ** 0.5 * _normal(x, rng)
    return x


# ------------------------------------------------------------------------------------------- a mixture: all is known


def mixture_sample(
    weights: npt.ArrayLike, means: npt.ArrayLike, variances: npt.ArrayLike, n: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw from Σ_k w_k N(m_k, v_k I): points (n, D), and which bump (n,) each is from.

    Raises
    ------
    ValueError
        The three do not describe a mixture.
    """
    weights, means, variances = _mixture(weights, means, variances)
    k = rng.choice(len(weights), n, p=weights)
    return means[k] + variances[k, None] ** 0.5 * rng.standard_normal((n, means.shape[1])), k


def mixture_log_density(
    x: np.ndarray, weights: npt.ArrayLike, means: npt.ArrayLike, variances: npt.ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    """``log p(x)`` (N,), and ``p(k | x)`` (N, K), of a mixture of round Gaussians.

    Raises
    ------
    ValueError
        The three do not describe a mixture, x is not (N, D), or a variance is 0.
    """
    weights, means, variances = _mixture(weights, means, variances)
    if x.ndim != 2 or x.shape[1] != means.shape[1]:
        raise ValueError(f"x has shape {x.shape}; expected (N, {means.shape[1]})")
    if not variances.min() > 0:
        raise ValueError("variances holds a 0; a density needs them above 0")
    D = means.shape[1]
    squares = ((x[:, None] - means) ** 2).sum(axis=2)  # (N, K)
    with np.errstate(divide="ignore"):  # a bump of weight 0 has log -inf, as it should
        logs = np.log(weights) - D / 2 * np.log(2 * np.pi * variances) - squares / (2 * variances)
    highest = logs.max(axis=1, keepdims=True)
    raised = np.exp(logs - highest)
    total = raised.sum(axis=1, keepdims=True)
    return (highest + np.log(total))[:, 0], raised / total


def mixture_score(x: np.ndarray, weights: npt.ArrayLike, means: npt.ArrayLike, variances: npt.ArrayLike) -> np.ndarray:
    """``∇ log p(x) = Σ_k p(k | x) (m_k - x) / v_k``: (N, D), uphill towards the bumps that x may be from."""
    _, shares = mixture_log_density(x, weights, means, variances)
    _, means, variances = _mixture(weights, means, variances)
    return (shares / variances) @ means - (shares / variances).sum(axis=1, keepdims=True) * x


def noised_mixture(
    weights: npt.ArrayLike, means: npt.ArrayLike, variances: npt.ArrayLike, t: int, bars: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What the forward process makes of a mixture: the same weights, means √ᾱ_t m_k, variances ᾱ_t v_k + 1 - ᾱ_t."""
    weights, means, variances = _mixture(weights, means, variances)
    bar = _bar(bars, t)
    return weights, bar**0.5 * means, bar * variances + 1 - bar


def mixture_noise(
    weights: npt.ArrayLike, means: npt.ArrayLike, variances: npt.ArrayLike, bars: np.ndarray
) -> Predictor:
    """The best noise predictor for data from a mixture, E[ε | x_t] = -√(1 - ᾱ_t) ∇ log p_t(x_t), as a function of x
    (N, D) and t. Variances may be 0.

    Source: Song et al. (2021), section 3.2, applied to a mixture.
    """

    def predict(x: np.ndarray, t: int) -> np.ndarray:
        return -((1 - _bar(bars, t)) ** 0.5) * mixture_score(x, *noised_mixture(weights, means, variances, t, bars))

    return predict


def entropy(density: Callable[[np.ndarray], np.ndarray], low: float, high: float, points: int = 4001) -> float:
    """``-∫ p log p`` in nats, of a density on a line, by the trapezoid rule between ``low`` and ``high``.

    Raises
    ------
    ValueError
        Not low < high, or fewer than 2 points.
    """
    if not low < high or points < 2:
        raise ValueError(f"low is {low}, high {high}, points {points}; expected low below high and at least 2 points")
    x = np.linspace(low, high, points)
    p = density(x)
    values = -p * np.log(np.where(p > 0, p, 1))
    return float(((values[1:] + values[:-1]) / 2).sum() * (x[1] - x[0]))


# ------------------------------------------------------------------------------------------------------------- helpers


def _at_least(value: int, least: int, name: str) -> None:
    if value < least:
        raise ValueError(f"{name} is {value}; expected at least {least}")


def _bar(bars: np.ndarray, t: int) -> float:
    if not 0 <= t < len(bars):
        raise ValueError(f"t is {t}; expected 0 to {len(bars) - 1}")
    return float(bars[t])


def _order(s: int, t: int, bars: np.ndarray) -> None:
    if not 0 <= s < t < len(bars):
        raise ValueError(f"s is {s} and t is {t}; expected 0 <= s < t <= {len(bars) - 1}")


def _pairs(T: int, steps: int | None) -> Iterator[tuple[int, int]]:
    return itertools.pairwise(spaced(T, steps).tolist())


def _clean(noise: Array, xt: Array, t: int, bars: np.ndarray, clip: tuple[float, float] | None) -> Array:
    x0 = convert(noise, xt, t, bars)
    return x0 if clip is None else x0.clip(*clip)


def _like(a: np.ndarray, x: Array) -> Array:
    """An array as what x is, in its dtype and on its device."""
    return a.astype(x.dtype) if isinstance(x, np.ndarray) else x.new_tensor(a)


def _normal(x: Array, rng: np.random.Generator) -> Array:
    return _like(rng.standard_normal(tuple(x.shape)), x)


def _mixture(weights, means, variances) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    weights, means, variances = (np.asarray(a, np.float64) for a in (weights, means, variances))
    if means.ndim != 2 or weights.shape != means.shape[:1] or variances.shape != means.shape[:1]:
        raise ValueError(
            f"weights, means and variances have shapes {weights.shape}, {means.shape} and {variances.shape}; "
            "expected (K,), (K, D) and (K,)"
        )
    if weights.min(initial=0) < 0 or abs(weights.sum() - 1) > 1e-6 or variances.min(initial=0) < 0:
        raise ValueError("weights must be at least 0 and sum to 1, and variances must be at least 0")
    return weights, means, variances
