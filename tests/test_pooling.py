"""Pooling by hand: agreement with torch to 1e-9, ties included; numerical gradients; receptive fields; messages."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcourse import pooling

EXACT = {"rtol": 1e-9, "atol": 1e-9}


def with_gradient(function, x, *, dout=None, seed=0):
    """torch's output and the gradients of its inputs, for a random dout."""
    inputs = [torch.tensor(a, requires_grad=True) for a in (x if isinstance(x, tuple) else (x,))]
    out = function(*inputs)
    dout = np.random.default_rng(seed).normal(size=tuple(out.shape)) if dout is None else dout
    out.backward(torch.tensor(dout, dtype=out.dtype))
    return out.detach().numpy(), dout, [a.grad.numpy() for a in inputs]


def numerical(f, x, dout, eps=1e-6):
    dx = np.zeros_like(x)
    for index in np.ndindex(*x.shape):
        up, down = x.copy(), x.copy()
        up[index] += eps
        down[index] -= eps
        dx[index] = ((f(up) - f(down)) * dout).sum() / (2 * eps)
    return dx


@st.composite
def windows(draw):
    """x with or without ties, and options that fit it."""
    kernel = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    stride = draw(st.none() | st.tuples(st.integers(1, 4), st.integers(1, 4)))
    shape = (draw(st.integers(0, 2)), draw(st.integers(1, 3)), *(draw(st.integers(k, 9)) for k in kernel))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    x = rng.integers(-1, 2, shape).astype(float) if draw(st.booleans()) else rng.normal(size=shape)
    return x, {"kernel": kernel, "stride": stride, "padding": padding}


class TestMaximum:
    def test_by_hand_with_a_tie(self):
        x = np.array([[1.0, 2, 5, 0], [2, 0, 3, 5]]).reshape(1, 1, 2, 4)
        out, cache = pooling.max_pool2d_forward(x, 2)
        np.testing.assert_array_equal(out, [[[[2, 5]]]])
        dx = pooling.max_pool2d_backward(np.array([[[[10.0, 7]]]]), cache)
        np.testing.assert_array_equal(dx, [[[[0, 10, 7, 0], [0, 0, 0, 0]]]])

    @settings(deadline=None, max_examples=60)
    @given(windows())
    def test_is_torch_s_ties_included(self, drawn):
        x, options = drawn
        out, cache = pooling.max_pool2d_forward(x, **options)
        if len(x) == 0:
            assert out.shape[:2] == x.shape[:2] and pooling.max_pool2d_backward(out, cache).shape == x.shape
            return
        torchs = lambda a: F.max_pool2d(a, options["kernel"], options["stride"], options["padding"])  # noqa: E731
        want, dout, (dx,) = with_gradient(torchs, x)
        np.testing.assert_allclose(out, want, **EXACT)
        np.testing.assert_allclose(pooling.max_pool2d_backward(dout, cache), dx, **EXACT)

    @settings(deadline=None, max_examples=30)
    @given(windows())
    def test_is_the_loops(self, drawn):
        x, options = drawn
        out, cache = pooling.max_pool2d_forward(x, **options)
        np.testing.assert_array_equal(out, pooling.max_pool2d_loops(x, **options))
        dout = np.random.default_rng(0).normal(size=out.shape)
        want = pooling.max_pool2d_loops_backward(dout, x, **options)
        np.testing.assert_allclose(pooling.max_pool2d_backward(dout, cache), want, **EXACT)

    def test_numerical_gradient(self):
        x = np.random.default_rng(0).permutation(2 * 2 * 5 * 6).reshape(2, 2, 5, 6) / 10  # no ties
        out, cache = pooling.max_pool2d_forward(x, 3, stride=2, padding=1)
        dout = np.random.default_rng(1).normal(size=out.shape)
        want = numerical(lambda a: pooling.max_pool2d_forward(a, 3, stride=2, padding=1)[0], x, dout)
        np.testing.assert_allclose(pooling.max_pool2d_backward(dout, cache), want, atol=1e-6)

    def test_nan_shows_in_its_window_alone(self):
        x = np.zeros((1, 1, 2, 4))
        x[0, 0, 1, 0] = np.nan
        out, _ = pooling.max_pool2d_forward(x, 2)
        assert np.isnan(out[0, 0, 0, 0]) and out[0, 0, 0, 1] == 0

    def test_everything_at_minus_infinity_stays_there(self):
        out, _ = pooling.max_pool2d_forward(np.full((1, 1, 4, 4), -np.inf), 2, padding=1)
        assert (out == -np.inf).all()


