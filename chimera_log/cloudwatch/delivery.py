"""
One destination, and what is on its way there.

A `Delivery` has the queue of a group and a stream, and brings it there, step by
step: each `step` makes at most one call to AWS and answers when it wants to be
called again.  It is told the time, and has no thread: `sender` has.

What was taken from the queue stays here until AWS said yes, whatever fails and
however long; only an event that AWS calls invalid, though it takes its neighbours,
is given up, counted and reported.
"""

from __future__ import annotations

import time
from collections import namedtuple

from chimera_log.aws.retry import (
    ABSENT,
    INVALID,
    MISSING,
    OUTAGE,
    TRANSIENT,
    UNABLE,
    Backoff,
)
from chimera_log.aws.session import CallFailed
from chimera_log.cloudwatch.batch import Batch, Event, size_of
from chimera_log.cloudwatch.memory import MemoryQueue
from chimera_log.cloudwatch.place import Place
from chimera_log.cloudwatch.poison import Bisection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from chimera_log.cloudwatch.client import Client
    from chimera_log.cloudwatch.place import Target
    from chimera_log.cloudwatch.spool import Spool
    from chimera_log.cloudwatch.spool_backlog import Backlog

_NEVER = float("inf")
_PATIENCE = 5  # refusals of one event until it is given up, where all were refused
# When, and how much.
Pace = namedtuple("Pace", ["max_batch_count", "flush_interval", "max_event_bytes"])

# What became of the records since this process began.  At any time when nobody
# logs, enqueued = sent + dropped + rejected + queued + spooled.
Statistics = namedtuple(
    "Statistics",
    [
        "enqueued",  # records that were to be delivered; also a dead process's
        "sent",  # those that AWS took
        "dropped",  # those for which there was no room
        "rejected",  # those that AWS does not take, alone of their batch
        "queued",  # those in memory, and those being sent
        "spooled",  # those on disk, waiting to be sent
        "restamped",  # those sent with another time than their own
        "shortened",  # those that were longer than AWS takes
        "batches",  # calls that delivered something
        "bytes",  # of these, as AWS counts and bills them
        "retried",  # calls that had to be made again
        "last_error",  # or None
        "last_success",  # seconds since then; None: there was none yet
    ],
)


# Those of them that are counts, and can be added up.
COUNTS = Statistics._fields[: Statistics._fields.index("last_error")]
NOTHING = Statistics(**dict.fromkeys(COUNTS, 0), last_error=None, last_success=None)


