"""The exercises of ``11_residual``: a block's bill, its gradients, the ways through a network, a start as the identity,
a dense block, the U-Net's join, non-maximum suppression."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from dlcourse import detection, residual
from dlcourse.exercises.compare import Close, FalseFail, Holds
from dlcourse.exercises.offered import AUTODIFF, AUTOGRAD
from dlcourse.exercises.spec import Case, Exercise, Mistake, case, steps, text_exercise

# --- A number: the parameters of a block ----------------------------------------------------------------------------

block_number = Exercise(
    id="resnet.block_number",
    title="What does a block cost?",
    name="block_parameters",
    kind="number",
    points=1,
    reference=64 * 128 * 9 + 128 * 128 * 9 + 64 * 128 + 3 * 2 * 128,
    cases=lambda rng: [Case("the first block of ResNet-18's second stage")],
    compare=Close(rtol=0, atol=0),
    mistakes=(
        Mistake(
            "skip_forgotten",
            64 * 128 * 9 + 128 * 128 * 9 + 2 * 2 * 128,
            "this is F alone. The skip has to change 64 channels into 128, by a 1×1 convolution and a batch norm.",
        ),
        Mistake(
            "norms_forgotten",
            64 * 128 * 9 + 128 * 128 * 9 + 64 * 128,
            "these are the convolutions. Each of the three has a batch norm behind it.",
        ),
        Mistake(
            "one_parameter_a_norm",
            64 * 128 * 9 + 128 * 128 * 9 + 64 * 128 + 3 * 128,
            "a batch norm has two numbers a channel, γ and β.",
        ),
        Mistake(
            "biases",
            64 * 128 * 9 + 128 * 128 * 9 + 64 * 128 + 3 * 3 * 128,
            "these convolutions have no biases, since batch norm would take them away.",
        ),
        Mistake(
            "same_channels",
            2 * 128 * 128 * 9 + 3 * 2 * 128 + 64 * 128,
            "the first 3×3 convolution sees 64 channels, not 128.",
        ),
        Mistake(
            "skip_of_3x3",
            2 * 64 * 128 * 9 + 128 * 128 * 9 + 3 * 2 * 128,
            "the skip's convolution is 1×1.",
        ),
    ),
    hints=(
        "Three convolutions, one of them on the skip, and a batch norm behind each.",
        "3×3 from 64 to 128, 3×3 from 128 to 128, 1×1 from 64 to 128; no biases. A norm has γ and β.",
        "64·128·9 + 128·128·9 + 64·128 + 3 · 2·128; an expression is fine.",
    ),
    difficulty=1,
    importance=3,
    minutes=6,
)


# --- A block, backwards ---------------------------------------------------------------------------------------------


def backward(dout, x, w1, b1, w2, b2, alpha):
    """The reference."""
    cache = residual.block_forward(*(np.asarray(a) for a in (x, w1, b1, w2, b2, alpha)))[1]
    return residual.block_backward(np.asarray(dout), cache)


def _backward(dout, x, w1, b1, w2, b2, alpha, skip=True, gate=True, scaled=True, dalpha_scaled=False):
    h = np.maximum(x @ w1 + b1, 0)
    f = h @ w2 + b2
    df = alpha * dout if scaled else dout
    dh = df @ w2.T * (h > 0) if gate else df @ w2.T
    dx = dh @ w1.T + (dout if skip else 0)
    dalpha = (dout * f * (alpha if dalpha_scaled else 1)).sum(axis=0)
    return dx, x.T @ dh, dh.sum(axis=0), h.T @ df, df.sum(axis=0), dalpha


def _skip_scaled(dout, x, w1, b1, w2, b2, alpha):
    _, *rest = _backward(dout, x, w1, b1, w2, b2, alpha)
    return (_backward(dout, x, w1, b1, w2, b2, alpha, skip=False)[0] + alpha * dout, *rest)


def _identity_only(dout, x, w1, b1, w2, b2, alpha):
    _, *rest = _backward(dout, x, w1, b1, w2, b2, alpha)
    return (dout, *rest)


def _alpha_not_summed(dout, x, w1, b1, w2, b2, alpha):
    *rest, _ = _backward(dout, x, w1, b1, w2, b2, alpha)
    return (*rest, np.full_like(alpha, (dout * (np.maximum(x @ w1 + b1, 0) @ w2 + b2)).sum()))


def _block(rng, N, D, M):
    return [rng.normal(size=shape) for shape in ((N, D), (N, D), (D, M), (M,), (M, D), (D,), (D,))]


def _backward_cases(rng: np.random.Generator) -> Iterator[Case]:
    one = np.ones((1, 1))
    yield case("by hand", one, 2 * one, 3 * one, np.zeros(1), one, np.ones(1), np.array([0.5]))
    yield case("the ReLU is off", one, 2 * one, -3 * one, np.zeros(1), one, np.ones(1), np.array([0.5]))
    yield case("six examples", *_block(rng, 6, 3, 5))
    yield case("more features than units", *_block(rng, 4, 5, 2))
    dout, x, w1, b1, w2, b2, alpha = _block(rng, 5, 4, 4)
    yield case("α is 0", dout, x, w1, b1, w2, b2, 0 * alpha)
    yield case("a small α", dout, x, w1, b1, w2, b2, 1e-3 * alpha)


block_backward = Exercise(
    id="resnet.block_backward",
    title="A residual block, backwards",
    name="block_backward",
    kind="function",
    points=4,
    reference=backward,
    cases=_backward_cases,
    compare=Close(rtol=1e-5, atol=1e-7),
    mistakes=(
        Mistake(
            "skip_forgotten",
            lambda *a: _backward(*a, skip=False),
            "dx lacks the skip's part: out = x + ..., so dout reaches x as it is, too.",
        ),
        Mistake("skip_scaled", _skip_scaled, "α multiplies F only. The skip passes dout on unscaled."),
        Mistake("only_the_skip", _identity_only, "dx is dout alone here; the way back through F is missing."),
        Mistake(
            "relu_open",
            lambda *a: _backward(*a, gate=False),
            "no gradient passes a unit whose ReLU is off: times (h > 0).",
        ),
        Mistake(
            "alpha_forgotten",
            lambda *a: _backward(*a, scaled=False),
            "F's output is multiplied by α on the way forward, so its gradient is α · dout.",
        ),
        Mistake(
            "dalpha_with_alpha",
            lambda *a: _backward(*a, dalpha_scaled=True),
            "out is linear in α, so dα is the sum of dout · F(x), without another α.",
        ),
        Mistake(
            "alpha_for_all",
            _alpha_not_summed,
            "α has one number a feature, and so has its gradient: sum over examples only.",
        ),
    ),
    withhold=(
        *AUTOGRAD,
        *AUTODIFF,
        "dlcourse.residual.block_forward",
        "dlcourse.residual.block_backward",
        "dlcourse.residual.ResidualMLP",
        "dlcourse.mlp.linear_backward",
        "dlcourse.mlp.MLP",
    ),
    hints=(
        "Forward once more first: h = relu(x w1 + b1), f = h w2 + b2. Then start with df = α · dout.",
        "dh = df w2ᵀ where h > 0. Of a layer z = a w + b: dw = aᵀ dz, db = the sum of dz over the examples.",
        "dx = dh w1ᵀ + dout; dα = (dout · f) summed over the examples.",
    ),
    difficulty=3,
    importance=5,
    minutes=25,
)


# --- The ways through a network -------------------------------------------------------------------------------------


def paths(x, weights):
    """The reference."""
    return residual.path_contributions(np.asarray(x, dtype=np.float64)[None], list(np.asarray(weights)))[:, 0]


def _ways(x, weights, first=False, ordered=False):
    n = len(weights)
    out = np.zeros((n + 1, len(x)))
    for length in range(n + 1):
        for way in itertools.combinations(range(n), length):
            h = x
            for i in reversed(way) if ordered else way:
                h = h @ weights[i]
            out[length] += h
            if first:
                break
    return out


def _residual_steps(x, weights):
    seen = [x]
    for w in weights:
        seen.append(seen[-1] + seen[-1] @ w)
    return np.array(seen)


def _in_place(x, weights):
    sums = np.zeros((len(weights) + 1, len(x)))
    sums[0] = x
    for w in weights:
        for k in range(len(weights)):
            sums[k + 1] = sums[k + 1] + sums[k] @ w
    return sums


def _without_input(x, weights):
    out = _ways(x, weights)
    out[0] = 0
    return out


def _means(x, weights):
    counts = [len(list(itertools.combinations(range(len(weights)), k))) for k in range(len(weights) + 1)]
    return _ways(x, weights) / np.array(counts)[:, None]


def _path_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield case("by hand: two blocks, one feature", np.array([1.0]), np.array([[[2.0]], [[3.0]]]))
    yield case("one block", rng.normal(size=3), rng.normal(size=(1, 3, 3)))
    yield case("three blocks", rng.normal(size=2), rng.normal(size=(3, 2, 2)))
    yield case("five blocks", rng.normal(size=4), 0.5 * rng.normal(size=(5, 4, 4)))
    yield case("no block", rng.normal(size=3), np.zeros((0, 3, 3)))
    yield case("eleven blocks", rng.normal(size=3), 0.3 * rng.normal(size=(11, 3, 3)))


path_sums = Exercise(
    id="resnet.paths",
    title="All ways through",
    name="paths",
    kind="function",
    points=3,
    reference=paths,
    cases=_path_cases,
    compare=Close(rtol=1e-6, atol=1e-9),
    mistakes=(
        Mistake(
            "one_way_a_length",
            lambda x, weights: _ways(x, weights, first=True),
            "this takes one way of each length. There are n-choose-k of length k; add them up.",
        ),
        Mistake(
            "running_output",
            _residual_steps,
            "these are the network's values block by block. Asked for are the ways through the whole, by length.",
        ),
        Mistake("input_forgotten", _without_input, "the way through no block at all contributes x."),
        Mistake("mean_of_ways", _means, "the ways of one length are added up, not averaged."),
        Mistake(
            "blocks_backwards",
            lambda x, weights: _ways(x, weights, ordered=True),
            "a way meets the blocks in their order, the first one first: x w_i w_j with i < j.",
        ),
        Mistake(
            "block_met_twice",
            _in_place,
            "some ways take a block twice: row k + 1 is made from a row k that already holds the same block. Take the "
            "rows as they were before it.",
        ),
        Mistake(
            "weights_from_the_left",
            lambda x, weights: _ways(x, np.swapaxes(weights, 1, 2)),
            "x is a row: a block makes x @ w of it, and not w @ x.",
        ),
    ),
    withhold=("dlcourse.residual.path_contributions",),
    hints=(
        "Start without blocks: only the way of length 0, which is x. What does one more block do to each length?",
        "Block w lets every way pass by, or makes it one longer: new[k] = old[k] + old[k − 1] @ w.",
        "sums = zeros((n + 1, D)); sums[0] = x; for w in weights: sums[1:] = sums[1:] + sums[:-1] @ w.",
    ),
    difficulty=3,
    importance=4,
    minutes=20,
)


# --- A start as the identity ----------------------------------------------------------------------------------------


def start(rng, D, M):
    """He's start in the first layer, zeros in the last one."""
    return rng.normal(0, np.sqrt(2 / D), (D, M)), np.zeros(M), np.zeros((M, D)), np.zeros(D)


