"""
Scenarios of processes that log to the strict server, played several at a time.

A scenario is a function that is given a `Stage`: a log group and a folder of its
own, and a way to start children.  `play` runs those that are selected; tests then
look at what is left of them.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.integration.cloudwatch_child import MARK, TOLD, VARIABLE
from tests.integration.cloudwatch_server import REGION
from tests.integration.support import PATIENCE, parsed, unmeasured, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.integration.cloudwatch_server import Recorded, Server

BOTH = MEMORY, SPOOL = ("memory", "spool")  # where a scenario's records wait
AT_A_TIME = 4  # scenarios; most of them wait now and then
ENVIRONMENT = {
    "PYTHONWARNINGS": "ignore::DeprecationWarning",  # of forks amid threads
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_EC2_METADATA_DISABLED": "true",
}
DROPS = "cloudwatch_records_dropped"
ACCOUNTED = ("sent", "dropped", "rejected", "queued", "spooled")
CHILD = """
import atexit, json, logging, logging.config, os, sys, threading, time
from tests.integration.cloudwatch_child import *
begin()
"""


class Ended(NamedTuple):
    """How a child ended."""

    code: int
    stdout: str
    stderr: str
    seconds: float
    """From its last statement, or from the signal, to its end."""


class Stage:
    """
    Where a scenario is played.

    Args:
        server: That is played to.
        name: Names the group as well.
        waits: `MEMORY` or `SPOOL`.
        directory: The children's own.
    """

    def __init__(self, server: Server, name: str, waits: str, directory: Path) -> None:
        self.server = server
        self.group = f"{name}.{waits}"
        self.waits = waits
        self.directory = directory
        self.expected: dict[str, range] = {}
        """How many records of each writer are to arrive."""
        self.may_double = 0
        """How many batches may have come twice."""
        self.inherits = False
        """Whether a process delivers what another one left."""
        self.is_interrupted = False
        """Whether a process may end between a record and its being counted."""
        self.codes = [0]
        """How the children are to end, one after the other."""
        self.says: tuple[str, ...] = ()
        """What the lines on stderr are about."""
        self.seen: list[Any] = []
        """What a scenario noted while it was played."""
        self.error: BaseException | None = None
        """Why the scenario could not be played."""
        self.ended: list[Ended] = []
        self.events: list[Recorded] = []
        """What arrived; known when all have played."""
        self._options: dict[str, Any] = {
            "log_group_name": self.group,
            "region_name": REGION,
            "endpoint_url": server.url,
            "flush_interval": 0.2,
            "close_timeout": 20,  # seconds; for a machine that is shared
        }
        if waits == SPOOL:
            self._options["spool_dir"] = str(directory / "spool")

    @contextmanager
    def child(
        self, script: str, *, variables: dict[str, str] | None = None, **options: Any
    ) -> Iterator[subprocess.Popen[str]]:
        """
        Start a child; it is ended afterwards, if it did not end by itself.

        Args:
            script: What it runs; it knows `cloudwatch_child`.
            variables: For its environment.
            options: Of its handler, which `configure` makes.
        """
        command = [sys.executable, "-c", CHILD + script]
        with self.process(command, variables=variables, **options) as process:
            yield process

    @contextmanager
    def process(
        self,
        command: list[str],
        *,
        variables: dict[str, str] | None = None,
        **options: Any,
    ) -> Iterator[subprocess.Popen[str]]:
        """Start *command*; else as `child`."""
        own = {**ENVIRONMENT, **(variables or {})}
        own[VARIABLE] = json.dumps({**self._options, **options})
        with subprocess.Popen(
            command,
            cwd=self.directory,
            env=unmeasured(self.directory, **own),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                yield process
            finally:
                # Its children too, should they have outlived it.
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    def run(self, script: str, **options: Any) -> Ended:
        """Let a child run to its end; arguments as for `child`."""
        with self.child(script, **options) as process:
            return self.end(process)

    def end(self, process: subprocess.Popen[str], number: int | None = None) -> Ended:
        """Wait for the end of *process*, which the signal *number* may bring about."""
        begun = time.monotonic()
        if number is not None:
            process.send_signal(number)
        stdout, stderr = process.communicate(timeout=2 * PATIENCE)
        now = time.monotonic()
        mark = self.directory / MARK
        if number is None and mark.exists():
            begun = float(mark.read_text(encoding="utf-8"))
        self.ended.append(Ended(process.returncode, stdout, stderr, now - begun))
        return self.ended[-1]

    def restart(self) -> None:
        """Start a process that logs one record, and thereby delivers what is left."""
        self.run("configure()\nwrite('next', 1)\ndelivered()")
        self.expect("next", 1)
        self.inherits = True
        self.codes.append(0)

    def expect(self, writer: str, least: int, most: int | None = None) -> None:
        """Have so many records of *writer* arrive; without *most*, exactly *least*."""
        self.expected[writer] = range(least, (least if most is None else most) + 1)

    def fail(self, kind: str, **when: Any) -> None:
        """Let the delivery of this scenario's records fail, as `Server.fail` does."""
        self.server.fail(kind, operation="PutLogEvents", text=f'"{self.group}"', **when)

    def arrived(self, count: int) -> None:
        """Wait until *count* events have arrived."""
        what = f"{count} events of {self.group}"
        wait_until(lambda: len(self.server.events(self.group)) >= count, what)

    @property
    def numbers(self) -> dict[str, list[int]]:
        """What arrived of each writer, in the order in which it came first."""
        found: dict[str, dict[int, None]] = defaultdict(dict)
        for _, writer, number in self._arrivals():
            found[writer][number] = None
        return {writer: list(numbers) for writer, numbers in found.items()}

    @property
    def doubled(self) -> set[int]:
        """The calls that brought what was there already."""
        known, calls = set(), set()
        for call, *record in self._arrivals():
            if tuple(record) in known:
                calls.add(call)
            known.add(tuple(record))
        return calls

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What arrived and is JSON, read as such."""
        messages = [event.message.encode() for event in self.events]
        return parsed(message for message in messages if message.startswith(b"{"))

    def line(self, event: str) -> dict[str, Any]:
        """Return the only line of *event*."""
        (found,) = [line for line in self.lines if line["event"] == event]
        return found

    @property
    def told(self) -> list[dict[str, Any]]:
        """What each process that ended in order said of its records."""
        files = sorted(self.directory.glob(f"{TOLD}.*"), key=os.path.getmtime)
        return [json.loads(file.read_text(encoding="utf-8")) for file in files]

    def _arrivals(self) -> Iterator[tuple[int, str, int]]:
        for event in self.events:
            if '"writer":' in event.message:
                context = json.loads(event.message)["context"]
                yield event.call, context["writer"], context["number"]


class Scenario(NamedTuple):
    """A scenario, and where its records wait."""

    play: Callable[[Stage], None]
    waits: tuple[str, ...]
    long: tuple[str, ...]


class Scenarios:
    """Those of a module of tests, by their names."""

    def __init__(self) -> None:
        self._known: dict[str, Scenario] = {}

    def add(
        self, *waits: str, long: tuple[str, ...] = ()
    ) -> Callable[[Callable[[Stage], None]], Callable[[Stage], None]]:
        """
        Add the decorated function; its records wait in each of these ways.

        Args:
            waits: `MEMORY`, `SPOOL`, or both.
            long: In which ways it is played only when there is much time.
        """

        def register(play: Callable[[Stage], None]) -> Callable[[Stage], None]:
            self._known[play.__name__] = Scenario(play, waits, long)
            return play

        return register

    def only(self, *names: str) -> pytest.MarkDecorator:
        """Have the decorated test look at these scenarios and no others."""
        found = [each for each in self._parameters() if each.values[0][0] in names]
        return pytest.mark.parametrize("stage", found, indirect=True)

    def fixtures(self) -> tuple[Any, Any]:
        """Return the fixtures ``stages``, for a module, and ``stage``, for a test."""

        @pytest.fixture(scope="module")
        def stages(
            request: pytest.FixtureRequest,
            cloudwatch_process: Server,
            tmp_path_factory: pytest.TempPathFactory,
        ) -> dict[tuple[str, str], Stage]:
            directory = tmp_path_factory.mktemp("stages")
            return self._play(_chosen(request), cloudwatch_process, directory)

        @pytest.fixture(params=self._parameters())
        def stage(
            request: pytest.FixtureRequest, stages: dict[tuple[str, str], Stage]
        ) -> Stage:
            found = stages[request.param]
            if found.error is not None:
                raise found.error
            return found

        return stages, stage

    def _parameters(self) -> list[Any]:
        return [
            pytest.param(
                (name, way),
                id=f"{name}-{way}",
                marks=[pytest.mark.long] if way in scenario.long else [],
            )
            for name, scenario in self._known.items()
            for way in (*scenario.waits, *scenario.long)
        ]

    def _play(
        self, chosen: list[tuple[str, str]], server: Server, directory: Path
    ) -> dict[tuple[str, str], Stage]:
        """Play those that are *chosen*, and return what they left."""
        server.reset()
        stages = {}
        for name, waits in chosen:
            folder = directory / f"{name}.{waits}"
            folder.mkdir()
            stages[name, waits] = Stage(server, name, waits, folder)
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            played = {
                key: pool.submit(self._known[key[0]].play, stage)
                for key, stage in stages.items()
            }
        for key, stage in stages.items():
            stage.error = played[key].exception()
            stage.events = server.events(stage.group)
        assert [] == server.violations()
        return stages


class Promises:
    """What holds in every scenario; a module's tests are given ``stage``."""

    def test_nothing_lost(self, stage: Stage) -> None:
        """
        Every record arrives, in the order in which its writer logged it.
        """
        arrived = stage.numbers
        assert stage.expected.keys() >= arrived.keys()
        for writer, counts in stage.expected.items():
            numbers = arrived.get(writer, [])
            assert list(range(len(numbers))) == numbers
            assert len(numbers) in counts

    def test_nothing_doubled(self, stage: Stage) -> None:
        """
        None arrives twice, but in as many batches as replies were lost.
        """
        assert len(stage.doubled) <= stage.may_double

    def test_accounts(self, stage: Stage) -> None:
        """
        The statistics add up: all that was logged is sent, or told to be elsewhere.
        """
        enqueued = 0
        logged = sum(line["event"] == DROPS for line in stage.lines)
        for told in stage.told:
            logged += told["logged"] + told["own"]
            for found in told["statistics"]:
                enqueued += found["enqueued"]
                assert found["enqueued"] == sum(found[name] for name in ACCOUNTED)
        if stage.inherits:
            assert enqueued >= logged
        else:
            assert enqueued - logged in range(stage.is_interrupted + 1)

    def test_ends(self, stage: Stage) -> None:
        """
        Every process ends as it would without us, and says no more than it has to.
        """
        assert stage.codes == [ended.code for ended in stage.ended]
        said = [line for ended in stage.ended for line in ended.stderr.splitlines()]
        known = (*stage.says, " more not shown")
        assert [] == [line for line in said if not any(each in line for each in known)]


def _chosen(request: pytest.FixtureRequest) -> list[tuple[str, str]]:
    """Return which scenarios this run's tests of a module look at."""
    found: dict[tuple[str, str], None] = {}
    for item in request.session.items:
        if isinstance(item, pytest.Function) and item.module is request.module:
            callspec = getattr(item, "callspec", None)
            if callspec is not None and "stage" in callspec.params:
                found[callspec.params["stage"]] = None
    return list(found)
