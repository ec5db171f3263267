"""How many mutants of the official solutions the check notices: ``dlcourse mutate``.

Every mutant (``dlcourse.check.mutate``) is judged as a student's answer is, on the public cases alone. It is killed
where a case fails, and where it takes ten times as long as the solution. Mutants that are right answers too, because
they compute the same or because the question leaves that choice to the student, are named in a reviewed list with the
reason; each exercise is to kill at least 97% of the others.
"""

from __future__ import annotations

import builtins
import contextlib
import functools
import io
import json
import multiprocessing
import os
import resource
import signal
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import connection
from pathlib import Path
from typing import Any

from tqdm import tqdm

from dlcourse.check.judge import judge
from dlcourse.check.mutate import Mutant, mutants
from dlcourse.check.probe import Outcome, probe
from dlcourse.exercises import ASSIGNMENTS, PUBLIC_SEED, assignment, get
from dlcourse.exercises.spec import Call, Case

GOAL = 0.97
EQUIVALENT = Path("tests/exercises/equivalent_mutants.yml")
MEMORY = 4 << 30


class MutationError(ValueError):
    """The solutions or the reviewed list are not as they should be; the message says what to do."""


@dataclass(frozen=True)
class Verdict:
    """What became of one answer: the case that failed, ``""`` for a survivor, and the answer's CPU time."""

    killed_by: str
    seconds: float = 0.0


@dataclass(frozen=True)
class Score:
    """One exercise's mutants: how many were tried, how many of these are right answers too, and who is left."""

    exercise: str
    tried: int
    equivalent: int
    survivors: tuple[Mutant, ...]
    too_slow: int = 0

    @property
    def killed(self) -> int:
        return self.tried - self.equivalent - len(self.survivors)

    @property
    def share(self) -> float:
        """Killed ones among those that are no right answer."""
        return self.killed / max(self.tried - self.equivalent, 1)

    @property
    def enough(self) -> bool:
        return self.share >= GOAL


# --- The solutions and the reviewed list -----------------------------------------------------------------------------


def solution_cells(root: Path, name: str) -> list[tuple[str, str]]:
    """The cells of an assignment's source notebook that are run before a check, as (exercise's id or "", source)."""
    path = root / "solutions" / name / f"{name}.ipynb"
    if not path.is_file():
        raise MutationError(f"{path} is not there: run this in the course's folder, or name it with --course")
    cells = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code" and not cell["metadata"].get("nbgrader", {}).get("grade"):
            source = "".join(cell["source"])
            first = source.partition("\n")[0]
            cells.append((first.removeprefix("# exercise: ") if first.startswith("# exercise: ") else "", source))
    return cells


def reviewed(path: Path) -> dict[str, dict[str, str]]:
    """The list of mutants that are right answers: exercise -> the mutant's key -> the reason."""
    import yaml

    found: dict[str, dict[str, str]] = {}
    if not path.is_file():
        return found
    for exercise, groups in (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).items():
        entries = found.setdefault(exercise, {})
        for group in groups:
            if set(group) != {"reason", "mutants"} or not group["reason"]:
                raise MutationError(f"{path}: an entry of {exercise} must have `reason` and `mutants`: {group}")
            for key in group["mutants"]:
                if key in entries:
                    raise MutationError(f"{path}: {exercise} names a mutant twice: {key}")
                entries[key] = " ".join(group["reason"].split())
    return found


# --- Judging one answer, and many in processes that can be stopped ---------------------------------------------------


def answer_of(names: dict[str, Any], source: str, exercise_name: str) -> Any:
    """What a cell defines under the exercise's name, run with the notebook's other names; its own exceptions pass."""
    names = dict(names)
    exec(compile(source, "<mutant>", "exec"), names)
    return names[exercise_name]


