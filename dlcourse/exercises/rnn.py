"""The exercises of ``13_sequences``: an LSTM's parameters, embeddings, backpropagation through time, an LSTM, a GRU,
attention, a unit that remembers, and bits a character."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dlcourse import rnn
from dlcourse.exercises.compare import Close, FalseFail, Holds, holds_nan
from dlcourse.exercises.offered import AUTODIFF, AUTOGRAD, RECURRENT
from dlcourse.exercises.plain import numbers, parts
from dlcourse.exercises.spec import Case, Exercise, Mistake, case, steps, text_exercise

# --- A number: how many parameters has an LSTM? ---------------------------------------------------------------------

parameters = Exercise(
    id="rnn.parameters",
    title="An LSTM's parameters",
    name="parameters",
    kind="number",
    points=1,
    reference=4 * (128 * (128 + 64) + 128),
    cases=lambda rng: [Case("an LSTM of 128 units that reads vectors of 64 numbers")],
    compare=Close(rtol=0, atol=0),
    mistakes=(
        Mistake("one_gate", 128 * 192 + 128, "these are the weights of one gate, so of a plain RNN; there are four."),
        Mistake("gru", 3 * (128 * 192 + 128), "three gates make a GRU. An LSTM has i, f, o and the candidate z."),
        Mistake("no_biases", 4 * 128 * 192, "the biases are missing: one for each unit of each gate."),
        Mistake("no_state", 4 * (128 * 64 + 128), "each gate reads the last state too, and has weights for it."),
        Mistake(
            "two_biases",
            4 * (128 * 192 + 2 * 128),
            "PyTorch keeps two biases a gate, one beside each matrix; the formula has one, and that is asked for.",
        ),
        Mistake("times_moments", 50 * 4 * (128 * 192 + 128), "the same weights are used at every moment."),
    ),
    hints=(
        "How many gates are there, the candidate included? And what does each one read?",
        "A gate has a weight for each number of the input and of the last state, and a bias: for each of its units.",
        "4 · (128 · (128 + 64) + 128); an expression is fine.",
    ),
    difficulty=1,
    importance=3,
    minutes=5,
)


# --- embeddings -----------------------------------------------------------------------------------------------------


def embedding(ids, w, dout):
    """The reference."""
    out, cache = rnn.embedding_forward(np.asarray(ids), np.asarray(w))
    return out, rnn.embedding_backward(np.asarray(dout), cache)


def _last_one_wins(ids, w, dout):
    dw = np.zeros_like(w)
    dw[ids] = dout
    return w[ids], dw


def _averaged(ids, w, dout):
    out, dw = embedding(ids, w, dout)
    counts = np.bincount(np.ravel(ids), minlength=len(w))
    return out, dw / np.maximum(counts, 1)[:, None]


def _only_used(ids, w, dout):
    out, dw = embedding(ids, w, dout)
    return out, dw[np.unique(ids)]


def _embedding_cases(rng: np.random.Generator) -> Iterator[Case]:
    w = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]])
    dout = np.array([[1.0, 1.0], [0.5, 0.0], [0.0, 2.0]])
    yield case("by hand: the word 2 stands twice", np.array([2, 0, 2]), w, dout)
    w = rng.normal(size=(7, 4))
    ids = np.array([1, 5, 5, 3, 1, 5])
    yield case("a sentence", rng.permutation(ids), w, rng.normal(size=(6, 4)))
    yield case("a batch of sentences", rng.integers(0, 7, (3, 5)), w, rng.normal(size=(3, 5, 4)))
    yield case("one word, again and again", np.full(8, 6), w[:, :1], rng.normal(size=(8, 1)))


embed = Exercise(
    id="rnn.embedding",
    title="Embeddings, forward and back",
    name="embedding",
    kind="function",
    points=2,
    reference=embedding,
    cases=_embedding_cases,
    compare=Close(rtol=1e-5, atol=1e-7),
    mistakes=(
        Mistake(
            "last_one_wins",
            _last_one_wins,
            "out is right. A word that stands at several places gets the sum of their gradients; `dw[ids] = dout` (and "
            "`dw[ids] += dout`, too) keeps one of them.",
        ),
        Mistake("averaged", _averaged, "out is right. The gradients of a word's places are added up, not averaged."),
        Mistake("only_used_rows", _only_used, "dw has w's shape: words that do not occur have the gradient 0."),
    ),
    withhold=RECURRENT,
    hints=(
        "Forward it is one line: NumPy's w[ids] takes rows. Backward, ask which places used row v.",
        "dw starts with zeros in w's shape. Go through all places, and add dout there to the row of its word.",
        "for i, d in zip(ids.ravel(), dout.reshape(-1, w.shape[1])): dw[i] += d. Or np.add.at(dw, ids, dout).",
    ),
    difficulty=2,
    importance=4,
    minutes=15,
)


# --- backpropagation through time -----------------------------------------------------------------------------------


def bptt(dhs, hs, h0, x, w, u):
    """The reference, for one sequence."""
    dhs, hs, h0, x, w, u = (np.asarray(a, dtype=float) for a in (dhs, hs, h0, x, w, u))
    before = np.concatenate([h0[None], hs[:-1]])
    da, carried = np.zeros_like(hs), np.zeros_like(h0)
    for t in reversed(range(len(hs))):
        da[t] = (1 - hs[t] ** 2) * (dhs[t] + carried)
        carried = w.T @ da[t]
    return da @ u, carried, da.T @ before, da.T @ x, da.sum(axis=0)


def _variant(
    slope=True, carry=True, transpose=True, same_moment=False, mean=False, wrapped=False, outside=False, short=False
):
    """Backpropagation through time with one thing wrong."""

    def wrong(dhs, hs, h0, x, w, u):
        before = hs if same_moment else np.concatenate([hs[-1:] if wrapped else h0[None], hs[:-1]])
        da, carried = np.zeros_like(hs), np.zeros_like(h0)
        for t in reversed(range(len(hs))):
            da[t] = ((1 - hs[t] ** 2) if slope else 1) * (dhs[t] + (carried if carry and not outside else 0))
            da[t] += carried if outside else 0
            carried = (w.T if transpose else w) @ da[t]
        share = len(hs) if mean else 1
        return da @ u, da[0] if short else carried, da.T @ before / share, da.T @ x / share, da.sum(axis=0) / share

    return wrong


def _dw_turned(*given):
    dx, dh0, dw, du, db = bptt(*given)
    return dx, dh0, dw.T, du, db


def _unrolled(x, h0, w, u, b):
    hs = []
    for row in x:
        h0 = np.tanh(w @ h0 + u @ row + b)
        hs.append(h0)
    return np.array(hs)


def _bptt_cases(rng: np.random.Generator) -> Iterator[Case]:
    hs, one = np.array([[0.5], [0.0]]), np.ones((1, 1))
    yield case("by hand", np.array([[0.0], [1.0]]), hs, np.array([2.0]), np.array([[1.0], [3.0]]), 4 * one, 0.5 * one)
    for name, T, H, D, last in (
        ("a loss at the end", 6, 3, 2, True),
        ("a loss at every moment", 5, 4, 3, False),
        ("one moment", 1, 2, 3, False),
        ("twenty moments", 20, 3, 3, True),
    ):
        w, u, b, h0 = (rng.normal(size=s) / np.sqrt(H) for s in ((H, H), (H, D), H, H))
        x, dhs = rng.normal(size=(T, D)), rng.normal(size=(T, H))
        dhs[:-1] *= not last
        yield case(name, dhs, _unrolled(x, h0, w, u, b), h0, x, w, u)


through_time = Exercise(
    id="rnn.bptt",
    title="Back through time",
    name="rnn_backward",
    kind="function",
    points=4,
    reference=bptt,
    cases=_bptt_cases,
    compare=Close(rtol=1e-4, atol=1e-7),
    mistakes=(
        Mistake("no_slope", _variant(slope=False), "the slope of tanh is missing: da = (1 − h²) ⊙ dh."),
        Mistake(
            "nothing_from_later",
            _variant(carry=False),
            "each moment gets only its own gradient; h_t also acts through h_{t+1}: add Wᵀ da_{t+1}.",
        ),
        Mistake("w_not_transposed", _variant(transpose=False), "backwards it is Wᵀ that is multiplied with, not W."),
        Mistake(
            "state_of_the_same_moment",
            _variant(same_moment=True),
            "dW pairs da_t with h_{t−1}, which is what W was multiplied with; for t = 0 that is h0.",
        ),
        Mistake(
            "wrapped_round",
            _variant(wrapped=True),
            "all is right but dW: at the first moment hs[t - 1] is hs[-1], the LAST state; the one before it is h0.",
        ),
        Mistake(
            "slope_for_the_outside_only",
            _variant(outside=True),
            "what comes from h_{t+1} goes through this moment's tanh too: first add, then multiply by 1 − h².",
        ),
        Mistake("dh0_one_step_short", _variant(short=True), "dh0 is Wᵀ da of the first moment, not da itself."),
        Mistake("dw_turned", _dw_turned, "dW is transposed: row i belongs to unit i of da, np.outer(da, h before t)."),
        Mistake("means_over_moments", _variant(mean=True), "dW, dU and db are sums over the moments, not means."),
    ),
    withhold=(*RECURRENT, *AUTOGRAD, *AUTODIFF),
    hints=(
        "Go from the last moment to the first, and carry along what h_t gets from h_{t+1}.",
        "dh = dhs[t] + carried; da = (1 − hs[t]²) · dh; carried = w.T @ da. What is carried at the end is dh0.",
        "dx[t] = u.T @ da; dw += np.outer(da, h before t); du += np.outer(da, x[t]); db += da.",
    ),
    difficulty=4,
    importance=5,
    minutes=30,
)


# --- the LSTM as a class --------------------------------------------------------------------------------------------


def _sigmoid(a):
    return 0.5 * np.tanh(0.5 * np.asarray(a)) + 0.5


class LSTM:
    """The reference."""

    squash = staticmethod(np.tanh)
    order = (0, 1, 2, 3)

    def __init__(self, w, u, b):
        self.w, self.u, self.b = w, u, b
        self.h, self.c = np.zeros(w.shape[1]), np.zeros(w.shape[1])

    def gates(self, x):
        a = np.split(self.w @ self.h + self.u @ x + self.b, 4)
        i, f, z, o = (a[k] for k in self.order)
        return _sigmoid(i), _sigmoid(f), np.tanh(z), _sigmoid(o)

    def step(self, x):
        i, f, z, o = self.gates(x)
        self.c = f * self.c + i * z
        self.h = o * self.squash(self.c)
        return self.h


class _BareCell(LSTM):
    squash = staticmethod(lambda c: c)


class _OtherOrder(LSTM):
    order = (0, 1, 3, 2)


class _Swapped(LSTM):
    order = (1, 0, 2, 3)


class _LogisticCandidate(LSTM):
    def gates(self, x):
        a = np.split(self.w @ self.h + self.u @ x + self.b, 4)
        return tuple(map(_sigmoid, a))


class _Forgetful(LSTM):
    def step(self, x):
        i, _, z, o = self.gates(x)
        self.c = i * z
        self.h = o * np.tanh(self.c)
        return self.h


class _OldCell(LSTM):
    def step(self, x):
        i, f, z, o = self.gates(x)
        self.h = o * np.tanh(self.c)
        self.c = f * self.c + i * z
        return self.h


class _NotKept(LSTM):
    def step(self, x):
        i, f, z, o = self.gates(x)
        self.c = f * self.c + i * z
        return o * np.tanh(self.c)


class _NoState(LSTM):
    def gates(self, x):
        self.h = 0 * self.h
        return super().gates(x)


def _lstm_cases(rng: np.random.Generator) -> Iterator[Case]:
    w, u, b = np.zeros((4, 1)), np.array([[0.0], [0.0], [10.0], [0.0]]), np.zeros(4)
    told = [("step", np.array([v])) for v in (1.0, -1.0)]
    yield steps("by hand: gates half open", (w, u, b), told[0], (".c",), told[1], (".c",), (".h",))
    for name, H, D, T, scale in (
        ("three units, five moments", 3, 2, 5, 1.0),
        ("one unit", 1, 3, 4, 1.0),
        ("large inputs", 2, 2, 4, 30.0),
    ):
        w, u, b = (rng.normal(size=s) for s in ((4 * H, H), (4 * H, D), 4 * H))
        told = [("step", x) for x in scale * rng.normal(size=(T, D))]
        yield steps(name, (w, u, b), *told, (".c",), (".h",))
    yield steps("before the first moment", (w, u, b), (".h",), (".c",))


lstm = Exercise(
    id="rnn.lstm",
    title="An LSTM, moment by moment",
    name="LSTM",
    kind="class",
    points=4,
    reference=LSTM,
    cases=_lstm_cases,
    compare=Close(rtol=1e-4, atol=1e-6),
    mistakes=(
        Mistake("no_tanh_of_the_cell", _BareCell, "c is right; h = o ⊙ tanh(c), and here the tanh is missing."),
        Mistake(
            "rows_in_another_order",
            _OtherOrder,
            "rows stand in the order i, f, z, o; your last two are swapped.",
        ),
        Mistake("input_for_forget", _Swapped, "i and f are swapped: f is for the old cell, i for the candidate."),
        Mistake("logistic_candidate", _LogisticCandidate, "the candidate z goes through tanh: it may be negative."),
        Mistake("nothing_kept", _Forgetful, "the old cell is lost: c = f ⊙ c + i ⊙ z."),
        Mistake("h_of_the_old_cell", _OldCell, "h is computed from the new cell, so after it."),
        Mistake("h_not_kept", _NotKept, "the new h is returned but not kept: set self.h, which the next step reads."),
        Mistake("state_not_read", _NoState, "the gates read the last h too: w @ h + u @ x + b."),
    ),
    withhold=RECURRENT,
    hints=(
        "All four gates at once: a = w @ h + u @ x + b has 4H numbers; cut it into four.",
        "i, f, z, o = np.split(a, 4). σ for i, f and o, tanh for z. Then the cell, then h.",
        "c = f * c + i * z; h = o * np.tanh(c); keep both as self.c and self.h, and return h.",
    ),
    difficulty=3,
    importance=5,
    minutes=25,
)


# --- the GRU of the papers, with lengths ----------------------------------------------------------------------------


def gru(x, lengths, w, u, b):
    """The reference: the last state of each sequence."""
    x = np.asarray(x)
    biases = np.zeros_like(b)
    flipped = rnn.Weights(np.asarray(u), np.asarray(w), np.asarray(b), biases)
    return rnn.gru_forward(
        x, flipped, reset="before", update="new", lengths=np.asarray(lengths), batch_first=True
    )[1]  # fmt: skip


def _gru_variant(reset="before", update="new", lengths_used=True, order=(0, 1, 2)):
    def wrong(x, lengths, w, u, b):
        H = w.shape[1]
        w, u, b = (np.concatenate([a[k * H : (k + 1) * H] for k in order]) for a in (w, u, b))
        weights = rnn.Weights(u, w, b, np.zeros_like(b))
        given = lengths if lengths_used else None
        return rnn.gru_forward(x, weights, reset=reset, update=update, lengths=given, batch_first=True)[1]

    return wrong


def _never_reset(x, lengths, w, u, b):
    H = w.shape[1]
    kept = np.concatenate([np.full(H, 50.0), b[H:]])  # r is 1
    w, u = (np.concatenate([0 * a[:H], a[H:]]) for a in (w, u))
    return gru(x, lengths, w, u, kept)


def _zero_at_the_end(x, lengths, w, u, b):
    weights = rnn.Weights(u, w, b, np.zeros_like(b))
    out = rnn.gru_forward(x, weights, reset="before", update="new", lengths=lengths, batch_first=True)[0]
    return out[:, -1]


def _gru_cases(rng: np.random.Generator) -> Iterator[Case]:
    w, u, b = np.array([[0.0], [0.0], [4.0]]), np.array([[0.0], [0.0], [1.0]]), np.zeros(3)
    yield case("by hand: gates half open", np.array([[[1.0], [-1.0]]]), np.array([2]), w, u, b)
    for name, N, T, D, H, lengths in (
        ("four sequences of one length", 4, 5, 2, 3, [5, 5, 5, 5]),
        ("several lengths", 4, 6, 3, 2, [2, 6, 1, 4]),
        ("one without moments", 3, 4, 2, 2, [4, 0, 3]),
    ):
        w, u, b = (rng.normal(size=s) for s in ((3 * H, H), (3 * H, D), 3 * H))
        yield case(name, rng.normal(size=(N, T, D)), np.array(lengths), w, u, b)


gated = Exercise(
    id="rnn.gru",
    title="A GRU for sequences of several lengths",
    name="gru",
    kind="function",
    points=4,
    reference=gru,
    cases=_gru_cases,
    compare=Close(rtol=1e-4, atol=1e-6),
    mistakes=(
        Mistake(
            "reset_after_the_product",
            _gru_variant(reset="after"),
            "this is PyTorch's GRU. Here r multiplies the state before W does: W (r ⊙ h).",
        ),
        Mistake(
            "update_the_other_way",
            _gru_variant(update="old"),
            "z is the share of the candidate here: h = (1 − z) ⊙ h + z ⊙ n. You use it as the share of the old state.",
        ),
        Mistake(
            "pytorch_s_gru",
            _gru_variant(reset="after", update="old"),
            "this is PyTorch's GRU; in the one asked for, r stands before the product, and z is the share of the new.",
        ),
        Mistake(
            "lengths_ignored",
            _gru_variant(lengths_used=False),
            "beyond a sequence's length the state must stay what it was; you read the filling too.",
        ),
        Mistake("zero_beyond_the_end", _zero_at_the_end, "beyond its end a sequence keeps its last state, not 0."),
        Mistake("never_reset", _never_reset, "the reset gate is not used: n reads r ⊙ h."),
        Mistake("gates_swapped", _gru_variant(order=(1, 0, 2)), "the rows stand in the order r, z, n."),
    ),
    withhold=RECURRENT,
    hints=(
        "Write one moment for all sequences together: h is (N, H). Then think about the lengths.",
        "r and z are σ of h @ w.T + x_t @ u.T + b, with their rows; n = tanh((r * h) @ wn.T + x_t @ un.T + bn).",
        "new = (1 − z) * h + z * n; h = np.where((t < lengths)[:, None], new, h).",
    ),
    difficulty=3,
    importance=4,
    minutes=30,
)


# --- additive attention ---------------------------------------------------------------------------------------------


def attend(s, keys, w, u, v, valid):
    """The reference."""
    s, keys, w, u, v = (np.asarray(a, dtype=float) for a in (s, keys, w, u, v))
    return _attended(np.tanh(w @ s + keys @ u.T) @ v, keys, np.asarray(valid))


def _attended(scores, keys, valid):
    scores = np.where(valid, scores, -np.inf)
    alpha = np.exp(scores - scores.max())
    alpha = alpha / alpha.sum()
    return alpha @ keys, alpha


def _unmasked(s, keys, w, u, v, valid):
    return attend(s, keys, w, u, v, np.ones_like(valid))


def _masked_late(s, keys, w, u, v, valid):
    alpha = _unmasked(s, keys, w, u, v, valid)[1] * valid
    return alpha @ keys, alpha


def _zero_scores(s, keys, w, u, v, valid):
    scores = np.where(valid, np.tanh(w @ s + keys @ u.T) @ v, 0.0)
    return _attended(scores, keys, np.ones_like(valid))


def _no_tanh(s, keys, w, u, v, valid):
    return _attended((w @ s + keys @ u.T) @ v, keys, valid)


def _best_only(s, keys, w, u, v, valid):
    _, alpha = attend(s, keys, w, u, v, valid)
    alpha = (np.arange(len(alpha)) == alpha.argmax()).astype(float)
    return alpha @ keys, alpha


def _attend_cases(rng: np.random.Generator) -> Iterator[Case]:
    # tanh(1 + 1) and tanh(1 - 1) times log 3 / tanh 2: scores log 3 and 0, so the weights are 3/4 and 1/4.
    one, v = np.ones((1, 1)), np.array([np.log(3) / np.tanh(2)])
    yield case("by hand", np.ones(1), np.array([[1.0], [-1.0]]), one, one, v, np.array([True, True]))
    for name, T, valid in (
        ("six keys", 6, [1, 1, 1, 1, 1, 1]),
        ("the last two are filling", 5, [1, 1, 1, 0, 0]),
        ("holes", 6, [0, 1, 0, 1, 1, 0]),
        ("one key", 1, [1]),
    ):
        s, keys, w, u, v = (rng.normal(size=k) for k in (3, (T, 4), (5, 3), (5, 4), 5))
        yield case(name, s, keys, w, u, v, np.array(valid, bool))
    yield case("large scores", s, rng.normal(size=(4, 4)), w, u, 1000 * v, np.array([True, True, False, True]))
    far = np.array([[1.0, 0], [3, 1], [-2, 2]]), np.zeros((1, 3)), np.array([[1.0, 0]]), np.array([4000.0])
    yield case("filling that fits by far the best", s, *far, np.array([True, False, True]))


attention = Exercise(
    id="rnn.attend",
    title="Bahdanau's attention",
    name="attend",
    kind="function",
    points=3,
    reference=attend,
    cases=_attend_cases,
    compare=Close(rtol=1e-4, atol=1e-6),
    mistakes=(
        Mistake("mask_ignored", _unmasked, "keys that are filling get a weight; theirs must be 0."),
        Mistake(
            "masked_after_the_softmax",
            _masked_late,
            "the filling has weight 0, but the others no longer add up to 1: mask the scores, before the softmax.",
        ),
        Mistake("masked_with_zero", _zero_scores, "a score of 0 is not a weight of 0: e⁰ = 1. Use −∞."),
        Mistake("no_tanh", _no_tanh, "the tanh is missing; without it w @ s cancels in the softmax."),
        Mistake("hard_attention", _best_only, "this takes the best key alone, not the mean with the weights α."),
        Mistake(
            "not_a_number",
            lambda s, keys, w, u, v, valid: (np.full(keys.shape[1], np.nan), np.full(len(keys), np.nan)),
            "exp overflows, or gives nothing but 0: before it, subtract the largest score where `valid` is True.",
            when=holds_nan,
        ),
    ),
    withhold=(*RECURRENT, "torch.nn.functional.scaled_dot_product_attention", "torch.nn.MultiheadAttention"),
    hints=(
        "Three lines: the scores, the softmax, the mean. Then the mask.",
        "e = np.tanh(w @ s + keys @ u.T) @ v has shape (T,). Where `valid` is False, set it to −∞.",
        "alpha = np.exp(e − e.max()); alpha /= alpha.sum(); return alpha @ keys, alpha.",
    ),
    difficulty=2,
    importance=5,
    minutes=20,
)


# --- a property: one unit that remembers ----------------------------------------------------------------------------

MOMENTS, SHARE = 60, 0.1


def latch(pulse):
    """The reference: one right answer of many."""
    return 2.0, 4.0 / pulse, 0.0


def _states(weights, x):
    w, u, b = weights
    h = np.zeros(len(x))
    for column in x.T:
        h = np.tanh(w * h + u * column + b)
    return h


def _remembers(case_: Case, values: list) -> str | None:
    weights = numbers(parts(values[0], 3))
    if weights.shape != (3,):
        return f"expected three numbers w, u and b, got an array of shape {weights.shape}"
    h = _states(weights, case_.secret["x"])
    wrong = np.flatnonzero(h * case_.secret["last"] < 0.5)
    if len(wrong) == 0:
        return None
    n = int(wrong[0])
    return (
        f"after {case_.secret['x'].shape[1]} moments, the last pulse of which was {case_.secret['last'][n]:+.0f} times "
        f"{case_.calls[0].args[0]:g}, h is {h[n]:.2f}; it should have that sign and at least 0.5 in size "
        f"({len(wrong)} of {len(h)} sequences fail)"
    )


def _noisy(
    rng: np.random.Generator, pulse: float, N: int, second: bool, against: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Sequences (N, MOMENTS) with a pulse at the start and maybe a second one, and the sign of the last pulse."""
    first = rng.choice([-1.0, 1.0], N)
    x = SHARE * rng.uniform(-1, 1, (N, MOMENTS))
    last = first
    x[:, 0] = first
    if second:
        last = rng.choice([-1.0, 1.0], N)
        last[:2] = -first[:2]
        x[np.arange(N), rng.integers(5, MOMENTS // 2, N)] = last
    if against:
        x[:, MOMENTS // 2 + 1 :] = -SHARE * last[:, None]
    return pulse * x, last


def _latch_cases(rng: np.random.Generator) -> Iterator[Case]:
    still = np.zeros((2, MOMENTS))
    still[:, 0] = [1, -1]
    yield case("one pulse, then nothing", 1.0, secret={"x": still, "last": still[:, 0].copy()})
    for name, pulse, second, against in (
        ("one pulse, then noise", 1.0, False, False),
        ("a second pulse", 1.0, True, False),
        ("small pulses", 0.01, True, False),
        ("large pulses", 50.0, True, False),
        ("noise that pulls the other way", 2.0, True, True),
    ):
        x, last = _noisy(rng, pulse, 40, second, against)
        yield case(name, pulse, secret={"x": x, "last": last})


def _fails_with(weights):
    """Whether the answer behaves like these weights in a failed case: for mistakes that are recognised by size."""

    def when(case_: Case, values: list) -> bool:
        w, u, _ = numbers(parts(values[0], 3))
        return weights(float(w), float(u) * case_.calls[0].args[0])

    return when


remember = Exercise(
    id="rnn.latch",
    title="A unit that remembers",
    name="latch",
    kind="property",
    points=3,
    reference=latch,
    cases=_latch_cases,
    compare=Holds(
        _remembers,
        false_fail=FalseFail(
            0.0,
            "What is asked for must hold for every sequence with pulses and noise of the sizes given, and the cases "
            "draw no others; an answer that has the property passes whatever is drawn.",
        ),
    ),
    mistakes=(
        Mistake(
            "forgets",
            lambda pulse: (0.9, 4.0 / pulse, 0.0),
            "with |w| at most 1 the state falls back to 0: near 0, tanh(w h) is w h. What must w be, so that h stays?",
            when=_fails_with(lambda w, u: abs(w) <= 1),
        ),
        Mistake(
            "flips_each_time",
            lambda pulse: (-2.0, 4.0 / pulse, 0.0),
            "w is negative, so the state changes its sign at every moment.",
            when=_fails_with(lambda w, u: w < -1),
        ),
        Mistake(
            "cannot_be_overwritten",
            lambda pulse: (5.0, 4.0 / pulse, 0.0),
            "the first pulse is kept, but a later one cannot turn the state: u · pulse must win against w.",
            when=_fails_with(lambda w, u: w > 1 and 0 < u <= w),
        ),
        Mistake(
            "moved_by_noise",
            lambda pulse: (1.5, 8.0 / pulse, 0.0),
            "the noise is strong enough to turn the state: u · pulse / 10 must lose against what w h holds.",
            when=_fails_with(lambda w, u: w > 1 and u > 2 * w),
        ),
    ),
    hints=(
        "Draw h and tanh(w h) for w = 0.5 and for w = 2: where do the two curves cross?",
        "For w = 2 the state rests near ±0.96. A pulse must move it across 0, noise of a tenth of that must not.",
        "w = 2 holds with a force of about 1.9. So u · pulse = 4 turns it, and 0.4 does not. b = 0.",
    ),
    difficulty=3,
    importance=4,
    minutes=20,
)


# --- bits a character -----------------------------------------------------------------------------------------------


def bigram_bits(train, test, V, strength):
    """The reference."""
    counts = np.zeros((V, V))
    np.add.at(counts, (train[:-1], train[1:]), 1)
    p = (counts + strength) / (counts.sum(axis=1, keepdims=True) + strength * V)
    return float(-np.log2(p[test[:-1], test[1:]]).mean())


def _summed(train, test, V, strength):
    return bigram_bits(train, test, V, strength) * (len(test) - 1)


def _single_letters(train, test, V, strength):
    p = (np.bincount(train, minlength=V) + strength) / (len(train) + strength * V)
    return float(-np.log2(p[test[1:]]).mean())


def _last_letter_counted(train, test, V, strength):
    counts = np.zeros((V, V))
    np.add.at(counts, (train[:-1], train[1:]), 1)
    p = (counts + strength) / (np.bincount(train, minlength=V)[:, None] + strength * V)
    return float(-np.log2(p[test[:-1], test[1:]]).mean())


def _by_column(train, test, V, strength):
    counts = np.zeros((V, V))
    np.add.at(counts, (train[:-1], train[1:]), 1)
    p = (counts + strength) / (counts.sum(axis=0, keepdims=True) + strength * V)
    return float(-np.log2(p[test[:-1], test[1:]]).mean())


def _counted_once(train, test, V, strength):
    counts = np.zeros((V, V))
    counts[train[:-1], train[1:]] += 1
    p = (counts + strength) / (counts.sum(axis=1, keepdims=True) + strength * V)
    return float(-np.log2(p[test[:-1], test[1:]]).mean())


def _unsmoothed_total(train, test, V, strength):
    counts = np.zeros((V, V))
    np.add.at(counts, (train[:-1], train[1:]), 1)
    p = (counts + strength) / (counts.sum(axis=1, keepdims=True) + strength)
    return float(-np.log2(p[test[:-1], test[1:]]).mean())


def _bits_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield case("by hand", np.array([0, 1, 0, 1, 0]), np.array([0, 1, 0]), 2, 1.0)
    for name, V, n, strength in (
        ("a text of three letters", 3, 60, 0.5),
        ("many letters, few pairs", 12, 40, 1.0),
        ("a strong prior", 5, 80, 20.0),
        ("a weak prior", 4, 50, 0.01),
    ):
        p = rng.dirichlet(np.full(V, 0.6), V)
        both = np.zeros(2 * n, np.int64)
        for i in range(1, 2 * n):
            both[i] = rng.choice(V, p=p[both[i - 1]])
        yield case(name, both[:n], both[n:], V, strength)
    yield case("an unknown letter at the end of the text", np.array([0, 1, 0, 1, 2]), np.array([2, 0, 2, 1]), 4, 0.5)


bits = Exercise(
    id="rnn.bits",
    title="Bits a character",
    name="bigram_bits",
    kind="function",
    points=3,
    reference=bigram_bits,
    cases=_bits_cases,
    compare=Close(rtol=1e-5, atol=1e-8),
    mistakes=(
        Mistake(
            "nats",
            lambda train, test, V, strength: bigram_bits(train, test, V, strength) * np.log(2),
            "these are nats. Bits have the logarithm to the base 2.",
        ),
        Mistake(
            "perplexity",
            lambda train, test, V, strength: 2 ** bigram_bits(train, test, V, strength),
            "this is the perplexity, 2 to the power of the bits.",
        ),
        Mistake("summed", _summed, "this is the sum; asked for is the mean over the pairs of the test text."),
        Mistake(
            "last_letter_counted",
            _last_letter_counted,
            "the rows do not add up to 1: the last letter of `train` has none behind it. Sum the counts of the pairs.",
        ),
        Mistake(
            "columns_for_rows",
            _by_column,
            "p(c | a) divides by how often a is followed by anything: sum the row of a, not the column of c.",
        ),
        Mistake(
            "counted_once",
            _counted_once,
            "`counts[a, c] += 1` with arrays counts a repeated pair once: take np.add.at, or a loop.",
        ),
        Mistake(
            "divided_by_all_letters",
            lambda train, test, V, strength: bigram_bits(train, test, V, strength) * (len(test) - 1) / len(test),
            "the first letter of `test` is not predicted: there is one pair less than letters.",
        ),
        Mistake("single_letters", _single_letters, "this counts single letters, and does not look at the one before."),
        Mistake(
            "prior_not_in_the_sum",
            _unsmoothed_total,
            "the probabilities of one row do not add up to 1: each of the V letters got `strength` more.",
        ),
        Mistake(
            "measured_on_the_training_text",
            lambda train, test, V, strength: bigram_bits(train, train, V, strength),
            "count on `train`, measure on `test`.",
        ),
    ),
    withhold=("dlcourse.language.NGram",),
    hints=(
        "First a table: counts[a, c] says how often c follows a in the training text.",
        "p[a, c] = (counts[a, c] + strength) / (counts[a].sum() + strength · V); each row adds up to 1.",
        "-np.log2(p[test[:-1], test[1:]]).mean()",
    ),
    difficulty=2,
    importance=4,
    minutes=20,
)

essay = text_exercise(
    "rnn.essay", "Two hundred moments ago", points=3, difficulty=3, importance=5, minutes=15
)  # fmt: skip

EXERCISES = (parameters, embed, through_time, lstm, gated, attention, remember, bits, essay)
