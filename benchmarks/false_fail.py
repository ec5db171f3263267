"""How often a correct solution loses its points: every right answer of every exercise under many seeds.

    python benchmarks/false_fail.py                                    # 200 seeds, about ten minutes on one core
    python benchmarks/false_fail.py --write book/results/false_fail.md # writes the tables too
    python benchmarks/false_fail.py --exercise mlp.train --write ...   # only its rows, the others stay

The right answers are the official solution and the alternatives of ``tests/exercises``. The status is 1 where one of
them fails.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import re
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # read when NumPy is imported, so before that

import numpy as np  # noqa: E402
from tqdm import tqdm  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from dlcourse.exercises import get  # noqa: E402
from dlcourse.exercises.chance import never_in  # noqa: E402
from dlcourse.exercises.compare import AtLeast, Close, Holds  # noqa: E402
from tests.exercises.right import CHECKED, Tally, right_answers, tally  # noqa: E402

PART = 10  # seeds that one process takes at a time


def count(part: tuple[str, range]) -> Tally:
    return tally(get(part[0]), part[1])


def measure(ids: list[str], seeds: int, jobs: int) -> Iterator[tuple[str, Tally]]:
    """Each exercise's tally under the seeds 0 ... seeds - 1, one after the other."""
    parts = [range(first, min(first + PART, seeds)) for first in range(0, seeds, PART)]
    with ProcessPoolExecutor(jobs) if jobs > 1 else contextlib.nullcontext() as pool, progress(ids, parts) as bar:
        for id in ids:
            bar.set_description(id)
            counted = (pool.map if pool else map)(count, [(id, part) for part in parts])
            found = []
            for one in counted:
                found.append(one)
                bar.update()
            yield id, functools.reduce(Tally.merged, found)


def progress(ids: list[str], parts: list[range]) -> tqdm:
    return tqdm(total=len(ids) * len(parts), unit="part", disable=None)


def score(value: float) -> str:
    return f"{value:.4f}" if value < 0.999 else f"1 − {1 - value:.1g}"


def nearest(found: Tally) -> str:
    """How near the right answers came to failing."""
    compare = found.exercise.compare
    if isinstance(compare, Close):
        return f"{found.strain:.1%} of the tolerance" if found.strain else "exact"
    if isinstance(compare, AtLeast):
        several = f"; the worst single run {score(found.worst_run)}" if found.worst_run < found.worst else ""
        return f"{score(found.worst)}, where {compare.threshold:g} passes{several}"
    return "a rule: it holds or not"


def chance(found: Tally, cases: int) -> str:
    """What a row of the second table says of an exercise that is judged by chance."""
    stated = found.exercise.compare.false_fail
    said = stated.why
    tries = found.runs // (found.gradings * cases)
    if tries > 1:
        runs, threshold = found.runs // cases, found.exercise.compare.threshold
        once = never_in(runs)
        said += f" Of {runs:,} trainings for each case, the worst reached {score(found.worst_run)}"
        said += (
            f". Were they independent, one fails with at most {once:.1e} (99.9% confidence), and {tries} in a row with "
            f"{once**tries:.0e}."
            if found.worst_run >= threshold
            else ", which does not pass."
        )
    return f"| `{found.exercise.id}` | {stated.rate:.0e} | {said} |"


def rows(found: Tally) -> tuple[dict[str, str], dict[str, str]]:
    """Exercise -> its row in the first table, and in the second if chance has a say."""
    id, answers = found.exercise.id, len(right_answers(found.exercise))
    first = {id: f"| `{id}` | {answers} | {found.gradings:,} | {len(found.failures)} | {nearest(found)} |"}
    chances = isinstance(found.exercise.compare, Holds | AtLeast)
    return first, {id: chance(found, len(found.exercise.make_cases(0)))} if chances else {}


def rows_of(page: str) -> tuple[dict[str, str], dict[str, str]]:
    """The rows of a page that was written before."""
    first, second = {}, {}
    for line in page.splitlines():
        row = re.match(r"\| `([\w.]+)` \|", line)
        if row:
            (first if line.count(" | ") == 4 else second)[row[1]] = line
    return first, second


def tables(first: dict[str, str], second: dict[str, str]) -> str:
    ids = [exercise.id for exercise in CHECKED]
    counts = [[int(cell.replace(",", "")) for cell in row.split(" | ")[2:4]] for row in first.values()]
    gradings, failed = (sum(column) for column in zip(*counts, strict=True))
    return "\n".join(
        [
            "| exercise | right answers | gradings | failed | nearest to failing |",
            "|---|---|---|---|---|",
            *(first[id] for id in ids if id in first),
            f"| all | | {gradings:,} | {failed} | |",
            "",
            "Where the judging leaves something to chance, a correct solution fails with at most this probability:",
            "",
            "| exercise | rate | where it comes from |",
            "|---|---|---|",
            *(second[id] for id in ids if id in second),
            "",
            "The right answers are the official solution and alternatives in NumPy, torch, float32 and loops, each "
            "under the seeds from 0 on. Made by `python benchmarks/false_fail.py --write "
            "book/results/false_fail.md`; with `--exercise` some rows alone. "
            f"NumPy {np.__version__}. The derived rates are computed again by the tests of each topic.",
            "",
        ]
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--exercise", nargs="+", metavar="ID", help="only these; by default all that are checked")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default: 1)")
    parser.add_argument("--write", type=Path, metavar="PATH", help="write the tables to this markdown file")
    arguments = parser.parse_args()
    ids = [get(id).id for id in arguments.exercise or [exercise.id for exercise in CHECKED]]
    page, kept, failures = arguments.write, ({}, {}), []
    if page and arguments.exercise and page.is_file():
        kept = rows_of(page.read_text(encoding="utf-8"))
    for id, found in measure(ids, arguments.seeds, arguments.jobs):
        for table, row in zip(kept, rows(found), strict=True):
            table.pop(id, None)
            table.update(row)
        failures += found.failures
        if page:
            # After each exercise: a long run that is stopped can go on with those that are missing.
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_text(tables(*kept), encoding="utf-8")
    print(tables(*kept), end="")
    print("\n".join(failures), file=sys.stderr)
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
