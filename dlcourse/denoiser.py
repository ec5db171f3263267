"""Networks that predict noise, how they are trained, and how they draw: chapter 18 in PyTorch.

    net = MLPDenoiser((2,), width=128, depth=3, seed=0)            # points of the plane
    net = UNetDenoiser(1, width=24, depth=1, classes=10, seed=0)   # images (N, 1, H, W), with labels
    net = DiT(8, 2, width=64, depth=3, heads=4, classes=10)        # the same from the blocks of chapter 14
    mean = fit_denoiser(net, x, bars, y, steps=2000)               # the running mean of its weights
    images = generate(mean, (20, 1, 8, 8), bars, y=labels, guidance=2.0, steps=50)
    space = LatentSpace(vae, images)                               # the codes of chapter 16's VAE, to diffuse in

All are functions of ``(x, time, y)``: ``time`` (N,) is t / T, from 0 to 1, and ``y`` (N,) are labels, or None for none.
Schedules, conversions and samplers are those of :mod:`dlcourse.diffusion`.

References
----------
Ho, Jain and Abbeel, Denoising diffusion probabilistic models, NeurIPS (2020), arXiv:2006.11239. Ho and Salimans,
Classifier-free diffusion guidance (2022), arXiv:2207.12598. Rombach, Blattmann, Lorenz, Esser and Ommer,
High-resolution image synthesis with latent diffusion models, CVPR (2022), arXiv:2112.10752. Peebles and Xie, Scalable
diffusion models with transformers, ICCV (2023), arXiv:2212.09748.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from dlcourse import diffusion, optim, train
from dlcourse.diffusion import PREDICTIONS
from dlcourse.train import evaluating
from dlcourse.transformer import Block, Patches, Positions

# ---------------------------------------------------------------------------------------------------------- conditions


def time_embedding(time: torch.Tensor, width: int) -> torch.Tensor:
    """Sines and cosines of ``1000 · time`` with wavelengths from 2π to 20,000 π: (N,) -> (N, width).

    As the positions of a transformer: near times get near vectors, and a linear layer can tell them apart.

    Raises
    ------
    ValueError
        ``width`` is odd, or below 2.

    Source: Vaswani et al. (2017), section 3.5; Ho et al. (2020), appendix B.
    """
    if width < 2 or width % 2:
        raise ValueError(f"width is {width}; expected an even number, at least 2")
    half = width // 2
    frequencies = torch.exp(-math.log(10_000) * torch.arange(half, device=time.device) / half).to(time.dtype)
    angles = 1000 * time[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class Condition(nn.Module):
    """Time, and a label where there are any, as one vector (N, width). One more label means *no label*.

    Source: Ho and Salimans (2022), section 3.2.
    """

    def __init__(self, width: int, classes: int | None = None):
        super().__init__()
        self.width, self.classes = width, classes
        self.mlp = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.label = None if classes is None else nn.Embedding(classes + 1, width)

    def forward(self, time: torch.Tensor, y: torch.Tensor | None = None) -> torch.Tensor:
        """``y`` (N,) holds labels, ``classes`` for no label; None is no label for all.

        Raises
        ------
        ValueError
            There is a label, but the network was made without classes.
        """
        out = self.mlp(time_embedding(time, self.width))
        if self.label is None:
            if y is not None:
                raise ValueError("y is given, but the network was made without classes")
            return out
        return out + self.label(torch.full_like(time, self.classes, dtype=torch.long) if y is None else y)


class Modulate(nn.Module):
    """Scale, shift and gate for a layer of ``width`` features, from a condition. All are 0 at the start.

    Source: Peebles and Xie (2023), section 3.2, adaLN-Zero.
    """

    def __init__(self, condition: int, width: int, parts: int):
        super().__init__()
        self.parts, self.linear = parts, nn.Linear(condition, parts * width)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, c: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(N, condition) -> ``parts`` tensors (N, width)."""
        return self.linear(F.silu(c)).chunk(self.parts, dim=1)


# ------------------------------------------------------------------------------------------------------------ networks


