"""The exercises of ``17_generative``: sampling, EM, the best discriminator, losses, a slope, a flow, two distances."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from scipy import special

from dlcourse import adversarial, density, metrics
from dlcourse.exercises.compare import Close, FalseFail, Holds
from dlcourse.exercises.offered import AUTODIFF, AUTOGRAD, LOGISTIC_LOSS
from dlcourse.exercises.plain import numbers
from dlcourse.exercises.spec import Case, Exercise, Mistake, calls, case, steps, text_exercise

# --- Inverse transform sampling from a histogram -------------------------------------------------------------------

_N = 20_000
_CASES = 4
_RATE = 5e-8  # for all cases, two draws of each, and in each the whole and its first half
# Massart's constant in the inequality of Dvoretzky, Kiefer and Wolfowitz: P(sup |F_n - F| > e) <= 2 exp(-2 n e²).
_SLACK = math.log(2 * 4 * _CASES / _RATE) / 2
_EVEN = 1e-10  # what is counted in cells may be nearer to its expectation than this only


def sample_histogram(edges, counts, n, seed):
    """The reference."""
    edges, cdf = np.asarray(edges), np.append(0, np.cumsum(counts)) / np.sum(counts)
    return np.interp(density.uniform(n, np.random.default_rng(seed)), cdf, edges)


def _bins_only(edges, counts, n, seed):
    """The left edge of a bin."""
    rng = np.random.default_rng(seed)
    return np.asarray(edges)[rng.choice(len(counts), n, p=np.asarray(counts) / np.sum(counts))]


def _all_bins_alike(edges, counts, n, seed):
    rng = np.random.default_rng(seed)
    return np.interp(rng.random(n), np.linspace(0, 1, len(edges)), edges)


def _width_counts_twice(edges, counts, n, seed):
    return sample_histogram(edges, np.asarray(counts) * np.diff(edges), n, seed)


def _uniform_range(edges, counts, n, seed):
    return np.random.default_rng(seed).uniform(edges[0], edges[-1], n)


def _seed_ignored(edges, counts, n, seed):
    return sample_histogram(edges, counts, n, 0)


def _grid(edges, counts, n, seed):
    """Equally spaced numbers in place of uniform ones."""
    cdf = np.append(0, np.cumsum(counts)) / np.sum(counts)
    return np.interp((np.arange(n) + 0.5) / n, cdf, edges)


def distance(x: np.ndarray, edges: np.ndarray, counts: np.ndarray) -> float:
    """The largest distance between the samples' empirical distribution function and that of the histogram."""
    cdf = np.interp(np.sort(x), edges, np.append(0, np.cumsum(counts)) / np.sum(counts))
    steps = np.arange(len(x) + 1) / len(x)
    return float(max((steps[1:] - cdf).max(), (cdf - steps[:-1]).max()))


def _too_even(x: np.ndarray, edges: np.ndarray, counts: np.ndarray) -> bool:
    """Whether the cells are filled more evenly than chance has it: cells of 1/20 each, and the bins if they are many.

    Draws that are not independent (a shuffled grid, a fixed number for each bin) pass every test of their distribution.
    """
    cdf = np.append(0, np.cumsum(counts)) / np.sum(counts)
    u = np.clip(np.interp(x, edges, cdf), 0, 1)
    for cells in (np.linspace(0, 1, 21), np.unique(cdf)):
        expected = len(x) * np.diff(cells)
        chi2 = np.sum((np.histogram(u, cells)[0] - expected) ** 2 / expected)
        if len(expected) > 10 and special.chdtr(len(expected) - 1, chi2) < _EVEN:
            return True
    return False


