"""
What the manifests of a trail say, held against each other and against the trail.

A manifest is beside the trail, and who can change one can change both.  But each has
the digest of the one before, and a removed segment is believed to have been pruned
only if the trail itself says so in a record.
"""

from __future__ import annotations

import re
from collections import namedtuple
from contextlib import suppress

from chimera_log.audit.diagnosis import (
    EDITED,
    INSERTED,
    MANIFEST,
    TRUNCATED,
    Finding,
)
from chimera_log.audit.manifest import ManifestError, Manifests, digest
from chimera_log.audit.retain import keep_until
from chimera_log.files import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from chimera_log.audit.chain import Key
    from chimera_log.audit.manifest import Manifest, Sealed

_CHAIN = re.compile(r"[0-9a-f]{32}")
_HASH = re.compile(r"[0-9a-f]{64}")
_MAX_SEQ = 10**18

# What was read of a segment.
Content = namedtuple("Content", ["first_seq", "head", "bytes"])


class Seals:
    """
    The manifests of one trail, asked for in the order of its segments.

    Args:
        folder: The trail's hidden folder.
        name: The active file's name.
        keys: That they may be signed with.
    """

    def __init__(self, folder: str, name: str, keys: Iterable[Key]) -> None:
        self._name = name
        self._signed = [Manifests(folder, name, key) for key in keys]
        self._unsigned = Manifests(folder, name)
        self._last: Sealed | None = None
        self._without = 0  # segments that have none, since the last one that has
        # Segments that are gone, and by the trail's records are not yet.
        self._removed: dict[str, Sealed] = {}
        self.notes: list[str] = []

    def of(self, segment: str, *, is_keyed: bool) -> Manifest | None:
        """
        Return the manifest of *segment*, ``None`` if it has none.

        Args:
            segment: Its name.
            is_keyed: Whether it has to be signed, as the records are.

        Raises:
            ManifestError: If it is damaged, or does not go with the one before.
            OSError: If it cannot be read.
        """
        manifest = self._load(segment, is_keyed=is_keyed)
        if manifest is None:
            self._without += 1
            return None
        sealed = manifest.sealed
        _check(sealed)
        self._check_link(sealed)
        self._last, self._without = sealed, 0
        return manifest

    def remove(self, sealed: Sealed) -> None:
        """Take note of a segment that is gone, which the trail has to say, too."""
        self._removed[sealed.segment] = sealed

    def believe(self, context: dict[str, Any]) -> None:
        """
        Take note of a record ``audit_pruned`` and its *context*.

        It explains the segments before that one as well: they go in their order, and
        what was said of them may have gone with what was pruned since.
        """
        segment = context.get("segment")
        sealed = self._removed.get(segment) if isinstance(segment, str) else None
        if sealed is not None and (
            (context.get("first_seq"), context.get("last_seq"), context.get("sha256"))
            == (sealed.first_seq, sealed.last_seq, sealed.sha256)
        ):
            gone = list(self._removed)
            for each in gone[: gone.index(sealed.segment) + 1]:
                del self._removed[each]

    @property
    def unexplained(self) -> Sealed | None:
        """The first segment that is gone without a record that says so."""
        return next(iter(self._removed.values()), None)

    def _load(self, segment: str, *, is_keyed: bool) -> Manifest | None:
        if not is_keyed:
            return self._unsigned.load(segment)
        for manifests in self._signed[:-1]:
            with suppress(ManifestError):
                return manifests.load(segment)
        return self._signed[-1].load(segment)

    def _check_link(self, sealed: Sealed) -> None:
        before = self._last
        if sealed.previous == (None if before is None else digest(before)):
            pass
        elif before is not None and _is_next(self._name, before, sealed):
            raise ManifestError(f"it does not go on from that of {before.segment}")
        else:
            self.notes.append(f"manifests before that of {sealed.segment} are missing")
            return
        if self._without:
            self.notes.append(f"segments before {sealed.segment} have no manifest")


def disagreement(sealed: Sealed, content: Content) -> Finding | None:
    """
    Say what of a segment is not as its manifest says, if anything.

    Args:
        sealed: What the manifest says.
        content: What was read; the chain in it is whole.
    """
    head = content.head
    if (sealed.chain, sealed.first_seq) != (head.chain, content.first_seq):
        what = f"its manifest says that it begins with record {sealed.first_seq}"
        return Finding(MANIFEST, what)
    if sealed.last_seq > head.seq:
        what = f"its manifest says that it goes on to record {sealed.last_seq}"
        return Finding(TRUNCATED, what)
    if sealed.last_seq < head.seq:
        what = f"its manifest says that it ends with record {sealed.last_seq}"
        return Finding(INSERTED, what)
    if sealed.head != head.hash:
        what = f"its manifest says that record {head.seq} has another hash"
        return Finding(EDITED, what)
    if sealed.bytes != content.bytes:
        what = f"its manifest says that it has {sealed.bytes} bytes"
        return Finding(MANIFEST, what)
    return None


def is_premature(manifest: Manifest, now: float) -> bool:
    """
    Whether a segment that is gone should still be there.

    Not if a verified copy is locked for as long as it has to be kept.  Lines from
    before the trail need not be kept; those of the trail always tell a time.

    Args:
        manifest: The segment's.
        now: Seconds since the epoch.
    """
    sealed, copy = manifest.sealed, manifest.copy
    until = keep_until(sealed, sealed.retention_floor_days)
    if until is None:
        return sealed.chain is not None
    if now >= until:
        return False
    return copy is None or not copy.is_verified or bool(copy.locked_until < until)


def _check(sealed: Sealed) -> None:
    """Refuse what no chain has: it would be taken for where one ends."""
    if sealed.chain is None:
        return
    if not (
        _CHAIN.fullmatch(sealed.chain)
        and _HASH.fullmatch(sealed.head or "")
        and 0 < sealed.first_seq <= sealed.last_seq < _MAX_SEQ
    ):
        raise ManifestError("no chain has such a part")


def _is_next(name: str, before: Sealed, sealed: Sealed) -> bool:
    numbers = [
        names.segment_number(name, each.segment) or 0 for each in (before, sealed)
    ]
    return numbers[1] - numbers[0] <= 1
