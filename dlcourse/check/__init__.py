"""Floor 3: the check as the student sees it.

from dlcourse.check import check, hint, progress

check("conv.forward")       # tries the conv2d_forward that this notebook defines
hint("conv.forward")        # a nudge; ask again for more
progress()                  # the points so far
"""

from __future__ import annotations

import contextlib
import html
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from dlcourse.check.judge import Report, judge, not_written
from dlcourse.check.probe import probe
from dlcourse.check.withhold import withheld
from dlcourse.exercises import PUBLIC_SEED, assignment, assignment_of, get
from dlcourse.exercises import withheld as names_withheld

__all__ = ["Report", "check", "hint", "progress"]

_MISSING = object()
_reports: dict[str, Report] = {}
_hints_given: dict[str, int] = {}


class Note:
    """A few lines for the student: HTML in a notebook, text in a terminal."""

    def __init__(self, text: str, html_text: str | None = None):
        self.text = text
        self.html = html_text or "".join(f"<p>{html.escape(line)}</p>" for line in text.splitlines())

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return self.html


def check(id: str, answer: Any = _MISSING, *, seed: int = PUBLIC_SEED) -> Report | Note:
    """Try an answer on the exercise's cases and say what is right and what is not yet.

    Parameters
    ----------
    id : the exercise, ``"conv.forward"``.
    answer : the function, class or value; without it, what the notebook has defined under the exercise's name.
    seed : decides the cases. The grader uses another seed, so an answer must be right, not fitted to the cases.

    Nothing is raised: an unknown id or an answer that fails is reported in words.
    """
    try:
        exercise = get(id)
    except ValueError as error:
        return Note(str(error))
    if exercise.manual:
        return Note(f"{exercise.id}: a person grades this answer ({exercise.points} points).")
    if answer is _MISSING:
        answer = sys._getframe(1).f_globals.get(exercise.name, _MISSING)
    if answer is _MISSING or answer is None or answer is Ellipsis:
        note = f"`{exercise.name}` is not there yet: run the cell that defines it, then check again"
        report = not_written(exercise, note)
    else:
        with _unaffected():
            cases = exercise.make_cases(seed)
        spaces = (sys._getframe(1).f_globals, getattr(answer, "__globals__", {}))
        with withheld(names_withheld(assignment(assignment_of(exercise))), *spaces):
            outcomes = [probe(answer, case.calls) for case in cases]
        with _unaffected():
            report = judge(exercise, cases, outcomes)
    _reports[exercise.id] = report
    return report


@contextlib.contextmanager
def _unaffected() -> Iterator[None]:
    """The reference runs in the student's process: what the student made an error there must not stop it."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def hint(id: str) -> Note:
    """The exercise's next hint: three, from a nudge to nearly the answer; then the last again."""
    try:
        exercise = get(id)
    except ValueError as error:
        return Note(str(error))
    if not exercise.hints:
        return Note(f"{exercise.id} has no hints.")
    given = _hints_given.get(exercise.id, 0)
    number = min(given, len(exercise.hints) - 1)
    _hints_given[exercise.id] = given + 1
    return Note(f"Hint {number + 1} of {len(exercise.hints)}: {exercise.hints[number]}")


def progress(name: str | None = None) -> Note:
    """The points so far in this session; ``name`` is the assignment, by default that of the last check."""
    if name is None:
        if not _reports:
            return Note("Nothing has been checked yet: run a check first.")
        name = assignment_of(next(reversed(_reports.values())).exercise)
    try:
        exercises = assignment(name)
    except ValueError as error:
        return Note(str(error))
    rows, points, possible = [], 0, 0
    for exercise in exercises:
        if exercise.manual:
            rows.append(("·", exercise, f"{exercise.points} points by a person"))
            continue
        report = _reports.get(exercise.id)
        mark = "·" if report is None else ("✓" if report.passed else "✗")
        got = report.points if report else 0
        points, possible = points + got, possible + exercise.points
        rows.append((mark, exercise, f"{got} of {exercise.points}"))
    total = f"{points} of {possible} points so far"
    lines = [f"{total} ({name})", *(f"  {mark} {e.id:<28} {said:<24} {e.title}" for mark, e, said in rows)]
    cells = "".join(
        f"<tr><td>{mark}</td><td style='text-align:left'>{html.escape(e.title)}</td>"
        f"<td style='text-align:left'><code>{e.id}</code></td><td style='text-align:left'>{said}</td></tr>"
        for mark, e, said in rows
    )
    return Note("\n".join(lines), f"<p><strong>{total}</strong> ({html.escape(name)})</p><table>{cells}</table>")
