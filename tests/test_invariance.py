"""Coloured digits: the shortcut is as strong as it says, weights undo it, and a network falls for it."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dlcourse import data, invariance

GEN = np.random.default_rng


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


@pytest.mark.parametrize(("agreement", "noise"), [(0.9, 0.25), (0.1, 0.25), (1.0, 0.0), (0.0, 0.0)])
def test_label_and_colour_agree_as_often_as_is_said(digits, agreement, noise):
    x, y = np.concatenate([digits.x_train] * 4), np.concatenate([digits.y_train] * 4)
    made = invariance.coloured(x, y, agreement, rng=GEN(0), noise=noise)
    assert np.mean(made.y == made.colour) == pytest.approx(agreement, abs=0.02)
    assert np.mean(made.y == (y >= 5)) == pytest.approx(1 - noise, abs=0.025)
    rows = np.arange(len(x))
    np.testing.assert_array_equal(made.x[rows, made.colour], x)
    assert not made.x[rows, 1 - made.colour].any()


def test_weights_make_groups_count_alike():
    y, groups = np.array([0, 0, 0, 1, 1, 1, 1, 1]), np.array([0, 0, 1, 0, 1, 1, 1, 1])
    w = invariance.group_weights(y, groups)
    assert w.mean() == pytest.approx(1)
    sums = [w[(y == a) & (groups == b)].sum() for a in (0, 1) for b in (0, 1)]
    np.testing.assert_allclose(sums, 2)
    np.testing.assert_allclose(invariance.group_weights(np.array([0, 1]), np.array([0, 1])), 1)


def test_the_penalty_is_the_squared_derivative_by_a_scale():
    rng = GEN(0)
    logits, y = torch.tensor(rng.normal(size=40), requires_grad=True), torch.tensor(rng.integers(0, 2, 40))
    found = invariance.irm_penalty(logits, y)
    loss = [F.binary_cross_entropy_with_logits(s * logits.detach(), y.double()).item() for s in (1 + 1e-6, 1 - 1e-6)]
    assert found.item() == pytest.approx(((loss[0] - loss[1]) / 2e-6) ** 2, rel=1e-5)
    assert torch.autograd.gradcheck(lambda z: invariance.irm_penalty(z, y), logits)


def test_a_shortcut_is_taken_and_balancing_helps(digits, one_thread):
    rng = GEN(0)
    envs = [
        invariance.coloured(digits.x_train[i::2], digits.y_train[i::2], a, rng=rng) for i, a in enumerate((0.9, 0.8))
    ]
    other = invariance.coloured(digits.x_test, digits.y_test, 0.1, rng=rng)
    alike = invariance.coloured(digits.x_test, digits.y_test, 0.9, rng=rng)
    plain, balanced = (invariance.fit(envs, way, seed=0, steps=60, hidden=32) for way in ("erm", "balanced"))
    assert invariance.accuracy(plain, alike) > 0.8 and invariance.accuracy(plain, other) < 0.3
    assert invariance.accuracy(balanced, other) > invariance.accuracy(plain, other) + 0.15


def test_irm_leans_less_on_the_colour(digits, one_thread):
    rng = GEN(1)
    envs = [
        invariance.coloured(digits.x_train[i::2], digits.y_train[i::2], a, rng=rng) for i, a in enumerate((0.9, 0.8))
    ]
    other = invariance.coloured(digits.x_test, digits.y_test, 0.1, rng=rng)
    plain, irm = (invariance.fit(envs, way, seed=0, hidden=64, steps=200) for way in ("erm", "irm"))
    assert invariance.accuracy(irm, other) > invariance.accuracy(plain, other) + 0.05


def test_the_same_seed_trains_the_same_network(digits, one_thread):
    envs = [invariance.coloured(digits.x_train[:80], digits.y_train[:80], 0.9, rng=GEN(0))]
    one, two = (invariance.fit(envs, "erm", seed=3, hidden=8, steps=5) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: invariance.coloured(np.zeros((2, 3)), np.zeros(2), 0.9, rng=GEN(0)), "images has shape"),
        (lambda: invariance.coloured(np.zeros((2, 3, 3)), np.zeros(3), 0.9, rng=GEN(0)), "digits \\(3,\\)"),
        (lambda: invariance.coloured(np.zeros((2, 3, 3)), np.zeros(2), 1.9, rng=GEN(0)), "agreement is 1.9"),
        (lambda: invariance.fit([], "magic", seed=0), "way is 'magic'"),
    ],
)
def test_wrong_input_is_said(call, said):
    with pytest.raises(ValueError, match=said):
        call()
