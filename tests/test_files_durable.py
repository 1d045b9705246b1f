"""
What was written survives a power cut when the account says so.
"""

from __future__ import annotations

import errno
import os
import threading
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chimera_log.files import durable as durable_module
from chimera_log.files.policy import ALWAYS, INTERVAL, NEVER, ROTATE
from tests.logs import STAMP, Log, in_child, refusing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chimera_log.files.segments import Segments

PATIENCE = 30.0  # seconds for what takes no time


class Disk:
    """
    Counts what is synced, and does something first.

    Attributes:
        synced: The names of the files that were synced, in order.
        before: Called with the name before a file is synced.
    """

    def __init__(self) -> None:
        self.synced: list[str] = []
        self.before: Callable[[str], object] = lambda _: None
        self._sync = os.fdatasync

    def __call__(self, fd: int) -> None:
        """Sync *fd*."""
        name = Path(f"/proc/self/fd/{fd}").readlink().name
        self.before(name)
        self._sync(fd)
        self.synced.append(name)

    def forget(self) -> None:
        """Begin the account anew."""
        self.synced.clear()


class Stuck:
    """A disk that is busy with the first file it is to sync, until it may go on."""

    def __init__(self) -> None:
        self.is_busy = threading.Event()
        self.goes_on = threading.Event()

    def __call__(self, _: str) -> None:
        """Keep the first one waiting."""
        if not self.is_busy.is_set():
            self.is_busy.set()
            assert self.goes_on.wait(PATIENCE)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    """A place for segments."""
    made = Log(tmp_path / "logs", max_bytes=0)
    yield made
    made.close()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """Whoever is told to sync."""
    made = Disk()
    monkeypatch.setattr(durable_module, "_sync_file", made)
    return made


def in_thread(work: Callable[[], object]) -> threading.Thread:
    """Do *work* in a thread of its own."""
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def join(*threads: threading.Thread) -> None:
    """Wait for *threads*, which must end."""
    for thread in threads:
        thread.join(PATIENCE)
    assert [] == [thread for thread in threads if thread.is_alive()]


def asked_to_sync(log: Log) -> list[str]:
    """Return how often the syncing thread was asked for."""
    return [each for each in log.asked if each == "sync"]


class TestAlways:
    def test_first_line(self, log: Log, disk: Disk) -> None:
        """
        The append returns when the disk has the line, and the file its name.
        """
        log.open(sync=ALWAYS).append(b"1\n")

        assert ["bot.log", "logs"] == disk.synced

    def test_next_line(self, log: Log, disk: Disk) -> None:
        """
        A line in a file that has its name costs one sync.
        """
        segments = log.open(sync=ALWAYS)
        segments.append(b"1\n")
        disk.forget()
        segments.append(b"2\n")

        assert ["bot.log"] == disk.synced

    def test_after_a_rotation(self, log: Log, disk: Disk) -> None:
        """
        The line that begins a new file has the full one synced too, and last of all
        the directory, with both names.
        """
        segments = log.open(sync=ALWAYS, max_bytes=10)
        segments.append(b"1234567\n")
        disk.forget()
        segments.append(b"abcdefg\n")

        assert ["bot.log", f"bot.log.{STAMP}.000001", "logs"] == disk.synced
        assert 1 == segments.statistics().sealed

    def test_opened_again(self, log: Log, disk: Disk) -> None:
        """
        A file that was there may have been made by a process that did not sync it.
        """
        log.path.parent.mkdir()
        log.path.write_bytes(b"0\n")
        log.open(sync=ALWAYS).append(b"1\n")

        assert ["bot.log", "logs"] == disk.synced

    def test_many_lines(self, log: Log, disk: Disk) -> None:
        """
        Lines that are written together share a sync.
        """
        segments = log.open(sync=ALWAYS)
        segments.append(b"1\n")
        disk.forget()
        segments.append_all(deque([b"2\n", b"3\n", b"4\n"]))

        assert ["bot.log"] == disk.synced

    def test_pipe(self, log: Log, disk: Disk) -> None:
        """
        What is no regular file is not synced.
        """
        log.path = Path("/dev/null")
        assert log.open(sync=ALWAYS).append(b"1\n")

        assert [] == disk.synced

    def test_group(self, log: Log, disk: Disk) -> None:
        """
        Threads that log while the disk is busy share the next sync.
        """
        segments = log.open(sync=ALWAYS)
        segments.append(b"1\n")
        disk.forget()
        disk.before = stuck = Stuck()
        first = in_thread(lambda: segments.append(b"2\n"))
        assert stuck.is_busy.wait(PATIENCE)
        # These are written at once: nobody holds the lock meanwhile.
        others = [in_thread(lambda: segments.append(b"3\n")) for _ in range(8)]
        while segments.statistics().written < 10:
            pass
        stuck.goes_on.set()
        join(first, *others)

        assert ["bot.log", "bot.log"] == disk.synced


