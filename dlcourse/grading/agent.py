"""The grader's hand inside the sandbox: it runs the student's cells, calls the student's code with given inputs, and
sends what came of it.

It decides nothing and holds no secret: no reference, no seed, no expected value. Whatever student code does to it can
only change the student's own answers.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import socket
import sys
import threading
import time
from typing import Any

from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets import Type
from traitlets.config import Config

from dlcourse.check.probe import Outcome, probe
from dlcourse.exercises.spec import Call
from dlcourse.grading import wire

_FLUSH_SECONDS, _FLUSH_BYTES, _PROMPT = 0.05, 1 << 14, 100
_link: Link | None = None


class Link:
    """The connection to the judge's side, and the outputs on their way to it."""

    def __init__(self, connection: socket.socket):
        self.connection, self.owner, self.lock = connection, os.getpid(), threading.RLock()
        self.streams: list[Stream] = []
        self.prompt = _PROMPT  # writes and flushes of this cell that are still sent at once

    def send(self, tag: bytes, number: int, body: bytes) -> None:
        # Two processes at one socket would cut into each other's messages.
        if os.getpid() == self.owner:
            with self.lock:
                self.connection.sendall(wire.frame(tag, number, body))

    def receive(self) -> tuple[bytes, int, bytes]:
        header = self._exactly(wire.HEADER.size)
        length, tag, number = wire.HEADER.unpack(header)
        return tag, number, self._exactly(length)

    def output(self, content: dict[str, Any]) -> None:
        """Send one output of a cell, after what was printed before it."""
        for stream in self.streams:
            stream.send()
        self.send(wire.OUTPUT, 0, json.dumps(content, default=repr).encode())

    def _exactly(self, size: int) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            part = self.connection.recv(min(size - len(parts), 1 << 20))
            if not part:
                os._exit(0)
            parts += part
        return bytes(parts)


class Stream(io.TextIOBase):
    """``sys.stdout`` and ``sys.stderr`` of the cells."""

    encoding, errors = "utf-8", "replace"

    def __init__(self, link: Link, name: str, descriptor: int):
        self.link, self.name, self.descriptor = link, name, descriptor
        self.held: list[str] = []
        self.size, self.sent = 0, 0.0

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.descriptor

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        if os.getpid() != self.link.owner:
            # A process that the student's code has started: its words go the way of all others'.
            os.write(self.descriptor, text.encode("utf-8", "replace"))
            return len(text)
        with self.link.lock:
            self.held.append(text)
            self.size += len(text)
        self.flush()
        return len(text)

    def flush(self) -> None:
        """Send what is held: at once the first times in a cell, so that it outlives a limit, then not too often."""
        if self.link.prompt > 0 or self._due():
            self.link.prompt -= 1
            self.send()

    def _due(self) -> bool:
        return self.size > _FLUSH_BYTES or time.monotonic() > self.sent + _FLUSH_SECONDS

    def send(self) -> None:
        with self.link.lock:
            text, self.held, self.size = "".join(self.held), [], 0
            self.sent = time.monotonic()
            if text:
                content = {"output_type": "stream", "name": self.name, "text": text}
                self.link.send(wire.OUTPUT, 0, json.dumps(content).encode())


class _Publisher(DisplayPublisher):
    def publish(self, data, metadata=None, *args, update=False, **kwargs):
        if not update:
            _link.output({"output_type": "display_data", "data": _json(data), "metadata": metadata or {}})

    def clear_output(self, wait=False):
        _link.output({"output_type": "clear_output"})


class _Hook(DisplayHook):
    def write_output_prompt(self):
        pass

    def write_format_data(self, format_dict, md_dict=None):
        _link.output({"output_type": "execute_result", "data": _json(format_dict), "metadata": md_dict or {}})

    def finish_displayhook(self):
        pass


def _json(data: dict) -> dict[str, Any]:
    return {k: base64.b64encode(v).decode() if isinstance(v, bytes) else v for k, v in data.items()}


class Shell(InteractiveShell):
    """IPython without a terminal: magics, rich output and matplotlib's pictures as in a notebook."""

    display_pub_class = Type(_Publisher)
    displayhook_class = Type(_Hook)

    def _showtraceback(self, etype, evalue, stb):
        words = _text(evalue)
        content = {"output_type": "error", "ename": etype.__name__, "evalue": words, "traceback": list(map(str, stb))}
        _link.output(content)

    def ask_exit(self):
        """``exit()`` ends nothing here: the cells after it are the student's too."""

    def enable_gui(self, gui=None):
        pass


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return ""


def make_shell() -> Shell:
    """The shell of this process. Without a history file, which would be shared."""
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "NoColor"
    return Shell.instance(config=config)


def serve(connection: socket.socket) -> None:
    """Answer the judge's side until it hangs up. Runs in the process of one submission, which has no rights left."""
    global _link
    _link = link = Link(connection)
    # What is written past Python, by subprocesses and by C, is kept in a file that has no name.
    spill = os.open("/tmp", os.O_TMPFILE | os.O_RDWR | os.O_APPEND, 0o600)
    for descriptor in (1, 2):
        os.dup2(spill, descriptor)
    link.streams = [Stream(link, "stdout", 1), Stream(link, "stderr", 2)]
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__ = link.streams
    shell, read = Shell.instance(), 0
    link.send(wire.HELLO, 0, b"")
    while True:
        tag, number, body = link.receive()
        if tag == wire.CELL:
            link.prompt = _PROMPT
            with contextlib.suppress(BaseException):
                shell.run_cell(body.decode(), store_history=True)
            text = os.pread(spill, wire.MAX_JSON, read)
            read = os.fstat(spill).st_size
            if text:
                link.output({"output_type": "stream", "name": "stdout", "text": text.decode("utf-8", "replace")})
            for stream in link.streams:
                stream.send()
            link.send(wire.DONE, number, b"")
        else:
            link.send(wire.ANSWER, number, _answer(shell.user_ns, body))
            read = os.fstat(spill).st_size


def _answer(namespace: dict[str, Any], request: bytes) -> bytes:
    asked = wire.decode(request)
    # What the student's functions print while they are tried could only repeat the inputs. A file, as code may ask
    # for its descriptor or write bytes.
    with (
        open(os.devnull, "w", encoding="utf-8", errors="replace") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        if asked["name"] not in namespace:
            return wire.encode({"missing": True})
        obj = namespace[asked["name"]]
        outcomes = [
            probe(obj, [Call(method, args, kwargs) for method, args, kwargs in case]) for case in asked["cases"]
        ]
        return _encoded(outcomes)


def _encoded(outcomes: list[Outcome]) -> bytes:
    try:
        data = wire.encode({"outcomes": [_pack(outcome) for outcome in outcomes]})
        problem = f"the results have {len(data)} bytes; at most {wire.MAX_BYTES} are read"
    except (TypeError, ValueError, MemoryError) as error:
        data, problem = b"", str(error)
    if 0 < len(data) <= wire.MAX_BYTES:
        return data
    return wire.encode({"outcomes": [_pack(Outcome(error=problem))] * len(outcomes)})


def _pack(outcome: Outcome) -> dict[str, Any]:
    return {"values": outcome.values, "error": outcome.error, "kind": outcome.error_kind, "seconds": outcome.seconds}
