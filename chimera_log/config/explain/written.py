"""
The tree that a configuration would make.  Nothing is built or opened.

Of a class that nobody knows its options tell: handlers that ``target`` or ``handlers``
name are behind it.
"""

from __future__ import annotations

import logging
import logging.config
import os
from contextlib import suppress

from chimera_log.config.check.parts import Part, listed, parts
from chimera_log.config.explain import ends
from chimera_log.config.explain.live import OWN
from chimera_log.config.explain.model import ROOT, Filter, Handler, Logger, Tree
from chimera_log.options import LEVELS, ConfigError, did_you_mean, expand

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from chimera_log.config.document import Document
    from chimera_log.config.findings import Path

_AUDIT, _CLOUDWATCH = "AuditFileHandler", "CloudWatchHandler"
_DEFAULTS: dict[str, dict[str, Any]] = {
    "SysLogHandler": {"address": ("localhost", 514)},
    _CLOUDWATCH: {
        "log_group_name": "Chimera",
        "log_stream_name": "{hostname}/{time}-{pid}-{random}",
    },
}
_LAST_RESORT = Handler("logging.lastResort", level=logging.WARNING, ends="stderr")


def written(document: Document) -> Tree:
    """
    Return the tree that *document* makes in a process that did not log before.

    Raises:
        ConfigError: If a level is none, a name is not defined, or it changes levels
            only.
    """
    if document.content.get("incremental") is True:
        raise document.error(
            ("incremental",),
            "True: it changes the levels of what runs, and only the service can tell "
            "where its records go; call chimera_log.explain there",
        )
    return _Reader(document.having(_looked_up(document))).tree()


def _looked_up(document: Document) -> dict[str, Any]:
    """Return the content of *document* with what ``cfg://`` names in its place."""
    reader = logging.config.BaseConfigurator(document.copy())

    def read(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: read(inner) for key, inner in value.items()}
        if isinstance(value, (list, tuple)):
            return [read(inner) for inner in value]
        if isinstance(value, str) and value.startswith("cfg://"):
            # It leads nowhere, or to itself: that is told by check.
            with suppress(Exception):
                return reader.convert(value)
        return value

    content: dict[str, Any] = read(document.copy())
    return content


class _Reader:
    """Reads the parts of one *document*."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._parts = {
            section: {part.name: part for part in parts(document, section)}
            for section in ("formatters", "filters", "handlers")
        }

    def tree(self) -> Tree:
        """Return what it makes."""
        document = self._document
        loggers = {ROOT: Logger(level=logging.WARNING)}
        for part in parts(document, "loggers"):
            name = part.name or ROOT
            loggers[name] = self._logger(part, loggers.get(name, Logger()))
        root = document.content.get("root")
        if isinstance(root, dict):
            loggers[ROOT] = self._logger(Part(("root",), "", root), loggers[ROOT])
        return Tree(
            loggers,
            last_resort=_LAST_RESORT,
            silences=bool(document.content.get("disable_existing_loggers", True)),
        )

    def _logger(self, part: Part, before: Logger) -> Logger:
        """Return the logger of *part*, which was as *before*."""
        return Logger(
            level=self._level(part, before.level),
            propagate=bool(part.content.get("propagate", True)),
            filters=before.filters + self._filters(part),
            handlers=self._handlers(part.path, listed(part, "handlers"), ()),
        )

    def _level(self, part: Part, otherwise: int = 0) -> int:
        level = part.content.get("level")
        if level is None:
            return otherwise
        number = level
        if isinstance(level, str):
            constant = level.removeprefix("ext://logging.")
            number = logging.getLevelName(constant)
        if isinstance(number, bool) or not isinstance(number, int):
            hint = did_you_mean(str(level).upper(), LEVELS)
            raise self._document.error(
                (*part.path, "level"), f"{level!r} is no level; {hint}"
            )
        return number

    def _filters(self, part: Part) -> tuple[Filter, ...]:
        return tuple(
            _filter(self._known("filters", name, (*part.path, "filters")))
            for name in listed(part, "filters")
        )

    def _handlers(
        self, path: Path, names: list[str], outer: tuple[str, ...]
    ) -> tuple[Handler, ...]:
        """Return the handlers called *names*, without those that they are behind of."""
        return tuple(
            self._handler(self._known("handlers", name, (*path, "handlers")), outer)
            for name in names
            if name not in outer
        )

    def _known(self, section: str, name: str, path: Path) -> Part:
        known = self._parts[section]
        if name not in known:
            noun = section.removesuffix("s")
            hint = did_you_mean(name, known) if known else f"add it under {section}"
            raise self._document.error(path, f"no {noun} is called {name!r}; {hint}")
        return known[name]

    def _handler(self, part: Part, outer: tuple[str, ...]) -> Handler:
        kind = _class(part)
        option = _options(part, kind)
        names = self._behind(part, kind)
        behind = (
            None
            if names is None
            else self._handlers(part.path, names, (*outer, part.name))
        )
        if kind in {ends.MEMORY, ends.QUEUE}:
            place = ends.passage(kind, option, is_known=behind is not None)
        else:
            place = "" if behind == () else ends.end(kind, option)
        is_audit = part.is_ours and kind == _AUDIT
        return Handler(
            f"{part.name} ({kind})",
            level=self._level(part),
            filters=self._filters(part) + ((OWN,) if is_audit else ()),
            formatter=self._formatter(part) or ("JsonFormatter" if is_audit else ""),
            ends=place,
            behind=behind,
            asks_levels=bool(part.content.get("respect_handler_level")),
            note="its listener has to be started" if kind == ends.QUEUE else "",
        )

    def _behind(self, part: Part, kind: str) -> list[str] | None:
        """Return the handlers that get what *part* takes, if that can be told."""
        target = part.content.get("target")
        if kind == ends.NULL:
            return []
        if "()" in part.content:  # where dictConfig hands over names as they are
            return None
        if isinstance(target, str) and target in self._parts["handlers"]:
            return [target]
        if isinstance(part.content.get("handlers"), list):
            return listed(part, "handlers")
        return [] if kind in {ends.MEMORY, ends.QUEUE} else None

    def _formatter(self, part: Part) -> str:
        name = part.content.get("formatter")
        if not isinstance(name, str):
            return ""
        path = (*part.path, "formatter")
        return _class(self._known("formatters", name, path), "Formatter")


def _class(part: Part, default: str = "") -> str:
    """Return the last part of the name of what makes *part*."""
    factory = part.factory
    if factory is None:
        return default
    name = factory if isinstance(factory, str) else getattr(factory, "__name__", "")
    return str(name).rpartition(".")[2] or type(factory).__name__


def _filter(part: Part) -> Filter:
    factory = part.content.get("()")  # for a filter, dictConfig ignores `class`
    if factory is None or factory in ("logging.Filter", logging.Filter):
        prefix = part.content.get("name", "")
        return Filter(repr(prefix), prefix=str(prefix))
    return Filter(_class(part))


def _options(part: Part, kind: str) -> Any:
    """Return what returns an option of the handler *part*, expanded if it is ours."""
    defaults = _DEFAULTS.get(kind, {})

    def option(name: str) -> Any:
        found = part.content.get(name, defaults.get(name))
        if not part.is_ours or not isinstance(found, str):
            return found
        try:
            expanded = expand(name, found)
        except ConfigError:
            return found
        return os.path.expanduser(expanded) if name == "filename" else expanded  # noqa: PTH111

    return option
