"""The tables of chapter 12: they name what they compare, and compare what they say."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import transfer as benchmark

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def the_digits_alone(monkeypatch):
    """So that it is fast and needs no files; each name is a set of its own all the same."""
    monkeypatch.setattr(benchmark.data, "cached", lambda name: False)
    for function in (benchmark.images, benchmark.pretrained, benchmark.robust):
        function.cache_clear()
    yield
    for function in (benchmark.images, benchmark.pretrained, benchmark.robust):
        function.cache_clear()


def rows(lines):
    return [line.strip("| ").split(" | ") for line in lines[2:]]


def test_halves_hold_their_digits_and_are_counted_from_0():
    for name in ("mnist 0-4", "mnist 5-9"):
        x, y, x_test, y_test = benchmark.images(name)
        assert sorted(set(y.tolist())) == sorted(set(y_test.tolist())) == [0, 1, 2, 3, 4]
        assert x.shape[1:] == x_test.shape[1:] == (1, 8, 8)
    low, high = (benchmark.images(f"mnist {half}")[0] for half in ("0-4", "5-9"))
    assert len(low) + len(high) == len(benchmark.images("mnist")[0])


def test_what_stands_in_is_named():
    assert benchmark.named("fashion_mnist") == "the 8×8 digits"
    assert benchmark.named("mnist 5-9") == "the 8×8 digits 5–9"


def test_tables_of_transfer():
    found = rows(benchmark.few_labels(2, steps=30, labels=(10,)))
    assert [row[2] for row in found] == ["10", "10"] and all(len(row) == 8 for row in found)
    found = rows(benchmark.layers_kept(2, steps=30, labels=(10,)))
    assert len(found) == 3 and found[2][1].startswith("nothing")
    # Nothing kept is the same start and the same labels, whatever was learned before.
    assert len({row[2] for row in found[:2]}) == 1
    means = [float(cell.split(" ± ")[0]) for cell in found[0][2:6]]
    assert found[0][6] == f"keep {int(np.argmax(means))}"


def test_costs_are_shares_of_the_pretraining():
    found = {row[0]: row for row in rows(benchmark.costs(steps=100))}
    assert found["fine-tuned"][1:4] == found["scratch"][1:4] and found["fine-tuned"][3] == "100%"
    assert float(found["frozen"][3].rstrip("%")) < float(found["adapters"][3].rstrip("%"))


def test_sums_and_sanity():
    found = rows(benchmark.sums(2, steps=60, n=6))
    gaps = {row[1]: float(row[3]) for row in found}
    assert gaps["128 steps"] < gaps["8 steps"] and gaps["ε = 1e-06"] < 0.1 < gaps["ε = 0.01"]
    *lines, _, empty = benchmark.sanity(2, steps=60, n=4)
    assert empty.startswith("Grad-CAM maps that are 0") and empty.count("±") == 2
    found = {row[0]: row for row in rows(lines)}
    assert found["the image itself"][1:] == ["1.00 ± 0.00"] * 4 + ["**fails**"]
    assert set(found) == set(benchmark.METHODS)


def test_verdicts():
    assert benchmark.verdict(0.2, 0.1) == "passes"
    assert benchmark.verdict(0.9, 0.1) == "passes with its sign only"
    assert benchmark.verdict(0.2, 0.6) == benchmark.verdict(0.9, 0.9) == "**fails**"


def test_attacks_on_plain_and_on_cured_networks():
    found = rows(benchmark.under_attack(2, steps=60, n=100))
    assert [row[1] for row in found] == ["noise of that size", "FGSM", "PGD, 20 steps"] * 2
    plain = [float(cell.split(" ± ")[0]) for cell in found[2][2:]]
    assert plain[0] > plain[-1]
    found = rows(benchmark.one_pixel(2, steps=60, n=4))
    assert found[0][1] == "8 in 2 seeds"
    found = rows(benchmark.fooling(2, steps=60))
    assert all(row[1] == "20, 10 classes" and 0 <= float(row[3]) <= float(row[2]) <= 1 for row in found)
