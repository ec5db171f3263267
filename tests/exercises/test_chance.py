"""The bounds behind the stated rates, against counting, simulation and SciPy."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from dlcourse.exercises.chance import (
    binomial_tail,
    chi_square_tail,
    errors_allowed,
    neighbours_tail,
    never_in,
    same_batches,
)


@pytest.mark.parametrize(("n", "p", "k"), [(10, 0.3, 2), (360, 0.1, 68), (1000, 0.05, 150), (5, 0.5, 4), (5, 0.5, 5)])
def test_binomial_tail(n, p, k):
    assert binomial_tail(n, p, k) == pytest.approx(stats.binom.sf(k, n, p), rel=1e-9)


@pytest.mark.parametrize(("p", "tail"), [(0.0, 0.0), (1.0, 1.0)])
def test_binomial_tail_of_what_never_or_always_happens(p, tail):
    assert binomial_tail(10, p, 9) == tail
    assert binomial_tail(10, p, 10) == 0


@pytest.mark.parametrize("n", [1, 7, 100, 200, 360, 1000])
@pytest.mark.parametrize("threshold", [0.5, 0.81, 0.9, 0.95, 1.0])
def test_errors_allowed_are_those_at_which_the_accuracy_passes(n, threshold):
    accuracy = [np.mean(np.arange(n) >= errors) for errors in range(n + 1)]
    assert errors_allowed(n, threshold) == max(errors for errors in range(n + 1) if accuracy[errors] >= threshold)


@pytest.mark.parametrize("n", [2, 5, 7])
def test_neighbours_are_counted_right(n):
    counts = [sum(abs(a - b) == 1 for a, b in itertools.pairwise(order)) for order in itertools.permutations(range(n))]
    for k in range(n + 1):
        bound = neighbours_tail(n, k)
        assert bound >= np.mean([count >= k for count in counts])
        if 0 < k < n:
            assert bound == pytest.approx(np.mean([math.comb(count, k) for count in counts]), rel=1e-12)


@pytest.mark.parametrize(("n", "batch_size"), [(4, 2), (5, 2), (6, 3), (6, 4), (5, 1)])
def test_same_batches_against_all_orders(n, batch_size):
    def groups(order):
        return frozenset(frozenset(order[start : start + batch_size]) for start in range(0, n, batch_size))

    found = [groups(order) for order in itertools.permutations(range(n))]
    assert same_batches(n, batch_size) == pytest.approx(np.mean([one == found[0] for one in found]), rel=1e-12)


@pytest.mark.parametrize(("df", "x"), [(1, 4.0), (9, 30.0), (9, 100.0), (9, 9.0), (9, 1.0)])
def test_chi_square_tail_is_a_bound(df, x):
    assert stats.chi2.sf(x, df) <= chi_square_tail(df, x) <= 1


def test_chi_square_tail_is_not_far_off():
    assert chi_square_tail(9, 100.0) < 100 * stats.chi2.sf(100.0, 9)


def test_never_in_is_the_exact_confidence_limit():
    # Clopper and Pearson's limit for 0 of n is a quantile of a beta distribution.
    assert never_in(700) == pytest.approx(stats.beta.ppf(0.999, 1, 700), rel=1e-9)
    assert (1 - never_in(50, 0.95)) ** 50 == pytest.approx(0.05)
