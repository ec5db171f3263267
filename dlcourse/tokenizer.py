"""Chapter 14: what a token is: sub-words by byte-pair encoding, words, and pieces of sound.

    tokenizer = BytePair.train(text, 512)              # 256 bytes, then 256 merges
    ids = tokenizer.encode("To be, or not to be")
    tokenizer.decode(ids)                              # the same text, whatever it was

    tokens = word_ids(sentences, word_list(sentences), length=40)     # (N, 40), 0 where a sentence has ended
    tokens = spectrogram_tokens(waves, rate=8000)                     # (N, T, features), 100 ms each

Source: Sennrich, Haddow and Birch, Neural machine translation of rare words with subword units, ACL (2016),
arXiv:1508.07909; on bytes: Radford et al., Language models are unsupervised multitask learners (2019), section 2.2.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

Pair = tuple[int, int]

# A word with the blank before it, or a run of white space. Together they cover every text.
_WORDS = re.compile(r" ?\S+|\s+")


class BytePair:
    """A byte-pair tokeniser: ids 0 to 255 are bytes, and id 256 + i is the i-th merged pair.

    Parameters
    ----------
    merges : pairs of ids, in the order in which they were learned; each may use the ids before it

    Attributes
    ----------
    merges : the same, as a list
    pieces : for each id its bytes

    Raises
    ------
    ValueError
        A merge uses an id that is not there yet, or occurs twice.
    """

    def __init__(self, merges: Sequence[Pair] = ()):
        self.merges = [(int(a), int(b)) for a, b in merges]
        self.pieces = [bytes([i]) for i in range(256)]
        for a, b in self.merges:
            if not (0 <= a < len(self.pieces) and 0 <= b < len(self.pieces)):
                raise ValueError(f"merge {(a, b)} uses an id above {len(self.pieces) - 1}, the last one before it")
            self.pieces.append(self.pieces[a] + self.pieces[b])
        self._rank = {pair: i for i, pair in enumerate(self.merges)}
        if len(self._rank) != len(self.merges):
            raise ValueError("a pair occurs twice among the merges")
        self._known: dict[str, list[int]] = {}

    @classmethod
    def train(cls, text: str, size: int) -> BytePair:
        """Learn merges until there are ``size`` ids: each step merges the pair of neighbours that is met most often.

        Pairs do not reach across words. Of pairs that are met equally often the one with the smaller ids is merged. It
        ends early where no pair is left.

        Raises
        ------
        ValueError
            ``size`` is below 256.

        Source: Sennrich et al. (2016), algorithm 1.
        """
        if size < 256:
            raise ValueError(f"size is {size}; expected at least 256, one id a byte")
        counts = Counter(_WORDS.findall(text))
        words = [list(_bytes(word)) for word in counts]
        times = list(counts.values())
        pairs: Counter[Pair] = Counter()
        where: dict[Pair, set[int]] = defaultdict(set)
        for i, word in enumerate(words):
            _count(word, times[i], i, pairs, where)
        merges: list[Pair] = []
        while len(merges) < size - 256 and pairs:
            best = min(pairs, key=lambda pair: (-pairs[pair], pair))
            for i in where.pop(best):  # only the words that hold the pair change
                for pair in pairwise(words[i]):
                    pairs[pair] -= times[i]
                    if not pairs[pair]:
                        del pairs[pair]
                words[i] = merge(words[i], best, 256 + len(merges))
                _count(words[i], times[i], i, pairs, where)
            merges.append(best)
        return cls(merges)

    def __len__(self) -> int:
        return len(self.pieces)

    def encode(self, text: str) -> list[int]:
        """The ids of a text: its bytes, then the merges in the order in which they were learned, word by word."""
        return [i for word in _WORDS.findall(text) for i in self._encode_word(word)]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of some ids. Bytes that are no text, as a model may write them, become the sign U+FFFD.

        Raises
        ------
        ValueError
            An id is not there.
        """
        for i in ids:
            if not 0 <= i < len(self.pieces):
                raise ValueError(f"ids holds {i}; expected 0 to {len(self.pieces) - 1}")
        found = b"".join(self.pieces[i] for i in ids)
        try:
            return found.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            return found.decode("utf-8", "replace")

    def _encode_word(self, word: str) -> list[int]:
        if word not in self._known:
            ids = list(_bytes(word))
            while len(ids) > 1:
                pair = min(pairwise(ids), key=lambda p: self._rank.get(p, len(self._rank)))
                if pair not in self._rank:
                    break
                ids = merge(ids, pair, 256 + self._rank[pair])
            self._known[word] = ids
        return self._known[word]


