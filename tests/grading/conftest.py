"""A small assignment with real specifications, so that a test of the grader takes a second and not a lecture."""

from __future__ import annotations

import itertools
import json
import shutil

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from dlcourse.exercises.compare import Close
from dlcourse.exercises.spec import Case, Exercise, Mistake, case, text_exercise
from dlcourse.grading import gradebook
from dlcourse.grading.course import Assignment
from dlcourse.grading.limits import Limits

from . import postgres

SECRET_SEED = 271828


def both(x, y):
    return x @ y, x.sum()


def _cases(rng):
    shapes = [(1, 1, 1), (2, 3, 4)]
    return [case(f"{n} by {d}", rng.normal(size=(n, d)), rng.normal(size=(d, m))) for n, d, m in shapes]


BOTH = Exercise(
    id="conv.both", title="Product and sum", name="both", kind="function", points=2, reference=both, cases=_cases,
    compare=Close(), hints=("one", "two", "three"),
    mistakes=(Mistake("mean_for_sum", lambda x, y: (x @ y, x.mean()), "The second result is a sum."),),
    withhold=("scipy.signal.correlate2d", "dlcourse.conv.im2col"),
)  # fmt: skip
NUMBER = Exercise(
    id="conv.number", title="A number", name="number", kind="number", points=1, reference=12,
    cases=lambda rng: [Case("value")], compare=Close(), hints=("one", "two", "three"),
)  # fmt: skip
ESSAY = text_exercise("conv.words", "In words", points=3)


def cell(grade_id: str, source: str, kind: str = "code", **flags) -> dict:
    made = {"cell_type": kind, "id": grade_id, "source": source}
    made["metadata"] = {"nbgrader": {"grade_id": grade_id, "schema_version": 3, "task": False, **flags}}
    return made | ({"outputs": [], "execution_count": None} if kind == "code" else {})


def _template() -> dict:
    cells = [
        cell("conv-both-answer", "# exercise: conv.both\nraise NotImplementedError()", grade=False, solution=True),
        cell(
            "conv-both",
            '# check: conv.both (2 points)\ncheck("conv.both")',
            grade=True,
            solution=False,
            locked=True,
            points=2,
        ),
        cell("conv-number-answer", "# exercise: conv.number\nnumber = None", grade=False, solution=True),
        cell(
            "conv-number",
            '# check: conv.number (1 point)\ncheck("conv.number")',
            grade=True,
            solution=False,
            locked=True,
            points=1,
        ),
        cell("conv-words", "*Your answer to conv.words:*", "markdown", grade=True, solution=True, points=3),
    ]
    return {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


RIGHT = "# exercise: conv.both\ndef both(x, y):\n    return x @ y, x.sum()"


def notebook(both: str = RIGHT, number: str = "number = 12", words: str = "", extra: list[dict] | None = None) -> bytes:
    """The bytes of a submission with these sources."""
    made = _template()
    made["cells"][0]["source"], made["cells"][2]["source"] = both, number
    if words:
        made["cells"][4]["source"] = words
    made["cells"] += extra or []
    return json.dumps(made).encode()


@pytest.fixture
def assignment() -> Assignment:
    return Assignment("08_convolution", (BOTH, NUMBER, ESSAY), _template())


@pytest.fixture
def limits() -> Limits:
    return Limits(cell_seconds=30, cpu_seconds=6, total_seconds=120, start_seconds=60)


@pytest.fixture(scope="session")
def databases():
    """Makes a PostgreSQL database, empty or a copy of another, and returns its URL."""
    with postgres.server() as url:
        names = (f"gradebook{i}" for i in itertools.count())

        def make(template: str = "template1") -> str:
            name = next(names)
            engine = create_engine(url.format("postgres"), isolation_level="AUTOCOMMIT")
            with engine.connect() as connection:
                connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
            engine.dispose()
            return url.format(name)

        yield make


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request, tmp_path) -> str:
    """The address of a gradebook that is not there yet, of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'gradebook.db'}"
    return request.getfixturevalue("databases")()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory):
    """A gradebook without anything in it. nbgrader takes seconds to make one."""
    path = tmp_path_factory.mktemp("template") / "gradebook.db"
    gradebook.connect(f"sqlite:///{path}").close()
    return path


@pytest.fixture(scope="session")
def postgresql_template(databases):
    url = databases()
    gradebook.connect(url).close()
    return make_url(url).database


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path) -> str:
    """The address of a new gradebook, of each kind."""
    template = request.getfixturevalue(f"{request.param}_template")
    if request.param == "sqlite":
        return f"sqlite:///{shutil.copy(template, tmp_path / 'gradebook.db')}"
    return request.getfixturevalue("databases")(template)


needs_bwrap = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not on this machine")
