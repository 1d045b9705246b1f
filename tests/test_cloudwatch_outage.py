"""
Ten minutes without AWS, which pass in a moment: the clock is passed in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from chimera_log.aws.retry import OUTAGE, TRANSIENT
from chimera_log.aws.session import CallFailed
from chimera_log.cloudwatch.batch import Event, size_of
from chimera_log.cloudwatch.delivery import Delivery, Pace
from chimera_log.cloudwatch.memory import DROP_OLDEST, Bounds, MemoryQueue
from chimera_log.cloudwatch.place import Target
from chimera_log.cloudwatch.rules import MAX_BATCH_BYTES
from chimera_log.cloudwatch.spool import Spool
from tests.aws import Logs

if TYPE_CHECKING:
    from pathlib import Path

    from chimera_log.cloudwatch.delivery import Statistics

NOW_MS = 1_764_000_000_000
TEN_MINUTES = 600
BATCH = 100
# As many records as are logged meanwhile may wait in memory.
SECONDS_IN_MEMORY = 20
RATES = pytest.mark.parametrize(
    "rate", [100, pytest.param(1_000, marks=pytest.mark.long)], scope="module"
)


class Unreachable(Logs):
    """`Logs` that may be away."""

    away: str | None = None  # and what that means

    def _called(self, name: str) -> None:
        super()._called(name)
        if self.away is not None:
            raise CallFailed(self.away, "nobody there")


class Service:
    """
    What logs, and its way to `Unreachable`.

    Args:
        rate: Records a second.
        folder: The spool's; ``None``: records wait in memory.
    """

    def __init__(self, rate: int, folder: Path | None = None) -> None:
        self.logs = Unreachable()
        self.now = 0.0
        self.logged = 0
        self.most_in_memory = 0
        self.announced: list[dict[str, Any]] = []
        self.troubles: list[tuple[str, str]] = []
        self._rate = rate
        bounds = Bounds(SECONDS_IN_MEMORY * rate, 10**9, DROP_OLDEST)
        memory = MemoryQueue(bounds, lambda _: None)
        self.queue: MemoryQueue | Spool = memory
        if folder is not None:
            self.queue = Spool(
                str(folder),
                {},
                max_spool_bytes=10**9,
                memory=memory,
                on_trouble=lambda *trouble: self.troubles.append(trouble),
                clock=lambda: self.now,
            )
        self._delivery = Delivery(
            self.logs,  # type: ignore[arg-type]
            self.queue,
            Target("Chimera", "stream", None, {}),
            Pace(BATCH, 5.0, 1_000_000),
            tell=lambda *_: None,
            wake=lambda: None,
            announce=lambda _, context: self.announced.append(context),
            clock=self._time,
        )

    def log_for(self, seconds: int) -> None:
        """Log, and make the steps that are due, second by second."""
        for _ in range(seconds):
            for _ in range(self._rate):
                self.queue.put(
                    Event(round(self._time() * 1000), b"%200d" % self.logged)
                )
                if self._delivery.listens:
                    self._delivery.expect()
                self.logged += 1
            self.pass_time(1.0)

    def pass_time(self, seconds: float) -> None:
        """Let time pass, then make the steps that are due: those that wait for none."""
        self.now += seconds
        while self._delivery.step(self.now) == 0:
            pass
        self.most_in_memory = max(self.most_in_memory, self.statistics().queued)

    def statistics(self) -> Statistics:
        """Return the figures, which must add up."""
        found = self._delivery.statistics(self.now)
        rest = found.dropped + found.rejected + found.queued + found.spooled
        assert found.enqueued == self.logged == found.sent + rest
        return found

    def _time(self) -> float:
        return NOW_MS / 1000 + self.now


class Outage(NamedTuple):
    """What became of ten minutes without AWS."""

    service: Service
    calls: int  # while AWS was away
    before: int  # records that had arrived by then
    requests: list[list[Event]]  # those that went out at once at the next try


def outage(service: Service, kind: str) -> Outage:
    """Let all be well for a while, nothing work for ten minutes, and all be well."""
    service.log_for(10)
    before = service.statistics().sent
    logs = service.logs
    logs.calls.clear()
    logs.away = kind
    service.log_for(TEN_MINUTES)
    calls, delivered = len(logs.calls), len(logs.batches)
    logs.away = None
    service.pass_time(60.0)
    return Outage(service, calls, before, logs.batches[delivered:])


@pytest.fixture(name="spooled", scope="module", params=[TRANSIENT, OUTAGE])
def _spooled(
    request: pytest.FixtureRequest, rate: int, tmp_path_factory: pytest.TempPathFactory
) -> Outage:
    """Return what became of records that waited in a spool."""
    service = Service(rate, tmp_path_factory.mktemp("spool"))
    found = outage(service, request.param)
    service.queue.close()
    return found


@pytest.fixture(name="remembered", scope="module", params=[TRANSIENT, OUTAGE])
def _remembered(request: pytest.FixtureRequest, rate: int) -> Outage:
    """Return what became of records that waited in memory."""
    return outage(Service(rate), request.param)


@RATES
class TestSpool:
    def test_nothing_is_lost(self, spooled: Outage) -> None:
        """
        All that was logged arrives, in order, and nothing twice.
        """
        service = spooled.service
        arrived = [int(each) for each in service.logs.messages]
        assert list(range(service.logged)) == arrived
        assert [] == service.troubles

    def test_memory(self, spooled: Outage, rate: int) -> None:
        """
        In memory waits no more than the batch that is tried.
        """
        assert spooled.service.most_in_memory <= max(BATCH, rate)

    def test_full_requests(self, spooled: Outage) -> None:
        """
        What waited goes out in as few requests as hold it, one right after the other.
        """
        sizes = [sum(map(size_of, batch)) for batch in spooled.requests[1:]]
        assert max(sizes) > MAX_BATCH_BYTES - 1_000
        assert len(sizes) == -(-sum(sizes) // max(sizes))

    def test_patience(self, spooled: Outage) -> None:
        """
        AWS is tried a few times a minute, however much waits.
        """
        assert TEN_MINUTES / 60 <= spooled.calls <= TEN_MINUTES / 10


@RATES
class TestMemory:
    def test_newest_are_kept(self, remembered: Outage, rate: int) -> None:
        """
        As many of the newest arrive as may wait, and the rest is counted.
        """
        logged, room = remembered.service.logged, SECONDS_IN_MEMORY * rate
        kept = [int(event.message) for batch in remembered.requests for event in batch]
        assert list(range(logged - room, logged)) == kept[-room:]
        missing = logged - remembered.before - len(kept)
        assert missing == remembered.service.statistics().dropped

    def test_bounded(self, remembered: Outage, rate: int) -> None:
        """
        Never more waits than may, and the batch that is tried.
        """
        most = SECONDS_IN_MEMORY * rate + max(BATCH, rate)
        assert remembered.service.most_in_memory <= most

    def test_announced(self, remembered: Outage) -> None:
        """
        The stream itself is told, once, how many are missing, and since when.
        """
        (context,) = remembered.service.announced
        assert remembered.service.statistics().dropped == context["dropped"]
        assert "2025-11-24T16:00:10Z" == context["first"]
