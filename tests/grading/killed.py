"""Run ``dlcourse`` or ``nbgrader`` again and again and kill it, really, at chosen moments: ``killed.py PROGRAM ...``.

Each line that is read, ``MOMENT NUMBER``, is a run in a process of its own, forked from this one so that the libraries
are imported once; its exit status is printed. It is killed by SIGKILL at the ``NUMBER``-th time that a database
statement has been executed (``statement``), that a transaction is about to be committed (``commit``), or that a file
whose name ends with ``MOMENT`` is about to be put in its place. ``never`` runs to the end.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys

from nbgrader.apps.nbgraderapp import NbGraderApp
from sqlalchemy import event
from sqlalchemy.engine import Engine

from dlcourse import cli
from dlcourse.grading import batch, nbgrader_steps  # noqa: F401 (imported once, before the forks)


def arm(moment: str, number: int) -> None:
    """Kill this process at that moment."""
    counted = itertools.count(1)

    def reached(*_) -> None:
        if next(counted) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    if moment == "statement":
        event.listen(Engine, "after_cursor_execute", reached)
    elif moment == "commit":
        event.listen(Engine, "commit", reached)
    elif moment != "never":
        sys.addaudithook(
            lambda name, given: reached() if name == "os.rename" and str(given[1]).endswith(moment) else None
        )


def run(program: str, arguments: list[str]) -> int:
    """What the program's command line would do."""
    if program == "dlcourse":
        return cli.main(arguments)
    sys.argv = [program, *arguments]
    NbGraderApp.launch_instance()
    return 0


def main() -> None:
    program, *arguments = sys.argv[1:]
    for line in sys.stdin:
        moment, number = line.split()
        child = os.fork()
        if child == 0:
            os.dup2(2, 1)
            arm(moment, int(number))
            try:
                status = run(program, arguments)
            except SystemExit as exit:
                status = exit.code or 0
            sys.stdout.flush()
            os._exit(status)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
