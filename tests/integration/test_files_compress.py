"""
Compressors that are killed, refused or many: each line is there once in the end.
"""

from __future__ import annotations

import errno
import gzip
import json
import signal
import subprocess
import sys
from random import Random
from typing import TYPE_CHECKING

import pytest

from chimera_log.files.compress import Compression, Turn, clear, unfinished
from chimera_log.files.names import segment_name
from tests.integration.files_support import (
    ASIDE,
    NAME,
    START,
    run_on_small_disk,
)
from tests.integration.strace import Call, calls_seen, needs_strace, traced
from tests.integration.support import PATIENCE, Done, unmeasured
from tests.integration.test_files_trouble import child

if TYPE_CHECKING:
    from pathlib import Path

SEGMENT = segment_name(NAME, START, 1)
CONTENT = b"".join(b'{"event":"filled","number":%d}\n' % n for n in range(200))
OTHER = b'{"event":"something else"}\n'
PARTIAL = "00" * 8 + ".gz.partial"

# What whoever has the turn does, in many small chunks; tells the error that stops it.
MAINTAIN = f"""
import os, sys
from chimera_log.files import compress
compress.CHUNK = 2_000
directory = sys.argv[1]
folder = os.path.join(directory, {ASIDE!r})

def work():
    for segment in compress.unfinished({NAME!r}, os.listdir(directory)):
        path = os.path.join(directory, segment)
        compression = compress.Compression(path, folder, 0o640)
        while compression.step():
            pass
"""
ELECTED = f"""{MAINTAIN}
os.urandom = bytes  # strace must know the name of the temporary file
turn = compress.Turn(folder)
try:
    assert turn.take()
    compress.clear(folder)
    work()
except OSError as error:
    print(error.errno)
"""
# Anybody at any time, as where there are no locks.
UNELECTED = f"""{MAINTAIN}
compress.Ordinary.try_lock = lambda calls, fd: True
sys.stdin.read()
while compress.unfinished({NAME!r}, os.listdir(directory)):
    work()
"""


class Segment:
    """
    The directory of one full segment.

    Args:
        directory: Made here.
        packed: What its `.gz` holds, if that is there too.
    """

    def __init__(self, directory: Path, packed: bytes | None = None) -> None:
        self.directory = directory
        self.path = directory / SEGMENT
        self.packed = directory / f"{SEGMENT}.gz"
        directory.mkdir()
        self.path.write_bytes(CONTENT)
        if packed is not None:
            self.packed.write_bytes(packed)

    def traced(self, *injections: str) -> Done:
        """Maintain it under strace, which sees our files only."""
        folder = self.directory / ASIDE
        paths = [self.directory, self.path, self.packed, folder]
        paths += [folder / "maintenance", folder / PARTIAL]
        return traced(ELECTED, self.directory, paths, *injections)

    @property
    def partial(self) -> list[str]:
        """The temporary files."""
        folder = self.directory / ASIDE
        return [path.name for path in folder.glob("*") if path.name != "maintenance"]

    def assert_nothing_lost(self) -> None:
        """Assert that the segment is whole, or gone and its `.gz` whole."""
        if self.path.exists():
            assert CONTENT == self.path.read_bytes()
        else:
            assert CONTENT == unpacked(self.packed)

    def assert_finished(self) -> None:
        """Assert that each line is there once, and nothing else."""
        entries = {path.name for path in self.directory.iterdir()}
        assert {self.packed.name, ASIDE} == entries
        assert [] == self.partial
        assert CONTENT == unpacked(self.packed)


def unpacked(path: Path) -> bytes:
    """Return what a `.gz` holds, which `gzip` finds to be in order."""
    done = subprocess.run(["gzip", "-t", path], capture_output=True, check=False)
    assert (0, b"") == (done.returncode, done.stderr)
    return gzip.decompress(path.read_bytes())


