"""nbgrader's gradebook: one writer, one transaction for each submission, manual scores untouched.

A table of our own, ``dlcourse_result``, stands beside nbgrader's: for each submission the digest of what decided its
result and its row of the CSV file, written in the same transaction as the scores. nbgrader does not look at it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alembic.script import ScriptDirectory
from filelock import FileLock, Timeout
from nbgrader import api
from nbgrader.api import Gradebook
from nbgrader.dbutil import ALEMBIC_DIR
from sqlalchemy import (
    Column,
    ForeignKey,
    MetaData,
    String,
    Table,
    Text,
    bindparam,
    create_engine,
    func,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from dlcourse.grading.course import COURSE_ID, Assignment, CourseError
from dlcourse.grading.grade import Result
from dlcourse.grading.table import Row, dumped

_BUSY = "another grader is using the gradebook {}: wait until it is done, then grade again"
# PostgreSQL's advisory locks are numbers, one name space a database.
_LOCK = int.from_bytes(hashlib.sha256(b"dlcourse gradebook").digest()[:8], "big", signed=True)
_LOCK_SECONDS = 3.0

_grades, _comments = api.Grade.__table__, api.Comment.__table__
_notebooks, _cells = api.Notebook.__table__, api.BaseCell.__table__
_sent, _sent_notebooks = api.SubmittedAssignment.__table__, api.SubmittedNotebook.__table__


# Not in nbgrader's own metadata, which its migrations compare with the database. PostgreSQL removes a row with its
# submission; SQLite, which enforces no keys, leaves one that no submission leads to any more.
_results = Table(
    "dlcourse_result",
    MetaData(),
    Column("submission_id", String(32), ForeignKey(_sent.c.id, ondelete="CASCADE"), primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("files", String(64), nullable=False),
    Column("result", Text(), nullable=False),
)


@dataclass(frozen=True)
class Recorded:
    """A result that the gradebook holds: the digests of what decided it and of its files, and its row."""

    digest: str
    files: str
    row: Row


@contextlib.contextmanager
def opened(url: str, lock_folder: Path) -> Iterator[Gradebook]:
    """The gradebook at ``url``, for this process alone.

    Raises
    ------
    CourseError
        It cannot be written, cannot be reached, or another grader is using it.
    """
    with locked(url, lock_folder), _said(url):
        gradebook = connect(url)
        try:
            yield gradebook
        finally:
            gradebook.close()


def connect(url: str, course_id: str = COURSE_ID) -> Gradebook:
    """nbgrader's gradebook with our table in it; made if it is not there. The caller holds the lock."""
    try:
        engine = create_engine(url, poolclass=NullPool)
        _create(engine)
        _results.create(engine, checkfirst=True)
        gradebook = Gradebook(url, course_id)
    except SQLAlchemyError as error:
        raise CourseError(f"the gradebook {shown(url)} cannot be opened: {_first_line(error)}") from None
    return gradebook


@contextlib.contextmanager
def locked(url: str, lock_folder: Path) -> Iterator[None]:
    """Keep other graders from the gradebook at ``url``. The lock ends with the process, however it ends.

    Raises
    ------
    CourseError
        It cannot be written, cannot be reached, or another grader is using it.
    """
    parsed = _parsed(url)
    backend = parsed.get_backend_name()
    if backend == "postgresql":
        with _advisory_lock(parsed):
            yield
        return
    if backend == "sqlite":
        path = Path(parsed.database)
        _check_writable(path)
        name = f"{path}.lock"
    else:
        lock_folder.mkdir(exist_ok=True)
        name = str(lock_folder / "gradebook.lock")
    lock = FileLock(name)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise CourseError(_BUSY.format(shown(url))) from None
    except OSError as error:
        raise CourseError(f"the gradebook {shown(url)} cannot be locked: {error.strerror}") from None
    try:
        # The file stays: two graders that lock a path between its removals would hold two locks.
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _advisory_lock(url: URL) -> Iterator[None]:
    keep = {"keepalives_idle": 60} if url.get_driver_name().startswith("psycopg") else {}
    try:
        engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT", connect_args=keep)
    except ModuleNotFoundError as error:
        raise CourseError(
            f"the driver {error.name} for {url.drivername} is not installed: pip install 'dlcourse[postgresql]'"
        ) from None
    try:
        connection = engine.connect()
    except SQLAlchemyError as error:
        raise CourseError(f"the gradebook {shown(url)} cannot be opened: {_first_line(error)}") from None
    with connection:
        # The server takes a moment to notice that a grader was killed.
        until = time.monotonic() + _LOCK_SECONDS
        while not connection.scalar(select(func.pg_try_advisory_lock(_LOCK))):
            if time.monotonic() > until:
                raise CourseError(_BUSY.format(shown(url)))
            time.sleep(0.1)
        yield


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


