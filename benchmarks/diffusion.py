"""What diffusion draws, measured: the pixel, scores, points of the plane, digits, steps, predictions, guidance.

    python benchmarks/diffusion.py                                        # prints the tables
    python benchmarks/diffusion.py --write book/results/diffusion.md      # writes them too
    python benchmarks/diffusion.py --only pixel --write book/results/diffusion.md   # one table anew, the others stay
    DLCOURSE_FULL=1 python benchmarks/diffusion.py --only mnist           # MNIST, for a GPU

Every network of digits is trained on the 1,438 training images of the set of 8×8 digits that comes with the course. A
classifier that saw real images only says what it reads; coverage is that of the 359 test images.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
import time
from pathlib import Path

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # read when NumPy is imported, so before that

import numpy as np  # noqa: E402
import torch  # noqa: E402
from sklearn.svm import SVC  # noqa: E402
from torch import nn  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks import common  # noqa: E402
from benchmarks.common import spread  # noqa: E402
from dlcourse import data, denoiser, diffusion, metrics, vae  # noqa: E402

FULL = bool(os.environ.get("DLCOURSE_FULL"))
PIXEL = ([0.7, 0.3], [[-0.75], [0.75]], [0.01, 0.01])
_turn = np.pi / 4 * np.arange(8)
RING = (np.full(8, 1 / 8), 1.4 * np.stack([np.cos(_turn), np.sin(_turn)], axis=1), np.full(8, 0.02))
BARS = diffusion.alpha_bars(diffusion.cosine_betas(200))


# ------------------------------------------------------------------------------------------------------- 1. the pixel

SCHEDULES = {
    "tutorial: T = 50, β from 0.0001 to 0.02": lambda: diffusion.linear_betas(50, 1e-4, 0.02),
    "the same β, T = 1000": lambda: diffusion.linear_betas(1000, 1e-4, 0.02),
    "linear, T = 50": lambda: diffusion.linear_betas(50),
    "linear, T = 200": lambda: diffusion.linear_betas(200),
    "cosine, T = 50": lambda: diffusion.cosine_betas(50),
    "cosine, T = 200": lambda: diffusion.cosine_betas(200),
}


def near_a_bump(x: np.ndarray) -> float:
    """The share of samples within three standard deviations of a bump."""
    return float((np.abs(np.abs(x) - 0.75) < 0.3).mean())


def pixel(seeds: int, n: int = 20_000, schedules=SCHEDULES) -> list[str]:
    lines = [
        f"**The pixel with two bumps.** 0.7 of N(−0.75, 0.1²) and 0.3 of N(0.75, 0.1²), with the exact noise "
        f"predictor. P is the share above 0 of {n:,} samples; wanted: 0.30. "
        f"Mean of {seeds} seeds (lowest to highest).",
        "",
        "| schedule | ᾱ_T | P, DDPM | P, DDIM | one step x_T − ε: near a bump |",
        "|---|---|---|---|---|",
    ]
    for name, betas in schedules.items():
        bars, found = diffusion.alpha_bars(betas(), left=1.0), []
        predict = diffusion.mixture_noise(*PIXEL, bars)
        for seed in range(seeds):
            rng = np.random.default_rng(seed)
            x = rng.standard_normal((n, 1))
            once = diffusion.one_step(predict, x, bars)
            ddpm, ddim = diffusion.ddpm_sample(predict, x, bars, rng), diffusion.ddim_sample(predict, x, bars)
            found.append((np.mean(ddpm > 0), np.mean(ddim > 0), 100 * near_a_bump(once)))
        ddpm, ddim, once = np.array(found).T
        lines.append(f"| {name} | {bars[-1]:.1e} | {spread(ddpm, 3)} | {spread(ddim, 3)} | {spread(once)}% |")
    return lines


# ----------------------------------------------------------------------------------------------------------- 2. score


def ring(n: int, seed: int) -> np.ndarray:
    return diffusion.mixture_sample(*RING, n, np.random.default_rng(seed))[0].astype(np.float32)


def fit_points(x: np.ndarray, seed: int, steps: int, width: int = 64) -> nn.Module:
    net = denoiser.MLPDenoiser((2,), width, 3, seed=seed)
    return denoiser.fit_denoiser(net, x, BARS, target="v", steps=steps, batch_size=256, lr=2e-3, decay=0.995, seed=seed)


@functools.cache
def ring_net(seed: int, steps: int) -> nn.Module:
    return fit_points(ring(20_000, 1000 + seed), seed, steps)


def score(seeds: int, steps: int = 3000, times=(10, 40, 80, 120, 160, 199)) -> list[str]:
    lines = [
        "**The score.** Eight bumps on a ring, whose score is known at every time. Root of the mean square of "
        f"(learnt − true score), over that of the true score, at 5,000 draws of x_t. An MLP, {steps:,} updates of 256, "
        f"{seeds} seeds: mean (smallest to largest).",
        "",
        "| time t of 200 | share of signal ᾱ_t | relative error of the score |",
        "|---|---|---|",
    ]
    for t in times:
        errors = []
        for seed in range(seeds):
            mixture = diffusion.noised_mixture(*RING, t, BARS)
            x, _ = diffusion.mixture_sample(*mixture, 5000, np.random.default_rng(seed))
            noise = denoiser.predictor(ring_net(seed, steps), BARS, target="v")(x.astype(np.float32), t)
            learnt, true = diffusion.score_from_noise(noise, t, BARS), diffusion.mixture_score(x, *mixture)
            errors.append(100 * np.sqrt(np.mean((learnt - true) ** 2) / np.mean(true**2)))
        lines.append(f"| {t} | {BARS[t]:.3f} | {spread(errors)}% |")
    return lines


# ---------------------------------------------------------------------------------------------------------- 3. points

PLANES = {
    "ring of eight": ring,
    "two moons": lambda n, seed: (data.moons(n, noise=0.1, seed=seed)[0] - [0.5, 0.25]).astype(np.float32),
    "two spirals": lambda n, seed: data.spirals(n, noise=0.05, seed=seed)[0],
}


def points(seeds: int, steps: int = 3000, n: int = 2000, planes=PLANES) -> list[str]:
    lines = [
        f"**Points of the plane.** {n:,} samples against {n:,} new points of the same distribution: p-value of the "
        "permutation test of MMD (Gaussian kernel, median bandwidth, 500 permutations). Wanted: above 0.05. The last "
        f"column tests two real samples. An MLP, 20,000 training points, {steps:,} updates of 256; {seeds} seeds.",
        "",
        "| set | sampler | p-values | rejected at 5% | p-values, real against real |",
        "|---|---|---|---|---|",
    ]
    for name, draw in planes.items():
        found: dict[str, list[float]] = {"DDPM, 200 steps": [], "DDIM, 50 steps": []}
        real = []
        for seed in range(seeds):
            rng = np.random.default_rng(seed)
            truth, other = draw(n, 3000 + seed), draw(n, 4000 + seed)
            net = ring_net(seed, steps) if draw is ring else fit_points(draw(20_000, 1000 + seed), seed, steps)
            for sampler, count in (("ddpm", 200), ("ddim", 50)):
                made = denoiser.generate(net, (n, 2), BARS, target="v", sampler=sampler, steps=count, seed=2000 + seed)
                found[f"{sampler.upper()}, {count} steps"].append(metrics.mmd_test(truth, made, rng).p)
            real.append(metrics.mmd_test(truth, other, rng).p)
        for sampler, p in found.items():
            lines.append(
                f"| {name} | {sampler} | {', '.join(f'{v:.2f}' for v in p)} | {sum(v <= 0.05 for v in p)} of {seeds} | "
                f"{', '.join(f'{v:.2f}' for v in real)} |"
            )
    return lines


# ---------------------------------------------------------------------------------------------------------- 4. digits


@functools.cache
def digits():
    """Training images from -1 to 1, their labels, test images from 0 to 1 as rows, and the judge."""
    loaded = data.load("digits")
    rows = [x.reshape(len(x), -1) for x in (loaded.x_train, loaded.x_test)]
    judge = SVC(gamma=0.1, C=10).fit(rows[0], loaded.y_train)
    return 2 * loaded.x_train[:, None] - 1, loaded.y_train, rows[1], judge, judge.score(rows[1], loaded.y_test)


NETS = {
    "MLP": (lambda seed: denoiser.MLPDenoiser((1, 8, 8), 192, 3, classes=10, seed=seed), 1500, 2e-3),
    "U-Net": (lambda seed: denoiser.UNetDenoiser(1, 16, 1, classes=10, seed=seed), 500, 3e-3),
    "DiT": (lambda seed: denoiser.DiT(8, 2, 64, 3, 4, classes=10, seed=seed), 500, 2e-3),
}


@functools.cache
def fit_digits(name: str, seed: int, target: str = "v", steps: int | None = None) -> tuple[nn.Module, float]:
    """The trained network, and the processor's seconds."""
    make, usual, lr = NETS[name]
    x, y, *_ = digits()
    start = time.process_time()
    net = denoiser.fit_denoiser(make(seed), x, BARS, y, target=target, steps=steps or usual, lr=lr, seed=seed)
    return net, time.process_time() - start


