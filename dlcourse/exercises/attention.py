"""The exercises of ``14_attention``: attention for one query, backwards, with many heads, while the keys stream by;
positions, a head set by hand, byte pairs, a block's parameters."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from dlcourse import attention, tokenizer
from dlcourse.exercises.compare import Close, FalseFail, Holds, holds_nan
from dlcourse.exercises.offered import ATTENTION, AUTODIFF, AUTOGRAD, BYTE_PAIRS
from dlcourse.exercises.plain import numbers, parts
from dlcourse.exercises.spec import Case, Exercise, Mistake, case, steps, text_exercise

# --- A number: the parameters of a block ----------------------------------------------------------------------------

_D = 96

block_parameters = Exercise(
    id="attention.block_parameters",
    title="What a block weighs",
    name="parameters",
    kind="number",
    points=1,
    reference=12 * _D**2 + 13 * _D,
    cases=lambda rng: [Case("a block of width 96, 6 heads")],
    compare=Close(rtol=0, atol=0),
    mistakes=(
        Mistake("no_biases", 12 * _D**2 + 4 * _D, "the weights are all there; each linear layer has biases too."),
        Mistake(
            "no_norms",
            12 * _D**2 + 9 * _D,
            "4·D are missing: either the γ and β of the two layer norms, or the biases of attention's four layers.",
        ),
        Mistake("matrices_only", 12 * _D**2, "these are the matrices; the biases and the two layer norms are missing."),
        Mistake(
            "no_output_layer",
            11 * _D**2 + 12 * _D,
            "the heads' answers are joined and go through one more D × D layer.",
        ),
        Mistake(
            "times_heads",
            6 * 3 * (_D**2 + _D) + 9 * _D**2 + 10 * _D,
            "each head has only D/6 columns of the queries, keys and values: the number of heads does not matter.",
        ),
        Mistake("one_norm", 12 * _D**2 + 11 * _D, "there are two layer norms, one before each part."),
    ),
    hints=(
        "Go through the block: two layer norms, q, k and v, the layer after the heads, the MLP's two layers.",
        "Attention: four layers D → D. MLP: D → 4D and 4D → D. A layer a → b has a·b weights and b biases.",
        "4·(D² + D) for attention, 8·D² + 5·D for the MLP, 4·D for the norms, with D = 96.",
    ),
    difficulty=2,
    importance=4,
    minutes=10,
)


# --- One query --------------------------------------------------------------------------------------------------------


def attend(query, keys, values, allowed):
    """The reference."""
    out, weights = attention.smooth_one(query, keys, values, allowed=np.flatnonzero(allowed))
    return out, weights


def _attend(query, keys, values, allowed, scale=None, after=False, fill=-np.inf, transform=lambda s: s):
    scores = transform(keys @ query * (len(query) ** -0.5 if scale is None else scale))
    if not after:
        scores = np.where(allowed, scores, fill)
    weights = np.exp(scores - scores.max())
    weights = weights / weights.sum()
    weights = weights * allowed if after else weights
    return weights @ values, weights


def _attend_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield case(
        "by hand",
        np.array([2.0, 0, 0, 0]),
        np.array([[0.0, 1, 0, 0], [math.log(3), 0, 1, 0], [50.0, 0, 0, 0]]),
        np.array([[4.0], [8.0], [100.0]]),
        np.array([True, True, False]),
    )
    for S, D, E in ((5, 3, 2), (4, 9, 1), (1, 2, 3)):
        draw = rng.normal(size=(S, D)), rng.normal(size=(S, E))
        yield case(f"{S} keys of {D} features, all allowed", rng.normal(size=D), *draw, np.ones(S, bool))
    allowed = rng.random(8) < 0.5
    allowed[[2, 5]] = True, False
    yield case("some may not be looked at", rng.normal(size=4), *rng.normal(size=(2, 8, 4)), allowed)
    only = np.arange(6) == 3
    yield case("one only", rng.normal(size=4), *rng.normal(size=(2, 6, 4)), only)
    # Whole numbers and D = 4: float32 holds such scores exactly.
    query, keys = _whole(rng, (4,)), _whole(rng, (6, 4))
    keys[[2, 4]] = query
    yield case("scores in the thousands", query, 20 * keys, rng.normal(size=(6, 3)), np.arange(6) != 1)
    yield case("all scores far below 0", query, keys - 60 * query, rng.normal(size=(6, 3)), ~only)
    far = keys + 60 * np.outer(only, query)
    yield case("a forbidden key fits by far the best", query, far, rng.normal(size=(6, 3)), ~only)


def _whole(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Whole numbers from 3 to 8 and their negatives."""
    return rng.integers(3, 9, shape) * rng.choice([-1.0, 1.0], shape)


