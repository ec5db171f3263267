"""The tables of chapter 09: what is measured is trained on the right data, and what was not measured is said."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks import cnn as benchmark
from dlcourse import data, net1989


def runs(**tests):
    return {s: {"test": t, "train": 0.5, "seconds": 10.0} for s, t in enumerate(tests.values())}


RESULTS = {
    "1989": {
        "1989": runs(a=4.0, b=5.0, c=4.5),
        "cross-entropy": runs(a=4.1, b=4.0, c=4.4),
        "AdamW": runs(a=3.0, b=3.0, c=3.5),
    },
    "lenet": {"max": {0: {"test": 0.9, "seconds": 60.0, "parameters": 61_706}}},
    "speed": {"torch": 12.0, "together": 0.25},
}


def test_every_row_of_the_table_has_a_stage_and_the_reported_numbers():
    assert set(benchmark.WORDS) == set(benchmark.LOG) == set(net1989.STAGES)
    assert set(benchmark.BEFORE) == set(net1989.STAGES) - {"1989"}
    assert benchmark.PAPER == {"1989": 5.0}
    assert sorted(benchmark.LECTURE.values()) == [1.31, 2.09, 3.05, 4.14]


def test_steps_are_judged_on_pairs():
    np.testing.assert_allclose(benchmark.step(RESULTS["1989"], "cross-entropy"), [0.1, -1.0, -0.1])
    assert not benchmark.reliable(benchmark.step(RESULTS["1989"], "cross-entropy"))
    assert benchmark.reliable(benchmark.step(RESULTS["1989"], "AdamW"))
    assert not benchmark.reliable(benchmark.step(RESULTS["1989"], "shifts"))


def test_the_page_shows_bands_and_says_what_was_not_measured():
    text = benchmark.page(RESULTS, epochs=8)
    assert "| 5.00 | 4.14 | 4.09 | **4.50** (4.00 to 5.00) | 3 |" in text
    assert text.count("not measured") == 4 + 1 + 1  # four rows, LeNet-5 as published, GPU
    assert "better on 2 of 3 subsets; reported +0.29. **not reliable**" in text
    assert "better on 3 of 3 subsets; reported -0.79. reliable here" in text
    assert "outside our band: AdamW, rate 3e-4 falling to 1e-4 (log 3.59)." in text
    assert "| 61,706 | **0.90** (0.90 to 0.90) | 1 | 60 |" in text
    assert "takes 12.0 s in plain torch and 0.25 s in NumPy side by side with four others, 48 times less" in text
    assert "python benchmarks/cnn.py --write book/results/cnn.md" in text


def test_rows_are_trained_and_measured(monkeypatch):
    """On a few digits, for one pass."""
    monkeypatch.setitem(net1989.STAGES, "1989", net1989.Stage(passes=2, examples=600))
    digits = data.load("digits")
    drawn = net1989.subset
    monkeypatch.setattr(net1989, "subset", lambda mnist, seed, n: drawn(mnist, seed, n, test=200))
    found = benchmark.errors("1989", [0, 3], digits, progress=False)
    assert set(found) == {0, 3}
    assert all(0 < run["test"] < 30 and run["seconds"] > 0 for run in found.values())
    x, y, x_test, y_test = drawn(digits, 3, 600, 200)
    nets = net1989.Nets([0, 3])
    other = drawn(digits, 0, 600, 200)
    net1989.train(nets, net1989.STAGES["1989"], np.stack([other[0], x]), np.stack([other[1], y]), progress=False)
    wrong = nets.errors(np.stack([other[2], x_test]), np.stack([other[3], y_test]))[1]
    assert found[3]["test"] == pytest.approx(100 * wrong)


def test_finished_runs_are_kept(tmp_path):
    import json

    keep = tmp_path / "runs.json"
    keep.write_text(json.dumps(RESULTS), encoding="utf-8")
    assert benchmark.load(keep) == RESULTS
    assert benchmark.load(None) == benchmark.load(tmp_path / "none.json") == {"1989": {}, "lenet": {}, "speed": {}}


def test_side_by_side_is_faster_than_one_by_one():
    found = benchmark.speed(examples=60)
    assert found["torch"] > 4 * found["together"] > 0
