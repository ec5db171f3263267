"""Read a submitted notebook and put it in order: what the student wrote stays, everything else is ours.

A cell is found by nbgrader's id in its metadata, else by the visible marker in its text, which survives Colab and
other editors. Metadata, outputs, kernelspec, cell types and flags of the submission decide nothing.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dlcourse.exercises import ASSIGNMENTS, Exercise, assignment
from dlcourse.grading.course import Assignment
from dlcourse.grading.limits import Limits

# Blanks of one line only: a pattern that may cross lines takes the square of a blank file's length.
_MARKERS = {
    "answer": re.compile(r"^[ \t]*#[ \t]*exercise:[ \t]*([\w.]+)", re.MULTILINE),
    "check": re.compile(r"^[ \t]*#[ \t]*check:[ \t]*([\w.]+)", re.MULTILINE),
    "text": re.compile(r"^[ \t]*\*?Your answer to ([\w.]+):", re.MULTILINE),
}
_FLAGS = ("grade", "solution", "task", "locked", "points")
MAX_CELLS = 2000


class Refused(ValueError):
    """The submission cannot be graded; the message is the sentence for its row."""


@dataclass(frozen=True)
class Cell:
    """A cell as it was handed in: only what is used of it. ``flags`` is what it claims to be in nbgrader."""

    type: str
    source: str
    grade_id: str = ""
    flags: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Sent:
    """A notebook as it was handed in, and what its reading had to put right."""

    cells: list[Cell]
    notes: tuple[str, ...] = ()


@dataclass
class Slot:
    """One of the assignment's own cells: an answer, a check, or a text that a person grades."""

    kind: str
    exercise: Exercise
    cell: dict[str, Any]

    def blank(self, cell: Cell) -> bool:
        """Whether a cell holds nothing but what the assignment gave out."""
        return cell.source.split() == self.cell["source"].split()


@dataclass
class Plan:
    """A submission in order: clean cells, where each exercise is to be tried, and what had to be repaired."""

    cells: list[dict[str, Any]] = field(default_factory=list)
    probes: dict[int, list[Exercise]] = field(default_factory=dict)
    answers: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read(data: bytes, limits: Limits) -> Sent:
    """The cells of a notebook file as type, source and claimed nbgrader id; nothing else of it decides anything.

    Raises
    ------
    Refused
        The bytes are no notebook that can be read.
    """
    if not data.strip():
        raise Refused("the file is empty")
    if len(data) > limits.notebook_bytes:
        raise Refused(too_large(len(data), limits))
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        raise Refused("the file is not a notebook: it is not JSON") from None
    cells, notes = _cells(tree), []
    if cells is None:
        raise Refused("the file is JSON but not a notebook: it has no list of cells")
    if "cells" not in tree:
        notes.append("the notebook is of an old format; its cells are read as they are")
    if len(cells) > MAX_CELLS:
        raise Refused(f"the notebook has {len(cells)} cells; at most {MAX_CELLS} are read")
    language = _language(tree)
    if language and language.casefold() not in ("python", "python3", "ipython"):
        notes.append(f"the notebook says that it is written in {language}; it is run as Python")
    return Sent([_cell(cell) for cell in cells if isinstance(cell, dict)], tuple(notes))


def too_large(size: int, limits: Limits) -> str:
    """The sentence for a file of ``size`` bytes that is not read."""
    most = limits.notebook_bytes
    return (
        f"the file has {size / 1e6:.0f} MB; at most {most / 1e6:.0f} MB are read (clear the outputs and hand in again)"
    )


def _cells(tree: Any) -> list | None:
    """The list of cells, also where format 3 keeps it."""
    if not isinstance(tree, dict):
        return None
    if "cells" in tree:
        return tree["cells"] if isinstance(tree["cells"], list) else None
    sheets = tree.get("worksheets")
    if not isinstance(sheets, list) or not sheets:
        return None
    lists = [sheet.get("cells") for sheet in sheets if isinstance(sheet, dict)]
    return [cell for cells in lists if isinstance(cells, list) for cell in cells]


def _language(tree: dict[str, Any]) -> str:
    for name, key in (("language_info", "name"), ("kernelspec", "language")):
        said = _dict(_dict(tree.get("metadata")).get(name)).get(key)
        if isinstance(said, str):
            return _printable(said)[:40]
    return ""


