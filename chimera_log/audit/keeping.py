"""
What is done for the full segments of a trail: they are sealed and compressed.

Nothing is removed here, however many there are, and nothing is mended: what is not
as it was written is for `verify` to name.
"""

from __future__ import annotations

import os

from chimera_log.audit.manifest import Manifests
from chimera_log.audit.sealing import Sealing
from chimera_log.files import names
from chimera_log.files.compress import Compression, leftovers
from chimera_log.files.policy import GZIP
from chimera_log.files.upkeep import Plan, Upkeep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chimera_log.files.upkeep import Care, Job

_WRITERS = 0o222  # permission bits


class TrailUpkeep(Upkeep):
    """What is to be done for the segments of one trail; arguments as for `Upkeep`."""

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
