"""Answers to ``01_neuron`` written another way: right ones that must pass, wrong ones that must not.

The wrong ones are slips that are not listed as mistakes in the specification.
"""

from __future__ import annotations

import math

import numpy as np
import torch

# --- neuron.squared_error -----------------------------------------------------------------------------------------


def squared_error_loops(x, t, w, b):
    E, dw, db = 0.0, [0.0] * len(w), 0.0
    for n in range(len(x)):
        f = b + sum(float(w[i]) * float(x[n, i]) for i in range(len(w)))
        y = 1 / (1 + math.exp(-f))
        E += (float(t[n]) - y) ** 2 / 2
        du = (y - float(t[n])) * y * (1 - y)
        db += du
        for i in range(len(w)):
            dw[i] += du * float(x[n, i])
    return E, dw, db


def squared_error_torch(x, t, w, b):
    x, t, w = (torch.as_tensor(a) for a in (x, t, w))
    y = torch.sigmoid(x @ w + b)
    du = (y - t) * y * (1 - y)
    return torch.sum((y - t) ** 2) / 2, x.T @ du, du.sum()


def squared_error_tanh32(x, t, w, b):
    x, t, w = (a.astype(np.float32) for a in (x, t, w))
    y = (1 + np.tanh((x @ w + np.float32(b)) / 2)) / 2
    du = (y - t) * (y - y**2)
    return [np.square(y - t).sum() / 2, np.einsum("n,nd->d", du, x), np.add.reduce(du)]


def squared_error_no_bias(x, t, w, b):
    return squared_error_loops(x, t, w, 0.0)


def squared_error_bias_input(x, t, w, b):
    E, dw, _ = squared_error_loops(x, t, w, b)
    return E, dw, sum(dw)


def squared_error_first(x, t, w, b):
    return squared_error_loops(x[:1], t[:1], w, b)


def squared_error_order(x, t, w, b):
    E, dw, db = squared_error_loops(x, t, w, b)
    return E, db, dw


# --- neuron.logistic_loss -----------------------------------------------------------------------------------------


def logistic_logaddexp(f, t):
    loss = np.logaddexp(0, -t * f)
    return loss, -t * np.exp(-np.logaddexp(0, t * f))


def logistic_torch(f, t):
    f, t = torch.as_tensor(f), torch.as_tensor(t)
    return torch.nn.functional.softplus(-t * f), -t * (1 + torch.tanh(-t * f / 2)) / 2


def logistic_loop(f, t):
    loss, slope = [], []
    for one, label in zip(f.tolist(), t.tolist(), strict=True):
        m = one * label
        e = math.exp(-abs(m))
        loss.append(math.log1p(e) + max(-m, 0))
        slope.append(-label * (e if m > 0 else 1) / (1 + e))
    return loss, slope


def logistic_base2(f, t):
    loss, slope = logistic_logaddexp(f, t)
    return loss / np.log(2), slope


def logistic_clipped(f, t):
    return logistic_logaddexp(np.clip(f, -30, 30), t)


def logistic_mean(f, t):
    loss, slope = logistic_logaddexp(f, t)
    return loss.mean(), slope / len(f)


def logistic_slope_negative_only(f, t):
    loss, slope = logistic_logaddexp(f, t)
    return loss, -np.abs(slope)


# --- neuron.hinge_objective ---------------------------------------------------------------------------------------


def hinge_loops(x, t, w, b, lam):
    N, D = x.shape
    value, dw, db = lam / 2 * float(sum(w * w)), [lam * float(a) for a in w], 0.0
    for n in range(N):
        m = float(t[n]) * (float(np.dot(w, x[n])) + b)
        if m < 1:
            value += (1 - m) / N
            db -= float(t[n]) / N
            for i in range(D):
                dw[i] -= float(t[n]) * float(x[n, i]) / N
    return value, dw, db


def hinge_torch(x, t, w, b, lam):
    x, t, w = torch.as_tensor(x), torch.as_tensor(t).to(torch.as_tensor(x).dtype), torch.as_tensor(w)
    short = 1 - t * (x @ w + b)
    pull = -t * (short > 0)
    return lam * w.dot(w) / 2 + torch.relu(short).mean(), lam * w + x.T @ pull / len(x), pull.mean()


def hinge_subset32(x, t, w, b, lam):
    x, w, t = x.astype(np.float32), w.astype(np.float32), t.astype(np.float32)
    m = t * (x @ w + np.float32(b))
    active = m < 1
    value = np.float32(lam / 2) * (w**2).sum() + (1 - m[active]).sum() / len(x)
    dw = np.float32(lam) * w - (t[active, None] * x[active]).sum(axis=0) / len(x)
    return [value, dw, -t[active].sum() / np.float32(len(x))]


