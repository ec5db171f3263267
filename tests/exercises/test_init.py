"""The exercises of ``07_initialisation``: the contract, and what is particular to them."""

from __future__ import annotations

import math

import numpy as np

from dlcourse import exercises
from dlcourse.check.probe import probe

from . import alternatives_init
from .common import Contract


class TestInitialisation(Contract):
    assignment = "07_initialisation"
    alternatives = alternatives_init


def first(id):
    exercise = exercises.get(id)
    return probe(exercise.reference, exercise.make_cases(0)[0].calls).values


def test_the_question_s_examples_are_the_first_cases():
    np.testing.assert_allclose(first("init.signal")[0], [1, 6.8])
    np.testing.assert_allclose(first("init.jacobian")[0], [[1, 3], [2, 4]])
    root = math.sqrt(2)
    np.testing.assert_allclose(first("init.zca")[0], [[root, 0], [-root, 0], [0, root], [0, -root]], atol=1e-12)


def test_the_rate_of_false_fails_covers_all_statistics_of_all_cases():
    """Three draws of three shapes are looked at; each statistic may be off by 6.5 standard deviations."""
    exercise = exercises.get("init.kaiming_uniform")
    statistics = len(exercise.make_cases(0)) * (1 + 1 + 4 + 1)
    assert statistics * math.erfc(6.5 / math.sqrt(2)) < exercise.compare.false_fail.rate
