"""The U-Net in PyTorch: image in, image out, with skips that concatenate across the bottleneck.

    net = UNet(3, 1, width=12, depth=3, seed=0)    # (N, 3, H, W) -> (N, 1, H, W), here logits of a mask
    denoiser = Denoiser(UNet(3, 3, seed=0))        # x - net(x): the network says what is noise

By hand: :func:`dlcourse.residual.upsample_forward` and :func:`dlcourse.residual.concat_forward`.

References
----------
Ronneberger, Fischer and Brox, "U-Net: convolutional networks for biomedical image segmentation", MICCAI (2015),
arXiv:1505.04597.
Zhang, Zuo, Chen, Meng and Zhang, "Beyond a Gaussian denoiser: residual learning of deep CNN for image denoising", IEEE
Transactions on Image Processing 26 (2017), arXiv:1608.03981.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from dlcourse.resnet import images, kaiming
from dlcourse.train import evaluating


def double_conv(inputs: int, outputs: int, norm: bool = True) -> nn.Sequential:
    """3×3 convolution, batch norm, ReLU, twice; padded, so that the map keeps its size. Without norm, with biases."""
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        layers.append(nn.Conv2d(channels, outputs, 3, padding=1, bias=not norm))
        layers += [nn.BatchNorm2d(outputs), nn.ReLU()] if norm else [nn.ReLU()]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """Down by max-pooling, up by transposed convolution, and at each level a skip that concatenates.

    Level l works on maps of H/2ˡ × W/2ˡ with ``width`` · 2ˡ channels; the last one is the bottleneck. On the way up a
    2×2 transposed convolution doubles the map and halves the channels, the maps of the way down at that level are put
    beside it, and two convolutions follow. A 1×1 convolution gives the outputs. Convolutions are padded here; the
    paper's are not, and its skips are cropped.

    Parameters
    ----------
    inputs, outputs : channels
    width : channels of the first level
    depth : how often the map is halved
    skips : False for the same encoder and decoder without the skips
    norm : batch norm behind each 3×3 convolution; the paper has none
    seed : of the weights (Kaiming); by default torch's generator is used as it is

    Raises
    ------
    ValueError
        A number is below 1; in a forward pass, height or width is no multiple of 2^depth.

    Source: Ronneberger et al. (2015), section 2 and figure 1.
    """

    def __init__(
        self, inputs: int, outputs: int, *, width: int = 16, depth: int = 3, skips: bool = True, norm: bool = True,
        seed: int | None = None,
    ):  # fmt: skip
        super().__init__()
        for name, value in (("inputs", inputs), ("outputs", outputs), ("width", width), ("depth", depth)):
            if value < 1:
                raise ValueError(f"{name} is {value}; expected at least 1")
        self.inputs, self.depth, self.skips = inputs, depth, skips
        wide = [width * 2**level for level in range(depth + 1)]
        with torch.random.fork_rng([]):
            if seed is not None:
                torch.manual_seed(seed)
            self.down = nn.ModuleList(double_conv(c, k, norm) for c, k in zip([inputs, *wide], wide, strict=False))
            self.pool = nn.MaxPool2d(2)
            levels = range(depth)
            self.up = nn.ModuleList(nn.ConvTranspose2d(wide[i + 1], wide[i], 2, stride=2) for i in levels)
            self.join = nn.ModuleList(double_conv((1 + skips) * wide[i], wide[i], norm) for i in levels)
            self.head = nn.Conv2d(width, outputs, 1)
            kaiming(self)
            nn.init.zeros_(self.head.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, inputs, H, W) -> (N, outputs, H, W)."""
        step = 2**self.depth
        if x.ndim == 4 and (x.shape[2] % step or x.shape[3] % step):
            raise ValueError(f"x has shape {tuple(x.shape)}; height and width must be multiples of {step}")
        out, kept = self.down[0](images(x, self.inputs)), []
        for encode in self.down[1:]:
            kept.append(out)
            out = encode(self.pool(out))
        for level in reversed(range(self.depth)):
            out = self.up[level](out)
            out = self.join[level](torch.cat([kept[level], out], dim=1) if self.skips else out)
        return self.head(out)


class Denoiser(nn.Module):
    """x - F(x): the network F learns what is to be taken away. A skip from the input to the output.

    F's last layer starts at 0, so that the denoiser starts as the identity.

    Source: Zhang et al. (2017), section III.
    """

    def __init__(self, net: UNet):
        super().__init__()
        self.net = net
        nn.init.zeros_(net.head.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> the same shape."""
        return x - self.net(x)


@torch.no_grad()
def apply(net: nn.Module, x: np.ndarray, batch_size: int = 50) -> np.ndarray:
    """The network's outputs for images (N, C, H, W), in eval mode, as an array.

    Raises
    ------
    ValueError
        ``batch_size`` is below 1.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; expected at least 1")
    device = next(net.parameters()).device
    with evaluating(net):
        parts = [net(torch.as_tensor(x[i : i + batch_size], device=device)) for i in range(0, len(x), batch_size)]
        return torch.cat(parts).cpu().numpy()
