"""
The names of a log file's segments: what they say, and when a day ends.

A full file is renamed to ``<name>.<UTC of its first line>.<number>``, such as
``chimera.log.20251027T083800Z.000001``, and ``.gz`` is added when it is
compressed.  Numbers only grow and names are never used again, so that whoever
copies, ships or lists segments never meets another file under a name it knows.

Pure functions of names and times; nothing is looked up.
"""

from __future__ import annotations

import re
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

TIME_IS_WITHIN = 100  # bytes of a line, if it tells its time at all
_DAY = 24 * 60 * 60  # seconds; in POSIX time no day has more
_SEGMENT = re.compile(
    r"\.(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z\.(\d{6,})(?:\.gz)?", re.ASCII
)
# Our own lines, and many others, tell their time within their first bytes.
_TIME = re.compile(rb"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)")


def segment_name(name: str, first: float, number: int) -> str:
    """
    Return the name of a full segment.

    Args:
        name: The active file's name, without its directory.
        first: When its first line was written, in seconds since the epoch.
        number: Its number, at least 1.
    """
    date = "%04d%02d%02dT%02d%02d%02dZ" % time.gmtime(first)[:6]  # noqa: UP031  six fields
    return f"{name}.{date}.{number:06d}"


def segment_number(name: str, entry: str) -> int | None:
    """Return the number of directory *entry*, if it is a segment of *name*."""
    match = _match(name, entry)
    return int(match[7]) if match else None


def segment_time(name: str, entry: str) -> float | None:
    """
    Return when the first line of segment *entry* of *name* was written.

    In seconds since the epoch, without the fraction; ``None`` if *entry* is no
    segment of *name*, or its digits are no date.
    """
    match = _match(name, entry)
    return _seconds(match.groups()[:6]) if match else None


def next_number(name: str, entries: Iterable[str], last: int) -> int:
    """
    Return a number that no segment of *name* has had.

    Args:
        name: The active file's name.
        entries: What lies in its directory, of whatever kind.
        last: The last number known to have been given, or 0; what had it may
            have been moved away since.
    """
    return max([last, *(segment_number(name, entry) or 0 for entry in entries)]) + 1


def time_of_line(start: bytes) -> float | None:
    """Return the time that a line's *start* tells, in seconds since the epoch."""
    match = _TIME.search(start)
    if not match:
        return None
    return _seconds(match.groups())


def next_midnight(moment: float) -> float:
    """Return the first midnight UTC after *moment*, both in seconds since the epoch."""
    return (moment // _DAY + 1) * _DAY


def _match(name: str, entry: str) -> re.Match[str] | None:
    return _SEGMENT.fullmatch(entry, len(name)) if entry.startswith(name) else None


def _seconds(fields: Iterable[str | bytes]) -> float | None:
    """Return the seconds since the epoch of a date in UTC, year first, if it is one."""
    year, month, day, hour, minute, second = map(int, fields)
    # By hand: an import at this moment would deadlock a child that another thread
    # forks meanwhile.  Years begin in March here, so that leap days end them.
    years = year - (month < 3)  # noqa: PLR2004  March
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    days = 365 * years + years // 4 - years // 100 + years // 400 + day_of_year - 719468
    seconds = ((days * 24 + hour) * 60 + minute) * 60 + second
    if not year or time.gmtime(seconds)[:6] != (year, month, day, hour, minute, second):
        return None  # digits, but no date
    return float(seconds)
