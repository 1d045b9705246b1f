"""
Follow a chain from line to line, and stop where it breaks.

The quick way is `chain.follow`.  Only what does not follow, what the trail itself
wrote, and what witnesses saw is looked at more closely.
"""

from __future__ import annotations

import sys
from collections import namedtuple

from chimera_log.audit import chain, diagnosis
from chimera_log.audit.diagnosis import (
    EDITED,
    INSERTED,
    LEGACY,
    MANIFEST,
    MISSING,
    REWRITTEN,
    SEGMENT_MISSING,
    TRUNCATED,
    WRONG_KEY,
    Gap,
)
from chimera_log.audit.reading import CUT_OFF, DamagedError, VerifyError
from chimera_log.files import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from chimera_log.audit.anchors import Anchors
    from chimera_log.audit.chain import Head, Key, Link
    from chimera_log.audit.diagnosis import Finding
    from chimera_log.audit.reading import Files

# The end of a chain that has not begun: no line of a file goes on from there.
_NOWHERE = chain.Head("\n", 0, "")
_OWN = chain.OURS.encode()
_MAX_OWN = 64 * 1024  # bytes of a line that the trail itself writes

# The first thing that is wrong.
Bad = namedtuple(
    "Bad",
    [
        "file",
        "line",  # its number in the file; ``None`` if it is about all of the file
        # The record that should be there; of one that was inserted, the number that
        # it gives itself, if any.
        "seq",
        "kind",  # see `diagnosis`
        "what",  # in words
    ],
)

# Where a record is; in a file that is gone it has no line.
Place = namedtuple("Place", ["file", "line"])


class BrokenError(Exception):
    """The trail is not whole; `bad` is the first thing that is wrong."""

    def __init__(self, bad: Bad) -> None:
        super().__init__(bad)
        self.bad = bad


