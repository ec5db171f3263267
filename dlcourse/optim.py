"""Chapter 05: optimisers, learning rate schedules and gradient clipping, by hand.

An optimiser is a rule for one step. Here each is a pure function,

    p, memory = adam_step(p, g, memory, lr=0.001)

of the parameters ``p`` (an array of any shape), the gradient ``g`` there, and what the rule remembers of earlier steps:
a dict that is empty before the first step. ``Adam(parameters, lr)`` and its like apply a rule to a list of arrays, in
place, as a training loop wants it.

A schedule is a pure function ``t -> lr`` of the number of updates done so far, 0 before the first; ``t``
may be an array.

The formulas, the places of ``eps`` and the defaults are PyTorch's, so that runs can be compared number by number. Float
dtypes are kept. A shape or a setting that does not fit raises ValueError.

Sources: Goodfellow, Bengio and Courville, Deep Learning (2016), chapter 8; Ruder, arXiv:1609.04747 (2016); and those
named at each function.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple

import numpy as np

Memory = dict[str, np.ndarray | int]

# ------------------------------------------------------------------------------------------------- rules for one step


def sgd_step(
    p: np.ndarray,
    g: np.ndarray,
    memory: Memory,
    *,
    lr: float,
    momentum: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
) -> tuple[np.ndarray, Memory]:
    """Gradient descent, with momentum or Nesterov's momentum.

    ``g ← g + weight_decay · p``, ``v ← momentum · v + g``, then

    - momentum: ``p ← p - lr v``,
    - Nesterov: ``p ← p - lr (g + momentum · v)``.

    A constant gradient is multiplied by ``1 / (1 - momentum)`` in the end. Nesterov's rule is often written with the
    gradient at the point ``p - lr · momentum · v`` where momentum alone would lead; this is the same rule with that
    point as ``p``, so that the gradient is needed at ``p`` only.

    Parameters
    ----------
    p, g : float arrays of the same shape
    memory : ``{}``, later what the last step returned; holds ``v``
    lr : step size, positive
    momentum : at least 0, below 1
    weight_decay : λ of the penalty λ/2 · Σ p², which this adds to the loss

    Returns
    -------
    p, memory : new arrays

    Raises
    ------
    ValueError
        Shapes differ, a dtype is not a float, or a setting is out of range.

    Source: Robbins and Monro (1951); Polyak (1964); Nesterov (1983), in the form of Sutskever et al., ICML 2013.
    """
    p, g = _pair(p, g)
    _setting("lr", lr, 0), _setting("weight_decay", weight_decay, 0), _setting("momentum", momentum, 0, 1)
    if nesterov and momentum == 0:
        raise ValueError("nesterov is True, momentum 0; expected a positive momentum")
    g = g + weight_decay * p
    if momentum == 0:
        return p - lr * g, {}
    v = momentum * memory.get("v", np.zeros_like(p)) + g
    return p - lr * (g + momentum * v if nesterov else v), {"v": v}


def adagrad_step(
    p: np.ndarray,
    g: np.ndarray,
    memory: Memory,
    *,
    lr: float = 0.01,
    lr_decay: float = 0.0,
    eps: float = 1e-10,
    weight_decay: float = 0.0,
) -> tuple[np.ndarray, Memory]:
    """Adagrad: each parameter's step is divided by the root of the sum of all its squared gradients.

    ``s ← s + g²``, ``p ← p - lr / (1 + (t - 1) lr_decay) · g / (√s + eps)`` in step t = 1, 2, ...

    The sum only grows, so the steps shrink like ``1/√t``. Arguments, result and errors as :func:`sgd_step`; the memory
    holds ``s`` and ``t``.

    Source: Duchi, Hazan and Singer, JMLR 12 (2011).
    """
    p, g = _pair(p, g)
    _setting("lr", lr, 0), _setting("lr_decay", lr_decay, 0), _setting("eps", eps, 0)
    _setting("weight_decay", weight_decay, 0)
    g = g + weight_decay * p
    t = memory.get("t", 0) + 1
    s = memory.get("s", np.zeros_like(p)) + g * g
    return p - lr / (1 + (t - 1) * lr_decay) * g / (np.sqrt(s) + eps), {"s": s, "t": t}


def rmsprop_step(
    p: np.ndarray,
    g: np.ndarray,
    memory: Memory,
    *,
    lr: float = 0.01,
    alpha: float = 0.99,
    eps: float = 1e-8,
    momentum: float = 0.0,
    centered: bool = False,
    weight_decay: float = 0.0,
) -> tuple[np.ndarray, Memory]:
    """RMSProp: Adagrad with a running mean in place of the sum, so that old gradients are forgotten.

    ``s ← alpha · s + (1 - alpha) g²``, ``u = g / (√s + eps)``, ``v ← momentum · v + u``, ``p ← p - lr v``

    With ``centered``, ``m ← alpha · m + (1 - alpha) g`` and ``√(s - m²)`` stands for ``√s``: the spread of the gradient
    in place of its size. Arguments, result and errors as :func:`sgd_step`; ``alpha`` is at least 0, below 1. The memory
    holds ``s``, and ``v`` and ``m`` where they are used.

    Source: Tieleman and Hinton, lecture 6.5 of Neural Networks for Machine Learning (2012); centred, Graves,
    arXiv:1308.0850 (2013).
    """
    p, g = _pair(p, g)
    _setting("lr", lr, 0), _setting("alpha", alpha, 0, 1), _setting("eps", eps, 0)
    _setting("momentum", momentum, 0, 1), _setting("weight_decay", weight_decay, 0)
    g = g + weight_decay * p
    s = alpha * memory.get("s", np.zeros_like(p)) + (1 - alpha) * g * g
    new: Memory = {"s": s}
    if centered:
        new["m"] = m = alpha * memory.get("m", np.zeros_like(p)) + (1 - alpha) * g
        s = np.maximum(s - m * m, 0)  # a variance: below zero only by rounding
    u = g / (np.sqrt(s) + eps)
    if momentum > 0:
        new["v"] = u = momentum * memory.get("v", np.zeros_like(p)) + u
    return p - lr * u, new


def adadelta_step(
    p: np.ndarray,
    g: np.ndarray,
    memory: Memory,
    *,
    lr: float = 1.0,
    rho: float = 0.9,
    eps: float = 1e-6,
    weight_decay: float = 0.0,
) -> tuple[np.ndarray, Memory]:
    """AdaDelta: RMSProp whose learning rate is the running root mean square of its own steps.

    ``s ← rho · s + (1 - rho) g²``, ``d = √(r + eps) / √(s + eps) · g``, ``r ← rho · r + (1 - rho) d²``,
    ``p ← p - lr d``

    The step has the parameter's unit, and the usual ``lr`` is 1. Since ``r`` starts at 0, the first steps have the size
    of ``√eps``. Arguments, result and errors as :func:`sgd_step`; the memory holds ``s`` and ``r``.

    Source: Zeiler, arXiv:1212.5701 (2012).
    """
    p, g = _pair(p, g)
    _setting("lr", lr, 0), _setting("rho", rho, 0, 1), _setting("eps", eps, 0)
    _setting("weight_decay", weight_decay, 0)
    g = g + weight_decay * p
    s = rho * memory.get("s", np.zeros_like(p)) + (1 - rho) * g * g
    r = memory.get("r", np.zeros_like(p))
    d = np.sqrt(r + eps) / np.sqrt(s + eps) * g
    return p - lr * d, {"s": s, "r": rho * r + (1 - rho) * d * d}


def adam_step(
    p: np.ndarray,
    g: np.ndarray,
    memory: Memory,
    *,
    lr: float = 0.001,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> tuple[np.ndarray, Memory]:
    """Adam: the running mean of the gradient over the root of the running mean of its square, both bias-corrected.

    ``m ← β₁ m + (1 - β₁) g``, ``s ← β₂ s + (1 - β₂) g²``,
    ``p ← p - lr · m̂ / (√ŝ + eps)`` with ``m̂ = m / (1 - β₁ᵗ)`` and ``ŝ = s / (1 - β₂ᵗ)`` in step t = 1, 2, ...

    Both means start at 0 and are too small at first; ``1 - βᵗ`` is the sum of the weights given so far. The first step
    has size ``lr`` in every parameter. Arguments, result and errors as :func:`sgd_step`; the memory holds ``m``, ``s``
    and ``t``. ``weight_decay`` is added to the gradient, and so divided by ``√ŝ`` too; see :func:`adamw_step`.

    Source: Kingma and Ba, ICLR 2015, arXiv:1412.6980, algorithm 1.
    """
    p, g = _pair(p, g)
    _setting("lr", lr, 0), _setting("eps", eps, 0), _setting("weight_decay", weight_decay, 0)
    for i, beta in enumerate(betas):
        _setting(f"betas[{i}]", beta, 0, 1)
    g = g + weight_decay * p
    t = memory.get("t", 0) + 1
    m = betas[0] * memory.get("m", np.zeros_like(p)) + (1 - betas[0]) * g
    s = betas[1] * memory.get("s", np.zeros_like(p)) + (1 - betas[1]) * g * g
    m_hat, s_hat = m / (1 - betas[0] ** t), s / (1 - betas[1] ** t)
    return p - lr * m_hat / (np.sqrt(s_hat) + eps), {"m": m, "s": s, "t": t}


def adamw_step(
    p: np.ndarray,
    g: np.ndarray,
    memory: Memory,
    *,
    lr: float = 0.001,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.01,
) -> tuple[np.ndarray, Memory]:
    """AdamW: Adam whose weight decay acts on the parameters themselves, past the division.

    ``p ← (1 - lr · weight_decay) p``, then :func:`adam_step` without weight decay.

    In Adam the decay of a parameter with large gradients is divided by their size; here all decay at the same rate.
    Arguments, result, errors and memory as :func:`adam_step`.

    Source: Loshchilov and Hutter, ICLR 2019, arXiv:1711.05101, algorithm 2.
    """
    p, g = _pair(p, g)
    _setting("lr", lr, 0), _setting("weight_decay", weight_decay, 0)
    return adam_step((1 - lr * weight_decay) * p, g, memory, lr=lr, betas=betas, eps=eps)


class Optimiser:
    """A rule for one step, applied to a list of arrays in place.

    Parameters
    ----------
    parameters : float arrays, changed in place
    lr : step size; may be set between steps, as a schedule does
    settings : the other keyword arguments of the rule

    Attributes
    ----------
    parameters, lr, settings : as given
    memories : what the rule remembers, one dict a parameter

    Raises
    ------
    ValueError
        A setting is out of range; or, in ``step``, the gradients do not match the parameters.
    """

    rule: ClassVar[Callable]

    def __init__(self, parameters: Sequence[np.ndarray], lr: float | None = None, **settings):
        known = type(self).rule.__kwdefaults__ or {}
        if lr is None and "lr" not in known:
            raise ValueError(f"lr is missing; {type(self).__name__} has no usual learning rate")
        self.parameters, self.settings = list(parameters), settings
        self.lr = known["lr"] if lr is None else lr
        if unknown := sorted(set(settings) - set(known)):
            raise ValueError(f"{type(self).__name__} has no setting {', '.join(unknown)}; it has {', '.join(known)}")
        type(self).rule(np.zeros(1), np.zeros(1), {}, lr=self.lr, **settings)  # raises where one is out of range
        self.memories: list[Memory] = [{} for _ in self.parameters]

    def step(self, gradients: Sequence[np.ndarray]) -> None:
        """One update of every parameter, in place."""
        shapes, expected = [np.shape(g) for g in gradients], [np.shape(p) for p in self.parameters]
        if shapes != expected:
            raise ValueError(f"gradients has shapes {shapes}; expected those of the parameters, {expected}")
        for i, (p, g) in enumerate(zip(self.parameters, gradients, strict=True)):
            p[...], self.memories[i] = type(self).rule(p, g, self.memories[i], lr=self.lr, **self.settings)

    def state_dict(self) -> dict:
        """What a checkpoint needs, besides the parameters: copies."""
        return {
            "lr": float(self.lr),
            "memories": [{k: np.copy(v) if np.ndim(v) else v for k, v in m.items()} for m in self.memories],
        }

    def load_state_dict(self, state: dict) -> None:
        """Go on from ``state_dict()``.

        Raises
        ------
        ValueError
            It is that of another number of parameters.
        """
        if len(state["memories"]) != len(self.parameters):
            raise ValueError(f"state has {len(state['memories'])} memories, expected {len(self.parameters)}")
        self.lr, self.memories = state["lr"], [dict(memory) for memory in state["memories"]]


class SGD(Optimiser):
    """Gradient descent: :func:`sgd_step` with ``momentum``, ``nesterov`` and ``weight_decay``."""

    rule = staticmethod(sgd_step)


class Adagrad(Optimiser):
    """:func:`adagrad_step` on a list of arrays, in place."""

    rule = staticmethod(adagrad_step)


class RMSProp(Optimiser):
    """:func:`rmsprop_step` on a list of arrays, in place."""

    rule = staticmethod(rmsprop_step)


class AdaDelta(Optimiser):
    """:func:`adadelta_step` on a list of arrays, in place."""

    rule = staticmethod(adadelta_step)


class Adam(Optimiser):
    """:func:`adam_step` on a list of arrays, in place."""

    rule = staticmethod(adam_step)


class AdamW(Optimiser):
    """:func:`adamw_step` on a list of arrays, in place."""

    rule = staticmethod(adamw_step)


OPTIMISERS = {o.__name__: o for o in (SGD, Adagrad, AdaDelta, RMSProp, Adam, AdamW)}

# ------------------------------------------------------------------------------------------------------------ clipping


def clip_value(gradients: Sequence[np.ndarray], limit: float) -> list[np.ndarray]:
    """Cut every entry of every gradient to ``-limit ... limit``. The direction changes.

    Raises
    ------
    ValueError
        ``limit`` is not positive.

    Source: Mikolov, Statistical language models based on neural networks (2012), section 3.2.2.
    """
    _positive("limit", limit)
    return [np.clip(g, -limit, limit) for g in gradients]


def clip_norm(gradients: Sequence[np.ndarray], limit: float) -> tuple[list[np.ndarray], float]:
    """Shorten the gradient, all arrays taken as one long vector, to the length ``limit`` if it is longer.

    ``g ← g · min(1, limit / (‖g‖ + 10⁻⁶))``: the direction stays. The 10⁻⁶ is PyTorch's.

    Parameters
    ----------
    gradients : arrays of any shapes
    limit : positive

    Returns
    -------
    clipped : new arrays
    norm : the length before

    Raises
    ------
    ValueError
        ``limit`` is not positive.

    Source: Pascanu, Mikolov and Bengio, ICML 2013, arXiv:1211.5063, algorithm 1.
    """
    _positive("limit", limit)
    norm = math.sqrt(sum(float(np.vdot(g, g)) for g in gradients))
    scale = min(1.0, limit / (norm + 1e-6))
    return [g * scale for g in gradients], norm


# ----------------------------------------------------------------------------------------------------------- schedules

Time = int | np.ndarray


def inverse_time(t: Time, lr: float, decay: float) -> np.ndarray:
    """Decay: ``lr / (1 + decay · t)``. Satisfies Robbins and Monro's conditions: Σ lr = ∞, Σ lr² < ∞."""
    _setting("decay", decay, 0)
    return lr / (1 + decay * _time(t))


