"""The tables of chapter 18: they name what they compare, and measure what they say."""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import diffusion as benchmark

SMALL = {"MLP": (benchmark.NETS["MLP"][0], 30, 2e-3)}


@pytest.fixture(autouse=True)
def short(one_thread, monkeypatch):
    """Few updates, and nothing kept from one test to the next."""
    monkeypatch.setattr(benchmark, "NETS", SMALL)
    for cached in (benchmark.fit_digits, benchmark.ring_net):
        cached.cache_clear()


def rows(lines):
    start = next(i for i, line in enumerate(lines) if line.startswith("|---"))
    assert lines[0].startswith("**") and len({line.count(" | ") for line in lines[start + 1 :]}) == 1
    return [line.strip("| ").split(" | ") for line in lines[start + 1 :]]


def test_the_pixel_s_table_has_the_tutorial_s_fault():
    some = {name: benchmark.SCHEDULES[name] for name in ("tutorial: T = 50, β from 0.0001 to 0.02", "cosine, T = 50")}
    tutorial, mended = rows(benchmark.pixel(1, n=4000, schedules=some))
    assert tutorial[1] == "6.0e-01" and 0.37 < float(tutorial[2].split()[0]) < 0.43
    assert 0.27 < float(mended[2].split()[0]) < 0.33


def test_near_a_bump_is_a_share():
    assert benchmark.near_a_bump(np.array([0.75, -0.5, 0.0, 3.0])) == 0.5


def test_the_judge_reads_real_digits_and_they_cover_each_other():
    _, _, test, judge, accuracy = benchmark.digits()
    assert accuracy >= 0.98
    read = judge.predict(test)
    asked, covered, nearest = benchmark.judged(test, read)
    assert asked == 100 and covered == 1 and nearest > 0.5
    assert benchmark.judged(test, (read + 1) % 10)[0] == 0
    assert benchmark.judged(np.zeros_like(test), read)[1] < 0.1


@pytest.mark.parametrize(
    "table,count",
    [
        (lambda: benchmark.score(1, steps=5, times=(10, 199)), 2),
        (lambda: benchmark.points(1, steps=5, n=40, planes={"ring of eight": benchmark.ring}), 2),
        (lambda: benchmark.digit_rows(1, latent_options={"epochs": 1, "steps": 5}), 5),
        (lambda: benchmark.steps_table(1, counts=(2,)), 1),
        (lambda: benchmark.predictions(1, updates=5), 3),
        (lambda: benchmark.guidance_table(1, strengths=(0, 2)), 2),
        (benchmark.mnist, 1),
    ],
    ids=["score", "points", "digits", "steps", "predictions", "guidance", "mnist"],
)
def test_tables_have_their_rows(table, count):
    assert len(rows(table())) == count


@pytest.mark.skipif(not benchmark.data.cached("mnist"), reason="MNIST is not on this machine")
def test_mnist_s_run_works_at_a_small_size(monkeypatch):
    whole = benchmark.data.load("mnist")
    few = {name: getattr(whole, name)[:200] for name in ("x_train", "y_train", "x_test", "y_test")}
    monkeypatch.setattr(benchmark.data, "load", lambda name: dataclasses.replace(whole, **few))
    monkeypatch.setattr(benchmark, "FULL", True)
    (row,) = rows(benchmark.mnist(updates=2, epochs=1, batch_size=16, n=20, steps=4))
    assert row[0] == "U-Net, width 32" and row[1].endswith("% (one seed)") and 0 <= float(row[2].rstrip("%")) <= 100
