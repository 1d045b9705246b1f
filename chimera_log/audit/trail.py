"""
The engine of an audit trail: a log file in which each line vouches for the last.

It is the engine of all log files, and links each line as it is written, under the
lock between processes, so that the numbers have no gaps, whoever writes.  Where the
chain ends is remembered; it is looked for in the file only when it is opened, or when
somebody else wrote to it.

Three things are stricter than in an ordinary log file.  Nothing is written without
the lock, where there are locks: lines wait instead.  A full file is synced before it
is renamed, so that no power cut takes the middle of a chain.  And nothing here
deletes anything.

What a killed writer left is put aside, or stays where it cannot be cut off; either
way a line of the trail's own, ``audit_recovered``, says what it was.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
import weakref
from collections import namedtuple

from chimera_log.audit import chain, heads
from chimera_log.audit.keeping import TrailUpkeep
from chimera_log.audit.manifest import Manifests
from chimera_log.audit.reserve import Reserve
from chimera_log.audit.witness import Checkpoints
from chimera_log.files import opening
from chimera_log.files.policy import Threads
from chimera_log.files.segments import Segments
from chimera_log.record import Clock
from chimera_log.worker import WITNESSES, at_exit, members

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from chimera_log.audit.chain import Head
    from chimera_log.files.policy import Policy
    from chimera_log.files.syscalls import Ordinary

    # Where the chain ends, and the line that has to come next, if any.  A plain tuple:
    # one is made for each record.
    _State = tuple[Head, "bytes | None"]

_sync_file = getattr(os, "fdatasync", os.fsync)
_NOWHERE: _State = (chain.begin("0" * 32), None)
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})

# What a trail is told besides what every log file is.
Rules = namedtuple(
    "Rules",
    [
        "key",  # `chain.Key`, or ``None``
        "retention_floor_days",
        "checkpoint_interval",  # seconds; 0: not because of the time
        "checkpoint_records",  # 0: not because of their number
        "reserve_bytes",  # 0: none
        "archive",  # `archive.Archive`: where full files go, or ``None``
        "database",  # `index.Database`: where its records are listed, or ``None``
    ],
    defaults=[None, None],
)


class Trail(Segments):
    """
    The trail at *path*; arguments as for `Segments`, with `Rules` in the policy.

    Its active file is a regular one; a pipe or a device has no end that could be
    read again.
    """

    _instead = "its records wait"
    _kind_of_upkeep = TrailUpkeep

    def __init__(
        self,
        path: str,
        policy: Policy,
        on_trouble: Callable[[str, str], None],
        clock: Callable[[], float] = time.time,
        threads: Threads = Threads(),  # noqa: B008  immutable
    ) -> None:
        # The chain's end for each place where the file may end: before a write and
        # after it.  Which of them holds is told by the file itself, so that nothing
        # that interrupts us, or fails, can leave a wrong one.
        self._states: dict[tuple[object, int], _State] = {}
        self._now = self._next = _NOWHERE
        self._owed: list[bytes] = []  # lines about fragments that were cut off
        self.head: Head | None = None  # the last line that we wrote
        self._times = Clock()
        super().__init__(path, policy, on_trouble, clock, threads)
        all_trails.add(self)

    def use(self, policy: Policy) -> None:
        """Behave as *policy* says from now on."""
        super().use(policy)
        self._take_options()

    def _ask_anew(self) -> None:
        super()._ask_anew()
        self._take_options()

    def tell(self, event: str, context: Mapping[str, Any]) -> bool:
        """Append a line of the trail's own; whether it is written."""
        return self.append(self._own_line(event, context))

    def secure(self, timeout: float) -> bool:
        """
        Have the disk keep what was written before; whether it does.

        Args:
            timeout: Seconds that it may take.
        """
        done = self._durable.done
        if not self._durable.is_kept(done):
            self._synced_at = float("-inf")  # now, not when the interval is over
            self._threads.finish_sync(timeout)
        return self._durable.is_kept(done)

    @property
    def trouble(self) -> str:
        """Why a line may not have been written, in words."""
        return self._last_error or "it waits for another one to be written"

    def checkpoint(self) -> None:
        """Tell the other outputs where the chain ends, once the disk has it."""
        head = self.head
        if head is not None and self._checkpoints.is_on:
            self.sync()
            self._checkpoints.tell(head, self.path)

    def maintain(self) -> float | None:
        """Do a part of what there is to do; as in `Segments`."""
        pauses = super().maintain(), self._see_to_witnesses()
        self._reserve.fill()
        return min((each for each in pauses if each is not None), default=None)

    def after_fork(self) -> None:
        """Start clean in a forked child; as in `Segments`."""
        self._states.clear()
        self._owed.clear()
        self.head = None
        super().after_fork()

    def _take_options(self) -> None:
        rules = self.policy.rules
        self._checkpoints = Checkpoints(
            rules.checkpoint_interval, rules.checkpoint_records
        )
        # Whoever signed them: the chain goes on, though the key has changed.
        self._manifests = Manifests(self._aside.path, self._name)
        self._reserve = Reserve(self._aside.path, rules.reserve_bytes)

    def _see_to_witnesses(self) -> float | None:
        """Tell the head if that is due; return the seconds until it will be."""
        self._checkpoints.sleep()
        if self.head is None:
            return None
        pause = self._checkpoints.pause(self.head.seq, time.monotonic())
        if pause == 0:
            self.checkpoint()
        return pause

    def _see_to_disk(self) -> None:
        super()._see_to_disk()
        head = self.head
        if head is not None and self._checkpoints.wakes(head.seq):
            self._threads.maintain()

    def _open(self, calls: Ordinary | None = None) -> None:
        super()._open(calls)
        if not self._is_regular:
            self._close_file()
            what = "is no regular file, which an audit trail has to be"
            raise OSError(errno.EINVAL, what, self.path)
        bits = os.stat(self._directory).st_mode
        if bits & stat.S_IWOTH and not bits & stat.S_ISVTX:
            self.on_trouble(
                "permissions",
                "everybody may write to its folder, and remove or replace it; "
                f"chmod o-w {self._directory}",
            )

    def _gathered(self) -> bytes:
        """
        Return the lines of one write, linked.

        Raises:
            OSError: If that cannot be done now: the lock is somebody else's, or the
                end of the chain cannot be read.
        """
        if not self._is_locked:
            if self._has_locks:
                raise BlockingIOError(
                    errno.EAGAIN, "another process holds its lock", self.path
                )
            self._mend(os.fstat(self._fd).st_size)
        known = self._states.get((self._identity, self._size))
        self._now = head, owed = known or self._look()
        key = self.policy.rules.key
        if self._batch == 1 and not owed and not self._owed:
            line, head = chain.linked(self._waiting[0], head, key)
            self._next = head, None
            return line
        lines = [self._waiting[each] for each in range(self._batch)]
        linked = []
        for line in [*filter(None, [owed]), *self._owed, *lines]:
            one, head = chain.linked(line, head, key)
            linked.append(one)
        self._next = head, None
        return b"".join(linked)

    def _write(self, lines: bytes) -> None:
        # What vouches for something in this file belongs into this file.
        may_rotate = self._is_locked and self._size and not self._now[1]
        if may_rotate and self._is_full_for(lines):
            self._rotate()
            # Again: a sibling may have been first in the new file.
            lines = self._gathered()
        self._write_line(lines)

    def _write_line(self, line: bytes) -> None:
        file, size = self._identity, self._size
        self._states = {
            (file, size): self._now,
            (file, size + len(line)): self._next,
        }
        try:
            self._write_locked(line)
        except OSError as error:
            if error.errno not in _NO_ROOM or not self._reserve.release():
                raise
            self.on_trouble("reserve", "the disk is full; its reserve is given back")
            self._write_locked(line)

    def _on_written(self) -> None:
        self._durable.wrote()
        self.head = self._next[0]
        if self._owed:
            self._owed.clear()

    def _look(self) -> _State:
        """
        Look for the end of the chain, in the file and in those before it.

        What has to come next is a line that vouches for what follows that end.
        """
        end = heads.end_of_file(self._fd, self._size)
        if end.head is None:
            before = self._identity
            if end.gap and end.gap.kind == heads.LEGACY and self._may_rotate():
                # It is from before there was a chain; that begins in a new file.
                self._rotate()
                if self._identity != before:
                    return self._look()
            end = end._replace(head=self._head_elsewhere())
        return end.head, self._vouched(end)

    def _head_elsewhere(self) -> Head:
        """Return the end of the chain in other files, or as we know it, or a new one."""
        files = [entry for entry, is_file in self._entries().items() if is_file]
        found = heads.end_of_segments(
            self._directory, self._name, files, self._manifests
        )
        if self.head is not None and (found is None or found.seq < self.head.seq):
            # Somebody took our last lines away.  They are missed, not written anew.
            return self.head
        return found or chain.begin(os.urandom(16).hex())

    def _may_rotate(self) -> bool:
        return self._is_locked and self.policy.limits.backup_count > 0

    def _vouched(self, end: heads.End) -> bytes | None:
        """Return the line that vouches for what follows the chain's end, if one may."""
        gap = end.gap
        if gap is None:
            return None
        if gap.kind == heads.TORN or (gap.kind == heads.LEGACY and not end.head.seq):
            return self._recovered(gap.kind, gap.bytes, gap.sha256, left=True)
        self.on_trouble(
            "foreign",
            f"somebody else wrote {gap.bytes} bytes to the trail; verify will name them",
        )
        return None

    def _cut_back(self) -> None:
        """Put aside the half line that a killed writer left, and vouch for it."""
        start, size = self._last_line(), self._size
        fragment = opening.read_at(self._fd, size - start, start)
        super()._cut_back()
        if self._size == start:  # else it stays, and is found at the end of the chain
            found = hashlib.sha256(fragment).hexdigest()
            self._owed.append(
                self._recovered(heads.TORN, len(fragment), found, left=False)
            )

    def _recovered(self, kind: str, size: int, sha256: str, *, left: bool) -> bytes:
        context = {"kind": kind, "bytes": size, "sha256": sha256, "left": left}
        return self._own_line("audit_recovered", context)

    def _own_line(self, event: str, context: Mapping[str, Any]) -> bytes:
        return chain.own_line(self._times.timestamp(self._clock()), event, context)

    def _mend(self, size: int) -> None:
        self._states.clear()  # somebody else wrote, or we failed to
        super()._mend(size)

    def _rename(self, full: str) -> None:
        here = self._states.get((self._identity, self._size))
        # The next file's lines vouch for this one's: they must not outlive them.
        _sync_file(self._fd)
        super()._rename(full)
        if here is not None and not self._size:
            # Nobody was first: the chain goes on where we left it.
            self._states = {(self._identity, 0): here}

    def _on_full(self, path: str) -> None:
        if self.head is not None:
            self._checkpoints.hurry(self.head.seq)
        super()._on_full(path)


all_trails: weakref.WeakSet[Trail] = weakref.WeakSet()


@at_exit(WITNESSES)
def _at_exit() -> None:
    for trail in members(all_trails):
        trail.flush()
        trail.checkpoint()
