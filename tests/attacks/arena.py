"""A course folder with students, secrets and attackers in it, graded by the commands that instructors type."""

from __future__ import annotations

import contextlib
import csv
import ctypes
import html
import json
import os
import re
import shutil
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from nbgrader.api import Gradebook

from dlcourse.exercises import PUBLIC_SEED
from dlcourse.exercises import assignment as exercises_of

from .case import KEPT, ROOT, Attack, grade_id, own, solution, template

CANARY = "canary"  # every planted secret begins with this word
SECONDS = {"cell": 8, "cpu": 4, "total": 16}
HONEST = ("ada", "mary", "zoe")
ENTRIES = ("dlcourse", "nbgrader")
_HEADLINE = re.compile(r"^[✓✗] ([\w.]+): (\d+) of \d+ points?(?:, \d+ of \d+ cases? right)?(?:, (.*))?$", re.MULTILINE)
_SUBREAPER = 36  # linux/prctl.h


@dataclass
class Row:
    """What came of one submission, whichever command graded it."""

    points: dict[str, float]
    verdicts: dict[str, str]
    refused: str = ""
    notebook: dict[str, Any] = field(default_factory=dict)

    @property
    def outputs(self) -> str:
        """Everything that its cells have put out."""
        cells = (cell for cell in self.notebook.get("cells", ()) if cell["cell_type"] == "code")
        return "\n".join(text for cell in cells for output in cell["outputs"] for text in _texts(output))