def verdict(id: str, names: dict[str, Any], source: str) -> Verdict:
    """Judge an answer case by case until one fails."""
    exercise, seconds = get(id), 0.0
    names = {key: value for key, value in names.items() if key != exercise.name}
    try:
        answer = answer_of(names, source, exercise.name)
    except Exception as error:
        return Verdict(f"the cell: {type(error).__name__}")
    cases, remembered = _public_cases(id)
    for case in cases:
        start = time.process_time()
        outcome = probe(answer, case.calls)
        seconds += time.process_time() - start
        if not judge(exercise, [case], [outcome], probe=remembered).passed:
            return Verdict(case.name, seconds)
    return Verdict("", seconds)


@functools.lru_cache(maxsize=4)
def _public_cases(id: str) -> tuple[list[Case], Callable[[Any, Sequence[Call]], Outcome]]:
    """The public cases, and a ``probe`` for the reference and the known mistakes that tries each of them once."""
    found: dict[tuple[int, int], Outcome] = {}

    def remembered(answer: Any, calls: Sequence[Call]) -> Outcome:
        key = builtins.id(answer), builtins.id(calls)
        if key not in found:
            found[key] = probe(answer, calls)
        return found[key]

    return get(id).make_cases(PUBLIC_SEED), remembered


@dataclass(frozen=True)
class _Task:
    """An answer to judge; ``limit`` is in seconds of CPU time, so that a busy machine kills nothing."""

    assignment: str
    exercise: str
    source: str
    limit: float

    @property
    def wall(self) -> float:
        """For what waits without computing, and for a slow start of the worker."""
        return 60 + 20 * self.limit


def _work(pipe: connection.Connection, cells: dict[str, list[tuple[str, str]]]) -> None:
    """A worker: answers tasks until the pipe is closed."""
    with contextlib.suppress(ValueError, OSError):
        # A mutant may ask for an array of any size.
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    warnings.simplefilter("ignore")
    names: dict[str, dict[str, Any]] = {}
    with contextlib.suppress(EOFError, KeyboardInterrupt), contextlib.redirect_stdout(io.StringIO()):
        while True:
            task = pipe.recv()
            if task.assignment not in names:
                made: dict[str, Any] = {"__name__": "student"}
                for _, source in cells[task.assignment]:
                    exec(compile(source, "<solution>", "exec"), made)
                names[task.assignment] = made
            _public_cases(task.exercise)  # made beforehand: they may import much
            signal.setitimer(signal.ITIMER_PROF, task.limit)  # its signal ends the process, wherever that is
            found = verdict(task.exercise, names[task.assignment], task.source)
            signal.setitimer(signal.ITIMER_PROF, 0)
            pipe.send(found)


