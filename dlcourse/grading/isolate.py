"""Namespaces of a submission's own, made inside the sandbox: what one bubblewrap does for all, done again for each.

A warm parent that has imported NumPy and torch is forked for every submission. Each child gets its own processes,
mounts, network, System V memory and host name, a fresh /tmp and /dev/shm, and then gives up every right it has.
See ``man 7 namespaces``, ``man 7 user_namespaces``, ``man 7 capabilities``.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import platform
import resource
import socket
import struct
import sys
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)

# linux/sched.h, sys/mount.h, linux/prctl.h, linux/capability.h
_NEWNS, _NEWCGROUP, _NEWUTS, _NEWIPC = 0x00020000, 0x02000000, 0x04000000, 0x08000000
_NEWUSER, _NEWPID, _NEWNET = 0x10000000, 0x20000000, 0x40000000
_NO_RANDOMIZE = 0x0040000
_RDONLY, _NOSUID, _NODEV, _NOEXEC, _REMOUNT, _BIND, _REC, _PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 24, 38
_CAPABILITY_VERSION_3, _LAST_CAPABILITY = 0x20080522, 40
_JOIN_SESSION_KEYRING, _KEYCTL = 1, {"x86_64": 250, "aarch64": 219}
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1


def _call(name: str, *args) -> None:
    if getattr(_libc, name)(*args) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def _mount(source: str, target: str, kind: str | None, flags: int, data: str = "") -> None:
    _call("mount", source.encode(), target.encode(), kind and kind.encode(), ctypes.c_ulong(flags), data.encode())


def fix_addresses() -> bool:
    """Lay out the memory of what this process executes next in one way, so that printed addresses are the same in
    every run. Returns whether that is new. See ``man 2 personality``."""
    now = _libc.personality(ctypes.c_ulong(0xFFFFFFFF))
    return not now & _NO_RANDOMIZE and _libc.personality(ctypes.c_ulong(now | _NO_RANDOMIZE)) == now


def next_child_alone() -> None:
    """The next fork of this process is the first process of a new pid namespace, and with it all others there end.

    Raises
    ------
    OSError
        The system does not allow it.
    """
    own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _call("setns", own, _NEWPID)  # a second namespace cannot be made before the first one is left
    finally:
        os.close(own)
    _call("unshare", _NEWPID)


def new_namespaces() -> None:
    """Leave the parent's mounts, network, System V memory and host name.

    Raises
    ------
    OSError
        The system does not allow it.
    """
    _call("unshare", _NEWNS | _NEWNET | _NEWIPC | _NEWUTS | _NEWCGROUP)
    # Keys are no namespace's: without a keyring of its own, one submission could leave some for the next.
    if platform.machine() in _KEYCTL:
        _libc.syscall(_KEYCTL[platform.machine()], _JOIN_SESSION_KEYRING, None)


def private_mounts(disk: int) -> None:
    """A /proc of these processes only, an empty /tmp and /dev/shm of ``disk`` bytes each, terminals of its own.

    A Python that is installed below /tmp stays where it is, read-only as before.
    """
    _mount("none", "/", None, _REC | _PRIVATE)
    _mount("proc", "/proc", "proc", _NOSUID | _NODEV | _NOEXEC)
    below = sorted({path for path in (sys.prefix, sys.base_prefix) if path.startswith("/tmp/")})
    kept = {path: os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) for path in below}
    _mount("tmpfs", "/tmp", "tmpfs", _NOSUID | _NODEV, f"size={disk},nr_inodes=100k,mode=1777")
    for path, folder in kept.items():
        os.makedirs(path, exist_ok=True)
        _mount(f"/proc/self/fd/{folder}", path, None, _BIND | _REC)
        os.close(folder)
    _mount("tmpfs", "/dev/shm", "tmpfs", _NOSUID | _NODEV | _NOEXEC, f"size={disk},nr_inodes=10k,mode=1777")
    _mount("devpts", "/dev/pts", "devpts", _NOSUID | _NOEXEC, "newinstance,ptmxmode=0666,mode=620")
    name = b"sandbox"
    _call("sethostname", name, len(name))
    loopback_up()


def loopback_up() -> None:
    """Processes of the sandbox may talk to each other; there is no other interface."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))


def nobody() -> None:
    """Enter a user namespace of its own, in which no further one can be made, as a user without any right."""
    uid, gid = os.geteuid(), os.getegid()
    _call("unshare", _NEWUSER | _NEWNS)
    for file, text in (("setgroups", "deny"), ("uid_map", f"65534 {uid} 1"), ("gid_map", f"65534 {gid} 1")):
        Path(f"/proc/self/{file}").write_text(text)
    Path("/proc/sys/user/max_user_namespaces").write_text("0")
    # Where the grader runs as root, the kernel's switches would be this user's to set.
    _mount("none", "/proc", None, _REMOUNT | _BIND | _RDONLY | _NOSUID | _NODEV | _NOEXEC)
    drop_capabilities()


def drop_capabilities() -> None:
    """Give up every capability, and the way back to one."""
    for capability in range(_LAST_CAPABILITY + 1):
        _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    _call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
    _call("capset", header, bytes(24))


def set_limits(limits: dict[str, int]) -> None:
    """Rlimits by name, soft and hard."""
    for name, value in limits.items():
        hard = resource.getrlimit(getattr(resource, name))[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(getattr(resource, name), (value, value))
