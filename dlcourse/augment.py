"""Chapter 10: augmentation by hand, of images, text and sound.

Images are float arrays (..., H, W) with values from 0 to 1; colours, where they matter, are axis -3: (..., 3, H, W).
So one image, one grey image and a batch all pass. Nothing is changed in place. What is random takes a generator:

    rng = np.random.default_rng(0)
    batch = random_shift_flip(images, rng, pixels=2)

Where torchvision.transforms.v2 has the same operation, the numbers are the same; the tests compare them.

Sources: Shorten and Khoshgoftaar, A survey on image data augmentation for deep learning, Journal of Big Data 6 (2019);
and those named at each function.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from dlcourse.arrays import as_float

LUMA = np.array([0.2989, 0.587, 0.114])

# --------------------------------------------------------------------------------------------- moving the pixels


def flip(x: np.ndarray, axis: str = "horizontal") -> np.ndarray:
    """Mirror: left and right change places, or with ``"vertical"`` top and bottom.

    Raises
    ------
    ValueError
        ``axis`` is another word, or ``x`` is no image.
    """
    x = _images(x)
    if axis not in ("horizontal", "vertical"):
        raise ValueError(f"axis is {axis!r}; expected 'horizontal' or 'vertical'")
    return np.flip(x, -1 if axis == "horizontal" else -2).copy()


def crop(x: np.ndarray, top: int, left: int, height: int, width: int) -> np.ndarray:
    """The window of the given size whose upper left pixel is ``(top, left)``; outside the image, pixels are 0.

    Raises
    ------
    ValueError
        The size is not positive, or ``x`` is no image.
    """
    x = _images(x)
    if height < 1 or width < 1:
        raise ValueError(f"height is {height}, width {width}; expected positive sizes")
    H, W = x.shape[-2:]
    out = np.zeros((*x.shape[:-2], height, width), x.dtype)
    rows, columns = (max(top, 0), min(top + height, H)), (max(left, 0), min(left + width, W))
    if rows[0] < rows[1] and columns[0] < columns[1]:
        seen = x[..., rows[0] : rows[1], columns[0] : columns[1]]
        out[..., rows[0] - top : rows[1] - top, columns[0] - left : columns[1] - left] = seen
    return out


def affine(x: np.ndarray, matrix: np.ndarray, shift: Sequence[float] = (0.0, 0.0)) -> np.ndarray:
    """Any straight-lined change: rotation, scaling, shear, and a shift.

    The point p, counted from the image's centre, goes to ``matrix @ p + shift``. So the pixel at q takes its value from
    ``matrix⁻¹ (q - shift)``, which lies between pixels: the four around it are mixed in proportion to their nearness
    (bilinear). Outside the image, pixels are 0.

    Parameters
    ----------
    x : (..., H, W)
    matrix : (2, 2), for points (column, row), so x to the right and y downwards
    shift : (columns, rows)

    Raises
    ------
    ValueError
        The matrix is not (2, 2) or cannot be inverted, or ``x`` is no image.
    """
    x, matrix = _images(x), np.asarray(matrix, dtype=float)
    if matrix.shape != (2, 2) or abs(np.linalg.det(matrix)) < 1e-12:
        raise ValueError(f"matrix is {matrix.tolist()}; expected (2, 2) with a determinant that is not 0")
    H, W = x.shape[-2:]
    rows, columns = np.mgrid[:H, :W]
    out_points = np.stack([columns - (W - 1) / 2 - shift[0], rows - (H - 1) / 2 - shift[1]])  # (2, H, W)
    from_column, from_row = np.einsum("ij,jhw->ihw", np.linalg.inv(matrix), out_points)
    return _bilinear(x, from_row + (H - 1) / 2, from_column + (W - 1) / 2)


def _bilinear(x: np.ndarray, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """The values of (..., H, W) at places between the pixels; 0 outside."""
    H, W = x.shape[-2:]
    top, left = np.floor(row).astype(int), np.floor(column).astype(int)
    out = np.zeros((*x.shape[:-2], *row.shape), x.dtype)
    for r, c, nearness in (
        (top, left, (1 - (row - top)) * (1 - (column - left))),
        (top, left + 1, (1 - (row - top)) * (column - left)),
        (top + 1, left, (row - top) * (1 - (column - left))),
        (top + 1, left + 1, (row - top) * (column - left)),
    ):
        inside = (r >= 0) & (r < H) & (c >= 0) & (c < W)
        values = x[..., np.clip(r, 0, H - 1), np.clip(c, 0, W - 1)]
        out += values * (nearness * inside).astype(x.dtype)
    return out


def rotation(degrees: float) -> np.ndarray:
    """The matrix for :func:`affine` that turns counter-clockwise, as it is seen on the screen."""
    a = math.radians(degrees)
    return np.array([[math.cos(a), math.sin(a)], [-math.sin(a), math.cos(a)]])


def rotate(x: np.ndarray, degrees: float) -> np.ndarray:
    """Turn counter-clockwise about the centre; the corners that come in are 0."""
    return affine(x, rotation(degrees))


# --------------------------------------------------------------------------------------------- changing the values


def brightness(x: np.ndarray, factor: float) -> np.ndarray:
    """``x · factor``, cut to 0 ... 1."""
    return np.clip(_images(x) * _factor(factor), 0, 1).astype(np.asarray(x).dtype)


def contrast(x: np.ndarray, factor: float) -> np.ndarray:
    """Away from each image's mean grey, or towards it: ``mean + factor (x - mean)``, cut to 0 ... 1. (..., 3, H, W)."""
    x = _colours(x)
    mean = _grey(x).mean(axis=(-3, -2, -1), keepdims=True)
    return np.clip(mean + _factor(factor) * (x - mean), 0, 1).astype(x.dtype)


