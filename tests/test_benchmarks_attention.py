"""The tables of chapter 14: they name what they compare, and compare what they say."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import attention as benchmark
from dlcourse import data


def test_both_sides_of_the_speed_compute_the_same():
    ours, theirs = benchmark.heads_pair(2, 10, 8, 2)
    for a, b in zip(ours(), theirs(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)
    lines = benchmark.speed(3, shapes=((2, 10, 8, 2),))
    assert lines[2].startswith("| 2, 10, 8, 2 |") and len(lines) == 3


def test_the_exponent_is_the_slope_of_the_logarithms():
    assert abs(benchmark.exponent([10, 20, 40], [3.0, 12.0, 48.0]) - 2) < 1e-12
    lines = benchmark.cost(lengths=(16, 32), D=4, repeats=1)
    assert len(lines) == 8 and all(line.count("|") == lines[0].count("|") for line in lines)


def test_the_ways_agree():
    q, k, v = np.random.default_rng(0).normal(size=(3, 30, 4)) * 0.5
    ways = benchmark.ways(benchmark.attention.random_directions(5000, 4, np.random.default_rng(0)))
    whole, block, performer = (run(q, k, v) for run in ways.values())
    np.testing.assert_allclose(block, whole, rtol=1e-9)
    np.testing.assert_allclose(performer, whole, atol=0.05)


def test_errors_of_the_performer_fall():
    lines = benchmark.performer(counts=(8, 128), draws=4, T=16, D=4)
    assert len(lines) == 8
    for line in lines[2:4]:  # the shortest queries and keys
        small, large, slope = (float(cell) for cell in line.strip("| ").split(" | ")[2:])
        assert large < small and -0.7 < slope < -0.2


def test_attention_by_hand_is_torchs():
    for line in benchmark.agreement()[2:]:
        assert all(float(cell) < 1e-9 for cell in line.strip("| ").split(" | ")[1:])


def test_characters_are_held_out_in_order():
    train, held, known = benchmark.characters()
    assert len(known) == 65 and len(train) + len(held) == len(data.text("shakespeare"))
    assert "".join(known[i] for i in held[-20:]) == data.text("shakespeare")[-20:]


def test_a_gpt_learns_something():
    gpt = benchmark.train_gpt(0, 30, length=16, width=16, depth=1, heads=2, batch=16)
    _, held, _ = benchmark.characters()
    assert benchmark.transformer.text_loss(gpt, held[:2000]) < 3.8  # log 65 is 4.17


def test_the_larger_gpt_says_that_it_was_not_measured(monkeypatch):
    monkeypatch.setattr(benchmark, "FULL", False)
    monkeypatch.setattr(
        benchmark, "train_gpt", lambda seed, steps: benchmark.transformer.GPT(65, 64, 8, 1, 2, seed=seed)
    )
    lines = benchmark.text(2, steps=1)
    assert lines[-1].endswith("| not measured | – |") and len(lines) == 6
    bigram = float(lines[3].split(" | ")[2])
    assert 2.3 < bigram < 2.6 < float(lines[2].split(" | ")[2])


def test_the_machine_s_text_follows_its_rules():
    text = benchmark.machine_text(5000, 0)
    for context, p in benchmark.MACHINE.items():
        at = np.flatnonzero((np.lib.stride_tricks.sliding_window_view(text[:-1], 3) == context).all(axis=1))
        assert len(at) > 300 and abs(text[at + 3].mean() - p) < 0.06
    met = {tuple(w) for w in np.lib.stride_tricks.sliding_window_view(text, 3).tolist()}
    assert met == set(benchmark.MACHINE)


def test_the_machine_is_learnt():
    found = benchmark.learn_machine(0, steps=150)
    for context, p in benchmark.MACHINE.items():
        assert abs(found[4 * context[0] + 2 * context[1] + context[2]] - p) < 0.15
    np.testing.assert_allclose(benchmark.learn_xor(0), [0, 1, 1, 0], atol=0.1)


@pytest.mark.parametrize("pool", ["mean", "class"])
def test_words_and_sound_train(pool):
    if not (data.cached("polarity") and data.cached("spoken_digits")):
        pytest.skip("film reviews and spoken digits are not on this machine")
    assert benchmark.spoken(0, pool, epochs=6, n=300) > 30
    assert benchmark.polarity(0, pool, n=1000, epochs=1) > 45


def test_images_are_learnt_and_what_is_too_large_is_not_measured(monkeypatch):
    monkeypatch.setattr(benchmark, "images", lambda: data.load("digits"))
    for name in ("CNN", "ViT", "Mixer"):
        assert benchmark.learn_images(name, 300, 0, updates=40) > 15
    lines = benchmark.hunger(2, sizes=((100, 4), (60_000, 4)), largest=1000)
    assert lines[2].startswith("| 100 | 4 |") and lines[3] == "| 60,000 | 4 |" + " not measured |" * 4
    assert lines[0].count("|") == lines[2].count("|") == lines[3].count("|")


def test_radius_of_a_field():
    field = np.zeros((5, 5))
    field[0, 2] = field[4, 2] = 0.5
    assert benchmark.radius(field, 2, 2) == 2
    assert benchmark.radius(np.eye(1), 0, 0) == 0


def test_the_table_of_fields(monkeypatch):
    monkeypatch.setattr(benchmark, "images", lambda: data.load("digits"))
    lines = benchmark.fields(2, n=40, epochs=1, depth=2)
    assert len(lines) == 6 and lines[2].startswith("| CNN, convolutions 3×3, before training |")
    one, two = (float(cell.split(" ±")[0]) for cell in lines[2].strip("| ").split(" | ")[1:])
    assert one < two < 3
