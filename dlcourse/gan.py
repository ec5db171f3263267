"""Chapter 17 in PyTorch: GANs for points and small images: with a class, a picture, or a second GAN as the condition.

    generator, critic = PointGenerator(2), PointCritic(2)
    play(generator, critic, batches(points), kind="wasserstein", steps=2000)

    play(DigitGenerator(), DigitCritic(), batches(images, labels), kind="nonsaturating")   # conditional
    fit_paired(Translator(), PatchCritic(2), source, target)                               # pix2pix
    fit_cycle(to_b, to_a, critic_a, critic_b, a, b)                                        # CycleGAN

The losses by hand, with their gradients, are in :mod:`dlcourse.adversarial`; those of ``kind`` here are the same.

Sources: as :mod:`dlcourse.adversarial`; Gulrajani and others, Improved training of Wasserstein GANs, NeurIPS (2017),
arXiv:1704.00028; Mirza and Osindero, Conditional generative adversarial nets (2014), arXiv:1411.1784; Lin and others,
PacGAN, NeurIPS (2018), arXiv:1712.04086; Isola and others, Image-to-image translation with conditional adversarial
networks, CVPR (2017), arXiv:1611.07004; Zhu and others, Unpaired image-to-image translation using cycle-consistent
adversarial networks, ICCV (2017), arXiv:1703.10593.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from dlcourse import train

# ----------------------------------------------------------------------------------------------------------- losses

KINDS = ("saturating", "nonsaturating", "least squares", "wasserstein")


def _known(kind: str) -> str:
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}; expected one of {', '.join(KINDS)}")
    return kind


def critic_loss(kind: str, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """What the discriminator, or critic, minimises, from its scores of real and generated examples.

    Raises
    ------
    ValueError
        ``kind`` is not one of ``KINDS``.
    """
    if _known(kind) == "wasserstein":
        return fake.mean() - real.mean()
    if kind == "least squares":
        return ((real - 1) ** 2).mean() / 2 + (fake**2).mean() / 2
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def generator_loss(kind: str, fake: torch.Tensor) -> torch.Tensor:
    """What the generator minimises, from the critic's scores of its examples.

    Raises
    ------
    ValueError
        ``kind`` is not one of ``KINDS``.
    """
    if _known(kind) == "wasserstein":
        return -fake.mean()
    if kind == "least squares":
        return ((fake - 1) ** 2).mean() / 2
    return -F.softplus(fake).mean() if kind == "saturating" else F.softplus(-fake).mean()


def gradient_penalty(
    critic: Callable[[torch.Tensor], torch.Tensor], real: torch.Tensor, fake: torch.Tensor
) -> torch.Tensor:
    """How far the critic's slope is from 1, on the straight lines between real and generated examples.

    ``mean (‖∇ critic(x̂)‖ - 1)²`` with ``x̂ = u real + (1 - u) fake``, one u from [0, 1] an example. It can be
    differentiated again, by the critic's parameters.

    Parameters
    ----------
    critic : (N, ...) -> a score for each example
    real, fake : of the same shape

    Raises
    ------
    ValueError
        The shapes differ.

    Source: Gulrajani and others (2017), equation 3.
    """
    if real.shape != fake.shape:
        raise ValueError(f"fake has shape {tuple(fake.shape)}; expected that of real, {tuple(real.shape)}")
    u = torch.rand(len(real), *[1] * (real.ndim - 1), dtype=real.dtype, device=real.device)
    between = (u * real + (1 - u) * fake).detach().requires_grad_()
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return ((slope.flatten(1).norm(dim=1) - 1) ** 2).mean()


# ---------------------------------------------------------------------------------------------------------- the game

Batches = Callable[[int], tuple[torch.Tensor, torch.Tensor | None]]


def batches(x: Any, condition: Any = None) -> Batches:
    """A function that draws n examples with replacement, with their conditions, or None where there are none.

    Raises
    ------
    ValueError
        There are no examples, or more or fewer conditions than examples.
    """
    x = torch.as_tensor(x)
    condition = None if condition is None else torch.as_tensor(condition)
    if len(x) == 0 or (condition is not None and len(condition) != len(x)):
        given = "no condition" if condition is None else f"{len(condition)} conditions"
        raise ValueError(f"x has {len(x)} examples and there is {given}; expected as many of both, at least 1")

    def draw(n: int) -> tuple[torch.Tensor, torch.Tensor | None]:
        rows = torch.randint(len(x), (n,))
        return x[rows], None if condition is None else condition[rows]

    return draw


def play(
    generator: nn.Module,
    critic: nn.Module,
    draw: Batches,
    *,
    kind: str = "nonsaturating",
    steps: int = 2000,
    batch_size: int = 128,
    critic_steps: int = 1,
    lr: float = 1e-3,
    critic_lr: float | None = None,
    penalty: float = 0.0,
    pack: int = 1,
    decay: float = 0.0,
    on_step: Callable[[int, nn.Module], None] | None = None,
    seed: int = 0,
) -> dict[str, list[float]]:
    """Train both players in turn, in place.

    Parameters
    ----------
    generator : ``(n, condition)`` gives n examples; it draws its own noise
    critic : ``(x, condition)`` gives a score for each example, or for each place of an image
    draw : n -> real examples and conditions, see :func:`batches`
    kind : one of ``KINDS``, for both players
    critic_steps : of the critic for each of the generator's
    lr, critic_lr : of Adam with β = (0.5, 0.99), falling to 0 linearly over the second half
    penalty : the weight of :func:`gradient_penalty`; 10 is usual with "wasserstein"
    pack : so many examples are judged together, side by side, as one: a pack of equal examples is no pack of real ones.
        For points (N, D) without a condition; the critic then takes pack · D numbers
    decay : of the running mean of the generator's parameters, which it is given in the end; 0 for none
    on_step : called with the step's number and the generator, before the step
    seed : of everything that is drawn

    Returns
    -------
    history : the losses, ``critic`` and ``generator``, one number a step

    Raises
    ------
    ValueError
        ``kind`` is unknown, or ``batch_size`` is no multiple of ``pack``.

    Source: Goodfellow and others (2014), algorithm 1; Gulrajani and others (2017), algorithm 1; Lin and others (2018).
    """
    if _known(kind) and (pack < 1 or batch_size % pack):
        raise ValueError(f"batch_size is {batch_size} and pack {pack}; expected a multiple of pack, which is 1 or more")
    history: dict[str, list[float]] = {"critic": [], "generator": []}
    mean = copy.deepcopy(generator).requires_grad_(False)
    optimisers = _adam(critic, critic_lr or lr), _adam(generator, lr)

    def score(x: torch.Tensor, condition: torch.Tensor | None) -> torch.Tensor:
        return critic(x.reshape(len(x) // pack, -1), None) if pack > 1 else critic(x, condition)

    with _seeded(seed):
        for step in range(steps):
            if on_step:
                on_step(step, generator)
            for optimiser in optimisers:
                _slow(optimiser, step, steps)
            for _ in range(critic_steps):
                real, condition = draw(batch_size)
                with torch.no_grad():
                    fake = generator(batch_size, condition)
                loss = critic_loss(kind, score(real, condition), score(fake, condition))
                if penalty:
                    loss = loss + penalty * _packed_penalty(critic, real, fake, condition, pack)
                _update(optimisers[0], loss)
            _, condition = draw(batch_size)
            value = generator_loss(kind, score(generator(batch_size, condition), condition))
            _update(optimisers[1], value)
            _average(mean, generator, decay)
            history["critic"].append(float(loss.detach()))
            history["generator"].append(float(value.detach()))
    if decay:
        generator.load_state_dict(mean.state_dict())
    return history


def _packed_penalty(critic, real, fake, condition, pack) -> torch.Tensor:
    if pack > 1:
        real, fake = (x.reshape(len(x) // pack, -1) for x in (real, fake))
    return gradient_penalty(lambda x: critic(x, condition), real, fake)


def _adam(net: nn.Module, lr: float) -> torch.optim.Optimizer:
    optimiser = torch.optim.Adam(net.parameters(), lr=lr, betas=(0.5, 0.99))
    optimiser.param_groups[0]["highest"] = lr
    return optimiser


def _slow(optimiser: torch.optim.Optimizer, step: int, steps: int) -> None:
    for group in optimiser.param_groups:
        group["lr"] = group["highest"] * min(1.0, 2 * (steps - step) / steps)


def _update(optimiser: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()


@torch.no_grad()
def _average(mean: nn.Module, net: nn.Module, decay: float) -> None:
    for m, p in zip(mean.parameters(), net.parameters(), strict=True):
        m.lerp_(p, 1 - decay)


class _seeded:
    """torch's generator seeded within, and given back as it was."""

    def __init__(self, seed: int):
        self.seed = seed

    def __enter__(self):
        self.state = torch.get_rng_state()
        torch.manual_seed(self.seed)

    def __exit__(self, *_):
        torch.set_rng_state(self.state)


