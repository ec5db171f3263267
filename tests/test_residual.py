"""Residual blocks by hand against torch in float64, skips that concatenate, and the ways through a network."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcourse import optim, residual, train

torch = pytest.importorskip("torch")
F = torch.nn.functional


def arrays(N=5, D=4, M=6, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    shapes = [(N, D), (D, M), (M,), (M, D), (D,), (D,)]
    return [rng.normal(size=shape).astype(dtype) for shape in shapes], rng.normal(size=(N, D)).astype(dtype)


@given(
    st.integers(1, 6), st.integers(1, 5), st.integers(1, 5), st.booleans(),
    st.sampled_from([np.float32, np.float64]), st.integers(0, 99),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_a_block_is_torchs(N, D, M, skip, dtype, seed):
    given, dout = arrays(N, D, M, dtype, seed)
    out, cache = residual.block_forward(*given, skip=skip)
    ours = residual.block_backward(dout, cache)
    leaves = [torch.tensor(a, requires_grad=True) for a in given]
    x, w1, b1, w2, b2, alpha = leaves
    theirs = alpha * (torch.relu(x @ w1 + b1) @ w2 + b2) + (x if skip else 0)
    theirs.backward(torch.tensor(dout))
    tolerance = 1e-9 if dtype is np.float64 else 1e-3
    np.testing.assert_allclose(out, theirs.detach().numpy(), rtol=tolerance, atol=tolerance)
    assert out.dtype == dtype
    for a, b in zip(ours, leaves, strict=True):
        assert a.dtype == dtype and a.shape == tuple(b.shape)
        np.testing.assert_allclose(a, b.grad.numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("skip", [True, False])
def test_a_block_s_gradients_are_those_of_small_differences(skip):
    given, dout = arrays()
    gradients = residual.block_backward(dout, residual.block_forward(*given, skip=skip)[1])
    for which, gradient in enumerate(gradients):
        for index in np.ndindex(gradient.shape):
            values = []
            for step in (1e-6, -1e-6):
                moved = [a.copy() for a in given]
                moved[which][index] += step
                values.append(np.sum(residual.block_forward(*moved, skip=skip)[0] * dout))
            assert (values[0] - values[1]) / 2e-6 == pytest.approx(gradient[index], rel=1e-5, abs=1e-6)


def test_alpha_zero_is_the_identity_and_still_learns():
    given, dout = arrays()
    given[5] = np.zeros(4)
    out, cache = residual.block_forward(*given)
    dx, dw1, _, dw2, _, dalpha = residual.block_backward(dout, cache)
    np.testing.assert_array_equal(out, given[0])
    np.testing.assert_array_equal(dx, dout)
    assert not dw1.any() and not dw2.any() and np.abs(dalpha).min() > 0


def test_inputs_stay_as_they_are():
    given, dout = arrays()
    kept = [a.copy() for a in given]
    residual.block_backward(dout, residual.block_forward(*given)[1])
    for a, b in zip(given, kept, strict=True):
        np.testing.assert_array_equal(a, b)


X, (W1, B1, W2, B2, ALPHA) = arrays()[0][0], arrays()[0][1:]


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: residual.block_forward(X.astype(int), W1, B1, W2, B2, ALPHA), "x has dtype int64"),
        (lambda: residual.block_forward(X[0], W1, B1, W2, B2, ALPHA), r"x has shape \(4,\)"),
        (lambda: residual.block_forward(X, W1, B1, W2[:, :3], B2, ALPHA), r"w2 has shape \(6, 3\)"),
        (lambda: residual.block_forward(X, W1, B1, W2, B2, ALPHA[:2]), r"alpha has shape \(2,\); x has 4 features"),
        (lambda: residual.block_forward(X, W1, B1, W2, B2, 1), "alpha has dtype int64"),
        (lambda: residual.block_backward(X[:2], residual.block_forward(X, W1, B1, W2, B2, ALPHA)[1]), "dout has shape"),
        (lambda: residual.concat_forward([]), "parts has shapes"),
        (lambda: residual.concat_forward([np.zeros((2, 3, 4)), np.zeros((2, 3, 5))]), "may differ in axis 1 only"),
        (lambda: residual.concat_forward([np.zeros((2, 3)), np.zeros((3, 3))]), "may differ in axis 1 only"),
        (lambda: residual.concat_backward(np.zeros((2, 4)), [1, 2]), r"dout has shape \(2, 4\); expected \(N, 3"),
        (lambda: residual.upsample_forward(np.zeros((2, 3, 4))), r"x has shape \(2, 3, 4\)"),
        (lambda: residual.upsample_forward(np.zeros((1, 1, 2, 2)), 1.5), "scale is 1.5"),
        (lambda: residual.upsample_forward(np.zeros((1, 1, 2, 2)), 0), "scale is 0"),
        (lambda: residual.upsample_backward(np.zeros((1, 1, 3, 4)), 2), "multiples of 2"),
        (lambda: residual.path_contributions(X[0], []), r"x has shape \(4,\)"),
        (lambda: residual.path_contributions(X, [W1]), r"weights\[0\] has shape \(4, 6\); expected \(4, 4\)"),
        (lambda: residual.ResidualMLP((4, 5), depth=1), "sizes is"),
        (lambda: residual.ResidualMLP((4, 5, 0), depth=1), "sizes is"),
        (lambda: residual.ResidualMLP((4, 5, 2), depth=-1), "depth is -1"),
        (lambda: residual.autocorrelation(np.arange(3.0), 4), "lags is 4"),
        (lambda: residual.autocorrelation(np.ones(3), 2), "constant curve"),
    ],
)
def test_what_does_not_fit_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


# ------------------------------------------------------------------------------------------------ concatenate, upsample


@given(st.lists(st.integers(0, 4), min_size=1, max_size=4), st.integers(1, 3), st.lists(st.integers(1, 3), max_size=2))
@settings(max_examples=40, deadline=None)
def test_concatenation_is_torchs_and_gives_every_part_its_gradient(channels, N, space):
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(N, c, *space)) for c in channels]
    out, cache = residual.concat_forward(parts)
    leaves = [torch.tensor(p, requires_grad=True) for p in parts]
    theirs = torch.cat(leaves, dim=1)
    dout = rng.normal(size=out.shape)
    theirs.backward(torch.tensor(dout))
    np.testing.assert_array_equal(out, theirs.detach().numpy())
    for ours, leaf in zip(residual.concat_backward(dout, cache), leaves, strict=True):
        np.testing.assert_array_equal(ours, leaf.grad.numpy())


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 3, 4, 5), (1, 2, 3, 1)])
@pytest.mark.parametrize("scale", [1, 2, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_upsampling_is_torchs(shape, scale, dtype):
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape).astype(dtype)
    out, cache = residual.upsample_forward(x, scale)
    leaf = torch.tensor(x, requires_grad=True)
    theirs = F.interpolate(leaf, scale_factor=scale, mode="nearest")
    dout = rng.normal(size=out.shape).astype(dtype)
    theirs.backward(torch.tensor(dout))
    np.testing.assert_array_equal(out, theirs.detach().numpy())
    dx = residual.upsample_backward(dout, cache)
    assert out.dtype == dx.dtype == dtype
    np.testing.assert_allclose(dx, leaf.grad.numpy(), rtol=1e-5, atol=1e-6)


# ------------------------------------------------------------------------------------------------------- ways, networks


@pytest.mark.parametrize("blocks", [0, 1, 2, 4])
def test_all_ways_are_counted_by_their_length(blocks):
    rng = np.random.default_rng(0)
    x, weights = rng.normal(size=(2, 3)), rng.normal(size=(blocks, 3, 3))
    sums = residual.path_contributions(x, weights)
    for length in range(blocks + 1):
        ways = list(itertools.combinations(range(blocks), length))
        assert len(ways) == math.comb(blocks, length)
        want = sum(np.linalg.multi_dot([x, *weights[list(way)]]) if way else x for way in ways)
        np.testing.assert_allclose(sums[length], want, rtol=1e-9, atol=1e-12)
    out = x
    for w in weights:
        out = out + out @ w
    np.testing.assert_allclose(sums.sum(axis=0), out, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("skips", [True, False])
@pytest.mark.parametrize("depth", [0, 1, 3])
def test_the_network_s_gradients_are_torchs(skips, depth):
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(7, 5)), rng.integers(0, 3, 7)
    model = residual.ResidualMLP((5, 6, 3), depth=depth, skips=skips, alpha=0.7, seed=1)
    logits, caches = model.forward(x)
    dlogits = rng.normal(size=logits.shape)
    dx, _ = model.backward(dlogits, caches)
    loss, gradients = model.loss_and_gradients(x, t)
    leaf = torch.tensor(x, requires_grad=True)
    p = [torch.tensor(a, requires_grad=True) for a in model.parameters]
    h, rest = leaf @ p[0] + p[1], p[2:]
    for _ in range(depth):
        w1, b1, w2, b2, alpha, *rest = rest
        f = alpha * (torch.relu(h @ w1 + b1) @ w2 + b2)
        h = h + f if skips else f
    theirs = h @ rest[0] + rest[1]
    np.testing.assert_allclose(logits, theirs.detach().numpy(), rtol=1e-9)
    (wanted,) = torch.autograd.grad(theirs, leaf, torch.tensor(dlogits), retain_graph=True)
    np.testing.assert_allclose(dx, wanted.numpy(), rtol=1e-9, atol=1e-12)
    wanted = F.cross_entropy(theirs, torch.tensor(t))
    wanted.backward()
    assert float(loss) == pytest.approx(wanted.item(), rel=1e-12)
    for ours, q in zip(gradients, p, strict=True):
        np.testing.assert_allclose(ours, q.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_the_network_trains_and_the_seed_decides():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 4))
    t = (x[:, 0] * x[:, 1] > 0).astype(int)
    model, again, other = (residual.ResidualMLP((4, 16, 2), depth=4, alpha=0.3, seed=s) for s in (0, 0, 1))
    assert np.array_equal(model.parameters[0], again.parameters[0])
    assert not np.array_equal(model.parameters[0], other.parameters[0])
    before = model.accuracy(x, t)
    train.fit(model, (x, t), optim.Adam(model.parameters, lr=0.01), epochs=30, progress=False)
    assert model.accuracy(x, t) > max(before, 0.9)
    assert [a.shape for a in model.activations(x)] == [(80, 16)] * 5


def test_float32_stays_float32():
    model = residual.ResidualMLP((3, 4, 2), depth=2, dtype=np.float32)
    logits, caches = model.forward(np.ones((2, 3)))
    assert {g.dtype for g in model.backward(np.ones_like(logits), caches)[1]} == {np.dtype(np.float32)}


def test_autocorrelation_knows_a_wave_from_noise():
    t = np.arange(2000.0)
    wave = residual.autocorrelation(np.cos(2 * np.pi * t / 100), 51)
    assert wave[0] == 1 and wave[50] == pytest.approx(-1, abs=0.05) and wave[25] == pytest.approx(0, abs=0.05)
    noise = residual.autocorrelation(np.random.default_rng(0).normal(size=(20, 2000)), 5)
    assert noise[0] == 1 and np.abs(noise[1:]).max() < 0.02
    v = np.array([1.0, 2.0, 6.0])  # less the mean: -2, -1, 3
    np.testing.assert_allclose(residual.autocorrelation(v, 3), [1, (2 - 3) / 14, -6 / 14])
