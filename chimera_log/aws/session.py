"""
A client of one of AWS's services, made by boto3 at the first call.

boto3 is imported in the thread that calls, under a lock that forks take as well.
A `Session` makes no retries and waits 3 seconds for a connection; what a failure
means, it says by `CallFailed`.
"""

from __future__ import annotations

# An import of this one while the interpreter ends fails ("can't register atexit
# after shutdown"), and boto3 imports it.
import concurrent.futures.thread  # noqa: F401
import importlib
import os
from contextlib import suppress

from chimera_log.aws.retry import (
    ABSENT,
    DONE,
    INVALID,
    OUTAGE,
    REFUSED,
    TRANSIENT,
    UNABLE,
)
from chimera_log.native import RLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from chimera_log.aws.access import Access

_CONNECT_TIMEOUT = 3.0  # seconds; botocore's own is 60

# Errors of botocore before it asks anybody, by name: it cannot be imported here.
_UNABLE = {
    "NoCredentialsError",
    "NoRegionError",
    "PartialCredentialsError",
    "ProfileNotFound",
}
# How AWS's services, of either generation, name a request in their answer.
_REQUEST_IDS = {"x-amzn-requestid", "x-amz-request-id"}


class CallFailed(Exception):  # noqa: N818  it says what happened
    """
    A call that had no success.

    Args:
        kind: What it means, as `chimera_log.aws.retry` names it, or its service.
        text: What happened, in words.
        code: AWS's name for it, if AWS answered.
        is_throttled: Whether AWS asked us to slow down.
    """

    def __init__(
        self, kind: str, text: str, *, code: str = "", is_throttled: bool = False
    ) -> None:
        super().__init__(text)
        self.kind = kind
        self.code = code
        self.is_throttled = is_throttled


class Session:
    """
    A connection to one service, made at the first call.

    After a failure that credentials may have caused, the next call begins with a
    new session, which reads them anew.

    Used by one thread at a time.

    Args:
        service: As boto3 calls it, such as ``logs``.
        access: Whom to talk to, and as whom.
        meaning: What an error answer means, told AWS's name for it, the HTTP status
            and AWS's explanation.
        read_timeout: Seconds that an answer may take.
        options: What botocore's configuration holds besides.
    """

    def __init__(
        self,
        service: str,
        access: Access,
        meaning: Callable[[str, int, str], str],
        *,
        read_timeout: float,
        **options: Any,
    ) -> None:
        self._service = service
        self._access = access
        self._meaning = meaning
        self._options = {"read_timeout": read_timeout, **options}
        self._client: Any = None

    def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """
        Return the answer to one call; an empty one if all is as it should be already.

        Raises:
            CallFailed: If it had no success.
        """
        try:
            answer: Any = getattr(self._opened(), operation)(**parameters)
        except Exception as error:
            failure = failure_of(error, self._meaning)
            if failure.kind == DONE:
                return {}
            if failure.kind in {OUTAGE, REFUSED, UNABLE, ABSENT}:
                self.forget()
            raise failure from error
        if not isinstance(answer, dict):  # a factory's client may be anything
            return {}
        headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders")
        if headers is not None and not _REQUEST_IDS.intersection(headers):
            # botocore calls any page a success that comes with the status 200.
            raise CallFailed(OUTAGE, "an answer that is not AWS's (of a proxy?)")
        return answer

    def knows(self, operation: str, parameter: str) -> bool:
        """
        Whether the boto3 that is installed can ask for something.

        A factory's client that does not tell is taken to know all.

        Args:
            operation: As AWS calls it, such as ``PutObject``.
            parameter: Of that.

        Raises:
            CallFailed: If there is no client.
        """
        try:
            client = self._opened()
        except Exception as error:
            raise failure_of(error, self._meaning) from error
        try:
            model = client.meta.service_model.operation_model(operation)
            return parameter in model.input_shape.members
        except (AttributeError, TypeError):
            return True

    def after_fork(self) -> None:
        """Forget the parent's connection, in a forked child, without using it."""
        self._client = None

    def forget(self) -> None:
        """Begin anew at the next call: with credentials that are read again."""
        client, self._client = self._client, None
        with suppress(Exception):  # older ones, and a factory's, have no such method
            client.close()

    def _opened(self) -> Any:
        if self._client is None:
            with _importing:
                self._client = _connect(self._service, self._access, self._options)
        return self._client


def _connect(service: str, access: Access, options: dict[str, Any]) -> Any:
    """Return boto3's client, or what the factory makes."""
    import encodings.idna  # noqa: F401, PLC0415  what a first connection imports

    import boto3  # noqa: PLC0415  0.3 s and 35 MB, for those who send
    import botocore.config  # noqa: PLC0415

    config = botocore.config.Config(
        connect_timeout=_CONNECT_TIMEOUT,
        retries={"total_max_attempts": 1},
        parameter_validation=False,  # a third of the time that a call takes
        tcp_keepalive=True,
        **options,
    )
    if access.client_factory is not None:
        return _resolved(access.client_factory)(config)
    session = boto3.Session(
        region_name=access.region_name, profile_name=access.profile_name
    )
    return session.client(service, endpoint_url=access.endpoint_url, config=config)


def _resolved(factory: str | Callable[[Any], Any]) -> Callable[[Any], Any]:
    if callable(factory):
        return factory
    module, _, name = factory.rpartition(".")
    found: Callable[[Any], Any] = getattr(importlib.import_module(module), name)
    return found


def failure_of(error: Exception, meaning: Callable[[str, int, str], str]) -> CallFailed:
    """Return what *error* means."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):  # botocore's ClientError: AWS, or a proxy, said no
        code = str(response.get("Error", {}).get("Code", ""))
        message = str(response.get("Error", {}).get("Message", ""))
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0
        kind = meaning(code, status, message)
        is_throttled = code.startswith("Throttl") or code == "SlowDown"
        return CallFailed(kind, str(error), code=code, is_throttled=is_throttled)
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


# Held while boto3 is imported and a session made: a child forked in the midst of it
# would wait for ever for a module's lock.
_importing = RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_importing.acquire,
        after_in_parent=_importing.release,
        after_in_child=_importing.release,
    )
