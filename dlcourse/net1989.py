"""The network of 1989 that read zip codes, and its modernisation in steps; NumPy, several networks at once.

    x, y = prepare(mnist.x_train[rows], mnist.y_train[rows])       # (N, 16, 16) in [-1, 1], labels
    nets = Nets(seeds=[0, 1, 2])                                    # three networks, drawn from three seeds
    train(nets, STAGES["1989"], x_stack, y_stack)                   # each on its own examples, one example an update
    nets.errors(x_test_stack, y_test_stack)                         # (3,), shares

The network: 16×16 grey pixels; H1, 12 maps of 8×8, 5×5 kernels with stride 2; H2, 12 maps of 4×4, 5×5 kernels with
stride 2 over 8 of H1's 12 maps; H3, 30 units; 10 outputs. Kernels are shared within a map, biases are not: each unit
has its own. What lies outside an image or a map counts as -1. In all 9,760 parameters.

Why several at once. One example an update means 167,693 updates of a tiny network, and a framework's cost for each call
is many times that of the arithmetic. Networks that do not know of each other can take their updates in the same call:
all arrays begin with an axis of S networks. Each still sees one example an update, in its own constant order. A test
shows that the weights are those of the plain torch form, :class:`dlcourse.cnn.Net1989`.

Maps are stored as (S, H, W, C), channels last, so that a row of a window is one run of memory.

Source: LeCun et al., Backpropagation applied to handwritten zip code recognition, Neural Computation 1 (1989),
541-551. Where the paper is silent (learning rate, which 8 of 12 maps, targets, the padding's value) the choices are
those of Karpathy's reproduction, github.com/karpathy/lecun1989-repro (2022), as are the steps of the modernisation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from tqdm import tqdm

TRAIN, TEST = 7291, 2007  # examples, as in the paper
BACKGROUND = -1.0
# Which maps of H1 a map of H2 sees: the first eight, the last eight, or the four at either end.
SEEN = np.zeros((12, 12), bool)  # (map of H1, map of H2)
SEEN[0:8, 0:4] = SEEN[4:12, 4:8] = SEEN[0:4, 8:12] = SEEN[8:12, 8:12] = True

_SHAPES = {
    "w1": (25, 12), "b1": (64, 12), "w2": (300, 12), "b2": (16, 12),
    "w3": (30, 192), "b3": (1, 30), "w4": (30, 10), "b4": (1, 10),
}  # fmt: skip
_MASK = np.tile(SEEN, (25, 1)).astype(np.float32)  # (300, 12): taps and maps of H1, against maps of H2
_SIZES = {name: int(np.prod(shape)) for name, shape in _SHAPES.items()}


class Stage(NamedTuple):
    """One row of the table: what is trained on, how, and for how long."""

    passes: int = 23
    examples: int = TRAIN
    loss: str = "mse"  # of tanh outputs against -1 and 1; or "cross_entropy" of a softmax
    lr: float = 0.03
    adamw: bool = False  # the learning rate then falls evenly to a third of ``lr``
    shift: bool = False  # each time an example is seen, move it by -1, 0 or 1 pixels each way, around the edge
    relu: bool = False  # in place of tanh
    dropout: float = 0.0  # of H2's outputs


STAGES = {
    "1989": Stage(),
    "cross-entropy": Stage(loss="cross_entropy", lr=0.01),
    "AdamW": Stage(loss="cross_entropy", lr=3e-4, adamw=True, passes=46),
    "shifts": Stage(loss="cross_entropy", lr=3e-4, adamw=True, passes=60, shift=True),
    "ReLU, dropout": Stage(
        loss="cross_entropy", lr=3e-4, adamw=True, passes=80, shift=True, relu=True, dropout=0.25
    ),
    "1989, more data": Stage(examples=50_000),
    "all, more data": Stage(
        loss="cross_entropy", lr=3e-4, adamw=True, passes=30, shift=True, relu=True, dropout=0.25, examples=50_000
    ),
}  # fmt: skip


# ---------------------------------------------------------------------------------------------------------- the data


def resize(images: np.ndarray, size: int = 16) -> np.ndarray:
    """Images (N, H, W) as (N, size, size), bilinear: each new pixel is a mean of the four old ones around its centre.

    The centre of pixel i lies at (i + ½) H / size - ½ of the old grid; beyond the edge the edge's pixel counts. As
    torch.nn.functional.interpolate does it, without smoothing first.

    Raises
    ------
    ValueError
        ``images`` has not three axes, or ``size`` is not positive.
    """
    images = np.asarray(images)
    if images.ndim != 3:
        raise ValueError(f"images has shape {images.shape}; expected (N, H, W)")
    if size < 1:
        raise ValueError(f"size is {size}; expected at least 1")
    rows, columns = (_interpolation(n, size).astype(images.dtype) for n in images.shape[1:])
    return rows @ images @ columns.T


def _interpolation(old: int, new: int) -> np.ndarray:
    """The matrix (new, old) whose rows are the weights of a new pixel."""
    at = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    left = np.minimum(at.astype(int), max(old - 2, 0))
    matrix = np.zeros((new, old))
    matrix[np.arange(new), left] += 1 - (at - left)
    matrix[np.arange(new), np.minimum(left + 1, old - 1)] += at - left
    return matrix


def prepare(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, H, W) with values from 0 to 1 as (N, 16, 16) from -1 to 1; the labels as they are."""
    return resize(images) * 2 - 1, np.asarray(labels)


