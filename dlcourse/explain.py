"""Chapter 12: why does a network say what it says? Maps over pixels, scores for features, concepts, a test.

    saliency(net, x, targets)                       # |∂s/∂x|: where would a change matter?
    integrated_gradients(net, x, targets)           # shares that add up to s(x) - s(baseline)
    lrp(net, x, targets).pixels                     # the score, handed back layer by layer
    grad_cam(net, net.conv3, x, targets)            # which places of a layer speak for the class

s is the network's output for the target class, before softmax. Maps have x's shape, (N, C, H, W), but those of Grad-CAM
and Score-CAM, (N, 1, H, W). The network is a module of PyTorch, is used in eval mode, and is left as it was found.

Sources: Simonyan, Vedaldi and Zisserman, Deep inside convolutional networks, ICLR workshop (2014), arXiv:1312.6034;
Shrikumar, Greenside and Kundaje, Learning important features through propagating activation differences, ICML (2017),
arXiv:1704.02685; Sundararajan, Taly and Yan, Axiomatic attribution for deep networks, ICML (2017), arXiv:1703.01365;
Bach et al., On pixel-wise explanations for non-linear classifier decisions by layer-wise relevance propagation,
PLOS ONE 10 (2015); Zeiler and Fergus, Visualizing and understanding convolutional networks, ECCV (2014),
arXiv:1311.2901; Selvaraju et al., Grad-CAM, ICCV (2017), arXiv:1610.02391; Wang et al., Score-CAM, CVPR workshops
(2020), arXiv:1910.01279; Adebayo et al., Sanity checks for saliency maps, NeurIPS (2018), arXiv:1810.03292; Ribeiro,
Singh and Guestrin, "Why should I trust you?", KDD (2016), arXiv:1602.04938; Lundberg and Lee, A unified approach to
interpreting model predictions, NeurIPS (2017), arXiv:1705.07874; Kim et al., Interpretability beyond feature
attribution, ICML (2018), arXiv:1711.11279.
"""

from __future__ import annotations

import contextlib
import copy
import itertools
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from dlcourse.train import evaluating

Map = Callable[[nn.Module, torch.Tensor, torch.Tensor], torch.Tensor]