class _Residual(nn.Module):
    """x + MLP(LN(x) + what the condition adds), for vectors (N, width)."""

    def __init__(self, width: int):
        super().__init__()
        self.norm, self.shift = nn.LayerNorm(width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        return x + self.mlp(self.norm(x) + self.shift(c))


class MLPDenoiser(nn.Module):
    """A residual MLP on all numbers of an example: points, latents, small images.

    Parameters
    ----------
    shape : of an example, such as (2,) or (1, 8, 8)
    width, depth : of the hidden layers
    classes : how many labels there are; None for a network without
    seed : of the weights; by default torch's generator is used as it is
    """

    def __init__(
        self, shape: Sequence[int], width: int = 128, depth: int = 3, *, classes: int | None = None,
        seed: int | None = None,
    ):  # fmt: skip
        super().__init__()
        self.shape, self.classes = tuple(shape), classes
        with torch.random.fork_rng([]):
            if seed is not None:
                torch.manual_seed(seed)
            size = math.prod(self.shape)
            self.into, self.condition = nn.Linear(size, width), Condition(width, classes)
            self.blocks = nn.ModuleList(_Residual(width) for _ in range(depth))
            self.out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, size))
            nn.init.zeros_(self.out[1].weight)

    def forward(self, x: torch.Tensor, time: torch.Tensor, y: torch.Tensor | None = None) -> torch.Tensor:
        """(N, ...), (N,), (N,) -> (N, ...)."""
        if tuple(x.shape[1:]) != self.shape:
            raise ValueError(f"x has shape {tuple(x.shape)}; expected (N, {', '.join(map(str, self.shape))})")
        h, c = self.into(x.flatten(1)), self.condition(time, y)
        for block in self.blocks:
            h = block(h, c)
        return self.out(h).view_as(x)


class _ConvBlock(nn.Module):
    """Two 3×3 convolutions with group norm, a condition between them, and a skip around both."""

    def __init__(self, inputs: int, outputs: int, condition: int):
        super().__init__()
        self.norm1, self.norm2 = (nn.GroupNorm(math.gcd(8, c), c) for c in (inputs, outputs))
        self.conv1, self.conv2 = (nn.Conv2d(c, outputs, 3, padding=1) for c in (inputs, outputs))
        self.modulate = Modulate(condition, outputs, 2)
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        scale, shift = (part[:, :, None, None] for part in self.modulate(c))
        return self.skip(x) + self.conv2(F.silu((1 + scale) * self.norm2(h) + shift))


class UNetDenoiser(nn.Module):
    """A U-Net, as in chapter 11, whose blocks hear the time and the label.

    Level l works on maps of H/2ˡ × W/2ˡ with ``width`` · 2ˡ channels; skips concatenate.

    Parameters
    ----------
    channels : of the images
    width : channels of the first level
    depth : how often the map is halved
    classes, seed : as for :class:`MLPDenoiser`

    Source: Ho et al. (2020), appendix B, without its attention.
    """

    def __init__(
        self, channels: int, width: int = 24, depth: int = 1, *, classes: int | None = None, seed: int | None = None
    ):
        super().__init__()
        self.channels, self.depth, self.classes = channels, depth, classes
        with torch.random.fork_rng([]):
            if seed is not None:
                torch.manual_seed(seed)
            wide, c = [width * 2**level for level in range(depth + 1)], 4 * width
            self.condition, self.into = Condition(c, classes), nn.Conv2d(channels, width, 3, padding=1)
            self.down = nn.ModuleList(_ConvBlock(a, b, c) for a, b in zip([width, *wide], wide, strict=False))
            self.up = nn.ModuleList(_ConvBlock(wide[i] + wide[i + 1], wide[i], c) for i in range(depth))
            self.out = nn.Sequential(
                nn.GroupNorm(math.gcd(8, width), width), nn.SiLU(), nn.Conv2d(width, channels, 3, padding=1)
            )
            nn.init.zeros_(self.out[2].weight)

    def forward(self, x: torch.Tensor, time: torch.Tensor, y: torch.Tensor | None = None) -> torch.Tensor:
        """(N, C, H, W), (N,), (N,) -> (N, C, H, W)."""
        step = 2**self.depth
        if x.ndim != 4 or x.shape[1] != self.channels or x.shape[2] % step or x.shape[3] % step:
            raise ValueError(f"x has shape {tuple(x.shape)}; expected (N, {self.channels}, H, W), multiples of {step}")
        c, kept = self.condition(time, y), []
        h = self.down[0](self.into(x), c)
        for block in self.down[1:]:
            kept.append(h)
            h = block(F.avg_pool2d(h, 2), c)
        for level in reversed(range(self.depth)):
            h = self.up[level](torch.cat([kept[level], F.interpolate(h, scale_factor=2)], dim=1), c)
        return self.out(h)


