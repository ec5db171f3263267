"""The exercises of ``19_beyond``: random labels, contrast, prototypes, conformal sets, policy, adjoint, an index."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from dlcourse import bayes, contrastive, fewshot, policy, retrieval
from dlcourse.exercises.compare import Close
from dlcourse.exercises.offered import AUTODIFF, AUTOGRAD, CROSS_ENTROPY
from dlcourse.exercises.spec import Case, Exercise, Mistake, case, steps, text_exercise

CONTRASTIVE = (
    *(f"dlcourse.contrastive.nt_xent_{way}" for way in ("forward", "backward")),
    "dlcourse.simclr.nt_xent",
    *(name for name in CROSS_ENTROPY if "softmax" in name or "torch" in name),
)
PROTOTYPES = (
    *(f"dlcourse.fewshot.{name}" for name in ("prototypes", "nearest", "squared_distances")),
    "sklearn.neighbors.NearestCentroid",
)
NEAREST = (
    *(f"dlcourse.retrieval.{name}" for name in ("top_k", "Index")),
    *(f"sklearn.neighbors.{name}" for name in ("NearestNeighbors", "KNeighborsClassifier")),
    *(f"sklearn.metrics.pairwise.cosine_{name}" for name in ("similarity", "distances")),
    "torch.nn.functional.cosine_similarity",
    "torch.cosine_similarity",
)
CONFORMAL = (
    *(f"dlcourse.bayes.{name}" for name in ("conformal_quantile", "prediction_sets", "class_scores")),
    *(f"dlcourse.bayes.{name}" for name in ("split_sets", "split_intervals")),
)
POLICIES = (
    *(f"dlcourse.policy.{name}" for name in ("discounted_returns", "softmax_policy_gradient")),
    *(f"dlcourse.policy.{name}" for name in ("reinforce", "GaussianPolicy")),
)
ODES = (
    *(f"dlcourse.ode.{name}" for name in ("odeint_forward", "adjoint_backward", "steps_backward", "Field")),
    "scipy.integrate.solve_ivp",
    "scipy.integrate.odeint",
)

# --- A number: random labels ----------------------------------------------------------------------------------------

wrong_share = Exercise(
    id="beyond.random_labels",
    title="How many are wrong?",
    name="wrong_share",
    kind="number",
    points=1,
    reference=0.54,
    cases=lambda rng: [Case("ten classes, six labels in ten drawn anew")],
    compare=Close(rtol=1e-6, atol=1e-9),
    mistakes=(
        Mistake("the_draw_is_never_right", 0.6, "a label that is drawn anew is the old one in one draw of ten."),
        Mistake("right_ones", 0.46, "this is the share of labels that are right."),
        Mistake("right_by_luck", 0.06, "these are the labels that were drawn anew and came out right."),
        Mistake("nine_classes", 0.6 * 8 / 9, "all ten classes can be drawn, and nine of them are wrong."),
        Mistake("per_cent", 54, "this is in per cent; a share from 0 to 1 is asked for."),
    ),
    hints=(
        "A label is wrong if two things happen: it is drawn anew, and the draw is another class.",
        "The draw is among all ten classes, the old one included.",
        "0.6 times the probability that one draw of ten misses one class.",
    ),
    difficulty=1,
    importance=3,
    minutes=5,
)

# --- NT-Xent --------------------------------------------------------------------------------------------------------


def nt_xent(z1, z2, temperature):
    """The reference."""
    loss, cache = contrastive.nt_xent_forward(np.asarray(z1), np.asarray(z2), temperature)
    return loss, *contrastive.nt_xent_backward(1.0, cache)


class _Contrast:
    """The loss and its gradient, with a switch for each slip."""

    def __init__(self, **slips):
        self.slips = slips

    def __call__(self, z1, z2, temperature):
        s, N = self.slips, len(z1)
        z = np.concatenate([z1, z2])
        length = np.ones((2 * N, 1)) if "not_normalised" in s else np.linalg.norm(z, axis=1, keepdims=True)
        u = z / length
        scores = u @ u.T * temperature if "times" in s else u @ u.T / temperature
        if "keeps_itself" not in s:
            np.fill_diagonal(scores, -np.inf)
        if "across_only" in s:  # the views of the other half as candidates, none of the own half
            scores[:N, :N] = scores[N:, N:] = -np.inf
        partner = np.arange(2 * N) ^ 1 if "neighbours" in s else np.roll(np.arange(2 * N), N)
        rows = np.arange(2 * N)
        top = 0.0 if "overflows" in s else scores.max(axis=1, keepdims=True)
        empty = (0.0, 1.0)  # the softmax and the sum where nothing is left
        if "itself_on_top" in s:
            top, empty = np.full((2 * N, 1), 1 / temperature), (np.nan, 0.0)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            raised = np.exp(scores - top)
            if "without_partner" in s:
                raised[rows, partner] = 0
            total = raised.sum(axis=1, keepdims=True)
            softmax = np.divide(raised, total, out=np.full_like(raised, empty[0]), where=total != 0)
            spread = np.log(np.where(total > 0, total, empty[1])) + top
        counted = N if "half" in s else 2 * N
        weight = 1.0 if "sum" in s else 1 / counted
        loss = weight * np.sum((spread.ravel() - scores[rows, partner])[:counted])
        ds = (1 if "gradient_of_sum" in s else weight) * (softmax - np.eye(2 * N)[partner])
        ds[counted:] = 0
        du = (ds if "one_side" in s else ds + ds.T) @ u
        du = du * temperature if "times" in s else du if "temperature_lost" in s else du / temperature
        if "not_normalised" in s or "length_ignored" in s:
            dz = du
        elif "not_across" in s:
            dz = du / length
        else:
            dz = (du - u * np.sum(u * du, axis=1, keepdims=True)) / length
        return loss, dz[:N], dz[N:]


def _contrast_cases(rng: np.random.Generator) -> Iterator[Case]:
    z1, z2 = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[0.0, 1.0], [1.0, 0.0]])
    yield case("by hand: two images, each view a right angle from its partner", z1, z2, 1.0)
    yield case("by hand: the partners are alike", z1, 3 * z1, 1.0)
    yield case("one image: no other to confuse it with", rng.normal(size=(1, 3)), rng.normal(size=(1, 3)), 0.5)
    for N, D, tau in ((3, 4, 0.5), (5, 2, 0.2), (8, 6, 2.0)):
        z1 = rng.normal(size=(N, D)) * rng.uniform(0.5, 3, (N, 1))
        yield case(f"{N} images, {D} features, temperature {tau}", z1, z1 + rng.normal(size=(N, D)), tau)
    z1 = rng.normal(size=(4, 3))
    yield case("a low temperature", z1, z1 + 0.1 * rng.normal(size=(4, 3)), 0.001)
    # No view is near another: a row's largest score is far below that of the view with itself.
    angles = np.deg2rad(rng.uniform(0, 360) + np.array([0, 95, 215, 60, 290, 150]))
    z = np.stack([np.cos(angles), np.sin(angles)], axis=1) * rng.uniform(0.5, 2, (6, 1))
    yield case("a low temperature, and no view near another", z[:3], z[3:], 0.0005)


contrast = Exercise(
    id="beyond.nt_xent",
    title="Find your partner",
    name="nt_xent",
    kind="function",
    points=4,
    reference=nt_xent,
    cases=_contrast_cases,
    compare=Close(rtol=2e-4, atol=1e-5),
    mistakes=(
        Mistake(
            "keeps_itself",
            _Contrast(keeps_itself=True),
            "a view is no candidate for itself: leave k = i out.",
        ),
        Mistake(
            "without_partner",
            _Contrast(without_partner=True),
            "the partner stays in the sum below: it is one of the 2N - 1 candidates.",
        ),
        Mistake("not_normalised", _Contrast(not_normalised=True), "divide each row by its length first: cosines."),
        Mistake(
            "across_only",
            _Contrast(across_only=True),
            "all other views are candidates, those of the own half included.",
        ),
        Mistake(
            "neighbours",
            _Contrast(neighbours=True),
            "the partner of row i of z1 is row i of z2.",
        ),
        Mistake("half", _Contrast(half=True), "each of the 2N views looks for its partner, the rows of z2 as well."),
        Mistake("sum", _Contrast(sum=True), "this is the sum over the views; the mean is asked for."),
        Mistake("times_temperature", _Contrast(times=True), "the cosines are divided by the temperature."),
        Mistake(
            "one_side",
            _Contrast(one_side=True),
            "the loss is right. Each u stands in the scores twice, as the row and as the column: ds + dsᵀ.",
        ),
        Mistake("temperature_lost", _Contrast(temperature_lost=True), "the loss is right; the gradient lacks 1 / τ."),
        Mistake(
            "length_ignored",
            _Contrast(length_ignored=True),
            "the loss is right; this is the gradient for u. Go back through u = z / |z|.",
        ),
        Mistake(
            "not_across",
            _Contrast(not_across=True),
            "the loss is right; a step along z does not change u: take away the part of du along u.",
        ),
        Mistake(
            "gradient_of_sum",
            _Contrast(gradient_of_sum=True),
            "the loss is right; its gradient lacks the 1 / 2N of the mean.",
        ),
        Mistake(
            "itself_on_top",
            _Contrast(itself_on_top=True),
            "take each row's largest score without the view itself: where all others are far below, every exp is 0.",
        ),
        Mistake(
            "overflows",
            _Contrast(overflows=True),
            "np.exp of a large score is infinite; subtract each row's largest.",
        ),
    ),
    withhold=(*CONTRASTIVE, *AUTOGRAD, *AUTODIFF),
    hints=(
        "Put z1 and z2 below each other, divide rows by their lengths, and put -inf on the diagonal of u @ u.T / τ.",
        "It is cross-entropy with the partner as class: ds = (softmax - onehot) / 2N. Then du = (ds + ds.T) @ u / τ.",
        "Through u = z / |z|: dz = (du - u * (u * du).sum(axis=1, keepdims=True)) / |z|; the first N rows are dz1.",
    ),
    difficulty=4,
    importance=4,
    minutes=35,
)

# --- prototypes -----------------------------------------------------------------------------------------------------


class Prototypes:
    """The reference."""

    spread = staticmethod(np.mean)
    root, sign, over = False, -1.0, 1

    def __init__(self, z, labels):
        z, labels = np.asarray(z), np.asarray(labels)
        self.classes = self.names(labels)
        self.centres = np.stack([self.spread(z[labels == c], axis=0) for c in self.classes])

    def names(self, labels):
        return np.unique(labels)

    def distances(self, z):
        squared = fewshot.squared_distances(np.asarray(z), self.centres)
        return np.sqrt(squared) if self.root else squared

    def probabilities(self, z):
        scores = self.sign * self.distances(z)
        raised = np.exp(scores - scores.max(axis=self.over, keepdims=True))
        return raised / raised.sum(axis=self.over, keepdims=True)

    def predict(self, z):
        return self.classes[self.distances(z).argmin(axis=1)]


class Medians(Prototypes):
    spread = staticmethod(np.median)


class Sums(Prototypes):
    spread = staticmethod(np.sum)


class Roots(Prototypes):
    root = True


class Farthest(Prototypes):
    sign = 1.0


class OverQueries(Prototypes):
    over = 0


class Positions(Prototypes):
    def predict(self, z):
        return self.distances(z).argmin(axis=1)


class FirstOnly(Prototypes):
    spread = staticmethod(lambda rows, axis: rows[0])


class NearestExample(Prototypes):
    """The class of the nearest example: one neighbour."""

    def __init__(self, z, labels):
        super().__init__(z, labels)
        self.z, self.labels = np.asarray(z), np.asarray(labels)

    def predict(self, z):
        return self.labels[fewshot.squared_distances(np.asarray(z), self.z).argmin(axis=1)]


class Dots(Prototypes):
    def distances(self, z):
        return -np.asarray(z) @ self.centres.T


class AsTheyCome(Prototypes):
    def names(self, labels):
        return np.array(list(dict.fromkeys(labels.tolist())))


class Unshifted(Prototypes):
    def probabilities(self, z):
        with np.errstate(invalid="ignore", divide="ignore"):
            raised = np.exp(-self.distances(z))
            return raised / raised.sum(axis=1, keepdims=True)


def _prototype_cases(rng: np.random.Generator) -> Iterator[Case]:
    z, labels = np.array([[0.0], [2.0], [6.0]]), np.array([7, 7, 3])
    yield steps(
        "by hand: 0 and 2 are sevens, 6 is a three", (z, labels),
        ("predict", np.array([[3.0], [4.0]])), ("probabilities", np.array([[3.0], [3.5]])),
    )  # fmt: skip
    for ways, shots, D in ((3, 1, 2), (5, 3, 4), (2, 5, 6)):
        classes = rng.permutation(10)[:ways]
        labels = rng.permutation(np.repeat(classes, shots))
        middle = rng.normal(size=(10, D))
        z, asked = middle[labels] + 0.7 * rng.normal(size=(ways * shots, D)), rng.normal(size=(9, D))
        name = f"{ways} classes, {shots} examples each"
        yield steps(name, (z, labels), ("predict", asked), ("probabilities", asked))
    labels = np.array([4, 1, 1, 1, 9, 4])
    z, asked = rng.normal(size=(6, 3)), rng.normal(size=(5, 3))
    yield steps("classes of different sizes", (z, labels), ("predict", asked), ("probabilities", asked))
    # All of one class but one, so that sum, mean and the nearest example part ways.
    z, labels = np.array([[0.0, 0], [0, 3], [0, 30], [9, 0]]), np.array([2, 2, 2, 0])
    yield steps(
        "an example far from its class", (z + rng.normal(size=2), labels),
        ("predict", rng.normal((3, 2), size=(6, 2))), ("probabilities", rng.normal((3, 2), size=(6, 2))),
    )  # fmt: skip
    far = np.array([[100.0], [101.0], [140.0]])
    yield steps("far away", (far, np.array([0, 0, 1])), ("probabilities", np.array([[0.0], [150.0]])))


prototypes = Exercise(
    id="beyond.prototypes",
    title="One mean a class",
    name="Prototypes",
    kind="class",
    points=3,
    reference=Prototypes,
    cases=_prototype_cases,
    compare=Close(rtol=1e-4, atol=1e-6),
    mistakes=(
        Mistake("medians", Medians, "a prototype is the mean of its examples, not the median."),
        Mistake("sums", Sums, "divide by the number of the class's own examples."),
        Mistake("first_example", FirstOnly, "all examples of a class count, not the first alone."),
        Mistake("distance_not_squared", Roots, "predict is right; the scores are squared distances, without the root."),
        Mistake("farthest", Farthest, "predict is right; probabilities grow where the distance is small: softmax(-d)."),
        Mistake("over_queries", OverQueries, "the softmax goes over the classes, so that each row adds up to 1."),
        Mistake("positions", Positions, "predict gives labels, as they stand in `labels`, not places in a list."),
        Mistake("nearest_example", NearestExample, "this is the class of the nearest example; compare with the means."),
        Mistake("dot_products", Dots, "compare squared distances; a dot product favours long prototypes."),
        Mistake("as_they_come", AsTheyCome, "predict is right; the columns of probabilities go by the sorted labels."),
        Mistake("underflows", Unshifted, "exp of a large negative number is 0, and 0 / 0 no number: shift the scores."),
    ),
    withhold=PROTOTYPES,
    hints=(
        "np.unique(labels) gives the classes, sorted; the prototype of c is z[labels == c].mean(axis=0).",
        "All squared distances at once: ((z[:, None] - centres) ** 2).sum(axis=2), of shape (queries, classes).",
        "predict: classes[d.argmin(axis=1)]. probabilities: e = np.exp(d.min(axis=1, keepdims=True) - d); divide.",
    ),
    difficulty=2,
    importance=4,
    minutes=20,
)

# --- conformal prediction -------------------------------------------------------------------------------------------


def conformal_sets(calibration, targets, probabilities, alpha):
    """The reference."""
    scores = bayes.class_scores(np.asarray(calibration), np.asarray(targets))
    return bayes.prediction_sets(np.asarray(probabilities), bayes.conformal_quantile(scores, alpha))


def _sets(rank: Callable | None = None, scores: Callable | None = None, keep: Callable | None = None) -> Callable:
    """A variant: which of the sorted scores is the threshold, which scores, and what stays in."""

    def wrong(calibration, targets, probabilities, alpha):
        s = (scores or bayes.class_scores)(calibration, targets)
        q = rank(np.sort(s), alpha) if rank else bayes.conformal_quantile(s, alpha)
        return keep(probabilities, q) if keep else bayes.prediction_sets(probabilities, q)

    return wrong


def _at(s: np.ndarray, rank: float) -> float:
    """The rank-th smallest, counted from 1; infinite beyond the last one, the smallest below the first."""
    return np.inf if rank > len(s) else s[max(int(rank), 1) - 1]


def _higher(s: np.ndarray, level: float) -> float:
    return np.inf if level > 1 else np.quantile(s, level, method="higher")


def _dyadic(rng: np.random.Generator, n: int, C: int) -> np.ndarray:
    """Probabilities (n, C) in 1024ths: float32 holds them exactly, and some are equal."""
    return rng.multinomial(1024, rng.dirichlet(np.full(C, 0.4), size=n)) / 1024


def _labels(rng: np.random.Generator, p: np.ndarray) -> np.ndarray:
    return (rng.random((len(p), 1)) > p.cumsum(axis=1)).sum(axis=1).clip(max=p.shape[1] - 1)


def _conformal_cases(rng: np.random.Generator) -> Iterator[Case]:
    calibration = np.array([[0.75, 0.25], [0.5, 0.5], [0.125, 0.875]])
    probabilities = np.array([[0.875, 0.125], [0.5, 0.5], [0.25, 0.75], [0.0, 1.0]])
    yield case("by hand: three to calibrate on", calibration, np.array([0, 1, 1]), probabilities, 0.25)
    yield case("by hand: one may be wrong in two", calibration, np.array([1, 1, 1]), probabilities, 0.5)
    yield case("too few: everything stays possible", calibration[:2], np.array([0, 1]), probabilities, 0.25)
    yield case("one, and one in two", calibration[:1], np.array([0]), probabilities, 0.5)
    for n, C, alpha in (
        (16, 3, 0.25),
        (29, 4, 0.375),
        (61, 5, 0.375),
        (64, 4, 0.125),
        (100, 10, 0.25),
        (40, 3, 0.0625),
    ):
        p, q = _dyadic(rng, n, C), _dyadic(rng, 24, C)
        y = _labels(rng, p)
        rank = int(np.ceil((n + 1) * (1 - alpha)))
        middle = np.argsort(1 - p[np.arange(n), y], kind="stable")[rank - 1]
        q[3] = p[middle]  # exactly at the threshold
        yield case(f"{n} to calibrate on, {C} classes, alpha {alpha}", p, y, q, alpha)


conformal = Exercise(
    id="beyond.conformal",
    title="Sets that hold the answer",
    name="conformal_sets",
    kind="function",
    points=3,
    reference=conformal_sets,
    cases=_conformal_cases,
    compare=Close(rtol=0, atol=0),
    mistakes=(
        Mistake(
            "n_not_n_plus_1",
            _sets(lambda s, a: _at(s, np.ceil(len(s) * (1 - a)))),
            "the rank is ceil((n + 1)(1 - α)): the new example is one of n + 1 that could be the worst.",
        ),
        Mistake(
            "rounded_down",
            _sets(lambda s, a: _at(s, np.floor((len(s) + 1) * (1 - a)))),
            "round the rank up, or the sets miss too often.",
        ),
        Mistake(
            "counted_from_zero",
            _sets(lambda s, a: _at(s, np.ceil((len(s) + 1) * (1 - a)) + 1)),
            "this is one score further: the k-th smallest is sorted[k - 1], as Python counts from 0.",
        ),
        Mistake(
            "numpy_s_quantile",
            _sets(lambda s, a: np.quantile(s, 1 - a)),
            "np.quantile reads between two scores; take the ceil((n + 1)(1 - α))-th one itself.",
        ),
        Mistake(
            "numpy_s_higher",
            _sets(lambda s, a: _higher(s, np.ceil((len(s) + 1) * (1 - a)) / len(s))),
            'np.quantile(..., method="higher") is one score too far: it counts n - 1 gaps. Sort, and take [k - 1].',
        ),
        Mistake(
            "largest_in_place_of_infinite",
            _sets(lambda s, a: _at(s, min(np.ceil((len(s) + 1) * (1 - a)), len(s)))),
            "where the rank is larger than n, no score is large enough: every class stays.",
        ),
        Mistake(
            "alpha_from_below",
            _sets(lambda s, a: _at(s, np.ceil((len(s) + 1) * a))),
            "the sets are to hold the answer with 1 - α, not α: take the score near the upper end.",
        ),
        Mistake(
            "strictly_less",
            _sets(keep=lambda p, q: 1 - p < q),
            "a class whose score is equal to the threshold belongs to the set.",
        ),
        Mistake(
            "surest_class",
            _sets(scores=lambda p, y: 1 - p.max(axis=1)),
            "the score is 1 - p of the true class, not of the class that the model likes best.",
        ),
        Mistake(
            "probability_as_score",
            _sets(scores=lambda p, y: 1 - bayes.class_scores(p, y), keep=lambda p, q: p <= q),
            "a score is large where the model is wrong: 1 - p, not p.",
        ),
        Mistake(
            "what_is_excluded",
            _sets(keep=lambda p, q: 1 - p > q),
            "these are the classes that are excluded; the others are asked for.",
        ),
    ),
    withhold=CONFORMAL,
    hints=(
        "Score each calibration example by 1 - p of its true class: probabilities[np.arange(n), targets] picks it.",
        "Sort the n scores and take number ceil((n + 1)(1 - α)), counted from 1; infinity where that is above n.",
        "A class belongs to a set where 1 - p <= threshold: one comparison of the whole array gives the booleans.",
    ),
    difficulty=2,
    importance=5,
    minutes=20,
)

# --- policy gradient ------------------------------------------------------------------------------------------------


class _Gradient:
    """The policy gradient of one episode, with a switch for each slip."""

    def __init__(self, **slips):
        self.slips = slips

    def __call__(self, x, w, actions, rewards, gamma):
        x, w, actions, rewards = np.asarray(x), np.asarray(w), np.asarray(actions), np.asarray(rewards, dtype=float)
        slips, T = self.slips, len(rewards)
        if "gains" in slips:
            gains = slips["gains"](rewards, gamma)
        else:
            gains = policy.discounted_returns(rewards, gamma)
        weights = gains - (0 if "no_baseline" in slips else (rewards if "of_rewards" in slips else gains).mean())
        if "standardised" in slips:
            weights = weights / (gains.std() + 1e-8)
        if "from_start" in slips:
            weights = weights * gamma ** np.arange(T)
        scores = x @ w
        axis = 0 if "over_time" in slips else 1
        with np.errstate(over="ignore", invalid="ignore"):
            p = np.exp(scores - (0 if "overflows" in slips else scores.max(axis=axis, keepdims=True)))
            p = p / p.sum(axis=axis, keepdims=True)
        chosen = np.eye(w.shape[1])[actions]
        error = chosen if "chosen_only" in slips else chosen - p
        out = x.T @ (weights[:, None] * error)
        return out * slips.get("times", 1) / (T if "mean" in slips else 1)


policy_gradient = _Gradient()


def _whole(rewards, gamma):
    return np.full(len(rewards), np.sum(gamma ** np.arange(len(rewards)) * rewards))


def _past(rewards, gamma):
    return policy.discounted_returns(rewards[::-1].copy(), gamma)[::-1]


def _from_the_start(rewards, gamma):
    """γ^t' r_t' summed from t on: the discount counts from the episode's start."""
    return np.cumsum((gamma ** np.arange(len(rewards)) * rewards)[::-1])[::-1]


