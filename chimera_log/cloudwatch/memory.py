"""
Events that wait in memory to be sent: bounded, in order, every one accounted for.

Any number of threads put, one takes.  What was put was taken, was dropped and
counted, or still waits; each in the end exactly once, whatever signal handlers do.
A putter does not wait while events are taken: that needs no lock.  The taker holds it
only to let in the few that have just arrived.

A signal handler that logs amid a `put` of its own thread leaves its event to that
`put`; one that raises leaves everything to the next.  Python runs handlers right
after a call, or where a loop begins again; what one call of C does it does whole.  So
an event moves from one queue to another in one call of C, and is counted just before
it.  And no ``while`` stands inside a ``try`` or a ``with``: Python 3.12 and 3.13 forget
about both in the moment in which such a loop begins again.
"""

from __future__ import annotations

from collections import deque, namedtuple
from itertools import repeat

from chimera_log.native import RLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from chimera_log.cloudwatch.batch import Event

WHEN_FULL = DROP_OLDEST, DROP_NEWEST = ("drop_oldest", "drop_newest")

Bounds = namedtuple(
    "Bounds",
    [
        "max_queue_size",  # events
        "max_queue_bytes",  # of their messages
        "when_full",  # one of `WHEN_FULL`: which of them is lost
    ],
)

# Where there is room for so many events, of so many bytes each, putters may let some
# arrive before one of them lets all in: far fewer than there is room for, however many
# threads there are.
_AMPLE, _SMALL, _TOGETHER = 1_000, 1_024, 64


