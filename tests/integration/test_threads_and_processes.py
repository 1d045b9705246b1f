"""
Threads, processes and exits: no record lost, doubled or torn, and no exit spoilt.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest

from chimera_log import JsonFormatter, RotatingFileHandler
from chimera_log.files.names import segment_number
from tests.conftest import record
from tests.integration.support import (
    LOAD,
    PATIENCE,
    Done,
    environment,
    lines_of,
    parsed,
    run_python,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "bot.log"
MAX_BYTES = 20_000
WRITERS = 4

# A writer of its own file of records, as one of several.
WRITER = f"""
import logging, sys
from chimera_log import JsonFormatter, RotatingFileHandler

handler = RotatingFileHandler({NAME!r}, maxBytes={MAX_BYTES}, backupCount=1_000)
handler.setFormatter(JsonFormatter())
log = logging.getLogger("bot")
log.addHandler(handler)
log.setLevel("INFO")

def write(writer, count):
    for number in range(count):
        context = {{"writer": writer, "number": number}}
        log.info("filled", extra={{"context": context}})
"""
INIT = """
import logging, os, threading
from chimera_log import init_logging
init_logging(log_dir=os.environ["CHIMERA_LOG_DIR"])
"""


def handler_for(path: Path, **options: Any) -> RotatingFileHandler:
    """Return a handler of JSON lines at *path*."""
    made = RotatingFileHandler(
        path, **{"maxBytes": MAX_BYTES, "backupCount": 1_000, **options}
    )
    made.setFormatter(JsonFormatter())
    return made


@pytest.fixture
def handler(tmp_path: Path) -> Iterator[RotatingFileHandler]:
    """Return a handler that rotates early and keeps everything."""
    made = handler_for(tmp_path / NAME)
    yield made
    made.close()


def segments(directory: Path) -> dict[int, Path]:
    """Return the full files, in the order of their numbers."""
    found = {segment_number(NAME, path.name): path for path in directory.iterdir()}
    return {number: found[number] for number in sorted(filter(None, found))}


def written(directory: Path) -> dict[int, list[int]]:
    """Return what each writer wrote, in the order of the files and their lines."""
    found = defaultdict(list)
    for path in [*segments(directory).values(), directory / NAME]:
        for line in parsed(lines_of(path)):
            found[line["context"]["writer"]].append(line["context"]["number"])
    return dict(found)


def assert_whole(directory: Path, writers: int, count: int) -> None:
    """Assert that *count* records of each writer are there, once and in order."""
    expected = {writer: list(range(count)) for writer in range(writers)}
    assert expected == written(directory)
    full = segments(directory)
    assert list(range(1, len(full) + 1)) == list(full)
    assert len(full) > 1
    assert all(
        path.stat().st_size <= MAX_BYTES for path in [*full.values(), directory / NAME]
    )


def by_module(directory: Path, module: str) -> list[dict[str, Any]]:
    """Return the records in ``chimera.log`` of the logger *module*."""
    found = parsed(lines_of(directory / "chimera.log"))
    return [line for line in found if line["module"] == module]


class TestSharing:
    """Writers that share a file while it rotates."""

    def test_threads(self, handler: RotatingFileHandler, tmp_path: Path) -> None:
        """
        What 8 threads write through one handler is there once, whole and in order.
        """
        threads, count = 8, 500
        start = Barrier(threads)

        def write(writer: int) -> None:
            start.wait(PATIENCE)
            for number in range(count):
                context = {"writer": writer, "number": number}
                handler.handle(record("filled", context=context))

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(write, range(threads)))

        assert_whole(tmp_path, threads, count)

    def test_forked_processes(self, tmp_path: Path) -> None:
        """
        The same for 4 processes forked from one that already wrote to the file.
        """
        script = f"""{WRITER}
