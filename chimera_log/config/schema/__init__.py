"""
The JSON Schema of a logging configuration, for editors and other validators.

It holds for any dictConfig document.  Of our classes it knows what they say of
themselves, of the standard library's what is written down in `stdlib`, and of others it
allows everything.  `chimera-log check` knows more: what is defined elsewhere in the
file, what classes exist, what they make of their options together.

What is made here is shipped as ``logging.schema.json``.
"""

from __future__ import annotations

import json

import chimera_log
from chimera_log.config.schema.documented import NOTHING, options_of, promise
from chimera_log.config.schema.stdlib import REQUIRED, STDLIB
from chimera_log.config.schema.values import (
    DURATION,
    FLAG,
    SIZE,
    TEXT,
    TEXTS,
    VARIABLE,
    value_of,
)
from chimera_log.options import LEVELS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Schema = dict[str, Any]

HANDLERS = (
    "StreamHandler",
    "RotatingFileHandler",
    "AuditFileHandler",
    "CloudWatchHandler",
)
_OURS = "chimera_log."
_FLAG_OR_NULL = {"anyOf": [*FLAG["anyOf"], {"enum": [0, 1, None]}]}
_NAMES = {"anyOf": [*TEXTS["anyOf"], {"type": "null"}]}
_MISSPELT = (
    r"^(?!(version|incremental|disable_existing_loggers|formatters|filters|handlers|root"
    r"|loggers|watch)$)[_-]?([vV]ers|[iI]ncr|[dD]isab|[fF]orma?t+e|[fF]ilt|[hH]andl"
    r"|[rR]o+t|[lL]og+er|[wW]atch)"
)


def text() -> str:
    """Return the schema as the text that is shipped."""
    return f"{json.dumps(schema(), indent=2)}\n"


