"""
The strict server itself, asked by boto3 with its own checks switched off.

Other tests believe what this server says; here is why they may.
"""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
)

from tests.integration import aws_rules
from tests.integration.aws_rules import DAY_MS, MAX_BYTES, OVERHEAD
from tests.integration.cloudwatch_server import (
    ERRORS,
    PATIENCE,
    REGION,
    SERVICE,
    Group,
    Server,
    refusing,
    silent,
    unaccepting,
)
from tests.integration.support import run_python, unmeasured, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOUR_MS = DAY_MS // 24
KEYS = {"aws_access_key_id": "any", "aws_secret_access_key": "any"}
GROUP, STREAM = "group", "stream"
POLICY = {"logGroupName": GROUP}
MEMBER = {"logGroupName": GROUP, "logStreamName": STREAM}


@cache
def session() -> Any:
    """Return the session of all clients, which has the service models loaded."""
    return boto3.session.Session(region_name=REGION)


@contextmanager
def client_of(url: str, service: str = "logs", **options: Any) -> Iterator[Any]:
    """Give a client that sends what it is told, once, and believes the server."""
    config = Config(
        parameter_validation=False,
        retries={"total_max_attempts": 1},
        connect_timeout=options.pop("timeout", PATIENCE),
        read_timeout=options.pop("read_timeout", PATIENCE),
    )
    options = {**KEYS, **options, "endpoint_url": url, "config": config}
    with closing(session().client(service, **options)) as client:
        yield client


# They prove the server, not the package: every other test here relies on it.
pytestmark = pytest.mark.long


@pytest.fixture
def server(cloudwatch_process: Server) -> Server:
    """Return a server with one group and one stream, where rules may be broken."""
    cloudwatch_process.reset()
    post(cloudwatch_process, json.dumps(MEMBER).encode(), "CreateLogGroup")
    post(cloudwatch_process, json.dumps(MEMBER).encode(), "CreateLogStream")
    return cloudwatch_process


@pytest.fixture
def client(server: Server) -> Iterator[Any]:
    """Return a client of that server."""
    with client_of(server.url) as client:
        yield client


def post(
    server: Server, body: bytes, operation: str, **headers: str
) -> tuple[int, bytes]:
    """Return status and body of the answer to *body*, sent without boto3."""
    scope = f"20260101/{REGION}/logs/aws4_request"
    signed = f"AWS4-HMAC-SHA256 Credential=any/{scope}, SignedHeaders=host, Signature=0"
    sent = {"X-Amz-Target": SERVICE + operation, "Authorization": signed, **headers}
    connection = http.client.HTTPConnection(server.url[7:], timeout=PATIENCE)
    with closing(connection):
        connection.request("POST", "/", body, sent)
        response = connection.getresponse()
        return response.status, response.read()


def now_ms() -> int:
    """Return the time as the API takes it."""
    return time.time_ns() // 1_000_000


def event(message: object = "event", ago: int = 0) -> dict[str, Any]:
    """Return an event that happened *ago* milliseconds ago."""
    return {"timestamp": now_ms() - ago, "message": message}


def batch(*events: Any) -> dict[str, Any]:
    """Return the parameters of a call that puts *events*."""
    return {**MEMBER, "logEvents": list(events)}


def refusal(call: Any, **parameters: Any) -> tuple[int, str]:
    """Return the HTTP status and the code of the error that *call* raises."""
    # No `pytest.raises`: the traceback it keeps would keep the connection open.
    try:
        call(**parameters)
    except ClientError as error:
        response = error.response
    else:
        pytest.fail("accepted")
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


FULL = "x" * (MAX_BYTES - OVERHEAD)
NAMED = {"logGroupName": "new"}

