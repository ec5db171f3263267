"""Chapter 16 in PyTorch: deep and convolutional autoencoders, denoising, the VAE and the VQ-VAE, at any size.

    net = Autoencoder((28, 28), latent=32, hidden=(256,), seed=0)
    net = VAE((28, 28), latent=50, hidden=(500, 500), seed=0)      # hidden=(16, 32), conv=True: convolutions
    mu, logvar = net.encode(x)                                     # x (N, H, W) -> (N, latent), twice
    logits = net.decode(z)                                         # (N, latent) -> (N, H, W)
    fit_vae(net, images, epochs=10)
    elbo(net, images), importance_bound(net, images, samples=100)  # nats, one number an image

The losses and the tricks by hand, with their gradients, are in :mod:`dlcourse.autoencoder`.

Sources: Hinton and Salakhutdinov, Reducing the dimensionality of data with neural networks, Science 313 (2006);
Vincent, Larochelle, Bengio and Manzagol, Extracting and composing robust features with denoising autoencoders, ICML
(2008); Kingma and Welling, Auto-encoding variational Bayes, ICLR (2014), arXiv:1312.6114; Burda, Grosse and
Salakhutdinov, Importance weighted autoencoders, ICLR (2016), arXiv:1509.00519; van den Oord, Vinyals and Kavukcuoglu,
Neural discrete representation learning, NIPS (2017), arXiv:1711.00937.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from dlcourse import train

# ------------------------------------------------------------------------------------------------ encoder and decoder


def _stack(layers: Sequence[nn.Module]) -> list[nn.Module]:
    """The layers with a ReLU between them."""
    return [part for layer in layers for part in (layer, nn.ReLU())][:-1]


def _dense(shape: tuple[int, int], code: int, latent: int, hidden: Sequence[int]) -> tuple[nn.Module, nn.Module]:
    """Linear layers, and the same backwards."""
    pixels = math.prod(shape)
    down, up = (pixels, *hidden, code), (latent, *reversed(hidden), pixels)
    encoder = nn.Sequential(nn.Flatten(), *_stack([nn.Linear(a, b) for a, b in pairwise(down)]))
    decoder = nn.Sequential(*_stack([nn.Linear(a, b) for a, b in pairwise(up)]), nn.Unflatten(1, shape))
    return encoder, decoder


def _halvings(shape: tuple[int, int], hidden: Sequence[int]) -> tuple[int, int]:
    step = 2 ** len(hidden)
    if not hidden or shape[0] % step or shape[1] % step:
        raise ValueError(f"shape is {shape}; with {len(hidden)} convolutions, expected multiples of {step}, and hidden "
                         "with at least one")  # fmt: skip
    return shape[0] // step, shape[1] // step


def _conv(shape: tuple[int, int], hidden: Sequence[int]) -> tuple[list[nn.Module], list[nn.Module]]:
    """Convolutions of stride 2, (N, H, W) to (N, channels, H/2ᵏ, W/2ᵏ), and transposed ones back."""
    channels = (1, *hidden)
    down = [nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairwise(channels)]
    up = [nn.ConvTranspose2d(a, b, 4, stride=2, padding=1) for a, b in pairwise(channels[::-1])]
    return [nn.Unflatten(1, (1, shape[0])), *_stack(down), nn.ReLU()], [*_stack(up), nn.Flatten(1, 2)]


def _convolutional(shape: tuple[int, int], code: int, latent: int, hidden: Sequence[int]) -> tuple:
    """Convolutions, then one linear layer; the same backwards."""
    small = (hidden[-1], *_halvings(shape, hidden)) if hidden else _halvings(shape, hidden)
    down, up = _conv(shape, hidden)
    encoder = nn.Sequential(*down, nn.Flatten(), nn.Linear(math.prod(small), code))
    decoder = nn.Sequential(nn.Linear(latent, math.prod(small)), nn.ReLU(), nn.Unflatten(1, small), *up)
    return encoder, decoder


def _images(x: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    if x.shape[1:] != shape:
        raise ValueError(f"x has shape {tuple(x.shape)}; expected (N, {shape[0]}, {shape[1]})")
    return x


class Autoencoder(nn.Module):
    """x̂ = D(E(x)): the encoder E squeezes an image into ``latent`` numbers, the decoder D brings it back.

    Parameters
    ----------
    shape : (H, W) of the images
    latent : numbers in the code, the bottleneck
    hidden : width of each hidden layer of the encoder; the decoder has them backwards. None of them, ``()``, gives the
        linear autoencoder. With ``conv``, channels of convolutions of stride 2, each of which halves the image.
    conv : convolutions instead of linear layers
    seed : of the weights; by default torch's generator is used as it is

    Raises
    ------
    ValueError
        A number is below 1, or the image cannot be halved so often.

    Source: Hinton and Salakhutdinov (2006), trained at once here, with ReLUs and without their layer-wise start.
    """

    _numbers = 1  # that the encoder gives for each number of the code

    def __init__(
        self, shape: tuple[int, int], latent: int, hidden: Sequence[int] = (128,), *, conv: bool = False,
        seed: int | None = None,
    ):  # fmt: skip
        super().__init__()
        for name, sizes in (("shape", shape), ("latent", (latent,)), ("hidden", hidden)):
            if any(size < 1 for size in sizes):
                raise ValueError(f"{name} is {sizes if name != 'latent' else latent}; expected at least 1")
        self.shape, self.latent = tuple(shape), latent
        build = _convolutional if conv else _dense
        with torch.random.fork_rng([], enabled=seed is not None):
            if seed is not None:
                torch.manual_seed(seed)
            self.encoder, self.decoder = build(self.shape, self._numbers * latent, latent, tuple(hidden))

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """(N, H, W) -> (N, latent)."""
        return self.encoder(_images(x, self.shape))

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        """(N, latent) -> (N, H, W)."""
        return self.decoder(z)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, H, W) -> the same shape."""
        return self.decode(self.encode(x))


