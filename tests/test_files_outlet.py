"""
Finished lines that a thread writes: the bounds of the queue, and its promises.
"""

from __future__ import annotations

import os
import runpy
import threading
from collections import deque
from threading import Event, Semaphore, Thread
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimera_log import worker
from chimera_log.files import outlet as module
from chimera_log.files.outlet import (
    BLOCK,
    DROP_NEWEST,
    DROP_OLDEST,
    WHEN_FULL,
    Bounds,
    LineQueue,
    Outlet,
)
from tests.conftest import is_gone, threads_now
from tests.test_report import in_child

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE = 30.0  # seconds for what takes none
BOUNDS = Bounds(
    max_queue_size=3, max_queue_bytes=100, when_full=BLOCK, close_timeout=PATIENCE
)


def moved(queue: LineQueue) -> list[bytes]:
    """Return what waits in *queue*, which is empty then."""
    lines: deque[bytes] = deque()
    queue.move_to(lines)
    return list(lines)


class TestLineQueue:
    def test_order(self) -> None:
        """
        Lines leave in the order in which they came.
        """
        queue = LineQueue(BOUNDS)
        for line in (b"a", b"b", b"c"):
            assert 0 == queue.put(line)
        assert 3 == len(queue)

        assert [b"a", b"b", b"c"] == moved(queue)
        assert 0 == len(queue)

    @pytest.mark.parametrize(
        ("when_full", "answer", "kept"),
        [
            (BLOCK, None, [b"a", b"b", b"c"]),
            (DROP_OLDEST, 1, [b"b", b"c", b"d"]),
            (DROP_NEWEST, 1, [b"a", b"b", b"c"]),
        ],
    )
    def test_too_many(
        self, when_full: str, answer: int | None, kept: list[bytes]
    ) -> None:
        """
        One line too many waits outside, drops the oldest, or is dropped.
        """
        queue = LineQueue(BOUNDS._replace(when_full=when_full))
        for line in (b"a", b"b", b"c"):
            queue.put(line)

        assert answer == queue.put(b"d")
        assert kept == moved(queue)

    @pytest.mark.parametrize("length", [50, 51])
    def test_bytes(self, length: int) -> None:
        """
        As many bytes as are allowed may wait, and not one more.
        """
        queue = LineQueue(BOUNDS)
        queue.put(bytes(50))

        assert (0 if length == 50 else None) == queue.put(bytes(length))

    def test_several_dropped(self) -> None:
        """
        A long line drops as many as it needs the room of.
        """
        queue = LineQueue(BOUNDS._replace(when_full=DROP_OLDEST))
        for _ in range(3):
            queue.put(bytes(30))

        assert 2 == queue.put(bytes(70))
        assert [bytes(30), bytes(70)] == moved(queue)

    @pytest.mark.parametrize("when_full", WHEN_FULL)
    def test_larger_than_all(self, when_full: str) -> None:
        """
        A line larger than the bound is let in alone.
        """
        queue = LineQueue(BOUNDS._replace(when_full=when_full))
        assert 0 == queue.put(bytes(101))

        assert queue.put(b"a") == {BLOCK: None}.get(when_full, 1)

    @given(
        st.sampled_from(WHEN_FULL),
        st.lists(st.integers(0, 120) | st.none(), max_size=30),
    )
    def test_any(self, when_full: str, steps: list[int | None]) -> None:
        """
        Whatever comes, a number that is put is taken, dropped or sent back; bounds
        are kept, and so is the order.
        """
        queue = LineQueue(BOUNDS._replace(when_full=when_full))
        waiting: list[bytes] = []  # the model
        for number, length in enumerate(steps):
            if length is None:
                assert waiting == moved(queue)
                waiting = []
                continue
            line = b"%03d" % number + bytes(length)
            needed = 0  # of the oldest, to be dropped
            while waiting[needed:] and (
                len(waiting) - needed >= BOUNDS.max_queue_size
                or sum(map(len, [*waiting[needed:], line])) > BOUNDS.max_queue_bytes
            ):
                needed += 1
            if not needed:
                expected: int | None = 0
                waiting.append(line)
            elif when_full == DROP_OLDEST:
                expected = needed
                waiting = [*waiting[needed:], line]
            else:
                expected = 1 if when_full == DROP_NEWEST else None
            assert expected == queue.put(line)
            assert len(waiting) == len(queue)

        assert waiting == moved(queue)


