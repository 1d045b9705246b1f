"""
Spools of processes that are killed, forked, refused by their disk: what a put
accepted is found, once, in order.
"""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import threading
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.files_support import run_on_small_disk
from tests.integration.support import PATIENCE, run_python, unmeasured
from tests.spools import Spools

if TYPE_CHECKING:
    from pathlib import Path


# How every child makes its spool, in the folder ``spool`` where it runs.  An event
# says whose it is and its number.
SPOOL = """
import json, os, struct, sys, threading, time
from chimera_log.cloudwatch.adoption import adopt
from chimera_log.cloudwatch.batch import Event
from chimera_log.cloudwatch.memory import DROP_OLDEST, Bounds, MemoryQueue
from chimera_log.cloudwatch.spool import Spool

FOLDER, LABEL = os.path.abspath("spool"), {"log_group_name": "Chimera"}

def spool_for(folder=FOLDER, **options):
    memory = MemoryQueue(Bounds(10**6, 10**9, DROP_OLDEST), print)
    options = {"max_spool_bytes": 10**8, **options}
    trouble = lambda *text: print(*text, file=sys.stderr)
    return Spool(folder, LABEL, memory=memory, on_trouble=trouble, **options)

def adopted(folder=FOLDER):
    return adopt(folder, LABEL.__eq__, on_trouble=lambda *text: None)

def event(writer, number, size=300):
    return Event(writer, b"%d" % number + b"." * size)

def deliver(events):
    told = [f"{each.timestamp} {int(each.message.rstrip(b'.'))}\\n" for each in events]
    os.write(delivered, "".join(told).encode())

def send(queue, most=50):
    left = iter(range(most))
    events = queue.take(lambda _: next(left, None) is not None)
    if events:
        deliver(events)
        queue.forget()
    return len(events)

delivered = os.open("delivered", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
"""
# Adopts, puts and sends until it is killed: WRITER PIPE.
ENDLESS = f"""{SPOOL}
writer, pipe = map(int, sys.argv[1:])
spool = spool_for()
def sending():
    for backlog in adopted():
        while send(backlog):
            pass
        backlog.close()
    while True:
        send(spool)
        time.sleep(0.001)
threading.Thread(target=sending, daemon=True).start()
number = 0
while True:
    spool.put(event(writer, number))
    os.write(pipe, struct.pack("<II", writer, number))
    number += 1
    if number % 50 == 0:
        time.sleep(0.001)
"""
BATCH = 50
_TOLD = struct.Struct("<II")


def delivered(directory: Path) -> list[tuple[int, int]]:
    """Return writer and number of each event in the order of its delivery."""
    file = directory / "delivered"
    lines = file.read_text().splitlines() if file.exists() else []
    return [(int(line.split()[0]), int(line.split()[1])) for line in lines]


def left_in(directory: Path) -> list[tuple[int, int]]:
    """Return writer and number of each event that dead processes left."""
    spools = Spools(directory)
    found: list[tuple[int, int]] = []
    for backlog in spools.adopt({"log_group_name": "Chimera"}):
        while events := backlog.take(lambda _: True):
            found += [
                (each.timestamp, int(each.message.rstrip(b"."))) for each in events
            ]
            backlog.forget()
        backlog.close()
    assert [] == spools.kinds
    assert [] == spools.places
    return found


def numbers_by_writer(found: list[tuple[int, int]]) -> dict[int, list[int]]:
    """Return the numbers of each writer, in the order in which they came."""
    numbers: dict[int, list[int]] = {}
    for writer, number in found:
        numbers.setdefault(writer, []).append(number)
    return numbers


