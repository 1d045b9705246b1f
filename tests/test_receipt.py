"""
Whoever requires a record to be in the trail learns whether it is, or why not.
"""

from __future__ import annotations

import copy
import errno
import logging
import logging.handlers
import os
import pickle
import queue
from typing import TYPE_CHECKING, Any

import pytest

from chimera_log import (
    AuditError,
    AuditFileHandler,
    ExecutionAuditFilter,
    get_logger,
    log_execution_attempt,
)
from chimera_log.audit.trail import Trail
from chimera_log.files import durable, handlers
from chimera_log.files.policy import Threads
from chimera_log.receipt import SYNC_TIMEOUT, Receipt
from tests.conftest import record
from tests.logs import held, refusing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def answered(
    receipt: Receipt, *, is_written: bool = True, secure: Callable[[float], bool]
) -> Receipt:
    """Return *receipt* with the answer of a handler."""
    receipt.answer("/logs/a.log", is_written=is_written, why="no room", secure=secure)
    return receipt


class TestReceipt:
    def test_no_answer(self) -> None:
        """
        A record that no trail took is required in vain.
        """
        with pytest.raises(AuditError) as caught:
            Receipt().require()
        assert (
            "no audit trail took the record: no AuditFileHandler is reached, or only "
            "through a queue, or a level, a filter or `propagate: false` keeps the "
            "record away from it"
        ) == str(caught.value)

    def test_kept(self) -> None:
        """
        It returns when the disk has it; that is waited for as long as is promised.
        """
        waited: list[float] = []

        def secure(timeout: float) -> bool:
            waited.append(timeout)
            return True

        answered(Receipt(), secure=secure).require()
        assert [SYNC_TIMEOUT] == waited

    def test_not_written(self) -> None:
        """
        What is not written is not waited for, and the error says why.
        """

        def secure(_: float) -> bool:
            raise AssertionError

        with pytest.raises(AuditError) as caught:
            answered(Receipt(), is_written=False, secure=secure).require()
        assert "/logs/a.log: not written: no room" == str(caught.value)

    def test_not_kept(self) -> None:
        """
        A disk that does not have it in time, or refuses, is told of.
        """
        with pytest.raises(AuditError) as caught:
            answered(Receipt(), secure=lambda _: False).require()
        assert (
            "/logs/a.log: written, but after 1 s the disk does not have it for certain"
            == str(caught.value)
        )

    def test_one_trail_of_several(self) -> None:
        """
        Of several trails one that has it is enough.
        """
        receipt = answered(Receipt(), is_written=False, secure=lambda _: True)
        answered(receipt, secure=lambda _: False)
        answered(receipt, secure=lambda _: True)

        receipt.require()

    def test_none_of_several(self) -> None:
        """
        If none has it, the error tells of each.
        """
        receipt = answered(Receipt(), is_written=False, secure=lambda _: True)
        answered(receipt, secure=lambda _: False)

        with pytest.raises(AuditError, match=r"no room; .* written, but after 1 s"):
            receipt.require()

    @pytest.mark.parametrize(
        "travel",
        [lambda each: pickle.loads(pickle.dumps(each)), copy.deepcopy],  # noqa: S301
        ids=["pickled", "copied"],
    )
    def test_elsewhere(self, travel: Callable[[Any], Any]) -> None:
        """
        In another process it is a mere mark, which nobody there can answer.
        """
        made = record(audit=answered(Receipt(), secure=lambda _: True))

        assert travel(made).audit is True


