"""The tables of chapter 11: they name what they compare, and compare what they say."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import resnet as benchmark
from dlcourse import data

pytestmark = pytest.mark.usefixtures("one_thread")


def cells(line):
    return line.strip("| ").split(" | ")


def test_training_and_held_images_differ_and_follow_the_seed():
    (x, y), (held, _) = benchmark.draw(0, 100)
    (again, _), _ = benchmark.draw(0, 100)
    (other, _), _ = benchmark.draw(1, 100)
    assert len(x) == len(y) == 100 and x.ndim == 4 and x.dtype == np.float32
    assert np.array_equal(x, again) and not np.array_equal(x, other)
    seen = {image.tobytes() for image in x}
    assert sum(image.tobytes() in seen for image in held) <= 2  # equal images do occur, but few


def test_the_learning_rate_rises_and_falls():
    schedule = benchmark.warm_up_linear(0.4, 100, 10)
    assert [schedule(step) for step in (0, 9, 50)] == pytest.approx([0.04, 0.4 * 0.91, 0.2]) and schedule(99) > 0


def test_degradation_has_a_row_for_each_network():
    lines = benchmark.degradation(2, depths=(1, 2), rates=(0.03,), n=100, epochs=1, width=4)
    rows = [cells(line)[:3] for line in lines[2:]]
    assert rows == [["0.03", "plain", "8"], ["0.03", "plain", "14"], ["0.03", "residual", "8"],
                    ["0.03", "residual", "14"]]  # fmt: skip
    assert all(0 <= float(cell.split()[0]) <= 100 for line in lines[2:] for cell in cells(line)[3:])


def test_a_trained_network_is_better_than_one_that_lost_a_block():
    found = benchmark.classify(1, True, 0.05, 0, n=300, epochs=6)
    assert found["train"] < 60 and found["depth"] == 8 and len(found["cut"]) == 1
    assert found["cut"][0] > found["train"]


def test_layer_scale_starts_where_the_row_says():
    lines = benchmark.layer_scale(1, alphas=(1.0, 1e-4), depth=3, epochs=1)
    first, second = (cells(line) for line in lines[2:])
    assert first[0] == "1" and float(first[1]) > 2
    assert second[:2] == ["0.0001", "1.0"]


def test_a_u_net_learns_to_segment():
    assert benchmark.segment(True, 0, n=320, epochs=3, width=6, lr=1e-2) > 0.4
    rows = [cells(line)[0] for line in benchmark.segmentation(1, n=16, epochs=1, width=2)[2:]]
    assert rows == ["with skips", "without skips"]


def test_a_denoiser_learns_and_beats_doing_nothing(monkeypatch):
    monkeypatch.setattr(benchmark.data, "cached", lambda name: False)
    (found,) = benchmark.denoise(0.1, 0, steps=200, width=8).values()
    assert found["noisy"] == pytest.approx(20, abs=0.1)
    assert found["net"] > found["noisy"] + 1.5 and found["filter"] > found["noisy"] + 1.5


def test_the_table_of_denoising_names_its_sets():
    rows = [cells(line)[0] for line in benchmark.denoising(1, steps=2, width=2)[2:]]
    assert rows == [*(["china", "flower"] if data.cached("cifar10") else ["right part"]), "all, mean"]


def test_the_detector_finds_what_it_says():
    found = benchmark.detect(0, n=320, epochs=2, width=4)
    assert found.right <= min(found.said, found.there) and found.there > 400


def test_networks_and_boxes_are_torchvisions():
    lines = benchmark.agreement()
    assert all(float(cells(line)[1]) <= 1e-5 for line in lines[2:-1])
    assert cells(lines[-1])[1] == "200 of 200 alike"


def test_what_was_not_measured_says_so(monkeypatch):
    monkeypatch.setattr(benchmark, "FULL", False)
    assert all(line.endswith("| not measured | not measured |") for line in benchmark.cifar(3)[2:])


def test_the_networks_for_cifar_run_in_small():
    if not data.cached("cifar10"):
        pytest.skip("CIFAR-10 is not on this machine")
    errors = benchmark.cifar_error(1, True, 0, epochs=1, n=128, width=4)
    assert all(0 < e <= 100 for e in errors)
