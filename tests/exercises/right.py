"""The right answers of every assignment, and how they fare under many seeds.

Used by the tests, and by ``benchmarks/false_fail.py`` for the long run whose numbers stand on the results page.
"""

from __future__ import annotations

import functools
import importlib
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dlcourse import exercises
from dlcourse.check.probe import Outcome, probe
from dlcourse.exercises.compare import AtLeast, Close
from dlcourse.exercises.plain import plain
from dlcourse.exercises.spec import Call, Case, Exercise

from .notebooks import answers, notebook

CHECKED = tuple(e for name in exercises.ASSIGNMENTS for e in exercises.assignment(name) if not e.manual)


@functools.cache
def alternatives(topic: str) -> Any:
    """The module ``alternatives_TOPIC``; every assignment needs one."""
    return importlib.import_module(f"{__package__}.alternatives_{topic}")


@functools.cache
def _official(assignment: str) -> dict[str, Any]:
    return answers(notebook(assignment))


def right_answers(exercise: Exercise) -> dict[str, Any]:
    """Name -> answer: the official one of the notebook, then the alternatives."""
    topic = exercise.id.partition(".")[0]
    found = {"official": _official(exercises.assignment_of(exercise))[exercise.name]}
    for answer in alternatives(topic).ALTERNATIVES[exercise.id]:
        found[getattr(answer, "__name__", f"{type(answer).__name__} {answer}")] = answer
    return found


def wrong_answers(exercise: Exercise) -> dict[str, Any]:
    """Name -> answer: the listed mistakes, and wrong answers that are none of them."""
    topic = exercise.id.partition(".")[0]
    found = {f"mistake {mistake.name}": mistake.wrong for mistake in exercise.mistakes}
    for answer in alternatives(topic).WRONG[exercise.id]:
        found[getattr(answer, "__name__", f"{type(answer).__name__} {answer}")] = answer
    return found


class Round:
    """An exercise's cases under one seed. What the reference and the known mistakes give is computed once."""

    def __init__(self, exercise: Exercise, seed: int):
        self.exercise, self.seed, self.cases = exercise, seed, exercise.make_cases(seed)
        self._known: dict[tuple[int, int], Outcome] = {}

    def probe(self, answer: Any, calls: Sequence[Call]) -> Outcome:
        key = id(answer), id(calls)
        if key not in self._known:
            self._known[key] = probe(answer, calls)
        return self._known[key]

    def outcomes(self, answer: Any) -> list[Outcome]:
        return [probe(answer, case.calls) for case in self.cases]

    def says(self, outcomes: Iterable[Outcome]) -> str | None:
        """What the first failed case says; ``None`` for a right answer. Looks for no mistake, so it is fast."""
        for case, outcome in zip(self.cases, outcomes, strict=True):
            if outcome.values is None:
                return outcome.error or "no result"
            said = self.exercise.compare(case, outcome.values, self.want(case))
            if said is not None:
                return f"{case.name}: {said}"
        return None

    def want(self, case: Case) -> list | None:
        compare = self.exercise.compare
        return self.probe(self.exercise.reference, case.calls).values if compare.needs_reference else None


@dataclass
class Tally:
    """How the right answers of an exercise fared."""

    exercise: Exercise
    gradings: int = 0
    runs: int = 0
    strain: float = 0.0
    worst: float = float("inf")
    worst_run: float = float("inf")
    failures: tuple[str, ...] = ()

    def add(self, round: Round, name: str, outcomes: Sequence[Outcome]) -> None:
        """Count one grading; a failure is remembered in words."""
        self.gradings += 1
        compare, said = self.exercise.compare, None
        if isinstance(compare, Close) and all(outcome.values is not None for outcome in outcomes):
            used = max(compare.strain(o.values, round.want(c)) for c, o in zip(round.cases, outcomes, strict=True))
            said = round.says(outcomes) if used > 1 else None
            self.strain = max(self.strain, used)
        else:
            said = round.says(outcomes)
        if said is not None:
            self.failures += (f"{self.exercise.id}, {name}, seed {round.seed}, {said}",)
        elif isinstance(compare, AtLeast):
            for case, outcome in zip(round.cases, outcomes, strict=True):
                self.runs += len(outcome.values)
                self.worst = min(self.worst, compare.score(case, outcome.values))
                self.worst_run = min(self.worst_run, *(compare.score(case, [value]) for value in outcome.values))

    def merged(self, other: Tally) -> Tally:
        """Both counts as one."""
        return Tally(
            self.exercise,
            self.gradings + other.gradings,
            self.runs + other.runs,
            max(self.strain, other.strain),
            min(self.worst, other.worst),
            min(self.worst_run, other.worst_run),
            self.failures + other.failures,
        )


def tally(exercise: Exercise, seeds: Iterable[int], seconds: float = float("inf"), least: int = 0) -> Tally:
    """All right answers of an exercise under every seed; of more than ``least``, those that fit into ``seconds`` of
    processor time."""
    counted, listed = Tally(exercise), right_answers(exercise)
    start = time.process_time()
    for number, seed in enumerate(seeds):
        if number >= least and time.process_time() - start > seconds:
            break
        round = Round(exercise, seed)
        for name, answer in listed.items():
            counted.add(round, name, round.outcomes(answer))
    return counted


def reformed(outcomes: Sequence[Outcome], form: Any) -> Iterator[Outcome]:
    """The same outcomes with their results in another form."""
    for outcome in outcomes:
        values = outcome.values
        yield outcome if values is None else Outcome(values=[plain(form(value)) for value in values])