BROKEN: dict[str, tuple[str, dict[str, Any]]] = {
    "no event": ("put_log_events", batch()),
    "too many events": ("put_log_events", batch(*[event()] * 10_001)),
    "empty message": ("put_log_events", batch(event(), event(""))),
    "message is no text": ("put_log_events", batch(event(5))),
    "half a character": ("put_log_events", batch(event("\ud800"))),
    "message too large": ("put_log_events", batch(event(FULL + "x"))),
    "message too large in UTF-8": ("put_log_events", batch(event(FULL[1:] + "é"))),
    "batch too large": ("put_log_events", batch(event(FULL[26:]), event("x"))),
    "not chronological": ("put_log_events", batch(event(), event(ago=1_000))),
    "span": ("put_log_events", batch(event(ago=DAY_MS + 1_000), event())),
    "float": ("put_log_events", batch({"timestamp": 1.5, "message": "x"})),
    "boolean": ("put_log_events", batch({"timestamp": True, "message": "x"})),
    "negative": ("put_log_events", batch({"timestamp": -1, "message": "x"})),
    "no timestamp": ("put_log_events", batch({"message": "x"})),
    "events missing": ("put_log_events", MEMBER),
    "stream of a batch": ("put_log_events", {**batch(event()), "logStreamName": "*"}),
    "group of a batch": ("put_log_events", {**batch(event()), "logGroupName": "a b"}),
    "stream with colon": ("create_log_stream", {**MEMBER, "logStreamName": "12:00"}),
    "stream with star": ("create_log_stream", {**MEMBER, "logStreamName": "a*"}),
    "stream too long": ("create_log_stream", {**MEMBER, "logStreamName": "x" * 513}),
    "stream empty": ("create_log_stream", {**MEMBER, "logStreamName": ""}),
    "stream missing": ("create_log_stream", POLICY),
    "group of a stream": ("create_log_stream", {**MEMBER, "logGroupName": "a b"}),
    "group with space": ("create_log_group", {"logGroupName": "a b"}),
    "group with line feed": ("create_log_group", {"logGroupName": "a\n"}),
    "group not ASCII": ("create_log_group", {"logGroupName": "café"}),
    "group of AWS": ("create_log_group", {"logGroupName": "aws/mine"}),
    "group too long": ("create_log_group", {"logGroupName": "x" * 513}),
    "group empty": ("create_log_group", {"logGroupName": ""}),
    "group missing": ("create_log_group", {}),
    "unknown class": ("create_log_group", {**NAMED, "logGroupClass": "CHEAP"}),
    "key too long": ("create_log_group", {**NAMED, "kmsKeyId": "x" * 257}),
    "no tags": ("create_log_group", {**NAMED, "tags": {}}),
    "too many tags": (
        "create_log_group",
        {**NAMED, "tags": {str(number): "" for number in range(51)}},
    ),
    "tag of AWS": ("create_log_group", {**NAMED, "tags": {"aws:mine": "x"}}),
    "tag's key empty": ("create_log_group", {**NAMED, "tags": {"": "x"}}),
    "tag's key too long": ("create_log_group", {**NAMED, "tags": {"x" * 129: ""}}),
    "tag's value too long": ("create_log_group", {**NAMED, "tags": {"x": "x" * 257}}),
    "tag's characters": ("create_log_group", {**NAMED, "tags": {"x": "a,b"}}),
    "retention 0": ("put_retention_policy", {**POLICY, "retentionInDays": 0}),
    "retention 31": ("put_retention_policy", {**POLICY, "retentionInDays": 31}),
    "3 times 365 days": ("put_retention_policy", {**POLICY, "retentionInDays": 1095}),
    "retention text": ("put_retention_policy", {**POLICY, "retentionInDays": "30"}),
    "retention missing": ("put_retention_policy", POLICY),
    "group of a policy": (
        "put_retention_policy",
        {"logGroupName": "a b", "retentionInDays": 30},
    ),
}

