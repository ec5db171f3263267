"""Answers to ``02_backprop`` written another way: right ones that must pass, wrong ones that must not.

The wrong ones are slips that are not listed as mistakes in the specification.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import torch

# --- mlp.sigmoid_pair ---------------------------------------------------------------------------------------------


def sigmoid_by_sign(x):
    out = np.empty_like(x)
    positive = x >= 0
    out[positive] = 1 / (1 + np.exp(-x[positive]))
    e = np.exp(x[~positive])
    out[~positive] = e / (1 + e)
    return out, out * (1 - out)


def sigmoid_naive(x):
    with np.errstate(over="ignore"):
        s = 1 / (1 + np.exp(-x))
    return [s, s - s**2]


def sigmoid_torch32(x):
    s = 1 / (1 + torch.exp(-torch.as_tensor(x).float()))
    return s, s * (1 - s)


def sigmoid_loop(x):
    value, slope = np.zeros(x.shape), np.zeros(x.shape)
    for index, number in np.ndenumerate(x):
        e = math.exp(-abs(float(number)))
        value[index] = 1 / (1 + e) if number >= 0 else e / (1 + e)
        slope[index] = e / (1 + e) ** 2
    return value, slope


def sigmoid_clipped(x):
    s = 1 / (1 + np.exp(-np.clip(x, -5, 5)))
    return s, s * (1 - s)


def tanh_pair(x):
    return np.tanh(x), 1 - np.tanh(x) ** 2


def value_alone(x):
    return sigmoid_naive(x)[0]


def slope_squared(x):
    s, _ = sigmoid_naive(x)
    return s, s * s


def pair_swapped(x):
    s, slope = sigmoid_naive(x)
    return slope, s


# --- mlp.linear_backward ------------------------------------------------------------------------------------------


def linear_loops(dout, x, w):
    (N, M), D = dout.shape, x.shape[1]
    dx, dw, db = np.zeros((N, D)), np.zeros((D, M)), np.zeros(M)
    for n in range(N):
        for k in range(M):
            db[k] += dout[n, k]
            for j in range(D):
                dx[n, j] += dout[n, k] * w[j, k]
                dw[j, k] += x[n, j] * dout[n, k]
    return dx, dw, db


def linear_torch(dout, x, w):
    dout, x, w = (torch.as_tensor(a) for a in (dout, x, w))
    return torch.einsum("nm,dm->nd", dout, w), torch.einsum("nd,nm->dm", x, dout), dout.sum(0)


def linear_float32(dout, x, w):
    dout, x, w = (a.astype(np.float32) for a in (dout, x, w))
    return [np.matmul(dout, w.T), np.matmul(x.T, dout), np.ones(len(x), np.float32) @ dout]


def linear_order(dout, x, w):
    return x.T @ dout, dout @ w.T, dout.sum(axis=0)


def linear_db_kept(dout, x, w):
    return dout @ w.T, x.T @ dout, dout.sum(axis=0, keepdims=True)


def linear_db_mean(dout, x, w):
    return dout @ w.T, x.T @ dout, dout.mean(axis=0)


def linear_first_example(dout, x, w):
    return dout @ w.T, np.outer(x[0], dout[0]), dout[0]


def linear_no_dw(dout, x, w):
    return dout @ w.T, w, dout.sum(axis=0)


# --- mlp.softmax_cross_entropy ------------------------------------------------------------------------------------


def softmax_torch(logits, targets):
    logits, targets = torch.as_tensor(logits), torch.as_tensor(targets)
    log_p = torch.log_softmax(logits, dim=1)
    onehot = torch.zeros_like(logits)
    onehot[torch.arange(len(logits)), targets] = 1
    return -(onehot * log_p).sum() / len(logits), (log_p.exp() - onehot) / len(logits)


def softmax_loops32(logits, targets):
    N, C = logits.shape
    loss, dlogits = np.float32(0), np.zeros((N, C), np.float32)
    for n in range(N):
        row = logits[n].astype(np.float32)
        row = row - row.max()
        total = np.exp(row).sum()
        loss += (np.log(total) - row[targets[n]]) / N
        for c in range(C):
            dlogits[n, c] = (np.exp(row[c]) / total - (c == targets[n])) / N
    return loss, dlogits


def softmax_logaddexp(logits, targets):
    log_p = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    onehot = np.eye(logits.shape[1])[targets]
    return (-(onehot * log_p).sum(axis=1).mean()).item(), (np.exp(log_p) - onehot) / len(onehot)


def softmax_largest_of_all(logits, targets):
    with np.errstate(all="ignore"):
        e = np.exp(logits - logits.max())
        p = e / e.sum(axis=1, keepdims=True)
        rows = np.arange(len(p))
        loss = -np.log(p[rows, targets]).mean()
    p[rows, targets] -= 1
    return loss, p / len(p)


def softmax_with_a_little_added(logits, targets):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    rows = np.arange(len(p))
    loss = -np.log(p[rows, targets] + 1e-9).mean()
    p[rows, targets] -= 1
    return loss, p / len(p)


def softmax_base_two(logits, targets):
    loss, dlogits = softmax_logaddexp(logits, targets)
    return loss / np.log(2), dlogits


def softmax_over_examples(logits, targets):
    log_p = logits - np.logaddexp.reduce(logits, axis=0, keepdims=True)
    onehot = np.eye(logits.shape[1])[targets]
    return -(onehot * log_p).sum(axis=1).mean(), (np.exp(log_p) - onehot) / len(onehot)


def softmax_added_at_target(logits, targets):
    loss, dlogits = softmax_logaddexp(logits, targets)
    return loss, dlogits + 2 * np.eye(logits.shape[1])[targets] / len(logits)


def softmax_loss_alone(logits, targets):
    return softmax_logaddexp(logits, targets)[0]


# --- mlp.deltas ---------------------------------------------------------------------------------------------------


def deltas_loops(x, t, v, v0, w, w0, alpha):
    (D, H), M = v.shape, len(w0)

    def a(s):
        return 1 / (1 + math.exp(-s))

    z = [a(v0[j] + sum(x[i] * v[i][j] for i in range(D))) for j in range(H)]
    y = [a(w0[k] + sum(z[j] * w[j][k] for j in range(H))) for k in range(M)]
    delta_k = [(t[k] - y[k]) * y[k] * (1 - y[k]) for k in range(M)]
    delta_j = [z[j] * (1 - z[j]) * sum(delta_k[k] * w[j][k] for k in range(M)) for j in range(H)]
    dw = [[alpha * delta_k[k] * z[j] for k in range(M)] for j in range(H)]
    dv = [[alpha * delta_j[j] * x[i] for j in range(H)] for i in range(D)]
    return delta_k, delta_j, dw, [alpha * d for d in delta_k], dv, [alpha * d for d in delta_j]


def deltas_torch32(x, t, v, v0, w, w0, alpha):
    x, t, v, v0, w, w0 = (torch.as_tensor(a).float() for a in (x, t, v, v0, w, w0))
    z = 1 / (1 + torch.exp(-(x @ v + v0)))
    y = 1 / (1 + torch.exp(-(z @ w + w0)))
    delta_k = (t - y) * (y - y**2)
    delta_j = (z - z**2) * (delta_k @ w.T)
    dw, dv = alpha * z[:, None] * delta_k, alpha * x[:, None] * delta_j
    return delta_k, delta_j, dw, alpha * delta_k, dv, alpha * delta_j


def deltas_batch_of_one(x, t, v, v0, w, w0, alpha):
    x, t = x.reshape(1, -1), t.reshape(1, -1)
    z = 0.5 * (1 + np.tanh(0.5 * (x @ v + v0)))
    y = 0.5 * (1 + np.tanh(0.5 * (z @ w + w0)))
    down_y = (y - t) * y * (1 - y)
    down_z = down_y @ w.T * z * (1 - z)
    updates = [-alpha * z.T @ down_y, -alpha * down_y[0], -alpha * x.T @ down_z, -alpha * down_z[0]]
    return [-down_y[0], -down_z[0], *updates]


def deltas_no_biases(x, t, v, v0, w, w0, alpha):
    return deltas_loops(x, t, v, 0 * v0, w, 0 * w0, alpha)


def deltas_x_inside(x, t, v, v0, w, w0, alpha):
    delta_k, delta_j, dw, dw0, dv, dv0 = deltas_loops(x, t, v, v0, w, w0, alpha)
    return delta_k, np.outer(x, delta_j), dw, dw0, dv, dv0


def deltas_turned(x, t, v, v0, w, w0, alpha):
    delta_k, delta_j, dw, dw0, dv, dv0 = deltas_loops(x, t, v, v0, w, w0, alpha)
    return delta_k, delta_j, np.transpose(dw), dw0, np.transpose(dv), dv0


def deltas_one_output_only(x, t, v, v0, w, w0, alpha):
    delta_k, delta_j, dw, dw0, dv, dv0 = deltas_loops(x, t, v, v0, w[:, :1], w0[:1], alpha)
    return delta_k, delta_j, dw, dw0, dv, dv0


def deltas_new_weights(x, t, v, v0, w, w0, alpha):
    delta_k, delta_j, dw, dw0, dv, dv0 = (np.array(p) for p in deltas_loops(x, t, v, v0, w, w0, alpha))
    return delta_k, delta_j, w + dw, w0 + dw0, v + dv, v0 + dv0


# --- mlp.momentum -------------------------------------------------------------------------------------------------


class MomentumTorch:
    def __init__(self, lr, momentum):
        self.lr, self.mu, self.v = lr, momentum, None

    def step(self, w, grad):
        w, grad = torch.as_tensor(w), torch.as_tensor(grad)
        self.v = grad.clone() if self.v is None else self.v.mul_(self.mu).add_(grad)
        return w - self.lr * self.v


class MomentumLrInside:
    """The velocity holds lr already: the same steps while lr stays."""

    def __init__(self, lr, momentum):
        self.lr, self.mu, self.move = np.float32(lr), np.float32(momentum), np.float32(0)

    def step(self, w, grad):
        self.move = self.mu * self.move - self.lr * grad.astype(np.float32)
        w += self.move.astype(w.dtype)
        return w


class MomentumHistory:
    """Keeps every gradient and adds them up with their weights."""

    def __init__(self, lr, momentum):
        self.lr, self.mu, self.gradients = lr, momentum, []

    def step(self, w, grad):
        self.gradients.append(grad)
        age = range(len(self.gradients) - 1, -1, -1)
        return w - self.lr * sum(self.mu**n * g for n, g in zip(age, self.gradients, strict=True))


class MomentumShared:
    """The velocity belongs to the class, so that a new optimiser does not start at rest."""

    velocity: dict = {}  # noqa: RUF012

    def __init__(self, lr, momentum):
        self.lr, self.mu = lr, momentum

    def step(self, w, grad):
        self.velocity[w.shape] = self.mu * self.velocity.get(w.shape, 0) + grad
        return w - self.lr * self.velocity[w.shape]


class MomentumOwnWeights:
    """Ignores the weights that it gets after the first step."""

    def __init__(self, lr, momentum):
        self.lr, self.mu, self.v, self.w = lr, momentum, 0, None

    def step(self, w, grad):
        self.v = self.mu * self.v + grad
        self.w = (w if self.w is None else self.w) - self.lr * self.v
        return self.w


class MomentumOneGradientBack:
    def __init__(self, lr, momentum):
        self.lr, self.mu, self.last = lr, momentum, 0

    def step(self, w, grad):
        v, self.last = self.mu * self.last + grad, grad
        return w - self.lr * v


class MomentumVelocityReturned:
    def __init__(self, lr, momentum):
        self.lr, self.mu, self.v = lr, momentum, 0

    def step(self, w, grad):
        self.v = self.mu * self.v + grad
        return self.v


class MomentumNoStep:
    def __init__(self, lr, momentum):
        self.lr = lr


# --- mlp.minibatches ----------------------------------------------------------------------------------------------


def minibatches_random_module(x, y, batch_size, seed):
    import random

    rows = list(range(len(y)))
    random.Random(seed).shuffle(rows)
    batches = []
    while rows:
        taken, rows = rows[:batch_size], rows[batch_size:]
        batches.append([np.stack([x[n] for n in taken]), [int(y[n]) for n in taken]])
    return batches


def minibatches_torch32(x, y, batch_size, seed):
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(x), generator=generator)
    x, y = torch.as_tensor(x).float()[order], torch.as_tensor(y)[order]
    return tuple(zip(x.split(batch_size), y.split(batch_size), strict=True))


def minibatches_array_split(x, y, batch_size, seed):
    np.random.seed(seed)  # noqa: NPY002
    order = np.argsort(np.random.rand(len(x)))  # noqa: NPY002
    cuts = np.arange(batch_size, len(x), batch_size)
    return list(zip(np.split(x[order], cuts), np.split(y[order], cuts), strict=True))


def minibatches_generator(x, y, batch_size, seed):
    yield from minibatches_torch32(x, y, batch_size, seed)


def minibatches_reversed(x, y, batch_size, seed):
    x, y = x[::-1], y[::-1]
    return [(x[s : s + batch_size], y[s : s + batch_size]) for s in range(0, len(x), batch_size)]


def minibatches_rolled(x, y, batch_size, seed):
    x, y = np.roll(x, seed, axis=0), np.roll(y, seed)
    return [(x[s : s + batch_size], y[s : s + batch_size]) for s in range(0, len(x), batch_size)]


def minibatches_empty_last(x, y, batch_size, seed):
    return [*minibatches_array_split(x, y, batch_size, seed), (x[:0], y[:0])]


def minibatches_no_labels(x, y, batch_size, seed):
    return [xb for xb, _ in minibatches_array_split(x, y, batch_size, seed)]


def minibatches_swapped(x, y, batch_size, seed):
    return [(yb, xb) for xb, yb in minibatches_array_split(x, y, batch_size, seed)]


def minibatches_short_batch_first(x, y, batch_size, seed):
    return minibatches_array_split(x, y, batch_size, seed)[::-1]


def minibatches_one_too_many(x, y, batch_size, seed):
    return minibatches_array_split(x, y, batch_size + 1, seed)


def minibatches_shuffled_inside(x, y, batch_size, seed):
    rng, batches = np.random.default_rng(seed), []
    for s in range(0, len(x), batch_size):
        rows = s + rng.permutation(len(x[s : s + batch_size]))
        batches.append((x[rows], y[rows]))
    return batches


def minibatches_flattened(x, y, batch_size, seed):
    return [(xb.reshape(len(xb), -1), yb) for xb, yb in minibatches_array_split(x, y, batch_size, seed)]


def minibatches_other_numbers(x, y, batch_size, seed):
    return [(xb + 0.5, yb) for xb, yb in minibatches_array_split(x, y, batch_size, seed)]


# --- mlp.train ----------------------------------------------------------------------------------------------------


def train_torch(x, y, x_new, seed):
    """tanh, two hidden layers, momentum, one-hot targets; gradients by hand."""
    generator = torch.Generator().manual_seed(seed)
    x, y, x_new = torch.as_tensor(x), torch.as_tensor(y), torch.as_tensor(x_new)
    mean = x.mean(0)
    x, x_new = x - mean, x_new - mean
    sizes = [x.shape[1], 24, 24, int(y.max()) + 1]
    weights = [torch.randn(n, m, generator=generator) / n**0.5 for n, m in pairwise(sizes)]
    biases = [torch.zeros(m) for m in sizes[1:]]
    velocity = [torch.zeros_like(p) for p in (*weights, *biases)]
    onehot = torch.eye(sizes[-1])[y]

    def forward(h):
        layers = [h]
        for w, b in zip(weights[:-1], biases[:-1], strict=True):
            layers.append(torch.tanh(layers[-1] @ w + b))
        return layers, layers[-1] @ weights[-1] + biases[-1]

    for _ in range(15):
        for rows in torch.randperm(len(x), generator=generator).split(20):
            layers, logits = forward(x[rows])
            dout = (torch.softmax(logits, 1) - onehot[rows]) / len(rows)
            dw, db = [], []
            for depth in (2, 1, 0):
                dw.insert(0, layers[depth].T @ dout)
                db.insert(0, dout.sum(0))
                dout = dout @ weights[depth].T * (1 - layers[depth] ** 2)
            for p, v, g in zip((*weights, *biases), velocity, (*dw, *db), strict=True):
                p -= 0.1 * v.mul_(0.9).add_(g)
    return forward(x_new)[1].argmax(1)


def train_nine_steps(x, y, x_new, seed):
    """Sigmoids and squared error, as in the nine-step algorithm, on minibatches of 10; classes as float32."""
    rng = np.random.default_rng(seed)
    targets = np.eye(int(y.max()) + 1)[y]
    v, w = rng.normal(0, 1, (x.shape[1], 32)), rng.normal(0, 0.3, (32, targets.shape[1]))
    v0, w0 = rng.normal(0, 1, 32), np.zeros(targets.shape[1])
    middle = x.mean(axis=0)
    x, x_new = 2 * (x - middle), 2 * (x_new - middle)

    def a(s):
        return 0.5 + 0.5 * np.tanh(s / 2)

    for _ in range(60):
        for rows in np.array_split(rng.permutation(len(x)), len(x) // 10):
            z = a(x[rows] @ v + v0)
            out = a(z @ w + w0)
            delta_k = (targets[rows] - out) * out * (1 - out)
            delta_j = delta_k @ w.T * z * (1 - z)
            w, w0 = w + 0.3 * z.T @ delta_k, w0 + 0.3 * delta_k.sum(axis=0)
            v, v0 = v + 0.3 * x[rows].T @ delta_j, v0 + 0.3 * delta_j.sum(axis=0)
    return np.argmax(a(a(x_new @ v + v0) @ w + w0), axis=1).astype(np.float32)


def train_guesses(x, y, x_new, seed):
    return np.random.default_rng(seed).integers(0, y.max() + 1, len(x_new))


def train_nearest_mean(x, y, x_new, seed):
    means = np.stack([x[y == c].mean(axis=0) for c in range(y.max() + 1)])
    return ((x_new[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)


def train_classes_off_by_one(x, y, x_new, seed):
    return np.roll(np.arange(y.max() + 1), 1)[train_nine_steps(x, y, x_new, seed).astype(int)]


def train_as_column(x, y, x_new, seed):
    return train_nearest_mean(x, y, x_new, seed)[:, None]


ALTERNATIVES = {
    "mlp.parameters": [109386.0, np.int32(109386), torch.tensor(109386)],
    "mlp.sigmoid_pair": [sigmoid_by_sign, sigmoid_naive, sigmoid_torch32, sigmoid_loop],
    "mlp.linear_backward": [linear_loops, linear_torch, linear_float32],
    "mlp.softmax_cross_entropy": [softmax_torch, softmax_loops32, softmax_logaddexp],
    "mlp.deltas": [deltas_loops, deltas_torch32, deltas_batch_of_one],
    "mlp.momentum": [MomentumTorch, MomentumLrInside, MomentumHistory],
    "mlp.minibatches": [minibatches_random_module, minibatches_torch32, minibatches_array_split],
    "mlp.train": [train_torch, train_nine_steps],
}

WRONG = {
    "mlp.parameters": [109385, 203530, 109386.5, "109386", [109386]],
    "mlp.sigmoid_pair": [sigmoid_clipped, tanh_pair, value_alone, slope_squared, pair_swapped],
    "mlp.linear_backward": [
        linear_order, linear_db_kept, linear_db_mean, linear_first_example, linear_no_dw,
    ],
    "mlp.softmax_cross_entropy": [
        softmax_largest_of_all, softmax_with_a_little_added, softmax_base_two, softmax_over_examples,
        softmax_added_at_target, softmax_loss_alone,
    ],
    "mlp.deltas": [
        deltas_no_biases, deltas_x_inside, deltas_turned, deltas_one_output_only, deltas_new_weights,
    ],
    "mlp.momentum": [
        MomentumShared, MomentumOwnWeights, MomentumOneGradientBack, MomentumVelocityReturned, MomentumNoStep,
    ],
    "mlp.minibatches": [
        minibatches_generator, minibatches_reversed, minibatches_rolled, minibatches_empty_last,
        minibatches_no_labels, minibatches_swapped, minibatches_short_batch_first, minibatches_one_too_many,
        minibatches_shuffled_inside, minibatches_flattened, minibatches_other_numbers,
    ],
    "mlp.train": [train_guesses, train_nearest_mean, train_classes_off_by_one, train_as_column],
}  # fmt: skip