def identity_start(seed, D, M):
    """The reference."""
    return start(np.random.default_rng(seed), D, M)


def _identity_rule(case: Case, values: list) -> str | None:
    """What is asked of w1, b1, w2, b2, in the order of the question."""
    (_, D, M), (answer, again, other) = case.calls[0].args, values
    shapes = ((D, M), (M,), (M, D), (D,))
    if not isinstance(answer, list) or [np.shape(a) for a in answer] != list(shapes):
        return f"expected w1, b1, w2, b2 of shapes {', '.join(map(str, shapes))}"
    w1, b1, w2, b2 = (np.asarray(a, dtype=np.float64) for a in answer)
    x, dout = case.secret["x"], case.secret["dout"]
    out, cache = residual.block_forward(x, w1, b1, w2, b2, np.ones(D))
    if np.abs(out - x).max() > 1e-9:
        return f"the block changes its input by up to {np.abs(out - x).max():.3g}; it is to start as the identity"
    _, _, _, dw2, _, _ = residual.block_backward(dout, cache)
    if not dw2.any():
        return "the gradient of w2 is 0 for all examples: the block could never learn"
    h = np.maximum(x @ w1 + b1, 0)
    if M > 1 and np.linalg.matrix_rank(w1) < min(D, M):
        return "hidden units are copies or mixtures of each other: their weights have to differ"
    if len(np.unique(np.vstack([w1, b1]), axis=1).T) < M:
        return "some hidden units are copies of each other: their weights have to differ"
    size = (h**2).mean() / (x**2).mean()
    low, high = case.secret["band"]
    if not low <= size <= high:
        return f"behind the ReLU the mean square is {size:.3g} times that of x; expected about 1 ({low} to {high})"
    if not all(np.array_equal(a, b) for a, b in zip(answer, again, strict=True)):
        return "the same seed gave two different starts"
    if np.array_equal(w1, other[0]):
        return "two different seeds gave the same w1"
    return None


