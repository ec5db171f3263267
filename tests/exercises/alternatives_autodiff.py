"""Answers to ``03_autodiff`` written in other ways: right ones, and wrong ones that are no listed mistake."""

from __future__ import annotations

import cmath
import math

import numpy as np
import torch

# --- autodiff.unbroadcast -------------------------------------------------------------------------------------------


def unbroadcast_loops(g, shape):
    out = np.zeros(shape)
    for index in np.ndindex(*g.shape):
        kept = index[len(index) - len(shape) :]
        out[tuple(0 if n == 1 else i for i, n in zip(kept, shape, strict=True))] += g[index]
    return out


def unbroadcast_one_by_one(g, shape):
    while g.ndim > len(shape):
        g = g.sum(axis=0)
    for axis, n in enumerate(shape):
        if g.shape[axis] != n:
            g = np.expand_dims(np.add.reduce(g, axis), axis)
    return g


def unbroadcast_torch32(g, shape):
    wide = (1,) * (g.ndim - len(shape)) + tuple(shape)
    axes = [i for i, (n, m) in enumerate(zip(wide, g.shape, strict=True)) if n != m]
    g = torch.tensor(g).float()
    return (g.sum(dim=axes, keepdim=True) if axes else g).reshape(shape)


def unbroadcast_matrix(g, shape):
    """Copying as a matrix; the way back is its transpose."""
    places = np.broadcast_to(np.arange(math.prod(shape)).reshape(shape), g.shape).ravel()
    return (np.eye(math.prod(shape))[places].T @ g.ravel()).reshape(shape)


def unbroadcast_everything(g, shape):
    return np.full(shape, g.sum())


def unbroadcast_front_only(g, shape):
    return g.sum(axis=0).reshape(shape) if g.ndim > len(shape) else g


def unbroadcast_largest(g, shape):
    wide = (1,) * (g.ndim - len(shape)) + tuple(shape)
    axes = tuple(i for i, (n, m) in enumerate(zip(wide, g.shape, strict=True)) if n != m)
    return g.max(axis=axes, keepdims=True).reshape(shape)


def unbroadcast_from_the_front(g, shape):
    for _ in range(len(shape), g.ndim):
        g = g.sum(axis=-1)
    return unbroadcast_one_by_one(g, shape) if g.ndim == len(shape) else g


# --- autodiff.run_forward -------------------------------------------------------------------------------------------


def forward_tuples(program, x, v):
    rules = {
        "add": lambda p, q: (p[0] + q[0], p[1] + q[1]),
        "mul": lambda p, q: (p[0] * q[0], p[1] * q[0] + p[0] * q[1]),
        "div": lambda p, q: (p[0] / q[0], (p[1] * q[0] - p[0] * q[1]) / q[0] ** 2),
        "sin": lambda p: (math.sin(p[0]), math.cos(p[0]) * p[1]),
        "exp": lambda p: (math.exp(p[0]), math.exp(p[0]) * p[1]),
    }
    made = list(zip(map(float, x), map(float, v), strict=True))
    for name, *where in program:
        made.append(rules[name](*[made[i] for i in where]))
    return made[-1]


def forward_complex(program, x, v):
    """A step along the imaginary axis: Im f(x + i h v) / h, exact to rounding for h this small."""
    h = 1e-30
    made = [complex(a, h * b) for a, b in zip(x, v, strict=True)]
    for name, *where in program:
        p = [made[i] for i in where]
        if name in ("sin", "exp"):
            made.append(getattr(cmath, name)(p[0]))
        else:
            made.append(p[0] + p[1] if name == "add" else p[0] * p[1] if name == "mul" else p[0] / p[1])
    return made[-1].real, made[-1].imag / h


def forward_torch32(program, x, v):
    values, tangents = list(torch.tensor(x).float()), list(torch.tensor(v).float())
    for name, *where in program:
        a, b, da, db = values[where[0]], values[where[-1]], tangents[where[0]], tangents[where[-1]]
        values.append({"add": a + b, "mul": a * b, "div": a / b, "sin": a.sin(), "exp": a.exp()}[name])
        slopes = {"add": da + db, "mul": da * b + a * db, "div": da / b - a * db / b**2}
        tangents.append(slopes.get(name, da * (a.cos() if name == "sin" else a.exp())))
    return values[-1], tangents[-1]


def forward_reversed_quotient(program, x, v):
    return forward_tuples([(n, *w[::-1]) if n == "div" else (n, *w) for n, *w in program], x, v)


def forward_no_tangent(program, x, v):
    return forward_tuples(program, x, v)[0], 0.0


