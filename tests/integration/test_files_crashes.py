"""
Writers that are killed: no record lost, corrupt or doubled, whatever the moment.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from random import Random
from typing import TYPE_CHECKING, NamedTuple

import pytest

from chimera_log.files.names import segment_name
from tests.integration.files_support import (
    ASIDE,
    HANDLER,
    NAME,
    START,
    files,
    handler_for,
    log,
    writers,
    written,
)
from tests.integration.support import (
    PATIENCE,
    Done,
    environment,
    wait_until,
)

if TYPE_CHECKING:
    from pathlib import Path

needs_strace = pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")

RECORDS = 14
MAX_BYTES = 1_300  # four records: 14 of them rotate three times

# Logs a few records, telling the number of each when it is acknowledged.
FEW = f"""{HANDLER}
handler = handler_for(sys.argv[1], maxBytes={MAX_BYTES}, backupCount=int(sys.argv[2]))
for number in range({RECORDS}):
    log(handler, 0, number)
    os.write(1, b"%d\\n" % number)
"""
KEEP_ALL, KEEP_ONE = "1000", "1"
# What the full files are called: each record is a second later than the last.
FULL = [segment_name(NAME, START + 4 * number, number + 1) for number in range(3)]
ERRORS = [
    ("write", "EIO"),
    ("write", "ENOSPC"),
    ("rename", "EACCES"),
    ("rename", "EPERM"),
    ("flock", "ENOLCK"),
    ("statx", "EIO"),
    ("openat", "EMFILE"),
]


class TestKilled:
    """Killed at any moment, and started again on the same files."""

    @pytest.mark.parametrize("size", [300, 20_000])
    @pytest.mark.parametrize(("count", "kills"), [(1, 3), (4, 4), (8, 3)])
    def test_some(self, tmp_path: Path, count: int, kills: int, size: int) -> None:
        """
        What the killed and the living had acknowledged is there, whole and once.
        """
        kill_and_restart(tmp_path, count, kills, size)

    @pytest.mark.long
    @pytest.mark.parametrize("size", [300, 20_000])
    @pytest.mark.parametrize("count", [1, 4, 8])
    def test_many(self, tmp_path: Path, count: int, size: int) -> None:
        """
        The same for 200 kills in all.
        """
        kill_and_restart(tmp_path, count, 34, size)


def kill_and_restart(directory: Path, count: int, kills: int, size: int) -> None:
    """Kill one of *count* writers, *kills* times; then look at what they wrote."""
    random = Random(count * size)  # noqa: S311  no secret
    with writers(directory, size) as group:
        alive = [group.start() for _ in range(count)]
        for _ in range(kills):
            victim = alive.pop(random.randrange(count))
            wait_until(lambda: victim in group.acknowledged, "a record")  # noqa: B023  called at once
            time.sleep(random.uniform(0.0, 0.1))
            group.kill(victim)
            alive.append(group.start())
        wait_until(lambda: alive[-1] in group.acknowledged, "a record")
    # The next start repairs what the last ones left.
    handler = handler_for(directory)
    log(handler, count + kills, 0)
    handler.close()

    assert_nothing_lost(directory, {**group.acknowledged, count + kills: 1})


def assert_nothing_lost(directory: Path, acknowledged: dict[int, int]) -> None:
    """Assert that each writer's records are there, once and in order."""
    found = written(directory)
    for writer, numbers in found.items():
        assert list(range(len(numbers))) == numbers
        # One record may have been written and not been told.
        assert 0 <= len(numbers) - acknowledged.get(writer, 0) <= 1
    assert set(acknowledged) <= set(found)


class Call(NamedTuple):
    """One system call of a writer: its name, and how many of that name came before."""

    name: str
    number: int


class TestKilledAtEveryCall:
    """Killed before a certain system call on our files, and started again."""

    @needs_strace
    def test_some(self, tmp_path: Path) -> None:
        """
        Before every seventh: nothing is lost, doubled, corrupt or left lying about.
        """
        calls = calls_of(tmp_path / "plain", KEEP_ALL)

        assert len(calls) > 100
        for number, call in enumerate(calls[::7]):
            crash(tmp_path / str(number), call, KEEP_ALL)

    @needs_strace
    @pytest.mark.long
    def test_all(self, tmp_path: Path) -> None:
        """
        The same before every single one.
        """
        for number, call in enumerate(calls_of(tmp_path / "plain", KEEP_ALL)):
            crash(tmp_path / str(number), call, KEEP_ALL)

    @needs_strace
    def test_removing(self, tmp_path: Path) -> None:
        """
        Before each removal of an old file: the next start removes what it should have.
        """
        calls = calls_of(tmp_path / "plain", KEEP_ONE)
        removals = [call for call in calls if call.name.startswith("unlink")]

        assert 2 == len(removals)
        for number, call in enumerate(removals):
            crash(tmp_path / str(number), call, KEEP_ONE)