class TestKilled:
    """Processes that end without a word."""

    @pytest.mark.parametrize("lives", [8, pytest.param(100, marks=pytest.mark.long)])
    def test_sigkill(self, tmp_path: Path, lives: int) -> None:
        """
        At any moment: what was acknowledged is delivered, in order; what is delivered
        twice is at most the one batch that was in hand.
        """
        acknowledged: dict[int, int] = {}
        draw = Random(lives)  # noqa: S311  the same moments each time
        for writer in range(lives):
            receiver, sender = os.pipe()
            process = subprocess.Popen(
                [sys.executable, "-c", ENDLESS, str(writer), str(sender)],
                cwd=tmp_path,
                env=unmeasured(tmp_path),
                pass_fds=[sender],
            )
            os.close(sender)
            told = os.read(receiver, _TOLD.size)  # it has begun
            kill = threading.Timer(draw.uniform(0, 0.15), process.kill)
            kill.start()
            while more := os.read(receiver, 8_192 * _TOLD.size):
                told += more
            kill.join()
            process.wait(PATIENCE)
            os.close(receiver)
            acknowledged[writer] = len(told) // _TOLD.size

        found = delivered(tmp_path) + left_in(tmp_path)
        for writer, numbers in numbers_by_writer(found).items():
            once = list(dict.fromkeys(numbers))
            assert list(range(len(once))) == once
            assert acknowledged[writer] <= len(once) <= acknowledged[writer] + 1
        assert set(acknowledged) == set(numbers_by_writer(found))
        assert len(found) - len(set(found)) <= BATCH * lives  # one a death

    def test_os_exit(self, tmp_path: Path) -> None:
        """
        Leaving through ``os._exit`` loses nothing either.
        """
        script = f"""{SPOOL}
spool = spool_for()
for number in range(1_000):
    spool.put(event(1, number))
os._exit(3)
"""
        assert 3 == run_python(script, tmp_path).code
        assert [(1, number) for number in range(1_000)] == left_in(tmp_path)


class TestSiblings:
    """Many processes in one spool directory."""

    def test_two_at_once(self, tmp_path: Path) -> None:
        """
        Each has a place of its own, and takes what is its own.
        """
        script = f"""{SPOOL}
spool = spool_for()
for number in range(2_000):
    spool.put(event(int(sys.argv[1]), number))
    if number % 100 == 0:
        send(spool)
while send(spool):
    pass
spool.close()
"""
        children = [
            subprocess.Popen(
                [sys.executable, "-c", script, str(writer)],
                cwd=tmp_path,
                env=unmeasured(tmp_path),
            )
            for writer in range(2)
        ]
        assert [0, 0] == [child.wait(PATIENCE) for child in children]
        found = numbers_by_writer(delivered(tmp_path))
        assert {0: list(range(2_000)), 1: list(range(2_000))} == found
        assert [] == left_in(tmp_path)

    @pytest.mark.parametrize("times", [2, pytest.param(30, marks=pytest.mark.long)])
    def test_adopting_at_once(self, tmp_path: Path, times: int) -> None:
        """
        Of those that begin at one moment, each place of the dead has one owner; and
        none of them takes a place that another is just making.
        """
        script = f"""{SPOOL}
writer = int(sys.argv[1])
sys.stdin.read()  # until all are there
for life in range(20):
    spool = spool_for()
    spool.put(event(writer, life))
    for backlog in adopted():
        while send(backlog):
            pass
        backlog.close()
    spool.after_fork()  # as if it died
"""
        for time_ in range(times):
            children = [
                subprocess.Popen(
                    [sys.executable, "-c", script, str(writer)],
                    cwd=tmp_path,
                    env=unmeasured(tmp_path),
                    stdin=subprocess.PIPE,
                )
                for writer in range(5 * time_, 5 * time_ + 5)
            ]
            for child in children:
                child.communicate(timeout=PATIENCE)
            assert [0] * 5 == [child.returncode for child in children]

        found = delivered(tmp_path) + left_in(tmp_path)
        lives = [(writer, life) for writer in range(5 * times) for life in range(20)]
        assert lives == sorted(found)

    def test_fork(self, tmp_path: Path) -> None:
        """
        Children forked amid the puts of threads have spools of their own; a parent's
        place stays locked while it lives, and no longer.
        """
        script = f"""{SPOOL}
import warnings
warnings.simplefilter("ignore")
spool = spool_for()
os.register_at_fork(after_in_child=spool.after_fork)
over = threading.Event()
def put(writer):
    for number in range(2_000):
        spool.put(event(writer, number))
        if number % 100 == 0:
            time.sleep(0.001)
threads = [threading.Thread(target=put, args=(each,)) for each in range(4)]
for thread in threads:
    thread.start()
children = []
for child in range(10, 20):
    pid = os.fork()
    if pid == 0:
        for number in range(100):
            spool.put(event(child, number))
        os._exit(0 if spool.spooled == 100 else 1)
    children.append(pid)
    time.sleep(0.002)
assert [os.waitpid(each, 0)[1] for each in children] == [0] * 10
for thread in threads:
    thread.join()
# One that outlives its parent, and never puts anything.
if os.fork() == 0:
    os.close(1)
    os.close(2)
    time.sleep(60)
print(spool.spooled, len(adopted()), os.getpid(), flush=True)
os._exit(0)
"""
        with subprocess.Popen(
            [sys.executable, "-c", script],
            cwd=tmp_path,
            env=unmeasured(tmp_path),
            stdout=subprocess.PIPE,
            start_new_session=True,
        ) as process:
            try:
                assert process.stdout
                said = process.stdout.read()
                process.wait(PATIENCE)
                found = numbers_by_writer(left_in(tmp_path))
            finally:
                os.killpg(process.pid, signal.SIGKILL)

        assert ["8000", "10"] == said.decode().split()[:2]
        own = {each: list(range(2_000)) for each in range(4)}
        theirs = {each: list(range(100)) for each in range(10, 20)}
        assert {**own, **theirs} == found


