"""
Make the parts of a configuration, attached to nobody yet.

`logging.config.dictConfig` closes the running handlers before it knows that their
successors can be made, and leaves a service half deaf when one cannot.  Here everything
is made aside.  What is as it was is used again: a file stays open, a connection lives
on, a filter remembers what it counted.
"""

from __future__ import annotations

import logging
import logging.config
import logging.handlers
import os
import sys
from contextlib import suppress
from typing import NamedTuple

from chimera_log.options import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from chimera_log.config.document import Document

_SECTIONS = ("formatters", "filters", "handlers")
_REFERENCES = ("target", "handlers", "listener", "queue")  # a handler's, to other parts
# Stdlib's, which open their files when they are made, some to empty them.
_OPENING = (
    logging.FileHandler,
    logging.handlers.RotatingFileHandler,
    logging.handlers.TimedRotatingFileHandler,
)


class Made(NamedTuple):
    """A formatter, filter or handler, and what it was made of."""

    thing: Any
    recipe: Any


class Parts(NamedTuple):
    """The formatters, filters and handlers of a configuration, by their names."""

    formatters: dict[str, Made]
    filters: dict[str, Made]
    handlers: dict[str, Made]  # in the order in which they were made


NO_PARTS = Parts({}, {}, {})


def build(document: Document, running: Parts = NO_PARTS) -> Parts:
    """
    Return the parts of *document*, those of *running* where they are the same.

    Args:
        document: Checked so far that sections and their parts are mappings.
        running: What was made before, and still runs.

    Raises:
        ConfigError: If one cannot be made; those that were are closed again.
    """
    site = _Site(document, running)
    names = _names_of(running)
    try:
        return site.build()
    except BaseException:
        discard(site.parts, running)
        raise
    finally:
        _names().update(names)  # a handler that names itself took one


def discard(parts: Parts, running: Parts) -> None:
    """
    Close the handlers of *parts* that nobody uses.

    A function that makes handlers may return one that is at work.
    """
    names = _names_of(running)
    used = {id(made.thing) for made in running.handlers.values()}
    used |= {id(handler) for handler in attached()}
    for made in reversed(parts.handlers.values()):
        if id(made.thing) not in used:
            with suppress(Exception):  # a foreign handler's
                made.thing.close()
    _names().update(names)


def attached() -> list[logging.Handler]:
    """Return the handlers that loggers have."""
    return [handler for logger in loggers() for handler in logger.handlers]


def loggers() -> list[logging.Logger]:
    """Return all loggers there are, the root first."""
    known = list(logging.Logger.manager.loggerDict.values())
    found = [each for each in known if isinstance(each, logging.Logger)]
    return [logging.getLogger(), *found]


def _names() -> dict[str | None, logging.Handler]:
    # Private, but there is no other way before Python 3.12.
    names: dict[str | None, logging.Handler] = vars(logging)["_handlers"]
    return names


def _names_of(running: Parts) -> dict[str | None, logging.Handler]:
    """Return the handlers that run, by their names; but for those that others closed."""
    things = [made.thing for made in running.handlers.values()]
    return {
        each.name: each
        for each in things
        if isinstance(each, logging.Handler) and _names().get(each.name) is each
    }


