"""``{experiments}``: one table of every experiment, cut out of the pages that the measuring programs wrote.

``book/results/experiments.yml`` says where each number stands; nothing is copied by hand, so the table cannot disagree
with those pages. A cell that is not there, or is there twice, is an error of the build.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import yaml
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

HEAD = [
    "| experiment | source reports, or we wanted | measured here | machine | `python benchmarks/…` |",
    "|---|---|---|---|---|",
]


class Cell(NamedTuple):
    text: str
    part: str  # the name that the program's --only knows it by; "" where it has none


def find(page: str, row: str, column: str, which: int | None = None) -> Cell:
    """The cell whose row and column begin with these words, in all tables of a page, or in the one that is counted.

    For ``row`` the cells of a row are joined by " | ".

    Raises
    ------
    LookupError
        No cell is such a one, or several are; the message names them.
    """
    part, head, table, rows = "", [], -1, []
    for line in page.splitlines():
        if marker := re.fullmatch(r"<!-- (\w+) -->", line):
            part = "" if marker[1] == "end" else marker[1]
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")] if line.startswith("|") else []
        if not cells:
            head = []
        elif not head:
            head, table = cells, table + 1
        elif not set(line) <= set("|-: "):
            rows.append((part, head, table, cells))
    found = [
        Cell(cells[i].replace("**", ""), part)
        for part, head, number, cells in rows
        if " | ".join(cells).startswith(row) and which in (None, number)
        for i, title in enumerate(head)
        if i < len(cells) and (title == column if column in head else title.startswith(column))
    ]
    if len(found) != 1:
        raise LookupError(f"{len(found)} cells are in a row {row!r} and a column {column!r}; expected one")
    return found[0]


def lines(experiments: dict[str, list[dict]], folder: Path) -> list[str]:
    """The table in Markdown. ``experiments``: chapter's document to its entries, as in ``experiments.yml``.

    Raises
    ------
    LookupError
        An entry does not lead to one cell; the message names the entry.
    """
    out = [*HEAD]
    for chapter, entries in experiments.items():
        out.append(f"| **{{doc}}`/notebooks/{chapter}`** | | | | |")
        for entry in entries:
            page = folder / f"{entry['page']}.md"
            try:
                cell = find(page.read_text(encoding="utf-8"), entry["row"], entry["column"], entry.get("table"))
            except LookupError as error:
                raise LookupError(f"{chapter}, {entry['what']!r}, {page.name}: {error}") from None
            command = f"{entry['page']}.py" + (f" --only {cell.part}" if cell.part else "")
            machine = entry.get("machine", "1 thread")
            measured = f"{cell.text}{entry.get('unit', '')}"
            out.append(f"| {entry['what']} | {entry.get('reports', '–')} | {measured} | {machine} | `{command}` |")
    return out


class Experiments(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        folder = Path(self.env.srcdir) / "book" / "results"
        source = folder / "experiments.yml"
        for path in (source, *sorted(folder.glob("*.md"))):
            self.env.note_dependency(str(path))
        try:
            text = lines(yaml.safe_load(source.read_text(encoding="utf-8")), folder)
        except LookupError as error:
            raise self.error(str(error)) from None
        box = nodes.container(classes=["experiments"])
        self.state.nested_parse(StringList(text, str(source)), 0, box)
        return [box]


def setup(app: Sphinx) -> dict:
    app.add_directive("experiments", Experiments)
    return {"version": "1", "parallel_read_safe": True}
