"""
Filters for dictConfig: which records an output takes.

Name them by ``()`` in YAML.  Under ``class:`` dictConfig makes a plain
`logging.Filter` that lets everything pass.
"""

from __future__ import annotations

import logging

from chimera_log import options
from chimera_log.report import report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class ExecutionAuditFilter(logging.Filter):
    """
    Let the records of the audit trail pass, and no others.

    A record belongs to the trail if its event is one of *events*, or if the
    caller marked it with ``extra={"audit": True}``.  A record it cannot decide
    about passes, is counted in `undecided` and reported on stderr: a line too
    many in the trail is a nuisance, a line too few is lost evidence.

    Put it on a handler.  On a logger it would miss what the logger's children
    log.

    Args:
        events: Names of the events that belong to the trail.

    Raises:
        ConfigError: If *events* is no list of text.
    """

    def __init__(self, events: Iterable[str] = ("execution_attempt",)) -> None:
        super().__init__()
        self._events = frozenset(options.names("events", events))
        self.undecided = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether *record* belongs to the trail."""
        try:
            if getattr(record, "audit", None):
                return True
            event = record.msg if not record.args else record.getMessage()
            return (event if type(event) is str else str(event)) in self._events
        except Exception as error:
            self.undecided += 1
            report(
                "ExecutionAuditFilter",
                f"ExecutionAuditFilter: kept a record in the trail that it could not read "
                f"({type(error).__name__}); {self.undecided} so far",
            )
            return True
