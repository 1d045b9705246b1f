"""
``chimera-log index``: what it adds, what it finds, what it puts right.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimera_log.audit import comparing
from chimera_log.audit.index import StoreError, database_of, rows_of
from chimera_log.audit.indexing import LOCK
from chimera_log.audit.manifest import Manifest
from chimera_log.audit.sqlite import SqliteStore
from chimera_log.aws.retry import TRANSIENT
from chimera_log.cli import index as module
from chimera_log.cli import main
from chimera_log.files.compress import Turn
from tests.conftest import fewer_examples
from tests.trails import CHAIN, FIRST, NAME, Chain, Made, line

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("no_syncs")

NOW = FIRST + 3600


class Indexed:
    """
    A trail of three files with eight records, and its database.

    Args:
        folder: Where they are.
    """

    def __init__(self, folder: Path, **options: Any) -> None:
        self.log = Chain()
        self.files = [self.log.many(3), self.log.many(3), self.log.many(2)]
        self.trail = Made(folder, self.files, is_sealed=True, **options)
        self.path = str(self.trail.path)
        self.place = folder / "executions.db"
        self.url = f"sqlite:///{self.place}"
        database = database_of(self.url)
        assert database is not None
        self.database = database

    def __call__(self, *options: str) -> int:
        """Run the command on it; return the exit code."""
        return main(["index", self.path, "--database", self.url, *options])

    def change(self, *statements: str) -> None:
        """Do to the rows what only who removes the guards can do."""
        with closing(sqlite3.connect(self.place, isolation_level=None)) as connection:
            for guard in ("update", "delete", "replace"):
                connection.execute(f"DROP TRIGGER IF EXISTS audit_{guard}")
            for statement in statements:
                connection.execute(statement)

    @property
    def seqs(self) -> list[int]:
        """The numbers of the rows."""
        with closing(SqliteStore(self.database, 1)) as store:
            return [row.seq for row in store.rows(CHAIN, 0, 10**9)]


@pytest.fixture
def indexed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Indexed:
    """An hour after the trail began, when nothing is in the database yet."""
    monkeypatch.setattr(time, "time", lambda: NOW)
    return Indexed(tmp_path)


def printed(capsys: pytest.CaptureFixture[str]) -> tuple[list[str], str]:
    """Return the lines that were printed, and what is on stderr."""
    out, err = capsys.readouterr()
    return out.splitlines(), err


class TestCatchUp:
    def test_all(self, indexed: Indexed, capsys: pytest.CaptureFixture[str]) -> None:
        """
        All that is there is added, and the second time nothing.
        """
        assert 0 == indexed()
        assert [
            f"{NAME}: 8 rows added to {indexed.url}, which has the trail up to record 8"
        ] == printed(capsys)[0]
        assert [*range(1, 9)] == indexed.seqs

        assert 0 == indexed()
        assert printed(capsys)[0][0].startswith(f"{NAME}: 0 rows added")

    def test_folder(self, indexed: Indexed, capsys: pytest.CaptureFixture[str]) -> None:
        """
        The folder is enough if it holds one trail.
        """
        folder = str(indexed.trail.folder)
        assert 0 == main(["index", folder, "--database", indexed.url])
        assert printed(capsys)[0][0].startswith(f"{NAME}: 8 rows added")

    def test_damaged(
        self, indexed: Indexed, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """
        What cannot be read is told, and the exit code says so.
        """
        segment = indexed.trail.place(1)
        segment.with_name(f"{segment.name}.gz").write_bytes(b"no gzip")
        segment.unlink()
        assert 1 == indexed()
        lines, err = printed(capsys)

        assert (
            f"chimera-log index: {segment.name}.gz: cannot be read any further" in err
        )
        assert [1, 2, 3, 7, 8] == indexed.seqs
        assert lines[0].startswith(f"{NAME}: 5 rows added")

    def test_elsewhere(
        self, indexed: Indexed, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """
        Where a service keeps it up there is nothing to do.
        """
        other = Turn(str(indexed.trail.folder / f".{NAME}.d"), LOCK)
        assert other.take()
        assert 0 == indexed()
        other.release()

        assert [f"{NAME}: another process keeps {indexed.url} up to date"] == printed(
            capsys
        )[0]

    def test_busy(
        self,
        indexed: Indexed,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """
        A database that is busy for a moment is waited for.
        """
        add = SqliteStore.add
        failures = [StoreError("busy", TRANSIENT)]

        def busy(store: SqliteStore, *arguments: Any) -> int:
            if failures:
                raise failures.pop()
            return add(store, *arguments)

        monkeypatch.setattr(SqliteStore, "add", busy)
        assert 0 == indexed()
        assert [*range(1, 9)] == indexed.seqs
        assert "" == printed(capsys)[1]

    def test_busy_for_long(
        self,
        indexed: Indexed,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """
        But not for ever.
        """

        def busy(*_: Any) -> int:
            raise StoreError("busy", TRANSIENT)

        monkeypatch.setattr(SqliteStore, "add", busy)
        monkeypatch.setattr(module, "_PATIENCE", -1.0)
        assert 1 == indexed()
        assert "chimera-log index: busy\n" == printed(capsys)[1]

    def test_cannot_be_used(
        self, indexed: Indexed, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """
        A database that cannot be used is one line, at once.
        """
        with closing(sqlite3.connect(indexed.place)) as connection:
            connection.execute("CREATE TABLE theirs (x)")

        for options in ([], ["--check"], ["--setup"]):
            assert 1 == indexed(*options)
            err = printed(capsys)[1]
            assert err.startswith(f"chimera-log index: {indexed.url} holds tables of")
            assert 1 == err.count("\n")


class TestSetup:
    def test_tables_only(
        self, indexed: Indexed, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """
        The tables are made, and nothing is added.
        """
        assert 0 == indexed("--setup")
        assert [f"{indexed.url}: it has its tables"] == printed(capsys)[0]
        assert [] == indexed.seqs


class TestCheck:
    def check(
        self, indexed: Indexed, capsys: pytest.CaptureFixture[str], *expected: str
    ) -> None:
        """Assert that the check finds just what is *expected*."""
        capsys.readouterr()
        assert (1 if expected else 0) == indexed("--check")
        lines, _ = printed(capsys)
        assert [f"{NAME}: {each}" for each in expected] == lines[:-1]
        assert lines[-1].endswith(f" records compared, {len(expected)} differences")

    def repair(
        self, indexed: Indexed, capsys: pytest.CaptureFixture[str], count: int
    ) -> None:
        """Assert that so many differences are put right, and none is left."""
        capsys.readouterr()
        assert 0 == indexed("--repair")
        lines, _ = printed(capsys)
        assert count == sum(each.endswith(": repaired") for each in lines)
        self.check(indexed, capsys)

    def test_equal(self, indexed: Indexed, capsys: pytest.CaptureFixture[str]) -> None:
        """
        What is equal has no differences.
        """
        indexed()
        self.check(indexed, capsys)
        self.repair(indexed, capsys, 0)

    def test_empty(self, indexed: Indexed, capsys: pytest.CaptureFixture[str]) -> None:
        """
        A database without a row lacks all of them, which is one difference.
        """
        self.check(
            indexed, capsys, f"records 1..8 of chain {CHAIN}: not in the database"
        )
        self.repair(indexed, capsys, 1)

    def test_missing(
        self, indexed: Indexed, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """
        Rows that are missing are named, and added.
        """
        indexed()
        indexed.change("DELETE FROM audit WHERE seq IN (2, 4, 5)")
        self.check(
            indexed,
            capsys,
            f"records 2 of chain {CHAIN}: not in the database",
            f"records 4..5 of chain {CHAIN}: not in the database",
        )
        self.repair(indexed, capsys, 2)
        assert [*range(1, 9)] == indexed.seqs

    @pytest.mark.parametrize(
        "change", ["line = 'x'", "hash = 'x'", "level = 'x'", "ts = NULL"]
    )
    def test_different(
        self, indexed: Indexed, capsys: pytest.CaptureFixture[str], change: str
    ) -> None:
        """
        So are those of which anything is not as in the trail; they are made anew.
        """
        indexed()
        indexed.change(f"UPDATE audit SET {change} WHERE seq = 5")
        self.check(
            indexed,
            capsys,
            f"records 5 of chain {CHAIN}: not in the database as in the trail",
        )
        self.repair(indexed, capsys, 1)

    def test_too_many(
        self, indexed: Indexed, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """
        So are those that no file had; they are removed.
        """
        indexed()
        values = "'2025-10-27T08:38:00.000000Z', 'l', 'm', 'e', 'h', 'x'"
        indexed.change(
            *(
                f"INSERT INTO audit VALUES ('{CHAIN}', {seq}, {values})"
                for seq in (9, 12)
            )
        )
        self.check(
            indexed,
            capsys,
            f"2 rows of records 9..12 of chain {CHAIN}: in the database, and no file of "
            "the trail had them",
        )
        self.repair(indexed, capsys, 1)
        assert [*range(1, 9)] == indexed.seqs

    def test_guarded_again(self, indexed: Indexed) -> None:
        """
        After a repair nobody can remove young rows.
        """
        indexed()
        indexed.change("DELETE FROM audit WHERE seq = 1")
        assert 0 == indexed("--repair")

        with (
            closing(sqlite3.connect(indexed.place)) as connection,
            pytest.raises(sqlite3.IntegrityError, match="never change"),
        ):
            connection.execute("UPDATE audit SET level = 'x'")

    def test_written_just_now(
        self,
        indexed: Indexed,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """
        A record of the last minute need not be there yet.
        """
        monkeypatch.setattr(time, "time", lambda: FIRST + 64)
        self.check(
            indexed, capsys, f"records 1..4 of chain {CHAIN}: not in the database"
        )

    def test_too_old(
        self,
        indexed: Indexed,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """
        Nor need one that is older than the floor.
        """
        monkeypatch.setattr(time, "time", lambda: FIRST + 1096 * 86400 + 5)
        self.check(
            indexed, capsys, f"records 6..8 of chain {CHAIN}: not in the database"
        )

    def test_file_removed(
        self, indexed: Indexed, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """
        The rows of a file that was removed are held to its manifest.
        """
        indexed.trail.sealed[:] = []
        for number in (0, 1):
            indexed.trail.seal(number, indexed.files[number], last_time=None)
        indexed()
        indexed.trail.prune(0)
        indexed.trail.prune(1)
        self.check(indexed, capsys)
        first, second = indexed.trail.names[:2]

        indexed.change(
            "DELETE FROM audit WHERE seq = 2",
            "UPDATE audit SET hash = '' WHERE seq = 6",
        )
        expected = (
            f"{first}, which was removed: 2 of 3 rows are in the database",
            f"{second}, which was removed: the last row is not in the database as it was "
            "in the file",
        )
        more = "; bring the file back, and repair the index then"
        self.check(indexed, capsys, *(each + more for each in expected))
        assert 1 == indexed("--repair")

    def test_file_removed_long_ago(
        self, indexed: Indexed, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """
        Rows of one whose records are too old need not be there, nor some of them.
        """
        indexed.trail.sealed[:] = []
        indexed.trail.seal(0, indexed.files[0])
        begun = indexed.trail.seal(
            1,
            indexed.files[1],
            first_time="2020-01-01T00:00:00.000000Z",
            last_time=None,
        )
        indexed()
        indexed.trail.prune(0)
        indexed.trail.put(1, Manifest(begun))
        indexed.trail.place(1).unlink()
        indexed.change("DELETE FROM audit WHERE seq < 6")

        self.check(indexed, capsys)

    def test_manifest_damaged(
        self, indexed: Indexed, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """
        Where a manifest is damaged nobody knows which rows are too many: they stay.
        """
        indexed()
        indexed.trail.manifest(0).write_bytes(b"{}")
        indexed.trail.place(0).unlink()
        capsys.readouterr()
        assert 1 == indexed("--repair")

        assert [
            f"{NAME}: {indexed.trail.names[0]}: its manifest is damaged (no manifest: "
            "KeyError: 'sealed')",
            f"{NAME}: 3 rows of records 1..3 of chain {CHAIN}: in the database, and no "
            "file of the trail had them",
            f"{NAME}: 5 records compared, 2 differences",
        ] == printed(capsys)[0]
        assert [*range(1, 9)] == indexed.seqs

    def test_too_many_within(self, indexed: Indexed) -> None:
        """
        Rows between those that were compared may be too many as well.
        """
        indexed.trail.write(0, b"".join(indexed.files[0][:1] + indexed.files[0][2:]))
        indexed.trail.sealed[:] = []
        indexed.trail.manifest(0).unlink()
        indexed()
        with closing(SqliteStore(indexed.database, 1)) as store:
            store.add(rows_of(indexed.files[0]), None)

        assert 0 == indexed("--repair")
        assert [1, *range(3, 9)] == indexed.seqs

    def test_file_without_a_chain(
        self, indexed: Indexed, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """
        A file from before the trail has no rows.
        """
        indexed.trail.write(0, line(1))
        indexed.trail.sealed[:] = []
        indexed.trail.seal(0, [line(1)])
        indexed.trail.seal(1, indexed.files[1])
        indexed()
        self.check(indexed, capsys)

    def test_file_damaged(
        self, indexed: Indexed, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """
        What cannot be read any further cannot be compared.
        """
        indexed()
        segment = indexed.trail.place(1)
        segment.with_name(f"{segment.name}.gz").write_bytes(b"no gzip")
        segment.unlink()
        capsys.readouterr()
        assert 1 == indexed("--repair")

        assert "bring the file back" in printed(capsys)[0][0]

    def test_rotated_late(self, indexed: Indexed) -> None:
        """
        A repair of many rows that are too many goes on to the last.
        """
        indexed()
        values = "NULL, 'l', 'm', 'e', 'h', 'x'"
        indexed.change(
            "WITH RECURSIVE n(i) AS (SELECT 9 UNION ALL SELECT i + 1 FROM n LIMIT 10500) "
            f"INSERT INTO audit SELECT '{CHAIN}', i, {values} FROM n"
        )
        assert 0 == indexed("--repair")
        assert [*range(1, 9)] == indexed.seqs

    @fewer_examples(4)
    @given(
        st.lists(
            st.tuples(st.sampled_from(["delete", "change", "add"]), st.integers(1, 12)),
            max_size=8,
        )
    )
    def test_anything(
        self, tmp_path_factory: pytest.TempPathFactory, acts: list[tuple[str, int]]
    ) -> None:
        """
        Whatever was done to the rows, the check finds it, and a repair undoes it.
        """
        indexed = Indexed(tmp_path_factory.mktemp("trail"))
        rows = rows_of([each for lines in indexed.files for each in lines])
        with closing(SqliteStore(indexed.database, 1096)) as store:
            store.add(rows, None)
            for what, seq in acts:
                if what == "delete":
                    store.remove(CHAIN, [seq])
                elif what == "change" and seq <= 8:
                    store.remove(CHAIN, [seq])
                    store.add([rows[seq - 1]._replace(line="x")], None)
                else:
                    store.add([rows[0]._replace(seq=seq)], None)
            is_equal = rows == store.rows(CHAIN, 1, 99)

            def found(*, repair: bool) -> bool:
                comparison = comparing.Comparison(
                    indexed.path, store, 1096, NOW, repair=repair
                )
                return bool(list(comparison.differences()))

            assert is_equal == (not found(repair=False))
            assert is_equal == (not found(repair=True))
            assert not found(repair=False)
            assert rows == store.rows(CHAIN, 1, 99)


CONFIG = """
version: 1
handlers:
  trail:
    class: chimera_log.AuditFileHandler
    filename: {path}
    retention_floor_days: 30
    database: {url}
  other:
    class: chimera_log.AuditFileHandler
    filename: {path}.other
  odd:
    class: chimera_log.AuditFileHandler
