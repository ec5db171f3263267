"""The exercises of ``05_optimisers``: the contract, and what is particular to them."""

from __future__ import annotations

import numpy as np
import pytest

from dlcourse import exercises
from dlcourse.check.probe import probe
from dlcourse.exercises.chance import binomial_tail, errors_allowed
from dlcourse.exercises.optim import _HELD_OUT, _classify, _right

from . import alternatives_optim
from .common import Contract


class TestOptimisers(Contract):
    assignment = "05_optimisers"
    alternatives = alternatives_optim


def first(id):
    """What the reference gives in the first case."""
    exercise = exercises.get(id)
    return probe(exercise.reference, exercise.make_cases(0)[0].calls).values


def test_every_kind_of_exercise_is_there():
    kinds = {e.kind for e in exercises.assignment("05_optimisers")}
    assert kinds == {"function", "class", "property", "trained", "number", "text"}


# The numbers that the questions work out by hand


def test_the_question_s_momentum():
    reference = exercises.get("optim.momentum").reference
    p, g, v = np.array([10.0]), np.array([2.0]), np.array([4.0])
    assert [float(a[0]) for a in reference(p, g, v, 0.5, 0.25)] == [8.5, 3]
    assert [float(a[0]) for a in reference(p, g, v, 0.5, 0.25, nesterov=True)] == [8.625, 3]


def test_the_question_s_rmsprop():
    reference = exercises.get("optim.rmsprop").reference
    p, g, s = np.array([10.0]), np.array([4.0]), np.array([0.0])
    assert [float(a[0]) for a in reference(p, g, s, 1.0, 0.75, 0.0)] == [8, 4]
    assert [float(a[0]) for a in reference(p, g, s, 1.0, 0.75, 2.0)] == [9, 4]


def test_the_question_s_adam():
    reference = exercises.get("optim.adamw").reference
    made = reference(0.5, 0.5, 0.75, 0.0, 0.0)
    w = made.step(np.array([10.0]), np.array([4.0]))
    assert w == pytest.approx([9.5]) and made.step(w, np.array([-2.0])) == pytest.approx([9.5])
    assert reference(0.5, 0.5, 0.75, 0.0, 0.2).step(np.array([10.0]), np.array([4.0])) == pytest.approx([8.5])


def test_the_question_s_schedule():
    rate = exercises.get("optim.schedule").reference
    assert [rate(t, 0.6, 4, 12) for t in (0, 2, 4, 8, 12)] == pytest.approx([0, 0.3, 0.6, 0.3, 0])
    assert (rate(8, 0.6, 4, 12, 0.1), rate(1, 0.6, 4, 12, 0.1)) == pytest.approx((0.35, 0.15))


def test_the_question_s_clipping():
    clip = exercises.get("optim.clip").reference
    one, two = clip([np.array([3.0, 0.0]), np.array([4.0])], 1.0)
    assert one == pytest.approx([0.6, 0]) and two == pytest.approx([0.8])


# What is said of false fails


def test_false_fail_rate_of_the_stall():
    exercise = exercises.get("optim.stall")
    allowed = errors_allowed(_HELD_OUT, exercise.compare.threshold)
    assert 3 * binomial_tail(_HELD_OUT, 0.01, allowed) < 2e-7 < exercise.compare.false_fail.rate
    worst = min(
        _right(case, [_classify(*case.calls[0].args, steps=steps)])
        for seed in range(5)
        for case in exercise.make_cases(seed)
        for steps in (300, 400)
    )
    assert worst >= 0.99


def test_a_constant_answer_is_far_from_the_threshold():
    for seed in range(5):
        for case in exercises.get("optim.stall").make_cases(seed):
            assert 0.1 < case.secret["y"].mean() < 0.9
