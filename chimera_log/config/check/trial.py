"""
Build what this package's own classes would build, and throw it away.

Their constructors do no more than to check their options, and raise a `ConfigError`
about the first one that cannot work.  It is told and taken away, and the rest is tried
again, until all that is wrong has been found.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager

from chimera_log.config.check.parts import (
    OURS,
    conversion,
    is_incremental,
    parts,
)
from chimera_log.config.check.resolving import UNKNOWN, factory, given
from chimera_log.config.check.signatures import options_of
from chimera_log.options import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from chimera_log.config.check.parts import Part
    from chimera_log.config.document import Document
    from chimera_log.config.findings import Finding

# In place of a value that cannot work, where others depend on there being one.
_STAND_INS: dict[str, Any] = {
    "filename": "stand-in.log",
    "backupCount": 1,
    "archive.bucket": "stand-in",
}
_TOGETHER = {"key_env": "key_id"}  # the second has no sense without the first


def findings(document: Document) -> list[Finding]:
    """Return the options of our own classes that cannot work."""
    if is_incremental(document):
        return []
    # To the end before anybody looks: logging is locked meanwhile.
    with _unchanged_logging():
        return list(_tried(document))


def _tried(document: Document) -> Iterator[Finding]:
    formatters: dict[str, Any] = {}
    for part in parts(document, "formatters"):
        trial = _Trial(document, part)
        yield from trial.run()
        if trial.made is not None:
            formatters[part.name] = trial.made
    for part in parts(document, "filters"):
        yield from _Trial(document, part).run()
    for part in parts(document, "handlers"):
        trial = _Trial(document, part)
        yield from trial.run()
        if trial.made is not None:
            yield from trial.finish(formatters)
            trial.made.close()


class _Trial:
    """
    The building of one part, if a class of ours is named there.

    Args:
        document: Where the part stands.
        part: A formatter, filter or handler.
    """

    made: Any = None

    def __init__(self, document: Document, part: Part) -> None:
        self._document = document
        self._part = part

    def run(self) -> Iterator[Finding]:
        """Build it; yield each option that is in the way."""
        section = str(self._part.path[0])
        kind = factory(self._document, self._part)
        is_read = section != "handlers" and "()" not in self._part.content
        if section == "formatters" and self._part.factory is None:
            self.made = logging.Formatter()  # stands for any plain one
        if is_read or not _is_ours(kind):
            return
        takes = options_of(kind, section, by_class="()" not in self._part.content)
        kept = {name: _STAND_INS.get(name) for name in takes.required}
        kept |= self._known(takes.known)
        told = set()
        while True:
            try:
                self.made = kind(**kept)
                return
            except ConfigError as error:
                name, _, what = str(error).partition(": ")
                yield self._finding(name, what)
            except Exception as error:  # a type that nobody expected
                name = next((each for each in kept if self._fits(kind, kept, each)), "")
                words = " ".join(f"{type(error).__name__}: {error}".split())
                yield self._finding(name, f"cannot be built: {words}; correct it")
            option = "fmt" if name == "format" else name
            if option.partition(".")[0] not in kept or option in told:
                return
            told.add(option)
            _take_away(kept, option)

    def finish(self, formatters: dict[str, Any]) -> Iterator[Finding]:
        """Give it its formatter and attributes, as dictConfig does."""
        name = self._part.content.get("formatter")
        if isinstance(name, str) and name in formatters:
            try:
                self.made.setFormatter(formatters[name])
            except ConfigError as error:
                what = str(error).replace(repr(formatters[name]), repr(name))
                yield self._finding("formatter", what.partition(": ")[2])
        attributes = self._part.content.get(".")
        for key, value in attributes.items() if isinstance(attributes, dict) else ():
            try:
                setattr(self.made, str(key), value)
            except Exception as error:  # noqa: PERF203  each is tried
                what = " ".join(str(error).removeprefix(f"{key}: ").split())
                path = (*self._part.path, ".", str(key))
                yield self._document.finding(path, what)

    def _known(self, names: tuple[str, ...]) -> dict[str, Any]:
        """Return the options that the class takes and whose values are there."""
        known = {}
        for name, value in self._part.options.items():
            # Our classes expand variables themselves.
            made = given(self._document, value) if conversion(value) else value
            if name in names and made is not UNKNOWN:
                known["fmt" if name == "format" else name] = made
        return known

    def _fits(self, kind: Any, kept: dict[str, Any], name: str) -> bool:
        """Whether all is well without option *name*."""
        others = dict(kept)
        _take_away(others, name)
        try:
            made = kind(**others)
        except ConfigError:
            return True  # another one is next
        except Exception:
            return False
        if isinstance(made, logging.Handler):
            made.close()
        return True

    def _finding(self, option: str, what: str) -> Finding:
        inner = option.split(".") if option else ()
        path = (*self._part.path, *inner)
        return self._document.finding(path, what, at_key=not inner)


def _take_away(kept: dict[str, Any], option: str) -> None:
    """Have *option* out of the way; of one that is a mapping, a key such as ``a.b``."""
    outer, _, inner = option.partition(".")
    given = kept[outer]
    if isinstance(given, dict) and (inner in given or option in _STAND_INS):
        kept[outer] = {key: value for key, value in given.items() if key != inner}
        if option in _STAND_INS:
            kept[outer][inner] = _STAND_INS[option]
        return
    option = outer
    del kept[option]
    kept.pop(_TOGETHER.get(option, ""), None)
    if option in _STAND_INS:
        kept[option] = _STAND_INS[option]


def _is_ours(kind: Any) -> bool:
    return isinstance(kind, type) and f"{kind.__module__}.".startswith(OURS)


@contextmanager
def _unchanged_logging() -> Iterator[None]:
    """Have logging know afterwards of the handlers that it knew before."""
    known: list[Any] = logging._handlerList  # type: ignore[attr-defined]
    lock: Any = logging._lock  # type: ignore[attr-defined]
    with lock:
        before = known[:]  # kept, so that no other can have an id of theirs
        ids = set(map(id, before))
        try:
            yield
        finally:
            known[:] = [each for each in known if id(each) in ids]
