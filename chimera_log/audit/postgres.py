"""
A trail's rows in a PostgreSQL server: the edge between `index` and the network.

The schema ``chimera_log`` belongs to who made it; whoever fills it needs no more than
the role ``chimera_log_writer``, which may add rows and read them.  What else there is
to do, such as a partition for the next month, functions do that run with the owner's
rights.  Triggers refuse to change a row, ever, and to remove one that is younger than
the floor.

psycopg is imported in the thread that calls, under a lock that forks take as well.
No answer is waited for longer than ten seconds.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path

from chimera_log.audit.index import SCHEMA_VERSION, Row, StoreError
from chimera_log.audit.tailing import Position
from chimera_log.aws.retry import OUTAGE, TRANSIENT
from chimera_log.native import RLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    import psycopg

    from chimera_log.audit.index import Database

_SETUP = Path(__file__).with_name("postgres.sql")
_DEFAULTS = {  # unless the URL says otherwise; seconds, but for the last two
    "application_name": "chimera_log",
    "connect_timeout": "3",
    "keepalives_idle": "30",
    "tcp_user_timeout": "10000",
    "options": "-c statement_timeout=10000 -c lock_timeout=3000 -c timezone=UTC",
}
_SOON = ("40", "55", "57014")  # conflicts, locks, time-outs: beginnings of SQLSTATEs

_ADD = """
WITH added AS (
    INSERT INTO chimera_log.audit (chain, seq, ts, level, module, event, hash, line)
    SELECT * FROM unnest(%s::text[], %s::bigint[], %s::timestamptz[], %s::text[],
                         %s::text[], %s::text[], %s::text[], %s::text[])
    ON CONFLICT DO NOTHING RETURNING 1
)
SELECT (SELECT count(*) FROM added), {remember}
"""
_REMEMBER = "chimera_log.remember(%s, %s, %s, %s, %s)"
_ROWS = """
SELECT chain, seq,
       CASE WHEN isfinite(ts) THEN
           to_char(ts AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') END,
       level, module, event, hash, line
FROM chimera_log.audit WHERE chain = %s AND seq BETWEEN %s AND %s ORDER BY seq
LIMIT 10000
"""
_TIMELESS = "infinity"  # `ts` of a row that tells none


class PostgresStore:
    """
    The rows in one PostgreSQL database; see `index.Store`.

    The schema is made by the first connection that may make it.

    Args:
        database: Which one.
        floor_days: Younger rows cannot be removed.  A database keeps the highest that
            it was told.
    """

    def __init__(self, database: Database, floor_days: float) -> None:
        self._database = database
        self._floor_days = floor_days
        self._connection: psycopg.Connection | None = None
        self._months: set[str] = set()  # that have a partition

    def position(self, chain: str) -> Position | None:
        """Return how far the trail of *chain* was read."""
        with self._calls() as connection:
            found = connection.execute(
                'SELECT "after", "offset", chain, seq, hash FROM chimera_log.position '
                "WHERE chain = %s",
                (chain,),
            ).fetchone()
        return None if found is None else Position(*found)

    def add(self, rows: list[Row], position: Position | None) -> int:
        """Add *rows* that are not there, and remember *position*."""
        columns: list[Any] = list(zip(*rows, strict=True)) or [()] * len(Row._fields)
        columns[2] = [ts or _TIMELESS for ts in columns[2]]
        parameters: list[Any] = [_array(each) for each in columns]
        remember = "NULL"
        if position is not None:
            after, offset, chain, seq, head = position
            parameters += [chain, after, offset, seq, head]
            remember = _REMEMBER
        with self._calls() as connection:
            # Each on its own: whoever makes one holds up all who have added something.
            for month in sorted({row.ts[:7] for row in rows if row.ts} - self._months):
                connection.execute(
                    "SELECT chimera_log.make_month(%s::timestamptz)", (f"{month}-01Z",)
                )
                self._months.add(month)
            statement = _ADD.format(remember=remember)
            [count, _] = connection.execute(statement, parameters).fetchone() or (0, 0)
        return int(count)

    def expire(self, now: float) -> bool:
        """
        Remove a month that is older than the floor, as a whole.

        No clock alone is believed: not this one, the server's, or the newest row's.
        """
        with self._calls() as connection:
            found = connection.execute(
                "SELECT chimera_log.expire(to_timestamp(%s))", (now,)
            ).fetchone()
            self._months.clear()
        return bool(found and found[0])

    def last(self, chain: str) -> int:
        """Return the number of the last row of *chain*; 0: there is none."""
        with self._calls() as connection:
            found = connection.execute(
                "SELECT max(seq) FROM chimera_log.audit WHERE chain = %s", (chain,)
            ).fetchone()
        return int(found[0] or 0) if found else 0

    def rows(self, chain: str, first: int, last: int) -> list[Row]:
        """Return rows *first* to *last* of *chain*, the first 10,000, in order."""
        with self._calls() as connection:
            found = connection.execute(_ROWS, (chain, first, last)).fetchall()
        return [Row(*each) for each in found]

    def count(self, chain: str, first: int, last: int) -> int:
        """Return how many rows there are from *first* to *last*."""
        with self._calls() as connection:
            found = connection.execute(
                "SELECT count(*) FROM chimera_log.audit "
                "WHERE chain = %s AND seq BETWEEN %s AND %s",
                (chain, first, last),
            ).fetchone()
        return int(found[0]) if found else 0

    def remove(self, chain: str, seqs: list[int]) -> None:
        """Remove rows, however young; only the schema's owner can."""
        with self._calls() as connection, connection.transaction():
            guard = "TRIGGER audit_guard"
            connection.execute(f"ALTER TABLE chimera_log.audit DISABLE {guard}")
            connection.execute(
                "DELETE FROM chimera_log.audit WHERE chain = %s AND seq = ANY(%s)",
                (chain, seqs),
            )
            connection.execute(f"ALTER TABLE chimera_log.audit ENABLE {guard}")

    def close(self) -> None:
        """Take leave of the server."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def after_fork(self) -> None:
        """Leave the connection to the parent: a word to the server would end it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            _left_to_parents.append(connection)

    @contextmanager
    def _calls(self) -> Iterator[psycopg.Connection]:
        """Yield the connection; what fails is a `StoreError`, and closes it."""
        module = _psycopg()
        try:
            if self._connection is None:
                self._connection = self._opened(module)
            yield self._connection
        except module.Error as error:
            self.close()
            raise self._failure(error) from error
        except BaseException:
            self.close()
            raise

    def _opened(self, module: Any) -> psycopg.Connection:
        given = module.conninfo.conninfo_to_dict(self._database.place)
        connection: psycopg.Connection = module.connect(
            **{**_DEFAULTS, **given},
            autocommit=True,
            prepare_threshold=None,  # a pooler may give us another server each time
        )
        try:
            self._set_up(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _set_up(self, connection: psycopg.Connection) -> None:
        if not _has_schema(connection):
            with connection.transaction():
                # Of two who come first, one waits for the other.
                connection.execute("SELECT pg_advisory_xact_lock(7306362)")
                if not _has_schema(connection):
                    connection.execute(_SETUP.read_bytes())
                    connection.execute(
                        "INSERT INTO chimera_log.rules VALUES (%s, %s)",
                        (SCHEMA_VERSION, self._floor_days),
                    )
        found = connection.execute(
            "SELECT version, floor_days FROM chimera_log.rules"
        ).fetchone()
        version, days = found or (0, 0)
        if version != SCHEMA_VERSION:
            raise StoreError(
                f"{self._database.shown} has schema {version}, and this program writes "
                f"{SCHEMA_VERSION}; name another database, or rename its schema "
                "chimera_log and have it made anew"
            )
        if days < self._floor_days:
            connection.execute("SELECT chimera_log.promise(%s)", (self._floor_days,))

    def _failure(self, error: psycopg.Error) -> StoreError:
        text = " ".join(str(error).split())
        state = error.sqlstate or ""
        if state == "42501":  # insufficient_privilege
            text += (
                "; have its owner run chimera-log index --setup, and GRANT "
                "chimera_log_writer to who writes"
            )
        elif state in {"42P01", "42883", "42703"}:  # no such table, function, column
            text += "; its schema chimera_log is another program's, or was changed"
        kind = TRANSIENT if state.startswith(_SOON) else OUTAGE
        shown = self._database.shown
        return StoreError(self._database.without_password(f"{shown}: {text}"), kind)


def _array(values: Iterable[object]) -> str:
    """Return *values* as PostgreSQL writes an array; psycopg takes ten times longer."""
    texts = [str(each).replace("\\", r"\\").replace('"', r"\"") for each in values]
    return '{"' + '","'.join(texts) + '"}' if texts else "{}"


def _has_schema(connection: psycopg.Connection) -> bool:
    schema = "SELECT 1 FROM pg_namespace WHERE nspname = 'chimera_log'"
    return connection.execute(schema).fetchone() is not None


def _psycopg() -> Any:
    with _importing:
        try:
            import psycopg  # noqa: PLC0415  in the thread that needs it
        except ImportError as error:
            raise StoreError(
                f"psycopg cannot be imported ({error}); pip install "
                "'chimera_log[postgres]'"
            ) from None
    return psycopg


_left_to_parents: list[psycopg.Connection] = []

# Held while psycopg is imported: a child forked in the midst of it would wait for
# ever for a module's lock.
_importing = RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_importing.acquire,
        after_in_parent=_importing.release,
        after_in_child=_importing.release,
    )
