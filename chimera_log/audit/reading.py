"""
Read the files of a trail as they are at one moment, in constant memory.

A living trail goes on meanwhile: the active file is looked at under its lock, and
read no further than it reached then; a segment may be compressed before it is read.
Nothing is written, no link is followed, and what is no segment of the trail is not
opened.

Lines end with a line feed and with nothing else.  One that is longer than
`chain.MAX_LINE_BYTES` is handed over in parts.
"""

from __future__ import annotations

import os
import stat
import sys
import time
import zlib
from collections import namedtuple
from contextlib import closing, suppress
from itertools import islice

from chimera_log.audit import chain
from chimera_log.audit.manifest import Manifests
from chimera_log.files import names, opening
from chimera_log.files.aside import Aside
from chimera_log.files.compress import CHUNK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

if sys.platform != "win32":  # pragma: no branch
    import fcntl

READ = (
    os.O_RDONLY
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_NONBLOCK", 0)  # a FIFO in a file's place must not make us wait
    | opening.NOFOLLOW
)
CUT_OFF = "cut off"  # of what is compressed
_GZIP = 31  # zlib's wbits for a gzip header and the largest window
_TRIES = 20  # to find the active file unlocked: a write takes microseconds
_PAUSE = 0.005  # seconds between two of them

# Some of a file's bytes.  Whole lines, unless it is a part of a line that is too long
# to be one, or that the file ends in.
Block = namedtuple("Block", ["data", "is_whole"])


class VerifyError(ValueError):
    """What was asked for cannot be verified; nothing is said about whether it is whole."""


class VanishedError(Exception):
    """A file that was there has gone meanwhile: all has to be looked at again."""


class DamagedError(Exception):
    """A compressed file cannot be read any further; what was read stands."""


class Files:
    """
    The files of the trail at *path*, as they are when they are entered.

    Args:
        path: The active file, which need not be there any more.

    Raises:
        VerifyError: If there is no trail, or the active file is no regular one.
        OSError: If it cannot be read.
    """

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(path)
        self.folder, self.name = os.path.split(self.path)
        self.hidden = Aside(self.folder, self.name).path
        self.sealed: list[str] = []  # segments that have a manifest
        self.segments: list[str] = []  # that are there, without .gz, the oldest first
        self.left_alone: list[str] = []  # what might be taken for one, and is none
        self._fd = -1
        self._size = 0

    def __enter__(self) -> Files:
        try:
            self._look()
        except BaseException as error:
            self.__exit__()
            if isinstance(error, FileNotFoundError):
                raise VerifyError(f"{self.path}: there is no such trail") from None
            raise
        return self

    def __exit__(self, *_: object) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    @property
    def names(self) -> list[str]:
        """The names of the segments, and of the active file if it is there."""
        return [*self.segments, *([self.name] if self._fd >= 0 else [])]

    def blocks(self, name: str) -> Generator[Block, None, None]:
        """
        Read the file *name*, a segment or the active one, from its beginning.

        Raises:
            VanishedError: If it is not there any more, in whatever form.
            DamagedError: If what is compressed cannot be read any further.
            OSError: If it cannot be read.
        """
        if name == self.name:
            yield from split(_raw(self._fd, self._size))
            return
        fd, is_packed = open_segment(os.path.join(self.folder, name))
        try:
            chunks = (
                unpacked_until_damage(fd)
                if is_packed
                else _raw(fd, os.fstat(fd).st_size)
            )
            yield from split(chunks)
        except zlib.error as error:
            raise DamagedError(str(error)) from None
        finally:
            os.close(fd)

    def lines_after(self, name: str, line: int) -> Iterator[bytes]:
        """
        Yield the lines that come after one, to the end of the trail.

        As far as they can be read; nothing is raised.  What is too long to be a line
        is an empty one.

        Args:
            name: The file it is in.
            line: Its number there, from 1; 0: before its first.
        """
        files = self.names[self.names.index(name) :]
        lines = (each for file in files for each in self._lines(file))
        yield from islice(lines, line, None)

    def _lines(self, name: str) -> Iterator[bytes]:
        with (
            suppress(VanishedError, DamagedError, OSError),
            closing(self.blocks(name)) as blocks,
        ):
            for data, is_whole in blocks:
                if is_whole:
                    yield from (each + b"\n" for each in data.split(b"\n")[:-1])
                elif data.endswith(b"\n"):
                    yield b""

    def _look(self) -> None:
        # Before: what is sealed later may be the active file now.
        self.sealed = Manifests(self.hidden, self.name).known()
        self._fd = self._open_active()
        self._list()
        if self._fd >= 0:
            self._size = os.fstat(self._fd).st_size
            _unlock(self._fd)
        elif not self.segments and not self.sealed:
            raise VerifyError(f"{self.path}: there is no such trail")

    def _open_active(self) -> int:
        """Return the active file, open and locked if that can be had; -1: none."""
        for tries_left in reversed(range(_TRIES)):
            try:
                fd = os.open(self.path, READ)
            except FileNotFoundError:
                return -1
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode):
                os.close(fd)
                raise VerifyError(
                    f"{self.path}: no regular file, so no trail either"
                ) from None
            if (_lock(fd) and _is_at(self.path, found)) or not tries_left:
                return fd
            os.close(fd)
            time.sleep(_PAUSE)
        raise AssertionError  # pragma: no cover

    def _list(self) -> None:
        found: set[tuple[int, str]] = set()
        with os.scandir(self.folder) as entries:
            for entry in entries:
                if not entry.name.startswith(f"{self.name}."):
                    continue
                number = names.segment_number(self.name, entry.name)
                if number is None or not entry.is_file(follow_symlinks=False):
                    self.left_alone.append(entry.name)
                else:
                    found.add((number, entry.name.removesuffix(".gz")))
        self.segments = [name for _, name in sorted(found)]
        self.left_alone.sort()


