"""
What the children of the CloudWatch scenarios run.

A child calls `begin` before it imports anything of the package.
"""

from __future__ import annotations

import atexit
import json
import logging
import logging.config
import os
import signal
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

VARIABLE = "SCENARIO"  # the handler's options, as JSON
MARK = "mark"  # a file; when the last statement of the child was done
OWN_LOGGER = "chimera_log.cloudwatch"
TOLD = "told"  # begins the names of files; what a process logged, and what became of it

_written: Counter[str] = Counter()  # records of each writer in this process
_own: list[None] = []  # one for each of the package's own


def begin() -> None:
    """Have told at exit, after all that the package does there, what was logged."""
    # Whoever runs tests in the background has it ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    atexit.register(_tell)
    os.register_at_fork(after_in_child=_forget)


def options(**others: Any) -> dict[str, Any]:
    """Return the options of the scenario's handler, and *others*."""
    given: dict[str, Any] = json.loads(os.environ[VARIABLE])
    return {**given, **others}


def document(**others: Any) -> dict[str, Any]:
    """Return what dictConfig takes: everything goes to CloudWatch, nowhere else."""
    handler = {"class": "chimera_log.CloudWatchHandler", "formatter": "json"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": "chimera_log.JsonFormatter"}},
        "handlers": {"cloudwatch": {**handler, **options(**others)}},
        "root": {"level": "INFO", "handlers": ["cloudwatch"]},
    }


def configure(**others: Any) -> None:
    """Have everything that is logged sent."""
    logging.config.dictConfig(document(**others))
    logging.getLogger(OWN_LOGGER).addFilter(_count_own)


def handlers() -> list[Any]:
    """Return the handlers that send."""
    return [
        each for each in logging.getLogger().handlers if hasattr(each, "statistics")
    ]


def write(writer: str, count: int, pause: float = 0.0, text: str = "x") -> None:
    """Log the next *count* records of *writer*, with *pause* seconds after each."""
    log = logging.getLogger("bot")
    group = options()["log_group_name"]
    for _ in range(count):
        context = {"group": group, "writer": writer, "number": _written[writer]}
        log.info(text, extra={"context": context})
        _written[writer] += 1
        if pause:
            time.sleep(pause)


def also(count: int) -> None:
    """Count records that were logged without `write`."""
    _written[""] += count


def shout(writer: str, pause: float) -> None:
    """Log for ever, and tell on stdout the number of each record that is logged."""
    while True:
        write(writer, 1)
        os.write(1, b"%d\n" % (_written[writer] - 1))
        time.sleep(pause)


def delivered() -> None:
    """Wait until everything is."""
    for handler in handlers():
        handler.flush()


def mark() -> None:
    """Say that this was the last statement."""
    Path(MARK).write_text(str(time.monotonic()), encoding="utf-8")


def reap(children: list[int]) -> None:
    """Wait for *children*, and fail if one of them failed."""
    statuses = [os.waitpid(child, 0)[1] for child in children]
    assert not any(statuses), statuses


def work(writer: str, count: int) -> None:
    """Be the target of a `multiprocessing.Process`, which may know nothing yet."""
    if not handlers():
        configure()
    write(writer, count)


def wsgi(
    _: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], object]
) -> list[bytes]:
    """Serve a request: log a record, and answer with the name of its writer."""
    writer = f"{os.getpid()}-{threading.get_ident()}"
    write(writer, 1)
    body = writer.encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


def _count_own(_: logging.LogRecord) -> bool:
    _own.append(None)
    return True


def _forget() -> None:
    _written.clear()
    _own.clear()


def _tell() -> None:
    told = {
        "logged": sum(_written.values()),
        "own": len(_own),
        "statistics": [each.statistics()._asdict() for each in handlers()],
    }
    file = Path(f"{TOLD}.{os.getpid()}")
    with suppress(OSError):  # the folder may be gone with the test
        file.write_text(json.dumps(told), encoding="utf-8")
