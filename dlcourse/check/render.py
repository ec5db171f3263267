"""A report as text for a terminal and as HTML for a notebook. Everything that a student wrote is escaped."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dlcourse.check.judge import Report

_MARK = {True: "✓", False: "✗"}
_STYLE = (
    "border:1px solid currentColor;border-radius:6px;padding:0.6em 1em;margin:0.4em 0;max-width:60em;"
    "overflow-x:auto;font-size:0.95em"
)


def headline(report: Report) -> str:
    """The first line: mark, id, points, and how many cases passed."""
    exercise = report.exercise
    if exercise.manual:
        return f"{exercise.id}: {_count(exercise.points, 'point')}, graded by a person"
    right = sum(row.passed for row in report.cases)
    said = f"{report.points} of {_count(exercise.points, 'point')}"
    counted = f", {right} of {_count(len(report.cases), 'case')} right" if report.cases else ""
    verdict = "" if report.verdict in ("right", "wrong") else f", {report.verdict}"
    return f"{_MARK[report.passed]} {exercise.id}: {said}{counted}{verdict}"


def text(report: Report) -> str:
    """The report for a terminal."""
    lines = [headline(report)]
    if report.verdict != "not written":
        width = max((len(row.name) for row in report.cases), default=0)
        for row in report.cases:
            lines.append(f"  {_MARK[row.passed]} {row.name:<{width}}  {row.message}".rstrip())
    lines += [textwrap.fill(line, 100, initial_indent="  ", subsequent_indent="  ") for line in advice(report)]
    return "\n".join(lines)


def advice(report: Report) -> Sequence[str]:
    """The sentences below the table: the recognised mistake, a note, and where the hints are."""
    said = []
    if report.note:
        said.append(report.note)
    if report.mistake:
        said.append(f"This looks like a known mistake ({words(report.mistake.name)}): {report.mistake.sentence}")
    elif report.verdict == "wrong" and report.exercise.hints:
        said.append(f'Stuck? hint("{report.exercise.id}") gives a nudge.')
    return said


def page(report: Report) -> str:
    """The report for a notebook."""
    escape = html.escape
    rows = "".join(
        f'<tr><td style="text-align:center">{_MARK[row.passed]}</td>'
        f'<td style="text-align:left">{escape(row.name)}</td>'
        f'<td style="text-align:left">{escape(row.message) or "right"}</td></tr>'
        for row in report.cases
    )
    table = ""
    if rows and report.verdict != "not written":
        head = "<tr><th></th><th style='text-align:left'>case</th><th style='text-align:left'>result</th></tr>"
        table = f"<table><thead>{head}</thead><tbody>{rows}</tbody></table>"
    below = "".join(f"<p style='margin:0.4em 0'>{escape(line)}</p>" for line in advice(report))
    return f"<div style='{_STYLE}'><strong>{escape(headline(report))}</strong>{table}{below}</div>"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def words(name: str) -> str:
    return name.replace("_", " ")