def open_segment(path: str) -> tuple[int, bool]:
    """
    Return the segment at *path*, without .gz, open, and whether it is compressed.

    Raises:
        VanishedError: If it is not there, or is no regular file.
        OSError: If it cannot be read.
    """
    # The raw one again: it may have been put back.
    for suffix in ("", ".gz", ""):
        with suppress(FileNotFoundError):
            fd = os.open(path + suffix, READ)
            if stat.S_ISREG(os.fstat(fd).st_mode):
                return fd, bool(suffix)
            os.close(fd)
    raise VanishedError(path)


def trail_in(folder: str) -> str:
    """
    Return the path of the active file of the one trail in *folder*.

    It is known by its manifests, or by a file whose first line is chained.

    Raises:
        VerifyError: If there is none, or more than one.
        OSError: If the folder or a file in it cannot be read.
    """
    with os.scandir(folder) as entries:
        found = {
            name
            for entry in entries
            for name in [_trail_of(folder, entry.name)]
            if name is not None
        }
    if len(found) == 1:
        return os.path.join(folder, found.pop())
    if found:
        raise VerifyError(
            f"{folder}: name one of its trails: {', '.join(sorted(found))}"
        )
    raise VerifyError(f"{folder}: there is no trail in it; name the trail's file")


def _trail_of(folder: str, entry: str) -> str | None:
    """Return the active file's name of the trail that *entry* belongs to, if it does."""
    if entry.startswith(".") and entry.endswith(".d"):
        name = entry[1:-2]
        return name if Manifests(os.path.join(folder, entry), name).known() else None
    line = _first_line(os.path.join(folder, entry))
    if line is None or chain.link_of(line) is None:
        return None
    name = entry.removesuffix(".gz").rsplit(".", 2)[0]
    return entry if names.segment_number(name, entry) is None else name


def _first_line(path: str) -> bytes | None:
    """Return the first line of a regular file, if that can be read."""
    with suppress(OSError, zlib.error):
        if stat.S_ISREG(os.lstat(path).st_mode):
            fd = os.open(path, READ)
            try:
                chunks = (
                    unpacked_until_damage(fd)
                    if path.endswith(".gz")
                    else _raw(fd, CHUNK)
                )
                return b"".join(next(chunks, b"").partition(b"\n")[:2])
            finally:
                os.close(fd)
    return None


def split(chunks: Iterable[bytes]) -> Iterator[Block]:
    """
    Return the same bytes, cut between lines.

    Args:
        chunks: Shorter than a line may be.
    """
    rest = b""
    is_long = False
    for chunk in chunks:
        end = chunk.find(b"\n") + 1
        beginning = chunk[:end] if end else chunk
        is_long = is_long or len(rest) + len(beginning) > chain.MAX_LINE_BYTES
        if is_long:
            yield Block(rest + beginning, is_whole=False)
            rest = b""
            if not end:
                continue
            is_long = False
            chunk = chunk[end:]  # noqa: PLW2901  what is left of it
        data = rest + chunk
        end = data.rfind(b"\n") + 1
        rest = data[end:]
        if end:
            yield Block(data[:end], is_whole=True)
    if rest:
        yield Block(rest, is_whole=False)


def _raw(fd: int, size: int) -> Iterator[bytes]:
    """Read *fd* from its beginning, *size* bytes or what there is of them."""
    start = 0
    while chunk := opening.read_at(fd, min(CHUNK, size - start), start):
        start += len(chunk)
        yield chunk


def unpacked_until_damage(fd: int) -> Iterator[bytes]:
    """
    Read what a compressed file holds, up to where it is damaged.

    Raises:
        zlib.error: If it is damaged, cut off, or followed by something else.
    """
    unpacker = zlib.decompressobj(_GZIP)
    while not unpacker.eof:
        data = unpacker.unconsumed_tail or os.read(fd, CHUNK)
        if not data:
            raise zlib.error(CUT_OFF)
        before = unpacker.copy()
        try:
            chunk = unpacker.decompress(data, CHUNK)
        except zlib.error:
            yield _before_damage(before, data)
            raise
        yield chunk
    if unpacker.unused_data or os.read(fd, 1):
        raise zlib.error("something follows")


def _before_damage(unpacker: zlib._Decompress, data: bytes) -> bytes:
    """Return what is unpacked of *data* before that fails."""
    found = bytearray()
    with suppress(zlib.error):
        for at in range(len(data)):  # pragma: no branch  it fails again
            found += unpacker.decompress(data[at : at + 1])
    return bytes(found)


def _lock(fd: int) -> bool:
    """Keep writers away from *fd* for a moment; whether they are."""
    if sys.platform != "win32":  # pragma: no branch
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # no locks here, so writers have none either
            return True
    return True


def _unlock(fd: int) -> None:
    if sys.platform != "win32":  # pragma: no branch
        with suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_UN)


def _is_at(path: str, found: os.stat_result) -> bool:
    """Whether *path* still names the file that was *found*: no rotation since."""
    try:
        return os.path.samestat(os.lstat(path), found)
    except FileNotFoundError:
        return False