class DiTBlock(nn.Module):
    """Chapter 14's pre-norm block, with a condition that scales, shifts and gates its two parts.

    ``z = z + g1 · SA((1 + a1) · LN(z) + b1)``, ``z = z + g2 · MLP((1 + a2) · LN(z) + b2)``. The six come from the
    condition by a linear layer that starts at 0: at first the block changes nothing.

    Source: Peebles and Xie (2023), section 3.2 and figure 3.
    """

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.block, self.modulate = Block(width, heads), Modulate(width, width, 6)

    def forward(self, z: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        """(N, T, D), (N, D) -> (N, T, D)."""
        a1, b1, g1, a2, b2, g2 = (part[:, None] for part in self.modulate(c))
        context, _ = self.block.attention((1 + a1) * self.block.norm1(z) + b1)
        z = z + g1 * context
        return z + g2 * self.block.mlp((1 + a2) * self.block.norm2(z) + b2)


class DiT(nn.Module):
    """A diffusion transformer: patches of the noisy image are tokens, and each gives its patch of the prediction.

    Parameters
    ----------
    image, patch : sides of the image and of a patch
    width, depth, heads : of the blocks
    channels : of the images
    classes, seed : as for :class:`MLPDenoiser`

    Raises
    ------
    ValueError
        ``patch`` does not divide ``image``.

    Source: Peebles and Xie (2023), section 3.
    """

    def __init__(
        self, image: int, patch: int, width: int = 64, depth: int = 3, heads: int = 4, *, channels: int = 1,
        classes: int | None = None, seed: int | None = None,
    ):  # fmt: skip
        super().__init__()
        if patch < 1 or image % patch:
            raise ValueError(f"patch is {patch}; expected a divisor of the image's {image} pixels")
        self.image, self.patch, self.channels, self.classes = image, patch, channels, classes
        with torch.random.fork_rng([]):
            if seed is not None:
                torch.manual_seed(seed)
            self.patches, self.condition = Patches(patch, width, channels), Condition(width, classes)
            self.positions = Positions("learned", (image // patch) ** 2, width)
            self.blocks = nn.ModuleList(DiTBlock(width, heads) for _ in range(depth))
            self.norm, self.modulate = nn.LayerNorm(width), Modulate(width, width, 2)
            self.out = nn.Linear(width, channels * patch * patch)
            nn.init.zeros_(self.out.weight)

    def forward(self, x: torch.Tensor, time: torch.Tensor, y: torch.Tensor | None = None) -> torch.Tensor:
        """(N, C, H, W), (N,), (N,) -> (N, C, H, W)."""
        if tuple(x.shape[1:]) != (self.channels, self.image, self.image):
            raise ValueError(f"x has shape {tuple(x.shape)}; expected (N, {self.channels}, {self.image}, {self.image})")
        z, c = self.positions(self.patches(x)), self.condition(time, y)
        for block in self.blocks:
            z = block(z, c)
        scale, shift = (part[:, None] for part in self.modulate(c))
        z = self.out((1 + scale) * self.norm(z) + shift)  # (N, rows · columns, C p p)
        side = self.image // self.patch
        z = z.view(len(x), side, side, self.channels, self.patch, self.patch)
        return z.permute(0, 3, 1, 4, 2, 5).reshape(x.shape)


# ------------------------------------------------------------------------------------------------------------ training


class Objective(nn.Module):
    """Numbers of examples -> the squared error of each, at a time and with noise that are drawn anew every time.

    ``E |ε - ε(x_t, t)|²``, or the same for x or v; a share ``drop`` of the labels is replaced by *no label*.

    Raises
    ------
    ValueError
        There is no such ``target``.

    Source: Ho et al. (2020), equation 14; Ho and Salimans (2022), algorithm 1.
    """

    def __init__(
        self, net: nn.Module, x: np.ndarray, bars: np.ndarray, y: np.ndarray | None = None, *,
        target: str = "noise", drop: float = 0.1,
    ):  # fmt: skip
        super().__init__()
        if target not in PREDICTIONS:
            raise ValueError(f"target is {target!r}; expected one of {', '.join(PREDICTIONS)}")
        self.net, self.bars, self.target, self.drop = net, bars, target, drop
        self.register_buffer("x", torch.as_tensor(x), persistent=False)
        self.register_buffer("y", None if y is None else torch.as_tensor(y), persistent=False)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """(B,) integers -> (B,)."""
        x0, T = self.x[rows], len(self.bars) - 1
        t = torch.randint(1, T + 1, rows.shape, device=x0.device)
        noise, steps = torch.randn_like(x0), t.cpu().numpy()
        a, s = diffusion.scales(x0, steps, self.bars)
        xt = diffusion.add_noise(x0, steps, noise, self.bars)
        wanted = {"noise": noise, "x": x0, "v": a * noise - s * x0}[self.target]
        y = None if self.y is None else self.y[rows]
        if y is not None and self.drop > 0:
            y = y.masked_fill(torch.rand(y.shape, device=y.device) < self.drop, self.net.classes)
        return (self.net(xt, t.to(x0.dtype) / T, y) - wanted).square().flatten(1).mean(1)


def fit_denoiser(
    net: nn.Module,
    x: np.ndarray,
    bars: np.ndarray,
    y: np.ndarray | None = None,
    *,
    target: str = "noise",
    drop: float = 0.1,
    steps: int = 2000,
    batch_size: int = 128,
    lr: float = 2e-3,
    decay: float = 0.99,
    seed: int = 0,
    progress: bool = False,
) -> nn.Module:
    """Train ``net`` in place, by Adam with a short warm-up and a cosine.

    Parameters
    ----------
    x : (N, ...), of about the size of the noise, such as -1 to 1
    y : (N,) labels, or None
    target : ``noise``, ``x`` or ``v``
    drop : the share of labels that are left out
    decay : of the running mean of the weights

    Returns
    -------
    mean : a network whose weights are that running mean, in eval mode

    Source: Ho et al. (2020), algorithm 1.
    """
    objective, warm = Objective(net, x, bars, y, target=target, drop=drop), max(1, min(100, steps // 10))
    optimiser = torch.optim.Adam(net.parameters(), lr=lr)
    mean = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(decay))
    optimiser.register_step_post_hook(lambda *_: mean.update_parameters(net))

    def draw(rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for _ in range(steps):
            rows = rng.integers(0, len(x), batch_size)
            yield rows, rows

    train.fit(
        objective, draw, optimiser, loss=lambda errors, _: errors.mean(), epochs=1, seed=seed, progress=progress,
        schedule=lambda step: float(optim.warm_up_cosine(step, lr, warm, steps)), clip_norm=1.0,
    )  # fmt: skip
    return mean.module.eval()


@torch.no_grad()
def held_out_error(
    net: nn.Module, x: np.ndarray, bars: np.ndarray, y: np.ndarray | None = None, *, target: str = "noise",
    repeats: int = 10, seed: int = 0,
) -> float:  # fmt: skip
    """The mean squared error in ε on examples that were not trained on, over random times and noise."""
    predict, rng = predictor(net, bars, target=target, y=y), np.random.default_rng(seed)
    total = 0.0
    for t in rng.integers(1, len(bars), repeats).tolist():
        noise = rng.standard_normal(x.shape).astype(np.float32)
        total += float(np.mean((predict(diffusion.add_noise(x, t, noise, bars), t) - noise) ** 2))
    return total / repeats


# ------------------------------------------------------------------------------------------------------------- latents


class LatentSpace:
    """The codes of a trained VAE, shifted and scaled to mean 0 and standard deviation 1: what latent diffusion learns.

    Parameters
    ----------
    vae : has ``encode``, (N, H, W) -> ``mu`` and ``logvar``, and ``decode``, as :class:`dlcourse.vae.VAE`
    x : (N, H, W), the images whose codes say what mean and standard deviation are
    logits : whether the decoder gives logits of pixels, or, False, the pixels themselves

    Source: Rombach et al. (2022), section 3 and appendix G.
    """

    def __init__(self, vae: nn.Module, x: np.ndarray, *, logits: bool = True):
        self.vae, self.logits, self.mean, self.std = vae, logits, 0.0, 1.0
        codes = self.encode(x)
        self.mean, self.std = codes.mean(axis=0), codes.std(axis=0)

    @torch.no_grad()
    def encode(self, x: np.ndarray) -> np.ndarray:
        """Images (N, H, W) -> codes (N, latent): the means of q, without its noise."""
        with evaluating(self.vae):
            mu, _ = self.vae.encode(torch.as_tensor(x))
        return (mu.numpy() - self.mean) / self.std

    @torch.no_grad()
    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Codes (N, latent) -> images (N, H, W), from 0 to 1."""
        with evaluating(self.vae):
            out = self.vae.decode(torch.as_tensor(codes * self.std + self.mean))
        return (out.sigmoid() if self.logits else out.clip(0, 1)).numpy()


# ------------------------------------------------------------------------------------------------------------- drawing


def predictor(
    net: nn.Module, bars: np.ndarray, *, target: str = "noise", y: np.ndarray | None = None, guidance: float = 1.0
) -> diffusion.Predictor:
    """A noise predictor for the samplers of :mod:`dlcourse.diffusion`: a function of (x, t), x an array or a tensor.

    Parameters
    ----------
    target : what the network was trained to predict
    y : (N,) labels, or None for none
    guidance : with labels, :func:`dlcourse.diffusion.guided`; 1 asks the network once

    Raises
    ------
    ValueError
        ``guidance`` is not 1, and there are no labels.
    """
    if y is None and guidance != 1:
        raise ValueError(f"guidance is {guidance}, but there are no labels y to be guided by")
    device, T = next(net.parameters()).device, len(bars) - 1
    labels = None if y is None else torch.as_tensor(y, device=device)

    @torch.no_grad()
    def predict(x, t):
        given = torch.as_tensor(x, device=device)
        time = torch.full((len(given),), t / T, dtype=given.dtype, device=device)
        with evaluating(net):
            out = net(given, time, labels)
            if guidance != 1:
                out = diffusion.guided(out, net(given, time, None), guidance)
        noise = diffusion.convert(out, given, t, bars, given=target, wanted="noise")
        return noise.cpu().numpy() if isinstance(x, np.ndarray) else noise

    return predict


def generate(
    net: nn.Module,
    shape: Sequence[int],
    bars: np.ndarray,
    *,
    target: str = "noise",
    y: np.ndarray | None = None,
    guidance: float = 1.0,
    sampler: str = "ddim",
    steps: int | None = None,
    clip: tuple[float, float] | None = None,
    seed: int = 0,
) -> np.ndarray:
    """Draw ``shape`` = (N, ...) from a trained network, with NumPy's noise: float32.

    Raises
    ------
    ValueError
        ``sampler`` is neither ``ddim`` nor ``ddpm``.
    """
    if sampler not in ("ddim", "ddpm"):
        raise ValueError(f"sampler is {sampler!r}; expected ddim or ddpm")
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(tuple(shape)).astype(np.float32)
    predict = predictor(net, bars, target=target, y=y, guidance=guidance)
    if sampler == "ddim":
        return diffusion.ddim_sample(predict, x, bars, steps=steps, clip=clip)
    return diffusion.ddpm_sample(predict, x, bars, rng, steps=steps, clip=clip)
