"""
Trails that real processes write: stopped, interrupted, forked, many at once.

Kills, refused system calls, full disks and power cuts are where those of all log
files are.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chimera_log import AuditFileHandler
from chimera_log.audit import chain
from chimera_log.audit.verify import verify
from tests.conftest import record
from tests.integration.files_support import (
    HANDLER,
    NAME,
    append_only,
    files,
    written,
)
from tests.integration.support import (
    PATIENCE,
    SHIPPED,
    lines_of,
    parsed,
    run_python,
    unmeasured,
)
from tests.integration.test_files_trouble import STOPPING, child

if TYPE_CHECKING:
    pass

TRAIL = {"handler": "AuditFileHandler", "reserve_bytes": 0}
# A writer of many records, and a number of its own: WRITER COUNT.
MANY = f"""{HANDLER}
writer, count = map(int, sys.argv[1:])
handler = handler_for(".", "AuditFileHandler", maxBytes=40_000, compression="gzip")
for number in range(count):
    log(handler, writer, number)
handler.close()
"""


def handler_for(directory: Path, **options: object) -> AuditFileHandler:
    """Return a handler that rotates early."""
    made = AuditFileHandler(
        directory / NAME,
        **{"maxBytes": 20_000, "backupCount": 100_000, "reserve_bytes": 0, **options},  # type: ignore[arg-type]
    )
    made.handle(record("begun"))
    return made


def log(handler: AuditFileHandler, writer: int, *numbers: int) -> None:
    """Log one record for each of *numbers*."""
    for number in numbers:
        handler.handle(record("x", context={"writer": writer, "number": number}))


def assert_whole(directory: Path) -> None:
    """Assert that nothing is wrong with a trail, and that it was looked at."""
    report = verify(str(directory / NAME))
    assert report.bad is None
    assert report.records


class TestManyWriters:
    def test_processes(self, tmp_path: Path) -> None:
        """
        Eight processes write one trail and rotate it: its numbers have no gap.
        """
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", MANY, str(writer), "150"],
                cwd=tmp_path,
                env=unmeasured(tmp_path),
                stderr=subprocess.PIPE,
            )
            for writer in range(8)
        ]
        said = [process.communicate(timeout=PATIENCE)[1] for process in processes]

        assert [b""] * 8 == said
        assert {writer: list(range(150)) for writer in range(8)} == written(tmp_path)
        assert len(files(tmp_path)) > 10
        assert_whole(tmp_path)

    def test_forked(self, tmp_path: Path) -> None:
        """
        So do the children that inherit a handler, and their parent.
        """
        script = f"""{HANDLER}
import warnings
warnings.simplefilter("ignore")
handler = handler_for(".", "AuditFileHandler")
log(handler, 9, 0)
children = []
for writer in range(4):
    child = os.fork()
    if not child:
        for number in range(100):
            log(handler, writer, number)
        sys.exit()
    children.append(child)
for number in range(1, 100):
    log(handler, 9, number)
for child in children:
    assert not os.waitpid(child, 0)[1]
"""
        done = run_python(script, tmp_path)

        assert (0, "") == (done.code, done.stderr)
        expected = {writer: list(range(100)) for writer in (0, 1, 2, 3, 9)}
        assert expected == written(tmp_path)
        assert_whole(tmp_path)


class TestInterrupted:
    def test_stopped_sibling(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """
        While a stopped sibling holds the lock nothing is written; then all of it is.
        """
        script = STOPPING
        for given, wanted in {
            "files.segments import Segments": "audit.trail import Trail as Segments",
            'handler_for(".")': 'handler_for(".", "AuditFileHandler")',
        }.items():
            assert given in script
            script = script.replace(given, wanted)
        with child(script, tmp_path) as process:
            os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
            handler = handler_for(tmp_path)
            log(handler, 0, *range(50))
            stopped = handler.statistics()
            process.send_signal(signal.SIGCONT)
            said = process.communicate(timeout=PATIENCE)
        handler.flush()
        finished = handler.statistics()
        handler.close()

        assert (0, 51, 0) == (stopped.written, stopped.waiting, stopped.unlocked)
        assert (51, 0, 0) == (finished.written, finished.waiting, finished.unlocked)
        assert (b"", b"") == said
        assert {0: list(range(50)), 1: list(range(200))} == written(tmp_path)
        assert "its records wait" in capsys.readouterr().err
        assert_whole(tmp_path)

    def test_raising_handlers(self, tmp_path: Path) -> None:
        """
        Signal handlers that raise, wherever it be, leave no gap and no fork.
        """
        # Not measured: coverage's own lock stays taken if a handler raises in there.
        script = f"""{HANDLER}
