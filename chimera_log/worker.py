"""
A thread for work that must not hold up the caller.

A `Worker` runs one job whenever there is work.  Its thread begins when it is
first woken, in each process anew, and ends when there has been nothing to do for
a while; before a fork it is stopped, so that no child is born amid its work.
It is a real thread also where gevent has made greenlets of all others.

`at_exit` registers what has to be done at every orderly end of a process.  From
then on there are no threads to rely on: a worker that is woken works at once, in
the thread that wakes it.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
import weakref
from contextlib import ExitStack, suppress

from chimera_log.native import Gong, Lock, RLock, Thread, get_ident, sleep
from chimera_log.report import report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    T = TypeVar("T")

QUEUES, WITNESSES, FILES, SENDING = range(4)  # the order in which things end
_FORK_TIMEOUT = 0.25  # seconds that a fork waits for threads to end their work
_MOMENT = 0.0001  # seconds between two looks for a thread that ends
_AFTER_FAILURE = 1.0  # seconds until a job that raised is called again


class Worker:
    """
    A daemon thread, begun when it is first woken, that runs one job.

    The job is never run twice at a time.  One that raises is reported and called
    again a second later.

    Args:
        name: What reports call it.
        job: Does what there is to do, or a part of it, and returns when it wants
            to be called again, in seconds: 0 at once, ``None`` not before somebody
            wakes it.  It returns between two parts so that the thread can end.
        linger: Seconds between being woken and the job, so that one call does the
            work of many.
        idle: Seconds that the thread stays when there is nothing to do.
        in_caller: Whether the job is run by whoever wakes the worker where there
            can be no thread; otherwise it waits for better times, for somebody who
            calls `finish`, or after a fork for whoever wakes the worker again.
        on_leave: Called in the thread before it ends.
    """

    def __init__(
        self,
        name: str,
        job: Callable[[], float | None],
        *,
        linger: float = 0.0,
        idle: float = 0.0,
        in_caller: bool = True,
        on_leave: Callable[[], object] | None = None,
    ) -> None:
        self.name = name
        self._job = job
        self._linger = linger
        self._idle = idle
        self._in_caller = in_caller
        self._on_leave = on_leave
        self._begin()
        _workers.add(self)

    def wake(self) -> None:
        """
        Have the job run soon; returns at once.

        Where no thread can be begun (none is left, or the process is about to end)
        the job is run here and now, or not at all, as *in_caller* says.
        """
        if not self._is_heard() and self._in_caller:
            self._work_here()

    def finish(self, timeout: float) -> bool:
        """
        Have the job run, and wait until it has nothing more to do at once.

        Where no thread can be begun the job is run here, whatever *in_caller* says.

        Args:
            timeout: Seconds to wait at most; a call made here is not cut short.

        Returns:
            Whether it came so far; if not, the rest is done at the next call.
        """
        if self._is_at_work_here():
            return False  # it would wait for itself
        deadline = time.monotonic() + timeout
        with self._lock:
            self._asked += 1
            mine = self._asked
        if not self._is_heard():
            self._work_here(deadline)
        left = deadline - time.monotonic()
        return self._answers.wait_for(lambda: self._answered >= mine, left)

    def stop(self, timeout: float) -> bool:
        """
        End the thread after the call of the job that is going on, if any.

        What was not done is done when the worker is woken again.

        Args:
            timeout: Seconds to wait at most; a thread that is stuck for longer
                lives on.

        Returns:
            Whether there is no thread any more.
        """
        thread = self._ask_to_stop()
        if thread is None:
            return True
        has_ended = not self._is_at_work_here() and thread.join(timeout)
        self._is_stopping = False
        if self._asked != self._answered:  # somebody waits in `finish`
            self.wake()
        return has_ended

    def after_fork(self) -> None:
        """Start clean in a forked child: the thread was its parent's."""
        self._begin()

    def _begin(self) -> None:
        # Reentrant: a signal handler may wake a worker that its thread is waking.
        self._lock = RLock()
        self._working = Lock()
        self._bell = Lock()
        self._bell.acquire()  # whoever lets go of it rings
        self._answers = Gong()
        self._thread: Thread | None = None
        self._at_work: int | None = None  # the thread that runs the job just now
        self._is_asleep = False
        self._is_called = False
        self._is_stopping = False
        self._asked = 0
        self._answered = 0

    def _ring(self) -> None:
        with suppress(RuntimeError):  # somebody else just rang
            self._bell.release()

    def _is_heard(self) -> bool:
        """Call for the job; whether there is a thread that hears it."""
        # The order matters: what was asked for is told before anybody is looked for
        # who might do it, and the thread looks again after it said that it sleeps.
        self._is_called = True
        if self._is_asleep:
            self._ring()
            return True
        return self._thread is not None or self._begin_thread()

    def _is_at_work_here(self) -> bool:
        """Whether the job calls us, or who interrupted it."""
        return self._at_work == get_ident()

    def _ask_to_stop(self) -> Thread | None:
        """Have the thread end soon; return it, if there is one."""
        with self._lock:
            if self._thread is not None:
                self._is_stopping = True
                self._ring()
            return self._thread

    def _begin_thread(self) -> bool:
        """Begin a thread unless there is one; whether there is one now."""
        if _is_over:
            return False
        # Made before anybody looks: a signal handler that comes meanwhile may begin
        # a thread, too.
        thread = Thread(self._run)
        with self._lock:
            if self._thread is not None:
                return True
            self._thread = thread
            is_begun = False
            try:
                thread.start()
                is_begun = True
            except RuntimeError:  # no more threads, or none any more
                pass
            finally:
                if not is_begun:  # also if a signal handler raised
                    self._thread = None
        return is_begun

    def _run(self, thread: Thread) -> None:
        """Work and sleep in turns, until there was nothing to do for a while."""
        with self._lock:  # whoever begins the thread may have given it up
            goes_on = self._thread is thread
        while goes_on:
            # In this order: whoever asks after this calls after that.
            self._is_called = False
            asked = self._asked
            with self._working:
                pause = self._call_job()
            if pause != 0:
                self._answer(asked)
                self._sleep(self._idle if pause is None else pause)
            if pause is not None:
                self._is_called = True
            goes_on = self._is_called and not self._is_stopping
            if not goes_on:
                if self._on_leave is not None:
                    self._on_leave()
                goes_on = self._stays(thread)

    def _stays(self, thread: Thread) -> bool:
        """Let go of the thread, unless somebody calls in this very moment."""
        with self._lock:
            # First: either he sees that nobody is here, or we see that he called.
            self._thread = None
            if self._is_called and not self._is_stopping:
                self._thread = thread
            return self._thread is not None

    def _sleep(self, pause: float) -> None:
        """Wait until somebody calls, but at most *pause* seconds."""
        self._is_asleep = True
        if not self._is_called and not self._is_stopping:
            self._bell.acquire(timeout=pause)
        self._is_asleep = False
        if self._is_called and self._linger and not self._is_stopping:
            sleep(self._linger)

    def _work_here(self, deadline: float = float("inf")) -> None:
        """Run the job here, unless somebody is stuck in it, until *deadline*."""
        # Whoever finds somebody at work leaves it to him, who looks again afterwards.
        while self._is_called and self._working.acquire(blocking=False):
            try:
                self._is_called = False
                asked = self._asked
                pause = self._call_until(deadline)
            finally:
                self._working.release()
            if pause != 0:
                self._answer(asked)
            else:
                self._is_called = True
            if time.monotonic() >= deadline:
                break

    # On its own; `chimera_log.files.waiting` says why no loop stands inside a ``try``.
    def _call_until(self, deadline: float) -> float | None:
        while (pause := self._call_job()) == 0 and time.monotonic() < deadline:
            pass
        return pause

    def _call_job(self) -> float | None:
        self._at_work = get_ident()
        try:
            return self._job()
        except Exception as error:
            report(self.name, f"{self.name}: {type(error).__name__}: {error}")
            return _AFTER_FAILURE
        finally:
            self._at_work = None

    def _answer(self, asked: int) -> None:
        if asked != self._answered:
            with self._lock:
                self._answered = max(asked, self._answered)
            self._answers.strike()


