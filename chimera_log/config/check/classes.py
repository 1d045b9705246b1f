"""
Find classes that are not there, and options that a class does not take.
"""

from __future__ import annotations

import logging.handlers
import re
import sys

from chimera_log import options
from chimera_log.config.check import stdlib
from chimera_log.config.check.parts import (
    COMMON,
    QUEUES_NAME_HANDLERS,
    conversion,
    did_you_mean,
    is_incremental,
    is_open,
    parts,
    shown,
)
from chimera_log.config.check.resolving import (
    UNKNOWN,
    UnresolvedError,
    given,
    resolve,
)
from chimera_log.config.check.signatures import options_of
from chimera_log.config.check.yaml11 import misread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from chimera_log.config.check.parts import Part
    from chimera_log.config.check.signatures import Options
    from chimera_log.config.document import Document
    from chimera_log.config.findings import Finding

_IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]*", re.IGNORECASE)  # as logging.config's
_CLASS_MAY_BE_GIVEN = sys.version_info >= (3, 12)
_DEFAULTS_ARE_PASSED = sys.version_info >= (3, 12)
_DOTTED = "write package.module.Name"
_IGNORED = "dictConfig would ignore its options; write `():`"  # a class of ours
# What dictConfig reads of a part that is not made by `()`.
_READ = {
    "formatters": ("format", "datefmt", "style", "validate", "defaults", "class"),
    "filters": ("name",),
}
_METHOD = {"formatters": "format", "filters": "filter", "handlers": "handle"}


def findings(document: Document) -> Iterator[Finding]:
    """Yield what is wrong with the classes and options of *document*."""
    for section in ("formatters", "filters", "handlers"):
        for part in parts(document, section):
            if is_incremental(document):
                # Nothing is built; but whoever reads the file should not be misled.
                if section != "handlers" and part.is_ours and "()" not in part.content:
                    yield document.finding((*part.path, "class"), _IGNORED)
            elif section == "handlers" or "()" in part.content:
                yield from _made(document, part)
            else:
                yield from _read(document, part)


def _made(document: Document, part: Part) -> Iterator[Finding]:
    """Yield what is wrong with a part whose class is given what is written there."""
    path = (*part.path, part.factory_key)
    section = str(part.path[0])
    if part.factory is None:
        if "()" in part.content and section != "handlers":
            yield document.finding(path, f"names no class; {_DOTTED}")
        return
    misnamed = _unresolved(document, part) or _misfit(document, part, section)
    if misnamed is not None:
        yield document.finding(path, misnamed)
    kind = given(document, part.factory, is_name=True)
    if kind is UNKNOWN or not callable(kind):
        return
    if kind is logging.handlers.QueueHandler and not QUEUES_NAME_HANDLERS:
        what = "cannot be configured before Python 3.12; use `writer: thread` of ours"
        yield document.finding(path, what)
        return
    by_class = "()" not in part.content
    takes = options_of(kind, section, by_class=by_class)
    own = sorted(COMMON) if section == "handlers" else []
    yield from _options(document, part, takes, own)
    missing = takes.missing({**part.options, **_aliases(part)})
    if missing and not misnamed:
        them = "it" if missing[1:] == [] else "them"
        wanted = ", ".join(f"`{each}:`" for each in missing)
        needs = f"{_called(kind)} needs {wanted}; add {them}"
        if section == "filters" and not isinstance(kind, type):
            needs += ", or name what makes the filter under `()`"
        yield document.finding(part.path, needs, at_key=True)
    yield from _attributes(document, part)
    yield from stdlib.findings(document, part, kind)


def _aliases(part: Part) -> dict[str, Any]:
    """Return the options that dictConfig passes by another name."""
    return {"fmt": part.content["format"]} if "format" in part.content else {}


