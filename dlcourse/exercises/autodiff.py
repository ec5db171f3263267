"""Exercises of chapter 03, automatic differentiation: the assignment ``03_autodiff``.

The students build the parts of an engine, so all engines are withheld: the course's and torch's.
"""

from __future__ import annotations

import numpy as np

from dlcourse import autodiff, data
from dlcourse.exercises.compare import Close, FalseFail, Holds
from dlcourse.exercises.offered import AUTOGRAD
from dlcourse.exercises.plain import numbers, parts
from dlcourse.exercises.spec import Case, Exercise, Mistake, calls, case, steps, text_exercise

# float32 answers pass; every slip in a rule is far larger.
CLOSE = Close(rtol=1e-4, atol=1e-6)
ENGINES = (
    *AUTOGRAD,
    *(f"dlcourse.autodiff.{name}" for name in ("Dual", "Tensor", "Value", "grad", "jvp")),
)


# --- A number: all paths ------------------------------------------------------------------------------------------

A, B = 2, 3

paths = Exercise(
    id="autodiff.paths",
    title="Add over paths",
    name="df_db",
    kind="number",
    points=1,
    reference=(A * B + 1) + (A + B) * A,
    cases=lambda rng: [Case("∂f/∂b of f = (a + b)(ab + 1) at a = 2, b = 3")],
    compare=Close(rtol=1e-9, atol=0),
    mistakes=(
        Mistake("one_path", A * B + 1, "this is what comes back over a + b. Which other node uses b?"),
        Mistake("other_path", (A + B) * A, "this is what comes back over ab. Which other node uses b?"),
        Mistake("with_respect_to_a", (A * B + 1) + (A + B) * B, "this is ∂f/∂a; the question is about b."),
        Mistake(
            "paths_multiplied",
            (A * B + 1) * (A + B) * A,
            "slopes are multiplied along one path; what comes over different paths is put together in another way.",
        ),
        Mistake("value", (A + B) * (A * B + 1), "this is f itself, not its derivative."),
        Mistake(
            "slope_one",
            (A * B + 1) + (A + B),
            "one of the paths goes through the product ab, and its slope with respect to b is not 1.",
        ),
    ),
    hints=(
        "Draw the graph: c = a + b, d = ab, g = d + 1, f = c g. How many paths lead from f back to b?",
        "The path over c has the slopes g and 1. The path over d has the slopes c, 1 and the slope of ab with "
        "respect to b.",
        "With c = 5 and g = 7: the first path gives 7 · 1, the second 5 · 1 · a. Add them.",
    ),
    difficulty=1,
    importance=4,
    minutes=5,
)


# --- Broadcasting in reverse --------------------------------------------------------------------------------------


def unbroadcast(g, shape):
    return autodiff.unbroadcast(g, tuple(shape))


def unbroadcast_cases(rng):
    def sized(name, wide, shape, dtype=np.float64):
        return case(name, rng.normal(size=wide).astype(dtype), shape)

    yield case("by hand: a bias of 3, two rows", np.array([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]]), (3,))
    yield case("by hand: a column, three copies", np.array([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]]), (2, 1))
    yield sized("nothing was repeated", (2, 3), (2, 3))
    yield sized("a single number", (2, 3), ())
    yield sized("(1, 1) in (4, 3)", (4, 3), (1, 1))
    yield sized("a row in a square", (3, 3), (1, 3))
    yield sized("a bias in a square", (3, 3), (3,))
    yield sized("a column in a square", (3, 3), (3, 1))
    yield sized("two new axes", (2, 3, 4), (4,))
    yield sized("a new axis and a stretched one", (3, 2, 4), (2, 1))
    yield sized("a new axis, one stretched in front", (2, 3, 4), (1, 4))
    yield sized("stretched in the middle", (2, 3, 4), (2, 1, 4))
    yield sized("an axis of 1 that stays", (1, 4), (1, 4))
    yield sized("a new axis of 1", (1, 4), (4,))
    yield sized("float32", (5, 3, 2), (3, 1), np.float32)


def _aligned(g, shape):
    """Shape of the same number of axes, and what was new."""
    new = g.ndim - len(shape)
    return (1,) * new + tuple(shape), new


def averaged(g, shape):
    return unbroadcast(g, shape) * (np.prod(shape) / g.size)


def stretched_forgotten(g, shape):
    return g.sum(axis=tuple(range(_aligned(g, shape)[1])))


def new_axes_forgotten(g, shape):
    wide, _ = _aligned(g, shape)
    return g.sum(axis=tuple(i for i, (n, m) in enumerate(zip(wide, g.shape, strict=True)) if n != m), keepdims=True)


