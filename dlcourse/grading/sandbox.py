"""A Jupyter kernel inside bubblewrap: no network, a read-only system, a private /tmp, nothing of other students.

``SandboxProvisioner`` is registered in the entry point group ``jupyter_client.kernel_provisioners``; a kernelspec that
names it runs walled in, whatever starts the kernel. See ``man bwrap`` and
https://jupyter-client.readthedocs.io/en/stable/provisioning.html.
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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jupyter_client.provisioning import LocalProvisioner
from traitlets import Dict, Int, List, Unicode

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
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


@contextlib.contextmanager
def counted(tasks: int) -> Iterator[Path | None]:
    """A control group of at most ``tasks`` processes and threads at once, where this user may make one; else ``None``.

    The kernel enforces it at once, for root too; rlimits do not hold for root, and a watchdog looks only now and then.
    See the kernel's documentation, admin-guide/cgroup-v1/pids and cgroup-v2.
    """
    group = _make_group(tasks)
    try:
        yield group
    finally:
        if group is not None:
            _remove_group(group)


def _make_group(tasks: int) -> Path | None:
    for parent in (Path("/sys/fs/cgroup/pids"), Path("/sys/fs/cgroup")):
        group = parent / f"dlcourse-{secrets.token_hex(6)}"
        try:
            if not (parent / "cgroup.procs").is_file():
                continue
            group.mkdir()
            (group / "pids.max").write_text(str(tasks))
            return group
        except OSError:
            with contextlib.suppress(OSError):
                group.rmdir()
    return None


def _remove_group(group: Path) -> None:
    """Killed processes take a moment to leave a group, and only an empty one can be removed."""
    for _ in range(100):
        try:
            group.rmdir()
            return
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.02)


def in_group(group: Path, command: list[str]) -> list[str]:
    """``command``, started as a member of a control group."""
    return ["/bin/sh", "-c", 'echo $$ > "$0" && exec "$@"', str(group / "cgroup.procs"), *command]


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
    command: list[str], *, read_only: list[str], writable: list[str], env: dict[str, str], disk: int
) -> list[str]:
    """``command`` wrapped in a sandbox that sees the system's libraries, Python, and the named folders only."""
    out = [require(), "--unshare-all", "--unshare-user", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    out += ["--hostname", "sandbox", "--uid", "65534", "--gid", "65534", "--clearenv"]
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
    for path in read_only:
        out += ["--ro-bind", path, path]
    for path in writable:
        out += ["--bind", path, path]
    return [*out, "--remount-ro", "/", "--chdir", "/tmp", "--", *command]


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


class SandboxProvisioner(LocalProvisioner):
    """Starts the kernel of a submission inside bubblewrap. Configured by the kernelspec's metadata."""

    library = Unicode(help="folder with the student's view of dlcourse; goes on PYTHONPATH").tag(config=True)
    read_only = List(Unicode(), help="further folders that the kernel may read").tag(config=True)
    writable = List(Unicode(), help="folders that the kernel may write: its sockets and answers").tag(config=True)
    disk = Int(256 << 20, help="bytes of the private /tmp").tag(config=True)
    group = Unicode(help="control group that bounds the number of processes, if there is one").tag(config=True)
    variables = Dict(help="further environment variables").tag(config=True)

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        kwargs = await super().pre_launch(**kwargs)
        env = {**environment(self.library), **self.variables}
        kwargs["cmd"] = bwrap_command(
            kwargs["cmd"],
            read_only=[self.library, *self.read_only],
            writable=list(self.writable),
            env=env,
            disk=self.disk,
        )
        if self.group:
            kwargs["cmd"] = in_group(Path(self.group), kwargs["cmd"])
        # bwrap clears the environment itself; this keeps ours out of its own /proc entry.
        kwargs["env"] = {"PATH": env["PATH"]}
        return kwargs
