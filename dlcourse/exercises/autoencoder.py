"""The exercises of ``16_autoencoders``: a linear one, a draw, the ELBO and a tighter bound, VQ, denoising."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from dlcourse import autoencoder, data
from dlcourse.exercises.compare import AtLeast, Close, FalseFail
from dlcourse.exercises.offered import AUTODIFF, AUTOGRAD
from dlcourse.exercises.spec import Case, Exercise, Mistake, case, steps, text_exercise

_HOME = tuple(
    f"dlcourse.autoencoder.{name}"
    for name in (
        "bernoulli_log_likelihood_backward",
        "bernoulli_log_likelihood_forward",
        "fit_linear_autoencoder",
        "gaussian_kl_backward",
        "gaussian_kl_forward",
        "importance_bound",
        "linear_autoencoder_backward",
        "linear_autoencoder_forward",
        "nearest",
        "reconstruction_backward",
        "reconstruction_forward",
        "reparameterise_backward",
        "reparameterise_forward",
        "SmallVAE",
        "vae_backward",
        "vae_forward",
        "vq_backward",
        "vq_forward",
    )
)
_NETWORKS = tuple(
    f"dlcourse.vae.{name}"
    for name in ("Codebook", "elbo", "fit_vae", "gaussian_kl", "importance_bound", "negative_elbo", "reparameterise")
)

# --- A number: how many bits? -----------------------------------------------------------------------------------------

bits = Exercise(
    id="autoencoder.bits",
    title="How small is the code?",
    name="bits",
    kind="number",
    points=1,
    reference=(32 // 4) ** 2 * 9,
    cases=lambda rng: [Case("two halvings of 32×32 pixels, 512 codes")],
    compare=Close(rtol=0, atol=0),
    mistakes=(
        Mistake("one_code", 9, "that is one code; there is one at every place of the grid."),
        Mistake("codes_for_bits", 64 * 512, "one of 512 codes takes log₂ 512 bits, not 512."),
        Mistake("eight_bits", 64 * 8, "8 bits tell 256 codes apart, and there are 512."),
        Mistake("one_halving", 16 * 16 * 9, "each of the two convolutions halves height and width."),
        Mistake("the_vectors", 64 * 16, "the vectors are in the codebook, which both sides have; send their numbers."),
        Mistake("bytes", 72, "that is bytes; the question is for bits."),
        Mistake("as_it_came", 32 * 32 * 8, "that is the image itself."),
    ),
    hints=(
        "What does the decoder need besides the codebook, which it has? A whole number for each place of the grid.",
        "32 → 16 → 8: the grid has 8×8 places. How many bits tell one of 512 apart?",
        "2⁹ = 512, so 9 bits a place, and 8·8 places.",
    ),
    difficulty=1,
    importance=3,
    minutes=5,
)


# --- the linear autoencoder -------------------------------------------------------------------------------------------


def linear(x, we, wd):
    """The reference."""
    x_hat, cache = autoencoder.linear_autoencoder_forward(np.asarray(x), np.asarray(we), np.asarray(wd))
    loss, loss_cache = autoencoder.reconstruction_forward(x_hat, np.asarray(x))
    _, dwe, dwd = autoencoder.linear_autoencoder_backward(autoencoder.reconstruction_backward(1.0, loss_cache), cache)
    return loss, dwe, dwd


def _linear(x, we, wd, *, per=None, factor=2.0, sign=1.0, through=True, own=False):
    z = x @ we
    error = z @ wd - x
    per = len(x) if per is None else per(x)
    d = sign * factor * error / per
    dwd = z.T @ d
    dz = d @ (wd.T if through else we)
    dwe = x.T @ dz
    return np.sum(error**2) / per, dwe + dwd.T if own else dwe, dwd


def _linear_with(**options) -> Callable:
    return lambda x, we, wd: _linear(x, we, wd, **options)


def _not_divided(x, we, wd):
    loss, dwe, dwd = _linear(x, we, wd)
    return loss, len(x) * dwe, len(x) * dwd


def _linear_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield case("by hand", np.array([[2.0]]), np.array([[1.0]]), np.array([[0.5]]))
    for N, D, k in ((5, 3, 1), (4, 6, 2), (1, 5, 3)):
        yield case(f"{N} rows, {D} numbers, code of {k}", *(rng.normal(size=s) for s in ((N, D), (D, k), (k, D))))
    x = rng.normal(size=(6, 4))
    w = np.linalg.qr(rng.normal(size=(4, 2)))[0]
    yield case("a code as PCA's, wd = weᵀ", x, w, w.T)
    yield case("the decoder gives 0", x, w, 0 * w.T)


linear_gradient = Exercise(
    id="autoencoder.linear",
    title="The linear autoencoder's gradient",
    name="linear_autoencoder",
    kind="function",
    points=3,
    reference=linear,
    cases=_linear_cases,
    compare=Close(rtol=1e-5, atol=1e-7),
    mistakes=(
        Mistake("mean_of_all", _linear_with(per=lambda x: x.size), "divide by N, the rows, not by all N·D numbers."),
        Mistake("sum_of_all", _linear_with(per=lambda x: 1), "the loss is the mean over the rows: divide by N."),
        Mistake("not_divided", _not_divided, "the loss is right; its gradients have the factor 1/N too."),
        Mistake("no_two", _linear_with(factor=1.0), "the loss is right; the square's derivative has a factor 2."),
        Mistake("sign", _linear_with(sign=-1.0), "the gradients point the wrong way: the error is x̂ − x."),
        Mistake(
            "through_the_encoder",
            _linear_with(through=False),
            "dwd is right. The error reaches z through wd: dz = dx̂ wdᵀ.",
        ),
        Mistake("tied", _linear_with(own=True), "the two matrices are separate: dwe gets nothing from dwd."),
    ),
    withhold=(*_HOME, *AUTOGRAD, *AUTODIFF),
    hints=(
        "Two matrix products, then a squared error. Go back through them one by one, as in chapter 02.",
        "dx̂ = 2 (x̂ − x) / N. Of a product z wd, the gradients are zᵀ dx̂ for wd and dx̂ wdᵀ for z.",
        "z = x @ we; d = 2 * (z @ wd - x) / len(x); dwd = z.T @ d; dwe = x.T @ (d @ wd.T).",
    ),
    difficulty=2,
    importance=4,
    minutes=15,
)


# --- reparameterisation, a class --------------------------------------------------------------------------------------


class Sample:
    """The reference."""

    def forward(self, mu, logvar, eps):
        z, self.cache = autoencoder.reparameterise_forward(np.asarray(mu), np.asarray(logvar), np.asarray(eps))
        return z

    def backward(self, dz):
        return autoencoder.reparameterise_backward(np.asarray(dz), self.cache)


class _Drawn:
    """With other formulas the typical slips."""

    def spread(self, logvar):
        return np.exp(logvar / 2)

    def slope(self, logvar, eps):
        return eps * np.exp(logvar / 2) / 2

    def forward(self, mu, logvar, eps):
        self.given = logvar, eps
        return mu + self.spread(logvar) * eps

    def backward(self, dz):
        return dz, dz * self.slope(*self.given)


class VarianceForSigma(_Drawn):
    def spread(self, logvar):
        return np.exp(logvar)

    def slope(self, logvar, eps):
        return eps * np.exp(logvar)


class LogForSigma(_Drawn):
    def spread(self, logvar):
        return logvar

    def slope(self, logvar, eps):
        return eps


class NoHalf(_Drawn):
    def slope(self, logvar, eps):
        return eps * np.exp(logvar / 2)


class NoEps(_Drawn):
    def slope(self, logvar, eps):
        return np.exp(logvar / 2) / 2


class SigmaConstant(_Drawn):
    def slope(self, logvar, eps):
        return 0 * eps


class ForSigma(_Drawn):
    def slope(self, logvar, eps):
        return eps


class Swapped(_Drawn):
    def backward(self, dz):
        return super().backward(dz)[::-1]


class Spent(_Drawn):
    """The way back changes in place what the way forth has kept."""

    def forward(self, mu, logvar, eps):
        self.spread_ = np.exp(logvar / 2) * eps
        return mu + self.spread_

    def backward(self, dz):
        self.spread_ *= dz / 2
        return dz, self.spread_


class MeanAlone(_Drawn):
    def spread(self, logvar):
        return 0 * logvar


def _sample_cases(rng: np.random.Generator) -> Iterator[Case]:
    one = [np.array([[value]]) for value in (1.0, np.log(4), 0.5, 3.0)]
    yield steps("by hand", (), ("forward", *one[:3]), ("backward", one[3]))
    yield steps("no noise gives the mean", (), ("forward", *one[:2], 0 * one[2]), ("backward", one[3]))
    for shape in ((4, 3), (1, 5), (6, 1)):
        mu, logvar, eps, dz = rng.normal(size=(4, *shape))
        yield steps(f"{shape[0]} rows, code of {shape[1]}", (), ("forward", mu, logvar, eps), ("backward", dz))
    first, again = rng.normal(size=(2, 4, 2, 3))
    yield steps(
        "two batches, one after the other", (), ("forward", *first[:3]), ("forward", *again[:3]), ("backward", again[3])
    )
    yield steps(
        "one way forth, two ways back", (), ("forward", *first[:3]), ("backward", first[3]), ("backward", again[3])
    )


sample = Exercise(
    id="autoencoder.sample",
    title="Differentiate through a draw",
    name="Sample",
    kind="class",
    points=3,
    reference=Sample,
    cases=_sample_cases,
    compare=Close(rtol=1e-5, atol=1e-7),
    mistakes=(
        Mistake("variance_for_sigma", VarianceForSigma, "logvar is log σ²: σ is the root of exp(logvar)."),
        Mistake("log_for_sigma", LogForSigma, "logvar is log σ²; take its exponential, and the root of that."),
        Mistake("no_half", NoHalf, "z is right. σ = exp(logvar / 2): the chain rule leaves a factor ½."),
        Mistake("no_eps", NoEps, "z is right. logvar acts through σ ε: its gradient has the factor ε."),
        Mistake("sigma_constant", SigmaConstant, "z is right. logvar gets a gradient too, since z depends on σ."),
        Mistake("for_sigma", ForSigma, "that is the gradient for σ; go on to logvar with dσ/dlogvar = σ / 2."),
        Mistake("swapped", Swapped, "z is right. Of the gradients, dmu comes first, then dlogvar."),
        Mistake("spent", Spent, "the second way back is wrong: backward must not change what forward has kept."),
        Mistake("mean_alone", MeanAlone, "z is the mean here; add σ ε."),
    ),
    withhold=(*_HOME, *_NETWORKS, *AUTOGRAD, *AUTODIFF),
    hints=(
        "The noise is given: nothing is drawn here. So z is an ordinary function of μ and logvar.",
        "σ = exp(logvar / 2), z = μ + σ ε. How does z change with μ, and how with logvar?",
        "dμ = dz; dlogvar = dz · ε · σ / 2. Keep σ ε for the way back.",
    ),
    difficulty=2,
    importance=5,
    minutes=15,
)


# --- the loss of a VAE ------------------------------------------------------------------------------------------------


def negative_elbo(x, logits, mu, logvar):
    """The reference."""
    pixels, _ = autoencoder.bernoulli_log_likelihood_forward(np.asarray(logits), np.asarray(x))
    kl, _ = autoencoder.gaussian_kl_forward(np.asarray(mu), np.asarray(logvar))
    return (kl - pixels).mean()


def _loss(x, logits, mu, logvar, *, weight=1.0, half=0.5, pixel_mean=False, code_mean=False, total=False, var=None):
    pixels = np.maximum(logits, 0) - x * logits + np.log1p(np.exp(-np.abs(logits)))
    kl = half * (mu**2 + (np.exp(logvar) if var is None else var(logvar)) - logvar - 1)
    pixels = pixels.mean(axis=1) if pixel_mean else pixels.sum(axis=1)
    kl = kl.mean(axis=1) if code_mean else kl.sum(axis=1)
    each = pixels + weight * kl
    return each.sum() if total else each.mean()


def _loss_with(**options) -> Callable:
    return lambda x, logits, mu, logvar: _loss(x, logits, mu, logvar, **options)


def _overflowing(x, logits, mu, logvar):
    with np.errstate(all="ignore"):
        p = 1 / (1 + np.exp(-logits))
        pixels = -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum(axis=1)
    return (pixels + (mu**2 + np.exp(logvar) - logvar - 1).sum(axis=1) / 2).mean()


def _clipped(x, logits, mu, logvar):
    return _overflowing(x, np.clip(logits, -30, 30), mu, logvar)


def _certain(case: Case) -> bool:
    return bool(np.abs(case.calls[0].args[1]).max() > 100)


def _not_finite(case: Case, values: list) -> bool:
    return not np.isfinite(values[0]).all()


def _finite_but_small(case: Case, values: list) -> bool:
    """Whether a pixel that is certain and wrong, which costs 1000 nats, costs about as much as a cut logarithm."""
    x, logits = case.calls[0].args[:2]
    wrong = ((logits > 0) != (x > 0.5)).sum()
    return _certain(case) and bool(10 < values[0] * len(x) / wrong < 110)


def _loss_cases(rng: np.random.Generator) -> Iterator[Case]:
    one = np.ones((1, 1))
    yield case("by hand", one, 0 * one, one, 0 * one)
    for N, D, L in ((4, 6, 2), (1, 9, 3), (7, 4, 5)):
        x = rng.integers(0, 2, (N, D)).astype(float)
        yield case(f"{N} images of {D} pixels, code of {L}", x, *(rng.normal(size=s) for s in ((N, D), (N, L), (N, L))))
    yield case("grey pixels", rng.random((3, 5)), *(rng.normal(size=s) for s in ((3, 5), (3, 2), (3, 2))))
    x = rng.integers(0, 2, (3, 8)).astype(float)
    x[0, :2] = 0, 1
    logits = 1000.0 * rng.choice([-1.0, 1.0], (3, 8))
    yield case("a decoder that is certain, at times wrongly", x, logits, *rng.normal(size=(2, 3, 2)))


loss = Exercise(
    id="autoencoder.loss",
    title="The loss of a VAE",
    name="negative_elbo",
    kind="function",
    points=4,
    reference=negative_elbo,
    cases=_loss_cases,
    compare=Close(rtol=1e-5, atol=1e-7),
    mistakes=(
        Mistake("no_kl", _loss_with(weight=0.0), "this is the reconstruction alone; add the KL term."),
        Mistake(
            "kl_subtracted", _loss_with(weight=-1.0), "in the loss, which is minus the ELBO, the KL term is added."
        ),
        Mistake("elbo", lambda *a: -_loss(*a), "this is the ELBO itself; the loss is minus that."),
        Mistake(
            "no_minus_one",
            lambda x, logits, mu, logvar: _loss(x, logits, mu, logvar) + mu.shape[1] / 2,
            "the KL term is 0 at μ = 0, σ = 1: each number of the code has a −1.",
        ),
        Mistake("kl_no_half", _loss_with(half=1.0), "the KL term has the factor ½."),
        Mistake(
            "pixel_mean",
            _loss_with(pixel_mean=True),
            "sum over the pixels of an image: a mean makes the KL term D times as heavy.",
        ),
        Mistake("code_mean", _loss_with(code_mean=True), "sum the KL term over the numbers of the code, no mean."),
        Mistake(
            "both_means", _loss_with(pixel_mean=True, code_mean=True), "sum over pixels and over the code; no means."
        ),
        Mistake("batch_sum", _loss_with(total=True), "take the mean over the images of the batch."),
        Mistake("logvar_for_var", _loss_with(var=lambda s: s), "σ² is exp(logvar): logvar is its logarithm."),
        Mistake("sigma_for_var", _loss_with(var=lambda s: np.exp(s / 2)), "σ² is exp(logvar), without a half."),
        Mistake(
            "logit_for_p",
            lambda x, logits, mu, logvar: np.full((), np.nan),
            "this is the logarithm of a negative number, perhaps of a logit: p = sigmoid(logits) comes first.",
            when=lambda case, values: not _certain(case) and _not_finite(case, values),
        ),
        Mistake(
            "overflow",
            _overflowing,
            "the log of a probability that became 0, or the exponential of 1000: with logits s, "
            "max(s, 0) − x s + log(1 + exp(−abs(s))).",
            when=lambda case, values: _certain(case) and _not_finite(case, values),
        ),
        Mistake(
            "clipped",
            _clipped,
            "the loss is too small where the network is certain and wrong: clipped logits, or a small number inside "
            "the logarithm, hide it. Use the stable form.",
            when=_finite_but_small,
        ),
    ),
    withhold=(*_HOME, *_NETWORKS),
    hints=(
        "Two parts for each image, both in nats: minus the log-likelihood of its pixels, and the KL term.",
        "Pixels: Σ max(s, 0) − x s + log(1 + exp(−abs(s))), s the logits. KL: ½ Σ (μ² + σ² − log σ² − 1).",
        "Both sums over axis 1, added, then .mean() over the images; σ² = np.exp(logvar), log σ² = logvar.",
    ),
    difficulty=3,
    importance=5,
    minutes=20,
)


# --- the importance-weighted bound ------------------------------------------------------------------------------------


def bound(log_joint, log_q):
    """The reference."""
    return autoencoder.importance_bound(np.asarray(log_joint) - np.asarray(log_q))


def _log_sum(a, axis=0):
    top = a.max(axis=axis, keepdims=True)
    return (top + np.log(np.exp(a - top).sum(axis=axis, keepdims=True))).squeeze(axis)


def _underflowing(log_joint, log_q):
    with np.errstate(all="ignore"):
        return np.log(np.exp(log_joint - log_q).mean(axis=0))


def _no_finite(case: Case, values: list) -> bool:
    return any(not np.isfinite(value).all() for value in values if isinstance(value, np.ndarray))


def _bound_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield case("by hand: weights 1 and 3", np.log([[1.0], [3.0]]), np.zeros((2, 1)))
    for K, N in ((4, 3), (1, 5), (9, 1), (5, 5)):
        yield case(f"{K} samples, {N} images", *(2 * rng.normal(size=(K, N)) for _ in range(2)))
    yield case("log-densities as of images", -900 + 5 * rng.normal(size=(20, 4)), -60 + 3 * rng.normal(size=(20, 4)))
    one = np.array([[0.0, -2000.0], [-1500.0, -800.0], [-3.0, -2100.0]])
    yield case("one sample outweighs the rest", one + rng.normal(size=one.shape), np.zeros((3, 2)))
    q = np.array([[900.0], [-500.0], [-700.0]])  # so that the largest p, q and p / q are at different samples
    yield case("p and q lie far apart", one[:, 1:] + q + rng.normal(size=q.shape), q)
    yield case("weights above all floats", 5 * rng.normal(size=(6, 2)), -900 + 3 * rng.normal(size=(6, 2)))


importance = Exercise(
    id="autoencoder.bound",
    title="A tighter bound",
    name="importance_bound",
    kind="function",
    points=3,
    reference=bound,
    cases=_bound_cases,
    compare=Close(rtol=1e-6, atol=1e-7),
    mistakes=(
        Mistake("elbo", lambda p, q: (p - q).mean(axis=0), "this is the ELBO, a mean of logs; take the log of a mean."),
        Mistake("sum_for_mean", lambda p, q: _log_sum(p - q), "the sum must be divided by K: subtract log K."),
        Mistake(
            "underflow", _underflowing, "exp gives 0 or infinity here: subtract the largest log-weight of each image "
            "before, and add it after.", when=_no_finite,
        ),
        Mistake("q_ignored", lambda p, q: _log_sum(p) - np.log(len(p)), "a weight is p / q: subtract log_q."),
        Mistake("q_added", lambda p, q: _log_sum(p + q) - np.log(len(p)), "a weight is p / q: log_q is subtracted."),
        Mistake(
            "each_alone",
            lambda p, q: _log_sum(p) - _log_sum(q),
            "this is the quotient of two means; the mean is over the quotients p / q.",
        ),
        Mistake("turned_round", lambda p, q: _log_sum(q - p) - np.log(len(p)), "a weight is p / q, not q / p."),
        Mistake(
            "not_added_back",
            lambda p, q: _log_sum(p - q) - np.log(len(p)) - (p - q).max(axis=0),
            "the largest log-weight was taken out; add it again, outside the logarithm.",
        ),
        Mistake("largest", lambda p, q: (p - q).max(axis=0), "this is the largest weight; take the mean of all."),
        Mistake("over_images", lambda p, q: _log_sum(p - q, 1) - np.log(p.shape[1]),
                "axis 0 counts the samples: the mean is over them, for each image."),
        Mistake("one_number", lambda p, q: np.mean(_log_sum(p - q) - np.log(len(p))), "give a number for each image."),
    ),
    withhold=(*_HOME, *_NETWORKS),
    hints=(
        "log w = log_joint − log_q. Then the logarithm of the mean of w over the samples.",
        "exp(−900) is 0 here. Take out the largest log w of each image: log mean exp(a) = m + log mean exp(a − m).",
        "a = log_joint - log_q; m = a.max(axis=0); m + np.log(np.exp(a - m).mean(axis=0)).",
    ),
    difficulty=2,
    importance=4,
    minutes=15,
)  # fmt: skip


# --- vector quantisation ----------------------------------------------------------------------------------------------


def quantised(z, codes, commitment, dq):
    """The reference."""
    (q, loss), cache = autoencoder.vq_forward(np.asarray(z), np.asarray(codes), commitment)
    return (q, loss, *autoencoder.vq_backward(np.asarray(dq), 1.0, cache))


def _vq(z, codes, commitment, dq, *, straight=True, to_codes=False, swap=False, per=None, last=False, farthest=False,
        by_product=False, by_sum=False, only_codes=False, sign=1.0, stopped=True):  # fmt: skip
    difference = z[:, None] - codes
    distance = -z @ codes.T if by_product else (np.abs(difference) if by_sum else difference**2).sum(axis=2)
    k = (-distance if farthest else distance).argmin(axis=1)
    q = codes[k]
    per = z.size if per is None else per(z)
    loss = (1 + commitment) * np.sum((z - q) ** 2) / per
    pull = 2 * (z - q) / per
    if not stopped:
        pull, commitment = (1 + commitment) * pull, 1.0
    dcodes = np.zeros_like(codes)
    parts = -pull * sign * (commitment if swap else 1.0) + (dq if to_codes else 0)
    if last:
        dcodes[k] += parts
    else:
        np.add.at(dcodes, k, parts)
    dz = (dq if straight else 0 * dq) + sign * (1.0 if swap else commitment) * pull * (not only_codes)
    return q, loss, dz, dcodes


def _vq_with(**options) -> Callable:
    return lambda z, codes, commitment, dq: _vq(z, codes, commitment, dq, **options)


def _vq_slope(factor: Callable) -> Callable:
    """The loss's gradients multiplied by a factor, the loss and the decoder's gradient as they are."""

    def answer(z, codes, commitment, dq):
        q, loss, dz, dcodes = _vq(z, codes, commitment, dq)
        return q, loss, dq + factor(z) * (dz - dq), factor(z) * dcodes

    return answer


def _no_commitment_loss(z, codes, commitment, dq):
    q, loss, dz, dcodes = _vq(z, codes, commitment, dq)
    return q, loss / (1 + commitment), dz, dcodes


def _vq_cases(rng: np.random.Generator) -> Iterator[Case]:
    column = [np.array([[a], [b]]) for a, b in ((1.0, 4.0), (0.0, 5.0), (10.0, 20.0))]
    yield case("by hand", *column[:2], 0.5, column[2])
    for M, K, D in ((6, 3, 2), (1, 4, 3), (12, 5, 4)):
        yield case(f"{M} vectors, {K} codes of {D} numbers", rng.normal(size=(M, D)), rng.normal(size=(K, D)), 0.25,
                   rng.normal(size=(M, D)))  # fmt: skip
    codes = np.concatenate([rng.normal(size=(2, 3)), 9 + rng.normal(size=(2, 3))])
    z = rng.normal(size=(8, 3))
    yield case("two codes that nobody chooses", z, codes, 1.5, rng.normal(size=z.shape))
    yield case("vectors on their codes", codes[[3, 0, 0]], codes, 0.25, rng.normal(size=(3, 3)))
    yield case("a long code is near in angle only", np.array([[1.0, 0.9], [0.2, 1.1]]),
               np.array([[1.0, 0.0], [9.0, 9.5]]), 0.25, rng.normal(size=(2, 2)))  # fmt: skip
    yield case("near by the squares, not by the sum or the largest", np.array([[0.0, 0.0], [10.0, 0.0]]),
               np.array([[2.0, 2.0], [0.0, 3.0], [10.0, 3.0], [12.5, 2.5]]), 0.25, rng.normal(size=(2, 2)))  # fmt: skip


vq = Exercise(
    id="autoencoder.vq",
    title="Quantise, and go straight through",
    name="vq",
    kind="function",
    points=4,
    reference=quantised,
    cases=_vq_cases,
    compare=Close(rtol=1e-5, atol=1e-7),
    mistakes=(
        Mistake(
            "not_straight_through",
            _vq_with(straight=False),
            "dq does not arrive at z: straight-through hands it on as it is, dz = dq + ...",
        ),
        Mistake(
            "gradient_to_codes", _vq_with(to_codes=True), "dq goes to z alone; the codes learn from the loss only."
        ),
        Mistake(
            "stop_gradients_swapped",
            _vq_with(swap=True),
            "the commitment belongs to the term that moves z; the codes' term has the factor 1.",
        ),
        Mistake(
            "no_stop_gradient",
            _vq_with(stopped=False),
            "sg stops one side of each term: the codes learn from the first alone, z from the second alone.",
        ),
        Mistake("no_two", _vq_slope(lambda z: 0.5), "q and loss are right; the square's derivative has a factor 2."),
        Mistake(
            "not_divided", _vq_slope(lambda z: z.size), "q and loss are right; a mean's gradient is divided by M·D."
        ),
        Mistake(
            "no_commitment_gradient", _vq_with(only_codes=True), "the loss also pulls z towards its code: add it to dz."
        ),
        Mistake("no_commitment_loss", _no_commitment_loss, "the loss has two terms: (1 + commitment) times the mean."),
        Mistake("rows_for_all", _vq_with(per=len), "the means are over all M·D numbers, not over the M rows."),
        Mistake("sums_for_means", _vq_with(per=lambda z: 1), "the loss takes means over all M·D numbers, not sums."),
        Mistake(
            "last_vector_alone",
            _vq_with(last=True),
            "codes[k] += ... keeps one of the vectors that share a code; np.add.at adds them all.",
        ),
        Mistake(
            "farthest", _vq_with(farthest=True), "these are the farthest codes: argmin, not argmax, of the distance."
        ),
        Mistake(
            "by_product", _vq_with(by_product=True), "nearest means the smallest distance, not the largest product."
        ),
        Mistake("by_sum", _vq_with(by_sum=True), "the distance is Euclidean: add squares, not absolute values."),
        Mistake("turned_round", _vq_with(sign=-1.0), "q and loss are right; their gradients point the wrong way."),
    ),
    withhold=(*_HOME, *_NETWORKS, *AUTOGRAD, *AUTODIFF),
    hints=(
        "First the index k[m] of each row's nearest code: an (M, K) array of squared distances, then argmin.",
        "q = codes[k]; loss = (1 + commitment) · mean((z − q)²). sg means: treat as a constant when you differentiate.",
        "pull = 2 (z − q) / z.size; dz = dq + commitment · pull; np.add.at(dcodes, k, −pull).",
    ),
    difficulty=4,
    importance=4,
    minutes=25,
)


# --- a denoiser, trained ----------------------------------------------------------------------------------------------

NEW = 797  # digits that are held out
NOISE = 0.4
ASKED, THRESHOLD = 0.6, 0.5


def wiener(x, noisy, sigma, seed):
    """The reference: the best linear denoiser, from the covariance of clean images and noise."""
    basis = autoencoder.pca(np.asarray(x, float), 64)
    return basis.decode(basis.encode(np.asarray(noisy)) * basis.variance / (basis.variance + sigma**2))


def _bottleneck(k: int) -> Callable:
    """A linear autoencoder that has seen clean images only."""

    def denoise(x, noisy, sigma, seed):
        basis = autoencoder.pca(np.asarray(x, float), k)
        return basis.decode(basis.encode(np.asarray(noisy)))

    return denoise


def _denoise_cases(rng: np.random.Generator) -> Iterator[Case]:
    digits = data.load("digits", dtype=np.float64)
    images = np.concatenate([digits.x_train, digits.x_test]).reshape(-1, 64)[rng.permutation(1797)]
    x, clean = images[:-NEW], images[-NEW:]
    noisy = clean + NOISE * rng.standard_normal(clean.shape)
    yield case(f"{NEW} new digits", x, noisy, NOISE, int(rng.integers(1000)), secret={"clean": clean})


def cleaned(clean: np.ndarray, shown: np.ndarray, sigma: float = NOISE) -> np.ndarray:
    """Which images are within a fifth of the noise's variance, on the mean of their pixels: (N,) booleans."""
    return ((np.clip(shown, 0, 1) - clean) ** 2).mean(axis=1) <= sigma**2 / 5


