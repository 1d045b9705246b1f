"""
The group and the stream that events go to, made when they are needed.

The stream is tried first: where the group is there already, as in most restarts,
one call does.  Nothing is ever asked for by ``Describe``, so that three permissions
to create and one to deliver are all that a service needs.
"""

from __future__ import annotations

from collections import namedtuple

from chimera_log.aws.retry import INVALID, MISSING, REFUSED, TRANSIENT
from chimera_log.aws.session import CallFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from chimera_log.cloudwatch.client import Client

_RETENTION_PAUSE = 60.0  # seconds until the retention is tried again

# Where events go.
Target = namedtuple(
    "Target",
    [
        "group",
        "stream",
        "retention_in_days",  # or None: the group's own policy is left alone
        "extras",  # what CreateLogGroup takes besides, as a dict
    ],
)


class Place:
    """
    See to it that *target* is there.

    Args:
        client: Makes the calls.
        target: What is to be there.
        tell: Told the kind of trouble and, in words, what it is.
        is_new: Whether the retention is to be set even if the group was there.
    """

    def __init__(
        self,
        client: Client,
        target: Target,
        tell: Callable[[str, str], object],
        *,
        is_new: bool = True,
    ) -> None:
        self._target = target
        self._client = client
        self._tell = tell
        self._has_group = True  # until we are told that it is missing
        self._has_stream = False
        self._extras = target.extras
        self._owes_retention = is_new and target.retention_in_days is not None
        self._retention_from = float("-inf")

    def is_ready(self, now: float) -> bool:
        """Whether there is nothing to prepare now; *now* as for `prepare`."""
        return self._has_stream and not (
            self._owes_retention and now >= self._retention_from
        )

    def lost(self) -> None:
        """Note that AWS does not know the stream any more."""
        self._has_stream = False

    def keep_for(self, days: int | None) -> None:
        """Have what is there kept for *days* days; ``None``: as it is kept now."""
        self._target = self._target._replace(retention_in_days=days)
        self._owes_retention = days is not None

    def prepare(self, now: float) -> None:
        """
        Make the next call that the place needs.

        Args:
            now: Seconds that never go back.

        Raises:
            CallFailed: If nothing can be delivered before it is made again.
        """
        if not self._has_group:
            self._make_group()
        elif not self._has_stream:
            self._make_stream()
        else:
            self._set_retention(now)

    def _make_stream(self) -> None:
        try:
            self._client.create_stream(self._target.group, self._target.stream)
        except CallFailed as failure:
            if failure.kind == MISSING:
                self._has_group = False
                return
            if failure.kind != REFUSED:
                raise
            # It may be there all the same, made by whoever refuses us.
            self._tell("stream", f"cannot make stream {self._target.stream}: {failure}")
        self._has_stream = True

    def _make_group(self) -> None:
        try:
            self._client.create_group(self._target.group, **self._extras)
        except CallFailed as failure:
            if failure.kind not in {REFUSED, INVALID} or not self._extras:
                raise
            names = ", ".join(self._extras)
            self._tell("group", f"making the group without {names}: {failure}")
            self._extras = {}
            return
        self._has_group = True
        self._owes_retention = self._target.retention_in_days is not None

    def _set_retention(self, now: float) -> None:
        days = self._target.retention_in_days
        self._owes_retention = False
        try:
            self._client.keep_for(self._target.group, days)
        except CallFailed as failure:
            if failure.kind == TRANSIENT:
                self._owes_retention = True
                self._retention_from = now + _RETENTION_PAUSE
            elif failure.kind != MISSING:  # it will be made, and kept as we like
                what = f"cannot have the group kept for {days} days"
                self._tell("retention", f"{what}: {failure}")