KEPT: dict[str, tuple[str, dict[str, Any]]] = {
    "one event": ("put_log_events", batch(event())),
    "10,000 events": ("put_log_events", batch(*[event()] * 10_000)),
    "largest message": ("put_log_events", batch(event(FULL))),
    "largest message in UTF-8": ("put_log_events", batch(event(FULL[2:] + "é"))),
    "largest batch": ("put_log_events", batch(event(FULL[27:]), event("x"))),
    "same moment": ("put_log_events", batch(*[event()] * 2)),
    "largest stream": ("create_log_stream", {**MEMBER, "logStreamName": "x" * 512}),
    "stream of any text": ("create_log_stream", {**MEMBER, "logStreamName": "é [1]/$"}),
    "largest group": ("create_log_group", {"logGroupName": "x" * 512}),
    "group of any text": ("create_log_group", {"logGroupName": "/aws/A.b-c_d#1"}),
    "key": ("create_log_group", {**NAMED, "kmsKeyId": "x" * 256}),
    "tags": (
        "create_log_group",
        {**NAMED, "tags": {f"{number:0128}": "é " * 128 for number in range(50)}},
    ),
    **{
        f"class {name}": ("create_log_group", {**NAMED, "logGroupClass": name})
        for name in sorted(aws_rules.CLASSES)
    },
    **{
        f"retention {days}": (
            "put_retention_policy",
            {**POLICY, "retentionInDays": days},
        )
        for days in sorted(aws_rules.RETENTION_DAYS)
    },
}


class TestRules:
    @pytest.mark.parametrize(("call", "parameters"), BROKEN.values(), ids=BROKEN)
    def test_broken(
        self, server: Server, client: Any, call: str, parameters: dict[str, Any]
    ) -> None:
        """
        What AWS forbids is refused as AWS refuses it, and told as a violation.
        """
        code = refusal(getattr(client, call), **parameters)

        assert (400, "InvalidParameterException") == code
        operation = server.history()[-1].operation
        assert [operation] == [told.partition(":")[0] for told in server.violations()]
        assert [] == server.events()

    @pytest.mark.parametrize(("call", "parameters"), KEPT.values(), ids=KEPT)
    def test_kept(
        self, server: Server, client: Any, call: str, parameters: dict[str, Any]
    ) -> None:
        """
        What AWS just allows is accepted.
        """
        getattr(client, call)(**parameters)

        assert [] == server.violations()
        assert len(parameters.get("logEvents", ())) == server.arrived()

    def test_widest_span(self) -> None:
        """
        A batch may span 24 hours to the millisecond.
        """
        events = [
            {"timestamp": 0, "message": "first"},
            {"timestamp": DAY_MS, "message": "last"},
        ]

        aws_rules.check("PutLogEvents", batch(*events))

        events[1]["timestamp"] = DAY_MS + 1
        with pytest.raises(aws_rules.Violation, match="span 86400001 ms"):
            aws_rules.check("PutLogEvents", batch(*events))

    @pytest.mark.parametrize("body", [b"[]", b"{", b"5", b'{"logEvents": [5]}'])
    def test_no_request(self, server: Server, body: bytes) -> None:
        """
        A body that is no request is a violation.
        """
        status, _ = post(server, body, "PutLogEvents")

        assert 400 == status
        assert 1 == len(server.violations())

    def test_not_signed(self, server: Server) -> None:
        """
        A call without a signature is refused.
        """
        parameters = json.dumps(batch(event())).encode()
        status, answer = post(server, parameters, "PutLogEvents", Authorization="")

        assert 400 == status
        assert b"MissingAuthenticationTokenException" in answer

    def test_missing_stream(self, client: Any) -> None:
        """
        Events for a stream or a group that is not there are refused, as AWS does.
        """
        put = client.put_log_events
        nowhere = {**batch(event()), "logStreamName": "other"}
        assert (400, "ResourceNotFoundException") == refusal(put, **nowhere)

        nowhere = {**batch(event()), "logGroupName": "other"}
        assert (400, "ResourceNotFoundException") == refusal(put, **nowhere)

    def test_there_already(self, client: Any) -> None:
        """
        A group or a stream that is there already cannot be made again.
        """
        exists = 400, "ResourceAlreadyExistsException"

        assert exists == refusal(client.create_log_group, logGroupName=GROUP)
        assert exists == refusal(client.create_log_stream, **MEMBER)


