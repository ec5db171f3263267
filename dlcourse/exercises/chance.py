"""Probabilities behind the thresholds: how often a correct solution fails where an exercise judges by chance.

Upper bounds, so that what an exercise states as its ``FalseFail`` can be computed again.
"""

from __future__ import annotations

import math
from fractions import Fraction


def binomial_tail(n: int, p: float, k: int) -> float:
    """P(X > k) for X ~ Binomial(n, p): more than k errors in n held-out examples at error rate p."""
    if not 0 < p < 1:
        return float(p == 1 and k < n)
    log = [
        math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) + i * math.log(p) + (n - i) * math.log1p(-p)
        for i in range(k + 1, n + 1)
    ]
    return math.fsum(map(math.exp, log))


def errors_allowed(n: int, threshold: float) -> int:
    """The largest number of errors among n examples at which the accuracy still reaches the threshold."""
    allowed = math.floor(n * (1 - threshold)) + 1
    while (n - allowed) / n < threshold:
        allowed -= 1
    return allowed


def neighbours_tail(n: int, k: int) -> float:
    """A bound on P(X >= k), X the number of places in a random order of 0 ... n-1 where neighbours stay neighbours.

    X counts the i with |order[i + 1] - order[i]| = 1. By Markov's inequality P(X >= k) <= E[C(X, k)], and the
    expectation counts: choose k of the n - 1 places so that they form b runs, turn each run up or down, and order the
    n - k pieces.
    """
    if not 0 < k < n:
        return float(k <= 0)
    ways = sum(math.comb(k - 1, b - 1) * math.comb(n - k, b) * 2**b for b in range(1, min(k, n - k) + 1))
    return float(Fraction(ways * math.factorial(n - k), math.factorial(n)))


def same_batches(n: int, batch_size: int) -> float:
    """P(two random orders of n examples put the same examples together in batches)."""
    full, rest = divmod(n, batch_size)
    ways = Fraction(math.factorial(n), math.factorial(batch_size) ** full * math.factorial(rest) * math.factorial(full))
    return float(1 / ways)


def chi_square_tail(df: int, x: float) -> float:
    """Chernoff's bound on P(X > x) for X ~ chi-square with df degrees of freedom; 1 at and below the mean."""
    if x <= df:
        return 1.0
    return math.exp(df / 2 * (1 + math.log(x / df)) - x / 2)


def never_in(runs: int, confidence: float = 0.999) -> float:
    """The largest probability, at this confidence, of what did not happen once in independent runs."""
    return -math.expm1(math.log1p(-confidence) / runs)
