"""
What an error of AWS means for whoever asked, and when to try again.

Pure: `meaning` reads an answer, a `Backoff` is told the time and answers how long
to wait.  Retries are ours alone; boto3 is told to make none.
"""

from __future__ import annotations

import random

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

DONE = "done"  # it is as we wanted it already
TRANSIENT = "transient"  # busy, broken or out of reach: the same again, soon
OUTAGE = "outage"  # not with these credentials, not by this route: keep, and probe
REFUSED = "refused"  # we may not, or the account may not have more of it
MISSING = "missing"  # where it should go is not there
INVALID = "invalid"  # what we sent is not acceptable
UNABLE = "unable"  # we have no credentials, no region: nobody was even asked
ABSENT = "absent"  # there is no boto3

_REFUSED = frozenset({"LimitExceededException", "UnauthorizedOperation"})
_TRANSIENT = frozenset(
    {
        "OperationAbortedException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "SlowDown",
        "TooManyRequestsException",
    }
)
_FORBIDDEN = (401, 403)
_TOO_MANY_REQUESTS, _SERVER_ERROR = 429, 500

_FIRST_DELAY, _CAP = 0.2, 30.0  # seconds
_THROTTLED_FIRST_DELAY = 1.0
_OUTAGE_FIRST_DELAY, _OUTAGE_CAP = 5.0, 60.0  # nobody mends it within a second
_TRUST = 5  # failures in a row until we wait the longest time
_HURRIED_CAP = 1.0  # seconds between two tries while somebody waits for us


def meaning(code: str, status: int) -> str:
    """
    Return what an error answer means, unless its service has another name for it.

    Args:
        code: AWS's name for it; what is no answer of AWS (a proxy's page) has the
            status for a name.
        status: The HTTP status.
    """
    if (
        code in _TRANSIENT
        or code.startswith("Throttl")
        or status == _TOO_MANY_REQUESTS
        or status >= _SERVER_ERROR
    ):
        return TRANSIENT
    if code in _REFUSED or code.startswith("AccessDenied") or status in _FORBIDDEN:
        return REFUSED
    # Credentials that expired or are unknown, a clock that is wrong, and what we do
    # not know: none of it is the fault of what we sent.
    return OUTAGE


class Backoff:
    """
    When to try again after failures.

    The wait is drawn at random from a range that doubles with each failure ("full
    jitter"), so that a thousand services do not come back at one moment.  After
    five failures in a row it is always near the longest: one probe at a time.

    Args:
        draw: A number from 0 up to, but not including, 1.
        outage_cap: Seconds to wait at most where somebody has to mend something.
    """

    def __init__(
        self,
        draw: Callable[[], float] = random.random,
        outage_cap: float = _OUTAGE_CAP,
    ) -> None:
        self._draw = draw
        self._outage_cap = outage_cap
        self._hurried_until = float("-inf")
        self.succeeded()

    def succeeded(self) -> None:
        """Go on at full speed."""
        self.failures = 0
        self._until = float("-inf")

    def failed(self, now: float, kind: str, *, is_throttled: bool = False) -> None:
        """
        Wait before the next try.

        Args:
            now: Seconds that never go back.
            kind: What the failure meant.
            is_throttled: Whether AWS asked us to slow down.
        """
        first, cap = _FIRST_DELAY, _CAP
        if is_throttled:
            first = _THROTTLED_FIRST_DELAY
        if kind != TRANSIENT:
            first, cap = _OUTAGE_FIRST_DELAY, self._outage_cap
        is_open = self.failures >= _TRUST
        longest = cap if is_open else min(cap, first * 2.0**self.failures)
        shortest = longest / 2 if is_open or kind != TRANSIENT else 0.0
        self.failures += 1
        if now < self._hurried_until:
            shortest, longest = 0.0, min(longest, _HURRIED_CAP)
        self._until = now + shortest + (longest - shortest) * self._draw()

    def hurry(self, now: float, until: float) -> None:
        """Try now, and until *until* at least every second: somebody waits."""
        if now >= self._hurried_until:
            self._until = min(self._until, now)
        self._hurried_until = until

    def wait(self, now: float) -> float:
        """Return the seconds to wait; 0: try."""
        return max(self._until - now, 0.0)
