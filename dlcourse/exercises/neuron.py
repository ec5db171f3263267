"""Exercises of chapter 01, the neuron: the assignment ``01_neuron``.

Gradients are by hand here, so automatic differentiation is withheld from all of it.
"""

from __future__ import annotations

import numpy as np

from dlcourse import data, neuron
from dlcourse.exercises.compare import AtLeast, Close, FalseFail, Holds
from dlcourse.exercises.offered import AUTOGRAD, HINGE_LOSS, LINEAR_CLASSIFIERS, LOGISTIC_LOSS
from dlcourse.exercises.plain import numbers, parts
from dlcourse.exercises.spec import Case, Exercise, Mistake, calls, case, steps, text_exercise

# float32 answers pass; every slip in a formula is far larger.
CLOSE = Close(rtol=1e-4, atol=1e-6)


# --- A number: what one neuron with one input can do --------------------------------------------------------------

labellings = Exercise(
    id="neuron.labellings",
    title="How many labellings?",
    name="n_labellings",
    kind="number",
    points=1,
    reference=10,
    cases=lambda rng: [Case("labellings of five points on a line")],
    compare=Close(rtol=0, atol=0),
    mistakes=(
        Mistake("all", 32, "that is the number of all labellings. Can one threshold give + − + − +?"),
        Mistake(
            "one_direction",
            6,
            "these have all their + on one side. The weight may be negative as well: what does that do to the sides?",
        ),
        Mistake(
            "counted_twice",
            12,
            "six in each direction, right. But two of them come in both directions: which?",
        ),
        Mistake(
            "no_constant_ones",
            8,
            "those with both labels in them are counted right. May a neuron also give all points the same label?",
        ),
    ),
    hints=(
        "A neuron with one input is on to one side of a threshold: of x = −b/w. Where can the threshold lie, seen from "
        "the points?",
        "Do three points first: + + +, + + −, + − −, − − −, − − +, − + +. That is six of eight. Which two are missing?",
        "Five points leave six places for a threshold, and each can have its + on the left or on the right. Then look "
        "for labellings that you have counted twice.",
    ),
    difficulty=2,
    importance=3,
    minutes=10,
)


# --- The squared error of a sigmoid neuron ------------------------------------------------------------------------


def squared_error(x, t, w, b):
    y, cache = neuron.neuron_forward(x, w, b, "sigmoid")
    E, dy = neuron.squared_error(y, t)
    _, dw, db = neuron.neuron_backward(dy, cache)
    return E, dw, db


def squared_error_cases(rng):
    def sized(name, N, D, dtype=np.float64):
        x, w = rng.normal(size=(N, D)).astype(dtype), rng.normal(size=D).astype(dtype)
        return case(name, x, rng.uniform(0, 1, N).astype(dtype), w, float(rng.normal()))

    yield case("the lecture's example", np.array([[1.0, 2.0]]), np.array([1.0]), np.array([2.0, -1.0]), 0.0)
    yield case("only the bias: y = 3/4", np.zeros((1, 2)), np.array([0.25]), np.array([5.0, 7.0]), float(np.log(3)))
    yield case("two examples", np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([1.0, 0.0]), np.zeros(2), 0.0)
    yield sized("6 examples, 3 inputs", 6, 3)
    yield sized("1 example, 4 inputs", 1, 4)
    yield sized("5 examples, 1 input", 5, 1)
    yield sized("3 examples, 3 inputs", 3, 3)
    yield sized("float32", 7, 2, np.float32)


def without_the_slope(x, t, w, b):
    y, _ = neuron.neuron_forward(x, w, b, "sigmoid")
    E, dy = neuron.squared_error(y, t)
    return E, dy @ x, dy.sum()


def error_uphill(x, t, w, b):
    E, dw, db = squared_error(x, t, w, b)
    return E, -dw, -db


def mean_error(x, t, w, b):
    return tuple(part / len(x) for part in squared_error(x, t, w, b))


def no_half(x, t, w, b):
    E, dw, db = squared_error(x, t, w, b)
    return 2 * E, dw, db


def no_half_anywhere(x, t, w, b):
    return tuple(2 * part for part in squared_error(x, t, w, b))


