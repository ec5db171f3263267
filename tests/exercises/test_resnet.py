"""The exercises of ``11_residual``: the contract, and what is particular to them."""

from __future__ import annotations

import numpy as np

from dlcourse import cnn, exercises
from dlcourse.check.probe import probe

from . import alternatives_resnet
from .common import Contract


class TestResidual(Contract):
    assignment = "11_residual"
    alternatives = alternatives_resnet


def first(id, number=0):
    exercise = exercises.get(id)
    return probe(exercise.reference, exercise.make_cases(0)[number].calls).values


def test_the_question_s_examples_are_the_first_cases():
    dx, dw1, db1, dw2, db2, dalpha = (float(g.item()) for g in first("resnet.block_backward")[0])
    assert (dx, dw1, db1, dw2, db2, dalpha) == (2.5, 1, 0.5, 3, 0.5, 7)
    np.testing.assert_array_equal(first("resnet.paths")[0].ravel(), [1, 5, 6])
    out, dx = first("resnet.dense_block")
    np.testing.assert_array_equal(out, [[1, -2, 1, 1]])
    np.testing.assert_array_equal(dx, [[3, 1]])
    out, dx, dskip = first("resnet.join")[0]
    np.testing.assert_array_equal(out[0], [[[1, 2], [3, 4]], [[5, 5], [5, 5]]])
    assert dx.item() == 22
    np.testing.assert_array_equal(dskip[0], [[[0, 1], [2, 3]]])
    assert first("resnet.nms")[0].tolist() == [1, 2]


def test_the_number_is_that_of_resnet18_s_block():
    from dlcourse.resnet import resnet

    block = resnet("resnet18", seed=0).layer2[0]
    assert cnn.count_parameters(block) == exercises.get("resnet.block_number").reference


def test_the_mean_square_behind_the_relu_is_as_narrow_as_the_false_fail_rate_needs():
    """Of the right answers, over 300 seeds: within 0.7 to 1.4 by more than six of their standard deviations."""
    exercise = exercises.get("resnet.identity_start")
    for case in exercise.make_cases(0):
        _, D, M = case.calls[0].args
        for answer in (exercise.reference, alternatives_resnet.identity_uniform, alternatives_resnet.identity_torch):
            x, sizes = case.secret["x"], []
            for seed in range(300):
                w1 = np.asarray(answer(seed, D, M)[0], dtype=float)
                sizes.append((np.maximum(x @ w1, 0) ** 2).mean() / (x**2).mean())
            mean, std = np.mean(sizes), np.std(sizes)
            assert mean - 8 * std > 0.7 and mean + 8 * std < 1.4
