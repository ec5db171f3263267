"""What normalisation and regularisation do, measured: batches of few images, a thousand images, early dropout.

    python benchmarks/norm.py                              # prints the tables
    python benchmarks/norm.py --write book/results/norm.md # writes them too
    DLCOURSE_FULL=1 python benchmarks/norm.py --only mnist # dropout on all of MNIST, for a GPU

1. Batch norm against group norm, at batches from 2 to 64 images, with the learning rate in proportion.
2. Every regulariser on 1,000 images of Fashion-MNIST. Its strength is chosen on 1,000 other training images under
   seeds that are not used again; the test images are looked at once, at the end.
3. Dropout early, always and never, on a network that is too small for its data.
4. Dropout on MNIST as in Srivastava et al. (2014), under DLCOURSE_FULL only.
5. How far the normalisations are from torch's in float64.

Where Fashion-MNIST cannot be had, the digits stand in, and the tables say so.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
from collections.abc import Callable
from itertools import pairwise
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
from dlcourse import augment, data, norm, regularization, train  # noqa: E402

FULL = bool(os.environ.get("DLCOURSE_FULL"))


@functools.cache
def images() -> data.Dataset:
    try:
        return data.load("fashion_mnist")
    except data.DataUnavailable:
        return data.load("digits")


def draw(seed: int, train_n: int, held_n: int, smaller: bool = False) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Training and validation images from the training set, no image in both; and the test set. (N, 1, H, W)."""
    d = images()
    order = np.random.default_rng(seed).permutation(len(d.x_train))

    def part(x, y):
        x = x[:, None] - 0.3
        if smaller and x.shape[-1] == 28:  # 14 × 14: averages of 2 × 2 pixels
            x = x.reshape(len(x), 1, 14, 2, 14, 2).mean(axis=(3, 5))
        return np.ascontiguousarray(x, dtype=np.float32), y

    train_n = min(train_n, len(order) - min(held_n, len(order) // 3))
    return {
        "train": part(d.x_train[order[:train_n]], d.y_train[order[:train_n]]),
        "held": part(*(a[order[train_n : train_n + held_n]] for a in (d.x_train, d.y_train))),
        "test": part(d.x_test, d.y_test),
    }


def accuracy(model: nn.Module, part: tuple[np.ndarray, np.ndarray]) -> float:
    """Per cent."""
    found = train.evaluate(model, part, F.cross_entropy, {"accuracy": train.accuracy}, batch_size=1000)
    return 100 * found["held_out_accuracy"]


# ------------------------------------------------------------------------------------- 1. batches of few images


def small_cnn(kind: str, side: int, hidden: int = 0) -> nn.Module:
    """Two convolutions, then the classifier, with ``hidden`` units before it. A hidden unit has one value an image."""

    def normalise(channels, of=nn.BatchNorm2d):
        return of(channels) if kind == "batch" else nn.GroupNorm(4, channels)

    flat = 32 * (side // 4) ** 2
    between = [nn.Linear(flat, hidden), normalise(hidden, nn.BatchNorm1d), nn.ReLU()] if hidden else []
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), normalise(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), normalise(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), *between, nn.Linear(hidden or flat, 10),
    )  # fmt: skip


def train_batches(kind: str, batch_size: int, hidden: int, seed: int, n: int, epochs: int) -> float:
    """Test accuracy in per cent."""
    parts = draw(seed, n, 0, smaller=True)
    torch.manual_seed(seed)
    model = small_cnn(kind, parts["train"][0].shape[-1], hidden)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05 * batch_size / 32, momentum=0.9)
    train.fit(model, parts["train"], optimiser, loss=F.cross_entropy, epochs=epochs, batch_size=batch_size, seed=seed,
              progress=False)  # fmt: skip
    return accuracy(model, parts["test"])