def record(
    gradebook: Gradebook, of: Assignment, student: str, result: Result, digest: str = "", files: str = ""
) -> None:
    """Write one result, all or nothing. Scores and comments that a person gave stay as they are.

    ``digest`` and ``files`` (see ``dlcourse.grading.identity``) say when it may be taken as it is by a later run.
    """
    scores = _scores(of, result)
    with _transaction(gradebook) as session:
        submission, grades = _submission(session, of, student)
        changes = [
            {"which": id, "auto_score": scores[name], "needs_manual_grade": scores[name] is None or manual is not None}
            for name, (id, manual) in grades.items()
            if name in scores
        ]
        if changes:
            session.execute(_SET_GRADE, changes)
        row = {"digest": digest, "files": files}
        row["result"] = dumped(Row.of(result).to_json() | {"scores": scores})
        known = session.execute(update(_results).where(_results.c.submission_id == submission).values(row))
        if not known.rowcount:
            session.execute(insert(_results), {"submission_id": submission, **row})


def recorded(gradebook: Gradebook, of: Assignment, student: str) -> Recorded | None:
    """What was recorded for this student; None if nothing was, or if the gradebook says something else by now."""
    session = gradebook.db
    found = session.execute(
        select(_results, _notebooks.c.id.label("notebook"), _sent_notebooks.c.id.label("sent_notebook"))
        .join(_sent, _sent.c.id == _results.c.submission_id)
        .join(api.Assignment, api.Assignment.id == _sent.c.assignment_id)
        .join(_sent_notebooks, _sent_notebooks.c.assignment_id == _sent.c.id)
        .join(_notebooks, _notebooks.c.id == _sent_notebooks.c.notebook_id)
        .where(api.Assignment.name == of.name, _notebooks.c.name == of.notebook_name, _sent.c.student_id == student)
    ).first()
    scores = {}
    if found is not None:
        # An outer join begins at the cells, which are few; an inner one may begin at all grades of all students.
        here = (_grades.c.cell_id == _cells.c.id) & (_grades.c.notebook_id == found.sent_notebook)
        now = select(_cells.c.name, _grades.c.auto_score, _grades.c.id).outerjoin(_grades, here)
        rows = session.execute(now.where(_cells.c.notebook_id == found.notebook)).all()
        scores = {name: auto for name, auto, grade in rows if grade is not None}
    session.rollback()  # nothing was written; the next step starts afresh
    try:
        data = json.loads(found.result) if found is not None else None
        if not data or any(name not in scores or scores[name] != auto for name, auto in data["scores"].items()):
            return None
        return Recorded(found.digest, found.files, Row.from_json(data))
    except (KeyError, TypeError, ValueError):
        return None


def forget(gradebook: Gradebook, of: Assignment, student: str) -> None:
    """A student's result is about to be made anew: whoever is killed before it is recorded starts again."""
    with _transaction(gradebook) as session:
        mine = select(_sent.c.id).join(api.Assignment, api.Assignment.id == _sent.c.assignment_id)
        mine = mine.where(api.Assignment.name == of.name, _sent.c.student_id == student)
        session.execute(update(_results).where(_results.c.submission_id.in_(mine)).values(digest=""))