def axes_dropped(g, shape):
    wide, _ = _aligned(g, shape)
    return g.sum(axis=tuple(i for i, (n, m) in enumerate(zip(wide, g.shape, strict=True)) if n != m))


def first_copy(g, shape):
    wide, _ = _aligned(g, shape)
    return g[tuple(slice(0, n) for n in wide)].reshape(shape)


reverse_broadcast = Exercise(
    id="autodiff.unbroadcast",
    title="Broadcasting in reverse",
    name="unbroadcast",
    kind="function",
    points=3,
    reference=unbroadcast,
    cases=unbroadcast_cases,
    compare=CLOSE,
    mistakes=(
        Mistake(
            "averaged",
            averaged,
            "your numbers are too small by the number of copies. Each copy changes the loss on its own: nothing is "
            "divided.",
        ),
        Mistake(
            "stretched_forgotten",
            stretched_forgotten,
            "new axes in front are summed, but an axis of length 1 that was stretched is still long.",
        ),
        Mistake(
            "new_axes_forgotten",
            new_axes_forgotten,
            "the sums are right, but axes that NumPy put in front are still there, with length 1.",
        ),
        Mistake(
            "axes_dropped",
            axes_dropped,
            "the sums are right, but a stretched axis is gone: it was there before, with length 1.",
        ),
        Mistake(
            "first_copy",
            first_copy,
            "you gave back what came to the first copy alone; the others changed the loss too.",
        ),
    ),
    withhold=(*ENGINES, "dlcourse.autodiff.unbroadcast", "torch.Tensor.sum_to_size"),
    hints=(
        "NumPy aligns shapes at their last axes. Two things may have happened to an axis: it was put in front, or it "
        "had length 1 and was stretched. Deal with one after the other.",
        "g.ndim − len(shape) axes were put in front: sum over them. Then g has as many axes as shape; sum over those "
        "where shape has a 1, so that the axis stays (keepdims=True).",
        "g = g.sum(axis=tuple(range(g.ndim − len(shape)))), and then g.sum(axis=..., keepdims=True) over all i with "
        "shape[i] == 1. A sum over no axes, axis=(), changes nothing.",
    ),
    difficulty=2,
    importance=5,
    minutes=15,
)


# --- Forward mode -------------------------------------------------------------------------------------------------

TWO = {"add": lambda a, b: a + b, "mul": lambda a, b: a * b, "div": lambda a, b: a / b}
ONE = {"sin": autodiff.sin, "exp": autodiff.exp}


def run_forward(program, x, v):
    made = [autodiff.Dual(float(a), float(b)) for a, b in zip(x, v, strict=True)]
    for name, *where in program:
        made.append((TWO | ONE)[name](*(made[i] for i in where)))
    return made[-1].value, made[-1].tangent


def forward_cases(rng):
    example = [("add", 0, 1), ("add", 1, 2), ("mul", 3, 4)]
    at = np.array([2.0, 1.0, 1.0])
    yield case("the lecture's e, b moves: 6 and 5", example, at, np.array([0.0, 1.0, 0.0]))
    yield case("the lecture's e, a moves: 6 and 2", example, at, np.array([1.0, 0.0, 0.0]))
    yield case("nothing moves", example, at, np.zeros(3))
    for name, steps_ in {
        "a square": [("mul", 0, 0)],
        "a sum with itself": [("add", 0, 0)],
        "a quotient": [("div", 0, 1)],
        "a number by itself": [("div", 1, 1)],
        "a sine": [("sin", 0)],
        "an exponential": [("exp", 1)],
        "a sine of a square": [("mul", 1, 1), ("sin", 3)],
        "an exponential of a quotient": [("div", 0, 1), ("exp", 3)],
        "the last result counts": [("exp", 0), ("sin", 3), ("add", 1, 2)],
    }.items():
        yield case(name, steps_, rng.uniform(0.5, 1.5, 3), rng.normal(size=3))
    for n in (3, 8, 25):
        program = []
        for k in range(n):
            name = str(rng.choice(["add", "mul", "div", "sin", "exp"])) if k % 3 else "sin"
            where = [int(i) for i in rng.integers(0, 3 + k, 2)]
            # Sines keep the numbers small, and divisors are numbers that were given.
            where = where[:1] if name in ONE else [where[0], where[1] % 3] if name == "div" else where
            program.append(("sin", where[0]) if name == "exp" and k > 4 else (name, *where))
        yield case(f"a random program of {n} steps", program, rng.uniform(0.5, 1.5, 3), rng.normal(size=3))


