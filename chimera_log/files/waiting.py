"""
Lines that wait for their turn to be written: in order, each once, many in one call.

A line waits while somebody else of this process writes, or while it cannot be
written; it is taken away in the moment it is in the file.
"""

from __future__ import annotations

import select
from collections import deque

from chimera_log.files.policy import COUNTS
from chimera_log.files.rotation import RotatedFile
from chimera_log.files.settling import take_all
from chimera_log.native import RLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from chimera_log.files.policy import Policy

_AT_ONCE = 64 * 1024  # bytes of many lines that go out in one call
# The same for a pipe, which takes them whole, whoever else writes to it.
_IN_ONE_PIECE = getattr(select, "PIPE_BUF", 512)


class WaitingLines(RotatedFile):
    """
    The file at *path*, and the lines that are still to be written to it.

    Args:
        path: The active file, absolute.
        policy: How it behaves.
        on_trouble: Told the kind of trouble and, in words, what it is.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        path: str,
        policy: Policy,
        on_trouble: Callable[[str, str], None],
        clock: Callable[[], float],
    ) -> None:
        super().__init__(path, policy, on_trouble, clock)
        self._waiting: deque[bytes] = deque()
        self._wait_for_nothing()

    def _wait_for_nothing(self) -> None:
        """Have no lines and nobody who writes, as in a forked child."""
        self._lock = RLock()
        self._waiting.clear()
        self._late = 0  # how many of these could not be written when they came
        self._batch = 0  # how many lines the last write had
        self._taken.clear()
        self._busy = False
        self._counts = dict.fromkeys(COUNTS, 0)
        unwritten.discard(self)

    def _on_written(self) -> None:
        """Take note that something was written."""

    def _on_failure(self) -> None:
        """Take note that something could not be written."""

    def _flush(self) -> bool:
        """Write what waits, with the lock held; whether nothing waits any more."""
        if self._busy:  # the append around us will
            return False
        return not self._waiting or self._write_waiting()

    def _write_waiting(self) -> bool:
        """Write what waits, the oldest first; whether all of it was written."""
        try:
            self._busy = True
            self._take_lock()
            self._write_all()
        except OSError as error:
            self._late = len(self._waiting)
            unwritten.add(self)
            self._trouble("write", "cannot write, will try again", error)
            self._on_failure()
            return False
        finally:
            # Here, not in a function: a signal handler that raises may raise as soon
            # as one is called.
            try:
                self._release()
            finally:
                self._busy = False
        unwritten.discard(self)
        # One more may have come while the lock was let go of.
        return not self._waiting or self._write_waiting()

    # On its own: Python 3.12 and 3.13 skip the ``finally`` of a ``try`` when a signal
    # handler raises at the end of a turn of a loop that stands in it.
    def _write_all(self) -> None:
        while self._waiting:
            self._write_first()

    def _write_first(self) -> None:
        """Write the lines that wait longest; what is written waits no more."""
        if self._taken:  # a signal handler raised amid the last write
            self._settle()
            if not self._waiting:
                return
        self._batch = 1 if len(self._waiting) == 1 else self._fitting()
        lines = self._gathered()
        try:
            self._write(lines)
        finally:
            self._settle()

    def _gathered(self) -> bytes:
        """Return the lines of one write, as they are to stand in the file."""
        if self._batch == 1:
            return self._waiting[0]
        return b"".join([self._waiting[each] for each in range(self._batch)])

    def _settle(self) -> None:
        """Take away the lines that are out."""
        if not self._is_out():
            return
        count, size = self._batch, self._wanted
        take_all(self._waiting, count, self._taken)
        counts = self._counts
        counts["written"] += count
        counts["bytes"] += size
        if self._late:
            retried = min(count, self._late)
            self._late -= retried
            counts["retried"] += retried
        if self._is_regular and not self._is_locked:
            counts["unlocked"] += count
        self._on_written()

    def _fitting(self) -> int:
        """Return how many of the lines that wait go into one write."""
        if self._late:  # as much as a disk that is nearly full can take
            return 1
        limit = _AT_ONCE if self._is_regular else _IN_ONE_PIECE
        if self._is_locked and self.policy.max_bytes > 0:
            limit = min(limit, self.policy.max_bytes - self._size)
        count, size = 1, len(self._waiting[0])
        while count < len(self._waiting):
            size += len(self._waiting[count])
            if size > limit:
                break
            count += 1
        return count

    def _write(self, lines: bytes) -> None:
        """Write lines; all of them or nothing."""
        if self._is_locked and self._size and self._is_full_for(lines):
            self._rotate()
        self._write_line(lines)


# Lines that wait must not go with the last handler on their file.
unwritten: set[WaitingLines] = set()