def written(of: Assignment, result: Result) -> set[str]:
    """The ids of the text exercises that the student has written something for."""
    template = {_id(cell): cell["source"].strip() for cell in of.template["cells"]}
    sent = {_id(cell): cell["source"].strip() for cell in result.notebook.get("cells", ())}
    texts = [exercise for exercise in of.exercises if exercise.manual]
    return {e.id for e in texts if sent.get(e.grade_id) and sent[e.grade_id] != template.get(e.grade_id)}


def _scores(of: Assignment, result: Result) -> dict[str, float | None]:
    """What the autograder gives for each graded cell. None waits for a person; an empty text needs none."""
    points = {entry.exercise_id: float(entry.points) for entry in result.entries}
    texts = written(of, result)
    return {e.grade_id: None if e.id in texts else points.get(e.id, 0.0) for e in of.exercises}


def _id(cell: dict) -> str:
    return cell["metadata"].get("nbgrader", {}).get("grade_id", "")


_SET_GRADE = (
    update(_grades)
    .where(_grades.c.id == bindparam("which"))
    .values(auto_score=bindparam("auto_score"), needs_manual_grade=bindparam("needs_manual_grade"))
)


def _submission(session: Session, of: Assignment, student: str) -> tuple[str, dict[str, tuple[str, float | None]]]:
    """A student's submission, as ``Gradebook.update_or_create_submission`` makes it, and its notebook's grades: for
    each cell's name the id of the grade and what a person gave.

    That method takes some forty statements; this one takes three for a student who has handed in before. Cells that
    were added to the assignment later are added here.
    """
    if session.scalar(select(api.Student.id).where(api.Student.id == student)) is None:
        session.execute(insert(api.Student.__table__), {"id": student})
    found = session.execute(
        select(_notebooks.c.id, _notebooks.c.name, api.Assignment.id, _sent.c.id, _sent_notebooks.c.id)
        .join(api.Assignment, api.Assignment.id == _notebooks.c.assignment_id)
        .outerjoin(_sent, (_sent.c.assignment_id == api.Assignment.id) & (_sent.c.student_id == student))
        .outerjoin(
            _sent_notebooks,
            (_sent_notebooks.c.assignment_id == _sent.c.id) & (_sent_notebooks.c.notebook_id == _notebooks.c.id),
        )
        .where(api.Assignment.name == of.name)
    ).all()
    submission, grades = None, {}
    for notebook, name, assignment, sent, sent_notebook in found:
        submission = submission or sent
        if submission is None:
            submission = api.new_uuid()
            session.execute(insert(_sent), {"id": submission, "assignment_id": assignment, "student_id": student})
        if sent_notebook is None:
            sent_notebook = api.new_uuid()
            row = {"id": sent_notebook, "assignment_id": submission, "notebook_id": notebook}
            session.execute(insert(_sent_notebooks), row)
        here = _grades_of(session, notebook, sent_notebook)
        if name == of.notebook_name:
            grades = here
    return submission, grades


