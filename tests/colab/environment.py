"""A fresh environment with Colab's versions and nothing of ours, and a notebook that runs there.

The notebook, copied out of the repository, installs the wheel that this repository builds.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
PINS = Path(__file__).with_name("versions.txt")


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


def execute(python: Path, path: Path, wheel: Path) -> nbformat.NotebookNode:
    """Run a notebook with that Python's kernel, in the notebook's own folder."""
    manager = AsyncKernelManager()
    manager._kernel_spec = KernelSpec(argv=[str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"])
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "DLCOURSE_DATA")}
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, km=manager, timeout=300, resources={"metadata": {"path": str(path.parent)}})
    environment = {**kept, "DLCOURSE_SOURCE": str(wheel), "DLCOURSE_DATA": str(path.parent / "data")}
    client.execute(cleanup_kc=True, env=environment)  # else the kernel would stay, as the manager is ours
    return notebook
