"""The students' notebooks run on Colab's stock packages, which pip leaves exactly as they were."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from .environment import PINS, ROOT, execute, uv

SOLVED = {
    path.name: next(found for found in (path / "perfect.ipynb", *path.glob("perfect/*/*.ipynb")) if found.exists())
    for path in sorted((ROOT / "tests" / "submissions").iterdir())
    if path.is_dir()
}
pytestmark = [pytest.mark.slow, pytest.mark.network]


def freeze(python: Path) -> set[str]:
    return set(uv("pip", "freeze", "--python", str(python)).stdout.splitlines())


def shown(cell: nbformat.NotebookNode) -> str:
    return "".join(o.get("text", "") or o.get("data", {}).get("text/plain", "") for o in cell.outputs)


def test_the_environment_holds_colabs_versions(colab):
    pins = {line for line in PINS.read_text().lower().splitlines() if "==" in line}
    held = {line.lower() for line in freeze(colab)}
    names = {line.split("==")[0].replace("_", "-"): line for line in held}
    for pin in pins:
        name, _, version = pin.partition("==")
        if name.replace("_", "-") in names:
            assert names[name.replace("_", "-")].endswith(f"=={version}")
    assert not any(line.startswith("dlcourse") for line in held)


@pytest.mark.parametrize("name", SOLVED)
def test_a_solved_student_notebook_runs_and_changes_nothing(name, colab, wheel, tmp_path):
    copy = tmp_path / f"{name}.ipynb"
    shutil.copyfile(SOLVED[name], copy)
    before = {line for line in freeze(colab) if not line.startswith("dlcourse")}
    notebook = execute(colab, copy, wheel)
    after = freeze(colab)
    assert {line for line in after if not line.startswith("dlcourse")} == before
    assert [line for line in after if line.startswith("dlcourse")]
    checks = [shown(cell) for cell in notebook.cells if cell.source.startswith("# check:")]
    assert len(checks) >= 5 and all(text.startswith("✓") for text in checks), checks


def test_the_set_up_cell_does_nothing_where_dlcourse_is_there():
    for path in [*ROOT.glob("notebooks/*.ipynb"), *ROOT.glob("notebooks/exercises/*/*.ipynb")]:
        (setup,) = (cell for cell in nbformat.read(path, as_version=4).cells if cell.id == "setup")
        code = "import subprocess\nsubprocess.run = lambda *a, **k: 1 / 0\n" + setup.source
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
