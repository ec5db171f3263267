"""Keep an exercise's answer from being looked up: calls of withheld names raise while the answer is tried.

In the notebook this is a courtesy: it says early what the grader would say. In the grader's sandbox the withheld parts
of ``dlcourse`` are not there at all.
"""

from __future__ import annotations

import ast
import contextlib
import importlib.abc
import importlib.util
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType
from typing import Any

_ABSENT = object()
_OPERATORS = "torch.ops.aten"
_kept: list[Any] = []  # an operator is refused as long as its library lives


class Withheld(RuntimeError):
    """What an exercise asks for was called instead of written."""


def refusal(name: str) -> Callable:
    """What stands in a withheld function's place."""

    def withheld(*args, **kwargs):
        raise Withheld(f"{name} is withheld here: the exercises ask you to write it")

    return withheld


def stand_in(name: str, value: Any) -> Any:
    """What stands in the place of a withheld function or class.

    In a class's place stands a class that cannot be instantiated: other parts of the library, which are imported
    whenever they are first used, inherit from it and ask ``isinstance``.
    """
    refuse = refusal(name)
    if not isinstance(value, type):
        return refuse
    return type(value.__name__, (), {"__new__": refuse, "__module__": value.__module__, "__doc__": value.__doc__})


def by_module(names: Iterable[str]) -> dict[str, list[str]]:
    """Dotted names as module -> attributes."""
    modules: dict[str, list[str]] = {}
    for name in names:
        module, _, attribute = name.rpartition(".")
        modules.setdefault(module, []).append(attribute)
    return modules


@contextlib.contextmanager
def withheld(names: Iterable[str], *namespaces: dict[str, Any]) -> Iterator[None]:
    """Within this block, calls of the named functions raise ``Withheld``: as attributes of modules, of those too that
    are first imported in it, and as what ``from module import name`` has put into ``namespaces``."""
    modules = by_module(names)
    before: list[tuple[Any, str, Any]] = []

    def loaded(name: str) -> None:
        before.extend(patch(sys.modules[name], modules.get(name, ())))

    finder = _PatchingFinder(modules, loaded)
    taken: list[tuple[dict[str, Any], str, Any]] = []
    try:
        for module in modules:
            if module in sys.modules:
                loaded(module)
        refusals = {id(value): getattr(holder, name) for holder, name, value in before if callable(value)}
        for space in namespaces:
            for name, value in list(space.items()):
                if id(value) in refusals:
                    taken.append((space, name, value))
                    space[name] = refusals[id(value)]
        sys.meta_path.insert(0, finder)
        yield
    finally:
        if finder in sys.meta_path:
            sys.meta_path.remove(finder)
        for space, name, value in taken:
            space[name] = value
        for holder, attribute, value in reversed(before):
            setattr(holder, attribute, value)


def forever(names: Iterable[str]) -> None:
    """The same for the rest of this process, under every name that the functions' own library knows them by, and for
    modules that are imported later."""
    modules = by_module(names)
    for module in modules:
        if module in sys.modules:
            _withhold_of(module, modules)
    if "torch" in sys.modules:
        _withhold_of("torch", modules)
    sys.meta_path.insert(0, _PatchingFinder(modules, lambda name: _withhold_of(name, modules)))


def _withhold_of(name: str, modules: dict[str, list[str]]) -> None:
    """Refuse what is withheld of a module that has been loaded, and of its classes."""
    module = sys.modules[name]
    _patch_everywhere(module, modules.get(name, []))
    for holder, attributes in modules.items():
        parent, _, last = holder.rpartition(".")
        if parent == name and isinstance(getattr(module, last, None), type):
            _patch_class(getattr(module, last), attributes)
    if name == "torch":
        _refuse_operators(modules.get(_OPERATORS, []))


def _patch_class(cls: type, attributes: Iterable[str]) -> None:
    for attribute in attributes:
        value = getattr(cls, attribute, None)
        if callable(value):
            setattr(cls, attribute, refusal(f"{cls.__module__}.{cls.__name__}.{attribute}"))
        elif value is not None:
            setattr(cls, attribute, None)


