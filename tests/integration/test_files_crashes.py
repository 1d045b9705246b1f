"""
Writers that are killed or refused: no record lost, corrupt or doubled, ever.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from chimera_log.audit.verify import NOT_ANCHORED, verify
from chimera_log.files.names import segment_name
from tests.integration.files_support import (
    ASIDE,
    HANDLER,
    NAME,
    START,
    files,
    records_in,
    writers,
    written,
)
from tests.integration.strace import Call, calls_seen, needs_strace, traced
from tests.integration.support import PATIENCE, Done, unmeasured, wait_until

if TYPE_CHECKING:
    from pathlib import Path

# Logs a few records, telling the number of each when it is acknowledged, and does
# after each what is the threads' work: DIRECTORY WRITER COUNT OPTIONS.
FEW = f"""{HANDLER}
import itertools, json
from chimera_log.files import engines
from chimera_log.files.policy import Threads
engines._threads = Threads()
directory, writer, count, options = sys.argv[1], *map(json.loads, sys.argv[2:])
if writer == 0:  # strace must know the names of the temporary files
    names = itertools.count()
    os.urandom = lambda length: next(names).to_bytes(length, "big")
handler = handler_for(directory, **options)
for number in range(count):
    log(handler, writer, number)
    os.write(1, b"%d\\n" % number)
    segments = handler._file()
    segments.sync_due(time.monotonic())
    while segments.maintain() == 0:
        pass
