"""How results are judged: right ones in every form pass, wrong ones fail with a sentence, and nothing raises."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlcourse.check.probe import Outcome, probe
from dlcourse.exercises.compare import AtLeast, Close, FalseFail, Holds, describe, difference
from dlcourse.exercises.plain import plain
from dlcourse.exercises.spec import Call, Case, calls, case, steps

NEVER = FalseFail(0.0, "nothing is left to chance")
ONE = case("a case", np.ones(3))
WITHOUT_STEPS = Case("a number")


def judged(got, want, at=ONE, compare=None):
    """What a comparison says of one raw result, where ``want`` is the reference's raw result."""
    return (compare or Close())(at, [plain(got)], [plain(want)])


# --- Right, in another form ---------------------------------------------------------------------------------------

VECTOR = np.array([1.0, -2.0, 0.5])


@pytest.mark.parametrize(
    ("got", "want"),
    [
        (VECTOR.tolist(), VECTOR),
        (tuple(VECTOR), VECTOR),
        ([torch.tensor(v) for v in VECTOR], VECTOR),
        ([np.array(1.0), -2, 0.5], VECTOR),
        (VECTOR.astype(np.float32), VECTOR),
        (VECTOR.astype(np.float16), VECTOR),
        (VECTOR * (1 + 1e-6), VECTOR),
        ([1, -2], np.array([1.0, -2.0])),
        (np.array([1.0, -2.0]), np.array([1, -2])),
        ([True, False], np.array([1.0, 0.0])),
        (np.array([1.0, 0.0]), np.array([True, False])),
        (np.uint8(3), 3),
        (3.0, 3),
        (-0.0, 0.0),
        (np.array([0.0, -0.0]), np.array([-0.0, 0.0])),
        (np.array([1.5, 2.5]), (1.5, 2.5)),
        ([1.5, 2.5], (1.5, 2.5)),
        (torch.tensor([1.5, 2.5]), (1.5, 2.5)),
        (np.ones((2, 3)), (np.ones(3), np.ones(3))),
        ([[1, 1, 1], [1, 1, 1]], (np.ones(3), np.ones(3))),
        ((np.ones(3), np.ones(3)), np.ones((2, 3))),
        ([], np.zeros(0)),
        ([[], []], np.zeros((2, 0))),
        (np.zeros((2, 0)), np.zeros((2, 0))),
        ([np.nan, np.inf, -np.inf, 1.0], np.array([np.nan, np.inf, -np.inf, 1.0])),
        (np.array([1.7e308, 1.0]), np.array([1.7e308, 1.0])),
        ({"b": 1, "a": [1, 2]}, {"a": np.array([1.0, 2.0]), "b": 1.0}),
        ("text", "text"),
        (np.str_("text"), "text"),
        (None, None),
        (2**53 + 1, 2**53 + 1),
        (np.float32(105415200), 105415200),
    ],
)
def test_right_answers_in_another_form_pass(got, want):
    assert judged(got, want) is None


