"""
Put what was made in the place of what runs, in one step.

A record that is on its way meets the old handlers or the new, never none and never
both: each logger's list is exchanged as a whole, and an old handler that is still asked
hands its records to the new one of its name.  Only then are the old ones closed.
"""

from __future__ import annotations

import logging
import weakref
from contextlib import suppress
from typing import NamedTuple

from chimera_log.config.building import NO_PARTS, Parts

TYPE_CHECKING = False
if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable, Iterable
    from typing import Any

# Whose handlers on the root a configuration replaces, as dictConfig does with all:
# what `logging.basicConfig`, an earlier configuration or AWS Lambda put there.  Those of
# test runners, tracers and error trackers stay.
_REPLACED = ("logging", "logging.handlers", "awslambdaric.bootstrap")
_OURS = "chimera_log."


class Running(NamedTuple):
    """What is configured now: parts, and loggers by name; the root's is empty."""

    parts: Parts
    loggers: dict[str, dict[str, Any]]


NOTHING = Running(NO_PARTS, {})


def swap(
    content: dict[str, Any], parts: Parts, before: Running, *, again: bool = False
) -> Running:
    """
    Have loggers work as *content* says, with *parts*, and close what is not used.

    Args:
        content: A configuration that was found to be right.
        parts: What was made of it.
        before: What the last call returned.
        again: Whether the loggers that are not configured stay as they are.  Else they
            are silenced or reset, as dictConfig has it for what is older than the
            configuration; what was made since is not.

    Returns:
        What runs now.
    """
    loggers = dict(content.get("loggers") or {})
    if content.get("root"):
        loggers[""] = content["root"]
    now = Running(parts, loggers)
    with _lock():
        attached = _attached()
        _exchange(now, before)
        if not again:
            _treat_existing(now, disable=content.get("disable_existing_loggers", True))
        _rename(parts, before.parts)
        staying = {id(each) for each in [*_attached(), *_things(parts)]}
        going = {
            id(each): each
            for each in [*attached, *_things(before.parts)]
            if id(each) not in staying
        }
    for name, made in before.parts.handlers.items():
        if name in parts.handlers and id(made.thing) in going:
            heir = parts.handlers[name].thing
            if hasattr(heir, "succeed"):
                heir.succeed(made.thing)
            # A thread may have taken the old list a moment ago, or wait for its lock.
            for method in ("handle", "emit"):
                vars(made.thing)[method] = _heir_of(made.thing, name, method)
    # Not under that lock, which a handler's own thread might want before it ends.
    _close(going.values())
    return now


def _lock() -> contextlib.AbstractContextManager[object]:
    """Return logging's own lock, which dictConfig holds while it works."""
    # Private, but its public functions went with Python 3.13.
    lock: contextlib.AbstractContextManager[object] = vars(logging)["_lock"]
    return lock


def _exchange(now: Running, before: Running) -> None:
    """Exchange what the loggers have; first where handlers come, then where they go."""
    if "" not in now.loggers and "" in before.loggers:
        now.loggers[""] = {}

    def loses(name: str) -> bool:
        given = now.loggers[name].get("handlers") or ()
        return not set(before.loggers.get(name, {}).get("handlers") or ()) <= set(given)

    for name in sorted(now.loggers, key=loses):
        _configure(name, now, before)
    for name in before.loggers:
        if name not in now.loggers:
            _reset(logging.getLogger(name))
            logging.getLogger(name).filters = []


def _treat_existing(now: Running, *, disable: bool) -> None:
    """Reset or silence loggers that were there before the configuration."""
    begins = tuple(f"{name}." for name in now.loggers if name)
    known = logging.Logger.manager.loggerDict
    for name, logger in list(known.items()):
        if name in now.loggers or not isinstance(logger, logging.Logger):
            continue
        if name.startswith(begins):
            _reset(logger)
        else:
            logger.disabled = disable


def _reset(logger: logging.Logger) -> None:
    logger.setLevel(logging.NOTSET)
    logger.handlers, logger.propagate = [], True


def _configure(name: str, now: Running, before: Running) -> None:
    """Have logger *name* be as it is configured now."""
    part, old = now.loggers[name], before.loggers.get(name, {})
    logger = logging.getLogger(name or None)
    filters = part.get("filters") or ()
    handlers = [now.parts.handlers[each].thing for each in part.get("handlers") or ()]
    if not name:
        kept = [each for each in logger.handlers if not _is_replaced(each, now, before)]
        handlers = kept + handlers
    level, propagate = part.get("level"), part.get("propagate")
    if level is None and old.get("level") is not None:
        level = logging.NOTSET if name else logging.WARNING
    if propagate is None and old.get("propagate") is not None:
        propagate = True
    if level is not None:
        logger.setLevel(level)
    if propagate is not None and name:
        logger.propagate = propagate
    logger.filters = [_filter(each, now.parts) for each in filters]
    logger.handlers = handlers
    logger.disabled = False


def _filter(given: Any, parts: Parts) -> Any:
    # Since Python 3.11 a program may give a filter itself.
    return parts.filters[given].thing if isinstance(given, str) else given


def _is_replaced(handler: logging.Handler, now: Running, before: Running) -> bool:
    module = type(handler).__module__
    return (
        module in _REPLACED
        or module.startswith(_OURS)
        or handler.name in now.parts.handlers
        or any(handler is each for each in _things(before.parts))
    )


def _attached() -> list[logging.Handler]:
    """Return the handlers that loggers have."""
    manager = logging.Logger.manager
    loggers = [logging.getLogger(), *manager.loggerDict.values()]
    return [
        handler
        for logger in loggers
        if isinstance(logger, logging.Logger)
        for handler in logger.handlers
    ]


def _heir_of(
    old: logging.Handler, name: str, method: str
) -> Callable[[logging.LogRecord], Any]:
    """Return what hands a record to the handler that is called *name* by then."""
    itself = weakref.ref(old)

    def handle(record: logging.LogRecord) -> Any:
        heir: Any = vars(logging)["_handlers"].get(name)
        if heir is None:  # there is none any more: this one opens its file again
            heir = itself()
            return getattr(type(heir), method)(heir, record)
        return heir.handle(record)

    return handle


def _things(parts: Parts) -> list[logging.Handler]:
    return [made.thing for made in parts.handlers.values()]


def _rename(parts: Parts, before: Parts) -> None:
    """Let the names mean the new handlers, for `logging.getHandlerByName`."""
    for name, made in before.handlers.items():
        if parts.handlers.get(name) is not made:
            made.thing.set_name(None)
    for name, made in parts.handlers.items():
        made.thing.set_name(name)


def _close(handlers: Iterable[logging.Handler]) -> None:
    """Close *handlers*, the newest first: it may hand its records to an older one."""
    known: list[Any] = vars(logging)["_handlerList"][:]
    order = {id(reference()): place for place, reference in enumerate(known)}
    for handler in sorted(handlers, key=lambda each: -order.get(id(each), 0)):
        with suppress(Exception):  # a foreign handler's
            if not type(handler).__module__.startswith(_OURS):  # they do it themselves
                handler.flush()
        with suppress(Exception):
            handler.close()
