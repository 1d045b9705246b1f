"""
Files in trouble: a full disk, logrotate, append-only files, stopped and forked
siblings.  No record is lost, doubled or torn, and the service goes on.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from chimera_log.audit.verify import verify
from tests.integration.files_support import (
    HANDLER,
    NAME,
    append_only,
    files,
    handler_for,
    log,
    run_on_small_disk,
    written,
    written_to,
)
from tests.integration.support import (
    PATIENCE,
    Done,
    lines_of,
    parsed,
    run_python,
    unmeasured,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

# Fills a small disk, copies what is there, makes room, and copies it again.
FULL_DISK = f"""{HANDLER}
import json, shutil
size, options = int(sys.argv[1]), json.loads(sys.argv[2])
with open("disk/ballast", "wb") as ballast:
    ballast.write(bytes(shutil.disk_usage("disk").free - 300_000))
handler = handler_for("disk", maxBytes=150_000, **options)
def copy(name):
    with handler._file()._lock:  # a thread tries again, and cuts off what it wrote
        shutil.copytree("disk", name, ignore=shutil.ignore_patterns("ballast"))
number = 0
while not handler.statistics().waiting:
    log(handler, 0, number, size)
    number += 1
first = number - 1  # the first that was not acknowledged
copy("edge")
for number in range(number, number + 300):
    log(handler, 0, number, size)
copy("full")
before = handler.statistics()
os.unlink("disk/ballast")
log(handler, 0, number + 1, size)
after = handler.statistics()
for number in range(number + 2, number + 22):
    log(handler, 0, number, size)
copy("freed")
print(json.dumps([first, number + 1, before.waiting, after.waiting, after.dropped]))
"""

# Fills a small disk with a trail, and tells when that was so, and when it was over.
RESERVE = f"""{HANDLER}
import json, shutil
handler = handler_for(
    "disk", "AuditFileHandler", maxBytes=0, reserve_bytes=500_000, keep_gil="never"
)
log(handler, 0, 0)
reserve = "disk/.{NAME}.d/reserve"
while not (os.path.exists(reserve) and os.path.getsize(reserve) == 500_000):
    time.sleep(0.01)
with open("disk/ballast", "wb") as ballast:
    ballast.write(bytes(shutil.disk_usage("disk").free - 100_000))
number = full = 0
while not handler.statistics().waiting:
    number += 1
    log(handler, 0, number)
    if not full and not os.path.exists(reserve):
        full = number
print(json.dumps([full, number, shutil.disk_usage("disk").free]))
"""


@contextmanager
def child(
    script: str, directory: Path, *arguments: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run *script* beside the test, and see to its end."""
    process = subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        cwd=directory,
        env=unmeasured(directory),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE)


class TestFullDisk:
    """A disk that is full, and later is not."""

    @pytest.mark.parametrize("size", [300, 6_000, 70_000])
    @pytest.mark.parametrize(
        "options",
        [{}, {"handler": "AuditFileHandler", "reserve_bytes": 0}],
        ids=["file", "trail"],
    )
    def test_full_and_freed(
        self, tmp_path: Path, size: int, options: dict[str, Any]
    ) -> None:
        """
        No half line, what was acknowledged is there, and the rest follows in order.
        """
        arguments = str(size), json.dumps(options)
        done = run_on_small_disk(tmp_path, "32m", FULL_DISK, *arguments)
        assert 0 == done.returncode, done.stderr
        first, last, waited, waiting, dropped = json.loads(done.stdout)

        assert {0: list(range(first))} == written(tmp_path / "edge")
        assert {0: list(range(first))} == written(tmp_path / "full")
        assert {0: list(range(last))} == written(tmp_path / "freed")
        assert (301, 0, 0) == (waited, waiting, dropped)
        said = done.stderr.decode().splitlines()
        assert 1 <= len(said) <= 4
        assert all(line.startswith("chimera_log: ") for line in said)
        if options:
            assert verify(str(tmp_path / "freed" / NAME)).bad is None

    def test_reserve(self, tmp_path: Path) -> None:
        """
        A trail goes on for as long as the space lasts that it had set aside.
        """
        done = run_on_small_disk(tmp_path, "32m", RESERVE)
        assert 0 == done.returncode, done.stderr
        full, first, free = json.loads(done.stdout)

        assert (first - full) * 550 > 0.8 * 500_000
        assert free < 4_096
        assert "the disk is full; its reserve is given back" in done.stderr.decode()


