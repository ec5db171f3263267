"""Graphs: the citations of Cora, and molecules."""

from __future__ import annotations

import io
import itertools
from dataclasses import dataclass
from importlib import resources

import numpy as np
import numpy.typing as npt

from dlcourse.data import files

CORA_CLASSES = (
    "theory", "reinforcement learning", "genetic algorithms", "neural networks",
    "probabilistic methods", "case based", "rule learning",
)  # fmt: skip
ATOMS = ("C", "N", "O", "F", "I", "Cl", "Br")
BONDS = ("aromatic", "single", "double", "triple")
MUTAG = files.FileSet(
    folder="TUDataset/MUTAG/raw",
    md5={
        "MUTAG_A.txt": "073286d1cb221c0a77c9f6be1f81f4f6",
        "MUTAG_edge_labels.txt": "7af5d1935aacb713d94def71b92a2738",
        "MUTAG_graph_indicator.txt": "30cde5dae8e80ce469bf94783f6b3e66",
        "MUTAG_graph_labels.txt": "bea332baacf1ed2f413cc1da507c8811",
        "MUTAG_node_labels.txt": "73d20730024a67a91e6ed9562ea3adc8",
    },
    mirrors=(
        "https://raw.githubusercontent.com/pyg-team/pytorch_geometric/e0e791dfcda27d7b3eacca030e4d71e85b88b8fb/"
        "torch_geometric/contrib/degree_quant/redditbinary/MUTAG/raw/",
    ),
    megabytes=1,
)


@dataclass(frozen=True, eq=False, repr=False)
class Citations:
    """Papers that cite each other, some of them with a known subject.

    Attributes
    ----------
    x : (N, F) float array, 1 where a paper holds a word of the dictionary
    edges : (2, E) int64 array
        Rows source and target. Each citation stands there in both directions, no paper cites itself.
    y : (N,) int64 array, each an index into ``classes``
    train, validation, test : int64 arrays
        Indices of papers: the public split of Yang et al. (2016).
    classes : tuple of str
    name, source, licence : str
    """

    x: npt.NDArray[np.floating]
    edges: npt.NDArray[np.int64]
    y: npt.NDArray[np.int64]
    train: npt.NDArray[np.int64]
    validation: npt.NDArray[np.int64]
    test: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    name: str
    source: str
    licence: str

    def __repr__(self) -> str:
        sizes = f"{len(self.train)} to train, {len(self.validation)} to validate, {len(self.test)} to test"
        return f"Citations({self.name}: {len(self.x)} nodes, {self.edges.shape[1]} edges, {sizes})"


@dataclass(frozen=True, eq=False, repr=False)
class Molecule:
    """A molecule as a graph.

    Attributes
    ----------
    x : (N, 7) float array, one-hot: C, N, O, F, I, Cl, Br
    edges : (2, E) int64 array, rows source and target, each bond in both directions
    bonds : (E,) int64 array: 0 aromatic, 1 single, 2 double, 3 triple
    """

    x: npt.NDArray[np.floating]
    edges: npt.NDArray[np.int64]
    bonds: npt.NDArray[np.int64]

    def __repr__(self) -> str:
        return f"Molecule({len(self.x)} atoms, {self.edges.shape[1] // 2} bonds)"


@dataclass(frozen=True, eq=False, repr=False)
class Molecules:
    """Molecules and what they do.

    Attributes
    ----------
    graphs : tuple of Molecule
    y : (n,) int64 array, each an index into ``classes``
    classes : tuple of str
    name, source, licence : str
    """

    graphs: tuple[Molecule, ...]
    y: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    name: str
    source: str
    licence: str

    def __repr__(self) -> str:
        return f"Molecules({self.name}: {len(self.graphs)} graphs, {len(self.classes)} classes)"


def graph(name: str = "cora", *, dtype: npt.DTypeLike = np.float32) -> Citations:
    """A graph whose nodes are to be classified. It comes with the package, so nothing is fetched.

    Cora: 2,708 papers on machine learning, 1,433 words, 7 subjects. Of 140 papers the subject is given, 500 are for
    choosing, 1,000 for the test; the others have labels that nobody is meant to use.

    Raises
    ------
    ValueError
        ``name`` is not known.
    """
    if name != "cora":
        raise ValueError(f"name is {name!r}, expected 'cora'")
    packed = resources.files("dlcourse.data").joinpath("cora.npz").read_bytes()
    with np.load(io.BytesIO(packed)) as kept:
        one, y = kept["one"].astype(np.int64), kept["y"].astype(np.int64)
        x = np.zeros((len(y), 1433), dtype)
        x[one[0], one[1]] = 1
        low, high = kept["edges"].astype(np.int64)
        edges = np.stack([np.concatenate([low, high]), np.concatenate([high, low])])
    return Citations(
        x=x,
        edges=edges[:, np.lexsort(edges[::-1])],
        y=y,
        train=np.arange(140),
        validation=np.arange(140, 640),
        test=np.arange(1708, 2708),
        classes=CORA_CLASSES,
        name="cora",
        source="Z. Yang, W. Cohen, R. Salakhutdinov: Revisiting semi-supervised learning with graph embeddings, 2016",
        licence="MIT",
    )


def graphs(name: str = "mutag", *, dtype: npt.DTypeLike = np.float32, download: bool = True) -> Molecules:
    """Graphs to be classified as wholes.

    MUTAG: 188 nitro compounds; 125 of them cause mutations in a bacterium. They come without a split: ten-fold
    cross-validation is usual.

    Raises
    ------
    ValueError
        ``name`` is not known.
    DataUnavailable
        The files are not on this machine and cannot be fetched, or ``download`` is False.
    """
    if name != "mutag":
        raise ValueError(f"name is {name!r}, expected 'mutag'")
    found = files.read("mutag", MUTAG, download, "graphs")
    ends, bonds, belongs, labels, atoms = (
        np.loadtxt(io.BytesIO(found[file]), dtype=np.int64, delimiter=",") for file in MUTAG.md5
    )
    ends, belongs = ends.T - 1, belongs - 1  # counted from 1
    first = np.searchsorted(belongs, np.arange(len(labels) + 1))  # of each graph's atoms
    made = []
    for k, (start, end) in enumerate(itertools.pairwise(first)):
        mine = belongs[ends[0]] == k
        x = np.eye(len(ATOMS), dtype=dtype)[atoms[start:end]]
        made.append(Molecule(x=x, edges=ends[:, mine] - start, bonds=bonds[mine]))
    return Molecules(
        graphs=tuple(made),
        y=(labels == 1).astype(np.int64),
        classes=("not mutagenic", "mutagenic"),
        name="mutag",
        source="A. Debnath et al.: Structure-activity relationship of mutagenic aromatic and heteroaromatic nitro "
        "compounds, J. Med. Chem. 34, 1991; as in TUDataset",
        licence="none is stated; to be cited",
    )
