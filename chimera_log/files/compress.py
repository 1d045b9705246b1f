"""
Compress full segments: a step at a time, and never at the expense of a line.

A full segment becomes ``<segment>.gz``, which is written aside, synced, read back
and put in its place before the segment goes.  Whoever dies on the way leaves a
temporary file in the hidden folder, or both forms; the next one goes on from there.

Nobody writes to a full segment any more, but for one who waited in vain for its
lock while it was active, and appends without.  So its length is looked at until
the last moment, and a segment that somebody holds locked is not touched.

No thread here and no clock: the maintenance thread calls `Compression.step`, and
can be stopped between any two.  `Turn` says which process's thread does the work;
two at once lose nothing, they only do it twice.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import zlib
from contextlib import contextmanager, suppress

from chimera_log.files import names, opening
from chimera_log.files.syscalls import Ordinary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

# Bytes at a time.  Each chunk queues for the GIL a few times: beside a busy thread
# chunks of 64 KiB take six times longer.
CHUNK = 1024 * 1024
_LEVEL = 6  # gzip's own default
_GZIP = 31  # zlib's wbits for a gzip header and the largest window
_SUFFIX = ".gz.partial"  # of temporary files

_SAFE = (
    getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_BINARY", 0)
)
# A FIFO in a file's place must not make us wait.
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _SAFE
_CREATE = os.O_RDWR | os.O_CREAT | _SAFE


class Compression:
    """
    One full segment that becomes a ``.gz``, a step at a time.

    The same object begins again after an error, and another one, in whatever
    process, after a crash.  A ``.gz`` that is there already is kept if it begins
    with all that the segment holds, and replaced if not.

    Args:
        path: The segment, absolute.
        folder: The hidden folder, for the temporary file; on the same file system.
            Made if it is not there.
        mode: The permission bits of the ``.gz``, whatever the umask.  Its owner is
            the segment's, where we may say so.
    """

    verb = "compress"

    def __init__(self, path: str, folder: str, mode: int) -> None:
        self.path = path
        self._target = f"{path}.gz"
        self._directory = os.path.dirname(path)
        self._folder = folder
        self._mode = mode
        self._files: list[int] = []
        self._partial = ""
        self._work = self._steps()

    def step(self) -> bool:
        """
        Do about `CHUNK` bytes of work; return whether there is more to do.

        There is nothing to do for a segment that somebody else compressed or
        removed, even meanwhile, or for what is no regular file.

        Raises:
            OSError: If it cannot be done now; `BlockingIOError` if somebody holds
                the segment's lock.  The segment stands as before, the temporary
                file is gone if it can be removed, and the next step begins again.
                Only if the segment itself cannot be removed, or its directory not
                synced, does the whole ``.gz`` stand beside it.
        """
        try:
            next(self._work)
        except StopIteration as end:
            self.abandon()
            return bool(end.value)
        except BaseException as error:
            self.abandon()
            if isinstance(error, FileNotFoundError) and not os.path.lexists(self.path):
                return False
            raise
        return True

    def abandon(self) -> None:
        """Close the files and remove the temporary one; a next step begins again."""
        self._work = self._steps()
        self._close()
        partial, self._partial = self._partial, ""
        if partial:
            with suppress(OSError):  # `clear` will
                os.unlink(partial)

    def after_fork(self) -> None:
        """Let go, in a forked child, of what its parent goes on with."""
        self._partial = ""
        self.abandon()

    def _steps(self) -> Generator[None, None, bool]:
        """Do the work, with a pause at each yield; whether to do all of it again."""
        if not stat.S_ISREG(os.lstat(self.path).st_mode):
            return False
        segment = self._open(self.path, _READ)
        with self._locked(segment):
            pass  # refused now rather than after the work
        length = yield from self._length_if_kept(segment)
        if length is None:
            length = yield from self._compress(segment)
            # Locked, so that nobody who read less of it can be between these two.
            with self._locked(segment):
                if os.lstat(self.path).st_size != length:
                    return True
                os.replace(self._partial, self._target)
            self._partial = ""
        self._close()  # Windows removes no open file
        # Before the last look: whoever was refused the lock just now, and appended
        # without, has done so when this returns.
        opening.sync_directory(self._directory)
        if os.lstat(self.path).st_size != length:
            return True
        os.unlink(self.path)
        opening.sync_directory(self._directory)
        return False

    def _length_if_kept(self, segment: int) -> Generator[None, None, int | None]:
        """Return the segment's length if the ``.gz`` that is there has all of it."""
        if not os.path.lexists(self._target):
            return None
        found = yield from _measure(chunks(segment))
        packed = self._open(self._target, _READ)
        kept = yield from _measure_packed(packed, found[0])
        return found[0] if found == kept else None

    def _compress(self, segment: int) -> Generator[None, None, int]:
        """Fill the temporary file, see that it holds all; return the content's length."""
        packed = self._open_partial(os.fstat(segment))
        os.lseek(segment, 0, os.SEEK_SET)
        read = yield from _measure(_pack(chunks(segment), packed))
        os.fsync(packed)
        yield
        if hasattr(os, "O_DIRECTORY"):  # Windows syncs nothing that is only read
            # A power cut must not leave half of it beside the whole ``.gz``: who
            # goes on would take that for a segment with other lines.
            os.fsync(segment)
            yield
        os.lseek(packed, 0, os.SEEK_SET)
        if read != (yield from _measure_packed(packed)):
            what = "does not read back as it was written"
            raise OSError(errno.EIO, what, self._partial)
        self._files.remove(packed)
        os.close(packed)  # Windows renames no open file
        return read[0]

    def _open_partial(self, segment: os.stat_result) -> int:
        """Make a temporary file with the segment's owner and the mode asked for."""
        opening.make_directory(self._folder, 0o750)
        # Each has its own: one that another process also wrote to, or began again,
        # could be put in place empty.
        partial = os.path.join(self._folder, os.urandom(8).hex() + _SUFFIX)
        packed = self._open(partial, _CREATE | os.O_EXCL, self._mode)
        self._partial = partial
        if hasattr(os, "fchmod"):
            # One by one: only root gives files away; others may choose the group.
            for owner, group in ((-1, segment.st_gid), (segment.st_uid, -1)):
                with suppress(OSError):
                    os.fchown(packed, owner, group)
            with suppress(OSError):  # not every file system keeps modes
                os.fchmod(packed, self._mode)
        return packed

    @contextmanager
    def _locked(self, segment: int) -> Iterator[None]:
        """
        Hold the segment's lock, for a moment: who waits for it may lose patience.

        Raises:
            BlockingIOError: If somebody holds it.  He may have been stopped while
                he renamed the file; until he goes on, others append without it.
        """
        calls = Ordinary()
        is_ours = True
        with suppress(OSError):  # no locks here
            is_ours = calls.try_lock(segment)
        if not is_ours:
            raise BlockingIOError(errno.EAGAIN, "somebody holds its lock", self.path)
        try:
            yield
        finally:
            with suppress(OSError):
                calls.unlock(segment)

    def _open(self, path: str, flags: int, mode: int = 0) -> int:
        fd = os.open(path, flags, mode)
        self._files.append(fd)
        return fd

    def _close(self) -> None:
        while self._files:
            with suppress(OSError):  # closed behind our back; what matters is synced
                os.close(self._files.pop())


