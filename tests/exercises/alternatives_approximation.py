"""Answers to ``06_approximation`` written another way: right ones that must pass, wrong ones that must not.

The wrong ones are slips that are not listed as mistakes in the specification.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import torch

# --- approximation.bumps --------------------------------------------------------------------------------------------


def bumps_loops(x, left, right, height, steepness):
    def sigmoid(z):
        return 1 / (1 + math.exp(-z)) if z > 0 else math.exp(z) / (1 + math.exp(z))

    out = []
    for place in x:
        bumps = zip(left, right, height, strict=True)
        out.append(sum(h * (sigmoid(steepness * (place - a)) - sigmoid(steepness * (place - b))) for a, b, h in bumps))
    return np.array(out, dtype=float)


def bumps_torch(x, left, right, height, steepness):
    x, left, right, height = (torch.as_tensor(a)[None] for a in (x, left, right, height))
    return (height * (torch.sigmoid(steepness * (x.T - left)) - torch.sigmoid(steepness * (x.T - right)))).sum(dim=1)


def bumps_tanh(x, left, right, height, steepness):
    x, k = np.asarray(x, dtype=np.float32), np.float32(steepness / 2)
    out = np.zeros(len(x), dtype=np.float32)
    for a, b, h in zip(left, right, height, strict=True):
        out += np.float32(h) / 2 * (np.tanh(k * (x - np.float32(a))) - np.tanh(k * (x - np.float32(b))))
    return out


def bumps_hard(x, left, right, height, steepness):
    x = x[:, None]
    return ((x > left) & (x < right)) @ height


def bumps_tanh_not_halved(x, left, right, height, steepness):
    x = x[:, None]
    return (np.tanh(steepness * (x - left)) - np.tanh(steepness * (x - right))) @ height / 2


def bumps_mean(x, left, right, height, steepness):
    return bumps_loops(x, left, right, height, steepness) / max(len(height), 1)


# --- approximation.by_hand ------------------------------------------------------------------------------------------


def by_hand_torch(x, y, units, tolerance):
    x, y = torch.as_tensor(x), torch.as_tensor(y)
    step = (len(x) - 1) // units
    slopes = torch.diff(y[::step]) / torch.diff(x[::step])
    changes = torch.cat([slopes[:1], torch.diff(slopes)])
    return torch.ones(units), -x[:-1:step], changes, y[0]


def by_hand_from_the_right(x, y, units, tolerance):
    """Hinges that open to the left."""
    step = (len(x) - 1) // units
    knots, values = x[::step][::-1], y[::step][::-1]
    slopes = np.diff(values) / -np.diff(knots)
    return -np.ones(units), knots[:-1], np.diff(slopes, prepend=0), values[0]


def by_hand_solved(x, y, units, tolerance):
    """Knots, and the output layer by solving linear equations."""
    knots = np.linspace(x[0], x[-1], units + 1)
    a = np.column_stack([np.ones(units + 1), np.maximum(knots[:, None] - knots[:-1], 0)])
    v = np.linalg.solve(a, np.interp(knots, x, y))
    return np.ones(units), -knots[:-1], v[1:], v[:1]


def by_hand_scaled(x, y, units, tolerance):
    """Units of other sizes, in another order, in float32."""
    w, b, v, v0 = by_hand_from_the_right(x, y, units, tolerance)
    size = np.arange(1, units + 1)
    return [(a[::-1]).astype(np.float32) for a in (w * size, b * size, v / size)] + [v0]


def by_hand_constant(x, y, units, tolerance):
    return np.zeros(units), np.zeros(units), np.zeros(units), np.mean(y)


def by_hand_polynomial(x, y, units, tolerance):
    return np.polyfit(x, y, units)


def by_hand_half_the_units(x, y, units, tolerance):
    units = (units + 1) // 2
    knots = np.linspace(x[0], x[-1], units + 1)
    slopes = np.diff(np.interp(knots, x, y)) / np.diff(knots)
    return np.ones(units), -knots[:-1], np.diff(slopes, prepend=0), y[0]


def by_hand_slopes_over_unit_steps(x, y, units, tolerance):
    step = (len(x) - 1) // units
    return np.ones(units), -x[:-1:step], np.diff(np.diff(y[::step]), prepend=0), y[0]


def by_hand_three_results(x, y, units, tolerance):
    return by_hand_torch(x, y, units, tolerance)[:3]


# --- approximation.switches -----------------------------------------------------------------------------------------


def switches_by_pieces(weights, biases, low, high):
    """A piece carries the straight line that each unit's output is on it."""
    pieces, layers = [(low, high, np.array([1.0]), np.array([0.0]))], zip(weights, biases, strict=True)
    for w, b in layers:
        finer = []
        for start, stop, slope, offset in pieces:
            s, o = slope @ w, offset @ w + b
            with np.errstate(divide="ignore", invalid="ignore"):
                zeros = -o / s
            edges = [start, *sorted({z for z in zeros if start + 1e-9 < z < stop - 1e-9}), stop]
            for a, c in pairwise(edges):
                on = s * (a + c) / 2 + o > 0
                finer.append((a, c, s * on, o * on))
        pieces = finer
    return np.array([start for start, *_ in pieces[1:]])


