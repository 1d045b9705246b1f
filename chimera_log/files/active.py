"""
The one open file that lines are appended to: locked, looked at, mended.

Its lock (`flock`) goes with the process that held it.  Under the lock one look
at the path tells whether it still names this file (no: logrotate or a sibling
moved it; the new one is opened), and whether the end is where we left it (no:
somebody else wrote, and if he died in the middle of a line, his fragment is put
aside; or somebody cut the file, which is reported).

An `ActiveFile` writes one line or raises `OSError`; what to do then, and when
to move on to a new file, is `segments`' business.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from contextlib import suppress

from chimera_log.files import opening
from chimera_log.files.aside import Aside
from chimera_log.files.syscalls import Ordinary, calls_for
from chimera_log.native import sleep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from chimera_log.files.policy import Policy

_FIRST_PAUSE, _LONGEST_PAUSE = 0.00005, 0.002  # seconds between two tries for a lock
_IMPATIENCE = 10.0  # seconds without waiting, after a lock was waited for in vain
# A file system without locks, or out of them: no reason to lose a line.
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP})
_MAX_LOOKS = 100  # at a path that names another file each time
_BLOCK = 64 * 1024  # bytes read at a time in search of a line's beginning


class ActiveFile:
    """
    The file at *path*, opened when a lock is taken for the first time.

    Args:
        path: Absolute.
        policy: How it behaves.
        on_trouble: Told the kind of trouble (``write``, ``rotate``, ``lock``,
            ``repair``, ``cut`` or ``lost``) and, in words, what could not be done.
        aside: Where fragments go; by default the file's own hidden folder.
    """

    _instead = "appending without"  # what is done when a lock cannot be had

    def __init__(
        self,
        path: str,
        policy: Policy,
        on_trouble: Callable[[str, str], None],
        aside: Aside | None = None,
    ) -> None:
        self.path = path
        self.policy = policy
        self.on_trouble = on_trouble
        self._given_aside = aside
        self._locate()
        self._put_aside: object = None  # the fragment that could not be cut off yet
        self._repaired = 0
        self._last_error: str | None = None
        self._impatient_until = float("-inf")
        self._fd = -1
        self._identity = (0, 0)
        self._calls = Ordinary()
        # A terminal, a pipe or /dev/null is written to, never locked or rotated.
        self._is_regular = True
        self._is_locked = False
        self._has_locks = True  # whether its file system has any
        self._size = 0
        self._end: int | None = None  # where we left it; None: look at it first
        self._wanted = 0  # bytes of the last write ...
        self._taken: list[int] = []  # ... and how many of them were taken
        self._sent = 0  # bytes of a line that a pipe has taken so far
        self._is_torn = False  # a pipe was left in the middle of a line

    def __del__(self) -> None:
        """Close a file that nobody closed."""
        with suppress(Exception):  # the interpreter may be half gone
            fd, self._fd = self._fd, -1
            if fd >= 0:
                os.close(fd)

    def mend(self) -> None:
        """
        Put aside half a line at the file's end, if there is one, and close it.

        Raises:
            OSError: If that cannot be done.
        """
        try:
            self._take_lock()
        finally:
            self._release()
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
                self._is_locked = self._try_lock() or self._wait_for_lock()
                look = self._calls.look(self.path)
            except OSError:
                self._close_file()  # and let go of the lock
                raise
            if look and (look.device, look.inode) == self._identity:
                if self._is_locked and look.size != self._end:
                    self._mend(look.size)
                return self._is_locked
            self._close_file()  # renamed or removed by a sibling or by logrotate
        # A file system, perhaps, that gives a file another number at every look.
        self._open()
        what = f"its path never names the same file; {self._instead}"
        self.on_trouble("lock", what)
        return False

    def _try_lock(self) -> bool:
        self._has_locks = True
        try:
            return self._calls.try_lock(self._fd)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            self._has_locks = False
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
                self.on_trouble("lock", f"another process holds it; {self._instead}")
                return False
            sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        return False

    def _release(self) -> None:
        if self._is_locked:
            self._is_locked = False
            try:  # noqa: SIM105  `suppress` costs a twentieth of a write
                self._calls.unlock(self._fd)
            except OSError:  # the next append finds out
                pass

    def _write_line(self, line: bytes) -> None:
        """Write one line, or several; all of it or nothing."""
        if self._is_locked:
            self._write_locked(line)
        elif self._is_regular:
            self._write_unlocked(line)
        else:
            self._write_to_pipe(line)

    def _write_locked(self, line: bytes) -> None:
        self._end = None
        written = self._send(line)
        if written < len(line):
            # The disk is full, and half a line would spoil the next one too.  Where
            # ours ends, not the file: an impatient sibling's line stays, before it
            # and behind it.
            end = os.lseek(self._fd, 0, os.SEEK_CUR)
            if os.fstat(self._fd).st_size == end:
                os.ftruncate(self._fd, end - written)
            raise self._full()
        self._size += len(line)
        self._end = self._size

    def _write_unlocked(self, line: bytes) -> None:
        """Write one line, whatever others do to the file meanwhile."""
        self._end = None
        has_waited = False
        for _ in range(_MAX_LOOKS):
            data = line
            self._size = os.fstat(self._fd).st_size
            if not self._is_whole():
                if not has_waited:
                    # A writer died, who may have had the lock: it is free in a
                    # moment, and his half line can be put aside.
                    has_waited = True
                    self._impatient_until = float("-inf")
                    if self._take_lock():
                        self._write_line(line)
                        return
                    continue
                # Behind it ours begins a line of its own.  Whoever seemed dead may
                # still end his: readers skip the empty line that this makes, and
                # would not skip two lines in one.
                data = b"\n" + line
            if self._send(data) < len(data):
                # What follows our bytes may be a sibling's line: whoever next has
                # the lock puts the half line aside.
                raise self._full()
            if os.fstat(self._fd).st_nlink or self._is_at_path():
                return
            # Rotated and removed, or compressed, since we looked: with our line.
            self._taken.clear()
            self._close_file()
            self._open()
        raise OSError(errno.ESTALE, "removed whenever it is written to", self.path)

    # On its own; `waiting` says why no loop stands inside a ``try``.
    def _write_pieces(self, line: bytes, pieces: list[int]) -> None:
        while self._sent + sum(pieces) < len(line):
            rest = line[self._sent + sum(pieces) :]
            self._calls.write(self._fd, rest, pieces)

    def _write_to_pipe(self, line: bytes) -> None:
        """Write one line to what takes as much as it has room for."""
        if self._is_torn:
            line = b"\n" + line
        self._wanted = len(line)
        pieces: list[int] = []
        try:
            self._write_pieces(line, pieces)
        finally:  # a try that fails is gone on with
            self._sent += sum(pieces)
            if self._sent >= len(line):
                # Of several lines that failed together, the next may be out as well.
                self._sent -= len(line)
                self._is_torn = False
                self._taken.append(len(line))

    def _send(self, data: bytes) -> int:
        """Write *data* in one call; return how many of its bytes were taken."""
        self._taken.clear()
        self._wanted = len(data)
        self._calls.write(self._fd, data, self._taken)
        return sum(self._taken)

    def _is_out(self) -> bool:
        """Whether the last write was whole, also if a signal handler raised in it."""
        return self._taken != [] and sum(self._taken) == self._wanted

    def _give_up_line(self) -> None:
        """Have the next line begin anew though a pipe has taken half of this one."""
        self._is_torn = self._is_torn or self._sent > 0
        self._sent = 0

    def _full(self) -> OSError:
        return OSError(errno.ENOSPC, "no space left for a whole line", self.path)

    def _is_at_path(self) -> bool:
        look = self._calls.look(self.path)
        return look is not None and (look.device, look.inode) == self._identity

    def _is_whole(self) -> bool:
        """Whether the file, of the size we know, ends with a whole line."""
        while self._size and opening.read_at(self._fd, 1, self._size - 1) != b"\n":
            # Is the writer dead, or an impatient sibling who needs no lock and is
            # still at it?  An empty write waits until his is done.
            os.write(self._fd, b"")
            before, self._size = self._size, os.fstat(self._fd).st_size
            if self._size == before:
                return False
        return True

    def _mend(self, size: int) -> None:
        """Look at the end, where it is not where we left it."""
        self._size = size
        # Nobody of us does this: what siblings cut off came after our last line.
        if self._end is not None and size < self._end:
            self.on_trouble(
                "cut",
                f"somebody cut it from {self._end} to {size} bytes (copytruncate?); "
                "lines written meanwhile may be lost; use logrotate's create",
            )
        if not self._is_whole():
            self._cut_back()
        self._end = self._size

    def _cut_back(self) -> None:
        """Put aside the half line that a killed writer left at the end."""
        start = self._last_line()
        fragment = self._identity, start, self._size
        if fragment != self._put_aside:  # else this is another try
            self._keep_fragment(start)
            self._put_aside = fragment
        try:
            os.ftruncate(self._fd, start)
            self._size = start
        except OSError:  # append-only (chattr +a), perhaps: end the line instead
            self._size += os.write(self._fd, b"\n")
        self._put_aside = None

    def _keep_fragment(self, start: int) -> None:
        fragment = opening.read_at(self._fd, self._size - start, start)
        self._aside.keep_fragment(fragment, self.policy.mode)
        self._repaired += 1
        self.on_trouble(
            "repair", f"a killed writer left {len(fragment)} bytes of a line; put aside"
        )

    def _last_line(self) -> int:
        """Return where the last, unfinished line begins."""
        start = self._size
        while start > 0:
            before = max(start - _BLOCK, 0)
            found = opening.read_at(self._fd, start - before, before).rfind(b"\n")
            if found >= 0:
                return before + found + 1
            start = before
        return 0

    def _locate(self) -> None:
        """Learn where the file is: at the path, or where its link leads to."""
        path = self.path
        if self.policy.follow_symlinks:
            path = opening.target_of(path)
        self._target = path
        self._directory, self._name = os.path.split(path)
        self._aside = self._given_aside or Aside(self._directory, self._name)

    def _open(self, calls: Ordinary | None = None) -> None:
        """
        Open the active file, made with its directory if it is not there.

        Args:
            calls: The system calls to use; by default those that suit the file.
        """
        self._locate()
        is_device = opening.is_device(self._target)
        flags = opening.FLAGS | os.O_APPEND
        if not is_device:
            flags |= opening.NOFOLLOW
        try:
            fd = opening.open_or_make(self._target, flags, self.policy.mode)
        except FileNotFoundError:
            opening.make_directory(self._directory)
            fd = opening.open_or_make(self._target, flags, self.policy.mode)
        except OSError as error:
            if error.errno == errno.ELOOP and not self.policy.follow_symlinks:
                what = "is a symbolic link; name its target, or set follow_symlinks"
                raise OSError(errno.ELOOP, what, self.path) from error
            raise
        found = os.fstat(fd)
        if (found.st_dev, found.st_ino) != self._identity:
            self._sent, self._is_torn = 0, False
        self._end = None
        self._fd, self._identity = fd, (found.st_dev, found.st_ino)
        self._is_regular = stat.S_ISREG(found.st_mode) and not is_device
        self._calls = calls or (calls_for(fd) if self.policy.keep_gil else Ordinary())

    def _start_clean(self) -> None:
        """
        Let go, in a forked child, of the parent's descriptor; its lock stays its own.

        A child of root opens the file again at once: it may be about to give up
        the rights that this takes.
        """
        was_open = self._fd >= 0
        # Closed, not unlocked: that would be the parent's lock, who may be writing.
        self._is_locked = False
        self._give_up_line()
        self._close_file()
        if was_open and opening.is_root():
            with suppress(OSError):  # the first line tries again, and reports
                # With the calls that it has: to look for them loads libraries, and
                # another thread of the parent may have been at that.
                self._open(self._calls)

    def _close_file(self) -> None:
        """Let go of the lock, and close the file."""
        self._release()  # said: others may have a duplicate of the descriptor
        fd, self._fd, self._end = self._fd, -1, None
        if fd >= 0:
            self._dispose(fd)

    def _dispose(self, fd: int) -> None:
        with suppress(OSError):  # closed behind our back
            os.close(fd)

    def _trouble(self, kind: str, what: str, error: OSError) -> None:
        self._last_error = str(error)
        self.on_trouble(kind, f"{what}: {error}")
