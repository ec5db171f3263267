"""Answers to ``10_normalisation`` written another way: right ones that must pass, wrong ones that must not.

The wrong ones are slips that are not listed as mistakes in the specification.
"""

from __future__ import annotations

import math

import numpy as np
import torch

# --- norm.batch_norm ------------------------------------------------------------------------------------------------


class BatchNormTorch:
    def __init__(self, gamma, beta, momentum, eps):
        self.gamma, self.beta = torch.as_tensor(gamma), torch.as_tensor(beta)
        self.momentum, self.eps = momentum, eps
        self.mean, self.var = torch.zeros(len(gamma), dtype=torch.float64), torch.ones(len(gamma), dtype=torch.float64)

    def train(self, x):
        x = torch.as_tensor(x)
        mean = x.mean(0)
        self.mean = torch.lerp(self.mean, mean, self.momentum)
        self.var = torch.lerp(self.var, x.var(0), self.momentum)
        return self.gamma * (x - mean) / torch.sqrt(x.var(0, unbiased=False) + self.eps) + self.beta

    def test(self, x):
        return (torch.as_tensor(x) - self.mean) * self.gamma / torch.sqrt(self.var + self.eps) + self.beta


class BatchNormLoops:
    def __init__(self, gamma, beta, momentum, eps):
        self.gamma, self.beta, self.momentum, self.eps = gamma, beta, momentum, eps
        self.mean, self.var = [0.0] * len(gamma), [1.0] * len(gamma)

    def train(self, x):
        N, D = x.shape
        out = [[0.0] * D for _ in range(N)]
        for d in range(D):
            mean = math.fsum(x[:, d]) / N
            squares = math.fsum((v - mean) ** 2 for v in x[:, d])
            self.mean[d] += self.momentum * (mean - self.mean[d])
            self.var[d] += self.momentum * (squares / (N - 1) - self.var[d])
            for n in range(N):
                out[n][d] = self.gamma[d] * (x[n, d] - mean) / math.sqrt(squares / N + self.eps) + self.beta[d]
        return out

    def test(self, x):
        scale = self.gamma / np.sqrt(np.array(self.var) + self.eps)
        return x * scale + (self.beta - np.array(self.mean) * scale)


class BatchNormFloat32:
    def __init__(self, gamma, beta, momentum, eps):
        self.gamma, self.beta = gamma.astype(np.float32), beta.astype(np.float32)
        self.momentum, self.eps = momentum, eps
        self.mean, self.var = np.zeros_like(self.gamma), np.ones_like(self.gamma)

    def train(self, x):
        x = x.astype(np.float32)
        mean, var = x.mean(0), x.var(0)
        self.mean = (1 - self.momentum) * self.mean + self.momentum * mean
        self.var = (1 - self.momentum) * self.var + self.momentum * var * len(x) / (len(x) - 1)
        return self.gamma * ((x - mean) / np.sqrt(var + self.eps)) + self.beta

    def test(self, x):
        return self.gamma * ((x.astype(np.float32) - self.mean) / np.sqrt(self.var + self.eps)) + self.beta


class TestUpdates(BatchNormLoops):
    """Testing changes the memory."""

    __test__ = False

    def test(self, x):
        out = super().test(x)
        if len(x) > 1:
            self.train(x)
        self.mean = [m + 0.1 for m in self.mean]
        return out


class LastBatch(BatchNormLoops):
    """Remembers the last batch only."""

    def train(self, x):
        self.mean, self.var = [0.0] * x.shape[1], [0.0] * x.shape[1]
        keep, self.momentum = self.momentum, 1.0
        out = super().train(x)
        self.momentum = keep
        return out


class OneMean(BatchNormLoops):
    """One mean for all columns."""

    def train(self, x):
        super().train(x)
        return self.gamma * (x - x.mean()) / np.sqrt(x.var() + self.eps) + self.beta


class AverageOfAll(BatchNormLoops):
    """The plain average of all batches, whatever momentum is."""

    def __init__(self, gamma, beta, momentum, eps):
        super().__init__(gamma, beta, momentum, eps)
        self.seen = 0

    def train(self, x):
        self.seen += 1
        self.momentum = 1 / self.seen
        return super().train(x)


# --- norm.batch_backward --------------------------------------------------------------------------------------------


def backward_steps(dout, x, gamma, eps):
    """Node by node through the graph, as one would draw it."""
    N = len(x)
    centred = x - x.mean(axis=0)
    var = (centred**2).mean(axis=0)
    inv = (var + eps) ** -0.5
    x_hat = centred * inv
    dgamma, dbeta = (dout * x_hat).sum(axis=0), dout.sum(axis=0)
    dx_hat = dout * gamma
    dvar = (dx_hat * centred).sum(axis=0) * -0.5 * inv**3
    dcentred = dx_hat * inv + 2 / N * centred * dvar
    return dcentred - dcentred.mean(axis=0), dgamma, dbeta


