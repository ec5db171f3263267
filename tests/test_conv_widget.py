"""Chapter 08's interactive figure in a browser: its numbers are dlcourse.conv's, and the keyboard is enough."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from dlcourse import conv, plot

pytestmark = pytest.mark.browser

KERNELS = {
    "identity": np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]]) / 1,
    "edge (left to right)": np.array([[-1, 0, 1]] * 3) / 1,
    "Laplacian": np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]]) / 1,
    "box blur": np.ones((3, 3)) / 9,
    "Gaussian blur": np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16,
    "sharpen": np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]]) / 1,
}
IMAGE = np.random.default_rng(0).integers(0, 10, size=(8, 7)).tolist()


@pytest.fixture
def show(browser):
    """Open a page with one figure for each dictionary of parameters; nothing may be requested, no script may fail."""
    contexts, trouble = [], []

    def open_page(*parameters: dict, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: trouble.append(f"requested {request.url}"))
        page.on("pageerror", lambda error: trouble.append(f"script failed: {error}"))
        figures = "".join(plot.widget("conv_stepper", **p).svg for p in parameters)
        page.set_content(f"<!doctype html><html><body><p>text</p>{figures}</body></html>")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert trouble == []


def filled(page, figure=0) -> np.ndarray:
    """The numbers in the output's filled cells, in reading order."""
    return np.array(
        page.locator(".dlc-conv")
        .nth(figure)
        .locator(".dlc-conv-out [data-value]")
        .evaluate_all("cells => cells.map(cell => Number(cell.dataset.value))")
    )


def text(page, figure=0) -> str:
    return page.locator(".dlc-conv-text").nth(figure).inner_text()


def expected(image, kernel, **options) -> np.ndarray:
    x, w = np.asarray(image, float)[None, None], np.asarray(kernel, float)[None, None]
    return conv.conv2d_forward(x, w, **options)[0][0, 0]


@pytest.mark.parametrize("kernel", KERNELS)
def test_numbers_are_those_of_the_course(show, kernel):
    page = show({"image": IMAGE, "kernel": kernel})
    for stride, padding, dilation in itertools.product([1, 2, 3], [0, 1, 2], [1, 2]):
        for label, value in (("Stride", stride), ("Padding", padding), ("Dilation", dilation)):
            page.get_by_label(label, exact=True).select_option(str(value))
        page.get_by_role("button", name="Fill all").click()
        out = expected(IMAGE, KERNELS[kernel], stride=stride, padding=padding, dilation=dilation)
        np.testing.assert_allclose(filled(page), out.ravel(), rtol=1e-12, atol=1e-12)
        assert page.locator(".dlc-conv-out .dlc-conv-title").inner_text() == f"Output, {out.shape[0]} × {out.shape[1]}"
        shown = page.locator(".dlc-conv-out .dlc-conv-cell").all_inner_texts()
        np.testing.assert_allclose([float(s.replace("−", "-")) for s in shown], out.ravel(), atol=0.00501)


def test_options_reach_the_figure_and_the_sum_is_spelled_out(show):
    page = show({"image": [[1, 2, 3], [4, 5, 6], [7, 8, 9]], "kernel": "box blur", "stride": 2, "padding": 1})
    assert text(page) == (
        "Output row 0, column 0: 0·1 + 0·1 + 0·1 + 0·1 + 1·1 + 2·1 + 0·1 + 4·1 + 5·1 = 12, divided by 9: 1.33."
    )
    size = page.locator(".dlc-conv-size").inner_text()
    assert size == "Output size (W − F + 2P) / S + 1: (3 − 3 + 2·1) / 2 + 1 = 2."
    products = page.locator(".dlc-conv-products .dlc-conv-cell").all_inner_texts()
    assert products == ["0", "0", "0", "0", "1", "2", "0", "4", "5"]


def test_a_size_that_does_not_divide_is_rounded_down_and_said(show):
    page = show({"stride": 3, "padding": 1})
    size = page.locator(".dlc-conv-size").inner_text()
    assert "(7 − 3 + 2·1) / 3 + 1 = 3" in size and "rounded" not in size
    page.get_by_label("Padding", exact=True).select_option("2")
    size = page.locator(".dlc-conv-size").inner_text()
    assert "(7 − 3 + 2·2) / 3 + 1 = 3.67, rounded down: 3" in size
    assert "The last 2 columns are never looked at." in size


def test_a_kernel_that_does_not_fit_is_said(show):
    page = show({"image": [[1, 2, 3], [4, 5, 6], [7, 8, 9]], "dilation": 2})
    assert text(page) == "The kernel does not fit: it reaches over 5 pixels, the padded input has only 3."
    assert page.get_by_role("button", name="Next").is_disabled()
    page.get_by_label("Padding", exact=True).select_option("1")
    assert "Output row 0, column 0" in text(page)


