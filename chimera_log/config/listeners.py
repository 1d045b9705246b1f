"""
Have the queue of a handler read on, when the handler is replaced.

Since Python 3.12 dictConfig makes a `QueueHandler` with a listener, and leaves it to the
program to start that.  The program cannot know of one that a reload made.
"""

from __future__ import annotations

import logging
import logging.handlers
import os
import weakref
from contextlib import suppress

from chimera_log.worker import QUEUES, at_exit, members

_began: weakref.WeakSet[logging.handlers.QueueListener] = weakref.WeakSet()
_process = os.getpid()  # in which these have threads


def stop(handler: logging.Handler) -> bool:
    """
    Have what waits in the queue of *handler* handled, and its listener end.

    Returns:
        Whether it was at work.
    """
    listener = _listener_of(handler)
    if listener is None or listener._thread is None:  # private
        return False
    with suppress(Exception):  # a foreign class's, or it is we whom it would wait for
        listener.stop()
    return True


def hand_over(old: logging.Handler, heir: logging.Handler) -> None:
    """Start the listener of *heir* if that of *old* was at work, which ends."""
    # In this order: both may read one queue, where either would find the sign to end.
    listener = _listener_of(heir)
    if stop(old) and listener is not None:
        with suppress(Exception):  # as above
            listener.start()
            _note(listener)


def _note(listener: logging.handlers.QueueListener) -> None:
    global _process  # noqa: PLW0603  a child has threads of its own
    if _process != os.getpid():
        _began.clear()
        _process = os.getpid()
    _began.add(listener)


def _listener_of(handler: logging.Handler) -> logging.handlers.QueueListener | None:
    listener = getattr(handler, "listener", None)
    is_one = isinstance(listener, logging.handlers.QueueListener)
    return listener if is_one else None


@at_exit(QUEUES)
def _stop_all() -> None:
    """Stop those that the program does not know."""
    if _process == os.getpid():
        for listener in members(_began):
            if listener._thread is not None:  # private
                listener.stop()
