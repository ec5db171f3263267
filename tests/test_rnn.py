"""Embeddings, causal convolution, RNN, LSTM, GRU and additive attention against torch in float64, forward and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcourse import rnn

torch = pytest.importorskip("torch")
nn = torch.nn

FORWARD = {"rnn": rnn.rnn_forward, "lstm": rnn.lstm_forward, "gru": rnn.gru_forward}
BACKWARD = {"rnn": rnn.rnn_backward, "lstm": rnn.lstm_backward, "gru": rnn.gru_backward}
PEER = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
KINDS = pytest.mark.parametrize("kind", FORWARD)
NAMES = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")


def tuples(value):
    return value if isinstance(value, tuple) else (value,)


def close(a, b, rtol=1e-9):
    assert a.shape == b.shape and a.dtype == b.dtype
    np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * max(1.0, float(np.abs(b).max(initial=0))))


def draw(kind, T, N, D, H, seed=0, batch_first=False, dtype=torch.float64, bias=True):
    """A layer of torch, an input, first states, and gradients of the output and of the last states."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    layer = PEER[kind](D, H, batch_first=batch_first, dtype=dtype, bias=bias)
    axes = (N, T) if batch_first else (T, N)
    as_ = {torch.float64: np.float64, torch.float32: np.float32}[dtype]
    x, dout = rng.normal(size=(*axes, D)).astype(as_), rng.normal(size=(*axes, H)).astype(as_)
    count = 2 if kind == "lstm" else 1
    states, dstates = rng.normal(size=(2, count, N, H)).astype(as_)
    return layer, x, tuple(states), dout, tuple(dstates)


def ours(kind, layer, x, states, dout, dstates, **options):
    """Output, last states, and the gradients of x, of the weights and of the first states, in a flat list."""
    out, last, cache = FORWARD[kind](x, rnn.Weights.of(layer), *states, **options)
    dstate = dstates if kind == "lstm" else dstates[0]
    dx, dweights, dfirst = BACKWARD[kind](dout, cache, dstate)
    return [out, *tuples(last), dx, *dweights, *tuples(dfirst)]


def torchs(layer, x, states, dout, dstates, lengths=None):
    leaves = [torch.tensor(a, requires_grad=True) for a in (x, *states)]
    x, first = leaves[0], tuple(h[None] for h in leaves[1:])
    pack = nn.utils.rnn
    given_x = x
    if lengths is not None:
        given_x = pack.pack_padded_sequence(x, lengths, batch_first=layer.batch_first, enforce_sorted=False)
    out, last = layer(given_x, first if len(first) == 2 else first[0])
    if lengths is not None:
        T = x.shape[1 if layer.batch_first else 0]
        out, _ = pack.pad_packed_sequence(out, batch_first=layer.batch_first, total_length=T)
    last = tuples(last)
    loss = (out * torch.tensor(dout)).sum()
    loss = loss + sum((h[0] * torch.tensor(d)).sum() for h, d in zip(last, dstates, strict=True))
    layer.zero_grad()
    loss.backward()
    weights = [p.grad.numpy().copy() for name, p in layer.named_parameters() if name in NAMES]
    return [
        out.detach().numpy(), *(h[0].detach().numpy() for h in last), leaves[0].grad.numpy(), *weights,
        *(h.grad.numpy() for h in leaves[1:]),
    ]  # fmt: skip


# --------------------------------------------------------------------------------------------- agreement with torch


@KINDS
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (7, 3, 4, 5), (20, 1, 2, 8), (2, 9, 5, 1)])
def test_outputs_and_all_gradients_are_torchs(kind, batch_first, sizes):
    layer, *arrays = draw(kind, *sizes, batch_first=batch_first)
    for a, b in zip(ours(kind, layer, *arrays, batch_first=batch_first), torchs(layer, *arrays), strict=True):
        close(a, b)


