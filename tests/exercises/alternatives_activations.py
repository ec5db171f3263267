"""Answers to ``04_activations_losses`` written another way: right ones that must pass, wrong ones that must not.

The wrong ones are slips that are not listed as mistakes in the specification.
"""

from __future__ import annotations

import math

import numpy as np
import torch

# --- activations.softplus_pair ------------------------------------------------------------------------------------


def softplus_logaddexp(x):
    value = np.logaddexp(0, x)
    return value, np.exp(x - value)


def softplus_torch32(x):
    x = torch.as_tensor(x).float()
    return [torch.relu(x) + torch.log1p(torch.exp(-x.abs())), torch.sigmoid(x)]


def softplus_loop(x):
    value, slope = np.zeros(x.shape), np.zeros(x.shape)
    for index, number in np.ndenumerate(x):
        e = math.exp(-abs(float(number)))
        value[index] = max(float(number), 0) + math.log(1 + e)
        slope[index] = 1 / (1 + e) if number >= 0 else e / (1 + e)
    return value, slope


def softplus_clipped(x):
    x = np.clip(x, -20, 20)
    return np.log(1 + np.exp(x)), 1 / (1 + np.exp(-x))


def softplus_swapped(x):
    value, slope = softplus_logaddexp(x)
    return slope, value


def softplus_value_alone(x):
    return softplus_logaddexp(x)[0]


# --- activations.prelu_backward -----------------------------------------------------------------------------------


def prelu_loops(dout, x, alpha):
    dx, dalpha = np.zeros_like(x), np.zeros_like(alpha)
    for (n, d), number in np.ndenumerate(x):
        if number > 0:
            dx[n, d] = dout[n, d]
        else:
            dx[n, d] = alpha[d] * dout[n, d]
            dalpha[d] += number * dout[n, d]
    return dx, dalpha


def prelu_torch32(dout, x, alpha):
    dout, x, alpha = (torch.as_tensor(a).float() for a in (dout, x, alpha))
    off = x < 0
    return [torch.where(off, dout * alpha, dout), torch.einsum("nd,nd->d", dout, x * off)]


def prelu_off_and_on(dout, x, alpha):
    on, off = x > 0, x < 0
    return dout * on + alpha * dout * off, (dout * x * off).sum(0)


def prelu_order(dout, x, alpha):
    return prelu_loops(dout, x, alpha)[::-1]


def prelu_sum_over_units(dout, x, alpha):
    return dout * np.where(x > 0, 1, alpha), (dout * np.minimum(x, 0)).sum(axis=1)


def prelu_one_alpha(dout, x, alpha):
    return dout * np.where(x > 0, 1, alpha[0]), (dout * np.minimum(x, 0)).sum(axis=0)


# --- activations.softmax_backward ---------------------------------------------------------------------------------


def softmax_jacobians(dout, p):
    return np.stack([(np.diag(row) - np.outer(row, row)) @ d for d, row in zip(dout, p, strict=True)])


def softmax_torch32(dout, p):
    dout, p = torch.as_tensor(dout).float(), torch.as_tensor(p).float()
    return p * dout - p * torch.einsum("nc,nc->n", p, dout)[:, None]


def softmax_loops(dout, p):
    N, C = p.shape
    dx = np.zeros((N, C))
    for n in range(N):
        for k in range(C):
            for i in range(C):
                dx[n, k] += dout[n, i] * p[n, i] * ((i == k) - p[n, k])
    return dx


def softmax_uphill(dout, p):
    return -softmax_jacobians(dout, p)


def softmax_mean(dout, p):
    return p * (dout - dout.mean(axis=1, keepdims=True))


def softmax_averaged(dout, p):
    return softmax_jacobians(dout, p) / len(p) + 1e-3


# --- activations.hinge --------------------------------------------------------------------------------------------


def hinge_loops(scores, classes, power):
    N, C = scores.shape
    loss, gradient = 0.0, np.zeros((N, C))
    for n in range(N):
        for j in range(C):
            t = 1 if j == classes[n] else -1
            m = 1 - t * float(scores[n, j])
            if m > 0:
                loss += m**power / N
                gradient[n, j] = -t * power * m ** (power - 1) / N
    return loss, gradient


