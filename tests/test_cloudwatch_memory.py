"""
Events that wait in memory: in order, within bounds, every one accounted for.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimera_log.cloudwatch.batch import Event
from chimera_log.cloudwatch.memory import (
    DROP_NEWEST,
    DROP_OLDEST,
    WHEN_FULL,
    Bounds,
    MemoryQueue,
)

if TYPE_CHECKING:
    from collections.abc import Callable

MANY = 10**9


def queue_of(
    *messages: bytes,
    size: int = MANY,
    length: int = MANY,
    when_full: str = DROP_OLDEST,
    on_loss: Callable[[int], object] = lambda _: None,
) -> MemoryQueue:
    """Return a queue of at most *size* events and *length* bytes."""
    made = MemoryQueue(Bounds(size, length, when_full), on_loss)
    for message in messages:
        made.put(Event(1, message))
    return made


def everything(_: Event) -> bool:
    """Say that *_* fits."""
    return True


def at_most(count: int) -> Callable[[Event], bool]:
    """Return what lets *count* events through, and no more."""
    left = iter(range(count))
    return lambda _: next(left, None) is not None


def taken(queue: MemoryQueue, count: int = MANY) -> list[bytes]:
    """Take at most *count* events; return what they say."""
    return [event.message for event in queue.take(at_most(count))]


class Interrupting:
    """
    An event in whose first look at the message something else happens.

    As if a signal handler came while it is put.
    """

    timestamp = 1

    def __init__(self, happens: Callable[[], object]) -> None:
        self._happens: Callable[[], object] | None = happens

    @property
    def message(self) -> bytes:
        """Its text."""
        happens, self._happens = self._happens, None
        if happens:
            happens()
        return b"interrupted"


class GoneMeanwhile(deque[Any]):
    """A queue whose last event another thread takes right after we saw it."""

    seen = 0

    def __len__(self) -> int:
        self.seen += 1
        return 1 if self.seen == 1 else super().__len__()


def interrupt() -> None:
    """Raise what a signal handler raises."""
    raise KeyboardInterrupt


class TestTake:
    """What is taken, and what waits on."""

    def test_order(self) -> None:
        """
        Events come in the order of their put.
        """
        queue = queue_of(b"1", b"2", b"3")

        assert [b"1", b"2", b"3"] == taken(queue)

    def test_refused(self) -> None:
        """
        The first event that does not fit ends a take, and is the first of the next.
        """
        queue = queue_of(b"1", b"2", b"3")

        assert [b"1", b"2"] == taken(queue, 2)
        assert 1 == queue.queued
        assert [b"3"] == taken(queue)

    def test_asked_once(self) -> None:
        """
        Each event is asked about once, in order, up to the first that does not fit.
        """
        queue, asked = queue_of(b"1", b"2", b"3"), []

        def fits(event: Event) -> bool:
            asked.append(event.message)
            return bool(event.message != b"2")

        queue.take(fits)
        assert [b"1", b"2"] == asked

    def test_raising(self) -> None:
        """
        Whatever raises amid a take, everything waits on, and all of it is counted.
        """
        queue = queue_of(b"1", b"2", b"3")

        with pytest.raises(ZeroDivisionError):
            queue.take(lambda event: bool(1 // (event.message != b"3")))
        assert 3 == queue.queued
        assert [b"1", b"2", b"3"] == taken(queue)
        assert 0 == queue.queued

    def test_dropped_meanwhile(self) -> None:
        """
        A putter that drops the last event leaves a take without it.
        """
        queue = queue_of()
        queue._queue = GoneMeanwhile()

        assert [] == queue.take(everything)

    def test_give_back(self) -> None:
        """
        What is given back comes first again, in its order.
        """
        queue = queue_of(b"1", b"2", b"3")
        events = deque(queue.take(at_most(2)))
        queue.give_back(events)

        assert 0 == len(events)
        assert 3 == queue.queued
        assert [b"1", b"2", b"3"] == taken(queue)

    def test_forget(self) -> None:
        """
        Forgetting and closing change nothing: what waits, waits.
        """
        queue = queue_of(b"1", b"2")
        taken(queue, 1)
        queue.forget()
        queue.close()

        assert (1, 0, 0) == (queue.queued, queue.spooled, queue.dropped)
        assert [b"2"] == taken(queue)


class TestBounds:
    """What is lost when there is no room."""

    @pytest.mark.parametrize(
        ("when_full", "left"),
        [(DROP_OLDEST, [b"2", b"3", b"4"]), (DROP_NEWEST, [b"1", b"2", b"3"])],
    )
    def test_count(self, when_full: str, left: list[bytes]) -> None:
        """
        Of one more event than may wait, the oldest or the newest is lost.
        """
        queue = queue_of(b"1", b"2", b"3", b"4", size=3, when_full=when_full)

        assert (3, 1, 4) == (queue.queued, queue.dropped, queue.accepted)
        assert left == taken(queue)

    @pytest.mark.parametrize(
        ("when_full", "left"),
        [(DROP_OLDEST, [b"4" * 4, b"5" * 5]), (DROP_NEWEST, [b"3" * 3, b"4" * 4])],
    )
    def test_bytes(self, when_full: str, left: list[bytes]) -> None:
        """
        Bytes are bounded as well; as many events are lost as need be.
        """
        given_ = (b"3" * 3, b"4" * 4, b"5" * 5)
        queue = queue_of(*given_, length=9, when_full=when_full)

        assert (2, 1) == (queue.queued, queue.dropped)
        assert left == taken(queue)

    def test_bytes_exactly(self) -> None:
        """
        As many bytes as may wait are let in, one more is not.
        """
        assert 0 == queue_of(b"12", b"34", length=4).dropped
        assert 1 == queue_of(b"12", b"345", length=4).dropped

    def test_taken_makes_room(self) -> None:
        """
        What was taken takes no room.
        """
        queue = queue_of(b"12", b"34", size=2, length=4)
        taken(queue)
        queue.put(Event(1, b"56"))
        queue.put(Event(1, b"78"))

        assert 0 == queue.dropped

    @pytest.mark.parametrize("when_full", WHEN_FULL)
    def test_huge_alone(self, when_full: str) -> None:
        """
        An event larger than all that may wait is let in when nothing else waits.
        """
        queue = queue_of(b"12345", length=4, when_full=when_full)

        assert [b"12345"] == taken(queue)

    @pytest.mark.parametrize("when_full", WHEN_FULL)
    def test_huge_among_others(self, when_full: str) -> None:
        """
        Among others it is the one that is lost: it would push out all of them.
        """
        queue = queue_of(b"1", b"2", b"12345", length=4, when_full=when_full)

        assert 1 == queue.dropped
        assert [b"1", b"2"] == taken(queue)

    def test_taken_meanwhile(self) -> None:
        """
        Where the taker was quicker than the putter that would drop, nothing is lost.
        """
        queue = queue_of(b"1", size=1)
        taken(queue)
        queue._taken = 0  # what the taker is about to count
        queue._queue = GoneMeanwhile()
        queue.put(Event(1, b"2"))

        assert 0 == queue.dropped
        assert [b"2"] == taken(queue)

    def test_told(self) -> None:
        """
        Each loss is told, once, by the put that caused it.
        """
        told: list[int] = []
        queue_of(*[b"12"] * 5, b"1234", length=4, on_loss=told.append)

        assert [1, 1, 1, 2] == told


class TestInterrupted:
    """Signal handlers that log or raise amid a put."""

    def test_nested(self) -> None:
        """
        A put amid a put of its own thread waits its turn, and is let in by that.
        """
        queue = queue_of()
        queue.put(Interrupting(lambda: queue.put(Event(1, b"nested"))))  # type: ignore[arg-type]

        assert 2 == queue.queued
        assert [b"interrupted", b"nested"] == taken(queue)

    @pytest.mark.parametrize("then", ["put", "take"])
    def test_raising(self, then: str) -> None:
        """
        A put that a signal handler ended is settled by the next put, or by a take.
        """
        queue = queue_of(b"1", size=2)
        with pytest.raises(KeyboardInterrupt):
            queue.put(Interrupting(interrupt))  # type: ignore[arg-type]
        assert 2 == queue.queued
        if then == "put":
            queue.put(Event(1, b"3"))

        expected = [b"1", b"interrupted", b"3"]
        assert (expected[1:] if then == "put" else expected[:2]) == taken(queue)

    def test_raising_in_a_drop(self) -> None:
        """
        An event that was being dropped is counted, once, by the next put.
        """
        queue = queue_of()
        queue._gone.append(Event(1, b"1"))
        queue._settled, queue._settled_bytes = 1, 1
        queue.put(Event(1, b"2"))

        assert (1, 1) == (queue.queued, queue.dropped)


class TestAccounting:
    """Put = taken + dropped + queued."""

    @given(
        st.lists(
            st.one_of(
                st.integers(0, 12).map(lambda length: ("put", length)),
                st.integers(0, 4).map(lambda count: ("take", count)),
            )
        ),
        st.sampled_from(WHEN_FULL),
    )
    def test_against_a_list(self, steps: list[tuple[str, int]], when_full: str) -> None:
        """
        Whatever is put and taken, a plain list says what waits.
        """
        queue = queue_of(size=4, length=20, when_full=when_full)
        model: list[bytes] = []
        lost = 0
        for number, (step, argument) in enumerate(steps):
            if step == "take":
                expected, model = model[:argument], model[argument:]
                assert expected == taken(queue, argument)
                continue
            message = bytes([number % 256]) * argument
            queue.put(Event(number, message))
            model.append(message)
            while len(model) > 1 and not fits(model):
                refused = when_full == DROP_NEWEST or len(message) > 20
                del model[-1 if refused else 0]
                lost += 1
            assert (len(model), lost) == (queue.queued, queue.dropped)
        assert model == taken(queue)

    def test_threads(self) -> None:
        """
        Eight threads that put while one takes: every event is accounted for, each
        thread's in order.
        """
        queue = queue_of(size=200, length=2_000)
        count, found = 3_000, []
        over = threading.Event()

        def put(writer: int) -> None:
            for number in range(count):
                queue.put(Event(writer, b"%d" % number))

        def take() -> None:
            while not over.is_set() or queue.queued:
                found.extend(queue.take(at_most(50)))

        writers = [threading.Thread(target=put, args=(each,)) for each in range(8)]
        taker = threading.Thread(target=take)
        for thread in (*writers, taker):
            thread.start()
        for thread in writers:
            thread.join()
        over.set()
        taker.join()

        assert 8 * count == len(found) + queue.dropped
        for writer in range(8):
            numbers = [int(each.message) for each in found if each.timestamp == writer]
            assert sorted(set(numbers)) == numbers


def fits(waiting: list[bytes]) -> bool:
    """Whether the test's queue may hold *waiting*."""
    return len(waiting) <= 4 and sum(map(len, waiting)) <= 20


def test_after_fork() -> None:
    """
    A forked child has nothing of its parent's, though a thread held the lock.
    """
    queue = queue_of(b"1", b"2", size=1)
    threading.Thread(target=queue._lock.acquire).start()
    queue.after_fork()

    assert (0, 0) == (queue.queued, queue.dropped)
    queue.put(Event(1, b"child"))
    assert [b"child"] == taken(queue)
