"""The exercises of ``06_approximation``: regions, bumps, a function by hand, switches, folding, minimum norm, and a
direction in which to cut the loss surface."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np

from dlcourse import approximation as ap
from dlcourse.exercises.compare import Close, FalseFail, Holds
from dlcourse.exercises.plain import numbers, parts, plain
from dlcourse.exercises.spec import Case, Exercise, Mistake, case, text_exercise

NOTHING_BY_CHANCE = FalseFail(
    1e-12,
    "Nothing is left to chance: a network that does what was asked is within rounding of it, and rounding in float32 "
    "uses less than a hundredth of what is tolerated (measured).",
)

# --- A number: how many pieces -----------------------------------------------------------------------------------

regions = Exercise(
    id="approximation.regions",
    title="How many pieces?",
    name="regions",
    kind="number",
    points=1,
    reference=79,
    cases=lambda rng: [Case("twelve ReLU units that look at a plane")],
    compare=Close(rtol=0, atol=1e-6),
    mistakes=(
        Mistake("patterns", 2**12, "so many patterns there are; most cannot occur, as lines are straight."),
        Mistake("only_crossings", 66, "so many crossings there are. Each adds one piece, and there is more to count."),
        Mistake("one_input", 13, "this is right for one input, where a unit is a point on a line."),
        Mistake("not_the_first", 78, "before the first line there is one piece already."),
        Mistake("squared", 144, "a new line does not meet all pieces: it is cut by the lines before it."),
    ),
    hints=(
        "Each unit switches along a straight line. Draw one, two, three lines in general position, and count.",
        "Line number k crosses the k − 1 lines before it, and so runs through k pieces, which it cuts in two.",
        "The numbers start with 1, 2, 4, 7: one piece, and 1 + 2 + ... + 12 more.",
    ),
    difficulty=2,
    importance=3,
    minutes=8,
)


# --- a sum of bumps ----------------------------------------------------------------------------------------------


def _bump_cases(rng: np.random.Generator) -> Iterator[Case]:
    one = np.array([1.0])
    yield case("one bump from 0 to 1, steepness 2", np.array([0.0, 0.5, 1.0]), np.zeros(1), one, 3 * one, 2.0)
    yield case("a steep one is nearly a box", np.array([-1.0, 0.5, 2.0]), np.zeros(1), one, one, 40.0)
    left = rng.uniform(-2, 1, 4)
    right, height = left + rng.uniform(0.3, 1.5, 4), rng.normal(size=4)
    yield case("four that overlap", np.sort(rng.uniform(-3, 3, 20)), left, right, height, float(rng.uniform(2, 6)))
    edges = np.sort(rng.normal(size=(2, 5)), axis=0)
    yield case("one place, five bumps", rng.uniform(-1, 1, 1), *edges, np.arange(5.0), 3.0)
    yield case("no bump", rng.normal(size=3), np.zeros(0), np.zeros(0), np.zeros(0), 5.0)


def _sigmoid(z):
    return 0.5 * (1 + np.tanh(0.5 * z))


def _bumps(join: Callable) -> Callable:
    """A sum of bumps in which each is made of its two sigmoids, of shapes (N, P), by ``join``."""

    def made(x, left, right, height, steepness):
        x = np.asarray(x)[:, None]
        return join(_sigmoid(steepness * (x - left)), _sigmoid(steepness * (x - right)), np.asarray(height))

    return made


bumps = Exercise(
    id="approximation.bumps",
    title="A bump from two sigmoids",
    name="bumps",
    kind="function",
    points=2,
    reference=lambda x, left, right, height, steepness: ap.bumps_forward(x, left, right, height, steepness)[0],
    cases=_bump_cases,
    compare=Close(rtol=1e-5, atol=1e-6),
    mistakes=(
        Mistake(
            "added",
            _bumps(lambda up, down, height: (up + down) @ height),
            "two sigmoids that both rise make two steps up. What turns the second one into a step down?",
        ),
        Mistake(
            "multiplied",
            _bumps(lambda up, down, height: (up * (1 - down)) @ height),
            "a product of sigmoids is a bump too, but no network with one hidden layer: the output is a weighted sum.",
        ),
        Mistake(
            "steepness_forgotten",
            lambda x, left, right, height, steepness: ap.bumps_forward(x, left, right, height, 1.0)[0],
            "the steepness is not used.",
        ),
        Mistake(
            "steepness_on_x_only",
            lambda x, left, right, height, steepness: (
                _sigmoid(steepness * x[:, None] - left) - _sigmoid(steepness * x[:, None] - right)
            ) @ height,
            "the steepness multiplies x only, so that the bumps move: it belongs before the bracket (x − left).",
        ),
        Mistake(
            "turned_round",
            _bumps(lambda up, down, height: (down - up) @ height),
            "the bumps hang down: the sigmoid at the left edge comes with a plus.",
        ),
    ),
    withhold=("dlcourse.approximation.bumps_forward", "dlcourse.approximation.bumps_backward"),
    hints=(
        "A sigmoid is a step up. What do you subtract to come down again?",
        "One bump: σ(k(x − left)) − σ(k(x − right)), times its height. For P bumps x[:, None] gives (N, P).",
        "s = lambda z: 1 / (1 + np.exp(-z)); return (s(k*(x[:, None] - left)) - s(k*(x[:, None] - right))) @ height.",
    ),
    difficulty=1,
    importance=4,
    minutes=10,
)  # fmt: skip


# --- a function by hand ------------------------------------------------------------------------------------------


def _hinges(x, y, units, tolerance) -> tuple:
    """The reference: hinges at equally spaced knots, which are samples."""
    x, y = np.asarray(x), np.asarray(y)
    knots = np.rint(np.linspace(0, len(x) - 1, units + 1)).astype(int)
    slopes = np.diff(y[knots]) / np.diff(x[knots])
    return np.ones(units), -x[knots[:-1]], np.diff(slopes, prepend=0.0), y[0]


def _one_layer(x: np.ndarray, w, b, v, v0) -> np.ndarray:
    """The output of v0 + Σ v relu(w x + b) at x (N,)."""
    w, b, v, v0 = (numbers(plain(a)).astype(float) for a in (w, b, v, v0))
    if v0.size != 1:
        raise ValueError(f"v0 has shape {v0.shape}, expected one number")
    if w.ndim != 1 or not w.shape == b.shape == v.shape:
        raise ValueError(f"w, b and v have shapes {w.shape}, {b.shape} and {v.shape}, expected one number each a unit")
    return np.maximum(np.asarray(x, dtype=float)[:, None] * w + b, 0.0) @ v + v0.reshape(())


def _by_hand_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield case("a tent: up and down again", np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 0.0]), 2, 0.01)
    phase, speed, shift = rng.uniform(0, 6), rng.uniform(2, 4), rng.uniform(-3, 3)
    for name, f, low, high, units in [
        ("a straight line", lambda x: 2 - 3 * x, 1.0, 3.0, 1),
        ("a parabola, 4 units", lambda x: x**2, -1.0, 1.0, 4),
        ("a wave, 12 units", lambda x: np.sin(speed * x + phase), 0.0, 3.0, 12),
        ("a wave on a slope, 30 units", lambda x: np.cos(3 * x + phase) - 2 * x + 5, shift, shift + 4, 30),
    ]:
        x = np.linspace(low, high, 240 * (units if units < 5 else 1) + 1)
        y = f(x)
        error = np.abs(_one_layer(x, *_hinges(x, y, units, 0)) - y).max()
        yield case(name, x, y, units, float(max(1.2 * error, 1e-3 * np.ptp(y))))


def _units(values: list) -> int:
    return numbers(parts(values[0], 4)[0]).size


def by_hand_rule(case: Case, values: list) -> str | None:
    x, y, units, tolerance = case.calls[0].args
    out = _one_layer(x, *parts(values[0], 4))
    if _units(values) > units:
        return f"the network has {_units(values)} units, at most {units} are allowed"
    worst = int(np.abs(out - y).argmax())
    if abs(out[worst] - y[worst]) > tolerance:
        return f"at x = {x[worst]:.4g} the network gives {out[worst]:.4g}, expected {y[worst]:.4g} ± {tolerance:.2g}"
    return None


def _by_hand(change: Callable) -> Callable:
    """The reference with ``change(knots, slopes, y0) -> w, b, v, v0``."""

    def made(x, y, units, tolerance):
        knots = np.rint(np.linspace(0, len(x) - 1, units + 1)).astype(int)
        return change(x[knots], np.diff(y[knots]) / np.diff(x[knots]), y[0])

    return made


def _same_function(wrong: Callable) -> Callable:
    """Whether a student's network gives what this wrong one gives."""

    def when(case: Case, values: list) -> bool:
        x = case.calls[0].args[0]
        got, other = _one_layer(x, *parts(values[0], 4)), _one_layer(x, *wrong(*case.calls[0].args))
        allowed = _units(values) <= case.calls[0].args[2]  # else its size is what is wrong with it
        return allowed and bool(np.allclose(got, other, rtol=1e-4, atol=1e-4))

    return when