class _Worker:
    """A process with a task. Where the task ends the process, or does not end, another process is begun."""

    def __init__(self, cells: dict[str, list[tuple[str, str]]]):
        self.cells = cells
        self.start()

    def start(self) -> None:
        # Not forked from this process, which may have computed with threads that a child does not inherit.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__])
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, self.cells), daemon=True)
        self.process.start()
        theirs.close()

    def give(self, number: int, task: _Task) -> None:
        self.number, self.deadline = number, time.monotonic() + task.wall
        self.pipe.send(task)

    @property
    def left(self) -> float:
        return max(self.deadline - time.monotonic(), 0.0)

    def take(self) -> Verdict | None:
        """The verdict, ``None`` if there is none yet."""
        try:
            if self.pipe.poll():
                return self.pipe.recv()
            if self.left:
                return None
            late = True
        except (EOFError, ConnectionError):
            self.process.join()
            late = self.process.exitcode == -signal.SIGPROF
        self.stop()
        self.start()
        return Verdict(TOO_SLOW if late else "it ended the process")

    def stop(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


TOO_SLOW = "it took too long"


def _judge_all(
    tasks: Sequence[_Task], cells: dict[str, list[tuple[str, str]]], workers: int
) -> Iterator[tuple[int, Verdict]]:
    """The number and verdict of every task, in the order in which they are done."""
    pool = [_Worker(cells) for _ in range(min(workers, len(tasks)))]
    try:
        waiting, idle, busy = list(enumerate(tasks))[::-1], list(pool), []
        while waiting or busy:
            while waiting and idle:
                worker = idle.pop()
                worker.give(*waiting.pop())
                busy.append(worker)
            connection.wait([worker.pipe for worker in busy], timeout=min(worker.left for worker in busy))
            for worker in list(busy):
                if (found := worker.take()) is not None:
                    busy.remove(worker)
                    idle.append(worker)
                    yield worker.number, found
    finally:
        for worker in pool:
            worker.stop()


# --- The score -------------------------------------------------------------------------------------------------------


def scores(
    root: Path,
    assignments: Iterable[str] = (),
    *,
    exercises: Iterable[str] = (),
    every: int = 1,
    workers: int | None = None,
) -> list[Score]:
    """The score of every exercise of the assignments (all, if none is named), or of the ``exercises`` alone.

    ``every`` tries only each n-th mutant of the trained exercises. ``workers`` processes share the work, by default one
    for each core.

    Raises
    ------
    MutationError
        A solution is missing or does not pass its own check; the list names a mutant that there is not, or one that
        the check kills.
    """
    equivalent = reviewed(root / EQUIVALENT)
    chosen = _chosen(list(assignments), list(exercises))
    cells = {name: solution_cells(root, name) for name in {name for name, _ in chosen}}
    known = {e.id for name in ASSIGNMENTS for e in assignment(name)}
    if unknown := sorted(set(equivalent) - known):
        raise MutationError(f"{EQUIVALENT} names an exercise that there is not: {', '.join(unknown)}")
    official = {id: dict(cells[name]).get(id) for name, id in chosen}
    if missing := sorted(id for id, source in official.items() if source is None):
        raise MutationError(f"no cell of the solutions begins with `# exercise: {missing[0]}`")
    _use_one_thread()
    workers = workers or os.cpu_count() or 1

    tasks = [_Task(name, id, official[id], get(id).seconds) for name, id in chosen]
    taken = {}
    for number, found in _judge_all(tasks, cells, workers):
        if found.killed_by:
            raise MutationError(f"the solution of {tasks[number].exercise} fails its own check: {found.killed_by}")
        taken[tasks[number].exercise] = found.seconds

    made: dict[str, list[Mutant]] = {}
    for _, id in chosen:
        every_mutant = mutants(official[id])
        if stale := sorted(set(equivalent.get(id, ())) - {mutant.key for mutant in every_mutant}):
            raise MutationError(f"{EQUIVALENT}: there is no such mutant of {id}, remove it: {stale[0]}")
        made[id] = every_mutant[:: every if get(id).kind == "trained" else 1]
    listed = [(name, id, mutant) for name, id in chosen for mutant in made[id]]
    tasks = [_Task(name, id, mutant.source, min(2 + 10 * taken[id], get(id).seconds)) for name, id, mutant in listed]
    verdicts: dict[str, dict[str, Verdict]] = {id: {} for _, id in chosen}
    for number, found in tqdm(_judge_all(tasks, cells, workers), total=len(tasks), desc="mutants", unit=""):
        _, id, mutant = listed[number]
        verdicts[id][mutant.key] = found
    return [_score(id, made[id], verdicts[id], equivalent.get(id, {})) for _, id in chosen]


def _chosen(assignments: list[str], ids: list[str]) -> list[tuple[str, str]]:
    """(assignment, exercise's id) of all exercises that have solutions which a machine judges."""
    try:
        every = {name: assignment(name) for name in assignments or ASSIGNMENTS}
        manual = [id for id in ids if get(id).manual]
    except ValueError as error:
        raise MutationError(str(error)) from None
    if manual:
        raise MutationError(f"{manual[0]} is judged by a person: there is nothing to mutate")
    found = [(name, e.id) for name in every for e in every[name] if not e.manual and (not ids or e.id in ids)]
    if outside := sorted(set(ids) - {id for _, id in found}):
        raise MutationError(f"{outside[0]} is no exercise of {', '.join(every)}")
    return found


def _score(id: str, made: list[Mutant], found: dict[str, Verdict], equivalent: dict[str, str]) -> Score:
    killed = [m.key for m in made if found[m.key].killed_by]
    if wrong := sorted(set(killed) & set(equivalent)):
        raise MutationError(f"{EQUIVALENT}: the check of {id} kills this mutant, so it is no right answer: {wrong[0]}")
    survivors = tuple(m for m in made if not found[m.key].killed_by and m.key not in equivalent)
    too_slow = sum(v.killed_by == TOO_SLOW for v in found.values())
    return Score(id, len(made), sum(m.key in equivalent for m in made), survivors, too_slow)


def _use_one_thread() -> None:
    # The workers inherit it: thread pools of several processes fight over the cores.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")


# --- The report ------------------------------------------------------------------------------------------------------

_COLUMNS = ("exercise", "mutants", "right answers too", "killed", "score")


def _row(score: Score) -> tuple[str, ...]:
    return score.exercise, str(score.tried), str(score.equivalent), str(score.killed), f"{score.share:.1%}"


def text(scores: Sequence[Score]) -> str:
    """For a terminal: a row an exercise, then the survivors as they differ from the solution."""
    rows = [_COLUMNS, *map(_row, scores)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_COLUMNS))]
    lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]
    for score in scores:
        for mutant in score.survivors:
            lines += ["", f"{score.exercise} does not notice ({mutant.operator}):"]
            lines += [f"- {mutant.before}", f"+ {mutant.after}"]
    if short := [s.exercise for s in scores if not s.enough]:
        lines += ["", f"below {GOAL:.0%}: {', '.join(short)}"]
    return "\n".join(lines)


