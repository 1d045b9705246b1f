"""
What it costs to send records to CloudWatch Logs, when all is well and in trouble.

The server is the strict one of the integration tests, a process of this machine.
Each contender has a process of its own, but for the caller's cost, where they take
turns in one.  What arrived is read back.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from statistics import median
from threading import Timer
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.bench.figures import Call, lost, percentile
from tests.bench.latency import print_table
from tests.bench.shippers import NULL, OURS, PEER, SHIPPERS
from tests.integration.cloudwatch_server import REGION, running, unaccepting
from tests.integration.support import unmeasured

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.bench.shippers import Shipper
    from tests.integration.cloudwatch_server import Server

_KEYS = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}
_REGION = {"AWS_DEFAULT_REGION": REGION}
_PATIENCE = 150.0  # seconds; the peer needs 60 to end, for one
_PATIENCE_AT_START = 20.0
_HOLE = ("latency", 3_600.0)
_TROUBLES = {
    "nobody answers": _HOLE,
    "HTTP 503": ("ServiceUnavailableException", 0.0),
    "every answer takes 2 s": ("latency", 2.0),
}


class Sizes(NamedTuple):
    """How much of everything; `BY_HAND` is what a person waits for."""

    rounds: int
    block: int
    bursts: int
    burst: int
    paced: int
    every: float
    last: int
    close_timeout: float


BY_HAND = Sizes(9, 20_000, 3, 100_000, 6_000, 0.001, 550, 5.0)


def cloudwatch(sizes: Sizes = BY_HAND) -> None:
    """Print the tables."""
    with running() as server:
        _cost(server, sizes)
        for is_first in (True, False):
            _burst(server, sizes, is_first=is_first)
        for trouble in _TROUBLES:
            _paced(server, sizes, trouble)
        _ending(server, sizes)
        _starting(server)


def _cost(server: Server, sizes: Sizes) -> None:
    names = _installed()
    rows: dict[str, list[float | None]] = {name: [] for name in names}
    for as_json in (False, True):
        server.reset()
        load = {"as_json": as_json, "rounds": sizes.rounds, "count": sizes.block}
        with _child(_healthy(server), "cost", names, **load) as child:
            taken = child.answer()
        net = {
            name: median(
                mine - null for mine, null in zip(taken[name], taken[NULL], strict=True)
            )
            for name in names
        }
        for name in names:
            rows[name] += [
                net[name] * 1e6,
                net[name] / net[PEER] if PEER in net else None,
            ]
    print(
        "Processor time of the thread that logs, per record and net of the null "
        f"handler's;\nmedian of {sizes.rounds} blocks of {sizes.block:,} records in turns"
    )
    print_table(SHIPPERS, ["bare us", "x", "JSON us", "x"], rows)
    print(f"  bare: no formatter, messages that are JSON already; x: {PEER} being 1")
    print(f"  bar: bare, {OURS} at most 0.45 x, with a spool at most 1 x")


def _burst(server: Server, sizes: Sizes, *, is_first: bool) -> None:
    names = _installed(sends=True)
    logged: dict[str, list[float]] = {name: [] for name in names}
    delivered: dict[str, list[float]] = {name: [] for name in names}
    missed: dict[str, list[int]] = {name: [] for name in names}
    for _ in range(sizes.bursts):
        for name in names:
            server.reset()
            load = {"count": sizes.burst, "is_first": is_first}
            with _child(_healthy(server), "burst", name, **load) as child:
                seconds = child.answer()
            logged[name].append(seconds[0])
            delivered[name].append(seconds[1])
            missed[name].append(_lost(server, sizes.burst))
    rates = {
        name: [
            (sizes.burst - missing) / seconds
            for missing, seconds in zip(missed[name], delivered[name], strict=True)
        ]
        for name in names
    }
    rows = {
        name: [
            median(logged[name]),
            median(delivered[name]),
            round(median(rates[name])),
            _ratio(rates[name], rates.get(PEER)),
            max(missed[name]),
        ]
        for name in names
    }
    when = "the first that a process logs" if is_first else "the stream is there"
    print(f"{sizes.burst:,} records at once; {when}; median of {sizes.bursts} in turns")
    print_table(_of(names), ["logged s", "all s", "1/s", "x", "lost"], rows)
    print(f"  1/s: records that arrived; x: {PEER} being 1; lost: in the worst burst")
    print(f"  bar: {OURS} at least 1.3 x, and nothing lost")


def _paced(server: Server, sizes: Sizes, trouble: str) -> None:
    names = [NULL, *_installed(sends=True)]
    kind, delay = _TROUBLES[trouble]
    rows: dict[str, list[float | None]] = {}
    for name in names:
        server.reset()
        load = {"count": sizes.paced, "every": sizes.every}
        with _child(_healthy(server), "paced", name, **load) as child:
            child.answer()
            server.fail(kind, delay=delay)
            child.go_on()
            calls = [Call(*call) for call in child.answer()]
            child.answer()
            server.heal()
            child.go_on()
        took = [call.took * 1e3 for call in calls]
        rows[name] = [
            *(percentile(took, each) for each in (50, 99, Fraction("99.9"), 100)),
            max(call.late for call in calls) * 1e3,
            _lost(server, sizes.paced) if SHIPPERS[name].sends else None,
        ]
    print(f"{sizes.paced:,} calls, {1 / sizes.every:,.0f} a second; {trouble}")
    heads = ["p50 ms", "p99 ms", "p99.9 ms", "max ms", "late ms", "lost"]
    print_table(_of(names), heads, rows)
    print("  late: the worst end of a call, after its intended start")
    print("  lost: when all is well again, and the process has ended")
    print(f"  bar: {OURS}, with a spool and without: p99.9 under 1 ms, max under 10 ms")


def _ending(server: Server, sizes: Sizes) -> None:
    names = _installed(sends=True)
    rows: dict[str, list[float | None]] = {name: [] for name in names}
    for is_well in (True, False):
        for name in names:
            server.reset()
            load = {"count": sizes.last, "close_timeout": sizes.close_timeout}
            with _child(_healthy(server), "ending", name, **load) as child:
                child.answer()
                if not is_well:
                    server.fail(_HOLE[0], delay=_HOLE[1])
                child.go_on()
                begin = child.answer()
            rows[name].append(time.monotonic() - begin)
            if is_well:
                rows[name].append(_lost(server, sizes.last))
    print(f"The end of a process that has just logged {sizes.last} records")
    print_table(_of(names), ["well s", "lost", "hole s"], rows)
    print("  hole: nobody answers any more")
    print(f"  bar: {OURS}: well under 1 s, hole at most {sizes.close_timeout + 0.5} s")


def _starting(server: Server) -> None:
    names = _installed(sends=True)
    rows: dict[str, list[float | str | None]] = {name: [] for name in names}
    url = {"AWS_ENDPOINT_URL": server.url}
    with unaccepting() as nowhere:
        for variables in (
            {**_REGION, **url},
            {**_KEYS, **url},
            {**_REGION, **_KEYS, "AWS_ENDPOINT_URL": nowhere},
        ):
            for name in names:
                with _child(variables, "starting", name) as child:
                    for _ in range(2):
                        rows[name].append(_shown(child.answer(_PATIENCE_AT_START)))
                    child.end()
    print("Milliseconds of a dictConfig, and of another while a record is under way")
    heads = ["no keys", "again", "no region", "again", "no route", "again"]
    print_table(_of(names), heads, rows)
    print(
        f"  late: not within {_PATIENCE_AT_START:.0f} s; or the error that was raised"
    )
    print(f"  bar: {OURS}: 20 ms, and 50 ms again")


class Child:
    """A load in a process of its own, seen from here."""

    def __init__(self, process: subprocess.Popen[str], stderr: Path) -> None:
        self._process = process
        self._stderr = stderr

    def answer(self, patience: float = _PATIENCE) -> Any:
        """Return what it measured; ``None`` if it had to be ended before."""
        assert self._process.stdout is not None
        timer = Timer(patience, self._process.kill)
        timer.start()
        line = self._process.stdout.readline()
        timer.cancel()
        timer.join()
        if line:
            return json.loads(line)
        if self._process.wait() != -signal.SIGKILL:
            raise RuntimeError(self._stderr.read_text())
        return None

    def go_on(self) -> None:
        """Have it do what it waits to do."""
        assert self._process.stdin is not None
        print(file=self._process.stdin, flush=True)

    def end(self) -> None:
        """Do not let it end as it likes."""
        self._process.kill()


@contextmanager
def _child(
    variables: dict[str, str], load: str, subject: object, **arguments: object
) -> Iterator[Child]:
    """Run a load of `shipping`, and wait for its end."""
    with tempfile.TemporaryDirectory() as folder:
        given = [load, json.dumps(subject), json.dumps(arguments)]
        stderr = Path(folder, "stderr")  # what cannot be delivered is told there
        with (
            stderr.open("w") as told,
            subprocess.Popen(
                [sys.executable, "-m", "tests.bench.shipping", *given],
                cwd=folder,
                env=unmeasured(Path(folder), **variables),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=told,
                text=True,
            ) as process,
        ):
            timer = Timer(_PATIENCE, process.kill)
            try:
                yield Child(process, stderr)
                timer.start()
                process.wait()
            finally:
                timer.cancel()
                process.kill()
                if timer.ident is not None:  # it was started
                    timer.join()


def _healthy(server: Server) -> dict[str, str]:
    return {**_KEYS, **_REGION, "AWS_ENDPOINT_URL": server.url}


def _installed(*, sends: bool = False) -> list[str]:
    """Return who can be measured; those only who send, if that matters."""
    return [
        name
        for name, shipper in SHIPPERS.items()
        if not shipper.missing and (shipper.sends or not sends)
    ]


def _of(names: Sequence[str]) -> dict[str, Shipper]:
    """Return these, and those that are missing."""
    return {
        name: shipper
        for name, shipper in SHIPPERS.items()
        if name in names or shipper.missing
    }


def _lost(server: Server, count: int) -> int:
    """Return how many of the records from number 1 on did not arrive."""
    return lost((each.encode() for each in server.messages()), range(1, count))


def _ratio(ours: Sequence[float], theirs: Sequence[float] | None) -> float | None:
    """Return the median of *ours* beside *theirs*, which were measured in turns."""
    if theirs is None:
        return None
    return median(mine / other for mine, other in zip(ours, theirs, strict=True))


def _shown(seconds: float | str | None) -> float | str:
    if isinstance(seconds, float):
        return seconds * 1e3
    return seconds or "late"
