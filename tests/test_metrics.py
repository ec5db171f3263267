"""Measures of generated data by hand: against SciPy, torchmetrics, scikit-image, prdc, nltk and rouge-score."""

from __future__ import annotations

import contextlib
import io
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg, stats

from dlcourse import metrics

torch = pytest.importorskip("torch")
from nltk.translate.bleu_score import corpus_bleu  # noqa: E402
from prdc import compute_prdc  # noqa: E402
from rouge_score import rouge_scorer  # noqa: E402
from skimage.metrics import structural_similarity  # noqa: E402
from torchmetrics.functional.image import lpips as their_lpips  # noqa: E402
from torchmetrics.functional.text import bleu_score  # noqa: E402
from torchmetrics.image.fid import _compute_fid  # noqa: E402
from torchmetrics.image.inception import InceptionScore  # noqa: E402
from torchmetrics.image.kid import KernelInceptionDistance, poly_mmd  # noqa: E402

seeds = st.integers(0, 10**6)
sizes = st.integers(1, 12)


def samples(seed, N, M, D, shift=0.5):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(N, D)), rng.normal(size=(M, D)) * 1.3 + shift


# ------------------------------------------------------------------------------------------------------- Wasserstein


@settings(max_examples=60, deadline=None)
@given(seeds, sizes, sizes, st.booleans())
def test_the_earth_movers_distance_of_numbers_is_scipys(seed, N, M, weighted):
    rng = np.random.default_rng(seed)
    x, y = rng.integers(-5, 6, N).astype(float), rng.normal(size=M)
    weights = (rng.random(N) + 0.1, rng.random(M) + 0.1) if weighted else (None, None)
    assert abs(metrics.wasserstein_1d(x, y, *weights) - stats.wasserstein_distance(x, y, *weights)) < 1e-9


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(1, 6), st.integers(1, 6), st.integers(1, 4))
def test_the_earth_movers_distance_of_points_is_scipys(seed, N, M, D):
    x, y = samples(seed, N, M, D)
    assert abs(metrics.wasserstein(x, y) - stats.wasserstein_distance_nd(x, y)) < 1e-6


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(1, 5))
def test_the_pairing_is_the_best_of_all(seed, N):
    x, y = samples(seed, N, N, 2)
    best = min(np.linalg.norm(x - y[list(p)], axis=1).mean() for p in itertools.permutations(range(N)))
    assert abs(metrics.wasserstein(x, y) - best) < 1e-12


@settings(max_examples=30, deadline=None)
@given(seeds, sizes, sizes)
def test_both_earth_movers_agree_on_a_line(seed, N, M):
    x, y = samples(seed, N, M, 1)
    assert abs(metrics.wasserstein(x, y) - metrics.wasserstein_1d(x, y)) < 1e-9


def test_moving_a_heap_costs_the_way():
    x = np.random.default_rng(0).normal(size=(30, 2))
    assert abs(metrics.wasserstein(x, x + np.array([3.0, 4.0])) - 5) < 1e-12
    assert metrics.wasserstein(x, x[::-1]) == 0
    assert metrics.wasserstein_1d([0.0], [0.0, 1.0], None, [1.0, 3.0]) == 0.75


# --------------------------------------------------------------------------------------------------------------- MMD


def mmd_by_loops(x, y, h, unbiased):
    def k(a, b):
        return math.exp(-((a - b) ** 2).sum() / (2 * h * h))

    def within(a):
        pairs = [(i, j) for i in range(len(a)) for j in range(len(a)) if not (unbiased and i == j)]
        return np.mean([k(a[i], a[j]) for i, j in pairs])

    return within(x) + within(y) - 2 * np.mean([k(a, b) for a in x for b in y])


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(2, 7), st.integers(2, 7), st.integers(1, 3), st.booleans())
def test_mmd_is_its_double_sum(seed, N, M, D, unbiased):
    x, y = samples(seed, N, M, D)
    assert abs(metrics.mmd(x, y, 0.8, unbiased=unbiased) - mmd_by_loops(x, y, 0.8, unbiased)) < 1e-12
    several = np.mean([mmd_by_loops(x, y, h, unbiased) for h in (0.5, 2.0)])
    assert abs(metrics.mmd(x, y, [0.5, 2.0], unbiased=unbiased) - several) < 1e-12
    h = np.median([np.linalg.norm(a - b) for a, b in itertools.combinations(np.concatenate([x, y]), 2)])
    assert abs(metrics.median_bandwidth(x, y) - h) < 1e-12
    assert abs(metrics.mmd(x, y, unbiased=unbiased) - mmd_by_loops(x, y, h, unbiased)) < 1e-12


