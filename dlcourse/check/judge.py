"""Compare what a student's code gave with what is right. Pure: outcomes in, report out.

The notebook's check and the grader call the same ``judge``; only where the outcomes come from differs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dlcourse.check.probe import NOT_WRITTEN, Outcome, probe
from dlcourse.exercises import assignment, assignment_of, withheld
from dlcourse.exercises.spec import Case, Exercise, Mistake


@dataclass(frozen=True)
class CaseReport:
    """One row of the table: the case's name, whether it passed, and if not, why."""

    name: str
    passed: bool
    message: str = ""


@dataclass(frozen=True)
class Report:
    """The result of one exercise. ``verdict`` is one of ``right``, ``wrong``, ``not written`` or a limit's name."""

    exercise: Exercise
    cases: tuple[CaseReport, ...] = ()
    verdict: str = "wrong"
    mistake_name: str = ""
    note: str = ""
    seconds: float = field(default=0.0, compare=False)

    @property
    def passed(self) -> bool:
        return self.verdict == "right"

    @property
    def mistake(self) -> Mistake | None:
        """The known mistake that the answer shows."""
        return next((m for m in self.exercise.mistakes if m.name == self.mistake_name), None)

    @property
    def points(self) -> int:
        return self.exercise.points if self.passed else 0

    def __str__(self) -> str:
        from dlcourse.check.render import text

        return text(self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from dlcourse.check.render import page

        return page(self)


def judge(
    exercise: Exercise, cases: Sequence[Case], outcomes: Sequence[Outcome], probe: Callable[..., Outcome] = probe
) -> Report:
    """Judge the outcomes of ``cases``, which ``exercise.make_cases(seed)`` made.

    ``probe`` tries the reference and the known mistakes on a case; who judges many answers remembers what it gave.
    """
    if len(outcomes) != len(cases):
        raise ValueError(f"{exercise.id}: {len(outcomes)} outcomes for {len(cases)} cases")
    rows = tuple(_row(exercise, case, outcome, probe) for case, outcome in zip(cases, outcomes, strict=True))
    seconds = sum(outcome.seconds for outcome in outcomes)
    if all(row.passed for row in rows):
        return Report(exercise, rows, "right", seconds=seconds)
    if all(_unwritten(outcome) for outcome in outcomes):
        # The template raises; what runs and gives None lacks a return.
        silent = all(outcome.values is not None for outcome in outcomes)
        note = f"`{exercise.name}` gives back nothing (None): is a `return` missing?" if silent else ""
        return Report(exercise, rows, "not written", note=note, seconds=seconds)
    refused = [outcome.error or "" for outcome in outcomes if outcome.error_kind == "Withheld"]
    if refused:
        # Only names that we know are repeated: the words of an outcome are the student's.
        named = [name for name in withheld(assignment(assignment_of(exercise))) if f"{name} is" in refused[0]]
        note = f"it calls {named[0] if named else 'a function'}, which this assignment asks you to write"
        return Report(exercise, rows, "withheld", note=note, seconds=seconds)
    return Report(exercise, rows, "wrong", _recognise(exercise, cases, outcomes, rows, probe), seconds=seconds)


def not_written(exercise: Exercise, note: str = "") -> Report:
    """The report for an answer that is not there."""
    return Report(exercise, (), "not written", note=note or f"`{exercise.name}` is not defined yet")


def _row(exercise: Exercise, case: Case, outcome: Outcome, probe: Callable[..., Outcome]) -> CaseReport:
    if outcome.values is None:
        return CaseReport(case.name, False, outcome.error or "no result")
    want = probe(exercise.reference, case.calls).values if exercise.compare.needs_reference else None
    message = exercise.compare(case, outcome.values, want)
    return CaseReport(case.name, message is None, message or "")


def _unwritten(outcome: Outcome) -> bool:
    if outcome.error_kind == "NotImplementedError" and outcome.error == NOT_WRITTEN:
        return True
    return outcome.values is not None and all(value is None for value in outcome.values)


def _recognise(
    exercise: Exercise,
    cases: Sequence[Case],
    outcomes: Sequence[Outcome],
    rows: Sequence[CaseReport],
    probe: Callable[..., Outcome],
) -> str:
    """The name of the known mistake that the outcomes show, or nothing."""
    for mistake in exercise.mistakes:
        if mistake.when is not None:
            failed = [(c, o) for c, o, r in zip(cases, outcomes, rows, strict=True) if not r.passed]
            if any(o.values is not None and _says(mistake, c, o.values) for c, o in failed):
                return mistake.name
        elif all(_equal(exercise, o, probe(mistake.wrong, c.calls)) for c, o in zip(cases, outcomes, strict=True)):
            return mistake.name
    return ""


def _says(mistake: Mistake, case: Case, values: list) -> bool:
    try:
        return bool(mistake.when(case, values))
    except Exception:
        return False


def _equal(exercise: Exercise, outcome: Outcome, other: Outcome) -> bool:
    if outcome.values is None or other.values is None:
        return outcome.values is None and other.values is None and outcome.error_kind == other.error_kind
    return exercise.compare.same(outcome.values, other.values)
