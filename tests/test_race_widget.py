"""Chapter 05's race in a browser: its numbers are dlcourse.optim's, it plays, and the keyboard is enough."""

from __future__ import annotations

import numpy as np
import pytest

from dlcourse import optim, plot

pytestmark = pytest.mark.browser

STEPS = 30
RULES = {
    "gradient descent": (optim.sgd_step, 0.002),
    "Adam": (optim.adam_step, 0.1),
    "Adagrad": (optim.adagrad_step, 0.5),
}


def surface(name):
    s, racers = optim.SURFACES[name], []
    for rule, (step, lr) in RULES.items():
        path = optim.descend(s, step, STEPS, lr=lr)
        heights = s.f(path) - s.lowest
        racers.append({"name": rule, "lr": lr, "path": path.tolist(), "heights": heights.tolist()})
    contours = [[[s.box[0], s.box[2]], [s.box[1], s.box[3]]]]
    return {"name": name, "box": s.box, "minima": s.minima.tolist(), "contours": contours, "racers": racers}


@pytest.fixture
def show(browser):
    """Open a page with the figure; nothing may be requested, no script may fail."""
    contexts, trouble = [], []

    def open_page(count=1, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: trouble.append(f"requested {request.url}"))
        page.on("pageerror", lambda error: trouble.append(f"script failed: {error}"))
        figure = plot.widget("optim_race", surfaces=[surface("Beale"), surface("saddle")]).svg
        page.set_content(f"<!doctype html><html><body><p>text</p>{figure * count}</body></html>")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert trouble == []


def step(page, figure=0) -> int:
    return int(page.locator(".dlc-race output").nth(figure).inner_text())


def heights(page) -> list[float]:
    return page.locator(".dlc-race-height").evaluate_all("cells => cells.map(c => Number(c.dataset.value))")


def test_numbers_are_those_of_the_course(show):
    page = show()
    for name in ("Beale", "saddle"):
        page.get_by_label("Surface", exact=True).select_option(name)
        assert step(page) == 0
        for at in (0, 1, 17, STEPS):
            page.get_by_label("Step", exact=True).fill(str(at))
            expected = [racer["heights"][at] for racer in surface(name)["racers"]]
            np.testing.assert_allclose(heights(page), expected, rtol=1e-12)
            first = f"lowest is {min(zip(expected, RULES, strict=True))[1]}" if at else "all stand at the start"
            words = page.locator(".dlc-race-text").inner_text()
            assert words.startswith(f"Step {at} of {STEPS} on the surface {name}: {first}, ")


def test_marks_stand_where_the_paths_are(show):
    page = show()
    page.get_by_role("button", name="End").click()
    box, view = surface("Beale")["box"], page.locator(".dlc-race-field").get_attribute("viewBox").split()
    width, height = map(float, view[2:])
    marks = page.locator(".dlc-race-racer > path:last-child").evaluate_all(
        "all => all.map(m => m.getAttribute('transform'))"
    )
    for mark, racer in zip(marks, surface("Beale")["racers"], strict=True):
        x, y = map(float, mark.removeprefix("translate(").removesuffix(")").split())
        path = racer["path"][-1]
        assert x == pytest.approx((path[0] - box[0]) / (box[1] - box[0]) * width)
        assert y == pytest.approx((box[3] - path[1]) / (box[3] - box[2]) * height, abs=0.1)


def test_play_pause_and_the_end(show):
    page = show()
    page.clock.install()
    play = page.locator(".dlc-race-play")
    play.click()
    page.clock.run_for(310)
    assert 5 <= step(page) < STEPS and play.inner_text() == "Pause"  # time goes on between two commands
    play.click()
    reached = step(page)
    page.clock.run_for(3000)
    assert step(page) == reached and play.inner_text() == "Play"
    page.get_by_label("Speed", exact=True).select_option("fast")
    play.click()
    page.clock.run_for(20_000)
    assert step(page) == STEPS and play.inner_text() == "Play"
    assert f"Step {STEPS} of {STEPS}" in page.locator(".dlc-race-text").inner_text()
    play.click()  # from the start again
    page.clock.run_for(70)
    assert 0 < step(page) < STEPS


def test_keyboard_alone_is_enough(show):
    page = show()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.ariaLabel") == "Surface"
    page.keyboard.press("ArrowDown")
    assert "surface saddle" in page.locator(".dlc-race-text").inner_text()
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.ariaLabel") == "Step":
            break
    for key, at in [("ArrowRight", 1), ("ArrowRight", 2), ("End", STEPS), ("ArrowLeft", STEPS - 1), ("Home", 0)]:
        page.keyboard.press(key)
        assert step(page) == at
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")  # the button "End"
    assert step(page) == STEPS
    unlabelled = page.evaluate(
        "[...document.querySelectorAll('input, select, button')]"
        ".filter(e => !(e.ariaLabel || e.textContent.trim() || e.closest('label')?.textContent.trim()))"
        ".map(e => e.outerHTML)"
    )
    assert unlabelled == []
    assert page.locator("[aria-live=polite].dlc-race-text").count() == 1


def test_optimisers_can_be_hidden(show):
    page = show()
    page.get_by_label("Adam", exact=True).uncheck()
    assert page.locator(".dlc-race-racer:visible").count() == 2
    page.get_by_label("Surface", exact=True).select_option("saddle")
    assert not page.get_by_label("Adam", exact=True).is_checked()
    page.get_by_label("gradient descent", exact=True).uncheck()
    page.get_by_label("Adagrad", exact=True).uncheck()
    assert "all optimisers are hidden" in page.locator(".dlc-race-text").inner_text()


def test_colour_is_never_alone(show):
    page = show()
    shapes = page.locator(".dlc-race-racer > path:last-child").evaluate_all("all => all.map(m => m.getAttribute('d'))")
    dashes = page.locator(".dlc-race-racer > path:first-child").evaluate_all(
        "all => all.map(m => m.getAttribute('stroke-dasharray'))"
    )
    assert len(set(shapes)) == len(set(dashes)) == len(RULES)


def test_nothing_moves_where_the_reader_asked_for_that(show):
    page = show(reduced_motion="reduce")
    assert not page.locator(".dlc-race-play").is_visible() and not page.get_by_label("Speed").is_visible()
    page.clock.install()
    page.get_by_role("button", name="Step").click()
    page.clock.run_for(5000)
    assert step(page) == 1
    page.get_by_role("button", name="End").click()
    assert step(page) == STEPS


def test_several_figures_on_a_page_do_not_meddle(show):
    page = show(count=2)
    page.locator(".dlc-race-end").nth(1).click()
    assert (step(page, 0), step(page, 1)) == (0, STEPS)
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_is_readable_in_light_and_dark(show, width, scheme):
    page = show(viewport={"width": width, "height": 800})
    ink, paper = ("rgb(33, 37, 41)", "#ffffff") if scheme == "light" else ("rgb(206, 214, 221)", "#121212")
    page.add_style_tag(content=f"body {{ color: {ink}; background: {paper}; font-family: sans-serif }}")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    colours = page.locator(".dlc-race th, .dlc-race td, .dlc-race button, .dlc-race select, .dlc-race p").evaluate_all(
        "all => [...new Set(all.map(e => getComputedStyle(e).color))]"
    )
    assert colours == [ink]