def step_decay(t: Time, lr: float, every: int, factor: float = 0.1) -> np.ndarray:
    """``lr · factor^floor(t / every)``: constant, with drops. PyTorch's ``StepLR``."""
    _positive("every", every), _positive("factor", factor)
    return lr * factor ** (_time(t) // every)


def exponential(t: Time, lr: float, factor: float) -> np.ndarray:
    """``lr · factorᵗ``. PyTorch's ``ExponentialLR``."""
    _positive("factor", factor)
    return lr * factor ** _time(t)


def cosine(t: Time, lr: float, total: int, lowest: float = 0.0) -> np.ndarray:
    """``lowest + (lr - lowest) (1 + cos(π t / total)) / 2``, from ``lr`` at t = 0 to ``lowest`` at t = total, where it
    stays.

    PyTorch's ``CosineAnnealingLR`` until ``total``. Source: Loshchilov and Hutter, SGDR, ICLR 2017, arXiv:1608.03983,
    equation 5.
    """
    _positive("total", total)
    return lowest + (lr - lowest) * (1 + np.cos(np.pi * np.minimum(_time(t), total) / total)) / 2


def warm_up(t: Time, lr: float, steps: int, start: float = 0.0) -> np.ndarray:
    """A straight line from ``start`` at t = 0 to ``lr`` at t = steps, where it stays. PyTorch's ``LinearLR``.

    Source: Goyal et al., arXiv:1706.02677 (2017), section 2.2.
    """
    _positive("steps", steps)
    return start + (lr - start) * np.minimum(_time(t) / steps, 1)


def warm_up_cosine(t: Time, lr: float, steps: int, total: int, start: float = 0.0, lowest: float = 0.0) -> np.ndarray:
    """:func:`warm_up` for ``steps`` updates, then :func:`cosine` down to ``lowest`` at t = total."""
    if not 0 < steps < total:
        raise ValueError(f"steps is {steps} and total {total}; expected 0 < steps < total")
    t = _time(t)
    falling = cosine(np.maximum(t - steps, 0), lr, total - steps, lowest)
    return np.where(t < steps, warm_up(t, lr, steps, start), falling)


def cyclic(t: Time, low: float, high: float, half: int, mode: str = "triangular", factor: float = 1.0) -> np.ndarray:
    """Up from ``low`` to ``high`` in ``half`` updates, down in as many, and again. PyTorch's ``CyclicLR``.

    ``triangular2`` halves the height after each cycle, ``exp_range`` multiplies it by ``factorᵗ``.

    Raises
    ------
    ValueError
        ``mode`` is none of the three, or ``half`` is not positive.

    Source: Smith, WACV 2017, arXiv:1506.01186.
    """
    _positive("half", half)
    t = _time(t)
    cycle = np.floor(1 + t / (2 * half))  # 1, 2, ...
    height = np.maximum(1 - np.abs(t / half - 2 * cycle + 1), 0)
    scales = {"triangular": 1.0, "triangular2": 0.5 ** (cycle - 1), "exp_range": factor**t}
    if mode not in scales:
        raise ValueError(f"mode is {mode!r}; expected one of {', '.join(scales)}")
    return low + (high - low) * height * scales[mode]


def one_cycle(
    t: Time, lr: float, total: int, rise: float = 0.3, start: float = 1 / 25, end: float = 1e-4 / 25
) -> np.ndarray:
    """One rise and one long fall, both along a half cosine: from ``start · lr`` to ``lr`` in the first ``rise`` of the
    training, then down to ``end · lr`` in its last update, t = total - 1.

    PyTorch's ``OneCycleLR``, whose momentum runs the other way: ``one_cycle(t, 0.85, total, start=0.95 / 0.85,
    end=0.95 / 0.85)``.

    Raises
    ------
    ValueError
        ``total`` or ``rise`` leaves no update for one of the two phases.

    Source: Smith and Topin, Super-convergence, arXiv:1708.07120 (2017).
    """
    top, last = rise * total - 1, total - 1
    if not 0 < top < last:
        raise ValueError(f"rise is {rise} of total {total}; expected at least one update in each of the two phases")
    t = np.minimum(_time(t), last)
    up = start + (1 - start) * (1 - np.cos(np.pi * t / top)) / 2
    down = end + (1 - end) * (1 + np.cos(np.pi * (t - top) / (last - top))) / 2
    return lr * np.where(t <= top, up, down)


# ------------------------------------------------------------------------------------------------------- test surfaces


class Surface(NamedTuple):
    """A function of two variables on which to watch optimisers.

    Attributes
    ----------
    f : (..., 2) array -> (...) array of heights
    gradient : (..., 2) array -> (..., 2) array
    minima : (K, 2) array, where the lowest height is
    lowest : that height
    start : (2,) array, where races begin
    box : (left, right, bottom, top), what to draw
    """

    f: Callable[[np.ndarray], np.ndarray]
    gradient: Callable[[np.ndarray], np.ndarray]
    minima: np.ndarray
    lowest: float
    start: np.ndarray
    box: tuple[float, float, float, float]


def _quadratic(p):
    x, y = np.moveaxis(np.asarray(p, float), -1, 0)
    return (x**2 + 50 * y**2) / 2


def _quadratic_gradient(p):
    return np.asarray(p, float) * [1.0, 50.0]


def _rosenbrock(p):
    x, y = np.moveaxis(np.asarray(p, float), -1, 0)
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def _rosenbrock_gradient(p):
    x, y = np.moveaxis(np.asarray(p, float), -1, 0)
    return np.stack([-2 * (1 - x) - 400 * x * (y - x**2), 200 * (y - x**2)], -1)


_BEALE = np.array([1.5, 2.25, 2.625])


def _beale(p):
    x, y = np.moveaxis(np.asarray(p, float), -1, 0)
    return sum((c - x + x * y**k) ** 2 for k, c in enumerate(_BEALE, 1))


def _beale_gradient(p):
    x, y = np.moveaxis(np.asarray(p, float), -1, 0)
    errors = [c - x + x * y**k for k, c in enumerate(_BEALE, 1)]
    dx = sum(2 * e * (y**k - 1) for k, e in enumerate(errors, 1))
    dy = sum(2 * e * x * k * y ** (k - 1) for k, e in enumerate(errors, 1))
    return np.stack([dx, dy], -1)


def _saddle(p):
    x, y = np.moveaxis(np.asarray(p, float), -1, 0)
    return x**2 / 2 - y**2 / 2 + y**4 / 4


def _saddle_gradient(p):
    x, y = np.moveaxis(np.asarray(p, float), -1, 0)
    return np.stack([x, y**3 - y], -1)


SURFACES = {
    "ill-conditioned quadratic": Surface(
        _quadratic, _quadratic_gradient, np.zeros((1, 2)), 0.0, np.array([-4.0, 1.0]), (-4.5, 1.5, -1.5, 1.5)
    ),
    "Rosenbrock": Surface(
        _rosenbrock, _rosenbrock_gradient, np.ones((1, 2)), 0.0, np.array([-1.2, 1.0]), (-1.8, 1.8, -0.8, 2.2)
    ),
    "Beale": Surface(
        _beale, _beale_gradient, np.array([[3.0, 0.5]]), 0.0, np.array([1.0, 1.5]), (-1.0, 4.5, -2.0, 2.0)
    ),
    "saddle": Surface(
        _saddle,
        _saddle_gradient,
        np.array([[0.0, -1.0], [0.0, 1.0]]),
        -0.25,
        np.array([-1.0, 1e-3]),
        (-1.5, 1.5, -1.5, 1.5),
    ),
}


def descend(surface: Surface, rule: Callable, steps: int, start: np.ndarray | None = None, **settings) -> np.ndarray:
    """The path of a rule such as :func:`adam_step` on a surface.

    Parameters
    ----------
    surface : one of ``SURFACES``
    rule : a function ``(p, g, memory, **settings) -> p, memory``
    steps : how many
    start : (..., 2) array, one point or many at once; by default the surface's own
    settings : of the rule, ``lr`` among them

    Returns
    -------
    path : (steps + 1, ..., 2) array, the start first. A path that leaves ±10⁶ stays where it left.
    """
    p, memory = np.array(surface.start if start is None else start, float), {}
    path = [p]
    for _ in range(steps):
        inside = np.abs(p).max(axis=-1, keepdims=True) < 1e6
        moved, memory = rule(p, surface.gradient(np.where(inside, p, 0.0)), memory, **settings)
        p = np.where(inside, moved, p)
        path.append(p)
    return np.array(path)


# ------------------------------------------------------------------------------------------------------ the XOR trial

_XOR_X, _XOR_T = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array([[0.0], [1], [1], [0]])


class XORTrial(NamedTuple):
    """What :func:`xor_trial` measured, one number a network.

    Attributes
    ----------
    epochs : (S,) updates until the mean squared error fell below the target; infinite where it did not
    error : (S,) mean squared error at the end
    parameters : [w1, b1, w2, b2] at the end, (S, 2, H), (S, 1, H), (S, H, 1), (S, 1, 1)
    """

    epochs: np.ndarray
    error: np.ndarray
    parameters: list[np.ndarray]


def xor_networks(n: int, hidden: int = 3, scale: float = 1.0, seed: int = 0) -> list[np.ndarray]:
    """Fresh parameters of ``n`` networks 2-hidden-1: weights normal with standard deviation ``scale``, biases 0."""
    rng = np.random.default_rng(seed)
    shapes = ((n, 2, hidden), (n, 1, hidden), (n, hidden, 1), (n, 1, 1))
    return [scale * rng.normal(size=shape) if i % 2 == 0 else np.zeros(shape) for i, shape in enumerate(shapes)]


def xor_gradients(
    parameters: Sequence[np.ndarray], loss: str = "squared", activation: str = "sigmoid", bipolar: bool = False
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Mean squared error on XOR's four points, and the gradients of the training loss, for many networks at once.

    The output unit is a sigmoid. The training loss is the mean over the four points.

    Parameters
    ----------
    parameters : as :func:`xor_networks` gives them
    loss : "squared" or "cross-entropy"
    activation : of the hidden units, "sigmoid" or "tanh"
    bipolar : inputs -1 and +1 in place of 0 and 1

    Returns
    -------
    error : (S,)
    gradients : arrays like ``parameters``

    Raises
    ------
    ValueError
        ``loss`` or ``activation`` is unknown.
    """
    if loss not in ("squared", "cross-entropy"):
        raise ValueError(f"loss is {loss!r}; expected 'squared' or 'cross-entropy'")
    if activation not in ("sigmoid", "tanh"):
        raise ValueError(f"activation is {activation!r}; expected 'sigmoid' or 'tanh'")
    w1, b1, w2, b2 = parameters
    x = 2 * _XOR_X - 1 if bipolar else _XOR_X  # (4, 2)
    z = np.tanh(x @ w1 + b1) if activation == "tanh" else _sigmoid(x @ w1 + b1)  # (S, 4, H)
    y = _sigmoid(z @ w2 + b2)  # (S, 4, 1)
    dy = (y - _XOR_T) / 4 if loss == "cross-entropy" else 2 * (y - _XOR_T) / 4 * y * (1 - y)
    dz = dy @ w2.transpose(0, 2, 1) * (1 - z * z if activation == "tanh" else z * (1 - z))
    gradients = [x.T @ dz, dz.sum(1, keepdims=True), z.transpose(0, 2, 1) @ dy, dy.sum(1, keepdims=True)]
    return ((y - _XOR_T) ** 2).mean(axis=(1, 2)), gradients


def xor_trial(
    rule: Callable,
    parameters: Sequence[np.ndarray],
    *,
    cap: int = 2000,
    target: float = 0.01,
    loss: str = "squared",
    activation: str = "sigmoid",
    bipolar: bool = False,
    **settings,
) -> XORTrial:
    """Train many networks on XOR side by side, each full-batch, and note when each reaches the target.

    Rules act on each number by itself, so that one array can hold the weights of all networks.

    Parameters
    ----------
    rule : such as :func:`adam_step`
    parameters : the networks to start from; they are not changed
    cap : epochs after which a network that has not reached the target is given up: *censored*
    target : mean squared error to reach, whatever the training loss
    loss, activation, bipolar : as :func:`xor_gradients`
    settings : of the rule, ``lr`` among them
    """
    parameters, memories = list(parameters), [{} for _ in parameters]
    epochs = np.full(len(parameters[0]), np.inf)
    for epoch in range(cap + 1):
        error, gradients = xor_gradients(parameters, loss, activation, bipolar)
        epochs[(error < target) & np.isinf(epochs)] = epoch
        if epoch == cap:
            break
        for i, g in enumerate(gradients):
            parameters[i], memories[i] = rule(parameters[i], g, memories[i], **settings)
    return XORTrial(epochs, error, parameters)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 + 0.5 * np.tanh(0.5 * x)


# --------------------------------------------------------------------------------------------------------------- checks


def _pair(p: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    p, g = np.asarray(p), np.asarray(g)
    for name, a in (("p", p), ("g", g)):
        if not np.issubdtype(a.dtype, np.floating):
            raise ValueError(f"{name} has dtype {a.dtype}; expected a float dtype such as float32 or float64")
    if p.shape != g.shape:
        raise ValueError(f"g has shape {g.shape}; expected that of p, {p.shape}")
    return p, g


def _setting(name: str, value: float, least: float, below: float = math.inf) -> None:
    if not least <= value < below:
        text = f"at least {least}" + (f" and below {below}" if below < math.inf else "")
        raise ValueError(f"{name} is {value}; expected a finite number, {text}")


def _positive(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise ValueError(f"{name} is {value}; expected a positive number")


def _time(t: Time) -> np.ndarray:
    t = np.asarray(t)
    if t.dtype.kind not in "iuf" or (t < 0).any():
        raise ValueError(f"t is {t}; expected the number of updates done, 0 or more")
    return t.astype(float)
