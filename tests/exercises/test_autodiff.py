"""The exercises of ``03_autodiff``: the contract, and what is particular to them."""

from __future__ import annotations

import numpy as np
import pytest

from dlcourse import exercises
from dlcourse.check.probe import probe
from dlcourse.exercises.autodiff import ASKED, THRESHOLD, learn_cases, straight_line
from dlcourse.exercises.chance import binomial_tail, errors_allowed

from . import alternatives_autodiff
from .common import Contract, report


class TestAutodiff(Contract):
    assignment = "03_autodiff"
    alternatives = alternatives_autodiff


def only(id, name, seed=0):
    return next(case for case in exercises.get(id).make_cases(seed) if case.name.startswith(name))


def test_every_kind_of_exercise_is_there():
    kinds = {e.kind for e in exercises.assignment("03_autodiff")}
    assert kinds == {"function", "class", "property", "trained", "number", "text"}


def test_the_number_is_what_torch_gives():
    torch = pytest.importorskip("torch")
    a, b = torch.tensor(2.0), torch.tensor(3.0, requires_grad=True)
    ((a + b) * (a * b + 1)).backward()
    assert exercises.get("autodiff.paths").reference == b.grad.item()


# The numbers that the questions work out by hand


def test_the_questions_sums():
    back = exercises.get("autodiff.unbroadcast").reference
    g = np.array([[1, 2, 3], [10, 20, 30]])
    assert back(g, (3,)).tolist() == [11, 22, 33]
    assert back(g, (2, 1)).tolist() == [[6], [60]]
    assert back(g, ()) == 66


def test_the_questions_program():
    (got,) = probe(
        exercises.get("autodiff.run_forward").reference, only("autodiff.run_forward", "the lecture's e, b").calls
    ).values
    assert [float(x) for x in got] == [6, 5]


def test_the_questions_orders():
    exercise = exercises.get("autodiff.backward_order")
    case = exercise.make_cases(0)[0]
    for order, right in [([5, 3, 0, 4, 1, 2], True), ([5, 4, 3, 2, 1, 0], True), ([5, 3, 0, 1, 4, 2], False)]:
        assert (exercise.compare(case, [np.array(order)], None) is None) is right
    assert exercise.compare(case, [np.array([5, 3, 0, 1, 4, 2])], None) == "node 1 comes before node 4, which uses it"


def test_the_questions_tape():
    exercise = exercises.get("autodiff.tape")
    got = probe(exercise.reference, only("autodiff.tape", "the lecture's e").calls).values
    assert [int(i) for i in got[:6]] == [0, 1, 2, 3, 4, 5]
    assert (float(got[6]), got[7].tolist()) == (6, [2, 5, 3, 2, 3, 1])
    got = probe(exercise.reference, only("autodiff.tape", "the gradient of a number on the way").calls).values
    assert got[6].tolist() == [1, 1, 0, 1, 0, 0]


def test_messages_about_an_order_say_what_is_wrong():
    exercise = exercises.get("autodiff.backward_order")
    case, cycle = only(exercise.id, "the lecture's e"), only(exercise.id, "a cycle of two")
    said = {
        (5, 4, 3, 2, 1): "node 0 is missing",
        (5, 4, 3, 2, 1, 0, 0): "node 0 comes more than once",
        (5, 4, 3, 2, 1, 0, 6): "6 is not the number of a node",
        (5.5, 4): "the result is no list of node numbers",
    }
    for order, words in said.items():
        assert words in exercise.compare(case, [np.array(order)], None)
    assert "expected an empty list" in exercise.compare(cycle, [np.array([3, 2, 1, 0])], None)


def test_a_function_that_calls_itself_fails_on_the_chain_and_is_told_why():
    found = str(report(exercises.get("autodiff.backward_order"), alternatives_autodiff.order_recursive))
    assert "RecursionError" in found


def test_programs_keep_numbers_moderate():
    for seed in range(50):
        for case in exercises.get("autodiff.run_forward").make_cases(seed):
            (got,) = probe(exercises.get("autodiff.run_forward").reference, case.calls).values
            assert np.abs([float(x) for x in got]).max() < 1e4, case.name
        for case in exercises.get("autodiff.tape").make_cases(seed):
            for value in probe(exercises.get("autodiff.tape").reference, case.calls).values:
                assert np.abs(value).max() < 1e6, case.name


def test_a_straight_line_stays_far_below_the_threshold():
    shares = []
    for seed in range(20):
        (case,) = learn_cases(np.random.default_rng(seed))
        shares.append(np.mean(straight_line(*case.calls[0].args[:3]) == case.secret["labels"]))
    assert max(shares) < 0.91 and np.mean(shares) < 0.9


def test_the_false_fail_rate_of_training_is_the_binomial_tail():
    rate = exercises.get("autodiff.learn").compare.false_fail.rate
    assert binomial_tail(2000, 1 - ASKED, errors_allowed(2000, THRESHOLD)) <= rate


def test_the_questions_gradient():
    x, y, w = np.zeros((1, 2)), np.array([1]), np.array([5.0, 6, 0, 2])
    _, gradient = exercises.get("autodiff.learn").reference(x, y, x, w, steps=1)
    assert gradient.tolist() == [0, 0, -4, 0]


def test_float32_takes_less_than_a_hundredth_of_the_gradients_tolerance():
    for seed in range(20):
        (case,) = learn_cases(np.random.default_rng(seed))
        for call in case.calls:
            x, y, _, w = call.args
            exact = alternatives_autodiff._backprop(x, 2 * y - 1, w)
            single = alternatives_autodiff._backprop(*(a.astype(np.float32) for a in (x, 2 * y - 1, w)))
            assert single.dtype == np.float32
            assert np.abs(single - exact).max() <= 1e-5 * np.abs(exact).max()
