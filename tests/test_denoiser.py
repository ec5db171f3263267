"""Networks that predict noise: what they are given, what they learn, what they draw."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from dlcourse import denoiser, diffusion
from dlcourse.transformer import Block

BARS = diffusion.alpha_bars(diffusion.cosine_betas(50))
IMAGES = {
    "MLP": lambda **o: denoiser.MLPDenoiser((1, 8, 8), 32, 2, seed=0, **o),
    "U-Net": lambda **o: denoiser.UNetDenoiser(1, 8, 2, seed=0, **o),
    "DiT": lambda **o: denoiser.DiT(8, 2, 32, 2, 4, seed=0, **o),
}


def stirred(net):
    """Zero starts hide what a network depends on: small random weights everywhere."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=generator))
    return net.eval()


@pytest.fixture(scope="module")
def points():
    """A network for two bumps of the plane, the left one labelled 0."""
    x, y = diffusion.mixture_sample([0.7, 0.3], [[-1, 0], [1, 0]], [0.04, 0.04], 4000, np.random.default_rng(0))
    net = denoiser.MLPDenoiser((2,), 32, 2, classes=2, seed=0)
    return denoiser.fit_denoiser(net, x.astype(np.float32), BARS, y, target="v", steps=400)


# ------------------------------------------------------------------------------------------------------------ networks


@pytest.mark.parametrize("name", IMAGES)
def test_networks_depend_on_image_time_and_label(name):
    net = stirred(IMAGES[name](classes=10))
    x, time, y = torch.randn(3, 1, 8, 8), torch.full((3,), 0.5), torch.tensor([1, 2, 3])
    out = net(x, time, y)
    assert out.shape == x.shape
    for other in (net(x + 0.1, time, y), net(x, time + 0.1, y), net(x, time, y + 1), net(x, time, None)):
        assert (other - out).abs().amax((1, 2, 3)).min() > 1e-5
    torch.testing.assert_close(net(x, time, torch.full((3,), 10)), net(x, time, None))
    torch.testing.assert_close(net(x[1:2], time[1:2], y[1:2]), out[1:2], rtol=1e-4, atol=1e-5)  # no look at others


@pytest.mark.parametrize("name", IMAGES)
def test_networks_start_by_predicting_almost_nothing(name):
    net = IMAGES[name]()
    out = net(torch.randn(4, 1, 8, 8), torch.rand(4))
    assert out.abs().max() < 0.5 and all(p.requires_grad for p in net.parameters())


@pytest.mark.parametrize("name", IMAGES)
def test_seeds_make_networks_and_leave_torch_s_generator_alone(name):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, other = IMAGES[name](), IMAGES[name]()
    assert torch.equal(before, torch.get_rng_state())
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


def test_time_embedding_tells_times_apart():
    out = denoiser.time_embedding(torch.tensor([0.0, 0.5, 0.501, 1.0]), 16)
    assert out.shape == (4, 16)
    np.testing.assert_allclose(out[0], [0] * 8 + [1] * 8, atol=1e-7)
    np.testing.assert_allclose(out[1, 0], np.sin(500), atol=1e-4)
    near, far = (out[1] - out[2]).norm(), (out[1] - out[3]).norm()
    assert 0.1 < near < far


def test_dit_is_made_of_chapter_14_s_blocks_which_change_nothing_at_first():
    net = denoiser.DiT(8, 2, 32, 3, 4, seed=0)
    assert sum(isinstance(module, Block) for module in net.modules()) == 3
    z, c = torch.randn(2, 16, 32), torch.randn(2, 32)
    assert torch.equal(net.blocks[0](z, c), z)


def test_dit_puts_patches_back_where_they_came_from():
    net = denoiser.DiT(8, 4, 16, 0, 4, channels=1, seed=0)
    with torch.no_grad():  # the identity on patches of 16 pixels, if LN is switched off
        net.patches.linear.weight.copy_(torch.eye(16))
        net.patches.linear.bias.zero_()
        net.positions.vectors.zero_()
        net.out.weight.copy_(torch.eye(16))
        net.out.bias.zero_()
    net.norm = nn.Identity()
    x = torch.randn(2, 1, 8, 8)
    torch.testing.assert_close(net(x, torch.zeros(2)), x)


@pytest.mark.parametrize(
    "call,words",
    [
        (lambda: denoiser.time_embedding(torch.zeros(1), 3), "width is 3; expected an even number"),
        (lambda: denoiser.DiT(8, 3), "patch is 3; expected a divisor of the image's 8 pixels"),
        (lambda: IMAGES["MLP"]()(torch.zeros(1, 2), torch.zeros(1)), r"x has shape \(1, 2\); expected \(N, 1, 8, 8\)"),
        (lambda: IMAGES["DiT"]()(torch.zeros(1, 1, 4, 4), torch.zeros(1)), r"expected \(N, 1, 8, 8\)"),
        (lambda: IMAGES["U-Net"]()(torch.zeros(1, 1, 6, 8), torch.zeros(1)), "multiples of 4"),
        (
            lambda: IMAGES["MLP"]()(torch.zeros(1, 1, 8, 8), torch.zeros(1), torch.zeros(1, dtype=torch.long)),
            "y is given, but the network was made without classes",
        ),
        (lambda: denoiser.Objective(nn.Identity(), np.zeros(1), BARS, target="y"), "target is 'y'; expected one of"),
        (lambda: denoiser.predictor(nn.Linear(1, 1), BARS, guidance=2.0), "no labels y to be guided by"),
        (lambda: denoiser.generate(nn.Linear(1, 1), (1, 1), BARS, sampler="x"), "sampler is 'x'"),
    ],
)
def test_wrong_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


