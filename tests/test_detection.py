"""Boxes against torchvision.ops, the grid there and back, and a detector that learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcourse import detection

torchvision = pytest.importorskip("torchvision")


def boxes(rng, n, size=40, dtype=np.float64):
    corner = rng.uniform(0, size, (n, 2))
    return np.concatenate([corner, corner + rng.uniform(0.5, size / 2, (n, 2))], axis=1).astype(dtype)


@given(st.integers(0, 8), st.integers(0, 8), st.sampled_from([np.float32, np.float64]), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_iou_is_torchvisions(n, m, dtype, seed):
    rng = np.random.default_rng(seed)
    a, b = boxes(rng, n, dtype=dtype), boxes(rng, m, dtype=dtype)
    ours = detection.box_iou(a, b)
    theirs = torchvision.ops.box_iou(torch.tensor(a), torch.tensor(b)).numpy()
    assert ours.dtype == dtype and ours.shape == (n, m)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5 if dtype is np.float32 else 1e-12)
    np.testing.assert_allclose(detection.box_area(a), torchvision.ops.box_area(torch.tensor(a)).numpy())


@given(st.integers(0, 30), st.sampled_from([0.0, 0.3, 0.5, 0.8, 1.0]), st.integers(0, 999))
@settings(max_examples=100, deadline=None)
def test_nms_is_torchvisions(n, threshold, seed):
    rng = np.random.default_rng(seed)
    b, scores = boxes(rng, n), rng.random(n)
    theirs = torchvision.ops.nms(torch.tensor(b), torch.tensor(scores), threshold).numpy()
    np.testing.assert_array_equal(detection.nms(b, scores, threshold), theirs)


def test_boxes_without_area_and_equal_scores():
    point = np.array([[1.0, 1.0, 1.0, 1.0]])
    assert detection.box_iou(point, point)[0, 0] == 0
    same = np.array([[0.0, 0.0, 2.0, 2.0]] * 3)
    np.testing.assert_array_equal(detection.nms(same, np.ones(3), 0.5), [0])


def logits_of(target):
    """What a network would give that is sure of the target."""
    out = np.full(target.shape, -20.0)
    out[0] = np.where(target[0] > 0, 20, -20)
    inside = np.clip(target[1:3], 1e-9, 1 - 1e-9)
    out[1:3] = np.log(inside / (1 - inside))
    out[3:5] = target[3:5]
    out[5:] = np.where(target[5:] > 0, 20, -20)
    return out


@given(st.integers(1, 6), st.sampled_from([4, 8, 10]), st.integers(1, 5), st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_what_is_encoded_is_decoded(grid, stride, n_classes, seed):
    rng = np.random.default_rng(seed)
    cells = rng.permutation(grid * grid)[: int(rng.integers(1, grid * grid + 1))]
    cells.sort()
    centre = (np.stack([cells % grid, cells // grid], axis=1) + rng.uniform(0.05, 0.95, (len(cells), 2))) * stride
    half = rng.uniform(0.2, 1.5, (len(cells), 2)) * stride
    b, k = np.concatenate([centre - half, centre + half], axis=1), rng.integers(0, n_classes, len(cells))
    target = detection.encode(b, k, grid, stride, n_classes)
    assert target.shape == (5 + n_classes, grid, grid) and target[0].sum() == len(cells)
    found = detection.decode(logits_of(target), stride)
    np.testing.assert_allclose(found.boxes, b, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(found.classes, k)
    assert (found.scores > 0.99).all()


def test_a_cell_by_hand():
    target = detection.encode(np.array([[8.0, 0.0, 16.0, 4.0]]), np.array([1]), 2, 8, 2)
    np.testing.assert_allclose(target[:, 0, 1], [1, 0.5, 0.25, 0, np.log(0.5), 0, 1])
    assert np.count_nonzero(target) == 5
    none = detection.encode(np.zeros((0, 4)), np.zeros(0, int), 2, 8, 2)
    assert not none.any() and len(detection.decode(logits_of(none), 8).boxes) == 0


def test_of_two_boxes_in_a_cell_the_later_wins():
    b = np.array([[0.0, 0.0, 4.0, 4.0], [1.0, 1.0, 7.0, 7.0]])
    target = detection.encode(b, np.array([0, 1]), 1, 8, 2)
    np.testing.assert_allclose(target[:, 0, 0], [1, 0.5, 0.5, np.log(0.75), np.log(0.75), 0, 1])


def test_detect_keeps_the_best_of_those_that_overlap():
    out = np.full((6, 2, 2), -9.0)
    out[:, 0, 0] = [1, 4, 0, 1, 1, 3]  # both boxes are around the middle of the upper row
    out[:, 0, 1] = [3, -4, 0, 1, 1, 3]
    found = detection.detect(out, 8)
    assert len(found.boxes) == 1 and found.scores[0] == pytest.approx(1 / (1 + np.exp(-3)))
    assert len(detection.decode(out, 8).boxes) == 2
    assert len(detection.detect(out, 8, overlap=1.0).boxes) == 2


def test_every_box_counts_once():
    b = np.array([[0.0, 0.0, 4.0, 4.0], [10.0, 10.0, 14.0, 14.0]])
    found = detection.Detections(b[[0, 0, 1]], np.array([0.9, 0.8, 0.7]), np.array([2, 2, 1]))
    got = detection.tally([found], [b], [np.array([2, 0])])
    assert got == (1, 3, 2) and got.precision == pytest.approx(1 / 3) and got.recall == 0.5
    nothing = detection.Detections(b[:0], np.zeros(0), np.zeros(0, int))
    empty = detection.tally([nothing], [b[:0]], [np.zeros(0, int)])
    assert (empty.precision, empty.recall) == (1.0, 1.0)
    assert detection.tally([found], [b[:0]], [np.zeros(0, int)]) == (0, 3, 0)


def test_the_loss_is_least_at_the_target_and_counts_places_of_boxes_only():
    target = detection.encode(np.array([[3.0, 5.0, 9.0, 13.0]]), np.array([1]), 2, 8, 3)[None]
    right = torch.tensor(logits_of(target[0])[None])
    target = torch.tensor(target)
    # The cross-entropy of a place inside its cell is that place's entropy, and not 0.
    p = target[0, 1:3, 1, 0]
    entropy = -(p * p.log() + (1 - p) * (1 - p).log()).sum()
    assert detection.detection_loss(right, target).item() == pytest.approx(5 * entropy.item(), abs=1e-5)
    for channel in range(8):
        moved = right.clone()
        moved[0, channel, 1, 0] -= 1.5 if channel < 5 else (30 if channel == 6 else -30)
        assert detection.detection_loss(moved, target) > detection.detection_loss(right, target)
        elsewhere = right.clone()
        elsewhere[0, channel, 0, 1] += 25
        same = detection.detection_loss(elsewhere, target).item() == pytest.approx(5 * entropy.item(), abs=1e-5)
        assert same == (channel > 0)


def test_the_detector_s_cells_are_eight_pixels():
    net = detection.detector(4, seed=0, width=4)
    assert net(torch.zeros(2, 3, 48, 32)).shape == (2, 9, 6, 4)
    other, again = detection.detector(4, seed=1, width=4), detection.detector(4, seed=0, width=4)
    assert torch.equal(net[0].weight, again[0].weight) and not torch.equal(net[0].weight, other[0].weight)


B = np.array([[0.0, 0.0, 2.0, 2.0]])


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: detection.box_area(B.astype(int)), "boxes has dtype int64"),
        (lambda: detection.box_iou(B[:, :3], B), r"a has shape \(1, 3\)"),
        (lambda: detection.box_iou(B, -B), "b has a box that ends before it begins"),
        (lambda: detection.nms(B, np.ones(2)), r"scores has shape \(2,\); boxes has 1"),
        (lambda: detection.nms(B, np.ones(1), 1.5), "threshold is 1.5"),
        (lambda: detection.encode(B, np.array([3]), 2, 8, 3), r"classes is \[3\]"),
        (lambda: detection.encode(B, np.array([-1]), 2, 8, 3), r"classes is \[-1\]"),
        (lambda: detection.encode(B, np.array([0, 1]), 2, 8, 3), r"classes is \[0, 1\]; expected 1 numbers"),
        (lambda: detection.encode(B + 16, np.array([0]), 2, 8, 3), "centres from 0 to 16"),
        (lambda: detection.encode(0 * B, np.array([0]), 2, 8, 3), "areas above 0"),
        (lambda: detection.decode(np.zeros((5, 2, 2)), 8), r"out has shape \(5, 2, 2\)"),
        (lambda: detection.decode(np.zeros((7, 2, 3)), 8), r"out has shape \(7, 2, 3\)"),
        (lambda: detection.detection_loss(torch.zeros(1, 7, 2, 2), torch.zeros(1, 7, 2, 3)), "target has shape"),
    ],
)
def test_what_does_not_fit_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
