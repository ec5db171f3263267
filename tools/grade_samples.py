"""Grade the sample submissions in the sandbox, as an instructor would, and compare with the scores beside them.

    python tools/grade_samples.py

A course folder of its own, _build/samples, gets the gradebook, the grades and the feedback pages.
"""

from __future__ import annotations

import csv
import json
import shutil
import sys
from pathlib import Path

from dlcourse.cli import main as dlcourse
from dlcourse.exercises import ASSIGNMENTS

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "tests" / "submissions"
COURSE = ROOT / "_build" / "samples"


def main() -> int:
    shutil.rmtree(COURSE, ignore_errors=True)
    shutil.copytree(ROOT / "notebooks" / "exercises", COURSE / "notebooks" / "exercises")
    wrong = 0
    for name in ASSIGNMENTS:
        print(f"\n{name}", flush=True)
        where = ["--course", str(COURSE), "--submissions", str(SAMPLES / name)]
        if dlcourse(["grade", name, *where, "--cpu-seconds", "8"]):
            return 1
        wrong += compare(name)
    if not wrong:
        print("\nall sample submissions got the scores that stand beside them")
    return min(wrong, 1)


def compare(name: str) -> int:
    """Print each difference between the grades and what is expected; returns their number."""
    expected = json.loads((SAMPLES / f"{name}.expected.json").read_text(encoding="utf-8"))
    with open(COURSE / "grades" / name / "grades.csv", encoding="utf-8", newline="") as file:
        rows = {row["student"]: row for row in csv.DictReader(file)}
    differences = [f"{student} is missing" for student in expected.keys() ^ rows.keys()]
    for student in expected.keys() & rows.keys():
        row, want = rows[student], expected[student]
        got = {id: float(row[id]) for id in want["points"]}
        if row["status"] != want["status"] or float(row["score"]) != want["score"] or got != want["points"]:
            differences.append(f"{student} got {row['status']} {got}, expected {want['status']} {want['points']}")
    for line in differences:
        print(f"{name}: {line}", file=sys.stderr)
    return len(differences)


if __name__ == "__main__":
    sys.exit(main())
