"""
Log files: append-only segments, and the handlers that write them.

From `logging` down to the system:

- `handlers` and `stream` are the bridge to `logging`, `lines` what both share.
- `outlet` is the queue of ``writer: thread``, and its thread.
- `engines` gives handlers on one path one engine, and all of them two threads.
- `policy` is what an engine is told about how to behave, and what it tells.

The engine knows bytes, not records.  Each of these four is made of the next:

- `segments` is the whole of it: append, flush, rotate, close, fork, exit.
- `waiting` keeps lines in order until they are written, many in one call.
- `rotation` says when the active file is full, and renames it.
- `active` is the one open file: locked, looked at, mended.

What is done behind the writers' back:

- `durable` has the disk keep what was written.
- `room` looks at how full the disk is.
- `upkeep` finds out what full files need; `retention` says which of them may go,
  `compress` makes the others smaller.

What these stand on:

- `names` are those of full files; `aside` is the hidden folder.
- `opening` says how files are opened and made.
- `settling` takes away what was written, whatever signal handlers do.
- `syscalls` are those that keep the GIL.
"""

from chimera_log.files.handlers import RotatingFileHandler
from chimera_log.files.stream import StreamHandler

__all__ = ["RotatingFileHandler", "StreamHandler"]
