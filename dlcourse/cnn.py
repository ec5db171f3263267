"""Convolutional networks in PyTorch: LeNet-5 as published and as it is taught, the network of 1989, and ways to look
into a network: shapes, receptive fields, what a unit answers to.

    net = lenet()                              # as taught: ReLU, max-pooling, 61,706 parameters
    published = LeNet5()                       # of 1998: trained subsampling, a table of connections, 60,000 parameters
    describe(net, (1, 1, 28, 28))              # layer by layer: shape and parameters

Operations by hand, forward and backward, are in :mod:`dlcourse.conv` and :mod:`dlcourse.pooling`.

References
----------
LeCun et al., "Backpropagation applied to handwritten zip code recognition", Neural Computation 1 (1989), 541-551.
LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", Proceedings of the IEEE 86
(1998), 2278-2324, section II.
Erhan, Bengio, Courville and Vincent, "Visualizing higher-layer features of a deep network", Montréal (2009).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from dlcourse import net1989
from dlcourse.pooling import ReceptiveField
from dlcourse.train import evaluating

# --------------------------------------------------------------------------------------------------- LeNet, as taught


def lenet(
    *, channels: int = 1, classes: int = 10, maps: tuple[int, int] = (6, 16), pool: str = "max", seed: int | None = None
) -> nn.Sequential:
    """LeNet-5 as it is usually taught, for images of 28×28: ReLU, 2×2 pooling, all maps connected, a linear output.

    ``conv 5×5 padded - ReLU - pool - conv 5×5 - ReLU - pool - 120 - ReLU - 84 - ReLU - classes``

    Parameters
    ----------
    channels : of the image
    classes : outputs, as logits
    maps : of the two convolutions
    pool : ``max``, ``average``, ``stride`` (both convolutions take steps of two, and nothing is pooled) or ``none``
    seed : of the weights; by default torch's generator is used as it is

    Raises
    ------
    ValueError
        There is no such pooling.
    """
    pools = {"max": lambda: nn.MaxPool2d(2), "average": lambda: nn.AvgPool2d(2)}
    pools |= {"stride": nn.Identity, "none": nn.Identity}
    if pool not in pools:
        raise ValueError(f"pool is {pool!r}; expected one of {', '.join(pools)}")
    step = 2 if pool == "stride" else 1
    side = {"none": 24, "stride": 5}.get(pool, 5)
    with torch.random.fork_rng([]):
        if seed is not None:
            torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(channels, maps[0], 5, padding=2, stride=step), nn.ReLU(), pools[pool](),
            nn.Conv2d(maps[0], maps[1], 5, stride=step), nn.ReLU(), pools[pool](),
            nn.Flatten(), nn.Linear(maps[1] * side * side, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(),
            nn.Linear(84, classes),
        )  # fmt: skip


# ----------------------------------------------------------------------------------------------- LeNet-5, as published

# Which maps of S2 a map of C3 sees (table I of the paper), as (map of C3, maps of S2).
C3_SEES = (
    *(tuple((first + i) % 6 for i in range(3)) for first in range(6)),
    *(tuple((first + i) % 6 for i in range(4)) for first in range(6)),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5), (0, 1, 2, 3, 4, 5),
)  # fmt: skip

# Characters on 7×12 pixels, for the targets of F6's 84 units. The paper has a whole alphabet of such drawings; these
# ten were drawn for this course in the same manner, and are not its pixels.
_STROKES = {
    0: "..###.. .#...#. #.....# #.....# #.....# #.....# #.....# #.....# #.....# #.....# .#...#. ..###..",
    1: "...#... ..##... .#.#... ...#... ...#... ...#... ...#... ...#... ...#... ...#... ...#... .#####.",
    2: ".#####. #.....# ......# ......# ......# .....#. ....#.. ...#... ..#.... .#..... #...... #######",
    3: ".#####. #.....# ......# ......# .....#. ..###.. .....#. ......# ......# ......# #.....# .#####.",
    4: ".....#. ....##. ...#.#. ...#.#. ..#..#. ..#..#. .#...#. #....#. ####### .....#. .....#. .....#.",
    5: "####### #...... #...... #...... #.####. ##....# ......# ......# ......# ......# #.....# .#####.",
    6: "..####. .#....# #...... #...... #.####. ##....# #.....# #.....# #.....# #.....# .#....# ..####.",
    7: "####### ......# ......# .....#. .....#. ....#.. ....#.. ...#... ...#... ..#.... ..#.... ..#....",
    8: ".#####. #.....# #.....# #.....# .#...#. ..###.. .#...#. #.....# #.....# #.....# #.....# .#####.",
    9: ".####.. #....#. #.....# #.....# #.....# #.....# #....## .####.# ......# ......# #....#. .####..",
}


def bitmaps() -> np.ndarray:
    """The targets of the published network's last layer: ten digits on 12×7 pixels, 1 for ink and -1 for paper."""
    return np.array([[[1.0 if c == "#" else -1.0 for c in row] for row in s.split()] for s in _STROKES.values()])


