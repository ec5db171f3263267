"""How many submissions a minute: `dlcourse grade` with its sandbox on, beside `nbgrader autograde` as it comes.

    python benchmarks/grading.py                                 # prints a table
    python benchmarks/grading.py --write book/results/grading.md # writes it too
    python benchmarks/grading.py --memory 1000                   # memory over 1,000 submissions, instead

Each grades the same submissions, in one run: six exercises of the convolution chapter, NumPy and torch
imported, every other one with a mistake in it. Stock nbgrader runs answers in its own kernel, in the open, with test
cells that assert what the check says. Each grader is a process of its own, timed from its start to its end.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import psutil  # noqa: E402

from dlcourse import exercises  # noqa: E402
from dlcourse.grading.course import Assignment, Course  # noqa: E402

NAME, COUNT = "08_convolution", 6
SETUP = "import numpy as np\nimport torch\nfrom dlcourse.check import check\n"
STOCK_CONFIG = """c = get_config()
c.CourseDirectory.course_id = "stock"
c.Autograde.create_student = True
"""


class Six(Course):
    """The course with its assignment cut down to six exercises and a cell that imports torch."""

    def assignment(self, name: str) -> Assignment:
        whole = super().assignment(name)
        chosen = [exercise for exercise in whole.exercises if not exercise.manual][:COUNT]
        ids = {exercise.grade_id for exercise in chosen}
        cells = [c for c in whole.template["cells"] if _grade_id(c).removesuffix("-answer") in ids]
        return Assignment(name, tuple(chosen), {**whole.template, "cells": [_code("setup", SETUP), *cells]})


def _grade_id(cell: dict) -> str:
    return cell["metadata"].get("nbgrader", {}).get("grade_id", "")


def _code(name: str, source: str) -> dict:
    return {"cell_type": "code", "id": name, "metadata": {}, "source": source, "outputs": [], "execution_count": None}


def submissions(count: int) -> list[dict]:
    """Notebooks with the official answers; every other one has its last answer spoilt."""
    solved = json.loads((ROOT / "solutions" / NAME / f"{NAME}.ipynb").read_text(encoding="utf-8"))
    answers = {_grade_id(cell): "".join(cell["source"]) for cell in solved["cells"] if _grade_id(cell)}
    of = Six(ROOT).assignment(NAME)
    made = []
    for number in range(count):
        cells = [dict(cell, source=answers.get(_grade_id(cell), cell["source"])) for cell in of.template["cells"]]
        if number % 2:
            cells[-2]["source"] = f"{of.exercises[-1].name} = None"
        made.append({**of.template, "cells": cells})
    return made


def stock_course(folder: Path, notebooks: list[dict]) -> None:
    """A course of plain nbgrader: the same notebooks, whose test cells assert."""
    (folder / "nbgrader_config.py").write_text(STOCK_CONFIG)
    for number, notebook in enumerate(notebooks):
        _put(folder / "submitted" / f"student-{number:04}", _asserting(notebook))
    _put(folder / "source", _asserting(notebooks[0]))
    _run([_tool("nbgrader"), "generate_assignment", NAME], folder)


def _asserting(notebook: dict) -> dict:
    cells = []
    for cell in notebook["cells"]:
        flags = cell["metadata"].get("nbgrader", {})
        if flags.get("grade") and not flags.get("solution"):
            exercise = next(e for e in exercises.assignment(NAME) if e.grade_id == flags["grade_id"])
            cell = dict(cell, source=f'assert check("{exercise.id}").passed')
        cells.append(cell)
    return {**notebook, "cells": cells}


def _put(folder: Path, notebook: dict) -> None:
    path = folder / NAME / f"{NAME}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook))


def our_course(folder: Path, notebooks: list[dict]) -> None:
    for number, notebook in enumerate(notebooks):
        _put(folder / "submitted" / f"student-{number:04}", notebook)
    shutil.copytree(ROOT / "notebooks" / "exercises" / NAME, folder / "notebooks" / "exercises" / NAME)


def _tool(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def _run(command: list[str], folder: Path) -> float:
    """Seconds that a command takes; it must succeed."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0"}
    env |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    start = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return time.perf_counter() - start


def ours(folder: Path, workers: int) -> None:
    """What `dlcourse grade` does, on the six exercises; run as a program of its own by ``_run``."""
    from dlcourse.grading import batch

    course = Six(folder)
    batch.run(course, NAME, folder / "submitted", output=folder / "grades", seed=1, workers=workers, progress=False)


