"""The exercises of ``08_convolution``: the contract, and what is particular to them."""

from __future__ import annotations

import importlib
import math

import numpy as np
import pytest

from dlcourse import exercises
from dlcourse.check.probe import probe
from dlcourse.exercises import conv as conv_exercises
from dlcourse.exercises.chance import chi_square_tail
from dlcourse.exercises.conv import _explained

from . import alternatives_conv
from .common import Contract, notebook, report


class TestConvolution(Contract):
    assignment = "08_convolution"
    alternatives = alternatives_conv


def only(id, name, seed=0):
    return next(case for case in exercises.get(id).make_cases(seed) if case.name.startswith(name))


def result(id, *args, **kwargs):
    """What the reference gives for plain nested lists."""
    given = [np.array(a, dtype=float) if isinstance(a, list) else a for a in args]
    return exercises.get(id).reference(*given, **kwargs)


def test_every_kind_of_exercise_is_there():
    kinds = {e.kind for e in exercises.assignment("08_convolution")}
    assert kinds == {"function", "class", "property", "trained", "number", "text"}


# The numbers that the questions work out by hand

IMAGE = [[1, 2, 0], [0, 1, 3], [2, 0, 1]]
KERNEL = [[1, 2], [0, -1]]


def test_the_question_s_output_sizes():
    size = exercises.get("conv.output_size").reference
    assert (size(7, 3, stride=2), size(8, 3, stride=2), size(7, 3, dilation=2)) == (3, 3, 3)


def test_the_question_s_correlation_and_forward_pass():
    np.testing.assert_array_equal(result("conv.correlate", IMAGE, KERNEL), [[4, -1], [2, 6]])
    out = result("conv.forward", [[IMAGE]], [[KERNEL]], [10])
    np.testing.assert_array_equal(out, [[[[14, 9], [12, 16]]]])


def test_the_question_s_backward_pass_is_the_first_case():
    ((dx, dw, db),) = probe(exercises.get("conv.backward").reference, only("conv.backward", "the example").calls).values
    np.testing.assert_array_equal(dx[0, 0], [[0, 1, 2], [0, 0, -1], [0, 0, 0]])
    np.testing.assert_array_equal(dw[0, 0], [[2, 0], [1, 3]])
    np.testing.assert_array_equal(db, [1])


def test_the_question_s_columns():
    cols = result("conv.im2col", [[[[1, 2, 3], [4, 5, 6]]]], (2, 2))
    np.testing.assert_array_equal(cols, [[[1, 2], [2, 3], [4, 5], [5, 6]]])


def test_the_question_s_depthwise_convolution():
    out = result("conv.depthwise", [[[[1, 2, 3]], [[1, 2, 3]]]], [[[1, 1]], [[-1, 1]]])
    np.testing.assert_array_equal(out, [[[[3, 5]], [[1, 1]]]])


def test_the_question_s_layer():
    layer = exercises.get("conv.layer").reference(np.array([[1.0, 2.0]]), np.array([10.0]))
    assert layer.forward(np.array([[[[3.0]], [[4.0]]]])).item() == 21
    np.testing.assert_array_equal(layer.backward(np.array([[[[5.0]]]])).ravel(), [5, 10])
    np.testing.assert_array_equal(layer.dw, [[15, 20]])
    layer.step(0.1)
    np.testing.assert_allclose(layer.w, [[-0.5, 0]], atol=1e-12)
    np.testing.assert_allclose(layer.b, [9.5])


def test_the_question_s_edges_of_one_row():
    (cell,) = (c for c in notebook("08_convolution").cells if c.id == "conv-equivariance-question")
    rows = {}
    for line in cell.source.replace("−", "-").splitlines():
        first, *entries = [entry.strip() for entry in line.strip("|").split("|")]
        rows[first] = [int(entry) for entry in entries if entry.lstrip("-").isdigit()]
    for place in (slice(0, 4), slice(4, 8)):
        pixels, edges = rows["pixels"][place], rows["result"][place]
        assert edges == list(np.roll(pixels, 1) - np.roll(pixels, -1))


def test_the_numbers_are_those_of_alexnet_s_first_layer():
    torch = pytest.importorskip("torch")
    layer = torch.nn.Conv2d(3, 96, 11, stride=4, padding=2, device="meta")
    out = layer(torch.empty(1, 3, 224, 224, device="meta"))
    assert out.shape[2:] == (55, 55)
    assert exercises.get("conv.parameters").reference == sum(p.numel() for p in layer.parameters()) == 34_944
    assert exercises.get("conv.multiplications").reference == out.numel() * layer.weight[0].numel() == 105_415_200
    assert out.numel() * 3 * 224 * 224 == 43_713_331_200  # the fully connected layer of the question


# The references, against PyTorch


@pytest.mark.parametrize("seed", [0, 3])
def test_forward_and_backward_agree_with_torch(seed):
    torch = pytest.importorskip("torch")
    exercise = exercises.get("conv.backward")
    for case in exercise.make_cases(seed):
        (call,) = case.calls
        dout, x, w = (torch.tensor(a, dtype=torch.float64) for a in call.args)
        x.requires_grad_(), w.requires_grad_()
        b = torch.zeros(len(w), dtype=torch.float64, requires_grad=True)
        torch.nn.functional.conv2d(x, w, b, **call.kwargs).backward(dout)
        ((dx, dw, db),) = probe(exercise.reference, case.calls).values
        for got, want in ((dx, x.grad), (dw, w.grad), (db, b.grad)):
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
    for case in exercises.get("conv.forward").make_cases(seed):
        (call,) = case.calls
        want = torch.nn.functional.conv2d(*(torch.tensor(a) for a in call.args), **call.kwargs)
        (got,) = probe(exercises.get("conv.forward").reference, case.calls).values
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_depthwise_agrees_with_torch():
    torch = pytest.importorskip("torch")
    for case in exercises.get("conv.depthwise").make_cases(1):
        (call,) = case.calls
        x, w = (torch.tensor(a) for a in call.args)
        want = torch.nn.functional.conv2d(x, w[:, None], groups=len(w), **call.kwargs)
        (got,) = probe(exercises.get("conv.depthwise").reference, case.calls).values
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


