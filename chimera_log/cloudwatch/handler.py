"""
The handler for CloudWatch Logs: `logging`'s options, checked, become a route.
"""

from __future__ import annotations

import logging
import os
import time

from chimera_log import options
from chimera_log.aws.access import access_of
from chimera_log.cloudwatch import rules, sender
from chimera_log.cloudwatch.batch import Event
from chimera_log.cloudwatch.delivery import NOTHING, Pace
from chimera_log.cloudwatch.memory import DROP_OLDEST, WHEN_FULL, Bounds
from chimera_log.cloudwatch.notices import OWN_LOGGER
from chimera_log.cloudwatch.route import Destination, Options
from chimera_log.files.lines import LineHandler
from chimera_log.options import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from chimera_log.cloudwatch.delivery import Statistics
    from chimera_log.cloudwatch.route import Route

_MIN_SPOOL_BYTES = 1_000_000
_MIN_EVENT_BYTES = 1_024
_MOMENT = 1.0  # seconds after a flush in vain, in which `close` does not try again


class CloudWatchHandler(LineHandler):
    """
    Send each record to CloudWatch Logs, in batches, from a background thread.

    The call that logs never waits for the network: the line is formatted in the
    caller's thread and put into a queue.  Nothing touches AWS, and boto3 is not
    imported, before the first record; then the thread makes the group, the stream
    and the retention policy, and delivers in order, at least once.  Handlers with
    one destination share their queue, and all of them one thread.

    While AWS is away, records wait, and nothing else in the service is affected.
    With *spool_dir* they wait on disk: what was logged survives the process, also
    if it is killed, and the next one delivers it.  Without it they wait in memory,
    and the process's end gets *close_timeout* to deliver them.  Where there is no
    room any more, records are dropped and counted: `statistics` says how many, one
    line a minute on stderr does, and on recovery an event
    ``cloudwatch_records_dropped`` in the stream itself.

    The permissions that it needs are logs:CreateLogGroup, logs:CreateLogStream,
    logs:PutLogEvents and logs:PutRetentionPolicy; only PutLogEvents is needed where
    the rest is made by others.

    Args:
        log_group_name: The group; made if it is not there.  May use
            ``${NAME:-default}``.
        log_stream_name: The stream; may use ``{hostname}``, ``{time}`` (UTC, when
            the process began to log), ``{pid}`` and ``{random}``.
        region_name: The region; without it, as boto3 finds it.
        profile_name: The profile in the AWS configuration files.
        endpoint_url: Another address than AWS's own, a VPC endpoint's, say.
        client_factory: A callable, or the dotted path of one, that makes the
            client: it is given botocore's `Config` with our timeouts and is called
            in the sending thread, also after credentials expired.
        retention_in_days: How long AWS keeps the group, one of its own values, such
            as 30 or 1096 (three years); ``None`` leaves the group's policy alone.
        max_batch_count: Records that make a batch due at once.  A trigger, no cap:
            a backlog goes out in requests of up to 10,000.
        flush_interval: Seconds, or text such as ``"5 s"``, that a record waits for
            company.
        spool_dir: A folder for what waits; processes may share it.
        max_spool_bytes: Its size for each process, at most; the oldest records go
            first.
        max_queue_size: Records that may wait in memory.
        max_queue_bytes: Their size, in bytes or as ``"64 MB"``.
        when_full: What happens without room in memory: ``drop_oldest`` or
            ``drop_newest``.
        max_event_bytes: A longer line is shortened, marked, and stays valid JSON;
            AWS takes 1,048,550 bytes.
        close_timeout: Seconds that `flush`, `close` and the process's end wait at
            most, all handlers together.
        tags: Of the group, when we make it; needs logs:TagResource.
        kms_key_id: The key that encrypts the group, when we make it; the key's
            policy must allow CloudWatch Logs to use it.
        log_group_class: ``STANDARD`` or ``INFREQUENT_ACCESS``, when we make it.

    Raises:
        ConfigError: If an option cannot work.
    """

    def __init__(
        self,
        log_group_name: str = "Chimera",
        log_stream_name: str = "{hostname}/{time}-{pid}-{random}",
        *,
        region_name: str | None = None,
        profile_name: str | None = None,
        endpoint_url: str | None = None,
        client_factory: str | Callable[[Any], Any] | None = None,
        retention_in_days: int | None = 30,
        max_batch_count: int = 100,
        flush_interval: float | str = 5.0,
        spool_dir: str | os.PathLike[str] | None = None,
        max_spool_bytes: int | str = "256 MB",
        max_queue_size: int = 100_000,
        max_queue_bytes: int | str = "64 MB",
        when_full: str = DROP_OLDEST,
        max_event_bytes: int | str = 1_000_000,
        close_timeout: float | str = 5.0,
        tags: dict[str, str] | None = None,
        kms_key_id: str | None = None,
        log_group_class: str | None = None,
    ) -> None:
        super().__init__()
        group = rules.log_group_name(log_group_name)
        self._name_it(f"CloudWatch Logs, {group}")
        self._destination = Destination(
            access_of(region_name, profile_name, endpoint_url, client_factory),
            group,
            rules.log_stream_name(log_stream_name),
            _folder(spool_dir),
        )
        pace = Pace(
            options.count("max_batch_count", max_batch_count, minimum=1),
            options.duration("flush_interval", flush_interval),
            _event_bytes(max_event_bytes),
        )
        bounds = Bounds(
            options.count("max_queue_size", max_queue_size, minimum=1),
            options.size("max_queue_bytes", max_queue_bytes, minimum=1),
            options.choice("when_full", when_full, WHEN_FULL),
        )
        extras = {
            "tags": rules.tags(tags),
            "kmsKeyId": rules.kms_key_id(kms_key_id),
            "logGroupClass": rules.log_group_class(log_group_class),
        }
        self._options = Options(
            rules.retention_in_days(retention_in_days),
            {name: value for name, value in extras.items() if value is not None},
            pace,
            bounds,
            options.size("max_spool_bytes", max_spool_bytes, minimum=_MIN_SPOOL_BYTES),
            options.duration("close_timeout", close_timeout),
        )
        # Shared at the first record: a handler that is built to be discarded, as a
        # check does, changes nothing for the one that runs.
        self._route: Route | None = None
        self._is_open = False
        self._gave_up_at = float("-inf")

    @property
    def log_group_name(self) -> str:
        """The group that it sends to."""
        return str(self._destination.log_group_name)

    @property
    def log_stream_name(self) -> str:
        """The stream, as it was given: a template."""
        return str(self._destination.log_stream_name)

    def handle(self, record: logging.LogRecord) -> Any:
        """Filter *record* and send it, unless it comes from the sending itself."""
        # Before any lock: the sending thread must not wait for whoever waits for it.
        return not sender.is_own(record) and super().handle(record)

    def emit(self, record: logging.LogRecord) -> None:
        """Have *record* sent; returns at once, and never raises."""
        try:
            message = self._message(record)
            route = self._route
            if route is None or not self._is_open:
                route = self._open()
            # What `Event` does itself, in half the time.
            event = tuple.__new__(Event, (_milliseconds(record.created), message))
            route.put(event)
        except Exception:
            self.handleError(record)

    def flush(self) -> None:
        """
        Have what was logged before delivered; waits for at most *close_timeout*.

        At the end of a Lambda invocation, this is what has to be called.
        """
        if self._route is not None and not sender.flush(
            [self._route], self._options.close_timeout
        ):
            self._gave_up_at = time.monotonic()

    def close(self) -> None:
        """
        Have what was logged delivered, as `flush` does.

        It does not wait where another handler has the same destination, nor under
        logging's own lock, as when `dictConfig` replaces this handler: the thread
        delivers what is left.  A record that still comes is sent all the same.
        """
        if self._route is not None and self._is_open:
            self._is_open = False
            self._route.users.discard(self)
            if not self._route.users:
                # `logging.shutdown` calls flush and close: one wait is enough.
                is_hopeless = time.monotonic() - self._gave_up_at < _MOMENT
                timeout = 0.0 if is_hopeless else self._options.close_timeout
                sender.let_go(self._route, timeout)
        super().close()

    def succeed(self, old: logging.Handler) -> None:
        """
        Take over from *old*, which is about to be closed.

        Where both have one destination, what *old* has left is delivered with what
        comes, and nobody has to wait for it.
        """
        if not isinstance(old, CloudWatchHandler) or not old._is_open:
            return
        if old._destination == self._destination:
            self._open()

    def statistics(self) -> Statistics:
        """
        Return what became of the records since this process began.

        Handlers with one destination share these figures.
        """
        if self._route is None:
            found = NOTHING
        else:
            found = self._route.statistics(time.monotonic())
        return found._replace(
            enqueued=found.enqueued + self._unformatted,
            dropped=found.dropped + self._unformatted,
        )

    def _open(self) -> Route:
        self._route = route = sender.shared(self._destination, self._options)
        route.users.add(self)
        route.describe = self._describe
        self._is_open = True
        return route

    def _describe(self, event: str, context: dict[str, Any]) -> bytes:
        """Return the line of an event of our own."""
        level = logging.WARNING
        record = logging.LogRecord(OWN_LOGGER, level, __file__, 0, event, None, None)
        record.__dict__["context"] = context
        return self._message(record)

    def _message(self, record: logging.LogRecord) -> bytes:
        """Return the line of *record*, without the line feed that files need."""
        return self.format(record).encode("utf-8", "backslashreplace")


def _folder(value: Any) -> str | None:
    """Return the absolute path that *value* means."""
    given = os.fspath(value) if isinstance(value, os.PathLike) else value
    path = options.text("spool_dir", given)
    if path is None:
        return None
    if "\0" in path:
        raise ConfigError(f"spool_dir: {value!r} is no folder's name; write another")
    path = os.path.abspath(os.path.expanduser(path))
    if os.path.exists(path) and not os.path.isdir(path):
        raise ConfigError(f"spool_dir: {value!r} is no folder; name another")
    return path


def _event_bytes(value: Any) -> int:
    size = options.size("max_event_bytes", value, minimum=_MIN_EVENT_BYTES)
    if size > rules.MAX_EVENT_BYTES:
        raise ConfigError(
            f"max_event_bytes: {value!r} is more than AWS takes; use at most "
            f"{rules.MAX_EVENT_BYTES} bytes"
        )
    return size


def _milliseconds(created: Any) -> int:
    """Return the time of a record as AWS takes it: the line's, to the millisecond."""
    try:
        # The line rounds to the microsecond: from half of one below, a millisecond
        # is over.
        return int(created * 1000 + 0.0005)
    except (ArithmeticError, TypeError, ValueError):  # somebody made the record
        return int(time.time() * 1000)
