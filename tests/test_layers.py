"""Arrows point down only: grading -> check -> exercises -> topics (design of the package)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import dlcourse

PACKAGE = Path(__file__).resolve().parent.parent / "dlcourse"
FLOORS = ("exercises", "check", "grading")
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def floor(parts: tuple[str, ...]) -> int:
    """0 for a topic, 1 to 3 for the floors above, 4 for the front door."""
    if parts[0] == "cli":
        return 4
    return FLOORS.index(parts[0]) + 1 if parts[0] in FLOORS else 0


def imported(path: Path) -> set[tuple[str, ...]]:
    """The modules of the package that a file imports, anywhere in it, as parts below ``dlcourse``."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path.name} imports relatively"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        found |= {tuple(name.split(".")[1:]) for name in names if name.split(".")[0] == "dlcourse"}
    return {parts for parts in found if parts}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_no_floor_above_its_own(path):
    own = floor(path.relative_to(PACKAGE).with_suffix("").parts)
    above = {".".join(parts) for parts in imported(path) if floor(parts) > own}
    assert not above


def test_every_topic_is_an_attribute_of_the_package():
    topics = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "arrays", "cli"}
    assert topics <= set(dlcourse.__all__)
