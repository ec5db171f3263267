"""The concept map: each concept that the course promises, with a link to the section that teaches it.

``{concept-map}`` makes a table from every ``book/concepts/*.yml``. A label that does not resolve fails the build.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import yaml
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class Chapter(NamedTuple):
    """One file of the concept map: a chapter's title and ``(concept, label)`` for each concept."""

    title: str
    concepts: list[tuple[str, str]]


def read_chapter(path: Path) -> Chapter:
    """Read ``{title: ..., concepts: {concept: label}}``.

    Raises
    ------
    ValueError
        The file has another form, or names a concept twice.
    """
    data = yaml.load(path.read_text(encoding="utf-8"), Loader=_NoDuplicates)
    match data:
        case {"title": str(title), "concepts": dict(concepts)} if concepts:
            return Chapter(title, [(str(concept), str(label)) for concept, label in concepts.items()])
    raise ValueError(f"{path.name}: expected `title: ...` and `concepts:` with `concept: label` lines")


def concept_map(folder: Path) -> list[Chapter]:
    """All chapters, in the order of their file names."""
    return [read_chapter(path) for path in sorted(folder.glob("*.yml"))]


class _NoDuplicates(yaml.SafeLoader):
    """YAML lets a later key overwrite an earlier one in silence."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        twice = sorted({str(key) for key in keys if keys.count(key) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)}: named twice")
        return super().construct_mapping(node, deep)


class ConceptMap(SphinxDirective):
    """The table of concepts, one section a chapter."""

    def run(self) -> list[nodes.Node]:
        folder = Path(self.env.srcdir, "book", "concepts")
        sections: list[nodes.Node] = []
        for chapter in concept_map(folder):
            section = nodes.section(ids=[nodes.make_id(f"concepts-{chapter.title}")])
            section += nodes.title(text=chapter.title)
            section += self._table(chapter)
            sections.append(section)
        return sections

    def _table(self, chapter: Chapter) -> nodes.table:
        table = nodes.table(classes=["concept-map"])
        group = nodes.tgroup(cols=2)
        group += [nodes.colspec(colwidth=50), nodes.colspec(colwidth=50)]
        head = nodes.thead()
        head += _row([nodes.Text("Concept")], [nodes.Text("Where it is taught")])
        body = nodes.tbody()
        for concept, label in chapter.concepts:
            link = addnodes.pending_xref(
                "", reftype="ref", refdomain="std", reftarget=label.lower(), refexplicit=False, refwarn=True,
                refdoc=self.env.docname,
            )  # fmt: skip
            link += nodes.inline(text=label, classes=["xref", "std", "std-ref"])
            body += _row(self.parse_inline(concept)[0], [link])
        group += [head, body]
        table += group
        return table


def _row(*cells: list[nodes.Node]) -> nodes.row:
    row = nodes.row()
    for cell in cells:
        entry = nodes.entry()
        paragraph = nodes.paragraph()
        paragraph += cell
        entry += paragraph
        row += entry
    return row


def always_read(app: Sphinx, env, added, changed, removed) -> set[str]:
    """Read the page in every build: a chapter's file may be new."""
    return {"book/coverage"} & env.found_docs


def setup(app: Sphinx) -> dict:
    app.add_directive("concept-map", ConceptMap)
    app.connect("env-get-outdated", always_read)
    return {"version": "1", "parallel_read_safe": True}
