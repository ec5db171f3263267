"""Answers to ``09_cnn`` written another way: right ones that must pass, wrong ones that must not.

The wrong ones are slips that are not listed as mistakes in the specification.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view

# --- cnn.max_pool ---------------------------------------------------------------------------------------------------


def max_pool_view(x, kernel, stride):
    return sliding_window_view(x, (kernel, kernel), (2, 3))[:, :, ::stride, ::stride].max(axis=(4, 5))


def max_pool_slices(x, kernel, stride):
    rows, columns = ((n - kernel) // stride + 1 for n in x.shape[2:])
    out = np.full((*x.shape[:2], rows, columns), -np.inf, np.float32)
    for i in range(kernel):
        for j in range(kernel):
            part = x[:, :, i : i + (rows - 1) * stride + 1 : stride, j : j + (columns - 1) * stride + 1 : stride]
            out = np.maximum(out, part)
    return out


def max_pool_torch(x, kernel, stride):
    return torch.as_tensor(x).unfold(2, kernel, stride).unfold(3, kernel, stride).amax((4, 5))


def max_pool_loops(x, kernel, stride):
    N, C, H, W = x.shape
    return [
        [
            [
                [
                    max(float(x[n, c, p + i, q + j]) for i in range(kernel) for j in range(kernel))
                    for q in range(0, W - kernel + 1, stride)
                ]
                for p in range(0, H - kernel + 1, stride)
            ]
            for c in range(C)
        ]
        for n in range(N)
    ]


def max_pool_rounded_up(x, kernel, stride):
    rows, columns = (math.ceil((n - kernel) / stride) + 1 for n in x.shape[2:])
    return np.array([
        [
            x[:, :, p * stride : p * stride + kernel, q * stride : q * stride + kernel].max(axis=(2, 3))
            for q in range(columns)
        ]
        for p in range(rows)
    ]).transpose(2, 3, 0, 1)  # fmt: skip


def max_pool_minimum(x, kernel, stride):
    return -max_pool_view(-x, kernel, stride)


def max_pool_transposed(x, kernel, stride):
    return max_pool_view(x, kernel, stride).swapaxes(2, 3)


def max_pool_every_pixel(x, kernel, stride):
    return max_pool_view(x, kernel, 1)


# --- cnn.max_pool_backward ------------------------------------------------------------------------------------------


def backward_slices(dout, x, kernel, stride):
    rows, columns = dout.shape[2:]
    dx, left = np.zeros(x.shape), np.ones(dout.shape, bool)
    out = max_pool_view(x, kernel, stride)
    for i in range(kernel):
        for j in range(kernel):
            at = (..., slice(i, i + (rows - 1) * stride + 1, stride), slice(j, j + (columns - 1) * stride + 1, stride))
            won = (x[at] == out) & left
            left &= ~won
            dx[at] += np.where(won, dout, 0)
    return dx


def backward_scatter(dout, x, kernel, stride):
    N, C, H, W = x.shape
    windows = sliding_window_view(x, (kernel, kernel), (2, 3))[:, :, ::stride, ::stride]
    flat = windows.reshape(*dout.shape, -1).argmax(axis=4)
    p, q = np.indices(dout.shape[2:])
    place = (p * stride + flat // kernel) * W + q * stride + flat % kernel
    dx = np.zeros((N * C, H * W))
    np.add.at(dx, (np.arange(N * C)[:, None], place.reshape(N * C, -1)), dout.reshape(N * C, -1))
    return dx.reshape(x.shape)


def backward_torch(dout, x, kernel, stride):
    x, dout = torch.as_tensor(x), torch.as_tensor(dout)
    dx = torch.zeros(x.shape, dtype=torch.float64)
    for p in range(dout.shape[2]):
        for q in range(dout.shape[3]):
            window = x[:, :, p * stride : p * stride + kernel, q * stride : q * stride + kernel]
            first = window.flatten(2).argmax(2, keepdim=True)
            part = torch.zeros(window.flatten(2).shape, dtype=torch.float64)
            part.scatter_(2, first, dout[:, :, p, q, None])
            dx[:, :, p * stride : p * stride + kernel, q * stride : q * stride + kernel] += part.view(window.shape)
    return dx


def backward_no_gradient(dout, x, kernel, stride):
    return backward_slices(np.ones_like(dout), x, kernel, stride)


def backward_side_by_side(dout, x, kernel, stride):
    dx = np.zeros(x.shape)
    for n, c, p, q in np.ndindex(*dout.shape):
        window = x[n, c, p * stride : p * stride + kernel, q * stride : q * stride + kernel]
        i, j = np.unravel_index(window.argmax(), window.shape)
        row, column = min(p * kernel + i, x.shape[2] - 1), min(q * kernel + j, x.shape[3] - 1)
        dx[n, c, row, column] += dout[n, c, p, q]
    return dx


def backward_first_map(dout, x, kernel, stride):
    return np.broadcast_to(backward_slices(dout, x, kernel, stride)[:, :1], x.shape)


# --- cnn.adaptive ---------------------------------------------------------------------------------------------------


def adaptive_matrices(x, rows, columns):
    def means(n, m):
        matrix = np.zeros((m, n), np.float32)
        for p in range(m):
            start, stop = math.floor(p * n / m), math.ceil((p + 1) * n / m)
            matrix[p, start:stop] = 1 / (stop - start)
        return matrix

    return means(x.shape[2], rows) @ x @ means(x.shape[3], columns).T


def adaptive_torch(x, rows, columns):
    x = torch.as_tensor(x)
    H, W = x.shape[2:]
    parts = [
        torch.stack([
            x[:, :, p * H // rows : ((p + 1) * H + rows - 1) // rows,
              q * W // columns : ((q + 1) * W + columns - 1) // columns].mean((2, 3))
            for q in range(columns)
        ], dim=-1)
        for p in range(rows)
    ]  # fmt: skip
    return torch.stack(parts, dim=-2)


def adaptive_integral(x, rows, columns):
    """By a table of running sums."""
    N, C, H, W = x.shape
    total = np.zeros((N, C, H + 1, W + 1))
    total[:, :, 1:, 1:] = x.cumsum(2).cumsum(3)
    out = np.zeros((N, C, rows, columns))
    for p in range(rows):
        a, b = p * H // rows, -(-(p + 1) * H // rows)
        for q in range(columns):
            c, d = q * W // columns, -(-(q + 1) * W // columns)
            s = total[:, :, b, d] - total[:, :, a, d] - total[:, :, b, c] + total[:, :, a, c]
            out[:, :, p, q] = s / ((b - a) * (d - c))
    return out


def adaptive_rounded(x, rows, columns):
    def edges(n, m):
        return [(round(p * n / m), max(round((p + 1) * n / m), round(p * n / m) + 1)) for p in range(m)]

    high, wide = edges(x.shape[2], rows), edges(x.shape[3], columns)
    parts = [
        [x[:, :, min(a, x.shape[2] - 1) : b, min(c, x.shape[3] - 1) : d].mean((2, 3)) for c, d in wide] for a, b in high
    ]
    return np.array(parts).transpose(2, 3, 0, 1)


def adaptive_corner(x, rows, columns):
    return adaptive_matrices(x, rows, columns) * 0 + x[:, :, :1, :1]


def adaptive_over_batch(x, rows, columns):
    return np.broadcast_to(
        adaptive_matrices(x, rows, columns).mean(axis=1, keepdims=True), (*x.shape[:2], rows, columns)
    )


# --- cnn.receptive_field ----------------------------------------------------------------------------------------------


def field_backwards(layers):
    """From the top: one unit, then all that it needs, layer by layer."""
    size, jump = 1, 1
    for kernel, stride in reversed(layers):
        size = (size - 1) * stride + kernel
        jump *= stride
    return size, jump


def field_sets(layers):
    def reached(unit):
        units = {unit}
        for kernel, stride in reversed(layers):
            units = {u * stride + i for u in units for i in range(kernel)}
        return units

    zero, one = reached(0), reached(1)
    return np.array([max(zero) - min(zero) + 1, min(one) - min(zero)])


def field_numpy(layers):
    if not layers:
        return 1, 1
    kernels, strides = np.array(layers).T
    jumps = np.concatenate([[1], np.cumprod(strides)])
    return 1 + ((kernels - 1) * jumps[:-1]).sum(), jumps[-1]


def field_last_jump(layers):
    return field_backwards(layers)[0], layers[-1][1] if layers else 1


def field_centre(layers):
    size, jump = field_backwards(layers)
    return size - size % 2 + 1, jump


def field_in_wrong_order(layers):
    return field_backwards(layers[::-1])


# --- cnn.bill ---------------------------------------------------------------------------------------------------------


def bill_tensors(shape, layers):
    """By building torch's layers on the meta device."""
    x, rows = torch.empty((1, *shape), device="meta"), []
    for kind, *sizes in layers:
        with torch.device("meta"):
            if kind == "conv":
                layer = torch.nn.Conv2d(x.shape[1], sizes[0], sizes[1], sizes[2], sizes[3])
                x = layer(x)
            elif kind == "linear":
                layer = torch.nn.Linear(x.numel(), sizes[0])
                x = torch.empty(1, sizes[0], 1, 1)
            else:
                layer = torch.nn.Identity()
                x = x.unfold(2, *sizes).unfold(3, *sizes)[..., 0, 0]
        rows.append((x.numel(), sum(p.numel() for p in layer.parameters())))
    return rows


