"""
What handlers with one destination share in a process.

A `Route` has the queue of this process's records, the `Delivery` that empties it,
and, one after the other, those for what dead processes left in the spool's folder.
"""

from __future__ import annotations

import os
import socket
import time
import weakref
from collections import namedtuple

from chimera_log.cloudwatch import rules
from chimera_log.cloudwatch.adoption import adopt
from chimera_log.cloudwatch.batch import Event
from chimera_log.cloudwatch.client import Client
from chimera_log.cloudwatch.delivery import COUNTS, Delivery
from chimera_log.cloudwatch.memory import MemoryQueue
from chimera_log.cloudwatch.place import Target
from chimera_log.cloudwatch.spool import Spool
from chimera_log.report import report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from chimera_log.cloudwatch.delivery import Statistics
    from chimera_log.cloudwatch.spool_backlog import Backlog

_ADOPT_EVERY = 60.0  # seconds between two looks for what dead processes left

# What makes two handlers share a route.
Destination = namedtuple(
    "Destination",
    [
        "access",  # `client.Access`: whom to talk to, and as whom
        "log_group_name",
        "log_stream_name",  # a template
        "spool_dir",  # or None: records wait in memory
    ],
)
# How a route behaves; the newest handler's wish holds for all that share it.
Options = namedtuple(
    "Options",
    [
        "retention_in_days",  # or None
        "extras",  # see `place.Target`
        "pace",  # `delivery.Pace`
        "bounds",  # `memory.Bounds`
        "max_spool_bytes",
        "close_timeout",  # seconds that whoever closes waits at most
    ],
)