def saturation(x: np.ndarray, factor: float) -> np.ndarray:
    """Away from each pixel's grey, or towards it: 0 leaves no colour, 1 changes nothing. (..., 3, H, W)."""
    x = _colours(x)
    grey = _grey(x)
    return np.clip(grey + _factor(factor) * (x - grey), 0, 1).astype(x.dtype)


def colour_shift(x: np.ndarray, shift: Sequence[float]) -> np.ndarray:
    """Add one number to each colour, as light of another tint does, and cut to 0 ... 1. (..., 3, H, W)."""
    x = _colours(x)
    return np.clip(x + np.asarray(shift, x.dtype)[:, None, None], 0, 1)


def noise(x: np.ndarray, std: float, rng: np.random.Generator) -> np.ndarray:
    """Add independent normal numbers of standard deviation ``std``, and cut to 0 ... 1."""
    x = _images(x)
    return np.clip(x + _factor(std, "std") * rng.standard_normal(x.shape), 0, 1).astype(x.dtype)


def gaussian_kernel(size: int, sigma: float) -> np.ndarray:
    """(size,) weights in proportion to ``exp(-k² / 2σ²)`` that add up to 1; ``size`` is odd.

    Raises
    ------
    ValueError
        ``size`` is even or below 1, or ``sigma`` is not positive.
    """
    if size < 1 or size % 2 == 0:
        raise ValueError(f"size is {size}; expected an odd number, so that the kernel has a middle")
    if not sigma > 0:
        raise ValueError(f"sigma is {sigma}; expected a positive number of pixels")
    k = np.arange(size) - size // 2
    weights = np.exp(-(k**2) / (2 * sigma**2))
    return weights / weights.sum()


def blur(x: np.ndarray, sigma: float, size: int = 5) -> np.ndarray:
    """Gaussian blur: every pixel becomes a weighted mean of its neighbourhood, along rows, then along columns.

    At the border the image is reflected, without repeating the last pixel.

    Raises
    ------
    ValueError
        As :func:`gaussian_kernel`; or the kernel reaches further than the image does.
    """
    x, weights = _images(x), gaussian_kernel(size, sigma)
    if size // 2 >= min(x.shape[-2:]):
        raise ValueError(f"size is {size}; its half must be below the image's height and width, {x.shape[-2:]}")
    return _along(_along(x, weights, -1), weights, -2)


def _along(x: np.ndarray, weights: np.ndarray, axis: int) -> np.ndarray:
    reach, n = len(weights) // 2, x.shape[axis]
    widths = [(0, 0)] * x.ndim
    widths[axis] = (reach, reach)
    padded = np.moveaxis(np.pad(x, widths, mode="reflect"), axis, -1)
    out = sum(w * padded[..., k : k + n] for k, w in enumerate(weights.astype(x.dtype)))
    return np.moveaxis(out, -1, axis)


