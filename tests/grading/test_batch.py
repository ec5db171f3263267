"""``dlcourse grade`` as an instructor meets it: good batches, bad input, and a gradebook that nothing harms."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from filelock import FileLock
from nbgrader.api import Gradebook

from dlcourse.grading import batch
from dlcourse.grading.course import Course
from dlcourse.grading.grade import Result

from . import workers as workers_module
from .conftest import needs_bwrap, notebook

ROOT = Path(__file__).resolve().parents[2]
NAME = "08_convolution"
pytestmark = [needs_bwrap, pytest.mark.sandbox]


@pytest.fixture
def course(tmp_path) -> Path:
    shutil.copytree(ROOT / "notebooks" / "exercises", tmp_path / "course" / "notebooks" / "exercises")
    return tmp_path / "course"


def dlcourse(course: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "dlcourse.cli", *arguments]
    return subprocess.run(command, cwd=course, capture_output=True, text=True, timeout=600)


def blank(course: Path) -> str:
    return (course / "notebooks" / "exercises" / NAME / f"{NAME}.ipynb").read_text(encoding="utf-8")


def rows(course: Path) -> dict[str, dict]:
    with open(course / "grades" / NAME / "grades.csv", encoding="utf-8", newline="") as file:
        return {row["student"]: row for row in csv.DictReader(file)}


@pytest.fixture
def submissions(course) -> Path:
    """Two of each layout, and everything that cannot be graded."""
    folder = course / "submitted"
    nested = folder / "ada" / NAME
    nested.mkdir(parents=True)
    (nested / f"{NAME}.ipynb").write_text(blank(course))
    (folder / f"grace_{NAME}.ipynb").write_text(blank(course))
    (folder / "empty.ipynb").write_text("")
    (folder / "broken.ipynb").write_text("{")
    (folder / "=formula.ipynb").write_text("{")
    (folder / "none" / NAME).mkdir(parents=True)
    (folder / "link.ipynb").symlink_to("/etc/passwd")
    with open(folder / "huge.ipynb", "wb") as file:
        file.truncate(100_000_000)
    os.mkfifo(folder / "pipe.ipynb")
    return folder


def test_a_batch_with_everything_that_can_be_wrong_goes_on(course, submissions):
    done = dlcourse(course, "grade", NAME)
    assert done.returncode == 0, done.stderr
    graded = rows(course)
    assert graded["ada"]["status"] == graded["grace"]["status"] == "graded"
    reasons = {student: row["message"] for student, row in graded.items() if row["status"] == "refused"}
    assert "empty" in reasons["empty"] and "not JSON" in reasons["broken"]
    assert "100 MB" in reasons["huge"] and "is a link" in reasons["link"]
    assert "not a plain file" in reasons["pipe"] and "no notebook" in reasons["none"]
    assert "'=formula" in graded
    assert all(float(row["score"]) == 0 for row in graded.values())
    assert len(list((course / "grades" / NAME / "feedback").glob("*.html"))) == len(graded)
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as book:
        assert {s.student.id for s in book.assignment_submissions(NAME)} >= {"ada", "grace", "empty", "huge"}
    # Regrading the same bytes with the same seed gives the same table, byte for byte.
    before = (course / "grades" / NAME / "grades.csv").read_bytes()
    assert dlcourse(course, "grade", NAME, "--workers", "1").returncode == 0
    assert (course / "grades" / NAME / "grades.csv").read_bytes() == before
    assert "grading" in done.stderr and "100%" in done.stderr  # the progress bar
    assert "no notebook" in done.stdout
    assert str((course / ".dlcourse" / "seed").read_text().strip()) not in done.stdout + done.stderr
    assert (course / ".dlcourse" / "seed").stat().st_mode & 0o077 == 0


def test_what_cannot_be_graded_at_all_is_one_sentence(course, submissions):
    for arguments, said in [
        (["grade", "99_nothing"], "there is no assignment '99_nothing'; known: "),
        (["grade", NAME, "--submissions", "nowhere"], "the folder nowhere is not there"),
        (["grade", NAME, "--submissions", "notebooks/exercises"], "holds no submission of 08_convolution"),
        (["grade", NAME, "--course", "elsewhere"], "is not there: run this in the course's folder"),
        (
            ["grade", NAME, "--db", "sqlite:///nowhere/gradebook.db"],
            "the folder nowhere for the gradebook is not there",
        ),
    ]:
        done = dlcourse(course, *arguments)
        assert done.returncode == 1
        assert said in done.stderr and "Traceback" not in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
        assert not (course / "gradebook.db").exists()


def test_without_bubblewrap_it_says_so_and_stops(course, submissions):
    environment = {**os.environ, "PATH": str(course)}
    command = [sys.executable, "-m", "dlcourse.cli", "grade", NAME]
    done = subprocess.run(command, cwd=course, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 1 and not (course / "gradebook.db").exists()
    assert "bubblewrap is not on this machine" in done.stderr and "--no-sandbox" in done.stderr


def test_a_read_only_gradebook_is_left_as_it_was(course, submissions):
    path = course / "gradebook.db"
    Gradebook(f"sqlite:///{path}").close()
    path.chmod(0o444)
    before = path.read_bytes()
    done = dlcourse(course, "grade", NAME)
    assert done.returncode == 1 and "is read-only" in done.stderr
    assert path.read_bytes() == before and path.stat().st_mode & 0o777 == 0o444


def test_a_second_grader_is_turned_away(course, submissions):
    path = course / "gradebook.db"
    Gradebook(f"sqlite:///{path}").close()
    before = path.read_bytes()
    with FileLock(f"{path}.lock"):
        done = dlcourse(course, "grade", NAME)
    assert done.returncode == 1 and "another grader is using the gradebook" in done.stderr
    assert path.read_bytes() == before


def test_a_file_that_is_no_gradebook_is_left_as_it_was(course, submissions):
    path = course / "gradebook.db"
    path.write_text("not a database " * 100)
    done = dlcourse(course, "grade", NAME)
    assert done.returncode == 1 and "cannot be opened" in done.stderr and "Traceback" not in done.stderr
    assert path.read_text() == "not a database " * 100


def test_a_student_who_stands_twice_is_a_row_and_stops_nobody(tmp_path):
    (tmp_path / "ada" / NAME).mkdir(parents=True)
    (tmp_path / "ada" / NAME / f"{NAME}.ipynb").write_text("{}")
    (tmp_path / "ada.ipynb").write_text("{}")
    (tmp_path / "bob.ipynb").write_text("{}")
    ada, bob = batch.find(tmp_path, NAME)
    assert ada.path is None and "ada stands 2 times in the folder" in ada.problem
    assert bob == batch.Found("bob", tmp_path / "bob.ipynb")


def results(students: list[str], assignment, folder, workers: int = 2) -> dict[str, Result]:
    jobs = ((batch.Found(student, None), assignment, folder) for student in students)
    return {job[0].student: result for job, result in batch._map(workers_module.die_on_bad, jobs, workers)}


def test_a_submission_that_ends_its_worker_costs_nobody_else_a_result(tmp_path):
    assignment = Course(ROOT).assignment(NAME)
    students = [f"s{i}" for i in range(6)] + ["bad1", "raises", "bad2"] + [f"t{i}" for i in range(6)]
    done = results(students, assignment, tmp_path)
    assert set(done) == set(students)
    for student, result in done.items():
        if student.startswith("bad"):
            assert "ended the grader's worker process twice; grade again" in result.refused and not result.digest
            assert len((tmp_path / student).read_text().split()) == 2
        elif student == "raises":
            assert "RuntimeError: out of luck" in result.refused and not result.digest
        else:
            assert result.digest == student and not result.refused


def test_jobs_are_taken_as_they_are_needed(assignment):
    """A hundred thousand submissions are neither queued nor kept."""
    begun, running, most = [], set(), []

    def jobs():
        for i in range(200):
            begun.append(i)
            yield (batch.Found(str(i), None), assignment)

    def work(found, assignment):
        running.add(found.student)
        most.append(len(running))
        time.sleep(0.001 * (int(found.student) % 3))
        running.discard(found.student)
        return Result(assignment.name, found.student)

    with ThreadPoolExecutor(2) as pool:
        seen = []
        for job, result in batch._finished(pool, work, jobs(), 4, []):
            seen.append(job[0].student)
            assert result.digest == job[0].student
            assert len(begun) - len(seen) <= 4
    assert sorted(seen, key=int) == [str(i) for i in range(200)] and max(most) <= 2


def test_another_executor_is_used_as_it_is(course, monkeypatch):
    """A cluster's, say."""
    folder = course / "submitted"
    folder.mkdir()
    for i in range(9):
        (folder / f"s{i}.ipynb").write_text("{")
    used = []

    class Recording(ThreadPoolExecutor):
        def submit(self, *given):
            used.append(given)
            return super().submit(*given)

    monkeypatch.setattr("dlcourse.grading.batch.sandbox.require", lambda: None)  # nothing here is executed
    output = course / "grades"
    with Recording(3) as pool:
        done = batch.run(Course(course), NAME, folder, output=output, seed=1, progress=False, executor=pool)
    assert len(used) == 9 and [student for student, _ in done] == [f"s{i}" for i in range(9)]
    assert all("not JSON" in row.refused for _, row in done)