def bill_array(shape, layers):
    rows, (C, H, W) = np.zeros((len(layers), 2)), shape
    for i, layer in enumerate(layers):
        if layer[0] == "linear":
            rows[i, 1] = (C * H * W + 1) * layer[1]
            C, H, W = layer[1], 1, 1
        else:
            kernel, stride = layer[-2:] if layer[0] == "pool" else layer[2:4]
            padding = 0 if layer[0] == "pool" else layer[4]
            if layer[0] == "conv":
                rows[i, 1] = layer[1] * (C * kernel**2 + 1)
                C = layer[1]
            H, W = (len(range(0, n + 2 * padding - kernel + 1, stride)) for n in (H, W))
        rows[i, 0] = C * H * W
    return rows


def bill_square(shape, layers):
    return [
        [row[0] if kind != "linear" else row[0] + 1, row[1]]
        for row, (kind, *_) in zip(bill_array(shape, layers), layers, strict=True)
    ]


def bill_no_padding(shape, layers):
    return bill_array(shape, [[*layer[:4], 0] if layer[0] == "conv" else layer for layer in layers])


def bill_stride_one(shape, layers):
    return bill_array(shape, [[*layer[:3], 1, layer[4]] if layer[0] == "conv" else layer for layer in layers])


def bill_one_bias(shape, layers):
    rows = bill_array(shape, layers)
    for row, (kind, *sizes) in zip(rows, layers, strict=True):
        if kind == "conv":
            row[1] -= sizes[0] - 1
    return rows


