"""The exercises of ``18_diffusion``: how many steps, the forward process, a schedule, predictions, both samplers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np

from dlcourse import diffusion
from dlcourse.exercises.compare import Close, FalseFail, Holds
from dlcourse.exercises.spec import Case, Exercise, Mistake, calls, case, steps, text_exercise

OURS = tuple(
    f"dlcourse.diffusion.{name}"
    for name in (
        "add_noise", "alpha_bars", "convert", "cosine_betas", "ddim_path", "ddim_sample", "ddim_step", "ddpm_path",
        "ddpm_sample", "ddpm_step", "guided", "langevin", "mixture_log_density", "mixture_noise", "mixture_sample",
        "mixture_score", "noised_mixture", "one_noise_step", "posterior", "scales", "score_from_noise",
    )
)  # fmt: skip

# --- A number: how many steps it takes ------------------------------------------------------------------------------


def _signal_left(T: int) -> float:
    return float(np.prod(1 - np.linspace(1e-4, 0.02, T)))


enough = Exercise(
    id="diffusion.enough",
    title="How many steps are enough?",
    name="T",
    kind="number",
    points=1,
    reference=next(T for T in range(2, 2000) if _signal_left(T) < 1e-3),
    cases=lambda rng: [Case("the smallest T with less than a thousandth left")],
    compare=Close(rtol=0, atol=0),
    mistakes=(
        Mistake("one_too_few", 682, "with this T a little more than 0.001 is left; one step more."),
        Mistake("one_too_many", 684, "it is already below with one step less."),
        Mistake("root", 1366, "this is where √ᾱ_T, the factor of x_0, falls below 0.001; ᾱ_T is asked for."),
        Mistake("always_the_last", 342, "this takes β = 0.02 in every step; β grows to it along a line."),
        Mistake("same_slope", 183, "β grows beyond 0.02 here; whatever T is, the last β is 0.02."),
        Mistake("stays_at_the_end", 367, "this keeps β at 0.02 after step 50; the line stretches over all T steps."),
        Mistake("sum", 100, "this adds the β up; what is left is a product, (1 − β_1) (1 − β_2) ..."),
    ),
    hints=(
        "What is left after T steps is the product of all 1 − β_t; a loop over T finds the first that is small enough.",
        "np.prod(1 - np.linspace(1e-4, 0.02, T)) is ᾱ_T; for T = 50 it is 0.60.",
        "next(T for T in range(2, 2000) if np.prod(...) < 1e-3): the number lies between 600 and 700.",
    ),
    difficulty=1,
    importance=5,
    minutes=5,
)


# --- the forward process --------------------------------------------------------------------------------------------


def noisy(x0, t, noise, betas):
    """The reference."""
    bars = np.cumprod(1 - np.asarray(betas, np.float64))
    bar = bars[np.asarray(t) - 1].reshape(-1, *[1] * (np.ndim(x0) - 1))
    return np.sqrt(bar) * x0 + np.sqrt(1 - bar) * noise


def _noisy(a: Callable, s: Callable, shift: int = 1, single: bool = False) -> Callable:
    def wrong(x0, t, noise, betas):
        bars = 1 - betas if single else np.cumprod(1 - betas)
        bar = bars[(t - shift) % len(bars)].reshape(-1, *[1] * (x0.ndim - 1))
        return a(bar) * x0 + s(bar) * noise

    return wrong


def _one_step_early(x0, t, noise, betas):
    return noisy(x0, t, noise, np.concatenate([[0.0], betas]))


def _same_time(x0, t, noise, betas):
    return noisy(x0, np.full_like(t, t[0] if len(t) else 1), noise, betas)


def _forward_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield case(
        "by hand: two steps that keep 4/5 and 1/5", np.array([[1.0], [1.0]]), np.array([1, 2]),
        np.array([[0.0], [0.0]]), np.array([0.2, 0.8]),
    )  # fmt: skip
    betas = rng.uniform(0.05, 0.4, 12)
    for name, shape in (("points", (6, 2)), ("images", (4, 1, 3, 3)), ("numbers", (5,)), ("nothing", (0,))):
        x0, noise = rng.standard_normal((2, *shape))
        yield case(name, x0, rng.integers(2, 13, shape[0]), noise, betas)
    x0, noise = rng.standard_normal((2, 3, 2))
    yield case("the first step and the last", x0, np.array([1, 12, 1]), noise, betas)
    yield case("one step is all there is", x0, np.array([1, 1, 1]), noise, betas[:1])


forward = Exercise(
    id="diffusion.forward",
    title="All steps at once",
    name="noisy",
    kind="function",
    points=2,
    reference=noisy,
    cases=_forward_cases,
    compare=Close(rtol=1e-5, atol=1e-7),
    mistakes=(
        Mistake("no_roots", _noisy(lambda b: b, lambda b: 1 - b), "the factors are the roots, √ᾱ and √(1 − ᾱ)."),
        Mistake(
            "no_root_of_the_signal", _noisy(lambda b: b, lambda b: np.sqrt(1 - b)), "the factor of x_0 is √ᾱ, not ᾱ."
        ),
        Mistake(
            "no_root_of_the_noise", _noisy(np.sqrt, lambda b: 1 - b), "the factor of the noise is √(1 − ᾱ), not 1 − ᾱ."
        ),
        Mistake(
            "not_the_rest", _noisy(np.sqrt, lambda b: 1 - np.sqrt(b)),
            "the variances add up to 1: the noise gets √(1 − ᾱ), not 1 − √ᾱ.",
        ),
        Mistake("swapped", _noisy(lambda b: np.sqrt(1 - b), np.sqrt), "√ᾱ belongs to x_0, √(1 − ᾱ) to the noise."),
        Mistake(
            "last_step_alone", _noisy(np.sqrt, lambda b: np.sqrt(1 - b), single=True),
            "this is one step, with 1 − β_t; ᾱ_t is the product of all of them up to t.",
        ),
        Mistake(
            "one_step_late", _noisy(np.sqrt, lambda b: np.sqrt(1 - b), shift=0),
            "t counts from 1: the first step's β is betas[0].",
        ),
        Mistake(
            "one_step_early", _one_step_early,
            "this is x at time t − 1; if your array of ᾱ begins with ᾱ_0 = 1, then ᾱ_t is its entry t.",
        ),
        Mistake(
            "one_time_for_all", _same_time, "each example has a time of its own: ᾱ is an array with one number each."
        ),
    ),
    withhold=OURS,
    hints=(
        "bars = np.cumprod(1 - betas) holds ᾱ_1 to ᾱ_T; which entry belongs to t?",
        "bars[t - 1] has shape (N,); to multiply images (N, C, H, W) it needs axes of length 1 behind it.",
        "bar = bars[t - 1].reshape(-1, *[1] * (x0.ndim - 1)); √bar · x0 + √(1 − bar) · noise.",
    ),
    difficulty=2,
    importance=5,
    minutes=10,
)  # fmt: skip


# --- a schedule -----------------------------------------------------------------------------------------------------


def cosine(T, offset=0.008):
    """The reference."""
    curve = np.cos(np.pi / 2 * (np.arange(T + 1) / T + offset) / (1 + offset)) ** 2
    betas = np.minimum(1 - curve[1:] / curve[:-1], 0.999)
    return np.concatenate([[1.0], np.cumprod(1 - betas)])


def _cosine(T, offset=0.008, *, power=2, capped=True, divided=True):
    curve = np.cos(np.pi / 2 * (np.arange(T + 1) / T + offset) / (1 + offset)) ** power
    if not capped:
        return curve / (curve[0] if divided else 1)
    betas = np.minimum(1 - curve[1:] / curve[:-1], 0.999)
    return np.concatenate([[1.0], np.cumprod(1 - betas)])


def _limit_on_the_product(T, offset=0.008):
    return np.maximum(_cosine(T, offset, capped=False), 0.001)


def _cosine_with(**options) -> Callable:
    return lambda T, offset=0.008: _cosine(T, offset, **options)


def _schedule_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield case("by hand: two steps, no offset", 2, 0.0)
    yield case("one step", 1, 0.0)
    yield case("four steps", 4, 0.008)
    for T in rng.integers(5, 60, 2).tolist():
        yield case(f"{T} steps", T, float(rng.uniform(0.002, 0.1)))
    yield case("a thousand steps", 1000, 0.008)


schedule = Exercise(
    id="diffusion.schedule",
    title="The cosine schedule",
    name="cosine_schedule",
    kind="function",
    points=2,
    reference=cosine,
    cases=_schedule_cases,
    compare=Close(rtol=1e-5, atol=1e-8),
    mistakes=(
        Mistake("not_capped", _cosine_with(capped=False), "no β may be above 0.999: the last ᾱ is too small."),
        Mistake(
            "not_divided", _cosine_with(capped=False, divided=False), "ᾱ_0 is 1: divide by the curve's value at t = 0."
        ),
        Mistake(
            "limit_on_the_product", _limit_on_the_product,
            "the limit is for each β, before they are multiplied up; it is not one for ᾱ.",
        ),
        Mistake("not_squared", _cosine_with(power=1), "the cosine is squared."),
        Mistake("no_offset", lambda T, offset=0.008: cosine(T, 0.0), "the offset plays no part."),
        Mistake(
            "without_the_start", lambda T, offset=0.008: cosine(T, offset)[1:], "the first of T + 1 numbers is ᾱ_0 = 1."
        ),
        Mistake(
            "betas",
            lambda T, offset=0.008: 1 - cosine(T, offset)[1:] / cosine(T, offset)[:-1],
            "these are the β; asked for are ᾱ_0 to ᾱ_T.",
        ),
        Mistake(
            "linear", lambda T, offset=0.008: diffusion.alpha_bars(np.linspace(0.1 / T, min(20 / T, 0.999), T), left=2),
            "this is a linear schedule.",
        ),
    ),
    withhold=OURS,
    hints=(
        "First the curve at t = 0, 1, ..., T: cos² of (t/T + offset) / (1 + offset) · π/2.",
        "β_t = 1 − curve[t] / curve[t − 1], and where that is above 0.999 it becomes 0.999.",
        "np.concatenate([[1.0], np.cumprod(1 - betas)]) puts ᾱ_0 = 1 in front.",
    ),
    difficulty=2,
    importance=4,
    minutes=15,
)  # fmt: skip


# --- predictions ----------------------------------------------------------------------------------------------------


def three(prediction, xt, bar, given):
    """The reference."""
    a, s = np.sqrt(bar), np.sqrt(1 - bar)
    x = {"noise": lambda p: (xt - s * p) / a, "x": lambda p: p, "v": lambda p: a * xt - s * p}[given](prediction)
    noise = {"noise": lambda p: p, "x": lambda p: (xt - a * p) / s, "v": lambda p: s * xt + a * p}[given](prediction)
    return noise, x, a * noise - s * x


def _v_turned(prediction, xt, bar, given):
    a, s = np.sqrt(bar), np.sqrt(1 - bar)
    if given == "v":
        return s * xt - a * prediction, a * xt + s * prediction, prediction
    noise, x, v = three(prediction, xt, bar, given)
    return noise, x, -v


def _v_swapped(prediction, xt, bar, given):
    a, s = np.sqrt(bar), np.sqrt(1 - bar)
    noise, x, _ = three(prediction, xt, bar, given)
    return noise, x, (prediction if given == "v" else s * noise - a * x)


def _rootless(prediction, xt, bar, given):
    a, s = bar, 1 - bar
    x = {"noise": (xt - s * prediction) / a, "x": prediction, "v": a * xt - s * prediction}[given]
    noise = {"noise": prediction, "x": (xt - a * prediction) / s, "v": s * xt + a * prediction}[given]
    return noise, x, a * noise - s * x


def _undivided(prediction, xt, bar, given):
    a, s = np.sqrt(bar), np.sqrt(1 - bar)
    x = {"noise": xt - s * prediction, "x": prediction, "v": a * xt - s * prediction}[given]
    noise = {"noise": prediction, "x": xt - a * prediction, "v": s * xt + a * prediction}[given]
    return noise, x, a * noise - s * x


def _predict_cases(rng: np.random.Generator) -> Iterator[Case]:
    for given, value in (("noise", 2.0), ("x", 1.0), ("v", 1.0)):
        yield case(f"by hand: ᾱ = 0.36, {given} is given", np.array([value]), np.array([2.2]), 0.36, given)
    for given in diffusion.PREDICTIONS:
        x, noise = rng.standard_normal((2, 3, 4))
        bar = float(rng.uniform(0.1, 0.9))
        a, s = bar**0.5, (1 - bar) ** 0.5
        value = {"noise": noise, "x": x, "v": a * noise - s * x}[given]
        yield case(f"a random time, {given} is given", value, a * x + s * noise, bar, given)
        yield case(f"a prediction that is not quite right, {given}", value + 0.3, a * x + s * noise, bar, given)


predictions = Exercise(
    id="diffusion.predictions",
    title="Three ways to say the same",
    name="all_three",
    kind="function",
    points=3,
    reference=three,
    cases=_predict_cases,
    compare=Close(rtol=1e-5, atol=1e-7),
    mistakes=(
        Mistake(
            "no_roots", _rootless,
            "the factors are a = √ᾱ and s = √(1 − ᾱ), not ᾱ and 1 − ᾱ.",
        ),
        Mistake("v_turned", _v_turned, "the sign of v is turned: v = a ε − s x."),
        Mistake("v_swapped", _v_swapped, "in v, the noise gets a = √ᾱ and x gets s: v = a ε − s x."),
        Mistake(
            "order", lambda p, xt, bar, given: tuple(three(p, xt, bar, given)[i] for i in (1, 0, 2)),
            "the order is ε, x, v.",
        ),
        Mistake(
            "as_if_noise", lambda p, xt, bar, given: three(p, xt, bar, "noise"),
            "`given` is ignored: the prediction is not always the noise.",
        ),
        Mistake(
            "not_divided", _undivided,
            "to get x from ε, or ε from x, the equation x_t = a x + s ε is solved: divide by a, or by s.",
        ),
        Mistake(
            "swapped_roots", lambda p, xt, bar, given: three(p, xt, 1 - bar, given),
            "a = √ᾱ belongs to x and s = √(1 − ᾱ) to the noise.",
        ),
    ),
    withhold=OURS,
    hints=(
        "x_t = a x + s ε has two unknowns; the prediction gives one, or with v a second equation.",
        "From v: x = a x_t − s v and ε = s x_t + a v. Check it by putting in x_t and v.",
        "Whatever is given, find x and ε first; then v = a ε − s x.",
    ),
    difficulty=2,
    importance=4,
    minutes=15,
)  # fmt: skip


# --- one step back --------------------------------------------------------------------------------------------------


def back(noise, xt, t, betas, z):
    """The reference."""
    return _back(noise, xt, t, betas, z)


def _back(noise, xt, t, betas, z, *, last=False, variance="posterior", root=True, mean="right", shift=0, alone=False):
    betas = np.asarray(betas, np.float64)
    bars = np.concatenate([[1.0], np.cumprod(1 - betas)])
    beta, bar, before = betas[t - 1 - shift], bars[t - shift], bars[t - 1 - shift]
    if alone:
        bar = 1 - beta
    x0 = (xt - np.sqrt(1 - bar) * noise) / np.sqrt(bar)
    out = {
        "right": lambda: (xt - beta / np.sqrt(1 - bar) * noise) / np.sqrt(1 - beta),
        "no_root": lambda: (xt - beta / (1 - bar) * noise) / np.sqrt(1 - beta),
        "not_divided": lambda: xt - beta / np.sqrt(1 - bar) * noise,
        "stretched_twice": lambda: (xt - beta / np.sqrt(1 - bar) * noise) / (1 - beta),
        "whole": lambda: (xt - np.sqrt(beta) * noise) / np.sqrt(1 - beta),
        "x0": lambda: x0,
    }[mean]()
    var = {"posterior": beta * (1 - before) / (1 - bar), "beta": beta if t > 1 or last else 0.0, "none": 0.0}[variance]
    return out + (np.sqrt(var) if root else var) * z


def _wraps_round(noise, xt, t, betas, z):
    bars = np.cumprod(1 - np.asarray(betas, np.float64))
    beta, bar, before = betas[t - 1], bars[t - 1], bars[t - 2]
    mean = (xt - beta / np.sqrt(1 - bar) * noise) / np.sqrt(1 - beta)
    return mean + np.sqrt(beta * (1 - before) / (1 - bar)) * z


def _back_with(**options) -> Callable:
    return lambda noise, xt, t, betas, z: _back(noise, xt, t, betas, z, **options)


def _step_cases(rng: np.random.Generator) -> Iterator[Case]:
    betas = np.array([0.36, 0.75])
    yield case("by hand: the last step", np.array([1.0]), np.array([1.4]), 1, betas, np.array([5.0]))
    yield case("by hand: the step before, no noise drawn", np.array([1.0]), np.array([1.4]), 2, betas, np.zeros(1))
    yield case("by hand: the step before", np.array([0.0]), np.array([0.0]), 2, betas, np.ones(1))
    betas = rng.uniform(0.05, 0.4, 9)
    for t in (1, 9, int(rng.integers(2, 9))):
        for shape in ((4, 2), (2, 1, 3, 3)):
            noise, xt, z = rng.standard_normal((3, *shape))
            yield case(f"t = {t} of 9, shape {shape}", noise, xt, t, betas, z)


step = Exercise(
    id="diffusion.step",
    title="One step back",
    name="ddpm_step",
    kind="function",
    points=3,
    reference=back,
    cases=_step_cases,
    compare=Close(rtol=1e-5, atol=1e-7),
    mistakes=(
        Mistake(
            "noise_at_the_end", _back_with(variance="beta", last=True),
            "the variance is β_t (1 − ᾱ_{t−1}) / (1 − ᾱ_t), which is 0 in the last step, not β_t.",
        ),
        Mistake(
            "beta", _back_with(variance="beta"),
            "the variance here is that of the posterior, β_t (1 − ᾱ_{t−1}) / (1 − ᾱ_t); β_t is the larger one.",
        ),
        Mistake("nothing_drawn", _back_with(variance="none"), "the mean is right; √variance · z is missing."),
        Mistake("variance_for_deviation", _back_with(root=False), "z is multiplied by the root of the variance."),
        Mistake(
            "no_root_in_the_mean", _back_with(mean="no_root"), "in the mean, the noise gets β_t / √(1 − ᾱ_t): a root."
        ),
        Mistake(
            "not_stretched", _back_with(mean="not_divided"), "the mean is divided by √(1 − β_t), as the step shrank x."
        ),
        Mistake(
            "stretched_twice", _back_with(mean="stretched_twice"),
            "the mean is divided by √(1 − β_t), a root, not by 1 − β_t.",
        ),
        Mistake(
            "wraps_round", _wraps_round,
            "right but for t = 1: there ᾱ_{t−1} is ᾱ_0 = 1, and an index of −1 is the last entry of the array.",
        ),
        Mistake(
            "all_the_noise", _back_with(mean="whole"),
            "ε is the noise of all t steps together; this takes it for that of the last step, √β_t ε.",
        ),
        Mistake(
            "straight_to_the_data", _back_with(mean="x0"), "this is the predicted x_0; one step back leads to x_{t−1}."
        ),
        Mistake(
            "last_step_alone", _back_with(alone=True), "ᾱ_t is the product of 1 − β over all steps up to t."
        ),
    ),
    withhold=OURS,
    hints=(
        "Three numbers are needed: β_t = betas[t − 1], ᾱ_t, and ᾱ_{t−1}, which is 1 for t = 1.",
        "The mean is (x_t − β_t / √(1 − ᾱ_t) · ε) / √(1 − β_t).",
        "Add √(β_t (1 − ᾱ_{t−1}) / (1 − ᾱ_t)) · z; with ᾱ_0 = 1 the last step draws nothing by itself.",
    ),
    difficulty=3,
    importance=5,
    minutes=15,
)  # fmt: skip


# --- DDIM with the exact predictor ----------------------------------------------------------------------------------


class Sampler:
    """The reference."""

    shrunk, widened, shares, sign, axes = True, True, True, 1, None

    def __init__(self, weights, means, variances, bars):
        self.mixture = tuple(np.asarray(a, np.float64) for a in (weights, means, variances))
        self.bars = np.asarray(bars, np.float64)

    def noise(self, x, t):
        weights, means, variances = self.mixture
        bar = self.bars[int(t)]
        m = np.sqrt(bar) * means if self.shrunk else means
        v = bar * variances + 1 - bar if self.widened else variances + 1 - bar
        logs = (
            np.log(weights) - (self.axes or x.shape[1]) / 2 * np.log(v) - ((x[:, None] - m) ** 2).sum(axis=2) / (2 * v)
        )
        share = np.exp(logs - logs.max(axis=1, keepdims=True))
        share = share / share.sum(axis=1, keepdims=True) if self.shares else np.ones_like(share) * weights
        score = ((share / v)[:, :, None] * (m - x[:, None])).sum(axis=1)
        return -self.sign * np.sqrt(1 - bar) * score

    def sample(self, x, times):
        x = np.asarray(x, np.float64)
        for t, s in itertools.pairwise(times):
            x = self.move(x, int(t), int(s))
        return x

    def move(self, x, t, s):
        noise = self.noise(x, t)
        bar, before = self.bars[t], self.bars[s]
        x0 = (x - np.sqrt(1 - bar) * noise) / np.sqrt(bar)
        return np.sqrt(before) * x0 + np.sqrt(1 - before) * noise


class MeansNotShrunk(Sampler):
    shrunk = False


class NotWidened(Sampler):
    widened = False


class PriorShares(Sampler):
    shares = False


class Underflow(Sampler):
    def noise(self, x, t):
        (weights, means, variances), bar = self.mixture, self.bars[int(t)]
        m, v = np.sqrt(bar) * means, bar * variances + 1 - bar
        away = m - x[:, None]
        p = weights * v ** (-x.shape[1] / 2) * np.exp(-(away**2).sum(axis=2) / (2 * v))
        with np.errstate(invalid="ignore"):
            share = p / p.sum(axis=1, keepdims=True)
        return -np.sqrt(1 - bar) * ((share / v)[:, :, None] * away).sum(axis=1)


class OneAxis(Sampler):
    axes = 1


class NoWeights(Sampler):
    def __init__(self, weights, means, variances, bars):
        super().__init__(np.ones(len(weights)), means, variances, bars)


class SignTurned(Sampler):
    sign = -1


class Score(Sampler):
    def noise(self, x, t):
        return -super().noise(x, t) / np.sqrt(1 - self.bars[int(t)])

    def move(self, x, t, s):
        return Sampler.move(_Fixed(self, x, t), x, t, s)


class _Fixed:
    def __init__(self, sampler, x, t):
        self.bars, self.right = sampler.bars, Sampler.noise(sampler, x, t)

    def noise(self, x, t):
        return self.right


class AlwaysOneBack(Sampler):
    def move(self, x, t, s):
        return super().move(x, t, t - 1)


class StopsEarly(Sampler):
    def sample(self, x, times):
        return super().sample(x, times[:-1]) if len(times) > 2 else np.asarray(x, np.float64)


class SameNoiseScale(Sampler):
    def move(self, x, t, s):
        noise = self.noise(x, t)
        x0 = (x - np.sqrt(1 - self.bars[t]) * noise) / np.sqrt(self.bars[t])
        return np.sqrt(self.bars[s]) * x0 + np.sqrt(1 - self.bars[t]) * noise


class OneStep(Sampler):
    def sample(self, x, times):
        return x - self.noise(x, times[0])


def _sampler_cases(rng: np.random.Generator) -> Iterator[Case]:
    one = (np.array([1.0]), np.array([[2.0]]), np.array([1.0]))
    yield steps(
        "by hand: one bump at 2, ᾱ = 0.36 and then 1", (*one, np.array([1.0, 0.36])),
        ("noise", np.array([[2.2]]), 1), ("sample", np.array([[2.2]]), np.array([1, 0])),
    )  # fmt: skip
    bars = np.concatenate([[1.0], np.cumprod(1 - rng.uniform(0.1, 0.5, 10))])
    two = (np.array([0.7, 0.3]), np.array([[-0.75], [0.75]]), np.array([0.05, 0.2]))
    x = rng.standard_normal((6, 1))
    yield steps(
        "the pixel, every time", (*two, bars), ("noise", x, 4), ("noise", x, 10),
        ("sample", x, np.arange(10, -1, -1)),
    )  # fmt: skip
    means = rng.standard_normal((3, 2))
    plane = (np.array([0.2, 0.5, 0.3]), means, rng.uniform(0.1, 0.6, 3))
    x = rng.standard_normal((5, 2))
    yield steps(
        "three bumps of the plane, some times left out", (*plane, bars),
        ("noise", x, 1), ("sample", x, np.array([10, 6, 3, 0])), ("sample", x, np.array([9, 2])),
    )  # fmt: skip
    far = 4000 * rng.standard_normal((4, 2))
    yield steps("far from every bump", (*plane, bars), ("noise", far, 5), ("sample", far, np.array([10, 5, 0])))
    yield steps("bumps without width", (*plane[:2], np.zeros(3), bars), ("noise", x, 3))


sampler = Exercise(
    id="diffusion.sampler",
    title="A sampler that knows the truth",
    name="Sampler",
    kind="class",
    points=4,
    reference=Sampler,
    cases=_sampler_cases,
    compare=Close(rtol=1e-4, atol=1e-6),
    mistakes=(
        Mistake("means_not_shrunk", MeansNotShrunk, "the forward process shrinks the bumps' means to √ᾱ_t m."),
        Mistake("variances_not_shrunk", NotWidened, "at time t a bump's variance is ᾱ_t v + 1 − ᾱ_t."),
        Mistake(
            "shares_of_the_start", PriorShares,
            "which bump x is from depends on x: weigh with p(k | x), not with the weights alone.",
        ),
        Mistake(
            "underflow", Underflow,
            "far from every bump all densities are 0, and 0/0 is no number: take logs, less their largest, before exp.",
        ),
        Mistake(
            "one_axis", OneAxis, "the density of N(m, u I) in D dimensions has the factor u^(−D/2), not u^(−1/2)."
        ),
        Mistake("no_weights", NoWeights, "p(k | x) is w_k N(x; mean_k, u_k), divided by the sum of these over all k."),
        Mistake("sign", SignTurned, "ε = −√(1 − ᾱ_t) · score: noise leads away from the data, the score towards it."),
        Mistake("score", Score, "`noise` returns the score; ε = −√(1 − ᾱ_t) · score."),
        Mistake("one_back", AlwaysOneBack, "from t it goes to the next of `times`, which may be several steps away."),
        Mistake("stops_early", StopsEarly, "the last step, to times[-1], is missing."),
        Mistake(
            "noise_of_before", SameNoiseScale, "at time s the noise gets √(1 − ᾱ_s), the factor of the new time."
        ),
        Mistake("one_step", OneStep, "this is the one-step formula x − ε; go along all the times."),
    ),
    withhold=OURS,
    hints=(
        "At time t the data are again a mixture: means √ᾱ_t m_k, variances ᾱ_t v_k + 1 − ᾱ_t, the same weights.",
        "score = Σ_k p(k | x) (mean_k − x) / variance_k, with p(k | x) from logs less their maximum; "
        "ε = −√(1 − ᾱ_t) · score.",
        "A step from t to s: x_0 = (x − √(1 − ᾱ_t) ε) / √ᾱ_t, then √ᾱ_s x_0 + √(1 − ᾱ_s) ε.",
    ),
    difficulty=4,
    importance=5,
    minutes=35,
)  # fmt: skip


# --- guidance -------------------------------------------------------------------------------------------------------


def guided(with_label, without, xt, bar_t, bar_s, g):
    """The reference."""
    return _guided(with_label, without, xt, bar_t, bar_s, g)


def _guided(with_label, without, xt, bar_t, bar_s, g, *, clipped=True, again=True, mix="right"):
    noise = {
        "right": lambda: without + g * (with_label - without),
        "paper": lambda: with_label + g * (with_label - without),
        "turned": lambda: with_label + g * (without - with_label),
        "plain": lambda: with_label,
    }[mix]()
    x0 = (xt - np.sqrt(1 - bar_t) * noise) / np.sqrt(bar_t)
    if clipped:
        x0 = np.clip(x0, -1, 1)
        if again:
            noise = (xt - np.sqrt(bar_t) * x0) / np.sqrt(1 - bar_t)
    return np.sqrt(bar_s) * x0 + np.sqrt(1 - bar_s) * noise


def _guided_with(**options) -> Callable:
    return lambda with_label, without, xt, bar_t, bar_s, g: _guided(with_label, without, xt, bar_t, bar_s, g, **options)


def _clipped_x(with_label, without, xt, bar_t, bar_s, g):
    return np.clip(_guided(with_label, without, xt, bar_t, bar_s, g, clipped=False), -1, 1)


def _guidance_cases(rng: np.random.Generator) -> Iterator[Case]:
    one, zero = np.array([1.0]), np.array([0.5])
    yield case("by hand: g = 1, nothing to clip", one, zero, np.array([1.1]), 0.36, 0.64, 1.0)
    yield case("by hand: g = 2", one, zero, np.array([1.9]), 0.36, 0.64, 2.0)
    for g in (0.0, 1.0, 3.0):
        with_label, without, x0 = rng.standard_normal((3, 4, 2))
        bar_t, bar_s = float(rng.uniform(0.2, 0.5)), float(rng.uniform(0.6, 0.9))
        xt = np.sqrt(bar_t) * np.tanh(x0) + np.sqrt(1 - bar_t) * with_label
        yield case(f"random, g = {g:g}", with_label, without, xt, bar_t, bar_s, g)
    yield case("the last step, g = 3", with_label, without, 3 * xt, bar_t, 1.0, 3.0)
    yield case("all of it clipped", with_label, without, 30 * np.sign(xt), bar_t, bar_s, 1.5)


guidance = Exercise(
    id="diffusion.guidance",
    title="A step with guidance",
    name="guided_step",
    kind="function",
    points=3,
    reference=guided,
    cases=_guidance_cases,
    compare=Close(rtol=1e-5, atol=1e-7),
    mistakes=(
        Mistake(
            "other_convention", _guided_with(mix="paper"),
            "with g = 1 this goes beyond the label already; here ε = ε(x) + g (ε(x, y) − ε(x)).",
        ),
        Mistake("turned_round", _guided_with(mix="turned"), "this leads away from the label."),
        Mistake("not_guided", _guided_with(mix="plain"), "this follows the label, whatever g is."),
        Mistake("not_clipped", _guided_with(clipped=False), "the predicted x_0 is to be clipped to −1 ... 1."),
        Mistake(
            "old_noise", _guided_with(again=False),
            "after clipping, x_0 and ε no longer make up x_t: compute ε anew from the clipped x_0.",
        ),
        Mistake("result_clipped", _clipped_x, "clip the predicted x_0, not the result of the step."),
    ),
    withhold=OURS,
    hints=(
        "First one ε out of two: at g = 0 it is `without`, at g = 1 it is `with_label`.",
        "Then x_0 = (x_t − √(1 − ᾱ_t) ε) / √ᾱ_t, clipped. Does x_t = √ᾱ_t x_0 + √(1 − ᾱ_t) ε still hold?",
        "ε = (x_t − √ᾱ_t x_0) / √(1 − ᾱ_t) with the clipped x_0; return √ᾱ_s x_0 + √(1 − ᾱ_s) ε.",
    ),
    difficulty=3,
    importance=4,
    minutes=20,
)  # fmt: skip


# --- a sampler that draws: a statistical check ----------------------------------------------------------------------

N_LINE, N_PIXEL, LOW, HIGH, Z, OFF = 4000, 10_000, 0.86, 1.15, 6.0, 0.035
TUTORIAL = np.concatenate([[1.0], np.cumprod(1 - np.linspace(1e-4, 0.02, 50))])
SHARES = {"tutorial": 0.400, "cosine": 0.295, "unequal": 0.3375}  # of DDPM's samples above 0, with the exact predictor


def ancestral(x, weights, means, variances, bars, seed):
    """The reference: the pixel's mixture, noise predictor and DDPM."""
    return _ancestral(x, weights, means, variances, bars, seed)


