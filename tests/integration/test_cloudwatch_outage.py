"""
A real outage, at a high rate: the handler, its thread, a spool, and the server.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chimera_log import CloudWatchHandler
from tests.conftest import record
from tests.integration.cloudwatch_server import REGION

if TYPE_CHECKING:
    from tests.integration.cloudwatch_server import Server

RATE = 2_500  # records a second
PORTION = 25
MOST_GROWTH = 8 * 1024 * 1024  # bytes; what waits is three times as much


@pytest.mark.parametrize("seconds", [1, pytest.param(40, marks=pytest.mark.long)])
def test_outage(
    cloudwatch: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    """
    What is logged while AWS is away waits on disk, not in memory, and goes out whole,
    in order and in large requests.
    """
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    handler = CloudWatchHandler(
        endpoint_url=cloudwatch.url,
        region_name=REGION,
        spool_dir=tmp_path / "spool",
        close_timeout=60,
    )
    handler.handle(record("begin"))
    handler.flush()
    cloudwatch.fail("ServiceUnavailableException")
    before = _resident()
    due = time.monotonic()
    for first in range(0, RATE * seconds, PORTION):
        for number in range(first, first + PORTION):
            handler.handle(record(f"{number:0200}"))
        due += PORTION / RATE
        time.sleep(max(due - time.monotonic(), 0))
    grown = _resident() - before
    cloudwatch.heal()
    handler.close()

    expected = ["begin", *(f"{number:0200}" for number in range(RATE * seconds))]
    assert expected == cloudwatch.messages()
    assert grown < MOST_GROWTH
    found = handler.statistics()
    assert (len(expected), 0, 0) == (found.sent, found.dropped, found.rejected)
    sizes = [call.events for call in cloudwatch.history() if call.code == "ok"]
    assert max(sizes) > min(RATE * seconds, 4_000) / 2
    assert [] == list((tmp_path / "spool").iterdir())


def _resident() -> int:
    """Return how many bytes of this process are in memory."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
