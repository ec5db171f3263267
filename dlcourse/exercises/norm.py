"""The exercises of ``10_normalisation``: batch norm forward and back, group norm, dropout, decay in Adam, patience,
adaptive clipping."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dlcourse import norm, optim, regularization
from dlcourse.exercises.compare import Close
from dlcourse.exercises.offered import AUTODIFF, AUTOGRAD, DROPOUT, NORMALISATION, OPTIMISERS
from dlcourse.exercises.spec import Case, Exercise, Mistake, case, steps, text_exercise

# --- A number: who shares a mean? -----------------------------------------------------------------------------------

shared_number = Exercise(
    id="norm.shared_number",
    title="Who shares a mean?",
    name="shared",
    kind="number",
    points=1,
    reference=64 // 4 * 14 * 14,
    cases=lambda rng: [Case("group norm, 4 groups, on 32 images of 64 channels, 14×14")],
    compare=Close(rtol=0, atol=0),
    mistakes=(
        Mistake("whole_batch", 32 * 16 * 14 * 14, "this counts all images; group norm looks at one example."),
        Mistake("layer_norm", 64 * 14 * 14, "this is one mean for all channels of an image; there are 4 groups."),
        Mistake("batch_norm", 32 * 14 * 14, "this is one channel of all images: batch norm. Group norm looks at one."),
        Mistake("instance_norm", 14 * 14, "this is one channel; a group has several."),
        Mistake("groups_for_channels", 4 * 14 * 14, "4 is the number of groups, not of the channels in one."),
        Mistake("pixels_forgotten", 16, "this counts the channels of a group; each has many pixels."),
    ),
    hints=(
        "How many channels are in a group? And how many numbers does a channel of one image have?",
        "64 channels in 4 groups: 16 in each. A channel has 14 · 14 pixels. The batch does not matter.",
        "16 · 14 · 14; an expression is fine.",
    ),
    difficulty=1,
    importance=4,
    minutes=5,
)


# --- batch norm as a class ------------------------------------------------------------------------------------------


class BatchNorm:
    """The reference."""

    unbiased, swapped, outside, batch_at_test = True, False, False, False

    def __init__(self, gamma, beta, momentum, eps):
        self.gamma, self.beta, self.momentum, self.eps = gamma, beta, momentum, eps
        self.mean, self.var = np.zeros_like(gamma), np.ones_like(gamma)

    def train(self, x):
        mean, var = x.mean(axis=0), x.var(axis=0)
        share = 1 - self.momentum if self.swapped else self.momentum
        kept = x.var(axis=0, ddof=1) if self.unbiased else var
        self.mean = (1 - share) * self.mean + share * mean
        self.var = (1 - share) * self.var + share * kept
        return self._scaled(x, mean, var)

    def test(self, x):
        if self.batch_at_test:
            return self._scaled(x, x.mean(axis=0), x.var(axis=0))
        return self._scaled(x, self.mean, self.var)

    def _scaled(self, x, mean, var):
        std = np.sqrt(var) + self.eps if self.outside else np.sqrt(var + self.eps)
        return self.gamma * (x - mean) / std + self.beta


class BiasedRunning(BatchNorm):
    unbiased = False


class SwappedMomentum(BatchNorm):
    swapped = True


class EpsOutside(BatchNorm):
    outside = True


class BatchAtTest(BatchNorm):
    batch_at_test = True


class NoShift(BatchNorm):
    def _scaled(self, x, mean, var):
        return (x - mean) / np.sqrt(var + self.eps)


class UnbiasedBatch(BatchNorm):
    def train(self, x):
        super().train(x)
        return self._scaled(x, x.mean(axis=0), x.var(axis=0, ddof=1))


class VarianceFromZero(BatchNorm):
    def __init__(self, gamma, beta, momentum, eps):
        super().__init__(gamma, beta, momentum, eps)
        self.var = np.zeros_like(gamma)


class DividedByVariance(BatchNorm):
    def _scaled(self, x, mean, var):
        return self.gamma * (x - mean) / (var + self.eps) + self.beta


class TrainsWithRunning(BatchNorm):
    def train(self, x):
        super().train(x)
        return self.test(x)


class LearnsInTest(BatchNorm):
    def test(self, x):
        out = super().test(x)
        self.train(x)
        return out


def _batch_norm_cases(rng: np.random.Generator) -> Iterator[Case]:
    x = np.array([[1.0], [3.0]])
    one = np.ones(1)
    yield steps("by hand", (one, 0 * one, 0.5, 0.0), ("train", x), (".mean",), (".var",), ("test", x))
    gamma, beta = rng.normal(size=(2, 3))
    batches = [rng.normal(size=(n, 3)) * [0.5, 2, 7] + [0.4, -1, 2] for n in (5, 8, 4)]
    told = [("train", b) for b in batches]
    yield steps("three batches", (gamma, beta, 0.3, 1e-5), *told, (".mean",), (".var",))
    new = rng.normal(size=(4, 3))
    yield steps("new examples", (gamma, beta, 0.1, 1e-5), *told, ("test", new), ("test", new[:1]))
    yield steps("before any batch", (gamma, beta, 0.1, 1e-5), ("test", new))
    flat = np.column_stack([np.full(6, 2.0), rng.normal(size=(6, 2))])
    yield steps("a constant channel, a large eps", (gamma, beta, 0.2, 0.5), ("train", flat), ("test", flat))


batch_norm = Exercise(
    id="norm.batch_norm",
    title="Batch norm, with a memory",
    name="BatchNorm",
    kind="class",
    points=4,
    reference=BatchNorm,
    cases=_batch_norm_cases,
    compare=Close(rtol=1e-4, atol=1e-6),
    mistakes=(
        Mistake(
            "running_variance_biased",
            BiasedRunning,
            "the batch is normalised well; the running variance takes the batch's variance with the divisor N − 1.",
        ),
        Mistake("momentum_swapped", SwappedMomentum, "momentum is the share of the new batch, not of the old value."),
        Mistake("eps_outside_the_root", EpsOutside, "eps is added to the variance, under the root."),
        Mistake(
            "batch_statistics_at_test",
            BatchAtTest,
            "at test time an example must not depend on the others: use what training gathered.",
        ),
        Mistake("no_gamma_and_beta", NoShift, "normalised well; gamma and beta are missing."),
        Mistake(
            "batch_normalised_with_n_minus_1",
            UnbiasedBatch,
            "the batch itself is normalised with the divisor N; N − 1 is for the running variance.",
        ),
        Mistake("variance_from_zero", VarianceFromZero, "the running variance starts at 1, not at 0."),
        Mistake("no_root", DividedByVariance, "you divide by the variance; divide by its square root."),
        Mistake(
            "running_statistics_in_training",
            TrainsWithRunning,
            "in training a batch is normalised with its own mean and variance; the running ones are for `test`.",
        ),
        Mistake("learns_in_test", LearnsInTest, "`test` uses `mean` and `var` and leaves them as they are."),
    ),
    withhold=NORMALISATION,
    hints=(
        "Two pairs of mean and variance: the batch's, for training, and the running pair, for testing.",
        "train: x̂ = (x − mean) / √(var + eps) with x.var(axis=0); then r = (1 − momentum) r + momentum new.",
        "The running variance takes x.var(axis=0, ddof=1). test: the same formula with self.mean and self.var.",
    ),
    difficulty=3,
    importance=5,
    minutes=25,
)


# --- batch norm backward --------------------------------------------------------------------------------------------


def backward(dout, x, gamma, eps):
    """The reference."""
    cache = norm.batch_norm_forward(np.asarray(x), np.asarray(gamma), np.zeros_like(gamma), eps=eps)[1]
    return norm.batch_norm_backward(np.asarray(dout), cache)


def _parts(dout, x, gamma, eps):
    std = np.sqrt(x.var(axis=0) + eps)
    x_hat = (x - x.mean(axis=0)) / std
    return x_hat, std, (dout * x_hat).sum(axis=0), dout.sum(axis=0)


def _constants(dout, x, gamma, eps):
    _, std, dgamma, dbeta = _parts(dout, x, gamma, eps)
    return gamma / std * dout, dgamma, dbeta


def _no_variance(dout, x, gamma, eps):
    _, std, dgamma, dbeta = _parts(dout, x, gamma, eps)
    return gamma / std * (dout - dbeta / len(x)), dgamma, dbeta


def _no_mean(dout, x, gamma, eps):
    x_hat, std, dgamma, dbeta = _parts(dout, x, gamma, eps)
    return gamma / std * (dout - x_hat * dgamma / len(x)), dgamma, dbeta


def _n_minus_one(dout, x, gamma, eps):
    std = np.sqrt(x.var(axis=0, ddof=1) + eps)
    x_hat = (x - x.mean(axis=0)) / std
    dgamma, dbeta = (dout * x_hat).sum(axis=0), dout.sum(axis=0)
    return gamma / std * (dout - dbeta / len(x) - x_hat * dgamma / len(x)), dgamma, dbeta


def _sums(dout, x, gamma, eps):
    x_hat, std, dgamma, dbeta = _parts(dout, x, gamma, eps)
    return gamma / std * (dout - dbeta - x_hat * dgamma), dgamma, dbeta


def _gamma_lost(dout, x, gamma, eps):
    _, dgamma, dbeta = backward(dout, x, gamma, eps)
    return backward(dout, x, np.ones_like(gamma), eps)[0], dgamma, dbeta


def _with_x(dout, x, gamma, eps):
    dx, _, dbeta = backward(dout, x, gamma, eps)
    return dx, (dout * x).sum(axis=0), dbeta


def _means(dout, x, gamma, eps):
    dx, dgamma, dbeta = backward(dout, x, gamma, eps)
    return dx, dgamma / len(x), dbeta / len(x)


def _backward_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield case("by hand", np.array([[1.0], [0.0]]), np.array([[1.0], [3.0]]), np.array([2.0]), 3.0)
    dout, x, gamma = rng.normal(size=(6, 4)), 3 + 2 * rng.normal(size=(6, 4)), rng.normal(size=4)
    yield case("six examples, four channels", dout, x, gamma, 1e-5)
    yield case("one channel", dout[:, :1], x[:, :1], gamma[:1], 1e-5)
    yield case("a large eps", dout, x, gamma, 4.0)
    yield case("many examples", rng.normal(size=(50, 3)), rng.normal(size=(50, 3)), rng.normal(size=3), 1e-3)


batch_backward = Exercise(
    id="norm.batch_backward",
    title="Batch norm, backwards",
    name="batch_norm_backward",
    kind="function",
    points=4,
    reference=backward,
    cases=_backward_cases,
    compare=Close(rtol=1e-4, atol=1e-6),
    mistakes=(
        Mistake(
            "statistics_as_constants",
            _constants,
            "this takes μ and σ for constants. Each x moves them, and so moves all other outputs of its channel.",
        ),
        Mistake("variance_as_constant", _no_variance, "the way through the mean is there; that through σ is missing."),
        Mistake("mean_as_constant", _no_mean, "the way through σ is there; that through μ is missing."),
        Mistake(
            "divisor_n_minus_1", _n_minus_one, "the batch's variance has the divisor N here, as in the forward pass."
        ),
        Mistake(
            "eps_forgotten",
            lambda dout, x, gamma, eps: backward(dout, x, gamma, 0.0),
            "right where eps is small. σ is √(variance + eps), in the backward pass too.",
        ),
        Mistake("sums_for_means", _sums, "the two terms that are subtracted from dout are means over the batch."),
        Mistake("gamma_forgotten", _gamma_lost, "dx lacks the factor gamma."),
        Mistake("dgamma_with_x", _with_x, "dgamma sums dout times the normalised x̂, not times x."),
        Mistake("means_for_parameters", _means, "dgamma and dbeta are sums over the examples; the loss has its 1/N."),
    ),
    withhold=(*NORMALISATION, *AUTOGRAD, *AUTODIFF),
    hints=(
        "First x̂ and σ again, then dgamma and dbeta: two sums over the examples.",
        "dx has three terms: dout itself, less its mean, less x̂ times the mean of dout · x̂.",
        "dx = gamma / σ · (dout − dbeta / N − x̂ · dgamma / N), with σ = √(var + eps).",
    ),
    difficulty=4,
    importance=4,
    minutes=30,
)


# --- group norm -----------------------------------------------------------------------------------------------------


def group_forward(x, gamma, beta, groups, eps):
    """The reference."""
    return norm.group_norm_forward(np.asarray(x), np.asarray(gamma), np.asarray(beta), groups, eps=eps)[0]


def _over(x, axes, eps):
    with np.errstate(invalid="ignore"):  # one value alone and eps 0: 0 / 0
        return (x - x.mean(axis=axes, keepdims=True)) / np.sqrt(x.var(axis=axes, keepdims=True) + eps)


def _grouped(x, groups, axes, eps, ddof=0, outside=False):
    rows = x.reshape(len(x), groups, -1)
    mean, var = rows.mean(axis=axes, keepdims=True), rows.var(axis=axes, keepdims=True, ddof=ddof)
    return ((rows - mean) / (np.sqrt(var) + eps if outside else np.sqrt(var + eps))).reshape(x.shape)


def _shifted(x_hat, gamma, beta):
    return x_hat * gamma[:, None, None] + beta[:, None, None]


def _interleaved(x, gamma, beta, groups, eps):
    N, C, H, W = x.shape
    x_hat = _over(x.reshape(N, C // groups, groups, H, W), (1, 3, 4), eps).reshape(x.shape)
    return _shifted(x_hat, gamma, beta)


def _pixelwise(x, gamma, beta, groups, eps):
    N, _, H, W = x.shape
    return _shifted(_over(x.reshape(N, groups, -1, H, W), 2, eps).reshape(x.shape), gamma, beta)


def _groups_as_size(x, gamma, beta, groups, eps):
    return group_forward(x, gamma, beta, x.shape[1] // groups, eps)


def _group_cases(rng: np.random.Generator) -> Iterator[Case]:
    x = np.array([1.0, 3.0, 10.0, 20.0]).reshape(1, 4, 1, 1)
    yield case("by hand: four channels of one pixel", x, np.ones(4), np.zeros(4), 2, 0.0)
    x = rng.normal(size=(3, 6, 4, 5)) * rng.uniform(0.5, 4, (3, 6, 1, 1)) + rng.normal(size=(3, 6, 1, 1))
    gamma, beta = rng.normal(size=(2, 6))
    for groups in (3, 2, 1, 6):
        yield case(f"six channels, groups: {groups}", x, gamma, beta, groups, 1e-5)
    yield case("one image, a large eps", x[:1], gamma, beta, 2, 2.0)


group_norm = Exercise(
    id="norm.group_norm",
    title="Group norm",
    name="group_norm",
    kind="function",
    points=3,
    reference=group_forward,
    cases=_group_cases,
    compare=Close(rtol=1e-5, atol=1e-6),
    mistakes=(
        Mistake(
            "batch_norm",
            lambda x, gamma, beta, groups, eps: _shifted(_over(x, (0, 2, 3), eps), gamma, beta),
            "this is batch norm: the images share their statistics. Each image has its own here.",
        ),
        Mistake(
            "instance_norm",
            lambda x, gamma, beta, groups, eps: _shifted(_over(x, (2, 3), eps), gamma, beta),
            "this is instance norm: every channel alone. The channels of a group share mean and variance.",
        ),
        Mistake(
            "layer_norm",
            lambda x, gamma, beta, groups, eps: _shifted(_over(x, (1, 2, 3), eps), gamma, beta),
            "this takes all channels together, whatever `groups` is.",
        ),
        Mistake(
            "groups_over_the_batch",
            lambda x, gamma, beta, groups, eps: _shifted(_grouped(x, groups, (0, 2), eps), gamma, beta),
            "right for one image. Your images share their statistics; each image has its own.",
        ),
        Mistake(
            "divisor_n_minus_1",
            lambda x, gamma, beta, groups, eps: _shifted(_grouped(x, groups, 2, eps, ddof=1), gamma, beta),
            "the variance is divided by the number of values, not by one less.",
        ),
        Mistake(
            "eps_outside_the_root",
            lambda x, gamma, beta, groups, eps: _shifted(_grouped(x, groups, 2, eps, outside=True), gamma, beta),
            "eps is added to the variance, under the root.",
        ),
        Mistake("interleaved", _interleaved, "a group is made of neighbouring channels: 0, 1, 2 and not 0, 2, 4."),
        Mistake("pixels_apart", _pixelwise, "a group's mean runs over its pixels too."),
        Mistake("size_for_count", _groups_as_size, "`groups` is the number of groups, not of the channels in one."),
        Mistake(
            "no_gamma_and_beta",
            lambda x, gamma, beta, groups, eps: group_forward(x, np.ones_like(gamma), 0 * gamma, groups, eps),
            "normalised well; gamma and beta, one a channel, are missing.",
        ),
    ),
    withhold=NORMALISATION,
    hints=(
        "Reshape so that all numbers that share a mean lie along the last axis.",
        "x.reshape(N, groups, -1): a row holds C/groups neighbouring channels with all their pixels.",
        "Normalise along axis 2, reshape back to x.shape, then gamma[:, None, None] · x̂ + beta[:, None, None].",
    ),
    difficulty=3,
    importance=4,
    minutes=20,
)


# --- dropout --------------------------------------------------------------------------------------------------------


def dropout_pair(x, dout, u, p):
    """The reference."""
    mask = (np.asarray(u) >= p) / (1 - p)
    return x * mask, dout * mask


def _scaled_by_p(x, dout, u, p):
    with np.errstate(divide="ignore", invalid="ignore"):  # p = 0
        mask = (u >= p) / np.float64(p)
        return x * mask, dout * mask


def _dropout_cases(rng: np.random.Generator) -> Iterator[Case]:
    u = np.array([0.1, 0.7, 0.5])
    yield case("by hand", np.array([1.0, 2.0, 3.0]), np.ones(3), u, 0.5)
    for p in (0.2, 0.8):
        x, dout, u = rng.normal(size=(4, 5)), rng.normal(size=(4, 5)), rng.random((4, 5))
        yield case(f"p = {p}", x, dout, u, p)
    yield case("nothing is dropped", x, dout, u, 0.0)
    yield case("images", rng.normal(size=(2, 3, 4, 4)), rng.normal(size=(2, 3, 4, 4)), rng.random((2, 3, 4, 4)), 0.5)


dropout = Exercise(
    id="norm.dropout",
    title="Inverted dropout",
    name="dropout",
    kind="function",
    points=2,
    reference=dropout_pair,
    cases=_dropout_cases,
    compare=Close(rtol=1e-5, atol=1e-7),
    mistakes=(
        Mistake(
            "not_scaled",
            lambda x, dout, u, p: (x * (u >= p), dout * (u >= p)),
            "the right ones are dropped, but the rest is not scaled up, so that the mean shrinks.",
        ),
        Mistake(
            "kept_with_p",
            lambda x, dout, u, p: (x * (u < p) / max(p, 1e-9), dout * (u < p) / max(p, 1e-9)),
            "p is the share that is dropped; you keep that share.",
        ),
        Mistake(
            "dropped_above_p",
            lambda x, dout, u, p: (x * (u < p) / (1 - p), dout * (u < p) / (1 - p)),
            "you keep what is to be dropped: dropped is where u < p.",
        ),
        Mistake("scaled_by_p", _scaled_by_p, "what stays is the share 1 − p; divide by that."),
        Mistake(
            "dropped_at_p",
            lambda x, dout, u, p: (x * (u > p) / (1 - p), dout * (u > p) / (1 - p)),
            "a value with u = p stays: dropped is where u < p.",
        ),
        Mistake(
            "scaled_the_other_way",
            lambda x, dout, u, p: (x * (u >= p) * (1 - p), dout * (u >= p) * (1 - p)),
            "multiplied by 1 − p where it should be divided: the mean is to stay that of x.",
        ),
        Mistake(
            "gradient_not_masked",
            lambda x, dout, u, p: (dropout_pair(x, dout, u, p)[0], dout),
            "out is right. What was dropped has no effect on the loss, so its gradient is 0.",
        ),
        Mistake(
            "gradient_not_scaled",
            lambda x, dout, u, p: (dropout_pair(x, dout, u, p)[0], dout * (u >= p)),
            "out is right. The gradient of x · mask is dout · mask, with the scale in the mask.",
        ),
    ),
    withhold=DROPOUT,
    hints=(
        "Make one array, the mask, and use it twice.",
        "The mask is 0 where u < p, and elsewhere the number that keeps the expectation: (1 − p) · ? = 1.",
        "mask = (u >= p) / (1 - p); return x * mask, dout * mask.",
    ),
    difficulty=1,
    importance=5,
    minutes=10,
)


# --- decay in Adam --------------------------------------------------------------------------------------------------


def adam_decay(p, gradients, lr, lam, decoupled):
    """The reference: the parameters after each step."""
    step = optim.adamw_step if decoupled else optim.adam_step
    return _run(p, gradients, lambda p, g, memory: step(p, g, memory, lr=lr, weight_decay=lam))


def _run(p, gradients, step):
    p, memory, seen = np.asarray(p, dtype=float), {}, []
    for g in gradients:
        p, memory = step(p, np.asarray(g, dtype=float), memory)
        seen.append(p)
    return np.array(seen)


def _decay_after(p, gradients, lr, lam, decoupled):
    def step(p, g, memory):
        new, memory = optim.adam_step(p, g, memory, lr=lr)
        return (1 - lr * lam) * new, memory

    return _run(p, gradients, step) if decoupled else adam_decay(p, gradients, lr, lam, False)


def _no_rate(p, gradients, lr, lam, decoupled):
    return _run(p, gradients, lambda p, g, m: optim.adam_step((1 - lam) * p, g, m, lr=lr)) if decoupled else (
        adam_decay(p, gradients, lr, lam, False)
    )  # fmt: skip


def _by_hand(p, gradients, lr, lam, decoupled, corrected=True, first=1, under_root=False):
    p, m, s, seen = np.asarray(p, dtype=float), 0.0, 0.0, []
    for t, g in enumerate(gradients, first):
        g = g if decoupled else g + lam * p
        p = (1 - lr * lam) * p if decoupled else p
        m, s = 0.9 * m + 0.1 * g, 0.999 * s + 0.001 * g * g
        with np.errstate(divide="ignore", invalid="ignore"):  # t = 0
            mean, square = (m / (1 - np.float64(0.9) ** t), s / (1 - np.float64(0.999) ** t)) if corrected else (m, s)
            p = p - lr * mean / (np.sqrt(square + 1e-8) if under_root else np.sqrt(square) + 1e-8)
        seen.append(p)
    return np.array(seen)


def _decay_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield case("one step by hand, decoupled", np.array([1.0]), np.array([[2.0]]), 0.1, 0.5, True)
    yield case("one step by hand, L2", np.array([1.0]), np.array([[2.0]]), 0.1, 0.5, False)
    sizes = np.array([0.01, 0.1, 1.0, 10.0])
    p, gradients = rng.normal(size=4), rng.normal(size=(12, 4)) * sizes
    for decoupled in (True, False):
        name = "decoupled" if decoupled else "L2"
        yield case(f"gradients of all sizes, {name}", p, gradients, 0.05, 0.3, decoupled)
    yield case("no decay", p, gradients, 0.05, 0.0, True)
    yield case("no gradient, L2", p, 0 * gradients[:3], 0.05, 0.3, False)
    yield case("no gradient, decoupled", p, 0 * gradients[:3], 0.05, 0.3, True)
    yield case("gradients as small as eps", p, 1e-8 * rng.normal(size=(5, 4)), 0.05, 0.3, True)


decay = Exercise(
    id="norm.adam_decay",
    title="Two ways to decay",
    name="adam_decay",
    kind="function",
    points=3,
    reference=adam_decay,
    cases=_decay_cases,
    compare=Close(rtol=1e-5, atol=1e-7),
    mistakes=(
        Mistake(
            "always_l2",
            lambda p, gradients, lr, lam, decoupled: adam_decay(p, gradients, lr, lam, False),
            "L2 is right. Decoupled decay must not go through m and s: it shrinks p itself.",
        ),
        Mistake(
            "always_decoupled",
            lambda p, gradients, lr, lam, decoupled: adam_decay(p, gradients, lr, lam, True),
            "decoupled decay is right. An L2 penalty adds λ p to the gradient, before m and s see it.",
        ),
        Mistake(
            "swapped",
            lambda p, gradients, lr, lam, decoupled: adam_decay(p, gradients, lr, lam, not decoupled),
            "the two ways are swapped.",
        ),
        Mistake("decay_without_lr", _no_rate, "the decay of one step is lr · λ, not λ."),
        Mistake("decay_after_the_step", _decay_after, "shrink p before Adam's step, not after it."),
        Mistake(
            "no_bias_correction",
            lambda *given: _by_hand(*given, corrected=False),
            "m and s start at 0: divide them by 1 − βᵗ.",
        ),
        Mistake(
            "counted_from_zero",
            lambda *given: _by_hand(*given, first=0),
            "in your first step t is 0, and 1 − β⁰ is 0: you divide by zero. The first step has t = 1.",
        ),
        Mistake(
            "eps_under_the_root",
            lambda *given: _by_hand(*given, under_root=True),
            "right where the gradients are not tiny. eps is added to the root, not under it.",
        ),
        Mistake(
            "one_array_for_all_steps",
            lambda p, gradients, *settings: np.repeat(adam_decay(p, gradients, *settings)[-1:], len(gradients), axis=0),
            "all your rows show the last step: `p -= ...` changes the array that you have put into the list. "
            "Put in a copy, or write `p = p - ...`.",
        ),
    ),
    withhold=OPTIMISERS,
    hints=(
        "Write Adam for one step first; then put λ in at one of two places.",
        "L2: g = g + λ p, and then all as usual. Decoupled: p = (1 − lr λ) p, and g stays what it is.",
        "m = 0.9 m + 0.1 g; s = 0.999 s + 0.001 g²; p = p − lr · (m / (1 − 0.9ᵗ)) / (√(s / (1 − 0.999ᵗ)) + 1e-8).",
    ),
    difficulty=3,
    importance=4,
    minutes=25,
)


# --- patience -------------------------------------------------------------------------------------------------------


def patience_rule(losses, patience, min_delta):
    """The reference."""
    return tuple(regularization.early_stop(losses, patience, min_delta))


def _patient(losses, patience, min_delta, wait=0, strict=True, previous=False):
    best, best_loss, before, since = 0, float("inf"), float("inf"), 0
    for epoch, loss in enumerate(losses):
        against = before if previous else best_loss
        if loss < against - min_delta if strict else loss <= against - min_delta:
            best, best_loss, since = epoch, loss, 0
        else:
            since += 1
        if since >= patience + wait:
            return best, epoch
        before = loss
    return best, len(losses) - 1


def _impatient(losses, patience, min_delta):
    best, without = 0, 0
    for epoch, loss in enumerate(losses):
        if epoch and loss < losses[best] - min_delta:
            best = epoch
        elif epoch:
            without += 1
        if without >= patience:
            return best, epoch
    return best, len(losses) - 1


def _epochs_counted(losses, patience, min_delta):
    """Where patience does not run out, the number of epochs for the last one."""
    best, last = patience_rule(losses, patience, min_delta)
    return best, last + (last - best < patience)


def _stop_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield case("by hand", [1.0, 0.8, 0.9, 0.7, 0.75, 0.72, 0.71, 0.6], 3, 0.0)
    yield case("a longer patience", [1.0, 0.8, 0.9, 0.7, 0.75, 0.72, 0.71, 0.6], 4, 0.0)
    yield case("equal is no improvement", [0.5, 0.5, 0.5, 0.4], 2, 0.0)
    yield case("small steps do not count", [1.0, 0.95, 0.9, 0.85, 0.8], 3, 0.12)
    yield case("it only falls", [0.9, 0.8, 0.7], 1, 0.0)
    yield case("one epoch", [0.3], 2, 0.0)
    curve = 1 / (1 + 0.3 * np.arange(40)) + 0.01 * np.arange(40) + 0.03 * rng.normal(size=40)
    for patience in (1, 3, 6):
        yield case(f"a noisy curve, patience {patience}", curve.tolist(), patience, 0.005)
    saw = 0.5 - 0.002 * np.arange(30) + 0.1 * (np.arange(30) % 2)
    yield case("up and down", saw.tolist(), 5, 0.02)


early_stop = Exercise(
    id="norm.early_stop",
    title="Patience",
    name="early_stop",
    kind="function",
    points=2,
    reference=patience_rule,
    cases=_stop_cases,
    compare=Close(rtol=0, atol=0),
    mistakes=(
        Mistake(
            "last_for_best",
            lambda losses, patience, min_delta: (patience_rule(losses, patience, min_delta)[1],) * 2,
            "training stops at the right epoch; the weights that are kept are those of the best epoch.",
        ),
        Mistake(
            "one_epoch_too_patient",
            lambda losses, patience, min_delta: _patient(losses, patience, min_delta, wait=1),
            "you wait for one epoch more than `patience`.",
        ),
        Mistake(
            "min_delta_ignored",
            lambda losses, patience, min_delta: patience_rule(losses, patience, 0.0),
            "an improvement must be larger than min_delta to count.",
        ),
        Mistake(
            "compared_with_the_epoch_before",
            lambda losses, patience, min_delta: _patient(losses, patience, min_delta, previous=True),
            "compare with the best loss so far, not with that of the epoch before.",
        ),
        Mistake(
            "equal_counts",
            lambda losses, patience, min_delta: _patient(losses, patience, min_delta, strict=False),
            "a loss that is only equal is no improvement.",
        ),
        Mistake(
            "patience_never_restored",
            _impatient,
            "you count all epochs without improvement; only those in a row count. Begin again at each improvement.",
        ),
        Mistake(
            "epochs_counted",
            _epochs_counted,
            "right where patience runs out. Else the last epoch is number len(losses) − 1: epochs count from 0.",
        ),
        Mistake(
            "one_epoch_too_impatient",
            lambda losses, patience, min_delta: _patient(losses, patience, min_delta, wait=-1),
            "you wait for one epoch less than `patience`: that many epochs in a row must bring nothing.",
        ),
        Mistake(
            "never_stops",
            lambda losses, patience, min_delta: (patience_rule(losses, 10**6, min_delta)[0], len(losses) - 1),
            "this looks at all epochs; training stops when patience runs out, and sees none of the later ones.",
        ),
    ),
    withhold=("dlcourse.regularization.early_stop",),
    hints=(
        "Keep the best epoch and its loss; go through the losses once.",
        "Better means: loss < best loss − min_delta. If not better, look how many epochs ago the best one was.",
        "elif epoch - best >= patience: return best, epoch. After the loop: return best, len(losses) - 1.",
    ),
    difficulty=2,
    importance=4,
    minutes=15,
)


# --- adaptive clipping ----------------------------------------------------------------------------------------------


def clip(w, g, limit, eps):
    """The reference."""
    return norm.adaptive_clip([np.asarray(w)], [np.asarray(g)], limit, eps=eps)[0]


def _scaled_columns(w, g, limit, eps, axis=0, always=False, floor=True):
    length = np.sqrt((w * w).sum(axis=axis, keepdims=True))
    allowed = limit * (np.maximum(length, eps) if floor else length)
    found = np.maximum(np.sqrt((g * g).sum(axis=axis, keepdims=True)), 1e-12)
    return g * (allowed / found if always else np.minimum(1, allowed / found))


def _longer(w, eps):
    return np.sqrt((w * w).sum(axis=0, keepdims=True)) + eps


def _clip_cases(rng: np.random.Generator) -> Iterator[Case]:
    w, g = np.array([[3.0, 0.6], [4.0, 0.8]]), np.array([[0.0, 1.0], [2.0, 0.0]])
    yield case("by hand: two units", w, g, 0.1, 1e-3)
    w, g = rng.normal(size=(6, 4)) * [0.1, 1, 3, 10], rng.normal(size=(6, 4))
    yield case("some are clipped, some are not", w, g, 0.2, 1e-3)
    yield case("all pass", w, 1e-4 * g, 0.2, 1e-3)
    new = w.copy()
    new[:, 1] = 0
    yield case("a unit that is still 0", new, g, 0.1, 0.05)
    still = g.copy()
    still[:, 2] = 0
    yield case("a unit without gradient", w, still, 0.1, 1e-3)
    yield case("a large eps", 0.01 * w, g, 0.5, 0.3)


adaptive_clip = Exercise(
    id="norm.adaptive_clip",
    title="Clip unit by unit",
    name="adaptive_clip",
    kind="function",
    points=2,
    reference=clip,
    cases=_clip_cases,
    compare=Close(rtol=1e-5, atol=1e-9),
    mistakes=(
        Mistake(
            "whole_matrix",
            lambda w, g, limit, eps: _scaled_columns(w, g, limit, eps, axis=None),
            "one length for the whole matrix; every unit, that is every column, has its own.",
        ),
        Mistake(
            "rows_for_columns",
            lambda w, g, limit, eps: _scaled_columns(w, g, limit, eps, axis=1),
            "the weights that lead into one unit are a column of (D, M), not a row.",
        ),
        Mistake(
            "always_scaled",
            lambda w, g, limit, eps: _scaled_columns(w, g, limit, eps, always=True),
            "gradients that are short enough stay as they are.",
        ),
        Mistake(
            "without_eps",
            lambda w, g, limit, eps: _scaled_columns(w, g, limit, eps, floor=False),
            "a unit whose weights are 0 could never move: take max(‖w‖, eps).",
        ),
        Mistake(
            "fixed_limit",
            lambda w, g, limit, eps: _scaled_columns(np.ones((1, w.shape[1])), g, limit, eps),
            "this limits the gradient's length itself; the limit is relative to the unit's weights.",
        ),
        Mistake(
            "eps_added",
            lambda w, g, limit, eps: _scaled_columns(np.zeros_like(w), g, limit, _longer(w, eps)),
            "you add eps to the length of the weights. It is a floor: take the larger of the two.",
        ),
    ),
    withhold=("dlcourse.norm.adaptive_clip", "dlcourse.norm.unit_norms"),
    hints=(
        "Two lengths a column: of the weights and of the gradient. np.linalg.norm(w, axis=0) gives one a column.",
        "Allowed is limit · max(‖w‖, eps). Only columns with ‖g‖ above that are scaled, to just that length.",
        "g * np.minimum(1, allowed / np.maximum(norms, 1e-12)): columns broadcast along axis 0.",
    ),
    difficulty=2,
    importance=3,
    minutes=15,
)

essay = text_exercise("norm.essay", "Ninety-nine and seventy", points=3, difficulty=3, importance=5, minutes=15)

EXERCISES = (
    shared_number, batch_norm, batch_backward, group_norm, dropout, decay, early_stop, adaptive_clip, essay,
)  # fmt: skip
