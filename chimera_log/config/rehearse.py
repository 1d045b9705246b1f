"""
Build a configuration once and throw it away, to find out whether it can work.

`logging.config.dictConfig` closes the running handlers before it knows that
their successors can be built, and leaves a service half deaf when one cannot.
A rehearsal fails first, says where, and touches nothing that runs.
"""

from __future__ import annotations

import logging
import logging.config
import re
import sys

from chimera_log.options import LEVELS, did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from chimera_log.config.document import Document

_SECTIONS = ("formatters", "filters", "handlers")
_UNKNOWN_OPTION = re.compile(r"unexpected keyword argument '(\w+)'")


def rehearse(document: Document, content: dict[str, Any]) -> None:
    """
    Build every formatter, filter and handler of *content*, and discard them.

    Args:
        document: Where *content* comes from, for the error.
        content: What dictConfig would be given.

    Raises:
        ConfigError: If dictConfig would fail.
    """
    if content.get("version") != 1 or isinstance(content["version"], bool):
        found = content.get("version")
        raise document.error(
            ("version",), f"{found!r} is not supported; write `version: 1`"
        )
    incremental = content.get("incremental")
    for section in ("formatters", "filters", "handlers", "loggers"):
        for name, part in document.section(content, section).items():
            path = (section, str(name))
            if not isinstance(name, str):
                raise document.error(path, f"YAML reads the name as {name!r}; quote it")
            if not isinstance(part, dict):
                raise document.error(path, f"{part!r} must be a mapping")
            if section in {"handlers", "loggers"}:
                _check_level(document, path, part)
            elif str(part.get("class")).startswith("chimera_log."):
                # dictConfig would drop a formatter's options, and replace a filter
                # by one that lets everything pass.
                what = "dictConfig would ignore its options; write `():`"
                raise document.error((*path, "class"), what)
            if section == "handlers" and not incremental and not _names_class(part):
                raise document.error(path, "has no class; add `class:`")
    root = document.section(content, "root")
    _check_level(document, ("root",), root)
    if incremental:  # changes levels only, and names nothing
        return
    for section in ("handlers", "loggers"):
        for name, part in content[section].items():
            _check_references(document, content, (section, name), part)
    _check_references(document, content, ("root",), root)


def _names_class(handler: dict[str, Any]) -> bool:
    return handler.get("class") is not None or "()" in handler


def _check_references(
    document: Document,
    content: dict[str, Any],
    path: tuple[str, ...],
    part: dict[str, Any],
) -> None:
    """Raise unless every formatter, filter and handler that *part* names exists."""
    of_handler = path[0] == "handlers"
    if of_handler and part.get("formatter") is not None:
        _check_known(document, content, (*path, "formatter"), part["formatter"])
    for key in ("filters",) if of_handler else ("filters", "handlers"):
        listed = part.get(key) or []
        if not isinstance(listed, (list, tuple)):
            what = f"{listed!r} must be a list; write [{listed}]"
            raise document.error((*path, key), what)
        for name in listed:
            # Since Python 3.11 a program may give a filter itself.
            given = sys.version_info >= (3, 11) and key == "filters"
            if not (given and (callable(name) or hasattr(name, "filter"))):
                _check_known(document, content, (*path, key), name)


def _check_known(
    document: Document, content: dict[str, Any], path: tuple[str, ...], name: Any
) -> None:
    """Raise unless *name*, found at *path*, is defined in its section."""
    section = path[-1] if path[-1].endswith("s") else f"{path[-1]}s"
    known = content[section]
    if not isinstance(name, str) or name not in known:
        noun = section.removesuffix("s")
        hint = did_you_mean(str(name), known) if known else f"add it under {section}"
        raise document.error(path, f"no {noun} is called {name!r}; {hint}")


def _check_level(
    document: Document, path: tuple[str, ...], logger: dict[str, Any]
) -> None:
    level = logger.get("level")
    if isinstance(level, bool):
        raise document.error(
            (*path, "level"),
            f"YAML reads it as {level}, which logs everything; quote it",
        )
    known = logging.getLevelName(level) if isinstance(level, str) else level
    if level is not None and not isinstance(known, int):
        hint = did_you_mean(str(level).upper(), LEVELS)
        raise document.error((*path, "level"), f"{level!r} is no level; {hint}")
