"""Chapter 17: adversarial training by hand: five losses of a game for two, and a GAN that flips a coin.

    loss, cache = discriminator_forward(real_logits, fake_logits)     # real wants 1, generated wants 0
    dreal, dfake = discriminator_backward(1.0, cache)
    loss, cache = nonsaturating_forward(fake_logits)                  # what the generator minimises
    dfake = nonsaturating_backward(1.0, cache)

A discriminator gives one logit s for each example, of any shape; D = sigmoid(s) is the probability that the example is
real. All losses take logits, since log(1 - sigmoid(s)) of a sure discriminator is log 0 in floating point, while
softplus(s) = log(1 + exp(s)) stays finite for every s. Float dtypes are kept.

Sources: Goodfellow and others, Generative adversarial nets, NeurIPS (2014), arXiv:1406.2661; Goodfellow, NIPS 2016
tutorial, arXiv:1701.00160; Mao and others, Least squares generative adversarial networks, ICCV (2017),
arXiv:1611.04076; Arjovsky, Chintala and Bottou, Wasserstein GAN, ICML (2017), arXiv:1701.07875.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from dlcourse import optim
from dlcourse.activations import sigmoid_forward, softplus_forward
from dlcourse.arrays import as_float
from dlcourse.mlp import MLP

Sampler = Callable[[np.random.Generator, int], np.ndarray]

# ----------------------------------------------------------------------------------------------------------- losses


def _logits(a: np.ndarray, name: str) -> np.ndarray:
    a = as_float(a, name)
    if a.size == 0:
        raise ValueError(f"{name} has shape {a.shape}; expected at least one number")
    return a


def _mean_gradient(dout: float, gradient: np.ndarray) -> np.ndarray:
    """The gradient of each example's term as that of the mean, times dout."""
    return gradient * gradient.dtype.type(dout / gradient.size)


def discriminator_forward(real_logits: np.ndarray, fake_logits: np.ndarray) -> tuple[np.floating, tuple]:
    """The discriminator's loss: cross-entropy with the answers 1 for real and 0 for generated examples.

    ``loss = mean softplus(-real) + mean softplus(fake) = -mean log D(real) - mean log(1 - D(fake))``

    Where nothing can be told apart, the best it can do is D = 1/2, and the loss is 2 log 2 = 1.386.

    Parameters
    ----------
    real_logits, fake_logits : float arrays of any shapes; the two may differ in size

    Returns
    -------
    loss : a number
    cache : for :func:`discriminator_backward`

    Raises
    ------
    ValueError
        An array is empty, or its dtype is not a float.

    Source: Goodfellow and others (2014), equation 1.
    """
    real, fake = _logits(real_logits, "real_logits"), _logits(fake_logits, "fake_logits")
    return softplus_forward(-real)[0].mean() + softplus_forward(fake)[0].mean(), (real, fake)


def discriminator_backward(dout: float, cache: tuple) -> tuple[np.ndarray, np.ndarray]:
    """``dreal = -dout sigmoid(-real) / N`` and ``dfake = dout sigmoid(fake) / M``: what is judged right pulls no more.

    Returns
    -------
    dreal, dfake : in the shapes of the logits
    """
    real, fake = cache
    return _mean_gradient(-dout, sigmoid_forward(-real)[0]), _mean_gradient(dout, sigmoid_forward(fake)[0])


def saturating_forward(fake_logits: np.ndarray) -> tuple[np.floating, np.ndarray]:
    """The generator's loss of the game where one's gain is the other's loss, to be minimised.

    ``loss = mean log(1 - D(fake)) = -mean softplus(fake)``

    Parameters
    ----------
    fake_logits : float array of any shape

    Returns
    -------
    loss : a number, never positive
    cache : for :func:`saturating_backward`

    Raises
    ------
    ValueError
        The array is empty, or its dtype is not a float.

    Source: Goodfellow and others (2014), equation 1 and algorithm 1.
    """
    fake = _logits(fake_logits, "fake_logits")
    return -softplus_forward(fake)[0].mean(), fake


def saturating_backward(dout: float, cache: np.ndarray) -> np.ndarray:
    """``dfake = -dout sigmoid(fake) / M``: nearly 0 where the discriminator is sure that the example is generated."""
    return _mean_gradient(-dout, sigmoid_forward(cache)[0])


def nonsaturating_forward(fake_logits: np.ndarray) -> tuple[np.floating, np.ndarray]:
    """The generator's usual loss: cross-entropy with the answer 1, which is the wrong one, for its own examples.

    ``loss = -mean log D(fake) = mean softplus(-fake)``

    Parameters
    ----------
    fake_logits : float array of any shape

    Returns
    -------
    loss : a number, never negative
    cache : for :func:`nonsaturating_backward`

    Raises
    ------
    ValueError
        The array is empty, or its dtype is not a float.

    Source: Goodfellow and others (2014), section 3.
    """
    fake = _logits(fake_logits, "fake_logits")
    return softplus_forward(-fake)[0].mean(), fake