def identity_neuron(x, t, w, b):
    f, cache = neuron.neuron_forward(x, w, b)
    E, df = neuron.squared_error(f, t)
    _, dw, db = neuron.neuron_backward(df, cache)
    return E, dw, db


sigmoid_neuron = Exercise(
    id="neuron.squared_error",
    title="The squared error of a neuron",
    name="squared_error",
    kind="function",
    points=3,
    reference=squared_error,
    cases=squared_error_cases,
    compare=CLOSE,
    mistakes=(
        Mistake(
            "no_slope",
            without_the_slope,
            "the error is right. The gradient has three factors, error, slope and input; one of them is missing.",
        ),
        Mistake(
            "uphill", error_uphill, "the error is right, the gradient has the wrong sign: is it (t − y) or (y − t)?"
        ),
        Mistake("mean_for_sum", mean_error, "everything is divided by the number of examples: the sum is asked for."),
        Mistake("no_half", no_half, "the gradient is right, the error is twice too large: what cancelled the 2?"),
        Mistake("no_half_anywhere", no_half_anywhere, "error and gradient are twice too large: where is the ½?"),
        Mistake("no_sigmoid", identity_neuron, "your neuron gives out its score; where does the sigmoid come in?"),
    ),
    withhold=(
        *AUTOGRAD,
        "dlcourse.neuron.neuron_forward",
        "dlcourse.neuron.neuron_backward",
        "dlcourse.neuron.squared_error",
    ),
    hints=(
        "Forward first: f = x w + b with one score for each example, y = σ(f), and E from y and t. "
        "Keep y: the slope needs it.",
        "For one example, dE/dw is error · slope · input = (y − t) · y(1 − y) · x. All examples share w, so add up.",
        "With d = (y − t) · y · (1 − y), an array (N,): dw = d @ x and db = d.sum().",
    ),
    difficulty=2,
    importance=5,
    minutes=15,
)


# --- The logistic loss, stable ------------------------------------------------------------------------------------


def logistic_cases(rng):
    yield case("score 0: loss ln 2, slope −t/2", np.zeros(2), np.array([1, -1]))
    yield case("t f = ±ln 3", np.log([3.0, 3.0, 1 / 3, 1 / 3]), np.array([1, -1, 1, -1]))
    yield case("5 examples", rng.normal(0, 2, 5), rng.choice([-1, 1], 5))
    yield case("1 example", rng.normal(0, 2, 1), rng.choice([-1, 1], 1))
    yield case("float32", rng.normal(0, 2, 6).astype(np.float32), rng.choice([-1, 1], 6))
    yield case("all on the right side", rng.uniform(1, 3, 4), np.ones(4, dtype=int))
    yield case("scores up to ±10000", np.array([1e4, -1e4, 1e4, -1e4, 200.0, -200.0]), np.array([1, 1, -1, -1, -1, -1]))


def overflowing_logistic(f, t):
    with np.errstate(all="ignore"):
        e = np.exp(-t * f)
        return np.log(1 + e), -t * e / (1 + e)


def overflow_in_the_loss(f, t):
    with np.errstate(over="ignore"):
        return np.log(1 + np.exp(-t * f)), neuron.logistic_loss(f, t)[1]


def overflow_in_the_slope(f, t):
    return neuron.logistic_loss(f, t)[0], overflowing_logistic(f, t)[1]


def kept_from_overflow(f, t):
    m = np.clip(t * f, -500, 500)
    return np.log(1 + np.exp(-m)), neuron.logistic_loss(f, t)[1]


def levels_off(case, values):
    """Whether the loss is far too small where the score is large and wrong."""
    f, t = case.calls[0].args
    loss = numbers(parts(values[0], 2)[0])
    return bool(np.max(-t * f) > 1000 and (loss > -1e-6).all() and 5 < loss.max() < 1000)


def label_ignored(f, t):
    return neuron.logistic_loss(f, np.ones_like(t))


def slope_uphill(f, t):
    loss, slope = neuron.logistic_loss(f, t)
    return loss, -slope


