"""Chapter 19: a shortcut that holds in the training data and not elsewhere, and three ways to train.

    envs = [coloured(x[i::2], y[i::2], agree, rng=rng) for i, agree in enumerate((0.9, 0.8))]   # colour goes with label
    net = fit(envs, "erm", seed=0)                # or "balanced" or "irm"
    accuracy(net, coloured(x_test, y_test, 0.1, rng=rng))   # where the colour says the opposite

Digits of two colours: the label says whether a digit is 5 or more, and is wrong for a quarter of the images, so that
the colour is the better clue in training. A cause goes with its effect in every environment; a shortcut does not.

Sources: Arjovsky, Bottou, Gulrajani and Lopez-Paz, Invariant risk minimization, arXiv:1907.02893 (2019); Sagawa,
Raghunathan, Koh and Liang, An investigation of why overparameterization exacerbates spurious correlations, ICML (2020),
arXiv:2005.04345.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from dlcourse.train import evaluating

WAYS = ("erm", "balanced", "irm")


class Environment(NamedTuple):
    """Images from one place, all gathered alike."""

    x: np.ndarray  # (N, 2, H, W): one channel for each colour
    y: np.ndarray  # (N,) 0 or 1, partly wrong
    colour: np.ndarray  # (N,) 0 or 1


def coloured(
    images: np.ndarray, digits: np.ndarray, agreement: float, *, rng: np.random.Generator, noise: float = 0.25
) -> Environment:
    """Digits painted in one of two colours, which tells the label in a share ``agreement`` of the images.

    The label is 1 for digits from 5 on, then turned over with probability ``noise``; the colour is the label (so
    turned), turned over again with probability 1 - agreement.

    Source: Arjovsky et al. (2019), section 5.2.

    Parameters
    ----------
    images : (N, H, W) from 0 to 1
    digits : (N,) from 0 to 9

    Raises
    ------
    ValueError
        The shapes do not fit, or a share is not from 0 to 1.
    """
    images, digits = np.asarray(images), np.asarray(digits)
    if images.ndim != 3 or digits.shape != images.shape[:1]:
        raise ValueError(f"images has shape {images.shape}, digits {digits.shape}; expected (N, H, W) and (N,)")
    for name, share in (("agreement", agreement), ("noise", noise)):
        if not 0 <= share <= 1:
            raise ValueError(f"{name} is {share}; expected a share from 0 to 1")
    y = (digits >= 5) ^ (rng.random(len(digits)) < noise)
    colour = y ^ (rng.random(len(digits)) >= agreement)
    x = np.zeros((len(images), 2, *images.shape[1:]), images.dtype)
    x[np.arange(len(images)), colour.astype(int)] = images
    return Environment(x, y.astype(np.int64), colour.astype(np.int64))


def group_weights(y: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Weights (N,) of mean 1 under which every (label, group) that occurs counts alike: then neither tells the other.

    Source: Sagawa et al. (2020), section 2, reweighting.
    """
    _, which, counts = np.unique(np.stack([y, groups]), axis=1, return_inverse=True, return_counts=True)
    return len(y) / (len(counts) * counts[which.reshape(-1)])


def irm_penalty(logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """``|∂/∂w of R(w · logits)|²`` at w = 1: how much an environment of its own would rescale the outputs.

    Source: Arjovsky et al. (2019), section 3.1, IRMv1.

    Parameters
    ----------
    logits : (N,)
    y : (N,) of 0 and 1
    """
    scale = torch.ones((), dtype=logits.dtype, requires_grad=True)
    loss = F.binary_cross_entropy_with_logits(scale * logits, y.to(logits.dtype))
    return torch.autograd.grad(loss, scale, create_graph=True)[0] ** 2


def fit(
    environments: Sequence[Environment], way: str, *, seed: int, hidden: int = 128, steps: int = 300, lr: float = 1e-3,
    penalty: float = 1e4, from_step: int = 100, decay: float = 1e-3,
) -> nn.Sequential:  # fmt: skip
    """Train a network with two hidden layers on all images of all environments at each step.

    ``"erm"`` lowers the mean loss; ``"balanced"`` the mean with :func:`group_weights` for the colours, which it must be
    told; ``"irm"`` the mean plus ``penalty`` times :func:`irm_penalty`, averaged over environments, which it must be
    told apart. After ``from_step`` steps with a penalty of 1, the loss is divided by the penalty, as the authors do.

    Source: Arjovsky et al. (2019), section 5.2 and appendix D.

    Raises
    ------
    ValueError
        ``way`` is none of ``WAYS``.
    """
    if way not in WAYS:
        raise ValueError(f"way is {way!r}; expected one of {', '.join(WAYS)}")
    sets = [(torch.as_tensor(e.x).flatten(1), torch.as_tensor(e.y).float()) for e in environments]
    weights = [torch.as_tensor(group_weights(e.y, e.colour), dtype=sets[0][0].dtype) for e in environments]
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        net = nn.Sequential(
            nn.Flatten(), nn.Linear(sets[0][0].shape[1], hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(),
            nn.Linear(hidden, 1), nn.Flatten(0),
        )  # fmt: skip
    optimiser = torch.optim.Adam(net.parameters(), lr)
    for step in range(steps):
        outs = [net(x) for x, _ in sets]
        risks = [
            F.binary_cross_entropy_with_logits(out, y, w if way == "balanced" else None)
            for out, (_, y), w in zip(outs, sets, weights, strict=True)
        ]
        loss = torch.stack(risks).mean() + decay * sum((p**2).sum() for p in net.parameters())
        if way == "irm":
            strength = penalty if step >= from_step else 1.0
            loss = (
                loss + strength * torch.stack([irm_penalty(o, y) for o, (_, y) in zip(outs, sets, strict=True)]).mean()
            )
            loss = loss / max(strength, 1.0)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return net


def accuracy(net: nn.Module, environment: Environment) -> float:
    """The share of images whose label, wrong ones included, the network gives; 75% is what shape alone can reach.

    Source: Arjovsky et al. (2019), section 5.2.
    """
    with torch.no_grad(), evaluating(net):
        return float(((net(torch.as_tensor(environment.x)) > 0).numpy() == environment.y).mean())