def judged(images: np.ndarray, asked: np.ndarray) -> tuple[float, float, float]:
    """Of images from 0 to 1: percent read as asked; coverage of as many test images; distance to the nearest training
    image."""
    x, _, test, judge, _ = digits()
    rows = images.reshape(len(images), -1)
    training = (x.reshape(len(x), -1) + 1) / 2
    nearest = np.sqrt(((rows[:200, None] - training) ** 2).sum(axis=2).min(axis=1)).mean()
    return 100 * np.mean(judge.predict(rows) == asked), metrics.coverage(test, rows[: len(test)]), nearest


def made_digits(net, seed: int, n: int = 500, target: str = "v", **options) -> tuple[np.ndarray, np.ndarray]:
    """Images from 0 to 1, and what was asked for."""
    asked = np.arange(n) % 10
    made = denoiser.generate(net, (n, 1, 8, 8), BARS, target=target, y=asked, clip=(-1, 1), seed=5000 + seed, **options)
    return (made + 1) / 2, asked


def draw_digits(net, seed: int, **options) -> tuple[float, float, float]:
    return judged(*made_digits(net, seed, **options))


def fit_latents(seed: int, epochs: int = 60, steps: int = 1500):
    """A VAE with 10 numbers a digit, and a denoiser of its codes: both, and the processor's seconds."""
    x, y, *_ = digits()
    images, start = (x[:, 0] + 1) / 2, time.process_time()
    coder = vae.VAE((8, 8), 10, (128,), seed=seed)
    vae.fit_vae(coder, images, epochs=epochs, batch_size=64, noise=0.1, seed=seed, progress=False)
    space = denoiser.LatentSpace(coder, images, logits=False)
    net = denoiser.MLPDenoiser((10,), 128, 3, classes=10, seed=seed)
    net = denoiser.fit_denoiser(net, space.encode(images), BARS, y, target="v", steps=steps, seed=seed)
    return space, net, time.process_time() - start