def _ancestral(x, weights, means, variances, bars, seed, *, variance="posterior", deaf=False, prior=False):
    rng = np.random.default_rng(seed)
    if deaf:
        k = rng.choice(len(weights), len(x), p=weights)
        return means[k] + np.sqrt(variances[k]) * rng.standard_normal(len(x))
    x = np.asarray(x, np.float64)
    for t in range(len(bars) - 1, 0, -1):
        bar, before = bars[t], bars[t - 1]
        v, m = bar * variances + 1 - bar, np.sqrt(bar) * means
        logs = np.log(weights) - np.log(v) / 2 - (x[:, None] - m) ** 2 / (2 * v)
        share = np.exp(logs - logs.max(axis=1, keepdims=True))
        share = weights * np.ones_like(share) if prior else share / share.sum(axis=1, keepdims=True)
        noise = -np.sqrt(1 - bar) * (share * (m - x[:, None]) / v).sum(axis=1)
        beta = 1 - bar / before
        x = (x - beta / np.sqrt(1 - bar) * noise) / np.sqrt(1 - beta)
        var = {"posterior": beta * (1 - before) / (1 - bar), "beta": beta, "none": 0.0}[variance]
        x = x + np.sqrt(var) * rng.standard_normal(x.shape)
    return x


def line(mean: float, variance: float, bars: np.ndarray) -> tuple[float, float, float]:
    """With one bump every step is linear in x, so x_0 = a x_T + b + √c z exactly: a, b and c."""
    a, b, c = 1.0, 0.0, 0.0
    for t in range(len(bars) - 1, 0, -1):
        bar, before = bars[t], bars[t - 1]
        beta, v = 1 - bar / before, bar * variance + 1 - bar
        slope = (1 - beta / v) / np.sqrt(1 - beta)
        a, b, c = a * slope, b * slope + beta / v * np.sqrt(bar) * mean / np.sqrt(1 - beta), c * slope**2
        c += beta * (1 - before) / (1 - bar)
    return a, b, c


