"""The exercises of ``02_backprop``: the contract, and what is particular to them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dlcourse import exercises
from dlcourse.check.probe import probe
from dlcourse.exercises.chance import binomial_tail, errors_allowed, neighbours_tail, never_in, same_batches
from dlcourse.exercises.mlp import _Run, held_out_accuracy, minibatches_rule
from dlcourse.exercises.spec import calls

from . import alternatives_mlp
from .common import Contract, report


class TestBackprop(Contract):
    assignment = "02_backprop"
    alternatives = alternatives_mlp


def only(id, name, seed=0):
    return next(case for case in exercises.get(id).make_cases(seed) if case.name.startswith(name))


def test_every_kind_of_exercise_is_there():
    kinds = {e.kind for e in exercises.assignment("02_backprop")}
    assert kinds == {"function", "class", "property", "trained", "number", "text"}


def test_the_question_s_example_of_the_deltas_is_the_first_case():
    exercise = exercises.get("mlp.deltas")
    (got,) = probe(exercise.reference, only("mlp.deltas", "by hand").calls).values
    want = [[1 / 8], [3 / 32], [[3 / 16]], [1 / 4], [[3 / 8]], [3 / 16]]
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_deltas_are_the_gradients_of_the_squared_error():
    torch = pytest.importorskip("torch")
    for case in exercises.get("mlp.deltas").make_cases(3):
        x, t, *weights, alpha = case.calls[0].args
        v, v0, w, w0 = (torch.tensor(p, dtype=torch.float64, requires_grad=True) for p in weights)
        y = torch.sigmoid(torch.sigmoid(torch.tensor(x).double() @ v + v0) @ w + w0)
        (0.5 * (torch.tensor(t).double() - y) ** 2).sum().backward()
        (got,) = probe(exercises.get("mlp.deltas").reference, case.calls).values
        for update, parameter in zip(got[2:], (w, w0, v, v0), strict=True):
            np.testing.assert_allclose(update, -alpha * parameter.grad, rtol=1e-4, atol=1e-7)


def test_the_question_s_example_of_momentum_is_the_first_case():
    exercise = exercises.get("mlp.momentum")
    got = probe(exercise.reference, only("mlp.momentum", "by hand").calls).values
    np.testing.assert_array_equal(np.concatenate(got), [8, 5, 3.5])


def test_the_question_s_numbers_of_the_cross_entropy():
    exercise = exercises.get("mlp.softmax_cross_entropy")
    ((loss, dlogits),) = probe(exercise.reference, only(exercise.id, "p = (1/4, 3/4)").calls).values
    assert round(float(loss), 4) == 0.8370
    np.testing.assert_allclose(dlogits, [[1 / 8, -1 / 8], [-3 / 8, 3 / 8]], rtol=1e-12)


def test_messages_of_the_minibatches_say_what_is_wrong():
    said = {
        name: str(report(exercises.get("mlp.minibatches"), getattr(alternatives_mlp, f"minibatches_{name}")))
        for name in ("one_too_many", "reversed", "flattened", "other_numbers", "generator", "no_labels")
    }
    assert "the batches have 5, 5, 2 examples, expected 4, 4, 4" in said["one_too_many"]
    assert "follow their neighbour" in said["reversed"]
    assert "x and y of the first batch have shapes (12, 6) and (12,)" in said["flattened"]
    assert "a row that is not in the data" in said["other_numbers"]
    assert "generator; expected numbers, arrays or tensors" in said["generator"]
    assert "a batch must be a pair of x and y" in said["no_labels"]


# How often chance fails a right answer


def test_the_rate_of_the_minibatches_follows_from_the_rule():
    exercise, bound = exercises.get("mlp.minibatches"), 0.0
    for case in exercise.make_cases(0):
        x, _, batch_size, _ = case.calls[0].args
        N = len(x)
        if N >= 40:
            bound += neighbours_tail(N, N // 2 + 1) + 2 / math.factorial(N)
            bound += same_batches(N, batch_size) if 1 < batch_size < N else 0
    assert 0 < bound <= exercise.compare.false_fail.rate <= 100 * bound


def test_good_shuffles_leave_few_neighbours_together():
    exercise = exercises.get("mlp.minibatches")
    for seed in range(60):
        call = exercise.make_cases(seed)[-1].calls[0]
        (batches,) = probe(exercise.reference, [call]).values
        # On average 2 of 47, and more than 24 fail.
        assert _Run(call, batches).neighbours < 12


def test_the_rule_on_neighbours_uses_the_numbers_of_the_bound():
    """One neighbour too many fails; with as many as the bound allows the rule is content."""
    call = exercises.get("mlp.minibatches").make_cases(0)[-1].calls[0]
    x, y, batch_size, _ = call.args
    N = len(x)

    def said(together):
        """An order in which ``together`` neighbours stay together, at the beginning; the others are far apart."""
        rest = np.arange(together + 1, N)
        rest = np.concatenate([rest[1::2], rest[::2]])
        order = np.concatenate([np.arange(together + 1), rest])
        batches = [[x[rows], y[rows]] for rows in np.split(order, range(batch_size, N, batch_size))]
        other = [[x[rows], y[rows]] for rows in np.split(order[::-1], range(batch_size, N, batch_size))]
        case = calls("a case", [call.args] * 3)
        assert _Run(call, batches).neighbours == together
        return minibatches_rule(case, [batches, batches, other])

    assert "follow their neighbour" not in str(said(N // 2))
    assert "follow their neighbour" in said(N // 2 + 1)


def test_the_rate_of_training_follows_from_the_threshold():
    exercise = exercises.get("mlp.train")
    compare, held_out = exercise.compare, [len(case.secret["labels"]) for case in exercise.make_cases(0)]
    assert held_out == [1000, 360, 1000, 1000]
    derived = sum(binomial_tail(n, 1 - compare.asked, errors_allowed(n, compare.threshold)) for n in held_out)
    assert derived == pytest.approx(1.2e-7, rel=0.05)
    # The results page: 200 seeds, 3 right answers, 3 trainings for each case, none of which fails.
    measured = len(held_out) * never_in(200 * 3 * 3) ** 3
    assert derived + measured <= compare.false_fail.rate


def test_the_accuracy_that_just_passes_is_that_of_the_bound():
    exercise = exercises.get("mlp.train")
    for case in exercise.make_cases(3):
        labels, n = case.secret["labels"], len(case.secret["labels"])
        most = errors_allowed(n, exercise.compare.threshold)
        for errors, passes in ((most, True), (most + 1, False)):
            predicted = np.where(np.arange(n) < errors, labels + 1, labels)
            said = exercise.compare(case, [predicted] * 3, None)
            assert (said is None) == passes


def test_a_linear_model_and_a_blind_one_stay_far_below_the_threshold():
    exercise = exercises.get("mlp.train")
    by_name = {m.name: m.wrong for m in exercise.mistakes}
    case = only("mlp.train", "XOR")
    for name in ("straight_boundaries", "one_class_only"):
        values = probe(by_name[name], case.calls).values
        assert held_out_accuracy(case, values) < 0.8