def survivor_line(id: str, mutant: Mutant) -> str:
    """How the results page names a survivor."""
    return f"- `{id}`: `{mutant.before}` became `{mutant.after}`"


def page_rows(page: str) -> dict[str, tuple[int, int, int]]:
    """The table of the results page: exercise -> mutants, right answers too, killed."""
    cells = [line.split("|")[1:-1] for line in page.splitlines() if line.startswith("| `")]
    return {name.strip().strip("`"): (int(a), int(b), int(c)) for name, a, b, c, _ in cells}


def markdown(scores: Sequence[Score], page: str = "") -> str:
    """For the book's results page: the table and the survivors. Exercises that were not tried stay as on ``page``."""
    tried = {s.exercise: s for s in scores}
    old, known = page_rows(page), [e.id for name in ASSIGNMENTS for e in assignment(name)]
    numbers = {**old, **{id: (s.tried, s.equivalent, s.killed) for id, s in tried.items()}}
    total = tuple(sum(column) for column in zip(*(numbers[id] for id in known if id in numbers), strict=True))
    lines = ["| " + " | ".join(_COLUMNS) + " |", "|---|" + "---:|" * (len(_COLUMNS) - 1)]
    for name, (n, same, killed) in [*((f"`{id}`", numbers[id]) for id in known if id in numbers), ("all", total)]:
        lines.append(f"| {name} | {n} | {same} | {killed} | {killed / max(n - same, 1):.1%} |")
    kept = [line for line in page.splitlines() if line.startswith("- `")]
    left: list[str] = []
    for id in known:
        if id in tried:
            left += [survivor_line(id, mutant) for mutant in tried[id].survivors]
        else:
            left += [line for line in kept if line.startswith(f"- `{id}`:")]
    if left:
        lines += ["", "Not noticed:", "", *left]
    lines += [
        "",
        "Made by `dlcourse mutate --markdown book/results/mutation.md`, with the public cases alone. *Right answers "
        "too* are the mutants that compute the same, or whose change the question leaves to the student; "
        f"`{EQUIVALENT}` names each with the reason. The score is the killed share of the others; goal: {GOAL:.0%} "
        "for every exercise.",
    ]
    return "\n".join(lines) + "\n"
