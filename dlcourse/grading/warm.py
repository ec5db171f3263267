"""The warm parents of this process, seen from outside: started in a sandbox once, forked for each submission.

A child has namespaces of its own (``isolate``). Where the system does not allow those inside bubblewrap, a sandbox is
started for each submission instead: as safe, and seconds slower.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import psutil

from dlcourse.grading import sandbox, wire
from dlcourse.grading.limits import MIB

_START = "from dlcourse.grading.forkserver import main; main()"
# Each holds the memory of what it has imported.
_MOST = 2
_CREDENTIALS = struct.Struct("3i")


class NoServer(RuntimeError):
    """The warm parent could not be started or was lost; the message says what it said."""


class Unisolated(NoServer):
    """The system does not let a process of the sandbox make namespaces of its own."""


class _Control:
    """The way to a warm parent: its own process has one, and so have those that adopted it."""

    def __init__(self, control: socket.socket, isolate: bool):
        self.control, self.isolate = control, isolate

    def fork(self, disk: int, rlimits: dict[str, int], folder: str, seconds: float) -> tuple[socket.socket, int]:
        """A new child: the socket to it, and its process id as seen from here.

        Raises
        ------
        NoServer
            The parent is gone, or the child could not be walled in.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            asked = {"isolate": self.isolate, "disk": disk, "rlimits": rlimits, "folder": folder}
            with theirs:
                socket.send_fds(self.control, [json.dumps(asked).encode()], [theirs.fileno()])
            return ours, _hello(ours, seconds)
        except BaseException as error:
            ours.close()
            if isinstance(error, OSError):
                raise NoServer(f"the sandbox's parent process is gone: {self._last_words() or error}") from None
            raise

    def close(self) -> None:
        self.control.close()

    def _last_words(self) -> str:
        return ""


class ForkServer(_Control):
    """One warm parent.

    Parameters
    ----------
    library : the student's view of dlcourse (``view.cached``).
    withhold : dotted names of calls that are refused.
    imports : modules that it imports before it is forked.
    walled : in a sandbox.
    isolate : each child in namespaces of its own; without, the sandbox must be for one submission only.
    devices : device files that it may use.
    """

    def __init__(
        self,
        library: Path,
        withhold: tuple[str, ...],
        imports: tuple[str, ...],
        walled: bool,
        isolate: bool,
        devices: tuple[str, ...] = (),
    ):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        env = sandbox.environment(sandbox.LIBRARY if walled else str(library))
        command = [sys.executable, "-c", _START]
        if walled:
            command = sandbox.bwrap_command(
                command,
                read_only={str(library): sandbox.LIBRARY},
                devices=devices,
                env=env,
                disk=256 * MIB,
                walls=isolate,
            )
        self.said = tempfile.TemporaryFile()  # noqa: SIM115 (closed with this object)
        self.process = subprocess.Popen(
            command,
            env={"PATH": env["PATH"]} if walled else {**os.environ, **env},
            stdin=theirs,
            stdout=subprocess.DEVNULL,
            stderr=self.said,
        )
        theirs.close()
        super().__init__(ours, isolate)
        self.ready = False
        ours.send(json.dumps({"withhold": withhold, "imports": imports}).encode())

    def wait(self, seconds: float) -> None:
        """Until it is ready to be forked.

        Raises
        ------
        NoServer
            It ended instead, or took longer.
        """
        if self.ready:
            return
        readable, _, _ = select.select([self.control], [], [], seconds)
        if not readable or self.control.recv(16) != b"ready":
            said = self._last_words() or f"it did not answer within {seconds:g} s"
            self.close()
            raise NoServer(f"the sandbox could not be started: {said}")
        self.ready = True

    def fork(self, disk: int, rlimits: dict[str, int], folder: str, seconds: float) -> tuple[socket.socket, int]:
        self.wait(seconds)
        return super().fork(disk, rlimits, folder, seconds)

    def alive(self) -> bool:
        return self.process.poll() is None

    def close(self) -> None:
        """End it and, as its sandbox ends with it, all its children."""
        self.control.close()
        self.process.kill()
        self.process.wait()
        self.said.close()

    def _last_words(self) -> str:
        if self.said.closed:
            return ""
        self.said.seek(0)
        lines = self.said.read()[-2000:].decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else ""


