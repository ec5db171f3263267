"""The warm parent inside the sandbox: it has imported what notebooks import, and is forked for each submission.

It runs no student code, computes nothing, starts no thread, and knows no secret; so a fork of it is a clean start.
Its peer outside is ``dlcourse.grading.warm``.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import json
import os
import random
import signal
import socket
import sys
import warnings

from dlcourse.check.withhold import forever
from dlcourse.grading import agent, isolate


def main() -> None:
    """Fork on request until the other end of the socket that is the standard input hangs up."""
    if isolate.fix_addresses():
        os.execv(sys.executable, sys.orig_argv)
    requests = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    settings = json.loads(requests.recv(1 << 16))
    forever(settings["withhold"])
    warm(settings["imports"])
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children that end are not waited for
    requests.send(b"ready")
    while True:
        data, descriptors, _, _ = socket.recv_fds(requests, 1 << 16, 1)
        if not data:
            os._exit(0)
        asked, connection = json.loads(data), socket.socket(fileno=descriptors[0])
        try:
            if asked["isolate"]:
                isolate.next_child_alone()
            if os.fork() == 0:
                requests.close()
                _child(connection, asked)
        except OSError as error:
            _failed(connection, error)
        connection.close()


def warm(imports: list[str]) -> None:
    """Import what costs time, and make everything that a first use would make, but no thread."""
    shell = agent.make_shell()
    for name in ("numpy", "matplotlib.pyplot", "pexpect", *imports):
        # A notebook that imports what is not there fails in its own cell.
        with contextlib.suppress(Exception), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module(name)
    with contextlib.suppress(Exception):
        shell.enable_matplotlib("inline")
        _draw(sys.modules["matplotlib.pyplot"])
    try:
        raise NotImplementedError
    except NotImplementedError:
        shell.InteractiveTB.structured_traceback(*sys.exc_info())
    sys.modules["numpy"].random.seed(0)
    if "torch" in sys.modules:
        torch = sys.modules["torch"]
        torch.manual_seed(0)
        # The first optimizer imports the half of torch that `import torch` leaves out.
        torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    gc.collect()
    gc.freeze()


def _draw(pyplot) -> None:
    """A first picture loads fonts and what writes PNG."""
    pyplot.figure().add_subplot().set_title("$x$")
    pyplot.savefig(io.BytesIO(), format="png")
    pyplot.close("all")


def _child(connection: socket.socket, settings: dict) -> None:
    """The rest of a forked child's life; never returns."""
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if settings["isolate"]:
            isolate.new_namespaces()
            isolate.private_mounts(settings["disk"])
        os.setsid()
        isolate.set_limits(settings["rlimits"])
        if settings["isolate"]:
            isolate.nobody()
        os.chdir(settings["folder"])
        random.seed(0)  # Python seeds it anew in every fork
        agent.serve(connection)
    except BaseException as error:
        _failed(connection, error)
    finally:
        os._exit(1)


def _failed(connection: socket.socket, error: BaseException) -> None:
    with contextlib.suppress(BaseException):
        connection.sendall(agent.wire.frame(agent.wire.FAILED, 0, str(error)[:500].encode()))