def test_unbiased_mmd_is_0_on_average_and_biased_is_not():
    values = [
        [metrics.mmd(*np.random.default_rng(seed).normal(size=(2, 20, 1)), 1.0, unbiased=u) for u in (True, False)]
        for seed in range(400)
    ]
    unbiased, biased = np.array(values).T
    error = unbiased.std() / 20
    assert abs(unbiased.mean()) < 4 * error < biased.mean() and unbiased.min() < 0 < biased.min()


def test_mmd_of_gaussians_has_a_closed_form():
    x, y = np.random.default_rng(0).normal(size=(2, 3000))
    exact = 2 / np.sqrt(3) - 2 / np.sqrt(3) * np.exp(-(1.5**2) / 6)  # E k of N(0, 1) and N(1.5, 1) with h = 1
    assert abs(metrics.mmd(x, y + 1.5, 1.0) - exact) < 0.05  # five standard errors


@settings(max_examples=20, deadline=None)
@given(seeds, st.integers(2, 9), st.integers(2, 9))
def test_the_permutation_test_computes_mmd_of_the_shuffled(seed, N, M):
    x, y = samples(seed, N, M, 2)
    both = np.concatenate([x, y])
    kernel = metrics.gaussian_kernel(both, both, 1.0)
    found = metrics.permutation_test(kernel, N, np.random.default_rng(seed), 5)
    order = np.random.default_rng(seed).permuted(np.tile([1.0] * N + [0.0] * M, (5, 1)), axis=1) == 1
    null = [metrics.mmd(both[first], both[~first], 1.0) for first in order]
    np.testing.assert_allclose(found.null, null, atol=1e-12)
    assert abs(found.statistic - metrics.mmd(x, y, 1.0)) < 1e-12
    assert found.p == (1 + (found.null >= found.statistic - 1e-12).sum()) / 6


def test_the_permutation_test_is_wrong_as_often_as_it_says_and_sees_a_shift():
    def p(seed, shift):
        rng = np.random.default_rng(seed)
        return metrics.mmd_test(rng.normal(size=(25, 2)), rng.normal(size=(30, 2)) + shift, rng, permutations=99).p

    null = np.array([p(seed, 0.0) for seed in range(300)])
    assert stats.kstest(null, "uniform").pvalue > 1e-3
    assert (null <= 0.05).mean() < 0.1
    assert np.mean([p(seed, 1.0) <= 0.05 for seed in range(30)]) > 0.9


def test_equal_points_cannot_be_told_apart():
    x = np.zeros((5, 2))
    assert metrics.mmd_test(x, x, np.random.default_rng(0), bandwidth=1.0, permutations=50).p == 1.0


# ----------------------------------------------------------------------------------------------------- KID and FID


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(2, 20), st.integers(1, 8))
def test_the_polynomial_mmd_is_torchmetrics(seed, N, D):
    x, y = samples(seed, N, N, D)
    theirs = poly_mmd(torch.tensor(x), torch.tensor(y)).item()
    ours, spread = metrics.kid(x, y, np.random.default_rng(0), subsets=1, size=N)
    assert abs(ours - theirs) < 1e-6 * max(1, abs(theirs)) and spread == 0


@pytest.mark.filterwarnings("ignore::UserWarning")  # it keeps all features
def test_kid_over_subsets_is_torchmetrics_up_to_the_draw():
    x, y = samples(0, 400, 500, 6)
    kid = KernelInceptionDistance(feature=Features(6), subsets=300, subset_size=100)
    kid.update(torch.tensor(x), real=True)
    kid.update(torch.tensor(y), real=False)
    torch.manual_seed(0)
    mean, std = (value.item() for value in kid.compute())
    ours = metrics.kid(x, y, np.random.default_rng(0), subsets=300, size=100)
    assert abs(ours[0] - mean) < 5 * std / np.sqrt(150) and abs(ours[1] / std - 1) < 0.25


