"""
Write ``docs/reference.md``: every key, from the docstrings of what takes it.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import chimera_log
from chimera_log.config.schema import schema
from chimera_log.config.schema.documented import NOTHING, options_of, promise
from chimera_log.config.schema.values import MAPPINGS, value_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from chimera_log.config.schema.documented import Option

SECTIONS = {
    "Formatter": ["JsonFormatter"],
    "Filter": ["ExecutionAuditFilter"],
    "Handlers": [
        "StreamHandler",
        "RotatingFileHandler",
        "AuditFileHandler",
        "CloudWatchHandler",
    ],
}
_WORDS = {
    "size": "size",
    "duration": "duration",
    "level": "level",
    "logger": "a logger",
}
_TYPES = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "`true`, `false`",
    "array": "list of text",
    "object": "mapping",
    "null": "`null`",
}
_ARGUMENTS = {
    "bool": "`True`, `False`",
    "dict[str, Any]": "mapping",
    "float": "number",
    "int": "whole number",
    "None": "`None`",
    "os.PathLike[str]": "path",
    "str": "text",
}
_HEAD = """\
# Reference

Every key of a configuration, and every argument of `init_logging`. Written from the docstrings by `python -m tests.generated`; how to use it all is told in [LOGGING.md](LOGGING.md).

A size is a number of bytes, or text such as `100 MB` (10^8 bytes) or `100 MiB`. A duration is a number of seconds, or text such as `100 ms`, `5 s`, `2 min`, `12 h`, `30 days`, `1 week` or `3 years` (366 days each). Any value may be a variable, as in `${NAME:-default}`.
"""


def text() -> str:
    """Return the page."""
    return "\n".join(_lines())


def default_of(option: Option) -> str:
    """Return the default of an *option* as it is written in YAML."""
    if option.default is NOTHING:
        return "must be given"
    return f"`{_yaml(option.default)}`"


def _lines() -> Iterator[str]:
    yield _HEAD
    yield "## The file\n"
    yield from _table(schema()["properties"], leave_out={"$schema"})
    definitions = schema()["definitions"]
    yield "## root, and each of loggers\n"
    yield from _table(definitions["logger"]["properties"])
    for title, names in SECTIONS.items():
        yield f"## {title}\n"
        if title == "Handlers":
            yield "All handlers, also those of others, have these:\n"
            yield from _table(definitions["handler"]["properties"])
        for name in names:
            kind = getattr(chimera_log, name)
            yield f"### chimera_log.{name}\n"
            yield f"{_markdown(promise(kind))}\n"
            options = options_of(kind, chimera_log.RotatingFileHandler)
            yield from _rows(
                (each.name, _kind(value_of(name, each)), default_of(each), each.text)
                for each in options
            )
            for each in options:
                if f"{name}.{each.name}" in MAPPINGS:
                    yield from _keys_of(name, each.name)
    yield "## init_logging\n"
    yield f"{_markdown(promise(chimera_log.init_logging))}\n"
    yield from _rows(
        (each.name, _annotated(each), f"`{each.default}`", each.text)
        for each in options_of(chimera_log.init_logging)
    )


def _keys_of(kind: str, name: str) -> Iterator[str]:
    """Yield the keys of an option that is a mapping."""
    takes = MAPPINGS[f"{kind}.{name}"]
    yield f"### {name} of chimera_log.{kind}\n"
    yield f"{_markdown(promise(takes))}\n"
    yield from _rows(
        (each.name, _kind(value_of(name, each)), default_of(each), each.text)
        for each in options_of(takes)
    )


def _table(properties: dict[str, Any], leave_out: Iterable[str] = ()) -> Iterator[str]:
    yield from _rows(
        (
            name,
            _kind(each),
            f"`{_yaml(each['default'])}`" if "default" in each else "",
            each["description"],
        )
        for name, each in properties.items()
        if name not in leave_out
    )


def _rows(rows: Iterable[tuple[str, str, str, str]]) -> Iterator[str]:
    yield "| key | value | default | what |"
    yield "| --- | --- | --- | --- |"
    for name, kind, default, what in rows:
        yield f"| `{name}` | {kind} | {default} | {_cell(what)} |"
    yield ""


def _cell(what: str) -> str:
    return _markdown(what).replace("|", "\\|")


def _markdown(docstring: str) -> str:
    """Return *docstring* as Markdown, each paragraph on one line."""
    paragraphs = docstring.replace("``", "`").split("\n\n")
    return "\n\n".join(re.sub(r"\s+", " ", each).strip() for each in paragraphs)


def _yaml(value: Any) -> str:
    if isinstance(value, str) and value:
        return value
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def _annotated(option: Option) -> str:
    return ", ".join(_ARGUMENTS[each] for each in option.types)


def _kind(known: dict[str, Any]) -> str:
    """Return what may be written, in a few words."""
    if str(known.get("description")).startswith(("Its class", "What makes it")):
        return "a class"
    kinds = list(dict.fromkeys(_kinds(known)))
    if kinds == ["`null`"] and "anyOf" in known:
        kinds.insert(0, "`ext://sys.stdout`, say")
    return ", ".join(kinds) or "anything"


def _kinds(known: dict[str, Any]) -> Iterator[str]:
    if "$ref" in known:
        name = known["$ref"].rpartition("/")[2]
        if name in _WORDS:
            yield _WORDS[name]
    if known.get("enum") != [0, 1, None]:  # other words for true and false
        yield from (f"`{_yaml(value)}`" for value in known.get("enum", ()))
    if "const" in known:
        yield f"`{_yaml(known['const'])}`"
    types = known.get("type", ())
    for each in [types] if isinstance(types, str) else types:
        yield _TYPES[each]
    for each in known.get("anyOf", ()):
        yield from _kinds(each)
