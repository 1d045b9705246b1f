"""
Find format strings that fail, by formatting a record that says nothing.
"""

from __future__ import annotations

import logging
import re
import string
import time

from chimera_log.config.check.parts import (
    closest,
    conversion,
    is_incremental,
    is_open,
    listed,
    loggers,
    parts,
    shown,
)
from chimera_log.config.check.resolving import UNKNOWN, factory
from chimera_log.config.check.yaml11 import misread
from chimera_log.config.findings import WARNING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from chimera_log.config.check.parts import Part
    from chimera_log.config.document import Document
    from chimera_log.config.findings import Finding, Path

_STYLES = ("%", "{", "$")
_FIELD = re.compile(
    r"%\((?P<name>[^)]*)\)(?P<how>[#0+ -]*(?:\*|\d+)?(?:\.(?:\*|\d+))?)(?P<as>.?)"
)
_CONVERSIONS = "diouxefgcrsaEGFX"
_MADE = ("message", "asctime")  # a record has them when it is formatted
_SINCE_3_12 = "taskName"


def findings(document: Document) -> Iterator[Finding]:
    """Yield what is wrong with the formats of *document*."""
    if is_incremental(document):
        return
    for part in parts(document, "formatters"):
        kind = logging.Formatter if part.factory is None else factory(document, part)
        if kind is UNKNOWN or not _is_plain(kind):
            continue
        yield from _part(document, part, is_known=kind is logging.Formatter)


def _is_plain(kind: Any) -> bool:
    """Whether *kind* reads its format as `logging.Formatter` does."""
    return isinstance(kind, type) and (
        getattr(kind, "__init__", None) is logging.Formatter.__init__
    )


def _part(document: Document, part: Part, *, is_known: bool) -> Iterator[Finding]:
    by_factory = "()" in part.content
    key = "fmt" if by_factory and "fmt" in part.content else "format"
    names = {"format": key, "datefmt": "datefmt", "style": "style"}
    for name in names.values():
        value = part.content.get(name)
        if value is not None and not isinstance(value, str):
            read = misread(document, (*part.path, name), value)
            what = read or f"{shown(value)} is no text"
            yield document.finding((*part.path, name), f"{what}; quote it")
            return
    style = part.content.get("style", "%")
    if style not in _STYLES:
        if not _is_elsewhere(style):
            what = f"{shown(style)} is no style; write '%', '{{' or '$', in quotes"
            yield document.finding((*part.path, "style"), what)
        return
    validate = part.content.get("validate", True)
    if isinstance(validate, str) and not _is_elsewhere(validate):
        what = f"{shown(validate)} is text, which counts as true; write it unquoted"
        yield document.finding((*part.path, "validate"), what)
    defaults = part.content.get("defaults")
    if defaults is not None and not isinstance(defaults, dict):
        if not _is_elsewhere(defaults):
            what = f"{shown(defaults)} must be a mapping of fields to values"
            yield document.finding((*part.path, "defaults"), what)
        return
    yield from _datefmt(document, (*part.path, "datefmt"), part.content.get("datefmt"))
    text = part.content.get(key)
    if text is None or _is_elsewhere(text):
        return
    path = (*part.path, key)
    wrong = _broken(text, style, is_validated=bool(validate), defaults=defaults or {})
    if wrong:
        yield document.finding(path, wrong)
    elif is_known:
        yield from _unknown(document, part, path, _fields(text, style))


def _is_elsewhere(value: Any) -> bool:
    return is_open(value) or conversion(value) is not None


def _datefmt(document: Document, path: Path, value: Any) -> Iterator[Finding]:
    if not isinstance(value, str) or _is_elsewhere(value):
        return
    try:
        time.strftime(value, time.gmtime(0))
    except (ValueError, UnicodeError) as error:
        yield document.finding(
            path, f"{shown(value)} is no time format: {error}; correct it"
        )
        return
    if "%f" in value.replace("%%", ""):
        what = "time.strftime knows no %f; put %(msecs)03d into format"
        yield document.finding(path, what, severity=WARNING)


