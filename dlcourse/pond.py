"""Chapter 19: the cat and the mouse on the pond, an environment and a policy learnt for it.

    pond = Pond(ratio=4.0)                                 # a gymnasium environment: one mouse, one cat
    values = value_iteration(4.0)                          # what each state is worth, on a grid, from the rules
    play(4.0, greedy(values)).margin                       # rad between cat and mouse at the rim; > 0: it got away
    table = q_learning(4.0, np.random.default_rng(0))      # the same from steps that were tried, without the rules

A mouse swims in a round pond of radius 1 with speed 1. A cat runs along the rim, ``ratio`` times as fast, always the
shorter way round to where the mouse is nearest to the rim. The mouse is safe once it is on land and the cat is not
there.

All that matters is the state (r, gap): how far the mouse is from the middle, 0 to 1, and the angle between the
directions of cat and mouse as seen from there, 0 to π. A heading is an angle too: 0 is straight outwards, π / 2 is
along the circle, away from the cat.

Inside the circle r < 1 / ratio the mouse turns faster than the cat, so that it can have the cat opposite, gap = π, when
it leaves that circle. From there,

- straight outwards: 1 - 1 / ratio to swim while the cat runs π: the mouse escapes if ``ratio < π + 1 ≈ 4.1416``;
- along the tangent: √(1 - 1 / ratio²) to swim while the cat runs π + arccos(1 / ratio): the mouse escapes if
  ``√(ratio² - 1) < π + arccos(1 / ratio)``, up to a ratio of about 4.6033. No other way reaches more.

Sources: Gardner, Mathematical games, Scientific American 213 (November and December 1965): the lady on the lake;
Isaacs, Differential games, Wiley (1965); Başar and Olsder, Dynamic noncooperative game theory, SIAM (1999), chapter
8, where the optimal play is derived; Bellman, Dynamic programming, Princeton University Press (1957); Watkins and
Dayan, Q-learning, Machine Learning 8 (1992); Gordon, Stable function approximation in dynamic programming, ICML
(1995).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import gymnasium
import numpy as np
from scipy import optimize, sparse

STEP = 0.03  # the mouse's way between two decisions, in radii
Policy = Callable[[np.ndarray], float]  # a state (2,) to a heading

# ------------------------------------------------------------------------------------------------- what is known


def tangent_margin(ratio: float) -> float:
    """The angle that is left between cat and mouse at the rim after the dash along the tangent, rad.

    ``π + arccos(1 / ratio) - √(ratio² - 1)``; negative where the cat is there first.

    Raises
    ------
    ValueError
        ``ratio`` is below 1.

    Source: Başar and Olsder (1999), chapter 8.
    """
    ratio = _ratio(ratio)
    return math.pi + math.acos(1 / ratio) - math.sqrt(ratio**2 - 1)


def radial_margin(ratio: float) -> float:
    """The same after the dash straight outwards: ``π - (ratio - 1)``.

    Source: Gardner (1965).
    """
    return math.pi + 1 - _ratio(ratio)


def critical_ratio(margin: Callable[[float], float] = tangent_margin) -> float:
    """The ratio at which a dash leaves no margin: 4.6033... along the tangent, π + 1 straight outwards.

    Source: Gardner (1965); Başar and Olsder (1999), chapter 8.
    """
    return float(optimize.brentq(margin, 1.0, 10.0, xtol=1e-12))


def _ratio(ratio: float) -> float:
    if not 1 <= ratio < math.inf:
        raise ValueError(f"ratio is {ratio}; expected a finite number from 1 on: the cat is the faster one")
    return float(ratio)


# ------------------------------------------------------------------------------------------------------ one step


class Moved(NamedTuple):
    """What a step leads to.

    ``r`` and ``gap`` are the new state; ``landed`` says which mice are on land, and ``margin`` their angle to the cat
    there. ``turned`` is the angle by which the mouse's direction turned away from the cat; ``passed`` says where the
    cat now has the shorter way on its other side.
    """

    r: np.ndarray
    gap: np.ndarray
    landed: np.ndarray
    margin: np.ndarray
    turned: np.ndarray
    passed: np.ndarray


def move(r: np.ndarray, gap: np.ndarray, heading: np.ndarray, ratio: float, step: float = STEP) -> Moved:
    """The mouse swims ``step`` straight ahead; meanwhile the cat runs up to ``ratio · step`` towards it.

    With the mouse at (r, 0) it comes to ``(x, y) = (r + step cos(heading), step sin(heading))``. The gap grows by
    ``atan2(y, x)`` and shrinks by what the cat runs; at exactly π the cat does not see which way the mouse will go. A
    step that crosses the rim ends there; ``margin`` is the gap at that moment, negative by what the cat had to spare.

    Parameters
    ----------
    r, gap, heading : arrays that broadcast; r from 0 to 1, gap from 0 to π

    Source: Başar and Olsder (1999), chapter 8, in the coordinates of the head of this module.
    """
    r, gap, heading = np.broadcast_arrays(*(np.asarray(a, dtype=float) for a in (r, gap, heading)))
    along, across = np.cos(heading), np.sin(heading)
    outward = r * along
    to_rim = np.sqrt(np.maximum(outward**2 + 1 - r**2, 0)) - outward  # from |(r + s along, s across)| = 1
    landed = to_rim <= step
    way = np.where(landed, to_rim, step)
    x, y = r + way * along, way * across
    turned = np.arctan2(y, x)
    apart = gap + turned  # negative where the mouse swam past the cat's direction, so that the cat turns round
    margin = np.abs(apart) - ratio * way
    left = np.maximum(margin, 0)  # a cat that is there stays there
    passed = (apart < 0) | (left > np.pi)
    return Moved(
        np.where(landed, 1.0, np.hypot(x, y)), np.minimum(left, 2 * np.pi - left), landed, margin, turned, passed
    )


# ----------------------------------------------------------------------------------------------- the environment


class Pond(gymnasium.Env):
    """The puzzle as an environment of gymnasium.

    Observation: (r, gap) as float32. Action: the heading as a part of π, shape (1,), from -1 to 1. Reward: on land
    the sign of the margin, +1 or -1; 0 on the way. ``info`` holds the mouse's place (x, y), the cat's angle and, on
    land, the margin. An episode is cut off after ``limit`` steps. The mouse starts in the middle;
    ``reset(options={"state": (r, gap)})`` puts it elsewhere.

    Raises
    ------
    ValueError
        ``ratio`` is below 1, ``step`` not positive, or a state lies outside of the pond.

    Source: Gardner (1965).
    """

    metadata = {"render_modes": []}  # noqa: RUF012  the form that gymnasium gives it

    def __init__(self, ratio: float = 4.0, step: float = STEP, limit: int = 400):
        if not step > 0:
            raise ValueError(f"step is {step}; expected a positive number")
        self.ratio, self.stride, self.limit = _ratio(ratio), step, limit
        low, high = np.zeros(2, np.float32), np.array([1, np.pi], np.float32)
        self.observation_space = gymnasium.spaces.Box(low, high, dtype=np.float32)
        self.action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        """The first observation and ``info``; the cat's place is drawn where ``options`` names no state."""
        super().reset(seed=seed)
        r, gap = (options or {}).get("state", (0.0, self.np_random.uniform(0, np.pi)))
        if not (0 <= r < 1 and 0 <= gap <= np.pi):
            raise ValueError(f"state is {(r, gap)}; expected r from 0 up to 1 and a gap from 0 to π")
        self.state, self.steps = (float(r), float(gap)), 0
        self.angle, self.side = 0.0, 1.0  # where the mouse is, and on which side of it the cat's shorter way lies
        return self._observation(), self._info()

    def step(self, action: np.ndarray):
        """Observation, reward, whether the mouse has landed, whether the time is over, ``info``."""
        heading = math.pi * float(np.asarray(action).reshape(()))
        moved = move(*self.state, heading, self.ratio, self.stride)
        self.state, self.steps = (float(moved.r), float(moved.gap)), self.steps + 1
        self.angle += self.side * float(moved.turned)
        if moved.passed:
            self.side = -self.side
        info = self._info() | ({"margin": float(moved.margin)} if moved.landed else {})
        reward = float(np.sign(moved.margin)) if moved.landed else 0.0
        return self._observation(), reward, bool(moved.landed), self.steps >= self.limit, info

    def _observation(self) -> np.ndarray:
        return np.clip(np.array(self.state, np.float32), self.observation_space.low, self.observation_space.high)

    def _info(self) -> dict:
        (r, gap), place = self.state, self.angle
        return {"mouse": np.array([r * math.cos(place), r * math.sin(place)]), "cat": place - self.side * gap}


