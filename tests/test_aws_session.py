"""
One client for all services: what a failure means, and when a session is a new one.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import botocore.exceptions
import pytest

from chimera_log.aws import retry
from chimera_log.aws.access import Access
from chimera_log.aws.retry import (
    ABSENT,
    DONE,
    INVALID,
    OUTAGE,
    REFUSED,
    TRANSIENT,
    UNABLE,
)
from chimera_log.aws.session import CallFailed, Session

if TYPE_CHECKING:
    from collections.abc import Callable


class Boto:
    """A client as boto3 makes them; answers with *answer*, or raises it."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = {} if answer is None else answer
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(**parameters: Any) -> Any:
            self.asked.append((name, parameters))
            if isinstance(self.answer, Exception):
                raise self.answer
            return self.answer

        return call


made: list[Any] = []


def make(config: Any) -> Boto:
    """Be a client factory that can be named."""
    made.append(config)
    return Boto()


def meaning(code: str, status: int, message: str) -> str:
    """Return what an answer means to a service that knows one code of its own."""
    assert isinstance(message, str)
    return DONE if code == "ItIsDone" else retry.meaning(code, status)


def session_of(factory: Any) -> Session:
    """Return a session that *factory* makes the client for."""
    access = Access(None, None, None, factory)
    return Session("logs", access, meaning, read_timeout=7.0)


def failing(answer: Any) -> CallFailed:
    """Return how a call fails that is answered so."""
    with pytest.raises(CallFailed) as caught:
        session_of(lambda _: Boto(answer)).call("put_log_events")
    return caught.value


def said(code: str, status: int, message: str = "") -> Exception:
    """Return the error that boto3 raises for this answer."""
    made: Exception = botocore.exceptions.ClientError(
        {
            "Error": {"Code": code, "Message": message},
            "ResponseMetadata": {"HTTPStatusCode": status},
        },
        "PutLogEvents",
    )
    return made


