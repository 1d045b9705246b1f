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
import threading
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

_sync_file = getattr(os, "fdatasync", os.fsync)


class Durability:
    """
    What of one log file is not known to be on the disk.

    The engine says, holding its lock, what it did; `sync` does the rest.

    Args:
        on_trouble: Told the kind of trouble (``sync``) and, in words, what it is.
    """

    def __init__(self, on_trouble: Callable[[str, str], None]) -> None:
        self._on_trouble = on_trouble
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
        self._syncing = threading.RLock()
        self._done = 0  # what was done so far, counted
        self._kept = 0  # how much of it the disk has
        self._full: list[str] = []
        self._is_renamed = False
        self.sealed = 0  # full files that the disk has, with their names

    @property
    def is_clean(self) -> bool:
        """Whether the disk has everything."""
        return self._kept == self._done

    @property
    def has_full(self) -> bool:
        """Whether a full file waits to be synced."""
        return bool(self._full)

    def wrote(self) -> None:
        """Remember that something was written to the active file."""
        self._done += 1

    def renamed(self, path: str | None = None) -> None:
        """Remember that a file was made, or that *path* is full now."""
        self._done += 1
        self._is_renamed = True
        if path is not None:
            self._full.append(path)

    def left(self, fd: int) -> None:
        """Take over a descriptor whose file somebody else moved away, and close it."""
        self._done += 1
        self._left.append(fd)

    def sync(
        self,
        lock: AbstractContextManager[object],
        duplicate: Callable[[], int | None],
        directory: str,
    ) -> None:
        """
        Have the disk keep all that was done before, or find that it does.

        What cannot be synced is reported and not tried again: the kernel forgets
        what it could not write, and the next sync would lie (PostgreSQL learned
        that in 2018).

        Args:
            lock: The engine's.
            duplicate: Returns a descriptor of the active file, to be closed, or
                ``None``; called with the lock held.
            directory: Where the names are.
        """
        wanted = self._done
        with self._syncing:
            if self._kept >= wanted:
                return
            with lock:
                covered = self._done
                full, self._full = self._full, []
                open_files, self._left = self._left, []
                is_renamed, self._is_renamed = self._is_renamed, False
                active = duplicate()
            if active is not None:
                open_files.append(active)
            if self._sync(full, open_files, directory if is_renamed else None):
                self.sealed += len(full)
            self._kept = covered

    def _close(self) -> None:
        while self._left:
            with suppress(OSError):  # closed behind our back
                os.close(self._left.pop())

    def _sync(
        self, full: list[str], open_files: list[int], directory: str | None
    ) -> bool:
        """Sync all of these, and close what is open; whether that could be done."""
        paths = [*full, directory] if directory is not None else full
        for path in paths:  # the directory last: a name without its lines is worth less
            with suppress(FileNotFoundError):  # removed, or compressed, meanwhile
                open_files.append(
                    os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
                )
        kept = [self._is_synced(fd) for fd in open_files]  # each one, whatever fails
        return all(kept)

    def _is_synced(self, fd: int) -> bool:
        """Sync *fd* and close it; whether that could be done."""
        try:
            _sync_file(fd)
        except OSError as error:
            if error.errno != errno.EINVAL:  # a directory that cannot be synced
                what = f"the disk may not have its last lines: {error}"
                self._on_trouble("sync", what)
                return False
        finally:
            os.close(fd)
        return True
