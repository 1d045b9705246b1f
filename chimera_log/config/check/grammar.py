"""
Find what dictConfig's grammar does not know: sections, keys, types, names, levels.
"""

from __future__ import annotations

import logging
import re

from chimera_log import options
from chimera_log.config.check.parts import (
    SECTIONS,
    closest,
    conversion,
    did_you_mean,
    is_incremental,
    is_open,
    parts,
    shown,
)
from chimera_log.config.check.yaml11 import as_read, misread
from chimera_log.config.findings import WARNING
from chimera_log.options import LEVELS, ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from chimera_log.config.document import Document
    from chimera_log.config.findings import Finding, Path

_KNOWN = (
    *("version", "incremental", "disable_existing_loggers"),
    *SECTIONS,
    *("root", "watch"),
)
_FLAGS = ("incremental", "disable_existing_loggers")
_LOGGER = ("level", "propagate", "filters", "handlers")
_IGNORED = ("qualname",)  # gunicorn's own configuration has it; nobody reads it
_FREE = ("x-", ".")  # how keys begin that are for anything else, such as anchors
_OFF = "write CRITICAL, or a number above 50 for nothing at all"


def findings(document: Document) -> Iterator[Finding]:
    """Yield what is wrong with the form of *document*."""
    yield from _version(document)
    key: Any  # text, if all is well
    for key, value in document.content.items():
        path: Path = (str(key),)
        if not isinstance(key, str):
            yield document.finding(path, _name(document, path, key), at_key=True)
        elif key in SECTIONS:
            yield from _section(document, key, value)
        elif key == "root":
            yield from _root(document, value)
        elif key in _FLAGS:
            yield from _flag(document, path, value)
        elif key == "watch":
            yield from _watch(document, value)
        elif key not in _KNOWN and not _is_free(document, key):
            hint = did_you_mean(key, _KNOWN, f"use one of {', '.join(_KNOWN)}")
            what = f"no such section; {hint}"
            yield document.finding(path, what, at_key=True)


def _is_free(document: Document, key: str) -> bool:
    """Whether *key* may stand at the top for something else than dictConfig."""
    if key == "$schema" or key.startswith(_FREE):
        return True
    values = (
        value
        for section in ("formatters", "filters", "handlers")
        for part in parts(document, section)
        for value in part.content.values()
    )
    found = (converted for value in values if (converted := conversion(value)))
    return any(
        protocol == "cfg" and re.match(r"\w*", rest)[0] == key  # type: ignore[index]
        for protocol, rest in found
    )


def level(document: Document, path: Path, value: Any) -> Iterator[Finding]:
    """Yield what is wrong with a level, *value*, at *path*."""
    if value is None or is_open(value) or conversion(value):
        return
    if isinstance(value, bool):
        plain = document.plain(path)
        it = "it" if plain is None or plain == str(value).lower() else plain
        # The text is not always a level: OFF is none, quoted or not.
        remedy = "quote it" if str(plain).upper() in LEVELS else _OFF
        what = f"YAML reads {it} as {value}, which logs everything; {remedy}"
        yield document.finding(path, what)
    elif isinstance(value, str):
        if not isinstance(logging.getLevelName(value), int):
            yield document.finding(path, f"{shown(value)} is no level; {_hint(value)}")
    elif not isinstance(value, int):
        what = misread(document, path, value) or f"{shown(value)} is no level"
        yield document.finding(path, f"{what}; {options.did_you_mean('', LEVELS)}")


def _hint(value: str) -> str:
    if value.strip().lstrip("-").isdecimal():
        return f"write {value.strip()}, unquoted"
    if value.upper() in {"OFF", "NONE"}:
        return _OFF
    if value.upper() in {"ALL", "TRACE"}:
        return "write DEBUG, or a number from 1"
    return options.did_you_mean(value.strip().upper(), LEVELS)


def _version(document: Document) -> Iterator[Finding]:
    found = document.content.get("version")
    if "version" not in document.content:
        yield document.finding(("version",), "is missing; write `version: 1`")
    elif isinstance(found, bool) or found != 1:
        what = f"{shown(found)} is not supported; write `version: 1`"
        yield document.finding(("version",), what)


def _flag(document: Document, path: Path, value: Any) -> Iterator[Finding]:
    if value is None or is_open(value) or conversion(value):
        return
    if isinstance(value, str):
        meant = "false" if value.lower() in {"no", "false", "off", "0", "n"} else "true"
        what = f"{shown(value)} is text, which counts as true; write {meant}, unquoted"
        yield document.finding(path, what)
    elif not isinstance(value, int) or value not in {0, 1}:
        what = f"{shown(value)} is not a boolean; write true or false"
        yield document.finding(path, what)


def _watch(document: Document, value: Any) -> Iterator[Finding]:
    if value is None or is_open(value):
        return
    try:
        options.duration("watch", value)
    except ConfigError as error:
        yield document.finding(("watch",), str(error).partition(": ")[2])


def _name(document: Document, path: Path, name: Any) -> str:
    node = document.nodes.get(path)
    plain = node.plain_key if node else None
    it = "the name" if plain in {None, str(name)} else f"the name {plain}"
    return f"YAML reads {it} as {as_read(name)}; quote it"


def _section(document: Document, section: str, value: Any) -> Iterator[Finding]:
    if value is None:
        what = "is empty, which plain dictConfig refuses; write {}, or remove it"
        yield document.finding((section,), what, severity=WARNING, at_key=True)
        return
    if not isinstance(value, dict):
        what = f"{shown(value)} must be a mapping"
        yield document.finding((section,), f"{what} of names to settings")
        return
    for name, part in value.items():
        path: Path = (section, str(name))
        if not isinstance(name, str):
            yield document.finding(path, _name(document, path, name), at_key=True)
        elif part is None:
            what = "is empty; write its options, or {} for none"
            yield document.finding(path, what, at_key=True)
        elif not isinstance(part, dict):
            yield document.finding(path, f"{shown(part)} must be a mapping of options")
        elif section == "loggers":
            yield from _logger(document, path, part)
        elif section == "handlers":
            yield from level(document, (*path, "level"), part.get("level"))
            if not is_incremental(document):
                yield from _class_is_there(document, path, part)


def _class_is_there(
    document: Document, path: Path, part: dict[str, Any]
) -> Iterator[Finding]:
    if part.get("()", part.get("class")) is not None:
        return
    near = closest("class", part) if "class" not in part else None
    if near and near not in {"level", "filters"}:
        what = "no such option; did you mean 'class'?"
        yield document.finding((*path, near), what, at_key=True)
    else:
        what = "has no class; add `class:`"
        yield document.finding(path, what, at_key=True)


def _root(document: Document, root: Any) -> Iterator[Finding]:
    if root is None:
        return
    if not isinstance(root, dict):
        what = f"{shown(root)} must be a mapping with level and handlers"
        yield document.finding(("root",), what)
        return
    yield from _logger(document, ("root",), root)
    if "propagate" in root:
        what = "has no effect, since nothing is above the root; remove it"
        path = ("root", "propagate")
        yield document.finding(path, what, severity=WARNING, at_key=True)


def _logger(
    document: Document, path: Path, logger: dict[str, Any]
) -> Iterator[Finding]:
    for key in logger:
        if key not in _LOGGER and key not in _IGNORED:
            hint = did_you_mean(str(key), _LOGGER, f"use one of {', '.join(_LOGGER)}")
            what = f"no such option; {hint}"
            yield document.finding((*path, str(key)), what, at_key=True)
    yield from level(document, (*path, "level"), logger.get("level"))
    yield from _flag(document, (*path, "propagate"), logger.get("propagate"))
