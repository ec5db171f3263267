"""dlcourse.activations against PyTorch, SciPy and numerical differentiation; over shapes and dtypes; wrong input."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.special
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from dlcourse import activations

RTOL = 1e-12
FLOATS = [np.float16, np.float32, np.float64, np.longdouble]
NAMES = list(activations.ACTIVATIONS)
TORCH = {
    "identity": lambda x: x,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "arctan": torch.arctan,
    "leaky_relu": lambda x: F.leaky_relu(x, 0.01),
    "elu": F.elu,
    # By default torch's softplus is x itself from 20 on, which is right to nine digits only.
    "softplus": lambda x: F.softplus(x, threshold=1000),
    "gelu": F.gelu,
    "silu": F.silu,
}
# The true values: of a function that keeps its digits in both tails. sigmoid(-x) is 1 - sigmoid(x).
EXACT = {
    "identity": (lambda x: x, np.ones_like),
    "step": (lambda x: np.heaviside(x, 1.0), np.zeros_like),
    "sigmoid": (scipy.special.expit, lambda x: scipy.special.expit(x) * scipy.special.expit(-x)),
    "tanh": (np.tanh, lambda x: 1 / np.cosh(x) ** 2),
    "arctan": (np.arctan, lambda x: 1 / (1 + x * x)),
    "relu": (lambda x: x * (x > 0), lambda x: 1.0 * (x > 0)),
    "leaky_relu": (lambda x: np.maximum(x, 0.01 * x), lambda x: np.where(x > 0, 1, 0.01)),
    "elu": (lambda x: np.where(x > 0, x, np.expm1(x)), lambda x: np.where(x > 0, 1, np.exp(x))),
    "softplus": (lambda x: np.logaddexp(0, x), scipy.special.expit),
    "gelu": (
        lambda x: x * scipy.special.erfc(-x / np.sqrt(2)) / 2,
        lambda x: scipy.special.erfc(-x / np.sqrt(2)) / 2 + x * np.exp(-x * x / 2) / np.sqrt(2 * np.pi),
    ),
    "silu": (
        lambda x: x * scipy.special.expit(x),
        lambda x: scipy.special.expit(x) * (1 + x * scipy.special.expit(-x)),
    ),
}

quick = settings(deadline=None, max_examples=40)
shapes = st.lists(st.integers(0, 4), max_size=3)
seeds = st.integers(0, 2**32 - 1)
pairs = pytest.mark.parametrize("name", NAMES)


def relative_error(got, expected) -> float:
    """Largest difference over the largest expected entry; 0 for two arrays of zeros or two empty arrays."""
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.shape == expected.shape
    difference = np.abs(got - expected).max(initial=0.0)
    return float(difference / max(np.abs(expected).max(initial=0.0), np.finfo(float).tiny))


def tensor(a):
    return torch.tensor(np.asarray(a), dtype=torch.float64, requires_grad=True)


def numerical_gradient(f, x, h=1e-6):
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        kept = x[index]
        x[index] = kept + h
        above = f()
        x[index] = kept - h
        below = f()
        x[index] = kept
        gradient[index] = (above - below) / (2 * h)
    return gradient


# The elementwise pairs


@pairs
def test_values_and_slopes_are_exact(name):
    x = np.concatenate([np.linspace(-35, 35, 1401), [-1e-9, 1e-9, 1e-300]])
    value, slope = EXACT[name]
    np.testing.assert_allclose(activations.ACTIVATIONS[name][0](x)[0], value(x), rtol=RTOL, atol=0)
    # Slopes that are made of the output (chapter 02) or of a sum are right to its rounding.
    rounding = 3e-16 * (1 + np.abs(x)) if name in ("sigmoid", "tanh", "gelu", "silu") else 0
    assert (np.abs(activations.slope(name, x) - slope(x)) <= RTOL * np.abs(slope(x)) + rounding).all()


@pytest.mark.parametrize("name", TORCH)
@quick
@given(shape=shapes, seed=seeds)
def test_pairs_agree_with_torch(name, shape, seed):
    forward, backward = activations.ACTIVATIONS[name]
    rng = np.random.default_rng(seed)
    x, dout = 3 * rng.standard_normal(shape), rng.standard_normal(shape)
    out, cache = forward(x)
    tx = tensor(x)
    expected = TORCH[name](tx)
    expected.backward(torch.tensor(dout))
    # torch's gelu is x (1 + erf) / 2, so that in its left tail only absolute errors are small.
    np.testing.assert_allclose(out, expected.detach(), rtol=RTOL, atol=2e-15 if name == "gelu" else 0)
    np.testing.assert_allclose(backward(dout, cache), tx.grad, rtol=RTOL, atol=2e-15)


@pairs
def test_slopes_agree_with_numerical_differentiation(name):
    x = np.array([[-2.0, -0.5, 0.3], [0.01, 1.5, 3.0]])  # no entry within h of a kink or of the step
    forward, _ = activations.ACTIVATIONS[name]
    assert relative_error(activations.slope(name, x), numerical_gradient(lambda: forward(x)[0].sum(), x)) <= 1e-8


@pairs
@pytest.mark.parametrize("dtype", FLOATS)
def test_far_out_nothing_overflows(name, dtype):
    x = np.array([-1e4, -1000, -90, -20, 0, 20, 90, 1000, 1e4], dtype)
    forward, backward = activations.ACTIVATIONS[name]
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        out, cache = forward(x)
        dx = backward(np.ones_like(out), cache)
    assert out.dtype == dx.dtype == dtype
    with np.errstate(all="ignore"):
        value, slope = (f(x.astype(float)) for f in EXACT[name])
    eps = max(float(np.finfo(dtype).eps), 2.3e-16)
    tiny = float(np.finfo(dtype).smallest_normal)
    np.testing.assert_allclose(out.astype(float), value, rtol=max(8 * eps, RTOL), atol=tiny)
    np.testing.assert_allclose(dx.astype(float), slope, atol=8 * eps)


@pairs
@quick
@given(shape=shapes, dtype=st.sampled_from(FLOATS), seed=seeds)
def test_shape_and_dtype_are_kept(name, shape, dtype, seed):
    x = np.random.default_rng(seed).standard_normal(shape).astype(dtype)
    forward, backward = activations.ACTIVATIONS[name]
    kept = x.copy()
    out, cache = forward(x)
    dx = backward(np.ones_like(x), cache)
    assert np.shape(out) == np.shape(dx) == x.shape
    assert out.dtype == dx.dtype == dtype
    np.testing.assert_array_equal(x, kept)


def test_every_name_has_its_true_values():
    assert set(EXACT) == set(NAMES)


def test_the_sigmoid_s_slope_is_a_quarter_at_most():
    x = np.linspace(-20, 20, 4001)
    slopes = activations.slope("sigmoid", x)
    assert slopes.max() == 0.25 and x[slopes.argmax()] == 0
    assert activations.slope("tanh", x).max() == 1


def test_where_the_sigmoid_s_slope_rounds_to_zero():
    """The numbers that its docstring states."""
    for dtype, at in ((np.float32, 17), (np.float64, 37)):
        assert activations.slope("sigmoid", np.array([at - 1], dtype)) > 0
        assert activations.slope("sigmoid", np.array([at], dtype)) == 0


def test_gelu_is_the_expectation_of_a_dropout():
    rng = np.random.default_rng(0)
    x, n = np.array([-2.0, -0.7, 0.5, 1.0, 3.0]), 400_000
    m = rng.standard_normal((n, 1)) < x  # 1 with probability Φ(x)
    spread = np.abs(x) * np.sqrt(scipy.special.ndtr(x) * scipy.special.ndtr(-x) / n)
    assert (np.abs((x * m).mean(axis=0) - activations.gelu_forward(x)[0]) <= 5 * spread).all()


# Those with parameters to learn


@quick
@given(N=st.integers(0, 5), D=st.integers(1, 4), shared=st.booleans(), seed=seeds)
def test_prelu_agrees_with_torch(N, D, shared, seed):
    rng = np.random.default_rng(seed)
    x, dout = rng.standard_normal((2, N, D))
    alpha = np.array(0.3) if shared else rng.uniform(-1, 1, D)
    out, cache = activations.prelu_forward(x, alpha)
    dx, dalpha = activations.prelu_backward(dout, cache)
    tx, ta = tensor(x), tensor(alpha)
    expected = torch.where(tx > 0, tx, ta * tx)
    expected.backward(torch.tensor(dout))
    assert dalpha.shape == alpha.shape
    assert relative_error(out, expected.detach()) <= RTOL
    assert relative_error(dx, tx.grad) <= RTOL
    assert relative_error(dalpha, ta.grad) <= RTOL
    if N:
        assert relative_error(out, F.prelu(tx, ta.reshape(-1)).detach()) <= RTOL


@quick
@given(shape=shapes, beta=st.floats(-3, 3), seed=seeds)
def test_swish_agrees_with_torch(shape, beta, seed):
    rng = np.random.default_rng(seed)
    x, dout = 2 * rng.standard_normal(shape), rng.standard_normal(shape)
    out, cache = activations.swish_forward(x, beta)
    dx, dbeta = activations.swish_backward(dout, cache)
    tx, tb = tensor(x), tensor(beta)
    expected = tx * torch.sigmoid(tb * tx)
    expected.backward(torch.tensor(dout))
    assert relative_error(out, expected.detach()) <= RTOL
    assert relative_error(dx, tx.grad) <= RTOL
    np.testing.assert_allclose(dbeta, tb.grad, rtol=RTOL, atol=RTOL * np.square(x).sum())


@quick
@given(shape=shapes, K=st.integers(1, 5), seed=seeds)
def test_the_learned_activation_agrees_with_torch(shape, K, seed):
    rng = np.random.default_rng(seed)
    x, dout, (w, b, v) = rng.standard_normal(shape), rng.standard_normal(shape), rng.standard_normal((3, K))
    out, cache = activations.learned_forward(x, w, b, v)
    tx, tw, tb, tv = (tensor(a) for a in (x, w, b, v))
    expected = torch.tanh(tx[..., None] * tw + tb) @ tv
    expected.backward(torch.tensor(dout))
    assert relative_error(out, expected.detach()) <= RTOL
    gradients = activations.learned_backward(dout, cache)
    assert [g.shape for g in gradients] == [x.shape, (K,), (K,), (K,)]
    for got, t in zip(gradients, (tx, tw, tb, tv), strict=True):
        assert relative_error(got, t.grad) <= 1e-11


def test_the_learned_gradients_agree_with_numerical_differentiation():
    rng = np.random.default_rng(1)
    x, (w, b, v), alpha = rng.standard_normal((4, 3)), rng.standard_normal((3, 5)), np.array([0.1, -0.4, 0.9])
    dout = rng.standard_normal((4, 3))
    for forward, backward, inputs in (
        (activations.learned_forward, activations.learned_backward, (x, w, b, v)),
        (activations.prelu_forward, activations.prelu_backward, (x, alpha)),
    ):
        gradients = backward(dout, forward(*inputs)[1])
        for gradient, a in zip(gradients, inputs, strict=True):
            by_differences = numerical_gradient(lambda f=forward, i=inputs: (dout * f(*i)[0]).sum(), a)
            assert relative_error(gradient, by_differences) <= 1e-7


# Softmax


@quick
@given(shape=st.lists(st.integers(1, 4), min_size=1, max_size=3), seed=seeds, data=st.data())
def test_softmax_and_log_softmax_agree_with_torch_and_scipy(shape, seed, data):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    rng = np.random.default_rng(seed)
    x, dout = 5 * rng.standard_normal(shape), rng.standard_normal(shape)
    for name, torch_s, scipy_s in (
        ("softmax", torch.softmax, scipy.special.softmax),
        ("log_softmax", torch.log_softmax, scipy.special.log_softmax),
    ):
        out, cache = getattr(activations, f"{name}_forward")(x, axis)
        np.testing.assert_allclose(out, scipy_s(x, axis=axis), rtol=RTOL, atol=1e-15)
        tx = tensor(x)
        expected = torch_s(tx, axis)
        expected.backward(torch.tensor(dout))
        np.testing.assert_allclose(out, expected.detach(), rtol=RTOL, atol=1e-15)
        dx = getattr(activations, f"{name}_backward")(dout, cache)
        np.testing.assert_allclose(dx, tx.grad, rtol=RTOL, atol=1e-14)


def test_the_jacobian_of_softmax():
    rng = np.random.default_rng(2)
    x, dout = rng.standard_normal((2, 3, 4))
    p, cache = activations.softmax_forward(x)
    J = activations.softmax_jacobian(p)
    for n in range(3):
        expected = torch.autograd.functional.jacobian(lambda t: torch.softmax(t, 0), torch.tensor(x[n]))
        np.testing.assert_allclose(J[n], expected, rtol=RTOL)
    np.testing.assert_allclose(J.sum(axis=-1), 0, atol=1e-16)
    np.testing.assert_allclose(
        activations.softmax_backward(dout, cache), np.einsum("nik,ni->nk", J, dout), rtol=RTOL, atol=1e-16
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_softmax_of_huge_logits(dtype):
    x = np.array([[1e4, -1e4, 0], [-1e4, -1e4, -1e4]], dtype)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        p, _ = activations.softmax_forward(x)
        log_p, cache = activations.log_softmax_forward(x)
        dx = activations.log_softmax_backward(np.ones_like(x), cache)
    np.testing.assert_allclose(p, [[1, 0, 0], [1 / 3, 1 / 3, 1 / 3]], rtol=1e-6)
    np.testing.assert_allclose(log_p, [[0, -2e4, -1e4], [-np.log(3)] * 3], rtol=1e-6)
    assert log_p.dtype == dx.dtype == dtype and np.isfinite(dx).all()


def test_dead_units():
    out = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 0.5]])
    np.testing.assert_array_equal(activations.dead_units(out), [True, False, False])


# Errors: what was given, what was expected, which argument


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: activations.gelu_forward(np.ones(2, int)), "x has dtype int64; expected a float"),
        (lambda: activations.prelu_forward(np.ones((4, 3)), np.ones(4)), r"alpha has shape \(4,\); .* \(3,\)"),
        (lambda: activations.prelu_forward(np.ones(3), 1), "alpha has dtype int64"),
        (lambda: activations.prelu_forward(np.array(1.0), np.ones(1)), r"alpha has shape \(1,\)"),
        (
            lambda: activations.learned_forward(np.ones(3), np.ones(2), np.ones(3), np.ones(2)),
            r"w, b, v have shapes \(2,\), \(3,\), \(2,\); expected \(K,\) each",
        ),
        (lambda: activations.softmax_forward(np.ones((3, 0))), r"x has shape \(3, 0\).*axis -1"),
        (lambda: activations.softmax_forward(np.ones(3), axis=1), r"x has shape \(3,\).*axis 1"),
        (lambda: activations.log_softmax_forward(np.array(1.0)), r"x has shape \(\)"),
        (lambda: activations.softmax_jacobian([1, 0]), "p has dtype int64"),
        (lambda: activations.slope("swish", np.ones(2)), "name is 'swish'; expected one of identity, sigmoid"),
        (lambda: activations.dead_units(np.ones((2, 3), int)), "out has dtype int64"),
    ],
)
def test_wrong_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pairs
def test_backward_names_a_gradient_of_the_wrong_shape(name):
    forward, backward = activations.ACTIVATIONS[name]
    with pytest.raises(ValueError, match=r"dout has shape \(3, 2\); .* \(2, 3\)"):
        backward(np.ones((3, 2)), forward(np.ones((2, 3)))[1])


@pytest.mark.parametrize(
    ("pair", "more"),
    [
        ("prelu", (np.array(0.1),)),
        ("swish", (1.0,)),
        ("learned", (np.ones(2),) * 3),
        ("softmax", ()),
        ("log_softmax", ()),
    ],
)
def test_the_other_backwards_do_too(pair, more):
    forward, backward = (getattr(activations, f"{pair}_{way}") for way in ("forward", "backward"))
    with pytest.raises(ValueError, match=r"dout has shape \(3, 2\); .* \(2, 3\)"):
        backward(np.ones((3, 2)), forward(np.ones((2, 3)), *more)[1])


def test_no_warning_on_ordinary_input():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for forward, _ in activations.ACTIVATIONS.values():
            forward(np.linspace(-5, 5, 11))
