"""The exercises of ``02_backprop``: the contract, and what is particular to them."""

from __future__ import annotations

import numpy as np
import pytest

from dlcourse import exercises
from dlcourse.check.probe import probe
from dlcourse.exercises.mlp import _Run, held_out_accuracy

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


def test_a_good_shuffle_is_never_called_a_bad_one():
    exercise = exercises.get("mlp.minibatches")
    for seed in range(60):
        assert report(exercise, exercise.reference, seed).passed
        call = exercise.make_cases(seed)[-1].calls[0]
        assert (
            _Run(call, [list(pair) for pair in exercise.reference(*call.args)]).neighbours < call.args[0].shape[0] / 4
        )


def test_a_linear_model_and_a_blind_one_stay_far_below_the_threshold():
    exercise = exercises.get("mlp.train")
    by_name = {m.name: m.wrong for m in exercise.mistakes}
    case = only("mlp.train", "XOR")
    for name in ("straight_boundaries", "one_class_only"):
        values = probe(by_name[name], case.calls).values
        assert held_out_accuracy(case, values) < 0.8
