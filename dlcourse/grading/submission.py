"""Read a submitted notebook and put it in order: what the student wrote stays, everything else is ours.

A cell is found by nbgrader's id in its metadata, else by the visible marker in its text, which survives Colab and
other editors. Metadata, outputs, kernelspec, cell types and flags of the submission decide nothing.
"""

from __future__ import annotations

import copy
import json
import re
from dataclasses import dataclass, field
from typing import Any

from dlcourse.exercises import ASSIGNMENTS, Exercise, assignment
from dlcourse.grading.course import Assignment
from dlcourse.grading.limits import Limits

_MARKERS = {
    "answer": re.compile(r"^\s*#\s*exercise:\s*([\w.]+)", re.MULTILINE),
    "check": re.compile(r"^\s*#\s*check:\s*([\w.]+)", re.MULTILINE),
    "text": re.compile(r"^\s*\*?Your answer to ([\w.]+):", re.MULTILINE),
}
MAX_CELLS = 2000


class Refused(ValueError):
    """The submission cannot be graded; the message is the sentence for its row."""


@dataclass
class Slot:
    """One of the assignment's own cells: an answer, a check, or a text that a person grades."""

    kind: str
    exercise: Exercise
    cell: dict[str, Any]


@dataclass
class Plan:
    """A submission in order: clean cells, where each exercise is to be tried, and what had to be repaired."""

    cells: list[dict[str, Any]] = field(default_factory=list)
    probes: dict[int, list[Exercise]] = field(default_factory=dict)
    answers: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read(data: bytes, limits: Limits) -> list[dict[str, str]]:
    """The cells of a notebook file as type, source and claimed nbgrader id; nothing else of it is used.

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
    cells = tree.get("cells") if isinstance(tree, dict) else None
    if not isinstance(cells, list):
        raise Refused("the file is JSON but not a notebook of format 4: it has no list of cells")
    if len(cells) > MAX_CELLS:
        raise Refused(f"the notebook has {len(cells)} cells; at most {MAX_CELLS} are read")
    return [_cell(cell) for cell in cells if isinstance(cell, dict)]


def too_large(size: int, limits: Limits) -> str:
    """The sentence for a file of ``size`` bytes that is not read."""
    most = limits.notebook_bytes
    return (
        f"the file has {size / 1e6:.0f} MB; at most {most / 1e6:.0f} MB are read (clear the outputs and hand in again)"
    )


def _cell(cell: dict[str, Any]) -> dict[str, str]:
    source = cell.get("source", "")
    if isinstance(source, list):
        source = "".join(part for part in source if isinstance(part, str))
    metadata = cell.get("metadata")
    nbgrader = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    grade_id = nbgrader.get("grade_id") if isinstance(nbgrader, dict) else None
    kind = cell.get("cell_type")
    return {
        "type": kind if kind in ("code", "markdown", "raw") else "raw",
        "source": source.replace("\x00", "") if isinstance(source, str) else "",
        "grade_id": grade_id if isinstance(grade_id, str) else "",
    }


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

    Raises
    ------
    Refused
        It is no notebook, or none of the assignment's exercises is in it.
    """
    cells = read(data, limits)
    own = slots(of)
    matched = [_match(cell, own) for cell in cells]
    if not any(matched):
        raise Refused(_whose(cells, of))
    plan = Plan()
    last = {grade_id: i for i, grade_id in enumerate(matched) if grade_id}
    repeated = sorted({g for g in matched if g and matched.count(g) > 1})
    for grade_id in repeated:
        plan.notes.append(f"the cell {grade_id} stands {matched.count(grade_id)} times; the last one counts")
    for i, (cell, grade_id) in enumerate(zip(cells, matched, strict=True)):
        slot = own.get(grade_id)
        if slot is None or last[grade_id] != i:
            # An earlier copy of an answer still runs, as it did for the student; an earlier check has no effect.
            if slot is None or slot.kind == "answer":
                plan.cells.append(_extra(cell, len(plan.cells)))
            continue
        if slot.kind != "check":
            plan.cells.append(_filled(slot, cell["source"]))
            if cell["type"] != slot.cell["cell_type"]:
                plan.notes.append(f"the cell {grade_id} had become a {cell['type']} cell; it is read as before")
        else:
            plan.cells.append(copy.deepcopy(slot.cell))
            if cell["source"].strip() != slot.cell["source"].strip():
                plan.notes.append(f"the check cell {grade_id} had been changed; the original is used")
    for grade_id, slot in own.items():
        if grade_id not in last:
            kind = {"answer": "answer", "check": "check", "text": "text"}[slot.kind]
            plan.notes.append(f"the {kind} cell {grade_id} was missing; it is put back")
            cell = copy.deepcopy(slot.cell)
            plan.cells.append(cell)
    _place_probes(plan, of)
    return plan


def _match(cell: dict[str, str], own: dict[str, Slot]) -> str:
    if cell["grade_id"] in own:
        return cell["grade_id"]
    for kind, marker in _MARKERS.items():
        found = marker.search(cell["source"])
        if not found:
            continue
        for grade_id, slot in own.items():
            if slot.kind == kind and slot.exercise.id == found.group(1):
                return grade_id
    return ""


def _whose(cells: list[dict[str, str]], of: Assignment) -> str:
    ids = {cell["grade_id"].removesuffix("-answer") for cell in cells}
    ids |= {m.group(1) for cell in cells for marker in _MARKERS.values() for m in marker.finditer(cell["source"])}
    for name in ASSIGNMENTS:
        if name != of.name and any(e.grade_id in ids or e.id in ids for e in assignment(name)):
            return f"this is the notebook of {name}, not of {of.name}"
    return f"no exercise of {of.name} is in this notebook"


def _place_probes(plan: Plan, of: Assignment) -> None:
    """Each exercise is tried where its check stands, but not before its answer."""
    position: dict[str, int] = {}
    for i, cell in enumerate(plan.cells):
        grade_id = cell["metadata"].get("nbgrader", {}).get("grade_id", "")
        if grade_id:
            position[grade_id] = i
    for exercise in of.exercises:
        answer = position.get(f"{exercise.grade_id}-answer", 0)
        if not exercise.manual:
            at = max(position[exercise.grade_id], answer)
            plan.probes.setdefault(at, []).append(exercise)
            plan.answers[exercise.id] = answer


def is_check(cell: dict[str, Any]) -> bool:
    """Whether a cell of a plan is one of ours that only calls ``check``: the judge takes its place."""
    flags = cell["metadata"].get("nbgrader", {})
    return bool(flags.get("grade")) and not flags.get("solution")


def _filled(slot: Slot, source: str) -> dict[str, Any]:
    cell = copy.deepcopy(slot.cell)
    cell["source"] = source
    return cell


def _extra(cell: dict[str, str], number: int) -> dict[str, Any]:
    made: dict[str, Any] = {
        "cell_type": cell["type"],
        "id": f"student-{number}",
        "metadata": {},
        "source": cell["source"],
    }
    if cell["type"] == "code":
        made |= {"outputs": [], "execution_count": None}
    return made
