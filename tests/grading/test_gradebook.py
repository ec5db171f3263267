"""The gradebook in SQLite and in PostgreSQL: what is recorded, what stays, who may write."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import re
import shutil
import sqlite3
import subprocess
import sys
import sysconfig
import time

import pytest
from nbgrader.api import Base, Gradebook, get_alembic_version
from sqlalchemy import create_engine, event, inspect, text

from dlcourse.grading import gradebook
from dlcourse.grading.course import CourseError
from dlcourse.grading.grade import Entry, Result
from dlcourse.grading.table import Mark, Row

from .conftest import BOTH, ESSAY, NUMBER, cell, notebook
from .postgres import PASSWORD

NAME = "08_convolution"


def result(both: float = 2.0, number: float = 1.0, words: str = "", **given) -> Result:
    """A result as ``grade`` makes it, with these points."""
    points = ((BOTH, both), (NUMBER, number))
    entries = tuple(Entry(e.id, p, e.points, "right" if p == e.points else "wrong", "", "", None) for e, p in points)
    executed = json.loads(notebook(words=words))
    return Result(NAME, "submitted-bytes", entries=entries, notebook=executed, **given)


@pytest.fixture
def book(url, tmp_path, assignment):
    with gradebook.opened(url, tmp_path) as book:
        gradebook.prepare(book, assignment)
        yield book


def grades(book: Gradebook, student: str) -> dict[str, tuple]:
    book.db.rollback()
    found = book.find_submission_notebook(NAME, NAME, student).grades
    return {grade.name: (grade.auto_score, grade.manual_score, grade.needs_manual_grade) for grade in found}


def test_what_is_recorded_is_what_nbgrader_reads(book, assignment):
    gradebook.record(book, assignment, "ada", result(both=1.5, words="because it is linear"))
    gradebook.record(book, assignment, "bob", result())
    assert grades(book, "ada") == {
        "conv-both": (1.5, None, False),
        "conv-number": (1.0, None, False),
        "conv-words": (None, None, True),
    }
    assert grades(book, "bob")["conv-words"] == (0.0, None, False)
    submission = book.find_submission(NAME, "ada")
    assert (submission.score, submission.max_score, submission.needs_manual_grade) == (2.5, 6.0, True)
    assert book.find_comment("conv-words", NAME, NAME, "ada").comment is None
    assert {s.student.id for s in book.assignment_submissions(NAME)} == {"ada", "bob"}


def test_nbgraders_own_way_makes_the_same_rows(book, assignment):
    """``record`` makes a submission in few statements; nbgrader's method makes one in many."""
    gradebook.record(book, assignment, "ours", result())
    book.update_or_create_student("theirs")
    book.update_or_create_submission(NAME, "theirs")
    ours, theirs = (book.find_submission_notebook(NAME, NAME, student) for student in ("ours", "theirs"))
    assert {g.name for g in ours.grades} == {g.name for g in theirs.grades}
    assert {c.name for c in ours.comments} == {c.name for c in theirs.comments}
    assert (ours.flagged, ours.late_submission_penalty) == (theirs.flagged, theirs.late_submission_penalty)
    assert ours.assignment.timestamp == theirs.assignment.timestamp
    gradebook.record(book, assignment, "theirs", result())
    assert grades(book, "theirs") == grades(book, "ours")


def test_what_a_person_gave_survives_regrading(book, assignment):
    gradebook.record(book, assignment, "ada", result(both=0.0, words="because"), "digest", "files")
    # As formgrader's handlers do it (nbgrader/server_extensions/formgrader/apihandlers.py).
    essay = book.find_grade_by_id(book.find_grade(ESSAY.grade_id, NAME, NAME, "ada").id)
    essay.manual_score, essay.needs_manual_grade = 2.5, False
    code = book.find_grade(BOTH.grade_id, NAME, NAME, "ada")
    code.manual_score, code.extra_credit, code.needs_manual_grade = 1.0, 0.5, False
    comment = book.find_comment_by_id(book.find_comment(ESSAY.grade_id, NAME, NAME, "ada").id)
    comment.manual_comment = "well argued"
    book.db.commit()
    assert gradebook.recorded(book, assignment, "ada").digest == "digest", "a person's points change no result"

    gradebook.prepare(book, assignment)
    gradebook.record(book, assignment, "ada", result(both=2.0, words="because"), "digest", "files")
    assert grades(book, "ada") == {
        "conv-both": (2.0, 1.0, True),
        "conv-number": (1.0, None, False),
        "conv-words": (None, 2.5, True),
    }
    assert book.find_grade(BOTH.grade_id, NAME, NAME, "ada").extra_credit == 0.5
    assert book.find_comment(ESSAY.grade_id, NAME, NAME, "ada").comment == "well argued"
    assert book.find_submission(NAME, "ada").score == 2.5 + 1.0 + 0.5 + 1.0


