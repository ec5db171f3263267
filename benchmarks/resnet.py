"""What skips do, measured: degradation, LayerScale, a U-Net that segments and one that denoises, a one-stage detector.

    python benchmarks/resnet.py                                # prints the tables
    python benchmarks/resnet.py --write book/results/resnet.md # writes them too
    DLCOURSE_FULL=1 python benchmarks/resnet.py --only cifar   # the paper's networks on CIFAR-10, for a GPU

1. Plain and residual networks of two depths on 1,000 images of Fashion-MNIST, and what is lost by cutting blocks out.
2. LayerScale: where α starts, in deep residual networks by hand on the digits.
3. Shapes on photographs, segmented by a U-Net with and without skips; tested over other parts of the photographs.
4. Noisy photographs, denoised by a U-Net and by the best Gaussian filter; tested on photographs that are new to it.
5. A one-stage detector on the same shapes.
6. How far the networks and boxes are from torchvision's.
7. The networks of He et al. (2016) on CIFAR-10's images that there are, under DLCOURSE_FULL only.

Where Fashion-MNIST cannot be had, the digits stand in, and the table says so.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
from pathlib import Path

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # read when NumPy is imported, so before that

import numpy as np  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from tqdm import tqdm  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks import common  # noqa: E402
from benchmarks.common import spread  # noqa: E402
from dlcourse import data, detection, optim, residual, resnet, scenes, train, unet  # noqa: E402

FULL = bool(os.environ.get("DLCOURSE_FULL"))
LEFT, RIGHT = (0.0, 0.6), (0.6, 1.0)  # of the photographs: to learn from, and to test on


# ------------------------------------------------------------------------------------------------- 1. deeper, and worse


@functools.cache
def images() -> data.Dataset:
    return data.load("fashion_mnist") if data.cached("fashion_mnist") else data.load("digits")


def draw(seed: int, n: int) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """``n`` training images and 1,000 others of the training set, (N, 1, H, W), 28×28 averaged to 14×14."""
    d = images()
    order = np.random.default_rng(seed).permutation(len(d.x_train))
    x = d.x_train[order[: n + 1000]]
    if x.shape[1] == 28:
        x = x.reshape(len(x), 14, 2, 14, 2).mean(axis=(2, 4))
    x, y = ((x - x.mean()) / x.std())[:, None].astype(np.float32), d.y_train[order[: n + 1000]]
    return (x[:n], y[:n]), (x[n:], y[n:])


def warm_up_linear(peak: float, steps: int, warm: int = 20):
    """Up to the peak in ``warm`` steps, then down to 0 along a line."""
    return lambda step: peak * min(1.0, (step + 1) / warm) * (1 - step / steps)


def error(net: torch.nn.Module, part: tuple[np.ndarray, np.ndarray]) -> float:
    """Per cent wrong."""
    found = train.evaluate(net, part, F.cross_entropy, {"accuracy": train.accuracy}, batch_size=500)
    return 100 - 100 * found["held_out_accuracy"]


def classify(blocks: int, skips: bool, lr: float, seed: int, n: int = 1000, epochs: int = 15, width: int = 8) -> dict:
    """Train one network; errors in per cent, and those with each block cut out."""
    training, held = draw(seed, n)
    net = resnet.SmallNet(blocks, skips=skips, width=width, seed=seed)
    optimiser = torch.optim.SGD(net.parameters(), lr=lr, momentum=0.9, weight_decay=1e-4)
    steps = epochs * -(-n // 50)
    train.fit(net, training, optimiser, loss=F.cross_entropy, epochs=epochs, batch_size=50, seed=seed,
              schedule=warm_up_linear(lr, steps), progress=False)  # fmt: skip
    same = [i for i, block in enumerate(net.blocks) if not block.added]
    cut = [error(resnet.without_block(net, i), training) for i in same]
    return {"train": error(net, training), "held": error(net, held), "cut": cut, "depth": net.depth}


def degradation(seeds: int, depths=(1, 6), rates=(0.03, 0.1), **settings) -> list[str]:
    lines = [
        "| peak learning rate | network | layers | training error, % | error on 1,000 other images, % "
        "| training error with one block cut out, % |",
        "|---|---|---|---|---|---|",
    ]
    for lr in rates:
        for skips in (False, True):
            for blocks in tqdm(depths, "depths", leave=False):
                found = [classify(blocks, skips, lr, seed, **settings) for seed in range(seeds)]
                errors = " | ".join(spread([f[name] for f in found]) for name in ("train", "held"))
                name = "residual" if skips else "plain"
                cut = spread(np.concatenate([f["cut"] for f in found]))
                lines.append(f"| {lr} | {name} | {found[0]['depth']} | {errors} | {cut} |")
    return lines


# -------------------------------------------------------------------------------------------------------- 2. LayerScale


def layer_scale(seeds: int, alphas=(1.0, 0.5, 0.2, 0.1, 0.01, 1e-4), depth: int = 24, epochs: int = 6) -> list[str]:
    d = data.load("digits")
    x, y = d.x_train.reshape(-1, 64), d.y_train
    x = (x - x.mean()) / x.std()
    lines = [
        "| α starts at | mean square behind the last block, before training | training error after "
        f"{epochs} epochs, % | α at the end, mean size |",
        "|---|---|---|---|",
    ]
    for alpha in tqdm(alphas, "LayerScale", leave=False):
        sizes, errors, ends = [], [], []
        for seed in range(seeds):
            model = residual.ResidualMLP((64, 32, 10), depth=depth, alpha=alpha, seed=seed, dtype=np.float32)
            signal = [np.mean(np.square(a, dtype=np.float64)) for a in model.activations(x)]
            sizes.append(signal[-1] / signal[0])
            optimiser = optim.Adam(model.parameters, lr=0.003)
            with np.errstate(all="ignore"):
                train.fit(model, (x, y), optimiser, epochs=epochs, batch_size=50, seed=seed, progress=False)
            errors.append(100 - 100 * model.accuracy(x, y))
            ends.append(np.mean([np.abs(block[4]).mean() for block in model.blocks]))
        size = "1.0" if max(sizes) < 1.05 else f"{np.mean(sizes):.2g}"
        lines.append(f"| {alpha:g} | {size} | {spread(errors)} | {np.mean(ends):.2g} |")
    return lines


# ------------------------------------------------------------------------------------------------------ 3. segmentation


def segment(skips: bool, seed: int, n: int = 8000, epochs: int = 3, width: int = 12, batch: int = 8, lr: float = 5e-3):
    """IoU on the right part of the photographs of a U-Net that was trained on their left part."""
    made = scenes.scenes(n, seed=seed, size=32, part=LEFT)
    net = unet.UNet(3, 1, width=width, depth=3, skips=skips, seed=seed)
    optimiser = torch.optim.Adam(net.parameters(), lr=lr)
    masks = made.masks[:, None].astype(np.float32)
    schedule = warm_up_linear(lr, epochs * -(-n // batch))
    train.fit(net, (made.images, masks), optimiser, loss=F.binary_cross_entropy_with_logits, epochs=epochs,
              batch_size=batch, schedule=schedule, seed=seed, progress=False)  # fmt: skip
    test = scenes.scenes(400, seed=10_000 + seed, size=32, part=RIGHT)
    return scenes.mask_iou(unet.apply(net, test.images)[:, 0] > 0, test.masks)


def segmentation(seeds: int, **settings) -> list[str]:
    lines = ["| U-Net | IoU on the right part of the photographs |", "|---|---|"]
    for skips in (True, False):
        found = [segment(skips, seed, **settings) for seed in tqdm(range(seeds), "segmentation", leave=False)]
        lines.append(f"| {'with skips' if skips else 'without skips'} | {spread(found, 3)} |")
    return lines


# --------------------------------------------------------------------------------------------------------- 4. denoising


def noisy(clean: np.ndarray, sigma: float, seed: int) -> np.ndarray:
    """Gaussian noise on every value; not cut to [0, 1]."""
    return clean + np.float32(sigma) * np.random.default_rng([seed, 5]).standard_normal(clean.shape, dtype=np.float32)


def to_learn(seed: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """Clean images (N, 3, 32, 32) and the names of test sets: CIFAR-10 and the two photographs; without CIFAR-10 the
    left part of the photographs and the right part."""
    if data.cached("cifar10"):
        return data.load("cifar10").x_train, ("china", "flower")
    return scenes.crops(4000, seed=seed, size=32, part=LEFT), ("right part",)


def to_test(name: str, seed: int) -> np.ndarray:
    """100 clean crops of 64×64: of the whole photograph ``name``, or of the right part of both."""
    if name == "right part":
        return scenes.crops(100, seed=10_000 + seed, size=64, part=RIGHT)
    return scenes.crops(100, seed=10_000 + seed, size=64, photographs=(name,))


def denoise(sigma: float, seed: int, steps: int = 6000, width: int = 24, batch: int = 16, lr: float = 2e-3) -> dict:
    """For each set of test crops the PSNR in decibels: as they are, filtered, denoised by the network."""
    clean, tests = to_learn(seed)

    def batches(rng):  # other noise each time
        for _ in range(steps):
            x = clean[rng.integers(0, len(clean), batch)]
            yield x + np.float32(sigma) * rng.standard_normal(x.shape, dtype=np.float32), x

    net = unet.Denoiser(unet.UNet(3, 3, width=width, depth=1, norm=False, seed=seed))
    optimiser = torch.optim.Adam(net.parameters(), lr=lr)
    train.fit(net, batches, optimiser, loss=F.mse_loss, epochs=1, schedule=warm_up_linear(lr, steps), seed=seed,
              progress=False)  # fmt: skip
    found = {}
    for test in tests:
        held = to_test(test, seed)
        given = noisy(held, sigma, seed)
        best, filtered = scenes.best_blur(given, held)
        found[test] = {
            "noisy": scenes.psnr(given, held), "filter": scenes.psnr(filtered, held), "sigma": best,
            "net": scenes.psnr(unet.apply(net, given), held),
        }  # fmt: skip
    return found


def denoising(seeds: int, sigma: float = 0.1, **settings) -> list[str]:
    lines = [
        "| tested on | noisy, dB | best Gaussian filter, dB (its σ, pixels) | U-Net, dB | U-Net − filter |",
        "|---|---|---|---|---|",
    ]
    found = [denoise(sigma, s, **settings) for s in tqdm(range(seeds), "denoising", leave=False)]
    for test in found[0]:
        value = {name: np.array([f[test][name] for f in found]) for name in found[0][test]}
        lines.append(
            f"| {test} | {spread(value['noisy'])} | {spread(value['filter'])} ({value['sigma'].mean():.1f}) "
            f"| {spread(value['net'])} | {spread(value['net'] - value['filter'])} |"
        )
    gains = [np.mean([v["net"] - v["filter"] for v in f.values()]) for f in found]
    return [*lines, f"| all, mean | – | – | – | {spread(np.array(gains))} |"]


# --------------------------------------------------------------------------------------------------------- 5. detection


def detect(seed: int, n: int = 4000, epochs: int = 6, width: int = 8, lr: float = 5e-3) -> detection.Tally:
    """A detector trained on shapes over the left part of the photographs, counted on 400 images over the right part."""
    made = scenes.scenes(n, seed=seed, size=48, part=LEFT)
    targets = np.stack([detection.encode(b, k, 6, 8, 4) for b, k in zip(made.boxes, made.classes, strict=True)])
    net = detection.detector(4, width=width, seed=seed)
    optimiser = torch.optim.Adam(net.parameters(), lr=lr)
    train.fit(net, (made.images, targets.astype(np.float32)), optimiser, loss=detection.detection_loss, epochs=epochs,
              batch_size=16, schedule=warm_up_linear(lr, epochs * -(-n // 16)), seed=seed, progress=False)  # fmt: skip
    test = scenes.scenes(400, seed=10_000 + seed, size=48, part=RIGHT)
    found = [detection.detect(out, 8) for out in unet.apply(net, test.images)]
    return detection.tally(found, test.boxes, test.classes)


def detections(seeds: int, **settings) -> list[str]:
    found = [detect(seed, **settings) for seed in tqdm(range(seeds), "detection", leave=False)]
    precision, recall = (spread([100 * getattr(f, name) for f in found]) for name in ("precision", "recall"))
    return ["| precision, % | recall, % |", "|---|---|", f"| {precision} | {recall} |"]


# --------------------------------------------------------------------------------------------------------- 6. agreement


@torch.no_grad()
def agreement() -> list[str]:
    import torchvision
    from torchvision.models.convnext import CNBlock

    x = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    lines = ["| what | largest difference from torchvision's |", "|---|---|"]
    for name in ("resnet18", "resnet34", "resnet50"):
        ours, theirs = resnet.resnet(name, seed=0).eval(), getattr(torchvision.models, name)().eval()
        theirs.load_state_dict(ours.state_dict())
        lines.append(f"| {name}, float32, ours loaded there | {float((ours(x) - theirs(x)).abs().max()):.0e} |")
        theirs = getattr(torchvision.models, name)().eval()
        ours.load_state_dict(theirs.state_dict())
        lines.append(f"| {name}, float32, theirs loaded here | {float((ours(x) - theirs(x)).abs().max()):.0e} |")
    ours, theirs = resnet.ConvNeXtBlock(12, alpha=0.5).double(), CNBlock(12, 0.5, 0.0).double().eval()
    theirs.load_state_dict(ours.state_dict())
    maps = torch.randn(2, 12, 9, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    lines.append(f"| ConvNeXt block, float64 | {float((ours(maps) - theirs(maps)).abs().max()):.0e} |")
    rng, worst, same = np.random.default_rng(0), 0.0, 0
    for _ in range(200):
        corner = rng.uniform(0, 40, (30, 2))
        boxes, scores = np.concatenate([corner, corner + rng.uniform(1, 20, (30, 2))], axis=1), rng.random(30)
        theirs = torchvision.ops.box_iou(torch.tensor(boxes), torch.tensor(boxes)).numpy()
        worst = max(worst, np.abs(detection.box_iou(boxes, boxes) - theirs).max())
        kept = torchvision.ops.nms(torch.tensor(boxes), torch.tensor(scores), 0.5).numpy()
        same += np.array_equal(detection.nms(boxes, scores, 0.5), kept)
    lines.append(f"| IoU of 200 times 30 boxes, float64 | {worst:.0e} |")
    return [*lines, f"| NMS of the same | {same} of 200 alike |"]


# ------------------------------------------------------------------------------------------------------- 7. on CIFAR-10

CIFAR_ROWS = ((3, False), (9, False), (3, True), (9, True))  # blocks a stage: 20 and 56 layers


def cifar_error(blocks: int, skips: bool, seed: int, epochs: int, n: int | None = None, width: int = 16, device="cpu"):
    """Training and test error in per cent of one of the paper's networks."""
    d = data.load("cifar10")
    x, y = d.x_train[:n] - 0.5, d.y_train[:n]
    net = resnet.SmallNet(blocks, skips=skips, channels=3, width=width, seed=seed).to(device)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    train.fit(net, (x, y), optimiser, loss=F.cross_entropy, epochs=epochs, batch_size=128, seed=seed, progress=False,
              schedule=warm_up_linear(0.1, epochs * -(-len(x) // 128), 100))  # fmt: skip
    return error(net, (x, y)), error(net, (d.x_test - 0.5, d.y_test))


def cifar(seeds: int) -> list[str]:
    lines = ["| network | training error, % | test error, % |", "|---|---|---|"]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    for blocks, skips in CIFAR_ROWS:
        name = f"{'residual' if skips else 'plain'}, {6 * blocks + 2} layers"
        if not FULL:
            lines.append(f"| {name} | not measured | not measured |")
            continue
        found = np.array([cifar_error(blocks, skips, seed, epochs=100, device=device) for seed in range(seeds)])
        lines.append(f"| {name} | {spread(found[:, 0])} | {spread(found[:, 1])} |")
    return lines


# ------------------------------------------------------------------------------------------------------------- the page


TITLES = {
    "degradation": "Deeper, and worse",
    "layer_scale": "LayerScale",
    "segmentation": "Segmentation",
    "denoising": "Denoising",
    "detection": "One-stage detection",
    "agreement": "Agreement with torchvision",
    "cifar": "The networks of He et al. (2016) on CIFAR-10",
}


def part(name: str, options: argparse.Namespace) -> list[str]:
    """One table, with the sentence that says what it is."""
    seeds = options.seeds
    pictures, side = images().name, draw(0, 1)[0][0].shape[-1]
    parts = {
        "degradation": lambda: [
            "**Deeper, and worse.** Plain and residual networks with the same parameters on 1,000 images of "
            f"{pictures} ({side}×{side} pixels, of larger ones the averages): three stages of 8, 16 and 32 channels "
            "with 1 or 6 blocks each, batch norm, 15 epochs of SGD with momentum 0.9 in batches of 50, the learning "
            f"rate warmed up and then linearly to 0; {seeds} seeds, mean and range. Last column: each block that does "
            "not change the shape is cut out of the trained network, one at a time; mean and range over blocks and "
            "seeds.", "",
            *degradation(seeds),
        ],
        "layer_scale": lambda: [
            "**LayerScale.** 24 residual blocks of width 32 by hand, without any normalisation, on the digits; Adam at "
            f"0.003, batches of 50; {seeds} seeds, mean and range. The second column is relative to the input of the "
            "first block.", "", *layer_scale(seeds),
        ],
        "segmentation": lambda: [
            "**Segmentation.** One to three shapes on 32×32 pixels of the course's two photographs: learned on 8,000 "
            "images over the left 60% of them, tested on 400 over the right 40%. 12 channels at the first level, three "
            "levels below it, Adam at 0.005, three epochs in batches of 8; "
            f"{seeds} seeds, mean and range. Wanted: at least 0.95 with skips.", "", *segmentation(seeds),
        ],
        "denoising": lambda: [
            "**Denoising.** Colour images with Gaussian noise of standard deviation 0.1. Learned on the 4,000 images "
            "of CIFAR-10 that the course has, tested on 100 crops of 64×64 of each of its two photographs. (Without "
            "CIFAR-10: learned on the left 60% of these, tested on the right 40%.) U-Net of 24 channels, one level "
            "below, no norm, Adam at 0.002, 6,000 steps of 16 images of 32×32. The filter's σ is the best on the test "
            f"crops themselves; {seeds} seeds, mean and range. Wanted: 3 dB more than the filter.", "",
            *denoising(seeds),
        ],
        "detection": lambda: [
            "**One-stage detection.** One to three shapes of four kinds on 48×48 pixels, a cell for 8×8; learned on "
            "4,000 images over the left 60% of the photographs, six epochs, tested on 400 over the right 40%. Right is "
            "a box of the right class with an IoU above 0.5; scores above 0.5, NMS at 0.4; "
            f"{seeds} seeds, mean and range.", "", *detections(seeds),
        ],
        "agreement": lambda: [
            "**Agreement with torchvision**, in eval mode. Wanted: at most 1e-5.", "", *agreement(),
        ],
        "cifar": lambda: [
            "**The networks of He et al. (2016) on CIFAR-10** (the 4,000 training images that the course brings), "
            "behind `DLCOURSE_FULL`, on a GPU:", "", *cifar(seeds),
        ],
    }  # fmt: skip
    return parts[name]()


if __name__ == "__main__":
    common.main("resnet", __doc__, common.choose(TITLES, part), seeds=3)
