"""The exercises of ``13_sequences``: the contract, and what is particular to them."""

from __future__ import annotations

import numpy as np
import pytest

from dlcourse import exercises
from dlcourse.check.probe import probe
from dlcourse.exercises import rnn

from . import alternatives_rnn
from .common import Contract


class TestSequences(Contract):
    assignment = "13_sequences"
    alternatives = alternatives_rnn


def first(id, number=0):
    exercise = exercises.get(id)
    return probe(exercise.reference, exercise.make_cases(0)[number].calls).values


def test_the_question_s_examples_are_the_first_cases():
    out, dw = first("rnn.embedding")[0]
    np.testing.assert_array_equal(out, [[3, 3], [1, 0], [3, 3]])
    np.testing.assert_array_equal(dw, [[0.5, 0], [0, 0], [1, 3]])
    dx, dh0, dw, du, db = first("rnn.bptt")[0]
    np.testing.assert_allclose([*dx.ravel(), *dh0, *dw[0], *du[0], *db], [1.5, 0.5, 12, 6.5, 6, 4])
    h1, c1, h2, c2, h = first("rnn.lstm")
    np.testing.assert_allclose([*c1, *h1, *c2, *h2, *h], [0.5, 0.231, -0.25, -0.122, -0.122], atol=1e-3)
    np.testing.assert_allclose(first("rnn.gru")[0], [[0.074]], atol=1e-3)
    context, alpha = first("rnn.attend")[0]
    np.testing.assert_allclose([*context, *alpha], [0.5, 0.75, 0.25])
    assert float(first("rnn.bits")[0]) == pytest.approx(-np.log2(0.75))


def test_the_latch_holds_against_the_worst_noise_and_turns_at_every_pulse():
    """What `false_fail` says: not luck. At every moment the noise pulls the other way, as strongly as it may."""
    w, u, b = rnn.latch(1.0)
    held = rnn._states((w, u, b), np.concatenate([np.ones((1, 1)), np.full((1, 10_000), -rnn.SHARE)], axis=1))
    assert held[0] > 0.5
    resting = np.linspace(-1, 1, 2001)  # wherever the state is, a pulse brings it to its side, from where it stays
    assert np.tanh(w * resting + u + b).min() > 0.5