def test_a_result_comes_back_as_it_was_recorded(book, assignment):
    made = result(both=2 / 3, notes=("the cell conv-both stands 2 times; the last one counts", "é\x00\ud800"))
    assert gradebook.recorded(book, assignment, "ada") is None
    gradebook.record(book, assignment, "ada", made, "d" * 64, "f" * 64)
    known = gradebook.recorded(book, assignment, "ada")
    assert (known.digest, known.files, known.row.taken) == ("d" * 64, "f" * 64, True)
    row = Row.of(made)
    assert (known.row.refused, known.row.notes, known.row.entries) == (row.refused, row.notes, row.entries)
    assert known.row.entries == (Mark("conv.both", 2 / 3, "wrong"), Mark("conv.number", 1.0, "right"))
    gradebook.record(book, assignment, "ada", Result(NAME, "", refused="the file is empty"), "e" * 64, "")
    again = gradebook.recorded(book, assignment, "ada")
    assert (again.digest, again.row.refused, again.row.score) == ("e" * 64, "the file is empty", 0)
    gradebook.forget(book, assignment, "ada")
    assert gradebook.recorded(book, assignment, "ada").digest == ""


def test_a_result_is_not_taken_where_the_gradebook_says_something_else(book, assignment):
    gradebook.record(book, assignment, "ada", result(), "digest", "files")
    book.find_grade(BOTH.grade_id, NAME, NAME, "ada").auto_score = 0.0
    book.db.commit()
    assert gradebook.recorded(book, assignment, "ada") is None
    gradebook.record(book, assignment, "ada", result(), "digest", "files")
    assert gradebook.recorded(book, assignment, "ada") is not None
    book.remove_submission(NAME, "ada")
    assert gradebook.recorded(book, assignment, "ada") is None
    book.remove_student("ada")
    gradebook.record(book, assignment, "ada", result(), "digest", "files")
    assert gradebook.recorded(book, assignment, "ada") is not None


def test_an_exercise_that_was_added_later_is_graded_for_everybody(book, assignment):
    gradebook.record(book, assignment, "ada", result())
    more = cell("conv-more", "# check: conv.more (4 points)", grade=True, solution=False, locked=True, points=4)
    template = {**assignment.template, "cells": [*assignment.template["cells"], more]}
    later = dataclasses.replace(
        assignment, exercises=(*assignment.exercises, dataclasses.replace(NUMBER, id="conv.more")), template=template
    )
    gradebook.prepare(book, later)
    extra = (Entry("conv.more", 4.0, 4.0, "right", "", "", None),)
    made = result()
    gradebook.record(book, later, "ada", dataclasses.replace(made, entries=made.entries + extra))
    assert grades(book, "ada")["conv-more"] == (4.0, None, False)


@pytest.mark.parametrize("student", ["ada", "newcomer"])
def test_a_result_is_recorded_whole_or_not_at_all(book, assignment, student):
    """Whatever statement fails, the gradebook is as it was before."""
    gradebook.record(book, assignment, "ada", result(both=0.0), "before", "")
    for failing in itertools.count(1):
        done = itertools.count(1)

        def fail(*_, done=done, failing=failing):
            if next(done) == failing:
                raise RuntimeError("the disk is gone")

        event.listen(book.engine, "after_cursor_execute", fail)
        try:
            gradebook.record(book, assignment, student, result(), "after", "")
            break
        except RuntimeError:
            pass
        finally:
            event.remove(book.engine, "after_cursor_execute", fail)
        assert [each.id for each in book.students] == ["ada"]
        assert grades(book, "ada")["conv-both"] == (0.0, None, False)
        assert gradebook.recorded(book, assignment, "ada").digest == "before"
    assert failing > 5
    assert gradebook.recorded(book, assignment, student).digest == "after"
    assert grades(book, student)["conv-both"] == (2.0, None, False)


def test_recording_takes_few_statements(book, assignment):
    gradebook.record(book, assignment, "ada", result())
    counted = []
    event.listen(book.engine, "before_cursor_execute", lambda *_: counted.append(1))
    gradebook.record(book, assignment, "ada", result())
    assert len(counted) <= 7


def test_recording_does_not_slow_down_with_the_number_of_students(tmp_path, assignment, sqlite_template):
    """No statement looks through a table that grows with them."""
    url = f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'gradebook.db')}"
    statements = []
    with gradebook.opened(url, tmp_path) as book:
        gradebook.prepare(book, assignment)
        gradebook.record(book, assignment, "ada", result())
        event.listen(book.engine, "before_cursor_execute", lambda *given: statements.append(given[2:4]))
        for student in ("ada", "bob"):
            gradebook.record(book, assignment, student, result())
            gradebook.recorded(book, assignment, student)
            gradebook.forget(book, assignment, student)
    grow = {"student", "submitted_assignment", "submitted_notebook", "grade", "comment", "dlcourse_result"}
    scanned = set()
    with contextlib.closing(sqlite3.connect(tmp_path / "gradebook.db")) as database:
        for statement, parameters in statements:
            one = parameters[0] if isinstance(parameters, list) else parameters
            for *_, step in database.execute(f"EXPLAIN QUERY PLAN {statement}", one):
                scanned |= {table for table in grow if re.match(rf"SCAN {table}\b", step)}
    assert len(statements) > 15 and not scanned


