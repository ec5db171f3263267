"""Data sets: small real ones, two photographs, and synthetic ones drawn from a seed.

>>> from dlcourse import data
>>> digits = data.load("digits")
>>> digits.x_train.shape, digits.x_train.dtype, digits.y_train.dtype
((1438, 8, 8), dtype('float32'), dtype('int64'))

Everything follows one rule: inputs are ``float32`` (``dtype=`` changes that), labels are ``int64``, images
are ``(N, H, W)`` or ``(N, C, H, W)`` with values from 0 to 1, points in the plane are ``(N, 2)``. What is drawn at
random depends on ``seed`` alone.

``digits``, the photographs, the texts, the graph of Cora and the synthetic sets are always there. The others are read
from the folders that :func:`folders` lists, and fetched once, by torchvision, where none of them has the files; ask
:func:`cached` first where that would be too long. Environment variables say where from and where to:

``DLCOURSE_DATA``
    A folder that is looked in first. It may be read-only. Its layout is torchvision's: ``MNIST/raw/*.gz``.
``DLCOURSE_MIRROR``
    The address of a server to fetch from instead of the published ones, with the same layout, for example
    ``http://192.0.2.7:8000`` where ``python -m http.server`` runs in a data folder. Checksums hold there too.
``XDG_CACHE_HOME``
    Moves the user's cache folder, as it does for other programs (Linux).
"""

from __future__ import annotations

import gzip
import inspect
import io
import os
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources

import numpy as np
import numpy.typing as npt

from dlcourse.data import files
from dlcourse.data.files import DataUnavailable, FileSet, folders
from dlcourse.data.graphs import MUTAG, Citations, Molecule, Molecules, graph, graphs
from dlcourse.data.recordings import POLARITY, sentences, spoken_digits, spoken_digits_files
from dlcourse.data.synthetic import SHAPES, Seed, check_int, moons, shapes, spirals, xor

__all__ = [
    "Citations",
    "DataUnavailable",
    "Dataset",
    "Molecule",
    "Molecules",
    "available",
    "cached",
    "folders",
    "graph",
    "graphs",
    "holdout",
    "load",
    "moons",
    "photograph",
    "sentences",
    "shapes",
    "spirals",
    "text",
    "xor",
]


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
class _Published:
    """What is known of a data set that is fetched."""

    files: FileSet
    classes: tuple[str, ...]
    source: str
    licence: str


_IDX_SETS = {
    "mnist": _Published(
        FileSet(
            folder="MNIST/raw",
            md5={
                "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
                "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
                "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
                "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
            },
            mirrors=(
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
                "https://storage.googleapis.com/cvdf-datasets/mnist/",
            ),
            megabytes=12,
        ),
        classes=tuple("0123456789"),
        source="Y. LeCun, C. Cortes, C. Burges: the MNIST database of handwritten digits",
        licence="CC BY-SA 3.0",
    ),
    "fashion_mnist": _Published(
        FileSet(
            folder="FashionMNIST/raw",
            md5={
                "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
                "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
                "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
            },
            mirrors=(
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
                "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/"
                "b2617bb6d3ffa2e429640350f613e3291e10b141/data/fashion/",
            ),
            megabytes=31,
        ),
        classes=(
            "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
            "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
        ),
        source="H. Xiao, K. Rasul, R. Vollgraf: Fashion-MNIST, arXiv:1708.07747, Zalando SE",
        licence="MIT",
    ),
}  # fmt: skip

# CIFAR-10 as published, of which the two files below are used; and the same images cut out beforehand, where a machine
# has no more room or has got them so.
_CIFAR10 = _Published(
    FileSet(
        folder="cifar-10-batches-py",
        md5={
            "data_batch_1": "c99cafc152244af753f735de768cd75f",
            "test_batch": "40351d587109b95175f43aff81a1287e",
        },
        mirrors=(),
        megabytes=170,
        archive=("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz", "c58f30108f718f92721af3b95e74349a"),
    ),
    classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    source="A. Krizhevsky: Learning multiple layers of features from tiny images, 2009",
    licence="none is stated; to be cited",
)
_CIFAR10_CUT = FileSet(
    folder="cifar-10-batches-py-subset",
    md5={
        "data_batch_1": "39244a217738f4f3990c6e6c430a45be",
        "data_batch_2": "7a819a4b1fd33af793707d6907c88a4f",
        "data_batch_3": "f6578133f2461bf154697380c6531713",
        "data_batch_4": "ccadb8b990dea1c308c097f2580eb515",
        "data_batch_5": "ab481c1f289bc2868b118e9246031e58",
        "test_batch": "43b82248e1fcd19d821a6f5259b1cf1f",
    },
    mirrors=(),
    megabytes=16,
)


