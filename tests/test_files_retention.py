"""
Which full files may go: never too young a one, never a foreign one.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chimera_log.files.names import segment_name, segment_number
from chimera_log.files.retention import Limits, superfluous

FIRST = 1761554280.0  # 2025-10-27 08:38:00 UTC
DAY = 86_400.0
MANY = 1_000  # more segments than any test has


def named(number: int, first: float = FIRST) -> str:
    """Return the name of a full segment."""
    return segment_name("bot.log", first, number)


def gone(entries: dict[str, int], limits: Limits, **more: Any) -> list[str]:
    """Return what may go, by default beside an empty active file."""
    told = {"active_size": 0, "active_first": None, "now": FIRST, **more}
    return superfluous("bot.log", entries, limits, **told)


def by_age(beginnings: list[float], max_age: float, **more: Any) -> list[int]:
    """Return the numbers, from 1, of the segments that are too old."""
    entries = {named(number, at): 1 for number, at in enumerate(beginnings, 1)}
    found = gone(entries, Limits(MANY, max_age=max_age), **more)
    return [int(entry[-6:]) for entry in found]


class TestCount:
    def test_oldest_first(self) -> None:
        """
        Beyond the newest there are to go, by number and not by name.
        """
        numbers = [999_999, 1_000_001, 3, 1_000_000]
        entries = {named(number): 1 for number in numbers}

        assert [named(3), named(999_999)] == gone(entries, Limits(2))

    def test_by_number_and_not_by_time(self) -> None:
        """
        A clock that was set back makes no segment older than those before it.
        """
        entries = {named(1, FIRST): 1, named(2, FIRST - DAY): 1}

        assert [named(1, FIRST)] == gone(entries, Limits(1))

    def test_enough_room(self) -> None:
        """
        As many as are kept, or fewer, all stay.
        """
        entries = {named(1): 1, named(2): 1}

        assert [] == gone(entries, Limits(2))
        assert [] == gone(entries, Limits(3))

    def test_compressed_twin(self) -> None:
        """
        A segment and its compressed copy count as one and go together.
        """
        entries = {named(1): 1, named(1) + ".gz": 1, named(2) + ".gz": 1}

        assert [] == gone(entries, Limits(2))
        assert [named(1), named(1) + ".gz"] == gone(entries, Limits(1))

    @given(st.sets(st.integers(1, 10**7)), st.integers(0, 60))
    def test_newest_stay(self, numbers: set[int], keep: int) -> None:
        """
        What stays is exactly the newest that are to be kept.
        """
        entries = {named(number): 1 for number in numbers}
        found = gone(entries, Limits(keep))
        left = [number for number in numbers if named(number) not in found]

        assert sorted(numbers)[max(len(numbers) - keep, 0) :] == sorted(left)


THREE = {named(1): 100, named(2): 10, named(3): 10}


class TestTotalBytes:
    @pytest.mark.parametrize(
        ("expected", "total_bytes"), [(0, 0), (0, 125), (1, 124), (1, 25), (2, 24)]
    )
    def test_oldest_go_until_the_rest_fits(
        self, expected: int, total_bytes: int
    ) -> None:
        """
        Full segments and the active file together stay within it; 0 is no limit.
        """
        limits = Limits(MANY, total_bytes)

        found = gone(THREE, limits, active_size=5)

        assert sorted(THREE)[:expected] == found

    def test_large_active_file(self) -> None:
        """
        Where the active file alone is too large, all others go, and it stays.
        """
        entries = {**THREE, "bot.log": 1_000}

        found = gone(entries, Limits(MANY, 500), active_size=1_000)

        assert sorted(THREE) == found

    def test_compressed_twin(self) -> None:
        """
        While a segment lies there twice, both take room.
        """
        entries = {named(1): 100, named(1) + ".gz": 10, named(2): 100}

        assert [] == gone(entries, Limits(MANY, 210))
        assert [named(1), named(1) + ".gz"] == gone(entries, Limits(MANY, 209))

    @given(st.lists(st.integers(0, 100)), st.integers(0, 200), st.integers(1, 1_000))
    def test_no_more_than_needed(
        self, sizes: list[int], active_size: int, total_bytes: int
    ) -> None:
        """
        What stays fits, or nothing stays; with one more it would not fit.
        """
        entries = {named(number): size for number, size in enumerate(sizes, 1)}
        count = len(gone(entries, Limits(MANY, total_bytes), active_size=active_size))

        assert active_size + sum(sizes[count:]) <= total_bytes or count == len(sizes)
        assert count == 0 or active_size + sum(sizes[count - 1 :]) > total_bytes


class TestMaxAge:
    def test_next_one_tells_the_end(self) -> None:
        """
        A segment goes when the one that follows it began long enough ago.

        A second more than asked, for a name leaves out the fraction.
        """
        beginnings = [FIRST, FIRST + 2 * DAY]

        assert [] == by_age(beginnings, DAY, now=FIRST + 3 * DAY)
        assert [] == by_age(beginnings, DAY, now=FIRST + 3 * DAY + 0.9)
        assert [1] == by_age(beginnings, DAY, now=FIRST + 3 * DAY + 1)

    def test_active_file_tells_the_end_of_the_newest(self) -> None:
        """
        The newest goes when the active file began long enough ago, if that is known.
        """
        later = FIRST + 3 * DAY

        assert [1] == by_age([FIRST], DAY, now=later, active_first=FIRST + DAY)
        assert [] == by_age([FIRST], DAY, now=later, active_first=later)
        assert [] == by_age([FIRST], DAY, now=later, active_first=None)

    def test_no_limit(self) -> None:
        """
        0 keeps them for ever.
        """
        assert [] == by_age([0.0, 0.0], 0.0, now=FIRST)

    def test_clock_set_back(self) -> None:
        """
        A young segment does not go because a wrong clock gave it an old name.
        """
        beginnings = [FIRST, 0.0, 60.0]

        assert [] == by_age(beginnings, DAY, now=FIRST + DAY, active_first=120.0)

    def test_clock_set_back_and_put_right(self) -> None:
        """
        What was written before and while it was wrong stays until that is old.
        """
        began = [FIRST, FIRST - 90 * DAY, FIRST + 60 * DAY, FIRST + 61 * DAY]

        assert [] == by_age(began, 30 * DAY, now=FIRST + 62 * DAY)
        assert [1, 2] == by_age(began, 30 * DAY, now=FIRST + 90.1 * DAY)

    def test_clock_ahead(self) -> None:
        """
        After a clock that was ahead, segments stay until that time has come.
        """
        ahead = FIRST + 3_650 * DAY
        began = [ahead, FIRST + DAY, FIRST + 2 * DAY]

        assert [] == by_age(began, DAY, now=FIRST + 1_000 * DAY)
        assert [] == by_age(began, DAY, now=ahead)
        assert [1, 2, 3] == by_age(began, DAY, now=ahead + 2 * DAY, active_first=ahead)

    def test_no_date(self) -> None:
        """
        Digits that are no date prove nothing; the segments around them do.
        """
        entries = {
            named(1): 1,
            "bot.log.20259999T000000Z.000002": 1,
            named(3, FIRST + DAY): 1,
        }
        limits = Limits(MANY, max_age=DAY)

        assert [] == gone(entries, limits, now=FIRST + 1.5 * DAY)
        assert list(entries)[:2] == gone(entries, limits, now=FIRST + 3 * DAY)

    def test_copies_under_other_times(self) -> None:
        """
        Of two names with one number, the later time counts.
        """
        entries = {named(1): 1, named(2): 1, named(2, FIRST + 9 * DAY): 1}
        limits = Limits(MANY, max_age=DAY)

        assert [] == gone(entries, limits, now=FIRST + 9 * DAY)


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[float], list[float]]:
    """
    Return when each file truly began, and what the clock said then.

    The clock is right, or ahead, or so far behind that it contradicts an earlier
    name.  (If it contradicts none, no name can tell it from a right one.)
    """
    true: list[float] = []
    said: list[float] = []
    moment = FIRST
    for elapsed in draw(st.lists(st.floats(0, 40 * DAY), min_size=1, max_size=12)):
        moment += elapsed
        clocks = [st.just(moment), st.floats(moment, moment + 400 * DAY)]
        if said:
            clocks.append(st.floats(0, max(said) // 1 - 1))
        true.append(moment)
        said.append(draw(st.one_of(clocks)))
    return true, said


@given(histories(), st.floats(1, 60 * DAY), st.floats(0, 60 * DAY), st.booleans())
@example(  # right; set back; put right a moment ago: the first two are young
    ([FIRST, FIRST + 60 * DAY, FIRST + 61 * DAY], [FIRST, 0.0, FIRST + 61 * DAY]),
    30 * DAY,
    1.0,
    True,
)
def test_no_young_line_goes(
    history: tuple[list[float], list[float]],
    max_age: float,
    since: float,
    is_first_known: bool,
) -> None:
    """
    However the clock was set back and forth, no line goes before it is old enough.

    A file may hold lines as young as the true beginning of the next one.
    """
    (true, said), now = history, history[0][-1] + since

    found = by_age(
        said[:-1], max_age, active_first=said[-1] if is_first_known else None, now=now
    )

    assert all(now - true[number] >= max_age for number in found)


@given(
    st.lists(st.floats(0, 40 * DAY), min_size=1, max_size=12),
    st.floats(1, 60 * DAY),
    st.floats(0, 60 * DAY),
)
def test_every_old_line_goes(
    elapsed: list[float], max_age: float, since: float
) -> None:
    """
    With a right clock, a segment goes once all its lines are a second too old.
    """
    began = [FIRST + sum(elapsed[:count]) for count in range(len(elapsed) + 1)]
    now = began[-1] + since

    found = by_age(began[:-1], max_age, active_first=began[-1], now=now)

    assert {
        number for number in range(1, len(began)) if now - began[number] > max_age + 1
    } <= set(found)


ENTRIES = st.one_of(
    st.text(max_size=12),
    st.builds(
        named, st.integers(1, 20), st.sampled_from([0, FIRST, FIRST + DAY])
    ).flatmap(lambda name: st.sampled_from([name, name + ".gz", name + ".tmp"])),
    st.sampled_from(["bot.log", "bot.log.1", "bot.log.gz", ".bot.log.d"]),
)
LIMITS = st.builds(
    Limits, st.integers(0, 20), st.integers(0, 2_000), st.floats(0, 2 * DAY)
)


@given(st.dictionaries(ENTRIES, st.integers(0, 100)), LIMITS)
def test_only_the_oldest_of_our_own(entries: dict[str, int], limits: Limits) -> None:
    """
    What goes are all segments up to some number, and nothing else.
    """
    found = gone(entries, limits, active_first=FIRST + DAY, now=FIRST + 2 * DAY)
    numbers = [segment_number("bot.log", entry) for entry in found]
    ours = {entry for entry in entries if segment_number("bot.log", entry) is not None}
    left = {segment_number("bot.log", entry) or 0 for entry in ours - set(found)}

    assert set(found) <= ours
    assert len(set(found)) == len(found)
    assert all((number or 0) < min(left, default=MANY) for number in numbers)
    assert sorted(found, key=lambda entry: segment_number("bot.log", entry) or 0) == (
        found
    )


@given(st.dictionaries(ENTRIES, st.integers(0, 100)), LIMITS)
def test_whichever_comes_first(entries: dict[str, int], limits: Limits) -> None:
    """
    All limits together let go what the strictest of them does alone.
    """
    times = {"active_first": FIRST + DAY, "now": FIRST + 2 * DAY}
    alone = [
        Limits(limits.backup_count),
        Limits(MANY, total_bytes=limits.total_bytes),
        Limits(MANY, max_age=limits.max_age),
    ]

    expected = max((gone(entries, limit, **times) for limit in alone), key=len)

    assert expected == gone(entries, limits, **times)