def slope_of_the_right(f, t):
    loss, slope = neuron.logistic_loss(f, t)
    return loss, -t - slope


def slope_of_the_margin(f, t):
    loss, slope = neuron.logistic_loss(f, t)
    return loss, t * slope


def likelihood(f, t):
    loss, slope = neuron.logistic_loss(f, t)
    return -loss, -slope


logistic = Exercise(
    id="neuron.logistic_loss",
    title="The logistic loss, without overflow",
    name="logistic_loss",
    kind="function",
    points=2,
    reference=neuron.logistic_loss,
    cases=logistic_cases,
    compare=CLOSE,
    mistakes=(
        Mistake(
            "overflow",
            overflowing_logistic,
            "right for small scores. exp(10000) is infinite: pull the large part out of the logarithm first.",
        ),
        Mistake(
            "overflow_in_the_loss",
            overflow_in_the_loss,
            "the slope is right, and so is the loss of small scores. For a large score on the wrong side yours is "
            "infinite: an exponential overflows, or the logarithm is of 0. Pull the large part out first.",
        ),
        Mistake(
            "overflow_in_the_slope",
            overflow_in_the_slope,
            "the loss is right. Your slope is infinite divided by infinite for large scores: use exp(−|m|) there too.",
        ),
        Mistake("label_ignored", label_ignored, "right where t = +1. For t = −1 the loss must fall the other way."),
        Mistake("uphill", slope_uphill, "the loss is right, the slope has the wrong sign: a better margin, less loss."),
        Mistake(
            "slope_of_the_right",
            slope_of_the_right,
            "the loss is right. Your slope is large where the neuron is right already: it has the probability of the "
            "right class in it. Which examples should pull?",
        ),
        Mistake(
            "slope_of_the_margin",
            slope_of_the_margin,
            "the loss is right. Your slope is that with respect to the margin t f; with respect to f was asked.",
        ),
        Mistake("log_likelihood", likelihood, "all signs are turned: a loss is minus the log of a probability."),
        Mistake(
            "loss_levels_off",
            kept_from_overflow,
            "no overflow, but the loss of large scores is wrong: clipping, or a small number inside the logarithm, "
            "makes it level off. It must grow as −t f does: at t f = −10000 it is 10000.",
            when=levels_off,
        ),
    ),
    withhold=(*AUTOGRAD, "dlcourse.neuron.logistic_loss", *LOGISTIC_LOSS),
    hints=(
        "Write m = t f. For m ≥ 0 the formula is harmless, since exp(−m) is at most 1. And for very negative m: what "
        "is log(1 + exp(−m)), nearly?",
        "log(1 + exp(−m)) = −m + log(1 + exp(m)). One of the two forms is harmless for each sign of m. "
        "exp(−|m|) is harmless always.",
        "loss = max(−m, 0) + log1p(exp(−|m|)). For the slope, −t times the probability of the wrong class, σ(−m): with "
        "e = exp(−|m|) that is e/(1 + e) where m ≥ 0 and 1/(1 + e) elsewhere.",
    ),
    difficulty=2,
    importance=4,
    minutes=15,
)


# --- Structural risk with the hinge loss --------------------------------------------------------------------------


def hinge_objective(x, t, w, b, lam):
    return neuron.objective(x, t, w, b, loss="hinge", regulariser="l2", lam=lam)


def hinge_cases(rng):
    def sized(name, N, D, dtype=np.float64):
        x, w = rng.normal(0, 1.5, (N, D)).astype(dtype), rng.normal(size=D).astype(dtype)
        return case(name, x, rng.choice([-1, 1], N), w, float(rng.normal()), float(rng.uniform(0.1, 2)))

    x = np.array([[1.0, 0.0], [0.0, 1.0]])
    yield case("the example of the question", x, np.array([1, -1]), np.array([0.5, -2.0]), 0.25, 2.0)
    yield case("inside the margin, on the right side", x[:1], np.array([1]), np.array([0.5, 0.0]), 0.0, 0.0)
    yield case("wrong by far", 10 * x, np.array([-1, 1]), np.array([1.0, -1.0]), 0.0, 0.0)
    yield case("all far on their sides: only the regulariser", 9 * x, np.array([1, 1]), np.array([1.0, 2.0]), 3.0, 0.5)
    yield case("no regulariser", 2 * x, np.array([-1, 1]), np.array([1.0, 1.0]), -2.5, 0.0)
    yield sized("8 examples, 3 inputs", 8, 3)
    yield sized("1 example", 1, 4)
    yield sized("7 examples, 1 input", 7, 1)
    yield sized("20 examples, 20 inputs", 20, 20)
    yield sized("float32", 12, 2, np.float32)


