"""
An event that goes straight to the disk, since none waits before it.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from chimera_log.cloudwatch.batch import Event
from chimera_log.cloudwatch.memory import DROP_OLDEST, Bounds, MemoryQueue
from chimera_log.cloudwatch.spool import Spool
from chimera_log.files.syscalls import Ordinary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Disk(Ordinary):
    """Writes, after something happened."""

    happens: Callable[[], object] | None = None

    def append(self, fd: int, data: bytes) -> int:
        """As `Ordinary`, but what happens, happens once."""
        happens, self.happens = self.happens, None
        if happens:
            happens()
        return super().append(fd, data)


class Interrupting(Event):
    """An event in whose first look at the message something else happens."""

    happens: Callable[[], object] | None = None

    @property
    def message(self) -> bytes:
        """Its text."""
        happens, self.happens = self.happens, None
        if happens:
            happens()
        return b"x"


@pytest.fixture(name="now")
def _now() -> list[float]:
    return [0.0]


@pytest.fixture(name="spool")
def _spool(tmp_path: Path, now: list[float]) -> Iterator[Spool]:
    spool = Spool(
        str(tmp_path / "spool"),
        {},
        max_spool_bytes=10**9,
        memory=MemoryQueue(Bounds(2, 1_000, DROP_OLDEST), lambda _: None),
        on_trouble=lambda *_: None,
        clock=lambda: now[0],
    )
    put(spool, 0)
    spool._calls = Disk()
    yield spool
    spool.forget()
    spool.close()


def put(spool: Spool, number: int) -> None:
    """Put an event with this number."""
    spool.put(Event(number, b"x"))


def interrupt() -> None:
    """Raise what a signal handler raises."""
    raise KeyboardInterrupt


def fail() -> None:
    """Raise what a full disk does."""
    raise OSError(errno.ENOSPC, "full")


def happens(spool: Spool, what: Callable[[], object]) -> None:
    """Have *what* happen amid the next write."""
    assert isinstance(spool._calls, Disk)
    spool._calls.happens = what


def figures(spool: Spool) -> tuple[int, int, int, int]:
    """Return the counts: accepted, queued, spooled, dropped."""
    return spool.accepted, spool.queued, spool.spooled, spool.dropped


def taken(spool: Spool) -> list[int]:
    """Take all there is, and return the numbers."""
    return [event.timestamp for event in spool.take(lambda _: True)]


def test_counted(spool: Spool) -> None:
    """
    It is counted as accepted, and is on the disk when `put` returns.
    """
    put(spool, 1)
    assert (2, 0, 2, 0) == figures(spool)
    assert [0, 1] == taken(spool)


def test_refused(spool: Spool, now: list[float]) -> None:
    """
    What the disk does not take waits in memory, and is the first to be written when
    it does again.
    """
    happens(spool, fail)
    put(spool, 1)
    assert (2, 1, 1, 0) == figures(spool)
    now[0] += 1.0
    put(spool, 2)
    assert [0, 1, 2] == taken(spool)


def test_no_room(spool: Spool) -> None:
    """
    Where memory has no room for it either, an event is dropped, and counted once.
    """
    happens(spool, fail)
    put(spool, 1)
    put(spool, 2)
    put(spool, 3)
    assert (4, 2, 1, 1) == figures(spool)


def test_nested(spool: Spool) -> None:
    """
    An event that a signal handler logs amid the write is written behind it.
    """
    happens(spool, lambda: put(spool, 2))
    put(spool, 1)
    assert (3, 0, 3, 0) == figures(spool)
    assert [0, 1, 2] == taken(spool)


def test_interrupted(spool: Spool) -> None:
    """
    A write that a signal handler ended is made up for by the next put.
    """
    happens(spool, interrupt)
    with pytest.raises(KeyboardInterrupt):
        put(spool, 1)
    assert (2, 1, 1, 0) == figures(spool)
    put(spool, 2)
    assert (3, 0, 3, 0) == figures(spool)
    assert [0, 1, 2] == taken(spool)


def test_nested_in_memory(spool: Spool) -> None:
    """
    An event that a signal handler logs while another goes to memory, behind one whose
    write was ended, is written behind both.
    """
    happens(spool, interrupt)
    with pytest.raises(KeyboardInterrupt):
        put(spool, 1)
    event = Interrupting(2, b"x")
    event.happens = lambda: put(spool, 3)
    spool.put(event)
    assert (4, 0, 4, 0) == figures(spool)
    assert [0, 1, 2, 3] == taken(spool)


def test_removed_amid(spool: Spool, tmp_path: Path) -> None:
    """
    An event that is written to a file that turns out to be gone is lost, and counted.
    """
    (file,) = tmp_path.glob("spool/*/000001")

    def remove() -> None:
        file.unlink()
        assert spool._backlog
        spool._backlog.take(lambda _: True)

    happens(spool, remove)
    put(spool, 1)
    assert (2, 0, 0, 2) == figures(spool)
    put(spool, 2)
    assert [2] == taken(spool)
