"""The autoencoders in torch: shapes at any size, what they learn, bounds against the by-hand code and quadrature."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logsumexp

from dlcourse import autoencoder, data, train

torch = pytest.importorskip("torch")
from torch.nn import functional as F  # noqa: E402

from dlcourse import vae  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

BODIES = [
    {"hidden": ()},
    {"hidden": (9,)},
    {"hidden": (9, 7)},
    {"hidden": (3,), "conv": True},
    {"hidden": (3, 5), "conv": True},
]


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("shape", [(8, 8), (28, 28), (4, 12)])
@pytest.mark.parametrize("N", [0, 1, 3])
def test_shapes(body, shape, N):
    x = torch.rand(N, *shape)
    net = vae.Autoencoder(shape, 3, seed=0, **body)
    assert net.encode(x).shape == (N, 3) and net(x).shape == x.shape
    net = vae.VAE(shape, 3, seed=0, **body)
    assert [part.shape for part in net.encode(x)] == [(N, 3), (N, 3)]
    assert net.decode(torch.zeros(N, 3)).shape == x.shape and net(x)[0].shape == x.shape
    assert net.sample(2).shape == (2, *shape)


def test_the_seed_decides_the_weights_and_leaves_torchs_generator():
    torch.manual_seed(5)
    first = vae.VAE((8, 8), 2, seed=1)
    after = torch.rand(3)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(3), after)
    again, other = vae.VAE((8, 8), 2, seed=1), vae.VAE((8, 8), 2, seed=2)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not torch.equal(first.encoder[1].weight, other.encoder[1].weight)


def test_a_network_without_hidden_layers_is_linear_and_at_best_pca(digits):
    x = digits.x_train - digits.x_train.mean(axis=0)
    net = vae.Autoencoder((8, 8), 4, (), seed=0)
    a, b = torch.rand(2, 5, 8, 8)
    torch.testing.assert_close(net(a + b) + net(0 * a), net(a) + net(b))
    optimiser = torch.optim.Adam(net.parameters(), 0.01)
    train.fit(net, (x, x), optimiser, loss=F.mse_loss, epochs=25, batch_size=128, progress=False)
    with torch.no_grad():
        error = 64 * F.mse_loss(net(torch.as_tensor(x)), torch.as_tensor(x)).item()
    least = autoencoder.pca(x.reshape(-1, 64).astype(float), 4).variance[4:].sum()
    assert least < error < 1.15 * least


def test_a_deep_autoencoder_rebuilds_new_digits_better_than_pca(digits):
    x, x_test = digits.x_train, digits.x_test
    net = vae.Autoencoder((8, 8), 2, (64,), seed=0)
    train.fit(net, (x, x), torch.optim.Adam(net.parameters(), 5e-3), loss=F.mse_loss, epochs=25, progress=False)
    basis = autoencoder.pca(x.reshape(-1, 64), 2)
    linear = np.mean((basis.decode(basis.encode(x_test.reshape(-1, 64))) - x_test.reshape(-1, 64)) ** 2)
    with torch.no_grad():
        assert F.mse_loss(net(torch.as_tensor(x_test)), torch.as_tensor(x_test)).item() < 0.85 * linear


def test_noisy_batches_are_new_each_time_and_as_noisy_as_asked():
    clean = np.full((200, 8, 8), 0.5, np.float32)
    batches = vae.noisy_batches(clean, 0.3, 50)
    (first, target), *_ = batches(np.random.default_rng(0))
    (again, _), *_ = batches(np.random.default_rng(1))
    assert first.shape == target.shape == (50, 8, 8) and first.dtype == np.float32 and (target == 0.5).all()
    assert not np.array_equal(first, again) and abs((first - target).std() - 0.3) < 0.02
    spreads = [
        np.std(a - b, axis=(1, 2)) for a, b in vae.noisy_batches(clean, (0.0, 0.8), 50)(np.random.default_rng(0))
    ]
    spreads = np.concatenate(spreads)
    assert spreads.min() < 0.05 and spreads.max() > 0.7 and abs(spreads.mean() - 0.4) < 0.05


def test_binarised_images_are_right_on_average():
    x = np.tile(np.linspace(0, 1, 64, dtype=np.float32).reshape(1, 8, 8), (2000, 1, 1))
    b = vae.binarised(x, np.random.default_rng(0))
    assert set(np.unique(b)) == {0, 1} and b.dtype == np.float32
    assert np.abs(b.mean(axis=0) - x[0]).max() < 0.05
    assert (b[:, 0, 0] == 0).all() and (b[:, 7, 7] == 1).all()
    inputs, targets = next(iter(vae.binarised_batches(x, 30)(np.random.default_rng(0))))
    assert inputs.shape == (30, 8, 8) and np.array_equal(inputs, targets)


@pytest.mark.parametrize("noise", [None, 0.3])
def test_the_loss_is_that_of_the_parts_by_hand(noise):
    net = vae.VAE((2, 3), 2, (5,), seed=0).double()
    x = torch.rand(7, 2, 3, dtype=torch.float64)
    outputs = net(x)
    logits, mu, logvar = (part.detach().numpy() for part in outputs)
    kl, _ = autoencoder.gaussian_kl_forward(mu, logvar)
    flat, flat_x = logits.reshape(7, 6), x.numpy().reshape(7, 6)
    if noise is None:
        pixels, _ = autoencoder.bernoulli_log_likelihood_forward(flat, flat_x)
    else:
        pixels, _ = autoencoder.gaussian_log_likelihood_forward(flat, flat_x, noise)
    for beta in (1.0, 0.2):
        found = vae.negative_elbo(outputs, x, beta, noise).item()
        assert found == pytest.approx((beta * kl - pixels).mean(), rel=1e-12)


def test_the_reparameterised_draw_has_the_mean_and_the_spread_it_should():
    torch.manual_seed(0)
    mu, logvar = torch.tensor([[1.0, -2.0]]).repeat(50_000, 1), torch.tensor([[0.0, -2.0]]).repeat(50_000, 1)
    z = vae.reparameterise(mu, logvar)
    torch.testing.assert_close(z.mean(dim=0), mu[0], atol=0.02, rtol=0)
    torch.testing.assert_close(z.std(dim=0), (logvar[0] / 2).exp(), atol=0.02, rtol=0)


@pytest.mark.parametrize("noise", [None, 0.4])
def test_bounds_rise_from_the_elbo_to_the_likelihood(noise):
    net = vae.VAE((2, 3), 1, (6,), seed=3).double()
    x = (np.random.default_rng(0).random((3, 2, 3)) < 0.5).astype(float)
    grid = torch.linspace(-10, 10, 20001, dtype=torch.float64)[:, None]
    with torch.no_grad():
        decoded = net.decode(grid).numpy().reshape(-1, 6)
    truth = []
    for image in x.reshape(3, 6):
        rows = np.repeat(image[None], len(grid), axis=0)
        if noise is None:
            pixels, _ = autoencoder.bernoulli_log_likelihood_forward(decoded, rows)
        else:
            pixels, _ = autoencoder.gaussian_log_likelihood_forward(decoded, rows, noise)
        joint = pixels + autoencoder.gaussian_log_density(grid.numpy(), 0.0, 0.0)
        truth.append(logsumexp(joint) + np.log(1e-3))
    many = np.repeat(x, 3000, axis=0)
    one = vae.elbo(net, many, noise=noise).reshape(3, -1).mean(axis=1)
    single = vae.importance_bound(net, many, 1, noise=noise).reshape(3, -1).mean(axis=1)
    np.testing.assert_allclose(single, one, atol=0.15 if noise is None else 0.4)
    ten = vae.importance_bound(net, many, 10, noise=noise).reshape(3, -1).mean(axis=1)
    most = vae.importance_bound(net, x, 200_000, noise=noise)
    assert (one < ten + 1e-3).all() and (ten < np.array(truth) + 1e-3).all()
    np.testing.assert_allclose(most, truth, atol=0.05)


def test_how_the_samples_are_split_changes_no_bound_and_no_generator():
    net, x = vae.VAE((4, 4), 2, (5,), seed=0), np.ones((5, 4, 4), np.float32)
    torch.manual_seed(3)
    state = torch.get_rng_state()
    small, large = (vae.importance_bound(net, x, 3000, block=block) for block in (700, 100_000))
    np.testing.assert_allclose(small, large, atol=0.05)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_vae_learns_digits_and_its_samples_look_like_them(digits):
    net = vae.VAE((8, 8), 4, (64,), seed=0)
    bits = vae.binarised(digits.x_test, np.random.default_rng(0))
    before = vae.elbo(net, bits).mean()
    run = vae.fit_vae(net, digits.x_train, epochs=20, batch_size=64, lr=3e-3, progress=False)
    assert run.history["loss"][-1] < run.history["loss"][0]
    assert vae.elbo(net, bits).mean() > before + 15
    mean = digits.x_train.mean(axis=0)
    assert np.corrcoef(net.sample(300).mean(dim=0).numpy().ravel(), mean.ravel())[0, 1] > 0.9
    assert torch.equal(net.sample(3, seed=1), net.sample(3, seed=1))


def test_gaussian_pixels_train_too(digits):
    net = vae.VAE((8, 8), 4, (32,), seed=0)
    run = vae.fit_vae(net, digits.x_train[:500], epochs=4, batch_size=50, noise=0.3, progress=False)
    assert run.history["loss"][-1] < run.history["loss"][0] - 5


# ------------------------------------------------------------------------------------------------------- the VQ-VAE


def test_the_codebook_is_that_by_hand():
    rng = np.random.default_rng(0)
    z, codes, dq = rng.normal(size=(9, 3)), rng.normal(size=(4, 3)), rng.normal(size=(9, 3))
    book, leaf = vae.Codebook(4, 3, commitment=0.4), torch.tensor(z, requires_grad=True)
    book.codes = torch.nn.Parameter(torch.tensor(codes))
    q, indices, loss = book(leaf)
    ((q * torch.tensor(dq)).sum() + loss).backward()
    (by_hand_q, by_hand_loss), cache = autoencoder.vq_forward(z, codes, 0.4)
    dz, dcodes = autoencoder.vq_backward(dq, 1.0, cache)
    np.testing.assert_array_equal(indices.numpy(), cache[2])
    for ours, theirs in ((by_hand_q, q), (dz, leaf.grad), (dcodes, book.codes.grad)):
        np.testing.assert_allclose(ours, theirs.detach().numpy(), atol=1e-12)
    assert loss.item() == pytest.approx(by_hand_loss)


@pytest.mark.parametrize("shape, hidden", [((8, 8), (4,)), ((28, 28), (4, 6)), ((8, 16), (3, 4, 5))])
def test_a_vqvae_decodes_its_own_codes(shape, hidden):
    net = vae.VQVAE(shape, 7, 5, hidden, seed=0).eval()
    x = torch.rand(3, *shape)
    indices = net.encode(x)
    assert indices.shape == (3, *net.grid) and net.grid == (shape[0] >> len(hidden), shape[1] >> len(hidden))
    torch.testing.assert_close(net.decode(indices), net(x)[0])
    vae.vq_loss(net.train()(x), x).backward()
    assert net.encoder[1].weight.grad.abs().sum() > 0  # straight through the codebook


def test_unused_codes_are_moved_in_training_only():
    torch.manual_seed(0)
    book, z = vae.Codebook(6, 2, restart=True), 5 + torch.randn(20, 2)
    before = book.codes.detach().clone()
    used = torch.bincount(book.eval()(z)[1], minlength=6) > 0
    assert torch.equal(book.codes, before)
    book.train()(z)
    moved = (book.codes != before).any(dim=1)
    assert torch.equal(moved, ~used) and moved.any()
    assert all(any(torch.equal(code, row) for row in z) for code in book.codes[moved])


def test_moving_brings_more_codes_into_use(digits):
    x, in_use = digits.x_train[:600], {}
    for restart in (False, True):
        net = vae.VQVAE((8, 8), 64, 4, (16,), restart=restart, seed=0)
        run = train.fit(
            net, (x, x), torch.optim.Adam(net.parameters(), 3e-3), loss=vae.vq_loss, epochs=4, progress=False
        )
        assert run.history["loss"][-1] < run.history["loss"][0]
        with torch.no_grad():
            in_use[restart] = len(net.eval().encode(torch.as_tensor(x)).unique())
    assert in_use[True] > in_use[False]


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: vae.Autoencoder((8, 8), 0), "latent is 0; expected at least 1"),
        (lambda: vae.Autoencoder((8, 8), 2, (4, 0)), r"hidden is \(4, 0\)"),
        (lambda: vae.Autoencoder((0, 8), 2), r"shape is \(0, 8\)"),
        (
            lambda: vae.VAE((10, 8), 2, (3, 4), conv=True),
            r"shape is \(10, 8\); with 2 convolutions, expected multiples of 4",
        ),
        (lambda: vae.VQVAE((8, 8), hidden=()), "with at least one"),
        (
            lambda: vae.Autoencoder((8, 8), 2)(torch.rand(3, 1, 8, 8)),
            r"x has shape \(3, 1, 8, 8\); expected \(N, 8, 8\)",
        ),
        (lambda: vae.VQVAE((8, 8)).encode(torch.rand(2, 8, 4)), r"expected \(N, 8, 8\)"),
        (lambda: vae.Codebook(0, 3), "codes is 0; expected at least 1"),
        (lambda: vae.Codebook(4, 3)(torch.rand(2, 2)), r"z has shape \(2, 2\); expected \(M, 3\)"),
        (lambda: vae.importance_bound(vae.VAE((2, 2), 1), np.ones((1, 2, 2), np.float32), 0), "samples is 0"),
    ],
)
def test_bad_input_is_told_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()
