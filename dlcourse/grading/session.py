"""One submission's process: forked behind the wall, driven cell by cell, bounded from outside, killed at the end."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from dlcourse.check.probe import Outcome
from dlcourse.exercises.compare import NotPlain, plain
from dlcourse.grading import limits as verdicts
from dlcourse.grading import sandbox, warm, wire
from dlcourse.grading.limits import Limits

_LOOK_SECONDS = 0.1


@dataclass
class CellRun:
    """What one cell did: its outputs, the last line of its error, and the limit it hit, if any."""

    outputs: list[dict[str, Any]] = field(default_factory=list)
    error: str = ""
    verdict: str = ""


class SessionLost(RuntimeError):
    """The process died or was killed: ``verdict`` names why, ``run`` holds what the cell had shown until then."""

    def __init__(self, verdict: str):
        super().__init__(verdict)
        self.verdict = verdict
        self.run = CellRun(verdict=verdict)


class Session:
    """A context manager around one process. After ``SessionLost`` a fresh session has to be made.

    Parameters
    ----------
    library : the student's view of dlcourse (``view.cached``).
    withhold : dotted names of library calls that are refused.
    imports : modules that are imported before the submission starts.
    limits : bounds, see ``Limits``.
    deadline : ``time.monotonic()`` at which the whole submission's time is up.
    walled : run in the sandbox; without it only for code that is trusted.
    devices : device files that the submission may use.
    """

    def __init__(
        self,
        library: Path,
        withhold: Sequence[str],
        imports: Sequence[str],
        limits: Limits,
        deadline: float,
        walled: bool = True,
        devices: Sequence[str] = (),
    ):
        self.limits, self.deadline, self.walled = limits, deadline, walled
        self._made = (library, tuple(withhold), tuple(imports))
        self._devices = tuple(devices)

    def __enter__(self) -> Session:
        self.group = sandbox.Group(2 * self.limits.processes, self.limits.memory) if self.walled else None
        try:
            self._start()
        except BaseException:
            if self.group:
                self.group.remove()
            raise
        return self

    def __exit__(self, *error) -> None:
        self.child.close()
        if self.group:
            self.group.remove()

    def _start(self) -> None:
        rlimits = {
            "RLIMIT_CORE": 0,
            "RLIMIT_FSIZE": self.limits.disk,
            "RLIMIT_CPU": int(self.limits.total_seconds) + 5,
        }
        self.child = warm.child(
            *self._made,
            walled=self.walled,
            disk=self.limits.disk,
            rlimits=rlimits,
            seconds=self.limits.start_seconds,
            devices=self._devices,
        )
        if self.group:
            self.group.add(self.child.pid)
        self.child.connection.settimeout(0.05)
        self._frames = wire.Frames()
        self._number, self._looked = 0, 0.0
        self._cpu_used, self._cpu_until = 0.0, float("inf")

    def run_cell(self, code: str) -> CellRun:
        """Execute a cell of the student's and collect what it shows.

        Raises
        ------
        SessionLost
            The process died on it, or was killed at a limit.
        """
        run = CellRun()
        until = min(self.deadline, time.monotonic() + self.limits.cell_seconds)
        try:
            self._ask(wire.CELL, code.encode("utf-8", "replace"), until, run)
        except SessionLost as lost:
            run.verdict = lost.verdict
            lost.run = run
            raise
        return run

    def probe(self, request: bytes, count: int, seconds: float) -> list[Outcome] | None:
        """Answers to ``count`` cases (``asked`` encodes them); ``None`` if the notebook does not define the name.

        Raises
        ------
        SessionLost
            The process died on it, or was killed at a limit.
        BadFrame
            What came back is no answer.
        """
        answer = self._ask(wire.PROBE, request, min(self.deadline, time.monotonic() + seconds), None)
        return _outcomes(answer, count)

    def _ask(self, tag: bytes, body: bytes, until: float, run: CellRun | None) -> bytes:
        """Send a request and wait for its reply; collect the outputs that come before it."""
        self._cpu_until = self._cpu_used + self.limits.cpu_seconds
        self._number += 1
        size = messages = 0
        most = wire.MAX_BYTES if tag == wire.PROBE else self.limits.output_bytes
        self._send(wire.frame(tag, self._number, body), until)
        for kind, number, content in self._received(until, most):
            if kind in (wire.DONE, wire.ANSWER) and number == self._number:
                return content
            # Anything else than an output is forged; it counts as one.
            size, messages = size + len(content), messages + 1
            if size > self.limits.output_bytes or messages > self.limits.output_messages:
                raise SessionLost(verdicts.OUTPUT)
            if run is not None and kind == wire.OUTPUT:
                _collect(run, content)
        raise SessionLost(verdicts.CRASHED)

    def _send(self, data: bytes, until: float) -> None:
        rest = memoryview(data)
        while rest:
            self._look(until)
            try:
                rest = rest[self.child.connection.send(rest) :]
            except TimeoutError:
                continue
            except OSError:
                raise SessionLost(self._why_gone()) from None

    def _received(self, until: float, most: int) -> Iterator[tuple[bytes, int, bytes]]:
        while True:
            self._look(until)
            try:
                data = self.child.connection.recv(1 << 16)
            except TimeoutError:
                continue
            except OSError:
                data = b""
            if not data:
                raise SessionLost(self._why_gone())
            try:
                yield from self._frames.feed(data, most)
            except wire.BadFrame:
                # Too long an output, or bytes that are no message: either way nothing after it can be read.
                raise SessionLost(verdicts.OUTPUT) from None

    def _why_gone(self) -> str:
        return verdicts.MEMORY if self.group and self.group.out_of_memory() else verdicts.CRASHED

    def _look(self, until: float) -> None:
        """Raise ``SessionLost`` where a limit is passed. Between two looks only the clock and the kernel watch."""
        now = time.monotonic()
        if now > until:
            raise SessionLost(verdicts.TIME)
        if now < self._looked + _LOOK_SECONDS:
            return
        first, self._looked = self._looked == 0.0, now
        if first:
            return
        found = self._exceeded()
        if found:
            raise SessionLost(found)

    def _exceeded(self) -> str:
        family = self.child.family()
        self._cpu_used = sum(map(_cpu, family))
        if self._cpu_used > self._cpu_until:
            return verdicts.TIME
        if len(family) > self.limits.processes:
            return verdicts.PROCESSES
        if sum(map(_resident, family)) > self.limits.memory and sum(map(_own, family)) > self.limits.memory:
            return verdicts.MEMORY
        if self._devices:
            used = sandbox.gpu_memory()
            if sum(used.get(process.pid, 0) for process in family) > self.limits.device_memory:
                return verdicts.MEMORY
        return ""


def _cpu(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0.0
    return times.user + times.system + times.children_user + times.children_system


def _resident(process: psutil.Process) -> int:
    try:
        return process.memory_info().rss
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0


def _own(process: psutil.Process) -> int:
    """Memory that this process alone holds: forked children share most of theirs. Slower to ask for."""
    try:
        return process.memory_full_info().uss
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return _resident(process)


def _collect(run: CellRun, content: bytes) -> None:
    """Add an output to the run. Only what an output of a notebook may hold is taken over."""
    try:
        said = json.loads(content)
        kind = said["output_type"]
        if kind == "clear_output":
            run.outputs.clear()
            return
        output = _OUTPUTS[kind](said)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return
    if kind == "error":
        run.error = f"{output['ename']}: {output['evalue']}"[:300]
    last = run.outputs[-1] if run.outputs else None
    if last is not None and kind == "stream" == last["output_type"] and output["name"] == last["name"]:
        last["text"] += output["text"]
    else:
        run.outputs.append(output)


def _stream(said: dict[str, Any]) -> dict[str, Any]:
    name = "stderr" if said["name"] == "stderr" else "stdout"
    return {"output_type": "stream", "name": name, "text": str(said["text"])}


def _error(said: dict[str, Any]) -> dict[str, Any]:
    trace = [str(line) for line in list(said["traceback"])]
    name, words = str(said["ename"])[:100], str(said["evalue"])
    return {"output_type": "error", "ename": name, "evalue": words, "traceback": trace}


def _rich(said: dict[str, Any]) -> dict[str, Any]:
    data = {str(kind): value for kind, value in said["data"].items() if isinstance(value, str | dict)}
    made = {"output_type": said["output_type"], "data": data, "metadata": {}}
    return made | ({"execution_count": None} if said["output_type"] == "execute_result" else {})


_OUTPUTS = {"stream": _stream, "error": _error, "display_data": _rich, "execute_result": _rich}


def asked(name: str, cases: Sequence) -> bytes:
    """The request to call the student's ``name`` on the cases' inputs."""
    steps = [[[call.method, call.args, dict(call.kwargs)] for call in case.calls] for case in cases]
    return wire.encode({"name": name, "cases": steps})


def _outcomes(data: bytes, count: int) -> list[Outcome] | None:
    """Typed outcomes from the bytes of an answer, which anyone in the sandbox may have written."""
    answer = wire.decode(data)
    if isinstance(answer, dict) and answer.get("missing") is True:
        return None
    listed = answer.get("outcomes") if isinstance(answer, dict) else None
    if not isinstance(listed, list) or len(listed) != count:
        raise wire.BadFrame("the answer does not fit the question")
    return [_outcome(entry) for entry in listed]


def _outcome(entry: Any) -> Outcome:
    if not isinstance(entry, dict):
        raise wire.BadFrame("the answer is not in the agreed format")
    values, error, kind = entry.get("values"), entry.get("error"), entry.get("kind")
    if isinstance(values, list) and error is None:
        try:
            return Outcome(values=[plain(value) for value in values])
        except NotPlain as problem:
            return Outcome(error=str(problem), error_kind="NotPlain")
    text = error[:400] if isinstance(error, str) else "no result"
    return Outcome(error=text, error_kind=kind[:80] if isinstance(kind, str) else "")
