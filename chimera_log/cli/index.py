"""
``chimera-log index``: the database of an audit trail, which questions are asked of.

The service keeps it up itself; this is for a trail without one, and for what a service
does not do: to make it, to compare it with the trail, to put it right.
"""

from __future__ import annotations

import os
import sys
import time
from collections import namedtuple
from contextlib import closing, suppress
from pathlib import Path

from chimera_log.audit.comparing import Comparison
from chimera_log.audit.index import POSTGRESQL, StoreError, database_of
from chimera_log.audit.indexing import Indexing, store_of
from chimera_log.audit.manifest import ManifestError, Manifests
from chimera_log.audit.reading import VerifyError, trail_in
from chimera_log.cli.terminal import printable
from chimera_log.config.check import outputs
from chimera_log.config.effective import asked_for, effective
from chimera_log.files.aside import Aside
from chimera_log.options import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from chimera_log.audit.index import Database

_FAILED = 1
_FLOOR_DAYS = 1096  # of a handler that is told nothing else
_PATIENCE = 10.0  # seconds that a database may be busy
_LONG = 2.0  # seconds until the next try: nobody waits for that

# A trail, and where its rows go.
_Job = namedtuple("_Job", ["path", "database", "floor_days"])


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command to the program's."""
    parser = commands.add_parser(
        "index",
        help="bring the database of an audit trail up to date, check it, repair it",
        description="Bring the databases of audit trails up to date: those that the "
        "configuration gives a database, or the one named.",
        epilog="Exit codes: 0: done, and equal; 1: something failed, or differs; "
        "2: the command line or the configuration is wrong.",
    )
    parser.add_argument(
        "path",
        nargs="?",
        metavar="PATH",
        help="the trail's active file, or its folder if that holds one trail (default: "
        "the trails of the configuration)",
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="the configuration (default: the one that init_logging would find)",
    )
    parser.add_argument(
        "--database",
        metavar="URL",
        help="sqlite:///FILE or postgresql://USER:PASSWORD@HOST:PORT/NAME, with "
        "variables such as '${DATABASE_URL}' (default: what the configuration says)",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--check", action="store_true", help="compare it with the trail; change nothing"
    )
    what.add_argument(
        "--repair", action="store_true", help="compare it, and make it equal"
    )
    what.add_argument(
        "--setup",
        action="store_true",
        help="make its tables, as who is to own them, and add nothing",
    )
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Do what is asked for; return the exit code."""
    try:
        jobs = _jobs(given)
        return max([_done(job, given) for job in jobs])
    except (StoreError, VerifyError, OSError) as error:
        return _fail(str(error))


def _done(job: _Job, given: argparse.Namespace) -> int:
    if given.setup:
        return _set_up(job)
    if given.check or given.repair:
        return _compare(job, repair=given.repair)
    return _catch_up(job)


def _set_up(job: _Job) -> int:
    with closing(store_of(job.database, job.floor_days, _PATIENCE)) as store:
        store.position("")
    more = ""
    if job.database.kind == POSTGRESQL:
        more = "; GRANT chimera_log_writer to who writes"
    _say(f"{job.database.shown}: it has its tables{more}")
    return 0


def _catch_up(job: _Job) -> int:
    name = Path(job.path).name
    troubles: list[str] = []
    task = Indexing(
        job.path,
        job.database,
        job.floor_days,
        lambda _, what: troubles.append(what),
        share=1,
        patience=_PATIENCE,
    )
    with closing(task):
        deadline = time.monotonic() + _PATIENCE
        while True:
            pause = task.step()
            found = task.statistics()
            if task.is_at_rest:
                break
            if task.is_elsewhere:
                _say(f"{name}: another process keeps {job.database.shown} up to date")
                return 0
            if found.last_error is None:
                deadline = time.monotonic() + _PATIENCE
            else:
                troubles.pop()  # it is told at last, if it does not go away
                if pause > _LONG or time.monotonic() > deadline:
                    return _fail(found.last_error)
            time.sleep(pause)
    for trouble in troubles:
        _fail(trouble)
    _say(
        f"{name}: {found.rows:,} rows added to {job.database.shown}, "
        f"which has the trail up to record {found.seq:,}"
    )
    return _FAILED if troubles else 0


def _compare(job: _Job, *, repair: bool) -> int:
    name = Path(job.path).name
    with closing(store_of(job.database, job.floor_days, _PATIENCE)) as store:
        comparison = Comparison(
            job.path, store, job.floor_days, time.time(), repair=repair
        )
        count = left = 0
        for each in comparison.differences():
            count += 1
            left += not each.is_curable
            is_cured = repair and each.is_curable
            _say(f"{name}: {each.what}{': repaired' if is_cured else ''}")
    _say(f"{name}: {comparison.records:,} records compared, {count:,} differences")
    return _FAILED if (left if repair else count) else 0


def _jobs(given: argparse.Namespace) -> list[_Job]:
    """
    Return what there is to do.

    Raises:
        ConfigError: If that is nothing.
    """
    path = None if given.path is None else _trail(given.path)
    if path is not None and given.database is not None and given.config is None:
        return [_Job(path, _database(given.database, path), _promised(path))]
    configured = list(_configured(given.config))
    known = {job.path: job for job in configured}
    if given.database is not None:
        if path is None and len(known) != 1:
            raise ConfigError(
                "--database: name the trail as well; the configuration has "
                f"{', '.join(known) or 'none'}"
            )
        where = path or configured[0].path
        floor_days = known[where].floor_days if where in known else _promised(where)
        return [_Job(where, _database(given.database, where), floor_days)]
    found = [
        job
        for job in configured
        if job.database is not None and path in {None, job.path}
    ]
    if not found:
        what = "no trail" if path is None else path
        raise ConfigError(
            f"{what} has a database in the configuration; name one with --database, or "
            "add database: sqlite:///logs/executions.db to its handler"
        )
    return found


def _configured(config: str | None) -> Iterator[_Job]:
    """Yield the trails of the configuration, with or without a database."""
    for handler in outputs.made_by(effective(asked_for(config)), outputs.AUDIT):
        path = outputs.path(handler, "filename")
        if path is None:
            continue
        floor_days = outputs.count(handler, "retention_floor_days", _FLOOR_DAYS)
        try:
            database = database_of(handler.content.get("database"), path)
        except ConfigError as error:
            raise ConfigError(f"handlers.{handler.name}.{error}") from None
        yield _Job(path, database, floor_days or _FLOOR_DAYS)


def _promised(path: str) -> float:
    """Return the days that the newest full file of a trail was promised to stay."""
    folder, name = os.path.split(path)
    manifests = Manifests(Aside(folder, name).path, name)
    for segment in manifests.known()[-1:]:
        with suppress(ManifestError):  # damaged: verify says so
            manifest = manifests.load(segment)
            return manifest.sealed.retention_floor_days if manifest else _FLOOR_DAYS
    return _FLOOR_DAYS


def _database(url: str, path: str) -> Database:
    found = database_of(url, path)
    assert found is not None  # noqa: S101  as it is none only without a URL
    return found


def _trail(given: str) -> str:
    return trail_in(given) if Path(given).is_dir() else os.path.abspath(given)  # noqa: PTH100  `resolve` would follow links


def _say(what: str) -> None:
    print(printable(what), flush=True)


def _fail(what: str) -> int:
    print(f"chimera-log index: {printable(what)}", file=sys.stderr)
    return _FAILED
