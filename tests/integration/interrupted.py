"""
Puts amid signals, for children: a handler that raises harms whoever is measuring.

Each function prints what it found, as JSON.
"""

from __future__ import annotations

import gc
import json
import signal
from contextlib import suppress
from itertools import islice
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from chimera_log.cloudwatch.memory import DROP_OLDEST, Bounds, MemoryQueue
from tests.spools import Spools, all_taken, event, number_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from chimera_log.cloudwatch.batch import Event

_COUNT = 10_000  # puts that are to return
_SOON = 60e-6  # seconds; a put takes less, unless the machine is busy
_LATER = 1.01  # by how much longer the next signal waits where no put returned
_LAST = 10**9


class StopNow(BaseException):
    """What a signal handler raises."""


def _interrupt(*_: object) -> None:
    raise StopNow


def raising(put: Callable[[Event], None]) -> list[int]:
    """
    Put events while a signal handler raises again and again.

    Returns:
        The numbers of those whose put returned.
    """
    draw = Random(1)  # noqa: S311  the same moments each time
    returned: list[int] = []
    numbers = iter(range(1, _LAST))
    soon = _SOON
    gc.disable()  # nobody could catch what is raised amid a finalizer
    signal.signal(signal.SIGALRM, _interrupt)
    while (before := len(returned)) < _COUNT:
        with suppress(StopNow):
            try:
                signal.setitimer(signal.ITIMER_REAL, draw.uniform(1e-6, soon))
                for number in islice(numbers, 100):
                    put(event(number))
                    returned.append(number)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        is_late = len(returned) == before
        soon = soon * _LATER if is_late else max(soon / _LATER, _SOON)
    return returned


def in_memory() -> None:
    """Print: returned, found, queued, dropped, all that were ever let in."""
    queue = MemoryQueue(Bounds(500, 10**9, DROP_OLDEST), lambda _: None)
    returned = raising(queue.put)
    queue.put(event(_LAST))
    queued = queue.queued
    found = [number_of(each) for each in queue.take(lambda _: True)]
    print(json.dumps([returned, found, queued, queue.dropped, queue._settled]))


def in_spool() -> None:
    """Print: returned, found, spooled, dropped."""
    spools = Spools(Path.cwd())
    # All in one file: what is raised while one is opened leaves it open.
    spool = spools.open(0, max_spool_bytes=10**9)
    returned = raising(spool.put)
    spool.put(event(_LAST))
    spooled = spool.spooled
    found = all_taken(spool)
    spool.close()
    print(json.dumps([returned, found, spooled, spool.dropped]))


def logging() -> None:
    """Print what was found and how many were put, and say if any had to wait."""
    spools = Spools(Path.cwd())
    spool = spools.open()
    numbers = iter(range(10**9))

    def log(*_: object) -> None:
        spool.put(event(next(numbers)))

    signal.signal(signal.SIGALRM, log)
    draw = Random(1)  # noqa: S311  the same moments each time
    waited = 0
    for _ in range(_COUNT):
        signal.setitimer(signal.ITIMER_REAL, draw.uniform(1e-6, _SOON))
        spool.put(event(next(numbers)))
        # Counts are read one by one: nobody logs meanwhile.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
        waited += spool.queued
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    signal.setitimer(signal.ITIMER_REAL, 0)
    found = all_taken(spool)
    spool.close()
    print(json.dumps([found, next(numbers), waited]))