class Play(NamedTuple):
    """One episode: the mouse's places (T, 2), the cat's angles (T,), and the margin; nan if it never landed."""

    mouse: np.ndarray
    cat: np.ndarray
    margin: float

    @property
    def escaped(self) -> bool:
        """Whether the mouse is on land, and the cat elsewhere."""
        return self.margin > 0


def play(ratio: float, policy: Policy, state=(0.0, math.pi / 2), step: float = STEP, limit: int = 400) -> Play:
    """Run a policy in :class:`Pond` once."""
    pond = Pond(ratio, step, limit)
    seen, info = pond.reset(options={"state": state})
    infos, over = [info], False
    while not over:
        seen, _, landed, late, info = pond.step(np.array([policy(seen) / math.pi]))
        infos.append(info)
        over = landed or late
    return Play(
        np.array([i["mouse"] for i in infos]), np.array([i["cat"] for i in infos]), info.get("margin", math.nan)
    )


def dash(ratio: float, heading: str = "tangent") -> Policy:
    """The way out from (1 / ratio, π), as a policy: a straight line outwards, or one that touches the circle it leaves.

    A line that touches the circle of radius 1 / ratio has the heading ``arcsin(1 / (ratio · r))`` further out.

    Raises
    ------
    ValueError
        ``heading`` is neither ``tangent`` nor ``radial``.

    Source: Gardner (1965); Başar and Olsder (1999), chapter 8.
    """
    if heading not in ("tangent", "radial"):
        raise ValueError(f"heading is {heading!r}; expected tangent or radial")
    inner = 1 / _ratio(ratio)
    return lambda state: math.asin(inner / max(inner, float(state[0]))) if heading == "tangent" else 0.0


