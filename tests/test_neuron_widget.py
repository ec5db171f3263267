"""Chapter 01's interactive figure in a browser: its numbers are dlcourse.neuron's, and the keyboard is enough."""

from __future__ import annotations

import numpy as np
import pytest

from dlcourse import neuron, plot

pytestmark = pytest.mark.browser

rng = np.random.default_rng(0)
CLOUDS = {"name": "clouds", "x": rng.normal(0, 1.2, (30, 2)).round(3).tolist(), "t": rng.choice([-1, 1], 30).tolist()}
XOR = {"name": "XOR", "x": [[0, 0], [0, 1], [1, 0], [1, 1]], "t": [-1, 1, 1, -1]}
PARTS = ("value", "dw1", "dw2", "db")


@pytest.fixture
def show(browser):
    """Open a page with one figure for each dictionary of parameters; nothing may be requested, no script may fail."""
    contexts, trouble = [], []

    def open_page(*parameters: dict, **options):
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.on("request", lambda request: trouble.append(f"requested {request.url}"))
        page.on("pageerror", lambda error: trouble.append(f"script failed: {error}"))
        figures = "".join(plot.widget("neuron_playground", **p).svg for p in parameters)
        page.set_content(f"<!doctype html><html><body><p>text</p>{figures}</body></html>")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert trouble == []


def number(page, part, figure=0) -> float:
    cell = page.locator(".dlc-neuron").nth(figure).locator(f".dlc-neuron-{part}[data-value]")
    return float(cell.get_attribute("data-value"))


def numbers(page, figure=0) -> list[float]:
    return [number(page, part, figure) for part in PARTS]


def expected(data, w, b, **options) -> list[float]:
    value, dw, db = neuron.objective(np.array(data["x"], float), data["t"], np.array(w, float), b, **options)
    return [value, *dw, db]


@pytest.mark.parametrize("loss", neuron.LOSSES)
@pytest.mark.parametrize("data", [XOR, CLOUDS], ids=lambda data: data["name"])
def test_numbers_are_those_of_the_course(show, data, loss):
    page = show({"sets": [XOR, CLOUDS]})
    page.get_by_label("Data", exact=True).select_option(data["name"])
    page.get_by_label("Loss", exact=True).select_option(loss)
    for w, b, lam in [([1, -0.5], 0, "0"), ([-3.95, 2.2], 1.5, "0.1"), ([0, 0], 0, "1"), ([4, 4], -4, "0.01")]:
        page.get_by_label("λ", exact=True).select_option(lam)
        for label, value in (("Weight w1", w[0]), ("Weight w2", w[1]), ("Bias b", b)):
            page.get_by_label(label, exact=True).fill(str(value))
        np.testing.assert_allclose(
            numbers(page), expected(data, w, b, loss=loss, lam=float(lam)), rtol=1e-9, atol=1e-12
        )
        assert number(page, "empirical") + number(page, "penalty") == pytest.approx(number(page, "value"))
        right = np.mean(neuron.predict(np.array(data["x"], float), np.array(w, float), b) == data["t"]) * len(data["t"])
        assert (
            f"{right:.0f} of {len(data['t'])} points are on their side" in page.locator(".dlc-neuron-text").inner_text()
        )
        crosses = page.locator(".dlc-neuron-data g:not(.dlc-neuron-handle) path").count()
        assert crosses == len(data["t"]) - right, "each point on the wrong side is crossed out"


def test_steps_are_those_of_gradient_descent(show):
    options = {"loss": "logistic", "lam": 0.1}
    page = show({"sets": [CLOUDS], "w": [2, 1], "b": -1, "lr": 1, **options})
    x = np.array(CLOUDS["x"])
    start = np.array([2.0, 1.0]), np.array(-1.0)

    def f(w, b):
        return neuron.objective(x, CLOUDS["t"], w, b, **options)

    page.get_by_role("button", name="One step downhill").click()
    _, values = neuron.gradient_descent(f, start, lr=1, steps=51)
    assert number(page, "value") == pytest.approx(values[1], rel=1e-9)
    assert "after 1 step." in page.locator(".dlc-neuron-text").inner_text()
    page.get_by_role("button", name="50 steps").click()
    assert number(page, "value") == pytest.approx(values[51], rel=1e-9)
    page.get_by_role("button", name="Start again").click()
    assert number(page, "value") == pytest.approx(values[0], rel=1e-9)


def test_too_large_a_learning_rate_ends_in_large_numbers_and_not_in_none(show):
    page = show({"sets": [CLOUDS], "loss": "squared", "lr": 3})
    for _ in range(4):
        page.get_by_role("button", name="50 steps").click()
    assert np.isfinite(numbers(page)).all() and number(page, "value") > 1e6


def drag(page, handle, dx, dy):
    box = page.locator(handle).bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + dx, y + dy, steps=4)
    page.mouse.up()


