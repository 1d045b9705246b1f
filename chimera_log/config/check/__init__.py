"""
Find every mistake in a configuration before it is applied.

Each module looks for mistakes of one kind, in what the others would not stumble over,
and none changes or opens anything.
"""

from __future__ import annotations

from chimera_log.config.check import (
    aws,
    classes,
    costs,
    formats,
    grammar,
    places,
    queues,
    references,
    routes,
    trails,
    traps,
    trial,
    yaml11,
)
from chimera_log.config.findings import ERROR, dotted, on_one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from chimera_log.config.document import Document
    from chimera_log.config.findings import Finding, Path, Place

# In this order, since the first error at a place stands: those that are found there
# later follow from it.  `classes` imports modules, which may define levels.
_CHECKS: tuple[Callable[[Document], Iterable[Finding]], ...] = (
    yaml11.findings,
    classes.findings,
    grammar.findings,
    references.findings,
    formats.findings,
    queues.findings,
    trial.findings,
    traps.findings,
    routes.findings,
    trails.findings,
    places.findings,
    aws.findings,
    costs.findings,
)


def check(document: Document) -> list[Finding]:
    """
    Return what is wrong with *document*, in the order of its lines.

    It applies nothing, opens no file and starts nothing; it imports the modules of
    the classes that *document* names, as dictConfig would.
    """
    found = (
        each._replace(text=on_one_line(each.text))  # what people write may be in it
        for look in _CHECKS
        for each in look(document)
    )
    return sorted(set(_independent(found)), key=_order)


def _independent(found: Iterable[Finding]) -> Iterator[Finding]:
    """Yield of the errors at one place the first, and no warnings where one is."""
    every = list(found)
    taken: set[tuple[Place, Path]] = set()
    for finding in sorted(every, key=lambda each: each.severity != ERROR):
        where = finding.place, finding.path
        if where not in taken:
            yield finding
        if finding.severity == ERROR:
            taken.add(where)


def _order(finding: Finding) -> tuple[Place, str, str, str]:
    # Numbers and names in paths cannot be compared.
    return finding.place, finding.severity, dotted(finding.path), finding.text
