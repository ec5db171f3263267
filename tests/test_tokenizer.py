"""Byte-pair encoding: any text comes back, merges are those of the plain algorithm."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcourse import data
from dlcourse.tokenizer import BytePair, merge, spectrogram_tokens, word_ids, word_list

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


# ------------------------------------------------------------------------------------------------- words, and sound


def test_words():
    sentences = ["a good film", "a bad film", "a film", "", "so so"]
    words = word_list(sentences)
    assert words == {"a": 2, "film": 3, "so": 4}
    assert word_list(sentences, 1) | {"bad": 5, "good": 6} == word_list(sentences, 1)
    ids = word_ids(sentences, words, 3)
    assert ids.tolist() == [[2, 1, 3], [2, 1, 3], [2, 3, 0], [0, 0, 0], [4, 4, 0]] and ids.dtype == np.int64
    assert word_ids(["a a a a"], words, 2).tolist() == [[2, 2]] and word_ids([], words, 2).shape == (0, 2)


def test_a_tone_stands_in_its_band_and_its_moment():
    time = np.arange(8000) / 8000
    for hertz in (300, 1000, 3000):
        wave = np.where(time < 0.4, np.sin(2 * np.pi * hertz * time), 0)[None].astype(np.float32)
        tokens = spectrogram_tokens(wave, 8000)
        assert tokens.shape == (1, 10, 120) and tokens.dtype == np.float32
        pieces = tokens.reshape(10, 5, 24)
        assert np.allclose(pieces[4:], np.log(1e-3)) and (pieces[:4].max(axis=2) > 1).all()
        mel = 2595 * np.log10(1 + np.array([hertz, 4000]) / 700)
        assert set(pieces[:4].argmax(axis=2).ravel()) == {int(24 * mel[0] / mel[1])}


def test_what_is_left_of_a_wave_is_dropped():
    rng = np.random.default_rng(0)
    waves = rng.normal(size=(2, 2500))
    np.testing.assert_array_equal(spectrogram_tokens(waves, 8000), spectrogram_tokens(waves[:, :2400], 8000))
    with pytest.raises(ValueError, match=r"waves has shape \(2500,\)"):
        spectrogram_tokens(waves[0], 8000)
    with pytest.raises(ValueError, match="a part 1 samples"):
        spectrogram_tokens(waves, 50)
