"""The tables of chapter 19: small runs of what they compare."""

import argparse
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import beyond as benchmark
from dlcourse import data, retrieval, simclr

ONE = argparse.Namespace(seeds=1)


def rows(lines):
    return [line.split(" | ")[0].removeprefix("| ") for line in lines if line.startswith("| ")][1:]


def test_every_rival_gets_an_accuracy(one_thread):
    d = data.load("digits")
    tensors = [torch.tensor(a) for a in (d.x_train[:, None], d.y_train, d.x_test[:, None], d.y_test)]
    views = simclr.Views(crop=0.8, degrees=10, shear=0.1, cutout=0, blur=0)
    found = benchmark.few_labels(*tensors, 0, labels=50, images=512, epochs=2, maps=(4, 8), views=views, steps=20)
    assert len(found) == len(benchmark.NETS) and all(0.1 < value < 1 for value in found)


def test_prototypes_on_classes_that_training_did_not_show(one_thread):
    found = benchmark.shots_of(0, episodes=3, count=20)
    assert found.shape == (len(benchmark.FEATURES), 2)
    assert (found[:, 1] > found[:, 0]).all() and found.min() > 0.25  # five examples say more than one


def test_the_table_of_memory_has_a_row_for_each_kind(one_thread):
    if not data.cached("cifar10"):
        pytest.skip("CIFAR-10 is not on this machine")
    lines = benchmark.memory(ONE, images=60, hidden=64, epochs=60)
    assert rows(lines) == list(benchmark.generalisation.KINDS)
    assert "| random labels | 0.0 (0.0 to 0.0) |" in "\n".join(lines)


def test_two_bits_are_learned_and_ten_are_not(one_thread):
    easy, hard = (benchmark.parity_errors(used, 0, examples=500, bits=12, epochs=25) for used in (2, 10))
    assert easy[1] < 0.1 and hard[1] > 0.3
    assert rows(benchmark.parity(ONE, sizes=(1,))) == ["1"]


def test_colours_mislead_and_grey_does_not(one_thread):
    if not data.cached("mnist"):
        pytest.skip("MNIST is not on this machine")
    plain, _, _, grey = benchmark.colours_of(0, images=600)
    assert plain[0] > plain[2] + 0.3 and abs(grey[0] - grey[2]) < 0.1


def test_recall_counts_the_first_k():
    ranked = [["a", "b"], ["b", "c"], ["c", "a"]]
    assert [benchmark.recall(ranked, ["a", "c", "b"], k) for k in (1, 2)] == pytest.approx([1 / 3, 2 / 3])


def test_questions_are_the_concepts():
    listed = dict(benchmark.questions())
    assert listed["nodes, edges, features"] == "graph-data" and len(listed) > 100


@pytest.mark.slow
def test_the_approximate_index_finds_what_the_exact_one_finds():
    sections = retrieval.lecture_sections(benchmark.ROOT / "notebooks")
    index = retrieval.Index(sections, dimensions=20)
    asked = [concept for concept, _ in benchmark.questions()[:20]]
    near, first, later = benchmark.approximate(index, asked, 5)
    exact = [[hit.section.label for hit in index.search(question, 5)] for question in asked]
    assert np.mean([len(set(a) & set(b)) / 5 for a, b in zip(near, exact, strict=True)]) > 0.8
    assert 0 < later < first
