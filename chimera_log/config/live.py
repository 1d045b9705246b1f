"""
What is configured in this process, and the levels that were changed by hand.

Loading, reloading and changing levels take turns.
"""

from __future__ import annotations

import logging
import logging.config
import os
import time
from contextlib import suppress

from chimera_log.config import hooks, swap
from chimera_log.config.building import build, discard
from chimera_log.config.check import check
from chimera_log.config.findings import ERROR, Refusal
from chimera_log.config.levels import Levels, level_number
from chimera_log.native import RLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from chimera_log.config.document import Document

LOGGER = "chimera_log.config"  # which tells what became of a reload
_log = logging.getLogger(LOGGER)

lock = RLock()  # whoever changes the configuration holds it
levels = Levels()
_running = swap.NOTHING
_is_exchanging = False  # whether the thread that holds the lock does


def apply(document: Document, *, again: bool = False) -> None:
    """
    Have logging work as *document* says; one that cannot work changes nothing.

    Args:
        document: The configuration.
        again: Whether it is the one that holds, as it is now: loggers that it does not
            name stay as they are.

    Raises:
        ConfigError: If it cannot work, for each reason that was found.
    """
    content = document.copy()
    with lock:
        wrong = [each for each in check(document) if each.severity == ERROR]
        if wrong:
            raise Refusal(wrong)
        if content.get("incremental"):  # changes levels only, and names nothing
            _change_levels(document, content)
            return
        swap.close(_exchange(document, content, again=again))
    # `disable_existing_loggers` silences what existed, these included.
    known = [name for name in list(logging.Logger.manager.loggerDict) if _is_ours(name)]
    for name in ("py.warnings", "asyncio", hooks.LOGGER, LOGGER, *known):
        logging.getLogger(name).disabled = False


def _is_ours(name: str) -> bool:
    """Whether logger *name* tells what became of logs: a trail's witness listens."""
    return f"{name}.".startswith("chimera_log.")


def _exchange(
    document: Document, content: dict[str, Any], *, again: bool
) -> list[logging.Handler]:
    """Have *content* run; return what ran before, and does not any more."""
    global _is_exchanging, _running  # noqa: PLW0603  logging is the process's
    before = _running
    parts = build(document.having(content), before.parts)
    if before is not _running or _is_exchanging:
        # A handler's module may configure logging when it is imported, and a signal
        # handler at any time.
        discard(parts, _running.parts)
        what = "was loaded while something else was, by this same thread; load it again"
        raise document.error((), what)
    _is_exchanging = True
    try:
        _running, going = swap.swap(content, parts, before, levels, again=again)
    except BaseException as error:  # a foreign class's, or a signal handler's
        discard(parts, before.parts)
        if not isinstance(error, Exception):
            raise
        words = " ".join(f"{type(error).__name__}: {error}".split())
        what = f"cannot be applied: {words}; see what the classes do that it names"
        raise document.error((), what) from error
    finally:
        _is_exchanging = False
    return going


def _change_levels(document: Document, content: dict[str, Any]) -> None:
    """Do what an incremental configuration says, which dictConfig does well."""
    for name in content.get("handlers") or {}:
        if vars(logging)["_handlers"].get(name) is None:
            what = (
                "is no handler that there is, and an incremental configuration makes "
                "none; remove it, or leave out `incremental`"
            )
            raise document.error(("handlers", name), what, at_key=True)
    logging.config.dictConfig(content)


def change_level(name: str, level: str | int | None, seconds: float | None) -> None:
    """
    Have logger *name* use *level* for a while, as `set_level` says.

    Raises:
        ConfigError: If *level* is none.
    """
    number = None if level is None else level_number("level", level)
    with lock:
        if number is None:
            levels.end(name)
        else:
            until = float("inf") if seconds is None else time.monotonic() + seconds
            levels.set(name, number, until)
        is_set = "as configured" if number is None else logging.getLevelName(number)
        context = {"logger": name or "root", "level": is_set, "for_seconds": seconds}
        tell("logging_level_set", context)


def end_levels() -> float | None:
    """End what is due; return the seconds until the next one is, if any will be."""
    with lock:
        now = time.monotonic()
        for name in levels.end_due(now):
            context = {"logger": name or "root", "level": "as configured"}
            tell("logging_level_set", context)
        return levels.next_due(now)


def tell(event: str, context: dict[str, Any], *, is_error: bool = False) -> None:
    """
    Log what became of the configuration, through whatever is configured now.

    Call it with the lock: a child that is forked while a thread writes to a file of the
    standard library's waits for that thread for ever.
    """
    level = logging.ERROR if is_error else logging.INFO
    with suppress(Exception):  # a foreign handler's
        _log.log(level, event, extra={"context": context})


if hasattr(os, "register_at_fork"):
    # A child is not born while its parent's logging is half exchanged.
    os.register_at_fork(
        before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release
    )
