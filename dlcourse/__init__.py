"""Deep learning from scratch: one module a topic, exercises that check themselves, a grader that can be trusted.

``import dlcourse`` is cheap: every submodule, and with it torch or matplotlib, is imported when it is first used.
"""

from __future__ import annotations

import importlib

__version__ = "0.1.0"

_SUBMODULES = (
    "activations",
    "adversarial",
    "approximation",
    "attacks",
    "attention",
    "augment",
    "autodiff",
    "autoencoder",
    "bayes",
    "blindspots",
    "check",
    "cnn",
    "contrastive",
    "conv",
    "data",
    "denoiser",
    "density",
    "detection",
    "diffusion",
    "exercises",
    "explain",
    "fewshot",
    "flow",
    "gan",
    "generalisation",
    "gnn",
    "graph",
    "init",
    "invariance",
    "language",
    "levitation",
    "losses",
    "metrics",
    "mlp",
    "net1989",
    "neuron",
    "norm",
    "ode",
    "optim",
    "plot",
    "policy",
    "pond",
    "pooling",
    "regularization",
    "residual",
    "resnet",
    "retrieval",
    "rnn",
    "scenes",
    "seq",
    "show",
    "simclr",
    "symbolic",
    "tasks",
    "tokenizer",
    "train",
    "transfer",
    "transformer",
    "unet",
    "vae",
)
__all__ = [*_SUBMODULES]


def __getattr__(name: str):
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_SUBMODULES])