def _returns_cases(rng: np.random.Generator) -> Iterator[Case]:
    ones = np.ones((2, 1))
    yield case("by hand: two moments", ones, np.zeros((1, 2)), np.array([0, 1]), np.array([1.0, 0.0]), 0.5)
    yield case("the reward comes late", ones, np.zeros((1, 2)), np.array([0, 1]), np.array([0.0, 1.0]), 0.5)
    for T, D, A, gamma in ((6, 3, 2, 0.9), (12, 4, 3, 0.5), (20, 2, 5, 1.0), (5, 3, 3, 0.0)):
        x, w, actions, rewards = (
            rng.normal(size=(T, D)),
            rng.normal(size=(D, A)),
            rng.integers(A, size=T),
            rng.normal(size=T),
        )
        yield case(f"{T} moments, {A} actions, gamma {gamma}", x, w, actions, rewards, gamma)
    yield case("one moment", rng.normal(size=(1, 2)), rng.normal(size=(2, 3)), np.array([1]), np.array([2.0]), 0.9)
    x, w = rng.integers(-3, 4, (7, 2)).astype(float), 400.0 * rng.integers(1, 4, (2, 3)) * np.array([1, -1, 2])
    x[0] = [3.0, 2.0]
    yield case("large scores", x, w, rng.integers(3, size=7), rng.normal(size=7), 0.75)


