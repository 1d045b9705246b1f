"""
A delivery brings a queue to its stream, whatever fails on the way.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimera_log.aws.retry import (
    ABSENT,
    MISSING,
    OUTAGE,
    REFUSED,
    TRANSIENT,
    Backoff,
)
from chimera_log.cloudwatch.batch import Event
from chimera_log.cloudwatch.delivery import Delivery, Pace
from chimera_log.cloudwatch.memory import DROP_OLDEST, Bounds, MemoryQueue
from chimera_log.cloudwatch.place import Target
from tests.aws import Logs

if TYPE_CHECKING:
    from chimera_log.cloudwatch.delivery import Statistics

NOW_MS = 1_764_000_000_000
HOUR_MS = 60 * 60 * 1000


class Sent:
    """A `Delivery` to `Logs`, and the time that passes for it."""

    def __init__(
        self,
        logs: Logs | None = None,
        *,
        retention_in_days: int | None = 30,
        max_queue_size: int = 1_000,
        extras: dict[str, Any] | None = None,
        is_new: bool = True,
        **pace: Any,
    ) -> None:
        self.logs = logs or Logs()
        self.now = 0.0
        self.woken = 0
        self.told: list[tuple[str, str]] = []
        self.queue = MemoryQueue(
            Bounds(max_queue_size, 10**9, DROP_OLDEST), lambda _: None
        )
        self.delivery = Delivery(
            self.logs,  # type: ignore[arg-type]
            self.queue,
            Target("Chimera", "stream", retention_in_days, extras or {}),
            Pace(100, 5.0, 1_000_000)._replace(**pace),
            tell=lambda *told: self.told.append(told),
            wake=self._wake,
            announce=lambda *event: self.put(json.dumps(event).encode()),
            clock=lambda: NOW_MS / 1000 + self.now,
            is_new=is_new,
        )
        self.delivery.backoff = Backoff(lambda: 1.0)  # the longest wait

    def put(self, *messages: bytes, timestamp: int = NOW_MS) -> None:
        """Have *messages* delivered."""
        for message in messages:
            self.queue.put(Event(timestamp, message))
            if self.delivery.listens:
                self.delivery.expect()

    def run(self, seconds: float = 0.0) -> float | None:
        """Let time pass, and make the steps that are due; return the last answer."""
        end = self.now + seconds
        while True:
            pause = self.delivery.step(self.now)
            if pause is None or self.now + pause > end:
                self.now = end
                return pause
            self.now += pause

    def statistics(self) -> Statistics:
        """Return the figures, which must add up."""
        found = self.delivery.statistics(self.now)
        rest = found.dropped + found.rejected + found.queued + found.spooled
        assert found.enqueued == found.sent + rest
        return found

    def _wake(self) -> None:
        self.woken += 1


class TestDue:
    def test_age(self) -> None:
        """
        A lone event leaves after five seconds, not before.
        """
        sent = Sent()
        sent.put(b"one")
        sent.run(4.9)
        early = sent.logs.messages
        sent.run(0.2)
        assert ([], [b"one"]) == (early, sent.logs.messages)

    def test_count(self) -> None:
        """
        A hundred events leave at once.
        """
        sent = Sent()
        sent.put(*[b"event"] * 100)
        sent.run()
        assert 100 == len(sent.logs.messages)

    def test_count_is_no_cap(self) -> None:
        """
        What has piled up goes in one request, however many make a batch due.
        """
        sent = Sent(max_queue_size=20_000)
        sent.put(*[b"event"] * 10_001)
        sent.run()
        assert [10_000, 1] == [len(batch) for batch in sent.logs.batches]

    def test_hurry(self) -> None:
        """
        When somebody waits, nothing waits for company.
        """
        sent = Sent()
        sent.put(b"one")
        sent.delivery.hurry(0.0, 5.0)
        sent.run()
        assert [b"one"] == sent.logs.messages

    def test_prepared_at_once(self) -> None:
        """
        The group and the stream are made with the first event, before it is due:
        what is older than its group is not found by queries.
        """
        sent = Sent()
        sent.put(b"one")
        sent.run()
        calls = ["create_stream", "create_group", "create_stream", "keep_for"]
        assert (calls, {"Chimera": {"days": 30}}) == (sent.logs.calls, sent.logs.groups)


class TestWake:
    def test_first(self) -> None:
        """
        The first event wakes the thread; the next does not.
        """
        sent = Sent()
        sent.put(b"one", b"two")
        assert 1 == sent.woken

    def test_enough(self) -> None:
        """
        While a batch gathers, the event that completes it wakes the thread.
        """
        sent = Sent()
        sent.put(b"one")
        sent.run()
        sent.put(*[b"event"] * 98)
        before = sent.woken
        sent.put(b"last")
        assert (1, 2) == (before, sent.woken)

    def test_waiting_for_aws(self) -> None:
        """
        While AWS is away, no event wakes the thread before its time.
        """
        sent = Sent()
        sent.logs.fail(OUTAGE, 9)
        sent.put(b"one")
        sent.run()
        sent.put(*[b"event"] * 500)
        assert 1 == sent.woken

    def test_after_all_was_sent(self) -> None:
        """
        When all is delivered, the next event wakes the thread again.
        """
        sent = Sent()
        sent.put(b"one")
        sent.run(10)
        sent.put(b"two")
        assert 2 == sent.woken


class TestFailure:
    @pytest.mark.parametrize("kind", [TRANSIENT, OUTAGE, REFUSED])
    def test_kept(self, kind: str) -> None:
        """
        Whatever fails, and however often, what was to be sent is sent in the end,
        once and in order.
        """
        sent = Sent()
        sent.put(b"one", b"two")
        sent.run(5)
        sent.logs.fail(kind, 8, call="put")
        sent.put(b"three", b"four")
        sent.run(600)
        assert [b"one", b"two", b"three", b"four"] == sent.logs.messages
        assert (4, 8) == (sent.statistics().sent, sent.statistics().retried)

    def test_stream_refused(self) -> None:
        """
        Who may not make a stream may write to one that somebody made.
        """
        sent = Sent()
        sent.logs.groups["Chimera"] = {}
        sent.logs.streams["Chimera", "stream"] = []
        sent.logs.fail(REFUSED, call="create_stream")
        sent.put(b"one")
        sent.run(5)
        assert [b"one"] == sent.logs.messages

    def test_extras_refused(self) -> None:
        """
        A group that may not have tags is made without, and told.
        """
        sent = Sent(extras={"tags": {"team": "trading"}})
        sent.logs.fail(MISSING, call="create_stream")
        sent.logs.fail(REFUSED, call="create_group")
        sent.put(b"one")
        sent.run(5)
        assert ({"days": 30}, ["group"]) == (
            sent.logs.groups["Chimera"],
            [kind for kind, _ in sent.told],
        )

    def test_group_refused(self) -> None:
        """
        Without a group nothing can be sent: it is kept, and told.
        """
        sent = Sent()
        sent.logs.fail(MISSING, call="create_stream")
        sent.logs.fail(REFUSED, call="create_group")
        sent.put(b"one")
        sent.run(4)
        early = sent.statistics().queued
        sent.run(5)
        assert (1, [b"one"]) == (early, sent.logs.messages)

    @pytest.mark.parametrize("kind", [OUTAGE, REFUSED])
    def test_retention_refused(self, kind: str) -> None:
        """
        A retention that cannot be set is told, and holds up nothing.
        """
        sent = Sent()
        sent.logs.fail(kind, call="keep_for")
        sent.put(b"one")
        sent.run(5)
        sent.run(500)
        assert ([b"one"], ["retention"], 1) == (
            sent.logs.messages,
            [kind for kind, _ in sent.told],
            sent.logs.calls.count("keep_for"),
        )

    def test_retention_later(self) -> None:
        """
        A retention that could not be set just now is set with a later event.
        """
        sent = Sent()
        sent.logs.fail(TRANSIENT, call="keep_for")
        sent.put(b"one")
        sent.run(100)
        before = dict(sent.logs.groups["Chimera"])
        sent.put(b"two")
        sent.run()
        assert ({}, {"days": 30}) == (before, sent.logs.groups["Chimera"])

    def test_no_retention(self) -> None:
        """
        Without a retention of ours, the group's own is left alone.
        """
        sent = Sent(retention_in_days=None)
        sent.put(b"one")
        sent.run(5)
        assert 0 == sent.logs.calls.count("keep_for")

    def test_retention_of_another(self) -> None:
        """
        For what a dead process left, a group that is there is left as it is.
        """
        sent = Sent(is_new=False)
        sent.logs.groups["Chimera"] = {}
        sent.put(b"one")
        sent.run(5)
        assert 0 == sent.logs.calls.count("keep_for")

    def test_removed(self) -> None:
        """
        A group that somebody removed is made again, with its retention, and
        nothing is lost.
        """
        sent = Sent()
        sent.put(b"one")
        sent.run(5)
        sent.logs.groups.clear()
        sent.logs.streams.clear()
        sent.put(b"two")
        sent.run(10)
        assert [b"one", b"two"] == sent.logs.messages
        assert {"days": 30} == sent.logs.groups["Chimera"]

    def test_never_there(self) -> None:
        """
        A stream that is never there, though AWS made it, is not asked for without
        a pause.
        """
        sent = Sent()
        sent.logs.fail(MISSING, 99, call="put")
        sent.put(b"one")
        sent.run(60)
        assert 20 > sent.logs.calls.count("put")

    def test_hiccup(self) -> None:
        """
        One failure that mends itself is not worth a line on stderr; two are.
        """
        sent = Sent()
        sent.logs.fail(TRANSIENT)
        sent.put(b"one")
        sent.run(5)
        before = sent.told[:]
        sent.logs.fail(TRANSIENT, 2)
        sent.put(b"two")
        sent.run(60)
        assert ([], ["deliver"]) == (before, [kind for kind, _ in sent.told])

    def test_no_boto3(self) -> None:
        """
        Without boto3, nothing is kept that could never be sent; all is counted.
        """
        sent = Sent()
        sent.logs.fail(ABSENT, 999)
        sent.put(*[b"event"] * 50)
        sent.run(1)
        sent.put(*[b"event"] * 50)
        assert (99, 1) == (sent.statistics().dropped, sent.statistics().queued)


class TestPoison:
    @given(st.sets(st.integers(0, 99), max_size=3), st.integers(1, 100))
    def test_only_culprits(self, poisoned: set[int], count: int) -> None:
        """
        Events that AWS does not take are given up and counted; their neighbours
        are delivered, once.
        """
        culprits = {b"%d" % number for number in poisoned}
        sent = Sent(Logs(lambda event: event.message in culprits))
        messages = [b"%d" % number for number in range(count)]
        good = [message for message in messages if message not in culprits]
        if len(good) == 0 and count > 1:
            return  # it looks as if the fault were elsewhere: the next test
        sent.put(*messages)
        sent.run(3_600)
        assert (good, count - len(good)) == (
            sent.logs.messages,
            sent.statistics().rejected,
        )

    def test_everything(self) -> None:
        """
        When AWS takes none of many events, it is not their fault: they are kept.
        """
        sent = Sent(Logs(lambda _: True))
        sent.put(*[b"%d" % number for number in range(100)])
        sent.run(60)
        assert (0, 100) == (sent.statistics().rejected, sent.statistics().queued)

    def test_the_very_first(self) -> None:
        """
        A lone event that is refused before AWS took any is tried for some time: the
        fault may be elsewhere, and mended.
        """
        sent = Sent(Logs(lambda _: sent.now < 30))
        sent.put(b"one")
        sent.run(60)
        assert [b"one"] == sent.logs.messages

    def test_the_very_first_in_vain(self) -> None:
        """
        But not for ever: what comes after it has to be delivered.
        """
        sent = Sent(Logs(lambda event: event.message == b"one"))
        sent.put(b"one")
        sent.run(300)
        sent.put(b"two")
        sent.run(60)
        assert ([b"two"], 1) == (sent.logs.messages, sent.statistics().rejected)

    def test_fault_amid_search(self) -> None:
        """
        A failure while culprits are looked for changes nothing.
        """
        logs = Logs(lambda event: event.message == b"3")
        sent = Sent(logs)
        messages = [b"%d" % number for number in range(10)]
        sent.put(*messages)
        sent.run()
        logs.fail(TRANSIENT, 2, call="put")
        sent.run(100)
        assert [each for each in messages if each != b"3"] == logs.messages
        assert 1 == sent.statistics().rejected


class TestLeftOut:
    def test_stamped_anew(self) -> None:
        """
        What AWS leaves out, since its clock is another, is sent again with the
        present time.
        """
        sent = Sent()
        sent.logs.ignored = lambda event: event.timestamp < NOW_MS - HOUR_MS
        sent.put(b"old", timestamp=NOW_MS - 2 * HOUR_MS)
        sent.put(b"new")
        sent.run(5)
        assert [b"new", b"old"] == sent.logs.messages
        assert (2, 1) == (sent.statistics().sent, sent.statistics().restamped)

    def test_refused_again(self) -> None:
        """
        What AWS leaves out twice is given up and counted.
        """
        sent = Sent()
        sent.logs.ignored = lambda event: event.message == b"never"
        sent.put(b"never", b"good")
        sent.run(5)
        assert [b"good"] == sent.logs.messages
        assert (1, 1) == (sent.statistics().sent, sent.statistics().rejected)
        assert "never" in sent.told[0][1]


class TestDrops:
    def test_told_in_the_stream(self) -> None:
        """
        After an outage, the stream itself says how much is missing, and why.
        """
        sent = Sent(max_queue_size=10)
        sent.logs.fail(OUTAGE, call="create_stream")
        sent.put(b"first")
        sent.run()
        sent.put(*[b"event"] * 30)
        sent.run(60)
        event, context = json.loads(sent.logs.messages[-1])
        assert ("cloudwatch_records_dropped", 21) == (event, context["dropped"])
        assert "a outage failure" == context["reason"]
        assert "2025-11-24T16:00:00Z" == context["first"]

    def test_told_once(self) -> None:
        """
        What was told is not told again.
        """
        sent = Sent(max_queue_size=10)
        sent.put(*[b"event"] * 30)
        sent.run(60)
        sent.put(b"more")
        sent.run(60)
        assert 12 == len(sent.logs.messages)


class TestUse:
    def test_pace(self) -> None:
        """
        A new pace holds from now on.
        """
        sent = Sent()
        sent.delivery.use(Pace(1, 5.0, 1_000_000), 30)
        sent.put(b"one")
        sent.run()
        assert ([b"one"], 1) == (sent.logs.messages, sent.logs.calls.count("keep_for"))

    def test_retention(self) -> None:
        """
        So does a new retention; it is set with the next event.
        """
        sent = Sent()
        sent.put(b"one")
        sent.run(5)
        sent.delivery.use(Pace(1, 5.0, 1_000_000), 1096)
        sent.put(b"two")
        sent.run()
        assert {"days": 1096} == sent.logs.groups["Chimera"]

    def test_retention_without_group(self) -> None:
        """
        Where the group is gone, it is set when the group is made again.
        """
        sent = Sent()
        sent.put(b"one")
        sent.run(5)
        sent.logs.groups.clear()
        sent.logs.streams.clear()
        sent.delivery.use(Pace(1, 5.0, 1_000_000), 1096)
        sent.put(b"two")
        sent.run(60)
        assert {"days": 1096} == sent.logs.groups["Chimera"]
        assert [] == sent.told


class TestNothingToTake:
    def test_damaged(self) -> None:
        """
        What cannot be read is counted by its queue, and no empty batch is sent.
        """
        sent = Sent()

        class Damaged:
            """A queue that has something, and cannot give it."""

            queued, spooled, accepted, dropped = 0, 1, 1, 0

            def take(self, _: object) -> None:
                """Find that it is damaged."""
                self.spooled, self.dropped = 0, 1

            def forget(self) -> None:
                """Know that it is done."""

        sent.delivery.queue = Damaged()  # type: ignore[assignment]
        sent.run(5)
        assert ([], 1) == (sent.logs.batches, sent.statistics().dropped)


class TestStatistics:
    @given(st.data())
    def test_adds_up(self, data: st.DataObject) -> None:
        """
        Whatever happens, and in whatever order, what was put was sent, dropped or
        rejected, or waits.
        """
        sent = Sent(
            Logs(lambda event: event.message.startswith(b"bad")), max_queue_size=20
        )
        count = 0
        for _ in range(data.draw(st.integers(0, 15))):
            kind = data.draw(st.sampled_from(["put", "bad", "fail", "run", "gone"]))
            if kind == "put":
                number = data.draw(st.integers(1, 30))
                sent.put(*[b"%d" % (count + each) for each in range(number)])
                count += number
            elif kind == "bad":
                sent.put(b"bad")
                count += 1
            elif kind == "fail":
                kind = data.draw(st.sampled_from([TRANSIENT, OUTAGE, REFUSED, MISSING]))
                sent.logs.fail(kind, data.draw(st.integers(1, 4)))
            elif kind == "gone":
                sent.logs.streams.clear()
                sent.logs.groups.clear()
            else:
                sent.run(data.draw(st.floats(0, 100)))
            found = sent.statistics()
            told = sum(b"records_dropped" in each for each in sent.logs.messages)
            assert count <= found.enqueued <= count + told + 1
        good = [each for each in sent.logs.messages if each.isdigit()]
        assert sorted(good, key=int) == good
        assert len({*good}) == len(good)