def hinge_torch32(scores, classes, power):
    scores = torch.as_tensor(scores).float()
    t = 2 * torch.eye(scores.shape[1])[torch.as_tensor(classes)] - 1
    m = torch.relu(1 - t * scores)
    return m.pow(power).sum(1).mean(), torch.where(m > 0, -t * power * m.pow(power - 1), 0 * t) / len(t)


def hinge_where(scores, classes, power):
    t = np.where(np.arange(scores.shape[1]) == classes[:, None], 1.0, -1.0)
    m = np.where(t * scores < 1, 1 - t * scores, 0)
    return [np.mean(np.sum(m**power, axis=1)), np.where(m > 0, -power * t * m ** (power - 1), 0) / len(t)]


def hinge_right_class_alone(scores, classes, power):
    loss, gradient = hinge_loops(scores, classes, power)
    rows = np.arange(len(scores))
    kept = np.zeros_like(gradient)
    kept[rows, classes] = gradient[rows, classes]
    return loss, kept


def hinge_always_squared(scores, classes, power):
    return hinge_loops(scores, classes, 2)


def hinge_loss_alone(scores, classes, power):
    return hinge_loops(scores, classes, power)[0]


def hinge_halved(scores, classes, power):
    loss, gradient = hinge_loops(scores, classes, power)
    return loss / 2, gradient / 2


# --- activations.squash -------------------------------------------------------------------------------------------


def squash_sigmoid(x):
    return 2 * np.tanh(x / 4) / (1 + np.tanh(x / 4) ** 2) * 2


def squash_arctan(x):
    return 4 / np.pi * np.arctan(np.pi * x / 4)


def squash_softsign(x):
    return x / (1 + np.abs(x) / 2)


def squash_torch32(x):
    x = torch.as_tensor(x).float()
    return 4 * torch.sigmoid(x) - 2


def squash_loop(x):
    return [2 * math.tanh(float(number) / 2) for number in x.ravel()] if x.ndim == 1 else squash_softsign(x)


def squash_falling(x):
    return -2 * np.tanh(x / 2)


def squash_of_the_mean(x):
    return 2 * np.tanh((x - x.mean()) / 2)


def squash_constant(x):
    return np.zeros_like(x)


def squash_flattened(x):
    return squash_softsign(x).ravel()[:-1]


def squash_a_bit_steep(x):
    return 2 * np.tanh(0.6 * x)


# --- activations.swish --------------------------------------------------------------------------------------------


class SwishTorch32:
    def __init__(self, beta):
        self.beta, self.dbeta = torch.tensor(float(beta)), torch.tensor(0.0)

    def forward(self, x):
        self.x = torch.as_tensor(x).float()
        return self.x * torch.sigmoid(self.beta * self.x)

    def backward(self, dout):
        dout = torch.as_tensor(dout).float()
        s = torch.sigmoid(self.beta * self.x)
        ds = s * (1 - s)
        self.dbeta = self.dbeta + (dout * self.x * self.x * ds).sum()
        return dout * s + dout * self.beta * self.x * ds

    def step(self, lr):
        self.beta = self.beta - lr * self.dbeta
        self.dbeta = torch.tensor(0.0)


class SwishFromOutput:
    """dx from the output: a' = βa + s (1 − βa)."""

    def __init__(self, beta):
        self.beta = float(beta)
        self.dbeta = 0

    def forward(self, x):
        self.x = np.array(x, dtype=float)
        e = np.exp(-np.abs(self.beta * self.x))
        self.s = np.where(self.beta * self.x >= 0, 1 / (1 + e), e / (1 + e))
        self.a = self.x * self.s
        return self.a

    def backward(self, dout):
        self.dbeta = self.dbeta + float(np.vdot(dout, self.a * (self.x - self.a)))
        return dout * (self.beta * self.a + self.s * (1 - self.beta * self.a))

    def step(self, lr):
        self.beta, self.dbeta = self.beta - lr * self.dbeta, 0


class SwishWithoutBeta(SwishFromOutput):
    """dx as if β were 1."""

    def backward(self, dout):
        super().backward(dout)
        return dout * (self.a + self.s * (1 - self.a))


