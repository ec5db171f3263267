"""Show the source of a reference implementation beside its formula, so that no page holds a copy of it."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable


class Source:
    """Python source that a notebook shows highlighted and a terminal shows as text."""

    def __init__(self, code: str):
        self.code = code

    def __repr__(self) -> str:
        return self.code

    def _repr_html_(self) -> str:
        from pygments import highlight
        from pygments.formatters import HtmlFormatter
        from pygments.lexers import PythonLexer

        # Classes only: the page's own style sheet colours them, in light and in dark.
        return highlight(self.code, PythonLexer(), HtmlFormatter(cssclass="highlight"))


def source(*functions: Callable, docstring: bool = False) -> Source:
    """The source of ``functions``, without their docstrings unless ``docstring`` is set."""
    return Source("\n\n\n".join(_code(function, docstring) for function in functions))


def _code(function: Callable, docstring: bool) -> str:
    code = textwrap.dedent(inspect.getsource(function)).rstrip()
    node = ast.parse(code).body[0]
    if docstring or ast.get_docstring(node) is None:
        return code
    # By its place in the source: since Python 3.13 the text of ``__doc__`` is not the text in the file.
    doc, lines = node.body[0], code.splitlines()
    after = lines[doc.end_lineno :]
    while after and not after[0].strip():
        after.pop(0)
    return "\n".join(lines[: doc.lineno - 1] + after)
