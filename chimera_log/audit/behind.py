"""
What is done for trails behind everything else: their archive, their index.

One thread does it for all trails of a process.  It is not the one that maintains the
files: a slow network or database may hold up the archive, but never what waits to be
written, the look at the disk, or a checkpoint.  Nobody who logs ever waits for it, and
the process's end does so for `CLOSE_TIMEOUT` at most: the next start goes on.
"""

from __future__ import annotations

import os
import time
import weakref

from chimera_log.report import report
from chimera_log.worker import WITNESSES, Worker, at_exit, members

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Protocol

    class Task(Protocol):
        """
        One kind of work for one trail.

        What can be expected to fail does not raise: the task tells of it, and tries
        again later.
        """

        kind: str  # what its statistics are called

        def step(self) -> float | None:
            """
            Do a part: one call to somebody else, or what takes a moment.

            Returns:
                Seconds until there is more to do, 0 at once; ``None``: not before
                somebody wakes it.
            """

        def close(self) -> None:
            """Let go of files, locks and connections; a later step begins again."""

        def after_fork(self) -> None:
            """Forget, in a forked child, what its parent goes on with."""

        def statistics(self) -> tuple[Any, ...]:
            """Return what became of the work so far."""


_AFTER_FAILURE = 60.0  # seconds until what failed unexpectedly is tried again
_IDLE = 60.0  # seconds that the thread stays when there is nothing to do
CLOSE_TIMEOUT = 2.0  # seconds that the process's end waits for a call to come back

_NEVER = float("inf")


class Behind:
    """
    The tasks of one trail, each done when it is due.

    Args:
        tasks: Them.
        monotonic: Seconds that never go back.
    """

    def __init__(
        self, tasks: Sequence[Task], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._tasks = tuple(tasks)
        self._monotonic = monotonic
        self._due = [0.0] * len(self._tasks)
        self._is_woken = False
        self._is_closed = False
        _all.add(self)

    def wake(self) -> None:
        """Have all of it looked at soon; returns at once."""
        self._is_woken = True
        _worker.wake()

    def step(self) -> float | None:
        """Do a part of each task that is due; return the seconds until one will be."""
        if self._is_woken:  # before: who wakes us meanwhile is heard next time
            self._is_woken = False
            self._due = [0.0] * len(self._tasks)
        for at, task in enumerate(self._tasks):
            if self._due[at] <= self._monotonic() and not self._is_closed:
                pause = _step(task)
                self._due[at] = _NEVER if pause is None else self._monotonic() + pause
        soonest = min(self._due, default=_NEVER)
        if self._is_closed:
            self._let_go()
            return None
        return None if soonest == _NEVER else max(soonest - self._monotonic(), 0.0)

    def close(self) -> None:
        """Do no more of it; the thread lets go of what it holds."""
        self._is_closed = True
        _closing.add(self)  # it lives until it has let go
        self.wake()

    def rest(self) -> None:
        """Let go of what is held, as the thread does before it ends, before a fork too."""
        for task in self._tasks:
            task.close()

    def after_fork(self) -> None:
        """Begin anew in a forked child, with nothing of its parent's."""
        self._due = [0.0] * len(self._tasks)
        for task in self._tasks:
            task.after_fork()

    def statistics(self) -> dict[str, tuple[Any, ...]]:
        """Return what became of the work so far, by its kind."""
        return {task.kind: task.statistics() for task in self._tasks}

    def _let_go(self) -> None:
        tasks, self._tasks, self._due = self._tasks, (), []
        for task in tasks:
            task.close()
        _closing.discard(self)


def _step(task: Task) -> float | None:
    """Do a part of one task; what it fails of does not hold up the others."""
    try:
        return task.step()
    except Exception as error:
        kind = type(task).__name__
        report(f"behind: {kind}", f"{kind}: {type(error).__name__}: {error}")
        return _AFTER_FAILURE


_all: weakref.WeakSet[Behind] = weakref.WeakSet()
_closing: set[Behind] = set()


def _job() -> float | None:
    pauses = [each.step() for each in members(_all)]
    return min((each for each in pauses if each is not None), default=None)


def _rest() -> None:
    """Let go of all locks: whoever has no thread keeps nobody from working."""
    for each in members(_all):
        each.rest()


_worker = Worker(
    "chimera_log: archive", _job, idle=_IDLE, in_caller=False, on_leave=_rest
)


# Before the files end: what is removed is told in the trail.
@at_exit(WITNESSES)
def _at_exit() -> None:
    _worker.stop(CLOSE_TIMEOUT)


def _after_fork_in_child() -> None:
    for each in members(_all):
        each.after_fork()
    _closing.clear()  # last: what is forgotten must not let go of its parent's locks


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