def subset(dataset, seed: int, examples: int = TRAIN, test: int = TEST) -> tuple[np.ndarray, ...]:
    """Draw ``examples`` training and ``test`` test images of a data set: x_train, y_train, x_test, y_test, prepared.

    Raises
    ------
    ValueError
        The data set has fewer.
    """
    rng = np.random.default_rng(seed)
    parts = []
    for x, y, n in ((dataset.x_train, dataset.y_train, examples), (dataset.x_test, dataset.y_test, test)):
        if n > len(x):
            raise ValueError(f"{dataset.name} has {len(x)} images; {n} were asked for")
        rows = rng.permutation(len(x))[:n]
        parts += prepare(x[rows], y[rows])
    return tuple(parts)


# ------------------------------------------------------------------------------------------------------- the networks


class Nets:
    """S networks of 1989, drawn from S seeds: weights U(±2.4 / √fan_in), biases 0, those of the outputs -1.

    Attributes
    ----------
    theta : (S, P) float, all parameters of a network in a row. 1,200 of them stand for connections from H1 to H2 that
        are not there, and are 0; the others are the 9,760.
    views : name -> the part of ``theta`` as (S, ...): w1, b1, w2, b2, w3, b3, w4, b4.
    """

    def __init__(self, seeds: Sequence[int], dtype=np.float32):
        seeds = list(seeds)
        if not seeds:
            raise ValueError("seeds is empty; expected one for each network")
        self.theta = np.zeros((len(seeds), sum(_SIZES.values())), dtype)
        self.views = _views(self.theta)
        fan_in = {"w1": 25, "w2": 200, "w3": 192, "w4": 30}
        for s, seed in enumerate(seeds):
            rng = np.random.default_rng(seed)
            for name, n in fan_in.items():
                self.views[name][s] = rng.uniform(-1, 1, _SHAPES[name]) * 2.4 / np.sqrt(n)
        self.views["w2"] *= _MASK
        self.views["b4"] -= 1.0
        self._room = _Room(len(seeds), dtype)

    def __len__(self) -> int:
        return len(self.theta)

    @property
    def parameters(self) -> int:
        """How many numbers one network has to learn."""
        return sum(_SIZES.values()) - int((_MASK == 0).sum())

    def outputs(self, x: np.ndarray, relu: bool = False) -> np.ndarray:
        """What the ten output units add up, before tanh or softmax: x (S, N, 16, 16) -> (S, N, 10)."""
        x = np.asarray(x, self.theta.dtype)
        if x.ndim != 4 or x.shape[0] != len(self) or x.shape[2:] != (16, 16):
            raise ValueError(f"x has shape {x.shape}; expected ({len(self)}, N, 16, 16)")
        out = np.empty((*x.shape[:2], 10), x.dtype)
        for s in range(len(self)):
            w = {name: view[s] for name, view in self.views.items()}
            for start in range(0, x.shape[1], 512):
                out[s, start : start + 512] = _forward(x[s, start : start + 512], w, relu)
        return out

    def errors(self, x: np.ndarray, y: np.ndarray, relu: bool = False) -> np.ndarray:
        """The share of wrong answers of each network: x (S, N, 16, 16), y (S, N) -> (S,)."""
        return (self.outputs(x, relu).argmax(axis=2) != y).mean(axis=1)


