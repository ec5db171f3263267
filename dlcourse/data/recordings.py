"""Recordings and sentences: spoken digits, film reviews."""

from __future__ import annotations

import functools
import gzip
import io
import wave
from importlib import resources

import numpy as np
import numpy.typing as npt

from dlcourse.data import files

POLARITY = files.FileSet(
    folder="rt-polaritydata",
    md5={
        "rt-polarity.neg": "efd38e162b1a4ede8fbf024de182eb4a",
        "rt-polarity.pos": "819e2ab972d5f1314804c62921cf21a8",
    },
    mirrors=(
        "https://raw.githubusercontent.com/dennybritz/cnn-text-classification-tf/"
        "a0d0e9742b3dc42194955e78858f7be93027c75e/data/rt-polaritydata/",
    ),
    megabytes=2,
)
SAMPLES = 8000  # of a clip: one second


@functools.cache
def spoken_digits_files() -> files.FileSet:
    """The takes 0 to 14 of every digit by every speaker."""
    sums = gzip.decompress(resources.files("dlcourse.data").joinpath("spoken_digits.md5.gz").read_bytes()).decode()
    commit = "26eb9aaf76e81b692f806f9140c2d2777410d7a1"
    return files.FileSet(
        folder="free-spoken-digit-dataset/recordings",
        md5={name: md5 for md5, name in map(str.split, sums.splitlines())},
        mirrors=(f"https://raw.githubusercontent.com/Jakobovski/free-spoken-digit-dataset/{commit}/recordings/",),
        megabytes=20,
        archive=(f"https://github.com/Jakobovski/free-spoken-digit-dataset/archive/{commit}.tar.gz", None),
    )


def spoken_digits(dtype: npt.DTypeLike, download: bool) -> dict[str, npt.NDArray]:
    """Waves of one second each, and which digit they are; the takes 0 to 4 are the test, as the collection has it."""
    found = files.read("spoken_digits", spoken_digits_files(), download)
    parts: dict[str, list] = {"x_train": [], "y_train": [], "x_test": [], "y_test": []}
    for name, content in sorted(found.items()):
        digit, _, take = name.removesuffix(".wav").split("_")
        part = "test" if int(take) < 5 else "train"
        parts[f"x_{part}"].append(_wave(content, dtype))
        parts[f"y_{part}"].append(int(digit))
    return {name: np.array(part, np.int64 if name[0] == "y" else dtype) for name, part in parts.items()}


def _wave(content: bytes, dtype: npt.DTypeLike) -> npt.NDArray[np.floating]:
    """A clip's first second, from -1 to 1; silence follows where it is shorter."""
    with wave.open(io.BytesIO(content)) as clip:
        samples = np.frombuffer(clip.readframes(SAMPLES), "<i2")
    x = np.zeros(SAMPLES, dtype)
    x[: len(samples)] = samples / 32768
    return x


def sentences(name: str = "polarity", *, download: bool = True) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Sentences with a label.

    Polarity: 10,662 sentences from film reviews, lower case, a space between words, half of them (label 1) in favour
    of the film. They come without a split; a tenth held out after a seeded shuffle is usual.

    Returns
    -------
    sentences : list of str, first those against, then those in favour
    y : (N,) int64 array, 0 or 1

    Raises
    ------
    ValueError
        ``name`` is not known.
    DataUnavailable
        The files are not on this machine and cannot be fetched, or ``download`` is False.

    Source: B. Pang, L. Lee: Seeing stars: exploiting class relationships for sentiment categorization, ACL 2005.
    """
    if name != "polarity":
        raise ValueError(f"name is {name!r}, expected 'polarity'")
    found = files.read("polarity", POLARITY, download, "sentences")
    against, favour = (found[file].decode().split("\n")[:-1] for file in ("rt-polarity.neg", "rt-polarity.pos"))
    lines = [line.strip() for line in (*against, *favour)]
    return lines, np.repeat(np.arange(2), [len(against), len(favour)])
