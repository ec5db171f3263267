"""What is generated equals what is committed, and every notebook is kept as notebooks are kept here."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from dlcourse.exercises import ASSIGNMENTS, assignment
from dlcourse.grading import release

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted([*ROOT.glob("notebooks/**/*.ipynb"), *ROOT.glob("solutions/**/*.ipynb")])
names = pytest.mark.parametrize("name", ASSIGNMENTS)
notebooks = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: str(path.relative_to(ROOT)))


@names
def test_the_student_notebook_is_what_the_source_gives(name):
    committed = (ROOT / "notebooks" / "exercises" / name / f"{name}.ipynb").read_text(encoding="utf-8")
    assert committed == release.student_notebook(ROOT, name), "run `dlcourse release`"


@names
def test_the_student_notebook_holds_no_solution(name):
    text = (ROOT / "notebooks" / "exercises" / name / f"{name}.ipynb").read_text(encoding="utf-8")
    assert "BEGIN SOLUTION" not in text and "BEGIN HIDDEN" not in text
    cells = {c["metadata"].get("nbgrader", {}).get("grade_id"): c for c in json.loads(text)["cells"]}
    for exercise in assignment(name):
        if not exercise.manual:
            assert "YOUR CODE HERE" in "".join(cells[f"{exercise.grade_id}-answer"]["source"])


@names
def test_points_in_the_notebook_are_those_of_the_specification(name):
    tree = json.loads((ROOT / "solutions" / name / f"{name}.ipynb").read_text(encoding="utf-8"))
    graded = [c["metadata"]["nbgrader"] for c in tree["cells"] if c["metadata"].get("nbgrader", {}).get("grade")]
    assert {g["grade_id"]: g["points"] for g in graded} == {e.grade_id: e.points for e in assignment(name)}


def test_the_sample_submissions_are_up_to_date():
    done = subprocess.run(
        [sys.executable, "tools/make_samples.py", "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@notebooks
def test_a_set_up_cell_is_ours(path):
    (setup,) = (cell for cell in nbformat.read(path, as_version=4).cells if cell.id == release.SETUP_ID)
    assert setup.source == release.setup_source(ROOT, setup.source), "run `dlcourse release`"


@notebooks
def test_a_notebook_is_kept_without_outputs_and_with_readable_ids(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata.kernelspec.name == "python3"
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids) and all(re.fullmatch(r"[a-z][a-z0-9-]*", id) for id in ids)
    assert not any(re.fullmatch(r"[0-9a-f]{8}", id) for id in ids)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None


@pytest.mark.parametrize("path", sorted(ROOT.glob("notebooks/*.ipynb")), ids=lambda path: path.stem)
def test_a_lecture_links_to_its_exercises_in_colab_and_here(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("https://colab.research.google.com/") == text.count(release.colab_url(ROOT)) > 0
    assert f"(exercises/{path.stem}/{path.name})" in text


@pytest.mark.parametrize("path", sorted(ROOT.glob("notebooks/*.ipynb")), ids=lambda path: path.stem)
def test_a_lectures_cells_are_short(path):
    cells = nbformat.read(path, as_version=4).cells
    long = {cell.id: cell.source.count("\n") + 1 for cell in cells if cell.cell_type == "code"}
    assert {id: n for id, n in long.items() if n > 15} == {}
