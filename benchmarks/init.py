"""Fifty layers under every start, the singular values of the product of Jacobians, and what whitening buys.

    python benchmarks/init.py                              # prints the tables
    python benchmarks/init.py --write book/results/init.md # writes them too

The signal: normal inputs through fifty square layers, and a normal gradient from the top back through them. A single
draw wanders; the law speaks of the mean over draws, so the table gives both.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # read when NumPy is imported, so before that

import numpy as np  # noqa: E402
from tqdm import tqdm  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from dlcourse import init  # noqa: E402

GAINS, DEPTHS = (0.8, 1.0, 1.2), (1, 5, 10, 20, 40)
PREPARED = {
    "raw": None, "centred": init.centring, "scaled": init.scaling, "PCA white": init.pca_whitening,
    "ZCA white": init.zca_whitening,
}  # fmt: skip


def through(scheme: str, activation: str, draws: int, depth: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean squares relative to the start, (draws, depth + 1): activations forward, gradient with respect to each."""
    forward, back = [], []
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        weights = init.deep(rng, scheme, depth, width, activation)
        x, dout = rng.standard_normal((16, width)), rng.standard_normal((16, width))
        signal = init.propagate(x, weights, activation, dout)
        forward.append(signal.sizes())
        back.append(signal.gradient_sizes())
    return np.array(forward), np.array(back)


def fifty(draws: int, depth: int, width: int) -> list[str]:
    lines = [
        "| activation | start | activations, last layer: mean over draws | single draws | least and largest mean of "
        "all layers | gradient at the input: mean over draws |",
        "|---|---|---|---|---|---|",
    ]
    pairs = [(a, s) for a in ("relu", "tanh") for s in init.SCHEMES]
    for activation, scheme in tqdm(pairs, leave=False):
        forward, back = through(scheme, activation, draws, depth, width)
        mean, last = forward.mean(axis=0), forward[:, -1]
        lines.append(
            f"| {activation} | {scheme} | {mean[-1]:.2g} | {last.min():.2g} to {last.max():.2g} | "
            f"{mean.min():.2g} to {mean.max():.2g} | {back.mean(axis=0)[0]:.2g} |"
        )
    return lines


def stretch(draws: int, width: int) -> list[str]:
    """Singular values of the product of tanh Jacobians: medians over draws of the largest and of the median."""
    heads = " | ".join(f"depth {depth}" for depth in DEPTHS)
    lines = [f"| weights | gain | {heads} |", "|---|---|" + "---|" * len(DEPTHS)]
    for name, draw in (("normal", init.xavier_normal), ("orthogonal", init.orthogonal)):
        for gain in GAINS:
            found = np.zeros((draws, len(DEPTHS), 2))
            for seed in range(draws):
                rng = np.random.default_rng(seed)
                weights = [draw(rng, (width, width), gain) for _ in range(max(DEPTHS))]
                x = 0.1 * rng.standard_normal(width)
                for i, depth in enumerate(DEPTHS):
                    s = np.linalg.svd(init.jacobian(x, weights[:depth], "tanh"), compute_uv=False)
                    found[seed, i] = s[0], np.median(s)
            cells = " | ".join(f"{largest:.2g}, {middle:.2g}" for largest, middle in np.median(found, axis=0))
            lines.append(f"| {name} | {gain} | {cells} |")
    return lines


def steps_to_fit(x: np.ndarray, t: np.ndarray, most: int = 500_000, goal: float = 1e-3) -> tuple[float, int]:
    """(condition number, steps): gradient descent at the rate 1 / largest curvature, until the error above the least
    squares solution's is ``goal`` of the targets' variance."""
    design = np.column_stack([x, np.ones(len(x))])
    curvature, axes = np.linalg.eigh(design.T @ design / len(x))
    far = (axes.T @ np.linalg.lstsq(design, t, rcond=None)[0]) ** 2 * curvature  # error along each axis, at w = 0
    shrink = (1 - curvature / curvature[-1]) ** 2
    low, high = 0, most
    while low < high:  # the error only falls, so halve the interval
        step = (low + high) // 2
        low, high = (low, step) if (far * shrink**step).sum() < goal * t.var() else (step + 1, high)
    return curvature[-1] / curvature[0], low


def ravine(draws: int) -> list[str]:
    lines = ["| inputs | condition number | steps of gradient descent |", "|---|---|---|"]
    for name, prepare in PREPARED.items():
        found = []
        for seed in range(draws):
            rng = np.random.default_rng(seed)
            units = np.geomspace(0.5, 2, 8)
            x = rng.standard_normal((500, 8)) @ rng.standard_normal((8, 8)) / np.sqrt(8) * units + 5
            t = x @ (rng.standard_normal(8) / units)
            found.append(steps_to_fit(prepare(x)(x) if prepare else x, t))
        condition, steps = np.array(found).T
        lines.append(
            f"| {name} | {np.median(condition):.0f} ({condition.min():.0f} to {condition.max():.0f}) | "
            f"{np.median(steps):.0f} ({steps.min():.0f} to {steps.max():.0f}) |"
        )
    return lines


def page(draws: int, depth: int, width: int) -> str:
    return "\n".join([
        f"Mean squares after {depth} layers of {width} units, relative to the input's (the gradient's: to the one at "
        f"the top), over {draws} draws of weights and inputs:", "",
        *fifty(draws, depth, width), "",
        f"The product of the Jacobians of tanh layers of {width // 4} units, at a small input: its largest singular "
        f"value and its median one, medians over {draws} draws:", "",
        *stretch(draws, width // 4), "",
        f"A linear model of eight correlated inputs in different units, by gradient descent at the rate 1/λ, λ the "
        f"largest curvature, to a thousandth of the targets' variance; medians of {draws} data sets (least to most):",
        "", *ravine(draws), "",
        f"Command: `python benchmarks/init.py --write book/results/init.md`. Seeds 0 to {draws - 1}, "
        f"NumPy {np.__version__}.", "",
    ])  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=8)
    parser.add_argument("--depth", type=int, default=50)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--write", type=Path, metavar="PATH", help="write the tables to this markdown file")
    arguments = parser.parse_args()
    text = page(arguments.draws, arguments.depth, arguments.width)
    print(text, end="")
    if arguments.write:
        arguments.write.parent.mkdir(parents=True, exist_ok=True)
        arguments.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
