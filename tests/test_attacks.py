"""Attacks: they stay where they may, do what they are for, and leave the network alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from dlcourse import attacks, data, train, transfer

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def digits():
    d = data.load("digits")
    net = transfer.adapt(transfer.small_cnn(side=8, seed=0), d.x_train[:, None], d.y_train, steps=400, lr=3e-3)
    return net, torch.tensor(d.x_test[:, None]), torch.tensor(d.y_test)


def loss(net, x, y):
    with torch.no_grad():
        return float(F.cross_entropy(net(x), y))


def test_the_gradient_is_torch_s(digits):
    net, x, y = digits
    leaf = x[:7].clone().requires_grad_()
    F.cross_entropy(net(leaf), y[:7], reduction="sum").backward()
    assert torch.equal(attacks.loss_gradient(net, x[:7], y[:7]), leaf.grad)
    assert all(p.grad is None for p in net.parameters()) or net.zero_grad() is None


def test_fgsm_by_hand():
    net = nn.Sequential(nn.Flatten(), nn.Linear(3, 2, bias=False))
    net[1].weight.data = torch.tensor([[1.0, -1.0, 0.0], [0.0, 0.0, 0.0]])
    x = torch.tensor([[[[0.5, 0.5, 0.5]]], [[[0.95, 0.5, 0.5]]]])
    # To lose class 0: less of the first pixel, more of the second; the third does not matter.
    bad = attacks.fgsm(net, x[:1], torch.tensor([0]), 0.2)
    torch.testing.assert_close(bad, torch.tensor([[[[0.3, 0.7, 0.5]]]]))
    # To lose class 1: the other way, and no pixel beyond 1.
    bad = attacks.fgsm(net, x[1:], torch.tensor([1]), 0.2)
    torch.testing.assert_close(bad, torch.tensor([[[[1.0, 0.3, 0.5]]]]))


@settings(deadline=None, max_examples=15)
@given(
    eps=st.floats(0, 0.5), steps=st.integers(1, 5), seed=st.one_of(st.none(), st.integers(0, 9)), n=st.integers(0, 4)
)
def test_attacks_stay_in_the_ball_and_in_the_box(digits, eps, steps, seed, n):
    net, x, y = digits
    x, y = x[:n].double(), y[:n]
    net = net.double()
    try:
        for bad in (attacks.fgsm(net, x, y, eps), attacks.pgd(net, x, y, eps, steps=steps, seed=seed)):
            assert bad.shape == x.shape and bad.dtype == x.dtype and not bad.requires_grad
            assert ((bad - x).abs() <= eps + 1e-12).all() and ((bad >= 0) & (bad <= 1)).all()
    finally:
        net.float()


def test_stronger_attacks_do_more(digits):
    net, x, y = digits
    clean, one, many = (
        loss(net, bad, y) for bad in (x, attacks.fgsm(net, x, y, 0.1), attacks.pgd(net, x, y, 0.1, steps=10))
    )
    assert clean + 0.3 < one < many
    curve = attacks.accuracies(net, x, y, attacks.fgsm, [0, 0.05, 0.2])
    assert curve[0] == attacks.accuracy(net, x, y) > 0.95 and curve[0] > curve[1] > curve[2]


def test_pgd_with_one_whole_step_is_fgsm(digits):
    net, x, y = digits
    torch.testing.assert_close(attacks.pgd(net, x, y, 0.1, step=0.1, steps=1), attacks.fgsm(net, x, y, 0.1))


def test_random_starts_follow_the_seed(digits):
    net, x, y = digits
    a, b, c = (attacks.pgd(net, x[:4], y[:4], 0.1, steps=1, seed=s) for s in (0, 0, 1))
    assert torch.equal(a, b) and not torch.equal(a, c)


def test_one_pixel_changes_one_pixel(digits):
    net, x, y = digits
    found = [attacks.one_pixel(net, x[i], y[i], seed=0, generations=10) for i in range(12)]
    for i, one in enumerate(found):
        moved = (one.image != x[i]).any(dim=0).nonzero().tolist()
        assert moved in ([], [list(one.place)])
        with torch.no_grad():
            p = net(one.image[None]).softmax(1)[0]
        assert one.fooled == (int(p.argmax()) != int(y[i])) and one.confidence == pytest.approx(
            float(p[y[i]]), abs=1e-5
        )
        assert one.tried <= 40 * 11
    again = attacks.one_pixel(net, x[0], y[0], seed=0, generations=10)
    assert torch.equal(again.image, found[0].image)
    with torch.no_grad():
        before = net(x[:12]).softmax(1).gather(1, y[:12, None])[:, 0].numpy()
    assert np.mean([one.confidence for one in found] - before) < -0.05


def test_one_pixel_of_a_colour_image_may_change_in_all_channels():
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 4, 2))
    found = attacks.one_pixel(net, torch.rand(3, 4, 4), 0, generations=2)
    assert found.image.shape == (3, 4, 4) and 0 <= found.place[0] < 4


def test_a_fooling_image_fools(digits):
    net = digits[0]
    image, confidence = attacks.fooling_image(net, 3, (1, 1, 8, 8), seed=1)
    assert confidence > 0.99 and image.min() >= 0 and image.max() <= 1
    with torch.no_grad():
        assert float(net(torch.tensor(image)[None]).softmax(1)[0, 3]) == pytest.approx(confidence, rel=1e-3)


def test_training_on_attacks_cures(digits):
    d = data.load("digits")
    x, y = torch.tensor(d.x_train[:, None]), torch.tensor(d.y_train)
    found = {}
    for name in ("plain", "adversarial"):
        net = transfer.small_cnn(side=8, seed=0)

        def attack(net, x, y, seed):
            return attacks.pgd(net, x, y, 0.15, steps=3, seed=seed)

        batches = attacks.adversarial(net, x, y, attack) if name == "adversarial" else train.minibatches(x, y, 64)
        optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)
        train.fit(net, batches, optimiser, loss=F.cross_entropy, epochs=12, progress=False)
        found[name] = attacks.accuracy(net, attacks.pgd(net, digits[1], digits[2], 0.15, seed=0), digits[2])
    assert found["adversarial"] > found["plain"] + 0.15


def test_the_mode_is_given_back(digits):
    net, x, y = digits
    net.train()
    attacks.pgd(net, x[:2], y[:2], 0.1)
    attacks.accuracy(net, x[:2], y[:2])
    assert net.training
    net.eval()


def test_wrong_input(digits):
    net, x, y = digits
    with pytest.raises(ValueError, match=r"eps is -0\.1; expected at least 0"):
        attacks.fgsm(net, x, y, -0.1)
    with pytest.raises(ValueError, match="x lies between 0 and 16; expected from 0 to 1"):
        attacks.pgd(net, 16 * x, y, 0.1)
    with pytest.raises(ValueError, match="steps is 0; expected at least 1"):
        attacks.pgd(net, x, y, 0.1, steps=0)
    with pytest.raises(ValueError, match=r"x has shape \(2, 1, 8, 8\); expected one image"):
        attacks.one_pixel(net, x[:2], 0)
