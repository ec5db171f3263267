"""What a result may consist of: every honest form is read as the same numbers, all else is refused in a sentence."""

from __future__ import annotations

import collections
import decimal
import enum
import fractions
import typing

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse

from dlcourse.exercises import plain as module
from dlcourse.exercises.plain import NotPlain, numbers, parts, plain


def same(a, b) -> bool:
    if isinstance(a, np.ndarray):
        return type(b) is np.ndarray and a.shape == b.shape and np.array_equal(a, b, equal_nan=True)
    if isinstance(a, list):
        return type(b) is list and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return type(b) is dict and a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return type(a) is type(b) and a == b


MATRIX = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
Pair = collections.namedtuple("Pair", "loss gradient")


class Named(typing.NamedTuple):
    loss: float
    gradient: np.ndarray


class Colour(enum.IntEnum):
    RED = 3


class MyArray(np.ndarray):
    def __eq__(self, other):
        return True


class MyTensor(torch.Tensor):
    pass


class MyFloat(float):
    def __sub__(self, other):
        return 0.0


class MyList(list):
    pass


class MyDict(dict):
    pass


class MyText(str):
    pass


class Liar:
    """Says that it is an array."""

    __class__ = np.ndarray
    shape, dtype, size = (2, 3), np.dtype(float), 6


FORMS_OF_THE_MATRIX = {
    "array": MATRIX,
    "float32": MATRIX.astype(np.float32),
    "float16": MATRIX.astype(np.float16),
    "long double": MATRIX.astype(np.longdouble),
    "integers": MATRIX.astype(np.int16),
    "unsigned integers": MATRIX.astype(np.uint64),
    "other byte order": MATRIX.astype(">f8"),
    "Fortran order": np.asfortranarray(MATRIX),
    "strided": np.repeat(np.repeat(MATRIX, 2, axis=0), 3, axis=1)[::2, ::3],
    "negative strides": MATRIX[::-1, ::-1].copy()[::-1, ::-1],
    "read-only": np.broadcast_to(MATRIX, (1, 2, 3))[0],
    "matrix": np.matrix(MATRIX),
    "masked, nothing masked": np.ma.masked_array(MATRIX, mask=False),
    "tensor": torch.from_numpy(MATRIX),
    "float32 tensor": torch.from_numpy(MATRIX).float(),
    "bfloat16 tensor": torch.from_numpy(MATRIX).bfloat16(),
    "float16 tensor": torch.from_numpy(MATRIX).half(),
    "integer tensor": torch.from_numpy(MATRIX).int(),
    "tensor that requires a gradient": torch.tensor(MATRIX, requires_grad=True),
    "result of a recorded computation": torch.tensor(MATRIX, requires_grad=True) * 1,
    "parameter": torch.nn.Parameter(torch.tensor(MATRIX)),
    "transposed tensor": torch.from_numpy(MATRIX.T.copy()).T,
    "expanded tensor": torch.from_numpy(MATRIX)[None].expand(2, 2, 3)[1],
    "lazily negated tensor": torch._neg_view(torch.from_numpy(-MATRIX)),
    "lists": MATRIX.tolist(),
    "lists of whole numbers": [[1, 2, 3], [4, 5, 6]],
    "lists of mixed numbers": [[1, 2.0, np.float32(3)], [np.int8(4), 5, 6]],
}


@pytest.mark.parametrize("form", FORMS_OF_THE_MATRIX)
def test_every_form_of_an_array_is_the_same_array(form):
    got = plain(FORMS_OF_THE_MATRIX[form])
    assert type(got) is np.ndarray and got.dtype.isnative
    assert np.array_equal(got, MATRIX)


def test_an_inference_tensor_is_read():
    with torch.inference_mode():
        value = torch.ones(2)
    assert same(plain(value), np.ones(2))


@pytest.mark.parametrize(
    "value",
    [
        3,
        3.0,
        np.int32(3),
        np.float32(3),
        np.array(3),
        np.array(3.0),
        torch.tensor(3),
        torch.tensor(3.0),
        np.longdouble(3),
    ],
)
def test_scalars_and_zero_dimensional_arrays_are_one_and_the_same(value):
    got = plain(value)
    assert type(got) is np.ndarray and got.shape == () and got == 3


