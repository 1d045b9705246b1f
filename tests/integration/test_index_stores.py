"""
The two databases that an index may be in, by one set of rules.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimera_log.audit.index import POSTGRESQL, SQLITE, database_of, rows_of
from chimera_log.audit.indexing import store_of
from chimera_log.audit.tailing import Position
from tests.trails import CHAIN, Chain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from chimera_log.audit.index import Row

pytestmark = pytest.mark.usefixtures("no_syncs")

OLD, NEW = "2020-01-15T00:00:00.000000Z", "2999-01-15T00:00:00.000000Z"
NOW = 32472144000.0  # 2999-01-01, in seconds since the epoch
BEYOND = 10 * NOW
TEXTS = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=30)


class Made:
    """
    A fresh database, and its store.

    Args:
        url: Which one.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        database = database_of(url)
        assert database is not None
        self.kind = database.kind
        self.store = store_of(database, 1096)
        self.table = "audit" if self.kind == SQLITE else "chimera_log.audit"

    def execute(self, statement: str) -> list[Any]:
        """Have somebody else, who has the rights to, execute *statement*."""
        if self.kind == SQLITE:
            place = self.url.removeprefix("sqlite:///")
            with closing(sqlite3.connect(place, isolation_level=None)) as connection:
                return connection.execute(statement).fetchall()
        import psycopg

        found: list[Any] = []
        with psycopg.connect(self.url, autocommit=True) as other:
            cursor = other.execute(statement)  # type: ignore[call-overload, unused-ignore]
            with suppress(psycopg.ProgrammingError):  # there is no answer
                found = cursor.fetchall()
        return found

    def refusal(self, statement: str) -> str:
        """Return why *statement* is refused."""
        try:
            self.execute(statement)
        except Exception as error:
            return str(error)
        return ""


@pytest.fixture(params=[SQLITE, POSTGRESQL])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Made]:
    """A database without a row."""
    if request.param == SQLITE:
        url = f"sqlite:///{tmp_path}/executions.db"
    else:
        url = request.getfixturevalue("postgres").database()
    found = Made(url)
    yield found
    found.store.close()


def rows(count: int, ts: str | None = NEW, log: Chain | None = None) -> list[Row]:
    """Return so many rows, of one time."""
    return [each._replace(ts=ts) for each in rows_of((log or Chain()).many(count))]


class TestRows:
    def test_added_once(self, made: Made) -> None:
        """
        Rows that are there already are not added again; what is added is as it was.
        """
        some = rows(5)
        assert 3 == made.store.add(some[:3], None)
        assert 2 == made.store.add(some, None)

        assert some == made.store.rows(CHAIN, 1, 9)
        assert some[1:3] == made.store.rows(CHAIN, 2, 3)
        assert (5, 2) == (made.store.count(CHAIN, 1, 9), made.store.count(CHAIN, 2, 3))
        assert (5, 0) == (made.store.last(CHAIN), made.store.last("other"))

    def test_without_time(self, made: Made) -> None:
        """
        A row may tell no time.
        """
        some = rows(2, None)
        made.store.add(some, None)

        assert some == made.store.rows(CHAIN, 1, 9)

    @given(st.lists(TEXTS, min_size=1, max_size=20))
    def test_any_text(self, made: Made, texts: list[str]) -> None:
        """
        Whatever the text in it, a row comes back as it was.
        """
        first = made.store.last(CHAIN) + 1
        [row] = rows(1)
        some = [
            row._replace(seq=seq, event=text, module=text[::-1], line=f"{text}x")
            for seq, text in enumerate(texts, first)
        ]
        made.store.add(some, None)

        assert some == made.store.rows(CHAIN, first, first + len(texts))

    def test_first_one_stays(self, made: Made) -> None:
        """
        Of two different rows with one number the first one stays, and nothing fails.
        """
        [row] = rows(1)
        made.store.add([row], None)

        assert 0 == made.store.add([row._replace(line="other")], None)
        assert [row] == made.store.rows(CHAIN, 1, 9)

    def test_position(self, made: Made) -> None:
        """
        How far a trail was read is remembered with the rows, for each chain.
        """
        assert made.store.position(CHAIN) is None
        for seq in (2, 7):
            position = Position("executions.log.x", 10 * seq, CHAIN, seq, "ab" * 32)
            assert seq == made.store.add(rows(seq)[-seq:], position) + (seq - 2 and 2)
            assert position == made.store.position(CHAIN)
        made.store.add([], Position("", 0, "0" * 32, 1, ""))

        assert position == made.store.position(CHAIN)