returns = Exercise(
    id="beyond.returns",
    title="A policy gradient",
    name="policy_gradient",
    kind="function",
    points=4,
    reference=policy_gradient,
    cases=_returns_cases,
    compare=Close(rtol=1e-5, atol=1e-6),
    mistakes=(
        Mistake(
            "reward_only",
            _Gradient(gains=lambda r, g: r),
            "each action is weighted by its own reward only; what came of it later counts, too.",
        ),
        Mistake(
            "whole_episode",
            _Gradient(gains=_whole, no_baseline=True),
            "every action gets the return of the whole episode; an action cannot change what came before it.",
        ),
        Mistake("past", _Gradient(gains=_past), "this sums what came before; what comes after an action is its doing."),
        Mistake(
            "not_discounted",
            _Gradient(gains=lambda r, g: policy.discounted_returns(r, 1.0)),
            "gamma is not used: G[t] = r[t] + gamma · G[t + 1].",
        ),
        Mistake(
            "discounted_from_the_start",
            _Gradient(gains=_from_the_start),
            "the discount counts from t on: the reward at t itself has the factor 1.",
        ),
        Mistake(
            "one_late",
            _Gradient(gains=lambda r, g: policy.discounted_returns(r, g) - r),
            "G[t] contains r[t], the reward for this very action.",
        ),
        Mistake("no_baseline", _Gradient(no_baseline=True), "subtract the baseline, the mean of the returns."),
        Mistake(
            "baseline_of_rewards",
            _Gradient(of_rewards=True),
            "the baseline is the mean of the returns, not of the rewards.",
        ),
        Mistake("standardised", _Gradient(standardised=True), "only subtract the mean; do not divide by a deviation."),
        Mistake(
            "discounted_twice",
            _Gradient(from_start=True),
            "each moment counts alike: the discount is in the returns, and no γ^t stands before them.",
        ),
        Mistake("wrong_sign", _Gradient(times=-1), "this is the gradient of a loss; what is asked for points uphill."),
        Mistake("mean", _Gradient(mean=True), "this is the mean over the moments; the sum is asked for."),
        Mistake(
            "chosen_only",
            _Gradient(chosen_only=True),
            "∇ log softmax is onehot(action) - π: the probabilities are missing.",
        ),
        Mistake("over_time", _Gradient(over_time=True), "the softmax goes over the actions, not over the moments."),
        Mistake(
            "overflows",
            _Gradient(overflows=True),
            "np.exp of a large score is infinite; subtract the largest score of each row first.",
        ),
    ),
    withhold=(*POLICIES, *AUTOGRAD, *AUTODIFF),
    hints=(
        "Go through the rewards from the last to the first: G = r[t] + gamma * G. Then subtract the mean of all G.",
        "For one moment, ∇ log π(a | x) = np.outer(x, onehot(a) - π), with π = softmax(x @ w).",
        "All at once: x.T @ (weights[:, None] * (np.eye(A)[actions] - p)), with p (T, A) by a softmax over axis 1.",
    ),
    difficulty=3,
    importance=5,
    minutes=25,
)

