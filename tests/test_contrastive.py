"""Chapter 19's NT-Xent: by hand as in PyTorch, and its gradient as small differences give it."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from dlcourse import contrastive, simclr

GEN = np.random.default_rng


@pytest.mark.parametrize(("N", "D", "tau"), [(1, 3, 0.5), (2, 2, 0.1), (7, 5, 1.0), (16, 8, 0.05)])
def test_loss_and_gradient_are_torch_s(N, D, tau):
    rng = GEN(N)
    z1, z2 = rng.normal(size=(2, N, D))
    loss, cache = contrastive.nt_xent_forward(z1, z2, tau)
    dz1, dz2 = contrastive.nt_xent_backward(1.7, cache)
    a, b = (torch.tensor(z, requires_grad=True) for z in (z1, z2))
    # Cross-entropy by its definition, view by view.
    views = F.normalize(torch.cat([a, b]), dim=1)
    terms = []
    for i in range(2 * N):
        others = [k for k in range(2 * N) if k != i]
        s = views[i] @ views[others].T / tau
        terms.append(torch.logsumexp(s, 0) - views[i] @ views[(i + N) % (2 * N)] / tau)
    wanted = torch.stack(terms).mean()
    (1.7 * wanted).backward()
    np.testing.assert_allclose(loss, wanted.item(), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(dz1, a.grad, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(dz2, b.grad, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(simclr.nt_xent(a, b, tau).item(), loss, rtol=1e-12, atol=1e-14)


def test_gradient_is_that_of_small_differences():
    rng = GEN(0)
    z1, z2 = rng.normal(size=(2, 3, 4))
    dz1, dz2 = contrastive.nt_xent_backward(1.0, contrastive.nt_xent_forward(z1, z2, 0.3)[1])
    for z, dz in ((z1, dz1), (z2, dz2)):
        for place in np.ndindex(z.shape):
            kept, around = z[place], []
            for step in (1e-6, -1e-6):
                z[place] = kept + step
                around.append(contrastive.nt_xent_forward(z1, z2, 0.3)[0])
            z[place] = kept
            assert (around[0] - around[1]) / 2e-6 == pytest.approx(dz[place], abs=1e-8)


@given(st.integers(1, 6), st.integers(1, 5), st.sampled_from([np.float32, np.float64]), st.integers(0, 99))
def test_dtype_is_kept_and_lengths_do_not_matter(N, D, dtype, seed):
    z1, z2 = GEN(seed).normal(size=(2, N, D)).astype(dtype)
    loss, cache = contrastive.nt_xent_forward(z1, z2, 0.5)
    gradients = contrastive.nt_xent_backward(1.0, cache)
    assert loss.dtype == dtype and all(g.dtype == dtype and g.shape == (N, D) for g in gradients)
    scaled, _ = contrastive.nt_xent_forward(3 * z1, z2, 0.5)
    assert scaled == pytest.approx(loss, rel=1e-4, abs=1e-5)
    swapped, _ = contrastive.nt_xent_forward(z2, z1, 0.5)
    assert swapped == pytest.approx(loss, rel=1e-4, abs=1e-5)
    for z, g in zip((z1, z2), gradients, strict=True):  # across each row
        np.testing.assert_allclose(np.sum(z * g, axis=1), 0, atol=1e-4)


def test_one_pair_has_nothing_to_choose_and_far_pairs_cost_little():
    z = np.eye(4)
    assert contrastive.nt_xent_forward(z[:1], z[1:2])[0] == 0
    loss, _ = contrastive.nt_xent_forward(z, z, 0.02)
    assert 0 <= loss < 1e-12
    assert contrastive.nt_xent_forward(z, z, 1e6)[0] == pytest.approx(math.log(7), rel=1e-5)


@pytest.mark.parametrize(
    ("z1", "z2", "tau", "said"),
    [
        (np.ones((2, 3)), np.ones((3, 3)), 0.5, "z2 \\(3, 3\\)"),
        (np.ones(3), np.ones(3), 0.5, "expected \\(N, D\\)"),
        (np.ones((0, 3)), np.ones((0, 3)), 0.5, "at least 1"),
        (np.ones((2, 3), int), np.ones((2, 3)), 0.5, "z1 has dtype"),
        (np.zeros((2, 3)), np.ones((2, 3)), 0.5, "length 0"),
        (np.ones((2, 3)), np.ones((2, 3)), 0, "temperature is 0"),
    ],
)
def test_wrong_input_is_said(z1, z2, tau, said):
    with pytest.raises(ValueError, match=said):
        contrastive.nt_xent_forward(z1, z2, tau)
