"""Docstrings are written to be read in a terminal; this lets the API pages show them as they stand.

An indented block after a blank line is an example or an equation: it keeps its lines (a literal block) instead of
being run together as a quotation.
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


def setup(app: Sphinx) -> dict:
    # After napoleon (priority 500), which turns Parameters, Returns and Raises into fields.
    app.connect("autodoc-process-docstring", keep_examples, priority=600)
    return {"version": "1", "parallel_read_safe": True}