class Follower:
    """
    One way along a chain, through one file after the other.

    Args:
        files: The trail's files.
        keys: That its records may be signed with.
        anchors: What witnesses saw.
        on_pruned: Told the context of each record ``audit_pruned``.
    """

    def __init__(
        self,
        files: Files,
        keys: Iterable[Key],
        anchors: Anchors,
        on_pruned: Callable[[dict[str, Any]], None],
    ) -> None:
        self.head = _NOWHERE  # where the chain ends
        self.has_begun = False
        self.first_seq = 0
        self.first: bytes | None = None  # the first record,
        self.last: bytes | None = None  # the last one,
        self.tail: bytes | None = None  # and the first one that no witness saw yet
        self.recovered = 0  # records that vouch for what a killed writer left
        self.legacy_lines = self.legacy_files = 0
        self._files = files
        self._keys = {key.key_id: key for key in keys}
        self._anchors = anchors
        self._on_pruned = on_pruned
        self._stops = iter(sorted({*anchors.hashes, anchors.newest + 1}))
        self._stop = 0  # the next record to be looked at; the first one is, too
        self._key: Key | None = None  # of the last record
        self._prev = ""  # the hash that the last record links to
        self._first_place = Place("", None)
        self._place = self._first_place  # of the last record of the files before
        self._name = ""  # of the file that is read,
        self._line = self._bytes = 0  # and how much of it was read
        self._start = self.head  # where the chain ended before it
        self._counted = 0  # records of the files before
        self._gap: Gap | None = None  # since the last record
        self._is_in_line = False  # whether a line goes on that is none

    @property
    def records(self) -> int:
        """How many records were read, and are good."""
        return self._counted + int(self.head.seq - self._start.seq)

    def _read(self, name: str) -> None:
        """Follow the chain through a file."""
        self._name, self._line, self._bytes = name, 0, 0
        try:
            for data, is_whole in self._files.blocks(self._name):
                self._bytes += len(data)
                if is_whole:
                    self._follow(data)
                else:
                    self._take_part(data)
        except DamagedError as error:
            self._line += not self._is_in_line
            kind = TRUNCATED if str(error) == CUT_OFF else EDITED
            what = f"it cannot be unpacked further: {error}"
            raise self._broken(kind, what) from None

    def _follow(self, data: bytes) -> None:
        """Follow the chain through whole lines."""
        is_quiet = _OWN not in data
        follow, head = chain.follow, self.head
        for text in data.split(b"\n")[:-1]:
            line = text + b"\n"
            self._line += 1
            after = follow(line, head, self._key)
            if (
                after is None
                or after.seq >= self._stop
                or self._gap is not None
                or not is_quiet
            ):
                self._look(line, after)
                head = self.head
            else:
                self._prev, self.last, self.head = head.hash, line, after
                head = after

    def _take_part(self, part: bytes) -> None:
        """Take a part of a line that is too long, or that the file ends in."""
        if not self._is_in_line:
            self._line += 1
        self._gap = self._gap or Gap(self._line)
        self._gap.add_part(part)
        self._is_in_line = not part.endswith(b"\n")

    def _look(self, line: bytes, after: Head | None) -> None:
        """Take a line, or say what is wrong with it."""
        if after is None:
            link = chain.link_of(line)
            if link is None:
                self._gap = self._gap or Gap(self._line)
                self._gap.add(line)
                return
            after = self._after(line, link)
        event, context = _own_event(line)
        self._settle_gap(after.seq, context if event == "audit_recovered" else {})
        if event == "audit_pruned":
            self._on_pruned(context)
        if after.seq >= self._stop:
            self._ask_witnesses(line, after)
        if self.first is None:
            self.first, self.first_seq = line, after.seq
            self._first_place = Place(self._name, self._line)
        self._prev, self.last, self.head = self.head.hash, line, after

    def _after(self, line: bytes, link: Link) -> Head:
        """Return the head after a chained line that did not follow at once."""
        if not self.has_begun:
            self._begin(link.chain)
        key = self._key_of(line, link)
        after = chain.follow(line, self.head, key)
        if after is not None:
            self._key = key
            return after
        event, context = _own_event(line)
        gap = self._gap
        if gap is not None and not (
            event == "audit_recovered" and gap.is_vouched_by(context, link.seq)
        ):
            raise self._broken_by_gap(gap, link.seq)
        finding = diagnosis.of_record(
            link,
            is_genuine=chain.is_genuine(line, key),
            head=self.head,
            prev=self._prev,
            ahead=self._ahead(),
        )
        raise self._broken_by(finding, link.seq)

    def _begin(self, name: str) -> None:
        self.has_begun = True
        self.head = self._start = chain.begin(name)

    def _key_of(self, line: bytes, link: Link) -> Key | None:
        """Return the key that a line is signed with."""
        if link.kid is None:
            if self._key is None:
                return None
            what = "it has no key, and the records before it have"
            raise self._broken(WRONG_KEY, what)
        key = self._keys.get(link.kid)
        if key is not None:
            return key
        for other in self._keys.values():
            named = other.named(link.kid)
            if chain.is_genuine(line, named):
                self._keys[link.kid] = named
                return named
        if not self._keys and self.first is None:
            raise VerifyError(
                f"{self._name}: its records are signed; give the key that they call "
                f"{link.kid}"
            )
        given = ", ".join(self._keys) or "none"
        what = f"it is signed with key {link.kid}; given: {given}"
        raise self._broken(WRONG_KEY, what)

    def _settle_gap(self, seq: int, context: dict[str, Any]) -> None:
        """See that what stands before a record is what it vouches for."""
        gap, self._gap = self._gap, None
        if gap is None:
            if context.get("left") is True:
                what = f"the {context.get('bytes')} bytes that it vouches for are gone"
                raise self._broken(EDITED, what)
        elif context.get("left") is not True or not gap.is_vouched_by(context, seq):
            raise self._broken_by_gap(gap, seq)
        elif context["kind"] == LEGACY:
            self.legacy_lines += gap.lines
            self.legacy_files += 1
            return
        elif gap.object is not None:
            what = "a line of JSON, which no killed writer leaves, though vouched for"
            raise self._broken(INSERTED, what, line=gap.object, seq=None)
        self.recovered += bool(context)

    def _ask_witnesses(self, line: bytes, head: Head) -> None:
        """Compare a record with what witnesses saw, and find the next one to compare."""
        seen = self._anchors.hashes.get(head.seq, head.hash)
        if seen != head.hash:
            following = next(self._ahead(), None)
            if following is not None and following.hash == seen:
                raise self._broken(INSERTED, "a witness saw the next line in its place")
            what = f"a witness saw record {head.seq} with another hash"
            raise self._broken(REWRITTEN, what)
        if head.seq > self._anchors.newest and self.tail is None:
            self.tail = line
        while head.seq >= self._stop:
            self._stop = next(self._stops, sys.maxsize)

    def _ahead(self) -> Iterator[Link]:
        """Return the chained lines that follow in the trail."""
        lines = self._files.lines_after(self._name, self._line)
        return filter(None, map(chain.link_of, lines))

    def _broken(self, kind: str, what: str, **place: Any) -> BrokenError:
        """Return the error that says what is wrong here, or at *place*."""
        here = Bad(self._name, self._line, self.head.seq + 1, kind, what)
        return BrokenError(here._replace(**place))

    def _broken_by_gap(self, gap: Gap, following: int | None) -> BrokenError:
        expected = self.head.seq + 1
        kind, what, _ = diagnosis.of_gap(gap, expected, following)
        seq = None if kind == INSERTED else expected
        return self._broken(kind, what, line=gap.line, seq=seq)

    def _broken_by(self, finding: Finding, seq: int) -> BrokenError:
        """Return the error that a chained line, record *seq* as it says, leads to."""
        kind, what, is_last = finding
        is_first = self.head is self._start  # in its file
        if is_last:
            line = (self._gap.line if self._gap else self._line) - 1
            place = self._place if is_first else Place(self._name, line)
            if place.line is None:
                kind, what = MANIFEST, "its last record is not the one that follows"
            return BrokenError(Bad(*place, self.head.seq, kind, what))
        if kind == MISSING and is_first and self.head.seq and self._is_name_missing():
            kind = SEGMENT_MISSING
        if kind == INSERTED:
            return self._broken(kind, what, seq=seq)
        return self._broken(kind, what)

    def _is_name_missing(self) -> bool:
        """Whether there may be a segment between the last record's file and this one."""
        number, before = (
            names.segment_number(self._files.name, name)
            for name in (self._name, self._place.file)
        )
        return number is None or number > (before or 0) + 1


def _own_event(line: bytes) -> tuple[str, dict[str, Any]]:
    """Return event and context of a line that the trail itself wrote, or nothing."""
    found = chain.own_event(line) if len(line) <= _MAX_OWN else None
    return found or ("", {})
