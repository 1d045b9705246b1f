"""
What CloudWatch Logs accepts, as AWS documents it.

Written from the API's reference and its service model, and from nothing of ours:
a limit that the package has wrong must not be wrong here too.  Emulators enforce
almost none of this.
"""

from __future__ import annotations

import re
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MAX_COUNT = 10_000
MAX_BYTES = 1_048_576  # of a batch, and of each event in it
OVERHEAD = 26  # bytes that each event counts for beside its message
DAY_MS = 24 * 60 * 60 * 1000
MAX_SPAN_MS = DAY_MS
MAX_AGE_MS = 14 * DAY_MS
MAX_AHEAD_MS = 2 * 60 * 60 * 1000
MAX_TAGS = 50

GROUP = re.compile(r"[.\-_/#A-Za-z0-9]{1,512}")
STREAM = re.compile(r"[^:*]{1,512}", re.DOTALL)
TAG_TEXT = re.compile(r"[\w\s.:/=+\-@]*")  # as near as `re` comes to AWS's classes
RETENTION_DAYS = {1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731}
RETENTION_DAYS |= {1096, 1827, 2192, 2557, 2922, 3288, 3653}
CLASSES = {"STANDARD", "INFREQUENT_ACCESS", "ESSENTIALS", "DELIVERY"}


class Violation(Exception):  # noqa: N818  # it is told, and no error of this program
    """A call broke a rule; the text says which."""


def check(operation: str, request: dict[str, Any]) -> None:
    """
    Check what is documented about the parameters of *operation*.

    Raises:
        Violation: AWS would answer with InvalidParameterException.
    """
    for checked in CHECKS.get(operation, ()):
        checked(request)


def left_out(
    timestamps: Sequence[int], retention_days: int | None, now_ms: int | None = None
) -> dict[str, int]:
    """
    Return what ``rejectedLogEventsInfo`` says of a batch that AWS accepts.

    Args:
        timestamps: Of the events, in order.
        retention_days: The group's; ``None`` keeps everything.
        now_ms: The time, in milliseconds since the epoch; by default the clock's.
    """
    now = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    info = {}
    if old := _count(timestamps, lambda at: at < now - MAX_AGE_MS):
        info["tooOldLogEventEndIndex"] = old
    if retention_days is not None:
        oldest = now - retention_days * DAY_MS
        if expired := _count(timestamps, lambda at: at < oldest):
            info["expiredLogEventEndIndex"] = expired
    if new := _count(timestamps, lambda at: at > now + MAX_AHEAD_MS):
        info["tooNewLogEventStartIndex"] = len(timestamps) - new
    return info


def kept(count: int, info: dict[str, int]) -> range:
    """Return the indexes of those of *count* events that *info* does not leave out."""
    ends = info.get("tooOldLogEventEndIndex", 0), info.get("expiredLogEventEndIndex", 0)
    return range(max(ends), info.get("tooNewLogEventStartIndex", count))


def _count(timestamps: Sequence[int], condition: Callable[[int], bool]) -> int:
    return sum(map(condition, timestamps))


def _group(request: dict[str, Any]) -> None:
    name = request.get("logGroupName")
    if not isinstance(name, str) or not GROUP.fullmatch(name):
        raise Violation(f"logGroupName {_shown(name)}")


def _new_group(request: dict[str, Any]) -> None:
    if request["logGroupName"].startswith("aws/"):
        raise Violation(
            f"logGroupName {_shown(request['logGroupName'])}: aws/ is AWS's"
        )


def _stream(request: dict[str, Any]) -> None:
    name = request.get("logStreamName")
    if not isinstance(name, str) or not STREAM.fullmatch(name) or not _is_text(name):
        raise Violation(f"logStreamName {_shown(name)}")


def _retention(request: dict[str, Any]) -> None:
    days = request.get("retentionInDays")
    if type(days) is not int or days not in RETENTION_DAYS:
        raise Violation(f"retentionInDays {_shown(days)}")


def _class(request: dict[str, Any]) -> None:
    name = request.get("logGroupClass", "STANDARD")
    if name not in CLASSES:
        raise Violation(f"logGroupClass {_shown(name)}")


def _key(request: dict[str, Any]) -> None:
    key = request.get("kmsKeyId", "")
    if not isinstance(key, str) or len(key) > 256:
        raise Violation(f"kmsKeyId {_shown(key)}")


def _tags(request: dict[str, Any]) -> None:
    if "tags" not in request:
        return
    tags = request["tags"]
    if not isinstance(tags, dict) or not 1 <= len(tags) <= MAX_TAGS:
        raise Violation(f"tags: 1 to {MAX_TAGS} of them, not {_shown(tags)}")
    for key, value in tags.items():
        if (
            not isinstance(value, str)
            or not 1 <= len(key) <= 128
            or len(value) > 256
            or not TAG_TEXT.fullmatch(key + value)
            or key.startswith("aws:")
        ):
            raise Violation(f"tags: {_shown(key)}: {_shown(value)}")


def _events(request: dict[str, Any]) -> None:
    events = request.get("logEvents")
    if not isinstance(events, list) or not 1 <= len(events) <= MAX_COUNT:
        count = len(events) if isinstance(events, list) else _shown(events)
        raise Violation(f"logEvents: 1 to {MAX_COUNT} of them, not {count}")
    size = sum(_size(index, event) for index, event in enumerate(events))
    if size > MAX_BYTES:
        raise Violation(f"logEvents: {size} bytes; the limit is {MAX_BYTES}")
    timestamps = [event["timestamp"] for event in events]
    for earlier, later in pairwise(timestamps):
        if later < earlier:
            raise Violation(f"logEvents: {later} after {earlier}: not chronological")
    if (span := timestamps[-1] - timestamps[0]) > MAX_SPAN_MS:
        raise Violation(f"logEvents: span {span} ms; the limit is {MAX_SPAN_MS}")


def _size(index: int, event: Any) -> int:
    """Return what *event* counts for, once it is known to be one."""
    where = f"logEvents[{index}]"
    if not isinstance(event, dict):
        raise Violation(f"{where}: {_shown(event)}")
    timestamp, message = event.get("timestamp"), event.get("message")
    if type(timestamp) is not int or timestamp < 0:
        raise Violation(f"{where}.timestamp {_shown(timestamp)}")
    if not isinstance(message, str) or not message or not _is_text(message):
        raise Violation(f"{where}.message {_shown(message)}")
    size = len(message.encode()) + OVERHEAD
    if size > MAX_BYTES:
        raise Violation(f"{where}: {size} bytes; the limit is {MAX_BYTES}")
    return size


def _is_text(text: str) -> bool:
    """Whether *text* has a form in UTF-8, which a lone surrogate has not."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}... ({len(text)} characters)"


CHECKS: dict[str, tuple[Callable[[dict[str, Any]], None], ...]] = {
    "CreateLogGroup": (_group, _new_group, _class, _key, _tags),
    "CreateLogStream": (_group, _stream),
    "PutRetentionPolicy": (_group, _retention),
    "PutLogEvents": (_group, _stream, _events),
}
