"""
What the handlers of a configuration are, and where they write.

Options may be of any type here: what is not understood is `None`, and another
module says what is wrong with it.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from chimera_log import options
from chimera_log.config.check.parts import Part, parts
from chimera_log.options import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from chimera_log.config.document import Document

_ELSEWHERE = ("ext://", "cfg://")  # how values begin that dictConfig looks up


class Maker(NamedTuple):
    """Which class makes something: its top package and its name."""

    package: str
    name: str

    @property
    def is_ours(self) -> bool:
        """Whether it is a class of this package."""
        return self.package == "chimera_log"

    @property
    def is_file(self) -> bool:
        """Whether it is a handler that writes a file, ours or the standard library's."""
        return self in OUR_FILES or self in STDLIB_FILES


AUDIT = Maker("chimera_log", "AuditFileHandler")
AUDIT_FILTER = Maker("chimera_log", "ExecutionAuditFilter")
CLOUDWATCH = Maker("chimera_log", "CloudWatchHandler")
ROTATING = Maker("chimera_log", "RotatingFileHandler")
WATCHTOWER = Maker("watchtower", "CloudWatchLogHandler")
QUEUE = Maker("logging", "QueueHandler")
STDLIB_ROTATING = Maker("logging", "RotatingFileHandler")
STDLIB_TIMED = Maker("logging", "TimedRotatingFileHandler")
STDLIB_PLAIN = (
    Maker("logging", "FileHandler"),
    Maker("logging", "WatchedFileHandler"),
)
STDLIB_FILES = (*STDLIB_PLAIN, STDLIB_ROTATING, STDLIB_TIMED)
OUR_FILES = (ROTATING, AUDIT)


def maker(part: Part) -> Maker:
    """Return what makes *part*; of empty names if nobody knows."""
    factory = part.factory
    if isinstance(factory, type):
        return Maker(factory.__module__.partition(".")[0], factory.__name__)
    dotted = factory.removeprefix("ext://") if isinstance(factory, str) else ""
    return Maker(dotted.partition(".")[0], dotted.rpartition(".")[2])


def made_by(document: Document, *makers: Maker) -> Iterator[Part]:
    """Yield the handlers that one of *makers* makes."""
    return (each for each in parts(document, "handlers") if maker(each) in makers)


def text(part: Part, option: str) -> str | None:
    """
    Return the text of *option*, its variables expanded; ``None`` if there is none.

    There is none either if dictConfig looks it up, or a variable is not set.
    """
    value = part.content.get(option)
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, str) or value.startswith(_ELSEWHERE):
        return None
    try:
        return options.expand(option, value) or None
    except ConfigError:
        return None


def path(part: Part, option: str) -> str | None:
    """Return the absolute path that *option* means, if it can be one."""
    given = text(part, option)
    if given is None or "\0" in given:
        return None
    try:
        os.fsencode(given)
    except UnicodeEncodeError:
        return None
    return os.path.abspath(  # as text, which no link changes
        os.path.expanduser(given) if maker(part).is_ours else given
    )


def nearest(path: str) -> str:
    """Return the absolute *path*, or what is nearest above it and exists."""
    while not os.path.lexists(path) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    return path


def size(part: Part, option: str, default: int | str = 0) -> int | None:
    """Return the bytes that *option* means, *default* where it is not given."""
    value: Any = part.content.get(option, default)
    if not maker(part).is_ours and not isinstance(value, int):
        return None  # the standard library takes no "100 MB"
    try:
        return options.size(option, value)
    except ConfigError:
        return None


def count(part: Part, option: str, default: int = 0) -> int | None:
    """Return the whole number that *option* is, *default* where it is not given."""
    try:
        return options.count(option, part.content.get(option, default))
    except ConfigError:
        return None
