"""A feedback page shows what failed with its public inputs, and nothing of a student's that a browser would run."""

from __future__ import annotations

import base64
import struct
from html.parser import HTMLParser

import pytest

from dlcourse.check.judge import judge, not_written
from dlcourse.check.probe import Outcome, probe
from dlcourse.exercises import PUBLIC_SEED
from dlcourse.grading import feedback, submission
from dlcourse.grading.grade import Entry, Result

from .conftest import notebook

STUDENT = "<b>Ada</b>\x1b[31m\u202e"
RUN = "<script>window.owned = 1</script>"


class Looked(HTMLParser):
    """The tags and the attributes of a page."""

    def __init__(self, page: str):
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


def png(width: int, height: int) -> str:
    head = struct.pack(">I4sIIBBBBB", 13, b"IHDR", width, height, 1, 0, 0, 0, 0)
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + head).decode()


@pytest.fixture
def result(assignment, limits):
    """``result(answer, *outputs)``: as ``grade`` gives it, without a sandbox."""

    def made(answer, *outputs, words: str = "", notes: tuple[str, ...] = ()) -> Result:
        both, number, _ = assignment.exercises
        cases = both.make_cases(PUBLIC_SEED)
        public = judge(both, cases, [probe(answer, case.calls) for case in cases])
        note = not_written(number).note
        entries = (
            Entry(both.id, public.points, both.points, public.verdict, public.note, public.mistake_name, public),
            Entry(number.id, 0, number.points, "not written", note, "", not_written(number)),
        )
        cells = submission.arrange(notebook(words=words), assignment, limits).cells
        cells[0]["outputs"] = list(outputs)
        return Result(assignment.name, "", "", entries, notes, {"cells": cells, "metadata": {}})

    return made


def test_what_failed_is_shown_with_its_public_inputs(assignment, result):
    page = feedback.page(assignment, "ada", result(lambda x, y: (x @ y, x.mean())))
    assert "The second result is a sum." in page and "(mean for sum)" in page
    first, second = assignment.exercises[0].make_cases(PUBLIC_SEED)
    assert f"{second.calls[0].args[0][0, 1]:.7g}" in page
    # What passed needs no inputs: of a 1 by 1 array the mean is the sum.
    assert f"{first.calls[0].args[0][0, 0]:.7g}" not in page
    assert page.count("its inputs") == 1 and "0 of 3 points" in page


def test_a_right_answer_has_no_table_and_an_unwritten_one_no_inputs(assignment, result):
    page = feedback.page(assignment, "ada", result(lambda x, y: (x @ y, x.sum())))
    assert "public case" not in page and "`number` is not defined yet" in page and "2 of 3 points" in page


@pytest.mark.parametrize(
    "output",
    [
        {"output_type": "display_data", "data": {"text/html": f"<td onclick=x>{RUN}<svg onload=x>{RUN}"}},
        {"output_type": "display_data", "data": {"image/svg+xml": f"<svg>{RUN}</svg>", "text/plain": RUN}},
        {"output_type": "display_data", "data": {"application/javascript": "window.owned = 1"}},
        {"output_type": "display_data", "data": {"image/png": f'">{RUN}'}},
        {"output_type": "display_data", "data": {"text/html": "<a href=' java\tscript:window.owned=1'>x</a>"}},
        {"output_type": "display_data", "data": {"text/html": "<iframe srcdoc=x></iframe><meta http-equiv=refresh>"}},
        {"output_type": "stream", "name": RUN, "text": f"</pre>{RUN}"},
        {"output_type": "error", "ename": RUN, "evalue": RUN, "traceback": [RUN]},
    ],
)
def test_nothing_of_a_students_runs(output, assignment, result):
    def failing(x, y):
        raise type(RUN, (Exception,), {})(f"'\">{RUN}")

    page = feedback.page(assignment, STUDENT, result(failing, output, words=RUN, notes=(RUN,)))
    looked = Looked(page)
    assert not {"script", "svg", "iframe", "object", "embed", "form", "link", "base", "b"} & set(looked.tags)
    assert not [name for name, _ in looked.attributes if name.startswith("on") or name == "style"]
    assert not [v for _, v in looked.attributes if "script:" in v.replace("\t", "").replace(" ", "").lower()]
    assert looked.tags.count("meta") == 4 and ("http-equiv", "refresh") not in looked.attributes
    policy = next(value for name, value in looked.attributes if "default-src" in value)
    assert "default-src 'none'" in policy and "script-src 'none'" in policy and "unsafe-eval" not in policy


def test_a_table_of_a_students_is_shown_as_one(assignment, result):
    table = {"output_type": "display_data", "data": {"text/html": "<table><tr><td>seven</td></tr></table>"}}
    page = feedback.page(assignment, "ada", result(lambda x, y: None, table))
    assert "<td>seven</td>" in page


def test_terminal_escapes_and_turned_letters_are_taken_out(assignment, result):
    output = {"output_type": "stream", "name": "stdout", "text": "\x1b[31mred\x1b]0;title\x07\u202egpj\ud800\x00"}
    page = feedback.page(assignment, STUDENT, result(lambda x, y: None, output))
    assert not {"\x1b", "\x07", "\x00", "\u202e", "\ud800"} & set(page)
    assert "red" in page and "title" not in page.partition("</header>")[2]
    page.encode("utf-8")


def test_the_page_is_bounded_whatever_was_put_out(assignment, result):
    long = {"output_type": "stream", "name": "stdout", "text": "x" * 3_000_000}
    pictures = [{"output_type": "display_data", "data": {"image/png": png(n, 40_000)}} for n in (40_000, 10)]
    page = feedback.page(assignment, "ada", result(lambda x, y: "y" * 100_000, *[long] * 200, words="z" * 1_000_000))
    assert len(page) < 300_000 and "the rest is left out here" in page and "180 more outputs" in page
    page = feedback.page(assignment, "ada", result(lambda x, y: None, *pictures))
    assert "A picture of 40000 by 40000 points is left out" in page and page.count("<img") == 1


def test_the_text_for_a_person_is_shown_as_it_was_written(assignment, result):
    page = feedback.page(assignment, "ada", result(lambda x, y: None, words="*Your answer to conv.words:* a < b & c"))
    assert "a &lt; b &amp; c" in page
    assert "Nothing was written here" in feedback.page(assignment, "ada", result(lambda x, y: None))


def test_the_same_result_gives_the_same_bytes(assignment, result):
    pages = {feedback.page(assignment, "ada", result(lambda x, y: (x, y))) for _ in range(2)}
    assert len(pages) == 1


def test_a_refused_file_is_said_to_be(assignment):
    page = feedback.page(assignment, "ada", Result(assignment.name, "", refused=f"it is {RUN}"))
    assert "Not graded:" in page and "script" not in Looked(page).tags


def test_an_outcome_without_words_is_shown(assignment, result):
    made = result(lambda x, y: None)
    both = assignment.exercises[0]
    cases = both.make_cases(PUBLIC_SEED)
    public = judge(both, cases, [Outcome(error="", error_kind="") for _ in cases])
    entry = Entry(both.id, 0, 2, "wrong", "", "", public)
    page = feedback.page(assignment, "ada", Result(assignment.name, "", "", (entry,), (), made.notebook))
    assert page.count("no result") == len(cases)
