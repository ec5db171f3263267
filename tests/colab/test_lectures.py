"""Every lecture runs on Colab's stock packages, without data and without the repository."""

import shutil

import pytest

from .environment import ROOT, execute

pytestmark = [pytest.mark.slow, pytest.mark.network]


@pytest.mark.parametrize("path", sorted(ROOT.glob("notebooks/*.ipynb")), ids=lambda path: path.stem)
def test_a_lecture_runs(path, colab, wheel, tmp_path):
    shutil.copyfile(path, tmp_path / path.name)
    execute(colab, tmp_path / path.name, wheel)
