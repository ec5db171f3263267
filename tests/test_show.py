"""Source as the pages show it: without the docstring, otherwise as it stands in the file."""

import ast
import inspect
import textwrap

import pytest

from dlcourse import conv, mlp
from dlcourse.show import source


def documented(x):
    """One line."""
    return x + 1


def long_documented(x):
    """More

    than one line.
    """

    return x  # kept


def bare(x):
    return x


def test_the_docstring_goes_and_the_code_stays():
    assert str(source(documented)) == "def documented(x):\n    return x + 1"
    assert str(source(long_documented)) == "def long_documented(x):\n    return x  # kept"
    assert str(source(bare)) == "def bare(x):\n    return x"


def test_the_docstring_stays_where_it_is_asked_for():
    assert '"""One line."""' in str(source(documented, docstring=True))


def test_methods_are_shown_without_their_indent():
    shown = str(source(mlp.MLP.forward))
    assert shown.startswith("def forward(self") and '"""' not in shown


def test_several_functions_stand_below_each_other():
    assert str(source(bare, documented)).count("def ") == 2


@pytest.mark.parametrize("name", conv.__all__)
def test_what_is_shown_is_the_code_that_runs(name):
    shown = ast.parse(str(source(getattr(conv, name))))
    real = ast.parse(textwrap.dedent(inspect.getsource(getattr(conv, name))))
    assert ast.dump(shown.body[0].body[-1]) == ast.dump(real.body[0].body[-1])
    assert ast.get_docstring(shown.body[0]) is None


def test_html_is_highlighted_with_classes_only():
    page = source(bare)._repr_html_()
    assert 'class="highlight"' in page and "style=" not in page
