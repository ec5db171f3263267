"""A submission is put in order: cells by id or by marker; what students and editors do to a notebook is repaired."""

import json
import time

import pytest

from dlcourse.grading import submission
from dlcourse.grading.submission import Refused, arrange

from .conftest import RIGHT, notebook


def sources(plan):
    return [cell["source"] for cell in plan.cells]


def changed(change) -> bytes:
    tree = json.loads(notebook())
    change(tree["cells"])
    return json.dumps(tree).encode()


def test_an_orderly_notebook_needs_no_repair(assignment, limits):
    plan = arrange(notebook(words="*Your answer to conv.words:* because"), assignment, limits)
    assert plan.notes == []
    assert [e.id for i in sorted(plan.probes) for e in plan.probes[i]] == ["conv.both", "conv.number"]


def test_arranging_twice_changes_nothing(assignment, limits):
    once = arrange(notebook(), assignment, limits)
    again = arrange(json.dumps({"cells": once.cells}).encode(), assignment, limits)
    assert again.cells == once.cells and again.notes == []


def test_cells_without_metadata_are_found_by_their_marker(assignment, limits):
    def strip(cells):
        for cell in cells:
            cell["metadata"] = {}
        cells[2]["source"] = "# exercise: conv.number\nnumber = 12"
        cells[1]["source"] = '# check: conv.both (2 points)\ncheck("conv.both")'
        cells[3]["source"] = '# check: conv.number (1 point)\ncheck("conv.number")'

    plan = arrange(changed(strip), assignment, limits)
    assert RIGHT in sources(plan)
    assert plan.notes == []
    assert plan.cells[0]["metadata"]["nbgrader"]["grade_id"] == "conv-both-answer"


def test_a_filled_copy_counts_before_a_blank_one(assignment, limits):
    def copy(cells):
        blank = "# exercise: conv.both\nraise NotImplementedError()"
        cells.insert(2, {**cells[0], "source": f"\n{blank}\n", "metadata": {}})
        cells.append({**cells[0], "source": blank})

    plan = arrange(changed(copy), assignment, limits)
    assert plan.cells[plan.answers["conv.both"]]["source"] == RIGHT
    assert any("conv-both-answer (3 times)" in note for note in plan.notes)
    assert max(plan.probes) < len(plan.cells) - 1


def test_answers_merged_into_one_cell_are_both_tried_after_it(assignment, limits):
    def merge(cells):
        cells[0]["source"] += "\n# exercise: conv.number\nnumber = 12"
        del cells[2]

    plan = arrange(changed(merge), assignment, limits)
    assert plan.answers["conv.both"] == plan.answers["conv.number"] == 0
    assert any(note.startswith("merged with another cell: conv-number-answer;") for note in plan.notes)
    assert not any("number = None" in source for source in sources(plan))


def test_a_deleted_answer_undoes_nothing_that_stands_elsewhere(assignment, limits):
    def move(cells):
        cells[0] = {"cell_type": "code", "metadata": {}, "source": RIGHT.partition("\n")[2]}

    plan = arrange(changed(move), assignment, limits)
    assert any("was missing: conv-both-answer;" in note for note in plan.notes)
    kept = [cell["source"] for cell in plan.cells if cell["metadata"].get("nbgrader", {}).get("solution")]
    assert not any("raise" in source for source in kept)


def test_a_missing_check_is_put_back_and_tried_after_the_answer(assignment, limits):
    plan = arrange(changed(lambda cells: cells.pop(1)), assignment, limits)
    assert any("was missing: conv-both;" in note for note in plan.notes)
    (at,) = (i for i, tried in plan.probes.items() if tried[0].id == "conv.both")
    assert at > plan.answers["conv.both"]


def test_a_check_before_its_answer_is_tried_after_it(assignment, limits):
    plan = arrange(changed(lambda cells: cells.reverse()), assignment, limits)
    for at, tried in plan.probes.items():
        assert all(at >= plan.answers[e.id] for e in tried)


def test_a_changed_check_is_replaced(assignment, limits):
    plan = arrange(changed(lambda cells: cells[1].update(source="points = 1000")), assignment, limits)
    assert "points = 1000" not in sources(plan)
    assert any("check had been changed: conv-both;" in note for note in plan.notes)


