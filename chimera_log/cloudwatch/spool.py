"""
Events that wait on a disk to be sent: what a `put` accepted survives the process.

A `Spool` belongs to one process, which alone writes to it: no record needs a lock
between processes.  When `Spool.put` returns, the event is in the kernel's hands,
and neither SIGKILL nor ``os._exit`` takes it back; a power cut may, since nothing is
synced.  What a dead process left, `adoption` finds.

Where the disk does not take an event, it waits in memory, within bounds, and those
after it behind it; once a second it is tried again.
"""

from __future__ import annotations

import errno
import os
import time
from collections import deque
from contextlib import suppress
from itertools import chain

from chimera_log.cloudwatch.spool_backlog import Backlog, Segment
from chimera_log.cloudwatch.spool_place import FILE_MODE, make_place
from chimera_log.cloudwatch.spool_records import MAX_HEAD, encoded
from chimera_log.files import opening
from chimera_log.files.syscalls import Ordinary, calls_for
from chimera_log.native import RLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from chimera_log.cloudwatch.batch import Event
    from chimera_log.cloudwatch.memory import MemoryQueue
    from chimera_log.cloudwatch.spool_place import Label

_SHARE = 16  # files that the whole is divided into: what is dropped at a time
_MAX_SEGMENT = 16 * 1024 * 1024  # bytes
_AT_ONCE = 64 * 1024  # bytes of messages that go out in one write
_PER_PUT = 4 * _AT_ONCE  # bytes that one `put` writes for those before it
_RETRY = 1.0  # seconds until a disk that took nothing is tried again
_FLAGS = opening.FLAGS | os.O_APPEND | opening.NOFOLLOW