def _identity_cases(rng: np.random.Generator) -> Iterator[Case]:
    for D, M in ((64, 256), (128, 128)):
        x, dout = rng.normal(size=(400, D)), rng.normal(size=(400, D))
        secret = {"x": x, "dout": dout, "band": (0.7, 1.4)}
        first, other = (int(n) for n in rng.choice(10**6, 2, replace=False))
        calls = tuple(case("", seed, D, M).calls[0] for seed in (first, first, other))
        yield Case(f"D = {D}, M = {M}", calls, secret)


def _says(words: str):
    """A mistake that is known by what the rule says of it."""
    return lambda case, values: words in (_identity_rule(case, values) or "")


identity = Exercise(
    id="resnet.identity_start",
    title="Start as the identity",
    name="identity_start",
    kind="property",
    points=2,
    reference=identity_start,
    cases=_identity_cases,
    compare=Holds(
        _identity_rule,
        false_fail=FalseFail(
            1e-9,
            "Left to chance is the mean square behind the ReLU, which must lie within 0.7 to 1.4 times that of x. Its "
            "mean is 1 under He's start. It is a mean over at least 128 columns of w1, whose squared lengths have a "
            "relative standard deviation of at most sqrt(2/64) = 0.18 each, and over 400 examples, with at most 0.18 "
            "each; so its own is below 0.03, and 0.7 is ten of them away. Full rank has probability 1.",
        ),
    ),
    mistakes=(
        Mistake(
            "all_random",
            lambda seed, D, M: (
                start(np.random.default_rng(seed), D, M)[0],
                np.zeros(M),
                np.random.default_rng(seed + 1).normal(0, np.sqrt(1 / M), (M, D)),
                np.zeros(D),
            ),
            "F must give 0 at the start. What of its last layer makes sure of that?",
            when=_says("changes its input"),
        ),
        Mistake(
            "all_zero",
            lambda seed, D, M: (np.zeros((D, M)), np.zeros(M), np.zeros((M, D)), np.zeros(D)),
            "h is 0, as with w1 at 0, so dw2 = hᵀ df is 0 and w2 never moves. Draw w1; the zeros belong into w2.",
            when=_says("could never learn"),
        ),
        Mistake(
            "constant_weights",
            lambda seed, D, M: (np.full((D, M), np.sqrt(2 / D)), np.zeros(M), np.zeros((M, D)), np.zeros(D)),
            "all hidden units are the same unit, and stay so; draw w1 at random.",
            when=_says("of each other"),
        ),
        Mistake(
            "without_the_gain",
            lambda seed, D, M: (
                np.random.default_rng(seed).normal(0, np.sqrt(1 / D), (D, M)),
                np.zeros(M),
                np.zeros((M, D)),
                np.zeros(D),
            ),
            "w1 has the wrong size. The ReLU lets half of the mean square through: He's start is √(2 / D).",
            when=_says("behind the ReLU"),
        ),
        Mistake(
            "seed_unused",
            lambda seed, D, M: start(np.random.default_rng(0), D, M),
            "the numbers have to follow from the seed that you are given: np.random.default_rng(seed).",
            when=_says("seed"),
        ),
    ),
    withhold=(),
    hints=(
        "F(x) = relu(x w1 + b1) w2 + b2 is to be 0 for every x, and yet dw2 = hᵀ df must not be 0.",
        "So h is random and alive, and the last layer is what holds it back: w2 = 0 and b2 = 0.",
        "w1: normal with standard deviation √(2 / D), from np.random.default_rng(seed); b1, w2, b2: zeros.",
    ),
    difficulty=2,
    importance=4,
    minutes=15,
)


