"""
What a record in a file costs its caller beside threads that are busy computing.
"""

from __future__ import annotations

import logging
import logging.handlers
import statistics
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

from chimera_log import JsonFormatter, RotatingFileHandler

if TYPE_CHECKING:
    from collections.abc import Iterator

CALLS = 100  # of each contender
PAUSE = 0.005  # seconds between two calls
BUSY = 4


def beside_busy_threads() -> None:
    """Print what one paced call takes, for each contender of one run."""
    with tempfile.TemporaryDirectory() as folder:
        contenders: dict[str, logging.Handler] = {
            "null handler": logging.NullHandler(),
            "keep_gil: auto": RotatingFileHandler(Path(folder, "auto.log")),
            "keep_gil: never": RotatingFileHandler(
                Path(folder, "never.log"), keep_gil="never"
            ),
            "stdlib": logging.handlers.RotatingFileHandler(Path(folder, "stdlib.log")),
        }
        taken = _paced(contenders)
    best = _p99(taken["keep_gil: auto"])
    print(
        f"Python {sys.version.split()[0]}: one paced call beside {BUSY} busy threads, "
        f"{CALLS} calls, ms and x of `keep_gil: auto`"
    )
    for name, times in taken.items():
        p50, p99 = statistics.median(times), _p99(times)
        print(
            f"  p50 {p50 * 1e3:8.3f}  p99 {p99 * 1e3:8.3f}  {p99 / best:8.2f}  {name}"
        )


def _paced(contenders: dict[str, logging.Handler]) -> dict[str, list[float]]:
    """Return the seconds of each call; the contenders take turns."""
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    formatter = JsonFormatter()
    loggers = {}
    for name, handler in contenders.items():
        handler.setFormatter(formatter)
        loggers[name] = logging.Logger(name)
        loggers[name].addHandler(handler)
        loggers[name].info("first")  # opens the file
    with _busy_threads():
        for number in range(CALLS):
            for name, logger in loggers.items():
                time.sleep(PAUSE)
                start = time.perf_counter()
                logger.info("order_filled", extra={"context": {"number": number}})
                taken[name].append(time.perf_counter() - start)
    for handler in contenders.values():
        handler.close()
    return taken


@contextmanager
def _busy_threads() -> Iterator[None]:
    done = Event()

    def compute() -> None:
        while not done.is_set():
            sum(range(1_000))

    threads = [Thread(target=compute) for _ in range(BUSY)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()


def _p99(times: list[float]) -> float:
    return statistics.quantiles(times, n=100)[98]
