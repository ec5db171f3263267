"""Make the data files that come with the package from the published ones.

    python tools/pack_data.py FOLDER [--into dlcourse/data]

FOLDER holds ``names/names.txt``, ``tinyshakespeare/input.txt``, ``Cora/raw/ind.cora.*`` and the clips of
``free-spoken-digit-dataset/recordings``, of which only the sums are kept, as their sources have them (see
``dlcourse/data``). The same input gives the same bytes.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import pickle
from pathlib import Path

import numpy as np

TEXTS = {"names": "names/names.txt", "shakespeare": "tinyshakespeare/input.txt"}


def cora(folder: Path) -> dict[str, np.ndarray]:
    """Where the features are 1, each citation once with the smaller number first, and the labels."""

    def part(name: str):
        return pickle.loads((folder / f"ind.cora.{name}").read_bytes(), encoding="latin1")  # one's own files

    order = np.loadtxt(folder / "ind.cora.test.index", dtype=np.int64)
    x = np.concatenate([part("allx").toarray(), part("tx").toarray()])
    y = np.concatenate([part("ally"), part("ty")]).argmax(axis=1)
    x[order], y[order] = x[np.sort(order)], y[np.sort(order)]  # the test papers are stored in another order
    citations = {(min(a, b), max(a, b)) for a, others in part("graph").items() for b in others if a != b}
    return {
        "one": np.array(np.nonzero(x), np.uint16),
        "edges": np.array(sorted(citations), np.uint16).T,
        "y": y.astype(np.uint8),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--into", type=Path, default=Path(__file__).parent.parent / "dlcourse" / "data")
    arguments = parser.parse_args()
    for name, path in TEXTS.items():
        packed = gzip.compress((arguments.folder / path).read_bytes(), 9, mtime=0)
        (arguments.into / f"{name}.txt.gz").write_bytes(packed)
    clips = sorted((arguments.folder / "free-spoken-digit-dataset" / "recordings").glob("*.wav"))
    sums = "".join(f"{hashlib.md5(clip.read_bytes()).hexdigest()}  {clip.name}\n" for clip in clips)
    (arguments.into / "spoken_digits.md5.gz").write_bytes(gzip.compress(sums.encode(), 9, mtime=0))
    np.savez_compressed(arguments.into / "cora.npz", **cora(arguments.folder / "Cora" / "raw"))


if __name__ == "__main__":
    main()
