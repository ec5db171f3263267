"""The built website, as files and in a real browser.

It looks at ``_build/html`` (``make book`` makes it) or at the folder that ``DLCOURSE_SITE`` names.
"""

from __future__ import annotations

import gzip
import os
import re
from copy import copy
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parent.parent
SITE = Path(os.environ.get("DLCOURSE_SITE") or ROOT / "_build" / "html").resolve()

bs4 = pytest.importorskip("bs4", reason="needs the extra `book`")
pytestmark = pytest.mark.skipif(
    not (SITE / "book/preface.html").is_file(), reason=f"no website in {SITE}: run `make book`"
)

PAGES = sorted(p.relative_to(SITE).as_posix() for p in SITE.rglob("*.html") if "_static" not in p.parts)
CHAPTERS = [page for page in PAGES if page.startswith("notebooks/")]
# index.html only sends the reader on to the preface
READ = [page for page in PAGES if page != "index.html"]
IN_CSS = re.compile(r"""url\(\s*["']?([^"')]+)|@import\s+["']([^"']+)""")
REMOTE = re.compile(r"^(https?:)?//", re.IGNORECASE)
# where an element says what the browser is to fetch
FETCHING = dict.fromkeys(("script", "img", "iframe", "source", "video", "audio", "embed", "track", "input"), "src")
FETCHING |= {"object": "data", "use": "href", "image": "href"}
FETCHING_LINKS = {"stylesheet", "preload", "prefetch", "modulepreload", "preconnect", "dns-prefetch", "icon"}


@cache
def soup(page: str):
    return bs4.BeautifulSoup((SITE / page).read_text(encoding="utf-8"), "html.parser")


def article(page: str):
    """The page's own text; the search page has no article."""
    return soup(page).select_one("article") or soup(page).select_one("main")


def fetched(page: str) -> list[str]:
    """Everything that the page's HTML makes a browser fetch."""
    found = []
    for element in soup(page).find_all(True):
        attribute = FETCHING.get(element.name)
        found += [element.get(attribute), element.get(f"xlink:{attribute}")] if attribute else []
        found += [part.split()[0] for part in (element.get("srcset") or "").split(",") if part.strip()]
        found += [a or b for a, b in IN_CSS.findall(element.get("style") or "")]
        if element.name == "link" and FETCHING_LINKS & set(element.get("rel") or []):
            found.append(element.get("href"))
        if element.name == "style":
            found += [a or b for a, b in IN_CSS.findall(element.get_text())]
    return [url for url in found if url]


@cache
def anchors(page: str) -> frozenset[str]:
    names = {element["id"] for element in soup(page).find_all(id=True)}
    return frozenset(names | {element["name"] for element in soup(page).select("a[name]")})


def where(page: str, href: str) -> tuple[Path, str]:
    """The file and the anchor that an internal link means."""
    parts = urlsplit(href)
    target = (SITE / page).parent / unquote(parts.path) if parts.path else SITE / page
    return target.resolve(), unquote(parts.fragment)


