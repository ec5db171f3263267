"""LeNet on MNIST, and the network of 1989 modernised in steps: each row over several subsets of MNIST.

    python benchmarks/cnn.py                              # prints the tables: about half an hour on one core
    python benchmarks/cnn.py --write book/results/cnn.md  # writes them too
    python benchmarks/cnn.py --keep runs.json             # keeps finished runs, and goes on from them
    python benchmarks/cnn.py --subsets 10 --slow 5        # more subsets

A subset is a seed: it draws the training and test images and the first weights. The same seeds serve in every row, so
that a step is judged on pairs. Error rates are those after the last pass, not of the best one.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # read when NumPy is imported, so before that

import numpy as np  # noqa: E402
import torch  # noqa: E402
from tqdm import tqdm  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from dlcourse import cnn, data, net1989, optim, train  # noqa: E402

SLOW = ("1989, more data", "all, more data")
WORDS = {
    "1989": "as in 1989: tanh, squared error, SGD",
    "cross-entropy": "softmax and cross-entropy, rate 0.01",
    "AdamW": "AdamW, rate 3e-4 falling to 1e-4",
    "shifts": "images moved by up to one pixel",
    "ReLU, dropout": "ReLU, dropout of a quarter of H2",
    "1989, more data": "as in 1989, 50,000 training images",
    "all, more data": "all changes, 50,000 training images",
}
# Test error in percent: of the paper; as the lecture has it; as the reproduction's program printed it.
PAPER = {"1989": 5.00}
LECTURE = {"1989": 4.14, "ReLU, dropout": 2.09, "1989, more data": 3.05, "all, more data": 1.31}
LOG = {
    "1989": 4.09, "cross-entropy": 4.38, "AdamW": 3.59, "shifts": 2.19, "ReLU, dropout": 1.59,
    "1989, more data": 2.74, "all, more data": 1.25,
}  # fmt: skip
BEFORE = {
    "cross-entropy": "1989", "AdamW": "cross-entropy", "shifts": "AdamW", "ReLU, dropout": "shifts",
    "1989, more data": "1989", "all, more data": "ReLU, dropout",
}  # fmt: skip


# ------------------------------------------------------------------------------------------------ the network of 1989


def errors(name: str, seeds: list[int], mnist, progress: bool = True) -> dict[int, dict]:
    """Train one network a seed, side by side; seed -> test and training error in percent, and CPU seconds a network."""
    stage = net1989.STAGES[name]
    drawn = [net1989.subset(mnist, seed, stage.examples) for seed in seeds]
    x, y, x_test, y_test = (np.stack(part) for part in zip(*drawn, strict=True))
    nets, start = net1989.Nets(seeds), time.process_time()
    net1989.train(nets, stage, x, y, seed=seeds[0], progress=progress)
    seconds = (time.process_time() - start) / len(seeds)
    test, seen = nets.errors(x_test, y_test, stage.relu), nets.errors(x, y, stage.relu)
    return {
        seed: {"test": 100 * float(test[s]), "train": 100 * float(seen[s]), "seconds": seconds}
        for s, seed in enumerate(seeds)
    }


def speed(examples: int = 400, count: int = 5) -> dict[str, float]:
    """CPU seconds for a pass of 7,291 examples of one network: in plain torch, and side by side with others."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (count, examples, 16, 16)).astype(np.float32)
    y = rng.integers(0, 10, (count, examples))
    net, images = cnn.Net1989(), torch.from_numpy(x[0])[:, None]
    targets = 2 * torch.nn.functional.one_hot(torch.from_numpy(y[0]), 10).float() - 1
    optimiser = torch.optim.SGD(net.parameters(), lr=0.03)
    start = time.process_time()
    for i in range(examples):
        optimiser.zero_grad()
        torch.nn.functional.mse_loss(torch.tanh(net(images[i : i + 1])), targets[i : i + 1]).backward()
        optimiser.step()
    plain, start = time.process_time() - start, time.process_time()
    net1989.train(net1989.Nets(range(count)), net1989.STAGES["1989"], x, y, passes=1, progress=False)
    together = (time.process_time() - start) / count
    return {"torch": plain * net1989.TRAIN / examples, "together": together * net1989.TRAIN / examples}


def _column(runs: dict, key: str) -> np.ndarray:
    return np.array([run[key] for _, run in sorted(runs.items())])


def _percent(known: dict, name: str) -> str:
    return f"{known[name]:.2f}" if name in known else "–"