class TestLogrotate:
    """A file that is renamed from outside, as logrotate's ``create`` does."""

    def test_create(self, tmp_path: Path) -> None:
        """
        25 times while 20,000 records are logged: none is lost, and order is kept.
        """
        count, times = 20_000, 25
        script = f"""{HANDLER}
handler = handler_for(".", maxBytes=0)
for number in range({count}):
    log(handler, 0, number)
"""
        active, moved = tmp_path / NAME, []
        with child(script, tmp_path) as process:
            for time_ in range(times):
                wait_until_size(active, 200_000)
                moved.append(tmp_path / f"{NAME}.{time_ + 1}")
                active.rename(moved[-1])
                active.touch(0o640)
            said = process.communicate(timeout=PATIENCE)

        assert (b"", b"") == said
        assert {0: list(range(count))} == written_to([*moved, active])

    def test_copytruncate(self, tmp_path: Path) -> None:
        """
        25 times, as its ``copytruncate`` does: each is told, and counted; what was
        written between copy and truncation is lost, and nothing else is harmed.
        """
        count, times = 20_000, 25
        script = f"""{HANDLER}
handler = handler_for(".", maxBytes=0)
for number in range({count}):
    log(handler, 0, number)
handler.close()
"""
        active, copied = tmp_path / NAME, b""
        with child(script, tmp_path) as process:
            for _ in range(times):
                wait_until_size(active, 100_000)
                # A copy made in the midst of a write may end with half a line.
                copied += active.read_bytes().rpartition(b"\n")[0] + b"\n"
                os.truncate(active, 0)
            out, said = process.communicate(timeout=PATIENCE)
        found = [
            line["context"]["number"]
            for line in parsed(lines_of(copied + active.read_bytes()))
        ]

        assert sorted(set(found)) == found
        assert count - 1 == found[-1]
        assert b"" == out
        first, rest = said.decode().splitlines()
        assert re.search(
            r"cut it from \d+ to \d+ bytes \(copytruncate\?\); lines", first
        )
        assert rest.endswith(f": cut: {times - 1} more not shown")


def wait_until_size(path: Path, size: int) -> None:
    """Wait until the file at *path* has *size* bytes, looking often."""
    deadline = time.monotonic() + PATIENCE
    while not path.exists() or path.stat().st_size < size:
        assert time.monotonic() < deadline, f"{path} does not grow"
        time.sleep(0.001)


class TestAppendOnly:
    """What an administrator protected with ``chattr +a``."""

    @pytest.mark.parametrize("protected", [NAME, "."], ids=["file", "folder"])
    def test_rotation_refused(self, tmp_path: Path, protected: str) -> None:
        """
        The file cannot be renamed: it grows beyond its size, and nothing is lost.
        """
        folder = tmp_path / "logs"
        with closing(handler_for(folder, maxBytes=150_000)) as handler:
            log(handler, 0, 0)
            with append_only(folder / protected):
                log(handler, 0, *range(1, 2_000))
                counts = handler.statistics()

        assert {0: list(range(2_000))} == written(folder)
        assert (2_000, 0, 0, 0) == counts[:1] + counts[2:3] + counts[4:6]
        assert (folder / NAME).stat().st_size > 2 * 150_000
        assert 1 == len(files(folder))

    def test_half_line(self, tmp_path: Path) -> None:
        """
        A half line that cannot be cut off is ended: it spoils no line but itself.
        """
        with closing(handler_for(tmp_path)) as handler:
            log(handler, 0, 0)
            with (tmp_path / NAME).open("ab") as file:
                file.write(b'{"half')
            with append_only(tmp_path / NAME):
                log(handler, 0, 1)

        first, half, second = lines_of(tmp_path / NAME)
        assert b'{"half' == half
        assert [0, 1] == [
            json.loads(line)["context"]["number"] for line in (first, second)
        ]


# Stops itself with the lock in its hands, at the third record.
STOPPING = f"""{HANDLER}
import signal
from chimera_log.files.segments import Segments
number, write = 0, Segments._write
def stopping(*args, **kwargs):
    if number == 2:
        os.kill(os.getpid(), signal.SIGSTOP)
    return write(*args, **kwargs)
Segments._write = stopping
handler = handler_for(".")
for number in range(200):
    log(handler, 1, number, 20_000)
"""


