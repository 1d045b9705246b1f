"""
Look for what keeps records out of an audit trail, or too many in.

`log_execution_attempt` logs at INFO to the logger ``executions``.
"""

from __future__ import annotations

import logging

from chimera_log.config.check import outputs
from chimera_log.config.check.parts import listed, parts
from chimera_log.config.check.routes import Routes, level_of
from chimera_log.config.findings import WARNING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from chimera_log.config.check.parts import Part
    from chimera_log.config.document import Document
    from chimera_log.config.findings import Finding

_LOGGER = "executions"
_EVENT = "execution_attempt"
_FLOOR_DAYS = 1096  # three years, of which one is a leap year


def findings(document: Document) -> Iterator[Finding]:
    """Yield where the trails of *document* would miss records, or lose them."""
    if document.content.get("incremental"):
        return
    routes = Routes(document)
    filters = {
        each.name: each
        for each in parts(document, "filters")
        if outputs.maker(each) == outputs.AUDIT_FILTER
    }
    for handler in parts(document, "handlers"):
        own = [filters[name] for name in listed(handler, "filters") if name in filters]
        is_trail = outputs.maker(handler) == outputs.AUDIT
        if is_trail or own:
            yield from _levels(document, handler)
        if (is_trail or own) and all(map(_takes_attempts, own)):
            yield from _missed(document, routes, handler)
        if is_trail:
            yield from _all_records(document, routes, handler)
            yield from _short_floor(document, handler)


def _levels(document: Document, handler: Part) -> Iterator[Finding]:
    if level_of(handler) > logging.INFO:
        yield document.finding(
            (*handler.path, "level"),
            f"{_level(level_of(handler))} keeps execution records, which are INFO, out "
            "of the trail; remove it, or write INFO",
            severity=WARNING,
        )


def _missed(document: Document, routes: Routes, handler: Part) -> Iterator[Finding]:
    """Yield why the records of the logger ``executions`` do not come to *handler*."""
    on = [
        name
        for name, logger in routes.loggers.items()
        if handler.name in listed(logger, "handlers")
    ]
    if not {"", _LOGGER}.intersection(on):  # of another logger's records, or of none
        return
    level, path = routes.level(_LOGGER)
    if level > logging.INFO:
        yield document.finding(
            path,
            f"execution records are INFO, and {_level(level)} keeps them out of the "
            f"trail {handler.name!r}; add `{_LOGGER}: {{level: INFO}}` under loggers",
            severity=WARNING,
        )
    if handler.name not in {each.name for each in routes.reached(_LOGGER)}:
        logger = routes.loggers[_LOGGER]
        yield document.finding(
            (*logger.path, "propagate"),
            f"keeps execution records from the root, where the trail {handler.name!r} "
            f"is; add {handler.name!r} to the handlers of {_LOGGER!r}, or remove this",
            severity=WARNING,
        )


def _level(level: int) -> str:
    return logging.getLevelName(level)


def _takes_attempts(audit_filter: Part) -> bool:
    events = audit_filter.content.get("events", [_EVENT])
    return not isinstance(events, (list, tuple)) or _EVENT in events


def _all_records(
    document: Document, routes: Routes, handler: Part
) -> Iterator[Finding]:
    root = routes.loggers.get("")
    if (
        root is not None
        and handler.name in listed(root, "handlers")
        and not handler.content.get("filters")
    ):
        yield document.finding(
            handler.path,
            "keeps every record of the service for years, not executions alone; give "
            "it a chimera_log.ExecutionAuditFilter under filters",
            severity=WARNING,
            at_key=True,
        )


def _short_floor(document: Document, handler: Part) -> Iterator[Finding]:
    days = outputs.count(handler, "retention_floor_days", _FLOOR_DAYS)
    if days is not None and days < _FLOOR_DAYS:
        yield document.finding(
            (*handler.path, "retention_floor_days"),
            f"{days} days let `chimera-log prune` delete evidence that is younger than "
            f"three years; write {_FLOOR_DAYS}, unless no rule asks for so long",
            severity=WARNING,
        )