def _with_rules(rules):
    """A wrong forward mode: other tangents for some operations."""

    def run(program, x, v):
        values, tangents = [float(a) for a in x], [float(b) for b in v]
        for name, *where in program:
            a, da = values[where[0]], tangents[where[0]]
            b, db = values[where[-1]], tangents[where[-1]]
            right = {
                "add": lambda a, b, da, db: da + db,
                "mul": lambda a, b, da, db: da * b + a * db,
                "div": lambda a, b, da, db: (da - a / b * db) / b,
                "sin": lambda a, b, da, db: np.cos(a) * da,
                "exp": lambda a, b, da, db: np.exp(a) * da,
            }
            tangents.append((right | rules)[name](a, b, da, db))
            values.append({**TWO, "sin": lambda a, b: np.sin(a), "exp": lambda a, b: np.exp(a)}[name](a, b))
        return values[-1], tangents[-1]

    return run


def first_result(program, x, v):
    return run_forward(program[:1], x, v)


def tangent_first(program, x, v):
    return run_forward(program, x, v)[::-1]


forward_mode = Exercise(
    id="autodiff.run_forward",
    title="Forward mode",
    name="run_forward",
    kind="function",
    points=3,
    reference=run_forward,
    cases=forward_cases,
    compare=CLOSE,
    mistakes=(
        Mistake(
            "product_of_tangents",
            _with_rules({"mul": lambda a, b, da, db: da * db}),
            "the derivative of a product is not the product of the derivatives. Multiply (a + a'ε)(b + b'ε) out.",
        ),
        Mistake(
            "quotient_of_tangents",
            _with_rules({"div": lambda a, b, da, db: (da * b + a * db) / (b * b)}),
            "look at the quotient again: a larger divisor makes a quotient smaller, so one term has a minus.",
        ),
        Mistake(
            "divisor_stands_still",
            _with_rules({"div": lambda a, b, da, db: da / b}),
            "in a quotient the divisor moves too.",
        ),
        Mistake(
            "inner_slope_forgotten",
            _with_rules({"sin": lambda a, b, da, db: np.cos(a), "exp": lambda a, b, da, db: np.exp(a)}),
            "the slope of sine and exponential is right; the chain rule multiplies it by how fast their input moves.",
        ),
        Mistake(
            "minus_in_the_sine",
            _with_rules({"sin": lambda a, b, da, db: -np.cos(a) * da}),
            "the sine rises at 0. Which of sine and cosine has a minus in its derivative?",
        ),
        Mistake("tangent_first", tangent_first, "both numbers are right; the value comes first, then the tangent."),
    ),
    withhold=ENGINES,
    hints=(
        "Keep two lists side by side, values and tangents. They begin as x and v, and every step appends one number to "
        "each.",
        "Sum: a' + b'. Product: a'b + ab'. Sine: cos(a) a'. Exponential: eᵃ a'. For the quotient q = a/b start from "
        "a = q b and differentiate both sides.",
        "Quotient: (a' − q b') / b. With `for name, *where in program`, a is values[where[0]] and b is "
        "values[where[-1]]. At the end return values[-1], tangents[-1].",
    ),
    difficulty=2,
    importance=4,
    minutes=20,
)


# --- A property: an order for the way back ------------------------------------------------------------------------


class _Node:
    __slots__ = ("inputs", "number")

    def __init__(self, number):
        self.number = number


def backward_order(inputs, root):
    nodes = [_Node(i) for i in range(len(inputs))]
    for node, listed in zip(nodes, inputs, strict=True):
        node.inputs = [nodes[i] for i in listed]
    try:
        return [node.number for node in autodiff.topological_order(nodes[root])]
    except ValueError:
        return []


def _needed(inputs, root):
    """The nodes that ``root`` depends on, itself included."""
    needed, todo = {root}, [root]
    while todo:
        for i in inputs[todo.pop()]:
            if i not in needed:
                needed.add(i)
                todo.append(i)
    return needed


