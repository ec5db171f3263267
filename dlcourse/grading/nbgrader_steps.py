"""Steps of plain ``nbgrader`` in a course: one more when it makes student notebooks, ours when it grades them.

nbgrader_config.py names the preprocessors and calls ``install``. nbgrader has no setting for which class finds, copies
and converts submissions; its own follows links, opens whatever it finds and goes by patterns made from students' names,
so ``install`` puts the classes of this module in their place. Databases, layout, options and rules stay nbgrader's.
"""

from __future__ import annotations

import datetime
import fnmatch
import os
import stat
from pathlib import Path

import nbformat
from nbgrader.apps import api, autogradeapp, generatefeedbackapp
from nbgrader.converters import Autograde, GenerateFeedback
from nbgrader.converters.base import BaseConverter, NbGraderException
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import parse_utc, rmtree
from traitlets import Bool, Float

from dlcourse.grading import clean, collect, gradebook, identity, sandbox, worker
from dlcourse.grading.course import Course, CourseError, write_whole
from dlcourse.grading.limits import Limits

_TIMESTAMP_BYTES = 100


def install() -> None:
    """Let ``nbgrader autograde``, ``nbgrader generate_feedback`` and formgrader use this module's classes."""
    autogradeapp.Autograde = api.Autograde = SafeAutograde
    generatefeedbackapp.GenerateFeedback = api.GenerateFeedback = SafeGenerateFeedback
    CourseDirectory.get_existing_timestamp = existing_timestamp


class KeepRunning(NbGraderPreprocessor):
    """Let "run all" pass a cell whose answer is a value: it stays ``None``. Functions raise until they are written."""

    def preprocess_cell(self, cell, resources, cell_index):
        if cell.cell_type == "code":
            lines = cell.source.splitlines()
            cell.source = "\n".join(line for line in lines if line != "raise NotImplementedError()")
        return cell, resources


class JudgeNotebook(NbGraderPreprocessor):
    """Run the submission in the sandbox and let the judge decide; the executed notebook takes the place of ``nb``."""

    walled = Bool(True, help="run in the sandbox; False only for code that you trust").tag(config=True)
    cell_seconds = Float(Limits.cell_seconds, help="wall time of one cell").tag(config=True)
    cpu_seconds = Float(Limits.cpu_seconds, help="processor time of one cell").tag(config=True)
    total_seconds = Float(Limits.total_seconds, help="wall time of one run of a notebook").tag(config=True)

    def preprocess(self, nb, resources):
        """nbconvert's; ``resources["dlcourse"]`` holds what was found, and then the result and its digest."""
        course = Course(Path.cwd())
        assignment = course.assignment(resources["nbgrader"]["assignment"])
        for name in sandbox.THREADS:
            os.environ.setdefault(name, "1")
        limits = Limits(self.cell_seconds, self.cpu_seconds, self.total_seconds)
        seed = course.seed()
        result = worker.grade_file(resources["dlcourse"], assignment, seed, limits, self.walled)
        grader = identity.grader(assignment, seed, limits, self.walled)
        resources["dlcourse"] = result, identity.submission(grader, result.digest)
        return nbformat.from_dict(clean.shown(assignment, result)), resources


class _Listed(BaseConverter):
    """Finds each student's notebook by looking at names, not by patterns made from them."""

    def listed(self) -> list[collect.Found]:
        """The submissions in this step's input folder; raises ``CourseError`` if there are none."""
        raise NotImplementedError

    def init_notebooks(self) -> None:
        name = self.coursedir.assignment_id
        self.assignments, self.found = {}, {}
        try:
            if self.coursedir.directory_structure != CourseDirectory.directory_structure.default_value:
                raise CourseError("this course is graded in nbgrader's own folders: unset directory_structure")
            found = self.listed()
        except CourseError as error:
            self.log.error("%s", error)
            raise NbGraderException(str(error)) from None
        for entry in found:
            if self.coursedir.student_id in ("*", entry.student) or fnmatch.fnmatchcase(
                entry.student, self.coursedir.student_id
            ):
                folder = self._format_source(name, entry.student)
                self.found[entry.student] = entry
                self.assignments[folder] = [os.path.join(folder, f"{name}.ipynb")]
        if not self.assignments:
            message = f"{name}: no submission of {self.coursedir.student_id}"
            self.log.error(message)
            raise NbGraderException(message)

    def _input_folder(self) -> Path:
        return Path(self.coursedir.root) / self._input_directory


