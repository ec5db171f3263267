"""When is a result still the result? Digests of all that decides it, and of the files that were written with it."""

from __future__ import annotations

import functools
import hashlib
import json
import platform
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

import dlcourse
from dlcourse.grading.course import Assignment
from dlcourse.grading.limits import Limits

_LIBRARIES = ("numpy", "torch", "scikit-learn", "matplotlib")


@functools.cache
def package() -> str:
    """A digest of this package's source: a changed specification, judge or sandbox makes another one."""
    root = Path(dlcourse.__file__).parent
    total = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.relative_to(root)} {content}\n".encode())
    return total.hexdigest()


def grader(of: Assignment, seed: int, limits: Limits, walled: bool) -> str:
    """A digest of all that decides a result besides the submission's bytes."""
    parts = {
        "package": package(),
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in _LIBRARIES},
        "assignment": of.name,
        "exercises": [exercise.id for exercise in of.exercises],
        "template": of.template,
        "seed": seed,
        "limits": asdict(limits),
        "walled": walled,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def submission(grader: str, digest: str) -> str:
    """The digest that a result is recorded under; empty where nothing was graded, so that it is tried again."""
    return hashlib.sha256(f"{grader} {digest}".encode()).hexdigest() if digest else ""


def files(*paths: Path) -> str:
    """A digest of the contents of these files; empty if one of them cannot be read."""
    total = hashlib.sha256()
    try:
        for path in paths:
            total.update(hashlib.sha256(path.read_bytes()).digest())
    except OSError:
        return ""
    return total.hexdigest()


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
