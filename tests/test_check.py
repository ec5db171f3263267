"""The check as a student meets it: answers in words, never a traceback; hints; progress; HTML and text."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pytest

from dlcourse import check as checking
from dlcourse import conv
from dlcourse.check import check, hint, progress
from dlcourse.check.withhold import Withheld, withheld
from dlcourse.exercises import get


@pytest.fixture(autouse=True)
def fresh():
    """Each test is a session of its own."""
    checking._reports.clear()
    checking._hints_given.clear()


def output_size(size, kernel, stride=1, padding=0, dilation=1):
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def test_the_answer_is_found_by_its_name():
    report = check("conv.output_size")
    assert report.passed and report.points == get("conv.output_size").points
    assert str(report).startswith("✓ conv.output_size") and "✓" in report._repr_html_()


def test_what_is_not_there_yet_is_said_in_words():
    assert "`im2col` is not there yet: run the cell that defines it" in str(check("conv.im2col"))
    assert "not written" in str(check("conv.im2col", None))


def test_an_unknown_exercise_names_its_neighbours():
    assert "did you mean conv.forward" in str(check("conv.forwrad"))
    assert "did you mean" in str(hint("nothing"))
    assert "there is no assignment" in str(progress("nothing"))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda *a, **k: 1 / 0, "ZeroDivisionError"),
        (lambda: 3, "TypeError"),
        (lambda *a, **k: object(), "the result is of type object"),
        (lambda *a, **k: exit(), "SystemExit"),
        (lambda *a, **k: np.array([1 + 2j]), "expected real numbers"),
        (7, "not callable"),
        (lambda *a, **k: None, "gives back nothing (None)"),
    ],
)
def test_whatever_an_answer_does_becomes_a_sentence(answer, said):
    report = check("conv.output_size", answer)
    assert not report.passed and said in str(report) and "Traceback" not in str(report)


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("nothing to say")


def test_an_exception_that_cannot_be_printed_is_an_answer_too():
    def output_size(*args, **kwargs):
        raise Mute

    report = check("conv.output_size", output_size)
    assert report.verdict == "wrong" and "Mute" in str(report)


def test_only_the_template_counts_as_not_written():
    def template(*args, **kwargs):
        raise NotImplementedError()

    def unsupported(*args, **kwargs):
        raise NotImplementedError("no kernel for this dtype")

    assert check("conv.output_size", template).verdict == "not written"
    report = check("conv.output_size", unsupported)
    assert report.verdict == "wrong" and "no kernel for this dtype" in str(report)


def test_a_strict_student_does_not_stop_the_reference():
    def sigmoid_pair(x):
        with np.errstate(all="ignore"):
            s = 1 / (1 + np.exp(-x))
            return s, s * (1 - s)

    old = np.seterr(all="raise")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            report = check("mlp.sigmoid_pair", sigmoid_pair)
    finally:
        np.seterr(**old)
    assert report.passed, str(report)


def test_student_text_is_escaped_in_html():
    def output_size(*args, **kwargs):
        raise ValueError("<script>alert(1)</script>")

    assert "<script>" not in check("conv.output_size", output_size)._repr_html_()


def test_a_wrong_number_is_not_told_the_right_one():
    exercise = get("conv.parameters")
    report = check(exercise.id, exercise.reference + 1)
    assert not report.passed and str(exercise.reference) not in str(report) + report._repr_html_()


def test_arguments_are_copies():
    def correlate(image, kernel):
        image[:] = 0
        return image

    before = [call.args[0].copy() for case in get("conv.correlate").make_cases(0) for call in case.calls]
    check("conv.correlate", correlate)
    after = [call.args[0] for case in get("conv.correlate").make_cases(0) for call in case.calls]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_hints_come_one_by_one_and_the_last_stays():
    said = [str(hint("conv.forward")) for _ in range(4)]
    assert [line[:11] for line in said] == ["Hint 1 of 3", "Hint 2 of 3", "Hint 3 of 3", "Hint 3 of 3"]
    assert said[0].endswith(get("conv.forward").hints[0])


def test_progress_counts_the_points_so_far():
    assert "Nothing has been checked yet" in str(progress())
    check("conv.output_size", output_size)
    check("conv.forward", lambda *a: None)
    said = str(progress())
    assert said.startswith("1 of 24 points so far (08_convolution)")
    assert "points by a person" in said and progress()._repr_html_().count("<tr>") == 12


def test_a_text_answer_waits_for_a_person():
    assert "a person grades this answer" in str(check("conv.essay"))


def test_looking_the_answer_up_is_no_answer():
    report = check("conv.output_size", lambda *a, **k: conv.output_size(*a, **k))
    assert report.verdict == "withheld" and report.points == 0
    assert "it calls dlcourse.conv.output_size, which this assignment asks you to write" in str(report)
    assert conv.output_size(5, 3) == 3, "outside the check it is there again"


def test_withheld_functions_come_back_after_an_error():
    with pytest.raises(Withheld), withheld(["dlcourse.conv.im2col"]):
        conv.im2col(np.zeros((1, 1, 2, 2)), 1)
    assert conv.im2col.__name__ == "im2col"


def test_a_withheld_function_is_refused_by_the_name_that_it_was_imported_under():
    space = {}
    exec("from dlcourse.conv import im2col as mine\n\ndef answer(x):\n    return mine(x, 1)", space)
    with pytest.raises(Withheld), withheld(["dlcourse.conv.im2col"], space):
        space["answer"](np.zeros((1, 1, 2, 2)))
    assert space["answer"](np.zeros((1, 1, 2, 2))).shape == (1, 1, 4)


def test_a_withheld_function_of_a_module_that_the_answer_imports_is_refused(monkeypatch):
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)

    def answer():
        from colorsys import rgb_to_hsv

        return rgb_to_hsv(0, 0, 0)

    finders = list(sys.meta_path)
    with withheld(["colorsys.rgb_to_hsv"]), pytest.raises(Withheld):
        answer()
    assert answer() == (0, 0, 0) and sys.meta_path == finders


def test_the_line_that_is_shown_is_the_students():
    def output_size(size, kernel, stride=1, padding=0, dilation=1):
        return np.linalg.inv(np.zeros((2, 2)))  # mine

    report = check("conv.output_size", output_size)
    assert "in the line `return np.linalg.inv(np.zeros((2, 2)))  # mine`" in str(report)