class TestAge:
    """Events too old or too new: left out, and the call succeeds."""

    def test_too_old(self, server: Server, client: Any) -> None:
        """
        Events older than 14 days are left out; the index told is the first kept.
        """
        ages = [14 * DAY_MS + HOUR_MS] * 2 + [14 * DAY_MS - HOUR_MS]

        answer = client.put_log_events(**batch(*[event(ago=ago) for ago in ages]))

        assert {"tooOldLogEventEndIndex": 2} == answer["rejectedLogEventsInfo"]
        assert 1 == server.arrived()

    def test_too_new(self, server: Server, client: Any) -> None:
        """
        Events more than 2 hours ahead are left out; the index told is their first.
        """
        ages = [-HOUR_MS, -3 * HOUR_MS, -3 * HOUR_MS]

        answer = client.put_log_events(**batch(*[event(ago=ago) for ago in ages]))

        assert {"tooNewLogEventStartIndex": 1} == answer["rejectedLogEventsInfo"]
        assert 1 == server.arrived()

    def test_expired(self, server: Server, client: Any) -> None:
        """
        Events older than the group's retention are left out.
        """
        client.put_retention_policy(logGroupName=GROUP, retentionInDays=3)
        ages = [3 * DAY_MS + HOUR_MS, 3 * DAY_MS - HOUR_MS]

        answer = client.put_log_events(**batch(*[event(ago=ago) for ago in ages]))

        assert {"expiredLogEventEndIndex": 1} == answer["rejectedLogEventsInfo"]
        assert 1 == server.arrived()

    def test_none_left_out(self, client: Any) -> None:
        """
        An answer that leaves nothing out says nothing about it.
        """
        assert "rejectedLogEventsInfo" not in client.put_log_events(**batch(event()))

    @pytest.mark.parametrize(
        ("timestamps", "retention", "expected", "kept"),
        [
            ([0], None, {}, [0]),
            ([-14 * DAY_MS, 0], None, {}, [0, 1]),
            ([-14 * DAY_MS - 1, 0], None, {"tooOldLogEventEndIndex": 1}, [1]),
            ([-DAY_MS, 0], 1, {}, [0, 1]),
            ([-DAY_MS - 1, 0], 1, {"expiredLogEventEndIndex": 1}, [1]),
            ([-14 * DAY_MS - 1, 0], 30, {"tooOldLogEventEndIndex": 1}, [1]),
            (
                [-15 * DAY_MS, -2 * DAY_MS, 0],
                1,
                {"tooOldLogEventEndIndex": 1, "expiredLogEventEndIndex": 2},
                [2],
            ),
            ([0, 2 * HOUR_MS], None, {}, [0, 1]),
            ([0, 2 * HOUR_MS + 1], None, {"tooNewLogEventStartIndex": 1}, [0]),
            ([3 * HOUR_MS], None, {"tooNewLogEventStartIndex": 0}, []),
        ],
    )
    def test_limits(
        self,
        timestamps: list[int],
        retention: int | None,
        expected: dict[str, int],
        kept: list[int],
    ) -> None:
        """
        The limits hold to the millisecond.
        """
        now = 1_800_000_000_000
        shifted = [now + timestamp for timestamp in timestamps]

        info = aws_rules.left_out(shifted, retention, now)

        assert expected == info
        assert kept == list(aws_rules.kept(len(shifted), info))


