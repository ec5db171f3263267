"""The exercises of ``01_neuron``: the contract, and what is particular to them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from dlcourse import exercises, neuron
from dlcourse.check.probe import probe
from dlcourse.exercises.chance import binomial_tail, errors_allowed
from dlcourse.exercises.neuron import separates

from . import alternatives_neuron
from .common import Contract, report


class TestNeuron(Contract):
    assignment = "01_neuron"
    alternatives = alternatives_neuron


def only(id, name, seed=0):
    return next(case for case in exercises.get(id).make_cases(seed) if case.name.startswith(name))


def test_every_kind_of_exercise_is_there():
    kinds = {e.kind for e in exercises.assignment("01_neuron")}
    assert kinds == {"function", "class", "property", "trained", "number", "text"}


@pytest.mark.parametrize("n", [3, 5])
def test_the_number_of_labellings_is_that_of_the_linear_programme(n):
    x = np.random.default_rng(n).normal(size=(n, 1))
    found = [neuron.separating_line(x, np.array(t)) is not None for t in itertools.product([-1, 1], repeat=n)]
    assert sum(found) == 2 * n
    assert exercises.get("neuron.labellings").reference == 10


def test_the_questions_examples_are_the_first_cases():
    (got,) = probe(
        exercises.get("neuron.squared_error").reference, only("neuron.squared_error", "the lec").calls
    ).values
    for a, b in zip(got, (1 / 8, [-1 / 8, -1 / 4], -1 / 8), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    exercise = exercises.get("neuron.hinge_objective")
    (got,) = probe(exercise.reference, only(exercise.id, "the example").calls).values
    for a, b in zip(got, (4.375, [0.5, -4], -0.5), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    got = probe(exercises.get("neuron.class").reference, only("neuron.class", "the example").calls).values
    for a, b in zip(got, (8, [0.4, 0.8], 0.4, [2.4], 1.28), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_gradients_of_the_references_are_those_of_torch():
    torch = pytest.importorskip("torch")
    for case in exercises.get("neuron.squared_error").make_cases(3):
        x, t, w, b = (torch.tensor(a, dtype=torch.float64) for a in case.calls[0].args)
        w.requires_grad_(), b.requires_grad_()
        (0.5 * (torch.sigmoid(x @ w + b) - t) ** 2).sum().backward()
        ((_, dw, db),) = probe(exercises.get("neuron.squared_error").reference, case.calls).values
        np.testing.assert_allclose(dw, w.grad, rtol=1e-4, atol=1e-7)
        np.testing.assert_allclose(db, b.grad, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("seed", range(20))
def test_no_example_lies_on_the_kink_of_the_hinge(seed):
    for case in exercises.get("neuron.hinge_objective").make_cases(seed):
        x, t, w, b, _ = case.calls[0].args
        assert np.abs(t * (x @ w + b) - 1).min() > 1e-5, case.name


@pytest.mark.parametrize("seed", range(20))
def test_every_case_of_the_line_can_be_separated_with_room(seed):
    for case in exercises.get("neuron.separate").make_cases(seed):
        x, t = case.calls[0].args
        w, b = alternatives_neuron.separate_program(x, t)
        assert separates(case, [[np.asarray(w), np.asarray(b)]]) is None
        if case.name.startswith(("12", "20", "30", "40")):
            assert set(t) == {-1, 1}
            assert np.abs(x).max() < 30
            # The widest street: half its width is 1/|w| of the shortest w with t f >= 1.
            svm = pytest.importorskip("sklearn.svm").SVC(kernel="linear", C=1e9).fit(x, t)
            assert 1 / np.linalg.norm(svm.coef_) > 0.25, case.name


def test_a_point_on_the_line_is_not_separated():
    said = str(report(exercises.get("neuron.separate"), alternatives_neuron.separate_nothing))
    assert "is on the line" in said


def test_the_rate_of_training_follows_from_the_threshold():
    exercise = exercises.get("neuron.train")
    compare, held_out = exercise.compare, [len(case.secret["labels"]) for case in exercise.make_cases(0)]
    assert held_out == [180, 180, 400]
    derived = sum(binomial_tail(n, 1 - compare.asked, errors_allowed(n, compare.threshold)) for n in held_out)
    assert derived == pytest.approx(6.2e-8, rel=0.05)
    assert derived <= compare.false_fail.rate


def test_the_accuracy_that_just_passes_is_that_of_the_bound():
    exercise = exercises.get("neuron.train")
    for case in exercise.make_cases(3):
        labels, n = case.secret["labels"], len(case.secret["labels"])
        most = errors_allowed(n, exercise.compare.threshold)
        for errors, passes in ((most, True), (most + 1, False)):
            predicted = np.where(np.arange(n) < errors, -labels, labels)
            assert (exercise.compare(case, [predicted], None) is None) == passes
