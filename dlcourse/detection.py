"""Chapter 11: one-stage detection in outline, as YOLO does it: a grid of cells, one forward pass, and then sorting out.

    target = encode(boxes, classes, grid=6, stride=8, n_classes=4)     # what the network should say, (5 + C, G, G)
    found = decode(out, stride=8, threshold=0.5)                       # boxes, scores, classes
    keep = nms(found.boxes, found.scores, 0.5)                         # of those that overlap, the best
    net = detector(n_classes=4, seed=0)                                # PyTorch, one output cell for 8×8 pixels

A box is (x1, y1, x2, y2) in pixels: left, top, right, bottom; right and bottom are where the box ends, so that its
width is x2 - x1. Boxes are (N, 4).

Source: Redmon, Divvala, Girshick and Farhadi, You only look once, CVPR (2016), arXiv:1506.02640; Redmon and Farhadi,
YOLO9000, CVPR (2017), arXiv:1612.08242, for offsets by a sigmoid. Sizes by an exponential are relative to the cell
here, not to prior boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dlcourse.activations import sigmoid_forward
from dlcourse.arrays import as_float

if TYPE_CHECKING:
    import torch

# --------------------------------------------------------------------------------------------------- boxes, one another


def box_area(boxes: np.ndarray) -> np.ndarray:
    """(x2 - x1)(y2 - y1) of each box: (N, 4) -> (N,).

    Raises
    ------
    ValueError
        The shape is another, or a box ends before it begins.

    Source: torchvision.ops.box_area.
    """
    boxes = _boxes(boxes)
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def box_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of every pair: ``|A ∩ B| / |A ∪ B|``, 1 for the same box, 0 where they do not meet.

    Parameters
    ----------
    a, b : (N, 4), (M, 4)

    Returns
    -------
    (N, M), and 0 for two boxes without area

    Raises
    ------
    ValueError
        A shape is another, or a box ends before it begins.

    Source: Everingham et al., The PASCAL visual object classes challenge, IJCV 88 (2010), section 4.2.
    """
    a, b = _boxes(a, "a"), _boxes(b, "b")
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(axis=2)
    union = box_area(a)[:, None] + box_area(b) - common
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


def nms(boxes: np.ndarray, scores: np.ndarray, threshold: float = 0.5) -> np.ndarray:
    """Non-maximum suppression: take the best box, drop all that overlap it by an IoU above the threshold, repeat.

    Parameters
    ----------
    boxes, scores : (N, 4), (N,)
    threshold : 0 to 1

    Returns
    -------
    (K,) int64, the boxes that are kept, the best first; of equal scores the earlier one first

    Raises
    ------
    ValueError
        The shapes do not fit, or the threshold is no share.

    Source: Girshick et al., Rich feature hierarchies, CVPR (2014), section 2.2; torchvision.ops.nms.
    """
    boxes, scores = _boxes(boxes), as_float(scores, "scores")
    if scores.shape != (len(boxes),):
        raise ValueError(f"scores has shape {scores.shape}; boxes has {len(boxes)} boxes")
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold is {threshold}; expected a share from 0 to 1")
    overlap = box_iou(boxes, boxes)
    left, keep = np.argsort(-scores, kind="stable"), []
    while len(left):
        best, left = left[0], left[1:]
        keep.append(best)
        left = left[overlap[best, left] <= threshold]
    return np.array(keep, dtype=np.int64)


def _boxes(boxes: np.ndarray, name: str = "boxes") -> np.ndarray:
    boxes = as_float(boxes, name)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"{name} has shape {boxes.shape}; expected (N, 4) with x1, y1, x2, y2")
    if (boxes[:, 2:] < boxes[:, :2]).any():
        raise ValueError(f"{name} has a box that ends before it begins; expected x1 <= x2 and y1 <= y2")
    return boxes


# -------------------------------------------------------------------------------------------- boxes and a grid of cells


class Detections(NamedTuple):
    """What was found in one image. ``boxes`` (K, 4), ``scores`` (K,), ``classes`` (K,) int64."""

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray


