"""
Files that are compressed and synced while many write, fork and end: every record
is there once, and what is left behind is whole.
"""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from chimera_log.files.engines import CLOSE_TIMEOUT
from chimera_log.files.names import segment_number
from tests.integration.files_support import (
    ASIDE,
    HANDLER,
    NAME,
    handler_for,
    log,
    run_on_small_disk,
)
from tests.integration.support import (
    PATIENCE,
    environment,
    parsed,
    run_python,
    wait_until,
)
from tests.integration.test_files_trouble import child

if TYPE_CHECKING:
    from pathlib import Path

    from chimera_log import RotatingFileHandler

COUNT = pytest.param(400, id="short")
MANY = pytest.param(8_000, id="long", marks=pytest.mark.long)

# Logs COUNT records as WRITER, in small files; ends when its input does.
WRITER = f"""{HANDLER}
writer, count = map(int, sys.argv[1:])
handler = handler_for(".", maxBytes=20_000, compression="gzip")
for number in range(count):
    log(handler, writer, number)
    time.sleep(0.0005)
print("done", flush=True)
sys.stdin.read()
"""
# Forks amid compression, in many small steps; each child logs as well.
FORKING = f"""{HANDLER}
import multiprocessing
from chimera_log.files import compress
compress.CHUNK = 1_000
context = multiprocessing.get_context("fork")
handler = handler_for(".", compression="gzip")

def work(writer):
    for number in range(100):
        log(handler, writer, number)

for number in range(400):
    log(handler, 0, number)
children = [context.Process(target=work, args=(writer,)) for writer in range(1, 9)]
for each in children:
    each.start()
for each in children:
    each.join()
print([each.exitcode for each in children])
handler.doRollover()  # what ended children left is done with what is ours
deadline = time.monotonic() + 20
while compress.unfinished({NAME!r}, os.listdir(".")) and time.monotonic() < deadline:
    time.sleep(0.05)
"""
# Ends while a file is being compressed, in thousands of steps of 10 ms.
ENDING = f"""{HANDLER}
from chimera_log.files import compress
compress.CHUNK = 1_000
step = compress.Compression.step
def slow(compression):
    time.sleep(0.01)
    return step(compression)
compress.Compression.step = slow
handler = handler_for(".", maxBytes=20_000_000, compression="gzip")
for number in range(8_000):
    log(handler, 0, number)
handler.doRollover()
while not any(".gz.partial" in name for name in os.listdir({ASIDE!r})):
    time.sleep(0.001)
print(time.monotonic(), flush=True)
"""
RESTARTING = f"""{HANDLER}
handler = handler_for(".", maxBytes=20_000_000, compression="gzip")
log(handler, 1, 0)
while not handler.statistics().compressed:
    time.sleep(0.01)
"""
# A thread and a signal handler log while the main thread does.
SIGNALS = f"""{HANDLER}
import signal, threading
from chimera_log.files import durable
durable._sync_file = lambda fd: None  # a slow disk would nest the signals without end
handler = handler_for(".", sync="always")
came = 0
stop = threading.Event()

def keep_logging():
    number = 0
    while not stop.is_set():
        log(handler, 0, number)
        number += 1

def handle(*_):
    global came
    number, came = came, came + 1  # first: the next signal may interrupt this one
    log(handler, 1, number)

thread = threading.Thread(target=keep_logging)
thread.start()
signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
for number in range(2_000):
    log(handler, 2, number)
signal.setitimer(signal.ITIMER_REAL, 0)
stop.set()
thread.join()
print(came)
"""
# Two files on a small disk, of which one leaves room for the other.
SMALL_DISK = f"""{HANDLER}
import json, shutil
chimera = handler_for("disk", min_free_bytes=600_000, backupCount=3, maxBytes=100_000)
audit = chimera_log.RotatingFileHandler("disk/executions.log")
audit.setFormatter(chimera_log.JsonFormatter())

def until(condition):
    deadline = time.monotonic() + 60
    number = 0
    while not condition():
        assert time.monotonic() < deadline
        log(chimera, 0, number)
        number += 1
        time.sleep(0.01)

until(lambda: chimera.statistics().written)
free = shutil.disk_usage("disk").free
with open("disk/ballast", "wb") as ballast:
    ballast.write(bytes(free - 400_000))
until(lambda: chimera.statistics().dropped)
before = chimera.statistics()
for number in range(100):
    log(chimera, 1, number)
    log(audit, 1, number)
amid = chimera.statistics()
os.unlink("disk/ballast")
until(lambda: chimera.statistics().written > amid.written)
print(json.dumps([
    amid.written - before.written,
    amid.dropped - before.dropped,
    amid.waiting,
    audit.statistics().written,
    audit.statistics().dropped,
]))
"""


def content_of(path: Path) -> bytes:
    """Return what a full file holds, compressed or not."""
    return (
        gzip.decompress(path.read_bytes())
        if path.suffix == ".gz"
        else path.read_bytes()
    )


def files_in(directory: Path) -> list[Path]:
    """Return the full files in order, and the active one; no number is there twice."""
    numbers = {
        segment_number(NAME, path.name): path
        for path in sorted(directory.glob(f"{NAME}.*"))
    }
    assert len(numbers) == len(list(directory.glob(f"{NAME}.*")))
    full = [numbers[number] for number in sorted(filter(None, numbers))]
    return [*full, directory / NAME]


def found_in(directory: Path) -> Counter[tuple[int, int]]:
    """Return how often each writer's records are there, compressed or not."""
    return Counter(
        (line["context"]["writer"], line["context"]["number"])
        for path in files_in(directory)
        for line in parsed(content_of(path).splitlines())
    )


