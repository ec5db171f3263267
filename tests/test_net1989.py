"""The network of 1989: its size, its data, and that training several at once is training each by itself in torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dlcourse import cnn, data, net1989
from dlcourse.net1989 import STAGES, Nets, Stage

EXACT = {"rtol": 1e-9, "atol": 1e-9}


def examples(S, n, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    return rng.uniform(-1, 1, (S, n, 16, 16)).astype(dtype), rng.integers(0, 10, (S, n))


class TestSize:
    def test_parameters_are_those_of_the_paper(self):
        net = cnn.Net1989()
        assert Nets([0]).parameters == cnn.count_parameters(net) == 9760
        assert net.w1.numel() + net.b1.numel() == 1068
        assert net.w2.numel() + net.b2.numel() == 2592
        assert net.w3.numel() + net.b3.numel() == 5790
        assert net.w4.numel() + net.b4.numel() == 310

    def test_each_map_of_h2_sees_eight_of_twelve(self):
        assert (net1989.SEEN.sum(axis=0) == 8).all() and (net1989.SEEN.sum(axis=1) == 8).all()

    @pytest.mark.parametrize(("name", "fan_in"), [("w1", 25), ("w2", 200), ("w3", 192), ("w4", 30)])
    def test_weights_start_within_their_bound_and_fill_it(self, name, fan_in):
        bound = 2.4 / np.sqrt(fan_in)
        w = Nets(range(20)).views[name]
        w = w[w != 0]
        assert 0.99 * bound < np.abs(w).max() <= bound
        assert abs(w.std() / (bound / np.sqrt(3)) - 1) < 0.02

    def test_biases_start_at_zero_and_the_outputs_at_minus_one(self):
        views = Nets([3]).views
        assert all((views[name] == 0).all() for name in ("b1", "b2", "b3")) and (views["b4"] == -1).all()


class TestData:
    @pytest.mark.parametrize("size", [(28, 28, 16), (8, 8, 16), (5, 9, 4), (1, 1, 3), (16, 16, 16)])
    def test_resizing_is_torch_s(self, size):
        x = np.random.default_rng(0).random((3, *size[:2]))
        want = F.interpolate(torch.tensor(x)[:, None], (size[2], size[2]), mode="bilinear", align_corners=False)
        np.testing.assert_allclose(net1989.resize(x, size[2]), want[:, 0].numpy(), **EXACT)

    def test_pixels_lie_between_minus_one_and_one(self):
        x, _ = net1989.prepare(np.stack([np.zeros((28, 28)), np.ones((28, 28))]), np.arange(2))
        np.testing.assert_allclose(x[0], -1)
        np.testing.assert_allclose(x[1], 1)

    def test_a_subset_is_drawn_without_repeats_and_by_its_seed(self):
        digits = data.load("digits")
        first, again, other = (net1989.subset(digits, seed, 300, 100) for seed in (0, 0, 1))
        assert [a.shape for a in first] == [(300, 16, 16), (300,), (100, 16, 16), (100,)]
        assert len(np.unique(first[0].reshape(300, -1), axis=0)) == 300
        assert np.array_equal(first[0], again[0]) and not np.array_equal(first[0], other[0])
        with pytest.raises(ValueError, match="digits has 1438 images; 7291"):
            net1989.subset(digits, 0)


def torch_training(net, stage, x, y, seed, s, passes):
    """One network, one example at a time, with torch's own optimisers and automatic gradients."""
    make = torch.optim.AdamW if stage.adamw else torch.optim.SGD
    optimiser, S = make(net.parameters(), lr=stage.lr), len(x)
    for done in range(passes):
        rng = np.random.default_rng([seed, done])
        if stage.adamw:
            optimiser.param_groups[0]["lr"] = stage.lr * (1 - 2 / 3 * done / max(passes - 1, 1))
        n = x.shape[1]
        shifts = rng.integers(9, size=(n, S)) if stage.shift else np.full((n, S), 4)
        keep = np.ones((n, S, 1, 192))
        if stage.dropout:
            keep = (rng.random((n, S, 1, 192), dtype=np.float32) >= stage.dropout) / (1 - stage.dropout)
        for i in range(n):
            moved = np.roll(x[s, i], np.array(divmod(shifts[i, s], 3)) - 1, axis=(0, 1))
            mask = torch.tensor(keep[i, s].reshape(4, 4, 12).transpose(2, 0, 1)[None])
            z = net(torch.tensor(moved)[None, None], mask)
            if stage.loss == "mse":
                target = -torch.ones(1, 10, dtype=z.dtype)
                target[0, y[s, i]] = 1
                loss = F.mse_loss(torch.tanh(z), target)
            else:
                loss = F.cross_entropy(z, torch.tensor(y[s, i : i + 1]))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()


