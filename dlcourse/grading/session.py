"""One submission's kernel: started behind the wall, driven cell by cell, bounded from outside, killed at the end."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import Any

import psutil
import zmq
from jupyter_client import KernelManager
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from nbformat import NotebookNode
from nbformat.v4 import output_from_msg

from dlcourse.check.probe import Outcome
from dlcourse.exercises.spec import Case
from dlcourse.grading import limits as verdicts
from dlcourse.grading import sandbox, wire
from dlcourse.grading.limits import Limits

_GRACE = 5.0
_OUTPUTS = ("stream", "display_data", "execute_result", "error")


@dataclass
class CellRun:
    """What one cell did: its outputs, the last line of its error, and the limit it hit, if any."""

    outputs: list[NotebookNode] = field(default_factory=list)
    error: str = ""
    verdict: str = ""


class KernelGone(RuntimeError):
    """The kernel died or was killed: ``verdict`` names why, ``run`` holds what the cell had shown until then."""

    def __init__(self, verdict: str):
        super().__init__(verdict)
        self.verdict = verdict
        self.run = CellRun(verdict=verdict)


class Session:
    """A context manager around one kernel. After ``KernelGone`` a fresh session has to be made.

    Parameters
    ----------
    library : the student's view of dlcourse (``view.cached``).
    withhold : dotted names of library calls that are refused.
    limits : bounds, see ``Limits``.
    deadline : ``time.monotonic()`` at which the whole submission's time is up.
    walled : run in the sandbox; without it only for code that is trusted.
    """

    def __init__(self, library: Path, withhold: Sequence[str], limits: Limits, deadline: float, walled: bool = True):
        self.limits, self.deadline, self.walled = limits, deadline, walled
        self.library, self.withhold = str(library), list(withhold)
        self.verdict = ""

    def __enter__(self) -> Session:
        self._stack = contextlib.ExitStack()
        self.group = self._stack.enter_context(sandbox.counted(2 * self.limits.processes)) if self.walled else None
        # Short: a socket's path has at most 107 characters.
        self.folder = Path(tempfile.mkdtemp(prefix="dlc-", dir="/tmp" if os.path.isdir("/tmp") else None))
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error) -> None:
        self._done = True
        if hasattr(self, "client"):
            self.client.stop_channels()
        if hasattr(self, "manager"):
            with contextlib.suppress(RuntimeError, ProcessLookupError):
                self.manager.shutdown_kernel(now=True)
        if hasattr(self, "context"):
            self.context.destroy(linger=0)
        self._stack.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self) -> None:
        self.inputs, self.answers = self.folder / "in", self.folder / "out"
        self.inputs.mkdir()
        self.answers.mkdir()
        # Rlimits on top of the watchdog: they hold between two of its looks.
        settings = {
            "withhold": self.withhold,
            "rlimits": {
                "RLIMIT_CORE": 0,
                "RLIMIT_FSIZE": self.limits.disk,
                "RLIMIT_CPU": int(self.limits.total_seconds) + 5,
            },
        }
        variables = {"DLCOURSE_KERNEL": json.dumps(settings)}
        self.context = zmq.Context()
        # A message larger than this is dropped by the transport, before it takes memory here.
        self.context.setsockopt(zmq.MAXMSGSIZE, 4 * self.limits.output_bytes)
        self.context.setsockopt(zmq.RCVHWM, 200)
        self.manager = KernelManager(
            kernel_name="submission",
            transport="ipc",
            ip=str(self.answers / "k"),
            connection_file=str(self.inputs / "kernel.json"),
            kernel_spec_manager=_OneSpec(spec=self._spec(variables)),
            context=self.context,
        )
        extra = {} if self.walled else {"env": {**os.environ, **sandbox.environment(self.library), **variables}}
        self.manager.start_kernel(**extra, stdout=-3, stderr=-3)
        self._done = False
        self._cpu_used, self._cpu_until = 0.0, float("inf")
        threading.Thread(target=self._watch, daemon=True).start()
        self.client = self.manager.blocking_client()
        self.client.start_channels(hb=False)
        self._wait_until_ready()

    def _spec(self, variables: dict[str, str]) -> KernelSpec:
        start = "from dlcourse.grading.agent import main; main()"
        argv = [sys.executable, "-c", start, "-f", "{connection_file}", "--HistoryManager.enabled=False"]
        metadata = {}
        if self.walled:
            config = {
                "library": self.library,
                "read_only": [str(self.inputs)],
                "writable": [str(self.answers)],
                "disk": self.limits.disk,
                "group": str(self.group or ""),
                "variables": variables,
            }
            metadata = {"kernel_provisioner": {"provisioner_name": "dlcourse-sandbox", "config": config}}
        return KernelSpec(
            argv=argv, display_name="submission", language="python", interrupt_mode="message", metadata=metadata
        )

    def _wait_until_ready(self) -> None:
        """Until both channels have brought a message: what is published before we have subscribed is lost."""
        until = min(self.deadline, time.monotonic() + self.limits.start_seconds)
        replied = published = False
        while not (replied and published):
            self._check_alive()
            if time.monotonic() > until:
                self._kill(verdicts.TIME)
            self.client.kernel_info()
            with contextlib.suppress(Empty):
                self.client.get_shell_msg(timeout=0.5)
                replied = True
            with contextlib.suppress(Empty):
                self.client.get_iopub_msg(timeout=0.2)
                published = True

    def run_cell(self, code: str) -> CellRun:
        """Execute a cell of the student's and collect what it shows.

        Raises
        ------
        KernelGone
            The kernel died on it, or was killed at a limit.
        """
        run = CellRun()
        until = min(self.deadline, time.monotonic() + self.limits.cell_seconds)
        try:
            self._execute(code, until, run)
        except KernelGone as gone:
            run.verdict = gone.verdict
            gone.run = run
            raise
        return run

    def _execute(self, code: str, until: float, run: CellRun | None) -> None:
        self._cpu_until = self._cpu_used + self.limits.cpu_seconds
        asked = self.client.execute(code, store_history=False, allow_stdin=False, stop_on_error=False)
        size = messages = 0
        replied, idle = None, False
        # The word that the kernel is idle can be lost in a flood of output; the reply cannot.
        while not (replied and (idle or time.monotonic() > replied + _GRACE)):
            self._check_alive()
            if time.monotonic() > until:
                self._kill(verdicts.TIME)
            for channel in (self.client.iopub_channel, self.client.shell_channel):
                message = self._receive(channel)
                if message is None:
                    continue
                if message["parent_header"].get("msg_id") != asked:
                    continue
                kind, content = message.get("msg_type"), message.get("content", {})
                if channel is self.client.shell_channel:
                    replied = time.monotonic() if kind == "execute_reply" else replied
                elif kind == "status":
                    idle = idle or content.get("execution_state") == "idle"
                elif run is not None and kind in _OUTPUTS:
                    size, messages = size + len(repr(content)), messages + 1
                    if size > self.limits.output_bytes or messages > self.limits.output_messages:
                        self._kill(verdicts.OUTPUT)
                    _collect(run, message)
                elif run is not None and kind == "clear_output":
                    run.outputs.clear()

    def _receive(self, channel) -> dict[str, Any] | None:
        # A short wait on the first channel only: the loop must see a dead kernel and a passed deadline soon.
        wait = 0.05 if channel is self.client.iopub_channel else 0
        try:
            return channel.get_msg(timeout=wait)
        except Empty:
            return None
        except Exception:
            # A forged or garbled message: it is dropped, and the limits hold whatever follows.
            return None

    def probe(self, name: str, cases: Sequence[Case], seconds: float) -> list[Outcome] | None:
        """Call the student's ``name`` on the cases' inputs; ``None`` if the notebook does not define it.

        Raises
        ------
        KernelGone
            The kernel died on it, or was killed at a limit.
        """
        token = secrets.token_hex(8)
        source, target = self.inputs / f"{token}.in", self.answers / f"{token}.out"
        steps = [[[call.method, call.args, dict(call.kwargs)] for call in case.calls] for case in cases]
        source.write_bytes(wire.encode({"name": name, "cases": steps}))
        code = f"__import__('dlcourse.grading.agent', fromlist=['run']).run({str(source)!r}, {str(target)!r})"
        try:
            self._execute(code, min(self.deadline, time.monotonic() + seconds), None)
            return _outcomes(_read(target), len(cases))
        finally:
            source.unlink(missing_ok=True)
            target.unlink(missing_ok=True)

    def _check_alive(self) -> None:
        if self.verdict or not self.manager.is_alive():
            self._kill(self.verdict or verdicts.CRASHED)

    def _kill(self, verdict: str) -> None:
        self.verdict = self.verdict or verdict
        self._done = True
        with contextlib.suppress(RuntimeError, ProcessLookupError):
            self.manager.shutdown_kernel(now=True)
        raise KernelGone(self.verdict)

    def _watch(self) -> None:
        root = self.manager.provisioner.process
        while not self._done:
            found = self._exceeded(root.pid)
            if found and not self._done:
                self.verdict = found
                root.kill()
                return
            time.sleep(0.1)

    def _exceeded(self, pid: int) -> str:
        try:
            family = psutil.Process(pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return ""
        self._cpu_used = sum(map(_cpu, family))
        if self._cpu_used > self._cpu_until:
            return verdicts.TIME
        if len(family) > self.limits.processes:
            return verdicts.PROCESSES
        if sum(map(_resident, family)) > self.limits.memory and sum(map(_own, family)) > self.limits.memory:
            return verdicts.MEMORY
        written = 0
        with contextlib.suppress(OSError):
            written = sum(entry.stat(follow_symlinks=False).st_size for entry in os.scandir(self.answers))
        return verdicts.DISK if written > self.limits.disk else ""


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


class _OneSpec(KernelSpecManager):
    """Knows one kernelspec, made in memory: nothing that is installed on the machine can take its place."""

    def __init__(self, *, spec: KernelSpec, **kwargs):
        super().__init__(**kwargs)
        self.spec = spec

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        return self.spec


def _collect(run: CellRun, message: dict[str, Any]) -> None:
    try:
        output = output_from_msg(message)
    except (ValueError, KeyError, TypeError):
        return
    if output.output_type == "error":
        # ipykernel names cells by a number; only the line helps.
        text = re.sub(r"\(\d+\.py, (line \d+)\)", r"(\1)", str(output.get("evalue", "")))
        run.error = f"{output.get('ename', '')}: {text}"[:300]
    last = run.outputs[-1] if run.outputs else None
    if last is not None and output.output_type == "stream" == last.output_type and output.name == last.name:
        last.text += output.text
    else:
        run.outputs.append(output)


def _read(path: Path) -> bytes:
    """The answer's bytes. Only a plain file of bounded size is read, and no link is followed."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        raise wire.BadFrame("the student's code left no answer") from None
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise wire.BadFrame("the answer is not a plain file")
        if status.st_size > wire.MAX_BYTES:
            raise wire.BadFrame(f"the answer has {status.st_size} bytes; at most {wire.MAX_BYTES} are read")
        return file.read(wire.MAX_BYTES + 1)


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
        return Outcome(values=values)
    text = error[:400] if isinstance(error, str) else "no result"
    return Outcome(error=text, error_kind=kind[:80] if isinstance(kind, str) else "")