class ScaledTanh(nn.Module):
    """A tanh(S z) with A = 1.7159 and S = 2/3: it maps 1 to 1 and -1 to -1 (LeCun et al. 1998, appendix A)."""

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Element by element."""
        return 1.7159 * torch.tanh(2 / 3 * z)


class Subsample(nn.Module):
    """LeNet-5's pooling: the sum of 2×2 values, times a coefficient, plus a bias, both learned, one of each a map.

    By hand: :func:`dlcourse.pooling.subsample2d_forward`.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels).uniform_(-2.4 / 4, 2.4 / 4))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> (N, C, H/2, W/2)."""
        return 4 * F.avg_pool2d(x, 2) * self.weight[:, None, None] + self.bias[:, None, None]


class TableConv2d(nn.Module):
    """A convolution in which each map sees only some of the maps below: ``sees[k]`` names them for map k.

    Only the weights that there are, are parameters: one kernel for each pair of connected maps.
    """

    def __init__(self, channels: int, sees: Sequence[Sequence[int]], kernel: int):
        super().__init__()
        pairs = [(k, c) for k, seen in enumerate(sees) for c in seen]
        if max(c for _, c in pairs) >= channels:
            raise ValueError(f"sees names map {max(c for _, c in pairs)}; there are {channels}, counted from 0")
        fan_in = torch.tensor([len(sees[k]) * kernel**2 for k, _ in pairs])[:, None, None]
        self.kernels = nn.Parameter(torch.empty(len(pairs), kernel, kernel).uniform_(-1, 1) * 2.4 / fan_in)
        self.bias = nn.Parameter(torch.zeros(len(sees)))
        self.shape = (len(sees), channels, kernel, kernel)
        self.register_buffer("filters", torch.tensor([k for k, _ in pairs]), persistent=False)
        self.register_buffer("channels", torch.tensor([c for _, c in pairs]), persistent=False)

    def weight(self) -> torch.Tensor:
        """All weights (K, C, kernel, kernel), with zeros where there is no connection."""
        return self.kernels.new_zeros(self.shape).index_put((self.filters, self.channels), self.kernels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> (N, K, OH, OW)."""
        return F.conv2d(x, self.weight(), self.bias)


