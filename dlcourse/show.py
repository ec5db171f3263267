"""Show the source of a reference implementation beside its formula, so that no page holds a copy of it."""

from __future__ import annotations

import inspect
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
    parts = []
    for function in functions:
        code = inspect.getsource(function)
        doc = function.__doc__
        if doc and not docstring:
            start = code.index(doc)
            opening = code.rindex("\n", 0, start) + 1
            closing = code.index("\n", start + len(doc)) + 1
            code = code[:opening] + code[closing:].lstrip("\n")
        parts.append(inspect.cleandoc("\n" + code) if code.startswith(" ") else code.rstrip())
    return Source("\n\n\n".join(parts))