class Turn:
    """
    Whose turn it is, among processes, to do something for one log file.

    The turn is a lock, so it goes with the process that has it.  Where there are
    no locks it is always ours.

    Args:
        folder: The hidden folder; made if it is not there.
        name: Of the file in it that is locked; by default it is about maintaining
            the segments.
    """

    def __init__(self, folder: str, name: str = "maintenance") -> None:
        self.folder = folder
        self._name = name
        self._calls = Ordinary()
        self._fd = -1

    def take(self) -> bool:
        """
        Take the turn unless another process has it; return whether it is ours.

        Raises:
            OSError: If the folder cannot be written.
        """
        if self._fd >= 0:
            return True
        opening.make_directory(self.folder, 0o750)
        path = os.path.join(self.folder, self._name)
        fd = opening.open_or_make(path, opening.FLAGS | opening.NOFOLLOW, 0o640)
        try:
            is_ours = self._calls.try_lock(fd)
        except OSError:
            is_ours = True
        if is_ours:
            self._fd = fd
        else:
            os.close(fd)
        return is_ours

    def release(self) -> None:
        """Let another process have its turn; nothing happens if it is not ours."""
        if self._fd >= 0:
            # Said, not left to close(): a child forked meanwhile has the file too.
            with suppress(OSError):
                self._calls.unlock(self._fd)
        self.after_fork()

    def after_fork(self) -> None:
        """Close the file in a forked child; the turn remains its parent's."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with suppress(OSError):  # closed behind our back
                os.close(fd)


def unfinished(name: str, entries: Iterable[str]) -> list[str]:
    """
    Return the segments of *name* that stand uncompressed, the oldest first.

    Those whose ``.gz`` stands beside them are among them.

    Args:
        name: The active file's name.
        entries: What lies in its directory, of whatever kind.
    """
    numbered = sorted(
        (number, entry)
        for entry in entries
        if (number := names.segment_number(name, entry)) is not None
        and not entry.endswith(".gz")
    )
    return [entry for _, entry in numbered]


def leftovers(folder: str) -> list[str]:
    """Return the temporary files in the hidden *folder*, of the living and the dead."""
    with suppress(OSError):
        return [entry for entry in os.listdir(folder) if entry.endswith(_SUFFIX)]
    return []


def clear(folder: str) -> None:
    """
    Remove what dead compressors left in the hidden *folder*, as far as possible.

    For the process alone whose `Turn` it is, before it begins: another one's work
    would fail, and begin again.
    """
    for entry in leftovers(folder):
        with suppress(OSError):
            os.unlink(os.path.join(folder, entry))


def chunks(fd: int) -> Iterator[bytes]:
    """Read a file from where it stands to its end."""
    while chunk := os.read(fd, CHUNK):
        yield chunk


def _pack(chunks: Iterator[bytes], packed: int) -> Iterator[bytes]:
    """Write *chunks*, compressed, to *packed*, and pass them on."""
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    for chunk in chunks:
        opening.write_all(packed, packer.compress(chunk))
        yield chunk
    opening.write_all(packed, packer.flush())


def unpacked(packed: int) -> Iterator[bytes]:
    """
    Read what a compressed file holds, in pieces of at most `CHUNK` bytes.

    Raises:
        zlib.error: If it is damaged, cut off, or followed by something else.
    """
    unpacker = zlib.decompressobj(_GZIP)
    while not unpacker.eof:
        data = unpacker.unconsumed_tail or os.read(packed, CHUNK)
        if not data:
            raise zlib.error("cut off")
        yield unpacker.decompress(data, CHUNK)
    if unpacker.unused_data or os.read(packed, 1):
        raise zlib.error("something follows")


def _measure(chunks: Iterator[bytes]) -> Generator[None, None, tuple[int, int]]:
    """Return the length and the CRC-32 of *chunks*, with a pause after each."""
    length = checksum = 0
    for chunk in chunks:
        length += len(chunk)
        checksum = zlib.crc32(chunk, checksum)
        yield
    return length, checksum


def _measure_packed(
    packed: int, length: int = sys.maxsize
) -> Generator[None, None, tuple[int, int] | None]:
    """
    Return the same of the first *length* bytes that a compressed file holds.

    ``None`` if it is damaged, wherever that is.
    """
    try:
        return (yield from _measure(_first(length, unpacked(packed))))
    except zlib.error:
        return None


def _first(length: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Pass on *chunks*, cut off after *length* bytes, but read to their end."""
    for chunk in chunks:
        yield chunk[:length]
        length -= min(length, len(chunk))
