"""
Find values that the standard library's handlers take, and fail with at each record.

Their constructors check next to nothing.  Here stands what each option must be.
"""

from __future__ import annotations

import codecs
import logging
import logging.config
import logging.handlers
import re

from chimera_log import options
from chimera_log.config.check.parts import (
    OURS,
    conversion,
    did_you_mean,
    is_open,
    shown,
)
from chimera_log.config.check.resolving import UNKNOWN, given
from chimera_log.config.check.yaml11 import misread, power
from chimera_log.options import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from chimera_log.config.check.parts import Part
    from chimera_log.config.document import Document
    from chimera_log.config.findings import Finding

    Rule = Callable[[Any], "str | None"]  # what is wrong with a value, if anything

_WHEN = re.compile(r"[SMHD]|MIDNIGHT|W[0-6]")
_FILE_MODE = re.compile(r"[awx](?:t?\+?|\+?t?)")
_MAY_BE_EMPTY = frozenset(
    {"atTime", "credentials", "delay", "encoding", "errors", "flushOnClose", "port"}
    | {"secure", "socktype", "stream", "target", "timeout", "utc"}
)
# Whether dictConfig itself reads MemoryHandler's flushLevel as a level.
_NAMES_FLUSH_LEVEL = (
    "flushLevel" in logging.config.DictConfigurator.configure_handler.__code__.co_consts
)


def findings(document: Document, part: Part, kind: Any) -> Iterator[Finding]:
    """Yield what is wrong with the options of *part*, made by *kind*."""
    for name, rule in _rules(kind).items():
        if name not in part.content:
            continue
        value = given(document, part.content[name])
        if value is UNKNOWN or (value is None and name in _MAY_BE_EMPTY):
            continue
        path = (*part.path, name)
        what = (
            "is empty; write a value, or remove it"
            if value is None
            else _by_name(part, name) or rule(value)
        )
        if what:
            octal = document.plain(path) if isinstance(value, int) else None
            written = what.replace(shown(value), octal or shown(part.content[name]))
            read = misread(document, path, value) if rule in _TEXTS else None
            yield document.finding(path, f"{read}; quote it" if read else written)


def _rules(kind: Any) -> dict[str, Rule]:
    """Return the rules for the options that *kind* takes, if its constructor is known."""
    if not isinstance(kind, type):
        return {}
    maker = next((each for each in kind.__mro__ if "__init__" in each.__dict__), object)
    module, name = maker.__module__, maker.__qualname__
    is_known = module in {"logging", "logging.handlers"} or (
        module.startswith(OURS) and name == "StreamHandler"
    )
    return _RULES.get(name, {}) if is_known else {}


def _by_name(part: Part, option: str) -> str | None:
    """Return what is wrong with the name of a handler that is given as it is."""
    value = part.content[option]
    if option != "target" or not isinstance(value, str) or conversion(value):
        return None
    if "()" in part.content and not is_open(value):
        return f"{shown(value)} stays text under `()`; write `class:`"
    return None


def _whole_number(value: Any) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():
        return None
    meant = power(value)
    if meant is None and isinstance(value, str) and value.strip().isdecimal():
        meant = int(value)
    return f"{shown(value)} is not a whole number; write {_number(meant)}"


def _number(meant: int | None) -> str:
    return "one, unquoted" if meant is None else f"{meant}, unquoted"


def _bytes(value: Any) -> str | None:
    what = _whole_number(value)
    if what is None or not isinstance(value, str):
        return what
    try:
        size = options.size("", value)
    except ConfigError:
        return what
    other = "chimera_log.RotatingFileHandler, which takes it"
    return f"{shown(value)} is text here; write {size}, or use {other}"


def _seconds(value: Any) -> str | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return None
    return f"{shown(value)} is not a number of seconds; write one, unquoted"


def _flag(value: Any) -> str | None:
    if isinstance(value, (bool, int)):
        return None
    what = f"{shown(value)} is not a boolean"
    if isinstance(value, str):
        what = f"{shown(value)} is text, which counts as true"
    return f"{what}; write true or false, unquoted"


def _text(value: Any) -> str | None:
    if isinstance(value, (str, bytes)):
        return None
    return f"{shown(value)} is no text; write it in quotes"


def _file_name(value: Any) -> str | None:
    if hasattr(value, "__fspath__"):
        return None
    what = _text(value)
    if what is None and not value:
        return "is empty; write the name of a file"
    if what is None and "\0" in str(value):
        return f"{shown(value)} is no file name; write another"
    return what


def _file_mode(value: Any) -> str | None:
    if isinstance(value, str) and _FILE_MODE.fullmatch(value):
        return None
    if isinstance(value, int) or (isinstance(value, str) and value.isdecimal()):
        return (
            f"{shown(value)} is how a file is opened, not its permissions; write a, or "
            "use chimera_log.RotatingFileHandler, which takes permissions"
        )
    return f"{shown(value)} is no mode for writing; write a or w"


def _encoding(value: Any) -> str | None:
    if (what := _text(value)) is not None:
        return what
    try:
        codecs.lookup(value)
    except (LookupError, TypeError, ValueError):
        return f"{shown(value)} is no encoding; write utf-8"
    return None


def _error_mode(value: Any) -> str | None:
    if (what := _text(value)) is not None:
        return what
    try:
        codecs.lookup_error(value)
    except (LookupError, TypeError, ValueError):
        known = ("backslashreplace", "ignore", "replace", "strict", "surrogateescape")
        return f"{shown(value)}: {options.did_you_mean(str(value), known)}"
    return None


