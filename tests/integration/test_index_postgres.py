"""
The index in a PostgreSQL server: who may do what there, and what if it is not there.
"""

from __future__ import annotations

import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from chimera_log.audit import postgres as module
from chimera_log.audit.index import StoreError, database_of, rows_of
from chimera_log.audit.postgres import PostgresStore
from chimera_log.audit.tailing import Position
from chimera_log.aws.retry import OUTAGE, TRANSIENT
from chimera_log.cli import main
from tests.logs import in_child
from tests.trails import CHAIN, NAME, Chain, Made

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.postgres_server import Postgres

HERE = Position("", 7, CHAIN, 2, "ab")


def store_at(url: str, floor_days: float = 1096) -> PostgresStore:
    """Return the store at *url*; nobody is asked yet."""
    database = database_of(url)
    assert database is not None
    return PostgresStore(database, floor_days)


def execute(url: str, *statements: str) -> Any:
    """Have who is named in *url* execute *statements*; return the last one's answer."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            cursor = connection.execute(statement)  # type: ignore[call-overload, unused-ignore]
        return cursor.fetchall() if cursor.description else None


@pytest.fixture
def url(postgres: Postgres) -> str:
    """The URL of a fresh database, as its owner."""
    return postgres.database()


@pytest.fixture
def store(url: str) -> Iterator[PostgresStore]:
    """A store without a table."""
    made = store_at(url)
    yield made
    made.close()


class TestWriter:
    @pytest.fixture
    def bot(self, url: str, store: PostgresStore) -> str:
        """The URL for a role that may do what a service needs, and no more."""
        store.position("")
        name = f"bot_{url.rpartition('/')[2]}"
        execute(url, f"CREATE ROLE {name} LOGIN IN ROLE chimera_log_writer")
        return url.replace("//owner:", f"//{name}:")

    def test_does_all(self, bot: str) -> None:
        """
        It adds rows of any month, remembers how far it came, and lets old ones go.
        """
        log = Chain()
        old = [
            row._replace(ts="2019-05-05T00:00:00.000000Z")
            for row in rows_of(log.many(2))
        ]
        young = rows_of(log.many(2))
        with closing(store_at(bot, 2000)) as store:
            assert 4 == store.add(old + young, HERE)
            assert HERE == store.position(CHAIN)
            assert store.expire(2e9)
            assert not store.expire(2e9)
            assert young == store.rows(CHAIN, 1, 9)

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE chimera_log.audit SET level = 'x'",
            "DELETE FROM chimera_log.audit",
            "TRUNCATE chimera_log.audit",
            "DROP TABLE chimera_log.audit",
            "ALTER TABLE chimera_log.audit DISABLE TRIGGER ALL",
            "UPDATE chimera_log.rules SET floor_days = 0",
            "DELETE FROM chimera_log.position",
        ],
    )
    def test_no_more(self, bot: str, statement: str) -> None:
        """
        It can neither change what is there nor the guards.
        """
        with pytest.raises(Exception, match=r"permission denied|must be owner"):
            execute(bot, statement)

    def test_cannot_lower_the_floor(self, bot: str, url: str) -> None:
        """
        What it may say of the floor raises it.
        """
        execute(bot, "SELECT chimera_log.promise(1)")
        assert [(1096.0,)] == execute(url, "SELECT floor_days FROM chimera_log.rules")

    def test_cannot_repair(self, bot: str) -> None:
        """
        To remove young rows is left to the owner.
        """
        with (
            closing(store_at(bot)) as store,
            pytest.raises(StoreError, match="must be owner of table audit"),
        ):
            store.remove(CHAIN, [1])


class TestSetup:
    def test_command(
        self,
        postgres: Postgres,
        url: str,
        capsys: pytest.CaptureFixture[str],
        tmp_path: Path,
    ) -> None:
        """
        Where the service may not make the tables, their owner does so by a command.
        """
        name = f"service_{url.rpartition('/')[2]}"
        execute(url, f"CREATE ROLE {name} LOGIN")
        service = url.replace("//owner:", f"//{name}:")
        path = str(Made(tmp_path, [Chain().many(3)]).path)
        assert 1 == main(["index", path, "--database", service])
        err = capsys.readouterr().err
        assert "permission denied for database" in err
        assert "have its owner run chimera-log index --setup" in err
        assert "geheim" not in err

        assert 0 == main(["index", path, "--database", url, "--setup"])
        assert "GRANT chimera_log_writer to who writes" in capsys.readouterr().out
        execute(url, f"GRANT chimera_log_writer TO {name}")
        assert 0 == main(["index", path, "--database", service])
        assert 0 == main(["index", path, "--database", service, "--check"])
        assert postgres.url("x") not in capsys.readouterr().out

    def test_two_at_once(
        self, store: PostgresStore, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Of two who come first, one makes the tables.
        """
        with closing(store_at(url)) as other:
            other.add(rows_of(Chain().many(2)), None)
        has_schema, answers = module._has_schema, [False]
        monkeypatch.setattr(
            module,
            "_has_schema",
            lambda connection: answers.pop() if answers else has_schema(connection),
        )
        assert 2 == store.count(CHAIN, 1, 9)

    def test_floor_is_raised(self, url: str) -> None:
        """
        A database keeps the highest floor that it was told.
        """
        for told, kept in [(10, 10.0), (20, 20.0), (5, 20.0)]:
            with closing(store_at(url, told)) as store:
                store.position("")
            assert [(kept,)] == execute(url, "SELECT floor_days FROM chimera_log.rules")

    def test_month_among_the_timeless(self, store: PostgresStore, url: str) -> None:
        """
        Rows that somebody put elsewhere by hand do not keep others out.
        """
        log = Chain()
        store.position("")
        execute(
            url,
            "INSERT INTO chimera_log.audit VALUES "
            "('x', 1, '2025-10-01Z', 'l', 'm', 'e', 'h', 'x')",
        )
        assert 2 == store.add(rows_of(log.many(2)), None)
        assert 2 == store.count(CHAIN, 1, 9)


