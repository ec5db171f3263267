"""The exercises of ``07_initialisation``: fans and standard deviations, a signal through many layers, Jacobians,
orthogonal weights, whitening."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from dlcourse import init
from dlcourse.exercises.compare import Close, FalseFail, Holds
from dlcourse.exercises.offered import AUTODIFF, AUTOGRAD
from dlcourse.exercises.plain import numbers
from dlcourse.exercises.spec import Case, Exercise, Mistake, case, steps, text_exercise

# --- A number: the right standard deviation -------------------------------------------------------------------------

std_number = Exercise(
    id="init.std_number",
    title="How large, for this layer?",
    name="std",
    kind="number",
    points=1,
    reference=math.sqrt(2 / (32 * 3 * 3)),
    cases=lambda rng: [Case("a ReLU layer of 48 filters, 3×3 over 32 channels")],
    compare=Close(rtol=2e-3, atol=0),
    mistakes=(
        Mistake("variance", 2 / (32 * 9), "this is the variance of a weight; what was asked for is its root."),
        Mistake("fan_out", math.sqrt(2 / (48 * 9)), "this keeps the gradients; count what one output adds up."),
        Mistake("no_kernel", math.sqrt(2 / 32), "an output pixel adds up more than one number from each channel."),
        Mistake(
            "linear", math.sqrt(1 / (32 * 9)), "this is right for a linear layer; what does ReLU do to the square?"
        ),
        Mistake("slip", 2 / math.sqrt(32 * 9), "the 2 belongs under the root: the law speaks of the variance."),
    ),
    hints=(
        "Kaiming's rule needs one number of the layer: how many inputs does one output add up?",
        "One output pixel sees a 3×3 window in each of the 32 channels: the fan-in is 32 · 9 = 288.",
        "The variance is 2 / 288. Give its root, to three digits or as an expression.",
    ),
    difficulty=1,
    importance=4,
    minutes=5,
)


# --- fans -----------------------------------------------------------------------------------------------------------


def _fan_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield case("a fully connected layer, 3 to 5", [3, 5])
    yield case("4 filters, 3×3 over 2 channels", [4, 2, 3, 3])
    yield case("one input, one unit", [1, 1])
    yield case("1-D: 6 filters of length 7 over 3 channels", [6, 3, 7])
    yield case("3-D: 2 filters, 2×3×4 over 5 channels", [2, 5, 2, 3, 4])
    yield case("a random layer", [int(n) for n in rng.integers(10, 900, 2)])
    yield case("random filters", [int(n) for n in rng.integers(2, 60, 4)])


fans = Exercise(
    id="init.fans",
    title="Fan-in and fan-out",
    name="fans",
    kind="function",
    points=2,
    reference=lambda shape: init.fans(shape),
    cases=_fan_cases,
    compare=Close(rtol=0, atol=0),
    mistakes=(
        Mistake(
            "swapped",
            lambda shape: init.fans(shape)[::-1],
            "the two are swapped: fan-in counts what one unit adds up, fan-out how many units one input reaches.",
        ),
        Mistake(
            "kernel_forgotten",
            lambda shape: tuple(shape) if len(shape) == 2 else (shape[1], shape[0]),
            "full layers are right. For a filter, each channel contributes a whole window of inputs.",
        ),
        Mistake(
            "same_order_for_filters",
            lambda shape: (shape[0] * math.prod(shape[2:]), shape[1] * math.prod(shape[2:])),
            "full layers are right. A convolution's weight is (K, C, *kernel): the filters come first.",
        ),
        Mistake(
            "kernel_in_fan_in_only",
            lambda shape: (init.fans(shape)[0], shape[1] if len(shape) == 2 else shape[0]),
            "fan-in is right. One input pixel also reaches a whole window of outputs, in each filter's map.",
        ),
    ),
    withhold=("dlcourse.init.fans", "torch.nn.init._calculate_fan_in_and_fan_out"),
    hints=(
        "Two cases: (D, M) for x @ w, and (K, C, *kernel) for a convolution. Start with the first.",
        "A filter's output adds up C windows; an input pixel lies in as many windows as the kernel has taps, K times.",
        "size = product of shape[2:]. For a convolution: (C · size, K · size), with K, C = shape[:2].",
    ),
    difficulty=2,
    importance=3,
    minutes=10,
)


# --- draw weights ---------------------------------------------------------------------------------------------------

_SIGMAS = 6.5


def _draw(shape, seed) -> np.ndarray:
    return init.kaiming_uniform(np.random.default_rng(seed), shape)


def _draw_cases(rng: np.random.Generator) -> Iterator[Case]:
    for name, shape in [
        ("200 inputs, 300 units", [200, 300]),
        ("48 filters, 3×3 over 32 channels", [48, 32, 3, 3]),
        ("more inputs than units", [900, 50]),
    ]:
        first, other = (int(n) for n in rng.choice(10_000, 2, replace=False))
        calls = [(shape, first), (shape, first), (shape, other)]
        yield Case(name, tuple(case("", *call).calls[0] for call in calls), {"shape": shape})


def _drawn(case: Case, values: list) -> list[np.ndarray]:
    shape = tuple(case.secret["shape"])
    made = [numbers(value).astype(float) for value in values]
    for w in made:
        if w.shape != shape:
            raise ValueError(f"shape is {w.shape}, expected {shape}")
    return made


def _bound(case: Case) -> float:
    return math.sqrt(3) * init.kaiming_std(case.secret["shape"])


def draw_rule(case: Case, values: list) -> str | None:
    w, same, other = _drawn(case, values)
    bound, n = _bound(case), w.size
    if not np.isfinite(w).all():
        return "the weights are not all finite"
    if not np.array_equal(w, same):
        return "the same seed gave two different arrays"
    if np.mean(w == other) > 0.5:
        return "two different seeds gave the same numbers"
    if np.abs(w).max() > bound * (1 + 1e-6):
        return f"the largest weight is {np.abs(w).max():.5g}, expected none beyond {bound:.5g}"
    variance, want = np.mean(w**2), bound**2 / 3
    if abs(variance / want - 1) > _SIGMAS * math.sqrt(0.8 / n):
        return f"the mean square of the weights is {variance:.5g}, expected about {want:.5g}"
    if abs(w.mean()) > _SIGMAS * bound / math.sqrt(3 * n):
        return f"the mean of the weights is {w.mean():.3g}, expected about 0"
    quarters = np.histogram(w, bins=4, range=(-bound * (1 + 1e-6), bound * (1 + 1e-6)))[0] / n
    if np.abs(quarters - 0.25).max() > _SIGMAS * math.sqrt(0.1875 / n):
        return f"the quarters of the interval hold {', '.join(f'{q:.1%}' for q in quarters)}; uniform would be 25% each"
    flat = w.reshape(-1)
    if abs(np.mean(flat[1:] * flat[:-1])) > _SIGMAS * want / math.sqrt(n - 1):
        return "neighbouring weights depend on each other"
    return None


def _spread(case: Case, values: list) -> float:
    """The first draw's standard deviation, relative to the right one."""
    return float(_drawn(case, values)[0].std() / init.kaiming_std(case.secret["shape"]))


