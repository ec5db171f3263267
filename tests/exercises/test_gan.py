"""The exercises of ``17_generative``: the contract, and what is particular to them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from dlcourse import exercises, gan
from dlcourse.check.probe import probe
from dlcourse.exercises import gan as specification

from . import alternatives_gan
from .common import Contract


class TestGenerative(Contract):
    assignment = "17_generative"
    alternatives = alternatives_gan


def first(id, number=0):
    exercise = exercises.get(id)
    return probe(exercise.reference, exercise.make_cases(0)[number].calls).values


def test_the_question_s_examples_are_the_first_cases():
    weights, means, covariances, value = first("gan.em")[0]
    np.testing.assert_allclose(weights, [0.25, 0.75])
    np.testing.assert_allclose(means, 0, atol=1e-12)
    np.testing.assert_allclose(covariances, np.ones((2, 1, 1)))
    assert math.isclose(value, stats.norm.logpdf(1))
    loss_d, loss_g, dreal, dfake, dg = first("gan.losses")[0]
    np.testing.assert_allclose([loss_d, loss_g], [2 * math.log(2), math.log(2)])
    np.testing.assert_allclose([*dreal, *dfake, *dg], [-0.5, 0.25, 0.25, -0.25, -0.25])
    np.testing.assert_allclose(first("gan.penalty")[0], 4)
    (y, log_det), x = first("gan.coupling")
    np.testing.assert_allclose([*y[0], *log_det, *x[0]], [2, 7, 0, 2, 5])
    np.testing.assert_allclose(first("gan.mmd")[0], 2 - 2 * math.exp(-0.5))
    np.testing.assert_allclose(first("gan.fid")[0], 1 + 2 + 8 - 2 * 4)


def test_the_penalty_is_that_of_the_package(monkeypatch):
    case = exercises.get("gan.penalty").make_cases(3)[2]
    real, fake, u, w1, b1, w2 = (torch.tensor(a) for a in case.calls[0].args)
    monkeypatch.setattr(torch, "rand", lambda *shape, **settings: u[:, None])
    found = gan.gradient_penalty(lambda x: torch.tanh(x @ w1 + b1) @ w2, real, fake)
    np.testing.assert_allclose(found.detach(), specification.penalty(*case.calls[0].args))


def test_the_best_discriminator_is_the_share_of_real_heads():
    rng = np.random.default_rng(0)
    real, fake = (rng.random(400_000) < p for p in (0.3, 0.5))
    assert abs(real.sum() / (real.sum() + fake.sum()) - exercises.get("gan.best").reference) < 0.005


def test_the_distance_is_that_of_kolmogorov_and_smirnov():
    rng = np.random.default_rng(0)
    edges, counts, x = np.array([0.0, 1.0, 3.0]), np.array([1, 3]), rng.uniform(0, 3, 50)
    wanted = stats.kstest(x, lambda v: np.interp(v, edges, [0, 0.25, 1])).statistic
    assert math.isclose(specification.distance(x, edges, counts), wanted)


def test_the_stated_rate_is_that_of_the_bounds():
    """Dvoretzky, Kiefer, Wolfowitz and Massart: 2 exp(-2 n e²), for each case, seed, and part."""
    exercise = exercises.get("gan.inverse")
    cases = exercise.make_cases(0)
    total = 0.0
    for case in cases:
        n = case.calls[0].args[2]
        for part in (n, n // 2):
            e = math.sqrt(specification._SLACK / part)
            total += 2 * 2 * math.exp(-2 * part * e * e)  # two seeds
    assert total == pytest.approx(5e-8) and total <= exercise.compare.false_fail.rate


def test_the_bounds_are_tight_enough_to_see_a_shift_of_three_percent():
    exercise = exercises.get("gan.inverse")
    (case, *_) = exercise.make_cases(0)
    edges, counts, n, _ = case.calls[0].args

    def values(shift):
        draws = [specification.sample_histogram(edges, counts + np.array([shift, -shift]), n, s) for s in (0, 0, 1)]
        return exercise.compare(case, draws, None)

    assert values(0.0) is None and "off by" in values(0.12)
