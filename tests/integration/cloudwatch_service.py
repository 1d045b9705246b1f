"""
CloudWatch Logs without the sockets: moto behind a layer that checks.

moto keeps groups, streams and users.  The layer in front of it enforces AWS's
rules, counts, keeps every event, and fails on order.
"""

from __future__ import annotations

import json
import re
import threading
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.logs.models import logs_backends
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    create_backend_app,
)
from werkzeug.test import Client

from tests.integration import aws_rules
from tests.integration.cloudwatch_server import ERRORS, Call, Fault, Group, Recorded

if TYPE_CHECKING:
    from collections.abc import Callable

HTML = b"<html><body><h1>403 Forbidden</h1>Proxy: log in first.</body></html>"
SCOPE = re.compile(r"Credential=[^/]*/\d+/([^/]+)/\w+/aws4_request")


@dataclass
class Reply:
    """What goes back over the wire; *code* is for `Call`."""

    status: int
    body: bytes
    code: str = "ok"
    content_type: str = "application/x-amz-json-1.1"


class Cut(Exception):  # noqa: N818  # an order, and no error
    """The connection is to end without an answer."""

    def __init__(self, *, reset: bool = False) -> None:
        super().__init__()
        self.reset = reset


@dataclass
class Account:
    """All that a reset forgets; who still has an old one leaves no trace."""

    events: list[Recorded] = field(default_factory=list)
    history: list[Call] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    has_iam: bool = False
    is_closed: bool = False


class Asked:
    """A call of the Logs API, as far as it can be read."""

    number: int

    def __init__(
        self, account: Account, operation: str, headers: dict[str, str], body: bytes
    ) -> None:
        self.account = account
        self.operation = operation
        self.headers = headers
        self.body = body
        scope = SCOPE.search(headers.get("Authorization", ""))
        self.region = scope[1] if scope else ""
        self.request: dict[str, Any] = {}
        with suppress(TypeError, ValueError):
            self.request.update(json.loads(body))
        self.parameters = dict(self.request)
        events = self.parameters.pop("logEvents", None)
        self.messages = [
            str(event.get("message"))
            for event in (events if isinstance(events, list) else ())
            if isinstance(event, dict)
        ]

    def violation(self) -> str | None:
        """Return which of AWS's rules it breaks."""
        try:
            aws_rules.check(self.operation, self.request)
        except aws_rules.Violation as broken:
            return f"{self.operation}: {broken}"
        return None


