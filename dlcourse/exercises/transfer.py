"""The exercises of ``12_transfer``: adapters, integrated gradients, ε-LRP, Grad-CAM, Shapley values, an attack."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np

from dlcourse.exercises.compare import Close, FalseFail, Holds
from dlcourse.exercises.offered import AUTODIFF, AUTOGRAD
from dlcourse.exercises.plain import numbers
from dlcourse.exercises.spec import Case, Exercise, Mistake, case, steps, text_exercise

# --- A number: what is trained? -------------------------------------------------------------------------------------

adapter_count = Exercise(
    id="transfer.adapter_count",
    title="What is trained?",
    name="trained",
    kind="number",
    points=1,
    reference=64**2 + 128**2 + 256**2 + 256 * 7 + 7,
    cases=lambda rng: [Case("adapters after 64, 128 and 256 maps, a head for 7 classes")],
    compare=Close(rtol=0, atol=0),
    mistakes=(
        Mistake("head_forgotten", 64**2 + 128**2 + 256**2, "these are the adapters; the new head is trained too."),
        Mistake(
            "bias_forgotten",
            64**2 + 128**2 + 256**2 + 256 * 7,
            "a linear head also has a bias for each of its classes.",
        ),
        Mistake("head_alone", 256 * 7 + 7, "this is the head; the adapters are trained too."),
        Mistake(
            "kernels_of_nine",
            9 * (64**2 + 128**2 + 256**2) + 256 * 7 + 7,
            "an adapter is 1×1: a matrix of C·C numbers, not of 9·C·C.",
        ),
        Mistake(
            "one_weight_a_map", 64 + 128 + 256 + 256 * 7 + 7, "an adapter mixes all C maps: its matrix has C·C numbers."
        ),
    ),
    hints=(
        "Frozen layers count nothing. What is new: three adapters and the head.",
        "An adapter after C maps is a C×C matrix, without a bias. The head has 256 inputs and 7 outputs, with a bias.",
        "64**2 + 128**2 + 256**2, and for the head 256 * 7 + 7.",
    ),
    difficulty=1,
    importance=3,
    minutes=5,
)


# --- adapters as a class --------------------------------------------------------------------------------------------


class Adapter:
    """The reference."""

    def __init__(self, w):
        self.w = w

    def forward(self, x):
        self.x = x
        return x + np.einsum("kc,nchw->nkhw", self.w, x)

    def backward(self, dout):
        self.dw = np.einsum("nkhw,nchw->kc", dout, self.x)
        return dout + np.einsum("kc,nkhw->nchw", self.w, dout)


class NoSkip(Adapter):
    def forward(self, x):
        return super().forward(x) - x

    def backward(self, dout):
        return super().backward(dout) - dout


class NoSkipForward(Adapter):
    def forward(self, x):
        return super().forward(x) - x


class NoSkipBack(Adapter):
    def backward(self, dout):
        return super().backward(dout) - dout


class TurnedForward(Adapter):
    def forward(self, x):
        self.x = x
        return x + np.einsum("ck,nchw->nkhw", self.w, x)


class NotTransposedBack(Adapter):
    def backward(self, dout):
        super().backward(dout)
        return dout + np.einsum("ck,nkhw->nchw", self.w, dout)


class TurnedGradient(Adapter):
    def backward(self, dout):
        dx = super().backward(dout)
        self.dw = self.dw.T
        return dx


class MeanGradient(Adapter):
    def backward(self, dout):
        dx = super().backward(dout)
        self.dw = self.dw / len(dout)
        return dx


def _adapter_cases(rng: np.random.Generator) -> Iterator[Case]:
    x, w = np.array([1.0, 10.0]).reshape(1, 2, 1, 1), np.array([[0.0, 1.0], [0.0, 0.0]])
    yield steps("by hand: two maps of one pixel", (w,), ("forward", x), ("backward", x / x), (".dw",))
    for shape in ((1, 3, 2, 2), (4, 2, 3, 5), (2, 5, 1, 4)):
        x, dout = rng.normal(size=(2, *shape))
        w = rng.normal(size=(shape[1], shape[1]))
        yield steps(f"x {shape}", (w,), ("forward", x), ("backward", dout), (".dw",))
    yield steps("w = 0 changes nothing", (0 * w,), ("forward", x), ("backward", dout), (".dw",))
    other = rng.normal(size=(2, 3, 5, 2, 2))
    calls = [(name, a) for name, a in zip(("forward", "backward") * 2, (x, dout, *other), strict=False)]
    yield steps("two batches, one after the other", (w,), *calls[:2], (".dw",), *calls[2:], (".dw",))


adapter = Exercise(
    id="transfer.adapter",
    title="A residual adapter",
    name="Adapter",
    kind="class",
    points=3,
    reference=Adapter,
    cases=_adapter_cases,
    compare=Close(rtol=1e-5, atol=1e-7),
    mistakes=(
        Mistake("no_skip", NoSkip, "x itself is missing: the adapter adds w x to x."),
        Mistake("no_skip_forward", NoSkipForward, "dx is right. In out x itself is missing: out = x + w x."),
        Mistake(
            "no_skip_backwards", NoSkipBack, "out is right. Its x-part hands dout on as it is: dx = dout + wᵀ dout."
        ),
        Mistake(
            "transposed_forward", TurnedForward, "out[k] takes row k of w: Σ_c w[k, c] x[c]. Yours takes column k."
        ),
        Mistake(
            "not_transposed_back", NotTransposedBack, "on the way back w is transposed: dx[c] gets Σ_k w[k, c] dout[k]."
        ),
        Mistake("dw_transposed", TurnedGradient, "dw is transposed: dw[k, c] = Σ dout[k] x[c]."),
        Mistake("dw_averaged", MeanGradient, "dw is the sum over all images and pixels, not a mean."),
    ),
    withhold=(
        "dlcourse.transfer.ResidualAdapter",
        "dlcourse.transfer.adapter_backward",
        "dlcourse.transfer.adapter_forward",
        *AUTOGRAD,
        *AUTODIFF,
    ),
    hints=(
        "At each pixel of each image, the C values are a vector; the adapter multiplies it by w and adds it to itself.",
        'np.einsum("kc,nchw->nkhw", w, x) multiplies every pixel\'s vector by w. Keep x for the way back.',
        'dx = dout + np.einsum("kc,nkhw->nchw", w, dout); dw = np.einsum("nkhw,nchw->kc", dout, x).',
    ),
    difficulty=3,
    importance=3,
    minutes=20,
)


# --- integrated gradients -------------------------------------------------------------------------------------------


def _slope(x, w1, b1, w2, target):
    """∂s/∂x of s = w2[:, target] · relu(x w1 + b1)."""
    return w1 @ (w2[:, target] * (x @ w1 + b1 > 0))


def _all_units(x, baseline, w1, b1, w2, target, steps):
    return (x - baseline) * (w1 @ w2[:, target])


def integrated(x, baseline, w1, b1, w2, target, steps, *, at=0.5, factor="difference"):
    """The reference, and with other points or factors the typical slips."""
    alphas = (np.arange(steps) + at) / steps
    mean = np.mean([_slope(baseline + a * (x - baseline), w1, b1, w2, target) for a in alphas], axis=0)
    return mean * {"difference": x - baseline, "x": x, "one": 1.0}[factor]


def _clear(rng, D, M, K, steps, baseline=True):
    """A network and two inputs such that no unit is near its kink on the way between them."""
    while True:
        x, b = rng.normal(size=(2, D))
        b = b if baseline else 0 * b
        w1, b1, w2 = rng.normal(size=(D, M)), rng.normal(size=M), rng.normal(size=(M, K))
        points = np.concatenate([np.arange(steps + 1), np.arange(steps) + 0.5])[:, None] / steps
        if np.abs((b + points * (x - b)) @ w1 + b1).min() > 1e-4:
            return x, b, w1, b1, w2


def _integrated_cases(rng: np.random.Generator) -> Iterator[Case]:
    one = np.ones((2, 1))
    yield case("by hand", np.array([1.0, 2.0]), np.zeros(2), one, np.array([-1.0]), np.array([[2.0]]), 0, 3)
    x, b, w1, b1, w2 = _clear(rng, 4, 6, 3, 1, baseline=False)
    yield case("one point in the middle", x, b, w1, b1, w2, 2, 1)
    x, b, w1, b1, w2 = _clear(rng, 4, 6, 3, 10, baseline=False)
    yield case("from black, 10 points", x, b, w1, b1, w2, 1, 10)
    x, b, w1, b1, w2 = _clear(rng, 3, 8, 2, 7)
    yield case("from another baseline", x, b, w1, b1, w2, 0, 7)
    x, b, w1, b1, w2 = _clear(rng, 1, 5, 1, 12)
    yield case("one input, one class", x, b, w1, b1, w2, 0, 12)
    yield case("from x to x", x, x, w1, b1, w2, 0, 4)


integrated_gradients = Exercise(
    id="transfer.integrated_gradients",
    title="Integrated gradients",
    name="integrated_gradients",
    kind="function",
    points=3,
    reference=integrated,
    cases=_integrated_cases,
    compare=Close(rtol=1e-5, atol=1e-7),
    mistakes=(
        Mistake(
            "gradient_at_x",
            lambda x, b, w1, b1, w2, t, steps: (x - b) * _slope(x, w1, b1, w2, t),
            "this is gradient × input, with the gradient at x alone. Average it over the points between b and x.",
        ),
        Mistake(
            "relu_open",
            _all_units,
            "the gradient passes only those hidden units whose sum is above 0 at that point.",
        ),
        Mistake(
            "left_ends",
            lambda *a: integrated(*a, at=0.0),
            "you begin at α = 0. The points are the middles of equal pieces: α = (i + ½) / steps.",
        ),
        Mistake(
            "right_ends",
            lambda *a: integrated(*a, at=1.0),
            "you end at α = 1. The points are the middles of equal pieces: α = (i + ½) / steps.",
        ),
        Mistake(
            "times_x",
            lambda *a: integrated(*a, factor="x"),
            "the gradient's mean is multiplied by x − baseline, not by x.",
        ),
        Mistake(
            "not_multiplied",
            lambda *a: integrated(*a, factor="one"),
            "this is the gradient's mean; multiply it by x − baseline, so that the parts add up to the rise of s.",
        ),
        Mistake(
            "sum_for_mean",
            lambda *a: integrated(*a) * a[-1],
            "an integral from 0 to 1 is the mean over the points, not their sum.",
        ),
        Mistake(
            "baseline_ignored",
            lambda x, b, *rest: integrated(x, 0 * b, *rest),
            "the way begins at the baseline, which need not be 0.",
        ),
    ),
    withhold=("dlcourse.explain.gradient", "dlcourse.explain.integrated_gradients"),
    hints=(
        "First the gradient at one point: which units are on, and what do they send to the score?",
        "∂s/∂x = w1 @ (w2[:, target] * (z > 0)) with z = point @ w1 + b1. Take it at baseline + α (x − baseline).",
        "for i in range(steps): alpha = (i + 0.5) / steps; add the gradient there. Then (x − baseline) · sum / steps.",
    ),
    difficulty=3,
    importance=5,
    minutes=25,
)


# --- ε-LRP ----------------------------------------------------------------------------------------------------------


def relevance(x, weights, biases, target, eps, *, rule=lambda z, eps: z + eps * np.where(z < 0, -1.0, 1.0),
              start=lambda out, target: np.where(np.arange(len(out)) == target, out, 0.0),
              bias=1.0, least=0.0):  # fmt: skip
    """The reference, and with other rules the typical slips."""
    inputs, sums = [x], []
    for w, b in zip(weights, biases, strict=True):
        sums.append(inputs[-1] @ w + b)
        inputs.append(np.maximum(sums[-1], least))
    r = start(sums[-1], target)
    for a, w, b, z in zip(inputs[-2::-1], weights[::-1], biases[::-1], sums[::-1], strict=True):
        below = rule(z - (1 - bias) * b, eps)
        r = a * (w @ np.divide(r, below, out=np.zeros_like(r), where=below != 0))
    return r


def _layers(rng, sizes):
    """A network and an input such that no hidden unit is near its kink."""
    while True:
        x = rng.normal(size=sizes[0])
        weights = [rng.normal(size=s) for s in itertools.pairwise(sizes)]
        biases = [0.5 * rng.normal(size=n) for n in sizes[1:]]
        a, nearest = x, math.inf
        for w, b in zip(weights, biases, strict=True):
            z = a @ w + b
            nearest, a = min(nearest, np.abs(z).min()), np.maximum(z, 0)
        if nearest > 0.02 and (a > 0).any():
            return x, weights, biases


def _lrp_cases(rng: np.random.Generator) -> Iterator[Case]:
    w1, w2 = np.array([[1.0, -1.0], [1.0, 1.0]]), np.array([[2.0], [1.0]])
    yield case("by hand", np.array([1.0, 2.0]), [w1, w2], [np.zeros(2), np.zeros(1)], 0, 0.0)
    x, weights, biases = _layers(rng, (4, 3))
    yield case("one layer, a large ε", x, weights, biases, 1, 0.5)
    for sizes, eps in (((5, 6, 3), 0.01), ((4, 7, 5, 3), 0.1), ((3, 8, 8, 8, 2), 0.25)):
        x, weights, biases = _layers(rng, sizes)
        for target in (0, sizes[-1] - 1):
            yield case("-".join(map(str, sizes)) + f", ε = {eps}, class {target}", x, weights, biases, target, eps)
    dead = [weights[0] * (np.arange(8) > 0), *weights[1:]]
    yield case("a unit whose sum is 0", x, dead, [biases[0] * (np.arange(8) > 0), *biases[1:]], 0, 0.1)


lrp = Exercise(
    id="transfer.lrp",
    title="Hand the score back",
    name="lrp",
    kind="function",
    points=4,
    reference=relevance,
    cases=_lrp_cases,
    compare=Close(rtol=1e-5, atol=1e-7),
    mistakes=(
        Mistake(
            "eps_without_sign",
            lambda *a: relevance(*a, rule=lambda z, eps: z + eps),
            "ε must lead away from 0: where z is negative, subtract it.",
        ),
        Mistake(
            "no_eps",
            lambda *a: relevance(*a, rule=lambda z, eps: z),
            "without ε this is right; it belongs into the denominator, z + ε sign z.",
        ),
        Mistake(
            "relu_forgotten",
            lambda *a: relevance(*a, least=-np.inf),
            "on the way forward each layer but the last has a ReLU: a hidden unit with a sum below 0 hands on 0.",
        ),
        Mistake(
            "bias_left_out",
            lambda *a: relevance(*a, bias=0.0),
            "z includes the bias: the bias takes its own share of the relevance.",
        ),
        Mistake(
            "starts_with_one",
            lambda *a: relevance(*a, start=lambda out, t: (np.arange(len(out)) == t) * 1.0),
            "what is handed back is the score itself, not 1.",
        ),
        Mistake(
            "all_classes",
            lambda *a: relevance(*a, start=lambda out, t: out),
            "only the score of the target class is handed back; the other outputs begin with 0.",
        ),
        Mistake(
            "positive_scores_only",
            lambda *a: relevance(*a, start=lambda out, t: np.where(np.arange(len(out)) == t, np.maximum(out, 0), 0.0)),
            "the last layer has no ReLU: a negative score is handed back as well.",
        ),
    ),
    withhold=("dlcourse.explain.lrp",),
    hints=(
        "Go forward once and keep each layer's input a and sum z. Then go back, layer by layer.",
        "One layer back is four steps: s = R / (z + ε sign z); c = w @ s; R = a · c. Where z is 0, sign is +1.",
        "R = zeros, but R[target] = the score; for a, w, z from the last layer to the first: "
        "R = a * (w @ (R / (z + eps * np.where(z < 0, -1, 1)))).",
    ),
    difficulty=4,
    importance=4,
    minutes=30,
)


# --- Grad-CAM -------------------------------------------------------------------------------------------------------


def cam(a, g):
    """The reference."""
    return np.maximum((g.mean(axis=(1, 2), keepdims=True) * a).sum(axis=0), 0)


def _cam_cases(rng: np.random.Generator) -> Iterator[Case]:
    a = np.array([[[1.0, 2.0], [3.0, 4.0]], [[4.0, 0.0], [0.0, 0.0]]])
    g = np.array([[[0.0, 2.0], [2.0, 4.0]], [[-1.0, -1.0], [-1.0, -1.0]]])
    yield case("by hand: two maps of 2×2", a, g)
    for shape in ((1, 3, 3), (5, 4, 6), (8, 7, 7), (3, 1, 5)):
        yield case(f"maps {shape}", *rng.normal(size=(2, *shape)))
    a = np.abs(rng.normal(size=(4, 3, 3)))
    yield case("nothing speaks for the class", a, -np.abs(rng.normal(size=(4, 3, 3))))


grad_cam = Exercise(
    id="transfer.grad_cam",
    title="Grad-CAM",
    name="grad_cam",
    kind="function",
    points=2,
    reference=cam,
    cases=_cam_cases,
    compare=Close(rtol=1e-5, atol=1e-7),
    mistakes=(
        Mistake(
            "no_relu",
            lambda a, g: (g.mean(axis=(1, 2), keepdims=True) * a).sum(axis=0),
            "keep what speaks for the class: the last step is a ReLU.",
        ),
        Mistake(
            "sum_for_mean",
            lambda a, g: cam(a, g) * g[0].size,
            "a map's weight is the mean of its gradients over the places, not their sum.",
        ),
        Mistake(
            "place_by_place",
            lambda a, g: np.maximum((g * a).sum(axis=0), 0),
            "this is gradient × activation at each place. Grad-CAM first averages the gradients: one weight a map.",
        ),
        Mistake(
            "relu_each_map",
            lambda a, g: np.maximum(g.mean(axis=(1, 2), keepdims=True) * a, 0).sum(axis=0),
            "maps may speak against the class; add them all up first, then take the ReLU.",
        ),
        Mistake(
            "mean_over_maps",
            lambda a, g: cam(a, g) / len(a),
            "the weighted maps are added up, not averaged.",
        ),
        Mistake(
            "positive_gradients",
            lambda a, g: cam(a, np.maximum(g, 0)),
            "negative gradients count in the mean too.",
        ),
    ),
    withhold=("dlcourse.explain.grad_cam",),
    hints=(
        "How much does the score gain if a whole map gets brighter? One number a map.",
        "alpha = g.mean(axis=(1, 2)); then a weighted sum of the maps; then a ReLU.",
        "np.maximum(np.tensordot(alpha, a, axes=1), 0)",
    ),
    difficulty=2,
    importance=4,
    minutes=10,
)


# --- Shapley values -------------------------------------------------------------------------------------------------


def shares(values, weight=lambda s, n: math.factorial(s) * math.factorial(n - s - 1) / math.factorial(n)):
    """The reference, and with other weights the typical slips."""
    n = len(values).bit_length() - 1
    return np.array([
        sum(
            weight(int(s).bit_count(), n) * (values[s | 1 << i] - values[s]) for s in range(2**n) if not s >> i & 1
        )
        for i in range(n)
    ])  # fmt: skip


def _reversed_bits(values):
    return shares(values)[::-1]


def _one_order(values):
    n = len(values).bit_length() - 1
    return np.diff(np.asarray(values)[[2**k - 1 for k in range(n + 1)]])


def _shapley_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield case("by hand: two features", np.array([0.0, 1.0, 2.0, 5.0]))
    yield case("one feature", rng.normal(size=2))
    for n in (2, 3, 4, 5):
        yield case(f"{n} features", rng.normal(size=2**n))
    w = rng.normal(size=4)
    masks = (np.arange(16)[:, None] >> np.arange(4)) & 1
    yield case("what each brings never changes", masks @ w + 3.0)
    yield case("the last feature brings nothing", np.tile(rng.normal(size=8), 2))


shapley = Exercise(
    id="transfer.shapley",
    title="Shapley values from a table",
    name="shapley",
    kind="function",
    points=3,
    reference=shares,
    cases=_shapley_cases,
    compare=Close(rtol=1e-5, atol=1e-7),
    mistakes=(
        Mistake(
            "all_subsets_alike",
            lambda v: shares(v, lambda s, n: 2.0 ** (1 - n)),
            "you take the plain mean over the subsets. A subset of s features weighs s! (n − s − 1)! / n!.",
        ),
        Mistake("one_order", _one_order, "this is one order of arrival, feature 0 first; average over all orders."),
        Mistake("bits_from_the_other_end", _reversed_bits, "bit i belongs to feature i: feature 0 is the lowest bit."),
        Mistake(
            "against_nothing",
            lambda v: np.array([v[1 << i] - v[0] for i in range(len(v).bit_length() - 1)]),
            "this is what each feature brings alone; it must be averaged over all orders of arrival.",
        ),
        Mistake(
            "against_all",
            lambda v: np.array([v[-1] - v[(len(v) - 1) ^ (1 << i)] for i in range(len(v).bit_length() - 1)]),
            "this is what is lost when one feature leaves; it must be averaged over all orders of arrival.",
        ),
        Mistake(
            "factorial_of_the_larger_set",
            lambda v: shares(v, lambda s, n: math.factorial(s + 1) * math.factorial(n - s - 1) / math.factorial(n)),
            "s counts the features that are there before i comes, without i.",
        ),
        Mistake(
            "not_divided",
            lambda v: shares(v, lambda s, n: math.factorial(s) * math.factorial(n - s - 1)),
            "divide by n!, the number of all orders.",
        ),
    ),
    withhold=("dlcourse.explain.shapley_values",),
    hints=(
        "For feature i go through all subsets without bit i, and look what changes when the bit is set.",
        "s | (1 << i) is the subset with i. The step weighs k! (n − k − 1)! / n!, k the bits in s: bin(s).count('1').",
        "n = len(values).bit_length() - 1; for feature i add up weight · (values[s | 1 << i] - values[s]) over all s "
        "with not s >> i & 1.",
    ),
    difficulty=3,
    importance=4,
    minutes=25,
)


# --- An attack ------------------------------------------------------------------------------------------------------

SAME = 0.97  # of the pixels must be those of the reference


def _uphill(x, y, w1, b1, w2, b2, gate=True):
    z = x @ w1 + b1
    logits = np.maximum(z, 0) @ w2 + b2
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p = p / p.sum(axis=1, keepdims=True)
    p[np.arange(len(y)), y] -= 1
    return ((p @ w2.T) * (z > 0 if gate else 1)) @ w1.T


def attacked(
    x, y, w1, b1, w2, b2, eps, step, steps, *, ball=True, box=True, sign=1.0, raw=False, frozen=False, gate=True
):
    """The reference, and with other rules the typical slips."""
    moved = x
    for _ in range(steps):
        g = _uphill(x if frozen else moved, y, w1, b1, w2, b2, gate)
        moved = moved + sign * step * (g if raw else np.sign(g))
        moved = np.clip(moved, x - eps, x + eps) if ball else moved
        moved = np.clip(moved, 0, 1) if box else moved
    return moved


def _last_cut(x, y, *rest):
    eps = rest[-3]
    return np.clip(np.clip(attacked(x, y, *rest, ball=False, box=False), x - eps, x + eps), 0, 1)


def _attack_cases(rng: np.random.Generator) -> Iterator[Case]:
    eye, none = np.eye(2), np.zeros(2)
    yield case("by hand", np.array([[0.5, 0.9]]), np.array([0]), eye, none, eye, none, 0.2, 0.1, 3)
    for name, N, eps, step, count in (
        ("one step of size ε", 30, 0.1, 0.1, 1),
        ("many small steps", 30, 0.2, 0.05, 12),
        ("steps that are larger than ε", 25, 0.1, 0.25, 6),
        ("far to go", 25, 0.6, 0.1, 15),
    ):
        x, y = rng.random((N, 10)), rng.integers(4, size=N)
        w1, b1, w2, b2 = (rng.normal(size=s) for s in ((10, 8), 8, (8, 4), 4))
        w1[3] *= count != 12  # a pixel that has no effect does not move
        yield case(name, x, y, w1 / 2, b1, w2 / 2, b2, eps, step, count)
    yield case("nothing may move", x, y, w1 / 2, b1, w2 / 2, b2, 0.0, 0.1, 2)
    far = np.array([[0.9, 0.1], [0.3, 0.3]])
    yield case("scores of thousands", far, np.array([1, 0]), eye, none, 5000 * eye, np.array([0.0, 1.0]), 0.05, 0.02, 2)


def _attack_rule(case, values):
    x, *_, eps, _, _ = case.calls[0].args
    moved, want = numbers(values[0]), attacked(*case.calls[0].args)
    if moved.shape != x.shape:
        return f"expected changed images of shape {x.shape}"
    far = np.abs(moved - x).max()
    if far > eps + 1e-5:
        return f"a pixel moved by {far:.4g}; at most ε = {eps:g} is allowed"
    if moved.min() < -1e-5 or moved.max() > 1 + 1e-5:
        return f"pixels lie between {moved.min():.4g} and {moved.max():.4g}; they must stay from 0 to 1"
    same = np.isclose(moved, want, rtol=1e-5, atol=1e-5)
    if same.mean() >= SAME:
        return None
    at = tuple(int(i) for i in np.argwhere(~same)[0])
    return (
        f"{same.mean():.0%} of the pixels are right; the first other, at {at}, is {moved[at]:.4g}, not {want[at]:.4g}"
    )


attack = Exercise(
    id="transfer.attack",
    title="An attack in small steps",
    name="attack",
    kind="property",
    points=4,
    reference=attacked,
    cases=_attack_cases,
    compare=Holds(
        _attack_rule,
        false_fail=FalseFail(
            1e-7,
            "Only rounding is left to chance: the sign of a derivative near 0 may differ in float32. With scores of "
            "size 1 a derivative of size 0.1 has an error of about 1e-7, so that of 250 pixels and 15 steps 4e-3 signs "
            "differ on average. 8 pixels would have to; a Poisson number of mean 4e-3 reaches 8 once in 1e23 times.",
        ),
    ),
    mistakes=(
        Mistake(
            "ball_forgotten",
            lambda *a: attacked(*a, ball=False),
            "a pixel moved further than ε: after each step cut to the range from x − ε to x + ε, x the original.",
        ),
        Mistake(
            "box_forgotten",
            lambda *a: attacked(*a, box=False),
            "pixels must stay from 0 to 1: cut to that after each step, too.",
        ),
        Mistake(
            "downhill",
            lambda *a: attacked(*a, sign=-1.0),
            "you go against the gradient, as training does: the loss falls. An attack goes with it.",
        ),
        Mistake(
            "gradient_for_sign",
            lambda *a: attacked(*a, raw=True),
            "each pixel moves by `step`, whatever the size of its derivative: take the sign.",
        ),
        Mistake(
            "one_gradient",
            lambda *a: attacked(*a, frozen=True),
            "you use the gradient at x in all steps; take a new one where the image is now.",
        ),
        Mistake(
            "relu_open",
            lambda *a: attacked(*a, gate=False),
            "on the way back no gradient passes a hidden unit whose sum is below 0: times (z > 0).",
        ),
        Mistake(
            "cut_at_the_end", _last_cut, "cut after each step, not only at the end: the next gradient is taken there."
        ),
    ),
    withhold=("dlcourse.attacks.fgsm", "dlcourse.attacks.loss_gradient", "dlcourse.attacks.pgd"),
    hints=(
        "Forward and back as in chapter 02, but the gradient you want is that of the images, not of the weights.",
        "dlogits = p − one-hot; back through w2, the ReLU and w1. Then x ← x + step · sign(gradient), and cut twice.",
        "After each step: moved = np.clip(moved, x − eps, x + eps), then np.clip(moved, 0, 1).",
    ),
    difficulty=4,
    importance=5,
    minutes=35,
)

essay = text_exercise("transfer.essay", "The wolf and the snow", points=3, difficulty=3, importance=5, minutes=15)

EXERCISES = (
    adapter_count, adapter, integrated_gradients, lrp, grad_cam, shapley, attack, essay,
)  # fmt: skip