def digit_rows(seeds: int, latent_options=None) -> list[str]:
    x, _, test, _, accuracy = digits()
    real = (x[: len(test), 0] + 1).reshape(len(test), -1) / 2
    lines = [
        "**Digits, as asked.** 500 samples, 50 of each digit, 50 DDIM steps, v-prediction. *As asked*: the share "
        f"that a support vector machine, trained on real digits ({100 * accuracy:.1f}% on the test images; "
        "wanted: at least 98%), reads as the digit that was asked for; wanted: at least 95%. *Coverage* of the 359 "
        f"test images by 359 samples, k = 5, on pixels; wanted: at least 0.9. {seeds} seeds: mean "
        "(smallest to largest).",
        "",
        "| network | guidance | as asked | coverage | distance to the nearest training image | CPU seconds to train |",
        "|---|---|---|---|---|---|",
    ]

    def row(name, guidance, found, seconds):
        asked, covered, nearest = np.array(found).T
        lines.append(
            f"| {name} | {guidance:g} | {spread(asked)}% | {spread(covered, 3)} | {spread(nearest, 2)} | "
            f"{np.mean(seconds):.0f} |"
        )

    for name, (_, updates, _) in NETS.items():
        trained = [fit_digits(name, seed) for seed in range(seeds)]
        for guidance in (1.0, 2.0):
            found = [draw_digits(net, s, steps=50, guidance=guidance) for s, (net, _) in enumerate(trained)]
            row(f"{name}, {updates:,} updates", guidance, found, [seconds for _, seconds in trained])
    latent = [fit_latents(seed, **(latent_options or {})) for seed in range(seeds)]
    for guidance in (1.0, 2.0):
        found, asked = [], np.arange(500) % 10
        for seed, (space, net, _) in enumerate(latent):
            codes = denoiser.generate(
                net, (500, 10), BARS, target="v", y=asked, guidance=guidance, steps=50, seed=5000 + seed
            )
            found.append(judged(space.decode(codes), asked))
        row("latent: MLP on the 10 numbers of a VAE", guidance, found, [seconds for *_, seconds in latent])
    training = (x.reshape(len(x), -1) + 1) / 2
    nearest = np.sqrt(((test[:200, None] - training) ** 2).sum(axis=2).min(axis=1)).mean()
    lines.append(
        f"| real digits: 359 training images for coverage, test images for the distance | – | – | "
        f"{metrics.coverage(test, real):.3f} | {nearest:.2f} | – |"
    )
    return lines