@KINDS
@pytest.mark.parametrize("batch_first", [False, True])
def test_sequences_of_several_lengths_are_torchs(kind, batch_first):
    lengths = np.array([4, 1, 6, 3])
    layer, x, states, dout, dstates = draw(kind, 6, 4, 3, 5, batch_first=batch_first)
    want = torchs(layer, x, states, dout, dstates, lengths)
    valid = rnn.valid_moments(lengths, 6, 4)
    valid = valid.T if batch_first else valid
    filled = np.where(valid[:, :, None], x, np.nan)  # what stands beyond the end does not matter
    douts = np.where(valid[:, :, None], dout, 7.0)
    got = ours(kind, layer, filled, states, douts, dstates, lengths=lengths, batch_first=batch_first)
    for a, b in zip(got, want, strict=True):
        close(a, b)


@KINDS
def test_weights_without_biases_load(kind):
    layer, x, states, _, _ = draw(kind, 5, 2, 3, 4, bias=False)
    out = FORWARD[kind](x, rnn.Weights.of(layer), *states)[0]
    first = tuple(torch.tensor(h)[None] for h in states)
    close(out, layer(torch.tensor(x), first if kind == "lstm" else first[0])[0].detach().numpy())


def test_the_second_layer_of_a_module_loads():
    layer = nn.LSTM(3, 4, num_layers=2, dtype=torch.float64)
    x = np.random.default_rng(0).normal(size=(5, 2, 3))
    below = rnn.lstm_forward(x, rnn.Weights.of(layer))[0]
    close(rnn.lstm_forward(below, rnn.Weights.of(layer, 1))[0], layer(torch.tensor(x))[0].detach().numpy())


# ------------------------------------------------------------------------------------- the definition, step by step


@pytest.mark.parametrize("reset", rnn.RESETS)
@pytest.mark.parametrize("update", rnn.UPDATES)
def test_every_gru_is_its_definition(reset, update):
    rng = np.random.default_rng(0)
    weights, x, h = rnn.Weights.draw(rng, "gru", 3, 4), rng.normal(size=(6, 2, 3)), rng.normal(size=(2, 4))
    out, last, _ = rnn.gru_forward(x, weights, h, reset=reset, update=update)
    for t in range(6):
        h = rnn.gru_step(x[t], h, weights, reset=reset, update=update)
        close(out[t], h, rtol=1e-12)
    close(last, h, rtol=1e-12)


def test_rnn_and_lstm_are_their_definitions():
    rng = np.random.default_rng(0)
    x, h, c = rng.normal(size=(6, 2, 3)), *rng.normal(size=(2, 2, 4))
    simple, gated = rnn.Weights.draw(rng, "rnn", 3, 4), rnn.Weights.draw(rng, "lstm", 3, 4)
    first, second = h, h
    outs, lstm_outs = rnn.rnn_forward(x, simple, h)[0], rnn.lstm_forward(x, gated, h, c)[0]
    for t in range(6):
        first = rnn.rnn_step(x[t], first, simple)
        second, c = rnn.lstm_step(x[t], second, c, gated)
        close(outs[t], first, rtol=1e-12)
        close(lstm_outs[t], second, rtol=1e-12)


def test_the_two_meanings_of_z_differ_by_a_sign():
    rng = np.random.default_rng(1)
    weights, x = rnn.Weights.draw(rng, "gru", 3, 4), rng.normal(size=(5, 2, 3))
    sign = np.repeat([1.0, -1.0, 1.0], 4)
    turned = rnn.Weights(*(w * (sign[:, None] if w.ndim == 2 else sign) for w in weights))
    close(rnn.gru_forward(x, weights, update="new")[0], rnn.gru_forward(x, turned, update="old")[0], rtol=1e-12)


