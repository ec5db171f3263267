"""Answers to ``05_optimisers`` written another way: right ones that must pass, wrong ones that must not.

The wrong ones are slips that are not listed as mistakes in the specification.
"""

from __future__ import annotations

import math

import numpy as np
import torch

# --- optim.momentum -----------------------------------------------------------------------------------------------


def momentum_in_torch(p, g, v, lr, momentum, nesterov=False):
    p, g, v = torch.tensor(p), torch.tensor(g), torch.tensor(v)
    v = v.mul(momentum).add(g)
    return p.sub(g.add(v, alpha=momentum) if nesterov else v, alpha=lr), v


def momentum_in_loops(p, g, v, lr, momentum, nesterov=False):
    new_p, new_v = p.copy(), v.copy()
    for i in np.ndindex(p.shape):
        new_v[i] = g[i] + momentum * v[i]
        new_p[i] = p[i] - lr * new_v[i]
        if nesterov:
            new_p[i] = p[i] - lr * g[i] - lr * momentum * new_v[i]
    return [new_p.tolist(), new_v.tolist()]


def momentum_negative(p, g, v, lr, momentum, nesterov=False):
    v = momentum * v - g
    return p + lr * v, v


def momentum_returns_p_only(p, g, v, lr, momentum, nesterov=False):
    return momentum_in_torch(p, g, v, lr, momentum, nesterov)[0]


def momentum_in_other_order(p, g, v, lr, momentum, nesterov=False):
    return momentum_in_torch(p, g, v, lr, momentum, nesterov)[::-1]


def momentum_always_nesterov(p, g, v, lr, momentum, nesterov=False):
    return momentum_in_torch(p, g, v, lr, momentum, True)


# --- optim.rmsprop ------------------------------------------------------------------------------------------------


def rmsprop_in_torch(p, g, s, lr, gamma, eps):
    p, g, s = torch.tensor(p), torch.tensor(g), torch.tensor(s)
    s = torch.lerp(g.square(), s, gamma)
    return p - lr * g / (s.sqrt() + eps), s


def rmsprop_float32(p, g, s, lr, gamma, eps):
    p, g, s = (a.astype(np.float32) for a in (p, g, s))
    s = s + np.float32(1 - gamma) * (g * g - s)
    return (p - np.float32(lr) * g / (s**0.5 + np.float32(eps)), s)


def rmsprop_uphill(p, g, s, lr, gamma, eps):
    new, s = rmsprop_in_torch(p, g, s, lr, gamma, eps)
    return 2 * torch.tensor(p) - new, s


def rmsprop_one_size_for_all(p, g, s, lr, gamma, eps):
    s = gamma * s + (1 - gamma) * g**2
    return p - lr * g / (np.sqrt(s.mean()) + eps), s


def rmsprop_without_eps(p, g, s, lr, gamma, eps):
    return rmsprop_in_torch(p, g, s, lr, gamma, 0.0)


# --- optim.adamw --------------------------------------------------------------------------------------------------


class AdamWInTorch:
    def __init__(self, lr, beta1, beta2, eps, weight_decay):
        self.settings, self.memory = (lr, beta1, beta2, eps, weight_decay), None

    def step(self, w, grad):
        lr, beta1, beta2, eps, weight_decay = self.settings
        w, grad = torch.tensor(w), torch.tensor(grad)
        m, s, t = self.memory or (torch.zeros_like(w), torch.zeros_like(w), 0)
        m, s, t = m.lerp(grad, 1 - beta1), s.lerp(grad * grad, 1 - beta2), t + 1
        self.memory = m, s, t
        step = lr / (1 - beta1**t) * m / ((s / (1 - beta2**t)).sqrt() + eps)
        return w - lr * weight_decay * w - step


class AdamWFromAllGradients:
    """No running means: the weighted means are computed from all gradients in every step."""

    def __init__(self, lr, beta1, beta2, eps, weight_decay):
        self.lr, self.beta1, self.beta2, self.eps, self.decay, self.seen = lr, beta1, beta2, eps, weight_decay, []

    def step(self, w, grad):
        self.seen.append(np.array(grad, dtype=float))
        ages = np.arange(len(self.seen))[::-1]
        mean = np.average(self.seen, axis=0, weights=self.beta1**ages)
        square = np.average(np.square(self.seen), axis=0, weights=self.beta2**ages)
        return w * (1 - self.lr * self.decay) - self.lr * mean / (self.eps + square**0.5)


