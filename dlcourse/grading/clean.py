"""Executed notebooks and nbgrader's feedback pages without anything of a student's that a browser would run or fetch.

The cleaning is nbconvert's own, ``SanitizeHTML``; formgrader and ``nbgrader generate_feedback`` show what is made here.
"""

from __future__ import annotations

import base64
import binascii
import copy
import functools
import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbgrader.server_extensions.formgrader
from bs4 import BeautifulSoup
from nbconvert.exporters import HTMLExporter
from nbconvert.filters import markdown2html as unsafe_markdown2html
from nbconvert.preprocessors.sanitize import SanitizeHTML
from traitlets.config import Config

from dlcourse.grading.course import Assignment
from dlcourse.grading.grade import Result

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'; "
    "frame-src 'none'; object-src 'none'; script-src 'none'"
)
_WORDS = [
    "a",
    "abbr",
    "b",
    "code",
    "del",
    "em",
    "i",
    "kbd",
    "s",
    "samp",
    "small",
    "span",
    "strong",
    "sub",
    "sup",
    "u",
    "var",
]
_BLOCKS = ["blockquote", "br", "div", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "p", "pre"]
_LISTS = ["dd", "dl", "dt", "li", "ol", "ul"]
_TABLES = ["caption", "col", "colgroup", "table", "tbody", "td", "tfoot", "th", "thead", "tr"]
# Pygments' marks for highlighted code. Other classes and all ids are formgrader's own, and its scripts go by them.
_CLASS = re.compile(r"highlight|hl-\w+|highlight hl-\w+|[a-z]{1,2}\d?")
_ATTRIBUTES = {"a": ("href", "title"), "td": ("colspan", "rowspan"), "th": ("colspan", "rowspan")}
_MARKUP = re.compile(r"<[A-Za-z/!?]")
_STYLE = re.compile(r"<style\b.*?</style\s*>", re.IGNORECASE | re.DOTALL)
# Bounds on what the sanitiser, whose time may grow with the square of its input, is given: beyond them markup is
# shown as text.
_PIECE, _NOTEBOOK = 20_000, 200_000
# Of a cell's text, of all cells' together, and of a run of blanks in it.
_SOURCE, _SOURCES, _BLANK = 20_000, 400_000, 200
_BLANKS = re.compile(rf"\s{{{_BLANK},}}")
_FONT = re.compile(r"@font-face\s*\{[^}]*\}")
_PICTURES = {"image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff"}
_FORMGRADER = Path(nbgrader.server_extensions.formgrader.__file__).parent


def shown(of: Assignment, result: Result) -> dict[str, Any]:
    """The notebook that stands in ``autograded/``: the executed one, cleaned; or the blank one that says why not."""
    if result.notebook:
        return cleaned(result.notebook)
    notebook = copy.deepcopy(of.template)
    said = html.escape(f"Not graded: {result.refused}.")
    notebook["cells"].insert(0, {"cell_type": "markdown", "id": "not-graded", "metadata": {}, "source": said})
    return notebook


def cleaned(notebook: dict[str, Any]) -> dict[str, Any]:
    """A copy of a notebook without markup that could run in, or fetch something for, whoever looks at it.

    Text that holds no markup stays as it was written.
    """
    left, room = _NOTEBOOK, _SOURCES

    def clean(text: str) -> str:
        nonlocal left
        if not _MARKUP.search(text):
            return text
        left -= len(text)
        return _sanitised(text) if left >= 0 else html.escape(text, quote=False)

    cells = []
    for cell in notebook["cells"]:
        made = {key: value for key, value in cell.items() if key != "attachments"}
        made["source"] = _cut(made["source"], min(_SOURCE, max(room, 0)))
        room -= len(made["source"])
        if made["cell_type"] == "code":
            outputs = (_output(output, clean) for output in made.get("outputs", ()))
            made["outputs"] = [output for output in outputs if output]
        else:
            made["source"] = clean(made["source"])
        cells.append(made)
    return _encodable(notebook | {"cells": cells})


def _encodable(notebook: dict[str, Any]) -> dict[str, Any]:
    """With a question mark for each half of a character, which no file could hold."""
    text = json.dumps(notebook, ensure_ascii=False)
    whole = text.encode("utf-8", "replace")
    return notebook if whole == text.encode("utf-8", "surrogatepass") else json.loads(whole)