class TestInterval:
    def test_asks(self, log: Log) -> None:
        """
        A line asks the thread for a sync, once.
        """
        segments = log.open(sync=INTERVAL)
        segments.append(b"1\n")
        segments.append(b"2\n")

        assert ["sync"] == asked_to_sync(log)

    def test_due(self, log: Log, disk: Disk) -> None:
        """
        The first line is synced at once, the next one when the interval is over.
        """
        segments = log.open(sync=INTERVAL, sync_interval=0.5)
        segments.append(b"1\n")
        assert segments.sync_due(10.0) is None
        segments.append(b"2\n")
        disk.forget()

        assert 0.25 == segments.sync_due(10.25)
        assert [] == disk.synced
        assert segments.sync_due(10.5) is None
        assert ["bot.log"] == disk.synced

    def test_nothing_new(self, log: Log, disk: Disk) -> None:
        """
        What the disk has is not synced again.
        """
        segments = log.open(sync=INTERVAL)
        segments.append(b"1\n")
        segments.sync_due(10.0)
        disk.forget()

        assert segments.sync_due(20.0) is None
        assert [] == disk.synced

    def test_while_it_waits(self, log: Log) -> None:
        """
        While the thread waits for the interval to end nobody wakes it.
        """
        segments = log.open(sync=INTERVAL, sync_interval=0.5)
        for now in (10.0, 10.25):
            segments.append(b"1\n")
            segments.sync_due(now)
        log.asked.clear()
        segments.append(b"2\n")

        assert [] == asked_to_sync(log)

    def test_synced_by_somebody_else(self, log: Log) -> None:
        """
        Where the thread comes too late, the next line asks for it again.
        """
        segments = log.open(sync=INTERVAL)
        segments.append(b"1\n")
        segments.sync()
        assert segments.sync_due(10.0) is None
        segments.append(b"2\n")

        assert ["sync", "sync"] == asked_to_sync(log)

    def test_moved_away(self, log: Log, disk: Disk) -> None:
        """
        What was written to a file before logrotate moved it away is synced, too.
        """
        segments = log.open(sync=INTERVAL)
        segments.append(b"1\n")
        log.path.rename(log.path.with_name("rotated"))
        segments.append(b"2\n")
        segments.sync_due(10.0)

        assert ["bot.log", "logs", "rotated"] == sorted(disk.synced)
        assert ["sync", "sync"] == asked_to_sync(log)

    def test_moved_away_when_synced(self, log: Log, disk: Disk) -> None:
        """
        A file that the disk has all of is not synced when it was moved away.
        """
        segments = log.open(sync=INTERVAL)
        segments.append(b"1\n")
        segments.sync_due(10.0)
        disk.forget()
        log.path.rename(log.path.with_name("rotated"))
        segments.append(b"2\n")
        segments.sync_due(20.0)

        assert ["bot.log", "logs"] == disk.synced

    def test_moved_away_for_ever(
        self, log: Log, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A file that cannot be looked at is closed each time, not kept for the thread.
        """
        segments = log.open(sync=INTERVAL)
        segments.append(b"1\n")
        segments.sync()
        monkeypatch.setattr(segments._calls, "look", refusing(errno.EIO))
        for _ in range(5):
            segments.append(b"2\n")

        assert [] == segments._durable._left

    def test_close(self, log: Log, disk: Disk) -> None:
        """
        A file that is closed is synced before.
        """
        segments = log.open(sync=INTERVAL)
        segments.append(b"1\n")
        segments.close()

        assert ["bot.log", "logs"] == disk.synced
        assert segments.sync_due(10.0) is None

    def test_forgotten(self, log: Log) -> None:
        """
        A moved file that nobody synced is closed with its engine.
        """
        segments = log.open(sync=INTERVAL)
        segments.append(b"1\n")
        log.path.rename(log.path.with_name("rotated"))
        segments.append(b"2\n")
        (left,) = segments._durable._left
        segments._durable.__del__()

        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(left)


class TestRotate:
    def test_full_file(self, log: Log, disk: Disk) -> None:
        """
        A full file is synced by the thread, then its directory, and counted.
        """
        segments = log.open(sync=ROTATE)
        segments.append(b"1\n")
        assert [] == asked_to_sync(log)
        segments.rotate()

        assert ["sync"] == asked_to_sync(log)
        assert 0 == segments.statistics().sealed
        assert segments.sync_due(10.0) is None
        assert [f"bot.log.{STAMP}.000001", "logs"] == disk.synced
        assert 1 == segments.statistics().sealed

    def test_active_file(self, log: Log, disk: Disk) -> None:
        """
        The active file is not synced, not even when it is closed.
        """
        segments = log.open(sync=ROTATE)
        segments.append(b"1\n")
        assert segments.sync_due(10.0) is None
        segments.close()

        assert [] == disk.synced

    def test_gone(self, log: Log, disk: Disk) -> None:
        """
        A full file that was compressed or removed meanwhile is no trouble.
        """
        segments = log.open(sync=ROTATE)
        segments.append(b"1\n")
        segments.rotate()
        log.full[0].unlink()
        segments.sync_due(10.0)

        assert ["logs"] == disk.synced
        assert [] == log.troubles

    def test_no_directories(
        self, log: Log, disk: Disk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Where directories cannot be opened, the file alone is synced.
        """
        monkeypatch.setattr(durable_module, "_DIRECTORY", 0)
        segments = log.open(sync=ROTATE)
        segments.append(b"1\n")
        segments.rotate()
        segments.sync_due(10.0)

        assert [f"bot.log.{STAMP}.000001"] == disk.synced


class TestNever:
    def test_nothing(self, log: Log, disk: Disk) -> None:
        """
        Nothing is synced, and nobody is asked to.
        """
        segments = log.open(sync=NEVER)
        segments.append(b"1\n")
        segments.rotate()
        segments.append(b"2\n")
        segments.sync_due(10.0)
        segments.close()
        segments.sync()

        assert [] == disk.synced
        assert [] == asked_to_sync(log)
        assert 0 == segments.statistics().sealed


class TestFailure:
    @pytest.mark.parametrize("sync", [ALWAYS, INTERVAL])
    def test_told(self, log: Log, monkeypatch: pytest.MonkeyPatch, sync: str) -> None:
        """
        A failed sync is told, and is the last error; the line was written.
        """
        monkeypatch.setattr(durable_module, "_sync_file", refusing(errno.EIO))
        segments = log.open(sync=sync)
        assert segments.append(b"1\n")
        segments.sync_due(10.0)

        assert {"sync"} == set(log.kinds)
        assert "the disk may not have its last lines: [Errno 5]" in log.troubles[0][1]
        assert "[Errno 5]" in str(segments.statistics().last_error)

    def test_not_believed(self, log: Log, disk: Disk) -> None:
        """
        It is not tried again, for the second sync would say that all is well; so a
        full file that failed is never counted as sealed.
        """
        segments = log.open(sync=ROTATE)
        segments.append(b"1\n")
        segments.rotate()
        disk.before = refusing(errno.EIO)
        segments.sync_due(10.0)
        disk.before = lambda _: None
        segments.sync_due(20.0)
        segments.sync()

        assert [] == disk.synced
        assert 0 == segments.statistics().sealed

    def test_each_is_tried(self, log: Log, disk: Disk) -> None:
        """
        What follows a file that failed is synced all the same.
        """

        def fail(name: str) -> None:
            if name == "bot.log":
                raise OSError(errno.EIO, "refused")

        disk.before = fail
        log.open(sync=ALWAYS).append(b"1\n")

        assert ["logs"] == disk.synced

    def test_cannot_be_synced(self, log: Log, disk: Disk) -> None:
        """
        A file system that syncs no directories is no trouble.
        """

        def fail(name: str) -> None:
            if name == "logs":
                raise OSError(errno.EINVAL, "refused")

        disk.before = fail
        log.open(sync=ALWAYS).append(b"1\n")

        assert [] == log.troubles

    def test_no_descriptors_for_the_active_file(
        self, log: Log, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A process that is out of descriptors reports, and logs on.
        """
        segments = log.open(sync=ALWAYS)
        segments.append(b"1\n")
        monkeypatch.setattr(os, "dup", refusing(errno.EMFILE))

        assert segments.append(b"2\n")
        assert ["sync"] == log.kinds

    def test_no_descriptors_for_the_full_file(
        self, log: Log, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        So does one that cannot open the full file again, which is not sealed.
        """
        segments = log.open(sync=ROTATE)
        segments.append(b"1\n")
        segments.rotate()
        monkeypatch.setattr(os, "open", refusing(errno.EMFILE))
        segments.sync_due(10.0)

        assert ["sync", "sync"] == log.kinds  # the directory, too
        assert 0 == segments.statistics().sealed

    def test_closed_behind_our_back(self, log: Log) -> None:
        """
        A descriptor that somebody closed is told of, and raises nothing.
        """
        segments = log.open(sync=INTERVAL)
        segments.append(b"1\n")
        log.path.rename(log.path.with_name("rotated"))
        segments.append(b"2\n")
        os.close(segments._durable._left[0])
        segments.sync()

        assert ["sync"] == log.kinds

    def test_interrupted(self, log: Log, disk: Disk) -> None:
        """
        What a signal handler's exception interrupted is synced by the next one.
        """

        def interrupt(_: str) -> None:
            raise KeyboardInterrupt

        segments = log.open(sync=INTERVAL)
        segments.append(b"1\n")
        segments.rotate()
        segments.append(b"2\n")
        disk.before = interrupt
        with pytest.raises(KeyboardInterrupt):
            segments.sync()
        disk.before = lambda _: None
        segments.sync()

        assert [f"bot.log.{STAMP}.000001", "bot.log", "logs"] == sorted(
            disk.synced, reverse=True, key=len
        )
        assert 1 == segments.statistics().sealed


class TestDone:
    def test_nothing(self, log: Log) -> None:
        """
        Nothing done is kept.
        """
        account = log.open()._durable

        assert account.is_kept(account.done)

    def test_kept(self, log: Log, disk: Disk) -> None:  # noqa: ARG002
        """
        What is written is kept from the next sync on, and what comes later is not.
        """
        segments = log.open(sync=INTERVAL)
        account = segments._durable
        segments.append(b"1\n")
        first = account.done
        assert not account.is_kept(first)
        segments.sync()
        assert account.is_kept(first)
        segments.append(b"2\n")

        assert first < account.done
        assert account.is_kept(first)
        assert not account.is_kept(account.done)

    def test_refused(self, log: Log, disk: Disk) -> None:
        """
        What a disk refused is never kept, whatever it says later; what comes after
        it is.
        """
        segments = log.open(sync=INTERVAL)
        account = segments._durable
        segments.append(b"1\n")
        first = account.done
        disk.before = refusing(errno.EIO)
        segments.sync()
        disk.before = lambda _: None
        segments.sync()
        assert not account.is_kept(first)
        segments.append(b"2\n")
        second = account.done
        assert not account.is_kept(second)
        segments.sync()

        assert account.is_kept(second)
        assert not account.is_kept(first)

    def test_doubt(self, log: Log, disk: Disk) -> None:
        """
        A refusal casts doubt on all that was done before.
        """
        segments = log.open(sync=INTERVAL)
        account = segments._durable
        segments.append(b"1\n")
        first = account.done
        segments.sync()
        segments.append(b"2\n")
        disk.before = refusing(errno.EIO)
        segments.sync()

        assert not account.is_kept(first)

    def test_child(self, log: Log, disk: Disk) -> None:
        """
        A forked child begins its own account.
        """
        segments = log.open(sync=INTERVAL)
        segments.append(b"1\n")
        disk.before = refusing(errno.EIO)
        segments.sync()
        segments._durable.after_fork()

        assert segments._durable.is_kept(segments._durable.done)


class TestConcurrency:
    @pytest.mark.parametrize("sync", [ALWAYS, INTERVAL, ROTATE])
    def test_others_write_meanwhile(self, log: Log, disk: Disk, sync: str) -> None:
        """
        No lock is held while the disk is busy: others append, rotate and close.
        """
        segments = log.open(sync=sync)
        segments.append(b"1\n")
        segments.rotate()
        disk.before = stuck = Stuck()
        syncing = in_thread(lambda: segments.sync_due(10.0))
        assert stuck.is_busy.wait(PATIENCE)
        segments.policy = segments.policy._replace(sync=ROTATE)
        segments.append(b"2\n")
        segments.rotate()
        segments.append(b"3\n")
        segments.close()
        stuck.goes_on.set()
        join(syncing)

        assert [b"1\n", b"2\n", b"3\n"] == log.lines

    def test_nested(self, log: Log, disk: Disk) -> None:
        """
        A line that a signal handler logs amid a sync is synced before it returns.
        """
        segments = log.open(sync=ALWAYS)
        nested: list[bool] = []

        def interrupt(_: str) -> None:
            disk.before = lambda _: None
            nested.append(segments.append(b"nested\n"))

        disk.before = interrupt
        segments.append(b"outer\n")

        assert [True] == nested
        assert [b"outer\nnested\n"] == log.contents
        # The nested one, which finds the directory still to be synced by the other.
        assert ["bot.log", "bot.log", "logs"] == disk.synced
        assert segments._durable.is_clean

    def test_nested_amid_an_append(self, log: Log, disk: Disk) -> None:
        """
        One that comes while its thread holds the lock is left to the syncing thread:
        whoever syncs just now may be waiting for that lock.
        """
        segments = log.open(sync=ALWAYS)
        segments.append(b"1\n")
        disk.forget()
        with segments._lock:
            assert segments.append(b"nested\n")

        assert [] == disk.synced
        assert ["sync"] == asked_to_sync(log)
        assert segments.sync_due(10.0) is None
        assert ["bot.log"] == disk.synced

    def test_at_exit_amid_a_sync(self, log: Log, disk: Disk) -> None:
        """
        The process's end waits for no thread that syncs and needs the lock.
        """
        segments = log.open(sync=ALWAYS)
        segments.append(b"1\n")
        disk.before = stuck = Stuck()
        first = in_thread(lambda: segments.append(b"2\n"))
        assert stuck.is_busy.wait(PATIENCE)
        segments._waiting.append(b"3\n")
        ending = in_thread(segments.at_exit)
        join(ending)
        stuck.goes_on.set()
        join(first)

        assert [b"1\n", b"2\n", b"3\n"] == log.lines

    def test_all_at_once(self, log: Log) -> None:
        """
        Threads that append, sync, rotate and close never wait for each other in
        vain, and no line is lost.
        """
        segments = log.open(sync=ALWAYS)

        def repeat(work: Callable[[], object]) -> Callable[[], None]:
            def works() -> None:
                for _ in range(60):
                    work()

            return works

        join(
            in_thread(repeat(lambda: segments.append(b"a\n"))),
            in_thread(repeat(lambda: segments.append(b"b\n"))),
            in_thread(repeat(segments.sync)),
            in_thread(repeat(lambda: segments.sync_due(10.0))),
            in_thread(repeat(segments.rotate)),
            in_thread(repeat(segments.close)),
        )

        assert [60, 60] == [log.lines.count(line) for line in (b"a\n", b"b\n")]
        assert [] == log.troubles


class TestFork:
    def test_amid_a_sync(self, log: Log, disk: Disk) -> None:
        """
        A child that was forked while a thread synced waits for nobody, and syncs its
        own lines.
        """
        segments = log.open(sync=ALWAYS)
        segments.append(b"1\n")
        disk.before = stuck = Stuck()
        syncing = in_thread(lambda: segments.append(b"2\n"))
        assert stuck.is_busy.wait(PATIENCE)
        disk.forget()

        def work() -> bool:
            segments.append(b"child\n")
            return disk.synced == ["bot.log", "logs"]

        is_right = in_child(work)
        stuck.goes_on.set()
        join(syncing)

        assert is_right
        assert [b"1\n", b"2\n", b"child\n"] == log.lines

    def test_what_others_moved_away(self, log: Log, disk: Disk) -> None:
        """
        The child closes what its parent is about to sync, and does not sync it.
        """
        segments: Segments = log.open(sync=INTERVAL)
        segments.append(b"1\n")
        log.path.rename(log.path.with_name("rotated"))
        segments.append(b"2\n")

        def work() -> bool:
            segments.sync_due(10.0)
            return "rotated" not in disk.synced and not segments._durable._left

        assert in_child(work)
        segments.sync_due(10.0)
        assert "rotated" in disk.synced
