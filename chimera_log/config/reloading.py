"""
Follow the files of the configuration while the service runs.

One thread looks at them, if somebody asked for that, and ends the levels that were set
for a while.  A file that cannot work is told through the handlers that run, and they
run on.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from chimera_log import options
from chimera_log.config import live, sources
from chimera_log.config.effective import Request, effective, files_of
from chimera_log.config.findings import Refusal
from chimera_log.config.watch import Watch, fingerprint
from chimera_log.options import ConfigError
from chimera_log.worker import Worker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chimera_log.config.document import Document

_MOST_TOLD = 20  # findings in a record; `chimera-log check` prints all
_SHORTEST = 0.01  # seconds between two looks

_request: Request | None = None
_watch: Watch | None = None


def load(request: Request, *, again: bool = False) -> None:
    """
    Apply what *request* asks for, and follow it from now on.

    Args:
        request: What is wanted.
        again: Whether it was applied before.

    Raises:
        ConfigError: If it cannot work; what was applied before is still followed.
    """
    global _request, _watch  # noqa: PLW0603  logging is the process's
    with live.lock:
        seen = fingerprint(_files(request))  # before it is read: what comes is new
        document = effective(request)
        interval = _interval(request, document)
        live.apply(document, again=again)
        _request = request
        is_new_to_thread = interval is not None or _watch is not None
        _watch = None if interval is None else Watch(interval, seen)
    if is_new_to_thread:  # also that there is nothing to watch any more
        _worker.wake()


def reload() -> bool:
    """
    Read the configuration again, and apply it if it can work.

    No record is lost on the way.  What did not change is not touched: a file stays
    open, a connection to CloudWatch Logs and its stream live on.  If the files cannot
    work, everything stays as it was, and event ``logging_reload_failed`` (logger
    ``chimera_log.config``, level ERROR) says why; it never raises for that.

    Do not call it in a signal handler, which may have interrupted a handler that this
    waits for: have it set an event, or use `loop.add_signal_handler`.

    Returns:
        Whether it was applied.

    Raises:
        ConfigError: If `init_logging` was not called before.
    """
    with live.lock:
        request = _request
        if request is None:
            raise ConfigError("reload: nothing was loaded; call init_logging first")
        try:
            load(request, again=True)
        except ConfigError as error:
            _tell_failure(request, error)
            return False
        live.tell("logging_reloaded", {"files": _names(request)})
        return True


def set_level(
    logger: str, level: str | int | None, *, for_: float | str | None = None
) -> None:
    """
    Have *logger* use *level* from now on, in this process.

    What was set for a while returns by itself, also if the configuration was reloaded
    meanwhile; what was set for good ends with the next reload.  Handlers keep levels of
    their own.

    Args:
        logger: Its name; the root's is empty.
        level: A name in any case, or a number; ``None`` returns to what is configured.
        for_: How long: seconds, or text such as ``"10 min"``.

    Raises:
        ConfigError: If an argument is none of these.
    """
    if not isinstance(logger, str):
        raise ConfigError(f"logger: {logger!r} is no name; write text")
    seconds = None if for_ is None else options.duration("for_", for_)
    live.change_level("" if logger == "root" else logger, level, seconds)
    if seconds is not None:
        _worker.wake()


def _interval(request: Request, document: Document) -> float | None:
    """Return the seconds between two looks, or None if nobody is to look."""
    written = document.content.get("watch")
    given = written if request.watch is None else request.watch
    if given is None:
        return None
    if isinstance(request.config, dict):
        raise ConfigError("watch: there is no file to watch; name one with `config`")
    try:
        return options.duration("watch", given, minimum=_SHORTEST)
    except ConfigError as error:
        if request.watch is not None:
            raise
        what = str(error).removeprefix("watch: ")
        raise document.error(("watch",), what) from None


def _work() -> float | None:
    """Look at the files and the clock; return when to do so again."""
    pauses = [live.end_levels()]
    with live.lock:
        watch, request = _watch, _request
        if watch is not None and request is not None:
            if watch.has_changed(fingerprint(_files(request)), time.monotonic()):
                reload()
            pauses.append(watch.pause)
    return min((each for each in pauses if each is not None), default=None)


def _files(request: Request) -> list[Path]:
    """Return the files that matter, also one that is not there yet."""
    if isinstance(request.config, dict):
        return []
    try:
        return files_of(request.config)
    except ConfigError:
        return [request.config, *sources.overlays(request.config).values()]


def _names(request: Request) -> list[str]:
    return [str(path) for path in _files(request)]


def _tell_failure(request: Request, error: ConfigError) -> None:
    lines = (
        [str(each) for each in error.findings]
        if isinstance(error, Refusal)
        else [str(error)]
    )
    context = {
        "files": _names(request),
        "count": len(lines),
        "findings": lines[:_MOST_TOLD],
    }
    live.tell("logging_reload_failed", context, is_error=True)


_worker = Worker("chimera_log: config", _work, in_caller=False)


def _after_fork() -> None:
    if _watch is not None or live.levels.overrides:
        _worker.wake()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_parent=_after_fork, after_in_child=_after_fork)
