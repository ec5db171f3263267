"""The tables of chapter 10: they name what they compare, and compare what they say."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import norm as benchmark


def test_training_and_validation_images_differ_and_follow_the_seed():
    parts, again, other = (benchmark.draw(seed, 300, 200) for seed in (0, 0, 1))
    seen = {image.tobytes() for image in parts["train"][0]}
    assert len(parts["train"][0]) == 300 and len(parts["held"][0]) == 200
    # pixel by pixel equal images do occur in data sets, but few
    assert sum(image.tobytes() in seen for image in parts["held"][0]) <= 2
    np.testing.assert_array_equal(parts["train"][0], again["train"][0])
    assert not np.array_equal(parts["train"][0], other["train"][0])


@pytest.mark.parametrize("hidden", [0, 16])
@pytest.mark.parametrize("kind", ["batch", "group"])
def test_a_small_cnn_learns(kind, hidden):
    assert benchmark.train_batches(kind, 8, hidden, 0, n=600, epochs=2) > 40


@pytest.mark.parametrize("setting", benchmark.SETTINGS, ids=lambda s: s.name)
def test_every_regulariser_trains(setting):
    found = benchmark.regularised(setting, setting.strengths[0], 0, n=300, epochs=3)
    assert set(found) == {"train", "held", "test"} and found["train"] > 30


def test_max_norm_holds_after_training():
    setting = next(s for s in benchmark.SETTINGS if s.name.startswith("max-norm"))
    model = benchmark.mlp(64)
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.1)
    setting.what["after"](model, optimiser, 0.5)
    loss = model(torch.randn(8, 1, 8, 8)).pow(2).sum()
    loss.backward()
    optimiser.step()
    assert all(p.norm(dim=1).max() <= 0.5 + 1e-5 for p in model.parameters() if p.ndim > 1)


def test_the_table_of_a_thousand_images_starts_with_nothing():
    lines = benchmark.thousand(2, n=200, epochs=2, tuning=1, settings=benchmark.SETTINGS[:2], longer=2)
    assert lines[2].startswith("| nothing | – |") and lines[2].endswith("| – |")
    assert lines[3].startswith("| L1 penalty") and " of 1e-05, 0.0001, 0.0003 |" in lines[3]
    assert "4 epochs" in lines[5] and lines[-1].startswith("| nothing |")
    assert set(benchmark.SLOW) <= {setting.name for setting in benchmark.SETTINGS}


def test_the_tables_of_batches_and_of_early_dropout():
    lines = benchmark.small_batches(2, n=64, epochs=1, sizes=(4, 16))
    assert [line.split(" | ")[1] for line in lines[2:]] == ["4", "16", "4", "16"]
    lines = benchmark.early_dropout(2, n=200, epochs=2, width=8, rates=(0.2,))
    assert [line.split(" | ")[0][2:] for line in lines[2:]] == [
        "none",
        "early, p = 0.2",
        "late, p = 0.2",
        "always, p = 0.2",
    ]


def test_what_was_not_measured_says_so(monkeypatch):
    monkeypatch.setattr(benchmark, "FULL", False)
    assert all(line.endswith("| not measured |") for line in benchmark.mnist()[2:])


def test_dropout_on_mnist_runs_in_small(monkeypatch):
    from dlcourse import data

    if not data.cached("mnist"):
        pytest.skip("MNIST is not on this machine")
    for layers, _, activation, dropout, limit, _ in benchmark.MNIST_ROWS.values():
        assert benchmark.mnist_error(layers, 32, activation, dropout, limit, seed=0, epochs=1, n=2000) < 95


def test_the_normalisations_are_torchs():
    for line in benchmark.agreement()[2:]:
        assert all(float(cell) < 1e-9 for cell in line.strip("| ").split(" | ")[1:])
