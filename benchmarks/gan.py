"""Adversarial games, translations and a flow, measured: the coin, gradients, a ring, digits, pictures, densities.

    python benchmarks/gan.py                                     # prints the tables
    python benchmarks/gan.py --write book/results/gan.md         # writes them too
    python benchmarks/gan.py --only ring --write book/results/gan.md   # one table anew, the others stay
    DLCOURSE_FULL=1 python benchmarks/gan.py --only digits       # ten times the steps

1. p(heads) of the coin-flip GAN by hand.
2. The generator's gradient under both losses, when the discriminator is sure.
3. A ring of eight Gaussians: modes covered and good samples, collapsed and cured.
4. A conditional GAN on digits: read as asked, FID, KID, coverage.
5. Pictures from edges with pairs, and bold strokes without.
6. Held-out log-likelihood of a flow, a mixture and kernels; the flow's log-determinant against the Jacobian.
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

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks import common  # noqa: E402
from dlcourse import adversarial, data, density, flow, gan, metrics, train  # noqa: E402

FULL = bool(os.environ.get("DLCOURSE_FULL"))

# ------------------------------------------------------------------------------------------------------------ 1. coin

COIN = {
    "non-saturating, blur 0.3": {"blur": 0.3},
    "saturating, blur 0.3": {"blur": 0.3, "loss": "saturating"},
    "non-saturating, no blur": {},
}


def coin_game(seed: int, steps: int = 1500, **settings) -> adversarial.Game:
    players = adversarial.coin_generator(seed), adversarial.coin_discriminator(seed)
    return adversarial.play(*players, adversarial.coin(0.3), steps=steps, seed=seed, **settings)


def coin(seeds: int = 10, steps: int = 1500) -> list[str]:
    lines = ["| game | p(heads): mean, smallest and largest | within 0.02 of 0.3 |", "|---|---|---|"]
    for name, settings in COIN.items():
        found = np.array([adversarial.heads(coin_game(seed, steps, **settings).generator) for seed in range(seeds)])
        near = int((np.abs(found - 0.3) < 0.02).sum())
        lines.append(f"| {name} | {common.spread(found, 3)} | {near} of {seeds} |")
    return [
        *lines,
        "",
        f"A GAN by hand learns nature's coin, p(heads) = 0.3; {seeds} seeds, {steps:,} steps; p is exact, Φ(b / "
        "abs(w)). Wanted: within 0.02.",
    ]


# ------------------------------------------------------------------------------------------------------- 2. gradients


def gradient_sizes(seed: int, alone: int) -> tuple[float, float, float]:
    """The discriminator's mean D(fake) after steps of it alone, and the length of the generator's two gradients."""
    rng = np.random.default_rng(seed)
    generator, discriminator = adversarial.coin_generator(seed), adversarial.coin_discriminator(seed)
    generator.parameters[0][...], generator.parameters[1][...] = 1.0, 0.0  # its tosses lie between 0 and 1
    optimiser = adversarial.optim.Adam(discriminator.parameters, lr=0.05)
    nature = adversarial.coin(0.3)
    for _ in range(alone):
        fake = generator.forward(rng.standard_normal((256, 1)))[0]
        logits, caches = discriminator.forward(np.concatenate([nature(rng, 256), fake]))
        _, cache = adversarial.discriminator_forward(logits[:256], logits[256:])
        dlogits = np.concatenate(adversarial.discriminator_backward(1.0, cache))
        optimiser.step(discriminator.backward(dlogits, caches)[1])
    fake, fake_caches = generator.forward(rng.standard_normal((4096, 1)))
    logits, caches = discriminator.forward(fake)
    lengths = []
    for forward, backward in adversarial.GENERATOR_LOSSES.values():
        dfake, _ = discriminator.backward(backward(1.0, forward(logits)[1]), caches)
        lengths.append(
            float(np.linalg.norm(np.concatenate([g.ravel() for g in generator.backward(dfake, fake_caches)[1]])))
        )
    return float(adversarial.sigmoid_forward(logits)[0].mean()), *lengths


def gradients(seeds: int = 5, counts=(0, 30, 100, 300, 1000)) -> list[str]:
    lines = [
        "| steps of the discriminator alone | mean D(fake) | saturating | non-saturating | ratio |",
        "|---|---|---|---|---|",
    ]
    for alone in counts:
        found = np.array([gradient_sizes(seed, alone) for seed in range(seeds)])
        d, saturating, other = np.median(found, axis=0)
        lines.append(
            f"| {alone} | {d:.3f} | {saturating:.4f} | {other:.4f} | {np.median(found[:, 2] / found[:, 1]):.1f} |"
        )
    return [
        *lines,
        "",
        f"The length of the gradient by the coin generator's two parameters, when its tosses lie spread between 0 and "
        f"1; medians of {seeds} seeds. The surer the discriminator, the less the saturating loss moves.",
    ]


# ------------------------------------------------------------------------------------------------------------- 3. ring

RING = {
    "slow D, non-saturating": {"critic_lr": 5e-4},
    "slow D, saturating": {"critic_lr": 5e-4, "kind": "saturating"},
    "slow D, packs of 4": {"critic_lr": 5e-4, "pack": 4, "batch_size": 256},
    "slow D, 5 steps for each of G's": {"critic_lr": 5e-4, "critic_steps": 5},
    "slow critic, WGAN-GP, 5 steps": {"critic_lr": 5e-4, "critic_steps": 5, "kind": "wasserstein", "penalty": 0.1},
    "D as fast as G, non-saturating": {},
    "D as fast as G, saturating": {"kind": "saturating"},
}


def ring_game(seed: int, steps: int = 1200, pack: int = 1, **settings) -> metrics.Modes:
    torch.manual_seed(seed)
    generator, critic = gan.PointGenerator(), gan.PointCritic(2 * pack)
    draw = gan.batches(gan.ring(20_000))
    gan.play(generator, critic, draw, steps=steps, lr=3e-3, pack=pack, seed=seed, **settings)
    x = gan.sample(generator, 2000)
    return metrics.count_modes(x, gan.ring_centres(), 0.3, least=len(x) // 8 // 4)


def ring(seeds: int = 5, steps: int = 1200) -> list[str]:
    lines = ["| training | modes covered, of 8 | good samples, % |", "|---|---|---|"]
    real = metrics.count_modes(gan.ring(2000, seed=1), gan.ring_centres(), 0.3, least=62)
    lines.append(f"| the data themselves | {real.found} | {100 * real.near:.1f} |")
    for name, settings in RING.items():
        found = [ring_game(seed, steps, **settings) for seed in range(seeds)]
        modes, good = [m.found for m in found], [100 * m.near for m in found]
        lines.append(f"| {name} | {common.spread(modes)} | {common.spread(good)} |")
    return [
        *lines,
        "",
        f"A ring of eight Gaussians; mean, smallest and largest of {seeds} seeds, {steps:,} steps of G at rate 0.003. "
        "A mode is covered with a quarter of its fair share of 2,000 samples; a sample is good within three standard "
        "deviations of a mode. Slow: D learns at a sixth of G's rate. Wanted: collapse shown and cured.",
    ]


# ----------------------------------------------------------------------------------------------------------- 4. digits

DIGITS = {
    "WGAN-GP": {"kind": "wasserstein", "penalty": 3.0, "critic_steps": 3, "lr": 2e-3, "dropout": 0.0},
    "non-saturating, dropout in D": {"lr": 1e-3, "dropout": 0.3},
    "non-saturating, penalty": {"lr": 1e-3, "penalty": 1.0, "dropout": 0.0},
}


@functools.cache
def reader() -> gan.DigitClassifier:
    digits = data.load("digits")
    return gan.fit_classifier(digits.x_train[:, None], digits.y_train)


def judged(x: np.ndarray, asked: np.ndarray) -> tuple[float, float, float, float]:
    """Read as asked in %, FID, KID and coverage, of features, against the held-out digits."""
    held = reader().features(data.load("digits").x_test[:, None])
    f = reader().features(x)
    kid, _ = metrics.kid(held, f, np.random.default_rng(0), subsets=50, size=100)
    read = 100 * np.mean(reader().probabilities(x).argmax(axis=1) == asked)
    return read, metrics.fid(held, f), kid, metrics.coverage(held, f)


def digit_game(seed: int, steps: int, dropout: float, **settings) -> np.ndarray:
    digits = data.load("digits")
    torch.manual_seed(seed)
    generator, critic = gan.DigitGenerator(), gan.DigitCritic(dropout=dropout)
    draw = gan.batches(digits.x_train[:, None], digits.y_train)
    gan.play(generator, critic, draw, steps=steps, decay=0.98, seed=seed, **settings)
    return gan.sample(generator, 359, np.arange(359) % 10, seed=seed)


def digits(seeds: int = 3, steps: int = 8000 if FULL else 800) -> list[str]:
    real = data.load("digits")
    lines = ["| digits | read as asked, % | FID | KID | coverage |", "|---|---|---|---|---|"]
    read, *others = judged(real.x_train[:359, None], real.y_train[:359])
    lines.append(f"| 359 training digits | {read:.1f} | {others[0]:.1f} | {others[1]:.1f} | {others[2]:.2f} |")
    for name, settings in DIGITS.items():
        asked = np.arange(359) % 10
        read, fid, kid, covered = np.array([judged(digit_game(s, steps, **settings), asked) for s in range(seeds)]).T
        row = common.spread(read), common.spread(fid), common.spread(kid), common.spread(covered, 2)
        lines.append(f"| {name} | {' | '.join(row)} |")
    right = 100 * np.mean(reader().probabilities(real.x_test[:, None]).argmax(axis=1) == real.y_test)
    return [
        *lines,
        "",
        f"Conditional GANs on 8×8 digits; mean, smallest and largest of {seeds} seeds, {steps:,} steps. 359 samples of "
        f"each against the 359 held-out digits, by the features of the course's own reader, which is right on "
        f"{right:.1f}% of those; numbers of other networks' features do not compare. FULL, on a GPU: not measured.",
    ]


# --------------------------------------------------------------------------------------------------------- 5. pictures


def paired_errors(seed: int, adversary: bool, steps: int = 300) -> tuple[float, float]:
    """L1 and FID on held-out digits."""
    digits = data.load("digits")
    x, held = digits.x_train[:, None], digits.x_test[:, None]
    torch.manual_seed(seed)
    net, critic = gan.Translator(16), gan.PatchCritic(2, width=16) if adversary else None
    gan.fit_paired(net, critic, gan.outline(x), x, steps=steps, lr=4e-3, seed=seed)
    out = gan.translate(net, gan.outline(held))
    return float(np.abs(out - held).mean()), metrics.fid(reader().features(held), reader().features(out))


def other(x: np.ndarray) -> np.ndarray:
    return 1 - gan.bold(x)


def cycle_errors(seed: int, cycle: float, steps: int = 300) -> tuple[float, float, float]:
    """L1 of A to B, of B to A, and of there and back, on held-out digits."""
    digits = data.load("digits")
    x, held = digits.x_train[:, None], digits.x_test[:, None]
    half = len(x) // 2
    torch.manual_seed(seed)
    to_b, to_a = gan.Translator(16), gan.Translator(16)
    critics = gan.PatchCritic(width=16), gan.PatchCritic(width=16)
    gan.fit_cycle(to_b, to_a, *critics, x[:half], other(x[half:]), cycle=cycle, steps=steps, seed=seed)
    there, back = gan.translate(to_b, held), gan.translate(to_a, other(held))
    again = gan.translate(to_a, there)
    return tuple(float(np.abs(a - b).mean()) for a, b in ((there, other(held)), (back, held), (again, held)))


def pictures(seeds: int = 3, steps: int = 300, weights=(0.0, 1.0, 10.0)) -> list[str]:
    digits = data.load("digits")
    x, held = digits.x_train[:, None], digits.x_test[:, None]
    edges, features = gan.outline(held), reader().features(held)
    mean = np.repeat(x.mean(axis=0)[None], len(held), axis=0)
    lines = ["| digit from its edges, in pairs | L1 | FID |", "|---|---|---|"]
    for name, guess in (("the mean digit", mean), ("the edges themselves", edges)):
        fid = metrics.fid(features, reader().features(guess))
        lines.append(f"| {name} | {np.abs(guess - held).mean():.3f} | {fid:.1f} |")
    for name, adversary in (("L1 alone", False), ("L1 and an adversary", True)):
        l1, fid = np.array([paired_errors(seed, adversary, steps) for seed in range(seeds)]).T
        lines.append(f"| {name} | {common.spread(l1, 3)} | {common.spread(fid)} |")
    lines += [
        "",
        "| digit to bold, black on white, without pairs | A to B | B to A | there and back |",
        "|---|---|---|---|",
    ]
    plain = np.abs((1 - held) - other(held)).mean()
    lines.append(f"| black for white, no more | {plain:.3f} | {plain:.3f} | 0.000 |")
    for cycle in weights:
        rows = np.array([cycle_errors(seed, cycle, steps) for seed in range(seeds)]).T
        lines.append(f"| cycle weight {cycle:g} | {' | '.join(common.spread(r, 3) for r in rows)} |")
    return [
        *lines,
        "",
        f"Mean absolute error of grey values from 0 to 1 on 359 held-out digits; mean, smallest and largest of {seeds} "
        f"seeds, {steps} steps. The pairs of the lower table are used for the score only.",
    ]


# --------------------------------------------------------------------------------------------------------- 6. density


def densities(seed: int, name: str, epochs: int = 150) -> dict[str, float]:
    """Mean held-out log-likelihood, nats a point, on 1,000 training and 2,000 held-out points."""
    if name == "moons":
        x, held = (data.load("moons", n=n, noise=0.1, seed=2 * seed + i).x_train for i, n in enumerate((1000, 2000)))
    else:
        x, held = gan.ring(1000, seed=2 * seed), gan.ring(2000, seed=2 * seed + 1)
    rng = np.random.default_rng(seed)
    found = {}
    for K in (1, 8, 16):
        mixture, _ = density.em(x, density.mixture_start(x, K, rng), steps=200)
        found[f"GMM, {K} component{'s' if K > 1 else ''}"] = float(density.mixture_log_density(held, mixture).mean())
    width = max(np.geomspace(0.02, 0.4, 12), key=lambda h: density.kde_leave_one_out(x, h))
    found["KDE, width by leave-one-out"] = float(density.kde_log_density(held, x, width).mean())
    torch.manual_seed(seed)
    net = flow.RealNVP(2, layers=8, hidden=32)
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 4 * epochs)
    train.fit(
        net, (x, x), optimiser, loss=flow.negative_log_likelihood, epochs=epochs, batch_size=250, schedule=schedule,
        seed=seed, progress=False,
    )  # fmt: skip
    with torch.no_grad():
        found["RealNVP, 8 couplings"] = float(net.log_prob(torch.as_tensor(held)).mean())
    exact, points = net.double(), torch.as_tensor(held[:50]).double()
    with torch.no_grad():
        z, log_det = exact(points)
        back = exact.inverse(z)
    found["jacobian"] = float((log_det - flow.numerical_log_det(exact, points)).abs().max())
    found["inverse"] = float((back - points).abs().max())
    return found


def likelihood(seeds: int = 5, epochs: int = 150, names=("moons", "ring")) -> list[str]:
    made = {name: [densities(seed, name, epochs) for seed in range(seeds)] for name in names}
    models = [model for model in made[names[0]][0] if model not in ("jacobian", "inverse")]
    lines = [f"| model | {' | '.join(f'{name}, nats a point' for name in names)} |", "|---" * (len(names) + 1) + "|"]
    for model in models:
        row = (common.interval([run[model] for run in made[name]], 3) for name in names)
        lines.append(f"| {model} | {' | '.join(row)} |")
    worst = {what: max(run[what] for runs in made.values() for run in runs) for what in ("jacobian", "inverse")}
    return [
        *lines,
        "",
        f"Held-out log-likelihood, mean ± 95% interval over {seeds} seeds; 1,000 points to fit, 2,000 held out. The "
        f"flow's log-determinant and that of the whole Jacobian differ by {worst['jacobian']:.0e} at most, there and "
        f"back by {worst['inverse']:.0e}, in float64.",
    ]


# -------------------------------------------------------------------------------------------------------------- page


def _coin(options: argparse.Namespace) -> list[str]:
    return coin(2 * options.seeds)


PARTS = {
    "coin": ("The coin", _coin),
    "gradients": ("The two generator losses", lambda options: gradients(options.seeds)),
    "ring": ("The ring", lambda options: ring(options.seeds)),
    "digits": ("Conditional digits", lambda options: digits(min(options.seeds, 3))),
    "pictures": ("Pictures from pictures", lambda options: pictures(min(options.seeds, 3))),
    "likelihood": ("Likelihood", lambda options: likelihood(options.seeds)),
}

if __name__ == "__main__":
    common.main("gan", __doc__, PARTS)
