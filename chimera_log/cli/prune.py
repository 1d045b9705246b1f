"""
``chimera-log prune``: delete what is old enough of an audit trail.

Nothing else deletes any of it, however many files there are.  Each full file is
listed with what becomes of it and why; what goes is told in the trail itself.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from chimera_log import options
from chimera_log.audit.chain import Key
from chimera_log.audit.prune import (
    PruneError,
    delete,
    key_of,
    manifests_of,
    survey,
    turn,
)
from chimera_log.audit.reading import VerifyError, trail_in
from chimera_log.audit.retain import plan
from chimera_log.cli.keys import key_in
from chimera_log.cli.terminal import printable
from chimera_log.files import names
from chimera_log.options import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

_FAILED = 1
_WHO = "chimera-log prune"


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command to the program's."""
    parser = commands.add_parser(
        "prune",
        help="delete what is old enough of an audit trail",
        description="Delete the full files of an audit trail that are older than its "
        "retention_floor_days, the oldest first, and say so in the trail.",
    )
    parser.add_argument(
        "path",
        metavar="PATH",
        help="the trail's active file, or its folder if that holds one trail",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="say what may go; delete nothing"
    )
    parser.add_argument(
        "--confirm-clock",
        action="store_true",
        help="say that this machine's clock is right, though the newest record is more "
        "than a day away from it",
    )
    parser.add_argument(
        "--backup-count",
        type=int,
        metavar="N",
        help="let younger ones beyond the newest N go as well, if a verified copy is "
        "locked until they are old enough",
    )
    parser.add_argument(
        "--key-env",
        metavar="NAME",
        action="append",
        default=[],
        help="the environment variable that holds a key of the trail, if it has any",
    )
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Prune; return the exit code: 0 if it is done, 1 if something failed."""
    backup_count = given.backup_count
    if backup_count is not None:
        options.count("--backup-count", backup_count, minimum=1)
    keys = [key_in(name) for name in given.key_env]
    try:
        return _prune(_trail(given.path), keys, given)
    except VerifyError as error:  # no trail
        raise ConfigError(str(error)) from None
    except (PruneError, OSError) as error:
        print(f"chimera-log prune: {printable(str(error))}", file=sys.stderr)
        return _FAILED


def _prune(path: str, keys: list[Key], given: argparse.Namespace) -> int:
    with ExitStack() as stack:
        if not given.dry_run:
            stack.enter_context(turn(path, time.sleep))
        found = survey(path, keys)
        key = key_of(found.line, keys)
        now = time.time()
        steps = plan(
            found.segments,
            found.active,
            now,
            backup_count=given.backup_count,
            confirmed=given.confirm_clock,
        )
        for step in steps:
            what = "may go" if step.verdict.may_go else "stays"
            print(printable(f"{step.name}: {what}: {step.verdict.why}"))
        going = [step for step in steps if step.verdict.may_go]
        if going and not given.dry_run:
            from chimera_log.cli.telling import telling  # noqa: PLC0415  to delete only

            tell = stack.enter_context(telling(path, key, _on_trouble))
            manifests = manifests_of(path, key, keys)
            for step in going:
                delete(path, step, manifests, tell, now=now, by=_WHO)
                print(printable(f"{step.name}: deleted"), flush=True)
    what = "would be deleted" if given.dry_run else "deleted"
    print(f"{len(going)} of {len(steps)} full files {what}")
    return 0


def _on_trouble(what: str) -> None:
    print(f"chimera-log prune: {printable(what)}", file=sys.stderr)


def _trail(given: str) -> str:
    """Return the path of the active file, on whose name all depends."""
    path = Path(
        trail_in(given) if Path(given).is_dir() else os.path.abspath(given)  # noqa: PTH100  `resolve` would follow links
    )
    of = path.name.removesuffix(".gz").rsplit(".", 2)[0]
    if names.segment_number(of, path.name) is not None:
        raise ConfigError(f"{path} is a full file; name the active one, {of}")
    return str(path)
