"""
The handler for the console: lines to a stream that somebody else opened.
"""

from __future__ import annotations

import io
import logging
import os
import select
import sys
import weakref
from collections import deque, namedtuple
from contextlib import suppress

from chimera_log import native
from chimera_log.files.lines import CALLER, LineHandler
from chimera_log.files.outlet import BLOCK
from chimera_log.files.settling import take_first
from chimera_log.files.syscalls import write_at_once_for
from chimera_log.worker import members

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from chimera_log.files.syscalls import WriteAtOnce

    _StreamHandler = logging.StreamHandler[Any]
else:
    _StreamHandler = logging.StreamHandler

# Bytes that a pipe takes whole or not at all, whoever else writes to it.
_AT_ONCE = getattr(select, "PIPE_BUF", 512)
_LOOK_AGAIN = 1000  # milliseconds between two looks at a pipe that is full

# What happened to a stream's lines since this process began.
StreamStatistics = namedtuple(
    "StreamStatistics",
    [
        "written",  # lines that the stream took
        "bytes",  # of these
        "waiting",
        "dropped",  # lines that found no room, or that the stream refused
        "last_error",  # or None
    ],
)


class StreamHandler(LineHandler, _StreamHandler):
    """
    Write each record as one line of UTF-8 to a stream, such as the console.

    A drop-in for the standard library's class of that name.  A stream with a file
    descriptor is given bytes, whatever encoding its text has.  What it refuses
    (it is closed, its disk is full, nobody reads it any more) is counted and
    reported on stderr, at most once a minute; the call that logs never fails.

    With ``writer: caller`` the line is out before the logging call returns, and a
    reader that is slow, or stopped, holds up the service.  With ``writer: thread``
    a line that cannot be written without waiting goes into a queue, and a thread
    writes it.

    Args:
        stream: An open stream, ``ext://sys.stdout`` in YAML; `sys.stderr` by
            default.
        writer: Who writes: ``caller`` or ``thread``.
        max_queue_size: Lines that may wait for the thread.
        max_queue_bytes: Their size, in bytes or as ``"16 MB"``.
        when_full: What happens to a line for which there is no room: ``block``
            waits, ``drop_oldest`` and ``drop_newest`` drop and count.
        close_timeout: Seconds that `flush`, `close` and the process's end wait
            for the thread at most.

    Raises:
        ConfigError: If an option cannot work.
    """

    def __init__(
        self,
        stream: Any = None,
        *,
        writer: str = CALLER,
        max_queue_size: int = 10_000,
        max_queue_bytes: int | str = "16 MB",
        when_full: str = BLOCK,
        close_timeout: float | str = 5.0,
    ) -> None:
        super().__init__(stream)
        name = getattr(self.stream, "name", None)
        self._use_writer(
            name=name if isinstance(name, str) else "stream",
            writer=writer,
            max_queue_size=max_queue_size,
            max_queue_bytes=max_queue_bytes,
            when_full=when_full,
            close_timeout=close_timeout,
        )
        self._begin()
        _handlers.add(self)

    def flush(self) -> None:
        """
        Have what was logged before written; the thread is waited for *close_timeout*.
        """
        if self._outlet is not None:
            self._outlet.flush()
        else:
            self._write_waiting()  # of a write that a signal handler's error ended
        with suppress(Exception):  # closed, or as broken as any stream may be
            self.stream.flush()

    def close(self) -> None:
        """Write what waits; a record that still comes is written all the same."""
        if self._outlet is not None:
            self._outlet.close()
        super().close()

    def statistics(self) -> StreamStatistics:
        """Return what happened to the lines since this process began."""
        outlet = self._outlet
        return StreamStatistics(
            written=self._written,
            bytes=self._bytes,
            waiting=len(self._lines) if outlet is None else len(outlet),
            dropped=self._refused
            + self._unformatted
            + (0 if outlet is None else outlet.dropped),
            last_error=self._last_error,
        )

    def after_fork(self) -> None:
        """Start clean in a forked child."""
        self._begin()

    def _begin(self) -> None:
        self._lines: deque[bytes] = deque()  # that the caller writes
        self._is_busy = False
        self._written = 0
        self._bytes = 0
        self._refused = 0
        self._last_error: str | None = None
        self._taken: list[int] = []  # bytes of the lines that come first
        self._owes_line_feed = False  # after half of a line that was given up
        self._known: int | None = None  # the descriptor that this is for:
        self._at_once: WriteAtOnce | None = None

    def _write_line(self, line: bytes) -> None:
        self._lines.append(line)
        self._write_waiting()

    def _write_waiting(self) -> None:
        self.acquire()
        try:
            self._write_in_turn()
        finally:
            self.release()

    # No loop stands inside a ``try``; `waiting` says why.

    def _write_in_turn(self) -> None:
        # A signal handler that logs while its thread is in here is not waited for:
        # the call around it writes its line too.
        while self._lines and not self._is_busy:
            self._is_busy = True
            try:
                with suppress(Exception):  # what the program itself printed
                    self.stream.flush()
                self._write_lines(self._lines)
            finally:
                self._is_busy = False

    def _write_lines(self, lines: deque[bytes]) -> None:
        try:
            self._settle(lines)  # if a signal handler raised amid the last write
            self._write_all(lines, self._descriptor())
        except Exception as error:
            self._last_error = str(error)
            self._refused += len(lines)
            lines.clear()
            self._owes_line_feed |= sum(self._taken) > 0
            self._taken.clear()
            self._report(
                "write", f"cannot write: {error}; {self._refused} records lost so far"
            )

    def _write_all(self, lines: deque[bytes], descriptor: int | None) -> None:
        while lines and descriptor is not None and self._owes_line_feed:
            self._pay_line_feed(descriptor)
        while lines:
            if descriptor is None:
                self._write_text(lines[0])
                self._taken.append(len(lines[0]))
                self._settle(lines)
                continue
            at_once = self._at_once_for(descriptor)
            if not at_once or not self._write_some(at_once, descriptor, lines):
                self._write_some(_write_and_wait, descriptor, lines)

    def _write_at_once(self, lines: deque[bytes]) -> None:
        """Write of the first of *lines* what can be written without waiting."""
        with suppress(Exception):  # the thread will find it, too, and say so
            descriptor = self._descriptor()
            if descriptor is None or self._owes_line_feed or self._taken:
                return
            at_once = self._at_once_for(descriptor)
            if at_once:
                self._write_some(at_once, descriptor, lines)

    def _at_once_for(self, descriptor: int) -> WriteAtOnce | None:
        if descriptor != self._known:
            self._at_once = write_at_once_for(descriptor)
            self._known = descriptor
        return self._at_once

    def _write_some(
        self, write: WriteAtOnce, descriptor: int, lines: deque[bytes]
    ) -> int:
        """Write what goes out in one piece; return how many bytes were taken."""
        before = sum(self._taken)
        try:
            write(descriptor, _in_one_piece(lines, before), self._taken)
            return sum(self._taken) - before
        finally:
            # Also if a signal handler raised meanwhile: written is written.
            self._settle(lines)

    def _settle(self, lines: deque[bytes]) -> None:
        """Take away from *lines* what is out."""
        while lines and sum(self._taken) >= len(lines[0]):
            self._bytes += len(lines[0])
            self._written += 1
            take_first(lines, self._taken)
        if not sum(self._taken):
            self._taken.clear()

    def _pay_line_feed(self, descriptor: int) -> None:
        paid: list[int] = []
        _write_and_wait(descriptor, b"\n", paid)
        self._owes_line_feed = not paid

    def _write_text(self, line: bytes) -> None:
        self.stream.write(line.decode())
        self.stream.flush()

    def _descriptor(self) -> int | None:
        """
        Return what bytes can be written to; ``None``: the stream takes text only.

        A stream that would change what it is given (compress it, say) has a
        descriptor too, but is no plain file underneath.
        """
        if sys.platform == "win32":  # its console has an encoding of its own
            return None
        binary = getattr(self.stream, "buffer", self.stream)
        is_plain = isinstance(getattr(binary, "raw", binary), io.FileIO)
        return self.stream.fileno() if is_plain else None


def _in_one_piece(lines: deque[bytes], out: int) -> bytes:
    """
    Return what to write next: a long line, or as many as stay in one piece.

    Args:
        lines: At least one.
        out: Bytes of the first one that are out already.
    """
    size, count = len(lines[0]), 1
    while count < len(lines) and size + len(lines[count]) <= _AT_ONCE:
        size += len(lines[count])
        count += 1
    data = lines[0] if count == 1 else b"".join([lines[each] for each in range(count)])
    return data[out:]


def _write_and_wait(descriptor: int, data: bytes, taken: list[int]) -> None:
    """Write *data* as `WriteAtOnce` does, but wait until some of it is taken."""
    try:
        taken.extend(map(os.write, (descriptor,), (data,)))
    except BlockingIOError:  # somebody made it so, and it is full
        poll = native.poll()
        poll.register(descriptor, select.POLLOUT)
        poll.poll(_LOOK_AGAIN)


_handlers: weakref.WeakSet[StreamHandler] = weakref.WeakSet()


def _after_fork() -> None:
    for handler in members(_handlers):
        handler.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