one_query = Exercise(
    id="attention.one_query",
    title="One query",
    name="attend",
    kind="function",
    points=2,
    reference=attend,
    cases=_attend_cases,
    compare=Close(rtol=1e-5, atol=1e-7),
    mistakes=(
        Mistake(
            "not_scaled",
            lambda q, k, v, allowed: _attend(q, k, v, allowed, scale=1.0),
            "the dot products are not divided by √D.",
        ),
        Mistake(
            "divided_by_D",
            lambda q, k, v, allowed: _attend(q, k, v, allowed, scale=1 / len(q)),
            "divide by √D, not by D.",
        ),
        Mistake(
            "masked_after",
            lambda q, k, v, allowed: _attend(q, k, v, allowed, after=True),
            "forbidden keys took part in the sum: leave them out before the softmax, so that the weights sum to 1.",
        ),
        Mistake(
            "masked_with_0",
            lambda q, k, v, allowed: _attend(q, k, v, allowed, fill=0.0),
            "a score of 0 is a score like any other, exp(0) = 1. What is forbidden gets −∞.",
        ),
        Mistake(
            "mask_ignored",
            lambda q, k, v, allowed: _attend(q, k, v, np.ones(len(k), bool)),
            "`allowed` is not used: forbidden keys must get weight 0.",
        ),
        Mistake(
            "mask_turned",
            lambda q, k, v, allowed: _attend(q, k, v, allowed if allowed.all() else ~allowed),
            "True means that the key MAY be looked at.",
        ),
        Mistake(
            "hardest",
            lambda q, k, v, allowed: (
                v[np.where(allowed, k @ q, -np.inf).argmax()],
                (np.arange(len(k)) == np.where(allowed, k @ q, -np.inf).argmax()).astype(float),
            ),
            "this takes the best key only; softmax gives each a share.",
        ),
        Mistake(
            "not_a_number",
            lambda q, k, v, allowed: (np.full(v.shape[1], np.nan), np.full(len(k), np.nan)),
            "exp overflows, or gives nothing but 0: before it, subtract the largest score of the allowed keys.",
            when=holds_nan,
        ),
    ),
    withhold=ATTENTION,
    hints=(
        "Three steps: a score for each key, weights from the scores, a weighted sum of the values.",
        "scores = keys @ query / √D, and −∞ where not allowed. Subtract the largest before exp, so it cannot overflow.",
        "w = np.exp(s - s.max()); w = w / w.sum(); return w @ values, w.",
    ),
    difficulty=1,
    importance=5,
    minutes=15,
)


# --- Backwards --------------------------------------------------------------------------------------------------------


def backward(dout, q, k, v):
    """The reference."""
    _, cache = attention.attention_forward(q, k, v)
    return attention.attention_backward(dout, cache)


def _backward(dout, q, k, v, *, along=True, scale=True, turned=False, own=False, weighted=True):
    size = q.shape[1] ** -0.5
    p = attention.masked_softmax(q @ k.T * size)
    dp = dout @ v.T
    ds = p * (dp - (p * dp if weighted else dp).sum(axis=1, keepdims=True)) if along else p * dp
    ds = p * (1 - p) * dp if own else ds
    ds = ds * size if scale else ds
    return ds @ k, ds.T @ q, (p if turned else p.T) @ dout


