"""Make the students' notebooks from the instructors' sources, with nbgrader's own preprocessors."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
from nbgrader.preprocessors import (
    ClearHiddenTests,
    ClearMarkScheme,
    ClearOutput,
    ClearSolutions,
    ComputeChecksums,
    LockCells,
)
from traitlets.config import Config

from dlcourse.exercises import ASSIGNMENTS
from dlcourse.grading.course import CourseError, write_whole
from dlcourse.grading.nbgrader_steps import KeepRunning

SETUP_ID = "setup"
_STEPS = (LockCells, ClearSolutions, KeepRunning, ClearOutput, ClearHiddenTests, ClearMarkScheme, ComputeChecksums)
_URL = re.compile(r'^repository = "([^"]+)"', re.MULTILINE)
_COLAB = re.compile(r"https://colab\.research\.google\.com/github/[^/\s]+/[^/\s]+/blob/main/")
_SETUP = """\
# Set-up: on Colab this installs dlcourse and nothing that is there already; elsewhere it does nothing.
import importlib.util
import os
import subprocess
import sys

for module in ("dlcourse", "numpy", "torch", "matplotlib", "sklearn", "tqdm", "platformdirs"):
    if importlib.util.find_spec(module) is None:
        source = os.environ.get("DLCOURSE_SOURCE", "git+{url}")
        wanted = {{"dlcourse": ["--no-deps", source], "sklearn": ["scikit-learn"]}}.get(module, [module])
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", *wanted], check=True)
"""


def repository_url(root: Path) -> str:
    """The repository's address, from its one place: ``[project.urls]`` of pyproject.toml."""
    found = _URL.search((root / "pyproject.toml").read_text(encoding="utf-8"))
    if not found:
        raise CourseError(f"{root / 'pyproject.toml'} has no repository under [project.urls]")
    return found.group(1)


def student_notebook(root: Path, name: str) -> str:
    """The student version of ``solutions/<name>/<name>.ipynb`` as text: the same source, the same bytes."""
    path = root / "solutions" / name / f"{name}.ipynb"
    if not path.is_file():
        raise CourseError(f"{path} is not there; known assignments: {', '.join(ASSIGNMENTS)}")
    notebook = nbformat.read(path, as_version=4)
    resources: dict = {}
    config = Config()
    for step in _STEPS:
        notebook, resources = step(config=config).preprocess(notebook, resources)
    return _text(notebook)


def release(root: Path, names: list[str] | None = None) -> list[Path]:
    """Write the student notebooks, and the set-up cell and the repository's address wherever they stand."""
    written = []
    for path in [*sorted(root.glob("notebooks/*.ipynb")), *sorted(root.glob("solutions/*/*.ipynb"))]:
        _refresh(path, root)
    for name in names or list(ASSIGNMENTS):
        target = root / "notebooks" / "exercises" / name / f"{name}.ipynb"
        text = student_notebook(root, name)
        _replace(target, text)
        written.append(target)
    config = root / "_config.yml"
    if config.is_file():
        text = config.read_text(encoding="utf-8")
        _replace(config, re.sub(r"(?m)^(  url\s*:\s*)\S+", rf"\g<1>{repository_url(root)}", text))
    return written


def setup_source(root: Path, source: str) -> str:
    """The set-up cell, the notebook's own imports kept."""
    setup = _SETUP.format(url=repository_url(root))
    own = [line for line in source.splitlines() if re.match(r"(import|from) ", line) and line not in setup]
    return (setup + "\n" + "\n".join(own)).strip()


def colab_url(root: Path) -> str:
    """Where Colab opens the repository's files."""
    return (
        repository_url(root).replace("https://github.com/", "https://colab.research.google.com/github/") + "/blob/main/"
    )


def _refresh(path: Path, root: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.get("id") == SETUP_ID:
            cell.source = setup_source(root, cell.source)
        elif cell.cell_type == "markdown":
            cell.source = _COLAB.sub(colab_url(root), cell.source)
    _replace(path, _text(notebook))


def _text(notebook: nbformat.NotebookNode) -> str:
    return nbformat.writes(notebook, version=4).rstrip("\n") + "\n"


def _replace(path: Path, text: str) -> None:
    """Write ``text`` unless it is there already."""
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_whole(path, text)