def _fan_ratio(case: Case) -> float:
    fan_in, fan_out = init.fans(case.secret["shape"])
    return math.sqrt(fan_in / fan_out)


def _drawn_for(fan_in: int, shape, seed) -> np.ndarray:
    bound = math.sqrt(6 / fan_in)
    return np.random.default_rng(seed).uniform(-bound, bound, shape)


def _as_if(case: Case, values: list, axis: int) -> bool:
    """Whether a convolution's weights are as large as if the fan-in were the length of one axis."""
    shape = case.secret["shape"]
    return len(shape) > 2 and abs(_spread(case, values) / math.sqrt(init.fans(shape)[0] / shape[axis]) - 1) < 0.03


kaiming_uniform = Exercise(
    id="init.kaiming_uniform",
    title="Draw the weights",
    name="kaiming_uniform",
    kind="property",
    points=3,
    reference=_draw,
    cases=_draw_cases,
    compare=Holds(
        draw_rule,
        false_fail=FalseFail(
            1e-8,
            "Derived, in the normal approximation: of the order of twenty statistics of at least 18,000 independent "
            "numbers are allowed 6.5 standard deviations each; 21 times 8e-11.",
        ),
    ),
    mistakes=(
        Mistake(
            "std_as_bound",
            lambda shape, seed: np.random.default_rng(seed).uniform(-1, 1, shape) * init.kaiming_std(shape),
            "your numbers lie between ± the standard deviation. A uniform distribution reaches further out than that.",
            when=lambda case, values: (
                abs(_spread(case, values) * math.sqrt(3) - 1) < 0.03
                and np.abs(_drawn(case, values)[0]).max() < 1.001 * _bound(case) / math.sqrt(3)
            ),
        ),
        Mistake(
            "normal_for_uniform",
            lambda shape, seed: init.kaiming_normal(np.random.default_rng(seed), shape),
            "the standard deviation is right, and some numbers lie far out: this is a normal distribution.",
            when=lambda case, values: (
                abs(_spread(case, values) - 1) < 0.03 and np.abs(_drawn(case, values)[0]).max() > 1.2 * _bound(case)
            ),
        ),
        Mistake(
            "fan_out",
            lambda shape, seed: init.kaiming_uniform(np.random.default_rng(seed), shape, mode="fan_out"),
            "the size would be right for the way back: you divide by the fan-out.",
            when=lambda case, values: (
                abs(_spread(case, values) / _fan_ratio(case) - 1) < 0.03 and abs(_fan_ratio(case) - 1) > 0.1
            ),
        ),
        Mistake(
            "kernel_forgotten",
            lambda shape, seed: _drawn_for(shape[0] if len(shape) == 2 else shape[1], shape, seed),
            "full layers are right. A filter's unit adds up a whole window of each channel: the fan-in is C · KH · KW.",
            when=lambda case, values: _as_if(case, values, 1),
        ),
        Mistake(
            "filters_for_fan_in",
            lambda shape, seed: _drawn_for(shape[0], shape, seed),
            "full layers are right. A convolution's shape is (K, C, KH, KW): the filters come first, and the fan-in is "
            "C · KH · KW.",
            when=lambda case, values: _as_if(case, values, 0),
        ),
        Mistake(
            "only_positive",
            lambda shape, seed: (
                np.random.default_rng(seed).uniform(0, 1, shape) * math.sqrt(3) * init.kaiming_std(shape)
            ),
            "your numbers are never negative, so their mean is not 0.",
            when=lambda case, values: bool((_drawn(case, values)[0] >= 0).all()),
        ),
        Mistake(
            "seed_ignored",
            lambda shape, seed: init.kaiming_uniform(np.random.default_rng(0), shape),
            "every seed gives the same numbers: the generator is not made from `seed`.",
            when=lambda case, values: bool(np.array_equal(values[0], values[2])),
        ),
    ),
    withhold=(
        "dlcourse.init.kaiming_uniform",
        "dlcourse.init.uniform",
        "torch.nn.init.kaiming_uniform_",
        "torch.nn.init.xavier_uniform_",
    ),
    hints=(
        "First the standard deviation, from the fan-in. Then: how wide is a uniform distribution with that deviation?",
        "Uniform numbers on [-a, a] have the variance a²/3.",
        "a = √(6 / fan_in), and rng = np.random.default_rng(seed); rng.uniform(-a, a, shape).",
    ),
    difficulty=2,
    importance=4,
    minutes=15,
)


