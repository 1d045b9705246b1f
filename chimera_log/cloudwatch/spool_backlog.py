"""
The records of one place that are not done yet: taken in order, and forgotten.

They are read a piece at a time, so that however many there are, no more of them is
in memory than what one request takes, and 1 MiB.  What is damaged is skipped and
counted; reading goes on with the next record that checks out.
"""

from __future__ import annotations

import os
from collections import deque
from contextlib import suppress

from chimera_log.cloudwatch.spool_records import decoded, first_length
from chimera_log.files import opening
from chimera_log.native import RLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from chimera_log.cloudwatch.batch import Event
    from chimera_log.cloudwatch.spool_place import Label, Place

_PIECE = 1024 * 1024  # bytes read at a time
_READ = opening.FLAGS & ~os.O_RDWR | os.O_RDONLY | opening.NOFOLLOW


class Segment:
    """
    One file of records.

    Attributes:
        number: Its name.
        size: Bytes of whole records.
        left: How many records are still to be read.
        limit: Size up to which it may grow before anything has to be looked at; 0
            also when the file is gone.
    """

    __slots__ = ("left", "limit", "number", "size")

    def __init__(self, number: int, size: int = 0, left: int = 0) -> None:
        self.number = number
        self.size = size
        self.left = left
        self.limit = 0