class Route:
    """
    The way of this process's records to one destination.

    `put`, `use` and `statistics` may be called by any thread; everything else by
    one at a time.

    Args:
        destination: Where they go.
        options: How.
        wake: Called when `step` has something to do sooner than it said.
    """

    _adopts_at: float  # when to look again for what dead processes left

    def __init__(
        self,
        destination: Destination,
        options: Options,
        wake: Callable[[Route], object],
    ) -> None:
        self.destination = destination
        self.options = options
        # The handlers that are open; without any, nothing is kept on disk in vain.
        self.users: weakref.WeakSet[object] = weakref.WeakSet()
        # Makes the line of an event of our own; the newest handler says how.
        self.describe: Callable[[str, dict[str, Any]], bytes] | None = None
        self._wake = wake
        self._begin()

    @property
    def waiting(self) -> int:
        """How many records of this process are not delivered yet."""
        return self._own.waiting

    @property
    def is_hopeless(self) -> bool:
        """Whether it makes no sense to wait; see `Delivery.is_hopeless`."""
        return self._own.is_hopeless

    @property
    def is_failing(self) -> bool:
        """Whether the last try failed."""
        return self._own.backoff.failures > 0

    def put(self, event: Event) -> None:
        """Have *event* delivered; returns at once."""
        self._queue.put(event)
        if self._own.listens:
            self._own.expect()

    def use(self, options: Options) -> None:
        """Behave as *options* say from now on."""
        if options != self.options:
            self.options = options
            self._memory.bounds = options.bounds
            self._own.use(options.pace, options.retention_in_days)

    def step(self, now: float) -> float | None:
        """Deliver a part of what waits; answers as `Delivery.step` does."""
        pauses = [self._own.step(now)]
        if self.destination.spool_dir is not None and now >= self._adopts_at:
            self._adopts_at = now + _ADOPT_EVERY
            self._inherit()
        if self._inherited:
            pauses.append(self._step_inherited(now))
        return min((each for each in pauses if each is not None), default=None)

    def hurry(self, now: float, until: float) -> None:
        """Have what waits delivered now: somebody waits, until *until*."""
        for each in [self._own, *self._inherited]:
            each.hurry(now, until)

    def disconnect(self) -> None:
        """Close the connection; the next call opens another."""
        self._client.forget()

    def rest(self) -> None:
        """Keep nothing open, and nothing on disk if nothing waits."""
        self._queue.close()
        self.disconnect()  # a client of botocore's goes only with the garbage

    def at_exit(self) -> None:
        """Say how much was not delivered, and where it is."""
        waiting = self._own.waiting
        if self._own.queue.spooled:
            self.tell("exit", f"{waiting} records wait in the spool for the next start")
        elif waiting:
            self.tell("exit", f"the process ends; {waiting} records not delivered")

    def statistics(self, now: float) -> Statistics:
        """Return what became of the records since this process began."""
        own = self._own.statistics(now)
        parts = [own, *(each.statistics(now) for each in list(self._inherited))]
        totals = {
            name: self._past[name] + sum(getattr(part, name) for part in parts)
            for name in COUNTS
        }
        return own._replace(**totals)

    def tell(self, kind: str, what: str) -> None:
        """Report trouble of this route."""
        name = f"CloudWatch Logs, {self.destination.log_group_name}"
        report(f"{name}: {kind}", f"{name}: {what}")

    def after_fork(self) -> None:
        """Start clean in a forked child: what waits is its parent's."""
        for each in [self._own, *self._inherited]:
            each.queue.after_fork()
        self._begin()

    def _begin(self) -> None:
        destination, options = self.destination, self.options
        stream = rules.stream_name(destination.log_stream_name, **_identity())
        self._client = Client(destination.access)
        self._inherited: list[Delivery] = []
        self._past = dict.fromkeys(COUNTS, 0)
        self._adopts_at = float("-inf")
        self._memory = MemoryQueue(options.bounds, self._tell_loss)
        self._queue: MemoryQueue | Spool = self._memory
        if destination.spool_dir is not None:
            label = {
                "log_group_name": destination.log_group_name,
                "log_stream_name": stream,
                **self._addressee(),
            }
            self._queue = Spool(
                destination.spool_dir,
                label,
                max_spool_bytes=options.max_spool_bytes,
                memory=self._memory,
                on_trouble=self.tell,
            )
        self._own: Delivery = self._delivery(
            self._queue, destination.log_group_name, stream, is_new=True
        )

    def _delivery(
        self,
        queue: MemoryQueue | Spool | Backlog,
        group: str,
        stream: str,
        *,
        is_new: bool,
    ) -> Delivery:
        options = self.options
        return Delivery(
            self._client,
            queue,
            Target(group, stream, options.retention_in_days, options.extras),
            # What was inherited has waited long enough.
            options.pace if is_new else options.pace._replace(max_batch_count=1),
            tell=self.tell,
            wake=lambda: self._wake(self),
            announce=self._announce,
            is_new=is_new,
        )

    def _tell_loss(self, _: int) -> None:
        self.tell("full", f"the queue is full; {self._memory.dropped} records dropped")

    def _announce(self, event: str, context: dict[str, Any]) -> None:
        """Have an event of our own delivered, among the others."""
        if self.describe is not None:
            now = round(time.time() * 1000)
            self.put(Event(now, self.describe(event, context)))

    def _addressee(self) -> dict[str, str | None]:
        """Return whom a spool is for: what is in it goes nowhere else."""
        access = self.destination.access._asdict()
        return {
            name: value if value is None else str(value)
            for name, value in access.items()
        }

    def _inherit(self) -> None:
        """Take over what dead processes left to be delivered."""
        addressee = self._addressee()

        def is_ours(label: Mapping[str, str | None]) -> bool:
            return all(label.get(name) == addressee[name] for name in addressee)

        for backlog in adopt(self.destination.spool_dir, is_ours, on_trouble=self.tell):
            label = backlog.label or {}
            group, stream = label.get("log_group_name"), label.get("log_stream_name")
            delivery = self._delivery(backlog, str(group), str(stream), is_new=False)
            self._inherited.append(delivery)

    def _step_inherited(self, now: float) -> float:
        delivery = self._inherited[0]
        pause = delivery.step(now)
        if pause is not None:
            return pause
        for name in COUNTS:
            self._past[name] += getattr(delivery.statistics(now), name)
        del self._inherited[0]
        delivery.queue.close()
        return 0


def _identity() -> dict[str, Any]:
    """Return what names a stream: this process, and no other."""
    if os.getpid() not in _known:
        _known.clear()
        _known[os.getpid()] = {
            "hostname": socket.gethostname(),
            "time": time.strftime("%Y-%m-%dT%H-%M-%SZ", time.gmtime()),
            "pid": os.getpid(),
            "random": os.urandom(3).hex(),
        }
    return _known[os.getpid()]


_known: dict[int, dict[str, Any]] = {}
