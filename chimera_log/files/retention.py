"""
Which full segments of a log file may go.

Three limits, whichever comes first: how many there are, how many bytes they
have together, how old their lines are.  The oldest go first, and oldest is what
has the lowest number: a copy or a restore changes a file's time, and a clock
that was set back changes the time in its name.

Pure: told what lies there and what time it is, it names what may be removed.
"""

from __future__ import annotations

from collections import defaultdict, namedtuple

from chimera_log.files.names import segment_number, segment_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_FRACTION = 1.0  # seconds; what the time in a name leaves out

# How much is kept.
Limits = namedtuple(
    "Limits",
    [
        "backup_count",  # full segments
        "total_bytes",  # of all segments and the active file; 0: any number
        "max_age",  # seconds; 0: for ever
    ],
    defaults=[0, 0.0],
)


def superfluous(
    name: str,
    entries: Mapping[str, int],
    limits: Limits,
    *,
    active_size: int,
    active_first: float | None,
    now: float,
) -> list[str]:
    """
    Return the segments of *name* that may go, the oldest first.

    The active file is never among them, nor is anything whose name is not a
    segment's.  A segment and its compressed copy, of which one was about to be
    removed, count as one and go together.

    No segment goes by age while it may hold a line younger than *max_age*.  Its
    name tells when it begins; that it has ended is proved only by a later file
    that begins.  Since a clock may have been set back meanwhile, only a file
    that begins later than all before it proves anything: what was written while
    the clock was behind stays until the time in the names has caught up.  After
    a clock that was ahead, that can take as long as it was ahead; the other two
    limits hold all the same.

    Args:
        name: The active file's name.
        entries: What lies in its directory, and how many bytes each file has.
        limits: How much is kept.
        active_size: Bytes in the active file.
        active_first: When the active file's first line was written, in seconds
            since the epoch; ``None`` if it has none or that is not known.
        now: The time, in seconds since the epoch.
    """
    by_number = defaultdict(list)
    for entry in sorted(entries):
        number = segment_number(name, entry)
        if number is not None:
            by_number[number].append(entry)
    # One list for each number, the oldest first.
    segments = [by_number[number] for number in sorted(by_number)]
    sizes = [sum(entries[entry] for entry in segment) for segment in segments]
    beginnings = [_beginning(name, segment) for segment in segments]
    gone = max(
        len(segments) - limits.backup_count,
        _too_many_bytes(sizes, active_size, limits.total_bytes),
        _too_old([*beginnings, active_first], limits.max_age, now),
    )
    return [entry for segment in segments[: max(gone, 0)] for entry in segment]


def _beginning(name: str, segment: list[str]) -> float | None:
    """Return when *segment* begins; the latest, if somebody made copies of it."""
    times = [segment_time(name, entry) for entry in segment]
    return max((time for time in times if time is not None), default=None)


def _too_many_bytes(sizes: list[int], active_size: int, total_bytes: int) -> int:
    """Return how many segments, from the oldest, must go for the rest to fit."""
    excess = active_size + sum(sizes) - total_bytes
    gone = 0
    while total_bytes and excess > 0 and gone < len(sizes):
        excess -= sizes[gone]
        gone += 1
    return gone


def _too_old(beginnings: list[float | None], max_age: float, now: float) -> int:
    """Return how many files, from the oldest, hold no line younger than *max_age*."""
    gone = 0
    latest = float("-inf")
    for number, beginning in enumerate(beginnings):
        if beginning is not None and beginning >= latest:
            latest = beginning
            if max_age and now - beginning >= max_age + _FRACTION:
                gone = number  # all before it were written before it
    return gone