def _when(value: Any) -> str | None:
    if isinstance(value, str) and _WHEN.fullmatch(value.upper()):
        return None
    known = ("S", "M", "H", "D", "midnight", "W0")
    hint = did_you_mean(str(value), known, "write S, M, H, D, midnight, or W0 to W6")
    return f"{shown(value)} is no time to rotate at; {hint}"


def _interval(value: Any) -> str | None:
    what = _whole_number(value)
    if what is None and value < 1:
        return f"{shown(value)} is too small; use at least 1"
    return what


def _time_of_day(value: Any) -> str | None:
    if hasattr(value, "hour"):
        return None
    return (
        f"{shown(value)} is no datetime.time, which no YAML can say; use a program, or "
        "remove it for midnight"
    )


def _stream(value: Any) -> str | None:
    if isinstance(value, str):
        name = "stderr" if "err" in value.lower() else "stdout"
        return f"{shown(value)} is text, not a stream; write ext://sys.{name}"
    if hasattr(value, "write"):
        return None
    return f"{shown(value)} is no stream; write ext://sys.stdout"


def _host_and_port(value: Any) -> str | None:
    pair = value if isinstance(value, (list, tuple)) else ()
    if isinstance(value, str) or (
        len(pair) == 2  # noqa: PLR2004  host and port
        and isinstance(pair[0], str)
        and _whole_number(pair[1]) is None
    ):
        return None
    return f"{shown(value)} is no address; write text, or [host, port]"


def _syslog_address(value: Any) -> str | None:
    if isinstance(value, str) and not value.startswith(("/", "\0", "@", ".")):
        host, _, port = value.partition(":")
        pair = f"[{host}, {port if port.isdecimal() else 514}]"
        return f"{shown(value)} would be a socket's path; write {pair}, or /dev/log"
    return _host_and_port(value)


def _facility(value: Any) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return None
    known = logging.handlers.SysLogHandler.facility_names
    if isinstance(value, str) and value in known:
        return None
    hint = options.did_you_mean(str(value).lower(), known)
    return f"{shown(value)} is no facility; {hint}"


def _socket_type(value: Any) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return None
    return f"{shown(value)} is no type of socket; write ext://socket.SOCK_STREAM"


def _method(value: Any) -> str | None:
    if isinstance(value, str) and value.upper() in {"GET", "POST"}:
        return None
    return f"{shown(value)} is no method; write GET or POST"


def _pair(value: Any) -> str | None:
    if isinstance(value, (list, tuple)) and len(value) == 2:  # noqa: PLR2004  a pair
        return None
    return f"{shown(value)} must be a list of two; write [user, password]"


def _addresses(value: Any) -> str | None:
    if isinstance(value, str) or (
        isinstance(value, (list, tuple))
        and all(isinstance(each, str) for each in value)
    ):
        return None
    return f"{shown(value)} must be a list of addresses"


def _flush_level(value: Any) -> str | None:
    if isinstance(value, str) and not _NAMES_FLUSH_LEVEL:
        known = logging.getLevelName(value)
        number = known if isinstance(known, int) else 40
        return f"{shown(value)} must be a number in this version; write {number}"
    if isinstance(value, str) and not isinstance(logging.getLevelName(value), int):
        hint = options.did_you_mean(value.upper(), options.LEVELS)
        return f"{shown(value)} is no level; {hint}"
    if isinstance(value, str):
        return None
    what = _whole_number(value)
    return what and f"{shown(value)} is no level; write one such as ERROR"


_FILE: dict[str, Rule] = {
    "filename": _file_name,
    "mode": _file_mode,
    "encoding": _encoding,
    "delay": _flag,
    "errors": _error_mode,
}
_SOCKET: dict[str, Rule] = {"host": _text, "port": _whole_number}
_TEXTS = (_text, _file_name, _encoding, _error_mode, _when)
# By the class whose constructor takes them.
_RULES: dict[str, dict[str, Rule]] = {
    "StreamHandler": {"stream": _stream},
    "FileHandler": _FILE,
    "WatchedFileHandler": _FILE,
    "RotatingFileHandler": _FILE | {"maxBytes": _bytes, "backupCount": _whole_number},
    "TimedRotatingFileHandler": _FILE
    | {
        "when": _when,
        "interval": _interval,
        "backupCount": _whole_number,
        "utc": _flag,
        "atTime": _time_of_day,
    },
    "SocketHandler": _SOCKET,
    "DatagramHandler": _SOCKET,
    "SysLogHandler": {
        "address": _syslog_address,
        "facility": _facility,
        "socktype": _socket_type,
    },
    "HTTPHandler": {
        "host": _text,
        "url": _text,
        "method": _method,
        "secure": _flag,
        "credentials": _pair,
    },
    "SMTPHandler": {
        "mailhost": _host_and_port,
        "fromaddr": _text,
        "toaddrs": _addresses,
        "subject": _text,
        "credentials": _pair,
        "timeout": _seconds,
    },
    "BufferingHandler": {"capacity": _whole_number},
    "MemoryHandler": {
        "capacity": _whole_number,
        "flushLevel": _flush_level,
        "flushOnClose": _flag,
        "target": lambda _: None,  # see `_by_name`, and `references`
    },
}