def _backward_cases(rng: np.random.Generator) -> Iterator[Case]:
    q, k = np.array([[1.0]]), np.array([[0.0], [math.log(3)]])
    yield case("by hand", np.array([[1.0]]), q, k, np.array([[0.0], [4.0]]))
    for T, S, D, E in ((3, 3, 2, 2), (2, 5, 4, 3), (4, 4, 3, 1), (1, 6, 9, 2)):
        shapes = ((T, E), (T, D), (S, D), (S, E))
        yield case(f"{T} queries, {S} keys, D = {D}, E = {E}", *(rng.normal(size=shape) for shape in shapes))
    yield case("one key", rng.normal(size=(3, 2)), rng.normal(size=(3, 4)), *rng.normal(size=(2, 1, 4))[:1],
               rng.normal(size=(1, 2)))  # fmt: skip


backwards = Exercise(
    id="attention.backward",
    title="Attention, backwards",
    name="attention_backward",
    kind="function",
    points=4,
    reference=backward,
    cases=_backward_cases,
    compare=Close(rtol=1e-5, atol=1e-7),
    mistakes=(
        Mistake(
            "softmax_without_sum",
            lambda *a: _backward(*a, along=False),
            "each weight depends on all scores of its row: the gradient through softmax subtracts Σ p · dp.",
        ),
        Mistake(
            "sum_without_weights",
            lambda *a: _backward(*a, weighted=False),
            "what is subtracted is the mean of dp with the weights p, Σ p · dp, not the plain sum.",
        ),
        Mistake(
            "softmax_as_sigmoid",
            lambda *a: _backward(*a, own=True),
            "p · (1 − p) is the diagonal only; a score also lowers all other weights of its row.",
        ),
        Mistake("scale_forgotten", lambda *a: _backward(*a, scale=False), "dq and dk lack the factor 1/√D."),
        Mistake(
            "order_of_results",
            lambda *a: (lambda dq, dk, dv: (dv, dk, dq))(*_backward(*a)),
            "the three are there, but in another order; expected dq, dk, dv.",
        ),
        Mistake(
            "q_and_k_swapped",
            lambda *a: (lambda dq, dk, dv: (dk, dq, dv))(*_backward(*a)),
            "dq and dk have changed places.",
        ),
    ),
    withhold=(*AUTOGRAD, *AUTODIFF),
    hints=(
        "Go back step by step: out = p v, p = softmax(s), s = q kᵀ / √D. A matrix product gives two gradients.",
        "dv = pᵀ dout and dp = dout vᵀ. Softmax, row by row: ds = p · (dp − Σ p · dp).",
        "With ds already multiplied by 1/√D: dq = ds @ k, dk = ds.T @ q.",
    ),
    difficulty=4,
    importance=4,
    minutes=35,
)


# --- Many heads -------------------------------------------------------------------------------------------------------


def multi_head(x, w_q, w_k, w_v, w_o, heads, causal):
    """The reference."""
    D = x.shape[1]
    zero = np.zeros(3 * D, x.dtype)
    w_in = np.concatenate([w_q, w_k, w_v], axis=1)
    return attention.multi_head_forward(x[None], w_in, zero, w_o, zero[:D], heads, causal=causal)[0][0]


def _heads(x, w_q, w_k, w_v, w_o, heads, causal, *, size=None, interleaved=False, output=True, mean=False, mask=None):
    T, D = x.shape
    d = D // heads
    triangle = (np.tri(T, dtype=bool) if mask is None else mask(T)) if causal else None
    found = []
    for h in range(heads):
        cols = slice(h, None, heads) if interleaved else slice(h * d, (h + 1) * d)
        q, k, v = (x @ w[:, cols] for w in (w_q, w_k, w_v))
        p = attention.masked_softmax(q @ k.T / math.sqrt(size or d), triangle)
        found.append(p @ v)
    joined = np.tile(np.mean(found, axis=0), (1, heads)) if mean else np.concatenate(found, axis=1)
    return joined @ w_o if output else joined


