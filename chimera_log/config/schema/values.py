"""
What the value of an option may be, as JSON Schema.
"""

from __future__ import annotations

from chimera_log.audit import destination
from chimera_log.cloudwatch.memory import WHEN_FULL
from chimera_log.cloudwatch.rules import CLASSES, RETENTION_DAYS
from chimera_log.config.schema.documented import NOTHING, options_of
from chimera_log.files.lines import WRITERS
from chimera_log.files.outlet import WHEN_FULL as WHEN_FULL_OF_LINES
from chimera_log.files.policy import ALWAYS, COMPRESSIONS, INTERVAL, SYNCS
from chimera_log.line import MIN_LINE_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from chimera_log.config.schema.documented import Option

    Schema = dict[str, Any]

VARIABLE: Schema = {
    "description": "A variable, as in ${NAME:-default}, or a reference to another value.",
    "type": "string",
    "pattern": r"\$\{|^(cfg|ext)://",
}
_SIZES = ("B", "KB", "MB", "GB", "TB", "KiB", "MiB", "GiB", "TiB")
_TIMES = (
    *("ms", "millisecond", "milliseconds", "s", "second", "seconds"),
    *("min", "minute", "minutes", "h", "hour", "hours", "d", "day", "days"),
    *("week", "weeks", "year", "years"),
)


def in_any_case(word: str) -> str:
    """Return a pattern for *word*, in the common part of all regular expressions."""
    return "".join(f"[{each.lower()}{each.upper()}]" for each in word)


def number_with(units: Iterable[str]) -> str:
    """Return a pattern for a number with one of *units*, or with none."""
    number = r"^\s*[0-9][0-9_]{0,29}(\.[0-9]+)?([eE][0-9]{1,2})?\s*"
    return rf"{number}({'|'.join(map(in_any_case, units))})?\s*$"


SIZE: Schema = {
    "description": "Bytes, or a number with a unit such as '100 MB' or '100 MiB'.",
    "anyOf": [
        {"type": "integer", "minimum": 0},
        {"type": "string", "pattern": number_with(_SIZES)},
        {"$ref": "#/definitions/variable"},
    ],
}
DURATION: Schema = {
    "description": "Seconds, or a number with a unit such as '100 ms', '5 s', '2 min', "
    "'12 h', '30 days'.",
    "anyOf": [
        {"type": "number", "minimum": 0},
        {"type": "string", "pattern": number_with(_TIMES)},
        {"$ref": "#/definitions/variable"},
    ],
}
TEXT: Schema = {"type": "string"}
FILE: Schema = {"type": "string", "pattern": r"^[^\x00]+$"}
TEXTS: Schema = {
    "anyOf": [
        {"type": "array", "items": TEXT},
        {"$ref": "#/definitions/variable"},
    ]
}
NOTHING_ELSE: Schema = {"type": "null"}
FLAG: Schema = {
    "anyOf": [{"type": "boolean"}, {"$ref": "#/definitions/variable"}],
}
COUNT: Schema = {
    "anyOf": [
        {"type": "integer", "minimum": 0},
        {"$ref": "#/definitions/variable"},
    ]
}
REFERENCE: Schema = {"anyOf": [{"$ref": "#/definitions/variable"}, NOTHING_ELSE]}
ANYTHING: Schema = {}

_BY_TYPE: dict[str, Schema] = {
    "None": NOTHING_ELSE,
    "bool": FLAG,
    "int": COUNT,
    "str": TEXT,
    "os.PathLike[str]": TEXT,
    "Callable[[Any], Any]": TEXT,
    "Iterable[str]": TEXTS,
    "dict[str, str]": {"type": "object", "additionalProperties": TEXT},
    "Mapping[str, str]": {"type": "object", "additionalProperties": TEXT},
    "Mapping[str, Any]": {"type": "object"},
    "Mapping[str, list[str]]": {
        "type": "object",
        "properties": {"keys": TEXTS, "patterns": TEXTS},
        "additionalProperties": False,
    },
    "Any": ANYTHING,
}


