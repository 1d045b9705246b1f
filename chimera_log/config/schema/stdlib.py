"""
The standard library's handlers: which options they take, and which they need.

Written down, since their signatures tell no types, and differ between versions.
"""

from __future__ import annotations

from chimera_log.config.schema.values import (
    ANYTHING,
    COUNT,
    FILE,
    FLAG,
    REFERENCE,
    TEXT,
    TEXTS,
    in_any_case,
    one_of,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Schema = dict[str, Any]

_OR_NULL: Schema = {"type": "null"}
_LEVEL: Schema = {"$ref": "#/definitions/level"}
_TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
_FILE_OPTIONS: dict[str, Schema] = {
    "filename": FILE,
    "mode": {"anyOf": [{"type": "string", "pattern": r"^[awxt+]+$|\$\{"}]},
    "encoding": _TEXT_OR_NULL,
    "delay": FLAG,
    "errors": _TEXT_OR_NULL,
}
_FILE_OF_TIME = {name: each for name, each in _FILE_OPTIONS.items() if name != "mode"}
_PLACE: dict[str, Schema] = {
    "host": TEXT,
    "port": {"anyOf": [*COUNT["anyOf"], _OR_NULL]},
}

STDLIB: dict[str, dict[str, Schema]] = {
    "logging.NullHandler": {},
    "logging.StreamHandler": {"stream": REFERENCE},
    "logging.FileHandler": _FILE_OPTIONS,
    "logging.handlers.WatchedFileHandler": _FILE_OPTIONS,
    "logging.handlers.RotatingFileHandler": {
        **_FILE_OPTIONS,
        "maxBytes": COUNT,
        "backupCount": COUNT,
    },
    "logging.handlers.TimedRotatingFileHandler": {
        **_FILE_OF_TIME,
        "when": {
            "anyOf": [
                {
                    "type": "string",
                    "pattern": rf"^([sSmMhHdD]|[wW][0-6]|{in_any_case('midnight')})$"
                    r"|\$\{",
                }
            ]
        },
        "interval": {"anyOf": [{"type": "integer", "minimum": 1}, *COUNT["anyOf"][1:]]},
        "backupCount": COUNT,
        "utc": FLAG,
        "atTime": REFERENCE,
    },
    "logging.handlers.SocketHandler": _PLACE,
    "logging.handlers.DatagramHandler": _PLACE,
    "logging.handlers.SysLogHandler": {
        "address": {"anyOf": [TEXT, {"type": "array", "minItems": 2, "maxItems": 2}]},
        "facility": {"type": ["string", "integer"]},
        "socktype": {"anyOf": [{"type": "integer"}, *REFERENCE["anyOf"]]},
        "timeout": {"type": ["number", "string", "null"]},
    },
    "logging.handlers.NTEventLogHandler": {
        "appname": TEXT,
        "dllname": _TEXT_OR_NULL,
        "logtype": TEXT,
    },
    "logging.handlers.SMTPHandler": {
        "mailhost": {"anyOf": [TEXT, {"type": "array", "minItems": 2, "maxItems": 2}]},
        "fromaddr": TEXT,
        "toaddrs": {"anyOf": [TEXT, *TEXTS["anyOf"]]},
        "subject": TEXT,
        "credentials": {
            "anyOf": [
                _OR_NULL,
                {"type": "array", "minItems": 2, "maxItems": 2},
                {"$ref": "#/definitions/variable"},
            ]
        },
        "secure": ANYTHING,
        "timeout": {"type": ["number", "string"]},
    },
    "logging.handlers.HTTPHandler": {
        "host": TEXT,
        "url": TEXT,
        "method": one_of(["GET", "POST", "get", "post"]),
        "secure": FLAG,
        "credentials": {
            "anyOf": [
                _OR_NULL,
                {"type": "array", "minItems": 2, "maxItems": 2},
                {"$ref": "#/definitions/variable"},
            ]
        },
        "context": ANYTHING,
    },
    "logging.handlers.MemoryHandler": {
        "capacity": COUNT,
        "flushLevel": _LEVEL,
        "target": TEXT,
        "flushOnClose": FLAG,
    },
    "logging.handlers.QueueHandler": {
        "queue": ANYTHING,
        "listener": ANYTHING,
        "handlers": TEXTS,
        "respect_handler_level": FLAG,
    },
}
REQUIRED: dict[str, list[str]] = {
    "logging.FileHandler": ["filename"],
    "logging.handlers.WatchedFileHandler": ["filename"],
    "logging.handlers.RotatingFileHandler": ["filename"],
    "logging.handlers.TimedRotatingFileHandler": ["filename"],
    "logging.handlers.SocketHandler": ["host", "port"],
    "logging.handlers.DatagramHandler": ["host", "port"],
    "logging.handlers.NTEventLogHandler": ["appname"],
    "logging.handlers.SMTPHandler": ["mailhost", "fromaddr", "toaddrs", "subject"],
    "logging.handlers.HTTPHandler": ["host", "url"],
    "logging.handlers.MemoryHandler": ["capacity"],
}