_SLIPS = {
    "slopes_not_changes": (
        _by_hand(lambda knots, slopes, y0: (np.ones_like(slopes), -knots[:-1], slopes, y0)),
        "your output weights are the slopes. A hinge stays bent for good: to its right all earlier ones still add up.",
    ),
    "hinges_at_the_ends": (
        _by_hand(lambda knots, slopes, y0: (np.ones_like(slopes), -knots[1:], np.diff(slopes, prepend=0.0), y0)),
        "your hinges stand at the right end of their pieces; each must stand where its piece begins.",
    ),
    "start_forgotten": (
        _by_hand(lambda knots, slopes, y0: (np.ones_like(slopes), -knots[:-1], np.diff(slopes, prepend=0.0), 0.0)),
        "the shape is right, the height is not: at the left end all units are off, and v0 alone is the output.",
    ),
    "sign_of_the_bias": (
        _by_hand(lambda knots, slopes, y0: (np.ones_like(slopes), knots[:-1], np.diff(slopes, prepend=0.0), y0)),
        "a unit relu(w x + b) switches where w x + b = 0, so at x = −b / w: mind the sign of your biases.",
    ),
}


def _a_unit_for_every_sample(x, y, units, tolerance):
    return _hinges(x, y, len(x) - 1, tolerance)


