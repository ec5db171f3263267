"""Files of data sets: where they lie, whether they are whole, and how they are fetched, once."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import http.client
import os
import shutil
import socket
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

TIMEOUT = 15.0  # seconds without a byte before a server counts as unreachable
_PARTIAL = ".dlcourse-partial-"


class DataUnavailable(RuntimeError):
    """A data set is not on this machine and could not be fetched; the message says what to do."""

    __module__ = "dlcourse.data"


@dataclass(frozen=True)
class FileSet:
    """Files with their published md5 sums.

    Attributes
    ----------
    folder : where they lie below a data folder, and below a mirror
    md5 : names to sums
    mirrors : addresses to which a file's name is appended, tried in this order
    megabytes : how much is fetched
    archive : the address of a tar file that holds them all, where they are published so, and its md5 sum, if it has one
    """

    folder: str
    md5: dict[str, str]
    mirrors: tuple[str, ...]
    megabytes: int
    archive: tuple[str, str | None] | None = None


def folders() -> list[Path]:
    """Where data files are looked for, in this order: ``DLCOURSE_DATA`` if it is set, the user's cache."""
    import platformdirs

    cache = Path(platformdirs.user_cache_dir("dlcourse", appauthor=False))
    chosen = os.environ.get("DLCOURSE_DATA")
    return [Path(chosen).expanduser(), cache] if chosen else [cache]


def find(spec: FileSet) -> dict[str, bytes]:
    """Those of the set's files that some folder holds intact, by name. A damaged file counts as missing."""
    found: dict[str, bytes] = {}
    for name, md5 in spec.md5.items():
        for folder in folders():
            try:
                content = (folder / spec.folder / name).read_bytes()
            except OSError:
                continue
            if hashlib.md5(content, usedforsecurity=False).hexdigest() == md5:
                found[name] = content
                break
    return found


def whole(spec: FileSet) -> bool:
    """Whether all the set's files are here, with the right checksums."""
    return len(find(spec)) == len(spec.md5)


def read(name: str, spec: FileSet, download: bool, function: str = "load") -> dict[str, bytes]:
    """The set's files, fetched if they are not here and may be; ``function`` of ``dlcourse.data`` reads the set.

    Raises
    ------
    DataUnavailable
        They are not on this machine and cannot be fetched, or ``download`` is False.
    """
    files = find(spec)
    if len(files) < len(spec.md5):
        if not download:
            raise DataUnavailable(
                f"{name} is not in {_either(folders())} and download=False: "
                f"call dlcourse.data.{function}({name!r}) once where there is a network, "
                f"or set DLCOURSE_DATA to a folder that {_holds(spec)}."
            )
        _download(name, spec)
        files = find(spec)
    return files


def _download(name: str, spec: FileSet) -> None:
    """Fetch what is missing into the first folder that can be written.

    A file is written in a folder of its own, compared with its checksum there, and moved to its place in one
    step. So a process may be killed at any time, and two may run at once: what has the right name is whole.
    """
    folder = next(filter(_writable, folders()), None)
    if folder is None:
        raise DataUnavailable(
            f"{name} is not in {_either(folders())}, and nothing can be written there: "
            f"set DLCOURSE_DATA to a folder with {spec.megabytes} MB of room, or to one that {_holds(spec)}."
        )
    try:
        from torchvision.datasets.utils import download_url
    except (ImportError, RuntimeError) as error:  # RuntimeError: it was built for another torch
        raise DataUnavailable(
            f"{name} is not in {_either(folders())}, and to fetch it takes torchvision, which cannot be imported "
            f"({_reason(error)}): install the torchvision that matches your torch, "
            f"or set DLCOURSE_DATA to a folder that {_holds(spec)}."
        ) from None

    mirror = os.environ.get("DLCOURSE_MIRROR")
    mirrors = (f"{mirror.rstrip('/')}/{spec.folder}/",) if mirror else spec.mirrors
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _lock(folder, name), _partial(folder) as partial, _socket_timeout(TIMEOUT):
            missing = sorted(spec.md5.keys() - find(spec))  # another process may have come first
            if missing:
                print(f"{name}: fetching {len(missing)} files into {folder}", file=sys.stderr)
            if missing and spec.archive and not mirror:
                _unpack(download_url, spec, partial)
            for file in missing:
                if not (partial / file).exists():
                    _fetch(download_url, mirrors, file, spec.md5[file], partial)
                target = folder / spec.folder / file
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(partial / file, target)
    except _Unreachable as error:
        raise DataUnavailable(
            f"{name} is not in {_either(folders())} and could not be fetched ({error}): "
            f"connect to the internet and call again, or set DLCOURSE_DATA to a folder that {_holds(spec)}."
        ) from None
    except OSError as error:
        raise DataUnavailable(
            f"{name} could not be stored in {folder} ({_reason(error)}): "
            f"set DLCOURSE_DATA to a folder with {spec.megabytes} MB of room, or to one that {_holds(spec)}."
        ) from None