def backward_jacobian(dout, x, gamma, eps):
    """A channel's whole Jacobian, as a matrix."""
    N = len(x)
    dx = np.empty_like(x)
    std = np.sqrt(x.var(axis=0) + eps)
    x_hat = (x - x.mean(axis=0)) / std
    for d in range(x.shape[1]):
        jacobian = (np.eye(N) - 1 / N - np.outer(x_hat[:, d], x_hat[:, d]) / N) * gamma[d] / std[d]
        dx[:, d] = jacobian.T @ dout[:, d]
    return [dx, np.einsum("nd,nd->d", dout, x_hat), np.ones(N) @ dout]


def backward_torch(dout, x, gamma, eps):
    dout, x, gamma = map(torch.as_tensor, (dout, x, gamma))
    inv = torch.rsqrt(x.var(0, unbiased=False) + eps)
    x_hat = (x - x.mean(0)) * inv
    dgamma, dbeta = (dout * x_hat).sum(0), dout.sum(0)
    return gamma * inv * (dout - dout.mean(0) - x_hat * (dout * x_hat).mean(0)), dgamma, dbeta


def backward_order(dout, x, gamma, eps):
    dx, dgamma, dbeta = backward_steps(dout, x, gamma, eps)
    return dx, dbeta, dgamma


def backward_no_eps(dout, x, gamma, eps):
    return backward_steps(dout, x, gamma, 0.0)


def backward_unbiased(dout, x, gamma, eps):
    N = len(x)
    std = np.sqrt(x.var(axis=0, ddof=1) + eps)
    x_hat = (x - x.mean(axis=0)) / std
    dgamma, dbeta = (dout * x_hat).sum(axis=0), dout.sum(axis=0)
    return gamma / std * (dout - dbeta / N - x_hat * dgamma / N), dgamma, dbeta


def backward_no_mean(dout, x, gamma, eps):
    std = np.sqrt(x.var(axis=0) + eps)
    x_hat = (x - x.mean(axis=0)) / std
    dgamma, dbeta = (dout * x_hat).sum(axis=0), dout.sum(axis=0)
    return gamma / std * (dout - x_hat * dgamma / len(x)), dgamma, dbeta


# --- norm.group_norm ------------------------------------------------------------------------------------------------


def group_loops(x, gamma, beta, groups, eps):
    out, size = np.empty_like(x), x.shape[1] // groups
    for n in range(len(x)):
        for start in range(0, x.shape[1], size):
            block = x[n, start : start + size]
            z = (block - block.mean()) / np.sqrt(block.var() + eps)
            for c in range(size):
                out[n, start + c] = gamma[start + c] * z[c] + beta[start + c]
    return out


def group_torch(x, gamma, beta, groups, eps):
    x, gamma, beta = map(torch.as_tensor, (x, gamma, beta))
    var, mean = torch.var_mean(x.unflatten(1, (groups, -1)), dim=(2, 3, 4), unbiased=False, keepdim=True)
    x_hat = ((x.unflatten(1, (groups, -1)) - mean) * torch.rsqrt(var + eps)).flatten(1, 2)
    return x_hat * gamma.view(1, -1, 1, 1) + beta.view(1, -1, 1, 1)


