"""
The files of a process share their engines, and these their threads.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from chimera_log.files import durable, engines
from chimera_log.files.engines import shared
from chimera_log.files.policy import ALWAYS, GZIP, INTERVAL, ROTATE, Threads
from chimera_log.files.segments import Segments
from chimera_log.worker import Worker
from tests.integration.support import wait_until
from tests.logs import POLICY, Log

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    """A place for segments."""
    made = Log(tmp_path, max_bytes=8)
    yield made
    made.close()


def opened(log: Log, **policy: object) -> Segments:
    """Return the shared segments at the place of *log*, with threads."""
    segments = shared(str(log.path), POLICY._replace(max_bytes=8, **policy), Segments)
    log.opened.append(segments)
    return segments


class TestThreads:
    def test_begun_when_needed(self, log: Log) -> None:
        """
        A file that need not be synced, and is small, has no thread for syncing.
        """
        segments = opened(log, sync=ROTATE)
        segments.append(b"1\n")
        segments.close()

        assert engines._syncer._thread is None

    def test_interval(self, log: Log) -> None:
        """
        The syncing thread syncs each line within the interval.
        """
        segments = opened(log, sync=INTERVAL, sync_interval=0.01)
        for number in range(20):
            segments.append(b"%d\n" % number)
            wait_until(lambda: segments._durable.is_clean, "a sync")
        assert engines._syncer.stop(10)

    def test_full_files(self, log: Log) -> None:
        """
        Full files are synced by one thread and compressed by another.
        """
        segments = opened(log, compression=GZIP)
        for number in range(5):
            segments.append(b"line %d\n" % number)
        wait_until(lambda: segments.statistics().compressed == 4, "compression")
        wait_until(lambda: segments.statistics().sealed == 4, "a sync")

        assert {".gz"} == {file.suffix for file in log.full}

    def test_soonest(self, log: Log, tmp_path: Path) -> None:
        """
        A thread comes again when the first of its files needs it.
        """
        other = Log(tmp_path, "other.log", max_bytes=8)
        one = opened(log, sync=INTERVAL, sync_interval=1_000.0)
        two = opened(other, sync=INTERVAL, sync_interval=500.0)
        one.append(b"1\n")
        two.append(b"1\n")
        wait_until(lambda: one._durable.is_clean, "a sync")
        wait_until(lambda: two._durable.is_clean, "a sync")
        assert engines._syncer.stop(10)
        one.append(b"2\n")
        two.append(b"2\n")
        assert engines._syncer.stop(10)

        pause = engines._sync()
        assert pause is not None
        assert 400.0 < pause <= 500.0
        other.close()


class TestShared:
    def test_newest_wish(self, log: Log) -> None:
        """
        The newest handler's wish holds, and one that changes nothing asks nobody.
        """
        segments = opened(log, sync=ROTATE)
        segments.append(b"1\n")
        assert engines._maintainer.stop(10)
        segments._room.is_watched = True
        assert segments is opened(log, sync=ROTATE)
        assert segments._room.is_watched
        assert segments is opened(log, sync=ALWAYS)

        assert ALWAYS == segments.policy.sync
        assert not segments._room.is_watched

    def test_another_kind(self, log: Log) -> None:
        """
        An engine of another kind is not used, also if it is a kind of the one that is
        asked for; both write.
        """

        class Other(Segments):
            """Another kind."""

        policy = POLICY._replace(sync=ROTATE, max_bytes=0)
        other = shared(str(log.path), policy, Other)
        segments = shared(str(log.path), policy, Segments)
        log.opened += [other, segments]

        assert [Other, Segments] == [type(each) for each in (other, segments)]
        assert segments is shared(str(log.path), policy, Segments)
        for number in range(6):
            assert [segments, other][number % 2].append(b"%d\n" % number)
        assert b"0\n1\n2\n3\n4\n5\n" == log.path.read_bytes()


class TestAtExit:
    """The process's end, while it is not over yet: other tests follow."""

    @pytest.fixture
    def synced(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        """The threads in which a file was synced."""
        made: list[int] = []

        def sync(fd: int) -> None:
            made.append(threading.get_native_id())
            os.fdatasync(fd)

        monkeypatch.setattr(durable, "_sync_file", sync)
        return made

    def test_synced(self, log: Log, synced: list[int]) -> None:
        """
        What is still to be synced is synced by the ending thread itself, since there
        may be no other any more.
        """
        segments = opened(log, sync=INTERVAL, sync_interval=1_000.0)
        segments.append(b"1\n")
        wait_until(lambda: segments._durable.is_clean, "a sync")
        synced.clear()
        segments.append(b"2\n")
        engines._at_exit()

        assert [threading.get_native_id()] == synced
        assert segments._durable.is_clean

    def test_disk_is_stuck(
        self, log: Log, monkeypatch: pytest.MonkeyPatch, synced: list[int]
    ) -> None:
        """
        Where the threads do not end, the disk is stuck: nobody waits for it.
        """
        monkeypatch.setattr(engines, "_threads", Threads())
        segments = opened(log, sync=ROTATE)
        segments.append(b"1111111\n")
        segments.append(b"2222222\n")
        with monkeypatch.context() as patch:
            patch.setattr(Worker, "stop", lambda *_: False)
            engines._at_exit()

        assert [] == synced
        assert not segments._durable.is_clean

    def test_amid_compression(self, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        What is half compressed is left to the next start, without a trace.
        """
        monkeypatch.setattr(engines, "_threads", Threads())
        segments = opened(log, compression=GZIP)
        segments.append(b"1111111\n")
        segments.append(b"2222222\n")
        while not list(log.aside.glob("*.partial")):
            assert 0 == segments.maintain()
        engines._at_exit()

        assert [] == list(log.aside.glob("*.partial"))
        assert [b"1111111\n", b"2222222\n"] == log.lines
