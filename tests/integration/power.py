"""
A disk whose power is cut: what was written is one thing, what it holds another.

The disk is a file system in an image.  A child writes to it, and tells the
number of each record that was acknowledged.  Then it is stopped in its tracks,
and the image is copied as it is, with nothing synced: what the copy holds, once
its journal is replayed, is what a power cut would have left.
"""

from __future__ import annotations

import filecmp
import os
import select
import shutil
import signal
import struct
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import pytest

from chimera_log.files.names import segment_number
from tests.integration.files_support import NAME
from tests.integration.support import PATIENCE, parsed, unmeasured

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIZE = 64 * 1024 * 1024  # bytes of the disk; far more than is written in a few seconds
_TOLD = struct.Struct("<IIdd")  # number, sealed segments, when, longest sync so far

# What a child's script begins with: how it tells, and times what it syncs.
TELL = f"""
import os, struct, sys, time
longest = 0.0
running = {{}}  # what is being synced, since when

def tell(number, sealed=0):
    now = time.monotonic()
    so_far = max([longest, *(now - start for start in list(running.values()))])
    os.write(int(sys.argv[1]), struct.pack({_TOLD.format!r}, number, sealed, now, so_far))

def timed(sync):
    def measured(fd):
        global longest
        start = running[fd] = time.monotonic()
        sync(fd)
        del running[fd]
        longest = max(longest, time.monotonic() - start)
    return measured

os.fdatasync, os.fsync = timed(os.fdatasync), timed(os.fsync)
"""


class Cut(NamedTuple):
    """What a power cut left."""

    acknowledged: dict[int, float]  # when each record was, by its number
    stopped: float  # when the writer was told to stop, by the same clock
    sealed: int  # segments that the writer knew to be on disk with their names
    longest_sync: float  # seconds, ended or not
    written: dict[str, bytes]  # the files, as every process saw them
    left: dict[str, bytes]  # the files, as the disk held them; hidden ones too

    def lost(self) -> dict[int, float]:
        """Return the acknowledged records that the disk does not hold."""
        found = {
            number
            for content in _logs(self.left).values()
            for number in _numbers(content)
        }
        return {
            number: when
            for number, when in self.acknowledged.items()
            if number not in found
        }

    def torn(self) -> set[str]:
        """Return the files that hold anything but whole lines."""
        return {
            name
            for name, content in _logs(self.left).items()
            if None in _numbers(content)
        }

    def sealed_names(self) -> list[str]:
        """Return the full files that were sealed: those with the lowest numbers."""
        numbers = {
            number: name
            for name in self.written
            if (number := segment_number(NAME, name)) is not None
        }
        return [numbers[number] for number in sorted(numbers)][: self.sealed]


@contextmanager
def disk_in(directory: Path) -> Iterator[Path]:
    """Give a disk of its own, mounted in *directory*, which is empty in the end."""
    image = directory / "disk.image"
    try:
        _make_file_system(image)
        with _mounted(image, directory / "disk") as disk:
            yield disk
    finally:
        image.unlink(missing_ok=True)


def cut_power(
    directory: Path, script: str, *, seconds: float, at_least: int = 1
) -> Cut:
    """
    Run *script* on a disk of its own, and cut the power.

    Args:
        directory: An empty place for the disk; empty again in the end.
        script: Uses `TELL`; writes to its working directory for ever.
        seconds: How long after its first record it is stopped.
        at_least: Records that it must have told by then; a slow one gets more time.
    """
    image, copy = directory / "disk.image", directory / "copy.image"
    try:
        _make_file_system(image)
        with _mounted(image, directory / "disk") as disk:
            with _writer(script, disk) as (process, receiver):
                told = _told_until(receiver, seconds, at_least * _TOLD.size)
                stopped = time.monotonic()
                process.send_signal(signal.SIGSTOP)
                # Until all of its threads have; a sync that is under way ends first.
                os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
                _copy_when_still(image, copy)
                told += _rest(receiver)
                written = _files(disk)
            with _mounted(copy, directory / "copy") as what_is_left:
                left = _files(what_is_left)
    finally:
        image.unlink(missing_ok=True)
        copy.unlink(missing_ok=True)
    records = list(_TOLD.iter_unpack(told))
    return Cut(
        acknowledged={number: when for number, _, when, _ in records},
        stopped=stopped,
        sealed=records[-1][1],
        longest_sync=records[-1][3],
        written=written,
        left=left,
    )


def _numbers(content: bytes) -> set[int | None]:
    """Return the numbers of the records in *content*; ``None`` for what is no line."""
    lines = content.split(b"\n")
    half = {None} if lines.pop() else set()
    return {*map(_number, lines), *half}


def _number(line: bytes) -> int | None:
    try:
        (document,) = parsed([line])
    except (ValueError, AssertionError):  # half of it, or zeros that ext4 left
        return None
    return int(document["context"]["number"])


def _make_file_system(image: Path) -> None:
    """Make one in *image*, or skip the test where it could not be mounted."""
    with image.open("wb") as file:
        file.truncate(SIZE)
    if os.getuid() or not shutil.which("mkfs.ext4"):
        pytest.skip("needs root and mkfs.ext4, for a file system in an image")
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True, timeout=PATIENCE)


@contextmanager
def _mounted(image: Path, place: Path) -> Iterator[Path]:
    place.mkdir()
    try:
        subprocess.run(
            ["mount", "-o", "loop", image, place], check=True, timeout=PATIENCE
        )
        try:
            yield place
        finally:
            # Lazily: nothing stays mounted, though somebody may look at it just now.
            subprocess.run(["umount", "-l", place], check=True, timeout=PATIENCE)
    finally:
        place.rmdir()


@contextmanager
def _writer(script: str, disk: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run *script* on *disk*; what it tells can be read from the descriptor given."""
    receiver, sender = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(sender)],
            cwd=disk,
            env=unmeasured(disk),
            stdin=subprocess.DEVNULL,
            pass_fds=[sender],
        )
    except BaseException:
        os.close(receiver)
        raise
    finally:
        os.close(sender)
    try:
        yield process, receiver
    finally:
        process.kill()
        process.wait(PATIENCE)
        os.close(receiver)


def _told_until(receiver: int, seconds: float, at_least: int) -> bytes:
    """Return what is told from now until *seconds* after the first record."""
    told, end = b"", float("inf")
    while time.monotonic() < end or len(told) < at_least:
        if not select.select([receiver], [], [], PATIENCE)[0]:
            pytest.fail(f"the writer is silent for {PATIENCE:.0f} s")
        # So few bytes at a time are never divided.
        if not (more := os.read(receiver, 1_000 * _TOLD.size)):
            pytest.fail("the writer died")
        if not told:
            end = time.monotonic() + seconds
        told += more
    return told


def _rest(receiver: int) -> bytes:
    """Return what was told and not yet read."""
    told = b""
    while select.select([receiver], [], [], 0.0)[0]:
        told += os.read(receiver, 1_000 * _TOLD.size)
    return told


def _copy_when_still(image: Path, copy: Path) -> None:
    """Copy *image* as it is at one moment: the kernel's own threads may write yet."""
    for _ in range(100):
        shutil.copyfile(image, copy)
        if filecmp.cmp(image, copy, shallow=False):
            return
    pytest.fail("the image changes all the time")


def _files(disk: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(disk)): path.read_bytes()
        for path in disk.rglob("*")
        if path.is_file()
    }


def _logs(contents: dict[str, bytes]) -> dict[str, bytes]:
    """Return those of *contents* that hold log lines."""
    return {name: content for name, content in contents.items() if "/" not in name}
