"""The mutants of a solution: which faults there are, where, and how they are named."""

from __future__ import annotations

import ast
import textwrap

import pytest

from dlcourse.check.mutate import OPERATORS, mutants

from .common import notebook


def cell(body: str) -> str:
    """A solution with this body, as it stands in a notebook."""
    inside = textwrap.indent(textwrap.dedent(body).strip(), "    ")
    return f'def f(x, w, b):\n    """A docstring: 1 + 1."""\n    ### BEGIN SOLUTION\n{inside}\n    ### END SOLUTION\n'


def made(body: str, operator: str) -> list[str]:
    """What an operator makes of a body's statements."""
    return [mutant.after for mutant in mutants(cell(body)) if mutant.operator == operator]


EXAMPLES = [
    ("arithmetic", "y = x + w", ["y = x - w"]),
    ("arithmetic", "y = x - w", ["y = x + w", "y = w - x"]),
    ("arithmetic", "y = x * w", ["y = x / w", "y = x + w"]),
    ("arithmetic", "y = x @ w", ["y = x * w", "y = w @ x"]),
    ("arithmetic", "y = x // w", ["y = x / w", "y = x * w", "y = w // x"]),
    ("arithmetic", "y = x % w", ["y = x // w"]),
    ("arithmetic", "y = x ** w", ["y = x * w", "y = w ** x"]),
    ("arithmetic", "x += w", ["x -= w"]),
    ("arithmetic", "x @= w", ["x *= w"]),
    ("term", "y = x @ w + b", ["y = x @ w", "y = b", "y = x + b", "y = w + b"]),
    ("sign", "y = -x", ["y = x"]),
    ("sign", "y = x", ["y = -x"]),
    ("sign", "return x, w", ["return -x, w", "return x, -w"]),
    ("sign", "y = np.zeros(3)", []),
    ("sign", "y = 0", []),
    ("sign", "return", []),
    ("comparison", "y = x > w", ["y = x >= w", "y = x <= w"]),
    ("comparison", "y = x < w", ["y = x <= w", "y = x >= w"]),
    ("comparison", "y = x == w", ["y = x != w"]),
    ("comparison", "y = x is not None", ["y = x is None"]),
    ("boolean", "y = x and w", ["y = x or w", "y = w", "y = x"]),
    ("boolean", "y = not x", ["y = x"]),
    ("boolean", "y = ~x", ["y = x"]),
    ("boolean", "if x: return w", ["if not x:"]),
    ("boolean", "y = f(w, keepdims=True)", ["y = f(w, keepdims=False)"]),
    ("constant", "y = 2", ["y = 3", "y = 1"]),
    ("constant", "y = 0", ["y = 1", "y = -1"]),
    ("constant", "y = 0.5", ["y = 1.0", "y = 0.25"]),
    ("constant", "y = 0.0", ["y = 1.0", "y = -1.0"]),
    ("constant", "y = 'text'", []),
    ("index", "y = x[:w]", ["y = x[:]", "y = x[:w + 1]", "y = x[:w - 1]"]),
    ("index", "y = x[1:]", ["y = x[:]"]),
    ("index", "y = x[::w]", ["y = x[:]"]),
    ("order", "y = x[w, b]", ["y = x[b, w]"]),
    ("order", "y = np.outer(x, w)", ["y = np.outer(w, x)"]),
    ("order", "return x, w, b", ["return w, x, b", "return x, b, w"]),
    ("order", "y = x.sum(axis=(0, 1))", []),
    ("axis", "y = x.sum(axis=1)", ["y = x.sum(axis=0)"]),
    ("axis", "y = x.sum(axis=0)", ["y = x.sum(axis=1)"]),
    ("axis", "y = x.mean(dim=(0, 2))", ["y = x.mean(dim=(2,))", "y = x.mean(dim=(0,))"]),
    ("axis", "y = x.T", ["y = x"]),
    ("einsum", "y = np.einsum('nc,ck->n', x, w)", [
        "y = np.einsum('cn,ck->n', x, w)", "y = np.einsum('nc,kc->n', x, w)",
    ]),
    ("reduction", "y = x.sum()", ["y = x.mean()", "y = x.max()"]),
    ("reduction", "y = np.argmax(x)", ["y = np.argmin(x)"]),
    ("reduction", "y = sum(x)", ["y = max(x)"]),
    ("function", "y = np.zeros(3, x)", ["y = np.ones(3, x)"]),
    ("function", "y = np.exp(x)", ["y = np.expm1(x)", "y = x"]),
    ("function", "y = x.copy()", ["y = x"]),
    ("function", "y = self.w.copy()", ["y = self.w"]),
    ("argument", "y = f(x, 1, axis=0)", ["y = f(1, axis=0)", "y = f(x, axis=0)", "y = f(x, 1)"]),
    ("argument", "y = np.exp(x)", []),
    ("statement", "y = x\nreturn y", ["pass", "pass"]),
    ("statement", "y += x", ["pass", "y = x"]),
    ("statement", "for i in x:\n    print(i)", ["for i in x: ... break", "pass"]),
    ("statement", "while x:\n    break", ["while x: ... break", "continue"]),
    ("statement", "y = x if w else b", ["pass", "y = x", "y = b"]),
    ("statement", "'a string alone'\ny = 1", ["pass"]),
    ("name", "H, W = x.shape\ny = H", ["y = W"]),
    ("name", "for i in x:\n    for j in w:\n        y = i", ["y = j"]),
    ("name", "y = x", []),
]  # fmt: skip


