"""What crosses the wall survives the way, and nothing else gets through."""

import contextlib
import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import save

from dlcourse.grading import wire

arrays = hnp.arrays(
    st.sampled_from([np.float64, np.float32, np.int64, np.uint8, np.bool_]), hnp.array_shapes(min_dims=0, min_side=0)
)
leaves = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text() | arrays
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=8
)


def same(a, b) -> bool:
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return type(a) is type(b) and a == b


@given(values)
def test_round_trip(value):
    assert same(value, wire.decode(wire.encode(value)))


def test_not_finite_and_strided_arrays_survive():
    value = (np.arange(12.0).reshape(3, 4).T[::2], np.array([np.nan, np.inf]), float("inf"))
    strided, odd, infinite = wire.decode(wire.encode(value))
    assert np.array_equal(strided, value[0]) and np.isnan(odd[0]) and np.isinf(odd[1]) and np.isinf(infinite)


@given(st.binary(max_size=200))
def test_random_bytes_are_refused_or_plain(data):
    with contextlib.suppress(wire.BadFrame):
        wire.decode(data)


def frame(text: bytes, block: bytes | None = None) -> bytes:
    return len(text).to_bytes(4, "little") + text + (save({}) if block is None else block)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        pickle.dumps({"values": [1]}),
        (2**31).to_bytes(4, "little") + b"{}",
        frame(b"[" * 100_000),
        frame(json.dumps({"a": "missing"}).encode()),
        frame(b'{"l": 3}'),
        frame(b"NaN"),
        frame(b'{"a": "0"}', b"\xff" * 64),
        frame(b'{"l": [' + b'{"l": [' * 40 + b"1" + b"]}" * 41),
        frame(b'{"d": [1]}'),
    ],
    ids=["empty", "pickle", "length", "brackets", "no-array", "not-a-list", "nan", "block", "deep", "not-a-dict"],
)
def test_malformed_frames_are_refused_in_words(data):
    with pytest.raises(wire.BadFrame, match="the answer"):
        wire.decode(data)


def test_objects_do_not_cross():
    with pytest.raises(TypeError, match="cannot cross the wall"):
        wire.encode(object())
