"""The exercises of assignment 04: activations and losses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from dlcourse import activations, data, losses
from dlcourse.exercises.compare import AtLeast, Close, FalseFail, Holds
from dlcourse.exercises.offered import AUTOGRAD
from dlcourse.exercises.plain import numbers
from dlcourse.exercises.spec import Case, Exercise, Mistake, calls, case, steps, text_exercise

# float32 answers pass; every slip in a formula is far larger.
CLOSE = Close(rtol=1e-4, atol=1e-6)

# Withheld in the whole assignment, since one notebook is graded in one session.
_OURS = (
    *(
        f"dlcourse.activations.{name}_{way}"
        for name in ("softplus", "prelu", "swish", "silu")
        for way in ("forward", "backward")
    ),
    "dlcourse.activations.slope",
    "dlcourse.activations.softmax_backward",
    "dlcourse.activations.softmax_jacobian",
    "dlcourse.activations.log_softmax_backward",
    *(
        f"dlcourse.losses.{name}_{way}"
        for name in ("hinge", "expectation", "regularised_expectation", "chebyshev", "tanimoto", "squared_log")
        for way in ("forward", "backward")
    ),
)
_OFFERED = (
    *AUTOGRAD,
    *(
        f"torch.nn.functional.{name}"
        for name in ("softplus", "prelu", "silu", "multi_margin_loss", "multilabel_margin_loss")
    ),
    *(
        f"torch.ops.aten.{name}"
        for name in ("softplus", "softplus_backward", "silu", "silu_backward", "_softmax_backward_data")
    ),
    *(f"torch.nn.{name}" for name in ("Softplus", "PReLU", "SiLU", "MultiMarginLoss")),
    "sklearn.metrics.hinge_loss",
)


# --- A number: the lowest honest loss ---------------------------------------------------------------------------------


def _entropy(wrong: float, spread: int) -> float:
    """Cross-entropy of labels that are right with probability 1 - wrong, the rest spread over some other classes."""
    return float(-(1 - wrong) * np.log(1 - wrong) - wrong * np.log(wrong / spread))


lowest_loss = Exercise(
    id="activations.lowest_loss",
    title="The loss that nobody gets below",
    name="lowest_loss",
    kind="number",
    points=1,
    reference=_entropy(0.2, 9),
    cases=lambda rng: [Case("20% wrong labels, ten classes")],
    compare=Close(rtol=1e-3, atol=0),
    mistakes=(
        Mistake(
            "wrong_labels_forgotten",
            float(-np.log(0.8)),
            "this is the loss of the examples whose label is right. The others have a loss too, and a larger one.",
        ),
        Mistake(
            "right_labels_only",
            float(-0.8 * np.log(0.8)),
            "this counts the examples whose label is right. One in five has another label; what is its loss?",
        ),
        Mistake(
            "one_wrong_class",
            _entropy(0.2, 1),
            "this is right for two classes. With ten, the 0.2 must be shared out: which probability does each of the "
            "nine wrong classes have?",
        ),
        Mistake(
            "shared_by_ten",
            _entropy(0.2, 10),
            "a wrong label is never the right class, so the 0.2 is shared by fewer than ten classes.",
        ),
        Mistake(
            "in_bits", _entropy(0.2, 9) / float(np.log(2)), "this is in bits. The loss takes the natural logarithm."
        ),
    ),
    hints=(
        "The best guess gives every class the probability with which it occurs as a label.",
        "For a picture of a 3 the label 3 occurs with probability 0.8, and each of the nine other labels with 0.2 / 9.",
        "Average the loss over what the label may be: 0.8 · (−ln 0.8) + 9 · (0.2/9) · (−ln(0.2/9)).",
    ),
    difficulty=2,
    importance=3,
    minutes=10,
)


# --- Softplus and its slope -------------------------------------------------------------------------------------------


def softplus_pair(x):
    out, cache = activations.softplus_forward(x)
    return out, activations.softplus_backward(np.ones_like(out), cache)


def _softplus_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield case("x = 0: value ln 2, slope 1/2", np.array([0.0]))
    yield case("x = ±ln 3: values ln 4 and ln 4/3, slopes 3/4 and 1/4", np.log([3.0, 1 / 3]))
    yield case("a vector", rng.normal(0, 2, 5))
    yield case("a matrix", rng.normal(0, 3, (3, 4)))
    yield case("three axes", rng.normal(0, 1, (2, 1, 3)))
    yield case("float32", rng.normal(0, 2, (4, 2)).astype(np.float32))
    yield case("far out on the left", np.array([-10000.0, -1000.0]))
    yield case("far out on the right", np.array([90.0, 1000.0, 10000.0]))


def _overflowing_softplus(x):
    with np.errstate(all="ignore"):
        return np.log(1 + np.exp(x)), np.exp(x) / (1 + np.exp(x))


softplus = Exercise(
    id="activations.softplus_pair",
    title="Softplus and its slope",
    name="softplus_pair",
    kind="function",
    points=2,
    reference=softplus_pair,
    cases=_softplus_cases,
    compare=CLOSE,
    mistakes=(
        Mistake(
            "overflow",
            _overflowing_softplus,
            "right for small x. exp(x) is infinite for large x; bring the formula into a form in which only "
            "exp(−|x|) occurs.",
        ),
        Mistake(
            "slope_of_the_relu",
            lambda x: (softplus_pair(x)[0], (x > 0) * 1.0),
            "the value is right. The slope is that of the ReLU, which jumps; softplus is the smooth one.",
        ),
        Mistake(
            "slope_of_the_value",
            lambda x: (softplus_pair(x)[0], softplus_pair(softplus_pair(x)[0])[1]),
            "the value is right. For the slope you gave the sigmoid the softplus of x; it wants x.",
        ),
        Mistake(
            "slope_of_the_sigmoid",
            lambda x: (softplus_pair(x)[0], softplus_pair(x)[1] * (1 - softplus_pair(x)[1])),
            "the value is right. The slope is one derivative too far: the sigmoid is the slope, not its derivative.",
        ),
    ),
    withhold=(*_OURS, *_OFFERED),
    hints=(
        "Differentiate ln(1 + eˣ) with the chain rule, and divide above and below by eˣ: which known function is it?",
        "For large x take eˣ out of the bracket: ln(1 + eˣ) = x + ln(1 + e⁻ˣ). For negative x leave it as it is. Both "
        "contain e to the power −|x|.",
        "value = max(x, 0) + log1p(e) with e = exp(−|x|); slope = 1/(1 + e) where x ≥ 0, and e/(1 + e) elsewhere.",
    ),
    difficulty=2,
    importance=4,
    minutes=12,
)


# --- Parametric ReLU, backwards ---------------------------------------------------------------------------------------


def prelu_backward(dout, x, alpha):
    return activations.prelu_backward(dout, (x, alpha))


def _prelu_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield case(
        "the example: two examples, two units",
        np.array([[1.0, 10.0], [2.0, 20.0]]), np.array([[3.0, -1.0], [-2.0, -5.0]]), np.array([0.5, 0.25]),
    )  # fmt: skip

    def drawn(name, N, D, dtype=np.float64):
        dout, x = rng.normal(size=(2, N, D))
        return case(name, dout.astype(dtype), x.astype(dtype), rng.uniform(-1, 1, D).astype(dtype))

    yield drawn("5 examples, 3 units", 5, 3)
    yield drawn("3 examples, 3 units", 3, 3)
    yield drawn("1 example", 1, 4)
    yield drawn("1 unit", 6, 1)
    yield drawn("float32", 4, 5, np.float32)
    dout, x = rng.normal(size=(2, 3, 2))
    yield case("all sums positive", dout, np.abs(x), np.array([0.1, -0.3]))
    yield case("all sums negative", dout, -np.abs(x), np.array([0.1, -0.3]))


prelu = Exercise(
    id="activations.prelu_backward",
    title="The parametric ReLU, backwards",
    name="prelu_backward",
    kind="function",
    points=2,
    reference=prelu_backward,
    cases=_prelu_cases,
    compare=CLOSE,
    mistakes=(
        Mistake(
            "dalpha_not_summed",
            lambda dout, x, alpha: (prelu_backward(dout, x, alpha)[0], dout * np.minimum(x, 0)),
            "dalpha has a row for each example. There is one alpha a unit, and all examples use it.",
        ),
        Mistake(
            "positive_sums_counted",
            lambda dout, x, alpha: (prelu_backward(dout, x, alpha)[0], (dout * x).sum(axis=0)),
            "dx is right. In dalpha you count examples whose x is positive; there the output does not contain alpha.",
        ),
        Mistake(
            "plain_relu",
            lambda dout, x, alpha: (dout * (x > 0), prelu_backward(dout, x, alpha)[1]),
            "dalpha is right. dx is that of the plain ReLU: on the left this unit has a slope.",
        ),
        Mistake(
            "averaged",
            lambda dout, x, alpha: (prelu_backward(dout, x, alpha)[0], prelu_backward(dout, x, alpha)[1] / len(x)),
            "dx is right. dalpha is averaged over the examples; if the loss is a mean, dout knows it already.",
        ),
        Mistake(
            "alpha_left_out_of_dx",
            lambda dout, x, alpha: (dout, prelu_backward(dout, x, alpha)[1]),
            "dalpha is right. dx lets everything through as it is; left of 0 the slope is alpha.",
        ),
    ),
    withhold=(*_OURS, *_OFFERED),
    hints=(
        "Write down out[n, d] for a positive and for a negative x[n, d]. Which of the two contains alpha[d]?",
        "Where x > 0 the slope is 1, elsewhere alpha[d]. Where x > 0 alpha has no influence, elsewhere out changes by "
        "x[n, d] for each unit that alpha[d] changes.",
        "dx = dout * np.where(x > 0, 1, alpha); dalpha is the sum over n of dout[n, d] · min(x[n, d], 0).",
    ),
    difficulty=2,
    importance=3,
    minutes=12,
)


# --- Softmax, backwards -----------------------------------------------------------------------------------------------


def softmax_backward(dout, p):
    return activations.softmax_backward(dout, (p, -1))


def _softmax_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield case("the example: p = (1/2, 1/4, 1/4)", np.array([[4.0, 0.0, 8.0]]), np.array([[0.5, 0.25, 0.25]]))

    def drawn(name, N, C, dtype=np.float64):
        return case(name, rng.normal(size=(N, C)).astype(dtype), rng.dirichlet(np.ones(C), N).astype(dtype))

    yield drawn("4 examples, 3 classes", 4, 3)
    yield drawn("3 examples, 3 classes", 3, 3)
    yield drawn("1 example", 1, 5)
    yield drawn("2 classes", 6, 2)
    yield drawn("float32", 5, 4, np.float32)
    yield case("equal gradients: nothing moves", np.full((2, 3), 7.0), rng.dirichlet(np.ones(3), 2))


softmax = Exercise(
    id="activations.softmax_backward",
    title="Softmax, backwards",
    name="softmax_backward",
    kind="function",
    points=2,
    reference=softmax_backward,
    cases=_softmax_cases,
    compare=CLOSE,
    mistakes=(
        Mistake(
            "diagonal_only",
            lambda dout, p: dout * p * (1 - p),
            "each input moves all probabilities, not only its own: you use the diagonal of the Jacobian alone.",
        ),
        Mistake(
            "sign_of_the_others",
            lambda dout, p: p * (dout + (dout * p).sum(axis=1, keepdims=True)),
            "raising one input lowers the other probabilities: look at the sign off the diagonal.",
        ),
        Mistake(
            "sum_without_p",
            lambda dout, p: p * (dout - dout.sum(axis=1, keepdims=True)),
            "in the sum over the classes each dout has a weight. Which?",
        ),
        Mistake(
            "sum_over_examples",
            lambda dout, p: p * (dout - (dout * p).sum(axis=0)),
            "the sum runs over the examples. Each row is a softmax of its own: sum over its classes.",
        ),
        Mistake(
            "p_forgotten",
            lambda dout, p: dout - (dout * p).sum(axis=1, keepdims=True),
            "the bracket is right; a factor in front of it is missing.",
        ),
    ),
    withhold=(*_OURS, *_OFFERED),
    hints=(
        "One example: dx[k] = Σᵢ dout[i] · ∂p[i]/∂x[k]. Put in the two cases of the Jacobian.",
        "The terms with −p[i] p[k] have p[k] in common, and so has the one with i = k: take it out of the sum.",
        "dx[k] = p[k] · (dout[k] − Σᵢ dout[i] p[i]). The sum is one number a row: `keepdims=True` helps.",
    ),
    difficulty=3,
    importance=4,
    minutes=15,
)


# --- The hinge family -------------------------------------------------------------------------------------------------


def hinge(scores, classes, power):
    loss, cache = losses.hinge_forward(scores, classes, int(power))
    return loss, losses.hinge_backward(1.0, cache)


def _hinge_cases(rng: np.random.Generator) -> Iterator[Case]:
    for power, name in ((1, "hinge"), (2, "squared"), (3, "cubed")):
        yield case(f"the example, {name}", np.array([[2.0, -0.5, 1.0]]), np.array([0]), power)

    def drawn(name, N, C, power, dtype=np.float64):
        return case(name, rng.normal(0, 2, (N, C)).astype(dtype), rng.integers(0, C, N), power)

    for power, name in ((1, "hinge"), (2, "squared"), (3, "cubed")):
        yield drawn(f"{name}: 5 examples, 3 classes", 5, 3, power)
        yield drawn(f"{name}: 4 examples, 4 classes, float32", 4, 4, power, np.float32)
    yield drawn("1 example", 1, 4, 2)
    yield drawn("1 class", 4, 1, 2)
    for power in (1, 2):
        yield case(f"all margins reached, power {power}", np.array([[3.0, -2.0], [-4.0, 5.0]]), np.array([0, 1]), power)
    yield case("far on the wrong side", np.array([[-10000.0, 10000.0]]), np.array([0]), 3)


def _hinge_parts(scores, classes):
    t = -np.ones_like(scores)
    t[np.arange(len(t)), classes] = 1
    return t, np.maximum(1 - t * scores, 0)


def _targets_zero_and_one(scores, classes, power):
    y = np.zeros_like(scores)
    y[np.arange(len(y)), classes] = 1
    missing = np.maximum(1 - y * scores, 0)
    return (missing**power).sum() / len(y), -y * power * missing ** (power - 1) / len(y)


def _power_forgotten(scores, classes, power):
    t, missing = _hinge_parts(scores, classes)
    return hinge(scores, classes, power)[0], -t * missing ** (power - 1) * (missing > 0) / len(t)


def _never_satisfied(scores, classes, power):
    t, _ = _hinge_parts(scores, classes)
    return hinge(scores, classes, power)[0], -t * power * (1 - t * scores) ** (power - 1) / len(t)


def _zero_to_the_zero(scores, classes, power):
    t, missing = _hinge_parts(scores, classes)
    return hinge(scores, classes, power)[0], -t * power * missing ** (power - 1) / len(t)


def _right_class_only(scores, classes, power):
    t, missing = _hinge_parts(scores, classes)
    missing, pulls = missing * (t > 0), (missing > 0) & (t > 0)
    return (missing**power).sum() / len(t), -pulls * power * missing ** (power - 1) / len(t)


hinge_family = Exercise(
    id="activations.hinge",
    title="The hinge family",
    name="hinge",
    kind="function",
    points=3,
    reference=hinge,
    cases=_hinge_cases,
    compare=CLOSE,
    mistakes=(
        Mistake(
            "targets_zero_and_one",
            _targets_zero_and_one,
            "your targets are 1 and 0. With 0 for the other classes their scores have no influence; they need −1.",
        ),
        Mistake(
            "sum_for_mean",
            lambda s, c, power: tuple(part * len(s) for part in hinge(s, c, power)),
            "loss and gradient are both too large by the number of examples: the mean over examples is asked for.",
        ),
        Mistake(
            "mean_over_all_entries",
            lambda s, c, power: tuple(part / s.shape[1] for part in hinge(s, c, power)),
            "loss and gradient are divided by the number of classes too. The classes' terms are added.",
        ),
        Mistake(
            "power_forgotten",
            _power_forgotten,
            "the loss is right. The derivative of m² is 2m, and that of m³ is 3m².",
        ),
        Mistake(
            "never_satisfied",
            _never_satisfied,
            "the loss is right. Where the margin is reached the loss is 0 and flat, so the gradient is 0 there.",
        ),
        Mistake(
            "zero_to_the_zero",
            _zero_to_the_zero,
            "for powers 2 and 3 all is right. For power 1, `m ** 0` is 1 where m is 0 too: there the gradient is 0.",
        ),
        Mistake(
            "right_class_only",
            _right_class_only,
            "only the right class has a term in your loss. Each of the others has one too, with t = −1.",
        ),
        Mistake(
            "gradient_not_averaged",
            lambda s, c, power: (hinge(s, c, power)[0], hinge(s, c, power)[1] * len(s)),
            "the loss is right. It is a mean over the examples, so the gradient has the 1/N as well.",
        ),
        Mistake(
            "gradient_uphill",
            lambda s, c, power: (hinge(s, c, power)[0], -hinge(s, c, power)[1]),
            "the loss is right, the gradient has the wrong sign: raising the score of the right class lowers the loss.",
        ),
    ),
    withhold=(*_OURS, *_OFFERED),
    hints=(
        "Make the array t first: −1 everywhere, and 1 at the class of each row. Then m = 1 − t · scores.",
        "The loss is the sum of max(m, 0)^power over everything, divided by N. Differentiate one term: what is the "
        "derivative of m with respect to its score?",
        "m = np.maximum(1 − t * scores, 0); dscores = −t * power * m ** (power − 1) / N, and for power 1 multiply by "
        "(m > 0), since m ** 0 is 1 even where m is 0.",
    ),
    difficulty=3,
    importance=4,
    minutes=20,
)


# --- An activation made to measure: a property ------------------------------------------------------------------------


def squash(x):
    return 2 * np.tanh(x / 2)


def _squash_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield calls("between −2 and 2", [(rng.normal(0, 5, (3, 4)),)], {"rule": "range"})
    yield calls("2 and −2 far out", [(np.array([-10000.0, 10000.0]),)], {"rule": "limits"})
    x = rng.normal(0, 2, 7)
    yield calls("odd: f(−x) = −f(x)", [(x,), (-x,)], {"rule": "odd"})
    x = rng.normal(1, 1, 6)
    yield calls("each value depends on its own x alone", [(x,), (x[:2],)], {"rule": "alone"})
    x = np.sort(rng.uniform(-0.15, 0.15, 12)) + np.arange(-3, 3, 0.5)
    yield calls("rises", [(x,)], {"rule": "rises"})
    h = float(rng.uniform(0.001, 0.003))
    yield calls("slope 1 at 0", [(np.array([-h, h]),)], {"rule": "slope", "h": h})
    x = rng.normal(0, 1, 5).astype(np.float32)
    yield calls("float32", [(x,), (-x,)], {"rule": "odd"})


def _maps(case: Case, values: list) -> list[np.ndarray]:
    maps = []
    for call, value in zip(case.calls, values, strict=True):
        value, shape = numbers(value).astype(float), call.args[0].shape
        if value.shape != shape:
            raise ValueError(f"shape is {value.shape}, expected that of x, {shape}")
        maps.append(value)
    return maps


def _slope_at_zero(case: Case, values: list) -> float:
    (low, high), h = _maps(case, values)[0], case.secret["h"]
    return float((high - low) / (2 * h))


def _squash_rule(case: Case, values: list) -> str | None:
    first, *others = _maps(case, values)
    rule = case.secret["rule"]
    if rule == "range" and np.abs(first).max() > 2 + 1e-6:
        return f"a value is {first.flat[np.abs(first).argmax()]:.6g}, expected all between −2 and 2"
    if rule == "limits" and np.abs(first - [-2, 2]).max() > 0.01:
        return f"f(−10000) and f(10000) are {first[0]:.6g} and {first[1]:.6g}, expected −2 and 2 to within 0.01"
    if rule == "odd" and np.abs(first + others[0]).max() > 1e-5:
        return "f(−x) is not −f(x)"
    if rule == "alone" and np.abs(first[:2] - others[0]).max() > 1e-5:
        return "the values of the first two x change when other x come behind them"
    if rule == "rises" and (np.diff(first) <= 0).any():
        return "it does not rise everywhere between −3 and 3"
    if rule == "slope" and abs(_slope_at_zero(case, values) - 1) > 0.01:
        return f"the slope at 0 is {_slope_at_zero(case, values):.4g}, expected 1"
    return None


def _limits_are(size: float):
    def when(case: Case, values: list) -> bool:
        return case.secret["rule"] == "limits" and bool(np.abs(_maps(case, values)[0] - [-size, size]).max() < 0.01)

    return when


made_to_measure = Exercise(
    id="activations.squash",
    title="An activation made to measure",
    name="squash",
    kind="property",
    points=2,
    reference=squash,
    cases=_squash_cases,
    compare=Holds(
        _squash_rule,
        false_fail=FalseFail(
            1e-9,
            "Only rounding is left to chance: in float32 a sum of two values below 2 errs by less than 5e-7, a "
            "twentieth of the tolerance, and the slope by less than 3e-7, whatever was drawn. A curve of slope 1 at 0 "
            "departs from it by h² of its third derivative at most.",
        ),
    ),
    mistakes=(
        Mistake(
            "limits_of_tanh",
            np.tanh,
            "your curve levels off at −1 and 1. Stretch it upwards; then look at its slope again.",
            when=_limits_are(1),
        ),
        Mistake(
            "too_steep",
            lambda x: 2 * np.tanh(x),
            "the height is right, and the slope at 0 is 2: stretching upwards made it steeper. What must happen to x?",
            when=lambda case, values: case.secret["rule"] == "slope" and abs(_slope_at_zero(case, values) - 2) < 0.02,
        ),
        Mistake(
            "not_odd",
            lambda x: 2 / (1 + np.exp(-np.clip(x, -50, 50))),
            "your curve is not odd: f(−x) must be −f(x), so f(0) must be 0. Move it down.",
            when=lambda case, values: case.secret["rule"] == "odd" and (_maps(case, values)[0] >= 0).all(),
        ),
        Mistake(
            "cut_off",
            lambda x: np.clip(x, -2, 2),
            "your curve is flat from ±2 on, so it does not rise there: a unit that gets there gets no gradient.",
            when=lambda case, values: (
                case.secret["rule"] == "rises" and bool((np.abs(np.diff(_maps(case, values)[0])) < 1e-9).any())
            ),
        ),
    ),
    withhold=(*_OURS, *_OFFERED),
    hints=(
        "Which curves of the table are odd and level off on both sides? Take one of them and stretch it.",
        "Multiplying a function by a number stretches its height and its slope. Dividing x by a number stretches it "
        "sideways and makes it flatter.",
        "tanh has the limits ±1 and slope 1. Two times as high and two times as wide: the slope stays.",
    ),
    difficulty=2,
    importance=3,
    minutes=10,
)


# --- Swish with a learned β: a class ----------------------------------------------------------------------------------


class Swish:
    """The reference of ``activations.swish``."""

    def __init__(self, beta):
        self.beta, self.dbeta = beta, 0.0

    def forward(self, x):
        out, self.cache = activations.swish_forward(x, self.beta)
        return out

    def backward(self, dout):
        dx, dbeta = activations.swish_backward(dout, self.cache)
        self.dbeta += dbeta
        return dx

    def step(self, lr):
        self.beta -= lr * self.dbeta
        self.dbeta = 0.0


class _Overwrites(Swish):
    def backward(self, dout):
        self.dbeta = 0.0
        return super().backward(dout)


class _NeverClears(Swish):
    def step(self, lr):
        self.beta -= lr * self.dbeta


class _Ascends(Swish):
    def step(self, lr):
        super().step(-lr)


class _GateOnly(Swish):
    def backward(self, dout):
        super().backward(dout)
        _, _, gate = self.cache
        return dout * gate


class _OneFactor(Swish):
    """dbeta with x in place of x²."""

    def backward(self, dout):
        dx = super().backward(dout)
        x, _, gate = self.cache
        self.dbeta += (dout * (x - x * x) * gate * (1 - gate)).sum()
        return dx


class _BetaForgotten(Swish):
    """dx without the inner derivative, which is β."""

    def backward(self, dout):
        super().backward(dout)
        x, _, gate = self.cache
        return dout * (gate + x * gate * (1 - gate))


class _DoutForgotten(Swish):
    def backward(self, dout):
        before = self.dbeta
        dx = super().backward(dout)
        x, _, gate = self.cache
        self.dbeta = before + (x * x * gate * (1 - gate)).sum()
        return dx


class _Averaged(Swish):
    def backward(self, dout):
        before = self.dbeta
        dx = super().backward(dout)
        self.dbeta = before + (self.dbeta - before) / np.size(dout)
        return dx


def _swish_cases(rng: np.random.Generator) -> Iterator[Case]:
    x, dout = np.array([[2.0, -2.0]]), np.array([[4.0, 8.0]])
    yield steps("the example: β = 0 gives x/2", (0.0,), ("forward", x), (".beta",), (".dbeta",))
    yield steps("the example: backward", (0.0,), ("forward", x), ("backward", dout), (".dbeta",))

    def drawn(name, beta, shape, dtype=np.float64):
        x, dout = (rng.normal(0, 1.5, (2, *shape))).astype(dtype)
        return steps(name, (beta,), ("forward", x), ("backward", dout), (".dbeta",))

    yield drawn("a vector", 1.0, (5,))
    yield drawn("a batch", float(rng.uniform(0.5, 2)), (3, 4))
    yield drawn("negative β", -float(rng.uniform(0.5, 2)), (4, 2))
    yield drawn("float32", 1.5, (2, 3), np.float32)
    yield steps("far out", (1.0,), ("forward", np.array([-1000.0, 1000.0])), ("backward", np.array([3.0, 2.0])))
    (x, dout), (x2, dout2) = rng.normal(0, 1.5, (2, 2, 3, 2))
    once, twice = (("forward", x), ("backward", dout)), (("forward", x2), ("backward", dout2))
    yield steps("two backward passes add up", (0.7,), *once, *twice, (".dbeta",))
    yield steps("a step moves β and clears dbeta", (0.7,), *once, ("step", 0.25), (".beta",), (".dbeta",))
    learn = (("step", 0.125), (".beta",))
    yield steps("two steps", (1.25,), *once, *learn, *twice, *learn, ("forward", x))


swish = Exercise(
    id="activations.swish",
    title="An activation that learns",
    name="Swish",
    kind="class",
    points=3,
    reference=Swish,
    cases=_swish_cases,
    # dbeta is a sum that may cancel; float32 leaves it fewer digits.
    compare=Close(rtol=1e-3, atol=1e-5),
    mistakes=(
        Mistake(
            "gradients_overwritten",
            _Overwrites,
            "after two backward passes only the second is in dbeta. They are to add up until the next step.",
        ),
        Mistake(
            "gradient_not_cleared", _NeverClears, "after a step dbeta still holds the old gradient; set it to 0 again."
        ),
        Mistake("step_uphill", _Ascends, "your step goes up the gradient. To make the loss smaller, subtract."),
        Mistake(
            "gate_only",
            _GateOnly,
            "dbeta is right. x occurs twice in x·σ(βx): dx has the term from the gate's own change too.",
        ),
        Mistake(
            "one_factor_x",
            _OneFactor,
            "dx is right. In dbeta a factor x is missing: one x stands before the gate, another one beside β in it.",
        ),
        Mistake(
            "beta_forgotten_in_dx",
            _BetaForgotten,
            "right where β is 1. The gate is σ(βx), so its derivative with respect to x has the factor β.",
        ),
        Mistake(
            "dout_forgotten_in_dbeta",
            _DoutForgotten,
            "dx is right. dbeta needs dout too: each output moves with β, and the loss with each output.",
        ),
        Mistake(
            "dbeta_averaged",
            _Averaged,
            "dx is right. β is shared by all numbers, so their parts are added, not averaged.",
        ),
    ),
    withhold=(*_OURS, *_OFFERED),
    hints=(
        "Write s = σ(βx), which must not overflow. What do you need to remember from `forward` for `backward`?",
        "The product rule on x · s, with σ' = s(1 − s) and the inner derivative of βx: β with respect to x, and x with "
        "respect to β.",
        "dx = dout · (s + β x s (1 − s)); dbeta grows by the sum of dout · x² s (1 − s). `step` subtracts lr · dbeta "
        "from beta and sets dbeta to 0.",
    ),
    difficulty=3,
    importance=3,
    minutes=20,
)


# --- Learn from wrong labels ------------------------------------------------------------------------------------------


def learn(x, labels, x_new, seed):
    """A linear classifier with the regularised expectation loss, full batches."""
    y, scale = np.eye(10)[labels], 2 / len(x)
    w, b = np.zeros((x.shape[1], 10)), np.zeros(10)
    for _ in range(150):
        p, cache = activations.softmax_forward(x @ w + b)
        dlogits = activations.softmax_backward(2 * (p - y), cache)
        w -= scale * x.T @ dlogits
        b -= scale * dlogits.sum(axis=0)
    return (x_new @ w + b).argmax(axis=1)


def _noise_cases(rng: np.random.Generator) -> Iterable[Case]:
    digits = data.load("digits")
    x = np.concatenate([digits.x_train, digits.x_test]).reshape(-1, 64).astype(np.float64)
    y = np.concatenate([digits.y_train, digits.y_test])
    order = rng.permutation(len(x))
    seen, new = order[:1000], order[1000:]
    labels = losses.flip_labels(y[seen], 0.4, 10, seed=int(rng.integers(2**31)))
    yield case("1,000 digits, 400 wrong labels", x[seen], labels, x[new], int(rng.integers(1000)), secret={"y": y[new]})


def _share_right(case: Case, values: list) -> float:
    labels = case.secret["y"]
    predicted = numbers(values[0])
    if predicted.shape != labels.shape:
        raise ValueError(f"its shape is {predicted.shape}, expected {labels.shape}: one class for each row of x_new")
    return float(np.mean(predicted == labels))


def _by_heart(x, labels, x_new, seed):
    """The label of the nearest example."""
    distance = (x_new**2).sum(axis=1)[:, None] - 2 * x_new @ x.T + (x**2).sum(axis=1)
    return labels[distance.argmin(axis=1)]


def _shape_of(values: list) -> tuple[int, ...]:
    return np.shape(numbers(values[0]))


wrong_labels = Exercise(
    id="activations.wrong_labels",
    title="Learn from wrong labels",
    name="learn",
    kind="trained",
    points=4,
    reference=learn,
    cases=_noise_cases,
    compare=AtLeast(
        _share_right,
        0.75,
        what="share of new digits read right",
        asked=0.85,
        false_fail=FalseFail(
            1e-12,
            "Derived: a classifier that is right on 85% of all digits gets less than 75% of 797 new ones right with "
            "probability 2e-13 (binomial). That a right answer's training reaches 85% was only measured.",
        ),
    ),
    mistakes=(
        Mistake(
            "predicts_what_it_saw",
            lambda x, labels, x_new, seed: labels,
            "there is one prediction for each row of x; the classes of the new digits are asked for.",
            when=lambda case, values: _shape_of(values) == (1000,),
        ),
        Mistake(
            "scores_for_classes",
            lambda x, labels, x_new, seed: np.zeros((len(x_new), 10)),
            "a row of numbers for each digit came back; which class do they speak for?",
            when=lambda case, values: len(_shape_of(values)) == 2,
        ),
        Mistake(
            "one_class_only",
            lambda x, labels, x_new, seed: np.full(len(x_new), 3),
            "every new digit gets the same class. Do the weights move, and is the step size not too large?",
            when=lambda case, values: _shape_of(values) == (797,) and np.ptp(numbers(values[0])) == 0,
        ),
        Mistake(
            "learned_by_heart",
            _by_heart,
            "about as many new digits are read wrong as labels were wrong. Your classifier has learned the wrong "
            "labels by heart. Fewer steps, fewer parameters, or a loss that gives up in time?",
            when=lambda case, values: _shape_of(values) == (797,) and 0.5 < _share_right(case, values) < 0.72,
        ),
    ),
    withhold=(
        *_OURS,
        *_OFFERED,
        "dlcourse.mlp.MLP",
        "dlcourse.mlp.train",
        "sklearn.neural_network.MLPClassifier",
        "sklearn.linear_model.LogisticRegression",
        "sklearn.linear_model.RidgeClassifier",
        "sklearn.linear_model.SGDClassifier",
        "sklearn.svm.SVC",
        "sklearn.svm.LinearSVC",
        "sklearn.neighbors.KNeighborsClassifier",
        "sklearn.ensemble.RandomForestClassifier",
    ),
    hints=(
        "A linear classifier is enough: logits = x_new @ w + b. It has too few weights to learn 400 wrong labels by "
        "heart, if you do not train it for ever.",
        "Take the gradient of a loss that gives up, such as Σ (p − y)²: through the softmax it is "
        "p · (g − Σ g p) with g = 2 (p − y). Start with w = 0, so that nobody is sure.",
        "y = np.eye(10)[labels]. Repeat 150 times: p = softmax(x @ w + b), g as above, dlogits = p * (g − (g * p)"
        ".sum(1, keepdims=True)) / len(x), w −= 2 * x.T @ dlogits, b −= 2 * dlogits.sum(0).",
    ),
    difficulty=4,
    importance=4,
    minutes=30,
    seconds=60.0,
)


essay = text_exercise(
    "activations.essay", "Which output, which loss?", points=3, difficulty=3, importance=5, minutes=15
)

EXERCISES = (
    lowest_loss,
    softplus,
    prelu,
    softmax,
    hinge_family,
    made_to_measure,
    swish,
    wrong_labels,
    essay,
)
