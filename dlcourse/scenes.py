"""Chapter 11: images whose masks, boxes and clean versions are known exactly: shapes on photographs, and noisy crops.

    made = scenes(200, seed=0, part=(0, 0.6))             # images (N, 3, S, S), masks (N, S, S), boxes and classes
    clean = crops(200, seed=0, photographs=("flower",))   # (N, 3, S, S)
    psnr(noisy, clean)                                    # in decibels

For a test whose pixels are new to the network, take another part of the photographs, or another photograph.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dlcourse import data
from dlcourse.augment import blur
from dlcourse.data.synthetic import SHAPES, coverage

SIGMAS = tuple(np.round(np.arange(0.3, 2.01, 0.1), 1).tolist())  # of Gaussian filters, in pixels
PHOTOGRAPHS = ("china", "flower")


class Scenes(NamedTuple):
    """``images`` (N, 3, S, S) float32 from 0 to 1, ``masks`` (N, S, S) bool: where there is a shape; and for each image
    ``boxes`` (K, 4) float64 as x1, y1, x2, y2, and ``classes`` (K,) int64, indices into ``data.synthetic.SHAPES``."""

    images: np.ndarray
    masks: np.ndarray
    boxes: list[np.ndarray]
    classes: list[np.ndarray]


def scenes(
    n: int, *, seed: int, size: int = 48, photographs: Sequence[str] = PHOTOGRAPHS,
    part: tuple[float, float] = (0.0, 1.0), most: int = 3, contrast: float = 0.5,
) -> Scenes:  # fmt: skip
    """Crops of a photograph on which lie one to ``most`` shapes, each of one colour, turned at random, none touching.

    A shape's colour is drawn evenly from all colours that differ from the mean of what it covers by at least
    ``contrast``, as a distance in RGB. Its box is the smallest around its mask.

    Parameters
    ----------
    n : how many images
    size : height and width in pixels, at least 16
    photographs, part : as in :func:`crops`; they are halved first, so that a crop shows more

    Raises
    ------
    ValueError
        ``n``, ``size`` or ``most`` is too small, ``contrast`` is not from 0 to 0.8, or there is no such photograph.

    Source: this course; the shapes are those of ``data.shapes``.
    """
    if most < 1:
        raise ValueError(f"most is {most}; expected at least 1 shape")
    if size < 16:
        raise ValueError(f"size is {size}; expected at least 16 pixels")
    if not 0 <= contrast <= 0.8:
        raise ValueError(f"contrast is {contrast}; expected 0 to 0.8, so that there is such a colour")
    rng = np.random.default_rng([seed, 11])
    images = crops(n, seed=seed, size=size, photographs=photographs, part=part, shrink=2)
    masks, boxes, classes = np.zeros((n, size, size), bool), [], []
    grid = np.arange(size) + 0.5
    for image, mask in zip(images, masks, strict=True):
        placed, kinds = [], []
        for y, x, r in _places(rng, size, int(rng.integers(1, most + 1))):
            angle, kind = rng.uniform(0, 2 * np.pi), int(rng.integers(len(SHAPES)))
            dy, dx = (grid - y)[:, None], (grid - x)[None, :]
            cos, sin = np.cos(angle), np.sin(angle)
            cover = coverage(kind, cos * dx + sin * dy, cos * dy - sin * dx, r)
            inside = cover > 0.5
            colour = _colour(rng, image[:, inside].mean(axis=1), contrast)
            image += (cover * (colour[:, None, None] - image)).astype(np.float32)
            mask |= inside
            rows, columns = np.nonzero(inside.any(axis=1))[0], np.nonzero(inside.any(axis=0))[0]
            placed.append([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
            kinds.append(kind)
        boxes.append(np.array(placed, dtype=np.float64))
        classes.append(np.array(kinds, dtype=np.int64))
    return Scenes(images, masks, boxes, classes)


def _places(rng: np.random.Generator, size: int, count: int) -> list[tuple[float, float, float]]:
    """Circles (y, x, r) inside the image that do not touch; fewer than ``count`` where there is no room."""
    placed: list[tuple[float, float, float]] = []
    for _ in range(20 * count):
        r = rng.uniform(0.16, 0.28) * size
        y, x = rng.uniform(r, size - r, 2)
        if all(np.hypot(y - v, x - u) > r + s + 1 for v, u, s in placed):
            placed.append((y, x, r))
        if len(placed) == count:
            break
    return placed


def _colour(rng: np.random.Generator, behind: np.ndarray, contrast: float) -> np.ndarray:
    while True:
        colour = rng.random(3)
        if np.linalg.norm(colour - behind) >= contrast:
            return colour


def crops(
    n: int, *, seed: int, size: int = 48, photographs: Sequence[str] = PHOTOGRAPHS,
    part: tuple[float, float] = (0.0, 1.0), shrink: int = 1,
) -> np.ndarray:  # fmt: skip
    """Pieces of photographs, half of them mirrored: (n, 3, size, size) float32 from 0 to 1.

    Parameters
    ----------
    photographs : names of ``data.photograph``; each crop is from one of them, drawn evenly
    part : from where to where along the width crops may lie, as shares; (0, 0.6) and (0.6, 1) have no pixel in common
    shrink : by how much the photographs are made smaller first

    Raises
    ------
    ValueError
        ``n`` is below 1, there is no such photograph, ``part`` is no part, or it is smaller than a crop.

    Source: the photographs are those of ``data.photograph``, which names their authors.
    """
    if n < 1:
        raise ValueError(f"n is {n}; expected at least 1 image")
    if not 0 <= part[0] < part[1] <= 1:
        raise ValueError(f"part is {part}; expected two shares of the width, 0 <= from < to <= 1")
    rng = np.random.default_rng(seed)
    whole = [data.photograph(name, shrink=shrink) for name in photographs]
    H, W = whole[0].shape[:2]  # all photographs are of one size
    first, last = round(part[0] * W), round(part[1] * W) - size
    if size < 1 or size > H or last < first:
        raise ValueError(f"size is {size}; expected at least 1, and at most what the part of the photograph has")
    top, left = rng.integers(0, H - size + 1, n), rng.integers(first, last + 1, n)
    which = rng.integers(0, len(whole), n)
    pieces = [whole[k][t : t + size, c : c + size] for k, t, c in zip(which, top, left, strict=True)]
    cut = np.stack(pieces).transpose(0, 3, 1, 2)
    mirrored = rng.random(n) < 0.5
    cut[mirrored] = cut[mirrored, :, :, ::-1]
    return np.ascontiguousarray(cut)


# ------------------------------------------------------------------------------------------------------- how good is it


def mask_iou(predicted: np.ndarray, masks: np.ndarray) -> float:
    """Intersection over union of two masks, all pixels of all images together: ``|A ∩ B| / |A ∪ B|``.

    Parameters
    ----------
    predicted, masks : bool arrays of one shape

    Returns
    -------
    float, 1.0 where both are empty

    Raises
    ------
    ValueError
        A dtype is not bool, or the shapes differ.

    Source: Everingham et al., The PASCAL visual object classes challenge, IJCV 88 (2010), section 4.3.
    """
    predicted, masks = np.asarray(predicted), np.asarray(masks)
    if predicted.dtype != bool or masks.dtype != bool:
        raise ValueError(f"predicted has dtype {predicted.dtype}, masks {masks.dtype}; expected bool")
    if predicted.shape != masks.shape:
        raise ValueError(f"predicted has shape {predicted.shape}; expected that of masks, {masks.shape}")
    union = np.sum(predicted | masks)
    return float(np.sum(predicted & masks) / union) if union else 1.0


def psnr(image: np.ndarray, clean: np.ndarray) -> float:
    """Peak signal-to-noise ratio in decibels, for values from 0 to 1: ``-10 log10(mean((image - clean)²))``.

    Raises
    ------
    ValueError
        The shapes differ.

    Source: the mean is over all images together, so that it is the ratio of their common mean squared error.
    """
    image, clean = np.asarray(image), np.asarray(clean)
    if image.shape != clean.shape:
        raise ValueError(f"image has shape {image.shape}; expected that of clean, {clean.shape}")
    error = np.mean((image.astype(np.float64) - clean) ** 2)
    return float(-10 * np.log10(error)) if error > 0 else float("inf")


def best_blur(noisy: np.ndarray, clean: np.ndarray, sigmas: Sequence[float] = SIGMAS) -> tuple[float, np.ndarray]:
    """The Gaussian filter that a denoiser has to beat: of all ``sigmas``, the one with the best PSNR on these images.

    It is chosen with the clean images at hand, which is more than a filter could know.

    Returns
    -------
    sigma, and the filtered images

    Source: :func:`dlcourse.augment.blur`, with a kernel that reaches four standard deviations.
    """
    filtered = [blur(noisy, float(s), 2 * int(np.ceil(4 * s)) + 1) for s in sigmas]
    best = int(np.argmax([psnr(f, clean) for f in filtered]))
    return float(sigmas[best]), filtered[best]
