"""Chapter 02: the multilayer perceptron, with backpropagation by hand.

Every operation is a pair of pure functions,

    name_forward(inputs) -> out, cache
    name_backward(dout, cache) -> gradients of the inputs

where ``dout`` is the gradient of the loss with respect to ``out``, and ``cache`` is what the backward pass
needs. Shapes: N examples, one a row; D inputs and M outputs of a layer; C classes. Float dtypes are kept.
A shape or dtype that does not fit raises ValueError.

Sources: Rumelhart, Hinton and Williams, Learning representations by back-propagating errors, Nature 323
(1986); Goodfellow, Bengio and Courville, Deep Learning (2016), section 6.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from tqdm import tqdm

# The names that this chapter has for them; chapter 04 is their home.
from dlcourse.activations import (  # noqa: F401
    ACTIVATIONS,
    identity_backward,
    identity_forward,
    relu_backward,
    relu_forward,
    sigmoid_backward,
    sigmoid_forward,
    tanh_backward,
    tanh_forward,
)
from dlcourse.arrays import as_float, as_gradient
from dlcourse.losses import (  # noqa: F401
    LOSSES,
    softmax_cross_entropy_backward,
    softmax_cross_entropy_forward,
    sse_backward,
    sse_forward,
)


def linear_forward(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, tuple]:
    """Fully connected layer: out = x w + b, one example a row.

    A book that writes Wx + b for a column x has W = wᵀ: here ``w[j, k]`` leads from input j to output k.

    Parameters
    ----------
    x, w, b : float arrays (N, D), (D, M), (M,)

    Returns
    -------
    out : (N, M) array
    cache : what ``linear_backward`` needs

    Raises
    ------
    ValueError
        A shape does not fit, or a dtype is not a float.
    """
    x, w, b = as_float(x, "x"), as_float(w, "w"), as_float(b, "b")
    if x.ndim != 2 or w.ndim != 2:
        raise ValueError(f"x has shape {x.shape} and w {w.shape}; expected x (N, D) and w (D, M)")
    if x.shape[1] != w.shape[0]:
        raise ValueError(f"x has {x.shape[1]} columns, w expects {w.shape[0]}: x is (N, D), w is (D, M)")
    if b.shape != (w.shape[1],):
        raise ValueError(f"b has shape {b.shape}, w gives {w.shape[1]} outputs: expected b ({w.shape[1]},)")
    return x @ w + b, (x, w)


def linear_backward(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of the fully connected layer: dx = dout wᵀ, dw = xᵀ dout, db = column sums of dout.

    Parameters
    ----------
    dout : (N, M) array
    cache : from ``linear_forward``

    Returns
    -------
    dx, dw, db : arrays (N, D), (D, M), (M,)

    Raises
    ------
    ValueError
        ``dout`` has not the shape of the layer's output.
    """
    x, w = cache
    dout = as_gradient(dout, (len(x), w.shape[1]))
    return dout @ w.T, x.T @ dout, dout.sum(axis=0)


