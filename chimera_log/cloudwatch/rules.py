"""
What CloudWatch Logs accepts: its limits, and checks of what people configure.

The numbers and names are the API's, from the documentation of PutLogEvents,
CreateLogGroup, CreateLogStream and PutRetentionPolicy; none is an option.  AWS
would refuse a wrong name at the first record, far from whoever wrote it, so each
check here refuses it at once, with a `ConfigError` that names the option, the
value and the remedy.

Pure: nothing is asked of AWS, and of the environment only what ``${VAR}`` says.
"""

from __future__ import annotations

import re
import string
import unicodedata

from chimera_log import options
from chimera_log.options import ConfigError, did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_HOUR_MS = 60 * 60 * 1000

# One call of PutLogEvents.  A batch that breaks one of these is refused whole.
MAX_BATCH_COUNT = 10_000  # events
MAX_BATCH_BYTES = 1_048_576
EVENT_OVERHEAD_BYTES = 26  # counted for each event, on top of its message in UTF-8
MAX_BATCH_SPAN_MS = 24 * _HOUR_MS  # from the earliest event to the latest

# One event.  "No larger than 1 MB", and it must fit a batch of its own.
MAX_EVENT_BYTES = MAX_BATCH_BYTES - EVENT_OVERHEAD_BYTES
# An event outside of these is left out of a batch that is otherwise accepted.
MAX_AGE_MS = 14 * 24 * _HOUR_MS
MAX_AHEAD_MS = 2 * _HOUR_MS

# What PutRetentionPolicy takes; three years are 1096, and 1095 is refused.
RETENTION_DAYS = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731),
    *(1096, 1827, 2192, 2557, 2922, 3288, 3653),
)
# What CreateLogGroup takes as logGroupClass, which cannot be changed later.
CLASSES = ("STANDARD", "INFREQUENT_ACCESS", "ESSENTIALS", "DELIVERY")

MAX_NAME = 512  # characters, of a group's and of a stream's name
STREAM_FIELDS = ("hostname", "pid", "random", "time")
_NOT_IN_GROUP = re.compile(r"[^.\-_/#A-Za-z0-9]")
# The API forbids the first two.  Control characters would spoil a terminal, and
# lone surrogates, which a host's name may bring along, have no UTF-8.
_NOT_IN_STREAM = re.compile("[:*\x00-\x1f\x7f-\x9f\ud800-\udfff]")

_MAX_TAGS = 50
_MAX_TAG_KEY = 128  # characters, as is the next
_MAX_TAG_VALUE = 256
_MAX_KEY_ID = 256


def log_group_name(value: Any) -> str:
    """
    Return *value*, its variables expanded, if a log group may have that name.

    Raises:
        ConfigError: If it may not; or a variable without a default is unset.
    """
    name = _text("log_group_name", value)
    if found := _NOT_IN_GROUP.search(name):
        raise ConfigError(
            f"log_group_name: {name!r} contains {found[0]!r}; use letters from A to Z, "
            "digits and . - _ / # only"
        )
    _check_length("log_group_name", name)
    if name.startswith("aws/"):
        raise ConfigError(
            f"log_group_name: {name!r}: AWS keeps names that begin with 'aws/' for "
            "itself; begin it with another word"
        )
    return name


def log_stream_name(template: Any) -> str:
    """
    Return *template*, its variables expanded, if it makes names of log streams.

    It may use ``{hostname}``, ``{time}``, ``{pid}`` and ``{random}``, plainly:
    no conversions, formats or attributes.  A brace that is meant is doubled.

    Raises:
        ConfigError: If it uses anything else, or what no stream's name may
            contain; or a variable without a default is unset.
    """
    name = _text("log_stream_name", template)
    try:
        parts = list(string.Formatter().parse(name))
    except ValueError as error:
        raise ConfigError(
            f"log_stream_name: {name!r}: {error}; double a brace that begins no field, "
            "as in '{{'"
        ) from None
    for literal, field, form, conversion in parts:
        if found := _NOT_IN_STREAM.search(literal):
            raise ConfigError(
                f"log_stream_name: {name!r} contains {found[0]!r}, which no stream's "
                "name may; use '-', say"
            )
        if field is not None and field not in STREAM_FIELDS:
            hint = did_you_mean(field, STREAM_FIELDS)
            raise ConfigError(
                f"log_stream_name: {name!r}: {{{field}}} is no field; {hint}"
            )
        if form or conversion:
            raise ConfigError(
                f"log_stream_name: {name!r}: write fields plainly; use {{{field}}}"
            )
    _check_length("log_stream_name", name)
    return name