class TestTrouble:
    def failure(self, store: PostgresStore) -> StoreError:
        """Return how it fails, which is told on one line and without the password."""
        with closing(store), pytest.raises(StoreError) as caught:
            store.position("")
        assert "\n" not in str(caught.value)
        assert "geheim" not in str(caught.value)
        return caught.value

    @pytest.mark.parametrize("version", [0, 2])
    def test_other_schema(self, store: PostgresStore, url: str, version: int) -> None:
        """
        A database of an older or newer schema is not touched.
        """
        store.position("")
        store.close()
        execute(url, f"UPDATE chimera_log.rules SET version = {version}")

        assert f"has schema {version}, and this program writes 1; name another" in str(
            self.failure(store)
        )

    def test_other_program(self, store: PostgresStore, url: str) -> None:
        """
        Nor is a schema of that name that is somebody else's.
        """
        execute(url, "CREATE SCHEMA chimera_log")

        assert "its schema chimera_log is another program's" in str(self.failure(store))

    def test_without_rules(self, store: PostgresStore, url: str) -> None:
        """
        One that does not say what it is has no version.
        """
        store.position("")
        execute(url, "DELETE FROM chimera_log.rules")
        store.close()

        assert "has schema 0, and" in str(self.failure(store))

    @pytest.mark.parametrize(
        ("url", "message"),
        [
            ("postgresql://bot:geheim@127.0.0.1:1/logs", "Connection refused"),
            ("postgresql://bot:geheim%zz@127.0.0.1:1/logs", 'token: "***"'),
            ("postgresql://bot:geheim@127.0.0.1:1/logs?foo=1", 'parameter: "foo"'),
        ],
    )
    def test_not_there(self, url: str, message: str) -> None:
        """
        Where nobody answers, or nothing is meant, it is one clear line.
        """
        failure = self.failure(store_at(url))

        assert message in str(failure)
        assert OUTAGE == failure.kind

    def test_no_such_database(self, postgres: Postgres) -> None:
        """
        So it is where the server knows no such database.
        """
        failure = self.failure(store_at(postgres.url("none")))

        assert 'database "none" does not exist' in str(failure)

    def test_locked(self, store: PostgresStore, url: str) -> None:
        """
        What somebody else has locked may be had in a moment.
        """
        import psycopg

        store.position("")
        store.close()
        with psycopg.connect(url) as other:
            other.execute("LOCK TABLE chimera_log.rules")
            failure = self.failure(
                store_at(f"{url}?options=-c%20lock_timeout%3D50&connect_timeout=5")
            )
        assert TRANSIENT == failure.kind
        assert "lock timeout" in str(failure)

    def test_no_psycopg(
        self, store: PostgresStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Without psycopg it says what to install.
        """
        monkeypatch.setitem(sys.modules, "psycopg", None)

        assert "pip install 'chimera_log[postgres]'" in str(self.failure(store))

    def test_outage(self, postgres: Postgres, store: PostgresStore) -> None:
        """
        When the server is back, all goes on.
        """
        log = Chain()
        store.add(rows_of(log.many(2)), HERE)
        postgres.stop()
        more = rows_of(log.many(2))
        try:
            for _ in range(2):
                with pytest.raises(StoreError):
                    store.add(more, None)
        finally:
            postgres.start()

        assert 2 == store.add(more, None)
        assert (4, HERE) == (store.count(CHAIN, 1, 9), store.position(CHAIN))


class TestFork:
    def test_child_lets_go(self, store: PostgresStore) -> None:
        """
        A forked child leaves the connection to its parent, which goes on with it.
        """
        store.position("")
        before = store._connection

        def work() -> bool:
            store.after_fork()
            store.after_fork()
            return store._connection is None and len(module._left_to_parents) == 1

        assert in_child(work)
        assert 2 == store.add(rows_of(Chain().many(2)), None)
        assert before is store._connection

    def test_left_open(self, store: PostgresStore) -> None:
        """
        What is left to the parent is not closed, and the next call has another one.
        """
        store.after_fork()  # there may be none
        store.position("")
        store.after_fork()
        [left] = module._left_to_parents
        assert not left.closed
        left.close()
        module._left_to_parents.clear()

        assert store.position("") is None


def test_catches_up_and_repairs(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    A trail's rows are equal to it, and are so again after a repair.
    """
    log = Chain()
    path = str(Made(tmp_path, [log.many(300), log.many(200)], is_packed=True).path)
    assert 0 == main(["index", path, "--database", url])
    assert 0 == main(["index", path, "--database", url, "--check"])
    execute(
        url,
        "ALTER TABLE chimera_log.audit DISABLE TRIGGER audit_guard",
        "DELETE FROM chimera_log.audit WHERE seq BETWEEN 7 AND 10",
        "UPDATE chimera_log.audit SET line = 'x' WHERE seq = 301",
        "ALTER TABLE chimera_log.audit ENABLE TRIGGER audit_guard",
    )
    assert 1 == main(["index", path, "--database", url, "--check"])
    assert 0 == main(["index", path, "--database", url, "--repair"])
    assert 0 == main(["index", path, "--database", url, "--check"])

    assert [
        f"{NAME}: records 7..10 of chain {CHAIN}: not in the database: repaired",
        f"{NAME}: records 301 of chain {CHAIN}: not in the database as in the trail: "
        "repaired",
    ] == capsys.readouterr().out.splitlines()[-4:-2]