class Features(torch.nn.Module):
    """Hands features through, as torchmetrics wants them."""

    def __init__(self, num_features):
        super().__init__()
        self.num_features = num_features

    def forward(self, x):
        return x


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(1, 6))
def test_fid_is_torchmetrics_and_the_root_of_a_matrix(seed, D):
    x, y = samples(seed, 30, 40, D)
    (mean_x, cov_x), (mean_y, cov_y) = metrics.moments(x), metrics.moments(y)
    theirs = _compute_fid(*(torch.tensor(a) for a in (mean_x, cov_x, mean_y, cov_y))).item()
    assert abs(metrics.fid(x, y) - theirs) < 1e-6
    root = linalg.sqrtm(cov_x @ cov_y)
    by_root = ((mean_x - mean_y) ** 2).sum() + np.trace(cov_x + cov_y - 2 * np.real(root))
    assert abs(metrics.fid(x, y) - by_root) < 1e-6


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(2, 5), st.integers(6, 12))
def test_fid_of_singular_covariances(seed, N, D):
    x, y = samples(seed, N, N, D)
    assert metrics.fid(x, x) < 1e-10
    assert abs(metrics.fid(x, x + 1.0) - D) < 1e-9  # the means only
    assert abs(metrics.fid(x, y) - metrics.fid(y, x)) < 1e-9


def test_fid_of_gaussians_with_commuting_covariances():
    a, b = np.array([1.0, 4.0, 0.0]), np.array([9.0, 1.0, 2.0])
    exact = 3.0 + ((np.sqrt(a) - np.sqrt(b)) ** 2).sum()
    assert abs(metrics.frechet_distance(np.zeros(3), np.diag(a), np.ones(3), np.diag(b)) - exact) < 1e-12


# ------------------------------------------------------------------------------------------ a classifier's opinion


@pytest.mark.filterwarnings("ignore::UserWarning")  # the features were not passed by `update`; one part has no spread
@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(4, 30), st.integers(2, 6))
def test_the_inception_score_is_torchmetrics(seed, N, K):
    logits = torch.tensor(np.random.default_rng(seed).normal(size=(N, K)) * 3)
    score = InceptionScore(feature=Features(K), splits=1)
    score.features.append(logits)
    theirs = score.compute()[0].item()
    assert abs(metrics.inception_score(logits.softmax(1).numpy())[0] - theirs) < 1e-6


def test_the_inception_score_of_sure_probabilities_is_the_number_of_classes():
    p = np.eye(4)[[0, 1, 2, 3] * 5]
    assert abs(metrics.inception_score(p)[0] - 4) < 1e-12
    assert abs(metrics.inception_score(p[:, [0, 1, 2, 3]][::4])[0] - 1) < 1e-12
    assert abs(metrics.inception_score(np.full((6, 4), 0.25))[0] - 1) < 1e-12
    mean, std = metrics.inception_score(np.eye(2)[[0, 0, 0, 1]], splits=2)
    assert abs(mean - 1.5) < 1e-12 and abs(std - 0.5) < 1e-12


def test_the_mode_score_asks_for_the_real_frequencies():
    p = np.eye(2)[[0] * 15 + [1] * 5]
    assert abs(metrics.mode_score(p, [0.75, 0.25]) - metrics.inception_score(p)[0]) < 1e-12
    kl = 0.75 * np.log(0.75 / 0.5) + 0.25 * np.log(0.25 / 0.5)
    assert abs(metrics.mode_score(p, [0.5, 0.5]) - metrics.inception_score(p)[0] * np.exp(-kl)) < 1e-12
    assert metrics.mode_score(p, [1.0, 0.0]) == 0  # it draws what does not occur


