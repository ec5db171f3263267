"""The self-quiz that ends each lecture: sections titled ``Five questions to yourself``.

A choice is a ``<details>`` element that holds its reply, so the quiz answers at once with the keyboard, without
colour and without a script, on the page as in Jupyter and Colab. ``_static/quiz.js`` adds the count of answers that
were right at the first try.
"""

from __future__ import annotations

from docutils import nodes
from sphinx.application import Sphinx

TITLE = "Five questions to yourself"


def mark(app: Sphinx, doctree: nodes.document) -> None:
    """Give the section a class that the style sheet and the script find."""
    for section in doctree.findall(nodes.section):
        if section[0].astext() == TITLE:
            section["classes"].append("quiz")


def add_script(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    """Load the script where there is a quiz."""
    if doctree is not None and any("quiz" in section["classes"] for section in doctree.findall(nodes.section)):
        app.add_js_file("quiz.js", loading_method="defer")


def setup(app: Sphinx) -> dict:
    app.connect("doctree-read", mark)
    app.connect("html-page-context", add_script)
    return {"version": "1", "parallel_read_safe": True}
