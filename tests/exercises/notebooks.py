"""The assignments' notebooks: with the solutions, as the student gets them, and what their cells define."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest

SOLUTIONS = Path(__file__).parents[2] / "solutions"


def notebook(assignment: str) -> nbformat.NotebookNode:
    """The assignment's source notebook, with solutions."""
    return nbformat.read(SOLUTIONS / assignment / f"{assignment}.ipynb", as_version=4)


def template(assignment: str) -> nbformat.NotebookNode:
    """What the student gets: the solutions are taken out."""
    release = pytest.importorskip("dlcourse.grading.release")
    return nbformat.reads(release.student_notebook(SOLUTIONS.parent, assignment), as_version=4)


def grade_info(cell: nbformat.NotebookNode) -> dict:
    return cell.metadata.get("nbgrader", {})


def answers(nb: nbformat.NotebookNode) -> dict[str, Any]:
    """What the set-up cell and the answer cells define. A cell that is not written yet raises and is passed over."""
    names: dict[str, Any] = {"__name__": "student"}
    for cell in nb.cells:
        info = grade_info(cell)
        if cell.cell_type == "code" and not (info and info["grade"]):
            try:
                exec(compile(cell.source, f"<{cell.id}>", "exec"), names)
            except NotImplementedError:
                continue
    return names
