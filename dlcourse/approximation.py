"""Chapter 06: what a network can represent, in how many pieces, and when more parameters generalise better.

    parameters = hinges(np.sin, 8, 0.0, 6.3)           # a ReLU network made by hand: 8 units, 8 straight pieces
    switches(parameters, [0.0], [6.3])                 # where along a line its units switch, exactly
    slice_regions(parameters, origin, u, v)            # the same in a plane: convex polygons
    minimum_norm(features, targets)                    # of all weights that fit best, the shortest
    filter_normalised(rng, parameters)                 # a direction in which to cut the loss surface

``parameters`` is the list [w1, b1, w2, b2, ...] of ``mlp.MLP``: w has shape (D, M), the last pair is the linear
output, and all units before it are ReLU, except where a function says otherwise.

Source: Cybenko (1989); Montúfar, Pascanu, Cho and Bengio (2014), arXiv:1402.1869; Serra, Tjandraatmadja and
Ramalingam (2018), arXiv:1711.02114; Belkin, Hsu, Ma and Mandal (2019), arXiv:1812.11118; Li, Xu, Taylor, Studer and
Goldstein (2018), arXiv:1712.09913. Each function names its own.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from dlcourse import init
from dlcourse.activations import sigmoid_backward, sigmoid_forward
from dlcourse.arrays import as_float, as_gradient
from dlcourse.mlp import MLP

# -------------------------------------------------------------------------------------- sums of bumps, made by hand


def bumps_forward(
    x: np.ndarray, left: np.ndarray, right: np.ndarray, height: np.ndarray, steepness: float = 50.0
) -> tuple[np.ndarray, tuple]:
    """A sum of bumps, each the difference of two sigmoids: out = Σ_p h_p [σ(k (x - l_p)) - σ(k (x - r_p))].

    Parameters
    ----------
    x : (N,) float array
    left, right, height : (P,) float arrays: where each bump begins and ends, and how high it is
    steepness : k; the larger, the more a bump is a box

    Returns
    -------
    out : (N,) array
    cache : what ``bumps_backward`` needs

    Raises
    ------
    ValueError
        A shape does not fit, a dtype is not a float, or ``steepness`` is not positive.
    """
    x, left, right, height = (
        as_float(a, name) for a, name in ((x, "x"), (left, "left"), (right, "right"), (height, "height"))
    )
    if x.ndim != 1 or left.ndim != 1 or not left.shape == right.shape == height.shape:
        raise ValueError(
            f"x, left, right, height have shapes {x.shape}, {left.shape}, {right.shape}, {height.shape}; "
            "expected (N,), (P,), (P,), (P,)"
        )
    if not steepness > 0:
        raise ValueError(f"steepness is {steepness}; expected a positive number")
    up, up_cache = sigmoid_forward(steepness * (x[:, None] - left))  # (N, P)
    down, down_cache = sigmoid_forward(steepness * (x[:, None] - right))
    return (up - down) @ height, (up - down, up_cache, down_cache, height, steepness)


def bumps_backward(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of the sum of bumps with respect to x (N,) and to left, right and height (P,)."""
    bumps, up_cache, down_cache, height, steepness = cache
    dout = as_gradient(dout, bumps.shape[:1])
    dbumps = dout[:, None] * height
    dup = steepness * sigmoid_backward(dbumps, up_cache)
    ddown = -steepness * sigmoid_backward(dbumps, down_cache)
    return (dup + ddown).sum(axis=1), -dup.sum(axis=0), -ddown.sum(axis=0), bumps.T @ dout


def staircase(f: Callable, units: int, low: float, high: float, sharpness: float = 50.0) -> list[np.ndarray]:
    """A network of sigmoid units that imitates f by steps, made by hand.

    Bumps side by side share their edges, so P units give P + 1 treads of equal width, each as high as f at its
    middle. With perfect steps the error is at most L / 2 times a tread's width, L the steepest slope of f.

    Parameters
    ----------
    f : takes and gives an array
    units : P, at least 1
    low, high : the interval
    sharpness : a sigmoid rises from 0.27 to 0.73 within 2 / sharpness of a tread's width

    Returns
    -------
    parameters : [w1 (1, P), b1 (P,), w2 (P, 1), b2 (1,)] for ``MLP((1, P, 1), "sigmoid", loss="sse")``

    Raises
    ------
    ValueError
        There is no unit, or the interval is empty.
    """
    _check_interval(units, low, high)
    width = (high - low) / (units + 1)
    treads = np.asarray(f(low + width * (np.arange(units + 1) + 0.5)), dtype=float)
    steepness = sharpness / width
    edges = low + width * np.arange(1, units + 1)
    return [np.full((1, units), steepness), -steepness * edges, np.diff(treads)[:, None], treads[:1].copy()]