by_hand = Exercise(
    id="approximation.by_hand",
    title="A function by hand",
    name="approximate",
    kind="property",
    points=4,
    reference=_hinges,
    cases=_by_hand_cases,
    compare=Holds(by_hand_rule, false_fail=NOTHING_BY_CHANCE),
    mistakes=(
        *(Mistake(name, wrong, said, when=_same_function(wrong)) for name, (wrong, said) in _SLIPS.items()),
        Mistake(
            "a_unit_for_every_sample",
            _a_unit_for_every_sample,
            "you use a hinge for every sample. Fewer will do: the error allowed leaves room between the hinges.",
            when=lambda case, values: _units(values) >= len(case.calls[0].args[0]) - 1 > case.calls[0].args[2],
        ),
    ),
    withhold=("dlcourse.approximation.hinges", "dlcourse.approximation.staircase"),
    hints=(
        "Choose units + 1 knots among the samples, evenly. Between two of them the network shall be a straight line.",
        "relu(x − knot) is a hinge: 0 before the knot, slope 1 after it. So its weight is the change of slope there.",
        "w = 1, b = −knots[:-1], v0 = y[0], v = np.diff(slopes, prepend=0), where slopes = np.diff(y at the knots) / "
        "np.diff(knots).",
    ),
    difficulty=3,
    importance=5,
    minutes=25,
)


# --- where a network switches ------------------------------------------------------------------------------------


def _as_parameters(weights: Sequence, biases: Sequence) -> list[np.ndarray]:
    """Hidden layers, and an output that counts nothing."""
    arrays = [np.asarray(a, dtype=float) for pair in zip(weights, biases, strict=True) for a in pair]
    return [*arrays, np.ones((arrays[-2].shape[1], 1)), np.zeros(1)]


