"""Residual networks in PyTorch: plain against residual at any depth, the ResNet family, LayerScale, the blocks of
ConvNeXt and DenseNet, and ways to measure what a skip does.

    net = SmallNet(10, skips=True, seed=0)     # 10 blocks of two 3×3 convolutions; skips=False: the plain network
    gradient_norms(net, x, y)                  # layer by layer
    without_block(net, 4)                      # the same network with one block cut out
    resnet("resnet18")                         # names and shapes of torchvision's, so that weights load both ways

Operations by hand, forward and backward, are in :mod:`dlcourse.residual`.

References
----------
He, Zhang, Ren and Sun, "Deep residual learning for image recognition", CVPR (2016), arXiv:1512.03385; the same,
"Identity mappings in deep residual networks", ECCV (2016), arXiv:1603.05027.
Huang, Liu, van der Maaten and Weinberger, "Densely connected convolutional networks", CVPR (2017), arXiv:1608.06993.
Touvron et al., "Going deeper with image transformers", ICCV (2021), arXiv:2103.17239 (LayerScale).
Liu et al., "A ConvNet for the 2020s", CVPR (2022), arXiv:2201.03545 (ConvNeXt).
Veit, Wilber and Belongie, "Residual networks behave like ensembles of relatively shallow networks", NIPS (2016),
arXiv:1605.06431.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from dlcourse.cnn import count_parameters

# ------------------------------------------------------------------------------------------------------ parts of blocks


def conv3x3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """A 3×3 convolution, padded by 1, without bias, since batch norm follows: (N, C, H, W) -> (N, K, H/s, W/s)."""
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)


class LayerScale(nn.Module):
    """Multiplies each channel by a learned factor that starts small: out[:, c] = α[c] · x[:, c].

    Source: Touvron et al. (2021), section 2.
    """

    def __init__(self, channels: int, start: float = 1e-2):
        super().__init__()
        self.alpha = nn.Parameter(torch.full((channels,), float(start)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> the same shape."""
        return x * self.alpha[:, None, None]


# ------------------------------------------------------------------------------------- plain and residual, side by side


class Block(nn.Module):
    """Two 3×3 convolutions: relu(F(x) + x) with a skip, relu(F(x)) without; F is conv, norm, ReLU, conv, norm.

    Where the shape changes, the skip takes every second pixel and adds channels of zeros (option A of the paper). So a
    plain and a residual network have the same parameters, and differ by the additions only.

    Parameters
    ----------
    inputs, outputs, stride : channels in and out, and the first convolution's stride
    skip : whether x is added
    norm : batch norm after each convolution; without it the convolutions have biases
    alpha : None, or where LayerScale's factor on F starts

    Source: He et al. (2016), figure 2 and section 3.3.
    """

    def __init__(
        self, inputs: int, outputs: int, stride: int = 1, *, skip: bool = True, norm: bool = True,
        alpha: float | None = None,
    ):  # fmt: skip
        super().__init__()
        if outputs < inputs:
            raise ValueError(f"outputs is {outputs}, inputs {inputs}; the skip can add channels, not take them away")

        def layer(channels, stride):
            conv = conv3x3(channels, outputs, stride)
            if norm:
                return [conv, nn.BatchNorm2d(outputs)]
            conv.bias = nn.Parameter(torch.zeros(outputs))
            return [conv]

        scale = [] if alpha is None else [LayerScale(outputs, alpha)]
        self.f = nn.Sequential(*layer(inputs, stride), nn.ReLU(), *layer(outputs, 1), *scale)
        self.skip, self.stride, self.added = skip, stride, outputs - inputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> (N, K, H/s, W/s)."""
        out = self.f(x)
        return F.relu(out + self.shortcut(x) if self.skip else out)

    def shortcut(self, x: torch.Tensor) -> torch.Tensor:
        """x in the shape of F(x), without parameters."""
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.added))


class SmallNet(nn.Module):
    """A plain or a residual network for small images: 3×3 convolution, stages of ``blocks`` blocks, average, linear.

    With n blocks in each of s stages it has 2sn + 2 layers. Each stage but the first halves the map and doubles the
    channels, as in the paper's networks for CIFAR-10 (section 4.2), which have three stages and 16 channels.

    Parameters
    ----------
    blocks : of each stage
    skips : True for the residual network, False for the plain one
    channels, classes : of the images, and of the answer
    width : channels of the first stage
    stages : how many
    stride : of the first convolution; 2 makes all maps smaller, for the CPU's sake
    norm, alpha : as in :class:`Block`
    seed : of the weights (Kaiming, fan-out); by default torch's generator is used as it is

    Raises
    ------
    ValueError
        ``blocks``, ``stages`` or ``width`` is below 1; in a forward pass, the images have another number of channels.
    """

    def __init__(
        self, blocks: int, *, skips: bool = True, channels: int = 1, classes: int = 10, width: int = 16,
        stages: int = 3, stride: int = 1, norm: bool = True, alpha: float | None = None, seed: int | None = None,
    ):  # fmt: skip
        super().__init__()
        for name, value in (("blocks", blocks), ("stages", stages), ("width", width)):
            if value < 1:
                raise ValueError(f"{name} is {value}; expected at least 1")
        with torch.random.fork_rng([]):
            if seed is not None:
                torch.manual_seed(seed)
            self.channels = channels
            first = nn.BatchNorm2d(width) if norm else nn.Identity()
            self.stem = nn.Sequential(conv3x3(channels, width, stride), first, nn.ReLU())
            made, inputs = [], width
            for stage in range(stages):
                outputs = width * 2**stage
                for i in range(blocks):
                    down = 2 if stage and i == 0 else 1
                    made.append(Block(inputs, outputs, down, skip=skips, norm=norm, alpha=alpha))
                    inputs = outputs
            self.blocks = nn.Sequential(*made)
            self.head = nn.Linear(inputs, classes)
            kaiming(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> logits (N, classes)."""
        images(x, self.channels)
        return self.head(self.blocks(self.stem(x)).mean(dim=(2, 3)))

    @property
    def depth(self) -> int:
        """Layers with weights on the longest way."""
        return 2 * len(self.blocks) + 2