class TestAverage:
    @settings(deadline=None, max_examples=60)
    @given(windows(), st.booleans())
    def test_is_torch_s(self, drawn, count_padding):
        x, options = drawn
        out, cache = pooling.avg_pool2d_forward(x, **options, count_padding=count_padding)
        if len(x) == 0:
            assert pooling.avg_pool2d_backward(out, cache).shape == x.shape
            return
        torchs = lambda a: F.avg_pool2d(  # noqa: E731
            a, options["kernel"], options["stride"], options["padding"], count_include_pad=count_padding
        )
        want, dout, (dx,) = with_gradient(torchs, x)
        np.testing.assert_allclose(out, want, **EXACT)
        np.testing.assert_allclose(pooling.avg_pool2d_backward(dout, cache), dx, **EXACT)

    def test_numerical_gradient(self):
        x = np.random.default_rng(0).normal(size=(2, 2, 5, 5))
        options = {"kernel": 3, "stride": 2, "padding": 1, "count_padding": False}
        out, cache = pooling.avg_pool2d_forward(x, **options)
        want = numerical(lambda a: pooling.avg_pool2d_forward(a, **options)[0], x, np.ones_like(out))
        np.testing.assert_allclose(pooling.avg_pool2d_backward(np.ones_like(out), cache), want, atol=1e-6)


class TestGlobalAndAdaptive:
    @settings(deadline=None, max_examples=40)
    @given(st.tuples(*(st.integers(1, 7) for _ in range(4))), st.integers(1, 8), st.integers(1, 8), st.booleans())
    def test_are_torch_s_ties_included(self, shape, rows, columns, ties):
        rng = np.random.default_rng(sum(shape))
        x = rng.integers(0, 3, shape).astype(float) if ties else rng.normal(size=shape)
        pairs = [
            (pooling.adaptive_avg_pool2d_forward, pooling.adaptive_avg_pool2d_backward, F.adaptive_avg_pool2d),
            (pooling.adaptive_max_pool2d_forward, pooling.adaptive_max_pool2d_backward, F.adaptive_max_pool2d),
        ]
        for forward, backward, torchs in pairs:
            out, cache = forward(x, (rows, columns))
            want, dout, (dx,) = with_gradient(lambda a, f=torchs: f(a, (rows, columns)), x)
            np.testing.assert_allclose(out, want, **EXACT)
            np.testing.assert_allclose(backward(dout, cache), dx, **EXACT)

    def test_global_is_adaptive_with_one_window(self):
        x = np.random.default_rng(0).integers(0, 4, (2, 3, 5, 4)).astype(float)
        dout = np.random.default_rng(1).normal(size=(2, 3))
        for kind in ("avg", "max"):
            out, cache = getattr(pooling, f"global_{kind}_pool_forward")(x)
            other, other_cache = getattr(pooling, f"adaptive_{kind}_pool2d_forward")(x, 1)
            np.testing.assert_allclose(out, other[:, :, 0, 0], **EXACT)
            dx = getattr(pooling, f"global_{kind}_pool_backward")(dout, cache)
            want = getattr(pooling, f"adaptive_{kind}_pool2d_backward")(dout[:, :, None, None], other_cache)
            np.testing.assert_allclose(dx, want, **EXACT)

    def test_bins_cover_everything_and_leave_nothing_out(self):
        for size in range(1, 12):
            for out in range(1, 12):
                made = pooling.bins(size, out)
                assert len(made) == out
                assert {i for b in made for i in range(size)[b]} == set(range(size))
                assert all(b.stop > b.start for b in made)