class AdamWDecaysAfterwards(AdamWInTorch):
    def step(self, w, grad):
        lr, *_, weight_decay = self.settings
        self.settings, kept = (*self.settings[:4], 0.0), self.settings
        new = super().step(w, grad)
        self.settings = kept
        return new * (1 - lr * weight_decay)


class AdamWCountsLate(AdamWInTorch):
    def step(self, w, grad):
        if self.memory is None:
            self.memory = torch.zeros(w.shape), torch.zeros(w.shape), 1
        return super().step(w, grad)


class AdamWBetasSwapped(AdamWInTorch):
    def __init__(self, lr, beta1, beta2, eps, weight_decay):
        super().__init__(lr, beta2, beta1, eps, weight_decay)


# --- optim.schedule -----------------------------------------------------------------------------------------------


def rate_with_math(t, lr, warm_up, total, lowest=0.0):
    if t >= total:
        return lowest
    if t <= warm_up:
        return t / warm_up * lr
    return lowest + (lr - lowest) * math.cos(math.pi / 2 * (t - warm_up) / (total - warm_up)) ** 2


def rate_from_a_table(t, lr, warm_up, total, lowest=0.0):
    fall = lowest + (lr - lowest) * (0.5 + 0.5 * np.cos(np.linspace(0, np.pi, total - warm_up + 1)))
    rates = np.concatenate([np.linspace(0, lr, warm_up + 1)[:-1], fall])
    return torch.tensor(rates)[min(t, total)]


def rate_constant_after_warm_up(t, lr, warm_up, total, lowest=0.0):
    return lr * min(t / warm_up, 1)


def rate_one_step_late(t, lr, warm_up, total, lowest=0.0):
    return rate_with_math(max(t - 1, 0), lr, warm_up, total, lowest)


def rate_warm_up_from_the_lowest(t, lr, warm_up, total, lowest=0.0):
    return lowest + (lr - lowest) * t / warm_up if t < warm_up else rate_with_math(t, lr, warm_up, total, lowest)


# --- optim.clip ---------------------------------------------------------------------------------------------------


def clip_in_torch(gradients, limit):
    gradients = [torch.tensor(g) for g in gradients]
    norm = torch.linalg.vector_norm(torch.cat([g.reshape(-1) for g in gradients]))
    return [g * (limit / (norm + 1e-9)).clamp(max=1.0) for g in gradients]


def clip_as_one_vector(gradients, limit):
    flat = np.concatenate([np.ravel(g) for g in gradients])
    if (length := math.dist(flat, np.zeros_like(flat))) > limit:
        flat = flat / length * limit
    ends = np.cumsum([g.size for g in gradients])[:-1]
    return [part.reshape(g.shape).tolist() for part, g in zip(np.split(flat, ends), gradients, strict=True)]


def clip_nothing(gradients, limit):
    return gradients


def clip_to_the_largest(gradients, limit):
    largest = max(np.abs(g).max() for g in gradients)
    return [g * min(1, limit / largest) if largest else g for g in gradients]


def clip_by_the_mean(gradients, limit):
    norm = np.sqrt(np.mean(np.concatenate([np.ravel(g) for g in gradients]) ** 2))
    return [g * min(1, limit / norm) if norm else g for g in gradients]


# --- optim.scale_free ---------------------------------------------------------------------------------------------


def sign_of_the_newest(gradients):
    return np.sign(gradients[-1])


def adam_like(gradients):
    T = len(gradients)
    m, s = (1 - 0.5**T), (1 - 0.9**T)
    mean = sum(0.5 * 0.5 ** (T - 1 - t) * gradients[t] for t in range(T)) / m
    square = sum(0.1 * 0.9 ** (T - 1 - t) * gradients[t] ** 2 for t in range(T)) / s
    out = np.zeros_like(mean)
    return np.divide(mean, np.sqrt(square), out=out, where=square > 0)


