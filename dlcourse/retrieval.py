"""Chapter 19: look it up: sections as vectors, an index over them, answers that cite where they come from.

    index = Index(lecture_sections("notebooks"))            # or docstring_sections(), which are always there
    for hit in index.search("why divide the scores by the root of D?", k=3):
        print(f"{hit.score:.2f} {hit.section.label}")
    print(index.answer("why divide the scores by the root of D?"))

A section becomes a vector of weighted word counts (TF-IDF), shortened by a singular value decomposition if wished. The
nearest vectors by cosine are the answer's sources. Answers are extractive: sentences of the sections, word for word,
each with its source. :func:`prompt` shows what one would hand to a language model; nothing here calls one.

Sources: Salton, Wong and Yang, A vector space model for automatic indexing, Communications of the ACM 18 (1975);
Deerwester and others, Indexing by latent semantic analysis, JASIS 41 (1990); Lewis and others, Retrieval-augmented
generation for knowledge-intensive NLP tasks, NeurIPS (2020), arXiv:2005.11401.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import numpy as np

_LABEL = re.compile(r"^\(([a-z0-9-]+)\)=\s*$", re.MULTILINE)
_SENTENCE = re.compile(r"(?<=[.?!])\s+(?=[A-Z0-9`$*])")


class Section(NamedTuple):
    """A piece of text with a name that can be cited."""

    label: str  # of the book's section, or the dotted name of a function
    title: str
    text: str


class Hit(NamedTuple):
    """A section that was found."""

    section: Section
    score: float  # the cosine to the question, from -1 to 1


class Quote(NamedTuple):
    """A sentence of the answer, and the section it stands in."""

    sentence: str
    label: str
    score: float


def lecture_sections(folder: str | Path) -> list[Section]:
    """The labelled sections of all lectures in a folder: Markdown from one ``(label)=`` to the next, without code.

    Source: the course's own notebooks, ``NN_topic.ipynb``.
    """
    found = []
    for path in sorted(Path(folder).glob("[0-9][0-9]_*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        text = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
        parts = _LABEL.split(text)
        for label, body in zip(parts[1::2], parts[2::2], strict=True):
            lines = body.strip().splitlines()
            titled = bool(lines) and lines[0].startswith("#")
            title = lines[0].lstrip("# ") if titled else label
            found.append(Section(label, title, "\n".join(lines[titled:]).strip()))
    return found


def docstring_sections() -> list[Section]:
    """The docstrings of the package's topics, read from the source without importing it: always there."""
    found = []
    for file in sorted(resources.files("dlcourse").iterdir(), key=lambda each: each.name):
        if not file.name.endswith(".py") or file.name.startswith("_"):
            continue
        module = f"dlcourse.{file.name[:-3]}"
        tree = ast.parse(file.read_text(encoding="utf-8"))
        named = [(module, tree), *((f"{module}.{node.name}", node) for node in tree.body if hasattr(node, "name"))]
        for name, node in named:
            text = ast.get_docstring(node) if not name.rsplit(".", 1)[1].startswith("_") else None
            if text:
                found.append(Section(name, text.splitlines()[0], text))
    return found


