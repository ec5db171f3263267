"""Chapter 19: a steel ball under an electromagnet: physics, an environment, a controller tuned by hand.

    ball = Levitation()                                    # a gymnasium environment: one ball
    states = starts(np.random.default_rng(0), 64)          # (B, 2): gap below the magnet in m, speed in m/s
    outcome(pd_controller(), states)                       # which are held, and how far from where they should be
    step(scaled(states), actions)                          # B balls at once, for dlcourse.policy.reinforce

The magnet pulls a ball of mass m up with ``C (i / x)²``, i the current in its coil, x the gap, which counts downwards:

    m d²x/dt² = m g - C (i / x)²

At the gap x₀ the current ``i₀ = x₀ √(m g / C)`` just holds the ball. Around it d²δ/dt² = (2 g / x₀) δ - (2 g / i₀)
δi: a ball that is a little too low falls away, e times as far every √(x₀ / 2 g) = 17 ms. Some controller must look
again and again. The numbers are of the size of a laboratory's set: 68 g, 6 mm, 0.86 A, at most 3 A.

Sources: Wong, Design of a magnetic levitation control system: an undergraduate project, IEEE Trans. Education 29
(1986); the force is that of an inductance that falls with 1 / x: Woodson and Melcher, Electromechanical dynamics,
Wiley (1968).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import gymnasium
import numpy as np

MASS = 0.068  # kg
GRAVITY = 9.81  # m/s²
FORCE = 3.27e-5  # C, N m²/A²
TARGET = 6e-3  # m, where the ball should be
NEAREST, FARTHEST = 1e-3, 14e-3  # m, the magnet and the floor
MOST = 3.0  # A
TICK = 2e-3  # s between two decisions
SUBSTEPS = 2  # steps of Runge and Kutta in a tick
HOLD = TARGET * math.sqrt(MASS * GRAVITY / FORCE)  # A, i₀: 0.86
SPEED = math.sqrt(GRAVITY * TARGET)  # m/s, the unit of speed in what a policy sees

Controller = Callable[[np.ndarray], np.ndarray]  # states (B, 2) to currents (B,)


def acceleration(states: np.ndarray, current: np.ndarray) -> np.ndarray:
    """(speed, ``g - C / m (i / x)²``) of states (B, 2): what (x, speed) change by, per second.

    Source: Wong (1986).
    """
    x = np.maximum(states[:, 0], NEAREST / 2)
    return np.stack([states[:, 1], GRAVITY - FORCE / MASS * (current / x) ** 2], axis=1)


def advance(states: np.ndarray, current: np.ndarray, seconds: float = TICK, substeps: int = SUBSTEPS) -> np.ndarray:
    """States (B, 2) after some time at a constant current (B,), by the classical Runge-Kutta rule.

    The current is limited to 0 ... 3 A.
    """
    current, h = np.clip(current, 0, MOST), seconds / substeps
    for _ in range(substeps):
        k1 = acceleration(states, current)
        k2 = acceleration(states + h / 2 * k1, current)
        k3 = acceleration(states + h / 2 * k2, current)
        k4 = acceleration(states + h * k3, current)
        states = states + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return states


def fallen(states: np.ndarray) -> np.ndarray:
    """Which balls touch the magnet or the floor."""
    return (states[:, 0] <= NEAREST) | (states[:, 0] >= FARTHEST)


def starts(rng: np.random.Generator, count: int) -> np.ndarray:
    """First states (B, 2): gaps from 1.5 to 10.5 mm, speeds up to 0.3 m/s either way."""
    far = np.array([4.5e-3, 0.3])
    return np.array([TARGET, 0.0]) + rng.uniform(-far, far, (count, 2))


def hopeless(states: np.ndarray, ticks: int = 100) -> np.ndarray:
    """Which balls nothing can hold: they reach the magnet without any current, or the floor with all of it."""
    lost = np.zeros(len(states), bool)
    for current, way, end in ((0.0, -1, NEAREST), (MOST, 1, FARTHEST)):
        now, going = states, way * states[:, 1] > 0  # until it turns round
        for _ in range(ticks):
            now = advance(now, np.full(len(now), current))
            lost |= going & (way * now[:, 0] >= way * end)
            going &= way * now[:, 1] > 0
    return lost


# ------------------------------------------------------------------------------------------------- for a policy


def scaled(states: np.ndarray) -> np.ndarray:
    """What a policy sees: ``((x - x₀) / x₀, speed / √(g x₀))``."""
    return (states - [TARGET, 0.0]) / [TARGET, SPEED]


def unscaled(seen: np.ndarray) -> np.ndarray:
    """The states (B, 2) in m and m/s behind what a policy sees."""
    return seen * [TARGET, SPEED] + [TARGET, 0.0]


def current_of(actions: np.ndarray) -> np.ndarray:
    """An action is the current as a share of i₀, minus 1: 0 is what holds a ball that is at rest in its place."""
    return np.clip(HOLD * (1 + actions), 0, MOST)


def step(seen: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One tick of B balls: what is seen next (B, 2), the rewards (B,), and which fell (B,).

    The reward is ``1 - 3 ((x - x₀) / x₀)²`` while the ball is held, and -10 once when it falls.
    """
    states = advance(unscaled(seen), current_of(actions))
    following, over = scaled(states), fallen(states)
    return following, np.where(over, -10.0, 1 - 3 * following[:, 0] ** 2), over