@torch.no_grad()
def sample(generator: nn.Module, n: int, condition: Any = None, seed: int = 0) -> np.ndarray:
    """n generated examples from a seed, as an array."""
    with _seeded(seed), train.evaluating(generator):
        return generator(n, None if condition is None else torch.as_tensor(condition)).numpy()


# ------------------------------------------------------------------------------------------------- points in the plane


class PointGenerator(nn.Module):
    """Noise (n, noise) -> points (n, dims), through two hidden layers."""

    def __init__(self, dims: int = 2, noise: int = 8, hidden: int = 64):
        super().__init__()
        self.noise = noise
        self.net = nn.Sequential(
            nn.Linear(noise, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, dims)
        )

    def forward(self, n: int, condition: torch.Tensor | None = None) -> torch.Tensor:
        """(n, dims); there is no condition."""
        return self.net(torch.randn(n, self.noise))


class PointCritic(nn.Module):
    """Points (N, dims) -> a score (N,), through two hidden layers."""

    def __init__(self, dims: int = 2, hidden: int = 64):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(dims, hidden),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden, hidden),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden, 1),
        )

    def forward(self, x: torch.Tensor, condition: torch.Tensor | None = None) -> torch.Tensor:
        """(N, dims) -> (N,); there is no condition."""
        return self.net(x).squeeze(1)


