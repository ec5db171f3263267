"""Leave out what a page does not need, and fold away what its reader does not.

Sphinx gives the first page MathJax (260 kB on the wire) because *other* pages have formulas.
The set-up cell of a chapter is for Colab; on the page it is one line to open.
"""

from __future__ import annotations

from docutils import nodes
from sphinx.application import Sphinx

SETUP = "# Set-up:"


def no_mathjax_without_maths(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    """Take MathJax off the first page where it has no formula of its own."""
    if pagename != app.config.root_doc or any(doctree.findall(lambda n: isinstance(n, nodes.math | nodes.math_block))):
        return
    scripts = context["script_files"]
    scripts[:] = [s for s in scripts if "mathjax" not in f"{s.filename} {s.attributes.get('body')}".lower()]


def fold_setup(app: Sphinx, doctree: nodes.document) -> None:
    """Fold the source of a notebook's set-up cell."""
    for cell in doctree.findall(nodes.container):
        if cell.get("nb_element") == "cell_code" and cell.astext().startswith(SETUP):
            cell["hide_mode"] = "input"
            cell["prompt_show"], cell["prompt_hide"] = "Show the set-up for Colab", "Hide the set-up for Colab"


def setup(app: Sphinx) -> dict:
    app.connect("html-page-context", no_mathjax_without_maths, priority=900)  # when all scripts are there
    app.connect("doctree-read", fold_setup)
    return {"version": "1", "parallel_read_safe": True}