def _fault(case: Case, values: list) -> tuple[str, str] | None:
    """What is wrong with a case's samples: a key, and the sentence."""
    x = case.calls[0].args[0]
    for value in values:
        if np.shape(value) != x.shape:
            return "form", f"shape is {np.shape(value)}, expected {x.shape}: one sample for each x_T"
    values, secret = [np.asarray(value, np.float64) for value in values], case.secret
    if "share" in secret:
        found = float(np.mean(values[0] > 0))
        if abs(found - secret["share"]) > OFF:
            return "share", f"{found:.3f} of the samples are above 0, expected {secret['share']:.2f} ± {OFF}"
        return None
    a, b, c = secret["line"]
    for value in values[:2]:
        rest = (value - a * x - b) / np.sqrt(c)
        if np.abs(rest).max() > 1e4:
            return "far", "there are samples far from any bump"
        size = float(np.mean(rest**2))
        slope = float((rest * x).sum() / np.sqrt((x**2).sum()))
        centre = float(rest.sum() / np.sqrt(len(rest)))
        if max(abs(slope), abs(centre)) > Z * max(1.0, np.sqrt(size)):
            return "elsewhere", "the mean of x_0 given x_T is not that of the sampler's steps"
        if not LOW < size < HIGH:
            kind = "narrow" if size < LOW else "wide"
            return kind, f"given x_T, the variance of x_0 is {size:.2f} times what the sampler's steps give"
    if np.array_equal(values[0], values[1]):
        return "same", "two seeds gave the same samples"
    if not np.allclose(values[0], values[2]):
        return "unseeded", "the same seed, twice, gave two sets of samples"
    return None


