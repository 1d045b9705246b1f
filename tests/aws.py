"""
CloudWatch Logs in memory, for tests that need no network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chimera_log.aws.retry import INVALID, MISSING, OUTAGE, REFUSED, TRANSIENT
from chimera_log.aws.session import CallFailed
from chimera_log.cloudwatch.batch import Event

if TYPE_CHECKING:
    from collections.abc import Callable


class Logs:
    """
    What `chimera_log.cloudwatch.client.Client` promises, without AWS behind it.

    Groups and streams have to be made; `fail` makes the next calls fail; events
    that *is_poison* says so of are invalid, and with them their batch.
    """

    def __init__(self, is_poison: Callable[[Event], bool] = lambda _: False) -> None:
        self.groups: dict[str, dict[str, Any]] = {}
        self.streams: dict[tuple[str, str], list[Event]] = {}
        self.calls: list[str] = []
        self.batches: list[list[Event]] = []
        # Told what arrives, before it counts as delivered.
        self.deliver: Callable[[list[bytes]], object] = lambda _: None
        self.ignored: Callable[[Event], bool] = lambda _: False
        self._is_poison = is_poison
        self._failures: list[tuple[str | None, CallFailed]] = []

    def fail(
        self, kind: str, times: int = 1, *, call: str | None = None, **details: Any
    ) -> None:
        """Have the next calls fail, of this name or any."""
        failure = CallFailed(kind, f"a {kind} failure", **details)
        self._failures += [(call, failure)] * times

    @property
    def messages(self) -> list[bytes]:
        """What was delivered, in the order of delivery."""
        return [event.message for batch in self.batches for event in batch]

    def create_group(self, name: str, **extras: Any) -> None:
        """As the client does."""
        self._called("create_group")
        self.groups[name] = extras

    def create_stream(self, group: str, name: str) -> None:
        """As the client does."""
        self._called("create_stream")
        if group not in self.groups:
            raise CallFailed(MISSING, "no such group")
        self.streams.setdefault((group, name), [])

    def keep_for(self, group: str, days: int) -> None:
        """As the client does."""
        self._called("keep_for")
        if group not in self.groups:
            raise CallFailed(MISSING, "no such group")
        self.groups[group]["days"] = days

    def put(self, group: str, stream: str, events: list[Event]) -> list[Event]:
        """As the client does."""
        self._called("put")
        if (group, stream) not in self.streams:
            raise CallFailed(MISSING, "no such stream")
        if any(map(self._is_poison, events)):
            raise CallFailed(INVALID, "something is wrong with the events")
        taken = [event for event in events if not self.ignored(event)]
        self.deliver([event.message for event in taken])
        self.streams[group, stream] += taken
        self.batches.append(taken)
        return [event for event in events if self.ignored(event)]

    def forget(self) -> None:
        """As the client does."""

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if self._failures and self._failures[0][0] in {None, name}:
            raise self._failures.pop(0)[1]


class Boto:
    """
    A client as boto3 makes them, with `Logs` behind it.

    Args:
        logs: What it leads to.
        wait: Called before each call, as a network may take its time.
    """

    def __init__(self, logs: Logs, wait: Callable[[], object] = lambda: None) -> None:
        self._logs = logs
        self._wait = wait

    def create_log_group(self, **given: Any) -> dict[str, Any]:
        """As CreateLogGroup."""
        return self._call(self._logs.create_group, given.pop("logGroupName"), **given)

    def create_log_stream(self, **given: Any) -> dict[str, Any]:
        """As CreateLogStream."""
        return self._call(self._logs.create_stream, *given.values())

    def put_retention_policy(self, **given: Any) -> dict[str, Any]:
        """As PutRetentionPolicy."""
        return self._call(self._logs.keep_for, *given.values())

    def put_log_events(self, **given: Any) -> dict[str, Any]:
        """As PutLogEvents."""
        events = [
            Event(each["timestamp"], each["message"].encode())
            for each in given.pop("logEvents")
        ]
        return self._call(self._logs.put, *given.values(), events)

    def _call(
        self, call: Callable[..., Any], *given: Any, **extras: Any
    ) -> dict[str, Any]:
        self._wait()
        try:
            call(*given, **extras)
        except CallFailed as failure:
            raise Answer(failure) from None
        return {}


class Answer(Exception):  # noqa: N818  botocore's are called so as well
    """What botocore raises when AWS says no."""

    def __init__(self, failure: CallFailed) -> None:
        code, status = _ANSWERS[failure.kind]
        super().__init__(str(failure))
        self.response = {
            "Error": {"Code": code, "Message": str(failure)},
            "ResponseMetadata": {"HTTPStatusCode": status},
        }


_ANSWERS = {
    INVALID: ("InvalidParameterException", 400),
    MISSING: ("ResourceNotFoundException", 400),
    OUTAGE: ("ExpiredTokenException", 400),
    REFUSED: ("AccessDeniedException", 400),
    TRANSIENT: ("ServiceUnavailableException", 503),
}
