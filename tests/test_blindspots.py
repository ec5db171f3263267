"""Where measures are misled: the data are what their names say, and the measures say what the docstrings claim."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression

from dlcourse import blindspots, data, metrics

SEEDS = range(3)


def over_seeds(measure):
    return [measure(np.random.default_rng(seed)) for seed in SEEDS]


@pytest.fixture(scope="module")
def digits():
    found = data.load("digits", dtype=np.float64)
    return found.x_train, found.y_train


@pytest.fixture(scope="module")
def probabilities(digits):
    x, y = digits
    model = LogisticRegression(C=10, max_iter=500).fit(x.reshape(len(x), -1), y)
    return lambda images: model.predict_proba(images.reshape(len(images), -1))


def test_the_ring_has_the_gaussians_moments_and_no_point_inside():
    gaussian, ring = blindspots.same_moments(200_000, np.random.default_rng(0))
    for x in (gaussian, ring):
        np.testing.assert_allclose(x.mean(0), 0, atol=0.02)
        np.testing.assert_allclose(np.cov(x.T), np.eye(2), atol=0.02)
    np.testing.assert_allclose((ring**2).sum(1), 2)


def test_fid_takes_a_ring_for_a_gaussian():
    for found in over_seeds(blindspots.fid_of_same_moments):
        assert found["FID, Gaussian and ring"] < 0.1
        assert found["p of the MMD test, Gaussian and ring"] <= 0.05


def test_fid_of_few_samples_is_too_large():
    for found in over_seeds(blindspots.fid_of_few):
        few, many, wrong = found.values()
        assert many < wrong < few


def test_kid_of_few_samples_scatters_and_of_many_does_not():
    wins = np.mean([list(blindspots.kid_of_few(np.random.default_rng(seed)).values())[2] for seed in range(100)])
    assert 0.1 < wins < 0.5
    assert all(list(found.values())[2] == 0 for found in over_seeds(lambda rng: blindspots.kid_of_few(rng, few=2000)))


def test_a_collapse_is_nearer_than_a_perfect_sample_in_50_dimensions_and_not_in_2():
    for found in over_seeds(blindspots.wasserstein_of_a_collapse):
        perfect, collapse, line = found.values()
        assert line < collapse < perfect
    for found in over_seeds(lambda rng: blindspots.wasserstein_of_a_collapse(rng, D=2)):
        perfect, collapse, _ = found.values()
        assert perfect < collapse


def test_heaps_differ_in_what_is_in_them_only():
    smooth, peaks = blindspots.fine_structure(200_000, np.random.default_rng(0))
    for heap in (-1, 1):
        a, b = smooth[heap * smooth > 0], peaks[heap * peaks > 0]
        assert abs(a.mean() - b.mean()) < 0.01 and abs(a.std() - b.std()) < 0.01
    assert stats.ks_2samp(smooth, peaks).pvalue < 1e-9


def test_mmd_sees_what_is_as_large_as_its_kernel():
    for found in over_seeds(blindspots.mmd_with_a_bandwidth):
        wide, fitting, narrow = found.values()
        assert wide > 0.05 and fitting <= 0.05 < narrow


def test_one_image_a_class_has_every_class_as_often(digits):
    _, y = digits
    chosen = blindspots.one_image_a_class(y, 100, np.random.default_rng(0))
    assert len(set(chosen)) == 10 and np.bincount(y[chosen]).tolist() == [10] * 10
    assert set(blindspots.one_image_a_class(y, 10, np.random.default_rng(1))) != set(chosen)


def test_the_inception_score_likes_one_image_a_class(digits, probabilities):
    def flat(images):
        return images.reshape(len(images), -1)

    for found in over_seeds(lambda rng: blindspots.inception_of_one_image_a_class(rng, *digits, probabilities, flat)):
        real, collapsed, mode_score, coverage, fid = found.values()
        assert mode_score > 0.95 * collapsed > real > 8 and coverage < 0.1 and fid > 1


def test_the_inception_score_likes_chosen_noise(digits, probabilities):
    for found in over_seeds(lambda rng: blindspots.inception_of_noise(rng, digits[0], probabilities)):
        real, noise = found.values()
        assert noise > 0.9 * real


def test_copies_of_the_training_set_beat_new_data(digits):
    x = digits[0].reshape(-1, 64)
    for found in over_seeds(lambda rng: blindspots.memorised(rng, x)):
        assert found["FID, copies"] < found["FID, new images"]
        assert found["coverage, copies"] > found["coverage, new images"] - 0.05
        assert found["distance to the nearest training image, copies"] == 0
        assert found["distance to the nearest training image, new images"] > 0.5


def test_coverage_does_not_see_junk_and_precision_does():
    for found in over_seeds(blindspots.coverage_with_junk):
        good, mixed, precision = found.values()
        assert good == mixed > 0.9 and precision < 0.25


def test_an_outlier_makes_everything_precise():
    for found in over_seeds(blindspots.precision_with_an_outlier):
        assert found["precision"] == 1 and found["density"] < 0.5 and found["coverage"] < 0.1


def test_the_mean_lies_in_nearly_every_ball_in_50_dimensions_and_not_in_2():
    for found in over_seeds(blindspots.density_of_the_mean):
        assert found["density, copies of the mean"] > 10 * found["density, good samples"]
        for measure in ("precision", "coverage"):
            assert found[f"{measure}, copies of the mean"] > max(0.98, found[f"{measure}, good samples"])
        assert found["recall, copies of the mean"] < 0.05
    for found in over_seeds(lambda rng: blindspots.density_of_the_mean(rng, D=2)):
        assert found["coverage, copies of the mean"] < 0.1


def test_scattered_points_recall_everything():
    for found in over_seeds(blindspots.recall_of_scattered_points):
        assert found["recall"] > 0.95 and found["precision"] < 0.05 and found["coverage"] < 0.05


def test_noise_is_the_most_diverse(digits):
    for found in over_seeds(lambda rng: blindspots.diversity_of_noise(rng, digits[0])):
        real, noise = found.values()
        assert noise > 1.5 * real


def test_one_sample_finds_a_mode():
    for found in over_seeds(blindspots.one_sample_a_mode):
        modes, largest = found.values()
        assert modes == 8 and largest > 0.95


def test_a_pixel_to_the_side_is_worse_than_a_blur():
    photograph = data.photograph("china").mean(-1)
    found = over_seeds(lambda rng: blindspots.ssim_of_a_shift(rng, photograph))
    for shift, blur, brighter in (one.values() for one in found):
        assert shift < blur < brighter < 1


def test_changed_images_are_what_their_names_say():
    image = np.random.default_rng(0).random((6, 7)).astype(np.float32)
    found = blindspots.changed(image)
    assert {x.shape for x in found.values()} == {(5, 6)} and {x.dtype for x in found.values()} == {image.dtype}
    np.testing.assert_array_equal(found["one pixel to the side"][:, 1:], found["as it is"][:, :-1])
    assert found["blurred"].std() < 0.6 * image.std()
    np.testing.assert_allclose(found["brighter by 0.1"] - found["as it is"], 0.1, rtol=1e-5)


def test_features_without_a_bias_hide_the_contrast(digits):
    x = digits[0][:5]
    for layer, faint in zip(blindspots.edge_layers(x), blindspots.edge_layers(0.25 * x), strict=True):
        np.testing.assert_allclose(0.25 * layer, faint, atol=1e-12)
        assert (layer >= 0).all() and layer.max() > 0
    for found in over_seeds(lambda rng: blindspots.perceptual_of_a_faint_image(rng, digits[0])):
        faint, other, brightness = found.values()
        assert faint < 1e-6 < other and 0 < brightness < 0.02


def test_words_are_counted_and_not_read():
    wrong, right, right_1 = blindspots.bleu_of_a_paraphrase().values()
    assert wrong > 0.7 and right == 0 and right_1 < 0.2
    for found in over_seeds(blindspots.rouge_of_shuffled_words):
        one, two, longest = found.values()
        assert one == 1 and two < 0.5 and longest < 0.7


def test_false_sentences_differ_from_the_right_ones_by_a_word_or_two():
    for right, wrong, other in blindspots.SENTENCES:
        missing = metrics.Counter(right.split()) - metrics.Counter(wrong.split())
        moved = sum(a != b for a, b in zip(right.split(), wrong.split(), strict=False))
        assert right != wrong and (missing.total() <= 1 or moved <= 2)
        assert metrics.rouge_n(other.split(), right.split()).f < 0.3
