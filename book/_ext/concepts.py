"""The concept map: each concept that the course promises, with a link to the section that teaches it.

``{concept-map}`` makes a table from every ``book/concepts/*.yml``. A label that does not resolve fails the build.
"""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


def read_chapter(path: Path) -> list[tuple[str, str]]:
    """The ``(concept, label)`` pairs of one file: a list of ``concept: ...`` with ``label: ...``.

    Raises
    ------
    ValueError
        The file has another form, or names a concept twice.
    """
    pairs = []
    for entry in yaml.safe_load(path.read_text(encoding="utf-8")) or []:
        match entry:
            case {"concept": str(concept), "label": str(label)} if len(entry) == 2:
                pairs.append((concept, label))
            case _:
                raise ValueError(f"{path.name}: {entry!r}: expected a concept and a label")
    names = [concept for concept, _ in pairs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or not pairs:
        raise ValueError(f"{path.name}: {', '.join(twice) + ': named twice' if twice else 'no concepts'}")
    return pairs


def concept_map(folder: Path) -> dict[str, list[tuple[str, str]]]:
    """The concepts of each chapter, named as its notebook is: ``02_backprop``."""
    return {path.stem: read_chapter(path) for path in sorted(folder.glob("*.yml"))}


class ConceptMap(SphinxDirective):
    """The table of concepts, one section a chapter."""

    def run(self) -> list[nodes.Node]:
        made: list[nodes.Node] = []
        for chapter, concepts in concept_map(Path(self.env.srcdir, "book", "concepts")).items():
            title = nodes.paragraph(classes=["rubric"])
            title += self._link("doc", f"/notebooks/{chapter}", chapter)
            made += [title, self._table(concepts)]
        return made

    def _table(self, concepts: list[tuple[str, str]]) -> nodes.table:
        table, group, body = nodes.table(), nodes.tgroup(cols=2), nodes.tbody()
        head = nodes.thead("", _row(nodes.Text("concept"), nodes.Text("where it is taught")))
        body += [_row(nodes.Text(concept), self._link("ref", label.lower(), label)) for concept, label in concepts]
        group += [nodes.colspec(colwidth=1), nodes.colspec(colwidth=1), head, body]
        table += group
        return table

    def _link(self, role: str, target: str, text: str) -> addnodes.pending_xref:
        """A link with the title of its target; Sphinx warns where there is no such target."""
        what = {"refdomain": "std", "reftype": role, "reftarget": target, "refexplicit": False, "refwarn": True}
        inner = nodes.inline(text, text, classes=["xref", "std", f"std-{role}"])
        return addnodes.pending_xref("", inner, refdoc=self.env.docname, **what)


def _row(*cells: nodes.Node) -> nodes.row:
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", cell)) for cell in cells))


def plain_titles(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Take the TeX out of the titles that the links show: a link's text is text."""
    if docname == "book/coverage":
        for link in doctree.findall(nodes.reference):
            for text in list(link.findall(nodes.Text)):
                text.parent.replace(text, nodes.Text(re.sub(r"\\math\w+\s*|[{}]", "", text)))


def always_read(app: Sphinx, env, added, changed, removed) -> set[str]:
    """Read the page in every build: a chapter's file may be new."""
    return {"book/coverage"} & env.found_docs


def setup(app: Sphinx) -> dict:
    app.add_directive("concept-map", ConceptMap)
    app.connect("env-get-outdated", always_read)
    app.connect("doctree-resolved", plain_titles)
    return {"version": "1", "parallel_read_safe": True}
