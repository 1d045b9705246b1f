"""
Find the last chained line of a trail, in its files as they are.

Asked when a file is opened and whenever somebody else wrote to it; else the trail
knows.  Files are read from their end, in blocks; whatever they hold, little of it is
in memory.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import zlib
from collections import namedtuple

from chimera_log.audit import chain
from chimera_log.audit.manifest import ManifestError
from chimera_log.files import names, opening
from chimera_log.files.compress import unpacked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from chimera_log.audit.chain import Head
    from chimera_log.audit.manifest import Manifests, Sealed

TORN, LEGACY, FOREIGN = "torn", "legacy", "foreign"
_BLOCK = 4 * 1024  # bytes read at a time, more where lines are longer
_CHUNK = 64 * 1024  # bytes hashed at a time
# A FIFO in a file's place must not make us wait.
_READ = (
    os.O_RDONLY
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | opening.NOFOLLOW
)

# Bytes behind the last chained line that are not chained: how many, what they are,
# and their SHA-256.
Gap = namedtuple("Gap", ["bytes", "kind", "sha256"])

# The end of the chain in a file, ``None`` if it has no chained line, and what
# follows it there, ``None`` if nothing does.
End = namedtuple("End", ["head", "gap"])


def end_of_file(fd: int, size: int) -> End:
    """
    Return where the chain ends in an open file.

    Args:
        fd: Open for reading.
        size: How many of its bytes to look at; the last one is a line feed.
    """
    end = size
    has_whole_line = False
    for start, line in _lines_from_end(fd, size):
        link = chain.link_of(line)
        if link is not None:
            head = chain.Head(link.chain, link.seq, link.hash)
            return End(head, _gap(fd, end, size, FOREIGN if has_whole_line else TORN))
        has_whole_line = has_whole_line or _is_whole(line)
        end = start
    return End(None, _gap(fd, 0, size, LEGACY if has_whole_line else TORN))


def end_of_segments(
    directory: str, name: str, entries: Iterable[str], manifests: Manifests
) -> Head | None:
    """
    Return the end of the chain in the full segments, or in what is known of them.

    Args:
        directory: Where the trail is.
        name: The active file's name.
        entries: What lies there.
        manifests: What is known of segments, of those that are gone, too.

    Raises:
        OSError: If the newest segment cannot be read.  Then nothing may be written:
            a chain has no two ends.
    """
    by_number: dict[int, str] = {}
    for entry in (*manifests.known(), *entries):
        number = names.segment_number(name, entry)
        if number is not None:
            by_number[number] = entry
    for number in sorted(by_number, reverse=True):
        path = os.path.join(directory, by_number[number])
        try:
            manifest = manifests.load(by_number[number].removesuffix(".gz"))
        except ManifestError as error:  # damaged, or somebody's; the file itself tells
            if not os.path.lexists(path):
                what = f"is gone, and its manifest is damaged ({error})"
                raise OSError(errno.EIO, what, path) from None
            manifest = None
        head = _head_in(path) if manifest is None else _head_of(manifest.sealed)
        if head is not None:
            return head
    return None


def _head_of(sealed: Sealed) -> Head | None:
    if sealed.chain is None:  # no line of it is chained
        return None
    return chain.Head(sealed.chain, sealed.last_seq, sealed.head)


def _head_in(path: str) -> Head | None:
    """Return the end of the chain in the full segment at *path*."""
    fd = os.open(path, _READ)
    try:
        if not path.endswith(".gz"):
            head: Head | None = end_of_file(fd, os.fstat(fd).st_size).head
            return head
        return _last_head(unpacked(fd))
    except zlib.error as error:
        raise OSError(errno.EIO, f"is damaged ({error})", path) from None
    finally:
        os.close(fd)


def _last_head(chunks: Iterator[bytes]) -> Head | None:
    """Return the last chained line's head in a file that is read from its beginning."""
    head, rest = None, b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        rest = rest[-chain.MAX_LINE_BYTES :]
        for line in reversed(lines):
            link = chain.link_of(line + b"\n")
            if link is not None:
                head = chain.Head(link.chain, link.seq, link.hash)
                break
    return head


def _lines_from_end(fd: int, size: int) -> Iterator[tuple[int, bytes]]:
    """
    Yield where each line begins, and the line, the last one first.

    Of one that is longer than any of ours only the end.
    """
    rest = b""  # the beginning of what was read, whose own beginning is not known
    length = _BLOCK
    while size > 0:
        start = max(size - length, 0)
        block = opening.read_at(fd, size - start, start) + rest
        first = 0 if start == 0 else block.find(b"\n") + 1
        # Without a line feed before its last byte the block is within one line.
        if start and (first == 0 or first == len(block)):
            rest, size = block[-chain.MAX_LINE_BYTES :], start
            length = min(2 * length, chain.MAX_LINE_BYTES)
            continue
        end = len(block)
        while end > first:
            begin = max(block.rfind(b"\n", first, end - 1) + 1, first)
            yield start + begin, block[begin:end]
            end = begin
        rest, size, length = block[:first], start, _BLOCK


def _gap(fd: int, start: int, end: int, kind: str) -> Gap | None:
    if start == end:
        return None
    found = hashlib.sha256()
    for offset in range(start, end, _CHUNK):
        found.update(opening.read_at(fd, min(_CHUNK, end - offset), offset))
    return Gap(end - start, kind, found.hexdigest())


def _is_whole(line: bytes) -> bool:
    """Whether *line* is a whole one, of whomever: half of one of ours is no JSON."""
    if len(line) >= chain.MAX_LINE_BYTES:  # nor is it as long
        return True
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
