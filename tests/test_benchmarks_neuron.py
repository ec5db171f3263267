"""benchmarks/neuron.py runs, writes what it prints, and reaches the chapter's marks."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_the_marks_are_reached_and_missing_mnist_is_said(tmp_path):
    page = tmp_path / "results" / "neuron.md"
    few = ["--seeds", "3", "--steps", "8000", "--starts", "10"]
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "neuron.py", *few, "--write", page],
        capture_output=True, text=True, timeout=300,
        # An empty data folder and a mirror that nothing listens on: MNIST cannot be had.
        env={**os.environ, "DLCOURSE_DATA": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path),
             "DLCOURSE_MIRROR": "http://127.0.0.1:9"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert page.read_text(encoding="utf-8") == done.stdout
    assert "MNIST | not measured: mnist is not in" in done.stdout
    means = [float(mean) for mean in re.findall(r"digits, 8×8.*\| ([\d.]+)% \(", done.stdout)]
    assert len(means) == 3 and min(means) >= 99
    gaps = [float(gap) for gap in re.findall(r"\| ([-\d.e]+) \| [-\d.e]+ \|$", done.stdout, re.MULTILINE)]
    assert len(gaps) == 4 and max(map(abs, gaps)) < 1e-3
    highest = [int(most) for most in re.findall(r"% to (\d+)% \|$", done.stdout, re.MULTILINE)]
    assert highest == [75, 75, 75] and "at most 75%" in done.stdout