def test_what_cannot_be_shown_is_that_students_row(tmp_path, assignment, monkeypatch):
    folder = batch._Folder(tmp_path / "autograded", tmp_path, assignment)
    odd = Result(NAME, "digest", notes=("half a pair: \ud800",), notebook=json.loads(notebook(words="\ud800 and <b>")))
    assert folder.write("ada", odd) is odd
    page, executed = folder.paths("ada")
    assert "and &lt;b" in page.read_text(encoding="utf-8") and json.loads(executed.read_text(encoding="utf-8"))
    assert folder.digest("ada") and not folder.digest("bob")

    broken = Result(NAME, "digest", notebook={"cells": [{"cell_type": "code"}]})
    result = folder.write("bob", broken)
    assert "the grader failed on its report" in result.refused and not result.digest
    assert "Not graded" in folder.paths("bob")[0].read_text(encoding="utf-8")


def test_every_student_has_a_page_of_their_own(tmp_path, assignment):
    folder = batch._Folder(tmp_path, tmp_path, assignment)
    names = ["a b", "a_b", "a/b", "a%2Fb", ".ada", "%2Eada", "ada", "Zoë", "名" * 60, "名" * 60 + "x", "a" * 128, "A"]
    pages = [folder.paths(name)[0] for name in names]
    assert len({page.name for page in pages}) == len(names)
    for page in pages:
        assert page.parent == tmp_path / "feedback" and len(os.fsencode(page.name)) < 250
        assert not page.name.startswith(".")


@pytest.mark.slow
def test_an_interrupted_grader_stops_at_once_and_leaves_no_process(course):
    shutil.copytree(
        ROOT / "tests" / "submissions" / "02_backprop" / "endless-loop", course / "submitted" / "endless-loop"
    )
    command = [sys.executable, "-m", "dlcourse.cli", "grade", "02_backprop", "--cpu-seconds", "60"]
    grader = psutil.Popen(command, cwd=course, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 120
    while not any("bwrap" in child.name() for child in family(grader)) and time.monotonic() < until:
        time.sleep(0.1)
    started = family(grader)
    assert started
    grader.send_signal(signal.SIGINT)
    _, said = grader.communicate(timeout=60)
    assert grader.returncode == 130
    assert "stopped; what was recorded stays recorded" in said and "Traceback" not in said
    _, alive = psutil.wait_procs(started, timeout=10)
    assert not alive


def family(process: psutil.Process) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.children(recursive=True)
    return []