def _share_cleaned(case: Case, values: list) -> float:
    clean, shown = case.secret["clean"], np.asarray(values[0])
    if shown.shape != clean.shape:
        raise ValueError(f"shape is {shown.shape}, expected {clean.shape}")
    return float(cleaned(clean, shown).mean())


def _shown(case: Case, values: list) -> np.ndarray | None:
    shown = values[0] if isinstance(values[0], np.ndarray) else None
    return shown if shown is not None and shown.shape == case.secret["clean"].shape else None


def _untouched(case: Case, values: list) -> bool:
    shown = _shown(case, values)
    return shown is not None and bool(np.abs(shown - case.calls[0].args[1]).max() < 1e-3)


def _all_alike(case: Case, values: list) -> bool:
    shown = _shown(case, values)
    return shown is not None and bool(np.ptp(shown, axis=0).max() < 1e-3)


def _noise_left(case: Case, values: list) -> bool:
    """Whether what is wrong with the result still looks like the noise."""
    shown, clean = _shown(case, values), case.secret["clean"]
    if shown is None:
        return False
    wrong, noise = shown - clean, case.calls[0].args[1] - clean
    return bool((wrong * noise).sum() > 0.5 * np.linalg.norm(wrong) * np.linalg.norm(noise))


denoise = Exercise(
    id="autoencoder.denoise",
    title="Train a denoiser",
    name="denoise",
    kind="trained",
    points=4,
    reference=wiener,
    cases=_denoise_cases,
    compare=AtLeast(
        _share_cleaned,
        THRESHOLD,
        what="share of new digits that come out clean",
        asked=ASKED,
        false_fail=FalseFail(
            1e-7,
            "Derived: a denoiser that cleans 60% of all digits cleans less than 50% of 797 new ones with probability "
            "9e-9 (binomial). That a right answer's training reaches 60% was only measured: under twelve seeds the "
            "solution cleaned 71% to 76%.",
        ),
    ),
    mistakes=(
        Mistake(
            "what_it_saw",
            lambda x, noisy, sigma, seed: x,
            "there is one image for each training digit; the noisy ones are to be cleaned.",
            when=lambda case, values: np.shape(values[0]) == np.shape(case.calls[0].args[0]),
        ),
        Mistake(
            "classes",
            lambda x, noisy, sigma, seed: noisy.argmax(axis=1),
            "there is one number for each digit: MLP.predict gives classes. The outputs are net.forward(noisy)[0].",
            when=lambda case, values: np.shape(values[0]) == (NEW,),
        ),
        Mistake(
            "untouched",
            lambda x, noisy, sigma, seed: noisy,
            "these are the noisy images as they came.",
            when=_untouched,
        ),
        Mistake(
            "all_alike",
            lambda x, noisy, sigma, seed: np.tile(x.mean(axis=0), (len(noisy), 1)),
            "every digit comes out the same. Has the training begun? Try more steps, or another rate.",
            when=_all_alike,
        ),
        Mistake(
            "noise_left",
            _bottleneck(40),
            "much of the noise is still there. In training, let the network see noisy images, new noise in each step, "
            "and ask for the clean ones.",
            when=_noise_left,
        ),
    ),
    withhold=("dlcourse.vae.noisy_batches",),
    hints=(
        "One hidden layer of about 128 ReLUs, 64 outputs, mean squared error to the clean images.",
        "In each step, clean digits plus sigma times new normal noise go in; the clean digits are the target.",
        'mlp.MLP((64, 100, 64), loss="sse", scale=0.05), optim.Adam at 0.01; train.fit takes a function batches(rng) '
        "that yields pairs (noisy, clean), new ones in each of 250 epochs. Outputs: net.forward(noisy)[0].",
    ),
    difficulty=3,
    importance=4,
    minutes=30,
    seconds=60.0,
)

essay = text_exercise(
    "autoencoder.essay", "Blurred faces, useless codes", points=3, difficulty=3, importance=5, minutes=15
)

EXERCISES = (bits, linear_gradient, sample, loss, importance, vq, denoise, essay)
