"""The tables of chapter 17's games: they name what they compare, and compare what they say."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import gan as benchmark
from dlcourse import data


def rows(lines):
    return [line for line in lines if line.startswith("| ")][1:]


def test_every_game_of_the_coin_has_a_row():
    found = rows(benchmark.coin(seeds=2, steps=5))
    assert [line.split(" | ")[0][2:] for line in found] == list(benchmark.COIN)
    assert all(line.endswith(" of 2 |") for line in found)


def test_a_surer_discriminator_moves_the_saturating_loss_less():
    (unsure, *_), (sure, saturating, other) = (benchmark.gradient_sizes(0, alone) for alone in (0, 150))
    assert sure < 0.1 < unsure and other > 3 * saturating
    assert len(rows(benchmark.gradients(seeds=2, counts=(0, 3)))) == 2


@pytest.mark.parametrize("name", benchmark.RING)
def test_every_training_on_the_ring_can_be_counted(name):
    found = benchmark.ring_game(0, steps=2, **benchmark.RING[name])
    assert 0 <= found.found <= 8 and 0 <= found.near <= 1 and len(found.counts) == 8


def test_the_data_are_their_own_best_row(monkeypatch):
    monkeypatch.setattr(benchmark, "RING", {"once": {}})
    first, second = rows(benchmark.ring(seeds=1, steps=1))
    assert first.startswith("| the data themselves | 8 | 9") and second.startswith("| once | ")


def test_real_digits_are_read_and_cover_the_others():
    digits = data.load("digits")
    read, fid, _, covered = benchmark.judged(digits.x_train[:359, None], digits.y_train[:359])
    noise = np.random.default_rng(0).random((359, 1, 8, 8), dtype=np.float32)
    _, worse, _, less = benchmark.judged(noise, digits.y_train[:359])
    assert read > 98 and covered > 0.9 and fid < 20 < worse and less < 0.5


@pytest.mark.parametrize("name", benchmark.DIGITS)
def test_every_conditional_gan_draws(name):
    x = benchmark.digit_game(0, 2, **benchmark.DIGITS[name])
    assert x.shape == (359, 1, 8, 8) and x.min() >= 0 and x.max() <= 1


def test_pictures_have_their_baselines():
    found = rows(benchmark.pictures(seeds=1, steps=2, weights=(1.0,)))
    assert [line.split(" | ")[0][2:] for line in found] == [
        "the mean digit", "the edges themselves", "L1 alone", "L1 and an adversary",
        "digit to bold, black on white, without pairs", "black for white, no more", "cycle weight 1",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["moons", "ring"])
def test_densities_are_compared_on_the_same_points(name):
    found = benchmark.densities(0, name, epochs=2)
    assert found["jacobian"] < 1e-9 and found["inverse"] < 1e-9
    assert found["GMM, 8 components"] > found["GMM, 1 component"]


def test_the_table_of_likelihood_has_a_column_for_each_set():
    lines = benchmark.likelihood(seeds=2, epochs=1, names=("moons",))
    assert lines[0] == "| model | moons, nats a point |" and len(rows(lines)) == 5
