"""What is said twice is said alike, and importing the package stays cheap."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import dlcourse

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    tomllib = pytest.importorskip("tomli")

REPOSITORY = Path(__file__).parent.parent
HEAVY = ("torch", "torchvision", "matplotlib")
DRAWS = {"plot"}  # the one module for figures
NETWORKS = {
    "attacks",
    "cnn",
    "denoiser",
    "explain",
    "flow",
    "gan",
    "gnn",
    "invariance",
    "resnet",
    "seq",
    "simclr",
    "tasks",
    "transfer",
    "transformer",
    "unet",
    "vae",
}  # modules that define torch.nn.Modules import torch at the top

# conda-forge's name where it is another one; None: conda-forge does not have it, so pip installs it.
CONDA_NAMES = {
    "torch": "pytorch",
    "playwright": "playwright-python",
    "torch-geometric": "pytorch_geometric",
    "graphviz": "python-graphviz",  # conda-forge's graphviz is the program
    "prdc": None,
    "sphinx-mathjax-offline": None,
}


def text(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def pyproject() -> dict:
    return tomllib.loads(text("pyproject.toml"))


@pytest.fixture(scope="module")
def citation() -> dict:
    return yaml.safe_load(text("CITATION.cff"))


@pytest.fixture(scope="module")
def environment() -> dict:
    return yaml.safe_load(text("environment.yml"))


def fresh(code: str) -> str:
    """What a new interpreter prints."""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY)
    assert process.returncode == 0, process.stderr
    return process.stdout


# Importing.


def test_import_takes_under_a_fifth_of_a_second():
    code = "import time; start = time.perf_counter(); import dlcourse; print(time.perf_counter() - start)"
    assert min(float(fresh(code)) for _ in range(5)) < 0.2


def test_import_brings_neither_torch_nor_matplotlib():
    loaded = fresh("import sys, dlcourse; print(*sys.modules)").split()
    assert "dlcourse" in loaded
    assert not set(loaded) & {*HEAVY, "numpy"}


def test_topic_modules_bring_neither_torch_nor_matplotlib():
    light = {path.stem for path in (REPOSITORY / "dlcourse").glob("[a-z]*.py")} - DRAWS - NETWORKS | {"data"}
    modules = sorted(light)
    assert "data" in modules
    code = f"""
import importlib, sys
for name in {modules}:
    importlib.import_module("dlcourse." + name)
    print(name, *({{*{HEAVY}}} & {{*sys.modules}}))
"""
    assert fresh(code).splitlines() == modules


# The same packages for pip and for conda.


def requirements(pyproject: dict) -> dict[str, Requirement]:
    """All that `pip install '.[every extra]'` asks for, by name."""
    project = pyproject["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    every = [Requirement(line) for lines in lists for line in lines]
    return {canonicalize_name(one.name): one for one in every if one.name != project["name"]}


def test_environment_names_the_packages_of_pyproject(pyproject, environment):
    wanted = requirements(pyproject)
    conda = {
        Requirement(line).name: Requirement(line).specifier
        for line in environment["dependencies"]
        if isinstance(line, str)
    }
    (by_pip,) = (line["pip"] for line in environment["dependencies"] if isinstance(line, dict))
    assert by_pip.pop() == "-e ."
    pip = {Requirement(line).name: Requirement(line).specifier for line in by_pip}

    assert conda.pop("python") == pyproject["project"]["requires-python"]
    assert not conda.pop("pip")
    assert environment["channels"] == ["conda-forge"]
    for_conda = {name: CONDA_NAMES.get(name, name) for name in wanted}
    assert conda == {for_conda[name]: one.specifier for name, one in wanted.items() if for_conda[name]}
    assert pip == {name: one.specifier for name, one in wanted.items() if not for_conda[name]}


def test_ranges_only(pyproject):
    for one in requirements(pyproject).values():
        assert {part.operator for part in one.specifier} <= {">=", "<", "!="}, f"{one} pins a version"
        assert one.specifier, f"{one.name} has no oldest version"
    assert pyproject["project"]["requires-python"] == ">=3.10"


def test_torchvision_is_no_runtime_requirement(pyproject):
    runtime = {Requirement(line).name for line in pyproject["project"]["dependencies"]}
    assert runtime == {"numpy", "scipy", "torch", "matplotlib", "scikit-learn", "tqdm", "platformdirs"}


# Versions and licences.


def test_one_version(pyproject, citation):
    assert dlcourse.__version__ == pyproject["project"]["version"] == citation["version"]


def test_one_address(pyproject, citation):
    assert citation["repository-code"] == pyproject["project"]["urls"]["repository"]


def test_one_licence_for_code_and_one_for_text(pyproject, citation):
    assert pyproject["project"]["license"] == citation["license"] == "BSD-3-Clause"
    assert text("LICENSE").startswith("BSD 3-Clause License\n\nCopyright (c) 2026, The dlcourse authors\n")
    assert len(re.findall(r"^\d\. ", text("LICENSE"), flags=re.MULTILINE)) == 3
    lines = text("LICENSE-TEXT").splitlines()
    assert lines[0] == "Attribution 4.0 International"
    assert "Creative Commons Attribution 4.0 International Public License" in lines
    assert [line for line in lines if re.match(r"Section \d -- ", line)][-1] == "Section 8 -- Interpretation."
    assert set(pyproject["project"]["license-files"]) == {"LICENSE", "LICENSE-TEXT"}
    for name in ("BSD-3-Clause", "CC-BY-4.0"):
        assert name in text("CONTRIBUTING.md")


def test_citation_has_what_the_format_requires(citation):
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors", "version", "date-released", "license"} <= set(citation)
    assert citation["authors"] == [{"name": one["name"]} for one in dlcourse_authors()]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", citation["date-released"])


def dlcourse_authors() -> list[dict]:
    return tomllib.loads(text("pyproject.toml"))["project"]["authors"]


# Before a commit.


def test_commit_hooks_fetch_nothing_and_use_tools_that_are_installed(pyproject):
    config = REPOSITORY / ".pre-commit-config.yaml"
    subprocess.run([sys.executable, "-m", "pre_commit", "validate-config", str(config)], check=True)
    (repository,) = yaml.safe_load(config.read_text(encoding="utf-8"))["repos"]
    assert repository["repo"] == "local"
    hooks = {hook["id"]: hook for hook in repository["hooks"]}
    assert {"ruff-check", "ruff-format", "nbstripout"} <= set(hooks)
    assert "--keep-id" in hooks["nbstripout"]["entry"].split()
    tools = {hook["entry"].split()[0] for hook in hooks.values() if hook["language"] == "system"}
    assert tools - {"python"} <= set(requirements(pyproject))
    assert {hook["language"] for hook in hooks.values()} <= {"system", "pygrep"}


def test_contributing_names_what_is_there():
    for name in re.findall(r"^\| `([\w./-]+)` \|", text("CONTRIBUTING.md"), flags=re.MULTILINE):
        assert (REPOSITORY / name).exists(), name
