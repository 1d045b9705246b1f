"""
The few system calls of an append, made without giving up the GIL.

Every call through `os` or `fcntl` releases the GIL and must win it back: up to
5 ms for each busy thread (`sys.getswitchinterval`).  Four calls a record beside
four busy threads cost the caller 60 ms at p99; made by `ctypes.PyDLL`, which
keeps the GIL, they cost 0.12 ms (Python 3.13).

That is safe only where a call returns within microseconds, and a fence sees to
it: 64-bit Linux, CPython with its GIL, the main interpreter, a regular file on
a file system known to be local.  A lock that somebody else holds, a line beyond
`MAX_KEPT_WRITE` bytes and, for a while, every write after a slow one give up
the GIL as ever.  What remains: a file system that is frozen for a snapshot
stops the whole process, not just the thread, for one stall.  ``keep_gil: never``
avoids it.

`ctypes` is imported when the first such file is opened, not with the package.
"""

from __future__ import annotations

import importlib
import os
import stat
import struct
import sys
import time
from collections import namedtuple
from itertools import starmap

from chimera_log.native import RLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    # Writes to a descriptor what it takes without waiting, and appends to the list
    # how many bytes that was.
    WriteAtOnce = Callable[[int, bytes, list[int]], object]

if sys.platform != "win32":
    import fcntl

MAX_KEPT_WRITE = 64 * 1024  # bytes; a longer write takes long enough to yield
SLOW_WRITE = 0.005  # seconds; the disk answered, not the page cache
SLOW_PAUSE = 10.0  # seconds of ordinary writes after a slow one

# statfs(2), f_type: file systems whose calls wait for no other machine and no
# user's program.  NFS, CIFS, FUSE, 9p and virtiofs are not among them.
LOCAL_FILE_SYSTEMS = frozenset(
    {
        0xEF53,  # ext2, ext3, ext4
        0x58465342,  # xfs
        0x9123683E,  # btrfs
        0x01021994,  # tmpfs
        0x794C7630,  # overlay
    }
)

# What a path names, in one look.
Look = namedtuple("Look", ["device", "inode", "size"])


class Ordinary:
    """The calls as `os` and `fcntl` make them: the GIL is given up in each."""

    def try_lock(self, fd: int) -> bool:
        """Take the lock of *fd* unless somebody else holds it; whether it is ours."""
        if sys.platform != "win32":  # there, a file has one writer and needs no lock
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True

    def unlock(self, fd: int) -> None:
        """Release the lock of *fd*."""
        if sys.platform != "win32":
            fcntl.flock(fd, fcntl.LOCK_UN)

    def look(self, path: str) -> Look | None:
        """Return what *path* names now, or ``None`` if it names nothing."""
        try:
            found = os.stat(path)
        except FileNotFoundError:
            return None
        return Look(found.st_dev, found.st_ino, found.st_size)

    def write(self, fd: int, data: bytes, taken: list[int]) -> None:
        """
        Write *data* in one call; append to *taken* how many of its bytes were taken.

        In one step of C: a signal handler that raises mostly does so at the end of
        a system call, and must not come between.
        """
        taken.extend(map(os.write, (fd,), (data,)))

    def append(self, fd: int, data: bytes) -> int:
        """
        Write *data* in one call; return how many of its bytes were taken.

        Faster than `write`, for whoever can tell from the file what was taken, in
        case that a signal handler raises.
        """
        return os.write(fd, data)


