"""The grader's hand inside the sandbox: it calls the student's code with given inputs and writes what came of it.

It decides nothing and holds no secret: no reference, no seed, no expected value. Whatever student code does to it can
only change the student's own answers.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
from pathlib import Path
from typing import Any

from dlcourse.check.probe import Outcome, probe
from dlcourse.check.withhold import forever
from dlcourse.exercises.spec import Call
from dlcourse.grading import wire


def run(source: str, target: str) -> None:
    """Answer the request in the file ``source`` into the file ``target``."""
    from IPython import get_ipython

    request = wire.decode(Path(source).read_bytes())
    namespace = get_ipython().user_ns
    # What the student's functions print while they are probed could only repeat the inputs.
    with contextlib.redirect_stdout(_Null()), contextlib.redirect_stderr(_Null()):
        if request["name"] not in namespace:
            answer: Any = {"missing": True}
        else:
            obj = namespace[request["name"]]
            answer = {"outcomes": [_pack(probe(obj, _calls(case))) for case in request["cases"]]}
        try:
            data = wire.encode(answer)
        except (TypeError, ValueError, MemoryError) as error:
            data = wire.encode({"outcomes": [_pack(Outcome(error=str(error)))] * len(request["cases"])})
    temporary = Path(target + ".part")
    temporary.write_bytes(data)
    os.replace(temporary, target)


def _calls(case: list) -> list[Call]:
    return [Call(method, args, kwargs) for method, args, kwargs in case]


def _pack(outcome: Outcome) -> dict[str, Any]:
    return {"values": outcome.values, "error": outcome.error, "kind": outcome.error_kind, "seconds": outcome.seconds}


class _Null(io.TextIOBase):
    def write(self, text: str) -> int:
        return len(text)


def main() -> None:
    """Start the kernel of the sandbox: limits first, then what is withheld, then ipykernel."""
    import resource

    settings = json.loads(os.environ.pop("DLCOURSE_KERNEL", "{}"))
    for name, value in settings.get("rlimits", {}).items():
        resource.setrlimit(getattr(resource, name), (value, value))
    forever(settings.get("withhold", []))
    from ipykernel.kernelapp import launch_new_instance

    launch_new_instance()
