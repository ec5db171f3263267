"""A student's feedback as one HTML page: no script, nothing from elsewhere, everything of the student's cleaned.

It shows public cases only: no secret seed, no input made from it, no reference.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from dlcourse.check.judge import CaseReport
from dlcourse.check.render import words
from dlcourse.exercises import PUBLIC_SEED, Exercise
from dlcourse.exercises.spec import Call, Case
from dlcourse.grading import clean
from dlcourse.grading.course import Assignment
from dlcourse.grading.grade import Entry, Result

_STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1c2430; --soft: #5b6675; --line: #d9dee5; --box: #f5f7f9;
  --good: #17693a; --bad: #a3341f; --good-box: #e4f3e9; --bad-box: #fbe9e5; --wait-box: #eceff3; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14181e; --ink: #e6eaef; --soft: #a3adba; --line: #333b46; --box: #1c222a;
    --good: #7fd6a0; --bad: #f3a08f; --good-box: #173323; --bad-box: #41201a; --wait-box: #262d36; } }
* { box-sizing: border-box; }
body { font: 16px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 54rem;
  margin: 0 auto; padding: 1.5rem 1rem 4rem; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0; }
h2 { font-size: 1.2rem; line-height: 1.3; margin: 0 0 .4rem; }
a { color: inherit; }
header { border-bottom: 1px solid var(--line); padding-bottom: 1rem; margin-bottom: 1rem; }
.course { color: var(--soft); margin: 0 0 .2rem; }
.score { font-size: 1.15rem; margin: .8rem 0 .3rem; }
meter { width: 100%; max-width: 24rem; height: 1rem; }
section { border-top: 1px solid var(--line); margin-top: 1.6rem; padding-top: 1.2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .95em; }
th { font-weight: 600; color: var(--soft); }
td, th { text-align: left; padding: .3rem 1rem .3rem 0; vertical-align: top; border-bottom: 1px solid var(--line); }
.chip { border-radius: 1rem; padding: .1rem .6rem; font-size: .9em; white-space: nowrap; background: var(--wait-box); }
.chip.right { color: var(--good); background: var(--good-box); }
.chip.other { color: var(--bad); background: var(--bad-box); }
.mistake { border-left: 4px solid var(--bad); background: var(--bad-box); padding: .6rem .9rem; }
summary { cursor: pointer; color: var(--soft); }
details { margin: .5rem 0; }
pre { background: var(--box); border: 1px solid var(--line); border-radius: 6px; padding: .6rem .8rem; margin: .5rem 0;
  white-space: pre-wrap; font-size: .87em; }
img { max-width: 100%; height: auto; background: #fff; border-radius: 6px; }
@media (max-width: 34rem) {
  table.cases, table.cases tbody, table.cases tr, table.cases td { display: block; border: 0; padding: 0; }
  table.cases tr { border-bottom: 1px solid var(--line); padding: .5rem 0; }
  table.cases tr.heads { display: none; }
  table.cases td:first-child { float: left; margin-right: .5rem; }
  table.exercises td:nth-child(3), table.exercises th:nth-child(3) { white-space: nowrap; } }
@media print { details > * { display: block; } }
"""
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)", re.DOTALL)
_LEFT_OUT = "\n... (the rest is left out here)"
# Bounds of the page: letters of a source, of an output, of an input; outputs of a cell; points of a picture.
_SOURCE, _OUTPUT, _INPUT, _OUTPUTS, _POINTS = 20_000, 5_000, 1_500, 20, 20_000_000
_SHOWN = 24


def page(of: Assignment, student: str, result: Result) -> str:
    """The whole page."""
    out = [_head(of, student)]
    if result.refused:
        said = _text(result.refused)
        out.append(f"<p><strong>Not graded:</strong> {said}.</p></header></main></body></html>\n")
        return "".join(out)
    out.append(
        f'<p class="score"><strong>{result.score:g} of {result.max_score:g} points</strong> by the autograder</p>'
        f'<meter min="0" max="{result.max_score:g}" value="{result.score:g}">{result.score:g}</meter></header>'
    )
    out.append(_overview(of, result))
    if result.notes:
        notes = "".join(f"<li>{_text(note)}</li>" for note in result.notes)
        out.append(f"<section><h2>About the file</h2><ul>{notes}</ul></section>")
    cells = _cells(result)
    entries = {entry.exercise_id: entry for entry in result.entries}
    for exercise in of.exercises:
        if exercise.manual:
            out.append(_text_answer(exercise, of, cells))
        elif exercise.id in entries:
            out.append(_entry(entries[exercise.id], exercise, cells))
    out.append("</main></body></html>\n")
    return "".join(out)