import gc
from random import Random
class Stop(BaseException): pass
def stop(*_): raise Stop
import signal
signal.signal(signal.SIGALRM, stop)
gc.disable()
handler = handler_for(".", "AuditFileHandler", maxBytes=200_000, reserve_bytes=0)
log(handler, 0, 0)
draw, number = Random(1), 1
def interrupted():
    global number
    try:
        signal.setitimer(signal.ITIMER_REAL, draw.uniform(1e-6, 4e-4))
        while number < 3_000:
            log(handler, 0, number)
            number += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
while number < 3_000:
    try:
        interrupted()
    except Stop:
        number += 1
log(handler, 0, number)
"""
        done = run_python(script, tmp_path, COVERAGE_PROCESS_CONFIG="")
        (numbers,) = written(tmp_path).values()

        assert 0 == done.code, done.stderr
        assert sorted(set(numbers)) == numbers
        assert_whole(tmp_path)

    def test_ended_amid_a_line(self, tmp_path: Path) -> None:
        """
        A handler of SIGTERM that ends the process loses and doubles no line.
        """
        script = f"""{HANDLER}
import signal, threading
handler = handler_for(".", "AuditFileHandler")
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGTERM]).start()
number = 0
while True:
    log(handler, 0, number)
    number += 1
"""
        done = run_python(script, tmp_path, COVERAGE_PROCESS_CONFIG="")
        (numbers,) = written(tmp_path).values()

        assert (0, "") == (done.code, done.stderr)
        assert list(range(len(numbers))) == numbers
        assert_whole(tmp_path)


class TestAppendOnly:
    """What an administrator protected with ``chattr +a``."""

    @pytest.mark.parametrize("protected", [NAME, "."], ids=["file", "folder"])
    def test_rotation_refused(self, tmp_path: Path, protected: str) -> None:
        """
        The file cannot be renamed: it grows beyond its size, and is whole.
        """
        folder = tmp_path / "logs"
        handler = handler_for(folder)
        with append_only(folder / protected):
            log(handler, 0, *range(200))
            handler.close()

        assert {0: list(range(200))} == written(folder)
        assert_whole(folder)

    def test_half_line(self, tmp_path: Path) -> None:
        """
        Half a line that cannot be cut off is vouched for by the one behind it.
        """
        handler = handler_for(tmp_path)
        with (tmp_path / NAME).open("ab") as file:
            file.write(b'{"half')
        with append_only(tmp_path / NAME):
            log(handler, 0, 0)
            handler.close()

        _, half, recovered, _ = lines_of(tmp_path / NAME)
        assert b'{"half' == half
        event = chain.own_event(recovered + b"\n")
        assert event is not None
        assert (len(half) + 1, True) == (event[1]["bytes"], event[1]["left"])
        assert_whole(tmp_path)


# Logs a few executions with the shipped configuration, and ends as told.
SERVICE = f"""
import logging.config, os, sys, yaml
from pathlib import Path
text = Path({str(SHIPPED)!r}).read_text(encoding="utf-8")
logging.config.dictConfig(yaml.safe_load(text))
from chimera_log import log_execution_attempt
for number in range(5):
    log_execution_attempt(strategy="arbitrage", number=number, required=True)
"""


@pytest.fixture
def service(tmp_path: Path) -> Path:
    """The folder of a service that has ended in an orderly way."""
    done = run_python(SERVICE, tmp_path)
    assert (0, "") == (done.code, done.stderr)
    return tmp_path


class TestService:
    def test_anchored(self, service: Path) -> None:
        """
        After an orderly end the other outputs know where the trail ends.
        """
        report = verify(str(service / "executions.log"))

        assert (0, 5, 5) == (report.code, report.records, report.anchored_seq)
        assert report.is_weak

    def test_everywhere_else(self, service: Path) -> None:
        """
        The checkpoint is in every output but the trail itself.
        """
        everything = parsed(lines_of(service / "chimera.log"))

        (checkpoint,) = [
            each for each in everything if each["event"] == "audit_checkpoint"
        ]
        assert 5 == checkpoint["context"]["seq"]
        trail = parsed(lines_of(service / "executions.log"))
        assert {"execution_attempt"} == {each["event"] for each in trail}

    def test_killed(self, tmp_path: Path) -> None:
        """
        A killed one could not tell: the trail is whole, and its end not vouched for.
        """
        done = run_python(f"{SERVICE}os.kill(os.getpid(), 9)", tmp_path)
        report = verify(str(tmp_path / "executions.log"), now=4e9)

        assert -9 == done.code
        assert (3, 5, None) == (report.code, report.records, report.bad)

    @pytest.mark.parametrize("end", ["sys.exit(3)", "raise ValueError", "os._exit(3)"])
    def test_required_is_on_disk(self, tmp_path: Path, end: str) -> None:
        """
        What was required is there, however the process ends.
        """
        run_python(SERVICE + end, tmp_path)

        lines = parsed(lines_of(tmp_path / "executions.log"))
        assert list(range(5)) == [each["context"]["number"] for each in lines]
