"""
A log file that grows by whole lines, survives its writers, and never loses one.

The active file has the configured name; a full one is renamed, once, as `names`
says.  Any number of threads and processes may append.

An append takes the file's lock, as `active` says, rotates if the line does not
fit, and writes the line in one call.  When `append` returns ``True`` the line is
in the kernel's hands, and the death of this process cannot take it back; what a
power cut can take back, `durable` says.

What cannot be written waits, in order and within bounds, and is tried again with
the next line; a rotation that fails costs no line either.  A line that comes
while this thread is already writing (from a signal handler, from ``__del__``)
waits for the outer append, which writes it before it lets go of the lock.

What need not be done in the caller (`sync_due`, `maintain`) is left to threads
that `engines` has.  Nothing here knows records, formats or `logging`.
"""

from __future__ import annotations

import os
import time
import weakref
from contextlib import suppress

from chimera_log.files import names
from chimera_log.files.durable import Durability
from chimera_log.files.policy import ALWAYS, INTERVAL, NEVER, Statistics, Threads
from chimera_log.files.room import Room
from chimera_log.files.upkeep import Care, Upkeep
from chimera_log.files.waiting import WaitingLines, unwritten

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable

    from chimera_log.files.policy import Policy
    from chimera_log.files.syscalls import Ordinary

_PATIENCE = 5.0  # seconds for somebody who writes to a pipe that nobody reads
_RETRY = 1.0  # seconds until lines that could not be written are tried again


