"""
Who is measured: ours, and the peers as their own documentation sets them up.

A contender is built in a process of its own.  Peers are an extra (``bench``),
imported by name: neither the tests nor the type checker need them.
"""

from __future__ import annotations

import gzip
import logging
import logging.handlers
import shutil
import sys
from importlib import import_module, metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from chimera_log import JsonFormatter, RotatingFileHandler, init_logging

if TYPE_CHECKING:
    from collections.abc import Callable

    Log = Callable[[str, dict[str, Any]], object]

MAX_BYTES = 100_000_000
BACKUP_COUNT = 10
SIZES: dict[str, Any] = {"maxBytes": MAX_BYTES, "backupCount": BACKUP_COUNT}
_PJL, _CLH = "python-json-logger", "concurrent-log-handler"


class Contender(NamedTuple):
    """
    One row of a table.

    Args:
        build: Takes the folder to write to; returns what logs a name and a context.
        needs: Distributions of peers.
        outputs: Where each record must be found: ``files``, ``console``.
    """

    build: Callable[[Path], Log]
    needs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ("files",)

    @property
    def missing(self) -> list[str]:
        """The distributions that are not installed."""
        return [name for name in self.needs if version(name) is None]


def version(distribution: str) -> str | None:
    """Return the version of *distribution* that is installed, if one is."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _through_logging(*handlers: logging.Handler) -> Log:
    """Return a call that logs through the root's *handlers*."""
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    for handler in handlers:
        root.addHandler(handler)
    return _logger()


def _logger() -> Log:
    logger = logging.getLogger("bench")

    def log(name: str, context: dict[str, Any]) -> None:
        logger.info(name, extra={"context": context})

    return log


def _null(_: Path) -> Log:
    return _through_logging(logging.NullHandler())


def _shipped(_: Path) -> Log:
    """Load the file as it is; the parent names the folder in CHIMERA_LOG_DIR."""
    init_logging()
    return _logger()


def _ours(**options: Any) -> Callable[[Path], Log]:
    def build(folder: Path) -> Log:
        handler = RotatingFileHandler(folder / "bench.log", **SIZES, **options)
        handler.setFormatter(JsonFormatter())
        return _through_logging(handler)

    return build


def _json_logger(handler: Any) -> logging.Handler:
    """Return *handler* with python-json-logger's formatter."""
    formatter = import_module("pythonjsonlogger.json").JsonFormatter(
        "%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    handler.setFormatter(formatter)
    made: logging.Handler = handler
    return made


def _stdlib(folder: Path) -> logging.handlers.RotatingFileHandler:
    handler = logging.handlers.RotatingFileHandler(folder / "bench.log", **SIZES)
    _json_logger(handler)
    return handler


def _stdlib_file(folder: Path) -> Log:
    return _through_logging(_stdlib(folder))


def _stdlib_console(folder: Path) -> Log:
    console = _json_logger(logging.StreamHandler(sys.stdout))
    return _through_logging(_stdlib(folder), console)


def _stdlib_gzip(folder: Path) -> Log:
    handler = _stdlib(folder)
    handler.namer = _gzip_name
    handler.rotator = _gzip_rotator
    return _through_logging(handler)


def _gzip_name(name: str) -> str:
    return name + ".gz"


def _gzip_rotator(source: str, dest: str) -> None:
    """Compress as the logging cookbook does, "a rotator and namer"."""
    with Path(source).open("rb") as plain, gzip.open(dest, "wb") as packed:
        shutil.copyfileobj(plain, packed)
    Path(source).unlink()


def _concurrent(**options: Any) -> Callable[[Path], Log]:
    def build(folder: Path) -> Log:
        module = import_module("concurrent_log_handler")
        handler = module.ConcurrentRotatingFileHandler(
            folder / "bench.log", **SIZES, **options
        )
        return _through_logging(_json_logger(handler))

    return build


def _loguru(**options: Any) -> Callable[[Path], Log]:
    def build(folder: Path) -> Log:
        logger = import_module("loguru").logger
        logger.remove()  # the one for stderr
        logger.add(folder / "bench.log", serialize=True, rotation="100 MB", **options)

        def log(name: str, context: dict[str, Any]) -> None:
            logger.info(name, context=context)

        return log

    return build


OURS = "chimera_log, writer: caller"
ROTATION = {
    "null handler": Contender(_null, outputs=()),
    OURS: Contender(_ours(compression="gzip", writer="caller")),
    "chimera_log, writer: thread": Contender(
        _ours(compression="gzip", writer="thread")
    ),
    "python-json-logger, stdlib, cookbook's gzip": Contender(_stdlib_gzip, (_PJL,)),
    "python-json-logger, concurrent-log-handler": Contender(
        _concurrent(use_gzip=True), (_PJL, _CLH)
    ),
    "loguru": Contender(_loguru(compression="gz", retention=BACKUP_COUNT), ("loguru",)),
}

SHIPPED = "chimera_log, logging.yaml as shipped"
BUSY = {
    "null handler": Contender(_null, outputs=()),
    SHIPPED: Contender(_shipped, outputs=("files", "console")),
    "chimera_log, writer: caller": Contender(_ours(writer="caller")),
    "chimera_log, writer: thread": Contender(_ours(writer="thread")),
    "chimera_log, keep_gil: never": Contender(_ours(keep_gil="never")),
    "python-json-logger, stdlib": Contender(_stdlib_file, (_PJL,)),
    "python-json-logger, stdlib, and console": Contender(
        _stdlib_console, (_PJL,), outputs=("files", "console")
    ),
    "python-json-logger, concurrent-log-handler": Contender(
        _concurrent(), (_PJL, _CLH)
    ),
    "loguru": Contender(_loguru(), ("loguru",)),
}