def hinge_mean_of_active(x, t, w, b, lam):
    active = t * (x @ w + b) < 1
    if not active.any():
        return lam / 2 * (w @ w), lam * w, 0.0
    return hinge_loops(x[active], t[active], w, b, lam)


def hinge_squared(x, t, w, b, lam):
    short = np.maximum(1 - t * (x @ w + b), 0)
    pull = -2 * t * short
    return lam / 2 * (w @ w) + (short**2).mean(), lam * w + pull @ x / len(x), pull.mean()


def hinge_margin_two(x, t, w, b, lam):
    m = t * (x @ w + b)
    pull = np.where(m < 2, -t, 0)
    return lam / 2 * (w @ w) + np.maximum(2 - m, 0).mean(), lam * w + pull @ x / len(x), pull.mean()


def hinge_l1(x, t, w, b, lam):
    value, dw, db = (np.asarray(part) for part in hinge_loops(x, t, w, b, 0.0))
    return value + lam * np.abs(w).sum(), dw + lam * np.sign(w), db


# --- neuron.class -------------------------------------------------------------------------------------------------


class NeuronTorch:
    def __init__(self, n_inputs, lr):
        self.lr, self.w, self.b = lr, torch.zeros(n_inputs, dtype=torch.float64), torch.zeros((), dtype=torch.float64)

    def score(self, x):
        return torch.as_tensor(x, dtype=torch.float64) @ self.w + self.b

    def step(self, x, t):
        error = self.score(x) - torch.as_tensor(t, dtype=torch.float64)
        self.w -= self.lr * torch.as_tensor(x, dtype=torch.float64).T @ error / len(t)
        self.b -= self.lr * error.mean()
        return error.square().mean() / 2


class NeuronLoops:
    def __init__(self, n_inputs, lr):
        self.lr, self.w, self.b = lr, [0.0] * n_inputs, 0.0

    def score(self, x):
        return [self.b + sum(a * float(c) for a, c in zip(self.w, row, strict=True)) for row in x]

    def step(self, x, t):
        errors = [f - float(target) for f, target in zip(self.score(x), t, strict=True)]
        for i in range(len(self.w)):
            self.w[i] -= self.lr * sum(e * float(row[i]) for e, row in zip(errors, x, strict=True)) / len(errors)
        self.b -= self.lr * sum(errors) / len(errors)
        return sum(e * e for e in errors) / len(errors) / 2


class NeuronOneVector:
    """The bias as the weight of a constant input."""

    def __init__(self, n_inputs, lr):
        self.lr, self.theta = lr, np.zeros(n_inputs + 1)

    @property
    def w(self):
        return self.theta[:-1].copy()

    @property
    def b(self):
        return float(self.theta[-1])

    def score(self, x):
        return np.c_[x, np.ones(len(x))] @ self.theta

    def step(self, x, t):
        error = self.score(x) - t
        self.theta = self.theta - self.lr * np.mean(error[:, None] * np.c_[x, np.ones(len(x))], axis=0)
        return np.mean(error**2 / 2)


class NeuronNoHalf(NeuronOneVector):
    def step(self, x, t):
        return 2 * super().step(x, t)


class NeuronTwiceTheStep(NeuronOneVector):
    def __init__(self, n_inputs, lr):
        super().__init__(n_inputs, 2 * lr)


class NeuronSigmoidScore(NeuronOneVector):
    def score(self, x):
        return 1 / (1 + np.exp(-super().score(x)))


class NeuronReturnsNothing(NeuronOneVector):
    def step(self, x, t):
        super().step(x, t)


class NeuronFirstExample(NeuronOneVector):
    def step(self, x, t):
        return super().step(x[:1], t[:1])


# --- neuron.separate ----------------------------------------------------------------------------------------------


def separate_program(x, t):
    from scipy.optimize import linprog

    rows = -t[:, None] * np.c_[x, np.ones(len(x))]
    found = linprog(np.zeros(x.shape[1] + 1), rows, -np.ones(len(x)), bounds=(None, None)).x
    return found[:-1], found[-1]


def separate_perceptron_torch(x, t):
    x1 = torch.cat([torch.as_tensor(x), torch.ones(len(x), 1, dtype=torch.float64)], dim=1)
    t, theta = torch.as_tensor(t).double(), torch.zeros(x1.shape[1], dtype=torch.float64)
    while (wrong := (t * (x1 @ theta) <= 0).nonzero().ravel()).numel():
        theta += t[wrong[-1]] * x1[wrong[-1]]
    return theta[:-1], theta[-1]


