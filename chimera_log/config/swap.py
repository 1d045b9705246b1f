"""
Put what was made in the place of what runs, in one step.

A record that is on its way meets the old handlers or the new, never none and never
both: each logger's list is exchanged as a whole, and an old handler that is still asked
hands its records to the new one of its name.  Only then are the old ones closed.

Of one thing that cannot be said: a record climbs from its logger to the root, and asks
each on the way.  Where a handler moves to another logger, or ``propagate`` changes, one
that is climbing may meet that handler twice, or not at all.  It comes twice sooner than
it is lost: loggers gain handlers first.
"""

from __future__ import annotations

import logging
import weakref
from contextlib import ExitStack, contextmanager, suppress
from typing import NamedTuple

from chimera_log.config import listeners
from chimera_log.config.building import NO_PARTS, Parts, attached, loggers

TYPE_CHECKING = False
if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from chimera_log.config.levels import Levels

# Whose handlers on the root a configuration replaces, as dictConfig does with all:
# what `logging.basicConfig`, an earlier configuration or AWS Lambda put there.  Those of
# test runners, tracers and error trackers stay.
_REPLACED = ("logging", "logging.handlers", "awslambdaric.bootstrap")
_OURS = "chimera_log."
# What is changed of a logger.
_STATE = ("level", "propagate", "handlers", "filters", "disabled")


class Running(NamedTuple):
    """What is configured now: parts, and loggers by name; the root's is empty."""

    parts: Parts
    loggers: dict[str, dict[str, Any]]


NOTHING = Running(NO_PARTS, {})


def swap(
    content: dict[str, Any],
    parts: Parts,
    before: Running,
    levels: Levels,
    *,
    again: bool = False,
) -> tuple[Running, list[logging.Handler]]:
    """
    Have loggers work as *content* says, with *parts*; all of it, or nothing.

    Args:
        content: A configuration that was found to be right.
        parts: What was made of it.
        before: What the last call returned.
        levels: Those that hold for a while go on.
        again: Whether the loggers that are not configured stay as they are, and what
            the program has given to the others since.  Else they are silenced or
            reset, as dictConfig has it for what is older than the configuration.

    Returns:
        What runs now, and the handlers that do not any more, to be closed.
    """
    now = Running(parts, _loggers_in(content))
    with _lock(), _all_or_nothing([*_things(parts), *_things(before.parts)], levels):
        had = attached()
        _exchange(now, before, levels, again=again)
        if not again:
            disable = content.get("disable_existing_loggers", True)
            _treat_existing(now, levels, disable=disable)
        levels.end_lasting()
        _rename(parts, before.parts)
        staying = {id(each) for each in [*attached(), *_things(parts)]}
        going = {
            id(each): each
            for each in [*had, *_things(before.parts)]
            if id(each) not in staying
        }
    for name, made in before.parts.handlers.items():
        if name in parts.handlers and id(made.thing) in going:
            _succeed(made.thing, parts.handlers[name].thing, name)
    return now, list(going.values())


def close(handlers: Iterable[logging.Handler]) -> None:
    """Close *handlers*, the newest first: it may hand its records to an older one."""
    known: list[Any] = vars(logging)["_handlerList"][:]
    order = {id(reference()): place for place, reference in enumerate(known)}
    with ExitStack() as stack:  # each of them, even if a Ctrl-C ends one that waits
        for handler in sorted(handlers, key=lambda each: order.get(id(each), 0)):
            stack.callback(_close, handler)


def _close(handler: logging.Handler) -> None:
    listeners.stop(handler)
    with suppress(Exception):  # a foreign handler's
        if not type(handler).__module__.startswith(_OURS):  # they do it themselves
            handler.flush()
    with suppress(Exception):
        handler.close()


