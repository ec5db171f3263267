"""Answers to ``12_transfer`` written another way: right ones that must pass, wrong ones that must not.

The wrong ones are slips that are not listed as mistakes in the specification.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch

# --- transfer.adapter -----------------------------------------------------------------------------------------------


class AdapterMatrices:
    """Pixels as rows."""

    def __init__(self, w):
        self.turn = np.eye(len(w)) + w

    def forward(self, x):
        self.rows = x.transpose(0, 2, 3, 1)
        return (self.rows @ self.turn.T).transpose(0, 3, 1, 2)

    def backward(self, dout):
        rows = dout.transpose(0, 2, 3, 1)
        C = rows.shape[-1]
        self.dw = rows.reshape(-1, C).T @ self.rows.reshape(-1, C)
        return (rows @ self.turn).transpose(0, 3, 1, 2)


class AdapterTorch:
    def __init__(self, w):
        self.w = torch.as_tensor(w)

    def forward(self, x):
        self.x = torch.as_tensor(x)
        return self.x + torch.nn.functional.conv2d(self.x, self.w[:, :, None, None])

    def backward(self, dout):
        dout = torch.as_tensor(dout)
        self.dw = torch.einsum("nkp,ncp->kc", dout.flatten(2), self.x.flatten(2))
        return dout + torch.tensordot(dout, self.w, dims=([1], [0])).movedim(3, 1)


class AdapterLoops:
    def __init__(self, w):
        self.w = w.astype(np.float32)

    def forward(self, x):
        self.x = x.astype(np.float32)
        out = self.x.copy()
        for k, c in itertools.product(range(len(self.w)), repeat=2):
            out[:, k] += self.w[k, c] * self.x[:, c]
        return out

    def backward(self, dout):
        dx, self.dw = dout.astype(np.float32), np.zeros_like(self.w)
        for k, c in itertools.product(range(len(self.w)), repeat=2):
            dx[:, c] += self.w[k, c] * dout[:, k]
            self.dw[k, c] = np.sum(dout[:, k] * self.x[:, c])
        return dx


class AdapterAdds(AdapterMatrices):
    """dw grows from batch to batch."""

    def backward(self, dout):
        before = getattr(self, "dw", 0)
        dx = super().backward(dout)
        self.dw = self.dw + before
        return dx


class AdapterFirstImage(AdapterMatrices):
    """dw of the first image alone."""

    def backward(self, dout):
        dx = super().backward(dout)
        self.dw = np.einsum("khw,hwc->kc", dout[0], self.rows[0])
        return dx


# --- transfer.integrated_gradients ----------------------------------------------------------------------------------


def ig_at_once(x, baseline, w1, b1, w2, target, steps):
    alphas = (np.arange(steps)[:, None] + 0.5) / steps
    on = (baseline + alphas * (x - baseline)) @ w1 + b1 > 0
    return (x - baseline) * ((on * w2[:, target]) @ w1.T).mean(axis=0)


def ig_torch(x, baseline, w1, b1, w2, target, steps):
    x, baseline, w1, b1, w2 = (torch.as_tensor(a) for a in (x, baseline, w1, b1, w2))
    share = torch.zeros_like(b1)  # on which part of the way each unit is on
    for alpha in torch.linspace(0.5 / steps, 1 - 0.5 / steps, steps, dtype=x.dtype):
        share += (torch.lerp(baseline, x, alpha) @ w1 + b1 > 0) / steps
    return (x - baseline) * (w1 @ (share * w2[:, target]))


def ig_trapezium(x, baseline, w1, b1, w2, target, steps):
    weights = np.ones(steps + 1)
    weights[[0, -1]] = 0.5
    points = baseline + np.linspace(0, 1, steps + 1)[:, None] * (x - baseline)
    return (x - baseline) * (weights @ (((points @ w1 + b1 > 0) * w2[:, target]) @ w1.T)) / steps


def ig_all_classes(x, baseline, w1, b1, w2, target, steps):
    return sum(ig_at_once(x, baseline, w1, b1, w2, k, steps) for k in range(w2.shape[1]))


def ig_no_relu(x, baseline, w1, b1, w2, target, steps):
    return (x - baseline) * (w1 @ w2[:, target])


def ig_absolute(*a):
    return np.abs(ig_at_once(*a))


# --- transfer.lrp ---------------------------------------------------------------------------------------------------


def lrp_recursive(x, weights, biases, target, eps):
    def back(a, layer):
        z = a @ weights[layer] + biases[layer]
        if layer == len(weights) - 1:
            r = [z[k] if k == target else 0.0 for k in range(len(z))]
        else:
            r = back(np.maximum(z, 0), layer + 1)
        shares = a[:, None] * weights[layer] / (z + eps * np.where(z >= 0, 1, -1))
        return shares @ np.asarray(r)

    return back(x, 0)


def lrp_torch(x, weights, biases, target, eps):
    a, kept = torch.as_tensor(x), []
    for w, b in zip(weights, biases, strict=True):
        z = a @ torch.as_tensor(w) + torch.as_tensor(b)
        kept.append((a, torch.as_tensor(w), z))
        a = z.clamp(min=0)
    r = torch.nn.functional.one_hot(torch.tensor(target), len(z)) * z
    for a, w, z in reversed(kept):
        r = torch.einsum("j,jk,k->j", a, w, r / (z + torch.where(z < 0, -eps, eps)))
    return r


def lrp_stops_early(x, weights, biases, target, eps):
    h = np.maximum(x @ weights[0] + biases[0], 0) if len(weights) > 1 else x
    return lrp_recursive(h, weights[1:] or weights, biases[1:] or biases, target, eps)


def lrp_twice_eps(x, weights, biases, target, eps):
    """Twice the ε."""
    return lrp_recursive(x, weights, biases, target, 2 * eps)


def lrp_sizes(x, weights, biases, target, eps):
    return lrp_recursive(x, [np.abs(w) for w in weights], biases, target, eps)


# --- transfer.grad_cam ----------------------------------------------------------------------------------------------


def cam_loops(a, g):
    out = np.zeros(a.shape[1:], np.float32)
    for one, gradient in zip(a, g, strict=True):
        out += np.float32(gradient.sum() / gradient.size) * one.astype(np.float32)
    out[out < 0] = 0
    return out


def cam_torch(a, g):
    a, g = torch.as_tensor(a), torch.as_tensor(g)
    return torch.relu(torch.einsum("k,khw->hw", g.flatten(1).mean(1), a))


def cam_absolute(a, g):
    return np.abs(np.tensordot(g.mean(axis=(1, 2)), a, axes=1))


def cam_largest(a, g):
    return np.maximum(np.tensordot(g.max(axis=(1, 2)), a, axes=1), 0)


# --- transfer.shapley -----------------------------------------------------------------------------------------------


def shapley_orders(values):
    n = int(math.log2(len(values)))
    phi = [0.0] * n
    for order in itertools.permutations(range(n)):
        here = 0
        for i in order:
            phi[i] += values[here + 2**i] - values[here]
            here += 2**i
    return [p / math.factorial(n) for p in phi]


def shapley_regression(values):
    """Kernel SHAP: least squares with Shapley's weights, the empty and the full subset exact."""
    n = round(math.log2(len(values)))
    if n == 1:
        return np.array([values[1] - values[0]])
    masks = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    sizes = masks.sum(axis=1)
    inner = (sizes > 0) & (sizes < n)
    weight = np.array([(n - 1) / (math.comb(n, s) * s * (n - s)) for s in sizes[inner]])
    M, v, all_of_it = masks[inner], values[inner] - values[0], values[-1] - values[0]
    A, c = M[:, :-1] - M[:, -1:], v - M[:, -1] * all_of_it
    root = np.sqrt(weight)
    phi = np.linalg.lstsq(A * root[:, None], c * root, rcond=None)[0]
    return np.append(phi, all_of_it - phi.sum())


