"""
The one open file that lines are appended to: locked, looked at, mended.

Its lock (`flock`) goes with the process that held it.  Under the lock one look
at the path tells whether it still names this file (no: logrotate or a sibling
moved it; the new one is opened), and whether the end is where we left it (no:
somebody else wrote; if he died in the middle of a line, his fragment is put
aside).

An `ActiveFile` writes one line or raises `OSError`; what to do then, and when
to move on to a new file, is `segments`' business.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections import namedtuple
from contextlib import suppress

from chimera_log.files.aside import Aside
from chimera_log.files.syscalls import Ordinary, calls_for

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.00005, 0.002  # seconds between two tries for a lock
_IMPATIENCE = 10.0  # seconds without waiting, after a lock was waited for in vain
# A file system without locks, or out of them: no reason to lose a line.
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP})
_MAX_LOOKS = 100  # at a path that names another file each time
_BLOCK = 64 * 1024  # bytes read at a time in search of a line's beginning

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


class ActiveFile:
    """
    The file at *path*, opened when a lock is taken for the first time.

    Args:
        path: Absolute.
        policy: How it behaves.
        on_trouble: Told the kind of trouble (``write``, ``rotate``, ``lock``,
            ``repair`` or ``lost``) and, in words, what could not be done.
    """

    def __init__(
        self, path: str, policy: Policy, on_trouble: Callable[[str, str], None]
    ) -> None:
        self.path = path
        self.policy = policy
        self.on_trouble = on_trouble
        self._directory, self._name = os.path.split(path)
        self._aside = Aside(self._directory, self._name)
        self._repaired = 0
        self._last_error: str | None = None
        self._impatient_until = float("-inf")
        self._fd = -1
        self._identity = (0, 0)
        self._calls = Ordinary()
        # A terminal, a pipe or /dev/null is written to, never locked or rotated.
        self._is_regular = True
        self._is_locked = False
        self._size = 0
        self._end: int | None = None  # where we left it; None: look at it first

    def __del__(self) -> None:
        """Close a file that nobody closed."""
        with suppress(Exception):  # the interpreter may be half gone
            self._close_file()

    def _take_lock(self) -> bool:
        """
        Hold the lock of the file that the path names now, opened if need be.

        Returns:
            ``False`` if somebody else would not let go of it in time; then the
            file is open, and may be appended to but not rotated.
        """
        for _ in range(_MAX_LOOKS):
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
                self._is_locked = True
                self._size = look.size
                if self._size != self._end:
                    self._repair()
                return True
            self._close_file()  # renamed or removed by a sibling or by logrotate
        # A file system, perhaps, that gives a file another number at every look.
        self._open()
        self.on_trouble("lock", "its path never names the same file; appending without")
        return False

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

    def _write_line(self, line: bytes) -> None:
        """Write one line, or several; all of it or nothing."""
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
        self._repaired += 1
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

    def _open(self) -> None:
        """Open the active file, made with its directory if it is not there."""
        is_device = _is_device(self.path)
        follow = self.policy.follow_symlinks or is_device
        flags = _FLAGS if follow else _FLAGS | _NOFOLLOW
        is_new = not os.path.lexists(self.path)
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
        if is_new and self._is_regular and hasattr(os, "fchmod"):
            with suppress(OSError):  # not every file system keeps modes
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