class Delivery:
    """
    Bring the events of *queue* to *target*.

    `expect` is called by any thread, after each event that was put into the queue
    while `listens` is true; `use`, `hurry` and `statistics` by any thread; `step` by
    one at a time.

    Args:
        client: Makes the calls.
        queue: What is to be delivered, in order.
        target: Where it goes.
        pace: When a batch is due.
        tell: Told the kind of trouble and, in words, what it is.
        wake: Called when `step` has something to do sooner than it said.
        announce: Told the name and the context of an event that belongs into the
            stream as well.
        clock: Seconds since the epoch.
        is_new: Whether the group's retention is ours to set, even if the group
            was there before.
    """

    def __init__(
        self,
        client: Client,
        queue: MemoryQueue | Spool | Backlog,
        target: Target,
        pace: Pace,
        *,
        tell: Callable[[str, str], object],
        wake: Callable[[], object],
        announce: Callable[[str, dict[str, Any]], object],
        clock: Callable[[], float] = time.time,
        is_new: bool = True,
    ) -> None:
        self.queue = queue
        self._target = target
        self._pace = pace
        self.backoff = Backoff()
        self._client = client
        self._tell = tell
        self._wake = wake
        self._announce = announce
        self._clock = clock
        self._place = Place(client, target, tell, is_new=is_new)
        self._batch: list[Event] = []
        self._search: Bisection | None = None
        self._left_out: list[Event] = []
        self._is_second_try = False
        self._due_at: float | None = None
        self._hurried_until = float("-inf")
        self.listens = True  # whether `expect` is to be called
        self._put = 0  # since it listens; a hint: threads may lose counts
        self._wake_at: float = 1
        self._counts = dict.fromkeys(COUNTS, 0)
        self._last_error: str | None = None
        self._failure: str | None = None  # what kind it was, until it is mended
        self._succeeded_at: float | None = None
        self._known_drops = 0
        self._dropped_from = clock()

    @property
    def waiting(self) -> int:
        """How many events are not delivered yet."""
        return self.queue.queued + self.queue.spooled + len(self._batch)

    def use(self, pace: Pace, retention_in_days: int | None) -> None:
        """Behave so from now on."""
        self._pace = pace
        if retention_in_days != self._target.retention_in_days:
            self._target = self._target._replace(retention_in_days=retention_in_days)
            self._place.keep_for(retention_in_days)

    @property
    def is_hopeless(self) -> bool:
        """Whether the last try failed for want of what only an operator can give."""
        return self._failure in {UNABLE, ABSENT}

    def expect(self) -> None:
        """Know that an event was put into the queue."""
        self._put += 1
        if self._put >= self._wake_at:
            self.listens = False
            self._wake()

    def hurry(self, now: float, until: float) -> None:
        """Have what waits delivered now: somebody waits for it, until *until*."""
        if now >= self._hurried_until:
            self._failure = None
        self._hurried_until = until
        self.backoff.hurry(now, until)

    def step(self, now: float) -> float | None:
        """
        Do the next thing there is to do, with one call to AWS at most.

        Args:
            now: Seconds that never go back.

        Returns:
            Seconds until the next step; 0: at once; ``None``: nothing waits.
        """
        self.listens = False  # whoever puts an event need not wake us
        try:
            pause = self._step(now)
        except CallFailed as failure:
            self._fail(now, failure)
            return 0
        if pause == 0:
            return 0
        # In this order: whoever puts an event after this wakes us, and what was put
        # before is seen.
        self._put = 0
        self._wake_at = _NEVER
        self.listens = True
        if pause is None:
            self._wake_at = 1
            return 0 if self.waiting else None
        if not self.backoff.wait(now):
            self._wake_at = self._pace.max_batch_count - self._in_queue
            return 0 if self._wake_at <= 0 else pause
        return pause

    def statistics(self, now: float) -> Statistics:
        """Return what became of the events; *now* as for `step`."""
        queue, since = self.queue, self._succeeded_at
        counts: dict[str, Any] = dict(self._counts)
        counts["enqueued"] = queue.accepted
        counts["dropped"] = queue.dropped
        counts["queued"] = queue.queued + len(self._batch)
        counts["spooled"] = queue.spooled
        last_success = None if since is None else now - since
        return Statistics(
            **counts, last_error=self._last_error, last_success=last_success
        )

    @property
    def _in_queue(self) -> int:
        return self.queue.queued + self.queue.spooled

    def _step(self, now: float) -> float | None:
        if not self.waiting:
            self._due_at = None
            return None
        if self._due_at is None:
            self._due_at = now + self._pace.flush_interval
        wait = self.backoff.wait(now)
        if wait:
            return wait
        if not self._place.is_ready(now):
            self._place.prepare(now)
        elif self._batch or self._is_due(now):
            self._send(now)
        else:
            return self._due_at - now
        return 0

    def _is_due(self, now: float) -> bool:
        return (
            now >= (self._due_at or now)
            or now < self._hurried_until
            or self._in_queue >= self._pace.max_batch_count
        )

    def _send(self, now: float) -> None:
        if not self._batch and not self._take(now):
            return
        part = (self._search and self._search.next()) or self._batch
        try:
            left_out = self._client.put(self._target.group, self._target.stream, part)
        except CallFailed as failure:
            if failure.kind != INVALID:
                raise
            self._refuse(failure)
        else:
            self._succeeded_at = now
            self._failure = None
            self.backoff.succeeded()
            self._counts["batches"] += 1
            self._counts["bytes"] += sum(map(size_of, part))
            self._counts["sent"] += len(part) - len(left_out)
            self._left_out += left_out
            if self._search:
                self._search.accepted()
        if not self._search or self._search.next() is None:
            self._finish_batch()

    def _take(self, now: float) -> bool:
        """Take what goes out next; whether there is anything."""
        batch = Batch(
            round(self._clock() * 1000),
            max_event_bytes=self._pace.max_event_bytes,
            retention_in_days=self._target.retention_in_days,
        )
        self._batch = batch.events  # before it is filled: what is taken is not gone
        self.queue.take(batch.admit)
        self._counts["restamped"] += batch.restamped
        self._counts["shortened"] += batch.shortened
        # What is left arrived after this moment, unless the batch is full.
        self._due_at = now if batch.is_full else now + self._pace.flush_interval
        if not self._batch:  # what was there could not be read, and is counted
            self.queue.forget()
        return bool(self._batch)

    def _refuse(self, failure: CallFailed) -> None:
        """Look for the event because of which AWS refused them all."""
        self._counts["retried"] += 1
        self._last_error = str(failure)
        if self._search is None:
            self._search = Bisection(self._batch)
        self._search.refused()
        # One event alone proves nothing, as long as AWS never took another.
        is_alone = len(self._batch) == 1 and self._succeeded_at is None
        is_doubtful = is_alone and self.backoff.failures < _PATIENCE
        if self._search.is_elsewhere or is_doubtful:
            self._search = None
            raise CallFailed(OUTAGE, f"AWS refuses every event: {failure}")

    def _finish_batch(self) -> None:
        """What was taken is delivered, or given up; or tried once more."""
        if self._search:
            self._reject(self._search.culprits, "AWS calls them invalid")
            self._search = None
        left_out, self._left_out = self._left_out, []
        if left_out and not self._is_second_try:
            # AWS's clock or retention is not what we thought; the present is right.
            now = round(self._clock() * 1000)
            self._batch = [Event(now, message) for _, message in left_out]
            self._counts["restamped"] += len(left_out)
            self._is_second_try = True
            return
        self._reject(left_out, "AWS calls them too old or too new")
        self._is_second_try = False
        self._batch = []
        self.queue.forget()
        self._tell_drops()

    def _reject(self, events: list[Event], why: str) -> None:
        if events:
            self._counts["rejected"] += len(events)
            total = self._counts["rejected"]
            first = events[0].message[:200].decode("utf-8", "replace")
            self._tell(
                "rejected", f"{why}; {total} records rejected so far; one is {first}"
            )

    def _tell_drops(self) -> None:
        """Say in the stream itself that something is missing there."""
        dropped = self.queue.dropped - self._known_drops
        if dropped:
            self._known_drops += dropped
            context = {
                "dropped": dropped,
                "reason": self._last_error or "the queue was full",
                "first": _iso(self._dropped_from),
                "last": _iso(self._clock()),
            }
            self._announce("cloudwatch_records_dropped", context)
        self._dropped_from = self._clock()

    def _fail(self, now: float, failure: CallFailed) -> None:
        """Keep everything, and wait."""
        self._counts["retried"] += 1
        self._last_error = str(failure)
        self._failure = failure.kind
        if failure.kind == MISSING:  # somebody removed it
            self._place.lost()
            if not self.backoff.failures:  # it will be there at once
                self.backoff.failures = 1
                return
        elif failure.kind == ABSENT and isinstance(self.queue, MemoryQueue):
            # It will not be there before a restart: nothing is kept for it.
            self.queue.bounds = self.queue.bounds._replace(max_queue_size=1)
        kind = TRANSIENT if failure.kind == MISSING else failure.kind
        self.backoff.failed(now, kind, is_throttled=failure.is_throttled)
        if kind != TRANSIENT or self.backoff.failures > 1:  # not for a hiccup
            self._tell("deliver", f"{self.waiting} records wait: {failure}")


def _iso(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