def _switches(weights, biases, low, high) -> np.ndarray:
    return low + (high - low) * ap.switches(_as_parameters(weights, biases), [low], [high])


def _calm(weights, biases, low, high) -> bool:
    """Whether rounding can add or lose no switch: they stand apart, and no unit barely touches 0."""
    places = np.concatenate([[low], _switches(weights, biases, low, high), [high]])
    h = places[:, None]
    for w, b in zip(weights, biases, strict=True):
        z = h @ w + b
        zero = np.abs(z) < 1e-9
        slopes = np.abs(np.diff(z, axis=0) / np.diff(places)[:, None])[zero[:-1] | zero[1:]]
        if (~zero & (np.abs(z) < 0.01)).any() or slopes.min(initial=1.0) < 0.1:
            return False
        h = np.maximum(z, 0)
    return bool(np.diff(places).min() > 0.005 * (high - low))


def _switch_cases(rng: np.random.Generator) -> Iterator[Case]:
    one = [np.array([[2.0, 1.0, -1.0, 4.0]])], [np.array([-1.0, 3.0, 0.25, -2.0])]
    yield case("four units by hand: one switches elsewhere, two together", *one, 0.0, 1.0)
    tent = [np.array([[1.0, 1.0]]), np.array([[2.0], [-4.0]])], [np.array([0.0, -0.5]), np.array([-0.5])]
    yield case("a tent, and one unit that looks at it", *tent, -1.0, 2.0)
    both = [np.array([[1.0, 2.0]]), np.array([[1.0, 1.0], [1.0, 0.0]])], [np.zeros(2), np.zeros(2)]
    yield case("two layers that switch together, all off before", *both, -1.0, 1.0)
    yield case("no unit switches", [np.array([[1.0, 0.0]])], [np.array([5.0, -1.0])], 0.0, 1.0)
    for name, widths, low, high in [
        ("one layer of eight", [8], -3.0, 4.0),
        ("two layers", [5, 4], -4.0, 3.0),
        ("four layers", [4, 6, 5, 4], -5.0, 5.0),
    ]:
        while True:
            weights = [rng.normal(size=shape) * np.sqrt(2 / shape[0]) for shape in pairwise([1, *widths])]
            biases = [rng.normal(size=w.shape[1]) for w in weights]
            found = [len(_switches(weights[:k], biases[:k], low, high)) for k in range(1, len(widths) + 1)]
            enough = found[0] >= 2 and all(b > a for a, b in pairwise(found))
            if enough and _calm(weights, biases, low, high):
                break
        yield case(name, weights, biases, low, high)


def _first_layer_only(weights, biases, low, high):
    return _switches(weights[:1], biases[:1], low, high)


def _without_relu(weights, biases, low, high):
    places, slope, offset = [], np.ones((1, 1)), np.zeros(1)
    for w, b in zip(weights, biases, strict=True):
        slope, offset = slope @ w, offset @ w + b
        with np.errstate(divide="ignore", invalid="ignore"):
            places.append(-offset / slope[0])
    places = np.concatenate(places)
    return np.unique(places[(places > low) & (places < high)])


def _layer_by_layer(weights, biases, low, high):
    seen, order = [], []
    for k in range(1, len(weights) + 1):
        new = [t for t in _switches(weights[:k], biases[:k], low, high) if not any(abs(t - s) < 1e-9 for s in seen)]
        seen += new
        order += new
    return np.array(order)


def _on_a_grid(weights, biases, low, high, points=1000):
    step = (high - low) / points
    return low + step * np.round((_switches(weights, biases, low, high) - low) / step)


def _nearly(case: Case, values: list) -> bool:
    """As many places as there are, each within a hundredth of the interval of the right one."""
    *_, low, high = case.calls[0].args
    got, want = numbers(values[0]).astype(float), _switches(*case.calls[0].args)
    return got.shape == want.shape and bool(np.abs(got - want).max(initial=0.0) < 0.01 * (high - low))


