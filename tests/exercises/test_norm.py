"""The exercises of ``10_normalisation``: the contract, and what is particular to them."""

from __future__ import annotations

import numpy as np

from dlcourse import exercises
from dlcourse.check.probe import probe

from . import alternatives_norm
from .common import Contract


class TestNormalisation(Contract):
    assignment = "10_normalisation"
    alternatives = alternatives_norm


def first(id, number=0):
    exercise = exercises.get(id)
    return probe(exercise.reference, exercise.make_cases(0)[number].calls).values


def test_the_question_s_examples_are_the_first_cases():
    out, mean, var, tested = first("norm.batch_norm")
    np.testing.assert_allclose(out.ravel(), [-1, 1])
    assert (float(mean[0]), float(var[0])) == (1.0, 1.5)
    np.testing.assert_allclose(tested.ravel(), [0, 2 / 1.5**0.5])
    dx, dgamma, dbeta = first("norm.batch_backward")[0]
    np.testing.assert_allclose([*dx.ravel(), *dgamma, *dbeta], [0.375, -0.375, -0.5, 1])
    np.testing.assert_allclose(first("norm.group_norm")[0].ravel(), [-1, 1, -1, 1])
    np.testing.assert_allclose(first("norm.dropout")[0], [[0, 4, 6], [0, 2, 2]])
    np.testing.assert_allclose(first("norm.adam_decay")[0], [[0.85]], rtol=1e-6)
    np.testing.assert_allclose(first("norm.adam_decay", 1)[0], [[0.9]], rtol=1e-6)
    assert [int(i) for i in first("norm.early_stop")[0]] == [3, 6]
    np.testing.assert_allclose(first("norm.adaptive_clip")[0], [[0, 0.1], [0.5, 0]])
