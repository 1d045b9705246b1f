"""
The directory of one spool: whose it is, what is in it, how far it is done.

    <spool_dir>/20261123T183000.123456Z-1a2b3c4d/
        lock            held by flock while the owner lives; never judged by a pid
        000001 ...      records, appended

``lock`` has two lines.  The first is the checkpoint, the file number and the offset
up to which all is done, of fixed length: one small write, so that whoever is killed
leaves the old or the new one.  The second is the label: what the events are for.

Whoever makes a place locks it after the fact, and whoever looks for places of the
dead may find it in between: both look, once they have the lock, whether the path
still leads to what they locked.

On Windows there are no such locks: there, one process at a time may use a
*spool_dir*.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from contextlib import suppress
from datetime import datetime, timezone
from zlib import crc32

from chimera_log.files import opening
from chimera_log.files.syscalls import Ordinary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    Label = dict[str, str | None]

NAME = re.compile(r"[0-9]{8}T[0-9]{6}\.[0-9]{6}Z-[0-9a-f]{8}")
FILE_MODE = 0o640
_DIRECTORY_MODE = 0o750
_LOCK = "lock"
_SEGMENT = re.compile(r"[0-9]{6,12}")
_CHECKPOINT = re.compile(rb"([0-9]{12}) ([0-9]{20}) ([0-9a-f]{8})\n")
_CHECKPOINT_BYTES = 43
_MAX_LABEL = 64 * 1024  # bytes
_MAX_TRIES = 10  # names that others take away while we make the place
_FLAGS = opening.FLAGS | opening.NOFOLLOW
# What was planted in place of a file, a pipe say, must not make us wait.
_FLAGS_AT_ONCE = _FLAGS | getattr(os, "O_NONBLOCK", 0)

# What this process has: where there are no locks, nothing else says so.
places_here: set[str] = set()


class Place:
    """
    A spool's directory that this process has locked.

    Args:
        path: Absolute.
        fd: Its lock file, open and locked; ours from now on.
        label: What its events are for, if that can be told.
        done: File number and offset up to which all is done.
    """

    def __init__(
        self, path: str, fd: int, label: Label | None, done: tuple[int, int]
    ) -> None:
        self.path = path
        self.label = label
        self.done = done
        self._fd = fd
        found = os.fstat(fd)
        self._identity = found.st_dev, found.st_ino
        places_here.add(path)

    def __del__(self) -> None:
        """Let go of a place that nobody closed; it may be a parent's."""
        with suppress(Exception):  # the interpreter may be half gone
            self.after_fork()

    def segment_path(self, number: int) -> str:
        """Return the path of the file *number*."""
        return os.path.join(self.path, f"{number:06}")

    def segments(self) -> list[tuple[int, int]]:
        """
        Return the number and the size of each file, in order.

        Raises:
            OSError: If that cannot be found out.
        """
        found = []
        with os.scandir(self.path) as entries:
            for entry in entries:
                if _SEGMENT.fullmatch(entry.name) and entry.is_file(
                    follow_symlinks=False
                ):
                    size = entry.stat(follow_symlinks=False).st_size
                    found.append((int(entry.name), size))
        return sorted(found)

    def is_there(self) -> bool:
        """Whether the path still leads to what we locked."""
        return self._fd >= 0 and _identity_at(self._lock_path()) == self._identity

    def checkpoint(self, number: int, offset: int) -> None:
        """
        Note that all is done up to *offset* of the file *number*.

        Raises:
            OSError: If that cannot be noted.
        """
        _write_at(self._fd, _checkpoint(number, offset), 0)
        self.done = number, offset

    def close(self) -> None:
        """Let go of the lock."""
        # Said, not left to closing: a child may have a duplicate for a moment.
        with suppress(OSError, ValueError):  # closed already, or behind our back
            Ordinary().unlock(self._fd)
        self.after_fork()

    def after_fork(self) -> None:
        """Leave the lock to the parent, whose it is."""
        fd, self._fd = self._fd, -1
        places_here.discard(self.path)
        if fd >= 0:
            # At once, and without a word: an open descriptor would keep the parent's
            # lock beyond its death, and a word would end it now.
            with suppress(OSError):  # closed behind our back
                os.close(fd)

    def remove(self) -> None:
        """
        Remove the directory, in which there are no records any more.

        What is not ours stays, and the directory with it.

        Raises:
            OSError: If it cannot be removed.
        """
        # Closed before: Windows removes no open file.  Whoever locks it meanwhile
        # finds no records, and does the same.
        self.close()
        with suppress(FileNotFoundError):
            os.unlink(self._lock_path())
        try:
            os.rmdir(self.path)
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise

    def _lock_path(self) -> str:
        return os.path.join(self.path, _LOCK)


