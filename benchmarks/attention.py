"""What attention costs and what transformers learn, measured: speed, length, random features, text, machines, images.

    python benchmarks/attention.py                                        # prints the tables
    python benchmarks/attention.py --write book/results/attention.md      # writes them too
    python benchmarks/attention.py --only cost --write book/results/attention.md   # one table anew, the others stay
    DLCOURSE_FULL=1 python benchmarks/attention.py --only text            # the larger GPT, for a GPU

1. NumPy's multi-head attention against torch's, forward and backward, on one thread.
2. Time and memory of attention against the length, and the exponent.
3. The error of Performer features against their number.
4. How far attention by hand is from torch's in float64.
5. A GPT on Shakespeare's characters, within a minute; the larger one under DLCOURSE_FULL only.
6. XOR and a machine with states, learnt as next tokens.
7. Film reviews from words, spoken digits from 100 ms of spectrogram.
8. ViT, CNN and MLP-Mixer on 1,000, 10,000 and 60,000 images.
9. Receptive fields, by gradient.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
import time
import tracemalloc
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
from benchmarks.common import interval  # noqa: E402
from dlcourse import attention, data, optim, tokenizer, train, transformer  # noqa: E402

FULL = bool(os.environ.get("DLCOURSE_FULL"))


# --------------------------------------------------------------------------------------------------------- 1. speed


def heads_pair(B: int, T: int, D: int, heads: int) -> tuple[Callable, Callable]:
    """Forward and backward by hand, and by torch, on the same numbers."""
    rng = np.random.default_rng(0)
    x, dout = rng.normal(size=(2, B, T, D)).astype(np.float32)
    w_in, w_out = (rng.normal(size=shape).astype(np.float32) / D**0.5 for shape in ((D, 3 * D), (D, D)))
    b_in, b_out = np.zeros(3 * D, np.float32), np.zeros(D, np.float32)
    leaves = [torch.tensor(a, requires_grad=True) for a in (x, w_in, b_in, w_out, b_out)]
    gradient = torch.tensor(dout)

    def theirs():
        for leaf in leaves:
            leaf.grad = None
        q, k, v = (leaves[0] @ leaves[1] + leaves[2]).view(B, T, 3, heads, D // heads).permute(2, 0, 3, 1, 4)
        out = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(B, T, D) @ leaves[3] + leaves[4]
        out.backward(gradient)
        return [out.detach().numpy(), *(leaf.grad.numpy() for leaf in leaves)]

    def ours():
        out, cache = attention.multi_head_forward(x, w_in, b_in, w_out, b_out, heads)
        return [out, *attention.multi_head_backward(dout, cache)]

    return ours, theirs


def speed(repeats: int = 21, shapes=((8, 256, 256, 8), (8, 64, 256, 8), (2, 512, 128, 4))) -> list[str]:
    lines = ["| B, T, D, heads | torch, ms | NumPy, ms | ratio, median | quartiles |", "|---|---|---|---|---|"]
    for shape in shapes:
        ours, theirs = heads_pair(*shape)
        ours(), theirs()
        found = []
        for _ in range(repeats):  # in turn, so that both meet the same load
            start = time.process_time()
            theirs()
            middle = time.process_time()
            ours()
            found.append((middle - start, time.process_time() - middle))
        found = 1e3 * np.array(found)
        low, middle, high = np.percentile(found[:, 1] / found[:, 0], [25, 50, 75])
        t, n = np.median(found, axis=0)
        name = ", ".join(map(str, shape))
        lines.append(f"| {name} | {t:.1f} | {n:.1f} | {middle:.2f} | {low:.2f} to {high:.2f} |")
    return lines


# ---------------------------------------------------------------------------------------------------------- 2. cost


def ways(omega: np.ndarray) -> dict[str, Callable]:
    return {
        "whole matrix": lambda q, k, v: attention.attention_forward(q, k, v)[0],
        "block by block": lambda q, k, v: attention.blockwise_attention_forward(q, k, v)[0],
        f"Performer, {len(omega)} features": lambda q, k, v: attention.performer_attention(q, k, v, omega),
    }


def exponent(lengths, values) -> float:
    """The slope of the logarithms: cost ∝ length^slope."""
    return float(np.polyfit(np.log(lengths), np.log(values), 1)[0])


def cost(lengths=(512, 1024, 2048, 4096), D: int = 32, repeats: int = 5) -> list[str]:
    rng = np.random.default_rng(0)
    omega = attention.random_directions(64, D, rng)
    heads = [f"{T:,} tokens" for T in lengths]
    lines = [
        f"| forward pass, one head, D = {D} | " + " | ".join(heads) + " | exponent |",
        "|---" * (len(lengths) + 2) + "|",
    ]
    memory = []
    for name, run in ways(omega).items():
        seconds, peaks = [], []
        for T in lengths:
            q, k, v = rng.normal(size=(3, T, D)).astype(np.float32)
            times = []
            for _ in range(repeats):
                start = time.process_time()
                run(q, k, v)
                times.append(time.process_time() - start)
            seconds.append(np.median(times))
            tracemalloc.start()
            run(q, k, v)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        lines.append(
            f"| {name}, ms | "
            + " | ".join(f"{1e3 * s:.1f}" for s in seconds)
            + f" | {exponent(lengths, seconds):.2f} |"
        )
        memory.append(
            f"| {name}, MB | " + " | ".join(f"{p / 1e6:.1f}" for p in peaks) + f" | {exponent(lengths, peaks):.2f} |"
        )
    return [*lines, *memory]


# ----------------------------------------------------------------------------------------------------- 3. Performer


def performer(counts=(8, 32, 128, 512, 2048), draws: int = 20, T: int = 128, D: int = 16) -> list[str]:
    lines = [
        "| length of q and k | directions | " + " | ".join(f"M = {M}" for M in counts) + " | exponent |",
        "|---" * (len(counts) + 3) + "|",
    ]
    for size in (0.25, 0.5, 1.0):
        rng = np.random.default_rng(0)
        q, k, v = rng.normal(size=(3, T, D))
        q, k = size * q, size * k
        exact, _ = attention.attention_forward(q, k, v)
        for orthogonal in (False, True):
            errors = []
            for M in counts:
                runs = [
                    attention.performer_attention(
                        q, k, v, attention.random_directions(M, D, np.random.default_rng([M, i]), orthogonal=orthogonal)
                    )
                    for i in range(draws)
                ]
                errors.append(np.sqrt(np.mean((np.array(runs) - exact) ** 2) / np.mean(exact**2)))
            name = "orthogonal" if orthogonal else "independent"
            cells = " | ".join(f"{e:.3f}" for e in errors)
            lines.append(f"| {size * D**0.5:.0f} | {name} | {cells} | {exponent(counts, errors):.2f} |")
    return lines


# ----------------------------------------------------------------------------------------------------- 4. agreement


def agreement() -> list[str]:
    rng = np.random.default_rng(0)
    q, k, v, dout = rng.normal(size=(4, 2, 3, 40, 8))
    leaves = [torch.tensor(a, requires_grad=True) for a in (q, k, v)]
    wanted = F.scaled_dot_product_attention(*leaves, is_causal=True)
    wanted.backward(torch.tensor(dout))
    theirs = [wanted.detach().numpy(), *(leaf.grad.numpy() for leaf in leaves)]
    lines = ["| attention, causal, (2, 3, 40, 8) | out | dq | dk | dv |", "|---|---|---|---|---|"]
    for name, forward, backward in (
        ("whole matrix", attention.attention_forward, attention.attention_backward),
        ("block by block", attention.blockwise_attention_forward, attention.blockwise_attention_backward),
    ):
        out, cache = forward(q, k, v, causal=True)
        found = (out, *backward(dout, cache))
        cells = " | ".join(f"{np.abs(a - b).max():.0e}" for a, b in zip(found, theirs, strict=True))
        lines.append(f"| {name} | {cells} |")
    return lines


# ---------------------------------------------------------------------------------------------------------- 5. text


def characters() -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Shakespeare as ids, the last tenth held out, and what the ids mean."""
    text = data.text("shakespeare")
    known = sorted(set(text))
    ids = np.array([known.index(c) for c in text])
    cut = int(0.9 * len(ids))
    return ids[:cut], ids[cut:], known


