"""Keep an exercise's answer from being looked up: calls of withheld names raise while the answer is tried.

In the notebook this is a courtesy: it says early what the grader would say. In the grader's sandbox the withheld parts
of ``dlcourse`` are not there at all.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType
from typing import Any

_ABSENT = object()


class Withheld(RuntimeError):
    """What an exercise asks for was called instead of written."""


def refusal(name: str) -> Callable:
    """What stands in a withheld function's place."""

    def withheld(*args, **kwargs):
        raise Withheld(f"{name} is withheld here: the exercises ask you to write it")

    return withheld


def by_module(names: Iterable[str]) -> dict[str, list[str]]:
    """Dotted names as module -> attributes."""
    modules: dict[str, list[str]] = {}
    for name in names:
        module, _, attribute = name.rpartition(".")
        modules.setdefault(module, []).append(attribute)
    return modules


@contextlib.contextmanager
def withheld(names: Iterable[str]) -> Iterator[None]:
    """Within this block, calls of the named functions of modules that are imported raise ``Withheld``."""
    before: list[tuple[Any, str, Any]] = []
    try:
        for module, attributes in by_module(names).items():
            if module in sys.modules:
                before += patch(sys.modules[module], attributes)
        yield
    finally:
        for holder, attribute, value in before:
            setattr(holder, attribute, value)


def forever(names: Iterable[str]) -> None:
    """The same for the rest of this process, and for modules that are imported later."""
    modules = by_module(names)
    for module, attributes in modules.items():
        if module in sys.modules:
            patch(sys.modules[module], attributes)
    sys.meta_path.insert(0, _PatchingFinder(modules))


def patch(module: ModuleType, attributes: Iterable[str]) -> list[tuple[Any, str, Any]]:
    """Put refusals into a module; returns what was there."""
    before = []
    for attribute in attributes:
        value = getattr(module, attribute, _ABSENT)
        if value is not _ABSENT:
            before.append((module, attribute, value))
            setattr(module, attribute, refusal(f"{module.__name__}.{attribute}"))
    return before


class _PatchingFinder(importlib.abc.MetaPathFinder):
    def __init__(self, modules: dict[str, list[str]]):
        self.modules = modules
        self.busy: set[str] = set()

    def find_spec(self, fullname, path=None, target=None):
        if fullname not in self.modules or fullname in self.busy:
            return None
        self.busy.add(fullname)
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self.busy.discard(fullname)
        if spec is None or spec.loader is None:
            return None
        load, attributes = spec.loader.exec_module, self.modules[fullname]

        def exec_module(module):
            load(module)
            patch(module, attributes)

        spec.loader.exec_module = exec_module
        return spec
