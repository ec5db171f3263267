"""Adversarial losses by hand: against PyTorch in float64, against small differences, at extreme logits; the coin."""

from __future__ import annotations

import math

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from dlcourse import adversarial, gan
from dlcourse.mlp import MLP

SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=1, max_side=5)
LOGITS = SHAPES.flatmap(lambda shape: hnp.arrays(np.float64, shape, elements=st.floats(-50, 50)))


def tensor(a):
    return torch.tensor(a, requires_grad=True)


@settings(deadline=None)
@given(LOGITS, LOGITS, st.floats(-3, 3))
def test_the_discriminators_loss_is_torch_s_cross_entropy(real, fake, dout):
    loss, cache = adversarial.discriminator_forward(real, fake)
    gradients = adversarial.discriminator_backward(dout, cache)
    r, f = tensor(real), tensor(fake)
    wanted = F.binary_cross_entropy_with_logits(r, torch.ones_like(r)) + F.binary_cross_entropy_with_logits(
        f, torch.zeros_like(f)
    )
    wanted.backward(torch.tensor(dout, dtype=torch.float64))
    np.testing.assert_allclose(loss, wanted.item(), rtol=1e-12, atol=1e-12)
    for mine, theirs in zip(gradients, (r, f), strict=True):
        np.testing.assert_allclose(mine, theirs.grad.numpy(), rtol=1e-10, atol=1e-15)


def by_name(name):
    return getattr(adversarial, f"{name}_forward"), getattr(adversarial, f"{name}_backward")


