"""Chapter 14's interactive figure in a browser: it shows the weights that it was given, and the keyboard is enough."""

from __future__ import annotations

import numpy as np
import pytest

from dlcourse import attention, plot

pytestmark = pytest.mark.browser

TOKENS = list("to be")
RNG = np.random.default_rng(0)
WEIGHTS = attention.masked_softmax(2 * RNG.normal(size=(3, 5, 5)), attention.causal_mask(5)).round(3)
HEADS = [{"name": f"head {h}", "weights": w.tolist()} for h, w in enumerate(WEIGHTS, 1)]


@pytest.fixture
def page(browser):
    """A page with the figure twice; nothing may be requested, no script may fail."""
    context, trouble = browser.new_context(viewport={"width": 390, "height": 800}), []
    page = context.new_page()
    page.on("request", lambda request: trouble.append(f"requested {request.url}"))
    page.on("pageerror", lambda error: trouble.append(f"script failed: {error}"))
    one = plot.widget("attention_heads", tokens=TOKENS, heads=HEADS, query=4).svg
    page.set_content(f"<!doctype html><html><body>{one}{one}</body></html>")
    yield page
    context.close()
    assert trouble == []


def shown(page) -> np.ndarray:
    buttons = page.locator(".dlc-heads").first.locator(".dlc-heads-token")
    return np.array(buttons.evaluate_all("all => all.map(b => Number(b.dataset.weight))"))


def test_every_head_and_query_shows_its_weights(page):
    figure = page.locator(".dlc-heads").first
    for h in range(3):
        figure.get_by_label("Head", exact=True).select_option(str(h))
        for q in range(5):
            figure.locator(".dlc-heads-token").nth(q).click()
            np.testing.assert_allclose(shown(page), WEIGHTS[h, q])
            told = figure.locator(".dlc-heads-text").inner_text()
            best = int(WEIGHTS[h, q].argmax())
            name = "\u2423" if TOKENS[best] == " " else TOKENS[best]
            assert told.startswith(f"head {h + 1}: ")
            assert f"takes most from “{name}” ({best + 1}) {WEIGHTS[h, q, best]:.2f}" in told
            assert figure.locator("[aria-pressed=true]").count() == 1


def test_the_keyboard_is_enough(page):
    np.testing.assert_allclose(shown(page), WEIGHTS[0, 4])
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    np.testing.assert_allclose(shown(page), WEIGHTS[1, 4])
    page.keyboard.press("Tab")
    for key, query in (("ArrowLeft", 3), ("Home", 0), ("ArrowLeft", 0), ("ArrowRight", 1), ("End", 4)):
        page.keyboard.press(key)
        np.testing.assert_allclose(shown(page), WEIGHTS[1, query])
        focused = page.evaluate("document.activeElement.getAttribute('aria-label')")
        assert f"({query + 1})" in focused and f"weight {WEIGHTS[1, query, query]:.2f}" in focused


def test_two_figures_do_not_disturb_each_other(page):
    page.locator(".dlc-heads").nth(1).locator(".dlc-heads-token").first.click()
    np.testing.assert_allclose(shown(page), WEIGHTS[0, 4])


def test_it_fits_a_phone(page):
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
