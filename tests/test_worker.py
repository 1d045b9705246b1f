"""
The thread for work that must not hold up the caller: when it works, and its end.
"""

from __future__ import annotations

import atexit
import os
import runpy
import sys
import threading
from functools import partial
from threading import Event, Semaphore, Thread
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import pytest

from chimera_log import native
from chimera_log import worker as module
from chimera_log.report import Reporter
from chimera_log.worker import FILES, QUEUES, SENDING, WITNESSES, Worker
from tests.conftest import is_gone, threads_now
from tests.test_report import in_child

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE = 30.0  # seconds for what takes none
IDLE = 1_000.0  # seconds; longer than any test


class Job:
    """A job that answers what it is told to, then ``None``."""

    def __init__(self, *answers: float | Exception | None) -> None:
        self.answers = list(answers)
        self.threads: list[int] = []  # that called it, as the kernel numbers them
        self.called = Semaphore(0)

    def __call__(self) -> float | None:
        """Answer the next, or raise it."""
        self.threads.append(threading.get_native_id())
        answer = self.answers.pop(0) if self.answers else None
        self.called.release()
        if isinstance(answer, Exception):
            raise answer
        return answer


class Stuck(Job):
    """A job that is stuck until it is let go."""

    def __init__(self, *answers: float | Exception | None) -> None:
        super().__init__(*answers)
        self.let_go = Event()

    def __call__(self) -> float | None:
        """Wait, then answer."""
        answer = super().__call__()
        assert self.let_go.wait(PATIENCE)
        return answer


class Make:
    """Makes workers that are gone after the test."""

    def __init__(self) -> None:
        self.made: list[Worker] = []

    def __call__(
        self, job: Callable[[], float | None], kind: type[Worker] = Worker, **more: Any
    ) -> Worker:
        """Return a worker that stays when idle."""
        made = kind("worker", job, **{"idle": IDLE, **more})
        self.made.append(made)
        return made


