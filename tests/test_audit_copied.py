"""
A trail with copies: when they are made, and when the trail's day is over.
"""

from __future__ import annotations

import gc
import logging
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from chimera_log import AuditFileHandler
from chimera_log.audit import behind as behind_module
from chimera_log.audit import copied
from chimera_log.audit.copied import CopiedTrail
from tests.logs import in_child, maintained
from tests.test_audit_behind import PATIENCE, Work
from tests.test_audit_trail import TrailLog, line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from chimera_log.audit.behind import Task
    from chimera_log.audit.trail import Trail


def record(number: int) -> logging.LogRecord:
    """Return a record."""
    return logging.LogRecord("bot", 20, "", 1, f"event {number}", None, None)


ANYTHING = object()  # stands for what a handler's options would be


class CopiedLog(TrailLog):
    """A trail with copies; as `TrailLog`."""

    kind = CopiedTrail

    def __init__(self, *arguments: Any, **policy: Any) -> None:
        super().__init__(*arguments, **policy)
        self.works: list[Work] = []

    def open(self, **policy: Any) -> CopiedTrail:
        """Return a new engine; as `TrailLog`."""
        made = super().open(**policy)
        assert isinstance(made, CopiedTrail)
        return made

    def tasks(self, trail: Trail) -> list[Task]:
        """Return a task that takes note of what it is asked for."""
        assert trail.path == str(self.path)
        self.works.append(Work(1_000.0, 1_000.0))
        return [self.works[-1]]


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CopiedLog]:
    """A place for a trail."""
    made = CopiedLog(tmp_path, "executions.log", max_bytes=0)
    monkeypatch.setattr(copied, "_tasks", made.tasks)
    yield made
    made.close()
    assert behind_module._worker.stop(PATIENCE)
    behind_module._closing.clear()


class TestCopies:
    def test_none_asked_for(self, log: CopiedLog) -> None:
        """
        A trail without copies has no task, and no thread for one.
        """
        trail = log.open()

        assert trail.append(line(1))

        assert [] == log.works
        assert (None, None) == trail.statistics()[-2:]

    @pytest.mark.parametrize("kind", ["archive", "database"])
    def test_begun_with_the_file(self, log: CopiedLog, kind: str) -> None:
        """
        They are made from the first record on, in a thread.
        """
        trail = log.open(**{kind: ANYTHING})
        assert [] == log.works

        assert trail.append(line(1))
        (work,) = log.works

        assert work.is_called.wait(PATIENCE)
        assert ((1,), None) == trail.statistics()[-2:]

    def test_woken_by_a_full_file(self, log: CopiedLog) -> None:
        """
        A file that is full is looked at soon, whatever the tasks waited for.
        """
        trail = log.open(archive=ANYTHING)
        assert trail.append(line(1))
        (work,) = log.works
        assert work.is_called.wait(PATIENCE)
        work.is_called.clear()

        trail.rotate()

        assert work.is_called.wait(PATIENCE)

    def test_closed_and_opened_again(self, log: CopiedLog) -> None:
        """
        With the file the tasks end; a record that still comes begins new ones.
        """
        trail = log.open(archive=ANYTHING)
        assert trail.append(line(1))
        trail.close()
        assert log.works[0].is_closed.wait(PATIENCE)

        assert trail.append(line(2))

        assert 2 == len(log.works)

    def test_other_options(self, log: CopiedLog) -> None:
        """
        Other options mean other tasks, at once if the file is open.
        """
        trail = log.open(archive=ANYTHING)
        trail.use(trail.policy)
        assert [] == log.works
        assert trail.append(line(1))

        trail.use(trail.policy)

        assert 2 == len(log.works)
        assert log.works[0].is_closed.wait(PATIENCE)
        assert log.works[1].is_called.wait(PATIENCE)

    def test_fork(self, log: CopiedLog) -> None:
        """
        After a fork the parent's next record has its tasks go on.
        """
        trail = log.open(archive=ANYTHING)
        assert trail.append(line(1))
        (work,) = log.works
        assert work.is_called.wait(PATIENCE)

        assert in_child(lambda: True)
        work.is_called.clear()
        assert trail.append(line(2))

        assert work.is_called.wait(PATIENCE)
        assert not trail._rests

    def test_child(self, log: CopiedLog) -> None:
        """
        A child takes no part before its own first record, and has its own tasks then.
        """
        trail = log.open(archive=ANYTHING)
        assert trail.append(line(1))

        (work,) = log.works
        assert work.is_called.wait(PATIENCE)

        def child() -> bool:
            before = work.done[-1]
            work.is_called.clear()
            return (
                before == "fork" and trail.append(line(2)) and work.is_called.wait(5.0)
            )

        assert in_child(child)