def _cell(cell: dict[str, Any]) -> Cell:
    source = cell.get("source", cell.get("input", ""))
    if isinstance(source, list):
        source = "".join(part for part in source if isinstance(part, str))
    flags = _dict(_dict(cell.get("metadata")).get("nbgrader"))
    grade_id, kind = flags.get("grade_id"), cell.get("cell_type")
    return Cell(
        type=kind if kind in ("code", "markdown", "raw") else "raw",
        source=_readable(source) if isinstance(source, str) else "",
        grade_id=grade_id if isinstance(grade_id, str) else "",
        flags=flags,
    )


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _readable(text: str) -> str:
    """``text`` with plain line ends, no null bytes, and a mark for each half of a character, which no file holds."""
    return text.replace("\r\n", "\n").replace("\x00", "").encode("utf-8", "replace").decode("utf-8")


def _printable(text: str) -> str:
    return "".join(c for c in text if c.isprintable())


def slots(of: Assignment) -> dict[str, Slot]:
    """The assignment's own cells by nbgrader id, in the notebook's order."""
    by_id = {exercise.grade_id: exercise for exercise in of.exercises}
    found = {}
    for cell in of.template["cells"]:
        grade_id = cell["metadata"].get("nbgrader", {}).get("grade_id", "")
        if grade_id in by_id:
            exercise = by_id[grade_id]
            found[grade_id] = Slot("text" if exercise.manual else "check", exercise, cell)
        elif grade_id.removesuffix("-answer") in by_id:
            found[grade_id] = Slot("answer", by_id[grade_id.removesuffix("-answer")], cell)
    return found


def arrange(data: bytes, of: Assignment, limits: Limits) -> Plan:
    """The submission as a plan of what to run and where to try each exercise.

    Of several copies of a cell the last counts, one that was filled in before one that was not; an answer that stands
    in another answer's cell is tried after that one; what is missing is put back.

    Raises
    ------
    Refused
        It is no notebook, or none of the assignment's exercises is in it.
    """
    sent = read(data, limits)
    own = slots(of)
    copies: dict[str, list[int]] = {}
    for i, cell in enumerate(sent.cells):
        grade_id = _match(cell, own)
        if grade_id:
            copies.setdefault(grade_id, []).append(i)
    if not copies:
        raise Refused(_whose(sent.cells, of))
    chosen = _choose(sent.cells, copies, own)
    plan = Plan(notes=[*sent.notes, *_repairs(sent.cells, copies, chosen, own)])
    owner = {i: grade_id for grade_id, found in copies.items() for i in found}
    position: dict[str, int] = {}
    for i, cell in enumerate(sent.cells):
        grade_id = owner.get(i, "")
        if grade_id and chosen[grade_id] == i:
            position[grade_id] = len(plan.cells)
            plan.cells.append(_filled(own[grade_id], cell))
        elif not grade_id or own[grade_id].kind == "answer":
            # An earlier copy of an answer still runs, as it did for the student; an earlier check has no effect.
            plan.cells.append(_extra(cell, len(plan.cells)))
    shared = _shared(plan.cells, own)
    plan.notes += _missing(own, chosen, shared)
    for grade_id, slot in own.items():
        if grade_id not in position:
            position[grade_id] = len(plan.cells)
            plan.cells.append(_restored(slot))
    for exercise in of.exercises:
        if not exercise.manual:
            answer = f"{exercise.grade_id}-answer"
            run = position[answer] if answer in chosen else shared.get(exercise.id, position[answer])
            plan.probes.setdefault(max(position[exercise.grade_id], run), []).append(exercise)
            plan.answers[exercise.id] = run
    return plan


def _match(cell: Cell, own: dict[str, Slot]) -> str:
    if cell.grade_id in own:
        return cell.grade_id
    for kind, marker in _MARKERS.items():
        found = marker.search(cell.source)
        if not found:
            continue
        for grade_id, slot in own.items():
            if slot.kind == kind and slot.exercise.id == found.group(1):
                return grade_id
    return ""


def _choose(cells: list[Cell], copies: dict[str, list[int]], own: dict[str, Slot]) -> dict[str, int]:
    """Which of its copies counts, for each of the assignment's own cells."""
    chosen: dict[str, int] = {}
    # A check is chosen by where its answer stands.
    for grade_id in sorted(copies, key=lambda grade_id: own[grade_id].kind == "check"):
        found, slot = copies[grade_id], own[grade_id]
        if slot.kind == "check":
            answer = chosen.get(f"{grade_id}-answer", -1)
            chosen[grade_id] = next((i for i in found if i > answer), found[-1])
            continue
        tests: list[Callable[[int], bool]] = [
            lambda i, slot=slot: not slot.blank(cells[i]),
            lambda i, slot=slot: cells[i].type == slot.cell["cell_type"],
        ]
        for test in tests:
            found = [i for i in found if test(i)] or found
        chosen[grade_id] = found[-1]
    return chosen


