"""How well and how fast the multilayer perceptron of chapter 02 trains, in NumPy, by hand.

    python benchmarks/mlp.py                             # prints a table
    python benchmarks/mlp.py --write book/results/mlp.md # writes it too

784-256-10 on MNIST, for each seed: test accuracy and seconds. 64-256-10 on the digits: accuracy on a held-out
fifth, a new split for each seed. Where MNIST cannot be had, its row says so.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

if hasattr(os, "sched_getaffinity"):
    CORES = len(os.sched_getaffinity(0))
else:
    CORES = os.cpu_count() or 1
# One thread is as fast as two at this size, and is not slowed down when the other core is busy.
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # read when NumPy is imported, so before that

import numpy as np  # noqa: E402
from tqdm import tqdm  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from dlcourse import data, mlp  # noqa: E402

MNIST = {"sizes": (784, 256, 10), "epochs": 6, "batch_size": 64, "lr": 0.1, "momentum": 0.9, "decay": True}
DIGITS = {"sizes": (64, 256, 10), "epochs": 30, "batch_size": 32, "lr": 0.2, "momentum": 0.9, "decay": True}


def run(recipe: dict, x, y, x_test, y_test, seed: int) -> tuple[float, float, float]:
    """Train once; the accuracy on the test set, and the seconds and processor seconds that training took."""
    recipe = dict(recipe)
    model = mlp.MLP(recipe.pop("sizes"), seed=seed, dtype=np.float32)
    start, start_cpu = time.perf_counter(), time.process_time()
    mlp.train(model, x, y, seed=seed, **recipe)
    seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    return mlp.accuracy(model, x_test, y_test), seconds, cpu


def mnist(seeds: int) -> list[tuple[float, float, float]]:
    d = data.load("mnist")
    x, x_test = d.x_train.reshape(-1, 784), d.x_test.reshape(-1, 784)
    return [run(MNIST, x, d.y_train, x_test, d.y_test, seed) for seed in tqdm(range(seeds), "mnist", leave=False)]


def digits(seeds: int) -> list[tuple[float, float, float]]:
    d = data.load("digits")
    x, y = np.concatenate([d.x_train, d.x_test]).reshape(-1, 64), np.concatenate([d.y_train, d.y_test])
    results = []
    for seed in tqdm(range(seeds), "digits", leave=False):
        train, test = data.holdout(y, 0.2, seed)
        results.append(run(DIGITS, x[train], y[train], x[test], y[test], seed))
    return results


def row(name: str, recipe: dict, target: float, results: list[tuple[float, float, float]]) -> str:
    accuracies, seconds, cpu = np.array(results).T
    sizes = "-".join(map(str, recipe["sizes"]))
    settings = f"batch {recipe['batch_size']}, lr {recipe['lr']} falling to 0, momentum {recipe['momentum']}"
    each = f"each seed: {' '.join(f'{a:.2%}' for a in accuracies)}" if len(results) <= 5 else ""
    spread = f"{accuracies.mean():.2%} ({accuracies.min():.2%} to {accuracies.max():.2%}) {each}".strip()
    took = f"{np.median(seconds):.1f} (at most {seconds.max():.1f}; processor {np.median(cpu):.1f})"
    return f"| {name}, {sizes} | {recipe['epochs']} epochs, {settings} | {target:.0%} | {spread} | {took} |"


def table(mnist_seeds: int, digits_seeds: int) -> str:
    lines = [
        "| task | training | wanted | test accuracy, mean (lowest to highest) | seconds a run, median |",
        "|---|---|---|---|---|",
    ]
    try:
        lines.append(row("MNIST", MNIST, 0.98, mnist(mnist_seeds)))
    except data.DataUnavailable as error:
        lines.append(f"| MNIST | not measured: {error} | | | |")
    lines.append(row("digits, held-out fifth", DIGITS, 0.97, digits(digits_seeds)))
    note = (
        f"`python benchmarks/mlp.py`, one thread on {CORES} cores, NumPy {np.__version__}, float32; "
        f"MNIST with seeds 0 to {mnist_seeds - 1}, its own test set; "
        f"digits with seeds 0 to {digits_seeds - 1}, each its own split. Seconds are of training alone."
    )
    return "\n".join([*lines, "", note, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mnist-seeds", type=int, default=3)
    parser.add_argument("--digits-seeds", type=int, default=10)
    parser.add_argument("--write", type=Path, metavar="PATH", help="write the table to this markdown file")
    arguments = parser.parse_args()
    text = table(arguments.mnist_seeds, arguments.digits_seeds)
    print(text, end="")
    if arguments.write:
        arguments.write.parent.mkdir(parents=True, exist_ok=True)
        arguments.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
