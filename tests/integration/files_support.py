"""
What the file tests share: writers to be killed, and what their files must hold.

A writer logs numbered records and, after each logging call, tells its number on
a pipe.  What was told was acknowledged: it must be found again, once, in order.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import struct
import subprocess
import sys
from collections import defaultdict
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from chimera_log import JsonFormatter, RotatingFileHandler
from chimera_log.files.names import segment_number
from tests.conftest import record
from tests.integration.support import (
    PATIENCE,
    environment,
    lines_of,
    parsed,
    unmeasured,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "bot.log"
ASIDE = f".{NAME}.d"
START = 1_761_554_280.0  # when a child's first record was made, as it says

# A mount of its own, as root or as somebody who may pretend to be.
OWN_MOUNTS = [
    "unshare",
    "--mount",
    *(["--user", "--map-root-user"] * bool(os.getuid())),
]
# How every child makes its handler: like `handler_for`.
HANDLER = f"""
import logging, os, sys, time
import chimera_log

def handler_for(directory, handler="RotatingFileHandler", **options):
    options = {{"maxBytes": 20_000, "backupCount": 100_000, **options}}
    kind = getattr(chimera_log, handler)
    made = kind(os.path.join(directory, {NAME!r}), **options)
    made.setFormatter(chimera_log.JsonFormatter())
    return made

def log(handler, writer, number, size=300):
    context = {{"writer": writer, "number": number, "filling": "x" * (size - 140)}}
    attributes = {{"name": "bot", "levelno": 20, "levelname": "INFO", "msg": "filled"}}
    # Times of its own, so that every run gives its files the same names.
    attributes["created"] = {START} + number
    handler.handle(logging.makeLogRecord({{**attributes, "context": context}}))
"""
# Logs until it is killed: WRITER RECORD_SIZE PIPE OPTIONS.
ENDLESS = f"""{HANDLER}
import json, struct
writer, size, pipe, options = map(json.loads, sys.argv[1:])
handler = handler_for(".", **{{"maxBytes": 1_000_000, **options}})
number = 0
while True:
    log(handler, writer, number, size)
    number += 1
    # What waits, since somebody holds the lock for long, is not acknowledged.
    file = handler._shared
    waiting = len(file._waiting) if file else 0
    os.write(pipe, struct.pack("<III", writer, number - waiting, waiting))
