"""
Spools for the tests: filled, broken, killed, adopted.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

from chimera_log.cloudwatch import adoption
from chimera_log.cloudwatch.batch import Event
from chimera_log.cloudwatch.memory import DROP_OLDEST, Bounds, MemoryQueue
from chimera_log.cloudwatch.spool import Spool
from chimera_log.files.syscalls import Ordinary

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from chimera_log.cloudwatch.spool_backlog import Backlog
    from chimera_log.cloudwatch.spool_place import Label

LABEL: Label = {"log_group_name": "Chimera", "region_name": None}
START = 1_761_554_280_000  # 2025-10-27 08:38:00 UTC, in milliseconds
MANY = 10**9


def event(number: int, size: int = 0) -> Event:
    """Return an event that says *number*, in *size* bytes or more."""
    return Event(START + number, b"%d" % number + b"." * (size - len(str(number))))


def number_of(found: Event) -> int:
    """Return the number that *found* says, and was given its time by."""
    number = int(found.message.rstrip(b"."))
    assert found.timestamp == START + number
    return number


def at_most(count: int) -> Callable[[Event], bool]:
    """Return what lets *count* events through, and no more."""
    left = iter(range(count))
    return lambda _: next(left, None) is not None


def taken(queue: Spool | Backlog, count: int = MANY) -> list[int]:
    """Take at most *count* events in one go; return their numbers."""
    return [number_of(each) for each in queue.take(at_most(count))]


def all_taken(queue: Spool | Backlog) -> list[int]:
    """Take everything, and forget it."""
    numbers: list[int] = []
    while found := taken(queue):
        numbers += found
        queue.forget()
    return numbers


class Disk(Ordinary):
    """
    The system calls of a disk that can be broken.

    Attributes:
        is_broken: Whether writes fail.
        takes: Bytes that a write takes before it fails, if any.
        after: Called after each write.
    """

    def __init__(self) -> None:
        self.is_broken = False
        self.takes = 0
        self.after: Callable[[], object] = lambda: None

    def append(self, fd: int, data: bytes) -> int:
        """Write *data*, a part of it, or nothing."""
        if self.is_broken and not self.takes:
            raise OSError(errno.EIO, "broken")
        taken = super().append(fd, data[: self.takes] if self.is_broken else data)
        self.after()
        return taken


class Spools:
    """
    Spools in one folder, with what they reported.

    Args:
        folder: Where their places are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "spool"
        self.now = 0.0
        self.disk = Disk()
        self.troubles: list[tuple[str, str]] = []
        self._opened: list[Spool | Backlog] = []
        adoption._told.clear()

    @property
    def kinds(self) -> list[str]:
        """The kinds of trouble that were reported."""
        return [kind for kind, _ in self.troubles]

    @property
    def places(self) -> list[Path]:
        """The places that are there, the oldest first."""
        return sorted(self.folder.iterdir()) if self.folder.exists() else []

    @property
    def files(self) -> list[Path]:
        """The files with records, the oldest first."""
        return sorted(self.folder.glob("*/[0-9]*"))

    def trouble(self, kind: str, text: str) -> None:
        """Take note of trouble."""
        self.troubles.append((kind, text))

    def open(
        self,
        *numbers: int,
        label: Label = LABEL,
        max_spool_bytes: int = 16_000_000,
        **bounds: Any,
    ) -> Spool:
        """Return a spool that has the events with *numbers*."""
        memory = MemoryQueue(
            Bounds(MANY, MANY, DROP_OLDEST)._replace(**bounds), lambda _: None
        )
        spool = Spool(
            str(self.folder),
            label,
            max_spool_bytes=max_spool_bytes,
            memory=memory,
            on_trouble=self.trouble,
            clock=lambda: self.now,
        )
        spool._calls = self.disk
        self._opened.append(spool)
        for number in numbers:
            spool.put(event(number))
        return spool

    def left(self, *numbers: int, **options: Any) -> None:
        """Have a process die with the events with *numbers* not sent."""
        kill(self.open(*numbers, **options))

    def adopt(self, label: Label = LABEL) -> list[Backlog]:
        """Return what can be adopted of spools for *label*."""
        found = adoption.adopt(str(self.folder), label.__eq__, on_trouble=self.trouble)
        self._opened += found
        return found

    def adopted(self) -> Backlog:
        """Return the only one that can be adopted."""
        (found,) = self.adopt()
        return found

    def close(self) -> None:
        """Close all that were opened."""
        for each in self._opened:
            each.close()


def kill(owner: Spool | Backlog) -> None:
    """Have the process that *owner* belongs to die, as far as others can tell."""
    # What a child does with its parent's: nothing is written or unlocked, but closed.
    owner.after_fork()


def damage(path: Path, at: int, to: bytes) -> None:
    """Write *to* into the file at *path*."""
    fd = os.open(path, os.O_WRONLY)
    try:
        os.pwrite(fd, to, at)
    finally:
        os.close(fd)
