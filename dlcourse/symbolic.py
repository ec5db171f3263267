"""Chapter 19: symbolic regression: look for a formula, not for weights.

    found = search({"a": distance}, period, size=5)      # the best formula of every size, smallest first
    print(found[-1])                                     # 0.9994 · (a * sqrt(a)) +0.0032

Formulas are trees. They are made in order of size, from variables and constants up; a formula whose values on the data
equal those of a smaller one is dropped, which leaves few. Scale and offset are fitted by least squares.

Sources: Schmidt and Lipson, Distilling free-form natural laws from experimental data, Science 324 (2009), who search by
evolution; Udrescu and Tegmark, AI Feynman, Science Advances 6 (2020), arXiv:1905.11481, section 2, who also try all
formulas by size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

UNARY: dict[str, Callable] = {
    "sqrt": np.sqrt, "square": np.square, "exp": np.exp, "log": np.log, "sin": np.sin, "cos": np.cos,
}  # fmt: skip
BINARY: dict[str, tuple[Callable, bool]] = {  # the operation, and whether its sides may change places
    "+": (np.add, True), "*": (np.multiply, True), "-": (np.subtract, False), "/": (np.divide, False),
}  # fmt: skip


Tree = str | float | tuple  # a variable, a constant, or an operation and its one or two sides


def values(tree: Tree, variables: Mapping[str, np.ndarray]) -> np.ndarray:
    """What a tree is worth: ``("*", "a", ("sqrt", "a"))`` is a · √a."""
    if isinstance(tree, str):
        return np.asarray(variables[tree], float)
    if not isinstance(tree, tuple):
        return np.asarray(tree, float)
    name, *sides = tree
    f = UNARY[name] if len(sides) == 1 else BINARY[name][0]
    return f(*(values(side, variables) for side in sides))


def text(tree: Tree) -> str:
    """A tree as it is written on paper."""
    if not isinstance(tree, tuple):
        return tree if isinstance(tree, str) else f"{tree:g}"
    name, *sides = map(text, (tree[0], *tree[1:]))
    return f"{name}({sides[0]})" if len(sides) == 1 else f"({sides[0]} {name} {sides[1]})"


@dataclass(frozen=True)
class Formula:
    """``scale · tree + offset``.

    Attributes
    ----------
    tree : what :func:`values` and :func:`text` take
    size : how many variables, constants and operations it has, without scale and offset
    scale, offset : fitted by least squares
    error : root mean square of what is left, as a share of the target's standard deviation
    """

    tree: Tree
    size: int
    scale: float
    offset: float
    error: float

    def __str__(self) -> str:
        return f"{self.scale:.4g} · {text(self.tree)} {self.offset:+.2g}"

    def __call__(self, **variables: np.ndarray) -> np.ndarray:
        """Its values for other values of the variables."""
        return self.scale * values(self.tree, variables) + self.offset


def expressions(
    variables: Mapping[str, np.ndarray], size: int, constants: tuple[float, ...] = (1.0, 2.0)
) -> Iterator[tuple[Tree, int, np.ndarray]]:
    """All formulas of up to ``size`` symbols, as (tree, size, values), each set of values once, by the shortest.

    Those with a value that is not finite on the data are left out.

    Source: Udrescu and Tegmark (2020), section 2, by brute force.

    Parameters
    ----------
    variables : names to values (N,), all equally long

    Raises
    ------
    ValueError
        There is no variable, their lengths differ, or ``size`` is below 1.
    """
    given = {name: np.asarray(x, float) for name, x in variables.items()}
    if len({x.shape for x in given.values()}) != 1 or any(v.ndim != 1 for v in given.values()):
        shapes = {name: x.shape for name, x in given.items()}
        raise ValueError(f"variables have shapes {shapes}; expected at least one, and the same (N,) for all")
    if size < 1:
        raise ValueError(f"size is {size}; expected at least 1")
    n = len(next(iter(given.values())))
    seen: set[bytes] = set()
    by_size: dict[int, list[tuple[Tree, np.ndarray]]] = {k: [] for k in range(1, size + 1)}

    def candidates(k: int) -> Iterator[tuple[Tree, np.ndarray]]:
        if k == 1:
            yield from given.items()
            yield from ((c, np.full(n, c)) for c in constants)
            return
        for name, f in UNARY.items():
            yield from (((name, tree), f(x)) for tree, x in by_size[k - 1])
        for name, (f, turns) in BINARY.items():
            for left in range(1, k - 1):
                right = k - 1 - left
                if turns and left > right:
                    continue
                for tree, x in by_size[left]:
                    yield from (((name, tree, other), f(x, more)) for other, more in by_size[right])

    with np.errstate(all="ignore"):
        for k in range(1, size + 1):
            for tree, x in candidates(k):
                if not np.isfinite(x).all() or np.abs(x).max(initial=0) > 1e12:
                    continue
                key = (np.round(x, 9 - _digits(x)) + 0.0).tobytes()  # -0 becomes 0
                if key in seen:
                    continue
                seen.add(key)
                by_size[k].append((tree, x))
                yield tree, k, x


def _digits(x: np.ndarray) -> int:
    return int(np.ceil(np.log10(max(np.abs(x).max(initial=0), 1e-6))))


def search(
    variables: Mapping[str, np.ndarray], target: np.ndarray, size: int, constants: tuple[float, ...] = (1.0, 2.0)
) -> list[Formula]:
    """The best formula of each size that is better than every smaller one: from rough and short to exact and long.

    Source: Schmidt and Lipson (2009), who choose among the formulas on this front.

    Parameters
    ----------
    target : (N,), not constant

    Raises
    ------
    ValueError
        As :func:`expressions`; or the target's shape differs from the variables', or it is constant.
    """
    target = np.asarray(target, float)
    shapes = {np.shape(x) for x in variables.values()}
    if {target.shape} != shapes or not target.std() > 0:
        raise ValueError(f"target has shape {target.shape} and must vary; expected that of the variables, {shapes}")
    front: list[Formula] = []
    y = target - target.mean()
    for tree, k, raw in expressions(variables, size, constants):
        x = raw - raw.mean()
        power = x @ x
        scale = x @ y / power if power > 1e-18 * max(raw @ raw, 1e-300) else 0.0
        error = float(np.sqrt(np.mean((y - scale * x) ** 2)) / target.std())
        if front and error >= front[-1].error * (1 - 1e-9):
            continue
        found = Formula(tree, k, float(scale), float(target.mean() - scale * raw.mean()), error)
        if front and front[-1].size == k:
            front.pop()
        front.append(found)
    return front