@pytest.fixture
def make() -> Iterator[Make]:
    """Makes workers."""
    made = Make()
    yield made
    for worker in made.made:
        assert worker.stop(PATIENCE)


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the workers reported."""
    lines: list[str] = []
    monkeypatch.setattr(module, "report", Reporter(write=lines.append))
    return lines


@pytest.fixture
def _no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread can be begun."""

    def refuse(_: native.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(native.Thread, "start", refuse)


def ended(thread: Thread) -> bool:
    """Whether *thread* ends."""
    thread.join(PATIENCE)
    return not thread.is_alive()


class TestWake:
    def test_runs(self, make: Make) -> None:
        """
        The job runs in a thread of its own.
        """
        job = Job()
        make(job).wake()

        assert job.called.acquire(timeout=PATIENCE)
        assert [threading.get_native_id()] != job.threads

    def test_nothing_before(self, make: Make) -> None:
        """
        Until it is woken a worker has no thread.
        """
        before = threads_now()
        worker = make(Job())

        assert threads_now() <= before
        assert worker.stop(0)

    def test_many_wakes(self, make: Make) -> None:
        """
        However often it is woken while it works, the job is called once more.
        """
        job = Stuck()
        worker = make(job)
        worker.wake()
        assert job.called.acquire(timeout=PATIENCE)
        for _ in range(100):
            worker.wake()
        job.let_go.set()
        assert worker.finish(PATIENCE)

        # The last call is that of `finish`, if the one before did not answer it.
        assert len(job.threads) in {2, 3}

    def test_asleep(self, make: Make) -> None:
        """
        An idle thread is woken, and not a second one begun.
        """
        job = Job()
        worker = make(job)
        for _ in range(10):
            assert worker.finish(PATIENCE)

        assert 1 == len(set(job.threads))
        assert len(job.threads) >= 10

    def test_linger(self, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A sleeper who is woken waits a little, so that more work gathers.
        """
        slept: list[float] = []
        monkeypatch.setattr(module, "sleep", slept.append)
        worker = make(Job(), linger=0.5)
        assert worker.finish(PATIENCE)
        first = list(slept)
        assert worker.finish(PATIENCE)

        assert [] == first
        assert [0.5] == slept

    def test_idle(self, make: Make) -> None:
        """
        A thread with nothing to do ends; the next wake begins another.
        """
        job = Job()
        worker = make(job, idle=0)
        for count in (1, 2):
            worker.wake()
            assert job.called.acquire(timeout=PATIENCE)
            assert count == len(set(job.threads))
            assert is_gone(job.threads[-1])

    def test_in_the_moment_of_the_end(self, make: Make) -> None:
        """
        Who wakes a thread that is about to end has it stay.
        """
        job = Job()
        worker = make(job, idle=0)

        class Lock:
            """A lock whose first holder but one finds that somebody called."""

            lock = threading.RLock()
            held = 0

            def __enter__(self) -> None:
                self.lock.acquire()
                self.held += 1
                if self.held == 3:  # the beginner, the thread's beginning, its end
                    worker.wake()

            def __exit__(self, *_: object) -> None:
                self.lock.release()

        worker._lock = Lock()  # type: ignore[assignment]
        worker.wake()
        assert job.called.acquire(timeout=PATIENCE)
        assert job.called.acquire(timeout=PATIENCE)
        assert 1 == len(set(job.threads))
        assert is_gone(job.threads[-1])

    def test_more_to_do(self, make: Make) -> None:
        """
        A job that answers 0 is called again at once, in the same thread.
        """
        job = Job(0, 0, 0)
        assert make(job).finish(PATIENCE)

        assert 4 == len(job.threads)
        assert 1 == len(set(job.threads))

    def test_pause(self, make: Make) -> None:
        """
        One that answers seconds is called again after them.
        """
        job = Job(0.001)
        make(job).wake()

        assert job.called.acquire(timeout=PATIENCE)
        assert job.called.acquire(timeout=PATIENCE)

    def test_rung_twice(self, make: Make) -> None:
        """
        Two who wake a sleeper at once disturb neither him nor each other.
        """
        worker = make(Job())
        worker._ring()
        worker._ring()

        assert worker.finish(PATIENCE)

    def test_raises(self, make: Make, reported: list[str]) -> None:
        """
        A job that raises is reported, and called again a second later.
        """
        job = Job(ValueError("boom"))
        worker = make(job)
        pauses = []
        sleep = worker._sleep

        def noted(pause: float) -> None:
            pauses.append(pause)
            sleep(0 if pause == module._AFTER_FAILURE else pause)

        worker._sleep = noted  # type: ignore[method-assign]
        worker.wake()
        assert job.called.acquire(timeout=PATIENCE)
        assert job.called.acquire(timeout=PATIENCE)

        assert module._AFTER_FAILURE == pauses[0]
        assert ["chimera_log: worker: ValueError: boom\n"] == reported


class TestSignalHandler:
    """What happens amid a wake, in the same thread."""

    def test_wakes(self, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        One that wakes the worker while its thread is being made begins no second.
        """
        job = Job()
        worker = make(job)
        started = []

        class Interrupted(native.Thread):
            """A thread whose making is interrupted, once."""

            def __init__(self, *arguments: Any) -> None:
                super().__init__(*arguments)
                monkeypatch.setattr(module, "Thread", Uninterrupted)
                worker.wake()

        class Uninterrupted(native.Thread):
            """A thread that is noted."""

            def start(self) -> None:
                """Start, once."""
                started.append(self)
                super().start()

        monkeypatch.setattr(module, "Thread", Interrupted)
        worker.wake()
        assert job.called.acquire(timeout=PATIENCE)

        assert [started[0].native_id] == job.threads[:1]
        assert 1 == len(started) == len(set(job.threads))

    @pytest.mark.parametrize("has_begun", [False, True])
    def test_raises(
        self, make: Make, monkeypatch: pytest.MonkeyPatch, *, has_begun: bool
    ) -> None:
        """
        One that raises while the thread is begun leaves a worker that can be woken.
        """
        job = Job()
        worker = make(job)
        start = native.Thread.start
        begun = []

        def interrupted(thread: native.Thread) -> None:
            monkeypatch.setattr(native.Thread, "start", start)
            if has_begun:
                begun.append(thread)
                thread.start()
            raise KeyboardInterrupt

        monkeypatch.setattr(native.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            worker.wake()
        assert all(thread.join(PATIENCE) for thread in begun)
        assert [] == job.threads

        assert worker.finish(PATIENCE)
        assert job.threads


class TestNoThread:
    """Where no thread can be begun."""

    @pytest.mark.usefixtures("_no_threads")
    def test_works_here(self, make: Make) -> None:
        """
        The job runs in the caller, until it has nothing more to do at once.
        """
        job = Job(0, 0)
        make(job).wake()

        assert [threading.get_native_id()] * 3 == job.threads

    @pytest.mark.usefixtures("_no_threads")
    def test_finish(self, make: Make) -> None:
        """
        Who waits for the job has done it himself.
        """
        assert make(Job()).finish(0)

    @pytest.mark.usefixtures("_no_threads")
    def test_nested(self, make: Make) -> None:
        """
        Who is woken amid his work goes on afterwards, and waits for nobody.
        """
        calls: list[int] = []

        def job() -> None:
            calls.append(len(calls))
            if len(calls) < 3:
                worker.wake()
                assert len(calls) == calls[-1] + 1

        worker = make(job)
        worker.wake()

        assert [0, 1, 2] == calls

    def test_finish_without_thread(
        self, make: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Who asks for the end of the work does it himself where nobody else can, also
        what is never done by whoever wakes the worker.
        """
        calls: list[int] = []

        def job() -> float | None:
            calls.append(len(calls))
            return 0 if len(calls) < 3 else None

        worker = make(job, in_caller=False)
        monkeypatch.setattr(worker, "_begin_thread", lambda: False)
        worker.wake()
        before = calls[:]
        is_done = worker.finish(PATIENCE)

        assert ([], [0, 1, 2], True) == (before, calls, is_done)

    def test_leave(self, make: Make) -> None:
        """
        What belongs to a thread alone can be given back before it ends.
        """
        left: list[int] = []
        worker = make(lambda: None, idle=0.0, on_leave=lambda: left.append(1))
        assert worker.finish(PATIENCE)
        assert worker.stop(PATIENCE)

        assert [1] == left

    def test_finish_without_time(
        self, make: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        He stops when the time is over, and what is left is done at the next call.
        """
        calls: list[int] = []

        def job() -> float | None:
            calls.append(len(calls))
            return 0 if len(calls) < 3 else None

        worker = make(job, in_caller=False)
        monkeypatch.setattr(worker, "_begin_thread", lambda: False)

        assert not worker.finish(0)
        assert [0] == calls
        assert worker.finish(PATIENCE)
        assert [0, 1, 2] == calls

    def test_others_at_work(self, make: Make) -> None:
        """
        Who finds somebody at work leaves his work to him.
        """
        job = Stuck()
        worker = make(job)
        worker._begin_thread = lambda: False  # type: ignore[method-assign]
        first, second = Thread(target=worker.wake), Thread(target=worker.wake)
        first.start()
        assert job.called.acquire(timeout=PATIENCE)
        second.start()
        assert ended(second)
        job.let_go.set()
        assert ended(first)

        assert [first.native_id, first.native_id] == job.threads

    def test_process_ends(self, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        At the end of a process no thread is begun any more.
        """
        monkeypatch.setattr(module, "_is_over", True)
        job = Job()
        make(job).wake()

        assert [threading.get_native_id()] == job.threads


class TestNoThreadNorCaller:
    """Where no thread can be begun, for a job that is not for who wakes."""

    @pytest.fixture(autouse=True, params=["no-threads", "process-ends"])
    def _nobody(
        self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if request.param == "no-threads":
            request.getfixturevalue("_no_threads")
        else:
            monkeypatch.setattr(module, "_is_over", True)

    def test_wake(self, make: Make) -> None:
        """
        Who wakes the worker does not run the job.
        """
        job = Job()
        make(job, in_caller=False).wake()

        assert [] == job.threads

    def test_finish(self, make: Make) -> None:
        """
        Who waits for it does, until there is nothing more to do at once.
        """
        job = Job(0, 0, 1.0)

        assert make(job, in_caller=False).finish(PATIENCE)
        assert [threading.get_native_id()] * 3 == job.threads

    @pytest.mark.usefixtures("reported")
    def test_raises(self, make: Make) -> None:
        """
        A job that raises has nothing more to do at once.
        """
        job = Job(0, ValueError("boom"))

        assert make(job, in_caller=False).finish(PATIENCE)
        assert 2 == len(job.threads)

    @pytest.mark.parametrize("in_caller", [False, True])
    def test_time_is_over(self, make: Make, *, in_caller: bool) -> None:
        """
        When his time is over he gives up; one call he makes in any case.
        """
        job = Job(*[0] * 5)
        worker = make(job, in_caller=in_caller)

        assert not worker.finish(0)
        assert 1 == len(job.threads)
        assert not worker.finish(-1)
        assert 2 == len(job.threads)
        assert worker.finish(PATIENCE)
        assert 6 == len(job.threads)

    def test_woken_meanwhile(self, make: Make) -> None:
        """
        He goes on for whoever wakes the worker meanwhile, but not beyond his time.
        """
        calls: list[int] = []

        def job() -> None:
            calls.append(len(calls))
            worker.wake()

        worker = make(job, in_caller=False)

        assert worker.finish(0)
        assert [0] == calls

    def test_somebody_at_work(self, make: Make) -> None:
        """
        Who finds somebody at work waits for him, who goes on for both.
        """
        job = Stuck()
        worker = make(job, in_caller=False)
        answers: list[bool] = []

        def finish() -> None:
            answers.append(worker.finish(PATIENCE))

        first, second = Thread(target=finish), Thread(target=finish)
        first.start()
        assert job.called.acquire(timeout=PATIENCE)
        second.start()
        while worker._asked < 2:
            assert second.is_alive()
        while not worker._answers._waiting:
            assert second.is_alive()
        job.let_go.set()
        assert ended(first)
        assert ended(second)

        assert [True, True] == answers
        assert [first.native_id] * 2 == job.threads

    def test_amid_the_job(self, make: Make) -> None:
        """
        A signal handler that waits for the job that it interrupted is told no.
        """
        answers: list[bool] = []

        def job() -> None:
            answers.append(worker.finish(PATIENCE))

        worker = make(job, in_caller=False)

        assert worker.finish(PATIENCE)
        assert [False] == answers


class TestFinish:
    def test_barrier(self, make: Make) -> None:
        """
        It returns after a call of the job that began after it was asked.
        """
        job = Stuck()
        worker = make(job)
        worker.wake()
        assert job.called.acquire(timeout=PATIENCE)
        answers = []
        asking = Thread(target=lambda: answers.append(worker.finish(PATIENCE)))
        asking.start()
        while worker._asked == 0:
            assert asking.is_alive()
        job.let_go.set()
        assert ended(asking)

        assert [True] == answers
        assert len(job.threads) >= 2

    def test_asked_in_the_wrong_moment(self, make: Make) -> None:
        """
        Who asks between two steps of the thread gets his answer all the same.
        """

        class Interrupted(Worker):
            """A worker that is asked while it notes that nobody calls."""

            is_first = True
            _called = False

            @property
            def _is_called(self) -> bool:
                return self._called

            @_is_called.setter
            def _is_called(self, value: bool) -> None:
                here = threading.get_native_id()
                thread = self.__dict__.get("_thread")
                if self.is_first and thread and here == thread.native_id:
                    self.is_first = False
                    self._asked += 1
                self._called = value

        worker = make(Job(), Interrupted)
        worker.wake()
        assert worker._answers.wait_for(lambda: worker._answered == 1, PATIENCE)

    def test_stuck(self, make: Make) -> None:
        """
        It gives up in time where the job is stuck.
        """
        job = Stuck()
        worker = make(job)

        assert not worker.finish(0)
        job.let_go.set()
        assert worker.finish(PATIENCE)

    def test_from_the_job(self, make: Make) -> None:
        """
        The job, which would wait for itself, does not wait.
        """
        answers: list[bool] = []

        def job() -> None:
            answers.append(worker.finish(PATIENCE))

        worker = make(job)
        assert worker.finish(PATIENCE)

        assert [False] == answers


class TestStop:
    def test_idle(self, make: Make) -> None:
        """
        An idle thread ends at once; the next wake begins another.
        """
        job = Job()
        worker = make(job)
        assert worker.finish(PATIENCE)
        assert worker.stop(PATIENCE)
        assert is_gone(job.threads[-1])

        assert worker.finish(PATIENCE)
        assert 2 == len(set(job.threads))

    def test_between_two_parts(self, make: Make) -> None:
        """
        A job with more to do is stopped between two parts, and goes on when woken.
        """
        job = Stuck(0, 0)
        worker = make(job)
        worker.wake()
        assert job.called.acquire(timeout=PATIENCE)
        assert not worker.stop(0)
        worker._is_stopping = True
        job.let_go.set()
        assert worker.stop(PATIENCE)
        assert 1 == len(job.threads)

        assert worker.finish(PATIENCE)
        assert 3 == len(job.threads)

    def test_stuck(self, make: Make) -> None:
        """
        A thread that is stuck lives on, and works when it is free again.
        """
        job = Stuck()
        worker = make(job)
        worker.wake()
        assert job.called.acquire(timeout=PATIENCE)

        assert not worker.stop(0)
        job.let_go.set()
        assert worker.finish(PATIENCE)
        assert 1 == len(set(job.threads))

    def test_somebody_waits(self, make: Make) -> None:
        """
        Who waits for the job to be done gets his answer from another thread.
        """
        job = Stuck()
        worker = make(job)
        worker.wake()
        assert job.called.acquire(timeout=PATIENCE)
        answers = []
        asking = Thread(target=lambda: answers.append(worker.finish(PATIENCE)))
        asking.start()
        while worker._asked == 0:
            assert asking.is_alive()
        stopping = Thread(target=worker.stop, args=[PATIENCE])
        stopping.start()
        while not worker._is_stopping:
            assert stopping.is_alive()
        job.let_go.set()
        assert ended(stopping)
        assert ended(asking)

        assert [True] == answers
        assert 2 == len(set(job.threads))

    def test_from_the_job(self, make: Make) -> None:
        """
        The job, which would wait for itself, is told that it goes on.
        """
        answers: list[bool] = []

        def job() -> None:
            answers.append(worker.stop(PATIENCE))

        worker = make(job)
        assert worker.finish(PATIENCE)

        assert {False} == set(answers)


class TestFork:
    def test_idle_thread(self, make: Make) -> None:
        """
        An idle thread ends before a fork, of which Python 3.12 has nothing to say.
        """
        job = Job()
        worker = make(job)
        assert worker.finish(PATIENCE)
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)

        assert is_gone(job.threads[-1])
        assert worker.finish(PATIENCE)

    def test_child_begins(self, make: Make) -> None:
        """
        In the child the worker is as new, and works.
        """
        job = Stuck()
        worker = make(job)
        worker.wake()
        assert job.called.acquire(timeout=PATIENCE)

        def works() -> bool:
            assert worker._thread is None
            job.let_go.set()
            return worker.finish(PATIENCE) and 2 == len(job.threads)

        try:
            assert in_child(works)
        finally:
            job.let_go.set()

    def test_parent_goes_on(self, make: Make) -> None:
        """
        A parent that was interrupted in its work goes on with it.
        """
        job = Stuck(0)
        worker = make(job)
        worker.wake()
        assert job.called.acquire(timeout=PATIENCE)
        threading.Timer(0, job.let_go.set).start()

        assert in_child(lambda: True)
        assert job.called.acquire(timeout=PATIENCE)
        assert worker.finish(PATIENCE)

    def test_gone_for_the_kernel(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A thread that ended is waited for until the kernel has let go of it, too.
        """
        looks, slept = iter([True, True, False]), list[float]()
        with monkeypatch.context() as patch:
            patch.setattr(module, "sleep", slept.append)
            patch.setattr(os, "access", lambda *_: next(looks))
            module._wait_for_kernel("/proc/self/task/1", deadline=float("inf"))

        assert 2 == len(slept)

    def test_from_the_job(self, make: Make) -> None:
        """
        A job that forks does not wait for itself.
        """
        answers: list[bool] = []

        def job() -> None:
            answers.append(in_child(lambda: not module._is_over))

        assert make(job).finish(PATIENCE)
        assert [True] == answers


class TestMembers:
    def test_all(self) -> None:
        """
        They are what is in the group and still lives.
        """
        workers = [Worker(name, Job()) for name in ("a", "b")]
        group = WeakSet(workers)
        workers.pop()

        assert workers == module.members(group)

    def test_grows(self) -> None:
        """
        A group that grows while it is looked at is looked at again.
        """

        class Growing(WeakSet[Worker]):
            """A group to which another thread adds, once."""

            looks = 0

            def __iter__(self) -> Iterator[Worker]:
                """Fail as a set does that grows."""
                self.looks += 1
                if self.looks == 1:
                    raise RuntimeError("Set changed size during iteration")
                return super().__iter__()

        worker = Worker("a", Job())

        assert [worker] == module.members(Growing([worker]))


@pytest.fixture
def exit_calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is called at exit, of what the test registered."""
    monkeypatch.setattr(module, "_exit_functions", [])
    monkeypatch.setattr(module, "_is_over", False)
    return []


class TestAtExit:
    def test_order(self, exit_calls: list[str]) -> None:
        """
        Queues end before the files that they are written to, and all only once.
        """
        module.at_exit(FILES)(lambda: exit_calls.append("files"))
        module.at_exit(QUEUES)(lambda: exit_calls.append("queues"))
        module.at_exit(FILES)(lambda: exit_calls.append("more files"))
        module._exit()
        module._exit()

        assert ["queues", "files", "more files"] == exit_calls

    def test_witnesses(self, exit_calls: list[str]) -> None:
        """
        What is told of a file, when all is written to it, still reaches other files
        and whoever sends.
        """
        phases = {
            "sending": SENDING,
            "files": FILES,
            "witnesses": WITNESSES,
            "queues": QUEUES,
        }
        for name, phase in phases.items():
            module.at_exit(phase)(partial(exit_calls.append, name))
        module._exit()

        assert ["queues", "witnesses", "files", "sending"] == exit_calls

    def test_one_fails(
        self, exit_calls: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        One that fails is told, and keeps no other from its end.
        """
        said: list[str] = []
        monkeypatch.setattr(module, "report", Reporter(write=said.append))
        module.at_exit(QUEUES)([].pop)
        module.at_exit(FILES)(lambda: exit_calls.append("files"))
        module._exit()

        assert ["files"] == exit_calls
        assert ["chimera_log: at exit: IndexError: pop from empty list\n"] == said

    def test_interrupted(self, exit_calls: list[str]) -> None:
        """
        A Ctrl-C while one thing ends does not keep the others from it.
        """

        def interrupted() -> None:
            raise KeyboardInterrupt

        module.at_exit(QUEUES)(interrupted)
        module.at_exit(FILES)(lambda: exit_calls.append("files"))
        with pytest.raises(KeyboardInterrupt):
            module._exit()

        assert ["files"] == exit_calls

    def test_parent(self, exit_calls: list[str]) -> None:
        """
        Where `atexit` will do it, the end of the main thread means nothing.
        """
        module.at_exit(FILES)(lambda: exit_calls.append("files"))
        module._main_thread_ended()

        assert [] == exit_calls

    def test_no_multiprocessing(
        self, exit_calls: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Nor where `multiprocessing` was never imported.
        """
        monkeypatch.delitem(sys.modules, "multiprocessing.process", raising=False)
        module.at_exit(FILES)(lambda: exit_calls.append("files"))
        module._main_thread_ended()

        assert [] == exit_calls

    def test_child(
        self, exit_calls: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        In a child of `multiprocessing` it is the end.
        """
        is_child = SimpleNamespace(parent_process=lambda: "parent")
        monkeypatch.setitem(sys.modules, "multiprocessing.process", is_child)
        module.at_exit(FILES)(lambda: exit_calls.append("files"))
        module._main_thread_ended()

        assert ["files"] == exit_calls

    def test_child_with_threads(
        self, exit_calls: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        It comes when the last thread ended that the process waits for.
        """
        is_child = SimpleNamespace(parent_process=lambda: "parent")
        monkeypatch.setitem(sys.modules, "multiprocessing.process", is_child)
        module.at_exit(FILES)(lambda: exit_calls.append("files"))
        may_end = Event()
        thread = Thread(target=may_end.wait)
        thread.start()
        known = threading.enumerate()
        module._main_thread_ended()
        (waiting,) = set(threading.enumerate()) - set(known)
        assert ([], False) == (exit_calls, waiting.daemon)
        may_end.set()

        assert ended(waiting)
        assert ["files"] == exit_calls

    def test_nothing_to_register_with(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        The module loads where there is no fork, and while the process ends.
        """

        def refuse(_: object) -> None:
            raise RuntimeError("can't register atexit after shutdown")

        registered: list[Callable[[], object]] = []
        monkeypatch.setattr(atexit, "register", registered.append)
        monkeypatch.setattr(threading, "_register_atexit", refuse)
        monkeypatch.delattr(os, "register_at_fork")
        runpy.run_path(str(module.__file__))

        assert ["_exit"] == [each.__name__ for each in registered]
