"""
One contender under one load, in this process: ``python -m tests.bench.load``.

Its stdout is the contender's; the calls go to the file ``calls.json``.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

from tests.bench import contenders
from tests.bench.figures import Call
from tests.bench.traffic import event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tests.bench.contenders import Log

THREADS = 8
EVERY = 0.004  # seconds from one call of a thread to its next
SECONDS = 7.0
EACH = int(SECONDS / EVERY)  # calls of one thread

CALLS = 300
PAUSE = 0.005  # seconds between the end of a call and the next
BUSY_THREADS = 4

SAMPLE = 99  # one record comes before them


def paced(
    log: Log,
    numbers: Iterable[int],
    begin: float,
    every: float,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], object] = time.sleep,
) -> list[Call]:
    """
    Log an event for each of *numbers*; return the calls.

    Each has its time, and is made at once where that is past already.

    Args:
        log: Takes an event's name and context.
        numbers: The events', one a call.
        begin: When the first call is due, by *clock*.
        every: Seconds from one call's time to the next one's.
        clock: Seconds that never go back.
        sleep: Waits so many seconds.
    """
    calls = []
    for turn, number in enumerate(numbers):
        name, context = event(number)
        intended = begin + turn * every
        wait = intended - clock()
        if wait > 0:
            sleep(wait)
        start = clock()
        log(name, context)
        calls.append(Call(intended, start, clock()))
    return calls


def at_once(log: Log, first: int) -> list[Call]:
    """Log `SAMPLE` events from number *first* on, to see how long their lines are."""
    return paced(log, range(first, first + SAMPLE), time.perf_counter(), 0)


def from_threads(log: Log, first: int) -> list[Call]:
    """Log `EACH` events in each of `THREADS` threads, from number *first* on."""
    calls: list[Call] = []
    begin = time.perf_counter() + 0.1

    def run(thread: int) -> None:
        numbers = range(first + thread * EACH, first + (thread + 1) * EACH)
        # Spread: threads that all wake at once would measure one another.
        calls.extend(paced(log, numbers, begin + thread * EVERY / THREADS, EVERY))

    threads = [Thread(target=run, args=[number]) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return calls


def beside_busy_threads(log: Log, first: int) -> list[Call]:
    """Log `CALLS` events, each after a rest, beside threads that compute."""
    calls = []
    with _busy_threads():
        for number in range(first, first + CALLS):
            # Each has its rest, however late the one before it was.
            calls += paced(log, [number], time.perf_counter() + PAUSE, 0)
    return calls


@contextmanager
def _busy_threads() -> Iterator[None]:
    done = Event()

    def compute() -> None:
        while not done.is_set():
            pass

    threads = [Thread(target=compute) for _ in range(BUSY_THREADS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()


LOADS = {
    "sample": (at_once, contenders.ROTATION),
    "rotation": (from_threads, contenders.ROTATION),
    "busy": (beside_busy_threads, contenders.BUSY),
}


def main(load: str, name: str, folder: str, first: str) -> None:
    """
    Measure the contender *name*, which writes to ``logs`` below *folder*.

    A record that is not measured comes first: it opens the file.

    Args:
        load: A key of `LOADS`.
        name: The contender.
        folder: Where ``calls.json`` goes as well.
        first: The number of the first record.
    """
    run, known = LOADS[load]
    log = known[name].build(Path(folder, "logs"))
    log(*event(int(first)))
    calls = run(log, int(first) + 1)
    Path(folder, "calls.json").write_text(json.dumps(calls), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
