"""The exercises of ``04_activations_losses``: the contract, and what is particular to them."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from dlcourse import exercises
from dlcourse.check.probe import probe
from dlcourse.exercises.activations import _share_right
from dlcourse.exercises.chance import binomial_tail, errors_allowed

from . import alternatives_activations
from .common import Contract, report


class TestActivations(Contract):
    assignment = "04_activations_losses"
    alternatives = alternatives_activations


def only(id, name, seed=0):
    return next(case for case in exercises.get(id).make_cases(seed) if case.name.startswith(name))


def values(id, name):
    return probe(exercises.get(id).reference, only(id, name).calls).values


def test_every_kind_of_exercise_is_there():
    kinds = {e.kind for e in exercises.assignment("04_activations_losses")}
    assert kinds == {"function", "class", "property", "trained", "number", "text"}


# The numbers that the questions work out by hand


def test_the_questions_lowest_losses():
    def entropy(wrong, classes):
        p = np.r_[1 - wrong, np.full(classes - 1, wrong / (classes - 1))]
        return -(p * np.log(p)).sum()

    assert entropy(0.25, 2) == pytest.approx(0.5623, abs=5e-5)
    assert exercises.get("activations.lowest_loss").reference == pytest.approx(entropy(0.2, 10), rel=1e-12)


def test_the_question_s_softplus():
    ((value, slope),) = values("activations.softplus_pair", "x = ±ln 3")
    np.testing.assert_allclose(value, [np.log(4), np.log(4 / 3)])
    np.testing.assert_allclose(slope, [3 / 4, 1 / 4])


def test_the_question_s_parametric_relu():
    ((dx, dalpha),) = values("activations.prelu_backward", "the example")
    np.testing.assert_allclose(dx, [[1, 2.5], [1, 5]])
    np.testing.assert_allclose(dalpha, [-4, -110])


def test_the_question_s_softmax():
    np.testing.assert_allclose(values("activations.softmax_backward", "the example")[0], [[0, -1, 1]])


@pytest.mark.parametrize(
    ("name", "loss", "gradient"),
    [("hinge", 2.5, [0, 1, 1]), ("squared", 4.25, [0, 1, 4]), ("cubed", 8.125, [0, 0.75, 12])],
)
def test_the_question_s_hinge(name, loss, gradient):
    ((got, dscores),) = values("activations.hinge", f"the example, {name}")
    assert got == loss
    np.testing.assert_allclose(dscores, [gradient])


def test_the_question_s_swish():
    out, beta, dbeta = values("activations.swish", "the example: β = 0")
    np.testing.assert_allclose(out, [[1, -1]])
    assert (beta, dbeta) == (0, 0)
    _, dx, dbeta = values("activations.swish", "the example: backward")
    np.testing.assert_allclose(dx, [[2, 4]])
    assert dbeta == 12


# The references, against PyTorch


@pytest.mark.parametrize("seed", [0, 3])
def test_references_agree_with_torch(seed):
    torch = pytest.importorskip("torch")
    for case in exercises.get("activations.hinge").make_cases(seed):
        scores, classes, power = case.calls[0].args
        t = torch.tensor(scores, dtype=torch.float64, requires_grad=True)
        sign = 2 * torch.nn.functional.one_hot(torch.tensor(classes), scores.shape[1]) - 1
        loss = (torch.relu(1 - sign * t) ** power).sum(1).mean()
        loss.backward()
        ((got, gradient),) = probe(exercises.get("activations.hinge").reference, case.calls).values
        assert got == pytest.approx(loss.item(), rel=1e-5)
        np.testing.assert_allclose(gradient, t.grad, rtol=1e-4, atol=1e-6)
    for case in exercises.get("activations.softmax_backward").make_cases(seed):
        dout, p = (torch.tensor(a, dtype=torch.float64) for a in case.calls[0].args)
        x = torch.log(p).requires_grad_()
        torch.softmax(x, 1).backward(dout)
        (got,) = probe(exercises.get("activations.softmax_backward").reference, case.calls).values
        np.testing.assert_allclose(got, x.grad, rtol=1e-4, atol=1e-6)


# What is judged by a property or a score


def test_the_rate_that_the_trained_exercise_states():
    compare = exercises.get("activations.wrong_labels").compare
    allowed = errors_allowed(797, compare.threshold)
    assert binomial_tail(797, 1 - compare.asked, allowed) <= compare.false_fail.rate


def test_right_answers_reach_what_is_asked():
    exercise = exercises.get("activations.wrong_labels")
    answers = [exercise.reference, alternatives_activations.learn_ridge, alternatives_activations.learn_many_neighbours]
    for seed in range(12):
        (case,) = exercise.make_cases(seed)
        for answer in answers:
            assert _share_right(case, probe(answer, case.calls).values) > 0.85


def test_four_in_ten_labels_are_wrong():
    from dlcourse import data

    (case,) = exercises.get("activations.wrong_labels").make_cases(5)
    x, labels, x_new, _ = case.calls[0].args
    digits = data.load("digits")
    truth = {row.tobytes(): c for row, c in zip(
        np.concatenate([digits.x_train, digits.x_test]).reshape(-1, 64).astype(float),
        np.concatenate([digits.y_train, digits.y_test]), strict=True)}  # fmt: skip
    assert sum(truth[row.tobytes()] != label for row, label in zip(x, labels, strict=True)) == 400
    assert (len(x), len(x_new)) == (1000, 797)
    assert all(truth[row.tobytes()] == c for row, c in zip(x_new, case.secret["y"], strict=True))


def test_messages_of_the_property_say_what_is_wrong():
    exercise = exercises.get("activations.squash")
    assert "expected -2 and 2" in str(report(exercise, alternatives_activations.squash_constant)).replace("−", "-")
    assert "the slope at 0 is 1.2, expected 1" in str(report(exercise, alternatives_activations.squash_a_bit_steep))
    assert "change when other x come behind" in str(report(exercise, alternatives_activations.squash_of_the_mean))
    assert "expected that of x" in str(report(exercise, alternatives_activations.squash_flattened))


def test_the_topic_s_answers_are_withheld():
    withheld = {name for e in exercises.assignment("04_activations_losses") for name in e.withhold}
    for module, names in {
        "activations": ("softplus", "prelu", "swish", "silu"),
        "losses": ("hinge", "expectation", "regularised_expectation"),
    }.items():
        functions = vars(importlib.import_module(f"dlcourse.{module}"))
        for name in names:
            for way in ("forward", "backward"):
                assert f"{name}_{way}" in functions
                assert f"dlcourse.{module}.{name}_{way}" in withheld
