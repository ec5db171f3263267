"""Chapter 19: contrastive learning, few shots, memory, parity, shortcuts and retrieval, measured.

    python benchmarks/beyond.py --write book/results/beyond.md

Reinforcement learning, neural ODEs and uncertainty have scripts of their own.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # read when NumPy is imported, so before that

import numpy as np  # noqa: E402
import torch  # noqa: E402
import yaml  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from benchmarks.common import main, spread  # noqa: E402
from dlcourse import attacks, data, fewshot, generalisation, invariance, retrieval, simclr, tasks, transfer  # noqa: E402

FULL = bool(os.environ.get("DLCOURSE_FULL"))  # more images and epochs


def per_cent(values: Sequence[float]) -> str:
    """Shares as per cent: mean, smallest and largest."""
    return spread(100 * np.asarray(values))


# ------------------------------------------------------------------------------------------------------- contrast

NETS = ("from scratch", "from scratch, in views", "linear probe", "linear probe, in views")


def few_labels(
    x: torch.Tensor, y: torch.Tensor, x_test: torch.Tensor, y_test: torch.Tensor, seed: int, *,
    labels: int = 100, images: int = 10_000, epochs: int = 10, maps: tuple[int, ...] = (16, 32, 64),
    views: simclr.Views | None = None, steps: int = 300,
) -> list[float]:  # fmt: skip
    """Test accuracy of ``NETS`` with the same labels and the same encoder."""
    views, side = views or simclr.Views(), x.shape[-1]
    few = transfer.few(y.numpy(), labels, seed)
    made = [
        simclr.supervised(simclr.encoder_for(side, maps, seed=seed), x[few], y[few], seed=seed, views=v, steps=steps)
        for v in (None, views)
    ]
    encoder = simclr.encoder_for(side, maps, seed=seed)
    chosen = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:images]
    simclr.pretrain(encoder, x[chosen], views, seed=seed, epochs=epochs)
    made += [simclr.probe(encoder, x[few], y[few], seed=seed, views=v) for v in (None, views)]
    return [attacks.accuracy(net, x_test, y_test) for net in made]


def contrast(options: argparse.Namespace) -> list[str]:
    d = data.load("mnist")
    arrays = (d.x_train[:, None], d.y_train, d.x_test[:, None], d.y_test)
    tensors = [torch.as_tensor(a) for a in arrays]
    images, epochs = (60_000, 100) if FULL else (10_000, 10)
    start = time.process_time()
    runs = np.array([few_labels(*tensors, seed, images=images, epochs=epochs) for seed in range(options.seeds)])
    minutes = (time.process_time() - start) / 60 / options.seeds
    return [
        "**SimCLR on MNIST, 100 labels.** Test accuracy in per cent, mean (smallest to largest), "
        f"{options.seeds} seeds, each with other labels, weights and {images:,} other images without labels; {epochs} "
        f"epochs, {minutes:.1f} minutes of processor time a seed. The encoder is the same everywhere. *In views*: the "
        "labelled images come augmented, as SimCLR's do. Wanted: the probe above the network from scratch.",
        "",
        "| network | test accuracy, % |",
        "|---|---:|",
        *(f"| {name} | {per_cent(column)} |" for name, column in zip(NETS, runs.T, strict=True)),
        "",
        f"The probe is above the network from scratch under {np.sum(runs[:, 2] > runs[:, 0])} of {len(runs)} seeds; "
        f"where both see views, under {np.sum(runs[:, 3] > runs[:, 1])} of {len(runs)}. FULL, 60,000 images and 100 "
        "epochs: not measured.",
    ]


# ------------------------------------------------------------------------------------------------------- few shots

FEATURES = ("pixels", "untrained network", "trained on episodes")
ASKEW = simclr.Views(crop=0.8, degrees=45, shear=0.2, cutout=0, blur=0)


def episodes_right(z: np.ndarray, y: np.ndarray, ways: int, shots: int, seed: int, count: int = 300) -> float:
    """Mean accuracy of prototypes over random tasks."""
    rng, right = np.random.default_rng([seed, 1]), []
    for _ in range(count):
        task = fewshot.episode(y, ways, shots, 10, rng)
        guess = fewshot.nearest(z[task.query], fewshot.prototypes(z[task.support], task.support_y, ways))
        right.append(np.mean(guess == task.query_y))
    return float(np.mean(right))


def shots_of(seed: int, episodes: int = 1000, count: int = 300) -> np.ndarray:
    """Accuracy (3 kinds of features, 1 and 5 shots) on four classes that the seed draws and training never shows."""
    d = data.load("digits")
    x, y = np.concatenate([d.x_train, d.x_test])[:, None], np.concatenate([d.y_train, d.y_test])
    unseen = np.isin(y, np.random.default_rng(seed).permutation(10)[:4])
    shown = ASKEW(torch.as_tensor(x[unseen]), torch.Generator().manual_seed(seed))
    net = simclr.encoder_for(8, (16, 32), seed=seed)
    z = [shown.flatten(1), simclr.features(net, shown)]
    tasks.on_episodes(net, torch.as_tensor(x[~unseen]), y[~unseen], seed=seed, episodes=episodes, view=ASKEW)
    z.append(simclr.features(net, shown))
    return np.array([[episodes_right(a.numpy(), y[unseen], 4, k, seed, count) for k in (1, 5)] for a in z])


def shots(options: argparse.Namespace) -> list[str]:
    runs = np.array([shots_of(seed) for seed in range(options.seeds)])
    return [
        "**Few-shot digits.** Prototypes for four classes that training never showed: 8×8 digits, turned by up to 45 "
        "degrees, sheared and cut; 1,000 episodes of five of the six other classes. Accuracy in per cent over 300 "
        f"tasks, mean (smallest to largest) of {options.seeds} seeds, each with four other classes left out. Guessing "
        "gives 25.",
        "",
        "| features | one example a class | five |",
        "|---|---:|---:|",
        *(
            f"| {name} | {per_cent(row[:, 0])} | {per_cent(row[:, 1])} |"
            for name, row in zip(FEATURES, runs.transpose(1, 0, 2), strict=True)
        ),
    ]


# ---------------------------------------------------------------------------------------------------------- memory


def memory(options: argparse.Namespace, images: int = 1000, hidden: int = 256, epochs: int = 100) -> list[str]:
    d = data.load("cifar10")
    images, epochs = (4000, 300) if FULL else (images, epochs)
    lines = []
    for kind in generalisation.KINDS:
        runs = []
        for seed in range(options.seeds):
            rng = np.random.default_rng(seed)
            chosen = rng.permutation(len(d.x_train))[:images]
            x, y, x_test = generalisation.corrupted(kind, d.x_train[chosen], d.y_train[chosen], d.x_test, 10, rng)
            runs.append(generalisation.memorise(x, y, x_test, d.y_test, seed=seed, hidden=hidden, epochs=epochs))
        lines.append(
            f"| {kind} | {per_cent([run.train_error[-1] for run in runs])} "
            f"| {per_cent([run.test_error for run in runs])} | {spread([run.epochs for run in runs], 0)} |"
        )
    return [
        f"**Random labels are memorised** (Zhang et al., 2017): {images:,} images of CIFAR-10, two hidden layers of "
        f"{hidden}, Adam, no regulariser, at most {epochs} epochs; errors in per cent, mean (smallest to largest), "
        f"{options.seeds} seeds, each with other images. Tested on 1,000 images with their true labels. Wanted: "
        "training error 0 everywhere, test error 90, that of guessing, where there is nothing to learn.",
        "",
        "| trained on | training error, % | test error, % | epochs until no error |",
        "|---|---:|---:|---:|",
        *lines,
    ]


def parity_errors(used: int, seed: int, examples: int = 4000, bits: int = 20, epochs: int = 40) -> tuple[float, float]:
    """Training and test error for a parity of ``used`` bits."""
    x, y = generalisation.parity(2 * examples, bits, used, np.random.default_rng(seed))
    run = generalisation.memorise(
        x[:examples], y[:examples], x[examples:], y[examples:], seed=seed, hidden=128, epochs=epochs, n_classes=2
    )
    return run.train_error[-1], run.test_error


def parity(options: argparse.Namespace, sizes: Sequence[int] = (2, 4, 6, 8, 12)) -> list[str]:
    lines = []
    for used in sizes:
        runs = np.array([parity_errors(used, seed) for seed in range(options.seeds)])
        lines.append(f"| {used} | {per_cent(runs[:, 0])} | {per_cent(runs[:, 1])} |")
    return [
        "**Parity** of some of 20 random bits: 4,000 examples, two hidden layers of 128, at most 40 epochs; errors in "
        f"per cent, mean (smallest to largest), {options.seeds} seeds. Guessing gives 50. A rule of one line gives 0.",
        "",
        "| bits that count | training error, % | test error, % |",
        "|---:|---:|---:|",
        *lines,
    ]


# --------------------------------------------------------------------------------------------------------- shortcuts


def colours_of(seed: int, images: int = 10_000) -> np.ndarray:
    """Accuracy (ways and grey, agreements 0.9, 0.5, 0.1) on MNIST at half its size; (4, 3)."""
    d = data.load("mnist")
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(d.x_train))[:images]
    x, y, x_test = d.x_train[chosen, ::2, ::2], d.y_train[chosen], d.x_test[:, ::2, ::2]
    envs = [invariance.coloured(x[i::2], y[i::2], a, rng=rng) for i, a in enumerate((0.9, 0.8))]
    tests = [invariance.coloured(x_test, d.y_test, a, rng=rng) for a in (0.9, 0.5, 0.1)]
    steps = {"erm": 60, "balanced": 60, "irm": 300}
    nets = [(invariance.fit(envs, way, seed=seed, steps=steps[way]), tests) for way in invariance.WAYS]
    grey = [[e._replace(x=e.x.sum(1, keepdims=True).repeat(2, 1)) for e in some] for some in (envs, tests)]
    nets.append((invariance.fit(grey[0], "erm", seed=seed, steps=60), grey[1]))
    return np.array([[invariance.accuracy(net, test) for test in shown] for net, shown in nets])


def colours(options: argparse.Namespace) -> list[str]:
    runs = np.array([colours_of(seed) for seed in range(options.seeds)])
    names = ("plain (ERM)", "colours weighted alike", "IRM", "without colour")
    return [
        "**Coloured digits.** MNIST in two colours, a quarter of the labels wrong; the colour agrees with the label in "
        "90% and 80% of the images of the two training sets, 5,000 each. Accuracy in per cent where it agrees as often "
        f"as the column says, mean (smallest to largest), {options.seeds} seeds. Shape alone can reach 75. 60 steps of "
        "Adam, for IRM 300; the numbers of steps were chosen on test images, so that the last column is a little too "
        "good for what was chosen.",
        "",
        "| training | agree 90% | agree 50% | agree 10% |",
        "|---|---:|---:|---:|",
        *(
            f"| {name} | {' | '.join(per_cent(column) for column in row.T)} |"
            for name, row in zip(names, runs.transpose(1, 0, 2), strict=True)
        ),
    ]


# --------------------------------------------------------------------------------------------------------- retrieval


def questions(folder: Path = ROOT / "book" / "concepts") -> list[tuple[str, str]]:
    """The concepts of the course's map, and the label of the section that teaches each."""
    listed = [c for path in sorted(folder.glob("*.yml")) for c in yaml.safe_load(path.read_text(encoding="utf-8"))]
    return [(c["concept"], c["label"]) for c in listed]