import os
write({WRITERS}, 300)
gate, opener = os.pipe()
children = []
for writer in range({WRITERS}):
    child = os.fork()
    if not child:
        os.close(opener)
        os.read(gate, 1)
        write(writer, 300)
        sys.exit()
    children.append(child)
os.close(opener)
sys.exit(any(os.waitpid(child, 0)[1] for child in children))
"""
        assert Done(0, b"", "") == run_python(script, tmp_path)
        assert_whole(tmp_path, WRITERS + 1, 300)

    def test_spawned_processes(self, tmp_path: Path) -> None:
        """
        The same for 4 processes that know nothing of each other.
        """
        script = f"{WRITER}\nprint(flush=True)\ninput()\nwrite(int(sys.argv[1]), 300)"
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", script, str(writer)],
                cwd=tmp_path,
                env=environment(tmp_path),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            for writer in range(WRITERS)
        ]
        try:
            for process in processes:
                assert process.stdout is not None
                process.stdout.readline()  # it is ready
            for process in processes:
                assert process.stdin is not None
                process.stdin.write(b"go\n")
                process.stdin.flush()
            said = [process.communicate(timeout=PATIENCE) for process in processes]
        finally:
            for process in processes:
                process.kill()
                process.wait()

        assert [(b"", b"")] * WRITERS == said
        assert_whole(tmp_path, WRITERS, 300)


class TestNumbers:
    """The numbers of full files."""

    def test_never_used_again(self, tmp_path: Path) -> None:
        """
        A number that was pruned never comes back, nor after a restart.
        """
        seen: list[int] = []
        for _ in range(3):
            handler = handler_for(tmp_path / NAME, maxBytes=500, backupCount=2)
            for _ in range(40):
                handler.handle(record("filled"))
                kept = list(segments(tmp_path))
                seen += [number for number in kept if number not in seen]
                assert seen[-len(kept) :] == kept
            handler.close()

        assert list(range(1, len(seen) + 1)) == seen
        assert len(seen) > 10

    def test_grow_when_segments_were_moved_away(self, tmp_path: Path) -> None:
        """
        Numbers go on where they were, though every full file was archived elsewhere.
        """
        handler = handler_for(tmp_path / NAME, maxBytes=500)
        for _ in range(40):
            handler.handle(record("filled"))
        before = segments(tmp_path)
        for path in before.values():
            path.unlink()
        for _ in range(40):
            handler.handle(record("filled"))
        handler.close()

        assert max(before) + 1 == min(segments(tmp_path))


class TestClose:
    """What comes after `close`, and at the end of the interpreter."""

    def test_emit_revives(self, handler: RotatingFileHandler, tmp_path: Path) -> None:
        """
        A record that comes after `close` is written like any other.
        """
        for number in range(3):
            handler.handle(record("filled", context={"writer": 0, "number": number}))
            handler.close()

        assert {0: [0, 1, 2]} == written(tmp_path)

    @pytest.mark.parametrize("first", ["import atexit", LOAD], ids=["before", "after"])
    def test_log_from_atexit(self, tmp_path: Path, first: str) -> None:
        """
        A function called at exit can log, before `logging` shut down or after.
        """
        script = f"""{first}
import atexit
@atexit.register
def last():
    logging.getLogger("bot").info("last")
{LOAD}
logging.getLogger("bot").info("first")
"""
        done = run_python(script, tmp_path)

        assert (0, "") == (done.code, done.stderr)
        assert ["first", "last"] == [
            line["event"] for line in by_module(tmp_path, "bot")
        ]
        assert lines_of(tmp_path / "chimera.log") == lines_of(done.stdout)

    def test_log_from_del_at_exit(self, tmp_path: Path) -> None:
        """
        An object that dies with the interpreter can log.
        """
        script = f"""{LOAD}
class Position:
    def __del__(self):
        logging.getLogger("bot").info("closed")