class Sink:
    """
    What lines are written to: it may be stuck, and take lines only at times.

    Args:
        at_once: How many lines it takes in the caller.
    """

    def __init__(self, at_once: int = 0) -> None:
        self.written: list[bytes] = []
        self.threads: set[int] = set()
        self.losses: list[tuple[str, str]] = []
        self.at_once = at_once
        self.is_open = Event()
        self.is_open.set()
        self.entered = Semaphore(0)
        self.made: list[Outlet] = []

    def outlet(self, *, tries_at_once: bool = False, **bounds: object) -> Outlet:
        """Return an outlet to here."""
        made = Outlet(
            "outlet",
            BOUNDS._replace(**bounds),
            self.write,
            lambda kind, what: self.losses.append((kind, what)),
            self.write_at_once if tries_at_once else None,
        )
        self.made.append(made)
        return made

    def write(self, lines: deque[bytes]) -> None:
        """Write all *lines*, when the sink is open."""
        self.threads.add(threading.get_native_id())
        self.entered.release()
        assert self.is_open.wait(PATIENCE)
        while lines:
            self.written.append(lines.popleft())

    def write_at_once(self, lines: deque[bytes]) -> None:
        """Write one, if the sink takes it in the caller."""
        if self.at_once:
            self.at_once -= 1
            self.written.append(lines.popleft())

    def stuck(self, outlet: Outlet) -> None:
        """Have the thread of *outlet* be stuck with the line ``stuck``."""
        self.is_open.clear()
        outlet.put(b"stuck")
        assert self.entered.acquire(timeout=PATIENCE)


@pytest.fixture
def sink() -> Iterator[Sink]:
    """What lines are written to."""
    made = Sink()
    yield made
    made.is_open.set()
    for outlet in made.made:
        assert outlet._worker.finish(PATIENCE)
        assert outlet._worker.stop(PATIENCE)


def ended(thread: Thread) -> bool:
    """Whether *thread* ends."""
    thread.join(PATIENCE)
    return not thread.is_alive()


