"""benchmarks/optim.py runs and writes what it prints, and its tables say what chapter 05 says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_the_tables_of_xor(tmp_path):
    page = tmp_path / "results" / "optim.md"
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "optim.py", "--networks", "30", "--only-xor", "--write", page],
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    reused = page.with_name("optim_reused.md").read_text(encoding="utf-8")
    assert page.read_text(encoding="utf-8") + "\n" + reused == done.stdout

    never = dict(re.findall(r"^\| ([\w .]+) \| [\d.]+ \|.*\| (\d+) of 30 \|$", done.stdout, re.MULTILINE))
    assert len(never) >= 7 and int(never["Adam"]) > int(never["Nesterov 0.9"])

    errors = re.findall(r"^\| ([\w .]+) \| [\d.]+ \| ([\d.]+) \| ([\d.]+) \|", reused, re.MULTILINE)
    down, up = [float(e[1]) for e in errors], [float(e[2]) for e in errors]
    assert len(errors) == 7 and down[0] > 100 * down[-1] and up[-1] > 100 * up[0]  # the ranking is turned round
