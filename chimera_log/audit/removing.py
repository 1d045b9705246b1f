"""
Remove the local files of a trail that may go, a step at a time.

What may go is `retain`'s to say, and `prune` deletes it.  To find out takes reading
the active file; so first it is asked whether the oldest file could go at all, by what
the manifests say alone.
"""

from __future__ import annotations

import os
from contextlib import suppress

from chimera_log.audit.manifest import ManifestError
from chimera_log.audit.prune import delete, folder_of, survey
from chimera_log.audit.retain import After, may_delete, plan
from chimera_log.files import names
from chimera_log.files.compress import Turn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from typing import Any

    from chimera_log.audit.chain import Key
    from chimera_log.audit.manifest import Manifest, Manifests, Sealed

_BETWEEN = 3600.0  # seconds until files that grew too old are looked for again
_HIS_TURN = 1.0  # seconds until we look again whether another process is done
_WHO = "chimera_log: archive"


class Removing:
    """
    The removal of the full files of one trail, where copies are made of them.

    Args:
        path: Its active file, absolute.
        keys: That its manifests may be signed with.
        manifests: Of the trail.
        backup_count: Full files beyond which a young one may go whose copy is locked;
            ``None``: no young one goes.
        tell: Writes a line of the trail's own, event and context; returns whether
            the disk has it.
        clock: Seconds since the epoch.
        monotonic: Seconds that never go back.
    """

    def __init__(
        self,
        path: str,
        keys: Sequence[Key],
        manifests: Manifests,
        *,
        backup_count: int | None,
        tell: Callable[[str, Mapping[str, Any]], bool],
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._path = path
        self._directory, self._name = os.path.split(path)
        self._keys = keys
        self._manifests = manifests
        self._backup_count = backup_count
        self._tell = tell
        self._clock = clock
        self._monotonic = monotonic
        self._turn = Turn(folder_of(path))
        self._sealed: dict[str, Sealed] = {}  # what never changes
        self.removed = 0
        self.hurry()

    def hurry(self) -> None:
        """Look at once: something has changed."""
        self._looks_at = float("-inf")

    def after_fork(self) -> None:
        """Forget, in a forked child, what its parent goes on with."""
        self._turn.after_fork()
        self.removed = 0
        self.hurry()

    def steps(self) -> Generator[float, None, None]:
        """
        Remove what may go, with a pause after each file.

        Raises:
            PruneError: If something that may go cannot go.
            VerifyError: If there is no trail.
            OSError: If it cannot be done now.
        """
        if self._monotonic() < self._looks_at:
            return
        self._looks_at = self._monotonic() + _BETWEEN
        if not self._may_matter():
            return
        yield 0
        if not self._turn.take():
            self._looks_at = self._monotonic() + _HIS_TURN
            return
        try:
            yield from self._remove()
        finally:
            self._turn.release()

    def _remove(self) -> Generator[float, None, None]:
        found = survey(self._path, self._keys)
        now = self._clock()
        steps = plan(
            found.segments,
            found.active,
            now,
            backup_count=self._backup_count,
            is_archiving=True,
        )
        yield 0
        for step in steps:
            if step.verdict.may_go:
                delete(self._path, step, self._manifests, self._tell, now=now, by=_WHO)
                self.removed += 1
                yield 0

    def _may_matter(self) -> bool:
        """Whether the oldest file could go, if all that is not known were in favour."""
        standing = self._standing()
        lived = self._lived_after_all()
        for count, segment in enumerate(standing, 1):
            manifest = self._load(segment)
            if manifest is None:
                return False
            after = After(
                lived=lived.get(segment, 0.0),  # one may be sealed just now
                newest=self._clock(),
                floor_days=manifest.sealed.retention_floor_days,
                count=len(standing) - count,
                trouble=None,
            )
            verdict = may_delete(
                manifest,
                after,
                self._clock(),
                backup_count=self._backup_count,
                is_archiving=True,
            )
            if verdict.may_go:
                return True
            if manifest.tombstone is None:  # it keeps all that came after it
                return False
        return False

    def _standing(self) -> list[str]:
        """Return the full files, the oldest first."""
        found = {
            (number, entry.removesuffix(".gz"))
            for entry in os.listdir(self._directory)
            for number in [names.segment_number(self._name, entry)]
            if number is not None
        }
        return [entry for _, entry in sorted(found)]

    def _lived_after_all(self) -> dict[str, float]:
        """Return of each segment how long the trail may have gone on after it."""
        known = self._manifests.known()
        for segment in known:
            if segment not in self._sealed:
                manifest = self._load(segment)
                if manifest is not None:
                    self._sealed[segment] = manifest.sealed
        lived: dict[str, float] = {}
        since = 0.0
        for segment in reversed(known):
            sealed = self._sealed.get(segment)
            if sealed is None:
                continue
            if not lived and sealed.latest is not None:
                since = max(0.0, self._clock() - sealed.latest)
            lived[segment] = since
            since += max(0.0, sealed.elapsed)
        return lived

    def _load(self, segment: str) -> Manifest | None:
        with suppress(ManifestError, OSError):  # the archiver says so
            return self._manifests.load(segment)
        return None