def hinges(f: Callable, units: int, low: float, high: float) -> list[np.ndarray]:
    """A network of ReLU units that joins points of f by straight lines, made by hand.

    Each unit is a hinge at a knot, and its output weight is the change of slope there. With knots h apart the error
    is at most M h² / 8, M the largest curvature f'': twice the units, a quarter of the error.

    Parameters
    ----------
    f : takes and gives an array
    units : P, at least 1: as many straight pieces
    low, high : the interval

    Returns
    -------
    parameters : [w1 (1, P), b1 (P,), w2 (P, 1), b2 (1,)] for ``MLP((1, P, 1), "relu", loss="sse")``

    Raises
    ------
    ValueError
        There is no unit, or the interval is empty.
    """
    _check_interval(units, low, high)
    knots = np.linspace(low, high, units + 1)
    values = np.asarray(f(knots), dtype=float)
    slopes = np.diff(values) / np.diff(knots)
    return [np.ones((1, units)), -knots[:-1], np.diff(slopes, prepend=0.0)[:, None], values[:1].copy()]


def zigzag(depth: int) -> list[np.ndarray]:
    """A network of ``depth`` layers of two ReLU units each whose output on [0, 1] goes up and down 2^depth times.

    Each layer folds the interval in half: t(x) = 2 relu(x) - 4 relu(x - 1/2). What comes later is done to both halves.
    A network of one hidden layer needs 2^depth units for it.

    Source: Telgarsky, Representation benefits of deep feedforward networks (2015), arXiv:1509.08101, section 2.

    Raises
    ------
    ValueError
        ``depth`` is below 1.
    """
    if depth < 1:
        raise ValueError(f"depth is {depth}; expected at least 1")
    first, fold = np.ones((1, 2)), np.array([[2.0], [-4.0]])
    parameters = [first, np.array([0.0, -0.5])]
    for _ in range(depth - 1):
        parameters += [fold @ first, np.array([0.0, -0.5])]
    return [*parameters, fold, np.zeros(1)]


def network(parameters: Sequence[np.ndarray], activation: str = "relu") -> MLP:
    """The ``MLP`` with these parameters (copied), a linear output and the squared error.

    Raises
    ------
    ValueError
        A shape does not fit its neighbour's.
    """
    layers = _layers(parameters)
    model = MLP([layers[0][0].shape[0], *(w.shape[1] for w, _ in layers)], activation, loss="sse")
    for mine, given in zip(model.parameters, parameters, strict=True):
        mine[...] = given
    return model


# ---------------------------------------------------------------------------------------------- pieces and regions


def parameter_count(sizes: Sequence[int]) -> int:
    """Weights and biases of a fully connected network: Σ (fan_in + 1) · fan_out; (784, 128, 10) has 101,770."""
    return sum((a + 1) * b for a, b in pairwise(sizes))


