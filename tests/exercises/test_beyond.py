"""The exercises of ``19_beyond``: the contract, and what is particular to them."""

from __future__ import annotations

import math

import numpy as np

from dlcourse import exercises, generalisation
from dlcourse.check.probe import probe

from . import alternatives_beyond
from .common import Contract


class TestBeyond(Contract):
    assignment = "19_beyond"
    alternatives = alternatives_beyond


def first(id, number=0):
    exercise = exercises.get(id)
    return probe(exercise.reference, exercise.make_cases(0)[number].calls).values


def test_the_questions_examples_are_the_first_cases():
    loss, dz1, dz2 = first("beyond.nt_xent")[0]
    np.testing.assert_allclose(loss, math.log(2 + math.e))
    assert np.shape(dz1) == np.shape(dz2) == (2, 2)
    predicted, (known, even) = first("beyond.prototypes")
    assert predicted.tolist() == [7, 3] and np.allclose(even, 0.5) and known[1] > 0.99
    assert first("beyond.conformal")[0].tolist() == [[True, False], [True, True], [False, True], [False, True]]
    np.testing.assert_allclose(first("beyond.returns")[0], [[0.5, -0.5]])
    y, dy0, dw = first("beyond.adjoint")[0]
    np.testing.assert_allclose([*y, *dy0, *np.ravel(dw)], [2, 1, 3])
    indices, cosines = first("beyond.retrieval")[0]
    assert indices.tolist() == [1, 2] and np.allclose(cosines, [1, 0.5**0.5])


def test_the_number_is_that_of_the_package():
    y = np.repeat(np.arange(10), 20_000)
    drawn = generalisation.random_labels(y, 0.6, 10, np.random.default_rng(0))
    assert abs(np.mean(drawn != y) - exercises.get("beyond.random_labels").reference) < 0.005
