"""
Find what YAML 1.1 reads otherwise than people write it.

It takes ``010`` for 8, ``12:30`` for 750, ``no`` for false and ``2026-01-01`` for a
date, and of a key that comes twice it keeps the last.
"""

from __future__ import annotations

import datetime
import re

from chimera_log.config.check.parts import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from chimera_log.config.document import Document
    from chimera_log.config.findings import Finding, Path, Place

_OCTAL = re.compile(r"[-+]?0(?:[0-7_]{1,2}|[0-7_]{4,})")  # three are permissions
_BASE_60 = re.compile(r"[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")
_POWER = re.compile(r"[0-9]{1,15}(?:\.[0-9]*)?[eE][0-9]{1,2}")
_SECTIONS = frozenset(
    {"formatters", "filters", "handlers", "loggers", "root", "watch", "version"}
)
_NO_TEXT = ("mode", "atTime")  # other numbers are wrong there, or right
_TYPES = (bool, int, float, datetime.date)


def findings(document: Document) -> Iterator[Finding]:
    """Yield keys that come twice, and numbers that nobody meant."""
    told = set()
    for path, (second, first) in document.duplicates.items():
        if second in told or _follows(document, path, second, first):
            continue
        told.add(second)  # an alias may repeat it elsewhere
        what = (
            f"is here again, after line {first.line}, column {first.column}, and only "
            "the last one counts; remove one, or rename it"
        )
        yield document.finding(path, what, at_key=True)._replace(place=second)
    for path, node in document.nodes.items():
        if path and path[0] in _SECTIONS and node.plain:
            wrong = _number(node.plain)
            if wrong and not str(path[-1]).endswith(_NO_TEXT):
                yield document.finding(path, wrong)


def misread(document: Document, path: Path, value: Any) -> str | None:
    """
    Return what YAML made of the letters at *path*, if they were meant as text.

    Args:
        document: Where they are.
        path: From the root.
        value: What YAML made of them.
    """
    plain = document.plain(path)
    if plain is None or not isinstance(value, _TYPES) or plain == repr(value):
        return None
    if isinstance(value, bool) and plain.lower() in {"true", "false"}:
        return None
    if isinstance(value, (int, float)) and plain.startswith("0"):  # of octal digits
        return None
    return f"YAML reads {plain} as {as_read(value)}"


def as_read(value: Any) -> str:
    """Return *value* as an error shows what YAML made of something."""
    return "a date" if isinstance(value, datetime.date) else shown(value)


def power(value: Any) -> int | None:
    """Return the number that ``1e8``, which is text in YAML 1.1, was meant to be."""
    is_power = isinstance(value, str) and _POWER.fullmatch(value)
    return int(float(value)) if is_power else None


def _number(plain: str) -> str | None:
    if _OCTAL.fullmatch(plain) and any(each in "1234567" for each in plain):
        digits = plain.replace("_", "")
        read = int(digits, 8)
        decimal = int(digits)
        return (
            None
            if read == decimal
            else (f"YAML reads {plain} as {read}, in octal; write {decimal}, or {read}")
        )
    if _BASE_60.fullmatch(plain):
        read = 0
        for part in plain.partition(".")[0].replace("_", "").split(":"):
            read = read * 60 + int(part)
        return f"YAML reads {plain} as {read}, in base 60; quote it"
    return None


def _follows(document: Document, path: Path, second: Place, first: Place) -> bool:
    """Whether a key comes twice only because one around it does."""
    around = [document.duplicates.get(path[:length]) for length in range(1, len(path))]
    return any(first < twice[0] <= second for twice in around if twice)
