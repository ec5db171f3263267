"""PCA, the linear autoencoder, the ELBO and vector quantisation by hand: against torch, SciPy and scikit-learn in
float64, small differences, samples, and what bad input is told."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import subspace_angles
from scipy.special import logsumexp
from sklearn.decomposition import PCA
from sklearn.metrics import pairwise_distances_argmin

from dlcourse import autoencoder as ae
from dlcourse import data, optim, train

torch = pytest.importorskip("torch")
FLOATS = st.sampled_from([np.float16, np.float32, np.float64])


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def close(ours, theirs, rtol=1e-10):
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=rtol * max(1.0, float(np.abs(theirs).max(initial=0))))


def torchs(function, inputs, dout):
    """The output and the gradients of the inputs, by autograd."""
    leaves = [torch.tensor(a, requires_grad=True) for a in inputs]
    out = function(*leaves)
    out.backward(torch.as_tensor(dout, dtype=out.dtype))
    return [out.detach().numpy(), *(leaf.grad.numpy() for leaf in leaves)]


def same(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        close(a, b)


def by_differences(function, array, step=1e-6):
    """The gradient of a number with respect to an array, entry by entry."""
    gradient = np.empty_like(array)
    for index in np.ndindex(array.shape):
        there, back = array.copy(), array.copy()
        there[index] += step
        back[index] -= step
        gradient[index] = (function(there) - function(back)) / (2 * step)
    return gradient


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", dtype=np.float64).x_train.reshape(-1, 64)


# --------------------------------------------------------------------------------------------------------------- PCA


@pytest.mark.parametrize("N, D, k", [(50, 6, 3), (50, 6, 6), (4, 9, 3), (4, 9, 7), (1, 3, 2), (5, 1, 1)])
def test_pca_is_scikit_learns(N, D, k):
    x = normal(0, N, D) * np.arange(1, D + 1)
    basis = ae.pca(x, k)
    close(basis.w.T @ basis.w, np.eye(k))
    theirs = PCA(min(N, D)).fit(x) if N > 1 else None
    if theirs is None:
        close(basis.variance, np.zeros(D))
        return
    close(basis.variance[: min(N, D)], theirs.explained_variance_ * (N - 1) / N, 1e-9)
    meaningful = min(k, N - 1)
    close(np.abs(np.sum(basis.w.T[:meaningful] * theirs.components_[:meaningful], axis=1)), np.ones(meaningful), 1e-9)
    error = np.mean(np.sum((basis.decode(basis.encode(x)) - x) ** 2, axis=1))
    close(error, basis.variance[k:].sum(), 1e-9)


def test_wt_w_is_the_identity_and_w_wt_is_not(digits):
    w = ae.pca(digits, 5).w
    close(w.T @ w, np.eye(5))
    assert np.abs(w @ w.T - np.eye(64)).max() > 0.9
    close(w @ w.T @ w @ w.T, w @ w.T)  # a projection


def test_no_other_subspace_of_that_size_leaves_less(digits):
    basis = ae.pca(digits, 4)
    best = basis.variance[4:].sum()
    centred = digits - basis.mean
    for seed in range(5):
        q = np.linalg.qr(basis.w + 0.1 * normal(seed, 64, 4))[0]
        assert np.mean(np.sum((centred - centred @ q @ q.T) ** 2, axis=1)) > best


@pytest.mark.parametrize("k", [1, 3])
def test_the_linear_autoencoder_is_torchs(k):
    x, we, wd, dout = normal(0, 7, 5), normal(1, 5, k), normal(2, k, 5), normal(3, 7, 5)
    x_hat, cache = ae.linear_autoencoder_forward(x, we, wd)
    ours = [x_hat, *ae.linear_autoencoder_backward(dout, cache)]
    same(ours, torchs(lambda x, e, d: x @ e @ d, [x, we, wd], dout))
    loss, cache = ae.reconstruction_forward(x_hat, x)
    theirs = torchs(lambda a: (a - torch.tensor(x)).pow(2).sum(1).mean(), [x_hat], 3.0)
    same([loss, ae.reconstruction_backward(3.0, cache)], theirs)


def test_gradient_descent_finds_pcas_subspace_on_real_digits(digits):
    basis = ae.pca(digits, 8)
    angles = []
    for seed in range(2):
        _, wd, losses = ae.fit_linear_autoencoder(digits - basis.mean, 8, seed=seed)
        angles.append(ae.principal_angles(basis.w, wd.T)[0])
        assert losses[-1] == pytest.approx(basis.variance[8:].sum(), rel=1e-4)
        assert np.abs(wd @ wd.T - np.eye(8)).max() > 0.1  # a basis of it, but another one
    assert max(angles) < 1e-3


@pytest.mark.parametrize("noise", [0.0, 1e-9, 1e-6, 1e-3, 0.5, 3.0])
def test_principal_angles_are_scipys_however_small(noise):
    a = normal(0, 9, 4)
    b = a @ normal(1, 4, 4) + noise * normal(2, 9, 4)
    np.testing.assert_allclose(ae.principal_angles(a, b), subspace_angles(a, b), rtol=1e-5, atol=1e-14)
    np.testing.assert_allclose(ae.principal_angles(b, a), ae.principal_angles(a, b), rtol=1e-5, atol=1e-14)


def test_principal_angles_by_hand():
    a, b = np.eye(3)[:, :2], np.array([[1, 0], [0, np.cos(0.3)], [0, np.sin(0.3)]])
    np.testing.assert_allclose(ae.principal_angles(a, b), [0.3, 0], atol=1e-12)
    np.testing.assert_allclose(ae.principal_angles(np.eye(4)[:, :2], np.eye(4)[:, 2:]), [np.pi / 2] * 2)


# --------------------------------------------------------------------------------------------------- parts of the ELBO


@pytest.mark.parametrize("shape", [(6, 3), (1, 1), (0, 3), (5, 1)])
def test_every_part_is_torchs(shape):
    mu, logvar, eps, dz = (normal(seed, *shape) for seed in range(4))
    dout = normal(4, shape[0])
    p_eps = torch.tensor(eps)

    z, cache = ae.reparameterise_forward(mu, logvar, eps)
    theirs = torchs(lambda m, s: m + (s / 2).exp() * p_eps, [mu, logvar], dz)
    same([z, *ae.reparameterise_backward(dz, cache)], theirs)

    def q(m, s):
        return torch.distributions.Normal(m, (s / 2).exp())

    prior = torch.distributions.Normal(torch.zeros(()).double(), torch.ones(()).double())
    kl, cache = ae.gaussian_kl_forward(mu, logvar)
    theirs = torchs(lambda m, s: torch.distributions.kl_divergence(q(m, s), prior).sum(1), [mu, logvar], dout)
    same([kl, *ae.gaussian_kl_backward(dout, cache)], theirs)

    def sampled(m, s):
        at = m + (s / 2).exp() * p_eps
        return (q(m, s).log_prob(at) - prior.log_prob(at)).sum(1)

    kl, cache = ae.sampled_kl_forward(mu, logvar, eps)
    same([kl, *ae.sampled_kl_backward(dout, cache)], torchs(sampled, [mu, logvar], dout))
    close(kl, ae.gaussian_log_density(z, mu, logvar) - ae.gaussian_log_density(z, 0.0, np.zeros(shape[1])))

    x = np.random.default_rng(5).integers(0, 2, shape).astype(float)
    pixels, cache = ae.bernoulli_log_likelihood_forward(mu, x)
    theirs = torchs(
        lambda s: torch.distributions.Bernoulli(logits=s).log_prob(torch.tensor(x)).sum(1), [mu], dout
    )  # fmt: skip
    same([pixels, ae.bernoulli_log_likelihood_backward(dout, cache)], theirs)

    pixels, cache = ae.gaussian_log_likelihood_forward(mu, x, 0.3)
    theirs = torchs(
        lambda m: torch.distributions.Normal(m, 0.3).log_prob(torch.tensor(x)).sum(1), [mu], dout
    )  # fmt: skip
    same([pixels, ae.gaussian_log_likelihood_backward(dout, cache)], theirs)


def test_pixels_of_certain_networks_stay_finite():
    logits, x = np.array([[900.0, -900.0, 0.0]]), np.array([[1.0, 1.0, 0.5]])
    pixels, cache = ae.bernoulli_log_likelihood_forward(logits, x)
    close(pixels, [-900 - np.log(2)])
    close(ae.bernoulli_log_likelihood_backward(np.ones(1), cache), [[0, 1, 0]])


def test_both_forms_of_the_kl_agree_on_average():
    mu, logvar = np.array([[0.7, -0.2, 1.5]]), np.array([[0.3, -1.0, -2.0]])
    n = 200_000
    wide = [np.repeat(a, n, axis=0) for a in (mu, logvar)]
    single, cache = ae.sampled_kl_forward(*wide, normal(0, n, 3))
    (kl,), exact = ae.gaussian_kl_forward(mu, logvar)
    assert abs(single.mean() - kl) < 5 * single.std() / np.sqrt(n)
    assert single.min() < 0 < kl  # one sample may be negative, the divergence is not
    for one, mean in zip(ae.sampled_kl_backward(np.ones(n), cache), ae.gaussian_kl_backward(np.ones(1), exact),
                         strict=True):  # fmt: skip
        np.testing.assert_array_less(np.abs(one.mean(axis=0) - mean[0]), 5 * one.std(axis=0) / np.sqrt(n))


def test_the_kl_is_zero_at_the_prior_only():
    assert ae.gaussian_kl_forward(np.zeros((2, 3)), np.zeros((2, 3)))[0].tolist() == [0, 0]
    assert (ae.gaussian_kl_forward(normal(0, 50, 3), normal(1, 50, 3))[0] > 0).all()


def test_the_importance_bound_is_scipys_grows_with_samples_and_reaches_the_likelihood():
    log_w = 400 + 3 * normal(0, 64, 5)
    close(ae.importance_bound(log_w), logsumexp(log_w, axis=0) - np.log(64))
    close(ae.importance_bound(log_w[:1]), log_w[0])
    # x given z is N(z, 1), z is N(0, 1), so x is N(0, 2), and q = N(0.3 x, 1) is not the posterior N(x/2, 1/2)
    x, K, n = 1.3, 64, 4000
    eps = normal(1, K, n)
    z = 0.3 * x + eps
    log_w = -(((x - z) ** 2) + z**2 - eps**2) / 2 - np.log(2 * np.pi) / 2
    means = [ae.importance_bound(log_w[:k]).mean() for k in (1, 4, 16, 64)]
    truth = -(x**2) / 4 - np.log(2 * np.pi * 2) / 2
    assert all(a < b for a, b in itertools.pairwise(means)) and means[0] < truth - 0.1
    assert abs(means[-1] - truth) < 0.01


# -------------------------------------------------------------------------------------------------------- a small VAE


def torch_loss(x, eps, sampled, beta):
    x, eps = torch.tensor(x), torch.tensor(eps)

    def loss(*p):
        p = ae.Parameters(*p)
        h = torch.tanh(x @ p.w_in + p.b_in)
        q = torch.distributions.Normal(h @ p.w_mu + p.b_mu, ((h @ p.w_logvar + p.b_logvar) / 2).exp())
        z = q.loc + q.scale * eps
        prior = torch.distributions.Normal(torch.zeros(()).double(), torch.ones(()).double())
        kl = (q.log_prob(z) - prior.log_prob(z)) if sampled else torch.distributions.kl_divergence(q, prior)
        logits = torch.tanh(z @ p.w_hidden + p.b_hidden) @ p.w_out + p.b_out
        pixels = torch.distributions.Bernoulli(logits=logits, validate_args=False).log_prob(x)
        return (beta * kl.sum(1) - pixels.sum(1)).mean()

    return loss


@pytest.mark.parametrize("sampled", [False, True])
@pytest.mark.parametrize("beta", [1.0, 0.25])
def test_the_elbo_and_its_gradient_are_torchs(sampled, beta):
    x, eps = np.random.default_rng(0).random((6, 9)), normal(1, 6, 2)
    p = ae.Parameters.start(9, 5, 2, seed=2)
    p = p._replace(**{name: normal(3, *getattr(p, name).shape) for name in p._fields if name.startswith("b_")})
    loss, cache = ae.vae_forward(x, eps, p, sampled=sampled, beta=beta)
    same([loss, *ae.vae_backward(1.7, cache)], torchs(torch_loss(x, eps, sampled, beta), list(p), 1.7))


@pytest.mark.parametrize("sampled", [False, True])
def test_the_elbos_gradient_is_that_of_small_differences(sampled):
    x, eps = np.random.default_rng(0).integers(0, 2, (3, 4)).astype(float), normal(1, 3, 2)
    p = ae.Parameters.start(4, 3, 2, seed=2)
    _, cache = ae.vae_forward(x, eps, p, sampled=sampled)
    for name, gradient in ae.vae_backward(1.0, cache)._asdict().items():
        numerical = by_differences(
            lambda a, name=name: ae.vae_forward(x, eps, p._replace(**{name: a}), sampled=sampled)[0], getattr(p, name)
        )
        np.testing.assert_allclose(gradient, numerical, rtol=1e-5, atol=1e-7, err_msg=name)


def test_the_elbo_lies_below_the_likelihood_that_quadrature_gives():
    p = ae.Parameters.start(4, 6, 1, seed=0)
    x = np.array([[1.0, 0, 1, 1]])
    grid = np.linspace(-9, 9, 20001)[:, None]
    logits = np.log(ae.vae_decode(grid, p)) - np.log1p(-ae.vae_decode(grid, p))
    pixels = ae.bernoulli_log_likelihood_forward(logits, np.repeat(x, len(grid), axis=0))[0]
    joint = pixels + ae.gaussian_log_density(grid, 0.0, np.zeros(1))
    truth = logsumexp(joint) + np.log(grid[1, 0] - grid[0, 0])
    eps = normal(0, 20000, 1)
    loss, _ = ae.vae_forward(np.repeat(x, len(eps), axis=0), eps, p)
    assert -loss < truth < -loss + 1
    mu, logvar = ae.vae_encode(x, p)
    z = mu + np.exp(logvar / 2) * eps
    logits = np.log(ae.vae_decode(z, p)) - np.log1p(-ae.vae_decode(z, p))
    log_w = (
        ae.bernoulli_log_likelihood_forward(logits, np.repeat(x, len(z), axis=0))[0]
        + ae.gaussian_log_density(z, 0.0, np.zeros(1))
        - ae.gaussian_log_density(z, mu, logvar)
    )
    assert abs(ae.importance_bound(log_w) - truth) < 0.02


def test_a_small_vae_learns_digits(digits):
    net = ae.SmallVAE(64, 32, 2, seed=0)
    rows = np.clip(digits[:400], 0, 1)

    def batches(rng):
        for start in range(0, len(rows), 50):
            x = (rng.random((50, 64)) < rows[start : start + 50]).astype(float)
            yield x, rng.standard_normal((50, 2))

    run = train.fit(net, batches, optim.Adam(net.parameters, lr=0.01), epochs=15, progress=False)
    assert run.history["loss"][-1] < 0.8 * run.history["loss"][0]


# ------------------------------------------------------------------------------------------------ vector quantisation


def test_the_nearest_code_is_scikit_learns():
    z, codes = normal(0, 200, 5), normal(1, 17, 5)
    np.testing.assert_array_equal(ae.nearest(z, codes), pairwise_distances_argmin(z, codes))
    assert ae.nearest(np.zeros((1, 2)), np.ones((3, 2))).tolist() == [0]  # of equally near ones the first


@pytest.mark.parametrize("shape", [(40, 3), (1, 1), (0, 3)])
def test_straight_through_is_torchs(shape):
    z, codes, dq, beta = normal(0, *shape), normal(1, 6, shape[1]), normal(2, *shape), 0.4

    def theirs(z, codes):
        chosen = codes[torch.cdist(z, codes).argmin(1)]
        q = z + (chosen - z).detach()
        n = max(z.numel(), 1)
        loss = ((chosen - z.detach()) ** 2).sum() / n + beta * ((z - chosen.detach()) ** 2).sum() / n
        return torch.cat([q.flatten(), loss[None]])

    (q, loss), cache = ae.vq_forward(z, codes, beta)
    dz, dcodes = ae.vq_backward(dq, 1.5, cache)
    same([np.append(q, loss), dz, dcodes], torchs(theirs, [z, codes], np.append(dq, 1.5)))


def test_the_codebooks_gradient_is_that_of_small_differences():
    z, codes = normal(0, 12, 2), normal(1, 4, 2)
    (q, _), cache = ae.vq_forward(z, codes, 0.0)  # without commitment, all of the loss is the codes'
    _, dcodes = ae.vq_backward(np.zeros_like(q), 1.0, cache)
    numerical = by_differences(lambda c: ae.vq_forward(z, c, 0.0)[0][1], codes)
    np.testing.assert_allclose(dcodes, numerical, rtol=1e-5, atol=1e-8)


def test_usage_and_perplexity():
    close(ae.usage(np.array([[0, 0], [2, 0]]), 4), [0.75, 0, 0.25, 0])
    assert ae.perplexity(np.zeros(9, int), 8) == 1
    assert ae.perplexity(np.arange(8), 8) == pytest.approx(8)
    assert 1 < ae.perplexity(np.array([0, 0, 2, 0]), 4) < 2


# ------------------------------------------------------------------------------------------- any size, and bad input


@given(st.integers(0, 5), st.integers(1, 4), st.integers(1, 3), FLOATS, st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_dtypes_are_kept_at_every_size(N, D, k, dtype, seed):
    x, we, wd = (normal(seed, *shape).astype(dtype) for shape in ((N, D), (D, k), (k, D)))
    x_hat, cache = ae.linear_autoencoder_forward(x, we, wd)
    loss, loss_cache = ae.reconstruction_forward(x_hat, x)
    made = [x_hat, loss, *ae.linear_autoencoder_backward(ae.reconstruction_backward(1.0, loss_cache), cache)]
    mu, logvar, eps, dout = x, -x, x / 2, np.ones(N, dtype)
    for kl, cache, backward in (
        (*ae.gaussian_kl_forward(mu, logvar), ae.gaussian_kl_backward),
        (*ae.sampled_kl_forward(mu, logvar, eps), ae.sampled_kl_backward),
    ):
        made += [kl, *backward(dout, cache)]
    for forward, backward in (
        (ae.bernoulli_log_likelihood_forward, ae.bernoulli_log_likelihood_backward),
        (ae.gaussian_log_likelihood_forward, ae.gaussian_log_likelihood_backward),
    ):
        pixels, cache = forward(mu, np.clip(x, 0, 1))
        made += [pixels, backward(dout, cache)]
    (q, loss), cache = ae.vq_forward(x, wd)
    made += [q, loss, *ae.vq_backward(np.ones_like(q), 1.0, cache)]
    p = ae.Parameters.start(D, 2, k, dtype=dtype)
    loss, cache = ae.vae_forward(np.clip(x, 0, 1), normal(seed, N, k).astype(dtype), p)
    made += [loss, *ae.vae_backward(1.0, cache)]
    assert {np.asarray(a).dtype for a in made} == {np.dtype(dtype)}
    assert made[0].shape == (N, D) and all(np.isfinite(a).all() for a in made)


ONES = np.ones((3, 2))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: ae.pca(np.ones(3), 1), r"x has shape \(3,\); expected two axes"),
        (lambda: ae.pca(np.ones((3, 2), int), 1), "x has dtype int64"),
        (lambda: ae.pca(np.ones((0, 2)), 1), "x has no rows"),
        (lambda: ae.pca(ONES, 3), "k is 3; expected 1 to 2"),
        (lambda: ae.pca(ONES, 0), "k is 0; expected 1 to 2"),
        (lambda: ae.linear_autoencoder_forward(ONES, np.ones((3, 1)), np.ones((1, 3))), r"we \(3, 1\) and wd"),
        (lambda: ae.linear_autoencoder_forward(ONES, np.ones((2, 1)), np.ones((2, 1))), r"wd \(2, 1\); expected"),
        (lambda: ae.reconstruction_forward(ONES, ONES.T), r"x_hat has shape \(3, 2\); expected that of x, \(2, 3\)"),
        (lambda: ae.principal_angles(ONES, np.ones((3, 1))), r"a has shape \(3, 2\) and b \(3, 1\)"),
        (lambda: ae.principal_angles(ONES.T, ONES.T), "k ≤ D"),
        (lambda: ae.reparameterise_forward(ONES, ONES, np.ones((3, 1))), r"eps has shape \(3, 1\); expected"),
        (lambda: ae.gaussian_kl_forward(ONES, np.ones((3, 1))), r"logvar has shape \(3, 1\)"),
        (lambda: ae.gaussian_kl_forward(np.float64(1), np.float64(1)), r"mu has shape \(\)"),
        (lambda: ae.bernoulli_log_likelihood_forward(ONES, 2 * ONES), "x has entries from 2.0 to 2.0"),
        (lambda: ae.gaussian_log_likelihood_forward(ONES, ONES, 0.0), "noise is 0.0; expected a positive"),
        (lambda: ae.importance_bound(np.zeros((0, 3))), r"log_weights has shape \(0, 3\)"),
        (lambda: ae.nearest(ONES, np.ones((4, 3))), r"codes \(4, 3\); expected \(M, D\) and \(K, D\)"),
        (lambda: ae.nearest(ONES, np.ones((0, 2))), "K ≥ 1"),
        (lambda: ae.usage(np.array([0, 4]), 4), "indices has 2 entries; expected at least 1, each from 0 to 3"),
        (lambda: ae.usage(np.array([], int), 4), "indices has 0 entries"),
        (lambda: ae.vq_backward(ONES, 1.0, ae.vq_forward(np.ones((2, 2)), ONES)[1]), "dout has shape"),
    ],
)
def test_bad_input_is_told_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()
