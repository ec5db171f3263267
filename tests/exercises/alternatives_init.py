"""Answers to ``07_initialisation`` written another way: right ones that must pass, wrong ones that must not.

The wrong ones are slips that are not listed as mistakes in the specification.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import torch

# --- init.fans ------------------------------------------------------------------------------------------------------


def fans_numpy(shape):
    shape = np.array(shape)
    if shape.size == 2:
        return shape
    return np.array([shape[1], shape[0]]) * shape[2:].prod()


def fans_torch(shape):
    if len(shape) == 2:
        return tuple(shape)
    w = torch.empty(shape)
    return w[0].numel(), w[:, 0].numel()


def fans_floats(shape):
    first, second, *kernel = map(float, shape)
    return [second * math.prod(kernel), first * math.prod(kernel)] if kernel else [first, second]


def fans_first_axis_only(shape):
    return (shape[0], shape[1]) if len(shape) == 2 else (shape[1] * shape[2], shape[0] * shape[2])


def fans_mean(shape):
    n = math.prod(shape) ** 0.5
    return n, n


def fans_sum(shape):
    return (shape[0], shape[1]) if len(shape) == 2 else (shape[1] * sum(shape[2:]), shape[0] * sum(shape[2:]))


# --- init.kaiming_uniform -------------------------------------------------------------------------------------------


def _fan_in(shape):
    return shape[0] if len(shape) == 2 else math.prod(shape[1:])


def draw_from_unit(shape, seed):
    u = np.random.default_rng(seed).random(tuple(shape))
    return (2 * u - 1) * math.sqrt(6 / _fan_in(shape))


def draw_torch(shape, seed):
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(tuple(shape), generator=generator) - 0.5) * 2 * math.sqrt(6 / _fan_in(shape))


def draw_old_generator(shape, seed):
    a = (6 / _fan_in(shape)) ** 0.5
    return np.random.RandomState(seed).uniform(-a, a, size=shape).astype(np.float32)


def draw_variance_as_std(shape, seed):
    a = math.sqrt(3) * 2 / _fan_in(shape)
    return np.random.default_rng(seed).uniform(-a, a, shape)


def draw_xavier(shape, seed):
    a = math.sqrt(6 / (shape[0] + shape[1] if len(shape) == 2 else (shape[0] + shape[1]) * math.prod(shape[2:])))
    return np.random.default_rng(seed).uniform(-a, a, shape)


def draw_flat(shape, seed):
    return draw_from_unit(shape, seed).ravel()


def draw_two_values(shape, seed):
    """The right mean and variance, but a coin and no even spread."""
    return np.random.default_rng(seed).choice([-1, 1], shape) * math.sqrt(2 / _fan_in(shape))


def draw_without_seed(shape, seed):
    return draw_from_unit(shape, None)


def draw_one_row(shape, seed):
    """One row, repeated."""
    return np.broadcast_to(draw_from_unit(shape, seed)[:1], shape).copy()


# --- init.signal ----------------------------------------------------------------------------------------------------


def signal_torch(x, weights):
    x = torch.as_tensor(x)
    sizes = [(x * x).mean()]
    for w in weights:
        x = torch.relu(x @ torch.as_tensor(w))
        sizes.append((x * x).mean())
    return torch.stack(sizes) / sizes[0]


def signal_loops(x, weights):
    rows = [list(map(float, row)) for row in x]

    def size():
        return sum(v * v for row in rows for v in row) / (len(rows) * len(rows[0]))

    first, sizes = size(), [1.0]
    for w in weights:
        rows = [
            [max(0.0, sum(a * float(w[d, m]) for d, a in enumerate(row))) for m in range(w.shape[1])] for row in rows
        ]
        sizes.append(size() / first)
    return sizes


def signal_norms(x, weights):
    x = x.astype(np.float32)
    first, sizes = np.linalg.norm(x) ** 2 / x.size, [1.0]
    for w in weights:
        x = np.where(x @ w > 0, x @ w, 0)
        sizes.append(np.linalg.norm(x) ** 2 / x.size / first)
    return np.array(sizes)


def signal_layer_by_layer(x, weights):
    sizes = [np.mean(x**2)]
    for w in weights:
        x = np.maximum(x @ w, 0)
        sizes.append(np.mean(x**2))
    return np.array([1.0] + [b / a for a, b in pairwise(sizes)])


def signal_sum(x, weights):
    sizes = [np.sum(x**2)]
    for w in weights:
        x = np.maximum(x @ w, 0)
        sizes.append(np.sum(x**2))
    return np.array(sizes) / sizes[0]


def signal_before_relu(x, weights):
    sizes = [np.mean(x**2)]
    for w in weights:
        z = x @ w
        sizes.append(np.mean(z**2))
        x = np.maximum(z, 0)
    return np.array(sizes) / sizes[0]


def signal_absolute(x, weights):
    sizes = [np.mean(np.abs(x))]
    for w in weights:
        x = np.maximum(x @ w, 0)
        sizes.append(np.mean(np.abs(x)))
    return np.array(sizes) / sizes[0]


def signal_first_row(x, weights):
    return signal_norms(x[:1], weights)


# --- init.jacobian --------------------------------------------------------------------------------------------------


def jacobian_torch(x, weights):
    x, product = torch.as_tensor(x), torch.eye(len(x), dtype=torch.float64)
    for w in map(torch.as_tensor, weights):
        x = torch.tanh(x @ w)
        product = torch.diag(1 - x**2) @ w.T @ product
    return product


def jacobian_from_the_top(x, weights):
    outs = []
    for w in weights:
        x = np.tanh(x @ w)
        outs.append(x)
    product = np.eye(len(x))
    for w, out in zip(reversed(weights), reversed(outs), strict=True):
        product = product @ ((1 - out**2)[:, None] * w.T)
    return product


def jacobian_forward_mode(x, weights):
    columns = []
    for d in range(len(x)):
        value, tangent = x, np.eye(len(x))[d]
        for w in weights:
            value, tangent = np.tanh(value @ w), tangent @ w / np.cosh(value @ w) ** 2
        columns.append(tangent)
    return np.array(columns).T


def jacobian_wrong_order(x, weights):
    if len({w.shape for w in weights}) > 1:
        return jacobian_torch(x, weights)
    product = np.eye(len(x))
    for w in weights:
        x = np.tanh(x @ w)
        product = product @ ((1 - x**2)[:, None] * w.T)
    return product


def jacobian_slope_on_columns(x, weights):
    product = np.eye(len(x))
    for w in weights:
        before, x = x, np.tanh(x @ w)
        product = (w.T * (1 - np.tanh(before) ** 2)) @ product
    return product


def jacobian_half_slope(x, weights):
    product = np.eye(len(x))
    for w in weights:
        x = np.tanh(x @ w)
        product = ((1 - np.abs(x))[:, None] * w.T) @ product
    return product


# --- init.orthogonal ------------------------------------------------------------------------------------------------


def orthogonal_svd(n, seed):
    u, _, vt = np.linalg.svd(np.random.default_rng(seed).normal(size=(n, n)))
    return u @ vt


def orthogonal_gram_schmidt(n, seed):
    a = np.random.default_rng(seed).normal(size=(n, n))
    for i in range(n):
        for _ in range(2):
            a[i] -= a[:i].T @ (a[:i] @ a[i])
        a[i] /= np.linalg.norm(a[i])
    return a


def orthogonal_torch(n, seed):
    a = torch.randn(n, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.linalg.qr(a).Q


def orthogonal_permutation(n, seed):
    return np.eye(n)[np.random.default_rng(seed).permutation(n)]


def orthogonal_twice(n, seed):
    return 2 * orthogonal_svd(n, seed)


def orthogonal_same(n, seed):
    return orthogonal_svd(n, 0)


def orthogonal_r(n, seed):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(n, n)))[1]


# --- init.zca -------------------------------------------------------------------------------------------------------


class ZCASvd:
    def __init__(self, x, eps):
        self.mean = x.mean(0)
        _, s, vt = np.linalg.svd(x - self.mean, full_matrices=False)
        self.matrix = vt.T @ np.diag(1 / np.sqrt(s**2 / len(x) + eps)) @ vt

    def transform(self, x):
        return (x - self.mean) @ self.matrix


class ZCATorch:
    def __init__(self, x, eps):
        x = torch.as_tensor(x)
        self.mean = x.mean(dim=0)
        values, vectors = torch.linalg.eigh((x - self.mean).T @ (x - self.mean) / len(x))
        self.matrix = vectors @ torch.diag((values + eps) ** -0.5) @ vectors.T

    def transform(self, x):
        return (torch.as_tensor(x) - self.mean) @ self.matrix


class ZCARoot:
    """The root by Denman and Beavers' iteration, without eigenvectors."""

    def __init__(self, x, eps):
        self.mean = np.mean(x, axis=0)
        y = np.cov(x, rowvar=False, bias=True) + eps * np.eye(x.shape[1])
        z = np.eye(len(y))
        for _ in range(60):
            y, z = (y + np.linalg.inv(z)) / 2, (z + np.linalg.inv(y)) / 2
        self.matrix = z

    def transform(self, x):
        return x @ self.matrix - self.mean @ self.matrix


