"""
Follow a trail: hand over each chained line once, from where one stopped.

A trail grows in one file, which is renamed when it is full, and later compressed or
removed.  So a `Position` names no file that may change its name: it says which full
file was read to its end, and how far the one after that was read, by whatever name
it goes.  The last line that was handed over is part of it, and is looked for there:
where it is not found, that file is another one, and is read from its beginning.

Nothing is locked.  A line is handed over when its line feed is there, which a writer
writes last; lines that are not chained are left out.  Memory does not grow with the
trail.
"""

from __future__ import annotations

import io
import os
import stat
import zlib
from collections import namedtuple
from contextlib import suppress
from itertools import chain as joined

from chimera_log.audit import chain
from chimera_log.audit.reading import (
    READ,
    VanishedError,
    VerifyError,
    open_segment,
    split,
    unpacked_until_damage,
)
from chimera_log.files import names, opening
from chimera_log.files.aside import Aside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_CHUNK = 256 * 1024  # bytes read at a time
_LINK_BYTES = 400  # of a line's end, that tell its link
_NOTHING = (0, 0, 0, 0)  # what a look at a file that is not there tells

# How far a trail was read.
Position = namedtuple(
    "Position",
    [
        "after",  # the last full file that was read to its end, without .gz; "": none
        "offset",  # in the next one: where its last chained line that was read ends
        "chain",  # of the last line that was read, wherever it was
        "seq",
        "hash",
    ],
)
START = Position("", 0, "", 0, "")

# Chained lines, and the position after them.
Batch = namedtuple(
    "Batch",
    [
        "lines",
        "position",
        "is_more",  # whether there is more to read at once
        "damage",  # what cannot be read, in words, or ``None``
    ],
)


class Tailer:
    """
    The lines of the trail at *path* that come after *position*.

    Whatever was appended, renamed, compressed and removed since: each chained line
    that is there is handed over, in order, and none twice.  Where files were put in
    the place of others, some may come again.

    Args:
        path: The active file, absolute; it need not be there.
        position: Where to begin.
    """

    def __init__(self, path: str, position: Position = START) -> None:
        self._path = path
        self._folder, self._name = os.path.split(path)
        self._aside = Aside(self._folder, self._name)
        self._position = position
        self._source: _Source | None = None
        self._known: list[str] = []  # full files after the position, at last
        self._last = 0  # the number of the newest full file that is there
        self._seen: tuple[int, int, int, int] | None = None

    def has_news(self) -> bool:
        """Whether there may be more than when all was read: one look at one file."""
        if self._seen is None or self._seen != _look_at(self._path):
            return True
        # Without an active file another one may have come and been renamed.
        return self._seen == _NOTHING and self._known != self._later()

    def read(self) -> Batch:
        """
        Read about a megabyte; return the lines in it.

        A full file that cannot be unpacked to its end is read as far as it can be,
        and left; that is the batch's *damage*.

        Raises:
            VerifyError: If the active file is no regular one.
            OSError: If a file cannot be read.  The next call begins again where the
                last batch ended.
        """
        self._seen = None
        lines: list[bytes] = []
        damage = None
        try:
            self._source = self._source or self._next_source()
            if self._source is not None:
                lines = self._lines(self._source)
        except VanishedError:  # compressed or removed this very moment
            pass
        except _OtherFileError:
            self.close()
            self._position = self._position._replace(offset=0)
        except zlib.error as error:
            name = self._leave()
            damage = f"{name}.gz: cannot be read any further ({error})"
        except BaseException:
            self.close()
            raise
        return Batch(lines, self._position, self._seen is None, damage)

    def close(self) -> None:
        """Close the file that is open; the next call opens it again."""
        source, self._source = self._source, None
        if source is not None:
            source.close()

    def _next_source(self) -> _Source | None:
        """Open the file at the position; ``None`` if there is none."""
        # Before the others are listed: so it is none that comes after one of those
        # that are not in the list yet.
        active = _open_active(self._path)
        try:
            later = self._later()
            if not later and self._begins_anew():
                self._position = self._position._replace(after="")
                later = self._later()
            if later:
                return self._segment(later)
            if active < 0:
                self._seen, self._known = _NOTHING, later
                return None
            source = _Source(active, "", self._position)
            active = -1
            return source
        finally:
            if active >= 0:
                os.close(active)

    def _segment(self, later: list[str]) -> _Source:
        is_final = self._is_final(later)  # before it is read: of lines in it by now
        fd, is_packed = open_segment(os.path.join(self._folder, later[0]))
        return _Source(
            fd,
            later[0],
            self._position,
            is_packed=is_packed,
            is_final=is_packed or is_final,
        )

    def _is_final(self, later: list[str]) -> bool:
        """
        Whether nobody adds to the first of *later* any more.

        It is sealed, or lines were written to the file after it.
        """
        manifest = os.path.join(self._aside.path, f"{later[0]}.manifest")
        is_followed = len(later) > 1 or _look_at(self._path)[-1] > 0
        return is_followed or os.path.lexists(manifest)

    def _later(self) -> list[str]:
        """Return the full files after the position, without .gz, the oldest first."""
        after = names.segment_number(self._name, self._position.after) or 0
        found: set[tuple[int, str]] = set()
        with suppress(FileNotFoundError), os.scandir(self._folder) as entries:
            for entry in entries:
                number = names.segment_number(self._name, entry.name)
                if number is not None and entry.is_file(follow_symlinks=False):
                    found.add((number, entry.name.removesuffix(".gz")))
        self._last = max(found)[0] if found else 0
        begin = after, self._position.after
        return [name for number, name in sorted(found) if (number, name) > begin]

    def _begins_anew(self) -> bool:
        """Whether the number at the position was given by nobody we know of."""
        after = names.segment_number(self._name, self._position.after) or 0
        return after > max(self._last, self._aside.last_number())

    def _lines(self, source: _Source) -> list[bytes]:
        """Return the next chained lines; at the end of *source* see what is next."""
        block = source.read()
        if block is not None:
            return self._chained(block, source.offset - len(block))
        if source.is_final:
            self._leave()
            return []
        self.close()
        look = _look_at(self._path) if source.name else source.look
        later = self._later()
        # An active one may be a full one by now, and a full one final.
        if not later or (later[0] == source.name and not self._is_final(later)):
            self._seen, self._known = look, later
        return []

    def _chained(self, block: bytes, end: int) -> list[bytes]:
        """Return the chained lines of *block*, which begins at *end*."""
        found = []
        for line in io.BytesIO(block):
            end += len(line)
            link = chain.link_of(line)
            if link is not None:
                found.append(line)
                self._position = Position(
                    self._position.after, end, link.chain, link.seq, link.hash
                )
        return found

    def _leave(self) -> str:
        """Have read the full file that is open to its end; return its name."""
        assert self._source is not None  # noqa: S101
        name = self._source.name
        self._position = self._position._replace(after=name, offset=0)
        self.close()
        return name


