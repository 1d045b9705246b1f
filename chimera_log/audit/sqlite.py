"""
A trail's rows in an SQLite file: the edge between `index` and the disk.

One file, which several processes may read while one writes (WAL).  Its own triggers
refuse to change a row, ever, and to remove one that is younger than the floor.

`sqlite3` is imported, and every call made, under a lock that forks take as well: a
child never gets a connection that is in the middle of something.
"""

from __future__ import annotations

import os
from contextlib import contextmanager

from chimera_log.audit.index import (
    DAY,
    SCHEMA_VERSION,
    Row,
    StoreError,
    time_text,
)
from chimera_log.audit.tailing import Position
from chimera_log.aws.retry import TRANSIENT
from chimera_log.files import opening
from chimera_log.native import RLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from typing import Any

    from chimera_log.audit.index import Database

_MAX_ROWS = 10_000  # of one answer
_SYNCHRONOUS = "NORMAL"  # a power cut may take the last rows, which are read again
_MAX_REMOVED = 1_000  # rows at a time
_FREED_PAGES = 1_000  # that the file is made smaller by, at a time
_MODE = 0o640  # as the trail's own files

_YOUNG = (
    "coalesce(OLD.ts, '9') > strftime('%Y-%m-%dT%H:%M:%f', 'now', "
    "'-' || (SELECT days FROM floor) || ' days')"
)
_GUARDS = {
    "audit_update": (
        "BEFORE UPDATE ON audit BEGIN "
        "SELECT RAISE(ABORT, 'chimera_log: rows of an audit trail never change'); END"
    ),
    "audit_delete": (
        f"BEFORE DELETE ON audit WHEN {_YOUNG} BEGIN "
        "SELECT RAISE(ABORT, 'chimera_log: rows younger than retention_floor_days "
        "stay'); END"
    ),
    # INSERT OR REPLACE removes rows without a word to the one before.
    "audit_replace": (
        "BEFORE INSERT ON audit WHEN EXISTS (SELECT 1 FROM audit "
        "WHERE chain = NEW.chain AND seq = NEW.seq) BEGIN "
        "SELECT RAISE(ABORT, 'chimera_log: rows of an audit trail are never "
        "replaced'); END"
    ),
    "floor_update": (
        "BEFORE UPDATE ON floor WHEN NEW.days IS NULL OR NEW.days < OLD.days BEGIN "
        "SELECT RAISE(ABORT, 'chimera_log: the floor is never lowered'); END"
    ),
    "floor_delete": (
        "BEFORE DELETE ON floor BEGIN "
        "SELECT RAISE(ABORT, 'chimera_log: the floor is never removed'); END"
    ),
    "floor_replace": (
        "BEFORE INSERT ON floor WHEN EXISTS (SELECT 1 FROM floor) BEGIN "
        "SELECT RAISE(ABORT, 'chimera_log: the floor is never replaced'); END"
    ),
}
_TABLES = (
    "CREATE TABLE audit (chain TEXT NOT NULL, seq INTEGER NOT NULL, ts TEXT, "
    "level TEXT NOT NULL, module TEXT NOT NULL, event TEXT NOT NULL, "
    "hash TEXT NOT NULL, line TEXT NOT NULL, PRIMARY KEY (chain, seq))",
    "CREATE INDEX audit_ts ON audit (ts)",
    "CREATE INDEX audit_event_ts ON audit (event, ts)",
    'CREATE TABLE position (chain TEXT PRIMARY KEY, "after" TEXT NOT NULL, '
    '"offset" INTEGER NOT NULL, seq INTEGER NOT NULL, hash TEXT NOT NULL)',
    "CREATE TABLE floor (days REAL NOT NULL)",
)
# The guard against replacing would refuse what ON CONFLICT DO NOTHING lets pass.
_ADD = (
    "INSERT INTO audit SELECT ?, ?, ?, ?, ?, ?, ?, ? WHERE NOT EXISTS "
    "(SELECT 1 FROM audit WHERE chain = ? AND seq = ?)"
)
_REMEMBER = (
    'INSERT INTO position (chain, "after", "offset", seq, hash) VALUES (?, ?, ?, ?, ?) '
    'ON CONFLICT (chain) DO UPDATE SET "after" = excluded."after", '
    '"offset" = excluded."offset", seq = excluded.seq, hash = excluded.hash'
)