class TestFiles:
    """What can be seen without a browser."""

    def test_the_pages_are_those_of_the_contents(self):
        listed = set(re.findall(r"(?:root|file): (\S+)", (ROOT / "_toc.yml").read_text(encoding="utf-8")))
        built = {page.removesuffix(".html") for page in PAGES if page.startswith(("book/", "notebooks/"))}
        assert built == listed

    @pytest.mark.parametrize("page", PAGES)
    def test_nothing_is_fetched_from_another_host(self, page):
        assert [url for url in fetched(page) if REMOTE.match(url)] == []

    def test_no_style_sheet_fetches_from_another_host(self):
        for sheet in SITE.rglob("*.css"):
            urls = [a or b for a, b in IN_CSS.findall(sheet.read_text(encoding="utf-8"))]
            assert [url for url in urls if REMOTE.match(url)] == [], sheet

    @pytest.mark.parametrize("page", PAGES)
    def test_links_lead_somewhere(self, page):
        wrong = []
        for element in soup(page).find_all(href=True) + soup(page).find_all(src=True):
            href = element.get("href") or element.get("src")
            if urlsplit(href).scheme or href.startswith("//") or href == "#":
                continue
            if element.name in ("use", "image"):  # inside a drawing
                continue
            target, anchor = where(page, href)
            if not target.is_file() or not target.is_relative_to(SITE):
                wrong.append(href)
            elif anchor and target.suffix == ".html":
                known = anchors(target.relative_to(SITE).as_posix())
                wrong += [] if anchor in known else [href]
        assert wrong == []

    @pytest.mark.parametrize("page", READ)
    def test_pictures_have_words(self, page):
        for image in soup(page).find_all("img"):
            assert (image.get("alt") or "").strip(), image
        for drawing in soup(page).find_all("svg"):
            if drawing.find_parent(attrs={"aria-hidden": "true"}) or drawing.get("aria-hidden") == "true":
                continue
            assert drawing.get("role") == "img", str(drawing)[:200]
            assert len((drawing.get("aria-label") or "").split()) >= 4, str(drawing)[:200]

    @pytest.mark.parametrize("page", READ)
    def test_a_page_says_what_it_is(self, page):
        tree = soup(page)
        assert tree.html["lang"].startswith("en")
        assert tree.title.get_text(strip=True)
        headings = [h.get_text() for h in article(page).select("h1")]
        assert len(headings) == 1, headings

    @pytest.mark.parametrize("page", READ)
    def test_nothing_is_left_unfinished(self, page):
        text = copy(article(page))
        for code in text.select("pre, code, script, style"):
            code.extract()
        assert re.findall(r"@@|TODO|FIXME|XXX", text.get_text(" ")) == []

    @pytest.mark.parametrize("page", PAGES)
    def test_no_path_of_this_machine(self, page):
        text = (SITE / page).read_text(encoding="utf-8")
        assert [path for path in (str(ROOT), str(SITE), f"{Path.home()}/") if path in text] == []

    @pytest.mark.parametrize("page", CHAPTERS)
    def test_a_chapter_shows_its_run_time(self, page):
        note = soup(page).select_one("h1 + p.run-time").get_text()
        assert re.search(r"ran from top to bottom in \d+ s on .+ CPU cores?, .+ On a GPU: not measured\.$", note), note

    @pytest.mark.parametrize("page", CHAPTERS)
    def test_a_chapter_opens_in_colab(self, page):
        config = (ROOT / "_config.yml").read_text(encoding="utf-8")
        repository = re.search(r"^  url: https://github.com/(\S+)", config, re.MULTILINE)[1]
        name = page.removesuffix(".html")
        links = {a["href"] for a in soup(page).find_all("a", href=True)}
        start = f"https://colab.research.google.com/github/{repository}/blob/main"
        assert f"{start}/{name}.ipynb" in links
        stem = Path(name).name
        assert f"{start}/notebooks/exercises/{stem}/{stem}.ipynb" in links, "the chapter links to its exercises"


# ------------------------------------------------------------------------------------------------- in the browser

# The contrast (WCAG 2) of every piece of text with what lies behind it: the texts below the limit, as a list.
CONTRAST = """
() => {
  const channel = v => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; };
  const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const parse = text => {
    const n = text.match(/[\\d.]+/g).map(Number), scale = text.startsWith('color(srgb') ? 255 : 1;
    return [n[0] * scale, n[1] * scale, n[2] * scale, n[3] ?? 1];
  };
  const over = (top, under) => [0, 1, 2].map(i => top[i] * top[3] + under[i] * (1 - top[3]));
  const behind = element => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) {
      const style = getComputedStyle(e);
      if (style.backgroundImage !== 'none') return null;  // a picture or gradient: cannot say
      const colour = parse(style.backgroundColor);
      if (colour[3] > 0) layers.push(colour);
      if (colour[3] === 1) break;
    }
    return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255]);
  };
  const found = [];
  for (const element of document.querySelectorAll('article *, .bd-sidebar *, .bd-footer-content *')) {
    if (![...element.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
    if (element.closest('svg, script, style, noscript, mjx-assistive-mml')) continue;
    if (!element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    const box = element.getBoundingClientRect();
    if (box.width < 2 || box.height < 2) continue;
    const style = getComputedStyle(element), ground = behind(element);
    if (!ground) continue;
    const a = luminance(over(parse(style.color), ground)), b = luminance(ground);
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    const said = element.textContent.trim().slice(0, 40);
    if (ratio < (large ? 3 : 4.5)) found.push(`${ratio.toFixed(2)} ${element.tagName}.${element.className}: ${said}`);
  }
  return found;
}
"""

