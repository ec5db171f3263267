"""Chapter 12: use what a network has learned on one set of images for another: freeze, fine-tune, adapt, and count.

    net = small_cnn(side=28, seed=0)                       # three convolutions and a linear head, trained on one set
    ready = prepare(net, "adapters", classes=10, seed=0)   # a copy for another set: what may move, moves
    adapt(ready, x, y, steps=100, lr=3e-3, seed=0)         # trained on a few labels
    training_cost(ready, (1, 1, 28, 28))                   # multiply-adds for one image

A residual adapter by hand is the pair ``adapter_forward`` and ``adapter_backward``, in NumPy. The networks are
PyTorch's, and run on any device.

Sources: Yosinski, Clune, Bengio and Lipson, How transferable are features in deep neural networks?, NeurIPS (2014),
arXiv:1411.1792; Rebuffi, Bilen and Vedaldi, Learning multiple visual domains with residual adapters, NeurIPS (2017),
arXiv:1705.08045.
"""

from __future__ import annotations

import copy
import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from dlcourse import train
from dlcourse.arrays import as_float, as_gradient
from dlcourse.cnn import run_on_zeros

WAYS = ("frozen", "fine-tuned", "adapters", "scratch")


# ------------------------------------------------------------------------------------------------ adapters by hand


def adapter_forward(x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, tuple]:
    """A residual adapter: out[n, k, i, j] = x[n, k, i, j] + Σ_c w[k, c] x[n, c, i, j].

    A 1×1 convolution beside a skip. With w = 0 it changes nothing, so a network that gets adapters starts as it was.

    Source: Rebuffi et al. (2017), section 3.

    Parameters
    ----------
    x : (N, C, H, W)
    w : (C, C)

    Raises
    ------
    ValueError
        A shape or a dtype does not fit.
    """
    x, w = as_float(x, "x"), as_float(w, "w")
    if x.ndim != 4:
        raise ValueError(f"x has shape {x.shape}; expected (N, C, H, W)")
    if w.shape != (x.shape[1], x.shape[1]):
        raise ValueError(f"w has shape {w.shape}; expected (C, C) for the {x.shape[1]} channels of x")
    return x + np.einsum("kc,nchw->nkhw", w, x, optimize=True), (x, w)


def adapter_backward(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray]:
    """Gradients of :func:`adapter_forward`: dx = dout + wᵀ dout at each pixel, dw = Σ dout xᵀ over pixels and images.

    Source: the chain rule.

    Returns
    -------
    dx : (N, C, H, W)
    dw : (C, C)
    """
    x, w = cache
    dout = as_gradient(dout, x.shape)
    dx = dout + np.einsum("kc,nkhw->nchw", w, dout, optimize=True)
    return dx, np.einsum("nkhw,nchw->kc", dout, x, optimize=True)


# ---------------------------------------------------------------------------------------------------- the networks


def small_cnn(
    *, channels: int = 1, classes: int = 10, maps: Sequence[int] = (8, 16, 32), side: int = 28, seed: int | None = None
) -> nn.Sequential:
    """A small network for small images: 3×3 convolutions with ReLU, 2×2 max-pooling between them, a linear head.

    Its layers are ``conv1, relu1, pool1, conv2, ...``, then ``flatten`` and ``head``.

    Source: the pattern of LeNet-5 (LeCun et al., 1998) with 3×3 filters.

    Parameters
    ----------
    channels, side : of the images, (N, channels, side, side)
    maps : one number of channels a convolution
    seed : of the weights; by default torch's generator is used as it is

    Raises
    ------
    ValueError
        The images are too small to be pooled so often.
    """
    final = side // 2 ** (len(maps) - 1)
    if final < 1:
        raise ValueError(f"side is {side}; {len(maps)} convolutions need at least {2 ** (len(maps) - 1)} pixels")
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    with torch.random.fork_rng([]):
        if seed is not None:
            torch.manual_seed(seed)
        for i, (c, k) in enumerate(zip((channels, *maps), maps, strict=False), start=1):
            if i > 1:
                layers[f"pool{i - 1}"] = nn.MaxPool2d(2)
            layers[f"conv{i}"] = nn.Conv2d(c, k, 3, padding=1)
            layers[f"relu{i}"] = nn.ReLU()
        layers["flatten"] = nn.Flatten()
        layers["head"] = nn.Linear(maps[-1] * final**2, classes)
    return nn.Sequential(layers)


class ResidualAdapter(nn.Module):
    """x + w x at each pixel, w a (C, C) matrix that starts at 0; by hand: :func:`adapter_forward`.

    Source: Rebuffi et al. (2017), section 3, without the batch normalisation there.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(channels, channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        return x + F.conv2d(x, self.weight[:, :, None, None])


def convolutions(net: nn.Sequential) -> list[str]:
    """The names of a network's convolutions, from the input on."""
    return [name for name, layer in net.named_children() if isinstance(layer, nn.Conv2d)]


def with_head(net: nn.Sequential, classes: int, seed: int) -> nn.Sequential:
    """A copy of ``net`` whose last linear layer is new, for other classes."""
    net = copy.deepcopy(net)
    old = net.head
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        net.head = nn.Linear(old.in_features, classes).to(old.weight)
    return net


