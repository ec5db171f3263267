"""Data sets that are drawn from a seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Seed = int | Sequence[int]


def xor(
    n: int = 4, noise: float = 0.0, seed: Seed = 0, *, dtype: npt.DTypeLike = np.float32
) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.int64]]:
    """The corners of the unit square, labelled 1 where exactly one coordinate is 1.

    The default is the truth table, (0,0) (0,1) (1,0) (1,1) with labels 0 1 1 0. A larger ``n`` goes round the
    four corners again, which is of use with ``noise``.

    Parameters
    ----------
    n : int
        How many points.
    noise : float
        Standard deviation of the Gaussian noise on each coordinate.
    seed : int or sequence of int
        The same seed gives the same points.

    Returns
    -------
    x : (n, 2) float array
    y : (n,) int64 array, 0 or 1
    """
    rng = _rng(n, noise, seed)
    a, b = np.arange(n) // 2 % 2, np.arange(n) % 2
    x = np.stack([a, b], axis=1) + noise * rng.standard_normal((n, 2))
    return x.astype(dtype), (a ^ b).astype(np.int64)


def moons(
    n: int = 200, noise: float = 0.1, seed: Seed = 0, *, dtype: npt.DTypeLike = np.float32
) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.int64]]:
    """Two half circles of radius 1, one hooked into the other: no straight line parts them.

    With t in [0, π], class 0 is (cos t, sin t) and class 1 is (1 − cos t, 1/2 − sin t).

    Parameters
    ----------
    n : int
        How many points; the classes differ by one at most.
    noise : float
        Standard deviation of the Gaussian noise on each coordinate.
    seed : int or sequence of int
        The same seed gives the same points, in the same random order.

    Returns
    -------
    x : (n, 2) float array
    y : (n,) int64 array, 0 or 1
    """
    rng = _rng(n, noise, seed)
    y = rng.permutation(np.arange(n) % 2)
    t = np.pi * rng.random(n)
    upper = np.stack([np.cos(t), np.sin(t)], axis=1)
    x = np.where(y[:, None] == 0, upper, [1.0, 0.5] - upper) + noise * rng.standard_normal((n, 2))
    return x.astype(dtype), y.astype(np.int64)


def spirals(
    n: int = 300,
    noise: float = 0.02,
    seed: Seed = 0,
    *,
    arms: int = 2,
    turns: float = 1.0,
    dtype: npt.DTypeLike = np.float32,
) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.int64]]:
    """Arms that wind out of the origin to radius 1, one class an arm.

    A point of arm k at radius r in (0, 1] has the angle 2π (k / arms + turns · r).

    Parameters
    ----------
    n : int
        How many points; the classes differ by one at most.
    noise : float
        Standard deviation of the Gaussian noise on each coordinate.
    seed : int or sequence of int
        The same seed gives the same points, in the same random order.
    arms : int
        How many classes, at least 1.
    turns : float
        How often each arm winds round the origin.

    Returns
    -------
    x : (n, 2) float array
    y : (n,) int64 array, 0 to arms − 1
    """
    rng = _rng(n, noise, seed)
    check_int("arms", arms, 1)
    y = rng.permutation(np.arange(n) % arms)
    r = 1 - rng.random(n)
    angle = 2 * np.pi * (y / arms + turns * r)
    x = r[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1) + noise * rng.standard_normal((n, 2))
    return x.astype(dtype), y.astype(np.int64)


SHAPES = ("circle", "square", "triangle", "cross")


def shapes(
    n: int = 400, noise: float = 0.05, seed: Seed = 0, *, size: int = 16, dtype: npt.DTypeLike = np.float32
) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.int64]]:
    """Grey images of one shape each: 0 circle, 1 square, 2 triangle, 3 cross.

    Place, size, direction, and the two grey values are random; the shape is always the brighter one and lies
    wholly inside the image. Edges are soft over one pixel.

    Parameters
    ----------
    n : int
        How many images; the classes differ by one at most.
    noise : float
        Standard deviation of the Gaussian noise on each pixel. The result is cut to [0, 1].
    seed : int or sequence of int
        The same seed gives the same images, in the same random order.
    size : int
        Height and width in pixels, at least 8.

    Returns
    -------
    x : (n, size, size) float array
    y : (n,) int64 array, 0 to 3
    """
    rng = _rng(n, noise, seed)
    check_int("size", size, 8)
    y = rng.permutation(np.arange(n) % len(SHAPES))
    radius = rng.uniform(0.25, 0.4, n) * size  # of the circle around the shape, in pixels
    centre = radius[:, None] + rng.random((n, 2)) * (size - 2 * radius)[:, None]
    angle = rng.uniform(0, 2 * np.pi, n)
    dark, bright = rng.uniform(0.0, 0.3, n), rng.uniform(0.7, 1.0, n)

    pixel = np.arange(size) + 0.5
    dy = (pixel - centre[:, :1])[:, :, None]  # (n, H, 1)
    dx = (pixel - centre[:, 1:])[:, None, :]  # (n, 1, W)
    cos, sin, r = (v[:, None, None] for v in (np.cos(angle), np.sin(angle), radius))
    u, v = cos * dx + sin * dy, cos * dy - sin * dx  # (n, H, W): the shape's own axes

    mask = np.empty((n, size, size))
    for label in range(len(SHAPES)):
        mine = y == label
        mask[mine] = coverage(label, u[mine], v[mine], r[mine])
    x = dark[:, None, None] + (bright - dark)[:, None, None] * mask + noise * rng.standard_normal(mask.shape)
    return np.clip(x, 0, 1).astype(dtype), y.astype(np.int64)


def coverage(label: int, u: npt.NDArray, v: npt.NDArray, r: npt.ArrayLike) -> npt.NDArray:
    """How much of the pixel at (u, v), measured from its centre along its own axes, shape ``label`` covers, 0 to 1.

    ``r`` is the radius of the circle around the shape, in pixels; edges are soft over one pixel.
    """
    outside = (_circle, _square, _triangle, _cross)[label]
    return np.clip(0.5 - outside(u, v, r), 0, 1)


# How far (u, v) lies outside a shape whose corners have distance r from the origin; negative inside.


def _circle(u, v, r):
    return np.hypot(u, v) - r


def _square(u, v, r):
    return np.maximum(abs(u), abs(v)) - r / np.sqrt(2)


def _triangle(u, v, r):
    side = abs(u) * np.sqrt(3) / 2
    return np.maximum(side + v / 2, -v) - r / 2


def _cross(u, v, r):
    long, short = r * 3 / np.sqrt(10), r / np.sqrt(10)  # a third as thick as it is long
    bar = np.maximum(abs(u) - long, abs(v) - short)
    return np.minimum(bar, np.maximum(abs(v) - long, abs(u) - short))


def _rng(n: int, noise: float, seed: Seed) -> np.random.Generator:
    check_int("n", n, 1)
    if not (isinstance(noise, (int, float, np.number)) and 0 <= noise < np.inf):
        raise ValueError(f"noise is {noise!r}, expected a standard deviation: a number >= 0")
    return np.random.default_rng(seed)


def check_int(argument: str, value: int, least: int, most: int | None = None) -> None:
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or value < least or (most is not None and value > most):
        raise ValueError(f"{argument} is {value!r}, expected an int >= {least}" + (f" and <= {most}" if most else ""))
