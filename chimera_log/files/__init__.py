"""
Log files: append-only segments, and the handlers that write them.

- `segments` names, appends, rotates and prunes; it knows no record.
- `handlers` is the bridge to `logging`.
"""

from chimera_log.files.handlers import RotatingFileHandler

__all__ = ["RotatingFileHandler"]
