"""Chapter 17: how good are generated data? Measures of generated data by hand, each for any features.

    mmd(x, y), mmd_test(x, y, rng)                          # are two samples from one distribution?
    wasserstein_1d(x, y), wasserstein(x, y)                 # how far is one to be moved to become the other?
    fid(real, fake), kid(real, fake, rng)                   # on features (N, D): what a classifier sees
    inception_score(probabilities)                          # on a classifier's probabilities (N, K)
    ssim(image, other), perceptual_distance(maps, others)   # two images
    neighbours(real, fake), coverage(real, fake)            # precision, recall, density, coverage
    bleu(candidates, references), rouge_n(text, reference)  # words

``x`` and ``y`` are (N, D) and (M, D), or (N,) and (M,) for numbers. No measure trains anything: features and
probabilities come from whichever network is at hand, and so does what a measure can see. Where each of them is misled
stands in :mod:`dlcourse.blindspots`.

Sources: Borji, Pros and cons of GAN evaluation measures, Computer Vision and Image Understanding 179 (2019),
arXiv:1802.03446; and at each function.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist, pdist

from dlcourse.arrays import as_float
from dlcourse.density import as_points

# ------------------------------------------------------------------------------------------------------------ checks


def _two_samples(x, y, names: tuple[str, str] = ("x", "y"), least: int = 1) -> tuple[np.ndarray, np.ndarray]:
    x, y = as_points(x, names[0], least), as_points(y, names[1], least)
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"{names[0]} has {x.shape[1]} features, {names[1]} has {y.shape[1]}; expected as many")
    return x, y


def _weights(weights, n: int, name: str) -> np.ndarray:
    if weights is None:
        return np.full(n, 1 / n)
    weights = np.asarray(weights, dtype=float)
    if weights.shape != (n,):
        raise ValueError(f"{name} has shape {weights.shape}; expected ({n},), one a point")
    if (weights < 0).any() or not 0 < weights.sum() < math.inf:
        raise ValueError(f"{name} are to be non-negative with a positive, finite sum")
    return weights / weights.sum()


# ------------------------------------------------------------------------------------------------------- Wasserstein


def wasserstein_1d(x: np.ndarray, y: np.ndarray, x_weights=None, y_weights=None) -> float:
    """The earth mover's distance of numbers: the area between the two cumulative distribution functions.

    ``W₁ = ∫ |F_x(t) - F_y(t)| dt``; of as many numbers with equal weights, the mean gap of the sorted ones.

    Parameters
    ----------
    x : (N,)
    y : (M,)
    x_weights, y_weights : (N,) and (M,), scaled to sum to 1; None: equal

    Raises
    ------
    ValueError
        A sample is empty or not of numbers, or weights do not fit.

    Source: Vallender, Calculation of the Wasserstein distance between probability distributions on the line, Theory of
    Probability and its Applications 18 (1974).
    """
    x, y = _two_samples(x, y)
    if x.shape[1] != 1:
        raise ValueError(f"x and y have {x.shape[1]} features; expected numbers (see wasserstein for points)")
    masses = np.concatenate([_weights(x_weights, len(x), "x_weights"), -_weights(y_weights, len(y), "y_weights")])
    places = np.concatenate([x[:, 0], y[:, 0]])
    order = np.argsort(places, kind="stable")
    gaps = np.cumsum(masses[order])[:-1]  # F_x - F_y between one place and the next
    return float(np.abs(gaps) @ np.diff(places[order]))


def wasserstein(x: np.ndarray, y: np.ndarray, *, most: int = 5000) -> float:
    """The earth mover's distance of points: the least mean distance over all ways to pair them off.

    ``W₁ = min over permutations π of 1/N Σ |x[n] - y[π(n)]|``

    An optimal plan between as many points with equal weights is a pairing (Birkhoff). Of unlike numbers, each point is
    repeated until there are as many, so N and M should have a common divisor.

    Parameters
    ----------
    x : (N, D)
    y : (M, D)
    most : the largest pairing; time grows like its cube, memory like its square

    Raises
    ------
    ValueError
        A shape does not fit, or the pairing would be larger than ``most``.

    Source: Peyré and Cuturi, Computational optimal transport (2019), arXiv:1803.00567, section 2.2 and proposition 2.1.
    """
    x, y = _two_samples(x, y)
    n = math.lcm(len(x), len(y))
    if n > most:
        raise ValueError(f"{len(x)} and {len(y)} points make a pairing of {n}; expected at most {most}")
    cost = cdist(np.repeat(x, n // len(x), 0), np.repeat(y, n // len(y), 0))
    return float(cost[linear_sum_assignment(cost)].mean())


# --------------------------------------------------------------------------------------------------------------- MMD


def median_bandwidth(x: np.ndarray, y: np.ndarray) -> float:
    """The median distance between two distinct points of ``x`` and ``y`` together: the usual width of a kernel.

    Raises
    ------
    ValueError
        A shape does not fit, or half of the distances are 0.

    Source: Gretton et al. (2012), section 8.
    """
    x, y = _two_samples(x, y)
    median = float(np.median(pdist(np.concatenate([x, y]))))
    if median == 0:
        raise ValueError("the median distance is 0: half of the pairs are equal; pass a bandwidth")
    return median


def gaussian_kernel(x: np.ndarray, y: np.ndarray, bandwidth: float | Sequence[float]) -> np.ndarray:
    """``k(x, y) = exp(-|x - y|² / 2h²)`` of all pairs; of several bandwidths h, the mean of the kernels.

    Parameters
    ----------
    x : (N, D)
    y : (M, D)

    Returns
    -------
    (N, M)

    Raises
    ------
    ValueError
        A shape does not fit, or a bandwidth is not positive.

    Source: Gretton et al. (2012), section 2.2.
    """
    x, y = _two_samples(x, y)
    bandwidths = np.atleast_1d(np.asarray(bandwidth, dtype=float))
    if not len(bandwidths) or not (bandwidths > 0).all():
        raise ValueError(f"bandwidth is {bandwidth}; expected positive numbers")
    r2 = cdist(x, y, "sqeuclidean")
    return sum(np.exp(r2 / (-2 * h * h)) for h in bandwidths) / len(bandwidths)


def polynomial_kernel(
    x: np.ndarray, y: np.ndarray, degree: int = 3, gamma: float | None = None, coef: float = 1.0
) -> np.ndarray:
    """``k(x, y) = (gamma · xᵀy + coef)^degree`` of all pairs; ``gamma`` is 1/D where none is given.

    Parameters
    ----------
    x : (N, D)
    y : (M, D)

    Returns
    -------
    (N, M)

    Raises
    ------
    ValueError
        A shape does not fit.

    Source: Bińkowski et al. (2018), section 4.
    """
    x, y = _two_samples(x, y)
    return ((1 / x.shape[1] if gamma is None else gamma) * (x @ y.T) + coef) ** degree


def mmd_of_kernels(k_xx: np.ndarray, k_xy: np.ndarray, k_yy: np.ndarray, *, unbiased: bool = True) -> float:
    """MMD² from the kernel of all pairs: near within, far across.

    ``MMD² = mean k(x, x') + mean k(y, y') - 2 mean k(x, y)``. Biased, the means are over all pairs, and a point's pair
    with itself makes the first two too large. Unbiased, these N and M pairs are left out; it can be negative then.

    Parameters
    ----------
    k_xx : (N, N)
    k_xy : (N, M)
    k_yy : (M, M)

    Raises
    ------
    ValueError
        The shapes do not fit, or there are too few points.

    Source: Gretton et al. (2012), equations 3 and 5.
    """
    N, M = k_xy.shape
    if k_xx.shape != (N, N) or k_yy.shape != (M, M):
        raise ValueError(f"k_xx is {k_xx.shape}, k_yy {k_yy.shape}; expected ({N}, {N}) and ({M}, {M})")
    if min(N, M) < 1 + unbiased:
        raise ValueError(f"there are {N} and {M} points; expected at least {1 + unbiased} of each")
    if unbiased:
        within_x = (k_xx.sum() - np.trace(k_xx)) / (N * (N - 1))
        within_y = (k_yy.sum() - np.trace(k_yy)) / (M * (M - 1))
    else:
        within_x, within_y = k_xx.mean(), k_yy.mean()
    return float(within_x + within_y - 2 * k_xy.mean())


def mmd(
    x: np.ndarray, y: np.ndarray, bandwidth: float | Sequence[float] | None = None, *, unbiased: bool = True
) -> float:
    """Squared maximum mean discrepancy with a Gaussian kernel: 0 for one distribution, positive for two.

    Parameters
    ----------
    x : (N, D)
    y : (M, D)
    bandwidth : one or several, see :func:`gaussian_kernel`; None: :func:`median_bandwidth`
    unbiased : see :func:`mmd_of_kernels`

    Raises
    ------
    ValueError
        A shape does not fit, there are too few points, or a bandwidth is not positive.

    Source: Gretton, Borgwardt, Rasch, Schölkopf and Smola, A kernel two-sample test, J. Machine Learning Research 13
    (2012).
    """
    h = median_bandwidth(x, y) if bandwidth is None else bandwidth
    kernels = gaussian_kernel(x, x, h), gaussian_kernel(x, y, h), gaussian_kernel(y, y, h)
    return mmd_of_kernels(*kernels, unbiased=unbiased)


class TwoSampleTest(NamedTuple):
    """A statistic, its p-value, and what the statistic was after each permutation."""

    statistic: float
    p: float
    null: np.ndarray


def permutation_test(kernel: np.ndarray, n: int, rng: np.random.Generator, permutations: int = 500) -> TwoSampleTest:
    """Do the first ``n`` points and the others come from one distribution? By unbiased MMD² and permutations.

    If they do, the labels "first" and "other" mean nothing, and MMD² of shuffled labels is as large as often. The true
    labels count as one shuffle: ``p = (1 + number of shuffles with MMD² ≥ the true one) / (1 + permutations)``. The
    test that rejects at ``p ≤ α`` is then wrong with a probability of at most α, exactly.

    Parameters
    ----------
    kernel : (N + M, N + M), of all points together
    n : N, how many are of the first sample

    Raises
    ------
    ValueError
        The kernel is not square, a sample has fewer than 2 points, or there are no permutations.

    Source: Gretton et al. (2012), section 5; Phipson and Smyth, Permutation p-values should never be zero, Statistical
    Applications in Genetics and Molecular Biology 9 (2010).
    """
    if kernel.ndim != 2 or kernel.shape[0] != kernel.shape[1]:
        raise ValueError(f"kernel has shape {kernel.shape}; expected one row and one column for each point")
    total, m = len(kernel), len(kernel) - n
    if n < 2 or m < 2:
        raise ValueError(f"there are {n} and {m} points; expected at least 2 of each")
    if permutations < 1:
        raise ValueError(f"permutations is {permutations}; expected at least 1")
    first = np.zeros((permutations + 1, total))
    first[:, :n] = 1
    first[1:] = rng.permuted(first[1:], axis=1)
    diagonal, rows, everything = np.diag(kernel), kernel.sum(1), kernel.sum()
    within = np.einsum("pi,pi->p", first @ kernel, first)  # Σ over pairs of firsts
    across = first @ rows - within
    others = everything - within - 2 * across
    own = first @ diagonal
    values = (within - own) / (n * (n - 1)) + (others - (diagonal.sum() - own)) / (m * (m - 1)) - 2 * across / (n * m)
    slack = 1e-12 * np.abs(kernel).max()  # equal values that were summed in another order
    p = (1 + (values[1:] >= values[0] - slack).sum()) / (1 + permutations)
    return TwoSampleTest(float(values[0]), float(p), values[1:])


def mmd_test(
    x: np.ndarray,
    y: np.ndarray,
    rng: np.random.Generator,
    *,
    bandwidth: float | Sequence[float] | None = None,
    permutations: int = 500,
) -> TwoSampleTest:
    """Do ``x`` and ``y`` come from one distribution? The :func:`permutation_test` with a Gaussian kernel.

    Parameters
    ----------
    x : (N, D)
    y : (M, D)
    bandwidth : as in :func:`mmd`; the median does not depend on the labels, so that the test stays exact

    Returns
    -------
    TwoSampleTest
        ``statistic``: unbiased MMD²; ``p``; ``null``: (permutations,)

    Raises
    ------
    ValueError
        A shape does not fit, or there are too few points.

    Source: Gretton et al. (2012), section 5.
    """
    x, y = _two_samples(x, y)
    both = np.concatenate([x, y])
    kernel = gaussian_kernel(both, both, median_bandwidth(x, y) if bandwidth is None else bandwidth)
    return permutation_test(kernel, len(x), rng, permutations)


# ------------------------------------------------------------------------------------------------- features: KID, FID


def kid(
    real: np.ndarray, fake: np.ndarray, rng: np.random.Generator, *, subsets: int = 100, size: int = 1000
) -> tuple[float, float]:
    """Kernel inception distance: unbiased MMD² of features with the kernel ``(xᵀy/D + 1)³``, over random subsets.

    Parameters
    ----------
    real : (N, D), features
    fake : (M, D)
    subsets : how many, each drawn without replacement
    size : of a subset; at most N and M

    Returns
    -------
    mean, standard deviation : over the subsets

    Raises
    ------
    ValueError
        A shape does not fit, or ``size`` is below 2 or above N or M.

    Source: Bińkowski, Sutherland, Arbel and Gretton, Demystifying MMD GANs, ICLR (2018), arXiv:1801.01401, section 4.
    """
    real, fake = _two_samples(real, fake, ("real", "fake"))
    if not 2 <= size <= min(len(real), len(fake)):
        raise ValueError(f"size is {size}; expected 2 to {min(len(real), len(fake))}, the smaller sample")
    if subsets < 1:
        raise ValueError(f"subsets is {subsets}; expected at least 1")
    values = []
    for _ in range(subsets):
        x, y = (a[rng.choice(len(a), size, replace=False)] for a in (real, fake))
        values.append(mmd_of_kernels(polynomial_kernel(x, x), polynomial_kernel(x, y), polynomial_kernel(y, y)))
    return float(np.mean(values)), float(np.std(values))


def moments(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (D,) and covariance (D, D), with N - 1 in the denominator.

    Parameters
    ----------
    features : (N, D)

    Raises
    ------
    ValueError
        There are fewer than 2 points.

    Source: Heusel et al. (2017), section 2.
    """
    features = as_points(features, "features", least=2)
    return features.mean(0), np.cov(features, rowvar=False).reshape(features.shape[1], -1)