# --------------------------------------------------------------------------------------------------------- two images


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(11, 20), st.integers(11, 20), st.sampled_from([1.0, 2.0, 255.0]))
def test_ssim_is_scikit_images(seed, H, W, value_range):
    rng = np.random.default_rng(seed)
    x = rng.random((H, W)) * value_range
    y = np.clip(x + rng.normal(size=(H, W)) * value_range * rng.random(), 0, value_range)
    theirs = structural_similarity(
        x, y, data_range=value_range, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert abs(metrics.ssim(x, y, value_range=value_range) - theirs) < 1e-9


def test_ssim_of_small_images_and_of_many():
    x, y = np.random.default_rng(0).random((2, 3, 2, 8, 9))
    ours = metrics.ssim(x, y, sigma=0.8)
    assert ours.shape == (3, 2)
    for i, c in np.ndindex(3, 2):
        theirs = structural_similarity(
            x[i, c], y[i, c], data_range=1.0, gaussian_weights=True, sigma=0.8, use_sample_covariance=False
        )
        assert abs(ours[i, c] - theirs) < 1e-9
    np.testing.assert_allclose(metrics.ssim(x, x, sigma=0.8), 1.0)
    assert metrics.ssim(x, 1 - x, sigma=0.8).max() < 0
    assert metrics.ssim(x, y, sigma=2.0, radius=1).shape == (3, 2)


@settings(max_examples=20, deadline=None)
@given(seeds, st.integers(1, 3), st.booleans())
def test_the_perceptual_distance_is_torchmetrics_sum_over_layers(seed, N, weighted):
    rng = np.random.default_rng(seed)
    shapes = [(N, 4, 5, 3), (N, 2, 1, 1), (N, 6, 2, 2)]
    x, y = ([rng.normal(size=shape) for shape in shapes] for _ in range(2))
    weights = [rng.random(shape[1]) for shape in shapes] if weighted else None
    expected = 0.0
    for i, (a, b) in enumerate(zip(x, y, strict=True)):
        a, b = (their_lpips._normalize_tensor(torch.tensor(v), eps=1e-20) for v in (a, b))
        w = torch.ones(a.shape[1]) if weights is None else torch.tensor(weights[i])
        scaled = ((a - b) ** 2 * w[:, None, None]).sum(1, keepdim=True)
        expected = expected + their_lpips._spatial_average(scaled, keep_dim=False)[:, 0].numpy()
    np.testing.assert_allclose(metrics.perceptual_distance(x, y, weights), expected, rtol=1e-6)


def test_the_perceptual_distance_ignores_the_length_of_the_features():
    x = [np.random.default_rng(0).normal(size=(2, 3, 4, 4)), np.random.default_rng(1).normal(size=(2, 5))]
    assert metrics.perceptual_distance(x, [7 * layer for layer in x]).max() < 1e-12
    np.testing.assert_allclose(metrics.perceptual_distance(x, [-layer for layer in x]), 8.0)  # |2 x̂|² in two layers
    assert metrics.perceptual_distance([np.zeros((1, 3))], [np.zeros((1, 3))]) == 0  # no direction, and no nan


# --------------------------------------------------------------------------------------------- diversity and coverage


@settings(max_examples=20, deadline=None)
@given(seeds, st.integers(2, 7))
def test_diversity_is_the_mean_over_pairs(seed, N):
    rng = np.random.default_rng(seed)
    x, layers = rng.normal(size=(N, 3)), [rng.normal(size=(N, 2, 2, 2)), rng.normal(size=(N, 4))]
    pairs = list(itertools.combinations(range(N), 2))
    assert abs(metrics.diversity(x) - np.mean([np.linalg.norm(x[i] - x[j]) for i, j in pairs])) < 1e-12
    one_by_one = [metrics.perceptual_distance([a[[i]] for a in layers], [a[[j]] for a in layers])[0] for i, j in pairs]
    assert abs(metrics.perceptual_diversity(layers) - np.mean(one_by_one)) < 1e-9


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(5, 25), st.integers(5, 25), st.integers(1, 3), st.booleans())
def test_neighbours_are_those_of_prdc(seed, N, M, k, copies):
    x, y = samples(seed, N, M, 3)
    if copies:
        y[: M // 2] = x[np.random.default_rng(seed).integers(0, N, M // 2)] + 1e-3 * y[: M // 2]  # no equal distances
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = compute_prdc(x, y, k)
    ours = metrics.neighbours(x, y, k)._asdict()
    assert ours == pytest.approx(theirs, abs=1e-9)
    assert metrics.coverage(x, y, k) == ours["coverage"]


def test_a_copy_covers_everything_and_a_point_far_away_nothing():
    x = np.random.default_rng(0).normal(size=(30, 2))
    same = metrics.neighbours(x, x, 3)
    assert same.precision == same.recall == same.coverage == 1
    far = metrics.neighbours(x, x + 100, 3)
    assert tuple(far) == (0, 0, 0, 0)


def test_modes_are_counted():
    centres = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    x = np.array([[0.1, 0.0], [-0.2, 0.1], [9.8, 0.0], [5.0, 5.0]])
    found = metrics.count_modes(x, centres, 0.5)
    assert (found.found, found.near) == (2, 0.75) and found.counts.tolist() == [2, 1, 0]
    assert metrics.count_modes(x, centres, 0.5, least=2).found == 1
    assert metrics.count_modes([[3.0, 4.0]], centres, 5.0).found == 1  # the edge belongs to it


# -------------------------------------------------------------------------------------------------------------- words

words = st.lists(st.sampled_from("abcde"), min_size=4, max_size=12)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(words, st.lists(words, min_size=1, max_size=3)), min_size=1, max_size=3), st.integers(1, 4))
def test_bleu_is_nltks_and_torchmetrics(corpus, n):
    candidates, references = [list(part) for part in zip(*corpus, strict=True)]
    ours = metrics.bleu(candidates, references, n)
    with pytest.warns(UserWarning) if not ours else contextlib.nullcontext():  # no n-gram in common
        assert abs(ours - corpus_bleu(references, candidates, weights=[1 / n] * n)) < 1e-6
    by_length = [sorted(choices, key=len) for choices in references]  # of two as near, torchmetrics takes the first
    joined = [" ".join(c) for c in candidates], [[" ".join(r) for r in choices] for choices in by_length]
    assert abs(ours - bleu_score(*joined, n_gram=n).item()) < 1e-6


