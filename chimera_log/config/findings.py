"""
What is wrong with a configuration, and where.

A `Finding` is one mistake or one warning.  Many are collected before anybody is told,
so that a file is mended in one go.
"""

from __future__ import annotations

from typing import NamedTuple

from chimera_log.options import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    Path = tuple["str | int", ...]  # from the root: keys, and numbers in lists

ERROR = "error"  # logging would not work, or not as it is written
WARNING = "warning"  # it works, and may surprise


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
    parts = (f"[{each}]" if isinstance(each, int) else f".{each}" for each in path)
    return "".join(parts).removeprefix(".")


def _as_reason(finding: Finding) -> str:
    where = f"{dotted(finding.path)}: " if finding.path else ""
    return f"{finding.place}: {where}{finding.text}"
