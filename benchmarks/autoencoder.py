"""Autoencoders, measured: PCA's subspace by gradient descent, denoising, likelihoods of VAEs, codebooks.

    python benchmarks/autoencoder.py                                      # prints the tables
    python benchmarks/autoencoder.py --write book/results/autoencoder.md  # writes them too
    DLCOURSE_FULL=1 python benchmarks/autoencoder.py --only full          # the long run, 15 minutes

1. The linear autoencoder on the 8×8 digits: the largest principal angle to PCA's subspace.
2. Denoising on MNIST: PSNR against the noise, beside PCA and the best Gaussian filter.
3. The ELBO of a VAE on dynamically binarised MNIST after a minute, and the importance-weighted bound beside it.
4. The same for a larger network and more epochs, behind FULL.
5. The VQ-VAE's codebook: how many codes are in use, with and without moving those that are not.
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
from tqdm import tqdm  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks import common  # noqa: E402
from dlcourse import autoencoder, data, scenes, train, vae  # noqa: E402
from dlcourse.unet import apply  # noqa: E402

FULL = bool(os.environ.get("DLCOURSE_FULL"))
SIGMAS = (0.1, 0.2, 0.4, 0.8)


@functools.cache
def mnist(n: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Images of the training set, the first n, and of the test set: (N, 28, 28) from 0 to 1."""
    d = data.load("mnist")
    return d.x_train[:n], d.x_test


# ------------------------------------------------------------------------------------------------ 1. PCA's subspace


def angle(k: int, seed: int, **options) -> tuple[float, float]:
    """The largest principal angle to PCA's subspace, in radians, and the excess of the loss over PCA's, relative."""
    x = data.load("digits", dtype=np.float64).x_train.reshape(-1, 64)
    basis = autoencoder.pca(x, k)
    _, wd, losses = autoencoder.fit_linear_autoencoder(x - basis.mean, k, seed=seed, **options)
    least = basis.variance[k:].sum()
    return float(autoencoder.principal_angles(basis.w, wd.T)[0]), float(losses[-1] / least - 1)


def angles(seeds: int, ks=(2, 8, 16), **options) -> list[str]:
    lines = ["| numbers in the code | largest principal angle, rad | loss above PCA's |", "|---|---|---|"]
    for k in ks:
        found = np.array([angle(k, seed, **options) for seed in tqdm(range(seeds), f"k = {k}", leave=False)])
        cells = [f"{v.mean():.1e} ({v.min():.1e} to {v.max():.1e})" for v in found.T]
        lines.append(f"| {k} | " + " | ".join(cells) + " |")
    return lines


# ----------------------------------------------------------------------------------------------------- 2. denoising