def test_one_grader_at_a_time(url, tmp_path):
    with gradebook.opened(url, tmp_path):
        start = time.monotonic()
        with pytest.raises(CourseError, match="another grader is using the gradebook") as said:
            gradebook.locked(url, tmp_path).__enter__()
        assert time.monotonic() - start < 10
        assert PASSWORD not in str(said.value)
    with gradebook.locked(url, tmp_path):
        pass


def test_the_lock_ends_with_a_killed_grader(url, tmp_path):
    hold = f"""
import sys, time
from pathlib import Path
from dlcourse.grading import gradebook
with gradebook.opened({url!r}, Path({str(tmp_path)!r})):
    print("mine", flush=True)
    time.sleep(600)
"""
    process = subprocess.Popen([sys.executable, "-c", hold], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "mine\n"
        with pytest.raises(CourseError, match="another grader"), gradebook.opened(url, tmp_path):
            pass
    finally:
        process.kill()
        process.communicate()
    with gradebook.opened(url, tmp_path) as book:
        assert book.students == []


def test_nbgrader_upgrades_a_gradebook_with_our_table(url, tmp_path, assignment):
    with gradebook.opened(url, tmp_path) as book:
        gradebook.prepare(book, assignment)
        gradebook.record(book, assignment, "ada", result(), "digest", "files")
    upgrade = [sysconfig.get_path("scripts") + "/nbgrader", "db", "upgrade", f"--db={url}"]
    done = subprocess.run(upgrade, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    with gradebook.opened(url, tmp_path) as book:
        assert gradebook.recorded(book, assignment, "ada").digest == "digest"


def test_a_gradebook_left_half_made_is_finished(empty_url, tmp_path):
    """nbgrader makes its tables one by one and then writes their version."""
    with gradebook.opened(empty_url, tmp_path):
        pass
    engine = create_engine(empty_url)
    with engine.begin() as connection:
        (version,) = connection.execute(text("SELECT version_num FROM alembic_version")).one()
        assert version == get_alembic_version()
        connection.execute(text("DROP TABLE alembic_version"))
        connection.execute(text("DROP TABLE dlcourse_result"))
        connection.execute(text("DROP TABLE comment"))
    for _ in range(2):
        with gradebook.opened(empty_url, tmp_path):
            pass
        with engine.connect() as connection:
            assert connection.execute(text("SELECT version_num FROM alembic_version")).all() == [(version,)]
        assert set(Base.metadata.tables) <= set(inspect(engine).get_table_names())
        with engine.begin() as connection:
            connection.execute(text("DELETE FROM alembic_version"))
    engine.dispose()


def test_no_message_shows_the_password(databases, tmp_path):
    url = databases()
    wrong = url.replace(PASSWORD, "wrong-word")
    nowhere = f"postgresql+psycopg://grader:{PASSWORD}@/gradebook?host={tmp_path}"
    for given in (wrong, nowhere, f"postgresql:{PASSWORD}", f"postgresql+nosuch://grader:{PASSWORD}@host/x"):
        with pytest.raises(CourseError) as said, gradebook.opened(given, tmp_path):
            pass
        assert PASSWORD not in str(said.value) and "wrong-word" not in str(said.value)
    with pytest.raises(CourseError, match=r"cannot be opened: .*failed"), gradebook.opened(nowhere, tmp_path):
        pass
    with (
        pytest.raises(CourseError, match="there is no kind of gradebook 'nosuch'"),
        gradebook.opened("nosuch://x", tmp_path),
    ):
        pass
    with pytest.raises(CourseError, match="must be a file"), gradebook.opened("sqlite://", tmp_path):
        pass


def test_a_missing_driver_is_named(tmp_path):
    code = f"""
import sys
from pathlib import Path
sys.modules["psycopg"] = None
from dlcourse.grading import gradebook
with gradebook.opened("postgresql+psycopg://me@/x", Path({str(tmp_path)!r})):
    pass
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert "CourseError: the driver psycopg" in done.stderr
    assert "pip install 'dlcourse[postgresql]'" in done.stderr


def test_a_database_that_goes_away_is_one_sentence(tmp_path, assignment):
    path = tmp_path / "gradebook.db"
    with (
        pytest.raises(CourseError, match="what was recorded stays: grade again"),
        gradebook.opened(f"sqlite:///{path}", tmp_path) as book,
    ):
        gradebook.prepare(book, assignment)
        other = sqlite3.connect(path)
        other.execute("DROP TABLE grade")
        other.commit()
        other.close()
        gradebook.record(book, assignment, "ada", result())


def test_a_lock_file_is_never_removed(tmp_path):
    """Two graders that lock a path between its removals would hold two locks."""
    path = tmp_path / "gradebook.db"
    with gradebook.opened(f"sqlite:///{path}", tmp_path):
        before = (tmp_path / "gradebook.db.lock").stat().st_ino
    assert (tmp_path / "gradebook.db.lock").stat().st_ino == before
