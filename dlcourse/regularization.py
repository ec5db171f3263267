"""Chapter 10: penalties, dropout, early stopping and mixup, by hand. Augmentation stands in ``dlcourse.augment``.

    out, cache = dropout_forward(x, 0.5, rng)          # training; at test time the layer is left out
    dx = dropout_backward(dout, cache)
    penalty, dw = l2_penalty(w, 1e-4)                  # added to the loss and to its gradient

Weight decay, which is not the same as an L2 penalty once the optimiser is adaptive, stands in
``optim.adam_step`` (the penalty) and ``optim.adamw_step`` (the decay). The training loop with patience is
``train.fit``; ``early_stop`` is its rule alone.

Sources: Goodfellow, Bengio and Courville, Deep Learning (2016), chapter 7; and those named at each function.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from dlcourse.arrays import as_float, as_gradient

# ---------------------------------------------------------------------------------------------------- penalties


def l2_penalty(w: np.ndarray, lam: float) -> tuple[np.floating, np.ndarray]:
    """``λ/2 Σ w²`` and its gradient ``λ w``: a pull towards 0 in proportion to the weight."""
    w = _penalised(w, lam)
    return lam / 2 * np.sum(w * w), (lam * w).astype(w.dtype)


def l1_penalty(w: np.ndarray, lam: float) -> tuple[np.floating, np.ndarray]:
    """``λ Σ |w|`` and its gradient ``λ sign(w)``: the same pull for all, 0 at 0."""
    w = _penalised(w, lam)
    return lam * np.sum(np.abs(w)), (lam * np.sign(w)).astype(w.dtype)


def soft_threshold(w: np.ndarray, amount: float) -> np.ndarray:
    """``sign(w) · max(|w| - amount, 0)``: a step of L1 that stops at 0, where ``amount`` is lr · λ.

    A gradient step of :func:`l1_penalty` jumps over 0 and back; this one leaves weights that are exactly 0.

    Source: Parikh and Boyd, Proximal algorithms (2014), section 6.5.2.
    """
    w = _penalised(w, amount, "amount")
    return np.sign(w) * np.maximum(np.abs(w) - w.dtype.type(amount), 0)


def max_norm(w: np.ndarray, limit: float, *, rows: bool = False) -> np.ndarray:
    """Shorten each unit's weights to the length ``limit`` where they are longer; apply it after every step.

    Parameters
    ----------
    w : (D, M), one unit a column; with ``rows`` (M, D), one a row, as torch keeps them; or a convolution's
        (K, C, kernel...), one filter a unit
    limit : positive; 3 to 4 is usual beside dropout

    Raises
    ------
    ValueError
        ``w`` has fewer than two axes or is not float, or ``limit`` is not positive.

    Source: Srebro and Shraibman (2005); with dropout, Srivastava et al. (2014), section 5.1.
    """
    w = as_float(w, "w")
    if w.ndim < 2:
        raise ValueError(f"w has shape {w.shape}; expected (D, M), or (K, C, ...) of a convolution")
    if not limit > 0:
        raise ValueError(f"limit is {limit}; expected a positive number")
    axes = 0 if w.ndim == 2 and not rows else tuple(range(1, w.ndim))
    norms = np.sqrt(np.sum(w * w, axis=axes, keepdims=True))
    return (w * np.minimum(1.0, limit / np.maximum(norms, 1e-12))).astype(w.dtype)


def _penalised(w: np.ndarray, lam: float, name: str = "lam") -> np.ndarray:
    if not 0 <= lam < math.inf:
        raise ValueError(f"{name} is {lam}; expected a finite number of at least 0")
    return as_float(w, "w")


# ------------------------------------------------------------------------------------------------------ dropout


def dropout_forward(
    x: np.ndarray, p: float, rng: np.random.Generator, *, training: bool = True
) -> tuple[np.ndarray, np.ndarray | None]:
    """Inverted dropout: each value becomes 0 with probability ``p``, else it is divided by ``1 - p``.

    ``out = x · mask``, ``mask = 0 or 1 / (1 - p)``: the expectation over the masks is ``x``, so nothing is to be scaled
    at test time, when ``out`` is ``x``.

    Parameters
    ----------
    x : float array of any shape
    p : the share that is dropped, at least 0 and below 1
    rng : draws the mask
    training : False at test time

    Returns
    -------
    out : of ``x``'s shape and dtype
    cache : the mask, or None where nothing was dropped

    Raises
    ------
    ValueError
        ``p`` is out of range, or ``x`` is not a float array.

    Source: Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov, JMLR 15 (2014), sections 4 and 10.
    """
    x = as_float(x, "x")
    if not 0 <= p < 1:
        raise ValueError(f"p is {p}; expected the share to drop, at least 0 and below 1")
    if not training or p == 0:
        return x, None
    mask = (rng.random(x.shape, dtype=np.float32) >= p).astype(x.dtype)
    mask *= x.dtype.type(1 / (1 - p))
    return x * mask, mask


def dropout_backward(dout: np.ndarray, cache: np.ndarray | None) -> np.ndarray:
    """``dx = dout · mask``: what was dropped gets no gradient."""
    return np.asarray(dout) if cache is None else as_gradient(dout, cache.shape) * cache


def dropout_rate(t: int | np.ndarray, p: float, until: int, when: str = "early") -> np.ndarray:
    """The dropout rate at step ``t``: ``early`` falls in a straight line from ``p`` to 0 at ``until`` and stays 0,
    ``late`` is 0 until then and ``p`` afterwards, ``always`` is ``p``.

    Early dropout is for networks that *underfit*: the gradients of minibatches agree better with each other while units
    are dropped, and later nothing is dropped. Late dropout is for those that overfit.

    Raises
    ------
    ValueError
        ``when`` is unknown, ``p`` out of range, or ``until`` not positive.

    Source: Liu, Xu, Jin, Shen and Darrell, Dropout reduces underfitting, ICML (2023), arXiv:2303.01500, section 4.
    """
    if when not in ("early", "late", "always"):
        raise ValueError(f"when is {when!r}; expected 'early', 'late' or 'always'")
    if not 0 <= p < 1:
        raise ValueError(f"p is {p}; expected at least 0 and below 1")
    if not until > 0:
        raise ValueError(f"until is {until}; expected a positive number of steps")
    t = np.asarray(t, dtype=float)
    if when == "early":
        return p * np.maximum(0.0, 1 - t / until)
    return np.where((t >= until) | (when == "always"), p, 0.0)


class Uncertainty(NamedTuple):
    """What ``mc_dropout`` found: mean (N, C) and standard deviation (N, C) over the samples, and all of them."""

    mean: np.ndarray
    std: np.ndarray
    samples: np.ndarray


def mc_dropout(predict: Callable[[], np.ndarray], samples: int) -> Uncertainty:
    """Monte Carlo dropout: keep dropout on at test time, predict ``samples`` times, and look at the spread.

    Each mask is one network drawn from the ensemble that dropout trains; the mean is the ensemble's vote, the standard
    deviation its disagreement. ``std / √samples`` is the error of the mean through the finite number of samples.

    Parameters
    ----------
    predict : called without arguments; returns probabilities (N, C) under a fresh mask
    samples : at least 2

    Raises
    ------
    ValueError
        Fewer than 2 samples.

    Source: Gal and Ghahramani, Dropout as a Bayesian approximation, ICML (2016), arXiv:1506.02142, section 3.
    """
    if samples < 2:
        raise ValueError(f"samples is {samples}; expected at least 2, to have a spread")
    drawn = np.stack([predict() for _ in range(samples)])
    return Uncertainty(drawn.mean(axis=0), drawn.std(axis=0, ddof=1), drawn)


# ----------------------------------------------------------------------------------------------- early stopping


class Stop(NamedTuple):
    """Where training ends: ``best`` is the epoch whose weights are kept, ``last`` the last one that was run."""

    best: int
    last: int


def early_stop(losses: Sequence[float], patience: int, min_delta: float = 0.0) -> Stop:
    """The rule of patience, applied to validation losses of epochs 0, 1, ...

    An epoch improves if its loss is below the best one by more than ``min_delta``. After ``patience`` epochs in a row
    without improvement training stops, and the best epoch's weights are put back.

    Raises
    ------
    ValueError
        There are no losses, or ``patience`` is below 1.

    Source: Prechelt, Early stopping – but when?, in Neural Networks: Tricks of the Trade (1998).
    """
    if len(losses) == 0:
        raise ValueError("losses is empty; expected one number an epoch")
    if patience < 1:
        raise ValueError(f"patience is {patience}; expected at least 1 epoch")
    best, best_loss = 0, math.inf
    for epoch, loss in enumerate(losses):
        if loss < best_loss - min_delta:
            best, best_loss = epoch, loss
        elif epoch - best >= patience:
            return Stop(best, epoch)
    return Stop(best, len(losses) - 1)


# -------------------------------------------------------------------------------------------------------- mixup


def mixup(
    x: np.ndarray, y: np.ndarray, alpha: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mixup: replace every example by a point on the line to another one, and its target likewise.

    ``x' = λ x + (1 - λ) x[order]``, ``y' = λ y + (1 - λ) y[order]``, with ``λ ~ Beta(α, α)``, one for each example, and
    ``order`` a random permutation of the batch. For α → 0, λ is 0 or 1 and nothing is mixed.

    Parameters
    ----------
    x : (N, ...) float array
    y : (N, C), rows that add up to 1, such as one-hot targets
    alpha : positive; 0.1 to 0.4 is usual
    rng : draws λ and the order

    Returns
    -------
    x, y : new arrays
    lam : (N,), the weights that were drawn

    Raises
    ------
    ValueError
        ``y`` does not match ``x`` or is not (N, C), the batch is empty, or ``alpha`` is not positive.

    Source: Zhang, Cisse, Dauphin and Lopez-Paz, mixup, ICLR (2018), arXiv:1710.09412, section 2.
    """
    x, y = as_float(x, "x"), as_float(y, "y")
    if y.ndim != 2 or len(y) != len(x) or len(x) == 0:
        raise ValueError(f"y has shape {y.shape}, x {x.shape}; expected y (N, C) with N examples as in x, at least 1")
    if not alpha > 0:
        raise ValueError(f"alpha is {alpha}; expected a positive number")
    lam, order = rng.beta(alpha, alpha, len(x)), rng.permutation(len(x))
    along_x = lam.reshape(-1, *[1] * (x.ndim - 1)).astype(x.dtype)
    along_y = lam[:, None].astype(y.dtype)
    return along_x * x + (1 - along_x) * x[order], along_y * y + (1 - along_y) * y[order], lam


def one_hot(classes: np.ndarray, n_classes: int, dtype=np.float64) -> np.ndarray:
    """Rows of (N, n_classes) that are 1 at the class and 0 elsewhere.

    Raises
    ------
    ValueError
        A class is not a whole number from 0 to n_classes - 1.
    """
    classes = np.asarray(classes)
    whole = classes.ndim == 1 and classes.dtype.kind in "iu"
    if not whole or ((classes < 0) | (classes >= n_classes)).any():
        raise ValueError(f"classes has shape {classes.shape}; expected (N,), whole numbers from 0 to {n_classes - 1}")
    return np.eye(n_classes, dtype=dtype)[classes]