def order_cases(rng):
    def graph(name, inputs, root, cycle=False):
        return calls(name, [(inputs, root)], secret={"cycle": cycle})

    def relabelled(name, inputs, root, cycle=False):
        """The same graph with other numbers, so that their order says nothing."""
        new = rng.permutation(len(inputs)).tolist()
        moved = [[] for _ in inputs]
        for i, listed in enumerate(inputs):
            moved[new[i]] = [new[j] for j in listed]
        return graph(name, moved, new[root], cycle)

    def random_inputs(n):
        return [rng.integers(0, k, rng.integers(0, 3)).tolist() if k else [] for k in range(n)]

    yield graph("the lecture's e: a, b, 1, c, d, e", [[], [], [], [0, 1], [1, 2], [3, 4]], 5)
    yield graph("a single number", [[]], 0)
    yield graph("a square", [[], [0, 0]], 1)
    yield graph("a number that a later one uses again", [[], [0], [1], [2, 0], [3, 1]], 4)
    yield relabelled("the same with other numbers", [[], [0], [1], [2, 0], [3, 1]], 4)
    yield relabelled("two that do not matter", [[], [0], [], [1, 0], [3]], 3)
    yield relabelled("a ladder: many paths", [[] if k == 0 else [k - 1, max(k - 2, 0)] for k in range(40)], 39)
    yield relabelled("random, 12 nodes", [*random_inputs(11), [9, 10]], 11)
    yield relabelled("random, 60 nodes", [*random_inputs(59), [57, 58]], 59)
    yield relabelled("a chain of 5,000", [[k - 1] if k else [] for k in range(5000)], 4999)
    yield graph("a cycle of two: refuse", [[], [0, 2], [1], [2]], 3, cycle=True)
    yield graph("computed from itself: refuse", [[], [0, 1]], 1, cycle=True)
    yield relabelled("a cycle in a corner: refuse", [[], [0, 4], [1], [0, 2], [2], [3, 4]], 5, cycle=True)
    yield relabelled("a cycle that does not matter", [[], [0], [3], [2], [1, 0]], 4)


def _order(case, values):
    found = numbers(values[0])
    return [int(i) for i in found.ravel()[:100_000]]


def order_rule(case, values):
    inputs, root = case.calls[0].args
    found = numbers(values[0])
    if found.ndim != 1 or (found != np.round(found)).any():
        return "the result is no list of node numbers"
    order, needed = _order(case, values), _needed(inputs, root)
    if case.secret["cycle"]:
        return "the graph has a cycle: expected an empty list" if order else None
    strange = [i for i in order if not 0 <= i < len(inputs)]
    if strange:
        return f"{strange[0]} is not the number of a node"
    place = {node: i for i, node in reversed(list(enumerate(order)))}
    if len(place) < len(order):
        twice = next(node for i, node in enumerate(order) if place[node] != i)
        return f"node {twice} comes more than once"
    if missing := needed - set(order):
        return f"node {min(missing)} is missing: the result depends on it"
    if more := set(order) - needed:
        return f"node {min(more)} is in the list, but the result does not depend on it"
    for node in order:
        for i in inputs[node]:
            if place[i] < place[node]:
                return f"node {i} comes before node {node}, which uses it"
    return None


def depth_first(inputs, root):
    order, seen, todo = [], set(), [root]
    while todo:
        node = todo.pop()
        if node not in seen:
            seen.add(node)
            order.append(node)
            todo += inputs[node]
    return order


def inputs_first(inputs, root):
    return backward_order(inputs, root)[::-1]


def everything(inputs, root):
    found = backward_order(inputs, root)
    return found + [i for i in range(len(inputs)) if i not in found] if found else []


def cycle_accepted(inputs, root):
    return backward_order(inputs, root) or sorted(_needed(inputs, root))


def once_a_use(inputs, root):
    found, order = backward_order(inputs, root), []
    for node in found:
        order += [node] * max(1, min(3, sum(listed.count(node) for listed in inputs)))
    return order


def _is_reversed(case, values):
    order = _order(case, values)
    return len(order) > 2 and order_rule(case, [np.array(order[::-1])]) is None


def _of_needed(case, values):
    return sorted(_order(case, values)) == sorted(_needed(*case.calls[0].args)) and not case.secret["cycle"]


