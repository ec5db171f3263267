"""A PostgreSQL server of the tests' own: in a temporary folder, on a socket there, gone afterwards."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

PASSWORD = "correct-horse"


def binaries() -> Path | None:
    """The folder of the newest server on this machine."""
    on_path = shutil.which("initdb")
    folders = [Path(on_path).resolve().parent] if on_path else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    return next((folder for folder in folders if (folder / "postgres").exists()), None)


@contextlib.contextmanager
def server() -> Iterator[str]:
    """The URL of a new server, up to the database's name. Skips where there is no server or no driver."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'dlcourse[postgresql]'")
    folder = binaries()
    if folder is None:
        pytest.skip("PostgreSQL is not on this machine (apt-get install postgresql)")
    home = Path(tempfile.mkdtemp(prefix="dlcourse-pg"))
    who = {}
    if os.getuid() == 0:  # postgres refuses to run as root
        account = next(pwd.getpwnam(name) for name in ("postgres", "nobody") if _exists(name))
        os.chown(home, account.pw_uid, account.pw_gid)
        who = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    try:
        (home / "password").write_text(PASSWORD)
        made = [folder / "initdb", "-D", home / "data", "-U", "grader", "-A", "scram-sha-256", "-E", "UTF8"]
        made += [f"--pwfile={home / 'password'}", "--locale=C", "--no-sync"]
        subprocess.run(made, check=True, capture_output=True, cwd=home, **who)
        command = [folder / "postgres", "-D", home / "data", "-k", home, "-c", "listen_addresses=", "-c", "fsync=off"]
        with open(home / "log", "wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=home, **who)
        try:
            until = time.monotonic() + 60
            while b"ready to accept connections" not in (home / "log").read_bytes():
                assert process.poll() is None and time.monotonic() < until, (home / "log").read_text()
                time.sleep(0.05)
            yield f"postgresql+psycopg://grader:{PASSWORD}@/{{}}?host={home}"
        finally:
            process.send_signal(signal.SIGINT)  # at once; SIGTERM would wait for connections that a pool keeps
            process.wait(60)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _exists(name: str) -> bool:
    with contextlib.suppress(KeyError):
        return bool(pwd.getpwnam(name))
    return False