# ------------------------------------------------------------------------------------------------------------ training


class Told(nn.Module):
    """Remembers what it was given, and predicts 0."""

    classes = 10

    def forward(self, x, time, y):
        self.x, self.time, self.y = x, time, y
        return torch.zeros_like(x)


def test_objective_is_the_mean_square_of_what_is_to_be_predicted():
    x = np.full((1, 2), 3.0, np.float32)
    rows = torch.zeros(20_000, dtype=torch.long)
    torch.manual_seed(0)
    for target, wanted in (("noise", 1.0), ("x", 9.0), ("v", np.mean(BARS[1:] + 9 * (1 - BARS[1:])))):
        net = Told()
        errors = denoiser.Objective(net, x, BARS, target=target)(rows)
        assert errors.shape == rows.shape and errors.mean() == pytest.approx(wanted, rel=0.03)
        steps = (net.time * 50).round().long()
        assert (steps.min(), steps.max()) == (1, 50) and net.y is None
        late = net.x[steps == 50]
        assert late.mean().abs() < 0.2 and late.std() == pytest.approx(1, abs=0.1)


def test_a_share_of_the_labels_is_dropped():
    net, y = Told(), np.array([3])
    rows = torch.zeros(10_000, dtype=torch.long)
    denoiser.Objective(net, np.zeros((1, 2), np.float32), BARS, y, drop=0.2)(rows)
    assert set(net.y.tolist()) == {3, 10} and (net.y == 10).float().mean() == pytest.approx(0.2, abs=0.02)
    denoiser.Objective(net, np.zeros((1, 2), np.float32), BARS, y, drop=0.0)(rows)
    assert set(net.y.tolist()) == {3}


def test_the_mean_of_the_weights_is_kept_and_is_not_the_last(one_thread):
    x = np.random.default_rng(0).normal(size=(100, 2)).astype(np.float32)
    net = denoiser.MLPDenoiser((2,), 16, 1, seed=0)
    mean = denoiser.fit_denoiser(net, x, BARS, steps=30, decay=0.9)
    assert any(not torch.equal(a, b) for a, b in zip(net.parameters(), mean.parameters(), strict=True))
    assert not mean.training
    again = denoiser.MLPDenoiser((2,), 16, 1, seed=0)
    repeated = denoiser.fit_denoiser(again, x, BARS, steps=30, decay=0.9)
    for a, b in zip(mean.parameters(), repeated.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_trained_network_is_near_the_exact_predictor(points):
    mixture = [0.7, 0.3], [[-1, 0], [1, 0]], [0.04, 0.04]
    exact, learnt = diffusion.mixture_noise(*mixture, BARS), denoiser.predictor(points, BARS, target="v")
    x, _ = diffusion.mixture_sample(*diffusion.noised_mixture(*mixture, 25, BARS), 2000, np.random.default_rng(1))
    error = np.mean((learnt(x.astype(np.float32), 25) - exact(x, 25)) ** 2) / np.mean(exact(x, 25) ** 2)
    assert error < 0.1
    held, y = diffusion.mixture_sample(*mixture, 500, np.random.default_rng(2))
    assert denoiser.held_out_error(points, held.astype(np.float32), BARS, y, target="v") < 0.6


# ------------------------------------------------------------------------------------------------------------- drawing


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_labels_decide_what_is_drawn(points, sampler):
    y = np.arange(400) % 2
    drawn = denoiser.generate(points, (400, 2), BARS, target="v", y=y, sampler=sampler)
    assert drawn.dtype == np.float32
    assert np.mean((drawn[:, 0] > 0) == y) > 0.97
    free = denoiser.generate(points, (1000, 2), BARS, target="v", sampler=sampler)
    assert np.mean(free[:, 0] > 0) == pytest.approx(0.3, abs=0.1)


def test_guidance_of_1_asks_once_and_0_forgets_the_label(points):
    x, y = np.random.default_rng(0).standard_normal((5, 2)).astype(np.float32), np.ones(5, np.int64)
    plain, none = (denoiser.predictor(points, BARS, target="v", **o)(x, 30) for o in ({"y": y}, {}))
    for guidance, wanted in ((1.0, plain), (0.0, none), (3.0, none + 3 * (plain - none))):
        found = denoiser.predictor(points, BARS, target="v", y=y, guidance=guidance)(x, 30)
        np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_predictors_take_tensors(points):
    predict = denoiser.predictor(points, BARS, target="v")
    x = torch.randn(3, 2)
    out = predict(x, 7)
    assert torch.is_tensor(out) and not out.requires_grad
    np.testing.assert_allclose(out.numpy(), predict(x.numpy(), 7), rtol=1e-5)