# --- the adjoint ----------------------------------------------------------------------------------------------------


class _Adjoint:
    """dy/dt = tanh(y w), forward and back, with a switch for each slip."""

    def __init__(self, **slips):
        self.slips = slips

    def __call__(self, w, y0, dy, end, steps):
        w, y, a = np.asarray(w, dtype=float), np.asarray(y0, dtype=float), np.asarray(dy, dtype=float)
        h, s = end / steps, self.slips
        track = [y]
        for _ in range(steps):
            track += self.step(lambda z: [np.tanh(z[0] @ w)], track[-1:], h)
        out = y = track[-1]
        if "kept" in s:
            return out, *_through_the_steps(w, track[:-1], a, h)

        def back(z):
            y, a = z[0], z[1]
            slope = np.tanh(y @ w)
            inner = a if "no_tanh" in s else a * (1 - slope**2)
            da = -(w.T if "transposed" in s else w) @ inner
            return [0 * slope if "y_stays" in s else slope, -da if "sign" in s else da, -np.outer(y, inner)]

        state = [y, a, np.zeros_like(w)]
        for _ in range(steps):
            state = self.step(back, state, -h)
        _, a, dw = state
        return out, a, -dw if "dw_sign" in s else dw.T if "dw_turned" in s else dw

    def step(self, f, z, h):
        def moved(k, c):
            return [p + c * q for p, q in zip(z, k, strict=True)]

        k1 = f(z)
        if "euler" in self.slips:
            return moved(k1, h)
        k2 = f(moved(k1, h / 2))
        if "midpoint" in self.slips:
            return moved(k2, h)
        k3 = f(moved(k1 if "third_from_first" in self.slips else k2, h / 2))
        k4 = f(moved(k3, h))
        mean = [(p + 2 * q + 2 * r + t) / 6 for p, q, r, t in zip(k1, k2, k3, k4, strict=True)]
        return moved(mean, h)