def cached(name: str) -> bool:
    """Whether ``name`` needs no network: all its files are on this machine, with the right checksums."""
    if name not in available():
        raise ValueError(f"name is {name!r}, expected one of {', '.join(available())}")
    if name == "cifar10":
        return files.whole(_CIFAR10_CUT) or files.whole(_CIFAR10.files)
    fetched = {each: published.files for each, published in _IDX_SETS.items()}
    fetched |= {"mutag": MUTAG, "polarity": POLARITY, "spoken_digits": spoken_digits_files()}
    return name not in fetched or files.whole(fetched[name])


def _array(gz: bytes) -> npt.NDArray[np.uint8]:
    """Decode an idx file: two zero bytes, the type (8: unsigned byte), the number of axes, sizes, values."""
    idx = gzip.decompress(gz)
    sizes = np.frombuffer(idx, ">i4", count=idx[3], offset=4)
    return np.frombuffer(idx, np.uint8, offset=4 + 4 * idx[3]).reshape(sizes)


def _load_idx(name: str, dtype: npt.DTypeLike, download: bool) -> Dataset:
    spec = _IDX_SETS[name]
    found = files.read(name, spec.files, download)
    arrays = {file: _array(found[file]) for file in spec.files.md5}
    x_train, y_train, x_test, y_test = (arrays[file] for file in spec.files.md5)
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


class _Batch(pickle.Unpickler):
    """Reads a batch of CIFAR-10: a dict of arrays and lists, and nothing that could do something."""

    def find_class(self, module: str, name: str):
        if (module.split(".")[0], name) in {("numpy", "_reconstruct"), ("numpy", "ndarray"), ("numpy", "dtype")}:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"a batch of CIFAR-10 has no {module}.{name}")


def _load_cifar10(dtype: npt.DTypeLike, download: bool) -> Dataset:
    for spec in (_CIFAR10_CUT, _CIFAR10.files):
        found = files.find(spec)
        if len(found) == len(spec.md5):
            break
    else:  # a mirror is a data folder, which holds the images that were cut out
        spec = _CIFAR10_CUT if os.environ.get("DLCOURSE_MIRROR") else _CIFAR10.files
        found = files.read("cifar10", spec, download)
    batches = {file: _Batch(io.BytesIO(content), encoding="latin1").load() for file, content in sorted(found.items())}
    test = batches.pop("test_batch")
    x_train, y_train = (np.concatenate([batch[key] for batch in batches.values()]) for key in ("data", "labels"))
    return Dataset(
        x_train=_unit(x_train[:4000].reshape(-1, 3, 32, 32), 255, dtype),
        y_train=y_train[:4000].astype(np.int64),
        x_test=_unit(np.asarray(test["data"])[:1000].reshape(-1, 3, 32, 32), 255, dtype),
        y_test=np.asarray(test["labels"])[:1000].astype(np.int64),
        classes=_CIFAR10.classes,
        name="cifar10",
        source=_CIFAR10.source,
        licence=_CIFAR10.licence,
    )


def _load_spoken_digits(dtype: npt.DTypeLike, download: bool) -> Dataset:
    return Dataset(
        **spoken_digits(dtype, download),
        classes=tuple("0123456789"),
        name="spoken_digits",
        source="Z. Jackson et al.: Free Spoken Digit Dataset, takes 0 to 14",
        licence="CC BY-SA 4.0",
    )


def _unit(x: npt.NDArray, largest: int, dtype: npt.DTypeLike) -> npt.NDArray[np.floating]:
    """Values 0 .. largest as floats 0 .. 1."""
    x = x.astype(dtype)
    x /= largest
    return x


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
    check_int("shrink", shrink, 1, image.shape[0])
    if grey:
        image = image @ [0.299, 0.587, 0.114]
    H, W = image.shape[0] // shrink, image.shape[1] // shrink
    image = image[: H * shrink, : W * shrink]
    return image.reshape(H, shrink, W, shrink, *image.shape[2:]).mean(axis=(1, 3)).astype(dtype)


_TEXTS = {
    "names": "first names, one a line: 32033, US Social Security Administration, from karpathy/makemore",
    "shakespeare": "a part of Shakespeare's plays: 1115394 characters, as in karpathy/char-rnn",
}