class Arena:
    """One course folder for one command. ``hand_in`` and ``grade`` it, then look at what came of it."""

    def __init__(self, root: Path, entry: str, seed: int, word: str):
        self.root, self.entry, self.seed, self.word = root, entry, seed, word
        self.course = root / "course"
        self.home = root / "home"
        self.temporary = root / "temporary"
        for folder in (self.home, self.temporary, self.course / "submitted"):
            folder.mkdir(parents=True)
        shutil.copytree(ROOT / "notebooks" / "exercises", self.course / "notebooks" / "exercises")
        shutil.copytree(ROOT / "solutions", self.course / "solutions")
        shutil.copyfile(ROOT / "nbgrader_config.py", self.course / "nbgrader_config.py")
        self.said, self.statuses = "", []
        self._plant()

    def _plant(self) -> None:
        """Put secrets where a grader's machine has them."""
        folder = self.course / ".dlcourse"
        folder.mkdir(mode=0o700)
        (folder / "seed").write_text(f"{self.seed}\n")
        (folder / "seed").chmod(0o600)
        for path in (self.course / "notes.txt", self.home / "key", self.temporary / "key"):
            path.write_text(self.canary("file"))
        with Gradebook(f"sqlite:///{self.course / 'gradebook.db'}", course_id="dlcourse") as book:
            book.add_assignment("older")
            book.add_student(self.canary("student"), first_name="Untouched")
            book.add_submission("older", self.canary("student"))
        self.course.joinpath("gradebook.db").chmod(0o640)

    def canary(self, kind: str) -> str:
        return f"{CANARY}-{kind}-{self.word}"

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COVERAGE"))}
        own = {"HOME": str(self.home), "TMPDIR": str(self.temporary), "COURSE_PASSWORD": self.canary("environment")}
        return kept | own | {"PYTHONPATH": str(ROOT), "JUPYTER_PREFER_ENV_PATH": "1", "PYTHONHASHSEED": "0"}

    def hand_in_honest(self) -> None:
        """The students whose rows must not change: all right, some right with a known mistake, and nothing."""
        for student, right in zip(HONEST, (None, ("mlp.parameters", "mlp.momentum"), ()), strict=True):
            for assignment in KEPT:
                notebook = template(assignment)
                for exercise in exercises_of(assignment):
                    if not exercise.manual and (right is None or exercise.id in right):
                        cell = own(notebook, f"{exercise.grade_id}-answer")
                        cell["source"] = solution(assignment, exercise.id)
                if student == "ada":
                    own(notebook, grade_id(KEPT[assignment][0]) + "-answer")["source"] += (
                        f"\n{self.canary('answer')!r};"
                    )
                if student == "mary" and assignment == "02_backprop":
                    source = "def linear_backward(dout, x, w):\n    return dout @ w.T, x.T @ dout, dout.mean(axis=0)"
                    own(notebook, "mlp-linear-backward-answer")["source"] = source
                path = self.course / "submitted" / student / assignment / f"{assignment}.ipynb"
                path.parent.mkdir(parents=True)
                path.write_text(json.dumps(notebook), encoding="utf-8")

    def hand_in(self, attack: Attack, words: dict[str, str]) -> None:
        """An attack, where its student's submission belongs."""
        name = attack.assignment
        path = os.fsencode(self.course / "submitted") + b"/" + attack.folder + f"/{name}/{name}.ipynb".encode()
        attack.write(Path(os.fsdecode(path)), words | {"COURSE": str(self.course)})

    def commands(self, assignment: str) -> list[list[str]]:
        """What an instructor types."""
        if self.entry == "dlcourse":
            limits = [word for name, value in SECONDS.items() for word in (f"--{name}-seconds", str(value))]
            return [[sys.executable, "-m", "dlcourse.cli", "grade", assignment, "--workers", "1", *limits]]
        limits = [f"--JudgeNotebook.{name}_seconds={value}" for name, value in SECONDS.items()]
        program = [sys.executable, "-m", "nbgrader"]
        return [[*program, "autograde", assignment, *limits], [*program, "generate_feedback", assignment]]

    def grade(self, assignment: str) -> None:
        """Run the commands; each must end by itself and without a traceback."""
        for command in self.commands(assignment):
            done = subprocess.run(
                command, cwd=self.course, env=self.environment, capture_output=True, text=True, timeout=1500
            )
            self.said += f"$ {' '.join(command[1:])}\n{done.stdout}\n{done.stderr}\n"
            self.statuses.append(done.returncode)

    def row(self, assignment: str, student: str) -> Row | None:
        """What the gradebook, the table and the executed notebook say of a student; ``None`` if nothing."""
        graded = {e.grade_id: e.id for e in exercises_of(assignment) if not e.manual}
        with Gradebook(f"sqlite:///{self.course / 'gradebook.db'}", course_id="dlcourse") as book:
            found = [s for s in book.assignment_submissions(assignment) if s.student.id == student]
            if not found:
                return None
            grades = {grade.name: grade for notebook in found[0].notebooks for grade in notebook.grades}
            points = {id: grades[name].auto_score for name, id in graded.items()}
        path = self.course / "autograded" / student / assignment / f"{assignment}.ipynb"
        notebook = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        row = Row(points, _verdicts(notebook), _refusal(notebook), notebook)
        if self.entry == "dlcourse":
            said = self.table(assignment)[student]
            row.verdicts = {id: said[f"{id} verdict"] for id in points}
            row.refused = said["message"] if said["status"] == "refused" else ""
            assert {id: float(said[id]) for id in points} == points, "the table and the gradebook differ"
        return row

    def table(self, assignment: str) -> dict[str, dict[str, str]]:
        """grades.csv by student."""
        path = self.course / "grades" / assignment / "grades.csv"
        with open(path, encoding="utf-8", newline="") as file:
            return {row["student"].removeprefix("'"): row for row in csv.DictReader(file)}

    def visible(self) -> Iterator[tuple[Path, str]]:
        """Every file that a student gets to see."""
        for pattern in ("autograded/**/*", "feedback/**/*", "grades/*/feedback/*"):
            for path in sorted(self.course.glob(pattern)):
                if path.is_file():
                    yield path, path.read_text(encoding="utf-8")

    def honest(self) -> dict[str, bytes]:
        """All that stands anywhere about the honest students, byte for byte, without the moment of grading."""
        kept: dict[str, bytes] = {}
        for path, text in self.visible():
            where = path.relative_to(self.course)
            if set(where.parts) & set(HONEST) or where.stem in HONEST:
                kept[str(where)] = re.sub(r"timestamp|\d{4}-\d\d-\d\d[ T][\d:.+]*", "", text).encode()
        for path in sorted(self.course.glob("grades/*/grades.csv")):
            for line in path.read_bytes().splitlines():
                if line.partition(b",")[0].decode() in HONEST:
                    kept[f"{path.parent.name} {line.partition(b',')[0].decode()}"] = line
        with sqlite3.connect(self.course / "gradebook.db") as database:
            for row in database.execute(
                "select s.student_id, a.name, c.name, g.auto_score, g.manual_score, g.needs_manual_grade "
                "from grade g join base_cell c on c.id = g.cell_id join submitted_notebook n on n.id = g.notebook_id "
                "join submitted_assignment s on s.id = n.assignment_id join assignment a on a.id = s.assignment_id"
            ):
                if row[0] in HONEST:
                    kept[f"gradebook {row[:3]}"] = repr(row).encode()
        return kept

    def untouched(self) -> dict[str, Any]:
        """What grading must leave as it is: the gradebook's mode and other contents, and the course's own files."""
        path = self.course / "gradebook.db"
        with sqlite3.connect(path) as database:
            rows = database.execute("select * from student where id like ?", (f"{CANARY}%",)).fetchall()
            rows += database.execute("select * from assignment where name = 'older'").fetchall()
            rows += database.execute(
                "select * from submitted_assignment where student_id like ?", (f"{CANARY}%",)
            ).fetchall()
        files = {}
        for pattern in ("solutions/**/*", "notebooks/**/*", "*.txt", "*.py", ".dlcourse/seed"):
            for each in self.course.glob(pattern):
                if each.is_file():
                    files[str(each)] = (each.stat().st_mode, each.read_bytes())
        return {"mode": path.stat().st_mode, "rows": rows, "files": files}