def largest_in_torch(gradients):
    g = torch.tensor(gradients, dtype=torch.float32)
    return g[-1] / g[-3:].abs().amax(0).clamp(min=1e-20)


def sign_of_the_mean(gradients):
    return np.sign(gradients.mean(axis=0))


def sign_of_the_oldest(gradients):
    return np.sign(gradients[0])


def clipped(gradients):
    return np.clip(gradients[-1], -1, 1)


def all_zero(gradients):
    return 0 * gradients[-1]


# --- optim.stall --------------------------------------------------------------------------------------------------


def whitened_least_squares(x, y, x_new):
    mean, std = x.mean(0), x.std(0)
    z = np.c_[(x - mean) / std, np.ones(len(x))]
    w = np.zeros(6)
    for _ in range(500):  # gradient descent on the hinge loss
        side = 2 * y - 1
        inside = side * (z @ w) < 1
        w = w + 0.1 * (z * (side * inside)[:, None]).mean(0)
    return (np.c_[(x_new - mean) / std, np.ones(len(x_new))] @ w > 0).astype(float)


def adam_in_torch(x, y, x_new):
    both = torch.tensor(np.concatenate([x, x_new]))
    both = (both - both[: len(x)].mean(0)) / both[: len(x)].std(0)
    z, target = both[: len(x)], torch.tensor(y, dtype=torch.float64)
    w, b = torch.zeros(5, dtype=torch.float64), 0.0
    m = s = torch.zeros(6, dtype=torch.float64)
    for t in range(1, 301):
        error = torch.sigmoid(z @ w + b) - target
        g = torch.cat([z.T @ error, error.sum()[None]]) / len(x)
        m, s = 0.9 * m + 0.1 * g, 0.99 * s + 0.01 * g * g
        step = 0.1 * m / (1 - 0.9**t) / ((s / (1 - 0.99**t)).sqrt() + 1e-8)
        w, b = w - step[:5], b - step[5]
    return (both[len(x) :] @ w + b > 0).int()


def always_the_commoner_class(x, y, x_new):
    return np.full(len(x_new), int(y.mean() > 0.5))


def without_a_bias(x, y, x_new):
    mean, std = x.mean(0), x.std(0)
    z, w = (x - mean) / std, np.zeros(5)
    for _ in range(300):
        w = w - z.T @ (1 / (1 + np.exp(-z @ w)) - y) / len(y)
    return ((x_new - mean) / std @ w > 0).astype(int)


def probabilities_not_classes(x, y, x_new):
    return np.full(len(x_new), 0.7)


ALTERNATIVES = {
    "optim.step_length": [1.2, np.float32(1.2)],
    "optim.momentum": [momentum_in_torch, momentum_in_loops],
    "optim.rmsprop": [rmsprop_in_torch, rmsprop_float32],
    "optim.adamw": [AdamWInTorch, AdamWFromAllGradients],
    "optim.schedule": [rate_with_math, rate_from_a_table],
    "optim.clip": [clip_in_torch, clip_as_one_vector],
    "optim.scale_free": [sign_of_the_newest, sign_of_the_mean, adam_like, largest_in_torch],
    "optim.stall": [whitened_least_squares, adam_in_torch],
}

WRONG = {
    "optim.step_length": [1.0, 0.6, 60.0],
    "optim.momentum": [
        momentum_negative,
        momentum_returns_p_only,
        momentum_in_other_order,
        momentum_always_nesterov,
    ],
    "optim.rmsprop": [rmsprop_uphill, rmsprop_one_size_for_all, rmsprop_without_eps],
    "optim.adamw": [AdamWDecaysAfterwards, AdamWCountsLate, AdamWBetasSwapped],
    "optim.schedule": [rate_constant_after_warm_up, rate_one_step_late, rate_warm_up_from_the_lowest],
    "optim.clip": [clip_nothing, clip_to_the_largest, clip_by_the_mean],
    "optim.scale_free": [sign_of_the_oldest, clipped, all_zero],
    "optim.stall": [always_the_commoner_class, without_a_bias, probabilities_not_classes],
}
