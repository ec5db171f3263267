"""Attention by hand against torch in float64, forward and backward; masks, blocks, positions, Performer features."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcourse import attention

torch = pytest.importorskip("torch")
F = torch.nn.functional

SHAPES = [  # leading axes, T, S, D, E
    ((), 1, 1, 1, 1), ((), 5, 5, 4, 4), ((), 3, 7, 2, 5), ((2,), 6, 4, 3, 1), ((2, 3), 5, 5, 4, 2),
    ((1, 2, 2), 4, 6, 1, 3), ((2,), 1, 9, 4, 4), ((3,), 70, 130, 8, 8),
]  # fmt: skip


def arrays(lead, T, S, D, E, dtype=np.float64, seed=0, size=1.0):
    rng = np.random.default_rng(seed)
    shapes = ((*lead, T, D), (*lead, S, D), (*lead, S, E), (*lead, T, E))
    return [(size * rng.normal(size=shape)).astype(dtype) for shape in shapes]


def torchs(q, k, v, dout, mask=None):
    leaves = [torch.tensor(a, requires_grad=True) for a in (q, k, v)]
    out = F.scaled_dot_product_attention(*leaves, attn_mask=None if mask is None else torch.tensor(mask))
    out.backward(torch.tensor(dout))
    return [out.detach().numpy(), *(leaf.grad.numpy() for leaf in leaves)]


def close(ours, theirs, rtol=1e-9):
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * max(1.0, float(np.abs(b).max(initial=0))))


# ------------------------------------------------------------------------------------------------- kernel smoothing


@pytest.mark.parametrize("scores", [attention.rbf_scores, attention.dot_scores])
def test_one_query_at_a_time_and_as_a_matrix(scores):
    q, k, v, _ = arrays((), 6, 8, 3, 2)
    mask = np.random.default_rng(1).random((6, 8)) < 0.6
    mask[:, 0] = True
    out, weights = attention.smooth(q, k, v, scores, mask)
    for t in range(6):
        one, its = attention.smooth_one(q[t], k, v, scores, np.flatnonzero(mask[t]))
        close([one, its], [out[t], weights[t]], rtol=1e-12)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    assert (weights[~mask] == 0).all() and (weights[mask] > 0).all()


def test_the_kernel_s_formula():
    q, k, v, _ = arrays((), 4, 5, 3, 2)
    kernel = np.exp(-(0.7**2) * np.array([[np.sum((a - b) ** 2) for b in k] for a in q]))
    expected = kernel @ v / kernel.sum(axis=1, keepdims=True)
    out, _ = attention.smooth(q, k, v, lambda a, b: attention.rbf_scores(a, b, 0.7))
    np.testing.assert_allclose(out, expected, rtol=1e-12)
    kernel = np.exp(q @ k.T / math.sqrt(3))
    np.testing.assert_allclose(attention.smooth(q, k, v)[0], kernel @ v / kernel.sum(axis=1, keepdims=True), rtol=1e-12)


def test_keys_of_one_length_make_the_two_kernels_one():
    """With ‖k‖ constant, -‖q - k‖²/2 and q · k differ by what does not depend on the key."""
    q, k, v, _ = arrays((), 4, 6, 4, 2)
    k /= np.linalg.norm(k, axis=1, keepdims=True)
    rbf, _ = attention.smooth(q, k, v, lambda a, b: attention.rbf_scores(a, b, math.sqrt(0.5 / math.sqrt(4))))
    np.testing.assert_allclose(rbf, attention.smooth(q, k, v)[0], rtol=1e-12)


def test_a_query_without_keys():
    q, k, v, _ = arrays((), 2, 3, 2, 2)
    with pytest.raises(ValueError, match="allowed is empty"):
        attention.smooth_one(q[0], k, v, allowed=[])
    out, weights = attention.smooth(q, k, v, mask=np.array([[True, False, True], [False] * 3]))
    assert (out[1] == 0).all() and (weights[1] == 0).all() and out[0].any()


def test_softmax_does_not_overflow():
    scores = np.array([[1e4, 1e4 - np.log(3), -1e4], [-1e308, -1e308, -np.inf]])
    np.testing.assert_allclose(attention.masked_softmax(scores), [[0.75, 0.25, 0], [0.5, 0.5, 0]])
    assert attention.masked_softmax(np.zeros((3, 0))).shape == (3, 0)
    before = np.ones((2, 2))
    attention.masked_softmax(before)
    assert (before == 1).all()


# ------------------------------------------------------------------------------------------------------------- masks


@pytest.mark.parametrize("T, S", [(1, 1), (4, 4), (2, 5), (5, 2), (0, 3), (3, 0)])
def test_causal_mask(T, S):
    expected = [[s <= t + S - T for s in range(S)] for t in range(T)]
    np.testing.assert_array_equal(attention.causal_mask(T, S), np.array(expected, bool).reshape(T, S))


def test_local_and_padding_masks():
    np.testing.assert_array_equal(attention.local_mask(4, 0), np.eye(4, dtype=bool))
    assert attention.local_mask(5, 1).sum() == 13
    mask = attention.padding_mask(np.array([0, 2, 3]), 3)
    assert mask.shape == (3, 1, 3) and mask.sum(axis=(1, 2)).tolist() == [0, 2, 3] and mask[1, 0].tolist() == [1, 1, 0]
    for lengths in ([-1], [4]):
        with pytest.raises(ValueError, match="lengths run from"):
            attention.padding_mask(np.array(lengths), 3)


# ------------------------------------------------------------------------------------------------ agreement with torch


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["all", "mask", "causal", "both"])
def test_attention_is_torchs(shape, kind):
    q, k, v, dout = arrays(*shape)
    lead, T, S, *_ = shape
    mask = np.random.default_rng(2).random((*lead, T, S)) < 0.7
    mask[..., 0] = True
    given = mask if kind in ("mask", "both") else None
    out, cache = attention.attention_forward(q, k, v, given, causal=kind in ("causal", "both"))
    triangle = np.array([[s <= t + S - T for s in range(S)] for t in range(T)])
    both = {"all": np.ones_like(mask), "mask": mask, "causal": triangle & np.ones_like(mask), "both": mask & triangle}
    seen = both[kind].any(axis=-1)
    # Rows without keys are NaN or 0 in torch, depending on its version: let them see one key, and take their share out.
    theirs = torchs(q, k, v, dout * seen[..., None], both[kind] | ~seen[..., None])
    theirs[0] = theirs[0] * seen[..., None]
    close([out, *attention.attention_backward(dout, cache)], theirs)


def test_attention_of_float32_stays_float32():
    q, k, v, dout = arrays((2,), 5, 6, 4, 3, np.float32)
    out, cache = attention.attention_forward(q, k, v, causal=True)
    grads = attention.attention_backward(dout.astype(np.float64), cache)
    assert {a.dtype for a in (out, *grads, cache.weights)} == {np.dtype(np.float32)}
    close([out, *grads], torchs(q, k, v, dout, attention.causal_mask(5, 6)), rtol=1e-5)


@pytest.mark.parametrize("size", [1.0, 1e3])
@pytest.mark.parametrize("causal", [False, True])
def test_numerical_gradient(size, causal):
    q, k, v, dout = arrays((2,), 3, 4, 2, 3)
    v = size * v
    mask = np.random.default_rng(0).random((2, 3, 4)) < 0.8
    _, cache = attention.attention_forward(q, k, v, mask, causal=causal)
    for a, da in zip((q, k, v), attention.attention_backward(dout, cache), strict=True):
        for i in np.ndindex(a.shape):
            keep, ends = a[i], []
            for h in (1e-6, -1e-6):
                a[i] = keep + h
                ends.append(np.sum(attention.attention_forward(q, k, v, mask, causal=causal)[0] * dout))
            a[i] = keep
            np.testing.assert_allclose(da[i], (ends[0] - ends[1]) / 2e-6, rtol=1e-5, atol=1e-6 * size)


def test_scores_of_a_thousand_do_not_overflow():
    q, k, v, dout = arrays((), 6, 7, 4, 3, size=100.0)
    out, cache = attention.attention_forward(q, k, v)
    close([out, *attention.attention_backward(dout, cache)], torchs(q, k, v, dout), rtol=1e-8)
    blocked, cache = attention.blockwise_attention_forward(q, k, v, block=2)
    close([blocked], [out], rtol=1e-10)
    assert all(
        np.isfinite(g).all() for g in attention.attention_backward(dout, attention.attention_forward(q, k, v)[1])
    )


@pytest.mark.parametrize(
    "shape", [((), 4, 0, 3, 2), ((2,), 0, 5, 3, 2), ((0,), 4, 4, 3, 2), ((2,), 0, 0, 3, 0), ((), 3, 4, 2, 0)]
)
def test_nothing_in_nothing_out(shape):
    q, k, v, dout = arrays(*shape)
    for forward, backward in (
        (attention.attention_forward, attention.attention_backward),
        (attention.blockwise_attention_forward, attention.blockwise_attention_backward),
    ):
        out, cache = forward(q, k, v, causal=True)
        assert out.shape == dout.shape and (out == 0).all()
        for grad, a in zip(backward(dout, cache), (q, k, v), strict=True):
            assert grad.shape == a.shape and (grad == 0).all()


def test_rows_that_see_nothing_pass_no_gradient():
    q, k, v, dout = arrays((2,), 3, 4, 2, 3)
    mask = np.ones((2, 3, 4), bool)
    mask[0, 1] = False
    out, cache = attention.attention_forward(q, k, v, mask)
    dq, dk, dv = attention.attention_backward(dout, cache)
    assert (out[0, 1] == 0).all() and (dq[0, 1] == 0).all() and np.isfinite(dk).all() and np.isfinite(dv).all()
    _, cache = attention.attention_forward(q[:, [0, 2]], k, v)
    for mine, other in zip((dk, dv), attention.attention_backward(dout[:, [0, 2]], cache)[1:], strict=True):
        np.testing.assert_allclose(mine[0], other[0], rtol=1e-12)


# ---------------------------------------------------------------------------------------------------- block by block


@settings(max_examples=60, deadline=None)
@given(
    lead=st.sampled_from([(), (2,), (2, 1)]), T=st.integers(0, 9), S=st.integers(0, 9), D=st.integers(1, 4),
    E=st.integers(0, 3), block=st.integers(1, 12), causal=st.booleans(),
    dtype=st.sampled_from([np.float32, np.float64]), seed=st.integers(0, 9),
)  # fmt: skip
def test_blockwise_is_the_same(lead, T, S, D, E, block, causal, dtype, seed):
    q, k, v, dout = arrays(lead, T, S, D, E, dtype, seed)
    out, cache = attention.attention_forward(q, k, v, causal=causal)
    blocked, block_cache = attention.blockwise_attention_forward(q, k, v, causal=causal, block=block)
    ours = [blocked, *attention.blockwise_attention_backward(dout, block_cache)]
    close(ours, [out, *attention.attention_backward(dout, cache)], rtol=1e-10 if dtype == np.float64 else 1e-4)


@pytest.mark.parametrize("block", [7, 64, 500])
def test_blockwise_is_torchs(block):
    q, k, v, dout = arrays((2,), 100, 120, 8, 5)
    out, cache = attention.blockwise_attention_forward(q, k, v, causal=True, block=block)
    theirs = torchs(q, k, v, dout, attention.causal_mask(100, 120))
    close([out, *attention.blockwise_attention_backward(dout, cache)], theirs)


def test_blockwise_holds_few_weights():
    import tracemalloc

    q, k, v, _ = arrays((), 2000, 2000, 8, 8, np.float32)

    def peak(run):
        tracemalloc.start()
        run()
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    whole = peak(lambda: attention.attention_forward(q, k, v))
    assert whole > 4 * 2000 * 2000
    assert peak(lambda: attention.blockwise_attention_forward(q, k, v, block=100)) < whole / 20


# -------------------------------------------------------------------------------------------------------- many heads


def heads_arrays(N, T, D, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    shapes = ((N, T, D), (D, 3 * D), (3 * D,), (D, D), (D,), (N, T, D))
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


def torch_heads(x, w_in, b_in, w_out, b_out, dout, heads, allowed=None):
    layer = torch.nn.MultiheadAttention(x.shape[2], heads, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        for p, a in zip(layer.parameters(), (w_in.T, b_in, w_out.T, b_out), strict=True):
            p.copy_(torch.tensor(a))
    leaf = torch.tensor(x, requires_grad=True)
    # torch's mask says where a query may NOT look.
    out, weights = layer(
        leaf, leaf, leaf, attn_mask=None if allowed is None else torch.tensor(~allowed), average_attn_weights=False
    )
    out.backward(torch.tensor(dout))
    dw_in, db_in, dw_out, db_out = (p.grad.numpy() for p in layer.parameters())
    return [out.detach().numpy(), leaf.grad.numpy(), dw_in.T, db_in, dw_out.T, db_out], weights.detach().numpy()


@pytest.mark.parametrize("N, T, D, heads", [(1, 1, 1, 1), (2, 5, 6, 1), (2, 5, 6, 2), (3, 4, 6, 6), (1, 9, 8, 4)])
@pytest.mark.parametrize("causal", [False, True])
def test_multi_head_is_torchs(N, T, D, heads, causal):
    x, *parameters, dout = heads_arrays(N, T, D)
    out, cache = attention.multi_head_forward(x, *parameters, heads, causal=causal)
    allowed = attention.causal_mask(T) if causal else None
    theirs, weights = torch_heads(x, *parameters, dout, heads, allowed)
    close([out, *attention.multi_head_backward(dout, cache)], theirs)
    np.testing.assert_allclose(cache.weights, weights, rtol=1e-9, atol=1e-12)


def test_multi_head_with_a_mask_for_each_head():
    x, *parameters, dout = heads_arrays(2, 5, 4)
    mask = np.random.default_rng(3).random((2, 2, 5, 5)) < 0.5
    mask[..., 1] = True
    out, cache = attention.multi_head_forward(x, *parameters, 2, mask)
    theirs, _ = torch_heads(x, *parameters, dout, 2, mask.reshape(4, 5, 5))
    close([out, *attention.multi_head_backward(dout, cache)], theirs)


@settings(max_examples=25, deadline=None)
@given(N=st.integers(0, 3), T=st.integers(0, 5), size=st.integers(1, 3), heads=st.integers(1, 3), causal=st.booleans())
def test_multi_head_of_any_size(N, T, size, heads, causal):
    x, *parameters, dout = heads_arrays(N, T, size * heads, np.float32)
    out, cache = attention.multi_head_forward(x, *parameters, heads, causal=causal)
    grads = attention.multi_head_backward(dout, cache)
    assert out.shape == x.shape and {a.dtype for a in (out, *grads)} == {np.dtype(np.float32)}
    assert [g.shape for g in grads] == [a.shape for a in (x, *parameters)]
    # Head by head, by the function for one head.
    D = size * heads
    qkv = x @ parameters[0] + parameters[1]
    for h in range(heads):
        q, k, v = (qkv[..., i * D + h * size : i * D + (h + 1) * size] for i in range(3))
        one, _ = attention.attention_forward(q, k, v, causal=causal)
        np.testing.assert_allclose(cache.joined.reshape(N, T, heads, size)[:, :, h], one, rtol=1e-4, atol=1e-5)


def test_permuted_tokens_give_permuted_outputs():
    x, *parameters, _ = heads_arrays(2, 7, 6)
    order = np.random.default_rng(0).permutation(7)
    out, _ = attention.multi_head_forward(x, *parameters, 2)
    moved, _ = attention.multi_head_forward(x[:, order], *parameters, 2)
    np.testing.assert_allclose(moved, out[:, order], rtol=1e-10)
    places = attention.sinusoidal(7, 6)
    out, _ = attention.multi_head_forward(x + places, *parameters, 2)
    moved, _ = attention.multi_head_forward(x[:, order] + places, *parameters, 2)
    assert np.abs(moved - out[:, order]).max() > 0.1


# --------------------------------------------------------------------------------------------------------- positions


def test_positions_follow_the_formula():
    p = attention.sinusoidal(20, 6, base=100.0)
    for t, i in np.ndindex(20, 3):
        angle = t / 100 ** (2 * i / 6)
        np.testing.assert_allclose(p[t, 2 * i : 2 * i + 2], [math.sin(angle), math.cos(angle)], atol=1e-12)
    assert attention.sinusoidal(3, 4, dtype=np.float32).dtype == np.float32 and attention.sinusoidal(0, 2).shape == (
        0,
        2,
    )


def test_a_step_is_a_rotation():
    p, D = attention.sinusoidal(50, 8), 8
    turn = np.linalg.lstsq(p[:-3], p[3:], rcond=None)[0]
    np.testing.assert_allclose(p[:-3] @ turn, p[3:], atol=1e-9)
    np.testing.assert_allclose(turn @ turn.T, np.eye(D), atol=1e-6)
    products = p @ p.T  # depend on the distance alone
    for d in range(10):
        np.testing.assert_allclose(np.diag(products, d), products[0, d], rtol=1e-10)


# ----------------------------------------------------------------------------------------------------------- Performer


@pytest.mark.parametrize("orthogonal", [False, True])
def test_products_of_features_are_unbiased(orthogonal):
    rng = np.random.default_rng(0)
    x, y = 0.6 * rng.normal(size=(2, 5, 4))
    found = []
    for _ in range(400):
        omega = attention.random_directions(8, 4, rng, orthogonal=orthogonal)
        found.append(attention.positive_features(x, omega) @ attention.positive_features(y, omega).T)
    mean, error = np.mean(found, axis=0), np.std(found, axis=0) / 20
    assert np.abs((mean - np.exp(x @ y.T)) / error).max() < 4.5
    assert (np.array(found) > 0).all()


def test_directions_are_orthogonal_in_blocks():
    omega = attention.random_directions(10, 4, np.random.default_rng(0))
    assert omega.shape == (10, 4)
    for start in (0, 4):
        products = omega[start : start + 4] @ omega[start : start + 4].T
        np.testing.assert_allclose(products - np.diag(np.diag(products)), 0, atol=1e-10)
    lengths = np.linalg.norm(attention.random_directions(4000, 4, np.random.default_rng(1)), axis=1)
    assert abs(np.mean(lengths**2) - 4) < 0.2  # chi-square with 4 degrees of freedom


@pytest.mark.parametrize("causal", [False, True])
def test_the_performer_s_error_falls_with_its_features(causal):
    q, k, v, _ = arrays((2,), 40, 40, 4, 3)
    q, k = 0.5 * q, 0.5 * k  # of long queries and keys the features vary so much that 1/√M begins later
    exact, _ = attention.attention_forward(q, k, v, causal=causal)
    errors = []
    for M in (16, 256, 4096):
        rng = np.random.default_rng(0)
        runs = [
            attention.performer_attention(q, k, v, attention.random_directions(M, 4, rng), causal=causal)
            for _ in range(5)
        ]
        errors.append(np.sqrt(np.mean((np.array(runs) - exact) ** 2)))
    assert errors[0] > 2 * errors[1] > 4 * errors[2]  # 1/√M would be a factor of 4 each time


def test_the_performer_s_large_scores_are_finite():
    q, k, v, _ = arrays((), 6, 6, 4, 3, np.float32, size=30.0)
    out = attention.performer_attention(q, k, v, attention.random_directions(32, 4, np.random.default_rng(0)))
    assert out.dtype == np.float32 and np.isfinite(out).all()
    assert (out >= v.min(axis=0) - 1e-3).all() and (out <= v.max(axis=0) + 1e-3).all()


# ------------------------------------------------------------------------------------------------------- wrong input


def test_what_does_not_fit_is_said():
    q, k, v, dout = arrays((2,), 3, 4, 2, 3)
    cases = [
        ((q.astype(int), k, v), "q has dtype int64"),
        ((q, k.astype(np.float32), v), "k has dtype float32, q float64"),
        ((q[0, 0], k, v), r"q has shape \(2,\)"),
        ((q[..., :0], k[..., :0], v), "D of at least 1"),
        ((q, k[:1], v), r"k has shape \(1, 4, 2\)"),
        ((q, k[..., :1], v), "k has 1 features, q 2"),
        ((q, k, v[:, :2]), "v has 2 tokens, k 4"),
        ((q, k, v, np.ones((3, 4))), "mask has dtype float64"),
        ((q, k, v, np.ones((3, 3), bool)), r"mask has shape \(3, 3\)"),
    ]
    for arguments, message in cases:
        with pytest.raises(ValueError, match=message):
            attention.attention_forward(*arguments)
    with pytest.raises(ValueError, match=r"dout has shape \(1, 3, 3\)"):
        attention.attention_backward(dout[:1], attention.attention_forward(q, k, v)[1])
    with pytest.raises(ValueError, match="block is 0"):
        attention.blockwise_attention_forward(q, k, v, block=0)
    x, *parameters, _ = heads_arrays(2, 3, 4)
    with pytest.raises(ValueError, match="heads is 3; expected a divisor of the 4"):
        attention.multi_head_forward(x, *parameters, 3)
    with pytest.raises(ValueError, match=r"w_in has shape \(4, 4\)"):
        attention.multi_head_forward(x, parameters[2], *parameters[1:], 2)
    with pytest.raises(ValueError, match=r"x has shape \(3, 4\)"):
        attention.multi_head_forward(x[0], *parameters, 2)
    for arguments, message in (((3, 5), "D is 5"), ((3, 0), "D is 0"), ((-1, 2), "T is -1")):
        with pytest.raises(ValueError, match=message):
            attention.sinusoidal(*arguments)
    with pytest.raises(ValueError, match=r"omega has shape \(5, 3\)"):
        attention.performer_attention(q, k, v, np.ones((5, 3)))
    with pytest.raises(ValueError, match="k has 4 tokens; expected at least 1, and as many"):
        attention.performer_attention(q, k, v, np.ones((5, 2)), causal=True)
