"""The tables of chapter 13: they compare what they say, in small."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import rnn as benchmark
from dlcourse import language


@pytest.mark.parametrize("threads", [1])
def test_the_lstm_by_hand_is_torchs_and_both_are_timed(threads):
    found = benchmark.lstm_times(2, threads, {"T": 5, "N": 3, "D": 4, "H": 6})  # raises where the two differ
    assert found["threads"] == threads and all(ms > 0 for ms in found["milliseconds"].values())
    assert found["ratio"] > found["products_ratio"] > 0


def test_a_process_of_its_own_measures_with_the_kernels_and_threads_that_are_named(monkeypatch):
    calls = []

    def run(command, env, **_):
        calls.append((command, env))
        return type("Done", (), {"stdout": '{"threads": 2}'})

    monkeypatch.setattr(benchmark.subprocess, "run", run)
    assert benchmark._in_a_process("Haswell", 2, 7) == {"threads": 2}
    benchmark._in_a_process("default", 1, 7)
    (command, named), (_, default) = calls
    assert command[-4:] == ["--times", "2", "--rounds", "7"]
    assert named["DLCOURSE_BLAS"] == "Haswell" and named["DLCOURSE_THREADS"] == "2"
    assert "DLCOURSE_BLAS" not in default and default["DLCOURSE_THREADS"] == "1"


def test_what_was_not_timed_is_named(monkeypatch):
    row = {"milliseconds": {"torch": 10.0, "ours": 14.0}, "ratio": 1.4, "middle_half": [1.3, 1.5],
           "products_ratio": 0.9, "blas": "some kernels"}  # fmt: skip
    monkeypatch.setattr(benchmark, "_in_a_process", lambda kernels, threads, rounds: row)
    both, one = benchmark.speed(3), benchmark.speed(3, threads=(1,), kernels=("Haswell",))
    assert len(both) == 6 and "by itself" in both[2] and "by itself" not in both[4] and "| 2 |" in both[3]
    assert one[2].startswith("| some kernels | 1 | 10.0 ms | 14.0 ms | **1.40** (1.30 to 1.50) | 1.3 | 0.90 × torch |")
    assert one[-1] == "On 2 threads: not measured in this edition."


def test_a_gradient_fades_in_an_rnn_and_not_behind_an_open_gate():
    plain, open_ = benchmark.fading("rnn", 0.0, 0, T=30, H=16), benchmark.fading("lstm", 5.0, 0, T=30, H=16)
    assert plain[0] == open_[0] == 1 and plain[29] < 1e-6 and open_[29] > 0.05


def test_almost_without_input_the_singular_value_decides():
    for sigma in (0.8, 1.0):
        assert benchmark.growth(sigma, 0, 1e-6, lag=20, H=8) == pytest.approx(sigma**20, rel=1e-3)
    assert benchmark.growth(1.0, 0, 1.0, lag=20, H=8) < 0.1
    lines = benchmark.growths(2, sigmas=(0.9,), lag=10)
    assert lines[2].startswith("| 0.9 | 3e-01 | 3e-01 (3e-01 to 3e-01) |")


def test_lags_name_every_layer():
    rows = [line.split(" | ")[0][2:] for line in benchmark.lags(2, at=(3, 10))[2:]]
    assert rows[:2] == ["RNN", "GRU"] and len(rows) == 6 and all("forget gate" in row for row in rows[2:])


def test_adding_over_few_moments_is_solved_and_counted():
    needed, error = benchmark.learn_to_add("gru", 0, 600, T=4, H=16)
    assert needed is not None and needed % 50 == 0 and error < 0.01
    assert benchmark.learn_to_add("rnn", 0, 50, T=20, H=4)[0] is None
    lines = benchmark.adding(2, steps=50, T=12)
    assert [line.split(" | ")[0][2:] for line in lines[2:]] == ["RNN", "LSTM", "GRU"]
    assert "| 0 of 2 | not within 50 |" in lines[2]


def test_both_ways_of_reading_are_compared_on_the_same_strings():
    forwards, backwards = (benchmark.relay(0, way, length=3, n=300, epochs=2) for way in (False, True))
    assert 12.5 < forwards < 100 and 12.5 < backwards < 100
    (row,) = benchmark.reversal(1, lengths=(3,), n=100)[2:]
    assert row.startswith("| 3 | ")


def test_dates_are_translated_and_counted():
    rates = benchmark.dates(True, 0, n=300, epochs=2)
    assert len(rates) == 2 and all(0 <= rate <= 100 for rate in rates)
    lines = benchmark.translation(1, n=100, epochs=1)
    assert [line.split(" | ")[0][2:] for line in lines[2:]] == ["with attention", "last state only"]


def test_no_held_out_name_is_trained_on():
    alphabet, seen, held = benchmark.names()
    train, test = ({alphabet.decode(s) for s in part} for part in (seen, held))
    assert not train & test and len(test) == (len(train) + len(test)) // 10
    _, (first,), (last,) = benchmark.shakespeare()
    assert len(first) == (len(first) + len(last)) * 9 // 10


def test_names_and_pieces_become_rows():
    x, y = benchmark.as_rows([np.array([1, 2]), np.array([3])], None)
    assert x.tolist() == [[0, 1, 2], [0, 3, 0]] and y.tolist() == [[1, 2, 0], [3, 0, -1]]
    assert benchmark.as_rows([np.arange(9)], 4)[0].shape == (2, 4)


def test_a_character_model_is_better_than_a_guess(monkeypatch):
    monkeypatch.setattr(benchmark, "FULL", False)
    alphabet, seen, held = benchmark.names()
    small = alphabet, seen[:600], held[:200]
    bits = benchmark.character_model(small, "gru", 0, None, 2, H=16)
    assert bits < np.log2(len(alphabet)) - 0.3
    assert language.NGram(2, len(alphabet), 5.0).fit(small[1]).bits(small[2]) < np.log2(len(alphabet))


def test_what_was_not_measured_says_so(monkeypatch):
    monkeypatch.setattr(benchmark, "FULL", False)
    alphabet = language.Alphabet("ab")
    tiny = alphabet, [alphabet.encode("abab" * 40)], [alphabet.encode("ab" * 40)]
    monkeypatch.setattr(benchmark, "names", lambda: tiny)
    monkeypatch.setattr(benchmark, "shakespeare", lambda: tiny)
    lines = benchmark.characters(1, orders=(1, 2), epochs=(1, 1))
    assert lines[-1].endswith("| not measured |") and "(bigram)" in lines[3] and lines[4].startswith("| RNN")