def switches_halving(weights, biases, low, high):
    """Signs on a fine grid, then halving between neighbours of which a sign differs."""

    def signs(x):
        h, found = np.asarray(x)[:, None], []
        for w, b in zip(weights, biases, strict=True):
            z = h @ w + b
            found.append(z > 0)
            h = np.maximum(z, 0)
        return np.concatenate(found, axis=1)

    grid = np.linspace(low, high, 2003)  # finer than the switches lie apart
    seen = signs(grid)
    at = np.flatnonzero((seen[1:] != seen[:-1]).any(axis=1))
    a, b, before = grid[at], grid[at + 1], seen[at]
    for _ in range(40):
        middle = (a + b) / 2
        same = (signs(middle) == before).all(axis=1)
        a, b = np.where(same, middle, a), np.where(same, b, middle)
    return (a + b) / 2


def switches_torch(weights, biases, low, high):
    t = torch.tensor([low, high], dtype=torch.float64)
    for layer in range(len(weights)):
        h = t[:, None]
        for k in range(layer + 1):
            z = h @ torch.as_tensor(weights[k]) + torch.as_tensor(biases[k])
            h = torch.relu(z)
        i, j = torch.nonzero((z[:-1] > 1e-9) & (z[1:] < -1e-9) | (z[:-1] < -1e-9) & (z[1:] > 1e-9), as_tuple=True)
        cross = t[i] + (t[i + 1] - t[i]) * z[i, j] / (z[i, j] - z[i + 1, j])
        t = torch.unique(torch.cat([t, cross]))
    return t[1:-1]


def switches_on_a_grid(weights, biases, low, high):
    grid = np.linspace(low, high, 1001)
    h, changed = grid[:, None], np.zeros(1000, bool)
    for w, b in zip(weights, biases, strict=True):
        z = h @ w + b
        changed |= ((z[1:] > 0) != (z[:-1] > 0)).any(axis=1)
        h = np.maximum(z, 0)
    return grid[:-1][changed]


def switches_outside_too(weights, biases, low, high):
    return switches_by_pieces(weights, biases, low - 10, high + 10)


def switches_relative(weights, biases, low, high):
    return (switches_by_pieces(weights, biases, low, high) - low) / (high - low)


def switches_last_layer_only(weights, biases, low, high):
    before = switches_by_pieces(weights[:-1], biases[:-1], low, high) if len(weights) > 1 else []
    return np.array(
        [t for t in switches_by_pieces(weights, biases, low, high) if all(abs(t - s) > 1e-7 for s in before)]
    )


# --- approximation.folding ------------------------------------------------------------------------------------------


