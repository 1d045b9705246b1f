"""
Formatters for dictConfig: a record as one line of JSON.

Name them by ``()`` in YAML.  Under ``class:`` dictConfig passes nothing but
``format``, ``datefmt`` and ``style``, and silently drops every other option.

How a line comes about is told in `line`, `record`, `values` and `redact`; here
are the options and the bridge to `logging`.
"""

from __future__ import annotations

import logging

from chimera_log import options
from chimera_log.line import MIN_LINE_BYTES, Layout
from chimera_log.options import ConfigError
from chimera_log.redact import Redactor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class JsonFormatter(logging.Formatter):
    """
    Format a record as one line of strict JSON.

    The line holds ``timestamp``, ``level``, ``module`` (the logger's name),
    ``event`` (the message) and ``context``; then ``exception`` and ``stack``
    where the record has them.  Whatever a caller logs, the line is valid, and
    the record is left as it was found.  A value that cannot be shown is marked
    in its place; a line that would grow too long loses its largest context
    values first and says ``"truncated":true``.

    Holds nothing of a record, so that handlers and threads may share one.

    Args:
        fmt: Must be ``None``, as must the next two: a line of JSON has no
            format string.  They are here because dictConfig passes them.
        datefmt: See *fmt*.
        style: Ignored.
        validate: Ignored.
        defaults: See *fmt*.
        fields: Output name to source, in the order wanted, as in
            ``{"@timestamp": timestamp, "message": event, "line": lineno}``.
            Sources are the seven fields above and the record's ``filename``,
            ``funcName``, ``levelno``, ``lineno``, ``pathname``, ``process``,
            ``processName``, ``taskName``, ``thread`` and ``threadName``.  A
            field that is not listed keeps its name and follows.
        static: Fields of every line, such as ``{"service": bot}``.
        max_line_bytes: Longest line in bytes, its line feed included; at least
            4,096.  The default, 1 MB, is what CloudWatch Logs takes as one
            event (1,048,576 bytes, PutLogEvents) with room for an audit trail's
            chain.
        redact: ``True`` hides secrets by the built-in rules, ``False`` nothing;
            a mapping with ``keys`` and ``patterns`` changes the rules, see
            `chimera_log.redact.Redactor`.

    Raises:
        ConfigError: If an option cannot work.
    """

    def __init__(
        self,
        fmt: None = None,
        datefmt: None = None,
        style: str = "%",  # noqa: ARG002  stdlib's signature, which dictConfig calls
        validate: bool = True,  # noqa: ARG002  the same
        *,
        defaults: None = None,
        fields: Mapping[str, str] | None = None,
        static: Mapping[str, Any] | None = None,
        max_line_bytes: int | str = 1_000_000,
        redact: bool | Mapping[str, list[str]] = True,
    ) -> None:
        for name, value in (
            ("format", fmt),
            ("datefmt", datefmt),
            ("defaults", defaults),
        ):
            if value is not None:
                raise ConfigError(
                    f"{name}: {value!r}: a line of JSON has no format string; "
                    "remove it, and use fields to rename or reorder"
                )
        super().__init__()
        self.layout = Layout(
            options.mapping("fields", {} if fields is None else fields),
            options.mapping("static", {} if static is None else static),
            options.size("max_line_bytes", max_line_bytes, minimum=MIN_LINE_BYTES),
            Redactor.from_option(redact),
        )

    def format(self, record: logging.LogRecord) -> str:
        """Return *record* as one line, without its line feed."""
        return self.layout.encode(record)

    def format_bytes(self, record: logging.LogRecord) -> bytes:
        """Return *record* as the bytes that are written, line feed included."""
        # By `format`, which a subclass may have changed.
        return f"{self.format(record)}\n".encode("utf-8", "backslashreplace")