def noisy_batches(clean: np.ndarray, sigma: float | Sequence[float], batch_size: int = 64) -> train.Batches:
    """For :func:`dlcourse.train.fit`: an epoch's pairs (x + Gaussian noise, x), with new noise each time.

    ``sigma`` is the noise's standard deviation, or two numbers between which each image draws its own.

    Source: Vincent and others (2008), section 2.3, with Gaussian noise where they set pixels to 0.
    """
    low, high = (sigma, sigma) if np.isscalar(sigma) else sigma
    clean_batches = train.minibatches(clean, clean, batch_size)

    def batches(rng: np.random.Generator) -> Iterator[tuple]:
        for x, _ in clean_batches(rng):
            s = rng.uniform(low, high, (len(x), *[1] * (x.ndim - 1)))
            yield (x + s * rng.standard_normal(x.shape)).astype(x.dtype), x

    return batches


# ---------------------------------------------------------------------------------------------------------- the VAE


class VAE(Autoencoder):
    """A variational autoencoder: q(z given x) = N(μ(x), diag σ²(x)), p(z) = N(0, 1), p(x given z) from the decoder.

    Parameters as those of :class:`Autoencoder`. The decoder gives logits, of pixels that are black or white
    (:func:`negative_elbo`), or means of Gaussian pixels (``noise`` there).

    Source: Kingma and Welling (2014), section 3 and appendix C.
    """

    _numbers = 2

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(N, H, W) -> ``mu`` and ``logvar`` = log σ², both (N, latent)."""
        mu, logvar = self.encoder(_images(x, self.shape)).chunk(2, dim=1)
        return mu, logvar

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(N, H, W) -> ``logits`` (N, H, W) of one sample z = μ + σ ε, ``mu`` and ``logvar``."""
        mu, logvar = self.encode(x)
        return self.decode(reparameterise(mu, logvar)), mu, logvar

    @torch.no_grad()
    def sample(self, n: int, seed: int = 0) -> torch.Tensor:
        """Probabilities (n, H, W) of the pixels of n new images: z from N(0, 1), through the decoder."""
        device = next(self.parameters()).device
        z = torch.randn(n, self.latent, generator=torch.Generator().manual_seed(seed)).to(device)
        return torch.sigmoid(self.decode(z))


def reparameterise(mu: torch.Tensor, logvar: torch.Tensor) -> torch.Tensor:
    """z = μ + exp(logvar / 2) · ε with ε from N(0, 1): the gradient flows to μ and logvar."""
    return mu + torch.exp(logvar / 2) * torch.randn_like(mu)


def gaussian_kl(mu: torch.Tensor, logvar: torch.Tensor) -> torch.Tensor:
    """KL(N(μ, σ²) from N(0, 1)) = ½ Σ (μ² + σ² - log σ² - 1), in nats: (N, latent) -> (N,)."""
    return 0.5 * (mu**2 + logvar.exp() - logvar - 1).sum(dim=1)


def _log_pixels(logits: torch.Tensor, x: torch.Tensor, noise: float | None) -> torch.Tensor:
    """log p(x given z), (N, H, W) -> (N,): Bernoulli pixels, or Gaussian ones with standard deviation ``noise``."""
    if noise is None:
        terms = -F.binary_cross_entropy_with_logits(logits, x, reduction="none")
    else:
        terms = -0.5 * ((x - logits) / noise) ** 2 - math.log(noise) - 0.5 * math.log(2 * math.pi)
    return terms.flatten(1).sum(dim=1)


