"""Transformers in PyTorch: blocks, GPT with cached decoding, encoders for images, words and sound, MLP-Mixer and gMLP.

    gpt = GPT(vocabulary=65, length=64, width=64, depth=2, heads=4, seed=0)
    logits = gpt(tokens)                           # (N, T, 65): what may come next, at every place
    gpt.generate(tokens[:, :8], 100)               # (N, 108); keys and values are kept, so that a token costs one row

    net = vit(image=28, patch=7, width=64, depth=4, heads=4, classes=10)
    net = mixer(image=28, patch=7, width=64, depth=4, classes=10, block=GMLPBlock)

Attention by hand, forward and backward, is in :mod:`dlcourse.attention`.

References
----------
Vaswani et al., Attention is all you need, NeurIPS (2017), arXiv:1706.03762. Radford et al., Improving language
understanding by generative pre-training (2018), and Language models are unsupervised multitask learners (2019).
Dosovitskiy et al., An image is worth 16x16 words, ICLR (2021), arXiv:2010.11929. Tolstikhin et al., MLP-Mixer,
NeurIPS (2021), arXiv:2105.01601. Liu et al., Pay attention to MLPs, NeurIPS (2021), arXiv:2105.08050. Xiong et al., On
layer normalization in the transformer architecture, ICML (2020), arXiv:2002.04745.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from dlcourse.attention import sinusoidal
from dlcourse.train import evaluating

KeysValues = tuple[torch.Tensor, torch.Tensor]


@contextmanager
def _seeded(seed: int | None) -> Iterator[None]:
    with torch.random.fork_rng([]):
        if seed is not None:
            torch.manual_seed(seed)
        yield


# -------------------------------------------------------------------------------------------------------------- blocks


class SelfAttention(nn.Module):
    """Multi-head self-attention (N, T, D) -> (N, T, D). By hand: :func:`dlcourse.attention.multi_head_forward`.

    Parameters
    ----------
    width : D
    heads : divides D
    causal : no token looks at later ones
    dropout : of the attention weights, in training

    Raises
    ------
    ValueError
        ``heads`` does not divide ``width``.

    Source: Vaswani et al. (2017), section 3.2.
    """

    def __init__(self, width: int, heads: int, *, causal: bool = False, dropout: float = 0.0):
        super().__init__()
        if heads < 1 or width % heads:
            raise ValueError(f"heads is {heads}; expected a divisor of the width {width}")
        self.heads, self.causal, self.dropout = heads, causal, dropout
        self.into, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(
        self, x: torch.Tensor, mask: torch.Tensor | None = None, past: KeysValues | None = None
    ) -> tuple[torch.Tensor, KeysValues]:
        """``mask`` (N, T) is True where there is a token; ``past`` holds the keys and values of the tokens before.

        Returns
        -------
        out : (N, T, D)
        kept : keys and values of all tokens so far, each (N, heads, S, D / heads)
        """
        q, k, v = self._heads(x)
        if past is not None:
            k, v = torch.cat([past[0], k], dim=2), torch.cat([past[1], v], dim=2)
        allowed = self._allowed(q.shape[2], k.shape[2], mask, x.device)
        p = self.dropout if self.training else 0.0
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed, dropout_p=p)
        return self.out(out.transpose(1, 2).flatten(2)), (k, v)

    def weights(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """The attention weights themselves: (N, heads, T, T), rows that sum to 1."""
        q, k, _ = self._heads(x)
        scores = q @ k.transpose(2, 3) / q.shape[3] ** 0.5
        allowed = self._allowed(q.shape[2], k.shape[2], mask, x.device)
        return (scores if allowed is None else scores.masked_fill(~allowed, -torch.inf)).softmax(3)

    def _heads(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        N, T, D = x.shape
        return self.into(x).view(N, T, 3, self.heads, D // self.heads).permute(2, 0, 3, 1, 4).unbind()

    def _allowed(self, T: int, S: int, mask: torch.Tensor | None, device) -> torch.Tensor | None:
        allowed = None if mask is None else mask[:, None, None, :]
        if self.causal and T > 1:
            triangle = torch.ones(T, S, dtype=torch.bool, device=device).tril(S - T)
            allowed = triangle if allowed is None else allowed & triangle
        return allowed


class MLP(nn.Sequential):
    """Two layers on each token by itself: D -> hidden -> D, with GELU between."""

    def __init__(self, width: int, hidden: int, dropout: float = 0.0):
        super().__init__(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width), nn.Dropout(dropout))


class Block(nn.Module):
    """A transformer block: tokens gather context, then each thinks for itself; both are added to what was there.

    Pre-norm: ``z = z + SA(LN(z))``, ``z = z + MLP(LN(z))``. Post-norm: ``z = LN(z + SA(z))``, ``z = LN(z + MLP(z))``.

    Parameters
    ----------
    norm : ``pre`` or ``post``
    hidden : of the MLP, in multiples of ``width``

    Raises
    ------
    ValueError
        ``norm`` is neither, or ``heads`` does not divide ``width``.

    Source: post-norm Vaswani et al. (2017), section 3.1; pre-norm Radford et al. (2019); both Xiong et al. (2020).
    """

    def __init__(
        self, width: int, heads: int, *, causal: bool = False, norm: str = "pre", hidden: int = 4, dropout: float = 0.0
    ):
        super().__init__()
        if norm not in ("pre", "post"):
            raise ValueError(f"norm is {norm!r}; expected pre or post")
        self.pre = norm == "pre"
        self.attention = SelfAttention(width, heads, causal=causal, dropout=dropout)
        self.mlp = MLP(width, hidden * width, dropout)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.drop = nn.Dropout(dropout)

    def forward(
        self, z: torch.Tensor, mask: torch.Tensor | None = None, past: KeysValues | None = None
    ) -> tuple[torch.Tensor, KeysValues]:
        """(N, T, D) -> (N, T, D), and the keys and values for the next call."""
        context, kept = self.attention(self.norm1(z) if self.pre else z, mask, past)
        z = z + self.drop(context)
        if self.pre:
            return z + self.mlp(self.norm2(z)), kept
        z = self.norm1(z)
        return self.norm2(z + self.mlp(z)), kept


class Positions(nn.Module):
    """Adds a vector for each place: ``learned``, ``sinusoidal`` or ``none``.

    Raises
    ------
    ValueError
        There is no such kind.
    """

    def __init__(self, kind: str, length: int, width: int):
        super().__init__()
        if kind == "learned":
            self.vectors = nn.Parameter(0.02 * torch.randn(length, width))
        elif kind == "sinusoidal":
            self.register_buffer("vectors", torch.from_numpy(sinusoidal(length, width, dtype=np.float32)))
        elif kind == "none":
            self.vectors = None
        else:
            raise ValueError(f"positions is {kind!r}; expected learned, sinusoidal or none")

    def forward(self, z: torch.Tensor, start: int = 0) -> torch.Tensor:
        """``z`` (N, T, D) stands at the places from ``start`` on."""
        return z if self.vectors is None else z + self.vectors[start : start + z.shape[1]]


# ----------------------------------------------------------------------------------------------------------------- GPT


class GPT(nn.Module):
    """A decoder: causal blocks that give, at every place, logits for the token that comes next.

    Parameters
    ----------
    vocabulary : how many tokens there are
    length : how many it can look at
    positions : ``learned``, ``sinusoidal`` or ``none``
    seed : of the weights; by default torch's generator is used as it is

    Source: Radford et al. (2018, 2019). The weights start with standard deviation 0.02, those that lead into the sum
    with 0.02 / √(2 depth); the output shares the embedding's weights.
    """

    def __init__(
        self,
        vocabulary: int,
        length: int,
        width: int = 64,
        depth: int = 2,
        heads: int = 4,
        *,
        dropout: float = 0.0,
        positions: str = "learned",
        norm: str = "pre",
        seed: int | None = None,
    ):
        super().__init__()
        with _seeded(seed):
            self.length = length
            self.embedding = nn.Embedding(vocabulary, width)
            self.positions = Positions(positions, length, width)
            self.drop = nn.Dropout(dropout)
            self.blocks = nn.ModuleList(
                Block(width, heads, causal=True, norm=norm, dropout=dropout) for _ in range(depth)
            )
            self.norm = nn.LayerNorm(width)
            for name, p in self.named_parameters():
                if name.endswith(("attention.out.weight", "mlp.2.weight")):
                    nn.init.normal_(p, std=0.02 / max(2 * depth, 1) ** 0.5)
                elif p.ndim > 1:
                    nn.init.normal_(p, std=0.02)
                elif name.endswith("bias"):
                    nn.init.zeros_(p)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens (N, T) -> logits (N, T, vocabulary).

        Raises
        ------
        ValueError
            T is above ``length``.
        """
        return self.step(tokens)[0]

    def step(
        self, tokens: torch.Tensor, past: Sequence[KeysValues] | None = None
    ) -> tuple[torch.Tensor, list[KeysValues]]:
        """Logits for new tokens, given the keys and values of those before; and what to give the next call.

        Raises
        ------
        ValueError
            Old and new tokens together are more than ``length``.
        """
        start = 0 if past is None or not past else past[0][0].shape[2]
        if start + tokens.shape[1] > self.length:
            raise ValueError(f"tokens end at place {start + tokens.shape[1]}; expected at most length, {self.length}")
        z = self.drop(self.positions(self.embedding(tokens), start))
        kept = []
        for block, one in zip(self.blocks, past or [None] * len(self.blocks), strict=True):
            z, now = block(z, past=one)
            kept.append(now)
        return self.norm(z) @ self.embedding.weight.T, kept

    @torch.no_grad()
    def generate(
        self,
        tokens: torch.Tensor,
        count: int,
        *,
        temperature: float = 1.0,
        top: int | None = None,
        cached: bool = True,
        seed: int = 0,
    ) -> torch.Tensor:
        """Go on with ``tokens`` (N, T), T of at least 1: draw the next token, add it, and again, ``count`` times.

        Parameters
        ----------
        temperature : divides the logits; 0 takes the likeliest token
        top : draw from so many of the likeliest tokens only
        cached : keep keys and values, as long as all tokens fit into ``length``; the logits are the same without

        Returns
        -------
        tokens : (N, T + count); where there are more than ``length``, each was drawn from the last ``length`` before it

        Raises
        ------
        ValueError
            There is no token to start from, or ``temperature`` is below 0.
        """
        if tokens.shape[1] < 1:
            raise ValueError(f"tokens has shape {tuple(tokens.shape)}; expected at least one token to start from")
        if temperature < 0:
            raise ValueError(f"temperature is {temperature}; expected at least 0")
        generator = torch.Generator(tokens.device).manual_seed(seed)
        past = None
        with evaluating(self):
            for _ in range(count):
                fits = tokens.shape[1] <= self.length
                if cached and fits:
                    logits, past = self.step(tokens if past is None else tokens[:, -1:], past)
                else:
                    logits = self(tokens[:, -self.length :])
                tokens = torch.cat([tokens, _draw(logits[:, -1], temperature, top, generator)], dim=1)
        return tokens


