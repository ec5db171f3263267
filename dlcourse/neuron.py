"""Chapter 01: one neuron, in three steps that every later chapter repeats.

    y, cache = neuron_forward(x, w, b, "sigmoid")                      # representation
    value, dw, db = objective(x, t, w, b, loss="hinge", lam=0.01)      # evaluation
    (w, b), values = gradient_descent(f, (w, b), lr=0.1, steps=100)    # optimisation

Shapes: N examples, one a row of ``x`` (N, D); weights ``w`` (D,) and a bias ``b``, a number. A score is
f = x w + b, (N,). Labels ``t`` (N,) are -1 and +1. Float dtypes are kept. What does not fit raises ValueError.

Sources: McCulloch and Pitts, A logical calculus of the ideas immanent in nervous activity, Bulletin of Mathematical
Biophysics 5 (1943); Rosenblatt, The perceptron, Psychological Review 65 (1958); Vapnik, The Nature of Statistical
Learning Theory (1995), chapter 4 (structural risk); Minhas, lecture slides CS909, University of Warwick
(representation, evaluation, optimisation).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from dlcourse.arrays import as_float, as_gradient

__all__ = [
    "ACTIVATIONS",
    "LOSSES",
    "REGULARISERS",
    "activate",
    "best_line",
    "firing_rate",
    "fit",
    "fit_automatically",
    "gradient_descent",
    "hinge_loss",
    "integrate_and_fire",
    "l1",
    "l2",
    "logistic_loss",
    "neuron_backward",
    "neuron_forward",
    "objective",
    "predict",
    "separating_line",
    "squared_error",
    "squared_loss",
]

ACTIVATIONS = ("identity", "step", "sigmoid", "tanh")
Theta = tuple[np.ndarray, ...]

# ------------------------------------------------------------------------------------------- a neuron in the brain


def integrate_and_fire(
    current: float, seconds: float, *, dt: float = 1e-4, tau: float = 0.02, refractory: float = 0.002
) -> np.ndarray:
    """Spike times of a leaky integrate-and-fire neuron under a constant input.

    The voltage v leaks and is charged, tau dv/dt = -v + current. At v = 1 the neuron fires, v falls to 0 and stays
    there for the refractory time. Source: Gerstner, Kistler, Naud and Paninski, Neuronal Dynamics (2014), section 1.3.

    Parameters
    ----------
    current : the input, in units of the least one that makes the neuron fire.
    seconds : how long to simulate.
    dt : time step, seconds. Between two steps the solution is exact.
    tau : time constant of the membrane, seconds.
    refractory : pause after a spike, seconds.

    Returns
    -------
    (n_spikes,) array, seconds.

    Raises
    ------
    ValueError
        A time is not positive (``refractory`` may be 0).
    """
    for name, value in (("seconds", seconds), ("dt", dt), ("tau", tau)):
        if not value > 0:
            raise ValueError(f"{name} is {value}, expected a positive number of seconds")
    if refractory < 0:
        raise ValueError(f"refractory is {refractory}, expected 0 or more seconds")
    keep = np.exp(-dt / tau)
    v, free_from, spikes = 0.0, 0.0, []
    for k in range(1, round(seconds / dt) + 1):
        if k * dt <= free_from:
            continue
        v = current + (v - current) * keep
        if v >= 1:
            spikes.append(k * dt)
            v, free_from = 0.0, k * dt + refractory
    return np.array(spikes)


def firing_rate(current: np.ndarray, *, tau: float = 0.02, refractory: float = 0.002) -> np.ndarray:
    """Spikes a second of :func:`integrate_and_fire` in the limit of small time steps.

    rate = 1 / (refractory + tau log(current / (current - 1))) where current > 1, else 0. Any shape.

    Source: Gerstner et al., Neuronal Dynamics (2014), section 1.3.
    """
    current = np.asarray(current, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = 1 / (refractory + tau * np.log(current / (current - 1)))
    return np.where(current > 1, rate, 0.0)


# -------------------------------------------------------------------------------------------------- representation


def activate(u: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """An activation function and its slope, a(u) and a'(u), any shape.

    identity: u, slope 1. step: 1 where u > 0 else 0, slope 0. sigmoid: 1 / (1 + exp(-u)), slope a (1 - a).
    tanh: slope 1 - a². Chapter 04 has many more.

    Raises
    ------
    ValueError
        ``name`` is none of ``ACTIVATIONS``, or ``u`` is not of a float dtype.
    """
    u = as_float(u, "u")
    if name == "identity":
        return u, np.ones_like(u)
    if name == "step":
        return (u > 0).astype(u.dtype), np.zeros_like(u)
    if name == "sigmoid":
        e = np.exp(-np.abs(u))  # at most 1: nothing overflows
        y = np.where(u >= 0, np.ones_like(e), e) / (1 + e)
        return y, y * (1 - y)
    if name == "tanh":
        y = np.tanh(u)
        return y, 1 - y * y
    raise ValueError(f"activation is {name!r}, expected one of {', '.join(ACTIVATIONS)}")


def neuron_forward(x: np.ndarray, w: np.ndarray, b: float, activation: str = "identity") -> tuple[np.ndarray, tuple]:
    """One neuron: y = a(wᵀx + b) for each example.

    Parameters
    ----------
    x : (N, D) float array
    w : (D,) float array
    b : number
    activation : one of ``ACTIVATIONS``

    Returns
    -------
    y : (N,)
    cache : what :func:`neuron_backward` needs

    Raises
    ------
    ValueError
        A shape or dtype does not fit, or the activation is not known.
    """
    x, w, b = _checked(x, w, b)
    y, slope = activate(x @ w + b, activation)
    return y, (x, w, slope)


def neuron_backward(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of a neuron: with du = dout · a'(u), dx = du wᵀ, dw = Σₙ duₙ xₙ, db = Σₙ duₙ.

    Parameters
    ----------
    dout : (N,) gradient of the loss with respect to the neuron's output
    cache : from :func:`neuron_forward`

    Returns
    -------
    dx, dw, db : (N, D), (D,), scalar

    Raises
    ------
    ValueError
        ``dout`` does not have the shape of the output.
    """
    x, w, slope = cache
    du = as_gradient(dout, slope.shape) * slope
    return du[:, None] * w, du @ x, du.sum()