# --- a signal through the layers -------------------------------------------------------------------------------------


def mean_squares(x, weights) -> np.ndarray:
    """The reference: relative mean squares of the activations of a ReLU network."""
    return init.propagate(np.asarray(x), [np.asarray(w) for w in weights], "relu").sizes()


def _mean_square_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield case("one layer by hand", np.array([[1.0, 2.0]]), [np.array([[1.0, -1.0], [1.0, 3.0]])])
    yield case("a unit that is off", np.array([[2.0]]), [np.array([[-1.0, 0.5]])])
    sizes = [7, 5, 9, 4]
    x, weights = rng.normal(size=(6, 7)), [rng.normal(size=(a, b)) for a, b in pairwise(sizes)]
    yield case("three layers of other widths", x, weights)
    yield case("inputs whose mean is not 0", 3 + rng.normal(size=(20, 8)), [rng.normal(size=(8, 8)) * 0.3] * 2)
    yield case("no layer", rng.normal(size=(3, 2)), [])
    deep = [rng.normal(size=(30, 30)) * math.sqrt(2 / 30) for _ in range(12)]
    yield case("twelve layers", rng.normal(size=(10, 30)), deep)


def _through(x, weights, measure, activation=lambda z: np.maximum(z, 0), relative=True):
    sizes = [measure(np.asarray(x))]
    for w in weights:
        x = activation(x @ w)
        sizes.append(measure(x))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.array(sizes) / (sizes[0] if relative else 1)


