"""
CloudWatch Logs: a handler that loses nothing and holds nobody up.

From `logging` down to the API:

- `handler` is the bridge to `logging`: options, checked.
- `sender` is the one thread, and what happens at a flush, a fork, the end.
- `route` is what handlers with one destination share; `notices` tells of trouble.
- `delivery` brings a queue to a stream, step by step; `place` makes the stream.
- `client` makes the four calls, and says what their errors mean.

Where records wait:

- `memory` is the bounded queue.
- `spool` is the one on disk, which outlives its process.

What is decided, by functions and classes that do no I/O and are told the time:

- `rules` are AWS's limits; `batch` keeps within them, `oversize` shortens.
- `poison` finds the event that AWS does not take.
"""

from chimera_log.cloudwatch.handler import CloudWatchHandler

__all__ = ["CloudWatchHandler"]
