"""Answers to ``18_diffusion`` written another way: right ones that must pass, wrong ones that must not.

The wrong ones are slips that are not listed as mistakes in the specification.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch

# --- diffusion.forward ----------------------------------------------------------------------------------------------


def noisy_loop(x0, t, noise, betas):
    out = np.empty_like(x0)
    for i in range(len(x0)):
        bar = math.prod(1 - beta for beta in betas[: t[i]])
        out[i] = math.sqrt(bar) * x0[i] + math.sqrt(1 - bar) * noise[i]
    return out


def noisy_torch(x0, t, noise, betas):
    x0, noise = torch.as_tensor(x0), torch.as_tensor(noise)
    bar = torch.cumprod(1 - torch.as_tensor(betas), 0)[torch.as_tensor(t) - 1].view(-1, *[1] * (x0.ndim - 1))
    return bar.sqrt() * x0 + (1 - bar).sqrt() * noise


def noisy_float32(x0, t, noise, betas):
    bar = np.exp(np.cumsum(np.log(1 - betas))).astype(np.float32)[t - 1]
    bar = bar.reshape(len(x0), *[1] * (x0.ndim - 1))
    return np.sqrt(bar) * x0.astype(np.float32) + np.sqrt(1 - bar) * noise.astype(np.float32)


def noisy_turned(x0, t, noise, betas):
    return noisy_loop(x0, t, -noise, betas)


def noisy_from_the_end(x0, t, noise, betas):
    return noisy_loop(x0, t, noise, betas[::-1])


def noisy_no_data(x0, t, noise, betas):
    return noisy_loop(0 * x0 + 1, t, noise, betas)


# --- diffusion.schedule ---------------------------------------------------------------------------------------------


def schedule_loop(T, offset):
    def curve(t):
        return math.cos((t / T + offset) / (1 + offset) * math.pi / 2) ** 2

    bars = [1.0]
    for t in range(1, T + 1):
        bars.append(bars[-1] * (1 - min(0.999, 1 - curve(t) / curve(t - 1))))
    return bars


def schedule_torch(T, offset):
    places = torch.arange(T + 1, dtype=torch.float64) / T
    curve = ((places + offset) / (1 + offset) * torch.pi / 2).cos().square()
    kept = (curve[1:] / curve[:-1]).clamp(min=0.001)
    return torch.cat([torch.ones(1, dtype=torch.float64), kept.cumprod(0)])


def schedule_lower_cap(T, offset):
    bars = np.array(schedule_loop(T, offset))
    return np.concatenate([[1.0], np.cumprod(np.maximum(bars[1:] / bars[:-1], 0.01))])


def schedule_sine(T, offset):
    curve = np.sin(np.pi / 2 * (np.arange(T + 1) / T + offset) / (1 + offset)) ** 2
    return 1 - curve


def schedule_offset_not_divided(T, offset):
    curve = np.cos(np.pi / 2 * (np.arange(T + 1) / T + offset)) ** 2
    return np.concatenate([[1.0], np.cumprod(np.maximum(curve[1:] / curve[:-1], 0.001))])


# --- diffusion.predictions ------------------------------------------------------------------------------------------


def three_solved(prediction, xt, bar, given):
    """Each as two linear equations in x and ε."""
    a, s = bar**0.5, (1 - bar) ** 0.5
    row = {"noise": [0, 1], "x": [1, 0], "v": [-s, a]}[given]
    both = np.linalg.solve(np.array([[a, s], row]), np.stack([xt.ravel(), prediction.ravel()]))
    x, noise = (part.reshape(xt.shape) for part in both)
    return [noise, x, a * noise - s * x]


def three_torch(prediction, xt, bar, given):
    p, xt = torch.as_tensor(prediction), torch.as_tensor(xt)
    a, s = math.sqrt(bar), math.sqrt(1 - bar)
    v = {"noise": lambda: (p - s * xt) / a, "x": lambda: (a * xt - p) / s, "v": lambda: p}[given]()
    return s * xt + a * v, a * xt - s * v, v


def three_angle(prediction, xt, bar, given):
    """x_t and v are x and ε, turned by an angle."""
    angle = np.arccos(np.sqrt(bar))
    c, s = np.cos(angle), np.sin(angle)
    if given == "noise":
        v = (prediction - s * xt) / c
    elif given == "x":
        v = (c * xt - prediction) / s
    else:
        v = prediction
    return s * xt + c * v, c * xt - s * v, v


def three_nothing(prediction, xt, bar, given):
    return prediction, prediction, prediction


def three_v_plus(prediction, xt, bar, given):
    noise, x, _ = three_angle(prediction, xt, bar, given)
    return noise, x, bar**0.5 * noise + (1 - bar) ** 0.5 * x


def three_only_given_noise(prediction, xt, bar, given):
    noise, x, v = three_angle(prediction, xt, bar, given)
    return (noise, x, v) if given == "noise" else (noise, x, 0 * v)


# --- diffusion.step -------------------------------------------------------------------------------------------------


def step_posterior(noise, xt, t, betas, z):
    """Through the predicted x_0 and the product of two Gaussians."""
    bars = np.concatenate([[1.0], np.cumprod(1 - betas)])
    bar, before, beta = bars[t], bars[t - 1], betas[t - 1]
    x0 = (xt - np.sqrt(1 - bar) * noise) / np.sqrt(bar)
    mean = (np.sqrt(before) * beta * x0 + np.sqrt(1 - beta) * (1 - before) * xt) / (1 - bar)
    return mean if t == 1 else mean + np.sqrt(beta * (1 - before) / (1 - bar)) * z


def step_torch(noise, xt, t, betas, z):
    noise, xt, z = (torch.as_tensor(a) for a in (noise, xt, z))
    kept = 1 - torch.as_tensor(betas)
    bar, before = kept[:t].prod(), kept[: t - 1].prod()
    beta = 1 - kept[t - 1]
    return (xt - beta / (1 - bar).sqrt() * noise) / (1 - beta).sqrt() + (beta * (1 - before) / (1 - bar)).sqrt() * z


def step_precisions(noise, xt, t, betas, z):
    if t == 1:
        return (xt - np.sqrt(betas[0]) * noise) / np.sqrt(1 - betas[0])
    before, beta = np.prod(1 - betas[: t - 1]), betas[t - 1]
    bar = before * (1 - beta)
    x0 = (xt - np.sqrt(1 - bar) * noise) / np.sqrt(bar)
    precision = 1 / (1 - before) + (1 - beta) / beta
    mean = (np.sqrt(before) * x0 / (1 - before) + np.sqrt(1 - beta) * xt / beta) / precision
    return mean + z / np.sqrt(precision)


def step_no_shrink(noise, xt, t, betas, z):
    return step_posterior(noise, xt, t, betas, z) * np.sqrt(1 - betas[t - 1])


def step_deviation_of_next(noise, xt, t, betas, z):
    later = min(t + 1, len(betas))
    return step_posterior(noise, xt, t, betas, 0 * z) + np.sqrt(betas[later - 1]) * z


def step_noise_added(noise, xt, t, betas, z):
    return step_posterior(-noise, xt, t, betas, z)


# --- diffusion.sampler ----------------------------------------------------------------------------------------------


class SamplerTorch:
    """The score by automatic differentiation of the log density."""

    def __init__(self, weights, means, variances, bars):
        self.mixture = [torch.as_tensor(a, dtype=torch.float64) for a in (weights, means, variances)]
        self.bars = torch.as_tensor(bars, dtype=torch.float64)

    def noise(self, x, t):
        weights, means, variances = self.mixture
        bar = self.bars[t]
        leaf = torch.tensor(np.asarray(x), dtype=torch.float64, requires_grad=True)
        v = bar * variances + 1 - bar
        squares = ((leaf[:, None] - bar.sqrt() * means) ** 2).sum(2)
        log = torch.logsumexp(weights.log() - leaf.shape[1] / 2 * v.log() - squares / (2 * v), 1)
        (score,) = torch.autograd.grad(log.sum(), leaf)
        return -(1 - bar).sqrt() * score

    def sample(self, x, times):
        x = torch.as_tensor(x, dtype=torch.float64)
        for i in range(1, len(times)):
            now, then = self.bars[times[i - 1]], self.bars[times[i]]
            noise = self.noise(x.numpy(), times[i - 1])
            x = (then / now).sqrt() * (x - (1 - now).sqrt() * noise) + (1 - then).sqrt() * noise
        return x.numpy()


class SamplerLoops:
    """Point by point, through E[x_0 | x_t]."""

    def __init__(self, weights, means, variances, bars):
        self.weights, self.means, self.variances, self.bars = weights, means, variances, bars

    def clean(self, x, t):
        bar, out = self.bars[t], []
        for point in x:
            logs, centres = [], []
            for w, m, v in zip(self.weights, self.means, self.variances, strict=True):
                u = bar * v + 1 - bar
                away = point - math.sqrt(bar) * m
                logs.append(math.log(w) - len(point) / 2 * math.log(u) - float(away @ away) / (2 * u))
                centres.append(m + math.sqrt(bar) * v / u * away)
            raised = [math.exp(log - max(logs)) for log in logs]
            out.append(sum(r * c for r, c in zip(raised, centres, strict=True)) / sum(raised))
        return np.array(out)

    def noise(self, x, t):
        return (x - math.sqrt(self.bars[t]) * self.clean(x, t)) / math.sqrt(1 - self.bars[t])

    def sample(self, x, times):
        for t, s in itertools.pairwise(times):
            x0 = self.clean(x, t)
            noise = (x - math.sqrt(self.bars[t]) * x0) / math.sqrt(1 - self.bars[t])
            x = math.sqrt(self.bars[s]) * x0 + math.sqrt(1 - self.bars[s]) * noise
        return x


class SamplerSharesWithoutWidth(SamplerLoops):
    """Forgets that a wide bump is lower."""

    def clean(self, x, t):
        kept, self.weights = (
            self.weights,
            self.weights * (self.bars[t] * self.variances + 1 - self.bars[t]) ** (self.means.shape[1] / 2),
        )
        out = super().clean(x, t)
        self.weights = kept
        return out


class SamplerNearest(SamplerLoops):
    def clean(self, x, t):
        return self.means[((x[:, None] - self.bars[t] ** 0.5 * self.means) ** 2).sum(2).argmin(1)]


class SamplerLastForgotten(SamplerLoops):
    def sample(self, x, times):
        x = super().sample(x, times[:-1]) if len(times) > 2 else x
        return self.clean(x, times[-2]) if times[-1] else x + 0.1


# --- diffusion.guidance ---------------------------------------------------------------------------------------------


def guided_loops(with_label, without, xt, bar_t, bar_s, g):
    out = np.empty(xt.shape)
    a, s = math.sqrt(bar_t), math.sqrt(1 - bar_t)
    for index in np.ndindex(xt.shape):
        noise = (1 - g) * without[index] + g * with_label[index]
        x0 = min(max((xt[index] - s * noise) / a, -1.0), 1.0)
        out[index] = math.sqrt(bar_s) * x0 + math.sqrt(1 - bar_s) * (xt[index] - a * x0) / s
    return out


def guided_torch(with_label, without, xt, bar_t, bar_s, g):
    noise = torch.lerp(torch.as_tensor(without), torch.as_tensor(with_label), g)
    xt = torch.as_tensor(xt)
    x0 = ((xt - (1 - bar_t) ** 0.5 * noise) / bar_t**0.5).clamp(-1, 1)
    return bar_s**0.5 * x0 + (1 - bar_s) ** 0.5 * (xt - bar_t**0.5 * x0) / (1 - bar_t) ** 0.5


def guided_to_zero(with_label, without, xt, bar_t, bar_s, g):
    return guided_loops(with_label, without, xt, bar_t, 1.0, g)


def guided_clipped_noise(with_label, without, xt, bar_t, bar_s, g):
    noise = np.clip(without + g * (with_label - without), -1, 1)
    return guided_loops(noise, noise, xt, bar_t, bar_s, 1.0)


def guided_between_0_and_1(with_label, without, xt, bar_t, bar_s, g):
    x0 = np.clip((xt - np.sqrt(1 - bar_t) * (without + g * (with_label - without))) / np.sqrt(bar_t), 0, 1)
    return np.sqrt(bar_s) * x0 + np.sqrt(1 - bar_s) * (xt - np.sqrt(bar_t) * x0) / np.sqrt(1 - bar_t)


# --- diffusion.draw -------------------------------------------------------------------------------------------------


def draw_posterior(x, weights, means, variances, bars, seed):
    """Through E[x_0 | x_t] and the posterior."""
    rng = np.random.default_rng([seed, 1])
    for t in reversed(range(1, len(bars))):
        bar, before = bars[t], bars[t - 1]
        u = bar * variances + 1 - bar
        away = x[:, None] - np.sqrt(bar) * means
        share = weights * np.exp(-(away**2) / (2 * u)) / np.sqrt(u)
        share /= share.sum(axis=1, keepdims=True)
        x0 = (share * (means + np.sqrt(bar) * variances / u * away)).sum(axis=1)
        kept = bar / before
        mean = (np.sqrt(before) * (1 - kept) * x0 + np.sqrt(kept) * (1 - before) * x) / (1 - bar)
        x = mean + np.sqrt((1 - kept) * (1 - before) / (1 - bar)) * rng.normal(size=len(x))
    return x


def draw_torch(x, weights, means, variances, bars, seed):
    generator = torch.Generator().manual_seed(int(seed))
    x, w, m, v = (torch.as_tensor(np.asarray(a), dtype=torch.float64) for a in (x, weights, means, variances))
    for t in range(len(bars) - 1, 0, -1):
        bar, before = float(bars[t]), float(bars[t - 1])
        u = bar * v + 1 - bar
        logs = w.log() - u.log() / 2 - (x[:, None] - bar**0.5 * m) ** 2 / (2 * u)
        noise = (1 - bar) ** 0.5 * (logs.softmax(1) * (x[:, None] - bar**0.5 * m) / u).sum(1)
        beta = 1 - bar / before
        x = (x - beta / (1 - bar) ** 0.5 * noise) / (1 - beta) ** 0.5
        z = torch.randn(len(x), generator=generator, dtype=torch.float64)
        x = x + (beta * (1 - before) / (1 - bar)) ** 0.5 * z
    return x


def draw_ddim(x, weights, means, variances, bars, seed):
    sampler = SamplerTorch(weights, np.reshape(means, (-1, 1)), variances, bars)
    return sampler.sample(x[:, None], np.arange(len(bars) - 1, -1, -1))[:, 0]


def draw_uniform_noise(x, weights, means, variances, bars, seed):
    return draw_ddim(x, weights, means, variances, bars, seed) + 0.2 * np.random.default_rng(seed).random(len(x))


def _draw_with(z):
    """DDPM with noise from ``z(seed, shape, t)``."""

    def draw(x, weights, means, variances, bars, seed):
        sampler = SamplerTorch(weights, np.reshape(means, (-1, 1)), variances, bars)
        for t in range(len(bars) - 1, 0, -1):
            noise = sampler.noise(x[:, None], t).numpy()[:, 0]
            x = step_posterior(noise, x, t, 1 - bars[1:] / bars[:-1], z(seed, x.shape, t))
        return x

    return draw


draw_same_z = _draw_with(lambda seed, shape, t: np.random.default_rng(seed).standard_normal(shape))
draw_one_z = _draw_with(lambda seed, shape, t: np.random.default_rng([seed, t]).standard_normal())
draw_from_t = _draw_with(lambda seed, shape, t: np.random.default_rng(t).standard_normal(shape))


def draw_one_sample(x, weights, means, variances, bars, seed):
    return draw_posterior(x, weights, means, variances, bars, seed)[:1]


def draw_without_weights(x, weights, means, variances, bars, seed):
    return draw_posterior(x, np.full(len(weights), 1 / len(weights)), means, variances, bars, seed)


ALTERNATIVES = {
    "diffusion.enough": [683, 683.0],
    "diffusion.forward": [noisy_loop, noisy_torch, noisy_float32],
    "diffusion.schedule": [schedule_loop, schedule_torch],
    "diffusion.predictions": [three_solved, three_torch, three_angle],
    "diffusion.step": [step_posterior, step_torch, step_precisions],
    "diffusion.sampler": [SamplerTorch, SamplerLoops],
    "diffusion.guidance": [guided_loops, guided_torch],
    "diffusion.draw": [draw_posterior, draw_torch],
}

WRONG = {
    "diffusion.enough": [50, 1000, 685],
    "diffusion.forward": [noisy_turned, noisy_from_the_end, noisy_no_data],
    "diffusion.schedule": [schedule_lower_cap, schedule_sine, schedule_offset_not_divided],
    "diffusion.predictions": [three_nothing, three_v_plus, three_only_given_noise],
    "diffusion.step": [step_no_shrink, step_deviation_of_next, step_noise_added],
    "diffusion.sampler": [SamplerSharesWithoutWidth, SamplerNearest, SamplerLastForgotten],
    "diffusion.guidance": [guided_to_zero, guided_clipped_noise, guided_between_0_and_1],
    "diffusion.draw": [
        draw_ddim,
        draw_uniform_noise,
        draw_same_z,
        draw_one_z,
        draw_from_t,
        draw_one_sample,
        draw_without_weights,
    ],
}
