"""
Find every mistake in a configuration before it is applied.

Each module looks for mistakes of one kind, in what the others would not stumble over,
and none changes or opens anything.
"""

from __future__ import annotations

from chimera_log.config.check import aws, costs, places, routes, trails, traps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from chimera_log.config.document import Document
    from chimera_log.config.findings import Finding

_CHECKS: tuple[Callable[[Document], Iterable[Finding]], ...] = (
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
    found = {finding for look in _CHECKS for finding in look(document)}
    return sorted(found)
