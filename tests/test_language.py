"""Texts as numbers, the adding problem, dates, and n-gram models against plain counting."""

from __future__ import annotations

import datetime
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcourse import language

ALPHABET = language.Alphabet("abc")


@given(st.lists(st.text("abc", max_size=6), max_size=5))
@settings(max_examples=50, deadline=None)
def test_texts_come_back(texts):
    ids, lengths = ALPHABET.batch(texts)
    assert ids.shape == (len(texts), max(map(len, texts), default=0)) and lengths.tolist() == [len(t) for t in texts]
    assert [ALPHABET.decode(row) for row in ids] == texts


def test_the_alphabet_is_sorted_and_counts_the_boundary():
    alphabet = language.Alphabet.of(["ba", "c", "ab"])
    assert alphabet.characters == "abc" and len(alphabet) == 4
    assert alphabet.encode("cab").tolist() == [3, 1, 2]
    assert ALPHABET.decode([2, 0, 1]) == "b"


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: language.Alphabet("aba"), "expected each one once"),
        (lambda: ALPHABET.encode("abd"), r"text holds \['d'\]"),
        (lambda: language.adding(np.random.default_rng(0), 3, 1), "T is 1"),
        (lambda: language.NGram(0, 4), "n is 0"),
        (lambda: language.NGram(12, 66), "n is 12 and V is 66"),
        (lambda: language.NGram(2, 4, 0.0), "strength is 0"),
        (lambda: language.NGram(2, 4).fit([]), "nothing to count"),
        (lambda: language.NGram(1, 4).fit([[]], ends=False), "nothing to count"),
    ],
)
def test_what_does_not_fit_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


# -------------------------------------------------------------------------------------------------------------- tasks


@given(st.integers(0, 20), st.integers(2, 9), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_one_number_of_each_half_is_marked(N, T, seed):
    x, y = language.adding(np.random.default_rng(seed), N, T)
    assert x.shape == (N, T, 2) and y.shape == (N, 1) and x.dtype == y.dtype == np.float32
    marks = x[:, :, 1]
    np.testing.assert_array_equal(marks[:, : T // 2].sum(axis=1), 1)
    np.testing.assert_array_equal(marks[:, T // 2 :].sum(axis=1), 1)
    np.testing.assert_allclose((x[:, :, 0] * marks).sum(axis=1), y[:, 0], rtol=1e-6)


def test_to_say_one_has_an_error_of_a_sixth():
    y = language.adding(np.random.default_rng(0), 20_000, 5)[1]
    assert np.mean((y - 1) ** 2) == pytest.approx(1 / 6, abs=0.005)


def test_dates_are_read_back_by_other_means():
    found = language.dates(np.random.default_rng(0), 2000)
    forms = Counter()
    for written, iso in found:
        want = datetime.date.fromisoformat(iso)
        text = re.sub(r"(\d)(st|nd|rd|th) of", r"\1", written)
        text = re.sub(r"^\w+day, ", "", text).replace(",", "")
        for form in ("%d %B %Y", "%B %d %Y", "%d.%m.%Y", "%d/%m/%Y", "%d/%m/%y", "%Y %B %d"):
            try:
                got = datetime.datetime.strptime(text, form).date()
            except ValueError:
                continue
            if form.endswith("y"):
                got = got.replace(year=1900 + got.year % 100 + 100 * (got.year % 100 < 50))
            assert got == want, written
            forms[form] += 1
            break
        else:
            raise AssertionError(written)
        if "day" in written:
            assert written.startswith(want.strftime("%A"))
    assert len(forms) == 6 and min(forms.values()) > 50
    years = [int(iso[:4]) for _, iso in found]
    assert min(years) == 1900 and max(years) == 2099
    assert {w.split()[0][-2:] for w, _ in found if " of " in w} == {"st", "nd", "rd", "th"}


def test_the_same_seed_gives_the_same_dates():
    assert language.dates(np.random.default_rng(3), 5) == language.dates(np.random.default_rng(3), 5)


# ------------------------------------------------------------------------------------------------------ n-gram models


def counted(n, V, strength, sequences, window):
    """The definition, with a loop and a dictionary."""
    p = 1 / V
    for k in range(1, n + 1):
        both, context = 0, 0
        for row in sequences:
            row = [0] * (n - 1) + list(row) + [0]
            for i in range(n - 1, len(row)):
                if row[i - k + 1 : i] == list(window[n - k : -1]):
                    context += 1
                    both += row[i] == window[-1]
        p = (both + strength * p) / (context + strength)
    return p


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("strength", [0.5, 3.0])
def test_probabilities_are_the_definition_s(n, strength):
    rng = np.random.default_rng(0)
    sequences = [rng.integers(1, 4, k) for k in (4, 7, 0, 2)]
    model = language.NGram(n, 4, strength).fit(sequences)
    windows = rng.integers(0, 4, (40, n))
    want = [counted(n, 4, strength, sequences, w) for w in windows]
    np.testing.assert_allclose(model.probabilities(windows), want, rtol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 4])
def test_probabilities_sum_to_one(n):
    rng = np.random.default_rng(1)
    model = language.NGram(n, 5).fit([rng.integers(1, 5, 50)])
    for context in rng.integers(0, 5, (10, n - 1)):
        windows = np.column_stack([np.tile(context, (5, 1)), np.arange(5)]).astype(int)
        assert model.probabilities(windows).sum() == pytest.approx(1)


def test_a_fair_coin_is_one_bit_and_a_pattern_none():
    coin = np.random.default_rng(0).integers(1, 3, 20_000)
    assert language.NGram(1, 3).fit([coin], ends=False).bits([coin], ends=False) == pytest.approx(1, abs=1e-3)
    pattern = np.tile([1, 2], 5000)
    assert language.NGram(2, 3).fit([pattern], ends=False).bits([pattern], ends=False) < 0.01
    assert language.NGram(1, 3).fit([pattern], ends=False).bits([pattern], ends=False) == pytest.approx(1, abs=1e-3)


def test_samples_follow_the_counts():
    model = language.NGram(2, 4, 1e-9).fit([[1, 2, 3]] * 5)
    for seed in range(5):
        assert model.sample(np.random.default_rng(seed)).tolist() == [1, 2, 3]
    assert len(language.NGram(1, 3).fit([[1] * 1000]).sample(np.random.default_rng(0), longest=7)) <= 7
