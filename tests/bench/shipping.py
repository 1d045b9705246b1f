"""
One load on who sends records, in this process: ``python -m tests.bench.shipping``.

It runs in an empty folder of its own.  What it measured, it prints, a line of JSON a
time; where it has to wait for what the parent does to the network, it reads a line.
"""

from __future__ import annotations

import json
import logging
import logging.config
import sys
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tests.bench.load import paced as paced_calls
from tests.bench.shippers import document
from tests.bench.traffic import event, lines

if TYPE_CHECKING:
    from collections.abc import Sequence

_LINE_BYTES = 400  # more than a line of `traffic` has
_PATIENCE = 120.0  # seconds that ours may take for a burst, as the peer may


def cost(names: Sequence[str], *, as_json: bool, rounds: int, count: int) -> None:
    """
    Print the seconds of processor time that a record takes its caller.

    Args:
        names: Who takes turns, in one process.
        as_json: Whether records become JSON, rather than being it.
        rounds: How many turns each has.
        count: Records of a turn; what was logged in one is delivered before the next.
    """
    handlers = _configured(names, as_json=as_json, close_timeout=_PATIENCE)
    records = _records(count, as_json=as_json)
    for handler in handlers:
        handler.handle(records[0])  # makes connections, fills caches
        handler.flush()
    taken: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(rounds):
        for name, handler in zip(names, handlers, strict=True):
            taken[name].append(_seconds_per_record(handler, records))
            handler.flush()
    _tell(taken)


def burst(name: str, *, count: int, is_first: bool) -> None:
    """
    Log *count* records at once; print the seconds until all were logged, and delivered.

    Args:
        name: Who.
        count: Records.
        is_first: Whether nothing was logged before, so that there is no stream yet,
            and for ours no connection either.
    """
    (handler,) = _configured([name], as_json=False, close_timeout=_PATIENCE)
    records = _records(count, as_json=False)
    if not is_first:
        handler.handle(records[0])
        handler.flush()
    start = time.perf_counter()
    for each in records:
        handler.handle(each)
    logged = time.perf_counter()
    handler.flush()
    _tell([logged - start, time.perf_counter() - start])


def paced(name: str, *, count: int, every: float) -> None:
    """
    Log *count* records in trouble, and print the calls; then let all be delivered.

    Args:
        name: Who.
        count: Records, after one that is not measured.
        every: Seconds from one to the next.
    """
    (handler,) = _configured([name], as_json=True, close_timeout=_PATIENCE)
    logger = logging.getLogger(name)

    def log(event_name: str, context: dict[str, Any]) -> None:
        logger.info(event_name, extra={"context": context})

    log(*event(0))
    handler.flush()
    _wait_for_parent()  # who makes the trouble
    _tell(paced_calls(log, range(1, 1 + count), time.perf_counter() + 0.1, every))
    _wait_for_parent()  # who ends it
    handler.flush()


def ending(name: str, *, count: int, close_timeout: float) -> None:
    """Log *count* records, and print when the last statement was done."""
    (handler,) = _configured([name], as_json=True, close_timeout=close_timeout)
    records = _records(count, as_json=True)
    handler.handle(records[0])
    handler.flush()
    _wait_for_parent()  # who may make trouble
    for each in records:
        handler.handle(each)
    _tell(time.monotonic())


def starting(name: str) -> None:
    """Print the seconds of a dictConfig, and of another with a record under way."""
    made = document([name], json=True)
    module, _, kind = made["handlers"][name]["class"].rpartition(".")
    getattr(import_module(module), kind)  # imports are another table's
    for _ in range(2):
        start = time.perf_counter()
        try:
            logging.config.dictConfig(made)
        except Exception as error:
            _tell(type(error.__cause__ or error).__name__)
        else:
            _tell(time.perf_counter() - start)
            logging.getLogger(name).info("x")


def _configured(
    names: Sequence[str], *, as_json: bool, **options: Any
) -> list[logging.Handler]:
    logging.config.dictConfig(document(names, json=as_json, **options))
    return [logging.getLogger(name).handlers[0] for name in names]


def _records(count: int, *, as_json: bool) -> list[logging.LogRecord]:
    logger = logging.Logger("bench")
    ready = lines(count * _LINE_BYTES)
    made = []
    for number in range(count):
        name, context = event(number)
        extra = {"context": context} if as_json else None
        message = name if as_json else next(ready).decode().rstrip()
        made.append(
            logger.makeRecord(
                "bench", logging.INFO, __file__, 1, message, (), None, extra=extra
            )
        )
    return made


def _seconds_per_record(
    handler: logging.Handler, records: Sequence[logging.LogRecord]
) -> float:
    start = time.thread_time()
    for each in records:
        handler.handle(each)
    return (time.thread_time() - start) / len(records)


def _tell(measured: object) -> None:
    print(json.dumps(measured), flush=True)


def _wait_for_parent() -> None:
    _tell("waiting")
    sys.stdin.readline()


LOADS = {each.__name__: each for each in (cost, burst, paced, ending, starting)}


if __name__ == "__main__":
    LOADS[sys.argv[1]](json.loads(sys.argv[2]), **json.loads(sys.argv[3]))