def encode(boxes: np.ndarray, classes: np.ndarray, grid: int, stride: int, n_classes: int) -> np.ndarray:
    """What the network is to say about an image: the cell that holds a box's centre answers for it.

    Channels of a cell: 0 whether there is a box; 1, 2 where its centre lies in the cell, from 0 to 1, x then y; 3, 4
    the logarithm of its width and height in cells; 5 and on the class, one-hot. Elsewhere 0. Of two boxes in a cell the
    later one wins.

    Parameters
    ----------
    boxes, classes : (K, 4), (K,)
    grid : cells in a row and in a column
    stride : pixels a cell

    Returns
    -------
    (5 + n_classes, grid, grid), rows of cells before columns

    Raises
    ------
    ValueError
        A centre lies outside the grid, a box has no area, or a class is not below ``n_classes``.

    Source: Redmon et al. (2016), section 2; the logarithm: Redmon and Farhadi (2017), section 2.
    """
    boxes, classes = _boxes(boxes), np.asarray(classes)
    if classes.shape != (len(boxes),) or ((classes < 0) | (classes >= n_classes)).any():
        raise ValueError(f"classes is {classes.tolist()}; expected {len(boxes)} numbers from 0 to {n_classes - 1}")
    size = (boxes[:, 2:] - boxes[:, :2]) / stride
    centre = (boxes[:, 2:] + boxes[:, :2]) / (2 * stride)
    if (size <= 0).any() or (centre < 0).any() or (centre >= grid).any():
        raise ValueError(f"boxes is {boxes.tolist()}; expected areas above 0, centres from 0 to {grid * stride}")
    target = np.zeros((5 + n_classes, grid, grid), boxes.dtype)
    for (x, y), (w, h), k in zip(centre, size, classes, strict=True):
        column, row = int(x), int(y)
        target[:, row, column] = 0
        target[:5, row, column] = 1, x - column, y - row, np.log(w), np.log(h)
        target[5 + k, row, column] = 1
    return target


def decode(out: np.ndarray, stride: int, threshold: float = 0.5) -> Detections:
    """The boxes of all cells whose score is above the threshold, in the order of reading.

    Of a cell in row r and column c with the outputs o, x, y, w, h and class logits: score σ(o), centre
    ``((c + σ(x)) · stride, (r + σ(y)) · stride)``, size ``(e^w · stride, e^h · stride)``, the class with the largest
    logit.

    Parameters
    ----------
    out : (5 + C, G, G), what the network gives for one image

    Raises
    ------
    ValueError
        ``out`` has fewer than six channels or is not square.

    Source: Redmon and Farhadi (2017), section 2, equation for b_x, b_y, b_w, b_h.
    """
    out = as_float(out, "out")
    if out.ndim != 3 or len(out) < 6 or out.shape[1] != out.shape[2]:
        raise ValueError(f"out has shape {out.shape}; expected (5 + C, G, G) with at least one class")
    score, inside = sigmoid_forward(out[0])[0], sigmoid_forward(out[1:3])[0]
    row, column = np.nonzero(score > threshold)
    centre = (np.stack([column, row]) + inside[:, row, column]) * stride
    half = np.exp(out[3:5, row, column]) * stride / 2
    boxes = np.concatenate([centre - half, centre + half]).T
    return Detections(boxes, score[row, column], out[5:, row, column].argmax(axis=0))


def detect(out: np.ndarray, stride: int, threshold: float = 0.5, overlap: float = 0.4) -> Detections:
    """:func:`decode`, then :func:`nms` over all classes together.

    Source: Redmon et al. (2016), section 2.3.
    """
    found = decode(out, stride, threshold)
    keep = nms(found.boxes, found.scores, overlap)
    return Detections(*(part[keep] for part in found))


class Tally(NamedTuple):
    """Of all images together: boxes that were found rightly, boxes that were said, boxes that there are."""

    right: int
    said: int
    there: int

    @property
    def precision(self) -> float:
        """The share of what was said that is right."""
        return self.right / self.said if self.said else 1.0

    @property
    def recall(self) -> float:
        """The share of what is there that was found."""
        return self.right / self.there if self.there else 1.0


