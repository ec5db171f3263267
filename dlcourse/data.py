"""Data sets: small real ones, two photographs, and synthetic ones drawn from a seed.

>>> from dlcourse import data
>>> digits = data.load("digits")
>>> digits.x_train.shape, digits.x_train.dtype, digits.y_train.dtype
((1438, 8, 8), dtype('float32'), dtype('int64'))

Everything follows one rule: inputs are ``float32`` (``dtype=`` changes that), labels are ``int64``, images
are ``(N, H, W)`` with values from 0 to 1, points in the plane are ``(N, 2)``. What is drawn at random depends
on ``seed`` alone.

``digits``, the photographs and the synthetic sets are always there. ``mnist`` and ``fashion_mnist`` are read
from the folders that :func:`folders` lists, and fetched once, by torchvision, where none of them has the files.
Environment variables say where from and where to:

``DLCOURSE_DATA``
    A folder that is looked in first. It may be read-only. Its layout is torchvision's: ``MNIST/raw/*.gz``.
``DLCOURSE_MIRROR``
    The address of a server to fetch from instead of the published ones, with the same layout, for example
    ``http://192.0.2.7:8000`` where ``python -m http.server`` runs in a data folder. Checksums hold there too.
``XDG_CACHE_HOME``
    Moves the user's cache folder, as it does for other programs (Linux).
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import hashlib
import http.client
import inspect
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

__all__ = [
    "DataUnavailable",
    "Dataset",
    "available",
    "cached",
    "folders",
    "holdout",
    "load",
    "moons",
    "photograph",
    "shapes",
    "spirals",
    "xor",
]

Seed = int | Sequence[int]


class DataUnavailable(RuntimeError):
    """A data set is not on this machine and could not be fetched; the message says what to do."""


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """A data set for classification, already split.

    Attributes
    ----------
    x_train, x_test : float arrays
        ``(N, H, W)`` for images, from 0 to 1; ``(N, 2)`` for points in the plane.
    y_train, y_test : int64 arrays
        ``(N,)``, each an index into ``classes``.
    classes : tuple of str
        What the labels mean.
    name, source, licence : str
        What it is called here, where it comes from, and on what terms.
    """

    x_train: npt.NDArray[np.floating]
    y_train: npt.NDArray[np.int64]
    x_test: npt.NDArray[np.floating]
    y_test: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    name: str
    source: str
    licence: str

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.x_train.shape[1:]))
        sizes = f"{len(self.x_train)} to train, {len(self.x_test)} to test"
        return f"Dataset({self.name}: {sizes}, each {shape} {self.x_train.dtype}, {len(self.classes)} classes)"


@dataclass(frozen=True)
class _IdxSet:
    """Four gzipped idx files, as MNIST was published, with the md5 sums that torchvision publishes."""

    torchvision: str  # the class in torchvision.datasets, and the folder's name
    md5: dict[str, str]
    mirrors: tuple[str, ...]  # tried after torchvision's own
    megabytes: int
    classes: tuple[str, ...]
    source: str
    licence: str


_IDX_SETS = {
    "mnist": _IdxSet(
        torchvision="MNIST",
        md5={
            "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
            "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
            "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
        },
        mirrors=("https://storage.googleapis.com/cvdf-datasets/mnist/",),
        megabytes=12,
        classes=tuple("0123456789"),
        source="Y. LeCun, C. Cortes, C. Burges: the MNIST database of handwritten digits",
        licence="CC BY-SA 3.0",
    ),
    "fashion_mnist": _IdxSet(
        torchvision="FashionMNIST",
        md5={
            "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
            "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
            "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
        },
        mirrors=(
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/"
            "b2617bb6d3ffa2e429640350f613e3291e10b141/data/fashion/",
        ),
        megabytes=31,
        classes=(
            "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
            "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
        ),
        source="H. Xiao, K. Rasul, R. Vollgraf: Fashion-MNIST, arXiv:1708.07747, Zalando SE",
        licence="MIT",
    ),
}  # fmt: skip

_TIMEOUT = 15.0  # seconds without a byte before a server counts as unreachable
_PARTIAL = ".dlcourse-partial-"


def folders() -> list[Path]:
    """Where data files are looked for, in this order: ``DLCOURSE_DATA`` if it is set, the user's cache."""
    import platformdirs

    cache = Path(platformdirs.user_cache_dir("dlcourse", appauthor=False))
    chosen = os.environ.get("DLCOURSE_DATA")
    return [Path(chosen).expanduser(), cache] if chosen else [cache]


