"""Sampling, densities and measures of generated data, measured: against libraries, over seeds, and where they mislead.

    python benchmarks/metrics.py                                      # prints the tables
    python benchmarks/metrics.py --write book/results/metrics.md      # writes them too
    python benchmarks/metrics.py --only uniform                       # one table alone

1. The largest difference of each measure from a library's.
2. The same for Gaussian mixtures and kernel density estimates, on real digits.
3. Inverse transform sampling: are the p-values of the Kolmogorov-Smirnov test uniform over seeds?
4. The permutation test: how often is it wrong, and what does it see?
5. Where each measure is misled.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import sys
import warnings
from pathlib import Path

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # read when NumPy is imported, so before that

import numpy as np  # noqa: E402
from scipy import special, stats  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks import common  # noqa: E402
from dlcourse import blindspots, data, density, metrics  # noqa: E402


def power(value: float) -> str:
    """One digit and a power of ten."""
    return f"{value:.0e}" if value else "0"


# ----------------------------------------------------------------------------------------------------- 1. agreement


def measures(seed: int) -> dict[tuple[str, str], tuple[float, float]]:
    """Ours and theirs of each measure, on data from ``seed``."""
    import torch
    from nltk.translate.bleu_score import corpus_bleu
    from prdc import compute_prdc
    from rouge_score.rouge_scorer import RougeScorer
    from skimage.metrics import structural_similarity
    from torchmetrics.functional.image import lpips
    from torchmetrics.image.fid import _compute_fid
    from torchmetrics.image.kid import poly_mmd

    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(60, 5)), 1.3 * rng.normal(size=(60, 5)) + 0.3
    found = {
        ("Wasserstein-1, numbers", "scipy.stats"): (
            metrics.wasserstein_1d(x[:40, 0], y[:, 0]),
            stats.wasserstein_distance(x[:40, 0], y[:, 0]),
        ),
        ("Wasserstein-1, 5 dimensions", "scipy.stats"): (
            metrics.wasserstein(x[:15], y[:15]),
            stats.wasserstein_distance_nd(x[:15], y[:15]),
        ),
        ("KID, one subset", "torchmetrics"): (
            metrics.kid(x, y, rng, subsets=1, size=60)[0],
            poly_mmd(torch.tensor(x), torch.tensor(y)).item(),
        ),
        ("FID", "torchmetrics"): (
            metrics.fid(x, y),
            _compute_fid(*map(torch.tensor, (*metrics.moments(x), *metrics.moments(y)))).item(),
        ),
    }
    image = rng.random((32, 32))
    noisy = np.clip(image + 0.2 * rng.normal(size=image.shape), 0, 1)
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    found["SSIM", "scikit-image"] = (
        float(metrics.ssim(image, noisy)),
        structural_similarity(image, noisy, **settings),
    )
    layers = [[rng.normal(size=(1, C, 6, 6)) for C in (4, 8)] for _ in range(2)]
    unit = [[lpips._normalize_tensor(torch.tensor(layer), eps=1e-20) for layer in side] for side in layers]
    found["LPIPS on given features", "torchmetrics' parts"] = (
        metrics.perceptual_distance(*layers)[0],
        sum(lpips._spatial_average(((a - b) ** 2).sum(1, keepdim=True)) for a, b in zip(*unit, strict=True)).item(),
    )
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = compute_prdc(x, y, 5)
    for name, value in metrics.neighbours(x, y)._asdict().items():
        found[name, "prdc"] = value, theirs[name]
    texts = [list(rng.choice(list("abcd"), 12)) for _ in range(6)]
    for n in (1, 2, 3, 4):
        found[f"BLEU-{n}", "nltk"] = (
            metrics.bleu(texts[:3], [[text] for text in texts[3:]], n),
            corpus_bleu([[text] for text in texts[3:]], texts[:3], weights=[1 / n] * n),
        )
    score = RougeScorer(["rouge1", "rouge2", "rougeL"]).score(" ".join(texts[3]), " ".join(texts[0]))
    for name, value in (
        ("ROUGE-1", metrics.rouge_n(texts[0], texts[3])),
        ("ROUGE-2", metrics.rouge_n(texts[0], texts[3], 2)),
        ("ROUGE-L", metrics.rouge_l(texts[0], texts[3])),
    ):
        found[name, "rouge-score"] = value.f, score[name.replace("ROUGE-", "rouge")].fmeasure
    found["inception score", "torchmetrics"] = _inception(rng)
    return found


def _inception(rng: np.random.Generator) -> tuple[float, float]:
    import torch
    from torchmetrics.image.inception import InceptionScore

    logits = torch.tensor(3 * rng.normal(size=(50, 10)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the features are handed over without `update`; one part has no spread
        theirs = InceptionScore(feature=torch.nn.Identity(), splits=1)
        theirs.features.append(logits)
        return metrics.inception_score(logits.softmax(1).numpy())[0], theirs.compute()[0].item()


def agreement(seeds: int = 20) -> list[str]:
    worst: dict[tuple[str, str], float] = {}
    for seed in range(seeds):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # nltk's, of no 4-gram in common
            for name, (ours, theirs) in measures(seed).items():
                worst[name] = max(worst.get(name, 0.0), abs(ours - theirs))
    lines = ["| measure | library | largest difference |", "|---|---|---|"]
    return [*lines, *(f"| {measure} | {library} | {power(value)} |" for (measure, library), value in worst.items())]


# ------------------------------------------------------------------------------------------------------- 2. density


@functools.cache
def components(D: int) -> np.ndarray:
    """Digits in their first ``D`` principal components."""
    x = data.load("digits", dtype=np.float64).x_train.reshape(-1, 64)
    x = x - x.mean(0)
    return x @ np.linalg.svd(x, full_matrices=False)[2][:D].T


def mixtures(seed: int, D: int = 8, K: int = 10, steps: int = 50) -> tuple[float, float, float]:
    """The largest difference of parameters and of log densities from scikit-learn's; the smallest step of EM."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    x = components(D)
    start = density.mixture_start(x, K, np.random.default_rng(seed))
    ours, history = density.em(x, start, steps)
    theirs = GaussianMixture(
        K,
        tol=0,
        max_iter=steps,
        weights_init=start.weights,
        means_init=start.means,
        precisions_init=np.linalg.inv(start.covariances),
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the number of steps is fixed
        theirs.fit(x)
    pairs = zip(ours, (theirs.weights_, theirs.means_, theirs.covariances_), strict=True)
    parameters = max(np.abs(a - b).max() for a, b in pairs)
    densities = np.abs(density.mixture_log_density(x, ours) - theirs.score_samples(x)).max()
    return float(parameters), float(densities), float(np.diff(history).min())


def kernel_estimates(seed: int, kernel: str, D: int = 8) -> float:
    """The largest difference of log densities from scikit-learn's, of held-out digits where both are above 0."""
    from sklearn.neighbors import KernelDensity

    x = np.random.default_rng(seed).permutation(components(D))
    ours = density.kde_log_density(x[:300], x[300:], 1.5, kernel)
    theirs = KernelDensity(bandwidth=1.5, kernel=kernel, rtol=0, atol=0).fit(x[300:]).score_samples(x[:300])
    reached = np.isfinite(ours)
    return float(np.abs(ours - theirs)[reached].max())


def densities(seeds: int = 5) -> list[str]:
    found = np.array([mixtures(seed) for seed in range(seeds)])
    lines = ["| density of digits in 8 principal components | largest difference, or smallest step |", "|---|---|"]
    lines.append(f"| GMM, 10 components, 50 steps: weights, means, covariances | {found[:, 0].max():.0e} |")
    lines.append(f"| GMM: log density | {found[:, 1].max():.0e} |")
    lines.append(f"| GMM: smallest rise of the mean log-likelihood in a step | {found[:, 2].min():.0e} |")
    for kernel in density.KERNELS:
        worst = max(kernel_estimates(seed, kernel) for seed in range(seeds))
        lines.append(f"| KDE, {kernel}: log density | {worst:.0e} |")
    return lines


# ------------------------------------------------------------------------------------------------------- 3. uniform


def p_values(draw, cdf, seeds: int, n: int, stream: int = 0) -> np.ndarray:
    """One p-value a seed; another ``stream`` has other numbers under the same seeds."""
    return np.array([density.ks_test(draw(np.random.default_rng([seed, stream]), n), cdf)[1] for seed in range(seeds)])


def observed(n: int = 30) -> np.ndarray:
    """Numbers of which nothing else is known."""
    return np.sort(np.random.default_rng(12345).gamma(2.0, size=n))


def samplers() -> dict:
    """Each name with how numbers are drawn, and the distribution function that they should have."""

    def inverse(quantile):
        return lambda rng, n: density.inverse_transform(quantile, n, rng)

    found = {name: (inverse(named.quantile), named.cdf) for name, named in density.NAMED.items()}
    found["Gaussian, by Box-Muller"] = lambda rng, n: density.box_muller(n, rng)[:, 0], special.ndtr
    s = observed()
    found["30 observations, interpolated"] = (
        lambda rng, n: density.empirical_quantile(s, density.uniform(n, rng), interpolate=True),
        lambda x: np.interp(x, s, np.linspace(0, 1, len(s))),
    )

    def spread_out(rng, n):
        """Where F jumps, a point within the jump: uniform if each observation is drawn as often as it should be."""
        x = density.empirical_quantile(s, density.uniform(n, rng))
        return density.ecdf(s, x) - density.uniform(n, rng) / len(s)

    found["30 observations, as they are"] = spread_out, density.NAMED["uniform"].cdf
    return found


def uniform(seeds: int = 500, n: int = 200) -> list[str]:
    lines = ["| distribution | mean p | share of p below 0.05 | p of the test that p is uniform |", "|---|---|---|---|"]
    for stream, (name, (draw, cdf)) in enumerate(samplers().items()):
        p = p_values(draw, cdf, seeds, n, stream)
        whole = stats.kstest(p, "uniform").pvalue
        lines.append(f"| {name} | {p.mean():.3f} | {(p < 0.05).mean():.3f} | {whole:.2f} |")
    wrong = p_values(samplers()["Gaussian"][0], density.NAMED["logistic"].cdf, seeds, n)
    whole = stats.kstest(wrong, "uniform").pvalue
    lines.append(
        f"| Gaussian, tested as logistic | {wrong.mean():.3f} | {(wrong < 0.05).mean():.3f} | {power(whole)} |"
    )
    return lines


# --------------------------------------------------------------------------------------------------- 4. permutation


def rejected(shift: float, n: int, seeds: int) -> np.ndarray:
    found = []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        x, y = rng.normal(size=(2, n, 2))
        found.append(metrics.mmd_test(x, y + shift, rng, permutations=199).p <= 0.05)
    return np.array(found)


def permutation(seeds: int = 400, sizes=(50, 200), shifts=(0.0, 0.2, 0.5)) -> list[str]:
    lines = ["| two Gaussians in the plane | " + " | ".join(f"{n} points each" for n in sizes) + " |"]
    lines.append("|---" * (len(sizes) + 1) + "|")
    for shift in shifts:
        name = f"shifted by {shift} in each direction" if shift else "the same"
        shares = [100 * rejected(shift, n, seeds).mean() for n in sizes]
        lines.append(f"| {name}, rejected, % | " + " | ".join(f"{share:.1f}" for share in shares) + " |")
    return lines


# --------------------------------------------------------------------------------------------------- 5. blind spots


@functools.cache
def classifier():
    """The small network of the chapter, trained on digits."""
    from dlcourse import gan

    digits = data.load("digits")
    return gan.fit_classifier(digits.x_train[:, None], digits.y_train)


def misled() -> dict:
    """Each measure with a function of a generator: what it says where it is misled, and what tells."""
    digits = data.load("digits")
    images, labels = digits.x_train[:, None], digits.y_train
    net = classifier()
    features = net.features(images)
    photograph = data.photograph("china").mean(-1)
    return {
        "FID": blindspots.fid_of_same_moments,
        "FID, few samples": blindspots.fid_of_few,
        "KID": blindspots.kid_of_few,
        "Wasserstein": blindspots.wasserstein_of_a_collapse,
        "MMD": blindspots.mmd_with_a_bandwidth,
        "inception and mode score": lambda rng: blindspots.inception_of_one_image_a_class(
            rng, images, labels, net.probabilities, net.features
        ),
        "inception score, noise": lambda rng: blindspots.inception_of_noise(rng, images, net.probabilities),
        "FID and coverage, memory": lambda rng: blindspots.memorised(rng, features),
        "coverage": blindspots.coverage_with_junk,
        "precision": blindspots.precision_with_an_outlier,
        "density": blindspots.density_of_the_mean,
        "recall": blindspots.recall_of_scattered_points,
        "diversity": lambda rng: blindspots.diversity_of_noise(rng, images),
        "modes found": blindspots.one_sample_a_mode,
        "SSIM": lambda rng: blindspots.ssim_of_a_shift(rng, photograph),
        "LPIPS": lambda rng: blindspots.perceptual_of_a_faint_image(rng, images[:, 0]),
        "BLEU": lambda rng: blindspots.bleu_of_a_paraphrase(),
        "ROUGE": blindspots.rouge_of_shuffled_words,
    }


def blind(seeds: int = 20) -> list[str]:
    lines = ["| measure | where it is misled, and what tells | measured |", "|---|---|---|"]
    for name, measure in misled().items():
        rows = [measure(np.random.default_rng(seed)) for seed in range(seeds)]
        for label in rows[0]:
            lines.append(f"| {name} | {label} | {common.spread([row[label] for row in rows], 3)} |")
    return lines


# ------------------------------------------------------------------------------------------------------------- script

PARTS: dict[str, common.Part] = {
    "agreement": (
        "The measures against libraries",
        lambda options: [
            "**The measures against libraries.** Largest absolute difference over 20 seeds, float64. "
            "Wanted: at most 1e-6.",
            "",
            *agreement(),
        ],
    ),
    "densities": (
        "Mixtures and kernels against scikit-learn",
        lambda options: [
            f"**Mixtures and kernels against scikit-learn.** 1,438 digits; EM from the same start; the largest over "
            f"{options.seeds} seeds. Wanted: at most 1e-6 for mixtures, 1e-9 for kernels; a likelihood that never "
            "falls.",
            "",
            *densities(options.seeds),
        ],
    ),
    "uniform": (
        "Inverse transform sampling",
        lambda options: [
            "**Inverse transform sampling.** 200 numbers from each of 500 seeds, and the p-value of the "
            "Kolmogorov-Smirnov test for each. Wanted: uniform p-values; of 12 rows, the "
            "smallest p of the last column is then below 0.05 in every second run. The last row is a wrong one.",
            "",
            *uniform(),
        ],
    ),
    "permutation": (
        "The permutation test of MMD",
        lambda options: [
            "**The permutation test of MMD.** Rejections at 5%, bandwidth: the median, 199 permutations, 400 seeds. "
            "Wanted in the first row: 5, of which 400 seeds may miss 2.",
            "",
            *permutation(),
        ],
    ),
    "blindspots": (
        "Where the measures are misled",
        lambda options: [
            "**Where the measures are misled.** Mean over 20 seeds (smallest to largest). The features and "
            "probabilities are those of the chapter's classifier of 8×8 digits.",
            "",
            *blind(),
        ],
    ),
}

if __name__ == "__main__":
    common.main("metrics", __doc__, PARTS)
