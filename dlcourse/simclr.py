"""Chapter 19: SimCLR for small grey images: two views of each image, an encoder that must find the partner, a probe.

    views = Views()                                         # SimCLR's list of augmentations, for images of grey digits
    encoder = encoder_for(side=28, seed=0)
    pretrain(encoder, x, views, epochs=10, seed=0)          # x (N, 1, H, W) without labels
    net = probe(encoder, few, y_few, seed=0)                # a linear layer on frozen features
    attacks.accuracy(net, x_test, y_test)

The loss by hand is :func:`dlcourse.contrastive.nt_xent_forward`; :func:`nt_xent` is the same in PyTorch.

Source: Chen, Kornblith, Norouzi and Hinton, A simple framework for contrastive learning of visual representations,
ICML (2020), arXiv:2002.05709.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn
from tqdm import tqdm

from dlcourse.train import evaluating


@dataclass(frozen=True)
class Views:
    """SimCLR's augmentations for grey images from 0 to 1, each drawn anew for each image; 0 switches one off.

    Of the paper's list, random crop and resize, rotation, colour distortion (here contrast and brightness: grey images
    have no hue), Gaussian noise, Gaussian blur and cutout stand here. Flips are left out, since a mirrored digit is
    another one, and so is the Sobel filter.

    Source: Chen et al. (2020), section 3 and figure 4.

    Attributes
    ----------
    crop : the smallest share of the side that a crop keeps; 1 crops nothing
    degrees : rotation by up to so many
    shear : up to so much
    contrast : factor from 1 - contrast to 1 + contrast, about each image's mean
    brightness : added, up to so much either way
    noise : standard deviation of the noise, drawn from 0 to this
    blur : the probability of a 3×3 Gaussian blur
    cutout : the side of a black square, as a share of the image's
    """

    crop: float = 0.6
    degrees: float = 15.0
    shear: float = 0.3
    contrast: float = 0.4
    brightness: float = 0.1
    noise: float = 0.05
    blur: float = 0.3
    cutout: float = 0.3

    def __call__(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """(N, 1, H, W) -> one new view of each image, of the same shape."""
        N, _, H, W = x.shape

        def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
            return low + (high - low) * torch.rand(N, *shape, generator=generator, dtype=x.dtype)

        out = self._moved(x, uniform)
        if self.blur:
            kernel = torch.tensor([0.25, 0.5, 0.25], dtype=x.dtype)
            blurred = F.conv2d(out, torch.outer(kernel, kernel)[None, None], padding=1)
            out = torch.where(uniform(0, 1, 1, 1, 1) < self.blur, blurred, out)
        mean = out.mean((1, 2, 3), keepdim=True)
        out = mean + (out - mean) * uniform(1 - self.contrast, 1 + self.contrast, 1, 1, 1)
        out = out + uniform(-self.brightness, self.brightness, 1, 1, 1)
        out = out + uniform(0, self.noise, 1, 1, 1) * torch.randn(out.shape, generator=generator, dtype=x.dtype)
        if self.cutout:
            half = self.cutout / 2
            rows, columns = torch.arange(H) / H, torch.arange(W) / W
            across = (rows - uniform(0, 1, 1)).abs() < half  # (N, H)
            along = (columns - uniform(0, 1, 1)).abs() < half
            out = out.masked_fill((across[:, None, :, None] & along[:, None, None, :]), 0.0)
        return out.clamp(0, 1)

    def _moved(self, x: torch.Tensor, uniform) -> torch.Tensor:
        """Crop and resize, rotation and shear in one: each output pixel looks up its place in the input."""
        side = uniform(self.crop, 1)
        angle = uniform(-1, 1) * math.radians(self.degrees)
        shear = uniform(-self.shear, self.shear)
        cos, sin = angle.cos() * side, angle.sin() * side
        room = 1 - side
        shift = uniform(-1, 1, 2) * room[:, None]
        matrix = torch.stack(
            [torch.stack([cos, -sin + shear * side, shift[:, 0]], 1), torch.stack([sin, cos, shift[:, 1]], 1)], 1
        )
        return F.grid_sample(x, F.affine_grid(matrix, list(x.shape), align_corners=False), align_corners=False)


def nt_xent(z1: torch.Tensor, z2: torch.Tensor, temperature: float = 0.5) -> torch.Tensor:
    """The loss of :func:`dlcourse.contrastive.nt_xent_forward` in PyTorch: cross-entropy over the other views.

    Source: Chen et al. (2020), equation 1.
    """
    u = F.normalize(torch.cat([z1, z2]), dim=1)
    s = (u @ u.T / temperature).fill_diagonal_(-math.inf)
    return F.cross_entropy(s, torch.arange(len(u)).roll(len(z1)))


def encoder_for(side: int = 28, maps: tuple[int, ...] = (16, 32, 64), *, seed: int) -> nn.Sequential:
    """A small convolutional encoder: 3×3 convolutions of stride 2 with batch norm and ReLU, then a mean over places.

    (N, 1, side, side) -> (N, maps[-1]).

    Source: the pattern of the small networks of chapter 09.
    """
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        layers: list[nn.Module] = []
        for c, k in zip((1, *maps), maps, strict=False):
            layers += [nn.Conv2d(c, k, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(k), nn.ReLU()]
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten())


def pretrain(
    encoder: nn.Sequential, x: torch.Tensor, views: Views, *,
    seed: int, epochs: int = 10, batch_size: int = 256, lr: float = 3e-3, temperature: float = 0.2, width: int = 128,
) -> list[float]:  # fmt: skip
    """Train ``encoder`` in place on images without labels; the mean loss of each epoch.

    Loss and similarity act on a small network's output after the encoder, the projection head, which is thrown away.
    Whole minibatches only.

    Source: Chen et al. (2020), algorithm 1; Adam with one rise and fall of the rate in place of their LARS.

    Parameters
    ----------
    x : (N, 1, H, W), with N of at least ``batch_size``

    Raises
    ------
    ValueError
        There are fewer images than one minibatch.
    """
    if len(x) < batch_size:
        raise ValueError(f"x has {len(x)} images; expected at least one minibatch of {batch_size}")
    generator, losses = torch.Generator().manual_seed(seed), []
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        outputs = features(encoder, x[:1]).shape[1]
        head = nn.Sequential(nn.Linear(outputs, width), nn.ReLU(), nn.Linear(width, width // 2))
    parameters, batches = [*encoder.parameters(), *head.parameters()], len(x) // batch_size
    optimiser = torch.optim.Adam(parameters, lr, weight_decay=1e-6)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, lr, epochs * batches)
    encoder.train()
    for _ in tqdm(range(epochs), desc="SimCLR", leave=False, delay=1):
        total = 0.0
        for batch in torch.randperm(len(x), generator=generator)[: batches * batch_size].split(batch_size):
            z = head(encoder(torch.cat([views(x[batch], generator), views(x[batch], generator)])))
            loss = nt_xent(z[:batch_size], z[batch_size:], temperature)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.item()
        losses.append(total / batches)
    encoder.eval()
    return losses


def features(encoder: nn.Module, x: torch.Tensor, batch_size: int = 1000) -> torch.Tensor:
    """What the encoder makes of images, in eval mode: (N, D), without gradients."""
    with torch.no_grad(), evaluating(encoder):
        return torch.cat([encoder(part) for part in x.split(batch_size)])


def probe(
    encoder: nn.Module, x: torch.Tensor, y: torch.Tensor, *, seed: int, views: Views | None = None, copies: int = 20
) -> nn.Sequential:
    """A linear classifier on frozen features, put behind the encoder: ``(encoder, standardise, linear)``.

    Logistic regression by scikit-learn. With ``views``, the labelled images come in so many random views besides.

    Source: Chen et al. (2020), section 2.3, linear evaluation.
    """
    from sklearn.linear_model import LogisticRegression

    if views is not None:
        generator = torch.Generator().manual_seed(seed)
        x = torch.cat([x, *(views(x, generator) for _ in range(copies))])
        y = y.repeat(copies + 1)
    z = features(encoder, x)
    standardise = nn.BatchNorm1d(z.shape[1], eps=1e-6, affine=False)
    standardise.running_mean, standardise.running_var = z.mean(0), z.var(0)
    found = LogisticRegression(max_iter=1000).fit(standardise.eval()(z).numpy(), y.numpy())
    linear = nn.Linear(z.shape[1], len(found.classes_))
    linear.weight.data, linear.bias.data = (torch.as_tensor(a, dtype=z.dtype) for a in (found.coef_, found.intercept_))
    return nn.Sequential(encoder, standardise, linear).eval()


def supervised(
    encoder: nn.Sequential, x: torch.Tensor, y: torch.Tensor, *,
    seed: int, views: Views | None = None, steps: int = 300, lr: float = 1e-3, classes: int = 10,
) -> nn.Sequential:  # fmt: skip
    """The rival: the same encoder with a linear layer, trained from scratch on the labelled images alone.

    All of them at each step; with ``views``, in a new view each time.

    Source: Chen et al. (2020), table 7, the supervised baseline.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        net = nn.Sequential(encoder, nn.Linear(features(encoder, x[:1]).shape[1], classes))
    optimiser = torch.optim.Adam(net.parameters(), lr, weight_decay=1e-4)
    net.train()
    for _ in range(steps):
        loss = F.cross_entropy(net(x if views is None else views(x, generator)), y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return net.eval()