def test_flags_and_types_of_the_submission_decide_nothing(assignment, limits):
    def flip(cells):
        for cell in cells:
            cell["metadata"]["nbgrader"].update(grade=False, solution=True, points=1000, locked=False)
            cell["metadata"]["tags"] = ["skip-execution"]
        cells[0]["cell_type"] = "markdown"

    plan = arrange(changed(flip), assignment, limits)
    own = {c["metadata"]["nbgrader"]["grade_id"]: c for c in plan.cells}
    assert own["conv-both"]["metadata"]["nbgrader"]["points"] == 2
    assert own["conv-both-answer"]["cell_type"] == "code"
    assert "tags" not in own["conv-both"]["metadata"]
    assert any("conv-both-answer (markdown)" in note for note in plan.notes)
    assert any("conv-both (grade, solution, locked, points)" in note for note in plan.notes)


def test_another_order_and_another_language_are_noted(assignment, limits):
    tree = json.loads(notebook())
    tree["cells"].reverse()
    tree["metadata"] = {"kernelspec": {"name": "ir", "language": "R\x1b[31m"}}
    notes = arrange(json.dumps(tree).encode(), assignment, limits).notes
    assert "the notebook says that it is written in R[31m; it is run as Python" in notes
    assert any("stand in another order" in note for note in notes)


def test_an_old_format_is_read(assignment, limits):
    cells = json.loads(notebook())["cells"]
    for cell in cells:
        cell["input"] = [cell.pop("source")]
    plan = arrange(json.dumps({"worksheets": [{"cells": cells}], "nbformat": 3}).encode(), assignment, limits)
    assert RIGHT in sources(plan) and any("old format" in note for note in plan.notes)


def test_a_file_of_blanks_takes_no_time(assignment, limits):
    blanks = "\n \t" * 3_000_000
    start = time.process_time()
    arrange(notebook(both=RIGHT + blanks), assignment, limits)
    assert time.process_time() - start < 10


def test_halves_of_characters_become_text(assignment, limits):
    plan = arrange(notebook(both="# exercise: conv.both\nx = '\ud800'"), assignment, limits)
    assert "\n".join(sources(plan)).encode("utf-8")


def test_of_a_repeated_cell_the_last_counts_and_the_first_still_runs(assignment, limits):
    def repeat(cells):
        cells.insert(1, {**cells[0], "source": "# exercise: conv.both\nboth = None"})

    plan = arrange(changed(repeat), assignment, limits)
    assert any("conv-both-answer (2 times)" in note for note in plan.notes)
    assert RIGHT in sources(plan)
    kept = [c["metadata"]["nbgrader"]["grade_id"] for c in plan.cells if c["metadata"]]
    assert sorted(kept) == sorted(set(kept))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"   \n", "empty"),
        (b"not a notebook", "not JSON"),
        (b"[" * 200_000, "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[1, 2]", "no list of cells"),
        (b'{"worksheets": []}', "no list of cells"),
        (b'{"cells": []}', "no exercise of 08_convolution"),
        (b'{"cells": [1, null, {"source": {}, "metadata": 3}]}', "no exercise of 08_convolution"),
    ],
)
def test_what_is_no_submission_is_refused_in_words(data, reason, assignment, limits):
    with pytest.raises(Refused, match=reason):
        arrange(data, assignment, limits)


def test_a_large_file_is_refused_unread(assignment, limits):
    with pytest.raises(Refused, match=r"100 MB.*at most 20 MB"):
        arrange(b" " * 100_000_000 + b"x", assignment, limits)


def test_the_other_assignments_notebook_is_named(assignment, limits):
    other = {"cells": [{"cell_type": "code", "metadata": {}, "source": "# exercise: mlp.linear_backward\n"}]}
    with pytest.raises(Refused, match="notebook of 02_backprop, not of 08_convolution"):
        arrange(json.dumps(other).encode(), assignment, limits)


def test_null_bytes_do_not_reach_the_kernel(assignment, limits):
    cells = submission.read(notebook(both="x = 1\x00"), limits).cells
    assert "\x00" not in cells[0].source
