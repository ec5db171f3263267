"""The wall around strangers' code: bubblewrap with no network, a read-only system and a private /tmp; control groups;
and the device files of a GPU. See ``man bwrap``.
"""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
LIBRARY = "/opt/course"
_PREFIX = "dlcourse-"
NO_BWRAP = (
    "bubblewrap is not on this machine, and submissions are run in its sandbox: install it "
    "(Debian, Ubuntu: apt-get install bubblewrap), or grade code that you trust with --no-sandbox"
)


class SandboxMissing(RuntimeError):
    """There is no working bubblewrap; the message says what to do."""


@functools.cache
def require() -> str:
    """The path of a bubblewrap that works here.

    Raises
    ------
    SandboxMissing
        It is not installed, or the system does not let it make namespaces.
    """
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        raise SandboxMissing(NO_BWRAP)
    probe = [bwrap, "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "true"]
    tried = subprocess.run(probe, capture_output=True, text=True, timeout=20)
    if tried.returncode:
        reason = tried.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise SandboxMissing(
            f"bubblewrap is here but cannot make a sandbox ({reason[0]}): allow unprivileged user namespaces, "
            "or grade code that you trust with --no-sandbox"
        )
    return bwrap


@functools.cache
def _sweep(root: Path) -> None:
    """Remove the empty groups that a killed grader has left."""
    for folder in [*root.glob(f"{_PREFIX}*"), *root.glob(f"*/{_PREFIX}*")]:
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            with contextlib.suppress(OSError):
                folder.rmdir()


class Group:
    """A control group that bounds the processes and the memory of whoever is put into it.

    The kernel enforces it at once, for root too; rlimits do not hold for root, and a watchdog looks only now and then.
    Where this user may not make one, ``bounds_memory`` is false and nothing is bounded.
    See the kernel's documentation, admin-guide/cgroup-v1/{pids,memory} and admin-guide/cgroup-v2.
    """

    def __init__(self, tasks: int, memory: int, root: Path = Path("/sys/fs/cgroup")):
        _sweep(root)
        name = f"{_PREFIX}{os.getpid()}-{secrets.token_hex(6)}"
        self.folders: list[Path] = []
        unified = (root / "cgroup.controllers").is_file()
        self.counter = "memory.events" if unified else "memory.oom_control"
        bounds = {"pids.max": tasks, "memory.max": memory, "memory.swap.max": 0}
        if not unified:
            bounds = {"pids.max": tasks, "memory.limit_in_bytes": memory, "memory.memsw.limit_in_bytes": memory}
        for controller in ("",) if unified else ("pids", "memory"):
            folder = root / controller / name
            with contextlib.suppress(OSError):
                folder.mkdir()
                self.folders.append(folder)
        self.set = {file for file, value in bounds.items() if self._write(file, value)}

    def _write(self, file: str, value: int) -> bool:
        for folder in self.folders:
            if (folder / file).is_file():
                with contextlib.suppress(OSError):
                    (folder / file).write_text(str(value))
                    return True
        return False

    @property
    def bounds_memory(self) -> bool:
        return bool(self.set & {"memory.max", "memory.limit_in_bytes"})

    def add(self, pid: int) -> None:
        """Put a process, and all that it will start, into the group."""
        for folder in self.folders:
            with contextlib.suppress(OSError):
                (folder / "cgroup.procs").write_text(str(pid))

    def out_of_memory(self) -> bool:
        """Whether the kernel has killed a process of the group at its bound."""
        for folder in self.folders:
            with contextlib.suppress(OSError, ValueError):
                lines = (folder / self.counter).read_text().split()
                if int(lines[lines.index("oom_kill") + 1]) > 0:
                    return True
        return False

    def remove(self) -> None:
        """Killed processes take a moment to leave a group, and only an empty one can be removed."""
        for folder in self.folders:
            for _ in range(200):
                try:
                    folder.rmdir()
                except FileNotFoundError:
                    pass
                except OSError:
                    time.sleep(0.01)
                    continue
                break


def environment(library: str) -> dict[str, str]:
    """The whole environment of a submission's kernel."""
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": "/tmp",
        "TMPDIR": "/tmp",
        "LANG": "C.UTF-8",
        "USER": "student",
        "PYTHONPATH": library,
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONSAFEPATH": "1",
        "MPLCONFIGDIR": "/tmp/matplotlib",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        **dict.fromkeys(THREADS, "1"),
    }