def _root(covariance: np.ndarray) -> np.ndarray:
    """R with ``R Rᵀ = covariance``, which may be singular."""
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    return vectors * np.sqrt(np.maximum(values, 0))  # eigenvalues of 0 may come out a little below


def frechet_distance(mean_x: np.ndarray, cov_x: np.ndarray, mean_y: np.ndarray, cov_y: np.ndarray) -> float:
    """Squared Fréchet (Wasserstein-2) distance of two Gaussians.

    ``d² = |μ_x - μ_y|² + tr(Σ_x + Σ_y - 2 (Σ_x Σ_y)^½)``. With ``Σ = R Rᵀ``, the trace of the root is the sum of the
    singular values of ``R_xᵀ R_y``: no root of a matrix, no complex numbers, and singular covariances do no harm.

    Parameters
    ----------
    mean_x, mean_y : (D,)
    cov_x, cov_y : (D, D), symmetric and positive semi-definite

    Raises
    ------
    ValueError
        The shapes do not fit.

    Source: Dowson and Landau, The Fréchet distance between multivariate normal distributions, J. Multivariate Analysis
    12 (1982).
    """
    mean_x, cov_x, mean_y, cov_y = (np.asarray(a, dtype=float) for a in (mean_x, cov_x, mean_y, cov_y))
    D = mean_x.size
    if mean_x.shape != (D,) or mean_y.shape != (D,) or cov_x.shape != (D, D) or cov_y.shape != (D, D):
        shapes = ", ".join(str(a.shape) for a in (mean_x, cov_x, mean_y, cov_y))
        raise ValueError(f"the shapes are {shapes}; expected (D,), (D, D), (D,), (D, D)")
    overlap = np.linalg.svd(_root(cov_x).T @ _root(cov_y), compute_uv=False).sum()
    distance = ((mean_x - mean_y) ** 2).sum() + np.trace(cov_x) + np.trace(cov_y) - 2 * overlap
    return float(max(distance, 0.0))  # of equal Gaussians, rounding may leave a little less than 0