def nonsaturating_backward(dout: float, cache: np.ndarray) -> np.ndarray:
    """``dfake = -dout sigmoid(-fake) / M``: of full size where the discriminator is sure, 0 where it is fooled."""
    return _mean_gradient(-dout, sigmoid_forward(-cache)[0])


def least_squares_forward(scores: np.ndarray, target: float) -> tuple[np.floating, tuple]:
    """Half the mean squared distance of the scores to a target: ``loss = mean (scores - target)² / 2``.

    The discriminator adds that of the real scores to 1 and that of the generated scores to 0; the generator minimises
    that of its own scores to 1. A score far on the wrong side has a large gradient, so nothing saturates.

    Parameters
    ----------
    scores : float array of any shape, no sigmoid before it
    target : a number

    Returns
    -------
    loss : a number
    cache : for :func:`least_squares_backward`

    Raises
    ------
    ValueError
        The array is empty, or its dtype is not a float.

    Source: Mao and others (2017), equation 2 with a = 0, b = c = 1.
    """
    error = _logits(scores, "scores") - np.asarray(scores).dtype.type(target)
    return (error**2).mean() / 2, error


def least_squares_backward(dout: float, cache: np.ndarray) -> np.ndarray:
    """``dscores = dout (scores - target) / N``."""
    return _mean_gradient(dout, cache)


def wasserstein_forward(real_scores: np.ndarray, fake_scores: np.ndarray) -> tuple[np.floating, tuple]:
    """The critic's loss: ``loss = mean fake - mean real``; the generator minimises ``-mean fake``.

    If the critic is as good as a function of slope 1 at most can be, ``-loss`` is the Wasserstein-1 distance of the
    two distributions (Kantorovich and Rubinstein). Something has to hold the slope: a penalty, or clipped weights.

    Parameters
    ----------
    real_scores, fake_scores : float arrays of any shapes, no sigmoid before them

    Returns
    -------
    loss : a number
    cache : for :func:`wasserstein_backward`

    Raises
    ------
    ValueError
        An array is empty, or its dtype is not a float.

    Source: Arjovsky, Chintala and Bottou (2017), equation 2.
    """
    real, fake = _logits(real_scores, "real_scores"), _logits(fake_scores, "fake_scores")
    return fake.mean() - real.mean(), (real, fake)


def wasserstein_backward(dout: float, cache: tuple) -> tuple[np.ndarray, np.ndarray]:
    """``dreal = -dout / N`` and ``dfake = dout / M``, the same for every example."""
    real, fake = cache
    return _mean_gradient(-dout, np.ones_like(real)), _mean_gradient(dout, np.ones_like(fake))


GENERATOR_LOSSES = {
    "saturating": (saturating_forward, saturating_backward),
    "nonsaturating": (nonsaturating_forward, nonsaturating_backward),
}

# --------------------------------------------------------------------------------------------------- a game for two


@dataclass
class Game:
    """What :func:`play` did.

    Attributes
    ----------
    generator : the mean of the generator's parameters over the last steps
    last : the generator as it was after the last step
    history : one number a step: ``discriminator`` and ``generator``, the losses
    generators : (steps, number of parameters), the generator's parameters before each step, where they were kept
    """

    generator: MLP
    last: MLP
    history: dict[str, list[float]] = field(default_factory=lambda: {"discriminator": [], "generator": []})
    generators: np.ndarray | None = None


def play(
    generator: MLP,
    discriminator: MLP,
    real: Sampler,
    *,
    steps: int = 1500,
    batch_size: int = 256,
    lr: float = 0.1,
    loss: str = "nonsaturating",
    blur: float = 0.0,
    average: float = 0.5,
    keep: bool = False,
    seed: int = 0,
) -> Game:
    """Train both in turn by hand-made gradients: one step of the discriminator, one of the generator.

    The generator's gradient comes through the discriminator: that of its loss by the logits goes back through the
    discriminator to the generated examples, and from there through the generator. Adam moves both, with β₁ = 0.5, and
    the rate falls to 0 along a half cosine. Two players who answer each other circle about the best play, so the mean
    of the generator's parameters over the last steps is given too.

    With ``blur`` the discriminator sees everything, real and generated, with normal noise of that spread on it. Then
    the two distributions overlap, and how much more there is of one of them can be seen from everywhere.

    Parameters
    ----------
    generator : D inputs, which are standard normal noise; copied, not changed
    discriminator : one output, the logit, without an activation; changed in place
    real : ``(rng, n)`` gives n real examples, as many columns as the generator has outputs
    steps, batch_size, lr, seed : of the training
    loss : of the generator, one of ``GENERATOR_LOSSES``
    blur : the standard deviation of the noise on what the discriminator sees
    average : which part of the steps, counted from the end, the mean is taken over
    keep : the generator's parameters of every step

    Returns
    -------
    Game

    Raises
    ------
    ValueError
        The sizes do not fit, the loss is unknown, or a number is out of range.

    Source: Goodfellow and others (2014), algorithm 1, with one step of the discriminator; the noise, Sønderby and
    others (2017), arXiv:1610.04490, section 4; the mean, Yazıcı and others (2019), arXiv:1806.04498.
    """
    _check_game(generator, discriminator, steps, batch_size, loss, blur, average)
    loss_forward, loss_backward = GENERATOR_LOSSES[loss]
    last = copy.deepcopy(generator)
    game = Game(copy.deepcopy(generator), last)
    optimisers = [optim.Adam(net.parameters, lr=lr, betas=(0.5, 0.999)) for net in (discriminator, last)]
    rng = np.random.default_rng(seed)
    kept, sums, counted = [], [np.zeros_like(p) for p in last.parameters], math.ceil(average * steps)

    def seen(x):
        return x + blur * rng.standard_normal(x.shape)

    for step in range(steps):
        for optimiser in optimisers:
            optimiser.lr = float(optim.cosine(step, lr, steps))
        if keep:
            kept.append(np.concatenate([p.ravel() for p in last.parameters]))
        noise = rng.standard_normal((batch_size, last.sizes[0]))
        game.history["discriminator"].append(
            _discriminate(discriminator, optimisers[0], seen(real(rng, batch_size)), seen(last.forward(noise)[0]))
        )
        fake, fake_caches = last.forward(rng.standard_normal((batch_size, last.sizes[0])))
        logits, caches = discriminator.forward(seen(fake))
        value, cache = loss_forward(logits)
        dfake, _ = discriminator.backward(loss_backward(1.0, cache), caches)
        optimisers[1].step(last.backward(dfake, fake_caches)[1])
        game.history["generator"].append(float(value))
        if step >= steps - counted:
            sums = [s + p for s, p in zip(sums, last.parameters, strict=True)]
    for p, s in zip(game.generator.parameters, sums, strict=True):
        p[...] = s / counted
    game.generators = np.array(kept) if keep else None
    return game


