"""Chapter 18's animation in a browser: its frames are the sampler's, it plays, and the keyboard is enough."""

from __future__ import annotations

import numpy as np
import pytest

from dlcourse import diffusion, plot

pytestmark = pytest.mark.browser

STEPS = 12
BARS = diffusion.alpha_bars(diffusion.cosine_betas(60))
TIMES = diffusion.spaced(60, STEPS)
RNG = np.random.default_rng(0)
MIXTURE = ([0.5, 0.5], [[-1.5, 0], [1.5, 1]], [0.05, 0.05])
POINTS = np.array(
    list(diffusion.ddim_path(diffusion.mixture_noise(*MIXTURE, BARS), RNG.standard_normal((20, 2)), BARS, steps=STEPS))
)
LEVELS = RNG.integers(0, 10, (STEPS + 1, 10, 64))


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
        digits = [["".join(map(str, image)) for image in frame] for frame in LEVELS]
        figure = plot.widget(
            "diffusion", times=TIMES.tolist(), signal=BARS[TIMES].tolist(), points=POINTS.round(3).tolist(),
            digits=digits, labels=list(range(10)),
        ).svg  # fmt: skip
        page.set_content(f"<!doctype html><html><body><p>text</p>{figure * count}</body></html>")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert trouble == []


def step(page, figure=0) -> int:
    return int(page.locator(".dlc-diffusion output").nth(figure).inner_text().split()[0])


def test_frames_are_the_sampler_s(show):
    page = show()
    for at in (0, 5, STEPS):
        page.get_by_label("Step of the sampler").fill(str(at))
        centres = page.locator(".dlc-diffusion-points circle").evaluate_all(
            "all => all.map(c => [Number(c.getAttribute('cx')), Number(c.getAttribute('cy'))])"
        )
        wanted = np.stack([(POINTS[at, :, 0] + 3) * 40, (3 - POINTS[at, :, 1]) * 40], axis=1)
        np.testing.assert_allclose(centres, wanted, atol=0.1)
        ink = page.locator(".dlc-diffusion-digits rect[fill=currentColor]").evaluate_all(
            "all => all.map(r => Number(r.getAttribute('fill-opacity')))"
        )
        np.testing.assert_allclose(ink, LEVELS[at].ravel() / 9, atol=1e-6)
        assert f"Time t = {TIMES[at]} of 60" in page.locator(".dlc-diffusion-text").inner_text()
    assert "all is data" in page.locator(".dlc-diffusion-text").inner_text()


def test_play_pause_and_the_end(show):
    page = show()
    page.clock.install()
    play = page.locator(".dlc-diffusion-play")
    play.click()
    page.clock.run_for(370)
    assert 2 <= step(page) < STEPS and play.inner_text() == "Pause"
    play.click()
    reached = step(page)
    page.clock.run_for(3000)
    assert step(page) == reached and play.inner_text() == "Play"
    play.click()
    page.clock.run_for(20_000)
    assert step(page) == STEPS and play.inner_text() == "Play"
    play.click()  # from the start again
    page.clock.run_for(130)
    assert 0 < step(page) < STEPS


def test_keyboard_alone_is_enough(show):
    page = show()
    for _ in range(8):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.ariaLabel") == "Step of the sampler":
            break
    for key, at in [("ArrowRight", 1), ("ArrowRight", 2), ("End", STEPS), ("ArrowLeft", STEPS - 1), ("Home", 0)]:
        page.keyboard.press(key)
        assert step(page) == at
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")  # the button "Data"
    assert step(page) == STEPS
    assert page.locator("[aria-live=polite].dlc-diffusion-text").count() == 1
    assert page.locator(".dlc-diffusion svg[role=img][aria-label]").count() == 2


def test_nothing_moves_where_the_reader_asked_for_that(show):
    page = show(reduced_motion="reduce")
    assert not page.locator(".dlc-diffusion-play").is_visible()
    page.clock.install()
    page.get_by_role("button", name="Step").click()
    page.clock.run_for(5000)
    assert step(page) == 1
    page.get_by_role("button", name="Data").click()
    assert step(page) == STEPS


def test_several_figures_on_a_page_do_not_meddle(show):
    page = show(count=2)
    page.locator(".dlc-diffusion-end").nth(1).click()
    assert (step(page, 0), step(page, 1)) == (0, STEPS)


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_is_readable_in_light_and_dark(show, width, scheme):
    page = show(viewport={"width": width, "height": 800})
    ink, paper = ("rgb(33, 37, 41)", "#ffffff") if scheme == "light" else ("rgb(206, 214, 221)", "#121212")
    page.add_style_tag(content=f"body {{ color: {ink}; background: {paper}; font-family: sans-serif }}")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    colours = page.locator(".dlc-diffusion button, .dlc-diffusion p").evaluate_all(
        "all => [...new Set(all.map(e => getComputedStyle(e).color))]"
    )
    assert colours == [ink]