# What is judged by a property or a score


def test_the_rate_of_the_learned_filter_follows_from_the_noise():
    """Least squares errs by (XᵀX)⁻¹Xᵀ noise. On the held-out windows H that gives at most λ σ² χ² of squared error, λ
    the largest eigenvalue of (XᵀX)⁻¹HᵀH and χ² with one degree of freedom for each of the 9 weights."""
    exercise = exercises.get("conv.learn_filter")
    bound = 0.0
    for seed in range(40):
        for case in exercise.make_cases(seed):
            seen, new = (_rows(images) for images in (case.calls[0].args[0], case.secret["images"]))
            kernel = case.secret["kernel"].ravel()
            clean, want = seen @ kernel, new @ kernel
            largest = np.linalg.eigvals(np.linalg.solve(seen.T @ seen, new.T @ new)).real.max()
            allowed = (1 - exercise.compare.threshold) * ((want - want.mean()) ** 2).sum()
            chi_square = allowed / (largest * (0.02 * clean.std()) ** 2)
            assert chi_square > 2000
            bound = max(bound, 3 * chi_square_tail(9, chi_square))
    assert bound <= 3 * chi_square_tail(9, 100) <= exercise.compare.false_fail.rate


def _rows(images):
    return np.lib.stride_tricks.sliding_window_view(images, (3, 3), axis=(1, 2)).reshape(-1, 9)


def test_a_good_filter_errs_as_the_noise_says():
    """The mean of χ² is 9: the unexplained share is near 9 / 1512 of the noise's 0.02²."""
    exercise = exercises.get("conv.learn_filter")
    unexplained = [
        1 - _explained(case, probe(alternatives_conv.learn_least_squares, case.calls).values)
        for seed in range(50)
        for case in exercise.make_cases(seed)
    ]
    assert np.mean(unexplained) == pytest.approx(9 / 1512 * 0.02**2, rel=0.2)
    assert max(unexplained) < 1e-5


def test_the_rate_of_the_edges_follows_from_rounding(monkeypatch):
    exercise, spread = exercises.get("conv.equivariance"), np.inf
    # A hundredth of the tolerance is enough for float32.
    monkeypatch.setattr(conv_exercises, "_far", lambda got, want, scale: np.abs(got - want) > 1e-6 * scale)
    for seed in range(8):
        for case in exercise.make_cases(seed):
            for answer in alternatives_conv.ALTERNATIVES[exercise.id]:
                values = probe(lambda image, f=answer: np.float32(f(image.astype(np.float32))), case.calls).values
                assert exercise.compare(case, values, None) is None
                results = np.concatenate([np.ravel(value) for value in values])
                spread = min(spread, np.abs(results).max() / results.std())
    assert spread > 2
    # So the largest result must be 100 times smaller: 0.02 of the spread. Pixels three apart do not meet in a 3x3
    # stencil, so that of 8 x 10 results at least 6 are independent, and nearly normal.
    small = math.erf(0.02 / math.sqrt(2)) ** 6
    assert len(exercise.make_cases(0)) * small <= exercise.compare.false_fail.rate


def test_the_edges_tolerance_is_the_one_that_the_rate_assumes():
    assert conv_exercises._far(np.array([0.99e-4, 1.01e-4]), np.zeros(2), 1.0).tolist() == [False, True]


def test_an_operator_that_only_looks_right_inside_is_told_of_the_border():
    exercise = exercises.get("conv.equivariance")
    for answer in (alternatives_conv.edges_repeated_border, alternatives_conv.edges_numpy_gradient):
        found = report(exercise, answer)
        assert found.mistake.name == "border_not_circular"
        assert "f(shifted image) is not the shifted f(image) at" in str(found)


def test_messages_of_the_edges_say_what_is_wrong():
    exercise = exercises.get("conv.equivariance")
    assert report(exercise, alternatives_conv.edges_smaller).mistake is None
    assert "shape is (11, 17), expected that of the image, (12, 17)" in str(
        report(exercise, alternatives_conv.edges_smaller)
    )
    assert "f(2x - 3y) is not 2 f(x) - 3 f(y)" in str(report(exercise, alternatives_conv.edges_normalised))


def test_messages_of_the_learned_filter_say_what_is_wrong():
    exercise = exercises.get("conv.learn_filter")
    assert "shape is (9,), expected (3, 3)" in str(report(exercise, alternatives_conv.learn_flat))
    said = str(report(exercise, alternatives_conv.learn_not_a_number))
    assert "at index (0, 0) got nan, expected a finite number" in said
    assert "expected at least 0.999" in str(report(exercise, alternatives_conv.learn_nothing))


def test_a_missing_return_is_named():
    def correlate(image, kernel):
        alternatives_conv.correlate_torch(image, kernel)

    found = report(exercises.get("conv.correlate"), correlate)
    assert (found.points, found.verdict) == (0, "not written")
    assert "is a `return` missing?" in str(found)


def test_the_topic_s_layers_are_withheld():
    withheld = {name for e in exercises.assignment("08_convolution") for name in e.withhold}
    conv = importlib.import_module("dlcourse.conv")
    free = {"conv2d_parameters", "linear_parameters"}  # arithmetic that a student may check a number with
    assert {f"dlcourse.conv.{name}" for name in conv.__all__} - {f"dlcourse.conv.{name}" for name in free} <= withheld
