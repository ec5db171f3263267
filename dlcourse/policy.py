"""Chapter 19: policy gradients by hand: returns, a Gaussian policy, REINFORCE with a baseline.

    policy = GaussianPolicy(2, 16, np.random.default_rng(0))
    run = reinforce(step, draw, policy, iterations=100)    # step(states, actions) -> states, rewards, over
    run.returns                                            # mean return of each iteration

An agent sees a state s, draws an action a ~ π(a | s), gets a reward r, and sees the next state. What it wants is a
large return, ``G_t = r_t + γ r_{t+1} + γ² r_{t+2} + ...``. It knows neither how rewards nor how states come about, so
it cannot differentiate them. It need not: for J(θ), the mean return,

    ∇J = E[Σ_t ∇ log π(a_t | s_t; θ) · (G_t - b(s_t))]

since ∇π = π ∇ log π. Whatever the baseline b, the mean is the same; one near the mean of G_t makes the spread small.

Sources: Williams, Simple statistical gradient-following algorithms for connectionist reinforcement learning, Machine
Learning 8 (1992); Sutton and Barto, Reinforcement learning: an introduction, MIT Press (2nd ed. 2018), chapter 13.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from dlcourse.arrays import as_float
from dlcourse.mlp import linear_backward, linear_forward
from dlcourse.optim import Adam, cosine

Step = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]

# ------------------------------------------------------------------------------------------------------- returns


def discounted_returns(rewards: np.ndarray, gamma: float) -> np.ndarray:
    """``G_t = r_t + γ G_{t+1}``, from the last moment back.

    Parameters
    ----------
    rewards : (T,) or (T, B), B episodes side by side; what comes after an episode's end is 0
    gamma : from 0 to 1

    Returns
    -------
    (T,) or (T, B), of the rewards' dtype

    Raises
    ------
    ValueError
        The rewards are no floats or have another shape, or ``gamma`` is out of range.

    Source: Sutton and Barto (2018), equation 3.9.
    """
    rewards = as_float(rewards, "rewards")
    if rewards.ndim not in (1, 2):
        raise ValueError(f"rewards has shape {rewards.shape}; expected (T,) or (T, B)")
    if not 0 <= gamma <= 1:
        raise ValueError(f"gamma is {gamma}; expected a number from 0 to 1")
    returns = np.zeros_like(rewards)
    following = np.zeros(rewards.shape[1:], rewards.dtype)
    for t in range(len(rewards) - 1, -1, -1):
        following = rewards[t] + rewards.dtype.type(gamma) * following
        returns[t] = following
    return returns


# ------------------------------------------------------------------------------------------------------- networks


def tanh_net_forward(x: np.ndarray, parameters: list[np.ndarray]) -> tuple[np.ndarray, tuple]:
    """``tanh(x w1 + b1) w2 + b2``: x (N, D) to (N, M), with the parameters [w1, b1, w2, b2]."""
    w1, b1, w2, b2 = parameters
    pre, first = linear_forward(x, w1, b1)
    hidden = np.tanh(pre)
    out, second = linear_forward(hidden, w2, b2)
    return out, (hidden, first, second)


def tanh_net_backward(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, list[np.ndarray]]:
    """``dx`` and the gradients of [w1, b1, w2, b2]."""
    hidden, first, second = cache
    dhidden, dw2, db2 = linear_backward(dout, second)
    dx, dw1, db1 = linear_backward(dhidden * (1 - hidden**2), first)
    return dx, [dw1, db1, dw2, db2]


def tanh_net(D: int, hidden: int, M: int, rng: np.random.Generator, scale: float = 1.0) -> list[np.ndarray]:
    """Parameters for :func:`tanh_net_forward`; the last layer is ``scale`` times as large as usual."""
    w1 = rng.normal(size=(D, hidden)) / math.sqrt(D)
    return [w1, np.zeros(hidden), scale * rng.normal(size=(hidden, M)) / math.sqrt(hidden), np.zeros(M)]


# ------------------------------------------------------------------------------------------------------- policies


def gaussian_forward(mean: np.ndarray, log_std: float, actions: np.ndarray) -> tuple[np.ndarray, tuple]:
    """``log π(a) = -(a - mean)² / (2 σ²) - log σ - log(2π) / 2`` with σ = exp(log_std), for each action.

    Source: Sutton and Barto (2018), equation 13.19.
    """
    z = (actions - mean) / np.exp(log_std)
    return -0.5 * z**2 - log_std - 0.5 * math.log(2 * math.pi), (z, log_std)


def gaussian_backward(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray]:
    """``dmean = dout (a - mean) / σ²`` and ``dlog_std = Σ dout ((a - mean)² / σ² - 1)``."""
    z, log_std = cache
    return dout * z / np.exp(log_std), np.sum(dout * (z**2 - 1))


def softmax_policy_gradient(x: np.ndarray, w: np.ndarray, actions: np.ndarray, advantages: np.ndarray) -> np.ndarray:
    """``Σ_t advantage_t ∇ log π(a_t | x_t)`` of the policy ``π(a | x) = softmax(x w)_a``, as w (D, A).

    ``∇ log π(a | x) = x (onehot(a) - π(· | x))ᵀ``: what was done more than expected with a good outcome is done more.

    Parameters
    ----------
    x : (N, D)
    w : (D, A)
    actions : (N,) integers
    advantages : (N,)

    Raises
    ------
    ValueError
        A shape or an action does not fit.

    Source: Williams (1992); Sutton and Barto (2018), exercise 13.3.
    """
    x, w, advantages = as_float(x, "x"), as_float(w, "w"), as_float(advantages, "advantages")
    actions = np.asarray(actions)
    if x.ndim != 2 or w.ndim != 2 or x.shape[1] != len(w):
        raise ValueError(f"x has shape {x.shape} and w {w.shape}; expected (N, D) and (D, A)")
    if actions.shape != (len(x),) or advantages.shape != (len(x),):
        raise ValueError(f"actions has shape {actions.shape} and advantages {advantages.shape}; expected ({len(x)},)")
    if actions.size and not (actions.min() >= 0 and actions.max() < w.shape[1]):
        raise ValueError(f"actions lie between {actions.min()} and {actions.max()}; there are {w.shape[1]} actions")
    scores = x @ w
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    p[np.arange(len(x)), actions] -= 1
    return -x.T @ (advantages[:, None] * p)


class GaussianPolicy:
    """``a ~ N(mean(s), σ²)``: the mean is a network with one hidden layer, σ one number, learnt as its logarithm.

    Parameters
    ----------
    D, hidden : inputs, hidden units
    rng : for the start; the last layer starts small, so that the mean does, too
    std : σ at the start

    Attributes
    ----------
    parameters : [w1, b1, w2, b2, log_std], changed in place by an optimiser

    Source: Williams (1992).
    """

    def __init__(self, D: int, hidden: int, rng: np.random.Generator, std: float = 0.5):
        self.parameters = [*tanh_net(D, hidden, 1, rng, scale=0.01), np.array(math.log(std))]

    def mean(self, states: np.ndarray) -> np.ndarray:
        """What it does when nothing is left to chance: states (N, D) to actions (N,)."""
        return tanh_net_forward(states, self.parameters[:4])[0][:, 0]

    def sample(self, states: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """An action for each state, drawn."""
        return self.mean(states) + np.exp(self.parameters[4]) * rng.normal(size=len(states))

    def gradient(self, states: np.ndarray, actions: np.ndarray, weights: np.ndarray) -> list[np.ndarray]:
        """``Σ_t weight_t ∇ log π(a_t | s_t)``, for each parameter."""
        mean, cache = tanh_net_forward(states, self.parameters[:4])
        _, chance = gaussian_forward(mean[:, 0], float(self.parameters[4]), actions)
        dmean, dlog_std = gaussian_backward(weights, chance)
        _, gradients = tanh_net_backward(dmean[:, None], cache)
        return [*gradients, np.asarray(dlog_std)]


# ------------------------------------------------------------------------------------------------------ REINFORCE


class Episodes(NamedTuple):
    """B episodes side by side: states (T, B, D), actions and rewards (T, B), and which were still going (T, B)."""

    states: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    going: np.ndarray


def rollout(step: Step, states: np.ndarray, act: Callable[[np.ndarray], np.ndarray], length: int) -> Episodes:
    """Let ``act`` play from each of the states (B, D), at most ``length`` steps; rewards after the end are 0.

    ``step(states, actions)`` gives the next states, the rewards, and which episodes are over.
    """
    going = np.ones(len(states), bool)
    seen = []
    for _ in range(length):
        actions = act(states)
        following, rewards, over = step(states, actions)
        seen.append((states, actions, np.where(going, rewards, 0), going))
        states, going = following, going & ~over
        if not going.any():
            break
    return Episodes(*(np.array(part) for part in zip(*seen, strict=True)))


class Learnt(NamedTuple):
    """What :func:`reinforce` saw: the mean return without discount, and the mean length, of each iteration."""

    returns: np.ndarray
    lengths: np.ndarray


def reinforce(
    step: Step,
    draw: Callable[[np.random.Generator, int], np.ndarray],
    policy: GaussianPolicy,
    iterations: int,
    *,
    rng: np.random.Generator,
    episodes: int = 64,
    length: int = 100,
    gamma: float = 0.95,
    lr: float = 0.03,
    baseline: bool = True,
) -> Learnt:
    """REINFORCE: play, weight each action's ∇ log π by how much better than the baseline it went, take a step of Adam.

    The baseline is a network as large as the policy's, fitted to the returns by least squares on the way. The weights
    are divided by their standard deviation, so that the rewards' unit does not matter.

    Parameters
    ----------
    step, draw : the environment, for B episodes at once; ``draw(rng, B)`` gives the first states (B, D)
    policy : changed in place

    Source: Williams (1992); Sutton and Barto (2018), section 13.4, "REINFORCE with baseline".
    """
    D, hidden = policy.parameters[0].shape
    value = tanh_net(D, hidden, 1, rng, scale=0.01)
    optimiser, values = Adam(policy.parameters, lr), Adam(value, lr)
    returns, lengths = [], []
    for i in range(iterations):
        optimiser.lr = values.lr = float(cosine(i, lr, iterations, lr / 20))
        seen = rollout(step, draw(rng, episodes), lambda s: policy.sample(s, rng), length)
        gains = discounted_returns(seen.rewards, gamma)[seen.going]
        states, actions = seen.states[seen.going], seen.actions[seen.going]
        weights = gains
        if baseline:
            expected, cache = tanh_net_forward(states, value)
            weights = gains - expected[:, 0]
            _, gradients = tanh_net_backward(-2 * weights[:, None] / len(weights), cache)
            values.step(gradients)
        weights = weights / (weights.std() + 1e-8) / len(weights)
        optimiser.step([-g for g in policy.gradient(states, actions, weights)])
        returns.append(seen.rewards.sum(axis=0).mean())
        lengths.append(seen.going.sum(axis=0).mean())
    return Learnt(np.array(returns), np.array(lengths))
