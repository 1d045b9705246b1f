"""
Loggers and handlers as a plain tree, and what becomes of a record in it.

It decides as `logging` does: the logger that is called is asked for its level and its
filters, those above it for their handlers only.
"""

from __future__ import annotations

import logging
from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ROOT = "root"
YES, MAYBE, NO = "yes", "maybe", "no"
_WORST_FIRST = (NO, MAYBE, YES)


class Filter(NamedTuple):
    """What may keep a record back; *text* is what people call it."""

    text: str
    prefix: str | None = None  # takes this logger and those below; else it depends
    refused: str | None = None  # takes all but this logger

    def answer(self, logger: str) -> str:
        """Return whether records of *logger* pass."""
        if self.refused is not None:
            return NO if logger == self.refused else YES
        if self.prefix is None:
            return MAYBE
        dummy = logging.makeLogRecord({"name": logger})
        return YES if logging.Filter(self.prefix).filter(dummy) else NO


class Handler(NamedTuple):
    """Takes records, and writes them or hands them on."""

    text: str
    level: int = 0
    filters: tuple[Filter, ...] = ()
    formatter: str = ""
    ends: str = ""
    behind: tuple[Handler, ...] | None = None  # None: it writes; (): it drops
    asks_levels: bool = False  # of those behind
    note: str = ""


class Logger(NamedTuple):
    """What a logger was told."""

    level: int = 0
    propagate: bool = True
    disabled: bool = False
    filters: tuple[Filter, ...] = ()
    handlers: tuple[Handler, ...] = ()


class Tree(NamedTuple):
    """
    All that decides where records go.

    A logger that is not among *loggers* was told nothing.
    """

    loggers: Mapping[str, Logger]
    disable: int = 0  # `logging.disable`
    last_resort: Handler | None = None
    silences: bool = False  # loggers that were made before, and are not named


class Way(NamedTuple):
    """What becomes of a record at one handler."""

    handler: Handler
    answer: str
    reasons: tuple[str, ...]
    behind: tuple[Way, ...]

    @property
    def arrival(self) -> str:
        """Whether the record is written, here or behind."""
        if self.handler.behind is None:
            return self.answer
        return worst((self.answer, best(way.arrival for way in self.behind)))


class Explanation(NamedTuple):
    """Where a record goes, and what is in its way."""

    logger: str
    level: int
    least: int  # the level that counts, and who set it
    set_by: str
    stops: tuple[str, ...]  # none of them may be there
    doubts: tuple[str, ...]
    ways: tuple[tuple[str, tuple[Way, ...]], ...]  # logger by logger, upwards
    barrier: str  # the logger that hands nothing up

    @property
    def answer(self) -> str:
        """Whether it gets anywhere."""
        if self.stops:
            return NO
        arrival = best(way.arrival for way in self.all_ways)
        return worst((MAYBE, arrival)) if self.doubts else arrival

    @property
    def all_ways(self) -> list[Way]:
        """What becomes of it at each handler on the way up."""
        return [way for _, ways in self.ways for way in ways]


def explained(tree: Tree, logger: str, level: int) -> Explanation:
    """Return what becomes of a record that *logger* makes at *level*."""
    chain = [(name, tree.loggers.get(name, Logger())) for name in lineage(logger)]
    own = chain[0][1]
    set_by, least = next(
        ((name, each.level) for name, each in chain if each.level), ("", 0)
    )
    stops, doubts = [], []
    if own.disabled:
        stops.append(
            f"{logger} is disabled; set disable_existing_loggers: false, or name it "
            "under loggers"
        )
    if tree.disable >= level:
        stops.append(
            f"logging.disable({level_name(tree.disable)}) was called; call "
            "logging.disable(0)"
        )
    if level < least:
        stops.append(
            f"the level of {set_by} is {level_name(least)}; set "
            f"{dotted_level(logger)} to {level_name(level)}"
        )
    for each in own.filters:
        answer = each.answer(logger)
        if answer == NO:
            stops.append(f"filter {each.text} of {logger} lets none of it pass")
        elif answer == MAYBE:
            doubts.append(f"filter {each.text} of {logger}: it depends on the record")
    named = [name in tree.loggers for name, _ in chain[:-1]]  # the root never is older
    if tree.silences and named and not any(named):
        doubts.append(
            f"{logger} is disabled if it is older than the configuration; set "
            "disable_existing_loggers: false"
        )
    ways, barrier = _upwards(tree, chain, level)
    return Explanation(
        *(logger, level, least, set_by, tuple(stops), tuple(doubts), ways, barrier)
    )


def _upwards(
    tree: Tree, chain: list[tuple[str, Logger]], level: int
) -> tuple[tuple[tuple[str, tuple[Way, ...]], ...], str]:
    """Return what becomes of the record at each handler, and who ends its way."""
    logger, barrier = chain[0][0], ""
    ways = []
    for name, each in chain:
        if each.handlers:
            found = tuple(_way(handler, logger, level) for handler in each.handlers)
            ways.append((name, found))
        if not each.propagate and name != ROOT:
            barrier = name
            break
    if not ways and tree.last_resort:
        ways.append(("nobody has a handler", (_way(tree.last_resort, logger, level),)))
    return tuple(ways), barrier


def _way(handler: Handler, logger: str, level: int, *, is_asked: bool = True) -> Way:
    """Return what becomes of a record at *handler*, whose level may not be asked."""
    answer, reasons = YES, []
    if is_asked and level < handler.level:
        answer = NO
        reasons.append(f"its level is {level_name(handler.level)}")
    for each in handler.filters:
        found = each.answer(logger)
        answer = worst((answer, found))
        if found == NO:
            reasons.append(f"filter {each.text} lets none of {logger} pass")
        elif found == MAYBE:
            reasons.append(f"filter {each.text}: it depends on the record")
    behind = tuple(
        _way(inner, logger, level, is_asked=handler.asks_levels)
        for inner in handler.behind or ()
    )
    return Way(handler, answer, tuple(reasons), behind)


def lineage(logger: str) -> list[str]:
    """Return the names of *logger* and of those above it; the root's comes last."""
    names = []
    while logger and logger != ROOT:
        names.append(logger)
        logger = logger.rpartition(".")[0]
    return [*names, ROOT]


def best(answers: Iterable[str]) -> str:
    """Return the answer for a record that has a choice; with none, it gets nowhere."""
    return max(answers, key=_WORST_FIRST.index, default=NO)


def worst(answers: Iterable[str]) -> str:
    """Return the answer for a record that must pass all."""
    return min(answers, key=_WORST_FIRST.index)


def level_name(level: int) -> str:
    """Return what people call *level*."""
    name = str(logging.getLevelName(level))
    return str(level) if name.startswith("Level ") else name


def dotted_level(logger: str) -> str:
    """Return where the level of *logger* is written."""
    return "root.level" if logger == ROOT else f"loggers.{logger}.level"
