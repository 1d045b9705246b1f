"""
A real PostgreSQL server for tests, on a free port, as another user than root.

- `running`: a server that ends with the test run, in a folder of its own.
- `Postgres`: that server; `database` makes a fresh one, `stop` and `start` are an
  outage.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 60.0  # seconds for a start; far beyond what one takes
OWNER = "owner"  # the server's superuser
_USER = "postgres"  # whom root runs it as; Debian's package makes it


class Postgres:
    """
    A server, started and stopped at will.

    Args:
        programs: Where initdb and postgres are.
        folder: For its files.
        user: Whom it runs as; ``None``: us.
    """

    def __init__(self, programs: Path, folder: Path, user: str | None) -> None:
        self._programs = programs
        self._data = folder / "data"
        self._as: dict[str, Any] = (
            {}
            if user is None
            else {
                "user": user,
                "group": pwd.getpwnam(user).pw_gid,
                "extra_groups": [],
                "cwd": folder,
            }
        )
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0
        subprocess.run(
            [
                *(programs / "initdb", "-D", self._data, "-U", OWNER, "-A", "trust"),
                *("--no-sync", "-E", "UTF8", "--locale=C", "--no-instructions"),
            ],
            check=True,
            capture_output=True,
            **self._as,
        )

    def url(self, name: str, user: str = OWNER) -> str:
        """Return the URL of database *name*."""
        return f"postgresql://{user}:geheim@127.0.0.1:{self.port}/{name}"

    def database(self) -> str:
        """Make a database; return its URL, as the server's superuser."""
        import psycopg

        self._databases += 1
        name = f"test{self._databases}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload, unused-ignore]
        return self.url(name)

    def start(self) -> None:
        """Start it; return when it answers."""
        self._process = subprocess.Popen(
            [
                *(self._programs / "postgres", "-D", self._data, "-F"),
                *("-h", "127.0.0.1", "-p", str(self.port), "-k", self._data),
                *("-c", "shared_buffers=32MB", "-c", "logging_collector=off"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **self._as,
        )
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            assert self._process.poll() is None, "the server ended"
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop it at once, as a crash does."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGQUIT)
            process.wait(PATIENCE)

    def _answers(self) -> bool:
        import psycopg

        with suppress(psycopg.OperationalError):
            psycopg.connect(self.url("postgres"), connect_timeout=2).close()
            return True
        return False


@contextmanager
def running() -> Iterator[Postgres]:
    """
    Run a server.

    The test is skipped where there is none to run.
    """
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL's server is not installed: apt-get install postgresql")
    user = _USER if os.getuid() == 0 else None
    if user:
        try:
            pwd.getpwnam(user)
        except KeyError:
            pytest.skip(f"PostgreSQL refuses root, and there is no user {user}")
    folder = Path(tempfile.mkdtemp(prefix="postgres"))
    try:
        if user:
            shutil.chown(folder, user)
        server = Postgres(programs, folder, user)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path | None:
    """Return where PostgreSQL's programs are, the newest ones, if anywhere."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    debian = [
        path.parent
        for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")
        if (path.parent / "postgres").exists()
    ]
    return max(debian, key=lambda path: int(path.parent.name), default=None)
