"""
The index in an SQLite file: what is particular to it.
"""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from chimera_log.audit import sqlite
from chimera_log.audit.index import StoreError, database_of, rows_of
from chimera_log.audit.sqlite import SqliteStore
from chimera_log.aws.retry import OUTAGE, TRANSIENT
from tests.logs import in_child
from tests.trails import CHAIN, Chain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("no_syncs")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file is."""
    return tmp_path / "index" / "executions.db"


def store_at(path: Path, floor_days: float = 1096) -> SqliteStore:
    """Return the store at *path*; nothing is opened."""
    database = database_of(f"sqlite:///{path}")
    assert database is not None
    return SqliteStore(database, floor_days)


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    """A store that is not there yet."""
    made = store_at(path)
    yield made
    made.close()


class TestFile:
    def test_made(self, store: SqliteStore, path: Path) -> None:
        """
        It is made at first need, for the trail's readers, and small when rows go.
        """
        assert not path.exists()
        assert store.position(CHAIN) is None

        assert 0o640 == stat.S_IMODE(path.stat().st_mode)
        with closing(sqlite3.connect(path)) as connection:
            pragmas = ("journal_mode", "auto_vacuum", "user_version")
            found = [
                connection.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas
            ]
        assert ["wal", 2, 1] == found

    def test_opened_again(self, store: SqliteStore) -> None:
        """
        After it was closed, the next call opens it.
        """
        assert 3 == store.add(rows_of(Chain().many(3)), None)
        store.close()

        assert 3 == store.count(CHAIN, 1, 9)

    def test_made_twice(
        self, store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Of two processes that make it at once, one makes it.
        """
        is_ours = SqliteStore._is_ours
        looks = []

        def looking(made: SqliteStore, connection: sqlite3.Connection) -> bool:
            looks.append(1)
            if len(looks) == 2:
                connection.execute("COMMIT")
                monkeypatch.setattr(SqliteStore, "_is_ours", is_ours)
                with closing(store_at(path)) as other:
                    other.add(rows_of(Chain().many(2)), None)
                connection.execute("BEGIN IMMEDIATE")
            return is_ours(made, connection)

        monkeypatch.setattr(SqliteStore, "_is_ours", looking)
        assert 2 == store.count(CHAIN, 1, 9)

    @pytest.mark.parametrize("version", [2, -1])
    def test_other_schema(self, store: SqliteStore, path: Path, version: int) -> None:
        """
        A file of an older or newer schema is not touched.
        """
        store.position(CHAIN)
        store.close()
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f"PRAGMA user_version = {version}")

        with pytest.raises(
            StoreError, match=f"has schema {version}, and this"
        ) as caught:
            store.position(CHAIN)
        assert OUTAGE == caught.value.kind
        assert "move this one away" in str(caught.value)

    def test_other_program(self, store: SqliteStore, path: Path) -> None:
        """
        Nor is one of another program.
        """
        path.parent.mkdir()
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE theirs (x)")

        with pytest.raises(StoreError, match="holds tables of another program"):
            store.position(CHAIN)

    def test_no_database(self, store: SqliteStore, path: Path) -> None:
        """
        Nor what is no SQLite file at all.
        """
        path.parent.mkdir()
        path.write_bytes(b"not a database at all " * 100)

        with pytest.raises(
            StoreError, match="not a database; if it was an index, move"
        ):
            store.position(CHAIN)
        assert path.read_bytes().startswith(b"not a database")

    def test_no_folder(self, tmp_path: Path) -> None:
        """
        A place that cannot be made is told.
        """
        (tmp_path / "file").write_bytes(b"")
        store = store_at(tmp_path / "file" / "executions.db")

        with pytest.raises(
            StoreError, match=f"sqlite:///{tmp_path}/file/executions.db"
        ):
            store.position(CHAIN)

    def test_locked(self, store: SqliteStore, path: Path) -> None:
        """
        While somebody else writes, it may work in a moment.
        """
        store.position(CHAIN)
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError, match="database is locked") as caught:
                store.add(rows_of(Chain().many(1)), None)
        assert TRANSIENT == caught.value.kind

        assert 1 == store.add(rows_of(Chain().many(1)), None)

    def test_half_done(self, store: SqliteStore) -> None:
        """
        What fails on the way leaves nothing behind.
        """
        rows = rows_of(Chain().many(2))
        with pytest.raises(StoreError, match="NOT NULL"):
            store.add([rows[0], rows[1]._replace(line=None)], None)

        assert 0 == store.count(CHAIN, 1, 9)

    def test_interrupted(
        self, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Nor does what a signal handler raises there.
        """
        store.position(CHAIN)

        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(sqlite, "time_text", interrupted)
            store.add(rows_of(Chain().many(2)), None)
            with pytest.raises(KeyboardInterrupt):
                store.expire(0)
        assert 2 == store.count(CHAIN, 1, 9)


class TestFork:
    def test_child_lets_go(self, store: SqliteStore) -> None:
        """
        A forked child closes its copy, and its parent goes on with what it has.
        """
        log = Chain()
        store.add(rows_of(log.many(2)), None)

        def work() -> bool:
            store.after_fork()
            return True

        assert in_child(work)
        store.add(rows_of(log.many(2)), None)
        assert 4 == store.count(CHAIN, 1, 9)

    def test_closed_twice(self, store: SqliteStore) -> None:
        """
        There may be nothing to let go of.
        """
        store.close()
        store.after_fork()


class TestFloor:
    def days(self, path: Path) -> float:
        """Return the floor that the file keeps."""
        with closing(sqlite3.connect(path)) as connection:
            [[found]] = connection.execute("SELECT days FROM floor")
        return float(found)

    def test_raised(self, path: Path) -> None:
        """
        It is raised, and never lowered.
        """
        for told, kept in [(10, 10), (20, 20), (5, 20)]:
            with closing(store_at(path, told)) as store:
                store.position(CHAIN)
            assert kept == self.days(path)

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE floor SET days = 1",
            "UPDATE floor SET days = NULL",
            "DELETE FROM floor",
            "INSERT INTO floor VALUES (1)",
            "INSERT OR REPLACE INTO floor (rowid, days) VALUES (1, 1)",
        ],
    )
    def test_not_by_hand(self, store: SqliteStore, path: Path, statement: str) -> None:
        """
        Nor is it by somebody else.
        """
        store.position(CHAIN)
        with (
            closing(sqlite3.connect(path)) as connection,
            pytest.raises(sqlite3.IntegrityError, match="the floor is never"),
        ):
            connection.execute(statement)


class TestExpire:
    def test_shrinks(self, store: SqliteStore, path: Path) -> None:
        """
        Old rows go a thousand at a time, and the file gets smaller.
        """
        log = Chain()
        old = [
            row._replace(ts="2020-01-01T00:00:00.000000Z", line="x" * 2000)
            for row in rows_of(log.many(1500))
        ]
        store.add(old, None)
        young = rows_of(log.many(1))[0]._replace(ts="2025-01-01T00:00:00.000000Z")
        store.add([young], None)
        store.close()
        before = path.stat().st_size

        assert store.expire(1.8e9)
        assert 501 == store.count(CHAIN, 1, 9999)
        assert not store.expire(1.8e9)
        assert [young] == store.rows(CHAIN, 1, 9999)
        store.close()
        assert path.stat().st_size < before / 2
