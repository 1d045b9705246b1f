"""
Find names that lead nowhere: from section to section, and by ``ext://`` or ``cfg://``.
"""

from __future__ import annotations

import logging.config
import logging.handlers
import sys

from chimera_log import options
from chimera_log.config.check.parts import (
    QUEUES_NAME_HANDLERS,
    SECTIONS,
    closest,
    conversion,
    did_you_mean,
    is_incremental,
    is_open,
    loggers,
    parts,
    shown,
)
from chimera_log.config.check.resolving import UnresolvedError, factory, resolve
from chimera_log.config.check.yaml11 import misread
from chimera_log.config.findings import WARNING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from chimera_log.config.check.parts import Part
    from chimera_log.config.document import Document
    from chimera_log.config.findings import Finding, Path

_FILTERS_MAY_BE_GIVEN = sys.version_info >= (3, 11)


def findings(document: Document) -> Iterator[Finding]:
    """Yield the names in *document* that nothing is called by."""
    if is_incremental(document):
        return
    for part in parts(document, "handlers"):
        formatter = part.content.get("formatter")
        if formatter is not None and formatter != "":  # which dictConfig passes over
            path = (*part.path, "formatter")
            yield from _known(document, path, "formatters", formatter)
        yield from _list(document, part, "filters")
    for part in loggers(document):
        yield from _list(document, part, "handlers")
        yield from _list(document, part, "filters")
    for section in ("formatters", "filters", "handlers"):
        for part in parts(document, section):
            yield from _conversions(document, part.path, part.content)
    for part in loggers(document):
        yield from _conversions(document, part.path, part.content)
    yield from _waiting(document)


def _list(document: Document, part: Part, key: str) -> Iterator[Finding]:
    names = part.content.get(key)
    path = (*part.path, key)
    if names is None or is_open(names) or conversion(names):
        return
    if not isinstance(names, (list, tuple)):
        what = f"{shown(names)} must be a list of names"
        if isinstance(names, str) and names:
            what = f"{shown(names)} must be a list; write [{names}]"
        yield document.finding(path, what)
        return
    for index, name in enumerate(names):
        is_given = callable(name) or hasattr(name, "filter")
        if not (_FILTERS_MAY_BE_GIVEN and key == "filters" and is_given):
            yield from _known(document, (*path, index), key, name)


def _known(
    document: Document, path: Path, section: str, name: Any
) -> Iterator[Finding]:
    """Yield a finding unless *name*, written at *path*, is one of *section*."""
    if is_open(name) or conversion(name):
        return
    names = document.content.get(section)
    if names is not None and not isinstance(names, dict):
        return  # that it is no mapping has been said
    known = [each for each in names or () if isinstance(each, str)]
    if isinstance(name, str) and name in known:
        return
    others = set(document.content).difference(SECTIONS)
    if names is None and closest(section, others):
        return  # that one is called otherwise has been said
    noun = section.removesuffix("s")
    hint = (
        options.did_you_mean(str(name), known) if known else f"add it under {section}"
    )
    read = misread(document, path, name)
    what = f"no {noun} is called {shown(name)}" if read is None else read
    yield document.finding(path, f"{what}; {'quote it' if read else hint}")


def _conversions(
    document: Document, path: Path, content: dict[str, Any]
) -> Iterator[Finding]:
    for key, value in content.items():
        where = (*path, str(key))
        if key in {"class", "()"}:
            continue  # `classes` looks there
        if isinstance(value, dict) and key in {".", "queue", "listener"}:
            yield from _conversions(document, where, value)
        converted = conversion(value)
        if converted is None or is_open(value):
            continue
        protocol, rest = converted
        what = (
            _external(document, rest)
            if protocol == "ext"
            else _internal(document, rest)
        )
        if what:
            yield document.finding(where, what)
        elif protocol == "cfg" and path[0] == "handlers":
            yield from _too_early(document, where, rest)


def _external(document: Document, name: str) -> str | None:
    try:
        resolve(document, name)
    except UnresolvedError as error:
        return str(error)
    return None