def cached(name: str) -> bool:
    """Whether :func:`load` needs no network for ``name``: all its files are there, with the right checksums."""
    _check_name(name)
    return name not in _IDX_SETS or len(_find(_IDX_SETS[name])) == len(_IDX_SETS[name].md5)


def _find(spec: _IdxSet) -> dict[str, bytes]:
    """Those of the set's files that some folder holds intact, by name. A damaged file counts as missing."""
    found: dict[str, bytes] = {}
    for name, md5 in spec.md5.items():
        for folder in folders():
            try:
                content = (folder / spec.torchvision / "raw" / name).read_bytes()
            except OSError:
                continue
            if hashlib.md5(content, usedforsecurity=False).hexdigest() == md5:
                found[name] = content
                break
    return found


def _array(gz: bytes) -> npt.NDArray[np.uint8]:
    """Decode an idx file: two zero bytes, the type (8: unsigned byte), the number of axes, sizes, values."""
    idx = gzip.decompress(gz)
    sizes = np.frombuffer(idx, ">i4", count=idx[3], offset=4)
    return np.frombuffer(idx, np.uint8, offset=4 + 4 * idx[3]).reshape(sizes)


def _load_idx(name: str, dtype: npt.DTypeLike, download: bool) -> Dataset:
    spec = _IDX_SETS[name]
    files = _find(spec)
    if len(files) < len(spec.md5):
        if not download:
            raise DataUnavailable(
                f"{name} is not in {_either(folders())} and download=False: "
                f"call dlcourse.data.load({name!r}) once where there is a network, "
                f"or set DLCOURSE_DATA to a folder that {_holds(spec)}."
            )
        _download(name, spec)
        files = _find(spec)
    arrays = {file: _array(files[file]) for file in spec.md5}
    x_train, y_train, x_test, y_test = (arrays[file] for file in spec.md5)
    return Dataset(
        x_train=_unit(x_train, 255, dtype),
        y_train=y_train.astype(np.int64),
        x_test=_unit(x_test, 255, dtype),
        y_test=y_test.astype(np.int64),
        classes=spec.classes,
        name=name,
        source=spec.source,
        licence=spec.licence,
    )


def _unit(x: npt.NDArray, largest: int, dtype: npt.DTypeLike) -> npt.NDArray[np.floating]:
    """Values 0 .. largest as floats 0 .. 1."""
    x = x.astype(dtype)
    x /= largest
    return x


def _download(name: str, spec: _IdxSet) -> None:
    """Fetch what is missing into the first folder that can be written.

    A file is written in a folder of its own, compared with its checksum there, and moved to its place in one
    step. So a process may be killed at any time, and two may run at once: what has the right name is whole.
    """
    folder = next(filter(_writable, folders()), None)
    if folder is None:
        raise DataUnavailable(
            f"{name} is not in {_either(folders())}, and nothing can be written there: "
            f"set DLCOURSE_DATA to a folder with {spec.megabytes} MB of room, or to one that {_holds(spec)}."
        )
    try:
        import torchvision
        from torchvision.datasets.utils import download_url
    except (ImportError, RuntimeError) as error:  # RuntimeError: it was built for another torch
        raise DataUnavailable(
            f"{name} is not in {_either(folders())}, and to fetch it takes torchvision, which cannot be imported "
            f"({_reason(error)}): install the torchvision that matches your torch, "
            f"or set DLCOURSE_DATA to a folder that {_holds(spec)}."
        ) from None

    mirror = os.environ.get("DLCOURSE_MIRROR")
    if mirror:
        mirrors = [f"{mirror.rstrip('/')}/{spec.torchvision}/raw/"]
    else:
        mirrors = [*getattr(torchvision.datasets, spec.torchvision).mirrors, *spec.mirrors]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _lock(folder, name), _partial(folder) as partial, _socket_timeout(_TIMEOUT):
            missing = sorted(spec.md5.keys() - _find(spec))  # another process may have come first
            if missing:
                print(f"{name}: fetching {len(missing)} files into {folder}", file=sys.stderr)
            for file in missing:
                _fetch(download_url, mirrors, file, spec.md5[file], partial)
                target = folder / spec.torchvision / "raw" / file
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(partial / file, target)
    except _Unreachable as error:
        raise DataUnavailable(
            f"{name} is not in {_either(folders())} and could not be fetched ({error}): "
            f"connect to the internet and call again, or set DLCOURSE_DATA to a folder that {_holds(spec)}."
        ) from None
    except OSError as error:
        raise DataUnavailable(
            f"{name} could not be stored in {folder} ({_reason(error)}): "
            f"set DLCOURSE_DATA to a folder with {spec.megabytes} MB of room, or to one that {_holds(spec)}."
        ) from None