def negative_elbo(
    outputs: tuple[torch.Tensor, torch.Tensor, torch.Tensor], x: torch.Tensor, beta: float = 1.0,
    noise: float | None = None,
) -> torch.Tensor:  # fmt: skip
    """The VAE's loss: mean over the batch of ``-log p(x given z) + beta · KL``, in nats.

    ``outputs`` are the VAE's. ``beta`` other than 1 is the β-VAE; above 1, minus the loss is a looser bound on the
    log-likelihood than the ELBO, below 1 it need not be one.
    """
    logits, mu, logvar = outputs
    return (beta * gaussian_kl(mu, logvar) - _log_pixels(logits, x, noise)).mean()


def binarised_batches(x: np.ndarray, batch_size: int = 256) -> train.Batches:
    """For :func:`dlcourse.train.fit`: each pixel is 1 with its grey value as probability, drawn anew each time.

    This is dynamic binarisation, which keeps the network from learning one draw by heart.

    Source: Burda and others (2016), section 5.1.
    """
    grey = train.minibatches(x, x, batch_size)

    def batches(rng: np.random.Generator) -> Iterator[tuple]:
        for rows, _ in grey(rng):
            b = binarised(rows, rng)
            yield b, b

    return batches


def binarised(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Zeros and ones, 1 with probability ``x``; of ``x``'s shape and dtype."""
    return (rng.random(x.shape, dtype=np.float32) < x).astype(x.dtype)


def fit_vae(
    net: VAE, x: np.ndarray, *, epochs: int, batch_size: int = 256, lr: float = 1e-3, beta: float = 1.0,
    noise: float | None = None, seed: int = 0, progress: bool = True,
) -> train.Run:  # fmt: skip
    """Train a VAE with Adam; the rate falls to 0 along half a cosine.

    ``x`` (N, H, W) has values from 0 to 1, and is binarised anew for each step, unless ``noise`` says that pixels are
    Gaussian with that standard deviation.
    """
    steps = epochs * math.ceil(len(x) / batch_size)
    batches = binarised_batches(x, batch_size) if noise is None else train.minibatches(x, x, batch_size)
    return train.fit(
        net, batches, torch.optim.Adam(net.parameters(), lr), epochs=epochs, seed=seed, progress=progress,
        loss=lambda outputs, y: negative_elbo(outputs, y, beta, noise),
        schedule=lambda step: lr * 0.5 * (1 + math.cos(math.pi * step / max(steps, 1))),
    )  # fmt: skip


def _on_device_of(net: nn.Module, x: np.ndarray) -> torch.Tensor:
    return torch.as_tensor(x, device=next(net.parameters()).device)


@torch.no_grad()
def elbo(net: VAE, x: np.ndarray, *, noise: float | None = None, seed: int = 0, batch_size: int = 500) -> np.ndarray:
    """The ELBO of each image with one sample of z, ``log p(x given z) - KL``, in nats.

    Its mean over many images is that of the bound itself, since the sample's error has mean 0. ``x`` is taken as it is:
    binarise it before.
    """
    parts = []
    with train.evaluating(net), torch.random.fork_rng([]):
        torch.manual_seed(seed)
        for rows in _on_device_of(net, x).split(batch_size):
            logits, mu, logvar = net(rows)
            parts.append((_log_pixels(logits, rows, noise) - gaussian_kl(mu, logvar)).double())
    return torch.cat(parts).cpu().numpy()


@torch.no_grad()
def importance_bound(
    net: VAE, x: np.ndarray, samples: int, *, noise: float | None = None, seed: int = 0, block: int = 2000
) -> np.ndarray:
    """``log (1/K) Σₖ p(x, zₖ) / q(zₖ given x)`` for each image, K = ``samples`` of z from q, in nats.

    Its mean is a lower bound of log p(x), which no more samples make looser. With K = 1 it is the ELBO, with the KL
    term from log-densities instead of the formula. ``block`` images are decoded at once.

    Source: Burda and others (2016), equation 8 and theorem 1.
    """
    if samples < 1:
        raise ValueError(f"samples is {samples}; expected at least 1")
    found = []
    with train.evaluating(net), torch.random.fork_rng([]):
        torch.manual_seed(seed)
        for rows in _on_device_of(net, x).split(max(1, block // samples)):
            mu, logvar = net.encode(rows)
            drawn = []
            for some in torch.arange(samples).split(block):
                shape = (len(some), *mu.shape)
                eps = torch.randn(shape, dtype=mu.dtype, device=mu.device)
                z = mu + torch.exp(logvar / 2) * eps
                logits = net.decode(z.flatten(0, 1))
                pixels = _log_pixels(logits, rows.repeat(len(some), *[1] * (rows.ndim - 1)), noise).view(shape[:2])
                drawn.append(pixels + 0.5 * (eps**2 + logvar - z**2).sum(dim=2))  # the 2π of p and q cancel
            found.append(torch.cat(drawn).double().logsumexp(dim=0) - math.log(samples))
    return torch.cat(found).cpu().numpy()


# ------------------------------------------------------------------------------------------------------- the VQ-VAE


class Codebook(nn.Module):
    """Vector quantisation: each vector becomes the nearest of ``codes`` learned ones.

    Forward ``e[k]``, ``k = argminⱼ ‖z - e[j]‖²``; backward the gradient goes past it, to z, as if nothing had happened
    (straight-through). The codes learn from their own loss.

    Parameters
    ----------
    codes, size : how many vectors, of how many numbers
    commitment : weight of ``‖z - sg[e]‖²``, which keeps the encoder's outputs near their codes
    restart : in training, move codes that no vector of the batch chose onto vectors of the batch, drawn at random

    Source: van den Oord and others (2017), equations 1 to 3.
    """

    def __init__(self, codes: int, size: int, *, commitment: float = 0.25, restart: bool = False):
        super().__init__()
        for name, value in (("codes", codes), ("size", size)):
            if value < 1:
                raise ValueError(f"{name} is {value}; expected at least 1")
        self.commitment, self.restart = commitment, restart
        self.codes = nn.Parameter(torch.empty(codes, size).uniform_(-1 / codes, 1 / codes))

    def forward(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(M, size) -> the quantised vectors (M, size), their indices (M,), and the loss of the codebook."""
        if z.ndim != 2 or z.shape[1] != self.codes.shape[1]:
            raise ValueError(f"z has shape {tuple(z.shape)}; expected (M, {self.codes.shape[1]})")
        indices = torch.cdist(z.detach(), self.codes.detach()).argmin(dim=1)
        chosen = self.codes[indices]
        loss = F.mse_loss(chosen, z.detach()) + self.commitment * F.mse_loss(z, chosen.detach())
        quantised = z + (chosen - z).detach()
        if self.restart and self.training:
            self._restart(z.detach(), indices)
        return quantised, indices, loss

    @torch.no_grad()
    def _restart(self, z: torch.Tensor, indices: torch.Tensor) -> None:
        unused = torch.bincount(indices, minlength=len(self.codes)) == 0
        rows = torch.randint(len(z), (int(unused.sum()),), device=z.device)
        self.codes.data[unused] = z[rows]  # past autograd: no gradient of this step goes to an unused code


class VQVAE(nn.Module):
    """An autoencoder whose code is a small image of whole numbers: each names a vector of the codebook.

    Parameters
    ----------
    shape : (H, W) of the images
    codes, size : the codebook
    hidden : channels of the convolutions of stride 2; k of them leave a grid of H/2ᵏ × W/2ᵏ codes
    commitment, restart : of :class:`Codebook`
    seed : of the weights; by default torch's generator is used as it is
    """

    def __init__(
        self, shape: tuple[int, int], codes: int = 64, size: int = 16, hidden: Sequence[int] = (32, 64), *,
        commitment: float = 0.25, restart: bool = False, seed: int | None = None,
    ):  # fmt: skip
        super().__init__()
        self.shape = tuple(shape)
        self.grid = _halvings(self.shape, hidden)
        with torch.random.fork_rng([], enabled=seed is not None):
            if seed is not None:
                torch.manual_seed(seed)
            down, up = _conv(self.shape, tuple(hidden))
            self.encoder = nn.Sequential(*down, nn.Conv2d(hidden[-1], size, 1))
            self.codebook = Codebook(codes, size, commitment=commitment, restart=restart)
            self.decoder = nn.Sequential(nn.Conv2d(size, hidden[-1], 1), nn.ReLU(), *up)

    def _quantise(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        z = self.encoder(_images(x, self.shape)).movedim(1, -1)  # (N, h, w, size)
        quantised, indices, loss = self.codebook(z.flatten(0, 2))
        return quantised.view(z.shape), indices.view(z.shape[:3]), loss

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """(N, H, W) -> indices of codes (N, h, w)."""
        return self._quantise(x)[1]

    def decode(self, indices: torch.Tensor) -> torch.Tensor:
        """Indices of codes (N, h, w) -> (N, H, W)."""
        return self.decoder(self.codebook.codes[indices].movedim(-1, 1))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(N, H, W) -> the reconstruction (N, H, W), and the codebook's loss."""
        quantised, _, loss = self._quantise(x)
        return self.decoder(quantised.movedim(-1, 1)), loss


def vq_loss(outputs: tuple[torch.Tensor, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """Mean squared error plus the codebook's loss."""
    reconstruction, loss = outputs
    return F.mse_loss(reconstruction, x) + loss