def measure(count: int, stock: int) -> list[tuple[str, int, float]]:
    """(grader, submissions, seconds) for stock nbgrader and for ours on one and two workers."""
    rows = []
    for name, number, workers in (("nbgrader autograde", stock, 0), ("1 worker", count, 1), ("2 workers", count, 2)):
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            (our_course if workers else stock_course)(folder, submissions(number))
            again = [sys.executable, __file__, "--ours", temporary, "--workers", str(workers)]
            seconds = _run(again if workers else [_tool("nbgrader"), "autograde", NAME], folder)
            _check(folder, number, ours=bool(workers))
        rows.append((name if not workers else f"dlcourse grade, {name}", number, seconds))
    return rows


def _check(folder: Path, count: int, ours: bool) -> None:
    """Both graders must have found the same scores, else their times say nothing."""
    from nbgrader.api import Gradebook

    of = Six(ROOT).assignment(NAME)
    most, last = sum(e.points for e in of.exercises), of.exercises[-1].points
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}") as book:
        for number in range(count):
            score = book.find_submission(NAME, f"student-{number:04}").score
            if score != most - (last if number % 2 else 0):
                raise SystemExit(f"student-{number:04} has {score} points; the two graders are not comparable")


def memory(count: int) -> str:
    """The memory of the grader, its workers and the sandbox while ``count`` submissions are graded, as a table."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        our_course(folder, submissions(count))
        start = time.perf_counter()
        program = psutil.Popen([sys.executable, __file__, "--ours", temporary, "--workers", "2"])
        sizes = []
        while program.poll() is None:
            sizes.append(_sizes(program))
            time.sleep(1)
        seconds = time.perf_counter() - start
    quarters = np.array_split(np.array(sizes, dtype=float) / 2**20, 4)
    lines = ["| MiB, median of | the grader | its workers | the sandbox |", "|---|---|---|---|"]
    for name, part in zip(("first", "second", "third", "last"), quarters, strict=True):
        lines.append(f"| {name} quarter | " + " | ".join(f"{size:.0f}" for size in np.median(part, axis=0)) + " |")
    said = f"{count} submissions on 2 workers, in {seconds:.0f} s. Memory that processes share is divided among them."
    return "\n".join([*lines, "", said, ""])


def _sizes(program: psutil.Process) -> tuple[int, int, int]:
    """Bytes of the grader itself, of its workers, and of what runs in the sandbox."""
    sizes = [0, 0, 0]
    for process in [program, *program.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            line = " ".join(process.cmdline())
            kind = 0 if process.pid == program.pid else 1 if "multiprocessing" in line else 2
            sizes[kind] += process.memory_full_info().pss
    return tuple(sizes)


def table(rows: list[tuple[str, int, float]]) -> str:
    base = rows[0][2] / rows[0][1]
    lines = ["| grader | submissions | seconds each | submissions a minute | faster |", "|---|---|---|---|---|"]
    for name, count, seconds in rows:
        each = seconds / count
        lines.append(f"| {name} | {count} | {each:.2f} | {60 / each:.0f} | {base / each:.1f}x |")
    return "\n".join(lines)


PAGE = """{table}

The same submissions (six graded cells, NumPy and torch imported) in one run, each grader timed as a program from its
start to its end; stock nbgrader on one process, in the open, ours in its sandbox, each notebook run twice (with the
public cases, once with the secret ones). {cores} cores, {system}, Python {python}, one thread a process. One run;
start-up is included and weighs on the smaller numbers.

Command: `python benchmarks/grading.py --write book/results/grading.md`
"""

MEMORY = """
Command: `python benchmarks/grading.py --memory {count} --write book/results/grading_memory.md`
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=40, help="submissions")
    parser.add_argument("--stock", type=int, help="submissions for stock nbgrader, if fewer shall do")
    parser.add_argument("--memory", type=int, help="grade so many and watch the memory")
    parser.add_argument("--write", type=Path)
    parser.add_argument("--ours", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, default=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.ours:
        ours(args.ours, args.workers)
    elif args.memory:
        made = memory(args.memory)
        print(made)
        if args.write:
            args.write.write_text(made + MEMORY.format(count=args.memory), encoding="utf-8")
    else:
        made = table(measure(args.count, args.stock or args.count))
        print(made)
        if args.write:
            cores = len(os.sched_getaffinity(0))
            facts = {"cores": cores, "system": platform.machine(), "python": platform.python_version()}
            args.write.write_text(PAGE.format(table=made, **facts), encoding="utf-8")


if __name__ == "__main__":
    main()
