"""Chapter 19: the contrastive loss of SimCLR by hand: of all other images in the batch, which is the same one?

    loss, cache = nt_xent_forward(z1, z2, temperature=0.5)   # row i of z1 and row i of z2: two views of image i
    dz1, dz2 = nt_xent_backward(1.0, cache)

It is cross-entropy: each of the 2N views has the other 2N - 1 as classes, and its partner as the right one. The logits
are cosine similarities over the temperature. The network and its views of images are in ``dlcourse.simclr``.

Source: Chen, Kornblith, Norouzi and Hinton, A simple framework for contrastive learning of visual representations,
ICML (2020), arXiv:2002.05709.
"""

from __future__ import annotations

import numpy as np

from dlcourse.arrays import as_float


def nt_xent_forward(z1: np.ndarray, z2: np.ndarray, temperature: float = 0.5) -> tuple[np.floating, tuple]:
    """Normalised temperature-scaled cross-entropy, the mean over all 2N views.

    With the rows u of z1 and z2 divided by their lengths, ``s[i, k] = u[i] · u[k] / τ`` and p(i) the partner of i:

    ``L = 1/2N Σ_i ( log Σ_{k ≠ i} exp(s[i, k]) - s[i, p(i)] )``

    Source: Chen et al. (2020), equation 1 and algorithm 1.

    Parameters
    ----------
    z1, z2 : (N, D); row i of both comes from the same image. N is at least 1; for N = 1 the loss is 0
    temperature : τ, positive

    Returns
    -------
    loss : a number, of ``z1``'s dtype
    cache : for :func:`nt_xent_backward`

    Raises
    ------
    ValueError
        The shapes differ or are not (N, D), a dtype is not a float, a row has length 0, or τ is not positive.
    """
    z1, z2 = as_float(z1, "z1"), as_float(z2, "z2")
    if z1.ndim != 2 or z1.shape != z2.shape or not len(z1):
        raise ValueError(f"z1 has shape {z1.shape}, z2 {z2.shape}; expected (N, D) twice, with N of at least 1")
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}; expected a positive number")
    z = np.concatenate([z1, z2])  # (2N, D)
    length = np.sqrt(np.sum(z * z, axis=1, keepdims=True))
    if not length.all():
        raise ValueError("z1 or z2 has a row of length 0; expected rows with a direction")
    u = z / length
    s = u @ u.T / np.asarray(temperature, z.dtype)  # (2N, 2N)
    np.fill_diagonal(s, -np.inf)  # a view is no candidate for itself
    top = s.max(axis=1, keepdims=True)
    raised = np.exp(s - top)
    total = raised.sum(axis=1, keepdims=True)
    views = np.arange(len(z))
    partner = np.roll(views, len(z1))
    loss = np.mean(top[:, 0] + np.log(total[:, 0]) - s[views, partner], dtype=z.dtype)
    return loss, (u, length, raised / total, partner, temperature)


def nt_xent_backward(dout: float, cache: tuple) -> tuple[np.ndarray, np.ndarray]:
    """Gradients: ``ds = (softmax - one_hot) / 2N``, then both places of u in s, then the division by the length.

    ``du = (ds + dsᵀ) u / τ`` and ``dz = (du - u (u · du)) / |z|``: only what is across u changes a direction.

    Source: the chain rule.

    Returns
    -------
    dz1, dz2 : (N, D)
    """
    u, length, softmax, partner, temperature = cache
    ds = softmax.copy()
    ds[np.arange(len(u)), partner] -= 1
    ds *= dout / len(u)
    du = (ds + ds.T) @ u / np.asarray(temperature, u.dtype)
    dz = (du - u * np.sum(u * du, axis=1, keepdims=True)) / length
    return dz[: len(u) // 2], dz[len(u) // 2 :]
