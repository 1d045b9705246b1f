"""
Walk what is well-formed in a configuration; `grammar` says what is not.
"""

from __future__ import annotations

from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from chimera_log.config.document import Document
    from chimera_log.config.findings import Path

OURS = "chimera_log."  # how the names of our classes begin


class Part(NamedTuple):
    """A formatter, filter, handler or logger as it is written."""

    path: Path
    name: str
    content: dict[str, Any]

    @property
    def factory(self) -> Any:
        """What makes it: the value of ``()``, or of ``class``; None without any."""
        return self.content.get("()", self.content.get("class"))

    @property
    def is_ours(self) -> bool:
        """Whether a class of this package makes it."""
        return str(self.factory).startswith(OURS)


def parts(document: Document, section: str) -> Iterator[Part]:
    """Yield what *section* holds, leaving out what is no mapping, or has no name."""
    found = document.content.get(section)
    if isinstance(found, dict):
        for name, content in found.items():
            if isinstance(name, str) and isinstance(content, dict):
                yield Part((section, name), name, content)


def loggers(document: Document) -> Iterator[Part]:
    """Yield the root, called "", and each other logger."""
    root = document.content.get("root")
    if isinstance(root, dict):
        yield Part(("root",), "", root)
    yield from parts(document, "loggers")


def listed(part: Part, key: str) -> list[str]:
    """Return the names that *part* lists under *key*, such as its handlers."""
    names = part.content.get(key)
    if not isinstance(names, (list, tuple)):
        return []
    return [name for name in names if isinstance(name, str)]
