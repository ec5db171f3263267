"""Answers to ``11_residual`` written another way: right ones that must pass, wrong ones that must not.

The wrong ones are slips that are not listed as mistakes in the specification.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch

# --- resnet.block_backward ------------------------------------------------------------------------------------------


def block_loops(dout, x, w1, b1, w2, b2, alpha):
    """One example after the other."""
    grads = [np.zeros_like(a, dtype=float) for a in (x, w1, b1, w2, b2, alpha)]
    dx, dw1, db1, dw2, db2, dalpha = grads
    for n in range(len(x)):
        z = x[n] @ w1 + b1
        h = np.where(z > 0, z, 0.0)
        df = alpha * dout[n]
        dz = np.where(z > 0, w2 @ df, 0.0)
        dx[n] = dout[n] + w1 @ dz
        dw1 += np.outer(x[n], dz)
        db1 += dz
        dw2 += np.outer(h, df)
        db2 += df
        dalpha += dout[n] * (h @ w2 + b2)
    return grads


def block_torch(dout, x, w1, b1, w2, b2, alpha):
    dout, x, w1, b1, w2, b2, alpha = map(torch.as_tensor, (dout, x, w1, b1, w2, b2, alpha))
    z = torch.addmm(b1, x, w1)
    h = z.clamp(min=0)
    df = dout * alpha
    dz = (df @ w2.T).masked_fill(z <= 0, 0)
    return dout + dz @ w1.T, x.T @ dz, dz.sum(0), h.T @ df, df.sum(0), (dout * torch.addmm(b2, h, w2)).sum(0)


def block_einsum(dout, x, w1, b1, w2, b2, alpha):
    on = (np.einsum("nd,dm->nm", x, w1) + b1 > 0).astype(float)
    h = (x @ w1 + b1) * on
    dz = np.einsum("nd,d,md,nm->nm", dout, alpha, w2, on)
    dw2 = np.einsum("nm,nd,d->md", h, dout, alpha)
    dalpha = np.einsum("nd,nd->d", dout, h @ w2 + b2)
    return [dout + dz @ w1.T, x.T @ dz, dz.sum(0), dw2, alpha * dout.sum(0), dalpha]


def block_order(dout, x, w1, b1, w2, b2, alpha):
    dx, *rest = block_loops(dout, x, w1, b1, w2, b2, alpha)
    return (*rest, dx)


def block_dx_twice(dout, x, w1, b1, w2, b2, alpha):
    dx, *rest = block_loops(dout, x, w1, b1, w2, b2, alpha)
    return (dx + dout, *rest)


def block_no_biases(dout, x, w1, b1, w2, b2, alpha):
    return block_loops(dout, x, w1, 0 * b1, w2, 0 * b2, alpha)


def block_means(dout, x, w1, b1, w2, b2, alpha):
    dx, *rest = block_loops(dout, x, w1, b1, w2, b2, alpha)
    return (dx, *(g / len(x) for g in rest))


# --- resnet.paths ---------------------------------------------------------------------------------------------------


def paths_all(x, weights):
    """Every way, one after the other."""
    n = len(weights)
    out = np.zeros((n + 1, len(x)))
    for taken in itertools.product((False, True), repeat=n):
        h = x
        for w, take in zip(weights, taken, strict=True):
            h = h @ w if take else h
        out[sum(taken)] += h
    return out


def paths_recursive(x, weights):
    if len(weights) == 0:
        return x[None]
    passed = paths_recursive(x, weights[1:])
    taken = paths_recursive(x @ weights[0], weights[1:])
    zero = np.zeros((1, len(x)))
    return np.concatenate([passed, zero]) + np.concatenate([zero, taken])


def paths_torch(x, weights):
    sums = torch.as_tensor(x)[None]
    for w in torch.as_tensor(weights):
        sums = torch.nn.functional.pad(sums, (0, 0, 0, 1)) + torch.nn.functional.pad(sums @ w, (0, 0, 1, 0))
    return sums


def paths_longest_first(x, weights):
    return paths_all(x, weights)[::-1]


def paths_total(x, weights):
    return paths_all(x, weights).sum(axis=0)


# --- resnet.identity_start ------------------------------------------------------------------------------------------


def identity_uniform(seed, D, M):
    bound = (6 / D) ** 0.5
    w1 = np.random.default_rng(seed).uniform(-bound, bound, (D, M))
    return [w1, np.zeros(M), np.zeros((M, D)), np.zeros(D)]


def identity_torch(seed, D, M):
    generator = torch.Generator().manual_seed(seed)
    w1 = torch.randn(D, M, generator=generator) * (2 / D) ** 0.5
    return w1, torch.zeros(M), torch.zeros(M, D), torch.zeros(D)


def identity_orthogonal(seed, D, M):
    """Rows or columns orthonormal, then stretched to He's size."""
    side = max(D, M)
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(side, side)))
    return q[:D, :M] * np.sqrt(2 * side / D), np.zeros(M), np.zeros((M, D)), np.zeros(D)


