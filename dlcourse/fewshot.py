"""Chapter 19: classes seen a few times, or never: prototypes, episodes, attributes.

    task = episode(y, ways=5, shots=1, queries=10, rng=rng)        # indices: support, query, and which classes
    means = prototypes(z[task.support], task.support_y, ways=5)    # (5, D), z the features of some encoder
    guess = nearest(z[task.query], means)                          # (Q,) 0 ... 4

An encoder that is trained on many such small tasks learns to learn: what it is tested on are classes it never saw.
With attributes in place of examples, a class needs none at all: :func:`by_attributes`.

Sources: Snell, Swersky and Zemel, Prototypical networks for few-shot learning, NeurIPS (2017), arXiv:1703.05175;
Vinyals and others, Matching networks for one shot learning, NeurIPS (2016), arXiv:1606.04080; Lampert, Nickisch and
Harmeling, Learning to detect unseen object classes by between-class attribute transfer, CVPR (2009).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dlcourse.arrays import as_float


class Episode(NamedTuple):
    """A small task: indices into a data set, and labels from 0 to ways - 1."""

    support: np.ndarray  # (ways · shots,) indices
    support_y: np.ndarray  # (ways · shots,)
    query: np.ndarray  # (ways · queries,) indices
    query_y: np.ndarray  # (ways · queries,)
    classes: np.ndarray  # (ways,) class k of the task is classes[k] of the data set


def episode(y: np.ndarray, ways: int, shots: int, queries: int, rng: np.random.Generator) -> Episode:
    """Draw ``ways`` classes, of each ``shots`` examples to learn from and ``queries`` others to be asked about.

    Source: Vinyals et al. (2016), section 2.2.

    Parameters
    ----------
    y : (N,) classes

    Raises
    ------
    ValueError
        There are too few classes, or too few examples of one that was drawn.
    """
    present, counts = np.unique(np.asarray(y), return_counts=True)
    if ways < 1 or shots < 1 or queries < 0:
        raise ValueError(f"ways is {ways}, shots {shots}, queries {queries}; expected at least 1, 1 and 0")
    if len(present) < ways or counts.min() < shots + queries:
        raise ValueError(
            f"y has {len(present)} classes, the smallest of {counts.min()} examples; "
            f"expected {ways} classes of at least shots + queries, {shots + queries}"
        )
    classes = rng.permutation(present)[:ways]
    drawn = np.stack([rng.permutation(np.flatnonzero(y == c))[: shots + queries] for c in classes])
    tasks = np.arange(ways)
    return Episode(
        drawn[:, :shots].ravel(), np.repeat(tasks, shots), drawn[:, shots:].ravel(), np.repeat(tasks, queries), classes
    )


def prototypes(z: np.ndarray, y: np.ndarray, ways: int) -> np.ndarray:
    """The mean of each class's features: ``c_k = mean of z_i over y_i = k``.

    Source: Snell et al. (2017), equation 1.

    Parameters
    ----------
    z : (N, D)
    y : (N,) integers from 0 to ``ways`` - 1

    Returns
    -------
    (ways, D), of ``z``'s dtype

    Raises
    ------
    ValueError
        The shapes do not fit, or a class has no example.
    """
    z, y = as_float(z, "z"), np.asarray(y)
    if z.ndim != 2 or y.shape != z.shape[:1]:
        raise ValueError(f"z has shape {z.shape}, y {y.shape}; expected (N, D) and (N,)")
    if missing := sorted(set(range(ways)) - set(y.tolist())):
        raise ValueError(f"y has no example of class {missing[0]}; expected each of 0 to {ways - 1}")
    return np.stack([z[y == k].mean(axis=0) for k in range(ways)])


def squared_distances(z: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """``|z_i - c_k|²`` of every row to every centre: (N, D) and (K, D) to (N, K)."""
    return np.sum((z[:, None, :] - centres[None]) ** 2, axis=2)


def nearest(z: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """The class whose prototype is nearest, (N,); of several as near, the first.

    ``softmax(-|z - c_k|²)`` are the probabilities that go with it: a linear classifier, since ``|z|²`` cancels.

    Source: Snell et al. (2017), equation 2.
    """
    return squared_distances(z, centres).argmin(axis=1)


def by_attributes(scores: np.ndarray, signatures: np.ndarray) -> np.ndarray:
    """Zero-shot: the class whose attributes fit best what a network says of the image's attributes, (N,).

    ``argmax_k Σ_a log p(a = signature[k, a])``, attributes taken as independent; ties go to the first class.

    Source: Lampert et al. (2009), direct attribute prediction, without the attributes' priors.

    Parameters
    ----------
    scores : (N, A) probabilities of the attributes
    signatures : (K, A) of 0 and 1, which attributes each class has

    Raises
    ------
    ValueError
        The shapes do not fit, or a score is no probability.
    """
    scores, signatures = np.asarray(scores, float), np.asarray(signatures)
    if scores.ndim != 2 or signatures.ndim != 2 or scores.shape[1] != signatures.shape[1]:
        raise ValueError(f"scores has shape {scores.shape}, signatures {signatures.shape}; expected (N, A) and (K, A)")
    if scores.size and not (scores.min() >= 0 and scores.max() <= 1):
        raise ValueError(f"scores lie from {scores.min():g} to {scores.max():g}; expected probabilities")
    inside = np.clip(scores, 1e-12, 1 - 1e-12)
    return (np.log(inside) @ signatures.T + np.log1p(-inside) @ (1 - signatures.T)).argmax(axis=1)
