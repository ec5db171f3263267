"""Bumps against torch, regions against Zaslavsky and against brute force, minimum norm against torch and descent."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcourse import approximation as ap
from dlcourse import data, mlp

torch = pytest.importorskip("torch")


def output(parameters, x, activation="relu"):
    return ap.network(parameters, activation).forward(x)[0]


# ------------------------------------------------------------------------------------------------------------- bumps


def test_bumps_and_their_gradients_are_torchs():
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(n) for n in (7, 3, 3, 3)]
    x, left, right, height = (torch.tensor(a, requires_grad=True) for a in arrays)
    theirs = (torch.sigmoid(4 * (x[:, None] - left)) - torch.sigmoid(4 * (x[:, None] - right))) @ height
    dout = rng.standard_normal(7)
    theirs.backward(torch.tensor(dout))
    out, cache = ap.bumps_forward(*arrays, steepness=4)
    np.testing.assert_allclose(out, theirs.detach(), rtol=1e-12, atol=1e-14)
    for ours, tensor in zip(ap.bumps_backward(dout, cache), (x, left, right, height), strict=True):
        np.testing.assert_allclose(ours, tensor.grad, rtol=1e-10, atol=1e-13)


@given(st.integers(0, 5), st.integers(0, 4), st.sampled_from([np.float32, np.float64]), st.integers(0, 999))
@settings(max_examples=40, deadline=None)
def test_bumps_of_any_size_and_dtype(n, p, dtype, seed):
    """Against differences in float64; the dtype is kept."""
    rng = np.random.default_rng(seed)
    arrays = [rng.standard_normal(size).astype(dtype) for size in (n, p, p, p)]
    out, cache = ap.bumps_forward(*arrays, steepness=2.0)
    gradients = ap.bumps_backward(np.ones_like(out), cache)
    assert out.dtype == dtype and all(
        g.dtype == dtype and g.shape == a.shape for g, a in zip(gradients, arrays, strict=True)
    )
    exact = [a.astype(np.float64) for a in arrays]
    for which, gradient in enumerate(gradients):
        for i in range(len(gradient)):
            moved = [[a.copy() for a in exact] for _ in range(2)]
            moved[0][which][i] += 1e-5
            moved[1][which][i] -= 1e-5
            up, down = (ap.bumps_forward(*m, steepness=2.0)[0].sum() for m in moved)
            assert gradient[i] == pytest.approx((up - down) / 2e-5, rel=1e-3, abs=1e-4)


def test_a_steep_bump_is_a_box_and_far_away_is_zero():
    x = np.array([-1e6, -0.5, 0.5, 1.5, 1e6])
    out, _ = ap.bumps_forward(x, np.array([0.0]), np.array([1.0]), np.array([3.0]), steepness=200.0)
    np.testing.assert_allclose(out, [0, 0, 3, 0, 0], atol=1e-12)


@pytest.mark.parametrize("units", [1, 2, 5, 50])
def test_a_staircase_keeps_to_its_bound(units):
    """Away from the rising edges the error is at most L / 2 times a tread, L = 2 the largest slope."""
    x, tread = np.linspace(-1, 1, 2001), 2 / (units + 1)
    parameters = ap.staircase(lambda x: np.sin(2 * x), units, -1, 1, sharpness=400)
    edges = -1 + tread * np.arange(1, units + 1)
    flat = np.abs(x[:, None] - edges).min(axis=1) > 0.05 * tread
    error = np.abs(output(parameters, x[:, None], "sigmoid")[:, 0] - np.sin(2 * x))
    assert error[flat].max() <= tread + 1e-6


def test_hinges_join_the_dots_and_keep_to_their_bound():
    x = np.linspace(0, 3, 3001)
    errors = []
    for units in (4, 8, 16, 32):
        parameters = ap.hinges(np.sin, units, 0, 3)
        knots = np.linspace(0, 3, units + 1)
        np.testing.assert_allclose(output(parameters, x[:, None])[:, 0], np.interp(x, knots, np.sin(knots)), atol=1e-12)
        errors.append(np.abs(output(parameters, x[:, None])[:, 0] - np.sin(x)).max())
        assert errors[-1] <= (3 / units) ** 2 / 8
    assert all(3.6 < a / b < 4.4 for a, b in pairwise(errors))


@pytest.mark.parametrize("depth", [1, 2, 5, 10])
def test_a_zigzag_goes_up_and_down(depth):
    parameters = ap.zigzag(depth)
    assert sum(w.shape[1] for w in parameters[:-2:2]) == 2 * depth
    corners = np.arange(2**depth + 1) / 2**depth
    np.testing.assert_array_equal(output(parameters, corners[:, None])[:, 0], np.arange(2**depth + 1) % 2)
    np.testing.assert_allclose(ap.switches(parameters, [0.0], [1.0]), corners[1:-1], rtol=0, atol=1e-12)


# ----------------------------------------------------------------------------------------------------------- regions


def patterns(parameters, x):
    """Which units are on, one row an example."""
    rows = []
    for w, b in list(zip(parameters[::2], parameters[1::2], strict=True))[:-1]:
        z = x @ w + b
        rows.append(z > 0)
        x = np.maximum(z, 0)
    return np.concatenate(rows, axis=1)


def test_parameters_are_counted_as_torch_counts_them():
    assert ap.parameter_count((784, 128, 10)) == 101_770
    net = torch.nn.Sequential(torch.nn.Linear(7, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3))
    assert ap.parameter_count((7, 5, 3)) == sum(p.numel() for p in net.parameters())
    assert ap.matched_width((784, 128, 10), 1) == 128
    for depth in (2, 3, 6):
        width = ap.matched_width((784, 128, 10), depth)
        off = [abs(ap.parameter_count((784, *[width + d] * depth, 10)) - 101_770) for d in (-1, 0, 1)]
        assert off[1] <= min(off[0], off[2]) and off[1] < 1100


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("sizes", [(1, 9, 1), (3, 8, 8, 2), (2, 6, 5, 6, 1)])
def test_switches_are_where_a_fine_grid_sees_another_pattern(sizes, seed):
    rng = np.random.default_rng(seed)
    parameters = ap.random_network(rng, sizes)
    start, stop = 3 * rng.standard_normal((2, sizes[0]))
    t = ap.switches(parameters, start, stop)
    grid = np.linspace(0, 1, 200_001)
    seen = patterns(parameters, start + grid[:, None] * (stop - start))
    changed = np.flatnonzero((seen[1:] != seen[:-1]).any(axis=1))
    assert np.diff(t).min(initial=1) > 1e-5, "two switches in one step of the grid: choose another seed"
    assert len(t) == len(changed)
    np.testing.assert_allclose(t, grid[changed], rtol=0, atol=1e-5)


def test_the_network_is_linear_between_switches():
    rng = np.random.default_rng(1)
    parameters = ap.random_network(rng, (4, 10, 10, 3))
    stop = 5 * rng.standard_normal(4)
    start = -stop
    t = np.concatenate([[0], ap.switches(parameters, start, stop), [1]])
    assert len(t) > 8
    for share in (0.3, 0.8):
        inside = t[:-1] + share * np.diff(t)
        ends = output(parameters, start + t[:, None] * (stop - start))
        np.testing.assert_allclose(
            output(parameters, start + inside[:, None] * (stop - start)),
            ends[:-1] + share * np.diff(ends, axis=0), rtol=1e-9, atol=1e-9,
        )  # fmt: skip


@pytest.mark.parametrize("lines", [0, 1, 2, 5, 12])
def test_one_layer_has_zaslavskys_number_of_regions(lines):
    """Lines in general position, on a square that holds all their crossings."""
    rng = np.random.default_rng(lines)
    parameters = ap.random_network(rng, (2, lines, 1)) if lines else [np.ones((2, 1)), np.ones(1)]
    found = ap.slice_regions(parameters, np.zeros(2), np.array([1.0, 0]), np.array([0, 1.0]), 1e4)
    assert len(found) == ap.arrangement_regions(lines, 2)
    t = ap.switches(ap.random_network(rng, (1, lines, 1)), [-1e5], [1e5]) if lines else []
    assert len(t) + 1 == ap.arrangement_regions(lines, 1)


@pytest.mark.parametrize("seed", range(3))
def test_regions_of_a_slice_fill_it_and_are_linear(seed):
    rng = np.random.default_rng(seed)
    parameters = ap.random_network(rng, (5, 9, 8, 7, 2))
    origin, u, v = rng.standard_normal((3, 5))
    found = ap.slice_regions(parameters, origin, u, v, 2.0)
    areas = []
    for region in found:
        s, t = region.corners.T
        areas.append(0.5 * np.sum(s * np.roll(t, -1) - t * np.roll(s, -1)))
        weights = rng.dirichlet(np.ones(len(region.corners)), 5)
        inside = weights @ region.corners
        x = origin + inside @ np.array([u, v])
        np.testing.assert_allclose(output(parameters, x), inside @ region.slope + region.offset, rtol=1e-8, atol=1e-8)
        assert len(np.unique(patterns(parameters, x), axis=0)) == 1
    assert min(areas) > 0
    assert sum(areas) == pytest.approx(16)


def test_regions_of_a_slice_are_those_that_a_fine_grid_sees():
    """A grid misses regions smaller than its mesh, so it sees no more; of large ones it misses none."""
    rng = np.random.default_rng(0)
    parameters = ap.random_network(rng, (2, 8, 8, 1))
    axes = np.array([1.0, 0]), np.array([0, 1.0])
    found = ap.slice_regions(parameters, np.zeros(2), *axes, 3.0)
    a = np.linspace(-3, 3, 601)
    grid = np.stack(np.meshgrid(a, a), axis=-1).reshape(-1, 2)
    seen = {row.tobytes() for row in patterns(parameters, grid)}
    middles = np.array([region.corners.mean(axis=0) for region in found])
    exact = [row.tobytes() for row in patterns(parameters, middles)]
    assert seen <= set(exact)
    corners = [region.corners for region in found]
    areas = [0.5 * np.sum(c[:, 0] * np.roll(c[:, 1], -1) - c[:, 1] * np.roll(c[:, 0], -1)) for c in corners]
    large = {pattern for pattern, area in zip(exact, areas, strict=True) if area > 0.05}
    assert large <= seen and len(large) > 20


@given(st.integers(1, 6), st.lists(st.integers(1, 7), min_size=1, max_size=4))
@settings(max_examples=80, deadline=None)
def test_the_bounds_are_in_order(inputs, widths):
    upper = ap.serra_bound(inputs, widths)
    assert upper <= 2 ** sum(widths)
    assert upper <= math.prod(ap.arrangement_regions(n, inputs) for n in widths)
    if len(widths) == 1:
        assert upper == ap.arrangement_regions(widths[0], inputs)
    if min(widths) >= inputs:
        assert ap.montufar_bound(inputs, widths) <= upper


def test_serras_bound_is_the_sum_that_the_theorem_writes():
    inputs, widths = 3, (4, 3, 5)
    total = 0
    for j in np.ndindex(*(n + 1 for n in widths)):
        limits = [inputs, *(n - k for n, k in zip(widths, j, strict=True))]
        if all(k <= min([*limits[: layer + 1], widths[layer]]) for layer, k in enumerate(j)):
            total += math.prod(math.comb(n, k) for n, k in zip(widths, j, strict=True))
    assert ap.serra_bound(inputs, widths) == total


@pytest.mark.parametrize("widths", [[12], [6, 6], [4, 4, 4]])
def test_random_networks_keep_below_the_upper_bound(widths):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        line = ap.switches(ap.random_network(rng, (1, *widths, 1)), [-100.0], [100.0])
        assert len(line) + 1 <= ap.serra_bound(1, widths)
        plane = ap.random_network(rng, (2, *widths, 1))
        found = ap.slice_regions(plane, np.zeros(2), np.array([1.0, 0]), np.array([0, 1.0]), 100.0)
        assert len(found) <= ap.serra_bound(2, widths)


def test_in_one_dimension_the_zigzag_lies_between_the_bounds():
    for depth in (1, 3, 6):
        pieces = len(ap.switches(ap.zigzag(depth), [0.0], [1.0])) + 1
        assert pieces == 2**depth <= ap.montufar_bound(1, [2] * depth) <= ap.serra_bound(1, [2] * depth)


# ----------------------------------------------------------------------------------------------------- least squares


@pytest.mark.parametrize("shape", [(20, 5), (5, 20), (7, 7), (6, 1), (1, 6)])
@pytest.mark.parametrize("outputs", [(), (1,), (3,)])
def test_minimum_norm_is_torchs_and_ridge_goes_there(shape, outputs):
    rng = np.random.default_rng(0)
    a, y = rng.standard_normal(shape), rng.standard_normal((shape[0], *outputs))
    want = (torch.linalg.pinv(torch.tensor(a)) @ torch.tensor(y)).numpy()
    np.testing.assert_allclose(ap.minimum_norm(a, y), want, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(ap.ridge(a, y, 1e-10), want, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("shape", [(20, 5), (5, 20)])
@pytest.mark.parametrize("outputs", [(), (3,)])
def test_ridge_solves_its_normal_equations(shape, outputs):
    rng = np.random.default_rng(1)
    a, y = rng.standard_normal(shape), rng.standard_normal((shape[0], *outputs))
    want = np.linalg.solve(a.T @ a + 0.3 * np.eye(shape[1]), a.T @ y)
    np.testing.assert_allclose(ap.ridge(a, y, 0.3), want, rtol=1e-10, atol=1e-12)


def test_gradient_descent_from_zero_finds_the_minimum_norm():
    rng = np.random.default_rng(2)
    a, y = rng.standard_normal((6, 15)), rng.standard_normal(6)
    w = np.zeros(15)
    for _ in range(4000):
        w -= 0.02 * a.T @ (a @ w - y)
    np.testing.assert_allclose(w, ap.minimum_norm(a, y), atol=1e-10)


def test_legendre_features_are_orthonormal():
    points, weights = np.polynomial.legendre.leggauss(40)
    phi = ap.legendre_features(points, 12)
    np.testing.assert_allclose(phi.T * weights @ phi, np.eye(12), atol=1e-12)
    np.testing.assert_allclose(ap.legendre_features(points, 12, 1.5), phi * np.arange(1, 13) ** -1.5)
    assert ap.legendre_features(np.zeros(0), 3).shape == (0, 3)


def test_random_features_are_nested():
    x = np.random.default_rng(1).standard_normal((4, 6))
    few, many = (ap.random_features(np.random.default_rng(0), 6, n)(x) for n in (3, 50))
    np.testing.assert_allclose(few, many[:, :3], rtol=1e-13)
    assert (many >= 0).all() and many.dtype == np.float64


def runge(x):
    return 1 / (1 + 100 * x**2)


def test_polynomials_descend_twice():
    """The median over ten draws; the chapter shows twenty."""
    n, counts, tests = 30, [*range(1, 46), 400], []
    x_test = np.linspace(-1, 1, 300)
    for seed in range(10):
        rng = np.random.default_rng(seed)
        x = rng.uniform(-1, 1, n)
        y = runge(x) + 0.02 * rng.standard_normal(n)
        phi, phi_test = (ap.legendre_features(a, 400, 1.0) for a in (x, x_test))
        found = ap.descent(phi, y, phi_test, runge(x_test), counts)
        assert np.isnan(found.errors).all() and found.train[-1] < 1e-12
        tests.append(found.test)
    test, counts = np.median(tests, axis=0), np.array(counts)
    assert abs(counts[test.argmax()] / n - 1) <= 0.1
    assert test[-1] < 0.5 * test[counts < n].min()


def test_random_features_on_digits_descend_twice():
    digits, n = data.load("digits", dtype=np.float64), 150
    mean, std = digits.x_train.mean(), digits.x_train.std()
    x, x_test = (((a - mean) / std).reshape(-1, 64) for a in (digits.x_train, digits.x_test))
    counts = np.array([20, 40, 60, 80, 100, 130, 145, 150, 155, 160, 180, 250, 1500])
    for seed in range(2):
        rng = np.random.default_rng(seed)
        rows = rng.permutation(len(x))[:n]
        phi = ap.random_features(rng, 64, counts[-1])
        eye = np.eye(10)
        found = ap.descent(phi(x[rows]), eye[digits.y_train[rows]], phi(x_test), eye[digits.y_test], counts)
        assert abs(found.peak() / n - 1) <= 0.1
        assert found.test[-1] < found.test[counts < n].min()
        assert found.errors[-1] < found.errors[counts < n].min()
        assert abs(found.peak(found.norm) / n - 1) <= 0.1


# ------------------------------------------------------------------------------------------------------- loss slices


def test_every_filter_of_the_direction_is_as_long_as_its_own():
    rng = np.random.default_rng(0)
    parameters = [
        rng.standard_normal((5, 3)),
        rng.standard_normal(3),
        rng.standard_normal((4, 2, 3, 3)).astype("float32"),
    ]
    parameters[0][:, 1] = 0
    d = ap.filter_normalised(rng, parameters)
    assert [a.dtype for a in d] == [a.dtype for a in parameters]
    np.testing.assert_allclose(np.linalg.norm(d[0], axis=0), np.linalg.norm(parameters[0], axis=0))
    np.testing.assert_allclose(
        np.linalg.norm(d[2].reshape(4, -1), axis=1), np.linalg.norm(parameters[2].reshape(4, -1), axis=1), rtol=1e-5
    )
    assert not d[1].any() and not d[0][:, 1].any()
    plain = ap.filter_normalised(np.random.default_rng(0), parameters, normalise=False)
    assert np.std(plain[2]) == pytest.approx(1, abs=0.3) and plain[0][:, 1].any()


def test_networks_that_compute_the_same_get_the_same_slices():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((30, 6)), rng.integers(0, 3, 30)
    model = mlp.MLP((6, 8, 3), seed=1)

    def loss(parameters):
        for p, new in zip(model.parameters, parameters, strict=True):
            p[...] = new
        return float(model.loss_and_gradients(x, y)[0])

    one = [p.copy() for p in model.parameters]
    other = [10 * one[0], 10 * one[1], one[2] / 10, one[3]]
    steps = np.linspace(-1, 1, 5)
    slices = {}
    for normalise in (True, False):
        for name, parameters in (("one", one), ("other", other)):
            directions = [ap.filter_normalised(np.random.default_rng(s), parameters, normalise) for s in (3, 4)]
            slices[normalise, name] = ap.loss_slice(loss, parameters, directions, steps)
    np.testing.assert_allclose(slices[True, "one"], slices[True, "other"], rtol=1e-10)
    assert np.abs(slices[False, "other"] / slices[False, "one"] - 1).max() > 0.5


def test_a_slice_holds_the_losses_at_its_places():
    def loss(p):
        return float(p[0][0, 0] + 10 * p[1][0])

    parameters = [np.array([[1.0]]), np.array([2.0])]
    a, b = [np.array([[1.0]]), np.array([0.0])], [np.array([[0.0]]), np.array([1.0])]
    np.testing.assert_allclose(ap.loss_slice(loss, parameters, [a], [0.0, 1.0]), [21, 22])
    np.testing.assert_allclose(ap.loss_slice(loss, parameters, [a, b], [0.0, 1.0]), [[21, 31], [22, 32]])
    assert parameters[0][0, 0] == 1 and parameters[1][0] == 2


# ------------------------------------------------------------------------------------------------------------ errors

ONE = np.ones(1)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ap.bumps_forward(np.ones((2, 2)), ONE, ONE, ONE), "expected (N,), (P,), (P,), (P,)"),
        (lambda: ap.bumps_forward(ONE, ONE, np.ones(2), ONE), "(1,), (1,), (2,), (1,)"),
        (lambda: ap.bumps_forward(np.ones(1, int), ONE, ONE, ONE), "x has dtype int64"),
        (lambda: ap.bumps_forward(ONE, ONE, ONE, ONE, 0), "steepness is 0"),
        (lambda: ap.bumps_backward(ONE, ap.bumps_forward(np.ones(2), ONE, ONE, ONE)[1]), "dout has shape (1,)"),
        (lambda: ap.staircase(np.sin, 0, 0, 1), "units is 0"),
        (lambda: ap.hinges(np.sin, 2, 1, 1), "the interval 1 to 1"),
        (lambda: ap.zigzag(0), "depth is 0"),
        (lambda: ap.network([np.ones((2, 3))]), "parameters has 1 arrays"),
        (lambda: ap.network([np.ones((2, 3)), np.ones(2)]), "layer 1 has w (2, 3) and b (2,)"),
        (lambda: ap.network([np.ones((2, 3)), np.ones(3), np.ones((2, 1)), ONE]), "layer 2 expects 2"),
        (lambda: ap.matched_width((3, 4, 2), 0), "depth is 0"),
        (lambda: ap.switches(ap.zigzag(2), [0.0, 1.0], [1.0, 1.0]), "the network has 1 inputs"),
        (lambda: ap.slice_regions(ap.zigzag(2), *np.ones((3, 2))), "the network has 1 inputs"),
        (lambda: ap.slice_regions(ap.zigzag(2), *np.ones((3, 1)), extent=0), "extent is 0"),
        (lambda: ap.montufar_bound(3, [4, 2]), "widths of at least inputs"),
        (lambda: ap.serra_bound(2, []), "at least one layer"),
        (lambda: ap.legendre_features(np.array([1.1]), 3), "from -1 to 1"),
        (lambda: ap.minimum_norm(np.ones((3, 2)), np.ones(2)), "features has shape (3, 2), targets (2,)"),
        (lambda: ap.ridge(np.ones((3, 2)), np.ones(3), 0.0), "lam is 0.0"),
        (lambda: ap.descent(np.ones((3, 2)), np.ones(3), np.ones((3, 2)), np.ones(3), [1, 3]), "expected 1 to 2"),
        (lambda: ap.loss_slice(sum, [ONE], [], [0.0]), "one or two directions"),
        (lambda: ap.loss_slice(sum, [ONE], [[np.ones(2)]], [0.0]), "of the parameters' shapes [(1,)]"),
    ],
)  # fmt: skip
def test_wrong_input_is_named(call, words):
    with pytest.raises(ValueError) as raised:
        call()
    assert words in str(raised.value)
