"""Transfer, explanations and attacks, measured: few labels, layers kept, maps of networks drawn anew, pixels moved.

    python benchmarks/transfer.py                                   # prints the tables
    python benchmarks/transfer.py --write book/results/transfer.md  # writes them too
    DLCOURSE_FULL=1 python benchmarks/transfer.py                   # 28×28 pixels, more steps: for a GPU

1. MNIST to Fashion-MNIST and back with 10, 50 and 250 labels: frozen, fine-tuned, adapters, from scratch.
2. How many layers to keep, for a near task (other digits) and a far one (clothes to digits).
3. What pretraining costs, in multiply-adds.
4. Sums that must hold, and the sanity check of Adebayo et al. (2018).
5. Accuracy under attack, plain and adversarially trained; one pixel; fooling images.

Each seed has its own pretrained network, its own labels and its own new layers. Where MNIST and Fashion-MNIST cannot be
had, the 8×8 digits stand in for both, and the tables say so.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # read when NumPy is imported, so before that

import numpy as np  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402
from tqdm import tqdm  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks import common  # noqa: E402
from benchmarks.common import half_width, interval  # noqa: E402
from dlcourse import attacks, data, explain, train, transfer  # noqa: E402

FULL = bool(os.environ.get("DLCOURSE_FULL"))
DEVICE = "cuda" if FULL and torch.cuda.is_available() else "cpu"
STEPS = 10_000 if FULL else 800
MAPS = (16, 32, 32)
LABELS = (10, 50, 250)
TESTED = 2000


# --------------------------------------------------------------------------------------------------- images and nets


@functools.cache
def images(name: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """x_train, y_train, x_test, y_test; (N, 1, H, W), 14×14 but under FULL. ``mnist 0-4`` is a half of the digits."""
    base, _, half = name.partition(" ")
    d = data.load(base if data.cached(base) else "digits")

    def part(x, y, limit=None):
        if x.shape[-1] == 28 and not FULL:  # averages of 2×2 pixels
            x = x.reshape(len(x), 14, 2, 14, 2).mean(axis=(2, 4))
        kept = np.isin(y, range(5) if half == "0-4" else range(5, 10)) if half else np.full(len(y), True)
        x, y = x[kept][:limit, None], y[kept][:limit] - (5 if half == "5-9" else 0)
        return torch.as_tensor(np.ascontiguousarray(x), device=DEVICE), torch.as_tensor(y, device=DEVICE)

    return *part(d.x_train, d.y_train), *part(d.x_test, d.y_test, TESTED)


def named(name: str) -> str:
    """What stands in the tables: the set, or what stands in for it."""
    base, _, half = name.partition(" ")
    shown = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST"}[base] if data.cached(base) else "the 8×8 digits"
    return f"{shown} {half.replace('-', '–')}".strip()


@functools.cache
def pretrained(name: str, seed: int, steps: int) -> nn.Sequential:
    """A network trained on a whole set; none where ``steps`` is 0."""
    x, y, _, _ = images(name)
    net = transfer.small_cnn(side=x.shape[-1], classes=int(y.max()) + 1, maps=MAPS, seed=seed).to(DEVICE)
    return transfer.adapt(net, x, y, steps=steps, lr=2e-3, batch_size=64, seed=seed) if steps else net


def learned(net: nn.Sequential, target: str, labels: int, seed: int, lr: float) -> float:
    """Test accuracy in per cent after 60 steps on a few labels."""
    x, y, x_test, y_test = images(target)
    rows = torch.as_tensor(transfer.few(y.cpu().numpy(), labels, seed), device=DEVICE)
    transfer.adapt(net, x[rows], y[rows], steps=60, lr=lr, seed=seed)
    return 100 * attacks.accuracy(net, x_test, y_test)


# -------------------------------------------------------------------------------------------------- 1. few labels

RATES = {"frozen": 3e-3, "fine-tuned": 1e-3, "adapters": 1e-3, "scratch": 3e-3}


def few_labels(seeds: int, steps: int = STEPS, labels=LABELS) -> list[str]:
    lines = [
        "| from | to | labels | frozen, % | fine-tuned, % | adapters, % | from scratch, % | frozen − scratch |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for source, target in (("mnist", "fashion_mnist"), ("fashion_mnist", "mnist")):
        for n in tqdm(labels, f"from {source}", leave=False):
            found = {}
            for way in transfer.WAYS:
                found[way] = np.array([
                    learned(transfer.prepare(pretrained(source, s, steps), way, 10, s), target, n, s, RATES[way])
                    for s in range(seeds)
                ])  # fmt: skip
            gain = found["frozen"] - found["scratch"]
            cells = " | ".join(interval(found[way]) for way in transfer.WAYS)
            lines.append(f"| {named(source)} | {named(target)} | {n} | {cells} | {signed(gain)} |")
    return lines


def signed(values: np.ndarray) -> str:
    return f"{values.mean():+.1f} ± {half_width(values):.1f}"


# --------------------------------------------------------------------------------------------------- 2. layers kept

SOURCES = {"near": "mnist 0-4", "far": "fashion_mnist"}


def layers_kept(seeds: int, steps: int = STEPS, labels=LABELS) -> list[str]:
    lines = [
        "| labels | pretrained on | nothing kept, % | conv 1, % | conv 1–2, % | conv 1–3, % | best |",
        "|---|---|---|---|---|---|---|",
    ]
    for n in tqdm(labels, "layers kept", leave=False):
        for kind, source in (*SOURCES.items(), ("nothing", "mnist 0-4")):
            found = np.array([
                [learned(transfer.transplant(pretrained(source, s, steps if kind != "nothing" else 0), keep, 5, s),
                         "mnist 5-9", n, s, 3e-3) for s in range(seeds)]
                for keep in range(4)
            ])  # fmt: skip
            shown = named(source) + f" ({kind})" if kind in SOURCES else "nothing: kept as drawn"
            cells = " | ".join(interval(row) for row in found)
            lines.append(f"| {n} | {shown} | {cells} | keep {int(found.mean(axis=1).argmax())} |")
    return lines


# ---------------------------------------------------------------------------------------------------------- 3. costs


def costs(steps: int = STEPS) -> list[str]:
    net = pretrained("mnist", 0, 0)
    shape = (1, *images("mnist")[0].shape[1:])
    whole = 64 * steps * transfer.training_cost(net, shape).total
    lines = [
        "| what | parameters trained | multiply-adds an image and step | of the pretraining's "
        "| all 60 steps of 32 images, of the pretraining |",
        "|---|---|---|---|---|",
    ]
    each = transfer.training_cost(net, shape).total
    trained = sum(p.numel() for p in net.parameters())
    lines.append(f"| pretraining, {steps:,} steps of 64 images | {trained:,} | {each:,} | 100% | {whole:,} in all |")
    for way in transfer.WAYS:
        ready = transfer.prepare(net, way, 10, 0)
        cost = transfer.training_cost(ready, shape).total
        count = sum(p.numel() for p in transfer.trained(ready))
        lines.append(f"| {way} | {count:,} | {cost:,} | {cost / each:.0%} | {60 * 32 * cost / whole:.1%} |")
    return lines


# ------------------------------------------------------------------------------------- 4. sums, and the sanity check

METHODS: dict[str, Callable] = {
    "saliency": lambda net: explain.saliency,
    "gradient × input": lambda net: explain.gradient_times_input,
    "integrated gradients": lambda net: lambda *a: explain.integrated_gradients(*a, steps=32),
    "ε-LRP": lambda net: lambda *a: explain.lrp(*a).pixels,
    "occlusion": lambda net: lambda *a: explain.occlusion(*a, window=4, stride=2),
    "Grad-CAM": lambda net: lambda n, x, y: explain.grad_cam(n, n.conv3, x, y),
    "Score-CAM": lambda net: lambda n, x, y: explain.score_cam(n, n.conv3, x, y),
    "guided backprop": lambda net: explain.guided_backprop,
    "the image itself": lambda net: lambda n, x, y: x,
}
PASSES = 0.5


def sums(seeds: int, steps: int = STEPS, n: int = 100) -> list[str]:
    lines = ["| what must hold | steps, ε | median gap, % | largest gap, % |", "|---|---|---|---|"]
    gaps: dict[tuple[str, str], list] = {}
    for seed in range(seeds):
        net, (_, _, x, _) = pretrained("fashion_mnist", seed, steps), images("fashion_mnist")
        net, x = net.double(), x[:n].double()
        with torch.no_grad():
            y = net(x).argmax(1)
            whole, base = explain.scores(net, x, y), explain.scores(net, torch.zeros_like(x), y)
        for count in (8, 32, 128):
            found = explain.integrated_gradients(net, x, y, steps=count).sum((1, 2, 3))
            gaps.setdefault(("integrated gradients add up to s(x) − s(black)", f"{count} steps"), []).append(
                ((found - whole + base) / (whole - base)).abs()
            )
        for eps in (1e-6, 1e-2):
            found = explain.lrp(net, x, y, eps)
            gaps.setdefault(("ε-LRP: pixels and biases add up to s(x)", f"ε = {eps:g}"), []).append(
                ((found.pixels.sum((1, 2, 3)) + found.biases - whole) / whole).abs()
            )
        net.float()
    for (what, setting), values in gaps.items():
        v = 100 * torch.cat(values).numpy()
        lines.append(f"| {what} | {setting} | {np.median(v):.2g} | {v.max():.2g} |")
    return lines


def sanity(seeds: int, steps: int = STEPS, n: int = 50) -> list[str]:
    lines = [
        "| map | size: head anew | size: all anew | with sign: head anew | with sign: all anew | verdict |",
        "|---|---|---|---|---|---|",
    ]
    for name, method in tqdm(METHODS.items(), "sanity check", leave=False):
        found = {
            absolute: np.array([
                list(explain.sanity_check(*_judged(seed, steps, n, method), seed, absolute=absolute).values())
                for seed in range(seeds)
            ])
            for absolute in (True, False)
        }  # fmt: skip
        cells = " | ".join(
            f"{found[a][:, i].mean():.2f} ± {half_width(found[a][:, i]):.2f}" for a in (True, False) for i in (0, -1)
        )
        ends = (found[a][:, -1].mean() + half_width(found[a][:, -1]) for a in (True, False))
        lines.append(f"| {name} | {cells} | {verdict(*ends)} |")
    return [*lines, "", empty_maps(seeds, steps, n)]


def verdict(size: float, sign: float) -> str:
    """In words, from the upper ends of the intervals with all layers anew."""
    if sign >= PASSES:
        return "**fails**"
    return "passes" if size < PASSES else "passes with its sign only"


def empty_maps(seeds: int, steps: int, n: int) -> str:
    """How often Grad-CAM says nothing: such maps agree with no other, and would pass without merit."""
    shares: dict[str, list] = {"trained": [], "new": []}
    for seed in range(seeds):
        net, method, x, y = _judged(seed, steps, n, METHODS["Grad-CAM"])
        *_, (_, other) = explain.randomised(net, seed)
        for name, one in zip(shares, (net, other), strict=True):
            shares[name].append(100 * float((method(one)(one, x, y).flatten(1).amax(1) == 0).float().mean()))
    cells = ", ".join(f"{interval(values)}% of the {name} networks' maps" for name, values in shares.items())
    return f"Grad-CAM maps that are 0 everywhere, whose correlation counts as 0: {cells}."


def _judged(seed: int, steps: int, n: int, method: Callable) -> tuple:
    net, (_, _, x, _) = pretrained("fashion_mnist", seed, steps), images("fashion_mnist")
    with torch.no_grad():
        return net, method, x[:n], net(x[:n]).argmax(1)


# ---------------------------------------------------------------------------------------------------------- 5. attacks

STRENGTHS = (0.0, 0.02, 0.05, 0.1, 0.15)
TRAINED_AT = 0.1


@functools.cache
def robust(seed: int, steps: int) -> nn.Sequential:
    """Trained on PGD's images, five steps each, at ``TRAINED_AT``."""
    x, y, _, _ = images("fashion_mnist")
    net = transfer.small_cnn(side=x.shape[-1], maps=MAPS, seed=seed).to(DEVICE)
    rows = np.random.default_rng(seed).permutation(len(x))[: 64 * steps]

    def attack(net, x, y, seed):
        return attacks.pgd(net, x, y, TRAINED_AT, steps=5, seed=seed)

    optimiser = torch.optim.Adam(net.parameters(), lr=2e-3)
    epochs = -(-64 * steps // len(rows))
    train.fit(net, attacks.adversarial(net, x[rows], y[rows], attack), optimiser, loss=F.cross_entropy, epochs=epochs,
              seed=seed, progress=False)  # fmt: skip
    return net


def under_attack(seeds: int, steps: int = STEPS, n: int = 500) -> list[str]:
    _, _, x, y = images("fashion_mnist")
    x, y = x[:n], y[:n]
    heads = " | ".join(f"ε = {eps:g}, %" for eps in STRENGTHS[1:])
    lines = [f"| trained | attack | no attack, % | {heads} |", "|---|---|---|" + "---|" * (len(STRENGTHS) - 1)]
    how = {
        "noise of that size": lambda net, x, y, eps: (
            x + eps * (2 * torch.rand(x.shape, generator=torch.Generator().manual_seed(0)) - 1).sign().to(x)
        ).clamp(0, 1),
        "FGSM": attacks.fgsm,
        "PGD, 20 steps": lambda net, x, y, eps: attacks.pgd(net, x, y, eps, steps=20, seed=0),
    }
    for name, made in (
        ("plainly", lambda s: pretrained("fashion_mnist", s, steps)),
        (f"on PGD, ε = {TRAINED_AT:g}", lambda s: robust(s, steps)),
    ):
        for kind, attack in how.items():
            found = 100 * np.array([attacks.accuracies(made(s), x, y, attack, STRENGTHS) for s in range(seeds)])
            cells = " | ".join(interval(found[:, i]) for i in range(len(STRENGTHS)))
            lines.append(f"| {name} | {kind} | {cells} |")
    return lines


def one_pixel(seeds: int, steps: int = STEPS, n: int = 40) -> list[str]:
    lines = [
        "| trained | images right before | of them wrong after one pixel, % | a random pixel to black or white, % |",
        "|---|---|---|---|",
    ]
    _, _, x, y = images("fashion_mnist")
    for name, made in (
        ("plainly", lambda s: pretrained("fashion_mnist", s, steps)),
        (f"on PGD, ε = {TRAINED_AT:g}", lambda s: robust(s, steps)),
    ):
        rates, blind, tried = [], [], 0
        for seed in range(seeds):
            net, rng = made(seed), np.random.default_rng(seed)
            with torch.no_grad():
                right = torch.nonzero(net(x).argmax(1) == y)[:n, 0].tolist()
            tried += len(right)
            rates.append(100 * np.mean([attacks.one_pixel(net, x[i], y[i], seed=seed).fooled for i in right]))
            changed = x[right].clone()
            rows, columns = rng.integers(x.shape[-1], size=(2, len(right)))
            changed[np.arange(len(right)), 0, rows, columns] = torch.as_tensor(rng.integers(2, size=len(right))).to(x)
            blind.append(100 - 100 * attacks.accuracy(net, changed, y[right]))
        lines.append(f"| {name} | {tried} in {seeds} seeds | {interval(rates)} | {interval(blind)} |")
    return lines


def fooling(seeds: int, steps: int = STEPS) -> list[str]:
    lines = ["| trained | images from noise | median confidence | least confidence |", "|---|---|---|---|"]
    shape = (1, *images("fashion_mnist")[0].shape[1:])
    for name, made in (
        ("plainly", lambda s: pretrained("fashion_mnist", s, steps)),
        (f"on PGD, ε = {TRAINED_AT:g}", lambda s: robust(s, steps)),
    ):
        found = [attacks.fooling_image(made(s), c, shape, seed=s)[1] for s in range(seeds) for c in range(10)]
        lines.append(f"| {name} | {len(found)}, 10 classes | {np.median(found):.3f} | {min(found):.3f} |")
    return lines


# ------------------------------------------------------------------------------------------------------------ page


TITLES = {
    "labels": "A few labels",
    "layers": "Which layers to keep",
    "costs": "What it costs",
    "sums": "Sums",
    "sanity": "Sanity check",
    "attacks": "Under attack",
    "pixel": "One pixel",
    "fooling": "Fooling images",
}


def part(name: str, options: argparse.Namespace) -> list[str]:
    """One table, with the sentence that says what it is."""
    seeds = options.seeds
    side = images("mnist")[0].shape[-1]
    net = f"three 3×3 convolutions of {', '.join(map(str, MAPS))} maps on {side}×{side} pixels, {STEPS:,} steps of Adam"
    spread = f"{seeds} seeds, each with its own pretrained network; mean ± half of a 95% confidence interval"
    parts = {
        "labels": lambda: [
            f"**A few labels.** Pretrained: {net}. Then 60 steps on 10, 50 or 250 labels in all; accuracy on "
            f"{TESTED:,} test images; {spread}.", "", *few_labels(seeds),
        ],
        "layers": lambda: [
            "**Which layers to keep.** The task: the digits 5 to 9. The first layers are kept from another task and "
            f"frozen, later ones are drawn anew and trained, 60 steps; {spread}. *Best* is the highest mean.", "",
            *layers_kept(seeds),
        ],
        "costs": lambda: ["**What it costs**, counted by `dlcourse.transfer.training_cost`.", "", *costs()],
        "sums": lambda: [
            f"**Sums.** 100 test images of {named('fashion_mnist')}, the class that the network says, float64, {seeds} "
            "seeds.", "", *sums(seeds),
        ],
        "sanity": lambda: [
            "**Sanity check.** Spearman's correlation of a map with that of the network whose head, or all of whose "
            f"layers, were drawn anew; 50 test images of {named('fashion_mnist')}; {spread}. A map passes if, with "
            f"all layers anew, the upper ends of both intervals are below {PASSES:g}, with its sign only if that of "
            "the last column is. The line is ours; Adebayo et al. draw none.", "",
            *sanity(seeds),
        ],
        "attacks": lambda: [
            f"**Under attack.** {named('fashion_mnist')}, 500 test images, no pixel moved by more than ε; {spread}.",
            "",
            *under_attack(seeds),
        ],
        "pixel": lambda: [
            f"**One pixel.** {named('fashion_mnist')}, differential evolution, 40 candidates, up to 20 generations; "
            f"{spread}.", "", *one_pixel(seeds),
        ],
        "fooling": lambda: [
            f"**Fooling images.** Noise, then 100 steps of gradient ascent for a class; {seeds} seeds.", "",
            *fooling(seeds),
        ],
    }  # fmt: skip
    return parts[name]()


if __name__ == "__main__":
    common.main("transfer", __doc__, common.choose(TITLES, part))