def separate_hinge(x, t):
    """Descend on the hinge loss until no point is on the wrong side."""
    x1, theta = np.c_[x, np.ones(len(x))], np.zeros(x.shape[1] + 1)
    for k in range(200_000):
        margins = t * (x1 @ theta)
        if (margins > 0).all():
            break
        theta = theta + (t * (margins < 1)) @ x1 / (len(x) * (1 + 1e-4 * k))
    return [theta[:-1], theta[-1:]]


def separate_nothing(x, t):
    return np.zeros(x.shape[1]), 0.0


def separate_one_pass(x, t):
    w, b = np.zeros(x.shape[1]), 0.0
    for example, label in zip(x, t, strict=True):
        if label * (example @ w + b) <= 0:
            w, b = w + label * example, b + label
    return w, b


def separate_least_squares(x, t):
    theta = np.linalg.lstsq(np.c_[x, np.ones(len(x))], t.astype(float), rcond=None)[0]
    return 0.001 * theta[:-1], 0.001 * theta[-1] + 0.0005


def separate_on_the_line(x, t):
    """Moves a right line until it touches a point."""
    w, _ = separate_program(x, t)
    plus = (x @ w)[t == 1]
    return w, -plus.min() if len(plus) else -(x @ w).max()


def separate_order(x, t):
    w, b = separate_program(x, t)
    return b, w


# --- neuron.train -------------------------------------------------------------------------------------------------


def train_logistic(x, t, x_new):
    w, b = np.zeros(x.shape[1]), 0.0
    for _ in range(800):
        pull = -t / (1 + np.exp(t * (x @ w + b)))
        w, b = w - 0.5 * pull @ x / len(x), b - 0.5 * pull.mean()
    return np.sign(x_new @ w + b)


def train_hinge(x, t, x_new):
    w, b = np.zeros(x.shape[1], np.float32), np.float32(0)
    for _ in range(600):
        pull = np.where(t * (x @ w + b) < 1, -t, 0).astype(np.float32)
        w, b = w - np.float32(0.1) * (pull @ x) / len(x), b - np.float32(0.1) * pull.mean()
    return np.where(x_new @ w + b > 0, 1, -1)


def train_closed_form_torch(x, t, x_new):
    x, x_new = torch.as_tensor(x).double(), torch.as_tensor(x_new).double()
    x1 = torch.cat([x, torch.ones(len(x), 1)], dim=1)
    theta = torch.linalg.solve(x1.T @ x1 + 0.1 * torch.eye(x1.shape[1]), x1.T @ torch.as_tensor(t).double())
    return torch.where(x_new @ theta[:-1] + theta[-1] > 0, 1, -1)


def train_always_one(x, t, x_new):
    return np.ones(len(x_new), int)


def train_nothing_learned(x, t, x_new):
    return np.where(x_new.sum(axis=1) > x.sum(axis=1).mean(), 1, -1)


def train_bias_only(x, t, x_new):
    return np.full(len(x_new), np.sign(t.mean() + 0.001))


def train_uphill(x, t, x_new):
    w, b = np.zeros(x.shape[1]), 0.0
    for _ in range(50):
        pull = -t / (1 + np.exp(t * (x @ w + b)))
        w, b = w + 0.1 * pull @ x / len(x), b + 0.1 * pull.mean()
    return np.where(x_new @ w + b > 0, 1, -1)[::-1]


ALTERNATIVES = {
    "neuron.labellings": [10.0, np.int64(10)],
    "neuron.squared_error": [squared_error_loops, squared_error_torch, squared_error_tanh32],
    "neuron.logistic_loss": [logistic_logaddexp, logistic_torch, logistic_loop],
    "neuron.hinge_objective": [hinge_loops, hinge_torch, hinge_subset32],
    "neuron.class": [NeuronTorch, NeuronLoops, NeuronOneVector],
    "neuron.separate": [separate_program, separate_perceptron_torch, separate_hinge],
    "neuron.train": [train_logistic, train_hinge, train_closed_form_torch],
}

WRONG = {
    "neuron.labellings": [9, 11, 16],
    "neuron.squared_error": [
        squared_error_no_bias, squared_error_bias_input, squared_error_first, squared_error_order,
    ],
    "neuron.logistic_loss": [logistic_base2, logistic_clipped, logistic_mean, logistic_slope_negative_only],
    "neuron.hinge_objective": [hinge_mean_of_active, hinge_squared, hinge_margin_two, hinge_l1],
    "neuron.class": [
        NeuronNoHalf, NeuronTwiceTheStep, NeuronSigmoidScore, NeuronReturnsNothing, NeuronFirstExample,
    ],
    "neuron.separate": [
        separate_nothing, separate_one_pass, separate_least_squares, separate_on_the_line, separate_order,
    ],
    "neuron.train": [train_always_one, train_nothing_learned, train_bias_only, train_uphill],
}  # fmt: skip