# --- cnn.subsample ----------------------------------------------------------------------------------------------------


class SubsampleTorch:
    def __init__(self, w, b):
        self.w, self.b = torch.tensor(w), torch.tensor(b)

    def forward(self, x):
        N, C, H, W = x.shape
        self.sums = torch.tensor(x).reshape(N, C, H // 2, 2, W // 2, 2).sum((3, 5))
        return torch.einsum("c,nchw->nchw", self.w, self.sums) + self.b.view(1, -1, 1, 1)

    def backward(self, dout):
        dout = torch.tensor(dout)
        self.dw, self.db = torch.einsum("nchw,nchw->c", dout, self.sums), dout.sum((0, 2, 3))
        return torch.kron(dout * self.w.view(1, -1, 1, 1), torch.ones(1, 1, 2, 2, dtype=dout.dtype))

    def step(self, lr):
        self.w = self.w - lr * self.dw
        self.b = self.b - lr * self.db


class SubsampleLoops:
    def __init__(self, w, b):
        self.w, self.b = [float(v) for v in w], [float(v) for v in b]

    def forward(self, x):
        self.x = x
        N, C, H, W = x.shape
        out = np.zeros((N, C, H // 2, W // 2))
        for n, c, p, q in np.ndindex(*out.shape):
            out[n, c, p, q] = self.w[c] * x[n, c, 2 * p : 2 * p + 2, 2 * q : 2 * q + 2].sum() + self.b[c]
        return out

    def backward(self, dout):
        dx = np.zeros(self.x.shape)
        self.dw, self.db = [0.0] * len(self.w), [0.0] * len(self.w)
        for n, c, p, q in np.ndindex(*dout.shape):
            window = (n, c, slice(2 * p, 2 * p + 2), slice(2 * q, 2 * q + 2))
            dx[window] = dout[n, c, p, q] * self.w[c]
            self.dw[c] += dout[n, c, p, q] * self.x[window].sum()
            self.db[c] += dout[n, c, p, q]
        return dx

    def step(self, lr):
        self.w = [w - lr * d for w, d in zip(self.w, self.dw, strict=True)]
        self.b = [b - lr * d for b, d in zip(self.b, self.db, strict=True)]


class SubsampleSingle(SubsampleTorch):
    """In float32."""

    def __init__(self, w, b):
        super().__init__(w.astype(np.float32), b.astype(np.float32))

    def forward(self, x):
        return super().forward(x.astype(np.float32))

    def backward(self, dout):
        return super().backward(dout.astype(np.float32))


class SubsampleGathers(SubsampleTorch):
    """Gradients pile up from one backward pass to the next."""

    def backward(self, dout):
        before = getattr(self, "dw", 0), getattr(self, "db", 0)
        dx = super().backward(dout)
        self.dw, self.db = self.dw + before[0], self.db + before[1]
        return dx


class SubsampleMaximum(SubsampleTorch):
    def forward(self, x):
        N, C, H, W = x.shape
        self.sums = torch.tensor(x).reshape(N, C, H // 2, 2, W // 2, 2).amax((3, 5))
        return self.w.view(1, -1, 1, 1) * self.sums + self.b.view(1, -1, 1, 1)


class SubsampleFrozenBias(SubsampleTorch):
    def step(self, lr):
        self.w = self.w - lr * self.dw


ALTERNATIVES = {
    "cnn.c3_number": [1516.0, np.int64(1516), np.float32(1516)],
    "cnn.max_pool": [max_pool_view, max_pool_slices, max_pool_torch, max_pool_loops],
    "cnn.max_pool_backward": [backward_slices, backward_scatter, backward_torch],
    "cnn.adaptive": [adaptive_matrices, adaptive_torch, adaptive_integral],
    "cnn.receptive_field": [field_backwards, field_sets, field_numpy],
    "cnn.bill": [bill_tensors, bill_array],
    "cnn.subsample": [SubsampleTorch, SubsampleLoops, SubsampleSingle],
}

WRONG = {
    "cnn.c3_number": [1515, 60_000, 15.16],
    "cnn.max_pool": [max_pool_rounded_up, max_pool_minimum, max_pool_transposed, max_pool_every_pixel],
    "cnn.max_pool_backward": [backward_no_gradient, backward_side_by_side, backward_first_map],
    "cnn.adaptive": [adaptive_rounded, adaptive_corner, adaptive_over_batch],
    "cnn.receptive_field": [field_last_jump, field_centre, field_in_wrong_order],
    "cnn.bill": [bill_square, bill_no_padding, bill_stride_one, bill_one_bias],
    "cnn.subsample": [SubsampleGathers, SubsampleMaximum, SubsampleFrozenBias],
}
