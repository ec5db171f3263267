"""The rows of a batch: what is kept of a result, the CSV file and the table for a terminal."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from dlcourse.grading.collect import printable
from dlcourse.grading.course import Assignment
from dlcourse.grading.grade import Result

# What a spreadsheet takes for the beginning of a formula, full-width signs included.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


@dataclass(frozen=True, slots=True)
class Mark:
    """One exercise of a row."""

    exercise_id: str
    points: float
    verdict: str


@dataclass(frozen=True, slots=True)
class Row:
    """What the table and the gradebook keep of a result: no reports, no notebook.

    ``taken`` says that it was recorded by an earlier run; it stands in no table.
    """

    refused: str = ""
    notes: tuple[str, ...] = ()
    entries: tuple[Mark, ...] = ()
    taken: bool = False

    @property
    def score(self) -> float:
        return sum(mark.points for mark in self.entries)

    @classmethod
    def of(cls, result: Result) -> Row:
        """The row of a result."""
        marks = (Mark(sys.intern(e.exercise_id), float(e.points), sys.intern(e.verdict)) for e in result.entries)
        return cls(result.refused, tuple(result.notes), tuple(marks))

    def to_json(self) -> dict[str, Any]:
        """For the gradebook; numbers survive exactly."""
        marks = [[mark.exercise_id, mark.points, mark.verdict] for mark in self.entries]
        return {"refused": self.refused, "notes": list(self.notes), "entries": marks}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Row:
        """The same row again.

        Raises
        ------
        KeyError, TypeError, ValueError
            It was not written by ``to_json``.
        """
        marks = (Mark(sys.intern(id), points, sys.intern(verdict)) for id, points, verdict in data["entries"])
        return cls(data["refused"], tuple(data["notes"]), tuple(marks), taken=True)


def table_csv(of: Assignment, done: Iterable[tuple[str, Row | Result]]) -> str:
    """The grades as CSV: a row for each student, the same bytes for the same results."""
    graded = [exercise for exercise in of.exercises if not exercise.manual]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    header = ["student", "assignment", "status", "score", "max_score"]
    writer.writerow([*header, *(part for e in graded for part in (e.id, f"{e.id} verdict")), "message"])
    most = sum(exercise.points for exercise in graded)
    for student, row in done:
        entries = {entry.exercise_id: entry for entry in row.entries}
        cells = []
        for exercise in graded:
            entry = entries.get(exercise.id)
            cells += [f"{entry.points:g}", entry.verdict] if entry else ["0", "not graded"]
        status = "refused" if row.refused else "graded"
        message = row.refused or "; ".join(row.notes)
        writer.writerow([_safe(student), of.name, status, f"{row.score:g}", f"{most:g}", *cells, _safe(message)])
    return file.getvalue()


def _safe(text: str) -> str:
    """A spreadsheet must not take a student's text for a formula."""
    text = text.encode(errors="backslashreplace").decode()
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def table_text(of: Assignment, done: list[tuple[str, Row | Result]]) -> str:
    """The scores for a terminal."""
    most = sum(exercise.points for exercise in of.exercises if not exercise.manual)
    width = max([len("student"), *(len(printable(student)) for student, _ in done)])
    lines = [f"{'student':<{width}}  {'score':>9}  remarks"]
    for student, row in done:
        wrong = [f"{e.exercise_id} {e.verdict}" for e in row.entries if e.verdict != "right"]
        said = printable(row.refused or ", ".join(wrong) or "all right")
        said = said if len(said) <= 100 else said[:97] + "..."
        lines.append(f"{printable(student):<{width}}  {row.score:>3g} of {most:>2g}  {said}")
    return "\n".join(lines)


def dumped(data: Any) -> str:
    """JSON that is the same for the same data."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"))
