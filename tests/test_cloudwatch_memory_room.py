"""
Events that wait in memory where there is ample room: they are let in together.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from chimera_log.cloudwatch.batch import Event
from chimera_log.cloudwatch.memory import DROP_OLDEST, Bounds, MemoryQueue

if TYPE_CHECKING:
    from collections.abc import Callable

AMPLE = Bounds(100_000, 64_000_000, DROP_OLDEST)


def queue_of(
    count: int,
    bounds: Bounds = AMPLE,
    on_loss: Callable[[int], object] = lambda _: None,
) -> MemoryQueue:
    """Return a queue to which *count* numbered events were put."""
    queue = MemoryQueue(bounds, on_loss)
    for number in range(count):
        queue.put(Event(number, b"x"))
    return queue


def taken(queue: MemoryQueue) -> list[int]:
    """Take all events, and return their numbers."""
    return [event.timestamp for event in queue.take(lambda _: True)]


class TestTogether:
    def test_counted_at_once(self) -> None:
        """
        What was put is counted, and can be taken, though it was not let in yet.
        """
        queue = queue_of(5)
        assert (5, 5, 0) == (queue.accepted, queue.queued, queue.dropped)
        assert list(range(5)) == taken(queue)
        assert 0 == queue.queued

    def test_order(self) -> None:
        """
        Those let in earlier come before those that were put later.
        """
        assert list(range(1_000)) == taken(queue_of(1_000))

    def test_large(self) -> None:
        """
        Large events are let in one by one: they may be more than there is room for.
        """
        queue = MemoryQueue(Bounds(100_000, 5_000_000, DROP_OLDEST), lambda _: None)
        for number in range(10):
            queue.put(Event(number, b"x" * 1_000_000))
        assert (5, 5) == (queue.queued, queue.dropped)
        assert [5, 6, 7, 8, 9] == taken(queue)


class TestNarrowed:
    def test_put(self) -> None:
        """
        New bounds hold from the next put on, also for what was put before.
        """
        queue = queue_of(5)
        queue.bounds = AMPLE._replace(max_queue_size=2)
        queue.put(Event(5, b"x"))
        assert (2, 4) == (queue.queued, queue.dropped)
        assert [4, 5] == taken(queue)

    def test_take(self) -> None:
        """
        They hold for what a take lets in, and its losses are told.
        """
        told: list[int] = []
        queue = queue_of(5, on_loss=told.append)
        queue.bounds = AMPLE._replace(max_queue_size=2)
        assert [3, 4] == taken(queue)
        assert [3] == told


@given(st.lists(st.integers(-700, 700), max_size=12), st.integers(1_000, 1_200))
def test_against_a_list(steps: list[int], size: int) -> None:
    """
    Whether there is ample room or none, never more waits than may, nothing is lost
    before that, and a plain list says what is left.
    """
    queue = MemoryQueue(Bounds(size, 10**9, DROP_OLDEST), lambda _: None)
    model: list[int] = []
    lost = number = 0
    for step in steps:
        if step < 0:  # take so many
            left = iter(range(-step))
            events = queue.take(lambda _, left=left: next(left, None) is not None)  # type: ignore[misc]
            assert model[:-step] == [event.timestamp for event in events]
            model = model[-step:]
        for _ in range(step):
            queue.put(Event(number, b"x"))
            model.append(number)
            number += 1
        lost += max(len(model) - size, 0)
        model = model[-size:]
        assert (len(model), lost) == (queue.queued, queue.dropped)
        assert number == queue.accepted
    assert model == taken(queue)


class TestEmptied:
    """What somebody else takes away in the very moment."""

    class Emptied(deque):  # type: ignore[type-arg]
        """A queue that was not empty when it was looked at."""

        def __bool__(self) -> bool:
            return True

    def test_taken(self) -> None:
        """
        An event that was taken meanwhile is not dropped as well.
        """
        queue = MemoryQueue(Bounds(1, 10**9, DROP_OLDEST), lambda _: None)
        queue._drop_first()

        assert 0 == queue.dropped

    def test_dropped(self) -> None:
        """
        Nor is one that was dropped meanwhile taken.
        """
        queue = MemoryQueue(Bounds(1, 10**9, DROP_OLDEST), lambda _: None)
        queue._queue = self.Emptied()
        events: list[Event] = []
        queue._take_into(events, lambda _: True)

        assert [] == events
