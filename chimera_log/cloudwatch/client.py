"""
The four calls to AWS, made by boto3.

boto3 is imported when the first call is made, in the sending thread.  A `Client`
makes no retries and waits 3 seconds for a connection, 10 for an answer; what a
failure means, it says by `CallFailed`.
"""

from __future__ import annotations

# An import of this one while the interpreter ends fails ("can't register atexit
# after shutdown"), and boto3 imports it.
import concurrent.futures.thread  # noqa: F401
import importlib
import os
from collections import namedtuple
from contextlib import suppress

from chimera_log.cloudwatch.batch import in_order
from chimera_log.cloudwatch.retry import (
    ABSENT,
    DONE,
    INVALID,
    OUTAGE,
    REFUSED,
    TRANSIENT,
    UNABLE,
    meaning,
)
from chimera_log.native import RLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from chimera_log.cloudwatch.batch import Event

_CONNECT_TIMEOUT, _READ_TIMEOUT = 3.0, 10.0  # seconds; botocore's own are 60 each

# Errors of botocore before it asks anybody, by name: it cannot be imported here.
_UNABLE = {
    "NoCredentialsError",
    "NoRegionError",
    "PartialCredentialsError",
    "ProfileNotFound",
}

# Whom to talk to, and as whom.
Access = namedtuple(
    "Access",
    [
        "region_name",
        "profile_name",
        "endpoint_url",
        "client_factory",  # a dotted path, or a callable; None: boto3's own
    ],
)


class CallFailed(Exception):  # noqa: N818  it says what happened
    """
    A call that had no success.

    Args:
        kind: What it means, as `chimera_log.cloudwatch.retry` names it.
        text: What happened, in words.
        is_throttled: Whether AWS asked us to slow down.
    """

    def __init__(self, kind: str, text: str, *, is_throttled: bool = False) -> None:
        super().__init__(text)
        self.kind = kind
        self.is_throttled = is_throttled


class Client:
    """
    A connection to CloudWatch Logs, made at the first call.

    After a failure that credentials may have caused, the next call begins with a
    new session, which reads them anew.

    Used by one thread at a time.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._client: Any = None

    def create_group(self, name: str, **extras: Any) -> None:
        """
        Create the group *name*, unless it is there.

        Args:
            name: The group's.
            extras: What CreateLogGroup takes besides: tags, kmsKeyId, logGroupClass.
        """
        self._call("create_log_group", logGroupName=name, **extras)

    def create_stream(self, group: str, name: str) -> None:
        """Create the stream *name* in *group*, unless it is there."""
        self._call("create_log_stream", logGroupName=group, logStreamName=name)

    def keep_for(self, group: str, days: int) -> None:
        """Have AWS keep what is in *group* for *days* days."""
        self._call("put_retention_policy", logGroupName=group, retentionInDays=days)

    def put(self, group: str, stream: str, events: list[Event]) -> list[Event]:
        """
        Deliver *events*, which fit into one request.

        Returns:
            Those that AWS took no notice of, since they are too old or too far
            ahead; by AWS's clock and its retention.
        """
        ordered = in_order(events)
        answer = self._call(
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
        client, self._client = self._client, None
        with suppress(Exception):  # older ones, and a factory's, have no such method
            client.close()

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        try:
            if self._client is None:
                with _importing:
                    self._client = _connect(self._access)
            answer: Any = getattr(self._client, operation)(**parameters)
        except Exception as error:
            failure = _failure(error)
            if failure.kind == DONE:
                return {}
            if failure.kind in {OUTAGE, REFUSED, UNABLE, ABSENT}:
                self.forget()
            raise failure from error
        if not isinstance(answer, dict):  # a factory's client may be anything
            return {}
        headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders")
        if headers is not None and "x-amzn-requestid" not in headers:
            # botocore calls any page a success that comes with the status 200.
            raise CallFailed(OUTAGE, "an answer that is not AWS's (of a proxy?)")
        return answer


def _connect(access: Access) -> Any:
    """Return boto3's client, or what the factory makes."""
    import encodings.idna  # noqa: F401, PLC0415  what a first connection imports

    import boto3  # noqa: PLC0415  0.3 s and 35 MB, for those who send
    import botocore.config  # noqa: PLC0415

    config = botocore.config.Config(
        connect_timeout=_CONNECT_TIMEOUT,
        read_timeout=_READ_TIMEOUT,
        retries={"total_max_attempts": 1},
        parameter_validation=False,  # a third of the time that a call takes
        tcp_keepalive=True,
    )
    if access.client_factory is not None:
        return _resolved(access.client_factory)(config)
    session = boto3.Session(
        region_name=access.region_name, profile_name=access.profile_name
    )
    return session.client("logs", endpoint_url=access.endpoint_url, config=config)


def _resolved(factory: str | Callable[[Any], Any]) -> Callable[[Any], Any]:
    if callable(factory):
        return factory
    module, _, name = factory.rpartition(".")
    found: Callable[[Any], Any] = getattr(importlib.import_module(module), name)
    return found


def _failure(error: Exception) -> CallFailed:
    """Return what *error* means."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):  # botocore's ClientError: AWS, or a proxy, said no
        code = str(response.get("Error", {}).get("Code", ""))
        message = str(response.get("Error", {}).get("Message", ""))
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0
        kind = meaning(code, status, message)
        return CallFailed(kind, str(error), is_throttled=code.startswith("Throttl"))
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, ImportError) and str(error.name).startswith("boto"):
        return CallFailed(ABSENT, "boto3 is not installed; install chimera_log[aws]")
    names = {each.__name__ for each in type(error).__mro__}
    if "ParamValidationError" in names:
        return CallFailed(INVALID, text)
    if names & {"HTTPClientError", "ConnectionError", "OSError"}:
        return CallFailed(TRANSIENT, text)
    if names & _UNABLE:
        return CallFailed(UNABLE, text)
    # A metadata service that does not answer, a factory that fails.
    return CallFailed(OUTAGE, text)


def _left_out(events: list[Event], info: dict[str, Any]) -> list[Event]:
    """Return what AWS left out of *events*, as its answer tells by position."""
    count = len(events)
    begin = max(
        info.get("tooOldLogEventEndIndex", 0), info.get("expiredLogEventEndIndex", 0)
    )
    end = info.get("tooNewLogEventStartIndex", count)
    return events[:begin] + events[max(begin, end) :]


# Held while boto3 is imported and a session made: a child forked in the midst of it
# would wait for ever for a module's lock.
_importing = RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_importing.acquire,
        after_in_parent=_importing.release,
        after_in_child=_importing.release,
    )
