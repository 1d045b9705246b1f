"""
What may be deleted of an audit trail, and when: the one answer to that question.

Nothing younger than its floor goes, whatever the configuration, the number of
files, or the clock says.  So age is not the difference of two clocks.  It is how
long the trail itself went on afterwards: the steps from record to record, added
up, of which one that is longer than `MAX_SILENCE` counts for nothing, since a
clock that was set looks just like it.  A clock that jumps ten years ahead makes
nothing older; a service that rested for a month keeps its evidence a month longer.

Pure: told what the manifests say and what time it is; nothing is looked up, and
nothing is deleted here.
"""

from __future__ import annotations

from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


DAY = 24 * 60 * 60  # seconds
MAX_SILENCE = 7 * DAY  # seconds between two records that are believed
MAX_DISTANCE = DAY  # seconds between the newest record and now, without an operator

# Whether a segment may go, and in words why, or why not.
Verdict = namedtuple("Verdict", ["may_go", "why"])


class TrailClock:
    """
    The time that a trail has lived through, as its records tell it.

    Args:
        latest: The latest time that was seen so far, in seconds since the epoch;
            ``None`` before the first record.
    """

    def __init__(self, latest: float | None = None) -> None:
        self.latest = latest
        self.elapsed = 0.0  # seconds that are believed, since this clock was made

    def see(self, moment: float | None) -> None:
        """Take note of a record of *moment*; ``None``: it tells none."""
        if moment is None:
            return
        if self.latest is None:
            self.latest = moment
            return
        step = moment - self.latest
        if step > 0:
            if step <= MAX_SILENCE:
                self.elapsed += step
            self.latest = moment
        elif -step > MAX_SILENCE:  # the clock had been ahead, and was set back
            self.latest = moment


def see_all(clock: TrailClock, moments: Iterable[float | None]) -> TrailClock:
    """Return *clock* after it saw the records of *moments*."""
    for moment in moments:
        clock.see(moment)
    return clock
