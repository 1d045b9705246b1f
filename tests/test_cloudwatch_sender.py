"""
The sending thread: what it does for routes that fail, and around a fork.
"""

from __future__ import annotations

import logging
import os
import runpy
import sys
import types
from typing import TYPE_CHECKING, Any

import pytest

from chimera_log import JsonFormatter
from chimera_log.aws import session
from chimera_log.aws.retry import OUTAGE
from chimera_log.cloudwatch import sender
from chimera_log.cloudwatch.handler import CloudWatchHandler
from tests.aws import Boto, Logs
from tests.conftest import record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(name="handler_to")
def _handler_to() -> Iterator[Callable[..., CloudWatchHandler]]:
    made: list[CloudWatchHandler] = []

    def make(logs: Logs, **options: Any) -> CloudWatchHandler:
        made.append(CloudWatchHandler(client_factory=lambda _: Boto(logs), **options))
        made[-1].setFormatter(JsonFormatter())
        return made[-1]

    yield make
    for handler in made:
        handler.close()


def test_others_go_on(
    handler_to: Callable[..., CloudWatchHandler],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """
    A mistake of ours in one route is reported, and costs no other its records.
    """
    bad, good = Logs(), Logs()
    broken = handler_to(bad, log_group_name="bad", close_timeout=0)
    working = handler_to(good, log_group_name="good")
    broken.handle(record("one"))
    broken.flush()
    route: Any = broken._route
    monkeypatch.setattr(route, "step", lambda _: 1 // 0)
    broken.handle(record("two"))
    working.handle(record("three"))
    working.flush()
    monkeypatch.undo()
    assert 1 == len(good.messages)
    assert "CloudWatch Logs, bad: ZeroDivisionError" in capfd.readouterr().err


def test_arrived_meanwhile(handler_to: Callable[..., CloudWatchHandler]) -> None:
    """
    A record that comes while its route is put away is not forgotten.
    """
    logs = Logs()
    handler = handler_to(logs)
    handler.handle(record("one"))
    handler.flush()
    route: Any = handler._route

    class Late:
        """A route whose record comes just when it says that nothing waits."""

        waiting = 1

        def step(self, _: float) -> None:
            """Say that nothing waits."""

    late: Any = Late()
    assert 0 == sender._step(late)
    assert late in sender._active
    del sender._active[late]
    assert route.waiting == 0


def test_fork_with_records(handler_to: Callable[..., CloudWatchHandler]) -> None:
    """
    What could not be sent before a fork is sent afterwards, though nobody logs.
    """
    logs = Logs()
    handler = handler_to(logs, flush_interval=0)
    logs.fail(OUTAGE)
    handler.handle(record("one"))
    route: Any = handler._route
    while not route.is_failing:
        sender._worker.finish(1)
    sender._worker.stop(10)
    sender._after_fork_in_parent()
    handler.flush()
    assert 1 == len(logs.messages)


def test_under_gevent(
    handler_to: Callable[..., CloudWatchHandler], monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Connections that gevent ties to a thread are closed before it ends.
    """
    logs = Logs()
    handler = handler_to(logs)
    handler.handle(record("one"))
    handler.flush()
    route: Any = handler._route
    patched = types.SimpleNamespace(is_module_patched=lambda name: name == "socket")
    monkeypatch.setitem(sys.modules, "gevent.monkey", patched)
    sender._disconnect()
    closed = route._client._session._client is None
    handler.handle(record("two"))
    handler.flush()
    assert (True, 2) == (closed, len(logs.messages))


def test_connection_of_the_closed(
    handler_to: Callable[..., CloudWatchHandler],
) -> None:
    """
    A handler that is closed leaves no connection open until the garbage goes.
    """
    logs = Logs()
    handler = handler_to(logs)
    handler.handle(record("one"))
    handler.flush()
    route: Any = handler._route
    was_open = route._client._session._client is not None
    handler.close()
    assert (True, None) == (was_open, route._client._session._client)


def test_threads_without_numbers(
    handler_to: Callable[..., CloudWatchHandler], monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Where records do not tell their threads, they are sent all the same.
    """
    monkeypatch.setattr(logging, "logThreads", False)
    logs = Logs()
    handler = handler_to(logs)
    for _ in range(2):
        handler.handle(record("one"))
        handler.flush()
    assert 2 == len(logs.messages)


@pytest.mark.parametrize("module", [session, sender])
def test_without_fork(
    module: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Where processes cannot fork, the modules load all the same.
    """
    monkeypatch.delattr(os, "register_at_fork")
    monkeypatch.setattr("chimera_log.worker.at_exit", lambda _: lambda each: each)
    assert runpy.run_path(str(module.__file__))["__doc__"] == module.__doc__
