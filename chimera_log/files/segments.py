"""
A log file that grows by whole lines, survives its writers, and never loses one.

The active file has the configured name; a full one is renamed, once, as `names`
says.  Any number of threads and processes may append.

An append holds the file's lock (`flock`, which goes with the process that held
it), and in one look learns whether the path still names this file (no: logrotate
or a sibling moved it; open the new one) and whether its end is where we left it
(no: somebody else wrote; if he died in the middle of a line, his fragment is put
aside).  Then it rotates if the line does not fit, and writes the line in one
call.  When `append` returns ``True`` the line is in the kernel's hands, and the
death of this process cannot take it back.

What cannot be written waits, in order and within bounds, and is tried again with
the next line; a rotation that fails costs no line either.  A line that comes
while this thread is already writing (from a signal handler, from ``__del__``)
waits for the outer append, which writes it before it lets go of the lock.

Nothing here knows records, formats or `logging`.
"""

from __future__ import annotations

import atexit
import errno
import os
import stat
import threading
import time
import weakref
from collections import deque, namedtuple
from contextlib import suppress

from chimera_log.files import names
from chimera_log.files.aside import Aside
from chimera_log.files.syscalls import Ordinary, calls_for
from chimera_log.report import report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.00005, 0.002  # seconds between two tries for a lock
_IMPATIENCE = 10.0  # seconds without waiting, after a lock was waited for in vain
# A file system without locks, or out of them: no reason to lose a line.
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP})
_BLOCK = 64 * 1024  # bytes read at a time in search of a line's beginning
_LOOK_FOR_TIME = 100  # bytes at a file's beginning

# How a file behaves; the newest handler's wish holds for all that share it.
Policy = namedtuple(
    "Policy",
    [
        "max_bytes",  # size at which a file counts as full; 0 never rotates
        "backup_count",  # full files kept
        "mode",  # permission bits of the files, whatever the umask
        "follow_symlinks",  # whether the path may be a symbolic link
        "lock_timeout",  # seconds to wait for a lock that somebody else holds
        "max_waiting",  # lines that may wait to be written
        "keep_gil",  # whether calls may keep the GIL where that is safe
    ],
)

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