signal = Exercise(
    id="init.signal",
    title="Follow the signal",
    name="signal_sizes",
    kind="function",
    points=3,
    reference=mean_squares,
    cases=_mean_square_cases,
    compare=Close(rtol=1e-5, atol=1e-9),
    mistakes=(
        Mistake(
            "variance_for_mean_square",
            lambda x, weights: _through(x, weights, np.var),
            "this follows the variance. After a ReLU the mean is not 0, and the law speaks of the mean square.",
        ),
        Mistake(
            "no_relu",
            lambda x, weights: _through(x, weights, lambda a: np.mean(a**2), lambda z: z),
            "the signal goes through the weights only; the ReLU is missing.",
        ),
        Mistake(
            "not_relative",
            lambda x, weights: _through(x, weights, lambda a: np.mean(a**2), relative=False),
            "the sizes are right, and not divided by the input's.",
        ),
        Mistake(
            "root_taken",
            lambda x, weights: np.sqrt(mean_squares(x, weights)),
            "these are the roots; the mean squares themselves are asked for.",
        ),
        Mistake(
            "input_left_out",
            lambda x, weights: mean_squares(x, weights)[1:],
            "the first number, for the input itself, is missing: it is 1.",
        ),
    ),
    withhold=("dlcourse.init.propagate", "dlcourse.init.Signal"),
    hints=(
        "A loop over the weights. Before the loop and after each layer, take down one number.",
        "The layer is x = np.maximum(x @ w, 0). The number is np.mean(x ** 2).",
        "Collect them in a list that starts with the input's, and divide all of it by its first entry at the end.",
    ),
    difficulty=2,
    importance=4,
    minutes=15,
)


# --- the product of Jacobians ----------------------------------------------------------------------------------------


def _jacobian_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield case("one layer by hand", np.array([0.0, 0.0]), [np.array([[1.0, 2.0], [3.0, 4.0]])])
    yield case("one unit, twice", np.array([0.5]), [np.array([[1.0]]), np.array([[2.0]])])
    sizes = [3, 5, 4, 2]
    weights = [rng.normal(size=(a, b)) for a, b in pairwise(sizes)]
    yield case("three layers of other widths", rng.normal(size=3), weights)
    yield case("two square layers", rng.normal(size=4), [rng.normal(size=(4, 4)) for _ in range(2)])
    yield case("ten layers", 0.3 * rng.normal(size=6), [init.orthogonal(rng, (6, 6)) for _ in range(10)])


def _jacobian(x, weights, slope=lambda out: 1 - out**2, transpose=True, reverse=False):
    product = np.eye(len(x))
    for w in weights:
        x = np.tanh(x @ w)
        layer = slope(x)[:, None] * w.T
        product = product @ layer if reverse and product.shape[1] == layer.shape[0] else layer @ product
    return product if transpose else product.T


jacobian = Exercise(
    id="init.jacobian",
    title="The product of Jacobians",
    name="tanh_jacobian",
    kind="function",
    points=3,
    reference=lambda x, weights: init.jacobian(np.asarray(x), [np.asarray(w) for w in weights], "tanh"),
    cases=_jacobian_cases,
    compare=Close(rtol=1e-5, atol=1e-7),
    mistakes=(
        Mistake(
            "transposed",
            lambda x, weights: _jacobian(x, weights, transpose=False),
            "this is the transpose: row m, column d of the Jacobian is ∂out[m] / ∂x[d].",
        ),
        Mistake(
            "slope_forgotten",
            lambda x, weights: _jacobian(x, weights, slope=np.ones_like),
            "this multiplies the weights only; the slope of tanh belongs to each layer.",
        ),
        Mistake(
            "slope_of_the_input",
            lambda x, weights: _jacobian(x, weights, slope=lambda out: 1 - np.arctanh(out) ** 2),
            "the slope is 1 − tanh², and you square something that has not gone through tanh.",
        ),
    ),
    withhold=(
        *AUTOGRAD, *AUTODIFF, "dlcourse.init.jacobian", "dlcourse.activations.tanh_backward", "dlcourse.init.propagate",
    ),
    hints=(
        "One layer first: out[m] = tanh(Σ_d x[d] w[d, m]). What is ∂out[m] / ∂x[d]?",
        "The slope of tanh is 1 − out². So one layer's Jacobian is diag(1 − out²) wᵀ, of shape (M, D).",
        "Start with the identity. For each layer: x = np.tanh(x @ w), then J = ((1 - x**2)[:, None] * w.T) @ J.",
    ),
    difficulty=3,
    importance=4,
    minutes=20,
)  # fmt: skip


