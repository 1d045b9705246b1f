"""
``chimera-log archive``: have the full files of audit trails in S3, and get them back.

It does what a service does whose handler has ``archive``, for services that end
quickly, or must not talk to S3 themselves; in the manner of cron with ``--once``.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from collections import namedtuple
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from chimera_log import options
from chimera_log.audit.chain import Key
from chimera_log.audit.handler import AuditFileHandler
from chimera_log.cli.keys import key_in
from chimera_log.cli.terminal import Bar, printable
from chimera_log.config.check import outputs
from chimera_log.config.effective import asked_for, effective
from chimera_log.files import names
from chimera_log.options import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from chimera_log.audit.archiving import Archiving
    from chimera_log.config.check.parts import Part

_FAILED = 1
_WHO = "chimera-log archive"
_DATE = r"(?:\d{4}-\d\d-\d\d)?"
_DAYS = re.compile(rf"({_DATE})\.\.({_DATE})", re.ASCII)

# A trail of the configuration that is archived: its active file, and how it behaves.
Configured = namedtuple("Configured", ["path", "policy"])


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command to the program's."""
    parser = commands.add_parser(
        "archive",
        help="have the full files of audit trails in S3, and get them back",
        description="Archive the full files of the audit trails whose handlers have "
        "'archive' in the configuration, until the process is told to end.",
    )
    parser.add_argument(
        "path",
        metavar="PATH",
        nargs="?",
        help="the active file of one trail (default: all that are archived)",
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="the configuration (default: the one that init_logging would find)",
    )
    parser.add_argument(
        "--once",
        action="store_true",
        help="do all there is, and end: with 0, or with 1 and what is wrong",
    )
    parser.add_argument(
        "--restore",
        metavar="FROM..TO",
        help="bring back the files with records of these days, such as "
        "2025-10-27..2025-10-31; either may be left out",
    )
    parser.add_argument(
        "--keep",
        metavar="TIME",
        default="30 days",
        help="how long what is brought back stays at least (default: %(default)s)",
    )
    parser.add_argument(
        "--key-env",
        metavar="NAME",
        action="append",
        default=[],
        help="the environment variable that holds a key that older manifests are signed "
        "with",
    )
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Archive or restore; return the exit code: 0, or 1 if something failed."""
    days = None if given.restore is None else _days(given.restore)
    keep = options.duration("--keep", given.keep)
    older = [key_in(name) for name in given.key_env]
    trails = _trails(given.config, given.path)
    if days is not None:
        codes = [_restore(each, older, days, keep) for each in trails]
        return max(codes)
    return _archive(trails, older, is_once=given.once)


def _archive(trails: list[Configured], older: list[Key], *, is_once: bool) -> int:
    """Archive all *trails*; return the exit code."""
    from chimera_log.audit.archiving import Archiving  # noqa: PLC0415  0.1 s
    from chimera_log.cli.telling import telling  # noqa: PLC0415

    with ExitStack() as stack:
        stopped = stack.enter_context(_stoppable())
        tasks = []
        for path, policy in trails:
            tell = stack.enter_context(telling(path, policy.rules.key, _complain))
            task = Archiving(
                path,
                policy.rules.archive,
                key=policy.rules.key,
                older_keys=older,
                backup_count=policy.limits.backup_count,
                tell=tell,
                on_trouble=partial(_on_trouble, path),
            )
            stack.callback(task.close)
            tasks.append((path, task))
        if not is_once:
            _go_on([task for _, task in tasks], stopped)
            return 0
        codes = [_do_all(path, task, stopped) for path, task in tasks]
        return max(codes)


def _go_on(tasks: Sequence[Archiving], stopped: threading.Event) -> None:
    """Archive whatever there is, until we are told to end."""
    while not stopped.is_set():
        stopped.wait(min(task.step() or 0.0 for task in tasks))


def _do_all(path: str, task: Archiving, stopped: threading.Event) -> int:
    """Archive what there is of one trail; return the exit code."""
    bar = Bar(Path(path).name)
    pause = 0.0
    while not stopped.is_set() and (not pause or task.may_recover):
        stopped.wait(pause)
        pause = task.step() or 0.0
        found = task.statistics()
        bar.show(found.archived, found.archived + found.waiting)
    bar.clear()
    found = task.statistics()
    print(
        printable(
            f"{path}: {_count(found.archived)} archived, {found.waiting} waiting, "
            f"{found.removed} removed"
        )
    )
    if not task.has_turn:
        _complain(f"{path}: another process is archiving it")
    is_done = task.has_turn and not found.waiting and found.last_error is None
    return 0 if is_done else _FAILED


def _restore(
    trail: Configured, older: list[Key], days: tuple[str, str], keep: float
) -> int:
    """Bring back files of one trail; return the exit code."""
    import socket  # noqa: PLC0415  to restore only

    from chimera_log.audit.archive import explained, hostname_in  # noqa: PLC0415
    from chimera_log.audit.bucket import Bucket  # noqa: PLC0415
    from chimera_log.audit.manifest import Restored  # noqa: PLC0415
    from chimera_log.audit.restore import Restoring  # noqa: PLC0415
    from chimera_log.aws.session import CallFailed  # noqa: PLC0415

    path, rules = trail.path, trail.policy.rules
    now = time.time()
    bucket = Bucket(rules.archive)
    restoring = Restoring(
        path,
        rules.archive,
        bucket,
        keys=[each for each in (rules.key, *older) if each is not None],
        host=hostname_in(rules.archive, socket.gethostname()),
        restored=Restored(now, now + keep, _WHO),
        on_note=lambda what: _complain(f"{path}: {what}"),
    )
    bar = Bar(Path(path).name)
    brought = failed = 0
    try:
        with restoring.turn():
            wanted = restoring.wanted(*days)
            missing = [each for each in wanted if not restoring.is_here(each)]
            for count, manifest in enumerate(missing, 1):
                problem = restoring.attempt(manifest)
                if problem is None:
                    brought += 1
                else:
                    failed += 1
                    bar.clear()
                    _complain(f"{path}: {manifest.sealed.segment}: {problem}")
                bar.show(count, len(missing))
            for manifest in wanted:
                restoring.keep(manifest)
    except CallFailed as failure:
        _complain(f"{path}: cannot restore: {explained(rules.archive, failure)}")
        return _FAILED
    except OSError as error:
        _complain(f"{path}: cannot restore: {error}")
        return _FAILED
    finally:
        bar.clear()
        bucket.forget()
    here = len(wanted) - len(missing)
    until = time.strftime("%Y-%m-%d", time.gmtime(now + keep))
    print(
        printable(
            f"{path}: {_count(brought)} brought back, to stay until {until}; {here} were "
            f"here, {failed} failed"
        )
    )
    return _FAILED if failed else 0


def _days(text: str) -> tuple[str, str]:
    """Return the first and the last day that are wanted; an empty one is open."""
    found = _DAYS.fullmatch(text)
    if found is None:
        raise ConfigError(
            f"--restore: {text!r} are no days; write 2025-10-27..2025-10-31, and leave "
            "out either for all before or after"
        )
    first, last = found.groups()
    for day in filter(None, (first, last)):
        if names.time_of_line(f"{day}T00:00:00".encode()) is None:
            raise ConfigError(f"--restore: {day} is no day; correct it")
    if last and first > last:
        raise ConfigError(f"--restore: {first} comes after {last}; exchange them")
    return first, last


def _trails(config: str | None, path: str | None) -> list[Configured]:
    """
    Return the trails of the configuration that are archived, or the one at *path*.

    Raises:
        ConfigError: If there is none, or its handler cannot be.
    """
    document = effective(asked_for(config))
    found: dict[str, Configured] = {}
    for handler in outputs.made_by(document, outputs.AUDIT):
        if handler.content.get("archive") is not None:
            trail = _configured(document.source, handler)
            found.setdefault(trail.path, trail)
    if not found:
        raise ConfigError(
            f"{document.source}: handlers: no AuditFileHandler has 'archive'; add it to "
            "the one whose files are to be archived"
        )
    if path is None:
        return list(found.values())
    wanted = os.path.abspath(path)  # noqa: PTH100  `resolve` would follow links
    if wanted not in found:
        raise ConfigError(
            f"{document.source}: handlers: none archives {wanted}; name one of "
            f"{', '.join(found)}"
        )
    return [found[wanted]]


def _configured(source: str, handler: Part) -> Configured:
    """Return the trail of a handler, which has to be one that can work."""
    try:
        made = AuditFileHandler(**handler.options)
    except ConfigError as error:
        raise ConfigError(f"{source}: handlers.{handler.name}.{error}") from None
    except TypeError as error:
        raise ConfigError(
            f"{source}: handlers.{handler.name}: {error}; chimera-log check tells more"
        ) from None
    made.close()
    return Configured(made.baseFilename, made._policy)


@contextmanager
def _stoppable() -> Iterator[threading.Event]:
    """Yield what is set when the process is told to end."""
    stopped = threading.Event()
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(each, lambda *_: stopped.set()) for each in signals]
    try:
        yield stopped
    finally:
        for each, handler in zip(signals, before, strict=True):
            signal.signal(each, handler)


def _on_trouble(path: str, _: str, what: str) -> None:
    _complain(f"{path}: {what}")


def _complain(what: str) -> None:
    print(f"chimera-log archive: {printable(what)}", file=sys.stderr, flush=True)


def _count(number: int) -> str:
    return "1 full file" if number == 1 else f"{number} full files"
