"""The tables of chapter 19's control, ODEs and uncertainty: they measure what they say, on a small scale."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import beyond_control as benchmark
from dlcourse import bayes, data, levitation, ode, pond


def test_a_finer_search_finds_a_ratio_below_the_known_one():
    found = benchmark.planned(21, 0.05)
    assert 4.4 < found < pond.critical_ratio() + 0.01


def test_the_table_of_ratios_names_what_it_holds():
    lines = benchmark.ratios(1, grids=((11, 0.1),), size=15, headings=16, rounds=40, step=0.06, tol=0.5)
    assert [line.split(" | ")[0] for line in lines[2:]] == [
        "| straight outwards, known", "| along the tangent, known to be the best",
        "| value iteration, 11 × 11 grid, steps of 0.1", "| Q-learning, 0.8 million steps tried, 1 seeds",
    ]  # fmt: skip
    assert "4.1416 | 10.0%" in lines[2] and "4.6033 | 0.0%" in lines[3]


def test_what_lies_still_falls_and_what_is_controlled_does_not():
    states = levitation.starts(np.random.default_rng(0), 50)
    assert benchmark.judged(benchmark.idle, states)[0] < 5
    held, error = benchmark.judged(levitation.pd_controller(), states)
    assert held > 80 and 0 < error < 2


def test_the_table_of_balls_has_a_row_for_each_setting():
    lines = benchmark.balls(2, iterations=(1, 2), count=20)
    assert len(lines) == 2 + 4 + 3 and lines[-1].startswith("| REINFORCE, 2 updates of 64 episodes, no baseline")


def test_both_sides_of_the_agreement_compute_the_same():
    for line in benchmark.agreements(1)[2:]:
        outputs, gradients = map(float, line.strip(" |").split(" | ")[1:])
        assert outputs < 1e-6 and gradients < 1e-6


def test_the_adjoint_s_memory_stays():
    assert benchmark.peak(ode.adjoint_backward, 30) < 1.1 * benchmark.peak(ode.adjoint_backward, 3)


def test_a_spiral_is_learnt():
    _, start = benchmark.fit_spiral(0, updates=1)
    _, end = benchmark.fit_spiral(0, updates=600)
    assert end < 0.7 * start


def test_bayesian_regression_is_scikit_learn_s():
    assert max(benchmark.ridge_difference().values()) < 1e-6


def test_the_last_layer_doubts_more_in_the_gap():
    covered, near, inside = benchmark.gap_in_the_middle(0)
    assert 0.85 < covered < 1 and inside > near > 0.05


def test_the_table_of_coverage_has_four_rows_at_most():
    lines = benchmark.conformal_rows(splits=5, sets=("digits",))
    assert len(lines) == 2 + 3 and lines[2].startswith("| digits, sets of classes | 500, 997 |")


def test_mnist_s_held_out_examples_are_ten_thousand():
    if not data.cached("mnist"):
        pytest.skip("MNIST is not on this machine")
    p, y = benchmark.class_probabilities("mnist")
    assert p.shape == (10_000, 10) and (p.argmax(axis=1) == y).mean() > 0.8
    assert bayes.class_scores(p, y).shape == (10_000,)
