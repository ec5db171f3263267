"""Diffusion by hand: against its definition step by step, against quadrature and automatic differentiation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from dlcourse import diffusion

BARS = diffusion.alpha_bars(diffusion.cosine_betas(50))
PIXEL = ([0.7, 0.3], [[-0.75], [0.75]], [0.01, 0.01])
PLANE = ([0.5, 0.2, 0.3], [[0, 1], [-1, -1], [2, 0]], [0.1, 0.4, 0.2])


# ----------------------------------------------------------------------------------------------------------- schedules


@pytest.mark.parametrize("T", [21, 50, 1000])
def test_default_schedules_end_in_noise(T):
    for betas in (diffusion.linear_betas(T), diffusion.cosine_betas(T)):
        bars = diffusion.alpha_bars(betas)
        assert bars.shape == (T + 1,) and bars[0] == 1 and bars[-1] < 1e-3
        assert (np.diff(bars) < 0).all()
        np.testing.assert_allclose(bars[1:] / bars[:-1], 1 - betas)


def test_linear_is_the_paper_s_at_a_thousand_steps():
    betas = diffusion.linear_betas(1000)
    np.testing.assert_allclose([betas[0], betas[-1]], [1e-4, 0.02])
    assert diffusion.alpha_bars(betas)[-1] == pytest.approx(4.04e-5, rel=0.01)


def test_cosine_follows_the_paper_s_curve():
    bars = diffusion.alpha_bars(diffusion.cosine_betas(100))
    t = np.arange(99) / 100  # the last β is cut off
    f = np.cos((t + 0.008) / 1.008 * np.pi / 2) ** 2
    np.testing.assert_allclose(bars[:99], f / f[0])
    assert diffusion.cosine_betas(100)[-1] == 0.999


def test_the_tutorial_s_setting_is_refused_in_words():
    betas = diffusion.linear_betas(50, 1e-4, 0.02)
    with pytest.raises(ValueError, match=r"betas leave ᾱ_T = 0\.6 after 50 steps; expected below 0\.001.*more steps"):
        diffusion.alpha_bars(betas)
    assert diffusion.alpha_bars(betas, left=1.0)[-1] == pytest.approx(0.60, abs=0.005)


def test_times_are_spaced():
    assert diffusion.spaced(5).tolist() == [5, 4, 3, 2, 1, 0]
    assert diffusion.spaced(200, 4).tolist() == [200, 150, 100, 50, 0]
    assert diffusion.spaced(7, 1).tolist() == [7, 0]
    for steps in range(1, 51):
        assert (np.diff(diffusion.spaced(50, steps)) < 0).all()


# ----------------------------------------------------------------------------------------------------- forward process


def test_many_steps_at_once_are_the_steps_one_by_one():
    rng = np.random.default_rng(0)
    x = np.full(200_000, 1.5)
    for t in range(1, 31):
        x = diffusion.one_noise_step(x, t, rng.standard_normal(x.shape), BARS)
    at_once = diffusion.add_noise(np.full(200_000, 1.5), 30, rng.standard_normal(x.shape), BARS)
    assert stats.ks_2samp(x, at_once).pvalue > 1e-4
    assert x.mean() == pytest.approx(1.5 * BARS[30] ** 0.5, abs=0.01)


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(0, 4),
    shape=st.sampled_from([(), (1,), (3,), (1, 4, 4)]),
    dtype=st.sampled_from([np.float32, np.float64]),
    seed=st.integers(0, 99),
)
def test_forward_takes_any_shape_and_keeps_the_dtype(n, shape, dtype, seed):
    rng = np.random.default_rng(seed)
    x, noise = rng.standard_normal((2, n, *shape)).astype(dtype)
    t = rng.integers(0, 51, n)
    out = diffusion.add_noise(x, t, noise, BARS)
    assert out.shape == x.shape and out.dtype == dtype
    for i in range(n):
        one = diffusion.add_noise(x[i : i + 1], int(t[i]), noise[i : i + 1], BARS)
        assert one.dtype == dtype
        np.testing.assert_allclose(out[i], one[0], rtol=1e-6)
    torchs = diffusion.add_noise(torch.from_numpy(x), t, torch.from_numpy(noise), BARS)
    np.testing.assert_allclose(torchs.numpy(), out, rtol=1e-6)


@pytest.mark.parametrize("t,s", [(7, 6), (1, 0), (50, 49), (50, 20), (30, 0)])
def test_posterior_is_bayes_rule_by_quadrature(t, s):
    x0, xt = 0.8, -0.3
    a = BARS[t] / BARS[s]

    def joint(x):  # p(x_s | x_0) p(x_t | x_s)
        return stats.norm.pdf(x, BARS[s] ** 0.5 * x0, (1 - BARS[s]) ** 0.5) * stats.norm.pdf(
            xt, a**0.5 * x, (1 - a) ** 0.5
        )

    mean, variance = diffusion.posterior(x0, xt, t, BARS, s)
    if s == 0:
        assert (mean, variance) == (pytest.approx(x0), 0)
        return
    grid = np.linspace(mean - 12 * variance**0.5, mean + 12 * variance**0.5, 20_001)
    p = joint(grid)
    p /= integrate.trapezoid(p, grid)
    assert mean == pytest.approx(integrate.trapezoid(grid * p, grid), abs=1e-9)
    assert variance == pytest.approx(integrate.trapezoid((grid - mean) ** 2 * p, grid), rel=1e-6)


# --------------------------------------------------------------------------------------------------------- conversions


@settings(max_examples=40, deadline=None)
@given(t=st.integers(1, 50), seed=st.integers(0, 99), given_=st.sampled_from(diffusion.PREDICTIONS))
def test_every_prediction_says_the_same(t, seed, given_):
    x0, noise = np.random.default_rng(seed).standard_normal((2, 3, 4))
    xt = diffusion.add_noise(x0, t, noise, BARS)
    a, s = BARS[t] ** 0.5, (1 - BARS[t]) ** 0.5
    all_three = {"noise": noise, "x": x0, "v": a * noise - s * x0}
    for wanted, value in all_three.items():
        found = diffusion.convert(all_three[given_], xt, t, BARS, given=given_, wanted=wanted)
        np.testing.assert_allclose(found, value, atol=1e-9 / a)
    many = diffusion.convert(all_three[given_], xt, np.full(3, t), BARS, given=given_, wanted="x")
    np.testing.assert_allclose(many, x0, atol=1e-9 / a)


def test_score_is_that_of_gaussian_noise():
    x0, noise = np.random.default_rng(0).standard_normal((2, 5, 2))
    xt = diffusion.add_noise(x0, 20, noise, BARS)
    a, var = BARS[20] ** 0.5, 1 - BARS[20]  # log N(x_t; √ᾱ x0, 1 - ᾱ), differentiated
    np.testing.assert_allclose(diffusion.score_from_noise(noise, 20, BARS), -(xt - a * x0) / var)


def test_guidance():
    with_label, without = np.array([2.0]), np.array([1.0])
    assert [diffusion.guided(with_label, without, g)[0] for g in (0, 1, 3)] == [1, 2, 4]


# ------------------------------------------------------------------------------------------- a mixture, and its score


def test_log_density_against_scipy_and_score_against_autograd():
    weights, means, variances = map(np.asarray, PLANE)
    x = np.random.default_rng(0).normal(size=(7, 2)) * 2
    wanted = sum(
        w * stats.multivariate_normal(m, v * np.eye(2)).pdf(x)
        for w, m, v in zip(weights, means, variances, strict=True)
    )
    log, shares = diffusion.mixture_log_density(x, *PLANE)
    np.testing.assert_allclose(log, np.log(wanted))
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    leaf = torch.tensor(x, requires_grad=True)
    squares = ((leaf[:, None] - torch.tensor(means)) ** 2).sum(2)
    v = torch.tensor(variances)
    torch.logsumexp(torch.tensor(weights).log() - torch.log(2 * torch.pi * v) - squares / (2 * v), 1).sum().backward()
    np.testing.assert_allclose(diffusion.mixture_score(x, *PLANE), leaf.grad.numpy(), rtol=1e-9)


def test_score_of_a_far_point_is_finite():
    score = diffusion.mixture_score(np.array([[1e6, -1e6]]), *PLANE)
    assert np.isfinite(score).all()


@pytest.mark.parametrize("t", [1, 10, 50])
def test_predictor_is_the_mean_of_the_noise(t):
    """E[ε | x_t], by quadrature over x_0."""
    x = np.array([[-0.9], [0.05], [1.4]])
    grid = np.linspace(-2, 2, 40_001)
    prior = np.exp(diffusion.mixture_log_density(grid[:, None], *PIXEL)[0])
    a, s = BARS[t] ** 0.5, (1 - BARS[t]) ** 0.5
    noise = (x - a * grid) / s
    likelihood = prior * stats.norm.pdf(noise)
    wanted = (noise * likelihood).sum(axis=1) / likelihood.sum(axis=1)
    np.testing.assert_allclose(diffusion.mixture_noise(*PIXEL, BARS)(x, t)[:, 0], wanted, rtol=1e-4, atol=1e-4)


def test_draws_and_noised_mixture_agree():
    rng = np.random.default_rng(0)
    x0, k = diffusion.mixture_sample(*PLANE, 100_000, rng)
    np.testing.assert_allclose(np.bincount(k) / len(k), PLANE[0], atol=0.01)
    xt = diffusion.add_noise(x0, 20, rng.standard_normal(x0.shape), BARS)
    direct, _ = diffusion.mixture_sample(*diffusion.noised_mixture(*PLANE, 20, BARS), 100_000, rng)
    for axis in range(2):
        assert stats.ks_2samp(xt[:, axis], direct[:, axis]).pvalue > 1e-4


def test_entropy_of_a_normal_and_of_nothing():
    assert diffusion.entropy(lambda x: stats.norm.pdf(x, 1, 2), -20, 22) == pytest.approx(stats.norm(1, 2).entropy())
    assert diffusion.entropy(lambda x: ((x > 0) & (x < 1)) * 1.0, -1, 2) == pytest.approx(0, abs=1e-3)


# ------------------------------------------------------------------------------------------------------------ samplers


def share(x):
    return float((x > 0).mean())


def test_the_tutorial_s_setting_draws_040_and_the_mended_one_030():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((20_000, 1))
    spoilt = diffusion.alpha_bars(diffusion.linear_betas(50, 1e-4, 0.02), left=1.0)
    assert share(diffusion.ddpm_sample(diffusion.mixture_noise(*PIXEL, spoilt), x, spoilt, rng)) == pytest.approx(
        0.40, abs=0.01
    )
    mended = diffusion.alpha_bars(diffusion.cosine_betas(200))
    predict = diffusion.mixture_noise(*PIXEL, mended)
    assert share(diffusion.ddpm_sample(predict, x, mended, rng)) == pytest.approx(0.30, abs=0.01)
    assert share(diffusion.ddim_sample(predict, x, mended)) == pytest.approx(0.30, abs=0.01)


def test_started_from_the_noised_data_even_the_spoilt_schedule_is_right():
    rng = np.random.default_rng(0)
    bars = diffusion.alpha_bars(diffusion.linear_betas(50, 1e-4, 0.02), left=1.0)
    x, _ = diffusion.mixture_sample(*diffusion.noised_mixture(*PIXEL, 50, bars), 20_000, rng)
    assert share(diffusion.ddim_sample(diffusion.mixture_noise(*PIXEL, bars), x, bars)) == pytest.approx(0.3, abs=0.01)


def test_samples_have_the_data_s_distribution():
    bars, rng = diffusion.alpha_bars(diffusion.cosine_betas(400)), np.random.default_rng(1)
    predict, x = diffusion.mixture_noise(*PLANE, bars), rng.standard_normal((4000, 2))
    truth, _ = diffusion.mixture_sample(*PLANE, 4000, rng)
    for drawn in (diffusion.ddpm_sample(predict, x, bars, rng), diffusion.ddim_sample(predict, x, bars)):
        for axis in range(2):
            assert stats.ks_2samp(drawn[:, axis], truth[:, axis]).pvalue > 1e-4


def test_one_step_is_no_sampler():
    rng = np.random.default_rng(0)
    bars = diffusion.alpha_bars(diffusion.cosine_betas(200))
    drawn = diffusion.one_step(diffusion.mixture_noise(*PIXEL, bars), rng.standard_normal((10_000, 1)), bars)
    assert np.abs(drawn).max() < 0.05  # all of it is noise, so nothing is left


def test_ddim_repeats_itself_and_ddpm_does_not():
    x = np.random.default_rng(0).standard_normal((5, 2))
    predict = diffusion.mixture_noise(*PLANE, BARS)
    np.testing.assert_array_equal(*(diffusion.ddim_sample(predict, x, BARS, steps=10) for _ in range(2)))
    one, other = (diffusion.ddpm_sample(predict, x, BARS, np.random.default_rng(i), steps=10) for i in range(2))
    assert np.abs(one - other).max() > 0.01


def test_a_path_has_every_step_and_ends_where_the_sampler_does():
    x = np.random.default_rng(0).standard_normal((5, 2))
    predict = diffusion.mixture_noise(*PLANE, BARS)
    path = list(diffusion.ddim_path(predict, x, BARS, steps=7))
    assert len(path) == 8 and path[0] is x
    np.testing.assert_array_equal(path[-1], diffusion.ddim_sample(predict, x, BARS, steps=7))
    times = []
    list(diffusion.ddpm_path(lambda x, t: times.append(t) or x, x, BARS, np.random.default_rng(0)))
    assert times == list(range(50, 0, -1))


def test_steps_with_the_true_noise_lead_back_to_the_data():
    x0, noise = np.random.default_rng(0).standard_normal((2, 3, 4))
    xt = diffusion.add_noise(x0, 40, noise, BARS)
    np.testing.assert_allclose(
        diffusion.ddim_step(noise, xt, 40, BARS, 25), diffusion.add_noise(x0, 25, noise, BARS), atol=1e-9
    )
    np.testing.assert_allclose(diffusion.ddpm_step(noise, xt, 40, BARS, np.ones_like(xt), 0), x0, atol=1e-9)


def test_clipping_holds_the_predicted_data_in_its_range():
    xt = np.array([[3.0]])
    assert diffusion.ddim_step(np.array([[0.0]]), xt, 10, BARS, 0, clip=(-1, 1))[0, 0] == 1
    assert diffusion.ddpm_step(np.array([[0.0]]), xt, 10, BARS, xt, 0, clip=(-1, 1))[0, 0] == 1
    unclipped = diffusion.ddim_step(np.array([[2.5]]), xt, 10, BARS, 5)
    assert diffusion.ddim_step(np.array([[2.5]]), xt, 10, BARS, 5, clip=(-9, 9)) == pytest.approx(unclipped)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_samplers_take_tensors(dtype):
    x = np.random.default_rng(0).standard_normal((4, 3))

    def predict(x, t):
        return x * t / 50

    wanted = diffusion.ddim_sample(predict, x, BARS, steps=9, clip=(-1, 1))
    found = diffusion.ddim_sample(predict, torch.tensor(x, dtype=dtype), BARS, steps=9, clip=(-1, 1))
    assert found.dtype == dtype
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-4, atol=1e-4)
    wanted = diffusion.ddpm_sample(predict, x, BARS, np.random.default_rng(0), steps=9)
    found = diffusion.ddpm_sample(predict, torch.tensor(x, dtype=dtype), BARS, np.random.default_rng(0), steps=9)
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-3, atol=1e-3)


def test_samplers_keep_float32():
    x = np.zeros((2, 2), np.float32)
    for drawn in (
        diffusion.ddpm_sample(lambda x, t: x, x, BARS, np.random.default_rng(0)),
        diffusion.ddim_sample(lambda x, t: x, x, BARS),
        diffusion.langevin(lambda x: -x, x, 0.1, 3, np.random.default_rng(0)),
    ):
        assert drawn.dtype == np.float32


def test_langevin_ends_in_the_distribution_of_its_score():
    rng = np.random.default_rng(0)
    drawn = diffusion.langevin(lambda x: -(x - 2) / 0.25, rng.standard_normal((20_000, 1)), 0.01, 300, rng)
    assert drawn.mean() == pytest.approx(2, abs=0.02) and drawn.std() == pytest.approx(0.5, abs=0.02)


# ----------------------------------------------------------------------------------------------------------- in words


@pytest.mark.parametrize(
    "call,words",
    [
        (lambda: diffusion.linear_betas(0), "T is 0; expected at least 1"),
        (lambda: diffusion.linear_betas(10), "betas run from 0.01 to 2; expected"),
        (lambda: diffusion.cosine_betas(0), "T is 0"),
        (lambda: diffusion.cosine_betas(5, offset=-1), "offset is -1"),
        (lambda: diffusion.cosine_betas(5, largest=1.0), "largest is 1.0"),
        (lambda: diffusion.alpha_bars([]), r"betas has shape \(0,\)"),
        (lambda: diffusion.alpha_bars([0.5, 1.0]), "betas run from 0.5 to 1;"),
        (lambda: diffusion.spaced(10, 11), "steps is 11; expected 1 to 10"),
        (lambda: diffusion.add_noise(np.zeros((2, 3)), 1, np.zeros((2, 1)), BARS), r"noise has shape \(2, 1\)"),
        (lambda: diffusion.add_noise(np.zeros(2), 51, np.zeros(2), BARS), "t runs from 51 to 51; expected 0 to 50"),
        (lambda: diffusion.add_noise(np.zeros(2), np.ones(3, int), np.zeros(2), BARS), r"t has shape \(3,\)"),
        (lambda: diffusion.posterior(0.0, 0.0, 3, BARS, 3), "s is 3 and t is 3"),
        (lambda: diffusion.ddim_step(0.0, np.zeros(1), 51, BARS), "s is 50 and t is 51"),
        (lambda: diffusion.convert(0.0, 0.0, 3, BARS, wanted="y"), "wanted is 'y'; expected one of noise, x, v"),
        (lambda: diffusion.convert(np.zeros(1), np.zeros(1), 0, BARS), "t is 0; expected at least 1"),
        (lambda: diffusion.langevin(lambda x: x, np.zeros(1), 0, 1, np.random.default_rng(0)), "size is 0"),
        (lambda: diffusion.noised_mixture(*PIXEL, 51, BARS), "t is 51"),
        (lambda: diffusion.mixture_score(np.zeros((1, 1)), [1], [[0]], [0]), "variances holds a 0"),
        (lambda: diffusion.mixture_score(np.zeros((1, 2)), *PIXEL), r"x has shape \(1, 2\); expected \(N, 1\)"),
        (lambda: diffusion.mixture_score(np.zeros((1, 1)), [0.5], [[0]], [1]), "sum to 1"),
        (lambda: diffusion.mixture_score(np.zeros((1, 1)), [1], [0], [1]), r"\(K,\), \(K, D\) and \(K,\)"),
        (lambda: diffusion.entropy(np.exp, 1, 0), "low is 1, high 0"),
    ],
)
def test_wrong_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
