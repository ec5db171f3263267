"""dlcourse.neuron against PyTorch, SciPy, scikit-learn and numerical differentiation; what chapter 01 promises."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from dlcourse import data, neuron

RTOL = 1e-12
sizes = st.integers(1, 6)
batches = st.integers(0, 6)
dtypes = st.sampled_from([np.float32, np.float64])
seeds = st.integers(0, 2**32 - 1)
examples = settings(deadline=None, max_examples=40)

TORCH_ACTIVATION = {
    "identity": lambda u: u,
    "step": lambda u: (u > 0).double() + 0 * u,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
}
TORCH_LOSS = {
    "squared": lambda f, t: 0.5 * F.mse_loss(f, t, reduction="none"),
    "logistic": lambda f, t: F.soft_margin_loss(f, t, reduction="none"),
    "hinge": lambda f, t: F.relu(1 - t * f),
}
TORCH_REGULARISER = {"l2": lambda w: 0.5 * (w**2).sum(), "l1": lambda w: torch.linalg.vector_norm(w, 1)}


PAIRS = list(itertools.product(neuron.LOSSES, neuron.REGULARISERS))


def tensor(a):
    return torch.tensor(a, dtype=torch.float64, requires_grad=True)


def draw(seed, N, D, dtype=np.float64):
    rng = np.random.default_rng(seed)
    x, w, b = rng.normal(size=(N, D)).astype(dtype), rng.normal(size=D).astype(dtype), float(rng.normal())
    return x, rng.choice([-1, 1], N), w, b


def numerical(f, x, h=1e-6):
    """Central differences of the scalar ``f()`` with respect to ``x``, entry by entry."""
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


# The biological neuron


@pytest.mark.parametrize("current", [1.05, 1.5, 3.0, 20.0])
@pytest.mark.parametrize("refractory", [0.0, 0.002])
def test_spikes_come_at_the_rate_of_the_formula(current, refractory):
    spikes = neuron.integrate_and_fire(current, 3.0, dt=1e-5, refractory=refractory)
    gaps = np.diff(spikes)
    assert len(spikes) >= 10 and gaps == pytest.approx(gaps[0], abs=1.1e-5)
    assert 1 / gaps.mean() == pytest.approx(neuron.firing_rate(current, refractory=refractory), rel=0.02)


def test_below_threshold_nothing_fires_and_far_above_the_pause_limits_the_rate():
    assert len(neuron.integrate_and_fire(0.999, 1.0)) == 0
    np.testing.assert_array_equal(neuron.firing_rate([-3.0, 0.0, 1.0]), 0)
    assert neuron.firing_rate(1e9) == pytest.approx(500, rel=1e-6)


@pytest.mark.parametrize("wrong", [{"seconds": 0}, {"dt": -1}, {"tau": 0}, {"refractory": -0.1}])
def test_impossible_times_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        neuron.integrate_and_fire(**{"current": 2.0, "seconds": 1.0, **wrong})


# One neuron


@pytest.mark.parametrize("activation", neuron.ACTIVATIONS)
@examples
@given(N=batches, D=sizes, seed=seeds)
def test_the_neuron_agrees_with_torch(activation, N, D, seed):
    x, _, w, b = draw(seed, N, D)
    dout = np.random.default_rng(seed + 1).normal(size=N)
    y, cache = neuron.neuron_forward(x, w, b, activation)
    tx, tw, tb = tensor(x), tensor(w), tensor(b)
    expected = TORCH_ACTIVATION[activation](tx @ tw + tb)
    expected.backward(torch.tensor(dout))
    np.testing.assert_allclose(y, expected.detach(), rtol=RTOL, atol=1e-14)
    for got, p in zip(neuron.neuron_backward(dout, cache), (tx, tw, tb), strict=True):
        np.testing.assert_allclose(got, p.grad, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("activation", ["identity", "sigmoid", "tanh"])
def test_the_gradient_of_the_squared_error_is_the_numerical_one(activation):
    x, t, w, b = draw(3, 5, 4)
    b = np.array(b)

    def error():
        return neuron.squared_error(neuron.neuron_forward(x, w, b[()], activation)[0], t)[0]

    y, cache = neuron.neuron_forward(x, w, b[()], activation)
    dx, dw, db = neuron.neuron_backward(neuron.squared_error(y, t)[1], cache)
    for got, p in ((dx, x), (dw, w), (db, b)):
        np.testing.assert_allclose(got, numerical(error, p), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("activation", neuron.ACTIVATIONS)
def test_no_score_is_too_large(activation):
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        y, slope = neuron.activate(np.array([-1e4, 1e4], np.float32), activation)
    assert np.isfinite(y).all() and np.isfinite(slope).all()


# Losses, regularisers, the objective


@pytest.mark.parametrize("name", neuron.LOSSES)
@examples
@given(shape=st.lists(st.integers(0, 4), max_size=2), seed=seeds)
def test_losses_agree_with_torch(name, shape, seed):
    rng = np.random.default_rng(seed)
    f, t = rng.normal(0, 3, shape), rng.choice([-1, 1], shape)
    loss, slope = neuron.LOSSES[name](f, t)
    tf = tensor(f)
    expected = TORCH_LOSS[name](tf, torch.tensor(np.asarray(t, float)))
    expected.sum().backward()
    np.testing.assert_allclose(loss, expected.detach(), rtol=RTOL, atol=1e-14)
    np.testing.assert_allclose(slope, tf.grad, rtol=RTOL, atol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_logistic_loss_is_right_far_out(dtype):
    f = np.array([-1e4, -100, -30, 30, 100, 1e4], dtype)
    with np.errstate(over="raise", invalid="raise"):
        loss, slope = neuron.logistic_loss(f, np.ones(6))
    exact = np.logaddexp(0, -f.astype(np.longdouble))
    np.testing.assert_allclose(loss, exact.astype(float), rtol=4 * np.finfo(dtype).eps, atol=1e-45)
    np.testing.assert_allclose(slope[:3], [-1, -1, -1], rtol=1e-6)
    assert (slope <= 0).all() and loss.dtype == slope.dtype == dtype


def test_at_the_kink_the_hinge_takes_slope_zero():
    loss, slope = neuron.hinge_loss(np.array([1.0, -1.0]), np.array([1, -1]))
    assert loss.tolist() == [0, 0] and slope.tolist() == [0, 0]


@pytest.mark.parametrize("loss, regulariser", PAIRS)
@examples
@given(N=st.integers(1, 6), D=sizes, seed=seeds)
def test_the_objective_agrees_with_torch(loss, regulariser, N, D, seed):
    x, t, w, b = draw(seed, N, D)
    value, dw, db = neuron.objective(x, t, w, b, loss=loss, regulariser=regulariser, lam=0.3)
    tw, tb = tensor(w), tensor(b)
    f = torch.tensor(x) @ tw + tb
    expected = 0.3 * TORCH_REGULARISER[regulariser](tw) + TORCH_LOSS[loss](f, torch.tensor(t).double()).mean()
    expected.backward()
    np.testing.assert_allclose(value, expected.item(), rtol=RTOL)
    np.testing.assert_allclose(dw, tw.grad, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(db, tb.grad, rtol=1e-10, atol=1e-12)


def test_any_loss_and_regulariser_will_do():
    x, t, w, b = draw(0, 7, 3)

    def cubed_hinge(f, t):
        short = np.maximum(1 - t * f, 0)
        return short**3, -3 * t * short**2

    def fourth_power(w):
        return (w**4).sum(), 4 * w**3

    b = np.array(b)
    options = {"loss": cubed_hinge, "regulariser": fourth_power, "lam": 0.2}
    _, dw, db = neuron.objective(x, t, w, b[()], **options)
    np.testing.assert_allclose(dw, numerical(lambda: neuron.objective(x, t, w, b[()], **options)[0], w), rtol=1e-6)
    np.testing.assert_allclose(db, numerical(lambda: neuron.objective(x, t, w, b[()], **options)[0], b), rtol=1e-6)


@examples
@given(dtype=dtypes, N=st.integers(1, 5), D=sizes, loss=st.sampled_from(list(neuron.LOSSES)))
def test_dtypes_are_kept(dtype, N, D, loss):
    x, t, w, b = draw(0, N, D, dtype)
    y, cache = neuron.neuron_forward(x, w, b, "sigmoid")
    results = [y, *neuron.neuron_backward(y, cache), *neuron.objective(x, t, w, b, loss=loss, lam=0.1)]
    w, b, values = neuron.fit(x, t, loss=loss, lam=0.1, steps=3)
    assert {np.asarray(a).dtype for a in [*results, w, b, values]} == {np.dtype(dtype)}


# Gradient descent


@pytest.mark.parametrize("loss, regulariser", PAIRS)
def test_by_hand_and_automatic_descent_take_the_same_steps(loss, regulariser):
    x, t, _, _ = draw(1, 20, 4)
    w, b, values = neuron.fit(x, t, loss=loss, regulariser=regulariser, lam=0.05, lr=0.1, steps=100)
    automatic = neuron.fit_automatically(
        x, t, TORCH_LOSS[loss], TORCH_REGULARISER[regulariser], lam=0.05, lr=0.1, steps=100
    )
    for got, expected in zip((w, b, values), automatic, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)


def test_a_loss_that_ignores_the_scores_still_trains_the_weights():
    x, t, _, _ = draw(1, 5, 2)
    w, b, _ = neuron.fit_automatically(x, t, lambda f, t: 0 * t, lambda w: ((w - 1) ** 2).sum(), lam=1.0, steps=200)
    np.testing.assert_allclose(w, 1, atol=1e-9)
    assert b == 0


def test_gradient_descent_finds_the_least_squares_solution():
    x, _, w, b = draw(2, 30, 3)
    t = x @ w + b + np.random.default_rng(0).normal(size=30)
    found_w, found_b, values = neuron.fit(x, t, loss="squared", lr=0.3, steps=2000)
    expected = np.linalg.lstsq(np.c_[x, np.ones(30)], t, rcond=None)[0]
    np.testing.assert_allclose([*found_w, found_b], expected, atol=1e-10)
    assert (np.diff(values) <= 1e-12).all() and len(values) == 2001


def test_the_best_point_is_kept_and_the_start_is_not_changed():
    start = np.array([3.0])
    (last,), values = neuron.gradient_descent(lambda w: (abs(w[0]), np.sign(w)), (start,), lr=2.0, steps=4)
    (best,), _ = neuron.gradient_descent(lambda w: (abs(w[0]), np.sign(w)), (start,), lr=2.0, steps=4, best=True)
    assert values.tolist() == [3, 1, 1, 1, 1] and start == 3
    assert (last[0], best[0]) == (-1, 1)
    (w,), _ = neuron.gradient_descent(lambda w: (0, np.ones(1)), (start,), lr=lambda k: 1 / (k + 1), steps=3)
    assert w[0] == pytest.approx(3 - 1 - 1 / 2 - 1 / 3)


# What the chapter promises


@pytest.fixture(scope="module")
def zeros_and_ones():
    digits = data.load("digits", dtype=np.float64)
    x = np.concatenate([digits.x_train, digits.x_test]).reshape(-1, 64)
    y = np.concatenate([digits.y_train, digits.y_test])
    return x[y < 2], 2 * y[y < 2] - 1


@pytest.mark.parametrize("loss", neuron.LOSSES)
def test_digits_0_and_1_are_told_apart(zeros_and_ones, loss):
    x, t = zeros_and_ones
    accuracy = []
    for seed in range(10):
        rows, held = data.holdout(t, 0.3, seed)
        w, b, _ = neuron.fit(x[rows], t[rows], loss=loss, lam=1e-3, lr=0.02, steps=500)
        accuracy.append(np.mean(neuron.predict(x[held], w, b) == t[held]))
    assert min(accuracy) >= 0.98 and np.mean(accuracy) >= 0.99


@pytest.mark.parametrize("lam", [1.0, 0.1, 0.01])
def test_the_hinge_objective_reaches_that_of_linear_svc(zeros_and_ones, lam):
    svm = pytest.importorskip("sklearn.svm")
    x, t = zeros_and_ones
    x = np.c_[x, np.ones(len(x))]  # LinearSVC regularises the bias: as the weight of a constant input, ours is too
    peer = svm.LinearSVC(loss="hinge", C=1 / (lam * len(x)), fit_intercept=False, tol=1e-8, max_iter=100_000)
    lowest = neuron.objective(x, t, peer.fit(x, t).coef_[0], 0.0, lam=lam)[0]
    (w,), values = neuron.gradient_descent(
        lambda w: neuron.objective(x, t, w, 0.0, lam=lam)[:2],
        (np.zeros(65),), lr=lambda k: 1 / (1 + lam * k), steps=8000, best=True,
    )  # fmt: skip
    reached = neuron.objective(x, t, w, 0.0, lam=lam)[0]
    assert reached == values.min()
    assert -1e-6 <= reached - lowest <= 1e-3 * lowest


CORNERS = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])
LABELLINGS = np.array(list(itertools.product([-1, 1], repeat=4)))


def test_of_the_labellings_of_a_square_all_but_xor_and_its_opposite_are_separable():
    lines = [neuron.separating_line(CORNERS, t) for t in LABELLINGS]
    for t, line in zip(LABELLINGS, lines, strict=True):
        assert (line is None) == (t[0] == t[3] != t[1] == t[2])
        if line:
            assert (t * (CORNERS @ line[0] + line[1])).min() >= 1 - 1e-9
    assert sum(line is not None for line in lines) == 14


@pytest.mark.parametrize("t", LABELLINGS, ids=str)
def test_the_best_line_is_perfect_where_the_classes_are_separable(t):
    accuracy, w, b = neuron.best_line(CORNERS, t)
    assert accuracy == (1.0 if neuron.separating_line(CORNERS, t) else 0.75)
    assert np.mean(neuron.predict(CORNERS, w, b) == t) == accuracy


@examples
@given(n=st.integers(1, 12), seed=seeds, grid=st.booleans())
def test_no_line_is_better_than_the_best_line(n, seed, grid):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 3, (n, 2)).astype(float) if grid else rng.normal(size=(n, 2))
    t = rng.choice([-1, 1], n)
    accuracy, w, b = neuron.best_line(x, t)
    assert np.mean(neuron.predict(x, w, b) == t) == accuracy
    angle, offset = rng.uniform(0, 2 * np.pi, 3000), rng.uniform(-4, 4, 3000)
    scores = np.stack([np.cos(angle), np.sin(angle)], axis=1) @ x.T + offset[:, None]
    assert (np.sign(scores) == t).mean(axis=1).max() <= accuracy
    if not grid:  # among equal points the linear programme says what is possible
        assert (accuracy == 1) == (neuron.separating_line(x, t) is not None)


@pytest.mark.parametrize("loss", neuron.LOSSES)
def test_xor_stays_at_three_of_four_whatever_the_start(loss):
    x, y = data.xor(dtype=np.float64)
    t = 2 * y - 1
    for seed in range(30):
        start = np.random.default_rng(seed).normal(0, 3, 2), np.random.default_rng(seed + 100).normal(0, 3)
        (w, b), _ = neuron.gradient_descent(
            lambda w, b: neuron.objective(x, t, w, b, loss=loss), start, lr=0.3, steps=300
        )
        assert np.mean(neuron.predict(x, w, b) == t) <= 0.75


# Errors


X = np.ones((4, 3))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: neuron.neuron_forward(np.ones(3), np.ones(3), 0.0), r"x has shape \(3,\), expected \(N, D\)"),
        (lambda: neuron.neuron_forward(X, np.ones(2), 0.0), r"w has shape \(2,\), x has 3 columns"),
        (lambda: neuron.neuron_forward(X, np.ones(3), np.ones(1)), r"b has shape \(1,\), expected a single number"),
        (lambda: neuron.neuron_forward(X, np.ones(3), "1"), "b has dtype"),
        (lambda: neuron.neuron_forward(X.astype(int), np.ones(3), 0.0), "x has dtype int64; expected a float dtype"),
        (lambda: neuron.neuron_forward(X, np.ones(3), 0.0, "relu"), "activation is 'relu', expected one of identity"),
        (lambda: neuron.neuron_backward(np.ones(3), neuron.neuron_forward(X, np.ones(3), 0.0)[1]), r"shape \(3,\)"),
        (lambda: neuron.squared_error(np.ones(3), np.ones(2)), r"t has shape \(2,\), expected y's shape \(3,\)"),
        (lambda: neuron.hinge_loss(np.ones(2), np.array([0, 1])), r"t holds 0, expected labels -1 and \+1"),
        (lambda: neuron.logistic_loss(np.ones(2), np.ones(3)), r"t has shape \(3,\), expected f's shape \(2,\)"),
        (lambda: neuron.objective(X, np.ones(3), np.ones(3), 0.0), r"t has shape \(3,\), expected \(4,\)"),
        (lambda: neuron.objective(X[:0], np.ones(0), np.ones(3), 0.0), "x has no rows"),
        (lambda: neuron.objective(X, np.ones(4), np.ones(3), 0.0, lam=-1), "lam is -1, expected"),
        (lambda: neuron.objective(X, np.ones(4), np.ones(3), 0.0, loss="l0"), "loss is 'l0', expected a function or"),
        (lambda: neuron.fit(np.ones(4), np.ones(4)), r"x has shape \(4,\), expected \(N, D\)"),
        (lambda: neuron.gradient_descent(lambda w: (0, w), (X,), lr=1, steps=-1), "steps is -1"),
        (lambda: neuron.separating_line(X, np.ones(3)), r"x has shape \(4, 3\) and t \(3,\)"),
        (lambda: neuron.best_line(X, np.ones(4)), r"x has shape \(4, 3\), expected \(N, 2\)"),
        (lambda: neuron.best_line(X[:, :2], np.full(4, 2)), r"t holds 2, expected labels"),
    ],
)
def test_errors_say_what_was_given_and_what_was_expected(call, words):
    with pytest.raises(ValueError, match=words):
        call()