class TestMemory:
    """What the server tells of the past."""

    def test_events(self, server: Server, client: Any) -> None:
        """
        Each event can be read back, with where, when and by which call it came.
        """
        events = [event("one"), event("zwei 🎉\n\t"), event("three")]
        client.put_log_events(**batch(*events[:2]))
        client.put_log_events(**batch(events[2]))

        expected = [
            (GROUP, STREAM, sent["timestamp"], sent["message"], number, call)
            for number, (sent, call) in enumerate(zip(events, [2, 2, 3], strict=True))
        ]
        assert expected == server.events()
        assert 3 == server.arrived()

    def test_events_of(self, server: Server, client: Any) -> None:
        """
        Events can be asked for by group and by stream.
        """
        other = {"logGroupName": "other", "logStreamName": "second"}
        client.create_log_group(logGroupName="other")
        client.create_log_stream(**other)
        client.put_log_events(**batch(event("here")))
        client.put_log_events(**other, logEvents=[event("there")])

        assert ["here", "there"] == server.messages()
        assert ["there"] == server.messages("other")
        assert ["there"] == [each.message for each in server.events(stream="second")]
        assert [] == server.events(GROUP, "second")

    def test_history(self, server: Server, client: Any) -> None:
        """
        Each call is told: what, how many events, from which region, what came of it.
        """
        client.put_log_events(**batch(event(), event()))
        refusal(client.put_retention_policy, logGroupName=GROUP, retentionInDays=2)

        told = server.history()[2:]
        assert ["PutLogEvents", "PutRetentionPolicy"] == [c.operation for c in told]
        assert [2, 0] == [call.events for call in told]
        assert ["ok", "InvalidParameterException"] == [call.code for call in told]
        assert {REGION} == {call.region for call in told}
        assert MEMBER == told[0].parameters
        assert {"logGroupName": GROUP, "retentionInDays": 2} == told[1].parameters
        assert told[0].seconds <= told[1].seconds <= time.monotonic()

    def test_calls(self, server: Server, client: Any) -> None:
        """
        Calls are counted by operation, those of moto alone and refused ones too.
        """
        client.put_log_events(**batch(event()))
        refusal(client.put_log_events, **batch())
        client.describe_log_groups()

        assert {
            "CreateLogGroup": 1,
            "CreateLogStream": 1,
            "PutLogEvents": 2,
            "DescribeLogGroups": 1,
        } == server.calls()

    def test_groups(self, server: Server, client: Any) -> None:
        """
        Groups are told with their retention and their streams.
        """
        client.create_log_group(logGroupName="other")
        client.put_retention_policy(logGroupName="other", retentionInDays=30)

        expected = {GROUP: Group(None, [STREAM]), "other": Group(30, [])}
        assert expected == server.groups()

    def test_keep_alive(self, server: Server, client: Any) -> None:
        """
        A client's calls travel on one connection.
        """
        for _ in range(5):
            client.put_log_events(**batch(event()))

        assert 1 == len({call.connection for call in server.history()[2:]})

    def test_many_at_once(self, server: Server) -> None:
        """
        Calls of many threads are all counted, and their events numbered once.
        """
        with client_of(server.url) as client, ThreadPoolExecutor(8) as threads:
            for number in range(200):
                threads.submit(client.put_log_events, **batch(event(str(number))))

        events = server.events()
        assert set(map(str, range(200))) == {each.message for each in events}
        assert list(range(200)) == [each.arrival for each in events]
        assert 200 == server.calls()["PutLogEvents"]

    def test_reset(self, server: Server, client: Any) -> None:
        """
        After a reset nothing has ever happened, and no fault is left.
        """
        server.fail("ThrottlingException")
        refusal(client.put_log_events, **batch())

        server.reset()

        assert ([], [], [], {}) == (
            server.events(),
            server.history(),
            server.violations(),
            server.groups(),
        )
        client.create_log_group(logGroupName=GROUP)

    def test_own_mistake(self, server: Server) -> None:
        """
        An error of the server itself is told as a violation.
        """
        with pytest.raises(http.client.RemoteDisconnected):
            post(server, b"", "PutLogEvents", **{"Content-Length": "many"})

        (told,) = server.violations()
        assert "server: Traceback" in told
        assert "ValueError" in told

    def test_unknown_control(self, server: Server) -> None:
        """
        What a test asks for, and cannot be, is an error in the test.
        """
        with pytest.raises(RuntimeError, match="delete: LookupError"):
            server.delete_group("nowhere")


