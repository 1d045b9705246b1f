"""
Log the exceptions that nobody caught, then let Python do what it always did.

asyncio needs no hook: its loop already tells the logger ``asyncio`` about every
task and callback that failed, with the exception, and a handler of ours on the
root gets that record like any other.
"""

from __future__ import annotations

import logging
import sys
import threading
from contextlib import contextmanager, suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Any

LOGGER = "uncaught"
_log = logging.getLogger(LOGGER)
_busy = threading.local()


class MainHook:
    """Stands in for `sys.excepthook`; *previous* still prints and reports."""

    def __init__(self) -> None:
        self.previous = sys.excepthook

    def __call__(
        self,
        kind: type[BaseException],
        error: BaseException,
        trace: TracebackType | None,
    ) -> None:
        """Log the exception that ends the program, unless an operator asked for it."""
        # KeyboardInterrupt is a decision, not a failure.
        with _logged_once({}, None if issubclass(kind, KeyboardInterrupt) else error):
            self.previous(kind, error, trace)


class ThreadHook:
    """Stands in for `threading.excepthook`; *previous* still prints and reports."""

    def __init__(self) -> None:
        self.previous = threading.excepthook

    def __call__(self, args: threading.ExceptHookArgs) -> None:
        """Log the exception that ends a thread, unless it ended itself."""
        context = {"thread": args.thread.name if args.thread else None}
        # Python ignores SystemExit in a thread, and so do we.
        with _logged_once(
            context, None if args.exc_type is SystemExit else args.exc_value
        ):
            self.previous(args)


def install() -> None:
    """Log uncaught exceptions from now on; twice is harmless."""
    if not isinstance(sys.excepthook, MainHook):
        sys.excepthook = MainHook()
    if not isinstance(threading.excepthook, ThreadHook):
        threading.excepthook = ThreadHook()


def remove() -> None:
    """Undo `install`, unless somebody has hooked in on top of it since."""
    if isinstance(sys.excepthook, MainHook):
        sys.excepthook = sys.excepthook.previous
    if isinstance(threading.excepthook, ThreadHook):
        threading.excepthook = threading.excepthook.previous


@contextmanager
def _logged_once(
    context: dict[str, Any], error: BaseException | None
) -> Iterator[None]:
    """
    Log *error*, and not again by a hook of ours that runs inside.

    Two of them stand in one chain if somebody hooks in between two installs.
    """
    if getattr(_busy, "logging", False):
        yield
        return
    _busy.logging = True
    try:
        if error is not None:
            with suppress(
                Exception
            ):  # a foreign handler's; the hook below still reports
                _log.critical(
                    "uncaught_exception", exc_info=error, extra={"context": context}
                )
        yield
    finally:
        _busy.logging = False