def _through_the_steps(w, track, a, h):
    """The chain rule through the kept steps: the gradients for the first state and for w."""
    dw = np.zeros_like(w)
    for y in reversed(track):
        at, slopes = [], []
        for c in (0, 0.5, 0.5, 1):
            at.append(y + h * c * slopes[-1] if slopes else y)
            slopes.append(np.tanh(at[-1] @ w))
        through, carried = a, 0
        for i, share, c in ((3, 1, 1), (2, 2, 0.5), (1, 2, 0.5), (0, 1, 0)):
            inner = (h / 6 * share * a + carried) * (1 - slopes[i] ** 2)
            dw += np.outer(at[i], inner)
            through, carried = through + w @ inner, h * c * (w @ inner)
        a = through
    return a, dw


adjoint_solve = _Adjoint()


def _adjoint_cases(rng: np.random.Generator) -> Iterator[Case]:
    one = np.ones(1)
    yield case("by hand: nothing flows where w = 0", np.zeros((1, 1)), 2 * one, one, 1.5, 10)
    yield case("one number that grows", np.array([[0.5]]), one, one, 1.0, 40)
    for D, end in ((2, 1.0), (3, 2.0), (5, 1.5)):
        w, y0, dy = rng.normal(size=(D, D)), rng.normal(size=D), rng.normal(size=D)
        yield case(f"{D} numbers until {end}", w, y0, dy, end, 60)
    w = np.array([[0.0, 1.0], [-1.0, 0.0]])
    yield case("a swing", w, rng.normal(size=2), rng.normal(size=2), 3.0, 100)
    # With few steps the rule shows: other rules, other numbers of steps and kept states give other numbers.
    turn = np.deg2rad(rng.uniform(0, 360))
    y0, dy = np.array([np.cos(turn), np.sin(turn)]), np.array([1.0, -0.5])
    yield case("a swing in three steps", np.array([[0.5, 1.5], [-1.5, 0.25]]), y0, dy, 1.5, 3)


