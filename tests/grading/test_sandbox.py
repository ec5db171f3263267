"""The wall itself: what a process behind it sees and may do, and what is left when it ends."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
import psutil
import pytest
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from nbclient import NotebookClient

import dlcourse
from dlcourse.grading import sandbox, view, warm
from dlcourse.grading.limits import CRASHED, MEMORY, TIME, Limits
from dlcourse.grading.session import Session, SessionLost

from .conftest import needs_bwrap

pytestmark = [needs_bwrap, pytest.mark.sandbox]
LIMITS = Limits(cell_seconds=20, cpu_seconds=5, total_seconds=60)

# A Python that is installed below /tmp shows there (its first folder); nothing else ever does.
BELOW_TMP = sorted({Path(p).parts[2] for p in (sys.prefix, sys.base_prefix) if p.startswith("/tmp/")})


def session(limits: Limits = LIMITS) -> Session:
    return Session(view.cached(()), (), ("numpy",), limits, time.monotonic() + 60)


def shown(code: str, limits: Limits = LIMITS) -> str:
    """What a cell prints, or its error."""
    with session(limits) as room:
        return _words(room.run_cell(code))


def _words(run) -> str:
    return "".join(output.get("text", "") for output in run.outputs) + run.error


DENIED = {
    "write to the system": "open('/usr/x', 'w')",
    "write to the root": "open('/x', 'w')",
    "write to the devices": "open('/dev/x', 'w')",
    "change the library": "open(__import__('dlcourse').__file__, 'a')",
    "set the kernel's switches": "open('/proc/sys/kernel/core_pattern', 'w').write('x')",
    "press the magic key": "open('/proc/sysrq-trigger', 'w')",
    "spare itself from the killer": "open('/proc/self/oom_score_adj', 'w').write('-1000')",
    "make a user namespace": "assert not __import__('ctypes').CDLL(None).unshare(0x10000000)",
    "make a mount namespace": "assert not __import__('ctypes').CDLL(None).unshare(0x20000)",
    "mount": "assert not __import__('ctypes').CDLL(None).mount(b'x', b'/tmp', b'tmpfs', 0, b'')",
    "unmount": "assert not __import__('ctypes').CDLL(None).umount2(b'/tmp', 2)",
    "become root": "__import__('os').setuid(0)",
    "reach the network": "__import__('socket').create_connection(('1.1.1.1', 53), 1)",
    "look up a name": "__import__('socket').gethostbyname('example.org')",
    "read accounts": "open('/etc/passwd')",
}


@pytest.mark.parametrize("what", DENIED)
def test_nothing_beyond_its_own_folder_is_allowed(what):
    assert any(word in shown(DENIED[what]) for word in ("Error", "gaierror"))


def test_it_sees_its_own_processes_only():
    listed = shown("import os; print(sorted(int(n) for n in os.listdir('/proc') if n.isdigit()))")
    assert listed == "[1]\n"


def test_it_has_no_rights_and_cannot_get_any():
    status = shown("print(open('/proc/self/status').read())")
    assert "CapEff:\t0000000000000000" in status and "CapBnd:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status and "Uid:\t65534" in status


def test_one_submission_leaves_nothing_for_the_next():
    leave = """
import os, ctypes, socket, subprocess, sys, builtins, numpy
for folder in ("/tmp", "/dev/shm"):
    open(folder + "/trace", "w").write("left")