def _draw(logits: torch.Tensor, temperature: float, top: int | None, generator) -> torch.Tensor:
    if temperature == 0:
        return logits.argmax(1, keepdim=True)
    if top is not None:
        least = logits.topk(min(top, logits.shape[1])).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    return torch.multinomial((logits / temperature).softmax(1), 1, generator=generator)


def next_token_loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The mean of ``-log p(next token)`` over all places, in nats; targets (N, T) are the tokens one place on."""
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def windows(ids: np.ndarray, length: int, batch_size: int, batches: int) -> Callable:
    """A function of a generator that yields an epoch of random pieces of a text: (tokens, the same one place on).

    Raises
    ------
    ValueError
        The text is not longer than a piece.
    """
    ids = np.asarray(ids, np.int64)
    if len(ids) <= length:
        raise ValueError(f"ids has {len(ids)} tokens; expected more than length, {length}")

    def draw(rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for _ in range(batches):
            at = rng.integers(0, len(ids) - length, batch_size)[:, None] + np.arange(length)
            yield ids[at], ids[at + 1]

    return draw


@torch.no_grad()
def text_loss(gpt: GPT, ids: np.ndarray, batch_size: int = 64) -> float:
    """Nats a token over a text, cut into pieces of ``gpt.length`` one after the other; what is left over is dropped.

    Each piece starts without context, so that this is a little more than what a sliding window would give.
    """
    count = (len(ids) - 1) // gpt.length
    pieces = torch.as_tensor(np.asarray(ids[: count * gpt.length], np.int64)).view(count, gpt.length)
    nexts = torch.as_tensor(np.asarray(ids[1 : count * gpt.length + 1], np.int64)).view(count, gpt.length)
    device, total = next(gpt.parameters()).device, 0.0
    with evaluating(gpt):
        for rows in range(0, count, batch_size):
            part = slice(rows, rows + batch_size)
            total += float(next_token_loss(gpt(pieces[part].to(device)), nexts[part].to(device))) * len(pieces[part])
    return total / count


@torch.no_grad()
def transition_table(gpt: GPT, vocabulary: int) -> tuple[np.ndarray, np.ndarray]:
    """What a small GPT has become as a machine: every full context is a state, and tokens lead to the next.

    Returns
    -------
    states : (vocabulary^length, length), all contexts of ``gpt.length`` tokens
    probabilities : (vocabulary^length, vocabulary) of the next token
    """
    states = np.array(list(itertools.product(range(vocabulary), repeat=gpt.length)))
    with evaluating(gpt):
        logits = gpt(torch.from_numpy(states))[:, -1]
    return states, logits.softmax(1).numpy()


# ------------------------------------------------------------------------------------------------------------ encoders


class Encoder(nn.Module):
    """A classifier of token sets: embed, add positions, blocks, one vector for all tokens, a linear layer.

    Parameters
    ----------
    embed : makes the module that turns the input into tokens (N, T, width), as ``lambda: nn.Embedding(5000, width)``
    length : the largest T
    pool : ``mean`` of the tokens, or ``class``: one more, learned token gathers what the answer needs
    positions : ``learned``, ``sinusoidal`` or ``none``
    norm : ``pre`` or ``post``
    seed : of the weights; by default torch's generator is used as it is

    Raises
    ------
    ValueError
        There is no such pooling, or what :class:`Positions` and :class:`Block` raise.

    Source: Dosovitskiy et al. (2021), section 3.1 and appendix D.3 for the two ways to pool.
    """

    def __init__(
        self,
        embed: Callable[[], nn.Module],
        length: int,
        classes: int,
        width: int = 64,
        depth: int = 2,
        heads: int = 4,
        *,
        pool: str = "mean",
        positions: str = "learned",
        norm: str = "pre",
        hidden: int = 4,
        dropout: float = 0.0,
        seed: int | None = None,
    ):
        super().__init__()
        if pool not in ("mean", "class"):
            raise ValueError(f"pool is {pool!r}; expected mean or class")
        with _seeded(seed):
            self.embed = embed()
            self.token = nn.Parameter(0.02 * torch.randn(width)) if pool == "class" else None
            self.positions, self.drop = Positions(positions, length, width), nn.Dropout(dropout)
            self.blocks = nn.ModuleList(
                Block(width, heads, norm=norm, hidden=hidden, dropout=dropout) for _ in range(depth)
            )
            self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, classes)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Logits (N, classes). ``mask`` (N, T) is True at tokens; an input without any counts its padding as tokens."""
        z, mask = self.tokens(x, mask)
        if self.token is not None:
            return self.head(z[:, 0])
        if mask is None:
            return self.head(z.mean(1))
        there = mask[..., None].to(z.dtype)
        return self.head((z * there).sum(1) / there.sum(1))

    def tokens(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The tokens after the last block, a class token first; and the mask that goes with them."""
        z, mask = self._start(x, mask)
        for block in self.blocks:
            z, _ = block(z, mask)
        return self.norm(z), mask

    @torch.no_grad()
    def attention(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """The weights of every block: (depth, N, heads, T, T)."""
        z, mask = self._start(x, mask)
        found = []
        for block in self.blocks:
            found.append(block.attention.weights(block.norm1(z) if block.pre else z, mask))
            z, _ = block(z, mask)
        return torch.stack(found)

    def _start(self, x: torch.Tensor, mask: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor | None]:
        z = self.drop(self.positions(self.embed(x)))
        if mask is not None:
            mask = mask | ~mask.any(dim=1, keepdim=True)
        if self.token is not None:
            z = torch.cat([self.token.expand(len(z), 1, -1), z], dim=1)
            mask = None if mask is None else F.pad(mask, (1, 0), value=True)
        return z, mask


class Patches(nn.Module):
    """Cuts images (N, C, H, W) into squares and maps each to a token: (N, (H / patch) · (W / patch), width).

    A convolution whose step is its kernel. Without ``C`` axis, (N, H, W), an image has one channel.

    Source: Dosovitskiy et al. (2021), equation 1.
    """

    def __init__(self, patch: int, width: int, channels: int = 1):
        super().__init__()
        self.patch, self.linear = patch, nn.Linear(channels * patch * patch, width)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Row by row of the image, from the top left."""
        images = images[:, None] if images.ndim == 3 else images
        squares = images.unflatten(3, (-1, self.patch)).unflatten(2, (-1, self.patch))  # (N, C, rows, p, columns, p)
        return self.linear(squares.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2))