class Levitation(gymnasium.Env):
    """One ball as an environment of gymnasium; see :func:`step` for the reward.

    Observation: what :func:`scaled` gives, as float32. Action: :func:`current_of` twice its number, shape (1,), so that
    from -1 to 1 it covers currents from 0 to 3 i₀. An episode ends when the ball falls, and is cut off after ``limit``
    ticks. ``reset(options={"state": (x, speed)})`` says where the ball starts.

    Source: Wong (1986).
    """

    metadata = {"render_modes": []}  # noqa: RUF012  the form that gymnasium gives it

    def __init__(self, limit: int = 250):
        self.limit = limit
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
        self.action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        """The first observation and an empty ``info``."""
        super().reset(seed=seed)
        state = (options or {}).get("state")
        state = starts(self.np_random, 1) if state is None else np.array([state], dtype=float)
        self.seen, self.ticks = scaled(state), 0
        return self.seen[0].astype(np.float32), {}

    def step(self, action: np.ndarray):
        """Observation, reward, whether the ball fell, whether the time is over, an empty ``info``."""
        self.seen, reward, over = step(self.seen, 2 * np.asarray(action, dtype=float).reshape(1))
        self.ticks += 1
        return self.seen[0].astype(np.float32), float(reward[0]), bool(over[0]), self.ticks >= self.limit, {}


# ------------------------------------------------------------------------------------------------- controllers


def pd_controller(frequency: float = 60.0, damping: float = 1.0) -> Controller:
    """``i = i₀ + Kp (x - x₀) + Kd v``, with gains such that the ball swings about x₀ like a damped spring.

    Around x₀ that is δ'' = (2 g / x₀) δ - (2 g / i₀)(Kp δ + Kd δ'). For δ'' = -ω² δ - 2 ζ ω δ':
    ``Kp = i₀ / (2 g) · (ω² + 2 g / x₀)`` and ``Kd = i₀ / (2 g) · 2 ζ ω``.

    Parameters
    ----------
    frequency : ω, rad/s
    damping : ζ; 1 comes back without swinging

    Raises
    ------
    ValueError
        One of them is not positive.

    Source: Wong (1986).
    """
    if not (frequency > 0 and damping > 0):
        raise ValueError(f"frequency is {frequency} and damping {damping}; expected positive numbers")
    per = HOLD / (2 * GRAVITY)
    kp, kd = per * (frequency**2 + 2 * GRAVITY / TARGET), per * 2 * damping * frequency
    return lambda states: HOLD + kp * (states[:, 0] - TARGET) + kd * states[:, 1]


def of_policy(mean: Callable[[np.ndarray], np.ndarray]) -> Controller:
    """A policy's mean, which maps what is seen to actions, as a controller of currents."""
    return lambda states: current_of(mean(scaled(states)))


class Outcome(NamedTuple):
    """For B balls: which are held to the end, and the mean squared distance from x₀, mm², nan for those that fell."""

    held: np.ndarray
    error: np.ndarray
    path: np.ndarray


def outcome(controller: Controller, states: np.ndarray, ticks: int = 250) -> Outcome:
    """Let a controller hold the balls (B, 2) for ``ticks`` of 2 ms; ``path`` (ticks + 1, B) is the gap, m.

    A ball that fell stays where it fell.
    """
    held, path = np.ones(len(states), bool), [states[:, 0]]
    for _ in range(ticks):
        states = np.where(held[:, None], advance(states, controller(states)), states)
        held &= ~fallen(states)
        path.append(states[:, 0])
    path = np.array(path)
    return Outcome(held, np.where(held, 1e6 * ((path[1:] - TARGET) ** 2).mean(axis=0), np.nan), path)