def table_1989(results: dict[str, dict[int, dict]]) -> list[str]:
    """One row a stage, whether it was measured or not."""
    lines = [
        "| step, on top of those above | passes | paper | lecture | reproduction's log | "
        "ours: median (least to largest) | subsets | training error | CPU seconds a network |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, stage in net1989.STAGES.items():
        known = " | ".join(_percent(column, name) for column in (PAPER, LECTURE, LOG))
        runs, ours = results.get(name), "not measured | – | – | –"
        if runs:
            test = _column(runs, "test")
            ours = (
                f"**{np.median(test):.2f}** ({test.min():.2f} to {test.max():.2f}) | {len(test)} | "
                f"{np.median(_column(runs, 'train')):.2f} | {np.median(_column(runs, 'seconds')):.0f}"
            )
        lines.append(f"| {WORDS[name]} | {stage.passes} | {known} | {ours} |")
    return lines


def sentence_on_speed(found: dict[str, float] | None) -> list[str]:
    if not found:
        return []
    return [
        f"A pass of one network, one example an update, takes {found['torch']:.1f} s in plain torch and "
        f"{found['together']:.2f} s in NumPy side by side with four others, "
        f"{found['torch'] / found['together']:.0f} times less, on one thread; a test shows that the weights agree.",
        "",
    ]


def step(results: dict[str, dict[int, dict]], name: str) -> np.ndarray:
    """How a step changed the test error, in points, on each subset on which both were measured."""
    before, after = results.get(BEFORE[name], {}), results.get(name, {})
    return np.array([after[s]["test"] - before[s]["test"] for s in sorted(set(before) & set(after))])


def reliable(change: np.ndarray) -> bool:
    """Whether a step helped on every subset."""
    return len(change) > 0 and bool((change < 0).all())


def steps(results: dict[str, dict[int, dict]]) -> list[str]:
    """A sentence for each step."""
    lines = []
    for name, before in BEFORE.items():
        change = step(results, name)
        if not len(change):
            continue
        reported = LOG[name] - LOG[before]
        verdict = "reliable here" if reliable(change) else "**not reliable**: a single run can show the opposite"
        lines.append(
            f"- *{WORDS[name]}*: {change.mean():+.2f} points on average ({change.min():+.2f} to {change.max():+.2f}), "
            f"better on {(change < 0).sum()} of {len(change)} subsets; reported {reported:+.2f}. {verdict}."
        )
    return lines


def outside(results: dict[str, dict[int, dict]]) -> list[str]:
    """The reported numbers that do not lie in our band."""
    found = []
    for name, runs in results.items():
        test = _column(runs, "test")
        for whose, column in (("paper", PAPER), ("lecture", LECTURE), ("log", LOG)):
            if name in column and not test.min() - 0.005 <= column[name] <= test.max() + 0.005:
                found.append(f"{WORDS[name]} ({whose} {column[name]:.2f})")
    return [f"Reported numbers outside our band: {'; '.join(found) or 'none'}.", ""]


# -------------------------------------------------------------------------------------------------------------- LeNet


def lenet_error(kind: str, seed: int, mnist, epochs: int) -> dict:
    """Train LeNet on all of MNIST; test error in percent after the last epoch, and CPU seconds on one thread."""
    torch.set_num_threads(1)
    published = kind == "published"
    net = cnn.LeNet5(seed=seed) if published else cnn.lenet(pool=kind, seed=seed)
    x, x_test = (
        cnn.lenet5_input(part) if published else torch.from_numpy(part)[:, None]
        for part in (mnist.x_train, mnist.x_test)
    )
    y, y_test = torch.from_numpy(mnist.y_train), torch.from_numpy(mnist.y_test)
    loss = cnn.lenet5_loss if published else torch.nn.functional.cross_entropy
    updates = epochs * -(-len(x) // 64)
    start = time.process_time()
    train.fit(
        net, (x, y), torch.optim.Adam(net.parameters()), loss=loss, epochs=epochs, batch_size=64, seed=seed,
        schedule=lambda i: float(optim.one_cycle(i, 3e-3, updates)), progress=True,
    )  # fmt: skip
    seconds = time.process_time() - start
    found = train.evaluate(net, (x_test, y_test), loss, {"accuracy": train.accuracy})
    return {"test": 100 * (1 - found["held_out_accuracy"]), "seconds": seconds, "parameters": cnn.count_parameters(net)}


def table_lenet(results: dict[str, dict[int, dict]], epochs: int) -> list[str]:
    words = {"max": "LeNet-5 as taught: ReLU, max-pooling, softmax", "published": "LeNet-5 as published, loss of 1998"}
    lines = [
        "| network, all 60,000 images | parameters | test error in %: median (least to largest) | seeds | "
        f"CPU seconds for {epochs} epochs, one thread |",
        "|---|---|---|---|---|",
    ]
    for kind, label in words.items():
        runs = results.get(kind)
        if not runs:
            lines.append(f"| {label} | – | not measured | – | – |")
            continue
        test = _column(runs, "test")
        lines.append(
            f"| {label} | {next(iter(runs.values()))['parameters']:,} | **{np.median(test):.2f}** "
            f"({test.min():.2f} to {test.max():.2f}) | {len(test)} | {np.median(_column(runs, 'seconds')):.0f} |"
        )
    return lines


# --------------------------------------------------------------------------------------------------------------- page


def page(results: dict[str, dict[str, dict[int, dict]]], epochs: int) -> str:
    return "\n".join([
        "The network of 1989 on MNIST in its size and number: test error in percent, on 2,007 test images, after the "
        "last pass.", "",
        *table_1989(results["1989"]), "",
        "A subset draws 7,291 (or 50,000) training images, the test images, and the first weights; all its rows share "
        "them. The two rows with more data stand on the first row and on the fifth. What each step did, on pairs:", "",
        *steps(results["1989"]), "",
        *outside(results["1989"]),
        "Paper: LeCun et al. 1989, on zip codes from envelopes; the others on MNIST. Lecture: as the source "
        "lecture has it, after Karpathy's article. Log: what the reproduction's program prints, one run a row. The "
        "log's runs with more data do not say for how many passes. Ours are those of the table; to save time the last "
        "row has fewer than the row it stands on, which may be why its error lies above the reported ones.", "",
        *sentence_on_speed(results.get("speed")),
        "LeNet-5, Adam in batches of 64, one-cycle schedule up to 3e-3:", "",
        *table_lenet(results["lenet"], epochs), "",
        f"NumPy {np.__version__}, torch {torch.__version__}, one thread. GPU: not measured. Made by "
        "`python benchmarks/cnn.py --write book/results/cnn.md`.", "",
    ])  # fmt: skip


def measure(results: dict, subsets: int, slow: int, epochs: int, seeds: int, keep: Path | None) -> None:
    """Fill ``results`` with what is not there yet, the cheap rows first."""
    mnist = data.load("mnist")

    def save(what: str, found: dict) -> None:
        tqdm.write(f"{what}: {found}")
        if keep:
            keep.write_text(json.dumps(results), encoding="utf-8")

    def rows(names, seeds) -> None:
        for name in names:
            missing = [s for s in seeds if s not in results["1989"].get(name, {})]
            if missing:
                results["1989"].setdefault(name, {}).update(errors(name, missing, mnist))
                save(name, results["1989"][name])

    def lenets(seeds) -> None:
        for seed in seeds:
            for kind in ("max", "published"):
                if seed not in results["lenet"].setdefault(kind, {}):
                    results["lenet"][kind][seed] = lenet_error(kind, seed, mnist, epochs)
                    save(kind, results["lenet"][kind])

    if not results.get("speed"):
        results["speed"] = speed()
    fast = [name for name in net1989.STAGES if name not in SLOW]
    rows(fast, range(min(subsets, 5)))  # five at a time: more would not fit the processor's cache
    lenets(range(min(seeds, 1)))
    rows(SLOW, range(slow))
    lenets(range(seeds))
    for first in range(5, subsets, 5):
        rows(fast, range(first, min(first + 5, subsets)))


def load(keep: Path | None) -> dict:
    if keep is None or not keep.exists():
        return {"1989": {}, "lenet": {}, "speed": {}}
    found = json.loads(keep.read_text(encoding="utf-8"))
    tables = {
        part: {name: {int(s): run for s, run in runs.items()} for name, runs in found[part].items()}
        for part in ("1989", "lenet")
    }
    return tables | {"speed": found.get("speed", {})}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subsets", type=int, default=5)
    parser.add_argument("--slow", type=int, default=3, help="subsets of the two rows with more data")
    parser.add_argument("--epochs", type=int, default=8, help="of LeNet")
    parser.add_argument("--seeds", type=int, default=3, help="of LeNet")
    parser.add_argument("--keep", type=Path, help="a file for finished runs; what it holds is not run again")
    parser.add_argument("--write", type=Path)
    args = parser.parse_args()
    results = load(args.keep)
    measure(results, args.subsets, args.slow, args.epochs, args.seeds, args.keep)
    text = page(results, args.epochs)
    print(text)
    if args.write:
        args.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