class Segments(WaitingLines):
    """
    The file at *path* and the full segments beside it.

    Nothing is opened before the first `append`.  Threads may share it; `shared`
    gives all handlers of a process on one path the same.

    Args:
        path: The active file, absolute.
        policy: How it behaves.
        on_trouble: Told the kind of trouble and, in words, what it is.
        clock: Seconds since the epoch; for a file whose first line tells none.
        threads: Called when there is work that the caller need not wait for.
    """

    _kind_of_upkeep = Upkeep

    def __init__(
        self,
        path: str,
        policy: Policy,
        on_trouble: Callable[[str, str], None],
        clock: Callable[[], float] = time.time,
        threads: Threads = Threads(),  # noqa: B008  immutable
    ) -> None:
        super().__init__(path, policy, on_trouble, clock)
        self._threads = threads
        self._durable = Durability()
        self._upkeep = self._kind_of_upkeep(on_trouble, clock)
        self._is_stuck: bool = False  # whether somebody was waited for in vain
        self._ask_anew()
        all_segments.add(self)

    def _take_turn(self, patience: float) -> bool:
        """Take the lock; ``False``: somebody is stuck, who is not waited for twice."""
        is_free = self._lock.acquire(timeout=0 if self._is_stuck else patience)
        # Without patience nothing was learned of who is stuck.
        self._is_stuck = not is_free and (self._is_stuck or patience > 0)
        return is_free

    def _ask_anew(self) -> None:
        self._is_stuck = False
        self._is_sync_asked = False
        self._synced_at = float("-inf")
        self._room = Room()

    def use(self, policy: Policy) -> None:
        """Behave as *policy* says from now on."""
        self.policy = policy
        self._upkeep.ask()
        self._room.is_watched = False

    def append(self, line: bytes) -> bool:
        """
        Write *line*, whole, to the active file.

        A line longer than the largest file has a file of its own.

        Returns:
            Whether the line is in the kernel's hands.  If not, it waits its
            turn, or, where as many wait as may, was dropped and counted.
        """
        with self._lock:
            is_written = self._accept(line)
        if is_written:
            self._see_to_disk()
        return is_written

    def append_all(self, lines: deque[bytes]) -> None:
        """
        Write *lines*, many in one call, and take each away from the left.

        Those that cannot be written wait or are dropped, as with `append`.
        """
        with self._lock:
            self._accept_all(lines)
        self._see_to_disk()

    def flush(self, patience: float | None = None) -> bool:
        """
        Try to write what waits; whether nothing waits any more.

        Args:
            patience: Seconds to wait for somebody who is stuck in a write; 5 by
                default.
        """
        if not self._take_turn(_PATIENCE if patience is None else patience):
            return False
        try:
            before = self._counts["written"]
            is_written = self._flush()
        finally:
            self._lock.release()
        if self._counts["written"] != before:
            self._see_to_disk()
        return is_written

    def rotate(self, is_due: Callable[[], bool] | None = None) -> None:
        """
        Move on to a new file now, unless this one is empty or none are kept.

        Does nothing from inside an append, which holds this very file.

        Args:
            is_due: Asked under the lock whether this very file is to give way;
                ``None``: it is.
        """
        with self._lock:
            if self._busy or not self.policy.limits.backup_count:
                return
            self._busy = True
            try:
                if (
                    self._take_lock()
                    and self._is_regular
                    and self._size
                    and (is_due is None or is_due())
                ):
                    self._rotate()
            except OSError as error:
                self._trouble("rotate", "cannot rotate", error)
            finally:
                try:
                    self._release()
                finally:
                    self._busy = False
            self._flush()  # lines that came meanwhile

    def close(self) -> None:
        """Write what waits, and close the file; the next `append` opens it again."""
        self.flush()
        if self._is_stuck:
            return
        if self._is_synced_while_active():
            self.sync()
        with self._lock:
            if not self._busy:
                self._close_file()

    def sync(self) -> None:
        """Have the disk keep what the policy says, whatever is not kept yet."""
        if self._lock._is_owned():  # type: ignore[attr-defined]
            # As Condition asks.  A signal handler interrupted this thread, and who
            # syncs just now may be waiting for this lock.
            self._threads.sync()
            return
        for error in self._durable.sync(self._lock, self._duplicate, self._directory):
            self._trouble("sync", "the disk may not have its last lines", error)

    def sync_due(self, now: float) -> float | None:
        """
        Have the disk keep what is due.

        Args:
            now: Seconds that never go back.

        Returns:
            Seconds until something else is due; ``None``: not before we say so.
        """
        # First: for what is written from here on.
        self._is_sync_asked = False
        if not self._durable.has_full:
            if not self._is_synced_while_active() or self._durable.is_clean:
                return None
            wait: float = self._synced_at + self.policy.sync_interval - now
            if wait > 0 and self.policy.sync == INTERVAL:
                self._is_sync_asked = True
                return wait
        self._synced_at = now
        self.sync()
        return None

    def maintain(self) -> float | None:
        """
        Do a part of what there is to do for this file besides writing to it.

        Returns:
            Seconds until there is more to do, 0 at once; ``None``: not before we
            say so.
        """
        written = self._counts["written"]
        pauses: list[float | None] = [
            None if self.flush(patience=0) else _RETRY,
            self._room.look(self._directory, self.policy, written),
        ]
        if written and self.policy.limits.backup_count:
            pauses.append(self._upkeep.step(self._care()))
        return min((each for each in pauses if each is not None), default=None)

    def rest(self) -> None:
        """Let go of what `maintain` has half done; it begins again."""
        self._upkeep.close()

    def statistics(self) -> Statistics:
        """Return what happened to this file so far."""
        counts: dict[str, object] = dict(self._counts)
        counts["waiting"] = len(self._waiting)
        counts["repaired"] = self._repaired
        counts["last_error"] = self._last_error
        counts["sealed"] = self._durable.sealed
        counts["compressed"] = self._upkeep.compressed
        with suppress(OSError):
            counts["segments"] = sum(
                is_file and names.segment_number(self._name, entry) is not None
                for entry, is_file in self._entries().items()
            )
        return Statistics(**counts)

    def at_exit(self) -> bool:
        """
        Write what waits now or never, and say how much was never written.

        Returns:
            Whether nobody is stuck in a write.
        """
        if not self._take_turn(_PATIENCE):
            self._lose()
            return False
        try:
            # A signal handler that raised may have left it so; nobody is at it.
            self._busy = False
            if not self._flush():
                self._lose()
                self._waiting.clear()
                self._late = 0
                self._give_up_line()
                unwritten.discard(self)
        finally:
            self._lock.release()
        return True

    def _lose(self) -> None:
        """Say that what waits is lost."""
        lost = len(self._waiting)
        self._counts["dropped"] += lost
        self.on_trouble("lost", f"{lost} records could not be written; lost")

    def after_fork_in_parent(self) -> None:
        """Have the next line wake the threads, which ended before the fork."""
        self._room.is_watched = False
        if self._is_sync_asked:
            self._threads.sync()

    def after_fork(self) -> None:
        """
        Start clean in a forked child.

        What waits is the parent's.  So is the lock: with its descriptor the
        child lets go of it at once, or it could outlive the process that took it.
        """
        self._wait_for_nothing()
        self._repaired = 0
        self._last_error = None
        self._durable.after_fork()
        self._upkeep.after_fork()
        self._ask_anew()
        self._start_clean()

    def _accept(self, line: bytes) -> bool:
        """Write *line*, or let it wait, or drop it; whether it was written."""
        if self._room.is_lacking or (
            len(self._waiting) >= self.policy.max_waiting and not self._flush()
        ):
            # What waits was accepted; the newest is not.
            self._drop(1)
            return False
        self._waiting.append(line)
        return not self._busy and self._write_waiting()

    # On its own; `waiting` says why no loop stands inside a ``with``.
    def _accept_all(self, lines: deque[bytes]) -> None:
        while lines:
            room = self.policy.max_waiting - len(self._waiting)
            if self._room.is_lacking or (room <= 0 and not self._flush()):
                self._drop(len(lines))
                lines.clear()
                break
            for _ in range(min(max(room, 1), len(lines))):
                self._waiting.append(lines.popleft())
            self._flush()

    def _drop(self, count: int) -> None:
        self._counts["dropped"] += count
        why = f"{self.policy.max_waiting} lines wait already"
        if self._room.is_lacking:
            why = "less than min_free_bytes is free on its disk"
        self.on_trouble(
            "drop", f"{why}; {self._counts['dropped']} records dropped so far"
        )

    def _see_to_disk(self) -> None:
        """After a write, without the lock: what else has to happen."""
        if self.policy.sync == ALWAYS:
            self.sync()
        elif self.policy.sync == INTERVAL and not self._is_sync_asked:
            self._is_sync_asked = True
            self._threads.sync()
        if not self._room.is_watched:
            self._room.is_watched = True
            self._threads.maintain()

    def _open(self, calls: Ordinary | None = None) -> None:
        super()._open(calls)
        if self._is_synced_while_active():
            self._durable.renamed()  # by whomever it was made, and whenever

    def _on_full(self, path: str) -> None:
        self._counts["rotations"] += 1
        if self.policy.sync != NEVER:
            self._durable.renamed(path)
            self._threads.sync()
        self._upkeep.ask()
        self._threads.maintain()

    def _on_written(self) -> None:
        self._durable.wrote()

    def _on_failure(self) -> None:
        self._threads.maintain()

    def _is_synced_while_active(self) -> bool:
        return self._is_regular and self.policy.sync in {ALWAYS, INTERVAL}

    def _duplicate(self) -> int | None:
        if self._fd >= 0 and self._is_synced_while_active():
            return os.dup(self._fd)
        return None

    def _dispose(self, fd: int) -> None:
        if self._is_synced_while_active() and self._durable.has_lines:
            # Moved away by somebody who may not sync it.
            self._durable.left(fd)
            self._threads.sync()
        else:
            super()._dispose(fd)

    def _care(self) -> Care:
        return Care(self._directory, self._name, self._aside, self.policy)


all_segments: weakref.WeakSet[Segments] = weakref.WeakSet()
