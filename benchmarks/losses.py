"""Which losses tolerate wrong labels? Every loss of chapter 04's list on real digits, with a fifth of the labels wrong.

    python benchmarks/losses.py                                # prints a table
    python benchmarks/losses.py --write book/results/losses.md # writes it too

A network 64-128-10 (ReLU, SGD with momentum) learns the digits' training part, from right labels and from labels of
which 20% were exchanged for another class at random; the test part's labels are right. Losses differ in size, so each
has a learning rate of its own, chosen on a fifth of the training part, with the labels that the training has.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # read when NumPy is imported, so before that

import numpy as np  # noqa: E402
from tqdm import tqdm  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from dlcourse import data, losses, mlp  # noqa: E402

WRONG = 0.2
RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
RECIPE = {"batch_size": 32, "momentum": 0.9, "decay": True}
NAMES = {
    "l1": "L1", "l2": "L2", "expectation": "expectation", "regularised_expectation": "regularised expectation",
    "chebyshev": "Chebyshev", "hinge": "hinge", "squared_hinge": "squared hinge", "cubed_hinge": "cubed hinge",
    "log": "log (cross-entropy)", "squared_log": "squared log", "tanimoto": "Tanimoto",
    "cauchy_schwarz": "Cauchy-Schwarz divergence",
}  # fmt: skip


def trained(loss: str, x, labels, *, lr: float, epochs: int, seed: int, start: float) -> mlp.MLP:
    model = mlp.MLP((64, 128, 10), loss=loss, seed=seed, dtype=np.float32)
    model.parameters[2] *= start
    with np.errstate(all="ignore"):  # at too large a rate some diverge; then the rate is not chosen
        mlp.train(model, x, labels, epochs=epochs, lr=lr, seed=seed, **RECIPE)
    return model


def best_rate(loss: str, x, labels, epochs: int, seeds: int, start: float) -> float:
    """The rate with the highest accuracy on a held-out fifth, by the labels as they are given; not the test part."""
    scores = np.zeros(len(RATES))
    for seed in range(100, 100 + seeds):
        fit, held = data.holdout(labels, 0.2, seed)
        for i, lr in enumerate(RATES):
            model = trained(loss, x[fit], labels[fit], lr=lr, epochs=epochs, seed=seed, start=start)
            scores[i] += mlp.accuracy(model, x[held], labels[held])
    return RATES[int(scores.argmax())]


def measure(loss: str, digits: data.Dataset, seeds: int, epochs: int, choosing: int, start: float) -> dict:
    """Accuracies (seeds, 3): right labels; wrong labels at the same rate; wrong labels at a rate chosen for them.

    And the share of the wrong labels that the second of these has learned by heart.
    """
    x, y, x_test = digits.x_train.reshape(-1, 64), digits.y_train, digits.x_test.reshape(-1, 64)
    wrong = losses.flip_labels(y, WRONG, 10, seed=100)
    rate, cautious = (best_rate(loss, x, labels, epochs, choosing, start) for labels in (y, wrong))
    accuracies, by_heart = np.zeros((seeds, 3)), np.zeros(seeds)
    for seed in range(seeds):
        flipped = losses.flip_labels(y, WRONG, 10, seed)
        runs = [(y, rate), (flipped, rate), (flipped, cautious)]
        models = [trained(loss, x, labels, lr=lr, epochs=epochs, seed=seed, start=start) for labels, lr in runs]
        accuracies[seed] = [mlp.accuracy(model, x_test, digits.y_test) for model in models]
        by_heart[seed] = mlp.accuracy(models[1], x[flipped != y], flipped[flipped != y])
    return {"rates": (rate, cautious), "accuracies": accuracies, "by_heart": by_heart}


def spread(values: np.ndarray) -> str:
    return f"{values.mean():.1%} ({values.min():.1%} to {values.max():.1%})"


def table(found: dict[str, dict]) -> list[str]:
    lines = [
        "| loss | learning rate | right labels | 20% wrong | lost, points | wrong labels learned by heart "
        "| 20% wrong, rate chosen for them |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in sorted(found, key=lambda name: -found[name]["accuracies"][:, 1].mean()):
        (rate, cautious), a, by_heart = found[name].values()
        right, wrong, chosen = a.T
        lost = 100 * (right - wrong)
        lines.append(
            f"| {NAMES[name]} | {rate:g} | {spread(right)} | **{wrong.mean():.1%}** ({wrong.min():.1%} to "
            f"{wrong.max():.1%}) | {lost.mean():.1f} ({lost.min():.1f} to {lost.max():.1f}) | {by_heart.mean():.0%} | "
            f"{spread(chosen)}, rate {cautious:g} |"
        )
    return lines


def page(names: list[str], seeds: int, epochs: int, choosing: int) -> str:
    digits, began = data.load("digits"), time.process_time()
    starts, tables = {"From the usual start:": 1.0, "From an undecided start, output weights a twentieth:": 0.05}, []
    for title, start in starts.items():
        found = {name: measure(name, digits, seeds, epochs, choosing, start) for name in tqdm(names, leave=False)}
        tables += [title, "", *table(found), ""]
    note = (
        f"`python benchmarks/losses.py`: accuracy on the digits' test part (359 images), mean over {seeds} seeds "
        f"(lowest to highest); 64-128-10, {epochs} epochs, batch 32, momentum 0.9, the rate falling to 0. "
        f"Rates: the best of {', '.join(f'{r:g}' for r in RATES)} on a held-out fifth of the training part. "
        f"Processor time {time.process_time() - began:.0f} s, one thread, NumPy {np.__version__}."
    )
    return "\n".join([*tables, note, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--losses", nargs="+", choices=list(NAMES), default=list(NAMES), metavar="NAME")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--choosing", type=int, default=2, help="seeds for choosing the learning rates")
    parser.add_argument("--write", type=Path, metavar="PATH", help="write the table to this markdown file")
    arguments = parser.parse_args()
    text = page(arguments.losses, arguments.seeds, arguments.epochs, arguments.choosing)
    print(text, end="")
    if arguments.write:
        arguments.write.parent.mkdir(parents=True, exist_ok=True)
        arguments.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
