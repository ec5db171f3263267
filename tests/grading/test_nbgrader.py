"""Plain ``nbgrader`` in a course folder: the same sandbox, the same judge, the same scores as ``dlcourse grade``."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbgrader.api import Gradebook

from dlcourse.grading import gradebook
from dlcourse.grading.collect import student_id

from .conftest import needs_bwrap

ROOT = Path(__file__).resolve().parents[2]
NAME = "02_backprop"
STUDENTS = ("perfect", "half-right", "tampered-check", "endless-loop")
OUTSIDE = "what stands outside of the course"
BLANK = (ROOT / "notebooks" / "exercises" / NAME / f"{NAME}.ipynb").read_text(encoding="utf-8")
pytestmark = [needs_bwrap, pytest.mark.sandbox, pytest.mark.slow]


def nbgrader(course: Path, *arguments: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "HOME": str(course), "JUPYTER_PREFER_ENV_PATH": "1"}
    command = [sys.executable, "-m", "nbgrader", *arguments]
    return subprocess.run(command, cwd=course, capture_output=True, text=True, env=environment, timeout=600)


def link(target: str) -> Callable[[Path, Path], None]:
    return lambda path, outside: path.symlink_to(outside / target)


def write(content: str | bytes) -> Callable[[Path, Path], None]:
    return lambda path, _: path.write_bytes(content.encode() if isinstance(content, str) else content)


def pipe(path: Path, _: Path) -> None:
    os.mkfifo(path)


def device(path: Path, _: Path) -> None:
    if os.getuid() == 0:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))
    else:
        path.symlink_to("/dev/zero")


def huge(path: Path, _: Path) -> None:
    with open(path, "wb") as file:
        file.truncate(1 << 30)


def twice(path: Path, _: Path) -> None:
    made = json.loads(BLANK)
    made["cells"] += [dict(cell, id=f"again-{i}") for i, cell in enumerate(made["cells"])]
    path.write_text(json.dumps(made))


# What is handed in: the student's folder, the file in it, what it is, and a word of the reason if it is not graded.
N = f"{NAME}.ipynb"
HANDED_IN = [
    ("link-to-file", N, link(f"perfect/{NAME}/{N}"), "is a link"),
    ("link-to-folder", "", link(f"perfect/{NAME}"), "is a link"),
    ("pipe", N, pipe, "is a named pipe"),
    ("device", N, device, "is a device" if os.getuid() == 0 else "is a link"),
    ("huge", N, huge, "1074 MB"),
    ("folder", N, lambda path, _: path.mkdir(), "is a folder"),
    ("not-json", N, write("{"), "not JSON"),
    ("no-cells", N, write('{"nbformat": 4, "cells": 3}'), "no list of cells"),
    ("old-format", N, write('{"nbformat": 3, "worksheets": []}'), "no list of cells"),
    ("null-bytes", N, write(b"\x00" * 100), "not JSON"),
    ("archive", "work.zip", write(b"PK"), "is an archive"),
    ("nothing", "notes.txt", write("sorry"), "no notebook"),
    ("twice", N, twice, ""),
    ("another-name", "my work.ipynb", write(BLANK), ""),
    ("[a-z]*", N, write(BLANK), ""),
    ("new\nline", N, write(BLANK), ""),
    (os.fsdecode(b"\xff"), N, write(BLANK), ""),
    ('quote\'s "{student_id}" \\1', N, write(BLANK), ""),
    *(
        ("baggage", name, what, "")
        for name, what in [
            (N, write(BLANK)),
            ("passwd.txt", link("secret.txt")),
            ("home", link("")),
            ("data.csv", pipe),
            ("zero", lambda path, _: path.symlink_to("/dev/zero")),
            ("large", huge),
            ("timestamp.txt", link("secret.txt")),
        ]
    ),
    *(
        (f"time-{i}", name, what, "")
        for i, clock in enumerate([pipe, huge, write("soon"), write("9" * 4000), write("2015-02-02 15:58:23 /etc/x")])
        for name, what in [(N, write(BLANK)), ("timestamp.txt", clock)]
    ),
    ("on-time", N, write(BLANK), ""),
    ("on-time", "timestamp.txt", write("2015-02-02 15:58:23.948203 UTC\n"), ""),
]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory) -> tuple[Path, Path, subprocess.CompletedProcess, subprocess.CompletedProcess]:
    """A course folder in which nbgrader has graded what nobody should hand in, and what stood outside of it."""
    folder = tmp_path_factory.mktemp("hostile")
    outside = folder / "outside"
    shutil.copytree(ROOT / "tests" / "submissions" / NAME / "perfect", outside / "perfect")
    (outside / "secret.txt").write_text(OUTSIDE)
    (outside / "secret.txt").chmod(0o600)
    course = folder / "course"
    shutil.copytree(ROOT / "notebooks" / "exercises", course / "notebooks" / "exercises")
    shutil.copyfile(ROOT / "nbgrader_config.py", course / "nbgrader_config.py")
    shutil.copytree(ROOT / "tests" / "submissions" / NAME / "blank", course / "submitted" / "aaa")
    shutil.copytree(ROOT / "tests" / "submissions" / NAME / "half-right", course / "submitted" / "zzz")
    (course / "submitted" / "link-to-student").symlink_to(outside / "perfect")
    os.mkfifo(course / "submitted" / "pipe-for-student")
    for student, name, put, _ in HANDED_IN:
        path = course / "submitted" / student / NAME / name if name else course / "submitted" / student / NAME
        path.parent.mkdir(parents=True, exist_ok=True)
        put(path, outside)
    graded = nbgrader(course, "autograde", NAME, "--JudgeNotebook.cpu_seconds=8")
    return course, outside, graded, nbgrader(course, "generate_feedback", NAME)


@pytest.fixture(scope="module")
def course(tmp_path_factory) -> Path:
    """A course folder in which ``nbgrader generate_assignment`` and ``nbgrader autograde`` have run."""
    folder = tmp_path_factory.mktemp("course")
    shutil.copyfile(ROOT / "nbgrader_config.py", folder / "nbgrader_config.py")
    shutil.copytree(ROOT / "solutions", folder / "solutions")
    made = nbgrader(folder, "generate_assignment", NAME)
    assert made.returncode == 0, made.stderr
    for student in STUDENTS:
        shutil.copytree(ROOT / "tests" / "submissions" / NAME / student, folder / "submitted" / student)
    graded = nbgrader(folder, "autograde", NAME, "--JudgeNotebook.cpu_seconds=8")
    assert graded.returncode == 0, graded.stderr
    return folder


def test_nbgrader_makes_the_student_notebook_that_is_committed(course):
    ours = nbformat.read(ROOT / "notebooks" / "exercises" / NAME / f"{NAME}.ipynb", as_version=4)
    theirs = nbformat.read(course / "notebooks" / "exercises" / NAME / f"{NAME}.ipynb", as_version=4)
    assert [(c.id, c.source, c.metadata) for c in ours.cells] == [(c.id, c.source, c.metadata) for c in theirs.cells]


def test_the_scores_are_those_of_our_grader(course):
    expected = json.loads((ROOT / "tests" / "submissions" / f"{NAME}.expected.json").read_text(encoding="utf-8"))
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as book:
        for student in STUDENTS:
            submission = book.find_submission_notebook(NAME, NAME, student)
            points = {g.name: g.auto_score for g in submission.grades if g.auto_score is not None}
            wanted = {id.replace(".", "-").replace("_", "-"): p for id, p in expected[student]["points"].items()}
            assert {name: points[name] for name in wanted} == wanted


def test_feedback_can_be_made_and_shows_no_solution(course):
    made = nbgrader(course, "generate_feedback", NAME)
    assert made.returncode == 0, made.stderr
    page = (course / "feedback" / "half-right" / NAME / f"{NAME}.html").read_text(encoding="utf-8")
    assert "This looks like a known mistake" in page or "cases right" in page
    assert "BEGIN SOLUTION" not in page
    assert (course / ".dlcourse" / "seed").read_text().strip() not in page


def test_nothing_that_is_handed_in_stops_the_batch_or_leaves_a_score_empty(hostile):
    course, _, graded, feedback = hostile
    assert graded.returncode == 0, graded.stderr
    assert feedback.returncode == 0, feedback.stderr
    assert "Traceback" not in graded.stderr + feedback.stderr
    expected = {student_id(student): why for student, _, _, why in HANDED_IN}
    expected |= {"link-to-student": "is a link", "pipe-for-student": "is a named pipe", "aaa": "", "zzz": ""}
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as book:
        submissions = {each.student.id: each for each in book.assignment_submissions(NAME)}
        assert set(submissions) == set(expected)
        for student, why in expected.items():
            grades = [grade for notebook in submissions[student].notebooks for grade in notebook.grades]
            assert None not in [grade.auto_score for grade in grades], student
            assert (submissions[student].score > 0) == (student == "zzz"), student
            page = (course / "feedback" / student / NAME / f"{NAME}.html").read_text(encoding="utf-8")
            assert ("Not graded: " in page) == bool(why) and why in page, student
            assert not why or f"{student}: not graded: " in graded.stderr
        assert str(submissions["on-time"].timestamp) == "2015-02-02 15:58:23.948203"
        assert all(submissions[f"time-{i}"].timestamp is None for i in range(5))
    assert re.search(r"twice: .* more than once", graded.stderr)


def test_nothing_from_outside_gets_in_and_nothing_outside_changes(hostile):
    course, outside, graded, feedback = hostile
    allowed = {f"{NAME}.ipynb", f"{NAME}.html", "timestamp.txt"}
    for folder in ("autograded", "feedback"):
        made = [path for path in (course / folder).rglob("*") if not path.is_dir()]
        assert {path.name for path in made} == allowed - {f"{NAME}.{'html' if folder == 'autograded' else 'ipynb'}"}
        for path in made:
            assert path.is_file() and not path.is_symlink()
            assert OUTSIDE not in path.read_text(encoding="utf-8")
            assert path.name != "timestamp.txt" or path.parent.parent.name == "on-time"
    assert OUTSIDE not in graded.stderr + feedback.stderr
    assert {str(path.relative_to(outside)) for path in outside.rglob("*")} == {
        "secret.txt", "perfect", f"perfect/{NAME}", f"perfect/{NAME}/{NAME}.ipynb"
    }  # fmt: skip
    assert (outside / "secret.txt").stat().st_mode & 0o777 == 0o600
    assert (outside / "secret.txt").read_text() == OUTSIDE


def test_what_is_there_is_left_and_a_newer_submission_is_not(hostile):
    """nbgrader's rules: by the presence of a folder, by timestamps, by --force."""
    course = hostile[0]
    stamps = {student: course / "autograded" / student / NAME / f"{NAME}.ipynb" for student in ("on-time", "aaa")}

    def graded_again(*options: str) -> set[str]:
        before = {student: path.stat().st_mtime_ns for student, path in stamps.items()}
        done = nbgrader(course, "autograde", NAME, *options)
        assert done.returncode == 0, done.stderr
        return {student for student, path in stamps.items() if path.stat().st_mtime_ns != before[student]}

    (course / "submitted" / "on-time" / NAME / "timestamp.txt").write_text("2015-02-03 00:00:00 UTC")
    assert graded_again("--student=on-time") == {"on-time"}
    assert graded_again("--student=aaa", "--force") == {"aaa"}
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as book:
        assert str(book.find_submission(NAME, "on-time").timestamp) == "2015-02-03 00:00:00"


def test_two_graders_do_not_meet(hostile, tmp_path):
    course = hostile[0]
    with gradebook.locked(f"sqlite:///{course / 'gradebook.db'}", tmp_path):
        done = nbgrader(course, "autograde", NAME, "--force")
    assert done.returncode == 1 and "another grader is using the gradebook" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_assignment_is_one_sentence(hostile):
    done = nbgrader(hostile[0], "autograde", "99_nothing")
    assert done.returncode == 1 and "there is no assignment '99_nothing'" in done.stderr
    assert "Traceback" not in done.stderr