class Backlog:
    """
    What is in *place* and not done, with the face of a queue that is only taken from.

    One thread at a time takes and forgets.  Whoever adds records holds the lock.

    Args:
        place: Locked; ours from now on.
        on_trouble: Told the kind of trouble and, in words, what it is.
        segments: The files that are there.
        lock: Reentrant; held to change what segments there are, and how large.
        is_growing: Whether somebody adds records.  Where nobody does, the place is
            removed as soon as all is done.
    """

    def __init__(
        self,
        place: Place,
        on_trouble: Callable[[str, str], None],
        segments: Iterable[Segment] = (),
        *,
        lock: RLock | None = None,
        is_growing: bool = False,
    ) -> None:
        self.place = place
        self.segments = deque(segments)
        self.dropped = 0
        self._on_trouble = on_trouble
        self._lock = lock or RLock()
        self._is_growing = is_growing
        # Each event that was read, and where: file number and offset behind it.
        self._ready: deque[tuple[Event, int, int]] = deque()
        self._read_to = self._taken_to = place.done
        self._in_hand = 0  # events taken, and not done
        self._taken = 0  # events that were ever taken
        self._is_over = False
        self._fd, self._fd_number = -1, 0

    def __del__(self) -> None:
        """Close a file that nobody closed."""
        with suppress(Exception):  # the interpreter may be half gone
            self._close_file()

    @property
    def size(self) -> int:
        """Bytes of the records in all files."""
        return sum(segment.size for segment in list(self.segments))

    @property
    def label(self) -> Label | None:
        """What the events are for."""
        return self.place.label

    @property
    def accepted(self) -> int:
        """How many events there were, as far as is known by now."""
        return self._taken + self.spooled + self.dropped

    @property
    def queued(self) -> int:
        """How many events wait in memory alone: none."""
        return 0

    @property
    def spooled(self) -> int:
        """How many events wait on the disk."""
        return len(self._ready) + sum(each.left for each in list(self.segments))

    @property
    def is_exhausted(self) -> bool:
        """Whether there is nothing more to take."""
        with self._lock:
            return not self._ready and self._unread() is None

    @property
    def is_done(self) -> bool:
        """Whether all was taken, and is done."""
        return not self._in_hand and self.is_exhausted

    def take(self, fits: Callable[[Event], bool]) -> list[Event]:
        """
        Return the oldest events, as many as fit.

        What cannot be read is skipped and reported; where that may change, as with
        a process that has too many files open, this ends as if there were no more.

        Args:
            fits: Asked for each event, in order, until it says no.  If it raises,
                everything waits on.
        """
        taken: deque[tuple[Event, int, int]] = deque()
        try:
            self._take_into(taken, fits)
        except BaseException:
            self._ready.extendleft(reversed(taken))
            raise
        if taken:
            self._in_hand += len(taken)
            self._taken += len(taken)
            self._taken_to = taken[-1][1:]
        elif not self._is_growing and self.is_done:
            self.close()
        return [event for event, _, _ in taken]

    def forget(self) -> None:
        """Know that what was taken is done, and remove the files that are."""
        if not self._in_hand:
            return
        self._in_hand = 0
        try:
            self.place.checkpoint(*self._taken_to)
        except OSError as error:
            self._on_trouble("checkpoint", f"{self.place.path}: {error}")
        with self._lock:
            done = self._part_with_done()
        if any(segment.number == self._fd_number for segment in done):
            self._close_file()
        for segment in done:
            self._unlink(segment)
        if not self._is_growing and self.is_done:
            self.close()

    def drop_first(self) -> int:
        """
        Remove the oldest file, and return how many of its events are lost.

        Any thread may, not only the one that takes.
        """
        with self._lock:
            segment = self.segments.popleft()
            lost = self._lose(segment)
        self._unlink(segment)  # which may be open: only the taker closes what it reads
        return lost

    def leave(self) -> int:
        """Give up a place that is gone, and return how many of its events are lost."""
        with self._lock:
            lost = sum(map(self._lose, self.segments)) + len(self._ready)
            self.dropped += len(self._ready)
            self._end()
        self.place.close()
        return lost

    def close(self) -> None:
        """Remove the place if all is done; else leave it to whoever adopts it."""
        if self._is_over:
            return
        self._is_growing = False  # so that what is damaged at the end is counted
        is_done, segments = self.is_done, list(self.segments)
        self._end()
        if not is_done or not all(map(self._unlink, segments)):
            self.place.close()
            return
        try:
            self.place.remove()
        except OSError as error:
            self._on_trouble("remove", f"cannot remove {self.place.path}: {error}")

    def after_fork(self) -> None:
        """Leave everything to the parent, whose it is."""
        self._lock = RLock()
        self._end()
        self.place.after_fork()

    def _end(self) -> None:
        self._is_over = True
        self._close_file()
        self.segments.clear()
        self._ready.clear()
        self._in_hand = 0

    # No loop stands inside a ``try`` or a ``with``; `memory` says why.

    def _take_into(
        self, taken: deque[tuple[Event, int, int]], fits: Callable[[Event], bool]
    ) -> None:
        while (self._ready or self._read_some()) and fits(self._ready[0][0]):
            taken.extend(map(deque.popleft, (self._ready,)))

    def _part_with_done(self) -> list[Segment]:
        done: list[Segment] = []
        while self.segments and self._is_behind(self.segments[0]):
            done.append(self.segments.popleft())
        return done

    def _read_some(self) -> bool:
        """Have the next events ready; whether there were any."""
        while True:
            with self._lock:
                segment = self._unread()
                if segment is None:
                    return False
                (number, start), end = self._read_to, segment.size
            try:
                events, used = self._read(number, start, end)
            except FileNotFoundError:
                self._lose_file(segment)
                continue
            except OSError as error:
                self._on_trouble("read", f"{self.place.segment_path(number)}: {error}")
                return False
            with self._lock:
                self._read_to = number, start + used
                if segment not in self.segments:  # dropped, and counted, meanwhile
                    continue
                segment.left = max(segment.left - len(events), 0)
                self._ready.extend((event, number, start + at) for event, at in events)
                if not self._in_hand and not events:
                    self._taken_to = self._read_to
            if events:
                return True

    def _unread(self) -> Segment | None:
        """Return the file to read on in, with the lock held."""
        for segment in list(self.segments):
            if segment.number > self._read_to[0]:
                self._read_to = segment.number, 0
            if self._read_to < (segment.number, segment.size):
                return segment
            if not self._is_growing or segment is not self.segments[-1]:
                self._end_of(segment)
        return None

    def _end_of(self, segment: Segment) -> None:
        """Count what could not be found in a file that was read to its end."""
        path = self.place.segment_path(segment.number)
        lost = self._lose(segment)
        if lost:
            self._on_trouble("damaged", f"{lost} events in {path} are damaged; lost")

    def _read(
        self, number: int, start: int, end: int
    ) -> tuple[list[tuple[Event, int]], int]:
        """Return events of a file, each with its end, and how many bytes that were."""
        fd = self._open(number)
        piece = wanted = min(_PIECE, end - start)
        while True:
            try:
                data = opening.read_at(fd, wanted, start)
            except OSError as error:  # a disk that is broken here, perhaps not there
                path = self.place.segment_path(number)
                self._on_trouble("read", f"{path}, at {start}: {error}")
                return [], piece
            is_end = len(data) < wanted or start + wanted >= end
            events, used = decoded(data, is_end=is_end)
            if used:
                return events, used
            # Not even one line: a long record, or no record at all.
            length = first_length(data) or 0
            if not wanted < length <= end - start:
                return [], piece
            wanted = length

    def _open(self, number: int) -> int:
        if self._fd < 0 or self._fd_number != number:
            self._close_file()
            self._fd = os.open(self.place.segment_path(number), _READ)
            self._fd_number = number
        return self._fd

    def _close_file(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with suppress(OSError):  # closed behind our back
                os.close(fd)

    def _is_behind(self, segment: Segment) -> bool:
        """Whether all of a file was taken, and nothing will be added."""
        is_last = segment is self.segments[-1]
        return not (is_last and self._is_growing) and (
            (segment.number, segment.size) <= self._taken_to
        )

    def _lose(self, segment: Segment) -> int:
        """Count what is left of a file as dropped."""
        lost, segment.left = segment.left, 0
        self.dropped += lost
        return lost

    def _lose_file(self, segment: Segment) -> None:
        """Know that somebody removed a file."""
        path = self.place.segment_path(segment.number)
        with self._lock:
            if segment not in self.segments:  # it was us: dropped meanwhile
                return
            self.segments.remove(segment)
            segment.limit = 0
            lost = self._lose(segment)
        self._on_trouble("vanished", f"somebody removed {path}; {lost} events lost")

    def _unlink(self, segment: Segment) -> bool:
        """Remove a file; whether there is none any more."""
        path = self.place.segment_path(segment.number)
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
        except OSError as error:
            self._on_trouble("remove", f"cannot remove {path}: {error}")
            return False
        return True