@pytest.mark.parametrize(("operator", "body", "expected"), EXAMPLES)
def test_operator(operator, body, expected):
    assert made(body, operator) == expected


def test_every_operator_has_an_example():
    assert {operator for operator, _, _ in EXAMPLES} == {*OPERATORS, "name"}


def test_only_the_solution_is_changed():
    source = cell("y = x @ w\nreturn y + b")
    for mutant in mutants(source):
        function = ast.parse(mutant.source).body[0]
        assert ast.get_docstring(function) == "A docstring: 1 + 1."
        assert ast.unparse(function.args) == "x, w, b"
        assert mutant.where == "f"
    outside = "k = 2\n" + source + "z = 1 + 1\n"
    assert len(mutants(outside)) == len(mutants(source))
    assert all(m.source.startswith("k = 2\n") and m.source.endswith("z = 1 + 1") for m in mutants(outside))


def test_only_one_statement_differs():
    body = "y = x @ w\nz = y + b\nreturn z"
    lines = ast.unparse(ast.parse(cell(body))).splitlines()
    for mutant in mutants(cell(body)):
        changed = mutant.source.splitlines()
        assert len(changed) == len(lines)
        assert [(a.strip(), b.strip()) for a, b in zip(lines, changed, strict=True) if a != b] == [
            (mutant.before, mutant.after)
        ]


def test_equal_input_gives_equal_mutants():
    source = cell("y = x @ w + b\nreturn np.maximum(y, 0)")
    assert mutants(source) == mutants(source)


@pytest.mark.parametrize("assignment", ["02_backprop", "08_convolution"])
def test_mutants_of_the_solutions_are_code_all_different(assignment):
    sources = [c.source for c in notebook(assignment).cells if c.cell_type == "code" and "BEGIN SOLUTION" in c.source]
    assert len(sources) > 5
    for source in sources:
        found = mutants(source)
        assert len(found) > 10
        texts = {ast.unparse(ast.parse(mutant.source)) for mutant in found}
        assert len(texts | {ast.unparse(ast.parse(source))}) == len(found) + 1
        assert len({mutant.key for mutant in found}) == len(found)


def test_keys_name_function_statement_and_repetition():
    source = textwrap.dedent(
        """
        class Layer:
            def forward(self, x):
                ### BEGIN SOLUTION
                x = x + 1
                x = x + 1
                return x
                ### END SOLUTION

            def step(self):
                ### BEGIN SOLUTION
                self.w -= self.dw
                ### END SOLUTION
        answer = None
        ### BEGIN SOLUTION
        answer = 3
        ### END SOLUTION
        """
    )
    keys = [mutant.key for mutant in mutants(source)]
    assert "Layer.forward: x = x + 1 => x = x - 1" in keys
    assert "Layer.forward: x = x + 1 => x = x - 1 (2)" in keys
    assert "Layer.step: self.w -= self.dw => self.w = self.dw" in keys
    assert "answer = 3 => answer = 4" in keys


@pytest.mark.parametrize("source", ["x = 1", "### BEGIN SOLUTION\n### END SOLUTION"])
def test_a_cell_without_a_solution_is_refused(source):
    with pytest.raises(ValueError, match="no solution"):
        mutants(source)


def test_a_cell_that_is_no_python_is_refused():
    with pytest.raises(SyntaxError):
        mutants("### BEGIN SOLUTION\nx = = 1\n### END SOLUTION")