def _sampling_rule(case: Case, values: list) -> str | None:
    first, again, other = (np.asarray(v, dtype=float) for v in values)
    edges, counts, n, _ = case.calls[0].args
    for x in (first, other):
        if x.shape != (n,):
            return f"shape is {x.shape}, expected ({n},)"
        if x.min() < edges[0] - 1e-4 or x.max() > edges[-1] + 1e-4:
            return f"numbers from {x.min():.4g} to {x.max():.4g}; expected {edges[0]:.4g} to {edges[-1]:.4g}"
    if not np.array_equal(first, again):
        return "the same seed gave other numbers; draw from np.random.default_rng(seed)"
    if np.array_equal(first, other):
        return "two seeds gave the same numbers"
    for x in (first, other):
        for part, name in ((x, "all numbers"), (x[: n // 2], "the first half of the numbers")):
            found, allowed = distance(part, edges, counts), math.sqrt(_SLACK / len(part)) + 1e-6
            if found > allowed:
                return (
                    f"the distribution of {name} is off by {found:.3f} at the worst place; "
                    f"chance alone explains {allowed:.3f}"
                )
        different = len(np.unique(x))
        if different < 0.8 * n:  # float32 repeats 2 in 100 at most
            return f"only {different:,} of {n:,} numbers differ; within a bin all places are equally likely"
        if _too_even(x, edges, counts):
            return "the numbers lie more evenly than independent ones do; draw each of them by chance alone"
    return None


def _near(wrong: Callable) -> Callable:
    """Recognised in a failed case where what was drawn is as far from the wrong answer's draws as chance has it."""

    def when(case: Case, values: list) -> bool:
        edges, counts, n, seed = case.calls[0].args
        got = np.sort(np.asarray(values[0], dtype=float))
        if got.shape != (n,):
            return False
        like = np.sort(wrong(edges, counts, n, int(seed) + 77))
        where = np.concatenate([got, like])
        gap = np.searchsorted(got, where, "right") - np.searchsorted(like, where, "right")
        return bool(np.abs(gap).max() / n < 2 * math.sqrt(_SLACK / n))

    return when


def _same_draws(case: Case, values: list) -> bool:
    return len(values) == 3 and np.array_equal(values[0], values[2])


def _sorted_draws(case: Case, values: list) -> bool:
    x = np.asarray(values[0], dtype=float)
    return x.ndim == 1 and bool(np.all(np.diff(x) >= 0))


def _sampling_cases(rng: np.random.Generator) -> Iterator[Case]:
    def one(name, edges, counts):
        seed = int(rng.integers(1000))
        edges, counts = np.asarray(edges, float), np.asarray(counts)
        return calls(name, [(edges, counts, _N, s) for s in (seed, seed, seed + 1)])

    yield one("by hand: a quarter from 0 to 1, the rest from 1 to 3", [0, 1, 3], [1, 3])
    yield one("an empty bin in the middle", [-1, 0, 2, 2.5], [4, 0, 6])
    yield one("bins of very different widths", np.cumsum([0, 0.1, 3, 0.2, 5, 0.1]), rng.permutation([5, 40, 1, 20, 34]))
    x = np.concatenate([rng.normal(-1.5, 0.5, 300), rng.normal(1, 1, 200)])
    edges = np.linspace(-2, 2, 17) ** 3 / 2
    yield one("a histogram of 500 numbers", edges, np.histogram(x, edges)[0])


inverse = Exercise(
    id="gan.inverse",
    title="Draw from a histogram",
    name="draw",
    kind="property",
    points=3,
    reference=sample_histogram,
    cases=_sampling_cases,
    compare=Holds(
        _sampling_rule,
        false_fail=FalseFail(
            1e-7,
            "Derived: by the inequality of Dvoretzky, Kiefer and Wolfowitz, with Massart's constant, the empirical "
            "distribution function of n right draws is off by more than e with probability 2 exp(-2 n e²) at most. The "
            "bounds make the sum over 4 cases, 2 seeds, the whole and its half 5e-8. Numbers that lie too evenly add "
            "2e-9: 4 cases, 2 seeds, 2 ways to count, 1e-10 each, taken from the limit law of chi-square. Assumed: the "
            "draws are as good as independent.",
        ),
    ),
    mistakes=(
        Mistake(
            "not_random",
            _grid,
            "equally spaced numbers, in order; draw uniform random ones instead.",
            when=_sorted_draws,
        ),
        Mistake("seed_ignored", _seed_ignored, "the seed is not used: every call gives the same.", when=_same_draws),
        Mistake(
            "only_edges",
            _bins_only,
            "the bins are drawn rightly, but only their edges come out; inside a bin all places are equally likely.",
            when=lambda case, values: bool(np.isin(values[0], case.calls[0].args[0]).all()),
        ),
        Mistake(
            "uniform",
            _uniform_range,
            "uniform over the whole range: the counts have no say.",
            when=_near(_uniform_range),
        ),
        Mistake(
            "bins_alike",
            _all_bins_alike,
            "each bin is equally likely here; it should be as likely as its count says.",
            when=_near(_all_bins_alike),
        ),
        Mistake(
            "widths_again",
            _width_counts_twice,
            "the counts are multiplied by the widths; a count says already how often the bin is hit, wide or narrow.",
            when=_near(_width_counts_twice),
        ),
    ),
    withhold=("dlcourse.density.sample_discrete", "dlcourse.density.inverse_transform"),
    hints=(
        "The cumulative share of the counts, with a 0 before it, is the distribution function at the edges.",
        "Draw u = rng.random(n) with rng = np.random.default_rng(seed); a sample is the place where the function is u.",
        "Between edges the function is a straight line, so its inverse is np.interp(u, cdf, edges).",
    ),
    difficulty=2,
    importance=5,
    minutes=15,
)

# --- One step of EM -------------------------------------------------------------------------------------------------


def em_step(x, weights, means, covariances):
    """The reference."""
    mixture = density.Mixture(np.asarray(weights), np.asarray(means), np.asarray(covariances))
    r, log_density = density.responsibilities(np.asarray(x), mixture)
    new = density.maximise(np.asarray(x), r, reg=0.0)
    return new.weights, new.means, new.covariances, log_density.mean()


def _step(
    x, weights, means, covariances, *, equal=False, hard=False, old=False, turned=False, volume=True, spread="full"
):
    """EM with a mistake in it."""
    x, weights, means, covariances = (np.asarray(a, float) for a in (x, weights, means, covariances))
    K = len(weights)
    prior = np.full(K, 1 / K) if equal else weights
    if not volume:
        prior = prior * np.sqrt(np.linalg.det(covariances))
    r, log_density = density.responsibilities(x, density.Mixture(prior / prior.sum(), means, covariances))
    log_density = log_density + np.log(prior.sum())
    if hard:
        r = np.eye(K)[r.argmax(axis=1)] + 1e-12
    if turned:
        r = r / r.sum(axis=0)
    n = r.sum(axis=0)
    new_means = r.T @ x / n[:, None]
    about = means if old else new_means
    new = np.stack([(r[:, k, None] * (x - about[k])).T @ (x - about[k]) / n[k] for k in range(K)])
    if spread == "diagonal":
        new = new * np.eye(x.shape[1])
    if spread == "N - 1":
        new = new * (n / (n - 1))[:, None, None]
    return n / n.sum(), new_means, new, log_density.mean()


def _total(x, weights, means, covariances):
    *new, log_density = em_step(x, weights, means, covariances)
    return *new, log_density * len(x)


def _of_the_new(x, weights, means, covariances):
    *new, _ = em_step(x, weights, means, covariances)
    return *new, em_step(x, *new)[3]


def _no_two_pi(x, weights, means, covariances):
    *new, log_density = em_step(x, weights, means, covariances)
    return *new, log_density + np.shape(x)[1] / 2 * math.log(2 * math.pi)


def _underflow(x, weights, means, covariances):
    """Densities in place of their logarithms: 0 / 0 where all are 0."""
    new = em_step(x, weights, means, covariances)
    _, log_density = density.responsibilities(x, density.Mixture(weights, means, covariances))
    return new if np.exp(log_density).min() > 0 else tuple(np.full(np.shape(a), np.nan) for a in new)


def _with(**settings) -> Callable:
    return lambda *args: _step(*args, **settings)


def _em_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield case(
        "by hand: two points, two equal components in the middle",
        np.array([[-1.0], [1.0]]), np.array([0.25, 0.75]), np.zeros((2, 1)), np.ones((2, 1, 1)),
    )  # fmt: skip
    for name, N, D, K in (("one dimension, two components", 30, 1, 2), ("three components in a plane", 60, 2, 3)):
        x = rng.normal(size=(N, D)) + 3 * rng.integers(0, K, (N, 1))
        a = 0.4 * rng.normal(size=(K, D, D))
        yield case(name, x, rng.dirichlet(np.full(K, 5.0)), rng.normal(1, 2, (K, D)), a @ a.swapaxes(1, 2) + np.eye(D))
    x = rng.normal(size=(25, 3)) @ rng.normal(size=(3, 3))
    yield case("one component: mean and covariance", x, np.ones(1), rng.normal(size=(1, 3)), np.eye(3)[None])
    x = np.concatenate([rng.normal(size=(15, 2)), rng.normal(size=(20, 2)) + 60])
    means = np.array([[0.0, 1.0], [10.0, 12.0]])
    yield case(
        "far from both components: densities of 0 in floating point",
        x,
        np.array([0.5, 0.5]),
        means,
        np.stack([np.eye(2)] * 2),
    )


em = Exercise(
    id="gan.em",
    title="One step of EM",
    name="em_step",
    kind="function",
    points=4,
    reference=em_step,
    cases=_em_cases,
    compare=Close(rtol=1e-4, atol=1e-6),
    mistakes=(
        Mistake(
            "weights_forgotten", _with(equal=True), "the weights of the components have a say in who is responsible."
        ),
        Mistake(
            "hard",
            _with(hard=True),
            "each point goes to one component; let it count for each as far as that is responsible.",
        ),
        Mistake("old_means", _with(old=True), "the covariances are taken about the old means; take the new ones."),
        Mistake("rows_sum", _with(turned=True), "the responsibilities of one point sum to 1, over the components."),
        Mistake(
            "diagonal",
            _with(spread="diagonal"),
            "only the variances are there; a covariance has its other entries too.",
        ),
        Mistake(
            "n_minus_1",
            _with(spread="N - 1"),
            "divide the covariances by N[k], not by N[k] - 1: EM maximises the likelihood.",
        ),
        Mistake("sum_not_mean", _total, "the log-likelihood is the sum over the points; the mean is asked for."),
        Mistake(
            "of_the_new",
            _of_the_new,
            "the log-likelihood is that of the new mixture; that of the one that came in is asked for.",
        ),
        Mistake("no_two_pi", _no_two_pi, "the density of a Gaussian has a factor (2π)^(-D/2), and it is missing."),
        Mistake(
            "no_determinant",
            _with(volume=False),
            "the density of a Gaussian has the factor det(Σ)^(-1/2): a wide component is thin everywhere.",
        ),
        Mistake(
            "underflow",
            _underflow,
            "all densities of a point are 0 in floating point, and 0 / 0 is nan; subtract the row's largest logarithm "
            "before exp, and add it again in the log-likelihood.",
            when=lambda case, values: case.name.startswith("far") and any(np.isnan(v).any() for v in values[0]),
        ),
    ),
    withhold=(
        *(f"dlcourse.density.{name}" for name in ("responsibilities", "maximise", "em", "mixture_log_density")),
        "dlcourse.density.mixture_log_terms",
        "sklearn.mixture.GaussianMixture",
        "sklearn.mixture.BayesianGaussianMixture",
    ),
    hints=(
        "First (N, K) numbers: log weights[k] + log N(x[n]; means[k], covariances[k]). They are large and negative.",
        "Subtract each row's maximum before exp; the rows, divided by their sums, are the responsibilities r.",
        "N[k] = r[:, k].sum(); means = r.T @ x / N[:, None]; then (r[:, k, None] * d).T @ d / N[k], d = x - means[k].",
    ),
    difficulty=4,
    importance=4,
    minutes=30,
)

# --- A number: the best discriminator -------------------------------------------------------------------------------

best = Exercise(
    id="gan.best",
    title="The best that a discriminator can do",
    name="d_heads",
    kind="number",
    points=1,
    reference=0.375,
    cases=lambda rng: [Case("the best D(heads)")],
    compare=Close(rtol=1e-3, atol=0),
    mistakes=(
        Mistake("turned_round", 0.625, "this is the probability that heads were generated; D is that they are real."),
        Mistake(
            "ratio", 0.6, "this is the ratio of the two probabilities, the odds; turn the odds into a probability."
        ),
        Mistake("half", 0.5, "that is where the game ends, when both coins are alike; here they are not."),
        Mistake("natures", 0.3, "this is how often nature shows heads; D is asked who showed them."),
        Mistake("tails", 7 / 12, "this is D(tails)."),
        Mistake("joint", 0.15, "this is the share of nature's heads in all tosses; take their share in all heads."),
        Mistake(
            "all_heads", 0.4, "this is how often heads come up, from either coin; which share of them is nature's?"
        ),
        Mistake("rounded", 0.38, "do not round; an expression is fine."),
    ),
    hints=(
        "Draw 1,000 tosses of each. How many heads come from nature, how many from the generator?",
        "Of all heads, which share is real? That is the best answer to 'is this one real?'",
        "That is 300 of 300 + 500 heads; an expression is fine.",
    ),
    difficulty=2,
    importance=5,
    minutes=5,
)

# --- The losses -----------------------------------------------------------------------------------------------------


def losses(real, fake):
    """The reference."""
    loss_d, cache = adversarial.discriminator_forward(np.asarray(real), np.asarray(fake))
    loss_g, cache_g = adversarial.nonsaturating_forward(np.asarray(fake))
    d = adversarial.discriminator_backward(1.0, cache)
    return loss_d, loss_g, *d, adversarial.nonsaturating_backward(1.0, cache_g)


def _sigmoid(s):
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-s))


def _naive(real, fake):
    with np.errstate(divide="ignore", invalid="ignore"):
        d_real, d_fake = _sigmoid(real), _sigmoid(fake)
        loss_d = -np.log(d_real).mean() - np.log(1 - d_fake).mean()
        return loss_d, -np.log(d_fake).mean(), *losses(real, fake)[2:]


def _saturating(real, fake):
    loss_d, _, dreal, dfake, _ = losses(real, fake)
    loss_g, cache = adversarial.saturating_forward(fake)
    return loss_d, loss_g, dreal, dfake, adversarial.saturating_backward(1.0, cache)


def _sums(real, fake):
    _, loss_g, dreal, dfake, dg = losses(real, fake)
    total = adversarial.discriminator_forward(real, fake[:1] * 0 - 1e9)[0] * len(real)
    fakes = adversarial.discriminator_forward(real[:1] * 0 + 1e9, fake)[0] * len(fake)
    return total + fakes, loss_g * len(fake), dreal * len(real), dfake * len(fake), dg * len(fake)


def _halved(real, fake):
    loss_d, loss_g, dreal, dfake, dg = losses(real, fake)
    return loss_d / 2, loss_g, dreal / 2, dfake / 2, dg


def _swapped(real, fake):
    _, loss_g, _, _, dg = losses(real, fake)
    swapped, dfake, dreal = losses(fake, real)[0], *losses(fake, real)[2:4]
    return swapped, loss_g, dreal, dfake, dg


def _gradient_signs(real, fake):
    loss_d, loss_g, dreal, dfake, dg = losses(real, fake)
    return loss_d, loss_g, -dreal, -dfake, -dg


def _same_for_both(real, fake):
    loss_d, loss_g, dreal, dfake, _ = losses(real, fake)
    return loss_d, loss_g, dreal, dfake, dfake


def _gradients_of_sums(real, fake):
    loss_d, loss_g, dreal, dfake, dg = losses(real, fake)
    return loss_d, loss_g, dreal * len(real), dfake * len(fake), dg * len(fake)


def _generator_sign(real, fake):
    *others, dg = losses(real, fake)
    return *others, -dg


def _by_probability(real, fake):
    with np.errstate(divide="ignore"):
        d_real, d_fake = _sigmoid(real), _sigmoid(fake)
        return (
            *losses(real, fake)[:2], -1 / (d_real * len(real)), 1 / ((1 - d_fake) * len(fake)),
            -1 / (d_fake * len(fake)),
        )  # fmt: skip


def _clipped(real, fake):
    """Probabilities kept from 0 and 1."""
    d_real, d_fake = (np.clip(_sigmoid(s), 1e-12, 1 - 1e-12) for s in (real, fake))
    loss_d = -np.log(d_real).mean() - np.log(1 - d_fake).mean()
    return loss_d, -np.log(d_fake).mean(), *losses(real, fake)[2:]


def _overflow(real, fake):
    def sigmoid(s):
        return np.exp(s) / (1 + np.exp(s))

    with np.errstate(over="ignore", invalid="ignore"):
        s, t = sigmoid(real), sigmoid(fake)
    return *losses(real, fake)[:2], (s - 1) / len(real), t / len(fake), (t - 1) / len(fake)


def _one_count(real, fake):
    loss_d, loss_g, dreal, dfake, dg = losses(real, fake)
    both = len(real) + len(fake)
    return loss_d, loss_g, dreal * len(real) / both, dfake * len(fake) / both, dg


def _loss_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield case("by hand: all logits 0", np.zeros(1), np.zeros(2))
    yield case("one real, one generated", rng.normal(size=1), rng.normal(size=1))
    yield case("a few, of different numbers", rng.normal(0, 2, 5), rng.normal(-1, 2, 8))
    yield case("float32", rng.normal(0, 2, 6).astype(np.float32), rng.normal(0, 2, 3).astype(np.float32))
    yield case("a sure discriminator", rng.normal(12, 1, 4), rng.normal(-12, 1, 4))
    far = np.array([-1e4, 1e4, 800.0, -800.0])
    yield case("logits of ±10,000", rng.permutation(far), rng.permutation(far))


loss = Exercise(
    id="gan.losses",
    title="Both losses and their gradients",
    name="gan_losses",
    kind="function",
    points=4,
    reference=losses,
    cases=_loss_cases,
    compare=Close(rtol=1e-5, atol=1e-9),
    mistakes=(
        Mistake(
            "log_of_sigmoid",
            _naive,
            "the log of a sigmoid is log 0 for large logits; -log sigmoid(s) is softplus(-s) = log(1 + exp(-s)).",
        ),
        Mistake(
            "saturating",
            _saturating,
            "this is log(1 - D(fake)), which saturates; the generator is to minimise -log D(fake).",
        ),
        Mistake("sums", _sums, "these are sums over the examples; take means, each over its own heap."),
        Mistake("halved", _halved, "the discriminator's loss is halved; the two means are added."),
        Mistake("swapped", _swapped, "real and generated are swapped in the discriminator's loss: real wants 1."),
        Mistake("signs", _gradient_signs, "the losses are right, and all gradients have the wrong sign."),
        Mistake(
            "one_gradient",
            _same_for_both,
            "the generator's gradient is that of its own loss: it wants the answer 1 for its examples.",
        ),
        Mistake(
            "counted_together",
            _one_count,
            "each mean is over its own examples, so divide by len(real) or by len(fake).",
        ),
        Mistake(
            "gradients_of_sums",
            _gradients_of_sums,
            "the losses are means, so their gradients are divided by len(real) or len(fake) too.",
        ),
        Mistake("generator_sign", _generator_sign, "all is right but the sign of the generator's gradient."),
        Mistake(
            "by_probability",
            _by_probability,
            "these are gradients by D; by the logit, multiply them by D's own derivative, D (1 - D).",
        ),
        Mistake(
            "clipped",
            _clipped,
            "D is kept away from 0 and 1, so that a logit of -10,000 costs no more than one of -28; compute "
            "-log sigmoid(s) from the logit, as softplus(-s).",
            when=lambda case, values: "10,000" in case.name and bool(numbers(values[0][0]) < 1000),
        ),
        Mistake(
            "overflow",
            _overflow,
            "exp of a large number is infinite, and inf / inf is nan: take exp only of numbers that are not positive.",
            when=lambda case, values: "10,000" in case.name and any(np.isnan(v).any() for v in values[0]),
        ),
    ),
    withhold=(
        *LOGISTIC_LOSS,
        *AUTOGRAD,
        *AUTODIFF,
        *(
            f"dlcourse.adversarial.{name}_{way}"
            for name in ("discriminator", "saturating", "nonsaturating")
            for way in ("forward", "backward")
        ),
        *(f"dlcourse.gan.{name}" for name in ("critic_loss", "generator_loss", "gradient_penalty")),
        *(f"dlcourse.adversarial.{name}" for name in ("GENERATOR_LOSSES", "play")),
    ),
    hints=(
        "-log sigmoid(s) = softplus(-s), and -log(1 - sigmoid(s)) = softplus(s).",
        "np.logaddexp(0, s) is softplus(s) without overflow; its derivative is sigmoid(s).",
        "dreal = -sigmoid(-real) / N and dfake = sigmoid(fake) / M; for the generator, dfake = -sigmoid(-fake) / M.",
    ),
    difficulty=3,
    importance=5,
    minutes=20,
)

# --- The gradient penalty ------------------------------------------------------------------------------------------


def penalty(real, fake, u, w1, b1, w2):
    """The reference."""
    return _penalty(real, fake, u, w1, b1, w2)


def _penalty(
    real, fake, u, w1, b1, w2, *,
    at="between", by=lambda length: np.mean((length - 1) ** 2), slope=True, squared=False, axis=1, hidden=False,
):  # fmt: skip
    real, fake, u = (np.asarray(a, float) for a in (real, fake, u))
    x = {"between": u[:, None] * real + (1 - u[:, None]) * fake, "real": real, "fake": fake,
         "turned": u[:, None] * fake + (1 - u[:, None]) * real}[at]  # fmt: skip
    h = np.tanh(x @ w1 + b1)
    gradient = (1 - h**2 if slope else np.ones_like(h)) * w2
    if not hidden:
        gradient = gradient @ np.asarray(w1).T
    length = (gradient**2).sum(axis=axis)
    return by(length if squared else np.sqrt(length))


def _other(**settings) -> Callable:
    return lambda *args: _penalty(*args, **settings)


def _penalty_cases(rng: np.random.Generator) -> Iterator[Case]:
    one = np.ones((1, 1))
    yield case("by hand: the slope at 0 is 3", -one, one, np.array([0.5]), one, np.zeros(1), np.array([3.0]))
    for name, N, D, H in (("five pairs in a plane", 5, 2, 3), ("twenty pairs, four numbers each", 20, 4, 6)):
        arrays = [rng.normal(size=s) for s in ((N, D), (N, D))]
        yield case(name, *arrays, rng.random(N), *(rng.normal(size=s) for s in ((D, H), H, H)))
    flat = [rng.normal(size=s) for s in ((6, 2), (6, 2))]
    yield case("slopes below 1", *flat, rng.random(6), 0.3 * rng.normal(size=(2, 4)), np.zeros(4), rng.random(4))


gradient_penalty = Exercise(
    id="gan.penalty",
    title="The gradient penalty",
    name="gradient_penalty",
    kind="function",
    points=3,
    reference=penalty,
    cases=_penalty_cases,
    compare=Close(rtol=1e-4, atol=1e-7),
    mistakes=(
        Mistake("at_real", _other(at="real"), "the slope is taken at the real examples; take it between the two."),
        Mistake("at_fake", _other(at="fake"), "the slope is taken at the generated examples; take it between the two."),
        Mistake("u_turned", _other(at="turned"), "u belongs to the real example and 1 - u to the generated one."),
        Mistake(
            "squared_length", _other(squared=True), "this is (‖∇‖² - 1)²; take the root of the sum of squares first."
        ),
        Mistake(
            "mean_first",
            _other(by=lambda s: (s.mean() - 1) ** 2),
            "square each example's distance from 1, then take the mean.",
        ),
        Mistake(
            "one_sided", _other(by=lambda s: np.mean(np.maximum(s - 1, 0) ** 2)), "slopes below 1 are punished too."
        ),
        Mistake("not_from_one", _other(by=lambda s: np.mean(s**2)), "the slope should be 1, not 0."),
        Mistake(
            "without_tanh", _other(slope=False), "the derivative of tanh, 1 - tanh², is missing from the gradient."
        ),
        Mistake("summed", _other(by=lambda s: np.sum((s - 1) ** 2)), "take the mean over the examples, not the sum."),
        Mistake(
            "wrong_axis", _other(axis=0), "the length is taken over the examples; each example has its own: axis=1."
        ),
        Mistake(
            "one_length", _other(axis=None), "this is one length for all examples together; each has its own: axis=1."
        ),
        Mistake(
            "by_hidden",
            _other(hidden=True),
            "this is the gradient by what goes into tanh; one more step back, through w1, leads to x.",
        ),
    ),
    withhold=AUTOGRAD,
    hints=(
        "x = u real + (1 - u) fake, row by row; the gradient is that of the critic by x, not by its weights.",
        "With h = tanh(x w1 + b1), the critic is h · w2, and its gradient by x is ((1 - h²) w2) w1ᵀ.",
        "np.mean((np.linalg.norm(gradient, axis=1) - 1) ** 2) with gradient = ((1 - h**2) * w2) @ w1.T.",
    ),
    difficulty=3,
    importance=4,
    minutes=20,
)

# --- A coupling layer -----------------------------------------------------------------------------------------------


class Coupling:
    """The reference."""

    sign, moved_decides, sums, swapped, exponent = 1.0, False, True, False, True

    def __init__(self, k, ws, bs, wt, bt):
        self.k, self.ws, self.bs, self.wt, self.bt = k, *(np.asarray(a) for a in (ws, bs, wt, bt))

    def st(self, kept):
        return np.tanh(kept @ self.ws + self.bs), kept @ self.wt + self.bt

    def apply(self, moved, s, t):
        return moved * np.exp(s) + t

    def undo(self, moved, s, t):
        return (moved - t) * np.exp(-s)

    def log_det(self, s):
        return s.sum(axis=1)

    def forward(self, x):
        x = np.asarray(x)
        s, t = self.st(x[:, : self.k])
        return np.hstack([x[:, : self.k], self.apply(x[:, self.k :], s, t)]), self.log_det(s)

    def inverse(self, y):
        y = np.asarray(y)
        s, t = self.st(y[:, : self.k])
        return np.hstack([y[:, : self.k], self.undo(y[:, self.k :], s, t)])


class ShiftFirst(Coupling):
    def apply(self, moved, s, t):
        return (moved + t) * np.exp(s)

    def undo(self, moved, s, t):
        return moved * np.exp(-s) - t


class UndoneInOrder(Coupling):
    def undo(self, moved, s, t):
        return moved * np.exp(-s) - t


class InverseAgain(Coupling):
    def undo(self, moved, s, t):
        return self.apply(moved, s, t)


class Determinant(Coupling):
    def log_det(self, s):
        return np.exp(s.sum(axis=1))


class SumOfFactors(Coupling):
    def log_det(self, s):
        return np.log(np.exp(s).sum(axis=1))


class NegativeLogDet(Coupling):
    def log_det(self, s):
        return -s.sum(axis=1)


class OneLogDet(Coupling):
    def log_det(self, s):
        return s.sum()


class NoExponential(Coupling):
    def apply(self, moved, s, t):
        return moved * s + t

    def undo(self, moved, s, t):
        return (moved - t) / s

    def log_det(self, s):
        return np.log(np.abs(s)).sum(axis=1)


class NoTanh(Coupling):
    def st(self, kept):
        return kept @ self.ws + self.bs, kept @ self.wt + self.bt


class TanhOfBoth(Coupling):
    def st(self, kept):
        s, t = super().st(kept)
        return s, np.tanh(t)


class Remembered(Coupling):
    """The inverse takes s and t from the last forward pass."""

    def forward(self, x):
        self.last = self.st(np.asarray(x)[:, : self.k])
        return super().forward(x)

    def inverse(self, y):
        y = np.asarray(y)
        return np.hstack([y[:, : self.k], self.undo(y[:, self.k :], *self.last)])


def _coupling_cases(rng: np.random.Generator) -> Iterator[Case]:
    one, none = np.ones((1, 1)), np.zeros(1)
    yield steps(
        "by hand: s = 0, t = x1",
        (1, 0 * one, none, one, none),
        ("forward", np.array([[2.0, 5.0]])),
        ("inverse", np.array([[2.0, 7.0]])),
    )
    for name, N, k, m in (
        ("four numbers, two kept", 5, 2, 2),
        ("one kept, three moved", 6, 1, 3),
        ("one row", 1, 3, 1),
    ):
        weights = [rng.normal(size=s) for s in ((k, m), m, (k, m), m)]
        x, y = rng.normal(size=(2, N, k + m))
        yield steps(name, (k, *weights), ("forward", x), ("inverse", y), ("forward", y))


coupling = Exercise(
    id="gan.coupling",
    title="A coupling layer, there and back",
    name="Coupling",
    kind="class",
    points=4,
    reference=Coupling,
    cases=_coupling_cases,
    compare=Close(rtol=1e-4, atol=1e-6),
    mistakes=(
        Mistake("shift_first", ShiftFirst, "scale first, then shift: x · exp(s) + t."),
        Mistake(
            "undone_in_order",
            UndoneInOrder,
            "forward is right. Undo the last step first: take t off, then divide by exp(s).",
        ),
        Mistake("not_undone", InverseAgain, "forward is right; `inverse` is to undo it, and applies it again."),
        Mistake("determinant", Determinant, "this is the determinant; its logarithm is asked for."),
        Mistake(
            "sum_of_factors",
            SumOfFactors,
            "a determinant is the product of the factors, so its logarithm is the sum of s.",
        ),
        Mistake(
            "log_det_sign", NegativeLogDet, "the log-determinant is that of the way from x to y; the sign is turned."
        ),
        Mistake("one_for_all", OneLogDet, "each example has its own log-determinant: sum over its numbers only."),
        Mistake("no_exponential", NoExponential, "the factor is exp(s), which is never 0 or negative."),
        Mistake("no_tanh", NoTanh, "s is the tanh of its linear map."),
        Mistake("tanh_of_both", TanhOfBoth, "only s has a tanh; t is its linear map as it is."),
        Mistake(
            "remembered",
            Remembered,
            "`inverse` takes s and t from the last `forward`; compute them again, from the part of y that was kept.",
        ),
    ),
    withhold=(*(f"dlcourse.flow.{name}" for name in ("AffineCoupling", "RealNVP", "numerical_log_det")), *AUTOGRAD),
    hints=(
        "What is kept is the same in x and in y, so that s and t can be computed from either.",
        "y = [kept, moved · exp(s) + t]; the Jacobian is triangular with 1 and exp(s) on its diagonal.",
        "log_det = s.sum(axis=1), and the inverse is [kept, (moved - t) · exp(-s)].",
    ),
    difficulty=3,
    importance=5,
    minutes=20,
)

# --- Two distances ------------------------------------------------------------------------------------------------


def mmd(x, y, h):
    """The reference."""
    return metrics.mmd(np.asarray(x), np.asarray(y), h)


def _mmd(x, y, h, *, biased=False, two=2.0, cross=2.0, root=False, plain=False, minus=True, width=2, pairs=1.0, less=1):
    x, y = np.asarray(x, float), np.asarray(y, float)

    def kernel(a, b):
        d = np.linalg.norm(a[:, None] - b, axis=2)
        return np.exp(-(d if plain else d**2) / (two * h**width))

    def within(a):
        k = kernel(a, a)
        return k.mean() if biased else pairs * (k.sum() - minus * len(a)) / (len(a) * (len(a) - less))

    value = within(x) + within(y) - cross * kernel(x, y).mean()
    return np.sign(value) * np.sqrt(np.abs(value)) if root else value


def _mmd_with(**settings) -> Callable:
    return lambda *args: _mmd(*args, **settings)


def _mmd_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield case("by hand: 0 and 0 against 1 and 1", np.zeros((2, 1)), np.ones((2, 1)), 1.0)
    yield case("five against three", rng.normal(size=(5, 2)), rng.normal(1, 1, (3, 2)), 0.7)
    yield case("twice the same heap: it is negative", x := rng.normal(size=(8, 3)), x.copy(), 1.5)
    yield case("one distribution", rng.normal(size=(8, 3)), rng.normal(size=(12, 3)), 1.5)
    yield case("a narrow kernel", rng.normal(size=(6, 1)), rng.normal(0, 2, (9, 1)), 0.2)


mmd_exercise = Exercise(
    id="gan.mmd",
    title="Unbiased MMD²",
    name="mmd2",
    kind="function",
    points=3,
    reference=mmd,
    cases=_mmd_cases,
    compare=Close(rtol=1e-4, atol=1e-6),
    mistakes=(
        Mistake(
            "biased",
            _mmd_with(biased=True),
            "a point's pair with itself is counted; leave these pairs out of both means.",
        ),
        Mistake(
            "pairs_stay",
            _mmd_with(minus=False),
            "the number of pairs is right, but the sum still holds each point with itself.",
        ),
        Mistake("cross_once", _mmd_with(cross=1.0), "the pairs across the two heaps count twice: k(x, y) and k(y, x)."),
        Mistake("no_half", _mmd_with(two=1.0), "the kernel is exp(-d² / (2 h²)); the 2 is missing."),
        Mistake("not_squared", _mmd_with(plain=True), "the distance in the kernel is squared."),
        Mistake("h_not_squared", _mmd_with(width=1), "the h in the kernel is squared."),
        Mistake("each_pair_once", _mmd_with(pairs=0.5), "i and j, and j and i, are two pairs: N (N - 1) in all."),
        Mistake(
            "all_pairs_counted", _mmd_with(less=0), "without the N pairs of a point and itself, N (N - 1) are left."
        ),
        Mistake("root", _mmd_with(root=True), "MMD² is asked for, without the root; unbiased, it may be negative."),
    ),
    withhold=(
        *(
            f"dlcourse.metrics.{name}"
            for name in ("mmd", "mmd_of_kernels", "gaussian_kernel", "mmd_test", "permutation_test")
        ),
        "sklearn.metrics.pairwise.rbf_kernel",
    ),
    hints=(
        "Three means of kernels: within x, within y, and across.",
        "Within a heap, sum k over all pairs, subtract the diagonal, 1 for each point, and divide by N (N - 1).",
        "within(x) + within(y) - 2 · k(x, y).mean(), with d² = ((a[:, None] - b) ** 2).sum(-1).",
    ),
    difficulty=2,
    importance=4,
    minutes=15,
)


def fid(real, fake):
    """The reference."""
    return metrics.fid(np.asarray(real), np.asarray(fake))


def _root(matrix):
    values, vectors = np.linalg.eigh(matrix)
    return vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T


def _fid(real, fake, *, ddof=1, means="squared", cross="root", factor=2.0, rooted=False):
    real, fake = np.asarray(real, float), np.asarray(fake, float)
    a, b = (np.atleast_2d(np.cov(x, rowvar=False, ddof=ddof)) for x in (real, fake))
    d = real.mean(0) - fake.mean(0)
    first = {"squared": d @ d, "length": np.sqrt(d @ d), "none": 0.0, "mean": np.mean(d**2)}[means]
    root = _root(a)
    middle = {
        "root": np.trace(_root(root @ b @ root)),
        "entries": np.trace(np.sqrt(np.abs(a @ b))),
        "none": np.trace(a @ b),
        "diagonals": np.sqrt(np.diag(a) * np.diag(b)).sum(),
        "apart": np.trace(root @ _root(b)),
        "symmetric": np.sqrt(np.maximum(np.linalg.eigvalsh(a @ b), 0)).sum(),
        "singular": np.sqrt(np.linalg.svd(a @ b, compute_uv=False)).sum(),
        "of the trace": np.sqrt(np.trace(a @ b)),
        "negative": np.trace(_root(root @ b @ root)) if min(len(real), len(fake)) > a.shape[0] else np.nan,
    }[cross]
    value = first + np.trace(a) + np.trace(b) - factor * middle
    return np.sqrt(np.maximum(value, 0)) if rooted else value


def _fid_with(**settings) -> Callable:
    return lambda *args: _fid(*args, **settings)


def _fid_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield case("by hand: variances 2 and 8", np.array([[0.0], [2.0]]), np.array([[0.0], [4.0]]))
    yield case("the same heap, moved by 1", x := rng.normal(size=(12, 3)), x + 1)
    for N, M, D in ((30, 40, 2), (80, 60, 5)):
        a, b = rng.normal(size=(2, D, D))
        yield case(f"{D} features, mixed", rng.normal(size=(N, D)) @ a, rng.normal(0.5, 1, (M, D)) @ b)
    yield case("fewer examples than features", rng.normal(size=(4, 6)), rng.normal(size=(5, 6)))


fid_exercise = Exercise(
    id="gan.fid",
    title="The Fréchet distance",
    name="fid",
    kind="function",
    points=3,
    reference=fid,
    cases=_fid_cases,
    compare=Close(rtol=1e-3, atol=1e-5),
    mistakes=(
        Mistake("divided_by_n", _fid_with(ddof=0), "the covariances are to have N - 1 below, as np.cov has."),
        Mistake("length_of_means", _fid_with(means="length"), "the distance of the means is squared."),
        Mistake("no_means", _fid_with(means="none"), "the distance of the means is missing."),
        Mistake(
            "mean_of_means", _fid_with(means="mean"), "sum the squared differences of the means, do not average them."
        ),
        Mistake(
            "root_of_entries",
            _fid_with(cross="entries"),
            "np.sqrt takes the root of each entry; the root of a matrix R has R R = Σ.",
        ),
        Mistake("no_root", _fid_with(cross="none"), "the root of the product of the covariances is missing."),
        Mistake(
            "variances_only",
            _fid_with(cross="diagonals"),
            "only the variances are compared; the covariances count too.",
        ),
        Mistake("factor_2", _fid_with(factor=1.0), "the root counts twice."),
        Mistake("rooted", _fid_with(rooted=True), "this is the distance; its square is asked for."),
        Mistake(
            "roots_apart",
            _fid_with(cross="apart"),
            "the root of a product is not the product of the roots: first multiply, then take the root.",
        ),
        Mistake(
            "symmetric_only",
            _fid_with(cross="symmetric"),
            "Σ₁ Σ₂ is not symmetric, and eigvalsh reads one half of it only; take np.linalg.eigvals.",
        ),
        Mistake(
            "singular_values",
            _fid_with(cross="singular"),
            "these are the singular values of Σ₁ Σ₂; as it is not symmetric, its eigenvalues are others.",
        ),
        Mistake(
            "root_of_trace",
            _fid_with(cross="of the trace"),
            "this is the root of the trace; the trace of the root is asked for.",
        ),
        Mistake(
            "negative_eigenvalue",
            _fid_with(cross="negative"),
            "with few examples some eigenvalues are 0, which rounding makes slightly negative, and their roots nan; "
            "raise them to 0 first.",
            when=lambda case, values: case.name.startswith("fewer") and bool(np.isnan(values[0])),
        ),
    ),
    withhold=(*(f"dlcourse.metrics.{name}" for name in ("fid", "frechet_distance")),),
    hints=(
        "mean and np.cov(x, rowvar=False) of each heap; then the squared distance of the means and three traces.",
        "The trace of (Σ₁ Σ₂)^½ is the sum of the square roots of the eigenvalues of Σ₁ Σ₂.",
        "It is np.sqrt(np.maximum(np.linalg.eigvals(a @ b).real, 0)).sum(), with np.atleast_2d for one feature.",
    ),
    difficulty=3,
    importance=4,
    minutes=20,
)

essay = text_exercise("gan.essay", "Is it any good?", points=3, difficulty=3, importance=5, minutes=15)

EXERCISES = (inverse, em, best, loss, gradient_penalty, coupling, mmd_exercise, fid_exercise, essay)