# --- Wrong, in words ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("got", "want", "said"),
    [
        (np.nan, 3.0, "got nan, expected 3"),
        ([1.0, np.nan], np.array([1.0, 2.0]), "at index (1,) got nan, expected 2 (1 of 2 entries differ)"),
        ([1.0, np.inf], np.array([1.0, 2.0]), "at index (1,) got inf, expected 2"),
        (np.inf, -np.inf, "got inf, expected -inf"),
        (1.0, np.nan, "got 1, expected nan"),
        (np.nan, np.inf, "got nan, expected inf"),
        (np.nan, 3, "got nan, expected 3"),
        (-np.inf, 1.7e308, "got -inf, expected 1.7e+308"),
        (np.array([-1.7e308, 0.0]), np.array([1.7e308, 1.7e308]), "(2 of 2 entries differ)"),
        ("3", 3.0, "got '3', expected 3"),
        ("3", 3, "got '3', expected 3"),
        (["1", "-2", "0.5"], VECTOR, "got a list of 3 entries, expected an array of shape (3,)"),
        ([1.0, -2.0, "0.5"], VECTOR, "got a list of 3 entries, expected an array of shape (3,)"),
        ([None, None, None], np.full(3, np.nan), "got a list of 3 entries, expected an array of shape (3,)"),
        (None, 3.0, "got nothing (None), expected 3"),
        (3.0, None, "got 3, expected nothing (None)"),
        ("Text", "text", "got 'Text', expected 'text'"),
        (1, "1", "got 1, expected '1'"),
        ({"a": 1}, 1, "got a dict, expected 1"),
        ([[1, 2], [3]], np.ones((2, 2)), "got a list of 2 entries, expected an array of shape (2, 2)"),
        (np.array([3.0]), 3.0, "got an array of shape (1,), expected a single number"),
        (3.0, np.array([3.0]), "got 3, expected an array of shape (1,)"),
        (np.ones(0), np.ones(3), "shape is (0,), expected (3,)"),
        (np.ones((3, 1)), np.ones(3), "shape is (3, 1), expected (3,)"),
        (np.arange(6.0).reshape(3, 2), np.arange(6.0).reshape(3, 2).T, "(it is the transpose of what is asked)"),
        (np.arange(6.0).reshape(3, 2), np.arange(6.0).reshape(2, 3), "shape is (3, 2), expected (2, 3)"),
        ((1.0,), (1.0, 2.0), "got 1 results, expected 2"),
        (np.ones(3), (1.0, 1.0), "got an array of shape (3,), expected 2 results"),
        ((1.0, 2.0), (1.0, 3.0), "result 2: got 2, expected 3"),
        ([1.0, 2.0], (1.0, 3.0), "result 2: got 2, expected 3"),
        ((1.0, "2"), (1.0, 2.0), "result 2: got '2', expected 2"),
        ((VECTOR, VECTOR), (VECTOR, (VECTOR, 1.0)), "result 2: got an array of shape (3,), expected 2 results"),
        ({"a": 1}, {"b": 1}, "keys are a; expected b"),
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, "['b']: got 2, expected 3"),
        (1.0, {"a": 1}, "got 1, expected a dict with a"),
        (True, 0.0, "got True, expected 0"),
        (0.5, True, "got 0.5, expected True"),
        (2.0000001, 2, "got 2.0000001, expected 2"),
        (2**53 + 1, 2**53, f"got {2**53 + 1}, expected {2**53}"),
        (1 / 3, 1 / 3 + 5e-5, "got 0.333333, expected 0.333383"),
        (123456.789, 123456.7, "got 123456.789, expected 123456.7"),
    ],
)
def test_wrong_answers_fail_with_a_sentence(got, want, said):
    compare = Close(rtol=1e-9, atol=1e-12)
    assert said in judged(got, want, compare=compare)


def test_small_numbers_do_not_pass_because_they_are_small():
    assert judged(np.array([0.0, 0.0]), np.array([1e-5, 2e-5])) is not None


def test_a_sum_that_cancels_may_be_off_by_what_float32_makes_of_it():
    want = np.array([1000.0, 1e-5])
    assert judged(want + 1e-4, want) is None
    assert judged(want + 1e-1, want) is not None


def test_the_number_that_was_asked_for_is_not_told():
    said = judged(34943, 34944, at=WITHOUT_STEPS)
    assert said == "got 34943, which is not it"
    assert judged([34944], 34944, at=WITHOUT_STEPS) == "got an array of shape (1,), expected a single number"
    assert judged("34944", 34944, at=WITHOUT_STEPS) == "got '34944', expected a single number"
    assert "34944" not in judged("no idea", 34944, at=WITHOUT_STEPS)


@given(st.floats(), st.floats())
def test_close_never_raises_and_never_takes_a_number_for_none(got, want):
    said = judged(got, want)
    if np.isnan(got) != np.isnan(want) or np.isinf(got) != np.isinf(want):
        assert said is not None
    if got == want:
        assert said is None


# --- Nobody's words are trusted -----------------------------------------------------------------------------------