def crash(directory: Path, call: Call, keep: str) -> None:
    """Kill a writer before *call*, start again, and look at what is there."""
    directory.mkdir()
    done = traced(directory, keep, f"inject={call.name}:signal=KILL:when={call.number}")
    assert (-signal.SIGKILL, "") == (done.code, done.stderr), call
    acknowledged = len(done.stdout.splitlines())

    handler = handler_for(directory, maxBytes=MAX_BYTES, backupCount=int(keep))
    log(handler, 1, *range(10))
    handler.close()

    found = written(directory)
    assert list(range(10))[-len(found[1]) :] == found[1], call
    full = files(directory)[:-1]
    if keep == KEEP_ALL:
        survived = found.get(0, [])
        assert list(range(len(survived))) == survived, call
        assert 0 <= len(survived) - acknowledged <= 1, call
    else:
        assert int(keep) == len(full), call
    ours = {path.name for path in files(directory)} | {ASIDE}
    assert ours == {path.name for path in directory.iterdir()}, call
    left = {path.name for path in (directory / ASIDE).iterdir()}
    assert left <= {"number", "fragments"}, call


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[Call]:
    """Return the system calls on its files of a writer that nobody disturbs."""
    return calls_of(tmp_path_factory.mktemp("undisturbed") / "plain")


class TestFailedCalls:
    """System calls on our files that fail, once, twice or for ever."""

    @needs_strace
    @pytest.mark.parametrize("when", ["{}", "{}..{}+1", "{}+"], ids=["1", "2", "all"])
    @pytest.mark.parametrize(("name", "error"), ERRORS)
    def test_one(
        self,
        tmp_path: Path,
        undisturbed: list[Call],
        name: str,
        error: str,
        when: str,
    ) -> None:
        """
        In the middle: what is not in the file is counted on stderr; order is kept.
        """
        calls = [call for call in undisturbed if call.name == name]
        fail(tmp_path / "failed", calls[len(calls) // 2], error, when)

    @needs_strace
    @pytest.mark.long
    @pytest.mark.parametrize("when", ["{}", "{}..{}+1", "{}+"], ids=["1", "2", "all"])
    @pytest.mark.parametrize(("name", "error"), ERRORS)
    def test_each(
        self,
        tmp_path: Path,
        undisturbed: list[Call],
        name: str,
        error: str,
        when: str,
    ) -> None:
        """
        The same for each call of that name.
        """
        for call in undisturbed:
            if call.name == name:
                fail(tmp_path / str(call.number), call, error, when)

    @needs_strace
    def test_interrupted_write(self, tmp_path: Path) -> None:
        """
        A signal that interrupts a write costs nothing, not even a line on stderr.
        """
        done = fail(tmp_path / "failed", Call("write", 7), "EINTR", "{}..{}+1")

        assert Done(0, b"", "") == done._replace(stdout=b"")


def fail(directory: Path, call: Call, error: str, when: str) -> Done:
    """Let *call* of a writer fail; look at what it wrote, and at what it said."""
    directory.mkdir()
    first = call.number
    moment = when.replace("{}+1", str(first + 1)).replace("{}", str(first))
    done = traced(
        directory, KEEP_ALL, f"inject={call.name}:error={error}:when={moment}"
    )
    assert 0 == done.code, call
    said = done.stderr.splitlines()
    assert len(said) <= 4, said
    assert all(line.startswith("chimera_log: ") for line in said), said

    found = written(directory).get(0, [])
    assert sorted(set(found)) == found, call
    told = re.findall(r"(\d+) records could not be written; lost", done.stderr)
    assert RECORDS - len(found) == sum(map(int, told)), call
    return done


def traced(directory: Path, keep: str, *options: str) -> Done:
    """Run a writer of a few records under strace, which sees our files only."""
    paths = [directory, *(directory / name for name in (NAME, ASIDE, *FULL))]
    paths += [
        directory / ASIDE / name for name in ("number", "number.new", "fragments")
    ]
    done = subprocess.run(
        [
            *("strace", "-f", "-qq", "-o", directory.parent / "calls"),
            *(f"--trace-path={path}" for path in paths),
            *("-e", "trace=%desc,%file"),
            *(argument for option in options for argument in ("-e", option)),
            *(sys.executable, "-c", FEW, str(directory), keep),
        ],
        cwd=directory.parent,  # the interpreter looks for modules where it is
        env=environment(directory),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr.decode())


def calls_of(directory: Path, keep: str = KEEP_ALL) -> list[Call]:
    """Return the system calls on our files of a writer that nobody disturbs."""
    directory.mkdir()
    done = traced(directory, keep)
    assert (0, "") == (done.code, done.stderr)
    assert [*FULL[-int(keep) :], NAME] == [path.name for path in files(directory)]
    counts: Counter[str] = Counter()
    calls = []
    for line in (directory.parent / "calls").read_text("utf-8").splitlines():
        match = re.fullmatch(r"\d+ +(\w+)\(.*", line)
        if match:
            counts[match[1]] += 1
            calls.append(Call(match[1], counts[match[1]]))
    return calls
