"""
Where a handler puts what it takes, as its options tell.

The options of a handler that runs are its attributes, those of a written one its keys.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

MEMORY, QUEUE, NULL = "MemoryHandler", "QueueHandler", "NullHandler"


def end(kind: str, option: Callable[[str], Any]) -> str:
    """
    Return where a handler ends.

    Args:
        kind: The name of its class.
        option: Returns the option of a name, or ``None``.
    """
    path, group, host = option("filename"), option("log_group_name"), option("host")
    if isinstance(path, (str, os.PathLike)) and str(path):
        return os.path.abspath(path)  # noqa: PTH100  `resolve` would follow links
    if group:
        stream = option("log_stream_name")
        return f"CloudWatch Logs, group {group}, stream {stream}"
    if option("toaddrs"):
        return f"mail to {_listed(option('toaddrs'))}"
    if host and option("url"):
        return f"{host}{option('url')}"
    if host:
        return _address((host, option("port")))
    if option("address"):
        return f"syslog at {_address(option('address'))}"
    if "Stream" in kind or option("stream") is not None:
        return _stream(option("stream"))
    return f"wherever {kind} puts it"


def passage(kind: str, option: Callable[[str], Any], *, is_known: bool) -> str:
    """
    Return where a handler keeps what it hands on.

    Args:
        kind: The name of its class.
        option: Returns the option of a name, or ``None``.
        is_known: Whether it can be told who gets it.
    """
    if kind == QUEUE:
        return "a queue" if is_known else "a queue, and nobody can tell who reads it"
    capacity = option("capacity")
    return "memory" if capacity is None else f"memory, {capacity} records at once"


def _listed(value: Any) -> str:
    return value if isinstance(value, str) else ", ".join(map(str, value))


def _address(value: Any) -> str:
    if isinstance(value, str):
        return value
    return ":".join(str(part) for part in value if part is not None)


def _stream(value: Any) -> str:
    if isinstance(value, str):
        return value.removeprefix("ext://").removeprefix("sys.")
    if value is None or value is sys.stderr:
        return "stderr"
    if value is sys.stdout:
        return "stdout"
    name = getattr(value, "name", None)
    return name if isinstance(name, str) else type(value).__name__