def top_k(query: np.ndarray, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The ``k`` rows with the largest cosine to ``query``, the best first; of rows as near, the earlier first.

    ``cos(q, v) = q · v / (|q| |v|)``; with a vector of length 0 it is 0. This is what a vector database computes, if it
    computes exactly.

    Source: Salton et al. (1975).

    Parameters
    ----------
    query : (D,)
    vectors : (N, D), with N of at least ``k``

    Returns
    -------
    indices : (k,)
    cosines : (k,)

    Raises
    ------
    ValueError
        The shapes do not fit, or ``k`` is not from 1 to N.
    """
    query, vectors = np.asarray(query), np.asarray(vectors)
    if query.ndim != 1 or vectors.ndim != 2 or vectors.shape[1] != len(query):
        raise ValueError(f"query has shape {query.shape}, vectors {vectors.shape}; expected (D,) and (N, D)")
    if not 1 <= k <= len(vectors):
        raise ValueError(f"k is {k}; expected from 1 to the number of vectors, {len(vectors)}")
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(query)
    cosines = np.divide(vectors @ query, lengths, out=np.zeros(len(vectors)), where=lengths > 0)
    best = np.argsort(-cosines, kind="stable")[:k]
    return best, cosines[best]


class Index:
    """Sections as vectors, and the nearest ones to a question.

    Parameters
    ----------
    sections : what is searched
    dimensions : None for TF-IDF as it is; a number for so many singular vectors of it (latent semantic analysis)

    Raises
    ------
    ValueError
        There are no sections.
    """

    def __init__(self, sections: Sequence[Section], *, dimensions: int | None = None):
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.neighbors import NearestNeighbors
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import Normalizer

        if not sections:
            raise ValueError("sections is empty; expected at least one")
        self.sections = list(sections)
        self._words = TfidfVectorizer(sublinear_tf=True, stop_words="english", ngram_range=(1, 2))
        steps = [] if dimensions is None else [TruncatedSVD(dimensions, random_state=0), Normalizer()]
        self._embed = make_pipeline(self._words, *steps)
        # The title says what a section is about, so it counts three times.
        self.vectors = self._embed.fit_transform([f"{s.title}. " * 3 + s.text for s in self.sections])
        self._nearest = NearestNeighbors(metric="cosine", algorithm="brute").fit(self.vectors)

    def embed(self, texts: Sequence[str]):
        """The vectors of texts, (len(texts), D), of length 1 or 0; sparse without ``dimensions``."""
        return self._embed.transform(texts)

    def search(self, question: str, k: int = 3) -> list[Hit]:
        """The ``k`` sections nearest to the question, or all where there are fewer; the nearest first."""
        k = min(k, len(self.sections))
        distances, indices = self._nearest.kneighbors(self.embed([question]), n_neighbors=k)
        return [Hit(self.sections[i], 1 - float(d)) for i, d in zip(indices[0], distances[0], strict=True)]

    def answer(self, question: str, *, sources: int = 3, sentences: int = 2, least: float = 0.05) -> list[Quote]:
        """The sentences of the nearest sections that are nearest to the question, each with its source.

        Nothing, where no section has a cosine of at least ``least``: then the book does not say.
        """
        hits = [hit for hit in self.search(question, sources) if hit.score >= least]
        listed = [
            (sentence, hit.section.label)
            for hit in hits
            for sentence in _SENTENCE.split(_prose(hit.section.text))
            if len(sentence.split()) >= 4 and not sentence.endswith("?")
        ]
        if not listed:
            return []
        # A section that is near as a whole speaks for its sentences.
        near = {hit.section.label: hit.score for hit in hits}
        texts = self._words.transform([sentence for sentence, _ in listed])
        scores = (texts @ self._words.transform([question]).T).toarray().ravel()
        scores = scores + np.array([near[label] for _, label in listed])
        best = np.argsort(-scores, kind="stable")[:sentences]
        return [Quote(*listed[i], float(scores[i])) for i in best]


def _prose(text: str) -> str:
    """Without headings, tables, formulas on lines of their own, labels, and hidden quiz answers."""
    text = re.sub(r"\$\$.*?\$\$|<details>.*?</details>|```.*?```", " ", text, flags=re.DOTALL)
    lines = [line for line in text.splitlines() if not re.match(r"\s*(#|\||\(|<|-{3})", line)]
    return " ".join(" ".join(lines).split())


def prompt(question: str, hits: Sequence[Hit], characters: int = 600) -> str:
    """What would be handed to a language model: the task, the sources with their labels, the question.

    Source: Lewis et al. (2020), the idea; the wording is ours.
    """
    sources = "\n\n".join(f"[{hit.section.label}] {_prose(hit.section.text)[:characters]}" for hit in hits)
    return (
        "Answer the question from the sources below and from nothing else. After each sentence, name its source in "
        "square brackets. If the sources do not say, answer: the sources do not say.\n\n"
        f"{sources}\n\nQuestion: {question}\nAnswer:"
    )
