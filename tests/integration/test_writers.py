"""
Lines that a thread writes: all of them, once, at every orderly end; and what a
reader does who is slow, stuck or gone.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.integration.files_support import files
from tests.integration.support import (
    PATIENCE,
    Done,
    environment,
    lines_of,
    parsed,
    run_python,
    unmeasured,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# What every program here begins with; a file, so that spawned children find it.
PROGRAM = """
import json, logging, multiprocessing, os, signal, sys, threading, time, warnings
from chimera_log import JsonFormatter, RotatingFileHandler, StreamHandler

def handler():
    options = {"writer": "thread", **json.loads(os.environ.get("OPTIONS", "{}"))}
    if os.environ["SINK"] == "console":
        made = StreamHandler(sys.stdout, **options)
    else:
        made = RotatingFileHandler(
            "bot.log", maxBytes=200_000, backupCount=1_000, **options
        )
    made.setFormatter(JsonFormatter())
    return made

logger = logging.getLogger("bot")
logger.setLevel("INFO")
logger.addHandler(handler())

def write(writer, count, first=0):
    for number in range(first, first + count):
        context = {"writer": writer, "number": number, "filling": "x" * 160}
        logger.info("filled", extra={"context": context})

def two_writers(writer):
    write(writer, 300)
    thread = threading.Thread(target=late, args=[writer])
    thread.start()  # and ends after the main thread

def late(writer):
    threading.main_thread().join()
    write(writer, 300, first=300)
"""
SINKS = pytest.mark.parametrize("sink", ["console", "file"])


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a folder with `PROGRAM` in it."""
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    return tmp_path


def run(
    script: str, place: Path, sink: str, options: str = "{}", **variables: str
) -> Done:
    """Run *script* after `PROGRAM`."""
    script = f"from program import *\n{script}"
    return run_python(script, place, SINK=sink, OPTIONS=options, **variables)


def written(place: Path, stdout: bytes) -> dict[int, list[int]]:
    """Return the numbers of each writer, in order, on whichever was written to."""
    contents = [stdout] + [path.read_bytes() for path in files(place)]
    found = defaultdict(list)
    for content in filter(None, contents):
        assert_jq_reads(content)
        for line in parsed(lines_of(content)):
            found[line["context"]["writer"]].append(line["context"]["number"])
    return dict(found)


def assert_jq_reads(content: bytes) -> None:
    """Assert that jq finds as many documents as there are lines."""
    jq = shutil.which("jq")
    assert jq, "apt-get install jq"
    done = subprocess.run(
        [jq, "-c", "."], input=content, capture_output=True, check=True
    )
    assert content.count(b"\n") == done.stdout.count(b"\n")