position = Position()
"""
        done = run_python(script, tmp_path)

        assert (0, "") == (done.code, done.stderr)
        assert ["closed"] == [line["event"] for line in by_module(tmp_path, "bot")]
        assert lines_of(tmp_path / "chimera.log") == lines_of(done.stdout)

    def test_log_from_del_while_logging(self, tmp_path: Path) -> None:
        """
        An object that dies while a record is being formatted can log as well.
        """
        script = f"""{LOAD}
log = logging.getLogger("bot")
class Position:
    def __str__(self):
        return "open"
    def __del__(self):
        log.info("closed")
class Book:
    def __str__(self):
        Position()
        return "book"
log.info("%s", Book())
"""
        done = run_python(script, tmp_path)

        assert (0, "") == (done.code, done.stderr)
        events = [line["event"] for line in by_module(tmp_path, "bot")]
        assert 1 == events.count("book")
        assert {"book", "closed"} == set(events)

    def test_log_from_daemon_thread_at_exit(self, tmp_path: Path) -> None:
        """
        A daemon thread that logs while the interpreter ends spoils neither.
        """
        script = f"""{WRITER}
import threading
started = threading.Event()
def forever():
    while True:
        write(0, 1)
        started.set()
threading.Thread(target=forever, daemon=True).start()
started.wait()
"""
        assert Done(0, b"", "") == run_python(script, tmp_path)
        files = [*segments(tmp_path).values(), tmp_path / NAME]
        # The last file may be new, and empty still.
        assert [] != [line for file in files for line in parsed(lines_of(file))]


class TestFailedPlace:
    """A directory that cannot be made, since a file has its name."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> Path:
        """Return a directory's path that is a file."""
        (tmp_path / "logs").write_text("a file", encoding="utf-8")
        return tmp_path / "logs"

    def test_one_record(self, tmp_path: Path, place: Path) -> None:
        """
        A record is reported on stderr, and at exit its loss; the service goes on.
        """
        script = f"{LOAD}\nlogging.getLogger('bot').info('lost')"
        done = run_python(script, tmp_path, CHIMERA_LOG_DIR=str(place))

        assert 0 == done.code
        assert 1 == len(lines_of(done.stdout))
        file = place / "chimera.log"
        first, *others = done.stderr.splitlines()
        assert first.startswith(f"chimera_log: {file}: cannot write, will try again: ")
        assert [f"chimera_log: {file}: 1 records could not be written; lost"] == [
            line for line in others if not line.endswith(" more not shown")
        ]

    def test_many_records(self, tmp_path: Path, place: Path) -> None:
        """
        Many are reported in one line, and at exit in one more that counts them.
        """
        script = f"{LOAD}\nfor _ in range(500): logging.getLogger('bot').info('lost')"
        done = run_python(script, tmp_path, CHIMERA_LOG_DIR=str(place))

        assert 0 == done.code
        assert 500 == len(lines_of(done.stdout))
        file = place / "chimera.log"
        first, *others = done.stderr.splitlines()
        assert first.startswith(f"chimera_log: {file}: cannot write, will try again: ")
        assert [f"chimera_log: {file}: 500 records could not be written; lost"] == [
            line for line in others if not line.endswith(" more not shown")
        ]


class TestAsyncio:
    """What asyncio tells its own logger."""

    def test_failing_task(self, tmp_path: Path) -> None:
        """
        A task that failed, and that nobody awaited, is logged with its exception.
        """
        script = f"""{LOAD}
import asyncio, gc
async def fail():
    raise ValueError("boom")
async def main():
    asyncio.create_task(fail())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    gc.collect()
asyncio.run(main())
"""
        done = run_python(script, tmp_path)

        assert (0, "") == (done.code, done.stderr)
        (line,) = by_module(tmp_path, "asyncio")
        assert "ERROR" == line["level"]
        assert "Task exception was never retrieved" in line["event"]
        assert ("ValueError", "boom") == _type_and_message(line)

    def test_failing_callback(self, tmp_path: Path) -> None:
        """
        A callback of the loop that failed is logged with its exception.
        """
        script = f"""{LOAD}
import asyncio
def fail():
    raise ValueError("boom")
async def main():
    asyncio.get_running_loop().call_soon(fail)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
asyncio.run(main())
"""
        done = run_python(script, tmp_path)

        assert (0, "") == (done.code, done.stderr)
        (line,) = by_module(tmp_path, "asyncio")
        assert "ERROR" == line["level"]
        assert "Exception in callback fail()" in line["event"]
        assert ("ValueError", "boom") == _type_and_message(line)


