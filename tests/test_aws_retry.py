"""
Errors have a meaning, and retries are spread.
"""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimera_log.aws.retry import (
    MISSING,
    OUTAGE,
    REFUSED,
    TRANSIENT,
    Backoff,
    meaning,
)


class TestMeaning:
    @pytest.mark.parametrize(
        ("code", "status", "expected"),
        [
            ("ThrottlingException", 400, TRANSIENT),
            ("Throttling", 400, TRANSIENT),
            ("ServiceUnavailableException", 503, TRANSIENT),
            ("InternalFailure", 500, TRANSIENT),
            ("502", 502, TRANSIENT),
            ("429", 429, TRANSIENT),
            ("RequestTimeout", 400, TRANSIENT),
            ("OperationAbortedException", 400, TRANSIENT),
            ("AccessDeniedException", 400, REFUSED),
            ("AccessDenied", 403, REFUSED),
            ("403", 403, REFUSED),
            ("401", 401, REFUSED),
            ("LimitExceededException", 400, REFUSED),
            ("ExpiredTokenException", 400, OUTAGE),
            ("UnrecognizedClientException", 400, OUTAGE),
            ("InvalidSignatureException", 400, OUTAGE),
            ("RequestTimeTooSkewed", 400, OUTAGE),
            ("SomethingNobodyKnows", 400, OUTAGE),
            ("", 0, OUTAGE),
        ],
    )
    def test_answer(self, code: str, status: int, expected: str) -> None:
        """
        Every answer of AWS, or of a proxy in its place, has one meaning.
        """
        assert expected == meaning(code, status)


class TestBackoff:
    def test_not_failed(self) -> None:
        """
        Without a failure there is nothing to wait for.
        """
        assert 0 == Backoff().wait(7)

    @pytest.mark.parametrize(
        ("kind", "longest"),
        [
            (TRANSIENT, [0.2, 0.4, 0.8, 1.6, 3.2, 30.0, 30.0]),
            (OUTAGE, [5.0, 10.0, 20.0, 40.0, 60.0, 60.0, 60.0]),
            (REFUSED, [5.0, 10.0, 20.0, 40.0, 60.0, 60.0, 60.0]),
        ],
    )
    def test_longest(self, kind: str, longest: list[float]) -> None:
        """
        The longest wait doubles with each failure, and after five is the longest
        of all.
        """
        backoff = Backoff(lambda: 1.0)
        waits = []
        for _ in longest:
            backoff.failed(100.0, kind)
            waits.append(pytest.approx(backoff.wait(100.0)))
        assert longest == waits

    def test_outage_cap(self) -> None:
        """
        Where somebody has to mend something the longest wait may be another one.
        """
        backoff = Backoff(lambda: 1.0, outage_cap=900.0)
        for _ in range(6):
            backoff.failed(0.0, OUTAGE)
        assert 900.0 == pytest.approx(backoff.wait(0.0))
        backoff.failed(0.0, TRANSIENT)
        assert 30.0 == pytest.approx(backoff.wait(0.0))

    def test_shortest(self) -> None:
        """
        The first waits may be none at all; an outage, and what has failed five
        times, is not tried before half of the longest wait is over.
        """
        transient, outage = Backoff(lambda: 0.0), Backoff(lambda: 0.0)
        waits = []
        for _ in range(6):
            transient.failed(0.0, TRANSIENT)
            waits.append(transient.wait(0.0))
        outage.failed(0.0, OUTAGE)
        assert ([0.0] * 5 + [15.0], 2.5) == (waits, outage.wait(0.0))

    def test_throttled(self) -> None:
        """
        When AWS asks to slow down, the first wait is a second.
        """
        backoff = Backoff(lambda: 1.0)
        backoff.failed(0.0, TRANSIENT, is_throttled=True)
        assert 1.0 == backoff.wait(0.0)

    def test_succeeded(self) -> None:
        """
        One success, and everything goes at full speed.
        """
        backoff = Backoff(lambda: 1.0)
        for _ in range(9):
            backoff.failed(0.0, OUTAGE)
        backoff.succeeded()
        backoff.failed(0.0, TRANSIENT)
        assert pytest.approx(0.2) == backoff.wait(0.0)

    def test_wait_passes(self) -> None:
        """
        What was to be waited for is over when its time has come.
        """
        backoff = Backoff(lambda: 1.0)
        backoff.failed(0.0, OUTAGE)
        assert (5.0, 1.0, 0.0) == tuple(backoff.wait(now) for now in (0.0, 4.0, 9.0))

    def test_hurry(self) -> None:
        """
        When somebody waits, it is tried at once, and then at least every second,
        until nobody waits any more.
        """
        backoff = Backoff(lambda: 1.0)
        backoff.failed(0.0, OUTAGE)
        backoff.hurry(1.0, until=5.0)
        waits = [backoff.wait(1.0)]
        for now in (1.0, 3.0, 5.0):
            backoff.failed(now, OUTAGE)
            waits.append(backoff.wait(now))
        assert [0.0, 1.0, 1.0, 40.0] == waits

    def test_hurry_again(self) -> None:
        """
        Asking again, as one who waits does, brings no try forward.
        """
        backoff = Backoff(lambda: 1.0)
        backoff.hurry(0.0, until=5.0)
        backoff.failed(0.0, OUTAGE)
        backoff.hurry(0.5, until=5.0)
        assert 0.5 == backoff.wait(0.5)

    @given(
        st.lists(st.sampled_from([TRANSIENT, OUTAGE, REFUSED, MISSING]), min_size=2),
        st.floats(0, 1, exclude_max=True),
    )
    def test_bounds(self, kinds: list[str], drawn: float) -> None:
        """
        However long it fails, a wait is between nothing and a minute.
        """
        backoff = Backoff(lambda: drawn)
        waits = []
        for kind in kinds:
            backoff.failed(0.0, kind)
            waits.append(backoff.wait(0.0))
        assert all(0 <= wait <= 60 for wait in waits)

    def test_spread(self) -> None:
        """
        What failed at one moment does not come back at one moment.
        """
        waits = []
        for number in range(100):
            backoff = Backoff(lambda number=number: number / 100)  # type: ignore[misc]
            backoff.failed(0.0, TRANSIENT)
            waits.append(backoff.wait(0.0))
        assert 100 == len({*waits})
        assert all(later - earlier < 0.01 for earlier, later in pairwise(waits))
