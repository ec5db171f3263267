"""How chapter 05's optimisers compare, asked fairly, and how they compare when the question is spoiled.

    python benchmarks/optim.py                               # prints the tables
    python benchmarks/optim.py --write book/results/optim.md # writes them too; and the second question's, see below

1. How far each rule is from torch.optim after 200 steps in float64.
2. XOR: every optimiser and every trick from the same 100 fresh networks, each optimiser at each of many learning
   rates; epochs until the mean squared error is below 0.01, networks that never get there counted.
3. The same rows with one network that is trained on from row to row, which is how not to do it. This table goes
   into a file of its own, ``optim_reused.md``, beside the other.
4. Learning rate against loss after one epoch of MNIST (of the digits where MNIST cannot be had).
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
from dlcourse import data, mlp, optim  # noqa: E402

CAP = 2000
RULES = {
    "gradient descent": (optim.sgd_step, {}),
    "momentum 0.9": (optim.sgd_step, {"momentum": 0.9}),
    "Nesterov 0.9": (optim.sgd_step, {"momentum": 0.9, "nesterov": True}),
    "Adagrad": (optim.adagrad_step, {}),
    "AdaDelta": (optim.adadelta_step, {}),
    "RMSProp": (optim.rmsprop_step, {}),
    "Adam": (optim.adam_step, {}),
}
RATES = [round(float(f"{m}e{e}"), 6) for e in range(-3, 3) for m in (1, 2, 5)]
TRICKS = {
    "none: 3 hidden sigmoids, inputs 0 and 1, squared error": {},
    "inputs −1 and +1": {"bipolar": True},
    "hidden tanh": {"activation": "tanh"},
    "hidden tanh, inputs −1 and +1": {"activation": "tanh", "bipolar": True},
    "cross-entropy": {"loss": "cross-entropy"},
    "cross-entropy, hidden tanh, inputs −1 and +1": {"loss": "cross-entropy", "activation": "tanh", "bipolar": True},
    "2 hidden units": {"hidden": 2},
    "8 hidden units": {"hidden": 8},
    "initial weights of scale 0.1": {"scale": 0.1},
    "initial weights of scale 3": {"scale": 3.0},
}


def cost(epochs: np.ndarray) -> float:
    """Mean number of epochs spent, where a network that never got there has cost all of them."""
    return float(np.minimum(epochs, CAP).mean())


def summary(epochs: np.ndarray) -> str:
    """Median and the middle 80 per cent, where a censored network counts as slower than all others; censored."""
    low, middle, high = (np.sort(epochs)[round(q * (len(epochs) - 1))] for q in (0.1, 0.5, 0.9))

    def text(value):
        return f"more than {CAP}" if np.isinf(value) else f"{value:.0f}"

    never = int(np.isinf(epochs).sum())
    return f"{text(middle)} | {text(low)} to {text(high)} | {cost(epochs):.0f} | {never} of {len(epochs)}"


def tuned(rule, settings, networks: int, hidden: int = 3, scale: float = 1.0, **options) -> tuple[float, np.ndarray]:
    """The learning rate with the smallest cost on networks of seed 1, and its epochs on those of seed 0."""

    def trial(lr, seed):
        start = optim.xor_networks(networks, hidden, scale, seed)
        return optim.xor_trial(rule, start, cap=CAP, lr=lr, **settings, **options).epochs

    with np.errstate(over="ignore", invalid="ignore"):
        lr = min(RATES, key=lambda lr: cost(trial(lr, seed=1)))
        return lr, trial(lr, seed=0)


def xor_tables(networks: int) -> list[str]:
    lines = ["| optimiser | best lr | epochs, median | middle 80% | mean cost | never |", "|---|---|---|---|---|---|"]
    for name, (rule, settings) in tqdm(RULES.items(), "optimisers", leave=False):
        lr, epochs = tuned(rule, settings, networks)
        lines.append(f"| {name} | {lr:g} | {summary(epochs)} |")
    lines += ["", "The same with momentum 0.9 and one thing changed at a time:", ""]
    lines += ["| trick | best lr | epochs, median | middle 80% | mean cost | never |", "|---|---|---|---|---|---|"]
    for name, options in tqdm(TRICKS.items(), "tricks", leave=False):
        lr, epochs = tuned(*RULES["momentum 0.9"], networks, **options)
        lines.append(f"| {name} | {lr:g} | {summary(epochs)} |")
    lines += [
        "",
        f"{networks} networks 2-3-1, seed 0, the same for every row; full batch; at most {CAP} epochs. *Never* counts "
        "networks that are still above the target then; in the median and the middle 80% they stand behind all others, "
        f"in the mean cost they count {CAP}. The learning rate, one of {len(RATES)} from {RATES[0]:g} to "
        f"{RATES[-1]:g}, has the smallest mean cost on {networks} other networks, of seed 1.",
    ]
    return lines


USUAL = {"gradient descent": 1.0, "momentum 0.9": 0.1, "Nesterov 0.9": 0.1, "Adagrad": 0.01, "AdaDelta": 1.0,
         "RMSProp": 0.01, "Adam": 0.01}  # fmt: skip


def reused(networks: int, epochs: int = 500) -> list[str]:
    """Mean squared error after each row, for fresh networks and for one that is handed on from row to row."""
    fresh, columns = optim.xor_networks(networks), {}
    for title, order in (("handed down", list(USUAL)), ("handed up", list(USUAL)[::-1])):
        parameters, columns[title] = [p[:1] for p in fresh], {}
        for name in order:
            rule, settings = RULES[name]
            trial = optim.xor_trial(rule, parameters, cap=epochs, lr=USUAL[name], **settings)
            columns[title][name], parameters = trial.error[0], trial.parameters
    lines = [
        "| row | lr | one network, trained on from the row above | one network, from the row below "
        f"| {networks} fresh networks: median (middle 80%) |",
        "|---|---|---|---|---|",
    ]
    for name, lr in USUAL.items():
        rule, settings = RULES[name]
        error = optim.xor_trial(rule, fresh, cap=epochs, lr=lr, **settings).error
        low, middle, high = np.percentile(error, [10, 50, 90])
        lines.append(
            f"| {name} | {lr:g} | {columns['handed down'][name]:.4f} | {columns['handed up'][name]:.4f} "
            f"| {middle:.4f} ({low:.4f} to {high:.4f}) |"
        )
    lines += [
        "",
        f"Mean squared error on XOR after {epochs} epochs a row; 2-3-1, seed 0; `python benchmarks/optim.py`.",
    ]
    return lines


def agreement() -> list[str]:
    import torch

    theirs = {"SGD": torch.optim.SGD, "Adagrad": torch.optim.Adagrad, "AdaDelta": torch.optim.Adadelta,
              "RMSProp": torch.optim.RMSprop, "Adam": torch.optim.Adam, "AdamW": torch.optim.AdamW}  # fmt: skip
    cases = [
        ("SGD", {"lr": 0.01}), ("SGD", {"lr": 0.01, "momentum": 0.9}),
        ("SGD", {"lr": 0.01, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}), ("Adagrad", {}),
        ("AdaDelta", {}), ("RMSProp", {}), ("RMSProp", {"momentum": 0.5, "centered": True}), ("Adam", {}),
        ("Adam", {"lr": 0.1, "weight_decay": 0.1}), ("AdamW", {}),
    ]  # fmt: skip
    lines = ["| rule | settings | largest difference from torch in 200 steps |", "|---|---|---|"]
    for name, settings in cases:
        worst = 0.0
        for seed in range(5):
            rng = np.random.default_rng(seed)
            p = rng.normal(size=(10, 5))
            tensor = torch.tensor(p, requires_grad=True)
            ours, other = optim.OPTIMISERS[name]([p], **settings), theirs[name]([tensor], **settings)
            for _ in range(200):
                noise = rng.normal(size=p.shape)
                ours.step([np.sin(p) + noise])
                tensor.grad = tensor.detach().sin() + torch.tensor(noise)
                other.step()
                worst = max(worst, float(np.abs(p - tensor.detach().numpy()).max()))
        words = ", ".join(f"{k} {v:g}" if not isinstance(v, bool) else k for k, v in settings.items()) or "defaults"
        lines.append(f"| {name} | {words} | {worst:.0e} |")
    lines += ["", "float64, gradient of Σ −cos p plus noise, 5 seeds. Wanted: at most 1e-10."]
    return lines


def rate_against_loss(seeds: int) -> list[str]:
    try:
        d, name = data.load("mnist"), "MNIST, 784-64-10, 1 epoch of 60,000, batch 64"
    except data.DataUnavailable:
        d, name = data.load("digits"), "digits, 64-64-10, 1 epoch of 1,438, batch 64 (MNIST was not to be had)"
    x, y = d.x_train.reshape(len(d.x_train), -1), d.y_train
    x_test, rates = d.x_test.reshape(len(d.x_test), -1), [1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0]
    rows = {"SGD": {}, "SGD, momentum 0.9": {"momentum": 0.9}, "Adagrad": {}, "RMSProp": {}, "Adam": {}}
    lines = ["| lr | " + " | ".join(rows) + " |", "|---|" + "---|" * len(rows)]
    cells = {}
    for title, settings in rows.items():
        for lr in tqdm(rates, title, leave=False):
            losses = []
            for seed in range(seeds):
                model = mlp.MLP((x.shape[1], 64, 10), seed=seed, dtype=np.float32)
                rule = optim.OPTIMISERS[title.split(",")[0]](model.parameters, lr=lr, **settings)
                order = np.random.default_rng(seed).permutation(len(x))
                with np.errstate(all="ignore"):
                    for start in range(0, len(x), 64):
                        rows_ = order[start : start + 64]
                        rule.step(model.loss_and_gradients(x[rows_], y[rows_])[1])
                    loss, _ = model.loss_and_gradients(x_test, d.y_test)
                losses.append(float(loss))
            bad = sum(not np.isfinite(v) or v > 10 for v in losses)
            cells[title, lr] = (
                f"lost ({bad} of {seeds})" if bad else f"{np.mean(losses):.3f} ({min(losses):.3f} to {max(losses):.3f})"
            )
    lines += [f"| {lr:g} | " + " | ".join(cells[title, lr] for title in rows) + " |" for lr in rates]
    lines += ["", f"{name}; test loss, mean (lowest to highest) of {seeds} seeds; *lost*: above 10 or no number."]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=2, help="of the learning rate table")
    parser.add_argument("--only-xor", action="store_true")
    parser.add_argument("--write", type=Path, metavar="PATH", help="write the tables to this markdown file")
    arguments = parser.parse_args()
    text = ["**XOR: epochs until the mean squared error is below 0.01**", "", *xor_tables(arguments.networks)]
    if not arguments.only_xor:
        text += ["", "**Learning rate against loss**", "", *rate_against_loss(arguments.seeds)]
        text += ["", "**Agreement with torch.optim**", "", *agreement()]
    text = "\n".join([*text, "", f"`python benchmarks/optim.py`, NumPy {np.__version__}, one thread.", ""])
    second = "\n".join([*reused(arguments.networks), ""])
    print(text, second, sep="\n", end="")
    if arguments.write:
        arguments.write.parent.mkdir(parents=True, exist_ok=True)
        arguments.write.write_text(text, encoding="utf-8")
        arguments.write.with_name(f"{arguments.write.stem}_reused.md").write_text(second, encoding="utf-8")


if __name__ == "__main__":
    main()
