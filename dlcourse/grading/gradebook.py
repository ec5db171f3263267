"""nbgrader's gradebook: one writer, one transaction for each submission, manual scores untouched."""

from __future__ import annotations

import contextlib
import os
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout
from nbgrader.api import Gradebook
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from dlcourse.grading.course import Assignment, CourseError
from dlcourse.grading.grade import Result


@contextlib.contextmanager
def opened(url: str, lock_folder: Path) -> Iterator[Gradebook]:
    """The gradebook at ``url``, for this process alone.

    Raises
    ------
    CourseError
        It cannot be written, cannot be reached, or another grader is using it.
    """
    path = _sqlite_path(url)
    if path is not None:
        _check_writable(path)
        lock = FileLock(f"{path}.lock")
    else:
        lock_folder.mkdir(exist_ok=True)
        lock = FileLock(lock_folder / "gradebook.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise CourseError(
            f"another grader is using the gradebook {path or url}: wait until it is done, then grade again"
        ) from None
    except OSError as error:
        raise CourseError(f"the gradebook {path or url} cannot be locked: {error.strerror}") from None
    # A new gradebook is stamped by a program of this environment, which need not be activated.
    os.environ["PATH"] = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
    try:
        try:
            gradebook = Gradebook(url)
        except SQLAlchemyError as error:
            raise CourseError(f"the gradebook {_shown(url)} cannot be opened: {_first_line(error)}") from None
        try:
            yield gradebook
        finally:
            gradebook.close()
    finally:
        lock.release()
        if path is not None:
            Path(f"{path}.lock").unlink(missing_ok=True)


def prepare(gradebook: Gradebook, of: Assignment) -> None:
    """Make sure that the assignment and its cells are in the gradebook, as ``nbgrader generate_assignment`` would."""
    with _transaction(gradebook):
        gradebook.update_or_create_assignment(of.name)
        gradebook.update_or_create_notebook(of.notebook_name, of.name)
        where = (of.notebook_name, of.name)
        for cell in of.template["cells"]:
            flags = cell["metadata"].get("nbgrader")
            if not flags:
                continue
            name, kind = flags["grade_id"], cell["cell_type"]
            if flags.get("grade"):
                points = float(flags["points"])
                gradebook.update_or_create_grade_cell(name, *where, max_score=points, cell_type=kind)
            if flags.get("solution"):
                gradebook.update_or_create_solution_cell(name, *where)
            source = cell["source"]
            gradebook.update_or_create_source_cell(
                name, *where, cell_type=kind, source=source, locked=bool(flags.get("locked"))
            )


def record(gradebook: Gradebook, of: Assignment, student: str, result: Result) -> None:
    """Write one result, all or nothing. Scores and comments that a person gave stay as they are."""
    with _transaction(gradebook):
        gradebook.update_or_create_student(student)
        gradebook.update_or_create_submission(of.name, student)
        points = {entry.exercise_id: entry.points for entry in result.entries}
        texts = written(of, result)
        for exercise in of.exercises:
            grade = gradebook.find_grade(exercise.grade_id, of.notebook_name, of.name, student)
            if exercise.manual:
                # An empty text needs no person; anything else waits for one.
                grade.auto_score = None if exercise.id in texts else 0.0
            else:
                grade.auto_score = float(points.get(exercise.id, 0.0))
            grade.needs_manual_grade = grade.auto_score is None or grade.manual_score is not None


def written(of: Assignment, result: Result) -> set[str]:
    """The ids of the text exercises that the student has written something for."""
    template = {_id(cell): cell["source"].strip() for cell in of.template["cells"]}
    sent = {_id(cell): cell["source"].strip() for cell in result.notebook.get("cells", ())}
    texts = [exercise for exercise in of.exercises if exercise.manual]
    return {e.id for e in texts if sent.get(e.grade_id) and sent[e.grade_id] != template.get(e.grade_id)}


def _id(cell: dict) -> str:
    return cell["metadata"].get("nbgrader", {}).get("grade_id", "")


@contextlib.contextmanager
def _transaction(gradebook: Gradebook) -> Iterator[None]:
    """nbgrader's API commits after each step; inside this block its commits only flush, and one commit ends it."""
    session = gradebook.db
    commit = session.commit
    session.commit = session.flush
    try:
        with session.no_autoflush:
            yield
        commit()
    except BaseException:
        session.rollback()
        raise
    finally:
        session.commit = commit


def _sqlite_path(url: str) -> Path | None:
    parsed = make_url(url)
    return Path(parsed.database or "gradebook.db") if parsed.get_backend_name() == "sqlite" else None


def _check_writable(path: Path) -> None:
    # The mode is asked for, not the operating system: root may write anything, and still should not.
    target = path if path.exists() else path.parent
    if not target.exists():
        raise CourseError(f"the folder {target} for the gradebook is not there")
    if target.stat().st_mode & 0o222 == 0:
        raise CourseError(
            f"the gradebook {path} is read-only: nothing has been graded; make it writable, or name another"
        )


def _shown(url: str) -> str:
    return make_url(url).render_as_string(hide_password=True)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200]
