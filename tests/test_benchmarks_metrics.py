"""The tables on measures of generated data: they name what they compare, and compare what they say."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import metrics as benchmark


def cells(lines):
    assert all(line.count("|") == lines[0].count("|") for line in lines)
    return [line.strip("| ").split(" | ") for line in lines[2:]]


@pytest.mark.filterwarnings("ignore::UserWarning")  # nltk's, of no 4-gram in common
def test_the_measures_are_the_libraries():
    pairs = benchmark.measures(0)
    assert {library for _, library in pairs} >= {"scipy.stats", "torchmetrics", "scikit-image", "prdc", "nltk"}
    assert all(np.isfinite(pair).all() for pair in pairs.values())
    for measure, library, worst in cells(benchmark.agreement(seeds=2)):
        assert float(worst) < 1e-6, (measure, library)


def test_mixtures_and_kernels_are_scikit_learns():
    parameters, log_density, rise = benchmark.mixtures(0, D=3, K=3, steps=5)
    assert parameters < 1e-6 and log_density < 1e-6 and rise > 0
    for kernel in benchmark.density.KERNELS:
        assert benchmark.kernel_estimates(0, kernel) < 1e-9


def test_components_are_uncorrelated_and_fall():
    covariance = np.cov(benchmark.components(4).T)
    np.testing.assert_allclose(covariance, np.diag(np.diag(covariance)), atol=1e-10)
    assert (np.diff(np.diag(covariance)) < 0).all()


def test_every_sampler_follows_its_distribution_and_a_wrong_one_does_not():
    rows = cells(benchmark.uniform(seeds=60, n=50))
    assert [row[0] for row in rows[:-1]] == list(benchmark.samplers())
    for name, mean, low, whole in rows[:-1]:
        assert float(whole) > 1e-4 and 0.3 < float(mean) < 0.7 and float(low) < 0.25, name
    assert float(rows[-1][3]) < 1e-6


def test_streams_give_other_numbers_under_the_same_seeds():
    draw, cdf = benchmark.samplers()["logistic"]
    first, again, other = (benchmark.p_values(draw, cdf, 3, 20, stream) for stream in (0, 0, 1))
    assert (first == again).all() and (first != other).all()


def test_the_permutation_test_sees_a_shift():
    same, shifted = cells(benchmark.permutation(seeds=20, sizes=(30,), shifts=(0.0, 1.0)))
    assert float(same[1]) < 30 and float(shifted[1]) > 90


def test_every_measure_is_misled_by_something(monkeypatch):
    monkeypatch.setattr(benchmark, "classifier", lambda: Classifier())
    cases = benchmark.misled()
    for name in ("FID", "KID", "Wasserstein", "MMD", "inception and mode score", "SSIM", "LPIPS", "coverage", "BLEU"):
        assert all(np.isfinite(list(cases[name](np.random.default_rng(0)).values()))), name


class Classifier:
    """Sees an image as its pixels, and is sure that it is of the class of its brightest tenth."""

    def features(self, images):
        return images.reshape(len(images), -1).astype(float)

    def probabilities(self, images):
        brightest = self.features(images)[:, :60].reshape(len(images), 10, 6).mean(2)
        p = np.exp(500 * brightest - 500 * brightest.max(1, keepdims=True))
        return p / p.sum(1, keepdims=True)
