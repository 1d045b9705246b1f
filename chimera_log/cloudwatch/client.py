"""
The four calls to CloudWatch Logs, and what its errors mean for the events in them.
"""

from __future__ import annotations

from chimera_log.aws import retry
from chimera_log.aws.retry import DONE, INVALID, MISSING, OUTAGE
from chimera_log.aws.session import Session
from chimera_log.cloudwatch.batch import in_order

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from chimera_log.aws.access import Access
    from chimera_log.cloudwatch.batch import Event

_READ_TIMEOUT = 10.0  # seconds; botocore's own are 60
_DONE = frozenset({"ResourceAlreadyExistsException", "DataAlreadyAcceptedException"})
# Names that AWS puts into the message when the fault is not in an event.
_NOT_THE_EVENTS = ("logGroupName", "logStreamName")


def meaning(code: str, status: int, message: str = "") -> str:
    """
    Return what an error answer means.

    Args:
        code: AWS's name for it; what is no answer of AWS (a proxy's page) has the
            status for a name.
        status: The HTTP status.
        message: AWS's explanation.
    """
    if code in _DONE:
        return DONE
    if code == "ResourceNotFoundException":
        return MISSING
    if code == "InvalidParameterException":
        is_elsewhere = any(name in message for name in _NOT_THE_EVENTS)
        return OUTAGE if is_elsewhere else INVALID
    return retry.meaning(code, status)


class Client:
    """
    A connection to CloudWatch Logs, made at the first call.

    It makes no retries, and waits 10 seconds for an answer; what a failure means, it
    says by `CallFailed`.  Used by one thread at a time.
    """

    def __init__(self, access: Access) -> None:
        self._session = Session("logs", access, meaning, read_timeout=_READ_TIMEOUT)

    def create_group(self, name: str, **extras: Any) -> None:
        """
        Create the group *name*, unless it is there.

        Args:
            name: The group's.
            extras: What CreateLogGroup takes besides: tags, kmsKeyId, logGroupClass.
        """
        self._session.call("create_log_group", logGroupName=name, **extras)

    def create_stream(self, group: str, name: str) -> None:
        """Create the stream *name* in *group*, unless it is there."""
        self._session.call("create_log_stream", logGroupName=group, logStreamName=name)

    def keep_for(self, group: str, days: int) -> None:
        """Have AWS keep what is in *group* for *days* days."""
        self._session.call(
            "put_retention_policy", logGroupName=group, retentionInDays=days
        )

    def put(self, group: str, stream: str, events: list[Event]) -> list[Event]:
        """
        Deliver *events*, which fit into one request.

        Returns:
            Those that AWS took no notice of, since they are too old or too far
            ahead; by AWS's clock and its retention.
        """
        ordered = in_order(events)
        answer = self._session.call(
            "put_log_events",
            logGroupName=group,
            logStreamName=stream,
            logEvents=[
                {"timestamp": timestamp, "message": message.decode("utf-8", "replace")}
                for timestamp, message in ordered
            ],
        )
        return _left_out(ordered, answer.get("rejectedLogEventsInfo") or {})

    def forget(self) -> None:
        """Begin anew at the next call: with credentials that are read again."""
        self._session.forget()


def _left_out(events: list[Event], info: dict[str, Any]) -> list[Event]:
    """Return what AWS left out of *events*, as its answer tells by position."""
    count = len(events)
    begin = max(
        info.get("tooOldLogEventEndIndex", 0), info.get("expiredLogEventEndIndex", 0)
    )
    end = info.get("tooNewLogEventStartIndex", count)
    return events[:begin] + events[max(begin, end) :]
