"""What runs in a batch's worker processes. They import this module, and so neither nbgrader nor a database."""

from __future__ import annotations

import ctypes
import os
import signal
import socket

from dlcourse.grading import sandbox, warm
from dlcourse.grading.collect import Found, read
from dlcourse.grading.course import Assignment
from dlcourse.grading.grade import Result, grade
from dlcourse.grading.limits import Limits
from dlcourse.grading.submission import Refused

_PR_SET_PDEATHSIG = 1  # prctl(2)


def grade_file(found: Found, assignment: Assignment, seed: int, limits: Limits, walled: bool) -> Result:
    """``grade`` for a submission on disk; whatever goes wrong is that row's."""
    try:
        return grade(read(found, limits), assignment, seed, limits, walled=walled)
    except Refused as error:
        return Result(assignment.name, "", refused=str(error))
    except Exception as error:
        return failed(assignment, f"the grader failed on it ({type(error).__name__}: {error})")


def failed(assignment: Assignment, why: str) -> Result:
    """The result where the grader itself failed; without a digest, so that the next run tries again."""
    return Result(assignment.name, "", refused=f"{why}; grade again")


def ready() -> None:
    """Nothing: a worker that does it has been started."""


def begin(parent: int, made: tuple | None = None, control: socket.socket | None = None) -> None:
    """Set a new worker process up. It ends with the grader ``parent``, also where that is killed.

    With ``made`` and ``control`` it uses the warm parent that the grader keeps for all workers (``warm.adopt``).
    """
    # The workers share the cores; NumPy's threads in each would fight.
    for name in sandbox.THREADS:
        os.environ[name] = "1"
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    if made is not None:
        warm.adopt(made, control)