"""
_TOLD = struct.Struct("<III")


class Writers:
    """
    Children that log to one file in *directory* until they are killed.

    Args:
        directory: Where the file is.
        size: Bytes of a record, about.
        options: Of their handlers.
    """

    def __init__(self, directory: Path, size: int, options: dict[str, Any]) -> None:
        self.acknowledged: dict[int, int] = {}  # how many records of each writer
        self.waiting: dict[int, int] = {}  # and how many more waited when it told so
        self._directory = directory
        self._size = size
        self._options = json.dumps(options)
        self._receiver, self._sender = os.pipe()
        self._reader = Thread(target=self._read)
        self._reader.start()
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._started = 0

    def start(self) -> int:
        """Start one more; return its number."""
        writer, self._started = self._started, self._started + 1
        numbers = (writer, self._size, self._sender)
        arguments = [*map(str, numbers), self._options]
        self._running[writer] = subprocess.Popen(
            [sys.executable, "-c", ENDLESS, *arguments],
            cwd=self._directory,
            env=unmeasured(self._directory),
            stdin=subprocess.DEVNULL,
            pass_fds=[self._sender],
        )
        return writer

    def kill(self, writer: int) -> None:
        """Kill *writer*, as the kernel does: at once."""
        process = self._running.pop(writer)
        process.kill()
        process.wait(PATIENCE)

    def close(self) -> None:
        """Kill all of them, and read to the end what they told."""
        for writer in list(self._running):
            self.kill(writer)
        os.close(self._sender)
        self._reader.join(PATIENCE)
        os.close(self._receiver)

    def _read(self) -> None:
        # A write of so few bytes to a pipe is never divided.
        while told := os.read(self._receiver, 8_192 * _TOLD.size):
            for writer, number, waiting in _TOLD.iter_unpack(told):
                self.acknowledged[writer], self.waiting[writer] = number, waiting


@contextmanager
def writers(directory: Path, size: int, **options: Any) -> Iterator[Writers]:
    """Give `Writers` that are all dead in the end."""
    made = Writers(directory, size, options)
    try:
        yield made
    finally:
        made.close()


def handler_for(directory: Path, **options: Any) -> RotatingFileHandler:
    """Return a handler that rotates early and keeps everything."""
    made = RotatingFileHandler(
        directory / NAME, **{"maxBytes": 20_000, "backupCount": 100_000, **options}
    )
    made.setFormatter(JsonFormatter())
    return made


def log(handler: RotatingFileHandler, writer: int, *numbers: int) -> None:
    """Log one record for each of *numbers*."""
    for number in numbers:
        context = {"writer": writer, "number": number, "filling": "x" * 160}
        handler.handle(record("filled", context=context))


def files(directory: Path) -> list[Path]:
    """Return the full files in the order of their numbers, and any active one."""
    found = [
        (number, path)
        for path in directory.iterdir()
        if (number := segment_number(NAME, path.name)) is not None
    ]
    assert len(found) == len(dict(found)), f"a number twice: {sorted(found)}"
    active = [path for path in [directory / NAME] if path.exists()]
    return [*(path for _, path in sorted(found)), *active]


def written(directory: Path) -> dict[int, list[int]]:
    """Return what each writer wrote, in the order of the files and their lines."""
    return written_to(files(directory))


def written_to(paths: list[Path]) -> dict[int, list[int]]:
    """Return what each writer wrote, in the order of *paths* and their lines."""
    found = defaultdict(list)
    for writer, number in records_in(paths):
        found[writer].append(number)
    return dict(found)


def records_in(paths: list[Path]) -> list[tuple[int, int]]:
    """Return whose each record is, and its number, in the order of *paths*."""
    contents = [content_of(path) for path in paths]
    _check("jq", "-c", ".", given=b"".join(contents))
    records = [parsed(lines_of(content)) for content in contents]
    contexts = [line["context"] for lines in records for line in lines]
    # What a trail itself writes is about its files, and of no writer.
    return [
        (context["writer"], context["number"])
        for context in contexts
        if "writer" in context
    ]


def content_of(path: Path) -> bytes:
    """Return what a file holds, compressed or not."""
    if path.suffix != ".gz":
        return path.read_bytes()
    _check("gzip", "-t", path)
    return gzip.decompress(path.read_bytes())


@contextmanager
def append_only(path: Path) -> Iterator[None]:
    """Let *path* only grow; skips the test where that cannot be had."""
    if not shutil.which("chattr") or _fails("chattr", "+a", path):
        pytest.skip("needs root, and a file system with append-only files")
    try:
        yield
    finally:
        _fails("chattr", "-a", path)


def _fails(*command: str | Path) -> bool:
    done = subprocess.run(command, capture_output=True, check=False)
    return done.returncode != 0


def _check(*command: str | Path, given: bytes = b"") -> None:
    """Assert that *command* finds nothing wrong."""
    done = subprocess.run(
        command,
        input=given,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
    )
    said = done.returncode, done.stderr
    assert (0, b"") == said, command[0]


def run_on_small_disk(
    directory: Path, size: str, script: str, *arguments: str, measured: bool = False
) -> subprocess.CompletedProcess[bytes]:
    """
    Run *script* in *directory*, where ``disk`` is a file system of *size* bytes.

    Only the script sees it.  Skips the test where that cannot be had.

    Args:
        directory: Where ``disk`` is made.
        size: As ``mount -t tmpfs`` takes it.
        script: What runs.
        arguments: Its arguments.
        measured: Whether its coverage is of interest.
    """
    if subprocess.run([*OWN_MOUNTS, "true"], check=False).returncode:
        pytest.skip("needs the right to mount a file system of its own")
    (directory / "disk").mkdir()
    mount = f'mount -t tmpfs -o size={size} none disk && exec "$@"'
    return subprocess.run(
        [
            *(*OWN_MOUNTS, "sh", "-c", mount, "sh"),
            *(sys.executable, "-c", script, *arguments),
        ],
        cwd=directory,
        env=environment(directory) if measured else unmeasured(directory),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