@pytest.mark.parametrize("name", ["1989", "cross-entropy", "AdamW", "shifts", "ReLU, dropout"])
def test_networks_side_by_side_become_what_each_becomes_alone_in_torch(name):
    stage, (x, y) = STAGES[name], examples(3, 25)
    nets = Nets([5, 6, 7], dtype=np.float64)
    alone = [cnn.Net1989(relu=stage.relu, dtype=torch.float64).load(nets, s) for s in range(3)]
    start = alone[1].w2.detach().clone()
    net1989.train(nets, stage, x, y, passes=2, seed=4, progress=False)
    for s, net in enumerate(alone):
        torch_training(net, stage, x, y, 4, s, passes=2)
        for parameter, want in cnn._from_nets(nets, s).items():
            np.testing.assert_allclose(getattr(net, parameter).detach().numpy(), want, err_msg=parameter, **EXACT)
    assert (alone[1].w2 - start).abs().max() > 1e-3  # there was something to compare
    out = nets.outputs(x, relu=stage.relu)
    for s, net in enumerate(alone):
        np.testing.assert_allclose(out[s], net(torch.tensor(x[s])[:, None]).detach().numpy(), **EXACT)


def test_connections_that_are_not_there_stay_away():
    nets, (x, y) = Nets([0, 1]), examples(2, 20, dtype=np.float32)
    net1989.train(nets, STAGES["AdamW"], x, y, passes=1, progress=False)
    assert (nets.views["w2"][:, net1989._MASK == 0] == 0).all()


def test_the_gradient_is_that_of_differences():
    nets, stage = Nets([1], dtype=np.float64), Stage()
    x, y = examples(1, 1)
    pixels = np.full((1, 257), -1.0)
    pixels[0, :256] = x.reshape(-1)
    target = 2 * np.eye(10)[y[:, 0]] - 1
    net1989.gradients(nets, pixels, target, stage, net1989._PIXELS[None, 4], None)
    grad = nets._room.grad[0].copy()
    rng = np.random.default_rng(0)
    for k in rng.choice(np.flatnonzero(grad), 40, replace=False):
        loss = []
        for step in (1e-6, -2e-6):
            nets.theta[0, k] += step
            loss.append(np.mean((np.tanh(nets.outputs(x)[0, 0]) - target[0]) ** 2))
        nets.theta[0, k] += 1e-6
        assert abs((loss[0] - loss[1]) / 2e-6 - grad[k]) < 1e-7


def test_it_learns_digits():
    digits = data.load("digits")
    drawn = [net1989.subset(digits, seed, 700, 300) for seed in (0, 1)]
    x, y, x_test, y_test = (np.stack(part) for part in zip(*drawn, strict=True))
    nets, seen = Nets([0, 1]), []
    net1989.train(nets, STAGES["1989"], x, y, passes=4, on_pass=seen.append, progress=False)
    assert seen == [1, 2, 3, 4]
    assert (nets.errors(x_test, y_test) < 0.15).all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Nets([]), "seeds is empty"),
        (lambda: net1989.resize(np.zeros((16, 16))), "images has shape"),
        (lambda: net1989.resize(np.zeros((1, 16, 16)), 0), "size is 0"),
        (lambda: Nets([0]).outputs(np.zeros((2, 3, 16, 16))), "x has shape"),
        (lambda: net1989.train(Nets([0]), Stage(), np.zeros((1, 2, 8, 8)), np.zeros((1, 2))), "x has shape"),
        (lambda: net1989.train(Nets([0]), Stage(), np.zeros((1, 2, 16, 16)), np.zeros((1, 3))), "y has shape"),
        (lambda: net1989.train(Nets([0]), Stage(loss="l1"), *examples(1, 2)), "loss is 'l1'"),
    ],
)
def test_wrong_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