def test_truth_values_are_numbers():
    assert plain(True) == 1 and plain(np.bool_(False)) == 0
    assert same(plain([True, 2.5]), np.array([1, 2.5]))
    assert same(plain(torch.tensor([True, False])), np.array([True, False]))


@pytest.mark.parametrize("pair", [(1.5, MATRIX), [1.5, MATRIX], Pair(1.5, MATRIX), Named(1.5, MATRIX)])
def test_tuples_lists_and_named_tuples_are_results_in_order(pair):
    assert same(plain(pair), [np.array(1.5), MATRIX])


def test_torch_s_own_tuples_are_read():
    assert same(plain(torch.tensor([3.0, 1.0]).sort()), [np.array([1.0, 3.0]), np.array([1, 0])])
    assert same(plain(torch.zeros(2, 3).shape), [np.array(2), np.array(3)])


@pytest.mark.parametrize("kind", [dict, collections.OrderedDict, lambda d: collections.defaultdict(list, d)])
def test_dicts_are_read(kind):
    assert same(plain(kind({"w": MATRIX, 1: "text"})), {"w": MATRIX, "1": "text"})


def test_ragged_lists_and_lists_of_arrays_stay_lists():
    assert same(plain([[1, 2], [3]]), [np.array([1, 2]), np.array([3])])
    assert same(plain([np.ones(2), np.ones(2)]), [np.ones(2), np.ones(2)])
    assert same(plain([]), [])
    assert same(plain([1, "a", None]), [np.array(1), "a", None])


def test_numbers_that_are_not_finite_are_read_as_they_are():
    got = plain([float("nan"), float("inf"), -float("inf"), -0.0])
    assert np.isnan(got[0]) and got[1] == np.inf and got[2] == -np.inf and np.signbit(got[3])


def test_arrays_are_copied():
    array, tensor = MATRIX.copy(), torch.from_numpy(MATRIX.copy())
    first, second = plain(array), plain(tensor)
    array[:], tensor[:] = 0, 0
    assert np.array_equal(first, MATRIX) and np.array_equal(second, MATRIX)


leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text(max_size=5)
    | hnp.arrays(st.sampled_from([np.float64, np.float32, np.int64, np.bool_, ">i4"]), hnp.array_shapes(min_dims=0))
)
trees = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(trees)
def test_what_is_plain_stays_as_it_is(tree):
    once = plain(tree)
    assert same(plain(once), once)


REFUSED = {
    "object": (object(), "of type object; expected numbers, arrays or tensors"),
    "generator": ((i for i in range(3)), "of type generator"),
    "range": (range(3), "of type range"),
    "set": ({1, 2}, "of type set"),
    "bytes": (b"12", "of type bytes"),
    "function": (len, "of type builtin_function_or_method"),
    "fraction": (fractions.Fraction(1, 2), "of type Fraction"),
    "decimal": (decimal.Decimal("0.5"), "of type Decimal"),
    "sparse matrix": (sparse.csr_matrix(MATRIX), "of type csr_matrix"),
    "memory view": (memoryview(b"12"), "of type memoryview"),
    "liar": (Liar(), "of type Liar"),
    "complex": (1 + 2j, "of type complex"),
    "NumPy complex": (np.complex64(1), "dtype complex64; expected real numbers"),
    "complex array": (MATRIX + 0j, "dtype complex128; expected real numbers"),
    "complex tensor": (torch.ones(2, dtype=torch.complex64), "dtype torch.complex64; expected real numbers"),
    "conjugate tensor": (torch.ones(2, dtype=torch.complex64).conj(), "dtype torch.complex64"),
    "object array": (np.array([1, 2.5], dtype=object), "dtype object; expected real numbers"),
    "array of texts": (np.array(["1", "2"]), "dtype <U1; expected real numbers"),
    "array of bytes": (np.array([b"1"]), "dtype |S1; expected real numbers"),
    "dates": (np.array(["2026-01-01"], dtype="datetime64[D]"), "expected real numbers"),
    "records": (np.zeros(2, dtype=[("x", float)]), "expected real numbers"),
    "record array": (np.rec.array([(1.0,)], dtype=[("x", float)]), "expected real numbers"),
    "huge whole number": (10**30, "a whole number beyond the range of 64 bits"),
    "list of huge whole numbers": ([10**30, 1], "dtype object; expected real numbers"),
    "masked": (np.ma.masked_array(MATRIX, mask=MATRIX > 4), "2 of 6 entries of the result are masked"),
    "sparse tensor": (torch.eye(3).to_sparse(), "a sparse or nested tensor; expected a dense one"),
    "quantised tensor": (torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8), "a quantised tensor"),
    "meta tensor": (torch.empty(2, device="meta"), "on the device 'meta', which holds no numbers"),
    "subclass of ndarray": (MATRIX.view(MyArray), "of type MyArray; expected a plain array"),
    "subclass of Tensor": (torch.ones(2).as_subclass(MyTensor), "of type MyTensor; expected a plain"),
    "subclass of float": (MyFloat(3), "of type MyFloat; expected a plain number"),
    "enumeration": (Colour.RED, "of type Colour; expected a plain number"),
    "subclass of list": (MyList([1]), "of type MyList; expected a plain"),
    "subclass of dict": (MyDict(a=1), "of type MyDict; expected a plain"),
    "subclass of str": (MyText("a"), "of type MyText; expected a plain"),
    "deep inside": ([{"a": (1, [object()])}], "of type object"),
    "long text": ("a" * 10_001, "a text of 10001 characters; at most 10000 are read"),
    "endless name": (type("x" * 500, (), {})(), "x..."),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_answer_has_is_refused_in_words(name):
    value, said = REFUSED[name]
    with pytest.raises(NotPlain) as caught:
        plain(value)
    assert said in str(caught.value) and len(str(caught.value)) < 200


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_a_nested_tensor_is_refused_in_words():
    nested = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])
    with pytest.raises(NotPlain, match="a sparse or nested tensor"):
        plain(nested)


