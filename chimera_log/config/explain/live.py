"""
The tree of the logging that runs.  It is looked at, never touched.
"""

from __future__ import annotations

import logging
import logging.handlers

from chimera_log.audit import AuditFileHandler
from chimera_log.audit.chain import OURS
from chimera_log.config.explain import ends
from chimera_log.config.explain.model import ROOT, Filter, Handler, Logger, Tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

OWN = Filter("that an audit trail has against its own checkpoints", refused=OURS)


def running() -> Tree:
    """Return the tree of this process, as it is now."""
    root = logging.getLogger()
    made = dict(root.manager.loggerDict)  # other threads add to it
    loggers = {
        name: _logger(each)
        for name, each in made.items()
        if isinstance(each, logging.Logger)
    }
    last = logging.lastResort
    return Tree(
        {**loggers, ROOT: _logger(root)},
        disable=root.manager.disable,
        last_resort=_handler(last, frozenset())._replace(text="logging.lastResort")
        if last
        else None,
    )


def _logger(logger: logging.Logger) -> Logger:
    return Logger(
        level=logger.level,
        propagate=bool(logger.propagate),
        disabled=bool(logger.disabled),
        filters=_filters(logger.filters),
        handlers=_handlers(logger.handlers, frozenset()),
    )


def _filters(filters: Iterable[Any]) -> tuple[Filter, ...]:
    return tuple(map(_filter, list(filters)))


def _filter(given: Any) -> Filter:
    if getattr(type(given), "filter", None) is logging.Filter.filter:
        return Filter(repr(given.name), prefix=given.name)
    kind = getattr(given, "__qualname__", None) or type(given).__qualname__
    return Filter(str(kind).rpartition(".")[2])


def _handlers(
    handlers: Iterable[logging.Handler], outer: frozenset[int]
) -> tuple[Handler, ...]:
    """Return *handlers*, without those that they are themselves behind of."""
    return tuple(
        _handler(each, outer) for each in list(handlers) if id(each) not in outer
    )


def _handler(handler: logging.Handler, outer: frozenset[int]) -> Handler:
    kind, name = type(handler).__name__, handler.get_name()

    def option(key: str) -> Any:
        return getattr(handler, "baseFilename" if key == "filename" else key, None)

    inner, asks_levels, note = _behind(handler)
    behind = None if inner is None else _handlers(inner, outer | {id(handler)})
    if isinstance(handler, logging.handlers.QueueHandler):
        place = ends.passage(ends.QUEUE, option, is_known=behind is not None)
    elif isinstance(handler, logging.handlers.MemoryHandler):
        place = ends.passage(ends.MEMORY, option, is_known=True)
    else:
        place = "" if behind == () else ends.end(kind, option)
    own = (OWN,) if isinstance(handler, AuditFileHandler) else ()
    return Handler(
        f"{name} ({kind})" if name else kind,
        level=handler.level,
        filters=_filters(handler.filters) + own,
        formatter=type(handler.formatter).__name__ if handler.formatter else "",
        ends=place,
        behind=behind,
        asks_levels=asks_levels,
        note=note,
    )


def _behind(
    handler: logging.Handler,
) -> tuple[Iterable[logging.Handler] | None, bool, str]:
    """Return who gets what *handler* takes, if that can be told; and how."""
    if isinstance(handler, logging.NullHandler):
        return (), False, ""
    if isinstance(handler, logging.handlers.MemoryHandler):
        target = handler.target
        return (target,) if target else (), False, ""
    # Since Python 3.12 dictConfig leaves it there.
    listener = getattr(handler, "listener", None)
    if not isinstance(listener, logging.handlers.QueueListener):
        return None, False, ""
    is_stopped = getattr(listener, "_thread", None) is None
    note = "nobody reads the queue; call listener.start()" if is_stopped else ""
    return listener.handlers, bool(listener.respect_handler_level), note