order = Exercise(
    id="autodiff.backward_order",
    title="An order for the way back",
    name="backward_order",
    kind="property",
    points=4,
    reference=backward_order,
    cases=order_cases,
    compare=Holds(
        order_rule, false_fail=FalseFail(0.0, "Derived: nothing is left to chance, every right order is accepted.")
    ),
    mistakes=(
        Mistake(
            "inputs_first",
            inputs_first,
            "your order is the one for the way forwards. Backwards, the result comes first.",
            when=_is_reversed,
        ),
        Mistake(
            "as_found",
            depth_first,
            "the right nodes, in the order in which they are found. A node may be found before another one that uses "
            "it.",
            when=_of_needed,
        ),
        Mistake(
            "cycle_accepted",
            cycle_accepted,
            "a graph with a cycle has no such order; give back an empty list there.",
            when=lambda case, values: case.secret["cycle"] and len(_order(case, values)) > 0,
        ),
        Mistake(
            "once_a_use",
            once_a_use,
            "a node that is used twice comes twice. Its turn comes once, when all its users have had theirs.",
            when=lambda case, values: (
                set(_order(case, values)) == _needed(*case.calls[0].args)
                and len(_order(case, values)) > len(_needed(*case.calls[0].args))
            ),
        ),
        Mistake(
            "everything",
            everything,
            "there are nodes that the result does not depend on; they have no part in the way back.",
            when=lambda case, values: (
                not case.secret["cycle"] and set(_order(case, values)) > _needed(*case.calls[0].args)
            ),
        ),
    ),
    withhold=(*ENGINES, "dlcourse.autodiff.topological_order", "graphlib.TopologicalSorter"),
    hints=(
        "When is a node ready? When all nodes that use it have had their turn. So find out first how many uses each "
        "node has, counting only users that the result depends on.",
        "First walk: from root over inputs, each node once, with a list of nodes to do (no recursion); count uses on "
        "the way. Second walk: begin with root; after each node take one off the count of each of its inputs, and "
        "append those that reach 0.",
        "If the second walk ends with fewer nodes than the first one found, the rest wait for each other: a cycle. A "
        "node that takes the same input twice counts as two uses, and takes two off.",
    ),
    difficulty=3,
    importance=4,
    minutes=30,
)


# --- A class: the tape --------------------------------------------------------------------------------------------


class Tape:
    """The reference: a list of ``autodiff.Value``."""

    def __init__(self):
        self.made = []

    def _new(self, value):
        self.made.append(value)
        return len(self.made) - 1

    def number(self, x):
        return self._new(autodiff.Value(x))

    def add(self, i, j):
        return self._new(self.made[i] + self.made[j])

    def mul(self, i, j):
        return self._new(self.made[i] * self.made[j])

    def exp(self, i):
        return self._new(self.made[i].exp())

    def value(self, i):
        return self.made[i].data

    def gradient(self, i):
        for value in self.made:
            value.grad = 0.0
        self.made[i].backward()
        return [value.grad for value in self.made]


def tape_cases(rng):
    example = [("number", 2.0), ("number", 1.0), ("number", 1.0), ("add", 0, 1), ("add", 1, 2), ("mul", 3, 4)]
    yield steps("the lecture's e: 6; 2, 5, 3, 2, 3, 1", (), *example, ("value", 5), ("gradient", 5))
    yield steps("the gradient of a number on the way", (), *example, ("gradient", 3), ("value", 3))
    yield steps("the gradient of a number that was given", (), *example, ("gradient", 1))
    yield steps("asked twice", (), *example, ("gradient", 5), ("gradient", 5), ("gradient", 4))
    yield steps("a square", (), ("number", 3.0), ("mul", 0, 0), ("gradient", 1))
    yield steps("twice the same", (), ("number", 3.0), ("add", 0, 0), ("value", 1), ("gradient", 1))
    yield steps("an exponential", (), ("number", 0.5), ("exp", 0), ("value", 1), ("gradient", 1))
    chain = [("number", 0.3), ("exp", 0), ("mul", 1, 0), ("exp", 2), ("value", 3), ("gradient", 3)]
    yield steps("exp of x exp x", (), *chain)
    yield steps("goes on after a gradient", (), *example, ("gradient", 5), ("mul", 5, 0), ("value", 6), ("gradient", 6))
    for n in (6, 15):
        walk = [("number", float(x)) for x in rng.uniform(0.4, 1.2, 3)]
        for k in range(3, 3 + n):
            i, j = (int(i) for i in rng.integers(max(0, k - 6), k, 2))
            kind = str(rng.choice(["add", "mul", "mul", "exp"]))
            # The exponential of a number that was given stays small.
            walk.append(("exp", i % 3) if kind == "exp" else (kind, i, j if kind == "mul" else j % 3))
        yield steps(
            f"a random walk of {n} steps", (), *walk, ("value", 2 + n), ("gradient", 2 + n), ("gradient", 1 + n)
        )