# --- A dense block as a class ---------------------------------------------------------------------------------------


class DenseBlock:
    """The reference."""

    before_relu, only_last, split = True, False, True

    def __init__(self, weights, biases):
        self.weights, self.biases = list(weights), list(biases)

    def forward(self, x):
        self.inputs, self.new = [np.asarray(x)], []
        for w, b in zip(self.weights, self.biases, strict=True):
            y = np.maximum(self.seen() @ w + b, 0)
            self.new.append(y)
            self.inputs.append(y)
        return self.result()

    def seen(self):
        return np.concatenate(self.inputs, axis=1)

    def result(self):
        return self.seen()

    def backward(self, dout):
        sizes = [a.shape[1] for a in self.inputs]
        d = np.asarray(dout).copy()
        for i in reversed(range(len(self.weights))):
            width = sum(sizes[: i + 1])
            dy = d[:, width:] * (self.new[i] > 0) if self.before_relu else d[:, width:]
            d = (d[:, :width] if self.split else 0) + dy @ self.weights[i].T
        return d


class OnlyTheLast(DenseBlock):
    def result(self):
        return self.inputs[-1]


class NewestFirst(DenseBlock):
    def seen(self):
        return np.concatenate(self.inputs[::-1], axis=1)


class ReluForgotten(DenseBlock):
    before_relu = False