# ------------------------------------------------------------------------------------------------- what is learnt


class Table(NamedTuple):
    """Numbers on a grid over the states: ``values`` (R, G) or, one for each heading, (R, G, A).

    Row i stands for r = i / (R - 1), column j for gap = π j / (G - 1), heading a for 2 π a / A.
    """

    values: np.ndarray
    headings: np.ndarray
    ratio: float
    step: float
    discount: float


def corners(r: np.ndarray, gap: np.ndarray, rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """The four grid points around each state, as flat indices (4, N), and their shares (4, N), which add up to 1."""
    u, v = np.ravel(r) * (rows - 1), np.ravel(gap) / np.pi * (columns - 1)
    i, j = np.minimum(u.astype(int), rows - 2), np.minimum(v.astype(int), columns - 2)
    u, v = u - i, v - j
    places = np.stack([i * columns + j, (i + 1) * columns + j, i * columns + j + 1, (i + 1) * columns + j + 1])
    return places, np.stack([(1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v])


def value_iteration(
    ratio: float, size: int = 41, headings: int = 32, step: float = STEP, discount: float = 0.94, tol: float = 1e-6
) -> Table:
    """What each state is worth, from the rules: sweep ``V(s) ← max over headings of target(s, heading)``.

    ``target`` is the margin (0 if the cat is there) where the step lands, else ``discount · V(next state)``, with V
    between the ``size`` × ``size`` grid points read off linearly. The discount makes the mouse hurry.

    Raises
    ------
    ValueError
        A setting is out of range.

    Source: Bellman (1957), chapter 3.
    """
    grid, angles, next_step = _problem(ratio, size, headings, step, discount)
    places, shares = corners(next_step.r, next_step.gap, size, size)
    landed = next_step.landed.ravel()
    shares = np.where(landed, 0, discount * shares)
    n = len(landed)
    expected = sparse.csr_matrix((shares.ravel(), (np.tile(np.arange(n), 4), places.ravel())), shape=(n, size * size))
    reward = np.where(landed, np.maximum(next_step.margin.ravel(), 0), 0)
    values = np.tile(grid[1], (size, 1))
    values[:-1] = 0  # on the rim the margin itself; elsewhere not known yet
    change = math.inf
    while change > tol:
        best = (expected @ values.ravel() + reward).reshape(size - 1, size, headings).max(axis=2)
        change = np.abs(best - values[:-1]).max()
        values[:-1] = best
    return Table(values, angles, ratio, step, discount)


def _problem(ratio: float, size: int, headings: int, step: float, discount: float):
    """The grid, the headings, and where each heading leads from each grid point that is no land."""
    _ratio(ratio)
    if size < 3 or headings < 4 or not step > 0 or not 0 < discount < 1:
        raise ValueError(
            f"size is {size}, headings {headings}, step {step}, discount {discount}; expected at least 3, at least 4, "
            "a positive number, and a number between 0 and 1"
        )
    grid = np.linspace(0, 1, size), np.linspace(0, np.pi, size)
    angles = np.linspace(0, 2 * np.pi, headings, endpoint=False)
    return grid, angles, move(grid[0][:-1, None, None], grid[1][:, None], angles, ratio, step)


def greedy(table: Table) -> Policy:
    """The heading with the best target one step ahead; of a table that has a number for each heading, the best."""
    rows, columns = table.values.shape[:2]

    def read(values: np.ndarray, r, gap) -> np.ndarray:
        places, shares = corners(r, gap, rows, columns)
        return np.einsum("kn,kn...->n...", shares, values.reshape(rows * columns, -1)[places])

    def policy(state: np.ndarray) -> float:
        r, gap = float(state[0]), float(state[1])
        if table.values.ndim == 3:
            targets = read(table.values, r, gap)[0]
        else:
            ahead = move(r, gap, table.headings, table.ratio, table.step)
            later = table.discount * read(table.values, ahead.r, ahead.gap)[:, 0]
            targets = np.where(ahead.landed, np.maximum(ahead.margin, 0), later)
        return float(np.mod(table.headings[targets.argmax()] + np.pi, 2 * np.pi) - np.pi)

    return policy


def q_learning(
    ratio: float,
    rng: np.random.Generator,
    size: int = 31,
    headings: int = 32,
    step: float = STEP,
    discount: float = 0.94,
    rounds: int = 200,
    tries: int = 20_000,
) -> Table:
    """What each heading is worth in each state, from steps that were tried: the rules are not known.

    In each round ``tries`` random steps are taken, (s, heading) → s', and each moves the four grid points around s
    towards ``target = margin`` on land, else ``discount · max over headings of Q(s', heading)``: a grid point becomes
    the mean of the targets nearby, weighted by how near they are.

    Source: Watkins and Dayan (1992); the weighted means are those of Gordon (1995), which cannot diverge.
    """
    _, angles, _ = _problem(ratio, size, headings, step, discount)
    q = np.zeros((size * size, headings))
    for _ in range(rounds):
        r, gap = np.sqrt(rng.random(tries)), np.pi * rng.random(tries)
        chosen = rng.integers(headings, size=tries)
        ahead = move(r, gap, angles[chosen], ratio, step)
        places, shares = corners(ahead.r, ahead.gap, size, size)
        later = np.zeros((tries, headings))
        for place, share in zip(places, shares, strict=True):
            later += share[:, None] * q[place]
        target = np.where(ahead.landed, np.maximum(ahead.margin, 0), discount * later.max(axis=1))
        places, shares = corners(r, gap, size, size)
        entries = (places * headings + chosen).ravel()
        total = np.bincount(entries, (shares * target).ravel(), minlength=q.size)
        weight = np.bincount(entries, shares.ravel(), minlength=q.size)
        rate = np.minimum(weight, 1)  # a point that was hardly touched hardly moves
        q += (rate * (total / np.maximum(weight, 1e-12) - q.ravel())).reshape(q.shape)
    return Table(q.reshape(size, size, headings), angles, ratio, step, discount)


def highest_ratio(
    learn: Callable[[float], Policy], low: float = 3.0, high: float = 6.0, tol: float = 0.01, step: float = STEP
) -> float:
    """The ratio up to which a policy that was learnt for it escapes: halve [low, high] until it is ``tol`` long.

    Raises
    ------
    ValueError
        It does not escape at ``low``, or does at ``high``.
    """
    for ratio, wanted in ((low, True), (high, False)):
        if play(ratio, learn(ratio), step=step).escaped != wanted:
            raise ValueError(f"at the ratio {ratio} the mouse {'does not escape' if wanted else 'escapes'}")
    while high - low > tol:
        middle = (low + high) / 2
        if play(middle, learn(middle), step=step).escaped:
            low = middle
        else:
            high = middle
    return (low + high) / 2
