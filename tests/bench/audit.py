"""
What an audit trail costs: linking its lines, and verifying them.

Linking is measured beside the same handler without it; verifying beside the bare
hashes that it cannot do without, and its memory on a trail and one four times as
long.
"""

from __future__ import annotations

import hashlib
import statistics
import tempfile
import time
import tracemalloc
from pathlib import Path

from chimera_log import AuditFileHandler, RotatingFileHandler
from chimera_log.audit import chain
from chimera_log.audit.verify import verify
from tests.bench import traffic
from tests.bench.contenders import SIZES
from tests.bench.record import ROUNDS, in_turns

LINKING_BAR = 1.3  # times the handler that does not link
VERIFYING_BAR = 80_000  # records a second
SIZE = 50_000_000  # bytes of lines that are verified


def audit() -> None:
    """Print what linking and verifying cost."""
    _print_linking()
    with tempfile.TemporaryDirectory() as folder:
        _print_verifying(Path(folder, "executions.log"))
        _print_memory(Path(folder))


def _print_linking() -> None:
    with tempfile.TemporaryDirectory() as folder:
        bare, linked = rounds = in_turns(
            RotatingFileHandler(Path(folder, "bare.log"), sync="interval", **SIZES),
            AuditFileHandler(Path(folder, "linked.log"), **SIZES),
        )
    ratio = statistics.median(b / a for a, b in zip(bare, linked, strict=True))
    without, with_links = (statistics.median(taken) * 1e6 for taken in rounds)
    print(
        f"Linking, median of {ROUNDS} rounds in turns:\n"
        f"  {ratio:5.2f} x (bar: {LINKING_BAR})  without {without:.1f} us, "
        f"with {with_links:.1f} us a record"
    )


def _print_verifying(path: Path) -> None:
    records = _write(path, SIZE)
    lines = path.read_bytes().splitlines(keepends=True)
    hashing, verifying = [], []
    for _ in range(3):
        start = time.perf_counter()
        for line in lines:
            hashlib.sha256(line).hexdigest()
        middle = time.perf_counter()
        report = verify(str(path))
        verifying.append(time.perf_counter() - middle)
        hashing.append(middle - start)
    if report.bad is not None:
        print(f"  the trail is not whole: {report.bad}")
    ratio = statistics.median(b / a for a, b in zip(hashing, verifying, strict=True))
    rate = records / statistics.median(verifying)
    print(
        f"Verifying {records:,} records of {SIZE / records:.0f} bytes:\n"
        f"  {rate:,.0f} records/s (bar: {VERIFYING_BAR:,}), {ratio:.1f} x the bare hashes"
    )


def _print_memory(folder: Path) -> None:
    peaks = []
    for number, size in enumerate((SIZE // 20, SIZE // 5)):
        path = folder / f"{number}.log"
        _write(path, size)
        tracemalloc.start()
        verify(str(path))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    short, long = (peak / 1e6 for peak in peaks)
    print(f"  at most {short:.1f} MB, and {long:.1f} MB for a trail four times as long")


def _write(path: Path, size: int) -> int:
    """Write a trail of *size* bytes, not counting its links; return its records."""
    head = chain.begin("0" * 32)
    with path.open("wb") as file:
        for line in traffic.lines(size):
            linked, head = chain.linked(line, head)
            file.write(linked)
    return int(head.seq)