def ring_centres(modes: int = 8, radius: float = 2.0) -> np.ndarray:
    """The centres (modes, 2) of Gaussians on a circle, from (radius, 0) on, counter-clockwise."""
    angles = 2 * np.pi * np.arange(modes) / modes
    return radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def ring(n: int, modes: int = 8, radius: float = 2.0, std: float = 0.1, seed: int = 0) -> np.ndarray:
    """n points (n, 2), float32, from a mixture of equal Gaussians whose centres stand on a circle."""
    rng = np.random.default_rng(seed)
    centres = ring_centres(modes, radius)[rng.integers(modes, size=n)]
    return (centres + std * rng.standard_normal((n, 2))).astype(np.float32)


# ------------------------------------------------------------------------------------------------------ small digits


def _one_hot(condition: torch.Tensor | None, classes: int, n: int) -> torch.Tensor:
    if condition is None or len(condition) != n:
        raise ValueError(f"condition has {'nothing' if condition is None else len(condition)}; expected {n} classes")
    return F.one_hot(condition, classes).float()


class DigitGenerator(nn.Module):
    """Noise and a class -> images (n, 1, 8, 8) from 0 to 1, through two hidden layers.

    Without classes (``classes=0``) there is no condition.
    """

    def __init__(self, classes: int = 10, noise: int = 32, hidden: int = 128):
        super().__init__()
        self.classes, self.noise = classes, noise
        self.net = nn.Sequential(
            nn.Linear(noise + classes, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(),
            nn.Linear(hidden, 64), nn.Sigmoid(), nn.Unflatten(1, (1, 8, 8)),
        )  # fmt: skip

    def forward(self, n: int, condition: torch.Tensor | None = None) -> torch.Tensor:
        """n classes, or None without classes -> (n, 1, 8, 8)."""
        z = torch.randn(n, self.noise)
        return self.net(torch.cat([z, _one_hot(condition, self.classes, n)], dim=1) if self.classes else z)


class DigitCritic(nn.Module):
    """Images (N, 1, 8, 8) and their classes -> a score (N,), through two hidden layers."""

    def __init__(self, classes: int = 10, hidden: int = 128, dropout: float = 0.3):
        super().__init__()
        self.classes = classes
        self.net = nn.Sequential(
            nn.Linear(64 + classes, hidden), nn.LeakyReLU(0.2), nn.Dropout(dropout),
            nn.Linear(hidden, hidden), nn.LeakyReLU(0.2), nn.Dropout(dropout), nn.Linear(hidden, 1),
        )  # fmt: skip

    def forward(self, x: torch.Tensor, condition: torch.Tensor | None = None) -> torch.Tensor:
        """(N, 1, 8, 8) and N classes -> (N,)."""
        x = x.flatten(1)
        if self.classes:
            x = torch.cat([x, _one_hot(condition, self.classes, len(x))], dim=1)
        return self.net(x).squeeze(1)


class DigitClassifier(nn.Module):
    """Images (N, 1, 8, 8) -> logits (N, classes); ``features`` gives the 64 numbers before the last layer."""

    def __init__(self, classes: int = 10, width: int = 24):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1), nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(32 * width, 64), nn.ReLU(),
        )  # fmt: skip
        self.dropout, self.head = nn.Dropout(0.5), nn.Linear(64, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 1, 8, 8) -> (N, classes)."""
        return self.head(self.dropout(self.body(x)))

    @torch.no_grad()
    def features(self, images: np.ndarray) -> np.ndarray:
        """(N, 1, 8, 8) -> (N, 64), float64: what the metrics compare instead of pixels."""
        with train.evaluating(self):
            return self.body(torch.as_tensor(images)).numpy().astype(np.float64)

    @torch.no_grad()
    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """(N, 1, 8, 8) -> (N, classes), float64."""
        with train.evaluating(self):
            return self(torch.as_tensor(images)).double().softmax(dim=1).numpy()


def fit_classifier(x: np.ndarray, y: np.ndarray, *, epochs: int = 15, seed: int = 0) -> DigitClassifier:
    """A :class:`DigitClassifier` trained on images (N, 1, 8, 8) and classes (N,)."""
    with _seeded(seed):
        net = DigitClassifier()
    optimiser = torch.optim.Adam(net.parameters(), lr=2e-3)
    train.fit(net, (x, y), optimiser, loss=F.cross_entropy, epochs=epochs, batch_size=64, seed=seed, progress=False)
    return net


# ----------------------------------------------------------------------------------------------------- image to image


class Translator(nn.Module):
    """Images (N, 1, H, W) -> images of the same size from 0 to 1: convolutions that see 7×7 pixels around each."""

    def __init__(self, width: int = 24):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1), nn.LeakyReLU(0.2),
            nn.Conv2d(width, width, 3, padding=1), nn.LeakyReLU(0.2),
            nn.Conv2d(width, 1, 3, padding=1), nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 1, H, W) -> (N, 1, H, W)."""
        return self.net(x)