class Segments:
    """
    The file at *path* and the full segments beside it.

    Nothing is opened before the first `append`.  Threads may share it; `shared`
    gives all handlers of a process on one path the same.

    Args:
        path: The active file, absolute.
        policy: How it behaves.
        on_trouble: Told the kind of trouble (``write``, ``rotate``, ``lock``,
            ``repair`` or ``lost``) and, in words, what could not be done.
        clock: Seconds since the epoch; for a file whose first line tells none.
    """

    def __init__(
        self,
        path: str,
        policy: Policy,
        on_trouble: Callable[[str, str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.path = path
        self.policy = policy
        self.on_trouble = on_trouble
        self._directory, self._name = os.path.split(path)
        self._aside = Aside(self._directory, self._name)
        self._clock = clock
        self._lock = threading.RLock()
        self._waiting: deque[bytes] = deque()
        self._late = 0  # how many of these could not be written when they came
        self._busy = False
        self._counts = dict.fromkeys(Statistics._fields, 0)
        self._last_error: str | None = None
        self._last_number = 0
        self._impatient_until = float("-inf")
        self._fd = -1
        self._identity = (0, 0)
        self._calls = Ordinary()
        # A terminal, a pipe or /dev/null is written to, never locked or rotated.
        self._is_regular = True
        self._is_locked = False
        self._size = 0
        self._end: int | None = None  # where we left it; None: look at it first
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
                self._release()
                self._busy = False
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
        self._last_error = None
        self._close_file()

    def _write_waiting(self) -> bool:
        """Write what waits, the oldest first; whether all of it was written."""
        self._busy = True
        try:
            self._take_lock()
            while self._waiting:
                self._write(self._waiting[0])
                self._waiting.popleft()
                if self._late:
                    self._late -= 1
                    self._counts["retried"] += 1
        except OSError as error:
            self._late = len(self._waiting)
            _unwritten.add(self)
            self._trouble("write", "cannot write, will try again", error)
            return False
        finally:
            self._release()
            self._busy = False
        _unwritten.discard(self)
        # One more may have come while the lock was let go of.
        return not self._waiting or self._write_waiting()

    def _write(self, line: bytes) -> None:
        """Write one line; all of it or nothing."""
        if (
            self._is_locked
            and self._size
            and self._size + len(line) > self.policy.max_bytes > 0
        ):
            self._rotate()
        written = self._calls.write(self._fd, line)
        if not self._is_regular:
            while written < len(line):  # a pipe takes what it has room for
                written += self._calls.write(self._fd, line[written:])
        elif written < len(line):
            # The disk is full, and half a line would spoil the next one too.
            # Without the lock, what follows our bytes may be a sibling's line:
            # then whoever next has the lock puts the half line aside.
            self._end = None
            if self._is_locked:
                # Not to where we looked: an impatient sibling may have written since.
                end = os.lseek(self._fd, 0, os.SEEK_CUR)
                os.ftruncate(self._fd, end - written)
            raise OSError(errno.ENOSPC, "no space left for a whole line", self.path)
        self._size += len(line)
        self._end = self._size if self._is_locked else None
        self._counts["written"] += 1
        self._counts["bytes"] += len(line)
        self._counts["unlocked"] += self._is_regular and not self._is_locked

    def _take_lock(self) -> bool:
        """
        Hold the lock of the file that the path names now, opened if need be.

        Returns:
            ``False`` if somebody else would not let go of it in time; then the
            file is open, and may be appended to but not rotated.
        """
        while True:
            if self._fd < 0:
                self._open()
            if not self._is_regular:
                return True
            try:
                if not self._try_lock() and not self._wait_for_lock():
                    return False
                look = self._calls.look(self.path)
            except OSError:
                self._close_file()  # and let go of the lock
                raise
            if look and (look.device, look.inode) == self._identity:
                break
            self._close_file()  # renamed or removed by a sibling or by logrotate
        self._is_locked = True
        self._size = look.size
        if self._size != self._end:
            self._repair()
        return True

    def _try_lock(self) -> bool:
        try:
            return self._calls.try_lock(self._fd)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            self._impatient_until = time.monotonic() + _IMPATIENCE
            self._trouble("lock", "cannot be locked; appending without", error)
            return False

    def _wait_for_lock(self) -> bool:
        """Wait for the lock, the GIL given up; whether it is ours."""
        start = time.monotonic()
        pause = _FIRST_PAUSE
        while start >= self._impatient_until:
            if self._calls.try_lock(self._fd):
                return True
            if time.monotonic() - start >= self.policy.lock_timeout:
                # Not every record waits as long while a sibling is stopped.
                self._impatient_until = time.monotonic() + _IMPATIENCE
                self.on_trouble("lock", "another process holds it; appending without")
                return False
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        return False

    def _release(self) -> None:
        if self._is_locked:
            self._is_locked = False
            with suppress(OSError):  # the next append finds out
                self._calls.unlock(self._fd)

    def _repair(self) -> None:
        """Put aside the half line that a killed writer left at the end, if any."""
        while self._size and os.pread(self._fd, 1, self._size - 1) != b"\n":
            # Is the writer dead, or an impatient sibling who needs no lock and is
            # still at it?  An empty write waits until his is done.
            os.write(self._fd, b"")
            size, self._size = self._size, os.fstat(self._fd).st_size
            if self._size == size:
                self._cut_back()
                break
        self._end = self._size

    def _cut_back(self) -> None:
        """Put aside what follows the last whole line."""
        start = self._last_line()
        fragment = os.pread(self._fd, self._size - start, start)
        self._aside.keep_fragment(fragment, self.policy.mode)
        self._counts["repaired"] += 1
        self.on_trouble(
            "repair", f"a killed writer left {len(fragment)} bytes of a line; put aside"
        )
        try:
            os.ftruncate(self._fd, start)
            self._size = start
        except PermissionError:  # append-only (chattr +a): end the line instead
            self._size += os.write(self._fd, b"\n")

    def _last_line(self) -> int:
        """Return where the last, unfinished line begins."""
        start = self._size
        while start > 0:
            before = max(start - _BLOCK, 0)
            found = os.pread(self._fd, start - before, before).rfind(b"\n")
            if found >= 0:
                return before + found + 1
            start = before
        return 0

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
        os.close(old)

    def _first_time(self) -> float:
        """Return when the active file's first line was written."""
        first = names.time_of_line(os.pread(self._fd, _LOOK_FOR_TIME, 0))
        return self._clock() if first is None else first

    def _open(self) -> None:
        """Open the active file, made with its directory if it is not there."""
        is_device = _is_device(self.path)
        follow = self.policy.follow_symlinks or is_device
        flags = _FLAGS if follow else _FLAGS | _NOFOLLOW
        try:
            fd = os.open(self.path, flags, self.policy.mode)
        except FileNotFoundError:
            os.makedirs(self._directory, exist_ok=True)
            fd = os.open(self.path, flags, self.policy.mode)
        except OSError as error:
            if error.errno == errno.ELOOP:
                what = "is a symbolic link; name its target, or set follow_symlinks"
                raise OSError(errno.ELOOP, what, self.path) from error
            raise
        found = os.fstat(fd)
        self._fd, self._identity = fd, (found.st_dev, found.st_ino)
        self._is_regular = stat.S_ISREG(found.st_mode) and not is_device
        self._calls = calls_for(fd) if self.policy.keep_gil else Ordinary()
        if self._is_regular and not found.st_size and hasattr(os, "fchmod"):
            with suppress(PermissionError):  # somebody else's, but ours to write
                os.fchmod(fd, self.policy.mode)  # what open() made, the umask narrowed

    def _close_file(self) -> None:
        """Close the file, and with it let go of its lock."""
        fd, self._fd, self._is_locked, self._end = self._fd, -1, False, None
        if fd >= 0:
            with suppress(OSError):  # closed behind our back
                os.close(fd)

    def _trouble(self, kind: str, what: str, error: OSError) -> None:
        self._last_error = str(error)
        self.on_trouble(kind, f"{what}: {error}")


def _is_device(path: str) -> bool:
    """
    Whether *path* is one that the system made, often a link (``/dev/stdout``).

    What such a name leads to is somebody else's, though it be a regular file.
    """
    return path.startswith(("/dev/", "/proc/")) and not path.startswith("/dev/shm/")  # noqa: S108  memory for everybody's files


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


@atexit.register
def _at_exit() -> None:
    for segments in list(_all_segments):
        segments.at_exit()
