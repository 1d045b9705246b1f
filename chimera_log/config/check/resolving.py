"""
Find the objects that a configuration names, as dictConfig does: by importing them.
"""

from __future__ import annotations

import sys
import weakref

from chimera_log.config.check.parts import (
    closest,
    conversion,
    did_you_mean,
    is_open,
    shown,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from chimera_log.config.check.parts import Part
    from chimera_log.config.document import Document

UNKNOWN: Any = object()  # what nobody can say before it is there
_HOMES = ("logging", "logging.handlers", "chimera_log")  # of what has no dots
_seen: weakref.WeakKeyDictionary[Document, dict[str, Any]] = weakref.WeakKeyDictionary()


class UnresolvedError(Exception):
    """A dotted name leads nowhere; the text says where it ends, and what to do."""


def resolve(document: Document, name: str) -> Any:
    """
    Return the object that *document* calls *name*.

    What a module does when it is imported, it does once, also if it fails.

    Raises:
        UnresolvedError: If there is none.
    """
    seen = _seen.setdefault(document, {})
    if name not in seen:
        try:
            seen[name] = _resolved(name)
        except UnresolvedError as error:
            seen[name] = error
    if isinstance(seen[name], UnresolvedError):
        raise UnresolvedError(*seen[name].args)
    return seen[name]


def factory(document: Document, part: Part) -> Any:
    """Return what makes *part*, or `UNKNOWN` if it is missing, or nothing."""
    return given(document, part.factory, is_name=True)


def given(document: Document, value: Any, *, is_name: bool = False) -> Any:
    """
    Return what dictConfig makes of *value*, or `UNKNOWN` if that depends.

    Args:
        document: Where it stands.
        value: As it is written.
        is_name: Whether text names an object.
    """
    if is_open(value) or (is_name and value is None):
        return UNKNOWN
    converted = conversion(value)
    if converted and converted[0] == "cfg":
        return UNKNOWN
    try:
        if converted:
            return resolve(document, converted[1])
        return resolve(document, value) if is_name and isinstance(value, str) else value
    except UnresolvedError:
        return UNKNOWN


def _resolved(dotted: str) -> Any:
    """Return what *dotted* names, as `logging.config` looks for it."""
    used, *names = dotted.split(".")
    found = _imported(used, dotted)
    for name in names:
        parent, used = used, f"{used}.{name}"
        try:
            if not hasattr(found, name):
                _imported(used, dotted, found, parent)
            found = getattr(found, name)
        except UnresolvedError:
            raise
        except Exception as error:  # a module's own __getattr__
            raise UnresolvedError(_failed(used, error)) from error
    return found


def _imported(used: str, dotted: str, found: Any = None, parent: str = "") -> Any:
    try:
        return __import__(used)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{used}.".startswith(f"{error.name}."):
            raise UnresolvedError(_failed(used, error)) from error
        what = _missing(used, dotted, found, parent)
        raise UnresolvedError(what) from error
    except (Exception, SystemExit) as error:  # whatever the module does
        if not all(each.isidentifier() for each in dotted.split(".")):
            what = f"{shown(dotted)} is no dotted name; write package.module.Name"
            raise UnresolvedError(what) from error
        raise UnresolvedError(_failed(used, error)) from error


def _failed(used: str, error: BaseException) -> str:
    words = " ".join(f"{type(error).__name__}: {error}".split())
    if isinstance(error, ModuleNotFoundError):
        return f"importing {used} fails: {words}; install what is missing"
    return f"importing {used} fails: {words}; correct that module"


def _missing(used: str, dotted: str, found: Any, parent: str) -> str:
    """Say which part of *dotted* is missing, and what was meant."""
    last = dotted.rpartition(".")[2]
    name = used.rpartition(".")[2]
    homes = [home for home in _HOMES if hasattr(sys.modules.get(home), last)]
    home = next((home for home in homes if f"{home}.{last}" != dotted), None)
    elsewhere = f"write {home}.{last}" if home else None
    if not all(each.isidentifier() for each in dotted.split(".")):
        return f"{shown(dotted)} is no dotted name; write package.module.Name"
    if found is None:
        known = {*sys.stdlib_module_names, *sys.modules, "chimera_log"}
        top = {each for each in known if "." not in each and not each.startswith("_")}
        if used == dotted:
            hint = elsewhere or _bare(used) or "write package.module.Name"
            return f"{dotted!r} names no module; {hint}"
        close = did_you_mean(used, top, "install it, or correct the name")
        return f"no module is called {used!r}; {close}"
    public = [each for each in dir(found) if not each.startswith("_")]
    hint = elsewhere or did_you_mean(name, public, "correct the name")
    return f"{parent} has no {name!r}; {hint}"


def _bare(name: str) -> str | None:
    """Return what *name*, which has no dots, was likely meant to be."""
    homes = {
        each: home
        for home in reversed(_HOMES)
        for each in dir(sys.modules.get(home))
        if each.endswith(("Handler", "Formatter", "Filter"))
    }
    close = closest(name, homes)
    return f"did you mean '{homes[close]}.{close}'?" if close else None
