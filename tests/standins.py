"""
What the configurations in ``data/good`` name: stand-ins for other projects' classes.
"""

from __future__ import annotations

import logging
import logging.handlers
from pathlib import Path
from typing import Any


class RequireDebug(logging.Filter):
    """Lets records pass, or none, as Django's does by its settings."""

    def __init__(self, *, debug: bool = False) -> None:
        super().__init__()
        self.debug = debug

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002  logging's signature
        """Whether to let it pass."""
        return not self.debug


class UpTo(logging.Filter):
    """Lets records pass up to a level."""

    def __init__(self, level: str) -> None:
        super().__init__()
        self.level = int(getattr(logging, level))

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is low enough."""
        return record.levelno <= self.level


class AdminEmailHandler(logging.Handler):
    """Sends no mail."""

    def __init__(
        self, include_html: bool = False, email_backend: str | None = None
    ) -> None:
        super().__init__()
        self.include_html, self.email_backend = include_html, email_backend

    def emit(self, record: logging.LogRecord) -> None:
        """Do nothing."""


class FileTaskHandler(logging.Handler):
    """Would write a file for each task."""

    def __init__(self, base_log_folder: str, max_bytes: int = 0) -> None:
        super().__init__()
        self.base_log_folder, self.max_bytes = base_log_folder, max_bytes

    def emit(self, record: logging.LogRecord) -> None:
        """Do nothing."""


class TaskFormatter(logging.Formatter):
    """Made as any formatter is."""


class StyledFormatter(logging.Formatter):
    """Takes an option of its own, so that it must be made by ``()``."""

    def __init__(
        self,
        format: str | None = None,
        datefmt: str | None = None,
        *,
        styles: dict[str, str] | None = None,
    ) -> None:
        super().__init__(format, datefmt)
        self.styles = styles


class FlushingHandler(logging.handlers.MemoryHandler):
    """Would flush from time to time."""

    def __init__(self, period: int, **options: Any) -> None:
        super().__init__(**options)
        self.period = period


class ListeningHandler(logging.Handler):
    """Hands records to the handlers that it is given, later."""

    def __init__(self, handlers: list[Any] | None = None) -> None:
        super().__init__()
        self.sinks = handlers

    def emit(self, record: logging.LogRecord) -> None:
        """Do nothing."""


def file_of(
    filename: str, mode: str = "a", owner: str | None = None
) -> logging.FileHandler:
    """Return a handler of a file that would belong to *owner*."""
    Path(filename).touch()
    handler = logging.FileHandler(filename, mode, encoding="utf-8", delay=True)
    handler.owner = owner  # type: ignore[attr-defined]
    return handler
