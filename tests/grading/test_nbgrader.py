"""Plain ``nbgrader`` in a course folder: the same sandbox, the same judge, the same scores as ``dlcourse grade``."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbgrader.api import Gradebook

from .conftest import needs_bwrap

ROOT = Path(__file__).resolve().parents[2]
NAME = "02_backprop"
STUDENTS = ("perfect", "half-right", "tampered-check", "endless-loop")
pytestmark = [needs_bwrap, pytest.mark.sandbox, pytest.mark.slow]


def nbgrader(course: Path, *arguments: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "HOME": str(course), "JUPYTER_PREFER_ENV_PATH": "1"}
    command = [sys.executable, "-m", "nbgrader", *arguments]
    return subprocess.run(command, cwd=course, capture_output=True, text=True, env=environment, timeout=600)


@pytest.fixture(scope="module")
def course(tmp_path_factory) -> Path:
    """A course folder in which ``nbgrader generate_assignment`` and ``nbgrader autograde`` have run."""
    folder = tmp_path_factory.mktemp("course")
    shutil.copyfile(ROOT / "nbgrader_config.py", folder / "nbgrader_config.py")
    shutil.copytree(ROOT / "solutions", folder / "solutions")
    made = nbgrader(folder, "generate_assignment", NAME)
    assert made.returncode == 0, made.stderr
    for student in STUDENTS:
        shutil.copytree(ROOT / "tests" / "submissions" / NAME / student, folder / "submitted" / student)
    graded = nbgrader(folder, "autograde", NAME, "--JudgeNotebook.cpu_seconds=8")
    assert graded.returncode == 0, graded.stderr
    return folder


def test_nbgrader_makes_the_student_notebook_that_is_committed(course):
    ours = nbformat.read(ROOT / "notebooks" / "exercises" / NAME / f"{NAME}.ipynb", as_version=4)
    theirs = nbformat.read(course / "notebooks" / "exercises" / NAME / f"{NAME}.ipynb", as_version=4)
    assert [(c.id, c.source, c.metadata) for c in ours.cells] == [(c.id, c.source, c.metadata) for c in theirs.cells]


def test_the_scores_are_those_of_our_grader(course):
    expected = json.loads((ROOT / "tests" / "submissions" / f"{NAME}.expected.json").read_text(encoding="utf-8"))
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as book:
        for student in STUDENTS:
            submission = book.find_submission_notebook(NAME, NAME, student)
            points = {g.name: g.auto_score for g in submission.grades if g.auto_score is not None}
            wanted = {id.replace(".", "-").replace("_", "-"): p for id, p in expected[student]["points"].items()}
            assert {name: points[name] for name in wanted} == wanted


def test_feedback_can_be_made_and_shows_no_solution(course):
    made = nbgrader(course, "generate_feedback", NAME)
    assert made.returncode == 0, made.stderr
    page = (course / "feedback" / "half-right" / NAME / f"{NAME}.html").read_text(encoding="utf-8")
    assert "This looks like a known mistake" in page or "cases right" in page
    assert "BEGIN SOLUTION" not in page
    assert (course / ".dlcourse" / "seed").read_text().strip() not in page
