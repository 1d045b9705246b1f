"""
Say where a record goes, to somebody who was woken up for it.
"""

from __future__ import annotations

from chimera_log.config.explain.model import MAYBE, NO, YES, level_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from chimera_log.config.explain.model import Explanation, Way

_VERDICTS = {YES: "arrives", MAYBE: "may arrive", NO: "goes nowhere"}


def told(found: Explanation) -> str:
    """Return *found* as a few lines, the answer first."""
    return "\n".join(_lines(found))


def _lines(found: Explanation) -> Iterator[str]:
    yield f"{found.logger} {level_name(found.level)}: {_VERDICTS[found.answer]}"
    by = f", set by {found.set_by}" if found.set_by else ", since no logger sets one"
    yield f"  level: {level_name(found.least)}{by}"
    for stop in found.stops:
        yield f"  stopped: {stop}"
    for doubt in found.doubts:
        yield f"  maybe: {doubt}"
    if found.stops and found.ways:
        yield "  if it were not stopped:"
    for logger, ways in found.ways:
        yield f"  {logger}:"
        for way in ways:
            yield from _way(way, "    ")
    if found.barrier:
        yield f"  propagate is false at {found.barrier}: nothing above it is asked"
    if not found.ways:
        yield "  no handler is on its way"


def _way(way: Way, indent: str) -> Iterator[str]:
    """Yield a line for the handler, then one for each reason, then what is behind."""
    handler = way.handler
    place = handler.ends or "nothing; it drops all"
    formatter = f", {handler.formatter}" if handler.formatter else ""
    least = f", from {level_name(handler.level)}" if handler.level else ""
    yield f"{indent}{way.answer:<5} {handler.text}{least}{formatter} -> {place}"
    for each in (*way.reasons, *filter(None, (handler.note,))):
        yield f"{indent}      {each}"
    if handler.behind == () and handler.ends:
        yield f"{indent}      there is no handler behind it"
    for inner in way.behind:
        yield from _way(inner, f"{indent}  ")
