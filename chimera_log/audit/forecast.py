"""
How long a trail's full files will hold, and what its floor will need.

Nobody finds out in three years that his disk holds two months.  So the rate at which
records came so far is compared with what is kept, in one line, such as::

    at 1.2 records/s 50 segments hold 58 days; 1096 days need 947 segments, 23 GB compressed

Pure: told what the manifests say.
"""

from __future__ import annotations

import math
from collections import namedtuple

from chimera_log.audit.retain import DAY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from chimera_log.audit.manifest import Manifest

# Execution records, chained, by gzip -6: their many hashes do not shrink.
USUAL_RATIO = 4.2
_LEAST = 60.0  # seconds of a trail's life that tell something
_RARE = 0.01  # records a second; fewer are counted by day
_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")
_TEN, _THOUSAND = 10, 1000


class Forecast(
    namedtuple(
        "Forecast",
        [
            "rate",  # records a second
            "backup_count",
            "days",  # that so many full files hold
            "floor_days",
            "segments",  # that the floor needs
            "bytes",  # on disk that these take
            "is_packed",  # whether they are compressed
        ],
    )
):
    """What a configuration will hold, at the rate of records so far."""

    __slots__ = ()

    def __str__(self) -> str:
        packed = " compressed" if self.is_packed else ""
        rate = f"{_rounded(self.rate)} records/s"
        if self.rate < _RARE:
            rate = f"{_rounded(self.rate * DAY)} records/day"
        return (
            f"at {rate} {_plural(self.backup_count)} "
            f"{'holds' if self.backup_count == 1 else 'hold'} "
            f"{_rounded(self.days)} days; {self.floor_days:g} days need "
            f"{_plural(self.segments)}, {_size(self.bytes)}{packed}"
        )


def forecast(
    manifests: Iterable[Manifest],
    *,
    max_bytes: int,
    backup_count: int,
    floor_days: float,
    packed_ratio: float | None = None,
    at_midnight: bool = False,
) -> Forecast | None:
    """
    Return what is to be expected if records come as they came so far.

    Rests of more than a week are no part of the rate.  Days and segments are what a
    steady rate makes; a trail that works by day only is no exception, since a day is
    the shortest that is asked about.

    Args:
        manifests: Of the segments whose records tell the rate; those that are gone
            may be among them.
        max_bytes: Bytes at which a file is full; 0: it never is.
        backup_count: Full files that are kept.
        floor_days: Days that every record is kept at least.
        packed_ratio: Bytes of what was written for one byte on disk; ``None``: it is
            compressed, and not known yet; 1: it is not compressed.
        at_midnight: Whether a new day begins a new file.

    Returns:
        ``None`` while there is too little to tell, less than a minute of the trail's
        life in full files, or if files are never full.
    """
    count, size, elapsed = 0, 0, 0.0
    for sealed, *_ in manifests:
        if sealed.chain is not None:  # else it is from before the trail
            count += sealed.lines
            size += sealed.bytes
            elapsed += sealed.elapsed
    if elapsed < _LEAST or size <= 0 or not (max_bytes or at_midnight):
        return None
    bytes_a_day = size / elapsed * DAY
    segments_a_day = bytes_a_day / max_bytes if max_bytes else 0.0
    if at_midnight:
        segments_a_day = max(math.ceil(segments_a_day), 1)
    return Forecast(
        rate=count / elapsed,
        backup_count=backup_count,
        days=backup_count / segments_a_day,
        floor_days=floor_days,
        segments=math.ceil(floor_days * segments_a_day),
        bytes=floor_days * bytes_a_day / (packed_ratio or USUAL_RATIO),
        is_packed=packed_ratio != 1,
    )


def _plural(count: int) -> str:
    return f"{count} segment{'' if count == 1 else 's'}"


def _rounded(number: float) -> str:
    """Return a number with two digits, or all that it has before its point."""
    return f"{number:.2g}" if number < _TEN else f"{number:.0f}"


def _size(size: float) -> str:
    """Return bytes in the largest unit of which there is one."""
    place = 0
    while round(size) >= _THOUSAND and place < len(_UNITS) - 1:
        size /= _THOUSAND
        place += 1
    return f"{_rounded(size)} {_UNITS[place]}"
