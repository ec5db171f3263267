"""The flow: inverse exact, log-determinant against the Jacobian, a density that integrates to one, a fit."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcourse import data, flow, train


def shaken(dims, layers=4, seed=0, dtype=torch.float64):
    """A flow whose layers are no identities: fresh ones are."""
    torch.manual_seed(seed)
    net = flow.RealNVP(dims, layers, hidden=8).to(dtype)
    with torch.no_grad():
        for layer in net.layers:
            layer.net[-1].weight.normal_(0, 0.5)
            layer.net[-1].bias.normal_(0, 0.5)
    return net


@settings(deadline=None, max_examples=25)
@given(st.integers(2, 6), st.integers(1, 5), st.integers(0, 5), st.integers(0, 2**31))
def test_the_inverse_is_exact_and_the_log_det_is_that_of_the_jacobian(dims, layers, N, seed):
    net = shaken(dims, layers, seed)
    x = torch.randn(N, dims, dtype=torch.float64)
    z, log_det = net(x)
    np.testing.assert_allclose(net.inverse(z).detach(), x, atol=1e-9)
    np.testing.assert_allclose(net(net.inverse(x))[0].detach(), x, atol=1e-9)
    if N:
        np.testing.assert_allclose(log_det.detach(), flow.numerical_log_det(net, x), atol=1e-9)
    assert log_det.shape == (N,)


def test_the_log_det_is_that_of_small_differences():
    net = shaken(3)
    x = torch.randn(3, dtype=torch.float64)
    columns = [(net((x + e)[None])[0] - net((x - e)[None])[0])[0] / 2e-6 for e in 1e-6 * torch.eye(3).double()]
    wanted = math.log(abs(np.linalg.det(torch.stack(columns, dim=1).detach())))
    np.testing.assert_allclose(net(x[None])[1].item(), wanted, atol=1e-7)


def test_a_fresh_flow_is_the_identity():
    x = torch.randn(4, 5)
    z, log_det = flow.RealNVP(5)(x)
    assert torch.equal(z, x) and torch.equal(log_det, torch.zeros(4))


def test_a_coupling_keeps_what_it_looks_at_and_bounds_its_factors():
    torch.manual_seed(0)
    layer = flow.AffineCoupling(torch.tensor([True, False, True]), hidden=8, limit=1.5)
    torch.nn.init.normal_(layer.net[-1].weight, 0, 100)
    x = torch.randn(20, 3)
    y, log_det = layer(x)
    assert torch.equal(y[:, [0, 2]], x[:, [0, 2]]) and not torch.allclose(y[:, 1], x[:, 1])
    assert log_det.abs().max() <= 1.5


def test_the_density_integrates_to_one():
    net = shaken(2)
    side = torch.linspace(-40, 40, 801, dtype=torch.float64)
    grid = torch.cartesian_prod(side, side)
    with torch.no_grad():
        total = net.log_prob(grid).exp().sum().item() * (0.1**2)
    assert abs(total - 1) < 1e-3


def test_the_density_is_that_of_the_samples():
    """Where the flow says a share of the mass lies, that share of its samples lies."""
    net = shaken(2, dtype=torch.float32)
    x = net.sample(40_000, seed=1)
    side = torch.linspace(-40, 40, 801)
    grid = torch.cartesian_prod(side, side)
    with torch.no_grad():
        p = net.log_prob(grid).exp() * (0.1**2)
    for axis, bound in ((0, 0.5), (1, 0.0), (0, -1.0)):
        mass = p[grid[:, axis] < bound - 0.05].sum() + p[(grid[:, axis] - bound).abs() <= 0.05].sum() / 2
        assert abs((x[:, axis] < bound).float().mean() - mass) < 0.015
    assert torch.equal(x, net.sample(40_000, seed=1)) and not torch.equal(x, net.sample(40_000, seed=2))


def test_the_loss_is_minus_the_mean_log_density():
    net = shaken(3)
    x = torch.randn(6, 3, dtype=torch.float64)
    np.testing.assert_allclose(flow.negative_log_likelihood(net(x), x).item(), -net.log_prob(x).mean().item())


def test_training_beats_one_gaussian_on_the_moons():
    x, held = (data.load("moons", n=n, seed=s, noise=0.1).x_train for n, s in ((1500, 1), (1000, 2)))
    torch.manual_seed(0)
    net = flow.RealNVP(2, layers=4, hidden=32)
    optimiser = torch.optim.Adam(net.parameters(), lr=5e-3)
    train.fit(net, (x, x), optimiser, loss=flow.negative_log_likelihood, epochs=30, batch_size=250, progress=False)
    with torch.no_grad():
        mine = net.log_prob(torch.as_tensor(held)).mean().item()
    normal = torch.distributions.MultivariateNormal(torch.tensor(x.mean(0)), torch.tensor(np.cov(x.T)).float())
    assert mine > normal.log_prob(torch.as_tensor(held)).mean().item() + 0.3


@pytest.mark.parametrize(
    "call, said",
    [
        (lambda: flow.RealNVP(1), "dims is 1"),
        (lambda: flow.RealNVP(2, layers=0), "layers 0"),
        (lambda: flow.RealNVP(2)(torch.zeros(3, 3)), r"expected \(N, 2\)"),
        (lambda: flow.AffineCoupling(torch.tensor([True, True])), "at least one True and one False"),
        (lambda: flow.AffineCoupling(torch.tensor([[True, False]])), "mask is"),
    ],
)
def test_wrong_input_is_said_in_words(call, said):
    with pytest.raises(ValueError, match=said):
        call()