def tally(
    found: Sequence[Detections], boxes: Sequence[np.ndarray], classes: Sequence[np.ndarray], overlap: float = 0.5
) -> Tally:
    """How many detections are right: the class is, and the IoU with a box of the image is above ``overlap``.

    A box of the image counts once; the detection with the highest score takes it.

    Source: Everingham et al. (2010), section 4.2.
    """
    right = 0
    for image, true, kinds in zip(found, boxes, classes, strict=True):
        free = np.ones(len(true), dtype=bool)
        ious = box_iou(image.boxes, np.asarray(true, dtype=image.boxes.dtype))
        for i in np.argsort(-image.scores, kind="stable"):
            match = np.where(free & (kinds == image.classes[i]), ious[i], 0.0)
            if len(match) and match.max() > overlap:
                free[match.argmax()] = False
                right += 1
    return Tally(right, sum(len(image.scores) for image in found), sum(len(true) for true in boxes))


# ------------------------------------------------------------------------------------------------ a tiny one in PyTorch


def detector(n_classes: int, *, channels: int = 3, width: int = 16, seed: int | None = None) -> torch.nn.Sequential:
    """A one-stage detector: (N, channels, H, W) -> (N, 5 + n_classes, H/8, W/8), a cell for 8×8 pixels.

    Convolutions with batch norm and ReLU, three residual blocks at strides of 2, and a 1×1 convolution that gives each
    cell its numbers. It starts by expecting few boxes.

    Parameters
    ----------
    width : channels of the first convolution; they double at each stride
    seed : of the weights; by default torch's generator is used as it is

    Source: Redmon et al. (2016), section 2.1, with another, much smaller body.
    """
    import torch
    from torch import nn

    from dlcourse.resnet import Block, conv3x3, kaiming

    with torch.random.fork_rng([]):
        if seed is not None:
            torch.manual_seed(seed)
        blocks = [Block(width * 2**i, width * 2 ** (i + 1), 2) for i in range(3)]
        head = nn.Conv2d(8 * width, 5 + n_classes, 1)
        net = nn.Sequential(
            conv3x3(channels, width), nn.BatchNorm2d(width), nn.ReLU(), *blocks, Block(8 * width, 8 * width), head
        )
        kaiming(net)
        nn.init.normal_(head.weight, std=0.01)
        nn.init.zeros_(head.bias)
        nn.init.constant_(head.bias[:1], -3.0)
        return net


def detection_loss(out: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Three tasks in one sum: is there a box, where and how large, of which class; the last two where there is one.

    ``L = BCE(o) + 5 · (BCE(x, y) + SE(w, h)) + CE(class)``. The first is summed over all cells, the others over those
    with a box; all are divided by the number of boxes.

    Parameters
    ----------
    out, target : (N, 5 + C, G, G); the targets from :func:`encode`

    Raises
    ------
    ValueError
        The shapes differ.

    Source: Redmon et al. (2016), equation 3, with cross-entropies where there are probabilities; weight 5 from there.
    """
    import torch.nn.functional as F

    if out.shape != target.shape:
        raise ValueError(f"target has shape {tuple(target.shape)}; expected that of out, {tuple(out.shape)}")
    there = target[:, 0] > 0.5
    boxes = there.sum().clamp(min=1)
    said, wanted = out.permute(0, 2, 3, 1)[there], target.permute(0, 2, 3, 1)[there]
    objects = F.binary_cross_entropy_with_logits(out[:, 0], target[:, 0], reduction="sum")
    places = F.binary_cross_entropy_with_logits(said[:, 1:3], wanted[:, 1:3], reduction="sum")
    sizes = (said[:, 3:5] - wanted[:, 3:5]).square().sum()
    kinds = F.cross_entropy(said[:, 5:], wanted[:, 5:], reduction="sum")
    return (objects + 5 * (places + sizes) + kinds) / boxes