switches = Exercise(
    id="approximation.switches",
    title="Where does it switch?",
    name="switches",
    kind="function",
    points=4,
    reference=_switches,
    cases=_switch_cases,
    compare=Close(rtol=1e-4, atol=1e-5),
    mistakes=(
        Mistake("first_layer_only", _first_layer_only, "these are the first layer's switches; later units switch too."),
        Mistake(
            "relu_forgotten",
            _without_relu,
            "the first layer is right; to the next one you pass its sums as they are, without the ReLU.",
        ),
        Mistake("not_sorted", _layer_by_layer, "the places are right, and not in order from left to right."),
        Mistake(
            "ends_included",
            lambda weights, biases, low, high: np.concatenate([[low], _switches(weights, biases, low, high), [high]]),
            "the two ends of the interval are no switches.",
        ),
        Mistake(
            "pieces_counted",
            lambda weights, biases, low, high: len(_switches(weights, biases, low, high)) + 1,
            "this is the number of pieces, which is right; what is asked for are the places between them.",
        ),
        Mistake(
            "found_on_a_grid",
            _on_a_grid,
            "all are there, and not exactly. A grid shows between which points a unit switches; it is linear there, so "
            "a straight line through its two values gives the place itself.",
            when=_nearly,
        ),
    ),
    withhold=("dlcourse.approximation.switches", "dlcourse.approximation.slice_regions"),
    hints=(
        "Between neighbouring switches of the layers so far all is linear: a straight line crosses 0 there, or not.",
        "Keep a sorted list of places, low and high among them, and the units' values there. Where a unit's sum has "
        "another sign at the next place, it crosses at t = p + (q − p) · z_p / (z_p − z_q).",
        "For each layer: z = h @ w + b at all places; find the crossings; put them into the list; compute h anew at "
        "all places by a forward pass through the layers so far. At the end, drop the two ends.",
    ),
    difficulty=4,
    importance=4,
    minutes=35,
)


# --- folding -----------------------------------------------------------------------------------------------------


def _fold(depth, height) -> list:
    parameters = ap.zigzag(depth)
    return [*parameters[:-2], height * parameters[-2], parameters[-1]]


def _fold_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield case("one fold, height 1", 1, 1.0)
    for depth in (2, 3, 6):
        yield case(f"{depth} folds", depth, float(rng.uniform(0.3, 4)))


def _zigzag(x: np.ndarray, depth: int) -> np.ndarray:
    return 1 - np.abs(1 - (x * 2**depth) % 2)


def _network(case: Case, values: list) -> tuple[list[np.ndarray], np.ndarray]:
    """The student's arrays, checked, and the network's output on a grid of [0, 1]."""
    given = parts(plain(values[0]))
    if len(given) % 2 or len(given) < 4:
        raise ValueError("expected a list [w1, b1, w2, b2, ...] with at least one hidden layer and the output layer")
    arrays = [numbers(a).astype(float) for a in given]
    h = _grid(case)[:, None]
    for i in range(0, len(arrays), 2):
        w, b = arrays[i : i + 2]
        if w.ndim != 2 or w.shape[0] != h.shape[1] or b.shape != w.shape[1:]:
            raise ValueError(f"layer {i // 2 + 1} has w {w.shape} and b {b.shape}; it is given {h.shape[1]} numbers")
        h = h @ w + b
        if i < len(arrays) - 2:
            h = np.maximum(h, 0)
    if h.shape[1] != 1:
        raise ValueError(f"the network has {h.shape[1]} outputs, expected 1")
    return arrays, h[:, 0]


def _grid(case: Case) -> np.ndarray:
    return np.linspace(0, 1, 8 * 2 ** case.calls[0].args[0] + 1)


