"""
The shipped ``logging.yaml``, unchanged, in real servers.

Each way to start is run once, serves 200 requests and is stopped; the tests
then look at what it left.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from chimera_log.audit.chain import OURS, link_of
from chimera_log.audit.verify import Report, verify
from tests.integration.files_support import content_of
from tests.integration.support import (
    LOAD,
    PATIENCE,
    SHIPPED,
    lines_of,
    parsed,
    run_python,
    unmeasured,
    wait_until,
)
from tests.logs import unchained

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REQUESTS = 200
MORE_REQUESTS = 20  # at a time, until each worker has served
CLIENTS = 8

APP = "tests.integration.support"
UVICORN = [sys.executable, "-m", "uvicorn", "--host", "127.0.0.1", "--port", "0"]
UVICORN += ["--log-config", str(SHIPPED), "--timeout-worker-healthcheck", "30"]
GUNICORN = [sys.executable, "-m", "gunicorn", f"{APP}:wsgi"]
GUNICORN_CONF = f"""
from pathlib import Path
import yaml

bind = "127.0.0.1:0"
workers = 2
control_socket_disable = True
logconfig_dict = yaml.safe_load(Path({str(SHIPPED)!r}).read_text(encoding="utf-8"))
"""
# Files that are rotated and compressed, and workers that end amid the traffic.
ROTATING = """
for each in logconfig_dict["handlers"].values():
    if "maxBytes" in each:
        each.update(maxBytes=20_000, backupCount=1_000)
"""
RESTLESS = f"""{ROTATING}
max_requests = 50
graceful_timeout = 5

def post_worker_init(worker):
    worker.log.info("Worker is up")
"""

ADDRESS = re.compile(r"(?:running on|Listening at:) http://127\.0\.0\.1:(\d+)")
BOOT = re.compile(r"(?:Started server process \[|Booting worker with pid: )(\d+)")
ACCESS = re.compile(r'"GET /(\d+) HTTP/1\.1" 200')


@dataclass(frozen=True)
class Server:
    """A server to be started, and what its logging says of itself."""

    command: list[str]
    workers: int
    name: str
    ready: str


SERVERS = {
    "uvicorn": Server(
        [*UVICORN, f"{APP}:asgi"], 1, "uvicorn", "Application startup complete"
    ),
    "uvicorn-2-workers": Server(
        [*UVICORN, "--workers", "2", f"{APP}:asgi"],
        2,
        "uvicorn",
        "Application startup complete",
    ),
    "gunicorn": Server(GUNICORN, 2, "gunicorn", "Booting worker"),
    "gunicorn-preload": Server(
        [*GUNICORN, "--preload"], 2, "gunicorn", "Booting worker"
    ),
    **{
        f"gunicorn-{kind}{name}": Server(
            [*GUNICORN, "-k", kind, "--threads", "4", *preload],
            2,
            "gunicorn",
            "Booting worker",
        )
        for kind in ("gthread", "gevent")
        for name, preload in {"": [], "-preload": ["--preload"]}.items()
    },
}
EVERY_WAY = ["dictConfig", *SERVERS]


@dataclass(frozen=True)
class Run:
    """What a process left behind."""

    sent: int
    pids: set[int]
    console: list[bytes]
    everything: list[bytes]
    executions: list[bytes]
    trail: Report
    errors: str
    workers: int = 1
    server: str | None = None

    def records(self, module: str) -> list[dict[str, Any]]:
        """Return the records in ``chimera.log`` of the logger *module*."""
        found = parsed(self.everything)
        return [record for record in found if record["module"] == module]


LAST_WORDS = (
    "Shutting down",
    "Waiting for application shutdown.",
    "Application shutdown complete.",
    "Finished server process",
)


@pytest.fixture(scope="module", params=EVERY_WAY)
def run(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Run:
    """Return what one way of running left behind."""
    directory = tmp_path_factory.mktemp("service")
    if request.param == "dictConfig":
        return _run_plain(directory)
    return _run_server(SERVERS[request.param], directory)


def _run_plain(directory: Path) -> Run:
    script = f"""{LOAD}
import os, sys
from {APP} import serve
for number in range({REQUESTS}):
    serve(number)
