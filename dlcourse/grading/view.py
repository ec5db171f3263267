"""The student's view of ``dlcourse``: the copy that the sandbox sees. No specifications, no grader, and the functions
that an assignment asks for are not in it."""

from __future__ import annotations

import ast
import compileall
import hashlib
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent

# What the agent needs of the floors above the topics; everything else of them stays outside.
_KEEP = {
    "check": ("probe.py", "withhold.py"),
    "exercises": ("spec.py", "compare.py", "plain.py"),
    "grading": ("agent.py", "forkserver.py", "isolate.py", "wire.py"),
}

_CHECK = '''"""In the grader the judge checks the answers; these stand-ins keep the notebook's cells running."""


class Note(str):
    __repr__ = str.__str__


def check(id, *args, **kwargs):
    return Note(f"{id}: checked by the grader")


def hint(id):
    return Note(f"{id}: no hints in the grader")


def progress(name=None):
    return Note("points are counted by the grader")
'''


def build(folder: Path, withhold: Iterable[str]) -> Path:
    """Write the view into ``folder``/dlcourse and return ``folder``, which belongs on the sandbox's ``PYTHONPATH``."""
    target = folder / "dlcourse"
    shutil.copytree(PACKAGE, target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc", *_KEEP))
    for part, files in _KEEP.items():
        (target / part).mkdir()
        (target / part / "__init__.py").write_text(_CHECK if part == "check" else "")
        for name in files:
            shutil.copyfile(PACKAGE / part / name, target / part / name)
    (target / "cli.py").unlink(missing_ok=True)
    for name in withhold:
        _remove(target, name)
    compileall.compile_dir(target, quiet=2)
    return folder


def cached(withhold: Iterable[str]) -> Path:
    """A view in a temporary folder of this user, made once for each version of the package and set of names."""
    names = sorted(set(withhold))
    digest = hashlib.sha256("\n".join(names).encode())
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(path.read_bytes())
    return _build_once(digest.hexdigest()[:16], tuple(names))


_built: dict[str, tempfile.TemporaryDirectory] = {}


def _build_once(key: str, names: tuple[str, ...]) -> Path:
    if key not in _built:
        holder = tempfile.TemporaryDirectory(prefix="dlc-view-")
        build(Path(holder.name), names)
        _built[key] = holder
    return Path(_built[key].name)


def _remove(package: Path, dotted: str) -> None:
    """Replace the body of a withheld function or class of the view by a refusal."""
    parts = dotted.split(".")
    if parts[0] != "dlcourse" or len(parts) < 3:
        return
    path = package.joinpath(*parts[1:-1]).with_suffix(".py")
    if not path.is_file():
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for i, node in enumerate(tree.body):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == parts[-1]:
            tree.body[i] = _refusal(dotted, parts[-1])
    path.write_text(ast.unparse(tree), encoding="utf-8")


def _refusal(dotted: str, name: str) -> ast.stmt:
    source = (
        f"def {name}(*args, **kwargs):\n"
        f"    from dlcourse.check.withhold import refusal\n"
        f"    return refusal({dotted!r})(*args, **kwargs)\n"
    )
    return ast.parse(source).body[0]