@contextmanager
def child(
    script: str, place: Path, *, options: str = "{}", stderr: int = subprocess.PIPE
) -> Iterator[subprocess.Popen[bytes]]:
    """Run *script* after `PROGRAM`, on a console that nobody reads yet."""
    process = subprocess.Popen(
        [sys.executable, "-c", f"from program import *\n{script}"],
        cwd=place,
        env=environment(place, SINK="console", OPTIONS=options),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(PATIENCE)
        for stream in filter(None, [process.stdout, process.stderr]):
            stream.close()


ENDS = {
    "return": "write(0, 2_000)",
    "sys-exit": "write(0, 2_000)\nsys.exit()",
    "exception": "write(0, 2_000)\nraise ValueError('boom')",
    "sigterm": """
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
write(0, 2_000)
os.kill(os.getpid(), signal.SIGTERM)
signal.pause()
""",
    "atexit": """
import atexit
atexit.register(write, 0, 1_000, 1_000)
write(0, 1_000)
""",
    "thread": """
write(0, 1_000)
def late():
    threading.main_thread().join()
    write(0, 1_000, 1_000)
threading.Thread(target=late).start()
""",
    "forked": """
warnings.simplefilter("ignore")
write(0, 1_000)
child = os.fork()
if not child:
    write(1, 1_000)
    sys.exit()
write(0, 1_000, 1_000)
sys.exit(os.waitpid(child, 0)[1])
""",
    "daemon": """
warnings.simplefilter("ignore")
write(0, 2_000)
if os.fork():
    os._exit(0)  # as one that becomes a daemon does
""",
}


class TestOrderlyEnd:
    """Every way in which a process may end, short of being killed."""

    @SINKS
    @pytest.mark.parametrize("end", ENDS)
    def test_nothing_lost(self, place: Path, sink: str, end: str) -> None:
        """
        All that was logged is there, once and in order, and exit says nothing.
        """
        done = run(ENDS[end], place, sink)

        assert (end == "exception") == bool(done.stderr), done.stderr
        expected = {0: list(range(2_000))}
        if end == "forked":
            expected[1] = list(range(1_000))
        assert expected == written(place, done.stdout)

    @SINKS
    def test_atexit_registered_early(self, place: Path, sink: str) -> None:
        """
        A function that is called after ours, since it was registered before, logs.
        """
        script = f"""
import atexit
atexit.register(lambda: write(0, 500, 500))
exec({PROGRAM!r})
write(0, 500)
"""
        done = run_python(script, place, SINK=sink)

        assert "" == done.stderr
        assert {0: list(range(1_000))} == written(place, done.stdout)

    @SINKS
    def test_terminated_amid_lines(self, place: Path, sink: str) -> None:
        """
        A signal handler that ends the process amid a line loses and doubles none.
        """
        script = """
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
killer = threading.Timer(0.05, os.kill, [os.getpid(), signal.SIGTERM])
killer.start()
for number in range(1_000_000):
    write(0, 1, number)
"""
        # Unmeasured: coverage's own lock stays taken if a handler raises in there.
        script = f"from program import *\n{script}"
        done = run_python(script, place, SINK=sink, COVERAGE_PROCESS_CONFIG="")
        (numbers,) = written(place, done.stdout).values()

        assert (0, "") == (done.code, done.stderr)
        assert list(range(len(numbers))) == numbers

    @SINKS
    @pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
    def test_multiprocessing(self, place: Path, sink: str, method: str) -> None:
        """
        Children of every kind, and threads that outlive their main thread.
        """
        script = f"""
warnings.simplefilter("ignore")
import program
context = multiprocessing.get_context({method!r})
program.write(0, 300)
children = [
    context.Process(target=program.two_writers, args=[writer]) for writer in (1, 2)
]
for child in children:
    child.start()
program.write(0, 300, 300)
for child in children:
    child.join()
sys.exit(any(child.exitcode for child in children))
"""
        done = run(script, place, sink)

        assert (0, "") == (done.code, done.stderr)
        expected = {writer: list(range(600)) for writer in range(3)}
        assert expected == written(place, done.stdout)

    @SINKS
    def test_pool(self, place: Path, sink: str) -> None:
        """
        Workers of a pool that was closed and joined.
        """
        script = """
warnings.simplefilter("ignore")
import program
with multiprocessing.get_context("fork").Pool(2) as pool:
    pool.starmap(program.write, [(writer, 300) for writer in range(6)], chunksize=1)
    pool.close()
    pool.join()
"""
        done = run(script, place, sink)

        assert (0, "") == (done.code, done.stderr)
        expected = {writer: list(range(300)) for writer in range(6)}
        assert expected == written(place, done.stdout)

    @SINKS
    def test_fork_amid_traffic(self, place: Path, sink: str) -> None:
        """
        Forked while two threads log: four children and the parent lose nothing.
        """
        script = """
warnings.simplefilter("ignore")
threads = [threading.Thread(target=write, args=[writer, 600]) for writer in (0, 1)]
for thread in threads:
    thread.start()
children = []
for writer in range(2, 6):
    time.sleep(0.01)
    child = os.fork()
    if not child:
        write(writer, 600)
        logging.shutdown()
        os._exit(0)
    children.append(child)
for thread in threads:
    thread.join()
sys.exit(any([os.waitpid(child, 0)[1] for child in children]))
"""
        # Unmeasured: coverage's own lock stays taken in a child forked amid threads.
        done = run(script, place, sink, COVERAGE_PROCESS_CONFIG="")

        assert (0, "") == (done.code, done.stderr)
        expected = {writer: list(range(600)) for writer in range(6)}
        assert expected == written(place, done.stdout)


class TestKilled:
    """What `kill -9` leaves."""

    def test_console_with_room(self, place: Path) -> None:
        """
        What a pipe had room for is in it before the logging call returns.
        """
        script = "write(0, 100)\nos.kill(os.getpid(), signal.SIGKILL)"
        done = run(script, place, "console")

        assert -signal.SIGKILL == done.code
        assert {0: list(range(100))} == written(place, done.stdout)

    def test_file_some(self, place: Path) -> None:
        """
        Killed 10 times: no line is torn, missing amid others, or doubled.
        """
        self.kill_and_restart(place, kills=10)

    @pytest.mark.long
    def test_file_many(self, place: Path) -> None:
        """
        The same for 100.
        """
        self.kill_and_restart(place, kills=100)

    def kill_and_restart(self, place: Path, *, kills: int) -> None:
        """Run two threads, kill them amid their lines, and so on."""
        for life in range(kills):
            script = f"""
from program import *
threading.Thread(target=write, args=[{2 * life}, 10**9]).start()
write({2 * life + 1}, 10**9)
"""
            process = subprocess.Popen(
                [sys.executable, "-c", script],
                cwd=place,
                env=unmeasured(place, SINK="file"),
                stdin=subprocess.DEVNULL,
            )
            try:
                size = total(place) + 50_000 * (1 + life % 7)
                wait_until(partial(is_beyond, place, size), "lines")
            finally:
                process.kill()
                process.wait(PATIENCE)

        done = run("write(-1, 1)", place, "file")
        assert 0 == done.code
        found = written(place, b"")
        assert [0] == found.pop(-1)
        assert set(range(2 * kills)) >= set(found)
        assert all(list(range(len(each))) == each for each in found.values())


def is_beyond(place: Path, size: int) -> bool:
    """Whether the log files hold more than *size* bytes."""
    return total(place) > size


def total(place: Path) -> int:
    """Return how many bytes the log files hold."""
    size = 0
    for path in place.glob("bot.log*"):
        with suppress(FileNotFoundError):  # it was renamed in this moment
            size += path.stat().st_size
    return size


class TestReader:
    """Who reads the console, and how."""

    @pytest.mark.parametrize("when_full", ["drop_oldest", "drop_newest"])
    def test_never_reads(self, place: Path, when_full: str) -> None:
        """
        The service goes on, its end is bounded, and stderr tells how much was lost.
        """
        options = f"""{{
            "when_full": "{when_full}", "max_queue_size": 100, "close_timeout": 0.2
        }}"""
        with child("write(0, 2_000)", place, options=options) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert 0 == process.wait(PATIENCE)
            (numbers,) = written(place, process.stdout.read()).values()
            said = process.stderr.read().decode()

        lost = [
            int(each)
            for each in re.findall(r"process ends; (\d+) records not written", said)
        ]
        assert 2_000 == len(numbers) + lost[-1]
        assert sorted(set(numbers)) == numbers

    def test_never_reads_a_named_pipe(self, place: Path) -> None:
        """
        The same for a pipe that is written to as a file.
        """
        script = """
import logging
import chimera_log
from chimera_log.files import segments
segments._PATIENCE = 0.2
handler = chimera_log.RotatingFileHandler(
    "pipe", writer="thread", close_timeout=0.2, when_full="drop_oldest"
)
for number in range(300):
    handler.handle(logging.makeLogRecord({"msg": "x" * 1_000}))
"""
        os.mkfifo(place / "pipe")
        reader = os.open(place / "pipe", os.O_RDWR)
        done = run_python(script, place)
        os.set_blocking(reader, False)
        written = os.read(reader, 10**6).count(b"\n")
        os.close(reader)

        assert 0 == done.code
        # In the queue, and where the thread is stuck; a line that is half out is lost.
        lost = re.findall(r"(\d+) records (?:could )?not (?:be )?written", done.stderr)
        assert 300 == written + sum(map(int, lost))

    def test_never_reads_stderr_either(self, place: Path) -> None:
        """
        The same where stderr is that very pipe: then nobody can be told.
        """
        options = (
            '{"when_full": "drop_oldest", "max_queue_size": 9, "close_timeout": 0}'
        )
        script = "write(0, 2_000)"
        with child(script, place, options=options, stderr=subprocess.STDOUT) as process:
            assert process.stdout is not None
            assert 0 == process.wait(PATIENCE)
            lines = process.stdout.read().splitlines()

        numbers = [
            line["context"]["number"]
            for line in parsed([line for line in lines if line.startswith(b"{")])
        ]
        assert list(range(len(numbers))) == numbers

    def test_slow(self, place: Path) -> None:
        """
        One who reads now and then gets every line; who logs waits for room.
        """
        options = '{"when_full": "block", "max_queue_size": 10}'
        with child("write(0, 1_000)", place, options=options) as process:
            assert process.stdout is not None
            pieces = []
            while piece := os.read(process.stdout.fileno(), 5_000):
                pieces.append(piece)
                time.sleep(0.001)
            assert 0 == process.wait(PATIENCE)

        assert {0: list(range(1_000))} == written(place, b"".join(pieces))

    @SINKS
    def test_many_threads(self, place: Path, sink: str) -> None:
        """
        What 8 threads log at once is whole, and in order for each.
        """
        script = """
threads = [threading.Thread(target=write, args=[each, 500]) for each in range(8)]
for thread in threads:
    thread.start()
"""
        done = run(script, place, sink)

        assert (0, "") == (done.code, done.stderr)
        expected = {writer: list(range(500)) for writer in range(8)}
        assert expected == written(place, done.stdout)

    def test_many_processes_beside_a_stuck_reader(self, place: Path) -> None:
        """
        Processes that share a console tear none of each other's lines.
        """
        script = """
warnings.simplefilter("ignore")
for writer in range(1, 4):
    if not os.fork():
        write(writer, 1_000)
        sys.exit()
write(0, 1_000)
for _ in range(3):
    os.wait()
"""
        with child(script, place) as process:
            assert process.stdout is not None
            wait_until(lambda: _is_full(process), "a full pipe")
            found = written(place, process.stdout.read())
            assert 0 == process.wait(PATIENCE)

        assert {writer: list(range(1_000)) for writer in range(4)} == found

    def test_gone(self, place: Path) -> None:
        """
        When nobody reads any more the service goes on, and ends as it wants to.
        """
        with child("input\nwrite(0, 3_000)\nsys.exit(7)", place) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.close()
            said = process.stderr.read().decode()
            assert 7 == process.wait(PATIENCE)

        assert said.startswith("chimera_log: <stdout>: cannot write: [Errno 32] ")


def _is_full(process: subprocess.Popen[bytes]) -> bool:
    """Whether the console of *process* holds as much as it can, about."""
    import fcntl
    import struct
    import termios

    assert process.stdout is not None
    waiting = fcntl.ioctl(process.stdout.fileno(), termios.FIONREAD, bytes(4))
    return bool(struct.unpack("i", waiting)[0] > 55_000)
