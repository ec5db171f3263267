"""Chapter 19: a neural ordinary differential equation, and its gradient by the adjoint equation.

    field = Field(2, 32, rng)                              # dy/dt = f(y; θ), a network with one hidden layer
    ys, cache = odeint_forward(field, y0, times, steps=4)  # ys (T, N, D): y at each of the times
    dy0, gradients = adjoint_backward(dys, cache)          # without what happened between the times
    dy0, gradients = steps_backward(dys, cache)            # the chain rule through every step

A residual network adds ``y ← y + f(y)``; with ever smaller steps it becomes ``dy/dt = f(y, t; θ)``, and a solver
decides where f is evaluated. To go back, let ``a(t) = ∂L/∂y(t)``. It obeys an equation of its own, which is solved
from the end:

    da/dt = -aᵀ ∂f/∂y,   ∂L/∂θ = ∫ aᵀ ∂f/∂θ dt

together with dy/dt = f, backwards, so that y need not be kept. Memory then does not grow with the steps.

A field is anything with ``forward(t, y) -> dy, cache``, ``backward(a, cache) -> aᵀ∂f/∂y, [aᵀ∂f/∂θ, ...]`` and a list
``parameters``.

Sources: Chen, Rubanova, Bettencourt and Duvenaud, Neural ordinary differential equations, NeurIPS (2018),
arXiv:1806.07366, appendix B; Pontryagin and others, The mathematical theory of optimal processes (1962); Hairer,
Nørsett and Wanner, Solving ordinary differential equations I, Springer (2nd ed. 1993), section II.1 (both rules of
Kutta).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from dlcourse.arrays import as_float, as_gradient
from dlcourse.policy import tanh_net, tanh_net_backward, tanh_net_forward


class Rule(NamedTuple):
    """An explicit Runge-Kutta rule: row i of ``a`` mixes the slopes before, at time ``c[i]``; ``b`` mixes them all."""

    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    c: tuple[float, ...]


RULES = {
    "euler": Rule(((),), (1.0,), (0.0,)),
    "classical": Rule(((), (1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)), (1 / 6, 1 / 3, 1 / 3, 1 / 6), (0, 0.5, 0.5, 1)),
    "three eighths": Rule(
        ((), (1 / 3,), (-1 / 3, 1.0), (1.0, -1.0, 1.0)), (1 / 8, 3 / 8, 3 / 8, 1 / 8), (0, 1 / 3, 2 / 3, 1)
    ),
}


class VectorField(Protocol):
    """What :func:`odeint_forward` and the backward passes ask of a field."""

    parameters: list[np.ndarray]

    def forward(self, t: float, y: np.ndarray) -> tuple[np.ndarray, tuple]:
        """dy/dt (N, D) at y (N, D), and what ``backward`` needs."""

    def backward(self, dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, list[np.ndarray]]:
        """The gradient of y, and of each parameter."""


class Field:
    """``f(y) = tanh(y w1 + b1) w2 + b2``; with ``cubed``, of y³ in place of y.

    Parameters
    ----------
    D, hidden : numbers of the state, hidden units
    rng : for the start

    Source: the example ode_demo of torchdiffeq, by the authors of Chen and others (2018); its field sees y³.
    """

    def __init__(self, D: int, hidden: int, rng: np.random.Generator, *, cubed: bool = False, scale: float = 0.1):
        self.parameters, self.cubed = tanh_net(D, hidden, D, rng, scale), cubed

    def forward(self, t: float, y: np.ndarray) -> tuple[np.ndarray, tuple]:
        """dy/dt (N, D); the time is not looked at."""
        out, cache = tanh_net_forward(y**3 if self.cubed else y, self.parameters)
        return out, (y, cache)

    def backward(self, dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, list[np.ndarray]]:
        """``doutᵀ ∂f/∂y`` and ``doutᵀ ∂f/∂θ``."""
        y, inner = cache
        dx, gradients = tanh_net_backward(dout, inner)
        return (dx * 3 * y**2 if self.cubed else dx), gradients


State = list[np.ndarray]


def _step(slope: Callable[[float, State], State], t: float, state: State, h: float, rule: Rule) -> State:
    """One step of a Runge-Kutta rule, for several arrays that change together."""
    slopes: list[State] = []
    for row, c in zip(rule.a, rule.c, strict=True):
        slopes.append(slope(t + c * h, _moved(state, row, slopes, h)))
    return _moved(state, rule.b, slopes, h)


def _moved(state: State, weights: Sequence[float], slopes: list[State], h: float) -> State:
    out = list(state)
    for w, slope in zip(weights, slopes, strict=True):
        if w:
            out = [s + h * w * k for s, k in zip(out, slope, strict=True)]
    return out


def odeint_forward(
    field: VectorField, y0: np.ndarray, times: np.ndarray, steps: int = 1, rule: str = "classical"
) -> tuple[np.ndarray, tuple]:
    """Solve ``dy/dt = f(t, y)`` from ``y(times[0]) = y0``, with ``steps`` equal steps between neighbouring times.

    A step of the classical rule has four slopes; its error shrinks like h⁵, that at the end like h⁴:
    ``k1 = f(t, y), k2 = f(t + h/2, y + h k1/2), k3 = f(t + h/2, y + h k2/2), k4 = f(t + h, y + h k3)``,
    ``y ← y + h (k1 + 2 k2 + 2 k3 + k4) / 6``.

    Parameters
    ----------
    y0 : (N, D)
    times : (T,), ascending or descending
    steps : between two times
    rule : ``euler``, ``classical`` or ``three eighths``; the last is what torchdiffeq calls rk4

    Returns
    -------
    ys : (T, N, D), of ``y0``'s dtype
    cache : for :func:`adjoint_backward` and :func:`steps_backward`; it holds no step

    Raises
    ------
    ValueError
        A shape, dtype or setting does not fit.

    Source: Hairer, Nørsett and Wanner (1993), table II.1.2.
    """
    y0, times = as_float(y0, "y0"), np.asarray(times, dtype=float)
    if y0.ndim != 2:
        raise ValueError(f"y0 has shape {y0.shape}; expected (N, D), a row for each start")
    change = np.diff(times)
    if times.ndim != 1 or len(times) < 2 or not ((change > 0).all() or (change < 0).all()):
        raise ValueError(f"times is {times}; expected at least two numbers that only rise or only fall")
    if steps < 1 or rule not in RULES:
        raise ValueError(f"steps is {steps} and rule {rule!r}; expected at least 1, and one of {', '.join(RULES)}")
    ys = [y0]
    for start, end in itertools.pairwise(times.tolist()):
        state, h = [ys[-1]], (end - start) / steps
        for i in range(steps):
            state = _step(lambda t, s: [field.forward(t, s[0])[0]], start + i * h, state, h, RULES[rule])
        ys.append(state[0])
    return np.stack(ys), (field, ys, times.tolist(), steps, rule)


def adjoint_backward(dys: np.ndarray, cache: tuple) -> tuple[np.ndarray, list[np.ndarray]]:
    """The gradient by the adjoint equation: solve for y, a and ∂L/∂θ together, from the last time to the first.

    At each of the times a jumps by that time's gradient, and y is set to what the forward pass found. In between, y is
    found again by solving backwards, so that nothing but the T states is kept. The result is the gradient of the exact
    solution, computed with the solver's error; not the gradient of what the solver computed.

    Parameters
    ----------
    dys : (T, N, D), the gradient of each state

    Returns
    -------
    dy0, gradients : (N, D), and one array for each parameter of the field

    Source: Chen and others (2018), algorithm 1 and appendix C.
    """
    field, ys, times, steps, rule = cache
    dys = as_gradient(dys, (len(ys), *ys[0].shape))

    def slope(t: float, state: State) -> State:
        dy, inner = field.forward(t, state[0])
        dinner, parts = field.backward(state[1], inner)
        return [dy, -dinner, *(-part for part in parts)]

    a, gradients = dys[-1], [np.zeros_like(p) for p in field.parameters]
    for k in range(len(times) - 1, 0, -1):
        state, h = [ys[k], a, *gradients], (times[k - 1] - times[k]) / steps
        for i in range(steps):
            state = _step(slope, times[k] + i * h, state, h, RULES[rule])
        a, gradients = state[1] + dys[k - 1], state[2:]
    return a, gradients


def steps_backward(dys: np.ndarray, cache: tuple) -> tuple[np.ndarray, list[np.ndarray]]:
    """The chain rule through every step of the solver: exact for what it computed, and it keeps every step.

    Arguments and result as :func:`adjoint_backward`.

    Source: backpropagation; Hairer, Nørsett and Wanner (1993), section II.1, for the steps.
    """
    field, ys, times, steps, rule = cache
    dys, rule = as_gradient(dys, (len(ys), *ys[0].shape)), RULES[rule]
    kept = []  # of every slope, what automatic differentiation would keep

    def slope(t: float, state: State) -> State:
        dy, inner = field.forward(t, state[0])
        kept.append(inner)
        return [dy]

    for k in range(len(times) - 1):
        state, h = [ys[k]], (times[k + 1] - times[k]) / steps
        for i in range(steps):
            state = _step(slope, times[k] + i * h, state, h, rule)
    a, gradients = dys[-1], [np.zeros_like(p) for p in field.parameters]
    for k in range(len(times) - 2, -1, -1):
        h = (times[k + 1] - times[k]) / steps
        for _ in range(steps):
            dslopes = [h * b * a for b in rule.b]
            for i in range(len(rule.b) - 1, -1, -1):
                dinner, parts = field.backward(dslopes[i], kept.pop())
                a = a + dinner
                for j, w in enumerate(rule.a[i]):
                    dslopes[j] = dslopes[j] + h * w * dinner
                gradients = [g + part for g, part in zip(gradients, parts, strict=True)]
        a = a + dys[k]
    return a, gradients


# ------------------------------------------------------------------------------------------------------- a spiral


def spiral(rng: np.random.Generator, count: int = 1, points: int = 40, end: float = 10.0, noise: float = 0.0):
    """Tracks of ``dy/dt = y³ A``, A = [[-0.1, 2], [-2, -0.1]]: times (T,) and tracks (T, N, 2), noisy on demand.

    The first track starts at (2, 0), the others at random points that far from the middle.

    Source: the example ode_demo of torchdiffeq, by the authors of Chen and others (2018).
    """
    angle = np.concatenate([[0.0], rng.uniform(0, 2 * np.pi, count - 1)])
    times = np.linspace(0, end, points)
    ys, _ = odeint_forward(_Spiral(), 2 * np.stack([np.cos(angle), np.sin(angle)], axis=1), times, steps=50)
    return times, ys + noise * rng.normal(size=ys.shape)


class _Spiral:
    """The true field."""

    parameters: list[np.ndarray] = []  # noqa: RUF012  it has none

    def forward(self, t, y):
        return y**3 @ np.array([[-0.1, 2.0], [-2.0, -0.1]]), ()