def schema() -> Schema:
    """Return the schema, for JSON Schema's draft 7."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Configuration of Python's logging",
        "description": "What logging.config.dictConfig takes, with the classes of "
        f"chimera_log {chimera_log.__version__}.",
        "type": "object",
        "required": ["version"],
        "properties": {
            "$schema": TEXT,
            "version": {"description": "Always 1.", "const": 1},
            "disable_existing_loggers": {
                "description": "Whether to silence the loggers that were made before, "
                "and are not named here. Write false.",
                "default": True,
                **_FLAG_OR_NULL,
            },
            "incremental": {
                "description": "Whether this only changes levels of what is configured.",
                "default": False,
                **_FLAG_OR_NULL,
            },
            "watch": {
                "description": "How often init_logging looks whether the file changed, "
                "to load it again then. Without it, never.",
                "anyOf": [{"$ref": "#/definitions/duration"}, {"type": "null"}],
            },
            "root": {
                "description": "The logger that gets what all others hand up.",
                "anyOf": [{"$ref": "#/definitions/logger"}, {"type": "null"}],
            },
            "formatters": {
                "description": "What lines look like, by the formatters' names.",
                **_section("formatter"),
            },
            "filters": {
                "description": "Which records pass, by the filters' names.",
                **_section("filter"),
            },
            "loggers": {
                "description": "What is logged, by the loggers' names.",
                **_section("logger"),
            },
            "handlers": {
                "description": "Where records go, by the handlers' names.",
                "type": "object",
                "additionalProperties": {"type": "object"},
            },
        },
        # Other sections may be anybody's, for cfg:// or for anchors; not these.
        "patternProperties": {_MISSPELT: False},
        "if": {
            "required": ["incremental"],
            "properties": {"incremental": {"enum": [True, 1]}},
        },
        "else": {"properties": {"handlers": _section("handler")}},
        "then": {"properties": {"handlers": _section("handlerLevel")}},
        "definitions": _definitions(),
    }


def _section(kind: str) -> Schema:
    return {
        "type": "object",
        "additionalProperties": {"$ref": f"#/definitions/{kind}"},
    }


def _definitions() -> Schema:
    return {
        "variable": VARIABLE,
        "size": SIZE,
        "duration": DURATION,
        "level": {
            "description": f"{', '.join(LEVELS)}, or a number; NOTSET asks the logger "
            "above.",
            "anyOf": [
                {"enum": [*LEVELS, "NOTSET", "WARN", "FATAL", None]},
                {"type": "integer"},
                {"$ref": "#/definitions/variable"},
            ],
        },
        "logger": _object(
            {
                "level": {
                    "description": "Records below it are dropped.",
                    "anyOf": [{"$ref": "#/definitions/level"}],
                },
                "handlers": {"description": "Names of handlers.", **_NAMES},
                "filters": {
                    "description": "Names of filters, which see what this logger logs, "
                    "not what those below it do.",
                    **_NAMES,
                },
                "propagate": {
                    "description": "Whether the handlers of the loggers above get its "
                    "records too.",
                    "default": True,
                    **_FLAG_OR_NULL,
                },
                "qualname": {"description": "Ignored; gunicorn writes it.", **TEXT},
            }
        ),
        "formatter": _made_by_factory("JsonFormatter", _stdlib_formatter()),
        "filter": _made_by_factory(
            "ExecutionAuditFilter",
            _object(
                {
                    "name": {
                        "description": "The logger whose records pass, and those of "
                        "loggers below it.",
                        **TEXT,
                    }
                }
            ),
        ),
        "handlerLevel": {
            "type": "object",
            "properties": {"level": {"$ref": "#/definitions/level"}},
        },
        "handler": _handler(),
    }


def _stdlib_formatter() -> Schema:
    """Return what a formatter is that has no factory."""
    return _object(
        {
            "class": {
                "description": "Gets format, datefmt, style, validate and defaults "
                "only; name ours by ().",
                "type": "string",
                "pattern": r"^(?!chimera_log\.)",
            },
            "format": {"type": ["string", "null"]},
            "datefmt": {"type": ["string", "null"]},
            "style": {"enum": ["%", "{", "$"]},
            "validate": FLAG,
            "defaults": {"type": ["object", "null"]},
        }
    )


def _made_by_factory(ours: str, otherwise: Schema) -> Schema:
    """Return what a part is that ``()`` makes: our class *ours*, or anything."""
    is_ours = {"properties": {"()": {"const": _OURS + ours}}}
    factory = {"()": {"description": "What makes it.", **_name_of_class([ours])}}
    return {
        "type": "object",
        "if": {"required": ["()"]},
        "then": {
            "properties": factory,
            "if": is_ours,
            "then": _of_ours(ours, {"()": {}}),
        },
        "else": otherwise,
    }


def _handler() -> Schema:
    """Return what a handler is, class by class."""
    own = {
        "class": {"description": "Its class.", **_name_of_class(HANDLERS, STDLIB)},
        "()": {
            "description": "What makes it, instead of class.",
            **_name_of_class(HANDLERS),
        },
        "level": {
            "description": "Records below it are dropped.",
            "anyOf": [{"$ref": "#/definitions/level"}],
        },
        "formatter": {
            "description": "Name of a formatter.",
            "type": ["string", "null"],
        },
        "filters": {"description": "Names of filters.", **_NAMES},
        ".": {"description": "Attributes to set.", "type": "object"},
    }
    allowed: Schema = {key: {} for key in own}  # what they may be is said once
    branches = [
        {"if": _is_made_by(_OURS + name), "then": _of_ours(name, allowed)}
        for name in HANDLERS
    ]
    branches += [
        {
            "if": _is_made_by(name),
            "then": _object({**allowed, **options}, REQUIRED.get(name, [])),
        }
        for name, options in STDLIB.items()
    ]
    return {
        "type": "object",
        "properties": own,
        "oneOf": [{"required": ["class"]}, {"required": ["()"]}],
        "allOf": branches,
    }


def _is_made_by(name: str) -> Schema:
    return {
        "anyOf": [
            {"required": [key], "properties": {key: {"const": name}}}
            for key in ("class", "()")
        ]
    }


def _name_of_class(ours: Any, others: Any = ()) -> Schema:
    """Return what takes the name of any class; of our own, only those that exist."""
    return {
        "anyOf": [
            {"enum": [*(_OURS + name for name in ours), *others]},
            {"type": "string", "pattern": r"^(?!chimera_log\.[^.]*$)[^.\s]+\.\S+$"},
        ]
    }


def _of_ours(name: str, own: Schema) -> Schema:
    """Return what the options of our class *name* may be, besides its *own*."""
    kind = getattr(chimera_log, name)
    known = options_of(kind, chimera_log.RotatingFileHandler)
    found = _object(
        {**own, **{option.name: value_of(name, option) for option in known}},
        [option.name for option in known if option.default is NOTHING],
    )
    return {"description": promise(kind), **found}


def _object(properties: Schema, required: list[str] | None = None) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        **({"required": required} if required else {}),
        "additionalProperties": False,
    }
