"""dlcourse.losses against PyTorch, SciPy and numerical differentiation; far out; over shapes; wrong input."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from dlcourse import losses

RTOL = 1e-12
quick = settings(deadline=None, max_examples=40)
sizes, seeds = st.integers(1, 6), st.integers(0, 2**32 - 1)

# Each loss of (N, C) outputs o and targets y as torch says it; its own function where it has one.
TORCH = {
    "l1": lambda o, y: F.l1_loss(o, y, reduction="sum") / len(o),
    "l2": lambda o, y: F.mse_loss(o, y, reduction="sum") / len(o),
    "sse": lambda o, y: 0.5 * F.mse_loss(o, y, reduction="sum"),
    "expectation": lambda o, y: F.l1_loss(torch.softmax(o, 1), y, reduction="sum") / len(o),
    "regularised_expectation": lambda o, y: F.mse_loss(torch.softmax(o, 1), y, reduction="sum") / len(o),
    "chebyshev": lambda o, y: torch.linalg.vector_norm(torch.softmax(o, 1) - y, ord=torch.inf, dim=1).mean(),
    "hinge": lambda o, y: torch.relu(1 - (2 * y - 1) * o).sum() / len(o),
    "squared_hinge": lambda o, y: torch.relu(1 - (2 * y - 1) * o).square().sum() / len(o),
    "cubed_hinge": lambda o, y: torch.relu(1 - (2 * y - 1) * o).pow(3).sum() / len(o),
    "log": lambda o, y: F.cross_entropy(o, y),
    "squared_log": lambda o, y: (y * F.log_softmax(o, 1)).square().sum() / len(o),
    "tanimoto": lambda o, y: -_tanimoto(torch.softmax(o, 1), y).mean(),
    "cauchy_schwarz": lambda o, y: -torch.log(F.cosine_similarity(torch.softmax(o, 1), y)).mean(),
    "binary_cross_entropy": lambda o, y: F.binary_cross_entropy_with_logits(o, y, reduction="sum") / len(o),
}
NAMES = list(TORCH)
every = pytest.mark.parametrize("name", NAMES)


def _tanimoto(p, y):
    overlap = (p * y).sum(1)
    return overlap / (p.square().sum(1) + y.square().sum(1) - overlap)


def outputs_and_targets(N, C, seed, classes):
    """Logits, targets as they are given, and the same as rows."""
    rng = np.random.default_rng(seed)
    o = 2 * rng.standard_normal((N, C))
    if classes:
        labels = rng.integers(C, size=N)
        return o, labels, np.eye(C)[labels]
    y = rng.dirichlet(np.ones(C), N)
    return o, y, y


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


@every
@quick
@given(N=sizes, C=st.integers(2, 6), seed=seeds, classes=st.booleans(), dout=st.floats(-3, 3))
def test_losses_and_gradients_agree_with_torch(name, N, C, seed, classes, dout):
    o, targets, y = outputs_and_targets(N, C, seed, classes and name != "sse")
    forward, backward = losses.LOSSES[name]
    loss, cache = forward(o, targets)
    to = torch.tensor(o, requires_grad=True)
    expected = TORCH[name](to, torch.tensor(y))
    (dout * expected).backward()
    np.testing.assert_allclose(loss, expected.item(), rtol=RTOL, atol=1e-15)
    gradient, want = backward(dout, cache), to.grad.numpy()
    # Numbers below 1e-300 have not all digits.
    np.testing.assert_allclose(gradient, want, rtol=RTOL, atol=RTOL * (np.abs(want).max() + abs(dout) / N) + 1e-300)


@quick
@given(N=sizes, C=sizes, seed=seeds)
def test_agreement_with_scipy(N, C, seed):
    o, labels, onehot = outputs_and_targets(N, C, seed, True)
    y = np.random.default_rng(seed).dirichlet(np.ones(C), N)
    p = scipy.special.softmax(o, axis=1)
    log = losses.log_forward(o, y)[0] - scipy.special.entr(y).sum() / N
    np.testing.assert_allclose(log, scipy.special.rel_entr(y, p).sum() / N, rtol=1e-9, atol=1e-14)
    binary = losses.binary_cross_entropy_forward(o, labels)[0]
    said = -scipy.special.log_expit(np.where(onehot == 1, o, -o)).sum() / N
    np.testing.assert_allclose(binary, said, rtol=RTOL)
    doubled = scipy.special.logsumexp(2 * o, axis=1) / 2 - o[np.arange(N), labels]
    np.testing.assert_allclose(losses.cauchy_schwarz_forward(o, labels)[0], doubled.mean(), rtol=RTOL, atol=1e-15)


@every
@pytest.mark.parametrize("classes", [True, False])
def test_gradients_agree_with_numerical_differentiation(name, classes):
    o, targets, _ = outputs_and_targets(4, 3, 7, classes and name != "sse")
    forward, backward = losses.LOSSES[name]
    gradient = backward(1.0, forward(o, targets)[1])
    by_differences = numerical_gradient(lambda: forward(o, targets)[0], o)
    assert np.abs(gradient - by_differences).max() <= 1e-7 * np.abs(by_differences).max()


# What the chapter says of the list


@quick
@given(N=sizes, C=st.integers(2, 6), seed=seeds)
def test_three_losses_are_one_for_classes(N, C, seed):
    o, labels, onehot = outputs_and_targets(N, C, seed, True)
    p = scipy.special.softmax(o, axis=1)
    missing = (1 - p[np.arange(N), labels]).mean()
    printed_hinge = np.maximum(0, 1 - onehot * p).sum() / N  # as the slides print it
    np.testing.assert_allclose(losses.chebyshev_forward(o, labels)[0], missing, rtol=1e-10)
    np.testing.assert_allclose(losses.expectation_forward(o, labels)[0], 2 * missing, rtol=1e-10)
    np.testing.assert_allclose(printed_hinge, C - 1 + missing, rtol=RTOL)


@quick
@given(N=sizes, C=st.integers(2, 6), seed=seeds)
def test_cauchy_schwarz_is_half_the_cross_entropy_of_doubled_logits(N, C, seed):
    o, labels, _ = outputs_and_targets(N, C, seed, True)
    half = losses.softmax_cross_entropy_forward(2 * o, labels)[0] / 2
    np.testing.assert_allclose(losses.cauchy_schwarz_forward(o, labels)[0], half, rtol=RTOL, atol=1e-15)


@quick
@given(N=sizes, C=st.integers(2, 6), seed=seeds)
def test_only_the_expectation_loss_adds_up_to_a_constant_over_classes(N, C, seed):
    """Ghosh, Kumar and Sastry (2017): that is what makes a loss tolerate wrong labels."""
    o, *_ = outputs_and_targets(N, C, seed, True)
    o[0] += 1  # so that no row is all zeros
    for name, constant in (("expectation", 2 * (C - 1)), ("chebyshev", C - 1)):
        forward, _ = losses.LOSSES[name]
        total = sum(forward(o, np.full(N, c))[0] for c in range(C))
        np.testing.assert_allclose(total, constant, rtol=1e-10)
    totals = [sum(losses.log_forward(k * o, np.full(N, c))[0] for c in range(C)) for k in (1, 2)]
    assert abs(totals[0] - totals[1]) > 1e-6 or np.ptp(o, axis=1).max() < 1e-2


def test_softmax_cross_entropy_is_the_log_loss():
    o, labels, _ = outputs_and_targets(5, 4, 3, True)
    pairs = [losses.LOSSES[name] for name in ("softmax_cross_entropy", "log")]
    one, other = ((f(o, labels)[0], b(1.0, f(o, labels)[1])) for f, b in pairs)
    np.testing.assert_allclose(one[0], other[0], rtol=RTOL)
    np.testing.assert_allclose(one[1], other[1], rtol=RTOL, atol=1e-16)


def test_matched_pairs_of_output_and_loss_have_the_error_as_gradient():
    rng = np.random.default_rng(5)
    o = rng.standard_normal((1, 4))
    y = rng.dirichlet(np.ones(4), 1)
    for name, out in (
        ("sse", o),
        ("log", scipy.special.softmax(o, axis=1)),
        ("binary_cross_entropy", scipy.special.expit(o)),
    ):
        forward, backward = losses.LOSSES[name]
        np.testing.assert_allclose(backward(1.0, forward(o, y)[1]), out - y, rtol=RTOL, atol=1e-15)


# Far out

FAR = [[1e4, -1e4, 0], [-1e4, 1e4, 0], [1e4, 1e4, -1e4], [-1e4, -1e4, -1e4]]
FAR_CLASSES = [0, 0, 1, 2]
# By hand, row by row: p is (1, 0, 0), (0, 1, 0), (1/2, 1/2, 0), (1/3, 1/3, 1/3).
FAR_LOSS = {
    "l1": [9999 + 1e4, 10001 + 1e4, 1e4 + 9999 + 1e4, 1e4 + 1e4 + 10001],
    "l2": [9999**2 + 1e8, 10001**2 + 1e8, 1e8 + 9999**2 + 1e8, 2e8 + 10001**2],
    "expectation": [0, 2, 1, 4 / 3],
    "regularised_expectation": [0, 2, 1 / 2, 2 / 3],
    "chebyshev": [0, 1, 1 / 2, 2 / 3],
    "hinge": [1, 10001 + 10001 + 1, 10001, 10001],
    "squared_hinge": [1, 2 * 10001.0**2 + 1, 10001.0**2, 10001.0**2],
    "cubed_hinge": [1, 2 * 10001.0**3 + 1, 10001.0**3, 10001.0**3],
    "log": [0, 2e4, np.log(2), np.log(3)],
    "softmax_cross_entropy": [0, 2e4, np.log(2), np.log(3)],
    "squared_log": [0, 4e8, np.log(2) ** 2, np.log(3) ** 2],
    "tanimoto": [-1, 0, -(1 / 2) / (1 / 2 + 1 - 1 / 2), -(1 / 3) / (1 / 3 + 1 - 1 / 3)],
    "cauchy_schwarz": [0, 2e4, np.log(2) / 2, np.log(3) / 2],
    "binary_cross_entropy": [np.log(2), 1e4 + 1e4 + np.log(2), 1e4, 1e4],
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FAR_LOSS)
def test_logits_of_ten_thousand_are_exact(name, dtype):
    forward, backward = losses.LOSSES[name]
    for row, c, expected in zip(np.array(FAR, dtype), FAR_CLASSES, FAR_LOSS[name], strict=True):
        with np.errstate(over="raise", invalid="raise"):
            loss, cache = forward(row[None], np.array([c]))
            gradient = backward(1.0, cache)
        assert loss.dtype == gradient.dtype == dtype
        assert loss == pytest.approx(expected, rel=1e-6, abs=1e-12)
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("tanimoto", "cauchy_schwarz")])
def test_far_out_with_probabilities_as_targets(name, dtype):
    forward, backward = losses.LOSSES[name]
    y = np.array([[0.5, 0.25, 0.25], [0, 0.5, 0.5], [0, 0, 1], [0.2, 0.3, 0.5]], dtype)
    with np.errstate(over="raise", invalid="raise"):
        loss, cache = forward(np.array(FAR, dtype), y)
        gradient = backward(1.0, cache)
    assert np.isfinite(loss) and np.isfinite(gradient).all()


def test_a_wrong_answer_that_is_sure_gets_a_gradient_from_some_losses_only():
    """Far out on the wrong side: what is made of logarithms or margins pulls back, what is made of p alone does not."""
    o = np.array([[-40.0, 40.0, 0.0]])
    pull = {name: np.abs(b(1.0, f(o, np.array([0]))[1])).max() for name, (f, b) in losses.CLASSIFIERS.items()}
    stuck = {name for name, size in pull.items() if size < 1e-9}
    assert stuck == {"expectation", "regularised_expectation", "chebyshev", "tanimoto"}
    assert min(size for name, size in pull.items() if name not in stuck) >= 1


# Shapes, dtypes, what stays as it is


@every
@quick
@given(N=st.integers(0, 5), C=sizes, dtype=st.sampled_from([np.float16, np.float32, np.float64]), seed=seeds)
def test_dtype_is_kept_and_an_empty_batch_costs_nothing(name, N, C, dtype, seed):
    o, _, y = outputs_and_targets(N, C, seed, True)
    o, y = o.astype(dtype), y.astype(dtype)
    kept = o.copy(), y.copy()
    forward, backward = losses.LOSSES[name]
    loss, cache = forward(o, y)
    gradient = backward(1.0, cache)
    assert loss.dtype == gradient.dtype == dtype
    assert gradient.shape == (N, C)
    assert np.array_equal(gradient, backward(1.0, cache))
    assert np.array_equal(o, kept[0]) and np.array_equal(y, kept[1])
    if N == 0:
        assert loss == 0


@pytest.mark.parametrize("name", losses.CLASSIFIERS)
def test_classes_are_rows_with_a_one(name):
    o, labels, y = outputs_and_targets(6, 4, 11, True)
    forward, backward = losses.CLASSIFIERS[name]
    (one, cache), (other, other_cache) = forward(o, labels), forward(o, y)
    assert one == other
    np.testing.assert_array_equal(backward(1.0, cache), backward(1.0, other_cache))


def test_the_lecture_s_list_is_whole():
    assert len(losses.CLASSIFIERS) == 12
    assert set(losses.CLASSIFIERS) | {"softmax_cross_entropy", "sse", "binary_cross_entropy"} == set(losses.LOSSES)


# Wrong labels


@quick
@given(N=st.integers(0, 60), share=st.floats(0, 1), C=st.integers(2, 6), seed=st.integers(0, 1000))
def test_flipped_labels(N, share, C, seed):
    labels = np.random.default_rng(seed).integers(C, size=N)
    kept = labels.copy()
    flipped = losses.flip_labels(labels, share, C, seed)
    assert (flipped != labels).sum() == round(share * N)
    assert N == 0 or (flipped.min() >= 0 and flipped.max() < C)
    assert flipped.dtype == labels.dtype
    np.testing.assert_array_equal(flipped, losses.flip_labels(labels, share, C, seed))
    np.testing.assert_array_equal(labels, kept)


def test_wrong_labels_are_all_equally_likely():
    flipped = losses.flip_labels(np.full(40_000, 2), 0.5, 5, seed=1)
    counts = np.bincount(flipped, minlength=5)
    assert counts[2] == 20_000
    assert np.abs(counts[[0, 1, 3, 4]] - 5000).max() < 5 * np.sqrt(5000)


# Errors: what was given, what was expected, which argument

o23 = np.zeros((2, 3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: losses.log_forward(np.zeros((2, 3), int), [0, 1]), "logits has dtype int64"),
        (lambda: losses.log_forward(np.zeros(3), [0]), r"logits has shape \(3,\); expected \(N, C\)"),
        (lambda: losses.log_forward(np.zeros((2, 0)), [0, 1]), "C at least 1"),
        (lambda: losses.log_forward(o23, [0]), r"targets has shape \(1,\); expected \(2,\), one class a row"),
        (lambda: losses.log_forward(o23, [0.0, 1.0]), "targets has dtype float64; expected integers"),
        (lambda: losses.log_forward(o23, [0, 3]), "classes 0 to 3; expected 0 to 2"),
        (lambda: losses.log_forward(o23, np.zeros((3, 2))), r"targets has shape \(3, 2\); expected \(2,\) classes or"),
        (lambda: losses.l1_forward(o23, np.zeros((2, 1))), r"the \(2, 3\) of y"),
        (lambda: losses.hinge_forward(o23, -np.ones((2, 3))), "from -1.0 to -1.0; expected numbers from 0 to 1"),
        (lambda: losses.hinge_forward(o23, [0, 1], power=4), "power is 4; expected 1, 2 or 3"),
        (lambda: losses.binary_cross_entropy_forward(o23, 2 * np.ones((2, 3))), "expected numbers from 0 to 1"),
        (lambda: losses.tanimoto_forward(o23, np.array([[1.0, 0, 0], [0, 0, 0]])), "zeros only in row 1"),
        (lambda: losses.cauchy_schwarz_forward(o23, np.array([[1.0, 0, 0], [-1, 0, 0]])), "entries down to -1.0"),
        (lambda: losses.sse_forward(np.ones((4, 1)), np.ones(4)), r"targets has shape \(4,\); .* \(4, 1\)"),
        (lambda: losses.flip_labels([0, 1], 1.5, 2), "share is 1.5; expected a number from 0 to 1"),
        (lambda: losses.flip_labels([0, 0], 0.5, 1), "n_classes is 1; expected at least 2"),
        (lambda: losses.flip_labels([0, 5], 0.5, 3), "classes 0 to 5; expected 0 to 2"),
    ],
)
def test_wrong_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