def _read(document: Document, part: Part) -> Iterator[Finding]:
    """Yield what is wrong with a formatter or filter that dictConfig reads itself."""
    section = str(part.path[0])
    known = _READ[section]
    named = part.content.get("class")
    path = (*part.path, "class")
    if part.is_ours:
        yield document.finding(path, _IGNORED)
        return
    if section == "filters" and "class" in part.content:
        what = "dictConfig would make a filter that lets everything pass; write `():`"
        yield document.finding(path, what, at_key=True)
        return
    dropped = [key for key in part.content if key not in known]
    if named:
        misnamed = _unresolved(document, part) or _misfit(document, part, section)
        if misnamed is not None:
            yield document.finding(path, misnamed)
        elif dropped:
            names = ", ".join(map(str, dropped))
            what = f"dictConfig would ignore {names} of a `class:`; write `():`"
            yield document.finding(path, what, at_key=True)
    else:
        for key in dropped:
            others = ("()", *known)
            hint = did_you_mean(str(key), others, f"use one of {', '.join(others)}")
            where = (*part.path, str(key))
            yield document.finding(where, f"no such option; {hint}", at_key=True)
    name = part.content.get("name", "")
    if section == "filters" and not isinstance(name, str):
        read = misread(document, (*part.path, "name"), name)
        what = (
            f"{read or f'{shown(name)} is no text'}; write a logger's name, in quotes"
        )
        yield document.finding((*part.path, "name"), what)
    if "defaults" in part.content and not _DEFAULTS_ARE_PASSED:
        what = "is ignored before Python 3.12; use a filter, or `():`"
        yield document.finding((*part.path, "defaults"), what, at_key=True)


def _unresolved(document: Document, part: Part) -> str | None:
    """Return what is wrong with the name of the class, if it leads nowhere."""
    value = part.factory
    by_class = part.factory_key == "class"
    if is_open(value):
        return None
    converted = conversion(value)
    if isinstance(value, str):
        if converted and converted[0] == "cfg":
            return None
        try:
            resolve(document, converted[1] if converted else value)
        except UnresolvedError as error:
            return str(error)
        return None
    if not callable(value):
        read = misread(document, (*part.path, part.factory_key), value)
        return f"{read or shown(value)} is no class; {_DOTTED}"
    if by_class and not _CLASS_MAY_BE_GIVEN:
        return f"{shown(value)} must be a name before Python 3.12; write `()`"
    return None


def _misfit(document: Document, part: Part, section: str) -> str | None:
    """Return what is wrong with a class that is there, if it cannot be the right one."""
    kind = given(document, part.factory, is_name=True)
    if kind is UNKNOWN:
        return None
    noun = section.removesuffix("s")
    if not callable(kind):
        return f"{shown(part.factory)} is no class, but {_kind(kind)}; name a {noun}'s"
    by_class = part.factory_key == "class"
    if not isinstance(kind, type):
        if by_class and section == "handlers":
            return f"{shown(part.factory)} is no class; write `():` for what makes one"
        return None
    fits = hasattr(kind, _METHOD[section])
    if section == "filters":
        fits = fits or _is_callable_inside(kind)
    if not fits:
        return f"{_called(kind)} is no {noun}; name a class that is one"
    return None


def _is_callable_inside(kind: type) -> bool:
    return any("__call__" in each.__dict__ for each in kind.__mro__)


def _options(
    document: Document, part: Part, takes: Options, own: list[str]
) -> Iterator[Finding]:
    key: Any  # text, if all is well
    for key in part.options:
        path = (*part.path, str(key))
        if not isinstance(key, str):
            what = f"YAML reads the name as {shown(key)}; quote it"
        elif key == "class" and not takes.takes_all and "class" not in takes.known:
            what = "stands beside `()`, which is passed it; remove one of them"
        elif takes.is_known(key) and _IDENTIFIER.fullmatch(key):
            continue
        else:
            what = f"no such option; {_instead(key, [*takes.known, *own])}"
        yield document.finding(path, what, at_key=True)


def _instead(key: str, known: list[str]) -> str:
    choices = sorted({*known})
    if not choices:
        return "remove it"
    return did_you_mean(key, choices, options.did_you_mean("", choices))


def _attributes(document: Document, part: Part) -> Iterator[Finding]:
    """Yield what is wrong with what dictConfig sets on the object that is made."""
    given_ones = part.content.get(".")
    path = (*part.path, ".")
    if not given_ones:
        return
    if not isinstance(given_ones, dict):
        what = f"{shown(given_ones)} must be a mapping of attributes"
        yield document.finding(path, what)
        return
    for name in given_ones:
        if not isinstance(name, str):
            what = f"YAML reads the name as {shown(name)}; quote it"
            yield document.finding((*path, str(name)), what, at_key=True)


def _kind(value: Any) -> str:
    name = type(value).__name__
    return f"{'an' if name[:1] in 'aeiou' else 'a'} {name}"


def _called(kind: Any) -> str:
    """Return the name of a class or function, as users import it."""
    name = getattr(kind, "__qualname__", None) or shown(kind)
    module = str(getattr(kind, "__module__", ""))
    if module.startswith("chimera_log."):
        module = "chimera_log"
    return f"{module}.{name}" if module not in {"", "builtins"} else name
