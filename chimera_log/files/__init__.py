"""
Log files: append-only segments, and the handlers that write them.

- `handlers` and `stream` are the bridge to `logging`, `lines` what both share.
- `outlet` is the queue of ``writer: thread``.
- `segments` queues what cannot be written, rotates and prunes; it knows no record.
- `active` is the one open file: locked, looked at, mended.
- `retention` decides which full files may go.
- `names`, `aside`, `opening` and `syscalls` are what these stand on: names of
  segments, the hidden folder, how files are opened and made, and system calls
  that keep the GIL.
"""

from chimera_log.files.handlers import RotatingFileHandler
from chimera_log.files.stream import StreamHandler

__all__ = ["RotatingFileHandler", "StreamHandler"]