def hinge_summed(x, t, w, b, lam):
    value, dw, db = hinge_objective(x, t, w, b, 0.0)
    return len(x) * value + lam * (w @ w) / 2, len(x) * dw + lam * w, len(x) * db


def bias_regularised(x, t, w, b, lam):
    value, dw, db = hinge_objective(x, t, w, b, lam)
    return value + lam * b * b / 2, dw, db + lam * b


def regulariser_without_half(x, t, w, b, lam):
    return hinge_objective(x, t, w, b, 2 * lam)


def regulariser_without_gradient(x, t, w, b, lam):
    value, _, _ = hinge_objective(x, t, w, b, lam)
    _, dw, db = hinge_objective(x, t, w, b, 0.0)
    return value, dw, db


def all_examples_pull(x, t, w, b, lam):
    value, _, _ = hinge_objective(x, t, w, b, lam)
    return value, lam * w - t @ x / len(x), -np.mean(t)


def perceptron_loss(x, t, w, b, lam):
    m = t * (x @ w + b)
    pull = -t * (m < 0)
    return lam * (w @ w) / 2 + np.maximum(-m, 0).mean(), lam * w + pull @ x / len(x), pull.mean()


def hinge_uphill(x, t, w, b, lam):
    value, dw, db = hinge_objective(x, t, w, b, lam)
    return value, 2 * lam * w - dw, -db


hinge = Exercise(
    id="neuron.hinge_objective",
    title="Structural risk with the hinge loss",
    name="hinge_objective",
    kind="function",
    points=3,
    reference=hinge_objective,
    cases=hinge_cases,
    compare=CLOSE,
    mistakes=(
        Mistake("sum_for_mean", hinge_summed, "the empirical risk is the mean loss of the examples; yours is the sum."),
        Mistake(
            "bias_regularised", bias_regularised, "the bias has a price in your answer; it is free in the formula."
        ),
        Mistake("no_half", regulariser_without_half, "your regulariser is twice too large: it is ½ wᵀw, times λ."),
        Mistake(
            "regulariser_without_gradient",
            regulariser_without_gradient,
            "the value is right. The regulariser depends on w too: what is its gradient?",
        ),
        Mistake(
            "all_examples_pull",
            all_examples_pull,
            "the value is right. In your gradient every example pulls; which of them are beyond the margin?",
        ),
        Mistake(
            "perceptron",
            perceptron_loss,
            "your loss is 0 as soon as an example is on the right side. The hinge wants more than that: a margin of 1.",
        ),
        Mistake(
            "uphill", hinge_uphill, "the value is right. The examples push the wrong way: the sign of t is turned."
        ),
    ),
    withhold=(
        *AUTOGRAD,
        "dlcourse.neuron.objective",
        "dlcourse.neuron.hinge_loss",
        "dlcourse.neuron.l2",
        *HINGE_LOSS,
    ),
    hints=(
        "Start with the margins m = t · (x w + b), one for each example. The losses, and which examples pull, follow "
        "from m alone.",
        "An example with m < 1 has the loss 1 − m, whose gradient with respect to w is −t x. One with m > 1 has none. "
        "Take the mean over all N, then add the regulariser and its gradient.",
        "pull = np.where(m < 1, −t, 0): dw = lam · w + pull @ x / N, db = pull.mean().",
    ),
    difficulty=3,
    importance=5,
    minutes=20,
)


# --- A class: a neuron that learns --------------------------------------------------------------------------------


