"""
Say what is wrong where a chain breaks, and which record it is.

The line that does not fit need not be the bad one: where a record was edited and its
hash made to match, it is the next line that does not link to it.  So what follows is
looked at, as far as it takes.

Pure: told what the lines are, in order; no file is opened here.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import namedtuple
from itertools import chain as joined

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from chimera_log.audit.chain import Head, Link

EDITED = "edited"
INSERTED = "inserted"
MANIFEST = "manifest"
MISSING = "missing"
NOT_JSON = "not JSON"
REORDERED = "reordered"
REWRITTEN = "rewritten"
SEGMENT_MISSING = "segment missing"
TRUNCATED = "truncated"
WRONG_KEY = "wrong key"

LEGACY, TORN = "legacy", "torn"  # kinds of what a record vouches for

_MAX_PARSED = 1024 * 1024  # bytes of a line; values take many times their text
_STRING = re.compile(rb'"[^"]*"')
_NO_BRACKETS = bytes(set(range(256)) - set(b'"[]{}'))
# What is left of a link that was changed: of these, in a line's last bytes, most.
_NAMES = (b'"audit"', b'"chain"', b'"prev"', b'"hash"')
_ENOUGH_NAMES = 3
_LINK_WITHIN = 1024

# What is wrong: the kind, and in words.  If `is_last`, it is the last good record
# that is bad, and else the line that did not fit.
Finding = namedtuple("Finding", ["kind", "what", "is_last"], defaults=[False])


class Gap:
    """
    What stands between two chained lines, or after the last one, and is none.

    Args:
        line: The number of its first line in the file.
    """

    def __init__(self, line: int) -> None:
        self.line = line
        self.lines = 0
        self.bytes = 0
        self.is_json = False  # its first line
        self.was_chained = False  # its first line, by the looks of it
        self.object: int | None = None  # number of its first line that is a JSON object
        self._sha256 = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """The SHA-256 of its bytes."""
        return self._sha256.hexdigest()

    def add(self, line: bytes) -> None:
        """Take note of a whole line."""
        if self.object is None and _is_object(line):
            self.object = self.line + self.lines
        if not self.lines:
            self.is_json = self.object is not None or not line.strip()
            end = line[-_LINK_WITHIN:]
            self.was_chained = sum(name in end for name in _NAMES) >= _ENOUGH_NAMES
        self.add_part(line)

    def add_part(self, part: bytes) -> None:
        """Take note of a part of a line; a line feed ends it."""
        self.lines += part.endswith(b"\n")
        self.bytes += len(part)
        self._sha256.update(part)

    def is_vouched_by(self, context: dict[str, Any], seq: int) -> bool:
        """
        Whether record *seq* vouches for just these bytes, and may vouch at all.

        Args:
            context: Of that record, an ``audit_recovered``.
            seq: Its number.
        """
        return (
            context.get("kind") == TORN or (context.get("kind") == LEGACY and seq == 1)
        ) and (context.get("bytes"), context.get("sha256")) == (self.bytes, self.sha256)


def of_gap(gap: Gap, expected: int, following: int | None) -> Finding:
    """
    Say what is wrong with lines that are not chained, and not vouched for.

    Args:
        gap: These lines.
        expected: The number of the record that should be there.
        following: The number of the next one; ``None`` if there is none.
    """
    if not gap.is_json:
        return Finding(NOT_JSON, "it is no JSON object, and no record vouches for it")
    if gap.was_chained if following is None else following > expected:
        return Finding(EDITED, f"it should be record {expected}, and is not chained")
    return Finding(INSERTED, "it is not chained, and no record vouches for it")


def of_record(
    link: Link, *, is_genuine: bool, head: Head, prev: str, ahead: Iterator[Link]
) -> Finding:
    """
    Say what is wrong with a chained line that is not the next one of its chain.

    Args:
        link: What it says of itself.
        is_genuine: Whether its hash is that of its bytes.
        head: Where the chain ended before it.
        prev: The hash that the last record of that links to.
        ahead: The chained lines that follow.
    """
    following = next(ahead, None)
    expected = head.seq + 1
    is_followed = following is not None and _links(following, link)
    goes_on = following is not None and _links(following, head)
    if goes_on and (link.seq <= expected or not is_genuine):
        return Finding(INSERTED, f"record {expected} follows it, and links past it")
    if not is_genuine:
        return Finding(EDITED, "its hash is not that of its bytes")
    if link.chain != head.chain and (head.seq != 1 or link.seq == 1):
        return Finding(REWRITTEN, f"another chain goes on here: {link.chain}")
    if link.seq == expected:
        if head.seq and (is_followed or following is None):
            what = "it is whole, and not what the next record links to"
            return Finding(EDITED, what, is_last=True)
        return Finding(EDITED, "it does not link to the record before")
    if link.seq == head.seq and link.hash != head.hash and link.prev == prev:
        # Two of one number; one of them was there first.
        what = f"there is another record {link.seq}"
        if is_followed:
            return Finding(
                INSERTED, f"{what}, and the chain goes on there", is_last=True
            )
        return Finding(INSERTED, what)
    if link.seq <= head.seq:
        return Finding(INSERTED, f"it says it is record {link.seq}, which came before")
    rest = ahead if following is None else joined([following], ahead)
    return _of_leap(link, head, rest)


def _of_leap(link: Link, head: Head, ahead: Iterable[Link]) -> Finding:
    """Say what is wrong where a number is too high."""
    is_found = is_member = is_twice = False
    for each in ahead:
        is_found = is_found or _links(each, head)
        is_member = is_member or _links(each, link) or _links(link, each)
        is_twice = is_twice or (each.seq, each.hash) == (link.seq, link.hash)
    expected = head.seq + 1
    if not is_found:
        return Finding(MISSING, f"{numbers(expected, link.seq - 1)} missing")
    if is_twice or not is_member:
        return Finding(INSERTED, f"it says it is record {link.seq}")
    return Finding(REORDERED, f"it is record {link.seq}; record {expected} comes later")


def numbers(first: int, last: int) -> str:
    """Return the records from *first* to *last* as the subject of a sentence."""
    return f"record {first} is" if first == last else f"records {first}..{last} are"


def _links(link: Link, before: Head | Link) -> bool:
    """Whether *link* says that it comes right after *before*."""
    return bool(link.seq == before.seq + 1 and link.prev == before.hash)


def _is_object(line: bytes) -> bool:
    """Whether *line* is a whole JSON object, of whomever: half of one is none."""
    line = line.strip()
    if not (line.startswith(b"{") and line.endswith(b"}")):
        return False
    if len(line) > _MAX_PARSED:
        return _is_balanced(line)
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _is_balanced(line: bytes) -> bool:
    """Whether what *line* opens is closed: enough, where it is one or half of one."""
    text = line.replace(rb"\\", b"").replace(rb"\"", b"").translate(None, _NO_BRACKETS)
    outside = _STRING.sub(b"", text)
    return (
        b'"' not in outside
        and outside.count(b"{") == outside.count(b"}")
        and outside.count(b"[") == outside.count(b"]")
    )
