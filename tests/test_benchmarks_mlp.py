"""benchmarks/mlp.py runs, writes what it prints, and its digits reach the chapter's mark."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_digits_row_and_missing_mnist(tmp_path):
    page = tmp_path / "results" / "mlp.md"
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "mlp.py", "--digits-seeds", "3", "--write", page],
        capture_output=True, text=True, timeout=300,
        # An empty data folder and a mirror that nothing listens on: MNIST cannot be had.
        env={**os.environ, "DLCOURSE_DATA": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path),
             "DLCOURSE_MIRROR": "http://127.0.0.1:9"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert page.read_text(encoding="utf-8") == done.stdout
    assert "MNIST | not measured: mnist is not in" in done.stdout
    mean = float(re.search(r"digits, held-out fifth.*\| ([\d.]+)% \(", done.stdout).group(1))
    assert mean >= 97