def _draw_rule(case: Case, values: list) -> str | None:
    found = _fault(case, values)
    return found and found[1]


def _fault_is(*keys: str) -> Callable[[Case, list], bool]:
    return lambda case, values: (_fault(case, values) or ("",))[0] in keys


def _draw_cases(rng: np.random.Generator) -> Iterator[Case]:
    for T in (3, 8):
        bars = np.concatenate([[1.0], np.cumprod(1 - np.sort(rng.uniform(0.2, 0.5, T)))])
        mean, variance, x = float(rng.uniform(-1, 1)), float(rng.uniform(0.3, 0.6)), rng.standard_normal(N_LINE)
        bump = np.ones(1), np.array([mean]), np.array([variance])
        one, other = rng.choice(2**31, 2, replace=False).tolist()
        thrice = [(x, *bump, bars, seed) for seed in (one, other, one)]
        yield calls(f"one bump, {T} steps", thrice, secret={"line": line(mean, variance, bars)})
    places = np.array([-0.75, 0.75])
    pixel = np.array([0.7, 0.3]), places, np.array([0.01, 0.01])
    unequal = np.array([0.6, 0.4]), places, np.array([0.01, 0.5])
    for name, mixture, bars in (
        ("tutorial", pixel, TUTORIAL), ("cosine", pixel, cosine(50)), ("unequal", unequal, cosine(50)),
    ):  # fmt: skip
        x = rng.standard_normal(N_PIXEL)
        title = "two bumps of unequal width" if name == "unequal" else f"the pixel, {name} schedule"
        yield case(title, x, *mixture, bars, int(rng.integers(2**31)), secret={"share": SHARES[name]})


