"""
Who sends records to CloudWatch Logs: ours, and the best-known handler for Python.

Each is a handler as `dictConfig` takes it.  Whom it talks to, and as whom, says the
environment, which boto3 reads for all of them.  Beside them stand two that send
nothing: what even they cost is `logging`'s doing, or that of handing a record to
another thread at all.
"""

from __future__ import annotations

import logging
import logging.handlers
import queue
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.bench.contenders import version

if TYPE_CHECKING:
    from collections.abc import Iterable

_OUR_JSON = {"()": "chimera_log.JsonFormatter"}
_PEERS_JSON = {
    "()": "pythonjsonlogger.json.JsonFormatter",
    "fmt": "%(asctime)s %(levelname)s %(name)s %(message)s",
}
_OURS = "chimera_log.CloudWatchHandler"
_INTERVAL = 5  # seconds until a batch goes anyway; the peer's own default is 60


class Shipper(NamedTuple):
    """
    One row of a table.

    Args:
        handler: As in a dictConfig document.
        needs: Distributions of peers.
        json: The formatter for lines of JSON, likewise.
        sends: Whether records are to arrive.
    """

    handler: dict[str, Any]
    needs: tuple[str, ...] = ()
    json: dict[str, str] = _OUR_JSON
    sends: bool = True

    @property
    def missing(self) -> list[str]:
        """The distributions that are not installed."""
        return [name for name in self.needs if version(name) is None]


class Queue(logging.handlers.QueueHandler):
    """The standard library's, and its listener, which lets go of what it gets."""

    def __init__(self) -> None:
        waiting: queue.Queue[Any] = queue.Queue()
        super().__init__(waiting)
        self._waiting = waiting
        self._listener = logging.handlers.QueueListener(waiting, logging.NullHandler())
        self._listener.start()

    def flush(self) -> None:
        """Wait until nothing waits."""
        self._waiting.join()


NULL = "null handler"
OURS = "chimera_log"
SPOOL = "chimera_log, spool_dir"
QUEUE = "stdlib's QueueHandler"
PEER = "watchtower"
SHIPPERS = {
    NULL: Shipper({"class": "logging.NullHandler"}, sends=False),
    OURS: Shipper(
        {"class": _OURS, "log_group_name": "ours", "flush_interval": _INTERVAL}
    ),
    SPOOL: Shipper(
        {
            "class": _OURS,
            "log_group_name": "spooled",
            "flush_interval": _INTERVAL,
            "spool_dir": "spool",
        }
    ),
    QUEUE: Shipper({"()": "tests.bench.shippers.Queue"}, sends=False),
    PEER: Shipper(
        {
            "class": "watchtower.CloudWatchLogHandler",
            "log_group_name": "peer",
            "send_interval": _INTERVAL,
        },
        needs=("watchtower", "python-json-logger"),
        json=_PEERS_JSON,
    ),
}


def document(names: Iterable[str], *, json: bool, **options: Any) -> dict[str, Any]:
    """
    Return what dictConfig makes the handlers *names* of, for a logger of each name.

    Args:
        names: Of `SHIPPERS`.
        json: Whether they format lines of JSON, rather than what they do by default.
        options: Of our handlers, besides.
    """
    found: dict[str, Any] = {"version": 1, "disable_existing_loggers": False}
    found |= {"formatters": {}, "handlers": {}, "loggers": {}}
    for name in names:
        shipper = SHIPPERS[name]
        extra = options if shipper.handler.get("class") == _OURS else {}
        found["handlers"][name] = {**shipper.handler, **extra}
        if json:
            found["formatters"][name] = shipper.json
            found["handlers"][name]["formatter"] = name
        found["loggers"][name] = {
            "handlers": [name],
            "level": "INFO",
            "propagate": False,
        }
    return found
