"""Nothing of a student's runs, or is fetched, where an instructor or a student looks at a graded notebook."""

from __future__ import annotations

import base64
import copy
import http.server
import json
import shutil
import threading
import time

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbconvert.exporters import HTMLExporter
from traitlets.config import Config

from dlcourse.grading import clean, gradebook
from dlcourse.grading.grade import Result

from .conftest import RIGHT, cell, notebook
from .test_gradebook import NAME, result

PNG = base64.b64encode(
    base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
).decode()
# Each would set the page's title, or fetch something, if a browser let it.
HOSTILE = [
    "<script>document.title = 'pwned'</script>",
    "<img src=x onerror=\"document.title = 'pwned'\">",
    "<svg onload=\"document.title = 'pwned'\"></svg>",
    "<svg><script>document.title = 'pwned'</script></svg>",
    "<iframe srcdoc=\"<script>parent.document.title = 'pwned'</script>\"></iframe>",
    "<iframe src=\"javascript:parent.document.title = 'pwned'\"></iframe>",
    "<object data=\"data:text/html,<script>document.title = 'pwned'</script>\"></object>",
    "<img src='http://127.0.0.1:9/track.png'><link rel=stylesheet href='http://127.0.0.1:9/x.css'>",
    "![picture](http://127.0.0.1:9/track.png)",
    "<style>@import url('http://127.0.0.1:9/x.css'); body { background: url(http://127.0.0.1:9/b.png) }</style>",
    "<div style=\"background: url('http://127.0.0.1:9/c.png')\">x</div>",
    "<meta http-equiv=refresh content='0; url=http://127.0.0.1:9/'><base href='http://127.0.0.1:9/'>",
    "<form action='http://127.0.0.1:9/'><input name=x autofocus onfocus=\"document.title = 'pwned'\"></form>",
    "</pre></div><script>document.title = 'pwned'</script>",
    "<scr<script>ipt>document.title = 'pwned'</scr</script>ipt>",
    "<a id=link href=\"javascript:void(document.title='pwned')\">click me</a>",
    "[click me](javascript:void(document.title='pwned'))",
    "[click me](&#106;avascript:void(document.title='pwned'))",
    "[click me][r]\n\n[r]: javascript:void(document.title='pwned')",
    "<javascript:void(document.title='pwned')>",
    "$$\\require{html}\\href{javascript:void(document.title='pwned')}{click me}$$",
    "<noscript><p title=\"</noscript><img src=x onerror=document.title='pwned'>\">",
    "<math><mtext><table><mglyph><style><img src=x onerror=document.title='pwned'>",
    "<!--><script>document.title='pwned'</script>-->",
]


def executed(words: str = "", outputs: list[dict] | None = None, source: str = RIGHT) -> dict:
    made = json.loads(notebook(both=source, words=words))
    made["cells"][0]["outputs"] = outputs or []
    return made


def shows(**data: str) -> dict:
    return {"output_type": "display_data", "data": {k.replace("__", "/"): v for k, v in data.items()}, "metadata": {}}


def hostile_notebook() -> dict:
    outputs = [
        *(shows(text__html=each, text__plain=each) for each in HOSTILE),
        *(shows(text__markdown=each) for each in HOSTILE),
        shows(**{"image/svg+xml": "<svg onload=\"document.title = 'pwned'\"></svg>"}),
        shows(**{"application/javascript": "document.title = 'pwned'"}),
        shows(image__png=f'{PNG}" onerror="document.title=1'),
        shows(image__png=PNG) | {"metadata": {"image/png": {"width": "1 onload=document.title='pwned'"}}},
        {"output_type": "stream", "name": "stdout\"><script>document.title='pwned'</script>", "text": HOSTILE[0]},
        {"output_type": "error", "ename": HOSTILE[0], "evalue": HOSTILE[1], "traceback": HOSTILE},
        {"output_type": "nonsense", "data": 3},
    ]
    made = executed("\n\n".join(HOSTILE), outputs, "\n".join(f"# {line}" for line in HOSTILE))
    made["cells"].append({"cell_type": "raw", "id": "raw", "metadata": {}, "source": f"{HOSTILE[0]} \udcff"})
    made["cells"].append(
        {"cell_type": "markdown", "id": "a", "metadata": {}, "source": "![x](attachment:a.svg)",
         "attachments": {"a.svg": {"image/svg+xml": HOSTILE[2]}}}
    )  # fmt: skip
    return made