draw = Exercise(
    id="diffusion.draw",
    title="Draw from the pixel",
    name="draw",
    kind="property",
    points=4,
    reference=ancestral,
    cases=_draw_cases,
    compare=Holds(
        _draw_rule,
        false_fail=FalseFail(
            1e-7,
            "With one bump x_0 given x_T is exactly Gaussian: what is left of it, standardised, has a mean square that "
            "leaves 0.86 to 1.15 with probability below 3e-9 (Chernoff, 4,000 samples), and a mean and a slope beyond "
            "six standard errors with 2e-9 each; four gradings of that. The share above 0 of 10,000 samples leaves "
            "± 0.035 of what was measured with a million samples or more with probability below 1e-8, thrice. Assumed: "
            "the student's generator draws independent normal numbers.",
        ),
    ),
    mistakes=(
        Mistake(
            "nothing_drawn", lambda *a: _ancestral(*a, variance="none"),
            "too little spread: √variance · z is added in every step but the last.",
            when=_fault_is("narrow"),
        ),
        Mistake(
            "larger_variance", lambda *a: _ancestral(*a, variance="beta"),
            "too much spread: the variance of a step is β_t (1 − ᾱ_{t−1}) / (1 − ᾱ_t), which is 0 at t = 1, and each "
            "step draws a new z: make the generator once, before the loop.",
            when=_fault_is("wide"),
        ),
        Mistake(
            "not_from_the_noise", lambda *a: _ancestral(*a, deaf=True),
            "the samples do not depend on x_T as they should: start from the x that is given, go back step by "
            "step from T to 1, and draw one z for each sample.",
            when=_fault_is("elsewhere"),
        ),
        Mistake(
            "one_seed", lambda *a: _ancestral(*a[:5], 0),
            "`seed` is ignored: another seed gives other samples.",
            when=_fault_is("same"),
        ),
        Mistake(
            "no_seed", lambda *a: _ancestral(*a[:5], None),
            "the samples cannot be repeated: make the generator from `seed`, np.random.default_rng(seed).",
            when=_fault_is("unseeded"),
        ),
        Mistake(
            "shares", lambda *a: _ancestral(*a, prior=True),
            "one bump is right, two are not: look at p(k | x), which is w_k N(x; m, v) divided by its sum over k, "
            "where N(x; m, v) has the factor 1/√v.",
            when=_fault_is("share"),
        ),
    ),
    withhold=OURS,
    hints=(
        "Three pieces: the exact noise of a mixture at time t, one step of DDPM, and a loop from T down to 1.",
        "In one dimension: m = √ᾱ_t means, v = ᾱ_t variances + 1 − ᾱ_t; p(k | x) from weights · N(x; m, v).",
        "x ← (x − β_t / √(1 − ᾱ_t) ε) / √(1 − β_t) + √(β_t (1 − ᾱ_{t−1}) / (1 − ᾱ_t)) z, β_t = 1 − ᾱ_t / ᾱ_{t−1}.",
    ),
    difficulty=4,
    importance=5,
    minutes=30,
)  # fmt: skip

essay = text_exercise("diffusion.essay", "The friend's sampler", points=3, difficulty=3, importance=5, minutes=15)

EXERCISES = (enough, forward, schedule, predictions, step, sampler, guidance, draw, essay)
