"""Random labels, mixed pixels, parity: what is drawn is what is said, and a network remembers it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dlcourse import data, generalisation

GEN = np.random.default_rng


@given(st.integers(0, 50), st.floats(0, 1), st.integers(1, 10), st.integers(0, 99))
def test_random_labels_are_labels(N, share, classes, seed):
    y = GEN(seed).integers(0, classes, N)
    drawn = generalisation.random_labels(y, share, classes, GEN(seed))
    assert drawn.shape == y.shape and drawn.dtype == y.dtype and set(drawn.tolist()) <= set(range(classes))
    np.testing.assert_array_equal(generalisation.random_labels(y, 0.0, classes, GEN(seed)), y)


def test_the_share_of_wrong_labels_and_their_spread():
    y = np.repeat(np.arange(10), 2000)
    drawn = generalisation.random_labels(y, 0.5, 10, GEN(0))
    assert np.mean(drawn != y) == pytest.approx(0.45, abs=0.02)
    assert stats.chisquare(np.bincount(generalisation.random_labels(0 * y, 1.0, 10, GEN(1)))).pvalue > 1e-6


def test_one_order_for_all_images_or_one_each():
    x = GEN(0).random((20, 4, 5)).astype(np.float32)
    together, apart = (generalisation.shuffle_pixels(x, GEN(1), each=each) for each in (False, True))
    for mixed in (together, apart):
        assert mixed.shape == x.shape and mixed.dtype == x.dtype
        np.testing.assert_array_equal(np.sort(mixed.reshape(20, -1)), np.sort(x.reshape(20, -1)))
    orders = [
        {tuple(np.searchsorted(np.sort(a), b)) for a, b in zip(x.reshape(20, -1), m.reshape(20, -1), strict=True)}
        for m in (together, apart)
    ]
    place = np.flatnonzero(together[0].ravel() == x[0, 0, 0])[0]
    np.testing.assert_array_equal(together.reshape(20, -1)[:, place], x[:, 0, 0])
    assert len(orders[1]) == 20 and not np.array_equal(apart.reshape(20, -1)[:, place], x[:, 0, 0])


def test_noise_has_the_images_mean_and_spread():
    x = data.load("digits").x_train
    noise = generalisation.gaussian_pixels(x, GEN(0))
    assert noise.dtype == x.dtype and noise.shape == x.shape
    assert noise.mean() == pytest.approx(x.mean(), abs=0.01) and noise.std() == pytest.approx(x.std(), abs=0.01)


@pytest.mark.parametrize("kind", generalisation.KINDS)
def test_each_experiment_changes_what_it_says(kind):
    d = data.load("digits")
    x, y, x_test = generalisation.corrupted(kind, d.x_train, d.y_train, d.x_test, 10, GEN(0))
    assert np.array_equal(x, d.x_train) == (kind in ("true labels", "half random", "random labels"))
    assert np.array_equal(x_test, d.x_test) == np.array_equal(x, d.x_train)
    assert np.array_equal(y, d.y_train) == (kind not in ("half random", "random labels"))
    if kind == "shuffled pixels":  # training and test images in the same order
        place = np.flatnonzero((x.reshape(len(x), -1) == d.x_train[:, 3, 4][:, None]).all(axis=0))[0]
        np.testing.assert_array_equal(x_test.reshape(len(x_test), -1)[:, place], d.x_test[:, 3, 4])


def test_random_labels_are_remembered_and_nothing_is_learned(one_thread):
    d = data.load("digits")
    found = {}
    for kind in ("true labels", "random labels"):
        x, y, x_test = generalisation.corrupted(kind, d.x_train[:300], d.y_train[:300], d.x_test, 10, GEN(0))
        found[kind] = generalisation.memorise(x, y, x_test, d.y_test, seed=0, hidden=128, epochs=150)
    assert all(run.train_error[-1] == 0 and run.epochs == len(run.train_error) for run in found.values())
    assert found["true labels"].test_error < 0.15 and found["random labels"].test_error > 0.8
    assert found["random labels"].epochs > found["true labels"].epochs


def test_parity_is_the_product_of_the_bits_that_count():
    x, y = generalisation.parity(200, 12, 5, GEN(0))
    assert x.shape == (200, 12) and x.dtype == np.float32 and set(np.unique(x)) == {-1, 1}
    np.testing.assert_array_equal(np.where(y == 1, -1, 1) * (-1) ** 5, x[:, :5].prod(axis=1).astype(int))
    np.testing.assert_array_equal(
        generalisation.parity(9, 3, 1, GEN(2))[1] * 2 - 1, generalisation.parity(9, 3, 1, GEN(2))[0][:, 0]
    )


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: generalisation.random_labels(np.zeros(3, int), 1.5, 2, GEN(0)), "share is 1.5"),
        (lambda: generalisation.random_labels(np.full(3, 2), 0.5, 2, GEN(0)), "labels from 2 to 2"),
        (lambda: generalisation.shuffle_pixels(np.zeros((2, 3), int), GEN(0)), "x has dtype"),
        (lambda: generalisation.corrupted("upside down", *[None] * 3, 10, GEN(0)), "kind is 'upside down'"),
        (lambda: generalisation.parity(3, 2, 3, GEN(0)), "used is 3"),
    ],
)
def test_wrong_input_is_said(call, said):
    with pytest.raises(ValueError, match=said):
        call()
