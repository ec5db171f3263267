"""Grade a folder of submissions: find them, map ``grade`` over them, write the reports, record each result.

A result is recorded as soon as it is there, its files before it. So a run that ends at any moment, also by a kill, has
lost nothing that it recorded; the next one takes it as it is and goes on with the rest.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from dlcourse.grading import identity, sandbox, warm
from dlcourse.grading.collect import Found, find, read
from dlcourse.grading.course import Assignment, Course, CourseError, write_whole
from dlcourse.grading.grade import Result, room
from dlcourse.grading.limits import Limits
from dlcourse.grading.submission import Refused
from dlcourse.grading.table import Row, table_csv, table_text
from dlcourse.grading.worker import begin, failed, grade_file, ready

if TYPE_CHECKING:
    from nbgrader.api import Gradebook

_MANY = 10  # submissions: for fewer, each worker starts what it needs when it needs it
__all__ = ["Found", "Row", "find", "grade_file", "run", "table_csv", "table_text"]


def run(
    course: Course,
    name: str,
    submissions: Path,
    *,
    output: Path,
    url: str | None = None,
    seed: int | None = None,
    limits: Limits | None = None,
    walled: bool = True,
    workers: int | None = None,
    progress: bool = True,
    again: bool = False,
    executor: Executor | None = None,
) -> list[tuple[str, Row]]:
    """Grade all submissions into the gradebook; write ``grades.csv``, feedback pages and executed notebooks.

    A submission whose result is recorded is taken as it was, unless ``again``, or something that decides the result or
    one of its files has changed. ``executor`` is used instead of processes of this machine; its workers must see the
    submissions under the same path.

    Raises
    ------
    CourseError, SandboxMissing
        Before anything is graded or written: unknown assignment, missing folder, gradebook not usable, no sandbox.
        Later, where the gradebook or a file cannot be written any more; what was recorded stays.
    """
    assignment = course.assignment(name)
    found = find(submissions, name)
    if walled:
        sandbox.require()
    limits = limits or Limits()
    with _Workers(len(found), workers or os.cpu_count() or 1, room(assignment, walled), executor) as pool:
        return _run(course, assignment, found, pool, output, url, seed, limits, walled, progress, again)


def _run(course, assignment, found, pool, output, url, seed, limits, walled, progress, again) -> list[tuple[str, Row]]:
    # Slow to import, so while the workers start; `clean` is for the first page.
    sys.modules.setdefault("rfc3987_syntax", None)  # jsonschema would make a grammar of addresses, for a second
    from dlcourse.grading import clean, gradebook  # noqa: F401

    with gradebook.opened(url or course.gradebook_url, course.root / ".dlcourse") as book:
        seed = course.seed() if seed is None else seed
        gradebook.prepare(book, assignment)
        grader = identity.grader(assignment, seed, limits, walled)
        folder = _Folder(course.root / "autograded", output, assignment)
        rows = {}
        if not again:
            known = ((entry, _taken(book, folder, entry, grader, limits)) for entry in found)
            rows = {entry.student: row for entry, row in known if row is not None}
        left = [entry for entry in found if entry.student not in rows]
        jobs = ((entry, assignment, seed, limits, walled) for entry in left)
        shape = {"desc": f"grading {assignment.name}", "unit": "notebook", "disable": not progress}
        with tqdm(total=len(found), initial=len(rows), **shape) as bar:
            for job, result in pool.map(grade_file, jobs):
                student = job[0].student
                result = folder.write(student, result)
                digest = identity.submission(grader, result.digest)
                gradebook.record(book, assignment, student, result, digest, folder.digest(student))
                rows[student] = Row.of(result)
                bar.update()
    done = [(entry.student, rows[entry.student]) for entry in found]
    write_whole(output / "grades.csv", table_csv(assignment, done))
    return done


def _taken(book: Gradebook, folder: _Folder, entry: Found, grader: str, limits: Limits) -> Row | None:
    """The row of an earlier run, if grading again would change nothing."""
    from dlcourse.grading import gradebook

    known = gradebook.recorded(book, folder.assignment, entry.student)
    if known is None or not known.digest:
        return None
    try:
        digest = identity.submission(grader, hashlib.sha256(read(entry, limits)).hexdigest())
    except Refused:
        return None
    return known.row if known.digest == digest and known.files == folder.digest(entry.student) else None


@dataclass(frozen=True)
class _Folder:
    """Where the files of a batch stand: executed notebooks, and feedback pages in ``output``."""

    autograded: Path
    output: Path
    assignment: Assignment

    def write(self, student: str, result: Result) -> Result:
        """Write a student's files, each whole; returns the result, refused if it cannot be shown."""
        try:
            texts = self._texts(student, result)
        except Exception as error:
            result = failed(self.assignment, f"the grader failed on its report ({type(error).__name__})")
            texts = self._texts(student, result)
        for path, text in zip(self.paths(student), texts, strict=True):
            try:
                write_whole(path, text)
            except OSError as error:
                raise CourseError(
                    f"{path} cannot be written: {error.strerror}; "
                    "what was recorded stays: grade again to go on from there"
                ) from None
        return result

    def digest(self, student: str) -> str:
        """Of the student's files as they are on the disk."""
        return identity.files(*self.paths(student))

    def paths(self, student: str) -> tuple[Path, Path]:
        """The feedback page and the executed notebook."""
        of = self.assignment
        page = self.output / "feedback" / f"{_file_name(student)}.html"
        return page, self.autograded / student / of.name / f"{of.notebook_name}.ipynb"

    def _texts(self, student: str, result: Result) -> tuple[str, str]:
        from dlcourse.grading import clean, feedback  # slow to import, as nbconvert is

        notebook = json.dumps(clean.shown(self.assignment, result), indent=1, ensure_ascii=False)
        return feedback.page(self.assignment, student, result), f"{notebook}\n"


