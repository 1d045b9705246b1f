"""
Look for what programs and libraries make of a configuration that nobody expects.

Each of these is accepted by dictConfig.
"""

from __future__ import annotations

import itertools
import logging

from chimera_log.config.check import outputs, routes
from chimera_log.config.check.parts import listed, loggers, parts
from chimera_log.config.findings import ERROR, WARNING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from chimera_log.config.check.parts import Part
    from chimera_log.config.document import Document
    from chimera_log.config.findings import Finding, Path

_CHATTY = ("botocore", "urllib3")  # at DEBUG they log what they send
# Options that say which records a handler writes, not how it writes its file.
_NOT_OF_THE_FILE = frozenset({"filename", "formatter", "filters", "level"})


def findings(document: Document) -> Iterator[Finding]:
    """Yield the traps in *document*; one that changes levels only has none."""
    if document.content.get("incremental"):
        return
    yield from _of_sections(document)
    yield from _filters_on_loggers(document)
    yield from _shared_files(document)
    yield from _debug_in_cloudwatch(document)
    yield from _bare_messages(document)
    yield from _idle_queues(document)


def _of_sections(document: Document) -> Iterator[Finding]:
    if "loggers" not in document.content:
        yield document.finding(
            ("loggers",),
            "is missing, and gunicorn does not start without it; write `loggers: {}`",
            severity=WARNING,
        )
    written = document.content.get("disable_existing_loggers")
    if written is None or written is True:
        says = "is true" if written else "is missing, and true without being written"
        yield document.finding(
            ("disable_existing_loggers",),
            f"{says}: loggers made before, as modules do when they are imported, fall "
            "silent; write `disable_existing_loggers: false`",
            severity=WARNING,
        )


def _filters_on_loggers(document: Document) -> Iterator[Finding]:
    ours = {
        each.name
        for each in parts(document, "filters")
        if outputs.maker(each) == outputs.AUDIT_FILTER
    }
    for logger in loggers(document):
        for path, name in routes.items(logger, "filters"):
            if name in ours:
                yield document.finding(
                    path,
                    f"filter {name!r} sees no record of this logger's children here; "
                    "list it in the filters of a handler",
                    severity=WARNING,
                )


def _shared_files(document: Document) -> Iterator[Finding]:
    """Yield each two handlers that write one file and are in each other's way."""
    files: dict[str, list[Part]] = {}
    for handler in parts(document, "handlers"):
        path = outputs.path(handler, "filename")
        if path is not None and not path.startswith(("/dev/", "/proc/")):
            files.setdefault(path, []).append(handler)
    for path, writers in files.items():
        for first, second in itertools.pairwise(writers):
            trouble, severity = _trouble(first, second)
            if trouble:
                yield document.finding(
                    (*second.path, "filename"),
                    f"handler {first.name!r} writes {path!r} too{trouble}",
                    severity=severity,
                )


def _trouble(first: Part, second: Part) -> tuple[str, str]:
    """Return what is wrong with one file for both, and how wrong it is."""
    kinds = outputs.maker(first), outputs.maker(second)
    if kinds[0] == kinds[1] and kinds[0] in outputs.OUR_FILES:
        options = sorted(_unlike(first, second))
        if not options:
            return "", WARNING
        return (
            ", and the options of one will hold for both; write the same "
            f"{' and '.join(options)} in both",
            WARNING,
        )
    if outputs.AUDIT in kinds:
        return ", whose lines would break the audit trail; name another file", ERROR
    if set(kinds) <= set(outputs.STDLIB_PLAIN):
        return ", each with a lock of its own; let one handler write it", WARNING
    return ", and each would rotate it under the other; let one handler write it", ERROR


def _unlike(first: Part, second: Part) -> set[str]:
    """Return the options about the file itself that differ."""
    options = {key for part in (first, second) for key in part.content} - {
        "class",
        "()",
    }
    return {
        str(key)
        for key in options - _NOT_OF_THE_FILE
        if first.content.get(key) != second.content.get(key)
    }


def _debug_in_cloudwatch(document: Document) -> Iterator[Finding]:
    known = routes.Routes(document)
    for handler in outputs.made_by(document, outputs.CLOUDWATCH, outputs.WATCHTOWER):
        if routes.level_of(handler) > logging.DEBUG:
            continue
        loud: dict[Path, list[str]] = {}
        for name in _CHATTY:
            level, path = known.level(name)
            gets_it = any(handler.name == each.name for each in known.reached(name))
            if level <= logging.DEBUG and gets_it:
                loud.setdefault(path, []).append(name)
        for path, names in loud.items():
            yield document.finding(
                path,
                f"handler {handler.name!r} sends what {' and '.join(names)} log of each "
                "request at DEBUG, signatures too; under loggers, set their level to "
                "WARNING",
                severity=WARNING,
            )


def _bare_messages(document: Document) -> Iterator[Finding]:
    for handler in parts(document, "handlers"):
        kind = outputs.maker(handler)
        is_plain = kind.is_ours and kind != outputs.AUDIT  # which brings one along
        if is_plain and handler.content.get("formatter") is None:
            yield document.finding(
                handler.path,
                "has no formatter, so a line is the bare message without time and "
                "level; add `formatter:`, the name of a chimera_log.JsonFormatter",
                severity=WARNING,
                at_key=True,
            )


def _idle_queues(document: Document) -> Iterator[Finding]:
    for handler in outputs.made_by(document, outputs.QUEUE):
        if listed(handler, "handlers") and handler.content.get("listener") is None:
            yield document.finding(
                handler.path,
                "what it gets waits in its queue until the program calls "
                f"`logging.getHandlerByName({handler.name!r}).listener.start()`; do "
                "that, or list its handlers in its place",
                severity=WARNING,
                at_key=True,
            )