class PatchCritic(nn.Module):
    """Images (N, channels, H, W) -> a score for each place, (N, H - 4, W - 4), which judges the 5×5 patch there."""

    def __init__(self, channels: int = 1, width: int = 24):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(channels, width, 3), nn.LeakyReLU(0.2), nn.Conv2d(width, width, 3), nn.LeakyReLU(0.2),
            nn.Conv2d(width, 1, 1),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, channels, H, W) -> (N, H - 4, W - 4)."""
        return self.net(x).squeeze(1)


def fit_paired(
    net: nn.Module,
    critic: nn.Module | None,
    source: Any,
    target: Any,
    *,
    weight: float = 10.0,
    steps: int = 600,
    batch_size: int = 64,
    lr: float = 2e-3,
    seed: int = 0,
) -> dict[str, list[float]]:
    """Learn target from source, image by image: ``loss = adversarial + weight · mean abs(net(source) - target)``.

    The critic sees source and picture together, so it judges whether one fits the other, not only whether it is pretty.

    Parameters
    ----------
    net : source -> target, trained in place
    critic : of two channels; None for the L1 distance alone
    source, target : (N, 1, H, W), row by row a pair
    weight : of the L1 distance
    steps, batch_size, lr, seed : of the training

    Returns
    -------
    history : ``l1`` and, with a critic, ``critic``, one number a step

    Raises
    ------
    ValueError
        There are not as many targets as sources.

    Source: Isola and others (2017), section 3.
    """
    if len(source) != len(target):
        raise ValueError(f"target has {len(target)} images; expected {len(source)}, one for each source")
    draw, optimiser = batches(source, target), _adam(net, lr)
    judge = None if critic is None else _adam(critic, lr)
    history: dict[str, list[float]] = {"l1": []} | ({} if critic is None else {"critic": []})
    with _seeded(seed):
        for step in range(steps):
            x, y = draw(batch_size)
            out = net(x)
            l1 = (out - y).abs().mean()
            loss = weight * l1
            _slow(optimiser, step, steps)
            if critic is not None:
                _slow(judge, step, steps)
                scores = critic(torch.cat([x, y], dim=1)), critic(torch.cat([x, out.detach()], dim=1))
                value = critic_loss("nonsaturating", *scores)
                _update(judge, value)
                history["critic"].append(float(value.detach()))
                loss = loss + generator_loss("nonsaturating", critic(torch.cat([x, out], dim=1)))
            _update(optimiser, loss)
            history["l1"].append(float(l1.detach()))
    return history


def fit_cycle(
    to_b: nn.Module,
    to_a: nn.Module,
    critic_a: nn.Module,
    critic_b: nn.Module,
    a: Any,
    b: Any,
    *,
    cycle: float = 10.0,
    steps: int = 1000,
    batch_size: int = 64,
    lr: float = 2e-3,
    seed: int = 0,
) -> dict[str, list[float]]:
    """Learn two translations without pairs: each must look like its domain, and there and back give the same.

    ``loss = adversarial(to_b) + adversarial(to_a) + cycle · (mean abs(back_a - a) + mean abs(back_b - b))`` with
    ``back_a = to_a(to_b(a))`` and ``back_b = to_b(to_a(b))``; the adversarial loss is that of least squares.

    Parameters
    ----------
    to_b, to_a : the two translations, trained in place
    critic_a, critic_b : score images of either domain
    a, b : (N, 1, H, W) and (M, 1, H, W): two heaps of images, not pairs
    cycle : the weight of the way there and back; 0 for none
    steps, batch_size, lr, seed : of the training

    Returns
    -------
    history : ``cycle`` and ``critic``, one number a step

    Source: Zhu and others (2017), sections 3 and 4.
    """
    draw_a, draw_b = batches(a), batches(b)
    makers, judges = (_adam(nn.ModuleList(nets), lr) for nets in ((to_b, to_a), (critic_a, critic_b)))
    history: dict[str, list[float]] = {"cycle": [], "critic": []}
    with _seeded(seed):
        for step in range(steps):
            _slow(makers, step, steps), _slow(judges, step, steps)
            (x_a, _), (x_b, _) = draw_a(batch_size), draw_b(batch_size)
            fake_b, fake_a = to_b(x_a), to_a(x_b)
            value = critic_loss("least squares", critic_a(x_a), critic_a(fake_a.detach()))
            value = value + critic_loss("least squares", critic_b(x_b), critic_b(fake_b.detach()))
            _update(judges, value)
            back = (to_a(fake_b) - x_a).abs().mean() + (to_b(fake_a) - x_b).abs().mean()
            loss = generator_loss("least squares", critic_a(fake_a)) + generator_loss("least squares", critic_b(fake_b))
            _update(makers, loss + cycle * back)
            history["cycle"].append(float(back.detach()))
            history["critic"].append(float(value.detach()))
    return history


@torch.no_grad()
def translate(net: nn.Module, x: Any) -> np.ndarray:
    """What a translation makes of images (N, 1, H, W), as an array."""
    with train.evaluating(net):
        return net(torch.as_tensor(x)).numpy()


def bold(images: np.ndarray) -> np.ndarray:
    """Strokes one pixel wider on every side: the maximum of each pixel's 3×3 neighbourhood; images (N, 1, H, W)."""
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    H, W = images.shape[2:]
    return np.max([padded[:, :, i : i + H, j : j + W] for i in range(3) for j in range(3)], axis=0)


def outline(images: np.ndarray, threshold: float = 0.4) -> np.ndarray:
    """Where the grey value changes by more than the threshold to the right or below, 1, else 0; images (N, 1, H, W)."""
    down = np.abs(np.diff(images, axis=2, append=0))
    right = np.abs(np.diff(images, axis=3, append=0))
    return (np.maximum(down, right) > threshold).astype(images.dtype)
