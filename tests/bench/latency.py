"""
What a call costs its caller while a file rotates, and beside busy threads.

Each contender has a process of its own, one after another in one run, the null
handler first: what even that one waits for is the machine's doing.  Afterwards
everything is read back, for it is easy to be fast and lose records.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.bench import load, traffic
from tests.bench.contenders import (
    BUSY,
    MAX_BYTES,
    OURS,
    ROTATION,
    SHIPPED,
    version,
)
from tests.bench.figures import Call, Figures, lines_in, lost, summary
from tests.integration.support import environment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.bench.contenders import Contender
    from tests.bench.shippers import Shipper

CALLS_BEFORE_ROTATION = 4_000  # about two seconds


class Row(NamedTuple):
    """What was measured of one contender; one that writes nothing can lose nothing."""

    figures: Figures
    lost: int | None
    archives: int


def rotation() -> None:
    """Print what a call takes while 100 MB are rotated and compressed."""
    print(
        f"{load.THREADS} threads, {load.THREADS / load.EVERY:,.0f} calls a second in "
        f"all, {load.SECONDS:.0f} s; 100 MB are rotated and compressed after about 2 s"
    )
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        full = Path(folder, "full.log")
        with full.open("wb") as file:
            file.writelines(traffic.lines(MAX_BYTES))
        for name in _installed(ROTATION):
            size = MAX_BYTES - CALLS_BEFORE_ROTATION * _line_size(name)
            rows[name] = _measure("rotation", name, full, size)
    best = rows[OURS].figures.max
    ratios = {name: row.figures.max / best for name, row in rows.items()}
    print_table(
        ROTATION,
        ["p50 ms", "p99 ms", "max ms", "late ms", "x", "lost", "gz"],
        {
            name: [*_milliseconds(row.figures), ratios[name], row.lost, row.archives]
            for name, row in rows.items()
        },
    )
    print("  late: the worst end of a call, after its intended start")
    print(f"  x: max, that of `{OURS}` being 1; lost: records that no file has")
    print("  gz: files that were compressed when the process had ended")
    print(f"  bar: max at most 25 ms (aim: 10); measured: {best * 1e3:.1f}")
    _print_distance(ROTATION, ratios, 150)


def busy() -> None:
    """Print what a call takes beside threads that compute, stdout being a pipe."""
    print(
        f"{load.CALLS} calls, {load.PAUSE * 1e3:.0f} ms apart, beside "
        f"{load.BUSY_THREADS} threads that compute; stdout is a pipe that is read"
    )
    rows = {name: _measure("busy", name) for name in _installed(BUSY)}
    best = rows[SHIPPED].figures.p99
    ratios = {name: row.figures.p99 / best for name, row in rows.items()}
    print_table(
        BUSY,
        ["p50 ms", "p99 ms", "max ms", "x", "lost"],
        {
            name: [*_milliseconds(row.figures)[:3], ratios[name], row.lost]
            for name, row in rows.items()
        },
    )
    print(f"  x: p99, that of `{SHIPPED}` being 1; lost: records not read back")
    print(f"  bar: p99 at most 1 ms; measured: {best * 1e3:.3f}")
    _print_distance(BUSY, ratios, 100)


def _installed(contenders: Mapping[str, Contender]) -> list[str]:
    return [name for name in contenders if not contenders[name].missing]


def _measure(table: str, name: str, full: Path | None = None, size: int = 0) -> Row:
    """
    Run one contender, read back what it logged, and return its row.

    Args:
        table: The load, and whose.
        name: The contender.
        full: Lines that its file begins with.
        size: How many bytes of them.
    """
    with tempfile.TemporaryDirectory() as made:
        folder, logs = Path(made), Path(made, "logs")
        logs.mkdir()
        first = traffic.begin_file(logs / "bench.log", full, size) if full else 0
        stdout = _run(table, name, folder, first)
        calls = [
            Call(*call) for call in json.loads((folder / "calls.json").read_bytes())
        ]
        places = {"files": lines_in(logs), "console": stdout.splitlines()}
        numbers = range(first + 1 + len(calls))
        outputs = load.LOADS[table][1][name].outputs
        return Row(
            summary(calls),
            sum(lost(places[place], numbers) for place in outputs) if outputs else None,
            len(list(logs.glob("*.gz"))),
        )


def _run(table: str, name: str, folder: Path, first: int) -> bytes:
    """Run one contender in *folder*, and return its stdout; stderr is ours."""
    logs = folder / "logs"
    logs.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.load", table, name, folder, str(first)],
        cwd=folder,
        env=environment(logs),
        stdout=subprocess.PIPE,
        check=True,
    )
    return done.stdout


def _line_size(name: str) -> int:
    """Return how many bytes the contender writes for an event, on average."""
    with tempfile.TemporaryDirectory() as folder:
        _run("sample", name, Path(folder), 100_000)
        found = list(lines_in(Path(folder, "logs")))
    return sum(map(len, found)) // max(len(found), 1)


def _milliseconds(figures: Figures) -> list[float]:
    return [seconds * 1e3 for seconds in figures]


def print_table(
    contenders: Mapping[str, Contender] | Mapping[str, Shipper],
    heads: Sequence[str],
    rows: Mapping[str, Sequence[float | str | None]],
) -> None:
    """Print a line for each contender, also for one that is missing."""
    print("  " + " ".join(f"{head:>9}" for head in heads))
    for name, contender in contenders.items():
        if contender.missing:
            print(f"  missing: pip install {' '.join(contender.missing)}  {name}")
            continue
        cells = " ".join(_cell(value) for value in rows[name])
        print(f"  {cells}  {name}")
    needs = dict.fromkeys(need for one in contenders.values() for need in one.needs)
    print(
        "  " + ", ".join(f"{need} {version(need)}" for need in needs if version(need))
    )


def _cell(value: float | str | None) -> str:
    if value is None or isinstance(value, str):
        return f"{value or '-':>9}"
    return f"{value:9,}" if isinstance(value, int) else f"{value:9,.3f}"


def _print_distance(
    contenders: Mapping[str, Contender], ratios: Mapping[str, float], bar: int
) -> None:
    """Print how far the nearest peer is, beside how far it should be."""
    peers = [ratios[name] for name in ratios if contenders[name].needs]
    measured = f"{min(peers):,.0f}" if peers else "no peer is installed"
    print(f"  bar: every peer at least {bar} x; measured: {measured}")