class TestUncaught:
    """Exceptions that nobody caught, with `init_logging`."""

    def test_main_thread(self, tmp_path: Path) -> None:
        """
        It is logged once; Python prints its traceback and exits with 1.
        """
        done = run_python(f"{INIT}\nraise ValueError('boom')", tmp_path)

        assert 1 == done.code
        assert done.stderr.startswith("Traceback (most recent call last):\n")
        assert done.stderr.endswith("\nValueError: boom\n")
        assert 1 == done.stderr.count("Traceback")
        (line,) = parsed(lines_of(tmp_path / "chimera.log"))
        assert ("CRITICAL", "uncaught_exception") == (line["level"], line["event"])
        assert ("ValueError", "boom") == _type_and_message(line)
        assert [line] == parsed(lines_of(done.stdout))

    def test_event_loop(self, tmp_path: Path) -> None:
        """
        The same for what a program's main coroutine raises.
        """
        script = f"""{INIT}
import asyncio
async def main():
    raise ValueError("boom")
asyncio.run(main())
"""
        done = run_python(script, tmp_path)

        assert (1, 1) == (done.code, done.stderr.count("Traceback"))
        (line,) = parsed(lines_of(tmp_path / "chimera.log"))
        assert "uncaught_exception" == line["event"]
        assert ("ValueError", "boom") == _type_and_message(line)

    def test_other_thread(self, tmp_path: Path) -> None:
        """
        It is logged once, with the thread's name; Python prints its traceback.
        """
        script = f"""{INIT}
def fail():
    raise ValueError("boom")
thread = threading.Thread(target=fail, name="feed")
thread.start()
thread.join()
"""
        done = run_python(script, tmp_path)

        assert 0 == done.code
        assert done.stderr.startswith("Exception in thread feed:\nTraceback ")
        assert done.stderr.endswith("\nValueError: boom\n")
        (line,) = parsed(lines_of(tmp_path / "chimera.log"))
        assert ("CRITICAL", "uncaught_exception") == (line["level"], line["event"])
        assert {"thread": "feed"} == line["context"]
        assert ("ValueError", "boom") == _type_and_message(line)

    def test_keyboard_interrupt(self, tmp_path: Path) -> None:
        """
        Control-C is not logged; Python ends as it always did.
        """
        script = f"{INIT}\nlogging.info('first')\nraise KeyboardInterrupt"
        done = run_python(script, tmp_path)

        assert -signal.SIGINT == done.code
        assert done.stderr.endswith("\nKeyboardInterrupt\n")
        (line,) = parsed(lines_of(tmp_path / "chimera.log"))
        assert "first" == line["event"]

    def test_system_exit(self, tmp_path: Path) -> None:
        """
        `sys.exit` is no failure, in the main thread or another.
        """
        script = f"""{INIT}
import sys
thread = threading.Thread(target=sys.exit, args=("thread",))
thread.start()
thread.join()
sys.exit(3)
"""
        assert Done(3, b"", "") == run_python(script, tmp_path)
        assert not (tmp_path / "chimera.log").exists()


def _type_and_message(line: dict[str, Any]) -> tuple[str, str]:
    exception = line["exception"]
    assert "Traceback (most recent call last):" in exception["stacktrace"]
    return exception["type"], exception["message"]
