"""
Batches keep within all of AWS's limits, whatever they are offered.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimera_log.cloudwatch.batch import Batch, Event, in_order, size_of
from chimera_log.cloudwatch.rules import MAX_BATCH_BYTES

NOW = 1_764_000_000_000
MINUTE = 60 * 1000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
LARGEST = 1_048_550


def batch_of(*events: Event, **options: Any) -> Batch:
    """Return a batch that was offered *events*."""
    batch = Batch(NOW, **{"max_event_bytes": LARGEST, **options})
    for event in events:
        batch.admit(event)
    return batch


class TestAdmit:
    def test_count(self) -> None:
        """
        A batch has at most 10,000 events.
        """
        batch = batch_of(*[Event(NOW, b"x")] * 10_001)
        assert (10_000, True) == (len(batch), batch.is_full)

    def test_bytes(self) -> None:
        """
        A batch has at most 1,048,576 bytes, 26 for each event besides its text.
        """
        exact = batch_of(
            Event(NOW, b"x" * (MAX_BATCH_BYTES - 26 - 27)), Event(NOW, b"y")
        )
        over = batch_of(
            Event(NOW, b"x" * (MAX_BATCH_BYTES - 26 - 26)), Event(NOW, b"y")
        )
        assert (2, 1) == (len(exact), len(over))

    @pytest.mark.parametrize(("apart", "expected"), [(DAY - 1, 2), (DAY, 1)])
    def test_span(self, apart: int, expected: int) -> None:
        """
        The events of a batch are less than 24 hours apart.
        """
        batch = batch_of(Event(NOW - apart, b"x"), Event(NOW, b"y"))
        assert expected == len(batch)

    def test_room_for_a_smaller_one(self) -> None:
        """
        Nothing overtakes what did not fit: the next batch begins with it.
        """
        batch = batch_of(Event(NOW, b"x" * 1_000_000))
        answers = [batch.admit(Event(NOW, b"y" * 100_000)), batch.is_full]
        assert [False, True] == answers

    @pytest.mark.parametrize(
        ("retention", "age", "expected"),
        [
            (None, 14 * DAY - 6 * MINUTE, 0),
            (None, 14 * DAY - 4 * MINUTE, 1),
            (1, DAY - 6 * MINUTE, 0),
            (1, DAY - 4 * MINUTE, 1),
            (3653, 15 * DAY, 1),
            (30, -(2 * HOUR - 6 * MINUTE), 0),
            (30, -(2 * HOUR - 4 * MINUTE), 1),
        ],
    )
    def test_window(self, retention: int | None, age: int, expected: int) -> None:
        """
        What AWS would leave out, since it is too old or too far ahead, is stamped
        with the present time and counted, some minutes before AWS would.
        """
        batch = batch_of(Event(NOW - age, b"x"), retention_in_days=retention)
        assert expected == batch.restamped
        assert (NOW if expected else NOW - age) == batch.events[0].timestamp

    def test_long(self) -> None:
        """
        A message that is too long is shortened and counted.
        """
        batch = batch_of(Event(NOW, b"x" * 5_000), max_event_bytes=2_000)
        assert (1, True) == (batch.shortened, len(batch.events[0].message) <= 2_000)

    def test_empty(self) -> None:
        """
        AWS takes no empty message; that something was logged is kept all the same.
        """
        assert [Event(NOW, b" ")] == batch_of(Event(NOW, b"")).events

    def test_refused_is_not_counted(self) -> None:
        """
        What did not fit is counted by the batch that takes it.
        """
        batch = batch_of(
            Event(NOW, b"x" * 1_000_000),
            Event(0, b"y" * 3_000_000),
            max_event_bytes=10**6,
        )
        assert (1, 0, 0) == (len(batch), batch.restamped, batch.shortened)

    @given(
        st.lists(
            st.tuples(
                st.integers(-20 * DAY, 5 * HOUR),
                st.binary(max_size=9) | st.sampled_from([10**5, 10**6, 3 * 10**6]),
            ),
            max_size=40,
        ),
        st.sampled_from([None, 1, 30]),
    )
    def test_limits(
        self, offered: list[tuple[int, Any]], retention: int | None
    ) -> None:
        """
        Whatever is logged, and in whatever order, AWS's limits hold for every
        batch, and nothing is left behind.
        """
        events = [
            Event(NOW + ahead, b"x" * each if isinstance(each, int) else each)
            for ahead, each in offered
        ]
        kept = DAY * min(retention or 14, 14)
        while events:
            batch = Batch(NOW, max_event_bytes=LARGEST, retention_in_days=retention)
            taken = 0
            while taken < len(events) and batch.admit(events[taken]):
                taken += 1
            assert taken > 0
            del events[:taken]
            sent = in_order(batch.events)
            times = [event.timestamp for event in sent]
            assert times == sorted(times)
            assert times[-1] - times[0] < DAY
            assert NOW - kept < times[0]
            assert times[-1] < NOW + 2 * HOUR
            assert all(0 < len(event.message) <= LARGEST for event in sent)
            assert sum(map(size_of, sent)) <= MAX_BATCH_BYTES


class TestInOrder:
    @given(st.lists(st.integers(0, 5)))
    def test_stable(self, times: list[int]) -> None:
        """
        Events are in order of time; those of one millisecond stay as they came.
        """
        events = [Event(time, b"%d" % number) for number, time in enumerate(times)]
        ordered = in_order(events)
        numbers = [(event.timestamp, int(event.message)) for event in ordered]
        assert sorted(numbers) == numbers
