"""A student's feedback as one HTML page: no script, nothing from elsewhere, everything of the student's escaped."""

from __future__ import annotations

import base64
import binascii
import html
from typing import Any

from dlcourse.check.render import words
from dlcourse.grading.course import Assignment
from dlcourse.grading.grade import Entry, Result

_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; }}
table {{ border-collapse: collapse; }}
td, th {{ text-align: left; padding: 0.2rem 0.8rem 0.2rem 0; vertical-align: top; }}
section {{ border-top: 1px solid; margin-top: 1.5rem; }}
pre {{ border-left: 3px solid; padding-left: 0.8rem; white-space: pre-wrap; overflow-wrap: anywhere; }}
img {{ max-width: 100%; background: white; }}
</style></head><body>
"""


def page(of: Assignment, student: str, result: Result) -> str:
    """The whole page. It holds public cases only: no secret seed, no input made from it, no reference."""
    escape = html.escape
    title = f"{of.name}: {student}"
    out = [_HEAD.format(title=escape(title)), f"<h1>{escape(title)}</h1>"]
    if result.refused:
        out.append(f"<p><strong>Not graded:</strong> {escape(result.refused)}.</p></body></html>\n")
        return "".join(out)
    out.append(f"<p><strong>{result.score:g} of {result.max_score:g} points</strong> by the autograder</p>")
    rows = "".join(
        f"<tr><td>{'✓' if e.verdict == 'right' else '✗'}</td><td>{escape(e.exercise_id)}</td>"
        f"<td>{e.points:g} of {e.max_points:g}</td><td>{escape(e.verdict)}</td></tr>"
        for e in result.entries
    )
    waiting = "".join(
        f"<tr><td>·</td><td>{escape(e.id)}</td><td>of {e.points:g}</td><td>a person grades it</td></tr>"
        for e in of.exercises
        if e.manual
    )
    out.append(f"<table><tr><th></th><th>exercise</th><th>points</th><th>verdict</th></tr>{rows}{waiting}</table>")
    if result.notes:
        notes = "".join(f"<li>{escape(note)}</li>" for note in result.notes)
        out.append(f"<section><h2>About the file</h2><ul>{notes}</ul></section>")
    answers = _answers(result)
    titles = {e.id: e.title for e in of.exercises}
    for entry in result.entries:
        out.append(_entry(entry, titles[entry.exercise_id], of, answers))
    out.append("</body></html>\n")
    return "".join(out)


def _entry(entry: Entry, title: str, of: Assignment, answers: dict[str, dict[str, Any]]) -> str:
    escape = html.escape
    out = [f"<section><h2>{escape(title)}</h2>"]
    out.append(f"<p>{entry.points:g} of {entry.max_points:g} points: {escape(entry.verdict)}</p>")
    if entry.note:
        out.append(f"<p>{escape(entry.note)}</p>")
    exercise = next(e for e in of.exercises if e.id == entry.exercise_id)
    for mistake in exercise.mistakes:
        if mistake.name == entry.mistake:
            out.append(
                f"<p>This looks like a known mistake ({escape(words(mistake.name))}): {escape(mistake.sentence)}</p>"
            )
    if entry.public.cases and entry.verdict != "right":
        rows = "".join(
            f"<tr><td>{'✓' if row.passed else '✗'}</td><td>{escape(row.name)}</td>"
            f"<td>{escape(row.message) or 'right'}</td></tr>"
            for row in entry.public.cases
        )
        out.append(f"<table><tr><th></th><th>public case</th><th>result</th></tr>{rows}</table>")
    cell = answers.get(exercise.grade_id)
    if cell is not None:
        out.append(f"<details><summary>Your answer</summary><pre>{escape(_text(cell['source']))}</pre>")
        out += [_output(output) for output in cell.get("outputs", ())]
        out.append("</details>")
    out.append("</section>")
    return "".join(out)


def _answers(result: Result) -> dict[str, dict[str, Any]]:
    found = {}
    for cell in result.notebook.get("cells", ()):
        grade_id = cell["metadata"].get("nbgrader", {}).get("grade_id", "")
        if grade_id.endswith("-answer"):
            found[grade_id.removesuffix("-answer")] = cell
    return found


def _output(output: dict[str, Any]) -> str:
    """Text and PNG pictures only: HTML, SVG and scripts of the student's are not carried over."""
    if output.get("output_type") == "stream":
        return f"<pre>{html.escape(_text(output.get('text', '')))}</pre>"
    if output.get("output_type") == "error":
        return f"<pre>{html.escape(str(output.get('ename')))}: {html.escape(str(output.get('evalue')))}</pre>"
    data = output.get("data") or {}
    picture = data.get("image/png")
    if isinstance(picture, str):
        try:
            raw = base64.b64decode(picture, validate=False)
        except (binascii.Error, ValueError):
            return ""
        if raw.startswith(b"\x89PNG\r\n\x1a\n"):
            return (
                f'<img alt="picture that the cell drew" src="data:image/png;base64,{base64.b64encode(raw).decode()}">'
            )
    return f"<pre>{html.escape(_text(data.get('text/plain', '')))}</pre>"


def _text(value: Any) -> str:
    return "".join(map(str, value)) if isinstance(value, list) else str(value)
