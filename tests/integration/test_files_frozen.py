"""
A file system that is frozen, as snapshot tools do it, while lines are written.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.files_support import HANDLER, written
from tests.integration.power import disk_in
from tests.integration.support import PATIENCE, unmeasured

if TYPE_CHECKING:
    from pathlib import Path

FROZEN = 1.5  # seconds
GIL = getattr(sys, "_is_gil_enabled", lambda: True)()

# One thread logs, another looks at the clock; tells how long that one stood still.
LOGGING = f"""{HANDLER}
import json, threading
from chimera_log.files import syscalls
syscalls.SLOW_WRITE = 60.0  # on a busy machine, too, no write counts as slow before
handler = handler_for(".", keep_gil=sys.argv[1], maxBytes=0)
log(handler, 0, 0)
ended = threading.Event()
looks = []
def look():
    while not ended.is_set():
        looks.append(time.monotonic())
        time.sleep(0.01)
    looks.append(time.monotonic())
clock = threading.Thread(target=look)
clock.start()
print("ready", flush=True)
def wait():
    sys.stdin.read()
    ended.set()
threading.Thread(target=wait).start()
number = 1
while not ended.is_set():
    log(handler, 0, number)
    number += 1
    time.sleep(0.005)
clock.join()
handler.close()
still = max(later - sooner for sooner, later in zip(looks, looks[1:]))
print(json.dumps({{"still": still, "records": number}}), flush=True)
"""


def run_on_a_disk_that_freezes(directory: Path, keep_gil: str) -> dict[str, Any]:
    """Let a child log while its disk is frozen; return what it told, and what is there."""
    if not shutil.which("fsfreeze"):
        pytest.skip("needs fsfreeze")
    with disk_in(directory) as disk:
        with subprocess.Popen(
            [sys.executable, "-c", LOGGING, keep_gil],
            cwd=disk,
            env=unmeasured(disk),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdin
            assert process.stdout
            assert b"ready\n" == process.stdout.readline()
            subprocess.run(["fsfreeze", "--freeze", disk], check=True)
            try:
                time.sleep(FROZEN)
            finally:
                subprocess.run(["fsfreeze", "--unfreeze", disk], check=True)
            process.stdin.close()
            told: dict[str, Any] = json.loads(process.stdout.readline())
            assert 0 == process.wait(PATIENCE)
        return {**told, "written": written(disk)}


@pytest.mark.skipif(not GIL, reason="needs Python with a GIL")
def test_keeping_the_gil(tmp_path: Path) -> None:
    """
    The whole process stands still with the disk; afterwards everything is there.
    """
    found = run_on_a_disk_that_freezes(tmp_path, "auto")

    assert {0: list(range(found["records"]))} == found["written"]
    assert found["still"] > FROZEN / 2


def test_giving_it_up(tmp_path: Path) -> None:
    """
    Only the thread that logs stands still, with ``keep_gil: never``.
    """
    found = run_on_a_disk_that_freezes(tmp_path, "never")

    assert {0: list(range(found["records"]))} == found["written"]
    assert found["still"] < FROZEN / 2
