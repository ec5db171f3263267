"""The exercises of ``16_autoencoders``: the contract, and what is particular to them."""

from __future__ import annotations

import numpy as np

from dlcourse import autoencoder as by_hand
from dlcourse import data, exercises
from dlcourse.check.probe import probe
from dlcourse.exercises import autoencoder, chance

from . import alternatives_autoencoder
from .common import Contract


class TestAutoencoders(Contract):
    assignment = "16_autoencoders"
    alternatives = alternatives_autoencoder


def first(id):
    exercise = exercises.get(id)
    return probe(exercise.reference, exercise.make_cases(0)[0].calls).values


def test_the_question_s_examples_are_the_first_cases():
    loss, dwe, dwd = first("autoencoder.linear")[0]
    assert (loss, dwe.item(), dwd.item()) == (1, -2, -4)
    z, gradients = first("autoencoder.sample")
    np.testing.assert_allclose(z, [[2]])
    np.testing.assert_allclose(np.ravel(gradients), [3, 1.5])
    np.testing.assert_allclose(first("autoencoder.loss")[0], np.log(2) + 0.5)
    np.testing.assert_allclose(first("autoencoder.bound")[0], [np.log(2)])
    q, loss, dz, dcodes = first("autoencoder.vq")[0]
    np.testing.assert_allclose(np.concatenate([q, dz, dcodes]).ravel(), [0, 5, 10.5, 19.5, -1, 1])
    assert loss == 1.5


def test_the_denoiser_s_false_fail_is_the_binomial_one():
    allowed = chance.errors_allowed(autoencoder.NEW, autoencoder.THRESHOLD)
    rate = chance.binomial_tail(autoencoder.NEW, 1 - autoencoder.ASKED, allowed)
    assert rate < 9e-9 < exercises.get("autoencoder.denoise").compare.false_fail.rate


def test_the_question_s_claim_about_pca():
    """Of all numbers of directions, 12 clean most, and that is too few."""
    digits = data.load("digits", dtype=np.float64)
    images = np.concatenate([digits.x_train, digits.x_test]).reshape(-1, 64)
    share = {k: [] for k in (8, 10, 12, 14, 16, 20)}
    for seed in range(3):
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(images))
        clean = images[order[1000:]]
        noisy = clean + autoencoder.NOISE * rng.standard_normal(clean.shape)
        for k, found in share.items():
            basis = by_hand.pca(images[order[:1000]], k)
            found.append(autoencoder.cleaned(clean, basis.decode(basis.encode(noisy))).mean())
    means = {k: np.mean(found) for k, found in share.items()}
    assert 0.35 < max(means.values()) < 0.45 and max(means, key=means.get) in (10, 12, 14)
