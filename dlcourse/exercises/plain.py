"""Results as plain data: what an answer may consist of, whichever library made it.

The student's side turns each result into plain data at once, and the judge's side does it again with what has crossed
the wall, since anyone in the sandbox may have written that.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

MAX_DEPTH = 8
MAX_NUMBERS = 1 << 22
MAX_ENTRIES = 200_000
MAX_TEXT = 10_000

# Subclasses of these (np.matrix, torch.nn.Parameter, OrderedDict) hold what they seem to hold.
_LIBRARIES = ("builtins", "collections", "numpy", "torch")
_NUMBERS = (bool, int, float, np.generic)


class NotPlain(ValueError):
    """A student's result is of a type that no answer has; the message says which."""


def plain(value: Any) -> Any:
    """Turn a result into plain data: NumPy and torch, scalars and 0-d arrays are then one and the same.

    Numbers become 0-d arrays, tensors become arrays, tuples become lists. A list of numbers, or of such lists of one
    length, is an array. Arrays are copies in native byte order; what is plain already stays as it is.

    Raises
    ------
    NotPlain
        For anything but ``None``, strings, real numbers, arrays or tensors of them, and lists, tuples and dicts of
        these; for subclasses that are not the library's own (named tuples are tuples), for masked, sparse, quantised
        and meta data, and for results that are too large (``MAX_NUMBERS``, ``MAX_ENTRIES``, ``MAX_TEXT``) or nested
        too deeply (``MAX_DEPTH``).
    """
    return _Reader().read(value, 0)


def parts(value: Any, count: int | None = None) -> list:
    """The results that a plain value holds: a list's entries, or the rows of the array that a list of lists became.

    Raises
    ------
    ValueError
        It holds no list of results, or not ``count``.
    """
    if isinstance(value, np.ndarray) and value.ndim:
        value = [np.asarray(row) for row in value]
    if not isinstance(value, list) or count not in (None, len(value)):
        raise ValueError(f"expected a tuple or list of {'results' if count is None else f'{count} results'}")
    return value


def numbers(value: Any) -> np.ndarray:
    """A plain value as one array: for rules that compute with results.

    Raises
    ------
    ValueError
        It holds something other than numbers (NumPy would read the digits of a text), or its rows differ in length.
    """
    if isinstance(value, list):
        parts = [numbers(part) for part in value]
        return np.stack(parts) if parts else np.zeros(0)
    if not isinstance(value, np.ndarray):
        raise ValueError("it holds something other than numbers")
    return value


class _Reader:
    """Reads one result and counts what it has read, so that the bounds hold for the result as a whole."""

    def __init__(self):
        self.numbers, self.entries = 0, 0

    def read(self, value: Any, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise NotPlain(f"the result is nested more than {MAX_DEPTH} levels deep")
        # `type`, as an object may lie about its `__class__`.
        kind = type(value)
        if value is None:
            return None
        if issubclass(kind, str):
            return self._text(value)
        if issubclass(kind, _NUMBERS):
            return self._number(value)
        if issubclass(kind, np.ndarray):
            return self._array(value)
        torch = sys.modules.get("torch")
        if torch is not None and issubclass(kind, torch.Tensor):
            return self._tensor(value, torch)
        if issubclass(kind, tuple):
            return [self.read(v, depth + 1) for v in self._counted(tuple.__iter__(value), tuple.__len__(value))]
        if issubclass(kind, list):
            return self._list(value, depth)
        if issubclass(kind, dict):
            _own(value, "dict")
            return {self._text(str(k)): self.read(v, depth + 1) for k, v in self._counted(value.items(), len(value))}
        raise NotPlain(f"the result is of type {_name(value)}; expected numbers, arrays or tensors")

    def _text(self, value: str) -> str:
        _own(value, "str")
        if len(value) > MAX_TEXT:
            raise NotPlain(f"the result holds a text of {len(value)} characters; at most {MAX_TEXT} are read")
        return str(value)

    def _number(self, value: Any) -> np.ndarray:
        _own(value, "number")
        self._count(1)
        if isinstance(value, int) and not -(2**63) <= value < 2**64:
            raise NotPlain("the result holds a whole number beyond the range of 64 bits")
        return _real(np.asarray(value))

    def _array(self, value: np.ndarray) -> np.ndarray:
        _own(value, "array")
        self._count(value.size)
        if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
            masked = int(np.ma.getmaskarray(value).sum())
            raise NotPlain(f"{masked} of {value.size} entries of the result are masked; expected numbers there")
        return _real(np.array(value, subok=False))

    def _tensor(self, value: Any, torch: Any) -> np.ndarray:
        _own(value, "tensor")
        if value.layout != torch.strided or value.is_nested:
            raise NotPlain("the result is a sparse or nested tensor; expected a dense one")
        if value.is_quantized:
            raise NotPlain("the result is a quantised tensor; expected real numbers")
        if value.device.type == "meta":
            raise NotPlain("the result is a tensor on the device 'meta', which holds no numbers")
        self._count(value.numel())
        tensor = value.detach().cpu()
        if tensor.is_complex():
            raise NotPlain(f"the result has dtype {tensor.dtype}; expected real numbers")
        if tensor.is_floating_point() and tensor.dtype not in (torch.float32, torch.float64):
            tensor = tensor.float()
        return _real(tensor.resolve_neg().numpy().copy())

    def _list(self, value: list, depth: int) -> Any:
        _own(value, "list")
        if value and set(map(type, value)) <= {bool, int, float}:
            self._count(len(value))
            return _real(np.array(value))
        parts = [self.read(v, depth + 1) for v in self._counted(value, len(value))]
        # Arrays that the student made stay apart: a list of them may be several results.
        loose = all(
            issubclass(type(v), (list, *_NUMBERS)) and isinstance(p, np.ndarray)
            for v, p in zip(value, parts, strict=True)
        )
        if parts and loose and len({part.shape for part in parts}) == 1:
            return _real(np.stack(parts))
        return parts

    def _counted(self, entries: Any, number: int) -> Any:
        self.entries += number
        if self.entries > MAX_ENTRIES:
            raise NotPlain(f"the result's lists have more than {MAX_ENTRIES} entries")
        return entries

    def _count(self, numbers: int) -> None:
        self.numbers += numbers
        if self.numbers > MAX_NUMBERS:
            raise NotPlain(f"the result holds more than {MAX_NUMBERS} numbers")


def _own(value: Any, what: str) -> None:
    kind = type(value)
    if str(getattr(kind, "__module__", "")).partition(".")[0] not in _LIBRARIES:
        raise NotPlain(f"the result is of type {_name(value)}; expected a plain {what}")


def _name(value: Any) -> str:
    name = type(value).__name__
    return name if len(name) <= 40 else name[:37] + "..."


def _real(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "fiub":
        raise NotPlain(f"the result has dtype {array.dtype}; expected real numbers")
    if array.dtype.kind == "f" and array.dtype.itemsize not in (4, 8):
        return array.astype(np.float64)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