"""


class TestConfiguration:
    def config(self, indexed: Indexed, url: str | None = None) -> str:
        """Write a configuration of three trails, one of which has a database."""
        path = indexed.trail.folder / "logging.yaml"
        path.write_text(CONFIG.format(path=indexed.path, url=url or indexed.url))
        return str(path)

    def floor(self, indexed: Indexed) -> float:
        """Return the floor that the database keeps."""
        with closing(sqlite3.connect(indexed.place)) as connection:
            [[days]] = connection.execute("SELECT days FROM floor")
        return float(days)

    def test_all(self, indexed: Indexed, capsys: pytest.CaptureFixture[str]) -> None:
        """
        The trails of a configuration that have a database are indexed there.
        """
        config = self.config(indexed)
        for arguments in ([], [indexed.path]):
            assert 0 == main(["index", "--config", config, *arguments])
        assert printed(capsys)[0][0].startswith(f"{NAME}: 8 rows added")
        assert 30 == self.floor(indexed)

    def test_another_database(self, indexed: Indexed) -> None:
        """
        Another one may be named; how long rows stay is the trail's.
        """
        config = self.config(indexed, "sqlite:////nowhere/x.db")
        assert 0 == main(
            ["index", "--config", config, indexed.path, "--database", indexed.url]
        )
        assert 30 == self.floor(indexed)

    def test_without_a_trail(self, indexed: Indexed) -> None:
        """
        With one trail in the configuration that need not be named.
        """
        path = indexed.trail.folder / "logging.yaml"
        path.write_text(
            CONFIG.format(path=indexed.path, url=indexed.url).partition("  o")[0]
        )
        assert 0 == main(["index", "--config", str(path), "--database", indexed.url])
        assert [*range(1, 9)] == indexed.seqs

    def test_promised(self, indexed: Indexed) -> None:
        """
        Without a configuration it is what the newest full file was promised.
        """
        indexed.trail.seal(1, indexed.files[1], retention_floor_days=77)
        assert 0 == indexed()
        assert 77 == self.floor(indexed)

    def test_nothing_promised(self, indexed: Indexed) -> None:
        """
        If it was promised nothing that can be read, it is three years.
        """
        indexed.trail.manifest(1).write_bytes(b"{}")
        assert 0 == indexed()
        assert 1096 == self.floor(indexed)

    def test_not_in_the_configuration(self, indexed: Indexed) -> None:
        """
        A trail that it has not may have a database that is named.
        """
        config = self.config(indexed).replace(NAME, "x")
        path = indexed.trail.folder / "elsewhere.log"
        path.write_bytes(Chain(name="a" * 32).add())
        url = indexed.url
        assert 0 == main(
            ["index", "--config", config, str(path), "--database", url, "--setup"]
        )
        assert 1096 == self.floor(indexed)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (
                ["{path}.other"],
                "{path}.other has a database in the configuration; name",
            ),
            (["--database", "{url}"], "--database: name the trail as well; the config"),
        ],
    )
    def test_nothing_to_do(
        self,
        indexed: Indexed,
        capsys: pytest.CaptureFixture[str],
        arguments: list[str],
        message: str,
    ) -> None:
        """
        Where it is not clear what is meant, it is asked for.
        """
        names = {"path": indexed.path, "url": indexed.url}
        given = [each.format(**names) for each in arguments]
        assert 2 == main(["index", "--config", self.config(indexed), *given])
        assert message.format(**names) in printed(capsys)[1]

    def test_no_trail(
        self, indexed: Indexed, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """
        There may be none in it.
        """
        path = indexed.trail.folder / "logging.yaml"
        path.write_text("version: 1\n")
        assert 2 == main(["index", "--config", str(path)])
        assert "no trail has a database in the config" in printed(capsys)[1]

    def test_wrong_url(
        self, indexed: Indexed, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """
        A URL that names no database is told with the handler that has it.
        """
        config = self.config(indexed, "mysql://bot:geheim@db/x")
        assert 2 == main(["index", "--config", config])
        err = printed(capsys)[1]
        assert "handlers.trail.database: 'mysql' is no kind of database" in err
        assert "geheim" not in err