def is_compressed(directory: Path) -> bool:
    """Whether all full files are, and nothing is left of the work."""
    suffixes = {path.suffix for path in directory.glob(f"{NAME}.*")}
    return {".gz"} == suffixes and not list((directory / ASIDE).glob("*.partial"))


def check_with_tools(directory: Path, *, count: int) -> None:
    """Have gzip and jq read everything."""
    if not shutil.which("gzip") or not shutil.which("jq"):
        pytest.skip("needs gzip and jq")
    packed = [path for path in files_in(directory) if path.suffix == ".gz"]
    subprocess.run(["gzip", "-t", *packed], check=True, timeout=PATIENCE)
    read = subprocess.run(
        ["jq", "-c", ".context.number"],
        input=b"".join(map(content_of, files_in(directory))),
        capture_output=True,
        check=True,
        timeout=PATIENCE,
    )
    assert count == len(read.stdout.splitlines())


@pytest.mark.parametrize("count", [COUNT, MANY])
def test_threads(tmp_path: Path, count: int) -> None:
    """
    Eight threads log while their file rotates and is compressed: nothing is lost.
    """
    handler: RotatingFileHandler = handler_for(
        tmp_path, compression="gzip", sync="interval"
    )
    threads = [
        Thread(target=log, args=(handler, writer, *range(count))) for writer in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    wait_until(lambda: is_compressed(tmp_path), "compression")
    handler.close()

    expected = [(writer, number) for writer in range(8) for number in range(count)]
    assert Counter(expected) == found_in(tmp_path)
    assert len(files_in(tmp_path)) - 1 == handler.statistics().compressed
    check_with_tools(tmp_path, count=len(expected))


@pytest.mark.parametrize("count", [COUNT, MANY])
def test_processes(tmp_path: Path, count: int) -> None:
    """
    Four processes, of which one at a time compresses: each record is there once,
    and nothing is left of their work.
    """
    with ExitStack() as stack:
        children = [
            stack.enter_context(child(WRITER, tmp_path, str(writer), str(count)))
            for writer in range(4)
        ]
        told = [each.stdout.readline() for each in children if each.stdout]
        assert 4 * [b"done\n"] == told
        wait_until(lambda: is_compressed(tmp_path), "compression")
        said = [each.communicate(timeout=PATIENCE) for each in children]

    assert 4 * [(b"", b"")] == said
    expected = Counter(
        (writer, number) for writer in range(4) for number in range(count)
    )
    assert expected == found_in(tmp_path)
    check_with_tools(tmp_path, count=expected.total())


def test_fork(tmp_path: Path) -> None:
    """
    Children that are forked amid compression log and end as others do.
    """
    done = run_python(FORKING, tmp_path)

    assert (0, f"{8 * [0]}\n".encode(), "") == done
    parents = [(0, number) for number in range(400)]
    others = [(writer, number) for writer in range(1, 9) for number in range(100)]
    assert Counter(parents + others) == found_in(tmp_path)
    assert is_compressed(tmp_path)


def test_exit(tmp_path: Path) -> None:
    """
    A process ends at once amid compression; the next one finishes it.
    """
    done = run_python(ENDING, tmp_path)
    took = time.monotonic() - float(done.stdout)
    assert (0, "") == (done.code, done.stderr)
    assert took < CLOSE_TIMEOUT
    assert not list(tmp_path.glob("*.gz"))
    assert [] == list((tmp_path / ASIDE).glob("*.partial"))

    assert (0, "") == run_python(RESTARTING, tmp_path)[::2]
    assert is_compressed(tmp_path)
    assert Counter([(1, 0), *((0, each) for each in range(8_000))]) == found_in(
        tmp_path
    )


@pytest.mark.parametrize("sync", ["always", "interval", "rotate", "never"])
def test_exit_is_prompt(tmp_path: Path, sync: str) -> None:
    """
    A process that has nothing to sync waits for no thread at its end.
    """
    script = (
        f"{HANDLER}log(handler_for('.', sync={sync!r}), 0, 0)\nprint(time.monotonic())"
    )
    done = run_python(script, tmp_path)

    assert time.monotonic() - float(done.stdout) < CLOSE_TIMEOUT
    assert Counter([(0, 0)]) == found_in(tmp_path)


def test_signals(tmp_path: Path) -> None:
    """
    Signal handlers that log, whatever they interrupt, never deadlock with threads
    that do, though each record is synced.
    """
    # Not measured: coverage itself deadlocks where a signal handler interrupts it.
    variables = {
        name: value
        for name, value in environment(tmp_path).items()
        if not name.startswith("COVERAGE")
    }
    done = subprocess.run(
        [sys.executable, "-c", SIGNALS],
        cwd=tmp_path,
        env=variables,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (0, b"") == (done.returncode, done.stderr)

    found = found_in(tmp_path)
    handled = [(1, number) for number in range(int(done.stdout))]
    mine = [(2, number) for number in range(2_000)]
    assert {1} == set(found.values())
    assert set(handled + mine) == {each for each in found if each[0]}


def test_small_disk(tmp_path: Path) -> None:
    """
    While the disk is nearly full the log that leaves room for others drops and
    counts, the audit trail beside it goes on; then both do.
    """
    done = run_on_small_disk(tmp_path, "4m", SMALL_DISK, measured=True)
    assert 0 == done.returncode, done.stderr

    assert [0, 100, 0, 100, 0] == json.loads(done.stdout)
    first, second = done.stderr.decode().splitlines()
    assert "less than min_free_bytes is free on its disk; 1 records dropped" in first
    assert "more not shown" in second
