"""
Tell the operator on stderr what could not be done, without flooding.

A handler that cannot do its work must say so, but never through `logging` (it
would call itself), never through `warnings` (which `captureWarnings` turns into
logging), and never once per record.  `Reporter` prints at most one line a
minute for each kind of trouble and counts what it held back.  It never raises.
"""

from __future__ import annotations

import atexit
import os
import re
import select
import sys
import time

from chimera_log import native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

INTERVAL = 60.0  # seconds between two lines of one kind
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
TRY_AGAIN = 1.0  # seconds, when stderr did not take a line
MAX_KINDS = 1000  # kinds remembered; a hostile name cannot fill the memory
MAX_LINE = 1000  # characters; a pipe that has room at all takes 4,096 bytes


class Reporter:
    """
    Print at most one line per kind and minute.

    Lines held back are counted and told with the next line of that kind, or by
    `close` at exit; none is dropped in silence.

    Args:
        clock: Seconds that never go back.
        write: Takes one finished line; the default writes to `sys.stderr`.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        write: Callable[[str], object] | None = None,
    ) -> None:
        self._clock = clock
        self._write = write or _to_stderr
        # Reentrant: a signal handler may report while its own thread is here.
        self._lock = native.RLock()
        self._kinds: dict[str, tuple[float, int]] = {}

    def __call__(self, kind: str, message: str) -> None:
        """
        Report *message*, unless its *kind* was reported within the last minute.

        Args:
            kind: What is rate-limited together, such as ``"files: rotate"``.
            message: One line; what happened, the cause, what was done instead.
        """
        with self._lock:
            now = self._clock()
            last, held = self._kinds.get(kind, (float("-inf"), 0))
            if now - last < INTERVAL:
                self._kinds[kind] = (last, held + 1)
                return
            if len(self._kinds) >= MAX_KINDS:
                self.close()
            self._kinds[kind] = (now, 0)
        more = f" ({held} more like this not shown)" if held else ""
        if not self._say(f"chimera_log: {_one_line(message)}{more}\n"):
            with self._lock:
                _, meanwhile = self._kinds.get(kind, (now, 0))
                again = now - INTERVAL + TRY_AGAIN
                self._kinds[kind] = (again, held + meanwhile + 1)

    def close(self) -> None:
        """Tell how many lines were held back, and forget; called at exit."""
        kinds, self._kinds = self._kinds, {}
        for kind, (_, held) in kinds.items():
            if held:
                self._say(f"chimera_log: {_one_line(kind)}: {held} more not shown\n")

    def after_fork(self) -> None:
        """Start clean in a forked child: what was held back is its parent's."""
        self._lock = native.RLock()
        self._kinds = {}

    def _say(self, line: str) -> bool:
        try:
            self._write(line)
        except Exception:  # there is nowhere left to say it
            return False
        return True


def _one_line(message: str) -> str:
    """Return *message* as one short line, whatever a path or an error contains."""
    return _CONTROL.sub(lambda match: repr(match[0])[1:-1], message)[:MAX_LINE]


def _to_stderr(line: str) -> None:
    """
    Print *line*.

    Raises:
        BlockingIOError: If nobody reads stderr; that must not stop the service.
    """
    if sys.stderr is None:  # pythonw and daemons have none
        return
    if not _has_room(sys.stderr):
        raise BlockingIOError
    sys.stderr.write(line)
    sys.stderr.flush()


def _has_room(stream: TextIO) -> bool:
    """Whether *stream* takes a short line at once."""
    try:
        poll = native.poll()
        poll.register(stream.fileno(), select.POLLOUT)
    except (AttributeError, OSError, ValueError):  # Windows; in memory; closed
        return True
    return bool(poll.poll(0))


report = Reporter()
atexit.register(report.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=report.after_fork)