TWICE = calls("twice", [(1,), (2,)])
FORGED = [
    [],
    [np.array(1.0)],
    [np.array(1.0)] * 3,
    [object(), object()],
    [(1, 2), (3, 4)],
    ["1", "2"],
    [None, None],
    [np.array(["a"]), np.array(["b"])],
    [np.array(1 + 2j)] * 2,
    [np.array([object()], dtype=object)] * 2,
    [{"a": 1}, {"a": 1}],
    [10**40, 10**40],
    [np.full(3, np.nan)] * 2,
    [np.zeros((0, 3)), np.zeros((3, 0))],
    [[[]], [[[]]]],
    [True, False],
    [float("inf"), float("nan")],
]


@pytest.mark.parametrize("got", FORGED, ids=range(len(FORGED)))
def test_forged_results_fail_with_a_sentence(got):
    want = [np.array([1.0, 2.0])] * 2

    def wants_pairs(case, values):
        first, second = values
        return None if float(first[0]) == float(second[1]) == 7 else "no"

    for compare in (
        Close(),
        Holds(wants_pairs, false_fail=NEVER),
        AtLeast(lambda case, values: max(float(v[1]) for v in values), 10, false_fail=NEVER),
    ):
        said = compare(TWICE, got, want)
        assert isinstance(said, str) and 0 < len(said) < 400


def test_more_results_than_steps_are_no_further_chances():
    best = AtLeast(lambda case, values: max(float(v) for v in values), 0.9, false_fail=NEVER)
    assert best(TWICE, [np.array(0.1), np.array(0.95)], None) is None
    assert best(TWICE, [np.array(0.1)] * 5 + [np.array(0.95)], None) == "got 6 results, expected 2"
    stepwise = steps("steps", (1,), ("go", 1), (".state",))
    assert best(stepwise, [np.array(0.1), np.array(0.95)], None) is None
    assert best(WITHOUT_STEPS, [np.array(0.95)], None) is None


@pytest.mark.parametrize(
    "error", [OverflowError, ZeroDivisionError, MemoryError, RecursionError, np.linalg.LinAlgError]
)
def test_a_rule_that_stumbles_over_a_result_is_a_failed_case(error):
    def stumbles(case, values):
        raise error

    for compare in (Holds(stumbles, false_fail=NEVER), AtLeast(stumbles, 0.5, false_fail=NEVER)):
        assert compare(ONE, [np.array(1.0)], None).startswith("the result has not the form that was asked for")


def test_long_words_are_cut():
    keys = {"k" * 5000 + str(i): 1 for i in range(50)}
    assert len(judged(keys, {"a": 1})) < 600
    assert len(judged("x" * 9000, "a")) < 200

    def stumbles(case, values):
        raise ValueError("y" * 10_000)

    assert len(Holds(stumbles, false_fail=NEVER)(ONE, [np.array(1.0)], None)) < 400


def test_a_reference_without_a_result_is_an_error_of_ours():
    with pytest.raises(ValueError, match="the reference gave no result in the case 'a case'"):
        Close()(ONE, [np.array(1.0)], None)


# --- Properties and scores ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.nan, "got nan, expected a finite number"),
        ([1.0, -np.inf], "at index (1,) got -inf, expected a finite number"),
        ((1.0, np.array([[0, np.nan]])), "result 2: at index (0, 1) got nan, expected a finite number"),
        ({"w": (1.0, np.nan)}, "['w'], result 2: got nan, expected a finite number"),
    ],
)
def test_no_property_holds_of_numbers_that_are_none(value, said):
    anything = Holds(lambda case, values: None, false_fail=NEVER)
    full_marks = AtLeast(lambda case, values: 1.0, 0.5, false_fail=NEVER)
    assert anything(ONE, [plain(value)], None) == said
    assert full_marks(ONE, [plain(value)], None) == said
    finite = plain(np.array([1, 2]))
    assert anything(ONE, [finite], None) is None and full_marks(ONE, [finite], None) is None


def test_a_score_that_is_no_number_does_not_pass():
    assert AtLeast(lambda case, values: np.nan, 0.5, false_fail=NEVER)(ONE, [np.array(1)], None) is not None


def test_what_is_asked_is_said_and_the_threshold_decides():
    compare = AtLeast(lambda case, values: float(values[0]), 0.81, "accuracy", asked=0.9, false_fail=NEVER)
    assert compare(ONE, [np.array(0.82)], None) is None
    assert compare(ONE, [np.array(0.80)], None) == "accuracy is 0.8, expected at least 0.9"