adjoint = Exercise(
    id="beyond.adjoint",
    title="Back through time without a memory",
    name="adjoint_solve",
    kind="function",
    points=4,
    reference=adjoint_solve,
    cases=_adjoint_cases,
    compare=Close(rtol=2e-4, atol=1e-5),
    mistakes=(
        Mistake("euler", _Adjoint(euler=True), "this is Euler's rule; its error is too large. Take the four slopes."),
        Mistake("midpoint", _Adjoint(midpoint=True), "this rule takes two slopes; take the classical one with four."),
        Mistake(
            "third_from_first",
            _Adjoint(third_from_first=True),
            "the third slope is taken where the second leads: at y + h / 2 · k2.",
        ),
        Mistake(
            "kept",
            _Adjoint(kept=True),
            "this is the chain rule through kept steps; solve y back from its end, together with a and g.",
        ),
        Mistake("wrong_sign", _Adjoint(sign=True), "da/dt = -w (a tanh'): the sign of da/dt is the other one."),
        Mistake(
            "not_transposed",
            _Adjoint(transposed=True),
            "forward is y @ w, so back is w @ (a tanh').",
        ),
        Mistake("no_tanh", _Adjoint(no_tanh=True), "the derivative of tanh is missing: a · (1 - tanh²)."),
        Mistake(
            "y_stays", _Adjoint(y_stays=True), "y must be solved backwards together with a; here it stays at the end."
        ),
        Mistake(
            "dw_sign", _Adjoint(dw_sign=True), "y and dy0 are right; dw has the wrong sign: steps back have h < 0."
        ),
        Mistake("dw_turned", _Adjoint(dw_turned=True), "dw is turned: dw[i, j] belongs to y[i] and slope j."),
    ),
    withhold=(*ODES, *AUTOGRAD, *AUTODIFF),
    hints=(
        "First solve forward with the four slopes. Then y, a and dw together, from the end, with h = -end / steps.",
        "With s = tanh(y @ w) and b = a * (1 - s**2), the slopes of the three are s, -w @ b and -np.outer(y, b).",
        "Start the way back from [y(end), dy, zeros]. One vector that holds all three makes the rule short.",
    ),
    difficulty=4,
    importance=3,
    minutes=35,
)

