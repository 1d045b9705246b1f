"""
Find, read, adapt, rehearse and apply a logging configuration.

`init_logging` is the one loader.  All it does beyond plain
``logging.config.dictConfig(yaml.safe_load(...))`` is a convenience: a file is
found, keywords are written into it, and a mistake is found while the logging
that was running still runs.
"""

from __future__ import annotations

import logging
import logging.config
import os
from pathlib import Path

from chimera_log import options
from chimera_log.config import hooks
from chimera_log.config.document import Document
from chimera_log.config.reading import read
from chimera_log.config.rehearse import rehearse
from chimera_log.config.sources import find
from chimera_log.options import ConfigError
from chimera_log.report import report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PLACES = ("filename", "spool_dir")  # options that are paths
CLOUDWATCH = "cloudwatch"  # the handler that `enable_cloudwatch` means


def init_logging(
    config: str | os.PathLike[str] | dict[str, Any] | None = None,
    *,
    log_dir: str | os.PathLike[str] | None = None,
    log_level: str | int | None = None,
    enable_cloudwatch: bool | None = None,
    cloudwatch_region: str | None = None,
    cloudwatch_log_group: str | None = None,
    capture_warnings: bool = True,
    uncaught_exceptions: bool = True,
) -> None:
    """
    Configure logging from a YAML file.

    A file that cannot work changes nothing: the logging that was running goes
    on.  Called again, it replaces what it configured before.

    Args:
        config: The file, or what would be in it.  Without it, the first of:
            the file that ``CHIMERA_LOG_CONFIG`` names, ``./logging.yaml``, and
            the one that comes with the package.
        log_dir: Replaces the directory of every file that a handler of ours
            writes, and of the folder where one spools.
        log_level: Replaces the root's level: a name in any case, or a number.
        enable_cloudwatch: Adds the configured handler ``cloudwatch`` to the
            root, or takes it away.  Where none is configured, one line on
            stderr says so and the service logs on without it.
        cloudwatch_region: Replaces that handler's ``region_name``.
        cloudwatch_log_group: Replaces that handler's ``log_group_name``.
        capture_warnings: Send `warnings` to the logger ``py.warnings``.
        uncaught_exceptions: Log what nobody caught, in the main thread or
            another, to the logger ``uncaught``; Python then prints it as ever.

    Raises:
        ConfigError: If the configuration cannot work; its text says where,
            what and what to do.
    """
    _check_types(config, log_dir, enable_cloudwatch)
    options.flag("capture_warnings", capture_warnings)
    options.flag("uncaught_exceptions", uncaught_exceptions)
    document = (
        Document(config, "config") if isinstance(config, dict) else read(find(config))
    )
    content = _adapted(
        document,
        log_dir=None if log_dir is None else os.fspath(log_dir),
        log_level=log_level,
        enable_cloudwatch=enable_cloudwatch,
        cloudwatch={
            "region_name": cloudwatch_region,
            "log_group_name": cloudwatch_log_group,
        },
    )
    rehearse(document, content)
    # By attribute: OpenTelemetry replaces this function to keep its handler.
    logging.config.dictConfig(content)
    logging.captureWarnings(capture_warnings)
    (hooks.install if uncaught_exceptions else hooks.remove)()
    # `disable_existing_loggers` silences what existed, these included.
    for name in ("py.warnings", "asyncio", hooks.LOGGER):
        logging.getLogger(name).disabled = False


def _check_types(config: Any, log_dir: Any, enable_cloudwatch: Any) -> None:
    """Raise unless the keywords are of the types that they must be."""
    for name, value in (("config", config), ("log_dir", log_dir)):
        is_path = value is None or isinstance(value, (str, os.PathLike))
        if not is_path and not (name == "config" and isinstance(value, dict)):
            raise ConfigError(f"{name}: {value!r} is no path; write text or a Path")
    if enable_cloudwatch is not None:
        options.flag("enable_cloudwatch", enable_cloudwatch)


def _adapted(
    document: Document,
    *,
    log_dir: str | None,
    log_level: str | int | None,
    enable_cloudwatch: bool | None,
    cloudwatch: dict[str, str | None],
) -> dict[str, Any]:
    """Return *document*'s content with the keywords of `init_logging` written in."""
    content: dict[str, Any] = document.copy()
    handlers = document.section(content, "handlers")
    root = document.section(content, "root")
    if log_level is not None:
        root["level"] = _level(log_level)
    if log_dir is not None:
        _move(document, handlers, log_dir)
    if isinstance(handlers.get(CLOUDWATCH), dict):
        given = {name: value for name, value in cloudwatch.items() if value is not None}
        handlers[CLOUDWATCH].update(given)
    elif enable_cloudwatch:
        report(
            "init_logging: cloudwatch",
            f"{document.source}: handlers: no handler is called {CLOUDWATCH!r}, so that "
            "enable_cloudwatch has no effect; the other handlers work",
        )
        enable_cloudwatch = None
    listed = root.get("handlers") or []
    if enable_cloudwatch is not None and isinstance(listed, list):
        attached = [name for name in listed if name != CLOUDWATCH]
        root["handlers"] = [*attached, CLOUDWATCH] if enable_cloudwatch else attached
    return content


def _is_ours(handler: dict[str, Any]) -> bool:
    return str(handler.get("class", handler.get("()"))).startswith("chimera_log.")


def _move(document: Document, handlers: dict[str, Any], log_dir: str) -> None:
    """
    Put every file of ours into *log_dir*.

    Raises:
        ConfigError: If two files would become one.
    """
    before: dict[str, str] = {}
    for name, handler in handlers.items():
        if not (isinstance(handler, dict) and _is_ours(handler)):
            continue
        for option in _PLACES:
            if handler.get(option) is None:
                continue
            path = ("handlers", str(name), option)
            try:
                given = options.expand(option, str(handler[option]))
            except ConfigError as error:
                raise document.error(path, str(error).partition(": ")[2]) from error
            moved = str(Path(log_dir) / Path(given).name)
            if before.setdefault(moved, given) != given:
                what = (
                    f"log_dir would make {given!r} and {before[moved]!r} one file; "
                    "rename one"
                )
                raise document.error(path, what)
            handler[option] = moved


def _level(level: Any) -> Any:
    """Return *level*, a name in any case or a number, as dictConfig takes it."""
    known = logging.getLevelName(level.upper()) if isinstance(level, str) else level
    if isinstance(known, bool) or not isinstance(known, int):
        hint = options.did_you_mean(str(level).upper(), options.LEVELS)
        raise ConfigError(f"log_level: {level!r} is no level; {hint}")
    return known
