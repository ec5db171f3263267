"""The notebooks run where students run them: on Colab's stock packages, which pip leaves exactly as they were.

A fresh environment with Colab's versions and nothing of ours; the notebook, copied out of the repository, installs the
wheel that this repository builds.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
PINS = ROOT / "tests" / "colab_versions.txt"
SOLVED = {
    path.name: next(found for found in (path / "perfect.ipynb", *path.glob("perfect/*/*.ipynb")) if found.exists())
    for path in sorted((ROOT / "tests" / "submissions").iterdir())
    if path.is_dir()
}
pytestmark = [pytest.mark.slow, pytest.mark.network]


def uv(*arguments: str, check: bool = True) -> subprocess.CompletedProcess:
    environment = {**os.environ, "UV_PYTHON_DOWNLOADS": "never", "UV_SYSTEM_CERTS": "1", "UV_NATIVE_TLS": "1"}
    command = [sys.executable, "-m", "uv", *arguments]
    return subprocess.run(command, check=check, capture_output=True, text=True, env=environment, timeout=900)


def stock_python() -> str:
    """A Python of Colab's version, on the path or of pyenv's; else the one that runs this."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for python in ["python3.13", *map(str, sorted(pyenv.glob("versions/3.13*/bin/python")))]:
        if shutil.which(python) and not subprocess.run([python, "-c", "import ssl"], capture_output=True).returncode:
            return shutil.which(python)
    return sys.executable


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    uv("build", "--wheel", "--out-dir", str(folder), str(ROOT))
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def colab(tmp_path_factory) -> Path:
    """The Python of an environment with Colab's packages; of Colab's version where this machine has that."""
    folder = tmp_path_factory.mktemp("colab") / "env"
    uv("venv", "--seed", "--python", stock_python(), str(folder))
    python = folder / "bin" / "python"
    wanted = (
        "numpy",
        "torch",
        "torchvision",
        "matplotlib",
        "scipy",
        "scikit-learn",
        "gymnasium",
        "tqdm",
        "platformdirs",
        "ipykernel",
        "ipython",
    )
    uv("pip", "install", "--python", str(python), "--constraint", str(PINS), *wanted)
    return python


def freeze(python: Path) -> set[str]:
    return set(uv("pip", "freeze", "--python", str(python)).stdout.splitlines())


def execute(python: Path, path: Path, wheel: Path) -> nbformat.NotebookNode:
    """Run a notebook with that Python's kernel, in the notebook's own folder."""
    manager = AsyncKernelManager()
    manager._kernel_spec = KernelSpec(argv=[str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"])
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "DLCOURSE_DATA")}
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, km=manager, timeout=300, resources={"metadata": {"path": str(path.parent)}})
    client.execute(env={**kept, "DLCOURSE_SOURCE": str(wheel), "DLCOURSE_DATA": str(path.parent / "data")})
    return notebook


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


@pytest.mark.parametrize("path", sorted(ROOT.glob("notebooks/*.ipynb")), ids=lambda path: path.stem)
def test_a_lecture_runs(path, colab, wheel, tmp_path):
    shutil.copyfile(path, tmp_path / path.name)
    execute(colab, tmp_path / path.name, wheel)


def test_the_set_up_cell_does_nothing_where_dlcourse_is_there():
    for path in [*ROOT.glob("notebooks/*.ipynb"), *ROOT.glob("notebooks/exercises/*/*.ipynb")]:
        (setup,) = (cell for cell in nbformat.read(path, as_version=4).cells if cell.id == "setup")
        code = "import subprocess\nsubprocess.run = lambda *a, **k: 1 / 0\n" + setup.source
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
