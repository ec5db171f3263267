"""Initialisation against torch.nn.init, the variance law against measurement, whitening against its definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcourse import init

torch = pytest.importorskip("torch")

SHAPES = [(300, 200), (64, 32, 3, 3), (48, 64, 5)]
GAINS = ["identity", "sigmoid", "tanh", "relu", "leaky_relu", "selu"]


def torch_weight(shape):
    """torch keeps a linear layer's weight as (out, in), we as (in, out)."""
    return torch.empty(*(shape[::-1] if len(shape) == 2 else shape), dtype=torch.float64)


@pytest.mark.parametrize("shape", SHAPES)
def test_fans_are_torchs(shape):
    assert init.fans(shape) == torch.nn.init._calculate_fan_in_and_fan_out(torch_weight(shape))


@pytest.mark.parametrize("activation", GAINS)
def test_gains_are_torchs(activation):
    name = {"identity": "linear"}.get(activation, activation)
    assert init.gain(activation) == pytest.approx(torch.nn.init.calculate_gain(name), rel=1e-15)


def close_moments(ours, theirs, bounded):
    """The same mean and variance within five standard errors, and for uniform numbers the same bound."""
    n = ours.size
    std = theirs.std()
    assert abs(ours.mean()) < 5 * std / math.sqrt(n)
    kurtosis = 1.8 if bounded else 3.0
    assert abs(ours.var() / theirs.var() - 1) < 5 * math.sqrt(2 * (kurtosis - 1) / n)
    if bounded:
        assert np.abs(ours).max() == pytest.approx(np.abs(theirs).max(), rel=0.01)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("mode", ["fan_in", "fan_out"])
@pytest.mark.parametrize("activation", ["relu", "tanh", "leaky_relu", "identity"])
@pytest.mark.parametrize("kind", ["normal", "uniform"])
def test_kaiming_has_torchs_moments(shape, mode, activation, kind):
    rng, weight = np.random.default_rng(0), torch_weight(shape)
    torch.manual_seed(0)
    name = {"identity": "linear"}.get(activation, activation)
    getattr(torch.nn.init, f"kaiming_{kind}_")(weight, a=0.01, mode=mode, nonlinearity=name)
    ours = getattr(init, f"kaiming_{kind}")(rng, shape, activation, mode)
    close_moments(ours, weight.numpy(), kind == "uniform")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("gain", [1.0, 5 / 3])
@pytest.mark.parametrize("kind", ["normal", "uniform"])
def test_xavier_has_torchs_moments(shape, gain, kind):
    weight = torch_weight(shape)
    torch.manual_seed(1)
    getattr(torch.nn.init, f"xavier_{kind}_")(weight, gain=gain)
    ours = getattr(init, f"xavier_{kind}")(np.random.default_rng(1), shape, gain)
    close_moments(ours, weight.numpy(), kind == "uniform")


def test_the_mode_between_is_between():
    inside, outside, between = (init.kaiming_std((300, 100), mode=mode) for mode in init.MODES)
    assert inside < between < outside
    assert between == pytest.approx(math.sqrt(2 / 200))
    assert init.kaiming_std((300, 100), "identity", "fan_avg") == pytest.approx(init.xavier_std((300, 100)))


@given(st.integers(1, 40), st.integers(1, 40), st.floats(0.1, 3))
@settings(max_examples=50, deadline=None)
def test_orthogonal_matrices_have_one_singular_value(rows, columns, gain):
    w = init.orthogonal(np.random.default_rng(rows), (rows, columns), gain)
    assert np.allclose(np.linalg.svd(w, compute_uv=False), gain, rtol=1e-10)


def test_an_orthogonal_kernel_is_one_as_a_matrix():
    w = init.orthogonal(np.random.default_rng(0), (8, 4, 3, 3), 2.0).reshape(8, -1)
    assert np.allclose(w @ w.T, 4 * np.eye(8))


def test_orthogonal_matrices_are_drawn_evenly():
    """Without the signs of R the diagonal would lean to one side."""
    rng = np.random.default_rng(0)
    traces = [np.trace(init.orthogonal(rng, (3, 3))) for _ in range(4000)]
    assert abs(np.mean(traces)) < 5 / math.sqrt(4000)
    assert np.var(traces) == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtypes_are_kept(dtype):
    rng = np.random.default_rng(0)
    for make in (init.xavier_normal, init.xavier_uniform, init.kaiming_normal, init.kaiming_uniform, init.orthogonal):
        assert make(rng, (4, 5), dtype=dtype).dtype == dtype


# ------------------------------------------------------------------------------------------- signal propagation