def members(group: weakref.WeakSet[T]) -> list[T]:
    """Return what is in *group* now, though another thread may be adding to it."""
    while True:
        with suppress(RuntimeError):  # it grew while we looked
            return list(group)


_workers: weakref.WeakSet[Worker] = weakref.WeakSet()
_exit_functions: list[tuple[int, Callable[[], object]]] = []
_is_over = False  # whether the process is ending


def at_exit(phase: int) -> Callable[[Callable[[], object]], Callable[[], object]]:
    """
    Call the decorated function at every orderly end of this process.

    That is also the end of a `multiprocessing` child, which runs no `atexit`
    functions before Python 3.13, and none of its parent's since.

    Args:
        phase: What ends earlier has the lower one: `QUEUES`, `WITNESSES`, `FILES`,
            `SENDING`.
    """

    def register(function: Callable[[], object]) -> Callable[[], object]:
        _exit_functions.append((phase, function))
        _exit_functions.sort(key=lambda each: each[0])
        return function

    return register


@atexit.register
def _exit() -> None:
    global _is_over  # noqa: PLW0603  a process ends once
    if _is_over:  # a multiprocessing child of Python 3.13 may call twice
        return
    _is_over = True
    # Each of them, even if a Ctrl-C ends one that waits.
    with ExitStack() as stack:
        stack.callback(report.close)  # a multiprocessing child would not by itself
        for _, function in reversed(_exit_functions):
            stack.callback(_end, function)


