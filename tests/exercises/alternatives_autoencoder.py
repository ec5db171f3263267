"""Right answers to ``16_autoencoders`` written another way, and wrong ones that are no listed mistake."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy.spatial.distance import cdist
from scipy.special import logsumexp

# --- autoencoder.linear -----------------------------------------------------------------------------------------------


def linear_by_rows(x, we, wd):
    loss, dwe, dwd = 0.0, np.zeros_like(we), np.zeros_like(wd)
    for row in x:
        z = row @ we
        d = 2 * (z @ wd - row) / len(x)
        loss += np.sum((z @ wd - row) ** 2) / len(x)
        dwd += np.outer(z, d)
        dwe += np.outer(row, wd @ d)
    return loss, dwe, dwd


def linear_by_the_covariance(x, we, wd):
    """All three from xᵀx / N alone."""
    s, rest = x.T @ x / len(x), we @ wd - np.eye(x.shape[1])
    return np.trace(rest.T @ s @ rest), 2 * s @ rest @ wd.T, 2 * we.T @ s @ rest


def linear_torch(x, we, wd):
    x, we, wd = map(torch.as_tensor, (x, we, wd))
    d = 2 * (x @ we @ wd - x) / len(x)
    return ((x @ we @ wd - x) ** 2).sum(1).mean(), x.T @ d @ wd.T, we.T @ x.T @ d


def linear_gradients_swapped(x, we, wd):
    loss, dwe, dwd = linear_by_rows(x, we, wd)
    return loss, dwd.T, dwe.T


def linear_with_dx(x, we, wd):
    return (*linear_by_rows(x, we, wd), np.zeros_like(x))


# --- autoencoder.sample -----------------------------------------------------------------------------------------------


class SampleTorch:
    def forward(self, mu, logvar, eps):
        mu, logvar, eps = map(torch.as_tensor, (mu, logvar, eps))
        self.sigma, self.eps = logvar.exp().sqrt(), eps
        return torch.addcmul(mu, self.sigma, eps)

    def backward(self, dz):
        dz = torch.as_tensor(dz)
        return dz, 0.5 * self.sigma * self.eps * dz


class SampleFloat32:
    def forward(self, mu, logvar, eps):
        self.mu = mu.astype(np.float32)
        self.z = self.mu + np.sqrt(np.exp(logvar.astype(np.float32))) * eps.astype(np.float32)
        return self.z

    def backward(self, dz):
        return dz.astype(np.float32), dz.astype(np.float32) * (self.z - self.mu) / 2


class SampleDrawsAnew(SampleFloat32):
    def forward(self, mu, logvar, eps):
        return super().forward(mu, logvar, np.random.default_rng(0).normal(size=eps.shape))


class SampleMeanGradient(SampleFloat32):
    def backward(self, dz):
        return super().backward(dz / max(2, len(dz)))


# --- autoencoder.loss -------------------------------------------------------------------------------------------------


def loss_by_pixels(x, logits, mu, logvar):
    total = 0.0
    for n in range(len(x)):
        for pixel, s in zip(x[n], logits[n], strict=True):
            total += np.logaddexp(0, s) - pixel * s
        for m, v in zip(mu[n], logvar[n], strict=True):
            total += (m * m + math.exp(v) - v - 1) / 2
    return total / len(x)


def loss_torch(x, logits, mu, logvar):
    x, logits, mu, logvar = map(torch.as_tensor, (x, logits, mu, logvar))
    q = torch.distributions.Normal(mu, (logvar / 2).exp())
    kl = torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0)).sum()
    return (F.binary_cross_entropy_with_logits(logits, x, reduction="sum") + kl) / len(x)


def loss_in_bits(x, logits, mu, logvar):
    return loss_by_pixels(x, logits, mu, logvar) / math.log(2)


def loss_black_for_white(x, logits, mu, logvar):
    return loss_by_pixels(1 - x, logits, mu, logvar)


# --- autoencoder.bound ------------------------------------------------------------------------------------------------


def bound_scipy(log_joint, log_q):
    return logsumexp(log_joint - log_q, axis=0, b=1 / len(log_q))


def bound_by_images(log_joint, log_q):
    found = []
    for p, q in zip(log_joint.T.tolist(), log_q.T.tolist(), strict=True):
        weights = [a - b for a, b in zip(p, q, strict=True)]
        found.append(max(weights) + math.log(math.fsum(math.exp(w - max(weights)) for w in weights) / len(weights)))
    return found


def bound_torch(log_joint, log_q):
    return torch.logsumexp(torch.as_tensor(log_joint) - torch.as_tensor(log_q), 0) - math.log(len(log_q))


def bound_with_two_maxima(log_joint, log_q):
    """Stable for p alone and for q alone, not for p / q."""
    with np.errstate(all="ignore"):
        p, q = np.exp(log_joint - log_joint.max(axis=0)), np.exp(log_q - log_q.max(axis=0))
        return log_joint.max(axis=0) - log_q.max(axis=0) + np.log((p / q).mean(axis=0))


# --- autoencoder.vq ---------------------------------------------------------------------------------------------------


def vq_torch(z, codes, commitment, dq):
    z, codes, dq = map(torch.as_tensor, (z, codes, dq))
    one_hot = F.one_hot((z[:, None] - codes).norm(dim=2).argmin(1), len(codes)).to(z.dtype)
    q = one_hot @ codes
    pull = 2 * (z - q) / z.numel()
    return q, (1 + commitment) * F.mse_loss(q, z), dq + commitment * pull, -one_hot.T @ pull


def vq_cdist(z, codes, commitment, dq):
    """With the distances that the lecture's codebook uses."""
    q = codes[torch.cdist(torch.as_tensor(z), torch.as_tensor(codes)).argmin(1).numpy()]
    dcodes = np.stack([(2 * (q - z) / z.size)[(q == code).all(axis=1)].sum(axis=0) for code in codes])
    return q, (1 + commitment) * ((z - q) ** 2).mean(), dq + commitment * 2 * (z - q) / z.size, dcodes