class _TimestampOnly(BaseConverter):
    """Takes the place of nbgrader's copying of all else that stands in a student's folder: it reads no other files."""

    def init_assignment(self, assignment_id: str, student_id: str) -> None:
        folder = Path(self._format_dest(assignment_id, student_id))
        folder.mkdir(parents=True, exist_ok=True)
        moment = self.coursedir.get_existing_timestamp(self._format_source(assignment_id, student_id))
        if moment is not None:
            write_whole(folder / "timestamp.txt", f"{moment.isoformat(' ')} UTC\n")


class SafeAutograde(_Listed, Autograde, _TimestampOnly):
    """``nbgrader autograde``: every submission gets a result, whatever was handed in.

    The executed notebook is written before the scores are recorded. So a run that was killed has either recorded a
    student or not, and the next run grades those that it has not.
    """

    def start(self) -> None:
        self.course = Course(Path(self.coursedir.root))
        try:
            if not any("JudgeNotebook" in str(step) for step in self.autograde_preprocessors):
                raise CourseError("nbgrader_config.py does not name JudgeNotebook as the step that grades")
            if self.config.get("JudgeNotebook", {}).get("walled", True):
                sandbox.require()
            with gradebook.locked(self.coursedir.db_url, self.course.root / ".dlcourse"):
                super().start()
        except (CourseError, sandbox.SandboxMissing) as error:
            self.log.error("%s", error)
            raise NbGraderException(str(error)) from None

    def listed(self) -> list[collect.Found]:
        found = collect.find(self._input_folder(), self.coursedir.assignment_id, flat=False)
        self.assignment = self.course.assignment(self.coursedir.assignment_id)
        with self._gradebook() as book:
            gradebook.prepare(book, self.assignment)
        return found

    def init_destination(self, assignment_id: str, student_id: str) -> bool:
        with self._gradebook() as book:
            known = gradebook.recorded(book, self.assignment, student_id)
        folder = self._format_dest(assignment_id, student_id)
        if (known is None or not known.digest) and os.path.isdir(folder) and not self._excluded(student_id):
            self.log.info("%s was not graded to its end, or could not be: trying again", folder)
            rmtree(folder)
        return super().init_destination(assignment_id, student_id)

    def convert_single_notebook(self, notebook_filename: str) -> None:
        resources = self.init_single_notebook_resources(notebook_filename)
        names = resources["nbgrader"]
        student, where = names["student"], self._format_dest(names["assignment"], names["student"])
        self.log.info("Autograding %s", notebook_filename)
        self._sanitizing = False
        try:
            self._init_preprocessors()
        finally:
            self._sanitizing = True
        resources["dlcourse"] = self.found[student]
        blank = nbformat.from_dict(self.assignment.template)
        with self._gradebook() as book:
            gradebook.forget(book, self.assignment, student)
        output, resources = self.exporter.from_notebook_node(blank, resources)
        write_whole(Path(where) / f"{names['notebook']}.ipynb", output)
        result, digest = resources["dlcourse"]
        with self._gradebook() as book:
            gradebook.record(book, self.assignment, student, result, digest)
        if result.refused:
            self.log.error("%s: not graded: %s", student, result.refused)
        for note in result.notes:
            self.log.warning("%s: %s", student, note)

    def _excluded(self, student: str) -> bool:
        return student in self.coursedir.student_id_exclude.split(",")

    def _gradebook(self):
        return gradebook.connect(self.coursedir.db_url, self.coursedir.course_id or gradebook.COURSE_ID)


class SafeGenerateFeedback(_Listed, _TimestampOnly, GenerateFeedback):
    """``nbgrader generate_feedback`` for notebooks that ``SafeAutograde`` or ``dlcourse grade`` has written."""

    def listed(self) -> list[collect.Found]:
        found = collect.find(self._input_folder(), self.coursedir.assignment_id, flat=False)
        return [entry for entry in found if entry.path is not None]


def existing_timestamp(self: CourseDirectory, dest_path: str) -> datetime.datetime | None:
    """When a submission was handed in, from its ``timestamp.txt``; None if that is no plain file with a time in it."""
    path = Path(dest_path) / "timestamp.txt"
    if not os.path.lexists(path):
        return None
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ValueError
            text = file.read(_TIMESTAMP_BYTES + 1).decode("ascii").strip()
        # A name of a time zone is looked up as a file's name.
        if not 0 < len(text) <= _TIMESTAMP_BYTES or not text.isprintable() or "/" in text:
            raise ValueError
        moment = parse_utc(text)
        if not 1970 <= moment.year <= 9000:
            raise ValueError
        return moment
    except (OSError, ValueError, OverflowError, ArithmeticError, TypeError):
        self.log.warning("%s holds no time: the submission counts as handed in without one", path)
        return None
