"""
Trails for the tests of what is deleted: written at any time, by a clock that may err.
"""

from __future__ import annotations

import gzip
import os
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

from chimera_log.audit import chain
from chimera_log.audit.manifest import Manifest
from chimera_log.audit.prune import PruneError, delete, key_of, manifests_of, survey
from chimera_log.audit.retain import DAY, plan
from chimera_log.audit.sealing import Sealing
from chimera_log.audit.verify import verify
from chimera_log.files.names import segment_name
from chimera_log.record import Clock
from tests.logs import FIRST

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from chimera_log.audit.chain import Key
    from chimera_log.audit.manifest import Manifests
    from chimera_log.audit.prune import Survey
    from chimera_log.audit.retain import Step

NAME = "executions.log"
FLOOR = 1  # days


class Evidence:
    """
    A trail in *folder*, whose segments are sealed and promised for a day.

    Args:
        folder: Where it is.
        key: Its key.
    """

    def __init__(self, folder: Path, key: Key | None = None) -> None:
        self.path = folder / NAME
        self.key = key
        self.keys = [] if key is None else [key]
        self.head = chain.begin("c0ffee00" * 4)
        self.count = 0  # segments
        self.now = FIRST
        self.told: list[Mapping[str, Any]] = []

    def write(self, *moments: float | None) -> list[bytes]:
        """Append a record for each of *moments*, as its line tells it; return them."""
        lines = []
        for moment in moments:
            stamp = "-" * 27 if moment is None else Clock().timestamp(moment)
            lines.append(self.append(chain.own_line(stamp, "attempt", {})))
            self.now = self.now if moment is None else moment
        return lines

    def append(self, line: bytes) -> bytes:
        """Append *line* as the next one of the chain; return it."""
        linked, self.head = chain.linked(line, self.head, self.key)
        with self.path.open("ab") as file:
            file.write(linked)
        return linked

    def rotate(self, *, is_packed: bool = False, **sealed: Any) -> str:
        """Make the active file a full one, with a manifest; return its name."""
        self.count += 1
        name = segment_name(NAME, FIRST, self.count)
        segment = self.path.with_name(name)
        self.path.rename(segment)
        self.path.touch()
        self.seal(segment)
        if sealed:
            manifest = self.manifest(name)
            changed = Manifest(manifest.sealed._replace(**sealed))
            manifests_of(str(self.path), self.key).save(changed)
        if is_packed:
            packed(segment)
            segment.unlink()
        return name

    def seal(self, segment: Path) -> None:
        """Give a segment its manifest."""
        manifests = manifests_of(str(self.path), self.key)
        sealing = Sealing(str(segment), NAME, manifests, FLOOR, self._on_trouble)
        while sealing.step():
            pass

    def _on_trouble(self, *trouble: str) -> None:
        raise AssertionError(trouble)

    @property
    def manifests(self) -> Manifests:
        """All of its manifests."""
        return manifests_of(str(self.path), self.key)

    def manifest(self, name: str) -> Manifest:
        """Return a segment's manifest."""
        found = self.manifests.load(name)
        assert found is not None
        return found

    def tell(self, event: str, context: Mapping[str, Any]) -> bool:
        """Append a line of the trail's own, as the trail does."""
        self.append(chain.own_line(Clock().timestamp(self.now), event, context))
        self.told.append(context)
        return True

    def look(self) -> Survey:
        """Return what is found of it."""
        return survey(str(self.path), self.keys)

    def plan(self, now: float | None = None, **asked: Any) -> list[Step]:
        """Return what may go, by default at the time of its newest record."""
        found = self.look()
        moment = self.now if now is None else now
        return plan(found.segments, found.active, moment, **asked)

    def prune(self, now: float | None = None, tell: Any = None, **asked: Any) -> None:
        """Delete what may go."""
        key = key_of(self.look().line, self.keys)
        for step in self.plan(now, **asked):
            if step.verdict.may_go:
                delete(
                    str(self.path),
                    step,
                    manifests_of(str(self.path), key, self.keys),
                    tell or self.tell,
                    now=self.now if now is None else now,
                    by="test",
                )

    @property
    def full(self) -> list[str]:
        """The names of the full files, as they lie there."""
        return sorted(each.name for each in self.path.parent.glob(f"{NAME}.*"))

    @property
    def lines(self) -> set[bytes]:
        """All lines that some file still has, under whatever name."""
        found: set[bytes] = set()
        for file in self.path.parent.iterdir():
            if file.is_file():
                data = file.read_bytes()
                content = gzip.decompress(data) if file.suffix == ".gz" else data
                found.update(content.splitlines(keepends=True))
        return found

    def assert_whole(self, pruned: int) -> None:
        """Assert that `verify` finds nothing wrong, and *pruned* segments gone."""
        report = verify(self.path, keys=self.keys, now=self.now)
        assert report.bad is None
        assert pruned == report.pruned


def packed(segment: Path) -> Path:
    """Compress a segment beside itself."""
    target = segment.with_name(f"{segment.name}.gz")
    target.write_bytes(gzip.compress(segment.read_bytes()))
    return target


def steady(evidence: Evidence, days: int) -> None:
    """Write a record a day for so many *days*, two to a segment, the last one active."""
    for day in range(0, days, 2):
        if day:
            evidence.rotate()
        evidence.write(FIRST + day * DAY, FIRST + (day + 1) * DAY)


@contextmanager
def quick_disk() -> Iterator[Path]:
    """Yield a folder for one of many examples, on a disk that is not synced."""
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(os, "fsync"),
    ):
        yield Path(folder)


def tried(evidence: Evidence, moments: Iterable[float], **asked: Any) -> None:
    """Prune at each of *moments*; what is refused stays."""
    for moment in moments:
        with suppress(PruneError):
            evidence.prune(moment, **asked)
