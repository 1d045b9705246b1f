"""
``chimera-log check``: find every mistake in a logging configuration.

Nothing is applied, opened or started.  The modules of the classes that the
configuration names are imported, as dictConfig would; what they print goes to stderr.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

from chimera_log.cli.terminal import printable
from chimera_log.config.check import check
from chimera_log.config.effective import files_of, read_all
from chimera_log.config.findings import ERROR, Refusal, as_github, as_json, excerpt
from chimera_log.config.sources import find, of_overlay

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

    from chimera_log.config.document import Document
    from chimera_log.config.findings import Finding

_FOUND = 1
_UNREADABLE = 2


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command to the program's."""
    parser = commands.add_parser(
        "check",
        help="find every mistake in a logging configuration",
        description="Find every mistake in dictConfig configurations, YAML or JSON, "
        "before one is applied: where it is, what it is, and what to do.",
        epilog="Exit codes: 0: no errors; 1: errors; 2: a file cannot be read.",
    )
    parser.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help="what to check, each for itself; by default what init_logging would find",
    )
    parser.add_argument(
        "--format",
        choices=("text", "json", "github"),
        default="text",
        help="how findings are shown: a line each, a JSON list, or what GitHub Actions "
        "shows beside the line",
    )
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Check; return the exit code."""
    findings: list[Finding] = []
    texts: dict[str, str] = {}
    code = 0
    for file in given.files or [find(None)]:
        try:
            document = _document(Path(file))
        except Refusal as refusal:
            if isinstance(refusal.__cause__, OSError):
                print(f"chimera-log: {printable(str(refusal))}", file=sys.stderr)
                code = _UNREADABLE
                continue
            findings += refusal.findings
            texts.update({each.place.source: "" for each in refusal.findings})
            texts.update({source: _text(source) for source in texts})
            continue
        texts.update(document.texts)
        with _as_the_service_does():
            findings += check(document)
    _show(findings, given.format, texts)
    return code or _FOUND * any(each.severity == ERROR for each in findings)


def _show(findings: list[Finding], form: str, texts: Mapping[str, str]) -> None:
    if form == "json":
        print(as_json(findings))
        return
    for each in findings:
        print(printable(as_github(each) if form == "github" else str(each)))
        if form == "text" and sys.stdout.isatty():
            _point(each, texts)


def _point(finding: Finding, texts: Mapping[str, str]) -> None:
    """Show the line that *finding* is about, and an arrow below it."""
    shown = excerpt(finding, texts)
    if shown is None:
        return
    line, column = (shown[0].replace("\t", " "), shown[1])
    before = printable(line[: column - 1])
    print(f"{finding.place.line:>5} | {printable(line)}")
    print(f"{'':>5} | {'':>{len(before)}}^")


def _document(path: Path) -> Document:
    """Return the configuration at *path*, with what an environment lays over it."""
    of = of_overlay(path)
    return read_all(files_of(path) if of is None else [of[0], path])


def _text(file: str | os.PathLike[str]) -> str:
    """Return what is in *file*, of which is known that it can be read."""
    return Path(file).read_text(encoding="utf-8", errors="replace")


@contextmanager
def _as_the_service_does() -> Iterator[None]:
    """
    Import from the directory that the service is started in, as it would.

    What a module prints meanwhile must not come between the findings.
    """
    before = list(sys.path)
    sys.path.insert(0, os.getcwd())  # noqa: PTH109  text
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        sys.path[:] = before
