"""Leave out what a page does not need.

Sphinx gives the first page MathJax (260 kB on the wire) because *other* pages have formulas.
"""

from __future__ import annotations

from docutils import nodes
from sphinx.application import Sphinx


def no_mathjax_without_maths(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    """Take MathJax off the first page where it has no formula of its own."""
    if pagename != app.config.root_doc or any(doctree.findall(lambda n: isinstance(n, nodes.math | nodes.math_block))):
        return
    scripts = context["script_files"]
    scripts[:] = [s for s in scripts if "mathjax" not in f"{s.filename} {s.attributes.get('body')}".lower()]


def setup(app: Sphinx) -> dict:
    app.connect("html-page-context", no_mathjax_without_maths, priority=900)  # when all scripts are there
    return {"version": "1", "parallel_read_safe": True}