class _Site:
    """Where the parts of one configuration are made."""

    def __init__(self, document: Document, running: Parts) -> None:
        content = {**document.content}
        for section in _SECTIONS:
            # Copied, since the configurator takes options out of them.
            found = content.get(section) or {}
            content[section] = {name: dict(part) for name, part in found.items()}
        self._document = document
        self._content = content
        self._running = running
        self._trial: Any = logging.config.DictConfigurator(
            {
                name: {key: dict(part) for key, part in value.items()}
                if name in _SECTIONS
                else value
                for name, value in content.items()
            }
        )
        self._alive = {id(thing) for thing in _names_of(running).values()}
        self.parts = Parts({}, {}, {})
        self._opening: list[tuple[str, logging.FileHandler]] = []

    def build(self) -> Parts:
        """Make everything, in dictConfig's order."""
        for name in self._content["formatters"]:
            self._make(self._trial.configure_formatter, "formatters", name)
        for name in self._content["filters"]:
            self._make(self._trial.configure_filter, "filters", name)
        # A handler that names another one may have to wait for it.
        names = sorted(self._content["handlers"])
        waiting = [name for name in names if not self._is_made(name)]
        for name in waiting:
            self._make(self._trial.configure_handler, "handlers", name)
        for name, handler in self._opening:
            self._open(name, handler)
        return self.parts

    def _is_made(self, name: str) -> bool:
        """Make handler *name*, unless it has to wait for another one."""
        try:
            self._make(self._trial.configure_handler, "handlers", name)
        except _NotYetError:
            return False
        return True

    def _make(self, make: Callable[[Any], Any], section: str, name: str) -> None:
        known: Made | None = getattr(self._running, section).get(name)
        parts: dict[str, Made] = getattr(self.parts, section)
        trial = self._trial.config[section]
        try:
            recipe = self._recipe(section, name)
            if (
                known is not None
                and known.recipe == recipe
                and self._lives(section, name, known.thing)
            ):
                parts[name] = known
            else:
                is_late = section == "handlers" and self._opens_a_file(trial[name])
                if is_late:
                    trial[name]["delay"] = True
                parts[name] = Made(make(trial[name]), recipe)
                if is_late:
                    self._opening.append((name, parts[name].thing))
        except Exception as error:
            raise self._explained((section, name), error) from error
        trial[name] = parts[name].thing

    def _lives(self, section: str, name: str, thing: object) -> bool:
        """Whether nobody closed *thing*, if it is a handler, or one that it names."""
        if section != "handlers" or not isinstance(thing, logging.Handler):
            return True
        if any(key in self._content[section][name] for key in _REFERENCES):
            return len(self._alive) == len(self._running.handlers)
        return id(thing) in self._alive

    def _recipe(self, section: str, name: str) -> Any:
        """Return what decides how a part behaves, to be compared."""
        part = self._content[section][name]
        ingredients = [section, self._comparable(part)]
        if section == "handlers":
            ingredients += [_here(), *self._surroundings(part)]
            formatter = self.parts.formatters.get(part.get("formatter"))
            ingredients.append(formatter and formatter.recipe)
            ingredients += [
                self.parts.filters[each].recipe
                for each in part.get("filters") or ()
                if isinstance(each, str)
            ]
            if any(key in part for key in _REFERENCES):
                ingredients.append(self._everything())
        return ingredients

    def _surroundings(self, part: dict[str, Any]) -> Iterator[Any]:
        """Yield what a handler takes from the process when it is made."""
        if "stream" not in part:
            kind = self._kind(part, "class") or self._kind(part, "()")
            if isinstance(kind, type) and issubclass(kind, logging.StreamHandler):
                yield _Same(sys.stderr)
        if isinstance(part.get("key_env"), str):
            # Not the secret itself, which need not be here as well.
            yield hash(os.environ.get(part["key_env"]))

    def _kind(self, part: dict[str, Any], key: str) -> Any:
        named = part.get(key)
        return self._trial.resolve(named) if isinstance(named, str) else named

    def _everything(self) -> Any:
        return [self._comparable(self._content[section]) for section in _SECTIONS]

    def _comparable(self, value: Any) -> Any:
        if isinstance(value, dict):
            return [(key, self._comparable(inner)) for key, inner in value.items()]
        if isinstance(value, (list, tuple)):
            return [self._comparable(inner) for inner in value]
        if isinstance(value, str) and value.startswith("ext://"):
            return (value, _Same(self._trial.convert(value)))
        if isinstance(value, str) and value.startswith("cfg://"):
            return (value, _Same(object()))  # what it names may be anything: made anew
        if value is None or isinstance(value, (str, int, float)):
            return (type(value), value)
        return _Same(value)

    def _opens_a_file(self, part: dict[str, Any]) -> bool:
        """Whether making *part* would open a file, and that can be done later."""
        return self._kind(part, "class") in _OPENING and not part.get("delay")

    def _open(self, name: str, handler: logging.FileHandler) -> None:
        try:
            handler.stream = handler._open()
        except Exception as error:
            raise self._explained(("handlers", name), error) from error

    def _explained(self, path: tuple[str, str], error: Exception) -> ConfigError:
        """Return *error*, raised while making the part at *path*, in our words."""
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        if isinstance(cause, ConfigError):  # ours: "option: what; what to do"
            option, _, what = str(cause).partition(": ")
            return self._document.error((*path, *option.split(".")), what)
        words = " ".join(
            (str(error) if cause is error else f"{error}: {cause}").split()
        )
        described = (
            f"cannot be built: {type(cause).__name__}: {words}; see its documentation"
        )
        located = self._document.error(path, described)
        return _NotYetError(located) if " not configured yet" in str(cause) else located


class _NotYetError(ConfigError):
    """A handler names another one that is not made yet."""


class _Same:
    """Equal to what holds the very same object."""

    def __init__(self, thing: object) -> None:
        self._thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other._thing is self._thing

    def __hash__(self) -> int:
        return id(self._thing)


def _here() -> str | None:
    """Return the directory that relative paths begin at."""
    try:
        return os.getcwd()  # noqa: PTH109  as text, to compare
    except OSError:
        return None