class _Unreachable(Exception):
    """No server gave the file; the message says what each of them did."""


def _fetch(download_url: Callable, mirrors: tuple[str, ...], file: str, md5: str | None, folder: Path) -> None:
    """Fetch one file into ``folder`` from the first mirror that has it with the right checksum."""
    reasons = []
    for mirror in mirrors:
        try:
            download_url(mirror + file, str(folder), filename=file, md5=md5)
            return
        except (OSError, RuntimeError, ValueError, http.client.HTTPException) as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            # torchvision says "File not found or corrupted." where the checksum differs.
            wrong = isinstance(error, RuntimeError) and (folder / file).exists()
            reason = "sent something with a wrong checksum, which was thrown away" if wrong else _reason(error)
            reasons.append(f"{mirror.split('/')[2] if '//' in mirror else mirror}: {reason}")
            (folder / file).unlink(missing_ok=True)
    raise _Unreachable("; ".join(reasons))


def _unpack(download_url: Callable, spec: FileSet, folder: Path) -> None:
    """Fetch the archive into ``folder`` and take out of it the files that belong to the set."""
    address, md5 = spec.archive
    base, _, name = address.rpartition("/")
    _fetch(download_url, (base + "/",), name, md5, folder)
    with tarfile.open(folder / name) as archive:
        for member in archive:
            file = Path(member.name).name
            if file in spec.md5 and member.isfile():
                (folder / file).write_bytes(archive.extractfile(member).read())
                if hashlib.md5((folder / file).read_bytes(), usedforsecurity=False).hexdigest() != spec.md5[file]:
                    raise _Unreachable(f"{address}: {file} in it has a wrong checksum")
    (folder / name).unlink()
    if absent := sorted(file for file in spec.md5 if not (folder / file).exists()):
        raise _Unreachable(f"{address} does not hold {', '.join(absent)}")


@contextlib.contextmanager
def _lock(folder: Path, name: str) -> Iterator[None]:
    """Let one process at a time fetch into ``folder``; the system frees the lock when a process is killed."""
    try:
        import fcntl

        handle = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):  # no such locks on this system; os.replace alone keeps the files whole
        yield
        return
    try:
        with contextlib.suppress(OSError):  # some network file systems cannot lock a folder
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print(f"{name}: waiting for another process that writes into {folder}", file=sys.stderr)
                fcntl.flock(handle, fcntl.LOCK_EX)
            for stale in folder.glob(_PARTIAL + "*"):  # left by a process that was killed: nobody else holds the lock
                shutil.rmtree(stale, ignore_errors=True)
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def _partial(folder: Path) -> Iterator[Path]:
    """A new folder inside ``folder``, gone with all it holds at the end."""
    partial = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=folder))
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextlib.contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    """torchvision sets no timeout, and without one a silent server would be waited for without end."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _writable(folder: Path) -> bool:
    there = next(path for path in (folder, *folder.absolute().parents) if os.path.exists(path))
    # The mode is asked too: to root, a folder that was made read-only would look writable.
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK) and bool(there.stat().st_mode & 0o222)


def _either(paths: list[Path]) -> str:
    return " or ".join(str(path) for path in paths)


def _holds(spec: FileSet) -> str:
    first, *others = spec.md5
    return f"holds {spec.folder}/{first} and the {len(others)} files that belong to it"


def _reason(error: BaseException) -> str:
    """The cause in a few words, on one line."""
    cause = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
    return " ".join(str(cause).split()) or type(error).__name__
