"""
What is done for trails behind everything else: when, and by whom.
"""

from __future__ import annotations

import gc
import os
import runpy
import threading
from typing import TYPE_CHECKING

import pytest

from chimera_log.audit import behind as module
from chimera_log.audit.behind import Behind
from chimera_log.report import Reporter
from tests.test_report import in_child

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 30.0  # seconds for what takes none


class Work:
    """A task that answers what it is told to, then ``None``."""

    def __init__(
        self, *answers: float | Exception | None, kind: str = "archive"
    ) -> None:
        self.kind = kind
        self.answers = list(answers)
        self.done: list[str] = []
        self.threads: set[str] = set()
        self.is_called = threading.Event()
        self.is_closed = threading.Event()

    def step(self) -> float | None:
        """Answer the next, or raise it."""
        self.done.append("step")
        self.threads.add(threading.current_thread().name)
        self.is_called.set()
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        """Take note of it."""
        self.done.append("close")
        self.is_closed.set()

    def after_fork(self) -> None:
        """Take note of it."""
        self.done.append("fork")

    def statistics(self) -> tuple[int]:
        """Say how often it was called."""
        return (self.done.count("step"),)


class Now:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.time


@pytest.fixture
def now() -> Now:
    """Return a clock."""
    return Now()


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    yield
    assert module._worker.stop(PATIENCE)
    module._closing.clear()
    gc.collect()
    assert [] == list(module._all)


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what is reported, instead of telling stderr."""
    said: list[str] = []
    monkeypatch.setattr(module, "report", lambda _, words: said.append(words))
    return said


class TestStep:
    def test_each_when_it_is_due(self, now: Now) -> None:
        """
        A task is called when its own pause is over, whatever the others want.
        """
        often, seldom, once = Work(1, 1, 1), Work(10, 10), Work()
        behind = Behind([often, seldom, once], now)

        pauses = [behind.step()]
        for _ in range(2):
            now.time += 1
            pauses.append(behind.step())

        assert [1, 1, 1] == pauses
        assert (3, 1, 1) == tuple(len(each.done) for each in (often, seldom, once))

    def test_at_once(self, now: Now) -> None:
        """
        A task that has more to do at once shares the thread with the others.
        """
        behind = Behind([Work(0), Work(5)], now)

        assert 0 == behind.step()
        assert 5 == behind.step()

    def test_nothing_to_do(self, now: Now) -> None:
        """
        With nothing left to do it waits until it is woken.
        """
        assert Behind([Work(), Work()], now).step() is None
        assert Behind([], now).step() is None

    def test_woken(self, now: Now, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Who wakes it has all tasks looked at, whatever they waited for.
        """
        monkeypatch.setattr(module._worker, "wake", lambda: None)
        works = Work(None, 7), Work(500, 9)
        behind = Behind(works, now)
        behind.step()

        behind.wake()

        assert 7 == behind.step()
        assert [["step"] * 2] * 2 == [each.done for each in works]

    def test_unexpected_failure(self, now: Now, silent: list[str]) -> None:
        """
        A task that raises is told of and tried again later; the others go on.
        """
        fails, works = Work(ZeroDivisionError("oh"), 3), Work(2)
        behind = Behind([fails, works], now)

        assert 2 == behind.step()
        now.time += 60
        behind.step()

        assert ["Work: ZeroDivisionError: oh"] == silent
        assert ["step", "step"] == fails.done

    def test_statistics(self, now: Now) -> None:
        """
        What each task tells of itself is told by its kind.
        """
        first, second = Work(0, 0), Work(5, kind="index")
        behind = Behind([first, second], now)
        behind.step()
        behind.step()

        assert {"archive": (2,), "index": (1,)} == behind.statistics()


class TestThread:
    def test_one_for_all(self) -> None:
        """
        One thread does it all, and it is not the caller's.
        """
        works = Work(), Work()
        groups = [Behind([each]) for each in works]

        for each in groups:
            each.wake()

        assert all(each.is_called.wait(PATIENCE) for each in works)
        assert works[0].threads == works[1].threads
        assert threading.current_thread().name not in works[0].threads

    def test_closed(self) -> None:
        """
        What is closed is let go of in the thread, also if nobody knows it any more.
        """
        work = Work(1_000.0)
        behind = Behind([work])
        behind.wake()
        assert work.is_called.wait(PATIENCE)

        behind.close()
        del behind

        assert work.is_closed.wait(PATIENCE)
        assert ["step", "close"] == work.done

    def test_closed_before_it_began(self, now: Now) -> None:
        """
        What is closed does no more.
        """
        work = Work()
        behind = Behind([work], now)
        behind._is_closed = True

        assert behind.step() is None
        assert ["close"] == work.done

    def test_exit(self) -> None:
        """
        At the process's end the thread is given a moment to come to an end.
        """
        work = Work(0, 0, 1_000.0)
        behind = Behind([work])
        behind.wake()
        assert work.is_called.wait(PATIENCE)

        module._at_exit()

        assert module._worker._thread is None
        assert behind.statistics()

    def test_leaves(self) -> None:
        """
        A thread that ends, as before a fork, lets go of all that its tasks hold.
        """
        work = Work(1_000.0)
        behind = Behind([work])
        behind.wake()
        assert work.is_called.wait(PATIENCE)

        assert module._worker.stop(PATIENCE)

        assert ["step", "close"] == work.done
        assert behind.statistics()

    def test_forgets(self, now: Now) -> None:
        """
        What a forked child does first: it forgets what its parent's tasks were at.
        """
        work = Work(1_000.0)
        behind = Behind([work], now)
        behind.step()
        module._closing.add(behind)

        module._after_fork_in_child()

        assert ["step", "fork"] == work.done
        assert [0.0] == behind._due
        assert set() == module._closing

    def test_without_fork(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Where nothing forks it can be loaded as well.
        """
        monkeypatch.delattr(os, "register_at_fork")

        found = runpy.run_path(str(module.__file__))

        assert found["Behind"].__doc__ == Behind.__doc__

    def test_fork(self) -> None:
        """
        A forked child forgets what its parent's tasks were at.
        """
        work = Work(1_000.0)
        behind = Behind([work])
        behind.step()

        assert in_child(lambda: (["step", "fork"], [0.0]) == (work.done, behind._due))
        assert ["step"] == work.done


def test_reports_go_to_stderr(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    An unexpected failure is reported where all trouble is.
    """
    monkeypatch.setattr(module, "report", Reporter())

    module._step(Work(ValueError("no")))

    assert "Work: ValueError: no" in capsys.readouterr().err
