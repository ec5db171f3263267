"""Answers to ``19_beyond`` written another way: right ones that must pass, wrong ones that must not.

The wrong ones are slips that are not listed as mistakes in the specification.
"""

from __future__ import annotations

import bisect
import math

import numpy as np
import torch

# --- beyond.nt_xent -------------------------------------------------------------------------------------------------


def contrast_loops(z1, z2, temperature):
    """View by view, gradients gathered where they arise."""
    z = np.concatenate([z1, z2])
    N, u = len(z1), z / np.linalg.norm(z, axis=1)[:, None]
    loss, du = 0.0, np.zeros_like(u)
    for i in range(2 * N):
        others = [k for k in range(2 * N) if k != i]
        s = u[others] @ u[i] / temperature
        p = np.exp(s - s.max()) / np.exp(s - s.max()).sum()
        j = (i + N) % (2 * N)
        loss += s.max() + np.log(np.exp(s - s.max()).sum()) - u[i] @ u[j] / temperature
        for k, weight in zip(others, p, strict=True):
            du[i] += (weight - (k == j)) * u[k]
            du[k] += (weight - (k == j)) * u[i]
    du /= temperature * 2 * N
    dz = [(d - (d @ v) * v) / np.linalg.norm(w) for d, v, w in zip(du, u, z, strict=True)]
    return loss / (2 * N), dz[:N], dz[N:]


def contrast_torch(z1, z2, temperature):
    """In float64: the gradient of nearly equal scores over a small temperature."""
    z = torch.cat([torch.as_tensor(z1), torch.as_tensor(z2)])
    length = z.norm(dim=1, keepdim=True)
    u, N = z / length, len(z1)
    s = (u @ u.T / temperature).masked_fill(torch.eye(2 * N, dtype=torch.bool), -torch.inf)
    p = s.softmax(1)
    target = torch.eye(2 * N, dtype=z.dtype).roll(N, 0)
    loss = (s.logsumexp(1) - (target * s.masked_fill(s == -torch.inf, 0)).sum(1)).mean()
    ds = (p - target) / (2 * N)
    du = (ds @ u + ds.T @ u) / temperature
    dz = (du - u * (u * du).sum(1, keepdim=True)) / length
    return loss, dz[:N], dz[N:]


