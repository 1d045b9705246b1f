"""
What a call costs its caller while the trail's copies are made, and without them.

Two trails take turns in one process: one without copies, one whose full files go to
S3, a server beside us, and whose records go into SQLite.  Each waits for its copies
before it is the other's turn.
"""

from __future__ import annotations

import logging
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chimera_log import AuditFileHandler
from tests.bench import traffic
from tests.bench.figures import Call, summary
from tests.integration import s3_server

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS = 20
CALLS = 400  # of one round
PAUSE = 0.002  # seconds from one call to the next
PATIENCE = 60.0  # seconds until the copies have come about
BUCKET = "evidence"
ROTATION: dict[str, Any] = {
    "maxBytes": 60_000,  # so that a round fills some files
    "backupCount": 10_000,
    "compression": "gzip",
}


def copies() -> None:
    """Print what a call takes with copies and without."""
    print(
        f"{ROUNDS} rounds in turns of {CALLS} calls, {PAUSE * 1e3:.0f} ms apart; a "
        f"file is full after {ROTATION['maxBytes']:,} bytes"
    )
    os.environ.update(AWS_ACCESS_KEY_ID="bench", AWS_SECRET_ACCESS_KEY="bench")
    with tempfile.TemporaryDirectory() as folder, s3_server.running() as server:
        server.make(BUCKET, has_locks=True)
        archive = {
            "bucket": BUCKET,
            "endpoint_url": server.url,
            "region_name": s3_server.REGION,
            "object_lock": "compliance",
        }
        without = AuditFileHandler(Path(folder, "without.log"), **ROTATION)
        with_copies = AuditFileHandler(
            Path(folder, "copied.log"),
            archive=archive,
            database=f"sqlite:///{folder}/copied.db",
            **ROTATION,
        )
        calls: dict[str, list[Call]] = {"without": [], "with copies": []}
        numbers = iter(range(10**9))
        for _ in range(ROUNDS):
            calls["without"] += _round(without, numbers)
            calls["with copies"] += _round(with_copies, numbers)
            _wait_for(with_copies)
        made = with_copies.statistics()
        without.close()
        with_copies.close()
    print("     p50 ms    p99 ms    max ms")
    for name, each in calls.items():
        found = summary(each)
        cells = " ".join(f"{seconds * 1e3:9.3f}" for seconds in found[:3])
        print(f"  {cells}  {name}")
    before, after = (summary(each) for each in calls.values())
    print(
        f"  with copies: {after.p50 / before.p50:.2f} x at p50, "
        f"{after.p99 / before.p99:.2f} x at p99"
    )
    print(
        f"  meanwhile {made.archive.archived} files of {made.segments} were archived, "
        f"{made.index.rows:,} rows indexed"
    )


def _round(handler: logging.Handler, numbers: Iterator[int]) -> list[Call]:
    calls = []
    begin = time.perf_counter()
    for turn in range(CALLS):
        name, context = traffic.event(next(numbers))
        record = logging.LogRecord("bench", logging.INFO, "", 1, name, None, None)
        record.__dict__["context"] = context
        intended = begin + turn * PAUSE
        time.sleep(max(intended - time.perf_counter(), 0))
        start = time.perf_counter()
        handler.handle(record)
        calls.append(Call(intended, start, time.perf_counter()))
    return calls


def _wait_for(handler: AuditFileHandler) -> None:
    """Wait until all copies of what was logged are there."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = handler.statistics()
        is_archived = found.archive and found.archive.archived == found.segments
        if is_archived and found.index and found.index.seq == found.written:
            return
        time.sleep(0.05)
    print(f"  not all copies came about: {handler.statistics()}")
