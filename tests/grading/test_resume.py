"""A grader that is killed loses nothing that it recorded, and the next one goes on from there."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from nbgrader.api import Gradebook
from sqlalchemy import create_engine, text

from dlcourse import cli
from dlcourse.grading import batch, gradebook, identity
from dlcourse.grading.course import Course
from dlcourse.grading.limits import Limits

from .conftest import needs_bwrap

ROOT = Path(__file__).resolve().parents[2]
NAME = "02_backprop"
SEED = 4711
# Graded without a sandbox, because there is nothing to run in them, but from their bytes like any other.
REFUSED = {"ann": "", "bob": "{", "cat": "[]", "dan": '{"cells": []}', "eve": "{}", "fay": "null"}


def make_course(folder: Path, real: bool = False) -> Path:
    shutil.copytree(ROOT / "notebooks" / "exercises", folder / "notebooks" / "exercises")
    (folder / ".dlcourse").mkdir()
    (folder / ".dlcourse" / "seed").write_text(f"{SEED}\n")
    for student, content in REFUSED.items():
        path = folder / "submitted" / student / NAME / f"{NAME}.ipynb"
        path.parent.mkdir(parents=True)
        path.write_text(content)
    if real:
        sample = ROOT / "tests" / "submissions" / NAME / "half-right"
        shutil.copytree(sample, folder / "submitted" / "half-right")
    return folder


@contextlib.contextmanager
def runs(course: Path, url: str, program: str = "dlcourse") -> Iterator[Callable[[str, int], tuple[int, str]]]:
    """Runs the grader until it is killed at a moment; gives its exit status and what it said."""
    command = [sys.executable, str(Path(__file__).with_name("killed.py")), program]
    command += {
        "dlcourse": ["grade", NAME, "--course", str(course), "--db", url, "--workers", "1"],
        "nbgrader": ["autograde", NAME, f"--CourseDirectory.db_url={url}"],
    }[program]
    said = course / "said"
    with open(said, "w") as log:
        process = subprocess.Popen(
            command, cwd=course, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        )

    def run_until(moment: str, number: int = 1) -> tuple[int, str]:
        begin = said.stat().st_size
        process.stdin.write(f"{moment} {number}\n")
        process.stdin.flush()
        status = process.stdout.readline()
        text = said.read_bytes()[begin:].decode()
        assert status, text
        return int(status), text

    try:
        yield run_until
    finally:
        process.stdin.close()
        process.wait(30)


def contents(url: str) -> dict:
    """All that the gradebook says about students, by names."""
    with_results = (
        "SELECT s.student_id, r.digest, r.files, r.result FROM dlcourse_result r "
        "JOIN submitted_assignment s ON s.id = r.submission_id"
    )
    grades = (
        "SELECT s.student_id, c.name, g.auto_score, g.manual_score, g.needs_manual_grade FROM grade g "
        "JOIN base_cell c ON c.id = g.cell_id JOIN submitted_notebook n ON n.id = g.notebook_id "
        "JOIN submitted_assignment s ON s.id = n.assignment_id"
    )
    engine = create_engine(url)
    with engine.connect() as connection:
        found = {query: sorted(map(tuple, connection.execute(text(query)))) for query in (with_results, grades)}
    engine.dispose()
    return {"results": found[with_results], "grades": found[grades]}


def results(url: str) -> set:
    try:
        return set(contents(url)["results"])
    except Exception:  # not all tables are there yet
        return set()


def files(course: Path) -> dict[str, bytes]:
    made = [path for folder in ("grades", "autograded") for path in (course / folder).rglob("*") if path.is_file()]
    return {str(path.relative_to(course)): path.read_bytes() for path in made}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> tuple[dict, dict]:
    """The gradebook and the files of a run that nothing disturbed."""
    course = make_course(tmp_path_factory.mktemp("undisturbed") / "course")
    url = f"sqlite:///{course / 'gradebook.db'}"
    assert cli.main(["grade", NAME, "--course", str(course), "--workers", "1"]) == 0
    return contents(url), files(course)


@pytest.mark.slow
def test_killed_at_many_moments_it_ends_as_if_undisturbed(empty_url, tmp_path, undisturbed):
    course = make_course(tmp_path / "course")
    moments = [
        ("statement", 9),  # while the tables are made
        ("commit", 3),  # before the assignment is in
        (".html", 1),  # before the first feedback page stands
        (".ipynb", 1),  # between the page and the executed notebook
        ("commit", 3),  # the files of a student stand, the scores are not committed
        ("statement", 30),  # in the middle of a student's transaction
        (".html", 3),  # after two students more
        ("grades.csv", 1),  # all recorded, the table not written
    ]
    before: set = set()
    with runs(course, empty_url) as run_until:
        for moment, number in moments:
            status, said = run_until(moment, number)
            assert status == -signal.SIGKILL, (moment, number, said)
            now = results(empty_url)
            assert before <= now, "a recorded result was lost"
            before = now
        assert {row[0] for row in before} == set(REFUSED)
        status, said = run_until("never")
        assert status == 0, said
    assert f"{len(REFUSED)} of {len(REFUSED)} were taken as they were" in said
    gradebook_then, files_then = undisturbed
    assert contents(empty_url) == gradebook_then
    assert files(course) == files_then


@needs_bwrap
@pytest.mark.sandbox
@pytest.mark.slow
def test_killed_while_a_submission_runs_it_leaves_no_process_and_goes_on(tmp_path):
    course = make_course(tmp_path / "course", real=True)
    url = f"sqlite:///{course / 'gradebook.db'}"
    command = [sys.executable, "-m", "dlcourse.cli", "grade", NAME, "--course", str(course), "--workers", "2"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    until = time.monotonic() + 120
    while len(results(url)) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    family = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    assert len(family) >= 2
    until = time.monotonic() + 60  # a worker looks for its parent after the submission that it is at
    while (alive := [child.pid for child in family if is_alive(child)]) and time.monotonic() < until:
        time.sleep(0.1)
    assert not alive
    before = results(url)
    assert len(before) >= 2

    rows = dict(run(course, url))
    assert {student for student, row in rows.items() if row.taken} >= {row[0] for row in before}
    assert before <= results(url)
    other = make_course(tmp_path / "other", real=True)
    again = run(other, f"sqlite:///{other / 'gradebook.db'}")
    assert (course / "grades" / NAME / "grades.csv").read_bytes() == (
        other / "grades" / NAME / "grades.csv"
    ).read_bytes()
    assert [(student, row.score) for student, row in again] == [(student, row.score) for student, row in rows.items()]
    assert rows["half-right"].score > 0


def is_alive(process: psutil.Process) -> bool:
    """Whether it still runs: where the first process of a container reaps nobody, what has ended stays a zombie."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def run(course: Path, url: str, **options) -> list[tuple[str, batch.Row]]:
    options = {"seed": SEED, "workers": 1, "progress": False} | options
    where = options.pop("submissions", course / "submitted")
    return batch.run(Course(course), NAME, where, output=course / "grades" / NAME, url=url, **options)


