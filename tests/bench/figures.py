"""
The bench's arithmetic: percentiles, lateness, records that are missing.

No clock and no contender: figures are believed because this is tested.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from contextlib import suppress
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

_NUMBER = re.compile(rb'"number": ?([0-9]+)')


class Call(NamedTuple):
    """One logging call, in seconds of one clock."""

    intended: float
    start: float
    end: float

    @property
    def took(self) -> float:
        """What the caller waited for."""
        return self.end - self.start

    @property
    def late(self) -> float:
        """
        How long after its intended start the call was done.

        A call that stalls keeps those after it from even starting on time, which
        `took` does not show.
        """
        return self.end - self.intended


class Figures(NamedTuple):
    """What a table shows of many calls, in seconds."""

    p50: float
    p99: float
    max: float
    latest: float


def summary(calls: Sequence[Call]) -> Figures:
    """Return the figures of *calls*, of which there is at least one."""
    took = [call.took for call in calls]
    return Figures(
        percentile(took, 50),
        percentile(took, 99),
        max(took),
        max(call.late for call in calls),
    )


def percentile(values: Iterable[float], percent: int | Fraction) -> float:
    """
    Return the smallest of *values* that *percent* of them do not exceed.

    It is one that was measured, never one between two.

    Args:
        values: At least one.
        percent: Above 0, up to 100; exact, so that no rank is rounded to the next.
    """
    ordered = sorted(values)
    return ordered[ceil(percent * len(ordered) / Fraction(100)) - 1]


def lost(lines: Iterable[bytes], expected: Iterable[int]) -> int:
    """
    Return how many of the *expected* numbers no line holds.

    A line that is no JSON, such as half a line or two in one, holds none.
    """
    return len(set(expected) - set(_numbers(lines)))


def lines_in(folder: Path) -> Iterator[bytes]:
    """
    Yield the lines of all files in *folder*, unpacked where they are ``.gz``.

    What follows the damage in a broken archive is lost, as for any reader.
    """
    for path in sorted(folder.iterdir()):
        if path.suffix == ".gz":
            yield from _unpacked(path)
        elif path.is_file():
            with path.open("rb") as file:
                yield from file


def _unpacked(path: Path) -> Iterator[bytes]:
    with (
        suppress(EOFError, zlib.error, gzip.BadGzipFile),
        gzip.open(path) as file,
    ):
        yield from file


def _numbers(lines: Iterable[bytes]) -> Iterator[int]:
    for line in lines:
        found = _NUMBER.search(line)
        if found and _is_json(line):
            yield int(found[1])


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
