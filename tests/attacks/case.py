"""Read an attack's file and make the submission of it."""

from __future__ import annotations

import ast
import functools
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dlcourse.exercises import assignment as exercises_of

ROOT = Path(__file__).resolve().parents[2]
CASES = Path(__file__).parent / "cases"
FAMILIES = ("forging", "stealing", "exhausting", "leaving", "structure")
USUAL = "02_backprop"
# Answered right in every attack, before and after the usual target: they must keep their points.
KEPT = {
    "02_backprop": ("mlp.parameters", "mlp.momentum"),
    "08_convolution": ("conv.output_size", "conv.parameters"),
}
_SOLUTION = re.compile(r"^[ \t]*### (BEGIN|END) SOLUTION[ \t]*\n?", re.MULTILINE)
_HEAD = re.compile(r"^# %% *(.*)\n", re.MULTILINE)
_LINE = re.compile(r"^(\S+): (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Attack:
    """One attack: its cells as ``(kind, source)``, and what must come of it."""

    name: str
    tries: str
    cells: tuple[tuple[str, str], ...]
    assignment: str = USUAL
    student: str = ""
    refused: str = ""
    verdicts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    shown: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()

    @property
    def family(self) -> str:
        return self.name.partition("_")[0]

    @property
    def folder(self) -> bytes:
        """The name of the student's folder on disk, which need not be text."""
        if self.student.startswith("b'"):
            return ast.literal_eval(self.student)
        return (self.student or self.name).encode()

    def allowed(self, id: str, verdict: str) -> bool:
        """Whether an exercise may come out with this verdict."""
        named = self.verdicts.get(id) or (("right",) if id in KEPT[self.assignment] else None)
        return verdict in named if named else verdict != "right"

    def settled(self, id: str) -> bool:
        """Whether the exercise comes out right, or not right, every time: no limit that is hit by chance decides."""
        named = self.verdicts.get(id) or ("right",)
        return "right" not in named or named == ("right",)

    def write(self, path: Path, words: dict[str, str]) -> None:
        """Put the submission at ``path``, placeholders filled in."""
        notebook = template(self.assignment)
        for id in KEPT[self.assignment]:
            own(notebook, grade_id(id) + "-answer")["source"] = solution(self.assignment, id)
        scope: dict[str, Any] = {"notebook": notebook, "own": functools.partial(own, notebook)}
        scope |= {"os": os, "json": json, "root": str(ROOT)}
        for kind, source in self.cells:
            for word, value in words.items():
                source = source.replace(f"@{word}@", value)
            if kind == "build":
                exec(compile(source, self.name, "exec"), scope)
            else:
                _place(notebook, kind, source)
        place: Callable[[Path], None] = scope.get("place") or (
            lambda path: path.write_bytes(scope.get("data") or json.dumps(scope["notebook"]).encode())
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        place(path)


def read(path: Path) -> Attack:
    """The attack in a file.

    Raises
    ------
    ValueError
        The file says something that no attack has.
    """
    text = path.read_text(encoding="utf-8")
    head, *parts = _HEAD.split(text)
    said = ast.get_docstring(ast.parse(head)) or ""
    made: dict[str, Any] = {"verdicts": {}, "shown": (), "absent": ()}
    for key, value in _LINE.findall(said.partition("\n\n")[2]):
        if "." in key:
            made["verdicts"][key] = tuple(value.split(" | "))
        elif key in ("shown", "absent"):
            made[key] += (value,)
        elif key in ("assignment", "student", "refused"):
            made[key] = value
        else:
            raise ValueError(f"{path.name}: {key!r} is none of the keys that an attack has")
    cells = tuple((kind.strip(), source.strip("\n")) for kind, source in zip(parts[::2], parts[1::2], strict=True))
    attack = Attack(path.stem, said.partition("\n\n")[0], cells, **made)
    unknown = set(attack.verdicts) - {e.id for e in exercises_of(attack.assignment)}
    if unknown or attack.family not in FAMILIES or not attack.tries:
        raise ValueError(f"{path.name}: needs a family of {FAMILIES}, a sentence, and known exercises; got {unknown}")
    return attack


@functools.cache
def attacks() -> tuple[Attack, ...]:
    """All attacks, in the order of their names."""
    return tuple(read(path) for path in sorted(CASES.glob("*.py")))


def template(assignment: str) -> dict[str, Any]:
    """The notebook that students of ``assignment`` get."""
    path = ROOT / "notebooks" / "exercises" / assignment / f"{assignment}.ipynb"
    return _joined(path)


def solution(assignment: str, id: str) -> str:
    """The instructors' answer to an exercise."""
    cell = own(_solved(assignment), grade_id(id) + "-answer")
    return _SOLUTION.sub("", cell["source"])


@functools.cache
def _solved(assignment: str) -> dict[str, Any]:
    return _joined(ROOT / "solutions" / assignment / f"{assignment}.ipynb")


def _joined(path: Path) -> dict[str, Any]:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"])
    return notebook


def grade_id(id: str) -> str:
    return id.replace(".", "-").replace("_", "-")


def own(notebook: dict[str, Any], grade_id: str) -> dict[str, Any]:
    """The assignment's cell with this id."""
    return next(c for c in notebook["cells"] if c["metadata"].get("nbgrader", {}).get("grade_id") == grade_id)


def code(source: str) -> dict[str, Any]:
    """A code cell of the student's."""
    return {"cell_type": "code", "metadata": {}, "source": source, "outputs": [], "execution_count": None}


def _place(notebook: dict[str, Any], kind: str, source: str) -> None:
    kind, _, id = kind.partition(" ")
    cells = notebook["cells"]
    if kind in ("answer", "check", "text"):
        own(notebook, grade_id(id) + ("-answer" if kind == "answer" else ""))["source"] = source
    elif kind == "first":
        at = next(i for i, c in enumerate(cells) if c["cell_type"] == "code") + 1
        cells.insert(at, code(source))
    elif kind == "last":
        cells.append(code(source))
    elif kind == "markdown":
        cells.append({"cell_type": "markdown", "metadata": {}, "source": source})
    else:
        raise ValueError(f"{kind!r} is no kind of cell that an attack has")