@pytest.mark.parametrize("activation", ["relu", "tanh", "identity"])
def test_propagation_is_torchs(activation):
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal((6, 5)), rng.standard_normal((5, 7)), rng.standard_normal((7, 3))]
    x, dout = rng.standard_normal((4, 6)), rng.standard_normal((4, 3))
    function = {"relu": torch.relu, "tanh": torch.tanh, "identity": lambda z: z}[activation]
    steps = [torch.tensor(x, requires_grad=True)]
    for w in weights:
        steps.append(function(steps[-1] @ torch.tensor(w)))
        steps[-1].retain_grad()
    steps[-1].backward(torch.tensor(dout))
    signal = init.propagate(x, weights, activation, dout)
    for ours, gradient, theirs in zip(signal.activations, signal.gradients, steps, strict=True):
        np.testing.assert_allclose(ours, theirs.detach(), rtol=1e-12)
        np.testing.assert_allclose(gradient, theirs.grad, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_the_jacobian_is_torchs(activation):
    rng = np.random.default_rng(1)
    weights, x = [rng.standard_normal((4, 5)), rng.standard_normal((5, 3))], rng.standard_normal(4)
    function = getattr(torch, activation)

    def net(row):
        for w in weights:
            row = function(row @ torch.tensor(w))
        return row

    theirs = torch.autograd.functional.jacobian(net, torch.tensor(x))
    np.testing.assert_allclose(init.jacobian(x, weights, activation), theirs, rtol=1e-12)


def test_the_variance_law_is_what_is_measured():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 2000))
    for activation in ("relu", "identity", "leaky_relu"):
        w = init.normal(rng, (2000, 2000), 0.03)
        measured = init.propagate(x, [w], activation).sizes()[1]
        assert measured == pytest.approx(init.variance_ratio(2000, 0.03**2, activation), rel=0.02)


def test_kaiming_keeps_the_signal_for_fifty_layers_and_xavier_does_not():
    """The mean over draws; one draw of a net this deep wanders."""
    rng = np.random.default_rng(0)
    sizes = {"kaiming": [], "xavier": []}
    for scheme, seen in sizes.items():
        for _ in range(10):
            x = rng.standard_normal((16, 512))
            seen.append(init.propagate(x, init.deep(rng, scheme, 50, 512), "relu").sizes())
    mean = np.mean(sizes["kaiming"], axis=0)
    assert mean.min() > 0.5 and mean.max() < 2
    assert np.mean(sizes["xavier"], axis=0)[-1] < 1e-12


# ----------------------------------------------------------------------------------------------------- whitening


def correlated(n=500, d=6):
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, d)) @ rng.standard_normal((d, d)) + rng.standard_normal(d) * 5


def test_each_step_of_whitening_does_what_it_says():
    x = correlated()
    covariance = {
        name: np.cov(make(x)(x), rowvar=False, bias=True)
        for name, make in [
            ("centring", init.centring), ("scaling", init.scaling), ("decorrelation", init.decorrelation),
            ("pca", lambda x: init.pca_whitening(x, 0)), ("zca", lambda x: init.zca_whitening(x, 0)),
        ]
    }  # fmt: skip
    for made in (init.centring, init.scaling, init.decorrelation, init.pca_whitening, init.zca_whitening):
        assert np.abs(made(x)(x).mean(axis=0)).max() < 1e-12
    np.testing.assert_allclose(covariance["centring"], np.cov(x, rowvar=False, bias=True), rtol=1e-10)
    np.testing.assert_allclose(np.diag(covariance["scaling"]), 1)
    assert np.abs(covariance["decorrelation"] - np.diag(np.diag(covariance["decorrelation"]))).max() < 1e-10
    np.testing.assert_allclose(covariance["pca"], np.eye(6), atol=1e-10)
    np.testing.assert_allclose(covariance["zca"], np.eye(6), atol=1e-10)


def test_zca_changes_the_inputs_less_than_pca():
    x = correlated()
    centred = x - x.mean(axis=0)
    far = {make: np.sum((make(x)(x) - centred) ** 2) for make in (init.pca_whitening, init.zca_whitening)}
    assert far[init.zca_whitening] < far[init.pca_whitening]
    np.testing.assert_allclose(init.zca_whitening(x).matrix, init.zca_whitening(x).matrix.T, atol=1e-12)


def test_a_constant_input_does_no_harm():
    x = correlated()
    x[:, 2] = 7
    for make in (init.scaling, init.pca_whitening, init.zca_whitening):
        assert np.isfinite(make(x)(x)).all()
    assert (init.scaling(x)(x)[:, 2] == 0).all()


# ---------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: init.fans((3,)), "expected (D, M)"),
        (lambda: init.fans((3, 0)), "at least length 1"),
        (lambda: init.gain("maxout"), "'maxout'"),
        (lambda: init.kaiming_std((3, 4), mode="fan_mid"), "fan_in, fan_out, fan_avg"),
        (lambda: init.deep(np.random.default_rng(0), "he", 1, 2), "'he'"),
        (lambda: init.propagate(np.ones((2, 3)), [np.ones((4, 4))]), "layer 1 expects 4 inputs"),
        (lambda: init.propagate(np.ones((2, 3)), [np.ones((3, 3))], "relux"), "'relux'"),
        (lambda: init.propagate(np.ones((2, 3)), [np.ones((3, 3))], dout=np.ones(2)), "dout has shape (2,)"),
        (lambda: init.propagate(np.ones((2, 3), int), []), "expected a float dtype"),
        (lambda: init.jacobian(np.ones((2, 3)), []), "one example"),
        (lambda: init.variance_ratio(3, 1.0, "tanh"), "'tanh'"),
        (lambda: init.zca_whitening(np.ones(3)), "at least two examples"),
    ],
)
def test_wrong_input_is_named(call, words):
    with pytest.raises(ValueError) as raised:
        call()
    assert words in str(raised.value)
