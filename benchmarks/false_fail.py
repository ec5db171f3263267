"""How often a correct solution loses its points: every right answer of every exercise under many seeds.

    python benchmarks/false_fail.py                                    # 200 seeds, about ten minutes on one core
    python benchmarks/false_fail.py --write book/results/false_fail.md # writes the tables too
    python benchmarks/false_fail.py --exercise mlp.train --write ...   # only its rows, the others stay

The right answers are the official solution and the alternatives of ``tests/exercises``. The status is 1 where one of
them fails.
"""

from __future__ import annotations

import argparse
import functools
import os
import re
import sys
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


def measure(ids: list[str], seeds: int, jobs: int) -> dict[str, Tally]:
    """The tally of each exercise under the seeds 0 ... seeds - 1."""
    parts = [(id, range(first, min(first + PART, seeds))) for id in ids for first in range(0, seeds, PART)]
    with ProcessPoolExecutor(jobs) as pool:
        counted = tqdm(pool.map(count, parts), total=len(parts), unit="part", disable=None)
        found: dict[str, list[Tally]] = {}
        for (id, _), one in zip(parts, counted, strict=True):
            found.setdefault(id, []).append(one)
    return {id: functools.reduce(Tally.merged, some) for id, some in found.items()}


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


def rows(found: dict[str, Tally]) -> tuple[dict[str, str], dict[str, str]]:
    """Exercise -> its row in the first table, and in the second if chance has a say."""
    first, second = {}, {}
    for id, one in found.items():
        answers = len(right_answers(one.exercise))
        first[id] = f"| `{id}` | {answers} | {one.gradings:,} | {len(one.failures)} | {nearest(one)} |"
        if isinstance(one.exercise.compare, Holds | AtLeast):
            second[id] = chance(one, len(one.exercise.make_cases(0)))
    return first, second


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
    found = measure(ids, arguments.seeds, arguments.jobs)
    first, second = rows(found)
    if arguments.write and arguments.exercise and arguments.write.is_file():
        kept = rows_of(arguments.write.read_text(encoding="utf-8"))
        first, second = {**kept[0], **first}, {**{id: row for id, row in kept[1].items() if id not in first}, **second}
    text = tables(first, second)
    print(text, end="")
    if arguments.write:
        arguments.write.parent.mkdir(parents=True, exist_ok=True)
        arguments.write.write_text(text, encoding="utf-8")
    failures = [failure for one in found.values() for failure in one.failures]
    print("\n".join(failures), file=sys.stderr)
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