"""
RECORDS = 10
MAX_BYTES = 1_300  # four records: 10 of them rotate twice, and so do the next 10
# What a dead writer left: a line, and half of another.
LEFT = b'{"timestamp":"2025-10-27T08:38:00Z","context":{"writer":9,"number":0}}\n'
HALF = b'{"ti'
# What one life may say on stderr: of six kinds of trouble, and how often each came.
MOST_LINES = 2 * 6
SMALL, LARGE = 200_000, 1_000_000  # bytes of a file that the killed fill
KEPT = {"maxBytes": MAX_BYTES, "backupCount": 1_000}
TRAIL = {"handler": "AuditFileHandler", "reserve_bytes": 4_096}
# How a writer may be configured.
LIVES: dict[str, dict[str, Any]] = {
    "plain": {**KEPT, "sync": "rotate"},
    "gzip": {**KEPT, "compression": "gzip", "sync": "interval", "sync_interval": 0},
    "pruned": {**KEPT, "compression": "gzip", "sync": "always", "backupCount": 1},
    "trail": {**KEPT, "compression": "gzip", "sync": "always", **TRAIL},
}
# What its full files are called: each record is a second later than the last.
FULL = [segment_name(NAME, START + 4 * number, number + 1) for number in range(2)]
# Those of a trail, whose lines are twice as long; the first one is from before it.
FULL_OF_TRAIL = [
    segment_name(NAME, START, 1),
    *(segment_name(NAME, START + 2 * number, number + 2) for number in range(5)),
]


def start_again(directory: Path, writer: int, options: dict[str, Any]) -> None:
    """Log, and do the threads' work, in a process that nobody disturbs."""
    arguments = [str(writer), str(RECORDS), json.dumps(options)]
    done = subprocess.run(
        [sys.executable, "-c", FEW, directory, *arguments],
        cwd=directory,
        env=unmeasured(directory),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (0, []) == (done.returncode, other_lines(done.stderr.decode()))
    assert RECORDS == len(done.stdout.splitlines())


def other_lines(stderr: str) -> list[str]:
    """Return what was said besides that a dead writer's half line was put aside."""
    lines = stderr.splitlines()
    return [line for line in lines if "a killed writer left" not in line]


def assert_tidy(directory: Path, options: dict[str, Any]) -> None:
    """Assert that all is there that belongs there, in one form, and nothing else."""
    found = files(directory)
    # Where nothing was rotated there is no hidden folder.
    assert {path.name for path in found} == {
        path.name for path in directory.iterdir() if path.name != ASIDE
    }
    full = [path.name for path in found[:-1]]
    packed = options.get("compression") == "gzip"
    assert [] == [name for name in full if name.endswith(".gz") != packed]
    left = {path.name for path in (directory / ASIDE).glob("*")}
    if "handler" in options:
        assert_whole(directory)
        sealed = {f"{name.removesuffix('.gz')}.manifest" for name in full}
        assert sealed == {name for name in left if name.endswith(".manifest")}
        assert {0o440} == {path.stat().st_mode & 0o777 for path in found[:-1]}
        left -= {*sealed, "reserve"}
    assert left <= {"number", "fragments", "maintenance"}
    if options["backupCount"] < RECORDS:
        assert options["backupCount"] == len(full)


def assert_whole(directory: Path) -> None:
    """Assert that nothing is missing from a trail, nor changed, though nobody says so."""
    report = verify(str(directory / NAME))
    assert report.bad is None
    assert NOT_ANCHORED == report.code


class TestKilled:
    """Killed at any moment, while its threads sync and compress; and started again."""

    @pytest.mark.parametrize(
        ("count", "kills", "size"),
        [(1, 6, 300), (4, 5, 20_000), (8, 3, 300)],
    )
    def test_some(self, tmp_path: Path, count: int, kills: int, size: int) -> None:
        """
        What the killed and the living had acknowledged is there, whole and once.
        """
        kill_and_restart(tmp_path, count, kills, size, maxBytes=SMALL)

    @pytest.mark.parametrize(("count", "size"), [(4, 300), (1, 20_000)])
    def test_queued(self, tmp_path: Path, count: int, size: int) -> None:
        """
        What waited in a queue is lost; what is there is whole, in order and once.
        """
        kill_and_restart(tmp_path, count, 3, size, writer="thread", maxBytes=SMALL)

    @pytest.mark.parametrize(("count", "kills", "size"), [(4, 3, 300), (1, 3, 20_000)])
    def test_trail(self, tmp_path: Path, count: int, kills: int, size: int) -> None:
        """
        The same for a trail, whose chain is whole afterwards.
        """
        kill_and_restart(tmp_path, count, kills, size, maxBytes=SMALL, **TRAIL)

    @pytest.mark.long
    @pytest.mark.parametrize("size", [300, 20_000])
    @pytest.mark.parametrize("count", [1, 4, 8])
    def test_many_of_trails(self, tmp_path: Path, count: int, size: int) -> None:
        """
        The same for 200 kills.
        """
        kill_and_restart(tmp_path, count, 34, size, maxBytes=LARGE, **TRAIL)

    @pytest.mark.long
    @pytest.mark.parametrize("writer", ["caller", "thread"])
    @pytest.mark.parametrize("size", [300, 20_000])
    @pytest.mark.parametrize("count", [1, 4, 8])
    def test_many(self, tmp_path: Path, count: int, size: int, writer: str) -> None:
        """
        The same for 200 kills of each writer.
        """
        kill_and_restart(tmp_path, count, 34, size, writer=writer, maxBytes=LARGE)


def kill_and_restart(
    directory: Path, count: int, kills: int, size: int, **more: Any
) -> None:
    """Kill one of *count* writers, *kills* times; then look at what they wrote."""
    random = Random(count * size)  # noqa: S311  no secret
    options = {"compression": "gzip", "sync": "interval", **more}
    is_queued = options.get("writer") == "thread"
    full = options["maxBytes"] // size  # records
    with writers(directory, size, **options) as group:
        alive = [group.start() for _ in range(count)]
        for _ in range(kills):
            victim = alive.pop(random.randrange(count))
            wait_until(lambda: victim in group.acknowledged, "a record")  # noqa: B023  called at once
            time.sleep(random.uniform(0.0, 0.1))
            group.kill(victim)
            alive.append(group.start())
        wait_until(lambda: group.acknowledged.get(alive[-1], 0) > full, "a full file")
    last = count + kills
    again = {**KEPT, **options}
    again.pop("writer", None)  # at the end all of it is to be there
    start_again(directory, last, again)

    assert_tidy(directory, again)
    found = written(directory)
    assert list(range(RECORDS)) == found.pop(last)
    for number, acknowledged in group.acknowledged.items():
        numbers = found.pop(number, [])
        assert list(range(len(numbers))) == numbers
        if not is_queued:
            # One record may have been written and not been told, and those that waited.
            assert 0 <= len(numbers) - acknowledged <= 1 + group.waiting[number]
    assert all(numbers == [0] for numbers in found.values())
    assert is_queued or len(files(directory)) > 1


class TestKilledAtEveryCall:
    """Killed before a certain system call on our files, and started again."""

    @needs_strace
    @pytest.mark.parametrize("life", LIVES)
    def test_some(self, tmp_path: Path, life: str) -> None:
        """
        Before some: nothing is lost, doubled, corrupt or left lying about.
        """
        calls = calls_of(tmp_path / "plain", life)

        assert len(calls) > 150
        for number, call in enumerate(calls[5 :: max(61, len(calls) // 5)]):
            crash(tmp_path / str(number), call, life)

    @needs_strace
    @pytest.mark.parametrize("life", ["pruned"])
    def test_turning_points(self, tmp_path: Path, life: str) -> None:
        """
        The same before each of those that change names.
        """
        calls = calls_of(tmp_path / "plain", life)
        changes = [call for call in calls if call.name in {"rename", "unlink"}]

        assert 2 * 2 + 2 + 1 == len(changes)
        for number, call in enumerate(changes):
            crash(tmp_path / str(number), call, life)

    @needs_strace
    @pytest.mark.long
    @pytest.mark.parametrize("life", LIVES)
    def test_all(self, tmp_path: Path, life: str) -> None:
        """
        The same before every single one.
        """
        for number, call in enumerate(calls_of(tmp_path / "plain", life)):
            crash(tmp_path / str(number), call, life)


def test_left_by_the_dead(tmp_path: Path) -> None:
    """
    A dead compressor's temporary file goes, though nothing is left to compress.
    """
    (tmp_path / ASIDE).mkdir()
    (tmp_path / ASIDE / f"{'00' * 8}.gz.partial").touch()
    start_again(tmp_path, 1, LIVES["plain"])

    assert_tidy(tmp_path, LIVES["plain"])


def crash(directory: Path, call: Call, life: str) -> None:
    """Kill a writer before *call*, start again, and look at what is there."""
    injection = f"{call.name}:signal=KILL:when={call.number}"
    done = traced_writer(directory, life, injection)
    assert (-signal.SIGKILL, []) == (done.code, other_lines(done.stderr)), call
    acknowledged = len(done.stdout.splitlines())

    start_again(directory, 1, LIVES[life])

    assert_tidy(directory, LIVES[life])
    # One record may have been written and not been told.
    expected = [whole(acknowledged), whole(acknowledged + 1)]
    found = records_in(files(directory))
    if life == "pruned":
        expected = [records[-len(found) :] for records in expected]
        assert len(found) >= MAX_BYTES // 300
    assert found in expected, call


def whole(acknowledged: int) -> list[tuple[int, int]]:
    """Return all records: what was left, what the killed wrote, what the next did."""
    killed = [(0, number) for number in range(acknowledged)]
    return [(9, 0), *killed, *((1, number) for number in range(RECORDS))]


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, list[Call]]:
    """Return the system calls on its files of each writer that nobody disturbs."""
    directory = tmp_path_factory.mktemp("undisturbed")
    return {life: calls_of(directory / life, life) for life in LIVES}


REFUSED = pytest.mark.parametrize(
    ("life", "name", "error"),
    [
        ("gzip", "write", "EIO"),
        ("gzip", "write", "ENOSPC"),
        ("gzip", "read", "EIO"),
        ("plain", "pread64", "EIO"),
        ("gzip", "fdatasync", "EIO"),
        ("pruned", "fdatasync", "EIO"),
        ("gzip", "fsync", "EIO"),
        ("gzip", "rename", "EACCES"),
        ("gzip", "rename", "EPERM"),
        ("pruned", "unlink", "EACCES"),
        ("pruned", "unlink", "EPERM"),
        ("gzip", "mkdir", "EACCES"),
        ("gzip", "getdents64", "EIO"),
        ("gzip", "openat", "EMFILE"),
        ("gzip", "flock", "ENOLCK"),
        ("plain", "statx", "EIO"),
        ("gzip", "newfstatat", "EIO"),
        ("pruned", "openat", "EMFILE"),
        ("trail", "write", "EIO"),
        ("trail", "write", "ENOSPC"),
        ("trail", "pread64", "EIO"),
        ("trail", "read", "EIO"),
        ("trail", "fdatasync", "EIO"),
        ("trail", "fsync", "EIO"),
        ("trail", "rename", "EACCES"),
        ("trail", "fchmod", "EPERM"),
        ("trail", "flock", "ENOLCK"),
        ("trail", "openat", "EMFILE"),
        ("trail", "getdents64", "EIO"),
        ("trail", "newfstatat", "EIO"),
    ],
)
WHEN = pytest.mark.parametrize("when", ["{}", "{}..{}+1", "{}+"], ids=["1", "2", "all"])


class TestFailedCalls:
    """System calls on our files that fail, once, twice or for ever."""

    @needs_strace
    @REFUSED
    def test_one(
        self,
        tmp_path: Path,
        undisturbed: dict[str, list[Call]],
        life: str,
        name: str,
        error: str,
    ) -> None:
        """
        From the middle on: what is not in the file is counted; the rest is in order.
        """
        calls = [call for call in undisturbed[life] if call.name == name]
        fail(tmp_path / "failed", life, calls[len(calls) // 2], error, "{}+")

    @needs_strace
    @pytest.mark.long
    @WHEN
    @REFUSED
    def test_each(
        self,
        tmp_path: Path,
        undisturbed: dict[str, list[Call]],
        life: str,
        name: str,
        error: str,
        when: str,
    ) -> None:
        """
        The same for each call of that name, once, twice or from there on.
        """
        for call in undisturbed[life]:
            if call.name == name:
                fail(tmp_path / str(call.number), life, call, error, when)

    @needs_strace
    def test_interrupted_write(self, tmp_path: Path) -> None:
        """
        A signal that interrupts a write costs nothing, not even a line on stderr.
        """
        done = fail(tmp_path / "failed", "gzip", Call("write", 7), "EINTR", "{}..{}+1")

        assert [] == other_lines(done.stderr)

    @needs_strace
    @pytest.mark.long
    def test_each_interrupted(
        self, tmp_path: Path, undisturbed: dict[str, list[Call]]
    ) -> None:
        """
        The same for every write.
        """
        for call in undisturbed["gzip"]:
            if call.name == "write":
                directory = tmp_path / str(call.number)
                done = fail(directory, "gzip", call, "EINTR", "{}..{}+1")
                assert [] == other_lines(done.stderr)


def fail(directory: Path, life: str, call: Call, error: str, when: str) -> Done:
    """Let *call* of a writer fail; look at what it wrote, and at what it said."""
    first = call.number
    moment = when.replace("{}+1", str(first + 1)).replace("{}", str(first))
    done = traced_writer(directory, life, f"{call.name}:error={error}:when={moment}")
    assert 0 == done.code, (call, done.stderr)
    said = done.stderr.splitlines()
    assert len(said) <= MOST_LINES, said
    assert all(line.startswith("chimera_log: ") for line in said), said
    assert "not formatted" not in done.stderr, call
    told = re.findall(r"(\d+) records could not be written; lost", done.stderr)

    start_again(directory, 1, LIVES[life])

    assert_tidy(directory, LIVES[life])
    found = records_in(files(directory))
    assert [each for each in whole(RECORDS) if each in found] == found, call
    if life != "pruned":
        assert len(whole(RECORDS)) - len(found) == sum(map(int, told)), call
    return done


def traced_writer(directory: Path, life: str, *injections: str) -> Done:
    """Run a writer of a few records under strace, which sees our files only."""
    directory.mkdir()
    # Where there are no locks a half line stays, as a line of its own.
    (directory / NAME).write_bytes(LEFT + HALF * (life == "plain"))
    aside = directory / ASIDE
    paths = [directory, directory / NAME, aside]
    full_files = FULL_OF_TRAIL if life == "trail" else FULL
    paths += [directory / f"{full}{end}" for full in full_files for end in ("", ".gz")]
    paths += [
        aside / f"{full}.manifest{end}" for full in full_files for end in ("", ".new")
    ]
    paths += [aside / "reserve"]
    paths += [aside / name for name in ("number", "fragments", "maintenance")]
    paths += [aside / f"{number:016x}.gz.partial" for number in range(2 * RECORDS)]
    arguments = ["0", str(RECORDS), json.dumps(LIVES[life])]
    return traced(FEW, directory, paths, *injections, arguments=arguments)


def calls_of(directory: Path, life: str) -> list[Call]:
    """Return the system calls on our files of a writer that nobody disturbs."""
    done = traced_writer(directory, life)
    assert 0 == done.code
    assert_tidy(directory, LIVES[life])
    return calls_seen(directory)