def with_adapters(net: nn.Sequential) -> nn.Sequential:
    """A copy of ``net`` with a residual adapter after each convolution. Until they are trained it computes the same."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for name, layer in copy.deepcopy(net).named_children():
        layers[name] = layer
        if isinstance(layer, nn.Conv2d):
            layers[name.replace("conv", "adapter")] = ResidualAdapter(layer.out_channels).to(layer.weight)
    return nn.Sequential(layers)


def transplant(net: nn.Sequential, keep: int, classes: int, seed: int) -> nn.Sequential:
    """A copy of ``net`` whose first ``keep`` convolutions stay and are frozen; all later layers are new and trained.

    ``keep=0`` is a network from scratch, ``keep=3`` of three leaves only a new head to train.

    Source: Yosinski et al. (2014), section 2.

    Raises
    ------
    ValueError
        There are not so many convolutions.
    """
    names = convolutions(net)
    if not 0 <= keep <= len(names):
        raise ValueError(f"keep is {keep}; expected 0 to {len(names)}, the number of convolutions")
    net = with_head(net, classes, seed)
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        for name in names[keep:]:
            getattr(net, name).reset_parameters()
    for name in names[:keep]:
        getattr(net, name).requires_grad_(False)
    return net


def prepare(net: nn.Sequential, way: str, classes: int, seed: int) -> nn.Sequential:
    """A copy of ``net`` for another task, with a new head, and ``requires_grad`` set on what is to be trained.

    Source: Yosinski et al. (2014); adapters: Rebuffi et al. (2017).

    Parameters
    ----------
    way : ``frozen`` (the head alone), ``fine-tuned`` (everything, from where it is), ``adapters`` (the head and an
        adapter after each convolution) or ``scratch`` (everything, from a random start)

    Raises
    ------
    ValueError
        There is no such way.
    """
    if way not in WAYS:
        raise ValueError(f"way is {way!r}; expected one of {', '.join(WAYS)}")
    if way == "scratch":
        return transplant(net, 0, classes, seed)
    if way == "fine-tuned":
        return with_head(net, classes, seed).requires_grad_(True)
    net = transplant(net, len(convolutions(net)), classes, seed)
    return with_adapters(net) if way == "adapters" else net


def trained(net: nn.Module) -> list[nn.Parameter]:
    """The parameters that training may change."""
    return [p for p in net.parameters() if p.requires_grad]


def adapt(
    net: nn.Module, x: Any, y: Any, *, steps: int, lr: float = 1e-3, batch_size: int = 32, seed: int = 0
) -> nn.Module:
    """Train what is not frozen by about ``steps`` updates of Adam, in place. Returns the network.

    Source: Adam as in chapter 05, on the mean cross-entropy.

    Parameters
    ----------
    x : (N, C, H, W) images
    y : (N,) classes

    Raises
    ------
    ValueError
        Nothing in the network may be trained.
    """
    parameters = trained(net)
    if not parameters:
        raise ValueError("net has no parameter with requires_grad; expected at least one to train")
    epochs = math.ceil(steps / math.ceil(len(x) / batch_size))
    train.fit(
        net, (x, y), torch.optim.Adam(parameters, lr=lr), loss=F.cross_entropy, epochs=epochs,
        batch_size=batch_size, seed=seed, progress=False,
    )  # fmt: skip
    return net


def few(y: np.ndarray, n: int, seed: int) -> np.ndarray:
    """The indices of ``n`` examples drawn at random, with the classes as even as can be.

    Source: the usual few-label protocol; here n counts all labels, not those of a class.

    Raises
    ------
    ValueError
        A class has too few examples, or ``n`` is below 1.
    """
    y = np.asarray(y)
    classes = np.unique(y)
    rng = np.random.default_rng(seed)
    counts = np.full(len(classes), n // len(classes))
    counts[rng.permutation(len(classes))[: n % len(classes)]] += 1
    members = [rng.permutation(np.flatnonzero(y == label)) for label in classes]
    if n < 1 or any(len(m) < count for m, count in zip(members, counts, strict=True)):
        raise ValueError(f"n is {n}; expected at least 1, and at most as many of a class as there are")
    return rng.permutation(np.concatenate([m[:count] for m, count in zip(members, counts, strict=True)]))


# --------------------------------------------------------------------------------------------------- what it costs


class Cost(NamedTuple):
    """Multiply-adds of one pass with a batch."""

    forward: int
    input_gradients: int
    weight_gradients: int

    @property
    def total(self) -> int:
        """All three together."""
        return sum(self)


def training_cost(net: nn.Module, shape: Sequence[int]) -> Cost:
    """Multiply-adds of one training step on inputs of ``shape``: convolutions, linear layers and adapters.

    Forward, a convolution does K · C/groups · KH · KW multiply-adds for each of its N · OH · OW places, a linear layer
    D · M for each example. Backward, the gradient of the weights costs as much again, where the layer is trained, and
    the gradient of its input as much again, where something before it is trained. Hence the rule of thumb: training
    costs three times the forward pass.

    Source: counted here; torch.utils.flop_counter counts the same, two operations a multiply-add.

    Parameters
    ----------
    net : a sequence of layers, run in their order
    shape : of the inputs, (N, C, H, W)
    """
    done: list[tuple[int, bool]] = []

    def note(layer, inputs, out):
        done.append((_multiply_adds(layer, out), any(p.requires_grad for p in layer.parameters(recurse=False))))

    hooks = [m.register_forward_hook(note) for m in net.modules() if isinstance(m, _COUNTED)]
    try:
        run_on_zeros(net, shape)
    finally:
        for hook in hooks:
            hook.remove()
    moving = [any(trains for _, trains in done[:i]) for i in range(len(done))]  # is anything before it trained?
    return Cost(
        sum(n for n, _ in done),
        sum(n for (n, _), needed in zip(done, moving, strict=True) if needed),
        sum(n for n, trains in done if trains),
    )


_COUNTED = (nn.Conv2d, nn.Linear, ResidualAdapter)


def _multiply_adds(layer: nn.Module, out: torch.Tensor) -> int:
    """One for each output and each weight that enters it."""
    return out.numel() * layer.weight[0].numel()