def _cut(source: str, most: int) -> str:
    """A cell's text as far as anyone would read it: highlighting code takes the square of its length, at worst."""
    shown = _BLANKS.sub(lambda found: found[0][:_BLANK], source)[:most]
    more = len(source) - len(shown)
    return f"{shown}\n\n# ... and {more:,} characters more, in the file handed in" if more else source


def markdown2html(source: str) -> str:
    """nbconvert's filter of this name, cleaned: links as ``javascript:`` are written in Markdown, not in HTML."""
    try:
        if len(source) <= _PIECE:
            # Highlighted code is many times longer than the code, and harmless.
            return _sanitised(unsafe_markdown2html(source), most=20 * _PIECE)
    except Exception:
        pass  # no picture of that name is attached, say; a text must not end a page that shows others too
    return f"<pre>{html.escape(source)}</pre>"


class FeedbackExporter(HTMLExporter):
    """nbgrader's feedback page without scripts, under a policy that lets none run and fetches nothing."""

    def __init__(self, config=None, **kwargs):
        styles = _FORMGRADER / "static" / "node_modules" / "bootstrap" / "dist" / "css"
        own = {
            "template_name": "feedback",
            "extra_template_basedirs": [str(_FORMGRADER / "templates")],
            "extra_template_paths": [str(styles)],
        }
        merged = Config(config or {})
        merged.FeedbackExporter.update(own)
        super().__init__(config=merged, **kwargs)
        self.register_filter("markdown2html", markdown2html)

    def from_notebook_node(self, nb, resources=None, **kwargs):
        """The page and its resources, as nbconvert gives them."""
        nb = copy.deepcopy(nb)
        for cell in nb.cells:
            if len(cell.source) > _SOURCE:
                cell.source = f"{cell.source[:_SOURCE]}\n... (the rest is left out here)"
        page, resources = super().from_notebook_node(nb, resources, **kwargs)
        soup = BeautifulSoup(page, "html.parser")
        for script in soup(["script", "iframe", "object", "embed", "base", "link"]):
            script.decompose()
        for style in soup("style"):  # Bootstrap's icons, which stand in files that this page has not
            style.string = _FONT.sub("", style.get_text())
        policy = soup.new_tag("meta", attrs={"http-equiv": "Content-Security-Policy", "content": POLICY})
        soup.head.insert(0, policy)
        return str(soup), resources


def _sanitised(text: str, most: int = _PIECE) -> str:
    if len(text) > most:
        return html.escape(text, quote=False)
    try:
        return _sanitizer().sanitize_html_tags(text)
    except RecursionError:
        return html.escape(text, quote=False)


@functools.cache
def _sanitizer() -> SanitizeHTML:
    return SanitizeHTML(tags=_WORDS + _BLOCKS + _LISTS + _TABLES, attributes=_allowed)


def _allowed(tag: str, name: str, value: str) -> bool:
    if name == "class":
        return bool(_CLASS.fullmatch(value))
    return name in _ATTRIBUTES.get(tag, ())


def _output(output: dict[str, Any], clean: Callable[[str], str]) -> dict[str, Any] | None:
    """One output rebuilt from the parts that are known to be harmless, or can be cleaned."""
    kind = output.get("output_type")
    if kind == "stream":
        name = "stderr" if output.get("name") == "stderr" else "stdout"
        return {"output_type": "stream", "name": name, "text": _text(output.get("text", ""))}
    if kind == "error":
        traceback = [_text(line) for line in output.get("traceback") or ()]
        name, value = _text(output.get("ename", "")), _text(output.get("evalue", ""))
        return {"output_type": "error", "ename": name, "evalue": value, "traceback": traceback}
    if kind not in ("display_data", "execute_result"):
        return None
    given, data = output.get("data") or {}, {}
    if "text/plain" in given:
        data["text/plain"] = _text(given["text/plain"])
    for key in ("text/html", "text/markdown"):
        if key in given:
            data[key] = clean(_STYLE.sub("", _text(given[key])))
    for key, begins in _PICTURES.items():
        picture = _picture(_text(given.get(key, "")), begins)
        if picture:
            data[key] = picture
    return {"output_type": "display_data", "data": data, "metadata": {}} if data else None


def _picture(text: str, begins: bytes) -> str:
    """Base64 of a picture, encoded anew; nothing for what is no such picture."""
    try:
        raw = base64.b64decode(text)
    except (binascii.Error, ValueError):
        return ""
    return base64.b64encode(raw).decode() if raw.startswith(begins) else ""


def _text(value: Any) -> str:
    return "".join(map(str, value)) if isinstance(value, list) else str(value)