print(os.getpid(), file=sys.stderr)
"""
    done = run_python(script, directory)
    pid, _, errors = done.stderr.partition("\n")
    return Run(
        sent=REQUESTS,
        pids={int(pid)},
        console=lines_of(done.stdout),
        everything=lines_of(directory / "chimera.log"),
        executions=lines_of(directory / "executions.log"),
        trail=verify(str(directory / "executions.log")),
        errors=errors,
    )


def _run_server(server: Server, directory: Path, conf: str = "") -> Run:
    logs = directory / "logs"
    console, errors = directory / "stdout", directory / "stderr"
    with _started(server, directory, console, errors, conf) as process:

        def ready() -> bool:
            said = console.read_text(encoding="utf-8")
            assert process.poll() is None, errors.read_text(encoding="utf-8")
            return bool(ADDRESS.search(said)) and (
                said.count(server.ready) == server.workers
            )

        def all_up() -> bool:
            # gunicorn loses a SIGTERM for a worker that is about to begin.
            said = console.read_text(encoding="utf-8")
            ended, begun = said.count("Worker exiting"), said.count(server.ready)
            return 0 < ended == begun - server.workers and (
                begun == said.count("Worker is up")
            )

        wait_until(ready, f"{server.workers} workers of {server.name}")
        port = _port(console.read_text(encoding="utf-8"))
        sent, pids = _ask(port, server.workers)
        if conf == RESTLESS:
            wait_until(all_up, "the workers that followed others")
        # A thread writes to the console; on a busy machine it is behind.
        wait_until(lambda: _told(console) >= sent, "the last request on the console")
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)
    return Run(
        sent=sent,
        pids=pids,
        console=lines_of(console),
        everything=_lines_in(logs, "chimera.log"),
        executions=_lines_in(logs, "executions.log"),
        trail=verify(str(logs / "executions.log")),
        errors=errors.read_text(encoding="utf-8"),
        workers=server.workers,
        server=server.name,
    )


def _told(console: Path) -> int:
    """Return how many requests the access lines on *console* tell of."""
    return console.read_text(encoding="utf-8").count("GET /")


def _port(said: str) -> int:
    """Return the port that a server *said* it listens on."""
    address = ADDRESS.search(said)
    assert address is not None
    return int(address[1])


def _lines_in(logs: Path, name: str) -> list[bytes]:
    """Return the lines in the file called *name*, and in the full ones beside it."""
    paths = logs.glob(f"{name}*")
    return [line for path in paths for line in lines_of(content_of(path))]


@contextmanager
def _started(
    server: Server, directory: Path, console: Path, errors: Path, conf: str = ""
) -> Iterator[subprocess.Popen[bytes]]:
    """Start *server*, with *conf* after `GUNICORN_CONF`; leave nothing of it alive."""
    (directory / "gunicorn.conf.py").write_text(GUNICORN_CONF + conf, encoding="utf-8")
    with (
        console.open("ab") as stdout,
        errors.open("ab") as stderr,
        subprocess.Popen(
            server.command,
            cwd=directory,
            env=unmeasured(directory / "logs"),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            # The workers too, should they have outlived the one that made them.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _ask(port: int, workers: int) -> tuple[int, set[int]]:
    """Return how many requests were sent, and the pids of all *workers*."""

    def get(number: int) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        try:
            connection.request("GET", f"/{number}", headers={"Connection": "close"})
            response = connection.getresponse()
            assert 200 == response.status
            return int(response.read())
        finally:
            connection.close()

    with ThreadPoolExecutor(CLIENTS) as clients:
        sent, pids = REQUESTS, set(clients.map(get, range(REQUESTS)))
        while len(pids) < workers and sent < 10 * REQUESTS:
            more = range(sent, sent + MORE_REQUESTS)
            sent, pids = more.stop, pids | set(clients.map(get, more))
    return sent, pids


class TestRecords:
    """What the application logs, in ``chimera.log`` and on the console."""

    def test_in_chimera_log(self, run: Run) -> None:
        """
        ``chimera.log`` has the record of every request, once.
        """
        numbers = [record["context"]["number"] for record in run.records("app")]

        assert list(range(run.sent)) == sorted(numbers)

    def test_on_console(self, run: Run) -> None:
        """
        The console shows the lines of ``chimera.log``, byte for byte, each once.

        But for the last words of uvicorn, which ends by dying of the signal that it
        was sent: what waits for the thread just then, on a busy machine, dies too.
        """
        missing = Counter(run.everything) - Counter(run.console)
        events = {str(json.loads(line)["event"]) for line in missing}
        assert Counter() == Counter(run.console) - Counter(run.everything)
        assert [] == [each for each in events if not each.startswith(LAST_WORDS)]

    def test_of_every_worker(self, run: Run) -> None:
        """
        The records of all workers are there, each under the pid that served.
        """
        pids = {record["context"]["pid"] for record in run.records("app")}

        assert run.workers == len(pids)
        assert run.pids == pids


class TestExecutions:
    """What lands in ``executions.log``."""

    def test_execution_records_only(self, run: Run) -> None:
        """
        ``executions.log`` has the execution records of all workers, and no others.
        """
        found = parsed(run.executions)

        assert {"execution_attempt"} == {record["event"] for record in found}
        assert list(range(0, run.sent, 10)) == sorted(
            record["context"]["number"] for record in found
        )

    def test_same_line_in_both_files(self, run: Run) -> None:
        """
        An execution record is one and the same line in both files, but for ``audit``,
        which links those of all workers into one chain.
        """
        expected = [line for line in run.everything if b"execution_attempt" in line]

        assert Counter(expected) == Counter(unchained(run.executions))

    def test_whole(self, run: Run) -> None:
        """
        All workers write one chain, in which nothing is missing.
        """
        assert run.trail.bad is None
        assert len(run.executions) == run.trail.records

    def test_checkpoints(self, run: Run) -> None:
        """
        The other outputs are told where the trail ends, by whoever ends in order:
        all but uvicorn, which dies of the signal that it was sent.
        """
        links = [link_of(line + b"\n") for line in run.executions]
        hashes = {(link.chain, link.seq): link.hash for link in links if link}
        told = [record["context"] for record in run.records(OURS)]

        for each in told:
            assert each["hash"] == hashes[each["chain"], each["seq"]]
        if run.server != "uvicorn":
            assert len(run.executions) == max(each["seq"] for each in told)


class TestLines:
    """The form of every line, whoever logged it."""

    def test_strict_json(self, run: Run) -> None:
        """
        Every line of the console and of both files is strict JSON with our fields.
        """
        ours = ["timestamp", "level", "module", "event", "context"]
        for record in parsed([*run.console, *run.everything]):
            assert ours == list(record)
        for record in parsed(run.executions):
            assert [*ours, "audit"] == list(record)

    def test_nothing_on_stderr(self, run: Run) -> None:
        """
        No traceback, no logging error and no line in another form on stderr.
        """
        assert "" == run.errors


@pytest.mark.parametrize("run", SERVERS, indirect=True)
class TestServersOwnLines:
    """What uvicorn and gunicorn log of themselves."""

    def test_access_lines(self, run: Run) -> None:
        """
        The server's access log is in our lines, each request once.
        """
        events = [record["event"] for record in run.records(f"{run.server}.access")]
        paths = [ACCESS.search(event) for event in events]

        assert list(range(run.sent)) == sorted(int(path[1]) for path in paths if path)
        assert run.sent == len(events)

    def test_worker_lines(self, run: Run) -> None:
        """
        The server's error log is in our lines: each worker's start, once.
        """
        events = [record["event"] for record in run.records(f"{run.server}.error")]
        started = [BOOT.search(event) for event in events]

        assert sorted(run.pids) == sorted(int(boot[1]) for boot in started if boot)

    def test_address_line(self, run: Run) -> None:
        """
        The line that tells the address is there once.
        """
        events = [record["event"] for record in run.records(f"{run.server}.error")]

        assert 1 == sum(bool(ADDRESS.search(event)) for event in events)

    def test_nobody_else(self, run: Run) -> None:
        """
        No record comes from any other logger, but those that vouch for the trail.
        """
        servers = {f"{run.server}.error", f"{run.server}.access"}

        modules = {record["module"] for record in parsed(run.everything)}
        assert {"app", "executions", *servers} == modules - {OURS}


THREADED = ["gunicorn-preload", "gunicorn-gthread-preload"]
GEVENT = "gunicorn-gevent-preload"


class TestHardTimes:
    """Servers whose workers end, and whose console nobody reads for a while."""

    @pytest.mark.parametrize(
        "name",
        [*(pytest.param(name, marks=pytest.mark.long) for name in THREADED), GEVENT],
    )
    def test_max_requests(self, name: str, tmp_path: Path) -> None:
        """
        Workers that end amid the traffic lose and double nothing, files rotated and
        compressed meanwhile.
        """
        run = _run_server(SERVERS[name], tmp_path, RESTLESS)
        numbers = [record["context"]["number"] for record in run.records("app")]

        assert "" == run.errors
        assert list(range(run.sent)) == sorted(numbers)
        assert Counter(run.everything) == Counter(run.console)
        assert len(list((tmp_path / "logs").glob("chimera.log.*"))) > 1

    @pytest.mark.parametrize(
        "name",
        [*(pytest.param(name, marks=pytest.mark.long) for name in THREADED), GEVENT],
    )
    def test_stopped_reader(self, name: str, tmp_path: Path) -> None:
        """
        All requests are served while nobody reads the console; who reads it
        afterwards finds every line.
        """
        console, errors = tmp_path / "stdout", tmp_path / "stderr"
        os.mkfifo(console)
        reader = os.open(console, os.O_RDONLY | os.O_NONBLOCK)
        said: list[bytes] = []

        def has_more() -> bool:
            with suppress(BlockingIOError):
                while some := os.read(reader, 65_536):
                    said.append(some)
            return b"Booting worker" in b"".join(said)

        try:
            with _started(
                SERVERS[name], tmp_path, console, errors, ROTATING
            ) as process:
                wait_until(has_more, "a worker")
                _ask(_port(b"".join(said).decode()), SERVERS[name].workers)
                process.send_signal(signal.SIGTERM)
                wait_until(lambda: has_more() and process.poll() is not None, "an end")
                has_more()
        finally:
            os.close(reader)
        events = Counter(_lines_in(tmp_path / "logs", "chimera.log"))

        assert "" == errors.read_text(encoding="utf-8")
        assert events == Counter(lines_of(b"".join(said)))
        assert sum(events.values()) > 2 * REQUESTS
