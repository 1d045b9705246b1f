"""
A log file that grows by whole lines, survives its writers, and never loses one.

The active file has the configured name; a full one is renamed, once, as `names`
says.  Any number of threads and processes may append.

An append takes the file's lock, as `active` says, rotates if the line does not
fit, and writes the line in one call.  When `append` returns ``True`` the line is
in the kernel's hands, and the death of this process cannot take it back.

What cannot be written waits, in order and within bounds, and is tried again with
the next line; a rotation that fails costs no line either.  A line that comes
while this thread is already writing (from a signal handler, from ``__del__``)
waits for the outer append, which writes it before it lets go of the lock.

Nothing here knows records, formats or `logging`.
"""

from __future__ import annotations

import os
import select
import threading
import time
import weakref
from collections import deque, namedtuple
from contextlib import suppress

from chimera_log.files import names
from chimera_log.files.active import ActiveFile, Policy
from chimera_log.report import report
from chimera_log.worker import FILES, at_exit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_LOOK_FOR_TIME = 100  # bytes at a file's beginning
_AT_ONCE = 64 * 1024  # bytes of many lines that go out in one call
# The same for a pipe, which takes them whole, whoever else writes to it.
_IN_ONE_PIECE = getattr(select, "PIPE_BUF", 512)


# What happened to a file since this process opened it.
Statistics = namedtuple(
    "Statistics",
    [
        "written",  # lines in the kernel's hands
        "bytes",
        "rotations",
        "retried",  # lines that were written after a wait
        "waiting",
        "dropped",  # lines that found no room to wait
        "unlocked",  # lines written without the lock, after waiting for it
        "repaired",  # fragments of dead writers put aside
        "segments",  # full files on disk
        "last_error",  # or None
    ],
)


