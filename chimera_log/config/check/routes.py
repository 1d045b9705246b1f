"""
Follow the records of each logger to the handlers that get them.

Whoever lists a handler in two places gets each record twice, and whoever lists it
in none gets nothing; dictConfig accepts both.
"""

from __future__ import annotations

import logging
from typing import NamedTuple

from chimera_log.config.check import outputs
from chimera_log.config.check.parts import Part, loggers, parts
from chimera_log.config.findings import WARNING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from chimera_log.config.document import Document
    from chimera_log.config.findings import Finding, Path

_ROOT_NAMES = ("", "root")  # how `logging.getLogger` knows the root
_PASSES_ON = ("target", "targets", "handlers")  # options that name other handlers
_NAMES_NO_HANDLER = frozenset({"()", "class", "formatter", "filters", "level"})


class Listed(NamedTuple):
    """A name in a list, and where it is written."""

    path: Path
    name: str


def findings(document: Document) -> Iterator[Finding]:
    """Yield where records of *document* go twice, or nowhere."""
    if document.content.get("incremental"):  # which attaches nothing
        return
    yield from _twice(document)
    yield from _nowhere(document)


def items(part: Part, key: str) -> Iterator[Listed]:
    """Yield the names that *part* lists under *key*, and where each is written."""
    names = part.content.get(key)
    if isinstance(names, (list, tuple)):
        for index, name in enumerate(names):
            if isinstance(name, str):
                yield Listed((*part.path, key, index), name)


def level_of(part: Part) -> int:
    """Return the level of a logger or handler; 0 if none that is known is written."""
    level = part.content.get("level")
    known = logging.getLevelName(level) if isinstance(level, str) else level
    return known if isinstance(known, int) else 0


class Routes:
    """Where the records of each logger of *document* go."""

    def __init__(self, document: Document) -> None:
        self.loggers: dict[str, Part] = {}
        for part in loggers(document):  # the section `root` first, which wins
            name = "" if part.name in _ROOT_NAMES else part.name
            self.loggers.setdefault(name, part)

    def level(self, name: str) -> tuple[int, Path]:
        """Return from which level on logger *name* logs, and what decides that."""
        for part in self._upwards(name):
            if level := level_of(part):
                return level, (*part.path, "level")
        return logging.WARNING, ("root", "level")

    def reached(self, name: str) -> Iterator[Listed]:
        """Yield what lists a handler that gets the records of logger *name*."""
        for part in self._upwards(name):
            yield from items(part, "handlers")
            if not propagates(part):
                return

    def above(self, name: str) -> Iterator[Listed]:
        """Yield the same for the records that *name* hands to its parents."""
        if name and propagates(self.loggers[name]):
            yield from self.reached(name.rpartition(".")[0])

    def _upwards(self, name: str) -> Iterator[Part]:
        """Yield the loggers from *name* to the root, those that are written."""
        while True:
            if name in self.loggers:
                yield self.loggers[name]
            if not name:
                return
            name = name.rpartition(".")[0]


def propagates(logger: Part) -> bool:
    """Whether *logger* hands its records to its parent."""
    written = logger.content.get("propagate")
    return written is None or bool(written)


def targets(handler: Part) -> list[str]:
    """Return the handlers that *handler* hands its records to, by name."""
    found: list[Any] = []
    for option in _PASSES_ON:
        value = handler.content.get(option)
        found += value if isinstance(value, (list, tuple)) else [value]
    return [
        each.removeprefix("cfg://handlers.") for each in found if isinstance(each, str)
    ]


def _twice(document: Document) -> Iterator[Finding]:
    routes = Routes(document)
    handed_on = {each.name: targets(each) for each in parts(document, "handlers")}
    for name, logger in routes.loggers.items():
        above = {each.name: each.path for each in routes.above(name)}
        for path, handler in items(logger, "handlers"):
            if handler in above:
                where = above[handler][:-2]
                parent = "the root" if where[-1] in _ROOT_NAMES else repr(where[-1])
                yield document.finding(
                    path,
                    f"handler {handler!r} is also on {parent}, and writes each "
                    "record twice; remove it here, or write `propagate: false`",
                    severity=WARNING,
                )
        reached = {each.name: each.path for each in routes.reached(name)}
        for handler, path in reached.items():
            for other in reached:
                if other != handler and handler in handed_on.get(other, ()):
                    yield document.finding(
                        path,
                        f"handler {handler!r} also gets each record from handler "
                        f"{other!r}, and writes it twice; remove it here",
                        severity=WARNING,
                    )


def _nowhere(document: Document) -> Iterator[Finding]:
    named = set(_named(document))
    if "cfg://handlers" in named:  # whoever has all may use all
        return
    if _is_garbled(document):  # nobody knows what was meant there
        return
    for handler in parts(document, "handlers"):
        # Where it is unattached, a switch or a program attaches it.
        is_switched_on_later = outputs.maker(handler) == outputs.CLOUDWATCH
        if handler.name not in named and not is_switched_on_later:
            yield document.finding(
                handler.path,
                "no logger and no handler lists it, so it gets no record; list it "
                "under root.handlers, or remove it",
                severity=WARNING,
                at_key=True,
            )


def _is_garbled(document: Document) -> bool:
    """Whether a logger's list of handlers is none, or names one that is not there."""
    known = {each.name for each in parts(document, "handlers")}
    return any(
        not isinstance(listed, (list, tuple))
        or any(not isinstance(each, str) or each not in known for each in listed)
        for each in loggers(document)
        if (listed := each.content.get("handlers")) is not None
    )


def _named(document: Document) -> Iterator[str]:
    """Yield what may be the name of a handler that gets records, or ``cfg://handlers``."""
    for logger in loggers(document):
        yield from (each.name for each in items(logger, "handlers"))
    for section in ("formatters", "filters", "handlers"):
        for part in parts(document, section):
            options = part.content.items()
            for text in _texts(
                [value for key, value in options if key not in _NAMES_NO_HANDLER]
            ):
                is_looked_up = text.startswith("cfg://handlers.")
                yield text.split(".")[1] if is_looked_up else text


def _texts(values: list[Any]) -> Iterator[str]:
    """Yield each text in *values* and below."""
    known: set[int] = set()  # a program's containers may contain themselves
    for value in values:  # grows while it is walked
        if isinstance(value, str):
            yield value
        elif isinstance(value, (dict, list, tuple)) and id(value) not in known:
            known.add(id(value))
            values += value.values() if isinstance(value, dict) else value