def identity_pairs(seed, D, M):
    """Units in pairs that cancel each other: w2 is not 0, F still is. The hidden units are copies, though."""
    w1, b1, _, b2 = identity_uniform(seed, D, M)
    w2 = np.random.default_rng(seed + 1).normal(size=(M, D))
    half = M // 2
    w1[:, half : 2 * half] = w1[:, :half]
    w2[half : 2 * half] = -w2[:half]
    w2[2 * half :] = 0
    return w1, b1, w2, b2


def identity_bias(seed, D, M):
    w1, b1, w2, b2 = identity_uniform(seed, D, M)
    return w1, b1, w2, b2 + 0.01


def identity_dead(seed, D, M):
    """Biases so low that no unit is ever on."""
    w1, b1, w2, b2 = identity_uniform(seed, D, M)
    return w1, b1 - 100, w2, b2


def identity_swapped_fans(seed, D, M):
    w1 = np.random.default_rng(seed).normal(0, np.sqrt(2 / (4 * D)), (D, M))
    return w1, np.zeros(M), np.zeros((M, D)), np.zeros(D)


def identity_one_column(seed, D, M):
    w1 = np.repeat(np.random.default_rng(seed).normal(0, np.sqrt(2 / D), (D, 1)), M, axis=1)
    return w1, np.zeros(M), np.zeros((M, D)), np.zeros(D)


def identity_tiled(seed, D, M):
    """As many units as features, and then the same ones again: the rank is full, and yet units are copies."""
    w1 = np.random.default_rng(seed).normal(0, np.sqrt(2 / D), (D, min(D, M)))
    return np.tile(w1, -(-M // D))[:, :M], np.zeros(M), np.zeros((M, D)), np.zeros(D)


# --- resnet.dense_block ---------------------------------------------------------------------------------------------


class DenseTorch:
    def __init__(self, weights, biases):
        self.weights = [torch.as_tensor(w) for w in weights]
        self.biases = [torch.as_tensor(b) for b in biases]

    def forward(self, x):
        self.parts = [torch.as_tensor(x)]
        for w, b in zip(self.weights, self.biases, strict=True):
            self.parts.append(torch.relu(torch.cat(self.parts, 1) @ w + b))
        return torch.cat(self.parts, 1)

    def backward(self, dout):
        d = list(torch.as_tensor(dout).split([p.shape[1] for p in self.parts], dim=1))
        for i in reversed(range(len(self.weights))):
            back = (d[i + 1] * (self.parts[i + 1] > 0)) @ self.weights[i].T
            pieces = back.split([p.shape[1] for p in self.parts[: i + 1]], dim=1)
            d[: i + 1] = [a + b for a, b in zip(d, pieces, strict=False)]
        return d[0]


class DenseJacobian:
    """Forward mode: the Jacobian of each example, layer by layer."""

    def __init__(self, weights, biases):
        self.layers = list(zip(weights, biases, strict=True))

    def forward(self, x):
        N, D = x.shape
        out, jacobian = x, np.repeat(np.eye(D)[None], N, axis=0)
        for w, b in self.layers:
            z = out @ w + b
            slope = np.einsum("nj,ij,nid->njd", z > 0, w, jacobian)
            out, jacobian = np.hstack([out, z * (z > 0)]), np.concatenate([jacobian, slope], axis=1)
        self.jacobian = jacobian
        return out

    def backward(self, dout):
        return np.einsum("no,nod->nd", dout, self.jacobian)


class DenseFloat32(DenseJacobian):
    def forward(self, x):
        self.layers = [(w.astype(np.float32), b.astype(np.float32)) for w, b in self.layers]
        return super().forward(x.astype(np.float32))


class DenseFirstBatch(DenseJacobian):
    """Remembers the first batch."""

    def forward(self, x):
        kept = getattr(self, "jacobian", None)
        out = super().forward(x)
        self.jacobian = self.jacobian if kept is None else kept[: len(x)]
        return out


class DenseSpoils(DenseTorch):
    """Writes into the gradient that it is given, and remembers it."""

    def backward(self, dout):
        self.total = getattr(self, "total", 0) + np.asarray(super().backward(dout))
        return self.total


class DenseNoRelu(DenseJacobian):
    def forward(self, x):
        out = x
        for w, b in self.layers:
            out = np.hstack([out, out @ w + b])
        super().forward(x)
        return out


class DenseNoBias(DenseJacobian):
    def __init__(self, weights, biases):
        super().__init__(weights, [0 * b for b in biases])


class DenseBlockOnly(DenseTorch):
    """Each layer sees the newest features only."""

    def forward(self, x):
        super().forward(x)
        return torch.cat([self.parts[0], *reversed(self.parts[1:])], 1)


# --- resnet.join ----------------------------------------------------------------------------------------------------


def join_indices(x, skip, dout):
    N, C, H, W = x.shape
    K = skip.shape[1]
    out = np.empty((N, K + C, 2 * H, 2 * W))
    out[:, :K] = skip
    dx = np.zeros(x.shape)
    for p, q in itertools.product((0, 1), repeat=2):
        out[:, K:, p::2, q::2] = x
        dx += dout[:, K:, p::2, q::2]
    return out, dx, dout[:, :K]


def join_kron(x, skip, dout):
    K = skip.shape[1]
    rows, columns = (np.kron(np.eye(n), np.ones((1, 2))) for n in x.shape[2:])
    up = rows.T @ x @ columns
    return np.concatenate((skip, up), 1), rows @ dout[:, K:] @ columns.T, dout[:, :K]


def join_torch(x, skip, dout):
    x, skip, dout = map(torch.as_tensor, (x, skip, dout))
    up = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    dskip, dup = dout[:, : skip.shape[1]], dout[:, skip.shape[1] :]
    return torch.cat([skip, up], dim=1), dup.unflatten(2, (-1, 2)).unflatten(4, (-1, 2)).sum((3, 5)), dskip


def join_rows_only(x, skip, dout):
    out, dx, dskip = join_indices(x, skip, dout)
    out[:, skip.shape[1] :, :, 1::2] = 0
    return out, dx, dskip


def join_gradients_swapped(x, skip, dout):
    out, dx, dskip = join_indices(x, skip, dout)
    return out, dskip, dx


def join_all_channels(x, skip, dout):
    out, dx, _ = join_indices(x, skip, dout)
    return out, dx, dout


# --- resnet.nms -----------------------------------------------------------------------------------------------------


def _iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    common = max(width, 0) * max(height, 0)
    return common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common)


def nms_loops(boxes, scores, threshold):
    keep = []
    for i in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        if all(_iou(boxes[i], boxes[j]) <= threshold for j in keep):
            keep.append(i)
    return keep


def nms_flags(boxes, scores, threshold):
    alive, keep = np.ones(len(boxes), bool), []
    while alive.any():
        i = int(np.argmax(np.where(alive, scores, -np.inf)))
        keep.append(i)
        alive &= np.array([_iou(boxes[i], box) <= threshold for box in boxes])
        alive[i] = False
    return np.array(keep, dtype=int)


def nms_torch(boxes, scores, threshold):
    boxes, scores = torch.as_tensor(boxes), torch.as_tensor(scores)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    sides = torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:]) - torch.maximum(
        boxes[:, None, :2], boxes[None, :, :2]
    )
    common = sides.clamp(min=0).prod(2)
    iou = common / (area[:, None] + area[None] - common)
    keep = []
    for i in scores.argsort(descending=True).tolist():
        if all(iou[i, j] <= threshold for j in keep):
            keep.append(i)
    return torch.tensor(keep, dtype=torch.int64)


