"""What crosses the wall, in both directions: a bounded JSON tree and a safetensors block for its arrays.

    4 bytes  length of the JSON, little endian
    n bytes  JSON: null, true/false, numbers, strings, {"l": [...]}, {"t": [...]}, {"d": {...}}, {"a": "<key>"}
    rest     safetensors with the arrays of the tree under their keys

No pickle: a decoder that is handed anything else raises ``BadFrame`` and nothing is executed.

On the socket each message stands behind a header: its length, one letter for its kind, and the request's number.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

MAX_JSON = 1 << 20
MAX_BYTES = 64 << 20
MAX_DEPTH = 16


HEADER = struct.Struct("<IcI")
# Requests: run a cell, try a function. Replies: an output, a cell is done, an answer; the child is there, or it is not.
CELL, PROBE = b"c", b"p"
OUTPUT, DONE, ANSWER, HELLO, FAILED = b"o", b"d", b"a", b"h", b"f"

_MALFORMED = (
    SafetensorError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    RecursionError,
    OverflowError,
    MemoryError,
)


class BadFrame(ValueError):
    """The bytes are not a frame of this format, or exceed its bounds; the message says which."""


def frame(tag: bytes, number: int, body: bytes) -> bytes:
    """A message as it goes over the socket."""
    return HEADER.pack(len(body), tag, number) + body


class Frames:
    """The messages in a stream of bytes that arrives piece by piece."""

    def __init__(self):
        self.buffer = bytearray()

    def feed(self, data: bytes, most: int) -> Iterator[tuple[bytes, int, bytes]]:
        """Add bytes; yield the messages that are complete.

        Raises
        ------
        BadFrame
            A message announces more than ``most`` bytes: it is refused before it arrives.
        """
        self.buffer += data
        while len(self.buffer) >= HEADER.size:
            length, tag, number = HEADER.unpack_from(self.buffer)
            if length > most:
                raise BadFrame(f"a message of {length} bytes; at most {most} are read")
            end = HEADER.size + length
            if len(self.buffer) < end:
                return
            body = bytes(self.buffer[HEADER.size : end])
            del self.buffer[:end]
            yield tag, number, body


def encode(value: Any) -> bytes:
    """Plain data (``None``, bool, int, float, str, arrays, lists, tuples, dicts with string keys) as bytes."""
    arrays: dict[str, np.ndarray] = {}
    text = json.dumps(_pack(value, arrays), separators=(",", ":")).encode()
    return len(text).to_bytes(4, "little") + text + save(arrays)


def decode(data: bytes) -> Any:
    """The value that ``encode`` wrote.

    Raises
    ------
    BadFrame
        The bytes are malformed, too long, too deep, or name an array that is not there.
    """
    if len(data) > MAX_BYTES:
        raise BadFrame(f"the answer has {len(data)} bytes; at most {MAX_BYTES} are read")
    if len(data) < 4:
        raise BadFrame("the answer is cut off")
    size = int.from_bytes(data[:4], "little")
    if size > MAX_JSON or 4 + size > len(data):
        raise BadFrame("the answer's header does not fit its length")
    try:
        tree = json.loads(data[4 : 4 + size], parse_constant=_no_constant)
        arrays = load(bytes(data[4 + size :]))
        return _unpack(tree, arrays, 0)
    except BadFrame:
        raise
    except _MALFORMED as error:
        raise BadFrame(f"the answer is not in the agreed format ({type(error).__name__})") from None


def _pack(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else _pack(np.asarray(value), arrays)
    if isinstance(value, np.ndarray | np.generic):
        key = str(len(arrays))
        arrays[key] = np.array(value, order="C")
        return {"a": key}
    if isinstance(value, list):
        return {"l": [_pack(v, arrays) for v in value]}
    if isinstance(value, tuple):
        return {"t": [_pack(v, arrays) for v in value]}
    if isinstance(value, dict):
        return {"d": {str(k): _pack(v, arrays) for k, v in value.items()}}
    raise TypeError(f"a {type(value).__name__} cannot cross the wall; expected plain data")


def _unpack(tree: Any, arrays: dict[str, np.ndarray], depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise BadFrame(f"the answer is nested more than {MAX_DEPTH} levels deep")
    if tree is None or isinstance(tree, bool | int | float | str):
        return tree
    if isinstance(tree, dict) and len(tree) == 1:
        ((kind, content),) = tree.items()
        if kind == "a":
            return arrays[content]
        if kind == "l":
            return [_unpack(v, arrays, depth + 1) for v in content]
        if kind == "t":
            return tuple(_unpack(v, arrays, depth + 1) for v in content)
        if kind == "d":
            return {k: _unpack(v, arrays, depth + 1) for k, v in content.items()}
    raise BadFrame("the answer is not in the agreed format")


def _no_constant(name: str):
    raise BadFrame(f"the answer holds {name} outside an array")
