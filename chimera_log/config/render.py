"""
Write a configuration as one plain file, for programs that take no other.

What comes out is ASCII, so that any terminal and any locale shows it as it is.
"""

from __future__ import annotations

import json
import math
import re

from chimera_log.forms import REDACTED
from chimera_log.redact import Redactor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from chimera_log.config.document import Document
    from chimera_log.config.findings import Path

MASK = "***"
FORMATS = ("yaml", "json")
_NAMES = 2  # keys above that depth are names of ours, such as loggers.vault_secret
_SHORTEST_SECRET = 4  # letters; less is found in every word
# What is text to PyYAML, and no text to others: YAML 1.2's numbers, 1.1's y and n.
_MISREAD = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|0o[0-7]+|[yYnN]"
)


def plain(document: Document) -> dict[str, Any]:
    """
    Return the content of *document*, in what JSON and YAML have in common.

    Raises:
        ConfigError: If something in it is neither, such as a date or an open stream.
    """
    content: dict[str, Any] = _plain(document, (), document.copy())
    return content


def masked(
    content: dict[str, Any], environ: Mapping[str, str]
) -> tuple[dict[str, Any], int]:
    """
    Return *content* with its secrets replaced by ``***``, and how many there were.

    Secret is what stands under a secret's name, such as ``password``, what comes from
    a variable with such a name, and what has a secret's form, such as a URL's user
    info; see `chimera_log.redact`.

    Args:
        content: What `plain` returned; it stays as it is.
        environ: The variables that it was made with.
    """
    mask = _Mask(environ)
    shown = {key: mask.applied((key,), value) for key, value in content.items()}
    return shown, mask.count


def as_json(content: dict[str, Any]) -> str:
    """Return *content* as JSON text that ends with a line feed."""
    return f"{json.dumps(content, indent=2, allow_nan=False)}\n"


def as_yaml(content: dict[str, Any]) -> str:
    """
    Return *content* as YAML text.

    Text that some reader would take for a number or a boolean is quoted.
    """
    import yaml  # noqa: PLC0415  as in reading

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  PyYAML's signature
            return True  # a part that is used twice is written twice

    def text(dumper: Dumper, value: str) -> yaml.ScalarNode:
        style = '"' if _MISREAD.fullmatch(value) else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style)

    Dumper.add_representer(str, text)
    written: str = yaml.dump(content, Dumper=Dumper, sort_keys=False, width=100)
    return written


def _plain(document: Document, path: Path, value: Any) -> Any:
    if isinstance(value, dict):
        return {
            _key(document, path, key): _plain(document, (*path, str(key)), each)
            for key, each in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [
            _plain(document, (*path, place), each) for place, each in enumerate(value)
        ]
    is_number = isinstance(value, (int, float)) and math.isfinite(value)
    if value is None or is_number or isinstance(value, str):
        return value
    what = f"{value!r} has no form in JSON; write text, in quotes"
    raise document.error(path, what)


def _key(document: Document, path: Path, key: Any) -> str:
    if isinstance(key, str):
        return key
    what = f"YAML reads the key as {key!r}; quote it"
    raise document.error((*path, str(key)), what, at_key=True)


class _Mask:
    """Replaces secrets, and counts them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.count = 0
        self._redactor = Redactor()
        self._values = [
            value
            for name, value in environ.items()
            if self._redactor.hidden[name] and len(value) >= _SHORTEST_SECRET
        ]

    def applied(self, path: Path, value: Any) -> Any:
        """Return *value*, which stands at *path*, without its secrets."""
        if isinstance(value, dict):
            return {
                key: self.applied((*path, key), each) for key, each in value.items()
            }
        if isinstance(value, list):
            return [
                self.applied((*path, place), each) for place, each in enumerate(value)
            ]
        if value is None or isinstance(value, bool):
            return value
        shown = MASK if self._is_secret(path) else self._without_values(value)
        self.count += shown != value
        return shown

    def _is_secret(self, path: Path) -> bool:
        return any(
            isinstance(key, str) and self._redactor.hidden[key] for key in path[_NAMES:]
        )

    def _without_values(self, value: Any) -> Any:
        if not isinstance(value, str):
            return MASK if str(value) in self._values else value
        shown = value
        for secret in self._values:
            shown = shown.replace(secret, MASK)
        return self._redactor.scrub(shown).replace(REDACTED, MASK)