def test_buttons_step_through_the_image(show):
    page = show({"image": IMAGE, "kernel": "sharpen"})
    out = expected(IMAGE, KERNELS["sharpen"]).ravel()
    assert page.get_by_role("button", name="Back").is_disabled()
    for at in range(len(out)):
        np.testing.assert_allclose(filled(page), out[: at + 1])
        assert page.locator(".dlc-conv-in .tap").count() == 9
        if at < len(out) - 1:
            page.get_by_role("button", name="Next").click()
    assert page.get_by_role("button", name="Next").is_disabled()
    page.get_by_role("button", name="Back").click()
    assert len(filled(page)) == len(out) - 1
    page.get_by_role("button", name="First").click()
    assert len(filled(page)) == 1


def test_keyboard_alone_is_enough(show):
    page = show({"image": IMAGE})
    for _ in range(30):  # tab to the stage
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.className") == "dlc-conv-stage":
            break
    assert page.evaluate("document.activeElement.className") == "dlc-conv-stage"
    for key, place in [
        ("ArrowRight", "row 0, column 1"), ("ArrowDown", "row 1, column 1"), ("ArrowLeft", "row 1, column 0"),
        ("ArrowLeft", "row 0, column 4"), ("ArrowUp", "row 0, column 4"), ("End", "row 5, column 4"),
        ("ArrowRight", "row 5, column 4"), ("Home", "row 0, column 0"), ("ArrowLeft", "row 0, column 0"),
    ]:  # fmt: skip
        page.keyboard.press(key)
        assert f"Output {place}:" in text(page), key
    page.keyboard.press("Shift+Tab")  # the last enabled button before the stage
    page.keyboard.press("Enter")
    assert len(filled(page)) == 30
    unlabelled = page.evaluate(
        "[...document.querySelectorAll('input, select, button')]"
        ".filter(e => !(e.ariaLabel || e.textContent.trim())).map(e => e.outerHTML)"
    )
    assert unlabelled == []
    assert page.locator("[aria-live=polite].dlc-conv-text").count() == 1


def test_typed_weights_count(show):
    page = show({"image": IMAGE, "kernel": "identity"})
    kernel = [[0.5, 0, -2], [3, 1, 0], [0, 0, 7]]
    for (row, column), value in np.ndenumerate(kernel):
        page.get_by_label(f"Kernel weight, row {row}, column {column}").fill(str(value))
    page.get_by_label("Kernel weight, row 0, column 0").fill("")  # while typing: the last number still counts
    page.get_by_role("button", name="Fill all").click()
    np.testing.assert_allclose(filled(page), expected(IMAGE, kernel).ravel())
    assert page.get_by_label("Kernel", exact=True).input_value() == "your own"


def test_play_and_pause(show):
    page = show({"image": IMAGE})
    page.clock.install()
    play = page.locator(".dlc-conv-play")
    play.click()
    page.clock.run_for(3100)
    assert len(filled(page)) == 6 and play.inner_text() == "Pause"
    play.click()
    page.clock.run_for(3000)
    assert len(filled(page)) == 6 and play.inner_text() == "Play"
    play.click()
    page.clock.run_for(60_000)
    assert len(filled(page)) == 30 and play.inner_text() == "Play"


def test_nothing_moves_by_itself_where_the_reader_asked_for_that(show):
    page = show({"image": IMAGE}, reduced_motion="reduce")
    assert not page.locator(".dlc-conv-play").is_visible()
    page.clock.install()
    page.locator(".dlc-conv-stage").focus()
    page.keyboard.press("Space")
    page.clock.run_for(5000)
    assert len(filled(page)) == 1


def test_several_figures_on_a_page_do_not_meddle(show):
    page = show({"image": IMAGE, "kernel": "box blur"}, {"image": IMAGE, "kernel": "Laplacian", "stride": 2})
    page.locator(".dlc-conv-all").nth(1).click()
    page.locator(".dlc-conv-next").nth(0).click()
    np.testing.assert_allclose(filled(page, 0), expected(IMAGE, KERNELS["box blur"]).ravel()[:2])
    np.testing.assert_allclose(filled(page, 1), expected(IMAGE, KERNELS["Laplacian"], stride=2).ravel())
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_is_readable_in_light_and_dark(show, width, scheme):
    page = show({"padding": 2}, viewport={"width": width, "height": 800})
    ink, paper = ("rgb(33, 37, 41)", "#ffffff") if scheme == "light" else ("rgb(206, 214, 221)", "#121212")
    page.add_style_tag(content=f"body {{ color: {ink}; background: {paper}; font-family: sans-serif }}")
    page.get_by_role("button", name="Fill all").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator(".dlc-conv-panel").evaluate_all("all => all.every(p => p.scrollWidth <= p.clientWidth)")
    colours = page.locator(".dlc-conv-cell, .dlc-conv button, .dlc-conv select, .dlc-conv input").evaluate_all(
        "all => [...new Set(all.map(e => getComputedStyle(e).color))]"
    )
    assert colours == [ink]