def zigzag_three_units(depth, height):
    """With a third unit that carries x along and is not used."""
    w = np.array([[2.0, 2, 0], [-4, -4, 0], [0, 0, 1]])
    b = np.array([0, -0.5, 0])
    parameters = [np.ones((1, 3)), b]
    for _ in range(depth - 1):
        parameters += [w, b]
    return [*parameters, height * np.array([[2.0], [-4], [0]]), np.zeros(1)]


def zigzag_absolute(depth, height):
    """1 - |2x - 1| from relu(2x - 1) + relu(1 - 2x)."""
    w1, b1 = torch.tensor([[2.0, -2.0]]), torch.tensor([-1.0, 1.0])
    w, b = torch.tensor([[-2.0, 2.0], [-2.0, 2.0]]), torch.tensor([1.0, -1.0])
    parameters = [w1, b1] + [w, b] * (depth - 1)
    return [*parameters, -height * torch.ones(2, 1), height * torch.ones(1)]


def zigzag_the_height_first(depth, height):
    """The last fold in units of the height, in float32."""
    fold, shift = np.array([[2.0, 2.0], [-4.0, -4.0]]), np.array([0, -0.5])
    parameters = [np.ones((1, 2)), shift] + [fold, shift] * (depth - 1)
    parameters[-2], parameters[-1] = height * parameters[-2], height * parameters[-1]
    parameters = [*parameters, fold[:, :1], np.zeros(1)]
    return tuple(a.astype(np.float32) for a in parameters)


def zigzag_starts_high(depth, height):
    p = zigzag_three_units(depth, height)
    return [*p[:-2], -p[-2], np.array([float(height)])]


def zigzag_one_fold_too_few(depth, height):
    return zigzag_three_units(max(depth - 1, 1), height / (1 + (depth == 1)))


def zigzag_wide(depth, height):
    knots = np.arange(2**depth) / 2**depth
    slopes = height * 2**depth * np.where(np.arange(2**depth) % 2, -1.0, 1.0)
    w, b = np.ones((1, 2**depth + 4)), np.append(-knots, [-2.0] * 4)
    return [w, b, np.append(np.diff(slopes, prepend=0), [0.0] * 4)[:, None], np.ones(1) * 0.1]


def zigzag_no_output_layer(depth, height):
    return zigzag_three_units(depth, height)[:-2]


# --- approximation.minimum_norm -------------------------------------------------------------------------------------


def minimum_norm_svd(features, targets):
    u, s, vt = np.linalg.svd(features, full_matrices=False)
    return vt.T @ ((u.T @ targets) / s)


def minimum_norm_torch(features, targets):
    a, y = torch.as_tensor(features), torch.as_tensor(targets)
    if a.shape[0] > a.shape[1]:
        return torch.linalg.inv(a.T @ a) @ a.T @ y
    return a.T @ torch.linalg.inv(a @ a.T) @ y


def minimum_norm_qr(features, targets):
    n, d = features.shape
    if n >= d:
        q, r = np.linalg.qr(features)
        return np.linalg.solve(r, q.T @ targets)
    q, r = np.linalg.qr(features.T)
    return q @ np.linalg.solve(r.T, targets)


def minimum_norm_descent(features, targets):
    """Conjugate gradients from zero on the normal equations."""
    w = np.zeros(features.shape[1])
    residual = features.T @ targets
    step = residual.copy()
    for _ in range(4 * min(features.shape)):
        if residual @ residual < 1e-24:
            break
        moved = features @ step
        alpha = residual @ residual / (moved @ moved)
        new = residual - alpha * features.T @ moved
        w, step, residual = w + alpha * step, new + (new @ new) / (residual @ residual) * step, new
    return w


def minimum_norm_penalised(features, targets):
    return np.linalg.solve(features.T @ features + 0.01 * np.eye(features.shape[1]), features.T @ targets)


def minimum_norm_largest_entry(features, targets):
    w = minimum_norm_svd(features, targets)
    return w + 0.01 * np.abs(w).max()