class Neuron:
    def __init__(self, n_inputs, lr):
        self.lr, self.w, self.b = lr, np.zeros(n_inputs), 0.0

    def score(self, x):
        return x @ self.w + self.b

    def step(self, x, t):
        error = self.score(x) - t
        self.w = self.w - self.lr * error @ x / len(x)
        self.b = self.b - self.lr * error.mean()
        return 0.5 * (error**2).mean()


def class_cases(rng):
    def trained(name, N, D, lr, n_steps, dtype=np.float64):
        batches = [(rng.normal(1, 1, (N, D)).astype(dtype), rng.normal(0, 2, N).astype(dtype)) for _ in range(n_steps)]
        return steps(name, (D, lr), *(("step", x, t) for x, t in batches), (".w",), (".b",), ("score", batches[0][0]))

    x, t = np.array([[1.0, 2.0]]), np.array([4.0])
    yield steps("a new neuron", (2, 0.5), ("score", x), (".w",), (".b",))
    yield steps("the example of the question", (2, 0.1), ("step", x, t), (".w",), (".b",), ("score", x), ("step", x, t))
    yield steps("only the bias can learn", (2, 0.5), ("step", 0 * x, t), (".w",), (".b",), ("step", 0 * x, t), (".b",))
    yield trained("6 examples, 3 inputs, 3 steps", 6, 3, 0.1, 3)
    yield trained("1 input", 5, 1, 0.2, 2)
    yield trained("as many inputs as examples", 4, 4, 0.05, 2)
    yield trained("float32", 7, 2, 0.1, 4, np.float32)
    both = [("score", x), ("step", x, t), ("score", x), ("score", 2 * x)]
    yield steps("scoring changes nothing", (2, 0.1), *both)


class SummedGradient(Neuron):
    def step(self, x, t):
        error = self.score(x) - t
        self.w = self.w - self.lr * error @ x
        self.b = self.b - self.lr * error.sum()
        return 0.5 * (error**2).mean()


class BiasForgotten(Neuron):
    def step(self, x, t):
        b = self.b
        loss = super().step(x, t)
        self.b = b
        return loss


class UphillNeuron(Neuron):
    def step(self, x, t):
        self.lr = -self.lr
        loss = super().step(x, t)
        self.lr = -self.lr
        return loss


class LossAfter(Neuron):
    def step(self, x, t):
        super().step(x, t)
        return 0.5 * ((self.score(x) - t) ** 2).mean()


class BiasSecond(Neuron):
    def step(self, x, t):
        error = self.score(x) - t
        self.w = self.w - self.lr * error @ x / len(x)
        self.b = self.b - self.lr * (self.score(x) - t).mean()
        return 0.5 * (error**2).mean()


class StartsOver(Neuron):
    def step(self, x, t):
        self.w, self.b = np.zeros_like(self.w), 0.0
        return super().step(x, t)


learner = Exercise(
    id="neuron.class",
    title="A neuron that learns",
    name="Neuron",
    kind="class",
    points=3,
    reference=Neuron,
    cases=class_cases,
    compare=CLOSE,
    mistakes=(
        Mistake(
            "sum_for_mean",
            SummedGradient,
            "your steps are too large by the number of examples: the loss is a mean, and its gradient is one too.",
        ),
        Mistake("bias_forgotten", BiasForgotten, "the weights learn, the bias stays at 0. It has a gradient as well."),
        Mistake("uphill", UphillNeuron, "the steps have the right size and the wrong direction: the loss grows."),
        Mistake("loss_after", LossAfter, "the neuron learns well. The loss to return is that before the step."),
        Mistake(
            "bias_second",
            BiasSecond,
            "the bias is stepped with a gradient that was taken after w had moved: take both at the same point.",
        ),
        Mistake("starts_over", StartsOver, "the first step is right, and then everything learned is forgotten."),
    ),
    withhold=(
        "dlcourse.neuron.gradient_descent",
        "dlcourse.neuron.fit",
        "dlcourse.neuron.squared_loss",
        "torch.optim.SGD",
    ),
    hints=(
        "Three things live on self: the learning rate, w and b. __init__ sets them; step changes the last two.",
        "In step: the errors are score − t, an array (N,). The loss is half their mean square, dw is the mean of "
        "error · x over the examples, db the mean of the errors.",
        "error = self.score(x) − t; then self.w = self.w − self.lr · (error @ x) / len(x), and "
        "self.b = self.b − self.lr · error.mean().",
    ),
    difficulty=2,
    importance=4,
    minutes=15,
)