def shapley_one_order(values):
    n = int(math.log2(len(values)))
    return np.array([values[2 ** (i + 1) - 1] - values[2**i - 1] for i in range(n)])


def shapley_scaled(values):
    found = np.asarray(shapley_orders(values))
    return found * values[-1] / found.sum()


# --- transfer.attack ------------------------------------------------------------------------------------------------


def attack_torch(x, y, *rest):
    w1, b1, w2, b2 = (torch.as_tensor(a) for a in rest[:4])
    eps, step, steps = rest[4:]
    x, y = torch.as_tensor(x), torch.as_tensor(y)
    moved = x.clone()
    for _ in range(steps):
        h = torch.relu(moved @ w1 + b1)
        p = torch.softmax(h @ w2 + b2, dim=1)
        p[torch.arange(len(y)), y] -= 1
        moved = moved + step * ((p / len(y) @ w2.T * (h > 0)) @ w1.T).sign()
        moved = torch.minimum(torch.maximum(moved, x - eps), x + eps).clamp(0, 1)
    return moved


def attack_image_by_image(x, y, w1, b1, w2, b2, eps, step, steps):
    out = []
    for image, label in zip(x, y, strict=True):
        change = np.zeros_like(image)
        for _ in range(steps):
            z = (image + change) @ w1 + b1
            logits = np.maximum(z, 0) @ w2 + b2
            p = np.exp(logits - logits.max())
            p /= p.sum()
            p[label] -= 1
            change = np.clip(change + step * np.sign(w1 @ ((w2 @ p) * (z > 0))), -eps, eps)
            change = np.clip(image + change, 0, 1) - image
        out.append(image + change)
    return np.array(out)


