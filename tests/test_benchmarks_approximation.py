"""benchmarks/approximation.py runs, writes what it prints, and its tables say what chapter 06 says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("results") / "approximation.md"
    options = ["--seeds", "2", "--draws", "8", "--examples", "1000", "--epochs", "3", "--write", path]
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "approximation.py", *options],
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert path.read_text(encoding="utf-8") == done.stdout
    return done.stdout


def test_fifty_units_by_hand_beat_fifty_trained_ones(page):
    rows = re.findall(r"^\| (\d+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) ", page, re.MULTILINE)
    by_hand, hinges, trained = next(tuple(map(float, r[1:])) for r in rows if r[0] == "50")
    assert hinges < by_hand < trained


def test_random_networks_stay_below_the_ceiling_that_depth_raises(page):
    rows = re.findall(r"^\| (\d) × \d+ \| ([\d.]+) \(\d+ to (\d+)\) \| ([\d,]+) \| ([\d,]+) \|$", page, re.MULTILINE)
    assert len(rows) == 12
    for line in (rows[:6], rows[6:]):
        mean, most, lower, upper = ([float(r[i].replace(",", "")) for r in line] for i in (1, 2, 3, 4))
        assert all(m <= u for m, u in zip(most, upper, strict=True))
        assert upper == sorted(upper) and lower[0] == upper[0]
        assert max(mean) < 1.5 * mean[0] and upper[-1] > 1000 * upper[0]


def test_the_error_descends_twice(page):
    rows = re.findall(
        r"^\| (\w+)[^|]* (?:noise|digits,) ([\d.]+)%?[^|]* \| ([^|]+) \| (\d+) \| (\d+)(?: to (\d+))?, [^|]+ "
        r"\| ([\d.]+) [^|]+ \| ([\d.]+) ",
        page,
        re.MULTILINE,
    )
    assert len(rows) == 8
    for _, noise, _, n, low, high, best, far in rows:
        assert 0.9 * int(n) <= int(low) <= int(high or low) <= 1.1 * int(n)
        if float(noise) in (0, 0.02):
            assert float(far) < float(best)


def test_deep_and_shallow_networks_have_about_as_many_parameters(page):
    counts = [int(c.replace(",", "")) for c in re.findall(r"^\| (?:784|64)-[\d-]+ \| ([\d,]+) \|", page, re.MULTILINE)]
    assert len(counts) == 6
    assert all(abs(c / counts[0] - 1) < 0.02 for c in counts[:4]) and counts[4] == counts[5]