def train_gpt(seed: int, steps: int, *, length=64, width=64, depth=2, heads=4, batch=32, lr=3e-3, dropout=0.0,
              device="cpu"):  # fmt: skip
    ids, _, known = characters()
    gpt = transformer.GPT(len(known), length, width, depth, heads, dropout=dropout, seed=seed).to(device)
    optimiser = torch.optim.AdamW(gpt.parameters(), lr=lr, weight_decay=0.1, betas=(0.9, 0.99))

    def pieces(rng):
        for x, y in transformer.windows(ids, length, batch, steps)(rng):
            yield torch.from_numpy(x).to(device), torch.from_numpy(y).to(device)

    def schedule(step):
        return float(optim.warm_up_cosine(step, lr, min(50, steps // 4), steps, lowest=lr / 10))

    train.fit(gpt, pieces, optimiser, loss=transformer.next_token_loss, epochs=1, schedule=schedule, clip_norm=1.0,
              seed=seed, progress=False)  # fmt: skip
    return gpt


def text(seeds: int, steps: int = 1600) -> list[str]:
    train_ids, held, _ = characters()
    found = []
    for seed in tqdm(range(seeds), "text", leave=False):
        start = time.process_time()
        gpt = train_gpt(seed, steps)
        seconds = time.process_time() - start
        found.append((transformer.text_loss(gpt, train_ids[: len(held)]), transformer.text_loss(gpt, held), seconds))
    trained, validated, seconds = np.array(found).T
    counts = np.bincount(train_ids, minlength=65) / len(train_ids)
    pairs = np.ones((65, 65))
    np.add.at(pairs, (train_ids[:-1], train_ids[1:]), 1)
    pairs /= pairs.sum(axis=1, keepdims=True)
    unigram, bigram = -np.log(counts[held[1:]]).mean(), -np.log(pairs[held[:-1], held[1:]]).mean()
    size = sum(p.numel() for p in gpt.parameters())
    larger = "not measured"
    if FULL:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        gpt = train_gpt(0, 5000, length=256, width=384, depth=6, heads=6, batch=64, lr=1e-3, dropout=0.2, device=device)
        larger = f"{transformer.text_loss(gpt, held):.3f} (one seed)"
    return [
        "| model | training text, nats a character | held-out text, nats a character | CPU seconds |",
        "|---|---|---|---|",
        f"| how often each character is met | – | {unigram:.3f} | – |",
        f"| the character before (65 × 65 table) | – | {bigram:.3f} | – |",
        f"| GPT, 2 blocks, width 64, 64 characters, {size:,} parameters, {steps:,} updates of 32 | "
        f"{interval(trained, 3)} | {interval(validated, 3)} | {interval(seconds, 0)} |",
        "| GPT, 6 blocks, width 384, 256 characters, 5,000 updates of 64 (FULL, on a GPU; wanted: at most 1.50) | "
        f"– | {larger} | – |",
    ]


# ------------------------------------------------------------------------------------------------------ 6. machines


def machine_text(n: int, seed: int) -> np.ndarray:
    """A machine with three states: after a 1 comes a 0; after 1 0 a fair coin; after 0 0 a 1."""
    rng, out = np.random.default_rng(seed), [1, 0]
    while len(out) < n:
        out.append(0 if out[-1] else 1 if out[-2] == 0 else int(rng.integers(2)))
    return np.array(out)


MACHINE = {(0, 0, 1): 0.0, (0, 1, 0): 0.5, (1, 0, 0): 1.0, (1, 0, 1): 0.0}  # what is met of length 3 -> P(1 comes next)


def learn_machine(seed: int, steps: int = 400) -> np.ndarray:
    """P(1) after each of the eight contexts of three."""
    gpt = transformer.GPT(2, 3, 16, 1, 2, seed=seed)
    optimiser = torch.optim.Adam(gpt.parameters(), lr=0.01)
    pieces = transformer.windows(machine_text(2000, seed), 3, 64, steps)
    train.fit(gpt, pieces, optimiser, loss=transformer.next_token_loss, epochs=1, seed=seed, progress=False,
              schedule=lambda step: 0.01 * (1 - step / steps) + 1e-4)  # fmt: skip
    return transformer.transition_table(gpt, 2)[1][:, 1]


def learn_xor(seed: int, epochs: int = 150) -> np.ndarray:
    """P(1) after 00, 01, 10, 11."""
    x = np.array([[0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0]])
    gpt = transformer.GPT(2, 2, 16, 1, 2, seed=seed)
    optimiser = torch.optim.Adam(gpt.parameters(), lr=0.01)
    train.fit(gpt, (x[:, :2], x[:, 2]), optimiser, loss=lambda logits, y: F.cross_entropy(logits[:, -1], y),
              epochs=epochs, batch_size=4, progress=False)  # fmt: skip
    return transformer.transition_table(gpt, 2)[1][:, 1]


def machines(seeds: int) -> list[str]:
    xor = np.array([learn_xor(seed) for seed in range(seeds)])
    found = np.array([learn_machine(seed) for seed in range(seeds)])
    lines = ["| context | true P(1 comes next) | learnt, mean (lowest to highest) |", "|---|---|---|"]

    def row(name, true, values):
        lines.append(f"| {name} | {true} | {values.mean():.3f} ({values.min():.3f} to {values.max():.3f}) |")

    for i, target in enumerate((0, 1, 1, 0)):
        row(f"XOR: {i >> 1} {i & 1}", target, xor[:, i])
    for i in range(8):
        context = (i >> 2, i >> 1 & 1, i & 1)
        row(f"machine: {' '.join(map(str, context))}", MACHINE.get(context, "never met"), found[:, i])
    return lines


# -------------------------------------------------------------------------------------------- 7. words and sound


class Words(nn.Module):
    """Word ids (N, T) -> logits: an encoder whose padding is 0."""

    def __init__(self, words: int, length: int, width: int, seed: int, **options):
        super().__init__()
        self.encoder = transformer.Encoder(
            lambda: nn.Embedding(words, width, padding_idx=0), length, 2, width, 1, 4, seed=seed, **options
        )
        with torch.no_grad():
            self.encoder.embed.weight.mul_(0.05)  # so that rare words, whose vectors hardly learn, are no noise

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.encoder(ids, ids > 0)


def polarity(seed: int, pool: str = "mean", n: int | None = None, epochs: int = 3) -> float:
    """Accuracy in per cent on a tenth that is held out; its sentences have no part in any choice."""
    sentences, y = data.sentences("polarity")
    order = np.random.default_rng(seed).permutation(len(y))
    held, rest = order[: len(y) // 10], order[len(y) // 10 :][:n]
    words = tokenizer.word_list([sentences[i] for i in rest])
    x = tokenizer.word_ids(sentences, words, 40)
    net = Words(len(words) + 2, 40, 32, seed, dropout=0.3, pool=pool)
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.1)
    train.fit(net, (x[rest], y[rest]), optimiser, loss=F.cross_entropy, epochs=epochs, batch_size=64, seed=seed,
              progress=False)  # fmt: skip
    return accuracy(net, x[held], y[held])


def spoken(seed: int, pool: str = "mean", epochs: int = 30, n: int = 600) -> float:
    """Accuracy in per cent on the official test recordings, from ten tokens of 100 ms."""
    d = data.load("spoken_digits")
    x, x_test = (tokenizer.spectrogram_tokens(w, 8000) for w in (d.x_train, d.x_test))
    mean, std = x.mean(axis=(0, 1)), x.std(axis=(0, 1)) + 1e-6
    features = x.shape[2]
    net = transformer.Encoder(lambda: nn.Linear(features, 64), 10, 10, 64, 2, 4, dropout=0.1, pool=pool, seed=seed)
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.05)
    rows = np.random.default_rng(seed).permutation(len(x))[:n]
    train.fit(net, ((x[rows] - mean) / std, d.y_train[rows]), optimiser, loss=F.cross_entropy, epochs=epochs, seed=seed,
              progress=False)  # fmt: skip
    return accuracy(net, (x_test - mean) / std, d.y_test)


def accuracy(net: nn.Module, x, y) -> float:
    """Per cent."""
    found = train.evaluate(net, (x, y), F.cross_entropy, {"accuracy": train.accuracy}, batch_size=500)
    return 100 * found["held_out_accuracy"]


def tokens(seeds: int, **options) -> list[str]:
    lines = ["| task | mean token: accuracy, % | class token: accuracy, % | wanted, % |", "|---|---|---|---|"]
    for name, run, wanted in (
        ("film reviews, for or against, words as tokens", polarity, 75),
        ("spoken digits, 100 ms as a token", spoken, 90),
    ):
        try:
            cells = [
                interval([run(seed, pool, **options) for seed in tqdm(range(seeds), name[:12], leave=False)])
                for pool in ("mean", "class")
            ]
        except data.DataUnavailable:
            cells = ["not measured, the data are not here"] * 2
        lines.append(f"| {name} | {cells[0]} | {cells[1]} | {wanted} |")
    return lines


# ------------------------------------------------------------------------------------------------------- 8. images


@functools.cache
def images() -> data.Dataset:
    """Fashion-MNIST, or the digits where it cannot be had."""
    try:
        return data.load("fashion_mnist")
    except data.DataUnavailable:
        return data.load("digits")


class CNN(nn.Sequential):
    """Two convolutions with pooling, then one hidden layer: about as many parameters as the others."""

    def __init__(self, side: int):
        super().__init__(
            nn.Unflatten(1, (1, side)), nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(32 * (side // 4) ** 2, 64), nn.ReLU(), nn.Linear(64, 10),
        )  # fmt: skip


def models(side: int, seed: int) -> dict[str, Callable[[], nn.Module]]:
    patch = 7 if side == 28 else 2
    return {
        "CNN": lambda: CNN(side),
        "ViT": lambda: transformer.vit(side, patch, 10, 48, depth=3, heads=4, seed=seed),
        "Mixer": lambda: transformer.mixer(side, patch, 10, 48, 3, seed=seed),
    }


def learn_images(name: str, n: int, seed: int, updates: int) -> float:
    """Test accuracy in per cent after so many updates of 64 images, cosine from 2e-3."""
    d = images()
    rows = np.random.default_rng(seed).permutation(len(d.x_train))[:n]
    x, y = d.x_train[rows] - 0.3, d.y_train[rows]
    torch.manual_seed(seed)
    net = models(x.shape[-1], seed)[name]()
    optimiser = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=0.05)
    epochs = -(-updates // -(-len(x) // 64))
    total = epochs * -(-len(x) // 64)
    train.fit(net, (x, y), optimiser, loss=F.cross_entropy, epochs=epochs, batch_size=64, seed=seed, progress=False,
              schedule=lambda step: float(optim.warm_up_cosine(step, 2e-3, max(total // 20, 1), total)))  # fmt: skip
    return accuracy(net, d.x_test - 0.3, d.y_test)


def hunger(seeds: int, sizes=((1_000, 300), (10_000, 600), (60_000, 1_900)), most: int = 3, largest=60_000):
    """A row for each number of images; above ``largest`` it says that nothing was measured."""
    d = images()
    counts = {
        name: sum(p.numel() for p in make().parameters()) for name, make in models(d.x_train.shape[-1], 0).items()
    }
    title = " | ".join(f"{name} ({count:,} parameters), %" for name, count in counts.items())
    lines = [f"| images | updates of 64 | {title} | ViT − CNN |", "|---" * 6 + "|"]
    for n, updates in sizes:
        if n > largest:
            lines.append(f"| {n:,} | {updates:,} | " + "not measured | " * len(counts) + "not measured |")
            continue
        used = seeds if n < 60_000 else min(seeds, most)
        found = {
            name: np.array([learn_images(name, n, seed, updates) for seed in range(used)])
            for name in tqdm(counts, f"{n} images", leave=False)
        }
        cells = " | ".join(interval(v) for v in found.values())
        shown = min(n, len(d.x_train))
        lines.append(f"| {shown:,} | {updates:,} | {cells} | {interval(found['ViT'] - found['CNN'])} |")
    return lines


# ------------------------------------------------------------------------------------------------------- 9. fields


class ConvStack(nn.Module):
    """Convolutions 3×3 with ReLU, all of the image's size; ``depth`` of them are asked for features."""

    def __init__(self, depth: int = 4, channels: int = 16):
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(channels if i else 1, channels, 3, padding=1) for i in range(depth))
        self.head = nn.Linear(channels, 10)

    def features(self, x: torch.Tensor, depth: int) -> torch.Tensor:
        for layer in self.layers[:depth]:
            x = layer(x).relu()
        return x.flatten(2).transpose(1, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(x[:, None], len(self.layers)).mean(1))


def vit_features(net: transformer.Encoder, x: torch.Tensor, depth: int) -> torch.Tensor:
    z = net.positions(net.embed(x))
    for block in net.blocks[:depth]:
        z, _ = block(z)
    return z


def radius(field: np.ndarray, row: float, column: float) -> float:
    """The root mean square distance from (row, column), in pixels, weighted by the field."""
    r, c = np.mgrid[: field.shape[0], : field.shape[1]]
    return float(np.sqrt((field * ((r - row) ** 2 + (c - column) ** 2)).sum()))


def fields(seeds: int, n: int = 2000, epochs: int = 6, depth: int = 4) -> list[str]:
    """Radius of the effective field of a place near the middle, after each layer, before and after training."""
    d = images()
    side, patch = d.x_train.shape[-1], 4 if d.x_train.shape[-1] == 28 else 2
    columns, place = side // patch, (side // patch) // 2
    found = {}
    for seed in range(seeds):
        rows = np.random.default_rng(seed).permutation(len(d.x_train))[: n + 32]
        x, y = d.x_train[rows] - 0.3, d.y_train[rows]
        shown = torch.from_numpy(x[n:])[:, None]
        torch.manual_seed(seed)
        cnn, vit = ConvStack(depth), transformer.vit(side, patch, 10, 48, depth=depth, heads=4, seed=seed)
        for when in ("before", "after"):
            for k in range(1, depth + 1):
                field = transformer.effective_field(
                    lambda x, k=k, cnn=cnn: cnn.features(x, k), shown, (side // 2) * side + side // 2
                )
                found.setdefault(("CNN", when, k), []).append(radius(field, side // 2, side // 2))
                field = transformer.effective_field(
                    lambda x, k=k, vit=vit: vit_features(vit, x, k), shown, place * columns + place
                )
                middle = place * patch + (patch - 1) / 2
                found.setdefault(("ViT", when, k), []).append(radius(field, middle, middle))
            if when == "before":
                for net in (cnn, vit):
                    optimiser = torch.optim.AdamW(net.parameters(), lr=2e-3)
                    train.fit(net, (x[:n], y[:n]), optimiser, loss=F.cross_entropy, epochs=epochs, batch_size=64,
                              seed=seed, progress=False)  # fmt: skip
    lines = ["| radius in pixels, after layer | " + " | ".join(map(str, range(1, depth + 1))) + " |"]
    lines.append("|---" * (depth + 1) + "|")
    for name, what in (("CNN", "convolutions 3×3"), ("ViT", "transformer blocks")):
        for when in ("before", "after"):
            cells = " | ".join(interval(found[name, when, k]) for k in range(1, depth + 1))
            lines.append(f"| {name}, {what}, {when} training | {cells} |")
    return lines


# ------------------------------------------------------------------------------------------------------------ page

TITLES = {
    "speed": "Speed", "cost": "Cost against length", "performer": "Performer features",
    "agreement": "Agreement with torch",
    "text": "Shakespeare, character by character", "machines": "XOR and a machine", "tokens": "Words and sound",
    "hunger": "Data hunger", "fields": "Effective receptive fields",
}  # fmt: skip


def part(name: str, options: argparse.Namespace) -> list[str]:
    """A table with the sentences that say what it shows."""
    seeds, largest = options.seeds, options.largest
    shown = "Fashion-MNIST" if images().name == "fashion_mnist" else images().name
    spread = "one seed" if seeds == 1 else f"{seeds} seeds, mean ± half of a 95% confidence interval"
    parts = {
        "speed": lambda: [
            "**Speed.** Multi-head self-attention with its four matrices, forward and backward, float32: by hand in "
            "NumPy against torch's `F.scaled_dot_product_attention`, in turn 21 times, processor time. Wanted: at most "
            "1.2 in the first row.", "", *speed(),
        ],
        "cost": lambda: [
            "**Cost against length.** Median of five in processor time, and the most memory that NumPy held. The "
            "exponent is the slope of the logarithms.", "", *cost(),
        ],
        "performer": lambda: [
            "**Performer features.** Error of the output relative to its size (root mean squares, 20 draws), 128 "
            "tokens of 16 features; *length* is the typical length of a query or key. For 1/√M the exponent would be "
            "−0.5.",
            "", *performer(),
        ],
        "agreement": lambda: [
            "**Largest difference from torch** in float64. Wanted: at most 1e-9.", "", *agreement(),
        ],
        "text": lambda: [
            f"**Shakespeare, character by character.** The last tenth is held out, cut into pieces; {spread}.", "",
            *text(seeds),
        ],
        "machines": lambda: [
            "**XOR and a machine as next tokens.** One block of width 16 with two heads. The machine: after 1 comes 0, "
            f"after 1 0 a fair coin, after 0 0 comes 1; 2,000 tokens of it. {seeds} seeds.", "", *machines(seeds),
        ],
        "tokens": lambda: [
            f"**Words and sound.** {spread}. Reviews: a tenth of the sentences held out, other ones for each seed; one "
            "block of width 32, three epochs. Digits: the official split, two blocks of width 64, 30 epochs. Settings "
            "were tried on seed 0 of the same split, so that the numbers are a little too good.", "", *tokens(seeds),
        ],
        "hunger": lambda: [
            f"**Data hunger.** {shown}, all test images; {spread}, at most 3 seeds of 60,000 images. AdamW at 0.002 "
            "with a cosine, no augmentation. The same settings for all three, chosen for none.", "",
            *hunger(seeds, largest=largest),
        ],
        "fields": lambda: [
            f"**Effective receptive fields.** Where the gradient of a place near the middle lies, on 32 images of "
            f"{shown}: the root mean square distance from that place, before and after six epochs on 2,000 images; "
            f"{spread}.", "", *fields(seeds),
        ],
    }  # fmt: skip
    return parts[name]()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--largest", type=int, default=60_000, help="so many images at most in the table of hunger")
    common.main("attention", __doc__, common.choose(TITLES, part), arguments=parser)


if __name__ == "__main__":
    main()