def stream_name(
    template: str, *, hostname: str, time: str, pid: int, random: str
) -> str:
    """
    Return the name of a stream, legal whatever the host is called.

    What no name may contain becomes ``-``.  A name that is too long loses its
    beginning: its end tells one process from another.

    Args:
        template: As `log_stream_name` returned it.
        hostname: Of this machine, if it has a name.
        time: When the process began to log, in UTC, without colons, such as
            ``2026-11-23T18-30-00Z``.
        pid: Of this process.
        random: What tells it from another process of this number.
    """
    name = template.format(hostname=hostname, time=time, pid=pid, random=random)
    return _NOT_IN_STREAM.sub("-", name)[-MAX_NAME:] or "-"


def retention_in_days(value: Any) -> int | None:
    """
    Return *value* if PutRetentionPolicy takes it, or it is ``None``.

    Raises:
        ConfigError: If not; it names the next longer retention that AWS takes.
    """
    if value is None:
        return None
    advice = "use one of"
    if isinstance(value, int) and not isinstance(value, bool):
        if value in RETENTION_DAYS:
            return value
        longer = (days for days in RETENTION_DAYS if days > value)
        advice = f"use {next(longer, RETENTION_DAYS[-1])}, or another of"
    listed = ", ".join(map(str, RETENTION_DAYS))
    raise ConfigError(
        f"retention_in_days: {value!r} is not accepted by CloudWatch; {advice} "
        f"{listed}; or null, which leaves the group's policy alone"
    )


def tags(value: Any) -> dict[str, str] | None:
    """
    Return *value*, the variables of its values expanded, if a group may have it.

    ``None`` if there are none.

    Raises:
        ConfigError: If it is no mapping of text to text, there are too many, or
            AWS takes no such tag; or a variable without a default is unset.
    """
    if value is None:
        return None
    given = options.mapping("tags", value)
    if len(given) > _MAX_TAGS:
        raise ConfigError(
            f"tags: {len(given)} are more than AWS takes; use at most {_MAX_TAGS}"
        )
    checked = {}
    for key, tag in given.items():
        if not key:
            raise ConfigError(f"tags: {key!r} is no name of a tag; name it")
        if key.lower().startswith("aws:"):
            raise ConfigError(
                f"tags: {key!r}: AWS keeps names that begin with 'aws:' for itself; "
                "choose another"
            )
        if not isinstance(tag, str):
            raise ConfigError(f"tags.{key}: {tag!r} is no text; write it in quotes")
        checked[key] = options.expand(f"tags.{key}", tag)
        _check_tag("tags", key, _MAX_TAG_KEY)
        _check_tag(f"tags.{key}", checked[key], _MAX_TAG_VALUE)
    return checked or None


def kms_key_id(value: Any) -> str | None:
    """
    Return *value*, its variables expanded, if it is the ARN of a key.

    ``None`` if it is ``None`` or nothing is left of it.

    Raises:
        ConfigError: If it is no ARN of a key; or a variable without a default is
            unset.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise ConfigError(f"kms_key_id: {value!r} is no text; write it in quotes")
    arn = options.expand("kms_key_id", value)
    if not arn:
        return None
    if len(arn) > _MAX_KEY_ID or not re.fullmatch(r"arn:[!-~]+:kms:[!-~]+", arn):
        raise ConfigError(
            f"kms_key_id: {arn!r} is not the ARN of a key; write it in full, as in "
            "'arn:aws:kms:eu-central-1:123456789012:key/...'"
        )
    return arn


def log_group_class(value: Any) -> str | None:
    """
    Return *value* if it is one of `CLASSES`, or ``None``.

    Raises:
        ConfigError: If it is neither.
    """
    return None if value is None else options.choice("log_group_class", value, CLASSES)


def _text(name: str, value: Any) -> str:
    """Return the text *value*, its variables expanded."""
    if not isinstance(value, str):
        raise ConfigError(f"{name}: {value!r} is no text; write it in quotes")
    expanded = options.expand(name, value)
    if not expanded:
        raise ConfigError(f"{name}: {value!r} is empty; write a name, or remove it")
    return expanded


def _check_length(option: str, name: str) -> None:
    if len(name) > MAX_NAME:
        raise ConfigError(
            f"{option}: {name!r} has {len(name)} characters; use at most {MAX_NAME}"
        )


def _check_tag(option: str, text: str, longest: int) -> None:
    """Refuse what a tag's key or value may not be."""
    if len(text) > longest:
        raise ConfigError(
            f"{option}: {text!r} has {len(text)} characters; use at most {longest}"
        )
    for char in text:
        # Letters, numbers and spaces of any script.
        if unicodedata.category(char)[0] not in "LNZ" and char not in "_.:/=+-@":
            raise ConfigError(
                f"{option}: {text!r} contains {char!r}, which no tag may; use letters, "
                "digits, spaces and _ . : / = + - @"
            )