def bwrap_command(
    command: list[str],
    *,
    read_only: Mapping[str, str],
    writable: Sequence[str] = (),
    devices: Sequence[str] = (),
    env: dict[str, str],
    disk: int,
    walls: bool = False,
) -> list[str]:
    """``command`` wrapped in a sandbox that sees the system's libraries, Python, and the named folders only.

    ``read_only`` says where each folder appears inside; what lies under /tmp is covered there.

    With ``walls`` it may build further walls inside, for which it has all rights within its own namespaces; without,
    it has none.
    """
    out = [require(), "--unshare-all", "--unshare-user", "--die-with-parent", "--new-session", "--hostname", "sandbox"]
    out += ["--uid", "0", "--gid", "0", "--cap-add", "ALL"] if walls else ["--uid", "65534", "--gid", "65534"]
    out += ["--clearenv"] if walls else ["--cap-drop", "ALL", "--clearenv"]
    for name, value in env.items():
        out += ["--setenv", name, value]
    out += ["--proc", "/proc", "--dev", "/dev", "--size", str(disk), "--tmpfs", "/tmp"]
    for path in _system_paths():
        out += ["--symlink", os.readlink(path), path] if os.path.islink(path) else ["--ro-bind", path, path]
    package = Path(__file__).resolve().parent.parent
    for path in _python_paths():
        out += ["--ro-bind", path, path]
    if any(package.is_relative_to(path) for path in _python_paths()):
        out += ["--tmpfs", str(package)]
    for path, inside in read_only.items():
        out += ["--ro-bind", path, inside]
    for path in writable:
        out += ["--bind", path, path]
    for path in devices:
        out += ["--dev-bind", path, path]
    # Where the grader runs as root, the kernel's switches in /proc would be the sandbox's to set.
    fixed = ("/", "/dev") if walls else ("/", "/dev", "/proc")
    out += [word for path in fixed for word in ("--remount-ro", path)]
    return [*out, "--chdir", "/tmp", "--", *command]


def gpu_devices() -> tuple[str, ...]:
    """The device files of NVIDIA's GPUs and driver on this machine."""
    return tuple(sorted(str(path) for path in Path("/dev").glob("nvidia*") if not path.is_dir()))


def gpu_memory() -> dict[int, int]:
    """Bytes of GPU memory by process id, as the driver counts them; see ``man nvidia-smi``."""
    asked = ["nvidia-smi", "--query-compute-apps=pid,used_gpu_memory", "--format=csv,noheader,nounits"]
    try:
        lines = subprocess.run(asked, capture_output=True, text=True, timeout=10).stdout.splitlines()
    except (OSError, subprocess.TimeoutExpired):
        return {}
    rows = [line.split(",") for line in lines]
    used: dict[int, int] = {}
    for pid, size in (row for row in rows if len(row) == 2 and all(part.strip().isdigit() for part in row)):
        used[int(pid)] = used.get(int(pid), 0) + (int(size) << 20)
    return used


@functools.cache
def _system_paths() -> tuple[str, ...]:
    # From /etc only what the loader and time zones need: no accounts, no host names, no configuration.
    wanted = ("/usr", "/lib", "/lib64", "/lib32", "/bin", "/etc/ld.so.cache", "/etc/localtime", "/etc/alternatives")
    return tuple(path for path in wanted if os.path.lexists(path))


@functools.cache
def _python_paths() -> tuple[str, ...]:
    prefixes = {sys.prefix, sys.base_prefix, os.path.realpath(sys.base_prefix)}
    prefixes |= {str(Path(os.path.realpath(sys.executable)).parent.parent)}
    outside = [p for p in sorted(prefixes) if not p.startswith("/usr/") and p not in ("/usr", "/")]
    return tuple(outside)
