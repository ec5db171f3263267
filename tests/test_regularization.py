"""Penalties, dropout, early stopping and mixup: against torch, against their definitions, and against each other."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcourse import losses, mlp, optim, train
from dlcourse import regularization as reg

torch = pytest.importorskip("torch")

# ---------------------------------------------------------------------------------------------------- penalties


@pytest.mark.parametrize("penalty", [reg.l1_penalty, reg.l2_penalty])
def test_penalties_are_torchs(penalty):
    w = np.random.default_rng(0).normal(size=(4, 3))
    t = torch.tensor(w, requires_grad=True)
    wanted = 0.3 * t.abs().sum() if penalty is reg.l1_penalty else 0.15 * (t * t).sum()
    wanted.backward()
    value, gradient = penalty(w, 0.3)
    assert float(value) == pytest.approx(wanted.item(), rel=1e-12)
    np.testing.assert_allclose(gradient, t.grad.numpy(), rtol=1e-12)


@given(st.floats(-3, 3), st.floats(0, 2))
@settings(max_examples=60, deadline=None)
def test_soft_threshold_solves_its_problem(w, amount):
    """It is the minimum of (v - w)²/2 + amount |v|, here looked for on a grid."""
    v = np.linspace(-4, 4, 8001)
    best = v[np.argmin((v - w) ** 2 / 2 + amount * np.abs(v))]
    assert reg.soft_threshold(np.array([w]), amount)[0] == pytest.approx(best, abs=1e-3)


def test_l1_leaves_exact_zeros_and_l2_does_not():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 20))
    t = x[:, 0] - 2 * x[:, 1]
    w1 = w2 = np.zeros(20)
    for _ in range(300):
        w1 = reg.soft_threshold(w1 - 0.1 * x.T @ (x @ w1 - t) / 200, 0.1 * 0.2)
        w2 = w2 - 0.1 * (x.T @ (x @ w2 - t) / 200 + reg.l2_penalty(w2, 0.2)[1])
    assert np.count_nonzero(w1) == 2 and np.count_nonzero(w2) == 20


@pytest.mark.parametrize("shape, rows, axes", [((5, 3), False, 0), ((3, 5), True, 1), ((4, 2, 3, 3), False, (1, 2, 3))])
def test_max_norm_shortens_only_what_is_too_long(shape, rows, axes):
    w = np.random.default_rng(0).normal(size=shape)
    before = np.sqrt((w**2).sum(axis=axes))
    limit = float(np.median(before))
    after = reg.max_norm(w, limit, rows=rows)
    np.testing.assert_allclose(np.sqrt((after**2).sum(axis=axes)), np.minimum(before, limit))
    if rows:
        np.testing.assert_allclose(after, torch.renorm(torch.tensor(w), 2, 0, limit).numpy(), rtol=1e-6)
    np.testing.assert_array_equal(reg.max_norm(np.zeros(shape), 1.0, rows=rows), 0)


def test_decay_and_l2_are_one_for_sgd_and_two_for_adam():
    start, scale = np.ones(6), np.array([1e-3, 1e-2, 0.1, 1, 10, 100])

    def end(step, **settings):
        p, memory = start.copy(), {}
        noise = np.random.default_rng(1)
        for _ in range(200):
            p, memory = step(p, scale * noise.normal(size=6), memory, **settings)
        return p

    plain = end(optim.sgd_step, lr=1e-3)
    by_hand = start.copy()
    noise = np.random.default_rng(1)
    for _ in range(200):
        by_hand = (1 - 1e-3 * 0.1) * by_hand - 1e-3 * scale * noise.normal(size=6)
    decayed = end(optim.sgd_step, lr=1e-3, weight_decay=0.1)
    np.testing.assert_allclose(decayed, by_hand, rtol=1e-12)
    assert np.abs(decayed - plain).max() > 1e-3
    none = end(optim.adam_step, lr=1e-3)
    shrunk_l2 = none - end(optim.adam_step, lr=1e-3, weight_decay=0.1)
    shrunk_decay = none - end(optim.adamw_step, lr=1e-3, weight_decay=0.1)
    assert shrunk_l2[0] > 500 * shrunk_l2[-1]  # the larger the gradient, the less L2 does
    np.testing.assert_allclose(shrunk_decay, 1 - (1 - 1e-4) ** 200, rtol=0.05)


# ------------------------------------------------------------------------------------------------------ dropout


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_keeps_the_mean_and_drops_its_share(p, dtype):
    x = np.ones((200, 500), dtype)
    out, mask = reg.dropout_forward(x, p, np.random.default_rng(0))
    assert out.dtype == mask.dtype == dtype
    assert abs(np.mean(out == 0) - p) < 5 * math.sqrt(p * (1 - p) / x.size)
    assert abs(out.mean() - 1) < 5 * math.sqrt(p / (1 - p) / x.size)
    np.testing.assert_allclose(out[out > 0], 1 / (1 - p), rtol=1e-6)


def test_dropout_s_gradient_follows_the_mask():
    rng = np.random.default_rng(0)
    x, dout = rng.normal(size=(2, 6, 5))
    out, mask = reg.dropout_forward(x, 0.4, rng)
    np.testing.assert_array_equal(out, x * mask)
    np.testing.assert_array_equal(reg.dropout_backward(dout, mask), dout * mask)
    leaf = torch.tensor(x, requires_grad=True)
    (leaf * torch.tensor(mask)).backward(torch.tensor(dout))
    np.testing.assert_array_equal(reg.dropout_backward(dout, mask), leaf.grad.numpy())


def test_dropout_is_nothing_at_test_time():
    x = np.random.default_rng(0).normal(size=(3, 4))
    for options in ({"p": 0.5, "training": False}, {"p": 0.0}):
        out, cache = reg.dropout_forward(x, rng=np.random.default_rng(0), **options)
        assert cache is None
        np.testing.assert_array_equal(out, x)
        np.testing.assert_array_equal(reg.dropout_backward(x, cache), x)


def test_dropout_rates_in_time():
    t = np.arange(6)
    np.testing.assert_allclose(reg.dropout_rate(t, 0.4, 4), [0.4, 0.3, 0.2, 0.1, 0, 0])
    np.testing.assert_allclose(reg.dropout_rate(t, 0.4, 4, "late"), [0, 0, 0, 0, 0.4, 0.4])
    np.testing.assert_allclose(reg.dropout_rate(t, 0.4, 4, "always"), 0.4)


def test_monte_carlo_dropout_finds_the_spread_of_a_known_layer():
    """Of a sum of n values, each kept with 1 - p: variance Σ x² p / (1 - p)."""
    x, p, rng = np.array([[1.0, 2.0, 3.0]]), 0.5, np.random.default_rng(0)
    found = reg.mc_dropout(lambda: reg.dropout_forward(x, p, rng)[0].sum(axis=1, keepdims=True), 20_000)
    assert found.samples.shape == (20_000, 1, 1)
    assert found.mean[0, 0] == pytest.approx(6, abs=0.15)
    assert found.std[0, 0] == pytest.approx(math.sqrt(14), rel=0.03)


# ----------------------------------------------------------------------------------------------- early stopping


def test_patience_by_hand():
    losses_ = [1.0, 0.8, 0.9, 0.7, 0.75, 0.72, 0.71, 0.6]
    assert reg.early_stop(losses_, 3) == (3, 6)
    assert reg.early_stop(losses_, 4) == (7, 7)
    assert reg.early_stop(losses_, 2, min_delta=0.15) == (1 if 0.8 < 1 - 0.15 else 0, 3)
    assert reg.early_stop([math.nan, 1.0], 5) == (1, 1)


@pytest.mark.parametrize("patience", [1, 2, 4])
def test_the_training_loop_stops_by_the_same_rule(patience):
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(40, 6)), rng.integers(0, 2, 40)
    held = rng.normal(size=(30, 6)), rng.integers(0, 2, 30)
    model = mlp.MLP((6, 30, 2), seed=0)
    run = train.fit(model, (x, t), optim.Adam(model.parameters, lr=0.02), epochs=60, held_out=held, patience=patience,
                    progress=False)  # fmt: skip
    seen = run.history["held_out_loss"]
    assert run.stopped == "patience"
    assert reg.early_stop(seen, patience) == (run.best_epoch, len(seen) - 1)
    assert float(model.loss_and_gradients(*held)[0]) == pytest.approx(seen[run.best_epoch])


# -------------------------------------------------------------------------------------------------------- mixup


def test_mixup_lies_on_lines_and_its_targets_with_it():
    rng = np.random.default_rng(0)
    x, y = np.arange(5.0)[:, None, None] * np.ones((1, 2, 2)), np.eye(5)
    mixed, targets, lam = reg.mixup(x, y, 0.4, rng)
    np.testing.assert_allclose(targets.sum(axis=1), 1)
    np.testing.assert_allclose(mixed[:, 0, 0], targets @ np.arange(5.0))
    np.testing.assert_allclose(np.einsum("ii->i", targets) >= lam - 1e-12, True)


def test_mixup_s_weights_are_beta():
    *_, lam = reg.mixup(np.zeros((40_000, 1)), np.ones((40_000, 1)), 0.5, np.random.default_rng(0))
    assert lam.mean() == pytest.approx(0.5, abs=0.01) and lam.var() == pytest.approx(1 / 8, abs=0.003)
    *_, lam = reg.mixup(np.zeros((1000, 1)), np.ones((1000, 1)), 1e-3, np.random.default_rng(0))
    assert np.mean((lam < 0.01) | (lam > 0.99)) > 0.98


def test_mixed_loss_is_the_mixture_of_losses():
    rng = np.random.default_rng(0)
    logits, a, b = rng.normal(size=(4, 3)), np.array([0, 1, 2, 0]), np.array([1, 1, 0, 2])
    mixed = 0.3 * reg.one_hot(a, 3) + 0.7 * reg.one_hot(b, 3)
    one, other = (losses.softmax_cross_entropy_forward(logits, t)[0] for t in (a, b))
    assert losses.log_forward(logits, mixed)[0] == pytest.approx(0.3 * one + 0.7 * other)


RNG = np.random.default_rng(0)
W = np.ones((3, 2))


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: reg.l2_penalty(W, -1), "lam is -1"),
        (lambda: reg.l1_penalty(W.astype(int), 1), "w has dtype int64"),
        (lambda: reg.soft_threshold(W, math.nan), "amount is nan"),
        (lambda: reg.max_norm(W[0], 1), r"w has shape \(2,\)"),
        (lambda: reg.max_norm(W, 0), "limit is 0"),
        (lambda: reg.dropout_forward(W, 1.0, RNG), "p is 1.0"),
        (lambda: reg.dropout_forward(W.astype(int), 0.5, RNG), "x has dtype int64"),
        (lambda: reg.dropout_backward(W[:2], np.ones((3, 2))), "dout has shape"),
        (lambda: reg.dropout_rate(0, 0.5, 0), "until is 0"),
        (lambda: reg.dropout_rate(0, 1.5, 1), "p is 1.5"),
        (lambda: reg.dropout_rate(0, 0.5, 1, "never"), "when is 'never'"),
        (lambda: reg.mc_dropout(lambda: W, 1), "samples is 1"),
        (lambda: reg.early_stop([], 1), "losses is empty"),
        (lambda: reg.early_stop([1.0], 0), "patience is 0"),
        (lambda: reg.mixup(W, W[:2], 1, RNG), r"y has shape \(2, 2\), x \(3, 2\)"),
        (lambda: reg.mixup(W[:0], W[:0], 1, RNG), "at least 1"),
        (lambda: reg.mixup(W, W, 0, RNG), "alpha is 0"),
        (lambda: reg.one_hot(np.array([3]), 3), "classes has shape"),
        (lambda: reg.one_hot(np.array([0.5]), 3), "classes has shape"),
    ],
)
def test_what_does_not_fit_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
