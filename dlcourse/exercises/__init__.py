"""Floor 2: the exercises, as specifications: ``get("conv.forward")`` is one, ``assignment("08_convolution")`` a set."""

from __future__ import annotations

import difflib
import functools
import importlib
from collections.abc import Iterable

from dlcourse.exercises.spec import PUBLIC_SEED, Exercise

# Assignment -> module of this folder, which is also the first part of its exercises' ids.
ASSIGNMENTS = {
    "01_neuron": "neuron",
    "02_backprop": "mlp",
    "03_autodiff": "autodiff",
    "04_activations_losses": "activations",
    "05_optimisers": "optim",
    "06_approximation": "approximation",
    "07_initialisation": "init",
    "08_convolution": "conv",
    "09_cnn": "cnn",
    "10_normalisation": "norm",
    "11_residual": "resnet",
    "12_transfer": "transfer",
    "13_sequences": "rnn",
    "14_attention": "attention",
    "15_graphs": "graph",
    "16_autoencoders": "autoencoder",
    "17_generative": "gan",
    "18_diffusion": "diffusion",
    "19_beyond": "beyond",
}

__all__ = ["ASSIGNMENTS", "PUBLIC_SEED", "Exercise", "assignment", "assignment_of", "get", "withheld"]


def assignment(name: str) -> tuple[Exercise, ...]:
    """All exercises of an assignment, in the order of its notebook.

    Raises
    ------
    ValueError
        There is no such assignment.
    """
    if name not in ASSIGNMENTS:
        raise ValueError(f"there is no assignment {name!r}; known: {', '.join(ASSIGNMENTS)}")
    return importlib.import_module(f"{__name__}.{ASSIGNMENTS[name]}").EXERCISES


def get(id: str) -> Exercise:
    """The exercise with this id.

    Raises
    ------
    ValueError
        There is no such exercise; the message names the nearest ones.
    """
    topic = str(id).partition(".")[0]
    names = [name for name, module in ASSIGNMENTS.items() if module == topic] or list(ASSIGNMENTS)
    known = {e.id: e for name in names for e in assignment(name)}
    if id in known:
        return known[id]
    near = difflib.get_close_matches(str(id), known, n=3, cutoff=0.3) or sorted(known)
    raise ValueError(f"there is no exercise {id!r}; did you mean {', '.join(near)}?")


def withheld(exercises: Iterable[Exercise]) -> tuple[str, ...]:
    """All names that an assignment's exercises withhold: no answer comes from another's question.

    What one topic of dlcourse takes from another is withheld under the name of its home too.
    """
    names = {name for exercise in exercises for name in exercise.withhold}
    return tuple(sorted(names | {_home(name) for name in names if name.startswith("dlcourse.")}))


@functools.cache
def _home(name: str) -> str:
    module, _, attribute = name.rpartition(".")
    value = getattr(importlib.import_module(module), attribute, None)
    return f"{value.__module__}.{attribute}" if hasattr(value, "__module__") else name


def assignment_of(exercise: Exercise) -> str:
    """The name of the assignment that an exercise belongs to."""
    return next(name for name, module in ASSIGNMENTS.items() if module == exercise.id.partition(".")[0])
