"""How a result is judged: against the reference within a tolerance, by a property, or by a score on held-out data.

A comparison gets values that are plain already (``plain``): ``None``, numbers as 0-d arrays, strings, arrays, and lists
and dicts of these. It answers ``None`` where the result is right, else a sentence for the student.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from dlcourse.exercises.plain import NotPlain, numbers, plain

if TYPE_CHECKING:
    from dlcourse.exercises.spec import Case

MAX_WORDS = 200
MAX_RATE = 1e-6


@dataclass(frozen=True)
class FalseFail:
    """How often a correct solution fails, where the judging leaves something to chance.

    Attributes
    ----------
    rate : an upper bound of the probability for one grading of the exercise, all its cases together.
    why : where the bound comes from: what is left to chance, what is assumed, what was only measured.
    """

    rate: float
    why: str

    def __post_init__(self):
        if not 0 <= self.rate <= MAX_RATE:
            raise ValueError(f"rate is {self.rate}; correct solutions may fail with probability {MAX_RATE} at most")


class Compare:
    """How an exercise's results are judged."""

    needs_reference = True

    def __call__(self, case: Case, got: list, want: list | None) -> str | None:
        """``None`` if the results ``got`` of the case's steps are right, else a sentence.

        ``got`` may come from anyone: it is made plain again, and nothing in it makes this raise.
        """
        try:
            got = [plain(value) for value in got]
        except NotPlain as error:
            return str(error)
        if self.needs_reference and want is None:
            raise ValueError(f"the reference gave no result in the case {case.name!r}")
        steps = sum(call.method != "__init__" for call in case.calls) if case.calls else 1
        if len(got) != steps:
            return f"got {len(got)} results, expected {steps}"
        try:
            return self.judge(case, got, want)
        except Exception as error:
            words = str(error) or type(error).__name__
            return f"the result has not the form that was asked for ({words[:MAX_WORDS]})"

    def judge(self, case: Case, got: list, want: list | None) -> str | None:
        """The same for results that are plain, one for each step that gives one; may raise where the form is wrong."""
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

    def judge(self, case, got, want):
        found = difference(got, want, rtol=self.rtol, atol=self.atol)
        if case.calls or found is None:
            return found
        # Without steps the answer itself is what was asked for: to name it would be to give it away.
        (one,), (other,) = got, want
        misshapen = isinstance(other, np.ndarray) and not (isinstance(one, np.ndarray) and one.shape == other.shape)
        return f"got {describe(one)}, " + (f"expected {_form(other)}" if misshapen else "which is not it")

    def same(self, got, other):
        return difference(got, other, rtol=self.rtol, atol=self.atol) is None

    def strain(self, got: list, want: list) -> float:
        """How much of the tolerance results use, from 0 to 1; infinite where they are wrong."""
        return strain(got, want, rtol=self.rtol, atol=self.atol)


@dataclass(frozen=True)
class Holds(Compare):
    """A property of the results: ``rule(case, values)`` gives ``None`` where it holds, else a sentence.

    Numbers that are not finite fail before the rule sees them, as they escape most comparisons.
    """

    rule: Callable[[Case, list], str | None]
    false_fail: FalseFail = field(kw_only=True)
    needs_reference = False

    def judge(self, case, got, want):
        return _not_finite(got) or self.rule(case, got)


@dataclass(frozen=True)
class AtLeast(Compare):
    """A score on data that the student's code has not seen: ``score(case, values) -> float``, higher is better.

    ``threshold`` is what passes. ``asked`` is what the question asks for, where it is more: the difference keeps a
    solution that reaches it from failing by the luck of the draw.
    """

    score: Callable[[Case, list], float]
    threshold: float
    what: str = "accuracy on held-out data"
    asked: float | None = None
    false_fail: FalseFail = field(kw_only=True)
    needs_reference = False

    def judge(self, case, got, want):
        bad = _not_finite(got)
        if bad:
            return bad
        value = float(self.score(case, got))
        if value >= self.threshold:
            return None
        asked = self.threshold if self.asked is None else self.asked
        return f"{self.what} is {value:.4g}, expected at least {asked:g}"


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
            got = [_part(got, i) for i in range(len(got))]
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
            return f"{prefix}got {describe(got)}, expected a dict with {_names(want)}"
        if sorted(got) != sorted(want):
            return f"{prefix}keys are {_names(got)}; expected {_names(want)}"
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
            got = numbers(got)
        except ValueError:
            return f"{prefix}got a list of {len(got)} entries, expected {describe(want)}"
    if not isinstance(got, np.ndarray):
        return f"{prefix}got {describe(got)}, expected {describe(want)}"
    if got.shape != want.shape:
        if not (got.ndim and want.ndim):
            return f"{prefix}got {describe(got)}, expected {_form(want)}"
        turned = got.ndim == 2 and got.T.shape == want.shape
        extra = " (it is the transpose of what is asked)" if turned and _close(got.T, want, rtol, atol).all() else ""
        return f"{prefix}shape is {got.shape}, expected {want.shape}{extra}"
    good = _close(got, want, rtol, atol)
    if good.all():
        return None
    index = tuple(int(i) for i in np.argwhere(~good)[0])
    at = f"at index {index} " if index else ""
    count = f" ({int((~good).sum())} of {good.size} entries differ)" if good.size > 1 else ""
    one, other = _two_numbers(got[index], want[index])
    return f"{prefix}{at}got {one}, expected {other}{count}"


