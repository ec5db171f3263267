"""The exercises of ``18_diffusion``: the contract, and what is particular to them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from dlcourse import diffusion, exercises
from dlcourse.check.probe import probe
from dlcourse.exercises import diffusion as specification
from dlcourse.exercises.chance import binomial_tail, chi_square_tail

from . import alternatives_diffusion
from .common import Contract


class TestDiffusion(Contract):
    assignment = "18_diffusion"
    alternatives = alternatives_diffusion


def first(id, number=0):
    exercise = exercises.get(id)
    return probe(exercise.reference, exercise.make_cases(0)[number].calls).values


def test_the_question_s_examples_are_the_first_cases():
    np.testing.assert_allclose(first("diffusion.forward")[0].ravel(), [0.8**0.5, 0.4])
    np.testing.assert_allclose(first("diffusion.schedule")[0], [1, 0.5, 0.0005])
    for number in range(3):
        found = [float(value[0]) for value in first("diffusion.predictions", number)[0]]
        np.testing.assert_allclose(found[0] * 0.8 + found[1] * 0.6, 2.2)
    np.testing.assert_allclose([float(value[0]) for value in first("diffusion.predictions")[0]], [2, 1, 0.4])
    np.testing.assert_allclose(first("diffusion.step")[0], [1])
    np.testing.assert_allclose([float(value[0, 0]) for value in first("diffusion.sampler")], [0.8, 2.6])
    np.testing.assert_allclose(first("diffusion.guidance")[0], [1])


def test_the_number_is_that_of_the_package():
    for T, enough in ((682, False), (683, True)):
        left = diffusion.alpha_bars(diffusion.linear_betas(T, 1e-4, 0.02), left=1.0)[-1]
        assert (left < 1e-3) == enough
    assert exercises.get("diffusion.enough").reference == 683


def test_the_references_are_the_package():
    rng = np.random.default_rng(0)
    bars = specification.cosine(30)
    np.testing.assert_allclose(bars, diffusion.alpha_bars(diffusion.cosine_betas(30)))
    betas = 1 - bars[1:] / bars[:-1]
    noise, xt, z = rng.standard_normal((3, 4, 2))
    np.testing.assert_allclose(
        specification.back(noise, xt, 7, betas, z), diffusion.ddpm_step(noise, xt, 7, bars, z), rtol=1e-9
    )
    mixture = [0.3, 0.7], rng.standard_normal((2, 2)), [0.1, 0.3]
    sampler = specification.Sampler(*mixture, bars)
    exact = diffusion.mixture_noise(*mixture, bars)
    np.testing.assert_allclose(sampler.noise(xt, 9), exact(xt, 9))
    np.testing.assert_allclose(
        sampler.sample(xt, diffusion.spaced(30, 6)), diffusion.ddim_sample(exact, xt, bars, steps=6)
    )
    np.testing.assert_allclose(
        specification.guided(noise, z, xt, bars[20], bars[10], 2.0),
        diffusion.ddim_step(diffusion.guided(noise, z, 2.0), xt, 20, bars, 10, clip=(-1, 1)),
    )


def test_one_bump_is_a_straight_line():
    """The a, b and c of the check, against a simulation."""
    bars = specification.cosine(6)
    a, b, c = specification.line(0.5, 0.4, bars)
    one = np.ones(1), np.array([0.5]), np.array([0.4])
    for x in (-1.0, 2.0):
        drawn = specification.ancestral(np.full(100_000, x), *one, bars, 0)
        assert drawn.mean() == pytest.approx(a * x + b, abs=6 * (c / 1e5) ** 0.5)
        assert drawn.var() == pytest.approx(c, rel=0.03)


def test_rate_of_false_failures_is_what_is_stated():
    n, low, high = specification.N_LINE, specification.LOW, specification.HIGH
    # Chernoff's bound holds below the mean too, in the same form
    below = math.exp(n / 2 * (1 + math.log(low) - low))
    spread = chi_square_tail(n, high * n) + below
    mean_and_slope = 2 * 2 * stats.norm.sf(specification.Z)  # the rule's limit is that or more
    line = 4 * (spread + mean_and_slope)
    share = 0.0
    for p in specification.SHARES.values():
        for true in (p - 0.001, p + 0.001):  # what was measured is uncertain by less than that
            above = math.floor((p + specification.OFF) * specification.N_PIXEL)
            below = math.ceil((p - specification.OFF) * specification.N_PIXEL)
            tails = (
                binomial_tail(specification.N_PIXEL, true, above),
                binomial_tail(specification.N_PIXEL, 1 - true, specification.N_PIXEL - below),
            )
            share = max(share, sum(tails))
    assert line + 3 * share < exercises.get("diffusion.draw").compare.false_fail.rate


@pytest.mark.parametrize("number,name", [(2, "tutorial"), (3, "cosine"), (4, "unequal")])
def test_the_shares_are_those_of_the_sampler(number, name):
    case = exercises.get("diffusion.draw").make_cases(0)[number]
    assert case.secret["share"] == specification.SHARES[name]
    _, *mixture, bars, _ = case.calls[0].args
    drawn = [
        specification.ancestral(np.random.default_rng(10 + i).standard_normal(100_000), *mixture, bars, i)
        for i in range(2)
    ]
    assert np.mean(np.array(drawn) > 0) == pytest.approx(case.secret["share"], abs=0.004)


def test_samples_straight_from_the_mixture_fail_even_where_their_share_is_right():
    exercise = exercises.get("diffusion.draw")
    case = exercise.make_cases(0)[0]
    rng = np.random.default_rng(0)
    value = [rng.normal(call.args[2][0], call.args[3][0] ** 0.5, len(call.args[0])) for call in case.calls[:2]]
    assert exercise.compare(case, [*value, value[0]], None) is not None


def test_a_seed_repeats_its_samples_and_another_does_not():
    exercise = exercises.get("diffusion.draw")
    case = exercise.make_cases(0)[0]
    one, other, again = (specification.ancestral(*call.args) for call in case.calls)
    assert exercise.compare(case, [one, other, again], None) is None
    assert "two seeds" in exercise.compare(case, [one, one, one], None)
    assert "same seed" in exercise.compare(case, [one, other, other], None)
