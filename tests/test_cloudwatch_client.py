"""
Each call asks for what it should, and each error has one meaning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import botocore.exceptions
import pytest

from chimera_log.aws.access import Access
from chimera_log.aws.retry import (
    DONE,
    INVALID,
    MISSING,
    OUTAGE,
    REFUSED,
    TRANSIENT,
)
from chimera_log.aws.session import CallFailed
from chimera_log.cloudwatch.batch import Event
from chimera_log.cloudwatch.client import Client, meaning

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


class TestMeaning:
    @pytest.mark.parametrize(
        ("code", "status", "expected"),
        [
            ("ResourceAlreadyExistsException", 400, DONE),
            ("DataAlreadyAcceptedException", 400, DONE),
            ("ResourceNotFoundException", 400, MISSING),
            ("InvalidParameterException", 400, INVALID),
            ("ThrottlingException", 400, TRANSIENT),
            ("AccessDeniedException", 400, REFUSED),
        ],
    )
    def test_answer(self, code: str, status: int, expected: str) -> None:
        """
        What is CloudWatch's own has a meaning, and all else what it has elsewhere.
        """
        assert expected == meaning(code, status)

    @pytest.mark.parametrize("name", ["logGroupName", "logStreamName"])
    def test_invalid_name(self, name: str) -> None:
        """
        A name that AWS does not take is no event's fault: nothing is given up.
        """
        message = f"Value 'x' at '{name}' failed to satisfy constraint"
        assert OUTAGE == meaning("InvalidParameterException", 400, message)


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
            (said("InternalFailure", 500), TRANSIENT),
        ],
    )
    def test_kind(self, error: Exception, expected: str) -> None:
        """
        Every error has the meaning that CloudWatch gives it.
        """
        assert expected == failing(error).kind

    def test_strange_client(self) -> None:
        """
        A factory's client may answer what it likes.
        """
        assert [] == client_of(lambda _: Boto("fine")).put("g", "s", EVENTS)

    def test_timeout(self) -> None:
        """
        An answer may take ten seconds; `forget` begins anew.
        """
        made: list[Any] = []

        def make(config: Any) -> Boto:
            made.append(config.read_timeout)
            return Boto()

        client = client_of(make)
        client.put("g", "s", EVENTS)
        client.forget()
        client.put("g", "s", EVENTS)
        assert [10.0, 10.0] == made
