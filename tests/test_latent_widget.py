"""Chapter 16's interactive figure in a browser: it paints what the decoder gives, and the keyboard is enough."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from dlcourse import plot

pytestmark = pytest.mark.browser

RNG = np.random.default_rng(0)
SIZES = (2, 5, 4, 12)
LAYERS = [(RNG.normal(size=shape), RNG.normal(size=shape[1])) for shape in itertools.pairwise(SIZES)]
POINTS = [{"z": z, "label": label} for z, label in (([1.0, 0.5], "3"), ([-1.0, 2.0], "8"), ([0.2, -1.5], "3"))]


def decoded(z):
    x = np.array(z, float)
    for i, (w, b) in enumerate(LAYERS):
        x = x @ w + b
        x = np.maximum(x, 0) if i < len(LAYERS) - 1 else 1 / (1 + np.exp(-x))
    return x


@pytest.fixture
def page(browser):
    """A page with the figure twice; nothing may be requested, no script may fail."""
    context, trouble = browser.new_context(viewport={"width": 390, "height": 900}), []
    page = context.new_page()
    page.on("request", lambda request: trouble.append(f"requested {request.url}"))
    page.on("pageerror", lambda error: trouble.append(f"script failed: {error}"))
    layers = [{"w": w.tolist(), "b": b.tolist()} for w, b in LAYERS]
    one = plot.widget("latent_map", layers=layers, shape=[3, 4], points=POINTS, reach=3, ends=[0, 1]).svg
    page.set_content(f"<!doctype html><html><body>{one}{one}</body></html>")
    yield page
    context.close()
    assert trouble == []


def shown(page, number=0) -> np.ndarray:
    pixels = page.locator(".dlc-latent").nth(number).locator(".dlc-latent-image rect")
    return np.array(pixels.evaluate_all("all => all.map(p => Number(p.dataset.value))"))


def set_to(page, name, value):
    control = page.locator(".dlc-latent").first.get_by_label(name, exact=True)
    control.evaluate("(node, value) => { node.value = value; node.dispatchEvent(new Event('input')) }", value)


def test_it_begins_at_the_first_end_and_walks_to_the_second(page):
    np.testing.assert_allclose(shown(page), decoded([1, 0.5]), atol=1e-4)
    for t in (0.5, 1):
        set_to(page, "on the way", t)
        np.testing.assert_allclose(shown(page), decoded([1 - 2 * t, 0.5 + 1.5 * t]), atol=1e-4)
    assert "100% of the way from 3 to 8" in page.locator(".dlc-latent-text").first.inner_text()


def test_the_other_ends_are_the_first_point_of_each_label(page):
    figure = page.locator(".dlc-latent").first
    assert figure.get_by_label("to", exact=True).locator("option").all_inner_texts() == ["3", "8"]
    figure.get_by_label("from", exact=True).select_option("1")
    np.testing.assert_allclose(shown(page), decoded([-1, 2]), atol=1e-4)


def test_a_click_in_the_plane_decodes_that_place(page):
    plane = page.locator(".dlc-latent-map").first
    box = plane.bounding_box()
    plane.click(position={"x": 0.75 * box["width"], "y": 0.25 * box["height"]})
    np.testing.assert_allclose(shown(page), decoded([1.5, 1.5]), atol=0.03)
    assert "z = (1.5" in page.locator(".dlc-latent-text").first.inner_text()
    np.testing.assert_allclose(shown(page, 1), decoded([1, 0.5]), atol=1e-4)  # the other figure stays


def test_the_keyboard_is_enough(page):
    page.keyboard.press("Tab")
    for key in ("ArrowRight", "ArrowUp", "ArrowUp", "ArrowLeft", "ArrowDown"):
        page.keyboard.press(key)
    np.testing.assert_allclose(shown(page), decoded([1, 0.6]), atol=1e-4)
    set_to(page, "z\u2081", -3)
    np.testing.assert_allclose(shown(page), decoded([-3, 0.6]), atol=1e-4)
    page.locator(".dlc-latent-map").first.focus()
    page.keyboard.press("ArrowLeft")  # no further than the edge
    np.testing.assert_allclose(shown(page), decoded([-3, 0.6]), atol=1e-4)


def test_what_it_says_has_the_nearest_digits(page):
    set_to(page, "z\u2081", -1)
    set_to(page, "z\u2082", 2)
    assert page.locator(".dlc-latent-text").first.inner_text().endswith("The nearest encoded digits: 8, 3, 3.")


def test_it_fits_a_phone(page):
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
