"""The exercises of ``09_cnn``: the contract, and what is particular to them."""

from __future__ import annotations

import numpy as np

from dlcourse import cnn, conv, exercises
from dlcourse.check.probe import probe
from dlcourse.exercises import cnn as cnn_exercises

from . import alternatives_cnn
from .common import Contract


class TestConvolutionalNetworks(Contract):
    assignment = "09_cnn"
    alternatives = alternatives_cnn


def first(id, index=0):
    exercise = exercises.get(id)
    return probe(exercise.reference, exercise.make_cases(0)[index].calls).values


def test_the_question_s_examples_are_the_first_cases():
    np.testing.assert_array_equal(first("cnn.max_pool")[0], [[[[4, 6]]]])
    np.testing.assert_array_equal(first("cnn.max_pool_backward")[0], [[[[0, 0, 0, 0], [10, 0, 0, 20]]]])
    np.testing.assert_array_equal(first("cnn.max_pool_backward", 1)[0], [[[[0, 8], [0, 0]]]])
    np.testing.assert_array_equal(first("cnn.adaptive")[0], [[[[2, 4]]]])
    assert [tuple(map(int, first("cnn.receptive_field", i)[0])) for i in range(4)] == [(3, 1), (5, 1), (1, 1), (6, 2)]
    np.testing.assert_array_equal(first("cnn.bill")[0], [[18, 20]])
    out, dx, dw, db, _, again = first("cnn.subsample")
    assert (out.item(), dw.item(), db.item()) == (15, 10, 1) and (dx == 0.5).all()
    assert abs(again.item() - (-0.5 * 10 + 9.9)) < 1e-12


def test_the_number_is_that_of_the_network():
    assert sum(p.numel() for p in cnn.LeNet5(seed=0).C3.parameters()) == exercises.get("cnn.c3_number").reference
    mistakes = {m.name: m.wrong for m in exercises.get("cnn.c3_number").mistakes}
    assert mistakes["all_connected"] == conv.conv2d_parameters(6, 16, 5)


def test_the_bill_is_that_of_lenet():
    layers = next(c for c in exercises.get("cnn.bill").make_cases(0) if c.name.startswith("LeNet")).calls[0].args[1]
    rows = [row for row in cnn.describe(cnn.lenet(seed=0), (1, 1, 28, 28)) if row.name not in ("ReLU", "Flatten")]
    want = [[int(np.prod(row.shape)), row.parameters] for row in rows]
    assert cnn_exercises.bill([1, 28, 28], layers) == want
