"""Grade a folder of submissions: find them, map ``grade`` over them, record each result, write the reports."""

from __future__ import annotations

import csv
import io
import json
import multiprocessing
import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from dlcourse.grading import feedback, gradebook, sandbox
from dlcourse.grading.course import Assignment, Course, CourseError, write_whole
from dlcourse.grading.grade import Result, grade
from dlcourse.grading.limits import Limits
from dlcourse.grading.submission import too_large


@dataclass(frozen=True)
class Found:
    """A submission on disk: whose it is, its notebook, or why there is none to read."""

    student: str
    path: Path | None
    problem: str = ""


def find(folder: Path, name: str) -> list[Found]:
    """The submissions in ``folder``: nbgrader's layout (``<student>/<assignment>/``) and flat ``<student>.ipynb``.

    Raises
    ------
    CourseError
        The folder is not there, or holds no submission of this assignment.
    """
    if not folder.is_dir():
        raise CourseError(f"the folder {folder} is not there: --submissions names the folder with the submissions")
    found = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.suffix == ".ipynb":
            found.append(_file(_student(path.stem, name), path))
        elif path.is_dir() and (path / name).is_dir():
            found.append(_folder(path.name, path / name, name))
    if not found:
        raise CourseError(
            f"{folder} holds no submission of {name}: expected <student>/{name}/{name}.ipynb or <student>.ipynb"
        )
    students = [entry.student for entry in found]
    for student in sorted({s for s in students if students.count(s) > 1}):
        raise CourseError(f"{folder} holds more than one submission of {student}: keep the one that counts")
    return sorted(found, key=lambda entry: entry.student)


def _student(stem: str, name: str) -> str:
    return re.sub(rf"[-_ ]+{re.escape(name)}$", "", stem) or stem


def _folder(student: str, folder: Path, name: str) -> Found:
    if folder.is_symlink():
        return Found(student, None, f"{folder.name} is a link; hand in the folder itself")
    exact = folder / f"{name}.ipynb"
    notebooks = [exact] if os.path.lexists(exact) else sorted(folder.glob("*.ipynb"))
    if len(notebooks) == 1:
        return _file(student, notebooks[0])
    many = f"{len(notebooks)} notebooks, none of them named" if notebooks else "no notebook"
    return Found(student, None, f"the folder holds {many} {name}.ipynb")


def _file(student: str, path: Path) -> Found:
    if path.is_symlink():
        return Found(student, None, f"{path.name} is a link; hand in the file itself")
    if not path.is_file():
        return Found(student, None, f"{path.name} is not a plain file")
    return Found(student, path)


def grade_file(found: Found, assignment: Assignment, seed: int, limits: Limits, walled: bool) -> Result:
    """``grade`` for a submission on disk. Runs in a worker process; whatever goes wrong is that row's."""
    if found.path is None:
        return Result(assignment.name, "", refused=found.problem)
    try:
        with open(found.path, "rb") as file:
            data = file.read(limits.notebook_bytes + 1)
        if len(data) > limits.notebook_bytes:
            return Result(assignment.name, "", refused=too_large(found.path.stat().st_size, limits))
        return grade(data, assignment, seed, limits, walled=walled)
    except Exception as error:
        return Result(
            assignment.name, "", refused=f"the grader failed on it ({type(error).__name__}: {error}); grade again"
        )


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
) -> list[tuple[str, Result]]:
    """Grade all submissions into the gradebook; write ``grades.csv``, feedback pages and executed notebooks.

    Raises
    ------
    CourseError, SandboxMissing
        Before anything is graded or written: unknown assignment, missing folder, gradebook not usable, no sandbox.
    """
    assignment = course.assignment(name)
    found = find(submissions, name)
    if walled:
        sandbox.require()
    limits = limits or Limits()
    with gradebook.opened(url or course.gradebook_url, course.root / ".dlcourse") as book:
        seed = course.seed() if seed is None else seed
        gradebook.prepare(book, assignment)
        done = []
        jobs = [(entry, assignment, seed, limits, walled) for entry in found]
        results = _map(grade_file, jobs, workers or os.cpu_count() or 1)
        for entry, result in tqdm(
            zip(found, results, strict=True),
            total=len(found),
            desc=f"grading {name}",
            unit="notebook",
            disable=not progress,
        ):
            gradebook.record(book, assignment, entry.student, result)
            _write_student(course, assignment, entry.student, result, output)
            done.append((entry.student, result))
    write_whole(output / "grades.csv", table_csv(assignment, done))
    return done