def test_where_the_reset_gate_stands_matters():
    rng = np.random.default_rng(1)
    weights, x = rnn.Weights.draw(rng, "gru", 3, 4), rng.normal(size=(5, 2, 3))
    differ = rnn.gru_forward(x, weights, reset="before")[0] - rnn.gru_forward(x, weights)[0]
    assert np.abs(differ).max() > 1e-3
    eye = weights._replace(w_hh=np.concatenate([weights.w_hh[:8], np.eye(4)]), b_hh=np.zeros(12))
    close(rnn.gru_forward(x, eye, reset="before")[0], rnn.gru_forward(x, eye)[0], rtol=1e-12)  # here it does not


# ------------------------------------------------------------------------------------- gradients by small differences


@pytest.mark.parametrize(
    "kind, options",
    [("rnn", {}), ("lstm", {})] + [("gru", {"reset": r, "update": u}) for r in rnn.RESETS for u in rnn.UPDATES],
)
@pytest.mark.parametrize("lengths", [None, np.array([3, 0])])
def test_gradients_are_those_of_small_differences(kind, options, lengths):
    rng = np.random.default_rng(0)
    count = 2 if kind == "lstm" else 1
    inputs = [rng.normal(size=(4, 2, 3)), *rnn.Weights.draw(rng, kind, 3, 2), *rng.normal(size=(count, 2, 2))]
    dout, dstates = rng.normal(size=(4, 2, 2)), tuple(rng.normal(size=(count, 2, 2)))

    def run(inputs):
        return FORWARD[kind](inputs[0], rnn.Weights(*inputs[1:5]), *inputs[5:], lengths=lengths, **options)

    def loss(inputs):
        out, last, _ = run(inputs)
        return np.sum(out * dout) + sum(np.sum(h * d) for h, d in zip(tuples(last), dstates, strict=True))

    dx, dweights, dfirst = BACKWARD[kind](dout, run(inputs)[2], dstates if kind == "lstm" else dstates[0])
    for which, gradient in enumerate([dx, *dweights, *tuples(dfirst)]):
        numerical = np.empty_like(gradient)
        for index in np.ndindex(gradient.shape):
            values = []
            for step in (1e-6, -1e-6):
                moved = [a.copy() for a in inputs]
                moved[which][index] += step
                values.append(loss(moved))
            numerical[index] = (values[0] - values[1]) / 2e-6
        np.testing.assert_allclose(gradient, numerical, rtol=1e-5, atol=1e-7)


# ------------------------------------------------------------------------------------------- shapes, dtypes, lengths


