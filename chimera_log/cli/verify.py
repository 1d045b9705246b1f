"""
``chimera-log verify``: whether an audit trail is whole, and who can bear witness.

The exit code says it to scripts: 0 if it is whole and witnesses saw all but what was
written just now, 1 if it was tampered with, 3 if it is whole, and nobody can say
whether its end is there; 64 if the question is wrong.
"""

from __future__ import annotations

import json
import os
import sys
from functools import partial
from pathlib import Path

from chimera_log import options
from chimera_log.audit.chain import Key
from chimera_log.audit.reading import VerifyError, trail_in
from chimera_log.audit.verify import verify
from chimera_log.cli.terminal import printable
from chimera_log.options import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import BinaryIO, NoReturn

    from chimera_log.audit.verify import Report

WRONG_USAGE = 64  # EX_USAGE of sysexits.h; 1 and 2 would be taken for an answer
_STDIN = "-"


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command to the program's."""
    parser = commands.add_parser(
        "verify", help="check that nothing was removed from an audit trail, or changed"
    )
    # Its own exit code for wrong usage is 2.
    parser.error = partial(_refuse, parser)  # type: ignore[method-assign]
    parser.add_argument(
        "path",
        metavar="PATH",
        help="the trail's active file, or its folder if that holds one trail",
    )
    parser.add_argument(
        "--anchor",
        metavar="FILE",
        action="append",
        default=[],
        help="what a witness wrote down: a log file, or what CloudWatch Logs returned; "
        "- is standard input (default: the log files beside the trail)",
    )
    parser.add_argument(
        "--key-env",
        metavar="NAME",
        action="append",
        default=[],
        help="the environment variable with the key that records are signed with",
    )
    parser.add_argument(
        "--interval",
        metavar="SECONDS",
        default="60",
        help="between checkpoints: younger than two of them, records need no witness "
        "(default: %(default)s)",
    )
    parser.add_argument("--format", choices=["text", "json"], default="text")
    parser.set_defaults(run=run, refuse=parser.error)


def run(given: argparse.Namespace) -> int:
    """Verify a trail and print what was found; return the exit code."""
    try:
        report = _verified(given)
    except (VerifyError, ConfigError) as error:
        problem = str(error)
    except OSError as error:
        problem = f"{error.filename or given.path}: {error.strerror or error}"
    else:
        print(_as_json(report) if given.format == "json" else _as_text(report))
        return int(report.code)
    print(f"chimera-log verify: {printable(problem)}", file=sys.stderr)
    return WRONG_USAGE


def _verified(given: argparse.Namespace) -> Report:
    keys = [_key(name) for name in given.key_env]
    interval = options.duration("--interval", given.interval)
    path = trail_in(given.path) if Path(given.path).is_dir() else given.path
    anchors: list[str | BinaryIO] = [
        sys.stdin.buffer if each == _STDIN else each for each in given.anchor
    ]
    return verify(path, anchors=anchors, keys=keys, checkpoint_interval=interval)


def _key(name: str) -> Key:
    secret = os.environ.get(name)
    if not secret:
        raise VerifyError(f"--key-env {name}: the variable is not set")
    try:
        return Key(os.fsencode(secret))
    except ConfigError as error:
        raise VerifyError(f"--key-env {name}: {error}") from None


def _refuse(parser: argparse.ArgumentParser, message: str) -> NoReturn:
    parser.print_usage(sys.stderr)
    parser.exit(WRONG_USAGE, f"{parser.prog}: {message}\n")


def _as_json(report: Report) -> str:
    content = report._asdict()
    for name in ("bad", "head"):
        part = content[name]
        content[name] = None if part is None else part._asdict()
    return json.dumps(content, separators=(",", ":"))


def _as_text(report: Report) -> str:
    return "\n".join(map(printable, [*_verdict(report), *_details(report)]))


def _verdict(report: Report) -> list[str]:
    """Return whether the trail is good, and why not."""
    name, bad = Path(report.path).name, report.bad
    if bad is None:
        chain = "the chain is whole" if report.head else "there is no chain"
        more = f"; {report.reason}" if report.reason else ""
        return [f"{name}: {report.status}: {chain}{more}"]
    line = "" if bad.line is None else f", line {bad.line}"
    record = "" if bad.seq is None else f", record {bad.seq}"
    return [
        f"{name}: {report.status}: {bad.kind}",
        f"  {bad.file}{line}{record}: {bad.what}",
        f"  good before that: {_count(report.records, 'record')}",
    ]


def _details(report: Report) -> list[str]:
    """Return what was seen, one fact a line."""
    said = []
    if report.records:
        said += [
            f"records {report.first_seq}..{report.head.seq}, "
            f"{report.first_time} to {report.last_time}",
            f"chain {report.head.chain}, last hash {report.head.hash}",
        ]
    if report.anchored_seq:
        said.append(f"witnesses saw it up to record {report.anchored_seq}")
        if report.tail and report.bad is None:
            said.append(
                f"{_count(report.tail, 'record')} after that, the first of "
                f"{report.tail_time}, nobody saw yet"
            )
        if report.is_weak:
            said.append(
                "the anchor is weak: its witnesses are logs beside the trail, and who "
                "can change one can change the other; give another one with --anchor"
            )
    if report.pruned:
        said.append(
            f"pruned, as the trail itself says: {_count(report.pruned, 'segment')}"
        )
    if report.recovered:
        said.append(f"records that vouch for half lines: {report.recovered:,}")
    if report.legacy_files:
        lines, files = report.legacy_lines, report.legacy_files
        said.append(
            f"never chained, so no evidence: {_count(lines, 'line')} in "
            f"{_count(files, 'file')}"
        )
    if report.left_alone:
        said.append(f"left alone: {', '.join(report.left_alone)}")
    return [f"  {each}" for each in (*said, *report.notes)]


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