def _views(theta: np.ndarray) -> dict[str, np.ndarray]:
    ends = np.cumsum(list(_SIZES.values()))
    return {
        name: theta[:, end - _SIZES[name] : end].reshape(len(theta), *_SHAPES[name])
        for name, end in zip(_SHAPES, ends, strict=True)
    }


def _forward(x: np.ndarray, w: dict[str, np.ndarray], relu: bool) -> np.ndarray:
    """Many images through one network, (N, 16, 16) -> (N, 10). Written to be read; nothing is learned here."""
    a = (lambda z: np.maximum(z, 0)) if relu else np.tanh
    n, frame = len(x), ((0, 0), (2, 2), (2, 2))
    windows = sliding_window_view(np.pad(x, frame, constant_values=BACKGROUND), (5, 5), (1, 2))[:, ::2, ::2]
    h1 = a(windows.reshape(n, 64, 25) @ w["w1"] + w["b1"]).reshape(n, 8, 8, 12)
    padded = np.pad(h1, (*frame, (0, 0)), constant_values=BACKGROUND)
    windows = sliding_window_view(padded, (5, 5), (1, 2))[:, ::2, ::2].transpose(0, 1, 2, 4, 5, 3)
    h2 = a(windows.reshape(n, 16, 300) @ w["w2"] + w["b2"]).reshape(n, 192)
    return a(h2 @ w["w3"].T + w["b3"]) @ w["w4"] + w["b4"]


# ------------------------------------------------------------------------------------------------------------ training


def _pixels(shift: tuple[int, int] = (0, 0)) -> np.ndarray:
    """Where H1's windows find their pixels in a flat image, (64·25,); index 256 stands for the background."""
    image = np.roll(np.arange(256).reshape(16, 16), shift, axis=(0, 1))
    padded = np.pad(image, 2, constant_values=256)
    return sliding_window_view(padded, (5, 5))[::2, ::2].reshape(-1)


_SHIFTS = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
_PIXELS = np.stack([_pixels(shift) for shift in _SHIFTS])  # (9, 1600)
_STILL = _SHIFTS.index((0, 0))


class _Room:
    """Arrays that every update uses again."""

    def __init__(self, S: int, dtype):
        self.grad = np.zeros((S, sum(_SIZES.values())), dtype)
        self.g = _views(self.grad)
        self.windows1 = np.empty((S, 64, 25), dtype)
        self.h1_padded = np.full((S, 12, 12, 12), BACKGROUND, dtype)
        self.h1 = self.h1_padded[:, 2:10, 2:10]
        view = sliding_window_view(self.h1_padded, (5, 5), (1, 2))[:, ::2, ::2]  # (S, 4, 4, C, 5, 5)
        self.h1_windows = view.transpose(0, 1, 2, 4, 5, 3)  # (S, 4, 4, 5, 5, C)
        self.windows2 = np.empty((S, 4, 4, 5, 5, 12), dtype)
        self.dwindows2 = np.empty((S, 4, 4, 5, 5, 12), dtype)
        self.folded = np.empty((S, 4, 5, 12, 12), dtype)
        self.dh1_padded = np.empty((S, 12, 12, 12), dtype)


