"""
A log file that grows by whole lines and moves on to a new one when it is full.

The active file has the configured name.  A full one is renamed, once, to
``<name>.<UTC of its first line>.<number>`` (``chimera.log.20251027T083800Z.000001``):
numbers only grow and names are never used again, so that whoever copies,
compresses or lists segments never meets another file under a name it knows.

Each append takes the file's lock (`flock`, so that it goes with the process
that held it), looks whether the path still names this file, rotates if the
line does not fit, and writes the line in one call.  A line is in the kernel's
hands, safe from the death of this process, before `append` returns.

Names are pure functions; `Segments` does the I/O.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
import time
import weakref
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_SEGMENT = re.compile(r"\.(\d{8}T\d{6}Z)\.(\d{6,})(?:\.gz)?")
# Our own lines, and many others, tell their time within their first bytes.
_TIME = re.compile(rb"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)")
_LOOK_FOR_TIME = 100  # bytes
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)


if sys.platform == "win32":  # one writer per file, which needs no lock

    def _lock(fd: int) -> None:
        pass

    _unlock = _lock
else:
    import fcntl

    def _lock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX)

    def _unlock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_UN)


def segment_name(name: str, first: float, number: int) -> str:
    """
    Return the name of a full segment.

    Args:
        name: The active file's name, without its directory.
        first: When its first line was written, in seconds since the epoch.
        number: Its number, at least 1.
    """
    date = "%04d%02d%02dT%02d%02d%02dZ" % time.gmtime(first)[:6]  # noqa: UP031  six fields
    return f"{name}.{date}.{number:06d}"


def segment_number(name: str, entry: str) -> int | None:
    """Return the number of directory *entry*, if it is a segment of *name*."""
    if not entry.startswith(name):
        return None
    match = _SEGMENT.fullmatch(entry, len(name))
    return int(match[2]) if match else None


def time_of_line(start: bytes) -> float | None:
    """Return the time that a line's *start* tells, in seconds since the epoch."""
    from calendar import timegm  # noqa: PLC0415  only a rotation needs it

    match = _TIME.search(start)
    if not match:
        return None
    try:
        date = time.strptime(
            f"{match[1].decode()} {match[2].decode()}", "%Y-%m-%d %H:%M:%S"
        )
    except ValueError:  # digits, but no date
        return None
    return float(timegm(date))


def superfluous(name: str, entries: Iterable[str], keep: int) -> list[str]:
    """Return the segments of *name* beyond the newest *keep*, the oldest first."""
    numbered = sorted(
        (number, entry)
        for entry in entries
        if (number := segment_number(name, entry)) is not None
    )
    return [entry for _, entry in numbered[: max(len(numbered) - keep, 0)]]


class Segments:
    """
    The active file at *path* and the full segments beside it.

    Nothing is opened before the first `append`.  Not safe for use by two
    threads at once; the handler's lock sees to that.

    Args:
        path: The active file, absolute.
        max_bytes: Size at which a file counts as full; 0 never rotates.
        backup_count: Full segments kept; 0 never rotates, as in the standard
            library.
        mode: Permission bits of every file made, whatever the umask.
        on_trouble: Told in words when a rotation failed; the line is written
            to the old file then.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        path: str,
        *,
        max_bytes: int,
        backup_count: int,
        mode: int,
        on_trouble: Callable[[str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._directory, self._name = os.path.split(path)
        self._max_bytes = max_bytes if backup_count else 0
        self._backup_count = backup_count
        self._mode = mode
        self._on_trouble = on_trouble
        self._clock = clock
        self._fd = -1
        self._inode = (0, 0)
        self._is_regular = True
        self._size = 0
        self._last_number = 0
        _open_segments.add(self)

    def append(self, line: bytes) -> None:
        """
        Write *line*, whole, to the active file.

        A line longer than *max_bytes* is written whole too, alone in its file.

        Raises:
            OSError: If the place cannot be written; nothing of the line is
                left there.
        """
        self._lock()
        try:
            full = self._size + len(line) > self._max_bytes
            if self._max_bytes and self._size and full:
                self._rotate()
            written = os.write(self._fd, line)
            if written != len(line):
                # The disk is full: half a line would spoil the next one too.
                os.ftruncate(self._fd, self._size)
                raise OSError(
                    errno.ENOSPC, "no space left for a whole line", self._path
                )
        finally:
            self._unlock()

    def rotate(self) -> None:
        """Move on to a new file now, unless this one is empty."""
        self._lock()
        try:
            if self._is_regular and self._size:
                self._rotate()
        finally:
            self._unlock()

    def close(self) -> None:
        """Close the file; the next `append` opens it again."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _lock(self) -> None:
        """Hold the lock of the file that *path* names now, opened if need be."""
        while True:
            if self._fd < 0:
                self._open()
            if not self._is_regular:
                return
            _lock(self._fd)
            try:
                found = os.stat(self._path)
            except FileNotFoundError:
                found = None
            except OSError:
                self._unlock()
                raise
            if found and (found.st_dev, found.st_ino) == self._inode:
                self._size = found.st_size
                return
            # Renamed or removed by a sibling or by logrotate.
            self.close()

    def _unlock(self) -> None:
        if self._is_regular and self._fd >= 0:
            _unlock(self._fd)

    def _open(self) -> None:
        try:
            fd = os.open(self._path, _FLAGS, self._mode)
        except FileNotFoundError:
            os.makedirs(self._directory, exist_ok=True)
            fd = os.open(self._path, _FLAGS, self._mode)
        found = os.fstat(fd)
        self._fd, self._inode = fd, (found.st_dev, found.st_ino)
        # A terminal, a pipe or /dev/null is written to, never rotated.
        self._is_regular = stat.S_ISREG(found.st_mode)
        self._size = 0
        if self._is_regular and not found.st_size and hasattr(os, "fchmod"):
            with suppress(PermissionError):  # somebody else's, but ours to write
                os.fchmod(fd, self._mode)  # what open() made, the umask narrowed

    def _rotate(self) -> None:
        """Rename the active file and open a new one, if that can be done."""
        try:
            with os.scandir(self._directory) as found:
                entries = {entry.name: entry.is_file() for entry in found}
            numbers = [segment_number(self._name, entry) or 0 for entry in entries]
            number = max([self._last_number, *numbers]) + 1
            full = segment_name(self._name, self._first_time(), number)
            os.rename(self._path, os.path.join(self._directory, full))
            # Remembered too: what lay here may have been moved away meanwhile.
            self._last_number = number
            self._reopen()
            files = [full, *(entry for entry in entries if entries[entry])]
            for entry in superfluous(self._name, files, self._backup_count):
                os.unlink(os.path.join(self._directory, entry))
        except OSError as error:
            self._on_trouble(f"cannot rotate: {error}; writing on")

    def _reopen(self) -> None:
        """Open and lock the new file, or stay with the old one."""
        old, self._fd = self._fd, -1
        try:
            self._lock()
        except OSError:
            # Better a line in the full file than none; the next one tries again.
            self.close()
            self._fd = old
            raise
        os.close(old)

    def _first_time(self) -> float:
        """Return when the active file's first line was written."""
        with open(self._path, "rb") as file:
            first = time_of_line(file.read(_LOOK_FOR_TIME))
        return self._clock() if first is None else first


# A forked child shares the parent's locks with the descriptors it inherits: it
# lets go of them at once, or a lock could outlive the process that took it.
_open_segments: weakref.WeakSet[Segments] = weakref.WeakSet()


def _close_all() -> None:
    for segments in list(_open_segments):
        segments.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_all)