class MLP:
    """A multilayer perceptron: linear layers with an activation between them.

    h₀ = x,  hₗ = a(hₗ₋₁ wₗ + bₗ) for the hidden layers,  y = output(h w + b).

    Parameters
    ----------
    sizes : inputs, hidden units of each layer, outputs: ``(784, 256, 10)`` has one hidden layer of 256
    activation : of the hidden layers: "relu", "tanh", "sigmoid" or another of ``dlcourse.activations.ACTIVATIONS``
    output : activation of the last layer; cross-entropy takes raw logits, so "identity"
    loss : "softmax_cross_entropy", "sse" or another of ``dlcourse.losses.LOSSES``
    scale : standard deviation of the initial weights; by default sqrt(2 / fan_in) for ReLU (He et al., 2015,
        arXiv:1502.01852, eq. 10) and sqrt(1 / fan_in) otherwise. Biases start at 0.
    seed : of the initial weights; the same seed gives the same bytes
    dtype : of the parameters; inputs are converted to it

    Attributes
    ----------
    parameters : list of arrays [w1, b1, w2, b2, ...]; ``SGD`` changes them in place

    Raises
    ------
    ValueError
        Fewer than two sizes, a size below 1, or an unknown name.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation: str = "relu",
        output: str = "identity",
        loss: str = "softmax_cross_entropy",
        *,
        scale: float | None = None,
        seed: int = 0,
        dtype=np.float64,
    ):
        if len(sizes) < 2 or min(sizes) < 1:
            raise ValueError(f"sizes is {sizes!r}; expected at least inputs and outputs, each 1 or more")
        known = {"activation": ACTIVATIONS, "output": ACTIVATIONS, "loss": LOSSES}
        for argument, name in {"activation": activation, "output": output, "loss": loss}.items():
            if name not in known[argument]:
                raise ValueError(f"{argument} is {name!r}; expected one of {', '.join(known[argument])}")
        if not np.issubdtype(dtype, np.floating):
            raise ValueError(f"dtype is {np.dtype(dtype)}; expected a float dtype")
        self.sizes, self.dtype, self.loss_name = tuple(sizes), np.dtype(dtype), loss
        self.activations = [activation] * (len(sizes) - 2) + [output]
        rng = np.random.default_rng(seed)
        gain = 2.0 if activation == "relu" else 1.0
        self.parameters: list[np.ndarray] = []
        for fan_in, fan_out in pairwise(sizes):
            std = np.sqrt(gain / fan_in) if scale is None else scale
            w = (std * rng.standard_normal((fan_in, fan_out))).astype(dtype)
            self.parameters += [w, np.zeros(fan_out, dtype)]

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, list]:
        """Outputs (N, M) for inputs (N, D), and the caches for ``backward``."""
        out, caches = np.asarray(x, dtype=self.dtype), []
        for w, b, name in zip(self.parameters[::2], self.parameters[1::2], self.activations, strict=True):
            out, linear_cache = linear_forward(out, w, b)
            out, activation_cache = ACTIVATIONS[name][0](out)
            caches.append((linear_cache, activation_cache))
        return out, caches

    def backward(self, dout: np.ndarray, caches: list) -> tuple[np.ndarray, list[np.ndarray]]:
        """Gradients of the inputs (N, D) and of the parameters, in the order of ``parameters``."""
        gradients: list[np.ndarray] = []
        for (linear_cache, activation_cache), name in zip(caches[::-1], self.activations[::-1], strict=True):
            dout = ACTIVATIONS[name][1](dout, activation_cache)
            dout, dw, db = linear_backward(dout, linear_cache)
            gradients = [dw, db, *gradients]
        return dout, gradients

    def loss_and_gradients(self, x: np.ndarray, targets: np.ndarray) -> tuple[np.floating, list[np.ndarray]]:
        """The loss on a batch and its gradients, in the order of ``parameters``."""
        loss_forward, loss_backward = LOSSES[self.loss_name]
        out, caches = self.forward(x)
        loss, loss_cache = loss_forward(out, targets)
        _, gradients = self.backward(loss_backward(1.0, loss_cache), caches)
        return loss, gradients

    def predict(self, x: np.ndarray) -> np.ndarray:
        """The class of each example (N,): the largest output; of a single output, whether it exceeds 0.5."""
        out, _ = self.forward(x)
        return out.argmax(axis=1) if out.shape[1] > 1 else (out[:, 0] > 0.5).astype(np.intp)


class SGD:
    """Gradient descent with momentum: v ← μ v + g, then p ← p - lr v (Polyak, 1964; PyTorch's convention).

    Parameters
    ----------
    parameters : arrays, changed in place
    lr : step size, positive
    momentum : μ, at least 0 and below 1; 0 is plain gradient descent

    Raises
    ------
    ValueError
        ``lr`` or ``momentum`` is out of range; or, in ``step``, the gradients do not match the parameters.
    """

    def __init__(self, parameters: Sequence[np.ndarray], lr: float, momentum: float = 0.0):
        if not lr > 0:
            raise ValueError(f"lr is {lr}; expected a positive number")
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum is {momentum}; expected at least 0 and below 1")
        self.parameters, self.lr, self.momentum = list(parameters), lr, momentum
        self.velocities = [np.zeros_like(p) for p in self.parameters]

    def step(self, gradients: Sequence[np.ndarray]) -> None:
        """One update of every parameter, in place."""
        shapes, expected = [np.shape(g) for g in gradients], [p.shape for p in self.parameters]
        if shapes != expected:
            raise ValueError(f"gradients has shapes {shapes}; expected those of the parameters, {expected}")
        for p, g, v in zip(self.parameters, gradients, self.velocities, strict=True):
            v *= self.momentum
            v += g
            p -= self.lr * v


def accuracy(model: MLP, x: np.ndarray, targets: np.ndarray) -> float:
    """Share of examples whose predicted class is ``targets`` (N,)."""
    return float(np.mean(model.predict(x) == targets))


def train(
    model: MLP,
    x: np.ndarray,
    targets: np.ndarray,
    *,
    epochs: int = 10,
    batch_size: int = 32,
    lr: float = 0.1,
    momentum: float = 0.0,
    decay: bool = False,
    seed: int = 0,
    held_out: tuple[np.ndarray, np.ndarray] | None = None,
) -> dict[str, list[float]]:
    """Minibatch SGD: shuffle, cut into batches, one update a batch; ``epochs`` passes over the data.

    Parameters
    ----------
    model : changed in place
    x, targets : inputs (N, D) and N targets, as the model's loss expects them
    decay : let the learning rate fall linearly from ``lr`` to 0
    seed : of the shuffling
    held_out : (x, classes); their accuracy is measured after each epoch

    Returns
    -------
    history : "loss", the mean minibatch loss of each epoch, and with ``held_out`` "accuracy"

    Raises
    ------
    ValueError
        There are no examples, more or fewer targets than examples, or ``batch_size`` is below 1.
    """
    N = len(x)
    if N == 0 or len(targets) != N:
        raise ValueError(f"x has {N} examples, targets {len(targets)}; expected the same number, at least 1")
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; expected at least 1")
    optimiser = SGD(model.parameters, lr, momentum)
    rng = np.random.default_rng(seed)
    starts = range(0, N, batch_size)
    history: dict[str, list[float]] = {"loss": []} | ({"accuracy": []} if held_out else {})
    for epoch in tqdm(range(epochs), desc="epochs", leave=False, delay=1):
        order, total = rng.permutation(N), 0.0
        for i, start in enumerate(starts):
            if decay:
                optimiser.lr = lr * (1 - (epoch * len(starts) + i) / (epochs * len(starts)))
            batch = order[start : start + batch_size]
            loss, gradients = model.loss_and_gradients(x[batch], targets[batch])
            optimiser.step(gradients)
            total += float(loss)
        history["loss"].append(total / len(starts))
        if held_out:
            history["accuracy"].append(accuracy(model, *held_out))
    return history