# --- orthogonal weights ----------------------------------------------------------------------------------------------


def _orthogonal(n, seed) -> np.ndarray:
    return init.orthogonal(np.random.default_rng(seed), (n, n))


def _orthogonal_cases(rng: np.random.Generator) -> Iterator[Case]:
    for n in (2, 8, 33):
        first, other = (int(i) for i in rng.choice(10_000, 2, replace=False))
        calls = [(n, first), (n, first), (n, other)]
        yield Case(f"{n} by {n}", tuple(case("", *call).calls[0] for call in calls), {"n": n})


def _squares(case: Case, values: list) -> list[np.ndarray]:
    n = case.secret["n"]
    made = [numbers(value).astype(float) for value in values]
    for w in made:
        if w.shape != (n, n):
            raise ValueError(f"shape is {w.shape}, expected {(n, n)}")
    return made


def orthogonal_rule(case: Case, values: list) -> str | None:
    w, same, other = _squares(case, values)
    n = len(w)
    for matrix in (w, other):
        if not np.isfinite(matrix).all():
            return "the weights are not all finite"
        stretch = np.linalg.svd(matrix, compute_uv=False)
        if np.abs(stretch - 1).max() > 1e-4:
            return f"the singular values lie between {stretch.min():.4g} and {stretch.max():.4g}; all should be 1"
    if not np.array_equal(w, same):
        return "the same seed gave two different matrices"
    if np.abs(w - other).max() < 1e-6:
        return "two different seeds gave the same matrix"
    if n > 2 and np.mean(np.abs(w) > 1e-9) < 0.5:
        return "most entries are 0: the matrix only reorders or flips the axes"
    return None


orthogonal = Exercise(
    id="init.orthogonal",
    title="Weights that do not stretch",
    name="orthogonal",
    kind="property",
    points=2,
    reference=_orthogonal,
    cases=_orthogonal_cases,
    compare=Holds(
        orthogonal_rule,
        false_fail=FalseFail(
            1e-12,
            "That two random orthogonal matrices agree to 1e-6, or that half of one's entries lie below 1e-9, is far "
            "rarer than this; rounding in float32 uses a hundredth of the tolerance of the singular values (measured).",
        ),
    ),
    mistakes=(
        Mistake(
            "identity",
            lambda n, seed: np.eye(n),
            "the identity stretches nothing, and it is not random: units would get nothing but their own input.",
            when=lambda case, values: bool(np.allclose(_squares(case, values)[0], np.eye(case.secret["n"]))),
        ),
        Mistake(
            "columns_normalised",
            lambda n, seed: (lambda w: w / np.linalg.norm(w, axis=0))(np.random.default_rng(seed).normal(size=(n, n))),
            "each column has length 1, but they are not at right angles to each other.",
            when=lambda case, values: bool(
                np.allclose(np.linalg.norm(_squares(case, values)[0], axis=0), 1, atol=1e-4)
                and np.abs(np.linalg.svd(_squares(case, values)[0], compute_uv=False) - 1).max() > 1e-3
            ),
        ),
        Mistake(
            "kaiming_instead",
            lambda n, seed: np.random.default_rng(seed).normal(size=(n, n)) / math.sqrt(n),
            "the size is right on average, but the matrix stretches some directions and shrinks others.",
            when=lambda case, values: bool(
                case.secret["n"] > 8
                and np.ptp(np.linalg.svd(_squares(case, values)[0], compute_uv=False)) > 0.1
                and abs(np.mean(np.linalg.svd(_squares(case, values)[0], compute_uv=False) ** 2) - 1) < 0.3
            ),
        ),
    ),
    withhold=(
        "dlcourse.init.orthogonal",
        "torch.nn.init.orthogonal_",
        "scipy.stats.ortho_group",
        "torch.nn.utils.parametrizations.orthogonal",
    ),
    hints=(
        "Take any random square matrix and make its columns orthonormal. Linear algebra has a name for that.",
        "A decomposition A = Q R with orthonormal columns in Q; or an SVD, A = U S Vᵀ, without the S.",
        "rng = np.random.default_rng(seed); q, r = np.linalg.qr(rng.normal(size=(n, n))); return q.",
    ),
    difficulty=2,
    importance=3,
    minutes=10,
)


# --- whitening -------------------------------------------------------------------------------------------------------


