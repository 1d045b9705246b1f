"""
Look for what a configuration would cost in the worst case: disk, and calls to AWS.

Asks the file system how large and how full it is, and changes nothing there.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from chimera_log import options
from chimera_log.config.check import outputs
from chimera_log.config.check.parts import parts
from chimera_log.config.findings import WARNING
from chimera_log.files.opening import is_device
from chimera_log.options import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from chimera_log.config.check.parts import Part
    from chimera_log.config.document import Document
    from chimera_log.config.findings import Finding

_PACKED = 4  # a compressed file takes about a quarter
_SPOOL = "256 MB"  # what `CloudWatchHandler` has by default
_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")
_THOUSAND = 1000
_BY_SIZE = (*outputs.OUR_FILES, outputs.STDLIB_ROTATING)


class Use(NamedTuple):
    """What the files of a handler may take of the disk."""

    handler: str
    path: str
    most: int | None  # bytes; None: any number
    option: str  # what tells where they are


class _Disk(NamedTuple):
    """A file system: its number, and how many bytes are free for this user."""

    number: int
    free: int


def disk_use(document: Document) -> list[Use]:
    """
    Return what each handler of *document* with files, or a spool, may take at most.

    For an audit trail, which nothing but `chimera-log prune` shortens, it is what
    *backupCount* full files take.  A spool counts for one process.
    """
    found = []
    for handler in parts(document, "handlers"):
        kind = outputs.maker(handler)
        option = "spool_dir" if kind == outputs.CLOUDWATCH else "filename"
        path = outputs.path(handler, option)
        if path is None or is_device(path):
            continue
        if kind == outputs.CLOUDWATCH:
            most = outputs.size(handler, "max_spool_bytes", _SPOOL)
        elif kind.is_file:
            most = _most(handler)
        else:
            continue
        found.append(Use(handler.name, path, most, option))
    return found


def findings(document: Document) -> Iterator[Finding]:
    """Yield what *document* lets grow without bound, or beyond the disk."""
    for handler in parts(document, "handlers"):
        kind = outputs.maker(handler)
        path = outputs.path(handler, "filename")
        if kind in _BY_SIZE and path is not None and not is_device(path):
            yield from _unbounded(document, handler)
        elif (
            kind == outputs.STDLIB_TIMED and outputs.count(handler, "backupCount") == 0
        ):
            yield document.finding(
                (*handler.path, "backupCount"),
                "is 0, so that files are kept for ever; write how many to keep",
                severity=WARNING,
            )
        elif kind == outputs.CLOUDWATCH:
            yield from _single_calls(document, handler)
    yield from _beyond_disk(document)


def _unbounded(document: Document, handler: Part) -> Iterator[Finding]:
    limit = outputs.size(handler, "maxBytes")
    count = outputs.count(handler, "backupCount")
    if limit is None or count is None:  # said where options are checked
        return
    # An operator may want a trail that can only grow, see docs/operations.md.
    if (
        outputs.maker(handler) == outputs.AUDIT
        and handler.content.get("backupCount") == 0
    ):
        return
    if limit and not count:
        yield document.finding(
            (*handler.path, "maxBytes"),
            "without backupCount the file never rotates and grows without end; set "
            "backupCount to the full files to keep",
            severity=WARNING,
        )
    elif count and not limit and handler.content.get("rotate_at") is None:
        yield document.finding(
            (*handler.path, "backupCount"),
            "without maxBytes the file never rotates and grows without end; set "
            "maxBytes to the size of a full file",
            severity=WARNING,
        )
    elif not limit and not count:
        yield document.finding(
            handler.path,
            "without maxBytes and backupCount the file never rotates and grows without "
            "end; set both",
            severity=WARNING,
            at_key=True,
        )


def _single_calls(document: Document, handler: Part) -> Iterator[Finding]:
    for option, is_single in (
        ("max_batch_count", handler.content.get("max_batch_count") == 1),
        ("flush_interval", _is_no_time(handler.content.get("flush_interval"))),
    ):
        if is_single:
            yield document.finding(
                (*handler.path, option),
                "sends each record by a call of its own, which AWS throttles; leave it "
                "out for 100 records or 5 seconds, whichever comes first",
                severity=WARNING,
            )


def _is_no_time(value: object) -> bool:
    try:
        return value is not None and not options.duration("flush_interval", value)
    except ConfigError:
        return False


def _most(handler: Part) -> int | None:
    """Return the bytes that the files of *handler* may take, if there is a bound."""
    limit = outputs.size(handler, "maxBytes")
    count = outputs.count(handler, "backupCount")
    if outputs.maker(handler) not in _BY_SIZE:
        return None
    total = outputs.size(handler, "total_bytes") if count else 0
    if not limit or not count:
        return total or None
    most = limit * (count + 1)
    if handler.content.get("compression") == "gzip":
        # The one that is being compressed is there twice.
        most = limit * 2 + limit * count // _PACKED
    return min(most, total) if total else most


def _beyond_disk(document: Document) -> Iterator[Finding]:
    disks: dict[int, list[Use]] = {}
    free: dict[int, int] = {}
    seen: set[str] = set()  # handlers on one path share their files
    for use in disk_use(document):
        disk = _disk(use.path)
        if use.most is not None and disk is not None and use.path not in seen:
            seen.add(use.path)
            disks.setdefault(disk.number, []).append(use)
            free[disk.number] = disk.free
    for number, uses in disks.items():
        largest = max(uses, key=_need)
        need = sum(map(_need, uses))
        room = free[number] + sum(map(_taken, uses))
        if need > room:
            names = " and ".join(repr(use.handler) for use in uses)
            yield document.finding(
                ("handlers", largest.handler, largest.option),
                f"the files of {names} may take {_in_words(need)}, and their disk has "
                f"{_in_words(room)} for them; keep fewer or smaller ones",
                severity=WARNING,
            )


def _need(use: Use) -> int:
    return use.most or 0


def _disk(path: str) -> _Disk | None:
    """Return the file system that *path* is on, or would be."""
    try:
        nearest = outputs.nearest(path)
        found = os.statvfs(nearest)
        return _Disk(os.stat(nearest).st_dev, found.f_bavail * found.f_frsize)
    except (AttributeError, OSError):  # Windows; a link to nowhere
        return None


def _taken(use: Use) -> int:
    """Return what the files of *use* take already."""
    folder, name = os.path.split(use.path)
    if use.option == "spool_dir":
        folder, name = use.path, ""
    try:
        with os.scandir(folder) as entries:
            return sum(
                each.stat(follow_symlinks=False).st_size
                for each in entries
                if each.name.startswith(name)
            )
    except OSError:
        return 0


def _in_words(amount: float) -> str:
    unit = 0
    while amount >= _THOUSAND and unit < len(_UNITS) - 1:
        amount /= _THOUSAND
        unit += 1
    return f"{amount:,.1f} {_UNITS[unit]}".replace(".0 ", " ")
