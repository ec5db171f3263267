"""Where a course keeps its things: the folder layout that nbgrader_config.py, the Makefile and the grader share."""

from __future__ import annotations

import json
import os
import secrets
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dlcourse import exercises


def write_whole(path: Path, text: str) -> None:
    """Write ``text`` to a file that is never half written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, encoding="utf-8", newline="", delete=False) as file:
        file.write(text)
    os.chmod(file.name, 0o644)
    Path(file.name).replace(path)


class CourseError(RuntimeError):
    """Something of the course is missing or unusable; the message is one sentence that says what to do."""


@dataclass(frozen=True)
class Course:
    """A course repository. ``root`` holds ``notebooks/exercises``, ``solutions`` and the gradebook."""

    root: Path

    @property
    def gradebook_url(self) -> str:
        return f"sqlite:///{self.root / 'gradebook.db'}"

    def assignment(self, name: str) -> Assignment:
        """The assignment with its student notebook.

        Raises
        ------
        CourseError
            It is unknown, or its notebook has not been generated.
        """
        try:
            made = exercises.assignment(name)
        except ValueError as error:
            raise CourseError(str(error)) from None
        path = self.root / "notebooks" / "exercises" / name / f"{name}.ipynb"
        if not path.is_file():
            raise CourseError(
                f"{path} is not there: run this in the course's folder, or generate it with `dlcourse release {name}`"
            )
        template = json.loads(path.read_text(encoding="utf-8"))
        for cell in template["cells"]:
            cell["source"] = "".join(cell["source"])
        return Assignment(name, made, template)

    def seed(self) -> int:
        """The secret seed: made once, kept beside the gradebook, readable by its owner only."""
        path = self.root / ".dlcourse" / "seed"
        if not path.exists():
            path.parent.mkdir(mode=0o700, exist_ok=True)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w") as file:
                file.write(f"{secrets.randbits(63)}\n")
        try:
            return int(path.read_text().strip())
        except ValueError:
            raise CourseError(
                f"{path} does not hold a whole number: it is the secret seed; restore or remove it"
            ) from None


@dataclass(frozen=True)
class Assignment:
    """An assignment's exercises and its student notebook (nbformat JSON), which says which cells are whose."""

    name: str
    exercises: tuple[exercises.Exercise, ...]
    template: dict[str, Any]

    @cached_property
    def withhold(self) -> tuple[str, ...]:
        return exercises.withheld(self.exercises)

    @property
    def notebook_name(self) -> str:
        return self.name