@given(
    st.sampled_from(list(FORWARD)), st.integers(1, 6), st.integers(1, 4), st.integers(1, 4), st.integers(1, 5),
    st.sampled_from([torch.float32, torch.float64]), st.booleans(), st.booleans(), st.integers(0, 99),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_any_shape_is_torchs(kind, T, N, D, H, dtype, batch_first, ragged, seed):
    layer, *arrays = draw(kind, T, N, D, H, seed, batch_first, dtype)
    lengths = np.random.default_rng(seed).integers(1, T + 1, N) if ragged else None
    got = ours(kind, layer, *arrays, batch_first=batch_first, lengths=lengths)
    tolerance = 1e-9 if dtype == torch.float64 else 2e-4
    for a, b in zip(got, torchs(layer, *arrays, lengths), strict=True):
        close(a, b, tolerance)


@KINDS
@pytest.mark.parametrize("T, lengths", [(0, None), (3, [0, 0]), (0, [0, 0])])
def test_a_sequence_of_length_0_keeps_its_first_state(kind, T, lengths):
    layer, x, states, dout, dstates = draw(kind, T, 2, 3, 4)
    lengths = None if lengths is None else np.array(lengths)
    out, *rest = ours(kind, layer, x, states, dout, dstates, lengths=lengths)
    n = len(states)
    assert out.shape == (T, 2, 4) and not out.any()
    for last, first in zip(rest[:n], states, strict=True):
        np.testing.assert_array_equal(last, first)
    dx, *dweights = rest[n : n + 5]
    assert dx.shape == x.shape and not dx.any() and not any(d.any() for d in dweights)
    for got, want in zip(rest[n + 5 :], dstates, strict=True):
        np.testing.assert_array_equal(got, want)


@KINDS
def test_no_sequences_at_all(kind):
    layer, *arrays = draw(kind, 5, 0, 3, 4)
    got = ours(kind, layer, *arrays)
    assert got[0].shape == (5, 0, 4) and got[2 if kind != "lstm" else 3].shape == (5, 0, 3)


@KINDS
def test_one_sequence_of_a_batch_does_not_see_the_others(kind):
    layer, x, states, _, _ = draw(kind, 6, 3, 2, 4)
    weights, lengths = rnn.Weights.of(layer), np.array([6, 2, 0])
    together = FORWARD[kind](x, weights, *states, lengths=lengths)[0]
    for n, length in enumerate(lengths):
        alone = FORWARD[kind](x[:length, n : n + 1], weights, *(h[n : n + 1] for h in states))[0]
        close(together[:length, n : n + 1], alone, rtol=1e-12)


@KINDS
def test_inputs_stay_as_they_are(kind):
    layer, x, states, dout, dstates = draw(kind, 4, 2, 3, 2)
    copies = [a.copy() for a in (x, dout, *states, *dstates, *rnn.Weights.of(layer))]
    ours(kind, layer, x, states, dout, dstates)
    for a, b in zip((x, dout, *states, *dstates, *rnn.Weights.of(layer)), copies, strict=True):
        np.testing.assert_array_equal(a, b)


@KINDS
def test_starting_weights_are_as_large_as_torchs(kind):
    w = rnn.Weights.draw(np.random.default_rng(0), kind, 30, 25, np.float32)
    layer = PEER[kind](30, 25)
    for ours_, theirs in zip(w, rnn.Weights.of(layer), strict=True):
        assert ours_.shape == theirs.shape and ours_.dtype == np.float32
        assert 0.15 < np.abs(ours_).max() <= 0.2 and 0.15 < np.abs(theirs).max() <= 0.2


X, W = np.zeros((4, 2, 3)), rnn.Weights.draw(np.random.default_rng(0), "lstm", 3, 5)
G = rnn.Weights.draw(np.random.default_rng(0), "gru", 3, 5)
IDS, E = np.array([0, 2]), np.zeros((3, 4))
A = (np.zeros((2, 3)), np.zeros((2, 4, 5)), np.zeros((6, 3)), np.zeros((6, 5)), np.zeros(6))


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: rnn.lstm_forward(X[0], W), r"x has shape \(2, 3\); expected \(T, N, D\)"),
        (lambda: rnn.lstm_forward(X[0], W, batch_first=True), r"expected \(N, T, D\)"),
        (lambda: rnn.lstm_forward(X.astype(int), W), "x has dtype int64"),
        (lambda: rnn.lstm_forward(X[:, :, :2], W), r"w_ih has shape \(20, 3\); expected \(20, 2\)"),
        (lambda: rnn.gru_forward(X, W), "w_ih has shape"),
        (lambda: rnn.rnn_forward(X, W._replace(w_hh=W.w_hh[0])), "w_ih has shape"),
        (lambda: rnn.lstm_forward(X, W._replace(b_hh=W.b_hh[1:])), r"b_hh has shape \(19,\); expected \(20,\)"),
        (lambda: rnn.lstm_forward(X.astype("f4"), W), "w_ih has dtype float64, x has float32"),
        (lambda: rnn.lstm_forward(X, W, np.zeros((3, 5))), r"h0 has shape \(3, 5\); expected \(N, H\) = \(2, 5\)"),
        (lambda: rnn.lstm_forward(X, W, None, np.zeros((2, 4))), "c0 has shape"),
        (lambda: rnn.lstm_forward(X, W, lengths=[4]), r"lengths has shape \(1,\)"),
        (lambda: rnn.lstm_forward(X, W, lengths=[4, 5]), "lengths lie from 4 to 5; expected 0 to T = 4"),
        (lambda: rnn.lstm_forward(X, W, lengths=[-1, 4]), "lengths lie from -1"),
        (lambda: rnn.lstm_forward(X, W, lengths=[1.0, 2.0]), "dtype float64"),
        (lambda: rnn.lstm_backward(X, rnn.lstm_forward(X, W)[2]), r"dout has shape \(4, 2, 3\)"),
        (
            lambda: rnn.lstm_backward(np.zeros((4, 2, 5)), rnn.lstm_forward(X, W)[2], (None, np.zeros((2, 3)))),
            r"dstate\[1\] has shape",
        ),
        (lambda: rnn.gru_backward(X, rnn.gru_forward(X, G)[2]), "dout has shape"),
        (lambda: rnn.gru_forward(X, G, reset="never"), "reset is 'never'; expected one of after, before"),
        (lambda: rnn.gru_step(X[0], np.zeros((2, 5)), G, update="both"), "update is 'both'"),
        (lambda: rnn.Weights.draw(np.random.default_rng(0), "elman", 2, 2), "kind is 'elman'"),
        (lambda: rnn.embedding_forward(IDS, E[0]), r"w has shape \(4,\)"),
        (lambda: rnn.embedding_forward(IDS + 1, E), "ids lie from 1 to 3; expected 0 to 2"),
        (lambda: rnn.embedding_forward(IDS - 1, E), "ids lie from -1"),
        (lambda: rnn.embedding_forward(IDS.astype(float), E), "ids has dtype float64"),
        (lambda: rnn.embedding_backward(E, rnn.embedding_forward(IDS, E)[1]), "dout has shape"),
        (lambda: rnn.causal_conv_forward(np.zeros((2, 3, 0)), np.zeros((4, 3, 2))), r"x has shape \(2, 3, 0\)"),
        (lambda: rnn.jacobians(np.zeros((4, 3)), np.zeros((3, 4))), r"hs has shape \(4, 3\), w_hh \(3, 4\)"),
        (lambda: rnn.additive_attention_forward(A[0][:1], *A[1:]), r"query has shape \(1, 3\)"),
        (lambda: rnn.additive_attention_forward(*A[:3], A[3][:, :4], A[4]), r"w_k \(6, 4\)"),
        (lambda: rnn.additive_attention_forward(*A, lengths=[4, 5]), "lengths lie from 4 to 5"),
        (lambda: rnn.additive_attention_backward(A[0], rnn.additive_attention_forward(*A)[1]), "dout has shape"),
    ],
)
def test_what_does_not_fit_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