def _loggers_in(content: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what *content* says of loggers, by name; the root's is empty."""
    found = {name: part or {} for name, part in (content.get("loggers") or {}).items()}
    root = found.pop("root", {})  # another way to write it, since Python 3.9
    root = {**root, **(content.get("root") or {})}
    return {**found, "": root} if root else found


@contextmanager
def _all_or_nothing(
    handlers: Iterable[logging.Handler], levels: Levels
) -> Iterator[None]:
    """Have loggers, *levels* and the names of *handlers* as they were if it fails."""
    overrides = dict(levels.overrides)
    states = [(each, vars(each).copy()) for each in loggers()]
    named = [(each, each.name) for each in handlers]
    names: dict[str, logging.Handler] = vars(logging)["_handlers"]
    known = dict(names)
    try:
        yield
    except BaseException:  # a foreign class's, or a signal handler's
        for logger, state in states:
            vars(logger).update({key: state[key] for key in _STATE if key in state})
        for handler, name in named:
            vars(handler)["_name"] = name
        names.clear()
        names.update(known)
        levels.restore(overrides)
        # That of the class: it forgets which levels are enabled.
        logging.Logger.setLevel(logging.getLogger(), logging.getLogger().level)
        raise


def _succeed(old: logging.Handler, heir: logging.Handler, name: str) -> None:
    """Have *heir* take over what still comes to *old*."""
    if type(heir).__module__.startswith(_OURS) and hasattr(heir, "succeed"):
        heir.succeed(old)
    # A thread may have taken the old list a moment ago, or wait for its lock.
    for method in ("handle", "emit"):
        vars(old)[method] = _heir_of(old, name, method)
    listeners.hand_over(old, heir)


def _lock() -> contextlib.AbstractContextManager[object]:
    """Return logging's own lock, which dictConfig holds while it works."""
    # Private, but its public functions went with Python 3.13.
    lock: contextlib.AbstractContextManager[object] = vars(logging)["_lock"]
    return lock


def _exchange(now: Running, before: Running, levels: Levels, *, again: bool) -> None:
    """Exchange what the loggers have; first where handlers come, then where they go."""
    if "" not in now.loggers and "" in before.loggers:
        now.loggers[""] = {}

    def loses(name: str) -> bool:
        given = now.loggers[name].get("handlers") or ()
        return not set(before.loggers.get(name, {}).get("handlers") or ()) <= set(given)

    for name in sorted(now.loggers, key=loses):
        _configure(name, now, before, levels, keep=again or not name)
    for name in before.loggers:
        if name not in now.loggers:
            logger = logging.getLogger(name)
            kept = _foreign(logger, now, before) if again else []
            _reset(logger, levels, kept)
            logger.filters = _others_filters(logger, before)


def _treat_existing(now: Running, levels: Levels, *, disable: bool) -> None:
    """Reset or silence loggers that were there before the configuration."""
    begins = tuple(f"{name}." for name in now.loggers if name)
    for logger in loggers()[1:]:
        if logger.name in now.loggers:
            continue
        if logger.name.startswith(begins):
            _reset(logger, levels, [])
        else:
            logger.disabled = disable


def _reset(
    logger: logging.Logger, levels: Levels, handlers: list[logging.Handler]
) -> None:
    levels.configure(logger.name, logging.NOTSET)
    logger.propagate = True  # before its handlers go
    logger.handlers = handlers


def _configure(
    name: str, now: Running, before: Running, levels: Levels, *, keep: bool
) -> None:
    """Have logger *name* be as it is configured now; *keep* handlers of others."""
    part, old = now.loggers[name], before.loggers.get(name, {})
    logger = logging.getLogger(name or None)
    filters = part.get("filters") or ()
    handlers = [now.parts.handlers[each].thing for each in part.get("handlers") or ()]
    kept = _foreign(logger, now, before) if keep else []
    level, propagate = part.get("level"), part.get("propagate")
    if level is None and old.get("level") is not None:
        level = logging.NOTSET if name else logging.WARNING
    if propagate is None and old.get("propagate") is not None:
        propagate = True
    if level is not None:
        levels.configure(name, level)
    if propagate and name:
        logger.propagate = propagate  # before handlers go
    others = _others_filters(logger, before)
    logger.filters = [*others, *(_filter(each, now.parts) for each in filters)]
    logger.handlers = [*kept, *(each for each in handlers if each not in kept)]
    if propagate is not None and name:
        logger.propagate = propagate  # after handlers came
    logger.disabled = False


def _filter(given: Any, parts: Parts) -> Any:
    # Since Python 3.11 a program may give a filter itself.
    return parts.filters[given].thing if isinstance(given, str) else given


def _others_filters(logger: logging.Logger, before: Running) -> list[Any]:
    """Return the filters that no configuration gave to *logger*."""
    given = before.loggers.get("" if logger.parent is None else logger.name, {})
    ours = [_filter(each, before.parts) for each in given.get("filters") or ()]
    return [each for each in logger.filters if not any(each is one for one in ours)]


def _foreign(
    logger: logging.Logger, now: Running, before: Running
) -> list[logging.Handler]:
    """Return the handlers of *logger* that others gave to it."""
    return [each for each in logger.handlers if not _is_replaced(each, now, before)]


def _is_replaced(handler: logging.Handler, now: Running, before: Running) -> bool:
    module = type(handler).__module__
    return (
        module in _REPLACED
        or module.startswith(_OURS)
        or handler.name in now.parts.handlers
        or any(handler is each for each in _things(before.parts))
    )


def _heir_of(
    old: logging.Handler, name: str, method: str
) -> Callable[[logging.LogRecord], Any]:
    """Return what hands a record to the handler that is called *name* by then."""
    itself = weakref.ref(old)

    def handle(record: logging.LogRecord) -> Any:
        heir: Any = vars(logging)["_handlers"].get(name)
        old = itself()
        if heir is None or heir is old:  # a file is opened again
            return getattr(type(old), method)(old, record)
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
