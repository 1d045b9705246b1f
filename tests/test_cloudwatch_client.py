"""
Each call asks for what it should, and each error has one meaning.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import botocore.exceptions
import pytest

from chimera_log.cloudwatch.batch import Event
from chimera_log.cloudwatch.client import Access, CallFailed, Client
from chimera_log.cloudwatch.retry import (
    ABSENT,
    INVALID,
    MISSING,
    OUTAGE,
    REFUSED,
    TRANSIENT,
    UNABLE,
)

if TYPE_CHECKING:
    from collections.abc import Callable

EVENTS = [Event(number, b"%d" % number) for number in range(5)]


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


def client_of(factory: Any) -> Client:
    """Return a client that *factory* makes what it uses for."""
    return Client(Access(None, None, None, factory))


def failing(answer: Any) -> CallFailed:
    """Return how a call fails that is answered so."""
    with pytest.raises(CallFailed) as caught:
        client_of(lambda _: Boto(answer)).put("group", "stream", EVENTS)
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


class TestCalls:
    def test_create_group(self) -> None:
        """
        A group is made with what is wanted besides.
        """
        boto = Boto()
        client_of(lambda _: boto).create_group("Chimera", tags={"team": "trading"})
        expected = {"logGroupName": "Chimera", "tags": {"team": "trading"}}
        assert [("create_log_group", expected)] == boto.asked

    def test_create_stream(self) -> None:
        """
        A stream is made in its group.
        """
        boto = Boto()
        client_of(lambda _: boto).create_stream("Chimera", "one")
        expected = {"logGroupName": "Chimera", "logStreamName": "one"}
        assert [("create_log_stream", expected)] == boto.asked

    def test_keep_for(self) -> None:
        """
        The retention is set in days.
        """
        boto = Boto()
        client_of(lambda _: boto).keep_for("Chimera", 1096)
        expected = {"logGroupName": "Chimera", "retentionInDays": 1096}
        assert [("put_retention_policy", expected)] == boto.asked

    def test_put(self) -> None:
        """
        Events go in order of time, as text; what is no UTF-8 is replaced.
        """
        boto = Boto()
        client_of(lambda _: boto).put("g", "s", [Event(2, b"b\xff"), Event(1, b"a")])
        expected = [
            {"timestamp": 1, "message": "a"},
            {"timestamp": 2, "message": "b\ufffd"},
        ]
        assert expected == boto.asked[0][1]["logEvents"]

    def test_there_already(self) -> None:
        """
        What is there already is as it was to be.
        """
        there = said("ResourceAlreadyExistsException", 400)
        boto = Boto(there)
        client_of(lambda _: boto).create_stream("Chimera", "one")
        assert 1 == len(boto.asked)


class TestLeftOut:
    @pytest.mark.parametrize(
        ("info", "expected"),
        [
            ({}, []),
            ({"tooOldLogEventEndIndex": 2}, [0, 1]),
            ({"expiredLogEventEndIndex": 1}, [0]),
            ({"tooOldLogEventEndIndex": 1, "expiredLogEventEndIndex": 2}, [0, 1]),
            ({"tooNewLogEventStartIndex": 3}, [3, 4]),
            ({"tooOldLogEventEndIndex": 1, "tooNewLogEventStartIndex": 4}, [0, 4]),
            ({"tooOldLogEventEndIndex": 5}, [0, 1, 2, 3, 4]),
            ({"tooNewLogEventStartIndex": 0}, [0, 1, 2, 3, 4]),
        ],
    )
    def test_positions(self, info: dict[str, int], expected: list[int]) -> None:
        """
        AWS tells what it left out by position: the end of the old is exclusive,
        the begin of the new inclusive.
        """
        boto = Boto({"rejectedLogEventsInfo": info})
        left_out = client_of(lambda _: boto).put("g", "s", EVENTS)
        assert expected == [event.timestamp for event in left_out]


class TestFailure:
    @pytest.mark.parametrize(
        ("error", "expected"),
        [
            (said("ResourceNotFoundException", 400), MISSING),
            (said("InvalidParameterException", 400), INVALID),
            (said("InvalidParameterException", 400, "at 'logStreamName'"), OUTAGE),
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

    def test_web_page(self) -> None:
        """
        A page that a proxy puts in the place of AWS's answer is no success.
        """
        page = {"ResponseMetadata": {"HTTPHeaders": {"content-type": "text/html"}}}
        assert OUTAGE == failing(page).kind

    def test_aws(self) -> None:
        """
        An answer that names its request is AWS's.
        """
        answer = {"ResponseMetadata": {"HTTPHeaders": {"x-amzn-requestid": "1"}}}
        assert [] == client_of(lambda _: Boto(answer)).put("g", "s", EVENTS)

    def test_strange_client(self) -> None:
        """
        A factory's client may answer what it likes.
        """
        assert [] == client_of(lambda _: Boto("fine")).put("g", "s", EVENTS)

    def test_no_boto3(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Without boto3, the failure says what to install.
        """
        monkeypatch.setitem(sys.modules, "boto3", None)
        with pytest.raises(CallFailed, match=r"install chimera_log\[aws\]") as caught:
            client_of(None).put("g", "s", EVENTS)
        assert ABSENT == caught.value.kind


class TestConnection:
    def test_factory_by_name(self) -> None:
        """
        A factory may be named, as in YAML; it is given our timeouts, and makes no
        retries.
        """
        made.clear()
        client_of(f"{__name__}.make").put("g", "s", EVENTS)
        (config,) = made
        assert (3, 10, 1) == (
            config.connect_timeout,
            config.read_timeout,
            config.retries["total_max_attempts"],
        )

    def test_factory_not_there(self) -> None:
        """
        A factory that is not there is an outage that names it.
        """
        with pytest.raises(CallFailed, match="nowhere") as caught:
            client_of("tests.nowhere.make").put("g", "s", EVENTS)
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

        client = client_of(factory)
        for _ in range(2):
            with pytest.raises(CallFailed):
                client.put("g", "s", EVENTS)
        assert expected == len(clients)

    def test_boto3(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Without a factory, boto3 makes the client, for the region and the address.
        """
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        client = Client(Access("eu-west-1", None, "http://127.0.0.1:9", None))
        with pytest.raises(CallFailed) as caught:
            client.create_stream("g", "s")
        client.forget()
        assert TRANSIENT == caught.value.kind