class TestFaults:
    @pytest.mark.parametrize(("code", "status"), ERRORS.items(), ids=ERRORS)
    def test_error(self, server: Server, client: Any, code: str, status: int) -> None:
        """
        An error that AWS documents comes with its status, and nothing is kept.
        """
        server.fail(code)

        assert (status, code) == refusal(client.put_log_events, **batch(event()))
        assert [] == server.events()
        assert code == server.history()[-1].code

    def test_html(self, server: Server, client: Any) -> None:
        """
        A proxy may answer 403 with a page of HTML.
        """
        server.fail("html")

        assert (403, "403") == refusal(client.put_log_events, **batch(event()))

    def test_latency(self, server: Server, client: Any) -> None:
        """
        A slow answer is a good one.
        """
        server.fail("latency", delay=0.3)

        started = time.monotonic()
        client.put_log_events(**batch(event()))

        assert time.monotonic() - started >= 0.3
        assert 1 == server.arrived()

    def test_given_up(self, server: Server) -> None:
        """
        A call is accepted even if the client gave up waiting for the answer.
        """
        server.fail("latency", delay=PATIENCE)

        with (
            client_of(server.url, read_timeout=0.2) as client,
            pytest.raises(ReadTimeoutError),
        ):
            client.put_log_events(**batch(event("kept")))

        assert [] == server.events()
        server.heal()
        wait_until(lambda: server.arrived() == 1, "the event")
        wait_until(lambda: server.history()[-1].code == "ok", "the call's end")
        assert [] == server.violations()

    def test_late_error(self, server: Server, client: Any) -> None:
        """
        Any fault may take its time.
        """
        server.fail("ServiceUnavailableException", delay=0.3)

        started = time.monotonic()
        refusal(client.put_log_events, **batch(event()))

        assert time.monotonic() - started >= 0.3

    def test_reset_connection(self, server: Server, client: Any) -> None:
        """
        A connection that is reset has brought nothing.
        """
        server.fail("reset", calls=1)

        with pytest.raises(ConnectionClosedError, match="Connection was closed"):
            client.put_log_events(**batch(event()))

        assert [] == server.events()
        assert "closed" == server.history()[-1].code

    @pytest.mark.parametrize(
        ("kind", "expected"),
        [
            ("reset", ConnectionResetError),
            ("lost_reply", http.client.RemoteDisconnected),
        ],
    )
    def test_kind_of_end(
        self, server: Server, kind: str, expected: type[Exception]
    ) -> None:
        """
        A reset is one on the wire, and a lost answer is a connection that ends.
        """
        server.fail(kind, calls=1)

        with pytest.raises(OSError, match=r".*") as caught:
            post(server, json.dumps(batch(event())).encode(), "PutLogEvents")
        assert expected is caught.type

    def test_client_dies(self, server: Server) -> None:
        """
        A request whose client died in the midst of it was never made.
        """
        host, port = server.url[7:].split(":")
        with socket.create_connection((host, int(port))) as cut:
            cut.sendall(
                b"POST / HTTP/1.1\r\nX-Amz-Target: Logs_20140328.PutLogEvents\r\n"
                b"Content-Length: 100\r\n\r\n{"
            )
            cut.shutdown(socket.SHUT_WR)
            answer = cut.recv(1)

        assert b"" == answer
        assert "PutLogEvents" not in server.calls()

    def test_lost_reply(self, server: Server, client: Any) -> None:
        """
        An answer that is lost leaves the events accepted.
        """
        server.fail("lost_reply", calls=1)

        with pytest.raises(ConnectionClosedError):
            client.put_log_events(**batch(event("kept")))

        assert ["kept"] == server.messages()
        assert "closed" == server.history()[-1].code

    def test_poison(self, server: Server, client: Any) -> None:
        """
        Batches that hold a text fail, and others do not.
        """
        server.fail("InvalidParameterException", text="poison")

        refused = refusal(
            client.put_log_events, **batch(event("good"), event("a poisoned one"))
        )
        client.put_log_events(**batch(event("good")))

        assert (400, "InvalidParameterException") == refused
        assert ["good"] == server.messages()
        assert [] == server.violations()

    def test_calls(self, server: Server, client: Any) -> None:
        """
        A fault ends after as many calls as it was asked for.
        """
        server.fail("InternalFailure", calls=2)

        refusal(client.put_log_events, **batch(event()))
        refusal(client.put_log_events, **batch(event()))
        client.put_log_events(**batch(event()))

    def test_seconds(self, server: Server, client: Any) -> None:
        """
        A fault ends after as many seconds as it was asked for.
        """
        asked = time.monotonic()
        server.fail("InternalFailure", seconds=0.5)

        while True:
            try:
                client.put_log_events(**batch(event()))
            except ClientError:
                continue
            break

        assert time.monotonic() - asked >= 0.5

    def test_operation(self, server: Server, client: Any) -> None:
        """
        A fault may concern one operation only.
        """
        server.fail("AccessDeniedException", operation="CreateLogGroup")

        denied = refusal(client.create_log_group, logGroupName="other")
        client.put_log_events(**batch(event()))

        assert (400, "AccessDeniedException") == denied

    def test_two(self, server: Server, client: Any) -> None:
        """
        Faults are met one after the other, until one answers.
        """
        server.fail("latency", delay=0.3, calls=1)
        server.fail("ThrottlingException", calls=1)

        started = time.monotonic()
        throttled = refusal(client.put_log_events, **batch(event()))

        assert (400, "ThrottlingException") == throttled
        assert time.monotonic() - started >= 0.3

    def test_violation_all_the_same(self, server: Server, client: Any) -> None:
        """
        A rule that is broken is told, whatever else went wrong with the call.
        """
        server.fail("InternalFailure")

        assert (500, "InternalFailure") == refusal(client.put_log_events, **batch())
        assert 1 == len(server.violations())

    def test_heal(self, server: Server, client: Any) -> None:
        """
        Healed, the server accepts what waits and what comes.
        """
        server.fail("latency", delay=PATIENCE)
        with ThreadPoolExecutor(1) as thread:
            waiting = thread.submit(client.put_log_events, **batch(event("waits")))
            wait_until(lambda: server.history()[-1].code == "waiting", "the call")

            server.heal()
            waiting.result(PATIENCE / 2)
        client.put_log_events(**batch(event("comes")))

        assert ["waits", "comes"] == server.messages()

    def test_reset_while_waiting(self, server: Server, client: Any) -> None:
        """
        A call that waits while the server is reset is cut off, and leaves no trace.
        """
        server.fail("latency", delay=PATIENCE)
        with ThreadPoolExecutor(1) as thread:
            waiting = thread.submit(client.put_log_events, **batch(event()))
            wait_until(lambda: server.history()[-1].code == "waiting", "the call")

            server.reset()
            with pytest.raises(ConnectionClosedError):
                waiting.result(PATIENCE / 2)

        assert ([], []) == (server.events(), server.history())

    def test_deleted_stream(self, server: Server, client: Any) -> None:
        """
        A stream may be deleted at any time; what it had arrived all the same.
        """
        client.put_log_events(**batch(event("before")))

        server.delete_stream(GROUP, STREAM)

        gone = refusal(client.put_log_events, **batch(event("after")))
        assert (400, "ResourceNotFoundException") == gone
        assert {GROUP: Group(None, [])} == server.groups()
        assert ["before"] == server.messages()

    def test_deleted_group(self, server: Server, client: Any) -> None:
        """
        A group may be deleted at any time, and goes with its streams.
        """
        server.delete_group(GROUP)

        gone = refusal(client.create_log_stream, **MEMBER)
        assert (400, "ResourceNotFoundException") == gone
        assert {} == server.groups()

    def test_unknown_kind(self, server: Server) -> None:
        """
        A misspelt fault is an error in the test.
        """
        with pytest.raises(ValueError, match="'Throttled': use one of"):
            server.fail("Throttled")