def matched_width(shallow: Sequence[int], depth: int) -> int:
    """The width of ``depth`` equal hidden layers with which the number of parameters is nearest that of ``shallow``.

    Raises
    ------
    ValueError
        ``depth`` is below 1.
    """
    if depth < 1:
        raise ValueError(f"depth is {depth}; expected at least 1")
    goal = parameter_count(shallow)

    def off(width: int) -> int:
        return abs(parameter_count([shallow[0], *[width] * depth, shallow[-1]]) - goal)

    return min(range(1, goal // (shallow[0] + 1) + 2), key=off)


def random_network(rng: np.random.Generator, sizes: Sequence[int], bias: float = 1.0) -> list[np.ndarray]:
    """Kaiming's normal weights, and normal biases of standard deviation ``bias``."""
    made = [(init.kaiming_normal(rng, shape), bias * rng.standard_normal(shape[1])) for shape in pairwise(sizes)]
    return [array for pair in made for array in pair]


def switches(parameters: Sequence[np.ndarray], start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """Where on the way from ``start`` to ``stop`` a ReLU unit switches on or off: exactly, from layer to layer.

    Between two switches of the layers so far every unit's sum is linear in t. So it is enough to know the sums at the
    switches: where a sum has another sign at the next one, the crossing is found by the rule of three.

    Parameters
    ----------
    parameters : [w1, b1, ..., w, b], ReLU but for the last pair
    start, stop : (D,) float arrays, the way is start + t (stop - start)

    Returns
    -------
    t : sorted array of the switches strictly between 0 and 1. They part the way into ``len(t) + 1`` pieces on which
        the network is linear.

    Raises
    ------
    ValueError
        A shape does not fit.
    """
    layers = _layers(parameters)
    ends = np.array([start, stop], dtype=float)
    if ends.shape != (2, layers[0][0].shape[0]):
        raise ValueError(f"start and stop make {ends.shape}; the network has {layers[0][0].shape[0]} inputs")
    t, h = np.array([0.0, 1.0]), ends
    for w, b in layers[:-1]:
        z = h @ w + b  # (switches so far and the two ends, M)
        piece, unit = np.nonzero(z[:-1] * z[1:] < 0)
        before, after = z[piece, unit], z[piece + 1, unit]
        share = before / (before - after)
        crossed = t[piece] + share * (t[piece + 1] - t[piece])
        between = z[piece] + share[:, None] * (z[piece + 1] - z[piece])
        between[np.arange(len(unit)), unit] = 0.0  # by definition; rounding would leave a sign
        t, order = np.unique(np.concatenate([t, crossed]), return_index=True)
        h = np.maximum(np.concatenate([z, between])[order], 0.0)
    return t[(t > 0) & (t < 1)]


class Region(NamedTuple):
    """A polygon of a plane on which a network is linear: ``output(s, t) = slope[0] s + slope[1] t + offset``."""

    corners: np.ndarray  # (k, 2), in order around the polygon
    slope: np.ndarray  # (2, outputs)
    offset: np.ndarray  # (outputs,)


def slice_regions(
    parameters: Sequence[np.ndarray], origin: np.ndarray, u: np.ndarray, v: np.ndarray, extent: float = 1.0
) -> list[Region]:
    """All linear regions of a ReLU network on the square origin + s u + t v, exactly: s and t from -extent to extent.

    Restricted to a plane a network has two inputs. Each unit of the first layer cuts the square along a line; each unit
    of a later layer cuts every polygon along a line of its own, since on a polygon its sum is linear.

    Parameters
    ----------
    parameters : [w1, b1, ..., w, b], ReLU but for the last pair
    origin, u, v : (D,) float arrays
    extent : half the side of the square

    Raises
    ------
    ValueError
        A shape does not fit, or ``extent`` is not positive.
    """
    layers = _layers(parameters)
    plane = np.array([u, v, origin], dtype=float)  # (3, D): times (s, t, 1) it gives the input
    if plane.shape != (3, layers[0][0].shape[0]):
        raise ValueError(f"origin, u and v make {plane.shape}; the network has {layers[0][0].shape[0]} inputs")
    if not extent > 0:
        raise ValueError(f"extent is {extent}; expected a positive number")
    found = [(extent * np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]]), plane)]
    for w, b in layers[:-1]:
        finer = []
        for corners, maps in found:
            z = maps @ w  # (3, M): each unit's sum as a linear function of (s, t, 1)
            z[2] += b
            for piece in _cut(corners, z):
                middle = np.append(piece.mean(axis=0), 1.0)
                finer.append((piece, z * (middle @ z > 0)))
        found = finer
    w, b = layers[-1]
    return [Region(corners, maps[:2] @ w, maps[2] @ w + b) for corners, maps in found]