def contrast_projected(z1, z2, temperature):
    """The way back through the length as a matrix for each row; candidates without the diagonal cut out."""
    z = np.concatenate([z1, z2])
    M, D = z.shape
    r = np.sqrt((z * z).sum(axis=1))
    u = z / r[:, None]
    s = u @ u.T / temperature
    s = np.where(np.eye(M, dtype=bool), -np.inf, s)
    log_p = s - np.logaddexp.reduce(s, axis=1)[:, None]
    right = (np.arange(M) + M // 2) % M
    loss = -log_p[np.arange(M), right].mean()
    ds = np.exp(log_p)
    ds[np.arange(M), right] -= 1
    du = (ds + ds.T) @ u / (M * temperature)
    across = (np.eye(D) - u[:, :, None] * u[:, None, :]) / r[:, None, None]
    dz = np.einsum("ide,ie->id", across, du)
    return loss, dz[: M // 2], dz[M // 2 :]


def contrast_swapped(z1, z2, temperature):
    loss, dz1, dz2 = contrast_projected(z1, z2, temperature)
    return loss, dz2, dz1


def contrast_loss_only(z1, z2, temperature):
    return contrast_projected(z1, z2, temperature)[0]


def contrast_uphill(z1, z2, temperature):
    loss, dz1, dz2 = contrast_projected(z1, z2, temperature)
    return loss, -dz1, -dz2


# --- beyond.prototypes ----------------------------------------------------------------------------------------------


class PrototypesLists:
    def __init__(self, z, labels):
        self.means = {
            c: np.mean([row for row, k in zip(z, labels, strict=True) if k == c], axis=0) for c in set(labels)
        }

    def scores(self, row):
        return {c: -float(np.dot(row - m, row - m)) for c, m in self.means.items()}

    def predict(self, z):
        return [int(max(self.scores(row).items(), key=lambda item: item[1])[0]) for row in z]

    def probabilities(self, z):
        out = []
        for row in z:
            s = [v for _, v in sorted(self.scores(row).items())]
            out.append([1 / sum(np.exp(min(other - v, 700)) for other in s) for v in s])
        return out


class PrototypesLinear:
    """|z|² cancels: a linear classifier with weights 2 c and bias -|c|²."""

    def __init__(self, z, labels):
        self.classes, index = np.unique(labels, return_inverse=True)
        member = np.eye(len(self.classes))[index.reshape(-1)]
        centres = member.T @ z / member.sum(axis=0)[:, None]
        self.w, self.b = 2 * centres.T, -(centres**2).sum(axis=1)

    def predict(self, z):
        return self.classes[(z @ self.w + self.b).argmax(axis=1)]

    def probabilities(self, z):
        s = z @ self.w + self.b
        return np.exp(s - np.logaddexp.reduce(s, axis=1)[:, None])


class PrototypesTorch:
    def __init__(self, z, labels):
        z, labels = torch.as_tensor(z), torch.as_tensor(labels)
        self.classes = labels.unique()
        self.centres = torch.stack([z[labels == c].mean(0) for c in self.classes])

    def squared(self, z):
        return (torch.as_tensor(z)[:, None] - self.centres).pow(2).sum(2)

    def predict(self, z):
        return self.classes[self.squared(z).argmin(1)]

    def probabilities(self, z):
        return (-self.squared(z)).softmax(1)


class PrototypesManhattan(PrototypesTorch):
    def squared(self, z):
        return (torch.as_tensor(z)[:, None] - self.centres).abs().sum(2)


class PrototypesHalved(PrototypesTorch):
    def probabilities(self, z):
        return (-self.squared(z) / 2).softmax(1)


class PrototypesTransposed(PrototypesTorch):
    def probabilities(self, z):
        return super().probabilities(z).T


# --- beyond.conformal -----------------------------------------------------------------------------------------------


def conformal_partition(calibration, targets, probabilities, alpha):
    n = len(targets)
    scores = 1 - np.take_along_axis(calibration, targets[:, None], axis=1)[:, 0]
    k = math.ceil((n + 1) * (1 - alpha))
    if k > n:
        return np.ones(probabilities.shape, bool)
    return probabilities >= 1 - np.partition(scores, k - 1)[k - 1]


def conformal_torch(calibration, targets, probabilities, alpha):
    p = torch.as_tensor(calibration, dtype=torch.float32)
    scores = torch.sort(1 - p.gather(1, torch.as_tensor(targets)[:, None])[:, 0]).values
    scores = torch.cat([scores, torch.tensor([math.inf])])
    k = math.ceil((len(targets) + 1) * (1 - alpha))
    return 1 - torch.as_tensor(probabilities, dtype=torch.float32) <= scores[k - 1]


def conformal_lists(calibration, targets, probabilities, alpha):
    """A class stays if enough calibration scores are at least as large, its own counted."""
    scores = sorted(1 - float(row[t]) for row, t in zip(calibration, targets, strict=True))
    k = math.ceil((len(scores) + 1) * (1 - alpha))
    return [[bisect.bisect_left(scores, 1 - float(p)) < k for p in row] for row in probabilities]


def conformal_all(calibration, targets, probabilities, alpha):
    return np.ones(probabilities.shape, bool)


def conformal_best(calibration, targets, probabilities, alpha):
    return probabilities == probabilities.max(axis=1, keepdims=True)


def conformal_transposed(calibration, targets, probabilities, alpha):
    return conformal_partition(calibration, targets, probabilities, alpha).T


# --- beyond.returns -------------------------------------------------------------------------------------------------


def returns_loops(x, w, actions, rewards, gamma):
    T = len(rewards)
    gains = [sum(gamma ** (later - t) * rewards[later] for later in range(t, T)) for t in range(T)]
    out = np.zeros(w.shape)
    for t in range(T):
        s = x[t] @ w
        p = np.exp(s - s.max()) / np.exp(s - s.max()).sum()
        for a in range(w.shape[1]):
            out[:, a] += (gains[t] - np.mean(gains)) * x[t] * ((a == actions[t]) - p[a])
    return out


def returns_matrix(x, w, actions, rewards, gamma):
    lag = np.subtract.outer(np.arange(len(rewards)), np.arange(len(rewards))).T
    gains = np.where(lag >= 0, float(gamma) ** np.maximum(lag, 0), 0) @ rewards
    s = x @ w
    p = np.exp(s - np.logaddexp.reduce(s, axis=1, keepdims=True))
    p = (np.arange(w.shape[1]) == actions[:, None]) - p
    return np.einsum("t,td,ta->da", gains - gains.mean(), x, p)


def returns_torch(x, w, actions, rewards, gamma):
    x, w = torch.as_tensor(x, dtype=torch.float32), torch.as_tensor(w, dtype=torch.float32)
    gains, following = [], 0.0
    for r in reversed(rewards.tolist()):
        following = r + gamma * following
        gains.insert(0, following)
    gains = torch.tensor(gains)
    onehot = torch.nn.functional.one_hot(torch.as_tensor(actions), w.shape[1])
    return x.T @ ((gains - gains.mean())[:, None] * (onehot - (x @ w).softmax(1)))


def returns_standardised(x, w, actions, rewards, gamma):
    return returns_matrix(x, w, actions, rewards, gamma) / max(np.std(rewards), 1e-9)


def returns_transposed(x, w, actions, rewards, gamma):
    return returns_matrix(x, w, actions, rewards, gamma).T


def returns_greedy(x, w, actions, rewards, gamma):
    return returns_matrix(x, w, (x @ w).argmax(axis=1), rewards, gamma)


# --- beyond.adjoint -------------------------------------------------------------------------------------------------


def adjoint_vector(w, y0, dy, end, steps, times=1):
    """All in one vector."""
    D, n = len(y0), times * steps

    def slope(z):
        y, a = z[:D], z[D : 2 * D]
        t = np.tanh(y @ w)
        inner = a * (1 - t * t)
        return np.concatenate([t, -w @ inner, -np.outer(y, inner).ravel()])

    def solve(f, z, h):
        for _ in range(n):
            k1 = f(z)
            k2 = f(z + h / 2 * k1)
            k3 = f(z + h / 2 * k2)
            z = z + h / 6 * (k1 + 2 * k2 + 2 * k3 + f(z + h * k3))
        return z

    y = solve(lambda z: np.tanh(z @ w), y0, end / n)
    z = solve(slope, np.concatenate([y, dy, np.zeros(D * D)]), -end / n)
    return y, z[D : 2 * D], z[2 * D :].reshape(D, D)


def adjoint_kept(w, y0, dy, end, steps):
    """Keeps the states of the forward pass, and goes back through Kutta's steps by the chain rule."""
    h, kept, y = end / steps, [], y0
    for _ in range(steps):
        zs, ks = [], []
        for c in (0, 0.5, 0.5, 1):
            zs.append(y + (h * c * ks[-1] if ks else 0))
            ks.append(np.tanh(zs[-1] @ w))
        kept.append((zs, ks))
        y = y + h / 6 * (ks[0] + 2 * ks[1] + 2 * ks[2] + ks[3])
    a, dw = dy, np.zeros_like(w)
    for zs, ks in reversed(kept):
        dks = [h / 6 * a, h / 3 * a, h / 3 * a, h / 6 * a]
        for i, c in ((3, 1), (2, 0.5), (1, 0.5), (0, 0)):
            inner = dks[i] * (1 - ks[i] ** 2)
            dw = dw + np.outer(zs[i], inner)
            dz = w @ inner
            a = a + dz
            if i:
                dks[i - 1] = dks[i - 1] + h * c * dz
    return y, a, dw


def adjoint_reduced(w, y0, dy, end, steps):
    """Forward and back by one loop; the way back by the reversed equation, with steps above 0."""
    h = end / steps

    def loop(f, *z):
        for _ in range(steps):
            ks = []
            for c in (0, h / 2, h / 2, h):
                ks.append(f(*(p + c * k for p, k in zip(z, ks[-1], strict=True))) if ks else f(*z))
            means = [np.average(slopes, axis=0, weights=[1, 2, 2, 1]) for slopes in zip(*ks, strict=True)]
            z = [p + h * mean for p, mean in zip(z, means, strict=True)]
        return z

    def back(y, a, g):
        s = np.tanh(y @ w)
        return -s, (1 - s**2) * a @ w.T, np.outer(y, (1 - s**2) * a)

    (y,) = loop(lambda y: [np.tanh(y @ w)], y0)
    return y, *loop(back, y, dy, np.zeros_like(w))[1:]


def adjoint_torch(w, y0, dy, end, steps):
    w, y, a = (torch.as_tensor(v, dtype=torch.float32) for v in (w, y0, dy))

    def slope(z):
        y, a, _ = z
        t = torch.tanh(y @ w)
        inner = a * (1 - t**2)
        return t, -w @ inner, -torch.outer(y, inner)

    def solve(z, h):
        for _ in range(steps):
            k1 = slope(z)
            k2 = slope([p + h / 2 * k for p, k in zip(z, k1, strict=True)])
            k3 = slope([p + h / 2 * k for p, k in zip(z, k2, strict=True)])
            k4 = slope([p + h * k for p, k in zip(z, k3, strict=True)])
            z = [p + h / 6 * (b + 2 * c + 2 * d + e) for p, b, c, d, e in zip(z, k1, k2, k3, k4, strict=True)]
        return z

    y = solve([y, 0 * a, 0 * w], end / steps)[0]
    _, a, dw = solve([y, a, 0 * w], -end / steps)
    return y, a, dw


def adjoint_finer(w, y0, dy, end, steps):
    return adjoint_vector(w, y0, dy, end, steps, times=2)


def adjoint_order(w, y0, dy, end, steps):
    y, dy0, dw = adjoint_vector(w, y0, dy, end, steps)
    return dy0, y, dw


def adjoint_start(w, y0, dy, end, steps):
    _, dy0, dw = adjoint_vector(w, y0, dy, end, steps)
    return y0, dy0, dw


def adjoint_no_flow(w, y0, dy, end, steps):
    y, _, dw = adjoint_vector(w, y0, dy, end, steps)
    return y, dy, dw


# --- beyond.retrieval -----------------------------------------------------------------------------------------------


def top_sorted(query, vectors, k):
    def cosine(v):
        size = float(np.sqrt(v @ v)) * float(np.sqrt(query @ query))
        return float(v @ query) / size if size else 0.0

    ranked = sorted(((-cosine(v), i) for i, v in enumerate(vectors)))[:k]
    return [i for _, i in ranked], [-c for c, _ in ranked]


def top_one_by_one(query, vectors, k):
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(query)
    left = np.where(lengths > 0, vectors @ query / np.maximum(lengths, 1e-300), 0.0)
    indices, cosines = [], []
    for _ in range(k):
        best = int(left.argmax())
        indices.append(best)
        cosines.append(left[best])
        left[best] = -np.inf
    return np.array(indices), np.array(cosines)


def top_torch(query, vectors, k):
    q, v = torch.as_tensor(query), torch.as_tensor(vectors)
    s = (v * q).sum(1) / (v.pow(2).sum(1).sqrt() * q.norm()).clamp(min=1e-12)
    order = torch.sort(-s, stable=True).indices[:k]
    return order, s[order]


def top_absolute(query, vectors, k):
    s = np.abs(top_sorted(query, vectors, len(vectors))[1])
    return np.argsort(-s)[:k], np.sort(s)[::-1][:k]


def top_indices_only(query, vectors, k):
    return top_sorted(query, vectors, k)[0]


def top_all(query, vectors, k):
    return top_sorted(query, vectors, len(vectors))[0], top_sorted(query, vectors, k)[1]


ALTERNATIVES = {
    "beyond.random_labels": [0.54, 0.6 - 0.06, np.float64(0.6) * 0.9],
    "beyond.nt_xent": [contrast_loops, contrast_torch, contrast_projected],
    "beyond.prototypes": [PrototypesLists, PrototypesLinear, PrototypesTorch],
    "beyond.conformal": [conformal_partition, conformal_torch, conformal_lists],
    "beyond.returns": [returns_loops, returns_matrix, returns_torch],
    "beyond.adjoint": [adjoint_vector, adjoint_reduced, adjoint_torch],
    "beyond.retrieval": [top_sorted, top_one_by_one, top_torch],
}

WRONG = {
    "beyond.random_labels": [0.4, 0.9, 6.0],
    "beyond.nt_xent": [contrast_swapped, contrast_loss_only, contrast_uphill],
    "beyond.prototypes": [PrototypesManhattan, PrototypesHalved, PrototypesTransposed],
    "beyond.conformal": [conformal_all, conformal_best, conformal_transposed],
    "beyond.returns": [returns_standardised, returns_transposed, returns_greedy],
    "beyond.adjoint": [adjoint_order, adjoint_start, adjoint_no_flow, adjoint_finer, adjoint_kept],
    "beyond.retrieval": [top_absolute, top_indices_only, top_all],
}