# ------------------------------------------------------------------------------------------- 5. steps, 6. predictions


def steps_table(seeds: int, counts=(1, 2, 5, 10, 20, 50, 200)) -> list[str]:
    x, _, test, *_ = digits()
    training = (x.reshape(len(x), -1) + 1) / 2
    lines = [
        "**Samples against steps.** The MLP of the table of digits, T = 200, guidance 1; 500 samples, "
        f"{seeds} seeds: mean (smallest to largest). *Fréchet*: the distance of FID, on the pixels themselves, to the "
        f"training images; the real test images have {metrics.fid(training, test):.2f}.",
        "",
        "| steps | DDPM: as asked | DDPM: coverage | DDPM: Fréchet | DDIM: as asked | DDIM: coverage | DDIM: Fréchet |",
        "|---|---|---|---|---|---|---|",
    ]
    for count in counts:
        cells = []
        for sampler in ("ddpm", "ddim"):
            found = []
            for seed in range(seeds):
                made, asked = made_digits(fit_digits("MLP", seed)[0], seed, steps=count, sampler=sampler)
                found.append((*judged(made, asked)[:2], metrics.fid(training, made.reshape(len(made), -1))))
            asked, covered, distance = np.array(found).T
            cells += [f"{spread(asked)}%", spread(covered, 3), spread(distance, 2)]
        lines.append(f"| {count} | {' | '.join(cells)} |")
    return lines


def predictions(seeds: int, updates: int | None = None) -> list[str]:
    lines = [
        f"**What to predict.** The same MLP and the same updates, each time with another target; {seeds} seeds: mean "
        "(smallest to largest). The error is that of ε on test images, whatever was predicted.",
        "",
        "| target | error in ε | DDIM, 10 steps: as asked | coverage | DDIM, 50 steps: as asked | coverage |",
        "|---|---|---|---|---|---|",
    ]
    loaded = data.load("digits")
    held = 2 * loaded.x_test[:, None] - 1
    for target, name in (("noise", "ε"), ("x", "x"), ("v", "v")):
        found = []
        for seed in range(seeds):
            net, _ = fit_digits("MLP", seed, target, updates)
            error = denoiser.held_out_error(net, held, BARS, loaded.y_test, target=target, repeats=60)
            few, many = (draw_digits(net, seed, target=target, steps=count)[:2] for count in (10, 50))
            found.append((error, *few, *many))
        error, *cells = np.array(found).T
        cells = [f"{spread(c)}%" if i % 2 == 0 else spread(c, 3) for i, c in enumerate(cells)]
        lines.append(f"| {name} | {spread(error, 3)} | {' | '.join(cells)} |")
    return lines