def group_float32(x, gamma, beta, groups, eps):
    N, C, H, W = x.shape
    z = x.astype(np.float32).reshape(N, groups, C // groups * H * W)
    z = z - z.mean(-1, keepdims=True)
    z = z / np.sqrt((z * z).mean(-1, keepdims=True) + eps)
    return np.einsum("nchw,c->nchw", z.reshape(x.shape), gamma) + beta.reshape(1, C, 1, 1)


def group_unbiased(x, gamma, beta, groups, eps):
    rows = x.reshape(len(x), groups, -1)
    z = (rows - rows.mean(2, keepdims=True)) / np.sqrt(rows.var(2, ddof=1, keepdims=True) + eps)
    return z.reshape(x.shape) * gamma[:, None, None] + beta[:, None, None]


def group_eps_outside(x, gamma, beta, groups, eps):
    rows = x.reshape(len(x), groups, -1)
    z = (rows - rows.mean(2, keepdims=True)) / (rows.std(2, keepdims=True) + eps)
    return z.reshape(x.shape) * gamma[:, None, None] + beta[:, None, None]


def group_flat(x, gamma, beta, groups, eps):
    return group_loops(x, gamma, beta, groups, eps).reshape(len(x), -1)


def group_no_centring(x, gamma, beta, groups, eps):
    rows = x.reshape(len(x), groups, -1)
    z = rows / np.sqrt((rows**2).mean(2, keepdims=True) + eps)
    return z.reshape(x.shape) * gamma[:, None, None] + beta[:, None, None]


# --- norm.dropout ---------------------------------------------------------------------------------------------------


def dropout_where(x, dout, u, p):
    return np.where(u < p, 0, x / (1 - p)), np.where(u < p, 0, dout / (1 - p))


def dropout_torch(x, dout, u, p):
    keep = torch.as_tensor(u).ge(p)
    return torch.as_tensor(x) * keep / (1 - p), torch.as_tensor(dout) * keep / (1 - p)


def dropout_indices(x, dout, u, p):
    out, dx = x / (1 - p), dout / (1 - p)
    out[u < p] = 0
    dx[u < p] = 0
    return out, dx


def dropout_by_out(x, dout, u, p):
    out = dropout_where(x, dout, u, p)[0]
    return out, dout * out


def dropout_whole_rows(x, dout, u, p):
    keep = (u[..., :1] >= p) / (1 - p)
    return x * keep, dout * keep


def dropout_measured(x, dout, u, p):
    """Scales by the share that was really kept."""
    keep = u >= p
    return x * keep / max(keep.mean(), 1e-9), dout * keep / max(keep.mean(), 1e-9)


# --- norm.adam_decay ------------------------------------------------------------------------------------------------


def decay_torch(p, gradients, lr, lam, decoupled):
    p, m, s, seen = torch.as_tensor(p), 0, 0, []
    for t, g in enumerate(torch.as_tensor(gradients), 1):
        p, g = (p - lr * lam * p, g) if decoupled else (p, g + lam * p)
        m, s = m + 0.1 * (g - m), s + 0.001 * (g * g - s)
        p = p - lr * m / (1 - 0.9**t) / (torch.sqrt(s / (1 - 0.999**t)) + 1e-8)
        seen.append(p)
    return torch.stack(seen)


def decay_loops(p, gradients, lr, lam, decoupled):
    T, D = gradients.shape
    out = np.empty((T, D))
    for d in range(D):
        w, m, s = float(p[d]), 0.0, 0.0
        for t in range(T):
            g = float(gradients[t, d]) + (0 if decoupled else lam * w)
            w *= 1 - lr * lam * decoupled
            m, s = 0.9 * m + 0.1 * g, 0.999 * s + 0.001 * g * g
            w -= lr * (m / (1 - 0.9 ** (t + 1))) / (math.sqrt(s / (1 - 0.999 ** (t + 1))) + 1e-8)
            out[t, d] = w
    return out


def decay_list(p, gradients, lr, lam, decoupled):
    m, s, seen = np.zeros_like(p), np.zeros_like(p), []
    for t in range(1, len(gradients) + 1):
        g = gradients[t - 1] + lam * p * (not decoupled)
        m, s = 0.9 * m + 0.1 * g, 0.999 * s + 0.001 * np.square(g)
        p = p - lr * lam * p * decoupled - lr * m / (1 - 0.9**t) / (np.sqrt(s / (1 - 0.999**t)) + 1e-8)
        seen.append(p.tolist())
    return seen


def decay_both(p, gradients, lr, lam, decoupled):
    seen, m, s = [], 0, 0
    for t, g in enumerate(gradients, 1):
        g = g + lam * p
        p = (1 - lr * lam) * p if decoupled else p
        m, s = 0.9 * m + 0.1 * g, 0.999 * s + 0.001 * g * g
        p = p - lr * m / (1 - 0.9**t) / (np.sqrt(s / (1 - 0.999**t)) + 1e-8)
        seen.append(p)
    return np.array(seen)


def decay_double(p, gradients, lr, lam, decoupled):
    """The gradient of λ p² in place of λ/2 p²."""
    return decay_list(p, gradients, lr, 2 * lam, decoupled)


def decay_last(p, gradients, lr, lam, decoupled):
    return decay_list(p, gradients, lr, lam, decoupled)[-1]


def decay_betas(p, gradients, lr, lam, decoupled):
    m, s, seen = 0, 0, []
    for t, g in enumerate(gradients, 1):
        p, g = ((1 - lr * lam) * p, g) if decoupled else (p, g + lam * p)
        m, s = 0.99 * m + 0.01 * g, 0.99 * s + 0.01 * g * g
        p = p - lr * m / (1 - 0.99**t) / (np.sqrt(s / (1 - 0.99**t)) + 1e-8)
        seen.append(p)
    return np.array(seen)


# --- norm.early_stop ------------------------------------------------------------------------------------------------


def stop_counter(losses, patience, min_delta):
    best, best_loss, waited = 0, losses[0], 0
    for epoch in range(1, len(losses)):
        if losses[epoch] < best_loss - min_delta:
            best, best_loss, waited = epoch, losses[epoch], 0
        else:
            waited += 1
            if waited == patience:
                return best, epoch
    return best, len(losses) - 1


def stop_windows(losses, patience, min_delta):
    best = 0
    while True:
        window = losses[best + 1 : best + 1 + patience]
        better = [i for i, loss in enumerate(window) if loss < losses[best] - min_delta]
        if not better:
            return [best, best + len(window)]
        best += 1 + better[0]


def stop_numpy(losses, patience, min_delta):
    losses = np.asarray(losses)
    best = last = 0
    for last in range(len(losses)):
        if losses[last] + min_delta < losses[best]:
            best = last
        if last - best == patience:
            break
    return np.array([best, last])


def stop_early(losses, patience, min_delta):
    best, last = stop_counter(losses, patience, min_delta)
    return best, last - 1 if last - best == patience else last


def stop_argmin(losses, patience, min_delta):
    return int(np.argmin(losses)), stop_counter(losses, patience, min_delta)[1]


def stop_swapped(losses, patience, min_delta):
    return stop_counter(losses, patience, min_delta)[::-1]


def stop_losses(losses, patience, min_delta):
    return tuple(losses[i] for i in stop_counter(losses, patience, min_delta))


# --- norm.adaptive_clip ---------------------------------------------------------------------------------------------


def clip_loops(w, g, limit, eps):
    out = g.copy()
    for k in range(w.shape[1]):
        allowed = limit * max(float(np.linalg.norm(w[:, k])), eps)
        length = float(np.linalg.norm(g[:, k]))
        if length > allowed:
            out[:, k] *= allowed / length
    return out


def clip_torch(w, g, limit, eps):
    w, g = torch.as_tensor(w), torch.as_tensor(g)
    allowed = limit * w.norm(dim=0).clamp(min=eps)
    length = g.norm(dim=0)
    return torch.where(length > allowed, g * (allowed / length.clamp(min=1e-12)), g)


def clip_where(w, g, limit, eps):
    allowed = limit * np.sqrt(np.maximum((w**2).sum(0), eps**2))
    length = np.sqrt((g**2).sum(0))
    ratio = np.divide(allowed, length, out=np.ones_like(length), where=length > allowed)
    return g * ratio


def clip_values(w, g, limit, eps):
    allowed = limit * np.maximum(np.linalg.norm(w, axis=0), eps)
    return np.clip(g, -allowed, allowed)


def clip_eps_added(w, g, limit, eps):
    allowed = limit * (np.linalg.norm(w, axis=0) + eps + 1e-2)
    return g * np.minimum(1, allowed / np.maximum(np.linalg.norm(g, axis=0), 1e-12))


def clip_to_weights(w, g, limit, eps):
    """To the length of the weights, without the limit."""
    return clip_loops(w, g, 1.0, eps)


ALTERNATIVES = {
    "norm.shared_number": [3136, 3136.0, 16 * 14**2],
    "norm.batch_norm": [BatchNormTorch, BatchNormLoops, BatchNormFloat32],
    "norm.batch_backward": [backward_steps, backward_jacobian, backward_torch],
    "norm.group_norm": [group_loops, group_torch, group_float32],
    "norm.dropout": [dropout_where, dropout_torch, dropout_indices],
    "norm.adam_decay": [decay_torch, decay_loops, decay_list],
    "norm.early_stop": [stop_counter, stop_windows, stop_numpy],
    "norm.adaptive_clip": [clip_loops, clip_torch, clip_where],
}

WRONG = {
    "norm.shared_number": [3135, 64, 401408],
    "norm.batch_norm": [TestUpdates, LastBatch, OneMean, AverageOfAll],
    "norm.batch_backward": [backward_order, backward_no_eps, backward_unbiased, backward_no_mean],
    "norm.group_norm": [group_unbiased, group_eps_outside, group_flat, group_no_centring],
    "norm.dropout": [dropout_by_out, dropout_whole_rows, dropout_measured],
    "norm.adam_decay": [decay_both, decay_double, decay_last, decay_betas],
    "norm.early_stop": [stop_early, stop_argmin, stop_swapped, stop_losses],
    "norm.adaptive_clip": [clip_values, clip_eps_added, clip_to_weights],
}