# ------------------------------------------------------------------------------------- embeddings, convolution


@given(st.integers(1, 6), st.lists(st.integers(0, 3), max_size=3), st.integers(1, 4), st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_embeddings_are_torchs(V, shape, D, seed):
    rng = np.random.default_rng(seed)
    ids, w, dout = rng.integers(0, V, shape), rng.normal(size=(V, D)), rng.normal(size=(*shape, D))
    out, cache = rnn.embedding_forward(ids, w)
    leaf = torch.tensor(w, requires_grad=True)
    theirs = nn.functional.embedding(torch.tensor(ids), leaf)
    theirs.backward(torch.tensor(dout))
    close(out, theirs.detach().numpy())
    close(rnn.embedding_backward(dout, cache), leaf.grad.numpy(), 1e-12)
    one_hot = np.eye(V)[ids]
    np.testing.assert_allclose(one_hot @ w, out)


@pytest.mark.parametrize("F, dilation", [(1, 1), (2, 1), (3, 2), (2, 4)])
def test_causal_convolution_is_torchs_with_zeros_before(F, dilation):
    rng = np.random.default_rng(0)
    x, w, b, dout = (rng.normal(size=s) for s in ((2, 3, 7), (4, 3, F), 4, (2, 4, 7)))
    out, cache = rnn.causal_conv_forward(x, w, b, dilation=dilation)
    leaves = [torch.tensor(a, requires_grad=True) for a in (x, w, b)]
    padded = nn.functional.pad(leaves[0], ((F - 1) * dilation, 0))
    theirs = nn.functional.conv1d(padded, *leaves[1:], dilation=dilation)
    theirs.backward(torch.tensor(dout))
    close(out, theirs.detach().numpy())
    for a, leaf in zip(rnn.causal_conv_backward(dout, cache), leaves, strict=True):
        close(a, leaf.grad.numpy())


def test_causal_convolution_does_not_look_ahead():
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(1, 2, 8)), rng.normal(size=(3, 2, 3))
    later = x.copy()
    later[:, :, 5:] += 1
    a, b = (rnn.causal_conv_forward(v, w)[0] for v in (x, later))
    np.testing.assert_array_equal(a[:, :, :5], b[:, :, :5])
    assert np.abs(a[:, :, 5:] - b[:, :, 5:]).min() > 0


