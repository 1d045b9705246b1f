"""
Where does a record go?  Asked of the logging that runs, or of a configuration.

- `model` is a tree of loggers and handlers, and decides.
- `live` makes one of the logging that runs, `written` of a configuration.
- `ends` tells where a handler puts what it takes.
- `words` says it to people.
"""

from __future__ import annotations

import logging

from chimera_log.config.explain.live import running
from chimera_log.config.explain.model import explained
from chimera_log.config.explain.words import told
from chimera_log.options import LEVELS, ConfigError, did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def explain(logger: str, level: str | int) -> str:
    """
    Return where a record of *logger* at *level* would go now, and what stops it.

    It tells of levels, `logging.disable`, filters, ``propagate: false``, and of each
    handler on the way up: its level, filters, formatter, and where it ends.  Nothing
    is logged, no logger is made, and no filter is run: one that looks at more than
    the logger's name is said to depend on the record.

    Args:
        logger: Its name; ``root`` or the empty text for the root.
        level: A name in any case, or a number of at least 1.

    Raises:
        ConfigError: If *level* is none.
    """
    name, number = logger_named(logger), level_named(level)
    return told(explained(running(), name, number))


def logger_named(name: Any) -> str:
    """
    Return the name of a logger, ``root`` for the root's.

    Raises:
        ConfigError: If it is no text.
    """
    if not isinstance(name, str):
        raise ConfigError(f"logger: {name!r} is no name; write text")
    return name or "root"


def level_named(level: Any) -> int:
    """
    Return the number of a *level* that records can have.

    Raises:
        ConfigError: If there is no such level.
    """
    found = level
    if isinstance(level, str):
        bare = level.strip()
        found = int(bare) if bare.isdecimal() else logging.getLevelName(bare.upper())
    if isinstance(found, bool) or not isinstance(found, int) or found < 1:
        hint = did_you_mean(str(level).upper(), LEVELS)
        raise ConfigError(f"level: {level!r} is no level of a record; {hint}")
    return found
