"""
A trail that gets a key, and later another one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chimera_log.audit.chain import Key
from chimera_log.audit.manifest import Manifests, digest
from tests.logs import maintained
from tests.test_audit_trail import TrailLog, line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from chimera_log.audit.manifest import Sealed

OLD, NEW = Key(b"a" * 16, "old"), Key(b"b" * 16, "new")


@pytest.fixture
def log(tmp_path: Path) -> Iterator[TrailLog]:
    """A place for a trail."""
    made = TrailLog(tmp_path, "executions.log")
    yield made
    made.close()


def sealed(log: TrailLog, *lines: bytes, **policy: Any) -> Sealed:
    """Write one file more; return what its manifest says."""
    trail = log.open(max_bytes=100_000, **policy)
    for each in lines:
        trail.append(each)
    trail.rotate()
    maintained(trail)
    manifests = Manifests(str(log.aside), log.path.name, policy["key"])
    manifest = manifests.load(log.full[-1].name)
    assert manifest is not None
    found: Sealed = manifest.sealed
    return found


@pytest.mark.parametrize(("before", "after"), [(None, OLD), (OLD, NEW)])
def test_manifests_go_on(log: TrailLog, before: Key | None, after: Key) -> None:
    """
    The first manifest that is signed with a new key has the digest of the one before.
    """
    one = sealed(log, line(1), line(2), key=before)
    two = sealed(log, line(3), key=after)

    assert digest(one) == two.previous
    assert (2, 3) == (one.last_seq, two.first_seq)


def test_floor_holds(log: TrailLog) -> None:
    """
    A new key is no way to lower what was promised.
    """
    sealed(log, line(1), key=OLD, retention_floor_days=1096)

    assert (
        1096
        == sealed(log, line(2), key=NEW, retention_floor_days=1).retention_floor_days
    )
    assert ["floor"] == log.kinds


@pytest.mark.parametrize(("key", "expected"), [(OLD, 3600), (NEW, 0)])
def test_time_between(log: TrailLog, key: Key, expected: float) -> None:
    """
    The time since the file before counts only if the own key tells when that was:
    nobody else makes a record older.
    """
    sealed(log, line(1), key=OLD)
    later = line(2).replace(b"T08:38", b"T09:38")

    assert expected == sealed(log, later, key=key).elapsed