# --- A property: a line that separates ----------------------------------------------------------------------------


def separate(x, t):
    w, b = np.zeros(x.shape[1]), 0.0
    wrong = True
    while wrong:
        wrong = False
        for example, label in zip(x, t, strict=True):
            if label * (example @ w + b) <= 0:
                w, b, wrong = w + label * example, b + label, True
    return w, b


def separate_cases(rng):
    corners = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])
    yield case("AND", corners, np.array([-1, -1, -1, 1]))
    yield case("NOT of the first", corners, np.array([1, 1, -1, -1]))
    yield case("all of one class", corners, np.array([-1, -1, -1, -1]))
    yield case("two points", np.array([[2.0], [3.0]]), np.array([1, -1]))

    def drawn(name, N, D, at, stretch=1.0):
        """Points at least 0.3 from a hyperplane that lies ``at`` from 0, both classes among them; in hundredths, so
        that float32 holds what decides. Stretched along the plane, so that the means do not tell its direction."""
        normal = rng.normal(size=D)
        normal /= np.linalg.norm(normal)
        t = rng.permutation(np.arange(N) % 2) * 2 - 1
        x = rng.normal(0, 1, (N, D))
        x -= np.outer(x @ normal, normal)  # in the plane
        x = stretch * x + np.outer(t * (0.3 + rng.exponential(0.4, N)) + at, normal)
        if stretch > 1:  # and shifted along it, each class another way
            along = np.linalg.qr(np.stack([normal, rng.normal(size=D)], axis=1))[0][:, 1]
            x += np.outer(t * stretch, along)
        return case(name, x.round(2), t)

    yield drawn("12 points around a line through 0", 12, 2, 0.0)
    yield drawn("20 points, the line 2 away from 0", 20, 2, 2.0)
    yield drawn("20 points, the line −1.5 away from 0", 20, 2, -1.5)
    yield drawn("40 points in long rows", 40, 2, 1.0, stretch=3.0)
    yield drawn("30 points, 5 inputs", 30, 5, 1.0)


def _margins(case, values):
    (call,) = case.calls
    x, t = call.args
    (answer,) = values
    w, b = (numbers(part).astype(np.float64) for part in parts(answer, 2))
    if w.shape != (x.shape[1],):
        raise ValueError(f"w has shape {w.shape}, expected ({x.shape[1]},)")
    if b.size != 1:
        raise ValueError(f"b has shape {b.shape}, expected a single number")
    return t * (x @ w + b.reshape(())), w, float(b.reshape(()))


def separates(case, values):
    margins, _, _ = _margins(case, values)
    wrong = np.flatnonzero(margins <= 0)
    if not len(wrong):
        return None
    _, t = case.calls[0].args
    n = wrong[0]
    where = "on the line" if margins[n] == 0 else "on the wrong side"
    return f"{len(wrong)} of {len(t)} points are not on their side; point {n}, of label {t[n]:+d}, is {where}"


def separate_without_bias(x, t):
    w = np.zeros(x.shape[1])
    for _ in range(200):
        for example, label in zip(x, t, strict=True):
            if label * (example @ w) <= 0:
                w = w + label * example
    return w, 0.0


def separate_by_means(x, t):
    if len(set(t.tolist())) == 1:
        return np.zeros(x.shape[1]), float(t[0])
    plus, minus = x[t == 1].mean(axis=0), x[t == -1].mean(axis=0)
    return plus - minus, (minus @ minus - plus @ plus) / 2


def separate_turned(x, t):
    w, b = separate(x, t)
    return -w, -b


def _no_bias(case, values):
    _, w, b = _margins(case, values)
    return b == 0 and bool(np.abs(w).sum() > 0)