@pytest.mark.parametrize(
    "name, theirs",
    [
        ("saturating", lambda f: -F.binary_cross_entropy_with_logits(f, torch.zeros_like(f))),
        ("nonsaturating", lambda f: F.binary_cross_entropy_with_logits(f, torch.ones_like(f))),
    ],
)
@settings(deadline=None)
@given(fake=LOGITS, dout=st.floats(-3, 3))
def test_the_generators_losses_are_torch_s(name, theirs, fake, dout):
    forward, backward = by_name(name)
    loss, cache = forward(fake)
    f = tensor(fake)
    wanted = theirs(f)
    wanted.backward(torch.tensor(dout, dtype=torch.float64))
    np.testing.assert_allclose(loss, wanted.item(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(backward(dout, cache), f.grad.numpy(), rtol=1e-10, atol=1e-15)


@settings(deadline=None)
@given(LOGITS, st.sampled_from([0.0, 1.0, -1.0]), st.floats(-3, 3))
def test_least_squares_is_half_of_torch_s(scores, target, dout):
    loss, cache = adversarial.least_squares_forward(scores, target)
    s = tensor(scores)
    wanted = F.mse_loss(s, torch.full_like(s, target)) / 2
    wanted.backward(torch.tensor(dout, dtype=torch.float64))
    np.testing.assert_allclose(loss, wanted.item(), rtol=1e-12)
    np.testing.assert_allclose(adversarial.least_squares_backward(dout, cache), s.grad.numpy(), rtol=1e-12, atol=1e-15)


@settings(deadline=None)
@given(LOGITS, LOGITS, st.floats(-3, 3))
def test_wasserstein_is_a_difference_of_means(real, fake, dout):
    loss, cache = adversarial.wasserstein_forward(real, fake)
    dreal, dfake = adversarial.wasserstein_backward(dout, cache)
    assert math.isclose(loss, np.mean(fake) - np.mean(real), abs_tol=1e-9)
    np.testing.assert_allclose(dreal, np.full(real.shape, -dout / real.size))
    np.testing.assert_allclose(dfake, np.full(fake.shape, dout / fake.size))


@pytest.mark.parametrize("name", ["discriminator", "saturating", "nonsaturating", "wasserstein", "least_squares"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_dtype_stays_and_a_small_step_agrees(name, dtype):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 3)), rng.normal(size=5)
    forward, backward = by_name(name)
    arguments = {"discriminator": (a, b), "wasserstein": (a, b), "least_squares": (a, 1.0)}.get(name, (a,))
    given_dtype = [x.astype(dtype) if isinstance(x, np.ndarray) else x for x in arguments]
    loss, cache = forward(*given_dtype)
    gradients = backward(1.0, cache)
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)
    assert loss.dtype == dtype and all(g.dtype == dtype for g in gradients)
    if dtype != np.float64:
        return
    for k, g in enumerate(gradients):
        for i in np.ndindex(g.shape):
            moved = [x.copy() if isinstance(x, np.ndarray) else x for x in arguments]
            moved[k][i] += 1e-6
            up = forward(*moved)[0]
            moved[k][i] -= 2e-6
            np.testing.assert_allclose((up - forward(*moved)[0]) / 2e-6, g[i], atol=1e-8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nothing_overflows_where_the_discriminator_is_sure(dtype):
    """At ±10,000 the loss is the logit itself or 0, and the gradients are 0 or 1."""
    sure = np.array([-1e4, 1e4], dtype)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        loss, cache = adversarial.discriminator_forward(sure, sure)
        assert loss == 1e4
        np.testing.assert_array_equal(adversarial.discriminator_backward(1.0, cache), [[-0.5, 0], [0, 0.5]])
        loss, cache = adversarial.saturating_forward(sure)
        assert loss == -5e3
        np.testing.assert_array_equal(adversarial.saturating_backward(1.0, cache), [0, -0.5])
        loss, cache = adversarial.nonsaturating_forward(sure)
        assert loss == 5e3
        np.testing.assert_array_equal(adversarial.nonsaturating_backward(1.0, cache), [-0.5, 0])


def test_the_two_generators_losses_have_the_ratio_of_the_odds():
    """nonsaturating / saturating = (1 - D) / D = exp(-s)."""
    s = np.array([-20.0, -3.0, 0.0, 3.0])
    one = adversarial.nonsaturating_backward(1.0, adversarial.nonsaturating_forward(s)[1])
    other = adversarial.saturating_backward(1.0, adversarial.saturating_forward(s)[1])
    np.testing.assert_allclose(one / other, np.exp(-s))


def test_at_the_best_play_the_loss_is_two_log_two():
    assert math.isclose(adversarial.discriminator_forward(np.zeros(3), np.zeros(7))[0], 2 * math.log(2))


@pytest.mark.parametrize("kind", gan.KINDS)
def test_torch_s_losses_of_the_package_are_the_same(kind):
    rng = np.random.default_rng(0)
    real, fake = rng.normal(size=9), rng.normal(size=(4, 2))
    if kind == "wasserstein":
        critic, generator = adversarial.wasserstein_forward(real, fake)[0], -fake.mean()
    elif kind == "least squares":
        critic = adversarial.least_squares_forward(real, 1)[0] + adversarial.least_squares_forward(fake, 0)[0]
        generator = adversarial.least_squares_forward(fake, 1)[0]
    else:
        critic = adversarial.discriminator_forward(real, fake)[0]
        generator = adversarial.GENERATOR_LOSSES[kind][0](fake)[0]
    np.testing.assert_allclose(gan.critic_loss(kind, torch.tensor(real), torch.tensor(fake)), critic)
    np.testing.assert_allclose(gan.generator_loss(kind, torch.tensor(fake)), generator)


@pytest.mark.parametrize(
    "call, said",
    [
        (lambda: adversarial.discriminator_forward(np.zeros(0), np.zeros(1)), "real_logits has shape"),
        (lambda: adversarial.discriminator_forward(np.zeros(1), np.zeros((2, 0))), "fake_logits has shape"),
        (lambda: adversarial.nonsaturating_forward(np.zeros(2, int)), "dtype int64"),
        (lambda: adversarial.coin(1.2), "p is 1.2"),
        (lambda: play(loss="wrong"), "loss is 'wrong'"),
        (lambda: play(steps=0), "steps is 0"),
        (lambda: play(blur=-1.0), "blur -1.0"),
        (lambda: play(average=0.0), "average 0.0"),
        (lambda: play(discriminator=MLP((2, 1), loss="sse")), "discriminator has sizes"),
    ],
)
def test_wrong_input_is_said_in_words(call, said):
    with pytest.raises(ValueError, match=said):
        call()


# ------------------------------------------------------------------------------------------------------------ the game


def play(discriminator=None, seed=0, **settings):
    made = adversarial.coin_discriminator(seed) if discriminator is None else discriminator
    return adversarial.play(adversarial.coin_generator(seed), made, adversarial.coin(0.3), seed=seed, **settings)


def test_heads_is_what_samples_say():
    net = adversarial.coin_generator(3)
    share = np.mean(adversarial.generate(net, 200_000) > 0.5)
    assert abs(share - adversarial.heads(net)) < 4 * math.sqrt(0.25 / 200_000)
    net.parameters[0][...], net.parameters[1][...] = -2.0, -1.0
    assert math.isclose(adversarial.heads(net), stats.norm.cdf(-0.5))


def test_nature_tosses_with_the_probability_asked_for():
    tosses = adversarial.coin(0.3)(np.random.default_rng(0), 100_000)
    assert tosses.shape == (100_000, 1) and set(np.unique(tosses)) == {0.0, 1.0}
    assert abs(tosses.mean() - 0.3) < 5 * math.sqrt(0.21 / 100_000)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_coin_flip_gan_reaches_nature(seed):
    game = play(seed=seed, blur=0.3)
    assert abs(adversarial.heads(game.generator) - 0.3) < 0.02
    assert len(game.history["generator"]) == len(game.history["discriminator"]) == 1500


def test_one_step_of_the_game_is_torch_s():
    """The gradient of the generator comes through the discriminator: the same first step as by autograd."""
    generator, discriminator = adversarial.coin_generator(1), adversarial.coin_discriminator(1)
    rng = np.random.default_rng(5)
    real, noise = adversarial.coin(0.3)(rng, 16), rng.standard_normal((16, 1))
    fake, caches = generator.forward(noise)
    logits, d_caches = discriminator.forward(fake)
    _, cache = adversarial.nonsaturating_forward(logits)
    dfake, _ = discriminator.backward(adversarial.nonsaturating_backward(1.0, cache), d_caches)
    _, mine = generator.backward(dfake, caches)
    w, b, w1, b1, w2, b2 = (tensor(p) for p in [*generator.parameters, *discriminator.parameters])
    x = torch.sigmoid(torch.tensor(noise) @ w + b)
    F.softplus(-(torch.tanh(x @ w1 + b1) @ w2 + b2)).mean().backward()
    np.testing.assert_allclose(mine[0], w.grad.numpy())
    np.testing.assert_allclose(mine[1], b.grad.numpy())
    assert real.shape == (16, 1)


def test_the_game_repeats_keeps_and_does_not_touch_the_generator_given():
    start = adversarial.coin_generator(0)
    before = [p.copy() for p in start.parameters]
    games = [
        adversarial.play(start, adversarial.coin_discriminator(0), adversarial.coin(0.3), steps=20, keep=True)
        for _ in range(2)
    ]
    np.testing.assert_array_equal(games[0].generators, games[1].generators)
    assert games[0].generators.shape == (20, 2)
    np.testing.assert_array_equal(games[0].generators[0], [before[0][0, 0], before[1][0]])
    np.testing.assert_array_equal(start.parameters[0], before[0])
    mean = games[0].generators[10:]
    after = np.concatenate([p.ravel() for p in games[0].last.parameters])
    wanted = np.concatenate([mean[1:], after[None]]).mean(axis=0)
    np.testing.assert_allclose([p.item() for p in games[0].generator.parameters], wanted)


def test_without_blur_nothing_is_drawn_for_it():
    """The blur is what makes the difference: with the same seeds, other play."""
    one, other = play(steps=30), play(steps=30, blur=0.3)
    assert one.history != other.history
