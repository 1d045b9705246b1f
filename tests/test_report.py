"""
Trouble is told on stderr: one line a minute and kind, and nothing in silence.
"""

from __future__ import annotations

import atexit
import io
import os
import runpy
import select
import signal
import sys
import threading
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimera_log import report as module
from chimera_log.report import INTERVAL, MAX_KINDS, Reporter, report

if TYPE_CHECKING:
    from collections.abc import Callable


class Told:
    """A reporter with a clock that stands, and what it printed."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.lines: list[str] = []
        self.report = Reporter(clock=lambda: self.now, write=self.lines.append)


@pytest.fixture
def told() -> Told:
    """A reporter that has said nothing yet."""
    return Told()


def in_child(work: Callable[[], bool]) -> bool:
    """Whether *work* says yes in a forked child, within seconds."""
    with warnings.catch_warnings():
        # Python 3.12 warns of forking beside threads, which is what is tested.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        signal.alarm(10)
        os._exit(0 if work() else 1)
    return os.waitpid(child, 0)[1] == 0


class TestReport:
    def test_first(self, told: Told) -> None:
        """
        The first trouble of a kind is told at once, on one line.
        """
        told.report("files", "disk full")

        assert ["chimera_log: disk full\n"] == told.lines

    def test_interval(self, told: Told) -> None:
        """
        The next line of a kind comes after a minute, not before.
        """
        told.report("files", "first")
        told.now += INTERVAL - 0.001
        told.report("files", "held back")
        told.now += 0.001
        told.report("files", "second")

        assert [
            "chimera_log: first\n",
            "chimera_log: second (1 more like this not shown)\n",
        ] == told.lines

    def test_count_starts_again(self, told: Told) -> None:
        """
        A line tells what was held back since the line before it.
        """
        for _ in range(3):
            told.report("files", "trouble")
            told.report("files", "trouble")
            told.now += INTERVAL

        assert [
            "chimera_log: trouble\n",
            "chimera_log: trouble (1 more like this not shown)\n",
            "chimera_log: trouble (1 more like this not shown)\n",
        ] == told.lines

    def test_kinds(self, told: Told) -> None:
        """
        One kind does not hold another back.
        """
        told.report("files", "disk full")
        told.report("network", "no route")

        assert 2 == len(told.lines)

    @given(st.text())
    def test_one_line(self, message: str) -> None:
        """
        Whatever a message holds, it is one line without control characters.
        """
        told = Told()
        told.report("files", message)

        (line,) = told.lines
        assert [line[:-1]] == line.splitlines()
        assert not set(line[:-1]) & {chr(code) for code in (*range(32), 127)}

    def test_escaped(self, told: Told) -> None:
        """
        A control character is shown as Python would write it.
        """
        told.report("files", "a\nb\x1b[31m\x85\u2028")

        assert ["chimera_log: a\\nb\\x1b[31m\\x85\\u2028\n"] == told.lines

    def test_failing_stream(self) -> None:
        """
        A stream that fails is nobody else's trouble.
        """
        closed = io.StringIO()
        closed.close()

        Reporter(write=closed.write)("files", "disk full")

    def test_many_kinds(self, told: Told) -> None:
        """
        However many kinds there are, a bounded number is remembered.
        """
        for number in range(2 * MAX_KINDS + 1):
            told.report(str(number), "trouble")

        assert 2 * MAX_KINDS + 1 == len(told.lines)
        assert len(told.report._kinds) <= MAX_KINDS

    def test_forgotten_kind(self, told: Told) -> None:
        """
        What was held back is told even when its kind has to be forgotten.
        """
        told.report("files", "disk full")
        told.report("files", "disk full")
        for number in range(MAX_KINDS):
            told.report(str(number), "trouble")
        told.report.close()

        assert [line for line in told.lines if "1 more" in line]

    def test_threads(self, told: Told) -> None:
        """
        Threads that meet trouble together tell it once and lose no count.
        """
        threads = [
            threading.Thread(target=told.report, args=("files", "disk full"))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        told.report.close()

        assert [
            "chimera_log: disk full\n",
            "chimera_log: files: 7 more not shown\n",
        ] == told.lines

    def test_reentrant(self) -> None:
        """
        A signal handler may report while its own thread is reporting.
        """
        lines: list[str] = []

        def interrupted() -> float:
            if not lines:
                lines.append("signal")
                reporter("signal", "inner")
            return 0.0

        reporter = Reporter(clock=interrupted, write=lines.append)
        reporter("files", "outer")

        assert ["signal", "chimera_log: inner\n", "chimera_log: outer\n"] == lines


class TestClose:
    def test_held_back(self, told: Told) -> None:
        """
        At exit each kind tells how many of its lines were held back, once.
        """
        for _ in range(3):
            told.report("files", "disk full")
        told.report("network", "no route")
        told.report.close()
        told.report.close()

        assert ["chimera_log: files: 2 more not shown\n"] == told.lines[2:]

    def test_one_line(self, told: Told) -> None:
        """
        A kind that holds a path with a line break is still one line.
        """
        told.report("file a\nb", "disk full")
        told.report("file a\nb", "disk full")
        told.report.close()

        assert "chimera_log: file a\\nb: 1 more not shown\n" == told.lines[-1]

    def test_long(self, told: Told) -> None:
        """
        A kind that holds the longest of paths does not wait for a pipe's reader.
        """
        for _ in range(2):
            told.report("/long" * 1000, "disk full")
        told.report.close()

        assert len(told.lines[-1]) <= select.PIPE_BUF

    def test_failing_stream(self) -> None:
        """
        A stream that fails at exit does not disturb it.
        """
        closed = io.StringIO()
        reporter = Reporter(write=closed.write)
        reporter("files", "disk full")
        reporter("files", "disk full")
        closed.close()

        reporter.close()


class TestFork:
    def test_nothing_inherited(self, told: Told) -> None:
        """
        A child tells its own trouble at once, and not its parent's.
        """
        told.report("files", "parent's")
        told.report("files", "parent's")
        told.report.after_fork()
        told.report.close()
        told.report("files", "child's")

        assert "chimera_log: child's\n" == told.lines[-1]
        assert 2 == len(told.lines)

    def test_lock_held_elsewhere(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A fork while another thread reports leaves the child able to report.
        """
        monkeypatch.setattr(report, "_write", [].append)
        held, done = threading.Event(), threading.Event()

        def hold() -> None:
            with report._lock:
                held.set()
                done.wait(10)

        def child_reports() -> bool:
            report("fork", "child's")
            return ["fork"] == list(report._kinds)

        thread = threading.Thread(target=hold)
        thread.start()
        held.wait(10)
        try:
            assert in_child(child_reports)
        finally:
            done.set()
            thread.join()

    def test_without_fork(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Where processes cannot fork, the module loads all the same.
        """
        monkeypatch.delattr(os, "register_at_fork")
        monkeypatch.setattr(atexit, "register", lambda function: function)

        loaded = runpy.run_path(str(module.__file__))

        assert "Reporter" in loaded


class TestStderr:
    def test_default(self, capsys: pytest.CaptureFixture[str]) -> None:
        """
        The reporter everybody shares writes to what `sys.stderr` is now.
        """
        report("files", "disk full")

        assert ("", "chimera_log: disk full\n") == capsys.readouterr()

    def test_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A program without stderr, such as a daemon, is not disturbed.
        """
        monkeypatch.setattr(sys, "stderr", None)

        report("files", "disk full")


class TestStuck:
    def test_tried_again(self, told: Told) -> None:
        """
        A line that stderr did not take is told with the next one, a second later.
        """
        taken: list[str] = []
        is_stuck = True

        def write(line: str) -> None:
            if is_stuck:
                raise BlockingIOError
            taken.append(line)

        report = Reporter(clock=lambda: told.now, write=write)
        report("files", "disk full")
        report("files", "disk full")  # within the second
        is_stuck = False
        told.now += 1
        report("files", "still full")

        assert ["chimera_log: still full (2 more like this not shown)\n"] == taken

    def test_nobody_reads(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A stderr that is a full pipe does not hold up the caller.
        """
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        with suppress(BlockingIOError):
            while True:
                os.write(writing, bytes(4096))
        os.set_blocking(writing, True)

        def returns() -> bool:
            Reporter()("files", "disk full")
            return True

        with os.fdopen(reading, "rb"), os.fdopen(writing, "w") as stderr:
            monkeypatch.setattr(sys, "stderr", stderr)

            assert in_child(returns)

    def test_long(self, told: Told) -> None:
        """
        A line is short enough for any pipe that has room at all.
        """
        told.report("files", "\N{PILE OF POO}" * 10_000)

        (line,) = told.lines
        assert len(line.encode()) <= select.PIPE_BUF
