"""
Change the level of a logger while the service runs, for a while.
"""

from __future__ import annotations

import logging
from typing import NamedTuple

from chimera_log import options
from chimera_log.options import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_FOR_GOOD = float("inf")


def level_number(name: str, value: object) -> int:
    """
    Return the level that *value* means: a name in any case, or a number.

    Raises:
        ConfigError: If it means none; the text begins with *name*.
    """
    known = logging.getLevelName(value.upper()) if isinstance(value, str) else value
    if isinstance(known, bool) or not isinstance(known, int):
        hint = options.did_you_mean(str(value).upper(), options.LEVELS)
        raise ConfigError(f"{name}: {value!r} is no level; {hint}")
    return known


class Override(NamedTuple):
    """A level that holds instead of *before*, until *until*."""

    level: int
    before: int
    until: float  # seconds, as the clock that `Levels` is told


class Levels:
    """
    The levels that were changed by hand, and when they return.

    It is told the time, and is not made for several threads.
    """

    def __init__(self) -> None:
        self._overrides: dict[str, Override] = {}

    @property
    def overrides(self) -> Mapping[str, Override]:
        """Those that hold now, by the names of their loggers."""
        return self._overrides

    def set(self, name: str, level: int, until: float) -> None:
        """Have logger *name* use *level* until *until*, then what it had before."""
        logger = logging.getLogger(name)
        known = self._overrides.get(name)
        is_ours = known is not None and logger.level == known.level
        before = known.before if known is not None and is_ours else logger.level
        self._overrides[name] = Override(level, before, until)
        logger.setLevel(level)

    def end(self, name: str) -> bool:
        """
        Have logger *name* use what it had before, unless somebody changed it since.

        Returns:
            Whether there was anything to end.
        """
        override = self._overrides.pop(name, None)
        if override is None:
            return False
        logger = logging.getLogger(name)
        if logger.level == override.level:
            logger.setLevel(override.before)
        return True

    def end_due(self, now: float) -> list[str]:
        """End those whose time is over; return the names of their loggers."""
        due = [name for name, each in self._overrides.items() if each.until <= now]
        for name in due:
            self.end(name)
        return due

    def next_due(self, now: float) -> float | None:
        """Return the seconds until the next one ends, if any does."""
        soonest = min((each.until for each in self._overrides.values()), default=None)
        if soonest is None or soonest == _FOR_GOOD:
            return None
        return max(soonest - now, 0.0)

    def configure(self, name: str, level: str | int) -> None:
        """
        Have logger *name* use *level*, which a configuration says.

        Where another one holds for a while, it goes on, and then returns to *level*.
        """
        logger, number = logging.getLogger(name), level_number(name, level)
        known = self._overrides.get(name)
        if (
            known is not None
            and known.until != _FOR_GOOD
            and known.level == logger.level
        ):
            self._overrides[name] = known._replace(before=number)
            return
        self._overrides.pop(name, None)
        if logger.level != number:  # else all loggers would forget what is enabled
            logger.setLevel(number)

    def end_lasting(self) -> None:
        """End those that do not end by themselves: a file says what holds."""
        for name, each in list(self._overrides.items()):
            if each.until == _FOR_GOOD:
                self.end(name)

    def restore(self, overrides: Mapping[str, Override]) -> None:
        """Have *overrides* hold, as they did before; the loggers are not touched."""
        self._overrides = dict(overrides)
