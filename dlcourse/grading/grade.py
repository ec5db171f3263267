"""Grade one submission: a pure function of its bytes, the assignment, the secret seed and the limits."""

from __future__ import annotations

import ast
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from dlcourse.check.judge import Report, judge, not_written
from dlcourse.check.probe import Outcome, probe
from dlcourse.check.withhold import uses
from dlcourse.exercises import PUBLIC_SEED, Exercise
from dlcourse.exercises.spec import Call
from dlcourse.grading import limits as verdicts
from dlcourse.grading import sandbox, submission, view, wire
from dlcourse.grading.course import Assignment
from dlcourse.grading.limits import Limits
from dlcourse.grading.session import CellRun, Session, SessionLost, asked

_SENTENCES = {
    verdicts.TIME: "it ran longer than allowed",
    verdicts.MEMORY: "it used more memory than allowed",
    verdicts.OUTPUT: "it printed more than allowed",
    verdicts.PROCESSES: "it started more processes than allowed",
    verdicts.CRASHED: "the Python process ended",
}


@dataclass(frozen=True)
class Entry:
    """One exercise of a result: the points, decided with the secret seed, and what the student may see of it.

    ``public`` is the report on the public cases, whose inputs the student has; the secret cases give ``verdict`` only.
    """

    exercise_id: str
    points: float
    max_points: float
    verdict: str
    note: str
    mistake: str
    public: Report


@dataclass(frozen=True)
class Result:
    """What grading a submission gives. ``refused`` is the reason where it could not be graded at all."""

    assignment: str
    digest: str
    refused: str = ""
    entries: tuple[Entry, ...] = ()
    notes: tuple[str, ...] = ()
    notebook: dict[str, Any] = field(default_factory=dict)

    @property
    def score(self) -> float:
        return sum(entry.points for entry in self.entries)

    @property
    def max_score(self) -> float:
        return sum(entry.max_points for entry in self.entries)


def grade(
    data: bytes, assignment: Assignment, seed: int, limits: Limits | None = None, *, walled: bool = True
) -> Result:
    """Grade the bytes of a submitted notebook.

    The notebook runs twice, each time in a fresh sandbox: first with the public cases, which gives the outputs and the
    explanations that the student sees; then with the secret cases, whose outputs nobody sees, which gives the points.
    """
    limits = limits or Limits()
    digest = hashlib.sha256(data).hexdigest()
    try:
        plan = submission.arrange(data, assignment, limits)
    except submission.Refused as error:
        return Result(assignment.name, digest, refused=str(error))
    shown = _Run(plan, assignment, PUBLIC_SEED, limits, walled)
    shown.go()
    graded = _Run(plan, assignment, seed, limits, walled, known=shown.stopped)
    graded.go()
    entries = [_entry(e, graded.reports[e.id], shown.reports[e.id]) for e in assignment.exercises if not e.manual]
    notebook = _executed(plan, assignment, shown)
    notes = (*plan.notes, *_attempts(plan, assignment))
    return Result(assignment.name, digest, "", tuple(entries), notes, notebook)


def room(of: Assignment, walled: bool) -> tuple:
    """What a warm parent of its submissions is made for, see ``warm.ForkServer``."""
    asks = any(exercise.device == "cuda" for exercise in of.exercises)
    return view.cached(of.withhold), of.withhold, of.imports, walled, sandbox.gpu_devices() if asks else ()


def _attempts(plan: submission.Plan, assignment: Assignment) -> list[str]:
    """A sentence for each withheld name that the student's code holds. It costs nothing: what is called is refused."""
    code = [cell["cell_type"] == "code" and not submission.is_check(cell) for cell in plan.cells]
    cells = [_python(cell["source"]) if is_code else "" for cell, is_code in zip(plan.cells, code, strict=True)]
    written = "\n".join(cell["source"] for cell in assignment.template["cells"])
    names = [name for name in assignment.withhold if name not in written]
    found: dict[str, list[str]] = {}
    for name, index, line in uses(cells, names):
        found.setdefault(name, []).append(f"line {line} of cell {index + 1}")
    return [
        f"the code names {name}, which this assignment asks you to write ({', '.join(where[:3])})"
        for name, where in found.items()
    ]


def _python(source: str) -> str:
    """A cell without its magics and shell lines, which are no Python."""
    try:
        ast.parse(source)
        return source
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        from IPython.core.inputtransformer2 import TransformerManager

        try:
            return TransformerManager().transform_cell(source)
        except Exception:  # whatever the student wrote, it is no Python
            return ""


def _entry(exercise: Exercise, secret: Report, public: Report) -> Entry:
    # Words come from the public run alone: what student code said in the secret run may hold the inputs it was given.
    if secret.verdict == public.verdict:
        note = public.note
    elif public.passed and secret.verdict == "wrong":
        note = "right on the public cases, wrong on the grader's: the answer fits only the cases that it was shown"
    else:
        note = f"{secret.verdict} on the grader's cases"
    mistake = public.mistake_name or secret.mistake_name
    return Entry(exercise.id, secret.points, exercise.points, secret.verdict, note, mistake, public)


