"""The many honest forms of one answer: how its results may be laid out, and what else its code may do meanwhile.

A form changes how results are given back, never their numbers beyond float32. A manner changes what happens while the
answer runs.
"""

from __future__ import annotations

import collections
import functools
import inspect
import logging
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

LONG = 2000  # numbers; longer arrays stay arrays, as reading them one by one takes long

# --- Forms of results ---------------------------------------------------------------------------------------------


def _leaves(change: Callable[[np.ndarray], Any]) -> Callable[[Any], Any]:
    """The form that changes every array of a plain result."""

    def form(value: Any) -> Any:
        if isinstance(value, list):
            return [form(part) for part in value]
        if isinstance(value, dict):
            return {key: form(part) for key, part in value.items()}
        return change(value.copy()) if isinstance(value, np.ndarray) else value

    return form


def _floats(change: Callable[[np.ndarray], Any]) -> Callable[[Any], Any]:
    return _leaves(lambda a: change(a) if a.dtype.kind == "f" else a)


def _whole(a: np.ndarray) -> np.ndarray:
    exact = a.dtype.kind == "f" and np.isfinite(a).all() and (np.abs(a) < 2**53).all() and (a == np.rint(a)).all()
    return a.astype(np.int64) if exact else a


def _strided(a: np.ndarray) -> np.ndarray:
    wide = np.full([2 * n for n in a.shape], np.nan if a.dtype.kind == "f" else 99, a.dtype)
    view = wide[(..., *(slice(None, None, 2) for _ in a.shape))]
    view[...] = a
    return view


def _transposed_tensor(a: np.ndarray) -> torch.Tensor:
    turned = torch.from_numpy(np.ascontiguousarray(a.T).reshape(a.shape[::-1]))
    return turned.permute(tuple(range(a.ndim))[::-1])


def _backwards(a: np.ndarray) -> np.ndarray:
    every = (slice(None, None, -1),) * a.ndim
    return a[every].copy()[every]


def _read_only(a: np.ndarray) -> np.ndarray:
    a.flags.writeable = False
    return a


def _lists(a: np.ndarray) -> Any:
    return a.tolist() if a.size <= LONG else a


def _tuples(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        value = _lists(value)
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _named(value: Any) -> Any:
    if not isinstance(value, list) or len(value) > 9:
        return value
    return collections.namedtuple("Result", [f"part{i}" for i in range(len(value))])(*value)


FORMS: dict[str, Callable[[Any], Any]] = {
    "as it is": lambda value: value,
    "float64": _floats(lambda a: a.astype(np.float64)),
    "float32": _floats(lambda a: a.astype(np.float32)),
    "long double": _floats(lambda a: a.astype(np.longdouble)),
    "whole numbers as integers": _leaves(_whole),
    "integers as floats": _leaves(lambda a: a.astype(np.float64)),
    "other byte order": _leaves(lambda a: a.astype(a.dtype.newbyteorder())),
    "Fortran order": _leaves(lambda a: np.asfortranarray(a).reshape(a.shape, order="F")),
    "transposed copy": _leaves(lambda a: np.ascontiguousarray(a.T).T.reshape(a.shape)),
    "strided view": _leaves(_strided),
    "backwards view": _leaves(_backwards),
    "read-only": _leaves(_read_only),
    "matrix": _leaves(lambda a: a.view(np.matrix) if a.ndim == 2 else a),
    "masked array": _leaves(lambda a: np.ma.masked_array(a, mask=np.zeros(a.shape, bool))),
    "lists": _leaves(_lists),
    "tuples": _tuples,
    "tuple of results": lambda value: tuple(value) if isinstance(value, list) else value,
    "named tuple": _named,
    "NumPy scalars": _leaves(lambda a: a[()]),
    "tensors": _leaves(torch.from_numpy),
    "float32 tensors": _leaves(lambda a: torch.from_numpy(a).float() if a.dtype.kind == "f" else torch.from_numpy(a)),
    "transposed tensors": _leaves(_transposed_tensor),
    "parameters": _floats(lambda a: torch.nn.Parameter(torch.from_numpy(a))),
    "recorded tensors": _floats(lambda a: torch.from_numpy(a).requires_grad_() * 1),
}


# --- Manners of code ----------------------------------------------------------------------------------------------


def _noisy(function: Callable) -> Callable:
    @functools.wraps(function)
    def noisy(*args, **kwargs):
        print("✓ 100 of 100 points", len(args))
        print("careful", file=sys.stderr, flush=True)
        warnings.warn("this is slow", stacklevel=2)
        warnings.warn("and old", DeprecationWarning, stacklevel=2)
        logging.getLogger("student").error("something to log")
        result = function(*args, **kwargs)
        print(type(result))
        return result

    return noisy


def _slow(function: Callable) -> Callable:
    @functools.wraps(function)
    def slow(*args, **kwargs):
        time.sleep(0.001)
        return function(*args, **kwargs)

    return slow


def _destructive(function: Callable) -> Callable:
    """Spoils its inputs once it has its result."""

    @functools.wraps(function)
    def destructive(*args, **kwargs):
        result = _copied(function(*args, **kwargs))
        for value in (*args, *kwargs.values()):
            if isinstance(value, np.ndarray):
                value.fill(77)
        return result

    return destructive


def _copied(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, torch.Tensor):
        return value.clone()
    if isinstance(value, list | tuple):
        return [_copied(part) for part in value]
    return value


def _careless(function: Callable) -> Callable:
    """Reseeds the global generators, draws from them, and divides zero by zero."""

    @functools.wraps(function)
    def careless(*args, **kwargs):
        np.random.seed(3)  # noqa: NPY002
        torch.manual_seed(3)
        np.random.rand(5)  # noqa: NPY002
        with np.errstate(all="ignore"):
            np.zeros(3) / np.zeros(3)
        return function(*args, **kwargs)

    return careless


class _Object:
    """A function as an object that can be called."""

    def __init__(self, function: Callable):
        self.function = function

    def __call__(self, *args, **kwargs):
        return self.function(*args, **kwargs)


def _all_together(function: Callable) -> Callable:
    return functools.reduce(lambda made, manner: manner(made), (_destructive, _careless, _noisy, _slow), function)


MANNERS: dict[str, Callable[[Callable], Callable]] = {
    "noisy": _noisy,
    "slow": _slow,
    "careless": _careless,
    "destructive": _destructive,
    "an object": _Object,
    "all together": _all_together,
}
_FOR_FUNCTIONS = ("destructive", "all together")


def mannered(answer: Any, manner: str) -> Any:
    """The answer with a manner: a function as such, a class in its constructor and methods, a value as it is.

    A class keeps its inputs, so that spoiling them would spoil the answer.
    """
    if isinstance(answer, type):
        change = MANNERS["noisy" if manner in _FOR_FUNCTIONS else manner]
        return change(lambda *args, **kwargs: _Instance(answer(*args, **kwargs), change))
    return MANNERS[manner](answer) if callable(answer) else answer


class _Instance:
    def __init__(self, instance: Any, change: Callable[[Callable], Callable]):
        self._instance, self._change = instance, change

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._instance, name)
        return self._change(value) if inspect.ismethod(value) else value
