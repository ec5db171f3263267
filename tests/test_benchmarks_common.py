"""What the scripts of measurements share: spreads are what they are called, and a page keeps what is not made anew."""

import argparse
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import common

TITLES = {"first": "The first", "second": "The second", "third": "The third"}


def test_a_spread_is_mean_and_range():
    assert common.spread([1.0, 2.0, 6.0]) == "3.0 (1.0 to 6.0)"
    assert common.spread([0.95, 0.97], 3) == "0.960 (0.950 to 0.970)"


@pytest.mark.parametrize("n", [2, 5, 10])
def test_intervals_are_student_s(n):
    values = np.random.default_rng(n).normal(size=n)
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert common.interval(values, 3) == f"{values.mean():.3f} ± {(high - low) / 2:.3f}"


def test_one_seed_has_no_interval():
    assert common.interval([1.234], 2) == "1.23 (one seed)"


def test_one_table_can_be_made_anew():
    old = common.assemble("", {"first": ["**The first**", "", "| a |"], "second": ["**The second**"]}, TITLES, "x")
    new = common.assemble(old, {"second": ["**The second, again**"]}, TITLES, "x")
    assert "| a |" in new and "again" in new and new.count("**The second") == 1
    assert new.index("first") < new.index("second") and common.assemble(new, {}, TITLES, "x") == new
    assert new.count("not measured") == 1 and "--only third" in new


def test_parts_are_made_one_by_one_and_kept(tmp_path, monkeypatch, capsys):
    page, made = tmp_path / "results" / "x.md", []

    def part(name: str, options: argparse.Namespace) -> list[str]:
        made.append(name)
        if name == "third" and options.seeds == 7:
            raise KeyboardInterrupt
        return [f"**{TITLES[name]}** of {options.seeds} seeds, {options.rounds} rounds"]

    def run(*options: str) -> None:
        parser = argparse.ArgumentParser()
        parser.add_argument("--rounds", type=int, default=2)
        monkeypatch.setattr(sys, "argv", ["x.py", "--write", str(page), *options])
        common.main("x", "What it is.", common.choose(TITLES, part), arguments=parser)

    with pytest.raises(KeyboardInterrupt):
        run("--seeds", "7")
    assert "second** of 7 seeds, 2 rounds" in page.read_text() and "--only third" in page.read_text()
    run("--only", "third", "--rounds", "3")
    assert made == ["first", "second", "third", "third"]
    assert "first** of 7 seeds" in page.read_text() and "third** of 5 seeds, 3 rounds" in page.read_text()
    assert "The third" in capsys.readouterr().out