def make_place(directory: str, label: Label) -> Place:
    """
    Make a place in *directory*, which is made as well, and lock it.

    Raises:
        OSError: If that cannot be done; then nothing of it is left.
    """
    for _ in range(_MAX_TRIES):
        now = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S.%f")
        path = os.path.join(directory, f"{now}Z-{os.urandom(4).hex()}")
        opening.make_directory(path, _DIRECTORY_MODE)
        try:
            place = _claimed(path, label)
        except OSError:
            _clear_away(path)
            raise
        if place is not None:
            return place
    raise OSError(errno.EBUSY, "others take away what is made here", directory)


def seize_place(path: str) -> Place | None:
    """
    Return the place at *path*, locked, if it is one whose owner is dead.

    Raises:
        OSError: If it cannot be locked or read.
    """
    lock = os.path.join(path, _LOCK)
    try:
        fd = os.open(lock, _FLAGS_AT_ONCE)
    except FileNotFoundError:
        # Somebody was killed before he made the file, or after he removed it.
        with suppress(OSError):  # it is not empty
            os.rmdir(path)
        return None
    try:
        if not _is_ours_now(fd, lock):
            os.close(fd)
            return None
        content = opening.read_at(fd, _MAX_LABEL, 0)
        return Place(path, fd, _label(content), _done(content))
    except BaseException:
        os.close(fd)
        raise


def candidates(directory: str) -> Iterator[str]:
    """
    Give the paths in *directory* that may be places of others, the oldest first.

    Raises:
        OSError: If it cannot be listed.
    """
    with os.scandir(directory) as entries:
        names = [
            entry.name
            for entry in entries
            if NAME.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
        ]
    for name in sorted(names):
        path = os.path.join(directory, name)
        if path not in places_here:
            yield path


def _claimed(path: str, label: Label) -> Place | None:
    """Lock and label the directory at *path*; ``None``: somebody took it away."""
    lock = os.path.join(path, _LOCK)
    try:
        fd = opening.open_or_make(lock, _FLAGS, FILE_MODE)
    except FileNotFoundError:  # it was empty, and seemed to be left behind
        return None
    try:
        if not _is_ours_now(fd, lock):
            os.close(fd)
            return None
        text = json.dumps(label, sort_keys=True).encode()
        _write_at(fd, _checkpoint(0, 0) + text + b"\n", 0)
        return Place(path, fd, label, (0, 0))
    except BaseException:
        os.close(fd)
        raise


def _clear_away(path: str) -> None:
    """Remove what was made of a place that came to nothing."""
    with suppress(OSError):
        os.unlink(os.path.join(path, _LOCK))
    with suppress(OSError):
        os.rmdir(path)


def _is_ours_now(fd: int, path: str) -> bool:
    """Lock the file that *path* leads to, open as *fd*; whether that was possible."""
    found = os.fstat(fd)
    return (
        stat.S_ISREG(found.st_mode)
        and Ordinary().try_lock(fd)
        and _identity_at(path) == (found.st_dev, found.st_ino)
    )


def _identity_at(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path, follow_symlinks=False)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _write_at(fd: int, data: bytes, offset: int) -> None:
    """Write *data*, all of it, in one call."""
    if hasattr(os, "pwrite"):
        written = os.pwrite(fd, data, offset)
    else:  # Windows
        os.lseek(fd, offset, os.SEEK_SET)
        written = os.write(fd, data)
    if written < len(data):
        raise OSError(errno.ENOSPC, "no space left for all of it")


def _checkpoint(number: int, offset: int) -> bytes:
    text = b"%012d %020d" % (number, offset)
    return b"%b %08x\n" % (text, crc32(text))


def _done(content: bytes) -> tuple[int, int]:
    """Return the checkpoint that *content* begins with; if damaged, the very first."""
    found = _CHECKPOINT.match(content)
    if found and crc32(content[: found.start(3) - 1]) == int(found[3], 16):
        return int(found[1]), int(found[2])
    return 0, 0


def _label(content: bytes) -> Label | None:
    """Return the label that *content* holds, if it is one."""
    try:
        found = json.loads(content[_CHECKPOINT_BYTES:])
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not all(
        value is None or isinstance(value, str) for value in found.values()
    ):
        return None
    return found