def test_a_text_shorter_than_the_n_gram_adds_none():
    candidates, references = [list("ab"), list("abcdef")], [[list("abcd")], [list("abcdef")]]
    ours = metrics.bleu(candidates, references)
    theirs = bleu_score([" ".join(c) for c in candidates], [[" ".join(r) for r in choices] for choices in references])
    assert abs(ours - theirs.item()) < 1e-6 and abs(ours - math.exp(1 - 10 / 8)) < 1e-12


def test_bleu_of_the_paper_counts_a_word_as_often_as_a_reference_has_it():
    reference = ["the", "cat", "is", "on", "the", "mat"]
    assert abs(metrics.bleu([["the"] * 7], [[reference]], 1) - 2 / 7) < 1e-12
    assert metrics.bleu([reference], [[["no"], reference]]) == 1
    assert metrics.bleu([[]], [[reference]]) == 0


@settings(max_examples=80, deadline=None)
@given(st.lists(st.sampled_from("abc"), max_size=9), st.lists(st.sampled_from("abc"), max_size=9))
def test_rouge_is_rouge_scores(candidate, reference):
    scorer = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL"])
    theirs = scorer.score(" ".join(reference), " ".join(candidate))
    for name, ours in (
        ("rouge1", metrics.rouge_n(candidate, reference)),
        ("rouge2", metrics.rouge_n(candidate, reference, 2)),
        ("rougeL", metrics.rouge_l(candidate, reference)),
    ):
        assert tuple(ours) == pytest.approx(tuple(theirs[name]), abs=1e-9)


# --------------------------------------------------------------------------------------------------- what goes wrong