def kaiming(net: nn.Module) -> None:
    """Every convolution's weights anew: normal, standard deviation √(2 / fan-out), as torchvision's ResNets have it."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def images(x: torch.Tensor, channels: int) -> torch.Tensor:
    """``x``, checked to be images of so many channels with float values.

    Raises
    ------
    ValueError
        It has another shape or dtype.
    """
    if x.ndim != 4 or x.shape[1] != channels:
        raise ValueError(f"x has shape {tuple(x.shape)}; expected (N, {channels}, H, W)")
    if not x.is_floating_point():
        raise ValueError(f"x has dtype {x.dtype}; expected a float dtype such as torch.float32")
    return x


# ---------------------------------------------------------------------------------------------------- the ResNet family


class BasicBlock(nn.Module):
    """The block of ResNet-18 and 34: 3×3, 3×3, and the skip, with a 1×1 convolution where the shape changes.

    Source: He et al. (2016), figure 5, left, with option B for the skip.
    """

    expansion = 1

    def __init__(self, inputs: int, planes: int, stride: int = 1):
        super().__init__()
        self.conv1, self.bn1 = conv3x3(inputs, planes, stride), nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2, self.bn2 = conv3x3(planes, planes), nn.BatchNorm2d(planes)
        self.downsample = projection(inputs, planes, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> (N, planes, H/s, W/s)."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return self.relu(out + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """The block of ResNet-50 and deeper: 1×1 to fewer channels, 3×3, 1×1 to four times as many, and the skip.

    The stride is the 3×3 convolution's, as in torchvision; the paper gives it to the first 1×1.

    Source: He et al. (2016), figure 5, right.
    """

    expansion = 4

    def __init__(self, inputs: int, planes: int, stride: int = 1):
        super().__init__()
        outputs = planes * self.expansion
        self.conv1, self.bn1 = nn.Conv2d(inputs, planes, 1, bias=False), nn.BatchNorm2d(planes)
        self.conv2, self.bn2 = conv3x3(planes, planes, stride), nn.BatchNorm2d(planes)
        self.conv3, self.bn3 = nn.Conv2d(planes, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = projection(inputs, outputs, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> (N, 4 · planes, H/s, W/s)."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return self.relu(out + (x if self.downsample is None else self.downsample(x)))


def projection(inputs: int, outputs: int, stride: int) -> nn.Sequential | None:
    """What brings x into the shape of F(x): a 1×1 convolution with batch norm; None where the shape is the same."""
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs))


# Table 1 of He et al. (2016): the block, and how many of it in each of the four stages.
FAMILY: dict[str, tuple[type, tuple[int, int, int, int]]] = {
    "resnet18": (BasicBlock, (2, 2, 2, 2)),
    "resnet34": (BasicBlock, (3, 4, 6, 3)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
    "resnet101": (Bottleneck, (3, 4, 23, 3)),
    "resnet152": (Bottleneck, (3, 8, 36, 3)),
}


class ResNet(nn.Module):
    """The residual networks for ImageNet: 7×7 convolution, max-pooling, four stages, global average, linear.

    Parameters have torchvision's names and shapes, so that ``load_state_dict`` takes those of its ResNets.

    Source: He et al. (2016), table 1.
    """

    def __init__(self, block: type[BasicBlock] | type[Bottleneck], counts: tuple[int, ...], classes: int = 1000):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False), nn.BatchNorm2d(64)
        self.relu, self.maxpool = nn.ReLU(inplace=True), nn.MaxPool2d(3, stride=2, padding=1)
        inputs = 64
        for stage, count in enumerate(counts):
            planes, made = 64 * 2**stage, []
            for i in range(count):
                made.append(block(inputs, planes, 2 if stage and i == 0 else 1))
                inputs = planes * block.expansion
            self.add_module(f"layer{stage + 1}", nn.Sequential(*made))
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(inputs, classes)
        kaiming(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) -> logits (N, classes)."""
        out = self.maxpool(self.relu(self.bn1(self.conv1(images(x, 3)))))
        out = self.layer4(self.layer3(self.layer2(self.layer1(out))))
        return self.fc(self.avgpool(out).flatten(1))


