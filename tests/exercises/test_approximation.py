"""The exercises of ``06_approximation``: the contract, and what is particular to them."""

from __future__ import annotations

import numpy as np
import pytest

from dlcourse import approximation as ap
from dlcourse import exercises
from dlcourse.check.probe import probe

from . import alternatives_approximation
from .common import Contract


class TestApproximation(Contract):
    assignment = "06_approximation"
    alternatives = alternatives_approximation


def first(id):
    exercise = exercises.get(id)
    return probe(exercise.reference, exercise.make_cases(0)[0].calls).values


def test_the_question_s_examples_are_the_first_cases():
    assert exercises.get("approximation.regions").reference == ap.arrangement_regions(12, 2)
    np.testing.assert_allclose(first("approximation.bumps")[0][1], 1.386, atol=5e-4)
    w, b, v, v0 = first("approximation.by_hand")[0]
    np.testing.assert_allclose([*w, *b, *v, v0], [1, 1, 0, -1, 1, -2, 0])
    np.testing.assert_allclose(first("approximation.switches")[0], [0.25, 0.5])
    np.testing.assert_allclose(first("approximation.minimum_norm")[0], [3, 4])
    np.testing.assert_allclose(first("approximation.direction")[0][0][:, 0], [0, 5])


@pytest.mark.parametrize("seed", range(20))
def test_what_the_question_promises_of_the_samples(seed):
    for case in exercises.get("approximation.by_hand").make_cases(seed):
        x, y, units, tolerance = case.calls[0].args
        assert (len(x) - 1) % units == 0 and len(x) == len(y)
        np.testing.assert_allclose(np.diff(x), x[1] - x[0])
        assert 0 < tolerance < 0.2 * np.ptp(y)


@pytest.mark.parametrize("seed", range(20))
def test_every_layer_of_the_deep_case_switches_and_switches_stand_apart(seed):
    for case in exercises.get("approximation.switches").make_cases(seed)[4:]:
        weights, biases, low, high = case.calls[0].args
        reference = exercises.get("approximation.switches").reference
        counts = [len(reference(weights[:k], biases[:k], low, high)) for k in range(1, len(weights) + 1)]
        assert sorted(set(counts)) == counts
        assert np.diff(reference(weights, biases, low, high)).min() > 0.005 * (high - low)