def gradients(
    nets: Nets, x: np.ndarray, y: np.ndarray, stage: Stage, windows: np.ndarray, keep: np.ndarray | None
) -> dict[str, np.ndarray]:
    """The gradients of each network's loss on its one example, as views (S, ...) that the next call overwrites.

    Parameters
    ----------
    x : (S, 257), the images' pixels, and the background's value.
    y : (S, 10), the targets: -1 and 1 for ``mse``, 0 and 1 for ``cross_entropy``.
    windows : (S, 1600), for each tap of each window of H1 the pixel's place in ``x`` as a whole.
    keep : (S, 1, 192), by what to multiply H2's outputs (dropout), or None.
    """
    S, w, r = len(nets), nets.views, nets._room
    g = r.g
    np.take(x.reshape(-1), windows, out=r.windows1.reshape(S, 1600), mode="clip")
    z1 = r.windows1 @ w["w1"]
    z1 += w["b1"]
    z1 = z1.reshape(S, 8, 8, 12)
    np.maximum(z1, 0, out=r.h1) if stage.relu else np.tanh(z1, out=r.h1)
    r.windows2[...] = r.h1_windows
    cols2 = r.windows2.reshape(S, 16, 300)
    z2 = cols2 @ w["w2"]
    z2 += w["b2"]
    z2 = z2.reshape(S, 1, 192)
    h2 = np.maximum(z2, 0) if stage.relu else np.tanh(z2)
    dropped = h2 if keep is None else h2 * keep
    z3 = dropped @ w["w3"].transpose(0, 2, 1)
    z3 += w["b3"]
    h3 = np.maximum(z3, 0) if stage.relu else np.tanh(z3)
    z4 = h3 @ w["w4"]
    z4 += w["b4"]

    if stage.loss == "mse":  # the mean over the ten outputs of (tanh z - t)²
        out = np.tanh(z4)
        d4 = (out - y[:, None]) * (1 - out * out) * 0.2
    else:
        p = np.exp(z4 - z4.max(axis=2, keepdims=True))
        d4 = p / p.sum(axis=2, keepdims=True) - y[:, None]
    np.multiply(h3.transpose(0, 2, 1), d4, out=g["w4"])
    g["b4"][...] = d4
    d3 = (d4 @ w["w4"].transpose(0, 2, 1)) * _slope(h3, stage.relu)
    np.multiply(d3.transpose(0, 2, 1), dropped, out=g["w3"])
    g["b3"][...] = d3
    d2 = d3 @ w["w3"]
    if keep is not None:
        d2 *= keep
    d2 *= _slope(h2, stage.relu)
    d2 = d2.reshape(S, 16, 12)
    np.matmul(cols2.transpose(0, 2, 1), d2, out=g["w2"])
    g["w2"] *= _MASK
    g["b2"][...] = d2
    np.matmul(d2, w["w2"].transpose(0, 2, 1), out=r.dwindows2.reshape(S, 16, 300))
    _fold(r)
    d1 = (r.dh1_padded[:, 2:10, 2:10] * _slope(r.h1, stage.relu)).reshape(S, 64, 12)
    np.matmul(r.windows1.transpose(0, 2, 1), d1, out=g["w1"])
    g["b1"][...] = d1
    return g


def _slope(h: np.ndarray, relu: bool) -> np.ndarray:
    """The derivative of the activation, from its value."""
    return h > 0 if relu else 1 - h * h


def _fold(r: _Room) -> None:
    """Add what the windows of H2 send back onto H1's padded maps: first those of a row of windows, then the rows."""
    r.folded[...] = 0
    for q in range(4):
        r.folded[:, :, :, 2 * q : 2 * q + 5] += r.dwindows2[:, :, q]
    r.dh1_padded[...] = 0
    for p in range(4):
        r.dh1_padded[:, 2 * p : 2 * p + 5] += r.folded[:, p]


class _SGD:
    def __init__(self, theta: np.ndarray):
        self.theta = theta

    def step(self, grad: np.ndarray, lr: float) -> None:
        grad *= lr
        self.theta -= grad


