"""
What is wrong with a configuration, and where; and how that is shown.

A `Finding` is one mistake or one warning.  Many are collected before anybody is told,
so that a file is mended in one go.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from chimera_log.options import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Path = tuple["str | int", ...]  # from the root: keys, and numbers in lists

ERROR = "error"  # logging would not work, or not as it is written
WARNING = "warning"  # it works, and may surprise
LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")  # what ends a line in YAML


class Place(NamedTuple):
    """Where something is written; line and column from 1, or 0 if nobody knows."""

    source: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


class Finding(NamedTuple):
    """One thing that is wrong, or may be; *text* says what, and what to do."""

    place: Place
    severity: str
    path: Path
    text: str

    def __str__(self) -> str:
        where = f" {dotted(self.path)}" if self.path else ""
        return f"{self.place}: {self.severity}{where}: {self.text}"


class Refusal(ConfigError):  # noqa: N818  it says what happens
    """A configuration is refused, for each of its *findings*."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = list(findings)
        super().__init__("\n".join(map(_as_reason, self.findings)))


def dotted(path: Path) -> str:
    """Return *path* as people write it, such as ``root.handlers[0]``."""
    return "".join(map(_as_step, path)).removeprefix(".")


def _as_step(step: str | int) -> str:
    if isinstance(step, int) or step == ".":
        return f"[{step}]"
    return f".{on_one_line(step)}"


def on_one_line(text: str) -> str:
    """Return *text* with escapes for what is no character that can be seen."""
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode()
        for each in text
    )


def excerpt(finding: Finding, texts: Mapping[str, str]) -> tuple[str, int] | None:
    """
    Return the line that *finding* is about, and the column where it points.

    Args:
        finding: Its place may be unknown; then there is nothing to show.
        texts: The text of each source.
    """
    place = finding.place
    lines = LINE_BREAK.split(texts.get(place.source, ""))
    if not 0 < place.line <= len(lines):
        return None
    return lines[place.line - 1], place.column


def as_json(findings: Iterable[Finding]) -> str:
    """Return *findings* as a JSON list of objects; a line that is unknown is null."""
    objects = [
        {
            "file": each.place.source,
            "line": each.place.line or None,
            "column": each.place.column or None,
            "severity": each.severity,
            "path": dotted(each.path),
            "message": each.text,
        }
        for each in findings
    ]
    return json.dumps(objects, indent=2)


def as_github(finding: Finding) -> str:
    """Return *finding* as GitHub Actions shows it beside the line."""
    place = finding.place
    where = {"file": place.source, "line": place.line, "col": place.column}
    given = ",".join(
        f"{name}={_escaped(str(value), ':,')}" for name, value in where.items() if value
    )
    path = f"{dotted(finding.path)}: " if finding.path else ""
    return f"::{finding.severity} {given}::{_escaped(f'{path}{finding.text}')}"


def _escaped(text: str, more: str = "") -> str:
    for each in f"%\r\n{more}":  # the percent sign first
        text = text.replace(each, f"%{ord(each):02X}")
    return text


def _as_reason(finding: Finding) -> str:
    where = f"{dotted(finding.path)}: " if finding.path else ""
    return f"{finding.place}: {where}{finding.text}"