# What an earlier death left: nothing, the whole `.gz`, one that a late line outgrew.
BEFORE = {
    "alone": None,
    "both": gzip.compress(CONTENT),
    "outgrown": gzip.compress(CONTENT[: len(CONTENT) // 2]),
}


class TestKilledAtEveryCall:
    """Killed before a certain system call on our files, and maintained again."""

    @needs_strace
    @pytest.mark.parametrize(("before", "nth"), [("alone", 25), ("both", 29)])
    def test_some(self, tmp_path: Path, before: str, nth: int) -> None:
        """
        Before some: each line is there once, and nothing is left lying about.
        """
        calls = calls_of(tmp_path / "plain", BEFORE[before])

        assert len(calls) > 25
        for number, call in enumerate(calls[::nth]):
            crash(tmp_path / str(number), BEFORE[before], call)

    @needs_strace
    @pytest.mark.long
    @pytest.mark.parametrize("before", BEFORE)
    def test_all(self, tmp_path: Path, before: str) -> None:
        """
        The same before every single one.
        """
        calls = calls_of(tmp_path / "plain", BEFORE[before])
        for number, call in enumerate(calls):
            crash(tmp_path / str(number), BEFORE[before], call)

    @needs_strace
    @pytest.mark.parametrize("name", ["rename", "unlink"])
    def test_turning_points(self, tmp_path: Path, name: str) -> None:
        """
        The same before the `.gz` is put in place, and before the segment goes.
        """
        crash(tmp_path / "killed", None, Call(name, 1))


def calls_of(directory: Path, packed: bytes | None) -> list[Call]:
    """Return the system calls on our files that nobody disturbs."""
    segment = Segment(directory, packed)
    assert Done(0, b"", "") == segment.traced()
    segment.assert_finished()
    return calls_seen(segment.directory)


def crash(directory: Path, packed: bytes | None, call: Call) -> None:
    """Kill whoever maintains before *call*, begin again, and look at what is there."""
    segment = Segment(directory, packed)
    done = segment.traced(f"{call.name}:signal=KILL:when={call.number}")
    assert Done(-signal.SIGKILL, b"", "") == done, call
    segment.assert_nothing_lost()

    maintain(directory)
    segment.assert_finished()


def maintain(directory: Path) -> None:
    """Maintain it in a process that nobody disturbs: this one."""
    folder = str(directory / ASIDE)
    turn = Turn(folder)
    assert turn.take()
    clear(folder)
    for name in unfinished(NAME, [path.name for path in directory.iterdir()]):
        compression = Compression(str(directory / name), folder, 0o640)
        while compression.step():
            pass
    turn.release()


class TestFailedCalls:
    """System calls on our files that fail."""

    @needs_strace
    @pytest.mark.parametrize(
        ("name", "error", "when"),
        [
            ("read", "EIO", "7"),
            ("write", "EIO", "1"),
            ("write", "ENOSPC", "1+"),
            ("fsync", "EIO", "2"),
            ("rename", "EACCES", "1+"),
            ("unlink", "EACCES", "1+"),
        ],
    )
    def test_said(self, tmp_path: Path, name: str, error: str, when: str) -> None:
        """
        The cause is told, no temporary file is left, no line is lost or doubled.
        """
        segment = Segment(tmp_path / "failed")
        done = segment.traced(f"{name}:error={error}:when={when}")
        assert Done(0, b"%d\n" % getattr(errno, error), "") == done
        assert CONTENT == segment.path.read_bytes()
        assert [] == segment.partial

        maintain(segment.directory)
        segment.assert_finished()

    @needs_strace
    def test_partial_stays(self, tmp_path: Path) -> None:
        """
        A temporary file that cannot be removed goes the next time.
        """
        segment = Segment(tmp_path / "failed")
        done = segment.traced("fsync:error=EIO:when=1", "unlink:error=EACCES")
        assert Done(0, b"%d\n" % errno.EIO, "") == done
        assert [PARTIAL] == segment.partial

        maintain(segment.directory)
        segment.assert_finished()


# Compresses on a disk that has no room for it, then makes room.
FULL_DISK = f"""{MAINTAIN}
import json
from chimera_log.files.names import segment_name
os.mkdir(directory + "/logs")
directory, disk = directory + "/logs", directory
folder = os.path.join(directory, {ASIDE!r})
content = os.urandom(600_000)
path = os.path.join(directory, {SEGMENT!r})
with open(path, "wb") as file:
    file.write(content)
with open(disk + "/ballast", "wb") as file:
    file.write(bytes(300_000))
try:
    work()
except OSError as error:
    code = error.errno
left = os.listdir(folder)
with open(path, "rb") as file:
    same = file.read() == content
os.unlink(disk + "/ballast")
work()
import gzip
with gzip.open(path + ".gz") as file:
    again = file.read() == content
print(json.dumps([code, left, same, again, sorted(os.listdir(directory))]))
"""


def test_full_disk(tmp_path: Path) -> None:
    """
    On a full disk the temporary file goes at once, the segment stays; later it fits.
    """
    done = run_on_small_disk(tmp_path, "1280k", FULL_DISK, "disk")
    assert (0, b"") == (done.returncode, done.stderr)
    expected = [errno.ENOSPC, [], True, True, [ASIDE, f"{SEGMENT}.gz"]]

    assert expected == json.loads(done.stdout)


def test_many_at_once(tmp_path: Path) -> None:
    """
    Several processes without locks and election on the same segments lose nothing.
    """
    random = Random(7)  # noqa: S311  no secret
    contents = {
        segment_name(NAME, START, number): random.randbytes(random.randrange(9_000))
        for number in range(1, 21)
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    command = [sys.executable, "-c", UNELECTED, str(tmp_path)]
    group = [
        subprocess.Popen(
            command,
            env=unmeasured(tmp_path),
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(3)
    ]
    for process in group:
        assert process.stdin
        process.stdin.close()
        process.stdin = None  # not for communicate() to flush
    said = [process.communicate(timeout=PATIENCE)[1] for process in group]

    assert [b"", b"", b""] == said
    found = {
        path.name.removesuffix(".gz"): unpacked(path) for path in tmp_path.glob("bot*")
    }
    assert contents == found
    assert [] == list((tmp_path / ASIDE).iterdir())


def test_turn_of_the_dead(tmp_path: Path) -> None:
    """
    Who is killed in its turn leaves it to the next.
    """
    script = f"""{MAINTAIN}
turn = compress.Turn(folder)
print(turn.take(), flush=True)
sys.stdin.read()
"""
    turn = Turn(str(tmp_path / ASIDE))
    with child(script, tmp_path, str(tmp_path)) as process:
        assert process.stdout
        assert b"True\n" == process.stdout.readline()
        assert not turn.take()
        process.kill()
        process.wait(PATIENCE)
        assert turn.take()
    turn.release()