class ZCA:
    """The reference."""

    def __init__(self, x, eps):
        self.made = None
        x = np.asarray(x, dtype=float)
        self.mean = x.mean(axis=0)
        values, vectors = np.linalg.eigh(np.cov(x, rowvar=False, bias=True))
        self.matrix = vectors / np.sqrt(values + eps) @ vectors.T

    def transform(self, x):
        return (np.asarray(x, dtype=float) - self.mean) @ self.matrix


class PCA(ZCA):
    def transform(self, x):
        values, vectors = np.linalg.eigh(self.matrix)
        return (np.asarray(x) - self.mean) @ vectors * values


class FreshStatistics(ZCA):
    def transform(self, x):
        return ZCA(x, self.eps).matrix @ 0 if len(x) < 2 else (x - np.mean(x, axis=0)) @ ZCA(x, self.eps).matrix

    def __init__(self, x, eps):
        super().__init__(x, eps)
        self.eps = eps


class NotCentred(ZCA):
    def transform(self, x):
        return np.asarray(x) @ self.matrix


class Scaled(ZCA):
    def __init__(self, x, eps):
        super().__init__(x, eps)
        self.matrix = np.diag(1 / np.sqrt(np.var(x, axis=0) + eps))


class Unbiased(ZCA):
    def __init__(self, x, eps):
        super().__init__(x, eps)
        values, vectors = np.linalg.eigh(np.cov(x, rowvar=False))
        self.matrix = vectors / np.sqrt(values + eps) @ vectors.T


class NoRoot(ZCA):
    def __init__(self, x, eps):
        super().__init__(x, eps)
        values, vectors = np.linalg.eigh(np.cov(x, rowvar=False, bias=True))
        self.matrix = vectors / (values + eps) @ vectors.T


def _zca_cases(rng: np.random.Generator) -> Iterator[Case]:
    square = np.array([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    yield steps("by hand: upright already", (square, 0.0), ("transform", square))
    tilted = rng.normal(size=(60, 2)) @ np.array([[2.0, 1.0], [0.0, 0.5]]) + [3, -1]
    yield steps("a tilted cloud", (tilted, 0.0), ("transform", tilted))
    x = rng.normal(size=(80, 5)) @ rng.normal(size=(5, 5)) + rng.normal(size=5)
    yield steps("new examples", (x, 1e-3), ("transform", rng.normal(size=(7, 5))), ("transform", x[:2]))
    flat = x.copy()
    flat[:, 1] = 4
    yield steps("an input without variance", (flat, 0.1), ("transform", flat[:5]))


zca = Exercise(
    id="init.zca",
    title="White inputs",
    name="ZCA",
    kind="class",
    points=4,
    reference=ZCA,
    cases=_zca_cases,
    compare=Close(rtol=1e-4, atol=1e-6),
    mistakes=(
        Mistake("pca_for_zca", PCA, "your result is white, and turned: ZCA turns back to the inputs' own axes."),
        Mistake(
            "statistics_of_what_is_transformed",
            FreshStatistics,
            "mean and covariance are the training data's, learned once; new examples are changed by the same rule.",
        ),
        Mistake("mean_not_subtracted", NotCentred, "the matrix is right; the mean is not subtracted."),
        Mistake("only_scaled", Scaled, "each input has variance 1, but they are still correlated."),
        Mistake(
            "divided_by_n_minus_one", Unbiased, "the covariance is divided by N − 1; with N the result has variance 1."
        ),
        Mistake("no_root", NoRoot, "divided by the variances; whitening divides by their roots."),
    ),
    withhold=(
        "dlcourse.init.zca_whitening",
        "dlcourse.init.pca_whitening",
        "dlcourse.init.decorrelation",
        "sklearn.decomposition.PCA",
        "sklearn.covariance.EmpiricalCovariance",
    ),
    hints=(
        "In the constructor: the mean, the covariance, its eigenvalues and eigenvectors. `np.linalg.eigh` gives both.",
        "With covariance U Λ Uᵀ the matrix is U (Λ + eps)^(-1/2) Uᵀ; the covariance divides by N, not N − 1.",
        "values, vectors = np.linalg.eigh(c); matrix = vectors / np.sqrt(values + eps) @ vectors.T; "
        "transform: (x - mean) @ matrix.",
    ),
    difficulty=3,
    importance=3,
    minutes=25,
)

essay = text_exercise("init.essay", "Where did the gradient go?", points=3, difficulty=3, importance=4, minutes=15)

EXERCISES = (std_number, fans, kaiming_uniform, signal, jacobian, orthogonal, zca, essay)