class Spool:
    """
    Events in the order of their `put`, in a place of its own in *directory*.

    Nothing is made before the first `put`.  When the records of all files come to
    *max_spool_bytes*, the oldest file goes, and its events are counted as dropped.

    Args:
        directory: Where places are; absolute, and made if it is not there.
        label: What the events are for, for whoever adopts them.
        max_spool_bytes: Of all records; divided into 16 files or more.
        memory: Where events wait that the disk does not take; nobody else puts to
            it or takes from it.
        on_trouble: Told the kind of trouble and, in words, what it is; must not
            raise.
        clock: Seconds that never go back.
    """

    # Whether an event goes straight to the disk: that is well, and nothing waits.
    _is_clear: bool
    _retry_at: float | None  # when a disk is tried again that took nothing

    def __init__(
        self,
        directory: str,
        label: Label,
        *,
        max_spool_bytes: int,
        memory: MemoryQueue,
        on_trouble: Callable[[str, str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory = directory
        self._label = label
        self._max_bytes = max_spool_bytes
        self._max_segment = min(max_spool_bytes // _SHARE, _MAX_SEGMENT)
        self._at_once = min(self._max_segment, _AT_ONCE)
        self._memory = memory
        self._on_trouble = on_trouble
        self._clock = clock
        self._fd = -1
        self._backlog: Backlog | None = None
        self._begin()

    def __del__(self) -> None:
        """Close a file that nobody closed."""
        with suppress(Exception):  # the interpreter may be half gone
            self._close_file()

    @property
    def accepted(self) -> int:
        """How many events were put."""
        return self._memory.accepted + self._straight

    @property
    def queued(self) -> int:
        """How many events wait in memory."""
        return self._memory.queued + len(self._writing)

    @property
    def spooled(self) -> int:
        """How many events wait on the disk."""
        backlog = self._backlog
        return backlog.spooled if backlog else 0

    @property
    def dropped(self) -> int:
        """How many events were lost: no room, or damaged on the disk."""
        return self._memory.dropped + self._dropped

    def put(self, event: Event) -> None:
        """
        Write *event* to the disk, or let it wait until that is possible.

        Never raises.  Any thread may, and any signal handler: one that interrupts a
        `put` leaves its event to that, which writes it before it returns.
        """
        with self._lock:
            if self._is_clear:
                self._is_clear = False
                self._write_straight(event)
            else:
                self._memory.put(event)
            if not self._is_done():
                self._write_waiting()

    def take(self, fits: Callable[[Event], bool]) -> list[Event]:
        """
        Return the oldest events, as many as fit.

        Those that wait in memory come when all on the disk were taken, and never
        together with them.  One thread at a time may take, forget and close.

        Args:
            fits: Asked for each event, in order, until it says no.  If it raises,
                everything waits on.
        """
        with self._lock:
            self._leave_what_is_gone()
            self._write_waiting()
            backlog = self._backlog
        events = backlog.take(fits) if backlog else []
        if events:
            return events
        # With the lock: nobody may find the disk mended, and write what is newer.
        with self._lock:
            if self._busy or not (self._backlog is None or self._backlog.is_exhausted):
                return []
            self._memory.give_back(self._writing)
            return self._memory.take(fits)

    def forget(self) -> None:
        """Know that what was taken is done, and remove the files that are."""
        if self._backlog is not None:
            self._backlog.forget()

    def close(self) -> None:
        """
        Leave what is not done to whoever adopts it; remove the place if all is.

        Another `put` begins another place.  What the disk does not take stays in
        memory.
        """
        with self._lock:
            if self._busy:
                return
            self._retry_at = None
            self._write_waiting()
            self._close_file()
            backlog, self._backlog = self._backlog, None
            if backlog is not None:
                backlog.close()
                self._lost += backlog.dropped

    def after_fork(self) -> None:
        """
        Start clean in a forked child: what waits is its parent's, and so is the place.

        The lock as well: with its descriptor the child lets go of it at once.
        """
        self._close_file()
        backlog, self._backlog = self._backlog, None
        if backlog is not None:
            backlog.after_fork()
        self._memory.after_fork()
        self._begin()

    def _begin(self) -> None:
        self._lock = RLock()
        self._busy = False
        self._is_clear = True
        self._retry_at = None
        self._segment: Segment | None = None  # the file that is open
        self._number = 0
        self._calls: Ordinary | None = None
        self._lost: int = 0  # in places that were left, and too large for any
        self._writing: deque[Event] = deque()  # out of memory, and not yet on the disk
        self._straight = 0  # events that never were in memory before they were written
        self._room = 0

    @property
    def _dropped(self) -> int:
        backlog = self._backlog
        return self._lost + (backlog.dropped if backlog else 0)

    def _is_done(self) -> bool:
        """Whether nothing waits any more, and nobody writes."""
        # No call but the first: no signal handler can come after it.
        is_done = self._memory.is_empty and not (self._busy or self._writing)
        self._is_clear = is_done and self._retry_at is None
        return is_done

    def _is_resting(self) -> bool:
        """Whether the disk is not to be tried again yet."""
        return self._retry_at is not None and self._clock() < self._retry_at

    def _write_straight(self, event: Event) -> None:
        """Write *event*, before which none waits."""
        try:
            self._busy = True
            # No call in between: no signal handler can come.
            self._straight += 1
            self._writing.append(event)
            self._write_out(encoded(event))
        except OSError as error:
            self._give_up(error)
        finally:
            self._busy = False

    def _write_waiting(self) -> None:
        """Move to the disk what waits in memory, or a good part of it."""
        written = 0
        # Again when we are done: a signal handler's may have come in between.
        while not (self._is_done() or self._busy):
            if written >= _PER_PUT or self._is_resting():
                return
            try:
                self._busy = True
                # Nothing: the put to memory that we interrupted has it in hand.
                written += self._write_some() or _PER_PUT
            except OSError as error:
                self._give_up(error)
            finally:
                self._busy = False

    def _write_some(self) -> int:
        """
        Write the events that wait longest in one call; return how many bytes that is.

        Raises:
            OSError: If they could not be written; then none of them was.
        """
        is_again = bool(self._writing)  # a signal handler raised amid the last write
        if not is_again:
            self._room = self._at_once
            # In one step of C, so that no signal handler can come between.
            step = chain.from_iterable(map(self._memory.take, (self._has_room_for,)))
            self._writing.extend(step)
        data = b"".join(map(encoded, self._writing))
        segment = self._segment
        if not data:
            return 0
        if is_again and segment is not None and self._is_in(segment, len(data)):
            self._settle(segment, len(data))
        else:
            self._cut_back()
            self._write_out(data)
        return len(data)

    def _write_out(self, data: bytes) -> None:
        """
        Write *data*, which is what is out of memory, as `_write_some` does.

        Raises:
            OSError: If it could not be written; then nothing was.
        """
        size, segment, calls = len(data), self._segment, self._calls
        if segment is None or calls is None or segment.size + size > segment.limit:
            if size > self._max_bytes:
                self._refuse(size)
                return
            segment, calls = self._make_room(size)
        if calls.append(self._fd, data) < size:
            raise OSError(errno.ENOSPC, "no space left for a whole record")
        self._settle(segment, size)

    def _is_in(self, segment: Segment, size: int) -> bool:
        """Whether *size* bytes are in the open file that were not counted."""
        return segment.limit > 0 and os.fstat(self._fd).st_size == segment.size + size

    def _has_room_for(self, event: Event) -> bool:
        """Whether *event* goes into the same write as those before it."""
        is_first = self._room == self._at_once
        self._room -= len(event.message) + MAX_HEAD
        return is_first or self._room >= 0

    def _settle(self, segment: Segment, size: int) -> None:
        """Count what was written to *segment*, and let it wait no more."""
        count = len(self._writing)
        # No call from here on, but one of C: no signal handler can come between.
        if segment.limit:
            segment.size += size
            segment.left += count
        else:  # somebody removed the file
            self._lost += count
        self._retry_at = None
        self._writing.clear()

    def _give_up(self, error: OSError) -> None:
        """Let what could not be written wait in memory, before all others."""
        self._retry_at = self._clock() + _RETRY
        self._cut_back()
        self._memory.give_back(self._writing)
        self._on_trouble("write", f"cannot write to the spool, will try again: {error}")

    def _cut_back(self) -> None:
        """Take half a record off the file, or never write to that file again."""
        if self._segment is None:
            return
        try:
            os.ftruncate(self._fd, self._segment.size)
        except OSError:  # a reader skips it
            self._close_file()

    def _refuse(self, size: int) -> None:
        self._lost += len(self._writing)
        self._writing.clear()
        self._on_trouble(
            "full", f"an event of {size} bytes is more than max_spool_bytes; dropped"
        )

    def _make_room(self, length: int) -> tuple[Segment, Ordinary]:
        """
        Return a file that *length* more bytes may be written to, and the calls for it.

        Raises:
            OSError: If none can be made.
        """
        backlog = self._backlog
        if backlog is None:
            place = make_place(self._directory, self._label)
            backlog = self._backlog = Backlog(
                place, self._on_trouble, lock=self._lock, is_growing=True
            )
        segment = self._segment
        if segment is None or not self._fits(segment, length):
            segment = self._open_next(backlog)
        while backlog.size + length > self._max_bytes and len(backlog.segments) > 1:
            lost = backlog.drop_first()
            self._on_trouble(
                "full",
                f"max_spool_bytes reached; the {lost} oldest events are lost, "
                f"{self.dropped} in all",
            )
        room = self._max_bytes - backlog.size
        segment.limit = max(min(segment.size + room, self._max_segment), length)
        self._calls = self._calls or calls_for(self._fd)
        return segment, self._calls

    def _fits(self, segment: Segment, length: int) -> bool:
        """Whether *segment* is still there, and not full."""
        return bool(segment.limit) and (
            not segment.size or segment.size + length <= self._max_segment
        )

    def _open_next(self, backlog: Backlog) -> Segment:
        self._close_file()
        number = self._number + 1
        path = backlog.place.segment_path(number)
        self._fd = opening.open_or_make(path, _FLAGS, FILE_MODE)
        self._number = number
        segment = Segment(number)
        backlog.segments.append(segment)
        self._segment = segment
        return segment

    def _close_file(self) -> None:
        self._segment = None
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with suppress(OSError):  # closed behind our back
                os.close(fd)

    def _leave_what_is_gone(self) -> None:
        """Begin anew if somebody removed our place."""
        backlog = self._backlog
        if backlog is None or self._busy or backlog.place.is_there():
            return
        self._close_file()
        self._backlog = None
        lost = backlog.leave()
        self._lost += backlog.dropped
        self._on_trouble(
            "vanished", f"somebody removed {backlog.place.path}; {lost} events lost"
        )