# --- retrieval ------------------------------------------------------------------------------------------------------


def top_k(query, vectors, k):
    """The reference."""
    return retrieval.top_k(np.asarray(query), np.asarray(vectors), k)


def _cosines(query, vectors):
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(query)
    return np.divide(vectors @ query, lengths, out=np.zeros(len(vectors)), where=lengths > 0)


def _ranked(scores: Callable, order: Callable | None = None, give: Callable | None = None) -> Callable:
    """A variant: other scores, another order, another second result."""

    def wrong(query, vectors, k):
        with np.errstate(invalid="ignore", divide="ignore"):
            s = scores(query, vectors)
            best = (order or (lambda s, k: np.argsort(-s, kind="stable")[:k]))(s, k)
            return best, (give or (lambda s, best: s[best]))(s, best)

    return wrong


def _top_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield case("by hand: three directions", np.array([1.0, 0.0]), np.array([[0.0, 2.0], [5.0, 0.0], [1.0, 1.0]]), 2)
    vectors = np.array([[0.0, 0], [0, 1], [2, 0], [1, 0], [-1, 0]])
    yield case("equally near ones, and a vector of zeros", np.array([1.0, 0]), vectors, 5)
    yield case("a query of zeros", np.zeros(2), vectors, 3)
    for N, D, k in ((8, 3, 3), (30, 10, 5), (12, 4, 12), (5, 2, 1)):
        vectors = rng.normal(size=(N, D)) * rng.uniform(0.2, 5, (N, 1))
        yield case(f"{N} vectors, the best {k}", rng.normal(size=D), vectors, k)
    vectors = rng.integers(0, 2, (40, 3)).astype(float)
    yield case("many equally near", np.array([1.0, 1.0, 0.0]), vectors, 15)