def strain(got: Any, want: Any, *, rtol: float, atol: float) -> float:
    """The largest error of a right answer as a share of what is tolerated: at most 1 where there is no difference."""
    wrong = difference(got, want, rtol=rtol, atol=atol) is not None
    return float("inf") if wrong else _strain(got, want, rtol, atol)


def _strain(got: Any, want: Any, rtol: float, atol: float) -> float:
    if isinstance(want, list | dict):
        keys = want if isinstance(want, dict) else range(len(want))
        return max((_strain(_part(got, key), want[key], rtol, atol) for key in keys), default=0.0)
    if not isinstance(want, np.ndarray) or want.dtype.kind in "iub":
        return 0.0
    with np.errstate(invalid="ignore"):
        error = np.abs(numbers(got).astype(np.float64) - want)
    # Where both are infinite the difference is no number; where it is zero, so may be the tolerance.
    used = np.isfinite(error) & (error > 0)
    return float((error[used] / _tolerance(want, rtol, atol)[used]).max(initial=0.0))


def holds_nan(case: Case, values: Any) -> bool:
    """Whether a result holds nan: for mistakes that are recognised by an overflow, wherever it shows."""
    if isinstance(values, list):
        return any(holds_nan(case, value) for value in values)
    return isinstance(values, np.ndarray) and values.dtype.kind == "f" and bool(np.isnan(values).any())


def _part(value: Any, key: Any) -> Any:
    """An entry of a list, a dict or an array; a number stays a 0-d array."""
    return np.asarray(value[key]) if isinstance(value, np.ndarray) else value[key]


def _close(got: np.ndarray, want: np.ndarray, rtol: float, atol: float) -> np.ndarray:
    if want.dtype.kind in "iub":
        return got == want
    got, want = got.astype(np.float64), want.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        near = np.abs(got - want) <= _tolerance(want, rtol, atol)
    return np.where(np.isfinite(want), near & np.isfinite(got), (got == want) | (np.isnan(got) & np.isnan(want)))


def _tolerance(want: np.ndarray, rtol: float, atol: float) -> np.ndarray:
    """Of each element; without those that are not finite, which are compared as they are."""
    size = np.abs(np.where(np.isfinite(want), want, 0.0), dtype=np.float64)
    # Multiplied before it is added: the sum of two numbers near the largest float would be infinite.
    return atol + rtol * size + rtol * size.max(initial=0.0)


def _not_finite(value: Any, where: str = "") -> str | None:
    """The first number that is infinite or none at all, in words."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind != "f" or np.isfinite(value).all():
            return None
        index = tuple(int(i) for i in np.argwhere(~np.isfinite(value))[0])
        prefix, at = f"{where}: " if where else "", f"at index {index} " if index else ""
        return f"{prefix}{at}got {_number(value[index])}, expected a finite number"
    if isinstance(value, list):
        parts = ((_ordinal(where, i, len(value)), part) for i, part in enumerate(value))
    elif isinstance(value, dict):
        parts = ((f"{where}[{key!r}]", part) for key, part in value.items())
    else:
        return None
    return next((found for name, part in parts if (found := _not_finite(part, name))), None)


def describe(value: Any) -> str:
    """A plain value in a few words."""
    if value is None:
        return "nothing (None)"
    if isinstance(value, str):
        return repr(value if len(value) <= 40 else value[:37] + "...")
    if isinstance(value, np.ndarray):
        return _number(value[()]) if value.ndim == 0 else _form(value)
    if isinstance(value, list):
        return f"{len(value)} results"
    return f"a {type(value).__name__}"


def _form(array: np.ndarray) -> str:
    return f"an array of shape {array.shape}" if array.ndim else "a single number"


def _names(keys: Iterable[str]) -> str:
    named = [key if len(key) <= 40 else key[:37] + "..." for key in sorted(keys)]
    return ", ".join(named[:8]) + (f" and {len(named) - 8} more" if len(named) > 8 else "")


def _number(value: Any, digits: int = 6) -> str:
    return f"{value:.{digits}g}" if np.asarray(value).dtype.kind == "f" else str(value)


def _two_numbers(got: Any, want: Any) -> tuple[str, str]:
    """Two different numbers with as many digits as it takes to tell them apart."""
    for digits in (6, 9, 13, 17):
        one, other = _number(got, digits), _number(want, digits)
        if one != other:
            break
    return one, other


def _ordinal(where: str, i: int, n: int) -> str:
    """Names of results: the list of one step's results adds nothing; a tuple's parts are counted from 1."""
    if n == 1:
        return where
    return f"{where}, result {i + 1}" if where else f"result {i + 1}"
