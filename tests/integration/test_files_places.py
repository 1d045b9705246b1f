"""
Files where others have a say: directories of another user, and Windows.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.files_support import ASIDE, HANDLER, NAME, files, written
from tests.integration.support import PATIENCE, environment, run_python

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVICE = 65_534  # nobody, and his group
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

# A master that root started, and workers that give up its rights.
MASTER = f"""{HANDLER}
import json
count = 500
handler = handler_for(sys.argv[1])
log(handler, 0, 0)

def start(work):
    receiver, sender = os.pipe()
    child = os.fork()
    if not child:
        os.setgroups([])
        os.setgid({SERVICE})
        os.setuid({SERVICE})
        found = work()
        handler._file().at_exit()
        os.write(sender, json.dumps(found).encode())
        os._exit(0)
    os.close(sender)
    return receiver

def end(receiver):
    found = json.loads(os.read(receiver, 10_000))
    os.close(receiver)
    os.wait()
    return found

def work(writer, first=0):
    for number in range(first, count):
        log(handler, writer, number)
    return handler.statistics()[:6]
"""
TOGETHER = f"""{MASTER}
workers = [start(lambda: work(writer)) for writer in (1, 2)]
found = [work(0, 1), *map(end, workers)]
handler.close()
print(json.dumps(found))
"""
# The worker comes first, and cannot rotate; the master can.
WORKER_FIRST = f"""{MASTER}
found = [end(start(lambda: work(1)))]
log(handler, 0, 1)
handler.close()
print(json.dumps(found))
"""
# The master rotates, and the worker cannot open the new file.
MASTER_FIRST = f"""{MASTER}
ready, tell_ready = os.pipe()
rotated, tell_rotated = os.pipe()
def late():
    os.write(tell_ready, b"!")
    os.read(rotated, 1)
    log(handler, 1, 0)
    return handler.statistics()[:6]
worker = start(late)
os.read(ready, 1)
handler.doRollover()
os.write(tell_rotated, b"!")
print(json.dumps([end(worker)]))
handler.close()
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a directory that everybody may look into."""
    with tempfile.TemporaryDirectory() as name:
        made = Path(name)
        made.chmod(0o755)
        yield made


def run(script: str, folder: Path) -> tuple[list[list[int]], list[str]]:
    """Return what the processes of *script* counted, and what they said."""
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)],
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    return json.loads(done.stdout), done.stderr.decode().splitlines()


class TestRootAndWorkers:
    """A master that is root, and workers that are not."""

    @needs_root
    def test_directory_of_the_service(self, folder: Path) -> None:
        """
        All of them write and rotate, nothing is lost, and every file belongs to
        the service.
        """
        os.chown(folder, SERVICE, SERVICE)
        counts, said = run(TOGETHER, folder)

        assert [] == said
        assert {writer: list(range(500)) for writer in range(3)} == written(folder)
        assert [500] * 3 == [written for written, *_ in counts]
        assert all(rotations >= 1 for _, _, rotations, *_ in counts)
        owners = {
            (found.st_uid, found.st_gid)
            for found in map(Path.stat, [*folder.rglob("*"), folder / ASIDE])
        }
        assert {(SERVICE, SERVICE)} == owners

    @needs_root
    def test_directory_made_by_root(self, folder: Path) -> None:
        """
        The same where root made the last directories of the path.
        """
        os.chown(folder, SERVICE, SERVICE)
        logs = folder / "a" / "logs"
        _, said = run(TOGETHER.replace("sys.argv[1]", repr(str(logs))), folder)

        assert [] == said
        assert {writer: list(range(500)) for writer in range(3)} == written(logs)
        assert {SERVICE} == {found.stat().st_uid for found in folder.rglob("*")}

    @needs_root
    def test_directory_of_root(self, folder: Path) -> None:
        """
        A worker that may not rename writes on, beyond the file's size, and says so
        once; nothing is lost.
        """
        ((count, _, rotations, *_),), said = run(WORKER_FIRST, folder)

        (line,) = said
        assert "cannot rotate, writing on: [Errno 13] Permission denied" in line
        assert (500, 0) == (count, rotations)
        assert {0: [0, 1], 1: list(range(500))} == written(folder)
        grown, active = files(folder)
        assert grown.stat().st_size > 100_000
        assert 0 == active.stat().st_uid

    @needs_root
    def test_rotated_by_root(self, folder: Path) -> None:
        """
        A worker that may not open the new file says so, and how much it lost.
        """
        ((count, *_, waiting, dropped),), said = run(MASTER_FIRST, folder)

        assert (0, 1, 0) == (count, waiting, dropped)
        first, second = said
        assert "cannot write, will try again: [Errno 13] Permission denied" in first
        assert "1 records could not be written; lost" in second
        assert {0: [0]} == written(folder)


# What Windows lacks, and what it does otherwise: no open file is renamed there,
# and line feeds are doubled in files that were not opened as binary.
WINDOWS = f"""
import json, logging.handlers, os, re, string, sys, tempfile, threading, weakref
O_BINARY = os.O_BINARY = 0x8000  # means large files here, which all are
sys.platform = "win32"
sys.modules["fcntl"] = None
for name in (
    *("O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "fchmod", "fchown", "fork"),
    *("geteuid", "getuid", "pread", "register_at_fork"),
):
    delattr(os, name)
opening, renaming = os.open, os.rename
def open_binary(path, flags, *mode):
    assert flags & O_BINARY
    return opening(path, flags, *mode)
def rename(old, new):
    for entry in os.listdir("/proc/self/fd"):
        if os.path.realpath("/proc/self/fd/" + entry) == os.path.realpath(old):
            raise PermissionError(32, "in use by another process")
    renaming(old, new)
os.open, os.rename = open_binary, rename
{HANDLER}
with open("{NAME}", "w") as file:
    file.write("half")
handler = handler_for(".")
for number in range(300):
    log(handler, 0, number)
def refuse(*names):
    raise PermissionError(13, "refused")
os.rename = refuse
for number in range(300, 400):
    log(handler, 0, number)
os.rename = rename
handler.doRollover()
for number in range(400, 410):
    log(handler, 0, number)
handler.close()
print(json.dumps(handler.statistics()[:6]))
"""


def test_windows(tmp_path: Path) -> None:
    """
    Where POSIX is missing, the package is imported, and one writer's file grows,
    rotates and is mended; a file that cannot be renamed is written on.
    """
    done = run_python(WINDOWS, tmp_path)
    assert 0 == done.code, done.stderr

    assert {0: list(range(410))} == written(tmp_path)
    count, _, rotations, _, waiting, dropped = json.loads(done.stdout)
    assert (410, 0, 0) == (count, waiting, dropped)
    assert len(files(tmp_path)) == rotations + 1 > 5
    assert b"half\n" == (tmp_path / ASIDE / "fragments").read_bytes()
    repaired, refused = done.stderr.splitlines()
    assert "left 4 bytes of a line; put aside" in repaired
    assert "cannot rotate, writing on: [Errno 13] refused" in refused
