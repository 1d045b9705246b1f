"""
Now and then, an event that tells how the sending goes, if it does not go well.
"""

from __future__ import annotations

import logging

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from chimera_log.cloudwatch.delivery import Statistics
    from chimera_log.cloudwatch.route import Destination, Route

OWN_LOGGER = "chimera_log.cloudwatch"
EVENT = "logging_statistics"
_INTERVAL = 300.0  # seconds between two events at least
_LAG = 60.0  # seconds without success while something waits
_GROWING = ("dropped", "rejected", "retried")  # counts that should not


class Notices:
    """
    Log a ``logging_statistics`` event, at most every five minutes.

    Only for a route where something was dropped, rejected or retried since the last
    one, or waits for more than a minute.  It is an ordinary event of the logger
    ``chimera_log.cloudwatch``, and goes wherever that leads.
    """

    def __init__(self) -> None:
        self._looks_at = float("-inf")
        self._known: dict[Destination, tuple[int, ...]] = {}
        self._waits_since: dict[Destination, float] = {}

    def look(self, routes: Iterable[Route], now: float) -> None:
        """
        Log what there is to tell.

        Args:
            routes: Whose.
            now: Seconds that never go back.
        """
        if now < self._looks_at:
            return
        for route in routes:
            found = route.statistics(now)
            if self._is_bad(route.destination, found, now):
                self._looks_at = now + _INTERVAL
                context = {
                    "log_group_name": route.destination.log_group_name,
                    **found._asdict(),
                }
                logging.getLogger(OWN_LOGGER).warning(EVENT, extra={"context": context})

    def _is_bad(self, name: Destination, found: Statistics, now: float) -> bool:
        counts = tuple(getattr(found, each) for each in _GROWING)
        is_grown = counts != self._known.get(name, (0,) * len(counts))
        self._known[name] = counts
        since = found.last_success
        if found.queued + found.spooled == 0 or (since is not None and since < _LAG):
            self._waits_since.pop(name, None)
            return is_grown
        return is_grown or now - self._waits_since.setdefault(name, now) > _LAG
