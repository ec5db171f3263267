"""The exercises of ``14_attention``: the contract, and what is particular to them."""

from __future__ import annotations

import numpy as np
import torch

from dlcourse import exercises
from dlcourse.check.probe import probe
from dlcourse.transformer import Block

from . import alternatives_attention
from .common import Contract


class TestAttention(Contract):
    assignment = "14_attention"
    alternatives = alternatives_attention


def first(id, number=0):
    exercise = exercises.get(id)
    return probe(exercise.reference, exercise.make_cases(0)[number].calls).values


def test_the_question_s_examples_are_the_first_cases():
    out, weights = first("attention.one_query")[0]
    np.testing.assert_allclose([*out, *weights], [7, 0.25, 0.75, 0])
    dq, dk, dv = first("attention.backward")[0]
    np.testing.assert_allclose(dq, [[0.75 * np.log(3)]])
    np.testing.assert_allclose([*dk.ravel(), *dv.ravel()], [-0.75, 0.75, 0.25, 0.75])
    np.testing.assert_allclose(first("attention.multi_head")[0], [[2, 2], [3, 2]])
    np.testing.assert_allclose(first("attention.multi_head", 1)[0], [[0, 4], [3, 2]])
    found = [float(np.ravel(v)[0]) for v in first("attention.online") if v is not None]
    np.testing.assert_allclose(found, [4, 0, 1, 7, np.log(3), 4 / 3])
    np.testing.assert_allclose(
        first("attention.positions")[0], [[0, 1, 0, 1], [np.sin(1), np.cos(1), np.sin(0.1), np.cos(0.1)]]
    )
    merges, ids = first("attention.byte_pairs")[0]
    assert np.array(merges).tolist() == [[97, 98], [256, 256]] and np.array(ids).tolist() == [257, 256, 99]


def test_the_number_is_that_of_the_package_s_block():
    counted = sum(p.numel() for p in Block(96, 6).parameters())
    assert counted == exercises.get("attention.block_parameters").reference
    assert isinstance(Block(96, 6).attention.into, torch.nn.Linear)