class TestNobody:
    """Addresses where nobody answers."""

    def test_unaccepting(self) -> None:
        """
        Where nobody accepts, to connect takes forever.
        """
        with (
            unaccepting() as url,
            client_of(url, timeout=0.3) as client,
            pytest.raises(ConnectTimeoutError),
        ):
            client.create_log_group(logGroupName=GROUP)

    def test_silent(self) -> None:
        """
        Where nobody answers, a connection is made and to read takes forever.
        """
        with (
            silent() as url,
            client_of(url, read_timeout=0.3) as client,
            pytest.raises(ReadTimeoutError),
        ):
            client.create_log_group(logGroupName=GROUP)

    def test_refusing(self) -> None:
        """
        Where nobody listens, a connection is refused.
        """
        with (
            refusing() as url,
            client_of(url) as client,
            pytest.raises(EndpointConnectionError),
        ):
            client.create_log_group(logGroupName=GROUP)


FOUR = ["CreateLogGroup", "CreateLogStream", "PutLogEvents", "PutRetentionPolicy"]


class TestIam:
    """moto's IAM, which checks signatures and policies."""

    @pytest.fixture
    def keys(self, cloudwatch: Server) -> dict[str, str]:
        """Return the keys of a user who may do the four things, and no other."""
        statement = {
            "Effect": "Allow",
            "Action": [f"logs:{action}" for action in FOUR],
            "Resource": "*",
        }
        policy = {"Version": "2012-10-17", "Statement": [statement]}
        with client_of(cloudwatch.url, "iam") as iam:
            iam.create_user(UserName="service")
            iam.put_user_policy(
                UserName="service",
                PolicyName="logs",
                PolicyDocument=json.dumps(policy),
            )
            key = iam.create_access_key(UserName="service")["AccessKey"]
        cloudwatch.enforce_iam()
        return {
            "aws_access_key_id": key["AccessKeyId"],
            "aws_secret_access_key": key["SecretAccessKey"],
        }

    def test_four_actions(self, cloudwatch: Server, keys: dict[str, str]) -> None:
        """
        The four actions of the documented policy are allowed.
        """
        with client_of(cloudwatch.url, **keys) as client:
            client.create_log_group(logGroupName=GROUP)
            client.put_retention_policy(logGroupName=GROUP, retentionInDays=30)
            client.create_log_stream(**MEMBER)
            client.put_log_events(**batch(event("allowed")))

        assert dict.fromkeys(FOUR, 1) == cloudwatch.calls()
        assert ["allowed"] == cloudwatch.messages()

    @pytest.mark.parametrize(
        ("call", "parameters"),
        [
            ("describe_log_groups", {}),
            ("describe_log_streams", {"logGroupName": GROUP}),
            ("tag_log_group", {"logGroupName": GROUP, "tags": {"x": "y"}}),
            ("delete_log_group", {"logGroupName": GROUP}),
        ],
    )
    def test_others(
        self,
        cloudwatch: Server,
        keys: dict[str, str],
        call: str,
        parameters: dict[str, Any],
    ) -> None:
        """
        Every other action is denied.
        """
        with client_of(cloudwatch.url, **keys) as client:
            status, _ = refusal(getattr(client, call), **parameters)

        assert 403 == status

    @pytest.mark.parametrize("wrong", ["aws_access_key_id", "aws_secret_access_key"])
    def test_wrong_key(
        self, cloudwatch: Server, keys: dict[str, str], wrong: str
    ) -> None:
        """
        Nobody else may do the four, and no event of theirs is kept.
        """
        with client_of(cloudwatch.url, **keys) as client:
            client.create_log_group(logGroupName=GROUP)
            client.create_log_stream(**MEMBER)
        with client_of(cloudwatch.url, **{**keys, wrong: "wrong"}) as client:
            status, _ = refusal(client.put_log_events, **batch(event()))

        assert 403 == status
        assert [] == cloudwatch.events()


