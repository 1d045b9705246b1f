"""
Finished lines that a thread writes, so that nobody who logs waits for the reader.

`LineQueue` is the bounded queue and its rules; `Outlet` gives it a thread.  The
thread takes all that waits at once, within about 2 ms, so that many lines cost
one system call.  Where the system offers a write that never waits, a line for
which there is room does not need the thread.
"""

from __future__ import annotations

import os
import time
import weakref
from collections import deque, namedtuple
from contextlib import ExitStack

from chimera_log.native import Gong, RLock
from chimera_log.worker import QUEUES, Worker, at_exit, members

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

BLOCK, DROP_OLDEST, DROP_NEWEST = WHEN_FULL = ("block", "drop_oldest", "drop_newest")

_LINGER = 0.001  # seconds that the thread lets lines gather
_IDLE = 1.0  # seconds that it stays when there are none
_FORK_TIMEOUT = 0.25  # seconds that a fork waits for what is not yet written
_LOOK_AGAIN = 1.0  # seconds between two looks of a caller that waits for room

# What a queue may hold, and what happens then.
Bounds = namedtuple(
    "Bounds",
    [
        "max_queue_size",  # lines
        "max_queue_bytes",
        "when_full",  # one of WHEN_FULL
        "close_timeout",  # seconds to wait for the thread at a flush, at the end
    ],
)