class LastUseOnly(DenseBlock):
    split = False


class NextUseOnly(DenseBlock):
    def backward(self, dout):
        d = np.asarray(dout)
        for i in reversed(range(len(self.weights))):
            width = self.weights[i].shape[0]
            d = np.asarray(dout)[:, :width] + (d[:, width:] * (self.new[i] > 0)) @ self.weights[i].T
        return d


def _dense_cases(rng: np.random.Generator) -> Iterator[Case]:
    x = np.array([[1.0, -2.0]])
    w = (np.array([[1.0], [0.0]]), np.array([[1.0], [1.0], [2.0]]))
    b = (np.zeros(1), np.zeros(1))
    yield steps("by hand", (w, b), ("forward", x), ("backward", np.array([[0.0, 0.0, 0.0, 1.0]])))
    D, growth = 4, (3, 2, 1)
    seen = np.cumsum([D, *growth])
    w = tuple(rng.normal(size=(int(s), g)) for s, g in zip(seen, growth, strict=False))
    b = tuple(rng.normal(size=g) for g in growth)
    x, dout = rng.normal(size=(5, D)), rng.normal(size=(5, int(seen[-1])))
    yield steps("three layers", (w, b), ("forward", x), ("backward", dout))
    yield steps("one layer", (w[:1], b[:1]), ("forward", x), ("backward", dout[:, : D + 3]))
    other = rng.normal(size=(2, D))
    yield steps(
        "two batches, the second counts", (w, b), ("forward", x), ("forward", other), ("backward", dout[:2]),
        ("backward", dout[2:4]),
    )  # fmt: skip
    big = np.concatenate([np.zeros((5, D)), np.ones((5, 6))], axis=1)
    yield steps("a gradient at the new features only", (w, b), ("forward", x), ("backward", big))
    yield steps("no layer", ((), ()), ("forward", x), ("backward", dout[:, :D]))


