"""
Look whether the files of a configuration can be where it wants them.

Asks the file system, and changes nothing there.  Handlers of the standard library
open their file at once, so a place that cannot be is an error; ours try again until
it can be.  What our constructors refuse themselves is not said again.
"""

from __future__ import annotations

import os
import shlex
import stat
from contextlib import suppress

from chimera_log.config.check import outputs
from chimera_log.config.check.parts import parts
from chimera_log.config.findings import ERROR, WARNING
from chimera_log.files.opening import is_device
from chimera_log.options import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from chimera_log.config.check.parts import Part
    from chimera_log.config.document import Document
    from chimera_log.config.findings import Finding

# What a user may do is asked for the rights he has now, where that can be told.
_AS_NOW = os.access in os.supports_effective_ids
_MOVES_FILES = (
    *outputs.OUR_FILES,
    outputs.STDLIB_ROTATING,
    outputs.STDLIB_TIMED,
)


def findings(document: Document) -> Iterator[Finding]:
    """Yield the places in *document* where nothing could be written."""
    for handler in parts(document, "handlers"):
        kind = outputs.maker(handler)
        file = outputs.path(handler, "filename") if kind.is_file else None
        if file is not None and not is_device(file):
            yield from (_of_ours if kind.is_ours else _of_stdlib)(
                document, handler, file
            )
        folder = outputs.path(handler, "spool_dir")
        trouble = None if folder is None else _trouble_with(folder)
        if trouble and kind == outputs.CLOUDWATCH:
            yield document.finding(
                (*handler.path, "spool_dir"),
                f"{trouble}; until then, what waits dies with the process",
                severity=WARNING,
            )
        if kind == outputs.AUDIT:
            yield from _of_database(document, handler)


def _of_database(document: Document, handler: Part) -> Iterator[Finding]:
    given = outputs.text(handler, "database")
    if given is None:
        return
    # What an audit trail takes stays unloaded where there is none.
    from chimera_log.audit.index import SQLITE, database_of  # noqa: PLC0415

    database = None
    with suppress(ConfigError):  # its constructor says so
        database = database_of(given)
    if database is None or database.kind != SQLITE:
        return
    trouble = _trouble_with(os.path.dirname(database.place), database.place)
    if trouble:
        yield document.finding(
            (*handler.path, "database"),
            f"{trouble}; until then, it lacks the records",
            severity=WARNING,
        )


def _of_stdlib(document: Document, handler: Part, file: str) -> Iterator[Finding]:
    directory = os.path.dirname(file)
    where = (*handler.path, "filename")
    # With `delay`, the program may yet make the directory.
    severity = WARNING if handler.content.get("delay") is True else ERROR
    if os.path.isdir(file):
        yield document.finding(where, f"{file!r} is a directory; add a file name")
    elif not os.path.exists(directory):
        trouble = _trouble_with(directory)
        yield document.finding(
            where,
            trouble
            or f"directory {directory!r} does not exist; mkdir -p "
            f"{shlex.quote(directory)}, or use chimera_log.RotatingFileHandler",
            severity=severity,
        )
    elif trouble := _trouble_with(directory, file):
        yield document.finding(where, trouble, severity=severity)
    else:
        yield from _unmovable(document, handler, directory)


def _of_ours(document: Document, handler: Part, file: str) -> Iterator[Finding]:
    directory = os.path.dirname(file)
    where = (*handler.path, "filename")
    is_trail = outputs.maker(handler) == outputs.AUDIT
    if os.path.islink(file) and not handler.content.get("follow_symlinks"):
        cure = (
            "name the file itself"
            if is_trail
            else "name the file itself, or write `follow_symlinks: true`"
        )
        yield document.finding(
            where,
            f"{file!r} is a symbolic link, which is not followed, so that records wait "
            f"in memory; {cure}",
            severity=WARNING,
        )
    elif trouble := _trouble_with(directory, file):
        yield document.finding(
            where, f"{trouble}; until then, records wait in memory", severity=WARNING
        )
    else:
        yield from _unmovable(document, handler, directory)
    if is_trail and _is_open_to_all(directory):
        yield document.finding(
            where,
            f"anybody may remove or replace files in {directory!r}, an audit trail too; "
            f"chmod o-w {shlex.quote(directory)}",
            severity=WARNING,
        )


def _unmovable(document: Document, handler: Part, directory: str) -> Iterator[Finding]:
    """Yield that a full file cannot be renamed, if it cannot."""
    is_there = os.path.isdir(directory)
    if outputs.maker(handler) in _MOVES_FILES and is_there and not _can_add(directory):
        yield document.finding(
            (*handler.path, "filename"),
            f"{directory!r} is not writable for this user, so a full file cannot be "
            "renamed and grows on; have its owner permit it",
            severity=WARNING,
        )


def _trouble_with(directory: str, file: str | None = None) -> str | None:
    """Return why nobody can make *directory*, or *file* in it, and what to do."""
    nearest = outputs.nearest(directory)
    if not os.path.isdir(nearest):
        return f"{nearest!r} is no directory; name another"
    if file is not None and os.path.exists(file):
        if os.path.isdir(file) or _may(file, os.W_OK):
            return None
        return f"{file!r} is not writable for this user; have its owner permit it"
    if _can_add(nearest):
        return None
    return f"{nearest!r} is not writable for this user; have its owner permit it"


def _can_add(directory: str) -> bool:
    return _may(directory, os.W_OK | os.X_OK)


def _may(path: str, what: int) -> bool:
    return os.access(path, what, effective_ids=_AS_NOW)


def _is_open_to_all(directory: str) -> bool:
    try:
        mode = os.stat(outputs.nearest(directory)).st_mode
    except OSError:  # a link to nowhere
        return False
    return bool(mode & stat.S_IWOTH) and not mode & stat.S_ISVTX
