"""Steps of plain ``nbgrader`` in a course: one more when it makes student notebooks, ours when it grades them.

nbgrader_config.py names them.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import nbformat
from nbgrader.api import Gradebook
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import Bool, Float

from dlcourse.grading import gradebook, sandbox
from dlcourse.grading.course import Course
from dlcourse.grading.grade import grade
from dlcourse.grading.limits import Limits
from dlcourse.grading.submission import Refused, arrange


class KeepRunning(NbGraderPreprocessor):
    """Let "run all" pass a cell whose answer is a value: it stays ``None``. Functions raise until they are written."""

    def preprocess_cell(self, cell, resources, cell_index):
        if cell.cell_type == "code":
            lines = cell.source.splitlines()
            cell.source = "\n".join(line for line in lines if line != "raise NotImplementedError()")
        return cell, resources


class Arrange(NbGraderPreprocessor):
    """Put the submitted notebook in order: the student's text in our cells, our metadata, no outputs."""

    def preprocess(self, nb, resources):
        assignment = Course(Path.cwd()).assignment(resources["nbgrader"]["assignment"])
        path = Path(resources["metadata"]["path"]) / f"{resources['metadata']['name']}.ipynb"
        try:
            plan = arrange(path.read_bytes(), assignment, Limits())
        except Refused as error:
            self.log.error("%s: %s; graded as an empty notebook", path, error)
            return nbformat.from_dict(assignment.template), resources
        for note in plan.notes:
            self.log.warning("%s: %s", path, note)
        clean = {"cells": plan.cells, "metadata": assignment.template["metadata"], "nbformat": 4, "nbformat_minor": 5}
        return nbformat.from_dict(clean), resources


class JudgeNotebook(NbGraderPreprocessor):
    """Run the notebook in the sandbox, let the judge decide, and record the points."""

    walled = Bool(True, help="run in the sandbox; False only for code that you trust").tag(config=True)
    cell_seconds = Float(Limits.cell_seconds, help="wall time of one cell").tag(config=True)
    cpu_seconds = Float(Limits.cpu_seconds, help="processor time of one cell").tag(config=True)
    total_seconds = Float(Limits.total_seconds, help="wall time of one run of a notebook").tag(config=True)

    def preprocess(self, nb, resources):
        names = resources["nbgrader"]
        course = Course(Path.cwd())
        assignment = course.assignment(names["assignment"])
        if self.walled:
            sandbox.require()
        for name in sandbox.THREADS:
            os.environ.setdefault(name, "1")
        limits = Limits(self.cell_seconds, self.cpu_seconds, self.total_seconds)
        result = grade(json.dumps(nb).encode(), assignment, course.seed(), limits, walled=self.walled)
        with Gradebook(names["db_url"]) as book:
            gradebook.record(book, assignment, names["student"], result)
        return nbformat.from_dict(result.notebook), resources