os.environ["TRACE"] = builtins.trace = numpy.trace_left = "left"
ctypes.CDLL(None).shmget(1234, 4096, 0o1666)
subprocess.Popen(["sleep", "1000"], start_new_session=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        import time; time.sleep(1000)
    os._exit(0)
print("done")
"""
    look = """
import os, builtins, ctypes, numpy
print(os.listdir("/tmp"), os.listdir("/dev/shm"), os.environ.get("TRACE"), hasattr(builtins, "trace"),
      hasattr(numpy, "trace_left"), ctypes.CDLL(None).shmget(1234, 4096, 0o666))
"""
    with session() as room:
        assert _words(room.run_cell(leave)) == "done\n"
        family = [process.pid for process in room.child.family()]
        assert len(family) >= 3
    assert not any(psutil.pid_exists(pid) for pid in family)
    assert shown(look) == f"{BELOW_TMP} [] None False False -1\n"


def test_two_submissions_at_a_time_do_not_see_each_other():
    with session() as one, session() as other:
        one.run_cell("import socket; s = socket.socket(); s.bind(('127.0.0.1', 8765)); s.listen()")
        one.run_cell("a = socket.socket(socket.AF_UNIX); a.bind('\\0dlcourse'); a.listen()")
        assert "ConnectionRefused" in _words(
            other.run_cell("import socket; socket.create_connection(('127.0.0.1', 8765), 1)")
        )
        meet = "socket.socket(socket.AF_UNIX).connect('\\0dlcourse')"
        assert "ConnectionRefused" in _words(other.run_cell(meet))
        assert _words(other.run_cell("import os; print(os.listdir('/tmp'))")) == f"{BELOW_TMP}\n"


def test_devices_are_there_only_when_asked_for():
    device = next(path for path in ("/dev/kmsg", "/dev/loop0", "/dev/net/tun", "/dev/fuse") if os.path.exists(path))
    look = f"import os; print(os.path.exists({device!r}))"
    assert shown(look) == "False\n"
    made = view.cached(()), (), ("numpy",), LIMITS, time.monotonic() + 60
    with Session(*made, devices=(device,)) as room:
        assert _words(room.run_cell(look)) == "True\n"


def lost(code: str, limits: Limits = LIMITS) -> SessionLost:
    with session(limits) as room, pytest.raises(SessionLost) as caught:
        room.run_cell(code)
    return caught.value


def test_limits_are_verdicts_with_names():
    assert lost("import os; os._exit(0)").verdict == CRASHED
    assert lost("import ctypes; ctypes.string_at(0)").verdict == CRASHED
    assert lost("import os; os.abort()").verdict == CRASHED
    quick = Limits(cell_seconds=1, cpu_seconds=5)
    assert lost("import time; time.sleep(60)", quick).verdict == TIME
    assert lost("import signal, time\nsignal.signal(2, signal.SIG_IGN); time.sleep(60)", quick).verdict == TIME
    small = Limits(cell_seconds=20, memory=200 << 20)
    assert lost("hoard = [bytearray(b'x' * 10_000_000) for _ in range(100)]", small).verdict == MEMORY


def test_what_was_shown_before_the_limit_is_kept():
    quick = Limits(cell_seconds=1)
    code = "print('one')\nprint('two')\nimport ctypes; ctypes.PyDLL(None).sleep(60)"  # nothing else can run meanwhile
    assert lost("print('a cell before')\n" + code, quick).run.outputs[0]["text"] == "a cell before\none\ntwo\n"


def test_many_flushed_lines_are_few_messages():
    assert shown("for i in range(5000): print(i, flush=True)").count("\n") == 5000


def test_processes_that_print_do_not_cut_into_each_other():
    code = """
import os
if os.fork() == 0:
    for _ in range(2000): print("child " * 20)
    display("from the child")
    os._exit(0)
for _ in range(2000): print("parent " * 20)
os.wait()
"""
    said = shown(code)
    assert said.count("parent") == said.count("child") == 40_000


def test_subprocesses_speak_and_pictures_are_drawn():
    with session() as room:
        assert "from below" in _words(room.run_cell("import os; os.system('echo from below')"))
        assert "from a shell" in _words(room.run_cell("!echo from a shell"))
        run = room.run_cell("import matplotlib.pyplot as plt\nplt.plot([1, 2]);")
        assert "image/png" in run.outputs[-1]["data"]
        assert _words(room.run_cell("exit()")) == "" and _words(room.run_cell("print(1)")) == "1\n"


def test_addresses_and_unseeded_numbers_are_the_same_in_every_run():
    code = "import numpy as np, random\nprint(object(), np.random.rand(), random.random(), hash('x'))"
    first = shown(code)
    warm.close()
    assert shown(code) == first


def test_a_cold_sandbox_does_the_same(monkeypatch):
    """Where the system allows no namespaces within bubblewrap, each submission gets a bubblewrap of its own."""
    monkeypatch.setattr(warm, "_unisolated", ["not allowed"])
    with session() as room:
        assert room.child.server is not None
        assert _words(room.run_cell("import os; print(os.getuid())")) == "65534\n"
        assert "Error" in _words(room.run_cell("__import__('socket').create_connection(('1.1.1.1', 53), 1)"))
        process = room.child.server.process.pid
    assert not psutil.pid_exists(process)


def test_any_jupyter_client_can_start_a_walled_kernel(tmp_path):
    """The provisioner under a stock client, as a kernelspec names it."""
    (tmp_path / "k").mkdir()
    spec = KernelSpec(
        argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        display_name="walled",
        language="python",
        interrupt_mode="message",
        metadata={
            "kernel_provisioner": {
                "provisioner_name": "dlcourse-sandbox",
                "config": {"library": str(view.cached(())), "writable": [str(tmp_path)]},
            }
        },
    )

    class One(KernelSpecManager):
        def get_kernel_spec(self, kernel_name):
            return spec

    cells = ["import os; print(os.getuid())", "import socket; socket.create_connection(('1.1.1.1', 53), 1)"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    client = NotebookClient(notebook, timeout=60, kernel_name="walled", allow_errors=True)
    client.create_kernel_manager()
    client.km.kernel_spec_manager = One()
    client.km.transport, client.km.ip = "ipc", str(tmp_path / "k" / "s")
    client.km.connection_file = str(tmp_path / "kernel.json")
    client.execute()
    assert notebook.cells[0].outputs[0].text == "65534\n"
    assert notebook.cells[1].outputs[0].ename == "OSError"


def test_a_lost_warm_parent_is_replaced():
    with session() as room:
        parent = psutil.Process(room.child.root).parent()
    parent.kill()
    assert shown("print(1)") == "1\n"


def test_groups_of_a_killed_grader_are_removed(tmp_path):
    """On plain folders: what counts is the name, and whether the grader in it still runs."""
    gone = max(psutil.pids()) + 100_000
    for name in (f"dlcourse-{gone}-ab", f"dlcourse-{os.getpid()}-cd", "other"):
        (tmp_path / "pids" / name).mkdir(parents=True)
    sandbox.Group(10, 1 << 30, root=tmp_path)
    left = sorted(path.name.rpartition("-")[0] for path in (tmp_path / "pids").iterdir())
    assert f"dlcourse-{gone}" not in left and f"dlcourse-{os.getpid()}" in left
    assert (tmp_path / "pids" / "other").is_dir()


def test_a_group_bounds_processes_at_once():
    group = sandbox.Group(5, 1 << 30)
    group.remove()
    if "pids.max" not in group.set:
        pytest.skip("control groups cannot be made here")
    few = Limits(cell_seconds=20, processes=3)
    code = "import os\npids = []\nwhile True:\n    pid = os.fork()\n    if not pid: import time; time.sleep(100)"
    with session(few) as room:
        try:
            words = _words(room.run_cell(code))
        except SessionLost as lost:
            words = lost.verdict
        assert "BlockingIOError" in words or words == "process limit"


def test_a_python_below_tmp_stays_where_it_is():
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", f"{folder}/python"], check=True)
        Path(folder, "secret").write_text("another student's")
        library = str(Path(dlcourse.__file__).parent.parent)
        program = (
            "import os, sys\nfrom dlcourse.grading import isolate\nisolate.next_child_alone()\n"
            "if child := os.fork():\n    sys.exit(os.waitpid(child, 0)[1])\nisolate.new_namespaces()\n"
            f"isolate.private_mounts(1 << 20)\nprint(os.listdir({folder!r}), os.path.exists(sys.prefix + '/lib'))\n"
            "try:\n    open(sys.prefix + '/new', 'w')\nexcept OSError:\n    print('read-only')\n"
        )
        command = sandbox.bwrap_command(
            [f"{folder}/python/bin/python", "-c", program],
            read_only={folder: folder, library: library},
            env=sandbox.environment(library),
            disk=1 << 20,
            walls=True,
        )
        done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout == "['python'] True\nread-only\n", done.stderr
