"""Grade attacks by name, without a gradebook: ``python -m tests.attacks forging_equality ...`` (all if none)."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from dlcourse.grading.course import Course
from dlcourse.grading.grade import grade
from dlcourse.grading.limits import Limits

from .arena import Row
from .case import ROOT, attacks

SEED = 7_294_113_905_521
WORDS = {"MARK": "trace-of-an-attack", "COURSE": str(ROOT), "PORT": "9"}


def main(names: list[str]) -> int:
    limits = Limits(cell_seconds=6, cpu_seconds=4, total_seconds=90)
    strange = 0
    with tempfile.TemporaryDirectory() as folder:
        for attack in attacks():
            if names and not any(name in attack.name for name in names):
                continue
            path = Path(folder) / "submitted" / attack.name / attack.assignment / f"{attack.assignment}.ipynb"
            start = time.monotonic()
            attack.write(path, WORDS)
            if not path.is_file() or path.is_symlink():
                print(f"-      {attack.name}: nothing to read; the batch refuses it")
                continue
            of = Course(ROOT).assignment(attack.assignment)
            try:
                result = grade(path.read_bytes(), of, SEED, limits)
                wrong = problems(attack, result)
            except Exception as error:
                result, wrong = None, [f"{type(error).__name__}: {error}"[:300]]
            strange += bool(wrong)
            print(f"{'BAD ' if wrong else 'ok  '} {time.monotonic() - start:5.1f} s  {attack.name}", *wrong, sep="\n  ")
            if names and result:
                _show(result)
    return 1 if strange else 0


def problems(attack, result) -> list[str]:
    """What is not as the attack's file says."""
    if attack.refused:
        return [] if attack.refused in result.refused else [f"not refused for this: {result.refused!r}"]
    found = [
        f"{entry.exercise_id}: {entry.verdict}"
        for entry in result.entries
        if not attack.allowed(entry.exercise_id, entry.verdict)
    ]
    if result.refused or result.score != sum(e.max_points for e in result.entries if e.verdict == "right"):
        found.append(f"{result.score:g} points; {result.refused}")
    visible = Row({}, {}, notebook=result.notebook).outputs
    found += [f"does not show {text!r}" for text in attack.shown if text not in visible]
    found += [f"shows {text!r}" for text in attack.absent if text in visible]
    return found


def _show(result) -> None:
    for note in result.notes:
        print("  note:", note)
    for cell in result.notebook.get("cells", ()):
        for output in cell.get("outputs", ()):
            text = output.get("text") or output.get("data") or f"{output.get('ename')}: {output.get('evalue')}"
            if "check" not in cell["id"]:
                print("  |", ascii(str(text)[:1500]).replace("\\n", "\n  | "))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