def resnet(name: str = "resnet18", *, classes: int = 1000, seed: int | None = None) -> ResNet:
    """One of ``FAMILY``.

    Parameters
    ----------
    seed : of the weights; by default torch's generator is used as it is

    Raises
    ------
    ValueError
        There is no such network.
    """
    if name not in FAMILY:
        raise ValueError(f"name is {name!r}; expected one of {', '.join(FAMILY)}")
    with torch.random.fork_rng([]):
        if seed is not None:
            torch.manual_seed(seed)
        return ResNet(*FAMILY[name], classes=classes)


def family_parameters() -> dict[str, int]:
    """The parameters of each of ``FAMILY``; the networks are not filled with numbers for it."""
    with torch.device("meta"):
        return {name: count_parameters(resnet(name)) for name in FAMILY}


# ------------------------------------------------------------------------------------------------ ConvNeXt and DenseNet


class Permute(nn.Module):
    """The axes in another order, as a layer."""

    def __init__(self, *order: int):
        super().__init__()
        self.order = order

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Axis i of the output is axis ``order[i]`` of the input."""
        return x.permute(self.order)


class ConvNeXtBlock(nn.Module):
    """x + α · F(x), F: depthwise 7×7, layer norm, 1×1 to four times the channels, GELU, 1×1 back; α one a channel.

    A linear layer on the last axis is a 1×1 convolution. Parameters have the names of torchvision's ``CNBlock``.

    Parameters
    ----------
    channels : in and out
    alpha : where LayerScale's factors start

    Source: Liu et al. (2022), figure 4 and section 2.6; LayerScale at 1e-6: appendix A.
    """

    def __init__(self, channels: int, *, alpha: float = 1e-6):
        super().__init__()
        self.channels = channels
        self.block = nn.Sequential(
            nn.Conv2d(channels, channels, 7, padding=3, groups=channels), Permute(0, 2, 3, 1),
            nn.LayerNorm(channels, eps=1e-6), nn.Linear(channels, 4 * channels), nn.GELU(),
            nn.Linear(4 * channels, channels), Permute(0, 3, 1, 2),
        )  # fmt: skip
        self.layer_scale = nn.Parameter(torch.full((channels, 1, 1), float(alpha)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> the same shape."""
        return x + self.layer_scale * self.block(images(x, self.channels))


class DenseBlock(nn.Module):
    """Skips that concatenate: each layer sees the input and all maps that were made before it.

    ``x_l = F_l([x, x_1, ..., x_{l-1}])``, F batch norm, ReLU, 3×3 convolution to ``growth`` channels; the output is all
    of them, C + layers · growth channels.

    Source: Huang et al. (2017), section 3.
    """

    def __init__(self, channels: int, layers: int, growth: int):
        super().__init__()
        self.channels = channels
        seen = [channels + i * growth for i in range(layers)]
        self.layers = nn.ModuleList(nn.Sequential(nn.BatchNorm2d(c), nn.ReLU(), conv3x3(c, growth)) for c in seen)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> (N, C + layers · growth, H, W)."""
        maps = [images(x, self.channels)]
        for layer in self.layers:
            maps.append(layer(torch.cat(maps, dim=1)))
        return torch.cat(maps, dim=1)


# ------------------------------------------------------------------------------------------------------ looking at nets


def gradient_norms(net: nn.Module, x: torch.Tensor, y: torch.Tensor) -> np.ndarray:
    """The length of the loss's gradient with respect to each convolution's weights, the first layer first.

    Cross-entropy of the batch (x, y) in training mode; the network, its running statistics included, stays as it is.
    """
    net = copy.deepcopy(net).train()
    weights = [module.weight for module in net.modules() if isinstance(module, nn.Conv2d)]
    gradients = torch.autograd.grad(F.cross_entropy(net(x), y), weights)
    return np.array([float(g.norm()) for g in gradients])


def without_block(net: SmallNet, i: int) -> SmallNet:
    """A copy of the network in which block ``i`` is cut out: what comes in goes on as it is.

    Raises
    ------
    ValueError
        There is no such block, or it changes the shape.
    """
    if not 0 <= i < len(net.blocks):
        raise ValueError(f"i is {i}; the network has {len(net.blocks)} blocks, counted from 0")
    if net.blocks[i].added or net.blocks[i].stride > 1:
        raise ValueError(f"i is {i}; block {i} changes the shape, so that nothing can stand in for it")
    cut = copy.deepcopy(net)
    cut.blocks[i] = nn.Identity()
    return cut


__all__ = [
    "FAMILY", "BasicBlock", "Block", "Bottleneck", "ConvNeXtBlock", "DenseBlock", "LayerScale", "Permute", "ResNet",
    "SmallNet", "conv3x3", "family_parameters", "gradient_norms", "images", "kaiming", "projection",
    "resnet", "without_block",
]  # fmt: skip