def _by_means(case, values):
    margins, w, _ = _margins(case, values)
    x, t = case.calls[0].args
    if len(set(t.tolist())) == 1 or len(w) == 1:
        return False
    d = x[t == 1].mean(axis=0) - x[t == -1].mean(axis=0)
    return bool(abs(w @ d) >= (1 - 1e-6) * np.linalg.norm(w) * np.linalg.norm(d) > 0 and (margins > 0).any())


line = Exercise(
    id="neuron.separate",
    title="Find a line that separates",
    name="separate",
    kind="property",
    points=3,
    reference=separate,
    cases=separate_cases,
    compare=Holds(
        separates,
        false_fail=FalseFail(
            0.0,
            "The rule holds for any line that separates the points, and leaves nothing to chance: every case has such "
            "a line, 0.29 or more away from all points.",
        ),
    ),
    mistakes=(
        Mistake(
            "turned_round",
            separate_turned,
            "every point is on the wrong side: your line is a good one, and its signs are turned round.",
            when=lambda case, values: bool((_margins(case, values)[0] < 0).all()),
        ),
        Mistake(
            "no_bias",
            separate_without_bias,
            "your b is 0, so your line goes through 0. Not every pair of classes can be parted there.",
            when=_no_bias,
        ),
        Mistake(
            "means",
            separate_by_means,
            "your line stands at right angles on the line between the means of the classes. That is a good start, but "
            "the means do not say where the outermost points are.",
            when=_by_means,
        ),
    ),
    withhold=("dlcourse.neuron.separating_line", "dlcourse.neuron.best_line", *LINEAR_CLASSIFIERS),
    hints=(
        "You need not find the best line; any will do. So look for points that are on the wrong side, and do something "
        "about them until there are none.",
        "For a point on the wrong side (or on the line), a step downhill on the loss max(0, −t f) helps: its gradient "
        "is −t x with respect to w, and −t with respect to b. This is Rosenblatt's perceptron.",
        "Start from 0. Go through the points; where t (wᵀx + b) ≤ 0, set w ← w + t x and b ← b + t. Repeat until a "
        "whole pass changes nothing: for separable classes that is proven to happen.",
    ),
    difficulty=3,
    importance=4,
    minutes=20,
)


# --- Trained: digits ----------------------------------------------------------------------------------------------


def train(x, t, x_new):
    w, b, _ = neuron.fit(x.astype(np.float64), t, loss="squared", lr=0.08, steps=500)
    return neuron.predict(x_new.astype(np.float64), w, b)


def train_cases(rng):
    digits = data.load("digits")
    x = np.concatenate([digits.x_train, digits.x_test]).reshape(-1, 64)
    y = np.concatenate([digits.y_train, digits.y_test])
    x, y = x[y < 2], y[y < 2]
    yield _held_out("zeros against ones", x, 2 * y - 1, 180, rng)
    yield _held_out("ones against zeros", x, 1 - 2 * y, 180, rng)
    t = rng.choice([-1, 1], 600)
    x = 1.5 + 0.5 * t[:, None] + rng.normal(0, 0.25, (600, 2))
    yield _held_out("two clouds, around (1, 1) and (2, 2)", x, t, 200, rng)


def _held_out(name, x, t, n_train, rng):
    order = rng.permutation(len(x))
    seen, new = order[:n_train], order[n_train:]
    return calls(name, [(x[seen], t[seen], x[new])], secret={"labels": t[new]})


def held_out_accuracy(case, values):
    labels = case.secret["labels"]
    (predicted,) = values
    if np.shape(predicted) != labels.shape:
        raise ValueError(
            f"its shape is {np.shape(predicted)}, expected {labels.shape}: one label for each row of x_new"
        )
    return np.mean(predicted == labels)


def _predicted(case, values):
    """The predictions where they have the right shape, else ``None``."""
    (predicted,) = values
    return predicted if np.shape(predicted) == case.secret["labels"].shape else None


def _turned(case, values):
    predicted = _predicted(case, values)
    return predicted is not None and np.mean(predicted == case.secret["labels"]) < 0.1 and set(predicted) <= {-1, 1}


def _classes_from_0(case, values):
    predicted = _predicted(case, values)
    return predicted is not None and set(np.unique(predicted)) == {0, 1}


def _scores(case, values):
    predicted = _predicted(case, values)
    return predicted is not None and len(np.unique(predicted)) > 2