dense_block = Exercise(
    id="resnet.dense_block",
    title="Skips that concatenate",
    name="DenseBlock",
    kind="class",
    points=4,
    reference=DenseBlock,
    cases=_dense_cases,
    compare=Close(rtol=1e-5, atol=1e-8),
    mistakes=(
        Mistake(
            "only_the_last",
            OnlyTheLast,
            "each layer's new features; but out holds x and all that was made, side by side.",
        ),
        Mistake(
            "newest_first", NewestFirst, "the order is x first, then the new features in the order they were made."
        ),
        Mistake(
            "relu_forgotten_backwards",
            ReluForgotten,
            "out is right. On the way back no gradient passes a ReLU that was off.",
        ),
        Mistake(
            "last_use_only",
            LastUseOnly,
            "out is right. Features reach the loss through out itself and through every later layer; add both.",
        ),
        Mistake(
            "next_use_only",
            NextUseOnly,
            "out is right. What a layer hands back is added to what later layers have handed back, not to dout.",
        ),
    ),
    withhold=(
        *AUTOGRAD,
        *AUTODIFF,
        "dlcourse.mlp.linear_backward",
        "dlcourse.mlp.MLP",
        "dlcourse.residual.concat_backward",
    ),
    hints=(
        "forward: keep one array `seen`, and let each layer append its columns to it.",
        "backward: go through the layers from the last; its columns of d are the last ones, the rest waits.",
        "dy = d[:, width:] · (y > 0); d = d[:, :width] + dy @ w.T, where width is what layer i has seen.",
    ),
    difficulty=4,
    importance=4,
    minutes=30,
)


# --- The U-Net's join -----------------------------------------------------------------------------------------------


def join(x, skip, dout):
    """The reference: out, dx, dskip."""
    up, scale = residual.upsample_forward(np.asarray(x, dtype=np.float64))
    out, sizes = residual.concat_forward([np.asarray(skip, dtype=np.float64), up])
    dskip, dup = residual.concat_backward(np.asarray(dout), sizes)
    return out, residual.upsample_backward(dup, scale), dskip


def _join(x, skip, dout, swapped=False, mean=False, tiled=False):
    up = np.tile(x, (1, 1, 2, 2)) if tiled else x.repeat(2, axis=2).repeat(2, axis=3)
    out = np.concatenate([up, skip] if swapped else [skip, up], axis=1)
    at = x.shape[1] if swapped else skip.shape[1]
    dup, dskip = (dout[:, :at], dout[:, at:]) if swapped else (dout[:, at:], dout[:, :at])
    N, C, H, W = x.shape
    pieces = dup.reshape(N, C, 2, H, 2, W) if tiled else dup.reshape(N, C, H, 2, W, 2)
    axes = (2, 4) if tiled else (3, 5)
    return out, pieces.mean(axis=axes) if mean else pieces.sum(axis=axes), dskip


def _tiled_forward(x, skip, dout):
    return (_join(x, skip, dout, tiled=True)[0], *_join(x, skip, dout)[1:])


def _tiled_back(x, skip, dout):
    return (_join(x, skip, dout)[0], *_join(x, skip, dout, tiled=True)[1:])


def _corner(x, skip, dout):
    out, _, dskip = _join(x, skip, dout)
    return out, dout[:, skip.shape[1] :, ::2, ::2], dskip


def _added(x, skip, dout):
    up = x.repeat(2, axis=2).repeat(2, axis=3)
    if up.shape[1] != skip.shape[1]:
        return _join(x, skip, dout, swapped=True)
    return skip + up, _join(x, skip, dout)[1], dout[:, : skip.shape[1]]


def _join_cases(rng: np.random.Generator) -> Iterator[Case]:
    x, skip = np.array([[[[5.0]]]]), np.array([[[[1.0, 2.0], [3.0, 4.0]]]])
    yield case("by hand: one pixel", x, skip, np.arange(8.0).reshape(1, 2, 2, 2))
    for name, (N, C, K, H, W) in {
        "as many channels on both sides": (2, 3, 3, 2, 3),
        "more channels from below": (1, 4, 2, 3, 2),
        "more channels from the skip": (3, 1, 5, 1, 4),
    }.items():
        x, skip = rng.normal(size=(N, C, H, W)), rng.normal(size=(N, K, 2 * H, 2 * W))
        yield case(name, x, skip, rng.normal(size=(N, C + K, 2 * H, 2 * W)))