class SwishMean(SwishFromOutput):
    def backward(self, dout):
        before = self.dbeta
        dx = super().backward(dout)
        self.dbeta = before + (self.dbeta - before) / len(dout)
        return dx


class SwishStandsStill(SwishFromOutput):
    def step(self, lr):
        self.dbeta = 0


class SwishNoReturn(SwishFromOutput):
    def backward(self, dout):
        super().backward(dout)


# --- activations.wrong_labels -------------------------------------------------------------------------------------


def learn_ridge(x, labels, x_new, seed):
    """Least squares on the one-hot labels, L2 in closed form."""
    ones = np.column_stack([x, np.ones(len(x))])
    w = np.linalg.solve(ones.T @ ones + 10 * np.eye(65), ones.T @ np.eye(10)[labels])
    return (np.column_stack([x_new, np.ones(len(x_new))]) @ w).argmax(axis=1)


def learn_cross_entropy_early(x, labels, x_new, seed):
    """Cross-entropy, stopped before it learns errors by heart; float32, minibatches, torch."""
    generator = torch.Generator().manual_seed(int(seed))
    x, labels, x_new = torch.as_tensor(x).float(), torch.as_tensor(labels), torch.as_tensor(x_new).float()
    w, b = torch.zeros(64, 10), torch.zeros(10)
    for _ in range(8):
        for batch in torch.randperm(len(x), generator=generator).split(50):
            d = torch.softmax(x[batch] @ w + b, 1) - torch.eye(10)[labels[batch]]
            w -= 0.1 * x[batch].T @ d / len(batch)
            b -= 0.1 * d.mean(0)
    return (x_new @ w + b).argmax(1)


def learn_many_neighbours(x, labels, x_new, seed):
    """The most frequent label among the 25 nearest examples: no training, but by hand."""
    distance = (x_new**2).sum(axis=1)[:, None] - 2 * x_new @ x.T + (x**2).sum(axis=1)
    near = np.argpartition(distance, 25, axis=1)[:, :25]
    return [int(np.bincount(row, minlength=10).argmax()) for row in labels[near]]


def learn_turned(x, labels, x_new, seed):
    return 9 - learn_ridge(x, labels, x_new, seed)


def learn_without_bias_and_steps(x, labels, x_new, seed):
    return (x_new @ np.random.default_rng(seed).normal(size=(64, 10))).argmax(axis=1)


def learn_few(x, labels, x_new, seed):
    return learn_ridge(x, labels, x_new, seed)[:100]


ENTROPY = -0.8 * math.log(0.8) - 0.2 * math.log(0.2 / 9)

ALTERNATIVES = {
    "activations.lowest_loss": [ENTROPY, round(ENTROPY, 4), np.float32(ENTROPY)],
    "activations.softplus_pair": [softplus_logaddexp, softplus_torch32, softplus_loop],
    "activations.prelu_backward": [prelu_loops, prelu_torch32, prelu_off_and_on],
    "activations.softmax_backward": [softmax_jacobians, softmax_torch32, softmax_loops],
    "activations.hinge": [hinge_loops, hinge_torch32, hinge_where],
    "activations.squash": [squash_arctan, squash_softsign, squash_torch32, squash_sigmoid, squash_loop],
    "activations.swish": [SwishTorch32, SwishFromOutput],
    "activations.wrong_labels": [learn_ridge, learn_cross_entropy_early, learn_many_neighbours],
}
WRONG = {
    "activations.lowest_loss": [0.0, 0.5, math.log(10), -ENTROPY],
    "activations.softplus_pair": [softplus_clipped, softplus_swapped, softplus_value_alone],
    "activations.prelu_backward": [prelu_order, prelu_sum_over_units, prelu_one_alpha],
    "activations.softmax_backward": [softmax_uphill, softmax_mean, softmax_averaged],
    "activations.hinge": [hinge_right_class_alone, hinge_always_squared, hinge_loss_alone, hinge_halved],
    "activations.squash": [squash_falling, squash_of_the_mean, squash_constant, squash_flattened, squash_a_bit_steep],
    "activations.swish": [SwishWithoutBeta, SwishMean, SwishStandsStill, SwishNoReturn],
    "activations.wrong_labels": [learn_turned, learn_without_bias_and_steps, learn_few],
}