class TestStopped:
    """A sibling that was stopped (SIGSTOP) with the lock in its hands."""

    def test_others_go_on(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """
        One record waits a second, the next ones not; no line is lost or glued.
        """
        handler = handler_for(tmp_path)
        with child(STOPPING, tmp_path) as process:
            os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
            start = time.monotonic()
            log(handler, 0, 0)
            waited = time.monotonic() - start
            log(handler, 0, *range(1, 100))
            in_all = time.monotonic() - start
            unlocked = handler.statistics().unlocked
            process.send_signal(signal.SIGCONT)
            log(handler, 0, *range(100, 300))
            said = process.communicate(timeout=PATIENCE)
        log(handler, 0, 300)
        handler.close()

        # Had each waited, it would have taken 100 seconds.
        assert 0.9 < waited < 10.0
        assert in_all < 20.0
        assert 100 == unlocked
        assert (b"", b"") == said
        assert {0: list(range(301)), 1: list(range(200))} == written(tmp_path)
        (line,) = capsys.readouterr().err.splitlines()
        assert "another process holds it" in line

    @pytest.mark.parametrize("count", [50, pytest.param(150, marks=pytest.mark.long)])
    def test_impatient_siblings(self, tmp_path: Path, count: int) -> None:
        """
        Who writes without the lock is not taken for dead in the middle of a line.
        """
        size = 200_000
        script = f"""{HANDLER}
handler = handler_for(".", maxBytes=0)
writer = int(sys.argv[1])
if writer % 2:
    handler._file()._impatient_until = float("inf")
print(flush=True)
input()
for number in range({count}):
    log(handler, writer, number, {size})
"""
        with ExitStack() as stack:
            group = [
                stack.enter_context(child(script, tmp_path, str(writer)))
                for writer in range(4)
            ]
            for process in group:
                assert process.stdout is not None
                process.stdout.readline()  # it is ready
            for process in group:
                assert process.stdin is not None
                process.stdin.write(b"go\n")
                process.stdin.flush()
            said = [process.communicate(timeout=PATIENCE) for process in group]

        assert [(b"", b"")] * 4 == said
        expected = {writer: list(range(count)) for writer in range(4)}
        assert expected == written(tmp_path)


class TestForked:
    """Children that inherited the file."""

    def test_idle_child(self, tmp_path: Path) -> None:
        """
        A child forked while the lock was held does not keep it from others.
        """
        script = f"""{HANDLER}
import signal
from chimera_log.files.segments import Segments
write = Segments._write
def forking(*args, **kwargs):
    child = os.fork()
    if not child:
        os.write(1, b"%d\\n" % os.getpid())
        signal.pause()
    time.sleep(60)
Segments._write = forking
log(handler_for("."), 1, 0)
"""
        with child(script, tmp_path) as process:
            assert process.stdout is not None
            idle = int(process.stdout.readline())
            try:
                process.kill()
                process.wait(PATIENCE)
                handler = handler_for(tmp_path)
                log(handler, 0, 0, 1)
                counts = handler.statistics()
                handler.close()
            finally:
                os.kill(idle, signal.SIGKILL)

        assert (2, 0) == (counts.written, counts.unlocked)
        assert {0: [0, 1]} == written(tmp_path)

    def test_amid_traffic(self, tmp_path: Path) -> None:
        """
        Forked while two threads log: four children and the parent lose nothing.
        """
        script = f"""{HANDLER}
import threading
handler = handler_for(".")
def write(writer):
    for number in range(1_000):
        log(handler, writer, number)
threads = [threading.Thread(target=write, args=[writer]) for writer in (0, 1)]
for thread in threads:
    thread.start()
children = []
for writer in range(2, 6):
    time.sleep(0.01)
    child = os.fork()
    if not child:
        write(writer)
        os._exit(0)
    children.append(child)
for thread in threads:
    thread.join()
sys.exit(any(os.waitpid(child, 0)[1] for child in children))
"""
        done = run_python(
            f"import warnings\nwarnings.simplefilter('ignore')\n{script}", tmp_path
        )

        assert Done(0, b"", "") == done
        expected = {writer: list(range(1_000)) for writer in range(6)}
        assert expected == written(tmp_path)
        assert len(files(tmp_path)) > 10