def test_text_that_holds_no_markup_stays_as_it_was():
    given = executed("Since $a < b$ and `x<3` & so on, R&D wins.", [shows(text__plain="<b>", image__png=PNG)])
    assert clean.cleaned(given) == given


def test_tables_stay_and_what_could_run_goes():
    table = '<table border="1" class="dataframe"><tr><td>7</td></tr></table>'
    frame = f"<div>\n<style scoped>td {{ color: red }}</style>\n{table}</div>"
    made = clean.cleaned(executed(outputs=[shows(text__html=frame)]))
    (html,) = (output["data"]["text/html"] for output in made["cells"][0]["outputs"])
    assert "<td>7</td>" in html and "style" not in html and "dataframe" not in html
    made = clean.cleaned(hostile_notebook())
    nbformat.validate(made)
    texts = [cell["source"] for cell in made["cells"] if cell["cell_type"] != "code"]
    shown = [output for cell in made["cells"] for output in cell.get("outputs", ()) if "data" in output]
    texts += [text for output in shown for key, text in output["data"].items() if key != "text/plain"]
    assert {key for output in shown for key in output["data"]} == {
        "text/plain", "text/html", "text/markdown", "image/png"
    }  # fmt: skip
    assert not any(output["metadata"] for output in shown)
    for word in ("<script", "<svg", "<iframe", "<img", "<object", "<meta", "<form"):
        assert not [text for text in texts if word in text], word
    assert not any("attachments" in cell for cell in made["cells"])


def test_cleaning_takes_bounded_time():
    nested = "<div>" * 100_000
    outputs = [shows(text__html="<b><i><a>" * 2000) for _ in range(100)]
    start = time.monotonic()
    clean.cleaned(executed(nested, outputs))
    clean.markdown2html("[" * 1_000_000)
    clean.markdown2html("> " * 9_000)
    assert time.monotonic() - start < 60


def test_a_refusal_stands_in_the_blank_notebook(assignment):
    before = copy.deepcopy(assignment.template)
    made = clean.shown(assignment, Result(NAME, "", refused="<b>x.zip</b> is an archive"))
    assert made["cells"][0]["source"] == "Not graded: &lt;b&gt;x.zip&lt;/b&gt; is an archive."
    assert made["cells"][1:] == before["cells"] and assignment.template == before
    nbformat.validate(made)


@pytest.fixture
def feedback_page(tmp_path, assignment, sqlite_template) -> str:
    """What ``nbgrader generate_feedback`` makes of a hostile notebook."""
    url = f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'gradebook.db')}"
    with gradebook.opened(url, tmp_path) as book:
        gradebook.prepare(book, assignment)
        gradebook.record(book, assignment, "ada", result())
    names = {"student": "ada", "assignment": NAME, "notebook": NAME, "db_url": url}
    steps = ["nbgrader.preprocessors.GetGrades", "nbconvert.preprocessors.CSSHTMLHeaderPreprocessor"]
    exporter = clean.FeedbackExporter(config=Config({"Exporter": {"default_preprocessors": []}}))
    for step in steps:
        exporter.register_preprocessor(step, enabled=True)
    given = nbformat.from_dict(clean.cleaned(hostile_notebook()))
    return exporter.from_notebook_node(given, resources={"nbgrader": names})[0]


def formgrader_page() -> str:
    """What formgrader shows of it, as its own extension renders it, with the settings of nbgrader_config.py."""
    from pathlib import Path

    import nbgrader.server_extensions.formgrader.handlers as handlers
    from traitlets.config import PyFileConfigLoader

    config = PyFileConfigLoader("nbgrader_config.py", path=str(Path(__file__).parents[2])).load_config()
    config.HTMLExporter.template_name = "formgrade"
    config.HTMLExporter.extra_template_basedirs = [handlers.template_path]
    keys = (
        "assignment_id",
        "notebook_id",
        "submission_id",
        "base_url",
        "student",
        "last_name",
        "first_name",
        "notebook_path",
    )
    resources = dict.fromkeys(keys, "x") | {"index": 0, "total": 1}
    given = nbformat.from_dict(clean.cleaned(hostile_notebook()))
    return HTMLExporter(config=config).from_notebook_node(given, resources=resources)[0]


