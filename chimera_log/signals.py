"""
End in order when told to end.
"""

from __future__ import annotations

import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType


def exit_on_sigterm() -> None:
    """
    Have SIGTERM end this process as `sys.exit` does.

    Python dies of that signal on the spot, and with it what waits to be sent to
    CloudWatch or written by a thread.  After this call, SIGTERM raises `SystemExit`
    (with the exit code 143 that a shell would show) in the main thread: ``finally``
    blocks run, and every handler delivers what it has, within its
    ``close_timeout``.  A second SIGTERM kills at once.

    Servers such as uvicorn and gunicorn see to SIGTERM themselves: where somebody
    did, nothing is changed.

    Raises:
        ValueError: If called in another thread than the main one, where Python
            takes no signal handlers.
    """
    previous = signal.getsignal(signal.SIGTERM)
    if previous is not signal.SIG_DFL:
        return
    signal.signal(signal.SIGTERM, _exit)


def _exit(number: int, _: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)
    sys.exit(128 + number)