class LineQueue:
    """
    Lines in order, as many as *bounds* allow.

    A single line that is larger than `Bounds.max_queue_bytes` is let in when
    nothing else waits.  Threads may share it.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        # Reentrant: a signal handler may log while its thread is in here.
        self._lock = RLock()
        self._lines: deque[bytes] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        """Return how many lines wait."""
        return len(self._lines)

    def put(self, line: bytes) -> int | None:
        """
        Take *line*, or do what the bounds say if there is no room for it.

        Returns:
            How many lines were dropped, this one or older ones; or ``None`` if the
            caller is to wait for room, and nothing was done.
        """
        with self._lock:
            return self._put(line)

    # On its own; `waiting` says why no loop stands inside a ``with``.
    def _put(self, line: bytes) -> int | None:
        length, dropped = len(line), 0
        while not self.has_room(length):
            if self._bounds.when_full == BLOCK:
                return None
            if self._bounds.when_full == DROP_NEWEST:
                return 1
            self._bytes -= len(self._lines.popleft())
            dropped += 1
        self._lines.append(line)
        self._bytes += length
        return dropped

    def move_to(self, lines: deque[bytes]) -> None:
        """Append all that waits to *lines*; nothing waits any more."""
        with self._lock:
            lines.extend(self._lines)
            self._lines.clear()
            self._bytes = 0

    def has_room(self, length: int) -> bool:
        """Whether a line of *length* bytes may wait as well."""
        return not self._lines or (
            len(self._lines) < self._bounds.max_queue_size
            and self._bytes + length <= self._bounds.max_queue_bytes
        )


class Outlet:
    """
    A `LineQueue` and the thread that empties it.

    Args:
        name: The thread's name.
        bounds: What may wait.
        write: Writes lines, in the thread, and takes each from the left of the
            deque when it needs no more writing.
        on_loss: Told the kind of loss (``lost`` or ``exit``) and, in words, what
            was lost.
        write_at_once: Does the same, in the caller, as far as that can be done
            without waiting.  What is written so is safe even if the process is
            killed in the next moment.
    """

    def __init__(
        self,
        name: str,
        bounds: Bounds,
        write: Callable[[deque[bytes]], object],
        on_loss: Callable[[str, str], object],
        write_at_once: Callable[[deque[bytes]], object] | None = None,
    ) -> None:
        self._write_at_once = write_at_once
        self._bounds = bounds
        self._write = write
        self._on_loss = on_loss
        self._worker = Worker(name, self._work, linger=_LINGER, idle=_IDLE)
        self._begin()
        _outlets.add(self)

    def __len__(self) -> int:
        """Return how many lines wait, or are just being written."""
        # In this order: a line that moves on meanwhile is counted twice, not missed.
        return len(self._queue) + len(self._taken)

    def put(self, line: bytes) -> None:
        """Hand *line* to the thread; waits if the queue is full and says so."""
        if self._is_given_up:
            self._lose(1, "the process ends")
            return
        if self._is_written_at_once(line):
            return
        while (dropped := self._queue.put(line)) is None:
            self._wait_for_room(len(line))
        if dropped:
            self._lose(dropped, "the queue is full")
        self._worker.wake()

    def flush(self, timeout: float | None = None) -> bool:
        """
        Wait until what was put before is written.

        Args:
            timeout: Seconds to wait at most; `Bounds.close_timeout` by default.

        Returns:
            Whether it came so far.
        """
        if not len(self):
            return True
        if timeout is None:
            timeout = self._bounds.close_timeout
        return not self._is_given_up and self._worker.finish(timeout)

    def close(self) -> None:
        """Write what waits, and end the thread; the next `put` begins another."""
        is_written = self.flush()
        self._worker.stop(self._bounds.close_timeout if is_written else 0)
        if is_written and len(self):  # somebody put it in this very moment
            self._worker.wake()

    def at_exit(self) -> None:
        """Write what waits now or never, and say how much was never written."""
        try:
            self.close()
        finally:  # also if a Ctrl-C ended the waiting
            self._give_up()

    def after_fork(self) -> None:
        """Start clean in a forked child: what waits is its parent's."""
        self._begin()

    def _begin(self) -> None:
        self._queue = LineQueue(self._bounds)
        self._taken: deque[bytes] = deque()
        # Whose turn it is to write.  Reentrant: a signal handler may log while its
        # thread has the turn, and leaves the line to the write that it interrupted.
        self._turn = RLock()
        self._is_busy = False
        self._room = Gong()  # struck when there is some
        self._counting = RLock()
        self.dropped = 0  # lines that will never be written
        self._is_given_up = False

    def _work(self) -> None:
        """Write what waits."""
        self._queue.move_to(self._taken)
        self._room.strike()
        with self._turn:
            if self._taken and not self._is_busy:
                self._write(self._taken)

    def _is_written_at_once(self, line: bytes) -> bool:
        """Write *line* here and now, unless it has to wait; whether it need not."""
        write = self._write_at_once
        # The turn is not waited for: whoever is writing may be stuck.
        if write is None or len(self) or not self._turn.acquire(blocking=False):
            return False
        try:
            if self._is_busy or len(self):
                return False
            self._is_busy = True
            try:
                self._taken.append(line)
                write(self._taken)
            finally:
                self._is_busy = False
        finally:
            self._turn.release()
        if len(self):
            self._worker.wake()
        return True

    def _wait_for_room(self, length: int) -> None:
        self._worker.wake()
        self._room.wait_for(lambda: self._queue.has_room(length), _LOOK_AGAIN)

    def _give_up(self) -> None:
        """Count what waits as lost, and say so."""
        if len(self):
            self._is_given_up = True
            self.dropped += len(self)
        if self.dropped:
            # Of a kind of its own: the last word is not held back.
            self._on_loss(
                "exit", f"the process ends; {self.dropped} records not written"
            )

    def _lose(self, count: int, why: str) -> None:
        with self._counting:
            self.dropped += count
        self._on_loss("lost", f"{why}; {self.dropped} records not written so far")


_outlets: weakref.WeakSet[Outlet] = weakref.WeakSet()


@at_exit(QUEUES)
def _at_exit() -> None:
    with ExitStack() as stack:  # each of them, though a Ctrl-C ends one that waits
        for outlet in members(_outlets):
            stack.callback(outlet.at_exit)


def _before_fork() -> None:
    # A parent may end right after the fork, as one that becomes a daemon does.
    deadline = time.monotonic() + _FORK_TIMEOUT
    for outlet in members(_outlets):
        outlet.flush(max(deadline - time.monotonic(), 0))


def _after_fork() -> None:
    for outlet in members(_outlets):
        outlet.after_fork()


if hasattr(os, "register_at_fork"):
    # Before the worker's own function, which ends the thread: that is what the order
    # of imports means.
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork)