def _head_cases(rng: np.random.Generator) -> Iterator[Case]:
    x, w_q = np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([[1.0, 0], [0, 0]])
    w_k = np.array([[math.log(3), 0], [0, 1]])
    yield case("by hand: two heads of one feature", x, w_q, w_k, 4 * np.eye(2), np.eye(2), 2, False)
    yield case("by hand, causal", x, w_q, w_k, 4 * np.eye(2), np.eye(2), 2, True)
    for T, D, heads in ((4, 6, 2), (5, 6, 3), (3, 4, 1), (3, 4, 4)):
        for causal in (False, True):
            name = f"{T} tokens, D = {D}, {heads} heads" + (", causal" if causal else "")
            yield case(name, rng.normal(size=(T, D)), *rng.normal(size=(4, D, D)), heads, causal)
    yield case("one token", rng.normal(size=(1, 4)), *rng.normal(size=(4, 4, 4)), 2, True)
    later = np.array([[1.0, 0], [8, 0]])
    yield case("a later token fits by far the best", later, *(20 * np.ones((2, 2, 2))), np.eye(2), np.eye(2), 1, True)
    x, *w = (_whole(rng, shape) for shape in ((5, 8), (8, 8), (8, 8), (8, 8)))
    yield case("scores in the thousands", x, *w, rng.normal(size=(8, 8)), 2, True)


heads = Exercise(
    id="attention.multi_head",
    title="Many heads",
    name="multi_head",
    kind="function",
    points=4,
    reference=multi_head,
    cases=_head_cases,
    compare=Close(rtol=1e-5, atol=1e-7),
    mistakes=(
        Mistake(
            "one_head",
            lambda x, q, k, v, o, heads, causal: multi_head(x, q, k, v, o, 1, causal),
            "this is one head with all features; each head attends with its own D / heads columns.",
        ),
        Mistake(
            "scaled_by_D",
            lambda x, *a: _heads(x, *a, size=x.shape[1]),
            "a head's dot products have D / heads terms: divide by √(D / heads).",
        ),
        Mistake(
            "interleaved",
            lambda *a: _heads(*a, interleaved=True),
            "head h takes neighbouring columns, h·d to (h+1)·d, and not every heads-th one.",
        ),
        Mistake(
            "no_output_layer", lambda *a: _heads(*a, output=False), "the joined heads still have to go through w_o."
        ),
        Mistake("averaged", lambda *a: _heads(*a, mean=True), "the heads are put side by side, not averaged."),
        Mistake(
            "causal_ignored",
            lambda *a: _heads(*a[:-1], False),
            "`causal` is not used: none may look at later ones.",
        ),
        Mistake(
            "causal_turned",
            lambda *a: _heads(*a, mask=lambda T: np.tri(T, dtype=bool).T),
            "tokens look at later ones here; they may look at themselves and at earlier ones.",
        ),
        Mistake(
            "not_at_itself",
            lambda *a: _heads(*a, mask=lambda T: np.tri(T, k=-1, dtype=bool)),
            "a token may look at itself too.",
        ),
        Mistake(
            "not_a_number",
            lambda x, *a: np.full(x.shape, np.nan),
            "exp overflows, or gives nothing but 0: before it, subtract the row's largest score that is not masked.",
            when=holds_nan,
        ),
    ),
    hints=(
        "First q = x @ w_q and so on, for all heads together; then cut columns.",
        "Head h: columns h·d to (h+1)·d with d = D // heads; scores / √d; −∞ above the diagonal where causal.",
        "np.concatenate(list_of_heads, axis=1) @ w_o; np.triu(np.ones((T, T)), 1) marks what comes later.",
    ),
    difficulty=3,
    importance=5,
    minutes=30,
)


# --- Online softmax ---------------------------------------------------------------------------------------------------


class Streaming:
    """The reference."""

    rescales, rescales_sum, scales = True, True, True

    def __init__(self, query):
        self.query, self.m, self.l, self.o = np.asarray(query), -np.inf, 0.0, 0.0

    def add(self, keys, values):
        s = keys @ self.query * (len(self.query) ** -0.5 if self.scales else 1.0)
        new = max(self.m, s.max())
        shrink = np.exp(self.m - new)
        p = np.exp(s - new)
        self.l = self.l * (shrink if self.rescales_sum else 1.0) + p.sum()
        self.o = self.o * (shrink if self.rescales else 1.0) + p @ values
        self.m = new

    def result(self):
        return self.o / self.l


class NotRescaled(Streaming):
    rescales = rescales_sum = False


class SumNotRescaled(Streaming):
    rescales_sum = False