def _check_game(generator, discriminator, steps, batch_size, loss, blur, average) -> None:
    if discriminator.sizes[0] != generator.sizes[-1] or discriminator.sizes[-1] != 1:
        raise ValueError(
            f"discriminator has sizes {discriminator.sizes}; expected ({generator.sizes[-1]}, ..., 1), "
            f"since the generator has {generator.sizes[-1]} outputs"
        )
    if loss not in GENERATOR_LOSSES:
        raise ValueError(f"loss is {loss!r}; expected one of {', '.join(GENERATOR_LOSSES)}")
    if steps < 1 or batch_size < 1 or blur < 0 or not 0 < average <= 1:
        raise ValueError(
            f"steps is {steps}, batch_size {batch_size}, blur {blur} and average {average}; expected at least 1, at "
            "least 1, at least 0 and a part above 0 up to 1"
        )


def _discriminate(discriminator: MLP, optimiser: optim.Optimiser, real: np.ndarray, fake: np.ndarray) -> float:
    """One step of the discriminator; its loss before."""
    logits, caches = discriminator.forward(np.concatenate([real, fake]))
    value, cache = discriminator_forward(logits[: len(real)], logits[len(real) :])
    gradient = np.concatenate(discriminator_backward(1.0, cache))
    optimiser.step(discriminator.backward(gradient, caches)[1])
    return float(value)


def generate(generator: MLP, n: int, seed: int = 0) -> np.ndarray:
    """n examples (n, D) from standard normal noise."""
    return generator.forward(np.random.default_rng(seed).standard_normal((n, generator.sizes[0])))[0]


# --------------------------------------------------------------------------------------------------------- the coin


def coin(p: float) -> Sampler:
    """Nature as a function of ``(rng, n)``: n tosses (n, 1), 1.0 for heads with probability p, else 0.0.

    Raises
    ------
    ValueError
        ``p`` is no probability.
    """
    if not 0 <= p <= 1:
        raise ValueError(f"p is {p}; expected a probability, from 0 to 1")
    return lambda rng, n: (rng.random((n, 1)) < p).astype(float)


def coin_generator(seed: int = 0) -> MLP:
    """x = sigmoid(w z + b) with z ~ N(0, 1): two numbers to learn. It starts steep, w = 10: most x are nearly 0 or 1.

    b starts as a draw from N(0, 5²), so that seeds begin with different coins.
    """
    net = MLP((1, 1), output="sigmoid", loss="sse", scale=0.0)
    net.parameters[0][...] = 10.0
    net.parameters[1][...] = 5.0 * np.random.default_rng(seed).standard_normal()
    return net


def coin_discriminator(seed: int = 0, hidden: int = 16) -> MLP:
    """One number in, one logit out, tanh between; it has to see more than the mean of the tosses."""
    return MLP((1, hidden, 1), "tanh", loss="binary_cross_entropy", scale=1.0, seed=seed)


def heads(generator: MLP) -> float:
    """The exact probability that :func:`coin_generator` gives more than 1/2.

    ``P(sigmoid(w z + b) > 1/2) = P(w z + b > 0) = Φ(b / abs(w))`` for standard normal z.
    """
    w, b = (float(p.ravel()[0]) for p in generator.parameters)
    return 0.5 * (1 + math.erf(b / (max(abs(w), 1e-300) * math.sqrt(2))))
