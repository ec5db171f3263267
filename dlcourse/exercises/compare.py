"""How a result is judged: against the reference within a tolerance, by a property, or by a score on held-out data.

A comparison gets values that are plain already (``plain``): ``None``, numbers as 0-d arrays, strings, arrays, and lists
and dicts of these. It answers ``None`` where the result is right, else a sentence for the student.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from dlcourse.exercises.spec import Case

MAX_DEPTH = 8


class NotPlain(ValueError):
    """A student's result is of a type that no answer has; the message says which."""


def plain(value: Any, depth: int = 0) -> Any:
    """Turn a result into plain data: NumPy and torch, scalars and 0-d arrays are then one and the same.

    Raises
    ------
    NotPlain
        For anything but ``None``, numbers, strings, numeric arrays or tensors, and lists, tuples and dicts of them.
    """
    if depth > MAX_DEPTH:
        raise NotPlain(f"the result is nested more than {MAX_DEPTH} levels deep")
    if value is None or isinstance(value, str):
        return value if value is None else str(value)
    if isinstance(value, bool | int | float | np.generic):
        return _numeric(np.asarray(value))
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        tensor = value.detach().cpu()
        tensor = tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor
        return _numeric(tensor.resolve_conj().resolve_neg().numpy().copy())
    if isinstance(value, np.ndarray):
        return _numeric(np.array(value, subok=False))
    if isinstance(value, list | tuple):
        return [plain(v, depth + 1) for v in value]
    if isinstance(value, dict):
        return {str(k): plain(v, depth + 1) for k, v in value.items()}
    raise NotPlain(f"the result is a {type(value).__name__}; expected numbers, arrays or tensors")