def test_dragging_the_weights_and_the_line(show):
    page = show({"sets": [CLOUDS], "w": [1, -0.5], "b": 0, "loss": "hinge"}, viewport={"width": 1000, "height": 900})
    unit = page.locator(".dlc-neuron-data").bounding_box()["width"] / 8
    drag(page, ".dlc-neuron-w", unit, -2 * unit)  # one to the right, two up
    w = [float(page.locator("output").nth(i).inner_text().replace("−", "-")) for i in (0, 1, 2)]
    np.testing.assert_allclose(w, [2, 1.5, 0], atol=0.06)
    drag(page, ".dlc-neuron-dot", -unit, 0)
    w = [float(page.locator("output").nth(i).inner_text().replace("−", "-")) for i in (0, 1, 2)]
    np.testing.assert_allclose(w, [1, 1.5, 0], atol=0.12)
    drag(page, ".dlc-neuron-b", unit, 1.5 * -unit)  # along w: the line moves by |w| and b by -|w|²
    b = float(page.locator("output").nth(2).inner_text().replace("−", "-"))
    assert b == pytest.approx(-(w[0] * 1 + w[1] * 1.5), abs=0.2)
    np.testing.assert_allclose(numbers(page), expected(CLOUDS, w[:2], b, loss="hinge"), rtol=1e-6, atol=1e-9)


def test_the_keyboard_alone_is_enough(show):
    page = show({"sets": [XOR, CLOUDS], "w": [1, 1], "b": 0})
    page.get_by_label("Data").focus()
    seen = []
    for _ in range(10):
        seen.append(page.evaluate("document.activeElement.ariaLabel || document.activeElement.parentNode.textContent"))
        label = seen[-1]
        if label == "Weight w1":
            for _ in range(4):
                page.keyboard.press("ArrowRight")
        if label == "Bias b":
            page.keyboard.press("ArrowLeft")
        page.keyboard.press("Tab")
    assert {"Weight w1", "Weight w2", "Bias b"} < set(seen)
    np.testing.assert_allclose(numbers(page), expected(XOR, [1.2, 1], -0.05, loss="logistic"), rtol=1e-9)
    page.get_by_role("button", name="One step downhill").press("Enter")
    assert "after 1 step." in page.locator(".dlc-neuron-text").inner_text()
    assert page.locator("[aria-live=polite].dlc-neuron-text").count() == 1
    for svg in page.locator(".dlc-neuron svg").all():
        assert svg.get_attribute("role") == "img" and len(svg.get_attribute("aria-label").split()) > 8


def test_the_arrow_points_downhill_and_the_line_is_where_the_score_is_zero(show):
    page = show({"sets": [CLOUDS], "w": [2, 0], "b": -2})
    path = page.locator(".dlc-neuron-data > path").nth(2).get_attribute("d")  # axes, margins, line
    (x0, _), (x1, _) = (map(float, p.split()) for p in path[1:].split("L"))
    assert x0 == x1 == pytest.approx((1 + 4) / 8 * 300), "2 x1 - 2 = 0 is the upright line at x1 = 1"
    arrow = page.locator(".dlc-neuron-space path").nth(1).get_attribute("d")
    tail, head = (np.array(p.split("M")[0].split(), float) for p in arrow[1:].split("L")[:2])
    step = (head - tail) * [1, -1] / 300 * 8
    np.testing.assert_allclose(step, [-3 * number(page, "dw1"), -3 * number(page, "dw2")], rtol=1e-6)


def test_several_figures_on_a_page_do_not_meddle(show):
    page = show({"sets": [XOR], "loss": "squared"}, {"sets": [CLOUDS], "loss": "hinge", "w": [2, 2]})
    page.locator(".dlc-neuron").nth(0).get_by_role("button", name="One step downhill").click()
    np.testing.assert_allclose(numbers(page, 1), expected(CLOUDS, [2, 2], 0, loss="hinge"), rtol=1e-9)
    assert "1 step" not in page.locator(".dlc-neuron-text").nth(1).inner_text()
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_is_readable_in_light_and_dark(show, width, scheme):
    page = show({"sets": [CLOUDS]}, viewport={"width": width, "height": 800})
    ink, paper = ("rgb(33, 37, 41)", "#ffffff") if scheme == "light" else ("rgb(206, 214, 221)", "#121212")
    page.add_style_tag(content=f"body {{ color: {ink}; background: {paper}; font-family: sans-serif }}")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    colours = page.locator(".dlc-neuron button, .dlc-neuron select, .dlc-neuron th, .dlc-neuron td, .dlc-neuron label")
    assert colours.evaluate_all("all => [...new Set(all.map(e => getComputedStyle(e).color))]") == [ink]
    panels = page.locator(".dlc-neuron-panel").evaluate_all("all => all.map(p => p.getBoundingClientRect().right)")
    assert max(panels) <= width