def forward_first_input_only(program, x, v):
    return forward_tuples(program, x, [v[0], *(0 * v[1:])])


def forward_value_only(program, x, v):
    return forward_tuples(program, x, v)[0]


def forward_second_last(program, x, v):
    return forward_tuples(program[:-1], x, v) if len(program) > 1 else (x[-1], v[-1])


# --- autodiff.backward_order ----------------------------------------------------------------------------------------


def _needed(inputs, root):
    needed, todo = {root}, [root]
    while todo:
        for i in inputs[todo.pop()]:
            if i not in needed:
                needed.add(i)
                todo.append(i)
    return needed


def order_depth_first(inputs, root):
    """Nodes when all of their inputs are done, turned round; grey nodes betray a cycle."""
    state, done, todo = {}, [], [(root, iter(inputs[root]))]
    state[root] = "open"
    while todo:
        node, rest = todo[-1]
        for i in rest:
            if state.get(i) == "open":
                return []
            if i not in state:
                state[i] = "open"
                todo.append((i, iter(inputs[i])))
                break
        else:
            state[node] = "done"
            done.append(node)
            todo.pop()
    return np.array(done[::-1])


def order_by_height(inputs, root):
    """Sorted by the longest way to a number that was given."""
    needed = _needed(inputs, root)
    users = {node: [] for node in needed}
    missing = {node: len(inputs[node]) for node in needed}
    for node in needed:
        for i in inputs[node]:
            users[i].append(node)
    height, ready = {}, [node for node in needed if not missing[node]]
    while ready:
        node = ready.pop()
        height[node] = 1 + max((height[i] for i in inputs[node]), default=0)
        for user in users[node]:
            missing[user] -= 1
            if not missing[user]:
                ready.append(user)
    return sorted(needed, key=lambda node: -height[node]) if len(height) == len(needed) else []


def order_users_as_sets(inputs, root):
    needed = _needed(inputs, root)
    users = {node: set() for node in needed}
    for node in needed:
        for i in set(inputs[node]):
            users[i].add(node)
    order, ready = [], [node for node in sorted(needed) if not users[node]]
    while ready:
        node = ready.pop(0)
        order.append(node)
        for i in set(inputs[node]):
            users[i].discard(node)
            if not users[i]:
                ready.append(i)
    return tuple(order) if len(order) == len(needed) else ()


def order_by_number(inputs, root):
    return sorted(_needed(inputs, root), reverse=True)


def order_recursive(inputs, root):
    done = []

    def visit(node, above):
        if node in above:
            raise ValueError("cycle")
        if node not in done:
            for i in inputs[node]:
                visit(i, above | {node})
            done.append(node)

    visit(root, frozenset())
    return done[::-1]


def order_breadth_first(inputs, root):
    order = [root]
    for node in order:
        order += [i for i in dict.fromkeys(inputs[node]) if i not in order]
    return order if len(order) < 1000 else []


def order_nothing(inputs, root):
    return []


def order_without_root(inputs, root):
    found = order_users_as_sets(inputs, root)
    return found[1:]


def order_without_leaves(inputs, root):
    return [node for node in order_users_as_sets(inputs, root) if inputs[node]]


# --- autodiff.tape --------------------------------------------------------------------------------------------------


class TapeOfMatrices:
    """The whole Jacobian at once: the inverse of the unit matrix minus the slopes."""

    def __init__(self):
        self.values, self.slopes = [], []

    def _put(self, value, *slopes):
        self.values.append(float(value))
        self.slopes.append(slopes)
        return len(self.values) - 1

    def number(self, x):
        return self._put(x)

    def add(self, i, j):
        return self._put(self.values[i] + self.values[j], (i, 1), (j, 1))

    def mul(self, i, j):
        return self._put(self.values[i] * self.values[j], (i, self.values[j]), (j, self.values[i]))

    def exp(self, i):
        return self._put(math.exp(self.values[i]), (i, math.exp(self.values[i])))

    def value(self, i):
        return self.values[i]

    def gradient(self, i):
        matrix = np.eye(len(self.values))
        for row, slopes in enumerate(self.slopes):
            for j, slope in slopes:
                matrix[row, j] -= slope
        return np.linalg.inv(matrix)[i]