class Trails:
    """Loggers with audit trails, whose threads are the test's."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = folder / "logs" / "executions.log"
        self.made: list[AuditFileHandler] = []
        self.waited: list[float] = []
        self.finish: Callable[[Trail], object] = lambda trail: trail.sync_due(0.0)
        monkeypatch.setattr(handlers, "LOCK_TIMEOUT", 0.0)
        # Nobody waits for the disk, but where a test says so.
        monkeypatch.setattr(durable, "_sync_file", lambda _: None)

    def handler(self, **options: Any) -> AuditFileHandler:
        """Return a new handler, whose syncs are made by `finish`."""
        made = AuditFileHandler(
            self.path, **{"checkpoint_interval": 0, "checkpoint_records": 0, **options}
        )
        trail = made._file()

        def finish(timeout: float) -> None:
            self.waited.append(timeout)
            self.finish(trail)

        trail._threads = Threads(finish_sync=finish)
        self.made.append(made)
        return made

    def attached(self, name: str = "executions", **options: Any) -> AuditFileHandler:
        """Return one that is attached to the logger *name*."""
        made = self.handler(**options)
        logging.getLogger(name).addHandler(made)
        logging.getLogger("executions").setLevel(logging.INFO)
        return made

    @property
    def lines(self) -> int:
        """How many lines are in the file."""
        return self.path.read_bytes().count(b"\n") if self.path.exists() else 0


@pytest.fixture
def trails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trails]:
    """No trail yet."""
    made = Trails(tmp_path, monkeypatch)
    yield made
    for each in made.made:
        each._file()._waiting.clear()
        each._file().flush()
        each.close()


def asks(**options: Any) -> bool:
    """Whether the record is recorded; without *required* it never raises."""
    log_execution_attempt(strategy="a", **options)
    try:
        log_execution_attempt(strategy="b", **options, required=True)
    except AuditError:
        return False
    return True


class TestRequired:
    def test_recorded(self, trails: Trails) -> None:
        """
        The call returns when the line is in the file, and the disk has it.
        """
        handler = trails.attached()
        log_execution_attempt(strategy="a", required=True)

        assert 1 == trails.lines
        assert [SYNC_TIMEOUT] == trails.waited
        assert handler._file()._durable.is_clean

    def test_always(self, trails: Trails) -> None:
        """
        Where each record is synced nobody has to wait for another.
        """
        trails.attached(sync="always")
        log_execution_attempt(strategy="a", required=True)

        assert [] == trails.waited

    def test_not_required(self, trails: Trails) -> None:
        """
        Who does not ask does not wait.
        """
        trails.attached()
        log_execution_attempt(strategy="a")

        assert 1 == trails.lines
        assert [] == trails.waited

    def test_the_mark_is_no_content(self, trails: Trails) -> None:
        """
        The line is the same, whether it was required or not.
        """
        trails.attached()
        log_execution_attempt(strategy="a")
        log_execution_attempt(strategy="a", required=True)

        one, two = trails.path.read_text(encoding="utf-8").splitlines()
        assert one[40 : one.index(',"audit":')] == two[40 : two.index(',"audit":')]
        assert "Receipt" not in two

    def test_through_the_root(self, trails: Trails) -> None:
        """
        A trail of the root is a trail.
        """
        trails.attached("")

        assert asks()

    @pytest.mark.parametrize("times", [1, 3])
    def test_through_adapters(self, trails: Trails, times: int) -> None:
        """
        Adapters on the way, whatever they make of `extra`, change nothing.
        """
        trails.attached()
        target: Any = get_logger("executions")
        for _ in range(times):
            target = logging.LoggerAdapter(target, {"audit": False, "bot": 1})

        assert asks(logger=target)

    def test_with_the_filter(self, trails: Trails) -> None:
        """
        The filter of the shipped file lets it pass.
        """
        trails.attached().addFilter(ExecutionAuditFilter())

        assert asks()

    def test_two_handlers(self, trails: Trails) -> None:
        """
        Two handlers on one path both have it.
        """
        trails.attached()
        trails.attached("")

        assert asks()
        assert 4 == trails.lines


class TestNobody:
    def test_no_handler(self) -> None:
        """
        Without any handler there is no trail.
        """
        assert not asks()

    def test_other_handler(self, trails: Trails) -> None:
        """
        Other handlers are no trail.
        """
        logger = logging.getLogger("executions")
        logger.addHandler(logging.NullHandler())
        logger.addHandler(handlers.RotatingFileHandler(trails.path))
        logger.setLevel(logging.INFO)

        assert not asks()
        assert 2 == trails.lines

    def test_level_of_the_logger(self, trails: Trails) -> None:
        """
        A level of the logger keeps it away.
        """
        trails.attached()
        logging.getLogger("executions").setLevel(logging.ERROR)

        assert not asks()
        assert asks(error="reverted")

    def test_explicit_level(self, trails: Trails) -> None:
        """
        So does one that the caller gave.
        """
        trails.attached()

        assert not asks(level="debug")

    def test_level_of_the_handler(self, trails: Trails) -> None:
        """
        Or one of the handler.
        """
        trails.attached().setLevel(logging.ERROR)

        assert not asks()

    @pytest.mark.parametrize("where", ["handler", "logger"])
    def test_filter(self, trails: Trails, where: str) -> None:
        """
        Or a filter, of the handler or the logger.
        """
        handler = trails.attached()
        filtered = handler if where == "handler" else logging.getLogger("executions")
        filtered.addFilter(lambda _: False)

        assert not asks()

    def test_disabled(self, trails: Trails) -> None:
        """
        Or `logging.disable`, or a logger that is disabled.
        """
        trails.attached()
        logging.disable(logging.CRITICAL)
        assert not asks()
        logging.disable(logging.NOTSET)
        logging.getLogger("executions").disabled = True

        assert not asks()

    def test_propagate(self, trails: Trails) -> None:
        """
        Or a logger that does not hand it on.
        """
        trails.attached("")
        logging.getLogger("executions").propagate = False

        assert not asks()

    def test_another_logger(self, trails: Trails) -> None:
        """
        Or the wrong logger.
        """
        trails.attached()
        logging.getLogger("other").setLevel(logging.INFO)

        assert not asks(logger="other")

    @pytest.mark.parametrize("prepare", [True, False])
    def test_queue(
        self, trails: Trails, monkeypatch: pytest.MonkeyPatch, *, prepare: bool
    ) -> None:
        """
        A queue is no trail, though the record arrives later: nobody can say so now.
        """
        waiting: queue.Queue[Any] = queue.Queue()
        handler = logging.handlers.QueueHandler(waiting)
        if not prepare:
            monkeypatch.setattr(handler, "prepare", lambda each: each)
        logging.getLogger("executions").addHandler(handler)
        logging.getLogger("executions").setLevel(logging.INFO)
        assert not asks()
        trail = trails.handler()
        while not waiting.empty():
            trail.handle(waiting.get())

        assert 2 == trails.lines

    def test_memory(self, trails: Trails) -> None:
        """
        Nor is a buffer that is not full.
        """
        buffer = logging.handlers.MemoryHandler(10, target=trails.handler())
        logging.getLogger("executions").addHandler(buffer)
        logging.getLogger("executions").setLevel(logging.INFO)

        assert not asks()
        buffer.close()
        assert 2 == trails.lines


class TestTrouble:
    @pytest.fixture(autouse=True)
    def _quiet(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Reports go nowhere."""
        monkeypatch.setattr("chimera_log.files.engines.report", lambda *_: None)

    def test_folder(self, trails: Trails, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Where the file cannot be made the error says why.
        """
        trails.attached()
        with monkeypatch.context() as patch:
            patch.setattr(os, "open", refusing(errno.EROFS))
            with pytest.raises(AuditError, match=r"not written: \[Errno 30\] refused"):
                log_execution_attempt(required=True)
            log_execution_attempt()

        assert asks()
        assert 4 == trails.lines

    def test_locked(self, trails: Trails) -> None:
        """
        While another process holds the lock nothing is acknowledged.
        """
        trails.attached()
        assert asks()
        with held(trails.path), pytest.raises(AuditError, match="another process"):
            log_execution_attempt(required=True)
        log_execution_attempt()

        assert 4 == trails.lines

    def test_disk_full(self, trails: Trails, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Nor on a disk that is full.
        """
        trails.attached(reserve_bytes=0, keep_gil="never")
        assert asks()
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", refusing(errno.ENOSPC))
            assert not asks()

        assert asks()

    def test_format_fails(
        self, trails: Trails, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Nor is a record that cannot be formatted.
        """
        handler = trails.attached()
        monkeypatch.setattr(logging, "raiseExceptions", False)
        monkeypatch.setattr(handler, "_line", refusing(errno.EIO))

        with pytest.raises(AuditError, match="not written: it could not be formatted"):
            log_execution_attempt(required=True)
        log_execution_attempt()

    def test_too_slow(self, trails: Trails) -> None:
        """
        A disk that is not done in time has not kept it for certain.
        """
        trails.attached()
        trails.finish = lambda _: None

        with pytest.raises(AuditError, match="written, but after 1 s"):
            log_execution_attempt(required=True)
        log_execution_attempt()
        assert 2 == trails.lines

    @pytest.mark.parametrize("sync", ["interval", "always"])
    def test_sync_fails(
        self, trails: Trails, monkeypatch: pytest.MonkeyPatch, sync: str
    ) -> None:
        """
        Nor one that refuses; and what comes after it may be kept again.
        """
        trails.attached(sync=sync)
        with monkeypatch.context() as patch:
            patch.setattr(durable, "_sync_file", refusing(errno.EIO))
            with pytest.raises(AuditError, match="written, but after 1 s"):
                log_execution_attempt(required=True)
            log_execution_attempt()

        assert asks()

    def test_one_of_two(self, trails: Trails, tmp_path: Path) -> None:
        """
        Of two trails one is enough, whichever it is.
        """
        first = trails.path
        trails.attached()
        trails.path = tmp_path / "other.log"
        trails.attached()
        assert asks()

        with held(trails.path):
            assert asks()
        with held(first):
            assert asks()