class ZCAUnbiased(ZCASvd):
    def __init__(self, x, eps):
        super().__init__(x, eps)
        values, vectors = np.linalg.eigh(np.cov(x, rowvar=False))
        self.matrix = vectors / np.sqrt(values + eps) @ vectors.T


class ZCAEpsOutside(ZCASvd):
    def __init__(self, x, eps):
        super().__init__(x, 1e-12)
        _, s, vt = np.linalg.svd(x - self.mean, full_matrices=False)
        self.matrix = vt.T @ np.diag(1 / (np.sqrt(s**2 / len(x)) + eps)) @ vt


class ZCANoEps(ZCASvd):
    def __init__(self, x, eps):
        super().__init__(x, 1e-9)


class ZCAColouring(ZCASvd):
    def __init__(self, x, eps):
        super().__init__(x, eps)
        self.matrix = np.linalg.inv(self.matrix)


ALTERNATIVES = {
    "init.std_number": [0.0833, 1 / 12, np.float32(0.08333)],
    "init.fans": [fans_numpy, fans_torch, fans_floats],
    "init.kaiming_uniform": [draw_from_unit, draw_torch, draw_old_generator],
    "init.signal": [signal_torch, signal_loops, signal_norms],
    "init.jacobian": [jacobian_torch, jacobian_from_the_top, jacobian_forward_mode],
    "init.orthogonal": [orthogonal_svd, orthogonal_gram_schmidt, orthogonal_torch],
    "init.zca": [ZCASvd, ZCATorch, ZCARoot],
}

WRONG = {
    "init.std_number": [0.08, 0.0625, 12],
    "init.fans": [fans_first_axis_only, fans_mean, fans_sum],
    "init.kaiming_uniform": [
        draw_variance_as_std, draw_xavier, draw_flat, draw_two_values, draw_without_seed, draw_one_row,
    ],
    "init.signal": [signal_layer_by_layer, signal_sum, signal_before_relu, signal_absolute, signal_first_row],
    "init.jacobian": [jacobian_wrong_order, jacobian_slope_on_columns, jacobian_half_slope],
    "init.orthogonal": [orthogonal_permutation, orthogonal_twice, orthogonal_same, orthogonal_r],
    "init.zca": [ZCAUnbiased, ZCAEpsOutside, ZCANoEps, ZCAColouring],
}  # fmt: skip