class _AdamW:
    """torch's: betas 0.9 and 0.999, eps 1e-8, weight decay 0.01. ``m`` and ``v`` are plain decaying sums, ten and a
    thousand times the running means; the factors are made up for in the step."""

    def __init__(self, theta: np.ndarray):
        self.theta, self.m, self.v, self.t = theta, np.zeros_like(theta), np.zeros_like(theta), 0
        self.room = np.empty_like(theta)

    def step(self, grad: np.ndarray, lr: float) -> None:
        self.t += 1
        self.m *= 0.9
        self.m += grad
        self.v *= 0.999
        grad *= grad
        self.v += grad
        root = np.sqrt(0.001 / (1 - 0.999**self.t))  # of what makes v a corrected mean
        np.sqrt(self.v, out=self.room)
        self.room += 1e-8 / root
        np.divide(self.m, self.room, out=self.room)
        self.room *= lr * 0.1 / (1 - 0.9**self.t) / root
        self.theta *= 1 - lr * 0.01
        self.theta -= self.room


def train(
    nets: Nets,
    stage: Stage,
    x: np.ndarray,
    y: np.ndarray,
    *,
    passes: int | None = None,
    seed: int = 0,
    on_pass=None,
    progress: bool = True,
) -> None:
    """Train S networks in place, each on its own examples, in their given order, one example an update.

    Parameters
    ----------
    x : (S, N, 16, 16), from -1 to 1
    y : (S, N), labels
    passes : over the examples; by default the stage's. The learning rate falls within them.
    seed : of shifts and dropout.
    on_pass : called with the number of passes done.

    Raises
    ------
    ValueError
        Shapes do not fit, or the stage's loss is unknown.
    """
    S, dtype = len(nets), nets.theta.dtype
    x, y = np.asarray(x), np.asarray(y)
    if x.ndim != 4 or x.shape[0] != S or x.shape[2:] != (16, 16) or x.shape[1] == 0:
        raise ValueError(f"x has shape {x.shape}; expected ({S}, N, 16, 16) with at least one example")
    if y.shape != x.shape[:2]:
        raise ValueError(f"y has shape {y.shape}; expected {x.shape[:2]}")
    if stage.loss not in ("mse", "cross_entropy"):
        raise ValueError(f"loss is {stage.loss!r}; expected 'mse' or 'cross_entropy'")
    passes, n = stage.passes if passes is None else passes, x.shape[1]
    pixels = np.full((n, S, 257), BACKGROUND, dtype)  # an update's images side by side
    pixels[:, :, :256] = x.reshape(S, n, 256).swapaxes(0, 1)
    targets = np.eye(10, dtype=dtype)[y.T]  # (N, S, 10)
    targets = 2 * targets - 1 if stage.loss == "mse" else targets
    windows = np.arange(S)[:, None, None] * 257 + _PIXELS  # (S, 9, 1600)
    still, rows = np.ascontiguousarray(windows[:, _STILL]), np.arange(S)
    optimiser = (_AdamW if stage.adamw else _SGD)(nets.theta)
    for done in tqdm(range(passes), leave=False, delay=1, disable=not progress):
        rng = np.random.default_rng([seed, done])
        lr = stage.lr * (1 - 2 / 3 * done / max(passes - 1, 1)) if stage.adamw else stage.lr
        for start in range(0, n, 1000):
            count = min(1000, n - start)
            moved = rng.integers(len(_SHIFTS), size=(count, S)) if stage.shift else None
            keep = None
            if stage.dropout:
                keep = (rng.random((count, S, 1, 192), dtype=np.float32) >= stage.dropout).astype(dtype)
                keep /= 1 - stage.dropout
            for i in range(count):
                at = still if moved is None else windows[rows, moved[i]]
                kept = None if keep is None else keep[i]
                gradients(nets, pixels[start + i], targets[start + i], stage, at, kept)
                optimiser.step(nets._room.grad, lr)
        if on_pass:
            on_pass(done + 1)
