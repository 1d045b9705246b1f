"""
Collect what witnesses saw of a chain: the anchors that hold its end fast.

An anchor is ``"chain"``, ``"seq"`` and ``"hash"`` of a record, in this order, as
event ``audit_checkpoint`` has them.  They are found in any text: in log files, plain
or compressed, in what ``aws logs filter-log-events`` prints, in whatever format, in
what ``chimera-log verify --format json`` printed before.  Memory is bounded, however
much is read, and however long its lines are.

A value that somebody else chose may look like an anchor, and is none.  So one within a
JSON string counts only if that string is a message of CloudWatch Logs.
"""

from __future__ import annotations

import os
import re
import zlib
from collections import namedtuple

from chimera_log.files.compress import CHUNK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

MAX_ANCHORS = 100_000  # that are remembered, the newest ones

# Its quotes are plain in a log line, and escaped once in a message that is printed
# as a JSON string; the first group tells.
_ANCHOR = re.compile(
    rb'"chain(\\?)"\s{0,9}:\s{0,9}\1"([0-9a-f]{32})\1"\s{0,99},'
    rb'\s{0,99}\1"seq\1"\s{0,9}:\s{0,9}([1-9][0-9]{0,17})\s{0,99},'
    rb'\s{0,99}\1"hash\1"\s{0,9}:\s{0,9}\1"([0-9a-f]{64})\1"'
    rb'(?:\s{0,99},\s{0,99}\1"trail\1"\s{0,9}:\s{0,9}\1"([^"\\]{1,4096})\1")?'
)
_MESSAGE = b'"{\\"'  # how such a string begins
# What is before it: the field that AWS prints before a message, or nothing on its
# line, if messages are all that was asked for.  (A list within a log line that was
# printed over many lines is further to the right.)
_BEFORE_MESSAGE = re.compile(
    rb'(?:\n {0,4}|(?:(?:"timestamp"\s{0,9}:\s{0,9}[0-9]{1,15}|'
    rb'"logStreamName"\s{0,9}:\s{0,9}"[^"]{1,512}")\s{0,99},\s{0,99}"message"|'
    rb'"field"\s{0,9}:\s{0,9}"@message"\s{0,99},\s{0,99}"value")\s{0,9}:\s{0,9})\Z'
)
_MAX_BEFORE = 1024  # bytes that it matches
_MARGIN = 8 * 1024  # bytes around an anchor that tell all about it
_GZIP_MAGIC = b"\x1f\x8b"
_GZIP = 31  # zlib's wbits for a gzip header and the largest window

# Which records of one chain witnesses saw, and with which hash.
Anchors = namedtuple(
    "Anchors",
    [
        "hashes",  # by the record's number; empty where witnesses disagree
        "newest",  # number of a record, or 0
        "newest_strong",  # the same, of witnesses that are not beside the trail
        "other",  # another chain that this trail is said to have, or ``None``
        "notes",  # in words, what was not read
    ],
)


def beside(folder: str, name: str) -> list[str]:
    """
    Return the log files in *folder* that may have anchors of the trail *name*.

    Raises:
        OSError: If it cannot be listed.
    """
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            is_log = entry.name.endswith(".log") or ".log." in entry.name
            is_own = entry.name == name or entry.name.startswith(f"{name}.")
            if is_log and not is_own and entry.is_file(follow_symlinks=False):
                found.append(entry.path)
    return sorted(found)


class Gathering:
    """
    The anchors of one chain, as they are found.

    Args:
        chain: Its name; ``None`` if the trail has no chain, so that every anchor is
            of another one.
        trail: The active file's name.
    """

    def __init__(self, chain: str | None, trail: str) -> None:
        self._chain = chain
        self._trail = trail
        self._hashes: dict[int, str] = {}
        self._strong = 0
        self._other: str | None = None
        self._notes: list[str] = []

    @property
    def found(self) -> Anchors:
        """What was found so far."""
        if len(self._hashes) > MAX_ANCHORS:
            self._forget()
        return Anchors(
            hashes=self._hashes,
            newest=max(self._hashes, default=0),
            newest_strong=self._strong,
            other=self._other,
            notes=tuple(self._notes),
        )

    def note(self, note: str) -> None:
        """Add to what was not read, in words; once."""
        if note not in self._notes:
            self._notes.append(note)

    def read(self, file: BinaryIO, name: str, *, is_weak: bool) -> None:
        """
        Read an open file, plain or compressed.

        Args:
            file: From where it stands to its end.
            name: What to call it, if it is damaged.
            is_weak: Whether who can change the trail can change it as well.

        Raises:
            OSError: If it cannot be read.
        """
        try:
            for window, end in _windows(_chunks(file)):
                self._look(window, end, is_weak=is_weak)
        except zlib.error as error:
            self.note(f"{name} is damaged, and was read only up to there: {error}")

    def _look(self, window: bytes, end: int, *, is_weak: bool) -> None:
        for match in _ANCHOR.finditer(window):
            start = match.start()
            if start >= end:  # the next window has all of it
                break
            escape, chain, seq, found, path = match.groups()
            before = window[max(start - 2, 0) : start]
            if escape:
                if before[-1:] != b"\\" or not _is_message(window, start - 1):
                    continue
            elif before[-1:] == b"\\":
                continue
            if chain.decode() == self._chain:
                self._take(int(seq), found.decode(), is_weak=is_weak)
            elif path is None or _base(path) == os.fsencode(self._trail):
                self._other = chain.decode()

    def _take(self, seq: int, found: str, *, is_weak: bool) -> None:
        if not is_weak:
            self._strong = max(self._strong, seq)
        if self._hashes.setdefault(seq, found) != found:
            self._hashes[seq] = ""
        if len(self._hashes) > 2 * MAX_ANCHORS:
            self._forget()

    def _forget(self) -> None:
        newest = sorted(self._hashes)[-MAX_ANCHORS:]
        self._hashes = {seq: self._hashes[seq] for seq in newest}
        self.note(f"of the anchors, only the newest {MAX_ANCHORS:,} were checked")


def _is_message(window: bytes, end: int) -> bool:
    """Whether what is at *end* is within a message of CloudWatch Logs."""
    start = window.rfind(_MESSAGE, 0, end)
    if start < 0:
        return False
    inside = window[start + 1 : end].replace(rb"\\", b"").replace(rb"\"", b"")
    before = window[max(start - _MAX_BEFORE, 0) : start]
    return b'"' not in inside and bool(_BEFORE_MESSAGE.search(before))


def _base(path: bytes) -> bytes:
    return path.replace(b"\\", b"/").rpartition(b"/")[2]


def _windows(chunks: Iterator[bytes]) -> Iterator[tuple[bytes, int]]:
    """
    Yield pieces that overlap, and how far to look in each.

    Where something begins before that, what is around it is in the piece, too.
    """
    window = b"\n"  # so that the first line is one like the others
    for chunk in chunks:
        window += chunk
        yield window, len(window) - _MARGIN
        window = window[-2 * _MARGIN :]
    yield window, len(window)


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    chunks = iter(lambda: file.read(CHUNK), b"")
    first = next(chunks, b"")
    if first.startswith(_GZIP_MAGIC):
        yield from _unpacked(first, chunks)
    else:
        yield first
        yield from chunks


def _unpacked(data: bytes, more: Iterator[bytes]) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(_GZIP)
    while not unpacker.eof:
        yield unpacker.decompress(data, CHUNK)
        data = unpacker.unconsumed_tail
        if not data and not unpacker.eof:
            data = next(more, b"")
            if not data:
                raise zlib.error("cut off")