class _OwnTape:
    """Slopes in lists; the mistakes below change one thing each."""

    def __init__(self):
        self.values, self.parts = [], []

    def _new(self, value, *parts):
        self.values.append(value)
        self.parts.append(parts)
        return len(self.values) - 1

    def number(self, x):
        return self._new(x)

    def add(self, i, j):
        return self._new(self.values[i] + self.values[j], (i, 1.0), (j, 1.0))

    def mul(self, i, j):
        return self._new(self.values[i] * self.values[j], (i, self.values[j]), (j, self.values[i]))

    def exp(self, i):
        return self._new(np.exp(self.values[i]), (i, np.exp(self.values[i])))

    def value(self, i):
        return self.values[i]

    def start(self, i):
        g = [0.0] * len(self.values)
        g[i] = 1.0
        return g

    def gradient(self, i):
        g = self.start(i)
        for k in reversed(range(len(g))):
            for j, slope in self.parts[k]:
                g[j] += g[k] * slope
        return g


class Overwrites(_OwnTape):
    def gradient(self, i):
        g = self.start(i)
        for k in reversed(range(len(g))):
            for j, slope in self.parts[k]:
                if g[k]:
                    g[j] = g[k] * slope
        return g


class Assigns(_OwnTape):
    def gradient(self, i):
        g = self.start(i)
        for k in reversed(range(len(g))):
            for j, slope in self.parts[k]:
                g[j] = g[k] * slope
        return g


class NeverClears(_OwnTape):
    def start(self, i):
        kept = getattr(self, "kept", [])
        self.kept = kept + [0.0] * (len(self.values) - len(kept))
        return super().start(i)

    def gradient(self, i):
        found = super().gradient(i)
        self.kept = [a + b for a, b in zip(self.kept, found, strict=True)]
        return list(self.kept)


class FromTheLast(_OwnTape):
    def gradient(self, i):
        return super().gradient(len(self.values) - 1)


class Forwards(_OwnTape):
    def gradient(self, i):
        g = self.start(i)
        for k in range(len(g)):
            for j, slope in self.parts[k]:
                g[j] += g[k] * slope
        return g


class OwnFactors(_OwnTape):
    def mul(self, i, j):
        return self._new(self.values[i] * self.values[j], (i, self.values[i]), (j, self.values[j]))


class SlopeOfExpIsItsInput(_OwnTape):
    def exp(self, i):
        return self._new(np.exp(self.values[i]), (i, self.values[i]))


tape = Exercise(
    id="autodiff.tape",
    title="A tape that differentiates",
    name="Tape",
    kind="class",
    points=4,
    reference=Tape,
    cases=tape_cases,
    compare=CLOSE,
    mistakes=(
        Mistake(
            "overwrites",
            Overwrites,
            "a number that is used twice keeps only what came back last. Different paths add up.",
        ),
        Mistake(
            "never_clears",
            NeverClears,
            "the first gradient is right, later ones contain the earlier ones: begin each with zeros.",
        ),
        Mistake(
            "from_the_last",
            FromTheLast,
            "you always differentiate the last number on the tape; `gradient(i)` asks for number i.",
        ),
        Mistake(
            "forwards",
            Forwards,
            "the tape is played forwards: when a number hands its gradient on, it has not got it yet.",
        ),
        Mistake(
            "own_factors",
            OwnFactors,
            "in a product each factor gets its own value as the slope. What happens to ab if a grows a little?",
        ),
        Mistake(
            "slope_of_exp",
            SlopeOfExpIsItsInput,
            "the slope of the exponential is not its input. It is easier to remember than that.",
        ),
        Mistake(
            "assigns",
            Assigns,
            "you write a gradient with `=`. A number that is used twice gets two parts, and one of them may be 0: add "
            "them with `+=`.",
            when=lambda case, values: case.name == "twice the same" and float(numbers(values[-1])[0]) == 1,
        ),
    ),
    withhold=ENGINES,
    hints=(
        "For each number keep its value, the numbers it was made from, and the slope with respect to each of them. "
        "Three lists will do, or one list of tuples.",
        "gradient(i): a list of zeros, a 1 at place i. Then go from the end of the tape to its beginning, and let each "
        "number k add g[k] times the slope to each of its inputs.",
        "`for k in reversed(range(len(g))): for j, slope in self.parts[k]: g[j] += g[k] * slope`. For a product of i "
        "and j the parts are (i, value of j) and (j, value of i).",
    ),
    difficulty=3,
    importance=5,
    minutes=30,
)


# --- Trained: without going backwards -----------------------------------------------------------------------------


HIDDEN = 8