class TestProcess:
    """The process behind it all."""

    def test_ends_with_its_parent(self, tmp_path: Path) -> None:
        """
        A test run that is killed leaves no server behind.
        """
        script = """
import os
from tests.integration.cloudwatch_server import running
with running() as server:
    print(server.url[len("http://"):], flush=True)
    os.kill(os.getpid(), 9)
"""
        host, port = run_python(script, tmp_path).stdout.decode().split(":")

        def is_gone() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex((host, int(port))) != 0

        wait_until(is_gone, "the server to end")

    def test_violation_fails_a_test(self, tmp_path: Path) -> None:
        """
        A test with the fixture ``cloudwatch`` fails if a rule was broken.
        """
        test = tmp_path / "test_broken.py"
        test.write_text(
            """
import http.client
from tests.integration.conftest import cloudwatch, cloudwatch_process

def test_broken(cloudwatch):
    connection = http.client.HTTPConnection(cloudwatch.url[len("http://"):])
    target = {"X-Amz-Target": "Logs_20140328.PutLogEvents"}
    connection.request("POST", "/", b"{}", target)
    connection.getresponse().read()
    connection.close()
""",
            encoding="utf-8",
        )
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(test)],
            cwd=tmp_path,
            env=unmeasured(tmp_path),
            capture_output=True,
            timeout=PATIENCE,
            check=False,
            text=True,
        )

        assert 1 == done.returncode
        assert "1 passed, 1 error" in done.stdout
        assert "PutLogEvents: logGroupName None" in done.stdout