def test_depth_is_bounded():
    value, circular = 1.0, []
    for _ in range(module.MAX_DEPTH):
        value = (value,)
    plain(value)
    with pytest.raises(NotPlain, match="nested more than 8 levels deep"):
        plain((value,))
    circular.append(circular)
    with pytest.raises(NotPlain, match="nested more than 8 levels deep"):
        plain(circular)


def test_size_is_bounded_before_anything_is_copied():
    """Views that claim a terabyte; a bush of lists that branches a hundred times at every level."""
    bush = []
    bush.extend([bush] * 100)
    for value in (np.broadcast_to(1.0, (10**6, 10**6)), torch.ones(1).expand(10**6, 10**6)):
        with pytest.raises(NotPlain, match="holds more than 4194304 numbers"):
            plain(value)
    with pytest.raises(NotPlain, match="holds more than 4194304 numbers"):
        plain([np.zeros(module.MAX_NUMBERS // 2 + 1, np.uint8)] * 2)
    with pytest.raises(NotPlain, match=r"more than 200000 entries|8 levels deep"):
        plain(bush)
    with pytest.raises(NotPlain, match="more than 200000 entries"):
        plain(["a"] * (module.MAX_ENTRIES + 1))


def test_numbers_makes_one_array_of_lists_but_not_of_texts():
    assert same(numbers(plain([np.ones(2), (1, 1)])), np.ones((2, 2)))
    assert same(numbers([]), np.zeros(0))
    for value in ("12", ["1", "2"], [None], {"a": np.ones(1)}, None):
        with pytest.raises(ValueError, match="something other than numbers"):
            numbers(value)
    with pytest.raises(ValueError, match="same shape"):
        numbers([np.ones(2), np.ones(3)])


PAIRS = [(np.ones(1), 2.0), [[1.0], [2.0]], [1.0, 2.0], np.ones((2, 3)), torch.ones(2, 3)]


@pytest.mark.parametrize("pair", PAIRS, ids=range(len(PAIRS)))
def test_parts_are_the_results_whatever_holds_them(pair):
    value = plain(pair)
    assert len(parts(value)) == len(parts(value, 2)) == 2
    assert all(type(part) is np.ndarray for part in parts(value))


@pytest.mark.parametrize("value", ["ab", 2.0, None, {"a": 1, "b": 2}, [1, 2, 3], (1,)])
def test_what_holds_no_pair_is_refused_in_words(value):
    with pytest.raises(ValueError, match="expected a tuple or list of 2 results"):
        parts(plain(value), 2)