def small_batches(seeds: int, n: int = 960, epochs: int = 3, sizes=(2, 4, 8, 32)) -> list[str]:
    lines = [
        "| normalised | images a batch | batch norm: test accuracy, % | group norm (4 groups), % "
        "| difference, batch − group |",
        "|---|---|---|---|---|",
    ]
    for hidden, where in ((0, "the convolutions"), (64, "convolutions and 64 hidden units")):
        for size in tqdm(sizes, "batches", leave=False):
            batch, group = (
                np.array([train_batches(kind, size, hidden, seed, n, epochs) for seed in range(seeds)])
                for kind in ("batch", "group")
            )
            lines.append(f"| {where} | {size} | {interval(batch)} | {interval(group)} | {interval(batch - group)} |")
    return lines


# -------------------------------------------------------------------------------------------- 2. a thousand images


class Setting:
    """One way to regularise; ``strength`` is what the validation images choose."""

    def __init__(self, name: str, strengths: tuple, **what: Callable):
        self.name, self.strengths, self.what = name, strengths, what


def mlp(inputs: int, dropout: float = 0.0, batch_norm: bool = False, width: int = 256) -> nn.Module:
    layers: list[nn.Module] = [nn.Flatten()]
    for fan_in in (inputs, width):
        layers += [nn.Linear(fan_in, width), *([nn.BatchNorm1d(width)] if batch_norm else []), nn.ReLU()]
        layers += [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(*layers, nn.Linear(width, 10))


def penalised(power: int) -> Callable:
    def loss(model, lam):
        weights = [p for p in model.parameters() if p.ndim > 1]

        def penalty():
            return sum((w.abs() if power == 1 else w * w / 2).sum() for w in weights)

        return lambda out, y: F.cross_entropy(out, y) + (lam * penalty() if model.training else 0.0)

    return loss


def changed(change: Callable) -> Callable:
    """Batches whose images ``change(x, rng, strength)`` changes."""

    def batches(parts, strength):
        plain = train.minibatches(*parts["train"], 50)
        return lambda rng: ((change(x, rng, strength), y) for x, y in plain(rng))

    return batches


def mixed(parts, alpha):
    plain = train.minibatches(*parts["train"], 50)

    def batches(rng):
        for x, y in plain(rng):
            yield regularization.mixup(x, regularization.one_hot(y, 10, np.float32), alpha, rng)[:2]

    return batches


def shifted(x, rng, pixels):
    return augment.random_shift_flip(x + np.float32(0.3), rng, pixels) - np.float32(0.3)


def cut(x, rng, size):
    return augment.random_cutout(x + np.float32(0.3), rng, size) - np.float32(0.3)


def noisy(x, rng, std):
    return x + np.float32(std) * rng.standard_normal(x.shape, dtype=np.float32)


def limit_norms(model, optimiser, limit):
    def shorten(*_):
        with torch.no_grad():
            for p in model.parameters():
                if p.ndim > 1:
                    p.copy_(torch.renorm(p, 2, 0, limit))

    optimiser.register_step_post_hook(shorten)


SETTINGS = (
    Setting("nothing", (None,)),
    Setting("L1 penalty λ", (1e-5, 1e-4, 3e-4), loss=penalised(1)),
    Setting("L2 penalty λ (in Adam)", (1e-4, 1e-3, 1e-2), loss=penalised(2)),
    Setting("weight decay λ (AdamW)", (0.1, 1.0, 3.0), decay=lambda strength: strength),
    Setting("max-norm, limit", (0.5, 1.0, 2.0), after=limit_norms),
    Setting("dropout p", (0.2, 0.5, 0.7), model=lambda inputs, p: mlp(inputs, dropout=p)),
    Setting("early stopping, patience", (3, 10), patience=lambda strength: strength),
    Setting("noise on the inputs, std", (0.1, 0.2, 0.4), data=changed(noisy)),
    Setting("mixup α", (0.1, 0.4, 1.0), data=mixed),
    Setting("cutout, pixels", (6, 10, 14), data=changed(cut)),
    Setting("shift up to so many pixels, and flip", (1, 2, 3), data=changed(shifted)),
    Setting("batch norm", (None,), model=lambda inputs, _: mlp(inputs, batch_norm=True)),
    Setting(
        "dropout p, and shift 1 and flip", (0.2, 0.5),
        model=lambda inputs, p: mlp(inputs, dropout=p), data=lambda parts, _: changed(shifted)(parts, 1),
    ),
)  # fmt: skip


SLOW = ("nothing", "dropout p", "mixup α", "shift up to so many pixels, and flip", "dropout p, and shift 1 and flip")


def regularised(setting: Setting, strength, seed: int, n: int, epochs: int) -> dict[str, float]:
    """Accuracy in per cent on the training, validation and test images."""
    parts, what = draw(seed, n, 1000), setting.what
    torch.manual_seed(seed)
    inputs = parts["train"][0][0].size
    model = what["model"](inputs, strength) if "model" in what else mlp(inputs)
    decay = what["decay"](strength) if "decay" in what else 0.0
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=decay)
    if "after" in what:
        what["after"](model, optimiser, strength)
    train.fit(
        model, what["data"](parts, strength) if "data" in what else parts["train"], optimiser,
        loss=what["loss"](model, strength) if "loss" in what else F.cross_entropy, epochs=epochs, batch_size=50,
        held_out=parts["held"] if "patience" in what else None,
        patience=what["patience"](strength) if "patience" in what else None, seed=seed, progress=False,
    )  # fmt: skip
    return {name: accuracy(model, part) for name, part in parts.items()}