X, RNG = np.zeros((6, 2)), np.random.default_rng(0)
WRONG = {
    "features": (lambda: metrics.wasserstein(X, np.zeros((6, 3))), "x has 2 features, y has 3"),
    "numbers": (lambda: metrics.wasserstein_1d(X, X), "expected numbers"),
    "weights": (
        lambda: metrics.wasserstein_1d([1.0], [2.0], [1.0, 1.0]),
        r"x_weights has shape \(2,\); expected \(1,\)",
    ),
    "negative": (lambda: metrics.wasserstein_1d([1.0, 2.0], [2.0], [1.0, -1.0]), "x_weights are to be non-negative"),
    "most": (lambda: metrics.wasserstein(X, np.zeros((5, 2)), most=29), "make a pairing of 30; expected at most 29"),
    "empty": (lambda: metrics.mmd(X, np.zeros((0, 2))), "y has 0 points"),
    "median": (lambda: metrics.mmd(X, X), "the median distance is 0"),
    "bandwidth": (lambda: metrics.mmd(X, X, [1.0, 0.0]), "expected positive numbers"),
    "no bandwidth": (lambda: metrics.mmd(X, X, []), "expected positive numbers"),
    "too few": (lambda: metrics.mmd(X, X[:1], 1.0), "there are 6 and 1 points; expected at least 2"),
    "kernels": (lambda: metrics.mmd_of_kernels(np.eye(3), np.ones((2, 3)), np.eye(3)), r"k_xx is \(3, 3\)"),
    "square": (lambda: metrics.permutation_test(np.ones((3, 4)), 2, RNG), r"kernel has shape \(3, 4\)"),
    "split": (lambda: metrics.permutation_test(np.ones((4, 4)), 3, RNG), "there are 3 and 1 points"),
    "permutations": (lambda: metrics.mmd_test(X, X, RNG, bandwidth=1.0, permutations=0), "permutations is 0"),
    "size": (lambda: metrics.kid(X, X, RNG), "size is 1000; expected 2 to 6"),
    "subsets": (lambda: metrics.kid(X, X, RNG, size=3, subsets=0), "subsets is 0"),
    "one": (lambda: metrics.fid(X, X[:1]), "fake has 1 points; expected at least 2"),
    "moments": (lambda: metrics.frechet_distance(np.zeros(2), np.eye(2), np.zeros(2), np.eye(3)), "the shapes are"),
    "probabilities": (lambda: metrics.inception_score(np.ones((3, 2))), "sum to 1 along the last axis"),
    "no image": (lambda: metrics.inception_score(np.ones((0, 2))), r"has shape \(0, 2\); expected \(N, K\)"),
    "splits": (lambda: metrics.inception_score(np.eye(2), 3), "splits is 3; expected 1 to 2"),
    "classes": (lambda: metrics.mode_score(np.eye(2), [0.5, 0.25, 0.25]), "real_classes has 3 classes"),
    "images": (lambda: metrics.ssim(np.zeros((8, 8)), np.zeros((9, 8))), r"x has shape \(8, 8\), y \(9, 8\)"),
    "window": (lambda: metrics.ssim(np.zeros((8, 8)), np.zeros((8, 8))), "the window is 11 wide; lower sigma"),
    "sigma": (lambda: metrics.ssim(np.zeros((8, 8)), np.zeros((8, 8)), sigma=0), "sigma is 0"),
    "radius": (lambda: metrics.gaussian_window(1.0, -1), "radius is -1"),
    "range": (lambda: metrics.ssim(np.zeros((8, 8)), np.zeros((8, 8)), value_range=0), "value_range is 0"),
    "no layers": (lambda: metrics.perceptual_embedding([]), "layers is empty"),
    "layers": (lambda: metrics.perceptual_distance([X], [X[:2]]), "the layers of x have shapes"),
    "N": (lambda: metrics.perceptual_diversity([X, X[:2]]), r"layers\[1\] has shape \(2, 2\); expected \(6, C"),
    "ints": (lambda: metrics.perceptual_embedding([np.ones((2, 2), int)]), r"layers\[0\] has dtype int64"),
    "a weight": (lambda: metrics.perceptual_distance([X], [X], [np.ones(3)]), r"weights\[0\] has shape \(3,\)"),
    "no weight": (lambda: metrics.perceptual_distance([X], [X], []), "0 arrays of weights for 1 layers"),
    "diversity": (lambda: metrics.diversity(X[:1]), "x has 1 points; expected at least 2"),
    "k": (lambda: metrics.coverage(X, X, 6), "k is 6; expected 1 to 5, since real has 6 points"),
    "k of fake": (lambda: metrics.neighbours(X, X[:3], 3), "k is 3; expected 1 to 2, since fake has 3"),
    "modes": (lambda: metrics.count_modes(X, X, 0.0), "radius is 0.0"),
    "a string": (lambda: metrics.rouge_l("a b", ["a"]), "candidate is a string; expected a list of words"),
    "n": (lambda: metrics.rouge_n(["a"], ["a"], 0), "n is 0"),
    "max_n": (lambda: metrics.bleu([["a"]], [[["a"]]], 0), "max_n is 0"),
    "a reference": (lambda: metrics.bleu([["a"]], [["a"]]), "reference is a string"),
    "no reference": (lambda: metrics.bleu([["a"]], [[]]), "expected a list of texts, at least one"),
    "as many": (lambda: metrics.bleu([["a"]], []), "there are 1 candidates and 0 lists"),
}


@pytest.mark.parametrize("call, message", WRONG.values(), ids=WRONG)
def test_wrong_input_is_told_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()