def fold_rule(case: Case, values: list) -> str | None:
    depth, height = case.calls[0].args
    arrays, out = _network(case, values)
    x = _grid(case)
    want = height * _zigzag(x, depth)
    worst = int(np.abs(out - want).argmax())
    if abs(out[worst] - want[worst]) > 2e-3 * height:
        return f"at x = {x[worst]:.4g} the network gives {out[worst]:.4g}, expected {want[worst]:.4g}"
    widths = [w.shape[1] for w in arrays[:-2:2]]
    if len(widths) > depth or max(widths) > 3:
        return f"the hidden layers have {', '.join(map(str, widths))} units; allowed are {depth} layers of at most 3"
    return None


def _folded(depth: int, fold: np.ndarray, last: np.ndarray) -> list:
    first, bias = np.ones((1, 2)), np.array([0.0, -0.5])
    parameters = [first, bias]
    for _ in range(depth - 1):
        parameters += [fold @ first, bias]
    return [*parameters, last, np.zeros(1)]


def _same_zigzag(wrong: Callable) -> Callable:
    def when(case: Case, values: list) -> bool:
        other = _network(case, [wrong(*case.calls[0].args)])[1]
        return bool(np.allclose(_network(case, values)[1], other, rtol=1e-4, atol=1e-4))

    return when


_PLATEAU = np.array([[2.0], [-2.0]])
_TENT = np.array([[2.0], [-4.0]])
_WRONG_FOLDS = {
    "plateau": (
        lambda depth, height: _folded(depth, _PLATEAU, height * _PLATEAU),
        "your fold goes up and stays there: to come down as steeply as it went up, the slope must change by −4.",
    ),
    "one_fold_too_many": (
        lambda depth, height: _fold(depth + 1, height),
        "this goes up and down twice as often as was asked: one fold too many.",
    ),
    "height_in_every_fold": (
        lambda depth, height: _folded(depth, height * _TENT, height * _TENT),
        "the height is multiplied in at every fold; the folds work on [0, 1], so it belongs to the last layer only.",
    ),
}


folding = Exercise(
    id="approximation.folding",
    title="Fold the line",
    name="zigzag",
    kind="property",
    points=4,
    reference=_fold,
    cases=_fold_cases,
    compare=Holds(fold_rule, false_fail=NOTHING_BY_CHANCE),
    mistakes=(
        *(Mistake(name, wrong, said, when=_same_zigzag(wrong)) for name, (wrong, said) in _WRONG_FOLDS.items()),
        Mistake(
            "all_in_one_layer",
            lambda depth, height: (
                lambda p: [*p[:2], height * p[2], p[3]]
            )(ap.hinges(lambda x: _zigzag(x, depth), 2**depth, 0.0, 1.0)),
            "the function is right, in one wide layer. Fold: what the next layer does is done to both halves.",
            when=lambda case, values: len(parts(values[0])) == 4 and numbers(parts(values[0])[0]).shape[-1] > 3,
        ),
    ),
    withhold=("dlcourse.approximation.zigzag",),
    hints=(
        "One fold is a tent: 0 at x = 0, up to 1 at x = 1/2, down to 0 at x = 1. Two hinges make it.",
        "t(x) = 2 relu(x) − 4 relu(x − 1/2). Its output lies in [0, 1] again, so the next layer can fold it once more.",
        "First layer: w = [[1, 1]], b = [0, −1/2]. Each later hidden layer: w = [[2, 2], [−4, −4]], the same b. "
        "Last: w = height · [[2], [−4]], b = [0].",
    ),
    difficulty=3,
    importance=4,
    minutes=25,
)  # fmt: skip


# --- the shortest weights ----------------------------------------------------------------------------------------


def _least_squares_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield case("one example, two features", np.array([[3.0, 4.0]]), np.array([25.0]))
    yield case("two examples, one feature", np.array([[1.0], [1.0]]), np.array([1.0, 3.0]))
    yield case("a third feature that is always 0", np.array([[1.0, 1.0, 0.0], [1.0, -1.0, 0.0]]), np.array([2.0, 0.0]))
    for name, shape in [
        ("more features than examples", (6, 30)),
        ("more examples than features", (40, 7)),
        ("far more features", (3, 200)),
    ]:
        yield case(name, rng.normal(size=shape), rng.normal(size=shape[0]))
    turned = np.linalg.qr(rng.normal(size=(5, 5)))[0] * rng.uniform(1, 3, 5)
    yield case("as many as examples", turned, rng.normal(size=5))


