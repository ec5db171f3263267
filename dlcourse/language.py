"""Chapter 13: texts as numbers, tasks with a memory, and language models that count.

    alphabet = Alphabet.of(names)                   # id 0 is the boundary: start, end and filling
    ids, lengths = alphabet.batch(names)            # (N, T), (N,)
    NGram(3, len(alphabet)).fit(sequences).bits(held_out)

Sources: Hochreiter and Schmidhuber, Long short-term memory (1997), section 5.4 (adding); Arjovsky, Shah and Bengio,
Unitary evolution recurrent neural networks, ICML (2016), section 4 (copying); Shannon, Prediction and entropy of
printed English (1951); MacKay and Peto, A hierarchical Dirichlet language model (1995).
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Sequence

import numpy as np

BOUNDARY = 0
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip


# ------------------------------------------------------------------------------------------------- texts as numbers


class Alphabet:
    """Characters and their numbers, from 1; 0 is the boundary, which starts, ends and fills up.

    Raises
    ------
    ValueError
        A character occurs twice.
    """

    def __init__(self, characters: str):
        if len(set(characters)) != len(characters):
            raise ValueError(f"characters is {characters!r}; expected each one once")
        self.characters = characters
        self.ids = {c: i for i, c in enumerate(characters, start=1)}

    @classmethod
    def of(cls, texts: Iterable[str]) -> Alphabet:
        """All characters that occur, in the order of their code points."""
        return cls("".join(sorted(set().union(*texts))))

    def __len__(self) -> int:
        """How many numbers there are, the boundary included."""
        return len(self.characters) + 1

    def encode(self, text: str) -> np.ndarray:
        """A text as integers.

        Raises
        ------
        ValueError
            A character is not in the alphabet.
        """
        unknown = set(text) - set(self.ids)
        if unknown:
            raise ValueError(f"text holds {sorted(unknown)}; the alphabet has {self.characters!r}")
        return np.array([self.ids[c] for c in text], dtype=np.int64)

    def decode(self, ids: Iterable[int]) -> str:
        """The text up to the first boundary."""
        found = []
        for i in ids:
            if i == BOUNDARY:
                break
            found.append(self.characters[int(i) - 1])
        return "".join(found)

    def batch(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Texts as rows (N, T), the shorter ones filled up with the boundary, and their lengths (N,)."""
        rows = [self.encode(text) for text in texts]
        lengths = np.array([len(row) for row in rows], dtype=np.int64)
        ids = np.full((len(rows), max(lengths, default=0)), BOUNDARY, dtype=np.int64)
        for row, line in zip(rows, ids, strict=True):
            line[: len(row)] = row
        return ids, lengths


# ------------------------------------------------------------------------------------------- tasks that need a memory