class Keeping(Ordinary):
    """
    The same calls by `ctypes.PyDLL`, which keeps the GIL.

    Args:
        clock: Seconds that never go back; a write is timed by it.

    Raises:
        Exception: Where there is no ctypes, or the C library lacks a call.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        import ctypes  # noqa: PLC0415  6 ms, and only these files need it

        libc = ctypes.PyDLL(None, use_errno=True)
        self._flock, self._statx, self._write = libc.flock, libc.statx, libc.write
        # Arguments are not declared: to convert what is takes as long as the call.  By
        # itself ctypes passes an int as C's int, bytes as a pointer to them, and a size
        # and a buffer as what they are made here.
        self._write.restype = ctypes.c_ssize_t
        self._size = ctypes.c_size_t
        # One for all looks, which are made under the file's lock.
        self._answer = ctypes.create_string_buffer(_STATX_BYTES)
        self._buffer = ctypes.c_void_p(ctypes.addressof(self._answer))
        self._encoded = ("", b"")  # the path of the last look
        self._clock = clock
        self._yield_until = float("-inf")

    def try_lock(self, fd: int) -> bool:
        """Take the lock of *fd* unless somebody else holds it; whether it is ours."""
        if self._flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB) == 0:
            return True
        # Held, interrupted or refused: the ordinary call says which.
        return super().try_lock(fd)

    def unlock(self, fd: int) -> None:
        """Release the lock of *fd*."""
        if self._flock(fd, fcntl.LOCK_UN) != 0:
            super().unlock(fd)

    def look(self, path: str) -> Look | None:
        """Return what *path* names now, or ``None`` if it names nothing."""
        known, encoded = self._encoded
        if known != path:
            encoded = os.fsencode(path)
            self._encoded = path, encoded
        if self._statx(_AT_FDCWD, encoded, 0, _STATX_WANTED, self._buffer) != 0:
            return super().look(path)
        inode, size, major, minor = _STATX.unpack_from(self._answer)
        return Look(os.makedev(major, minor), inode, size)

    def write(self, fd: int, data: bytes, taken: list[int]) -> None:
        """
        Write *data* in one call; append to *taken* how many of its bytes were taken.

        Gives up the GIL for long data, and for `SLOW_PAUSE` seconds after a
        write that took longer than `SLOW_WRITE`.
        """
        start = self._clock()
        if len(data) > MAX_KEPT_WRITE or start < self._yield_until:
            super().write(fd, data, taken)
            return
        call = (fd, data, self._size(len(data)))
        taken.extend(starmap(self._write, (call,)))
        if taken[-1] < 0:
            # Nothing was taken.  The ordinary call fails the same way, or, after
            # a signal, does not.
            taken.pop()
            super().write(fd, data, taken)
            return
        now = self._clock()
        if now - start > SLOW_WRITE:
            self._yield_until = now + SLOW_PAUSE

    def append(self, fd: int, data: bytes) -> int:
        """Write *data*, as `write` does; return how many of its bytes were taken."""
        start = self._clock()
        if len(data) > MAX_KEPT_WRITE or start < self._yield_until:
            return super().append(fd, data)
        taken: int = self._write(fd, data, self._size(len(data)))
        if taken < 0:  # nothing was; see `write`
            return super().append(fd, data)
        now = self._clock()
        if now - start > SLOW_WRITE:
            self._yield_until = now + SLOW_PAUSE
        return taken


class OthersFile(Keeping):
    """
    The write to a file that somebody else opened, such as a redirected stdout.

    Args:
        fd: The descriptor, which may come to mean something else at any time.
    """

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._file = self._identity(fd)

    def write_at_once(self, fd: int, data: bytes, taken: list[int]) -> None:
        """
        Write *data*; append to *taken* how many of its bytes were taken.

        Nothing is written if it is long, for a while after a slow write, and where
        *fd* is another file by now: a pipe, perhaps, that nobody reads.
        """
        start = self._clock()
        if len(data) > MAX_KEPT_WRITE or start < self._yield_until:
            return
        if self._identity(fd) != self._file:
            return
        call = (fd, data, self._size(len(data)))
        taken.extend(map(max, starmap(self._write, (call,)), (0,)))
        now = self._clock()
        if now - start > SLOW_WRITE:
            self._yield_until = now + SLOW_PAUSE

    def _identity(self, fd: int) -> tuple[int, ...]:
        if self._statx(fd, b"", _AT_EMPTY_PATH, _STATX_WANTED, self._buffer) != 0:
            return ()
        return _STATX_IDENTITY.unpack_from(self._answer)


class OthersPipe:
    """
    The write to a pipe or a socket that somebody else opened; never waits.

    Raises:
        Exception: Where there is no ctypes, or the C library lacks the call.
    """

    def __init__(self) -> None:
        import ctypes  # noqa: PLC0415  see above

        class Vector(ctypes.Structure):  # struct iovec
            _fields_ = (("data", ctypes.c_char_p), ("length", ctypes.c_size_t))

        self._vector, self._byref = Vector, ctypes.byref
        self._pwritev2 = ctypes.PyDLL(None, use_errno=True).pwritev2
        self._pwritev2.argtypes = [
            ctypes.c_int,
            ctypes.c_void_p,
            ctypes.c_int,
            ctypes.c_int64,
            ctypes.c_int,
        ]
        self._pwritev2.restype = ctypes.c_ssize_t

    def write_at_once(self, fd: int, data: bytes, taken: list[int]) -> None:
        """
        Write what *fd* has room for; append to *taken* how many bytes that was.

        None at all where it cannot be asked that way: a terminal, a file, a pipe
        before Linux 6.4.
        """
        vector = self._byref(self._vector(data, len(data)))
        flags = (_RWF_NOWAIT,)
        written = map(self._pwritev2, (fd,), (vector,), (1,), (_HERE,), flags)
        taken.extend(map(max, written, (0,)))


# Held while ctypes is imported: a child forked in the midst of an import by
# another thread would wait for ever for that module's lock.
_importing = RLock()
if sys.platform != "win32":  # pragma: no branch
    os.register_at_fork(
        before=_importing.acquire,
        after_in_parent=_importing.release,
        after_in_child=_importing.release,
    )


def calls_for(fd: int) -> Ordinary:
    """
    Return the calls to use for *fd*: those that keep the GIL, where that is safe.

    Args:
        fd: A file, open for writing.
    """
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        return Ordinary()
    try:
        if _is_ready() and _file_system(fd) in LOCAL_FILE_SYSTEMS:
            return Keeping()
    except Exception:  # noqa: S110  no ctypes, or a C library without statx
        pass
    return Ordinary()


def write_at_once_for(fd: int) -> WriteAtOnce | None:
    """
    Return a write to *fd* that nobody can hold up, if there is one.

    It keeps the GIL, may take less than it was given, and raises nothing.

    Args:
        fd: Open for writing; what it means may change.
    """
    mode = os.fstat(fd).st_mode
    try:
        if not _is_ready():
            return None
        if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
            return OthersPipe().write_at_once
        if stat.S_ISREG(mode) and _file_system(fd) in LOCAL_FILE_SYSTEMS:
            return OthersFile(fd).write_at_once
    except Exception:  # noqa: S110  no ctypes, or a C library without these calls
        pass
    return None


def _is_ready() -> bool:
    """Whether calls may keep the GIL here; loads what they need."""
    # No more than that: what may hang, as a look at a dead network mount does, must
    # not hold up every fork.
    with _importing:
        if not _keeping_is_safe_here():
            return False
        import ctypes  # noqa: F401, PLC0415  see above
    return True


def _keeping_is_safe_here() -> bool:
    """Whether this interpreter and this system are the ones that were tried."""
    return (
        sys.platform == "linux"
        and sys.maxsize > 2**32  # 64 bits: the layouts below
        and sys.implementation.name == "cpython"
        and getattr(sys, "_is_gil_enabled", lambda: True)()
        and _is_main_interpreter()
    )


def _is_main_interpreter() -> bool:
    for name in ("_interpreters", "_xxsubinterpreters"):  # Python 3.13; before
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        return bool(module.get_current() == module.get_main())
    return True


def _file_system(fd: int) -> int:
    """Return the type of the file system that *fd* is on, as statfs(2) tells it."""
    import ctypes  # noqa: PLC0415  see above

    answer = ctypes.create_string_buffer(_STATFS_BYTES)
    # By CDLL, which gives up the GIL: on a dead network mount this call hangs.
    if ctypes.CDLL(None, use_errno=True).fstatfs(fd, answer) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    (kind,) = struct.unpack_from("=q", answer)
    return int(kind)


# linux/stat.h: struct statx, whose layout the kernel promises to keep.
_STATX_BYTES = 256
_STATX = struct.Struct("=32xQQ88xII")  # inode, size, the device's two numbers
_STATX_WANTED = 0x100 | 0x200  # STATX_INO, STATX_SIZE
_STATX_IDENTITY = struct.Struct("=28xH2xQ96xII")  # mode, inode, device
_AT_FDCWD, _AT_EMPTY_PATH = -100, 0x1000
_STATFS_BYTES = 256  # struct statfs has 120, f_type first, 8 bytes on 64-bit systems

# linux/fs.h, and the offset that means "where a write would go".
_RWF_NOWAIT = 0x8
_HERE = -1