def one_of(words: Iterable[Any]) -> Schema:
    """Return what takes one of *words*, or a variable."""
    return {"anyOf": [{"enum": list(words)}, {"$ref": "#/definitions/variable"}]}


def _like(pattern: str) -> Schema:
    """Return what takes text of a form, a variable, or nothing."""
    found = {"type": "string", "pattern": pattern}
    return {"anyOf": [found, {"$ref": "#/definitions/variable"}, NOTHING_ELSE]}


# By class and option, or by option alone.
_BY_NAME: dict[str, Schema] = {
    "mode": {
        "anyOf": [
            {"const": "a"},
            {"type": "string", "pattern": "^(0o?)?[0-7]{3}$"},
            {"type": "integer", "minimum": 0, "maximum": 0o777},
            {"$ref": "#/definitions/variable"},
        ]
    },
    "encoding": {
        "anyOf": [
            {"type": "string", "pattern": "^[uU][tT][fF][-_]?8$"},
            {"$ref": "#/definitions/variable"},
            NOTHING_ELSE,
        ]
    },
    "delay": one_of([True]),
    "filename": FILE,
    "compression": one_of(COMPRESSIONS),
    "keep_gil": one_of(["auto", "never"]),
    "log_group_class": one_of([*CLASSES, None]),
    "retention_in_days": one_of([*RETENTION_DAYS, None]),
    "rotate_at": one_of(["midnight", None]),
    "sync": one_of(SYNCS),
    "when_full": one_of(WHEN_FULL_OF_LINES),
    "writer": one_of(WRITERS),
    "AuditFileHandler.sync": one_of([ALWAYS, INTERVAL]),
    "AuditFileHandler.database": _like(r"^(sqlite:///|postgres(ql)?://)."),
    "archive.bucket": _like(destination.BUCKET),
    "archive.endpoint_url": _like("^https?://"),
    "archive.host": _like(rf"^{destination.IN_HOST}*$"),
    "archive.prefix": _like(rf"^{destination.IN_KEY}*$"),
    "archive.object_lock": one_of([*destination.LOCKS, None]),
    "archive.storage_class": one_of(destination.STORAGE_CLASSES),
    "archive.verify": one_of(destination.VERIFY),
    "CloudWatchHandler.when_full": one_of(WHEN_FULL),
    "JsonFormatter.max_line_bytes": {
        "anyOf": [
            {"type": "integer", "minimum": MIN_LINE_BYTES},
            {"$ref": "#/definitions/size"},
        ]
    },
    "stream": REFERENCE,
}


# Options that are mappings, and what says which keys they take.
MAPPINGS: dict[str, Callable[..., Any]] = {"AuditFileHandler.archive": destination.s3}


def value_of(kind: str, option: Option) -> Schema:
    """Return what the *option* of class *kind* may be, with what it is for."""
    if f"{kind}.{option.name}" in MAPPINGS:
        takes = MAPPINGS[f"{kind}.{option.name}"]
        return {"description": option.text, **_keys_of(option.name, takes)}
    found = _BY_NAME.get(f"{kind}.{option.name}") or _BY_NAME.get(option.name)
    described: Schema = {"description": option.text}
    if option.default is not NOTHING and option.default is not None:
        is_tuple = isinstance(option.default, tuple)
        described["default"] = list(option.default) if is_tuple else option.default
    return {**described, **(found or _by_type(option.types))}


def _keys_of(name: str, takes: Callable[..., Any]) -> Schema:
    """Return what a mapping may be that has the arguments of *takes*."""
    known = options_of(takes)
    return {
        "type": ["object", "null"],
        "properties": {each.name: value_of(name, each) for each in known},
        "required": [each.name for each in known if each.default is NOTHING],
        "additionalProperties": False,
    }


def _by_type(types: tuple[str, ...]) -> Schema:
    if types == ("int", "str"):
        return {"anyOf": [{"$ref": "#/definitions/size"}]}
    if types == ("float", "str"):
        return {"anyOf": [{"$ref": "#/definitions/duration"}]}
    found: list[Schema] = []
    for each in types:
        if _BY_TYPE[each] not in found:
            found.append(_BY_TYPE[each])
    return found[0] if len(found) == 1 else {"anyOf": found}