# -------------------------------------------------------------------------------------- Jacobians over time, attention


def test_the_jacobians_are_torchs():
    rng = np.random.default_rng(0)
    x, weights = rng.normal(size=(5, 1, 2)), rnn.Weights.draw(rng, "rnn", 2, 3)
    hs = rnn.rnn_forward(x, weights)[0]
    products = rnn.jacobians(hs[:, 0], weights.w_hh)
    layer = nn.RNN(2, 3, dtype=torch.float64)
    for p, w in zip(layer.parameters(), weights, strict=True):
        p.data = torch.tensor(w)
    for k in range(5):
        h = torch.tensor(hs[4 - k])[None]
        rest = torch.tensor(x[5 - k :])
        want = torch.autograd.functional.jacobian(lambda h, rest=rest: layer(rest, h)[1] if len(rest) else h, h)
        close(products[k], want[0, 0, :, 0, 0].numpy())


@pytest.mark.parametrize("lengths", [None, [4, 1, 3]])
def test_additive_attention_and_its_gradients_are_torchs(lengths):
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=s) for s in ((3, 5), (3, 4, 6), (7, 5), (7, 6), 7)]
    dout = rng.normal(size=(3, 6))
    context, cache = rnn.additive_attention_forward(*arrays, lengths=lengths)
    leaves = [torch.tensor(a, requires_grad=True) for a in arrays]
    query, keys, w_q, w_k, v = leaves
    scores = torch.tanh((query @ w_q.T)[:, None] + keys @ w_k.T) @ v
    if lengths is not None:
        scores = scores.masked_fill(torch.arange(4) >= torch.tensor(lengths)[:, None], -torch.inf)
    alpha = torch.softmax(scores, dim=1)
    theirs = (alpha[:, :, None] * keys).sum(1)
    theirs.backward(torch.tensor(dout))
    close(context, theirs.detach().numpy())
    close(cache[0], alpha.detach().numpy())
    for a, leaf in zip(rnn.additive_attention_backward(dout, cache), leaves, strict=True):
        close(a, leaf.grad.numpy())


@pytest.mark.parametrize("T", [3, 0])
def test_attention_without_keys_is_0(T):
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=s) for s in ((2, 5), (2, T, 6), (7, 5), (7, 6), 7)]
    lengths = np.array([0, T])
    context, cache = rnn.additive_attention_forward(*arrays, lengths=lengths)
    assert not context[0].any() and not cache[0][0].any()
    gradients = rnn.additive_attention_backward(np.ones((2, 6)), cache)
    assert all(np.isfinite(g).all() for g in gradients) and not gradients[0][0].any()


def test_huge_scores_do_not_overflow():
    arrays = [np.ones((1, 2)), np.ones((1, 3, 2)), np.ones((2, 2)), np.ones((2, 2)), np.full(2, 1e4)]
    context, cache = rnn.additive_attention_forward(*arrays)
    np.testing.assert_allclose(cache[0], 1 / 3)
    np.testing.assert_allclose(context, 1)