def _basic(a, y):
    n = min(a.shape)
    w = np.zeros(a.shape[1])
    w[:n] = np.linalg.lstsq(a[:, :n], y, rcond=None)[0]
    return w


minimum_norm = Exercise(
    id="approximation.minimum_norm",
    title="The shortest weights that fit",
    name="minimum_norm",
    kind="function",
    points=3,
    reference=lambda features, targets: ap.minimum_norm(features, targets),
    cases=_least_squares_cases,
    compare=Close(rtol=1e-4, atol=1e-6),
    mistakes=(
        Mistake(
            "basic_solution",
            _basic,
            "it fits with as many features as examples, 0 for the rest; weights spread over all of them are shorter.",
        ),
        Mistake(
            "no_inverse",
            lambda features, targets: features.T @ targets,
            "the weights point the right way, and do not fit: the inverse of the features' products is missing.",
        ),
        Mistake(
            "started_elsewhere",
            lambda features, targets: (
                1 + ap.minimum_norm(features, targets - features @ np.ones(features.shape[1]))
            ),
            "it fits, and carries what it started with: the part that no example sees must be 0.",
        ),
        Mistake(
            "scaled_by_the_largest",
            lambda features, targets: features.T @ targets / np.linalg.norm(features, 2) ** 2,
            "this is one step of gradient descent; it takes many, or an inverse, to arrive.",
        ),
    ),
    withhold=(
        "dlcourse.approximation.minimum_norm",
        "dlcourse.approximation.ridge",
        "dlcourse.approximation.descent",
        "numpy.linalg.lstsq",
        "numpy.linalg.pinv",
        "scipy.linalg.lstsq",
        "scipy.linalg.pinv",
        "scipy.optimize.lsq_linear",
        "torch.linalg.lstsq",
        "torch.linalg.pinv",
        "torch.pinverse",
        "torch.ops.aten.linalg_lstsq",
        "torch.ops.aten.linalg_pinv",
        "sklearn.linear_model.LinearRegression",
        "sklearn.linear_model.Ridge",
    ),
    hints=(
        "Two cases. With more examples than features there is one best answer; else there are many that fit exactly.",
        "The shortest w that fits is a weighted sum of the examples: w = Aᵀc. Put that into A w = y, and solve for c.",
        "n, d = a.shape. If n < d: a.T @ np.linalg.solve(a @ a.T, y). Else: np.linalg.solve(a.T @ a, a.T @ y).",
    ),
    difficulty=3,
    importance=4,
    minutes=20,
)  # fmt: skip


# --- a direction in which to cut ---------------------------------------------------------------------------------


def _normalised(parameters, direction, length=None, axes=None, biases=0.0) -> list[np.ndarray]:
    found = []
    for w, d in zip(parameters, direction, strict=True):
        w, d = np.asarray(w, dtype=float), np.asarray(d, dtype=float)
        if w.ndim < 2:
            found.append(biases * d)
            continue
        over = (axes or _filter_axes)(w)
        norm = np.sqrt((w**2).sum(axis=over, keepdims=True)) if length is None else length
        found.append(d * norm / np.sqrt((d**2).sum(axis=over, keepdims=True)))
    return found


def _not_divided(parameters, direction) -> list[np.ndarray]:
    lengths = [np.sqrt((w**2).sum(axis=_filter_axes(w), keepdims=True)) if w.ndim > 1 else 0.0 for w in parameters]
    return [d * length for d, length in zip(direction, lengths, strict=True)]


def _biases_normalised(parameters, direction) -> list[np.ndarray]:
    return [
        d * np.sqrt((w**2).sum() / (d**2).sum()) if w.ndim == 1 else found
        for w, d, found in zip(parameters, direction, _normalised(parameters, direction), strict=True)
    ]


def _filter_axes(w: np.ndarray):
    return 0 if w.ndim == 2 else tuple(range(1, w.ndim))