def fid(real: np.ndarray, fake: np.ndarray) -> float:
    """Fréchet inception distance: :func:`frechet_distance` of the Gaussians with the mean and covariance of features.

    Too few samples make it too large: compare only values of as many samples.

    Parameters
    ----------
    real : (N, D), features
    fake : (M, D)

    Raises
    ------
    ValueError
        A shape does not fit, or a sample has fewer than 2 points.

    Source: Heusel, Ramsauer, Unterthiner, Nessler and Hochreiter, GANs trained by a two time-scale update rule converge
    to a local Nash equilibrium, NeurIPS (2017), arXiv:1706.08500, equation 6.
    """
    real, fake = _two_samples(real, fake, ("real", "fake"), least=2)
    return frechet_distance(*moments(real), *moments(fake))


# ------------------------------------------------------------------------------------------ a classifier's opinion


def _as_probabilities(p: np.ndarray, name: str, axes: int) -> np.ndarray:
    p = np.asarray(p, dtype=float)
    if p.ndim != axes or not p.size:
        raise ValueError(f"{name} has shape {p.shape}; expected {'(N, K)' if axes == 2 else '(K,)'}, not empty")
    if not (p >= 0).all() or not np.allclose(p.sum(-1), 1, atol=1e-4):
        raise ValueError(f"{name} are none: they are to be non-negative and to sum to 1 along the last axis")
    return p


