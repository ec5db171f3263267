"""The wheel and the environment, once for each file of this folder, so that the files can run side by side."""

from __future__ import annotations

from pathlib import Path

import pytest

from .environment import PINS, ROOT, stock_python, uv


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
