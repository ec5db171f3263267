"""benchmarks/losses.py runs, writes what it prints, and wrong labels cost the squared log loss more than the hinge."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_two_losses(tmp_path):
    page = tmp_path / "losses.md"
    options = ["--losses", "hinge", "squared_log", "--seeds", "2", "--epochs", "20", "--choosing", "1", "--write", page]
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "losses.py", *options], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert page.read_text(encoding="utf-8") == done.stdout
    rows = re.findall(r"^\| ([\w ]+) \| [\d.]+ \| [^|]+\| \*\*([\d.]+)%", done.stdout, re.MULTILINE)
    assert len(rows) == 4  # two losses from two starts
    for table in (rows[:2], rows[2:]):
        accuracy = {name: float(percent) for name, percent in table}
        assert accuracy["hinge"] > accuracy["squared log"] + 1