def _broken(
    text: str, style: str, *, is_validated: bool, defaults: dict[str, Any]
) -> str | None:
    """Return what is wrong with the format *text*, if no record can be formatted."""
    if style == "%" and (name := _without_conversion(text)) is not None:
        return f"{shown(f'%({name})')} has no type; write %({name})s"
    if hint := _other_style(text, style):
        return hint
    try:
        formatter = logging.Formatter(text, None, style, is_validated)  # type: ignore[arg-type]
        record = logging.LogRecord("", logging.INFO, "", 0, "", None, None)
        anything = dict.fromkeys(_fields(text, style), _Anything())
        record.__dict__.update({**anything, **defaults, **record.__dict__})
        formatter.format(record)
    except Exception as error:
        words = " ".join(str(error).split())
        return f"{shown(text)} fails with each record: {words}; correct it"
    return None


def _without_conversion(text: str) -> str | None:
    """Return the first field in *text* that lacks its ``s`` or ``d``."""
    for match in _FIELD.finditer(text.replace("%%", "")):
        if match["as"] not in _CONVERSIONS or not match["as"]:
            return match["name"]
    return None


def _other_style(text: str, style: str) -> str | None:
    """Return which style *text* was written in, if it has no fields in this one."""
    found = {
        "%": bool(re.search(r"%\(\w+\)", text)),
        "{": bool(re.search(r"\{\w+[^}]*\}", text)),
        "$": bool(re.search(r"\$(?:\w+|\{\w+\})", text)),
    }
    if found[style] or not text:
        return None
    other = next((each for each in _STYLES if found[each]), None)
    if other is None:
        return None
    return f"{shown(text)} has no fields in style {style!r}; write `style: '{other}'`"


def _fields(text: str, style: str) -> list[str]:
    """Return the names of the fields in *text*, in order."""
    if style == "%":
        return [each["name"] for each in _FIELD.finditer(text.replace("%%", ""))]
    if style == "$":
        found = string.Template.pattern.finditer(text)
        return [
            each["named"] or each["braced"]
            for each in found
            if each["named"] or each["braced"]
        ]
    try:
        named = [name for _, name, _, _ in string.Formatter().parse(text) if name]
    except ValueError:  # which `logging.Formatter` says itself
        return []
    return [re.split(r"[.\[]", name)[0] for name in named]


def _unknown(
    document: Document, part: Part, path: Path, names: list[str]
) -> Iterator[Finding]:
    """Yield the fields that no record has by itself."""
    record = logging.LogRecord("", logging.INFO, "", 0, "", None, None)
    known = {*record.__dict__, *_MADE}
    supplied = part.content.get("defaults") or {}
    for name in dict.fromkeys(names):
        if name in known or name in supplied:
            continue
        if name == _SINCE_3_12:
            what = f"no record has {name!r} before Python 3.12; remove it"
        elif close := closest(name, known):
            what = f"no record has {name!r}; did you mean {close!r}?"
        elif _is_filtered(document, part):
            continue
        else:
            what = (
                f"no record has {name!r} by itself, and without it the line is lost; "
                "supply it by a filter or `defaults:`"
            )
        yield document.finding(path, what, severity=WARNING)


def _is_filtered(document: Document, formatter: Part) -> bool:
    """Whether a filter, which may add fields, comes before *formatter*."""
    factories = {
        each.name for each in parts(document, "filters") if "()" in each.content
    }
    users = [
        each
        for each in parts(document, "handlers")
        if each.content.get("formatter") == formatter.name
    ]
    return any(
        name in factories
        for each in (*users, *loggers(document))
        for name in listed(each, "filters")
    )


class _Anything(int):
    """A field of which nothing is known: it is a number, text and a mapping."""

    def __getattr__(self, name: str) -> _Anything:
        return self

    def __getitem__(self, key: object) -> _Anything:
        return self

    def __format__(self, how: str) -> str:
        return ""
