"""The front door: ``dlcourse grade``, ``dlcourse release``, ``dlcourse list``, ``dlcourse mutate``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dlcourse.grading.limits import Limits

_LIMITS = {
    "cell": "wall time of one cell",
    "cpu": "processor time of one cell",
    "total": "wall time of one run of a submission",
}


def main(argv: list[str] | None = None) -> int:
    """Run a command; returns the exit status. What the user can mend is said in one sentence, without a traceback."""
    args = _parser().parse_args(argv)
    try:
        return args.run(args)
    except KeyboardInterrupt:
        print("dlcourse: stopped; what was recorded stays recorded", file=sys.stderr)
        return 130
    except Exception as error:
        if not _expected(error):
            raise
        print(f"dlcourse: {error}", file=sys.stderr)
        return 1


def _expected(error: Exception) -> bool:
    """Errors whose message is a sentence for the user."""
    return type(error).__name__ in ("CourseError", "SandboxMissing") and type(error).__module__.startswith("dlcourse.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dlcourse", description="A deep-learning course: release and grade exercises."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    grade = commands.add_parser("grade", help="grade a folder of submissions into the gradebook")
    grade.add_argument("assignment", help="for example 08_convolution")
    grade.add_argument(
        "--submissions",
        type=Path,
        help="<student>/<assignment>/<assignment>.ipynb or <student>.ipynb (default: submitted)",
    )
    grade.add_argument("--course", type=Path, default=Path(), help="the course's folder (default: this one)")
    grade.add_argument("--output", type=Path, help="for grades.csv and feedback (default: grades/<assignment>)")
    grade.add_argument("--db", help="the gradebook's URL (default: sqlite:///gradebook.db in the course's folder)")
    grade.add_argument("--seed", type=int, help="decides the cases (default: the course's secret seed)")
    grade.add_argument("--again", action="store_true", help="grade unchanged submissions too, not only new ones")
    grade.add_argument("--workers", type=int, help="submissions graded at a time (default: the number of cores)")
    for name, what in _LIMITS.items():
        default = getattr(Limits, f"{name}_seconds")
        grade.add_argument(f"--{name}-seconds", type=float, default=default, help=f"{what} (default: {default:g})")
    grade.add_argument(
        "--no-sandbox", action="store_true", help="run the submissions unprotected: only code that you trust"
    )
    grade.set_defaults(run=_grade)

    release = commands.add_parser("release", help="make the students' notebooks from solutions/")
    release.add_argument("assignment", nargs="*", help="all if none is named")
    release.add_argument("--course", type=Path, default=Path(), help="the course's folder (default: this one)")
    release.set_defaults(run=_release)

    mutate = commands.add_parser("mutate", help="change the solutions by a small fault each: does the check notice?")
    mutate.add_argument("assignment", nargs="*", help="all if none is named")
    mutate.add_argument("--exercise", action="append", default=[], metavar="ID", help="this one only; may be repeated")
    mutate.add_argument(
        "--every", type=int, default=1, metavar="N", help="of trained exercises try each N-th mutant only"
    )
    mutate.add_argument("--workers", type=int, help="mutants tried at a time (default: the number of cores)")
    mutate.add_argument("--markdown", type=Path, metavar="FILE", help="put the scores into this results page, too")
    mutate.add_argument("--course", type=Path, default=Path(), help="the course's folder (default: this one)")
    mutate.set_defaults(run=_mutate)

    listing = commands.add_parser("list", help="list the assignments and their exercises")
    listing.set_defaults(run=_list)
    return parser


def _grade(args: argparse.Namespace) -> int:
    from dlcourse.grading import batch
    from dlcourse.grading.course import Course

    course = Course(args.course.resolve())
    output = args.output or course.root / "grades" / args.assignment
    limits = Limits(**{f"{name}_seconds": getattr(args, f"{name}_seconds") for name in _LIMITS})
    if args.no_sandbox:
        print("dlcourse: no sandbox: the submissions can do whatever you can do", file=sys.stderr)
    done = batch.run(
        course,
        args.assignment,
        args.submissions or course.root / "submitted",
        output=output,
        url=args.db,
        seed=args.seed,
        limits=limits,
        walled=not args.no_sandbox,
        workers=args.workers,
        again=args.again,
    )
    print(batch.table_text(course.assignment(args.assignment), done))
    taken = sum(row.taken for _, row in done)
    if taken:
        print(f"\n{taken} of {len(done)} were taken as they were graded before; --again grades them too")
    print(f"\ngrades: {output / 'grades.csv'}\nfeedback: {output / 'feedback'}")
    return 0


def _release(args: argparse.Namespace) -> int:
    from dlcourse.grading.release import release

    for path in release(args.course.resolve(), args.assignment):
        print(path)
    return 0


def _mutate(args: argparse.Namespace) -> int:
    from dlcourse.check import mutation_score as mutation

    if args.markdown and args.every > 1:
        print("dlcourse: the results page counts all mutants: leave out --every or --markdown", file=sys.stderr)
        return 1
    try:
        made = mutation.scores(
            args.course, args.assignment, exercises=args.exercise, every=args.every, workers=args.workers
        )
    except mutation.MutationError as error:
        print(f"dlcourse: {error}", file=sys.stderr)
        return 1
    print(mutation.text(made))
    if args.markdown:
        page = args.markdown.read_text(encoding="utf-8") if args.markdown.exists() else ""
        args.markdown.write_text(mutation.markdown(made, page), encoding="utf-8")
    return 0 if all(score.enough for score in made) else 1


def _list(args: argparse.Namespace) -> int:
    from dlcourse.exercises import ASSIGNMENTS, assignment

    for name in ASSIGNMENTS:
        made = assignment(name)
        print(f"{name}: {sum(e.points for e in made)} points")
        for e in made:
            print(f"  {e.id:<28} {e.points:>2} points  {e.kind:<9} {e.title}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
