"""
What our handlers share: a record becomes one line of bytes, once, and is written
by the caller or by a thread.
"""

from __future__ import annotations

import logging
import sys

from chimera_log import options
from chimera_log.files.outlet import WHEN_FULL, Bounds, Outlet
from chimera_log.report import report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable
    from typing import Any

CALLER, THREAD = WRITERS = ("caller", "thread")


class LineHandler(logging.Handler):
    """
    A handler that writes lines.

    Each record is formatted in the thread that logs it, outside the handler's
    lock, so that what the caller does to its context afterwards changes nothing.

    Subclasses call `_use_writer` in their constructor, and say how lines are
    written: `_write_line` in the caller, `_write_lines` in the thread, and
    `_write_at_once`, if there is a write that never waits, in the caller when no
    other line is waiting for the thread.
    """

    terminator = "\n"
    _write_at_once: Callable[[deque[bytes]], object] | None = None
    _outlet: Outlet | None = None  # by default, the caller writes

    def _use_writer(
        self,
        *,
        name: str,
        writer: str,
        max_queue_size: int,
        max_queue_bytes: int | str,
        when_full: str,
        close_timeout: float | str,
    ) -> None:
        """
        Take the options that say who writes.

        Args:
            name: What is written to, for reports.
            writer: ``caller`` or ``thread``.
            max_queue_size: See `chimera_log.files.outlet.Bounds`, as for the rest.
            max_queue_bytes: As bytes or text such as ``"16 MB"``.
            when_full: One of `WHEN_FULL`.
            close_timeout: Seconds, or text such as ``"5 s"``.

        Raises:
            ConfigError: If an option cannot work.
        """
        self._name_it(name)
        bounds = Bounds(
            options.count("max_queue_size", max_queue_size, minimum=1),
            options.size("max_queue_bytes", max_queue_bytes, minimum=1),
            options.choice("when_full", when_full, WHEN_FULL),
            options.duration("close_timeout", close_timeout),
        )
        if options.choice("writer", writer, WRITERS) == THREAD:
            self._outlet = Outlet(
                f"chimera_log: {name}",
                bounds,
                self._write_lines,
                self._report,
                self._write_at_once,
            )

    def _name_it(self, name: str) -> None:
        """Be called *name* in reports."""
        self._named = name
        self._unformatted = 0

    def handle(self, record: logging.LogRecord) -> Any:
        """
        Filter *record*, then format it outside the lock, and write it.

        A filter that raises has decided nothing: the record is written.
        """
        try:
            passed: Any = self.filter(record)
        except Exception as error:
            self._report(
                "filter",
                f"a filter failed ({type(error).__name__}: {error}); its record is kept",
            )
            passed = True
        if isinstance(passed, logging.LogRecord):  # since Python 3.12, another one
            record = passed
        if passed:
            self.emit(record)
        return passed

    def emit(self, record: logging.LogRecord) -> None:
        """Write *record*, or hand it to the thread that does; never raises."""
        try:
            line = self._line(record)
            if self._outlet is None:
                self._write_line(line)
            else:
                self._outlet.put(line)
        except Exception:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802  stdlib's name
        """Count a record that could not be formatted, and report it on stderr."""
        self._unformatted += 1
        error = sys.exc_info()[1]
        self._report(
            "format",
            f"{type(error).__name__}: {error}; {self._unformatted} records not "
            "formatted so far",
        )

    def _write_line(self, line: bytes) -> object:
        """Write one line, in the thread that logged it."""
        raise NotImplementedError

    def _write_lines(self, lines: deque[bytes]) -> object:
        """Write lines, in the writing thread; see `Outlet`."""
        raise NotImplementedError

    def _line(self, record: logging.LogRecord) -> bytes:
        format_bytes: Callable[[logging.LogRecord], bytes] | None = getattr(
            self.formatter, "format_bytes", None
        )
        if format_bytes is not None:
            return format_bytes(record)
        return (self.format(record) + self.terminator).encode(
            "utf-8", "backslashreplace"
        )

    def _report(self, kind: str, message: str) -> None:
        report(f"{self._named}: {kind}", f"{self._named}: {message}")
