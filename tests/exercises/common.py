"""What every assignment's exercises must keep to; a topic's tests inherit ``Contract`` and name the assignment.

    from . import alternatives_conv
    from .common import Contract

    class TestConv(Contract):
        assignment = "08_convolution"
        alternatives = alternatives_conv   # ALTERNATIVES and WRONG: {exercise id: [answers]}

``ALTERNATIVES`` are right answers written another way, ``WRONG`` are wrong answers that are no listed mistake.
The official answers and the template come from the assignment's notebook, so the notebook itself is tested.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import importlib
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any, ClassVar

import nbformat
import numpy as np
import pytest

from dlcourse import exercises
from dlcourse.check.judge import Report, judge, not_written
from dlcourse.check.probe import Outcome, probe
from dlcourse.check.withhold import forever
from dlcourse.exercises.spec import PUBLIC_SEED, Case, Exercise

from .no_false_fail import NoFalseFail, manners
from .notebooks import answers, grade_info, notebook, template

SEEDS = (PUBLIC_SEED, 1, 20260, 987654321)


# --- Reports and answers ----------------------------------------------------------------------------------


def report(exercise: Exercise, answer: Any, seed: int = PUBLIC_SEED) -> Report:
    """What the check says of an answer; ``None`` is an answer that is not there."""
    if answer is None:
        return not_written(exercise)
    cases = exercise.make_cases(seed)
    return judge(exercise, cases, [probe(answer, case.calls) for case in cases])


@functools.cache
def _answers(source: Callable[[str], nbformat.NotebookNode], assignment: str) -> dict[str, Any]:
    return answers(source(assignment))


def named(dotted: str) -> Any:
    """What a dotted name stands for: a module's attribute, or that of a class or a table of operators in it."""
    parts = dotted.split(".")
    for length in range(len(parts) - 1, 0, -1):
        with contextlib.suppress(ModuleNotFoundError):
            value = importlib.import_module(".".join(parts[:length]))
            return functools.reduce(getattr, parts[length:], value)
    raise ModuleNotFoundError(dotted)