def _hello(connection: socket.socket, seconds: float) -> int:
    """Wait for a child's first message; the kernel adds its process id, in the numbers of our namespace."""
    connection.settimeout(seconds)
    try:
        data, extra, _, _ = connection.recvmsg(wire.HEADER.size + 512, socket.CMSG_SPACE(_CREDENTIALS.size))
    except TimeoutError:
        raise NoServer(f"a new sandbox did not answer within {seconds:g} s") from None
    finally:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 0)
    if len(data) < wire.HEADER.size or data[4:5] != wire.HELLO:
        said = data[wire.HEADER.size :].decode("utf-8", "replace") or "it ended"
        failed = data[4:5] == wire.FAILED
        raise (Unisolated if failed else NoServer)(f"a new sandbox could not be made: {said}")
    for level, kind, value in extra:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            return _CREDENTIALS.unpack(value)[0]
    raise NoServer("a new sandbox did not say which process it is")


@dataclass
class Child:
    """The process of one submission.

    Attributes
    ----------
    connection : the socket to it.
    pid : its number, as seen from here.
    root : the process from which all others of this submission come: itself, or its own sandbox.
    handle : on it as the first process of its namespace, with which all of them end; -1 where it has none.
    server : its warm parent, where that serves this child alone.
    """

    connection: socket.socket
    pid: int
    root: int
    handle: int = -1
    server: ForkServer | None = None

    def family(self) -> list[psutil.Process]:
        """The processes of the submission's code, those that have left their parents included."""
        try:
            found = psutil.Process(self.root).children(recursive=True)
            return found if self.root != self.pid else [psutil.Process(self.root), *found]
        except psutil.NoSuchProcess:
            return []

    def close(self) -> None:
        """End it and every process that it has started; returns when they are gone."""
        self.connection.close()
        if self.server is not None:
            self.server.close()
        elif self.handle >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.handle, signal.SIGKILL)
            select.select([self.handle], [], [], 10)
            os.close(self.handle)
        else:
            _kill_tree(self.pid)


def _kill_tree(pid: int) -> None:
    # Without a sandbox there is no namespace to end.
    with contextlib.suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        for process in [root, *root.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


_servers: dict[tuple, _Control] = {}
_unisolated: list[str] = []


def child(
    library: Path,
    withhold: tuple[str, ...],
    imports: tuple[str, ...],
    *,
    walled: bool,
    disk: int,
    rlimits: dict[str, int],
    seconds: float,
    devices: tuple[str, ...] = (),
) -> Child:
    """A fresh process for one submission, from a warm parent that this process keeps for such requests.

    Raises
    ------
    NoServer
        The sandbox cannot be started.
    """
    made = (library, withhold, imports, walled)
    folder = "/tmp" if walled else tempfile.gettempdir()
    if walled and not _unisolated:
        try:
            connection, pid = _fork(made, devices, disk, rlimits, folder, seconds)
            return Child(connection, pid, pid, os.pidfd_open(pid))
        except Unisolated as error:
            _unisolated.append(str(error))
    if walled:
        own = ForkServer(*made, isolate=False, devices=devices)
        try:
            connection, pid = own.fork(disk, rlimits, folder, seconds)
        except BaseException:
            own.close()
            raise
        return Child(connection, pid, own.process.pid, server=own)
    connection, pid = _fork(made, devices, disk, rlimits, folder, seconds)
    return Child(connection, pid, pid)


def _fork(made: tuple, devices: tuple[str, ...], *settings) -> tuple[socket.socket, int]:
    """A child of the kept server; one that is lost, of whatever cause, is replaced once."""
    try:
        return _server(*made, devices).fork(*settings)
    except Unisolated:
        raise
    except NoServer:
        close()
        return _server(*made, devices).fork(*settings)


def start(made: tuple) -> ForkServer:
    """A warm parent for others, which ``adopt`` its ``control``; it is not waited for."""
    *what, devices = made
    return ForkServer(*what, isolate=what[-1], devices=devices)


def adopt(made: tuple, control: socket.socket) -> None:
    """Fork children from the warm parent that another process keeps; ``made`` says for what it was made."""
    _, withhold, imports, walled, devices = made
    _servers["", withhold, imports, walled, devices, os.getpid()] = _Control(control, isolate=walled)


def _server(library: Path, withhold, imports, walled: bool, devices) -> _Control:
    adopted = ("", withhold, imports, walled, devices, os.getpid())
    if adopted in _servers:
        return _servers[adopted]
    key = (str(library), withhold, imports, walled, devices, os.getpid())
    if key in _servers and not _servers[key].alive():
        _servers.pop(key).close()
    if key not in _servers:
        while len(_servers) >= _MOST:
            _servers.pop(next(iter(_servers))).close()
        _servers[key] = ForkServer(library, withhold, imports, walled, isolate=walled, devices=devices)
    return _servers[key]


def close() -> None:
    """End all warm parents of this process."""
    while _servers:
        _servers.popitem()[1].close()


atexit.register(close)