unet_join = Exercise(
    id="resnet.join",
    title="The U-Net's join",
    name="join",
    kind="function",
    points=3,
    reference=join,
    cases=_join_cases,
    compare=Close(rtol=1e-6, atol=1e-9),
    mistakes=(
        Mistake(
            "order",
            lambda x, skip, dout: _join(x, skip, dout, swapped=True),
            "the skip's channels come first, then those from below.",
        ),
        Mistake(
            "mean_for_sum",
            lambda x, skip, dout: _join(x, skip, dout, mean=True),
            "a pixel of x went to four places, so its gradient is the sum of the four, not the mean.",
        ),
        Mistake(
            "tiled",
            lambda x, skip, dout: _join(x, skip, dout, tiled=True),
            "this puts four copies of the map beside each other. Each pixel is to become a 2×2 square.",
        ),
        Mistake(
            "tiled_forward",
            _tiled_forward,
            "out has four copies of the map beside each other: np.tile. Squares of equal pixels are made by np.repeat.",
        ),
        Mistake(
            "tiled_back",
            _tiled_back,
            "out is right. dx adds up places that are half a map apart; those of one pixel of x are neighbours.",
        ),
        Mistake("corner_only", _corner, "dx takes one pixel of each square; all four came from the same pixel of x."),
        Mistake("added", _added, "the U-Net concatenates along the channels; here something else is done."),
    ),
    withhold=(
        *AUTOGRAD,
        *AUTODIFF,
        *(f"dlcourse.residual.{name}_{way}" for name in ("upsample", "concat") for way in ("forward", "backward")),
        *(
            f"torch.nn.functional.{name}"
            for name in ("interpolate", "upsample", "upsample_nearest", "avg_pool2d", "lp_pool2d")
        ),
        *(f"torch.nn.functional.{name}" for name in ("conv_transpose2d", "conv2d", "unfold", "adaptive_avg_pool2d")),
        "torch.ops.aten.upsample_nearest2d",
        "scipy.ndimage.zoom",
    ),
    hints=(
        "np.repeat along two axes makes squares; np.concatenate along axis 1 joins.",
        "Backwards, first part dout: the first skip.shape[1] channels are dskip as they are.",
        "The rest, reshaped to (N, C, H, 2, W, 2) and summed over axes 3 and 5, is dx.",
    ),
    difficulty=2,
    importance=4,
    minutes=15,
)


# --- Non-maximum suppression ----------------------------------------------------------------------------------------


def suppress(boxes, scores, threshold):
    """The reference."""
    return detection.nms(np.asarray(boxes), np.asarray(scores), threshold)


def _suppress(boxes, scores, threshold, order=None, against_all=False, overlap=None, reverse=False):
    ious = detection.box_iou(boxes, boxes) if overlap is None else overlap(boxes)
    keep, dropped = [], []
    for i in np.argsort(scores if reverse else -scores, kind="stable") if order is None else range(len(boxes)):
        rivals = keep + dropped if against_all else keep
        if all(ious[i, j] <= threshold for j in rivals):
            keep.append(int(i))
        else:
            dropped.append(int(i))
    return np.array(keep, dtype=np.int64)


def _over_smaller(boxes):
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(axis=2)
    area = detection.box_area(boxes)
    return common / np.minimum(area[:, None], area)


def _not_clipped(boxes):
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    common = (high - low).prod(axis=2)
    area = detection.box_area(boxes)
    return common / (area[:, None] + area - common)


def _sum_for_union(boxes):
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    area = detection.box_area(boxes)
    return np.clip(high - low, 0, None).prod(axis=2) / (area[:, None] + area)


def _drawn_boxes(rng, n, size=20.0):
    corner = rng.uniform(0, size, (n, 2))
    return np.concatenate([corner, corner + rng.uniform(4, 12, (n, 2))], axis=1)