def cutout(x: np.ndarray, top: int, left: int, height: int, width: int, value: float = 0.0) -> np.ndarray:
    """Paint over a rectangle, as something that stands in front does. The part that is outside the image is ignored.

    Source: DeVries and Taylor, Improved regularization with cutout, arXiv:1708.04552 (2017).
    """
    x = _images(x).copy()
    x[..., max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)] = value
    return x


def sobel(x: np.ndarray) -> np.ndarray:
    """The strength of edges, ``√(gx² + gy²)``, of each channel; at the border the last pixels are repeated.

    ``gx`` differs along rows, (1, 0, -1), and smooths along columns, (1, 2, 1); ``gy`` the other way round.
    """
    x = _images(x)
    padded = np.pad(x, [(0, 0)] * (x.ndim - 2) + [(1, 1), (1, 1)], mode="edge")
    up, middle, down = padded[..., :-2, :], padded[..., 1:-1, :], padded[..., 2:, :]
    smooth, step = up + 2 * middle + down, down - up
    gx = smooth[..., 2:] - smooth[..., :-2]
    gy = step[..., :-2] + 2 * step[..., 1:-1] + step[..., 2:]
    return np.sqrt(gx * gx + gy * gy)


# ---------------------------------------------------------------------------------------------------- at random


def random_shift_flip(x: np.ndarray, rng: np.random.Generator, pixels: int = 2, flips: bool = True) -> np.ndarray:
    """A batch (N, ..., H, W), each image moved by up to ``pixels`` in both directions and mirrored half of the time.

    Raises
    ------
    ValueError
        ``x`` has no axis of examples, or ``pixels`` is negative.
    """
    x = _images(x)
    if x.ndim < 3 or pixels < 0:
        raise ValueError(f"x has shape {x.shape} and pixels is {pixels}; expected (N, ..., H, W) and at least 0")
    moves = rng.integers(-pixels, pixels + 1, size=(len(x), 2))
    mirrored = rng.random(len(x)) < 0.5 if flips else np.zeros(len(x), bool)
    out = np.empty_like(x)
    for i, (top, left) in enumerate(moves):
        out[i] = crop(x[i, ..., ::-1] if mirrored[i] else x[i], int(top), int(left), *x.shape[-2:])
    return out


