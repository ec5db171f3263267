"""Byte-pair encoding: any text comes back, merges are those of the plain algorithm."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcourse import data
from dlcourse.tokenizer import BytePair, merge

PLAYS = BytePair.train(data.text("shakespeare")[:50_000], 400)
TEXTS = st.text(alphabet=st.characters(), max_size=40)  # any code point, halves of surrogate pairs too


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_any_text_comes_back(text):
    for tokenizer in (PLAYS, BytePair()):
        assert tokenizer.decode(tokenizer.encode(text)) == text


@settings(max_examples=30, deadline=None)
@given(st.text(alphabet="ab \n", max_size=60), st.text(alphabet="abc ", max_size=30))
def test_trained_on_any_text(text, other):
    tokenizer = BytePair.train(text, 270)
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.decode(tokenizer.encode(other)) == other
    assert len(tokenizer) <= 270 and len(tokenizer.pieces) == 256 + len(tokenizer.merges)


def plain_training(words: list[str], steps: int) -> list[tuple[int, int]]:
    """The algorithm as it is told: count all pairs anew at every step."""
    lists, merges = [list(word.encode()) for word in words], []
    for step in range(steps):
        counts = Counter(pair for word in lists for pair in pairwise(word))
        if not counts:
            break
        best = sorted(counts, key=lambda pair: (-counts[pair], pair))[0]
        merges.append(best)
        lists = [merge(word, best, 256 + step) for word in lists]
    return merges


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(alphabet="abc", min_size=1, max_size=8), max_size=12), st.integers(0, 12))
def test_the_index_of_pairs_finds_what_counting_finds(words, steps):
    text = " ".join(words)
    split = [word if i == 0 else " " + word for i, word in enumerate(words)]
    assert BytePair.train(text, 256 + steps).merges == plain_training(split, steps)


def test_a_small_example():
    tokenizer = BytePair.train("low low low lower lowest", 259)
    assert tokenizer.pieces[256:] == [b"lo", b"low", b" low"]
    assert tokenizer.encode("low slow") == [257, 32, 115, 257]
    assert merge([1, 1, 1, 2], (1, 1), 9) == [9, 1, 2]


def test_merges_apply_in_the_order_in_which_they_were_learned():
    tokenizer = BytePair([(98, 99), (97, 98)])  # bc before ab
    assert tokenizer.encode("abc") == [97, 256]
    assert BytePair([(97, 98), (98, 99)]).encode("abc") == [256, 99]


def test_fewer_tokens_than_characters():
    text = data.text("shakespeare")[50_000:60_000]
    assert len(PLAYS.encode(text)) < 0.65 * len(text)


def test_bytes_that_are_no_text_become_a_sign():
    assert BytePair().decode([0xC3]) == "\ufffd"
    assert BytePair().decode([]) == "" and BytePair().encode("") == []


def test_what_does_not_fit_is_said():
    with pytest.raises(ValueError, match="size is 255"):
        BytePair.train("abc", 255)
    with pytest.raises(ValueError, match="uses an id above 255"):
        BytePair([(97, 256)])
    with pytest.raises(ValueError, match="occurs twice"):
        BytePair([(97, 98), (97, 98)])
    for ids in ([256], [-1]):
        with pytest.raises(ValueError, match=f"ids holds {ids[0]}"):
            BytePair().decode(ids)