class Trouble:
    """A fault while it is injected."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.over = threading.Event()
        self._left = float("inf") if fault.calls is None else fault.calls
        seconds = float("inf") if fault.seconds is None else fault.seconds
        self._ends = time.monotonic() + seconds

    def strikes(self, asked: Asked) -> bool:
        """Whether the call is concerned; if so it is counted."""
        operation, text = self.fault.operation, self.fault.text
        strikes = (
            self._left > 0
            and time.monotonic() < self._ends
            and operation in {None, asked.operation}
            and (not text or any(text in message for message in asked.messages))
        )
        self._left -= strikes
        return strikes


class Service:
    """
    What answers calls of the API, and what tests ask for.

    One lock is held for every change, and for every call of moto, which is not
    made for threads.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._account = Account()
        self.controls: dict[str, Callable[..., Any]] = {
            "events": self._events,
            "arrived": lambda: len(self._account.events),
            "history": lambda: self._account.history[:],
            "violations": lambda: self._account.violations[:],
            "groups": self._groups,
            "fail": self._fail,
            "heal": self._heal,
            "delete": self._delete,
            "enforce_iam": self._enforce_iam,
            "reset": self._reset,
        }

    def call(
        self, operation: str, headers: dict[str, str], body: bytes, connection: int
    ) -> Reply:
        """
        Answer a call of the Logs API that came on *connection*.

        Raises:
            Cut: There is to be no answer.
        """
        asked = Asked(self._account, operation, headers, body)
        call = Call(
            operation=operation,
            code="waiting",
            events=len(asked.messages),
            seconds=time.monotonic(),
            connection=connection,
            region=asked.region,
            parameters=asked.parameters,
        )
        history = asked.account.history
        with self._lock:
            asked.number = len(history)
            history.append(call)
        code = "closed"
        try:
            reply = self._answer(asked)
            code = reply.code
        finally:
            history[asked.number] = call._replace(code=code)
        return reply

    def forward(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> Reply:
        """Let moto answer."""
        client = Client(self._moto, use_cookies=False)
        base = f"http://{headers['Host']}"  # signed, so it must not change
        with self._lock:
            answer = client.open(
                path, base_url=base, method=method, headers=headers, data=body
            )
            content = answer.get_data()
        code = "ok" if answer.status_code == HTTPStatus.OK else str(answer.status_code)
        kind = answer.headers["Content-Type"]
        if code != "ok" and "json" in kind:
            code = str(json.loads(content).get("__type", code))
        return Reply(answer.status_code, content, code, kind)

    def tell_bug(self) -> None:
        """Count the error at hand as a violation, so that no test passes over it."""
        self._account.violations.append(f"server: {traceback.format_exc()}")

    def _answer(self, asked: Asked) -> Reply:
        violation = asked.violation()
        if violation:
            # Told even if AWS would have had no time to see it.
            asked.account.violations.append(violation)
        refusal, is_lost = self._meet_troubles(asked)
        if refusal is not None:
            return refusal
        if not asked.region:
            return _error("MissingAuthenticationTokenException", "not signed")
        if violation:
            return _error("InvalidParameterException", violation)
        with self._lock:
            if asked.account.is_closed:
                raise Cut
            reply = self._accept(asked)
        if is_lost:
            raise Cut
        return reply

    def _meet_troubles(self, asked: Asked) -> tuple[Reply | None, bool]:
        """Return the refusal on order, and whether any other answer is to be lost."""
        is_lost = False
        for trouble in asked.account.troubles[:]:
            with self._lock:
                if not trouble.strikes(asked):
                    continue
            if trouble.fault.delay:
                trouble.over.wait(trouble.fault.delay)
            kind = trouble.fault.kind
            if kind == "reset":
                raise Cut(reset=True)
            if kind == "html":
                return Reply(HTTPStatus.FORBIDDEN, HTML, "403", "text/html"), is_lost
            if kind in ERRORS:
                return _error(kind, "on order"), is_lost
            is_lost |= kind == "lost_reply"
        return None, is_lost

    def _accept(self, asked: Asked) -> Reply:
        if asked.operation != "PutLogEvents":
            return self.forward("POST", "/", asked.headers, asked.body)
        if asked.account.has_iam:
            reply = self.forward("POST", "/", asked.headers, asked.body)
            if reply.status != HTTPStatus.OK:
                return reply
        return _put(asked)

    def _events(self, group: str | None, stream: str | None) -> list[Recorded]:
        return [
            event
            for event in self._account.events[:]
            if group in {None, event.group} and stream in {None, event.stream}
        ]

    def _groups(self) -> dict[str, Group]:
        with self._lock:
            return {
                name: Group(_days(group.retention_in_days), list(group.streams))
                for backend in logs_backends[DEFAULT_ACCOUNT_ID].values()
                for name, group in backend.groups.items()
            }

    def _fail(self, **fields: Any) -> None:
        with self._lock:
            self._account.troubles.append(Trouble(Fault(**fields)))

    def _heal(self) -> None:
        with self._lock:
            for trouble in self._account.troubles:
                trouble.over.set()
            self._account.troubles.clear()

    def _delete(self, group: str, stream: str | None) -> None:
        with self._lock:
            for backend in logs_backends[DEFAULT_ACCOUNT_ID].values():
                if group not in backend.groups:
                    continue
                if stream is None:
                    del backend.groups[group]
                else:
                    del backend.groups[group].streams[stream]
                return
        raise LookupError(group)

    def _enforce_iam(self) -> None:
        self._account.has_iam = True
        self._tell_moto("reset-auth", b"0")

    def _reset(self) -> None:
        with self._lock:
            self._account.is_closed = True
            self._heal()
            self._account = Account()
            self._tell_moto("reset-auth", b"inf")
            self._tell_moto("reset", b"")

    def _tell_moto(self, action: str, body: bytes) -> None:
        headers = {"Host": "localhost"}
        reply = self.forward("POST", f"/moto-api/{action}", headers, body)
        if reply.status != HTTPStatus.OK:
            raise RuntimeError(reply.body)


def _put(asked: Asked) -> Reply:
    """Keep the events of a batch that breaks no rule."""
    account, request = asked.account, asked.request
    name, stream = request["logGroupName"], request["logStreamName"]
    group = logs_backends[DEFAULT_ACCOUNT_ID][asked.region].groups.get(name)
    if group is None:
        return _missing("group")
    if stream not in group.streams:
        return _missing("stream")
    events = request["logEvents"]
    timestamps = [event["timestamp"] for event in events]
    info = aws_rules.left_out(timestamps, _days(group.retention_in_days))
    for index in aws_rules.kept(len(events), info):
        arrival = len(account.events)
        account.events.append(
            Recorded(
                name,
                stream,
                timestamps[index],
                events[index]["message"],
                arrival,
                asked.number,
            )
        )
    answer: dict[str, Any] = {"nextSequenceToken": f"{asked.number:056d}"}
    if info:
        answer["rejectedLogEventsInfo"] = info
    return Reply(HTTPStatus.OK, json.dumps(answer).encode())


def _days(kept_by_moto: str | int | None) -> int | None:
    return None if kept_by_moto is None else int(kept_by_moto)


def _missing(what: str) -> Reply:
    message = f"The specified log {what} does not exist."
    return _error("ResourceNotFoundException", message)


def _error(code: str, message: str) -> Reply:
    body = json.dumps({"__type": code, "message": message}).encode()
    return Reply(ERRORS.get(code, HTTPStatus.BAD_REQUEST), body, code)
