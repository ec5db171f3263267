"""GANs in torch: losses, the penalty against small differences and closed forms, the game, pairs and cycles."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch import nn

from dlcourse import data, gan, metrics


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


# ---------------------------------------------------------------------------------------------------------- the penalty


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 6), st.lists(st.integers(1, 4), min_size=1, max_size=3), st.integers(0, 2**31))
def test_the_penalty_of_a_linear_critic_is_known(N, shape, seed):
    """Its slope is w everywhere, so the penalty is (‖w‖ - 1)², whatever the examples."""
    rng = np.random.default_rng(seed)
    w = torch.tensor(rng.normal(size=shape))
    real, fake = (torch.tensor(rng.normal(size=(N, *shape))) for _ in range(2))
    found = gan.gradient_penalty(lambda x: (x * w).flatten(1).sum(1), real, fake)
    np.testing.assert_allclose(found, (w.norm() - 1) ** 2, rtol=1e-10, atol=1e-12)


def test_the_penalty_is_that_of_small_differences_and_can_be_differentiated():
    torch.manual_seed(0)
    critic = gan.PointCritic(3, hidden=8).double()
    real, fake = torch.randn(2, 5, 3, dtype=torch.float64)
    torch.manual_seed(1)
    found = gan.gradient_penalty(critic, real, fake)
    torch.manual_seed(1)
    u = torch.rand(5, 1, dtype=torch.float64)
    x, total = u * real + (1 - u) * fake, 0.0
    for row in x:
        slope = [
            (critic((row + e)[None]) - critic((row - e)[None])).item() / 2e-6 for e in 1e-6 * torch.eye(3).double()
        ]
        total += (np.linalg.norm(slope) - 1) ** 2 / 5
    np.testing.assert_allclose(found.item(), total, rtol=1e-6)
    found.backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in critic.parameters())


def test_the_penalty_pulls_the_slope_to_one():
    torch.manual_seed(0)
    w = nn.Parameter(torch.tensor([3.0, 4.0]))
    optimiser = torch.optim.SGD([w], lr=0.1)
    for _ in range(100):
        optimiser.zero_grad()
        gan.gradient_penalty(lambda x: x @ w, torch.randn(4, 2), torch.randn(4, 2)).backward()
        optimiser.step()
    np.testing.assert_allclose(w.detach().norm(), 1, atol=1e-5)


@pytest.mark.parametrize(
    "call, said",
    [
        (lambda: gan.gradient_penalty(lambda x: x.sum(1), torch.zeros(2, 3), torch.zeros(3, 3)), "fake has shape"),
        (lambda: gan.critic_loss("x", torch.zeros(1), torch.zeros(1)), "kind is 'x'"),
        (lambda: gan.generator_loss("x", torch.zeros(1)), "kind is 'x'"),
        (lambda: gan.batches(np.zeros((0, 2))), "x has 0 examples"),
        (lambda: gan.batches(np.zeros((3, 2)), np.zeros(2)), "2 conditions"),
        (lambda: game(pack=3), "batch_size is 128 and pack 3"),
        (lambda: game(kind="x"), "kind is 'x'"),
        (lambda: gan.DigitGenerator()(3, None), "condition has nothing; expected 3 classes"),
        (lambda: gan.DigitCritic()(torch.zeros(2, 1, 8, 8), torch.zeros(1, dtype=torch.long)), "condition has 1"),
        (lambda: gan.fit_paired(gan.Translator(), None, *map(np.zeros, ((2, 1, 8, 8), (1, 1, 8, 8)))), "target has 1"),
    ],
)  # fmt: skip
def test_wrong_input_is_said_in_words(call, said):
    with pytest.raises(ValueError, match=said):
        call()


# ------------------------------------------------------------------------------------------------------------- the game


def game(seed=0, steps=5, pack=1, **settings):
    torch.manual_seed(seed)
    generator, critic = gan.PointGenerator(hidden=32), gan.PointCritic(2 * pack, hidden=32)
    history = gan.play(generator, critic, gan.batches(gan.ring(500)), steps=steps, pack=pack, **settings)
    return generator, history


@pytest.mark.parametrize("kind", gan.KINDS)
@pytest.mark.parametrize(
    "extra", [{}, {"penalty": 1.0}, {"pack": 2, "penalty": 1.0}, {"critic_steps": 2, "decay": 0.9}]
)
def test_every_kind_of_game_repeats_and_leaves_torch_s_generator_alone(kind, extra):
    torch.manual_seed(9)
    (one, history), state = game(kind=kind, **extra), torch.get_rng_state()
    (other, again), same = game(kind=kind, **extra), torch.get_rng_state()
    assert history == again and np.isfinite(history["critic"]).all() and len(history["generator"]) == 5
    assert torch.equal(state, same)
    for p, q in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(p, q)


def test_sampling_repeats_and_leaves_torch_s_generator_alone():
    net, _ = game()
    torch.manual_seed(7)
    state = torch.get_rng_state()
    first, again, other = gan.sample(net, 9, seed=3), gan.sample(net, 9, seed=3), gan.sample(net, 9, seed=4)
    assert np.array_equal(first, again) and not np.array_equal(first, other) and first.shape == (9, 2)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_first_step_of_the_critic_is_adam_s_by_hand():
    """One step moves every weight with a gradient by lr, against its sign."""
    torch.manual_seed(0)
    generator, critic = gan.PointGenerator(hidden=8), gan.PointCritic(hidden=8)
    before = [p.detach().clone() for p in critic.parameters()]
    gan.play(generator, critic, gan.batches(gan.ring(50)), steps=1, lr=0.01, critic_lr=0.003)
    moved = torch.cat([(p - q).abs().ravel() for p, q in zip(critic.parameters(), before, strict=True)])
    assert ((moved < 1e-6) | ((moved - 0.003).abs() < 1e-4)).all() and (moved > 1e-3).any()


def test_the_running_mean_is_between_the_start_and_the_end():
    torch.manual_seed(0)
    made = gan.PointGenerator(hidden=8)
    ends = {}
    for decay in (0.0, 1.0 - 1e-9):
        torch.manual_seed(0)
        net = gan.PointGenerator(hidden=8)
        gan.play(net, gan.PointCritic(hidden=8), gan.batches(gan.ring(50)), steps=20, decay=decay)
        ends[decay] = torch.cat([p.detach().ravel() for p in net.parameters()])
    start = torch.cat([p.detach().ravel() for p in made.parameters()])
    assert torch.allclose(ends[1.0 - 1e-9], start, atol=1e-5) and not torch.allclose(ends[0.0], start, atol=1e-3)


def test_the_ring_is_where_it_should_be():
    x, centres = gan.ring(8000, seed=3), gan.ring_centres()
    np.testing.assert_allclose(np.linalg.norm(centres, axis=1), 2)
    found = metrics.count_modes(x, centres, 0.3)
    assert found.found == 8 and found.near > 0.98 and abs(found.counts / 8000 - 1 / 8).max() < 0.02
    assert x.dtype == np.float32 and np.array_equal(x, gan.ring(8000, seed=3))


def test_a_pack_of_points_is_judged_as_one():
    seen = []

    class Watch(gan.PointCritic):
        def forward(self, x, condition=None):
            seen.append(tuple(x.shape))
            return super().forward(x, condition)

    gan.play(gan.PointGenerator(), Watch(8), gan.batches(gan.ring(100)), steps=1, pack=4, batch_size=64)
    assert set(seen) == {(16, 8)}


# ------------------------------------------------------------------------------------------------------------ digits


def test_the_condition_decides_and_zero_classes_need_none():
    torch.manual_seed(0)
    one, none = gan.DigitGenerator(), gan.DigitGenerator(classes=0)
    a, b = (gan.sample(one, 4, [k] * 4, seed=0) for k in (3, 5))
    assert a.shape == (4, 1, 8, 8) and not np.allclose(a, b) and a.min() >= 0 and a.max() <= 1
    assert gan.sample(none, 4).shape == (4, 1, 8, 8)
    critic = gan.DigitCritic().eval()
    x = torch.as_tensor(a)
    assert not torch.allclose(critic(x, torch.tensor([1, 1, 1, 1])), critic(x, torch.tensor([2, 2, 2, 2])))
    assert gan.DigitCritic(classes=0)(x).shape == (4,)


@pytest.fixture(scope="module")
def classifier(digits):
    return gan.fit_classifier(digits.x_train[:, None], digits.y_train)


def test_the_classifier_of_the_metrics_reads_digits(digits, classifier):
    p = classifier.probabilities(digits.x_test[:, None])
    assert (p.argmax(axis=1) == digits.y_test).mean() > 0.97
    np.testing.assert_allclose(p.sum(axis=1), 1)
    f = classifier.features(digits.x_test[:, None])
    assert f.shape == (len(digits.x_test), 64) and f.dtype == np.float64
    w, b = (p.detach().double().numpy() for p in classifier.head.parameters())
    np.testing.assert_array_equal((f @ w.T + b).argmax(axis=1), p.argmax(axis=1))  # linear in the features


def test_a_conditional_gan_learns_which_digit_is_asked_for(digits, classifier):
    torch.manual_seed(0)
    generator, x = gan.DigitGenerator(), digits.x_train[:, None]
    draw, critic = gan.batches(x, digits.y_train), gan.DigitCritic(dropout=0.0)
    gan.play(generator, critic, draw, kind="wasserstein", penalty=10.0, critic_steps=3, steps=200, decay=0.95, lr=2e-3)
    asked = np.arange(500) % 10
    read = classifier.probabilities(gan.sample(generator, 500, asked)).argmax(axis=1)
    assert (read == asked).mean() > 0.5  # a coin of ten sides has 0.1


# ---------------------------------------------------------------------------------------------------- image to image


def test_bold_and_outline_are_scipy_s(digits):
    x = digits.x_test[:7, None]
    wanted = ndimage.maximum_filter(x, size=(1, 1, 3, 3), mode="constant")
    np.testing.assert_array_equal(gan.bold(x), wanted)
    edge = np.zeros((1, 1, 4, 4))
    edge[:, :, :, 2:] = 1.0
    np.testing.assert_array_equal(gan.outline(edge)[0, 0, 0], [0, 1, 0, 1])
    assert set(np.unique(gan.outline(x))) == {0.0, 1.0}


def test_a_translator_sees_seven_by_seven_and_a_critic_five_by_five():
    torch.manual_seed(0)
    x = torch.rand(1, 1, 11, 11)
    moved = x.clone()
    moved[0, 0, 5, 5] += 1.0
    net, critic = gan.Translator(), gan.PatchCritic()
    rows = (net(x) != net(moved))[0, 0].nonzero()
    assert rows.min() >= 2 and rows.max() <= 8
    scores = (critic(x) != critic(moved))[0].nonzero()
    assert critic(x).shape == (1, 7, 7) and scores.min() >= 1 and scores.max() <= 5


def test_pairs_are_learnt_with_and_without_a_critic(digits):
    x = digits.x_train[:400, None]
    source = 1 - x
    for critic in (None, gan.PatchCritic(2)):
        torch.manual_seed(0)
        net = gan.Translator(8)
        history = gan.fit_paired(net, critic, source, x, steps=150, lr=5e-3)
        held = digits.x_test[:, None]
        assert np.abs(gan.translate(net, 1 - held) - held).mean() < 0.1  # leaving it as it is: 0.67
        assert len(history["l1"]) == 150 and ("critic" in history) == (critic is not None)


def test_without_the_adversary_the_paired_loss_is_the_l1_distance(digits):
    x = digits.x_train[:100, None]
    torch.manual_seed(0)
    one, other = gan.Translator(4), gan.Translator(4)
    other.load_state_dict(one.state_dict())
    first = gan.fit_paired(one, None, x, x, steps=3)["l1"][0]
    torch.manual_seed(0)
    rows = torch.randint(100, (64,))
    np.testing.assert_allclose(first, np.abs(gan.translate(other, x)[rows] - x[rows]).mean(), rtol=1e-5)


def test_a_cycle_translates_without_pairs(digits):
    x, held = digits.x_train[:, None], digits.x_test[:, None]
    a, b = x[:700], 1 - gan.bold(x[700:])
    torch.manual_seed(0)
    to_b, to_a, critic_a, critic_b = gan.Translator(12), gan.Translator(12), gan.PatchCritic(), gan.PatchCritic()
    history = gan.fit_cycle(to_b, to_a, critic_a, critic_b, a, b, steps=200, cycle=1.0, lr=4e-3)
    assert np.mean(history["cycle"][-20:]) < 0.5 * np.mean(history["cycle"][:5])
    # Black for white alone is off by 0.40 both ways.
    assert np.abs(gan.translate(to_b, held) - (1 - gan.bold(held))).mean() < 0.2
    assert np.abs(gan.translate(to_a, 1 - gan.bold(held)) - held).mean() < 0.3