def _kl(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """``Σ p log(p / q)`` along the last axis, where 0 log 0 is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(p > 0, p * (np.log(p) - np.log(q)), 0).sum(-1)


def inception_score(probabilities: np.ndarray, splits: int = 1) -> tuple[float, float]:
    """Inception score: is each image clearly of a class, and are the classes many? From 1 to the number of classes.

    ``IS = exp(mean over n of KL(p(y | x[n]) ‖ p(y)))`` with ``p(y)`` the mean of ``p(y | x[n])``

    Parameters
    ----------
    probabilities : (N, K), a classifier's, of generated images
    splits : parts, in order, that are scored apart

    Returns
    -------
    mean, standard deviation : over the splits

    Raises
    ------
    ValueError
        The rows are no probabilities, or there are fewer images than splits.

    Source: Salimans et al., Improved techniques for training GANs, NeurIPS (2016), arXiv:1606.03498, section 4.
    """
    p = _as_probabilities(probabilities, "probabilities", 2)
    if not 1 <= splits <= len(p):
        raise ValueError(f"splits is {splits}; expected 1 to {len(p)}, the number of images")
    scores = [np.exp(_kl(part, part.mean(0)).mean()) for part in np.array_split(p, splits)]
    return float(np.mean(scores)), float(np.std(scores))


def mode_score(probabilities: np.ndarray, real_classes: np.ndarray) -> float:
    """The inception score, lowered when the classes of generated images are not as frequent as those of real ones.

    ``MS = exp(mean over n of KL(p(y | x[n]) ‖ p(y)) - KL(p(y) ‖ p_real(y)))``

    Parameters
    ----------
    probabilities : (N, K), a classifier's, of generated images
    real_classes : (K,), how frequent each class is among real images

    Raises
    ------
    ValueError
        Either is no probabilities, or the numbers of classes differ.

    Source: Che, Li, Jacob, Bengio and Li, Mode regularized generative adversarial networks, ICLR (2017),
    arXiv:1612.02136, section 4.1, in the form of Xu et al., An empirical study on evaluation metrics of generative
    adversarial networks (2018), arXiv:1806.07755.
    """
    p = _as_probabilities(probabilities, "probabilities", 2)
    real = _as_probabilities(real_classes, "real_classes", 1)
    if len(real) != p.shape[1]:
        raise ValueError(f"real_classes has {len(real)} classes, probabilities {p.shape[1]}; expected as many")
    return float(np.exp(_kl(p, p.mean(0)).mean() - _kl(p.mean(0), real)))


# --------------------------------------------------------------------------------------------------------- two images


def gaussian_window(sigma: float, radius: int | None = None) -> np.ndarray:
    """The weights ``exp(-t²/2σ²)`` for t from ``-radius`` to ``radius``, scaled to sum to 1; radius 3.5 σ if None.

    Returns
    -------
    (2 · radius + 1,)

    Raises
    ------
    ValueError
        ``sigma`` is not positive, or ``radius`` is negative.

    Source: Wang et al. (2004), section III.B.
    """
    if not sigma > 0:
        raise ValueError(f"sigma is {sigma}; expected a positive number")
    if radius is None:
        radius = int(3.5 * sigma + 0.5)
    if radius < 0:
        raise ValueError(f"radius is {radius}; expected at least 0")
    t = np.arange(-radius, radius + 1)
    weights = np.exp(-(t**2) / (2 * sigma**2))
    return weights / weights.sum()


def _smooth(images: np.ndarray, window: np.ndarray) -> np.ndarray:
    """The weighted mean around each pixel whose window lies inside the image, along the rows, then the columns."""
    for axis in (-2, -1):
        images = np.lib.stride_tricks.sliding_window_view(images, len(window), axis) @ window
    return images


def ssim(
    x: np.ndarray, y: np.ndarray, *, value_range: float = 1.0, sigma: float = 1.5, radius: int | None = None
) -> np.ndarray:
    """Structural similarity of images: brightness, contrast and structure agree around each pixel. 1 for equal images.

    ``SSIM = mean of (2 μ_x μ_y + c₁)(2 σ_xy + c₂) / ((μ_x² + μ_y² + c₁)(σ_x² + σ_y² + c₂))`` with means, variances and
    covariance in a Gaussian window around a pixel, ``c₁ = (0.01 R)²``, ``c₂ = (0.03 R)²``. Pixels whose window leaves
    the image are not counted. It is scikit-image's with ``gaussian_weights=True, use_sample_covariance=False``.

    Parameters
    ----------
    x, y : (..., H, W), of one shape
    value_range : R, the largest possible value minus the smallest
    sigma, radius : of the window, 11 pixels wide unless told; see :func:`gaussian_window`

    Returns
    -------
    (...), one number an image (and a channel)

    Raises
    ------
    ValueError
        The shapes differ, an image is smaller than the window, or ``value_range`` or ``sigma`` is not positive.

    Source: Wang, Bovik, Sheikh and Simoncelli, Image quality assessment: from error visibility to structural
    similarity, IEEE Transactions on Image Processing 13 (2004).
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if x.shape != y.shape or x.ndim < 2:
        raise ValueError(f"x has shape {x.shape}, y {y.shape}; expected one shape (..., H, W)")
    if not value_range > 0:
        raise ValueError(f"value_range is {value_range}; expected a positive number")
    window = gaussian_window(sigma, radius)
    if min(x.shape[-2:]) < len(window):
        raise ValueError(f"the images are {x.shape[-2:]}, the window is {len(window)} wide; lower sigma or radius")
    c1, c2 = (0.01 * value_range) ** 2, (0.03 * value_range) ** 2
    mean_x, mean_y = _smooth(x, window), _smooth(y, window)
    var_x = _smooth(x * x, window) - mean_x**2
    var_y = _smooth(y * y, window) - mean_y**2
    cov = _smooth(x * y, window) - mean_x * mean_y
    similar = (2 * mean_x * mean_y + c1) * (2 * cov + c2) / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
    return similar.mean((-2, -1))


def perceptual_embedding(
    layers: Sequence[np.ndarray], weights: Sequence[np.ndarray] | None = None, *, eps: float = 1e-10
) -> np.ndarray:
    """Features in which the squared distance of two images is :func:`perceptual_distance`.

    At each place of each layer, the vector of channels is divided by its length, then scaled by the root of the weights
    and of one over the number of places.

    Parameters
    ----------
    layers : of each layer, what N images made of it: (N, C) or (N, C, H, W), of any sizes
    weights : of each layer, (C,), none negative; None: 1

    Returns
    -------
    (N, F)

    Raises
    ------
    ValueError
        There is no layer, their N differ, or weights do not fit.

    Source: Zhang et al. (2018), section 3.
    """
    if not len(layers):
        raise ValueError("layers is empty; expected features of at least one layer")
    if weights is not None and len(weights) != len(layers):
        raise ValueError(f"there are {len(weights)} arrays of weights for {len(layers)} layers")
    parts = []
    for i, layer in enumerate(layers):
        layer = as_float(layer, f"layers[{i}]")
        if layer.ndim < 2 or len(layer) != len(layers[0]):
            raise ValueError(f"layers[{i}] has shape {layer.shape}; expected ({len(layers[0])}, C, ...)")
        flat = layer.reshape(*layer.shape[:2], -1)  # (N, C, places)
        flat = flat / (np.sqrt((flat**2).sum(1, keepdims=True)) + eps)
        w = np.ones(flat.shape[1]) if weights is None else np.asarray(weights[i], dtype=float)
        if w.shape != flat.shape[1:2] or (w < 0).any():
            raise ValueError(f"weights[{i}] has shape {w.shape}; expected ({flat.shape[1]},), none negative")
        parts.append((flat * np.sqrt(w / flat.shape[2])[:, None]).reshape(len(flat), -1))
    return np.concatenate(parts, 1)


def perceptual_distance(
    x: Sequence[np.ndarray], y: Sequence[np.ndarray], weights: Sequence[np.ndarray] | None = None
) -> np.ndarray:
    """LPIPS, on any network's features: how differently do the layers of a network see two images?

    ``d = Σ over layers of the mean over places of Σ over channels of w[c] (x̂[c] - ŷ[c])²``, with x̂ the vector of
    channels at a place, divided by its length.

    Published LPIPS has the features of AlexNet or VGG and weights that were fitted to people's judgements; ours has the
    features and weights that you pass.

    Parameters
    ----------
    x, y : of each layer, (N, C) or (N, C, H, W): what the images of ``x`` and those of ``y`` made of it
    weights : of each layer, (C,); None: 1

    Returns
    -------
    (N,)

    Raises
    ------
    ValueError
        The shapes differ or weights do not fit.

    Source: Zhang, Isola, Efros, Shechtman and Wang, The unreasonable effectiveness of deep features as a perceptual
    metric, CVPR (2018), arXiv:1801.03924, equation 1.
    """
    shapes = [[np.shape(layer) for layer in layers] for layers in (x, y)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"the layers of x have shapes {shapes[0]}, those of y {shapes[1]}; expected the same")
    return ((perceptual_embedding(x, weights) - perceptual_embedding(y, weights)) ** 2).sum(1)


# --------------------------------------------------------------------------------------------- diversity and coverage


def diversity(x: np.ndarray) -> float:
    """Mean distance between two distinct points of ``x``: 0 if all are alike.

    Parameters
    ----------
    x : (N, D), at least 2

    Raises
    ------
    ValueError
        There are fewer than 2 points.

    Source: the pairwise measure of Zhu et al., Toward multimodal image-to-image translation, NeurIPS (2017),
    arXiv:1711.11586, section 5.1, with the Euclidean distance.
    """
    return float(pdist(as_points(x, "x", least=2)).mean())


def perceptual_diversity(layers: Sequence[np.ndarray], weights: Sequence[np.ndarray] | None = None) -> float:
    """Mean :func:`perceptual_distance` between two distinct images.

    Parameters
    ----------
    layers : of each layer, (N, C) or (N, C, H, W)

    Raises
    ------
    ValueError
        There are fewer than 2 images, or the layers do not fit.

    Source: Zhu et al. (2017), section 5.1.
    """
    return float(pdist(as_points(perceptual_embedding(layers, weights), "layers", least=2), "sqeuclidean").mean())


class Neighbours(NamedTuple):
    """What :func:`neighbours` counts. All but density lie from 0 to 1."""

    precision: float
    recall: float
    density: float
    coverage: float


def _radii(x: np.ndarray, k: int, name: str) -> np.ndarray:
    """The distance from each point to its k-th neighbour, itself not counted."""
    if not 1 <= k < len(x):
        raise ValueError(f"k is {k}; expected 1 to {len(x) - 1}, since {name} has {len(x)} points")
    return np.partition(cdist(x, x), k, axis=1)[:, k]


def neighbours(real: np.ndarray, fake: np.ndarray, k: int = 5) -> Neighbours:
    """Precision, recall, density and coverage: who lies in the neighbourhood of whom?

    The ball of a point reaches to its k-th nearest neighbour in its own sample.

    - precision: the share of generated points in the ball of a real one
    - recall: the share of real points in the ball of a generated one
    - density: in how many real balls a generated point lies, on average, over k
    - coverage: the share of real balls with a generated point in them

    Parameters
    ----------
    real : (N, D), features
    fake : (M, D)

    Raises
    ------
    ValueError
        A shape does not fit, or ``k`` is below 1 or not below N and M.

    Source: Kynkäänniemi et al., Improved precision and recall metric for assessing generative models, NeurIPS (2019),
    arXiv:1904.06991; Naeem, Oh, Uh, Choi and Yoo, Reliable fidelity and diversity metrics for generative models, ICML
    (2020), arXiv:2002.09797, equations 4 and 5.
    """
    real, fake = _two_samples(real, fake, ("real", "fake"))
    across = cdist(real, fake)
    in_real = across < _radii(real, k, "real")[:, None]
    in_fake = across < _radii(fake, k, "fake")
    return Neighbours(
        precision=float(in_real.any(0).mean()),
        recall=float(in_fake.any(1).mean()),
        density=float(in_real.sum(0).mean() / k),
        coverage=float(in_real.any(1).mean()),
    )


def coverage(real: np.ndarray, fake: np.ndarray, k: int = 5) -> float:
    """The share of real points with a generated one nearer than their k-th real neighbour; see :func:`neighbours`.

    Raises
    ------
    ValueError
        A shape does not fit, or ``k`` is below 1 or not below N.

    Source: Naeem et al. (2020), equation 5.
    """
    real, fake = _two_samples(real, fake, ("real", "fake"))
    return float((cdist(real, fake).min(1) < _radii(real, k, "real")).mean())


class Modes(NamedTuple):
    """What :func:`count_modes` finds."""

    found: int  # modes with a sample nearby
    near: float  # the share of samples near a mode
    counts: np.ndarray  # (K,), samples near each mode


def count_modes(x: np.ndarray, centres: np.ndarray, radius: float, least: int = 1) -> Modes:
    """How many known modes did a generator find? A sample belongs to the nearest mode if it lies within ``radius``.

    Parameters
    ----------
    x : (N, D)
    centres : (K, D)
    radius : three standard deviations, of a ring of Gaussians
    least : how many samples find a mode

    Raises
    ------
    ValueError
        A shape does not fit, or the radius is not positive.

    Source: Srivastava et al., VEEGAN, NeurIPS (2017), arXiv:1705.07761, section 4.1.
    """
    x, centres = _two_samples(x, centres, ("x", "centres"))
    if not radius > 0:
        raise ValueError(f"radius is {radius}; expected a positive number")
    distances = cdist(x, centres)
    near = distances.min(1) <= radius
    counts = np.bincount(distances.argmin(1)[near], minlength=len(centres))
    return Modes(int((counts >= least).sum()), float(near.mean()), counts)


# -------------------------------------------------------------------------------------------------------------- words


def _as_words(words: Sequence[str], name: str) -> list[str]:
    if isinstance(words, str):
        raise ValueError(f"{name} is a string; expected a list of words, such as {name}.split()")
    return list(words)


def ngrams(words: Sequence[str], n: int) -> Counter:
    """How often each run of ``n`` words occurs.

    Raises
    ------
    ValueError
        ``n`` is below 1, or the words are one string.

    Source: Papineni et al. (2002), section 2.1.
    """
    if n < 1:
        raise ValueError(f"n is {n}; expected at least 1")
    words = _as_words(words, "words")
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def bleu(candidates: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]], max_n: int = 4) -> float:
    """BLEU of a corpus: which share of the runs of 1 to ``max_n`` words do references have too? From 0 to 1.

    ``BLEU = BP · exp(mean over n of log p[n])``; ``p[n]``: the n-grams of all candidates that a reference has, each
    counted at most as often as one reference has it, over all n-grams of all candidates.
    ``BP = exp(1 - r/c)`` if c < r, else 1; with c words in all candidates, and r in the references that are nearest in
    length, the shorter of two as near. It is 0 if some ``p[n]`` is. A text of fewer than n words adds no n-gram (nltk
    counts one that is wrong).

    Parameters
    ----------
    candidates : generated texts, each a list of words
    references : of each candidate, at least one right text
    max_n : longest n-gram

    Raises
    ------
    ValueError
        There are not as many candidates as lists of references, one list is empty, or a text is a string.

    Source: Papineni, Roukos, Ward and Zhu, BLEU: a method for automatic evaluation of machine translation, ACL (2002).
    """
    if len(candidates) != len(references) or not len(candidates):
        raise ValueError(f"there are {len(candidates)} candidates and {len(references)} lists of references")
    if max_n < 1:
        raise ValueError(f"max_n is {max_n}; expected at least 1")
    matched, total = np.zeros(max_n), np.zeros(max_n)
    c = r = 0
    for candidate, choices in zip(candidates, references, strict=True):
        candidate = _as_words(candidate, "candidate")
        if isinstance(choices, str) or not len(choices):
            raise ValueError(f"the references are {choices!r}; expected a list of texts, at least one")
        choices = [_as_words(choice, "reference") for choice in choices]
        c += len(candidate)
        r += min((len(choice) for choice in choices), key=lambda length: (abs(length - len(candidate)), length))
        for n in range(1, max_n + 1):
            found, allowed = ngrams(candidate, n), Counter()
            for choice in choices:
                allowed |= ngrams(choice, n)  # of each n-gram, the largest count
            matched[n - 1] += (found & allowed).total()
            total[n - 1] += found.total()
    if not matched.all():
        return 0.0
    return float(min(1.0, math.exp(1 - r / c)) * np.exp(np.log(matched / total).mean()))