def adding(rng: np.random.Generator, N: int, T: int) -> tuple[np.ndarray, np.ndarray]:
    """The adding problem: add the two marked numbers, one in the first half of the sequence and one in the second.

    Returns
    -------
    x : (N, T, 2) float32; a number drawn evenly from 0 to 1, and a mark, which is 1 twice and else 0
    y : (N, 1) float32, the sum of the two. Always to say 1 has a mean squared error of 1/6.

    Raises
    ------
    ValueError
        T is below 2.

    Source: Hochreiter and Schmidhuber (1997), section 5.4; marks as in Le, Jaitly and Hinton, arXiv:1504.00941 (2015).
    """
    if T < 2:
        raise ValueError(f"T is {T}; expected at least 2, as two numbers are marked")
    numbers, marks, rows = rng.random((N, T)), np.zeros((N, T)), np.arange(N)
    places = rng.integers(0, T // 2, N), rng.integers(T // 2, T, N)
    for place in places:
        marks[rows, place] = 1
    y = sum(numbers[rows, place] for place in places)
    return np.stack([numbers, marks], axis=2).astype(np.float32), y[:, None].astype(np.float32)


def dates(rng: np.random.Generator, n: int) -> list[tuple[str, str]]:
    """Dates from 1900 to 2099 as people write them, each with its ISO form: ("3 May 1998", "1998-05-03").

    The form of each is drawn from seven: 3 May 1998 · May 3, 1998 · Sunday, May 3 1998 · 03.05.1998 · 3/5/98 (only
    from 1950 to 2049, day before month) · 3rd of May 1998 · 1998 May 3.
    """
    first, days = datetime.date(1900, 1, 1).toordinal(), 200 * 365 + 48
    found = []
    for ordinal, form in zip(rng.integers(first, first + days, n), rng.integers(0, 7, n), strict=True):
        date = datetime.date.fromordinal(int(ordinal))
        found.append((_written(date, int(form)), date.isoformat()))
    return found


def _written(date: datetime.date, form: int) -> str:
    d, m, y, month = date.day, date.month, date.year, MONTHS[date.month - 1]
    short = f"{d}/{m}/{y % 100:02d}" if 1950 <= y < 2050 else f"{d}/{m}/{y}"
    ending = "th" if 10 < d < 14 else {1: "st", 2: "nd", 3: "rd"}.get(d % 10, "th")
    weekday = ("Mon", "Tues", "Wednes", "Thurs", "Fri", "Satur", "Sun")[date.weekday()] + "day"
    return (
        f"{d} {month} {y}", f"{month} {d}, {y}", f"{weekday}, {month} {d} {y}", f"{d:02d}.{m:02d}.{y}", short,
        f"{d}{ending} of {month} {y}", f"{y} {month} {d}",
    )[form]  # fmt: skip


# --------------------------------------------------------------------------------------- models that count characters


class NGram:
    """A language model that counts: the next character given the n - 1 before it.

    ``p_n(c | context) = (count(context, c) + strength · p_{n-1}(c | shorter context)) / (count(context) + strength)``,
    down to p_0 = 1 / V. So a context that was never seen leaves the word to the shorter one, and no probability is 0.

    Parameters
    ----------
    n : 1 counts characters, 2 pairs (a bigram), and so on
    V : numbers in the alphabet, the boundary included
    strength : how many counts the shorter context is worth

    Raises
    ------
    ValueError
        ``n`` or ``V`` is below 1, the contexts are too many for an integer, or ``strength`` is not positive.

    Source: MacKay and Peto (1995), with one strength for all contexts.
    """

    def __init__(self, n: int, V: int, strength: float = 3.0):
        if n < 1 or V < 1 or n * math.log2(V) > 62:
            raise ValueError(f"n is {n} and V is {V}; expected both at least 1, and V to the power n below 2 to the 62")
        if not strength > 0:
            raise ValueError(f"strength is {strength}; expected a positive number")
        self.n, self.V, self.strength = n, V, strength
        self.tables: list[tuple[np.ndarray, np.ndarray]] = []  # for k = 1 ... n: codes of k numbers, and their counts
        self.contexts: list[tuple[np.ndarray, np.ndarray]] = []  # the same without the last number

    def fit(self, sequences: Iterable[np.ndarray], *, ends: bool = True) -> NGram:
        """Count. ``sequences`` hold ids (T,); with ``ends`` the boundary after each is counted too. Returns itself."""
        windows = self._windows(sequences, ends)
        known = [windows[:, self.n - k :] for k in range(1, self.n + 1)]  # the last k numbers of each window
        self.tables = [np.unique(self._codes(last), return_counts=True) for last in known]
        self.contexts = [np.unique(self._codes(last[:, :-1]), return_counts=True) for last in known]
        return self

    def probabilities(self, windows: np.ndarray) -> np.ndarray:
        """The probability of the last number of each row of n numbers, given the ones before it: (R, n) -> (R,)."""
        p = np.full(len(windows), 1 / self.V)
        for k in range(1, self.n + 1):
            both = self._count(self.tables[k - 1], self._codes(windows[:, self.n - k :]))
            context = self._count(self.contexts[k - 1], self._codes(windows[:, self.n - k : -1]))
            p = (both + self.strength * p) / (context + self.strength)
        return p

    def bits(self, sequences: Iterable[np.ndarray], *, ends: bool = True) -> float:
        """Bits a character on these sequences: the mean of -log2 of what was given to the character that came."""
        return float(-np.log2(self.probabilities(self._windows(sequences, ends))).mean())

    def sample(self, rng: np.random.Generator, longest: int = 100) -> np.ndarray:
        """Draw a sequence, from the boundary to the boundary or to ``longest`` numbers; ids (T,)."""
        found = [BOUNDARY] * (self.n - 1)
        for _ in range(longest):
            context = np.tile(np.array(found[len(found) - self.n + 1 :], dtype=np.int64), (self.V, 1))
            windows = np.column_stack([context, np.arange(self.V)])
            p = self.probabilities(windows)
            drawn = int(rng.choice(self.V, p=p / p.sum()))
            if drawn == BOUNDARY:
                break
            found.append(drawn)
        return np.array(found[self.n - 1 :], dtype=np.int64)

    def _windows(self, sequences: Iterable[np.ndarray], ends: bool) -> np.ndarray:
        before, after = [BOUNDARY] * (self.n - 1), [BOUNDARY] * ends
        parts = []
        for sequence in sequences:
            row = np.concatenate([before, np.asarray(sequence), after]).astype(np.int64)
            if len(row) >= self.n:
                parts.append(np.lib.stride_tricks.sliding_window_view(row, self.n))
        if not parts:
            raise ValueError("sequences hold nothing to count")
        return np.concatenate(parts)

    def _codes(self, windows: np.ndarray) -> np.ndarray:
        """Rows of numbers as one number each, to the base V."""
        codes = np.zeros(len(windows), dtype=np.int64)
        for column in windows.T:
            codes = codes * self.V + column
        return codes

    @staticmethod
    def _count(table: tuple[np.ndarray, np.ndarray], codes: np.ndarray) -> np.ndarray:
        known, counts = table
        at = np.minimum(np.searchsorted(known, codes), len(known) - 1)
        return np.where(known[at] == codes, counts[at], 0)