class RBF(nn.Module):
    """Scores by distance: minus the squared distance of x (N, 84) to the fixed target of each class (classes, 84)."""

    def __init__(self, targets: np.ndarray):
        super().__init__()
        self.register_buffer("targets", torch.as_tensor(targets, dtype=torch.float32).flatten(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 84) -> (N, classes)."""
        return -(x[:, None] - self.targets).square().sum(2)


class LeNet5(nn.Sequential):
    """LeNet-5 as published in 1998: 60,000 trainable parameters; input (N, 1, 32, 32) from :func:`lenet5_input`.

    C1 6 maps 5×5 · S2 subsampling · C3 16 maps 5×5 by the table of connections · S4 subsampling · C5 120 maps 5×5 ·
    F6 84 units · the distances to ten drawn digits. Scaled tanh after each layer but the last. The outputs are minus
    the distances, so that the largest one is the answer.

    Source: LeCun et al. (1998), section II.B. Weights start as U(±2.4 / fan_in), as given there.
    """

    def __init__(self, *, seed: int | None = None):
        with torch.random.fork_rng([]):
            if seed is not None:
                torch.manual_seed(seed)
            layers = {
                "C1": _start(nn.Conv2d(1, 6, 5)), "a1": ScaledTanh(), "S2": Subsample(6), "a2": ScaledTanh(),
                "C3": TableConv2d(6, C3_SEES, 5), "a3": ScaledTanh(), "S4": Subsample(16), "a4": ScaledTanh(),
                "C5": _start(nn.Conv2d(16, 120, 5)), "a5": ScaledTanh(), "flat": nn.Flatten(),
                "F6": _start(nn.Linear(120, 84)), "a6": ScaledTanh(), "output": RBF(bitmaps()),
            }  # fmt: skip
            super().__init__()
            for name, layer in layers.items():
                self.add_module(name, layer)


def _start(layer: nn.Module) -> nn.Module:
    fan_in = layer.weight[0].numel()
    nn.init.uniform_(layer.weight, -2.4 / fan_in, 2.4 / fan_in)
    nn.init.zeros_(layer.bias)
    return layer


def lenet5_input(images: np.ndarray) -> torch.Tensor:
    """Images (N, 28, 28) from 0 to 1 as LeNet-5 takes them: on 32×32 pixels, paper -0.1 and ink 1.175.

    With these two values the mean of MNIST's pixels is roughly 0 and their variance roughly 1.
    """
    x = torch.as_tensor(np.asarray(images, np.float32))
    if x.ndim != 3 or x.shape[1:] != (28, 28):
        raise ValueError(f"images has shape {tuple(x.shape)}; expected (N, 28, 28)")
    return F.pad(1.275 * x - 0.1, (2, 2, 2, 2), value=-0.1)[:, None]


def lenet5_loss(scores: torch.Tensor, y: torch.Tensor, rubbish: float = 1.0) -> torch.Tensor:
    """The discriminative loss of LeNet-5, the mean of ``d[y] + log(exp(-j) + Σ exp(-d[i]))``, d the distances.

    It pulls the right distance down and pushes the wrong ones up, but not beyond j. With scores s = -d this is softmax
    cross-entropy with one more class, "rubbish", whose score is always -j.

    Source: LeCun et al. (1998), section II.C, equation 9. The value of j is not given there.
    """
    extra = scores.new_full((len(scores), 1), -rubbish)
    return F.cross_entropy(torch.cat([scores, extra], dim=1), y)


# ------------------------------------------------------------------------------------------------ the network of 1989


class Net1989(nn.Module):
    """The network of 1989 in plain torch, one module, any device: input (N, 1, 16, 16), output (N, 10) before tanh.

    The same network as :class:`dlcourse.net1989.Nets`, which trains several at once; ``load`` takes one of them over.

    Parameters
    ----------
    relu : in place of tanh in the hidden layers
    """

    def __init__(self, *, relu: bool = False, seed: int = 0, dtype: torch.dtype = torch.float32):
        super().__init__()
        self.activation = torch.relu if relu else torch.tanh
        self.w1 = nn.Parameter(torch.zeros(12, 1, 5, 5, dtype=dtype))
        self.b1 = nn.Parameter(torch.zeros(12, 8, 8, dtype=dtype))  # a bias for each unit
        self.w2 = nn.Parameter(torch.zeros(12, 8, 5, 5, dtype=dtype))  # each map sees 8 of 12
        self.b2 = nn.Parameter(torch.zeros(12, 4, 4, dtype=dtype))
        self.w3 = nn.Parameter(torch.zeros(30, 12, 4, 4, dtype=dtype))
        self.b3 = nn.Parameter(torch.zeros(30, dtype=dtype))
        self.w4 = nn.Parameter(torch.zeros(10, 30, dtype=dtype))
        self.b4 = nn.Parameter(torch.zeros(10, dtype=dtype))
        self.load(net1989.Nets([seed], dtype=np.float64))

    def forward(self, x: torch.Tensor, keep: torch.Tensor | None = None) -> torch.Tensor:
        """``keep`` (N, 12, 4, 4) multiplies H2's outputs: dropout, drawn by the caller."""
        h1 = self.activation(F.conv2d(self._framed(x), self.w1, stride=2) + self.b1)
        h1 = self._framed(h1)
        groups = (h1[:, :8], h1[:, 4:], torch.cat([h1[:, :4], h1[:, 8:]], dim=1))
        parts = [F.conv2d(g, w, stride=2) for g, w in zip(groups, self.w2.split(4), strict=True)]
        h2 = self.activation(torch.cat(parts, dim=1) + self.b2)
        h2 = h2 if keep is None else h2 * keep
        h3 = self.activation(h2.flatten(1) @ self.w3.flatten(1).T + self.b3)
        return h3 @ self.w4.T + self.b4

    @staticmethod
    def _framed(x: torch.Tensor) -> torch.Tensor:
        return F.pad(x, (2, 2, 2, 2), value=net1989.BACKGROUND)

    @torch.no_grad()
    def load(self, nets: net1989.Nets, s: int = 0) -> Net1989:
        """Take over the weights of network ``s``. Returns itself."""
        for name, value in _from_nets(nets, s).items():
            getattr(self, name).copy_(torch.as_tensor(value))
        return self


def _from_nets(nets: net1989.Nets, s: int) -> dict[str, np.ndarray]:
    """Network ``s`` with channels first, and without the connections that are not there."""
    w = {name: view[s] for name, view in nets.views.items()}
    full = w["w2"].reshape(5, 5, 12, 12).transpose(3, 2, 0, 1)  # (map of H2, map of H1, 5, 5)
    return {
        "w1": w["w1"].reshape(5, 5, 1, 12).transpose(3, 2, 0, 1),
        "b1": w["b1"].reshape(8, 8, 12).transpose(2, 0, 1),
        "w2": np.stack([full[k][net1989.SEEN[:, k]] for k in range(12)]),
        "b2": w["b2"].reshape(4, 4, 12).transpose(2, 0, 1),
        "w3": w["w3"].reshape(30, 4, 4, 12).transpose(0, 3, 1, 2),
        "b3": w["b3"][0],
        "w4": w["w4"].T,
        "b4": w["b4"][0],
    }


# --------------------------------------------------------------------------------------------------- looking into nets


class Row(NamedTuple):
    """One layer of :func:`describe`."""

    name: str
    shape: tuple[int, ...]  # of its output
    parameters: int


def describe(net: nn.Module, shape: Sequence[int]) -> list[Row]:
    """What a network's layers put out for an input of ``shape``, and how many parameters each has.

    A layer is a module without modules of its own. Run on the CPU or wherever the network is, on zeros, in eval mode.
    """
    rows, hooks = [], []
    for name, layer in net.named_modules():
        if not list(layer.children()):
            count = sum(p.numel() for p in layer.parameters() if p.requires_grad)
            label = type(layer).__name__ if name.isdigit() or not name else f"{name} {type(layer).__name__}"

            def note(_, __, out, label=label, count=count):
                rows.append(Row(label, tuple(out.shape), count))

            hooks.append(layer.register_forward_hook(note))
    try:
        run_on_zeros(net, shape)
    finally:
        for hook in hooks:
            hook.remove()
    return rows


@torch.no_grad()
def run_on_zeros(net: nn.Module, shape: Sequence[int]) -> torch.Tensor:
    """The network's output for zeros of ``shape``, in eval mode, wherever the network is: for hooks that look on."""
    first = next(net.parameters(), torch.zeros(()))
    with evaluating(net):
        return net(torch.zeros(tuple(shape), dtype=first.dtype, device=first.device))


def measured_field(
    net: Callable[[torch.Tensor], torch.Tensor], shape: Sequence[int], unit: int | None = None, *, trials: int = 8
) -> tuple[slice, slice]:
    """Which inputs a unit sees, by asking the gradient: rows and columns of an input of ``shape`` (1, C, H, W) on which
    the unit depends.

    Random inputs go in, the unit's value is differentiated, and pixels whose derivative is not 0 in one of the trials
    are counted. Several trials, as max-pooling passes a gradient to one pixel of a window only, and a ReLU may be off.

    Parameters
    ----------
    net : maps (1, C, H, W) to (1, K, OH, OW)
    unit : its row and column in the output; by default the middle

    Returns
    -------
    rows, columns : slices of the input

    Raises
    ------
    ValueError
        The unit depends on no input.
    """
    generator = torch.Generator().manual_seed(0)
    seen = torch.zeros(tuple(shape[2:]), dtype=torch.bool)
    for _ in range(trials):
        x = torch.randn(tuple(shape), generator=generator, dtype=torch.float64).requires_grad_()
        out = net(x)
        at = [n // 2 if unit is None else unit for n in out.shape[2:]]
        (gradient,) = torch.autograd.grad(out[0, :, at[0], at[1]].sum(), x)
        seen |= (gradient != 0).any(dim=1)[0]
    if not seen.any():
        raise ValueError("the unit depends on no input: all its derivatives are 0")
    places = [seen.any(dim=d).nonzero().flatten() for d in (1, 0)]
    return tuple(slice(int(p[0]), int(p[-1]) + 1) for p in places)


def expected_field(field: ReceptiveField, unit: int, size: int) -> slice:
    """The inputs that unit ``unit`` sees by the formula, cut to an input of ``size`` pixels."""
    start = field.start + unit * field.jump
    return slice(max(start, 0), min(start + field.size, size))


def favourite(
    net: nn.Module,
    unit: Callable[[torch.Tensor], torch.Tensor],
    shape: Sequence[int],
    *,
    steps: int = 128,
    lr: float = 0.1,
    decay: float = 0.1,
    jitter: int = 2,
    seed: int = 0,
) -> tuple[np.ndarray, float]:
    """An image that a unit answers to strongly, found by gradient ascent on the pixels.

    From faint noise, Adam raises ``unit(net(x)) - decay · mean(x²)``. The image is moved by up to ``jitter`` pixels
    each way in each step, so that it cannot rely on single pixels; pixels stay between 0 and 1.

    Parameters
    ----------
    net : any module, or the first layers of one; its weights are left alone
    unit : picks what to raise from the output: for example ``lambda out: out[0, 3].max()``
    shape : (1, C, H, W) of the image

    Returns
    -------
    image : (C, H, W)
    value : ``unit`` of the final image

    Source: Erhan et al. (2009); jitter: Mordvintsev, Olah and Tyka, Inceptionism (2015).
    """
    first = next(net.parameters(), torch.zeros(()))
    generator = torch.Generator().manual_seed(seed)
    start = 0.1 * torch.rand(tuple(shape), generator=generator)
    x = start.to(device=first.device, dtype=first.dtype).requires_grad_()
    optimiser = torch.optim.Adam([x], lr=lr)
    with evaluating(net):
        for _ in range(steps):
            moves = torch.randint(-jitter, jitter + 1, (2,), generator=generator).tolist()
            goal = unit(net(torch.roll(x, moves, dims=(2, 3)))) - decay * x.square().mean()
            (x.grad,) = torch.autograd.grad(-goal, x)
            optimiser.step()
            with torch.no_grad():
                x.clamp_(0, 1)
        with torch.no_grad():
            return x[0].detach().cpu().numpy(), float(unit(net(x)))


def top_patches(
    net: nn.Module, images: torch.Tensor, channel: int, field: ReceptiveField, *, count: int = 9
) -> tuple[np.ndarray, np.ndarray]:
    """The pieces of images that a channel answers to most strongly, one piece an image, cut out by receptive field.

    Parameters
    ----------
    net : maps images (N, C, H, W) to (N, K, OH, OW): the first layers of a network
    channel : of the output
    field : of its units, from :func:`dlcourse.pooling.receptive_field`

    Returns
    -------
    patches : (count, C, field.size, field.size); zeros where a patch reaches beyond the image
    values : (count,), the channel's answers, the largest first
    """
    with torch.no_grad():
        maps = torch.cat([net(part)[:, channel] for part in images.split(256)])
    best, place = maps.flatten(1).max(dim=1)
    order = best.argsort(descending=True)[:count]
    reach = field.size + abs(field.start)
    framed = F.pad(images[order], (reach,) * 4)
    patches = []
    for image, at in zip(framed, place[order].tolist(), strict=True):
        top, left = (reach + field.start + field.jump * i for i in divmod(at, maps.shape[2]))
        patches.append(image[:, top : top + field.size, left : left + field.size])
    return torch.stack(patches).cpu().numpy(), best[order].cpu().numpy()


def count_parameters(net: nn.Module) -> int:
    """How many numbers a network learns."""
    return sum(p.numel() for p in net.parameters() if p.requires_grad)


def moved(images: torch.Tensor, down: int, right: int) -> torch.Tensor:
    """Images (N, C, H, W) moved by whole pixels; zeros come in where the picture leaves."""
    H, W = images.shape[2:]
    reach = max(abs(down), abs(right))
    framed = F.pad(images, (reach,) * 4)
    return framed[:, :, reach - down : reach - down + H, reach - right : reach - right + W]


__all__ = [
    "C3_SEES", "RBF", "LeNet5", "Net1989", "Row", "ScaledTanh", "Subsample", "TableConv2d", "bitmaps",
    "count_parameters", "describe", "expected_field", "favourite", "lenet", "lenet5_input", "lenet5_loss",
    "measured_field", "moved", "top_patches",
]  # fmt: skip