def attack_float32(x, y, w1, b1, w2, b2, eps, step, steps):
    x, w1, b1, w2, b2 = (a.astype(np.float32) for a in (x, w1, b1, w2, b2))
    moved = x
    for _ in range(steps):
        z = moved @ w1 + b1
        logits = np.maximum(z, 0) @ w2 + b2
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        p = p / p.sum(axis=1, keepdims=True) - np.eye(w2.shape[1], dtype=np.float32)[y]
        moved = np.clip(moved + np.float32(step) * np.sign((p @ w2.T * (z > 0)) @ w1.T), x - eps, x + eps).clip(0, 1)
    return moved


def attack_noise(x, y, w1, b1, w2, b2, eps, step, steps):
    return np.clip(x + eps * np.random.default_rng(0).choice([-1.0, 1.0], x.shape), 0, 1)


def attack_nothing(x, y, w1, b1, w2, b2, eps, step, steps):
    return x


def attack_one_step_less(*a):
    return attack_image_by_image(*a[:-1], a[-1] - 1)


def attack_no_relu_back(x, y, w1, b1, w2, b2, eps, step, steps):
    moved = x
    for _ in range(steps):
        logits = np.maximum(moved @ w1 + b1, 0) @ w2 + b2
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        p = p / p.sum(axis=1, keepdims=True) - np.eye(w2.shape[1])[y]
        moved = np.clip(np.clip(moved + step * np.sign(p @ w2.T @ w1.T), x - eps, x + eps), 0, 1)
    return moved


def attack_that_overflows(x, y, w1, b1, w2, b2, eps, step, steps):
    moved = x
    for _ in range(steps):
        z = moved @ w1 + b1
        with np.errstate(all="ignore"):
            p = np.exp(np.maximum(z, 0) @ w2 + b2)
            p = p / p.sum(axis=1, keepdims=True) - np.eye(w2.shape[1])[y]
        moved = np.clip(np.clip(moved + step * np.sign((p @ w2.T * (z > 0)) @ w1.T), x - eps, x + eps), 0, 1)
    return moved


ALTERNATIVES = {
    "transfer.adapter_count": [87815.0, np.float32(87815)],
    "transfer.adapter": [AdapterMatrices, AdapterTorch, AdapterLoops],
    "transfer.integrated_gradients": [ig_at_once, ig_torch],
    "transfer.lrp": [lrp_recursive, lrp_torch],
    "transfer.grad_cam": [cam_loops, cam_torch],
    "transfer.shapley": [shapley_orders, shapley_regression],
    "transfer.attack": [attack_torch, attack_image_by_image, attack_float32],
}
WRONG = {
    "transfer.adapter_count": [64**2 + 128**2 + 256**2 + 256 + 7, 387_840],
    "transfer.adapter": [AdapterAdds, AdapterFirstImage],
    "transfer.integrated_gradients": [ig_trapezium, ig_all_classes, ig_no_relu, ig_absolute],
    "transfer.lrp": [lrp_stops_early, lrp_twice_eps, lrp_sizes],
    "transfer.grad_cam": [cam_absolute, cam_largest],
    "transfer.shapley": [shapley_one_order, shapley_scaled],
    "transfer.attack": [attack_noise, attack_nothing, attack_one_step_less, attack_no_relu_back, attack_that_overflows],
}
