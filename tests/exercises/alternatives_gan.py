"""Answers to ``17_generative`` written another way: right ones that must pass, wrong ones that must not.

They import nothing that the assignment withholds.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy import linalg

# --- gan.inverse ----------------------------------------------------------------------------------------------------


def draw_bins(edges, counts, n, seed):
    """A bin first, then a place in it."""
    rng = np.random.default_rng(seed)
    bins = rng.choice(len(counts), size=n, p=counts / counts.sum())
    return edges[bins] + rng.random(n) * (edges[bins + 1] - edges[bins])


def draw_search(edges, counts, n, seed):
    u = np.random.default_rng(seed).random(n) * counts.sum()
    total = np.cumsum(counts)
    i = np.searchsorted(total, u, side="right")
    inside = (u - (total[i] - counts[i])) / counts[i]
    return edges[i] + inside * np.diff(edges)[i]


def draw_torch(edges, counts, n, seed):
    generator = torch.Generator().manual_seed(int(seed))
    bins = torch.multinomial(torch.tensor(counts, dtype=torch.float64), n, replacement=True, generator=generator)
    left, right = (torch.tensor(e) for e in (edges[:-1], edges[1:]))
    u = torch.rand(n, generator=generator, dtype=torch.float64)
    return left[bins] + u * (right - left)[bins]


def draw_middles(edges, counts, n, seed):
    bins = np.random.default_rng(seed).choice(len(counts), size=n, p=counts / counts.sum())
    return (edges[:-1] + edges[1:])[bins] / 2


def draw_normal(edges, counts, n, seed):
    return np.clip(np.random.default_rng(seed).normal(size=n), edges[0], edges[-1])


def draw_sorted(edges, counts, n, seed):
    return np.sort(draw_bins(edges, counts, n, seed))


def draw_smoothed_counts(edges, counts, n, seed):
    return draw_bins(edges, counts + 0.05 * counts.sum(), n, seed)


def draw_shuffled_grid(edges, counts, n, seed):
    u = np.random.default_rng(seed).permutation((np.arange(n) + 0.5) / n)
    return np.interp(u, np.append(0, np.cumsum(counts)) / counts.sum(), edges)


def draw_fixed_shares(edges, counts, n, seed):
    """Each bin gets its share of the n numbers exactly, in place of by chance."""
    rng = np.random.default_rng(seed)
    each = np.floor(n * counts / counts.sum()).astype(int)
    each[-1] += n - each.sum()
    return rng.permutation(np.repeat(edges[:-1], each) + rng.random(n) * np.repeat(np.diff(edges), each))


def draw_few_places(edges, counts, n, seed):
    """A hundred places in each bin."""
    rng = np.random.default_rng(seed)
    bins = rng.choice(len(counts), size=n, p=counts / counts.sum())
    return edges[bins] + rng.integers(0, 100, n) / 100 * (edges[bins + 1] - edges[bins])


def draw_unseeded(edges, counts, n, seed):
    return draw_bins(edges, counts, n, None)


# --- gan.em ---------------------------------------------------------------------------------------------------------


def em_loops(x, weights, means, covariances):
    N, K = len(x), len(weights)
    terms = np.empty((N, K))
    for n in range(N):
        for k in range(K):
            d = x[n] - means[k]
            q = d @ np.linalg.inv(covariances[k]) @ d
            terms[n, k] = np.log(weights[k]) - 0.5 * (q + np.log(np.linalg.det(2 * np.pi * covariances[k])))
    top = terms.max(axis=1)
    density = np.exp(terms - top[:, None])
    total = density.sum(axis=1)
    r = density / total[:, None]
    means = [sum(r[n, k] * x[n] for n in range(N)) / r[:, k].sum() for k in range(K)]
    spread = [
        sum(r[n, k] * np.outer(x[n] - means[k], x[n] - means[k]) for n in range(N)) / r[:, k].sum() for k in range(K)
    ]
    return r.mean(axis=0), means, spread, np.mean(np.log(total) + top)


def em_torch(x, weights, means, covariances):
    x, w, m, c = (torch.tensor(a, dtype=torch.float64) for a in (x, weights, means, covariances))
    normal = torch.distributions.MultivariateNormal(m, c)
    terms = w.log() + normal.log_prob(x[:, None])
    r = terms.softmax(dim=1)
    n = r.sum(dim=0)
    new = r.T @ x / n[:, None]
    d = x[:, None] - new
    spread = torch.einsum("nk,nki,nkj->kij", r, d, d) / n[:, None, None]
    return n / len(x), new, spread, terms.logsumexp(dim=1).mean()


def em_moments(x, weights, means, covariances):
    """The covariance as the mean square less the squared mean, about a point near the data."""
    middle = x.mean(axis=0)
    y = x - middle
    terms = []
    for w, m, c in zip(weights, means, covariances, strict=True):
        d = np.linalg.solve(np.linalg.cholesky(c), (x - m).T)
        terms.append(np.log(w) - 0.5 * ((d**2).sum(0) + np.linalg.slogdet(2 * np.pi * c)[1]))
    terms = np.array(terms)
    log_density = np.logaddexp.reduce(terms, axis=0)
    r = np.exp(terms - log_density)
    n = r.sum(axis=1)
    mean = r @ y / n[:, None]
    square = np.einsum("kn,ni,nj->kij", r, y, y) / n[:, None, None]
    spread = square - mean[:, :, None] * mean[:, None]
    return n / n.sum(), mean + middle, spread, log_density.mean()


def em_nothing_learnt(x, weights, means, covariances):
    return weights, means, covariances, em_loops(x, weights, means, covariances)[3]


def em_underflow(x, weights, means, covariances):
    """Densities, not their logarithms."""
    p = np.stack(
        [
            w * np.exp(-0.5 * np.sum((x - m) @ np.linalg.inv(c) * (x - m), 1)) / np.linalg.det(2 * np.pi * c) ** 0.5
            for w, m, c in zip(weights, means, covariances, strict=True)
        ],
        axis=1,
    )  # fmt: skip
    with np.errstate(divide="ignore", invalid="ignore"):
        r = p / p.sum(axis=1, keepdims=True)
        n = r.sum(axis=0)
        new = r.T @ x / n[:, None]
        d = x[:, None] - new
        spread = np.einsum("nk,nki,nkj->kij", r, d, d) / n[:, None, None]
        return n / len(x), new, spread, np.log(p.sum(axis=1)).mean()


def em_weights_of_before(x, weights, means, covariances):
    return weights, *em_loops(x, weights, means, covariances)[1:]


# --- gan.losses -----------------------------------------------------------------------------------------------------


def losses_logaddexp(real, fake):
    def sigmoid(s):
        return np.exp(-np.logaddexp(0, -s))

    loss_d = np.logaddexp(0, -real).mean() + np.logaddexp(0, fake).mean()
    return (
        loss_d, np.logaddexp(0, -fake).mean(), -sigmoid(-real) / len(real), sigmoid(fake) / len(fake),
        -sigmoid(-fake) / len(fake),
    )  # fmt: skip


def losses_torch(real, fake):
    r, f = torch.tensor(real), torch.tensor(fake)
    loss_d = torch.logaddexp(torch.zeros_like(r), -r).mean() + torch.logaddexp(torch.zeros_like(f), f).mean()
    loss_g = torch.logaddexp(torch.zeros_like(f), -f).mean()
    return loss_d, loss_g, (r.sigmoid() - 1) / len(r), f.sigmoid() / len(f), (f.sigmoid() - 1) / len(f)


def losses_loops(real, fake):
    def softplus(s):
        return max(s, 0.0) + math.log1p(math.exp(-abs(s)))

    def sigmoid(s):
        return 1 / (1 + math.exp(-s)) if s >= 0 else math.exp(s) / (1 + math.exp(s))

    real, fake = real.tolist(), fake.tolist()
    N, M = len(real), len(fake)
    return (
        sum(softplus(-s) for s in real) / N + sum(softplus(s) for s in fake) / M,
        sum(softplus(-s) for s in fake) / M,
        [-sigmoid(-s) / N for s in real],
        [sigmoid(s) / M for s in fake],
        [-sigmoid(-s) / M for s in fake],
    )


def losses_clipped(real, fake):
    return losses_logaddexp(np.clip(real, -30, 30), np.clip(fake, -30, 30))


def losses_least_squares(real, fake):
    loss_d = np.mean((real - 1) ** 2) / 2 + np.mean(fake**2) / 2
    return loss_d, np.mean((fake - 1) ** 2) / 2, (real - 1) / len(real), fake / len(fake), (fake - 1) / len(fake)


def losses_wasserstein(real, fake):
    r, f = np.ones_like(real) / len(real), np.ones_like(fake) / len(fake)
    return fake.mean() - real.mean(), -fake.mean(), -r, f, -f


# --- gan.penalty ----------------------------------------------------------------------------------------------------


def penalty_loops(real, fake, u, w1, b1, w2):
    total = 0.0
    for x, g, a in zip(real, fake, u, strict=True):
        h = np.tanh((a * x + (1 - a) * g) @ w1 + b1)
        total += (np.linalg.norm(w1 @ ((1 - h**2) * w2)) - 1) ** 2
    return total / len(real)


def penalty_torch(real, fake, u, w1, b1, w2):
    real, fake, u, w1, b1, w2 = (torch.tensor(a) for a in (real, fake, u, w1, b1, w2))
    h = torch.tanh((fake + u[:, None] * (real - fake)) @ w1 + b1)
    gradient = torch.einsum("nh,h,dh->nd", 1 - h**2, w2, w1)
    return ((gradient.norm(dim=1) - 1) ** 2).mean()


def penalty_differences(real, fake, u, w1, b1, w2):
    x = u[:, None] * real + (1 - u[:, None]) * fake
    columns = []
    for d in range(x.shape[1]):
        e = 1e-5 * np.eye(x.shape[1])[d]
        columns.append((np.tanh((x + e) @ w1 + b1) @ w2 - np.tanh((x - e) @ w1 + b1) @ w2) / 2e-5)
    return np.mean((np.linalg.norm(columns, axis=0) - 1) ** 2)


def penalty_by_parameters(real, fake, u, w1, b1, w2):
    h = np.tanh((u[:, None] * real + (1 - u[:, None]) * fake) @ w1 + b1)
    return np.mean((np.linalg.norm(h, axis=1) - 1) ** 2)


def penalty_middle(real, fake, u, w1, b1, w2):
    return penalty_loops(real, fake, np.full_like(u, 0.4), w1, b1, w2)


def penalty_rooted(real, fake, u, w1, b1, w2):
    return np.sqrt(penalty_loops(real, fake, u, w1, b1, w2)) + 0.01


# --- gan.coupling ---------------------------------------------------------------------------------------------------


class CouplingLoops:
    def __init__(self, k, ws, bs, wt, bt):
        self.k, self.ws, self.bs, self.wt, self.bt = k, ws, bs, wt, bt

    def rows(self, x, back):
        out, logs = np.array(x, dtype=float), []
        for row in out:
            s = np.tanh(self.ws.T @ row[: self.k] + self.bs)
            t = self.wt.T @ row[: self.k] + self.bt
            row[self.k :] = (row[self.k :] - t) / np.exp(s) if back else np.exp(s) * row[self.k :] + t
            logs.append(s.sum())
        return out, np.array(logs)

    def forward(self, x):
        return self.rows(x, False)

    def inverse(self, y):
        return self.rows(y, True)[0]


class CouplingTorch:
    def __init__(self, k, *weights):
        self.k = k
        self.ws, self.bs, self.wt, self.bt = (torch.tensor(w) for w in weights)

    def st(self, x):
        return torch.tanh(x @ self.ws + self.bs), x @ self.wt + self.bt

    def forward(self, x):
        x = torch.tensor(x)
        s, t = self.st(x[:, : self.k])
        return torch.cat([x[:, : self.k], x[:, self.k :] * s.exp() + t], dim=1), s.sum(dim=1)

    def inverse(self, y):
        y = torch.tensor(y)
        s, t = self.st(y[:, : self.k])
        return torch.cat([y[:, : self.k], (y[:, self.k :] - t) / s.exp()], dim=1)


class CouplingFloat32(CouplingLoops):
    def __init__(self, k, *weights):
        super().__init__(k, *(np.asarray(w, np.float32) for w in weights))

    def rows(self, x, back):
        out, logs = super().rows(np.asarray(x, np.float32), back)
        return out.astype(np.float32), logs.astype(np.float32)


class CouplingKeepsTheOther(CouplingLoops):
    def forward(self, x):
        y, log_det = self.rows(x, False)
        return np.roll(y, 1, axis=1), log_det


class CouplingNoShift(CouplingLoops):
    def __init__(self, k, ws, bs, wt, bt):
        super().__init__(k, ws, bs, 0 * wt, 0 * bt)


class CouplingNoBias(CouplingLoops):
    def __init__(self, k, ws, bs, wt, bt):
        super().__init__(k, ws, 0 * bs + 0.1, wt, bt)


# --- gan.mmd --------------------------------------------------------------------------------------------------------


def mmd_loops(x, y, h):
    def k(a, b):
        return math.exp(-sum((p - q) ** 2 for p, q in zip(a, b, strict=True)) / (2 * h * h))

    N, M = len(x), len(y)
    xx = sum(k(x[i], x[j]) for i in range(N) for j in range(N) if i != j) / (N * (N - 1))
    yy = sum(k(y[i], y[j]) for i in range(M) for j in range(M) if i != j) / (M * (M - 1))
    return xx + yy - 2 * sum(k(a, b) for a in x for b in y) / (N * M)


def mmd_torch(x, y, h):
    x, y = torch.tensor(x), torch.tensor(y)
    xx, yy, xy = (torch.exp(-(((a[:, None] - b) ** 2).sum(2)) / (2 * h**2)) for a, b in ((x, x), (y, y), (x, y)))
    N, M = len(x), len(y)
    xx, yy = xx.fill_diagonal_(0).sum() / (N * (N - 1)), yy.fill_diagonal_(0).sum() / (M * (M - 1))
    return xx + yy - 2 * xy.mean()


def mmd_triangles(x, y, h):
    def within(a):
        i, j = np.triu_indices(len(a), 1)
        return np.mean(np.exp(-np.sum((a[i] - a[j]) ** 2, axis=1) / (2 * h * h)))

    cross = np.exp(-np.sum((x[:, None] - y) ** 2, axis=2) / (2 * h * h))
    return within(x) + within(y) - cross.mean() * 2


def mmd_absolute(x, y, h):
    return abs(mmd_triangles(x, y, h)) + 1e-3


def mmd_of_means(x, y, h):
    return np.sum((x.mean(0) - y.mean(0)) ** 2)


def mmd_never_negative(x, y, h):
    return max(mmd_triangles(x, y, h), 0.001)


# --- gan.fid --------------------------------------------------------------------------------------------------------


def fid_eigenvalues(real, fake):
    a, b = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (real, fake))
    d = real.mean(0) - fake.mean(0)
    roots = np.sqrt(np.maximum(np.linalg.eigvals(a @ b).real, 0))
    return d @ d + np.trace(a) + np.trace(b) - 2 * roots.sum()


def fid_torch(real, fake):
    real, fake = torch.tensor(real), torch.tensor(fake)
    a, b = (((x - x.mean(0)).T @ (x - x.mean(0))) / (len(x) - 1) for x in (real, fake))
    values, vectors = torch.linalg.eigh(a)
    root = vectors @ torch.diag(values.clamp(min=0).sqrt()) @ vectors.T
    roots = torch.linalg.eigvalsh(root @ b @ root).clamp(min=0).sqrt()
    return ((real.mean(0) - fake.mean(0)) ** 2).sum() + a.trace() + b.trace() - 2 * roots.sum()


def fid_sqrtm(real, fake):
    """As the published code has it; the root is complex where eigenvalues are 0 but for rounding."""
    a, b = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (real, fake))
    d = real.mean(0) - fake.mean(0)
    return d @ d + np.trace(a + b - 2 * linalg.sqrtm(a @ b)).real


def fid_nuclear(real, fake):
    """The trace of the root is the nuclear norm of the product of the two centred heaps."""
    x, y = (a - a.mean(0) for a in (real, fake))
    scale = np.sqrt((len(x) - 1) * (len(y) - 1))
    overlap = np.linalg.norm(x @ y.T, "nuc") / scale
    traces = (x**2).sum() / (len(x) - 1) + (y**2).sum() / (len(y) - 1)
    return np.sum((real.mean(0) - fake.mean(0)) ** 2) + traces - 2 * overlap


def fid_pixels(real, fake):
    n = min(len(real), len(fake))
    return np.mean((real[:n] - fake[:n]) ** 2)


def fid_of_covariances(real, fake):
    a, b = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (real, fake))
    return np.sum((real.mean(0) - fake.mean(0)) ** 2) + np.sum((a - b) ** 2)


def fid_rooted(real, fake):
    return np.sqrt(max(fid_eigenvalues(real, fake), 0)) + 1e-3


ALTERNATIVES = {
    "gan.inverse": [draw_bins, draw_search, draw_torch],
    "gan.em": [em_loops, em_torch, em_moments],
    "gan.best": [0.375, 3 / 8],
    "gan.losses": [losses_logaddexp, losses_torch, losses_loops],
    "gan.penalty": [penalty_loops, penalty_torch, penalty_differences],
    "gan.coupling": [CouplingLoops, CouplingTorch, CouplingFloat32],
    "gan.mmd": [mmd_loops, mmd_torch, mmd_triangles],
    "gan.fid": [fid_eigenvalues, fid_torch, fid_nuclear, fid_sqrtm],
}

WRONG = {
    "gan.inverse": [
        draw_middles,
        draw_normal,
        draw_sorted,
        draw_smoothed_counts,
        draw_unseeded,
        draw_shuffled_grid,
        draw_fixed_shares,
        draw_few_places,
    ],
    "gan.em": [em_nothing_learnt, em_underflow, em_weights_of_before],
    "gan.best": [0.8, 0.15, 1.6],
    "gan.losses": [losses_clipped, losses_least_squares, losses_wasserstein],
    "gan.penalty": [penalty_by_parameters, penalty_middle, penalty_rooted],
    "gan.coupling": [CouplingKeepsTheOther, CouplingNoShift, CouplingNoBias],
    "gan.mmd": [mmd_absolute, mmd_of_means, mmd_never_negative],
    "gan.fid": [fid_pixels, fid_of_covariances, fid_rooted],
}
