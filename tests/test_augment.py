"""Augmentation by hand against torchvision.transforms.v2 and scipy, and what has no peer against its definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcourse import augment

torch = pytest.importorskip("torch")
RNG = np.random.default_rng(0)
IMAGES = [(3, 8, 8), (2, 3, 9, 14), (3, 7, 10)]


@pytest.fixture(scope="module")
def F():
    return pytest.importorskip("torchvision.transforms.v2.functional")


def image(shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).random(shape).astype(dtype)


def same(ours, theirs, tolerance=1e-9):
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=0, atol=tolerance)


# ----------------------------------------------------------------------------------------- images, as torchvision


@pytest.mark.parametrize("shape", IMAGES)
def test_flips_are_torchvisions(F, shape):
    x = image(shape)
    same(augment.flip(x), F.horizontal_flip(torch.tensor(x)))
    same(augment.flip(x, "vertical"), F.vertical_flip(torch.tensor(x)))


@pytest.mark.parametrize("shape", IMAGES)
@pytest.mark.parametrize("window", [(0, 0, 4, 4), (2, 1, 5, 6), (-2, 3, 6, 9), (-3, -3, 3, 3), (5, 5, 9, 2)])
def test_crops_are_torchvisions(F, shape, window):
    x = image(shape)
    same(augment.crop(x, *window), F.crop(torch.tensor(x), *window))


def bilinear(F):
    from torchvision.transforms import InterpolationMode

    return {"interpolation": InterpolationMode.BILINEAR}


@pytest.mark.parametrize("shape", IMAGES)
@pytest.mark.parametrize("degrees", [0, 10, 90, -37.5, 180])
def test_rotations_are_torchvisions(F, shape, degrees):
    x = image(shape)
    same(augment.rotate(x, degrees), F.rotate(torch.tensor(x), degrees, **bilinear(F)), 2e-5)


@pytest.mark.parametrize("shape", IMAGES)
@pytest.mark.parametrize(
    "angle, scale, shear, shift", [(20, 1.0, 0, (0, 0)), (0, 0.7, 0, (2, -1)), (-15, 1.2, 12, (1, 3))]
)
def test_affine_changes_are_torchvisions(F, shape, angle, scale, shear, shift):
    x = image(shape)
    leaning = np.array([[1.0, -np.tan(np.radians(shear))], [0.0, 1.0]])
    matrix = scale * augment.rotation(-angle) @ leaning
    theirs = F.affine(torch.tensor(x), angle, list(shift), scale, [float(shear), 0.0], **bilinear(F))
    same(augment.affine(x, matrix, shift), theirs, 2e-5)


@pytest.mark.parametrize("shape", IMAGES)
@pytest.mark.parametrize("factor", [0.0, 0.4, 1.0, 1.7])
def test_colours_are_torchvisions(F, shape, factor):
    x = image(shape)
    same(augment.brightness(x, factor), F.adjust_brightness(torch.tensor(x), factor))
    same(augment.contrast(x, factor), F.adjust_contrast(torch.tensor(x), factor), 1e-7)
    same(augment.saturation(x, factor), F.adjust_saturation(torch.tensor(x), factor), 1e-7)


@pytest.mark.parametrize("shape", IMAGES)
@pytest.mark.parametrize("size, sigma", [(3, 0.5), (5, 1.3), (7, 3.0), (1, 1.0)])
def test_blur_is_torchvisions(F, shape, size, sigma):
    x = image(shape)
    same(augment.blur(x, sigma, size), F.gaussian_blur(torch.tensor(x), [size, size], [sigma, sigma]), 1e-7)


def test_cutout_is_torchvisions(F):
    x = image((2, 3, 8, 9))
    same(augment.cutout(x, 2, 3, 4, 5), F.erase(torch.tensor(x), 2, 3, 4, 5, torch.zeros(1, 1, 1)))
    assert (augment.cutout(x, -1, -1, 3, 3, 1.0)[..., :2, :2] == 1).all()


@pytest.mark.parametrize("shape", IMAGES)
def test_sobel_is_scipys(shape):
    ndimage = pytest.importorskip("scipy.ndimage")
    x = image(shape)
    for index in np.ndindex(shape[:-2]):  # scipy would smooth over the channels too
        gx, gy = (ndimage.sobel(x[index], axis=axis, mode="nearest") for axis in (-1, -2))
        np.testing.assert_allclose(augment.sobel(x)[index], np.hypot(gx, gy), atol=1e-12)


def test_noise_has_its_spread(F):
    x = np.full((1, 300, 300), 0.5)
    noisy = augment.noise(x, 0.1, np.random.default_rng(0))
    assert noisy.std() == pytest.approx(0.1, rel=0.02) and noisy.mean() == pytest.approx(0.5, abs=0.002)
    theirs = F.gaussian_noise(torch.tensor(x), mean=0.0, sigma=0.1)
    assert noisy.std() == pytest.approx(theirs.std().item(), rel=0.03)
    assert augment.noise(x, 5.0, np.random.default_rng(0)).max() == 1


def test_colour_shift_by_hand():
    x = np.full((3, 2, 2), 0.5)
    np.testing.assert_allclose(augment.colour_shift(x, (0.1, 0, -0.7))[:, 0, 0], [0.6, 0.5, 0.0])


OPERATIONS = {
    "flip": augment.flip,
    "crop": lambda x: augment.crop(x, 1, -1, 3, 3),
    "rotate": lambda x: augment.rotate(x, 12),
    "brightness": lambda x: augment.brightness(x, 1.2),
    "contrast": lambda x: augment.contrast(x, 1.2),
    "saturation": lambda x: augment.saturation(x, 0.5),
    "shift": lambda x: augment.colour_shift(x, (0.1, 0.2, 0.0)),
    "noise": lambda x: augment.noise(x, 0.1, np.random.default_rng(0)),
    "blur": lambda x: augment.blur(x, 1.0, 3),
    "cutout": lambda x: augment.cutout(x, 0, 0, 2, 2),
    "sobel": augment.sobel,
}


@given(st.sampled_from(sorted(OPERATIONS)), st.integers(2, 7), st.integers(2, 7), st.booleans(), st.booleans())
@settings(max_examples=120, deadline=None)
def test_a_batch_is_its_images_one_by_one(name, H, W, single, float32):
    x = image((2, 3, H, W), np.float32 if float32 else np.float64)
    before, operation = x.copy(), OPERATIONS[name]
    out = operation(x)
    np.testing.assert_array_equal(x, before)
    assert out.dtype == x.dtype
    if name != "noise":
        np.testing.assert_allclose(out[1], operation(x[1]), atol=1e-6)


def test_turning_four_times_by_a_quarter_is_the_image():
    x = image((1, 9, 9))
    turned = x
    for _ in range(4):
        turned = augment.rotate(turned, 90)
    np.testing.assert_allclose(turned, x, atol=1e-12)
    np.testing.assert_allclose(augment.rotate(x, 90), np.rot90(x, axes=(-2, -1)), atol=1e-12)


def test_random_shifts_are_shifts_and_flips():
    x = image((40, 1, 6, 6)) + 0.1
    out = augment.random_shift_flip(x, np.random.default_rng(0), pixels=1)
    found = set()
    for image_, moved in zip(x, out, strict=True):
        matches = [
            (top, left, mirrored)
            for top in (-1, 0, 1) for left in (-1, 0, 1) for mirrored in (False, True)
            if np.array_equal(augment.crop(image_[..., ::-1] if mirrored else image_, top, left, 6, 6), moved)
        ]  # fmt: skip
        assert len(matches) == 1
        found.add(matches[0])
    assert len(found) > 12
    np.testing.assert_array_equal(augment.random_shift_flip(x, RNG, pixels=0, flips=False), x)


def test_random_cutout_paints_one_square():
    x = np.ones((30, 1, 8, 8))
    black = (augment.random_cutout(x, np.random.default_rng(0), 4) == 0).sum(axis=(1, 2, 3))
    assert black.max() == 16 and black.min() >= 4 and len(set(black)) > 3


# ------------------------------------------------------------------------------------------------ text and sound


def test_words_are_left_out_swapped_and_replaced():
    rng, words = np.random.default_rng(0), [f"w{i}" for i in range(2000)]
    kept = augment.random_deletion(words, 0.3, rng)
    assert len(kept) == pytest.approx(1400, abs=100) and kept == [w for w in words if w in set(kept)]
    assert augment.random_deletion(["only"], 0.99, rng) == ["only"]
    swapped = augment.random_swap(words, 1, rng)
    assert sorted(swapped) == sorted(words) and sum(a != b for a, b in zip(words, swapped, strict=True)) == 2
    assert augment.random_swap(["one"], 3, rng) == ["one"]
    found = augment.synonyms(["a", "good", "film"] * 500, {"good": ["fine", "great"]}, 0.5, rng)
    assert set(found) == {"a", "good", "film", "fine", "great"}
    assert found.count("good") == pytest.approx(250, abs=60)


@pytest.mark.parametrize("decibels", [-5, 0, 20])
def test_noise_has_the_ratio_that_was_asked_for(decibels):
    wave = np.sin(np.arange(1000) / 7)
    noise = augment.add_noise(wave, decibels, np.random.default_rng(0)) - wave
    assert 10 * np.log10(np.mean(wave**2) / np.mean(noise**2)) == pytest.approx(decibels)


@pytest.mark.parametrize("steps", [0, 3, -3, 10, -10, 25, -25])
def test_time_shift_by_hand(steps):
    wave = np.arange(1.0, 11.0)
    wanted = [wave[t - steps] if 0 <= t - steps < 10 else 0 for t in range(10)]
    np.testing.assert_array_equal(augment.time_shift(wave, steps), wanted)


def test_twice_as_fast_is_half_as_long_and_an_octave_higher():
    wave = np.sin(2 * np.pi * 50 * np.arange(2000) / 2000)
    fast = augment.change_speed(wave, 2.0)
    assert len(fast) == 1000
    assert np.abs(np.fft.rfft(fast)).argmax() == 50 and np.abs(np.fft.rfft(wave)).argmax() == 50
    np.testing.assert_array_equal(augment.change_speed(wave, 1.0), wave)


def test_spectrogram_is_torchs_and_its_masks_are_bands():
    wave = image((1000,)) - 0.5
    ours = augment.spectrogram(wave, 64, 32)
    window = torch.hann_window(64, periodic=False, dtype=torch.float64)
    theirs = torch.stft(torch.tensor(wave), 64, 32, window=window, center=False, return_complex=True).abs()
    np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-12)
    for seed in range(20):
        zero = augment.mask_spectrogram(ours, np.random.default_rng(seed), 6, 5) == 0
        rows, columns = zero.all(axis=1), zero.all(axis=0)
        assert rows.sum() <= 6 and columns.sum() <= 5
        np.testing.assert_array_equal(zero, rows[:, None] | columns[None])


X = np.zeros((3, 4, 5))


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: augment.flip(X, "both"), "axis is 'both'"),
        (lambda: augment.flip(X.astype(int)), "x has dtype int64"),
        (lambda: augment.flip(X[0, 0]), r"x has shape \(5,\)"),
        (lambda: augment.flip(X[:, :0]), "no axis of length 0"),
        (lambda: augment.crop(X, 0, 0, 0, 2), "height is 0"),
        (lambda: augment.affine(X, np.zeros((2, 2))), "matrix is"),
        (lambda: augment.contrast(X[0], 1), "three colours"),
        (lambda: augment.brightness(X, -1), "factor is -1"),
        (lambda: augment.noise(X, -1, RNG), "std is -1"),
        (lambda: augment.blur(X, 1, 4), "size is 4"),
        (lambda: augment.blur(X, 0, 3), "sigma is 0"),
        (lambda: augment.blur(X, 1, 9), "size is 9"),
        (lambda: augment.random_shift_flip(X[0], RNG), "x has shape"),
        (lambda: augment.random_deletion([], 0.1, RNG), "words is empty"),
        (lambda: augment.random_deletion(["a"], 1, RNG), "p is 1"),
        (lambda: augment.add_noise(np.zeros(0), 1, RNG), "wave has shape"),
        (lambda: augment.change_speed(np.zeros(9), 0), "rate is 0"),
        (lambda: augment.spectrogram(np.zeros(9)), "wave has shape"),
    ],
)
def test_what_does_not_fit_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