def _cut(corners: np.ndarray, lines: np.ndarray) -> list[np.ndarray]:
    """Cut a convex polygon (k, 2) along the lines (3, M) on which lines[0] s + lines[1] t + lines[2] is 0."""
    waiting, done = [(corners, np.arange(lines.shape[1]))], []
    while waiting:
        polygon, units = waiting.pop()
        values = polygon @ lines[:2, units] + lines[2, units]
        near = 1e-12 * np.abs(values).max(axis=0, initial=0.0)  # a line through a corner cuts nothing off
        units = units[(values.min(axis=0, initial=0.0) < -near) & (values.max(axis=0, initial=0.0) > near)]
        if not len(units):
            done.append(polygon)
            continue
        value = polygon @ lines[:2, units[0]] + lines[2, units[0]]
        after, ahead = np.roll(value, -1), np.roll(polygon, -1, axis=0)
        crossing = np.flatnonzero(value * after < 0)
        share = (value[crossing] / (value[crossing] - after[crossing]))[:, None]
        cuts = polygon[crossing] + share * (ahead[crossing] - polygon[crossing])
        for side in (1.0, -1.0):
            places = np.concatenate([np.flatnonzero(side * value >= 0), crossing + 0.5])
            kept = np.concatenate([polygon[side * value >= 0], cuts])
            waiting.append((kept[np.argsort(places, kind="stable")], units[1:]))
    return done


def arrangement_regions(lines: int, dimension: int) -> int:
    """The most regions into which ``lines`` hyperplanes cut a space: Σ_{j ≤ dimension} C(lines, j).

    In general position it is attained: this is the maximum for one hidden layer of ReLU units.

    Source: Zaslavsky, Facing up to arrangements (1975); Pascanu, Montúfar and Bengio (2014), arXiv:1312.6098.
    """
    return sum(math.comb(lines, j) for j in range(dimension + 1))