class OutputNotRescaled(Streaming):
    rescales = False


class NotScaled(Streaming):
    scales = False


class NotDivided(Streaming):
    def result(self):
        return self.o


class FromZero(Streaming):
    def __init__(self, query):
        super().__init__(query)
        self.m = 0.0

    def result(self):
        with np.errstate(invalid="ignore"):
            return super().result()


class LastBlock(Streaming):
    def add(self, keys, values):
        self.m, self.l, self.o = -np.inf, 0.0, 0.0
        super().add(keys, values)


class DividedAtOnce(Streaming):
    """`result` changes what was gathered."""

    def result(self):
        self.o = self.o / self.l
        return self.o


class LastLargest(Streaming):
    """Takes each block's largest score as m, even if an earlier one was larger."""

    def add(self, keys, values):
        s = keys @ self.query * len(self.query) ** -0.5
        shrink = np.exp(np.clip(self.m - s.max(), -700, 700))
        self.m = s.max()
        p = np.exp(s - self.m)
        self.l, self.o = self.l * shrink + p.sum(), self.o * shrink + p @ values


def _stream_cases(rng: np.random.Generator) -> Iterator[Case]:
    ask = (("result",), (".m",), (".l",))
    one = (np.array([[0.0]]), np.array([[4.0]])), (np.array([[math.log(3)]]), np.array([[8.0]]))
    yield steps("by hand", (np.array([1.0]),), ("add", *one[0]), *ask, ("add", *one[1]), *ask)
    D, E = 4, 3
    query = rng.normal(size=D)

    def blocks(*sizes, size=1.0, shift=0.0):
        for i, n in enumerate(sizes):
            yield "add", size * rng.normal(size=(n, D)) + shift * i * query / (query @ query), rng.normal(size=(n, E))

    yield steps("one block", (query,), *blocks(5), *ask)
    yield steps("three blocks", (query,), *blocks(2, 4, 1), *ask)
    asked = (step for block in blocks(2, 3, 2) for step in (block, ("result",), ("result",)))
    yield steps("asked twice after each block", (query,), *asked)
    yield steps("scores that rise", (query,), *blocks(3, 3, 3, size=0.5, shift=6.0), *ask)
    yield steps("scores that fall", (query,), *blocks(3, 3, 3, size=0.5, shift=-6.0), *ask)
    query = _whole(rng, (D,))  # whole numbers, which float32 holds exactly

    def far(*shifts):
        for shift in shifts:
            yield "add", rng.integers(-1, 2, (3, D)) + shift * query, rng.normal(size=(3, E))

    yield steps("from below −1000 to above 1000", (query,), *far(-60.0, 0.0, 60.0), *ask)
    yield steps("from above 1000 to below −1000", (query,), *far(60.0, -60.0), *ask)
    yield steps("all far below 0", (query,), *far(-40.0, -40.0), *ask)


online = Exercise(
    id="attention.online",
    title="Keys that stream by",
    name="Streaming",
    kind="class",
    points=4,
    reference=Streaming,
    cases=_stream_cases,
    compare=Close(rtol=1e-5, atol=1e-7),
    mistakes=(
        Mistake(
            "nothing_rescaled",
            NotRescaled,
            "when a larger score comes, what was gathered before was measured against the old m: multiply by "
            "exp(old m − new m).",
        ),
        Mistake("sum_not_rescaled", SumNotRescaled, "o is rescaled when m grows, but l is not."),
        Mistake("output_not_rescaled", OutputNotRescaled, "l is rescaled when m grows, but o is not."),
        Mistake("not_scaled", NotScaled, "the dot products are not divided by √D."),
        Mistake("not_divided", NotDivided, "`result` gives o; the weights sum to 1 only after dividing by l."),
        Mistake("last_block_only", LastBlock, "`add` forgets the earlier blocks."),
        Mistake("m_of_the_last_block", LastLargest, "m is the largest score of all blocks, not of the last one."),
        Mistake(
            "result_changes_o", DividedAtOnce, "asked again, `result` gives another answer: do not keep o / l as o."
        ),
        Mistake(
            "m_starts_at_0",
            FromZero,
            "m starts at −∞: where all scores lie far below 0, exp(s − 0) is 0.",
        ),
    ),
    hints=(
        "Write the answer as o / l, where both are sums over keys. Which factor do all terms of both have in common?",
        "With m⁺ = max(m, the block's largest score), the old l and o are multiplied by exp(m − m⁺).",
        "p = np.exp(s - new); l = l * exp(m - new) + p.sum(); o = o * exp(m - new) + p @ values; m starts at -np.inf.",
    ),
    difficulty=4,
    importance=4,
    minutes=30,
)


