"""The exercises of ``15_graphs``: the contract, and what is particular to them."""

from __future__ import annotations

import numpy as np

from dlcourse import exercises, graph
from dlcourse.check.probe import probe

from . import alternatives_graph
from .common import Contract


class TestGraphs(Contract):
    assignment = "15_graphs"
    alternatives = alternatives_graph


def first(id, number=0):
    exercise = exercises.get(id)
    return probe(exercise.reference, exercise.make_cases(0)[number].calls).values


def test_the_question_s_examples_are_the_first_cases():
    np.testing.assert_array_equal(first("graph.coo")[0], [[1, 0, 2, 1], [0, 1, 1, 2]])
    for number, wanted in enumerate(([6, 0, -2], [3, 0, -2], [5, 0, -2])):
        np.testing.assert_allclose(first("graph.aggregate", number)[0].ravel(), wanted)
    np.testing.assert_allclose(first("graph.gcn")[0].ravel(), [2, 2 / 2**0.5 + 2])
    np.testing.assert_allclose(first("graph.gat")[0].ravel(), [0, 1.5])
    np.testing.assert_allclose(first("graph.gat", 1)[0].ravel(), [0, 2])
    assert first("graph.wl")[0].tolist() == [0, 1, 2, 1, 0]


def test_the_number_is_that_of_the_package():
    side = np.arange(121).reshape(11, 11)
    beside = np.stack([side[:, 1:].ravel(), side[:, :-1].ravel()], axis=1)
    above = np.stack([side[1:].ravel(), side[:-1].ravel()], axis=1)
    edges = graph.from_pairs(np.concatenate([beside, above]))
    assert graph.reach(edges, 121, 60, 3).sum() == exercises.get("graph.reach").reference


def test_every_pair_that_fools_is_taken_whoever_wrote_it():
    exercise = exercises.get("graph.fool")
    (case,) = [c for c in exercise.make_cases(0) if c.name == "six nodes"]
    prism = graph.from_pairs([(0, 1), (1, 2), (2, 0), (3, 4), (4, 5), (5, 3), (0, 3), (1, 4), (2, 5)])
    bipartite = graph.from_pairs([(i, 3 + j) for i in range(3) for j in range(3)])
    assert exercise.compare(case, [[prism, bipartite]], None) is None
    assert "numbered otherwise" in exercise.compare(case, [[prism, (prism + 1) % 6]], None)