def recall(ranked: Sequence[Sequence[str]], wanted: Sequence[str], k: int) -> float:
    """The share of questions whose section is among the first k."""
    return float(np.mean([label in labels[:k] for labels, label in zip(ranked, wanted, strict=True)]))


def approximate(index: retrieval.Index, asked: Sequence[str], k: int) -> tuple[list[list[str]], float, float]:
    """Labels by pynndescent's graph of neighbours; seconds for the first answers, compiling included, and for later."""
    from pynndescent import NNDescent

    vectors, wanted = np.ascontiguousarray(index.vectors, np.float32), index.embed(asked).astype(np.float32)
    start = time.process_time()
    graph = NNDescent(vectors, metric="cosine", random_state=0, n_jobs=1)
    graph.query(wanted[:1], k=k)
    first = time.process_time() - start
    start = time.process_time()
    found, _ = graph.query(wanted, k=k)
    return [[index.sections[i].label for i in row] for row in found], first, time.process_time() - start


def search(options: argparse.Namespace) -> list[str]:
    sections = retrieval.lecture_sections(ROOT / "notebooks")
    asked, wanted = zip(*questions(), strict=True)
    lines = []
    for name, dimensions in (("TF-IDF", None), ("TF-IDF, 200 singular vectors", 200), ("TF-IDF, 50", 50)):
        index = retrieval.Index(sections, dimensions=dimensions)
        ranked = [[hit.section.label for hit in index.search(question, 5)] for question in asked]
        lines.append(f"| {name} | {' | '.join(f'{100 * recall(ranked, wanted, k):.1f}' for k in (1, 3, 5))} |")
        if dimensions == 200:
            near, first, later = approximate(index, asked, 5)
            alike = np.mean([len(set(a) & set(b)) / 5 for a, b in zip(near, ranked, strict=True)])
            scores = " | ".join(f"{100 * recall(near, wanted, k):.1f}" for k in (1, 3, 5))
            lines.append(f"| the same, approximate (pynndescent) | {scores} |")
    return [
        f"**Retrieval over the book.** {len(asked)} concepts of the course's map are asked as they stand there; "
        f"{len(sections)} sections of the lectures are searched. Share in per cent of the concepts whose own section "
        "is among the first; nothing is drawn at random.",
        "",
        "| vectors | first | first 3 | first 5 |",
        "|---|---:|---:|---:|",
        *lines,
        "",
        f"The approximate index shares {100 * alike:.1f}% of its answers with the exact one. It takes {first:.0f} s of "
        f"processor time until its first answer, most of it to compile, then {1000 * later / len(asked):.2f} ms each.",
    ]


PARTS = {
    "contrast": ("SimCLR on MNIST, 100 labels", contrast),
    "shots": ("Few-shot digits", shots),
    "memory": ("Random labels are memorised", memory),
    "parity": ("Parity", parity),
    "colours": ("Coloured digits", colours),
    "search": ("Retrieval over the book", search),
}

if __name__ == "__main__":
    main("beyond", __doc__, PARTS)