def _direction_cases(rng: np.random.Generator) -> Iterator[Case]:
    hand = [np.array([[3.0, 1.0], [4.0, 0.0]]), np.array([1.0, 2.0])]
    yield case("two units by hand", hand, [np.array([[0.0, 1.0], [2.0, 1.0]]), np.array([0.5, 0.0])])
    for name, shapes in [
        ("a network 4-6-3", [(4, 6), (6,), (6, 3), (3,)]),
        ("a convolution and a layer", [(5, 2, 3, 3), (5,), (7, 4), (4,)]),
        ("a convolution in one dimension", [(4, 3, 5), (4,)]),
    ]:
        parameters = [rng.normal(size=s) * rng.uniform(0.2, 3, s[-1] if len(s) == 2 else 1) for s in shapes]
        yield case(name, parameters, [rng.normal(size=s) for s in shapes])
    off = rng.normal(size=(4, 5))
    off[:, 2] = 0
    drawn = [rng.normal(size=(4, 5)), rng.normal(size=5)]
    yield case("a unit that has been set to 0", [off, rng.normal(size=5)], drawn)


direction = Exercise(
    id="approximation.direction",
    title="A fair cut through the loss",
    name="filter_normalise",
    kind="function",
    points=3,
    reference=_normalised,
    cases=_direction_cases,
    compare=Close(rtol=1e-5, atol=1e-7),
    mistakes=(
        Mistake(
            "layer_by_layer",
            lambda parameters, direction: _normalised(parameters, direction, axes=lambda w: tuple(range(w.ndim))),
            "each layer as a whole has the right length; every filter of it should have its own.",
        ),
        Mistake(
            "rows_for_columns",
            lambda parameters, direction: _normalised(
                parameters, direction, axes=lambda w: 1 if w.ndim == 2 else _filter_axes(w)
            ),
            "in a layer w (D, M) a unit's weights are a column; you normalise the rows.",
        ),
        Mistake(
            "unit_length",
            lambda parameters, direction: _normalised(parameters, direction, length=1.0),
            "each filter of the direction has length 1; it should be as long as the filter that it is added to.",
        ),
        Mistake(
            "biases_moved",
            lambda parameters, direction: _normalised(parameters, direction, biases=1.0),
            "the weights are right; for biases the direction is 0.",
        ),
        Mistake(
            "channels_apart",
            lambda parameters, direction: _normalised(
                parameters, direction, axes=lambda w: 0 if w.ndim == 2 else tuple(range(2, w.ndim))
            ),
            "full layers are right. A convolution's filter is w[k], all its channels together.",
        ),
        Mistake(
            "first_axis_for_all",
            lambda parameters, direction: _normalised(parameters, direction, axes=lambda w: 0),
            "full layers are right. In a convolution's w (K, C, ...) the first axis counts the filters: sum over the "
            "others.",
        ),
        Mistake(
            "not_divided",
            _not_divided,
            "each filter is multiplied by the length of its weights, and keeps its own length besides: divide by that.",
        ),
        Mistake(
            "biases_normalised",
            _biases_normalised,
            "the weights are right. The biases get a length too; for them the direction is 0.",
        ),
    ),
    withhold=("dlcourse.approximation.filter_normalised",),
    hints=(
        "What is one unit multiplied by? In w (D, M) that is a column, in a convolution's w (K, C, ...) it is w[k].",
        "d · ‖w‖ / ‖d‖, with both norms taken filter by filter and keepdims=True. A 1-D array is a bias: zeros.",
        "axes = 0 if w.ndim == 2 else tuple(range(1, w.ndim)); norm = lambda a: np.sqrt((a**2).sum(axis=axes, "
        "keepdims=True)); d * norm(w) / norm(d).",
    ),
    difficulty=2,
    importance=3,
    minutes=15,
)  # fmt: skip

essay = text_exercise(
    "approximation.essay", "Too many parameters?", points=3, difficulty=3, importance=4, minutes=15
)  # fmt: skip

EXERCISES = (regions, bumps, by_hand, switches, folding, minimum_norm, direction, essay)
