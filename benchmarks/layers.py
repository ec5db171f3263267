"""How long layers by hand take, forward and backward, against PyTorch's and against plain loops.

    python benchmarks/layers.py                               # prints a table
    python benchmarks/layers.py --write book/results/layers.md

Float32, one thread, CPU time. The peers take turns; times are medians, and a ratio is the median of the rounds' ratios.
The loops run on a small input and are scaled by its share of the outputs. Convolution has a table of its own, made by
``benchmarks/conv.py``.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # read when NumPy is imported, so before that

import numpy as np  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from dlcourse import losses, norm, pooling  # noqa: E402


class Layer(NamedTuple):
    """One row: what to compute, three ways; each takes the input arrays and returns output and gradients."""

    name: str
    inputs: Callable[[np.random.Generator], tuple[np.ndarray, ...]]  # the last one is dout
    ours: Callable[..., tuple]
    torchs: Callable[..., tuple]
    loops: Callable[..., tuple] | None = None
    small: Callable[[np.random.Generator], tuple[np.ndarray, ...]] | None = None  # inputs for the loops


def differentiate(function: Callable, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    """torch's output of ``function`` and the gradients of all its inputs; the last array is dout."""
    *inputs, dout = (torch.from_numpy(a) for a in arrays)
    inputs = [a.detach().requires_grad_() for a in inputs]
    out = function(*inputs)
    out.backward(dout)
    return out.detach().numpy(), *(a.grad.numpy() for a in inputs)


def _images(shape: tuple[int, ...], out: tuple[int, ...]) -> Callable[[np.random.Generator], tuple]:
    return lambda rng: tuple(rng.normal(size=s).astype(np.float32) for s in (shape, out))


def _both(forward: Callable, backward: Callable, **options) -> Callable:
    def both(x, dout):
        out, cache = forward(x, **options)
        return out, backward(dout, cache)

    return both


def _max_loops(**options) -> Callable:
    return lambda x, dout: (
        pooling.max_pool2d_loops(x, **options), pooling.max_pool2d_loops_backward(dout, x, **options),
    )  # fmt: skip


def _average_loops(x: np.ndarray, dout: np.ndarray) -> tuple:
    out, dx = np.empty(dout.shape, x.dtype), np.zeros_like(x)
    for n, c, p, q in np.ndindex(*dout.shape):
        out[n, c, p, q] = x[n, c, 2 * p : 2 * p + 2, 2 * q : 2 * q + 2].mean()
        dx[n, c, 2 * p : 2 * p + 2, 2 * q : 2 * q + 2] += dout[n, c, p, q] / 4
    return out, dx


def _norm_inputs(shape: tuple[int, ...]) -> Callable[[np.random.Generator], tuple]:
    shapes = (shape, shape[1:2], shape[1:2], shape)
    return lambda rng: tuple(rng.normal(size=s).astype(np.float32) for s in shapes)


def _batch_norm(x, gamma, beta, dout):
    out, cache = norm.batch_norm_forward(x, gamma, beta)
    return out, *norm.batch_norm_backward(dout, cache)


def _batch_norm_loops(x, gamma, beta, dout, eps=1e-5):
    out, dx, dgamma, dbeta = np.empty_like(x), np.empty_like(x), np.zeros_like(gamma), np.zeros_like(beta)
    N, C, H, W = x.shape
    m = N * H * W
    for c in range(C):
        places = [(n, c, i, j) for n in range(N) for i in range(H) for j in range(W)]
        mean = sum(float(x[place]) for place in places) / m
        inv_std = 1 / math.sqrt(sum((float(x[place]) - mean) ** 2 for place in places) / m + eps)
        for place in places:
            x_hat = (x[place] - mean) * inv_std
            out[place] = gamma[c] * x_hat + beta[c]
            dgamma[c] += dout[place] * x_hat
            dbeta[c] += dout[place]
        for place in places:
            x_hat = (x[place] - mean) * inv_std
            dx[place] = gamma[c] * inv_std * (dout[place] - dbeta[c] / m - x_hat * dgamma[c] / m)
    return out, dx, dgamma, dbeta


def _logits(N: int, C: int) -> Callable[[np.random.Generator], tuple]:
    return lambda rng: (rng.normal(size=(N, C)).astype(np.float32), rng.integers(0, C, N))


def _cross_entropy(logits, targets):
    loss, cache = losses.softmax_cross_entropy_forward(logits, targets)
    return np.asarray(loss), losses.softmax_cross_entropy_backward(1.0, cache)


def _cross_entropy_torch(logits, targets):
    logits = torch.from_numpy(logits).requires_grad_()
    loss = F.cross_entropy(logits, torch.from_numpy(targets))
    loss.backward()
    return loss.detach().numpy(), logits.grad.numpy()


def _cross_entropy_loops(logits, targets):
    loss, dlogits = 0.0, np.empty_like(logits)
    for n, (row, target) in enumerate(zip(logits, targets, strict=True)):
        largest = max(row)
        exponentials = [math.exp(s - largest) for s in row]
        total = sum(exponentials)
        loss += (math.log(total) - (row[target] - largest)) / len(logits)
        for c, e in enumerate(exponentials):
            dlogits[n, c] = (e / total - (c == target)) / len(logits)
    return np.asarray(loss), dlogits