class Segments(ActiveFile):
    """
    The file at *path* and the full segments beside it.

    Nothing is opened before the first `append`.  Threads may share it; `shared`
    gives all handlers of a process on one path the same.

    Args:
        path: The active file, absolute.
        policy: How it behaves.
        on_trouble: Told the kind of trouble and, in words, what it is.
        clock: Seconds since the epoch; for a file whose first line tells none.
    """

    def __init__(
        self,
        path: str,
        policy: Policy,
        on_trouble: Callable[[str, str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(path, policy, on_trouble)
        self._clock = clock
        self._lock = threading.RLock()
        self._waiting: deque[bytes] = deque()
        self._late = 0  # how many of these could not be written when they came
        self._busy = False
        self._counts = dict.fromkeys(Statistics._fields, 0)
        self._last_number = 0
        _all_segments.add(self)

    def append(self, line: bytes) -> bool:
        """
        Write *line*, whole, to the active file.

        A line longer than the largest file has a file of its own.

        Returns:
            Whether the line is in the kernel's hands.  If not, it waits its
            turn, or, where as many wait as may, was dropped and counted.
        """
        with self._lock:
            if len(self._waiting) >= self.policy.max_waiting and not self.flush():
                # What waits was accepted; the newest is not.
                self._counts["dropped"] += 1
                return False
            self._waiting.append(line)
            return not self._busy and self._write_waiting()

    def append_all(self, lines: deque[bytes]) -> None:
        """
        Write *lines*, many in one call, and take each away from the left.

        Those that cannot be written wait or are dropped, as with `append`.
        """
        with self._lock:
            while lines:
                room = self.policy.max_waiting - len(self._waiting)
                if room <= 0 and not self.flush():
                    self._counts["dropped"] += len(lines)
                    lines.clear()
                    break
                for _ in range(min(max(room, 1), len(lines))):
                    self._waiting.append(lines.popleft())
                self.flush()

    def flush(self) -> bool:
        """Try to write what waits; whether nothing waits any more."""
        with self._lock:
            if self._busy:  # the append around us will
                return False
            return not self._waiting or self._write_waiting()

    def rotate(self) -> None:
        """
        Move on to a new file now, unless this one is empty or none are kept.

        Does nothing from inside an append, which holds this very file.
        """
        with self._lock:
            if self._busy or not self.policy.backup_count:
                return
            self._busy = True
            try:
                if self._take_lock() and self._is_regular and self._size:
                    self._rotate()
            except OSError as error:
                self._trouble("rotate", "cannot rotate", error)
            finally:
                self._end_turn()
            self.flush()  # lines that came meanwhile

    def close(self) -> None:
        """Write what waits, and close the file; the next `append` opens it again."""
        with self._lock:
            self.flush()
            if not self._busy:
                self._close_file()

    def statistics(self) -> Statistics:
        """Return what happened to this file so far."""
        with self._lock:
            counts: dict[str, object] = dict(self._counts)
        counts["waiting"] = len(self._waiting)
        counts["repaired"] = self._repaired
        counts["last_error"] = self._last_error
        with suppress(OSError):
            entries = os.listdir(self._directory)
            numbers = [names.segment_number(self._name, entry) for entry in entries]
            counts["segments"] = len(numbers) - numbers.count(None)
        return Statistics(**counts)

    def at_exit(self) -> None:
        """Write what waits now or never, and say how much was never written."""
        with self._lock:
            if not self.flush():
                lost = len(self._waiting)
                self._waiting.clear()
                self._late = 0
                _unwritten.discard(self)
                self._counts["dropped"] += lost
                self.on_trouble("lost", f"{lost} records could not be written; lost")

    def after_fork(self) -> None:
        """
        Start clean in a forked child.

        What waits is the parent's.  So is the lock: with its descriptor the
        child lets go of it at once, or it could outlive the process that took it.
        """
        self._lock = threading.RLock()
        self._waiting.clear()
        self._late = 0
        _unwritten.discard(self)
        self._busy = False
        self._counts = dict.fromkeys(Statistics._fields, 0)
        self._repaired = 0
        self._last_error = None
        self._close_file()

    def _write_waiting(self) -> bool:
        """Write what waits, the oldest first; whether all of it was written."""
        self._busy = True
        try:
            self._take_lock()
            while self._waiting:
                self._write_first()
        except OSError as error:
            self._late = len(self._waiting)
            _unwritten.add(self)
            self._trouble("write", "cannot write, will try again", error)
            return False
        finally:
            self._end_turn()
        _unwritten.discard(self)
        # One more may have come while the lock was let go of.
        return not self._waiting or self._write_waiting()

    def _end_turn(self) -> None:
        try:
            self._release()
        finally:
            self._busy = False  # also if a signal handler raised meanwhile

    def _write_first(self) -> None:
        """Write the lines that wait longest; what is written waits no more."""
        count, before = self._fitting(), self._counts["written"]
        line = self._waiting[0]
        if count > 1:
            line = b"".join([self._waiting[each] for each in range(count)])
        try:
            self._write(line, count)
        finally:
            # Also if a signal handler raised meanwhile: written is written.
            for _ in range(self._counts["written"] - before):
                self._waiting.popleft()
                if self._late:
                    self._late -= 1
                    self._counts["retried"] += 1

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

    def _write(self, lines: bytes, count: int) -> None:
        """Write *count* lines; all of them or nothing."""
        if (
            self._is_locked
            and self._size
            and self._size + len(lines) > self.policy.max_bytes > 0
        ):
            self._rotate()
        self._write_line(lines)
        self._counts["written"] += count
        self._counts["bytes"] += len(lines)
        self._counts["unlocked"] += count * (self._is_regular and not self._is_locked)

    def _rotate(self) -> None:
        """Rename the active file and open a new one, if that can be done."""
        try:
            with os.scandir(self._directory) as found:
                entries = {entry.name: entry.is_file() for entry in found}
            last = max(self._last_number, self._aside.last_number())
            number = names.next_number(self._name, entries, last)
            full = names.segment_name(self._name, self._first_time(), number)
            # Remembered first: a number is never given twice, whatever happens now.
            self._last_number = number
            self._aside.remember_number(number, self.policy.mode)
            os.rename(self.path, os.path.join(self._directory, full))
            self._counts["rotations"] += 1
            self._move_on()
        except OSError as error:
            self._trouble("rotate", "cannot rotate, writing on", error)
            return
        files = [full, *(entry for entry in entries if entries[entry])]
        for entry in names.superfluous(self._name, files, self.policy.backup_count):
            self._remove(entry)

    def _remove(self, entry: str) -> None:
        try:
            os.unlink(os.path.join(self._directory, entry))
        except FileNotFoundError:  # a sibling was first
            pass
        except OSError as error:
            self._trouble("rotate", "cannot remove a full file", error)

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
        first = names.time_of_line(os.pread(self._fd, _LOOK_FOR_TIME, 0))
        return self._clock() if first is None else first


_all_segments: weakref.WeakSet[Segments] = weakref.WeakSet()
# Lines that wait must not go with the last handler on their file.
_unwritten: set[Segments] = set()
_by_path: weakref.WeakValueDictionary[str, Segments] = weakref.WeakValueDictionary()


def shared(path: str, policy: Policy) -> Segments:
    """Return this process's `Segments` at *path*; the newest policy holds for all."""
    known = _by_path.get(path)
    if known is None:
        known = _by_path[path] = Segments(
            path,
            policy,
            lambda kind, what: report(f"{path}: {kind}", f"{path}: {what}"),
        )
    known.policy = policy
    return known


def _after_fork() -> None:
    for segments in list(_all_segments):
        segments.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@at_exit(FILES)
def _at_exit() -> None:
    for segments in list(_all_segments):
        segments.at_exit()