def learn(x, y, x_new, w, lr=0.15, steps=800):
    H = len(w) // 4
    x, t = autodiff.Tensor(np.asarray(x, dtype=float)), 2.0 * np.asarray(y)[:, None] - 1
    parts = (w[: 2 * H].reshape(2, H), w[2 * H : 3 * H], w[3 * H :, None])
    w1, b, w2 = parameters = [autodiff.Tensor(np.asarray(p, dtype=float), requires_grad=True) for p in parts]
    first = None
    for _ in range(steps):
        loss = (((x @ w1 + b).tanh() @ w2 - t) ** 2).mean()
        found = autodiff.grad(loss, parameters)
        if first is None:
            first = np.concatenate([g.data.ravel() for g in found])
        for p, g in zip(parameters, found, strict=True):
            p.assign(p.data - lr * g.data)
    outputs = np.tanh(x_new @ w1.data + b.data) @ w2.data
    return (outputs[:, 0] > 0).astype(int), first


def learn_cases(rng):
    x, y = data.moons(2200, noise=0.1, seed=int(rng.integers(2**32)), dtype=np.float64)
    # Three starts: the best counts, so that an unlucky one costs nothing.
    runs = [(x[:200], y[:200], x[200:], rng.normal(size=4 * HIDDEN)) for _ in range(3)]
    yield calls("two moons: 200 points, 2,000 held out", runs, secret={"labels": y[200:]})


def _slopes(call):
    """The gradient of the loss at the start, by backprop."""
    x, y, _, w = call.args
    H, error_scale = len(w) // 4, 2 / len(x)
    w1, b, w2 = w[: 2 * H].reshape(2, H), w[2 * H : 3 * H], w[3 * H :]
    h = np.tanh(x @ w1 + b)
    error = error_scale * (h @ w2 - (2 * y - 1))
    dz = np.outer(error, w2) * (1 - h * h)
    return np.concatenate([(x.T @ dz).ravel(), dz.sum(axis=0), h.T @ error])


def _answers(case, values):
    """(classes, gradient) of each run; ValueError in words where the form is another."""
    made = []
    for call, value in zip(case.calls, values, strict=True):
        classes, gradient = (numbers(part) for part in parts(value, 2))
        if gradient.shape != call.args[3].shape:
            raise ValueError(f"the gradient's shape is {gradient.shape}, expected {call.args[3].shape}, that of w")
        made.append((classes, gradient))
    return made


def _near(got, want):
    return bool(np.abs(got - want).max() <= 1e-3 * np.abs(want).max())


def learn_rule(case, values):
    labels, shares = case.secret["labels"], []
    for call, (classes, gradient) in zip(case.calls, _answers(case, values), strict=True):
        want = _slopes(call)
        if not _near(gradient, want):
            i = int(np.abs(gradient - want).argmax())
            return f"the derivative with respect to w[{i}] at the start: got {gradient[i]:.6g}, expected {want[i]:.6g}"
        if classes.shape != labels.shape:
            return f"the classes have shape {classes.shape}, expected {labels.shape}: one for each row of x_new"
        shares.append(float(np.mean(classes == labels)))
    if max(shares) >= THRESHOLD:
        return None
    return f"{max(shares):.1%} of the new points are right (best of three starts), expected at least {ASKED:.0%}"


ASKED, THRESHOLD = 0.95, 0.92


def _with_classes(change):
    """A wrong answer: the right gradient, and other classes."""

    def run(x, y, x_new, w):
        classes, gradient = learn(x, y, x_new, w)
        return change(classes, x, y, x_new, w), gradient

    return run


def _with_gradient(change):
    def run(x, y, x_new, w):
        classes, gradient = learn(x, y, x_new, w)
        return classes, change(gradient, x)

    return run


def straight_line(x, y, x_new):
    ones = np.column_stack([x, np.ones(len(x))])
    w = np.linalg.lstsq(ones, 2.0 * y - 1, rcond=None)[0]
    return (np.column_stack([x_new, np.ones(len(x_new))]) @ w > 0).astype(int)


def _some(test):
    """Whether the classes of every run, with the labels, pass a test."""
    return lambda case, values: all(test(classes, case) for classes, _ in _answers(case, values))


def _slopes_are(factor):
    return lambda case, values: all(
        _near(gradient, factor(call) * _slopes(call))
        for call, (_, gradient) in zip(case.calls, _answers(case, values), strict=True)
    )


def _is_straight(classes, case):
    """Whether a straight line makes the same predictions, but for one in fifty: tried in 360 directions."""
    x_new = case.calls[0].args[2]
    angles = np.linspace(0, 2 * np.pi, 360, endpoint=False)
    order = np.argsort(x_new @ np.stack([np.cos(angles), np.sin(angles)]), axis=0)
    sign = np.where(classes == 1, 1, -1)
    # A cut after the first k points along a direction: agreements minus disagreements with the two sides.
    return bool(np.abs(2 * np.cumsum(sign[order], axis=0) - sign.sum()).max() >= 0.96 * len(sign))