def nms_strict(boxes, scores, threshold):
    """Drops where the IoU equals the threshold."""
    return nms_loops(boxes, scores, np.nextafter(threshold, 0))


def nms_scores(boxes, scores, threshold):
    return scores[nms_loops(boxes, scores, threshold)]


def nms_pixels(boxes, scores, threshold):
    """Widths with one pixel more, as in the first detection toolkits."""
    keep = []
    for i in np.argsort(-scores):
        if all(_iou(boxes[i] + [0, 0, 1, 1], boxes[j] + [0, 0, 1, 1]) <= threshold for j in keep):
            keep.append(int(i))
    return keep


def nms_neighbours(boxes, scores, threshold):
    """Compares with the box kept last only."""
    keep = []
    for i in np.argsort(-scores):
        if not keep or _iou(boxes[i], boxes[keep[-1]]) <= threshold:
            keep.append(int(i))
    return keep


ALTERNATIVES = {
    "resnet.block_number": [230144, 230144.0, 221184 + 8192 + 768],
    "resnet.block_backward": [block_loops, block_torch, block_einsum],
    "resnet.paths": [paths_all, paths_recursive, paths_torch],
    "resnet.identity_start": [identity_uniform, identity_torch, identity_orthogonal],
    "resnet.dense_block": [DenseTorch, DenseJacobian, DenseFloat32],
    "resnet.join": [join_indices, join_kron, join_torch],
    "resnet.nms": [nms_loops, nms_flags, nms_torch],
}

WRONG = {
    "resnet.block_number": [230145, 221184, 230272],
    "resnet.block_backward": [block_order, block_dx_twice, block_no_biases, block_means],
    "resnet.paths": [paths_longest_first, paths_total],
    "resnet.identity_start": [
        identity_pairs, identity_bias, identity_dead, identity_swapped_fans, identity_one_column, identity_tiled,
    ],
    "resnet.dense_block": [DenseFirstBatch, DenseSpoils, DenseNoRelu, DenseNoBias, DenseBlockOnly],
    "resnet.join": [join_rows_only, join_gradients_swapped, join_all_channels],
    "resnet.nms": [nms_strict, nms_scores, nms_pixels, nms_neighbours],
}  # fmt: skip
