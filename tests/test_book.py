"""The book's sources agree with each other and with the package: configuration, pages, concept map, bibliography."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "book"))

concepts = pytest.importorskip("_ext.concepts", reason="needs the extra `book`")
experiments = pytest.importorskip("_ext.experiments", reason="needs the extra `book`")
runtime = pytest.importorskip("_ext.runtime", reason="needs the extra `book`")

LABEL = re.compile(r"^\(([\w.-]+)\)=\n(?:\([\w.-]+\)=\n)*\s*#+ ", re.MULTILINE)
CITATION = re.compile(r"\{cite(?::\w+)?\}`([^`]+)`")
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))


def pages() -> list[str]:
    """The names in _toc.yml."""

    def walk(entry):
        if "file" in entry:
            yield entry["file"]
        for key in ("chapters", "sections"):
            for part in entry.get(key, ()):
                yield from walk(part)

    return [TOC["root"], *(name for part in TOC["parts"] for name in walk(part))]


def source(name: str) -> Path:
    return next((p for p in (ROOT / f"{name}.md", ROOT / f"{name}.ipynb") if p.exists()), ROOT / name)


def text_of(path: Path) -> str:
    """The Markdown of a page or notebook."""
    if path.suffix != ".ipynb":
        return path.read_text(encoding="utf-8")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def labels() -> dict[str, str]:
    """Every section label, and the page it stands on."""
    found: dict[str, str] = {}
    for name in pages():
        for label in LABEL.findall(text_of(source(name))):
            assert label not in found, f"{label} stands on {found[label]} and on {name}"
            found[label] = name
    return found


def test_every_page_of_the_contents_exists():
    assert [name for name in pages() if not source(name).is_file()] == []


def test_every_page_is_in_the_contents():
    there = {p.relative_to(ROOT).with_suffix("").as_posix() for p in ROOT.glob("book/**/*.md")}
    there |= {p.relative_to(ROOT).with_suffix("").as_posix() for p in ROOT.glob("notebooks/*.ipynb")}
    fragments = {name for name in there if name.startswith("book/results/")}
    assert there - fragments == set(pages())


def test_repository_url_is_the_one_of_pyproject():
    # not tomllib: Python 3.10 has none
    address = re.search(r'^repository = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert CONFIG["repository"]["url"] == address[1]
    there = [p for p in [*ROOT.glob("book/**/*"), ROOT / "_toc.yml"] if p.is_file() and "__pycache__" not in p.parts]
    assert [p for p in there if address[1].encode() in p.read_bytes()] == [], "pages use the roles repo and colab"


def test_every_results_fragment_is_on_the_results_page():
    page = (ROOT / "book/results.md").read_text(encoding="utf-8")
    fragments = sorted((ROOT / "book/results").glob("*.md"))
    assert fragments
    for fragment in fragments:
        assert f"{{include}} results/{fragment.name}" in page
        assert re.search(r"`[^`]*\b(python|dlcourse|make|pytest) [^`]+`", fragment.read_text(encoding="utf-8")), (
            f"{fragment.name} does not say which command makes it"
        )


PAGE = """<!-- first -->
| layer | solved | solved by | time |
|---|---|---|---|
| RNN | 0 of 5 | – | **1.30** (1.26 to 1.32) |
| LSTM | 5 of 5 | Adam | 2 |

<!-- end -->