trained = Exercise(
    id="autodiff.learn",
    title="Learn without going backwards",
    name="learn",
    kind="trained",
    points=4,
    reference=learn,
    cases=learn_cases,
    compare=Holds(
        learn_rule,
        false_fail=FalseFail(
            1e-8,
            "Derived: a network that is right on 95% of all points gets less than 92% of 2,000 held-out ones with "
            "probability 5e-9 (binomial), and the best of three starts counts. The gradient leaves nothing to chance: "
            "float32 arithmetic takes less than a hundredth of the tolerance.",
        ),
    ),
    mistakes=(
        Mistake(
            "gradient_of_the_sum",
            _with_gradient(lambda g, x: g * len(x)),
            "your gradient is that of the sum over all points; the loss is their mean.",
            when=_slopes_are(lambda call: len(call.args[0])),
        ),
        Mistake(
            "factor_two_missing",
            _with_gradient(lambda g, x: g / 2),
            "your gradient is half of what it should be: the square has a 2 in its derivative.",
            when=_slopes_are(lambda call: 0.5),
        ),
        Mistake(
            "uphill",
            _with_gradient(lambda g, x: -g),
            "your gradient has the wrong sign; the minus belongs into the step.",
            when=_slopes_are(lambda call: -1),
        ),
        Mistake(
            "predicts_what_it_saw",
            _with_classes(lambda classes, x, y, x_new, w: learn(x, y, x, w)[0]),
            "there is one prediction for each row of x; the classes of the new points are asked for.",
            when=_some(lambda classes, case: len(classes) == len(case.calls[0].args[0])),
        ),
        Mistake(
            "outputs_for_classes",
            _with_classes(lambda classes, x, y, x_new, w: 2.0 * classes - 1.1),
            "numbers other than 0 and 1 came back; which class does an output speak for?",
            when=_some(
                lambda classes, case: len(classes) == len(case.secret["labels"]) and not np.isin(classes, [0, 1]).all()
            ),
        ),
        Mistake(
            "classes_swapped",
            _with_classes(lambda classes, x, y, x_new, w: 1 - classes),
            "your network parts the moons, and calls each by the other's name.",
            when=lambda case, values: any(
                np.mean(c == case.secret["labels"]) < 0.08 for c, _ in _answers(case, values)
            ),
        ),
        Mistake(
            "one_class_only",
            _with_classes(lambda classes, x, y, x_new, w: 0 * classes),
            "every new point gets the same class. Do the weights move, and does the loss fall?",
            when=_some(lambda classes, case: len(np.unique(classes)) == 1),
        ),
        Mistake(
            "straight_line",
            _with_classes(lambda classes, x, y, x_new, w: straight_line(x, y, x_new)),
            "your predictions could come from a straight line, and no straight line parts the moons. Has the network "
            "been trained for long enough to bend?",
            when=_some(_is_straight),
        ),
    ),
    withhold=(
        *ENGINES,
        "dlcourse.mlp.MLP",
        "dlcourse.mlp.train",
        "dlcourse.train.fit",
        "sklearn.neural_network.MLPClassifier",
        "sklearn.svm.SVC",
        "sklearn.neighbors.KNeighborsClassifier",
        "sklearn.ensemble.RandomForestClassifier",
    ),
    hints=(
        "Write the forward pass first, each line with a second line for its tangent: h = tanh(z) and h' = (1 − h²) z'. "
        "At the end of the second lines stands the derivative of the loss in one direction.",
        "One direction a parameter gives the gradient: the rows of np.eye(len(w)) are the P directions. They can be "
        "carried all at once, with an axis of length P in front: x @ v1 with v1 of shape (P, 2, H) is of shape "
        "(P, N, H).",
        "z = x w1 + b, z' = x v1 + vb; h = tanh z, h' = (1 − h²) z'; out = h w2, out' = h' w2 + h v2. The gradient is "
        "the mean of 2 (out − t) out' over the points. Keep the first one, and repeat w = w − 0.15 · gradient.",
    ),
    difficulty=4,
    importance=3,
    minutes=40,
    seconds=60.0,
)


essay = text_exercise("autodiff.essay", "Forwards or backwards?", points=3, difficulty=3, importance=4, minutes=15)

EXERCISES = (paths, reverse_broadcast, forward_mode, order, tape, trained, essay)
