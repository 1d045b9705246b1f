"""
Lay one configuration over another, as Compose does with its files.

Mappings are merged, key by key; anything else replaces what was there; null takes it
away.
"""

from __future__ import annotations

from chimera_log.config.document import Document

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from chimera_log.config.document import Node
    from chimera_log.config.findings import Path


def merge(base: Document, over: Document) -> Document:
    """
    Return *base* with what *over* says instead; both stay as they are.

    Each key and value is where it was written, in the one file or in the other.
    """
    gone: set[Path] = set()
    content = _merged(base.copy(), over.copy(), (), gone)
    return Document(
        content,
        base.source,
        lambda: _nodes(base, over, gone),
        texts={**base.texts, **over.texts},
        duplicates={**base.duplicates, **over.duplicates},
    )


def _merged(
    base: dict[str, Any], over: dict[str, Any], path: Path, gone: set[Path]
) -> dict[str, Any]:
    """Return *base*, changed by *over*; note in *gone* where nothing is left of it."""
    for key, value in over.items():
        inner = (*path, str(key))
        below = base.get(key)
        if isinstance(value, dict) and isinstance(below, dict):
            _merged(below, value, inner, gone)
            continue
        gone.add(inner)
        if value is None:
            base.pop(key, None)
        else:
            base[key] = value
    return base


def _nodes(base: Document, over: Document, gone: set[Path]) -> dict[Path, Node]:
    kept = {
        path: node
        for path, node in base.nodes.items()
        if not any(path[:length] in gone for length in range(1, len(path) + 1))
    }
    # What both have is where the base has it: its value is the merged mapping.
    return {**over.nodes, **kept}
