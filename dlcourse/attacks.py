"""Chapter 12: small changes that make a network wrong, images that are nothing to us and certain to it, and a cure.

    bad = fgsm(net, x, y, eps=0.1)                     # one step along the gradient's sign
    bad = pgd(net, x, y, eps=0.1, steps=10, seed=0)    # many small ones, from a random start
    found = one_pixel(net, x[0], y[0], seed=0)         # a single pixel, without any gradient
    batches = adversarial(net, x, y, lambda net, x, y, seed: pgd(net, x, y, 0.1, seed=seed))   # for train.fit

Images are tensors (N, C, H, W) from 0 to 1 and stay there. Every attack leaves the network as it is.

Sources: Goodfellow, Shlens and Szegedy, Explaining and harnessing adversarial examples, ICLR (2015), arXiv:1412.6572;
Madry, Makelov, Schmidt, Tsipras and Vladu, Towards deep learning models resistant to adversarial attacks, ICLR (2018),
arXiv:1706.06083; Su, Vargas and Sakurai, One pixel attack for fooling deep neural networks, IEEE Transactions on
Evolutionary Computation 23 (2019), arXiv:1710.08864; Nguyen, Yosinski and Clune, Deep neural networks are easily
fooled, CVPR (2015), arXiv:1412.1897.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from dlcourse import train
from dlcourse.cnn import favourite
from dlcourse.train import evaluating


def loss_gradient(net: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """∂L/∂x of each image's cross-entropy, of x's shape; the network in eval mode.

    Source: Goodfellow et al. (2015), section 4.
    """
    x = x.detach().requires_grad_()
    with torch.enable_grad(), evaluating(net):
        return torch.autograd.grad(F.cross_entropy(net(x), y, reduction="sum"), x)[0]


def fgsm(net: nn.Module, x: torch.Tensor, y: torch.Tensor, eps: float) -> torch.Tensor:
    """The fast gradient sign method: x + ε sign(∂L/∂x), cut to the range from 0 to 1.

    Of all changes by at most ε a pixel it raises the loss most, were the loss linear.

    Source: Goodfellow et al. (2015), section 4.

    Parameters
    ----------
    x : (N, C, H, W) from 0 to 1
    y : (N,) the right classes
    eps : how far a pixel may move

    Raises
    ------
    ValueError
        ``eps`` is negative, or x is not from 0 to 1.
    """
    _check(x, eps)
    return (x + eps * loss_gradient(net, x, y).sign()).clamp(0, 1).detach()


def pgd(
    net: nn.Module, x: torch.Tensor, y: torch.Tensor, eps: float, *,
    step: float | None = None, steps: int = 10, seed: int | None = None,
) -> torch.Tensor:  # fmt: skip
    """Projected gradient descent: ``steps`` times x ← P(x + step · sign(∂L/∂x)).

    P cuts to the ball, at most ε from the original in each pixel, and to the range from 0 to 1.

    Source: Madry et al. (2018), section 2.1.

    Parameters
    ----------
    x, y, eps : as for :func:`fgsm`
    step : of one step; by default 2.5 ε / steps, so that the far side of the ball can be reached
    seed : of a random start in the ball; None starts at x

    Raises
    ------
    ValueError
        ``eps`` is negative, ``steps`` is below 1, or x is not from 0 to 1.
    """
    _check(x, eps)
    if steps < 1:
        raise ValueError(f"steps is {steps}; expected at least 1")
    step = 2.5 * eps / steps if step is None else step
    low, high = (x - eps).clamp(0, 1), (x + eps).clamp(0, 1)
    moved = x.detach().clone()
    if seed is not None:
        noise = torch.rand(x.shape, generator=torch.Generator().manual_seed(seed)).to(x)
        moved = low + (high - low) * noise
    for _ in range(steps):
        moved = torch.minimum(torch.maximum(moved + step * loss_gradient(net, moved, y).sign(), low), high)
    return moved.detach()


class OnePixel(NamedTuple):
    """What :func:`one_pixel` found."""

    image: torch.Tensor  # (C, H, W)
    place: tuple[int, int]  # row and column
    fooled: bool
    confidence: float  # in the right class, afterwards
    tried: int  # images that were asked


def one_pixel(
    net: nn.Module, x: torch.Tensor, y: int, *, seed: int = 0, generations: int = 20, population: int = 40
) -> OnePixel:
    """Change one pixel so that the right class loses, by differential evolution: no gradient is used.

    A candidate is (row, column, a value a channel). SciPy's search keeps a population of them, and makes a new one from
    three others: a + F (b - c), kept where the network is less sure of the right class. It ends when the network is
    wrong.

    Source: Su et al. (2019), section 3; their F = 0.5, no crossover, 400 candidates, 100 generations.

    Parameters
    ----------
    x : (C, H, W), one image from 0 to 1
    y : its class
    population : candidates

    Raises
    ------
    ValueError
        x is no single image from 0 to 1.
    """
    from scipy.optimize import differential_evolution

    if x.ndim != 3:
        raise ValueError(f"x has shape {tuple(x.shape)}; expected one image (C, H, W)")
    _check(x, 0.0)
    C, H, W = x.shape
    y, asked = int(y), 0

    def images(candidates: np.ndarray) -> torch.Tensor:  # (C + 2, S) -> (S, C, H, W)
        rows, columns = np.floor(candidates[:2]).astype(int)
        made = x.expand(candidates.shape[1], C, H, W).clone()
        made[torch.arange(len(made)), :, rows, columns] = torch.as_tensor(candidates[2:].T, dtype=x.dtype).to(x.device)
        return made

    @torch.no_grad()
    def probabilities(candidates: np.ndarray) -> np.ndarray:
        return net(images(candidates)).softmax(1).cpu().numpy()

    def confidence(candidates: np.ndarray) -> np.ndarray:
        nonlocal asked
        asked += candidates.shape[1]
        return probabilities(candidates)[:, y]

    def wrong(candidate: np.ndarray, convergence: float = 0.0) -> bool:
        return bool(probabilities(candidate[:, None])[0].argmax() != y)

    bounds = [(0, H - 1e-6), (0, W - 1e-6), *[(0, 1)] * C]
    start = np.random.default_rng(seed).uniform(*np.array(bounds).T, (max(population, 5), len(bounds)))
    with evaluating(net):
        found = differential_evolution(
            confidence, bounds, (), "rand1bin", generations, 15, 0, 0.5, 1.0, seed,  # by place: SciPy renamed the last
            init=start, polish=False, updating="deferred", vectorized=True, callback=wrong,
        )  # fmt: skip
        fooled = wrong(found.x)
    place = int(np.floor(found.x[0])), int(np.floor(found.x[1]))
    return OnePixel(images(found.x[:, None])[0], place, fooled, float(found.fun), asked)


def fooling_image(
    net: nn.Module, target: int, shape: Sequence[int], *, steps: int = 100, lr: float = 0.05, seed: int = 0
) -> tuple[np.ndarray, float]:
    """An image that is noise to us and that the network is sure of: log p(target) raised by gradient ascent from noise.

    Source: Nguyen et al. (2015), section 3.3, without their decay of the weights of the image.

    Parameters
    ----------
    shape : (1, C, H, W) of the image

    Returns
    -------
    image : (C, H, W)
    confidence : p(target) of it
    """
    image, log_p = favourite(
        net, lambda out: F.log_softmax(out, 1)[0, target], shape, steps=steps, lr=lr, decay=0.0, jitter=0, seed=seed
    )
    return image, float(np.exp(log_p))


# ------------------------------------------------------------------------------------------- measuring, and the cure


def accuracy(net: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    """The share of images whose class the network finds, in eval mode."""
    with torch.no_grad(), evaluating(net):
        return float((net(x).argmax(1) == y).double().mean())


def accuracies(
    net: nn.Module, x: torch.Tensor, y: torch.Tensor, attack: Callable[..., torch.Tensor], strengths: Sequence[float]
) -> np.ndarray:
    """Accuracy under ``attack(net, x, y, eps)``, one number for each strength.

    Source: Madry et al. (2018), section 5.
    """
    return np.array([accuracy(net, attack(net, x, y, eps), y) for eps in strengths])


def adversarial(
    net: nn.Module, x: torch.Tensor, y: torch.Tensor, attack: Callable[..., torch.Tensor], batch_size: int = 64
) -> train.Batches:
    """An epoch's minibatches for :func:`dlcourse.train.fit`, each attacked with the network as it is at that moment.

    Training then solves min over the weights of the mean of max over ‖δ‖ ≤ ε of L(x + δ): the attack finds the inner
    maximum, the step lowers the loss there.

    Source: Madry et al. (2018), equation 2.1.

    Parameters
    ----------
    attack : ``attack(net, x, y, seed) -> images``
    """
    plain = train.minibatches(x, y, batch_size)

    def batches(rng: np.random.Generator) -> Iterator[tuple[Any, Any]]:
        for images, labels in plain(rng):
            yield attack(net, images, labels, int(rng.integers(2**31))), labels

    return batches


def _check(x: torch.Tensor, eps: float) -> None:
    if not eps >= 0:
        raise ValueError(f"eps is {eps}; expected at least 0")
    if x.numel() and (float(x.min()) < 0 or float(x.max()) > 1):
        raise ValueError(f"x lies between {float(x.min()):.3g} and {float(x.max()):.3g}; expected from 0 to 1")