def taken(rows: list[tuple[str, batch.Row]]) -> set[str]:
    return {student for student, row in rows if row.taken}


def test_what_is_graded_again_and_what_is_not(url, tmp_path, monkeypatch):
    course = make_course(tmp_path / "course")
    table = course / "grades" / NAME / "grades.csv"
    everybody = set(REFUSED)
    monkeypatch.setattr("dlcourse.grading.batch.sandbox.require", lambda: None)  # nothing here is executed
    assert taken(run(course, url)) == set()
    first = table.read_bytes()
    assert taken(run(course, url)) == everybody
    assert table.read_bytes() == first
    assert taken(run(course, url, again=True)) == set()
    assert table.read_bytes() == first

    # Another seed, another limit, no sandbox: another grader.
    assert taken(run(course, url, seed=SEED + 1)) == set()
    assert taken(run(course, url)) == set()
    assert taken(run(course, url, limits=Limits(cell_seconds=59))) == set()
    assert taken(run(course, url)) == set()

    # Another submission; a page or a notebook that is gone or changed.
    (course / "submitted" / "ann" / NAME / f"{NAME}.ipynb").write_text(" ")
    (course / "grades" / NAME / "feedback" / "bob.html").unlink()
    (course / "autograded" / "cat" / NAME / f"{NAME}.ipynb").write_text("{}")
    assert taken(run(course, url)) == {"dan", "eve", "fay"}
    assert taken(run(course, url)) == everybody

    # What cannot be read is looked at each time; who is gone is not in the table.
    shutil.rmtree(course / "submitted" / "dan" / NAME)
    (course / "submitted" / "dan" / NAME).mkdir()
    shutil.rmtree(course / "submitted" / "eve")
    assert taken(run(course, url)) == {"ann", "bob", "cat", "fay"}
    assert taken(run(course, url)) == {"ann", "bob", "cat", "fay"}
    assert "no notebook" in table.read_text()

    # nbgrader's own commands: a removed submission is graded again.
    with Gradebook(url) as book:
        book.remove_submission(NAME, "fay")
    assert taken(run(course, url)) == {"ann", "bob", "cat"}


def test_a_changed_package_is_another_grader(assignment, monkeypatch):
    one = identity.grader(assignment, SEED, Limits(), True)
    assert one == identity.grader(assignment, SEED, Limits(), True)
    assert one != identity.grader(assignment, SEED, Limits(), False)
    monkeypatch.setattr(identity, "package", lambda: "changed")
    assert one != identity.grader(assignment, SEED, Limits(), True)
    assert identity.submission(one, "") == ""


@pytest.mark.slow
def test_nbgrader_autograde_goes_on_after_a_kill(url, tmp_path):
    """nbgrader itself takes a folder in ``autograded`` for a graded submission, and would leave these for good."""
    course = make_course(tmp_path / "course")
    shutil.copyfile(ROOT / "nbgrader_config.py", course / "nbgrader_config.py")
    notebook = course / "autograded" / "ann" / NAME / f"{NAME}.ipynb"
    before: set = set()
    with runs(course, url, "nbgrader") as run_until:
        # ann's folder is there and no notebook in it; ann is recorded; two more are.
        for number in (1, 2, 4):
            status, said = run_until(".ipynb", number)
            assert status == -signal.SIGKILL, said
            assert before <= results(url)
            before = results(url)
        assert len(before) >= 2 and notebook.is_file()
        status, said = run_until("never")
        assert status == 0, said
        # nbgrader's own rule: what is there is left as it is.
        stamp = notebook.stat().st_mtime_ns
        assert run_until("never")[0] == 0
        assert notebook.stat().st_mtime_ns == stamp
    with Gradebook(url) as book:
        for student in REFUSED:
            grades = book.find_submission_notebook(NAME, NAME, student).grades
            assert [grade.auto_score for grade in grades] == [0.0] * len(grades)
            shown = json.loads((course / "autograded" / student / NAME / f"{NAME}.ipynb").read_text())
            assert shown["cells"][0]["source"][0].startswith("Not graded: ")
    with gradebook.opened(url, tmp_path) as book:
        assignment = Course(course).assignment(NAME)
        assert all(gradebook.recorded(book, assignment, student).digest for student in REFUSED)
