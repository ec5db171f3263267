"""Make mutants of a solution: the same code with one small fault in it, as a student might make it.

A pure function, ``mutants(source)``. Only what stands between the marks of an nbgrader solution is changed. The
operators are of the usual families (arithmetic, comparison, constant, boolean, statement; Jia and Harman, An Analysis
and Survey of the Development of Mutation Testing, IEEE TSE 37 (2011), section 2) and of those that array code adds: the
axis, the order of axes, the ends of a slice, the reduction, the letters of an einsum, the transpose, the missing term.

Why no library: the maintained ones do the first half only. Of the solution ``return dout @ w.T, x.T @ dout,
dout.sum(axis=0)``, cosmic-ray 8.7 makes two mutants, both of the ``0``: it drops no statement and no term, and knows
neither ``@`` nor an axis. Each ``+`` it replaces by eleven operators, of which ``<<`` and ``|`` fail on floats whatever
the cases are. It brings 20 packages, a database and a web server among them. mutmut 3.8 writes its mutants into a
package that a test runner then imports, and has no interface to ask for them.
"""

from __future__ import annotations

import ast
import builtins
import copy
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"

_ARITHMETIC: dict[type, tuple[type, ...]] = {
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div, ast.Add),
    ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Div, ast.Mult),
    ast.Mod: (ast.FloorDiv,),
    ast.Pow: (ast.Mult,),
    ast.MatMult: (ast.Mult,),
    ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd,),
}
_COMPARISON: dict[type, tuple[type, ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_REDUCTION = {
    "sum": ("mean", "max"), "mean": ("sum", "max"), "prod": ("sum",), "max": ("min", "mean"), "min": ("max", "mean"),
    "amax": ("amin",), "amin": ("amax",), "argmax": ("argmin",), "argmin": ("argmax",),
    "maximum": ("minimum",), "minimum": ("maximum",), "any": ("all",), "all": ("any",),
    "std": ("var",), "var": ("std",), "cumsum": ("cumprod",), "cumprod": ("cumsum",), "median": ("mean",),
}  # fmt: skip
_FUNCTION = {
    "zeros": ("ones",), "ones": ("zeros",), "zeros_like": ("ones_like",), "ones_like": ("zeros_like",),
    "exp": ("expm1",), "log": ("log1p",), "sin": ("cos",), "cos": ("sin",), "sqrt": ("square",), "square": ("sqrt",),
    "floor": ("ceil",), "ceil": ("floor",), "triu": ("tril",), "tril": ("triu",), "append": ("extend",),
}  # fmt: skip

_SIMPLE = (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Expr, ast.Return, ast.Raise, ast.Delete)


@dataclass(frozen=True)
class Mutant:
    """A solution with one fault.

    Attributes
    ----------
    operator : the family of the fault, a key of ``OPERATORS``, or ``"name"``.
    where : the function or method, ``"Conv1x1.step"``; ``""`` outside of any.
    before, after : the statement without the fault, and with it; of a compound one, what stands before its body.
    source : the whole cell.
    number : from 1, where the same function has the same statement several times.
    """

    operator: str
    where: str
    before: str
    after: str
    source: str
    number: int = 1

    @property
    def key(self) -> str:
        """Names the mutant as long as the statement stays as it is: ``train: h = x @ w + b => h = x @ w``."""
        again = f" ({self.number})" if self.number > 1 else ""
        return f"{self.where}: {self.before} => {self.after}{again}".removeprefix(": ")


def mutants(source: str) -> list[Mutant]:
    """All mutants of the solution in a cell's ``source``, in the order of the code; no two have the same code.

    Raises
    ------
    ValueError
        There is no solution between ``### BEGIN SOLUTION`` and ``### END SOLUTION``.
    SyntaxError
        The cell is not Python.
    """
    lines = _solution_lines(source)
    tree = ast.parse(source)
    operators = {**OPERATORS, "name": _other_name(_siblings(tree))}
    seen, counts, made = {ast.unparse(tree)}, Counter(), []
    for spot in _spots(tree, tree, ""):
        if getattr(spot.node, "lineno", 0) not in lines:
            continue
        before = _headline(spot.statement)
        for operator, mutate in operators.items():
            if operator == "order" and _names_axes(spot.parent):
                continue  # a set of axes has no order
            for new in mutate(spot.node):
                with spot.replaced(new):
                    text = ast.unparse(ast.fix_missing_locations(tree))
                    after = _headline(new if spot.node is spot.statement else spot.statement)
                    if after == before:
                        after += " ... break"  # the body has changed, by a loop's early end
                if text in seen:
                    continue
                seen.add(text)
                counts[spot.where, before, after] += 1
                made.append(Mutant(operator, spot.where, before, after, text, counts[spot.where, before, after]))
    return made


def _solution_lines(source: str) -> set[int]:
    inside, lines = False, set()
    for number, line in enumerate(source.splitlines(), 1):
        if line.strip() in (BEGIN, END):
            inside = line.strip() == BEGIN
        elif inside:
            lines.add(number)
    if not lines:
        raise ValueError(f"there is no solution between {BEGIN!r} and {END!r}")
    return lines


# --- The tree ------------------------------------------------------------------------------------------------------


@dataclass
class _Spot:
    """A node, where it hangs, and the statement and the definition around it."""

    node: ast.AST
    parent: ast.AST
    field: str
    index: int | None
    statement: ast.AST
    where: str

    def replaced(self, new: ast.AST) -> _Replaced:
        return _Replaced(self, new)


class _Replaced:
    """While the block runs, another node stands in the spot's place."""

    def __init__(self, spot: _Spot, new: ast.AST):
        self.spot, self.new = spot, new

    def __enter__(self):
        self._put(self.new)

    def __exit__(self, *exception):
        self._put(self.spot.node)

    def _put(self, node):
        spot = self.spot
        if spot.index is None:
            setattr(spot.parent, spot.field, node)
        else:
            getattr(spot.parent, spot.field)[spot.index] = node


def _spots(parent: ast.AST, statement: ast.AST, where: str) -> Iterator[_Spot]:
    """Every node below ``parent``, outer ones first."""
    for field, value in ast.iter_fields(parent):
        for index, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if not isinstance(node, ast.AST):
                continue
            around = node if isinstance(node, ast.stmt) else statement
            yield _Spot(node, parent, field, index, around, where)
            inner = where
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                inner = f"{where}.{node.name}".removeprefix(".")
            yield from _spots(node, around, inner)


def _headline(statement: ast.AST) -> str:
    """A statement's text; of a compound one, what stands before its body."""
    if isinstance(statement, ast.Assign):
        return " = ".join(_bare(part) for part in (*statement.targets, statement.value))
    if isinstance(statement, ast.Return) and statement.value is not None:
        return f"return {_bare(statement.value)}"
    if isinstance(statement, ast.For):
        return f"for {_bare(statement.target)} in {_bare(statement.iter)}:"
    return ast.unparse(statement).splitlines()[0]


def _bare(node: ast.AST) -> str:
    # Around a tuple, some versions of Python write parentheses and some do not.
    text = ast.unparse(node)
    return text[1:-1] if isinstance(node, ast.Tuple) and text.startswith("(") else text


def _siblings(tree: ast.AST) -> dict[str, list[str]]:
    """Names that are easily mistaken for one another: unpacked side by side, or counted by nested loops."""
    found: dict[str, list[str]] = {}

    def join(names: list[str]) -> None:
        for name in names:
            found.setdefault(name, []).extend(n for n in names if n not in (name, "_", *found.get(name, ())))

    for node in ast.walk(tree):
        if isinstance(node, ast.Tuple) and isinstance(node.ctx, ast.Store):
            join([part.id for part in node.elts if isinstance(part, ast.Name)])
        elif isinstance(node, ast.For) and isinstance(node.target, ast.Name):
            inner = [n for n in node.body if isinstance(n, ast.For) and isinstance(n.target, ast.Name)]
            join([node.target.id, *(n.target.id for n in inner)])
    return found


# --- The operators: a node in, the nodes that may stand in its place out --------------------------------------------


def _with(node: ast.AST, **changes) -> ast.AST:
    """A shallow copy of a node with other fields."""
    new = copy.copy(node)
    for field, value in changes.items():
        setattr(new, field, value)
    return new


def _without(sequence: list, index: int) -> list:
    return [*sequence[:index], *sequence[index + 1 :]]


def _swaps(sequence: list) -> Iterator[list]:
    """The sequence with two neighbours swapped."""
    for i in range(len(sequence) - 1):
        yield [*sequence[:i], sequence[i + 1], sequence[i], *sequence[i + 2 :]]


def _number(value: int | float) -> ast.expr:
    return ast.Constant(value) if value >= 0 else ast.UnaryOp(ast.USub(), ast.Constant(-value))


def _negative(node: ast.expr) -> ast.expr:
    return ast.UnaryOp(ast.USub(), node)


def _names_axes(node: ast.AST) -> bool:
    return isinstance(node, ast.keyword) and node.arg in ("axis", "axes", "dim")


def _name_of(function: ast.expr) -> str:
    return getattr(function, "attr", getattr(function, "id", ""))


def arithmetic(node: ast.AST) -> Iterator[ast.AST]:
    """``a + b``: ``a - b``. Operands that do not commute are swapped too: ``a - b``: ``b - a``."""
    if isinstance(node, ast.BinOp | ast.AugAssign):
        for operator in _ARITHMETIC.get(type(node.op), ()):
            yield _with(node, op=operator())
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub | ast.Div | ast.FloorDiv | ast.MatMult | ast.Pow):
        yield _with(node, left=node.right, right=node.left)


def term(node: ast.AST) -> Iterator[ast.AST]:
    """A missing term or factor, a bias say: ``x @ w + b``: ``x @ w``."""
    if isinstance(node, ast.BinOp):
        yield from (node.left, node.right)


def sign(node: ast.AST) -> Iterator[ast.AST]:
    """``-x``: ``x``; the sign of what is assigned or returned is turned."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield node.operand
    if isinstance(node, ast.Assign | ast.Return) and node.value is not None:
        if isinstance(node.value, ast.Tuple):
            parts = node.value.elts
            for i, part in enumerate(parts):
                if _is_zero(part):
                    continue
                turned = [*parts[:i], _negative(part), *parts[i + 1 :]]
                yield _with(node, value=_with(node.value, elts=turned))
        elif not (isinstance(node.value, ast.UnaryOp) or _is_zero(node.value)):
            yield _with(node, value=_negative(node.value))


def _is_zero(node: ast.expr) -> bool:
    """``0``, ``np.zeros(...)``: what has no sign."""
    if isinstance(node, ast.Constant):
        return node.value == 0
    return isinstance(node, ast.Call) and _name_of(node.func) in ("zeros", "zeros_like")


def comparison(node: ast.AST) -> Iterator[ast.AST]:
    """``a > b``: ``a >= b`` and ``a <= b``."""
    if isinstance(node, ast.Compare):
        for i, operator in enumerate(node.ops):
            for other in _COMPARISON[type(operator)]:
                yield _with(node, ops=[*node.ops[:i], other(), *node.ops[i + 1 :]])


def boolean(node: ast.AST) -> Iterator[ast.AST]:
    """``and``: ``or``, one side alone; a condition is turned round; ``True``: ``False``."""
    if isinstance(node, ast.BoolOp):
        yield _with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
        for i in range(len(node.values)):
            left = _without(node.values, i)
            yield left[0] if len(left) == 1 else _with(node, values=left)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.Invert):
        yield node.operand
    elif isinstance(node, ast.If | ast.While | ast.IfExp):
        yield _with(node, test=ast.UnaryOp(ast.Not(), node.test))
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield ast.Constant(not node.value)


def constant(node: ast.AST) -> Iterator[ast.AST]:
    """A whole number one more and one less; another number doubled and halved."""
    if isinstance(node, ast.Constant) and not isinstance(node.value, bool):
        if isinstance(node.value, int):
            yield from (_number(node.value + 1), _number(node.value - 1))
        elif isinstance(node.value, float):
            yield from (_number(v) for v in ((node.value * 2, node.value / 2) if node.value else (1.0, -1.0)))


def index(node: ast.AST) -> Iterator[ast.AST]:
    """The ends and the step of a slice: left out, or off by one."""
    if isinstance(node, ast.Slice):
        for end in ("lower", "upper", "step"):
            if (value := getattr(node, end)) is not None:
                yield _with(node, **{end: None})
                if end != "step" and not isinstance(value, ast.Constant):
                    yield _with(node, **{end: ast.BinOp(value, ast.Add(), ast.Constant(1))})
                    yield _with(node, **{end: ast.BinOp(value, ast.Sub(), ast.Constant(1))})


def order(node: ast.AST) -> Iterator[ast.AST]:
    """Two neighbours swapped: axes of a shape or an index, results, arguments."""
    if isinstance(node, ast.Tuple | ast.List):
        yield from (_with(node, elts=elts) for elts in _swaps(node.elts))
    elif isinstance(node, ast.Call):
        yield from (_with(node, args=args) for args in _swaps(node.args))


def axis(node: ast.AST) -> Iterator[ast.AST]:
    """``axis=0``: ``axis=1``; one of several axes left out; the transpose forgotten."""
    if _names_axes(node):
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, int):
            yield _with(node, value=ast.Constant(0 if node.value.value else 1))
        elif isinstance(node.value, ast.Tuple):
            for i in range(len(node.value.elts)):
                yield _with(node, value=_with(node.value, elts=_without(node.value.elts, i)))
    elif isinstance(node, ast.Attribute) and node.attr in ("T", "mT"):
        yield node.value


def einsum(node: ast.AST) -> Iterator[ast.AST]:
    """Two neighbouring letters swapped, in one of an einsum's terms."""
    if not (isinstance(node, ast.Call) and _name_of(node.func) == "einsum" and node.args):
        return
    first, *others = node.args
    if isinstance(first, ast.Constant) and isinstance(first.value, str):
        letters = first.value
        for i in range(len(letters) - 1):
            if letters[i].isalpha() and letters[i + 1].isalpha():
                swapped = letters[:i] + letters[i + 1] + letters[i] + letters[i + 2 :]
                yield _with(node, args=[ast.Constant(swapped), *others])


def reduction(node: ast.AST) -> Iterator[ast.AST]:
    """``sum``: ``mean`` and ``max``; and the like."""
    yield from _called_otherwise(node, _REDUCTION)


def function(node: ast.AST) -> Iterator[ast.AST]:
    """``zeros``: ``ones``; a function of one argument, or a method, is not applied: ``np.exp(x)``: ``x``."""
    yield from _called_otherwise(node, _FUNCTION)
    if isinstance(node, ast.Call):
        if len(node.args) == 1 and not isinstance(node.args[0], ast.Starred):
            yield node.args[0]
        if isinstance(node.func, ast.Attribute) and not _is_module(node.func.value):
            yield node.func.value


def _called_otherwise(node: ast.AST, table: dict[str, tuple[str, ...]]) -> Iterator[ast.AST]:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
        for other in table.get(_name_of(node.func), ()):
            if isinstance(node.func, ast.Attribute):
                yield _with(node, func=_with(node.func, attr=other))
            elif other in vars(builtins):
                yield _with(node, func=_with(node.func, id=other))


def _is_module(node: ast.expr) -> bool:
    """``np``, ``np.random``, ``torch.nn.functional``, and ``self``: nothing that a method could be left out of."""
    root = node
    while isinstance(root, ast.Attribute):
        root = root.value
    if not isinstance(root, ast.Name):
        return False
    return root.id in ("np", "torch", "nn", "F", "math", "dlcourse") or (root is node and root.id == "self")


def argument(node: ast.AST) -> Iterator[ast.AST]:
    """One argument of several left out, by its place or by its name."""
    if isinstance(node, ast.Call):
        if len(node.args) > 1:
            yield from (_with(node, args=_without(node.args, i)) for i in range(len(node.args)))
        yield from (_with(node, keywords=_without(node.keywords, i)) for i in range(len(node.keywords)))


def statement(node: ast.AST) -> Iterator[ast.AST]:
    """A statement left out; ``+=``: ``=``; a loop that ends after its first round."""
    docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    if isinstance(node, _SIMPLE) and not docstring:
        yield ast.Pass()
    if isinstance(node, ast.AugAssign):
        yield ast.Assign([node.target], node.value)
    if isinstance(node, ast.For | ast.While):
        yield _with(node, body=[*node.body, ast.Break()])
    if isinstance(node, ast.Break):
        yield ast.Continue()
    if isinstance(node, ast.Continue):
        yield ast.Break()
    if isinstance(node, ast.IfExp):
        yield from (node.body, node.orelse)


def _other_name(siblings: dict[str, list[str]]) -> Callable[[ast.AST], Iterable[ast.AST]]:
    """A name taken for its sibling: ``H`` for ``W``, ``i`` for ``j``."""

    def name(node: ast.AST) -> Iterator[ast.AST]:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield from (_with(node, id=other) for other in siblings.get(node.id, ()))

    return name


OPERATORS: dict[str, Callable[[ast.AST], Iterable[ast.AST]]] = {
    f.__name__: f
    for f in (
        arithmetic, term, sign, comparison, boolean, constant, index, order, axis, einsum, reduction, function,
        argument, statement,
    )
}  # fmt: skip
