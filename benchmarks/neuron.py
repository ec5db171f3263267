"""What the neuron of chapter 01 reaches, trained by hand: digits, the optimum, XOR.

    python benchmarks/neuron.py                                 # prints the tables
    python benchmarks/neuron.py --write book/results/neuron.md  # writes them too

Zeros against ones, by each loss: accuracy on a held-out fifth of the 8x8 digits, a new split for each seed, and on
MNIST's own test set. The hinge objective by subgradient descent against scikit-learn's LinearSVC, which minimises the
same objective by coordinates of the dual. XOR from many random starts, and by trying every line. Where MNIST cannot be
had, its row says so.
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
from dlcourse import data, neuron  # noqa: E402

DIGITS = {"squared": 0.1, "logistic": 1.0, "hinge": 0.1}  # learning rates
MNIST = {"squared": 0.015, "logistic": 0.1, "hinge": 0.03}
LAMBDAS = (1.0, 0.1, 0.01, 0.001)


def zeros_and_ones(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return x[y < 2].reshape((y < 2).sum(), -1), 2 * y[y < 2] - 1


def digits() -> tuple[np.ndarray, np.ndarray]:
    d = data.load("digits", dtype=np.float64)
    return zeros_and_ones(np.concatenate([d.x_train, d.x_test]), np.concatenate([d.y_train, d.y_test]))


def held_out(x, t, loss: str, seeds: int) -> np.ndarray:
    found = []
    for seed in range(seeds):
        rows, held = data.holdout(t, 0.2, seed)
        w, b, _ = neuron.fit(x[rows], t[rows], loss=loss, lam=1e-3, lr=DIGITS[loss], steps=400)
        found.append(np.mean(neuron.predict(x[held], w, b) == t[held]))
    return np.array(found)


def accuracies(seeds: int) -> list[str]:
    lines = ["| zeros against ones | loss | wanted | held out, mean (lowest to highest) |", "|---|---|---|---|"]
    x, t = digits()
    for loss in tqdm(DIGITS, "digits", leave=False):
        a = held_out(x, t, loss, seeds)
        lines.append(
            f"| digits, 8×8, a fifth of {len(t)} | {loss} | 99% | {a.mean():.2%} ({a.min():.2%} to {a.max():.2%}) |"
        )
    try:
        mnist = data.load("mnist")
    except data.DataUnavailable as error:
        return [*lines, f"| MNIST | not measured: {error} | | |"]
    x, t = zeros_and_ones(mnist.x_train, mnist.y_train)
    x_new, t_new = zeros_and_ones(mnist.x_test, mnist.y_test)
    for loss, lr in tqdm(MNIST.items(), "mnist", leave=False):
        w, b, _ = neuron.fit(x, t, loss=loss, lam=1e-3, lr=lr, steps=300)
        a = np.mean(neuron.predict(x_new, w, b) == t_new)
        lines.append(f"| MNIST, its {len(t_new):,} test images | {loss} | 99% | {a:.2%} (nothing is random) |")
    return lines


def optimum(steps: int) -> list[str]:
    from sklearn.svm import LinearSVC

    lines = ["| λ | LinearSVC's objective | by hand | difference | relative |", "|---|---|---|---|---|"]
    x, t = digits()
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    for lam in tqdm(LAMBDAS, "optimum", leave=False):
        peer = LinearSVC(loss="hinge", C=1 / (lam * len(x)), fit_intercept=False, tol=1e-9, max_iter=1_000_000)
        theirs = neuron.objective(x, t, peer.fit(x, t).coef_[0], 0.0, lam=lam)[0]
        _, values = neuron.gradient_descent(
            lambda w, lam=lam: neuron.objective(x, t, w, 0.0, lam=lam)[:2],
            (np.zeros(x.shape[1]),), lr=lambda k, lam=lam: 1 / (1 + lam * k), steps=steps, best=True,
        )  # fmt: skip
        gap = values.min() - theirs
        lines.append(f"| {lam:g} | {theirs:.7f} | {values.min():.7f} | {gap:.1e} | {gap / theirs:.1e} |")
    return lines


def xor(starts: int) -> list[str]:
    lines = ["| XOR | accuracy, lowest to highest |", "|---|---|"]
    x, y = data.xor(dtype=np.float64)
    t = 2 * y - 1
    for loss in neuron.LOSSES:
        found = []
        for seed in tqdm(range(starts), f"xor, {loss}", leave=False):
            start = np.random.default_rng(seed).normal(0, 3, 3)
            (w, b), _ = neuron.gradient_descent(
                lambda w, b, loss=loss: neuron.objective(x, t, w, b, loss=loss),
                (start[:2], start[2]),
                lr=0.3,
                steps=300,
            )
            found.append(np.mean(neuron.predict(x, w, b) == t))
        lines.append(f"| {loss} loss, {starts} random starts, 300 steps each | {min(found):.0%} to {max(found):.0%} |")
    lines.append(f"| every line there is (`neuron.best_line`) | at most {neuron.best_line(x, t)[0]:.0%} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--starts", type=int, default=300)
    parser.add_argument("--write", type=Path, metavar="PATH", help="write the tables to this markdown file")
    arguments = parser.parse_args()
    note = (
        f"`python benchmarks/neuron.py`, NumPy {np.__version__}, float64 (MNIST float32); λ = 0.001 with the l2 "
        f"regulariser; digits, seeds 0 to {arguments.seeds - 1}, each its own split, 400 steps; MNIST 300 steps.\n\n"
        f"The hinge objective on all {len(digits()[1])} digits, by hand in {arguments.steps:,} subgradient steps "
        "with a falling rate (wanted: a difference below 0.001):"
    )
    parts = [accuracies(arguments.seeds), [note], optimum(arguments.steps), xor(arguments.starts)]
    text = "\n\n".join("\n".join(part) for part in parts) + "\n"
    print(text, end="")
    if arguments.write:
        arguments.write.parent.mkdir(parents=True, exist_ok=True)
        arguments.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