class SqliteStore:
    """
    The rows in one SQLite file, which is made if it is not there; see `index.Store`.

    Args:
        database: Which file.
        floor_days: Younger rows cannot be removed.  A file keeps the highest that it
            was told.
        patience: Seconds that a lock of somebody else is waited for.
    """

    def __init__(
        self, database: Database, floor_days: float, patience: float = 0.25
    ) -> None:
        self._database = database
        self._patience = patience
        self._floor_days = floor_days
        self._connection: sqlite3.Connection | None = None

    def position(self, chain: str) -> Position | None:
        """Return how far the trail of *chain* was read."""
        with self._calls() as connection:
            found = connection.execute(
                'SELECT "after", "offset", chain, seq, hash FROM position '
                "WHERE chain = ?",
                (chain,),
            ).fetchone()
        return None if found is None else Position(*found)

    def add(self, rows: list[Row], position: Position | None) -> int:
        """Add *rows* that are not there, and remember *position*."""
        with self._transaction() as connection:
            keyed = [(*row, *row[:2]) for row in rows]
            count = connection.executemany(_ADD, keyed).rowcount if rows else 0
            if position is not None:
                after, offset, chain, seq, head = position
                connection.execute(_REMEMBER, (chain, after, offset, seq, head))
        return max(count, 0)

    def expire(self, now: float) -> bool:
        """
        Remove at most a thousand rows that are older than the floor.

        A clock that is far ahead of the newest row is not believed.
        """
        with self._transaction() as connection:
            [[newest, days]] = connection.execute(
                "SELECT (SELECT max(ts) FROM audit), (SELECT days FROM floor)"
            )
            if newest is None:
                return False
            [[seconds]] = connection.execute(
                "SELECT CAST(strftime('%s', ?) AS INTEGER)", (newest,)
            )
            before = time_text(min(now, seconds + DAY) - days * DAY)
            removed = connection.execute(
                "DELETE FROM audit WHERE rowid IN "
                "(SELECT rowid FROM audit WHERE ts < ? ORDER BY ts LIMIT ?)",
                (before, _MAX_REMOVED),
            ).rowcount
        if removed:
            with self._calls() as connection:
                # A page a step, and `execute` of Python 3.11 takes but one.
                connection.executescript(f"PRAGMA incremental_vacuum({_FREED_PAGES})")
        return removed == _MAX_REMOVED

    def last(self, chain: str) -> int:
        """Return the number of the last row of *chain*; 0: there is none."""
        with self._calls() as connection:
            [[last]] = connection.execute(
                "SELECT max(seq) FROM audit WHERE chain = ?", (chain,)
            )
        return int(last or 0)

    def rows(self, chain: str, first: int, last: int) -> list[Row]:
        """Return rows *first* to *last* of *chain*, the first 10,000, in order."""
        with self._calls() as connection:
            found = connection.execute(
                "SELECT * FROM audit WHERE chain = ? AND seq BETWEEN ? AND ? "
                "ORDER BY seq LIMIT ?",
                (chain, first, last, _MAX_ROWS),
            )
            return [Row(*each) for each in found]

    def count(self, chain: str, first: int, last: int) -> int:
        """Return how many rows there are from *first* to *last*."""
        with self._calls() as connection:
            [[count]] = connection.execute(
                "SELECT count(*) FROM audit WHERE chain = ? AND seq BETWEEN ? AND ?",
                (chain, first, last),
            )
        return int(count)

    def remove(self, chain: str, seqs: list[int]) -> None:
        """Remove rows, however young; the guards are back when it is done."""
        with self._transaction() as connection:
            connection.execute("DROP TRIGGER IF EXISTS audit_delete")
            connection.executemany(
                "DELETE FROM audit WHERE chain = ? AND seq = ?",
                [(chain, seq) for seq in seqs],
            )
            connection.execute(f"CREATE TRIGGER audit_delete {_GUARDS['audit_delete']}")

    def close(self) -> None:
        """Close the file."""
        with _at_work:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def after_fork(self) -> None:
        """
        Close it in a forked child.

        Nothing is half done in it, and the parent's lock keeps what is beside the
        file from being tidied up.
        """
        self.close()

    @contextmanager
    def _calls(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection; what fails is a `StoreError`, and closes it."""
        with _at_work:
            import sqlite3  # noqa: PLC0415  in the thread that needs it

            try:
                if self._connection is None:
                    self._connection = self._opened(sqlite3)
                yield self._connection
            except (sqlite3.Error, OSError) as error:
                self.close()
                raise self._failure(error) from error
            except BaseException:
                self.close()
                raise

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection in a transaction, which is done whole or not at all."""
        with self._calls() as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")

    def _opened(self, module: Any) -> sqlite3.Connection:
        place = self._database.place
        opening.make_directory(os.path.dirname(place))
        # Never one that is there: closing it would let go of the locks that others in
        # this process have on it.
        if not os.path.lexists(place):
            os.close(opening.open_or_make(place, opening.FLAGS, _MODE))
        connection: sqlite3.Connection = module.connect(
            place, timeout=self._patience, isolation_level=None, check_same_thread=False
        )
        try:
            self._set_up(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _set_up(self, connection: sqlite3.Connection) -> None:
        if not self._is_ours(connection):
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute(f"PRAGMA synchronous = {_SYNCHRONOUS}")
        connection.execute("PRAGMA journal_mode = WAL").close()
        connection.execute("BEGIN IMMEDIATE")
        if not self._is_ours(connection):  # nobody was first
            for statement in _TABLES:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        for name, guard in _GUARDS.items():  # again, if somebody removed one
            connection.execute(f"CREATE TRIGGER IF NOT EXISTS {name} {guard}")
        days = connection.execute("SELECT days FROM floor").fetchone()
        if days is None:
            connection.execute("INSERT INTO floor VALUES (?)", (self._floor_days,))
        elif days[0] < self._floor_days:
            connection.execute("UPDATE floor SET days = ?", (self._floor_days,))
        connection.execute("COMMIT")

    def _is_ours(self, connection: sqlite3.Connection) -> bool:
        """
        Whether the file has our tables; not if it is empty.

        Raises:
            StoreError: If they are not those that we know.
        """
        [[version]] = connection.execute("PRAGMA user_version")
        if version == SCHEMA_VERSION:
            return True
        [[tables]] = connection.execute("SELECT count(*) FROM sqlite_master")
        if version:
            what = f"has schema {version}, and this program writes {SCHEMA_VERSION}"
        elif tables:
            what = "holds tables of another program"
        else:
            return False
        raise StoreError(
            f"{self._database.shown} {what}; name another file, or move this one away "
            "and have it made anew"
        )

    def _failure(self, error: Exception) -> StoreError:
        text = f"{self._database.shown}: {error}"
        if "locked" in str(error):
            return StoreError(text, TRANSIENT)
        if "malformed" in str(error) or "not a database" in str(error):
            text += "; if it was an index, move it away and have it made anew"
        return StoreError(text)


# Held while the database is at work: a child that is forked meanwhile would take
# back, in memory that it shares with us, what we are about to write.
_at_work = RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_at_work.acquire,
        after_in_parent=_at_work.release,
        after_in_child=_at_work.release,
    )
