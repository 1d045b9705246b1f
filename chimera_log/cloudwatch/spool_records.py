"""
The text that an event is on disk, and how to find it again in what is damaged.

A record is one line: ``<timestamp ms> <length> <crc32> <message>``, so that an
operator can read and count them.  The checksum is the message's, begun with the
timestamp; a wrong length makes it another message's.  In the rare message that holds a line feed it is
escaped, and a backslash after the length says so.  Since no message can hold what
looks like the beginning of another record, a damaged one costs itself alone, and
looking for the next one takes no longer than reading.

Pure: bytes in, bytes out.
"""

from __future__ import annotations

import re
from zlib import crc32

from chimera_log.cloudwatch.batch import Event

_LINE_FEED = ord("\n")  # sought as a number: for bytes, ``in`` takes far longer
MAX_HEAD = 45  # bytes of a record besides its message, unless that has line feeds
_HEAD = re.compile(rb"(-?[0-9]{1,20}) ([0-9]{1,12})(\\?) ([0-9a-f]{8}) ")
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)


def encoded(event: Event) -> bytes:
    """Return the record of *event*, ended by a line feed."""
    timestamp, message = event
    mark = b""
    if _LINE_FEED in message:
        message = message.replace(b"\\", b"\\\\").replace(b"\n", b"\\n")
        mark = b"\\"
    checksum = crc32(message, timestamp)
    return b"%d %d%b %08x %b\n" % (timestamp, len(message), mark, checksum, message)


def decoded(data: bytes, *, is_end: bool) -> tuple[list[tuple[Event, int]], int]:
    """
    Return the events that *data* holds, whatever else it holds.

    Args:
        data: A piece of a file, from the beginning of a record on.
        is_end: Whether the file ends with it.  If not, its last line may be
            unfinished, and is left for the next piece.

    Returns:
        The events, each with the position behind it, and the position up to which
        there is nothing more.
    """
    events: list[tuple[Event, int]] = []
    at, size = 0, len(data)
    while at < size:
        line_end = data.find(b"\n", at)
        if line_end < 0:
            if not is_end:
                break
            line_end = size
        head = _HEAD.match(data, at, line_end)
        if head:
            timestamp, text = int(head[1]), head.end()
            end = text + int(head[2])
            message = data[text:end]
            if end <= line_end and crc32(message, timestamp) == int(head[4], 16):
                if head[3]:
                    message = _ESCAPED.sub(_unescaped, message)
                # Behind one that checks out begins the next, though the byte between
                # them be damaged.
                at = min(end + 1, size)
                events.append((Event(timestamp, message), at))
                continue
        at = min(line_end + 1, size)
    return events, at


def first_length(data: bytes) -> int | None:
    """Return how long the record is that *data* begins with, if it says so."""
    head = _HEAD.match(data)
    return head.end() + int(head[2]) + 1 if head else None


def _unescaped(found: re.Match[bytes]) -> bytes:
    return b"\n" if found[1] == b"n" else found[1]
