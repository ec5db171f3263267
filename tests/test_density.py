"""Samples and densities by hand: against SciPy and scikit-learn, against integrals, and what wrong input is told."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, special, stats
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity

from dlcourse import density

SCIPY = {
    "uniform": stats.uniform,
    "exponential": stats.expon,
    "logistic": stats.logistic,
    "Laplace": stats.laplace,
    "Cauchy": stats.cauchy,
    "Gaussian": stats.norm,
    "Gumbel": stats.gumbel_r,
    "Rayleigh": stats.rayleigh,
    "triangle": stats.triang(0.5, -1, 2),
}
TWO = density.Mixture(
    np.array([0.3, 0.7]), np.array([[-2.0, 0.0], [2.0, 1.0]]), np.array([[[1.0, 0.5], [0.5, 0.8]], [[0.3, 0], [0, 2]]])
)


def two_clouds(n=400, seed=0):
    return density.sample_mixture(TWO, n, np.random.default_rng(seed))[0]


# ------------------------------------------------------------------------------------------ observations and sampling


def test_the_coin_of_the_lecture():
    values, p = density.empirical(list("HTHTH"))
    assert dict(zip(values, p, strict=True)) == {"H": 0.6, "T": 0.4}
    drawn = density.sample_discrete(values, p, 100_000, np.random.default_rng(0))
    assert abs((drawn == "H").mean() - 0.6) < 5 * np.sqrt(0.24 / 1e5)


def test_a_value_of_probability_0_is_never_drawn():
    drawn = density.sample_discrete([0, 1, 2, 3], [0.0, 0.5, 0.0, 0.5], 20_000, np.random.default_rng(0))
    assert set(drawn) == {1, 3}
    drawn = density.sample_discrete(np.arange(3), [0.2, 0.8, 0.0], 20_000, np.random.default_rng(0))
    assert set(drawn) == {0, 1}


def test_discrete_samples_pass_a_chi_square_test():
    p = np.array([0.1, 0.25, 0.05, 0.6])
    drawn = density.sample_discrete(np.arange(4), p, 50_000, np.random.default_rng(1))
    assert stats.chisquare(np.bincount(drawn, minlength=4), 50_000 * p).pvalue > 1e-4


def test_rows_can_be_drawn():
    x = np.arange(6.0).reshape(3, 2)
    drawn = density.sample_discrete(x, [0.5, 0.5, 0], 50, np.random.default_rng(0))
    assert drawn.shape == (50, 2) and (drawn < 4).all()


class Edges:
    """A generator whose integers are the smallest and the largest in turn."""

    def integers(self, low, high, n):
        return np.resize([low, high - 1], n)


@pytest.mark.parametrize("name", density.NAMED)
def test_quantiles_are_finite_for_every_uniform_number(name):
    u = density.uniform(2, Edges())
    assert 0 < u[0] < 1e-15 and 1 - 1e-15 < u[1] < 1
    assert np.isfinite(density.inverse_transform(density.NAMED[name].quantile, 2, Edges())).all()


@pytest.mark.parametrize("name", density.NAMED)
def test_named_distributions_are_scipys(name):
    ours, theirs = density.NAMED[name], SCIPY[name]
    u = np.concatenate([np.linspace(0, 1, 202)[1:-1], [1e-12, 1e-6, 1 - 1e-6]])
    np.testing.assert_allclose(ours.quantile(u), theirs.ppf(u), rtol=1e-9, atol=1e-12)
    x = np.concatenate([np.linspace(-6, 6, 101), [-800.0, 800.0]])
    with np.errstate(over="ignore"):  # SciPy's, of Gumbel
        np.testing.assert_allclose(ours.cdf(x), theirs.cdf(x), rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("name", density.NAMED)
def test_inverse_transform_passes_the_ks_test(name):
    x = density.inverse_transform(density.NAMED[name].quantile, 20_000, np.random.default_rng(3))
    assert stats.kstest(x, SCIPY[name].cdf).pvalue > 1e-4
    other = "Cauchy" if name != "Cauchy" else "Gaussian"
    assert stats.kstest(x, SCIPY[other].cdf).pvalue < 1e-4


def test_samples_of_one_distribution_become_samples_of_another_in_the_same_order():
    source, target = density.NAMED["Gaussian"], density.NAMED["exponential"]
    x = np.random.default_rng(0).normal(size=5000)
    y = density.map_samples(x, source.cdf, target.quantile)
    assert stats.kstest(y, "expon").pvalue > 1e-4
    np.testing.assert_array_equal(np.argsort(x), np.argsort(y))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-5, 5), min_size=1, max_size=12), st.lists(st.integers(0, 12), min_size=1, max_size=5))
def test_empirical_quantiles_are_numpys(observations, twelfths):
    u, x = np.array(twelfths) / 12, np.array(observations, float)
    np.testing.assert_array_equal(density.empirical_quantile(x, u), np.quantile(x, u, method="inverted_cdf"))
    np.testing.assert_allclose(
        density.empirical_quantile(x, u, interpolate=True), np.quantile(x, u), rtol=1e-12, atol=1e-12
    )


def test_the_quantile_inverts_the_distribution_function():
    x = np.random.default_rng(0).normal(size=10)
    np.testing.assert_allclose(density.ecdf(x, np.sort(x)), np.arange(1, 11) / 10)
    np.testing.assert_array_equal(density.empirical_quantile(x, density.ecdf(x, x)), x)
    assert density.ecdf(x, [-10.0, 10.0]).tolist() == [0, 1]
    assert density.ecdf([1, 1, 2], np.array([[0.5, 1.0], [1.5, 2.0]])).tolist() == [[0, 2 / 3], [2 / 3, 1]]


def test_drawing_from_observations_repeats_them_and_interpolation_does_not():
    rng, observed = np.random.default_rng(0), np.random.default_rng(1).normal(size=50)
    plain = density.empirical_quantile(observed, density.uniform(20_000, rng))
    smooth = density.empirical_quantile(observed, density.uniform(20_000, rng), interpolate=True)
    assert set(plain) == set(observed)
    assert len(set(smooth)) == 20_000 and smooth.min() > observed.min() and smooth.max() < observed.max()
    counts = np.unique(plain, return_counts=True)[1]
    assert stats.chisquare(counts).pvalue > 1e-4


def test_box_muller_gives_independent_gaussians():
    z = density.box_muller(20_000, np.random.default_rng(0))
    assert z.shape == (20_000, 2)
    for values in (*z.T, (z[:, 0] + z[:, 1]) / np.sqrt(2), z[:, 0] * z[:, 1]):
        assert abs(values.mean()) < 5 * values.std() / np.sqrt(len(values))
    for column in (*z.T, (z[:, 0] - z[:, 1]) / np.sqrt(2)):
        assert stats.kstest(column, "norm").pvalue > 1e-4
    assert stats.kstest((z**2).sum(1), stats.chi2(2).cdf).pvalue > 1e-4


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 40))
def test_the_ks_test_is_scipys(seed, n):
    x = np.random.default_rng(seed).normal(size=n)
    d, p = density.ks_test(x, special.ndtr)
    theirs = stats.kstest(x, "norm", method="exact")
    assert abs(d - theirs.statistic) < 1e-12 and abs(p - theirs.pvalue) < 1e-9


def test_p_values_of_the_ks_test_are_uniform():
    quantile, cdf = density.NAMED["logistic"].quantile, density.NAMED["logistic"].cdf
    p = [
        density.ks_test(density.inverse_transform(quantile, 50, np.random.default_rng(seed)), cdf)[1]
        for seed in range(300)
    ]
    assert stats.kstest(p, "uniform").pvalue > 1e-3


# ------------------------------------------------------------------------------------------------ Gaussian mixtures


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 6))
def test_the_gaussian_density_is_scipys(seed, D, N):
    rng = np.random.default_rng(seed)
    x, mean, a = rng.normal(size=(N, D)), rng.normal(size=D), rng.normal(size=(D, D))
    covariance = a @ a.T + 0.1 * np.eye(D)
    theirs = stats.multivariate_normal(mean, covariance).logpdf(x)
    np.testing.assert_allclose(density.gaussian_log_density(x, mean, covariance), np.atleast_1d(theirs), rtol=1e-9)


def test_log_sum_exp_is_scipys_where_sums_overflow_and_vanish():
    a = np.array([[1000.0, 1001.0], [-2000.0, -2001.0], [-np.inf, 3.0], [-np.inf, -np.inf]])
    np.testing.assert_allclose(density.log_sum_exp(a), special.logsumexp(a, 1))
    np.testing.assert_allclose(density.log_sum_exp(a[:3], 0), special.logsumexp(a[:3], 0))


def test_the_density_of_a_mixture_integrates_to_one():
    def p(y, x):
        return np.exp(density.mixture_log_density(np.array([[x, y]]), TWO)[0])

    total, _ = integrate.dblquad(p, -8, 8, -9, 9, epsabs=1e-5, epsrel=1e-5)
    assert abs(total - 1) < 1e-4


def test_points_far_from_everything_have_a_density_still():
    far = density.mixture_log_density(np.full((1, 2), 1e4), TWO)
    assert np.isfinite(far).all() and far[0] < -1e7
    r, _ = density.responsibilities(np.full((1, 2), 1e4), TWO)
    assert abs(r.sum() - 1) < 1e-12


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 3))
def test_em_is_scikit_learns_from_the_same_start(seed, K, D):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(60, D)) + rng.integers(-3, 4, (60, 1))
    start = density.mixture_start(x, K, rng, reg=1e-2)
    steps = 12
    theirs = GaussianMixture(
        K,
        tol=0,
        max_iter=steps,
        reg_covar=1e-6,
        weights_init=start.weights,
        means_init=start.means,
        precisions_init=np.linalg.inv(start.covariances),
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the number of steps is fixed
        theirs.fit(x)
    ours, history = density.em(x, start, steps)
    np.testing.assert_allclose(ours.weights, theirs.weights_, atol=1e-6)
    np.testing.assert_allclose(ours.means, theirs.means_, atol=1e-6)
    np.testing.assert_allclose(ours.covariances, theirs.covariances_, atol=1e-6)
    np.testing.assert_allclose(density.mixture_log_density(x, ours), theirs.score_samples(x), atol=1e-6)
    np.testing.assert_allclose(density.responsibilities(x, ours)[0], theirs.predict_proba(x), atol=1e-6)
    assert len(history) == steps + 1 and abs(history[-1] - theirs.score(x)) < 1e-6


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4))
def test_no_step_of_em_lowers_the_likelihood(seed, K):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(80, 2)) * rng.uniform(0.5, 3, 2) + rng.integers(-2, 3, (80, 2))
    start = density.Mixture(np.full(K, 1 / K), x[:K], np.stack([np.cov(x.T)] * K))
    _, history = density.em(x, start, 20, reg=0.0)
    assert (np.diff(history) > -1e-10).all() and (K == 1 or history[-1] > history[0])


def test_em_finds_the_mixture_that_made_the_points():
    x = two_clouds(20_000)
    mixture, history = density.em(x, density.mixture_start(x, 2, np.random.default_rng(0)), 200, tol=1e-10)
    order = np.argsort(mixture.weights)
    assert len(history) < 201
    np.testing.assert_allclose(mixture.weights[order], TWO.weights, atol=0.02)
    np.testing.assert_allclose(mixture.means[order], TWO.means, atol=0.06)
    np.testing.assert_allclose(mixture.covariances[order], TWO.covariances, atol=0.1)
    assert history[-1] >= density.mixture_log_density(x, TWO).mean()  # the maximum is above the truth


def test_one_component_is_the_mean_and_the_covariance():
    x = two_clouds()
    mixture, _ = density.em(x, density.mixture_start(x, 1, np.random.default_rng(0)), 1, reg=0.0)
    np.testing.assert_allclose(mixture.means[0], x.mean(0))
    np.testing.assert_allclose(mixture.covariances[0], np.cov(x.T, ddof=0))


def test_a_component_on_one_point_needs_the_regulariser():
    x = np.concatenate([two_clouds(50), [[100.0, 100.0]]])
    start = density.Mixture(np.array([0.5, 0.5]), np.array([[0.0, 0.0], [100.0, 100.0]]), np.stack([np.eye(2)] * 2))
    with pytest.raises(ValueError, match=r"covariance is not positive definite.*raise reg"):
        density.em(x, start, 5, reg=0.0)
    mixture, _ = density.em(x, start, 5, reg=1e-4)
    np.testing.assert_allclose(mixture.covariances[1], 1e-4 * np.eye(2), atol=1e-12)


def test_numbers_are_points_with_one_feature():
    x = np.random.default_rng(0).normal(size=200)
    mixture, _ = density.em(x, density.mixture_start(x, 2, np.random.default_rng(0)), 5)
    assert mixture.means.shape == (2, 1)
    area = integrate.trapezoid(np.exp(density.mixture_log_density(grid := np.linspace(-9, 9, 4001), mixture)), grid)
    assert abs(area - 1) < 1e-6


def test_samples_of_a_mixture_have_its_moments_and_shares():
    x, components = density.sample_mixture(TWO, 100_000, np.random.default_rng(0))
    assert abs((components == 0).mean() - 0.3) < 5 * np.sqrt(0.21 / 1e5)
    for k in (0, 1):
        part = x[components == k]
        np.testing.assert_allclose(part.mean(0), TWO.means[k], atol=0.05)
        np.testing.assert_allclose(np.cov(part.T), TWO.covariances[k], atol=0.05)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5))
def test_k_means_ends_where_nothing_moves(seed, K):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 4, (12, 2)).astype(float)
    centres, labels = density.k_means(x, K, rng)
    distances = ((x[:, None] - centres) ** 2).sum(-1)
    np.testing.assert_array_equal(labels, distances.argmin(1))
    for k in set(labels):
        np.testing.assert_allclose(centres[k], x[labels == k].mean(0))


def test_k_means_finds_clusters_far_apart():
    rng = np.random.default_rng(0)
    truth = np.repeat([[0, 0], [50, 0], [0, 50], [50, 50]], 20, 0)
    for seed in range(20):
        _, labels = density.k_means(truth + rng.normal(size=truth.shape), 4, np.random.default_rng(seed))
        groups = labels.reshape(4, 20)
        assert (groups == groups[:, :1]).all() and len(set(groups[:, 0])) == 4


# ------------------------------------------------------------------------------------------- kernel density estimate


@pytest.mark.parametrize("kernel", density.KERNELS)
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), D=st.integers(1, 4), M=st.integers(1, 20), h=st.floats(0.05, 5))
def test_kde_is_scikit_learns(kernel, seed, D, M, h):
    rng = np.random.default_rng(seed)
    points, x = rng.normal(size=(M, D)), rng.normal(size=(7, D))
    theirs = KernelDensity(bandwidth=h, kernel=kernel, rtol=0, atol=0).fit(points).score_samples(x)
    ours = density.kde_log_density(x, points, h, kernel)
    reached = np.isfinite(ours)
    assert (theirs[~reached] < -200).all()  # it writes a very small number for 0
    np.testing.assert_allclose(ours[reached], theirs[reached], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kernel", density.KERNELS)
def test_the_estimate_integrates_to_one(kernel):
    grid = np.linspace(-8, 8, 40_001)
    p = np.exp(density.kde_log_density(grid, np.array([-1.0, 0.3, 2.0]), 0.7, kernel))
    assert abs(integrate.trapezoid(p, grid) - 1) < 1e-3


@pytest.mark.parametrize("kernel", density.KERNELS)
@pytest.mark.parametrize("D", [1, 3])
def test_samples_of_the_estimate_follow_it(kernel, D):
    x = density.sample_kde(np.zeros((1, D)), 2.0, 20_000, np.random.default_rng(0), kernel)
    length = np.sort(np.linalg.norm(x, axis=1))
    axis = np.zeros((len(grid := np.linspace(1e-6, 9, 9001)), D))
    axis[:, 0] = grid
    shell = grid ** (D - 1) * np.exp(density.kde_log_density(axis, np.zeros((1, D)), 2.0, kernel))
    steps = np.cumsum(shell) / shell.sum()
    assert stats.kstest(length, lambda r: np.interp(r, grid, steps)).pvalue > 1e-4
    assert np.abs(x.mean(0)).max() < 0.1


def test_samples_of_the_estimate_start_at_all_points():
    points = np.array([[0.0], [100.0], [200.0]])
    x = density.sample_kde(points, 0.1, 30_000, np.random.default_rng(0))
    counts = np.bincount(np.round(x[:, 0] / 100).astype(int))
    assert stats.chisquare(counts).pvalue > 1e-4


def test_leaving_one_out_is_a_loop_over_the_points():
    points = two_clouds(30)
    loop = [density.kde_log_density(points[[i]], np.delete(points, i, 0), 0.6)[0] for i in range(30)]
    assert abs(density.kde_leave_one_out(points, 0.6) - np.mean(loop)) < 1e-12


def test_without_leaving_out_the_narrowest_bumps_win():
    points = two_clouds(300)
    widths = [1e-3, 0.05, 0.4, 5.0]
    trained = [density.kde_log_density(points, points, h).mean() for h in widths]
    held = [density.kde_leave_one_out(points, h) for h in widths]
    assert np.argmax(trained) == 0 and np.argmax(held) == 2


def test_scotts_bandwidth_is_scikit_learns_for_one_spread():
    x = np.random.default_rng(0).normal(size=(100, 3))
    x = (x - x.mean(0)) / x.std(0, ddof=1)
    theirs = KernelDensity(bandwidth="scott").fit(x).bandwidth_
    assert abs(density.scott_bandwidth(x) - theirs) < 1e-12
    assert abs(density.scott_bandwidth(5 * x) - 5 * theirs) < 1e-12


def test_blocks_of_rows_change_nothing():
    x, points = np.random.default_rng(0).normal(size=(2, 2500, 1))
    whole = density.kde_log_density(x, points[:10], 0.5)
    np.testing.assert_array_equal(whole[2000:], density.kde_log_density(x[2000:], points[:10], 0.5))


# --------------------------------------------------------------------------------------------------- what goes wrong

RNG = np.random.default_rng(0)
WRONG = {
    "no observation": (lambda: density.empirical([]), r"observations has shape \(0,\)"),
    "two rows": (lambda: density.empirical([[1, 2], [3, 4]]), r"observations has shape \(2, 2\)"),
    "probabilities": (lambda: density.sample_discrete([1, 2], [0.5, 0.6], 3, RNG), "sum to 1"),
    "negative": (lambda: density.sample_discrete([1, 2], [1.5, -0.5], 3, RNG), "non-negative"),
    "one a value": (lambda: density.sample_discrete([1, 2], [1.0], 3, RNG), r"has shape \(1,\); expected \(2,\)"),
    "u": (lambda: density.empirical_quantile([1.0, 2.0], [0.5, 1.5]), "u reaches from 0.5 to 1.5"),
    "points": (lambda: density.ecdf(np.zeros((3, 2)), 0.0), "a distribution of numbers"),
    "empty": (lambda: density.ks_test([], special.ndtr), "x has 0 points; expected at least 1"),
    "nan": (lambda: density.kde_log_density([np.nan], [0.0], 1.0), "x has numbers that are not finite"),
    "axes": (lambda: density.kde_log_density(np.zeros((1, 1, 1)), [0.0], 1.0), r"x has shape \(1, 1, 1\)"),
    "features": (lambda: density.kde_log_density([0.0], np.zeros((3, 2)), 1.0), "x has 1 features, points has 2"),
    "bandwidth": (lambda: density.kde_log_density([0.0], [0.0], 0.0), "bandwidth is 0.0"),
    "kernel": (lambda: density.sample_kde([0.0], 1.0, 3, RNG, "box"), "kernel is 'box'; expected one of gaussian"),
    "one point": (lambda: density.kde_leave_one_out([0.0], 1.0), "points has 1 points; expected at least 2"),
    "weights": (lambda: density.mixture_log_density(np.zeros((1, 2)), TWO._replace(weights=np.ones(3))), "weights has"),
    "no weights": (lambda: density.sample_mixture(TWO._replace(weights=np.ones(2)), 3, RNG), "sum to 1"),
    "means": (lambda: density.mixture_log_density([0.0], TWO._replace(means=np.ones(2))), r"means has shape \(2,\)"),
    "covariances": (lambda: density.em(np.zeros((3, 2)), TWO._replace(covariances=np.ones(2))), "covariances has"),
    "mixture": (lambda: density.mixture_log_density(np.zeros((1, 3)), TWO), "x has 3 features, the mixture has 2"),
    "gaussian": (lambda: density.gaussian_log_density(np.zeros((1, 2)), np.zeros(2), np.eye(3)), "covariance"),
    "plane": (lambda: density.gaussian_log_density(np.zeros((1, 2)), np.zeros(2), np.ones((2, 2))), "raise reg"),
    "r": (lambda: density.maximise(np.zeros((3, 2)), np.ones((2, 2))), r"r has shape \(2, 2\); expected \(3, K\)"),
    "reg": (lambda: density.maximise(np.zeros((3, 2)), np.ones((3, 1)), -1.0), "reg is -1.0"),
    "nothing": (lambda: density.maximise(np.zeros((3, 2)), np.eye(2)[[0, 0, 0]]), "component 1 is responsible"),
    "K": (lambda: density.k_means(np.zeros((3, 2)), 4, RNG), "K is 4; expected 1 to 3"),
    "steps": (lambda: density.em(np.zeros((3, 2)), TWO, -1), "steps is -1"),
}


@pytest.mark.parametrize("call, message", WRONG.values(), ids=WRONG)
def test_wrong_input_is_told_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()