class TestStridedAndLearned:
    def test_strided_is_what_a_stride_leaves_of_a_convolution(self):
        from dlcourse import conv

        rng = np.random.default_rng(0)
        x, w = rng.normal(size=(2, 3, 9, 8)), rng.normal(size=(4, 3, 3, 3))
        every, _ = conv.conv2d_forward(x, w)
        want, _ = conv.conv2d_forward(x, w, stride=(2, 3))
        np.testing.assert_allclose(pooling.strided_pool2d_forward(every, (2, 3))[0], want, **EXACT)

    def test_strided_gradient(self):
        x = np.random.default_rng(0).normal(size=(2, 3, 5, 7))
        out, cache = pooling.strided_pool2d_forward(x, (2, 3))
        want, dout, (dx,) = with_gradient(lambda a: a[:, :, ::2, ::3], x)
        np.testing.assert_array_equal(out, want)
        np.testing.assert_allclose(pooling.strided_pool2d_backward(dout, cache), dx, **EXACT)

    def test_subsampling_is_torch_s(self):
        rng = np.random.default_rng(0)
        x, w, b = rng.normal(size=(2, 3, 6, 8)), rng.normal(size=3), rng.normal(size=3)
        out, cache = pooling.subsample2d_forward(x, w, b)
        torchs = lambda x, w, b: 4 * F.avg_pool2d(x, 2) * w[:, None, None] + b[:, None, None]  # noqa: E731
        want, dout, gradients = with_gradient(torchs, (x, w, b))
        np.testing.assert_allclose(out, want, **EXACT)
        for got, wanted in zip(pooling.subsample2d_backward(dout, cache), gradients, strict=True):
            np.testing.assert_allclose(got, wanted, **EXACT)

    @pytest.mark.parametrize("stride", [None, 1, (2, 1)])
    def test_learned_pooling_is_torch_s(self, stride):
        rng = np.random.default_rng(0)
        x, w = rng.normal(size=(2, 3, 6, 8)), rng.normal(size=(3, 2, 3))
        out, cache = pooling.learned_pool2d_forward(x, w, stride)
        step = (2, 3) if stride is None else stride
        torchs = lambda x, w: F.conv2d(x, w[:, None], stride=step, groups=3)  # noqa: E731
        want, dout, gradients = with_gradient(torchs, (x, w))
        np.testing.assert_allclose(out, want, **EXACT)
        for got, wanted in zip(pooling.learned_pool2d_backward(dout, cache), gradients, strict=True):
            np.testing.assert_allclose(got, wanted, **EXACT)

    def test_equal_weights_are_average_pooling(self):
        x = np.random.default_rng(0).normal(size=(2, 3, 6, 6))
        got = pooling.learned_pool2d_forward(x, np.full((3, 2, 2), 0.25))[0]
        np.testing.assert_allclose(got, pooling.avg_pool2d_forward(x, 2)[0], **EXACT)


FAMILY = [
    lambda x: (pooling.max_pool2d_forward(x, 2), pooling.max_pool2d_backward),
    lambda x: (pooling.avg_pool2d_forward(x, 2, padding=1, count_padding=False), pooling.avg_pool2d_backward),
    lambda x: (pooling.global_avg_pool_forward(x), pooling.global_avg_pool_backward),
    lambda x: (pooling.global_max_pool_forward(x), pooling.global_max_pool_backward),
    lambda x: (pooling.adaptive_avg_pool2d_forward(x, 3), pooling.adaptive_avg_pool2d_backward),
    lambda x: (pooling.adaptive_max_pool2d_forward(x, 3), pooling.adaptive_max_pool2d_backward),
    lambda x: (pooling.strided_pool2d_forward(x, 2), pooling.strided_pool2d_backward),
    lambda x: (
        pooling.subsample2d_forward(x, np.ones(x.shape[1], x.dtype), np.zeros(x.shape[1], x.dtype)),
        lambda d, c: pooling.subsample2d_backward(d, c)[0],
    ),
]