class TapeOfTangents:
    """Forward mode: each number carries its derivatives with respect to all earlier ones."""

    def __init__(self):
        self.values, self.rows = [], []

    def _put(self, value, row):
        place = len(self.values)
        self.values.append(value)
        self.rows.append({**row, place: row.get(place, 0.0) + 1.0})
        return place

    def _mix(self, *parts):
        row = {}
        for factor, i in parts:
            for k, g in self.rows[i].items():
                row[k] = row.get(k, 0.0) + factor * g
        return row

    def number(self, x):
        return self._put(np.float32(x), {})

    def add(self, i, j):
        return self._put(self.values[i] + self.values[j], self._mix((1, i), (1, j)))

    def mul(self, i, j):
        return self._put(self.values[i] * self.values[j], self._mix((self.values[j], i), (self.values[i], j)))

    def exp(self, i):
        out = np.exp(self.values[i])
        return self._put(out, self._mix((out, i)))

    def value(self, i):
        return self.values[i]

    def gradient(self, i):
        return [self.rows[i].get(k, 0.0) for k in range(len(self.values))]


class TapeOfClosures:
    """Each number knows how to push its gradient back."""

    def __init__(self):
        self.numbers, self.pushes = [], []

    def _put(self, value, push):
        self.numbers.append(torch.tensor(value, dtype=torch.float64))
        self.pushes.append(push)
        return len(self.numbers) - 1

    def number(self, x):
        return self._put(float(x), lambda g, d: None)

    def add(self, i, j):
        def push(g, d):
            d[i] += g
            d[j] += g

        return self._put(float(self.numbers[i] + self.numbers[j]), push)

    def mul(self, i, j):
        a, b = self.numbers[i], self.numbers[j]

        def push(g, d):
            d[i] += g * b
            d[j] += g * a

        return self._put(float(a * b), push)

    def exp(self, i):
        out = torch.exp(self.numbers[i])

        def push(g, d):
            d[i] += g * out

        return self._put(float(out), push)

    def value(self, i):
        return self.numbers[i]

    def gradient(self, i):
        d = torch.zeros(len(self.numbers), dtype=torch.float64)
        d[i] = 1.0
        for k in range(i, -1, -1):
            self.pushes[k](d[k].clone(), d)
        return d


class TapeWithoutRoot(TapeOfMatrices):
    def gradient(self, i):
        g = super().gradient(i)
        g[i] = 0
        return g


class TapeOfInputsOnly(TapeOfMatrices):
    def gradient(self, i):
        return [g for g, slopes in zip(super().gradient(i), self.slopes, strict=True) if not slopes]


class TapeUpToHere(TapeOfMatrices):
    def gradient(self, i):
        return super().gradient(i)[: i + 1]


class TapeNegative(TapeOfMatrices):
    def gradient(self, i):
        return -super().gradient(i)


class TapeFromOne(TapeOfMatrices):
    def number(self, x):
        return super().number(x) + 1


class TapeSquareForgotten(TapeOfMatrices):
    def mul(self, i, j):
        place = super().mul(i, j)
        if i == j:
            self.slopes[place] = ((i, self.values[i]),)
        return place


# --- autodiff.learn -------------------------------------------------------------------------------------------------


def _backprop(x, t, w):
    H = len(w) // 4
    w1, b, w2 = w[: 2 * H].reshape(2, H), w[2 * H : 3 * H], w[3 * H :]
    h = np.tanh(x @ w1 + b)
    error = 2 * (h @ w2 - t) / len(x)
    dz = np.outer(error, w2) * (1 - h * h)
    return np.concatenate([(x.T @ dz).ravel(), dz.sum(axis=0), h.T @ error])


def _classes(x, w):
    H = len(w) // 4
    return (np.tanh(x @ w[: 2 * H].reshape(2, H) + w[2 * H : 3 * H]) @ w[3 * H :] > 0).astype(int)


def learn_by_backprop(x, y, x_new, w):
    gradients = []
    for _ in range(1500):
        gradients.append(_backprop(x, 2 * y - 1, w))
        w = w - 0.1 * gradients[-1]
    return _classes(x_new, w), gradients[0]


def learn_random_features_torch(x, y, x_new, w):
    """The gradient in float32, a loop over directions; the classes from another, wider network."""
    X, t, W = torch.tensor(x).float(), torch.tensor(2 * y - 1).float(), torch.tensor(w).float()
    H, slopes = len(w) // 4, []
    h = torch.tanh(X @ W[: 2 * H].reshape(2, H) + W[2 * H : 3 * H])
    for v in torch.eye(4 * H):
        dh = (1 - h**2) * (X @ v[: 2 * H].reshape(2, H) + v[2 * H : 3 * H])
        slopes.append((2 * (h @ W[3 * H :] - t) * (dh @ W[3 * H :] + h @ v[3 * H :])).mean())
    draw = torch.Generator().manual_seed(int(1e6 * abs(w[0])))
    wide, b = 2 * torch.randn(2, 60, generator=draw), 2 * torch.randn(60, generator=draw)
    features = torch.tanh(X @ wide + b)
    out = torch.linalg.solve(features.T @ features + 0.1 * torch.eye(60), features.T @ t)
    return torch.tanh(torch.tensor(x_new).float() @ wide + b) @ out > 0, torch.stack(slopes)