def choose(setting: Setting, n: int, epochs: int, tuning: int):
    """The strength with the best validation accuracy, under seeds that no table uses."""
    if len(setting.strengths) == 1:
        return setting.strengths[0]
    seeds = range(100, 100 + tuning)
    return max(setting.strengths, key=lambda s: np.mean([regularised(setting, s, i, n, epochs)["held"] for i in seeds]))


def comparison(seeds: int, n: int, epochs: int, chosen: dict[Setting, float | None]) -> list[str]:
    """A row for each setting; the first is what the others are compared with."""
    lines = [
        "| regulariser | strength, of | training accuracy, % | test accuracy, % | gain over nothing, same seeds |",
        "|---|---|---|---|---|",
    ]
    plain = None
    for setting, strength in tqdm(chosen.items(), "regularisers", leave=False):
        found = [regularised(setting, strength, seed, n, epochs) for seed in range(seeds)]
        test = np.array([f["test"] for f in found])
        gain = "–" if plain is None else f"{(test - plain).mean():+.1f} ± {half_width(test - plain):.1f}"
        plain = test if plain is None else plain
        listed = ", ".join(f"{s:g}" for s in setting.strengths if s is not None)
        shown = "–" if strength is None else f"{strength:g} of {listed}"
        lines.append(
            f"| {setting.name} | {shown} | {interval([f['train'] for f in found])} | {interval(test)} | {gain} |"
        )
    return lines


def thousand(seeds: int, n: int = 1000, epochs: int = 40, tuning: int = 2, settings=SETTINGS, longer: int = 4):
    """The table; and once more with so many times the epochs, for those that learn more slowly."""
    chosen = {setting: choose(setting, n, epochs, tuning) for setting in tqdm(settings, "strengths", leave=False)}
    slow = {setting: strength for setting, strength in chosen.items() if setting.name in SLOW}
    again = f"Once more with {longer * epochs} epochs and the same strengths: what changes the images takes longer."
    return [*comparison(seeds, n, epochs, chosen), "", again, "", *comparison(seeds, n, longer * epochs, slow)]


# ----------------------------------------------------------------------------------------------- 3. early dropout