class TestReal:
    """With the tasks that there are, and a handler."""

    def test_database(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        What is logged is in the database soon, and statistics() says so.
        """
        monkeypatch.setattr(behind_module._worker, "wake", lambda: None)
        handler = AuditFileHandler(
            tmp_path / "executions.log", database=f"sqlite:///{tmp_path}/trail.db"
        )
        for number in range(3):
            handler.handle(record(number))
        behind = handler._file()._behind
        assert behind is not None
        while (found := handler.statistics().index).seq < 3:
            behind.step()
            assert found.last_error is None
        handler.close()
        behind.step()

        assert (3, 3, None) == (found.rows, found.seq, found.last_error)
        with closing(sqlite3.connect(tmp_path / "trail.db")) as database:
            rows = database.execute("SELECT seq, event FROM audit ORDER BY seq")
            assert [(1, "event 0"), (2, "event 1"), (3, "event 2")] == rows.fetchall()

    def test_tells_the_trail(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A task can have the trail say something, as long as there is a trail.
        """
        told: list[Any] = []
        monkeypatch.setattr(
            "chimera_log.audit.tasks.tasks_of", lambda *given: told.append(given[2])
        )
        made = TrailLog(tmp_path, "executions.log", max_bytes=0)
        made.kind = CopiedTrail
        trail: Any = made.open(sync="always")
        copied._tasks(trail)
        (tell,) = told

        assert tell("audit_pruned", {"segment": "none"})
        assert [("audit_pruned", {"segment": "none"})] == made.own
        made.opened.clear()
        trail.close()
        trail = None
        gc.collect()
        assert not tell("audit_pruned", {"segment": "none"})


class TestEndOfDay:
    MIDNIGHT = 1761609600.0  # 2025-10-28 00:00:00 UTC, after the day of all lines here

    def open(self, log: CopiedLog) -> CopiedTrail:
        """Return an engine whose full files are archived, with one line written."""
        trail = log.open(
            archive=ANYTHING, at_midnight=True, max_bytes=0, backup_count=9
        )
        assert trail.append(line(1))
        return trail

    def test_nobody_logs(self, log: CopiedLog) -> None:
        """
        A trail that is archived moves on a moment after midnight, though none logs.
        """
        log.now = self.MIDNIGHT - 60
        trail = self.open(log)

        assert 65.0 == maintained(trail)
        log.now = self.MIDNIGHT + 4.9
        maintained(trail)
        assert 0 == trail.statistics().rotations
        log.now = self.MIDNIGHT + 5
        maintained(trail)

        assert 1 == trail.statistics().rotations
        assert b"" == log.path.read_bytes()
        assert [] == log.troubles

    def test_empty(self, log: CopiedLog) -> None:
        """
        A day without a record ends without a file.
        """
        log.now = self.MIDNIGHT + 5
        trail = self.open(log)
        maintained(trail)
        assert 1 == trail.statistics().rotations

        log.now += 24 * 60 * 60
        maintained(trail)

        assert 1 == trail.statistics().rotations

    def test_another_process_moved_on(self, log: CopiedLog) -> None:
        """
        Where another process began the new day's file, that one stays.
        """
        log.now = self.MIDNIGHT - 60
        trail, other = self.open(log), log.open(max_bytes=0)
        maintained(trail)
        log.now = self.MIDNIGHT + 6
        other.rotate()
        of_today = line(2).replace(b"27T08:38:00", b"28T00:00:06")
        assert other.append(of_today)

        maintained(trail)

        assert 0 == trail.statistics().rotations
        assert b'"number":2' in log.path.read_bytes()

    def test_closed(self, log: CopiedLog) -> None:
        """
        A file that is not open, or was closed, is not opened for that.
        """
        log.now = self.MIDNIGHT - 60
        trail = self.open(log)
        trail.close()
        log.now = self.MIDNIGHT + 5

        assert maintained(trail) is None
        assert 0 == trail.statistics().rotations
        assert -1 == trail._fd

    def test_clock_set_back(self, log: CopiedLog) -> None:
        """
        After a clock was ahead, it is the true midnight that counts.
        """
        log.now = self.MIDNIGHT + 30 * 24 * 60 * 60
        trail = self.open(log)
        maintained(trail)
        assert trail.append(line(2))

        log.now = self.MIDNIGHT - 60
        maintained(trail)
        assert 1 == trail.statistics().rotations
        log.now = self.MIDNIGHT + 5
        maintained(trail)

        assert 2 == trail.statistics().rotations

    def test_not_archived(self, log: CopiedLog) -> None:
        """
        One that is not archived waits for the next record.
        """
        log.now = self.MIDNIGHT + 100
        trail = log.open(at_midnight=True, max_bytes=0)
        assert trail.append(line(1))

        maintained(trail)

        assert 0 == trail.statistics().rotations
