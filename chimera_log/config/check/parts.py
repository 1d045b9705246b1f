"""
Walk what is well-formed in a configuration; `grammar` says what is not.
"""

from __future__ import annotations

import re
import sys
from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from chimera_log.config.document import Document
    from chimera_log.config.findings import Path

SECTIONS = ("formatters", "filters", "handlers", "loggers")
OURS = "chimera_log."  # how the names of our classes begin
COMMON = frozenset({"formatter", "filters", "level"})  # what any handler has
# Since then the handlers of a QueueHandler are names, as a MemoryHandler's target is.
QUEUES_NAME_HANDLERS = sys.version_info >= (3, 12)
_CONVERTED = re.compile(r"^(ext|cfg)://(.*)$")
_LIKENESS = 0.65  # of two words, of which one was meant to be the other
_MOST_SHOWN = 80  # characters of a value


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
    def factory_key(self) -> str:
        """The key under which that stands."""
        return "()" if "()" in self.content else "class"

    @property
    def is_ours(self) -> bool:
        """Whether a class of this package makes it."""
        return str(self.factory).startswith(OURS)

    @property
    def options(self) -> dict[str, Any]:
        """What is left of a handler, or of what ``()`` makes, for its class."""
        own = {self.factory_key, "."} | (
            COMMON if self.path[0] == "handlers" else set()
        )
        return {key: value for key, value in self.content.items() if key not in own}


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


def is_incremental(document: Document) -> bool:
    """Whether *document* changes levels only, and builds nothing."""
    return bool(document.content.get("incremental"))


def is_open(value: Any) -> bool:
    """Whether *value* has variables, and is not known before they are."""
    return isinstance(value, str) and "${" in value


def conversion(value: Any) -> tuple[str, str] | None:
    """Return what *value* names by ``ext://`` or ``cfg://``, if it does."""
    match = _CONVERTED.match(value) if isinstance(value, str) else None
    return (match[1], match[2]) if match else None


def shown(value: Any) -> str:
    """Return *value* as an error shows it: on one line, shortened, whatever it is."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # nested too deeply, or of a class that fails
        text = f"this {type(value).__name__}"
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 3]}..."


def closest(word: str, known: Iterable[Any]) -> str | None:
    """Return the one of *known* that *word* was likely meant to be."""
    import difflib  # noqa: PLC0415  only an error needs it

    names = sorted({name for name in known if isinstance(name, str)})
    same = [name for name in names if _plain(name) == _plain(word)]
    return next(
        iter(same or difflib.get_close_matches(word, names, 1, _LIKENESS)), None
    )


def did_you_mean(word: str, known: Iterable[Any], otherwise: str) -> str:
    """Return the likeliest of *known* as the end of an error, or else *otherwise*."""
    close = closest(word, known)
    return f"did you mean {close!r}?" if close else otherwise


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()