class _Unreachable(Exception):
    """No server gave the file; the message says what each of them did."""


def _fetch(download_url: Callable, mirrors: list[str], file: str, md5: str, folder: Path) -> None:
    """Fetch one file into ``folder`` from the first mirror that has it with the right checksum."""
    reasons = []
    for mirror in mirrors:
        try:
            download_url(mirror + file, str(folder), filename=file, md5=md5)
            return
        except (OSError, RuntimeError, ValueError, http.client.HTTPException) as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            # torchvision says "File not found or corrupted." where the checksum differs.
            wrong = isinstance(error, RuntimeError) and (folder / file).exists()
            reason = "sent something with a wrong checksum, which was thrown away" if wrong else _reason(error)
            reasons.append(f"{mirror.split('/')[2] if '//' in mirror else mirror}: {reason}")
            (folder / file).unlink(missing_ok=True)
    raise _Unreachable("; ".join(reasons))


@contextlib.contextmanager
def _lock(folder: Path, name: str) -> Iterator[None]:
    """Let one process at a time fetch into ``folder``; the system frees the lock when a process is killed."""
    try:
        import fcntl

        handle = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):  # no such locks on this system; os.replace alone keeps the files whole
        yield
        return
    try:
        with contextlib.suppress(OSError):  # some network file systems cannot lock a folder
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print(f"{name}: waiting for another process that writes into {folder}", file=sys.stderr)
                fcntl.flock(handle, fcntl.LOCK_EX)
            for stale in folder.glob(_PARTIAL + "*"):  # left by a process that was killed: nobody else holds the lock
                shutil.rmtree(stale, ignore_errors=True)
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def _partial(folder: Path) -> Iterator[Path]:
    """A new folder inside ``folder``, gone with all it holds at the end."""
    partial = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=folder))
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextlib.contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    """torchvision sets no timeout, and without one a silent server would be waited for without end."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _writable(folder: Path) -> bool:
    there = next(path for path in (folder, *folder.absolute().parents) if os.path.exists(path))
    # The mode is asked too: to root, a folder that was made read-only would look writable.
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK) and bool(there.stat().st_mode & 0o222)


def _either(paths: list[Path]) -> str:
    return " or ".join(str(path) for path in paths)


def _holds(spec: _IdxSet) -> str:
    first, *others = spec.md5
    return f"holds {spec.torchvision}/raw/{first} and the {len(others)} files that belong to it"


def _reason(error: BaseException) -> str:
    """The cause in a few words, on one line."""
    cause = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
    return " ".join(str(cause).split()) or type(error).__name__


def _load_digits(dtype: npt.DTypeLike) -> Dataset:
    from sklearn.datasets import load_digits

    raw = load_digits()
    x, y = _unit(raw.images, 16, dtype), raw.target.astype(np.int64)
    train, test = holdout(y, fraction=0.2, seed=0)
    return Dataset(
        x_train=x[train],
        y_train=y[train],
        x_test=x[test],
        y_test=y[test],
        classes=tuple("0123456789"),
        name="digits",
        source="E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits, UCI, 1998",
        licence="CC BY 4.0",
    )


_PHOTOGRAPHS = {
    "china": "photograph of a pagoda's roof, 427x640, by danielbuechele on Flickr (6061409035), CC BY 2.0",
    "flower": "photograph of a dahlia, 427x640, by vultilion on Flickr (6056698931), CC BY 2.0",
}


def photograph(
    name: str = "china", *, grey: bool = False, shrink: int = 1, dtype: npt.DTypeLike = np.float32
) -> npt.NDArray[np.floating]:
    """A photograph with values from 0 to 1; scikit-learn brings it, so nothing is fetched.

    Parameters
    ----------
    name : {"china", "flower"}
    grey : bool
        Give luma, 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), in place of the three colours.
    shrink : int
        Average squares of ``shrink`` x ``shrink`` pixels. Rows and columns that fill no square are cut off.

    Returns
    -------
    (H, W, 3) float array, or (H, W) where ``grey``. At ``shrink=1``, H is 427 and W 640.

    Raises
    ------
    ValueError
        ``name`` is not known, or ``shrink`` is not an int from 1 to 427.
    """
    if name not in _PHOTOGRAPHS:
        raise ValueError(f"name is {name!r}, expected one of {', '.join(_PHOTOGRAPHS)}")
    from sklearn.datasets import load_sample_image

    image = load_sample_image(f"{name}.jpg") / 255  # (H, W, 3) float64
    _check_int("shrink", shrink, 1, image.shape[0])
    if grey:
        image = image @ [0.299, 0.587, 0.114]
    H, W = image.shape[0] // shrink, image.shape[1] // shrink
    image = image[: H * shrink, : W * shrink]
    return image.reshape(H, shrink, W, shrink, *image.shape[2:]).mean(axis=(1, 3)).astype(dtype)


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
    _check_int("arms", arms, 1)
    y = rng.permutation(np.arange(n) % arms)
    r = 1 - rng.random(n)
    angle = 2 * np.pi * (y / arms + turns * r)
    x = r[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1) + noise * rng.standard_normal((n, 2))
    return x.astype(dtype), y.astype(np.int64)


_SHAPES = ("circle", "square", "triangle", "cross")


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
    _check_int("size", size, 8)
    y = rng.permutation(np.arange(n) % len(_SHAPES))
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
    for label, outside in enumerate((_circle, _square, _triangle, _cross)):
        mine = y == label
        mask[mine] = np.clip(0.5 - outside(u[mine], v[mine], r[mine]), 0, 1)
    x = dark[:, None, None] + (bright - dark)[:, None, None] * mask + noise * rng.standard_normal(mask.shape)
    return np.clip(x, 0, 1).astype(dtype), y.astype(np.int64)


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


@dataclass(frozen=True)
class _SyntheticSet:
    draw: Callable[..., tuple[npt.NDArray[np.floating], npt.NDArray[np.int64]]]
    n: int
    classes: tuple[str, ...] | None


_SYNTHETIC = {
    "xor": _SyntheticSet(xor, 4, ("equal", "different")),
    "moons": _SyntheticSet(moons, 200, ("upper", "lower")),
    "spirals": _SyntheticSet(spirals, 300, None),
    "shapes": _SyntheticSet(shapes, 400, _SHAPES),
}


def _load_synthetic(name: str, dtype: npt.DTypeLike, n: int | None = None, seed: int = 0, **options) -> Dataset:
    made = _SYNTHETIC[name]
    _check_int("seed", seed, 0)
    n = made.n if n is None else n
    x_train, y_train = made.draw(n, seed=seed, dtype=dtype, **options)
    x_test, y_test = made.draw(n, seed=[seed, 1], dtype=dtype, **options)
    return Dataset(
        x_train=x_train,
        y_train=y_train,
        x_test=x_test,
        y_test=y_test,
        classes=made.classes or tuple(f"arm {k}" for k in range(options.get("arms", 2))),
        name=name,
        source=f"dlcourse.data.{name}, seed {seed}",
        licence="BSD-3-Clause",
    )


def _rng(n: int, noise: float, seed: Seed) -> np.random.Generator:
    _check_int("n", n, 1)
    if not (isinstance(noise, (int, float, np.number)) and 0 <= noise < np.inf):
        raise ValueError(f"noise is {noise!r}, expected a standard deviation: a number >= 0")
    return np.random.default_rng(seed)


def _check_int(argument: str, value: int, least: int, most: int | None = None) -> None:
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or value < least or (most is not None and value > most):
        raise ValueError(f"{argument} is {value!r}, expected an int >= {least}" + (f" and <= {most}" if most else ""))


_DESCRIPTIONS = {
    "digits": "handwritten digits, 8x8: 1438 to train, 359 to test; always there",
    "mnist": "handwritten digits, 28x28: 60000 to train, 10000 to test; fetched once, 12 MB",
    "fashion_mnist": "pictures of clothes, 28x28: 60000 to train, 10000 to test; fetched once, 31 MB",
    "xor": "the four corners of the unit square, or noisy points around them; options n, noise, seed",
    "moons": "two half circles in the plane; options n, noise, seed",
    "spirals": "arms that wind round the origin; options n, noise, seed, arms, turns",
    "shapes": "images of circles, squares, triangles and crosses; options n, noise, seed, size",
}


def available() -> dict[str, str]:
    """What there is, a line each: names for :func:`load`, then names for :func:`photograph`."""
    return {**_DESCRIPTIONS, **_PHOTOGRAPHS}


def load(name: str, *, dtype: npt.DTypeLike = np.float32, download: bool = True, **options) -> Dataset:
    """A data set as arrays, split into a training and a test part.

    Parameters
    ----------
    name : str
        ``"digits"``, ``"mnist"``, ``"fashion_mnist"``, ``"xor"``, ``"moons"``, ``"spirals"`` or ``"shapes"``.
    dtype : float dtype
        Of the inputs. Labels are always int64.
    download : bool
        Whether files that are missing may be fetched.
    **options
        For a synthetic set, its function's arguments (``n``, ``noise``, ``seed``, ...). The training part is
        what the function gives for them, the test part another ``n`` examples, with the seed ``[seed, 1]``.

    Returns
    -------
    Dataset
        Images ``(N, H, W)`` with values from 0 to 1, or points ``(N, 2)``; labels ``(N,)``. Of ``digits`` the
        same fifth is held out each time, every class in proportion; the MNIST sets come split.

    Raises
    ------
    ValueError
        No such name, no such option, a ``dtype`` that is not floating.
    DataUnavailable
        The files are not on this machine and cannot be fetched, or ``download`` is False. What was there
        before is untouched, and nothing half-written is left.
    """
    _check_name(name)
    dtype = np.dtype(dtype)
    if dtype.kind != "f":
        raise ValueError(f"dtype is {dtype}, expected a floating dtype such as float32")
    if name in _SYNTHETIC:
        known = inspect.signature(_SYNTHETIC[name].draw).parameters
        if unknown := sorted(set(options) - set(known)):
            raise ValueError(f"{name!r} has no option {', '.join(unknown)}; {_DESCRIPTIONS[name]}")
        return _load_synthetic(name, dtype, **options)
    if options:
        raise ValueError(f"{name!r} takes no options, got {', '.join(options)}")
    return _load_digits(dtype) if name == "digits" else _load_idx(name, dtype, download)


def _check_name(name: str) -> None:
    if name in _PHOTOGRAPHS:
        raise ValueError(f"name is {name!r}, which is a photograph: call dlcourse.data.photograph({name!r})")
    if name not in _DESCRIPTIONS:
        raise ValueError(f"name is {name!r}, expected one of {', '.join(_DESCRIPTIONS)}")


def holdout(
    y: npt.ArrayLike, fraction: float = 0.2, seed: Seed = 0
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Split at random, each class in the same proportion.

    Parameters
    ----------
    y : (N,) array of labels
    fraction : float
        What part of each class is held out, rounded to whole examples.
    seed : int or sequence of int

    Returns
    -------
    train, test : index arrays
        Together they hold 0 .. N − 1 once each, in random order.

    Raises
    ------
    ValueError
        ``y`` has more than one axis, or ``fraction`` is outside [0, 1].
    """
    y = np.asarray(y)
    if y.ndim != 1:
        raise ValueError(f"y has shape {y.shape}, expected (N,)")
    if not 0 <= fraction <= 1:
        raise ValueError(f"fraction is {fraction!r}, expected a number from 0 to 1")
    order = np.random.default_rng(seed).permutation(len(y))
    held = np.zeros(len(y), dtype=bool)
    for label in np.unique(y):
        members = order[y[order] == label]
        held[members[: round(fraction * len(members))]] = True
    return order[~held[order]], order[held[order]]