def random_cutout(x: np.ndarray, rng: np.random.Generator, size: int) -> np.ndarray:
    """A batch (N, ..., H, W), in each image one square painted black, whose centre is anywhere in the image."""
    x = _images(x).copy()
    H, W = x.shape[-2:]
    for image, row, column in zip(x, rng.integers(0, H, len(x)), rng.integers(0, W, len(x)), strict=True):
        image[...] = cutout(image, int(row) - size // 2, int(column) - size // 2, size, size)
    return x


# ------------------------------------------------------------------------------------------------ text and sound


def random_deletion(words: Sequence[str], p: float, rng: np.random.Generator) -> list[str]:
    """Leave out each word with probability ``p``; if none would be left, keep one of them.

    Source: Wei and Zou, EDA: easy data augmentation for text classification, EMNLP (2019), section 2.
    """
    _share("p", p)
    if not len(words):
        raise ValueError("words is empty; expected at least one word")
    kept = [word for word, u in zip(words, rng.random(len(words)), strict=True) if u >= p]
    return kept or [words[int(rng.integers(len(words)))]]


def random_swap(words: Sequence[str], swaps: int, rng: np.random.Generator) -> list[str]:
    """Let two random words change places, ``swaps`` times. Source: Wei and Zou (2019)."""
    words = list(words)
    for _ in range(swaps if len(words) > 1 else 0):
        i, j = rng.choice(len(words), 2, replace=False)
        words[i], words[j] = words[j], words[i]
    return words


def synonyms(words: Sequence[str], table: Mapping[str, Sequence[str]], p: float, rng: np.random.Generator) -> list[str]:
    """Replace each word that the table knows by one of its synonyms, with probability ``p``. Source: as above."""
    _share("p", p)
    return [
        str(rng.choice(table[word])) if word in table and rng.random() < p else word for word in words
    ]  # fmt: skip


def add_noise(wave: np.ndarray, snr_db: float, rng: np.random.Generator) -> np.ndarray:
    """White noise, so loud that the signal-to-noise ratio is ``snr_db`` decibels: 10 log₁₀ (power / noise's power).

    The noise is scaled to that power exactly. ``wave`` is (..., T).
    """
    wave = _wave(wave)
    drawn = rng.standard_normal(wave.shape)
    power, drawn_power = np.mean(wave**2, axis=-1, keepdims=True), np.mean(drawn**2, axis=-1, keepdims=True)
    return (wave + drawn * np.sqrt(power / drawn_power * 10 ** (-snr_db / 10))).astype(wave.dtype)


def time_shift(wave: np.ndarray, steps: int) -> np.ndarray:
    """Later by ``steps`` samples (earlier, where negative), with silence where nothing is. (..., T)."""
    wave = _wave(wave)
    out, T = np.zeros_like(wave), wave.shape[-1]
    late, early = max(steps, 0), max(-steps, 0)
    out[..., late : max(T - early, 0)] = wave[..., early : max(T - late, 0)]
    return out


def change_speed(wave: np.ndarray, rate: float) -> np.ndarray:
    """Play it ``rate`` times as fast: shorter and higher for rate > 1. Linear between the samples. (T,)."""
    wave = _wave(wave)
    if wave.ndim != 1 or not rate > 0:
        raise ValueError(f"wave has shape {wave.shape}, rate is {rate}; expected (T,) and a positive rate")
    length = max(1, round(len(wave) / rate))
    return np.interp(np.arange(length) * rate, np.arange(len(wave)), wave).astype(wave.dtype)


def spectrogram(wave: np.ndarray, window: int = 256, hop: int = 128) -> np.ndarray:
    """How much of each frequency there is, moment by moment: (window / 2 + 1 frequencies, moments).

    Magnitudes of the Fourier transform of pieces of ``window`` samples under a Hann window, every ``hop`` samples.
    """
    wave = _wave(wave)
    if wave.ndim != 1 or len(wave) < window or hop < 1 or window < 2:
        raise ValueError(f"wave has shape {wave.shape}; expected (T,) with T of at least the window, {window}")
    pieces = np.lib.stride_tricks.sliding_window_view(wave, window)[::hop]
    return np.abs(np.fft.rfft(pieces * np.hanning(window).astype(wave.dtype), axis=-1)).T.astype(wave.dtype)


def mask_spectrogram(
    spectrum: np.ndarray, rng: np.random.Generator, frequencies: int = 8, moments: int = 8
) -> np.ndarray:
    """SpecAugment's masks: a band of up to ``frequencies`` rows and one of up to ``moments`` columns become 0.

    Source: Park et al., SpecAugment, Interspeech (2019), arXiv:1904.08779, section 2.
    """
    spectrum = _images(spectrum, "spectrum").copy()
    for axis, most in ((-2, frequencies), (-1, moments)):
        n = spectrum.shape[axis]
        width = int(rng.integers(0, min(most, n) + 1))
        start = int(rng.integers(0, n - width + 1))
        np.moveaxis(spectrum, axis, 0)[start : start + width] = 0
    return spectrum


# -------------------------------------------------------------------------------------------------------- checks


def _images(x: np.ndarray, name: str = "x") -> np.ndarray:
    x = as_float(x, name)
    if x.ndim < 2 or 0 in x.shape:
        raise ValueError(f"{name} has shape {x.shape}; expected (..., H, W) with no axis of length 0")
    return x


def _colours(x: np.ndarray) -> np.ndarray:
    x = _images(x)
    if x.ndim < 3 or x.shape[-3] != 3:
        raise ValueError(f"x has shape {x.shape}; expected three colours, (..., 3, H, W)")
    return x


def _grey(x: np.ndarray) -> np.ndarray:
    return np.einsum("c,...chw->...hw", LUMA.astype(x.dtype), x)[..., None, :, :]


def _wave(wave: np.ndarray) -> np.ndarray:
    wave = as_float(wave, "wave")
    if wave.ndim < 1 or 0 in wave.shape:
        raise ValueError(f"wave has shape {wave.shape}; expected (..., T) with no axis of length 0")
    return wave


def _factor(value: float, name: str = "factor") -> float:
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} is {value}; expected a finite number of at least 0")
    return value


def _share(name: str, p: float) -> None:
    if not 0 <= p < 1:
        raise ValueError(f"{name} is {p}; expected at least 0 and below 1")
