"""
A trail of which there are copies: full files in an archive, records in a database.

Making them is work for a thread that `behind` has; here it is begun, woken and ended
with the trail.  None of it can hold up a record.
"""

from __future__ import annotations

import weakref

from chimera_log.audit.behind import Behind
from chimera_log.audit.trail import Trail
from chimera_log.files import names
from chimera_log.files.policy import Statistics

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from chimera_log.audit.behind import Task
    from chimera_log.files.policy import Policy
    from chimera_log.files.syscalls import Ordinary

_DAY = 24 * 60 * 60  # seconds
_LATE = 5.0  # seconds after midnight, in which records of the day before may come
_SECURE = 1.0  # seconds to have the disk keep a line


class CopiedTrail(Trail):
    """
    The trail at *path*, and what is made of it; arguments as for `Trail`.

    What there is to make, its rules say: an ``archive``, a ``database``, or neither.
    """

    _day_ends = 0.0  # when to look whether the active file's day is over
    _behind: Behind | None = None  # once a file is open
    _rests = False  # whether the next line has to wake it

    def use(self, policy: Policy) -> None:
        """Behave as *policy* says from now on."""
        super().use(policy)
        self._leave()
        if self._fd >= 0:
            self._go_on()

    def close(self) -> None:
        """Write what waits, and close the file; the next `append` opens it again."""
        super().close()
        self._leave()

    def statistics(self) -> Statistics:
        """Return what happened to this trail, and to its copies, so far."""
        found, behind = super().statistics(), self._behind
        return found if behind is None else found._replace(**behind.statistics())

    def maintain(self) -> float | None:
        """Do a part of what there is to do; as in `Segments`."""
        pauses = super().maintain(), self._see_to_day()
        return min((each for each in pauses if each is not None), default=None)

    def after_fork_in_parent(self) -> None:
        """Have the next line wake the threads, which ended before the fork."""
        super().after_fork_in_parent()
        self._rests = self._behind is not None

    def after_fork(self) -> None:
        """Start clean in a forked child; as in `Segments`."""
        self._rests = False  # opening the file wakes it
        super().after_fork()

    def _see_to_disk(self) -> None:
        super()._see_to_disk()
        if self._rests:
            self._go_on()

    def _open(self, calls: Ordinary | None = None) -> None:
        super()._open(calls)
        self._go_on()  # also when a full file gave way to this one

    def _see_to_day(self) -> float | None:
        """
        Move on to a new file when the active one's day is over, if it is archived.

        Otherwise the next record does it.  But a service that rests has a day's
        evidence to send all the same.
        """
        if self.policy.rules.archive is None or self._fd < 0:  # it opens no file
            return None
        now = self._clock()
        was_set_back = self._day_ends - now > _DAY + _LATE  # the clock was
        if now >= self._day_ends or was_set_back:
            self.rotate(self._is_over)
            self._day_ends = names.next_midnight(now) + _LATE
        return self._day_ends - now

    def _go_on(self) -> None:
        """Have the copies made, where any are asked for."""
        rules = self.policy.rules
        self._rests = False
        if rules.archive is None and rules.database is None:
            return
        if self._behind is None:
            self._behind = Behind(_tasks(self))
        self._behind.wake()

    def _leave(self) -> None:
        behind, self._behind = self._behind, None
        if behind is not None:
            behind.close()


def _tasks(trail: CopiedTrail) -> list[Task]:
    """Return what is to be done behind *trail*, which may end before it is done."""
    # Loaded by the handler that asks for it: here, a fork might come in between.
    from chimera_log.audit.tasks import tasks_of  # noqa: PLC0415

    known = weakref.ref(trail)

    def tell(event: str, context: Mapping[str, Any]) -> bool:
        alive = known()
        return (
            alive is not None and alive.tell(event, context) and alive.secure(_SECURE)
        )

    return tasks_of(trail.path, trail.policy, tell, trail.on_trouble)