retrieve = Exercise(
    id="beyond.retrieval",
    title="A vector index",
    name="top_k",
    kind="function",
    points=2,
    reference=top_k,
    cases=_top_cases,
    compare=Close(rtol=1e-5, atol=1e-6),
    mistakes=(
        Mistake("dot_products", _ranked(lambda q, v: v @ q), "divide by the lengths: a long vector is not a near one."),
        Mistake(
            "query_not_divided",
            _ranked(lambda q, v: _cosines(q, v) * np.linalg.norm(q)),
            "the order is right; the cosine is divided by the query's length, too.",
        ),
        Mistake(
            "distances",
            _ranked(lambda q, v: -np.linalg.norm(v - q, axis=1)),
            "this goes by the distance between the points; the angle is asked for.",
        ),
        Mistake(
            "worst_first",
            _ranked(_cosines, lambda s, k: np.argsort(s, kind="stable")[:k]),
            "these are the farthest; np.argsort sorts upwards.",
        ),
        Mistake(
            "turned_round",
            _ranked(_cosines, lambda s, k: np.argsort(s, kind="stable")[::-1][:k]),
            "of equally near vectors the first comes first; turning the order round turns them, too: sort -cosines.",
        ),
        Mistake(
            "upwards",
            _ranked(_cosines, lambda s, k: np.argsort(-s, kind="stable")[:k][::-1]),
            "the k are right; the best comes first.",
        ),
        Mistake(
            "one_minus",
            _ranked(_cosines, give=lambda s, best: 1 - s[best]),
            "this is 1 - cos; give the cosine.",
        ),
        Mistake(
            "zero_divided",
            _ranked(lambda q, v: (v @ q) / (np.linalg.norm(v, axis=1) * np.linalg.norm(q))),
            "0 / 0 is no number: a vector of zeros has the cosine 0.",
        ),
    ),
    withhold=NEAREST,
    hints=(
        "The cosine is the dot product over both lengths: vectors @ query, and np.linalg.norm(vectors, axis=1).",
        "Where a length is 0, so is the dot product: divide by 1 there.",
        "np.argsort(-cosines, kind='stable')[:k] gives the best first, and equally near ones in their order.",
    ),
    difficulty=2,
    importance=4,
    minutes=15,
)

essay = text_exercise(
    "beyond.essay", "Ninety-eight per cent in the lab", points=3, difficulty=3, importance=5, minutes=15
)

EXERCISES = (wrong_share, contrast, prototypes, conformal, returns, adjoint, retrieve, essay)
