"""
How long full files will hold: by what came so far, in one line.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimera_log.audit.forecast import Forecast, forecast
from chimera_log.audit.manifest import Manifest
from chimera_log.audit.retain import DAY
from tests.test_audit_manifest import SEALED

MEGABYTE = 10**6


def sealed(
    lines: int = 120_000,
    size: int = 100 * MEGABYTE,
    elapsed: float = 100_000.0,
    **changes: Any,
) -> Manifest:
    """Return the manifest of a segment; by default 1.2 records/s of 833 bytes."""
    return Manifest(
        SEALED._replace(lines=lines, bytes=size, elapsed=elapsed, **changes)
    )


def expected_of(*manifests: Manifest, **options: Any) -> Forecast | None:
    """Return the forecast for a trail as it is configured by default."""
    options = {
        "max_bytes": 100 * MEGABYTE,
        "backup_count": 50,
        "floor_days": 1096,
        **options,
    }
    return forecast(manifests, **options)


class TestForecast:
    def test_one_segment(self) -> None:
        """
        One full file tells the rate: what is kept, and what the floor needs.
        """
        found = expected_of(sealed())

        assert found is not None
        assert 1.2 == found.rate
        assert 50 * 100_000 / DAY == pytest.approx(found.days)
        assert 947 == found.segments  # 1096 * 86400 / 100000, rounded up
        assert 1096 * DAY * 1_000 / 4.2 == pytest.approx(found.bytes)

    def test_several(self) -> None:
        """
        The rate is that of all records over all of the trail's life.
        """
        found = expected_of(sealed(), sealed(lines=0, elapsed=20_000.0))

        assert found is not None
        assert 1.0 == found.rate

    @pytest.mark.parametrize(
        "manifests",
        [
            [],
            [sealed(elapsed=0.0)],
            [sealed(elapsed=59.9)],
            [sealed(elapsed=-1e9)],
            [sealed(size=0)],
            [sealed(size=-5)],
            [sealed(chain=None)],
        ],
    )
    def test_too_little(self, manifests: list[Manifest]) -> None:
        """
        Without a minute of a chained trail in full files there is none.
        """
        assert expected_of(*manifests) is None

    def test_never_full(self) -> None:
        """
        Nor where files are never full.
        """
        assert expected_of(sealed(), max_bytes=0) is None

    @pytest.mark.parametrize(
        ("size", "max_bytes", "segments", "days"),
        [
            (MEGABYTE, 0, 1096, 50),
            (MEGABYTE, 100 * MEGABYTE, 1096, 50),
            (100 * MEGABYTE, 100 * MEGABYTE, 1096, 50),
            (101 * MEGABYTE, 100 * MEGABYTE, 2 * 1096, 25),
        ],
    )
    def test_at_midnight(
        self, size: int, max_bytes: int, segments: int, days: float
    ) -> None:
        """
        Where each day begins a new file, there is one a day at least.
        """
        found = expected_of(
            sealed(size=size, elapsed=float(DAY)), max_bytes=max_bytes, at_midnight=True
        )

        assert found is not None
        assert (segments, days) == (found.segments, found.days)

    @pytest.mark.parametrize(
        ("ratio", "divisor", "is_packed"),
        [(None, 4.2, True), (5.0, 5.0, True), (1, 1, False), (1.0, 1, False)],
    )
    def test_ratio(self, ratio: float | None, divisor: float, is_packed: bool) -> None:
        """
        What is on disk tells how small it becomes; else the usual is expected.
        """
        found = expected_of(sealed(), packed_ratio=ratio)

        assert found is not None
        assert 1096 * DAY * 1_000 / divisor == pytest.approx(found.bytes)
        assert is_packed == found.is_packed


@given(
    st.integers(1, 10**6),
    st.integers(1, 10**9),
    st.floats(60, 1e8),
    st.integers(1, 10**9),
    st.integers(1, 1000),
    st.integers(1, 4000),
    st.booleans(),
)
def test_consistent(
    lines: int,
    size: int,
    elapsed: float,
    max_bytes: int,
    backup_count: int,
    floor_days: int,
    at_midnight: bool,
) -> None:
    """
    As many segments as the floor needs hold for the floor, and fewer do not.
    """
    found = expected_of(
        sealed(lines, size, elapsed),
        max_bytes=max_bytes,
        backup_count=backup_count,
        floor_days=floor_days,
        at_midnight=at_midnight,
    )

    assert found is not None
    is_enough = backup_count >= found.segments
    assert is_enough == (found.days >= floor_days * (1 - 1e-12))
    assert 1 == len(str(found).splitlines())


class TestText:
    def test_one_line(self) -> None:
        """
        It says the rate, what is kept, and what the floor needs.
        """
        assert (
            "at 1.2 records/s 50 segments hold 58 days; "
            "1096 days need 947 segments, 23 GB compressed"
        ) == str(expected_of(sealed()))

    def test_not_compressed(self) -> None:
        """
        What is not compressed is not called so.
        """
        assert str(expected_of(sealed(), packed_ratio=1)).endswith(
            "1096 days need 947 segments, 95 GB"
        )

    def test_one_segment(self) -> None:
        """
        One is no plural.
        """
        found = expected_of(sealed(), backup_count=1, floor_days=0.5)

        assert (
            "at 1.2 records/s 1 segment holds 1.2 days; "
            "0.5 days need 1 segment, 10 MB compressed"
        ) == str(found)

    @pytest.mark.parametrize(
        ("lines", "expected"),
        [
            (3, "at 3 records/day"),
            (863, "at 863 records/day"),
            (864, "at 0.01 records/s"),
            (8_640, "at 0.1 records/s"),
            (859_000, "at 9.9 records/s"),
            (864_000, "at 10 records/s"),
            (8_635_000, "at 100 records/s"),
            (86_400 * 12_345, "at 12345 records/s"),
        ],
    )
    def test_rate(self, lines: int, expected: str) -> None:
        """
        A rate has two digits, or all before the point; rare records count by day.
        """
        found = str(expected_of(sealed(lines=lines, elapsed=float(DAY))))

        assert expected == found[: len(expected)]
        assert found[len(expected) :].startswith(" 50 segments")

    @pytest.mark.parametrize(
        ("size", "expected"),
        [
            (1, "1 bytes"),
            (999.4, "999 bytes"),
            (999.6, "1 kB"),
            (1_500, "1.5 kB"),
            (999_600, "1 MB"),
            (23e9, "23 GB"),
            (3.14e12, "3.1 TB"),
            (999e15, "999 PB"),
            (12_345e15, "12345 PB"),
        ],
    )
    def test_size(self, size: float, expected: str) -> None:
        """
        Sizes are in the largest unit of which there is one.
        """
        found = Forecast(1.0, 1, 1.0, 1, 1, size, is_packed=False)

        assert str(found).endswith(f", {expected}")
