"""
Put together what a configuration says: files, variables, keywords.

Nothing is applied here.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from chimera_log import options
from chimera_log.config import sources
from chimera_log.config.document import Document
from chimera_log.config.interpolate import interpolate
from chimera_log.config.levels import level_number
from chimera_log.config.overlay import merge
from chimera_log.config.reading import read
from chimera_log.options import ConfigError
from chimera_log.report import report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Options that are paths, and what comes before them.
_PLACES = {"filename": "", "spool_dir": "", "database": "sqlite:///"}
CLOUDWATCH = "cloudwatch"  # the handler that `enable_cloudwatch` means


class Request(NamedTuple):
    """What `init_logging` was asked for; its arguments mean what they mean there."""

    config: Path | dict[str, Any]
    log_dir: str | None = None
    log_level: str | int | None = None
    enable_cloudwatch: bool | None = None
    cloudwatch_region: str | None = None
    cloudwatch_log_group: str | None = None
    watch: float | str | None = None


def files_of(base: Path) -> list[Path]:
    """
    Return the files that make the configuration at *base*, it being the first.

    Raises:
        ConfigError: If the environment's file is missing, where others have one.
    """
    over = sources.overlay(base)
    return [base] if over is None else [base, over]


def read_all(files: list[Path]) -> Document:
    """
    Return the configuration in *files*, each laid over the one before.

    Raises:
        ConfigError: If one cannot be read, or a variable in it is not set.
    """
    first, *others = [interpolate(read(path)) for path in files]
    for other in others:
        first = merge(first, other)
    return first


def effective(request: Request) -> Document:
    """
    Return the configuration that *request* means, plain for any dictConfig consumer.

    Raises:
        ConfigError: If its files cannot be read, or a keyword cannot be written in.
    """
    given = request.config
    if isinstance(given, dict):
        document = interpolate(Document(given, "config"))
    else:
        document = read_all(files_of(given))
    return document.having(_adapted(document, request))


def _adapted(document: Document, request: Request) -> dict[str, Any]:
    """Return *document*'s content with the keywords of `init_logging` written in."""
    content: dict[str, Any] = document.copy()
    handlers = document.section(content, "handlers")
    root = document.section(content, "root")
    if request.log_level is not None:
        root["level"] = level_number("log_level", request.log_level)
    if request.log_dir is not None:
        _move(document, handlers, request.log_dir)
    is_enabled = request.enable_cloudwatch
    if isinstance(handlers.get(CLOUDWATCH), dict):
        for option, value in (
            ("region_name", request.cloudwatch_region),
            ("log_group_name", request.cloudwatch_log_group),
        ):
            if value is not None:
                handlers[CLOUDWATCH][option] = value
    elif is_enabled:
        report(
            "init_logging: cloudwatch",
            f"{document.source}: handlers: no handler is called {CLOUDWATCH!r}, so that "
            "enable_cloudwatch has no effect; the other handlers work",
        )
        is_enabled = None
    listed = root.get("handlers") or []
    if is_enabled is not None and isinstance(listed, list):
        attached = [name for name in listed if name != CLOUDWATCH]
        root["handlers"] = [*attached, CLOUDWATCH] if is_enabled else attached
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
        for option, scheme in _PLACES.items():
            given = str(handler.get(option) or "")
            if not given or not given.startswith(scheme):  # a server's database
                continue
            moved = str(Path(log_dir) / Path(given).name)
            if before.setdefault(moved, given) != given:
                what = (
                    f"log_dir would make {given!r} and {before[moved]!r} one file; "
                    "rename one"
                )
                raise document.error(("handlers", str(name), option), what)
            handler[option] = f"{scheme}{moved}"


def asked_for(
    config: str | os.PathLike[str] | dict[str, Any] | None = None,
    *,
    log_dir: str | os.PathLike[str] | None = None,
    log_level: str | int | None = None,
    enable_cloudwatch: bool | None = None,
    cloudwatch_region: str | None = None,
    cloudwatch_log_group: str | None = None,
    watch: float | str | None = None,
) -> Request:
    """
    Return what the arguments of `init_logging` ask for; a file is found now.

    Raises:
        ConfigError: If one is of a type that it cannot be.
    """
    for name, value in (("config", config), ("log_dir", log_dir)):
        is_path = value is None or isinstance(value, (str, os.PathLike))
        if not is_path and not (name == "config" and isinstance(value, dict)):
            raise ConfigError(f"{name}: {value!r} is no path; write text or a Path")
    if enable_cloudwatch is not None:
        options.flag("enable_cloudwatch", enable_cloudwatch)
    return Request(
        config if isinstance(config, dict) else sources.find(config),
        None if log_dir is None else os.fspath(log_dir),
        log_level,
        enable_cloudwatch,
        cloudwatch_region,
        cloudwatch_log_group,
        watch,
    )