def _numeric(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "fiub":
        raise NotPlain(f"the result has dtype {array.dtype}; expected real numbers")
    if array.dtype == np.longdouble or array.dtype == np.float16:
        return array.astype(np.float64)
    return array


class Compare:
    """How an exercise's results are judged."""

    needs_reference = True

    def __call__(self, case: Case, got: list, want: list | None) -> str | None:
        """``None`` if the results ``got`` of the case's steps are right, else a sentence."""
        raise NotImplementedError

    def same(self, got: list, other: list) -> bool:
        """Whether two lists of results are the same answer; used to recognise mistakes."""
        return difference(got, other, rtol=1e-5, atol=1e-7) is None


@dataclass(frozen=True)
class Close(Compare):
    """Within ``rtol`` of the reference, relative to the element and to the largest element of the array.

    The second part lets float32 arithmetic pass where a sum cancels to nearly zero; it is scaled, so that a wrong
    answer does not pass because its numbers are small.
    """

    rtol: float = 1e-5
    atol: float = 1e-7

    def __call__(self, case, got, want):
        found = difference(got, want, rtol=self.rtol, atol=self.atol)
        # Without steps the answer itself is what was asked for: to name it would be to give it away.
        return found if case.calls or found is None else f"got {describe(got[0])}, which is not it"

    def same(self, got, other):
        return difference(got, other, rtol=self.rtol, atol=self.atol) is None


@dataclass(frozen=True)
class Holds(Compare):
    """A property of the results: ``rule(case, values)`` gives ``None`` where it holds, else a sentence."""

    rule: Callable[[Case, list], str | None]
    needs_reference = False

    def __call__(self, case, got, want):
        try:
            return self.rule(case, got)
        except (TypeError, ValueError, IndexError, KeyError, AttributeError) as error:
            return f"the result has not the form that was asked for ({error})"


@dataclass(frozen=True)
class AtLeast(Compare):
    """A score on data that the student's code has not seen: ``score(case, values) -> float``, higher is better."""

    score: Callable[[Case, list], float]
    threshold: float
    what: str = "accuracy on held-out data"
    needs_reference = False

    def __call__(self, case, got, want):
        try:
            value = float(self.score(case, got))
        except (TypeError, ValueError, IndexError, KeyError, AttributeError) as error:
            return f"the result has not the form that was asked for ({error})"
        if value >= self.threshold:
            return None
        return f"{self.what} is {value:.4g}, expected at least {self.threshold:g}"


@dataclass(frozen=True)
class Manual(Compare):
    """A person grades this answer."""

    needs_reference = False

    def __call__(self, case, got, want):
        return "a person grades this answer"


def difference(got: Any, want: Any, *, rtol: float, atol: float, where: str = "") -> str | None:
    """The first difference between two plain values in words, or ``None``."""
    prefix = f"{where}: " if where else ""
    if isinstance(want, list):
        if isinstance(got, np.ndarray) and got.ndim and len(got) == len(want):
            got = list(got)
        if not isinstance(got, list):
            return f"{prefix}got {describe(got)}, expected {len(want)} results"
        if len(got) != len(want):
            return f"{prefix}got {len(got)} results, expected {len(want)}"
        for i, (g, w) in enumerate(zip(got, want, strict=True)):
            name = _ordinal(where, i, len(want))
            found = difference(g, w, rtol=rtol, atol=atol, where=name)
            if found:
                return found
        return None
    if isinstance(want, dict):
        if not isinstance(got, dict):
            return f"{prefix}got {describe(got)}, expected a dict with {', '.join(sorted(want))}"
        if sorted(got) != sorted(want):
            return f"{prefix}keys are {', '.join(sorted(got))}; expected {', '.join(sorted(want))}"
        for key in want:
            found = difference(got[key], want[key], rtol=rtol, atol=atol, where=f"{where}[{key!r}]")
            if found:
                return found
        return None
    if want is None or isinstance(want, str):
        same = (got is None) if want is None else (isinstance(got, str) and got == want)
        return None if same else f"{prefix}got {describe(got)}, expected {describe(want)}"
    return _array_difference(got, np.asarray(want), rtol, atol, prefix)


def _array_difference(got: Any, want: np.ndarray, rtol: float, atol: float, prefix: str) -> str | None:
    if isinstance(got, list):
        try:
            got = np.array(got, dtype=float)
        except (TypeError, ValueError):
            return f"{prefix}got a list, expected {describe(want)}"
    if not isinstance(got, np.ndarray):
        return f"{prefix}got {describe(got)}, expected {describe(want)}"
    if got.shape != want.shape:
        turned = got.ndim == 2 and got.T.shape == want.shape
        extra = " (it is the transpose of what is asked)" if turned and _close(got.T, want, rtol, atol).all() else ""
        return f"{prefix}shape is {got.shape}, expected {want.shape}{extra}"
    good = _close(got, want, rtol, atol)
    if good.all():
        return None
    index = tuple(int(i) for i in np.argwhere(~good)[0])
    at = f"at index {index} " if index else ""
    count = f" ({int((~good).sum())} of {good.size} entries differ)" if good.size > 1 else ""
    return f"{prefix}{at}got {_number(got[index])}, expected {_number(want[index])}{count}"


def _close(got: np.ndarray, want: np.ndarray, rtol: float, atol: float) -> np.ndarray:
    if want.dtype.kind in "iub":
        return got == want
    got, want = got.astype(np.float64), want.astype(np.float64)
    finite = np.isfinite(want)
    scale = np.abs(want[finite]).max(initial=0.0)
    with np.errstate(invalid="ignore", over="ignore"):
        near = np.abs(got - want) <= atol + rtol * (np.abs(np.where(finite, want, 0.0)) + scale)
    return np.where(finite, near & np.isfinite(got), (got == want) | (np.isnan(got) & np.isnan(want)))


def describe(value: Any) -> str:
    """A plain value in a few words."""
    if value is None:
        return "nothing (None)"
    if isinstance(value, str):
        return repr(value if len(value) <= 40 else value[:37] + "...")
    if isinstance(value, np.ndarray):
        return _number(value[()]) if value.ndim == 0 else f"an array of shape {value.shape}"
    if isinstance(value, list):
        return f"{len(value)} results"
    return f"a {type(value).__name__}"


def _number(value: Any) -> str:
    return f"{value:.6g}" if np.asarray(value).dtype.kind == "f" else str(value)


def _ordinal(where: str, i: int, n: int) -> str:
    """Names of results: the list of one step's results adds nothing; a tuple's parts are counted from 1."""
    if n == 1:
        return where
    return f"{where}, result {i + 1}" if where else f"result {i + 1}"