def _refuse_operators(names: Iterable[str]) -> None:
    """Below all of torch's Python names an operator is found by one table; there it is refused to whoever asks.

    See https://docs.pytorch.org/docs/stable/library.html.
    """
    torch = sys.modules["torch"]
    library = torch.library.Library("aten", "IMPL")
    _kept.append(library)
    for name in names:
        for key in ("CPU", "CUDA", "AutogradCPU", "AutogradCUDA", "CompositeImplicitAutograd"):
            with contextlib.suppress(RuntimeError), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                library.impl(name, refusal(f"{_OPERATORS}.{name}"), key)


def _patch_everywhere(module: ModuleType, attributes: Iterable[str]) -> None:
    refusals = {id(value): getattr(module, name) for _, name, value in patch(module, attributes)}
    library = module.__name__.partition(".")[0]
    for name, other in list(sys.modules.items()):
        if name.partition(".")[0] == library and isinstance(other, ModuleType):
            for attribute, value in list(vars(other).items()):
                if id(value) in refusals:
                    setattr(other, attribute, refusals[id(value)])


def patch(module: ModuleType, attributes: Iterable[str]) -> list[tuple[Any, str, Any]]:
    """Put refusals into a module; returns what was there."""
    before = []
    for attribute in attributes:
        value = getattr(module, attribute, _ABSENT)
        if value is not _ABSENT:
            before.append((module, attribute, value))
            setattr(module, attribute, stand_in(f"{module.__name__}.{attribute}", value))
    return before


def uses(cells: Iterable[str], names: Iterable[str]) -> list[tuple[str, int, int]]:
    """Where code names what is withheld: (name, cell's index, line), as far as its text tells.

    Follows ``import``, ``from``, ``as``, plain assignments, ``getattr`` and ``import_module`` with constant names. It
    sees what is written, also where it never runs; what is hidden from it is refused when it is called.
    """
    wanted, known, found = set(names), {}, []
    for index, source in enumerate(cells):
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        for node in _in_order(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    known[alias.asname or alias.name.partition(".")[0]] = (
                        alias.name if alias.asname else alias.name.partition(".")[0]
                    )
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                for alias in node.names:
                    known[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                    if f"{node.module}.{alias.name}" in wanted:
                        found.append((f"{node.module}.{alias.name}", index, node.lineno))
            elif isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                dotted = _dotted(node.value, known)
                if dotted:
                    known[node.targets[0].id] = dotted
            elif isinstance(node, ast.Attribute | ast.Call | ast.Name):
                dotted = _dotted(node, known)
                if dotted in wanted:
                    found.append((dotted, index, node.lineno))
    return sorted(set(found), key=lambda use: (use[1], use[2], use[0]))


def _in_order(tree: ast.AST) -> Iterator[ast.AST]:
    pending = [tree]
    while pending:
        node = pending.pop()
        yield node
        pending.extend(reversed(list(ast.iter_child_nodes(node))))


def _dotted(node: ast.AST, known: dict[str, str]) -> str:
    """The dotted name that an expression stands for, or nothing."""
    parts: list[str] = []
    while True:
        if isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        elif isinstance(node, ast.Name):
            return ".".join([known.get(node.id, ""), *reversed(parts)]) if node.id in known else ""
        elif isinstance(node, ast.Call):
            words = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "__import__") and words:
                return ".".join([words[0], *reversed(parts)])
            if called != "getattr" or len(words) != 1 or len(node.args) < 2:
                return ""
            parts.append(words[0])
            node = node.args[0]
        else:
            return ""


class _PatchingFinder(importlib.abc.MetaPathFinder):
    """Tells when one of the modules, or torch, has been loaded."""

    def __init__(self, modules: dict[str, list[str]], loaded: Callable[[str], None]):
        self.modules, self.loaded = modules, loaded
        self.busy: set[str] = set()

    def find_spec(self, fullname, path=None, target=None):
        if (fullname not in self.modules and fullname != "torch") or fullname in self.busy:
            return None
        self.busy.add(fullname)
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self.busy.discard(fullname)
        if spec is None or spec.loader is None:
            return None
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            self.loaded(fullname)

        spec.loader.exec_module = exec_module
        return spec