def _end(function: Callable[[], object]) -> None:
    try:
        function()
    except Exception as error:  # the others have to end as well
        report("exit", f"at exit: {type(error).__name__}: {error}")


def _main_thread_ended() -> None:
    """See to it that a `multiprocessing` child ends as orderly as its parent."""
    multiprocessing = sys.modules.get("multiprocessing.process")
    if multiprocessing is None or multiprocessing.parent_process() is None:
        return
    here = threading.current_thread()
    others = [
        each for each in threading.enumerate() if not each.daemon and each is not here
    ]
    if others:
        # They may go on for days, and log: a thread that waits for them ends last.
        threading.Thread(target=_exit_after, args=(others,)).start()
    else:
        _exit()


def _exit_after(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join()
    _exit()


def stop_all(timeout: float) -> None:
    """End the threads of all workers, between two calls of their jobs."""
    deadline = time.monotonic() + timeout
    stopping = [(worker, worker._ask_to_stop()) for worker in members(_workers)]
    for worker, thread in stopping:
        if thread is not None and not worker._is_at_work_here():
            thread.join(max(deadline - time.monotonic(), 0))
            _wait_for_kernel(f"/proc/self/task/{thread.native_id}", deadline)
    for worker, _ in stopping:
        worker._is_stopping = False


def _wait_for_kernel(entry: str, deadline: float) -> None:
    """Wait until the thread behind *entry* is gone, which is after it was joined."""
    # Python 3.12 warns of a fork beside threads by the kernel's count.
    while os.access(entry, os.F_OK) and time.monotonic() < deadline:
        sleep(_MOMENT)


def _after_fork_in_parent() -> None:
    # The others wait until there is a reason: Python 3.12 warns of forking beside
    # threads, and counts those that are begun here.
    for worker in members(_workers):
        if worker._is_called and worker._in_caller:
            worker.wake()


def _after_fork_in_child() -> None:
    global _is_over  # noqa: PLW0603  the child begins
    _is_over = False
    for worker in members(_workers):
        worker.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=lambda: stop_all(_FORK_TIMEOUT),
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
# What `concurrent.futures` uses to end its threads; private, but there is no other
# moment at which a multiprocessing child of Python 3.12 could be told that it ends.
with suppress(AttributeError, RuntimeError):  # the process is ending already
    threading._register_atexit(_main_thread_ended)  # type: ignore[attr-defined]