| | time |
|---|---|
| RNN | 3 |
"""


class TestExperiments:
    def test_a_cell_is_found_by_its_row_and_column(self):
        assert experiments.find(PAGE, "RNN | 0", "time") == ("1.30 (1.26 to 1.32)", "first")
        assert experiments.find(PAGE, "RNN", "time", 1) == ("3", "")
        assert experiments.find(PAGE, "LSTM", "solved").text == "5 of 5"

    @pytest.mark.parametrize(("row", "column"), [("RNN", "time"), ("GRU", "time"), ("LSTM", "speed"), ("LSTM", "so")])
    def test_no_cell_or_several_are_an_error(self, row, column):
        with pytest.raises(LookupError, match=f"cells are in a row '{row}' and a column '{column}'; expected one"):
            experiments.find(PAGE, row, column)

    def test_every_entry_leads_to_one_cell_and_every_chapter_has_some(self):
        entries = yaml.safe_load((ROOT / "book/results/experiments.yml").read_text(encoding="utf-8"))
        table = experiments.lines(entries, ROOT / "book/results")
        assert len(table) == 2 + len(entries) + sum(map(len, entries.values()))
        assert list(entries) == sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))

    def test_an_entry_that_leads_nowhere_is_named(self, tmp_path):
        (tmp_path / "rnn.md").write_text(PAGE, encoding="utf-8")
        entry = {"what": "Adding", "page": "rnn", "row": "GRU", "column": "solved"}
        with pytest.raises(LookupError, match=r"13_sequences, 'Adding', rnn.md: 0 cells"):
            experiments.lines({"13_sequences": [entry]}, tmp_path)


def test_every_concept_has_a_section():
    known = labels()
    for chapter, pairs in concepts.concept_map(ROOT / "book/concepts").items():
        for concept, label in pairs:
            assert known.get(label) == f"notebooks/{chapter}", f"{chapter}: {concept}: no section {label}"


def test_every_chapter_has_concepts():
    chapters = {Path(name).name for name in pages() if name.startswith("notebooks/")}
    assert set(concepts.concept_map(ROOT / "book/concepts")) == chapters


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a concept: a-label",
        "- concept: x",
        "- {concept: x, label: y, more: z}",
        "- {concept: x, label: y}\n- {concept: x, label: z}",
    ],
)
def test_a_malformed_concept_file_is_refused(tmp_path, text):
    path = tmp_path / "02_x.yml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"02_x\.yml"):
        concepts.read_chapter(path)


def test_every_citation_is_in_the_bibliography():
    keys = re.findall(r"^@\w+\{([^,]+),", (ROOT / "book/references.bib").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(keys) == len(set(keys))
    cited = {
        key.strip() for name in pages() for group in CITATION.findall(text_of(source(name))) for key in group.split(",")
    }
    assert cited <= set(keys)
    assert cited


def test_every_public_module_has_a_reference_page():
    import dlcourse

    documented = " ".join(p.read_text(encoding="utf-8") for p in (ROOT / "book/api").glob("*.md"))
    missing = [name for name in dlcourse.__all__ if f".. automodule:: dlcourse.{name}\n" not in documented]
    assert missing == []


def test_commands_in_the_guides_exist():
    """Every `dlcourse ...` line of the guides parses, and every option that they name is one."""
    guides = " ".join(p.read_text(encoding="utf-8") for p in (ROOT / "book/guides").glob("*.md"))
    commands = set(re.findall(r"^dlcourse (\w+)", guides, re.MULTILINE)) | set(re.findall(r"`dlcourse (\w+)", guides))
    assert commands
    said = ""
    for command in commands:
        run = subprocess.run(
            [sys.executable, "-m", "dlcourse.cli", command, "--help"],
            capture_output=True, text=True, cwd=ROOT, env=os.environ | {"COLUMNS": "200"},
        )  # fmt: skip
        assert run.returncode == 0, run.stderr
        said += run.stdout
    ours = re.sub(r"`nbgrader [^`]*`", "", guides)
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", ours))
    assert [option for option in options if option not in said] == []


class TestRunTime:
    """The note under a title, and when the cache is new."""

    def test_note_says_time_cores_date_versions_and_gpu(self, monkeypatch):
        monkeypatch.setattr(runtime, "cores", lambda: 2)
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
        monkeypatch.setattr(runtime, "versions", lambda: {"Python": "3.11.7", "NumPy": "2.4.6", "PyTorch": "2.12.1"})
        assert runtime.note(41.6, 1_777_593_600) == (
            "This page ran from top to bottom in 42 s on 2 CPU cores, with one thread "
            "(1 May 2026; Python 3.11.7, NumPy 2.4.6, PyTorch 2.12.1). On a GPU: not measured."
        )

    def test_versions_are_those_that_are_imported(self):
        import numpy

        assert runtime.versions()["NumPy"] == numpy.__version__

    def test_fingerprint_follows_the_package(self, tmp_path):
        (tmp_path / "grading").mkdir()
        (tmp_path / "mlp.py").write_text("x = 1")
        first = runtime.fingerprint(tmp_path)
        (tmp_path / "grading/limits.py").write_text("y = 1")
        assert runtime.fingerprint(tmp_path) == first, "no lecture shows the grader"
        (tmp_path / "mlp.py").write_text("x = 2")
        second = runtime.fingerprint(tmp_path)
        assert second != first
        (tmp_path / "mlp.py").write_text("x = 1")
        assert runtime.fingerprint(tmp_path) == first

    def test_fingerprint_follows_threads_cores_and_versions(self, tmp_path, monkeypatch):
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
        first = runtime.fingerprint(tmp_path)
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
        assert runtime.fingerprint(tmp_path) != first
        monkeypatch.setattr(runtime, "cores", lambda: 1000)
        second = runtime.fingerprint(tmp_path)
        monkeypatch.setattr(runtime, "versions", lambda: {"NumPy": "0"})
        assert len({first, second, runtime.fingerprint(tmp_path)}) == 3


def notebook(*cells: str) -> str:
    """A page of code cells."""
    made = [{"cell_type": "markdown", "id": "title", "metadata": {}, "source": "# A page"}]
    for number, code in enumerate(cells):
        plain = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
        made.append(plain | {"id": f"cell-{number}", "source": code})
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return json.dumps({"cells": made, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5})


@pytest.mark.slow
class TestBuild:
    """A small book with this book's configuration."""

    @pytest.fixture
    def small(self, tmp_path) -> Path:
        shutil.copy(ROOT / "_config.yml", tmp_path)
        for name in ("_ext", "_static", "_templates", "references.bib"):
            copy = shutil.copytree if (ROOT / "book" / name).is_dir() else shutil.copy
            (tmp_path / "book").mkdir(exist_ok=True)
            copy(ROOT / "book" / name, tmp_path / "book" / name)
        (tmp_path / "dlcourse").mkdir()
        (tmp_path / "dlcourse/__init__.py").write_text("answer = 1\n")
        (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: page\n")
        (tmp_path / "page.ipynb").write_text(notebook("from dlcourse import answer\nprint('answer', answer)"))
        return tmp_path

    def build(self, folder: Path) -> subprocess.CompletedProcess:
        program = "from jupyter_book.cli.main import main; main()"
        command = [sys.executable, "-c", program, "build", ".", "-W", "-n", "--keep-going"]
        environment = os.environ | {"PYTHONPATH": str(folder)}
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, env=environment)

    def test_a_page_runs_once_and_again_when_the_package_changes(self, small):
        assert (run := self.build(small)).returncode == 0, run.stdout + run.stderr
        page = small / "_build/html/page.html"
        assert "answer 1" in page.read_text()
        assert "Executed notebook" in run.stdout
        again = self.build(small)
        assert again.returncode == 0
        assert "Executed notebook" not in again.stdout
        (small / "dlcourse/__init__.py").write_text("answer = 2\n")
        changed = self.build(small)
        assert changed.returncode == 0, changed.stdout + changed.stderr
        assert "answer 2" in page.read_text()

    def test_a_failing_cell_fails_the_build(self, small):
        (small / "page.ipynb").write_text(notebook("assert 1 == 2"))
        run = self.build(small)
        assert run.returncode != 0
        assert "CellExecutionError" in run.stdout + run.stderr

    def test_a_concept_without_a_section_fails_the_build(self, small):
        (small / "book/concepts").mkdir()
        (small / "book/concepts/page.yml").write_text("- concept: a thing\n  label: nowhere\n")
        (small / "book/coverage.md").write_text("# Map\n\n```{concept-map}\n```\n")
        (small / "_toc.yml").write_text("format: jb-book\nroot: page\nchapters:\n- file: book/coverage\n")
        run = self.build(small)
        assert run.returncode != 0
        assert "undefined label: 'nowhere'" in run.stdout + run.stderr


def test_the_students_guide_lists_every_exercise_notebook():
    guide = (ROOT / "book" / "guides" / "student.md").read_text(encoding="utf-8")
    for path in sorted((ROOT / "notebooks" / "exercises").glob("*/*.ipynb")):
        assert f"</notebooks/{path.stem}>" in guide and f"{{colab}}`{path.relative_to(ROOT)}`" in guide