def _through_0(case, values):
    """Whether the predictions on the clouds are those of a line through 0."""
    predicted, x_new = _predicted(case, values), case.calls[0].args[2]
    if predicted is None or x_new.shape[1] != 2 or set(np.unique(predicted)) - {-1, 1}:
        return False
    if len(np.unique(predicted)) == 1:
        return True
    angle = np.arctan2(x_new[:, 1], x_new[:, 0])  # all within (-π, π) and near π/4, so a line through 0 cuts once
    order = predicted[np.argsort(angle)]
    return int((order[1:] != order[:-1]).sum()) <= 1


def train_turned(x, t, x_new):
    return -train(x, t, x_new)


def train_from_0(x, t, x_new):
    return (train(x, t, x_new) + 1) // 2


def train_scores(x, t, x_new):
    w, b, _ = neuron.fit(x.astype(np.float64), t, loss="squared", lr=0.08, steps=500)
    return x_new @ w + b


def train_without_bias(x, t, x_new):
    w = np.linalg.lstsq(x.astype(np.float64), t.astype(np.float64), rcond=None)[0]
    return np.where(x_new @ w > 0, 1, -1)


def train_sees_old(x, t, x_new):
    return train(x, t, x)


trained = Exercise(
    id="neuron.train",
    title="Tell digits apart",
    name="train",
    kind="trained",
    points=4,
    reference=train,
    cases=train_cases,
    compare=AtLeast(
        held_out_accuracy,
        0.88,
        what="accuracy on held-out data",
        asked=0.97,
        false_fail=FalseFail(
            1e-7,
            "Derived for a training that is right on 97% of all examples: less than 88% of the held-out ones come out "
            "right with probability 6.2e-8, all cases together (binomial).",
        ),
    ),
    mistakes=(
        Mistake(
            "predicts_what_it_saw",
            train_sees_old,
            "there is one prediction for each row of x; the labels of the new examples are asked for.",
            when=lambda case, values: (
                np.shape(values[0]) == (len(case.calls[0].args[0]),) and _predicted(case, values) is None
            ),
        ),
        Mistake(
            "turned_round",
            train_turned,
            "nearly every prediction is wrong, and that takes skill: your labels are turned round.",
            when=_turned,
        ),
        Mistake(
            "classes_from_0",
            train_from_0,
            "your predictions are 0 and 1; the labels here are −1 and +1.",
            when=_classes_from_0,
        ),
        Mistake(
            "scores",
            train_scores,
            "many different numbers came back: these look like scores. Which label does a score speak for?",
            when=_scores,
        ),
        Mistake(
            "through_0",
            train_without_bias,
            "on the clouds your line goes through 0, and both clouds lie in the same direction from there. Does your "
            "neuron have a bias, and does it learn?",
            when=_through_0,
        ),
    ),
    withhold=(
        *AUTOGRAD,
        *LINEAR_CLASSIFIERS,
        "dlcourse.neuron.fit",
        "dlcourse.neuron.fit_automatically",
        "dlcourse.neuron.gradient_descent",
        "dlcourse.neuron.predict",
    ),
    hints=(
        "Representation: a score x w + b. Evaluation: one of the three losses, mean over the examples. Optimisation: "
        "gradient descent from 0. Print the loss now and then: it must fall.",
        "The squared loss is the shortest: error = x w + b − t, dw = error @ x / N, db = the mean error. A few hundred "
        "steps; if the loss grows, the learning rate is too large.",
        "for _ in range(500): error = x @ w + b − t; w −= lr · error @ x / len(x); b −= lr · error.mean(), with "
        "lr = 0.08. Then np.where(x_new @ w + b > 0, 1, −1).",
    ),
    difficulty=3,
    importance=5,
    minutes=25,
    seconds=60.0,
)


# --- In words -----------------------------------------------------------------------------------------------------

essay = text_exercise(
    "neuron.essay", "Which of the three is to blame?", points=3, difficulty=3, importance=4, minutes=15
)


EXERCISES = (labellings, sigmoid_neuron, logistic, hinge, learner, line, trained, essay)
