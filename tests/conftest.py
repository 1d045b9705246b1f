"""
Every test starts with untouched logging and leaves nothing behind.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from chimera_log import report, worker
from chimera_log.audit import sqlite
from chimera_log.cloudwatch import sender
from chimera_log.cloudwatch.notices import Notices
from chimera_log.config import hooks
from chimera_log.files.segments import all_segments
from chimera_log.files.waiting import unwritten

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 30.0  # seconds for what takes none
FDS = "/proc/self/fd"

# The machines are shared: a slow example says nothing about the code.
settings.register_profile(
    "default",
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile("long", settings.get_profile("default"), max_examples=2_000)


def fewer_examples(times: int) -> settings:
    """Return the settings of a property whose examples are *times* as dear as most."""
    return settings(max_examples=settings().max_examples // times)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let CI insist on what it could have installed."""
    parser.addoption(
        "--no-avoidable-skips",
        action="store_true",
        help="fail if a test was skipped for want of anything but another Python",
    )


def pytest_configure(config: pytest.Config) -> None:
    """
    Let ``-m "long or not long"`` mean long property tests as well.

    That runs everything with full counts, as before a release.
    """
    everything = config.getoption("-m") == "long or not long"
    settings.load_profile("long" if everything else "default")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail if a test was skipped that could have run, where CI insists."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not session.config.getoption("--no-avoidable-skips"):
        return
    for skipped in reporter.stats.get("skipped", []):
        if "needs Python" not in str(skipped.longrepr):
            reporter.write_line(f"avoidable skip: {skipped.nodeid}", red=True)
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(autouse=True)
def _untouched_logging() -> Iterator[None]:
    """Restore loggers, hooks and the reporter, and close what was opened."""
    root, manager = logging.getLogger(), logging.Logger.manager
    handlers, level, loggers = root.handlers[:], root.level, dict(manager.loggerDict)
    filters = root.filters[:]
    excepthooks = sys.excepthook, threading.excepthook
    report.report.after_fork()
    yield
    hooks.remove()
    sys.excepthook, threading.excepthook = excepthooks
    logging.captureWarnings(capture=False)
    for name in set(manager.loggerDict) - set(loggers):
        left = manager.loggerDict.pop(name)
        if isinstance(left, logging.Logger):
            for handler in left.handlers:
                handler.close()
    for name, before in loggers.items():
        if isinstance(before, logging.Logger) and before.name != "root":
            before.handlers[:] = []
            before.filters[:] = []
            before.setLevel(logging.NOTSET)
            before.propagate, before.disabled = True, False
        manager.loggerDict[name] = before
    for handler in root.handlers[:]:
        if handler not in handlers:
            root.removeHandler(handler)
            handler.close()
    for handler in handlers:
        if handler not in root.handlers:
            root.addHandler(handler)
    root.setLevel(level)
    root.filters[:] = filters
    logging.disable(logging.NOTSET)


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    """No test may leave a thread or a file descriptor."""
    known, before = set(threading.enumerate()), descriptors()
    yield
    worker.stop_all(10)
    for segments in list(all_segments):
        segments.rest()
        if segments in unwritten:  # it would try again amid the next tests
            segments.after_fork()  # as a child does: what waits is forgotten
    for route in list(sender._routes.values()):
        route.disconnect()
        route.after_fork()  # as a child does: what waits is forgotten
    sender._active.clear()
    sender._routes.clear()
    sender._notices = Notices()
    left = [thread for thread in threading.enumerate() if thread not in known]
    assert [] == left
    assert [] == [each.name for each in worker.members(worker._workers) if each._thread]
    opened = descriptors()
    if len(opened) > len(before):
        warnings.simplefilter("ignore")
        pytest.fail(f"left open: {set(opened.items()) - set(before.items())}")


@pytest.fixture
def no_syncs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for the disk on behalf of an index."""
    monkeypatch.setattr(sqlite, "_SYNCHRONOUS", "OFF")


def threads_now() -> set[int]:
    """Return the threads of this process, as the kernel counts them."""
    return {int(entry.name) for entry in Path("/proc/self/task").iterdir()}


def is_gone(thread: int) -> bool:
    """Whether *thread*, as the kernel numbers it, ends."""
    deadline = time.monotonic() + PATIENCE
    while thread in threads_now() and time.monotonic() < deadline:
        time.sleep(0.001)
    return thread not in threads_now()


def descriptors() -> dict[str, str]:
    """Return the open file descriptors, and what each one names."""
    found = {}
    for name in os.listdir(FDS):  # noqa: PTH208  twice for each test, so no Path
        with suppress(OSError):  # the one that lists them
            found[name] = os.readlink(f"{FDS}/{name}")  # noqa: PTH115
    return found


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables that configure us come from the test alone."""
    for name in list(os.environ):
        if name.startswith(("CHIMERA_LOG", "AWS_")):
            monkeypatch.delenv(name)
    # Nobody is asked for credentials, which takes seconds where nobody answers.
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)


def stable(value: object) -> str:
    """Return a name for *value* that is the same in each process that runs tests."""
    text = repr(value)
    return type(value).__name__ if " at 0x" in text or "frozenset" in text else text


def record(
    message: object = "event", *args: object, **attributes: object
) -> logging.LogRecord:
    """Return a record as `logging` would make it, then with *attributes*."""
    made = logging.LogRecord("bot", logging.INFO, __file__, 1, message, args, None)
    made.__dict__.update(attributes)
    return made