def _texts(output: dict[str, Any]) -> Iterator[str]:
    if output["output_type"] == "stream":
        yield _joined(output["text"])
    elif output["output_type"] == "error":
        yield f"{output['ename']}: {output['evalue']}"
    else:
        for value in output["data"].values():
            yield _joined(value) if isinstance(value, str | list) else json.dumps(value)


def _joined(text: str | list[str]) -> str:
    return text if isinstance(text, str) else "".join(text)


def _verdicts(notebook: dict[str, Any]) -> dict[str, str]:
    """The verdicts on the public cases, as the check cells of an executed notebook say them."""
    found = {}
    for cell in notebook.get("cells", ()):
        flags = cell["metadata"].get("nbgrader", {})
        if flags.get("grade") and not flags.get("solution"):
            for text in (text for output in cell["outputs"] for text in _texts(output)):
                for id, points, verdict in _HEADLINE.findall(text):
                    found[id] = verdict or ("right" if float(points) else "wrong")
    return found


def _refusal(notebook: dict[str, Any]) -> str:
    for cell in notebook.get("cells", ()):
        said = _joined(cell["source"])
        if cell["cell_type"] == "markdown" and said.startswith("Not graded: "):
            return html.unescape(said.removeprefix("Not graded: "))
    return ""


def hidden_numbers(seed: int) -> set[str]:
    """The numbers of the cases that ``seed`` makes and the public seed does not, each with 17 digits."""
    return _numbers(seed) - _numbers(PUBLIC_SEED)


def _numbers(seed: int) -> set[str]:
    found: set[str] = set()
    for assignment in KEPT:
        for exercise in exercises_of(assignment):
            for case in exercise.make_cases(seed):
                for call in case.calls:
                    for value in (*call.args, *call.kwargs.values()):
                        found |= {repr(float(number)) for number in _floats(value)}
                for value in case.secret.values():
                    found |= {repr(float(number)) for number in _floats(value)}
    return {text for text in found if len(re.sub(r"\D", "", text)) >= 12}


def _floats(value: Any) -> Iterator[float]:
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        yield from value.ravel()
    elif isinstance(value, float):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _floats(part)


def adopt() -> None:
    """From now on a process whose parent has gone is this process's child: none can get out of sight."""
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


def left_running(seconds: float = 15) -> list[str]:
    """The descendants of this process, those that have exited aside; some have a moment to go."""
    until = time.monotonic() + seconds
    while True:
        found = []
        for process in psutil.Process().children(recursive=True):
            try:
                if process.status() == psutil.STATUS_ZOMBIE:
                    process.wait(0)
                else:
                    found.append(f"{process.pid} {process.cmdline()}")
            except (psutil.NoSuchProcess, psutil.TimeoutExpired):
                continue
        if not found or time.monotonic() > until:
            return found
        time.sleep(0.2)


class Listener:
    """Counts who connects: on a port of every address, by datagram, and on an abstract socket."""

    def __init__(self, word: str):
        self.heard: list[str] = []
        self.sockets = [socket.socket(socket.AF_INET, kind) for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)]
        self.sockets[0].bind(("", 0))
        self.port = self.sockets[0].getsockname()[1]
        self.sockets[1].bind(("", self.port))
        self.sockets.append(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        self.sockets[2].bind(f"\0{word}")
        for each in (self.sockets[0], self.sockets[2]):
            each.listen()
            threading.Thread(target=self._accept, args=(each,), daemon=True).start()
        threading.Thread(target=self._receive, args=(self.sockets[1],), daemon=True).start()

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                self.heard.append(f"a connection from {listening.accept()[1]!r}")
            except OSError:
                return

    def _receive(self, datagrams: socket.socket) -> None:
        while True:
            try:
                address = datagrams.recvfrom(100)[1]
            except OSError:
                return
            if address is None:  # nobody's: the socket was shut down
                return
            self.heard.append(f"a datagram from {address!r}")

    def close(self) -> None:
        for each in self.sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits on it
            each.close()


def traces(word: str, since: float, roots: tuple[Path, ...]) -> list[str]:
    """Files, changed since then, whose name or content holds the word; and sockets that do."""
    found = []
    for root in roots:
        for folder, folders, names in os.walk(root):
            found += [os.path.join(folder, name) for name in folders + names if word in name]
            for name in names:
                path = Path(folder, name)
                try:
                    status = path.lstat()
                    if stat.S_ISREG(status.st_mode) and status.st_ctime > since and status.st_size < 1_000_000:
                        found += [str(path)] if word.encode() in path.read_bytes() else []
                except OSError:
                    continue
    if word in Path("/proc/net/unix").read_text():
        found.append("an abstract socket")
    return found