def scheduled(when: str | None, p: float, seed: int, n: int, epochs: int, width: int) -> tuple[float, float]:
    """Loss on the training images at the end, dropout off, and test accuracy."""
    parts = draw(seed, n, 0)
    torch.manual_seed(seed)
    model = mlp(parts["train"][0][0].size, dropout=p if when else 0.0, width=width)
    dropouts = [m for m in model if isinstance(m, nn.Dropout)]
    steps, until = epochs * -(-len(parts["train"][0]) // 100), epochs * -(-len(parts["train"][0]) // 100) // 2

    def schedule(step):  # called before each update: the learning rate, and the dropout rate on the way
        for layer in dropouts:
            layer.p = float(regularization.dropout_rate(step, p, until, when))
        return 2e-3 * (1 - step / steps)

    optimiser = torch.optim.Adam(model.parameters(), lr=2e-3)
    train.fit(model, parts["train"], optimiser, loss=F.cross_entropy, epochs=epochs, batch_size=100, schedule=schedule,
              seed=seed, progress=False)  # fmt: skip
    loss = train.evaluate(model, parts["train"], F.cross_entropy, batch_size=1000)["held_out_loss"]
    return loss, accuracy(model, parts["test"])


def early_dropout(seeds: int, n: int = 10_000, epochs: int = 10, width: int = 24, rates=(0.1, 0.3)) -> list[str]:
    rows = {"none": (None, 0.0)}
    rows |= {f"{when}, p = {p}": (when, p) for when in ("early", "late", "always") for p in rates}
    lines = ["| dropout | training loss at the end | its difference to none | test accuracy, % |", "|---|---|---|---|"]
    plain = None
    for name, (when, p) in tqdm(rows.items(), "early dropout", leave=False):
        found = np.array([scheduled(when, p, seed, n, epochs, width) for seed in range(seeds)])
        loss = found[:, 0]
        plain = loss if plain is None else plain
        change = "–" if when is None else f"{(loss - plain).mean():+.3f} ± {half_width(loss - plain):.3f}"
        lines.append(f"| {name} | {loss.mean():.3f} ± {half_width(loss):.3f} | {change} | {interval(found[:, 1])} |")
    return lines


# --------------------------------------------------------------------------------------------- 4. dropout on MNIST

MNIST_ROWS = {
    # name: (hidden layers, units, activation, dropout, max-norm, the paper's error in per cent)
    "standard net, logistic, 2 × 800 (Simard et al. 2003)": (2, 800, nn.Sigmoid, False, None, 1.60),
    "dropout, logistic, 3 × 1024": (3, 1024, nn.Sigmoid, True, None, 1.35),
    "dropout, ReLU, 3 × 1024": (3, 1024, nn.ReLU, True, None, 1.25),
    "dropout and max-norm, ReLU, 3 × 1024": (3, 1024, nn.ReLU, True, 2.0, 1.06),
}


def mnist_error(layers, units, activation, dropout, limit, seed, epochs, n=60_000, device="cpu") -> float:
    """Test error in per cent: 20% of the inputs and 50% of the hidden units dropped, SGD with momentum, cosine."""
    d = data.load("mnist")
    x, y = (torch.as_tensor(a[:n], device=device) for a in (d.x_train.reshape(-1, 784), d.y_train))
    torch.manual_seed(seed)
    sizes, modules = [784] + layers * [units], []
    for i, (a, b) in enumerate(pairwise(sizes)):
        modules += [nn.Dropout(0.2 if i == 0 else 0.5)] if dropout else []
        linear = nn.Linear(a, b)
        nn.init.xavier_normal_(linear.weight) if activation is nn.Sigmoid else nn.init.kaiming_normal_(linear.weight)
        modules += [linear, activation()]
    model = nn.Sequential(*modules, *([nn.Dropout(0.5)] if dropout else []), nn.Linear(units, 10)).to(device)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9 if dropout else 0.5)
    if limit:
        limit_norms(model, optimiser, limit)
    steps = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs * -(-n // 100))
    train.fit(model, (x, y), optimiser, loss=F.cross_entropy, epochs=epochs, batch_size=100, schedule=steps, seed=seed,
              progress=False)  # fmt: skip
    model.eval()
    with torch.no_grad():
        guess = model(torch.as_tensor(d.x_test.reshape(-1, 784), device=device)).argmax(1).cpu().numpy()
    return 100 * float(np.mean(guess != d.y_test))


def mnist(seeds: int = 5, epochs: int = 300) -> list[str]:
    lines = ["| network | error in the paper, % | here, % |", "|---|---|---|"]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    for name, (*net, paper) in MNIST_ROWS.items():
        here = "not measured"
        if FULL:
            here = interval([mnist_error(*net, seed, epochs, device=device) for seed in range(seeds)])
        lines.append(f"| {name} | {paper:.2f} | {here} |")
    return lines


# --------------------------------------------------------------------------------------------------- 5. agreement


def agreement() -> list[str]:
    rng = np.random.default_rng(0)
    shape = (6, 8, 5, 4)
    x, dout = rng.normal(size=(2, *shape))
    peers = {
        "batch": (norm.batch_norm_forward, norm.batch_norm_backward, (8,),
                  lambda x, g, b: F.batch_norm(x, None, None, g, b, True)),
        "layer, last three axes": (norm.layer_norm_forward, norm.layer_norm_backward, shape[1:],
                                   lambda x, g, b: F.layer_norm(x, shape[1:], g, b)),
        "group, 2 groups": (lambda x, g, b: norm.group_norm_forward(x, g, b, 2), norm.group_norm_backward, (8,),
                            lambda x, g, b: F.group_norm(x, 2, g, b)),
        "instance": (norm.instance_norm_forward, norm.instance_norm_backward, (8,),
                     lambda x, g, b: F.instance_norm(x, weight=g, bias=b)),
    }  # fmt: skip
    lines = ["| normalisation | out | dx | dγ | dβ |", "|---|---|---|---|---|"]
    for name, (forward, backward, per, theirs) in peers.items():
        gamma, beta = rng.normal(size=(2, *per))
        out, cache = forward(x, gamma, beta)
        leaves = [torch.tensor(a, requires_grad=True) for a in (x, gamma, beta)]
        wanted = theirs(*leaves)
        wanted.backward(torch.tensor(dout))
        pairs = zip((out, *backward(dout, cache)), (wanted.detach(), *(leaf.grad for leaf in leaves)), strict=True)
        lines.append(f"| {name} | " + " | ".join(f"{np.abs(a - b.numpy()).max():.0e}" for a, b in pairs) + " |")
    return lines


# ------------------------------------------------------------------------------------------------------------ page


TITLES = {
    "batches": "Batches of few images",
    "thousand": "A thousand images",
    "early": "Early dropout",
    "mnist": "Dropout on MNIST",
    "agreement": "Largest difference from torch",
}


def part(name: str, options: argparse.Namespace) -> list[str]:
    """One table, with the sentence that says what it is."""
    seeds = options.seeds
    pictures, inputs = images().name, images().x_train[0].size
    parts = {
        "batches": lambda: [
            f"**Batches of few images.** A CNN of two 3×3 convolutions on 960 images of {pictures} (28×28 averaged to "
            "14×14), without and with a hidden layer of 64 units, 3 epochs of SGD with momentum 0.9, learning rate "
            f"0.05 · batch / 32; {seeds} seeds, mean ± half of a 95% confidence interval. A channel of a convolution "
            "takes its mean over hundreds of pixels even of two images; a hidden unit has two values.", "",
            *small_batches(seeds),
        ],
        "thousand": lambda: [
            f"**A thousand images.** {inputs}-256-256-10 with ReLU on 1,000 images of {pictures}, Adam at 0.001, "
            f"batches of 50, 40 epochs; {seeds} seeds, each with its own images and start; mean ± half of a 95% "
            "confidence interval. "
            "Strengths were chosen by the accuracy on 1,000 other training images, two seeds that do not occur in the "
            "table; early stopping looks at such images too. Test: all test images.", "", *thousand(seeds),
        ],
        "early": lambda: [
            f"**Early dropout.** {inputs}-24-24-10 on up to 10,000 images of {pictures}: too small to overfit. Ten "
            f"epochs of Adam, *early* falls from p to 0 over the first half, *late* begins with the second half; "
            f"{seeds} seeds.", "",
            *early_dropout(seeds),
        ],
        "mnist": lambda: [
            "**Dropout on MNIST**, rows of Srivastava et al. (2014), section 6.1.1, behind `DLCOURSE_FULL`:", "",
            *mnist(),
        ],
        "agreement": lambda: [
            "**Largest difference from torch** in float64, x (6, 8, 5, 4). Wanted: at most 1e-9.", "", *agreement(),
        ],
    }  # fmt: skip
    return parts[name]()


if __name__ == "__main__":
    common.main("norm", __doc__, common.choose(TITLES, part))