def _repairs(
    cells: list[Cell], copies: dict[str, list[int]], chosen: dict[str, int], own: dict[str, Slot]
) -> list[str]:
    """What was not as it was given out: a sentence for each kind of change."""
    copied, retyped, changed, turned = [], [], [], []
    for grade_id, slot in own.items():
        if grade_id not in chosen:
            continue
        cell, number = cells[chosen[grade_id]], len(copies[grade_id])
        if number > 1:
            copied.append(f"{grade_id} ({number} times)")
        if cell.type != slot.cell["cell_type"]:
            retyped.append(f"{grade_id} ({cell.type})")
        if slot.kind == "check" and cell.source.strip() != slot.cell["source"].strip():
            changed.append(grade_id)
        ours = slot.cell["metadata"]["nbgrader"]
        flags = [flag for flag in _FLAGS if flag in cell.flags and cell.flags[flag] != ours.get(flag)]
        if flags:
            turned.append(f"{grade_id} ({', '.join(flags)})")
    notes = [
        f"{before}: {_several(names)}; {after}"
        for names, before, after in (
            (copied, "stands more than once", "of an answer the last one that was filled in counts"),
            (retyped, "had become a cell of another type", "it is read as before"),
            (changed, "a check had been changed", "the original is used"),
            (turned, "the settings of a cell had been changed", "ours are used"),
        )
        if names
    ]
    order = [chosen[grade_id] for grade_id in own if grade_id in chosen]
    if order != sorted(order):
        notes.append("the assignment's cells stand in another order; each answer is tried once it has run")
    return notes


def _several(names: list[str], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _shared(cells: list[dict[str, Any]], own: dict[str, Slot]) -> dict[str, int]:
    """Exercises whose answer's marker stands in some cell, and the last such cell: two answers may have been merged."""
    return {
        found: i
        for i, cell in enumerate(cells)
        if cell["cell_type"] == "code" and not is_check(cell)
        for found in _MARKERS["answer"].findall(cell["source"])
    }


def _missing(own: dict[str, Slot], chosen: dict[str, int], shared: dict[str, int]) -> list[str]:
    absent = {grade_id: slot for grade_id, slot in own.items() if grade_id not in chosen}
    merged = [grade_id for grade_id, slot in absent.items() if slot.kind == "answer" and slot.exercise.id in shared]
    gone = [grade_id for grade_id in absent if grade_id not in merged]
    notes = [f"merged with another cell: {_several(merged)}; it is tried after that one"] if merged else []
    return notes + ([f"a cell was missing: {_several(gone)}; it is put back"] if gone else [])


def _restored(slot: Slot) -> dict[str, Any]:
    """A missing cell. An answer is only named: what was given out would undo what the student wrote elsewhere."""
    cell = copy.deepcopy(slot.cell)
    if slot.kind == "answer":
        cell["source"] = f"# exercise: {slot.exercise.id}\n# This cell was missing."
    return cell


def _whose(cells: list[Cell], of: Assignment) -> str:
    ids = {cell.grade_id.removesuffix("-answer") for cell in cells}
    ids |= {m.group(1) for cell in cells for marker in _MARKERS.values() for m in marker.finditer(cell.source)}
    for name in ASSIGNMENTS:
        if name != of.name and any(e.grade_id in ids or e.id in ids for e in assignment(name)):
            return f"this is the notebook of {name}, not of {of.name}"
    return f"no exercise of {of.name} is in this notebook"


def is_check(cell: dict[str, Any]) -> bool:
    """Whether a cell of a plan is one of ours that only calls ``check``: the judge takes its place."""
    flags = cell["metadata"].get("nbgrader", {})
    return bool(flags.get("grade")) and not flags.get("solution")


def _filled(slot: Slot, sent: Cell) -> dict[str, Any]:
    """One of our cells with what the student wrote in it; a check is ours alone."""
    cell = copy.deepcopy(slot.cell)
    if slot.kind != "check":
        cell["source"] = sent.source
    return cell


def _extra(cell: Cell, number: int) -> dict[str, Any]:
    made: dict[str, Any] = {"cell_type": cell.type, "id": f"student-{number}", "metadata": {}, "source": cell.source}
    if cell.type == "code":
        made |= {"outputs": [], "execution_count": None}
    return made