def vq_by_vectors(z, codes, commitment, dq):
    q, dz, dcodes, loss = np.empty_like(z), np.array(dq, float), np.zeros_like(codes), 0.0
    nearest = cdist(z, codes).argmin(axis=1)
    for m, k in enumerate(nearest):
        q[m] = codes[k]
        loss += (1 + commitment) * np.sum((z[m] - codes[k]) ** 2) / z.size
        dz[m] += commitment * 2 * (z[m] - codes[k]) / z.size
        dcodes[k] += 2 * (codes[k] - z[m]) / z.size
    return q, loss, dz, dcodes


def vq_indices(z, codes, commitment, dq):
    _, *rest = vq_by_vectors(z, codes, commitment, dq)
    return cdist(z, codes).argmin(axis=1), *rest


def vq_everything_to_z(z, codes, commitment, dq):
    q, loss, dz, dcodes = vq_by_vectors(z, codes, commitment, dq)
    return q, loss, dz + 2 * (z - q) / z.size, 0 * dcodes


# --- autoencoder.denoise ----------------------------------------------------------------------------------------------


def denoise_with_its_own_adam(x, noisy, sigma, seed):
    """One hidden layer in plain NumPy, with fewer steps than the solution."""
    rng = np.random.default_rng(seed)
    p = [rng.normal(0, 0.1, (64, 128)), np.zeros(128), rng.normal(0, 0.01, (128, 64)), x.mean(axis=0)]
    mean, square = [0 * a for a in p], [0 * a for a in p]
    for t in range(1, 801):
        clean = x[rng.integers(0, len(x), 64)]
        seen = clean + sigma * rng.normal(size=clean.shape)
        h = np.maximum(seen @ p[0] + p[1], 0)
        error = (h @ p[2] + p[3] - clean) / len(clean)
        dh = error @ p[2].T * (h > 0)
        for i, g in enumerate((seen.T @ dh, dh.sum(axis=0), h.T @ error, error.sum(axis=0))):
            mean[i], square[i] = 0.9 * mean[i] + 0.1 * g, 0.999 * square[i] + 0.001 * g**2
            step = mean[i] / (1 - 0.9**t) / (np.sqrt(square[i] / (1 - 0.999**t)) + 1e-8)
            p[i] = p[i] - 0.005 * (1 - t / 800) * step
    return np.maximum(noisy @ p[0] + p[1], 0) @ p[2] + p[3]


def denoise_by_ridge(x, noisy, sigma, seed):
    """A linear network, in closed form: the noise of the training pairs does the regularising."""
    rng = np.random.default_rng(seed)
    clean = np.tile(x, (8, 1))
    seen = clean + sigma * rng.normal(size=clean.shape)
    w = np.linalg.lstsq(np.hstack([seen, np.ones((len(seen), 1))]), clean, rcond=None)[0]
    return np.hstack([noisy, np.ones((len(noisy), 1))]) @ w


def denoise_by_its_neighbours(x, noisy, sigma, seed):
    """The mean of the clean digits, weighed by how likely each makes what is seen."""
    d = ((noisy**2).sum(axis=1)[:, None] - 2 * noisy @ x.T + (x**2).sum(axis=1)) / (2 * sigma**2)
    w = np.exp(d.min(axis=1, keepdims=True) - d)
    return w / w.sum(axis=1, keepdims=True) @ x


def denoise_by_pca(x, noisy, sigma, seed):
    """The best number of directions; it has never seen noise."""
    mean = x.mean(axis=0)
    directions = np.linalg.svd(x - mean, full_matrices=False)[2][:12]
    return mean + (noisy - mean) @ directions.T @ directions


def denoise_transposed(x, noisy, sigma, seed):
    return denoise_by_ridge(x, noisy, sigma, seed).T


ALTERNATIVES = {
    "autoencoder.bits": [576.0, np.int64(576)],
    "autoencoder.linear": [linear_by_rows, linear_by_the_covariance, linear_torch],
    "autoencoder.sample": [SampleTorch, SampleFloat32],
    "autoencoder.loss": [loss_by_pixels, loss_torch],
    "autoencoder.bound": [bound_scipy, bound_by_images, bound_torch],
    "autoencoder.vq": [vq_torch, vq_cdist, vq_by_vectors],
    "autoencoder.denoise": [denoise_with_its_own_adam, denoise_by_ridge, denoise_by_its_neighbours],
}
WRONG = {
    "autoencoder.bits": [577, 64],
    "autoencoder.linear": [linear_gradients_swapped, linear_with_dx],
    "autoencoder.sample": [SampleDrawsAnew, SampleMeanGradient],
    "autoencoder.loss": [loss_in_bits, loss_black_for_white],
    "autoencoder.bound": [bound_with_two_maxima],
    "autoencoder.vq": [vq_indices, vq_everything_to_z],
    "autoencoder.denoise": [denoise_by_pca, denoise_transposed],
}