class _OtherFileError(Exception):
    """The line at the position is not in the file."""


class _Source:
    """
    One file, read from a position in it.

    Args:
        fd: Open for reading, at its beginning; ours from now on.
        name: Of the segment, without .gz; empty for the active file.
        position: Where to begin.
        is_packed: Whether it is compressed.
        is_final: Whether nobody adds to it any more.
    """

    def __init__(
        self,
        fd: int,
        name: str,
        position: Position,
        *,
        is_packed: bool = False,
        is_final: bool = False,
    ) -> None:
        self._fd = fd
        self.name = name
        self.is_final = is_final
        self.look = _look_of(os.fstat(fd))
        # The end of the last line that was read is read again.
        self.offset = 0 if is_packed else max(position.offset - _LINK_BYTES, 0)
        self._chunks = unpacked_until_damage(fd) if is_packed else _raw(fd, self.offset)
        self._position = position
        self._passed = b""
        self._blocks = split(self._chunks)

    def read(self) -> bytes | None:
        """
        Return the next whole lines, maybe none; ``None`` at the end.

        Raises:
            _OtherFileError: If the last line that was read is not there.
            zlib.error: If it is compressed, and damaged.
            OSError: If it cannot be read.
        """
        if self.offset < self._position.offset:
            self._pass()
            return b""
        block = next(self._blocks, None)
        if block is None:
            return None
        self.offset += len(block.data)
        return block.data if block.is_whole else b""

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def _pass(self) -> None:
        """Pass by what was read before."""
        chunk = next(self._chunks, None)
        if chunk is None:
            raise _OtherFileError
        left = self._position.offset - self.offset
        self._passed = (self._passed + chunk[:left])[-_LINK_BYTES:]
        self.offset += min(left, len(chunk))
        if self.offset == self._position.offset:
            link = chain.link_of(self._passed)
            if link is None or link.hash != self._position.hash:
                raise _OtherFileError
            self._blocks = split(joined([chunk[left:]], self._chunks))


def _raw(fd: int, start: int) -> Iterator[bytes]:
    while chunk := opening.read_at(fd, _CHUNK, start):
        start += len(chunk)
        yield chunk


def _open_active(path: str) -> int:
    """Return the active file, open; -1: there is none."""
    try:
        fd = os.open(path, READ)
    except FileNotFoundError:
        return -1
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise VerifyError(f"{path}: no regular file, so no trail either")
    return fd


def _look_at(path: str) -> tuple[int, int, int, int]:
    """Return what tells a file that was appended to, or is another one."""
    try:
        return _look_of(os.lstat(path))
    except FileNotFoundError:
        return _NOTHING


def _look_of(found: os.stat_result) -> tuple[int, int, int, int]:
    # The time: an inode's number may be given again.
    return found.st_dev, found.st_ino, found.st_ctime_ns, found.st_size
