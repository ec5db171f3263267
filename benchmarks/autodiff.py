"""How fast chapter 03's two engines train the two-moons classifier, against PyTorch's autograd and against each other.

    python benchmarks/autodiff.py                                   # prints a table
    python benchmarks/autodiff.py --write book/results/autodiff.md  # writes it too

A step is forward pass, backward pass and update of all 337 weights and biases of 2-16-16-1, ReLU, hinge loss, on all
100 points. The engines do the same arithmetic, and their losses are compared first. One thread, CPU time, rounds
interleaved: in each round every engine takes its steps, and a ratio is the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from itertools import pairwise
from pathlib import Path

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # read when NumPy is imported, so before that

import numpy as np  # noqa: E402
import torch  # noqa: E402
from tqdm import tqdm  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from dlcourse import data  # noqa: E402
from dlcourse.autodiff import Tensor, Value, relu  # noqa: E402

SIZES, POINTS, LR = (2, 16, 16, 1), 100, 0.5
FASTER_THAN_SCALAR, NO_SLOWER_THAN_TORCH = 100, 1.0
SCALAR_TO_TENSOR, TENSOR_TO_TORCH = ("scalar", "tensor, float64"), ("tensor, float64", "torch, float64")


def problem(seed: int, dtype=np.float64):
    """Points (N, 2), signs ±1 (N, 1), and the first weights [w1, b1, w2, b2, w3, b3]."""
    x, y = data.moons(POINTS, noise=0.1, seed=seed, dtype=dtype)
    rng, weights = np.random.default_rng(seed), []
    for fan_in, fan_out in pairwise(SIZES):
        weights += [rng.normal(0, (2 / fan_in) ** 0.5, (fan_in, fan_out)).astype(dtype), np.zeros(fan_out, dtype)]
    return x, (2 * y[:, None] - 1).astype(dtype), weights


class ScalarMoons:
    """The network as one Value a weight, one neuron after the other."""

    def __init__(self, x, signs, weights):
        self.x, self.signs = x.tolist(), signs.ravel().tolist()
        self.layers = [
            ([[Value(v) for v in column] for column in w.T], [Value(v) for v in b])
            for w, b in zip(weights[::2], weights[1::2], strict=True)
        ]
        self.weights = [v for w, b in self.layers for v in (*(v for column in w for v in column), *b)]

    def output(self, h):
        for i, (w, b) in enumerate(self.layers):
            h = [sum((v * z for v, z in zip(column, h, strict=True)), bias) for column, bias in zip(w, b, strict=True)]
            h = [relu(z) for z in h] if i < len(self.layers) - 1 else h
        return h[0]

    def step(self) -> float:
        losses = [relu(1 - self.output(h) * sign) for h, sign in zip(self.x, self.signs, strict=True)]
        loss = sum(losses[1:], losses[0]) / len(losses)
        for v in self.weights:
            v.grad = 0.0
        loss.backward()
        for v in self.weights:
            v.data -= LR * v.grad
        return loss.data


class TensorMoons:
    """The network as six tensors."""

    def __init__(self, x, signs, weights):
        self.x, self.signs = Tensor(x), Tensor(signs)
        self.weights = [Tensor(w, requires_grad=True) for w in weights]

    def output(self, x):
        w1, b1, w2, b2, w3, b3 = self.weights
        return ((x @ w1 + b1).relu() @ w2 + b2).relu() @ w3 + b3

    def step(self) -> float:
        loss = (1 - self.output(self.x) * self.signs).relu().mean()
        for w in self.weights:
            w.grad = None
        loss.backward()
        for w in self.weights:
            w.assign(w.data - LR * w.grad)
        return loss.item()


class TorchMoons:
    """The same with torch's autograd; its fastest way to write it."""

    def __init__(self, x, signs, weights):
        self.x, self.signs = torch.from_numpy(x), torch.from_numpy(signs)
        self.weights = [torch.from_numpy(w.copy()).requires_grad_() for w in weights]

    def step(self) -> float:
        w1, b1, w2, b2, w3, b3 = self.weights
        h = torch.addmm(b2, torch.addmm(b1, self.x, w1).relu(), w2).relu()
        loss = (1 - torch.addmm(b3, h, w3) * self.signs).relu().mean()
        for w in self.weights:
            w.grad = None
        loss.backward()
        with torch.no_grad():
            for w in self.weights:
                w.sub_(w.grad, alpha=LR)
        return loss.item()


def cpu_seconds(step, repeats: int) -> float:
    start = time.process_time()
    for _ in range(repeats):
        step()
    return (time.process_time() - start) / repeats


