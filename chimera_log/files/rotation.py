"""
When the active file is full, and how it gives way to a new one.

A full file is renamed, once, as `names` says, while its lock is held; then a new
one is made and locked.  A rotation that fails costs no line: writing goes on in the
full file, and it is tried again after a while.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress

from chimera_log.files import names, opening
from chimera_log.files.active import ActiveFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from chimera_log.files.policy import Policy
    from chimera_log.files.syscalls import Ordinary

_PAUSE = 10.0  # seconds without rotating, after a rotation failed


class RotatedFile(ActiveFile):
    """
    The active file at *path*, renamed when it is full.

    Args:
        path: Absolute.
        policy: How it behaves.
        on_trouble: Told the kind of trouble and, in words, what it is.
        clock: Seconds since the epoch; for a file whose first line tells none.
    """

    def __init__(
        self,
        path: str,
        policy: Policy,
        on_trouble: Callable[[str, str], None],
        clock: Callable[[], float],
    ) -> None:
        super().__init__(path, policy, on_trouble)
        self._clock = clock
        self._last_number = 0
        self._rotates_from = float("-inf")  # on the monotonic clock
        self._ends: float | None = None  # midnight; None: not looked for yet

    def _on_full(self, path: str) -> None:
        """Take note that the active file was renamed to *path*."""

    def _open(self, calls: Ordinary | None = None) -> None:
        self._ends = None
        super()._open(calls)

    def _is_full_for(self, lines: bytes) -> bool:
        """Whether *lines* belong into a new file, and we can make one."""
        policy = self.policy
        is_full = self._size + len(lines) > policy.max_bytes > 0 or (
            policy.at_midnight and self._is_of_another_day(lines)
        )
        return is_full and time.monotonic() >= self._rotates_from

    def _is_of_another_day(self, lines: bytes) -> bool:
        """Whether *lines* come after the midnight (UTC) that ends the file's day."""
        if not self._is_over():
            return False
        # What was logged before midnight, and is written after it, would give the
        # next file a day that is over already.
        time_of_first = names.time_of_line(lines[: names.TIME_IS_WITHIN])
        return time_of_first is None or time_of_first >= self._midnight()

    def _is_over(self) -> bool:
        """Whether the day (UTC) of the active file's first line is over."""
        return self._clock() >= self._midnight()

    def _midnight(self) -> float:
        """Return when the day of the active file's first line ends."""
        if self._ends is None:
            self._ends = names.next_midnight(self._first_time())
        return self._ends

    def _rotate(self) -> None:
        """Rename the active file and open a new one, if that can be done."""
        try:
            entries = self._entries()
            last = max(self._last_number, self._aside.last_number())
            number = names.next_number(self._name, entries, last)
            full = names.segment_name(self._name, self._first_time(), number)
            # Remembered first: a number is never given twice, whatever happens now.
            self._last_number = number
            self._aside.remember_number(number, self.policy.mode)
            self._rename(os.path.join(self._directory, full))
        except OSError as error:
            # What failed is not paid for again with every line.
            self._rotates_from = time.monotonic() + _PAUSE
            self._trouble("rotate", "cannot rotate, writing on", error)
            return

    def _entries(self) -> dict[str, bool]:
        """Return what lies beside the file, and whether it is a file as well."""
        with os.scandir(self._directory) as found:
            return {entry.name: entry.is_file() for entry in found}

    def _rename(self, full: str) -> None:
        """Rename the active file to *full*, and open a new one."""
        if sys.platform == "win32":  # which renames no file that is open
            self._close_file()
            try:
                os.rename(self._target, full)
                self._on_full(full)
            finally:
                self._take_lock()
            return
        os.rename(self._target, full)
        self._on_full(full)
        self._move_on()

    def _move_on(self) -> None:
        """Open and lock the new file, or stay with the old one."""
        old, identity, size = self._fd, self._identity, self._size
        self._fd, self._is_locked = -1, False
        try:
            self._take_lock()
        except OSError:
            # Better a line in the full file than none; the next one tries again.
            self._close_file()
            self._fd, self._identity, self._size = old, identity, size
            self._is_regular = self._is_locked = True
            raise
        # Said, not left to close(): a child forked meanwhile has the old one too.
        with suppress(OSError):
            self._calls.unlock(old)
        os.close(old)

    def _first_time(self) -> float:
        """Return when the active file's first line was written."""
        first = names.time_of_line(opening.read_at(self._fd, names.TIME_IS_WITHIN, 0))
        return self._clock() if first is None else first