X, HALF, FEW, FEW_HALF = (32, 16, 32, 32), (32, 16, 16, 16), (1, 4, 32, 32), (1, 4, 16, 16)
LAYERS = [
    Layer(
        "max-pooling 2×2",
        _images(X, HALF),
        _both(pooling.max_pool2d_forward, pooling.max_pool2d_backward, kernel=2),
        lambda *a: differentiate(lambda x: F.max_pool2d(x, 2), *a),
        _max_loops(kernel=2),
        _images(FEW, FEW_HALF),
    ),
    Layer(
        "max-pooling 3×3, stride 2, padded",
        _images(X, HALF),
        _both(pooling.max_pool2d_forward, pooling.max_pool2d_backward, kernel=3, stride=2, padding=1),
        lambda *a: differentiate(lambda x: F.max_pool2d(x, 3, 2, 1), *a),
        _max_loops(kernel=3, stride=2, padding=1),
        _images(FEW, FEW_HALF),
    ),
    Layer(
        "average pooling 2×2",
        _images(X, HALF),
        _both(pooling.avg_pool2d_forward, pooling.avg_pool2d_backward, kernel=2),
        lambda *a: differentiate(lambda x: F.avg_pool2d(x, 2), *a),
        _average_loops,
        _images(FEW, FEW_HALF),
    ),
    Layer(
        "global average pooling",
        _images(X, X[:2]),
        _both(pooling.global_avg_pool_forward, pooling.global_avg_pool_backward),
        lambda *a: differentiate(lambda x: x.mean((2, 3)), *a),
    ),
    Layer(
        "batch norm, training",
        _norm_inputs((64, 32, 28, 28)),
        _batch_norm,
        lambda *a: differentiate(lambda x, g, b: F.batch_norm(x, None, None, g, b, True), *a),
        _batch_norm_loops,
        _norm_inputs((4, 2, 28, 28)),
    ),
    *(
        Layer(
            f"softmax cross-entropy, {C:,} classes",
            _logits(N, C),
            _cross_entropy,
            _cross_entropy_torch,
            _cross_entropy_loops,
            _logits(few, C),
        )
        for N, C, few in ((128, 10, 32), (256, 1000, 16))
    ),
]


def cpu_seconds(function: Callable, *arguments) -> float:
    start = time.process_time()
    function(*arguments)
    return time.process_time() - start


def measure(layer: Layer, rounds: int) -> dict:
    """Milliseconds of each peer, and our ratio to torch: median and middle half of the rounds."""
    torch.set_num_threads(1)
    inputs = layer.inputs(np.random.default_rng(0))
    for got, want in zip(layer.ours(*inputs), layer.torchs(*inputs), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-3 * float(np.abs(want).max()))
    peers, times = {"torch": layer.torchs, "ours": layer.ours}, {"torch": [], "ours": []}
    for _ in range(rounds):
        for name, function in peers.items():
            times[name].append(sum(cpu_seconds(function, *inputs) for _ in range(3)) / 3)
    ratios = [a / b for a, b in zip(times["ours"], times["torch"], strict=True)]
    found = {name: 1e3 * statistics.median(t) for name, t in times.items()}
    found |= {"ratio": statistics.median(ratios), "middle half": np.percentile(ratios, [25, 75]).tolist()}
    if layer.loops:
        few = layer.small(np.random.default_rng(0))
        layer.loops(*few)
        seconds = statistics.median(cpu_seconds(layer.loops, *few) for _ in range(3))
        found["loops"] = 1e3 * seconds * inputs[-1].size / few[-1].size
    return found


def table(results: dict[str, dict], rounds: int) -> str:
    lines = [
        "| forward and backward, float32 | input | torch | by hand | ratio to torch (middle half of rounds) | loops |",
        "|---|---|---|---|---|---|",
    ]
    for layer in LAYERS:
        r = results[layer.name]
        low, high = r["middle half"]
        shape = "×".join(map(str, layer.inputs(np.random.default_rng(0))[0].shape))
        slow = f"{r['loops'] / r['torch']:,.0f} × torch, {r['loops'] / r['ours']:,.0f} × ours" if "loops" in r else "–"
        lines.append(
            f"| {layer.name} | {shape} | {r['torch']:.2f} ms | {r['ours']:.2f} ms | "
            f"**{r['ratio']:.2f}** ({low:.2f} to {high:.2f}) | {slow} |"
        )
    lines += [
        "",
        f"NumPy {np.__version__}, torch {torch.__version__}; one thread, CPU time, {rounds} rounds. torch's times hold "
        "what its automatic differentiation costs. Made by "
        "`python benchmarks/layers.py --write book/results/layers.md`.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=41)
    parser.add_argument("--write", type=Path)
    args = parser.parse_args()
    text = table({layer.name: measure(layer, args.rounds) for layer in LAYERS}, args.rounds)
    print(text)
    if args.write:
        args.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
