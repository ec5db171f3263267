"""Normalisation against torch in float64, forward, backward and running statistics; adaptive clipping; the network."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcourse import norm, optim, train

torch = pytest.importorskip("torch")
F = torch.nn.functional

SHAPES = [(4, 3), (2, 1), (1, 3, 5), (3, 1, 4), (2, 6, 3, 4), (1, 2, 2, 2), (2, 4, 2, 3, 2), (5, 700), (70, 4, 9, 9)]


def arrays(shape, dtype=np.float64, seed=0, offset=0.0):
    rng = np.random.default_rng(seed)
    drawn = (rng.normal(size=shape) + offset, *rng.normal(size=(2, shape[1])), rng.normal(size=shape))
    return tuple(a.astype(dtype) for a in drawn)


def torchs(function, x, gamma, beta, dout):
    leaves = [torch.tensor(a, requires_grad=True) for a in (x, gamma, beta)]
    out = function(*leaves)
    out.backward(torch.tensor(dout))
    return [out.detach().numpy(), *(leaf.grad.numpy() for leaf in leaves)]


def close(ours, theirs, rtol=1e-9):
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * max(1.0, float(np.abs(b).max())))


# --------------------------------------------------------------------------------------------- agreement with torch


@pytest.mark.parametrize("offset", [0.0, 1000.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_batch_norm_is_torchs(shape, offset):
    x, gamma, beta, dout = arrays(shape, offset=offset)
    out, cache = norm.batch_norm_forward(x, gamma, beta)
    theirs = torchs(lambda x, g, b: F.batch_norm(x, None, None, g, b, True), x, gamma, beta, dout)
    close([out, *norm.batch_norm_backward(dout, cache)], theirs, rtol=1e-9 if offset == 0 else 1e-7)


@pytest.mark.parametrize("momentum", [0.1, 0.5, 1.0, None])
@pytest.mark.parametrize("shape", [(4, 3), (2, 1), (1, 3, 5), (2, 6, 3, 4)])
def test_running_statistics_are_torchs(shape, momentum):
    kind = {2: torch.nn.BatchNorm1d, 3: torch.nn.BatchNorm1d, 4: torch.nn.BatchNorm2d}[len(shape)]
    layer = kind(shape[1], momentum=momentum, dtype=torch.float64)
    running = norm.Running.start(shape[1])
    for seed in range(5):
        x, gamma, beta, _ = arrays(shape, seed=seed, offset=seed)
        _, cache = norm.batch_norm_forward(x, gamma, beta)
        before = running
        running = norm.update_running(running, cache, momentum)
        assert before.batches == seed and running.batches == seed + 1
        layer(torch.tensor(x))
    close([running.mean, running.var], [layer.running_mean.numpy(), layer.running_var.numpy()])


@pytest.mark.parametrize("shape", [*SHAPES, (1, 3), (1, 1), (1, 2, 1)])
def test_batch_norm_at_test_time_is_torchs(shape):
    x, gamma, beta, dout = arrays(shape)
    rng = np.random.default_rng(1)
    mean, var = rng.normal(size=shape[1]), rng.random(shape[1])
    out, cache = norm.batch_norm_forward(x, gamma, beta, norm.Running(mean, var))
    held = torch.tensor(mean), torch.tensor(var)
    theirs = torchs(lambda x, g, b: F.batch_norm(x, *held, g, b, False), x, gamma, beta, dout)
    close([out, *norm.batch_norm_backward(dout, cache)], theirs)


@pytest.mark.parametrize(
    "shape, features", [((4, 3), 1), ((1, 5), 1), ((3, 1), 1), ((2, 5, 8), 1), ((2, 3, 4, 5), 3), ((1, 2, 1), 2)]
)
def test_layer_norm_is_torchs(shape, features):
    rng = np.random.default_rng(0)
    x, dout = rng.normal(size=(2, *shape))
    gamma, beta = rng.normal(size=(2, *shape[-features:]))
    out, cache = norm.layer_norm_forward(x, gamma, beta)
    theirs = torchs(lambda x, g, b: F.layer_norm(x, shape[-features:], g, b), x, gamma, beta, dout)
    close([out, *norm.layer_norm_backward(dout, cache)], theirs)


@pytest.mark.parametrize("shape", [(4, 6), (1, 6, 5), (3, 12, 4, 2), (2, 6, 1, 1), (2, 6, 3, 2, 2)])
@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_group_norm_is_torchs(shape, groups):
    x, gamma, beta, dout = arrays(shape)
    out, cache = norm.group_norm_forward(x, gamma, beta, groups)
    theirs = torchs(lambda x, g, b: F.group_norm(x, groups, g, b), x, gamma, beta, dout)
    close([out, *norm.group_norm_backward(dout, cache)], theirs)


@pytest.mark.parametrize("shape", [(1, 1, 2), (4, 3, 5), (2, 3, 4, 5), (1, 2, 3, 2, 2)])
def test_instance_norm_is_torchs(shape):
    x, gamma, beta, dout = arrays(shape)
    out, cache = norm.instance_norm_forward(x, gamma, beta)
    theirs = torchs(lambda x, g, b: F.instance_norm(x, weight=g, bias=b), x, gamma, beta, dout)
    close([out, *norm.instance_norm_backward(dout, cache)], theirs)


def test_one_batch_of_one_image_is_instance_norm():
    x, gamma, beta, _ = arrays((1, 3, 4, 4))
    np.testing.assert_allclose(
        norm.batch_norm_forward(x, gamma, beta)[0], norm.instance_norm_forward(x, gamma, beta)[0], rtol=1e-12
    )


# ---------------------------------------------------------------------------------------- gradients, dtypes, shapes

KINDS = {
    "batch": (norm.batch_norm_forward, norm.batch_norm_backward),
    "layer": (norm.layer_norm_forward, norm.layer_norm_backward),
    "group": (lambda x, g, b: norm.group_norm_forward(x, g, b, 2), norm.group_norm_backward),
}


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_small_differences(kind):
    forward, backward = KINDS[kind]
    x, gamma, beta, dout = arrays((4, 6))
    gradients = backward(dout, forward(x, gamma, beta)[1])
    for which, gradient in enumerate(gradients):
        for index in np.ndindex(gradient.shape):
            values = []
            for step in (1e-6, -1e-6):
                moved = [x.copy(), gamma.copy(), beta.copy()]
                moved[which][index] += step
                values.append(np.sum(forward(*moved)[0] * dout))
            assert (values[0] - values[1]) / 2e-6 == pytest.approx(gradient[index], rel=1e-5, abs=1e-6)


@given(
    st.integers(1, 5), st.integers(1, 4), st.lists(st.integers(1, 4), max_size=3),
    st.sampled_from([np.float32, np.float64]), st.integers(0, 99),
)  # fmt: skip
@settings(max_examples=80, deadline=None)
def test_any_shape_has_mean_zero_and_torchs_numbers(N, C, space, dtype, seed):
    shape = (N, 2 * C, *space)
    x, gamma, beta, dout = arrays(shape, dtype, seed)
    if N * int(np.prod(space)) > 1:
        out, cache = norm.batch_norm_forward(x, gamma, beta)
        dx, _, _ = norm.batch_norm_backward(dout, cache)
        axes = (0, *range(2, x.ndim))
        np.testing.assert_allclose(out.mean(axis=axes), beta, atol=1e-4)
        assert out.dtype == dx.dtype == dtype and np.abs(dx.sum(axis=axes)).max() < 1e-2 * max(1, np.abs(dx).max())
        theirs = F.batch_norm(torch.tensor(x), None, None, torch.tensor(gamma), torch.tensor(beta), True).numpy()
        np.testing.assert_allclose(out, theirs, rtol=1e-3, atol=1e-3)
    out, cache = norm.group_norm_forward(x, gamma, beta, 2)
    assert all(a.dtype == dtype for a in (out, *norm.group_norm_backward(dout, cache)))
    assert out.shape == shape


def test_strided_and_reversed_inputs_give_the_same():
    x, gamma, beta, dout = arrays((4, 6, 5))
    want, cache = norm.batch_norm_forward(x, gamma, beta)
    wide = np.zeros((8, 6, 10))
    wide[::2, :, ::2] = x
    got, other = norm.batch_norm_forward(wide[::2, :, ::2], gamma, beta)
    np.testing.assert_allclose(got, want, rtol=1e-12)
    for a, b in zip(norm.batch_norm_backward(dout, cache), norm.batch_norm_backward(dout, other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-14)


def test_inputs_stay_as_they_are():
    given = arrays((3, 4, 2))
    x, gamma, beta, dout = (a.copy() for a in given)
    for forward, backward in (KINDS["batch"], KINDS["group"]):
        backward(dout, forward(x, gamma, beta)[1])
    for a, b in zip((x, gamma, beta, dout), given, strict=True):
        np.testing.assert_array_equal(a, b)


def test_layer_norm_of_one_feature_is_beta():
    out, cache = norm.layer_norm_forward(np.array([[3.0], [5.0]]), np.array([2.0]), np.array([0.5]))
    np.testing.assert_array_equal(out, 0.5)
    np.testing.assert_array_equal(norm.layer_norm_backward(np.ones((2, 1)), cache)[0], 0.0)


X, ONE = np.zeros((4, 6)), np.ones(6)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: norm.batch_norm_forward(X.astype(int), ONE, ONE), "x has dtype int64"),
        (lambda: norm.batch_norm_forward(X[0], ONE, ONE), r"x has shape \(6,\)"),
        (lambda: norm.batch_norm_forward(X[:0], ONE, ONE), r"x has shape \(0, 6\)"),
        (lambda: norm.batch_norm_forward(X[:1], ONE, ONE), "one value a channel"),
        (lambda: norm.batch_norm_forward(X, ONE[:5], ONE[:5]), r"gamma has shape \(5,\); x has 6 channels"),
        (lambda: norm.batch_norm_forward(X, ONE, ONE[:5]), "beta has shape"),
        (lambda: norm.batch_norm_forward(X, ONE.astype("f4"), ONE), "gamma has dtype float32, x float64"),
        (lambda: norm.batch_norm_forward(X, ONE, ONE, eps=-1), "eps is -1"),
        (lambda: norm.batch_norm_forward(X, ONE, ONE, norm.Running.start(5)), "running.mean has shape"),
        (lambda: norm.batch_norm_backward(X[:3], norm.batch_norm_forward(X, ONE, ONE)[1]), "dout has shape"),
        (lambda: norm.layer_norm_forward(X, ONE[:5], ONE[:5]), r"gamma has shape \(5,\); expected the last axes"),
        (lambda: norm.layer_norm_forward(X, np.ones((4, 6)), np.ones((4, 6))), "gamma has shape"),
        (lambda: norm.layer_norm_backward(X[:3], norm.layer_norm_forward(X, ONE, ONE)[1]), "dout has shape"),
        (lambda: norm.group_norm_forward(X, ONE, ONE, 4), "groups is 4"),
        (lambda: norm.group_norm_forward(X, ONE, ONE, 0), "groups is 0"),
        (lambda: norm.group_norm_forward(X[:, :0], ONE[:0], ONE[:0], 1), "x has shape"),
        (lambda: norm.instance_norm_forward(X, ONE, ONE), "one value a channel of an example"),
        (lambda: norm.update_running(norm.Running.start(6), norm.batch_norm_forward(X, ONE, ONE)[1], 2), "momentum"),
        (lambda: norm.adaptive_clip([X], [X], limit=0), "limit is 0"),
        (lambda: norm.adaptive_clip([X], [X[0]]), "gradients has shapes"),
        (lambda: norm.NormMLP((2, 3, 2), "weight"), "norm is 'weight'"),
        (lambda: norm.NormMLP((2, 3, 2), None, train_only="norm"), "train_only is 'norm'"),
        (lambda: norm.NormMLP((2, 2)), "sizes is"),
    ],
)
def test_what_does_not_fit_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_running_statistics_are_gathered_in_training_only():
    cache = norm.batch_norm_forward(X, ONE, ONE, norm.Running.start(6))[1]
    with pytest.raises(ValueError, match="cache is from test time"):
        norm.update_running(norm.Running.start(6), cache)


# ---------------------------------------------------------------------------------------------- adaptive clipping


@pytest.mark.parametrize("shape", [(5, 3), (4, 2, 3, 3), (6,), (3, 1)])
def test_clipped_units_have_the_allowed_length(shape):
    rng = np.random.default_rng(0)
    p, g = rng.normal(size=(2, *shape))
    (clipped,) = norm.adaptive_clip([p], [g], limit=0.1)
    units = (lambda a: a[None]) if len(shape) == 1 else (lambda a: a.T) if len(shape) == 2 else (lambda a: a)
    for w, before, after in zip(units(p), units(g), units(clipped), strict=True):
        allowed = 0.1 * np.linalg.norm(w)
        assert np.linalg.norm(after) == pytest.approx(min(np.linalg.norm(before), allowed))
        np.testing.assert_allclose(after / np.linalg.norm(after), before / np.linalg.norm(before))


def test_small_gradients_pass_and_zero_weights_still_move():
    p, g = np.ones((3, 2)), np.full((3, 2), 1e-4)
    np.testing.assert_array_equal(norm.adaptive_clip([p], [g])[0], g)
    (clipped,) = norm.adaptive_clip([np.zeros((3, 2))], [np.ones((3, 2))], limit=0.5, eps=1e-2)
    np.testing.assert_allclose(np.linalg.norm(clipped, axis=0), 0.005)


def test_torchs_layout_is_the_transpose():
    rng = np.random.default_rng(0)
    p, g = rng.normal(size=(2, 5, 3))
    (ours,), (turned,) = norm.adaptive_clip([p], [g]), norm.adaptive_clip([p.T], [g.T], rows=True)
    np.testing.assert_allclose(ours, turned.T)


# ---------------------------------------------------------------------------------------------------- the network


@pytest.mark.parametrize("kind", ["batch", "layer", "group", None])
def test_the_network_s_gradients_are_torchs(kind):
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(7, 5)), rng.integers(0, 3, 7)
    model = norm.NormMLP((5, 6, 4, 3), kind, groups=2, seed=1)
    loss, gradients = model.loss_and_gradients(x, t)
    p = [torch.tensor(a, requires_grad=True) for a in model.parameters]
    rest, h = list(p), torch.tensor(x)
    for _ in range(2):
        h = h @ rest.pop(0) + rest.pop(0)
        if kind:
            g, b = rest.pop(0), rest.pop(0)
            h = {
                "batch": lambda h, g, b: F.batch_norm(h, None, None, g, b, True),
                "layer": lambda h, g, b: F.layer_norm(h, h.shape[1:], g, b),
                "group": lambda h, g, b: F.group_norm(h, 2, g, b),
            }[kind](h, g, b)
        h = torch.relu(h)
    wanted = F.cross_entropy(h @ rest[0] + rest[1], torch.tensor(t))
    wanted.backward()
    assert float(loss) == pytest.approx(wanted.item(), rel=1e-12)
    for ours, theirs in zip(gradients, p, strict=True):
        np.testing.assert_allclose(ours, theirs.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_only_gamma_and_beta_are_trained():
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(60, 4)), rng.integers(0, 2, 60)
    model = norm.NormMLP((4, 16, 2), train_only="norm", seed=0)
    frozen = [layer["w"].copy() for layer in model.layers]
    before = model.loss_and_gradients(x, t)[0]
    train.fit(model, (x, t), optim.Adam(model.parameters, lr=0.05), epochs=20, progress=False)
    assert [p.shape for p in model.parameters] == [(16,), (16,)]
    assert model.loss_and_gradients(x, t)[0] < before - 0.05
    for layer, w in zip(model.layers, frozen, strict=True):
        np.testing.assert_array_equal(layer["w"], w)


def test_testing_changes_nothing_and_drops_nothing():
    x = np.random.default_rng(0).normal(size=(8, 4))
    model = norm.NormMLP((4, 6, 2), dropout=0.5, seed=0)
    running = model.running[0]
    np.testing.assert_array_equal(model.forward(x)[0], model.forward(x)[0])
    assert model.running[0] is running
    np.testing.assert_array_equal(model.forward(x[:1])[0][0], model.forward(x)[0][0])
    assert np.abs(model.forward(x, dropping=True)[0] - model.forward(x, dropping=True)[0]).max() > 0
    assert model.running[0] is running


def test_targets_may_be_shares():
    x = np.random.default_rng(0).normal(size=(6, 4))
    model = norm.NormMLP((4, 5, 3), "layer", seed=0)
    t = np.array([0, 1, 2, 0, 1, 2])
    assert model.loss_and_gradients(x, np.eye(3)[t])[0] == pytest.approx(model.loss_and_gradients(x, t)[0])
