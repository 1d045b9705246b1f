"""
Go through a trail from its first record to its last: file after file.

Besides what the lines say of each other, files have to be there, or to have been
pruned by the trail's own account; to be what their manifests say; and to go as far as
a witness saw.
"""

from __future__ import annotations

from chimera_log.audit import chain, diagnosis
from chimera_log.audit.diagnosis import (
    EDITED,
    INSERTED,
    MANIFEST,
    MISSING,
    REWRITTEN,
    SEGMENT_MISSING,
    TRUNCATED,
    WRONG_KEY,
    Gap,
)
from chimera_log.audit.following import Bad, BrokenError, Follower, Place
from chimera_log.audit.manifest import ManifestError
from chimera_log.audit.reading import VanishedError
from chimera_log.audit.seals import Content, Seals, disagreement, is_premature
from chimera_log.files import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from chimera_log.audit.anchors import Anchors
    from chimera_log.audit.chain import Key
    from chimera_log.audit.manifest import Manifest, Sealed
    from chimera_log.audit.reading import Files

_CUT = "it ends within a line"
_KILLED = (
    "it ends within a line; a killed writer leaves this, too, and the next start of "
    "the service puts it aside and vouches for it"
)


class Walk(Follower):
    """
    The way through all of a trail.

    Args:
        files: Its files.
        keys: That its records may be signed with.
        anchors: What witnesses saw.
        now: Seconds since the epoch.
    """

    def __init__(
        self, files: Files, keys: Iterable[Key], anchors: Anchors, now: float
    ) -> None:
        known = list(keys)
        seals = Seals(files.hidden, files.name, known)
        super().__init__(files, known, anchors, seals.believe)
        self.pruned = 0  # segments
        self._seals = seals
        self._now = now

    @property
    def notes(self) -> tuple[str, ...]:
        """In words, what could not be looked at."""
        return (*self._anchors.notes, *self._seals.notes)

    def run(self) -> None:
        """
        Go to the end.

        Raises:
            BrokenError: Where the trail is not whole.
            VerifyError: If a key is needed.
            VanishedError: If a file has gone meanwhile.
            OSError: If one cannot be read.
        """
        files = self._files
        there = set(files.segments)
        numbered = {
            (names.segment_number(files.name, name) or 0, name)
            for name in (*files.segments, *files.sealed)
        }
        for _, name in sorted(numbered):
            if name in there:
                self._read(name)
                self._end_file()
            else:
                self._step_over(name)
        if files.name in files.names:
            self._read(files.name)
            self._end_file()
        self._end()

    def _end_file(self) -> None:
        """Judge what is left when all of a file is read."""
        gap, self._gap = self._gap, None
        is_cut, self._is_in_line = self._is_in_line, False
        if gap is not None and self.has_begun:
            raise self._broken_at_end(gap, is_cut=is_cut)
        is_active = self._name == self._files.name
        manifest = None if is_active else self._manifest(self._name)
        sealed = None if manifest is None else manifest.sealed
        if not self.has_begun:
            self._settle_legacy(gap, sealed, is_cut=is_cut)
        elif sealed is not None and (sealed.bytes or self._bytes):
            self._compare(sealed)
        if self.head is not self._start:
            self._place = Place(self._name, self._line)
        self._counted, self._start = self.records, self.head

    def _settle_legacy(
        self, gap: Gap | None, sealed: Sealed | None, *, is_cut: bool
    ) -> None:
        """Judge a file without a record, before the first one that has some."""
        found = gap or Gap(1)
        is_as_sealed = sealed is not None and (
            (sealed.chain, sealed.bytes, sealed.sha256)
            == (None, found.bytes, found.sha256)
        )
        if not is_as_sealed and (is_cut or (sealed is None and found.was_chained)):
            raise self._broken_at_end(found, is_cut=is_cut)
        if not is_as_sealed and sealed is not None:
            what = "it is not the file that its manifest is of"
            seq = None if sealed.chain is None else 1
            raise self._broken(EDITED if gap else TRUNCATED, what, line=1, seq=seq)
        if gap is not None:
            self.legacy_lines += gap.lines + is_cut
            self.legacy_files += 1

    def _compare(self, sealed: Sealed) -> None:
        """Compare a segment with its manifest."""
        content = Content(self._start.seq + 1, self.head, self._bytes)
        finding = disagreement(sealed, content)
        if finding is None:
            return
        kind, what, _ = finding
        line, seq = self._line, self.head.seq  # of the last record
        if kind == TRUNCATED:
            raise self._broken(kind, what, line=line + 1)
        if kind != MANIFEST and not self._goes_on():
            if kind == INSERTED:
                line, seq = min(sealed.lines, line) + 1, sealed.last_seq + 1
            raise self._broken(kind, what, line=line, seq=seq)
        raise self._broken(MANIFEST, what, line=None)

    def _goes_on(self) -> bool:
        """Whether the chain goes on after the segment that was read."""
        following = next(self._ahead(), None)
        return following is not None and following.prev == self.head.hash

    def _step_over(self, name: str) -> None:
        """Go past a segment that is gone, if its manifest says that it was pruned."""
        self._name, self._line = name, 0
        manifest = self._manifest(name)
        if manifest is None:
            raise VanishedError(name)
        sealed, expected = manifest.sealed, self.head.seq + 1
        if manifest.tombstone is None:
            if sealed.chain is None:
                what = "it is gone, and its manifest does not say that it was pruned"
                raise self._broken(SEGMENT_MISSING, what, line=None, seq=None)
            what = f"{diagnosis.numbers(sealed.first_seq, sealed.last_seq)} missing"
            raise self._broken(SEGMENT_MISSING, what, line=None)
        if is_premature(manifest, self._now):
            what = (
                "it was pruned, and its records have to be kept for "
                f"{sealed.retention_floor_days:g} days, which are not over"
            )
            raise self._broken(SEGMENT_MISSING, what, line=None)
        self.pruned += 1
        self._seals.remove(sealed)
        if sealed.chain is None:
            return
        if not self.has_begun:
            self._begin(sealed.chain)
        if sealed.first_seq > expected:
            what = f"{diagnosis.numbers(expected, sealed.first_seq - 1)} missing"
            raise self._broken(
                SEGMENT_MISSING if self.head.seq else MISSING, what, line=None
            )
        if (sealed.chain, sealed.first_seq) != (self.head.chain, expected):
            what = "its manifest does not go on from the segment before"
            raise self._broken(MANIFEST, what, line=None)
        if self._anchors.hashes.get(sealed.last_seq, sealed.head) != sealed.head:
            what = f"a witness saw record {sealed.last_seq} with another hash"
            raise self._broken(REWRITTEN, what, line=None, seq=sealed.last_seq)
        self._counted = self.records
        self.head = self._start = chain.Head(sealed.chain, sealed.last_seq, sealed.head)
        self._prev, self._place = "", Place(name, None)

    def _manifest(self, name: str) -> Manifest | None:
        try:
            return self._seals.of(name, is_keyed=self._key is not None)
        except ManifestError as error:
            what = f"its manifest is no good: {error}"
            raise self._broken(MANIFEST, what, line=None) from None

    def _end(self) -> None:
        """Judge the trail as a whole."""
        gone, head, anchors = self._seals.unexplained, self.head, self._anchors
        if gone is not None:
            what = (
                "its manifest says that it was pruned, and no record of the trail does"
            )
            bad = Bad(gone.segment, None, gone.first_seq or None, SEGMENT_MISSING, what)
        elif self._keys and self.first is not None and self._key is None:
            what = "it has no key, though one was given"
            bad = Bad(*self._place, head.seq, WRONG_KEY, what)
        elif anchors.newest > head.seq:
            what = (
                f"the trail ends at record {head.seq}, a witness saw {anchors.newest}"
            )
            bad = Bad(self._name, self._line + 1, head.seq + 1, TRUNCATED, what)
        elif anchors.newest or not anchors.other:
            return
        elif self.has_begun:
            what = f"witnesses saw this trail with another chain, {anchors.other}"
            bad = Bad(*self._first_place, self.first_seq, REWRITTEN, what)
        else:
            what = f"it has no record, and a witness saw one of chain {anchors.other}"
            bad = Bad(self._name, self._line + 1, 1, TRUNCATED, what)
        raise BrokenError(bad)

    def _broken_at_end(self, gap: Gap, *, is_cut: bool) -> BrokenError:
        """Return the error about what nothing follows in its file."""
        is_legacy = not (self.has_begun or gap.was_chained)
        if is_cut and (gap.line == self._line or is_legacy):
            is_active = self._name == self._files.name
            return self._broken(TRUNCATED, _KILLED if is_active else _CUT)
        following = next(self._ahead(), None)
        return self._broken_by_gap(gap, following and following.seq)