def _head(of: Assignment, student: str) -> str:
    who = _text(student)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{html.escape(clean.POLICY)}">\n'
        f"<title>{html.escape(of.name)}: {who}</title>\n<style>{_STYLE}</style></head><body><main>\n"
        f'<header><p class="course">{html.escape(of.name)}</p><h1>{who}</h1>'
    )


def _overview(of: Assignment, result: Result) -> str:
    rows = []
    entries = {entry.exercise_id: entry for entry in result.entries}
    for exercise in of.exercises:
        name = f'<a href="#{exercise.grade_id}">{html.escape(exercise.title)}</a>'
        entry = entries.get(exercise.id)
        if entry is not None:
            rows.append(f"<tr><td>{name}</td><td>{_chip(entry)}</td><td>{_points(entry)}</td></tr>")
        elif exercise.manual:
            waits = '<span class="chip">a person grades it</span>'
            rows.append(f"<tr><td>{name}</td><td>{waits}</td><td>of {exercise.points:g}</td></tr>")
    heads = "<tr><th>exercise</th><th>verdict</th><th>points</th></tr>"
    return f'<div class="wide"><table class="exercises">{heads}{"".join(rows)}</table></div>'


def _chip(entry: Entry) -> str:
    right = entry.verdict == "right"
    kind = "right" if right else "" if entry.verdict == "not written" else "other"
    return f'<span class="chip {kind}">{"✓" if right else "✗"} {_text(entry.verdict)}</span>'


def _points(entry: Entry) -> str:
    return f"{entry.points:g} of {entry.max_points:g}"


def _entry(entry: Entry, exercise: Exercise, cells: Mapping[str, dict[str, Any]]) -> str:
    out = [f'<section id="{exercise.grade_id}"><h2>{html.escape(exercise.title)}</h2>']
    out.append(f"<p>{_chip(entry)} {_points(entry)} points · {html.escape(exercise.id)}</p>")
    if entry.note:
        out.append(f"<p>{_text(entry.note)}</p>")
    for mistake in exercise.mistakes:
        if mistake.name == entry.mistake:
            said = f"This looks like a known mistake ({html.escape(words(mistake.name))}): {_text(mistake.sentence)}"
            out.append(f'<p class="mistake">{said}</p>')
    if entry.public.cases and entry.verdict not in ("right", "not written"):
        cases = exercise.make_cases(PUBLIC_SEED)
        if len(cases) != len(entry.public.cases):
            raise ValueError(f"{exercise.id}: a report of {len(entry.public.cases)} cases, expected {len(cases)}")
        first = next((i for i, row in enumerate(entry.public.cases) if not row.passed), None)
        pairs = enumerate(zip(cases, entry.public.cases, strict=True))
        rows = "".join(_row(exercise, *pair, unfolded=i == first) for i, pair in pairs)
        heads = '<tr class="heads"><th></th><th>public case</th><th>result</th></tr>'
        out.append(f'<div class="wide"><table class="cases">{heads}{rows}</table></div>')
    cell = cells.get(f"{exercise.grade_id}-answer")
    if cell is not None:
        out.append(f"<details><summary>Your answer</summary><pre>{_text(_joined(cell['source']), _SOURCE)}</pre>")
        outputs = cell.get("outputs", ())
        out += [_output(output) for output in outputs[:_OUTPUTS]]
        if len(outputs) > _OUTPUTS:
            out.append(f"<p>{len(outputs) - _OUTPUTS} more outputs are left out here.</p>")
        out.append("</details>")
    return "".join([*out, "</section>"])


def _text_answer(exercise: Exercise, of: Assignment, cells: Mapping[str, dict[str, Any]]) -> str:
    cell = cells.get(exercise.grade_id)
    given = {c["metadata"].get("nbgrader", {}).get("grade_id"): c["source"] for c in of.template["cells"]}
    said = _joined(cell["source"]) if cell else ""
    empty = not said.strip() or said.split() == given.get(exercise.grade_id, "").split()
    body = "<p>Nothing was written here.</p>"
    if not empty:
        body = (
            '<p><span class="chip">a person grades it</span></p>'
            f"<details><summary>Your answer</summary><pre>{_text(said, _SOURCE)}</pre></details>"
        )
    return f'<section id="{exercise.grade_id}"><h2>{html.escape(exercise.title)}</h2>{body}</section>'