def test_the_feedback_page_has_a_policy_and_no_script(feedback_page):
    assert feedback_page.encode()
    head = feedback_page.index("<head>") + len("<head>")
    policy = feedback_page[head : feedback_page.index(">", head)]
    assert policy.startswith("<meta") and "default-src 'none'" in policy and "script-src 'none'" in policy
    page = BeautifulSoup(feedback_page, "html.parser")
    assert not page(["script", "iframe", "object", "embed", "base", "link", "form", "svg"])
    assert not [link for link in page("a") if not link.get("href", "#").startswith(("#", "http"))]
    assert not [tag for tag in page(True) for name in tag.attrs if name.startswith("on")]
    assert "conv-both" in feedback_page and PNG in feedback_page
    assert "Score: 3.0 / 6.0" in feedback_page


@pytest.fixture
def look(tmp_path, browser):
    """Opens a page, clicks what can be clicked, and returns its title and what it fetched from another host."""
    fetched = []

    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            fetched.append(self.path)
            self.send_error(404)

        def log_message(self, *_):
            pass

    def open_page(html: str) -> tuple[str, list[str]]:
        fetched.clear()
        path = tmp_path / "page.html"
        path.write_text(html.replace("127.0.0.1:9", f"127.0.0.1:{server.server_port}"), encoding="utf-8")
        page = browser.new_page()
        page.goto(path.as_uri())
        for link in page.get_by_text("click me").all():
            if link.evaluate("e => e.tagName") == "A":
                link.click(timeout=5000, no_wait_after=True)
        page.wait_for_timeout(500)
        title = page.title()
        page.close()
        return title, sorted(set(fetched))

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Other) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield open_page
        server.shutdown()
        thread.join()


@pytest.mark.browser
class TestBrowser:
    def test_the_pages_would_notice(self, look):
        """The same strings in a page of their own do run and do fetch."""
        for each in (HOSTILE[0], HOSTILE[1], HOSTILE[2], HOSTILE[15]):
            assert look(f"<title>t</title><body>{each}</body>")[0] == "pwned", each
        fetches = "".join(HOSTILE[7:11])
        assert look(f"<title>t</title><body>{fetches}</body>") == ("t", ["/b.png", "/c.png", "/track.png", "/x.css"])

    def test_nothing_runs_or_is_fetched_in_the_feedback_page(self, look, feedback_page):
        assert look(feedback_page) == (NAME, [])

    def test_the_policy_alone_would_hold(self, look, feedback_page):
        """Had the sanitiser missed something. Navigation is not a matter of this policy."""
        missed = "".join(each for each in HOSTILE if "refresh" not in each)
        assert look(feedback_page.replace("<body>", f"<body>{missed}")) == (NAME, [])

    def test_nothing_of_the_students_runs_in_formgrader(self, look):
        assert look(formgrader_page()) == ("x", [])


def test_cells_that_formgrader_goes_by_cannot_be_copied():
    """Its scripts find the inputs for scores and comments by id and class."""
    made = clean.cleaned({"cells": [cell("x", '<div id="conv-words" class="score comment">1</div>', "markdown")]})
    assert made["cells"][0]["source"] == "<div>1</div>"
    assert "id=" not in clean.markdown2html("# conv-words")


def test_a_cell_is_shown_as_far_as_anyone_would_read_it():
    cell = {"cell_type": "code", "id": "long", "metadata": {}, "source": "x = 1\n" + "\n \t" * 3_000_000, "outputs": []}
    short = {"cell_type": "code", "id": "short", "metadata": {}, "source": "y = 2", "outputs": []}
    made = clean.cleaned({"cells": [cell, short], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    assert len(made["cells"][0]["source"]) < 200_000 and made["cells"][0]["source"].startswith("x = 1")
    assert "characters more" in made["cells"][0]["source"] and made["cells"][1]["source"] == "y = 2"