def guidance_table(seeds: int, strengths=(0, 1, 1.5, 2, 4, 8)) -> list[str]:
    lines = [
        f"**Guidance.** The MLP of the table of digits, 50 DDIM steps, 500 samples; {seeds} seeds: mean (smallest to "
        "largest). With 0 the label plays no part: one digit in ten is as asked by chance.",
        "",
        "| guidance g | as asked | coverage | distance to the nearest training image |",
        "|---|---|---|---|",
    ]
    for g in strengths:
        found = [draw_digits(fit_digits("MLP", seed)[0], seed, steps=50, guidance=float(g)) for seed in range(seeds)]
        asked, covered, nearest = np.array(found).T
        lines.append(f"| {g} | {spread(asked)}% | {spread(covered, 3)} | {spread(nearest, 2)} |")
    return lines


# ----------------------------------------------------------------------------------------------------------- 7. MNIST


def mnist(updates: int = 20_000, epochs: int = 5, batch_size: int = 256, n: int = 1000, steps: int = 100) -> list[str]:
    """28×28 digits with the U-Net, under DLCOURSE_FULL only."""
    lines = [
        f"**MNIST, 28×28** (FULL, on a GPU): a U-Net of three levels, {updates:,} updates of {batch_size}, {n:,} "
        f"samples with guidance 2, {steps} DDIM steps; read by a LeNet-5 trained on the real images. Wanted: at least "
        "95% as asked.",
        "",
        "| network | as asked | accuracy of the reader on real test images |",
        "|---|---|---|",
    ]
    if not FULL:
        return [*lines, "| U-Net, width 32 | not measured | not measured |"]
    from dlcourse import cnn, train

    device = "cuda" if torch.cuda.is_available() else "cpu"
    loaded = data.load("mnist")
    torch.manual_seed(0)
    reader = cnn.lenet(seed=0).to(device)
    train.fit(reader, (loaded.x_train[:, None], loaded.y_train), torch.optim.Adam(reader.parameters(), 1e-3),
              loss=nn.functional.cross_entropy, epochs=epochs, batch_size=128)  # fmt: skip

    def read(images):
        with torch.no_grad(), train.evaluating(reader):
            return reader(torch.as_tensor(images, device=device)).argmax(1).cpu().numpy()

    net = denoiser.UNetDenoiser(1, 32, 2, classes=10, seed=0).to(device)
    net = denoiser.fit_denoiser(net, 2 * loaded.x_train[:, None] - 1, BARS, loaded.y_train, target="v", steps=updates,
                                batch_size=batch_size, lr=1e-3, decay=0.999)  # fmt: skip
    asked = np.arange(n) % 10
    made = denoiser.generate(net, (n, 1, 28, 28), BARS, target="v", y=asked, guidance=2.0, steps=steps, clip=(-1, 1))
    own = np.mean(read(loaded.x_test[:, None]) == loaded.y_test)
    return [*lines, f"| U-Net, width 32 | {100 * np.mean(read((made + 1) / 2) == asked):.1f}% (one seed) | {own:.1%} |"]


PARTS = {
    "pixel": ("The pixel with two bumps", lambda options: pixel(options.seeds)),
    "score": ("The score", lambda options: score(options.seeds)),
    "points": ("Points of the plane", lambda options: points(options.seeds)),
    "digits": ("Digits, as asked", lambda options: digit_rows(options.seeds)),
    "steps": ("Samples against steps", lambda options: steps_table(options.seeds)),
    "predictions": ("What to predict", lambda options: predictions(options.seeds)),
    "guidance": ("Guidance", lambda options: guidance_table(options.seeds)),
    "mnist": ("MNIST, 28×28", lambda options: mnist()),
}

if __name__ == "__main__":
    common.main("diffusion", __doc__, PARTS, seeds=3, arguments=argparse.ArgumentParser())