def _row(exercise: Exercise, case: Case, row: CaseReport, unfolded: bool) -> str:
    inputs = ""
    if case.calls and not row.passed:
        called = "\n".join(_call(exercise.name, call) for call in case.calls)
        state = " open" if unfolded else ""
        inputs = f"<details{state}><summary>its inputs</summary><pre>{_text(called, 4 * _INPUT)}</pre></details>"
    mark = "✓" if row.passed else "✗"
    return f"<tr><td>{mark}</td><td>{_text(row.name)}</td><td>{_text(row.message) or 'right'}{inputs}</td></tr>"


def _call(name: str, call: Call) -> str:
    """A step as the student would type it."""
    words = [_value(value) for value in call.args]
    words += [f"{key}={_value(value)}" for key, value in call.kwargs.items()]
    if call.method.startswith("."):
        return f"made{call.method}"
    called = name if call.method == "" else f"made = {name}" if call.method == "__init__" else f"made.{call.method}"
    return f"{called}({', '.join(words)})"


def _value(value: Any) -> str:
    """An input in full where it is small, else its kind and size."""
    if isinstance(value, np.ndarray):
        if value.size <= _SHOWN:
            kind = "" if value.dtype in (np.float64, np.int64) else f", dtype={value.dtype}"
            return f"array({_nested(value)}{kind})"
        extent = f", {value.min():.4g} to {value.max():.4g}" if value.dtype.kind in "iuf" else ""
        return f"<array of shape {value.shape}, {value.dtype}{extent}>"
    if isinstance(value, list | tuple):
        left, right = "[]" if isinstance(value, list) else "()"
        more = ", ..." if len(value) > _SHOWN else ""
        return left + ", ".join(map(_value, value[:_SHOWN])) + more + right
    said = repr(value)
    return said if len(said) <= _INPUT else said[:_INPUT] + "..."


def _nested(value: np.ndarray) -> str:
    if value.ndim:
        return f"[{', '.join(_nested(part) for part in value)}]"
    if value.dtype.kind != "f":
        return repr(value.item())
    said = f"{value:.7g}"
    return f"{said}." if said.lstrip("-").isdigit() else said


def _cells(result: Result) -> dict[str, dict[str, Any]]:
    """The student's cells by nbgrader id, their outputs cleaned."""
    found = {}
    for cell in clean.cleaned(result.notebook)["cells"]:
        grade_id = cell["metadata"].get("nbgrader", {}).get("grade_id", "")
        if grade_id:
            found[grade_id] = cell
    return found


def _output(output: dict[str, Any]) -> str:
    """Text, tables and pictures; ``clean`` has left nothing in them that runs or fetches."""
    kind = output["output_type"]
    if kind == "stream":
        return f"<pre>{_text(output['text'], _OUTPUT)}</pre>"
    if kind == "error":
        return f"<pre>{_text(output['ename'])}: {_text(output['evalue'], _OUTPUT)}</pre>"
    data = output["data"]
    if "image/png" in data:
        return _picture(data["image/png"])
    if "text/html" in data and len(data["text/html"]) <= 4 * _OUTPUT:
        return f'<div class="wide">{_printable(data["text/html"])}</div>'
    return f"<pre>{_text(data['text/plain'], _OUTPUT)}</pre>" if "text/plain" in data else ""


def _picture(text: str) -> str:
    """A PNG picture of a size that a browser can show."""
    try:
        raw = base64.b64decode(text)
    except (binascii.Error, ValueError):
        return ""
    width, height = int.from_bytes(raw[16:20], "big"), int.from_bytes(raw[20:24], "big")
    if not raw.startswith(b"\x89PNG\r\n\x1a\n") or width * height > _POINTS:
        return f"<p>A picture of {width} by {height} points is left out here.</p>"
    source = base64.b64encode(raw).decode()
    return f'<img alt="picture that the cell drew" src="data:image/png;base64,{source}">'


def _text(text: str, most: int = 2 * _INPUT) -> str:
    """Plain text of anyone's, for the page."""
    text = text if len(text) <= most else text[:most] + _LEFT_OUT
    return html.escape(_printable(text))


def _printable(text: str) -> str:
    """Without what moves a terminal's cursor, turns the direction of writing, or is half of a character."""
    return "".join(c if c.isprintable() or c in "\n\t\u200d" else "\ufffd" for c in _ESCAPES.sub("", text))


def _joined(value: Any) -> str:
    return "".join(map(str, value)) if isinstance(value, list) else str(value)
