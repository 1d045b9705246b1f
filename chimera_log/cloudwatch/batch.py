"""
Decide which events travel together in one PutLogEvents request.

No I/O, no thread, no clock: a `Batch` is told the time.  AWS refuses a whole
request that breaks one of its limits, and quietly leaves out events that are too
old or too far ahead; a batch keeps within all of them, whatever it is offered.
"""

from __future__ import annotations

from collections import namedtuple
from operator import itemgetter

from chimera_log.cloudwatch.oversize import shortened
from chimera_log.cloudwatch.rules import (
    EVENT_OVERHEAD_BYTES,
    MAX_AGE_MS,
    MAX_AHEAD_MS,
    MAX_BATCH_BYTES,
    MAX_BATCH_COUNT,
    MAX_BATCH_SPAN_MS,
)

_MARGIN_MS = 5 * 60 * 1000  # clocks differ, and a request may take its time
_DAY_MS = 24 * 60 * 60 * 1000
# AWS refuses an event that says nothing; that it was logged is something.
_NOTHING = b" "

# One line: *timestamp* in milliseconds since the epoch, *message* in UTF-8, without
# a line feed.
Event = namedtuple("Event", ["timestamp", "message"])


class Batch:
    """
    Events for one request, in the order in which they were logged.

    An event whose time AWS would not accept is stamped with the present one (its
    line keeps the true time); a message that is too long is shortened.

    Args:
        now: Milliseconds since the epoch.
        max_event_bytes: The longest message.
        retention_in_days: What is older is refused by AWS; ``None``: as old as AWS
            takes at all.
    """

    def __init__(
        self, now: int, *, max_event_bytes: int, retention_in_days: int | None = None
    ) -> None:
        kept = MAX_AGE_MS
        if retention_in_days is not None:
            kept = min(kept, retention_in_days * _DAY_MS)
        self._now = now
        self._oldest = now - kept + _MARGIN_MS
        self._newest = now + MAX_AHEAD_MS - _MARGIN_MS
        self._max_event_bytes = max_event_bytes
        self._bytes = 0
        self._earliest, self._latest = float("inf"), float("-inf")
        self.events: list[Event] = []
        self.is_full = False  # whether an event found no room
        self.restamped = 0  # events whose time AWS would not have accepted
        self.shortened = 0  # events that were too long

    def __len__(self) -> int:
        """Return how many events it has."""
        return len(self.events)

    def admit(self, event: Event) -> bool:
        """Take *event*, unless that would break a limit; whether it was taken."""
        timestamp, message = event
        is_shortened = len(message) > self._max_event_bytes
        is_restamped = not self._oldest <= timestamp <= self._newest
        if is_shortened or is_restamped or not message:
            if is_shortened:
                message = shortened(message, self._max_event_bytes)
            if is_restamped:
                timestamp = self._now
            event = Event(timestamp, message or _NOTHING)
        size = self._bytes + size_of(event)
        earliest = min(self._earliest, timestamp)
        latest = max(self._latest, timestamp)
        if (
            len(self.events) >= MAX_BATCH_COUNT
            or size > MAX_BATCH_BYTES
            or latest - earliest >= MAX_BATCH_SPAN_MS
        ):
            self.is_full = True
            return False
        self._bytes, self._earliest, self._latest = size, earliest, latest
        self.events.append(event)
        self.restamped += is_restamped
        self.shortened += is_shortened
        return True


def size_of(event: Event) -> int:
    """Return the bytes that AWS counts *event* for."""
    return len(event[1]) + EVENT_OVERHEAD_BYTES


def in_order(events: list[Event]) -> list[Event]:
    """
    Return *events* by time, as AWS wants them.

    Those of one millisecond keep the order in which they were logged.
    """
    return sorted(events, key=itemgetter(0))
