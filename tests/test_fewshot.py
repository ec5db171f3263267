"""Few-shot: episodes are what they promise, prototypes are means, attributes name classes."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.neighbors import NearestCentroid

from dlcourse import fewshot

GEN = np.random.default_rng


@given(st.integers(1, 5), st.integers(1, 3), st.integers(0, 4), st.integers(0, 99))
def test_an_episode_holds_other_examples_of_the_same_classes(ways, shots, queries, seed):
    y = GEN(0).permutation(np.repeat([2, 3, 5, 7, 11], 8))
    task = fewshot.episode(y, ways, shots, queries, GEN(seed))
    assert len(set(task.classes.tolist())) == ways
    np.testing.assert_array_equal(y[task.support], task.classes[task.support_y])
    np.testing.assert_array_equal(y[task.query], task.classes[task.query_y])
    np.testing.assert_array_equal(np.bincount(task.support_y, minlength=ways), shots)
    assert len(task.query) == ways * queries
    used = [*task.support, *task.query]
    assert len(set(used)) == len(used)


def test_episodes_differ():
    y = np.repeat(np.arange(6), 9)
    drawn = {tuple(fewshot.episode(y, 2, 1, 1, GEN(seed)).support) for seed in range(20)}
    assert len(drawn) > 10


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_prototypes_and_the_nearest_are_scikit_learn_s(dtype):
    rng = GEN(0)
    z, y, more = rng.normal(size=(30, 4)).astype(dtype), rng.permutation(np.arange(30) % 3), rng.normal(size=(50, 4))
    found = fewshot.prototypes(z, y, 3)
    wanted = NearestCentroid().fit(z, y)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, wanted.centroids_, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(fewshot.nearest(more, found), wanted.predict(more))
    distances = torch.cdist(torch.tensor(more), torch.tensor(found.astype(float))) ** 2
    np.testing.assert_allclose(fewshot.squared_distances(more, found), distances, rtol=1e-5)


def test_of_equally_near_prototypes_the_first_is_taken():
    assert fewshot.nearest(np.zeros((1, 1)), np.array([[1.0], [-1.0]])).tolist() == [0]


def test_attributes_name_a_class_that_was_never_seen():
    signatures = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 1]])
    scores = np.array([[0.9, 0.8, 0.3], [0.9, 0.1, 0.1], [0.4, 0.9, 0.9], [1.0, 1.0, 0.0]])
    assert fewshot.by_attributes(scores, signatures).tolist() == [1, 0, 2, 1]
    likelihood = np.where(signatures[None] == 1, scores[:, None], 1 - scores[:, None]).prod(axis=2)
    np.testing.assert_array_equal(fewshot.by_attributes(scores, signatures), likelihood.argmax(axis=1))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: fewshot.episode(np.arange(3), 2, 1, 1, GEN(0)), "smallest of 1 examples"),
        (lambda: fewshot.episode(np.zeros(9, int), 2, 1, 1, GEN(0)), "y has 1 classes"),
        (lambda: fewshot.episode(np.zeros(9, int), 1, 0, 1, GEN(0)), "shots 0"),
        (lambda: fewshot.prototypes(np.ones((2, 2)), np.zeros(2, int), 2), "no example of class 1"),
        (lambda: fewshot.prototypes(np.ones((2, 2)), np.zeros(3, int), 1), "y \\(3,\\)"),
        (lambda: fewshot.by_attributes(np.ones((2, 2)), np.ones((2, 3))), "signatures \\(2, 3\\)"),
        (lambda: fewshot.by_attributes(2 * np.ones((2, 2)), np.ones((2, 2))), "from 2 to 2"),
    ],
)
def test_wrong_input_is_said(call, said):
    with pytest.raises(ValueError, match=said):
        call()
