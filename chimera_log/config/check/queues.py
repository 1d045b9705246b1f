"""
Find queues and listeners that a `QueueHandler` cannot be given.

Since Python 3.12 dictConfig makes them, of a name or of what ``()`` names.
"""

from __future__ import annotations

import logging.handlers

from chimera_log.config.check.parts import (
    QUEUES_NAME_HANDLERS,
    conversion,
    is_incremental,
    is_open,
    parts,
    shown,
)
from chimera_log.config.check.resolving import UnresolvedError, factory, resolve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from chimera_log.config.document import Document
    from chimera_log.config.findings import Finding, Path

_EXAMPLES = {"queue": "queue.Queue", "listener": "logging.handlers.QueueListener"}


def findings(document: Document) -> Iterator[Finding]:
    """Yield the queues and listeners in *document* that cannot be made."""
    if is_incremental(document) or not QUEUES_NAME_HANDLERS:
        return
    for part in parts(document, "handlers"):
        kind = factory(document, part)
        is_queue = isinstance(kind, type) and issubclass(
            kind, logging.handlers.QueueHandler
        )
        for key in _EXAMPLES if is_queue and "()" not in part.content else ():
            if key in part.content:
                value = part.content[key]
                yield from _made(document, (*part.path, key), value)


def _made(document: Document, path: Path, value: Any) -> Iterator[Finding]:
    key = str(path[-1])
    is_made_by_call = isinstance(value, dict)
    if is_open(value) or conversion(value):
        return
    if isinstance(value, dict):
        if "()" not in value:
            what = f"has no `()`; add it, such as `(): {_EXAMPLES[key]}`"
            yield document.finding(path, what, at_key=True)
            return
        value, path = value["()"], (*path, "()")
    if isinstance(value, str):
        try:
            made = resolve(document, value)
        except UnresolvedError as error:
            yield document.finding(path, str(error))
            return
        # What a call returns, nobody knows before.
        is_other = key == "listener" and not is_made_by_call and _is_other(made)
        fits = callable(made) and not is_other
    else:
        fits = callable(value) or (key == "queue" and hasattr(value, "put"))
    if not fits:
        what = f"{shown(value)} makes no {key}; write {_EXAMPLES[key]}"
        yield document.finding(path, what)


def _is_other(made: Any) -> bool:
    return isinstance(made, type) and not issubclass(
        made, logging.handlers.QueueListener
    )
