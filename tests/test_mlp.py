"""dlcourse.mlp against PyTorch and numerical differentiation; over shapes, dtypes and wrong inputs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from dlcourse import mlp

ACTIVATIONS = ["identity", "sigmoid", "tanh", "relu"]
TORCH_ACTIVATION = {"identity": lambda x: x, "sigmoid": torch.sigmoid, "tanh": torch.tanh, "relu": torch.relu}
LOSSES = ["softmax_cross_entropy", "sse"]
RTOL = 1e-9

sizes = st.integers(1, 6)
batches = st.integers(0, 6)
dtypes = st.sampled_from([np.float32, np.float64])
seeds = st.integers(0, 2**32 - 1)


def relative_error(got, expected) -> float:
    """Largest difference over the largest expected entry; 0 for two arrays of zeros or two empty arrays."""
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.shape == expected.shape
    difference = np.abs(got - expected).max(initial=0.0)
    return float(difference / max(np.abs(expected).max(initial=0.0), np.finfo(float).tiny))


def tensor(a):
    return torch.tensor(a, dtype=torch.float64, requires_grad=True)


def numerical_gradient(f, x, h=1e-5):
    """Central differences of the scalar f with respect to the array x, entry by entry."""
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


def make_batch(rng, N, sizes, loss, dtype=np.float64):
    x = rng.standard_normal((N, sizes[0])).astype(dtype)
    if loss == "sse":
        return x, rng.standard_normal((N, sizes[-1])).astype(dtype)
    return x, rng.integers(sizes[-1], size=N)


# Each pair against torch, over shapes


@settings(deadline=None, max_examples=50)
@given(N=batches, D=sizes, M=sizes, seed=seeds)
def test_linear_agrees_with_torch(N, D, M, seed):
    rng = np.random.default_rng(seed)
    x, w, b, dout = (rng.standard_normal(shape) for shape in [(N, D), (D, M), (M,), (N, M)])
    out, cache = mlp.linear_forward(x, w, b)
    tx, tw, tb = tensor(x), tensor(w), tensor(b)
    expected = F.linear(tx, tw.T, tb)
    expected.backward(torch.tensor(dout))
    assert relative_error(out, expected.detach()) <= RTOL
    for got, t in zip(mlp.linear_backward(dout, cache), [tx, tw, tb], strict=True):
        assert relative_error(got, t.grad) <= RTOL


@pytest.mark.parametrize("name", ACTIVATIONS)
@settings(deadline=None, max_examples=50)
@given(shape=st.lists(st.integers(0, 4), max_size=3), seed=seeds)
def test_activations_agree_with_torch(name, shape, seed):
    forward, backward = mlp.ACTIVATIONS[name]
    rng = np.random.default_rng(seed)
    x, dout = 3 * rng.standard_normal(shape), rng.standard_normal(shape)
    out, cache = forward(x)
    tx = tensor(x)
    expected = TORCH_ACTIVATION[name](tx)
    expected.backward(torch.tensor(dout))
    assert relative_error(out, expected.detach()) <= RTOL
    assert relative_error(backward(dout, cache), tx.grad) <= RTOL


@settings(deadline=None, max_examples=50)
@given(N=st.integers(1, 6), C=sizes, seed=seeds, dout=st.floats(-3, 3))
def test_softmax_cross_entropy_agrees_with_torch(N, C, seed, dout):
    rng = np.random.default_rng(seed)
    logits, targets = 3 * rng.standard_normal((N, C)), rng.integers(C, size=N)
    loss, cache = mlp.softmax_cross_entropy_forward(logits, targets)
    t = tensor(logits)
    expected = F.cross_entropy(t, torch.tensor(targets))
    (dout * expected).backward()
    got, want = mlp.softmax_cross_entropy_backward(dout, cache), t.grad.numpy()
    np.testing.assert_allclose(loss, expected.item(), rtol=RTOL, atol=1e-15)
    np.testing.assert_allclose(got, want, rtol=RTOL, atol=1e-15)  # with one class the gradient is 0 but for rounding


@settings(deadline=None, max_examples=50)
@given(shape=st.lists(st.integers(0, 4), max_size=3), seed=seeds, dout=st.floats(-3, 3))
def test_sse_agrees_with_torch(shape, seed, dout):
    rng = np.random.default_rng(seed)
    y, targets = rng.standard_normal(shape), rng.standard_normal(shape)
    loss, cache = mlp.sse_forward(y, targets)
    t = tensor(y)
    expected = 0.5 * F.mse_loss(t, torch.tensor(targets), reduction="sum")
    (dout * expected).backward()
    assert relative_error(loss, expected.item()) <= RTOL
    assert relative_error(mlp.sse_backward(dout, cache), t.grad) <= RTOL


# Whole networks

NETWORKS = [
    (layers, activation, output, loss)
    for layers, activation, (output, loss) in itertools.product(
        [(3, 2), (5, 4, 3), (1, 1, 1), (4, 7, 6, 5, 3), (2, 8, 8, 8, 8, 8, 2)],
        ["sigmoid", "tanh", "relu"],
        [("identity", "softmax_cross_entropy"), ("identity", "sse"), ("sigmoid", "sse"), ("tanh", "sse")],
    )
]


@pytest.mark.parametrize(("layers", "activation", "output", "loss"), NETWORKS)
def test_mlp_agrees_with_torch(layers, activation, output, loss):
    rng = np.random.default_rng(1)
    model = mlp.MLP(layers, activation, output, loss, seed=2)
    for p in model.parameters:
        p += 0.1 * rng.standard_normal(p.shape)  # so that biases are not 0
    x, targets = make_batch(rng, 8, layers, loss)

    ts = [tensor(p) for p in model.parameters]
    tx = h = tensor(x)
    depth = len(layers) - 1
    for i in range(depth):
        h = TORCH_ACTIVATION[output if i == depth - 1 else activation](h @ ts[2 * i] + ts[2 * i + 1])
    t_targets = torch.tensor(targets)
    expected = F.cross_entropy(h, t_targets) if loss != "sse" else 0.5 * ((h - t_targets) ** 2).sum()
    expected.backward()

    out, caches = model.forward(x)
    got, loss_cache = mlp.LOSSES[loss][0](out, targets)
    dx, gradients = model.backward(mlp.LOSSES[loss][1](1.0, loss_cache), caches)
    assert relative_error(out, h.detach()) <= RTOL
    if layers[-1] == 1 and loss != "sse":  # one class: loss and gradients are 0
        assert abs(got) <= 1e-15
        assert all(np.abs(g).max() <= 1e-15 for g in [dx, *gradients])
    else:
        assert relative_error(got, expected.item()) <= RTOL
        for g, t in zip([dx, *gradients], [tx, *ts], strict=True):
            assert relative_error(g, t.grad) <= RTOL
    got, again = model.loss_and_gradients(x, targets)
    for g, a in zip(gradients, again, strict=True):
        np.testing.assert_array_equal(g, a)


@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
@pytest.mark.parametrize("loss", LOSSES)
def test_mlp_agrees_with_numerical_differentiation(activation, loss):
    rng = np.random.default_rng(3)
    model = mlp.MLP((4, 5, 3, 2), activation, loss=loss, seed=4)
    x, targets = make_batch(rng, 6, model.sizes, loss)
    _, gradients = model.loss_and_gradients(x, targets)
    for p, g in zip(model.parameters, gradients, strict=True):
        assert relative_error(g, numerical_gradient(lambda: model.loss_and_gradients(x, targets)[0], p)) <= 1e-6


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_agree_with_numerical_differentiation(name):
    forward, backward = mlp.ACTIVATIONS[name]
    x = np.array([[-2.0, -0.5, 0.3], [0.01, 1.5, 3.0]])  # no entry within h of ReLU's kink
    _, cache = forward(x)
    assert relative_error(backward(np.ones_like(x), cache), numerical_gradient(lambda: forward(x)[0].sum(), x)) <= 1e-6


# Shapes, dtypes, seeds


@settings(deadline=None, max_examples=50)
@given(
    N=batches, layers=st.lists(sizes, min_size=2, max_size=5), dtype=dtypes, seed=seeds,
    activation=st.sampled_from(ACTIVATIONS), loss=st.sampled_from(LOSSES),
)  # fmt: skip
def test_mlp_keeps_shapes_and_dtype(N, layers, dtype, seed, activation, loss):
    model = mlp.MLP(layers, activation, loss=loss, seed=seed, dtype=dtype)
    x, targets = make_batch(np.random.default_rng(seed), N, layers, loss, dtype)
    out, _ = model.forward(x)
    value, gradients = model.loss_and_gradients(x, targets)
    assert out.shape == (N, layers[-1])
    assert out.dtype == value.dtype == dtype
    assert np.isfinite(value)
    for p, g in zip(model.parameters, gradients, strict=True):
        assert g.shape == p.shape
        assert g.dtype == p.dtype == dtype
    if N == 0:
        assert value == 0
        assert all((g == 0).all() for g in gradients)
    mlp.SGD(model.parameters, lr=0.1, momentum=0.9).step(gradients)
    assert all(p.dtype == dtype for p in model.parameters)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_pairs_keep_dtype(name, dtype):
    forward, backward = mlp.ACTIVATIONS[name]
    out, cache = forward(np.array([-1, 0, 2], dtype))
    assert out.dtype == dtype
    assert backward(np.ones(3, dtype), cache).dtype == dtype


def test_a_step_on_one_example_of_a_batch_is_a_batch_of_one():
    model = mlp.MLP((3, 4, 2), "tanh", loss="sse", seed=5)
    x, targets = make_batch(np.random.default_rng(6), 5, model.sizes, "sse")
    _, together = model.loss_and_gradients(x, targets)
    alone = [model.loss_and_gradients(x[[n]], targets[[n]])[1] for n in range(5)]
    for i, g in enumerate(together):
        np.testing.assert_allclose(g, sum(a[i] for a in alone), rtol=1e-12, atol=1e-14)


def test_forward_and_backward_change_no_argument():
    rng = np.random.default_rng(7)
    x, w, b, dout = (rng.standard_normal(shape) for shape in [(3, 4), (4, 2), (2,), (3, 2)])
    kept = [a.copy() for a in (x, w, b, dout)]
    out, cache = mlp.linear_forward(x, w, b)
    mlp.linear_backward(dout, cache)
    for forward, backward in mlp.ACTIVATIONS.values():
        _, cache = forward(out)
        backward(dout, cache)
    _, cache = mlp.softmax_cross_entropy_forward(x, np.array([0, 1, 2]))
    first = mlp.softmax_cross_entropy_backward(1.0, cache)
    np.testing.assert_array_equal(first, mlp.softmax_cross_entropy_backward(1.0, cache))
    for a, k in zip((x, w, b, dout), kept, strict=True):
        np.testing.assert_array_equal(a, k)


def test_same_seed_same_bytes():
    def run(seed):
        model = mlp.MLP((4, 8, 3), seed=seed, dtype=np.float32)
        x, targets = make_batch(np.random.default_rng(8), 50, model.sizes, "softmax_cross_entropy", np.float32)
        history = mlp.train(model, x, targets, epochs=3, batch_size=7, momentum=0.9, seed=seed)
        return b"".join(p.tobytes() for p in model.parameters), history

    assert run(0) == run(0)
    assert run(0)[0] != run(1)[0]


def test_initial_scale():
    relu, tanh = mlp.MLP((400, 500)), mlp.MLP((400, 500), "tanh")
    given_scale = mlp.MLP((400, 500), scale=3.0)
    assert relu.parameters[0].std() == pytest.approx(np.sqrt(2 / 400), rel=0.01)
    assert tanh.parameters[0].std() == pytest.approx(np.sqrt(1 / 400), rel=0.01)
    assert given_scale.parameters[0].std() == pytest.approx(3.0, rel=0.01)
    assert not relu.parameters[1].any()


# Numerical stability


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_huge_logits_are_exact(dtype):
    logits = np.array([[1e4, -1e4, 0], [-1e4, 1e4, 0], [1e4, 1e4, -1e4]], dtype)
    with np.errstate(all="raise", under="ignore"):
        loss, cache = mlp.softmax_cross_entropy_forward(logits, np.array([0, 0, 1]))
        dlogits = mlp.softmax_cross_entropy_backward(1.0, cache)
    assert loss == pytest.approx((0 + 2e4 + np.log(2)) / 3, rel=1e-6)
    np.testing.assert_allclose(dlogits, np.array([[0, 0, 0], [-1, 1, 0], [0.5, -0.5, 0]]) / 3, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_huge_activations_are_finite(name, dtype):
    forward, backward = mlp.ACTIVATIONS[name]
    x = np.array([-1e4, -100, 0, 100, 1e4], dtype)
    with np.errstate(all="raise", under="ignore"):
        out, cache = forward(x)
        dx = backward(np.ones_like(x), cache)
    expected = TORCH_ACTIVATION[name](torch.tensor(x)).numpy()
    np.testing.assert_allclose(out, expected, rtol=1e-6, atol=1e-37)
    assert np.isfinite(dx).all()


def test_sigmoid_keeps_its_small_tail():
    out, _ = mlp.sigmoid_forward(np.array([-40.0, -700.0]))
    np.testing.assert_allclose(out, np.exp([-40.0, -700.0]), rtol=1e-12)


# Training


def test_sgd_with_momentum_agrees_with_torch():
    rng = np.random.default_rng(9)
    p = [rng.standard_normal((2, 3)), rng.standard_normal(3)]
    ts = [tensor(a) for a in p]
    ours, theirs = mlp.SGD(p, lr=0.1, momentum=0.9), torch.optim.SGD(ts, lr=0.1, momentum=0.9)
    for _ in range(5):
        gradients = [rng.standard_normal(a.shape) for a in p]
        ours.step(gradients)
        for t, g in zip(ts, gradients, strict=True):
            t.grad = torch.tensor(g)
        theirs.step()
    for a, t in zip(p, ts, strict=True):
        assert relative_error(a, t.detach()) <= RTOL


def test_one_epoch_of_train_is_batches_in_shuffled_order():
    """train() equals the loop written out, with the learning rate falling to 0."""
    x, targets = make_batch(np.random.default_rng(10), 10, (3, 2), "sse")
    model, by_hand = (mlp.MLP((3, 4, 2), "tanh", loss="sse", seed=11) for _ in range(2))
    history = mlp.train(model, x, targets, epochs=1, batch_size=4, lr=0.05, momentum=0.5, decay=True, seed=12)
    order = np.random.default_rng(12).permutation(10)
    velocity = [np.zeros_like(p) for p in by_hand.parameters]
    losses = []
    for i, batch in enumerate([order[:4], order[4:8], order[8:]]):
        loss, gradients = by_hand.loss_and_gradients(x[batch], targets[batch])
        losses.append(loss)
        velocity = [0.5 * v + g for v, g in zip(velocity, gradients, strict=True)]
        for p, v in zip(by_hand.parameters, velocity, strict=True):
            p -= 0.05 * (1 - i / 3) * v
    assert history["loss"] == [pytest.approx(np.mean(losses), rel=1e-12)]
    for p, q in zip(model.parameters, by_hand.parameters, strict=True):
        np.testing.assert_allclose(p, q, rtol=1e-12)


def test_train_learns_xor_and_reports_held_out_accuracy():
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])  # integers: the model converts its inputs
    targets = np.array([[0], [1], [1], [0]])
    model = mlp.MLP((2, 8, 1), "tanh", "sigmoid", "sse", scale=1.0, seed=0)
    history = mlp.train(model, x, targets, epochs=500, batch_size=4, lr=0.5, momentum=0.9, held_out=(x, targets[:, 0]))
    assert len(history["loss"]) == len(history["accuracy"]) == 500
    assert history["loss"][-1] < 0.01
    assert history["accuracy"][-1] == mlp.accuracy(model, x, targets[:, 0]) == 1.0


# Errors: what was given, what was expected, which argument

x42, w23, b3 = np.ones((4, 2)), np.ones((2, 3)), np.ones(3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mlp.linear_forward(np.ones((4, 5)), w23, b3), "x has 5 columns, w expects 2"),
        (lambda: mlp.linear_forward(np.ones(2), w23, b3), r"x has shape \(2,\)"),
        (lambda: mlp.linear_forward(x42, np.ones(2), b3), r"w \(2,\); expected x \(N, D\)"),
        (lambda: mlp.linear_forward(x42, w23, np.ones((1, 3))), r"b has shape \(1, 3\)"),
        (lambda: mlp.linear_forward(np.ones((4, 2), int), w23, b3), "x has dtype int64"),
        (
            lambda: mlp.linear_backward(np.ones((4, 2)), mlp.linear_forward(x42, w23, b3)[1]),
            r"dout .*\(4, 3\)",
        ),
        (lambda: mlp.sigmoid_forward(np.ones(2, complex)), "x has dtype complex128"),
        (lambda: mlp.softmax_cross_entropy_forward(np.ones(3), np.array([0])), r"logits has shape \(3,\)"),
        (lambda: mlp.softmax_cross_entropy_forward(np.ones((3, 0)), np.zeros(3, int)), "C at least 1"),
        (lambda: mlp.softmax_cross_entropy_forward(x42, np.array([0])), r"targets has shape \(1,\)"),
        (lambda: mlp.softmax_cross_entropy_forward(x42, np.zeros(4)), "targets has dtype float64"),
        (
            lambda: mlp.softmax_cross_entropy_forward(x42, np.array([0, 1, 2, 0])),
            "classes 0 to 2; expected 0 to 1",
        ),
        (lambda: mlp.softmax_cross_entropy_forward(x42, np.array([0, 1, -1, 0])), "classes -1 to 1"),
        (lambda: mlp.sse_forward(np.ones((4, 1)), np.ones(4)), r"targets has shape \(4,\); .* \(4, 1\)"),
        (lambda: mlp.sse_forward(np.ones(4, int), np.ones(4)), "y has dtype int64"),
        (lambda: mlp.MLP((3,)), r"sizes is \(3,\)"),
        (lambda: mlp.MLP((3, 0, 2)), r"sizes is \(3, 0, 2\)"),
        (lambda: mlp.MLP((3, 2), "swish"), "activation is 'swish'; expected one of identity, sigmoid"),
        (lambda: mlp.MLP((3, 2), output="softmax"), "output is 'softmax'"),
        (lambda: mlp.MLP((3, 2), loss="mse"), "loss is 'mse'; expected one of softmax_cross_entropy, sse"),
        (lambda: mlp.MLP((3, 2), dtype=int), "dtype is int64"),
        (lambda: mlp.SGD([b3], lr=0), "lr is 0; expected a positive number"),
        (lambda: mlp.SGD([b3], lr=np.nan), "lr is nan"),
        (lambda: mlp.SGD([b3], lr=1, momentum=1), "momentum is 1"),
        (lambda: mlp.SGD([b3], lr=1).step([np.ones(2)]), r"gradients has shapes \[\(2,\)\]"),
        (lambda: mlp.SGD([b3], lr=1).step([]), "gradients has shapes"),
        (lambda: mlp.train(mlp.MLP((2, 2)), x42, np.zeros(3, int)), "x has 4 examples, targets 3"),
        (lambda: mlp.train(mlp.MLP((2, 2)), x42[:0], np.zeros(0, int)), "x has 0 examples"),
        (lambda: mlp.train(mlp.MLP((2, 2)), x42, np.zeros(4, int), batch_size=0), "batch_size is 0"),
    ],
)
def test_wrong_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_backward_names_a_gradient_of_the_wrong_shape(name):
    forward, backward = mlp.ACTIVATIONS[name]
    _, cache = forward(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"dout has shape \(3, 2\); .* \(2, 3\)"):
        backward(np.ones((3, 2)), cache)