def _map(
    function: Callable[..., Result],
    jobs: Iterable[tuple],
    workers: int,
    executor: Executor | None = None,
    start: Callable[[int], _processes] | None = None,
) -> Iterator[tuple[tuple, Result]]:
    """Each job with its result, as they finish; no more jobs are in flight than keep the workers busy.

    A worker process that ends takes the whole pool with it: each job that was in flight is tried once more, alone, so
    that only the one that ends its worker again is given up.
    """
    jobs, start = iter(jobs), start or _processes
    if executor is not None:
        yield from _finished(executor, function, jobs, 2 * (os.cpu_count() or 1), lost := [])
        yield from ((job, _given_up(job)) for job in lost)
        return
    more = workers > 0
    while more:
        lost: list[tuple] = []
        with start(workers) as pool:
            yield from _finished(pool, function, jobs, 2 * workers, lost)
        more = bool(lost)
        for job in lost:
            with start(1) as pool:
                yield from _finished(pool, function, iter([job]), 1, given_up := [])
            yield from ((job, _given_up(job)) for job in given_up)


def _finished(
    pool: Executor, function: Callable[..., Result], jobs: Iterator[tuple], window: int, lost: list[tuple]
) -> Iterator[tuple[tuple, Result]]:
    """Results as they come. Where the pool breaks, it is left, with what was in flight in ``lost``."""
    running: dict[Future, tuple] = {}
    broken = False
    while True:
        while not broken and len(running) < window and (job := next(jobs, None)) is not None:
            try:
                running[pool.submit(function, *job)] = job
            except BrokenExecutor:
                lost.append(job)
                broken = True
        if not running:
            return
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            job = running.pop(future)
            try:
                result = future.result()
            except BrokenExecutor:
                lost.append(job)
                broken = True
            except Exception as error:
                yield job, failed(job[1], f"the grader failed on it ({type(error).__name__}: {error})")
            else:
                yield job, result


def _given_up(job: tuple) -> Result:
    entry, assignment = job[:2]
    return failed(assignment, f"grading {entry.student} ended the grader's worker process twice")


class _Workers:
    """Worker processes and the warm parent that they share, for many submissions started before they are needed."""

    def __init__(self, submissions: int, workers: int, made: tuple, executor: Executor | None):
        self.early, self.number = submissions >= _MANY, min(workers, submissions)
        self.made, self.executor = made, executor
        self.parent: warm.ForkServer | None = None
        self.first: _processes | None = None

    def __enter__(self) -> _Workers:
        if self.executor is None and self.early:
            self.parent = warm.start(self.made)
            self.first = self._start(self.number)
            for _ in range(self.number):
                self.first.pool.submit(ready)
        return self

    def __exit__(self, *error) -> None:
        if self.first is not None:
            self.first.__exit__(*error)
        if self.parent is not None:
            self.parent.close()

    def map(self, function: Callable[..., Result], jobs: Iterable[tuple]) -> Iterator[tuple[tuple, Result]]:
        return _map(function, jobs, self.number, self.executor, self._next)

    def _start(self, workers: int) -> _processes:
        return _processes(workers, self.made, self.parent.control) if self.parent else _processes(workers)

    def _next(self, workers: int) -> _processes:
        started, self.first = self.first, None
        return started or self._start(workers)


class _processes:
    """A pool of worker processes that never outlives its use: left by an error, it waits for nobody."""

    def __init__(self, workers: int, *parent):
        self.before = set(multiprocessing.active_children())
        self.pool = ProcessPoolExecutor(
            workers,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=begin,
            initargs=(os.getpid(), *parent),
        )

    def __enter__(self) -> ProcessPoolExecutor:
        return self.pool

    def __exit__(self, kind, error, traceback) -> None:
        if kind is not None:
            for process in set(multiprocessing.active_children()) - self.before:
                process.kill()
        self.pool.shutdown(cancel_futures=kind is not None)


def _file_name(student: str) -> str:
    """A file's name for a student, another one for each."""
    name = re.sub(r"[^\w.@+ -]|^\.", lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), student)
    if len(name.encode()) <= 200:
        return name
    start = name.encode()[:160].decode(errors="ignore")
    return f"{start}~{hashlib.sha256(student.encode()).hexdigest()[:16]}"