class MemoryQueue:
    """
    Events in the order of their `put`, within *bounds*.

    An event that is larger than *max_queue_bytes* is let in when nothing else
    waits, and dropped otherwise: it would push out all the others.

    Args:
        bounds: How many may wait, and which are dropped then.
        on_loss: Told after a `put` how many events were dropped since the last
            time; must not raise.
    """

    def __init__(self, bounds: Bounds, on_loss: Callable[[int], object]) -> None:
        self._bounds = bounds
        self._on_loss = on_loss
        self._begin()

    def _begin(self) -> None:
        self._lock = RLock()
        self._busy = False
        self._arrived: deque[Event] = deque()  # put, and not yet let in
        self._queue: deque[Event] = deque()
        self._gone: deque[Event] = deque()  # dropped, and not yet counted
        # All that was ever let in or refused, and what became of it.  Each pair has
        # one writer: whoever has the lock, and the taker.
        self._settled: int = 0
        self._settled_bytes: int = 0
        self._dropped: int = 0
        self._dropped_bytes: int = 0
        self._taken: int = 0
        self._taken_bytes: int = 0
        self._told = 0  # how many of the dropped `on_loss` was told of
        self._patience = 1  # how many may have arrived until they are let in

    @property
    def bounds(self) -> Bounds:
        """How many may wait, and which are dropped then; may be changed."""
        return self._bounds

    @bounds.setter
    def bounds(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._patience = 1

    @property
    def accepted(self) -> int:
        """How many events were put."""
        return self._settled + len(self._arrived)

    @property
    def queued(self) -> int:
        """How many events wait."""
        # In this order: what is counted meanwhile makes it too many, never too few.
        return -self._taken - self._dropped + self._settled + len(self._arrived)

    @property
    def is_empty(self) -> bool:
        """Whether none waits; told in less time than how many do."""
        return not (self._arrived or self._queue)

    @property
    def spooled(self) -> int:
        """How many events wait on a disk: none."""
        return 0

    @property
    def dropped(self) -> int:
        """How many events were lost since there was no room."""
        return self._dropped

    def put(self, event: Event) -> None:
        """
        Let *event* wait to be taken, or drop one; never raises.

        Any thread may, and any signal handler.
        """
        self._arrived.append(event)
        # While there is ample room, it is let in together with others: that takes a
        # third of the time.
        if len(self._arrived) >= self._patience or len(event.message) > _SMALL:
            self._settle()

    def take(self, fits: Callable[[Event], bool]) -> list[Event]:
        """
        Return the oldest events, as many as fit, and let them wait no more.

        One thread at a time may take.

        Args:
            fits: Asked for each event, in order, until it says no.  If it raises,
                everything waits on.
        """
        if self._arrived:
            self._settle()
        events: list[Event] = []
        before = self._taken, self._taken_bytes
        try:
            self._take_into(events, fits)
        except BaseException:
            self._taken, self._taken_bytes = before
            self._queue.extendleft(reversed(events))
            raise
        return events

    def give_back(self, events: deque[Event]) -> None:
        """
        Have *events*, the last that were taken, wait again before all others.

        *events* is empty afterwards.  They are let in without regard to the bounds,
        which the next `put` restores.
        """
        size = sum(len(event.message) for event in events)
        count = len(events)
        step = map(deque.pop, repeat(events, count))
        self._taken -= count
        self._taken_bytes -= size
        self._queue.extendleft(step)

    def forget(self) -> None:
        """Know that what was taken is done."""

    def close(self) -> None:
        """Keep what waits."""

    def after_fork(self) -> None:
        """Start clean in a forked child: what waits is its parent's."""
        self._begin()

    def _take_into(self, events: list[Event], fits: Callable[[Event], bool]) -> None:
        queue = self._queue
        while queue:
            try:
                events.extend(map(deque.popleft, (queue,)))
            except IndexError:  # a putter dropped the last one
                break
            event = events[-1]
            if not fits(event):
                queue.extendleft(map(list.pop, (events,)))
                break
            self._taken_bytes += len(event.message)
            self._taken += 1

    def _settle(self) -> None:
        """Let in what has arrived, unless the call that we interrupted is at it."""
        with self._lock:
            self._let_in_all()
        if self._told != self._dropped:
            self._tell()

    def _let_in_all(self) -> None:
        # Again when we are done: a signal handler's may have come in between.
        while self._arrived and not self._busy:
            try:
                self._busy = True
                if not self._let_in_together():
                    self._let_in_first()
                is_ample = self._has_room_for(_AMPLE * _SMALL, _AMPLE)
                self._patience = _TOGETHER if is_ample else 1
            finally:
                self._busy = False

    def _let_in_together(self) -> bool:
        """Let in all that has arrived if there is room; whether there was."""
        arrived = list(self._arrived)
        size = sum([len(event.message) for event in arrived])
        count = len(arrived)
        if self._gone or not self._has_room_for(size, count):
            return False
        step = map(deque.popleft, repeat(self._arrived, count))
        self._settled += count
        self._settled_bytes += size
        self._queue.extend(step)
        return True

    def _let_in_first(self) -> None:
        """Let in what arrived first, or drop it, or drop others for it."""
        size = len(self._arrived[0].message)
        goal = self._queue
        self._count_gone()
        while self._queue and not self._has_room_for(size):
            if (
                self._bounds.when_full == DROP_NEWEST
                or size > self._bounds.max_queue_bytes
            ):
                goal = self._gone
                break
            self._drop_first()
        step = map(deque.popleft, (self._arrived,))
        self._settled += 1
        self._settled_bytes += size
        goal.extend(step)
        self._count_gone()

    def _has_room_for(self, size: int, count: int = 1) -> bool:
        waiting = self._settled - self._dropped - self._taken
        used = self._settled_bytes - self._dropped_bytes - self._taken_bytes
        return bool(
            waiting + count <= self._bounds.max_queue_size
            and used + size <= self._bounds.max_queue_bytes
        )

    def _drop_first(self) -> None:
        try:
            self._gone.extend(map(deque.popleft, (self._queue,)))
        except IndexError:  # it was taken
            return
        self._count_gone()

    def _count_gone(self) -> None:
        while self._gone:
            size = len(self._gone[0].message)
            self._dropped += 1
            self._dropped_bytes += size
            self._gone.popleft()

    def _tell(self) -> None:
        with self._lock:
            lost, self._told = self._dropped - self._told, self._dropped
        if lost:
            self._on_loss(lost)