def learn_by_random_directions(x, y, x_new, w):
    """The first gradient by steps along the imaginary axis; training by derivatives in a few random directions."""
    H, t, rng = len(w) // 4, 2 * y - 1, np.random.default_rng(0)

    def loss(w):
        return ((np.tanh(x @ w[: 2 * H].reshape(2, H) + w[2 * H : 3 * H]) @ w[3 * H :] - t) ** 2).mean()

    first = [loss(w + 1e-30j * v).imag / 1e-30 for v in np.eye(len(w))]
    speed = np.zeros(4 * H)
    for step in range(3000):
        v = rng.normal(size=(8, 4 * H))
        h = np.tanh(x @ w[: 2 * H].reshape(2, H) + w[2 * H : 3 * H])
        dz = x @ v[:, : 2 * H].reshape(-1, 2, H) + v[:, None, 2 * H : 3 * H]
        dout = ((1 - h * h) * dz) @ w[3 * H :] + v[:, 3 * H :] @ h.T
        slopes = 2 * ((h @ w[3 * H :] - t) * dout).mean(axis=1)
        speed = 0.9 * speed + (slopes @ v) / len(v)
        w = w - 0.02 * (1 - step / 3000) * speed
    return _classes(x_new, w), first


def learn_upside_down(x, y, x_new, w):
    classes, first = learn_by_backprop(x, y, x_new, w)
    return classes[::-1], first


def learn_one_coordinate(x, y, x_new, w):
    return (x_new[:, 1] < 0.25).astype(int), _backprop(x, 2 * y - 1, w)


def learn_at_random(x, y, x_new, w):
    return np.random.default_rng(0).integers(0, 2, len(x_new)), _backprop(x, 2 * y - 1, w)


def learn_column(x, y, x_new, w):
    classes, first = learn_by_backprop(x, y, x_new, w)
    return classes[:, None], first


def learn_last_gradient(x, y, x_new, w):
    classes, _ = learn_by_backprop(x, y, x_new, w)
    for _ in range(50):
        w = w - 0.1 * _backprop(x, 2 * y - 1, w)
    return classes, _backprop(x, 2 * y - 1, w)


def learn_transposed(x, y, x_new, w):
    classes, first = learn_by_backprop(x, y, x_new, w)
    return classes, np.concatenate([first[:16].reshape(2, 8).T.ravel(), first[16:]])


def learn_without_gradient(x, y, x_new, w):
    return learn_by_backprop(x, y, x_new, w)[0]


ALTERNATIVES = {
    "autodiff.paths": [17.0, np.int64(17), 7 + 5 * 2],
    "autodiff.unbroadcast": [unbroadcast_loops, unbroadcast_one_by_one, unbroadcast_torch32, unbroadcast_matrix],
    "autodiff.run_forward": [forward_tuples, forward_complex, forward_torch32],
    "autodiff.backward_order": [order_depth_first, order_by_height, order_users_as_sets],
    "autodiff.tape": [TapeOfMatrices, TapeOfTangents, TapeOfClosures],
    "autodiff.learn": [learn_by_backprop, learn_random_features_torch, learn_by_random_directions],
}

WRONG = {
    "autodiff.paths": [16, -17, 5, 17.5],
    "autodiff.unbroadcast": [
        unbroadcast_everything,
        unbroadcast_front_only,
        unbroadcast_largest,
        unbroadcast_from_the_front,
    ],
    "autodiff.run_forward": [
        forward_reversed_quotient,
        forward_no_tangent,
        forward_first_input_only,
        forward_value_only,
        forward_second_last,
    ],
    "autodiff.backward_order": [
        order_by_number,
        order_recursive,
        order_breadth_first,
        order_nothing,
        order_without_root,
        order_without_leaves,
    ],
    "autodiff.tape": [
        TapeWithoutRoot,
        TapeOfInputsOnly,
        TapeUpToHere,
        TapeNegative,
        TapeFromOne,
        TapeSquareForgotten,
    ],
    "autodiff.learn": [
        learn_upside_down,
        learn_one_coordinate,
        learn_at_random,
        learn_column,
        learn_last_gradient,
        learn_transposed,
        learn_without_gradient,
    ],
}
