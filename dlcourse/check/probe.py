"""Take a case's steps on a student's object. Needs no reference, so it also runs inside the sandbox."""

from __future__ import annotations

import copy
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dlcourse.exercises.compare import NotPlain, plain
from dlcourse.exercises.spec import Call

MAX_MESSAGE = 400
NOT_WRITTEN = "not written yet"
# Whose lines are not the student's.
_LIBRARIES = ("<frozen", sys.prefix, sys.base_prefix, str(Path(__file__).resolve().parents[1]))


@dataclass(frozen=True)
class Outcome:
    """What came of a case: plain ``values``, one for each step that gives one, or an ``error`` in words.

    ``error_kind`` is the exception's class name, ``"NotPlain"`` for results that no answer has.
    """

    values: list | None = None
    error: str | None = None
    error_kind: str = ""
    seconds: float = 0.0


def probe(obj: Any, calls: Sequence[Call]) -> Outcome:
    """Run the steps on fresh copies of their arguments. Whatever the student's code raises becomes an ``Outcome``."""
    start = time.perf_counter()
    try:
        values = _take(obj, calls)
    except NotPlain as error:
        return Outcome(error=str(error), error_kind="NotPlain", seconds=time.perf_counter() - start)
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # SystemExit too: a student's exit() is an answer, not the end of the check
        return Outcome(error=_words(error), error_kind=type(error).__name__[:80], seconds=time.perf_counter() - start)
    return Outcome(values=values, seconds=time.perf_counter() - start)


def _take(obj: Any, calls: Sequence[Call]) -> list:
    if not calls:
        return [plain(obj)]
    target, values = obj, []
    for call in calls:
        args, kwargs = _fresh(call.args), {k: _fresh(v) for k, v in call.kwargs.items()}
        if call.method == "__init__":
            target = obj(*args, **kwargs)
        elif call.method.startswith("."):
            values.append(plain(getattr(target, call.method[1:])))
        else:
            function = getattr(target, call.method) if call.method else target
            # Copied at once: an object that reuses its buffers must not change results given earlier.
            values.append(plain(function(*args, **kwargs)))
    return values


def _fresh(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, tuple | list):
        return type(value)(_fresh(v) for v in value)
    return copy.deepcopy(value)


def _words(error: BaseException) -> str:
    try:
        text = str(error).strip()
    except Exception:  # the student's own exception may fail to say what it is
        text = ""
    if isinstance(error, NotImplementedError) and not text:
        return NOT_WRITTEN
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(_LIBRARIES)]
    line = f", in the line `{frames[-1].line}`" if frames and frames[-1].line else ""
    head = type(error).__name__[:80] + (f": {text}" if text else "")
    return (head[: MAX_MESSAGE - 120] + line[:120])[:MAX_MESSAGE]