def scores(net: nn.Module, x: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """s(x): the network's output (N,) for the class ``targets`` (N,) of each image.

    Raises
    ------
    ValueError
        There is not one class for each image.
    """
    if targets.shape != x.shape[:1]:
        raise ValueError(f"targets has shape {tuple(targets.shape)}; expected one class for each of {len(x)} images")
    with evaluating(net):
        return net(x).gather(1, targets[:, None])[:, 0]


# --------------------------------------------------------------------------------------------------------- gradients


def gradient(net: nn.Module, x: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """∂s/∂x, of x's shape. Source: Simonyan et al. (2014), section 3."""
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        return torch.autograd.grad(scores(net, x, targets).sum(), x)[0]


def saliency(net: nn.Module, x: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The size of ∂s/∂x: how strongly the score answers to a small change of each pixel.

    Source: Simonyan et al. (2014), section 3.1.
    """
    return gradient(net, x, targets).abs()


def gradient_times_input(net: nn.Module, x: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """x · ∂s/∂x. For a linear score it is each pixel's share of it.

    Source: Shrikumar et al. (2017), section 2.
    """
    return x * gradient(net, x, targets)


def integrated_gradients(
    net: nn.Module, x: torch.Tensor, targets: torch.Tensor, baseline: torch.Tensor | None = None, steps: int = 64
) -> torch.Tensor:
    """(x - b) · ∫ ∂s/∂x at b + α (x - b) dα, α from 0 to 1, by the midpoint rule with ``steps`` points.

    The shares of all pixels add up to s(x) - s(b): completeness.

    Source: Sundararajan et al. (2017), section 3.

    Parameters
    ----------
    baseline : b, an image without what is looked for; by default black
    steps : points on the straight way from b to x

    Raises
    ------
    ValueError
        ``steps`` is below 1, or the baseline does not fit x.
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}; expected at least 1")
    baseline = torch.zeros_like(x) if baseline is None else baseline
    if baseline.shape not in (x.shape, x.shape[1:]):
        raise ValueError(f"baseline has shape {tuple(baseline.shape)}; expected {tuple(x.shape)} or one image of it")
    total = torch.zeros_like(x)
    for i in range(steps):
        total += gradient(net, baseline + (i + 0.5) / steps * (x - baseline), targets)
    return (x - baseline) * total / steps


def guided_backprop(net: nn.Module, x: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The gradient, but each ReLU lets only what is positive back. It looks sharp; see the sanity check.

    Source: Springenberg et al., Striving for simplicity, ICLR workshop (2015), section 3.4.
    """
    hooks = [
        module.register_full_backward_hook(lambda module, dx, dout: (dx[0].clamp(min=0),))
        for module in net.modules()
        if isinstance(module, nn.ReLU)
    ]
    try:
        return gradient(net, x, targets)
    finally:
        for hook in hooks:
            hook.remove()


# -------------------------------------------------------------------------------------------------------- relevance


class Relevance(NamedTuple):
    """What :func:`lrp` hands out: pixels (N, C, H, W) and biases (N,) together make the score."""

    pixels: torch.Tensor
    biases: torch.Tensor


_HANDED_ON = (nn.ReLU, nn.Tanh, nn.Sigmoid, nn.Dropout, nn.Identity)
_LINEAR = (nn.Linear, nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d)


def lrp(net: nn.Sequential, x: torch.Tensor, targets: torch.Tensor, eps: float = 1e-6) -> Relevance:
    """ε-LRP: the score is handed back from layer to layer, to each input in proportion to what it brought.

    For z_k = Σ_j a_j w_jk + b_k, R_j = Σ_k a_j w_jk / (z_k + ε sign z_k) · R_k. What a_j w_jk is to an input, b_k is to
    the bias, which keeps its share. Activation functions hand relevance on as it is; of a max-pooling window the
    largest input takes all.

    Source: Bach et al. (2015), equation 58; as four steps: Montavon et al., Layer-wise relevance propagation (2019).

    Parameters
    ----------
    net : a sequence of convolutions, linear layers, poolings and activation functions
    eps : damps units whose z is near 0

    Raises
    ------
    ValueError
        A layer is of another kind, or ``eps`` is negative.
    """
    if not eps >= 0:
        raise ValueError(f"eps is {eps}; expected at least 0")
    layers = [m for m in net.modules() if not isinstance(m, nn.Sequential)]
    with torch.no_grad(), evaluating(net):
        inputs = list(itertools.accumulate(layers, lambda a, layer: layer(a), initial=x))
    out = inputs.pop()
    relevance = torch.zeros_like(out).scatter(1, targets[:, None], out.gather(1, targets[:, None]))
    biases = torch.zeros_like(out[:, 0])
    for layer, a in zip(reversed(layers), reversed(inputs), strict=True):
        if isinstance(layer, nn.Flatten):
            relevance = relevance.reshape(a.shape)
        elif isinstance(layer, _LINEAR):
            relevance, share = _hand_back(layer, a, relevance, eps)
            biases = biases + share
        elif not isinstance(layer, _HANDED_ON):
            raise ValueError(
                f"net has a {type(layer).__name__}; expected layers that are linear, pool, or act on units"
            )
    return Relevance(relevance, biases)


def _hand_back(layer: nn.Module, a: torch.Tensor, relevance: torch.Tensor, eps: float):
    """One layer of ε-LRP: forward, divide, backward, multiply."""
    with torch.enable_grad():
        a = a.detach().requires_grad_()
        z = layer(a)
        sign = torch.where(z < 0, -1.0, 1.0)
        share = (relevance / (z + eps * sign)).detach()
        back = a.detach() * torch.autograd.grad((z * share).sum(), a)[0]
    if getattr(layer, "bias", None) is None:
        return back, 0.0
    bias = layer.bias.detach().reshape(-1, *[1] * (z.ndim - 2))
    return back, (share * bias).flatten(1).sum(1)


# ------------------------------------------------------------------------------------------------- covering and maps


def occlusion(
    net: nn.Module, x: torch.Tensor, targets: torch.Tensor, window: int = 5, stride: int = 2, fill: float = 0.0
) -> torch.Tensor:
    """How far the score falls when a window of the image is covered, the mean over all windows that hold the pixel.

    Source: Zeiler and Fergus (2014), section 4.2.

    Parameters
    ----------
    window, stride : in pixels; the last window may reach beyond the edge
    fill : what covers

    Raises
    ------
    ValueError
        ``window`` or ``stride`` is below 1, or the stride leaves pixels between the windows.
    """
    if not 1 <= stride <= window:
        raise ValueError(f"stride is {stride}, window {window}; expected 1 <= stride <= window")
    H, W = x.shape[2:]
    total, count = torch.zeros_like(x), torch.zeros_like(x[:1])
    with torch.no_grad():
        before = scores(net, x, targets)
        for i, j in itertools.product(_starts(H, window, stride), _starts(W, window, stride)):
            place = (..., slice(i, i + window), slice(j, j + window))
            covered = x.clone()
            covered[place] = fill
            total[place] += (before - scores(net, covered, targets))[:, None, None, None]
            count[place] += 1
    return total / count


def _starts(size: int, window: int, stride: int) -> range:
    return range(0, max(size - window, 0) + stride if (size - window) % stride else max(size - window, 0) + 1, stride)


def grad_cam(net: nn.Module, layer: nn.Module, x: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Grad-CAM: ReLU(Σ_k α_k A_k), α_k the mean of ∂s/∂A_k over the map; enlarged to the image, (N, 1, H, W).

    Source: Selvaraju et al. (2017), equations 1 and 2.

    Parameters
    ----------
    layer : a module of ``net`` whose output A (N, K, h, w) is looked at
    """
    with torch.enable_grad(), _output_of(layer) as kept:
        s = scores(net, x.detach().requires_grad_(), targets).sum()
        (a,) = kept
        weights = torch.autograd.grad(s, a)[0].mean(dim=(2, 3), keepdim=True)
    return _enlarged((weights * a.detach()).sum(dim=1, keepdim=True).relu(), x)


def score_cam(net: nn.Module, layer: nn.Module, x: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Score-CAM: ReLU(Σ_k α_k A_k), α the softmax over k of s(x ∘ H_k) - s(0). No gradient is used. (N, 1, H, W).

    H_k is map A_k, enlarged to the image and scaled to the range from 0 to 1: the image is seen through it.

    Source: Wang et al. (2020), section 3 and algorithm 1.
    """
    with torch.no_grad(), _output_of(layer) as kept:
        scores(net, x, targets)
        a = kept[0]
        H = _enlarged(a, x)
        low, high = H.amin(dim=(2, 3), keepdim=True), H.amax(dim=(2, 3), keepdim=True)
        H = (H - low) / torch.where(high > low, high - low, 1.0)
        empty = scores(net, torch.zeros_like(x), targets)
        rises = [scores(net, x * H[:, k : k + 1], targets) - empty for k in range(a.shape[1])]
        weights = torch.stack(rises, dim=1).softmax(1)
        return _enlarged((weights[:, :, None, None] * a).sum(dim=1, keepdim=True).relu(), x)


@contextlib.contextmanager
def _output_of(layer: nn.Module) -> Iterator[list[torch.Tensor]]:
    """The outputs of ``layer``, in the order in which they come."""
    kept: list[torch.Tensor] = []
    hook = layer.register_forward_hook(lambda module, inputs, out: kept.append(out))
    try:
        yield kept
    finally:
        hook.remove()


def _enlarged(maps: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return F.interpolate(maps, size=x.shape[2:], mode="bilinear", align_corners=False)


# ------------------------------------------------------------------------------------------- are the maps about it?


def randomised(net: nn.Module, seed: int) -> Iterator[tuple[str, nn.Module]]:
    """Copies of ``net`` whose layers are drawn anew, one more each time, from the output down: (its name, the copy).

    Source: Adebayo et al. (2018), section 3, cascading randomization.
    """
    net = copy.deepcopy(net)
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        state = torch.get_rng_state()
    for name, layer in reversed([(n, m) for n, m in net.named_modules() if hasattr(m, "reset_parameters")]):
        with torch.random.fork_rng([]):
            torch.set_rng_state(state)
            layer.reset_parameters()
            state = torch.get_rng_state()
        yield name, copy.deepcopy(net)


def rank_correlation(a: torch.Tensor, b: torch.Tensor) -> np.ndarray:
    """Spearman's rank correlation of two maps, image by image: (N,). A constant map agrees with nothing: 0.

    Source: Adebayo et al. (2018), section 3.

    Raises
    ------
    ValueError
        The shapes differ.
    """
    from scipy.stats import rankdata

    if a.shape != b.shape:
        raise ValueError(f"a has shape {tuple(a.shape)}, b {tuple(b.shape)}; expected the same")
    ranks = [rankdata(m.detach().cpu().numpy().reshape(len(m), -1), axis=1) for m in (a, b)]
    ranks = [r - r.mean(axis=1, keepdims=True) for r in ranks]
    sizes = np.sqrt((ranks[0] ** 2).sum(axis=1) * (ranks[1] ** 2).sum(axis=1))
    return (ranks[0] * ranks[1]).sum(axis=1) / np.where(sizes > 0, sizes, 1.0)


def sanity_check(
    net: nn.Module,
    method: Callable[[nn.Module], Map],
    x: torch.Tensor,
    targets: torch.Tensor,
    seed: int,
    *,
    absolute: bool = True,
) -> dict[str, float]:
    """Does a map depend on what the network has learned? The mean rank correlation of the maps of the trained network
    with those of networks drawn anew, from the output down to each layer: {layer: correlation}.

    Source: Adebayo et al. (2018), section 3.

    Parameters
    ----------
    method : ``net -> map(net, x, targets)``: made for each network, since Grad-CAM needs one of its layers
    absolute : compare sizes, whatever the sign
    """
    size = torch.abs if absolute else torch.clone
    want = size(method(net)(net, x, targets))
    return {
        name: float(rank_correlation(want, size(method(other)(other, x, targets))).mean())
        for name, other in randomised(net, seed)
    }


# ------------------------------------------------------------------------------------------- features, any function


def shapley_values(f: Callable[[np.ndarray], np.ndarray], x: np.ndarray, background: np.ndarray) -> np.ndarray:
    """φ_i = Σ_S s! (D-s-1)! / D! · (v(S ∪ i) - v(S)), over all subsets S of the other features, s the size of S.

    v(S) is the mean output where the features in S are those of x and the others those of the background examples.
    The φ_i add up to f(x) minus the background's mean output.

    Source: Shapley (1953); Lundberg and Lee (2017), equation 4.

    Parameters
    ----------
    f : (M, D) -> (M,)
    x : (D,), D at most 14, since there are 2^D subsets
    background : (B, D)

    Raises
    ------
    ValueError
        The shapes do not fit, or D is too large.
    """
    x, background = np.asarray(x, dtype=float), np.asarray(background, dtype=float)
    if x.ndim != 1 or background.ndim != 2 or background.shape[1] != len(x):
        raise ValueError(f"x has shape {x.shape}, background {background.shape}; expected (D,) and (B, D)")
    D = len(x)
    if D > 14:
        raise ValueError(f"x has {D} features; exact values ask for 2^{D} subsets: expected at most 14")
    subsets = (np.arange(2**D)[:, None] >> np.arange(D)) & 1 == 1  # (2^D, D): bit i says whether i is in
    mixed = np.where(subsets[:, None], x, background)  # (2^D, B, D)
    value = np.asarray(f(mixed.reshape(-1, D))).reshape(2**D, -1).mean(axis=1)
    size = subsets.sum(axis=1)
    weight = np.array([math.factorial(k) * math.factorial(D - k - 1) / math.factorial(D) for k in range(D)])
    phi = np.empty(D)
    for i in range(D):
        without = np.flatnonzero(~subsets[:, i])
        phi[i] = weight[size[without]] @ (value[without + 2**i] - value[without])
    return phi


class Local(NamedTuple):
    """The straight line that :func:`lime` fits around an example: a weight a feature, in units of its ``scale``."""

    weights: np.ndarray
    intercept: float
    r2: float


def lime(
    f: Callable[[np.ndarray], np.ndarray], x: np.ndarray, scale: np.ndarray, *, samples: int = 2000,
    width: float | None = None, alpha: float = 1.0, seed: int = 0,
) -> Local:  # fmt: skip
    """LIME for numbers: a ridge regression on examples drawn around x, those near it weighing more.

    z = x + scale · N(0, 1); distance d of z from x in units of ``scale``; weight exp(-d² / (2 width²)); then ridge
    regression of f(z) on (z - x) / scale.

    Source: Ribeiro et al. (2016), sections 3.3 and 3.4; kernel, width and ridge are those of their package.

    Parameters
    ----------
    f : (M, D) -> (M,)
    x, scale : (D,); the scale is usually the features' standard deviation
    width : by default 0.75 √D
    alpha : the ridge's strength

    Raises
    ------
    ValueError
        The shapes do not fit, or a scale is not positive.
    """
    from sklearn.linear_model import Ridge

    x, scale = np.asarray(x, dtype=float), np.asarray(scale, dtype=float)
    if x.ndim != 1 or scale.shape != x.shape or not (scale > 0).all():
        raise ValueError(f"x has shape {x.shape}, scale {scale.shape}; expected (D,) both, and positive scales")
    width = 0.75 * math.sqrt(len(x)) if width is None else width
    u = np.random.default_rng(seed).standard_normal((samples, len(x)))
    u[0] = 0  # x itself
    near = np.sqrt(np.exp(-(u**2).sum(axis=1) / width**2))
    y = np.asarray(f(x + scale * u))
    line = Ridge(alpha=alpha).fit(u, y, sample_weight=near)
    return Local(line.coef_, float(line.intercept_), float(line.score(u, y, sample_weight=near)))


# ---------------------------------------------------------------------------------------------------------- concepts


class Concept(NamedTuple):
    """A direction in a layer, and how well it tells the concept's images from others it has not seen."""

    vector: torch.Tensor  # (K, h, w), of length 1
    accuracy: float


def concept_vector(
    net: nn.Module, layer: nn.Module, images: torch.Tensor, others: torch.Tensor, seed: int = 0
) -> Concept:
    """The normal of a linear classifier between a layer's activations for a concept's images and for other images.

    A third of both is held out to see whether the layer knows the concept at all.

    Source: Kim et al. (2018), section 3.2.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split

    with torch.no_grad(), _output_of(layer) as kept, evaluating(net):
        net(torch.cat([images, others]))
    a, y = kept[0].flatten(1).cpu().numpy(), np.repeat([1, 0], [len(images), len(others)])
    parts = train_test_split(a, y, test_size=1 / 3, stratify=y, random_state=seed)
    line = LogisticRegression(C=0.1, max_iter=1000).fit(parts[0], parts[2])
    vector = torch.as_tensor(line.coef_[0], dtype=kept[0].dtype).reshape(kept[0].shape[1:]).to(kept[0].device)
    return Concept(vector / vector.norm(), float(line.score(parts[1], parts[3])))


def tcav(net: nn.Module, layer: nn.Module, x: torch.Tensor, target: int, vector: torch.Tensor) -> float:
    """The share of a class's images whose score would rise if the layer moved towards the concept: ∂s/∂a · v > 0.

    Source: Kim et al. (2018), equations 1 and 2.

    Parameters
    ----------
    x : images of the class ``target``
    vector : of :func:`concept_vector`
    """
    targets = torch.full((len(x),), int(target), device=x.device)
    with torch.enable_grad(), _output_of(layer) as kept:
        s = scores(net, x.detach().requires_grad_(), targets).sum()
        slope = (torch.autograd.grad(s, kept[0])[0] * vector).flatten(1).sum(1)
    return float((slope > 0).double().mean())