def interrupted(name: str, directory: Path) -> list[Any]:
    """Return what the function *name* of `interrupted` prints."""
    done = subprocess.run(
        [
            *(sys.executable, "-c"),
            f"from tests.integration import interrupted; interrupted.{name}()",
        ],
        cwd=directory,
        env=unmeasured(directory),
        stdout=subprocess.PIPE,
        timeout=PATIENCE,
        check=True,
    )
    printed: list[Any] = json.loads(done.stdout)
    return printed


class TestSignals:
    """Handlers that raise or log at any moment of a put."""

    def test_raising_in_memory(self, tmp_path: Path) -> None:
        """
        In memory: what returned is there, once, and what is counted is what there is.
        """
        returned, found, queued, dropped, let_in = interrupted("in_memory", tmp_path)

        assert sorted(set(found)) == found
        assert queued == len(found) == 500
        assert {each for each in returned if each >= found[0]} <= set(found)
        assert let_in == dropped + len(found) >= len(returned)

    def test_raising_in_a_spool(self, tmp_path: Path) -> None:
        """
        On the disk: the same.
        """
        returned, found, spooled, dropped = interrupted("in_spool", tmp_path)

        assert sorted(set(found)) == found
        assert set(returned) <= set(found)
        assert (spooled, 0) == (len(found), dropped)
        assert [] == Spools(tmp_path).places

    def test_logging(self, tmp_path: Path) -> None:
        """
        A handler that logs at any moment has its event on the disk when the put that
        it interrupted returns.
        """
        found, count, waited = interrupted("logging", tmp_path)

        assert 0 == waited
        assert list(range(count)) == sorted(found)


class TestFullDisk:
    """A disk that is full, and later is not."""

    @pytest.mark.parametrize(
        "size",
        [
            300,
            *(pytest.param(each, marks=pytest.mark.long) for each in (6_000, 70_000)),
        ],
    )
    def test_full_and_freed(self, tmp_path: Path, size: int) -> None:
        """
        What does not fit waits in memory, in order, and is written when it fits; no
        half record stays, and a death meanwhile costs only what was in memory.
        """
        script = f"""{SPOOL}
import shutil
size = int(sys.argv[1])
with open("disk/ballast", "wb") as ballast:
    ballast.write(bytes(shutil.disk_usage("disk").free - 300_000))
spool = spool_for(os.path.abspath("disk/spool"))
number = 0
while not spool.queued:
    spool.put(event(0, number, size))
    number += 1
first = number - 1  # the first that did not fit
for number in range(number, number + 50):
    spool.put(event(0, number, size))
shutil.copytree("disk/spool", "edge")
os.unlink("disk/ballast")
before = spool.queued
time.sleep(1.1)
while spool.queued:
    number += 1
    spool.put(event(0, number, size))
while send(spool):
    pass
spool.close()
print(json.dumps([first, number + 1, before, spool.dropped, os.listdir("disk/spool")]))
"""
        done = run_on_small_disk(tmp_path, "32m", script, str(size))
        assert 0 == done.returncode, done.stderr
        first, count, before, dropped, left = json.loads(done.stdout)

        assert [(0, number) for number in range(count)] == delivered(tmp_path)
        assert (0, []) == (dropped, left)
        assert 51 == before
        said = b"write cannot write to the spool, will try again: [Errno 28] "
        assert [said] == [line[: len(said)] for line in done.stderr.splitlines()]
        spools = Spools(tmp_path)
        spools.folder = tmp_path / "edge"
        assert list(range(first)) == [
            int(each.message.rstrip(b"."))
            for backlog in spools.adopt({"log_group_name": "Chimera"})
            for each in backlog.take(lambda _: True)
        ]
        spools.close()
