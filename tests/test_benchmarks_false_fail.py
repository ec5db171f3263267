"""benchmarks/false_fail.py runs, writes what it prints, and says where a right answer fails."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BENCHMARK = ROOT / "benchmarks" / "false_fail.py"


def test_a_part_of_the_tables(tmp_path):
    page = tmp_path / "results" / "false_fail.md"
    exercises = ["conv.correlate", "mlp.minibatches", "conv.learn_filter"]
    done = subprocess.run(
        [sys.executable, BENCHMARK, "--seeds", "2", "--exercise", *exercises, "--write", page],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert page.read_text(encoding="utf-8") == done.stdout
    assert "| `conv.correlate` | 5 | 10 | 0 | " in done.stdout and "% of the tolerance" in done.stdout
    assert "| `conv.learn_filter` | 4 | 8 | 0 | 1 − " in done.stdout
    assert "| `mlp.minibatches` | 1e-21 | Derived" in done.stdout
    assert "| all | | 26 | 0 | |" in done.stdout


def test_a_row_is_measured_again_and_the_others_stay(tmp_path):
    page = tmp_path / "false_fail.md"
    rows = ["| `conv.im2col` | 4 | 4,000 | 1 | 3.0% of the tolerance |", "| `conv.output_size` | 9 | 90 | 2 | exact |"]
    page.write_text("\n".join(rows), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, BENCHMARK, "--seeds", "1", "--exercise", "conv.output_size", "--write", page],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = page.read_text(encoding="utf-8")
    assert rows[0] in said and rows[1] not in said
    assert "| `conv.output_size` | 4 | 4 | 0 | exact |" in said
    assert said.index("conv.output_size") < said.index("conv.im2col"), "the order is that of the notebooks"
    assert "| all | | 4,004 | 1 | |" in said


def test_a_failure_is_told_and_is_the_exit_status():
    """With an alternative that is wrong under some seeds only."""
    spoil = (
        "import runpy, sys; sys.argv = ['x', '--seeds', '12', '--exercise', 'conv.output_size']\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from tests.exercises import alternatives_conv as a\n"
        "def rare(size, *more, **options):\n"
        "    return a.size_by_walking(size, *more, **options) + (size == 17)\n"
        "a.ALTERNATIVES['conv.output_size'] = [rare]\n"
        f"runpy.run_path({str(BENCHMARK)!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", spoil], capture_output=True, text=True, timeout=300)
    assert done.returncode == 1, done.stderr
    assert "conv.output_size, rare, seed " in done.stderr and "drawn at random" in done.stderr
    assert "| `conv.output_size` | 2 | 24 | " in done.stdout and "| 24 | 0 |" not in done.stdout