def _map(function: Callable, jobs: list[tuple], workers: int) -> Iterator[Result]:
    """``function`` over ``jobs``, in order. A worker that is killed costs one retry, not the batch."""
    context = multiprocessing.get_context("spawn")
    position, retried = 0, -1
    while position < len(jobs):
        with ProcessPoolExecutor(min(workers, len(jobs)), mp_context=context, initializer=_quiet_threads) as pool:
            try:
                for result in _in_order(pool, function, jobs[position:]):
                    yield result
                    position += 1
            except BrokenProcessPool:
                if retried == position:
                    entry, assignment = jobs[position][:2]
                    why = f"grading {entry.student} ended the grader's worker process twice"
                    yield Result(assignment.name, "", refused=why)
                    position += 1
                retried = position


def _in_order(pool: Executor, function: Callable, jobs: list[tuple]) -> Iterator[Result]:
    futures = [pool.submit(function, *job) for job in jobs]
    for future in futures:
        yield future.result()


def _quiet_threads() -> None:
    """The workers share the cores; NumPy's threads in each would fight."""
    for name in sandbox.THREADS:
        os.environ[name] = "1"


def _write_student(course: Course, of: Assignment, student: str, result: Result, output: Path) -> None:
    write_whole(output / "feedback" / f"{_file_name(student)}.html", feedback.page(of, student, result))
    if result.notebook:
        path = course.root / "autograded" / student / of.name / f"{of.notebook_name}.ipynb"
        write_whole(path, json.dumps(result.notebook, indent=1, ensure_ascii=False) + "\n")


def _file_name(student: str) -> str:
    return re.sub(r"[^\w.@+-]", "_", student).lstrip(".") or "_"


def table_csv(of: Assignment, done: list[tuple[str, Result]]) -> str:
    """The grades as CSV: a row for each student, the same bytes for the same results."""
    graded = [exercise for exercise in of.exercises if not exercise.manual]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    header = ["student", "assignment", "status", "score", "max_score"]
    writer.writerow([*header, *(part for e in graded for part in (e.id, f"{e.id} verdict")), "message"])
    most = sum(exercise.points for exercise in graded)
    for student, result in done:
        entries = {entry.exercise_id: entry for entry in result.entries}
        cells = []
        for exercise in graded:
            entry = entries.get(exercise.id)
            cells += [f"{entry.points:g}", entry.verdict] if entry else ["0", "not graded"]
        status = "refused" if result.refused else "graded"
        message = result.refused or "; ".join(result.notes)
        writer.writerow([_safe(student), of.name, status, f"{result.score:g}", f"{most:g}", *cells, _safe(message)])
    return file.getvalue()


def _safe(text: str) -> str:
    """A spreadsheet must not take a student's text for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def table_text(of: Assignment, done: list[tuple[str, Result]]) -> str:
    """The scores for a terminal."""
    most = sum(exercise.points for exercise in of.exercises if not exercise.manual)
    width = max([len("student"), *(len(student) for student, _ in done)])
    lines = [f"{'student':<{width}}  {'score':>9}  remarks"]
    for student, result in done:
        wrong = [f"{e.exercise_id} {e.verdict}" for e in result.entries if e.verdict != "right"]
        said = result.refused or ", ".join(wrong) or "all right"
        said = said if len(said) <= 100 else said[:97] + "..."
        lines.append(f"{student:<{width}}  {result.score:>3g} of {most:>2g}  {said}")
    return "\n".join(lines)