class Rouge(NamedTuple):
    """Of what was written, how much is right; of what is right, how much was written; and their harmonic mean."""

    precision: float
    recall: float
    f: float


def _rouge(common: int, candidate: int, reference: int) -> Rouge:
    if not common:
        return Rouge(0.0, 0.0, 0.0)
    precision, recall = common / candidate, common / reference
    return Rouge(precision, recall, 2 * precision * recall / (precision + recall))


def rouge_n(candidate: Sequence[str], reference: Sequence[str], n: int = 1) -> Rouge:
    """ROUGE-n: the n-grams that candidate and reference share, over those of the one and of the other.

    Raises
    ------
    ValueError
        A text is a string, or ``n`` is below 1.

    Source: Lin, ROUGE: a package for automatic evaluation of summaries, ACL workshop (2004), section 2.
    """
    a, b = ngrams(candidate, n), ngrams(reference, n)
    return _rouge((a & b).total(), a.total(), b.total())


def rouge_l(candidate: Sequence[str], reference: Sequence[str]) -> Rouge:
    """ROUGE-L: the longest common subsequence, over the words of candidate and reference. Gaps are allowed.

    ``L[i, j] = L[i-1, j-1] + 1`` if words i and j are equal, else ``max(L[i-1, j], L[i, j-1])``

    Raises
    ------
    ValueError
        A text is a string.

    Source: Lin (2004), section 3.1.
    """
    candidate, reference = _as_words(candidate, "candidate"), _as_words(reference, "reference")
    row = [0] * (len(reference) + 1)
    for word in candidate:
        above = row
        row = [0]
        for j, other in enumerate(reference):
            row.append(above[j] + 1 if word == other else max(above[j + 1], row[j]))
    return _rouge(row[-1], len(candidate), len(reference))