def same_losses() -> float:
    """The largest difference between the engines' losses over five steps."""
    engines = [engine(*problem(0)) for engine in (ScalarMoons, TensorMoons, TorchMoons)]
    losses = np.array([[engine.step() for engine in engines] for _ in range(5)])
    return float(np.ptp(losses, axis=1).max())


def measure(rounds: int) -> dict[str, np.ndarray]:
    """Seconds a step, one number a round, for each engine."""
    torch.set_num_threads(1)
    peers = {
        "scalar": (ScalarMoons(*problem(0)), 1),
        "scalar, collector off": (ScalarMoons(*problem(0)), 1),
        "tensor, float64": (TensorMoons(*problem(0)), 100),
        "torch, float64": (TorchMoons(*problem(0)), 100),
        "tensor, float32": (TensorMoons(*problem(0, np.float32)), 100),
        "torch, float32": (TorchMoons(*problem(0, np.float32)), 100),
    }
    for peer, _ in peers.values():
        peer.step()
    times = {name: [] for name in peers}
    for _ in tqdm(range(rounds), "rounds", leave=False):
        for name, (peer, repeats) in peers.items():
            if name.endswith("off"):
                gc.collect()
                gc.disable()
            times[name].append(cpu_seconds(peer.step, repeats))
            gc.enable()
    return {name: np.array(each) for name, each in times.items()}


def accuracies(seeds: int, steps: int = 400) -> np.ndarray:
    """Held-out accuracy of the tensor engine, one number a seed: 1,000 new points each."""
    found = []
    for seed in tqdm(range(seeds), "seeds", leave=False):
        model = TensorMoons(*problem(seed))
        for _ in range(steps):
            model.step()
        x, y = data.moons(1000, noise=0.1, seed=10_000 + seed, dtype=np.float64)
        found.append(np.mean((model.output(Tensor(x)).data[:, 0] > 0) == y))
    return np.array(found)


def ratio(times, one: str, other: str) -> tuple[float, float, float]:
    return tuple(float(q) for q in np.percentile(times[one] / times[other], [50, 25, 75]))


def table(rounds: int, seeds: int) -> str:
    difference, times, scores = same_losses(), measure(rounds), accuracies(seeds)

    def row(name: str, peer: str, digits: int) -> str:
        middle, low, high = ratio(times, name, peer)
        spread = f"**{middle:,.{digits}f}** ({low:,.{digits}f} to {high:,.{digits}f})"
        return f"| {name} | {1e3 * np.median(times[name]):.3g} ms | {spread} |"

    lines = [
        "| engine | a training step | its ratio to torch of the same precision (middle half of the rounds) |",
        "|---|---|---|",
        *(row(name, "torch, float64", 0) for name in ("scalar", "scalar, collector off")),
        *(row(f"tensor, {dtype}", f"torch, {dtype}", 2) for dtype in ("float64", "float32")),
        *(
            f"| torch, {dtype} | {1e3 * np.median(times[f'torch, {dtype}']):.3g} ms | 1 |"
            for dtype in ("float64", "float32")
        ),
    ]
    (gain, low, high), (peer, *_) = (ratio(times, *pair) for pair in (SCALAR_TO_TENSOR, TENSOR_TO_TORCH))
    note = (
        f"The tensor engine is **{gain:,.0f} times** faster than the scalar engine ({low:,.0f} to {high:,.0f}; goal: "
        f"{FASTER_THAN_SCALAR}), and takes **{peer:.2f}** of torch's time (goal: at most {NO_SLOWER_THAN_TORCH:g}), in "
        f"float64. The losses of the three agree within {difference:.0e} over five steps. After 400 steps the tensor "
        f"engine is right on {scores.mean():.1%} of 1,000 new points (lowest to highest of {seeds} seeds: "
        f"{scores.min():.1%} to {scores.max():.1%}).\n\n"
        f"`python benchmarks/autodiff.py`, two moons with 100 points, 2-16-16-1; one thread, CPU time, {rounds} "
        f"interleaved rounds; Python {sys.version.split()[0]}, NumPy {np.__version__}, torch {torch.__version__}."
    )
    return "\n".join([*lines, "", note, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--write", type=Path, metavar="PATH", help="write the table to this markdown file")
    arguments = parser.parse_args()
    text = table(arguments.rounds, arguments.seeds)
    print(text, end="")
    if arguments.write:
        arguments.write.parent.mkdir(parents=True, exist_ok=True)
        arguments.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
