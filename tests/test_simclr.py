"""SimCLR: views are what they say, the encoder learns without labels, and the probe leaves it alone."""

import dataclasses

import numpy as np
import pytest
import torch

from dlcourse import attacks, data, simclr

STILL = simclr.Views(crop=1, degrees=0, shear=0, contrast=0, brightness=0, noise=0, blur=0, cutout=0)


@pytest.fixture(scope="module")
def digits():
    d = data.load("digits")
    return torch.tensor(d.x_train[:, None]), torch.tensor(d.y_train)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_with_everything_off_a_view_is_the_image(digits):
    torch.testing.assert_close(STILL(digits[0][:9], generator()), digits[0][:9], atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "on",
    [
        {"crop": 0.5}, {"degrees": 30}, {"shear": 0.4}, {"contrast": 0.5}, {"brightness": 0.3}, {"noise": 0.2},
        {"blur": 1.0}, {"cutout": 0.4},
    ],
)  # fmt: skip
def test_each_augmentation_changes_something_and_follows_the_seed(digits, on):
    x = digits[0][:20].clone()
    views = dataclasses.replace(STILL, **on)
    seen = views(x, generator())
    assert seen.shape == x.shape and seen.min() >= 0 and seen.max() <= 1
    assert (seen - x).abs().amax((1, 2, 3)).median() > 0.02
    assert (torch.equal(seen, views(x, generator())) and not torch.equal(seen, views(x, generator(1)))) or "blur" in on
    assert torch.equal(x, digits[0][:20])


def test_a_quarter_turn_is_a_quarter_turn():
    x = torch.rand(1, 1, 9, 9, generator=generator())

    def fixed(low, high, *shape):  # every draw at its upper end
        return torch.full((1, *shape), float(high))

    turned = dataclasses.replace(STILL, degrees=90)._moved(x, fixed)
    torch.testing.assert_close(turned, torch.rot90(x, 1, (2, 3)), atol=1e-5, rtol=0)


def test_a_crop_is_enlarged():
    x = torch.zeros(1, 1, 8, 8)
    x[..., 2:6, 2:6] = 1

    def middle(low, high, *shape):
        return torch.full((1, *shape), low if (low, high) == (0.5, 1) else (low + high) / 2)

    seen = dataclasses.replace(STILL, crop=0.5)._moved(x, middle)
    assert seen[..., 1:-1, 1:-1].min() > 0.99  # at the border it is mixed with what is outside


def test_pretraining_lowers_the_loss_repeats_and_helps_few_labels(digits, one_thread):
    x, y = digits
    few = torch.tensor(np.concatenate([np.flatnonzero(y.numpy() == c)[:5] for c in range(10)]))
    views = simclr.Views(crop=0.8, degrees=10, shear=0.1, cutout=0, blur=0)
    runs = []
    for _ in range(2):
        encoder = simclr.encoder_for(8, (16, 32), seed=0)
        before = attacks.accuracy(simclr.probe(encoder, x[few], y[few], seed=0), x, y)
        runs.append(simclr.pretrain(encoder, x, views, seed=0, epochs=6))
    assert runs[0] == runs[1] and runs[0][-1] < runs[0][0] - 0.3
    kept = {name: value.clone() for name, value in encoder.state_dict().items()}
    net = simclr.probe(encoder, x[few], y[few], seed=0, views=views, copies=3)
    assert attacks.accuracy(net, x, y) > before
    assert all(torch.equal(value, kept[name]) for name, value in encoder.state_dict().items())


def test_the_probe_is_the_classifier_that_scikit_learn_found(digits):
    x, y = digits
    encoder = simclr.encoder_for(8, (4, 8), seed=0)
    net = simclr.probe(encoder, x[:200], y[:200], seed=0)
    z = simclr.features(encoder, x[:200])
    from sklearn.linear_model import LogisticRegression

    z = (z - z.mean(0)) / (z.var(0) + 1e-6).sqrt()
    found = LogisticRegression(max_iter=1000).fit(z.numpy(), y[:200].numpy())
    wanted = found.decision_function(z.numpy())
    with torch.no_grad():
        np.testing.assert_allclose(net(x[:200]).numpy(), wanted, atol=1e-3)


def test_the_rival_learns_its_labels(digits):
    x, y = digits
    net = simclr.supervised(simclr.encoder_for(8, (8, 16), seed=0), x[:100], y[:100], seed=0, steps=60, lr=0.01)
    assert attacks.accuracy(net, x[:100], y[:100]) > 0.95


def test_too_few_images_are_refused(digits):
    with pytest.raises(ValueError, match="x has 9 images"):
        simclr.pretrain(simclr.encoder_for(8, (4,), seed=0), digits[0][:9], STILL, seed=0, epochs=1)