def denoisers(seed: int, clean: np.ndarray, epochs: int) -> dict[str, vae.Autoencoder]:
    """Trained on noise of any strength from 0 to the largest one of the table."""
    made = {
        "dense autoencoder": vae.Autoencoder((28, 28), 64, (256,), seed=seed),
        "convolutional autoencoder": vae.Autoencoder((28, 28), 64, (16, 32), conv=True, seed=seed),
    }
    for net in made.values():
        train.fit(
            net, vae.noisy_batches(clean, (0.0, SIGMAS[-1])), torch.optim.Adam(net.parameters(), 2e-3),
            loss=torch.nn.functional.mse_loss, epochs=epochs, seed=seed, progress=False,
            schedule=lambda step: 2e-3 * 0.5 ** (step // max(1, epochs * len(clean) // 64 // 4)),
        )  # fmt: skip
    return made


def pca_denoised(noisy: np.ndarray, clean_train: np.ndarray, clean: np.ndarray) -> np.ndarray:
    """By the projection on PCA's directions, as many as give the best PSNR on these very images."""
    basis = autoencoder.pca(clean_train.reshape(len(clean_train), -1), 200)
    z = basis.encode(noisy.reshape(len(noisy), -1))
    shown = [
        (np.where(np.arange(200) < k, z, 0) @ basis.w.T + basis.mean).reshape(noisy.shape).clip(0, 1)
        for k in (10, 20, 40, 80, 120, 200)
    ]
    return max(shown, key=lambda images: scenes.psnr(images, clean))


def denoising(seeds: int, n: int = 5000, epochs: int = 10, held: int = 1000) -> list[str]:
    """A row a method, a column a strength of noise."""
    clean_train, clean = mnist(n)[0], mnist(n)[1][:held]
    found: dict[str, list[list[float]]] = {}
    for seed in tqdm(range(seeds), "denoising", leave=False):
        trained = denoisers(seed, clean_train, epochs)
        for sigma in SIGMAS:
            noisy = (clean + sigma * np.random.default_rng([seed, 1]).standard_normal(clean.shape)).astype(np.float32)
            shown = {
                "as it came": noisy,
                "best Gaussian filter": scenes.best_blur(noisy[:, None], clean[:, None])[1][:, 0],
                "PCA, best number of directions": pca_denoised(noisy, clean_train, clean),
                **{name: apply(net, noisy) for name, net in trained.items()},
            }
            for name, images in shown.items():
                rows = found.setdefault(name, [[] for _ in SIGMAS])
                rows[SIGMAS.index(sigma)].append(scenes.psnr(images.clip(0, 1), clean))
    lines = ["| method | " + " | ".join(f"noise {sigma}: PSNR, dB" for sigma in SIGMAS) + " |", "|---" * 5 + "|"]
    return [*lines, *(f"| {name} | " + " | ".join(map(common.spread, rows)) + " |" for name, rows in found.items())]


# --------------------------------------------------------------------------------------------- 3. and 4. likelihoods


def likelihood(
    seed: int, *, hidden: tuple[int, ...], latent: int, epochs: int, batch_size: int, samples: tuple[int, ...],
    n: int | None = None, bounded: int = 1000, lr: float = 1e-3,
) -> dict[str, float]:  # fmt: skip
    """A VAE on MNIST: CPU seconds, and in nats an image the test set's -ELBO, its KL part, and -bound with K samples.

    The test images are binarised once, by the seed; the bounds take the first ``bounded`` of them, the ELBO takes all.
    """
    x, x_test = mnist(n)
    start = time.process_time()
    net = vae.VAE((28, 28), latent, hidden, seed=seed)
    vae.fit_vae(net, x, epochs=epochs, batch_size=batch_size, lr=lr, seed=seed, progress=False)
    seconds = time.process_time() - start
    b_test = vae.binarised(x_test, np.random.default_rng([seed, 1]))
    with torch.no_grad():
        kl = vae.gaussian_kl(*net.encode(torch.as_tensor(b_test))).mean().item()
    found = {"seconds": seconds, "elbo": -vae.elbo(net, b_test, seed=seed).mean(), "kl": kl}
    for k in samples:
        found[f"K = {k}"] = -vae.importance_bound(net, b_test[:bounded], k, seed=seed).mean()
    return found


def written(values: list[float], digits: int) -> str:
    """Mean and range over seeds; of one seed its value."""
    return common.spread(values, digits) if len(values) > 1 else f"{values[0]:.{digits}f}"


def likelihoods(name: str, seeds: int, **setting) -> list[str]:
    """One row: what was run, and what was found over the seeds."""
    runs = [likelihood(seed, **setting) for seed in tqdm(range(seeds), name, leave=False)]
    samples = setting["samples"]
    bounds = [f"−bound, {k:,} sample{'s' * (k > 1)}" for k in samples]
    heads = ["−ELBO, nats", "of it KL", *bounds, "CPU seconds", "seeds"]
    keys = {"elbo": 2, "kl": 2, **{f"K = {k}": 2 for k in samples}, "seconds": 0}
    cells = [written([run[key] for run in runs], digits) for key, digits in keys.items()]
    cells.append(str(seeds))
    return [
        "| network | " + " | ".join(heads) + " |",
        "|---" * (len(heads) + 1) + "|",
        f"| {name} | " + " | ".join(cells) + " |",
    ]


MINUTE = {"hidden": (256,), "latent": 20, "epochs": 10, "batch_size": 128, "samples": (1, 10, 100)}
LONG = {"hidden": (500, 500), "latent": 50, "epochs": 60, "batch_size": 256, "samples": (1, 100, 1000)}


# ------------------------------------------------------------------------------------------------------ 5. codebooks


def codebook(codes: int, restart: bool, seed: int, *, n: int = 2000, epochs: int = 6, held: int = 1000) -> list[float]:
    """On held-out digits: codes in use, perplexity, PSNR of the reconstruction."""
    x, x_test = mnist(n)[0], mnist(n)[1][:held]
    net = vae.VQVAE((28, 28), codes, 16, (16, 32), restart=restart, seed=seed)
    train.fit(
        net, (x, x), torch.optim.Adam(net.parameters(), 2e-3), loss=vae.vq_loss, epochs=epochs, seed=seed,
        progress=False,
    )  # fmt: skip
    with torch.no_grad(), train.evaluating(net):
        indices = net.encode(torch.as_tensor(x_test))
        shown = net.decode(indices).clamp(0, 1).numpy()
    used = autoencoder.usage(indices.numpy(), codes)
    return [float((used > 0).sum()), autoencoder.perplexity(indices.numpy(), codes), scenes.psnr(shown, x_test)]


def codebooks(seeds: int, sizes=(64, 512), **options) -> list[str]:
    lines = ["| codebook | codes in use | perplexity | PSNR, dB |", "|---|---|---|---|"]
    for codes in sizes:
        for restart in (False, True):
            name = f"{codes} codes, {'unused ones are moved' if restart else 'plain'}"
            found = np.array([codebook(codes, restart, s, **options) for s in tqdm(range(seeds), name, leave=False)])
            cells = [common.spread(found[:, 0], 0), common.spread(found[:, 1]), common.spread(found[:, 2])]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


# ------------------------------------------------------------------------------------------------------------- page


def pca_part(options: argparse.Namespace) -> list[str]:
    return [
        f"**PCA by gradient descent.** The linear autoencoder on the 1,438 training digits of 8×8 pixels, 2,000 steps "
        f"with momentum on all of them; {options.seeds} seeds of the start, mean (smallest to largest). The angle is "
        "between PCA's subspace and the decoder's. Wanted: below 1e-3 rad.", "", *angles(options.seeds),
    ]  # fmt: skip


def denoising_part(options: argparse.Namespace) -> list[str]:
    seeds = min(options.seeds, 3)
    return [
        "**Denoising.** MNIST, 5,000 images to train, 10 epochs, 1,000 test images with Gaussian noise of four "
        f"strengths; one network for all strengths; {seeds} seeds of start and noise, mean (smallest to largest). The "
        "filter's width and PCA's number of directions were chosen with the clean test images at hand.", "",
        *denoising(seeds),
    ]  # fmt: skip


def minute_part(options: argparse.Namespace) -> list[str]:
    return [
        "**A VAE after about a minute.** Dynamically binarised MNIST, 60,000 images, 10 epochs; nats an image on the "
        "10,000 test images, the bounds on the first 1,000 of them; mean (smallest to largest). Lower is better.", "",
        *likelihoods("784-256-20-256-784", min(options.seeds, 3), **MINUTE),
    ]  # fmt: skip


def full_part(options: argparse.Namespace) -> list[str]:
    if not FULL:
        return []
    return [
        "**A VAE, the longer run** (`DLCOURSE_FULL=1`). The same task, 60 epochs, batches of 256, one CPU core, "
        "seed 0. The ELBO is that of all test images, the bounds those of the first 1,000: so the one with 1 sample "
        "differs. Wanted: a negative ELBO of at most 100 nats. On a GPU: not measured.", "",
        *likelihoods("784-500-500-50-500-500-784", 1, **LONG),
    ]  # fmt: skip


def codebook_part(options: argparse.Namespace) -> list[str]:
    seeds = min(options.seeds, 3)
    return [
        "**Codebooks.** VQ-VAE on 2,000 images of MNIST, 7×7 codes an image, 6 epochs; measured on 1,000 test images; "
        f"{seeds} seeds, mean (smallest to largest).", "", *codebooks(seeds),
    ]  # fmt: skip


PARTS: dict[str, common.Part] = {
    "pca": ("PCA by gradient descent", pca_part),
    "denoising": ("Denoising", denoising_part),
    "minute": ("A VAE after about a minute", minute_part),
    "full": ("A VAE, the longer run", full_part),
    "codebook": ("Codebooks", codebook_part),
}

if __name__ == "__main__":
    common.main("autoencoder", __doc__, PARTS)