# --- Positions --------------------------------------------------------------------------------------------------------


def positions(T, D, base):
    """The reference."""
    return attention.sinusoidal(T, D, base=base)


def _waves(T, D, base, *, power=2.0, start=0, split=False, swapped=False, per_column=False, degrees=False):
    columns = np.arange(D) if per_column else 2 * (np.arange(D) // 2)
    angles = np.arange(start, T + start)[:, None] * base ** (-columns * power / (2 * D))
    angles = np.deg2rad(angles) if degrees else angles
    waves = np.where(np.arange(D) % 2 == (1 if swapped else 0), np.sin(angles), np.cos(angles))
    return np.concatenate([waves[:, ::2], waves[:, 1::2]], axis=1) if split else waves


def _position_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield case("by hand", 2, 4, 100.0)
    for T, D, base in ((5, 6, 1e4), (12, 8, 50.0), (1, 4, 10.0), (40, 2, 1e4), (3, 16, 1e4)):
        yield case(f"T = {T}, D = {D}, base {base:g}", T, D, base)
    T, D = int(rng.integers(3, 30)), 2 * int(rng.integers(2, 9))
    yield case("sizes by chance", T, D, float(rng.uniform(5, 5000)))


sinusoidal = Exercise(
    id="attention.positions",
    title="Where is it?",
    name="positions",
    kind="function",
    points=2,
    reference=positions,
    cases=_position_cases,
    compare=Close(rtol=1e-5, atol=1e-7),
    mistakes=(
        Mistake(
            "sines_then_cosines",
            lambda *a: _waves(*a, split=True),
            "the numbers are right; sine and cosine of one wave stand side by side, in columns 2i and 2i+1.",
        ),
        Mistake("cosine_first", lambda *a: _waves(*a, swapped=True), "even columns are sines, odd ones cosines."),
        Mistake("from_one", lambda *a: _waves(*a, start=1), "the first position is 0."),
        Mistake("base_ignored", lambda T, D, base: positions(T, D, 1e4), "take the base that is given, not 10,000."),
        Mistake(
            "a_wave_a_column",
            lambda *a: _waves(*a, per_column=True),
            "columns 2i and 2i+1 share one wave: the exponent is 2i/D for both.",
        ),
        Mistake("exponent_i", lambda *a: _waves(*a, power=1.0), "the exponent is 2i/D, not i/D."),
        Mistake("exponent_4i", lambda *a: _waves(*a, power=4.0), "i counts pairs: column 2i has the exponent 2i/D."),
    ),
    hints=(
        "One angle for each position and each pair of columns: t / base^(2i/D) with i = 0 … D/2 − 1.",
        "angles = np.arange(T)[:, None] / base ** (np.arange(0, D, 2) / D) has the shape (T, D/2).",
        "p = np.empty((T, D)); p[:, 0::2] = np.sin(angles); p[:, 1::2] = np.cos(angles).",
    ),
    difficulty=1,
    importance=3,
    minutes=10,
)


# --- A head by hand ---------------------------------------------------------------------------------------------------

_PLACES = 300


def previous_token(D, base, strength=1e4, turn=1.0):
    """The reference: queries are turned back by one place."""
    angle = turn * base ** (-np.arange(0, D, 2) / D)
    w_q = np.zeros((D, D))
    for i, a in enumerate(angle):  # [sin t, cos t] -> [sin (t - 1), cos (t - 1)]
        w_q[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = [[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]]
    return strength * w_q, np.eye(D)


def head_weights(case: Case, values: list) -> np.ndarray:
    """The weights that the two matrices give, not masked: (places, places)."""
    w_q, w_k = (numbers(part).astype(np.float64) for part in parts(values[0], 2))
    D, base = case.calls[0].args
    if w_q.ndim != 2 or w_q.shape != w_k.shape or len(w_q) != D or w_q.shape[1] == 0:
        raise ValueError(f"shapes are {w_q.shape} and {w_k.shape}, expected ({D}, d) twice")
    p = attention.sinusoidal(_PLACES, D, base=base)
    with np.errstate(all="ignore"):
        scores = (p @ w_q) @ (p @ w_k).T / math.sqrt(w_q.shape[1])
    if not np.isfinite(scores).all():
        raise ValueError("the scores are not all finite")
    return scores


def head_rule(case: Case, values: list) -> str | None:
    weights = attention.masked_softmax(head_weights(case, values), attention.causal_mask(_PLACES))
    there = weights[np.arange(1, _PLACES), np.arange(_PLACES - 1)]
    t = int(there.argmin()) + 1
    if there[t - 1] < 0.9:
        return f"token {t} gives the token before it the weight {there[t - 1]:.3f}, expected at least 0.9"
    return None


def _looks_at(shift: int):
    def when(case: Case, values: list) -> bool:
        scores = head_weights(case, values)[2:-2]
        return bool((scores.argmax(axis=1) == np.arange(2, _PLACES - 2) + shift).all())

    return when


def _head_by_hand_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield case("D = 8, base 100", 8, 100.0)
    yield case("D = 16, base 10,000", 16, 1e4)
    yield case("D = 8, base 81.5", 8, 81.5)  # of all that are drawn, about the one where a head must be sharpest
    for _ in range(2):
        D, base = 2 * int(rng.integers(4, 17)), float(np.exp(rng.uniform(np.log(80), np.log(1e4))))
        yield case(f"D = {D}, base {base:.0f}", D, base)


head_by_hand = Exercise(
    id="attention.previous_token",
    title="A head that looks back",
    name="previous_token",
    kind="property",
    points=3,
    reference=previous_token,
    cases=_head_by_hand_cases,
    compare=Holds(
        head_rule,
        false_fail=FalseFail(
            0.0,
            "Nothing is left to chance: the weights of 300 positions follow from the two matrices, which follow from D "
            "and the base.",
        ),
    ),
    mistakes=(
        Mistake(
            "looks_at_itself",
            lambda D, base: previous_token(D, base, turn=0.0),
            "each token looks at itself most: the query must be that of the place before.",
            _looks_at(0),
        ),
        Mistake(
            "looks_ahead",
            lambda D, base: previous_token(D, base, turn=-1.0),
            "turned the wrong way: without the causal mask, each token would look at the next one.",
            _looks_at(1),
        ),
        Mistake(
            "too_soft",
            lambda D, base: previous_token(D, base, strength=2.0),
            "the token before gets the largest weight, but too small a one: multiply one of the matrices by more.",
            _looks_at(-1),
        ),
        Mistake(
            "two_steps",
            lambda D, base: previous_token(D, base, turn=2.0),
            "each token looks two places back; one is asked for.",
            _looks_at(-2),
        ),
    ),
    withhold=("dlcourse.attention.sinusoidal",),
    hints=(
        "p[s] · p[s'] is largest at s = s'. Let the key be p[s], and the query of place t be p[t − 1], made from p[t].",
        "sin(a − ω) = sin a cos ω − cos a sin ω, and cos(a − ω) = cos a cos ω + sin a sin ω: a rotation of each pair.",
        "For pair i, ω = base^(−2i/D), put [[cos ω, sin ω], [−sin ω, cos ω]] on the diagonal of w_q; w_q times 10,000.",
    ),
    difficulty=4,
    importance=3,
    minutes=30,
)


# --- Byte pairs -------------------------------------------------------------------------------------------------------


def learn_merges(ids, steps):
    """The reference."""
    return _merges(ids, steps)


def _merges(
    ids, steps, *, largest_tie=False, once=False, first=False, rare=False, new=256, overlap=False, apart=False, least=1
):
    ids, merges = [int(i) for i in ids], []
    for step in range(steps):
        counts = Counter(pairwise(ids))
        if apart:
            counts = {pair: len(ids) - len(tokenizer.merge(ids, pair, new + step)) for pair in counts}
        if max(counts.values(), default=0) < least:
            break
        sign = 1 if rare else -1
        ties = [p for p in counts if counts[p] == (min if rare else max)(counts.values())]
        best = ties[0] if first else max(ties) if largest_tie else min(counts, key=lambda p: (sign * counts[p], p))
        merges.append(best)
        if once:
            at = next(i for i, pair in enumerate(pairwise(ids)) if pair == best)
            ids = [*ids[:at], new + step, *ids[at + 2 :]]
        elif overlap:
            ids = ids[::-1]
            ids = tokenizer.merge(ids, best[::-1], new + step)[::-1]
        else:
            ids = tokenizer.merge(ids, best, new + step)
    return merges, ids


def _merge_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield case("by hand: abababc", [97, 98, 97, 98, 97, 98, 99], 2)
    yield case("a run of equals", [7, 7, 7, 7, 7, 3, 7, 7, 7], 2)
    yield case("ties: the smaller pair", [5, 1, 4, 2, 9, 5, 1, 4, 2, 9], 3)
    yield case("nothing to do", [1, 2, 3, 1, 2], 0)
    yield case("it ends early", [4, 4, 4, 4], 5)
    yield case("one id", [9], 2)
    words = ["the ", "cat ", "that ", "sat ", "on ", "mat ", "hat "]
    for n, count in ((30, 8), (40, 12)):
        text = "".join(words[i] for i in rng.integers(0, len(words), n))
        yield case(f"{n} words", [ord(c) for c in text], count)
    yield case("few letters", rng.integers(0, 3, 50).tolist(), 10)


byte_pairs = Exercise(
    id="attention.byte_pairs",
    title="Learn the merges",
    name="learn_merges",
    kind="function",
    points=3,
    reference=learn_merges,
    cases=_merge_cases,
    compare=Close(rtol=0, atol=0),
    mistakes=(
        Mistake(
            "one_place_only",
            lambda ids, steps: _merges(ids, steps, once=True),
            "the pair is found, but only its first occurrence is merged.",
        ),
        Mistake(
            "larger_of_a_tie",
            lambda ids, steps: _merges(ids, steps, largest_tie=True),
            "of pairs that are met equally often, the smaller one is merged.",
        ),
        Mistake(
            "first_of_a_tie",
            lambda ids, steps: _merges(ids, steps, first=True),
            "of pairs that are met equally often, take the smaller one, not the one that is met first.",
        ),
        Mistake(
            "rarest",
            lambda ids, steps: _merges(ids, steps, rare=True),
            "this merges the rarest pair; the commonest is asked for.",
        ),
        Mistake(
            "from_the_right",
            lambda ids, steps: _merges(ids, steps, overlap=True),
            "a run such as 7, 7, 7 is merged from the left: 256, 7.",
        ),
        Mistake(
            "places_without_overlap",
            lambda ids, steps: _merges(ids, steps, apart=True),
            "every place counts: 7, 7, 7 holds the pair (7, 7) twice, although only one of them can be merged.",
        ),
        Mistake(
            "stops_at_singles",
            lambda ids, steps: _merges(ids, steps, least=2),
            "a pair that is met once is merged too: stop only where no pair is left.",
        ),
        Mistake(
            "ids_from_255", lambda ids, steps: _merges(ids, steps, new=255), "the first merged pair gets the id 256."
        ),
    ),
    withhold=BYTE_PAIRS,
    hints=(
        "One step: count all neighbours, choose a pair, write the list anew with it merged. Then repeat.",
        "collections.Counter(zip(ids, ids[1:])) counts; min(counts, key=lambda p: (-counts[p], p)) chooses.",
        "To merge, walk through the list: at the pair append the new id and step by 2, else copy and step by 1.",
    ),
    difficulty=3,
    importance=3,
    minutes=25,
)

essay = text_exercise("attention.essay", "Ten thousand tokens", points=3, difficulty=3, importance=4, minutes=15)

EXERCISES = (
    block_parameters, one_query, backwards, heads, online, sinusoidal, head_by_hand, byte_pairs, essay,
)  # fmt: skip
