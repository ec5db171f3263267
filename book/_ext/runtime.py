"""Run times that the build measures, and a cache of executed notebooks that is right when the code changes.

Under the title of each executed notebook stands how long it took, on how many cores, when and with which versions.
The time comes from the execution itself, or from the cache where that served the page.

jupyter-cache knows a notebook by its own cells only: it would show yesterday's output after a change in the package.
So the cache's folder is named after everything else that decides an output: the package's files, the versions of
Python and of the libraries, and the number of cores. What the note says is therefore true of the run it reports.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

LIBRARIES = {"numpy": "NumPy", "torch": "PyTorch", "matplotlib": "Matplotlib", "scikit-learn": "scikit-learn"}
NOT_SHOWN = ("grading/", "cli.py", "__pycache__")  # lectures do not use them
KEPT = 3  # caches of earlier states, so that going back and forth costs nothing


def cores() -> int:
    """How many cores a notebook may use here."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads() -> int:
    """How many threads NumPy may use, as its library reads it from the environment."""
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        if os.environ.get(name, "").isdigit():
            return int(os.environ[name])
    return cores()


def versions() -> dict[str, str]:
    """Name and version of Python and of each library that is installed."""
    found = {"Python": platform.python_version()}
    for package, name in LIBRARIES.items():
        try:
            found[name] = version(package)
        except PackageNotFoundError:
            continue
    return found


def fingerprint(package: Path) -> str:
    """Twelve hex digits that change when a page's output may change although its notebook has not."""
    digest = hashlib.sha256(repr((cores(), threads(), sorted(versions().items()))).encode())
    for path in sorted(p for p in package.rglob("*") if p.is_file()):
        name = path.relative_to(package).as_posix()
        if not any(part in name for part in NOT_SHOWN):
            digest.update(name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def choose_cache(app: Sphinx, config) -> None:
    """Set the cache's folder, and how the kernels' threads wait."""
    # NumPy's and torch's thread pools fight over the cores unless torch's threads wait without spinning.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    root = Path(app.outdir).parent / ".jupyter_cache"
    cache = root / fingerprint(Path(app.srcdir) / "dlcourse")
    cache.mkdir(parents=True, exist_ok=True)
    cache.touch()
    folders = sorted((p for p in root.iterdir() if p.is_dir()), key=lambda p: p.stat().st_mtime, reverse=True)
    for old in folders[KEPT:]:
        shutil.rmtree(old, ignore_errors=True)
    config.nb_execution_cache_path = str(cache)


def day(when: float) -> str:
    """A date in words: 1 May 2026."""
    date = datetime.fromtimestamp(when, timezone.utc)
    return f"{date.day} {date:%B %Y}"


def place() -> str:
    """Where it ran: ``2 CPU cores, with one thread``."""
    return f"{_several(cores(), 'CPU core')}, with {_several(threads(), 'thread')}"


def _several(n: int, what: str) -> str:
    return f"one {what}" if n == 1 else f"{n} {what}s"


def note(seconds: float, when: float) -> str:
    """The sentence under a title."""
    with_what = ", ".join(f"{name} {number}" for name, number in list(versions().items())[:3])
    return (
        f"This page ran from top to bottom in {seconds:.0f} s on {place()} ({day(when)}; {with_what}). "
        "On a GPU: not measured."
    )


def executed(app: Sphinx) -> dict[str, dict]:
    """What myst-nb knows of each page that ran: its name, and ``runtime`` in seconds and ``mtime`` among the rest."""
    found = {name: data.get("exec_data") for name, data in app.env.nb_metadata.items()}
    return {name: data for name, data in sorted(found.items()) if data and data.get("runtime")}


def insert_note(app: Sphinx, doctree: nodes.document) -> None:
    """Put the note under the page's first title."""
    data = executed(app).get(app.env.docname)
    title = next(iter(doctree.findall(nodes.title)), None)
    if data is None or title is None:
        return
    paragraph = nodes.paragraph(classes=["run-time"])
    paragraph += nodes.Text(note(data["runtime"], data["mtime"]))
    title.parent.insert(title.parent.index(title) + 1, paragraph)


class RunTimesNode(nodes.General, nodes.Element):
    """Where the table will stand, once every page has run."""


class RunTimes(SphinxDirective):
    """``{run-times}``: the run time of every chapter, and with what it ran."""

    def run(self) -> list[nodes.Node]:
        return [RunTimesNode()]


def insert_tables(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Replace each ``{run-times}`` by its table."""
    for place in list(doctree.findall(RunTimesNode)):
        place.replace_self(_table(app, docname))


def _table(app: Sphinx, docname: str) -> list[nodes.Node]:
    table, group, body = nodes.table(), nodes.tgroup(cols=3), nodes.tbody()
    head = nodes.thead("", _row([nodes.Text(text)] for text in ("chapter", "seconds", "when")))
    for name, data in executed(app).items():
        link = nodes.reference(refuri=app.builder.get_relative_uri(docname, name), internal=True)
        link += nodes.Text(app.env.titles[name].astext())
        body += _row([[link], [nodes.Text(f"{data['runtime']:.0f}")], [nodes.Text(day(data["mtime"]))]])
    group += [*(nodes.colspec(colwidth=1) for _ in range(3)), head, body]
    table += group
    said = ", ".join(f"{name} {number}" for name, number in versions().items())
    return [table, nodes.paragraph("", f"On {place()}; {said}.")]


def _row(cells) -> nodes.row:
    entries = [nodes.entry("", nodes.paragraph("", "", *cell)) for cell in cells]
    return nodes.row("", *entries)


def tables_again(app: Sphinx, env) -> list[str]:
    """Write the page with the table anew: a chapter may have run again."""
    return ["book/results"] if "book/results" in env.found_docs else []


def setup(app: Sphinx) -> dict:
    app.add_node(RunTimesNode)
    app.add_directive("run-times", RunTimes)
    app.connect("config-inited", choose_cache)
    app.connect("doctree-read", insert_note)
    app.connect("env-updated", tables_again)
    app.connect("doctree-resolved", insert_tables)
    return {"version": "1", "parallel_read_safe": True}
