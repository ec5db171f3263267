"""The tables of chapter 07: the law holds for the mean over draws, and counting steps by formula equals taking them."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks import init as benchmark


def test_kaiming_keeps_the_mean_square_within_a_factor_of_two_through_fifty_layers():
    mean = benchmark.through("kaiming", "relu", draws=8, depth=50, width=512)[0].mean(axis=0)
    assert mean.min() > 0.5 and mean.max() < 2


@pytest.mark.parametrize("prepare", ["scaled", "ZCA white"])
def test_the_number_of_steps_is_that_of_gradient_descent(prepare):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3)) @ rng.normal(size=(3, 3)) + 1
    x, t = benchmark.PREPARED[prepare](x)(x), rng.normal(size=60)
    design = np.column_stack([x, np.ones(60)])
    moments = design.T @ design / 60
    best, w, rate = np.linalg.lstsq(design, t, rcond=None)[0], np.zeros(4), 1 / np.linalg.eigvalsh(moments)[-1]
    steps = 0
    while (w - best) @ moments @ (w - best) >= 1e-3 * t.var():
        w, steps = w - rate * moments @ (w - best), steps + 1
    assert benchmark.steps_to_fit(x, t)[1] == steps


def test_the_page_names_every_start_and_its_command():
    text = benchmark.page(draws=2, depth=4, width=32)
    assert all(f"| tanh | {scheme} |" in text for scheme in benchmark.init.SCHEMES)
    assert "python benchmarks/init.py --write book/results/init.md" in text