def text(name: str) -> str:
    """A text, whole; it comes with the package, so nothing is fetched.

    Parameters
    ----------
    name : {"names", "shakespeare"}
        ``names`` are 32,033 first names in lower case, one a line. ``shakespeare`` is the part of the plays that many
        language models are tried on: 65 different characters, of which by custom the last tenth is held out.

    Raises
    ------
    ValueError
        ``name`` is not known.
    """
    if name not in _TEXTS:
        raise ValueError(f"name is {name!r}, expected one of {', '.join(_TEXTS)}")
    packed = resources.files("dlcourse.data").joinpath(f"{name}.txt.gz").read_bytes()
    return gzip.decompress(packed).decode("ascii")


@dataclass(frozen=True)
class _SyntheticSet:
    draw: Callable[..., tuple[npt.NDArray[np.floating], npt.NDArray[np.int64]]]
    n: int
    classes: tuple[str, ...] | None


_SYNTHETIC = {
    "xor": _SyntheticSet(xor, 4, ("equal", "different")),
    "moons": _SyntheticSet(moons, 200, ("upper", "lower")),
    "spirals": _SyntheticSet(spirals, 300, None),
    "shapes": _SyntheticSet(shapes, 400, SHAPES),
}


def _load_synthetic(name: str, dtype: npt.DTypeLike, n: int | None = None, seed: int = 0, **options) -> Dataset:
    made = _SYNTHETIC[name]
    check_int("seed", seed, 0)
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


_DESCRIPTIONS = {
    "digits": "handwritten digits, 8x8: 1438 to train, 359 to test; always there",
    "mnist": "handwritten digits, 28x28: 60000 to train, 10000 to test; fetched once, 12 MB",
    "fashion_mnist": "pictures of clothes, 28x28: 60000 to train, 10000 to test; fetched once, 31 MB",
    "cifar10": "colour photographs, 3x32x32: the first 4000 to train and 1000 to test; fetched once, 170 MB",
    "spoken_digits": "digits spoken by six people, waves of 8000: 600 to train, 300 to test; fetched once, 20 MB",
    "xor": "the four corners of the unit square, or noisy points around them; options n, noise, seed",
    "moons": "two half circles in the plane; options n, noise, seed",
    "spirals": "arms that wind round the origin; options n, noise, seed, arms, turns",
    "shapes": "images of circles, squares, triangles and crosses; options n, noise, seed, size",
}


_OTHERS = {
    "cora": "graph of 2708 papers that cite each other, from dlcourse.data.graph; always there",
    "mutag": "188 molecules as graphs, from dlcourse.data.graphs; fetched once, 1 MB",
    "polarity": "10662 sentences on films, for and against, from dlcourse.data.sentences; fetched once, 2 MB",
}


def available() -> dict[str, str]:
    """What there is, a line each: names for :func:`load`, then those that other functions of this module take."""
    return {**_DESCRIPTIONS, **_PHOTOGRAPHS, **_TEXTS, **_OTHERS}


def load(name: str, *, dtype: npt.DTypeLike = np.float32, download: bool = True, **options) -> Dataset:
    """A data set as arrays, split into a training and a test part.

    Parameters
    ----------
    name : str
        ``"digits"``, ``"mnist"``, ``"fashion_mnist"``, ``"cifar10"``, ``"spoken_digits"``, ``"xor"``, ``"moons"``,
        ``"spirals"`` or ``"shapes"``.
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
        Images ``(N, H, W)``, those of ``cifar10`` ``(N, 3, H, W)``, with values from 0 to 1; waves ``(N, 8000)`` at
        8 kHz with values from -1 to 1; or points ``(N, 2)``; labels ``(N,)``. Of ``digits`` the same fifth is held out
        each time, every class in proportion; the other real sets come split.

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
    if name == "digits":
        return _load_digits(dtype)
    if name == "spoken_digits":
        return _load_spoken_digits(dtype, download)
    return _load_cifar10(dtype, download) if name == "cifar10" else _load_idx(name, dtype, download)


_INSTEAD = dict.fromkeys(_PHOTOGRAPHS, "photograph") | dict.fromkeys(_TEXTS, "text")
_INSTEAD |= {"cora": "graph", "mutag": "graphs", "polarity": "sentences"}


def _check_name(name: str) -> None:
    if name in _INSTEAD:
        raise ValueError(f"name is {name!r}, which load does not give: call dlcourse.data.{_INSTEAD[name]}({name!r})")
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