def _places(image: int, patch: int) -> int:
    if patch < 1 or image % patch:
        raise ValueError(f"patch is {patch}; expected a divisor of the image's {image} pixels")
    return (image // patch) ** 2


def vit(image: int, patch: int, classes: int, width: int = 64, *, channels: int = 1, **options) -> Encoder:
    """A vision transformer for square images: patches are the tokens. ``options`` as for :class:`Encoder`.

    Raises
    ------
    ValueError
        ``patch`` does not divide ``image``.

    Source: Dosovitskiy et al. (2021).
    """
    places = _places(image, patch)
    return Encoder(lambda: Patches(patch, width, channels), places, classes, width, **options)


class MixerBlock(nn.Module):
    """Two MLPs in turn: one along the places, the same for every channel; one along the channels, the same everywhere.

    ``z = z + MLP(LN(z)ᵀ)ᵀ``, ``z = z + MLP(LN(z))``; there is no attention, and the number of places is fixed.

    Source: Tolstikhin et al. (2021), section 2.
    """

    def __init__(self, places: int, width: int, dropout: float = 0.0):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.across, self.within = MLP(places, 2 * places, dropout), MLP(width, 4 * width, dropout)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """(N, T, D) -> (N, T, D)."""
        z = z + self.across(self.norm1(z).transpose(1, 2)).transpose(1, 2)
        return z + self.within(self.norm2(z))


class GMLPBlock(nn.Module):
    """An MLP with a gate that looks at other places: ``[u, v] = GELU(LN(z) w)``, ``z = z + (u · (W LN(v) + b)) w'``.

    W starts near 0 and b at 1, so that at first nothing is gated and no place sees another.

    Source: Liu et al. (2021), section 2.1.
    """

    def __init__(self, places: int, width: int, dropout: float = 0.0):
        super().__init__()
        self.norm, self.gate_norm = nn.LayerNorm(width), nn.LayerNorm(2 * width)
        self.into, self.out = nn.Linear(width, 4 * width), nn.Linear(2 * width, width)
        self.gate, self.drop = nn.Linear(places, places), nn.Dropout(dropout)
        nn.init.normal_(self.gate.weight, std=1e-3)
        nn.init.ones_(self.gate.bias)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """(N, T, D) -> (N, T, D)."""
        u, v = F.gelu(self.into(self.norm(z))).chunk(2, dim=2)
        return z + self.drop(self.out(u * self.gate(self.gate_norm(v).transpose(1, 2)).transpose(1, 2)))


def mixer(
    image: int,
    patch: int,
    classes: int,
    width: int = 64,
    depth: int = 2,
    *,
    channels: int = 1,
    block: Callable[..., nn.Module] = MixerBlock,
    dropout: float = 0.0,
    seed: int | None = None,
) -> nn.Sequential:
    """MLP-Mixer for square images, or gMLP with ``block=GMLPBlock``: patches, blocks, the mean of the tokens, a linear
    layer.

    Raises
    ------
    ValueError
        ``patch`` does not divide ``image``.

    Source: Tolstikhin et al. (2021); Liu et al. (2021).
    """
    places = _places(image, patch)
    with _seeded(seed):
        blocks = [block(places, width, dropout) for _ in range(depth)]
        return nn.Sequential(
            Patches(patch, width, channels), *blocks, nn.LayerNorm(width), _Mean(), nn.Linear(width, classes)
        )


class _Mean(nn.Module):
    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return z.mean(1)


# ---------------------------------------------------------------------------------------------------- receptive fields


def effective_field(features: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor, unit: int) -> np.ndarray:
    """How much each pixel moves one place's features: the mean over images and channels of ``|∂ feature / ∂ pixel|``.

    Parameters
    ----------
    features : maps images (N, C, H, W) to (N, T, D)
    images : (N, C, H, W)
    unit : the place, 0 to T - 1

    Returns
    -------
    field : (H, W), with sum 1

    Raises
    ------
    ValueError
        No pixel moves the features.

    Source: Luo et al., Understanding the effective receptive field in deep CNNs, NeurIPS (2016), section 2.
    """
    x = images.detach().clone().requires_grad_()
    out = features(x)[:, unit]  # (N, D)
    field = torch.zeros(x.shape[2:], dtype=x.dtype)
    for d in range(out.shape[1]):
        (gradient,) = torch.autograd.grad(out[:, d].sum(), x, retain_graph=True)
        field += gradient.abs().sum(dim=(0, 1)).cpu()
    if not field.sum() > 0:
        raise ValueError("no pixel moves the features: all derivatives are 0")
    return (field / field.sum()).numpy()