def merge(ids: Sequence[int], pair: Pair, new: int) -> list[int]:
    """``ids`` with every occurrence of ``pair`` replaced by ``new``, from left to right."""
    out, i = [], 0
    while i < len(ids):
        if i + 1 < len(ids) and (ids[i], ids[i + 1]) == pair:
            out.append(new)
            i += 2
        else:
            out.append(ids[i])
            i += 1
    return out


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # so that half a surrogate pair, which a str may hold, passes too


def _count(word: list[int], times: int, index: int, pairs: Counter, where: dict[Pair, set[int]]) -> None:
    for pair in pairwise(word):
        pairs[pair] += times
        where[pair].add(index)


# ------------------------------------------------------------------------------------------------- words, and sound


def word_list(sentences: Sequence[str], at_least: int = 2) -> dict[str, int]:
    """The words that are met at least so often, with their ids: 2, 3, ..., the commonest first. 0 is for padding and 1
    for all other words."""
    counts = Counter(word for sentence in sentences for word in sentence.split())
    known = sorted((word for word, n in counts.items() if n >= at_least), key=lambda word: (-counts[word], word))
    return {word: i for i, word in enumerate(known, 2)}


def word_ids(sentences: Sequence[str], words: dict[str, int], length: int) -> np.ndarray:
    """Sentences as rows of word ids (N, length): cut where they are longer, filled with 0 where they are shorter."""
    ids = np.zeros((len(sentences), length), np.int64)
    for row, sentence in zip(ids, sentences, strict=True):
        found = [words.get(word, 1) for word in sentence.split()[:length]]
        row[: len(found)] = found
    return ids


def spectrogram_tokens(
    waves: np.ndarray, rate: int, *, seconds: float = 0.1, parts: int = 5, bands: int = 24
) -> np.ndarray:
    """Sound as tokens: what frequencies there are in each 100 ms, as logarithms.

    A piece is cut into ``parts``; the magnitudes of each part's Fourier transform (under a Hann window) are averaged
    over ``bands`` of frequencies, whose widths are equal on the mel scale, 2595 log10(1 + f / 700 Hz).

    Parameters
    ----------
    waves : (N, samples)
    rate : samples a second
    seconds : of a token
    parts, bands : how finely time and frequency are told apart within a token

    Returns
    -------
    tokens : (N, T, parts · bands); what is left of the wave after the last whole token is dropped

    Raises
    ------
    ValueError
        ``waves`` is not (N, samples), or a part would have fewer than 2 samples.
    """
    size = int(rate * seconds) // parts
    if waves.ndim != 2 or size < 2:
        raise ValueError(
            f"waves has shape {waves.shape}, a part {size} samples; expected (N, samples) and at least 2 samples"
        )
    N, T = len(waves), waves.shape[1] // (size * parts)
    pieces = waves[:, : T * parts * size].reshape(N, T, parts, size) * np.hanning(size).astype(waves.dtype)
    spectrum = np.abs(np.fft.rfft(pieces)).astype(waves.dtype)  # (N, T, parts, bins)
    mel = 2595 * np.log10(1 + np.fft.rfftfreq(size, 1 / rate) / 700)
    band = np.minimum((mel / mel[-1] * bands).astype(int), bands - 1)
    share = np.zeros((len(mel), bands), waves.dtype)
    share[np.arange(len(mel)), band] = 1
    share /= np.maximum(share.sum(axis=0), 1)  # a band that holds no frequency stays 0
    return np.log(spectrum @ share + waves.dtype.type(1e-3)).reshape(N, T, parts * bands)