def predict(x: np.ndarray, w: np.ndarray, b: float) -> np.ndarray:
    """The class of each example: +1 where wᵀx + b > 0, else -1. (N,) int64."""
    x, w, b = _checked(x, w, b)
    return np.where(x @ w + b > 0, 1, -1)


# ------------------------------------------------------------------------------------------------------ evaluation


def squared_error(y: np.ndarray, t: np.ndarray) -> tuple[np.floating, np.ndarray]:
    """E = ½ Σₙ (tₙ - yₙ)² and its gradient dE/dy = y - t.

    Parameters
    ----------
    y, t : (N,) float arrays: outputs and targets

    Raises
    ------
    ValueError
        The shapes differ.
    """
    y, t = as_float(y, "y"), np.asarray(t)
    if y.shape != t.shape:
        raise ValueError(f"t has shape {t.shape}, expected y's shape {y.shape}")
    error = y - t.astype(y.dtype)
    return 0.5 * (error * error).sum(), error


def squared_loss(f: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """½ (f - t)² and its slope f - t, for each example. Targets may be any numbers."""
    f, t = _scores(f, t)
    return 0.5 * (f - t) ** 2, f - t


def logistic_loss(f: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """log(1 + exp(-t f)) and its slope -t / (1 + exp(t f)), for each example; t is -1 or +1.

    It is minus the log of the probability sigmoid(t f) that a sigmoid neuron gives to the right class. With
    m = t f it is computed as max(-m, 0) + log(1 + exp(-abs(m))), which overflows nowhere.
    """
    f, t = _scores(f, t, labels=True)
    m = t * f
    wrong, _ = activate(-m, "sigmoid")  # the probability of the wrong class
    return np.maximum(-m, 0) + np.log1p(np.exp(-np.abs(m))), -t * wrong


def hinge_loss(f: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """max(0, 1 - t f) and its slope, -t where t f < 1 and else 0, for each example; t is -1 or +1.

    At the kink, t f = 1, every number between -t and 0 is a subgradient; this takes 0.
    """
    f, t = _scores(f, t, labels=True)
    short = 1 - t * f
    return np.maximum(short, 0), np.where(short > 0, -t, np.zeros_like(t))


def l2(w: np.ndarray) -> tuple[np.floating, np.ndarray]:
    """½ wᵀw and its gradient w."""
    return 0.5 * (w * w).sum(), w


def l1(w: np.ndarray) -> tuple[np.floating, np.ndarray]:
    """The sum of abs(w) and a subgradient, the signs of w, 0 at 0."""
    return np.abs(w).sum(), np.sign(w)


LOSSES: dict[str, Callable] = {"squared": squared_loss, "logistic": logistic_loss, "hinge": hinge_loss}
REGULARISERS: dict[str, Callable] = {"l2": l2, "l1": l1}


def objective(
    x: np.ndarray,
    t: np.ndarray,
    w: np.ndarray,
    b: float,
    *,
    loss: str | Callable = "hinge",
    regulariser: str | Callable = "l2",
    lam: float = 0.0,
) -> tuple[np.floating, np.ndarray, np.ndarray]:
    """The structural risk of a linear neuron and its gradient.

    P(w, b) = lam R(w) + (1/N) Σₙ loss(wᵀxₙ + b, tₙ): regulariser plus empirical risk. The bias is not regularised.

    Parameters
    ----------
    x : (N, D) float array, N at least 1
    t : (N,) targets
    w : (D,) float array
    b : number
    loss : a name in ``LOSSES``, or a function (f, t) -> values (N,), slopes (N,)
    regulariser : a name in ``REGULARISERS``, or a function w -> value, gradient
    lam : weight of the regulariser, 0 or more

    Returns
    -------
    value, dw, db : scalar, (D,), scalar

    Raises
    ------
    ValueError
        A shape, dtype, name or number does not fit.
    """
    x, w, b = _checked(x, w, b)
    t = np.asarray(t)
    if t.shape != (len(x),):
        raise ValueError(f"t has shape {t.shape}, expected ({len(x)},): one target for each row of x")
    if len(x) == 0:
        raise ValueError("x has no rows; the mean loss needs at least one example")
    if not lam >= 0:
        raise ValueError(f"lam is {lam}, expected a number of at least 0")
    loss, regulariser = _named(loss, LOSSES, "loss"), _named(regulariser, REGULARISERS, "regulariser")
    losses, slopes = loss(x @ w + b, t)
    penalty, dpenalty = regulariser(w)
    # A Python number, so that float32 stays float32.
    lam = float(lam)
    return lam * penalty + losses.mean(), lam * dpenalty + slopes @ x / len(x), slopes.mean()


# ---------------------------------------------------------------------------------------------------- optimisation


def gradient_descent(
    f: Callable,
    theta: Sequence[np.ndarray],
    *,
    lr: float | Callable[[int], float],
    steps: int,
    best: bool = False,
) -> tuple[Theta, np.ndarray]:
    """Repeat theta <- theta - lr ∇f(theta).

    Parameters
    ----------
    f : function of the parameters that returns its value and the gradient with respect to each of them
    theta : the parameters to start from; they are not changed
    lr : learning rate, a number, or a function of the step's number 0, 1, 2, ...
    steps : how many
    best : return the parameters with the lowest value seen instead of the last ones. Subgradient steps (hinge loss)
        do not go down every time.

    Returns
    -------
    theta : tuple of arrays
    values : (steps + 1,) value before each step, and at the end

    Raises
    ------
    ValueError
        ``steps`` is negative.
    """
    if steps < 0:
        raise ValueError(f"steps is {steps}, expected 0 or more")
    theta = tuple(np.asarray(p) for p in theta)
    values, lowest, kept = [], np.inf, theta
    for k in range(steps + 1):
        value, *gradients = f(*theta)
        values.append(value)
        if value < lowest:
            lowest, kept = value, theta
        if k < steps:
            rate = float(lr(k) if callable(lr) else lr)
            theta = tuple(p - rate * g for p, g in zip(theta, gradients, strict=True))
    return (kept if best else theta), np.array(values)


def fit(
    x: np.ndarray,
    t: np.ndarray,
    *,
    loss: str | Callable = "hinge",
    regulariser: str | Callable = "l2",
    lam: float = 0.0,
    lr: float | Callable[[int], float] = 0.1,
    steps: int = 1000,
    best: bool = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Train a linear neuron by gradient descent on :func:`objective`, from w = 0 and b = 0.

    With a convex loss and regulariser every start leads to the same lowest value.

    Returns
    -------
    w, b, values : (D,), scalar, (steps + 1,)

    Raises
    ------
    ValueError
        As :func:`objective` and :func:`gradient_descent`.
    """
    x = as_float(x, "x")
    if x.ndim != 2:
        raise ValueError(f"x has shape {x.shape}, expected (N, D)")

    def f(w, b):
        return objective(x, t, w, b, loss=loss, regulariser=regulariser, lam=lam)

    start = np.zeros(x.shape[1], x.dtype), np.zeros((), x.dtype)
    (w, b), values = gradient_descent(f, start, lr=lr, steps=steps, best=best)
    return w, b, values


def fit_automatically(
    x: np.ndarray,
    t: np.ndarray,
    loss: Callable,
    regulariser: Callable,
    *,
    lam: float = 0.0,
    lr: float = 0.1,
    steps: int = 1000,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As :func:`fit`, from a loss and a regulariser in PyTorch that say values only: the gradients are automatic.

    Parameters
    ----------
    loss : function of torch tensors, (f, t) -> losses (N,)
    regulariser : function of a torch tensor, w -> scalar

    Returns
    -------
    w, b, values : (D,), scalar, (steps + 1,)
    """
    import torch

    x = torch.as_tensor(as_float(x, "x"))
    t = torch.as_tensor(np.asarray(t)).to(x.dtype)

    def f(*theta):
        w, b = (torch.tensor(p, dtype=x.dtype, requires_grad=True) for p in theta)
        value = lam * regulariser(w) + loss(x @ w + b, t).mean()
        gradients = torch.autograd.grad(value, (w, b), allow_unused=True)
        pairs = zip(theta, gradients, strict=True)
        return value.item(), *(np.zeros_like(p) if g is None else g.numpy() for p, g in pairs)

    start = torch.zeros(x.shape[1], dtype=x.dtype).numpy(), torch.zeros((), dtype=x.dtype).numpy()
    (w, b), values = gradient_descent(f, start, lr=lr, steps=steps)
    return w, b, values


# --------------------------------------------------------------------------------------------- linear separability


def separating_line(x: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, float] | None:
    """Weights and a bias with tₙ (wᵀxₙ + b) >= 1 for all n, or ``None`` where there are none.

    Any separating hyperplane can be scaled so, hence ``None`` proves that the classes are not linearly separable. It
    is the feasibility of a linear programme, solved by ``scipy.optimize.linprog``.

    Parameters
    ----------
    x : (N, D) float array
    t : (N,) labels -1 and +1

    Returns
    -------
    w, b : (D,), number; or ``None``

    Raises
    ------
    ValueError
        A shape does not fit, or a label is another number.
    """
    from scipy.optimize import linprog

    x, t = _labelled(x, t)
    rows = -t[:, None] * np.concatenate([x, np.ones((len(x), 1))], axis=1)
    found = linprog(np.zeros(x.shape[1] + 1), rows, -np.ones(len(x)), bounds=(None, None), method="highs")
    if found.status not in (0, 2):
        raise ArithmeticError(f"the linear programme was not solved: {found.message}")
    return None if found.status == 2 else (found.x[:-1], float(found.x[-1]))


def best_line(x: np.ndarray, t: np.ndarray) -> tuple[float, np.ndarray, float]:
    """The highest accuracy that any line reaches on points in the plane, and a line that reaches it. Exact.

    How a line can split the points changes with its direction only where the line is parallel to one through two
    points. So it is enough to try one direction between each two neighbouring ones of these, and for each direction
    every place between two points: O(N³ log N) operations, for a few hundred points at most.

    Parameters
    ----------
    x : (N, 2) float array, N at least 1
    t : (N,) labels -1 and +1

    Returns
    -------
    accuracy, w, b : the share of points that sign(wᵀx + b) gets right, (2,), number

    Raises
    ------
    ValueError
        A shape does not fit, or a label is another number.
    """
    x, t = _labelled(x, t)
    if x.shape[1] != 2 or not len(x):
        raise ValueError(f"x has shape {x.shape}, expected (N, 2) with N at least 1")
    i, j = np.triu_indices(len(x), 1)
    dx, dy = (x[j] - x[i]).T
    turns = np.unique(np.arctan2(dx, -dy)[(dx != 0) | (dy != 0)] % np.pi)  # normals of the lines through two points
    if not len(turns):
        turns = np.zeros(1)
    ends = np.append(turns, turns[0] + np.pi)
    angles = (ends[1:] + ends[:-1])[np.diff(ends) > 1e-12] / 2
    best = (-1.0, np.zeros(2), 0.0)
    for angle in angles:
        w = np.array([np.cos(angle), np.sin(angle)])
        p = x @ w
        order = np.argsort(p)
        p, s = p[order], t[order]
        # right[k]: points that are right when the first k are called -1 and the others +1
        right = np.concatenate([[0], np.cumsum(s < 0)]) + (s > 0).sum() - np.concatenate([[0], np.cumsum(s > 0)])
        allowed = np.concatenate([[True], np.diff(p) > 1e-12 * (1 + np.abs(p[1:])), [True]])
        for sign, count in ((1, right), (-1, len(x) - right)):
            k = int(np.argmax(np.where(allowed, count, -1)))
            if count[k] / len(x) > best[0]:
                low = p[k - 1] if k else p[0] - 2
                high = p[k] if k < len(p) else p[-1] + 2
                best = (float(count[k] / len(x)), sign * w, float(-sign * (low + high) / 2))
    return best


# ------------------------------------------------------------------------------------------------------- household


def _checked(x, w, b) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x, w = as_float(x, "x"), as_float(w, "w")
    if x.ndim != 2:
        raise ValueError(f"x has shape {x.shape}, expected (N, D): one example a row")
    if w.shape != (x.shape[1],):
        raise ValueError(f"w has shape {w.shape}, x has {x.shape[1]} columns: expected w ({x.shape[1]},)")
    b = np.asarray(b)
    if b.ndim or b.dtype.kind not in "fiu":
        what = f"shape {b.shape}" if b.ndim else f"dtype {b.dtype}"
        raise ValueError(f"b has {what}, expected a single number")
    return x, w, b.astype(x.dtype)


def _scores(f, t, *, labels: bool = False) -> tuple[np.ndarray, np.ndarray]:
    f, t = as_float(f, "f"), np.asarray(t)
    if f.shape != t.shape:
        raise ValueError(f"t has shape {t.shape}, expected f's shape {f.shape}")
    if labels:
        _signs(t)
    return f, t.astype(f.dtype)


def _labelled(x, t) -> tuple[np.ndarray, np.ndarray]:
    x, t = as_float(x, "x").astype(np.float64), np.asarray(t)
    if x.ndim != 2 or t.shape != (len(x),):
        raise ValueError(f"x has shape {x.shape} and t {t.shape}; expected x (N, D) and t (N,)")
    _signs(t)
    return x, t.astype(np.float64)


def _signs(t: np.ndarray) -> None:
    other = t[(t != 1) & (t != -1)]
    if other.size:
        raise ValueError(f"t holds {other.flat[0]}, expected labels -1 and +1")


def _named(given, table: dict[str, Callable], what: str) -> Callable:
    if callable(given):
        return given
    if given not in table:
        raise ValueError(f"{what} is {given!r}, expected a function or one of {', '.join(table)}")
    return table[given]
