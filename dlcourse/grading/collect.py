"""Find submissions in a folder and read them, without following or waiting for anything that is no plain file."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from dlcourse.grading.course import CourseError
from dlcourse.grading.limits import Limits
from dlcourse.grading.submission import Refused, too_large

_ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst", ".7z", ".rar")
_KINDS = {
    stat.S_IFLNK: "a link",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass(frozen=True)
class Found:
    """A submission on disk: whose it is, its notebook, or why there is none to read."""

    student: str
    path: Path | None
    problem: str = ""


def find(folder: Path, name: str, *, flat: bool = True) -> list[Found]:
    """The submissions in ``folder``, sorted: nbgrader's layout (``<student>/<assignment>/``), and flat ones
    (``<student>.ipynb``) if ``flat``. What cannot be graded is among them, with the reason.

    Raises
    ------
    CourseError
        The folder is not there, or holds no submission of this assignment.
    """
    if not folder.is_dir():
        raise CourseError(f"the folder {folder} is not there; it should hold the submissions")
    found: dict[str, list[Found]] = {}
    for path in sorted(folder.iterdir()):
        entry = None if path.name.startswith(".") else _entry(path, name, flat)
        if entry is not None:
            found.setdefault(entry.student, []).append(entry)
    if not found:
        layouts = f"<student>/{name}/{name}.ipynb" + (" or <student>.ipynb" if flat else "")
        raise CourseError(f"{folder} holds no submission of {name}: expected {layouts}")
    return [_one(student, found[student]) for student in sorted(found)]


def read(found: Found, limits: Limits) -> bytes:
    """The bytes of a submission's notebook.

    Raises
    ------
    Refused
        There is none, it is no plain file, it is too large, or it may not be read.
    """
    if found.path is None:
        raise Refused(found.problem)
    # Looked at again once it is open: what stood here a moment ago may have been replaced.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
    try:
        with open(os.open(found.path, flags), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise Refused(_no_file(found.path.name, status.st_mode))
            data = file.read(limits.notebook_bytes + 1)
    except OSError as error:
        raise Refused(f"{printable(found.path.name)} cannot be read: {error.strerror}") from None
    if len(data) > limits.notebook_bytes:
        raise Refused(too_large(max(status.st_size, len(data)), limits))
    return data


def student_id(name: str) -> str:
    """A name from the disk as the gradebook can hold it: printable, at most 128 characters and 200 bytes."""
    shown = printable(name)
    if len(shown) <= 128 and len(shown.encode()) <= 200:
        return shown
    # Two long names that begin alike stay two.
    start = shown[:100].encode()[:160].decode(errors="ignore")
    return f"{start}~{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}"


def printable(text: str) -> str:
    """``text`` with what a terminal or a database may choke on written as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _entry(path: Path, name: str, flat: bool) -> Found | None:
    """What one entry of the folder is; None for what is no submission of this assignment."""
    mode = path.lstat().st_mode
    own = student_id(path.name)
    if stat.S_ISDIR(mode) and not (flat and path.suffix == ".ipynb"):
        return _folder(own, path / name, name)
    if flat and path.suffix == ".ipynb":
        return _file(student_id(_student(path.stem, name)), path)
    if flat and path.name.lower().endswith(_ARCHIVES):
        return Found(student_id(_student(path.name.split(".")[0], name)), None, _archive(path.name))
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return None
    if stat.S_ISLNK(mode):
        return Found(own, None, f"{own} is a link; hand in the folder itself")
    return Found(own, None, _no_file(path.name, mode))


def _student(stem: str, name: str) -> str:
    return re.sub(rf"[-_ ]+{re.escape(name)}$", "", stem) or stem


def _folder(student: str, folder: Path, name: str) -> Found | None:
    """The submission in a student's folder for the assignment; None if they handed in none."""
    try:
        mode = folder.lstat().st_mode
    except FileNotFoundError:
        return None
    except OSError as error:
        return Found(student, None, f"the folder {student} cannot be read: {error.strerror}")
    if stat.S_ISLNK(mode):
        return Found(student, None, f"{name} is a link; hand in the folder itself")
    if not stat.S_ISDIR(mode):
        return Found(
            student, None, f"{name} is {_KINDS.get(stat.S_IFMT(mode), 'a file')}, not a folder with a notebook"
        )
    exact = folder / f"{name}.ipynb"
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        return Found(student, None, f"the folder {name} cannot be read: {error.strerror}")
    notebooks = [exact.name] if exact.name in names else [each for each in names if each.endswith(".ipynb")]
    if len(notebooks) == 1:
        return _file(student, folder / notebooks[0])
    archives = [each for each in names if each.lower().endswith(_ARCHIVES)]
    if archives and not notebooks:
        return Found(student, None, _archive(archives[0]))
    many = f"{len(notebooks)} notebooks, none of them named" if notebooks else "no notebook"
    return Found(student, None, f"the folder holds {many} {name}.ipynb")


def _file(student: str, path: Path) -> Found:
    mode = path.lstat().st_mode
    if stat.S_ISREG(mode):
        return Found(student, path)
    if stat.S_ISLNK(mode):
        return Found(student, None, f"{printable(path.name)} is a link; hand in the file itself")
    return Found(student, None, _no_file(path.name, mode))


def _no_file(name: str, mode: int) -> str:
    return f"{printable(name)} is {_KINDS.get(stat.S_IFMT(mode), 'something else')}, not a plain file"


def _archive(name: str) -> str:
    return f"{printable(name)} is an archive; hand in the notebook itself"


def _one(student: str, entries: list[Found]) -> Found:
    if len(entries) == 1:
        return entries[0]
    return Found(student, None, f"{student} stands {len(entries)} times in the folder: keep the one that counts")