def montufar_bound(inputs: int, widths: Sequence[int]) -> int:
    """What some ReLU network of these hidden widths attains at least: Π_{l<L} ⌊n_l / n_0⌋^{n_0} · Σ_{j≤n_0} C(n_L, j).

    A lower bound on the maximum, not on every network. It folds each of the ``inputs`` axes, as ``zigzag`` does.

    Source: Montúfar et al. (2014), arXiv:1402.1869, theorem 5; it asks for widths of at least ``inputs``.

    Raises
    ------
    ValueError
        There is no layer, or a layer is narrower than the input.
    """
    if not widths or min(widths) < inputs or inputs < 1:
        raise ValueError(f"inputs is {inputs}, widths {list(widths)}; expected widths of at least inputs, at least 1")
    folds = math.prod((n // inputs) ** inputs for n in widths[:-1])
    return folds * arrangement_regions(widths[-1], inputs)


def serra_bound(inputs: int, widths: Sequence[int]) -> int:
    """No ReLU network of these hidden widths has more regions: Σ_J Π_l C(n_l, j_l).

    J holds all (j_1, ..., j_L) with 0 ≤ j_l ≤ min(n_0, n_1 - j_1, ..., n_(l-1) - j_(l-1), n_l): the more units of a
    layer are off, the fewer dimensions are left for the next to cut. For one layer it is ``arrangement_regions``.

    Source: Serra, Tjandraatmadja and Ramalingam (2018), arXiv:1711.02114, theorem 1.

    Raises
    ------
    ValueError
        There is no layer, or a size is below 1.
    """
    if not widths or min(inputs, *widths) < 1:
        raise ValueError(f"inputs is {inputs}, widths {list(widths)}; expected at least one layer, sizes of at least 1")

    @functools.cache
    def from_layer(layer: int, dimension: int) -> int:
        if layer == len(widths):
            return 1
        n = widths[layer]
        return sum(math.comb(n, j) * from_layer(layer + 1, min(dimension, n - j)) for j in range(min(dimension, n) + 1))

    return from_layer(0, inputs)


# -------------------------------------------------------------------------------------- least squares, both sides of N


def legendre_features(x: np.ndarray, count: int, decay: float = 0.0) -> np.ndarray:
    """The first ``count`` Legendre polynomials at x, orthonormal on [-1, 1], that of degree k times (k + 1)^-decay.

    Scaling a feature changes nothing about what its sum can represent. It changes what is cheap: with ``decay`` a
    high degree needs a larger weight, so that the minimum-norm solution avoids it.

    Parameters
    ----------
    x : (N,) float array from -1 to 1

    Returns
    -------
    (N, count) float64 array

    Raises
    ------
    ValueError
        x is not one axis of floats from -1 to 1, or ``count`` is below 1.
    """
    x = as_float(x, "x")
    if x.ndim != 1 or (len(x) and np.abs(x).max() > 1) or count < 1:
        raise ValueError(f"x has shape {x.shape}, count is {count}; expected (N,) from -1 to 1, count at least 1")
    k = np.arange(count)
    return np.polynomial.legendre.legvander(x.astype(np.float64), count - 1) * np.sqrt(k + 0.5) * (k + 1.0) ** -decay


def random_features(rng: np.random.Generator, inputs: int, count: int) -> Callable[[np.ndarray], np.ndarray]:
    """A hidden layer that is drawn and never trained: x (N, D) -> relu(x w + b), (N, count) in float64.

    Kaiming's weights, standard normal biases. The same generator gives the same first features, however many there are.

    Source: Rahimi and Recht, Random features for large-scale kernel machines (2007).
    """
    drawn = rng.standard_normal((count, inputs + 1))
    w, b = math.sqrt(2.0 / inputs) * drawn[:, :-1].T, drawn[:, -1]
    return lambda x: np.maximum(np.asarray(x, dtype=np.float64) @ w + b, 0.0)


def minimum_norm(features: np.ndarray, targets: np.ndarray, rcond: float = 1e-13) -> np.ndarray:
    """Of all weights that make ‖features w - targets‖² least, the shortest: w = features⁺ targets.

    With more examples than features it is ordinary least squares; with fewer it fits every example and chooses. It
    is what gradient descent from zero converges to, since each of its steps lies in the span of the examples.

    Parameters
    ----------
    features, targets : (N, D), and (N,) or (N, K)
    rcond : singular values below ``rcond`` times the largest count as 0

    Returns
    -------
    w : (D,) or (D, K), computed in float64

    Raises
    ------
    ValueError
        The shapes do not fit.
    """
    features, targets = _rows(features, targets)
    return np.linalg.lstsq(features, targets, rcond=rcond)[0]


def ridge(features: np.ndarray, targets: np.ndarray, lam: float) -> np.ndarray:
    """Weights that make the structural risk ‖features w - targets‖² + lam ‖w‖² least, in float64.

    For lam → 0 it becomes ``minimum_norm``.

    Raises
    ------
    ValueError
        The shapes do not fit, or ``lam`` is not positive.
    """
    features, targets = _rows(features, targets)
    if not lam > 0:
        raise ValueError(f"lam is {lam}; expected a positive number")
    u, s, vt = np.linalg.svd(features, full_matrices=False)
    weighted = (s / (s**2 + lam)) * (u.T @ targets).T  # (D,) or (K, D)
    return vt.T @ weighted.T


class Descent(NamedTuple):
    """What ``descent`` measured, one number for each count of features."""

    counts: np.ndarray
    train: np.ndarray  # mean squared error, summed over the outputs
    test: np.ndarray
    errors: np.ndarray  # share of test examples whose largest output is the wrong one; nan for one output
    norm: np.ndarray  # length of the weights

    def peak(self, values: np.ndarray | None = None) -> int:
        """The count of features at the largest value; by default of the test error."""
        return int(self.counts[np.argmax(self.test if values is None else values)])


def descent(
    features: np.ndarray,
    targets: np.ndarray,
    features_test: np.ndarray,
    targets_test: np.ndarray,
    counts: Sequence[int],
    *,
    lam: float = 0.0,
    rcond: float = 1e-13,
) -> Descent:
    """Fit with the first ``count`` features, for each count: ``minimum_norm``, or ``ridge`` where lam is positive.

    Parameters
    ----------
    features, features_test : (N, D), (N', D)
    targets, targets_test : (N,) or (N, K), and the same for the test
    counts : from 1 to D

    Raises
    ------
    ValueError
        A count is out of range, or the shapes do not fit.
    """
    counts = np.asarray(counts, dtype=int)
    if not counts.size or counts.min() < 1 or counts.max() > features.shape[1]:
        raise ValueError(f"counts go from {counts.min(initial=0)} to {counts.max(initial=0)}; expected 1 to "
                         f"{features.shape[1]}, the number of features")  # fmt: skip
    targets, targets_test = (np.asarray(a, dtype=np.float64).reshape(len(a), -1) for a in (targets, targets_test))
    found = []
    for count in counts:
        a, a_test = features[:, :count], features_test[:, :count]
        w = ridge(a, targets, lam) if lam else minimum_norm(a, targets, rcond)
        out = a_test @ w
        wrong = np.mean(out.argmax(axis=1) != targets_test.argmax(axis=1)) if out.shape[1] > 1 else np.nan
        squares = [np.mean(np.sum(d**2, axis=1)) for d in (a @ w - targets, out - targets_test)]
        found.append((*squares, wrong, np.linalg.norm(w)))
    return Descent(counts, *np.array(found).T)


# ---------------------------------------------------------------------------------------- slices of the loss surface


def filter_normalised(
    rng: np.random.Generator, parameters: Sequence[np.ndarray], normalise: bool = True
) -> list[np.ndarray]:
    """A random direction in which every filter is as long as the filter that it is added to; 0 for biases.

    d ← d / ‖d‖ · ‖w‖, filter by filter. A filter is what one unit is multiplied by: a column of w (D, M), and w[k] of
    a convolution's (K, C, KH, KW). Two ReLU networks that differ in the scale of their layers and compute the same
    then get the same slices; without it the one with the smaller weights looks sharper.

    Parameters
    ----------
    normalise : False for the plain normal direction, for comparison

    Source: Li et al. (2018), arXiv:1712.09913, section 4. Directions for biases are 0, as in the authors' programs.
    """
    direction = []
    for w in parameters:
        w = as_float(w, "parameters")
        if w.ndim < 2:
            direction.append(np.zeros_like(w))
            continue
        d = rng.standard_normal(w.shape).astype(w.dtype)
        if normalise:
            axes = 0 if w.ndim == 2 else tuple(range(1, w.ndim))
            d *= np.sqrt((w**2).sum(axis=axes, keepdims=True) / (d**2).sum(axis=axes, keepdims=True))
        direction.append(d)
    return direction


def loss_slice(
    loss: Callable[[list[np.ndarray]], float],
    parameters: Sequence[np.ndarray],
    directions: Sequence[Sequence[np.ndarray]],
    steps: np.ndarray,
) -> np.ndarray:
    """The loss along one direction, (S,), or on the grid of two, (S, S): loss(parameters + a d + b e).

    Parameters
    ----------
    loss : takes a list like ``parameters`` and gives a number
    directions : one or two lists like ``parameters``; the first belongs to the first axis
    steps : (S,) the values of a, and of b

    Raises
    ------
    ValueError
        There are neither one nor two directions, or one does not fit the parameters.
    """
    shapes = [np.shape(p) for p in parameters]
    if len(directions) not in (1, 2) or any([np.shape(d) for d in e] != shapes for e in directions):
        raise ValueError(f"expected one or two directions, each of the parameters' shapes {shapes}")
    steps = np.asarray(steps, dtype=float)
    values = np.empty((len(steps),) * len(directions))
    for index in np.ndindex(values.shape):
        moved = [np.asarray(p) for p in parameters]
        for a, direction in zip(steps[list(index)], directions, strict=True):
            moved = [p + a * d for p, d in zip(moved, direction, strict=True)]
        values[index] = loss(moved)
    return values


# ------------------------------------------------------------------------------------------------------------ checks


def _layers(parameters: Sequence[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    if len(parameters) < 2 or len(parameters) % 2:
        raise ValueError(f"parameters has {len(parameters)} arrays; expected [w1, b1, w2, b2, ...]")
    layers = [(np.asarray(w, dtype=float), np.asarray(b, dtype=float)) for w, b in
              zip(parameters[::2], parameters[1::2], strict=True)]  # fmt: skip
    for i, (w, b) in enumerate(layers, start=1):
        if w.ndim != 2 or b.shape != w.shape[1:]:
            raise ValueError(f"layer {i} has w {w.shape} and b {b.shape}; expected (D, M) and (M,)")
        if i < len(layers) and layers[i][0].shape[:1] != w.shape[1:]:
            raise ValueError(f"layer {i} has {w.shape[1]} outputs, layer {i + 1} expects {layers[i][0].shape[0]}")
    return layers


def _rows(features: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    features, targets = np.asarray(features, dtype=np.float64), np.asarray(targets, dtype=np.float64)
    if features.ndim != 2 or targets.ndim not in (1, 2) or len(targets) != len(features):
        raise ValueError(
            f"features has shape {features.shape}, targets {targets.shape}; expected (N, D), (N,) or (N, K)"
        )
    return features, targets


def _check_interval(units: int, low: float, high: float) -> None:
    if units < 1 or not low < high:
        raise ValueError(f"units is {units}, the interval {low} to {high}; expected at least 1, and low < high")
