"""What an exercise is: one object that the page shows, the notebook checks and the grader grades.

A specification holds data and pure functions only. Who runs the student's code, and where, is not its business:
``dlcourse.check`` runs it in the student's notebook, ``dlcourse.grading`` in a sandbox.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dlcourse.exercises.compare import Compare, Manual

PUBLIC_SEED = 0
KINDS = ("function", "class", "property", "trained", "number", "text")


@dataclass(frozen=True)
class Call:
    """One step on the student's object: ``method`` is ``""`` to call the object itself, ``"__init__"`` to construct
    an instance on which the later steps act, a method's name, or an attribute's name with a leading dot."""

    method: str = ""
    args: tuple = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """One test: the steps to take, and what only the judge may know (``secret``: labels, true parameters).

    Without steps the student's object itself is the answer (a number to work out).
    """

    name: str
    calls: tuple[Call, ...] = ()
    secret: Mapping[str, Any] = field(default_factory=dict)


def case(name: str, *args, secret: Mapping[str, Any] | None = None, **kwargs) -> Case:
    """The common case: call the student's function once with ``args`` and ``kwargs``."""
    return Case(name, (Call("", args, kwargs),), secret or {})


def calls(name: str, argument_lists: Iterable[Sequence], secret: Mapping[str, Any] | None = None) -> Case:
    """Call the student's function several times, for a property that relates its results."""
    return Case(name, tuple(Call("", tuple(a)) for a in argument_lists), secret or {})


def steps(name: str, init: Sequence, *then: tuple, secret: Mapping[str, Any] | None = None) -> Case:
    """Construct the student's class with ``init``, then take steps ``("method", *args)`` or ``(".attribute",)``."""
    made = [Call("__init__", tuple(init)), *(Call(method, tuple(args)) for method, *args in then)]
    return Case(name, tuple(made), secret or {})


@dataclass(frozen=True)
class Mistake:
    """A typical wrong answer and the sentence that helps.

    It is recognised where the student's results equal those of ``wrong`` in every case, or, for exercises whose
    right results are many (trained models, properties), where ``when(case, values)`` says so in a failed case.
    """

    name: str
    wrong: Any
    sentence: str
    when: Callable[[Case, list], bool] | None = None


@dataclass(frozen=True)
class Exercise:
    """A specification. Floor 2 of the design: everything about one exercise, said once.

    Attributes
    ----------
    id : topic and name, ``"conv.forward"``; the assignment's cells are found by it.
    title : what the student reads.
    name : the name that the student's notebook must define.
    kind : one of ``KINDS``.
    points : given when every case passes, else none.
    reference : the right answer: a function, a class or a value.
    cases : ``rng -> cases``, from the smallest by hand to random shapes, dtypes and edge sizes.
    compare : how results are judged.
    mistakes : wrong variants, each with the sentence that helps.
    hints : three, from a nudge to nearly the answer.
    withhold : dotted names that are not there while this exercise's assignment is checked or graded.
    difficulty, importance : 1 to 5.
    minutes : for a student who has read the lecture.
    seconds : how long all cases together may take, in the grader.
    device : ``"cuda"`` where the answer may use a GPU; the grader hands one in only then.
    """

    id: str
    title: str
    name: str
    kind: str
    points: int
    reference: Any
    cases: Callable[[np.random.Generator], Iterable[Case]]
    compare: Compare
    hints: tuple[str, str, str]
    mistakes: tuple[Mistake, ...] = ()
    withhold: tuple[str, ...] = ()
    difficulty: int = 2
    importance: int = 3
    minutes: int = 15
    seconds: float = 20.0
    device: str = "cpu"

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f"kind of {self.id} is {self.kind!r}, expected one of {', '.join(KINDS)}")
        if not (1 <= self.difficulty <= 5 and 1 <= self.importance <= 5):
            raise ValueError(f"difficulty and importance of {self.id} must lie in 1..5")
        if self.kind != "text" and len(self.hints) != 3:
            raise ValueError(f"{self.id} has {len(self.hints)} hints, expected 3")

    def __reduce__(self):
        # Between processes an exercise travels as its id: its functions need not be importable.
        from dlcourse.exercises import get

        return get, (self.id,)

    @property
    def grade_id(self) -> str:
        """The id of the exercise's cells in nbgrader, which allows letters, digits, ``-`` and ``_``."""
        return self.id.replace(".", "-").replace("_", "-")

    @property
    def manual(self) -> bool:
        return self.kind == "text"

    def label(self) -> str:
        """The line under the exercise's heading in the notebook."""
        points = "1 point" if self.points == 1 else f"{self.points} points"
        return (
            f"*difficulty {_dots(self.difficulty)} · importance {_dots(self.importance)} · "
            f"about {self.minutes} minutes · {points}*"
        )

    def make_cases(self, seed: int) -> list[Case]:
        """The cases that ``seed`` decides: the same seed gives the same bytes on every machine."""
        if self.manual:
            return []
        rng = np.random.default_rng([seed, zlib.crc32(self.id.encode())])
        made = list(self.cases(rng))
        if not made:
            raise ValueError(f"{self.id} made no cases")
        return made


def text_exercise(id: str, title: str, *, points: int, difficulty: int = 2, importance: int = 3, minutes: int = 10):
    """An answer in words, which a person grades."""
    return Exercise(
        id=id, title=title, name="", kind="text", points=points, reference=None, cases=lambda rng: (),
        compare=Manual(), hints=(), difficulty=difficulty, importance=importance, minutes=minutes,
    )  # fmt: skip


def _dots(n: int) -> str:
    return "●" * n + "○" * (5 - n)
