"""
What a record costs beside the standard library's handler, both with our formatter.

The two take turns in one process, so that a busy machine slows them alike; the
ratio is the median over the rounds.
"""

from __future__ import annotations

import logging
import logging.handlers
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from chimera_log import JsonFormatter, RotatingFileHandler
from tests.bench.contenders import SIZES
from tests.bench.traffic import event

if TYPE_CHECKING:
    from collections.abc import Sequence

ROUNDS = 50
RECORDS = 500  # of one round
# We lock between processes, which stdlib does not; its own part is faster in 3.13.
BAR = 1.5 if sys.version_info >= (3, 13) else 1.1


def record() -> None:
    """Print the time per record, ours as a multiple of the standard library's."""
    print(f"Time per record, median of {ROUNDS} rounds of {RECORDS} records in turns")
    # Where the file may rotate, stdlib formats twice.
    for title, sizes in {"as shipped": SIZES, "never": {}}.items():
        with tempfile.TemporaryDirectory() as folder:
            stdlib, ours = rounds = in_turns(
                logging.handlers.RotatingFileHandler(Path(folder, "std.log"), **sizes),
                RotatingFileHandler(Path(folder, "ours.log"), **sizes),
            )
        ratio = statistics.median(b / a for a, b in zip(stdlib, ours, strict=True))
        theirs, mine = (statistics.median(taken) * 1e6 for taken in rounds)
        print(
            f"  {ratio:5.2f} x (bar: {BAR})  rotates {title}: "
            f"stdlib {theirs:.1f} us, chimera_log {mine:.1f} us"
        )


def in_turns(*handlers: logging.Handler) -> list[list[float]]:
    """Return the seconds per record of each handler, a round each, and close them."""
    taken: list[list[float]] = [[] for _ in handlers]
    for handler in handlers:
        handler.setFormatter(JsonFormatter())
        _seconds_per_record(handler, _records())  # opens the file, fills caches
    for number in range(ROUNDS):
        turns = list(zip(handlers, taken, strict=True))
        # Who comes first in a round may find it harder: that changes, too.
        for handler, times in turns if number % 2 else reversed(turns):
            times.append(_seconds_per_record(handler, _records()))
    for handler in handlers:
        handler.close()
    return taken


def _seconds_per_record(
    handler: logging.Handler, records: Sequence[logging.LogRecord]
) -> float:
    start = time.perf_counter()
    for made in records:
        handler.handle(made)
    return (time.perf_counter() - start) / len(records)


def _records() -> list[logging.LogRecord]:
    logger = logging.Logger("bench")
    made = []
    for number in range(RECORDS):
        name, context = event(number)
        extra = {"context": context}
        made.append(
            logger.makeRecord(
                "bench", logging.INFO, __file__, 1, name, (), None, extra=extra
            )
        )
    return made
