"""Where a course keeps its things: the folder layout that nbgrader_config.py, the Makefile and the grader share."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dlcourse import exercises

COURSE_ID = "dlcourse"
_IMPORT = re.compile(r"^[ \t]*(?:import|from)[ \t]+([\w.]+)", re.MULTILINE)


def write_whole(path: Path, text: str) -> None:
    """Write ``text`` to a file that is never half written, also if this process is killed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # One name for each file, not a random one: what a killed process left is overwritten by the next.
    part = path.with_name(f".{path.name}.part")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    # Half a surrogate pair, which JSON lets a student write, is no UTF-8: it is written as its escape.
    with open(os.open(part, flags, 0o644), "w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        file.write(text)
        os.fchmod(file.fileno(), 0o644)
    part.replace(path)


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
            part = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
            with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(f"{secrets.randbits(63)}\n")
            # Whole or not at all, and never over another grader's.
            with contextlib.suppress(FileExistsError):
                os.link(part, path)
            part.unlink()
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

    @cached_property
    def imports(self) -> tuple[str, ...]:
        """The modules that the student notebook's own cells import."""
        code = "\n".join(cell["source"] for cell in self.template["cells"] if cell["cell_type"] == "code")
        return tuple(sorted(set(_IMPORT.findall(code))))

    @property
    def notebook_name(self) -> str:
        return self.name
