"""Chapter 19: what deep learning does that it should not: it remembers noise, and it misses simple rules.

    y_random = random_labels(y, share=1.0, n_classes=10, rng=rng)     # nothing to learn, and learned
    x_mixed = shuffle_pixels(x, rng)                                  # one order of pixels for all images
    run = memorise(x, y_random, x_test, y_test, seed=0)               # training and test error, epoch by epoch
    x, y = parity(1000, bits=30, used=5, rng=rng)                     # a rule of one line, hard for gradients

Sources: Zhang, Bengio, Hardt, Recht and Vinyals, Understanding deep learning requires rethinking generalization, ICLR
(2017), arXiv:1611.03530; Shalev-Shwartz, Shamir and Shammah, Failures of gradient-based deep learning, ICML (2017),
arXiv:1703.07950.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dlcourse.arrays import as_float

KINDS = ("true labels", "half random", "random labels", "shuffled pixels", "random pixels", "Gaussian pixels")


def random_labels(y: np.ndarray, share: float, n_classes: int, rng: np.random.Generator) -> np.ndarray:
    """Each label, independently with probability ``share``, becomes a class drawn uniformly from all.

    The class that is drawn may be the old one, so that about share · (1 - 1 / n_classes) of the labels are wrong.

    Source: Zhang et al. (2017), section 2.1, partially corrupted labels.

    Raises
    ------
    ValueError
        ``share`` is not from 0 to 1, ``n_classes`` is below 1, or a label is no class.
    """
    y = np.asarray(y)
    if not 0 <= share <= 1 or n_classes < 1:
        raise ValueError(
            f"share is {share}, n_classes {n_classes}; expected a share from 0 to 1 and at least one class"
        )
    if y.size and not (y.min() >= 0 and y.max() < n_classes):
        raise ValueError(f"y has labels from {y.min()} to {y.max()}; expected 0 to {n_classes - 1}")
    drawn = rng.integers(0, n_classes, y.shape)
    return np.where(rng.random(y.shape) < share, drawn, y).astype(y.dtype)


def shuffle_pixels(x: np.ndarray, rng: np.random.Generator, *, each: bool = False) -> np.ndarray:
    """The pixels of (N, ...) in another order: one order for all images, or with ``each`` its own for each image.

    Source: Zhang et al. (2017), section 2.1, shuffled pixels and random pixels.
    """
    flat = as_float(x, "x").reshape(len(x), -1)
    mixed = rng.permuted(flat, axis=1) if each else flat[:, rng.permutation(flat.shape[1])]
    return mixed.reshape(x.shape)


def gaussian_pixels(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Noise in place of the images, with their mean and standard deviation.

    Source: Zhang et al. (2017), section 2.1, Gaussian.
    """
    x = as_float(x, "x")
    return (x.mean() + x.std() * rng.standard_normal(x.shape)).astype(x.dtype)


def corrupted(
    kind: str, x: np.ndarray, y: np.ndarray, x_test: np.ndarray, n_classes: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One of the experiments' training images, training labels and test images; test labels stay the true ones.

    Source: Zhang et al. (2017), section 2.1.

    Parameters
    ----------
    kind : one of ``KINDS``

    Raises
    ------
    ValueError
        ``kind`` is none of them.
    """
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}; expected one of {', '.join(KINDS)}")
    if kind == "half random":
        y = random_labels(y, 0.5, n_classes, rng)
    elif kind == "random labels":
        y = random_labels(y, 1.0, n_classes, rng)
    elif kind == "Gaussian pixels":
        x, x_test = gaussian_pixels(x, rng), gaussian_pixels(x_test, rng)
    elif kind != "true labels":
        both = shuffle_pixels(np.concatenate([x, x_test]), rng, each=kind == "random pixels")
        x, x_test = both[: len(x)], both[len(x) :]
    return x, y, x_test


class Memory(NamedTuple):
    """What :func:`memorise` measured."""

    train_error: list[float]  # after each epoch, on the labels that were trained on
    test_error: float  # at the end
    epochs: int  # until no error was left, or all


def memorise(
    x: np.ndarray, y: np.ndarray, x_test: np.ndarray, y_test: np.ndarray, *,
    seed: int, hidden: int = 512, epochs: int = 200, lr: float = 1e-3, n_classes: int = 10,
) -> Memory:  # fmt: skip
    """Train a network with two wide hidden layers until it makes no error on its training labels, whatever they say.

    Plain Adam in minibatches of 64: no weight decay, no dropout, no augmentation. Settings are the same for all labels.

    Source: Zhang et al. (2017), section 2, there with SGD.
    """
    import torch
    import torch.nn.functional as F
    from torch import nn

    shown, kept = (torch.as_tensor(np.ascontiguousarray(a)).float().flatten(1) for a in (x, x_test))
    mean, std = shown.mean(), shown.std()
    shown, kept, labels = (shown - mean) / std, (kept - mean) / std, torch.as_tensor(y)
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        net = nn.Sequential(
            nn.Linear(shown.shape[1], hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(),
            nn.Linear(hidden, n_classes),
        )  # fmt: skip
    optimiser, rng, errors = torch.optim.Adam(net.parameters(), lr), np.random.default_rng(seed), []
    for _ in range(epochs):
        for batch in np.array_split(rng.permutation(len(shown)), max(1, len(shown) // 64)):
            optimiser.zero_grad()
            F.cross_entropy(net(shown[batch]), labels[batch]).backward()
            optimiser.step()
        with torch.no_grad():
            errors.append(float((net(shown).argmax(1) != labels).double().mean()))
        if errors[-1] == 0:
            break
    with torch.no_grad():
        test = float((net(kept).argmax(1) != torch.as_tensor(y_test)).double().mean())
    return Memory(errors, test, len(errors))


def parity(n: int, bits: int, used: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Random bits -1 and 1, and whether the number of ones among the first ``used`` of them is odd.

    The rule is short, and yet the gradient says almost nothing about it: over all choices of the bits that count, its
    variance falls like 2 to the power of minus their number.

    Source: Shalev-Shwartz et al. (2017), section 2.

    Returns
    -------
    x : (n, bits) float32
    y : (n,) int64, 0 or 1

    Raises
    ------
    ValueError
        ``used`` is not from 1 to ``bits``.
    """
    if not 1 <= used <= bits:
        raise ValueError(f"used is {used}; expected from 1 to the number of bits, {bits}")
    ones = rng.integers(0, 2, (n, bits))
    return (2.0 * ones - 1).astype(np.float32), ones[:, :used].sum(axis=1) % 2
