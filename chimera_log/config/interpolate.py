"""
Put the environment's variables into a configuration, as Compose does.

Only values are read, never keys.  A value that is nothing but one variable, and not
quoted, is a number or a boolean if it looks like one to YAML.
"""

from __future__ import annotations

from chimera_log import options
from chimera_log.config.document import Document
from chimera_log.config.findings import Refusal
from chimera_log.config.reading import typed
from chimera_log.options import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from chimera_log.config.findings import Finding, Path

_FORMATS = ("format", "fmt")  # where ``${name}`` may be a field of the record


def interpolate(
    document: Document, environ: Mapping[str, str] | None = None
) -> Document:
    """
    Return *document* with the variables in its values replaced.

    Args:
        document: It stays as it is.
        environ: The variables; without it, the process's environment.

    Raises:
        ConfigError: For each variable that is not set and has no default.
    """
    findings: list[Finding] = []

    def read(path: Path, value: Any) -> Any:
        if isinstance(value, dict):
            kept = _FORMATS if value.get("style") == "$" else ()
            return {
                key: inner if key in kept else read((*path, str(key)), inner)
                for key, inner in value.items()
            }
        if isinstance(value, (list, tuple)):
            inside = (read((*path, place), each) for place, each in enumerate(value))
            return type(value)(inside)
        return expanded(path, value) if isinstance(value, str) else value

    def expanded(path: Path, value: str) -> Any:
        try:
            text = options.expand("", value, environ)
        except ConfigError as error:
            findings.append(document.finding(path, str(error).removeprefix(": ")))
            return value
        is_one = options.is_variable(value) and document.plain(path) is not None
        return typed(text) if is_one else text

    content = read((), document.copy())
    if findings:
        raise Refusal(findings)
    return document.having(content)
