"""Retrieval: the nearest vectors are the nearest, sections are the book's, answers are its sentences."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from sklearn.neighbors import NearestNeighbors

from dlcourse import retrieval

REPOSITORY = Path(__file__).resolve().parents[1]
FACTS = [
    retrieval.Section("cat", "Cats", "Cats sleep all day. They purr when they are stroked by a person they like."),
    retrieval.Section("dog", "Dogs", "Dogs bark. A dog fetches a stick as often as it is thrown."),
    retrieval.Section("sea", "The sea", "The sea is salt. Its tides follow the moon, twice a day in most places."),
]


@pytest.fixture(scope="module")
def lectures():
    return retrieval.lecture_sections(REPOSITORY / "notebooks")


@pytest.mark.parametrize("k", [1, 3, 20])
def test_the_top_k_are_scikit_learn_s(k):
    rng = np.random.default_rng(0)
    vectors, query = rng.normal(size=(20, 6)), rng.normal(size=6)
    indices, cosines = retrieval.top_k(query, vectors, k)
    distances, wanted = NearestNeighbors(metric="cosine", algorithm="brute").fit(vectors).kneighbors(query[None], k)
    np.testing.assert_array_equal(indices, wanted[0])
    np.testing.assert_allclose(1 - cosines, distances[0], atol=1e-12)
    np.testing.assert_array_equal(retrieval.top_k(7 * query, vectors, k)[0], indices)


def test_ties_go_to_the_first_and_empty_vectors_have_no_direction():
    indices, cosines = retrieval.top_k(np.array([1.0, 0]), np.array([[0.0, 0], [0, 1], [2, 0], [1, 0]]), 4)
    assert indices.tolist() == [2, 3, 0, 1] and cosines.tolist() == [1, 1, 0, 0]


def test_the_lectures_sections_are_those_that_concepts_point_to(lectures):
    labels = {section.label for section in lectures}
    concepts = [c for path in (REPOSITORY / "book/concepts").glob("*.yml") for c in yaml.safe_load(path.read_text())]
    assert {c["label"] for c in concepts} <= labels and len(labels) == len(lectures)
    (neuron,) = [s for s in lectures if s.label == "neuron-losses"]
    assert neuron.title == "Three losses" and "(neuron" not in neuron.text and "import" not in neuron.text


def test_docstrings_are_always_there():
    found = {section.label: section for section in retrieval.docstring_sections()}
    assert found["dlcourse.retrieval.top_k"].text.startswith("The ``k`` rows with the largest cosine")
    assert "dlcourse.conv" in found and "dlcourse.retrieval.Index" in found
    assert not any("._" in label for label in found)


@pytest.mark.parametrize("dimensions", [None, 3])
def test_the_nearest_section_comes_first(dimensions):
    index = retrieval.Index(FACTS, dimensions=dimensions)
    for question, label in (("Why do cats purr?", "cat"), ("tides of the sea", "sea"), ("a stick for my dog", "dog")):
        hits = index.search(question, 9)
        assert len(hits) == 3 and hits[0].section.label == label
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_answers_are_sentences_of_the_sections_they_cite():
    index = retrieval.Index(FACTS)
    (first, *_) = index.answer("How often do tides come, and do they follow the moon?")
    assert first.label == "sea" and first.sentence == "Its tides follow the moon, twice a day in most places."
    for quote in index.answer("Do dogs and cats sleep all day?", sentences=3):
        (section,) = [s for s in FACTS if s.label == quote.label]
        assert quote.sentence in section.text
    assert index.answer("omelette recipe") == []


def test_concepts_are_found_among_the_sections(lectures):
    index = retrieval.Index(lectures)
    concepts = yaml.safe_load((REPOSITORY / "book/concepts/08_convolution.yml").read_text())
    found = [c["label"] in [hit.section.label for hit in index.search(c["concept"], 5)] for c in concepts]
    assert np.mean(found) > 0.8


def test_the_prompt_holds_question_sources_and_labels():
    index = retrieval.Index(FACTS)
    made = retrieval.prompt("Why do cats purr?", index.search("Why do cats purr?", 2))
    assert "[cat] Cats sleep all day." in made and made.endswith("Question: Why do cats purr?\nAnswer:")
    assert "sources do not say" in made


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: retrieval.top_k(np.ones(2), np.ones((3, 3)), 1), "vectors \\(3, 3\\)"),
        (lambda: retrieval.top_k(np.ones(3), np.ones((3, 3)), 4), "k is 4"),
        (lambda: retrieval.top_k(np.ones(3), np.ones((3, 3)), 0), "k is 0"),
        (lambda: retrieval.Index([]), "sections is empty"),
    ],
)
def test_wrong_input_is_said(call, said):
    with pytest.raises(ValueError, match=said):
        call()
