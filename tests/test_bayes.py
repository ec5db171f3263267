"""Bayesian linear regression against scikit-learn and SciPy; what conformal prediction promises."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.datasets import load_diabetes
from sklearn.linear_model import BayesianRidge, LogisticRegression

from dlcourse import bayes, data


def examples(seed, N=12, D=3):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(N, D))
    return x, x @ rng.normal(size=D) + 0.3 * rng.normal(size=N)


@pytest.mark.parametrize("seed", range(3))
def test_posterior_and_precisions_are_scikit_learn_s(seed):
    x, y = examples(seed, 40, 4)
    theirs = BayesianRidge(
        fit_intercept=False, tol=1e-12, max_iter=5000, alpha_1=0, alpha_2=0, lambda_1=0, lambda_2=0
    ).fit(x, y)
    fixed = bayes.linear_posterior(x, y, theirs.lambda_, theirs.alpha_)  # their alpha is the noise's
    np.testing.assert_allclose(fixed.mean, theirs.coef_, rtol=1e-9)
    np.testing.assert_allclose(fixed.covariance, theirs.sigma_, rtol=1e-9, atol=1e-14)
    mean, std = theirs.predict(x[:5], return_std=True)
    np.testing.assert_allclose(bayes.predict(fixed, x[:5]), (mean, std), rtol=1e-9)
    found = bayes.fit_precisions(x, y, tol=1e-12, limit=5000)
    assert found.alpha == pytest.approx(theirs.lambda_, rel=1e-6)
    assert found.beta == pytest.approx(theirs.alpha_, rel=1e-6)


@settings(deadline=None)
@given(st.integers(0, 6), st.integers(1, 4), st.floats(0.1, 10), st.floats(0.1, 10))
def test_posterior_and_evidence_are_those_of_the_joint_gaussian(N, D, alpha, beta):
    """By conditioning (w, y) ~ N(0, ...), which shares no formula with what is tested."""
    rng = np.random.default_rng(N)
    x, y, new = rng.normal(size=(N, D)), rng.normal(size=N), rng.normal(size=(2, D))
    found = bayes.linear_posterior(x, y, alpha, beta)
    of_y = x @ x.T / alpha + np.eye(N) / beta
    gain = np.linalg.solve(of_y, x / alpha).T if N else np.zeros((D, 0))
    np.testing.assert_allclose(found.mean, gain @ y, atol=1e-9)
    np.testing.assert_allclose(found.covariance, np.eye(D) / alpha - gain @ x / alpha, atol=1e-9)
    _, std = bayes.predict(found, new)
    np.testing.assert_allclose(std**2, 1 / beta + np.diag(new @ found.covariance @ new.T), atol=1e-9)
    if N:
        wanted = stats.multivariate_normal(np.zeros(N), of_y).logpdf(y)
        assert bayes.log_evidence(x, y, alpha, beta) == pytest.approx(wanted)


def test_the_fitted_precisions_make_the_evidence_largest():
    x, y = examples(0, 60, 5)
    found = bayes.fit_precisions(x, y)
    best = bayes.log_evidence(x, y, found.alpha, found.beta)
    for factor in (0.8, 1.25):
        assert bayes.log_evidence(x, y, factor * found.alpha, found.beta) < best
        assert bayes.log_evidence(x, y, found.alpha, factor * found.beta) < best


def test_doubt_shrinks_with_examples_and_noise_stays():
    x, y = examples(1, 2000, 3)
    few, many = (bayes.linear_posterior(x[:n], y[:n], 1.0, 11.0) for n in (5, 2000))
    new = np.ones((1, 3))
    assert bayes.predict(few, new)[1] > 1.2 * bayes.predict(many, new)[1] > 11**-0.5


@given(st.integers(0, 30), st.floats(0.01, 0.99))
def test_the_quantile_is_the_score_with_that_many_at_or_below(n, alpha):
    scores = np.random.default_rng(n).permutation(n).astype(float)  # 0 ... n - 1
    q = bayes.conformal_quantile(scores, alpha)
    exact = (n + 1) * (1 - alpha)
    if math.isinf(q):
        assert exact > n - 1e-8
    else:
        assert exact - 1e-8 <= q + 1 < exact + 1 + 1e-8


def test_round_numbers_give_the_rank_that_they_mean():
    for n, alpha, rank in ((9, 0.1, 9), (19, 0.05, 19), (99, 0.3, 70), (9, 0.9, 1), (49, 0.42, 29)):
        assert bayes.conformal_quantile(np.arange(1.0, n + 1), alpha) == rank


def test_coverage_is_what_is_promised_by_simulation():
    """Over many draws of calibration and test: between 1 - α and 1 - α + 1 / (n + 1)."""
    rng, n, alpha, runs = np.random.default_rng(0), 14, 0.2, 20_000
    drawn = rng.exponential(size=(runs, n + 1))
    q = [bayes.conformal_quantile(row[:n], alpha) for row in drawn]
    covered = np.mean(drawn[:, n] <= q)
    wanted = math.ceil((n + 1) * (1 - alpha)) / (n + 1)
    assert covered == pytest.approx(wanted, abs=5 * (0.16 / runs) ** 0.5)


def test_the_spread_of_coverage_is_that_of_simulated_calibration_sets():
    rng = np.random.default_rng(0)
    covered = [bayes.conformal_quantile(rng.random(200), 0.1) for _ in range(4000)]  # uniform scores: q is the coverage
    np.testing.assert_allclose(bayes.coverage_spread(200, 0.1), np.percentile(covered, [2.5, 97.5]), atol=0.004)


def test_sets_of_real_digits_hold_the_answer():
    d = data.load("digits")
    x, y = np.concatenate([d.x_train, d.x_test]).reshape(-1, 64), np.concatenate([d.y_train, d.y_test])
    order = np.random.default_rng(0).permutation(len(y))
    x, y = x[order], y[order]
    p = LogisticRegression(C=0.1, max_iter=200).fit(x[:300], y[:300]).predict_proba(x[300:])
    found = np.array([bayes.split_sets(p, y[300:], 500, 0.1, np.random.default_rng(s)) for s in range(100)])
    assert 0.89 <= found[:, 0].mean() <= 0.91
    assert 0.9 <= found[:, 1].mean() < 2


@pytest.mark.parametrize("adapted", [False, True])
def test_intervals_of_real_patients_hold_the_answer(adapted):
    x, y = load_diabetes(return_X_y=True)
    w = np.linalg.lstsq(x[:142], y[:142] - y.mean(), rcond=None)[0]
    predictions = x[142:] @ w + y.mean()
    scale = 1 + np.abs(x[142:, 2]) if adapted else None
    found = np.array(
        [bayes.split_intervals(predictions, y[142:], 150, 0.1, np.random.default_rng(s), scale) for s in range(100)]
    )
    assert 0.89 <= found[:, 0].mean() <= 0.92


def test_sets_hold_the_classes_that_are_likely_enough():
    p = np.array([[0.75, 0.25], [0.5, 0.5], [0.0, 1.0]])
    assert bayes.prediction_sets(p, 0.5).tolist() == [[True, False], [True, True], [False, True]]
    assert bayes.prediction_sets(p, math.inf).all() and not bayes.prediction_sets(p, -1.0).any()
    np.testing.assert_allclose(bayes.class_scores(p, [0, 1, 0]), [0.25, 0.5, 1.0])
    low, high = bayes.intervals(np.array([1.0, 2.0]), 0.5, np.array([1.0, 2.0]))
    assert low.tolist() == [0.5, 1.0] and high.tolist() == [1.5, 3.0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bayes.linear_posterior(np.ones(3), np.ones(3), 1, 1), "x has shape"),
        (lambda: bayes.linear_posterior(np.ones((3, 1)), np.ones(3), 0, 1), "alpha is 0"),
        (lambda: bayes.linear_posterior(np.ones((3, 1), int), np.ones(3), 1, 1), "x has dtype"),
        (lambda: bayes.fit_precisions(np.ones((0, 1)), np.ones(0)), "x has no rows"),
        (
            lambda: bayes.predict(bayes.linear_posterior(np.ones((3, 1)), np.ones(3), 1, 1), np.ones((2, 2))),
            "x has shape",
        ),
        (lambda: bayes.conformal_quantile(np.ones((2, 2)), 0.1), "scores has shape"),
        (lambda: bayes.conformal_quantile(np.array([np.nan]), 0.1), "none of them nan"),
        (lambda: bayes.conformal_quantile(np.ones(3), 1.0), "alpha is 1.0"),
        (lambda: bayes.class_scores(np.ones((2, 3)), [0]), "probabilities has shape"),
        (lambda: bayes.coverage_spread(5, 0.1), "calibration is 5; expected at least 9"),
        (
            lambda: bayes.split_sets(np.ones((2, 3)), np.zeros(2, int), 2, 0.1, np.random.default_rng(0)),
            "calibration is 2",
        ),
    ],
)
def test_wrong_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
