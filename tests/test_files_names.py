"""
The names of full files: what they tell.  When a day ends.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimera_log.files.names import (
    next_midnight,
    next_number,
    segment_name,
    segment_number,
    segment_time,
    time_of_line,
)

FIRST = 1761554280.0  # 2025-10-27 08:38:00 UTC
STAMP = "20251027T083800Z"
NAMES = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1
)


class TestSegmentName:
    def test_time_and_number(self) -> None:
        """
        A name tells the UTC of the first line and a number of six digits.
        """
        assert "bot.log.20251027T083800Z.000001" == segment_name(
            "bot.log", FIRST + 0.9, 1
        )

    def test_many(self) -> None:
        """
        The millionth number has seven digits.
        """
        assert f"bot.log.{STAMP}.1000000" == segment_name("bot.log", FIRST, 1_000_000)


class TestSegmentNumber:
    @given(NAMES, st.integers(0, 2**32), st.integers(1, 10**9))
    def test_reverses_name(self, name: str, first: int, number: int) -> None:
        """
        The number of a made name is what was put in.
        """
        assert number == segment_number(name, segment_name(name, first, number))

    @given(
        st.integers(1, 10**9),
        st.from_regex(
            rb"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}",
            fullmatch=True,
        ),
    )
    def test_any_time(self, number: int, start: bytes) -> None:
        """
        Whatever time a line tells, its segment is found again.
        """
        first = time_of_line(start)
        name = segment_name("bot.log", 0.0 if first is None else first, number)

        assert number == segment_number("bot.log", name)

    @pytest.mark.parametrize(
        "entry",
        [
            "bot.log",
            "bot.log.1",
            "bot.log.gz",
            "bot.log.bak",
            "bot.log.000001",
            f"bot.log.{STAMP}",
            f"bot.log.{STAMP}.1",
            f"bot.log.{STAMP}.000001.tmp",
            f"bot.log.{STAMP}.000001\n",
            f"bot.log.2.{STAMP}.000001",
            f"other.log.{STAMP}.000001",
            f"xbot.log.{STAMP}.000001",
            f"bot.log.{STAMP}.00000\u0661",  # a digit, but none of ours
            "",
        ],
    )
    def test_foreign(self, entry: str) -> None:
        """
        Other files beside the active one are no segments of it.
        """
        assert segment_number("bot.log", entry) is None

    @given(NAMES, st.text())
    def test_anything(self, name: str, entry: str) -> None:
        """
        Any entry of a directory has a number or has none.
        """
        assert segment_number(name, entry) is None or entry.startswith(name)


class TestSegmentTime:
    @given(NAMES, st.integers(0, 2**32), st.floats(0, 0.999), st.integers(1, 10**9))
    def test_reverses_name(
        self, name: str, second: int, fraction: float, number: int
    ) -> None:
        """
        The time of a made name is what was put in, without the fraction.
        """
        entry = segment_name(name, second + fraction, number)

        assert second == segment_time(name, entry)
        assert second == segment_time(name, entry + ".gz")

    @pytest.mark.parametrize(
        "entry",
        [
            "bot.log",
            f"other.log.{STAMP}.000001",
            "bot.log.20251327T083800Z.000001",
            "bot.log.20250231T083800Z.000001",
            "bot.log.00000101T000000Z.000001",
        ],
    )
    def test_no_time(self, entry: str) -> None:
        """
        A foreign file tells none, nor do digits that are no date.
        """
        assert segment_time("bot.log", entry) is None


class TestTimeOfLine:
    @pytest.mark.parametrize(
        "start",
        [
            b'{"timestamp":"2025-10-27T08:38:00.136873Z","level":"INFO"',
            b"2025-10-27 08:38:00,136 INFO started",
            b"[2025-10-27 08:38:00 +0000] [7] [INFO] Booting",
        ],
    )
    def test_forms(self, start: bytes) -> None:
        """
        Our own lines and the usual formats tell their second.
        """
        assert time_of_line(start) == FIRST

    @pytest.mark.parametrize(
        "start",
        [
            b"",
            b"started",
            b"08:38:00 started",
            b"2025-13-01T00:00:00",
            b"0000-01-01T00:00:00",
            b"2025-02-31T00:00:00",
            b"2025-10-27T25:61:61",
        ],
    )
    def test_no_time(self, start: bytes) -> None:
        """
        A line without a time, or with digits that are no date, tells none.
        """
        assert time_of_line(start) is None

    @given(st.binary(max_size=100))
    def test_anything(self, start: bytes) -> None:
        """
        No bytes can make it fail.
        """
        assert isinstance(time_of_line(start), (float, type(None)))


class TestNextNumber:
    def test_first(self) -> None:
        """
        The first number is 1, whatever else lies there.
        """
        assert 1 == next_number("bot.log", ["bot.log", "bot.log.7", "other"], last=0)

    def test_after_the_highest(self) -> None:
        """
        The next number follows the highest one that lies there, compressed or not.
        """
        entries = [
            segment_name("bot.log", FIRST, 41) + ".gz",
            segment_name("bot.log", FIRST + 9, 7),
            segment_name("other.log", FIRST, 99),
        ]

        assert 42 == next_number("bot.log", entries, last=0)

    def test_after_the_last_known(self) -> None:
        """
        It follows the last one that was given, though that lies there no more.
        """
        entries = [segment_name("bot.log", FIRST, 2)]

        assert 10 == next_number("bot.log", entries, last=9)

    @given(st.lists(st.integers(1, 10**9)), st.integers(0, 10**9))
    def test_never_given_before(self, numbers: list[int], last: int) -> None:
        """
        It is higher than all that were ever given.
        """
        entries = [segment_name("bot.log", FIRST, number) for number in numbers]

        assert next_number("bot.log", entries, last) > max([last, *numbers])


class TestNextMidnight:
    @pytest.mark.parametrize("moment", [FIRST, 1761523200.0, 1761609599.9])
    def test_this_day(self, moment: float) -> None:
        """
        Any moment of a day, its own midnight too, is followed by the next one's.
        """
        assert 1761609600.0 == next_midnight(moment)  # 2025-10-28 00:00:00 UTC

    @given(st.floats(-1e10, 1e10))
    def test_anything(self, moment: float) -> None:
        """
        It begins a day, and is after the moment by a day at most.
        """
        midnight = next_midnight(moment)

        assert 0 == midnight % 86_400
        assert moment < midnight
        assert midnight - 86_400 <= moment