class TestPut:
    def test_in_a_thread(self, sink: Sink) -> None:
        """
        Lines are written in order, by a thread.
        """
        outlet = sink.outlet()
        for number in range(100):
            outlet.put(b"%d" % number)
        assert outlet.flush()

        assert [b"%d" % number for number in range(100)] == sink.written
        assert threading.get_native_id() not in sink.threads

    def test_at_once(self, sink: Sink) -> None:
        """
        What can be written without waiting is, and no thread is begun.
        """
        sink.at_once = 2
        outlet = sink.outlet(tries_at_once=True)
        outlet.put(b"a")
        outlet.put(b"b")

        assert [b"a", b"b"] == sink.written
        assert outlet._worker.stop(0)
        assert set() == sink.threads

    def test_partly_at_once(self, sink: Sink) -> None:
        """
        The order is kept when some lines go at once and some through the thread.
        """
        outlet = sink.outlet(tries_at_once=True)
        for number in range(100):
            sink.at_once = number % 3
            outlet.put(b"%d" % number)
        assert outlet.flush()

        assert [b"%d" % number for number in range(100)] == sink.written
        assert 0 == outlet.dropped

    def test_not_at_once_after_others(self, sink: Sink) -> None:
        """
        While a line waits no other overtakes it, though there were room.
        """
        outlet = sink.outlet(tries_at_once=True)
        sink.stuck(outlet)
        sink.at_once = 1
        outlet.put(b"later")
        assert [] == sink.written
        sink.is_open.set()
        assert outlet.flush()

        assert [b"stuck", b"later"] == sink.written

    def test_turn_taken(self, sink: Sink) -> None:
        """
        Nor is anybody waited for who is writing.
        """
        sink.at_once = 1
        outlet = sink.outlet(tries_at_once=True)
        with outlet._turn:
            caller = Thread(target=outlet.put, args=(b"a",))
            caller.start()
            assert ended(caller)
            assert [] == sink.written
        assert outlet.flush()

        assert [b"a"] == sink.written

    def test_line_in_the_last_moment(
        self, sink: Sink, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A line that came just before the turn was taken is not overtaken.
        """
        sink.at_once = 1
        outlet = sink.outlet(tries_at_once=True)

        class Turn:
            """A lock that is taken when another line has come."""

            lock = threading.Lock()

            def acquire(self, *, blocking: bool) -> bool:
                outlet._queue.put(b"first")
                return self.lock.acquire(blocking)

            def release(self) -> None:
                self.lock.release()

        with monkeypatch.context() as patch:
            patch.setattr(outlet, "_turn", Turn())
            patch.setattr(outlet._worker, "wake", lambda: None)
            outlet.put(b"second")
        outlet._worker.wake()
        assert outlet.flush()

        assert [b"first", b"second"] == sink.written

    def test_threads(self, sink: Sink) -> None:
        """
        Each thread's lines are written in its order, whichever way they go.
        """
        sink.at_once = 500
        outlet = sink.outlet(tries_at_once=True)

        def put(name: int) -> None:
            for number in range(200):
                outlet.put(b"%d %d" % (name, number))

        threads = [Thread(target=put, args=[name]) for name in range(4)]
        for thread in threads:
            thread.start()
        assert all(map(ended, threads))
        assert outlet.flush()

        for name in range(4):
            mine = [line for line in sink.written if line.startswith(b"%d " % name)]
            assert [b"%d %d" % (name, number) for number in range(200)] == mine

    def test_signal_handler(self, sink: Sink) -> None:
        """
        A line that comes amid another is written after it.
        """
        outlet = sink.outlet(tries_at_once=True)
        write, calls = sink.write_at_once, []

        def interrupted(lines: deque[bytes]) -> None:
            calls.append(len(lines))
            if len(calls) == 1:
                outlet.put(b"nested")
            sink.at_once = 1
            write(lines)

        outlet._write_at_once = interrupted
        outlet.put(b"outer")
        assert outlet.flush()

        assert [b"outer", b"nested"] == sink.written

    def test_signal_handler_without_threads(
        self, sink: Sink, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        So it is where no thread can be begun any more: nobody waits for himself.
        """
        monkeypatch.setattr(worker, "_is_over", True)
        outlet = sink.outlet(tries_at_once=True)
        write, calls = sink.write_at_once, []

        def interrupted(lines: deque[bytes]) -> None:
            calls.append(len(lines))
            outlet.put(b"nested")
            sink.at_once = 1
            write(lines)

        outlet._write_at_once = interrupted
        outlet.put(b"outer")

        assert [b"outer", b"nested"] == sink.written
        assert [1] == calls

    def test_block(self, sink: Sink) -> None:
        """
        ``block``: who logs waits until there is room, and nothing is lost.
        """
        outlet = sink.outlet()
        sink.stuck(outlet)
        for line in (b"a", b"b", b"c"):
            outlet.put(line)
        waiting = Thread(target=outlet.put, args=[b"d"])
        waiting.start()
        while not outlet._room._waiting:
            assert waiting.is_alive()
        assert 4 == len(outlet)
        sink.is_open.set()
        assert ended(waiting)
        assert outlet.flush()

        assert [b"stuck", b"a", b"b", b"c", b"d"] == sink.written
        assert (0, []) == (outlet.dropped, sink.losses)

    def test_room_meanwhile(self, sink: Sink) -> None:
        """
        Who finds room when he is about to wait does not wait.
        """
        outlet = sink.outlet()
        outlet._wait_for_room(1)

        assert [] == outlet._room._waiting

    @pytest.mark.parametrize("when_full", [DROP_OLDEST, DROP_NEWEST])
    def test_drop(self, sink: Sink, when_full: str) -> None:
        """
        ``drop_*``: who logs never waits, and what is lost is counted and told.
        """
        outlet = sink.outlet(when_full=when_full)
        sink.stuck(outlet)
        for number in range(10):
            outlet.put(b"%d" % number)
        dropped = outlet.dropped
        sink.is_open.set()
        assert outlet.flush()

        kept = [b"7", b"8", b"9"] if when_full == DROP_OLDEST else [b"0", b"1", b"2"]
        assert [b"stuck", *kept] == sink.written
        assert 7 == dropped
        told = "the queue is full; 7 records not written so far"
        assert ("lost", told) == sink.losses[-1]

    def test_given_up(self, sink: Sink) -> None:
        """
        After the writer was given up at exit a line is lost, counted and told.
        """
        outlet = sink.outlet(close_timeout=0)
        sink.stuck(outlet)
        outlet.at_exit()
        outlet.put(b"late")

        assert 2 == outlet.dropped
        told = "the process ends; 2 records not written so far"
        assert ("lost", told) == sink.losses[-1]


class TestFlush:
    def test_nothing(self, sink: Sink) -> None:
        """
        With nothing to write, no thread is begun.
        """
        before = threads_now()

        assert sink.outlet().flush()
        assert threads_now() <= before

    def test_stuck(self, sink: Sink) -> None:
        """
        It returns in time though the writer is stuck, and says so.
        """
        outlet = sink.outlet(close_timeout=0)
        sink.stuck(outlet)

        assert not outlet.flush()
        assert not outlet.flush(0)

    def test_given_up(self, sink: Sink) -> None:
        """
        A writer that was given up is not waited for again.
        """
        outlet = sink.outlet(close_timeout=0)
        sink.stuck(outlet)
        outlet.at_exit()

        assert not outlet.flush(PATIENCE)


class TestClose:
    def test_twice(self, sink: Sink) -> None:
        """
        It writes what waits and ends the thread, and does nothing the second time.
        """
        outlet = sink.outlet()
        outlet.put(b"a")
        outlet.close()
        outlet.close()

        assert [b"a"] == sink.written
        assert all(map(is_gone, sink.threads))

    def test_revived(self, sink: Sink) -> None:
        """
        A line that comes afterwards is written all the same.
        """
        outlet = sink.outlet()
        outlet.close()
        outlet.put(b"a")
        assert outlet.flush()

        assert [b"a"] == sink.written

    def test_in_the_last_moment(self, sink: Sink) -> None:
        """
        So is one that comes when the thread is about to end.
        """
        outlet = sink.outlet()
        stop = outlet._worker.stop

        def stopped(timeout: float) -> bool:
            is_stopped = stop(timeout)
            outlet._queue.put(b"late")
            return is_stopped

        outlet._worker.stop = stopped  # type: ignore[method-assign]
        outlet.close()
        assert sink.entered.acquire(timeout=PATIENCE)
        outlet._worker.stop = stop  # type: ignore[method-assign]
        assert outlet.flush()

        assert [b"late"] == sink.written

    def test_stuck(self, sink: Sink) -> None:
        """
        It returns in time though the writer is stuck; who is free again goes on.
        """
        outlet = sink.outlet(close_timeout=0)
        sink.stuck(outlet)
        outlet.put(b"a")
        outlet.close()
        assert [] == sink.written
        sink.is_open.set()
        assert outlet.flush(PATIENCE)

        assert [b"stuck", b"a"] == sink.written


class TestAtExit:
    def test_writes(self, sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        What waits is written, and nothing said.
        """
        outlet = sink.outlet()
        outlet.put(b"a")
        monkeypatch.setattr(module, "_outlets", [outlet])
        module._at_exit()

        assert ([b"a"], []) == (sink.written, sink.losses)

    def test_stuck(self, sink: Sink) -> None:
        """
        It is bounded by *close_timeout*, and tells exactly how much is lost.
        """
        outlet = sink.outlet(close_timeout=0, when_full=DROP_NEWEST)
        sink.stuck(outlet)
        for _ in range(5):
            outlet.put(b"a")
        outlet.at_exit()

        assert 6 == outlet.dropped
        told = "the process ends; 6 records not written"
        assert ("exit", told) == sink.losses[-1]

    def test_interrupted(self, sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A Ctrl-C while it waits is the end of that outlet alone, and what it lost told.
        """

        def interrupted(_: float) -> bool:
            raise KeyboardInterrupt

        outlets = [sink.outlet() for _ in range(2)]
        monkeypatch.setattr(module, "_outlets", outlets)
        for outlet in outlets:
            sink.stuck(outlet)
            monkeypatch.setattr(outlet._worker, "finish", interrupted)
        with pytest.raises(KeyboardInterrupt):
            module._at_exit()
        monkeypatch.undo()

        told = "the process ends; 1 records not written"
        assert [("exit", told), ("exit", told)] == sink.losses

    def test_dropped_before(self, sink: Sink) -> None:
        """
        The last word has all that was dropped, which was not all told before.
        """
        outlet = sink.outlet(when_full=DROP_NEWEST)
        sink.stuck(outlet)
        for _ in range(5):
            outlet.put(b"a")
        sink.is_open.set()
        outlet.at_exit()

        assert ("exit", "the process ends; 2 records not written") == sink.losses[-1]


class TestFork:
    def test_child(self, sink: Sink) -> None:
        """
        The child has nothing of its parent's, and writes its own.
        """
        outlet = sink.outlet()
        sink.stuck(outlet)
        outlet.put(b"parent's")

        def writes() -> bool:
            sink.is_open.set()
            assert (0, 0) == (len(outlet), outlet.dropped)
            outlet.put(b"child's")
            return outlet.flush() and [b"child's"] == sink.written

        assert in_child(writes)

    def test_parent(self, sink: Sink) -> None:
        """
        What the parent logged before is written when the child begins.
        """
        outlet = sink.outlet()
        outlet.put(b"parent's")

        assert in_child(lambda: [b"parent's"] == sink.written)


def test_without_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Where processes cannot fork, the module loads all the same.
    """
    registered: list[Callable[[], object]] = []
    monkeypatch.delattr(os, "register_at_fork")
    monkeypatch.setattr("chimera_log.worker.at_exit", lambda _phase: registered.append)
    runpy.run_path(str(module.__file__))

    assert ["_at_exit"] == [each.__name__ for each in registered]