# Formulas that are not typeset, and TeX that a reader would see.
MATHS = """
() => {
  const raw = [];
  for (const e of document.querySelectorAll('article .math'))
    if (!e.querySelector('mjx-container')) raw.push('not typeset: ' + e.textContent.slice(0, 60));
  for (const e of document.querySelectorAll('mjx-merror, [data-mjx-error]'))
    raw.push('TeX error: ' + (e.getAttribute('data-mjx-error') ?? e.textContent));
  const walker = document.createTreeWalker(document.querySelector('article, main'), NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode());) {
    if (node.parentElement.closest('pre, code, script, style, svg, mjx-container')) continue;
    if (/\\$\\$|\\\\[([]|\\\\[a-z]{3,}/.test(node.data)) raw.push('raw TeX: ' + node.data.trim().slice(0, 60));
  }
  return raw;
}
"""

# How far the page can be scrolled sideways, and what sticks out.
SIDEWAYS = """
() => {
  const root = document.documentElement, width = root.clientWidth, out = [];
  if (root.scrollWidth <= width) return [];
  for (const e of document.querySelectorAll('article *'))
    if (e.getBoundingClientRect().right > width + 1) out.push(`${e.tagName}.${e.className}`);
  return [`${root.scrollWidth} px wide on a screen of ${width}`, ...out.slice(0, 5)];
}
"""

READY = "async () => { await document.fonts.ready; if (window.MathJax?.startup) await MathJax.startup.promise; }"
THEME = "mode => { document.documentElement.dataset.mode = mode; document.documentElement.dataset.theme = mode; }"
HEAVIEST = 650_000  # bytes on the wire for a first visit, with MathJax's fonts, besides the page's text and pictures


def weight(urls: list[str]) -> int:
    """Bytes of style sheets, scripts and fonts, compressed as a server sends them."""
    files = {Path(unquote(urlsplit(url).path)) for url in urls if url.startswith("file:")}
    return sum(len(gzip.compress(f.read_bytes())) for f in files if f.suffix in (".js", ".css", ".woff", ".woff2"))


@pytest.mark.parametrize("page", CHAPTERS)
def test_no_output_shows_an_object_at_an_address(page):
    assert not re.findall(r".{0,40} at 0x[0-9a-f]+", article(page).get_text())


@pytest.mark.browser
@pytest.mark.parametrize("name", READ)
def test_a_reader_meets_no_defect(browser, name):
    """Open the page once, as a desktop and a phone, light and dark, and collect everything that is wrong with it."""
    requests: list[str] = []
    wrong: dict[str, list] = {"failed": [], "errors": []}
    context = browser.new_context(color_scheme="light", reduced_motion="reduce")
    page = context.new_page()
    page.on("request", lambda request: requests.append(request.url))
    page.on("requestfailed", lambda request: wrong["failed"].append(request.url))
    page.on("pageerror", lambda error: wrong["errors"].append(str(error)))
    page.on("console", lambda m: wrong["errors"].extend([m.text] if m.type == "error" else []))
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto((SITE / name).as_uri(), wait_until="load")
    page.evaluate(READY)
    wrong["maths"] = page.evaluate(MATHS)
    page.add_style_tag(content="* { transition: none !important; animation: none !important }")
    for mode in ("light", "dark"):
        page.evaluate(THEME, mode)
        wrong[f"contrast, {mode}"] = page.evaluate(CONTRAST)
    for width in (360, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        wrong[f"sideways at {width}"] = page.evaluate(SIDEWAYS)
    context.close()
    wrong["remote"] = [url for url in requests if not url.startswith(("file:", "data:", "blob:", "about:"))]
    wrong["heavy"] = [f"{weight(requests)} bytes"] if weight(requests) > HEAVIEST else []
    assert {what: found for what, found in wrong.items() if found} == {}


@pytest.mark.browser
def test_the_search_finds_a_page(browser):
    page = browser.new_page()
    page.goto((SITE / "search.html").as_uri() + "?q=momentum")
    page.wait_for_selector('ul.search li a[href*="notation"]', timeout=60_000)  # results come in one by one
    page.close()


@pytest.mark.browser
def test_the_theme_button_switches_and_is_remembered(browser):
    context = browser.new_context(color_scheme="light")
    page = context.new_page()
    page.goto((SITE / "book/preface.html").as_uri())
    seen = set()
    for _ in range(3):
        page.click("button.theme-switch-button")
        seen.add(page.evaluate("document.documentElement.dataset.theme"))
    assert seen == {"light", "dark"}
    while page.evaluate("document.documentElement.dataset.mode") != "dark":
        page.click("button.theme-switch-button")
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    context.close()


@pytest.mark.browser
def test_the_keyboard_reaches_the_text_first(browser):
    page = browser.new_page()
    page.goto((SITE / "book/preface.html").as_uri())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent.trim()") == "Skip to main content"
    page.close()
