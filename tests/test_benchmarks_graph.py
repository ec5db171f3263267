"""The tables of chapter 15: they name what they compare, and compare what they say."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import graph as benchmark
from dlcourse import data


def test_the_spread_is_the_standard_deviation():
    assert benchmark.spread([1.0, 2.0, 6.0]) == f"3.0 ± {np.std([1, 2, 6], ddof=1):.1f}"


@pytest.mark.parametrize("name", benchmark.NODES)
def test_every_network_trains_on_cora(name):
    run, _ = benchmark.NODES[name]
    assert run(0, epochs=4) > 10


def test_a_network_without_edges_ignores_them():
    layer = benchmark.NoEdges(3, 2)
    x = torch.randn(4, 3)
    assert torch.equal(layer(x, torch.tensor([[0], [1]])), layer(x, torch.tensor([[2], [3]])))


@pytest.mark.parametrize("skip", [False, True])
def test_depth_gives_accuracy_and_roughness(skip):
    score, roughness = benchmark.deep(4, skip, 0, epochs=3, width=8)
    assert 0 <= score <= 100 and 0 <= roughness <= 2


def test_molecules_are_folded():
    if not data.cached("mutag"):
        pytest.skip("MUTAG is not on this machine")
    curves = benchmark.folds("sum", 0, epochs=2, width=8, depth=1, splits=3)
    assert curves.shape == (3, 2) and curves.min() >= 0 and curves.max() <= 100
    lines = benchmark.mutag(1, hows=("mean",), epochs=1, width=4, depth=1, splits=2)
    assert lines[-1].startswith("| mean | 1 | ")


def test_links_are_better_than_a_coin():
    assert benchmark.auc(0, epochs=8) > 55


def test_what_is_timed_agrees():
    arrays = benchmark.inputs(5000, D=4)
    wanted = benchmark.torchs(*arrays)
    for function in (benchmark.ours, benchmark.add_at):
        for a, b in zip(function(*arrays), wanted, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_the_table_of_speed_has_a_row_for_each_size():
    lines = benchmark.speed(sizes=((2000, 3), (4000, 3)))
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| 2,000", "| 4,000"]
