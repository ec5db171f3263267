"""Docstrings are written to be read in a terminal; this lets the API pages show them as they stand.

An indented block after a blank line is an example or an equation: it keeps its lines (a literal block) instead of
being run together as a quotation. A line that begins with "Source:" opens a section of its own, also behind Raises,
where it would else be read as an exception of that name. Fields of a named tuple that nobody described are left out.
"""

from __future__ import annotations

import re

from sphinx.application import Sphinx

_FIELD = re.compile(r"\s*(:|\.\. |[-*] |\d+\. )")


def keep_examples(app: Sphinx, what: str, name: str, obj, options, lines: list[str]) -> None:
    """Turn each indented block that follows a paragraph of the top level into a literal block."""
    out: list[str] = []
    previous = ""  # the last line that is not blank
    for i, line in enumerate(lines):
        starts = line.startswith("    ") and i > 0 and not lines[i - 1].strip()
        if starts and previous and not previous.startswith(" ") and not _FIELD.match(previous):
            out += ["::", ""]
        out.append(line)
        previous = line if line.strip() else previous
    lines[:] = out


def source_as_section(app: Sphinx, what: str, name: str, obj, options, lines: list[str]) -> None:
    """Turn ``Source: text`` into a section that napoleon knows (``napoleon_custom_sections``)."""
    out: list[str] = []
    for line in lines:
        said = line.removeprefix("Source: ")
        out += [line] if said == line else ["Source", "------", said]
    lines[:] = out


def without_aliases(app: Sphinx, what: str, name: str, obj, skip: bool, options) -> bool | None:
    """Leave out a field that says no more than ``Alias for field number 0``."""
    return True if str(getattr(obj, "__doc__", "")).startswith("Alias for field number") else None


def setup(app: Sphinx) -> dict:
    app.connect("autodoc-process-docstring", source_as_section, priority=400)  # before napoleon, at 500
    app.connect("autodoc-skip-member", without_aliases)
    # After napoleon, which turns Parameters, Returns and Raises into fields.
    app.connect("autodoc-process-docstring", keep_examples, priority=600)
    return {"version": "1", "parallel_read_safe": True}