class TestFailure:
    @pytest.mark.parametrize(
        ("error", "expected"),
        [
            (said("AccessDeniedException", 400), REFUSED),
            (said("403", 403), REFUSED),
            (said("InternalFailure", 500), TRANSIENT),
            (botocore.exceptions.NoCredentialsError(), UNABLE),
            (botocore.exceptions.NoRegionError(), UNABLE),
            (botocore.exceptions.ProfileNotFound(profile="x"), UNABLE),
            (botocore.exceptions.ConnectTimeoutError(endpoint_url="x"), TRANSIENT),
            (botocore.exceptions.ReadTimeoutError(endpoint_url="x"), TRANSIENT),
            (botocore.exceptions.EndpointConnectionError(endpoint_url="x"), TRANSIENT),
            (botocore.exceptions.ConnectionClosedError(endpoint_url="x"), TRANSIENT),
            (botocore.exceptions.SSLError(endpoint_url="x", error="y"), TRANSIENT),
            (botocore.exceptions.ParamValidationError(report="x"), INVALID),
            (OSError("no route"), TRANSIENT),
            (RuntimeError("a bug of the factory"), OUTAGE),
            (ImportError("no such module", name="somebodys"), OUTAGE),
        ],
    )
    def test_kind(self, error: Exception, expected: str) -> None:
        """
        Every error has one meaning, whatever raised it.
        """
        assert expected == failing(error).kind

    def test_throttled(self) -> None:
        """
        Of a request to slow down we know that it was one.
        """
        throttled = failing(said("ThrottlingException", 400))
        assert (TRANSIENT, True) == (throttled.kind, throttled.is_throttled)

    def test_code(self) -> None:
        """
        A failure has AWS's own name for it; S3 asks to slow down by another one.
        """
        slow = failing(said("SlowDown", 503))
        assert ("SlowDown", True) == (slow.code, slow.is_throttled)
        assert ("", False) == (failing(OSError()).code, failing(OSError()).is_throttled)

    def test_web_page(self) -> None:
        """
        A page that a proxy puts in the place of AWS's answer is no success.
        """
        page = {"ResponseMetadata": {"HTTPHeaders": {"content-type": "text/html"}}}
        assert OUTAGE == failing(page).kind

    @pytest.mark.parametrize("header", ["x-amzn-requestid", "x-amz-request-id"])
    def test_aws(self, header: str) -> None:
        """
        An answer that names its request is AWS's.
        """
        answer = {"ResponseMetadata": {"HTTPHeaders": {header: "1"}}}
        assert answer == session_of(lambda _: Boto(answer)).call("put_log_events")

    def test_done(self) -> None:
        """
        What is done already is a success without an answer.
        """
        boto = Boto(said("ItIsDone", 400))
        assert {} == session_of(lambda _: boto).call("create_log_group", name="g")
        assert [("create_log_group", {"name": "g"})] == boto.asked

    def test_strange_client(self) -> None:
        """
        A factory's client may answer what it likes.
        """
        assert {} == session_of(lambda _: Boto("fine")).call("put_log_events")

    def test_no_boto3(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Without boto3, the failure says what to install.
        """
        monkeypatch.setitem(sys.modules, "boto3", None)
        with pytest.raises(CallFailed, match=r"install chimera_log\[aws\]") as caught:
            session_of(None).call("put_log_events")
        assert ABSENT == caught.value.kind


class TestConnection:
    def test_factory_by_name(self) -> None:
        """
        A factory may be named, as in YAML; it is given our timeouts, and makes no
        retries.
        """
        made.clear()
        session_of(f"{__name__}.make").call("put_log_events")
        (config,) = made
        assert (3, 7, 1) == (
            config.connect_timeout,
            config.read_timeout,
            config.retries["total_max_attempts"],
        )

    def test_factory_not_there(self) -> None:
        """
        A factory that is not there is an outage that names it.
        """
        with pytest.raises(CallFailed, match="nowhere") as caught:
            session_of("tests.nowhere.make").call("put_log_events")
        assert OUTAGE == caught.value.kind

    @pytest.mark.parametrize(
        ("error", "expected"),
        [
            (said("ExpiredTokenException", 400), 2),
            (said("AccessDeniedException", 400), 2),
            (said("ThrottlingException", 400), 1),
        ],
    )
    def test_session(self, error: Exception, expected: int) -> None:
        """
        After what credentials may have caused, the session is a new one.
        """
        clients: list[Boto] = []

        def factory(_: Any) -> Boto:
            clients.append(Boto(error))
            return clients[-1]

        client = session_of(factory)
        for _ in range(2):
            with pytest.raises(CallFailed):
                client.call("put_log_events")
        assert expected == len(clients)

    def test_boto3(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Without a factory, boto3 makes the client, for the region and the address.
        """
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        access = Access("eu-west-1", None, "http://127.0.0.1:9", None)
        client = Session("logs", access, meaning, read_timeout=7.0)
        with pytest.raises(CallFailed) as caught:
            client.call("create_log_stream", logGroupName="g", logStreamName="s")
        client.forget()
        assert TRANSIENT == caught.value.kind

    def test_after_fork(self) -> None:
        """
        A forked child does not use its parent's connection, nor close it.
        """
        clients: list[Boto] = []

        def factory(_: Any) -> Boto:
            clients.append(Boto())
            return clients[-1]

        session = session_of(factory)
        session.call("put_log_events")
        session.after_fork()
        session.call("put_log_events")
        assert ["put_log_events"] == [name for name, _ in clients[0].asked]
        assert 2 == len(clients)


class TestKnows:
    def test_boto3(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        What the installed boto3 can ask for is told by its own model.
        """
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        access = Access("eu-west-1", None, "http://127.0.0.1:9", None)
        session = Session("s3", access, meaning, read_timeout=7.0)

        assert session.knows("PutObject", "ChecksumSHA256")
        assert not session.knows("PutObject", "NobodyKnows")
        session.forget()

    def test_factory(self) -> None:
        """
        A client that tells nothing is taken to know all.
        """
        assert session_of(lambda _: object()).knows("PutObject", "IfNoneMatch")

    def test_no_client(self) -> None:
        """
        Where there is no client, that is the failure.
        """

        def fail(_: Any) -> Boto:
            raise OSError("no route")

        with pytest.raises(CallFailed, match="no route") as caught:
            session_of(fail).knows("PutObject", "IfNoneMatch")
        assert TRANSIENT == caught.value.kind