def test_a_rate_above_one_in_a_million_cannot_be_stated():
    with pytest.raises(ValueError, match="1e-06 at most"):
        FalseFail(2e-6, "too often")
    with pytest.raises(TypeError):
        Holds(lambda case, values: None)


def test_descriptions_are_short():
    assert describe(np.array(1 / 3)) == "0.333333"
    assert describe(np.ones((2, 2))) == "an array of shape (2, 2)"
    assert describe("a" * 100) == repr("a" * 37 + "...")
    assert difference(np.ones(2), np.ones(2), rtol=0, atol=0) is None


# --- Probing ------------------------------------------------------------------------------------------------------


def test_each_call_gets_fresh_copies():
    x = np.arange(3.0)

    def destroys(a, *, more):
        total = a.sum() + more[0].sum()
        a[:], more[0][:] = np.nan, np.nan
        more.clear()
        return total

    made = Case("twice", (Call("", (x,), {"more": [x]}), Call("", (x,), {"more": [x]})))
    assert [float(v) for v in probe(destroys, made.calls).values] == [6, 6]
    assert x.tolist() == [0, 1, 2]


def test_a_buffer_that_is_used_again_does_not_change_earlier_results():
    buffer = np.zeros(2)

    def answer(x):
        buffer[:] = x
        return buffer

    assert [v.tolist() for v in probe(answer, TWICE.calls).values] == [[1, 1], [2, 2]]


def test_results_that_no_answer_has_are_told_apart_from_errors():
    outcome = probe(lambda x: {1, 2}, ONE.calls)
    assert (outcome.error_kind, outcome.values) == ("NotPlain", None)
    assert outcome.error == "the result is of type set; expected numbers, arrays or tensors"
    assert probe(lambda x: torch.empty(2, device="meta"), ONE.calls).error_kind == "NotPlain"
    assert probe(lambda x: x[7], ONE.calls).error_kind == "IndexError"


def test_an_object_that_fights_back_is_an_answer_too():
    class Hostile:
        @property
        def __array__(self):
            raise SystemExit(3)

        def __getattr__(self, name):
            raise MemoryError

    outcome = probe(lambda x: Hostile(), ONE.calls)
    assert isinstance(outcome, Outcome) and outcome.values is None and outcome.error


@pytest.mark.parametrize("made", ["partial", "object", "method", "lambda"])
def test_whatever_can_be_called_is_an_answer(made):
    import functools

    class Adder:
        def __call__(self, x):
            return x + 1

        def add(self, x):
            return x + 1

    answer = {
        "partial": functools.partial(np.add, 1),
        "object": Adder(),
        "method": Adder().add,
        "lambda": lambda x: x + 1,
    }[made]
    assert probe(answer, ONE.calls).values[0].tolist() == [2, 2, 2]


# --- How near to failing ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("got", "want", "share"),
    [
        (1.0 + 1e-3, 1.0, 1 / 2.01),
        (np.array([100.0, 1.0 + 1e-2]), np.array([100.0, 1.0]), 1e-2 / (1e-5 + 1e-3 * 101)),
        ((3, np.array([2.0, 2.002])), (3, np.array([2.0, 2.0])), 2e-3 / (1e-5 + 4e-3)),
        ({"a": np.array([np.inf, 1.0])}, {"a": np.array([np.inf, 1.0])}, 0.0),
        (np.array([1.0, 2.0]), (1.0, 2.0), 0.0),
        ("text", "text", 0.0),
        (2, 1, np.inf),
    ],
)
def test_strain_is_the_share_of_the_tolerance_that_is_used(got, want, share):
    used = Close(rtol=1e-3, atol=1e-5).strain([plain(got)], [plain(want)])
    assert used == pytest.approx(share, rel=1e-2)


@given(st.floats(-1e3, 1e3), st.floats(-1e-2, 1e-2))
def test_strain_is_at_most_one_where_the_answer_is_right(want, error):
    compare = Close(rtol=1e-3, atol=1e-4)
    right = judged(want + error, want, compare=compare) is None
    assert right == (compare.strain([plain(want + error)], [plain(want)]) <= 1)