def _internal(document: Document, rest: str) -> str | None:
    """Return what is wrong with ``cfg://``, where it leads nowhere."""
    # Looked up in a copy that converts nothing.
    trial: Any = logging.config.BaseConfigurator({})
    trial.config = document.content
    try:
        trial.cfg_convert(rest)
    except (LookupError, TypeError) as error:
        top = rest.partition(".")[0].partition("[")[0]
        if top not in document.content:
            hint = did_you_mean(top, document.content, "correct the name")
            return f"cfg://{rest} leads nowhere: there is no section {top!r}; {hint}"
        missing = error.args[0] if isinstance(error, KeyError) else None
        known = document.content[top]
        close = closest(str(missing), known) if isinstance(known, dict) else None
        hint = f"did you mean {close!r}?" if close else "correct the path"
        at = f" at {missing!r}" if missing is not None else ""
        return f"cfg://{rest} leads nowhere{at}; {hint}"
    except ValueError:
        return f"cfg://{rest} is no path; write cfg://section.name"
    return None


def _too_early(document: Document, path: Path, rest: str) -> Iterator[Finding]:
    """Yield a finding if *rest* names a handler that is not built yet."""
    section, _, name = rest.partition(".")
    own = str(path[1])
    if section == "handlers" and name and name >= own and "." not in name:
        what = (
            f"gives the settings of {name!r} and not the handler, which is built after "
            f"{own!r}, in the order of their names; rename one of them"
        )
        yield document.finding(path, what, severity=WARNING)


def _waiting(document: Document) -> Iterator[Finding]:
    """Yield the handlers that dictConfig cannot build, since they wait for others."""
    needs = {part.name: _needs(document, part) for part in parts(document, "handlers")}
    for part in parts(document, "handlers"):
        for path, name in needs[part.name]:
            yield from _known(document, path, "handlers", name)
    names = {name: [each for _, each in found] for name, found in needs.items()}
    for name in _deferred_in_vain(names):
        path, wanted = next(
            (path, each) for path, each in needs[name] if isinstance(each, str)
        )
        circle = _circle(name, names)
        if circle:
            what = (
                f"handlers wait for each other: {' -> '.join(circle)}; end the circle"
            )
        elif _circle(wanted, names):
            continue  # which is told there
        else:
            what = (
                f"{wanted!r} is not built before {name!r}, since both wait for other "
                f"handlers; call it something that sorts before {name!r}"
            )
        yield document.finding(path, what)


def _needs(document: Document, part: Part) -> list[tuple[Path, Any]]:
    """Return the names of the handlers that *part* is built with, and where they are."""
    kind = factory(document, part)
    if "()" in part.content or not isinstance(kind, type):
        return []
    if issubclass(kind, logging.handlers.MemoryHandler) and "target" in part.content:
        return [((*part.path, "target"), part.content["target"])]
    names = part.content.get("handlers")
    if (
        QUEUES_NAME_HANDLERS
        and issubclass(kind, logging.handlers.QueueHandler)
        and isinstance(names, (list, tuple))
    ):
        path = (*part.path, "handlers")
        return [((*path, index), name) for index, name in enumerate(names)]
    return []


def _deferred_in_vain(needs: dict[str, list[Any]]) -> list[str]:
    """Return what is still not built after dictConfig's second turn."""
    built: set[str] = set()
    waiting = sorted(needs)
    for _ in range(2):
        turn, waiting = waiting, []
        for name in turn:
            known = [each for each in needs[name] if isinstance(each, str)]
            if all(each in built or each not in needs for each in known):
                built.add(name)
            else:
                waiting.append(name)
    return waiting


def _circle(name: str, needs: dict[str, list[Any]]) -> list[str]:
    """Return the way from *name* back to it, if there is one."""
    ways = [[name]]
    seen = set()
    for way in ways:  # grows while it is walked
        for after in needs.get(way[-1], ()):
            if after == name:
                return [*way, name]
            if isinstance(after, str) and after not in seen:
                seen.add(after)
                ways.append([*way, after])
    return []