@pytest.mark.parametrize("pool", FAMILY)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("n", [0, 2])
def test_dtype_and_empty_batches_are_kept(pool, dtype, n):
    x = np.ones((n, 3, 4, 5), dtype)
    (out, cache), backward = pool(x)
    assert out.dtype == dtype and len(out) == n
    dx = backward(np.ones_like(out), cache)
    assert dx.shape == x.shape and dx.dtype == dtype


@pytest.mark.parametrize("pool", FAMILY)
def test_a_gradient_of_another_shape_or_dtype_is_refused(pool):
    (out, cache), backward = pool(np.ones((2, 3, 4, 4)))
    for wrong in (out[:1], out.astype(np.float32)):
        with pytest.raises(ValueError, match="dout"):
            backward(wrong, cache)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: pooling.max_pool2d_forward(x[0], 2), "x has shape"),
        (lambda x: pooling.max_pool2d_forward(x.astype(int), 2), "x has dtype int64"),
        (lambda x: pooling.max_pool2d_forward(x, 0), "kernel is 0"),
        (lambda x: pooling.max_pool2d_forward(x, 2, stride=0), "stride is 0"),
        (lambda x: pooling.max_pool2d_forward(x, 2, padding=-1), "padding is -1"),
        (lambda x: pooling.max_pool2d_forward(x, 2, padding=2), "at most half of the kernel"),
        (lambda x: pooling.avg_pool2d_forward(x, 7), "kernel reaches over 7 pixels"),
        (lambda x: pooling.adaptive_avg_pool2d_forward(x, 0), "out_size is 0"),
        (lambda x: pooling.global_avg_pool_forward(x[:, :, :0]), "at least one pixel"),
        (lambda x: pooling.strided_pool2d_forward(x, (1, 2, 3)), "stride is"),
        (lambda x: pooling.subsample2d_forward(x, np.ones(2), np.ones(3)), "w is float64 of shape"),
        (lambda x: pooling.subsample2d_forward(x, np.ones(3), np.ones(3, np.float32)), "b is float32"),
        (lambda x: pooling.learned_pool2d_forward(x, np.ones((2, 2, 2))), "w has 2 windows"),
        (lambda x: pooling.bins(0, 2), "size is 0"),
        (lambda x: pooling.receptive_field([()]), "a layer is"),
        (lambda x: pooling.receptive_field([(0,)]), "kernel is 0"),
    ],
)
def test_wrong_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call(np.ones((2, 3, 4, 4)))


class TestReceptiveField:
    def test_by_hand(self):
        assert pooling.receptive_field([]) == (1, 1, 0)
        assert pooling.receptive_field([(3,), (3,)]) == (5, 1, 0)
        assert pooling.receptive_field([(5, 1, 2), (2, 2), (5,), (2, 2)]) == (16, 4, -2)  # LeNet
        assert pooling.receptive_field([(3, 1, 2, 2)]) == (5, 1, -2)

    @settings(deadline=None, max_examples=50)
    @given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2)), max_size=4))
    def test_is_what_the_windows_reach_counted_one_by_one(self, layers):
        field = pooling.receptive_field(layers)
        for unit in (0, 3):
            reached = {unit}
            for kernel, stride, padding, dilation in reversed(layers):
                reached = {u * stride - padding + i * dilation for u in reached for i in range(kernel)}
            start = field.start + unit * field.jump
            assert (min(reached), max(reached)) == (start, start + field.size - 1)