@functools.cache
def outcomes_in_the_grader(assignment: str) -> dict[str, dict[str, list[Outcome]]]:
    """Exercise -> right answer -> outcomes of the public cases, where everything is withheld as in the grader.

    In a process of its own, since what is withheld for good does not come back.
    """
    code = (
        f"import sys; sys.path[:] = {sys.path!r}\n"
        f"from {__package__}.common import _withhold_and_probe; _withhold_and_probe({assignment!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr.decode()
    return pickle.loads(done.stdout)


def _withhold_and_probe(assignment: str) -> None:
    checked = [e for e in exercises.assignment(assignment) if not e.manual]
    # The judge makes the cases, and may use what the students may not.
    cases = {e.id: e.make_cases(PUBLIC_SEED) for e in checked}
    forever(exercises.withheld(checked))
    others = importlib.import_module(f"{__package__}.alternatives_{exercises.ASSIGNMENTS[assignment]}").ALTERNATIVES
    solved, found = answers(notebook(assignment)), {}
    for e in checked:
        listed = [("official", solved[e.name]), *((str(answer), answer) for answer in others[e.id])]
        found[e.id] = {name: [probe(answer, case.calls) for case in cases[e.id]] for name, answer in listed}
    sys.stdout.buffer.write(pickle.dumps(found))


def fingerprint(value: Any) -> str:
    """The same for the same bytes: of cases, calls and what they hold."""
    digest = hashlib.sha256()

    def add(v: Any) -> None:
        if isinstance(v, np.ndarray):
            digest.update(f"array {v.dtype.str} {v.shape}".encode() + np.ascontiguousarray(v).tobytes())
        elif isinstance(v, list | tuple):
            digest.update(f"{type(v).__name__} {len(v)}".encode())
            for part in v:
                add(part)
        elif isinstance(v, dict):
            add(list(v.items()))
        elif isinstance(v, Case):
            add([v.name, [(c.method, c.args, dict(c.kwargs)) for c in v.calls], dict(v.secret)])
        else:
            digest.update(f"{type(v).__name__} {v!r}".encode())

    add(value)
    return digest.hexdigest()


def is_data(value: Any) -> bool:
    """Whether a value may cross the wall between judge and student: no callables, no objects."""
    if isinstance(value, list | tuple):
        return all(is_data(v) for v in value)
    if isinstance(value, dict):
        return all(isinstance(k, str) and is_data(v) for k, v in value.items())
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "fiub"
    return value is None or isinstance(value, bool | int | float | str)


# --- The contract -------------------------------------------------------------------------------------------------


class Contract(NoFalseFail):
    """Inherit in a class ``Test...``; pytest then runs every test below for every exercise of the assignment."""

    assignment: ClassVar[str]
    alternatives: ClassVar[ModuleType]
    seeds: ClassVar[tuple[int, ...]] = SEEDS

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        every = exercises.assignment(self.assignment)
        checked = [e for e in every if not e.manual]
        wanted = set(metafunc.fixturenames)
        if "mistake" in wanted:
            params = [pytest.param(e, m, id=f"{e.id}-{m.name}") for e in checked for m in e.mistakes]
            metafunc.parametrize("exercise, mistake", params)
        elif "alternative" in wanted:
            metafunc.parametrize("exercise, alternative", self._listed(self.alternatives.ALTERNATIVES))
        elif "manner" in wanted:
            params = [pytest.param(e, manner, id=f"{e.id}-{manner}") for e in checked for manner in manners(e)]
            metafunc.parametrize("exercise, manner", params)
        elif "wrong" in wanted:
            metafunc.parametrize("exercise, wrong", self._listed(self.alternatives.WRONG))
        elif "any_exercise" in wanted:
            metafunc.parametrize("any_exercise", [pytest.param(e, id=e.id) for e in every])
        elif "exercise" in wanted:
            metafunc.parametrize("exercise", [pytest.param(e, id=e.id) for e in checked])
        if "seed" in wanted:
            metafunc.parametrize("seed", self.seeds)

    @staticmethod
    def _listed(table: dict[str, list]) -> list:
        return [
            pytest.param(exercises.get(id), answer, id=f"{id}-{getattr(answer, '__name__', answer)}")
            for id, listed in table.items()
            for answer in listed
        ]

    @pytest.fixture
    def solved(self) -> dict[str, Any]:
        return _answers(notebook, self.assignment)

    @pytest.fixture
    def empty(self) -> dict[str, Any]:
        return _answers(template, self.assignment)

    # The answers

    def test_official_solution_scores_full(self, exercise, seed, solved):
        assert report(exercise, solved[exercise.name], seed).points == exercise.points

    def test_reference_scores_full(self, exercise, seed):
        assert report(exercise, exercise.reference, seed).passed

    def test_alternative_scores_full(self, exercise, alternative, seed):
        found = report(exercise, alternative, seed)
        assert found.points == exercise.points, str(found)

    def test_right_answers_need_nothing_that_is_withheld(self, exercise):
        cases = exercise.make_cases(PUBLIC_SEED)
        for name, outcomes in outcomes_in_the_grader(self.assignment)[exercise.id].items():
            found = judge(exercise, cases, outcomes)
            assert found.passed, f"{name}\n{found}"

    def test_withheld_names_exist(self, exercise):
        for name in exercise.withhold:
            assert named(name) is not None, name

    def test_every_exercise_has_two_alternatives(self, exercise):
        assert len(self.alternatives.ALTERNATIVES[exercise.id]) >= 2 or exercise.kind == "number"

    def test_mistake_fails_and_is_recognised(self, exercise, mistake, seed):
        found = report(exercise, mistake.wrong, seed)
        assert found.points == 0
        assert found.mistake is not None, str(found)
        assert found.mistake.name == mistake.name

    def test_report_on_a_number_does_not_name_it(self, exercise):
        if exercise.kind == "number":
            assert str(exercise.reference) not in str(report(exercise, exercise.reference + 1))

    def test_every_exercise_has_two_mistakes(self, exercise):
        assert len({m.name for m in exercise.mistakes}) >= 2

    def test_wrong_answer_fails(self, exercise, wrong, seed):
        assert report(exercise, wrong, seed).points == 0

    def test_empty_template_scores_nothing(self, exercise, empty):
        found = report(exercise, empty.get(exercise.name))
        assert (found.points, found.verdict) == (0, "not written")

    def test_none_and_junk_score_nothing(self, exercise):
        for junk in (lambda *a, **k: None, lambda *a, **k: "text", lambda *a, **k: float("nan"), 0, "text"):
            assert report(exercise, junk).points == 0

    # The cases

    def test_cases_depend_on_the_seed_alone(self, exercise):
        first, again, other = (exercise.make_cases(seed) for seed in (5, 5, 6))
        assert fingerprint(first) == fingerprint(again)
        if any(case.calls for case in first):
            assert fingerprint(first) != fingerprint(other)

    def test_cases_are_data_and_have_names(self, exercise):
        cases = exercise.make_cases(PUBLIC_SEED)
        assert len({case.name for case in cases}) == len(cases)
        for case in cases:
            for call in case.calls:
                assert is_data(call.args), case.name
                assert is_data(dict(call.kwargs)), case.name

    def test_reference_is_fast(self, exercise):
        cases = exercise.make_cases(PUBLIC_SEED)
        start = time.process_time()
        for case in cases:
            probe(exercise.reference, case.calls)
        assert time.process_time() - start < (2.0 if exercise.kind == "trained" else 1.0)

    # The notebook

    def test_notebook_has_the_exercises_cells(self, any_exercise):
        nb = notebook(self.assignment)
        cells = {cell.id: cell for cell in nb.cells}
        name, manual = any_exercise.grade_id, any_exercise.manual
        question, answer = cells[f"{name}-question"], cells[f"{name}-answer"]
        lines = question.source.splitlines()
        number = [e.id for e in exercises.assignment(self.assignment)].index(any_exercise.id) + 1
        assert lines[0] == f"## {number}. {any_exercise.title}"
        assert any_exercise.label() in lines
        common = {"schema_version": 3, "task": False}
        if manual:
            assert grade_info(answer) == {
                **common, "grade": True, "solution": True, "locked": False, "grade_id": name,
                "points": any_exercise.points,
            }  # fmt: skip
            assert answer.cell_type == "markdown"
            assert answer.source.startswith(f"*Your answer to {any_exercise.id}:*\n")
            return
        assert grade_info(answer) == {
            **common, "grade": False, "solution": True, "locked": False, "grade_id": f"{name}-answer",
        }  # fmt: skip
        assert answer.source.startswith(f"# exercise: {any_exercise.id}\n")
        check = cells[f"{name}-check"]
        assert grade_info(check) == {
            **common, "grade": True, "solution": False, "locked": True, "grade_id": name,
            "points": any_exercise.points,
        }  # fmt: skip
        points = "1 point" if any_exercise.points == 1 else f"{any_exercise.points} points"
        assert check.source == f'# check: {any_exercise.id} ({points})\ncheck("{any_exercise.id}")'

    def test_notebook_has_each_cell_once_in_order(self):
        nb = notebook(self.assignment)
        nbformat.validate(nb)
        assert (nb.nbformat, nb.nbformat_minor) == (4, 5)
        assert nb.metadata.kernelspec.name == "python3"
        assert len({cell.id for cell in nb.cells}) == len(nb.cells)
        graded = [grade_info(c)["grade_id"] for c in nb.cells if grade_info(c).get("grade")]
        assert graded == [e.grade_id for e in exercises.assignment(self.assignment)]

    def test_notebook_holds_no_outputs(self):
        code = [cell for cell in notebook(self.assignment).cells if cell.cell_type == "code"]
        assert code[0].id == "setup"
        assert not any(cell.outputs or cell.execution_count for cell in code)

    def test_template_shows_no_solution(self, any_exercise):
        pytest.importorskip("nbgrader")
        cells = {cell.id: cell for cell in template(self.assignment).cells}
        left = cells[f"{any_exercise.grade_id}-answer"].source
        assert "SOLUTION" not in left
        if any_exercise.manual:
            assert left.endswith("YOUR ANSWER HERE")
        else:
            assert "YOUR CODE HERE" in left
            assert ("    raise NotImplementedError()" in left) == (any_exercise.kind != "number")
            ast.parse(left)

    def test_hints_are_three_and_differ(self, exercise):
        assert len(set(exercise.hints)) == 3
        assert all(len(hint) > 20 for hint in exercise.hints)
