"""
A strict CloudWatch Logs for tests, in a process of its own.

`cloudwatch_endpoint.py` is that process; this is what tests hold in their hands:

- `Server`: what arrived, what was asked, which of AWS's rules were broken, and
  faults on order.  The fixture ``cloudwatch`` is one, fresh for each test.
- `unaccepting`, `silent` and `refusing`: addresses where nobody answers.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PATIENCE = 30.0  # seconds for an answer; far beyond what one takes
REGION = "eu-central-1"
SERVICE = "Logs_20140328."  # what the header X-Amz-Target begins with

# Errors that AWS documents, and their HTTP status.
ERRORS = {
    "AccessDeniedException": 400,
    "ExpiredTokenException": 400,
    "InternalFailure": 500,
    "InvalidParameterException": 400,
    "InvalidSignatureException": 400,
    "LimitExceededException": 400,
    "OperationAbortedException": 400,
    "RequestTimeTooSkewed": 403,
    "ResourceNotFoundException": 400,
    "ServiceUnavailableException": 503,
    "ThrottlingException": 400,
    "UnrecognizedClientException": 400,
}
# Other ways to fail: a proxy's HTML with status 403; a slow answer, else good; a
# connection that is reset; an answer that is lost after all was accepted.
WAYS = ("html", "latency", "reset", "lost_reply")


class Recorded(NamedTuple):
    """An event that the server accepted and kept."""

    group: str
    stream: str
    timestamp: int
    """Milliseconds since the epoch, as sent."""
    message: str
    arrival: int
    """Which of all kept events it is, from 0."""
    call: int
    """Index in `Server.history` of the call that brought it."""


class Call(NamedTuple):
    """A call of the Logs API."""

    operation: str
    code: str
    """``"ok"``, an error's code or HTTP status, ``"closed"``, or ``"waiting"``."""
    events: int
    """How many events it carried."""
    seconds: float
    """When it arrived, on the clock of `time.monotonic`."""
    connection: int
    """Which connection it came on, from 1; calls share one that is kept alive."""
    region: str
    parameters: dict[str, Any]
    """All of them but the events."""


class Group(NamedTuple):
    """A log group."""

    retention: int | None
    """Days, or ``None`` if nobody set a policy."""
    streams: list[str]


class Fault(NamedTuple):
    """What is to go wrong; `Server.fail` explains the fields."""

    kind: str
    calls: int | None
    seconds: float | None
    operation: str | None
    text: str
    delay: float


class Server:
    """
    The server, seen from a test.

    Every call of the API that does what AWS forbids is answered with
    InvalidParameterException and told by `violations`; so is every error of the
    server itself.

    Args:
        port: Where it listens, on this machine.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self.url = f"http://127.0.0.1:{port}"
        """For ``endpoint_url``."""

    def events(
        self, group: str | None = None, stream: str | None = None
    ) -> list[Recorded]:
        """Return what was kept, in order of arrival."""
        found = self._ask("events", group=group, stream=stream)
        return [Recorded(*event) for event in found]

    def messages(self, group: str | None = None) -> list[str]:
        """Return the messages of `events`."""
        return [event.message for event in self.events(group)]

    def arrived(self) -> int:
        """Return how many events were kept: cheap, for a test that waits."""
        return int(self._ask("arrived"))

    def history(self) -> list[Call]:
        """Return all calls of the Logs API, in order of arrival."""
        return [Call(*call) for call in self._ask("history")]

    def calls(self) -> dict[str, int]:
        """Return how often each operation was called, refused calls included."""
        return dict(Counter(call.operation for call in self.history()))

    def violations(self) -> list[str]:
        """Return which of AWS's rules were broken, and how."""
        return [str(violation) for violation in self._ask("violations")]

    def groups(self) -> dict[str, Group]:
        """Return the log groups that exist, of all regions."""
        return {name: Group(*group) for name, group in self._ask("groups").items()}

    def fail(
        self,
        kind: str,
        *,
        calls: int | None = None,
        seconds: float | None = None,
        operation: str | None = None,
        text: str = "",
        delay: float = 0.0,
    ) -> None:
        """
        Let calls of the Logs API fail, until `heal` or as long as is said.

        Faults add up: each call meets those that concern it, in the order in which
        they were asked for, until one of them answers.

        Args:
            kind: A key of `ERRORS`, or one of `WAYS`.
            calls: How many calls fail.
            seconds: How long calls fail, from now.
            operation: The only one that fails, such as ``"PutLogEvents"``.
            text: Only batches with this in a message fail.
            delay: Seconds before anything else happens to the call, which goes on
                even if the client has given up.
        """
        if kind not in ERRORS and kind not in WAYS:
            raise ValueError(f"{kind!r}: use one of {[*ERRORS, *WAYS]}")
        fault = Fault(kind, calls, seconds, operation, text, delay)
        self._ask("fail", **fault._asdict())

    def heal(self) -> None:
        """Take back all faults; calls that wait go on."""
        self._ask("heal")

    def delete_group(self, group: str) -> None:
        """Delete the log group with its streams, as an operator might."""
        self._ask("delete", group=group, stream=None)

    def delete_stream(self, group: str, stream: str) -> None:
        """Delete the stream, as an operator might."""
        self._ask("delete", group=group, stream=stream)

    def enforce_iam(self) -> None:
        """
        Check signatures and policies from here on, as moto's IAM understands them.

        Users, keys and policies are made before, by the API of IAM at `url`.
        """
        self._ask("enforce_iam")

    def reset(self) -> None:
        """
        Forget everything: events, calls, faults, groups, users.

        Calls still under way are not accepted, and leave no trace.
        """
        self._ask("reset")

    def _ask(self, action: str, **arguments: Any) -> Any:
        connection = http.client.HTTPConnection(
            "127.0.0.1", self._port, timeout=PATIENCE
        )
        with closing(connection):
            body = json.dumps(arguments)
            connection.request("POST", f"/control/{action}", body)
            response = connection.getresponse()
            answer = json.loads(response.read())
        if response.status != http.HTTPStatus.OK:
            raise RuntimeError(f"{action}: {answer}")
        return answer


@contextmanager
def running() -> Iterator[Server]:
    """Start the process, and end it."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("AWS_")
    }
    # Nobody asks for its coverage, which would take half of its time.
    variables = {"PYTHONPATH": str(ROOT), "COVERAGE_PROCESS_CONFIG": ""}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.integration.cloudwatch_endpoint"],
        env={**inherited, **variables},
        stdin=subprocess.PIPE,  # its end tells the process that nobody needs it
        stdout=subprocess.PIPE,
        start_new_session=True,  # no signal to a whole test run may hit it
    ) as process:
        try:
            assert process.stdout is not None
            yield Server(int(process.stdout.readline()))
        finally:
            process.kill()


@contextmanager
def unaccepting() -> Iterator[str]:
    """Give the URL of a listener that accepts nobody: to connect takes forever."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        # Fill its queue; the kernel then ignores whoever else comes.
        waits = False
        while not waits:
            client = stack.enter_context(socket.socket())
            client.settimeout(0.2)
            try:
                client.connect(listener.getsockname())
            except TimeoutError:
                waits = True
        yield _url(listener)


@contextmanager
def silent() -> Iterator[str]:
    """Give the URL of a listener that takes what is sent, and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)  # the kernel accepts and buffers for it
        yield _url(listener)


@contextmanager
def refusing() -> Iterator[str]:
    """Give the URL of a port where nobody listens, and nobody else will."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield _url(reserved)


def _url(bound: socket.socket) -> str:
    return f"http://127.0.0.1:{bound.getsockname()[1]}"
