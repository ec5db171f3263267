"""The mutation score: what counts as killed, what the reviewed list may say, and the score of this repository."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest

from dlcourse.check import mutation_score
from dlcourse.check.mutation_score import (
    MutationError,
    Score,
    markdown,
    page_rows,
    reviewed,
    scores,
    survivor_line,
)
from dlcourse.cli import main
from dlcourse.exercises import ASSIGNMENTS, get

ROOT = Path(__file__).parents[2]
EDGES = """\
# exercise: conv.equivariance
def edges(image):
    ### BEGIN SOLUTION
    return image - np.roll(image, 1, axis=1)
    ### END SOLUTION
"""
PLACES = """\
# exercise: conv.output_size
import os

def output_size(size, kernel, stride=1, padding=0, dilation=1):
    ### BEGIN SOLUTION
    if size < 0:
        os._exit(1)
    places, end = 0, dilation * (kernel - 1) + 1
    while end <= size + 2 * padding:
        places += 1
        end += stride
    return places
    ### END SOLUTION
"""
OTHER_WAY = "edges: return image - np.roll(image, 1, axis=1) => return np.roll(image, 1, axis=1) - image"


@pytest.fixture
def course(tmp_path):
    """A course whose assignment 08_convolution has the given cells, and its reviewed list."""

    def make(*cells: str, listed: str = "") -> Path:
        sources = ["import numpy as np", *cells]
        code = [{"cell_type": "code", "metadata": {}, "source": source.splitlines(keepends=True)} for source in sources]
        notebook = tmp_path / "solutions" / "08_convolution" / "08_convolution.ipynb"
        notebook.parent.mkdir(parents=True)
        notebook.write_text(json.dumps({"cells": code}), encoding="utf-8")
        path = tmp_path / mutation_score.EQUIVALENT
        path.parent.mkdir(parents=True)
        path.write_text(textwrap.dedent(listed), encoding="utf-8")
        return tmp_path

    return make


def entry(
    key: str, reason: str = "another operator that has the properties", exercise: str = "conv.equivariance"
) -> str:
    return f"{exercise}:\n  - reason: {reason}\n    mutants: ['{key}']\n"


def test_survivors_are_the_mutants_that_are_right_answers(course):
    (score,) = scores(course(EDGES), exercises=["conv.equivariance"], workers=1)
    assert {mutant.after for mutant in score.survivors} == {
        "return -(image - np.roll(image, 1, axis=1))",
        "return np.roll(image, 1, axis=1) - image",
        "return image - np.roll(image, 2, axis=1)",
        "return image - np.roll(image, 1, axis=0)",
    }
    assert (score.equivalent, score.killed) == (0, score.tried - 4)
    assert not score.enough


def test_listed_mutants_are_counted_apart(course):
    (score,) = scores(course(EDGES, listed=entry(OTHER_WAY)), exercises=["conv.equivariance"], workers=1)
    assert OTHER_WAY not in {mutant.key for mutant in score.survivors}
    assert (score.equivalent, len(score.survivors)) == (1, 3)
    assert score.share == score.killed / (score.tried - 1)


def test_what_hangs_or_ends_the_process_is_killed_and_the_rest_is_judged(course):
    (score,) = scores(course(PLACES), exercises=["conv.output_size"], workers=2)
    # No case has a negative size: only what happens to such sizes is free.
    assert {mutant.before for mutant in score.survivors} == {"if size < 0:", "os._exit(1)"}
    assert "if not size < 0:" not in {mutant.after for mutant in score.survivors}
    # Without `end += stride` the loop has no end, nor has it where end goes down or stays.
    assert score.too_slow >= 3


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        (entry("edges: return image => return -image"), "no such mutant of conv.equivariance"),
        (entry(OTHER_WAY.replace("np.roll(image, 1, axis=1) - image", "image")), "kills this mutant"),
        (entry(OTHER_WAY, exercise="conv.nothing"), "an exercise that there is not: conv.nothing"),
        (entry(OTHER_WAY, reason="''"), "must have `reason` and `mutants`"),
        (entry(OTHER_WAY) + "    why: me\n", "must have `reason` and `mutants`"),
        (entry(OTHER_WAY).replace("']", f"', '{OTHER_WAY}']"), "names a mutant twice"),
    ],
)
def test_a_list_that_does_not_fit_is_refused(course, listed, said):
    with pytest.raises(MutationError, match=said):
        scores(course(EDGES, listed=listed), exercises=["conv.equivariance"], workers=1)


def test_a_solution_that_fails_its_own_check_is_refused(course):
    with pytest.raises(MutationError, match=r"conv\.equivariance fails its own check: linear"):
        scores(course(EDGES.replace("image -", "1 -")), exercises=["conv.equivariance"], workers=1)


@pytest.mark.parametrize(
    ("assignments", "exercises", "said"),
    [
        (["08_nothing"], [], "no assignment '08_nothing'"),
        ([], ["conv.equivarience"], "did you mean"),
        ([], ["conv.essay"], "a person"),
        (["02_backprop"], ["conv.equivariance"], "no exercise of 02_backprop"),
        (["02_backprop"], [], "02_backprop.ipynb is not there"),
        (["08_convolution"], [], "no cell of the solutions begins with `# exercise: conv"),
    ],
)
def test_what_cannot_be_mutated_is_said(course, assignments, exercises, said):
    with pytest.raises(MutationError, match=said):
        scores(course(EDGES), assignments, exercises=exercises)


def test_every_nth_is_for_trained_exercises_alone(course):
    root = course(EDGES, dict(mutation_score.solution_cells(ROOT, "08_convolution"))["conv.learn_filter"])
    named = ["conv.equivariance", "conv.learn_filter"]
    few = {score.exercise: score.tried for score in scores(root, exercises=named, every=20)}
    assert few == {"conv.equivariance": 14, "conv.learn_filter": 6}


def test_the_command_prints_survivors_and_its_status_says_whether_all_is_well(course, capsys):
    root = course(EDGES)
    page, command = root / "page.md", ["mutate", "--exercise", "conv.equivariance", "--course", str(root)]
    assert main([*command, "--markdown", str(page)]) == 1
    said = capsys.readouterr().out
    assert "- return image - np.roll(image, 1, axis=1)\n+ return np.roll(image, 1, axis=1) - image" in said
    assert said.rstrip().endswith("below 97%: conv.equivariance")
    assert "| `conv.equivariance` | 14 | 0 | 10 | 71.4% |" in page.read_text()
    keys = ", ".join(f"'{m.key}'" for m in scores(root, exercises=["conv.equivariance"])[0].survivors)
    (root / mutation_score.EQUIVALENT).write_text(entry("KEY").replace("'KEY'", keys))
    assert main(command) == 0
    assert main([*command, "--every", "2", "--markdown", str(page)]) == 1
    assert "leave out --every" in capsys.readouterr().err
    assert main(["mutate", "--course", str(root / "nowhere")]) == 1
    assert "run this in the course's folder" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_every_check_kills_97_percent_of_the_mutants_and_the_results_page_says_so(assignment):
    """Training takes long: of trained exercises, every fourth mutant is tried here; the page was made with all."""
    page = (ROOT / "book" / "results" / "mutation.md").read_text(encoding="utf-8")
    rows = page_rows(page)
    for score in scores(ROOT, [assignment], every=4):
        tried, equivalent, killed = rows[score.exercise]
        assert killed >= 0.97 * (tried - equivalent), score.exercise
        if get(score.exercise).kind == "trained":
            assert score.tried == -(-tried // 4)
        else:
            assert score.enough
            assert (tried, equivalent, killed) == (score.tried, score.equivalent, score.killed)
        assert [m for m in score.survivors if survivor_line(score.exercise, m) not in page.splitlines()] == []


def test_the_page_keeps_what_was_not_tried_again(course):
    (before,) = scores(course(EDGES), exercises=["conv.equivariance"])
    page = markdown([before, Score("mlp.deltas", 100, 10, ())])
    assert page_rows(page) == {"mlp.deltas": (100, 10, 90), "conv.equivariance": (14, 0, 10)}
    assert "| all | 114 | 10 | 100 | 96.2% |" in page
    assert all(survivor_line("conv.equivariance", mutant) in page for mutant in before.survivors)
    assert markdown([], page) == page
    better = markdown([Score("conv.equivariance", 14, 4, ())], page)
    assert page_rows(better) == {"mlp.deltas": (100, 10, 90), "conv.equivariance": (14, 4, 10)}
    assert "Not noticed" not in better


def test_no_mutant_is_no_score():
    assert Score("conv.equivariance", 0, 0, ()).share == 0


def test_the_reviewed_list_gives_a_reason_for_each():
    listed = reviewed(ROOT / mutation_score.EQUIVALENT)
    assert listed
    assert all(len(reason) > 20 for entries in listed.values() for reason in entries.values())