def minimum_norm_few_steps(features, targets):
    w = np.zeros(features.shape[1])
    for _ in range(5):
        w += features.T @ (targets - features @ w) / np.linalg.norm(features, 2) ** 2
    return w


# --- approximation.direction ----------------------------------------------------------------------------------------


def direction_loops(parameters, direction):
    found = []
    for w, d in zip(parameters, direction, strict=True):
        d = d.copy()
        if w.ndim == 2:
            for m in range(w.shape[1]):
                d[:, m] *= np.linalg.norm(w[:, m]) / np.linalg.norm(d[:, m])
        elif w.ndim > 2:
            for k in range(len(w)):
                d[k] *= np.linalg.norm(w[k]) / np.linalg.norm(d[k])
        else:
            d[:] = 0
        found.append(d)
    return found


def direction_torch(parameters, direction):
    found = []
    for w, d in zip(map(torch.as_tensor, parameters), map(torch.as_tensor, direction), strict=True):
        if w.ndim == 1:
            found.append(torch.zeros_like(d))
        elif w.ndim == 2:
            found.append(d / d.norm(dim=0) * w.norm(dim=0))
        else:
            flat = d.flatten(1) / d.flatten(1).norm(dim=1, keepdim=True) * w.flatten(1).norm(dim=1, keepdim=True)
            found.append(flat.reshape(d.shape))
    return found


def direction_float32(parameters, direction):
    return tuple(d.astype(np.float32) for d in direction_loops(parameters, direction))


def direction_squares(parameters, direction):
    found = []
    for w, d in zip(parameters, direction, strict=True):
        axes = 0 if w.ndim == 2 else tuple(range(1, w.ndim))
        ratio = (w**2).sum(axis=axes, keepdims=True) / (d**2).sum(axis=axes, keepdims=True) if w.ndim > 1 else 0
        found.append(d * ratio)
    return found


def direction_sums(parameters, direction):
    found = []
    for w, d in zip(parameters, direction, strict=True):
        axes = 0 if w.ndim == 2 else tuple(range(1, w.ndim))
        ratio = np.abs(w).sum(axis=axes, keepdims=True) / np.abs(d).sum(axis=axes, keepdims=True) if w.ndim > 1 else 0
        found.append(d * ratio)
    return found


def direction_weights(parameters, direction):
    return [w if w.ndim > 1 else 0 * w for w in parameters]


def direction_without_biases(parameters, direction):
    return [d for d in direction_loops(parameters, direction) if d.ndim > 1]


ALTERNATIVES = {
    "approximation.regions": [79.0, np.int64(79), sum(range(13)) + 1],
    "approximation.bumps": [bumps_loops, bumps_torch, bumps_tanh],
    "approximation.by_hand": [by_hand_torch, by_hand_from_the_right, by_hand_solved, by_hand_scaled],
    "approximation.switches": [switches_by_pieces, switches_halving, switches_torch],
    "approximation.folding": [zigzag_three_units, zigzag_absolute, zigzag_the_height_first],
    "approximation.minimum_norm": [minimum_norm_svd, minimum_norm_torch, minimum_norm_qr, minimum_norm_descent],
    "approximation.direction": [direction_loops, direction_torch, direction_float32],
}

WRONG = {
    "approximation.regions": [80, 24, 67],
    "approximation.bumps": [bumps_hard, bumps_tanh_not_halved, bumps_mean],
    "approximation.by_hand": [
        by_hand_constant, by_hand_polynomial, by_hand_half_the_units, by_hand_slopes_over_unit_steps,
        by_hand_three_results,
    ],
    "approximation.switches": [
        switches_on_a_grid, switches_outside_too, switches_relative, switches_last_layer_only,
    ],
    "approximation.folding": [zigzag_starts_high, zigzag_one_fold_too_few, zigzag_wide, zigzag_no_output_layer],
    "approximation.minimum_norm": [minimum_norm_penalised, minimum_norm_largest_entry, minimum_norm_few_steps],
    "approximation.direction": [direction_squares, direction_sums, direction_weights, direction_without_biases],
}  # fmt: skip
