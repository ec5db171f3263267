"""Chapter 19: one network for several questions: several labels at once, several heads on one trunk.

    images, present = mosaic(x, y, rng=rng)           # pictures with several digits; which digits occur, (N, 10)
    net = Heads(trunk, {"digit": 10, "turn": 4}, width=64)
    loss = multi_task_loss(net(images), targets)      # a sum over the heads, each with its own cross-entropy

A multi-label problem has one yes or no a class, hence a sigmoid a class and the binary cross-entropy of
:func:`dlcourse.losses.binary_cross_entropy_forward`. A multi-task network has one trunk and a head a task. Many small
tasks, one after the other, teach how to learn: :func:`on_episodes`.

Source: Caruana, Multitask learning, Machine Learning 28 (1997).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from dlcourse.fewshot import episode


def mosaic(
    x: np.ndarray, y: np.ndarray, n: int, *, rng: np.random.Generator, n_classes: int = 10, empty: float = 0.4
) -> tuple[np.ndarray, np.ndarray]:
    """Pictures of 2 × 2 places, in each place one real image or nothing; and which classes occur.

    Source: the usual construction of multi-label sets from single images.

    Parameters
    ----------
    x : (M, H, W)
    y : (M,) classes of the images
    n : how many pictures
    empty : the probability that a place stays black

    Returns
    -------
    pictures : (n, 2H, 2W)
    present : (n, n_classes) of 0 and 1, float32; several ones, or none

    Raises
    ------
    ValueError
        The shapes do not fit, or ``empty`` is no probability.
    """
    x, y = np.asarray(x), np.asarray(y)
    if x.ndim != 3 or y.shape != x.shape[:1]:
        raise ValueError(f"x has shape {x.shape}, y {y.shape}; expected (M, H, W) and (M,)")
    if not 0 <= empty <= 1:
        raise ValueError(f"empty is {empty}; expected a probability")
    which, used = rng.integers(0, len(x), (n, 4)), rng.random((n, 4)) >= empty
    places = x[which] * used[:, :, None, None].astype(x.dtype)  # (n, 4, H, W)
    rows = [np.concatenate([places[:, i], places[:, i + 1]], axis=2) for i in (0, 2)]
    present = np.zeros((n, n_classes), np.float32)
    present[np.nonzero(used)[0], y[which][used]] = 1
    return np.concatenate(rows, axis=1), present


def turned(x: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Each square image (N, H, H) turned by 0, 90, 180 or 270 degrees, and by which: a task that labels itself.

    Source: Gidaris, Singh and Komodakis, Unsupervised representation learning by predicting image rotations, ICLR
    (2018), arXiv:1803.07728.
    """
    x = np.asarray(x)
    if x.ndim != 3 or x.shape[1] != x.shape[2]:
        raise ValueError(f"x has shape {x.shape}; expected (N, H, H)")
    quarter = rng.integers(0, 4, len(x))
    out = np.stack([np.rot90(image, k) for image, k in zip(x, quarter, strict=True)]) if len(x) else x.copy()
    return out, quarter


class Heads(nn.Module):
    """A shared trunk and a linear layer for each task: one forward pass answers all of them.

    Source: Caruana (1997), hard parameter sharing.

    Parameters
    ----------
    trunk : images to features (N, ``width``)
    tasks : a name and the number of classes of each
    """

    def __init__(self, trunk: nn.Module, tasks: Mapping[str, int], width: int):
        super().__init__()
        self.trunk = trunk
        self.heads = nn.ModuleDict({name: nn.Linear(width, classes) for name, classes in tasks.items()})

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """(N, ...) -> the logits of each task."""
        z = self.trunk(x)
        return {name: head(z) for name, head in self.heads.items()}


def multi_task_loss(
    logits: Mapping[str, torch.Tensor], targets: Mapping[str, torch.Tensor], weights: Mapping[str, float] | None = None
) -> torch.Tensor:
    """``Σ_t weight_t · cross-entropy_t``, over the tasks; an example whose target is -1 has no label for that task.

    Source: Caruana (1997), section 2.

    Raises
    ------
    ValueError
        The tasks of ``logits`` and ``targets`` differ.
    """
    if set(logits) != set(targets):
        raise ValueError(f"logits has the tasks {sorted(logits)}, targets {sorted(targets)}; expected the same")
    total = torch.zeros(())
    for name, out in logits.items():
        known = targets[name] >= 0
        if known.any():
            total = total + (weights or {}).get(name, 1.0) * F.cross_entropy(out[known], targets[name][known])
    return total


def on_episodes(
    net: nn.Module, x: torch.Tensor, y: np.ndarray, *, seed: int, episodes: int = 200, ways: int = 5, queries: int = 10,
    view: Callable[[torch.Tensor, torch.Generator], torch.Tensor] | None = None, lr: float = 3e-3,
) -> list[float]:  # fmt: skip
    """Learn to learn: train features in place on small tasks of one example a class; the loss of each task.

    Each task is an episode of other classes. The queries' loss is ``cross-entropy(-|z - prototype|²)``, so that what is
    trained is how well a class can be told from a single example, not what any class looks like.

    Source: Snell et al., Prototypical networks for few-shot learning, NeurIPS (2017), arXiv:1703.05175, algorithm 1.

    Parameters
    ----------
    x : (N, ...) images
    y : (N,) classes, at least ``ways`` of them
    view : a random change of each image, as :class:`dlcourse.simclr.Views`
    """
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    optimiser, losses = torch.optim.Adam(net.parameters(), lr), []
    net.train()
    for _ in range(episodes):
        task = episode(y, ways, 1, queries, rng)
        images = x[np.concatenate([task.support, task.query])]
        z = net(images if view is None else view(images, generator))
        distances = (z[ways:, None] - z[None, :ways]).square().sum(2)
        loss = F.cross_entropy(-distances, torch.as_tensor(task.query_y))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    net.eval()
    return losses