class TestGuards:
    @pytest.fixture
    def young(self, made: Made) -> list[Row]:
        """Rows that nobody may change."""
        found = rows(2) + rows(3, None)[2:]
        made.store.add(found, None)
        return found

    @pytest.mark.parametrize("seq", [1, 3])
    def test_update(self, made: Made, young: list[Row], seq: int) -> None:
        """
        No row is changed.
        """
        why = made.refusal(f"UPDATE {made.table} SET level = 'DEBUG' WHERE seq = {seq}")

        assert "rows of an audit trail never change" in why
        assert young == made.store.rows(CHAIN, 1, 9)

    @pytest.mark.parametrize("seq", [1, 3])
    def test_delete(self, made: Made, young: list[Row], seq: int) -> None:
        """
        No young row is removed, nor one that tells no time.
        """
        why = made.refusal(f"DELETE FROM {made.table} WHERE seq = {seq}")

        assert "rows younger than retention_floor_days stay" in why
        assert young == made.store.rows(CHAIN, 1, 9)

    def test_replace(self, made: Made, young: list[Row]) -> None:
        """
        None is replaced, in whatever way the database has.
        """
        values = f"('{CHAIN}', 1, '{NEW}', 'DEBUG', 'm', 'e', 'h', 'l')"
        if made.kind == SQLITE:
            statements = [
                f"INSERT OR REPLACE INTO audit VALUES {values}",
                f"REPLACE INTO audit VALUES {values}",
                f"INSERT INTO audit VALUES {values} "
                "ON CONFLICT (chain, seq) DO UPDATE SET level = 'DEBUG'",
                "UPDATE OR REPLACE audit SET seq = 2 WHERE seq = 1",
            ]
        else:
            statements = [
                f"INSERT INTO chimera_log.audit VALUES {values} "
                "ON CONFLICT (chain, seq, ts) DO UPDATE SET level = 'DEBUG'",
            ]
        for statement in statements:
            assert "chimera_log: rows of an audit trail" in made.refusal(statement)
        assert young == made.store.rows(CHAIN, 1, 9)

    def test_truncate(self, made: Made, young: list[Row]) -> None:
        """
        They are not removed all at once either.
        """
        if made.kind == SQLITE:  # whose word for it is DELETE, and optimized no way
            why = made.refusal("DELETE FROM audit")
            assert "rows younger than retention_floor_days stay" in why
        else:
            for table in ("audit", "audit_2999_01", "audit_timeless"):
                why = made.refusal(f"TRUNCATE chimera_log.{table}")
                assert "an audit trail is not truncated" in why
        assert young == made.store.rows(CHAIN, 1, 9)

    def test_old_rows_may_go(self, made: Made) -> None:
        """
        Old rows can be removed.
        """
        made.store.add(rows(2, OLD), None)

        assert "" == made.refusal(f"DELETE FROM {made.table}")
        assert 0 == made.store.count(CHAIN, 1, 9)

    def test_repair(self, made: Made, young: list[Row]) -> None:
        """
        Who repairs the index may remove any; afterwards nobody can.
        """
        made.store.remove(CHAIN, [1, 3])

        assert young[1:2] == made.store.rows(CHAIN, 1, 9)
        assert "stay" in made.refusal(f"DELETE FROM {made.table}")


class TestExpire:
    def test_old(self, made: Made) -> None:
        """
        What is older than the floor goes; the rest stays, and what tells no time.
        """
        log = Chain()
        made.store.add(rows(2, OLD, log), None)
        kept = rows(2, None, log) + rows(1, "2999-01-01T00:00:00.000000Z", log)
        made.store.add(kept, None)
        while made.store.expire(NOW):
            pass

        assert kept == made.store.rows(CHAIN, 1, 9)

    def test_clock_ahead(self, made: Made) -> None:
        """
        A clock that is far ahead of the newest row is not believed.
        """
        made.store.add(rows(2, OLD), None)

        assert not made.store.expire(BEYOND)
        assert 2 == made.store.count(CHAIN, 1, 9)

    def test_nothing(self, made: Made) -> None:
        """
        There may be no row, or none that tells a time.
        """
        assert not made.store.expire(NOW)

        made.store.add(rows(2, None), None)
        assert not made.store.expire(NOW)
        assert 2 == made.store.count(CHAIN, 1, 9)