def _grades_of(session: Session, notebook: str, sent_notebook: str) -> dict[str, tuple[str, float | None]]:
    """The grades of a notebook that was handed in; a grade or a comment is made for each cell that has none yet."""
    # Through the cells: nbgrader keeps an index of cell and notebook, and none of notebooks alone.
    cells = session.execute(
        select(_cells.c.id, _cells.c.name, _cells.c.type, _grades.c.id, _grades.c.manual_score, _comments.c.id)
        .outerjoin(_grades, (_grades.c.cell_id == _cells.c.id) & (_grades.c.notebook_id == sent_notebook))
        .outerjoin(_comments, (_comments.c.cell_id == _cells.c.id) & (_comments.c.notebook_id == sent_notebook))
        .where(_cells.c.notebook_id == notebook)
    ).all()
    found: dict[str, tuple[str, float | None]] = {}
    missing: dict[Table, list[dict[str, str]]] = {_grades: [], _comments: []}
    for cell, name, kind, grade, manual, comment in cells:
        made = {"id": api.new_uuid(), "cell_id": cell, "notebook_id": sent_notebook}
        if kind in ("GradeCell", "TaskCell"):
            if grade is None:
                missing[_grades].append(made)
            found[name] = (grade or made["id"], manual)
        if kind in ("SolutionCell", "TaskCell") and comment is None:
            missing[_comments].append(made | {"id": api.new_uuid()})
    for table, rows in missing.items():
        if rows:
            session.execute(insert(table), rows)
    return found


@contextlib.contextmanager
def _transaction(gradebook: Gradebook) -> Iterator[Session]:
    """nbgrader's API commits after each step; inside this block its commits only flush, and one commit ends it."""
    session = gradebook.db
    commit = session.commit
    session.commit = session.flush
    try:
        with session.no_autoflush:
            yield session
        commit()
    except BaseException:
        session.rollback()
        raise
    finally:
        session.commit = commit


def _create(engine: Engine) -> None:
    """Make what is missing of nbgrader's tables and write their version, as nbgrader does, which starts a program for
    it and leaves them without a version if it is killed before."""
    here = inspect(engine)
    names = set(here.get_table_names())
    if "alembic_version" in names:
        with engine.connect() as connection:
            if connection.scalar(text("SELECT count(*) FROM alembic_version")):
                return
    for table in api.Base.metadata.sorted_tables:
        have = {column["name"] for column in here.get_columns(table.name)} if table.name in names else table.c.keys()
        if set(table.c.keys()) - set(have):
            return  # of an older nbgrader, from before versions: `nbgrader db upgrade` is for that
    version = {"version": ScriptDirectory(ALEMBIC_DIR).get_current_head()}
    with engine.begin() as connection:
        api.Base.metadata.create_all(connection)
        connection.execute(text("CREATE TABLE IF NOT EXISTS alembic_version (version_num VARCHAR(32) NOT NULL)"))
        connection.execute(text("INSERT INTO alembic_version (version_num) VALUES (:version)"), version)


def _parsed(url: str | URL) -> URL:
    try:
        parsed = make_url(url)
        parsed.get_dialect()
    except NoSuchModuleError:
        raise CourseError(
            f"there is no kind of gradebook {parsed.drivername!r}: expected sqlite or postgresql+psycopg"
        ) from None
    except ArgumentError:
        # The text is not repeated: it may hold a password.
        raise CourseError(
            "the gradebook's URL cannot be read: expected something like sqlite:///gradebook.db "
            "or postgresql+psycopg://user@host/gradebook"
        ) from None
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise CourseError("the gradebook must be a file: write sqlite:///gradebook.db")
    return parsed


def _check_writable(path: Path) -> None:
    # The mode is asked for, not the operating system: root may write anything, and still should not.
    target = path if path.exists() else path.parent
    if not target.exists():
        raise CourseError(f"the folder {target} for the gradebook is not there")
    if target.stat().st_mode & 0o222 == 0:
        raise CourseError(
            f"the gradebook {path} is read-only: nothing has been graded; make it writable, or name another"
        )


@contextlib.contextmanager
def _said(url: str) -> Iterator[None]:
    """A database that stops answering is one sentence, not a traceback."""
    try:
        yield
    except DBAPIError as error:
        raise CourseError(
            f"the gradebook {shown(url)} cannot be written: {_first_line(error)}; "
            "what was recorded stays: grade again to go on from there"
        ) from error


def shown(url: str | URL) -> str:
    """A gradebook's URL for a message: the file, or the address without its password."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return str(parsed.database)
    return parsed.render_as_string(hide_password=True)


def _first_line(error: Any) -> str:
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0][:300]