class _Key:
    """An exercise's cases for one seed, and what our own code gives for them: worked out once, not per submission."""

    def __init__(self, exercise: Exercise, seed: int):
        self.exercise, self.cases = exercise, exercise.make_cases(seed)
        self.request = asked(exercise.name, self.cases)
        self._given: dict[tuple[int, int], Outcome] = {}

    def probe(self, obj: Any, calls: Sequence[Call]) -> Outcome:
        """``probe`` for the reference and the known mistakes, which outlive this key."""
        which = id(obj), id(calls)
        if which not in self._given:
            self._given[which] = probe(obj, calls)
        return self._given[which]


_keys: dict[tuple[int, int], _Key] = {}


def _key(exercise: Exercise, seed: int) -> _Key:
    which = id(exercise), seed
    if which not in _keys:
        if len(_keys) > 500:
            _keys.clear()
        _keys[which] = _Key(exercise, seed)
    return _keys[which]


class _Run:
    """One pass over a plan. A cell or a call that takes the kernel down costs its own exercise only: the pass goes on
    in a fresh kernel, in which the cells before it are run again."""

    def __init__(self, plan, assignment: Assignment, seed: int, limits: Limits, walled: bool, known=None):
        self.plan, self.assignment, self.seed, self.limits, self.walled = plan, assignment, seed, limits, walled
        self.deadline = time.monotonic() + limits.total_seconds
        self.runs: dict[int, CellRun] = {}
        self.reports: dict[str, Report] = {}
        # Cells that took a kernel down are not tried again.
        self.stopped: dict[int, CellRun] = dict(known or {})

    def go(self) -> None:
        while True:
            known = len(self.stopped) + len(self.reports)
            verdict = verdicts.TIME
            try:
                self._pass()
                break
            except SessionLost as lost:
                verdict = lost.verdict
            # Every lost kernel must have told something new, else it would be lost on the same thing again.
            if time.monotonic() > self.deadline or len(self.stopped) + len(self.reports) == known:
                break
        for exercise in self.assignment.exercises:
            if not exercise.manual and exercise.id not in self.reports:
                self.reports[exercise.id] = _limit(exercise, verdict)

    def _pass(self) -> None:
        *made, walled, devices = room(self.assignment, self.walled)
        with Session(*made, self.limits, self.deadline, walled, devices) as session:
            for i, cell in enumerate(self.plan.cells):
                if cell["cell_type"] == "code" and i not in self.stopped and not submission.is_check(cell):
                    self._run_cell(session, i, cell["source"])
                for exercise in self.plan.probes.get(i, ()):
                    if exercise.id not in self.reports:
                        self._probe(session, exercise)

    def _run_cell(self, session: Session, index: int, source: str) -> None:
        try:
            self.runs.setdefault(index, session.run_cell(source))
        except SessionLost as lost:
            self.stopped[index] = self.runs[index] = lost.run
            raise

    def _probe(self, session: Session, exercise: Exercise) -> None:
        key = _key(exercise, self.seed)
        try:
            seconds = min(exercise.seconds, self.limits.cell_seconds)
            outcomes = session.probe(key.request, len(key.cases), seconds)
        except SessionLost as lost:
            self.reports[exercise.id] = _limit(exercise, lost.verdict)
            raise
        except wire.BadFrame as error:
            outcomes = [Outcome(error=str(error), error_kind="BadFrame")] * len(key.cases)
        if outcomes is None:
            self.reports[exercise.id] = self._absent(exercise)
            return
        self.reports[exercise.id] = judge(exercise, key.cases, outcomes, key.probe)

    def _absent(self, exercise: Exercise) -> Report:
        index = self.plan.answers[exercise.id]
        stopped = self.stopped.get(index)
        if stopped is not None:
            return _limit(exercise, stopped.verdict)
        run = self.runs.get(index)
        if run is not None and run.error and not run.error.startswith("NotImplementedError"):
            return not_written(exercise, f"its cell stopped with {run.error}")
        return not_written(exercise)


def _limit(exercise: Exercise, verdict: str) -> Report:
    return Report(exercise, (), verdict, note=f"{verdict}: {_SENTENCES[verdict]}")


def _executed(plan: submission.Plan, assignment: Assignment, run: _Run) -> dict[str, Any]:
    """The notebook as the student would see it run, in nbformat's JSON."""
    cells = []
    by_grade_id = {exercise.grade_id: exercise.id for exercise in assignment.exercises}
    for i, cell in enumerate(plan.cells):
        cell = dict(cell)
        if cell["cell_type"] == "code":
            cell["execution_count"] = None
            done = run.runs.get(i)
            cell["outputs"] = [dict(output) for output in done.outputs] if done else []
            if done and done.verdict:
                cell["outputs"].append(_stream(f"{done.verdict}: {_SENTENCES[done.verdict]}\n"))
            if submission.is_check(cell):
                grade_id = cell["metadata"]["nbgrader"]["grade_id"]
                cell["outputs"] = [_stream(f"{run.reports[by_grade_id[grade_id]]}\n")]
        cells.append(cell)
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def _stream(text: str) -> dict[str, Any]:
    return {"output_type": "stream", "name": "stdout", "text": text}
