"""The self-quiz that ends each lecture: its form, and how it answers in a browser."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
STATIC = ROOT / "book/_static"
LECTURES = sorted(ROOT.glob("notebooks/*.ipynb"))
lectures = pytest.mark.parametrize("path", LECTURES, ids=lambda path: path.stem)

QUESTION = re.compile(r"^\*\*(\d)\.\*\* ", re.MULTILINE)
CHOICE = re.compile(r"<details><summary>([^\n]+)</summary>\n\n\*\*(Right|No)\.\*\* (.+?)\n\n</details>", re.DOTALL)


class Choice(NamedTuple):
    text: str
    right: bool
    reply: str


def markdown(path: Path) -> str:
    (cell,) = (c for c in json.loads(path.read_text(encoding="utf-8"))["cells"] if c["id"] == "quiz")
    return "".join(cell["source"])


def questions(text: str) -> list[list[Choice]]:
    """The choices of each question; a ValueError where the form is another."""
    head, *parts = QUESTION.split(text)
    if parts[::2] != list("12345") or not re.search(r"^## Five questions to yourself$", head, re.MULTILINE):
        raise ValueError("expected the title `## Five questions to yourself` and questions **1.** to **5.**")
    found = []
    for number, part in zip(parts[::2], parts[1::2], strict=True):
        rest = CHOICE.sub("", part)
        if "details" in rest or not rest.strip():
            raise ValueError(f"question {number}: a choice does not have the form of CONTRIBUTING.md")
        found.append([Choice(text, said == "Right", reply) for text, said, reply in CHOICE.findall(part)])
    return found


@lectures
def test_five_questions_with_one_right_choice_and_a_reply_for_each(path):
    asked = questions(markdown(path))
    for number, choices in enumerate(asked, 1):
        assert 3 <= len(choices) <= 5, number
        assert sum(choice.right for choice in choices) == 1, number
        assert all(len(choice.reply.split()) >= 4 for choice in choices), f"question {number}: a reply says too little"
        assert all("$" not in c.text and "`" not in c.text for c in choices), (
            "a summary is HTML: <code>, <sup>, Unicode"
        )
    replies = [choice.reply for choices in asked for choice in choices]
    assert len(set(replies)) == len(replies), "each choice has its own reply"


@lectures
def test_the_form_does_not_give_the_answer_away(path):
    asked = questions(markdown(path))
    places = [[choice.right for choice in choices].index(True) for choices in asked]
    assert len(set(places)) >= 3, "the right choices stand in two places only"
    longest = sum(max(choices, key=lambda choice: len(choice.text)).right for choices in asked)
    assert longest <= 3, f"the right choice is the longest in {longest} of 5 questions"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("## Five questions to yourself", "## Quiz"),
        ("**2.** ", "**3.** "),
        ("**Right.** ", ""),
        ("</summary>\n\n", "</summary>\n"),
    ],
)
def test_another_form_is_noticed(old, new):
    with pytest.raises(ValueError, match=r"expected the title|does not have the form"):
        questions(markdown(ROOT / "notebooks/02_backprop.ipynb").replace(old, new, 1))


# ------------------------------------------------------------------------------------------------- in the browser

INK, PAPER = {"light": "#212529", "dark": "#ced6dd"}, {"light": "#ffffff", "dark": "#121212"}


@pytest.fixture
def show(browser):
    """Open a lecture's quiz as the website shows it; nothing may be requested, no script may fail."""
    markdown_it = pytest.importorskip("markdown_it", reason="needs the extra `book`")
    contexts, trouble = [], []

    def open_page(path: Path, *, script: bool = True, scheme: str = "light", **options):
        contexts.append(browser.new_context(java_script_enabled=script, **options))
        page = contexts[-1].new_page()
        page.on("request", lambda request: trouble.append(f"requested {request.url}"))
        page.on("pageerror", lambda error: trouble.append(f"script failed: {error}"))
        style = (STATIC / "course.css").read_text(encoding="utf-8")
        colours = f":root {{ --pst-color-border: #777; --pst-color-accent: #0072B2; color: {INK[scheme]}; "
        page.set_content(
            f"<!doctype html><html lang=en><style>{colours} background: {PAPER[scheme]} }} {style}</style>"
            f"<body><section class=quiz>{markdown_it.MarkdownIt().render(markdown(path))}</section>"
            f"<script>{(STATIC / 'quiz.js').read_text(encoding='utf-8')}</script></body></html>"
        )
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert trouble == []


def focused(page) -> str:
    return page.evaluate("document.activeElement.textContent")


@pytest.mark.browser
@lectures
def test_the_keyboard_alone_answers_and_the_score_counts_first_tries(show, path):
    page = show(path)
    asked = questions(markdown(path))
    score = page.get_by_role("status")
    assert score.inner_text() == "0 of 5 answered, 0 right at the first try."
    number = 0
    for at, choices in enumerate(
        asked
    ):  # the first two at once right; of the others a wrong choice, then the right one
        for choice in choices:
            page.keyboard.press("Tab")
            box = page.locator("details").nth(number)
            number += 1
            assert focused(page) == box.locator("summary").text_content()
            if choice.right == (at < 2):
                page.keyboard.press("Enter")
                assert box.evaluate("box => box.open")
                assert box.locator("p").first.is_visible()
                assert box.locator("p").first.inner_text().startswith("Right. " if choice.right else "No. ")
    assert score.inner_text() == "5 of 5 answered, 2 right at the first try."
    for box in page.locator("details").all():
        if not box.evaluate("box => box.open"):
            box.locator("summary").click()
    page.wait_for_function("document.querySelectorAll('details:not([open])').length === 0")
    assert score.inner_text() == "5 of 5 answered, 2 right at the first try.", "second tries do not count"
    assert page.locator("details.first").count() == 5
    page.get_by_role("button", name="Start again").press("Enter")
    assert page.locator("details[open]").count() == page.locator("details.first").count() == 0
    assert score.inner_text().startswith("0 of 5 answered")
    assert focused(page) == page.locator("summary").first.text_content()


@pytest.mark.browser
def test_it_answers_without_a_script(show):
    page = show(LECTURES[0], script=False)
    box = page.locator("details").first
    assert not box.locator("p").first.is_visible()
    box.locator("summary").press("Enter")
    assert box.locator("p").first.is_visible()


@pytest.mark.browser
@lectures
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_takes_the_colours_of_the_page(show, path, scheme):
    page = show(path, scheme=scheme, viewport={"width": 360, "height": 800})
    for summary in page.locator("summary").all():
        summary.click()
        assert summary.bounding_box()["height"] >= 36, "too small for a finger"
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    ink = tuple(int(INK[scheme][i : i + 2], 16) for i in (1, 3, 5))
    colours = page.locator("summary, details p, .quiz-score, .quiz-score button").evaluate_all(
        "all => [...new Set(all.map(e => getComputedStyle(e).color))]"
    )
    assert colours == [f"rgb{ink}"], "right and wrong are said in words, not in colours"
