"""
What is done for the full segments of a trail: they are sealed, compressed, counted.

Nothing is removed here, however many there are, and nothing is mended: what is not
as it was written is for `verify` to name.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress

from chimera_log.audit.chain import OURS
from chimera_log.audit.forecast import Forecast, forecast
from chimera_log.audit.manifest import ManifestError, Manifests
from chimera_log.audit.sealing import Sealing
from chimera_log.files import names
from chimera_log.files.compress import Compression, leftovers
from chimera_log.files.policy import GZIP
from chimera_log.files.upkeep import Plan, Upkeep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from chimera_log.audit.manifest import Manifest
    from chimera_log.files.upkeep import Care, Job

_WRITERS = 0o222  # permission bits
_RECENT = 50  # segments that tell the rate at which records come


class TrailUpkeep(Upkeep):
    """
    What is to be done for the segments of one trail; arguments as for `Upkeep`.

    At the start, and when a segment was sealed, one record says what the configuration
    will hold, as `forecast` tells it: event ``audit_forecast``.
    """

    def __init__(
        self, on_trouble: Callable[[str, str], None], clock: Callable[[], float]
    ) -> None:
        super().__init__(on_trouble, clock)
        self._is_changed = True  # whether there is something new to say

    def step(self, care: Care) -> float | None:
        """Do a part of what there is to do; as in `Upkeep`."""
        pause = super().step(care)
        if self._is_changed and pause != 0:
            self._is_changed = False
            _tell(care)
        return pause

    def _on_done(self, job: Job) -> None:
        super()._on_done(job)
        self._is_changed = self._is_changed or isinstance(job, Sealing)

    def _plan(self, care: Care) -> Plan:
        known = set(_manifests(care).known())
        is_packed = care.policy.compression == GZIP
        todo = [
            entry
            for entry in _segments(care)
            if entry.removesuffix(".gz") not in known
            or (is_packed and not entry.endswith(".gz"))
        ]
        return Plan([], [], leftovers(care.aside.path), todo)

    def _jobs(self, care: Care, segments: list[str]) -> list[Job]:
        manifests = _manifests(care)
        known = set(manifests.known())
        floor = care.policy.rules.retention_floor_days
        mode = care.policy.mode & ~_WRITERS
        jobs: list[Job] = []
        for entry in segments:
            path = os.path.join(care.directory, entry)
            if entry.removesuffix(".gz") not in known:
                jobs.append(
                    Sealing(path, care.name, manifests, floor, self._on_trouble)
                )
            if care.policy.compression == GZIP and not entry.endswith(".gz"):
                jobs.append(Compression(path, care.aside.path, mode))
        return jobs

    def _postpone(self, job: Job, pause: float) -> None:
        super()._postpone(job, pause)
        if isinstance(job, Sealing):
            # Those that follow need its manifest, and nothing is compressed before it
            # is sealed.
            self._rest.clear()


def _manifests(care: Care) -> Manifests:
    return Manifests(care.aside.path, care.name, care.policy.rules.key)


def _segments(care: Care) -> list[str]:
    """Return the full segments, each in one form, the oldest first."""
    with os.scandir(care.directory) as found:
        entries = [each.name for each in found if each.is_file(follow_symlinks=False)]
    by_number: dict[int, str] = {}
    # Longer names first: of the two forms the raw one stays, which is whole for sure.
    for entry in sorted(entries, key=len, reverse=True):
        number = names.segment_number(care.name, entry)
        if number is not None:
            by_number[number] = entry
    return [by_number[number] for number in sorted(by_number)]


def _tell(care: Care) -> None:
    """Say what the configuration will hold, if that can be told."""
    found = None
    with suppress(OSError):  # whoever seals them says why
        found = _forecast(care)
    if found is not None:
        context = {"text": str(found), **found._asdict(), "trail": care.name}
        logging.getLogger(OURS).info("audit_forecast", extra={"context": context})


def _forecast(care: Care) -> Forecast | None:
    manifests = _manifests(care)
    recent = []
    for segment in manifests.known()[-_RECENT:]:
        with suppress(ManifestError, OSError):  # verify says so
            recent.append(manifests.load(segment))
    found = list(filter(None, recent))
    policy = care.policy
    return forecast(
        found,
        max_bytes=policy.max_bytes,
        backup_count=policy.limits.backup_count,
        floor_days=policy.rules.retention_floor_days,
        packed_ratio=_packed_ratio(care, found) if policy.compression == GZIP else 1,
        at_midnight=policy.at_midnight,
    )


def _packed_ratio(care: Care, manifests: list[Manifest]) -> float | None:
    """Return how many bytes of a segment one byte of its ``.gz`` holds, if known."""
    raw = packed = 0
    for each in manifests:
        path = os.path.join(care.directory, f"{each.sealed.segment}.gz")
        with suppress(OSError):
            packed += os.stat(path).st_size
            raw += each.sealed.bytes
    return raw / packed if packed else None
