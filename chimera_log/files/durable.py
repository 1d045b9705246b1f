"""
When lines survive a power cut, and not only the death of their process.

A line that was written is in the kernel's hands; the disk has it when the file
is synced, and a file has its name when its directory is.  `Durability` keeps
account of what of one log file the disk was not yet told to keep.  A sync is
made outside the engine's lock, so that others write on meanwhile, and one sync
serves all who wait for it.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from chimera_log.files import opening
from chimera_log.native import RLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

_sync_file = getattr(os, "fdatasync", os.fsync)

# A system without it opens no directories (Windows).
_DIRECTORY = getattr(os, "O_DIRECTORY", 0)
# It syncs only what is open for writing; append-only files are not opened for it.
_FILE = opening.FLAGS & ~os.O_RDWR if _DIRECTORY else opening.FLAGS


class Durability:
    """
    What of one log file is not known to be on the disk.

    The engine says, holding its lock, what it did; `sync` does the rest.
    """

    def __init__(self) -> None:
        self._left: list[int] = []  # files that others moved away, still open
        self._begin()

    def __del__(self) -> None:
        """Close what nobody synced."""
        with suppress(Exception):  # the interpreter may be half gone
            self._close()

    def after_fork(self) -> None:
        """Start clean in a forked child: its parent syncs."""
        self._close()
        self._begin()

    def _begin(self) -> None:
        # Reentrant: a signal handler may log while its thread syncs.
        self._syncing = RLock()
        self._done = 0  # what was done so far, counted
        self._kept = 0  # how much of it the disk was told to keep
        self._full: list[str] = []
        self._is_renamed = False
        self.has_lines = False  # whether some were written to the active file
        self.sealed = 0  # full files that the disk has, with their names
        self._doubted = -1  # how much was done when the disk last refused

    @property
    def is_clean(self) -> bool:
        """Whether the disk has everything."""
        return self._kept == self._done

    @property
    def done(self) -> int:
        """How much was done so far; more than before, if anything was."""
        return self._done

    def is_kept(self, done: int) -> bool:
        """Whether the disk keeps, for all we know, what was *done* by then."""
        return self._kept >= done > self._doubted

    @property
    def has_full(self) -> bool:
        """Whether a full file waits to be synced."""
        return bool(self._full)

    def wrote(self) -> None:
        """Remember that something was written to the active file."""
        self._done += 1
        self.has_lines = True

    def renamed(self, path: str | None = None) -> None:
        """Remember that a file may be new, or that *path* is full now."""
        self._done += 1
        self._is_renamed = True
        if path is not None:
            self._full.append(path)

    def left(self, fd: int) -> None:
        """Take over a descriptor whose file somebody else moved away, and close it."""
        self._done += 1
        self._left.append(fd)
        self.has_lines = False

    def sync(
        self,
        lock: AbstractContextManager[object],
        duplicate: Callable[[], int | None],
        directory: str,
    ) -> list[OSError]:
        """
        Have the disk keep all that was done before, or find that it does.

        Whoever holds the engine's lock must not call this: the thread that syncs
        just now may be about to take it.

        Args:
            lock: The engine's.
            duplicate: Returns a descriptor of the active file, to be closed, or
                ``None``; called with the lock held.
            directory: Where the names are.

        Returns:
            Why something could not be synced.  That is not tried again: the kernel
            forgets what it could not write, and the next sync would lie (PostgreSQL
            learned that in 2018).
        """
        wanted = self._done
        with self._syncing:
            if self._kept >= wanted:
                return []
            errors: list[OSError] = []
            with lock:
                covered = self._done
                full, self._full = self._full, []
                open_files, self._left = self._left, []
                is_renamed, self._is_renamed = self._is_renamed, False
                self.has_lines = False
                try:
                    active = duplicate()
                except OSError as error:  # no more descriptors
                    active = None
                    errors.append(error)
            if active is not None:
                open_files.append(active)
            try:
                while open_files:
                    errors += _keep(open_files.pop())
                for path in full:
                    errors += _keep_at(path, _FILE)
                # Last: a name without its lines is worth less.
                if is_renamed and _DIRECTORY:
                    errors += _keep_at(
                        directory, os.O_RDONLY | os.O_CLOEXEC | _DIRECTORY
                    )
            except BaseException:  # a signal handler's: to be done again
                self._left += open_files
                self._full[:0] = full
                self._is_renamed |= is_renamed
                raise
            if errors:
                self._doubted = covered
            else:
                self.sealed += len(full)
            # A signal handler may have synced what is newer, meanwhile.
            self._kept = max(self._kept, covered)
            return errors

    def _close(self) -> None:
        while self._left:
            with suppress(OSError):  # closed behind our back
                os.close(self._left.pop())


def _keep_at(path: str, flags: int) -> list[OSError]:
    """Sync what is at *path*; return why that could not be done."""
    try:
        fd = os.open(path, flags)
    except FileNotFoundError:  # removed, or compressed, meanwhile
        return []
    except OSError as error:
        return [error]
    return _keep(fd)


def _keep(fd: int) -> list[OSError]:
    """Sync *fd* and close it; return why that could not be done."""
    try:
        _sync_file(fd)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a directory that cannot be synced
            return [error]
    finally:
        with suppress(OSError):  # closed behind our back
            os.close(fd)
    return []
