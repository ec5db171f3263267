"""Chapter 14: sub-words by hand: byte-pair encoding, trained on a text and able to encode any other.

    tokenizer = BytePair.train(text, 512)              # 256 bytes, then 256 merges
    ids = tokenizer.encode("To be, or not to be")
    tokenizer.decode(ids)                              # the same text, whatever it was

Source: Sennrich, Haddow and Birch, Neural machine translation of rare words with subword units, ACL (2016),
arXiv:1508.07909; on bytes: Radford et al., Language models are unsupervised multitask learners (2019), section 2.2.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise

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