def _nms_cases(rng: np.random.Generator) -> Iterator[Case]:
    by_hand = np.array([[0.0, 0, 4, 4], [1.0, 0, 5, 4], [10.0, 10, 12, 12]])
    yield case("by hand: two overlap by 0.6", by_hand, np.array([0.7, 0.9, 0.4]), 0.5)
    yield case("the same with a higher threshold", by_hand, np.array([0.7, 0.9, 0.4]), 0.65)
    chain = np.array([[0.0, 0, 10, 10], [4.0, 0, 14, 10], [8.0, 0, 18, 10]])  # 0 and 2 overlap by a ninth
    yield case("a chain: what is dropped drops nothing", chain, np.array([0.9, 0.8, 0.7]), 0.3)
    apart = np.array([[0.0, 0, 2, 2], [30.0, 30, 60, 60], [100.0, 50, 102, 53]])
    yield case("far apart", apart, np.array([0.2, 0.3, 0.1]), 0.1)
    inside = np.array([[0.0, 0, 10, 10], [3.0, 3, 6, 6], [0.0, 0, 10, 9]])
    yield case("one inside another", inside, np.array([0.5, 0.8, 0.4]), 0.4)
    edge = np.array([[0.0, 0, 2, 1], [1.0, 0, 3, 1], [0.0, 4, 4, 6], [1.0, 4, 4, 6]])  # IoU 1/3 and 3/4
    yield case("an IoU that equals the threshold stays", edge, np.array([0.9, 0.8, 0.6, 0.7]), 0.75)
    for n, threshold in ((12, 0.2), (25, 0.45)):
        boxes = _drawn_boxes(rng, n)
        yield case(f"{n} boxes, threshold {threshold}", boxes, rng.permutation(n) / n + 0.01, threshold)
    yield case("one box", _drawn_boxes(rng, 1), np.array([0.5]), 0.5)
    yield case("no box", np.zeros((0, 4)), np.zeros(0), 0.5)


nms = Exercise(
    id="resnet.nms",
    title="Non-maximum suppression",
    name="nms",
    kind="function",
    points=3,
    reference=suppress,
    cases=_nms_cases,
    compare=Close(rtol=0, atol=0),
    mistakes=(
        Mistake(
            "in_the_given_order",
            lambda boxes, scores, threshold: _suppress(boxes, scores, threshold, order=True),
            "the boxes are taken in the order in which they come; the one with the highest score goes first.",
        ),
        Mistake(
            "lowest_score_first",
            lambda boxes, scores, threshold: _suppress(boxes, scores, threshold, reverse=True),
            "this begins with the lowest score.",
        ),
        Mistake(
            "dropped_ones_count",
            lambda boxes, scores, threshold: _suppress(boxes, scores, threshold, against_all=True),
            "a box that was dropped must not drop others: compare with those that are kept.",
        ),
        Mistake(
            "kept_in_index_order",
            lambda boxes, scores, threshold: np.sort(suppress(boxes, scores, threshold)),
            "the right boxes; they are to come with the highest score first.",
        ),
        Mistake(
            "sum_for_union",
            lambda boxes, scores, threshold: _suppress(boxes, scores, threshold, overlap=_sum_for_union),
            "the union is the sum of both areas less the intersection, which the sum counts twice.",
        ),
        Mistake(
            "over_the_smaller_area",
            lambda boxes, scores, threshold: _suppress(boxes, scores, threshold, overlap=_over_smaller),
            "IoU divides by the union of both boxes, not by the smaller one.",
        ),
        Mistake(
            "overlap_not_clipped",
            lambda boxes, scores, threshold: _suppress(boxes, scores, threshold, overlap=_not_clipped),
            "where boxes lie apart in both directions, two negative sides give a positive area: clip sides at 0.",
        ),
    ),
    withhold=(
        "dlcourse.detection.nms",
        "dlcourse.detection.detect",
        "dlcourse.detection.box_iou",
        "dlcourse.detection.tally",
        *(f"torchvision.ops.{where}{name}" for where in ("", "boxes.") for name in ("nms", "batched_nms", "box_iou")),
    ),
    hints=(
        "Two parts: a function for the IoU of two boxes, and a loop over the boxes by falling score.",
        "Intersection: from the larger left to the smaller right, at least 0, times the same for top and bottom.",
        "for i in np.argsort(-scores): keep i if its IoU with every box kept so far is at most the threshold.",
    ),
    difficulty=3,
    importance=4,
    minutes=25,
)

essay = text_exercise("resnet.essay", "Fifty-six layers", points=3, difficulty=3, importance=5, minutes=15)

EXERCISES = (block_number, block_backward, path_sums, identity, dense_block, unet_join, nms, essay)
