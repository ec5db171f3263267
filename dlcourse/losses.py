"""Chapter 04: losses and their gradients.

Each is a pair of pure functions,

    name_forward(outputs, targets) -> loss, cache
    name_backward(dout, cache) -> gradient of the outputs

where ``loss`` is a mean over the examples (``sse`` alone is half a sum) and ``dout`` a number, 1 for the loss itself.
``outputs`` is (N, C): N examples, C outputs each. ``targets`` are either classes, N integers from 0 to C-1, or numbers,
a float array of the shape of the outputs. A class stands for the row y that is 1 at the class and 0 elsewhere.

Where a formula below contains p, the outputs are logits and p = softmax(logits) is computed here, in a way that no
finite logit overflows. An empty batch has loss 0. A wrong shape, dtype or class raises ValueError.

``LOSSES`` names them all, ``CLASSIFIERS`` those of the lecture's list that learn a class from (N, C) outputs.

Source of the list: K. Janocha and W. M. Czarnecki, On Loss Functions for Deep Neural Networks in Classification (2017),
arXiv:1702.05659, table 1.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from dlcourse.activations import log_softmax_forward, sigmoid_forward, softmax_backward
from dlcourse.arrays import as_float


def l1_forward(y: np.ndarray, targets: np.ndarray) -> tuple[np.floating, np.ndarray]:
    """L1, the absolute error: loss = (1/N) Σₙ Σⱼ abs(y[n, j] - t[n, j])."""
    y, t = _pair(y, targets, "y")
    error = y - t
    return _mean(np.abs(error)), error


def l1_backward(dout: float, cache: np.ndarray) -> np.ndarray:
    """dy = dout · sign(y - t) / N; 0 where y = t."""
    return _share(dout, np.sign(cache))


def l2_forward(y: np.ndarray, targets: np.ndarray) -> tuple[np.floating, np.ndarray]:
    """L2, the squared error: loss = (1/N) Σₙ Σⱼ (y[n, j] - t[n, j])²."""
    y, t = _pair(y, targets, "y")
    error = y - t
    return _mean(error * error), error


def l2_backward(dout: float, cache: np.ndarray) -> np.ndarray:
    """dy = dout · 2 (y - t) / N."""
    return _share(dout, 2 * cache)


def sse_forward(y: np.ndarray, targets: np.ndarray) -> tuple[np.floating, np.ndarray]:
    """Half the sum of squared errors: loss = ½ Σ (y - targets)², over all outputs and all examples.

    Parameters
    ----------
    y, targets : arrays of the same shape, such as (N, M); ``y`` is float

    Returns
    -------
    loss : scalar of the dtype of ``y``
    cache : the errors, y - targets

    Raises
    ------
    ValueError
        The shapes differ: (N,) and (N, 1) would broadcast to (N, N).
    """
    y = as_float(y, "y")
    targets = np.asarray(targets, dtype=y.dtype)
    if y.shape != targets.shape:
        raise ValueError(f"targets has shape {targets.shape}; expected the shape of y, {y.shape}")
    error = y - targets
    return y.dtype.type(0.5) * np.sum(error * error), error


def sse_backward(dout: float, cache: np.ndarray) -> np.ndarray:
    """dy = dout · (y - targets), with ``dout`` a scalar: 1 for the loss itself."""
    return cache * cache.dtype.type(dout)


def expectation_forward(logits: np.ndarray, targets: np.ndarray) -> tuple[np.floating, tuple]:
    """Expectation loss, L1 of the probabilities: loss = (1/N) Σₙ Σⱼ abs(p[n, j] - y[n, j]).

    For a class c it is 2 (1 - p[c]): twice the expected number of errors of who draws a class from p.
    """
    logits, y = _pair(logits, targets)
    p = _softmax(logits)
    return _mean(np.abs(p - y)), (p, y)


def expectation_backward(dout: float, cache: tuple) -> np.ndarray:
    """dlogits = dout / N · J(p) sign(p - y), with J the Jacobian of softmax."""
    p, y = cache
    return _share(dout, softmax_backward(np.sign(p - y), (p, -1)))


def regularised_expectation_forward(logits: np.ndarray, targets: np.ndarray) -> tuple[np.floating, tuple]:
    """Regularised expectation loss, L2 of the probabilities: loss = (1/N) Σₙ Σⱼ (p[n, j] - y[n, j])².

    For a class c it is 1 - 2 p[c] + ‖p‖²: the expectation loss plus a price for being sure. Also the Brier score.
    """
    logits, y = _pair(logits, targets)
    p = _softmax(logits)
    return _mean((p - y) ** 2), (p, y)


def regularised_expectation_backward(dout: float, cache: tuple) -> np.ndarray:
    """dlogits = dout / N · J(p) 2 (p - y)."""
    p, y = cache
    return _share(dout, softmax_backward(2 * (p - y), (p, -1)))


def chebyshev_forward(logits: np.ndarray, targets: np.ndarray) -> tuple[np.floating, tuple]:
    """Chebyshev loss, the largest error of a probability: loss = (1/N) Σₙ maxⱼ abs(p[n, j] - y[n, j])."""
    logits, y = _pair(logits, targets)
    p = _softmax(logits)
    return _mean(np.abs(p - y).max(axis=1)), (p, y)


def chebyshev_backward(dout: float, cache: tuple) -> np.ndarray:
    """dlogits = dout / N · J(p) g, with g the sign of the largest error at its place and 0 elsewhere.

    Of several largest errors the first counts, which is one of the subgradients.
    """
    p, y = cache
    error, rows = p - y, np.arange(len(p))
    worst = np.abs(error).argmax(axis=1)
    g = np.zeros_like(p)
    g[rows, worst] = np.sign(error[rows, worst])
    return _share(dout, softmax_backward(g, (p, -1)))


def hinge_forward(scores: np.ndarray, targets: np.ndarray, power: int = 1) -> tuple[np.floating, tuple]:
    """Hinge, squared and cubed hinge loss: loss = (1/N) Σₙ Σⱼ max(0, 1 - t[n, j] · scores[n, j])^power.

    t = 2y - 1 is 1 for the class and -1 for every other: each output is a machine of its own, its class against the
    rest. The scores are raw, without softmax.

    Parameters
    ----------
    power : 1, 2 or 3

    Raises
    ------
    ValueError
        ``power`` is another, or targets, given as numbers, are not between 0 and 1.
    """
    if power not in (1, 2, 3):
        raise ValueError(f"power is {power!r}; expected 1, 2 or 3")
    scores, y = _pair(scores, targets, "scores", probabilities=True)
    t = 2 * y - 1
    missing = np.maximum(1 - t * scores, 0)  # of the margin
    return _mean(missing**power), (missing, t, power)


def hinge_backward(dout: float, cache: tuple) -> np.ndarray:
    """dscores = -dout / N · t · power · max(0, 1 - t · scores)^(power - 1), and 0 where the margin is reached."""
    missing, t, power = cache
    return _share(dout, -t * power * missing ** (power - 1) * (missing > 0))


def log_forward(logits: np.ndarray, targets: np.ndarray) -> tuple[np.floating, tuple]:
    """Log loss, the cross-entropy of y and p: loss = -(1/N) Σₙ Σⱼ y[n, j] log p[n, j].

    For classes this is ``softmax_cross_entropy_forward``; here y may also be probabilities.
    """
    logits, y = _pair(logits, targets)
    log_p, _ = log_softmax_forward(logits)
    return -_mean(y * log_p), (np.exp(log_p), y)


def log_backward(dout: float, cache: tuple) -> np.ndarray:
    """dlogits = dout / N · (p Σⱼ y[j] - y), which is p - y where y adds up to 1."""
    p, y = cache
    return _share(dout, p * y.sum(axis=1, keepdims=True) - y)


def squared_log_forward(logits: np.ndarray, targets: np.ndarray) -> tuple[np.floating, tuple]:
    """Squared log loss: loss = (1/N) Σₙ Σⱼ (y[n, j] log p[n, j])².

    Slides and the paper print a minus sign before it; with it, the minimum would be at p = 0.
    """
    logits, y = _pair(logits, targets)
    log_p, _ = log_softmax_forward(logits)
    return _mean((y * log_p) ** 2), (log_p, y)


def squared_log_backward(dout: float, cache: tuple) -> np.ndarray:
    """With g = 2 y² log p: dlogits = dout / N · (g - p Σⱼ g[j])."""
    log_p, y = cache
    g = 2 * y * y * log_p
    return _share(dout, g - np.exp(log_p) * g.sum(axis=1, keepdims=True))


def tanimoto_forward(logits: np.ndarray, targets: np.ndarray) -> tuple[np.floating, tuple]:
    """Tanimoto loss: loss = -(1/N) Σₙ p·y / (‖p‖² + ‖y‖² - p·y), minus a similarity that is 1 where p = y.

    Raises
    ------
    ValueError
        A row of ``targets`` is all zeros.
    """
    logits, y = _pair(logits, targets, nonzero=True)
    p = _softmax(logits)
    overlap = (p * y).sum(axis=1, keepdims=True)  # (N, 1)
    union = (p * p).sum(axis=1, keepdims=True) + (y * y).sum(axis=1, keepdims=True) - overlap
    return -_mean(overlap / union), (p, y, overlap, union)


def tanimoto_backward(dout: float, cache: tuple) -> np.ndarray:
    """With a = p·y and u = ‖p‖² + ‖y‖² - a: dlogits = -dout / N · J(p) (y u - a (2p - y)) / u²."""
    p, y, overlap, union = cache
    g = -(y * union - overlap * (2 * p - y)) / union**2
    return _share(dout, softmax_backward(g, (p, -1)))


def cauchy_schwarz_forward(logits: np.ndarray, targets: np.ndarray) -> tuple[np.floating, tuple]:
    """Cauchy-Schwarz divergence: loss = -(1/N) Σₙ log(p·y / (‖p‖ ‖y‖)), at least 0, and 0 where p is y times a number.

    Softmax's denominator cancels, so with lse(x) = log Σⱼ exp(x[j]) it is ½ lse(2 logits) - lse(logits + log y) +
    log ‖y‖. In this form no probability rounds to 0 before its logarithm is taken. For classes, half the cross-entropy
    of the doubled logits.

    Raises
    ------
    ValueError
        A target is negative, or a row of them all zeros.
    """
    logits, y = _pair(logits, targets, nonzero=True)
    if (y < 0).any():
        raise ValueError(f"targets has entries down to {y.min()}; expected probabilities")
    shifted = logits - logits.max(axis=1, keepdims=True)
    with np.errstate(divide="ignore"):
        log_overlap, at_overlap = _log_sum_exp(shifted + np.log(y))
    log_square, at_square = _log_sum_exp(2 * shifted)
    norm = np.log((y * y).sum(axis=1, keepdims=True)) / 2
    return _mean(log_square / 2 - log_overlap + norm), (at_square, at_overlap)


def cauchy_schwarz_backward(dout: float, cache: tuple) -> np.ndarray:
    """dlogits = dout / N · (softmax(2 logits) - softmax(logits + log y))."""
    at_square, at_overlap = cache
    return _share(dout, at_square - at_overlap)


def softmax_cross_entropy_forward(logits: np.ndarray, targets: np.ndarray) -> tuple[np.floating, tuple]:
    """Mean cross-entropy of softmax(logits): loss = -(1/N) Σₙ log p[n, targets[n]].

    p[n, c] = exp(logits[n, c]) / Σ exp(logits[n]). Each row's largest logit is subtracted first: p stays the
    same, and nothing overflows. An empty batch has loss 0.

    Parameters
    ----------
    logits : (N, C) float array
    targets : (N,) integer array, the class of each example, 0 to C-1

    Returns
    -------
    loss : scalar of the dtype of ``logits``
    cache : what ``softmax_cross_entropy_backward`` needs

    Raises
    ------
    ValueError
        Shapes do not fit, or ``targets`` are not integers in 0 to C-1.
    """
    logits = _rows(logits, "logits")
    N, C = logits.shape
    targets = _classes(targets, N, C)
    p = logits - logits.max(axis=1, keepdims=True)  # (N, C), first the shifted logits; one array serves them all
    at_target = p[np.arange(N), targets]
    np.exp(p, out=p)
    total = np.einsum("nc->n", p)
    loss = (np.log(total) - at_target).sum() / max(N, 1)
    p *= (1 / total)[:, None]
    return loss, (p, targets)


def softmax_cross_entropy_backward(dout: float, cache: tuple) -> np.ndarray:
    """dlogits = dout · (p - onehot(targets)) / N, with ``dout`` a scalar: 1 for the loss itself."""
    p, targets = cache
    share = p.dtype.type(dout / max(len(p), 1))
    dlogits = p * share
    dlogits[np.arange(len(p)), targets] -= share
    return dlogits


def binary_cross_entropy_forward(logits: np.ndarray, targets: np.ndarray) -> tuple[np.floating, tuple]:
    """Cross-entropy of independent yes-or-no answers: with p = sigmoid(logits),

    loss = -(1/N) Σₙ Σⱼ y log p + (1 - y) log(1 - p) = (1/N) Σₙ Σⱼ max(s, 0) - s y + log(1 + exp(-abs(s))), s = logits.

    Parameters
    ----------
    logits : (N, C) float array; C = 1 for one question
    targets : numbers from 0 to 1, shaped like the logits, or classes

    Raises
    ------
    ValueError
        A target is not between 0 and 1.
    """
    logits, y = _pair(logits, targets, probabilities=True)
    loss = np.maximum(logits, 0) - logits * y + np.log1p(np.exp(-np.abs(logits)))
    return _mean(loss), (sigmoid_forward(logits)[0], y)


def binary_cross_entropy_backward(dout: float, cache: tuple) -> np.ndarray:
    """dlogits = dout / N · (sigmoid(logits) - y)."""
    p, y = cache
    return _share(dout, p - y)


CLASSIFIERS = {
    "l1": (l1_forward, l1_backward),
    "l2": (l2_forward, l2_backward),
    "expectation": (expectation_forward, expectation_backward),
    "regularised_expectation": (regularised_expectation_forward, regularised_expectation_backward),
    "chebyshev": (chebyshev_forward, chebyshev_backward),
    "hinge": (hinge_forward, hinge_backward),
    "squared_hinge": (partial(hinge_forward, power=2), hinge_backward),
    "cubed_hinge": (partial(hinge_forward, power=3), hinge_backward),
    "log": (log_forward, log_backward),
    "squared_log": (squared_log_forward, squared_log_backward),
    "tanimoto": (tanimoto_forward, tanimoto_backward),
    "cauchy_schwarz": (cauchy_schwarz_forward, cauchy_schwarz_backward),
}
LOSSES = {
    "softmax_cross_entropy": (softmax_cross_entropy_forward, softmax_cross_entropy_backward),
    "sse": (sse_forward, sse_backward),
    "binary_cross_entropy": (binary_cross_entropy_forward, binary_cross_entropy_backward),
    **CLASSIFIERS,
}


def flip_labels(labels: np.ndarray, share: float, n_classes: int, seed: int = 0) -> np.ndarray:
    """Labels of which the given share is wrong: each of these becomes another class, all others equally likely.

    Parameters
    ----------
    labels : (N,) integer array, 0 to n_classes - 1
    share : from 0 to 1; round(share · N) labels change
    n_classes : at least 2
    seed : of which labels change, and into what

    Returns
    -------
    (N,) integer array; ``labels`` stays as it is

    Raises
    ------
    ValueError
        ``share`` or ``n_classes`` is out of range, or a label is no class.
    """
    labels = np.asarray(labels)
    if not 0 <= share <= 1:
        raise ValueError(f"share is {share!r}; expected a number from 0 to 1")
    if n_classes < 2:
        raise ValueError(f"n_classes is {n_classes!r}; expected at least 2: a wrong label needs another class")
    _classes(labels, len(labels), n_classes)
    rng = np.random.default_rng(seed)
    wrong = rng.choice(len(labels), round(share * len(labels)), replace=False)
    flipped = labels.copy()
    flipped[wrong] = (labels[wrong] + rng.integers(1, n_classes, len(wrong))) % n_classes
    return flipped


def _rows(a: np.ndarray, name: str) -> np.ndarray:
    a = as_float(a, name)
    if a.ndim != 2 or a.shape[1] == 0:
        raise ValueError(f"{name} has shape {a.shape}; expected (N, C) with C at least 1")
    return a


def _classes(targets: np.ndarray, N: int, C: int) -> np.ndarray:
    targets = np.asarray(targets)
    if targets.shape != (N,):
        raise ValueError(f"targets has shape {targets.shape}; expected ({N},), one class a row")
    if N and not np.issubdtype(targets.dtype, np.integer):
        raise ValueError(f"targets has dtype {targets.dtype}; expected integers, the class of each example")
    if N and (targets.min() < 0 or targets.max() >= C):
        raise ValueError(f"targets has classes {targets.min()} to {targets.max()}; expected 0 to {C - 1}")
    return targets.astype(np.intp)


def _pair(outputs, targets, name="logits", *, probabilities=False, nonzero=False) -> tuple[np.ndarray, np.ndarray]:
    """The outputs, and the targets as rows y of the same shape and dtype."""
    outputs, targets = _rows(outputs, name), np.asarray(targets)
    if targets.ndim < 2:
        y = np.zeros_like(outputs)
        y[np.arange(len(y)), _classes(targets, *outputs.shape)] = 1
        return outputs, y
    if targets.shape != outputs.shape:
        N = len(outputs)
        raise ValueError(f"targets has shape {targets.shape}; expected ({N},) classes or the {outputs.shape} of {name}")
    y = targets.astype(outputs.dtype)
    if probabilities and not ((y >= 0) & (y <= 1)).all():
        raise ValueError(f"targets has entries from {y.min()} to {y.max()}; expected numbers from 0 to 1")
    if nonzero and not y.any(axis=1).all():
        raise ValueError(f"targets has zeros only in row {int((~y.any(axis=1)).argmax())}; expected a number above 0")
    return outputs, y


def _softmax(logits: np.ndarray) -> np.ndarray:
    return np.exp(log_softmax_forward(logits)[0])


def _log_sum_exp(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """log Σⱼ exp(x[n, j]) (N, 1), and its gradient, softmax(x) (N, C)."""
    top = x.max(axis=1, keepdims=True)
    e = np.exp(x - top)
    total = e.sum(axis=1, keepdims=True)
    return top + np.log(total), e / total


def _mean(terms: np.ndarray) -> np.floating:
    """The sum over all entries, divided by the number of examples."""
    return terms.sum() / max(len(terms), 1)


def _share(dout: float, gradient: np.ndarray) -> np.ndarray:
    """The gradient of one example's loss as that of the mean, times dout."""
    return gradient * gradient.dtype.type(dout / max(len(gradient), 1))
