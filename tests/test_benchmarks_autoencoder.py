"""The tables of chapter 16: each part runs at a small size, and measures what it says."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import autoencoder as benchmark
from dlcourse import data, scenes

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def mnist():
    if not data.cached("mnist"):
        pytest.skip("MNIST is not on this machine")


def test_more_steps_bring_the_angle_down():
    few, many = (benchmark.angle(2, 0, steps=steps) for steps in (60, 400))
    assert many[0] < few[0] and 0 < many[1] < few[1]
    lines = benchmark.angles(2, ks=(2,), steps=5)
    assert lines[-1].startswith("| 2 | ")


def test_pca_denoises_what_lies_in_few_directions():
    rng = np.random.default_rng(0)
    clean = 0.5 + 0.02 * rng.normal(size=(600, 15)) @ rng.normal(size=(15, 300))
    noisy = clean[:50] + 0.1 * rng.standard_normal((50, 300))
    shown = benchmark.pca_denoised(noisy, clean, clean[:50])
    assert scenes.psnr(shown, clean[:50]) > scenes.psnr(noisy, clean[:50]) + 5


def test_denoising_has_a_row_a_method(mnist):
    lines = benchmark.denoising(1, n=300, epochs=1, held=20)
    names = [line.split(" | ")[0] for line in lines[2:]]
    assert names == ["| as it came", "| best Gaussian filter", "| PCA, best number of directions",
                     "| dense autoencoder", "| convolutional autoencoder"]  # fmt: skip
    assert lines[0].count("|") == lines[-1].count("|") == 6


def test_likelihoods_are_bounds_and_the_row_is_complete(mnist):
    setting = {
        "hidden": (16,),
        "latent": 3,
        "epochs": 1,
        "batch_size": 100,
        "samples": (1, 20),
        "n": 500,
        "bounded": 50,
    }
    found = benchmark.likelihood(0, **setting)
    assert 0 < found["kl"] < found["elbo"] and found["K = 20"] < found["K = 1"] + 1 and found["seconds"] > 0
    head, _, row = benchmark.likelihoods("small", 1, **setting)
    assert head.count("|") == row.count("|") and row.endswith(" 1 |") and "−bound, 20 samples" in head


def test_the_long_run_waits_for_full():
    if not benchmark.FULL:
        assert benchmark.full_part(SimpleNamespace(seeds=1)) == []


def test_a_codebook_is_counted(mnist):
    used, perplexity, psnr = benchmark.codebook(8, False, 0, n=200, epochs=1, held=30)
    assert 1 <= perplexity <= used <= 8 and 0 < psnr < 30
